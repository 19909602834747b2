//! What each operation says about the counters of its broker set.
//!
//! | Operation | Master epoch | Set epoch | Next id | Known |
//! |---|---|---|---|---|
//! | read, registration, election refused with 2011 | saw | saw | | saw 1 |
//! | election | made | made | | saw 1 |
//! | alter | saw that of the request | made one above the request's | | saw 1 |
//! | alter refused with 2000 | differs from the request's | | | |
//! | alter refused with 2001 | saw the request's | differs from the request's | | |
//! | clean | what the log says, if it was asked | the same | | |
//! | read of the next id | | | saw | |
//! | id granted, the first of its kind | | | made one above the id | at least 1 |
//! | id granted again to the same check code | | | at least one above the id | at least 1 |
//! | id refused with 2014 | | | above the id, or still 1 | |
//! | read refused with 2008, election with 2010 | | | | saw 0 |
//!
//! *Known* counts from 0 to 1 when a broker set comes into being. It is used only in complete
//! histories without a clean; with cleans the search judges that.

use crate::check::{Part, Rule, Violation};
use crate::history::{Call, NOBODY, Operation, Outcome};
use protocol::response_code as code;
use std::collections::BTreeMap;
use std::fmt;

/// Something that only rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counter {
    MasterEpoch,
    SetEpoch,
    NextId,
    Known,
}

impl Counter {
    pub(super) const ALL: [Self; 4] =
        [Self::MasterEpoch, Self::SetEpoch, Self::NextId, Self::Known];

    const fn index(self) -> usize {
        match self {
            Self::MasterEpoch => 0,
            Self::SetEpoch => 1,
            Self::NextId => 2,
            Self::Known => 3,
        }
    }
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MasterEpoch => "the master epoch",
            Self::SetEpoch => "the set epoch",
            Self::NextId => "the next id",
            Self::Known => "the number of times that the broker set came into being",
        })
    }
}

/// What an operation says about one counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It was this at some moment.
    Saw(i64),
    /// It was less, and became this.
    Made(i64),
    /// It was this or more at some moment.
    AtLeast(i64),
    /// It was not this at some moment.
    Differs(i64),
    /// It was above this at some moment, or 1.
    RefusedId(i64),
}

impl Claim {
    /// Whether it cannot be, once the counter has reached `floor`.
    pub(super) const fn contradicts(self, floor: i64) -> bool {
        match self {
            Self::Saw(value) => value < floor,
            Self::Made(value) => value <= floor,
            Self::AtLeast(_) | Self::Differs(_) | Self::RefusedId(_) => false,
        }
    }

    /// What the counter has reached by the end of the operation, at least.
    pub(super) fn reaches(self, floor: Option<i64>) -> Option<i64> {
        match self {
            Self::Saw(value) | Self::Made(value) | Self::AtLeast(value) => Some(value),
            Self::Differs(value) => (floor == Some(value)).then_some(value.saturating_add(1)),
            Self::RefusedId(1) => Some(2),
            // Every set refuses the largest number: no id could follow it.
            Self::RefusedId(i64::MAX) => None,
            Self::RefusedId(id) => floor.filter(|floor| *floor > 1).map(|_| id.saturating_add(1)),
        }
    }
}

/// What one operation says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fact {
    pub(super) place: usize,
    pub(super) invoked: u64,
    pub(super) finished: Option<u64>,
    /// Whether its claims hold for certain; an unknown grant may be the first of its kind all the same.
    pub(super) is_certain: bool,
    claims: [Option<Claim>; 4],
}

impl Fact {
    pub(super) fn claim(&self, counter: Counter) -> Option<Claim> {
        self.claims.get(counter.index()).copied().flatten()
    }

    fn set(&mut self, counter: Counter, claim: Option<Claim>) {
        if let Some(slot) = self.claims.get_mut(counter.index()) {
            *slot = claim;
        }
    }
}

/// What every operation says, in the order of the part.
pub(super) fn of(part: &Part<'_>) -> Vec<Fact> {
    let is_kept =
        part.history.is_complete && !part.operations().any(|(_, operation)| may_clean(operation));
    let first_grants = first_grants(part);
    let mut facts = Vec::with_capacity(part.places.len());
    for (place, operation) in part.operations() {
        let mut fact = Fact {
            place,
            invoked: operation.invoked,
            finished: operation.finished,
            is_certain: !matches!(operation.outcome, Outcome::Unknown | Outcome::Never),
            claims: [None; 4],
        };
        let (master_epoch, set_epoch) = epochs(operation);
        fact.set(Counter::MasterEpoch, master_epoch);
        fact.set(Counter::SetEpoch, set_epoch);
        fact.set(Counter::NextId, next_id(place, operation, &first_grants));
        fact.set(Counter::Known, known(operation).filter(|_| is_kept));
        if fact.claims.iter().any(Option::is_some) {
            facts.push(fact);
        }
    }
    facts
}

pub(super) fn may_clean(operation: &Operation) -> bool {
    matches!(operation.call, Call::Clean { .. }) && operation.outcome.may_take_effect()
}

fn epochs(operation: &Operation) -> (Option<Claim>, Option<Claim>) {
    let number = |value: i32| i64::from(value);
    if let Call::Alter { master_epoch, set_epoch, .. } = operation.call {
        let saw = Some(Claim::Saw(number(master_epoch)));
        return match operation.outcome {
            Outcome::Ok(_) | Outcome::TookEffect(_) => {
                (saw, Some(Claim::Made(number(set_epoch).saturating_add(1))))
            }
            Outcome::Refused { code: code::CONTROLLER_FENCED_MASTER_EPOCH, .. } => {
                (Some(Claim::Differs(number(master_epoch))), None)
            }
            Outcome::Refused { code: code::CONTROLLER_FENCED_SYNC_STATE_SET_EPOCH, .. } => {
                (saw, Some(Claim::Differs(number(set_epoch))))
            }
            Outcome::Refused { .. } | Outcome::Unknown | Outcome::Never => (None, None),
        };
    }
    let makes = matches!(operation.call, Call::Elect { .. }) && operation.outcome.took_effect();
    let claim = |value: i32| {
        if makes { Claim::Made(number(value)) } else { Claim::Saw(number(value)) }
    };
    let seen = operation.outcome.seen();
    let shown = |part: fn(&crate::history::Seen) -> Option<i32>| seen.and_then(part).map(claim);
    (shown(|seen| seen.master_epoch), shown(|seen| seen.set_epoch))
}

fn next_id(
    place: usize,
    operation: &Operation,
    first_grants: &BTreeMap<(i64, &str), usize>,
) -> Option<Claim> {
    let Call::ApplyId { id, check_code } = &operation.call else {
        return operation.outcome.seen()?.next_id.map(Claim::Saw);
    };
    let next = id.saturating_add(1);
    match operation.outcome {
        _ if first_grants.get(&(*id, check_code)) == Some(&place) => Some(Claim::Made(next)),
        Outcome::Ok(_) | Outcome::TookEffect(_) => Some(Claim::AtLeast(next)),
        Outcome::Refused { code: code::CONTROLLER_BROKER_ID_INVALID, .. } if *id >= 1 => {
            Some(Claim::RefusedId(*id))
        }
        Outcome::Refused { .. } | Outcome::Unknown | Outcome::Never => None,
    }
}

/// For each id and check code that was granted: the operation that may have been first, which is
/// the one invoked first. In a history that is not complete the first may be missing.
fn first_grants<'a>(part: &Part<'a>) -> BTreeMap<(i64, &'a str), usize> {
    let mut first: BTreeMap<(i64, &str), (u64, usize)> = BTreeMap::new();
    let mut granted: BTreeMap<(i64, &str), usize> = BTreeMap::new();
    if !part.history.is_complete {
        return granted;
    }
    for (place, operation) in part.operations() {
        let Call::ApplyId { id, check_code } = &operation.call else { continue };
        let key = (*id, &**check_code);
        if operation.outcome.took_effect() {
            granted.insert(key, place);
        }
        if operation.outcome.may_take_effect() {
            let candidate = (operation.invoked, place);
            let earliest = first.entry(key).or_insert(candidate);
            *earliest = (*earliest).min(candidate);
        }
    }
    for (key, place) in &mut granted {
        if let Some((_, earliest)) = first.get(key) {
            *place = *earliest;
        }
    }
    granted
}

fn known(operation: &Operation) -> Option<Claim> {
    match (&operation.call, &operation.outcome) {
        (Call::ApplyId { .. }, outcome) => outcome.took_effect().then_some(Claim::AtLeast(1)),
        (Call::Read, Outcome::Refused { code, .. }) => {
            (*code == code::CONTROLLER_BROKER_METADATA_NOT_EXIST).then_some(Claim::Saw(0))
        }
        (Call::Elect { .. }, Outcome::Refused { code, .. }) => match *code {
            code::CONTROLLER_BROKER_NEED_TO_BE_REGISTERED => Some(Claim::Saw(0)),
            code::CONTROLLER_MASTER_STILL_EXIST => Some(Claim::Saw(1)),
            _ => None,
        },
        (
            Call::Read | Call::Register { .. } | Call::Elect { .. } | Call::Alter { .. },
            Outcome::Ok(_) | Outcome::TookEffect(_),
        ) => Some(Claim::Saw(1)),
        (
            Call::Read
            | Call::ReadNextId
            | Call::Register { .. }
            | Call::Elect { .. }
            | Call::Alter { .. }
            | Call::Clean { .. },
            _,
        ) => None,
    }
}

/// An answer that no state could have given to its request.
pub(super) fn answers_that_do_not_fit(part: &Part<'_>) -> Option<Violation> {
    part.operations().find_map(|(place, operation)| {
        let reason = misfit(operation)?;
        Some(part.violation(Rule::WrongAnswer, vec![place], reason))
    })
}

fn misfit(operation: &Operation) -> Option<String> {
    let (Outcome::Ok(seen) | Outcome::TookEffect(seen)) = &operation.outcome else { return None };
    match &operation.call {
        Call::Alter { set_epoch, new_set, .. } => {
            let made = set_epoch.saturating_add(1);
            if seen.set_epoch.is_some_and(|seen| seen != made) {
                return Some(format!("a change at set epoch {set_epoch} makes {made}"));
            }
            let stored = seen.sync_state_set.as_ref()?;
            (sorted(stored) != sorted(new_set))
                .then(|| format!("it asked for the sync-state set {new_set:?}"))
        }
        Call::Elect { id, designate } => {
            let master = seen.master?;
            if master == NOBODY {
                return Some("an election that succeeds names a master".to_owned());
            }
            if *designate && master != *id {
                return Some(format!("it asked for {id} and nobody else"));
            }
            let in_sync = seen.sync_state_set.as_ref()?;
            (*in_sync != [master]).then(|| "a new master is alone in its sync-state set".to_owned())
        }
        Call::Read
        | Call::ReadNextId
        | Call::ApplyId { .. }
        | Call::Register { .. }
        | Call::Clean { .. } => None,
    }
}

/// The same members in one order, each once.
pub(super) fn sorted(set: &[i64]) -> Vec<i64> {
    let mut set = set.to_vec();
    set.sort_unstable();
    set.dedup();
    set
}

/// One value made by two operations, or one id granted to two check codes.
pub(super) fn made_twice(part: &Part<'_>, facts: &[Fact]) -> Option<Violation> {
    for counter in [Counter::MasterEpoch, Counter::SetEpoch] {
        let mut makers: BTreeMap<i64, usize> = BTreeMap::new();
        for fact in facts {
            let Some(Claim::Made(value)) = fact.claim(counter) else { continue };
            if let Some(other) = makers.insert(value, fact.place) {
                let reason = format!("both made {value} of {counter}");
                return Some(part.violation(Rule::TwoOfOne, vec![other, fact.place], reason));
            }
        }
    }
    let mut grants: BTreeMap<i64, (&str, usize)> = BTreeMap::new();
    for (place, operation) in part.operations() {
        let Call::ApplyId { id, check_code } = &operation.call else { continue };
        if !operation.outcome.took_effect() {
            continue;
        }
        let (owner, other) = *grants.entry(*id).or_insert((check_code, place));
        if *owner != **check_code {
            let reason = format!("id {id} was granted to two check codes");
            return Some(part.violation(Rule::TwoOfOne, vec![other, place], reason));
        }
    }
    None
}

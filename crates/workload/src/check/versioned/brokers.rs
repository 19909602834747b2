//! Who is in a broker set, by the ids that were given and cleaned. In a complete history there is nobody else.
//!
//! ```text
//! time ──►  apply for 1 ├──┤   apply for 2 ├──┤   clean [1] ├──┤
//! broker 1    may be    │      is there           may be   │  gone for ever: ids are not given again
//! ```
//!
//! | What an answer says | Is false if |
//! |---|---|
//! | this broker is master, in sync, registered | nobody asked for its id by then; or it was given, then cleaned, and then this was asked |
//! | the broker set is unknown | some id was given before, and no clean that may have come by then names it |
//! | master and sync-state set | the set lacks the master |
//!
//! What a clean without an answer did is not known: it forbids nothing. The search holds the same rules
//! against each order; here they are held against time alone.

use super::facts::may_clean;
use crate::check::{Part, Rule, Violation};
use crate::history::{Call, NOBODY, Operation, Outcome};
use protocol::response_code as code;
use std::collections::BTreeMap;

/// What is known of one id.
#[derive(Debug)]
struct Stay {
    /// Begin of the first application that may have given it, and its place.
    asked: (u64, usize),
    /// Begin, end and place of the application whose grant was heard first.
    given: Option<(u64, u64, usize)>,
    /// Begin of the first clean that may have taken it away.
    may_go: Option<u64>,
    /// End and place of the first clean that took it away for certain.
    gone: Option<(u64, usize)>,
}

pub(super) fn check(part: &Part<'_>) -> Option<Violation> {
    if !part.history.is_complete {
        return None;
    }
    let stays = stays(part);
    part.operations().find_map(|(place, operation)| {
        headless(part, place, operation)
            .or_else(|| stranger(part, &stays, place, operation))
            .or_else(|| vanished(part, &stays, place, operation))
    })
}

fn stays(part: &Part<'_>) -> BTreeMap<i64, Stay> {
    let mut stays: BTreeMap<i64, Stay> = BTreeMap::new();
    for (place, operation) in part.operations() {
        let Call::ApplyId { id, .. } = operation.call else { continue };
        let took_effect = operation.outcome.took_effect();
        if !operation.outcome.may_take_effect() {
            continue;
        }
        let asked = (operation.invoked, place);
        let stay = stays.entry(id).or_insert(Stay { asked, given: None, may_go: None, gone: None });
        stay.asked = stay.asked.min(asked);
        if let Some(finished) = operation.heard().filter(|_| took_effect) {
            let heard = (operation.invoked, finished, place);
            let is_first = stay.given.is_none_or(|(_, end, _)| finished < end);
            stay.given = if is_first { Some(heard) } else { stay.given };
        }
    }
    for (place, operation) in part.operations().filter(|(_, operation)| may_clean(operation)) {
        let Call::Clean { ids, .. } = &operation.call else { continue };
        for (id, stay) in &mut stays {
            if ids.is_empty() || ids.contains(id) {
                stay.cleaned(place, operation);
            }
        }
    }
    stays
}

impl Stay {
    /// Takes in a clean that names it.
    fn cleaned(&mut self, place: usize, clean: &Operation) {
        let Some((asked, given, _)) = self.given else { return };
        if clean.heard().is_some_and(|finished| finished < asked) {
            return;
        }
        self.may_go = Some(self.may_go.map_or(clean.invoked, |first| first.min(clean.invoked)));
        let is_certain = clean.outcome.took_effect() && given < clean.invoked;
        if let Some(finished) = clean.heard().filter(|_| is_certain) {
            let gone = (finished, place);
            self.gone = Some(self.gone.map_or(gone, |first| first.min(gone)));
        }
    }
}

/// Everybody whom an answer, or a request that was carried out, says to be there.
fn named(operation: &Operation) -> Vec<i64> {
    let mut named = Vec::new();
    if let Some(seen) = operation.outcome.seen() {
        named.extend(seen.master.filter(|master| *master != NOBODY));
        named.extend(seen.sync_state_set.iter().flatten());
    }
    if operation.outcome.took_effect() {
        match &operation.call {
            Call::Register { id } => named.push(*id),
            Call::Alter { master, new_set, .. } => {
                named.push(*master);
                named.extend(new_set);
            }
            Call::Read
            | Call::ReadNextId
            | Call::ApplyId { .. }
            | Call::Elect { .. }
            | Call::Clean { .. } => {}
        }
    }
    named
}

fn stranger(
    part: &Part<'_>,
    stays: &BTreeMap<i64, Stay>,
    place: usize,
    operation: &Operation,
) -> Option<Violation> {
    let end = operation.heard().unwrap_or(u64::MAX);
    named(operation).into_iter().find_map(|id| {
        let Some(stay) = stays.get(&id).filter(|stay| stay.asked.0 <= end) else {
            let reason = format!("broker {id} is named, and nobody had asked for that id");
            return Some(part.violation(Rule::Stranger, vec![place], reason));
        };
        let (_, clean) = stay.gone.filter(|(gone, _)| *gone < operation.invoked)?;
        let reason = format!("broker {id} is named, and was cleaned before that was asked");
        Some(part.violation(Rule::Stranger, vec![clean, place], reason))
    })
}

fn vanished(
    part: &Part<'_>,
    stays: &BTreeMap<i64, Stay>,
    place: usize,
    operation: &Operation,
) -> Option<Violation> {
    let Outcome::Refused { code, .. } = operation.outcome else { return None };
    let is_unknown = match operation.call {
        Call::Read => code == code::CONTROLLER_BROKER_METADATA_NOT_EXIST,
        Call::Elect { .. } => code == code::CONTROLLER_BROKER_NEED_TO_BE_REGISTERED,
        Call::ReadNextId
        | Call::ApplyId { .. }
        | Call::Register { .. }
        | Call::Alter { .. }
        | Call::Clean { .. } => false,
    };
    if !is_unknown {
        return None;
    }
    let end = operation.heard().unwrap_or(u64::MAX);
    stays.iter().find_map(|(id, stay)| {
        let (_, _, grant) = stay.given.filter(|(_, given, _)| *given < operation.invoked)?;
        let may_be_gone = stay.may_go.is_some_and(|begin| begin <= end);
        let reason = format!("the broker set is unknown, and broker {id} of it was not cleaned");
        (!may_be_gone).then(|| part.violation(Rule::Vanished, vec![grant, place], reason))
    })
}

fn headless(part: &Part<'_>, place: usize, operation: &Operation) -> Option<Violation> {
    let lacks = |master: i64, in_sync: &[i64]| {
        let is_out = master != NOBODY && !in_sync.contains(&master);
        let reason = format!("broker {master} is master, and the sync-state set is {in_sync:?}");
        is_out.then(|| part.violation(Rule::WrongAnswer, vec![place], reason))
    };
    if let Call::Alter { master, new_set, .. } = &operation.call
        && operation.outcome.took_effect()
        && let Some(violation) = lacks(*master, new_set)
    {
        return Some(violation);
    }
    let seen = operation.outcome.seen()?;
    lacks(seen.master?, seen.sync_state_set.as_ref()?)
}

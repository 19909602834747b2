//! The second opinion: one broker set as a model for the search.
//!
//! | Operation | May come next if |
//! |---|---|
//! | what shows a version | the version is there, or elections that no client asked for can lead to it |
//! | alter | its version is there and its broker is master; makes the next set epoch |
//! | election | the version below the one it made is there |
//! | alter refused with 2000, 2001 | the master epoch, the set epoch differs |
//! | id granted | nobody was given it or one above it, or the same check code has it |
//! | id refused with 2014 | it is below the next id, or the broker set is unknown and it is not the first |
//! | clean | what it does follows from who is there, and where that is not known every effect is tried |
//! | clean of the whole set that protects the living | no master is recorded, or elections that no client asked for may have left none |
//! | what says that the broker set is known, unknown | it is |
//! | what names brokers | each has an id and was not cleaned; the master is in the sync-state set |
//!
//! Elections that no client asked for may happen at any moment: each raises the master epoch, and the
//! set epoch too if it finds a new master. They are not searched for: the state keeps a version that
//! is certain and a *slack*, by how much the set epoch may be larger.
//!
//! In a history that is not complete there may be other clients, so every version above is allowed,
//! and nothing is asked of ids, of who is there and of being known beyond what the counters say.
//!
//! Not looked at: who was alive, since heartbeats are not in a history.

use super::search::{Found, Limit, Model, Span, Stuck, search};
use super::{Part, Rule, Violation};
use crate::history::{Call, NOBODY, Operation, Outcome, Seen};
use protocol::response_code as code;
use std::collections::BTreeMap;

/// What the search says of one broker set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opinion {
    /// There is an order.
    InOrder,
    /// There is none.
    Against(Violation),
    /// The limit was reached first.
    Undecided,
}

/// Looks for an order of one broker set's operations.
#[must_use]
pub fn check_set(part: &Part<'_>, limit: Limit) -> Opinion {
    let model = BrokerSet { is_complete: part.history.is_complete };
    let (places, spans): (Vec<usize>, Vec<Span<&Operation>>) = part
        .operations()
        .filter(|(_, operation)| says_something(operation))
        .map(|(place, operation)| (place, span(operation)))
        .unzip();
    match search(&model, &spans, limit) {
        Found::Order(_) => Opinion::InOrder,
        Found::Undecided => Opinion::Undecided,
        Found::Nothing(stuck) => Opinion::Against(violation(part, &places, &stuck)),
    }
}

/// Operations before the stuck one that are shown with it.
const SHOWN_BEFORE_MAX: usize = 4;

fn violation(part: &Part<'_>, places: &[usize], stuck: &Stuck) -> Violation {
    let place = |at: &usize| places.get(*at).copied();
    let last = stuck.order.len().saturating_sub(SHOWN_BEFORE_MAX);
    let before = stuck.order.iter().skip(last).filter_map(place);
    let operations = before.chain(place(&stuck.operation)).collect();
    let reason = format!(
        "of {} operations {} could be put in order; the last of these has no place behind the others",
        places.len(),
        stuck.order.len()
    );
    part.violation(Rule::NoOrder, operations, reason)
}

/// The span of an operation. An unknown outcome has no end; what took effect unheard has the end of
/// time, since it must have its place.
fn span(operation: &Operation) -> Span<&Operation> {
    let finished = match operation.outcome {
        Outcome::TookEffect(_) => Some(operation.finished.unwrap_or(u64::MAX)),
        Outcome::Ok(_) | Outcome::Refused { .. } | Outcome::Never | Outcome::Unknown => {
            operation.heard()
        }
    };
    Span { invoked: operation.invoked, finished, operation }
}

/// Operations that every state allows and that change none are left out, and unknown elections: the
/// model has them at any moment.
fn says_something(operation: &Operation) -> bool {
    match (&operation.call, &operation.outcome) {
        (_, Outcome::Never) => false,
        (call, Outcome::Unknown) => call.can_write() && !matches!(call, Call::Elect { .. }),
        (_, Outcome::Ok(_) | Outcome::TookEffect(_)) => true,
        (Call::Read, Outcome::Refused { code, .. }) => {
            *code == code::CONTROLLER_BROKER_METADATA_NOT_EXIST
        }
        (Call::Elect { .. }, Outcome::Refused { code, .. }) => matches!(
            *code,
            code::CONTROLLER_MASTER_STILL_EXIST | code::CONTROLLER_BROKER_NEED_TO_BE_REGISTERED
        ),
        (Call::Alter { .. }, Outcome::Refused { code, .. }) => matches!(
            *code,
            code::CONTROLLER_FENCED_MASTER_EPOCH | code::CONTROLLER_FENCED_SYNC_STATE_SET_EPOCH
        ),
        (Call::ApplyId { id, .. }, Outcome::Refused { code, .. }) => {
            // The largest number is refused by every set: no id could follow it.
            *code == code::CONTROLLER_BROKER_ID_INVALID && *id < i64::MAX
        }
        (
            Call::ReadNextId | Call::Register { .. } | Call::Clean { .. },
            Outcome::Refused { .. },
        ) => false,
    }
}

/// One broker set.
#[derive(Clone, Copy, Debug)]
pub struct BrokerSet {
    /// Whether every client is in the history, from the making of the broker set on.
    pub is_complete: bool,
}

/// A broker set between operations, as far as answers showed it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct State {
    master_epoch: i32,
    set_epoch: i32,
    /// By how much the set epoch may be larger, thanks to elections that were not seen.
    slack: i32,
    master: Option<i64>,
    sync_state_set: Option<Vec<i64>>,
    next_id: i64,
    is_known: bool,
    /// Who has an id, by which check code; in a complete history these are all that are there.
    granted: BTreeMap<i64, Box<str>>,
}

impl State {
    fn forget(&mut self) {
        (self.master, self.sync_state_set) = (None, None);
    }

    /// Goes to a version, by elections that nobody saw if need be; none if it cannot be reached.
    fn at(&self, model: BrokerSet, master_epoch: i32, set_epoch: i32) -> Option<Self> {
        let elections = master_epoch.checked_sub(self.master_epoch)?;
        let rise = set_epoch.checked_sub(self.set_epoch)?;
        let most = self.slack.saturating_add(elections);
        let is_reachable = elections >= 0 && rise >= 0 && (rise <= most || !model.is_complete);
        if !is_reachable {
            return None;
        }
        let mut state = self.clone();
        if elections > 0 {
            state.master = None;
        }
        if rise > 0 || elections > 0 {
            state.sync_state_set = None;
        }
        (state.master_epoch, state.set_epoch, state.slack) = (master_epoch, set_epoch, 0);
        Some(state)
    }

    /// Learns what an answer shows of the version it is at; none if it knows otherwise.
    fn showing(mut self, master: Option<i64>, set: Option<&[i64]>) -> Option<Self> {
        if let Some(master) = master {
            if self.master.is_some_and(|known| known != master) {
                return None;
            }
            self.master = Some(master);
        }
        if let Some(set) = set {
            let mut set = set.to_vec();
            set.sort_unstable();
            set.dedup();
            if self.sync_state_set.as_ref().is_some_and(|known| *known != set) {
                return None;
            }
            self.sync_state_set = Some(set);
        }
        Some(self)
    }

    fn raised(&self, elections: i32, rise: i32) -> Self {
        let mut state = self.clone();
        state.master_epoch = state.master_epoch.saturating_add(elections);
        state.set_epoch = state.set_epoch.saturating_add(rise);
        state
    }

    /// What is left of the versions when brokers go, others staying: nothing changed, a smaller sync-state set,
    /// or no master; all of these where it is not known whether they were in sync.
    fn lessened(&self, ids: &[i64], next: &mut Vec<Self>) {
        // With a slack the set that is known may be one of before.
        let in_sync = self.sync_state_set.as_ref().filter(|_| self.slack == 0);
        let shrinks = in_sync.map(|set| set.iter().any(|id| ids.contains(id)));
        let beheads = self.master.map(|master| ids.contains(&master));
        let beheads = if shrinks == Some(false) { Some(false) } else { beheads };
        let shrinks = if beheads == Some(true) { Some(true) } else { shrinks };
        let rest = in_sync.map(|set| {
            let stay = set.iter().copied().filter(|id| !ids.contains(id));
            stay.collect::<Vec<i64>>()
        });
        if shrinks != Some(true) {
            next.push(self.clone());
        }
        if shrinks != Some(false) && beheads != Some(true) {
            next.push(Self { sync_state_set: rest.clone(), ..self.raised(0, 1) });
        }
        if beheads != Some(false) {
            let master = Some(NOBODY);
            next.push(Self { sync_state_set: rest, master, ..self.raised(1, 1) });
        }
    }

    /// Goes to a moment at which the master epoch is `master_epoch`, whatever the set epoch.
    fn at_master_epoch(&self, master_epoch: i32) -> Option<Self> {
        let elections = master_epoch.checked_sub(self.master_epoch).filter(|e| *e >= 0)?;
        let mut state = self.clone();
        if elections > 0 {
            state.forget();
            state.master_epoch = master_epoch;
            state.slack = state.slack.saturating_add(elections);
        }
        Some(state)
    }

    /// Everything that this state may be but those with this set epoch: what is below, what is above.
    fn without_set_epoch(self, model: BrokerSet, set_epoch: i32, next: &mut Vec<Self>) {
        let most = self.set_epoch.saturating_add(self.slack);
        if self.set_epoch < set_epoch {
            let slack = most.min(set_epoch.saturating_sub(1)).saturating_sub(self.set_epoch);
            next.push(Self { slack, ..self.clone() });
        }
        if most > set_epoch || !model.is_complete {
            let from = self.set_epoch.max(set_epoch.saturating_add(1));
            let slack = most.saturating_sub(from).max(0);
            let is_as_before = from == self.set_epoch;
            let sync_state_set = self.sync_state_set.clone().filter(|_| is_as_before);
            next.push(Self { set_epoch: from, slack, sync_state_set, ..self });
        }
    }
}

impl BrokerSet {
    /// What shows part of a version: all of it, one epoch, or none.
    fn look(self, state: &State, seen: &Seen) -> Option<State> {
        let there = match (seen.master_epoch, seen.set_epoch) {
            (Some(master_epoch), Some(set_epoch)) => state.at(self, master_epoch, set_epoch),
            (Some(master_epoch), None) => state.at_master_epoch(master_epoch),
            (None, Some(set_epoch)) => self.look_at_set_epoch(state, set_epoch),
            (None, None) => Some(state.clone()),
        }?;
        let there = there.showing(seen.master, seen.sync_state_set.as_deref())?;
        self.are_here(&there, seen.master, seen.sync_state_set.as_deref()).then_some(there)
    }

    /// Whether all who are named have an id, and the master is among those in sync.
    fn are_here(self, state: &State, master: Option<i64>, in_sync: Option<&[i64]>) -> bool {
        let is_here = |id: &i64| state.granted.contains_key(id);
        let Some(master) = master.filter(|master| *master != NOBODY) else {
            return !self.is_complete || in_sync.is_none_or(|ids| ids.iter().all(is_here));
        };
        let is_in_sync = in_sync.is_none_or(|ids| ids.contains(&master));
        let are_here = is_here(&master) && in_sync.is_none_or(|ids| ids.iter().all(is_here));
        !self.is_complete || (is_in_sync && are_here)
    }

    /// A look that shows the set epoch alone. Whether elections happened that raised it stays open, so
    /// what it shows is only held against a version that is certain.
    fn look_at_set_epoch(self, state: &State, set_epoch: i32) -> Option<State> {
        let rise = set_epoch.checked_sub(state.set_epoch).filter(|rise| *rise >= 0)?;
        let mut state = state.clone();
        let hidden = rise.saturating_sub(state.slack);
        if hidden > 0 && self.is_complete {
            // That many elections at least.
            state.forget();
            state.master_epoch = state.master_epoch.saturating_add(hidden);
        }
        if rise > 0 {
            state.sync_state_set = None;
        }
        state.set_epoch = set_epoch;
        state.slack = state.slack.saturating_sub(rise).max(0);
        Some(state)
    }

    fn known(self, mut state: State) -> Option<State> {
        if self.is_complete {
            return state.is_known.then_some(state);
        }
        state.is_known = true;
        Some(state)
    }

    fn ok(self, state: &State, call: &Call, seen: &Seen, next: &mut Vec<State>) {
        match call {
            Call::Register { id } if !self.are_here(state, Some(*id), None) => {}
            Call::Read | Call::Register { .. } => {
                next.extend(self.look(state, seen).and_then(|state| self.known(state)));
            }
            Call::ReadNextId => next.extend(self.next_id(state, seen)),
            Call::ApplyId { id, check_code } => next.extend(self.grant(state, *id, check_code)),
            Call::Elect { .. } => {
                let before = match (seen.master_epoch, seen.set_epoch) {
                    (Some(master_epoch), Some(set_epoch)) => {
                        let below = (master_epoch.saturating_sub(1), set_epoch.saturating_sub(1));
                        state.at(self, below.0, below.1)
                    }
                    _ => Some(state.clone()),
                };
                let in_sync = seen.sync_state_set.as_deref();
                let before = before.filter(|state| self.are_here(state, seen.master, in_sync));
                next.extend(before.and_then(|state| self.known(state)).map(|mut state| {
                    state.master_epoch = state.master_epoch.saturating_add(1);
                    state.set_epoch = state.set_epoch.saturating_add(1);
                    (state.master, state.sync_state_set) =
                        (seen.master, seen.sync_state_set.clone());
                    state
                }));
            }
            Call::Alter { .. } => next.extend(self.alter(state, call)),
            Call::Clean { ids, living } => self.clean(state, (ids, *living), next),
        }
    }

    fn alter(self, state: &State, call: &Call) -> Option<State> {
        let Call::Alter { master, master_epoch, set_epoch, new_set } = call else { return None };
        let state = state.at(self, *master_epoch, *set_epoch)?;
        let mut state = self.known(state.showing(Some(*master), None)?)?;
        if !self.are_here(&state, Some(*master), Some(new_set)) {
            return None;
        }
        state.set_epoch = state.set_epoch.saturating_add(1);
        state.sync_state_set = None;
        state.showing(None, Some(new_set))
    }

    fn next_id(self, state: &State, seen: &Seen) -> Option<State> {
        let Some(next_id) = seen.next_id else { return Some(state.clone()) };
        let is_possible =
            if self.is_complete { next_id == state.next_id } else { next_id >= state.next_id };
        is_possible.then(|| State { next_id, ..state.clone() })
    }

    fn grant(self, state: &State, id: i64, check_code: &str) -> Option<State> {
        match state.granted.get(&id) {
            // After a clean the owner of an id is gone, and the id is given to nobody again.
            Some(owner) => (**owner == *check_code && state.is_known).then(|| state.clone()),
            None if id >= state.next_id || !self.is_complete => {
                let mut state = state.clone();
                state.granted.insert(id, check_code.into());
                state.next_id = state.next_id.max(id.saturating_add(1));
                state.is_known = true;
                Some(state)
            }
            None => None,
        }
    }

    /// Everything that a clean may do. Who goes is known in a complete history; whether the master and members
    /// of the sync-state set are among them, only if no election came between. What protects the living removes no
    /// whole set with a recorded master, alive or not: then an election that nobody saw took it away before.
    ///
    /// Source: docs/spec/controller-requests.md, 2.2, condition 1.
    fn clean(self, state: &State, (ids, living): (&[i64], bool), next: &mut Vec<State>) {
        let is_led = state.master.is_some_and(|master| master != NOBODY);
        let needs_no_master = self.is_complete && ids.is_empty() && !living;
        let elected;
        let state = if needs_no_master && is_led {
            let later = state.master_epoch.checked_add(1);
            let Some(left) = later.and_then(|later| state.at_master_epoch(later)) else { return };
            elected = left;
            &elected
        } else {
            state
        };
        let is_named = |id: &i64| ids.is_empty() || ids.contains(id);
        let mut left = state.clone();
        if self.is_complete {
            left.granted.retain(|id, _| !is_named(id));
        }
        let (here, stay) = (state.granted.len(), left.granted.len());
        let is_somebody_left = self.is_complete && stay > 0;
        if is_somebody_left && stay == here {
            next.push(left);
            return;
        }
        if is_somebody_left || !ids.is_empty() && !self.is_complete {
            left.lessened(ids, next);
            if left.master.is_some() || left.sync_state_set.is_some() {
                // Behind elections that nobody saw.
                let later = left.master_epoch.saturating_add(1);
                if let Some(elected) = left.at_master_epoch(later) {
                    elected.lessened(ids, next);
                }
            }
        }
        if !is_somebody_left && (state.is_known || !self.is_complete) {
            let mut gone = left.raised(1, 1);
            gone.forget();
            gone.is_known = false;
            next.push(gone);
        }
    }

    fn refused(self, state: &State, asked: (&Call, i32), seen: &Seen, next: &mut Vec<State>) {
        match asked {
            (Call::Read, code::CONTROLLER_BROKER_METADATA_NOT_EXIST)
            | (Call::Elect { .. }, code::CONTROLLER_BROKER_NEED_TO_BE_REGISTERED) => {
                next.extend((!state.is_known || !self.is_complete).then(|| state.clone()));
            }
            (Call::Elect { .. }, code::CONTROLLER_MASTER_STILL_EXIST) => {
                next.extend(self.look(state, seen).and_then(|state| self.known(state)));
            }
            (Call::Alter { master_epoch, .. }, code::CONTROLLER_FENCED_MASTER_EPOCH) => {
                let is_later = state.master_epoch != *master_epoch;
                let later =
                    if is_later { state.master_epoch } else { master_epoch.saturating_add(1) };
                next.extend(state.at_master_epoch(later));
            }
            (
                Call::Alter { master_epoch, set_epoch, .. },
                code::CONTROLLER_FENCED_SYNC_STATE_SET_EPOCH,
            ) => {
                if let Some(state) = state.at_master_epoch(*master_epoch) {
                    state.without_set_epoch(self, *set_epoch, next);
                }
            }
            (Call::ApplyId { id, .. }, code::CONTROLLER_BROKER_ID_INVALID) => {
                let is_unknown_set = state.next_id == 1 && *id != 1;
                let is_possible = *id < state.next_id || is_unknown_set || *id < 1;
                next.extend((is_possible || !self.is_complete).then(|| state.clone()));
            }
            _ => next.push(state.clone()),
        }
    }
}

impl Model for BrokerSet {
    type Operation = Operation;
    type State = State;

    fn initial(&self) -> State {
        State {
            master_epoch: 0,
            set_epoch: 0,
            slack: 0,
            master: None,
            sync_state_set: None,
            next_id: 1,
            is_known: false,
            granted: BTreeMap::new(),
        }
    }

    fn step(&self, state: &State, operation: &Operation, next: &mut Vec<State>) {
        let call = &operation.call;
        match &operation.outcome {
            Outcome::Ok(seen) | Outcome::TookEffect(seen) => self.ok(state, call, seen, next),
            Outcome::Refused { code, seen } => self.refused(state, (call, *code), seen, next),
            Outcome::Unknown => self.ok(state, call, &Seen::default(), next),
            Outcome::Never => next.push(state.clone()),
        }
    }
}

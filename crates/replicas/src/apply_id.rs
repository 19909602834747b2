//! A broker takes an id (1013).
//!
//! | # | Check | Rejection |
//! |---|---|---|
//! | 1 | a check code with an address in it | [`Rejection::MissingField`] |
//! | 2 | an id | [`Rejection::MissingField`] |
//! | 3 | set never known: the id is 1 | [`Rejection::ApplySetUnknown`] |
//! | 4 | set known, id taken: by the same check code | [`Rejection::BrokerIdRefused`] |
//! | 5 | id free: it was never given, and there is one after it | [`Rejection::BrokerIdRefused`] |
//! | 6 | there is room | [`Rejection::LimitExceeded`] |
//!
//! Not as upstream (its defect S8, and ids that come back after a clean): the next id is above all
//! ids that were ever given, so an id below it is given to nobody again, and ids below 1 never. An
//! id beyond the next one is accepted, as upstream does. What a clean left behind counts as known.
//!
//! Source: upstream `ReplicasInfoManager#applyBrokerId`.

use alloc::boxed::Box;

use crate::broker_set::Replica;
use crate::command::ApplyBrokerId;
use crate::ids::BrokerId;
use crate::limits::{BROKER_SETS_COUNT_MAX, REPLICAS_COUNT_MAX};
use crate::outcome::{Outcome, Rejection};
use crate::state::{Change, Decision, Replicas};

pub(crate) fn decide(state: &Replicas, command: &ApplyBrokerId) -> Result<Decision, Rejection> {
    let missing_code = Rejection::MissingField { field: "registerCheckCode" };
    let check_code = command.check_code.as_deref().ok_or(missing_code.clone())?;
    let address = address_of(check_code).ok_or(missing_code)?;
    let id = command.id.ok_or(Rejection::MissingField { field: "appliedBrokerId" })?;

    let set = &command.set;
    let known = state.broker_set(set);
    let was_known = known.is_some() || state.tombstone(set).is_some();
    if !was_known && id != BrokerId::FIRST {
        return Err(Rejection::ApplySetUnknown { set: set.clone(), id });
    }
    let outcome = Outcome::BrokerIdApplied { cluster: command.cluster.clone(), id };
    if let Some(replica) = known.and_then(|known| known.replica(id)) {
        if *replica.check_code != *check_code {
            return Err(Rejection::BrokerIdRefused { set: set.clone(), id });
        }
        return Ok(Decision { outcome, change: Change::Nothing });
    }
    let is_new = id >= state.next_broker_id(set) && id <= BrokerId::MAX;
    if !is_new {
        return Err(Rejection::BrokerIdRefused { set: set.clone(), id });
    }
    let replicas_count = known.map_or(0, |known| known.replicas().len());
    room("replicas", replicas_count, "REPLICAS_COUNT_MAX", REPLICAS_COUNT_MAX)?;
    if !was_known {
        room("broker sets", state.names_count(), "BROKER_SETS_COUNT_MAX", BROKER_SETS_COUNT_MAX)?;
    }
    let replica = Replica { id, address, check_code: check_code.into() };
    Ok(Decision { outcome, change: Change::Add { cluster: command.cluster.clone(), replica } })
}

/// The part before the first `;`, as Java's `split(";")[0]` has it: an empty text is an empty
/// address, but a text of nothing but `;` has no part at all, and upstream throws.
fn address_of(check_code: &str) -> Option<Box<str>> {
    let is_all_separators = !check_code.is_empty() && check_code.bytes().all(|byte| byte == b';');
    if is_all_separators {
        return None;
    }
    check_code.split(';').next().map(Box::from)
}

fn room(
    field: &'static str,
    count: usize,
    limit: &'static str,
    maximum: usize,
) -> Result<(), Rejection> {
    if count < maximum {
        return Ok(());
    }
    Err(Rejection::LimitExceeded { field, limit, maximum })
}

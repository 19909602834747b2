//! A master replaces its sync-state set (1001).
//!
//! | # | Check | Rejection |
//! |---|---|---|
//! | 1 | set known | [`Rejection::AlterSetUnknown`] |
//! | 2 | a wanted set | [`Rejection::MissingField`] |
//! | 3 | it differs from the stored one | [`Rejection::SetUnchanged`] |
//! | 4 | the asking broker is the recorded master | [`Rejection::NotMaster`] |
//! | 5 | a master epoch | [`Rejection::MissingField`] |
//! | 6 | equal master epochs | [`Rejection::FencedMasterEpoch`] |
//! | 7 | equal set epochs | [`Rejection::FencedSetEpoch`] |
//! | 8 | each member, as upstream walks them: registered | [`Rejection::ReplicaUnknown`] |
//! | 8' | the same member: alive | [`Rejection::ReplicaNotAlive`] |
//! | 9 | the master is in it | [`Rejection::MasterNotInSet`] |
//! | 10 | the set epoch can rise | [`Rejection::EpochExhausted`] |
//!
//! An equal set is found out before fencing (U23), so a repeat whose first answer was lost hears
//! "unchanged". A dead member blocks the change until the master asks for a set without it.
//! The walk shows in which member a refusal names: see [`crate::upstream_order`].
//!
//! Source: upstream `ReplicasInfoManager#alterSyncStateSet`.

use crate::broker_set::BrokerSet;
use crate::command::AlterSyncStateSet;
use crate::evidence::Evidence;
use crate::ids::BrokerId;
use crate::outcome::{Outcome, Rejection};
use crate::state::{Change, Decision, Replicas};
use crate::upstream_order;

pub(crate) fn decide(state: &Replicas, command: &AlterSyncStateSet) -> Result<Decision, Rejection> {
    let set = state.broker_set(&command.set).ok_or(Rejection::AlterSetUnknown)?;
    let missing_set = Rejection::MissingField { field: "syncStateSet" };
    let as_written = command.new_set.as_ref().ok_or(missing_set)?;
    let mut wanted = as_written.clone();
    wanted.sort_unstable();
    wanted.dedup();
    if wanted == set.sync_state_set() {
        return Err(Rejection::SetUnchanged);
    }
    let master = fence(set, command)?;
    let fault = |id: &BrokerId| fault(set, &command.evidence, *id);
    if wanted.iter().any(|id| fault(id).is_some()) {
        // Only now is the order worth finding out.
        // mark: faulty_member_found_in_upstreams_order
        let walked = upstream_order::walk(as_written.clone(), wanted.len());
        if let Some(rejection) = walked.iter().find_map(fault) {
            return Err(rejection);
        }
    }
    let has_master = wanted.binary_search(&master).is_ok();
    if !has_master {
        return Err(Rejection::MasterNotInSet { master });
    }
    let exhausted = || Rejection::EpochExhausted { set: command.set.clone() };
    let set_epoch = set.set_epoch().next().ok_or_else(exhausted)?;
    Ok(Decision {
        outcome: Outcome::SyncStateSetAltered { sync_state_set: wanted.clone(), set_epoch },
        change: Change::ReplaceSyncStateSet { ids: wanted },
    })
}

/// What is wrong with a member of the wanted set.
fn fault(set: &BrokerSet, evidence: &Evidence, id: BrokerId) -> Option<Rejection> {
    if set.replica(id).is_none() {
        return Some(Rejection::ReplicaUnknown { id });
    }
    let is_alive = evidence.is_alive(id);
    (!is_alive).then_some(Rejection::ReplicaNotAlive { id })
}

/// Lets only the recorded master through, and only with a current view. Returns its id.
fn fence(set: &BrokerSet, command: &AlterSyncStateSet) -> Result<BrokerId, Rejection> {
    let current = set.master();
    let Some(master) = current.filter(|_| current == command.master) else {
        return Err(Rejection::NotMaster { current, given: command.master });
    };
    let missing_epoch = Rejection::MissingField { field: "masterEpoch" };
    let given = command.master_epoch.ok_or(missing_epoch)?;
    if given != set.master_epoch() {
        return Err(Rejection::FencedMasterEpoch { current: set.master_epoch(), given });
    }
    let given = command.set_epoch;
    if given != set.set_epoch() {
        return Err(Rejection::FencedSetEpoch { current: set.set_epoch(), given });
    }
    Ok(master)
}

//! An operator removes brokers or a whole broker set (1011).
//!
//! | # | Check | Rejection |
//! |---|---|---|
//! | 1 | no ids, living ones protected: no master is recorded, alive or not | [`Rejection::CleanMasterRecorded`] |
//! | 2 | ids given: each is a number | [`Rejection::CleanIdMalformed`] |
//! | 3 | ids given, living ones protected: none is alive, as upstream walks them | [`Rejection::CleanBrokerAlive`] |
//! | 4 | set known | [`Rejection::CleanSetUnknown`] |
//! | 5 | an epoch that would rise can rise | [`Rejection::EpochExhausted`] |
//!
//! | Removed | Effect |
//! |---|---|
//! | some replicas | out of the sync-state set too: set epoch + 1 if that changed. The recorded master among them: master none, master epoch + 1 |
//! | the last replica, or the whole set | a tombstone with both epochs + 1 and the next id |
//! | nobody who is registered | nothing |
//!
//! Not as upstream (its defects S3 to S6): a partial clean never forgets a broker set while replicas
//! remain; with `clean_living` the named ids go, not the whole set; liveness is that of the stored
//! cluster name; a cleaned master is recorded no longer. A list of nothing but `;` counts as blank:
//! upstream reads it as "the whole broker set" behind the back of check 1.
//!
//! Source: upstream `ReplicasInfoManager#cleanBrokerData`.

use alloc::vec::Vec;

use crate::broker_set::BrokerSet;
use crate::command::CleanBrokerData;
use crate::ids::BrokerId;
use crate::outcome::{Outcome, Rejection};
use crate::state::{Change, Decision, Replicas};
use crate::upstream_order;

pub(crate) fn decide(state: &Replicas, command: &CleanBrokerData) -> Result<Decision, Rejection> {
    let known = state.broker_set(&command.set);
    let name = || command.set.clone();
    let as_written = parse(command.ids.as_deref().unwrap_or_default())?;
    let mut ids = as_written.clone();
    ids.sort_unstable();
    ids.dedup();
    let protects_living = !command.clean_living;
    if protects_living {
        let has_master = known.is_some_and(|set| set.master().is_some());
        if ids.is_empty() && has_master {
            return Err(Rejection::CleanMasterRecorded { set: name() });
        }
        let walked = upstream_order::walk(as_written, ids.len());
        if let Some(id) = walked.into_iter().find(|id| command.evidence.is_alive(*id)) {
            return Err(Rejection::CleanBrokerAlive { set: name(), id });
        }
    }
    let set = known.ok_or_else(|| Rejection::CleanSetUnknown { set: name() })?;
    clean(set, &ids).ok_or_else(|| Rejection::EpochExhausted { set: name() })
}

/// The ids of the list, as written; none if it is blank.
///
/// Java's `split(";")` drops empty parts at the end and keeps all others; `Long.valueOf` takes
/// a sign and digits and no blanks, as Rust's parser does.
fn parse(list: &str) -> Result<Vec<BrokerId>, Rejection> {
    let is_blank = list.trim().is_empty();
    let list = list.trim_end_matches(';');
    if is_blank || list.is_empty() {
        return Ok(Vec::new());
    }
    let one = |part: &str| match part.parse() {
        Ok(id) => Ok(BrokerId(id)),
        Err(_) => Err(Rejection::CleanIdMalformed { part: part.into() }),
    };
    list.split(';').map(one).collect()
}

/// What removing these ids, or all if there are none, does; none if an epoch cannot rise.
fn clean(set: &BrokerSet, ids: &[BrokerId]) -> Option<Decision> {
    let is_named = |id: BrokerId| ids.is_empty() || ids.binary_search(&id).is_ok();
    let replicas = set.replicas().iter().map(|replica| replica.id);
    let removed: Vec<BrokerId> = replicas.filter(|id| is_named(*id)).collect();
    let master = set.master().filter(|id| is_named(*id));
    let whole_set = removed.len() == set.replicas().len();
    let changes_set = whole_set || set.sync_state_set().iter().any(|id| is_named(*id));
    if changes_set {
        set.set_epoch().next()?;
    }
    if whole_set || master.is_some() {
        set.master_epoch().next()?;
    }
    let change = if whole_set {
        // mark: whole_set_cleaned
        Change::RemoveSet
    } else if removed.is_empty() {
        Change::Nothing
    } else {
        Change::Remove { ids: removed.clone() }
    };
    Some(Decision { outcome: Outcome::BrokersCleaned { removed, master, whole_set }, change })
}

//! A master is chosen (1002, and the leader's own elections).
//!
//! Who asks: a broker for itself, an operator for a broker (*designate*), or the controller, which
//! names nobody (or -1).
//!
//! | # | Found | Result |
//! |---|---|---|
//! | 1 | set unknown | [`Rejection::ElectSetUnknown`] |
//! | 2 | the choice is the recorded master | [`Rejection::MasterStillExists`] |
//! | 3 | the choice is another | [`Outcome::MasterElected`], both epochs + 1, the set is the master alone |
//! | 4 | no choice, nobody was named | [`Outcome::NoMaster`] |
//! | 5 | no choice, a broker was named | [`Rejection::ElectionFailed`] |
//! | 6 | an epoch cannot rise | [`Rejection::EpochExhausted`], in place of 3 and 4 |
//!
//! Who is chosen, and why each member is or is not, stands in `judge.rs`.
//!
//! Not as upstream (its defects S1, S2, S9, P1): the first election takes nobody unregistered or
//! dead; a designation of nobody changes nothing; without a choice the master epoch rises at most
//! once, when a recorded master is taken away; offsets are compared whole.
//!
//! Source: upstream `ReplicasInfoManager#electMaster`, `DefaultElectPolicy#elect`.

use crate::broker_set::BrokerSet;
use crate::command::ElectMaster;
use crate::ids::BrokerId;
use crate::judge::{Asker, Judgement};
use crate::outcome::{Outcome, RecordedMaster, Rejection};
use crate::state::{Change, Decision, Replicas};

pub(crate) fn decide(state: &Replicas, command: &ElectMaster) -> Result<Decision, Rejection> {
    let set = state.broker_set(&command.set).ok_or(Rejection::ElectSetUnknown)?;
    if let Some(id) = Judgement::of(set, command).choice {
        if let Some(master) = set.recorded_master().filter(|master| master.id == id) {
            return Err(Rejection::MasterStillExists { set: command.set.clone(), master });
        }
        return elected(set, id)
            .ok_or_else(|| Rejection::EpochExhausted { set: command.set.clone() });
    }
    match Asker::of(command) {
        Asker::Broker(_) | Asker::OperatorFor(_) => Err(Rejection::ElectionFailed),
        Asker::OperatorForNobody => Ok(unchanged(set)),
        Asker::Controller => without_master(set)
            .ok_or_else(|| Rejection::EpochExhausted { set: command.set.clone() }),
    }
}

fn elected(set: &BrokerSet, id: BrokerId) -> Option<Decision> {
    let master = RecordedMaster {
        id,
        address: set.replica(id)?.address.clone(),
        master_epoch: set.master_epoch().next()?,
        set_epoch: set.set_epoch().next()?,
        sync_state_set: alloc::vec![id],
    };
    let outcome = Outcome::MasterElected {
        master,
        previous: set.master(),
        cluster: set.cluster().map(Into::into),
        members: set.members(),
    };
    Some(Decision { outcome, change: Change::Elect { id } })
}

fn unchanged(set: &BrokerSet) -> Decision {
    let outcome = Outcome::NoMaster { taken_away: None, master_epoch: set.master_epoch() };
    Decision { outcome, change: Change::Nothing }
}

/// The recorded master did not stand, so it is dead; it is recorded no longer.
fn without_master(set: &BrokerSet) -> Option<Decision> {
    if set.master().is_none() {
        return Some(unchanged(set));
    }
    let master_epoch = set.master_epoch().next()?;
    let outcome = Outcome::NoMaster { taken_away: set.master(), master_epoch };
    Some(Decision { outcome, change: Change::TakeMasterAway })
}

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
//! The choice: the first election takes the named broker if it is registered and alive. Otherwise
//! the living members of the sync-state set stand, and after them, if the election may be unclean,
//! all living replicas:
//! the recorded master if it stands and no other was designated; else the designated one, if it
//! stands; else, without designation, the one with the largest epoch, then the largest offset, then the
//! smallest priority number, then the smallest id.
//!
//! A broker that asks for itself counts as alive, in this command only: its heartbeat travels on
//! another connection and may be late.
//!
//! Not as upstream (its defects S1, S2, S9, P1): the first election takes nobody unregistered or
//! dead; a designation of nobody changes nothing; without a choice the master epoch rises at most
//! once, when a recorded master is taken away; offsets are compared whole.
//!
//! Source: upstream `ReplicasInfoManager#electMaster`, `DefaultElectPolicy#elect`.

use core::cmp::Reverse;

use crate::broker_set::BrokerSet;
use crate::command::ElectMaster;
use crate::evidence::{Alive, Evidence};
use crate::ids::BrokerId;
use crate::outcome::{Outcome, RecordedMaster, Rejection};
use crate::state::{Change, Decision, Replicas};

/// Who asks, told from the fields of the request.
#[derive(Clone, Copy)]
enum Asker {
    Broker(BrokerId),
    OperatorFor(BrokerId),
    OperatorForNobody,
    Controller,
}

pub(crate) fn decide(state: &Replicas, command: &ElectMaster) -> Result<Decision, Rejection> {
    let set = state.broker_set(&command.set).ok_or(Rejection::ElectSetUnknown)?;
    let named = command.broker.filter(|id| *id != BrokerId::NOBODY);
    let asker = match (named, command.designate) {
        (Some(id), false) => Asker::Broker(id),
        (Some(id), true) => Asker::OperatorFor(id),
        (None, true) => Asker::OperatorForNobody,
        (None, false) => Asker::Controller,
    };
    let election = Election { set, evidence: &command.evidence, asker };
    let choice = election.choice(command.unclean);
    if let Some(id) = choice {
        if let Some(master) = set.recorded_master().filter(|master| master.id == id) {
            return Err(Rejection::MasterStillExists { set: command.set.clone(), master });
        }
        return elected(set, id)
            .ok_or_else(|| Rejection::EpochExhausted { set: command.set.clone() });
    }
    match asker {
        Asker::Broker(_) | Asker::OperatorFor(_) => Err(Rejection::ElectionFailed),
        Asker::OperatorForNobody => Ok(unchanged(set)),
        Asker::Controller => without_master(set)
            .ok_or_else(|| Rejection::EpochExhausted { set: command.set.clone() }),
    }
}

struct Election<'a> {
    set: &'a BrokerSet,
    evidence: &'a Evidence,
    asker: Asker,
}

impl Election<'_> {
    fn choice(&self, unclean: bool) -> Option<BrokerId> {
        if !self.set.was_elected() {
            match self.asker {
                Asker::Broker(id) | Asker::OperatorFor(id) => {
                    return self.standing(self.set.replica(id)?.id).map(|alive| alive.id);
                }
                Asker::OperatorForNobody | Asker::Controller => {}
            }
        }
        let in_sync = self.set.sync_state_set().iter().copied();
        let choice = self.choose(in_sync);
        if choice.is_some() || !unclean {
            return choice;
        }
        self.choose(self.set.replicas().iter().map(|replica| replica.id))
    }

    fn choose(&self, ids: impl Iterator<Item = BrokerId> + Clone) -> Option<BrokerId> {
        let mut standing = ids.filter_map(|id| self.standing(id));
        let stands = |id: BrokerId| standing.clone().any(|alive| alive.id == id).then_some(id);
        match self.asker {
            Asker::OperatorFor(id) => return stands(id),
            Asker::OperatorForNobody => return None,
            Asker::Broker(_) | Asker::Controller => {}
        }
        if let Some(master) = self.set.master().and_then(stands) {
            return Some(master);
        }
        let first = standing.next()?;
        let best =
            standing.fold(first, |best, next| if rank(next) > rank(best) { next } else { best });
        Some(best.id)
    }

    /// What is known of a living candidate.
    fn standing(&self, id: BrokerId) -> Option<Alive> {
        let seen = self.evidence.get(id);
        match self.asker {
            Asker::Broker(asker) if asker == id => {
                // mark: caller_counts_as_alive
                let unheard = Alive { id, epoch: -1, max_offset: -1, priority: i32::MAX };
                Some(seen.unwrap_or(unheard))
            }
            Asker::Broker(_)
            | Asker::OperatorFor(_)
            | Asker::OperatorForNobody
            | Asker::Controller => seen,
        }
    }
}

/// The larger rank wins. Whole numbers are compared, where upstream subtracts and overflows.
fn rank(alive: Alive) -> (i32, i64, Reverse<i32>, Reverse<BrokerId>) {
    (alive.epoch, alive.max_offset, Reverse(alive.priority), Reverse(alive.id))
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

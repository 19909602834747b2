//! Who becomes master, and why each member does or does not: one judgement, by which `elect.rs` decides and which
//! tools show.
//!
//! The first election takes the named broker if it is registered and alive. Otherwise the living members of the
//! sync-state set stand, and only if none of them can be chosen and the election may be unclean, all living replicas.
//! Of those who stand:
//!
//! | # | Chosen is |
//! |---|---|
//! | 1 | the one whom an operator named, and nobody else |
//! | 2 | the recorded master |
//! | 3 | of those whom [`Policy::never`](crate::Policy) does not list: the largest epoch, then the preferred, then the largest offset, then the smallest priority number, then the smallest id |
//!
//! In an unclean choice the offset comes before the preference: nobody is preferred at the price of messages. Among
//! members in sync there is no such price: each holds whatever was acknowledged. An operator who names a broker
//! that is listed as *never* is obeyed: his word is about this election, the list about all.
//!
//! Two that count as alive without being seen:
//! - a broker that asks for itself, in this command only: its heartbeat travels on another connection and may be late;
//! - a recorded master that was elected after the evidence was taken (`seen` is not the master epoch any more): the
//!   evidence speaks of the one before. Else two elections that overtake each other would depose a master of the same
//!   moment, and an unclean one would give the set to a broker that lacks its messages.
//!
//! Source: upstream `DefaultElectPolicy#elect`; its defects P1 and P2 are not here: whole numbers are compared.

use core::cmp::Reverse;

use alloc::vec::Vec;

use crate::broker_set::BrokerSet;
use crate::command::ElectMaster;
use crate::evidence::Alive;
use crate::ids::BrokerId;

/// Why one member is or is not the choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is chosen, from the sync-state set, or as the first master.
    Chosen,
    /// It is chosen although it is not in the sync-state set.
    ChosenUnclean,
    /// It is the recorded master and stays.
    Stays,
    /// It could be chosen, but the recorded master stays.
    MasterStays,
    /// It stood, and the choice is better by this.
    Behind(Criterion),
    /// It is not alive.
    NotAlive,
    /// It is not in the sync-state set, and the election is not unclean.
    NotInSync,
    /// It is not in the sync-state set, and a member of that was chosen.
    InSyncFirst,
    /// The configuration says that it is never to be master.
    Never,
    /// An operator named another, or nobody.
    NotNamed,
    /// Nobody was master yet: only the broker that asks is taken.
    FirstIsAsked,
}

/// What one candidate is better by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Criterion {
    /// A larger master epoch in its commit log.
    Epoch,
    /// It is preferred.
    Preferred,
    /// It has come further.
    Offset,
    /// Its priority number is smaller.
    Priority,
    /// All else is equal: its id is smaller.
    Id,
}

/// What an election comes to, before anything changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Every registered member, ascending by id.
    pub members: Vec<(BrokerId, Verdict)>,
    /// Who is to be master; the recorded one if it stays.
    pub choice: Option<BrokerId>,
}

/// Who asks, told from the fields of the request.
#[derive(Clone, Copy)]
pub(crate) enum Asker {
    Broker(BrokerId),
    OperatorFor(BrokerId),
    OperatorForNobody,
    Controller,
}

impl Asker {
    pub(crate) fn of(command: &ElectMaster) -> Self {
        let named = command.broker.filter(|id| *id != BrokerId::NOBODY);
        match (named, command.designate) {
            (Some(id), false) => Self::Broker(id),
            (Some(id), true) => Self::OperatorFor(id),
            (None, true) => Self::OperatorForNobody,
            (None, false) => Self::Controller,
        }
    }
}

/// From where the choice is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pool {
    /// The first master: only the one that asks.
    First(BrokerId),
    InSync,
    Replicas,
}

impl Judgement {
    pub(crate) fn of(set: &BrokerSet, command: &ElectMaster) -> Self {
        let election = Election { set, command, asker: Asker::of(command) };
        let (pool, choice) = election.choose();
        let verdict = |id| (id, election.verdict(id, pool, choice));
        let members = set.replicas().iter().map(|replica| verdict(replica.id)).collect();
        Self { members, choice: choice.map(|alive| alive.id) }
    }
}

struct Election<'a> {
    set: &'a BrokerSet,
    command: &'a ElectMaster,
    asker: Asker,
}

impl Election<'_> {
    /// The pool that was looked at last, and the choice.
    fn choose(&self) -> (Pool, Option<Alive>) {
        if let (false, Asker::Broker(id) | Asker::OperatorFor(id)) =
            (self.set.was_elected(), self.asker)
        {
            let pool = Pool::First(id);
            let asked = self.set.replica(id).and_then(|_known| self.candidate(id, pool).ok());
            return (pool, asked);
        }
        let choice = self.best(Pool::InSync);
        if choice.is_some() || !self.command.unclean {
            return (Pool::InSync, choice);
        }
        (Pool::Replicas, self.best(Pool::Replicas))
    }

    fn best(&self, pool: Pool) -> Option<Alive> {
        let ids = self.set.replicas().iter().map(|replica| replica.id);
        let mut standing = ids.filter_map(|id| self.candidate(id, pool).ok());
        if let Some(stays) = standing.clone().find(|alive| self.stays(alive.id)) {
            return Some(stays);
        }
        let first = standing.next()?;
        Some(standing.fold(first, |best, next| {
            if self.rank(next, pool) > self.rank(best, pool) { next } else { best }
        }))
    }

    /// What is known of a candidate of this pool, or why the member is none.
    fn candidate(&self, id: BrokerId, pool: Pool) -> Result<Alive, Verdict> {
        let is_named = match self.asker {
            Asker::OperatorFor(named) => named == id,
            Asker::OperatorForNobody => false,
            Asker::Broker(_) | Asker::Controller => true,
        };
        if !is_named {
            return Err(Verdict::NotNamed);
        }
        match pool {
            Pool::First(asked) if asked != id => return Err(Verdict::FirstIsAsked),
            Pool::InSync if !self.set.is_in_sync(id) => return Err(Verdict::NotInSync),
            Pool::First(_) | Pool::InSync | Pool::Replicas => {}
        }
        let alive = self.seen(id).ok_or(Verdict::NotAlive)?;
        let is_wanted = matches!(self.asker, Asker::OperatorFor(_)) || self.stays(id);
        if self.command.policy.forbids(id) && !is_wanted {
            return Err(Verdict::Never);
        }
        Ok(alive)
    }

    fn seen(&self, id: BrokerId) -> Option<Alive> {
        let seen = self.command.evidence.get(id);
        let is_caller = matches!(self.asker, Asker::Broker(asker) if asker == id);
        let is_newer = self.command.seen.is_some_and(|seen| seen != self.set.master_epoch());
        let was_elected_since = is_newer && self.stays(id);
        if is_caller || was_elected_since {
            // mark: caller_counts_as_alive
            let unheard = Alive { id, epoch: -1, max_offset: -1, priority: i32::MAX };
            return Some(seen.unwrap_or(unheard));
        }
        seen
    }

    /// Whether it is the recorded master, which nobody but an operator replaces while it lives.
    fn stays(&self, id: BrokerId) -> bool {
        self.set.master() == Some(id) && !matches!(self.asker, Asker::OperatorFor(_))
    }

    fn verdict(&self, id: BrokerId, pool: Pool, choice: Option<Alive>) -> Verdict {
        let chosen = match choice {
            Some(chosen) if chosen.id == id => {
                return if self.set.master() == Some(id) {
                    Verdict::Stays
                } else if self.set.was_elected() && !self.set.is_in_sync(id) {
                    Verdict::ChosenUnclean
                } else {
                    Verdict::Chosen
                };
            }
            other => other,
        };
        let alive = match (self.candidate(id, pool), chosen) {
            (Ok(alive), _) => alive,
            // What would keep it out of any pool says more than that another pool had somebody.
            (Err(Verdict::NotInSync), Some(_)) => {
                return match self.candidate(id, Pool::Replicas) {
                    Ok(_) if self.command.unclean => Verdict::InSyncFirst,
                    Ok(_) => Verdict::NotInSync,
                    Err(deeper) => deeper,
                };
            }
            (Err(why), _) => return why,
        };
        let chosen = chosen.expect("a candidate means that somebody is chosen");
        if self.stays(chosen.id) {
            return Verdict::MasterStays;
        }
        Verdict::Behind(self.better_by(chosen, alive, pool))
    }

    /// The larger rank wins. Whole numbers are compared, where upstream subtracts and overflows.
    fn rank(&self, alive: Alive, pool: Pool) -> Rank {
        let is_preferred = self.command.policy.prefers(alive.id);
        let is_clean = pool != Pool::Replicas;
        (
            alive.epoch,
            is_clean && is_preferred,
            alive.max_offset,
            !is_clean && is_preferred,
            Reverse(alive.priority),
            Reverse(alive.id),
        )
    }

    fn better_by(&self, chosen: Alive, other: Alive, pool: Pool) -> Criterion {
        let (chosen, other) = (self.rank(chosen, pool), self.rank(other, pool));
        let differences = [
            (chosen.0 != other.0, Criterion::Epoch),
            (chosen.1 != other.1, Criterion::Preferred),
            (chosen.2 != other.2, Criterion::Offset),
            (chosen.3 != other.3, Criterion::Preferred),
            (chosen.4 != other.4, Criterion::Priority),
        ];
        let first = differences.into_iter().find(|(differs, _)| *differs);
        first.map_or(Criterion::Id, |(_, criterion)| criterion)
    }
}

type Rank = (i32, bool, i64, bool, Reverse<i32>, Reverse<BrokerId>);

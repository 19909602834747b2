//! The replicated state: all broker sets by name, and how a command changes them.
//!
//! The broker set's name is the only key, as upstream: one name in two clusters is one broker set.
//! [`Replicas::decide`] finds out what a command would do, [`Replicas::apply`] does it. Nothing
//! else changes the state.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Bound;

use crate::broker_set::{BrokerSet, Replica, Tombstone};
use crate::command::{Command, ElectMaster};
use crate::hash;
use crate::ids::{BrokerId, MasterEpoch, SetEpoch};
use crate::judge::Judgement;
use crate::outcome::{Outcome, Rejection};
use crate::snapshot::{self, RestoreError};
use crate::{alter, apply_id, clean, elect, register};

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Known(BrokerSet),
    Cleaned(Tombstone),
}

/// All broker sets.
///
/// Invariant: `hash` is the sum of the hashes of all slots, so it can follow every change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replicas {
    slots: BTreeMap<Box<str>, Slot>,
    hash: u128,
}

/// What a command would do, found out without doing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What the answer is made of.
    pub outcome: Outcome,
    pub(crate) change: Change,
}

impl Decision {
    /// Whether the state would change; a repeat and a registration often change nothing.
    #[must_use]
    pub fn changes_state(&self) -> bool {
        self.change != Change::Nothing
    }
}

/// One change of one broker set, found possible by `decide`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Nothing,
    Add { cluster: Option<Box<str>>, replica: Replica },
    MoveTo { id: BrokerId, address: Box<str> },
    Elect { id: BrokerId },
    TakeMasterAway,
    ReplaceSyncStateSet { ids: Vec<BrokerId> },
    Remove { ids: Vec<BrokerId> },
    RemoveSet,
}

/// What anybody may ask of a known broker set (1004).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaInfo<'a> {
    /// The recorded master, alive or not, and its address.
    pub master: Option<(BrokerId, &'a str)>,
    /// The master epoch.
    pub master_epoch: MasterEpoch,
    /// The sync-state set, ascending.
    pub sync_state_set: &'a [BrokerId],
    /// Its epoch.
    pub set_epoch: SetEpoch,
}

impl Replicas {
    /// No broker set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Finds out what a command would do to this state.
    ///
    /// # Errors
    /// The first check that fails, in upstream's order; limits come before all others.
    pub fn decide(&self, command: &Command) -> Result<Decision, Rejection> {
        command.check_limits()?;
        match command {
            Command::ApplyBrokerId(command) => apply_id::decide(self, command),
            Command::RegisterBroker(command) => register::decide(self, command),
            Command::ElectMaster(command) => elect::decide(self, command),
            Command::AlterSyncStateSet(command) => alter::decide(self, command),
            Command::CleanBrokerData(command) => clean::decide(self, command),
        }
    }

    /// Decides a command and carries it out. The same for equal states and commands, anywhere.
    ///
    /// # Errors
    /// As [`Replicas::decide`]; the state is then unchanged.
    pub fn apply(&mut self, command: &Command) -> Result<Outcome, Rejection> {
        let Decision { outcome, change } = self.decide(command)?;
        self.change(command.set(), change);
        Ok(outcome)
    }

    /// A known broker set; one that was cleaned is not known.
    #[must_use]
    pub fn broker_set(&self, set: &str) -> Option<&BrokerSet> {
        match self.slots.get(set)? {
            Slot::Known(known) => Some(known),
            Slot::Cleaned(_) => None,
        }
    }

    /// What is left of a broker set that was cleaned.
    #[must_use]
    pub fn tombstone(&self, set: &str) -> Option<&Tombstone> {
        match self.slots.get(set)? {
            Slot::Known(_) => None,
            Slot::Cleaned(tombstone) => Some(tombstone),
        }
    }

    /// All known broker sets with their names, ascending by name.
    pub fn broker_sets(&self) -> impl Iterator<Item = (&str, &BrokerSet)> {
        self.broker_sets_after(None)
    }

    /// Those whose names come after this one, all if none is given, in the order of their names: for a walk that rests
    /// on its way.
    pub fn broker_sets_after<'a>(
        &'a self,
        after: Option<&str>,
    ) -> impl Iterator<Item = (&'a str, &'a BrokerSet)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.slots.range::<str, _>((from, Bound::Unbounded)).filter_map(|(name, slot)| match slot {
            Slot::Known(known) => Some((&**name, known)),
            Slot::Cleaned(_) => None,
        })
    }

    /// Why each member of a broker set would be chosen by this election or not: the same code as decides.
    ///
    /// `None` if the broker set is unknown.
    #[must_use]
    pub fn judge(&self, command: &ElectMaster) -> Option<Judgement> {
        Some(Judgement::of(self.broker_set(&command.set)?, command))
    }

    /// How many names are stored, tombstones included.
    #[must_use]
    pub fn names_count(&self) -> usize {
        self.slots.len()
    }

    /// Master, epochs and sync-state set of a known broker set (1004).
    ///
    /// Source: upstream `ReplicasInfoManager#getReplicaInfo`.
    #[must_use]
    pub fn replica_info(&self, set: &str) -> Option<ReplicaInfo<'_>> {
        let known = self.broker_set(set)?;
        Some(ReplicaInfo {
            master: known.master().zip(known.master_address()),
            master_epoch: known.master_epoch(),
            sync_state_set: known.sync_state_set(),
            set_epoch: known.set_epoch(),
        })
    }

    /// The id that the next broker of this set should apply for (1012). Nothing is reserved.
    ///
    /// Source: upstream `ReplicasInfoManager#getNextBrokerId`; after a clean it does not fall.
    #[must_use]
    pub fn next_broker_id(&self, set: &str) -> BrokerId {
        match self.slots.get(set) {
            Some(Slot::Known(known)) => known.next_id(),
            Some(Slot::Cleaned(tombstone)) => tombstone.next_id(),
            None => BrokerId::FIRST,
        }
    }

    /// The whole state as canonical bytes: equal states give equal bytes. No checksum inside.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        snapshot::encode(&self.slots)
    }

    /// Reads what [`Replicas::snapshot`] wrote.
    ///
    /// # Errors
    /// Whatever is not exactly such bytes; see the variants of [`RestoreError`].
    pub fn restore(bytes: &[u8]) -> Result<Self, RestoreError> {
        let slots = snapshot::decode(bytes)?;
        let hash = slots
            .iter()
            .fold(0, |sum: u128, (name, slot)| sum.wrapping_add(hash::of_slot(name, slot)));
        Ok(Self { slots, hash })
    }

    /// A number that is equal for equal states and differs for different ones, but for chance.
    ///
    /// Kept up to date by every change, so asking costs nothing.
    #[must_use]
    pub const fn state_hash(&self) -> u128 {
        self.hash
    }

    fn change(&mut self, name: &str, change: Change) {
        if change == Change::Nothing {
            return;
        }
        let (before, after) = if let Some(slot) = self.slots.get_mut(name) {
            let before = hash::of_slot(name, slot);
            slot.change(change);
            (before, hash::of_slot(name, slot))
        } else {
            let slot = Slot::begin(change);
            let after = hash::of_slot(name, &slot);
            self.slots.insert(name.into(), slot);
            (0, after)
        };
        self.hash = self.hash.wrapping_sub(before).wrapping_add(after);
    }
}

impl Slot {
    fn begin(change: Change) -> Self {
        let Change::Add { cluster, replica } = change else {
            panic!("an unknown broker set begins with a replica, not with {change:?}");
        };
        Self::Known(BrokerSet::begin(cluster, replica, None))
    }

    fn change(&mut self, change: Change) {
        let set = match self {
            Self::Known(set) => set,
            Self::Cleaned(floor) => {
                let Change::Add { cluster, replica } = change else {
                    panic!("a cleaned broker set begins with a replica, not with {change:?}");
                };
                // mark: recreated_above_floor
                *self = Self::Known(BrokerSet::begin(cluster, replica, Some(*floor)));
                return;
            }
        };
        match change {
            Change::Nothing => {}
            // The cluster of a known broker set stays the one it was created with.
            Change::Add { cluster: _, replica } => set.add(replica),
            Change::MoveTo { id, address } => set.move_to(id, address),
            Change::Elect { id } => set.elect(id),
            Change::TakeMasterAway => set.take_master_away(),
            Change::ReplaceSyncStateSet { ids } => set.replace_sync_state_set(ids),
            Change::Remove { ids } => set.remove(&ids),
            Change::RemoveSet => *self = Self::Cleaned(set.bury()),
        }
    }
}

//! One broker set, and what is left of it when it is cleaned.
//!
//! The methods that change a set are called by `state.rs` only, with changes that a `decide` found
//! possible; each of them ends with the invariants asserted. The same invariants are tested, as an
//! error and not an assertion, when a snapshot is read.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crate::ids::{BrokerId, MasterEpoch, SetEpoch};
use crate::outcome::{Member, RecordedMaster};

/// One registered broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Its id.
    pub id: BrokerId,
    /// Where it was registered last. May be empty, as upstream allows.
    pub address: Box<str>,
    /// By which a repeated application for its id is known.
    pub check_code: Box<str>,
}

/// What a cleaned broker set leaves behind, so that its epochs and ids never go back.
///
/// To brokers the broker set is unknown, but for the next id. Invariant: both epochs are at least 1
/// (a clean raised them) and `next_id` is at least 2 (a broker set begins with its first broker).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstone {
    pub(crate) master_epoch: MasterEpoch,
    pub(crate) set_epoch: SetEpoch,
    pub(crate) next_id: BrokerId,
}

impl Tombstone {
    /// The master epoch with which the broker set would begin again.
    #[must_use]
    pub const fn master_epoch(&self) -> MasterEpoch {
        self.master_epoch
    }

    /// The set epoch with which the broker set would begin again.
    #[must_use]
    pub const fn set_epoch(&self) -> SetEpoch {
        self.set_epoch
    }

    /// The smallest id that was never given.
    #[must_use]
    pub const fn next_id(&self) -> BrokerId {
        self.next_id
    }

    /// Names the first invariant that does not hold.
    pub(crate) fn broken_invariant(&self) -> Option<&'static str> {
        if self.master_epoch.0 < 1 {
            return Some("the master epoch of a tombstone is 1 or more");
        }
        if self.set_epoch.0 < 1 {
            return Some("the set epoch of a tombstone is 1 or more");
        }
        (self.next_id.0 < 2).then_some("the next id of a tombstone is 2 or more")
    }
}

/// One broker set: its replicas, its master, its epochs and its sync-state set.
///
/// Invariants, asserted after every change and tested on every restore:
/// 1. Both epochs are 0 or more.
/// 2. There is a replica; ids ascend, are unique, and lie in `1..next_id`.
/// 3. The sync-state set ascends, is unique, and every member is a replica.
/// 4. The master, if there is one, is in the sync-state set.
/// 5. A broker set that was never elected has an empty sync-state set (so no master).
/// 6. A broker set that was elected has epochs of 1 or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerSet {
    pub(crate) cluster: Option<Box<str>>,
    pub(crate) master_epoch: MasterEpoch,
    pub(crate) set_epoch: SetEpoch,
    pub(crate) next_id: BrokerId,
    /// A flag of its own and not `master_epoch == 0`: a set that begins again after a clean has an
    /// epoch, but nobody in sync yet.
    pub(crate) was_elected: bool,
    pub(crate) master: Option<BrokerId>,
    pub(crate) sync_state_set: Vec<BrokerId>,
    pub(crate) replicas: Vec<Replica>,
}

impl BrokerSet {
    /// The name of the cluster, as the broker that created the set gave it.
    #[must_use]
    pub fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }

    /// The recorded master, alive or not.
    #[must_use]
    pub const fn master(&self) -> Option<BrokerId> {
        self.master
    }

    /// The registered address of the recorded master.
    #[must_use]
    pub fn master_address(&self) -> Option<&str> {
        let master = self.replica(self.master?)?;
        Some(&master.address)
    }

    /// How often the recorded master changed.
    #[must_use]
    pub const fn master_epoch(&self) -> MasterEpoch {
        self.master_epoch
    }

    /// How often the sync-state set changed.
    #[must_use]
    pub const fn set_epoch(&self) -> SetEpoch {
        self.set_epoch
    }

    /// The smallest id above all that were given.
    #[must_use]
    pub const fn next_id(&self) -> BrokerId {
        self.next_id
    }

    /// Whether it ever had a master since it was created or began again.
    #[must_use]
    pub const fn was_elected(&self) -> bool {
        self.was_elected
    }

    /// The brokers that hold every acknowledged message, ascending.
    #[must_use]
    pub fn sync_state_set(&self) -> &[BrokerId] {
        &self.sync_state_set
    }

    /// All registered brokers, ascending by id.
    #[must_use]
    pub fn replicas(&self) -> &[Replica] {
        &self.replicas
    }

    /// One registered broker.
    #[must_use]
    pub fn replica(&self, id: BrokerId) -> Option<&Replica> {
        let index = self.replicas.binary_search_by_key(&id, |replica| replica.id).ok()?;
        self.replicas.get(index)
    }

    /// Whether this broker is in the sync-state set.
    #[must_use]
    pub fn is_in_sync(&self, id: BrokerId) -> bool {
        self.sync_state_set.binary_search(&id).is_ok()
    }

    /// The recorded master and all that brokers are told of it.
    #[must_use]
    pub fn recorded_master(&self) -> Option<RecordedMaster> {
        let master = self.replica(self.master?)?;
        Some(RecordedMaster {
            id: master.id,
            address: master.address.clone(),
            master_epoch: self.master_epoch,
            set_epoch: self.set_epoch,
            sync_state_set: self.sync_state_set.clone(),
        })
    }

    /// Id and address of all registered brokers, ascending by id.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        let member =
            |replica: &Replica| Member { id: replica.id, address: replica.address.clone() };
        self.replicas.iter().map(member).collect()
    }

    /// A broker set with its first replica, above the epochs of `floor` if it was there before.
    pub(crate) fn begin(
        cluster: Option<Box<str>>,
        replica: Replica,
        floor: Option<Tombstone>,
    ) -> Self {
        let mut set = Self {
            cluster,
            master_epoch: floor.map_or(MasterEpoch(0), |floor| floor.master_epoch),
            set_epoch: floor.map_or(SetEpoch(0), |floor| floor.set_epoch),
            next_id: floor.map_or(BrokerId::FIRST, |floor| floor.next_id),
            was_elected: false,
            master: None,
            sync_state_set: Vec::new(),
            replicas: Vec::new(),
        };
        set.add(replica);
        set
    }

    /// Adds a replica with an id of at least `next_id`.
    pub(crate) fn add(&mut self, replica: Replica) {
        assert!(
            replica.id >= self.next_id,
            "id {} was given: next is {}",
            replica.id,
            self.next_id
        );
        assert!(replica.id <= BrokerId::MAX, "id {} has no next id", replica.id);
        self.next_id = BrokerId(replica.id.0.saturating_add(1));
        self.replicas.push(replica);
        self.assert_invariants();
    }

    /// Stores a new address of a replica.
    pub(crate) fn move_to(&mut self, id: BrokerId, address: Box<str>) {
        let index = self.replicas.binary_search_by_key(&id, |replica| replica.id);
        let replica = index.ok().and_then(|index| self.replicas.get_mut(index));
        replica.expect("an address changes only for a registered id").address = address;
    }

    /// Makes a replica master, alone in its sync-state set.
    pub(crate) fn elect(&mut self, id: BrokerId) {
        assert!(self.master != Some(id), "broker {id} is master already");
        self.raise_master_epoch();
        self.raise_set_epoch();
        self.was_elected = true;
        self.master = Some(id);
        self.sync_state_set = vec![id];
        self.assert_invariants();
    }

    /// Takes the recorded master away; the sync-state set stays, for a later election.
    pub(crate) fn take_master_away(&mut self) {
        assert!(self.master.is_some(), "there is a master to take away");
        self.raise_master_epoch();
        self.master = None;
        self.assert_invariants();
    }

    /// Replaces the sync-state set.
    pub(crate) fn replace_sync_state_set(&mut self, ids: Vec<BrokerId>) {
        assert!(ids != self.sync_state_set, "an equal sync-state set is no change");
        self.raise_set_epoch();
        self.sync_state_set = ids;
        self.assert_invariants();
    }

    /// Removes some replicas, not all; a master among them is one no longer.
    pub(crate) fn remove(&mut self, ids: &[BrokerId]) {
        let is_removed = |id: BrokerId| ids.binary_search(&id).is_ok();
        self.replicas.retain(|replica| !is_removed(replica.id));
        let in_sync_count = self.sync_state_set.len();
        self.sync_state_set.retain(|id| !is_removed(*id));
        if self.sync_state_set.len() != in_sync_count {
            self.raise_set_epoch();
        }
        if self.master.is_some_and(is_removed) {
            self.raise_master_epoch();
            self.master = None;
        }
        self.assert_invariants();
    }

    /// What is left when the whole broker set is removed.
    pub(crate) fn bury(&self) -> Tombstone {
        let tombstone = Tombstone {
            master_epoch: self.master_epoch.next().expect("decide found the master epoch raisable"),
            set_epoch: self.set_epoch.next().expect("decide found the set epoch raisable"),
            next_id: self.next_id,
        };
        assert_eq!(tombstone.broken_invariant(), None, "{tombstone:?}");
        tombstone
    }

    /// Names the first invariant that does not hold.
    pub(crate) fn broken_invariant(&self) -> Option<&'static str> {
        if self.master_epoch.0 < 0 || self.set_epoch.0 < 0 {
            return Some("1: an epoch is negative");
        }
        if self.replicas.first().is_none_or(|first| first.id < BrokerId::FIRST) {
            return Some("2: no replica, or an id below 1");
        }
        if !self.replicas.is_sorted_by(|left, right| left.id < right.id) {
            return Some("2: ids of replicas do not ascend");
        }
        if self.replicas.last().is_some_and(|last| last.id >= self.next_id) {
            return Some("2: an id is not below the next id");
        }
        if !self.sync_state_set.is_sorted_by(|left, right| left < right) {
            return Some("3: the sync-state set does not ascend");
        }
        if self.sync_state_set.iter().any(|id| self.replica(*id).is_none()) {
            return Some("3: a member of the sync-state set is not a replica");
        }
        if self.master.is_some_and(|master| !self.is_in_sync(master)) {
            return Some("4: the master is not in the sync-state set");
        }
        if !self.was_elected && !self.sync_state_set.is_empty() {
            return Some("5: never elected, but somebody is in sync");
        }
        let epochs_begun = self.master_epoch.0 >= 1 && self.set_epoch.0 >= 1;
        (self.was_elected && !epochs_begun).then_some("6: elected, but an epoch is 0")
    }

    fn raise_master_epoch(&mut self) {
        let next = self.master_epoch.next();
        self.master_epoch = next.expect("decide found the master epoch raisable");
    }

    fn raise_set_epoch(&mut self) {
        self.set_epoch = self.set_epoch.next().expect("decide found the set epoch raisable");
    }

    fn assert_invariants(&self) {
        assert_eq!(self.broken_invariant(), None, "{self:?}");
    }
}

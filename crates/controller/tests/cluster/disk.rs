//! What a peer's disk holds, and what is on its way there: one stream, in order, as the journal writes it.
//!
//! Asserts on every write what must hold of a disk: R5 (one vote per term) and R7 (terms and commit never fall).

use bytes::Bytes;
use consensus::{Entry, HardState, LogIndex, Membership, PeerId, Persist, Restored};
use controller::{Founding, SnapshotDescriptor, Start};
use std::collections::VecDeque;

/// One order to the disk.
#[derive(Debug, Clone)]
pub(crate) enum Order {
    Persist(Persist),
    Identity(Founding, Vec<PeerId>, PeerId),
    Snapshot(SnapshotDescriptor, Bytes),
}

/// A disk; what is in `orders` is not durable yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    pub(crate) identity: Option<(Founding, Vec<PeerId>, PeerId)>,
    hard_state: HardState,
    snapshot: Option<(SnapshotDescriptor, Bytes)>,
    /// Fetched from the leader, but the log does not build on it yet.
    fetched: Option<(SnapshotDescriptor, Bytes)>,
    /// After the snapshot, without gap.
    pub(crate) entries: VecDeque<Entry>,
    pub(crate) orders: VecDeque<Order>,
    /// Snapshots cannot be saved.
    pub(crate) is_full: bool,
    /// Snapshots that it had no room for.
    pub(crate) refused: u64,
}

impl Disk {
    /// What a process finds that starts now.
    pub(crate) fn start(&self) -> Start {
        let Some((state, voters, _)) = &self.identity else { return Start::Empty };
        if *state == Founding::Founding {
            return Start::Founding;
        }
        let membership = self.snapshot.as_ref().map_or_else(
            || Membership::of_voters(voters.iter().copied()),
            |(descriptor, _)| descriptor.membership.clone(),
        );
        Start::Founded {
            restored: Restored {
                hard_state: self.hard_state,
                membership,
                snapshot: self.snapshot.as_ref().map(|(descriptor, _)| descriptor.clone()),
                entries: self.entries.iter().cloned().collect(),
            },
            snapshot: self.snapshot.as_ref().map(|(_, bytes)| bytes.clone()),
        }
    }

    /// An entry that is durable here, unless a snapshot covers it.
    pub(crate) fn entry(&self, index: u64) -> Option<&Entry> {
        let offset = index.checked_sub(self.base().0 + 1)?;
        self.entries.get(usize::try_from(offset).unwrap())
    }

    pub(crate) fn snapshot_index(&self) -> u64 {
        self.base().0
    }

    fn base(&self) -> LogIndex {
        self.snapshot.as_ref().map_or(LogIndex(0), |(snapshot, _)| snapshot.index)
    }

    fn last(&self) -> LogIndex {
        self.entries.back().map_or(self.base(), |entry| entry.index)
    }

    /// Carries out the oldest order, which is durable then.
    pub(crate) fn write_next(&mut self) -> Option<Order> {
        let order = self.orders.pop_front()?;
        match &order {
            Order::Persist(group) => self.write(group),
            Order::Identity(state, voters, member) => {
                let old = self.identity.as_ref().map(|(state, _, _)| *state);
                assert!(old < Some(*state), "an identity goes back: {old:?} -> {state:?}");
                self.identity = Some((*state, voters.clone(), *member));
            }
            Order::Snapshot(..) if self.is_full => self.refused += 1,
            Order::Snapshot(descriptor, bytes) => {
                let snapshot = Some((descriptor.clone(), bytes.clone()));
                let held = self.entry(descriptor.index.0).map(|entry| entry.term);
                if descriptor.index > self.base() && held != Some(descriptor.term) {
                    self.fetched = snapshot;
                } else if descriptor.index > self.base() {
                    self.entries.retain(|entry| entry.index > descriptor.index);
                    self.snapshot = snapshot;
                }
            }
        }
        Some(order)
    }

    fn write(&mut self, group: &Persist) {
        if let Some(descriptor) = &group.snapshot {
            let fetched = self.fetched.take().filter(|(fetched, _)| fetched == descriptor);
            if descriptor.index > self.base() {
                self.snapshot = Some(fetched.expect("S5: an installed snapshot is durable first"));
            }
            self.entries.clear();
        }
        if let Some(first) = group.entries.first() {
            while self.entries.back().is_some_and(|entry| entry.index >= first.index) {
                self.entries.pop_back();
            }
            assert_eq!(first.index.0, self.last().0 + 1, "a group leaves a gap");
            self.entries.extend(group.entries.iter().cloned());
        }
        if let Some(new) = group.hard_state {
            let old = self.hard_state;
            assert!(new.term >= old.term && new.commit >= old.commit, "R7: {old:?} -> {new:?}");
            let is_same_vote = old.vote.is_none() || old.vote == new.vote || new.term > old.term;
            assert!(is_same_vote, "R5: a vote changed: {old:?} -> {new:?}");
            self.hard_state = new;
        }
        let commit = self.hard_state.commit;
        assert!(commit <= self.last(), "R7: commit {commit}, last {}", self.last());
    }
}

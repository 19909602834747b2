//! What one peer would find after a power cut: groups are durable one by one, in order.

use consensus::{
    Entry, HardState, LogIndex, Membership, Persist, Restored, SnapshotDescriptor, Term,
};

#[derive(Clone, Debug)]
pub(crate) struct Disk {
    pub(crate) hard_state: HardState,
    pub(crate) membership: Membership,
    pub(crate) snapshot: Option<SnapshotDescriptor>,
    pub(crate) entries: Vec<Entry>,
}

impl Disk {
    pub(crate) fn new(membership: Membership) -> Self {
        let hard_state = HardState::default();
        Self { hard_state, membership, snapshot: None, entries: Vec::new() }
    }

    pub(crate) fn restored(&self) -> Restored {
        Restored {
            hard_state: self.hard_state,
            membership: self.membership.clone(),
            snapshot: self.snapshot.clone(),
            entries: self.entries.clone(),
        }
    }

    pub(crate) fn base(&self) -> LogIndex {
        self.snapshot.as_ref().map_or(LogIndex(0), |snapshot| snapshot.index)
    }

    pub(crate) fn last(&self) -> LogIndex {
        self.entries.last().map_or(self.base(), |entry| entry.index)
    }

    pub(crate) fn entry(&self, index: LogIndex) -> Option<&Entry> {
        let offset = index.0.checked_sub(self.base().0 + 1)?;
        self.entries.get(usize::try_from(offset).unwrap())
    }

    /// Whether the entry is here, or a snapshot covers it.
    pub(crate) fn holds(&self, index: LogIndex, term: Term) -> bool {
        index <= self.base() || self.entry(index).is_some_and(|entry| entry.term == term)
    }

    pub(crate) fn write(&mut self, group: &Persist) {
        if let Some(descriptor) = &group.snapshot {
            self.membership = descriptor.membership.clone();
            self.snapshot = Some(descriptor.clone());
            self.entries.clear();
        }
        if let Some(first) = group.entries.first() {
            let kept = first.index.0 - self.base().0 - 1;
            self.entries.truncate(usize::try_from(kept).unwrap());
            assert_eq!(first.index.0, self.last().0 + 1, "a group leaves a gap");
            self.entries.extend(group.entries.iter().cloned());
        }
        if let Some(new) = group.hard_state {
            let old = self.hard_state;
            assert!(new.term >= old.term && new.commit >= old.commit, "R7: {old:?} -> {new:?}");
            let same_vote = old.vote.is_none() || old.vote == new.vote || new.term > old.term;
            assert!(same_vote, "R5: a vote changed: {old:?} -> {new:?}");
            self.hard_state = new;
        }
        let commit = self.hard_state.commit;
        assert!(commit <= self.last(), "R7: commit {commit}, last {}", self.last());
    }

    /// A snapshot of the own state.
    pub(crate) fn save(&mut self, descriptor: SnapshotDescriptor) {
        self.entries.retain(|entry| entry.index > descriptor.index);
        self.membership = descriptor.membership.clone();
        self.snapshot = Some(descriptor);
    }
}

//! What is with the journal, and what waits for it (D2-D4).
//!
//! Every Ready of the engine makes one group here, in order. A group that has nothing to write is
//! done when all before it are (D3), and rides along.

use crate::SnapshotDescriptor;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use raft::eraftpb::Message as EngineMessage;

/// What is left of one Ready until it is durable.
#[derive(Debug)]
pub(crate) struct Group {
    /// The engine's number of the Ready.
    pub(crate) number: u64,
    /// It is with the journal; a group that only moved the commit index is not.
    pub(crate) is_writing: bool,
    /// It carries a new term or vote: no message of a later Ready may overtake it (D4).
    pub(crate) has_vote: bool,
    /// Leave when it is durable.
    pub(crate) messages: Vec<EngineMessage>,
    /// Is installed when it is durable.
    pub(crate) snapshot: Option<SnapshotDescriptor>,
}

/// Groups in order; the first one is always with the journal, or done.
#[derive(Debug, Default)]
pub(crate) struct Groups(VecDeque<Group>);

impl Groups {
    pub(crate) fn push(&mut self, group: Group) {
        let last = self.0.back().map_or(0, |group| group.number);
        assert!(last < group.number, "Ready {} comes after {last}", group.number);
        self.0.push_back(group);
    }

    /// Everything up to this number is durable.
    pub(crate) fn persisted(&mut self, number: u64) {
        let is_durable = |group: &&mut Group| group.number <= number;
        self.0.iter_mut().take_while(is_durable).for_each(|group| group.is_writing = false);
    }

    /// The next group in order that is done.
    pub(crate) fn pop_done(&mut self) -> Option<Group> {
        self.0.pop_front_if(|group| !group.is_writing)
    }

    pub(crate) fn is_writing(&self) -> bool {
        self.0.iter().any(|group| group.is_writing)
    }

    pub(crate) fn has_vote(&self) -> bool {
        self.0.iter().any(|group| group.has_vote)
    }

    pub(crate) fn is_installing(&self) -> bool {
        self.0.iter().any(|group| group.snapshot.is_some())
    }
}

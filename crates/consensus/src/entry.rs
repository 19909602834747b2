//! Entries, hard state, and what goes to and comes from the journal.

use crate::{LogIndex, Membership, PeerId, SnapshotDescriptor, Term};
use alloc::vec::Vec;
use bytes::Bytes;

/// What an entry carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Nothing: the first entry of a leader.
    Empty,
    /// A frame of commands: `[u32 length, command]*`, little endian.
    Commands,
    /// A change of membership.
    Membership,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The term of the leader that made it.
    pub term: Term,
    /// Its position.
    pub index: LogIndex,
    /// What `bytes` are.
    pub kind: EntryKind,
    /// The payload; empty for [`EntryKind::Empty`] only.
    pub bytes: Bytes,
}

/// What a peer must never forget, besides its log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// The newest term seen.
    pub term: Term,
    /// Who got the vote of `term`.
    pub vote: Option<PeerId>,
    /// The newest entry known to be committed.
    pub commit: LogIndex,
}

/// One atomic group for the journal: all of it is durable, or nothing.
///
/// Groups are written in the order in which they come; numbers never fall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persist {
    /// To be handed to [`crate::Driver::persisted`] when durable.
    pub number: u64,
    /// The new hard state, if it changed.
    pub hard_state: Option<HardState>,
    /// New entries; what the old log holds from the first one's index on is cut.
    pub entries: Vec<Entry>,
    /// An installed snapshot: the whole log before `entries` is cut. Its file is already durable.
    pub snapshot: Option<SnapshotDescriptor>,
    /// False when only the commit index moved, which may be written without a sync.
    pub must_sync: bool,
}

/// What the journal found at start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// The newest durable hard state; the default for a new peer.
    pub hard_state: HardState,
    /// The membership at `snapshot`, or the founding one where there is no snapshot.
    pub membership: Membership,
    /// The snapshot that the state machine was loaded from.
    pub snapshot: Option<SnapshotDescriptor>,
    /// The log after the snapshot, without gap.
    pub entries: Vec<Entry>,
}

//! One peer.

use crate::{
    Barrier, Effect, LogIndex, Membership, Message, PeerId, Restored, Role, Settings,
    SnapshotDescriptor, Term, Ticket,
};
use alloc::vec::Vec;
use bytes::Bytes;

/// Why a driver cannot start from what was restored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// A setting out of range.
    #[error("{setting} is {value}, which is out of range")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// Its value.
        value: u64,
    },
    /// The membership is joint or not sound.
    #[error("the restored membership is joint or not sound")]
    Membership,
    /// The log does not continue the snapshot, has a gap, or a term that falls or exceeds the hard state's.
    #[error("the restored log does not fit at entry {index}")]
    Log {
        /// The first entry that does not fit.
        index: LogIndex,
    },
    /// The hard state's commit lies beyond the log.
    #[error("commit {commit} lies beyond the last entry {last}")]
    Commit {
        /// The hard state's commit.
        commit: LogIndex,
        /// The last entry.
        last: LogIndex,
    },
}

/// Why a command was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// This peer does not lead.
    #[error("this peer does not lead")]
    NotLeader {
        /// Who does, if known.
        leader: Option<PeerId>,
    },
    /// The queue is full: PROPOSALS_WAITING_MAX or PROPOSALS_WAITING_BYTES_MAX.
    #[error("the queue is full: PROPOSALS_WAITING_MAX or PROPOSALS_WAITING_BYTES_MAX")]
    Busy,
    /// The command is above COMMAND_BYTES_MAX, or empty.
    #[error("a command of {bytes} bytes: it must have 1 to COMMAND_BYTES_MAX")]
    Size {
        /// Its size.
        bytes: usize,
    },
}

/// Why no barrier can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// No leader is known.
    #[error("no leader is known")]
    NoLeader,
    /// READ_WAITERS_MAX readers wait already.
    #[error("READ_WAITERS_MAX readers wait already")]
    Busy,
    /// This peer lost data and serves nothing any more.
    #[error("this peer lost data and serves nothing any more")]
    DataLost,
}

/// Why a message was not stepped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Names another sender or receiver than its link.
    #[error("names another sender or receiver than its link")]
    Address,
}

/// How far a peer is, as the leader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerProgress {
    /// Who.
    pub peer: PeerId,
    /// Its log matches the leader's up to here.
    pub matched: LogIndex,
    /// It waits for a snapshot.
    pub in_snapshot: bool,
    /// It answered within the last two keepalives.
    pub is_recent: bool,
}

/// One peer of the cluster.
#[derive(Debug)]
pub struct Driver {
    settings: Settings,
}

#[expect(missing_docs, clippy::todo, clippy::missing_errors_doc, clippy::needless_pass_by_value, reason = "signatures first")]
impl Driver {
    pub fn new(settings: Settings, restored: Restored) -> Result<Self, StartError> { todo!("{settings:?}{restored:?}") }
    pub fn propose(&mut self, command: Bytes) -> Result<Ticket, ProposeError> { todo!("{command:?}") }
    pub fn read_barrier(&mut self) -> Result<Barrier, Unavailable> { todo!() }
    pub fn step(&mut self, from: PeerId, link_nonce: u64, message: Message) -> Result<(), Refused> { todo!("{from}{link_nonce}{message:?}") }
    pub fn persisted(&mut self, number: u64) { todo!("{number}") }
    pub fn tick(&mut self) { todo!() }
    pub fn unreachable(&mut self, peer: PeerId) { todo!("{peer}") }
    pub fn snapshot_reported(&mut self, peer: PeerId, ok: bool) { todo!("{peer}{ok}") }
    pub fn snapshot_fetched(&mut self, descriptor: &SnapshotDescriptor, ok: bool) { todo!("{descriptor:?}{ok}") }
    pub fn snapshot_taken(&mut self, descriptor: SnapshotDescriptor) { todo!("{descriptor:?}") }
    pub fn campaign_now(&mut self) { todo!() }
    pub fn transfer_to(&mut self, peer: PeerId) { todo!("{peer}") }
    pub fn best_transfer_target(&self) -> Option<PeerId> { todo!() }
    pub fn end_of_turn(&mut self, effects: &mut Vec<Effect>) { todo!("{effects:?}") }
    pub fn me(&self) -> PeerId { self.settings.me }
    pub fn role(&self) -> Role { todo!() }
    pub fn term(&self) -> Term { todo!() }
    pub fn leader(&self) -> Option<PeerId> { todo!() }
    /// Whom this peer voted for in this term.
    pub fn vote(&self) -> Option<PeerId> { todo!() }
    pub fn is_leader_ready(&self) -> bool { todo!() }
    pub fn is_transferring(&self) -> bool { todo!() }
    /// D21: it neither votes nor serves any more.
    pub fn has_lost_data(&self) -> bool { todo!() }
    pub fn commit(&self) -> LogIndex { todo!() }
    pub fn applied(&self) -> LogIndex { todo!() }
    pub fn applied_term(&self) -> Term { todo!() }
    pub fn last_index(&self) -> LogIndex { todo!() }
    pub fn membership(&self) -> &Membership { todo!() }
    /// Bytes and entries of commands since the last snapshot, for S8.
    pub fn log_bytes(&self) -> u64 { todo!() }
    pub fn snapshot(&self) -> Option<&SnapshotDescriptor> { todo!() }
    pub fn peers(&self) -> Vec<PeerProgress> { todo!() }
}

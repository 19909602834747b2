//! What must happen because of a turn.

use crate::{Barrier, LogIndex, Message, Note, PeerId, Persist, SnapshotDescriptor, Term, Ticket};
use alloc::vec::Vec;
use bytes::Bytes;

/// One thing that must happen; a turn's effects are carried out in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send this now. It promises nothing that is not durable here.
    Send {
        /// Whom to.
        to: PeerId,
        /// What.
        message: Message,
    },
    /// Hand this to the journal; report [`crate::Driver::persisted`] when durable.
    Persist(Persist),
    /// Apply this entry. Entries come in order, each exactly once, also those without commands.
    Committed {
        /// The term of the entry.
        term: Term,
        /// Its index; everything before it came earlier.
        index: LogIndex,
        /// Its commands, in order; none for an empty entry.
        commands: Vec<CommittedCommand>,
    },
    /// This command ends without an outcome.
    Lost {
        /// Which one.
        ticket: Ticket,
        /// What may be said about it.
        why: Lost,
    },
    /// Every read of this batch may be answered from the state as it is now.
    Readable {
        /// The batch.
        barrier: Barrier,
    },
    /// No read of this batch may be answered.
    BarrierFailed {
        /// The batch.
        barrier: Barrier,
        /// Why.
        why: BarrierLoss,
    },
    /// A snapshot is needed: fetch its file, make it durable, then call
    /// [`crate::Driver::snapshot_fetched`]. A newer one replaces an older that is still fetched.
    FetchSnapshot {
        /// Who offers it.
        from: PeerId,
        /// Which.
        descriptor: SnapshotDescriptor,
    },
    /// Replace the state by this fetched snapshot, now: entries that follow build on it.
    InstallSnapshot {
        /// Which.
        descriptor: SnapshotDescriptor,
    },
    /// Something worth a log line or a counter.
    Note(Note),
}

/// A command of a committed entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedCommand {
    /// The command as it was proposed.
    pub bytes: Bytes,
    /// Set if it was proposed here, in the very term of its entry.
    pub ticket: Option<Ticket>,
}

/// How a ticket ended that has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It never entered a log: it has no effect and never will have.
    NotProposed,
    /// It may or may not take effect.
    Unknown,
}

/// Why a batch of reads failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarrierLoss {
    /// The term, this peer's role or the leader changed (D9).
    LeaderChanged,
    /// No answer within [`crate::settings::READ_BATCH_TICKS_MAX`].
    TimedOut,
    /// This peer lost data and serves nothing any more (D21).
    DataLost,
}

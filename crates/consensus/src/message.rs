//! Messages between peers.

mod codec;
#[cfg(test)]
mod tests;

pub use codec::{ENTRY_BYTES_MAX, MESSAGE_BYTES_MAX};

use crate::{Entry, LogIndex, PeerId, SnapshotDescriptor, Term};
use alloc::vec::Vec;

/// What tells one read round from every other that ever was (D12): 24 bytes on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadContext {
    /// Who asks.
    pub peer: PeerId,
    /// The random number of that peer's present start.
    pub boot_nonce: u64,
    /// Counts that peer's rounds since its start, from 1.
    pub sequence: u64,
}

/// One message from one peer to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who sends it.
    pub from: PeerId,
    /// Whom it is for.
    pub to: PeerId,
    /// The sender's term, or the term it campaigns for; 0 in a [`Content::ReadIndex`] only.
    pub term: Term,
    /// What it says.
    pub content: Content,
}

/// What a message says; these kinds and no other travel between peers (D20).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Entries to append after (`index`, `log_term`).
    Append {
        /// The entry before the first of `entries`.
        index: LogIndex,
        /// Its term.
        log_term: Term,
        /// The leader's commit.
        commit: LogIndex,
        /// The entries, without gap.
        entries: Vec<Entry>,
    },
    /// The answer to an append or a snapshot.
    AppendAnswer {
        /// The last entry that matches, or the refused `index`.
        index: LogIndex,
        /// The append did not fit.
        reject: bool,
        /// Where the logs may agree, if refused.
        reject_hint: LogIndex,
        /// The term at `reject_hint`.
        log_term: Term,
        /// The follower's commit.
        commit: LogIndex,
        /// The follower asks for a snapshot that reaches this index; 0 if not.
        request_snapshot: LogIndex,
    },
    /// Asks for a vote, or whether a campaign would be welcome.
    Vote {
        /// A question only: nobody's vote or term changes.
        is_pre: bool,
        /// The candidate's last entry.
        index: LogIndex,
        /// Its term.
        log_term: Term,
        /// The candidate's commit.
        commit: LogIndex,
        /// The term at `commit`.
        commit_term: Term,
        /// The candidate's priority.
        priority: i64,
        /// The leader asked for this campaign: leases do not count.
        is_transfer: bool,
    },
    /// The answer to a [`Content::Vote`].
    VoteAnswer {
        /// It answers a pre-vote.
        is_pre: bool,
        /// Refused.
        reject: bool,
        /// The voter's commit, if refused.
        commit: LogIndex,
        /// The term at `commit`.
        commit_term: Term,
    },
    /// The leader lives.
    Keepalive {
        /// At most what this follower acknowledged.
        commit: LogIndex,
        /// The read round that it confirms, if any.
        context: Option<ReadContext>,
    },
    /// The answer to a keepalive.
    KeepaliveAnswer {
        /// The follower's commit.
        commit: LogIndex,
        /// The context of the keepalive.
        context: Option<ReadContext>,
    },
    /// The entries that are needed are gone: fetch this snapshot.
    Snapshot {
        /// Which.
        descriptor: SnapshotDescriptor,
    },
    /// Campaign at once: leadership is handed over.
    TimeoutNow,
    /// Which commit index must a read wait for?
    ReadIndex {
        /// Never used twice.
        context: ReadContext,
    },
    /// This one.
    ReadIndexAnswer {
        /// The commit index.
        index: LogIndex,
        /// The context of the question.
        context: ReadContext,
    },
}

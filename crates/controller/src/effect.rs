//! What a controller wants done. Effects are carried out in the order in which they come.

use crate::event::{AttemptId, Caller};
use crate::instant::Instant;
use crate::peer::PeerMessage;
use alloc::boxed::Box;
use alloc::vec::Vec;
use bytes::Bytes;
use consensus::{PeerId, Persist, SnapshotDescriptor};
use protocol::{Response, RoleNotice};

/// How far a controller has come in joining its cluster for the first time (rule M5 of CONSENSUS).
#[expect(clippy::enum_variant_names, reason = "rule M5 calls the state in the middle so")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Founding {
    /// Nothing is on disk: the peer is new, or was wiped.
    Empty,
    /// All configured peers were seen empty or founding; recorded on disk.
    Founding,
    /// The configured peers are the first voters; recorded on disk.
    Founded,
}

/// How an election ended. Source: the label `election_result` of upstream's `election_total`.
#[expect(clippy::enum_variant_names, reason = "they say what became of the master")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElectionResult {
    /// Another broker is master now.
    NewMaster,
    /// The recorded master stays.
    KeptMaster,
    /// Nobody could be elected.
    NoMaster,
}

/// Who wanted an election.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElectionReason {
    /// A broker, for itself.
    Broker,
    /// An operator, for a broker of his choice.
    Operator,
    /// The controller, since the recorded master is dead.
    MasterLost,
}

/// Why a broker is taken for dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeathReason {
    /// It was not heard within its time-out.
    Deadline,
    /// Its connection closed and its own address refused a connection.
    Refused,
}

/// Something an operator or a metric wants to know. The core neither logs nor counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The consensus driver reports.
    Consensus(consensus::Note),
    /// This peer waits for these peers before it can found the cluster.
    WaitsFor(Vec<PeerId>),
    /// This peer's disk is empty but the cluster was founded: it was wiped. It takes part again under a new id, when the
    /// leader has taken it back (rule M4).
    Wiped {
        /// The new id.
        member: PeerId,
    },
    /// The first start is complete.
    Founded,
    /// A broker was heard for the first time, or again after its death.
    BrokerAlive {
        /// Cluster, as the broker names it.
        cluster: Box<str>,
        /// Broker set.
        set: Box<str>,
        /// Controller id of the broker.
        id: i64,
    },
    /// A broker is dead.
    BrokerDead {
        /// Cluster, as the broker named it.
        cluster: Box<str>,
        /// Broker set.
        set: Box<str>,
        /// Controller id of the broker.
        id: i64,
        /// Why.
        reason: DeathReason,
    },
    /// An election was decided; said by the peer that proposed it.
    Election {
        /// Cluster named in the request, empty for elections of the controller's own.
        cluster: Box<str>,
        /// Broker set.
        set: Box<str>,
        /// The master afterwards, if there is one.
        master: Option<i64>,
        /// How it ended.
        result: ElectionResult,
        /// Who wanted it.
        reason: ElectionReason,
    },
    /// A proposal ended: `is_committed` or without a known outcome. `micros` since it was proposed.
    Proposal {
        /// Microseconds from when the request was read until it was proposed, if a client of this process asked; its
        /// answer is the next [`Effect::Reply`].
        waited_micros: Option<u64>,
        /// Whether the command was applied.
        is_committed: bool,
        /// Microseconds from proposal to end.
        micros: u64,
    },
    /// An entry could not be decoded by this version. It changes nothing; peers of equal version agree on that.
    UnknownCommand {
        /// Log index of the entry.
        index: u64,
    },
    /// This peer leads and its disk stands still: it hands over (rule M8).
    DiskStalled {
        /// To whom.
        target: PeerId,
    },
    /// A limit was met and something refused; the text is the constant's name.
    Refused(&'static str),
}

/// Something a controller wants done.
#[derive(Debug)]
pub enum Effect {
    /// Answers a request. Nothing is to be sent if the caller is one-way.
    Reply {
        /// Whom to answer.
        caller: Caller,
        /// The answer.
        response: Response,
    },
    /// Sends a message to a peer, in order, at most once; dropped if the link is down.
    Send {
        /// To whom.
        peer: PeerId,
        /// What.
        message: PeerMessage,
    },
    /// Makes log entries and hard state durable, then says [`crate::Event::Persisted`].
    Persist(Persist),
    /// Makes the identity record durable, then says [`crate::Event::IdentityWritten`].
    WriteIdentity {
        /// Never [`Founding::Empty`].
        state: Founding,
        /// The first voters of the cluster, by ascending id.
        voters: Vec<PeerId>,
        /// This peer's own id in the consensus group.
        member: PeerId,
    },
    /// Makes a snapshot durable, then says [`crate::Event::SnapshotSaved`].
    SaveSnapshot {
        /// What it is.
        descriptor: SnapshotDescriptor,
        /// Its bytes.
        bytes: Bytes,
    },
    /// Sends a role notice (1008) to a broker and waits for its answer, then says [`crate::Event::Noticed`].
    Notify {
        /// The attempt.
        attempt: AttemptId,
        /// Where the broker listens.
        address: Box<str>,
        /// What to tell it.
        notice: RoleNotice,
    },
    /// Connects to a broker's own address, sends nothing, closes, then says [`crate::Event::Probed`].
    Probe {
        /// The attempt.
        attempt: AttemptId,
        /// Where the broker listens.
        address: Box<str>,
    },
    /// Wakes the core at this moment by [`crate::Event::Wake`]; replaces the earlier wish.
    WakeAt(Instant),
    /// Tells the log and the metrics.
    Note(Note),
    /// The process starts anew from what is on its disk: it is another member now.
    Restart,
    /// Leadership was handed over, or could not be in time: the process may stop.
    Stopped,
}

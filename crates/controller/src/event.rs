//! What can happen to a controller: everything that enters by [`crate::Controller::handle`].

use crate::instant::Instant;
use crate::order::ElectionOrder;
use crate::peer::PeerMessage;
use crate::settings::LiveSettings;
use bytes::Bytes;
use consensus::{PeerId, SnapshotDescriptor};
use protocol::{HeaderEncoding, Request, Text};

/// A connection to this process, numbered by the server in the order in which connections were accepted.
///
/// A number is never used again, so of two connections of one broker the larger one is the newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// Whom an answer goes to, and how it is written. The core hands it back as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The connection on which the request came.
    pub connection: ConnectionId,
    /// The request's correlation id.
    pub opaque: i32,
    /// The encoding of the request's header, which the answer mirrors.
    pub encoding: HeaderEncoding,
    /// The caller wants no answer, not even an error.
    pub is_one_way: bool,
    /// The request code, for the metrics.
    pub code: i32,
    /// When the request was read.
    pub received: Instant,
}

/// A question about this controller, asked by our own tools with a private request code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inspect {
    /// This peer's view of the cluster.
    Status,
    /// One broker set and why it is as it is, read through a barrier.
    Describe {
        /// Name of the broker set.
        set: Text,
    },
}

/// How an attempt to connect to a broker's own address ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeResult {
    /// Something listens there.
    Accepted,
    /// The host answers that nothing listens there.
    Refused,
    /// No answer in time, or the address makes no sense.
    NoAnswer,
}

/// How a notice to a broker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeResult {
    /// The broker answered.
    Acknowledged,
    /// It could not be reached, or did not answer in time.
    Failed,
}

/// Names one attempt that the core asked the server to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AttemptId(pub u64);

/// Everything that can happen to a controller.
#[derive(Debug)]
pub enum Event {
    /// A request of a broker or a tool. `frame` is the whole request as it came, kept for forwarding.
    Request {
        /// Whom to answer.
        caller: Caller,
        /// What is asked.
        request: Request,
        /// The bytes it was decoded from.
        frame: Bytes,
    },
    /// A question of our own tools.
    Inspect {
        /// Whom to answer.
        caller: Caller,
        /// What is asked.
        question: Inspect,
    },
    /// An operator orders an election. `frame` is the whole request as it came, kept for forwarding.
    Order {
        /// Whom to answer.
        caller: Caller,
        /// What is ordered.
        order: ElectionOrder,
        /// The bytes it was decoded from.
        frame: Bytes,
    },
    /// A client connection was closed, by whichever end. It may overtake the last requests of the connection.
    ConnectionClosed {
        /// The connection.
        connection: ConnectionId,
    },
    /// A link *from* the member `peer` is up; it replaces any older one. `nonce` is the boot nonce of its hello.
    PeerUp {
        /// The peer at the other end.
        peer: PeerId,
        /// Drawn by the peer when its process started.
        nonce: u64,
    },
    /// The link *to* the member `peer`, who answered at its seat's address, is up: what is sent now can arrive.
    PeerReachable {
        /// The peer at the other end.
        peer: PeerId,
    },
    /// The link *to* `peer` is gone, and `is_refused` says whether its address refuses connections: the process
    /// is dead. Said again at each failed attempt to connect.
    PeerUnreachable {
        /// The peer at the other end.
        peer: PeerId,
        /// Whether its address refused a connection.
        is_refused: bool,
    },
    /// A message of `peer` over its newest link.
    Peer {
        /// Who sent it.
        peer: PeerId,
        /// The message, decoded.
        message: PeerMessage,
    },
    /// The write with this number is durable.
    Persisted {
        /// The number of [`crate::Effect::Persist`].
        number: u64,
    },
    /// The identity record of [`crate::Effect::WriteIdentity`] is durable.
    IdentityWritten,
    /// The snapshot of [`crate::Effect::SaveSnapshot`] is durable.
    SnapshotSaved {
        /// Its descriptor.
        descriptor: SnapshotDescriptor,
    },
    /// The snapshot of [`crate::Effect::SaveSnapshot`] could not be saved: the disk is full.
    SnapshotFailed {
        /// Its descriptor.
        descriptor: SnapshotDescriptor,
    },
    /// A connection attempt to a broker's address has ended.
    Probed {
        /// The attempt.
        attempt: AttemptId,
        /// How it ended.
        result: ProbeResult,
    },
    /// A notice to a broker has ended.
    Noticed {
        /// The attempt.
        attempt: AttemptId,
        /// How it ended.
        result: NoticeResult,
    },
    /// The disk fell behind with what it was told to make durable, or has caught up.
    DiskBehind(bool),
    /// Settings that may change while running have changed.
    Configured(LiveSettings),
    /// The moment of [`crate::Effect::WakeAt`] has come.
    Wake,
    /// The process was asked to stop: leadership is handed over, then [`crate::Effect::Stopped`] comes.
    Stop,
    /// What was waiting has been handed in: proposals are framed, the engine runs, effects come out.
    EndOfTurn,
}

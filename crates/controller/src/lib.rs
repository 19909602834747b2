//! A whole controller node without IO.
//!
//! One door: [`Controller::handle`] takes the time and an [`Event`], and leaves [`Effect`]s. The same events at the
//! same times give the same effects, so one seed can drive a whole cluster.
//!
//! ```text
//!  Request ──► route ──┬─ Local ──► answer now                              (heartbeat, metadata)
//!                      ├─ Read ───► wait for a read barrier ──► answer from `replicas`, on any peer
//!                      └─ Write ──► command + evidence ──► propose          (on a follower: forward to the leader)
//!  EndOfTurn ──► the driver frames, replicates, persists ──► Committed
//!                      └──► replicas.apply(command) ──► outcome ──► Effect::Reply, Effect::Notify
//! ```
//!
//! | Question | File |
//! |---|---|
//! | where does a request go? | `route.rs` |
//! | which code and remark does it get? | `respond.rs` |
//! | who waits for what? | `waiting.rs` |
//! | what happens at the end of a turn? | `turn.rs` |
//! | who is alive? | `liveness.rs`; a closed connection: `inquiry.rs` |
//! | what follows from a death? | `brokers.rs`, `elections.rs`, `notices.rs` |
//! | can this peer serve, and whom does 1005 name? | `health.rs`, `naming.rs`; leases: `lease.rs` |
//! | the first start of a cluster | `founding.rs` |
//! | a crashed leader | `campaign.rs` |
//! | a peer that lost its disk | `members.rs`, `seat.rs` |
//!
//! Not here: bytes of clients (`protocol`), the rules of broker sets (`replicas`), Raft (`consensus`), and every
//! clock, socket, file, thread and log line (`server`).
#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::wildcard_enum_match_arm)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod brokers;
mod campaign;
mod controller;
mod draw;
mod effect;
mod elections;
mod event;
mod founding;
mod health;
mod inquiry;
mod instant;
mod lease;
mod links;
mod liveness;
mod masters;
mod members;
mod naming;
mod notices;
mod order;
mod peer;
mod rate;
mod requests;
mod respond;
mod route;
mod seat;
mod settings;
mod snapshots;
mod stall;
mod status;
mod turn;
mod waiting;
mod waits;

pub use controller::{Controller, ControllerStartError, Counts, LiveSet, Overview, Start};
pub use effect::{DeathReason, Effect, ElectionReason, ElectionResult, Founding, Note};
pub use event::{AttemptId, Caller, ConnectionId, Event, Inspect, NoticeResult, ProbeResult};
pub use inquiry::PROBES_IN_FLIGHT_MAX;
pub use instant::Instant;
pub use liveness::{BrokerIdentity, LIVE_BROKERS_MAX};
pub use masters::{MASTER_ENTRIES_MAX, MasterListError, MasterLists};
pub use members::Standing;
pub use notices::{NOTICES_IN_FLIGHT_MAX, NoticeCounts};
pub use order::ElectionOrder;
pub use peer::{ANSWER_BYTES_MAX, PeerMessage, PeerMessageError};
pub use seat::{SEATS, seat};
pub use settings::{
    LeaderNaming, LiveSettings, PeerSettings, ReadMode, ReplaceWiped, Retention, Settings,
};
pub use snapshots::{SNAPSHOT_BYTES_MAX, SNAPSHOT_PART_BYTES_MAX, checksum};

// The server carries these between the core and the journal and looks at none of them, so that it need not
// name `consensus` itself.
pub use consensus::Note as ConsensusNote;
pub use consensus::{LogIndex, PeerId, Persist, Role, SnapshotDescriptor};

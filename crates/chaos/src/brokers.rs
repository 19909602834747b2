//! Unmodified Java brokers instead of actors: three of one broker set, a name server, and an official producer and
//! consumer, each alone in namespaces of its own, so that every packet between them passes the fabric.
//!
//! ```text
//! controllers n0…  ── fabric ── brokers b0, b1, b2 (10.77.1.x) ── clients (10.77.2.1: producer, consumer)
//!                        │
//!                     names (10.77.3.1), watch (10.77.3.2): no fault names them
//! ```
//!
//! | File | Holds |
//! |---|---|
//! | `kit.rs` | what must be there: Java, jars, drivers, a disk with room; settings and command lines |
//! | `troupe.rs` | the processes |
//! | `messages.rs` | what producer, consumer and brokers wrote down; what it proves; no IO |
//!
//! An acknowledged message is a promise here: with `allAckInSyncStateSet` the master says `SEND_OK` when every member of
//! the sync-state set has it, and with `minInSyncReplicas=2` it takes nothing while it is alone. Disks are flushed by
//! upstream's default, later: a broker that is killed loses nothing, a host without power might; nothing here
//! cuts the brokers' power.
//!
//! Not here: brokers of other versions (`cargo xtask interop`), needless failovers (a JVM that gets no processor is no
//! proof against a controller, and nothing tells when one got none).

mod kit;
pub(crate) mod messages;
pub(crate) mod troupe;

pub use kit::{Kit, KitError};

/// Brokers of the one set.
pub(crate) const BROKERS: u8 = 3;

/// Name of the topic; that of the cluster is taken, by a topic that brokers make themselves.
pub(crate) const TOPIC: &str = "messages";

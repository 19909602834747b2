//! Sockets, threads, clock, configuration, metrics, admin pages: carries events into the controller and effects out.
//!
//! ```text
//!  accept ──► connection ──► inbox ──┐                     ┌──► connection (answers)
//!  peer hello ──► connection ────────┤   core (one loop    ├──► peer_link (batches)
//!  journal thread ──► done ──────────┼──► owns Controller) ┼──► writer (orders) ──► journal thread
//!  outgoing (probes, notices) ───────┘                     └──► outgoing, notes (log, metrics)
//! ```
//!
//! Two threads: one runs sockets and core (decision 0006), one waits for the disk. Nothing here knows a rule of
//! broker sets or of consensus.
//!
//! | Question | File |
//! |---|---|
//! | how does a process start and stop? | `node.rs` |
//! | when exactly is synced? | `writer.rs` |
//! | how are bytes cut into requests? | `connection.rs` |
//! | how do peers talk? | `hello.rs`, `peer_link.rs` |
//! | which setting is this? | `config.rs` |
//! | what is logged and counted? | `notes.rs`, `metrics.rs` |
//! | where is the time of a request lost? | `stages.rs`, `traces.rs` |
//! | what is exported to collectors? | `config/exports.rs`, `pushing.rs` |

pub mod admin;
mod change;
mod clock;
pub mod config;
mod connection;
mod core;
mod descriptors;
mod hello;
mod inbox;
mod java_store;
pub mod metrics;
mod node;
mod notes;
mod orders;
mod outgoing;
mod peer_link;
pub mod properties;
mod pushing;
mod refuse;
mod rest;
mod set_walk;
mod shared;
mod slice;
mod stages;
mod traces;
mod writer;

pub use node::{NodeError, run};

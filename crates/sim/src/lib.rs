//! Whole clusters in one thread, one seed each: the real controllers, the real journal, and everything else simulated.
//!
//! ```text
//!  seed ──► Plan (what exists, what strikes, how fast things are) ──► World ──► invariants after every turn
//!                                                                       │
//!   Controller  Journal  ◄── simulated clocks, disks (MemoryDisk), network, brokers, clients
//! ```
//!
//! | File | Holds |
//! |---|---|
//! | `plan.rs`, `plan/draw.rs` | what a seed draws before the first event |
//! | `world.rs`, `agenda.rs` | time and what happens next |
//! | `node.rs`, `writer.rs` | one controller: turns, links, the writer, start and end |
//! | `network.rs` | connections, cuts, delays |
//! | `broker.rs`, `broker/`, `outside.rs`, `client.rs`, `calls.rs`, `request.rs` | everybody outside |
//! | `fault.rs`, `fault/` | what strikes |
//! | `phases.rs` | faults first, then repairs and what they must lead to |
//! | `check.rs`, `check/` | the invariants |
//! | `sometimes.rs` | which interesting situations were reached |
//! | `shrink.rs` | a failing plan made small |
//! | `hot.rs` | apart from all that: loops over the straight line, whose cost `bench hot` counts |
//!
//! The code under test is that of the server's core: `controller`, `consensus` and `journal`. Sockets, threads and the
//! wire between a connection and the core are the server's and are not here.

mod agenda;
mod broker;
mod calls;
mod check;
mod client;
mod fault;
pub mod hot;
mod network;
mod node;
mod outside;
mod phases;
mod plan;
mod random;
mod request;
mod run;
mod shrink;
mod sometimes;
mod world;
mod writer;

pub use client::Trade;
pub use fault::{Fault, Kind, Moment, Shape, Who};
pub use network::Weather;
pub use plan::{ClientPlan, ClockPlan, Plan, Preset, Smaller};
pub use run::{Report, Sink, run};
pub use shrink::shrink;
pub use sometimes::Sometimes;
pub use world::Failure;

//! Whole controllers in one thread: scripts. Random schedules are the simulator's (`crates/sim`).
//!
//! | File | Holds |
//! |---|---|
//! | `world.rs`, `network.rs`, `disk.rs`, `outside.rs`, `broker.rs` | the cluster: time, nodes, links, disks, clients, brokers |
//! | `checks.rs` | what must hold after every turn |
//! | `request.rs` | requests, and what answers say |
//! | `script_*.rs` | scenarios, one test each |
//! | `random.rs` | seeded delays |
#![expect(clippy::unwrap_used, reason = "a test that finds nothing where something must be fails")]

mod broker;
mod checks;
mod disk;
mod network;
mod outside;
mod random;
mod request;
mod script_brokers;
mod script_disk;
mod script_elections;
mod script_leadership;
mod script_leases;
mod script_naming;
mod script_orders;
mod script_requests;
mod script_returns;
mod script_snapshots;
mod script_start;
mod script_upstream;
mod world;

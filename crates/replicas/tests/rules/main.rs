//! The rules as tables, upstream's own tests mirrored, properties, and golden bytes.
//!
//! | File | What it holds |
//! |---|---|
//! | `fixture.rs` | builders, and the one `check` that all tables go through |
//! | `alter.rs`, `apply_id.rs`, `clean.rs`, `elect.rs`, `register.rs` | every rejection of a command, and every pair of faults at once |
//! | `mirror.rs` | upstream's `ReplicasInfoManagerTest`, case by case |
//! | `limits.rs` | what is too long or too many |
//! | `properties.rs` | random commands against the invariants; codecs and snapshots on any bytes |
//! | `golden.rs` | the bytes of commands and snapshots, written out |
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be built fails the test")]

mod alter;
mod apply_id;
mod clean;
mod elect;

mod fixture;
mod golden;
mod limits;
mod mirror;
mod properties;
mod register;

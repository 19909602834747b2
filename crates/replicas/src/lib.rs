//! The replicated rules: broker sets, masters, epochs, sync-state sets.
//!
//! ```text
//!   Command (with evidence) ──► decide ──► Ok(Decision) ──► the change ──► Outcome
//!                                  │
//!                                  └─────► Err(Rejection): nothing changes
//! ```
//!
//! | Command | Rules | Upstream code |
//! |---|---|---|
//! | [`ApplyBrokerId`] | `apply_id.rs` | 1013 |
//! | [`RegisterBroker`] | `register.rs` | 1003 |
//! | [`ElectMaster`] | `elect.rs` | 1002, and the leader's own elections |
//! | [`AlterSyncStateSet`] | `alter.rs` | 1001 |
//! | [`CleanBrokerData`] | `clean.rs` | 1011 |
//!
//! A command is decided when it is applied, equally on every peer, from the command and the
//! replicated state alone: who is alive travels in the command as [`Evidence`]. Applying never
//! fails and never panics, it rejects. Equal logs give equal bytes of state ([`Replicas::snapshot`])
//! and equal hashes ([`Replicas::state_hash`]).
//!
//! The checks run in upstream's order, so that a request that is wrong twice gets upstream's
//! answer. What differs on purpose is said in the file of the command it concerns.
//!
//! Invariants of the state are those of [`BrokerSet`] and [`Tombstone`].
//!
//! This crate knows no wire format of brokers (no code, no remark text), no Raft and no clock.
#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::wildcard_enum_match_arm)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod alter;
mod apply_id;
mod broker_set;
mod clean;
mod command;
mod elect;
mod evidence;
mod fields;
mod hash;
mod ids;
mod judge;
pub mod limits;
mod outcome;
mod register;
mod snapshot;
mod state;
pub mod upstream_order;

pub use broker_set::{BrokerSet, Replica, Tombstone};
pub use command::codec::{DecodeError, Malformed};
pub use command::{
    AlterSyncStateSet, ApplyBrokerId, CleanBrokerData, Command, ElectMaster, Policy, RegisterBroker,
};
pub use evidence::{Alive, Evidence};
pub use ids::{BrokerId, MasterEpoch, SetEpoch};
pub use judge::{Criterion, Judgement, Verdict};
pub use outcome::{Member, Outcome, RecordedMaster, Rejection};
pub use snapshot::RestoreError;
pub use state::{Decision, ReplicaInfo, Replicas};

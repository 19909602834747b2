//! Raft without IO; the engine stays inside.
//!
//! A [`Driver`] is one peer. Messages, persisted numbers, ticks and proposals go in by its methods;
//! what must happen comes out of [`Driver::end_of_turn`] as [`Effect`]s, in the order in which they
//! must happen. It reads no clock, no file and no socket, and the same calls give the same effects.
//!
//! ```text
//!  step ──┐                                   ┌──► Send            (may leave at once)
//!  persisted ─┐   ┌────────┐  end_of_turn     ├──► Persist         (one atomic group for the journal)
//!  tick ──────┼──►│ Driver │ ────────────────►├──► Committed, Lost (every ticket ends exactly once)
//!  propose ───┤   └────────┘                  ├──► Readable, BarrierFailed
//!  read_barrier                               └──► FetchSnapshot, InstallSnapshot, Note
//! ```
//!
//! | Module | What it holds |
//! |---|---|
//! | [`driver`] | the turn and the recipe for the engine's Ready (rules D1-D5, D19, D23) |
//! | [`propose`] | tickets and the frames that carry commands (D7-D11) |
//! | [`read`] | read barriers and their contexts (D12-D17) |
//! | `screen` | which messages may reach the engine (D20, D21) |
//! | `log` | the log window, which is the engine's storage |
//! | `engine` | the only place where the engine's types meet ours |
//! | [`frame`] | the layout of an entry's commands |
//! | [`message`], [`codec`] | messages between peers and their bytes |
//!
//! Not here: who should be a member, which the controller decides, and leases. A snapshot is never of a
//! joint membership, and none is restored from one.
#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::wildcard_enum_match_arm)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod change;
mod coalesce;
pub mod codec;
pub mod driver;
pub mod effect;
mod engine;
pub mod entry;
pub mod frame;
mod groups;
mod log;
pub mod membership;
pub mod message;
pub mod note;
pub mod propose;
pub mod read;
mod screen;
pub mod settings;
pub mod snapshot;
pub mod types;

pub use change::{ChangeError, ChangeStep, MembershipChange};
pub use driver::{Driver, PeerProgress, StartError};
pub use effect::{BarrierLoss, CommittedCommand, Effect, Lost};
pub use entry::{Entry, EntryKind, HardState, Persist, Restored};
pub use membership::Membership;
pub use message::{Content, Message, ReadContext};
pub use note::Note;
pub use propose::ProposeError;
pub use read::Unavailable;
pub use screen::Refused;
pub use settings::Settings;
pub use snapshot::SnapshotDescriptor;
pub use types::{Barrier, LogIndex, PeerId, Role, Term, Ticket};

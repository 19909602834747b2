//! The durable log, hard state and snapshots.
//!
//! A [`Journal`] is one folder of one peer. [`Journal::open`] says what is durable in it;
//! [`Journal::write`] makes the groups durable that consensus asks for; [`Journal::save_snapshot`]
//! saves a state, after which old segments are used again.
//!
//! ```text
//!   Persist, Persist, ... ──► one buffer ──► one write ──► one sync ──► persisted(highest number)
//!
//!   segment-7          segment-8          segment-9 (newest)       spare-3   spare-4
//!   |██████████████|   |██████████████|   |███████░░░░░░░|         |░░░░|    |░░░░|
//!       ▲ recycled once all of it lies below the older of two snapshots ▲ made ahead of need
//! ```
//!
//! | Module | What it holds |
//! |---|---|
//! | `journal` | writing: groups, rolling to the next segment |
//! | `upkeep` | snapshots, recycling, spares |
//! | `recover` | the decision table: what a crash leaves and what it means |
//! | `log_state` | what the journal never says (J7), asked when written and when read |
//! | `record`, `segment`, `snapshot`, `identity`, `layout` | the bytes, as tables |
//! | `batch` | the one buffer |
//! | `disk` | what is asked of a disk; `real_disk` and `memory_disk` are the two |
//!
//! Invariants:
//! 1. What [`Journal::write`] returned `Ok` for is found by every later [`Journal::open`], whole, or
//!    the opening is refused; what was never written is never found.
//! 2. A group is found whole or not at all; groups are found in order.
//! 3. After an error that is not survivable nothing is written any more (J4).
//! 4. Bytes on the disk never panic this crate, and never size an allocation beyond their file.
//!
//! Not here: threads, clocks (but one that is handed in, for counters), the network, what an entry or a state means. Entries are not read
//! back after the opening: consensus keeps its log in memory.
//!
//! Estimate for one small write: one buffer of a block or two is filled (about 1 us), written to
//! the page cache (2 us) and synced (the disk: 60 to 4,000 us). So the sync is everything, and what
//! arrives during it shares the next one.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

mod batch;
mod disk;
mod error;
mod identity;
mod journal;
mod layout;
mod log_state;
mod memory_disk;
mod real_disk;
mod record;
mod recover;
mod recovered;
mod segment;
mod snapshot;
mod survey;
mod upkeep;

pub use disk::{Disk, DiskFile};
pub use error::{Damage, DiskError, JournalError, OpenError, Violation};
pub use identity::{Founding, IDENTITY_VOTERS_MAX, Identity, read_identity};
pub use journal::{Counters, GROUP_BYTES_MAX, Journal, Options};
pub use memory_disk::{Fault, MemoryDisk, MemoryFile};
pub use real_disk::{RealDisk, RealFile};
pub use recover::{RecoveryNote, SEGMENT_BYTES_MAX};
pub use recovered::Recovered;
pub use snapshot::SNAPSHOT_BYTES_MAX;
pub use upkeep::Upkeep;

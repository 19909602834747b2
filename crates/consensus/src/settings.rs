//! What a driver is told at its start, and the limits it keeps.

use crate::PeerId;

/// Most commands in one entry (D11).
pub const FRAME_COMMANDS_MAX: usize = 1_024;
/// Most bytes in one entry of several commands, their length fields included (D11).
pub const FRAME_BYTES_MAX: usize = 256 * 1_024;
/// Most entries of commands that are proposed here and not yet applied (D11).
pub const FRAMES_IN_FLIGHT_MAX: usize = 4;
/// Largest command; one above [`FRAME_BYTES_MAX`] gets an entry of its own.
pub const COMMAND_BYTES_MAX: usize = 1_024 * 1_024;
/// Most commands that wait for their entry; beyond: busy.
pub const PROPOSALS_WAITING_MAX: usize = 65_536;
/// Most bytes of commands that wait for their entry; beyond: busy.
pub const PROPOSALS_WAITING_BYTES_MAX: usize = 64 * 1_024 * 1_024;
/// Most bytes that are proposed and not committed; the engine drops proposals beyond.
pub const UNCOMMITTED_BYTES_MAX: u64 = 64 * 1_024 * 1_024;
/// Most bytes of entries in one append message, unless a single entry is larger.
pub const APPEND_BYTES_MAX: u64 = 1_024 * 1_024;
/// Most append messages on their way to one peer.
pub const APPENDS_IN_FLIGHT_MAX: usize = 256;
/// Most bytes of committed entries taken out of the engine at once.
pub const COMMITTED_BYTES_PER_TURN_MAX: u64 = 1_024 * 1_024;
/// Most readers that wait for a barrier; beyond: busy.
pub const READ_WAITERS_MAX: usize = 65_536;
/// A read round without an answer for so many ticks is asked again, with a new context (D15).
pub const READ_ROUND_DEADLINE_TICKS: u64 = 4;
/// A batch of reads fails when it is so many ticks old.
pub const READ_BATCH_TICKS_MAX: u64 = 40;
/// Entries kept before the newest snapshot, so that a peer a little behind needs no snapshot.
pub const CATCH_UP_ENTRIES: u64 = 8_192;
/// Bytes of such entries at most.
pub const CATCH_UP_BYTES: usize = 4 * 1_024 * 1_024;
/// A peer that waits for a snapshot so many ticks without a report is offered one again (S6).
pub const SNAPSHOT_PATIENCE_TICKS: u64 = 200;

/// What a driver is told at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// This peer.
    pub me: PeerId,
    /// Random, drawn anew at every start of the process; part of every read context (D12).
    pub boot_nonce: u64,
    /// Ticks without a leader before a campaign; the same on every peer.
    pub election_ticks: u32,
    /// Ticks between two keepalives.
    pub keepalive_ticks: u32,
    /// Entries kept before the newest snapshot; the simulator makes it small.
    pub catch_up_entries: u64,
}

impl Settings {
    /// The defaults of the design: 20 ticks to a campaign, a keepalive every 2.
    #[must_use]
    pub fn new(me: PeerId, boot_nonce: u64) -> Self {
        Self {
            me,
            boot_nonce,
            election_ticks: 20,
            keepalive_ticks: 2,
            catch_up_entries: CATCH_UP_ENTRIES,
        }
    }
}

//! What a controller is told about itself, and the limits that belong to no single table.

use crate::masters::MasterLists;
use alloc::boxed::Box;
use alloc::vec::Vec;
use consensus::PeerId;
use consensus::settings::CATCH_UP_ENTRIES;

/// A write that is not decided after this time, in ms, is answered "unknown outcome". A broker gives up at 3,000
/// and closes its connection, so the answer must come before.
pub(crate) const WRITE_DEADLINE_MS: u64 = 2_500;

/// A forwarded request that the leader has not answered after this time, in ms, is answered "unknown outcome".
pub(crate) const FORWARD_DEADLINE_MS: u64 = 2_600;

/// A read whose barrier is not reached after this time, in ms, is answered 2007.
pub(crate) const READ_DEADLINE_MS: u64 = 2_000;

/// Writes that may wait for their commit at once; one more is refused as busy.
pub(crate) const WRITES_WAITING_MAX: usize = 65_536;

/// Reads that may wait for a barrier at once; one more is refused as busy.
pub(crate) const READ_WAITERS_MAX: usize = 65_536;

/// Requests forwarded to the leader that may be unanswered at once; one more is refused as busy.
pub(crate) const FORWARDS_WAITING_MAX: usize = 65_536;

/// An event that comes this much later, in ms, than the wake that was asked for means that the whole process was
/// paused: then brokers get [`PAUSE_GRACE_MS`] to be heard again before anybody expires.
pub(crate) const PAUSE_MS: u64 = 700;

/// See [`PAUSE_MS`]: three heartbeat periods of an unmodified broker.
pub(crate) const PAUSE_GRACE_MS: u64 = 3_000;

/// So long after such a pause, in ms, heartbeats are not passed on: what waited in the sockets is as old as the pause,
/// and a leader would take it for news. One heartbeat period: then fresh ones are here.
pub(crate) const PAUSE_BACKLOG_MS: u64 = 1_000;

/// A broker that a new leader has not heard since its own start is given this long, in ms, before it counts as
/// dead. Source: upstream's default heartbeat time-out.
pub(crate) const UNHEARD_GRACE_MS: u64 = 10_000;

/// How often a walk over all broker sets begins, in ms. Elections do not wait for it; it is
/// the net below them. Source: upstream `scanInactiveMasterInterval`.
pub(crate) const RECONCILE_MS: u64 = 5_000;

/// A snapshot is taken after this many commands.
pub(crate) const SNAPSHOT_COMMANDS: u64 = 100_000;

/// A snapshot is taken after this many bytes of log, or [`SNAPSHOT_LOG_TIMES`] the size of the last snapshot if that is
/// more: a small state keeps a small log in memory, a large one is not written over and over.
pub(crate) const SNAPSHOT_LOG_BYTES: u64 = 4 * 1024 * 1024;

/// See [`SNAPSHOT_LOG_BYTES`].
pub(crate) const SNAPSHOT_LOG_TIMES: u64 = 4;

/// Stagger of campaigns after a crash of the leader, in ms (rule D23).
pub(crate) const CRASH_CAMPAIGN_STAGGER_MS: u64 = 40;

/// Campaigns after one crash of the leader (rule D23).
pub(crate) const CRASH_CAMPAIGNS_MAX: u32 = 10;

/// One configured controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerSettings {
    /// Its seat (`seat.rs`).
    pub id: PeerId,
    /// Its name in the configuration, for example `n0`.
    pub name: Box<str>,
    /// Where brokers reach it, in the form in which it stands in the configuration.
    pub broker_address: Box<str>,
}

/// Whom 1005 names to brokers; see `naming.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LeaderNaming {
    /// The true leader.
    #[default]
    Leader,
    /// One of the peers that serve, by the broker's identity.
    Spread,
}

/// How a leader makes sure that it still leads when it answers a read; followers always ask it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadMode {
    /// A round of questions to a quorum, shared by all reads that wait (`ReadIndex`).
    #[default]
    Index,
    /// Its lease, if it has one; see `lease.rs` for what that costs.
    Lease,
}

/// Who takes a peer back that lost its disk (rule M4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplaceWiped {
    /// The leader, by itself.
    #[default]
    Auto,
    /// Nobody, until it is set to [`Self::Auto`].
    Manual,
}

/// What a controller is told when it starts.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This peer's seat.
    pub me: PeerId,
    /// Its id in the consensus group, as its disk says; [`Self::me`] on an empty disk.
    pub member: PeerId,
    /// All configured peers, this one among them, in the order of the configuration.
    pub peers: Vec<PeerSettings>,
    /// Name of the group, answered in 1005.
    pub group: Box<str>,
    /// The peers as 1005 prints them, for example `n0:127.0.0.1:9878;`.
    pub peers_text: Box<str>,
    /// Whether 1005 names the leader by its address instead of its name (the two-port convention).
    pub leader_id_is_address: bool,
    /// Campaign time-out E in ms; the engine's tick is a twentieth of it.
    pub election_timeout_ms: u64,
    /// Whom 1005 names to brokers.
    pub naming: LeaderNaming,
    /// How a leader makes sure of its reads; must be the same on every peer.
    pub read_mode: ReadMode,
    /// Drawn anew at each start of the process (rule D12).
    pub boot_nonce: u64,
    /// Seed of this peer's own draws: the length of ticks.
    pub seed: u64,
    /// Settings that may change while running.
    pub live: LiveSettings,
    /// How much is kept; smaller numbers make rare branches common in simulation.
    pub retention: Retention,
    /// Version of the program, shown by status.
    pub version: Box<str>,
    /// Whether answers wait for the disk's sync: `fsync` or `async`, shown by status.
    pub durability: Box<str>,
    /// Operating-system id of the process, shown by status.
    pub process_id: u32,
    /// Address of the admin pages, shown by status.
    pub admin_address: Box<str>,
}

/// How much log is kept, and how often it is replaced by a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// A snapshot is taken after this many commands.
    pub snapshot_commands: u64,
    /// Entries before the newest snapshot that are kept for peers that are a little behind.
    pub catch_up_entries: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { snapshot_commands: SNAPSHOT_COMMANDS, catch_up_entries: CATCH_UP_ENTRIES }
    }
}

/// Settings that may change while running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSettings {
    /// Whether a replica outside the sync-state set may be elected when nobody inside is alive.
    pub enable_elect_unclean_master: bool,
    /// Whether brokers are told of elections by 1008.
    pub notify_broker_role_changed: bool,
    /// Who takes a peer back that lost its disk (rule M4).
    pub replace_wiped: ReplaceWiped,
    /// How long a broker may stay unheard whose connection closed and whose address does not answer, in ms.
    pub broker_close_grace_ms: u64,
    /// Which brokers are wanted as masters, and which are not.
    pub masters: MasterLists,
}

impl Default for LiveSettings {
    fn default() -> Self {
        Self {
            enable_elect_unclean_master: false,
            notify_broker_role_changed: true,
            replace_wiped: ReplaceWiped::Auto,
            broker_close_grace_ms: 1_500,
            masters: MasterLists::default(),
        }
    }
}

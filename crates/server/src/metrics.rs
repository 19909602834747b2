//! Metrics: upstream's names for existing dashboards, and ours beside them.
//!
//! ```text
//! core, connections ──request(), election(), …──▶ Records (atomic numbers) ─┐
//! core, each second ──publish(Snapshot)─────────▶ the last snapshot ───────┴▶ Registry ──text()──▶ scrape
//! ```
//!
//! | Set | File | Labels on all of it |
//! |---|---|---|
//! | `role`, `request_total`, … as release 5.5.0 exports them | `metrics/java.rs` | `address`, `group`, `peer_id`, `otel_scope_name`, the pairs of `metricsLabel` |
//! | `pitchover_*`, seconds and bytes | `metrics/own.rs` | none; `durability="async"` if writes are not synced |
//!
//! Recording touches `metrics/record.rs` only; names and labels are put to the numbers at a scrape,
//! by collectors: a broker set that is gone vanishes, a scrape never sees half of a snapshot, and a
//! series appears with its first event, as in Java.
//!
//! Deviations: `request_latency` counts every request, Java's only those without exception; the
//! bound of the last bucket reads `10000000.0` where Java writes `1.0E7`, the same number.
//!
//! Not here: pushing (`OTLP_GRPC`, `LOG`). The clock: durations come in as microseconds.

mod java;
mod own;
mod page;
mod record;

use std::borrow::Cow;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::text;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::config::{Config, Durability};
use java::Java;
use own::Own;
use record::{Election, Records};

/// `Content-Type` of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// 1001.
    AlterSyncStateSet,
    /// 1002.
    ElectMaster,
    /// 1003.
    RegisterBroker,
    /// 1004.
    GetReplicaInfo,
    /// 1005.
    GetMetadataInfo,
    /// 1006.
    GetSyncStateData,
    /// 904.
    BrokerHeartbeat,
    /// 1009.
    UpdateControllerConfig,
    /// 1010.
    GetControllerConfig,
    /// 1011.
    CleanBrokerData,
    /// 1012.
    GetNextBrokerId,
    /// 1013.
    ApplyBrokerId,
    /// Anything else; upstream does not count it.
    Other,
}

impl RequestKind {
    /// All kinds, in the order of their declaration.
    pub const ALL: [Self; 13] = [
        Self::AlterSyncStateSet,
        Self::ElectMaster,
        Self::RegisterBroker,
        Self::GetReplicaInfo,
        Self::GetMetadataInfo,
        Self::GetSyncStateData,
        Self::BrokerHeartbeat,
        Self::UpdateControllerConfig,
        Self::GetControllerConfig,
        Self::CleanBrokerData,
        Self::GetNextBrokerId,
        Self::ApplyBrokerId,
        Self::Other,
    ];

    /// The kind of a request code.
    #[must_use]
    pub fn of_code(code: i32) -> Self {
        match code {
            904 => Self::BrokerHeartbeat,
            1001 => Self::AlterSyncStateSet,
            1002 => Self::ElectMaster,
            1003 => Self::RegisterBroker,
            1004 => Self::GetReplicaInfo,
            1005 => Self::GetMetadataInfo,
            1006 => Self::GetSyncStateData,
            1009 => Self::UpdateControllerConfig,
            1010 => Self::GetControllerConfig,
            1011 => Self::CleanBrokerData,
            1012 => Self::GetNextBrokerId,
            1013 => Self::ApplyBrokerId,
            _ => Self::Other,
        }
    }

    /// Upstream's label, which is also ours.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::AlterSyncStateSet => "CONTROLLER_ALTER_SYNC_STATE_SET",
            Self::ElectMaster => "CONTROLLER_ELECT_MASTER",
            Self::RegisterBroker => "CONTROLLER_REGISTER_BROKER",
            Self::GetReplicaInfo => "CONTROLLER_GET_REPLICA_INFO",
            Self::GetMetadataInfo => "CONTROLLER_GET_METADATA_INFO",
            Self::GetSyncStateData => "CONTROLLER_GET_SYNC_STATE_DATA",
            Self::BrokerHeartbeat => "CONTROLLER_BROKER_HEARTBEAT",
            Self::UpdateControllerConfig => "CONTROLLER_UPDATE_CONTROLLER_CONFIG",
            Self::GetControllerConfig => "CONTROLLER_GET_CONTROLLER_CONFIG",
            Self::CleanBrokerData => "CONTROLLER_CLEAN_BROKER_DATA",
            Self::GetNextBrokerId => "CONTROLLER_GET_NEXT_BROKER_ID",
            Self::ApplyBrokerId => "CONTROLLER_APPLY_BROKER_ID",
            Self::Other => "OTHER",
        }
    }
}

/// Who sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestOrigin {
    /// A broker or a tool, to this peer.
    Direct,
    /// Another peer passed it on.
    Forwarded,
}

/// How a request or an operation ended, in upstream's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Without exception; an error code is a success.
    Success,
    /// With an exception, which is code 1 on the wire.
    Failed,
    /// Not within its time.
    Timeout,
}

/// How an election ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ElectionResult {
    /// There is another master.
    Elected,
    /// The master stays.
    Kept,
    /// Nobody could be elected.
    Nobody,
}

/// Why an election was held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ElectionReason {
    /// A broker asked.
    Broker,
    /// An operator designated a broker.
    Operator,
    /// The master was lost.
    MasterLost,
}

/// Steps of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Until it is proposed.
    Propose,
    /// Until it is written.
    Append,
    /// Until it is synced.
    Sync,
    /// Until a quorum has it.
    Replicate,
    /// Until it is committed.
    Commit,
    /// Until it is applied.
    Apply,
    /// Until its answer is handed to the connection.
    Reply,
}

/// What became of a role notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeResult {
    /// The broker answered.
    Delivered,
    /// The broker could not be reached, or said no.
    Failed,
    /// A newer notice took its place.
    Superseded,
}

/// Why a broker counts as dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiryReason {
    /// No heartbeat in time.
    Silent,
    /// Its connection closed, and the grace passed.
    Closed,
}

/// What this peer is in its quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Not known yet.
    Unknown,
    /// Campaigning.
    Candidate,
    /// Following.
    Follower,
    /// Leading.
    Leader,
}

/// What the core publishes once a second.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Term of this peer.
    pub term: u64,
    /// Commit index.
    pub commit_index: u64,
    /// Applied index.
    pub applied_index: u64,
    /// Entries that each other peer lacks, by the peer's name; on the leader only.
    pub peer_lag_entries: Vec<(String, u64)>,
    /// Bytes of the journal's files.
    pub journal_bytes: u64,
    /// Bytes of the whole store folder; `None` if it does not exist.
    pub store_bytes: Option<u64>,
    /// One element per broker set.
    pub broker_sets: Vec<BrokerSetGauges>,
    /// Depth of each queue.
    pub queue_depths: Vec<(&'static str, u64)>,
    /// Seconds until the certificate ends, if there is one.
    pub certificate_expiry_seconds: Option<i64>,
}

/// Gauges of one broker set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerSetGauges {
    /// Cluster of the brokers.
    pub cluster: String,
    /// Name of the brokers.
    pub broker_set: String,
    /// Brokers alive.
    pub alive: u64,
    /// Size of the sync-state set.
    pub sync_state_set_size: u64,
}

/// All metrics of this process; clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    registry: Registry,
}

/// What a scrape reads.
#[derive(Debug)]
struct Shared {
    records: Records,
    role: AtomicU8,
    snapshot: Mutex<Arc<Snapshot>>,
}

impl Shared {
    fn snapshot(&self) -> Arc<Snapshot> {
        // Poisoned only by a panic between two assignments, which cannot be.
        Arc::clone(&self.snapshot.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// 0 to 3, in the order of [`Role`].
    fn role(&self) -> u8 {
        self.role.load(Ordering::Relaxed)
    }
}

impl Metrics {
    /// Registers everything, with the labels of `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let shared = Arc::new(Shared {
            records: Records::new(),
            role: AtomicU8::new(0),
            snapshot: Mutex::new(Arc::new(Snapshot::default())),
        });
        let mut registry = Registry::default();
        let target = Gauge::<i64>::default();
        target.set(1);
        registry.register("target_info", "Target metadata", target);
        let java = registry.sub_registry_with_labels(java_labels(config).into_iter());
        java.register_collector(Box::new(Java(Arc::clone(&shared))));
        let is_weak = config.durability == Durability::Async;
        let labels = is_weak.then_some((Cow::from("durability"), Cow::from("async")));
        let own = registry.sub_registry_with_labels(labels.into_iter());
        own.register_collector(Box::new(Own(Arc::clone(&shared))));
        Self { inner: Arc::new(Inner { shared, registry }) }
    }

    /// One request of a broker or a tool was answered with `code` after `micros`.
    pub fn request(&self, kind: RequestKind, code: i32, micros: u64) {
        self.request_from(RequestOrigin::Direct, kind, code, micros);
    }

    /// As [`Metrics::request`], for any origin.
    pub fn request_from(&self, origin: RequestOrigin, kind: RequestKind, code: i32, micros: u64) {
        /// Upstream answers an exception with it.
        const SYSTEM_ERROR: i32 = 1;
        let status = if code == SYSTEM_ERROR { Status::Failed } else { Status::Success };
        self.records().request(origin, kind, (status, code), micros);
    }

    /// One request got its answer because its time was over: the outcome is unknown.
    pub fn request_timed_out(&self, kind: RequestKind, code: i32, micros: u64) {
        let answer = (Status::Timeout, code);
        self.records().request(RequestOrigin::Direct, kind, answer, micros);
    }

    /// One command went through the log, or did not; the leader counts.
    pub fn append(&self, status: Status, micros: u64) {
        self.records().appends[status as usize].add();
        // Upstream takes the time of successes only.
        if status == Status::Success {
            self.records().append_latencies.observe(micros);
        }
    }

    /// One election ended; the leader counts.
    pub fn election(
        &self,
        cluster: &str,
        broker_set: &str,
        result: ElectionResult,
        reason: ElectionReason,
    ) {
        let (cluster, broker_set) = (cluster.to_owned(), broker_set.to_owned());
        self.records().elections.add(Election { cluster, broker_set, result, reason });
    }

    /// One step of a write took `micros`.
    pub fn stage(&self, stage: Stage, micros: u64) {
        self.records().stages[stage as usize].observe(micros);
    }

    /// One sync of the journal took `micros`.
    pub fn journal_sync(&self, micros: u64) {
        self.records().journal_syncs.observe(micros);
    }

    /// Something was refused; `limit` is the name of the constant.
    pub fn refused(&self, limit: &'static str) {
        self.records().refusals.add(limit);
    }

    /// One role notice ended.
    pub fn notice(&self, result: NoticeResult) {
        self.records().notices[result as usize].add();
    }

    /// One broker counts as dead from now on.
    pub fn broker_expired(&self, reason: ExpiryReason) {
        self.records().expiries[reason as usize].add();
    }

    /// Another leader is known than before.
    pub fn leader_changed(&self) {
        self.records().leader_changes.add();
    }

    /// This peer has this role now.
    pub fn set_role(&self, role: Role) {
        let number = match role {
            Role::Unknown => 0,
            Role::Candidate => 1,
            Role::Follower => 2,
            Role::Leader => 3,
        };
        self.inner.shared.role.store(number, Ordering::Relaxed);
    }

    /// Replaces the gauges as a whole: no scrape sees half of it.
    pub fn publish(&self, snapshot: Snapshot) {
        let new = Arc::new(snapshot);
        *self.inner.shared.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = new;
    }

    fn records(&self) -> &Records {
        &self.inner.shared.records
    }

    /// The page for a scrape, see [`CONTENT_TYPE`].
    ///
    /// # Panics
    /// Never: writing to a string does not fail.
    #[must_use]
    pub fn text(&self) -> String {
        let mut page = String::new();
        text::encode(&mut page, &self.inner.registry).expect("a string takes any text");
        page
    }
}

/// Upstream's common labels. `address` is the own peer address, in both styles.
fn java_labels(config: &Config) -> Vec<(Cow<'static, str>, Cow<'static, str>)> {
    let labels = [
        ("address", config.me.peer_address.clone()),
        ("group", config.group.clone()),
        ("peer_id", config.me.name.clone()),
        ("otel_scope_name", "controller".to_owned()),
    ];
    let common = labels.into_iter().map(|(key, value)| (Cow::from(key), Cow::from(value)));
    let pairs = config.metrics.labels.iter();
    let extra = pairs.map(|(key, value)| (Cow::from(label_name(key)), Cow::from(value.clone())));
    common.chain(extra).collect()
}

/// A label's name as Prometheus allows it: everything else becomes an underscore.
fn label_name(key: &str) -> String {
    let plain = |character: char| if character.is_ascii_alphanumeric() { character } else { '_' };
    let name: String = key.chars().map(plain).collect();
    if name.starts_with(|first: char| first.is_ascii_digit()) { format!("_{name}") } else { name }
}

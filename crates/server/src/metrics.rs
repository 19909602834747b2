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
//! | `pitchover_*`, seconds and bytes; what the stages mean: [`Stage`] | `metrics/own.rs` | none; `durability="async"` if writes are not synced |
//!
//! Recording touches `metrics/record.rs` only; names and labels are put to the numbers at a scrape,
//! by collectors: a broker set that is gone vanishes, a scrape never sees half of a snapshot, and a
//! series appears with its first event, as in Java.
//!
//! Deviations: `request_latency` counts every request, Java's only those without exception; the
//! bound of the last bucket reads `10000000.0` where Java writes `1.0E7`, the same number.
//!
//! `metrics/export.rs` hands the same numbers to the exporters `OTLP_GRPC` and `LOG`; there is no second set of them.
//!
//! Not here: pushing (`telemetry.rs`). The clock: durations come in as microseconds.

mod export;
mod java;
mod own;
mod page;
mod record;
mod stage;

use std::borrow::Cow;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::text;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use telemetry::Counts;

use crate::config::{Config, Durability};
use java::Java;
use own::Own;
pub use record::BOUNDS_US;
use record::{Election, Records};

pub use stage::{Batch, Stage, Work};

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

/// What became of a command that the leader proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendResult {
    /// It is in the log for good.
    Committed,
    /// Not within its time, or leadership went: it may still be committed.
    Undecided,
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

/// What happened to a role notice. One notice may be retried several times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeResult {
    /// It was sent for the first time.
    Sent,
    /// The broker answered.
    Acknowledged,
    /// It was sent again.
    Retried,
    /// It ended without an answer: superseded, the broker dead, or leadership lost.
    GivenUp,
}

/// Why a broker counts as dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiryReason {
    /// No heartbeat in time.
    Silent,
    /// Its connection closed, and its own address refused a new one.
    Refused,
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
    /// Entries that each other peer is not known to have, by the peer's name; on the leader only.
    pub peer_lag_entries: Vec<(String, u64)>,
    /// Bytes of the journal's files, which are all there is in the folder of the data: upstream's
    /// disk usage too. 0 until the journal has told.
    pub journal_bytes: u64,
    /// One element per broker set and cluster.
    pub broker_sets: Arc<Vec<BrokerSetGauges>>,
    /// Depth of each queue.
    pub queue_depths: Vec<(&'static str, u64)>,
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
    attributes: Attributes,
}

/// Attributes of exported scopes.
#[derive(Debug)]
struct Attributes {
    upstream: Vec<(String, String)>,
    ours: Vec<(String, String)>,
}

/// What a scrape reads.
#[derive(Debug)]
struct Shared {
    records: Records,
    role: AtomicU8,
    unread_bytes: AtomicU64,
    snapshot: Mutex<Arc<Snapshot>>,
    exports: Arc<Counts>,
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

    fn unread_bytes(&self) -> u64 {
        self.unread_bytes.load(Ordering::Relaxed)
    }
}

impl Metrics {
    /// Registers everything, with the labels of `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let shared = Arc::new(Shared {
            records: Records::new(),
            role: AtomicU8::new(0),
            unread_bytes: AtomicU64::new(0),
            snapshot: Mutex::new(Arc::new(Snapshot::default())),
            exports: Arc::default(),
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
        let attributes = Attributes::of(config);
        Self { inner: Arc::new(Inner { shared, registry, attributes }) }
    }

    /// One request of a broker or a tool was answered with `code` after `micros`.
    pub fn request(&self, kind: RequestKind, code: i32, micros: u64) {
        self.records().request(kind, code, micros);
    }

    /// One command went through the log, or did not; the leader counts.
    pub fn append(&self, result: AppendResult, micros: u64) {
        self.records().appends[result as usize].add();
        // Upstream takes the time of successes only.
        if result == AppendResult::Committed {
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

    /// One write of the journal with its sync took `micros`, for so many bytes.
    pub fn journal_sync(&self, micros: u64, bytes: u64) {
        self.records().journal_syncs.observe(micros);
        self.records().journal_written.add_many(bytes);
    }

    /// So many things spent so many microseconds in this stage, each of them.
    pub fn stage(&self, stage: Stage, micros: u64, times: u64) {
        self.records().stages[stage as usize].observe_many(micros, times);
    }

    /// This work was done once and took so many microseconds.
    pub fn work(&self, work: Work, micros: u64) {
        self.records().works[work as usize].observe(micros);
    }

    /// So many came together.
    pub fn batch(&self, batch: Batch, count: u64) {
        self.records().batches[batch as usize].observe(count);
    }

    /// One frame of so many bytes was handed to the link to another controller.
    pub fn peer_frame(&self, bytes: u64) {
        self.records().peer_frames.add();
        self.records().peer_bytes.add_many(bytes);
    }

    /// Something was refused; `limit` is the name of the constant.
    pub fn refused(&self, limit: &'static str) {
        self.records().refusals.add(limit);
    }

    /// This happened to one role notice.
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

    /// Answers that wait for clients to read them occupy so many bytes now.
    pub fn unread_answers(&self, bytes: u64) {
        self.inner.shared.unread_bytes.store(bytes, Ordering::Relaxed);
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

    /// Where an exporter counts what became of its messages.
    #[must_use]
    pub fn exports(&self) -> Arc<Counts> {
        Arc::clone(&self.inner.shared.exports)
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

impl Attributes {
    fn of(config: &Config) -> Self {
        let text = |(key, value): &(Cow<'static, str>, Cow<'static, str>)| {
            (key.to_string(), value.to_string())
        };
        let labels = java_labels(config);
        // The scope's name is not one of the attributes before a scrape.
        let labels = labels.iter().filter(|(key, _)| key != "otel_scope_name").map(text);
        let is_delta = config.metrics.is_delta;
        let delta = is_delta.then(|| ("aggregation".to_owned(), "delta".to_owned()));
        let is_weak = config.durability == Durability::Async;
        let weak = is_weak.then(|| ("durability".to_owned(), "async".to_owned()));
        Self { upstream: labels.chain(delta).collect(), ours: weak.into_iter().collect() }
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

//! `run.json`: what was run, whether it can be believed, and the totals.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::histogram::Quantiles;

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// [`super::SCHEMA`].
    pub schema: String,
    /// Names this run among all others.
    pub id: String,
    /// The workload's name.
    pub name: String,
    /// Which production shape the workload models.
    pub description: String,
    /// What was measured, for tables: `pitchover-fsync`, for one.
    pub arm: String,
    /// Everything random comes from it.
    pub seed: u64,
    /// Whether the run came to its planned end.
    pub finished: bool,
    /// When it was started, in milliseconds since 1970: a label, never a difference.
    pub started_unix_ms: u64,
    /// Commit of the program under measurement, if known.
    pub commit: Option<String>,
    /// The command that repeats it.
    pub command: Vec<String>,
    /// What an acknowledged write survives.
    pub durability: Durability,
    /// What was asked.
    pub target: Target,
    /// Where it ran.
    pub host: Host,
    /// Planned times.
    pub time: Time,
    /// The text of the workload file as run.
    pub workload: String,
    /// Whether the load was what it was said to be.
    pub validity: Validity,
    /// Totals over the measured time, one for each operation.
    pub operations: Vec<Operation>,
    /// What the measured processes used.
    pub servers: Vec<Server>,
    /// The same for each operation that was answered.
    pub cost: Cost,
    /// Whether the answers were right.
    pub correctness: Correctness,
    /// Only of failover runs.
    pub failover: Option<Failover>,
}

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The loss of power on all controllers: it was synced to a quorum's disks.
    Fsync,
    /// The end of processes, but not the loss of power.
    Async,
    /// The target does not say, and nobody else did.
    #[default]
    #[serde(other)]
    Unknown,
}

/// What kind of server was asked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetKind {
    /// Our controllers.
    Pitchover,
    /// Upstream's with `DLedger`.
    JavaDledger,
    /// Upstream's with `JRaft`.
    JavaJraft,
    /// A Redis server.
    Redis,
    /// A Memcached server.
    Memcached,
    /// An etcd server.
    Etcd,
    /// The harness's own server with a known behaviour.
    SelfTest,
    /// A controller that does not say what it is.
    #[default]
    #[serde(other)]
    Unknown,
}

/// What was asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Target {
    /// What kind of server.
    pub kind: TargetKind,
    /// As it says itself, if it does.
    pub version: Option<String>,
    /// `host:port` of each node.
    pub controllers: Vec<String>,
    /// Where reads went: `leader`, `any`, `follower` or `pinned:N`.
    pub reads: String,
}

/// Where a run was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Host {
    /// Processors that the generator may use.
    pub cpus: usize,
    /// The processor's name.
    pub model: String,
    /// The kernel's release.
    pub kernel: String,
    /// Memory of the host.
    pub memory_mib: u64,
    /// File system of the servers' data, where it is known.
    pub filesystem: String,
    /// Descriptors that one process may have.
    pub descriptors: u64,
    /// What the host can do at best, if it was calibrated.
    pub calibration: Option<Calibration>,
}

/// What a host can do at best.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Calibration {
    /// A round trip of one small message on loopback, between two threads.
    pub round_trip_us: Quantiles,
    /// One `fdatasync` of one small write.
    pub fdatasync_us: Quantiles,
    /// Whether a sync costs nothing here, so that nothing measured here is durable.
    pub sync_is_free: bool,
    /// How much later than asked for the pacer's sleep ends.
    pub sleep_overshoot_us: Quantiles,
    /// The longest of many one-millisecond sleeps beyond their time, for each window.
    pub sleeper_max_us: Quantiles,
    /// Share of the time in which somebody waited for a processor, in percent, where the kernel counts it.
    pub psi_cpu_some_pct: Option<f64>,
    /// Cores that other programs kept busy meanwhile.
    pub others_cores: Option<f64>,
    /// The clock that the kernel reads.
    pub clock_source: String,
    /// One reading of the clock.
    pub clock_read_ns: f64,
}

/// Planned times.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Time {
    /// Load that is not counted.
    pub warmup_ms: u64,
    /// Load that is.
    pub measure_ms: u64,
    /// Length of a window.
    pub window_ms: u64,
}

/// Whether the load was what it was said to be. An invalid run says nothing about the server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Validity {
    /// No reason against it.
    pub valid: bool,
    /// What was beyond its limit, with value and limit.
    pub reasons: Vec<String>,
    /// How late the generator sent: the 99th percentile.
    pub send_lag_p99_us: f64,
    /// Arrivals that were not sent.
    pub skipped: u64,
    /// Cores that the generator kept busy, as a part (0 to 1) of those that its threads could.
    pub generator_cpu: Option<f64>,
    /// Share of the time in which somebody waited for a processor, in percent.
    pub psi_cpu_some_pct: Option<f64>,
    /// By how much civil time moved against the monotonic clock.
    pub clock_step_us: Option<i64>,
    /// Cores that neither generator nor servers kept busy, but somebody did.
    pub others_cores: Option<f64>,
}

/// Totals of one operation over the measured time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Operation {
    /// Which one.
    pub op: String,
    /// Requests that were due.
    pub offered: u64,
    /// Answers of success.
    pub ok: u64,
    /// Other answers, by code; `lost` counts those whose connection broke.
    pub errors: BTreeMap<String, u64>,
    /// Requests without an answer in time; they count in the histograms as having taken it.
    pub timeouts: u64,
    /// Requests that were due and not sent.
    pub skipped: u64,
    /// Requests whose asker was killed before the answer: they have no latency.
    pub abandoned: u64,
    /// From when a request was due to its answer: what every objective means.
    pub latency_us: Quantiles,
    /// From when it was sent to its answer: what a closed loop would have seen.
    pub service_us: Quantiles,
    /// From when it was due to when it was sent: the generator's own lateness.
    pub lag_us: Quantiles,
}

/// What one measured process used over the measured time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Server {
    /// Which one, such as `n0`, or its address.
    pub node: String,
    /// CPU time of all its threads.
    pub cpu_us: Option<u64>,
    /// The most resident memory that was seen.
    pub rss_max_bytes: Option<u64>,
    /// Syncs, as it counts them itself.
    pub syncs: Option<u64>,
}

/// What all servers together used for one answered operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cost {
    /// CPU time in microseconds.
    pub cpu_us_per_op: Option<f64>,
    /// Bytes that this host's disks were made to write, by whomever.
    pub disk_bytes_per_op: Option<f64>,
    /// Syncs.
    pub syncs_per_op: Option<f64>,
}

/// Whether the answers were right.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Correctness {
    /// Whether anybody looked.
    pub checked: bool,
    /// Wrong answers, lost writes among them.
    pub violations: u64,
    /// The first of them, in words.
    pub details: Vec<String>,
    /// Acknowledged changes of broker sets that nobody knew any more at the end; absent if nobody looked, or nobody answered.
    pub lost_writes: Option<u64>,
    /// Living brokers that controllers took for dead; absent if nobody counted.
    pub wrongly_dead: Option<u64>,
}

/// How long things took to be mended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Failover {
    /// `masters` or `leader`.
    pub what: String,
    /// What was to be reached.
    pub goals: Vec<Goal>,
    /// Times from the fault on.
    pub milestones: Vec<Milestone>,
}

/// Something that was to be reached.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Goal {
    /// What.
    pub what: String,
    /// The most it may be.
    pub limit: f64,
    /// What it was.
    pub reached: f64,
    /// Of both.
    pub unit: String,
}

/// A moment that every broker set, or every fault, comes to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Milestone {
    /// Which one.
    pub name: String,
    /// From the fault to it.
    pub latency_us: Quantiles,
    /// Each of them.
    pub samples_us: Vec<f64>,
}

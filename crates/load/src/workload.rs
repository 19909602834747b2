//! The workload file: a plan of load as text, read strictly.
//!
//! ```toml
//! schema = "pitchover.bench/v1"
//! name = "reads beside a fleet"
//! time = { warmup = "5s", measure = "60s" }
//! load = [{ op = "get_replica_info", arrival = "poisson", rate = 2000 }]
//! [fleet]
//! broker_sets = 100
//! ```
//!
//! An unknown key, a unit that is none, a rate that nobody can send: each is refused with file, line
//! and what is allowed. [`preset`] has the workloads that everyone may name. The whole of it stands
//! in `docs/PERFORMANCE.md`.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use check::At;

mod check;
mod faults;
mod presets;
pub(crate) mod trace;
mod units;

pub use faults::{FAULTS_SCHEMA, Fault, FaultKind, STRIKES_MAX};
pub use presets::{PRESETS, preset};
pub use trace::{TRACE_LINES_MAX, Timing};
pub use units::{Arrival, Connections, Key, Percent, Rate, Reads, Select, Span};

/// What `schema` says.
pub const SCHEMA: &str = "pitchover.bench/v1";

/// Most windows of one run.
pub const WINDOWS_MAX: u64 = 200_000;

/// Most connections of one stream to each node.
pub const CONNECTIONS_MAX: usize = 4_096;

/// Most requests of one stream that may wait for answers.
pub const IN_FLIGHT_MAX: usize = 100_000;

/// Most broker sets of a fleet: each has three brokers with addresses of their own.
pub const BROKER_SETS_MAX: usize = 33_000;

/// A plan of load.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    schema: String,
    /// Its name, for tables.
    pub name: String,
    /// Which production shape it models.
    #[serde(default)]
    pub description: String,
    /// Everything random comes from it.
    #[serde(default = "seed")]
    pub seed: u64,
    /// How long.
    pub time: Time,
    /// Multipliers of the streams' rates over time; by default 1 throughout.
    #[serde(default)]
    pub phase: Vec<Phase>,
    /// Open-loop streams beside the fleet.
    #[serde(default)]
    load: Vec<Spanned<Stream>>,
    /// What breaks, and when.
    #[serde(default)]
    fault: Vec<Spanned<Fault>>,
    /// What makes the run invalid.
    #[serde(default)]
    pub limits: Limits,
    /// What is kept.
    #[serde(default)]
    pub record: Record,
    /// What is asked.
    #[serde(default)]
    pub target: Target,
    /// Simulated brokers.
    #[serde(default)]
    pub fleet: Option<Fleet>,
    /// The text that it was read from.
    #[serde(skip)]
    pub text: String,
}

fn seed() -> u64 {
    42
}

/// How long a run is.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Time {
    /// Load that is not counted; see [`Workload::warm_up`].
    #[serde(default = "Span::five_seconds")]
    pub warmup: Span,
    /// Load that is.
    pub measure: Span,
    /// Load after it that is not counted.
    #[serde(default = "Span::nothing")]
    pub cooldown: Span,
    /// Length of a window.
    #[serde(default = "Span::one_second")]
    pub window: Span,
    /// How long answers are waited for at the end.
    #[serde(default = "Span::five_seconds")]
    pub drain_timeout: Span,
}

/// From a moment on the rates of all streams are multiplied.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// From the start of measuring.
    pub at: Span,
    /// The factor, 0 to 1,000.
    pub scale: f64,
}

/// One kind of request of a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Code 1004.
    GetReplicaInfo,
    /// Code 1005.
    GetMetadata,
    /// Code 1012.
    GetNextBrokerId,
    /// Code 1001, shrinking and expanding a set in turn.
    AlterSyncStateSet,
    /// Code 904, answered.
    Heartbeat,
    /// A store's read of one key.
    Get,
    /// A store's write of one key.
    Set,
}

impl Op {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::GetReplicaInfo,
        Self::GetMetadata,
        Self::GetNextBrokerId,
        Self::AlterSyncStateSet,
        Self::Heartbeat,
        Self::Get,
        Self::Set,
    ];

    /// As files and reports write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::GetReplicaInfo => "get_replica_info",
            Self::GetMetadata => "get_metadata",
            Self::GetNextBrokerId => "get_next_broker_id",
            Self::AlterSyncStateSet => "alter_sync_state_set",
            Self::Heartbeat => "heartbeat",
            Self::Get => "get",
            Self::Set => "set",
        }
    }

    fn is_of_store(self) -> bool {
        matches!(self, Self::Get | Self::Set)
    }
}

/// An open-loop stream of requests.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// What is asked.
    pub op: Op,
    /// When.
    #[serde(default)]
    pub arrival: Timing,
    /// Requests per second; absent with a trace, which has its own.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// About what: which broker set, or which key.
    #[serde(default)]
    pub key: Key,
    /// Connections to each node that is asked.
    #[serde(default = "Stream::default_connections")]
    pub conns: usize,
    /// How long an answer may take.
    #[serde(default = "Span::three_seconds")]
    pub timeout: Span,
    /// Requests that may wait for answers; one more is skipped.
    #[serde(default = "Stream::default_in_flight")]
    pub max_in_flight: usize,
    /// Keys of a store.
    #[serde(default = "Stream::default_keys")]
    pub keys: usize,
    /// Bytes of each value of a store.
    #[serde(default = "Stream::default_value_bytes")]
    pub value_bytes: usize,
}

impl Stream {
    fn default_connections() -> usize {
        32
    }

    fn default_in_flight() -> usize {
        20_000
    }

    fn default_keys() -> usize {
        10_000
    }

    fn default_value_bytes() -> usize {
        64
    }
}

/// What makes a run invalid.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// How late the generator may send: the 99th percentile.
    pub send_lag_p99: Span,
    /// Arrivals that need not be sent.
    pub skipped_arrivals: u64,
    /// Part (0 to 1) of one core for each of its threads that the generator may use.
    pub generator_cpu: f64,
    /// Share of the time in which somebody may wait for a processor, where the kernel counts it.
    pub psi_cpu_some: Percent,
    /// By how much civil time may move against the monotonic clock.
    pub clock_step: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            send_lag_p99: Span(Duration::from_millis(1)),
            skipped_arrivals: 0,
            generator_cpu: 0.80,
            psi_cpu_some: Percent(25.0),
            clock_step: Span(Duration::from_millis(1)),
        }
    }
}

/// What is kept of a run.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Record {
    /// The metrics page of every node at the end.
    pub server_metrics: bool,
    /// How many of the slowest requests.
    pub trace_slowest: usize,
}

impl Default for Record {
    fn default() -> Self {
        Self { server_metrics: true, trace_slowest: 50 }
    }
}

/// What is asked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Target {
    /// What speaks there.
    pub kind: Wire,
    /// Addresses, `host:port`; the command line may name others.
    pub controllers: Vec<String>,
    /// What a write of the target survives, if the target cannot say so itself.
    pub durability: Option<Class>,
    /// Where reads go.
    pub reads: Reads,
    /// Start so many controllers of our own.
    pub spawn: Option<Spawn>,
}

/// What a write survives, as somebody claims.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// The loss of power.
    Fsync,
    /// The end of a process.
    Async,
}

/// What speaks at the target's addresses.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wire {
    /// A controller, ours or Java's.
    #[default]
    Controller,
    /// The harness's own server with known answers.
    SelfTest,
    /// Redis, by RESP.
    Redis,
    /// Memcached, by its text commands.
    Memcached,
    /// Memcached, by its meta commands.
    MemcachedMeta,
    /// etcd, by the JSON gateway of its v3 interface.
    Etcd,
}

impl Wire {
    /// As files write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Controller => "controller",
            Self::SelfTest => "self-test",
            Self::Redis => "redis",
            Self::Memcached => "memcached",
            Self::MemcachedMeta => "memcached-meta",
            Self::Etcd => "etcd",
        }
    }

    fn is_store(self) -> bool {
        match self {
            Self::Redis | Self::Memcached | Self::MemcachedMeta | Self::Etcd => true,
            Self::Controller | Self::SelfTest => false,
        }
    }
}

/// Controllers of our own.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spawn {
    /// How many: 1, 3 or 5.
    pub peers: usize,
}

/// Simulated brokers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fleet {
    /// Broker sets of three brokers.
    pub broker_sets: usize,
    /// Brokers of each set; 3.
    #[serde(default = "Fleet::default_replicas")]
    pub replicas: usize,
    /// Whether brokers share connections.
    #[serde(default)]
    pub connections: Connections,
    /// How the brokers' periods lie to each other.
    #[serde(default)]
    pub phase: FleetPhase,
    /// Signs of life.
    #[serde(default)]
    pub heartbeat: Heartbeat,
    /// Polls (1004) of every broker; none if absent.
    #[serde(default)]
    pub get_replica_info: Option<Periodic>,
    /// Questions for the leader (1005) of every broker; none if absent.
    #[serde(default)]
    pub get_metadata: Option<Periodic>,
    /// Changes of sync-state sets by masters; none if absent.
    #[serde(default)]
    pub alter_sync_state_set: Option<Churn>,
    /// What brokers do when they are told something; nothing if absent.
    #[serde(default)]
    pub react: Option<React>,
}

impl Fleet {
    fn default_replicas() -> usize {
        crate::generator::plan::REPLICAS
    }
}

/// How the brokers' periods lie to each other.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FleetPhase {
    /// Evenly spread over the period.
    #[default]
    Uniform,
    /// All at one moment, as after a cut of power.
    Synchronized,
}

/// Heartbeats of every broker to every controller.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Heartbeat {
    /// Pause between two.
    pub every: Span,
    /// `heartbeatTimeoutMillis`.
    pub timeout: Span,
    /// Part of them (0 to 1) that is sent two-way, to have a latency.
    pub sample_twoway: f64,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self {
            every: Span(Duration::from_secs(1)),
            timeout: Span(Duration::from_secs(10)),
            sample_twoway: 0.01,
        }
    }
}

/// Something that every broker does again and again.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Periodic {
    /// Pause between two.
    pub every: Span,
    /// How long an answer may take.
    #[serde(default = "Span::three_seconds")]
    pub timeout: Span,
}

/// What brokers do when they are told something.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct React {
    /// By a new master to the notice that it is one (1008): it reports its sync-state set.
    pub to_role_change: Reaction,
    /// From the notice to the report.
    #[serde(default = "Span::nothing")]
    pub delay: Span,
    /// How long an answer may take.
    #[serde(default = "Span::three_seconds")]
    pub timeout: Span,
}

/// What a broker may do.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reaction {
    /// Code 1001.
    AlterSyncStateSet,
}

/// Replicas that fall behind and catch up.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Churn {
    /// When.
    #[serde(default)]
    pub arrival: Arrival,
    /// Changes per set and second.
    pub per_set: Rate,
    /// How long an answer may take.
    #[serde(default = "Span::three_seconds")]
    pub timeout: Span,
}

/// Why a text is no workload.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub struct WorkloadError {
    /// The file, or what else the text came from.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
    /// What is wrong and what is allowed.
    pub why: String,
}

impl fmt::Display for WorkloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.why)
    }
}

impl WorkloadError {
    /// At this byte of the text.
    fn at(file: &str, text: &str, at: usize, why: String) -> Self {
        let line = text.get(..at).map_or(1, |before| before.matches('\n').count() + 1);
        Self { file: file.to_owned(), line, why }
    }
}

impl Workload {
    /// Reads a workload; `file` is what errors call the text.
    ///
    /// # Errors
    /// - [`WorkloadError`]: what is wrong, where, and what is allowed.
    pub fn read(file: &str, text: &str) -> Result<Self, WorkloadError> {
        let failed = |at: usize, why: String| WorkloadError::at(file, text, at, why);
        let read = toml::from_str::<Self>(text).map_err(|error| {
            failed(error.span().map_or(0, |span| span.start), error.message().to_owned())
        });
        let mut workload = read?;
        workload.text = text.to_owned();
        workload.check().map_err(|(at, why)| match at {
            At::Byte(at) => failed(at, why),
            At::Key(key) => failed(place_of(text, key), why),
        })?;
        Ok(workload)
    }

    /// The streams.
    pub fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.load.iter().map(Spanned::get_ref)
    }

    /// The faults.
    pub fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.fault.iter().map(Spanned::get_ref)
    }

    /// The same workload, `factor` times as large: the rates of its streams, or the number of its
    /// broker sets if it has no streams.
    ///
    /// # Errors
    /// - [`WorkloadError`]: nobody can send that much.
    pub fn scaled(&self, factor: f64) -> Result<Self, WorkloadError> {
        let mut scaled = self.clone();
        let refused = |why: String| WorkloadError { file: self.name.clone(), line: 1, why };
        for stream in &mut scaled.load {
            let Some(rate) = stream.get_ref().rate else {
                return Err(refused("a trace is replayed as it is, at no other scale".to_owned()));
            };
            let rate = Rate::new(rate.0 * factor);
            let rate = rate.map_err(|why| refused(format!("scale {factor}: {why}")))?;
            stream.as_mut().rate = Some(rate);
        }
        if let (Some(fleet), true) = (&mut scaled.fleet, self.load.is_empty()) {
            fleet.broker_sets = scale(fleet.broker_sets, factor).max(1);
        }
        scaled.check().map_err(|(_, why)| refused(format!("scale {factor}: {why}")))?;
        Ok(scaled)
    }

    /// The warm-up in whole windows, so that the measured time begins with a window.
    #[must_use]
    pub fn warm_up(&self) -> Span {
        let (warm_up, window) = (self.time.warmup.nanos(), self.time.window.nanos().max(1));
        Span(Duration::from_nanos(warm_up.div_ceil(window) * window))
    }

    /// Load that is sent, all phases of the run together.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.warm_up().0 + self.time.measure.0 + self.time.cooldown.0
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a number of sets stays far below 2^53, and a float above it saturates"
)]
fn scale(count: usize, factor: f64) -> usize {
    (count as f64 * factor).round() as usize
}

fn place_of(text: &str, key: &str) -> usize {
    let starts = |line: &&str| line.trim_start().starts_with(key);
    let line = text.lines().find(starts);
    line.map_or(0, |line| line.as_ptr() as usize - text.as_ptr() as usize)
}

#[cfg(test)]
mod tests;

//! The lines of the append-only files.

use serde::{Deserialize, Serialize};

use crate::histogram::Encoded;

/// What was seen in one window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Window {
    /// Its beginning; a request counts in the window in which it was due.
    pub at_ms: i64,
    /// Its operations.
    pub ops: Vec<WindowOperation>,
    /// The measured processes.
    pub servers: Vec<WindowServer>,
    /// The host.
    pub host: HostWindow,
}

/// One operation in one window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WindowOperation {
    /// Which one.
    pub op: String,
    /// Requests that were due.
    pub offered: u64,
    /// Answers of success.
    pub ok: u64,
    /// Other answers, and lost connections.
    pub errors: u64,
    /// Requests without an answer in time.
    pub timeouts: u64,
    /// Requests that were due and not sent.
    pub skipped: u64,
    /// Requests whose asker was killed before the answer: they have no latency.
    pub abandoned: u64,
    /// From due to done.
    pub latency: Encoded,
    /// From due to sent.
    pub lag: Encoded,
}

/// One measured process in one window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WindowServer {
    /// Which one.
    pub node: String,
    /// CPU time within the window.
    pub cpu_us: u64,
    /// Resident memory at its end.
    pub rss_bytes: u64,
    /// Its process: another number means that it was started again.
    pub pid: Option<u32>,
    /// Threads at its end.
    pub threads: Option<u64>,
    /// Open descriptors at its end; looked at now and then only, since that takes time.
    pub files: Option<u64>,
    /// Bytes of its journal on disk, where the folder is known; now and then.
    pub journal_bytes: Option<u64>,
}

/// The host in one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostWindow {
    /// Time in which somebody waited for a processor, where the kernel counts it.
    pub psi_cpu_some_us: Option<u64>,
    /// Time that the hypervisor gave to others, all processors together.
    pub steal_us: Option<u64>,
    /// The latest that a one-millisecond sleep ended.
    pub sleeper_max_us: Option<u64>,
}

/// Something that happened, of `events.ndjson`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Happening {
    /// When.
    pub at_ms: i64,
    /// `fault`, `leader`, `election`, `phase`, `note`, …
    pub kind: String,
    /// In words.
    pub text: String,
}

/// One of the slowest requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Slow {
    /// What was asked.
    pub op: String,
    /// When it was due.
    pub due_ms: f64,
    /// From due to done.
    pub latency_us: f64,
    /// From sent to done.
    pub service_us: f64,
    /// From due to sent.
    pub lag_us: f64,
    /// `ok`, `timeout`, `lost` or `code N`.
    pub outcome: String,
}

/// One broker set of a failover run: milliseconds from the fault, where the moment came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BrokerSet {
    /// Its name.
    pub set: String,
    /// When its fault was.
    pub at_ms: i64,
    /// Milestones by name, in microseconds from the fault; absent ones never came.
    pub milestones_us: std::collections::BTreeMap<String, f64>,
}

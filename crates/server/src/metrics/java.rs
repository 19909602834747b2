//! Upstream's metrics under their own names, for dashboards that exist.
//!
//! Source: upstream `ControllerMetricsManager`, `ControllerMetricsConstant`; names as scraped from
//! release 5.5.0 (`vectors/metrics`).

use std::sync::OnceLock;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{ElectionResult, RequestKind, Status};

/// Upper bounds of the latency buckets, in microseconds.
const BUCKETS_US: [f64; 22] = [
    1.0,
    3.0,
    5.0,
    10.0,
    30.0,
    50.0,
    100.0,
    300.0,
    500.0,
    1000.0,
    3000.0,
    5000.0,
    10_000.0,
    30_000.0,
    50_000.0,
    100_000.0,
    300_000.0,
    500_000.0,
    1_000_000.0,
    3_000_000.0,
    5_000_000.0,
    10_000_000.0,
];

const KINDS: usize = RequestKind::ALL.len();
const STATUSES: usize = 3;

type Fixed<const N: usize> = [(&'static str, &'static str); N];
type Named = Vec<(&'static str, String)>;
type Histograms<const N: usize> = Family<Fixed<N>, Histogram, fn() -> Histogram>;

#[derive(Debug)]
pub(super) struct Java {
    requests: Family<Fixed<2>, Counter>,
    latencies: Histograms<1>,
    operations: Family<Fixed<2>, Counter>,
    operation_latencies: Histograms<2>,
    elections: Family<Named, Counter>,
    request_cells: [[OnceLock<Counter>; STATUSES]; KINDS],
    latency_cells: [OnceLock<Histogram>; KINDS],
    operation_cells: [OnceLock<Counter>; STATUSES],
    operation_latency_cell: OnceLock<Histogram>,
}

impl Java {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let java = Self {
            requests: Family::default(),
            latencies: Family::new_with_constructor(histogram),
            operations: Family::default(),
            operation_latencies: Family::new_with_constructor(histogram),
            elections: Family::default(),
            request_cells: Default::default(),
            latency_cells: Default::default(),
            operation_cells: Default::default(),
            operation_latency_cell: OnceLock::new(),
        };
        // The library appends `_total` to counters.
        registry.register("request", "total request num", java.requests.clone());
        registry.register(
            "request_latency_microseconds",
            "request latency",
            java.latencies.clone(),
        );
        registry.register("dledger_op", "total dledger operation num", java.operations.clone());
        let name = "dledger_op_latency_microseconds";
        registry.register(name, "dledger operation latency", java.operation_latencies.clone());
        registry.register("election", "total elect num", java.elections.clone());
        java
    }

    pub(super) fn request(&self, kind: RequestKind, status: Status, micros: u64) {
        if kind == RequestKind::Other {
            return;
        }
        let row = kind as usize;
        self.request_cells[row][status as usize]
            .get_or_init(|| {
                let labels =
                    [("request_type", kind.label()), ("request_handle_status", word(status))];
                self.requests.get_or_create_owned(&labels)
            })
            .inc();
        self.latency_cells[row]
            .get_or_init(|| self.latencies.get_or_create_owned(&[("request_type", kind.label())]))
            .observe(as_f64(micros));
    }

    pub(super) fn append(&self, status: Status, micros: u64) {
        let labels = [("dledger_operation", "append"), ("dLedger_operation_status", word(status))];
        self.operation_cells[status as usize]
            .get_or_init(|| self.operations.get_or_create_owned(&labels))
            .inc();
        if status == Status::Success {
            self.operation_latency_cell
                .get_or_init(|| self.operation_latencies.get_or_create_owned(&labels))
                .observe(as_f64(micros));
        }
    }

    pub(super) fn election(&self, cluster: &str, broker_set: &str, result: ElectionResult) {
        let labels = vec![
            ("cluster", cluster.to_owned()),
            ("broker_set", broker_set.to_owned()),
            ("election_result", election_word(result).to_owned()),
        ];
        self.elections.get_or_create(&labels).inc();
    }
}

pub(super) fn election_word(result: ElectionResult) -> &'static str {
    match result {
        ElectionResult::Elected => "new_master_elected",
        ElectionResult::Kept => "keep_current_master",
        ElectionResult::Nobody => "no_master_elected",
    }
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Success => "success",
        Status::Failed => "failed",
        Status::Timeout => "timeout",
    }
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS_US)
}

/// Exact up to 2^32 microseconds, which is over an hour; longer counts as that.
pub(super) fn as_f64(micros: u64) -> f64 {
    f64::from(u32::try_from(micros).unwrap_or(u32::MAX))
}

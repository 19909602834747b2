//! Upstream's metrics under their own names, for dashboards that exist.
//!
//! Source: upstream `ControllerMetricsManager`, `ControllerMetricsConstant`; names as scraped from
//! release 5.5.0 (`vectors/metrics`).

use core::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::page::{self, Labels, Show, Unit, counters, gauges, histograms, number};
use super::{ElectionResult, RequestKind, Shared};

/// Upstream's set.
#[derive(Debug)]
pub(super) struct Java(pub(super) Arc<Shared>);

/// The odd capital is part of the name.
const OPERATION: (&str, &str) = ("dledger_operation", "append");
const OPERATION_STATUS: &str = "dLedger_operation_status";

/// Upstream's words for requests without and with an exception. Its third, `timeout`, has no
/// use here: a request that was not decided in time is answered with code 1, which is a failure.
const REQUEST_STATUSES: [&str; 2] = ["success", "failed"];

/// Upstream's words for operations, in the order of `AppendResult`.
const OPERATION_STATUSES: [&str; 2] = ["success", "timeout"];

impl Collector for Java {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.each(&mut |family| page::write(&mut encoder, &family))
    }
}

impl Java {
    /// Shows every family that has series.
    pub(super) fn each(&self, show: &mut Show<'_>) -> fmt::Result {
        self.requests(show)?;
        self.operations(show)?;
        self.elections(show)?;
        self.state(show)
    }

    fn requests(&self, show: &mut Show<'_>) -> fmt::Result {
        let records = &self.0.records;
        // Upstream counts the codes it knows.
        let kinds = RequestKind::ALL.into_iter().filter(|kind| *kind != RequestKind::Other);
        let kinds: Vec<RequestKind> = kinds.collect();
        let totals = kinds.iter().flat_map(|kind| {
            let statuses = REQUEST_STATUSES.into_iter().zip(&records.statuses[*kind as usize]);
            statuses.map(|(status, count)| {
                let labels =
                    vec![("request_type", kind.label()), ("request_handle_status", status)];
                (labels, count.get())
            })
        });
        counters(show, ("request", "total request num"), totals.collect())?;
        let latencies = kinds.iter().map(|kind| {
            (vec![("request_type", kind.label())], records.latencies[*kind as usize].read())
        });
        let names = ("request_latency_microseconds", "request latency");
        histograms(show, names, Unit::Microseconds, latencies.collect())
    }

    fn operations(&self, show: &mut Show<'_>) -> fmt::Result {
        let records = &self.0.records;
        let totals = OPERATION_STATUSES.into_iter().zip(&records.appends);
        let totals = totals
            .map(|(status, count)| (vec![OPERATION, (OPERATION_STATUS, status)], count.get()));
        counters(show, ("dledger_op", "total dledger operation num"), totals.collect())?;
        let labels = vec![OPERATION, (OPERATION_STATUS, OPERATION_STATUSES[0])];
        let latency = vec![(labels, records.append_latencies.read())];
        let names = ("dledger_op_latency_microseconds", "dledger operation latency");
        histograms(show, names, Unit::Microseconds, latency)
    }

    /// Upstream has no reason among its labels, and a series must not be written twice.
    fn elections(&self, show: &mut Show<'_>) -> fmt::Result {
        let elections = self.0.records.elections.read();
        let mut totals: Vec<(Labels<'_>, u64)> = Vec::new();
        for (election, count) in &elections {
            let labels = vec![
                ("cluster", &*election.cluster),
                ("broker_set", &*election.broker_set),
                ("election_result", election.result.label()),
            ];
            // Sorted by these labels before the reason, so equal ones are neighbours.
            match totals.last_mut() {
                Some((before, total)) if *before == labels => *total += count,
                _ => totals.push((labels, *count)),
            }
        }
        counters(show, ("election", "total elect num"), totals)
    }

    fn state(&self, show: &mut Show<'_>) -> fmt::Result {
        let snapshot = self.0.snapshot();
        // Java means 0 to 3 and exports two less, having counted from the wrong start; "unknown" is
        // never exported there.
        let role = i64::from(self.0.role());
        let role = (role > 0).then(|| (vec![], role - 2));
        gauges(show, ("role", "role of current node"), role.into_iter().collect())?;
        let is_known = snapshot.journal_bytes > 0;
        let usage = is_known.then(|| (vec![], number(snapshot.journal_bytes)));
        let names = ("dledger_disk_usage_bytes", "disk usage of dledger");
        gauges(show, names, usage.into_iter().collect())?;
        let alive = snapshot.broker_sets.iter().map(|set| {
            let labels = vec![("cluster", &*set.cluster), ("broker_set", &*set.broker_set)];
            (labels, number(set.alive))
        });
        gauges(show, ("active_broker_num", "now active brokers num"), alive.collect())
    }
}

/// The bare name and the unit of a family, which the page spells out in its name.
pub(super) fn bare_name(name: &str) -> (&str, &'static str) {
    match name {
        "request" => ("request_total", ""),
        "dledger_op" => ("dledger_op_total", ""),
        "election" => ("election_total", ""),
        "request_latency_microseconds" => ("request_latency", "us"),
        "dledger_op_latency_microseconds" => ("dledger_op_latency", "us"),
        "dledger_disk_usage_bytes" => ("dledger_disk_usage", "bytes"),
        other => (other, ""),
    }
}

impl ElectionResult {
    /// Upstream's label, which is also ours.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Elected => "new_master_elected",
            Self::Kept => "keep_current_master",
            Self::Nobody => "no_master_elected",
        }
    }
}

//! Upstream's metrics under their own names, for dashboards that exist.
//!
//! Source: upstream `ControllerMetricsManager`, `ControllerMetricsConstant`; names as scraped from
//! release 5.5.0 (`vectors/metrics`).

use core::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::page::{Labels, Unit, counters, gauges, histograms, number};
use super::{ElectionResult, RequestKind, Shared, Status};

/// Upstream's set.
#[derive(Debug)]
pub(super) struct Java(pub(super) Arc<Shared>);

/// The odd capital is part of the name.
const OPERATION: (&str, &str) = ("dledger_operation", "append");
const OPERATION_STATUS: &str = "dLedger_operation_status";

impl Collector for Java {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.requests(&mut encoder)?;
        self.operations(&mut encoder)?;
        self.elections(&mut encoder)?;
        self.state(&mut encoder)
    }
}

impl Java {
    fn requests(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let records = &self.0.records;
        // Upstream counts the codes it knows.
        let kinds = RequestKind::ALL.into_iter().filter(|kind| *kind != RequestKind::Other);
        let kinds: Vec<RequestKind> = kinds.collect();
        let totals = kinds.iter().flat_map(|kind| {
            Status::ALL.into_iter().map(|status| {
                let labels =
                    vec![("request_type", kind.label()), ("request_handle_status", status.label())];
                (labels, records.statuses[*kind as usize][status as usize].get())
            })
        });
        counters(encoder, ("request", "total request num"), totals.collect())?;
        let latencies = kinds.iter().map(|kind| {
            let [direct, forwarded] = &records.latencies[*kind as usize];
            (vec![("request_type", kind.label())], direct.read().and(&forwarded.read()))
        });
        let names = ("request_latency_microseconds", "request latency");
        histograms(encoder, names, Unit::Microseconds, latencies.collect())
    }

    fn operations(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let records = &self.0.records;
        let totals = Status::ALL.into_iter().map(|status| {
            let labels = vec![OPERATION, (OPERATION_STATUS, status.label())];
            (labels, records.appends[status as usize].get())
        });
        counters(encoder, ("dledger_op", "total dledger operation num"), totals.collect())?;
        let labels = vec![OPERATION, (OPERATION_STATUS, Status::Success.label())];
        let latency = vec![(labels, records.append_latencies.read())];
        let names = ("dledger_op_latency_microseconds", "dledger operation latency");
        histograms(encoder, names, Unit::Microseconds, latency)
    }

    /// Upstream has no reason among its labels, and a series must not be written twice.
    fn elections(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
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
        counters(encoder, ("election", "total elect num"), totals)
    }

    fn state(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let snapshot = self.0.snapshot();
        // Java means 0 to 3 and exports two less, having counted from the wrong start; "unknown" is
        // never exported there.
        let role = i64::from(self.0.role());
        let role = (role > 0).then(|| (vec![], role - 2));
        gauges(encoder, ("role", "role of current node"), role.into_iter().collect())?;
        let usage = snapshot.store_bytes.map(|bytes| (vec![], number(bytes)));
        let names = ("dledger_disk_usage_bytes", "disk usage of dledger");
        gauges(encoder, names, usage.into_iter().collect())?;
        let alive = snapshot.broker_sets.iter().map(|set| {
            let labels = vec![("cluster", &*set.cluster), ("broker_set", &*set.broker_set)];
            (labels, number(set.alive))
        });
        gauges(encoder, ("active_broker_num", "now active brokers num"), alive.collect())
    }
}

impl Status {
    const ALL: [Self; 3] = [Self::Success, Self::Failed, Self::Timeout];

    fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
        }
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

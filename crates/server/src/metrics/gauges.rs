//! Gauges, written at a scrape from the last snapshot of the core.
//!
//! A collector and not a family of gauges: a broker set that is gone must vanish, and a scrape must
//! never see half of a snapshot.

use core::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::Shared;

/// Upstream's gauges.
#[derive(Debug)]
pub(super) struct Java(pub(super) Arc<Shared>);

/// Ours.
#[derive(Debug)]
pub(super) struct Own(pub(super) Arc<Shared>);

type Series<'a> = (Vec<(&'static str, &'a str)>, i64);

impl Collector for Java {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let snapshot = self.0.snapshot();
        // Java means 0 to 3 and exports two less, having counted from the wrong start; the value 0
        // for "unknown" is never exported there.
        let role = i64::from(self.0.role());
        let roles = (role > 0).then(|| (vec![], role - 2)).into_iter().collect();
        write(&mut encoder, "role", "role of current node", roles)?;
        let usage = snapshot.store_bytes.map(|bytes| (vec![], number(bytes)));
        let name = "dledger_disk_usage_bytes";
        write(&mut encoder, name, "disk usage of dledger", usage.into_iter().collect())?;
        let sets = snapshot.broker_sets.iter();
        let alive = sets.map(|set| {
            let labels = vec![("cluster", &*set.cluster), ("broker_set", &*set.broker_set)];
            (labels, number(set.alive))
        });
        write(&mut encoder, "active_broker_num", "now active brokers num", alive.collect())
    }
}

impl Collector for Own {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let snapshot = self.0.snapshot();
        let role_help = "0 unknown, 1 candidate, 2 follower, 3 leader";
        let single = [
            ("pitchover_raft_role", role_help, i64::from(self.0.role())),
            ("pitchover_raft_term", "Term of this peer", number(snapshot.term)),
            ("pitchover_raft_commit_index", "Commit index", number(snapshot.commit_index)),
            ("pitchover_raft_applied_index", "Applied index", number(snapshot.applied_index)),
            ("pitchover_journal_bytes", "Size of the journal", number(snapshot.journal_bytes)),
        ];
        for (name, help, value) in single {
            write(&mut encoder, name, help, vec![(vec![], value)])?;
        }
        let lags = snapshot.peer_lag_entries.iter();
        let lags = lags.map(|(peer, lag)| (vec![("peer", &**peer)], number(*lag)));
        let name = "pitchover_peer_lag_entries";
        write(&mut encoder, name, "Entries a peer lacks", lags.collect())?;
        let sets = &snapshot.broker_sets;
        let alive = sets.iter().map(|set| {
            let labels = vec![("cluster", &*set.cluster), ("broker_set", &*set.broker_set)];
            (labels, number(set.alive))
        });
        write(&mut encoder, "pitchover_brokers_alive", "Brokers alive", alive.collect())?;
        let sizes = sets
            .iter()
            .map(|set| (vec![("broker_set", &*set.broker_set)], number(set.sync_state_set_size)));
        let name = "pitchover_sync_state_set_size";
        write(&mut encoder, name, "Members of the sync-state set", sizes.collect())?;
        let depths = snapshot.queue_depths.iter();
        let depths = depths.map(|(queue, depth)| (vec![("queue", *queue)], number(*depth)));
        write(&mut encoder, "pitchover_queue_depth", "Waiting in a queue", depths.collect())?;
        let expiry = snapshot.certificate_expiry_seconds.map(|seconds| (vec![], seconds));
        let name = "pitchover_certificate_expiry_seconds";
        let help = "Time until the certificate ends";
        write(&mut encoder, name, help, expiry.into_iter().collect())
    }
}

/// Writes one metric with all its series, and nothing at all if there are none.
fn write(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: Vec<Series<'_>>,
) -> fmt::Result {
    if series.is_empty() {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in series {
        if labels.is_empty() {
            metric.encode_gauge(&value)?;
        } else {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
    }
    Ok(())
}

/// Prometheus counts in floating point; the limit of `i64` is far beyond its precision.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

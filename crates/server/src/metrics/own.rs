//! Our metrics: `pitchover_*`, in seconds and other base units.

use core::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::page::{self, Show, Unit, counters, gauges, histograms, number};
use super::record::CODES;
use super::{Batch, ElectionReason, RequestKind, Shared, Stage, Work};
use telemetry::Signal;

/// Our set.
#[derive(Debug)]
pub(super) struct Own(pub(super) Arc<Shared>);

/// Labels in the order of the enums' variants.
const NOTICES: [&str; 4] = ["sent", "acknowledged", "retried", "given_up"];
const EXPIRIES: [&str; 2] = ["silent", "refused"];

impl Collector for Own {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.each(&mut |family| page::write(&mut encoder, &family))
    }
}

impl Own {
    /// Shows every family that has series.
    pub(super) fn each(&self, show: &mut Show<'_>) -> fmt::Result {
        let build = vec![(vec![("version", env!("CARGO_PKG_VERSION"))], 1)];
        gauges(show, ("pitchover_build_info", "What runs here"), build)?;
        self.requests(show)?;
        self.events(show)?;
        self.consensus(show)?;
        self.stages(show)?;
        self.brokers(show)
    }

    fn requests(&self, show: &mut Show<'_>) -> fmt::Result {
        let records = &self.0.records;
        let totals = RequestKind::ALL.into_iter().flat_map(|kind| {
            let counts = CODES.into_iter().zip(&records.codes[kind as usize]);
            counts.map(move |(code, count)| {
                (vec![("type", kind.label()), ("code", code)], count.get())
            })
        });
        counters(show, ("pitchover_requests", "Requests by answer"), totals.collect())?;
        let latencies = RequestKind::ALL
            .into_iter()
            .map(|kind| (vec![("type", kind.label())], records.latencies[kind as usize].read()));
        let names = ("pitchover_request_seconds", "Time to answer");
        histograms(show, names, Unit::Seconds, latencies.collect())
    }

    fn events(&self, show: &mut Show<'_>) -> fmt::Result {
        let records = &self.0.records;
        let elections = records.elections.read();
        let totals = elections.iter().map(|(election, count)| {
            let reason = match election.reason {
                ElectionReason::Broker => "broker",
                ElectionReason::Operator => "operator",
                ElectionReason::MasterLost => "master_lost",
            };
            let labels = vec![
                ("cluster", &*election.cluster),
                ("broker_set", &*election.broker_set),
                ("result", election.result.label()),
                ("reason", reason),
            ];
            (labels, *count)
        });
        counters(show, ("pitchover_elections", "Elections of masters"), totals.collect())?;
        let refusals = records.refusals.read();
        let refusals = refusals.iter().map(|(limit, count)| (vec![("limit", *limit)], *count));
        counters(show, ("pitchover_refused", "Refused by a limit"), refusals.collect())?;
        let names = ("pitchover_unread_answers_bytes", "Memory of answers not read by clients");
        gauges(show, names, vec![(vec![], number(self.0.unread_bytes()))])?;
        let notices = NOTICES.into_iter().zip(&records.notices);
        let notices = notices.map(|(result, count)| (vec![("result", result)], count.get()));
        counters(show, ("pitchover_notices", "Role notices to brokers"), notices.collect())?;
        let expiries = EXPIRIES.into_iter().zip(&records.expiries);
        let expiries = expiries.map(|(reason, count)| (vec![("reason", reason)], count.get()));
        let names = ("pitchover_brokers_expired", "Brokers taken for dead");
        counters(show, names, expiries.collect())?;
        self.exports(show)?;
        let changes = vec![(vec![], records.leader_changes.get())];
        counters(show, ("pitchover_leader_changes", "Changes of leader seen"), changes)
    }

    /// What exporters sent, for whom it is seen here first that a collector takes nothing.
    fn exports(&self, show: &mut Show<'_>) -> fmt::Result {
        let exports = &self.0.exports;
        let signals = [("metrics", Signal::Metrics), ("spans", Signal::Spans)];
        let totals = signals.into_iter().flat_map(|(name, signal)| {
            let (sent, failed) = exports.messages(signal);
            [("sent", sent), ("failed", failed)]
                .map(|(result, count)| (vec![("signal", name), ("result", result)], count))
        });
        counters(show, ("pitchover_exports", "Messages to the collector"), totals.collect())?;
        let dropped = vec![(vec![], exports.spans_dropped())];
        counters(show, ("pitchover_spans_dropped", "Spans that no collector took"), dropped)
    }

    fn consensus(&self, show: &mut Show<'_>) -> fmt::Result {
        let snapshot = self.0.snapshot();
        let role_help = "0 unknown, 1 candidate, 2 follower, 3 leader";
        let single = [
            (("pitchover_raft_role", role_help), i64::from(self.0.role())),
            (("pitchover_raft_term", "Term of this peer"), number(snapshot.term)),
            (("pitchover_raft_commit_index", "Commit index"), number(snapshot.commit_index)),
            (("pitchover_raft_applied_index", "Applied index"), number(snapshot.applied_index)),
            (("pitchover_journal_bytes", "Size of the journal"), number(snapshot.journal_bytes)),
        ];
        for (names, value) in single {
            gauges(show, names, vec![(vec![], value)])?;
        }
        let records = &self.0.records;
        let counted = [
            (
                "pitchover_journal_written_bytes",
                "Bytes written to segments",
                &records.journal_written,
            ),
            ("pitchover_peer_frames", "Frames sent to other controllers", &records.peer_frames),
            ("pitchover_peer_bytes", "Bytes of those frames", &records.peer_bytes),
        ];
        for (name, help, count) in counted {
            counters(show, (name, help), vec![(vec![], count.get())])?;
        }
        let syncs = vec![(vec![], records.journal_syncs.read())];
        let names = ("pitchover_journal_sync_seconds", "Time of a journal's sync");
        histograms(show, names, Unit::Seconds, syncs)?;
        let lags = snapshot.peer_lag_entries.iter();
        let lags = lags.map(|(peer, lag)| (vec![("peer", &**peer)], number(*lag)));
        gauges(show, ("pitchover_peer_lag_entries", "Entries a peer lacks"), lags.collect())?;
        let depths = snapshot.queue_depths.iter();
        let depths = depths.map(|(queue, depth)| (vec![("queue", *queue)], number(*depth)));
        gauges(show, ("pitchover_queue_depth", "Waiting in a queue"), depths.collect())
    }

    fn stages(&self, show: &mut Show<'_>) -> fmt::Result {
        let records = &self.0.records;
        let stages = Stage::ALL
            .into_iter()
            .map(|stage| (vec![("stage", stage.label())], records.stages[stage as usize].read()));
        let names = ("pitchover_stage_seconds", "Time in a stage of a request's way");
        histograms(show, names, Unit::Seconds, stages.collect())?;
        let single = [
            (
                ("pitchover_snapshot_seconds", "Time to make a snapshot durable"),
                Unit::Seconds,
                &records.works[Work::Snapshot as usize],
            ),
            (
                ("pitchover_compaction_seconds", "Time to give up the log below a snapshot"),
                Unit::Seconds,
                &records.works[Work::Compaction as usize],
            ),
            (
                ("pitchover_batch_commands", "Commands applied in one turn"),
                Unit::Things,
                &records.batches[Batch::Commands as usize],
            ),
            (
                ("pitchover_batch_groups", "Groups that shared a write of the journal"),
                Unit::Things,
                &records.batches[Batch::Groups as usize],
            ),
        ];
        for (names, unit, latencies) in single {
            histograms(show, names, unit, vec![(vec![], latencies.read())])?;
        }
        Ok(())
    }

    fn brokers(&self, show: &mut Show<'_>) -> fmt::Result {
        let snapshot = self.0.snapshot();
        let alive = snapshot.broker_sets.iter().map(|set| {
            let labels = vec![("cluster", &*set.cluster), ("broker_set", &*set.broker_set)];
            (labels, number(set.alive))
        });
        gauges(show, ("pitchover_brokers_alive", "Brokers alive"), alive.collect())?;
        let sizes = snapshot
            .broker_sets
            .iter()
            .map(|set| (vec![("broker_set", &*set.broker_set)], number(set.sync_state_set_size)));
        let names = ("pitchover_sync_state_set_size", "Members of the sync-state set");
        gauges(show, names, sizes.collect())
    }
}

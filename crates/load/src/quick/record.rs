//! A row of `bench quick` as a run folder, so that reports draw and compare it like any other run.
//!
//! The latency of a closed loop is the time from sending to the answer: too kind a tail, which the
//! description says. There is no plan that the generator could be late for, so nothing makes such a run
//! invalid but its own end.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use measure::folder::{
    Cost, FolderError, Operation, Run, Server, Time, Validity, Window, WindowOperation, Writer,
};

use crate::closed_loop::{Measured, WINDOW};
use crate::host;
use crate::process::Process;
use crate::report::{self, Figures, Workload};

/// Counters of the servers' processes at one moment, in the order of the nodes.
#[derive(Clone, Debug)]
pub(super) struct Counters {
    cpu: Vec<Option<Duration>>,
    disk_written_bytes: Option<u64>,
}

impl Counters {
    pub(super) fn now(processes: &[Process]) -> Self {
        let cpu = processes.iter().map(|process| process.cpu()).collect();
        Self { cpu, disk_written_bytes: host::disk_written_bytes() }
    }

    /// What each of the same processes used since `before`, and what disks wrote.
    pub(super) fn since(&self, before: &Self, processes: &[Process]) -> Used {
        let moments = self.cpu.iter().zip(&before.cpu);
        let mut servers = Vec::with_capacity(processes.len());
        for (node, (process, (now, before))) in processes.iter().zip(moments).enumerate() {
            let spent = now.zip(*before).map(|(now, before)| now.saturating_sub(before));
            servers.push(Server {
                node: format!("n{node}"),
                cpu_us: spent.and_then(|spent| u64::try_from(spent.as_micros()).ok()),
                rss_max_bytes: process.rss_bytes(),
                syncs: None,
            });
        }
        let written = self.disk_written_bytes.zip(before.disk_written_bytes);
        let disk_written_bytes = written.map(|(now, before)| now.saturating_sub(before));
        Used { servers, disk_written_bytes }
    }
}

/// What a row of the table cost.
#[derive(Clone, Debug)]
pub(super) struct Used {
    servers: Vec<Server>,
    disk_written_bytes: Option<u64>,
}

/// The name of a row's run, the operation in it, and where it is asked.
fn name(workload: Workload) -> (&'static str, &'static str, &'static str) {
    match workload {
        Workload::AlterSyncStateSet => ("writes-saturated", "alter_sync_state_set", "leader"),
        Workload::GetReplicaInfo => ("reads-saturated", "get_replica_info", "leader"),
        Workload::Heartbeat => ("heartbeats-saturated", "heartbeat", "leader"),
        Workload::FollowerRead => ("follower-reads-saturated", "get_replica_info", "follower"),
        Workload::Mix => ("mix-saturated", "mix", "any"),
    }
}

/// Writes one row below `folder`, in a folder of the run's name.
///
/// # Errors
/// - [`FolderError`]: it cannot be written, or there is one already.
pub(super) fn write(
    folder: &Path,
    (run, connections): (Run, usize),
    (workload, figures): (Workload, &Figures),
    (measured, used): (&Measured, Used),
) -> Result<(), FolderError> {
    let (name, op, reads) = name(workload);
    let window_ms = u64::try_from(WINDOW.as_millis()).unwrap_or(u64::MAX);
    let whole = measured.time.as_millis() / WINDOW.as_millis();
    // What is left is a part of a window, whose rate would say nothing.
    let windows = measured.windows.iter().take(usize::try_from(whole).unwrap_or(usize::MAX));
    let mut all = measure::Histogram::default();
    let mut lines = Vec::new();
    for (number, latency) in windows.enumerate() {
        all.add(latency);
        let at_ms = i64::try_from(number).unwrap_or(i64::MAX)
            * i64::try_from(window_ms).unwrap_or(i64::MAX);
        let (offered, ok) = (latency.count(), latency.count());
        let latency = latency.encode();
        let op = op.to_owned();
        let seen = WindowOperation { op, offered, ok, latency, ..WindowOperation::default() };
        lines.push(Window { at_ms, ops: vec![seen], ..Window::default() });
    }
    let (count, latency_us) = (all.count(), all.quantiles());
    let per_request = |bytes: u64| report::count(bytes) / report::count(figures.requests.max(1));
    let mut run = Run {
        id: run.id.replacen(&run.name, name, 1),
        name: name.to_owned(),
        description: format!(
            "{connections} connections, each with one request in flight: a closed loop. Its rate is \
             what the servers can do; its latency counts from sending, so stalls hide in it."
        ),
        time: Time {
            warmup_ms: 0,
            measure_ms: window_ms * u64::try_from(lines.len()).unwrap_or(0),
            window_ms,
        },
        validity: Validity {
            valid: true,
            others_cores: figures.other_cores,
            ..Validity::default()
        },
        operations: vec![Operation {
            op: op.to_owned(),
            offered: count,
            ok: count,
            errors: BTreeMap::new(),
            latency_us,
            service_us: latency_us,
            ..Operation::default()
        }],
        cost: Cost {
            // Nothing is left where the brokers' own heartbeats alone took as much.
            cpu_us_per_op: figures.server_cpu_us_per_request.filter(|us| *us > 0.0),
            disk_bytes_per_op: used
                .disk_written_bytes
                .filter(|_| !used.servers.is_empty())
                .map(per_request),
            syncs_per_op: None,
        },
        servers: used.servers,
        ..run
    };
    run.target.reads = reads.to_owned();
    let mut writer = Writer::create(&folder.join(name), &run)?;
    lines.iter().try_for_each(|line| writer.window(line))?;
    run.finished = true;
    writer.finish(&run)
}

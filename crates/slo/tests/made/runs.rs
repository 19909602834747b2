//! Runs whose figures are known, for all suites of this crate.

use measure::folder::{
    Calibration, Correctness, Cost, Failover, Found, Goal, Milestone, Operation, Run, SCHEMA,
    Server, Time, Window, WindowOperation, WindowServer,
};
use measure::{Histogram, Quantiles};

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// A run of the workload `w` on `day` after 2026-12-01, with writes of these milliseconds in each of 40 windows.
pub(crate) fn run(day: u64, writes_ms: &[f64]) -> Found {
    let windows: Vec<Window> = (0..40).map(|number| window(number, writes_ms)).collect();
    let ok = windows.iter().flat_map(|window| &window.ops).map(|op| op.ok).sum();
    let samples_us: Vec<f64> = (1..=2_000).map(|number| f64::from(number) * 100.0).collect();
    let told = Milestone { name: "told".into(), latency_us: Quantiles::default(), samples_us };
    let untold =
        Goal { what: "survivors never told".into(), unit: "brokers".into(), ..Goal::default() };
    let run = Run {
        schema: SCHEMA.into(),
        id: format!("w-{day}"),
        name: "w".into(),
        arm: "pitchover-fsync".into(),
        finished: true,
        started_unix_ms: 1_796_083_200_000 + day * DAY_MS,
        commit: Some("abc".into()),
        time: Time { warmup_ms: 0, measure_ms: 40_000, window_ms: 1_000 },
        validity: measure::folder::Validity { valid: true, ..Default::default() },
        operations: vec![Operation { op: "write".into(), ok, offered: ok, ..Operation::default() }],
        servers: vec![Server {
            node: "n0".into(),
            rss_max_bytes: Some(50 << 20),
            ..Server::default()
        }],
        cost: Cost { disk_bytes_per_op: Some(300.0), ..Cost::default() },
        correctness: Correctness { checked: true, ..Correctness::default() },
        failover: Some(Failover {
            what: "masters".into(),
            goals: vec![untold],
            milestones: vec![told],
        }),
        ..Run::default()
    };
    Found { run, windows, ..Found::default() }
}

fn window(number: u16, writes_ms: &[f64]) -> Window {
    let mut histogram = Histogram::default();
    for request in 0..100_usize {
        let ms = writes_ms[(request + usize::from(number)) % writes_ms.len()];
        histogram.record(measure::histogram::whole(ms * 1e6));
    }
    let op = WindowOperation {
        op: "write".into(),
        offered: 100,
        ok: 100,
        latency: histogram.encode(),
        ..Default::default()
    };
    // 100 KiB a second are 352 MiB an hour.
    let rss_bytes = (40 << 20) + u64::from(number) * 102_400;
    let servers = vec![WindowServer {
        node: "n0".into(),
        cpu_us: 1_500,
        rss_bytes,
        ..WindowServer::default()
    }];
    Window { at_ms: i64::from(number) * 1_000, ops: vec![op], servers, ..Window::default() }
}

/// The same run on a host whose syncs take this long.
pub(crate) fn on_a_host(mut found: Found, fsync_p99_ms: f64) -> Found {
    let fdatasync_us = Quantiles { p99: Some(fsync_p99_ms * 1e3), ..Quantiles::default() };
    found.run.host.calibration = Some(Calibration { fdatasync_us, ..Calibration::default() });
    found
}

/// A file with one objective on that workload.
pub(crate) fn file(sli: &str, rest: &str) -> String {
    format!(
        "schema = \"pitchover.slo/v1\"\n\n# How bars move.\n[ratchet]\npromote_after = 3\ndays = 2\n\n[[slo]]\nid = \"it\"\n\
         component = \"c\"\nworkload = \"w\"\nsli = {sli}   # what is measured\n{rest}\n"
    )
}

//! Soaks whose figures are known: what grows must be found, and what does not must not.

use measure::Histogram;
use measure::folder::{
    Correctness, Found, HostWindow, Operation, Run, SCHEMA, Time, Validity, Window,
    WindowOperation, WindowServer,
};
use measure::judged::Verdict;
use measure::statistics::Random;
use slo::{Objectives, Soak, SoakOptions, Trend, soak};

/// Windows of five seconds; ten minutes of them.
const WINDOWS: u32 = 120;
const WINDOW_S: u32 = 5;

/// What a run is to show.
#[derive(Clone, Copy)]
struct Planted {
    seed: u64,
    /// Memory added in each second, in bytes.
    leak: u64,
    /// A descriptor more in so many seconds; 0 for none.
    files_every: u32,
    /// The process that is seen in a second.
    pid: fn(u32) -> u32,
    /// Milliseconds of the reads due in a second.
    read_ms: fn(u32) -> f64,
    /// Lateness of the generator in a second, in milliseconds.
    lag_ms: fn(u32) -> f64,
}

const QUIET: Planted =
    Planted { seed: 1, leak: 0, files_every: 0, pid: |_| 7, read_ms: |_| 2.0, lag_ms: |_| 0.1 };

fn found(planted: &Planted) -> Found {
    let mut random = Random::new(planted.seed, 3);
    let windows =
        (0..WINDOWS).map(|number| window(number * WINDOW_S, planted, &mut random)).collect();
    let run = Run {
        schema: SCHEMA.into(),
        id: "r".into(),
        name: "w".into(),
        arm: "pitchover-fsync".into(),
        finished: true,
        time: Time { warmup_ms: 0, measure_ms: 600_000, window_ms: 5_000 },
        validity: Validity { valid: true, ..Validity::default() },
        operations: vec![Operation { op: "read".into(), ok: 9, offered: 9, ..Default::default() }],
        correctness: Correctness {
            checked: true,
            lost_writes: Some(0),
            wrongly_dead: Some(0),
            ..Correctness::default()
        },
        ..Run::default()
    };
    Found { run, windows, ..Found::default() }
}

fn window(second: u32, planted: &Planted, random: &mut Random) -> Window {
    let (mut latency, mut lag) = (Histogram::default(), Histogram::default());
    let nanos = |ms: f64| measure::histogram::whole(ms * 1e6);
    for _ in 0..500 {
        latency.record(nanos((planted.read_ms)(second) * (0.8 + 0.4 * random.unit())));
        lag.record(nanos((planted.lag_ms)(second)));
    }
    let op = WindowOperation {
        op: "read".into(),
        offered: 500,
        ok: 500,
        latency: latency.encode(),
        lag: lag.encode(),
        ..Default::default()
    };
    let noise = measure::histogram::whole(random.unit() * 500_000.0);
    let files = 40 + second.checked_div(planted.files_every).unwrap_or(0);
    let server = WindowServer {
        node: "n0".into(),
        cpu_us: 1_500,
        rss_bytes: (40 << 20) + u64::from(second) * planted.leak + noise,
        pid: Some((planted.pid)(second)),
        threads: Some(9),
        files: Some(u64::from(files)),
        journal_bytes: Some(u64::from(second % 50) << 20),
    };
    Window {
        at_ms: i64::from(second) * 1_000,
        ops: vec![op],
        servers: vec![server],
        host: HostWindow::default(),
    }
}

const FILE: &str = "schema = \"pitchover.slo/v1\"\n[soak]\nslice_s = 60\nbudget = 0.1\n\n[[slo]]\nid = \"read-p99\"\n\
                    component = \"c\"\nworkload = \"w\"\nsli = { of = \"latency\", op = \"read\", q = 0.99 }\n\
                    minimum = { value = 5.0 }\n";

fn judged_with(found: &Found, gates_clock: bool) -> Soak {
    let objectives = Objectives::read("slo.toml", FILE).expect("the file is right");
    let options = SoakOptions {
        gates_clock,
        send_lag_us: 1_000.0,
        psi_cpu_some_pct: 25.0,
        today: "2026-12-01",
    };
    soak(&objectives, found, &options)
}

fn judged(planted: &Planted) -> Soak {
    judged_with(&found(planted), true)
}

fn growing(soak: &Soak) -> Vec<&str> {
    let growing = soak.drifts.iter().filter(|it| it.trend == Trend::Grows);
    growing.map(|it| it.what.as_str()).collect()
}

#[test]
fn a_quiet_run_passes_whatever_the_noise() {
    for seed in 0..5 {
        let soak = judged(&Planted { seed, ..QUIET });
        assert_eq!((soak.verdict, soak.code()), (Verdict::Pass, 0), "{:?}", soak.reasons);
        assert_eq!(soak.drifts.len(), 5, "four of the process, one p99");
        assert_eq!((soak.kept[0].judged, soak.kept[0].failed, soak.kept[0].allowed), (10, 0, 1));
    }
}

#[test]
fn planted_drifts_are_found_and_named() {
    // 20 KiB a second are 12 MiB in ten minutes; a descriptor in 20 seconds are 30 of them.
    let leaks = judged(&Planted { leak: 20_480, ..QUIET });
    assert_eq!((growing(&leaks), leaks.code()), (vec!["memory of n0"], 1));
    assert!(leaks.headline().contains("FAILED: memory of n0 grows"), "{}", leaks.headline());
    let files = judged(&Planted { files_every: 20, ..QUIET });
    assert_eq!(growing(&files), ["descriptors of n0"]);
    let few = judged(&Planted { files_every: 150, ..QUIET });
    assert_eq!(growing(&few), [""; 0], "four descriptors are within the margin");
    let slower = judged(&Planted { read_ms: |at| 2.0 + f64::from(at) / 300.0, ..QUIET });
    assert_eq!(growing(&slower), ["p99 of read"]);
    assert!(slower.changes.iter().any(|it| it.is_slower), "{:?}", slower.changes);
    assert_eq!(slower.code(), 1);
}

#[test]
fn only_the_longest_life_of_a_process_counts() {
    // Two processes that each grow from the same size for a short while, and one that lives long and does not.
    let lives = |at: u32| match at {
        0..60 => 7,
        60..120 => 8,
        _ => 9,
    };
    let mut found = found(&Planted { pid: lives, ..QUIET });
    for (number, window) in found.windows.iter_mut().enumerate().take(24) {
        window.servers[0].rss_bytes += (number as u64 % 12) << 22;
    }
    let soak = judged_with(&found, true);
    assert_eq!((growing(&soak), soak.code()), (Vec::<&str>::new(), 0), "{:?}", soak.reasons);
}

#[test]
fn slices_that_miss_are_counted_against_the_budget() {
    let one = judged(&Planted { read_ms: |at| if at < 60 { 9.0 } else { 2.0 }, ..QUIET });
    assert_eq!((one.kept[0].failed, one.kept[0].verdict), (1, Verdict::Pass));
    let two = Planted { read_ms: |at| if at < 120 { 9.0 } else { 2.0 }, ..QUIET };
    let failed = judged(&two);
    assert_eq!((failed.kept[0].failed, failed.code()), (2, 1), "{:?}", failed.reasons);
    let reported = judged_with(&found(&two), false);
    assert_eq!(reported.code(), 0, "of the clock: reported only: {:?}", reported.reasons);
    assert_eq!(reported.kept[0].verdict, Verdict::Fail);
    // A slice whose requests left late says nothing about the server.
    let late = judged(&Planted { lag_ms: |at| if at < 120 { 9.0 } else { 0.1 }, ..two });
    assert_eq!((late.kept[0].judged, late.kept[0].failed), (8, 0));
}

#[test]
fn what_must_not_be_fails_also_an_invalid_run() {
    let mut wrong = found(&QUIET);
    wrong.run.validity = Validity { reasons: vec!["it was late".into()], ..Validity::default() };
    let invalid = judged_with(&wrong, true);
    assert_eq!((invalid.code(), invalid.reasons.as_slice()), (3, &["it was late".to_owned()][..]));
    assert_eq!(judged_with(&wrong, false).code(), 0, "nothing of the clock is judged");
    wrong.run.correctness.wrongly_dead = Some(2);
    let dead = judged_with(&wrong, true);
    assert_eq!((dead.code(), dead.reasons[0].as_str()), (1, "2 living brokers taken for dead"));
    wrong.run.correctness.wrongly_dead = None;
    assert_eq!(judged_with(&wrong, false).code(), 2, "nobody counted");
    wrong.run.correctness.wrongly_dead = Some(0);
    wrong.run.operations[0].ok = 0;
    assert_eq!(judged_with(&wrong, false).reasons, ["no read succeeded"]);
}

#[test]
fn a_lost_write_is_told_once_though_it_is_a_violation_too() {
    let mut lost = found(&QUIET);
    (lost.run.correctness.lost_writes, lost.run.correctness.violations) = (Some(2), 2);
    let lost_only = judged_with(&lost, true);
    assert_eq!(lost_only.reasons, ["2 acknowledged writes that were lost"]);
    lost.run.correctness.violations = 3;
    let both = judged_with(&lost, true);
    assert_eq!(both.reasons, ["1 wrong answers", "2 acknowledged writes that were lost"]);
}

#[test]
fn a_run_that_is_too_short_is_undecided() {
    let mut short = found(&QUIET);
    short.windows.truncate(4);
    short.run.time.measure_ms = 20_000;
    let soak = judged_with(&short, false);
    assert_eq!(soak.code(), 2, "{:?}", soak.reasons);
    assert!(soak.reasons.iter().any(|it| it.contains("too few samples")), "{:?}", soak.reasons);
}

#[test]
fn a_time_that_cannot_be_told_is_open_only_where_times_are_judged() {
    // Nearly all requests came in the first window, so no other part of the run has a p99.
    let mut rare = found(&QUIET);
    for (number, window) in rare.windows.iter_mut().enumerate() {
        let mut latency = Histogram::default();
        let count = if number == 0 { 100_000 } else { 1 };
        (0..count).for_each(|_| latency.record(1_000_000));
        window.ops.iter_mut().for_each(|op| op.latency = latency.encode());
    }
    let judged = judged_with(&rare, true);
    assert_eq!(judged.code(), 2, "{:?}", judged.reasons);
    assert!(judged.reasons.iter().any(|it| it.contains("too few samples")), "{:?}", judged.reasons);
    let reported = judged_with(&rare, false);
    assert_eq!(reported.code(), 0, "{:?}", reported.reasons);
}

#[test]
fn tables_hold_what_was_judged_and_limits_are_checked() {
    let tables = judged(&Planted { leak: 20_480, ..QUIET }).tables();
    let titles: Vec<&str> = tables.iter().map(|table| table.title.as_str()).collect();
    assert_eq!(
        titles,
        [
            "What must not be",
            "Objectives, slice by slice",
            "Drift",
            "The last slice beside the first"
        ]
    );
    for table in &tables {
        assert!(table.rows.iter().all(|row| row.len() == table.columns.len()), "{table:?}");
    }
    for (from, to) in [("budget = 0.1", "budget = 2.0"), ("slice_s = 60", "slice_s = 0")] {
        let error = Objectives::read("f", &FILE.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains("[soak]: slice_s 1 to 86400, budget 0 to 1"), "{error}");
    }
    let looser = Objectives::read("f", &FILE.replace("budget = 0.1", "budget = 0.2")).unwrap();
    let found = slo::loosened(&Objectives::read("f", FILE).unwrap(), &looser, "2026-12-01");
    assert_eq!(found[0].what, "budget: 0.1 -> 0.2");
}

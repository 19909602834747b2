//! Run folders as a run would leave them, made up: the same seed gives the same folder.
#![allow(dead_code, clippy::allow_attributes, reason = "each test takes what it needs")]

use measure::folder::{
    Calibration, Correctness, Cost, Durability, Failover, Found, Goal, Happening, Host, HostWindow,
    Milestone, Operation, Run, SCHEMA, Server, Slow, Target, TargetKind, Time, Validity, Window,
    WindowOperation, WindowServer,
};
use measure::{Histogram, Quantiles};

/// The warm-up.
const WARMUP_S: u64 = 8;

/// How a server behaves.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) workload: &'static str,
    pub(crate) arm: &'static str,
    pub(crate) kind: TargetKind,
    pub(crate) durability: Durability,
    /// Writes and reads a second.
    pub(crate) rates: [u64; 2],
    /// Middle latency of writes and reads, in microseconds.
    pub(crate) middle_us: [f64; 2],
    /// Seconds from the start in which it stands still, and for how many milliseconds.
    pub(crate) pauses: &'static [(u64, f64)],
    pub(crate) cpu_us_per_op: f64,
    pub(crate) failover_us: Option<f64>,
    pub(crate) seed: u64,
    /// Measured time.
    pub(crate) seconds: u64,
}

impl Shape {
    pub(crate) fn ours() -> Self {
        Self {
            workload: "fleet-1k-steady",
            arm: "pitchover-fsync",
            kind: TargetKind::Pitchover,
            durability: Durability::Fsync,
            rates: [400, 1_200],
            middle_us: [620.0, 180.0],
            pauses: &[(30, 140.0)],
            cpu_us_per_op: 31.0,
            failover_us: Some(28_000.0),
            seed: 1,
            seconds: 60,
        }
    }

    /// The same, shorter and with less load, so that it is made quickly.
    pub(crate) fn brief(self) -> Self {
        Self { rates: [40, 100], seconds: 40, ..self }
    }

    pub(crate) fn jraft() -> Self {
        Self {
            arm: "java-jraft",
            kind: TargetKind::JavaJraft,
            middle_us: [4_900.0, 4_400.0],
            pauses: &[(11, 60.0), (22, 80.0), (30, 1_800.0), (44, 70.0), (55, 90.0)],
            cpu_us_per_op: 410.0,
            failover_us: Some(1_700_000.0),
            seed: 2,
            ..Self::ours()
        }
    }

    pub(crate) fn dledger() -> Self {
        Self {
            arm: "java-dledger",
            kind: TargetKind::JavaDledger,
            durability: Durability::Async,
            middle_us: [5_600.0, 900.0],
            pauses: &[(18, 120.0), (30, 2_900.0), (47, 90.0)],
            cpu_us_per_op: 1_040.0,
            failover_us: Some(8_500_000.0),
            seed: 3,
            ..Self::ours()
        }
    }
}

/// A generator of its own, so that no other crate changes the pages.
struct Random(u64);

impl Random {
    /// Above 0, below 1.
    fn share(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Around `middle`, with a tail to the right.
    fn latency_us(&mut self, middle: f64) -> f64 {
        let normal = (0..6).map(|_| self.share()).sum::<f64>() / 6.0 - 0.5;
        let tail = if self.share() < 0.01 { 1.0 + 0.3 / self.share().max(0.01) } else { 1.0 };
        middle * (normal * 3.0).exp() * tail
    }
}

fn nanos(us: f64) -> u64 {
    format!("{:.0}", us * 1e3).parse().expect("a rounded number")
}

/// Names of the operations, in the order of [`Shape::rates`].
const OPS: [&str; 2] = ["alter_sync_state_set", "get_replica_info"];

/// What has been made up so far.
struct Making<'a> {
    shape: &'a Shape,
    random: Random,
    totals: [(Histogram, Histogram, u64); 2],
    slowest: Vec<Slow>,
}

impl Making<'_> {
    /// One operation in the window of one second.
    fn window(&mut self, number: usize, second: u64, at_ms: i64) -> WindowOperation {
        let (rate, middle_us) = (self.shape.rates[number], self.shape.middle_us[number]);
        let (mut latency, mut lag) = (Histogram::default(), Histogram::default());
        let is_measured = second >= WARMUP_S;
        let cold = if is_measured { 1.0 } else { 1.0 + 4.0 / (1.0 + second as f64) };
        let pause = self.shape.pauses.iter().find(|pause| pause.0 + WARMUP_S == second);
        for request in 0..rate {
            let due_ms = request as f64 / rate as f64 * 1e3;
            let mut service_us = self.random.latency_us(middle_us) * cold;
            if let Some((_, length_ms)) = pause {
                service_us += (length_ms - due_ms).max(0.0) * 1e3;
            }
            let lag_us = self.random.latency_us(14.0);
            let latency_us = service_us + lag_us;
            latency.record(nanos(latency_us));
            lag.record(nanos(lag_us));
            if is_measured && service_us > 15.0 * middle_us {
                let (op, due_ms) = (OPS[number].to_owned(), at_ms as f64 + due_ms);
                let outcome = "ok".to_owned();
                self.slowest.push(Slow { op, due_ms, latency_us, service_us, lag_us, outcome });
            }
        }
        if is_measured {
            self.totals[number].0.add(&latency);
            self.totals[number].1.add(&lag);
            self.totals[number].2 += rate;
        }
        WindowOperation {
            op: OPS[number].to_owned(),
            offered: rate,
            ok: rate,
            latency: latency.encode(),
            lag: lag.encode(),
            ..WindowOperation::default()
        }
    }
}

/// The whole folder, as `measure::folder::read` would give it.
pub(crate) fn run(shape: &Shape) -> Found {
    let random = Random(shape.seed.wrapping_mul(0x9E37_79B9));
    let mut making = Making { shape, random, totals: Default::default(), slowest: Vec::new() };
    let mut windows = Vec::new();
    for second in 0..WARMUP_S + shape.seconds {
        let at_ms = i64::try_from(second * 1_000).expect("small") - 8_000;
        let ops = [0, 1].map(|number| making.window(number, second, at_ms)).to_vec();
        // One window is lost, as when a process was stopped.
        if second != 40 {
            let servers = vec![WindowServer {
                node: "n0".into(),
                cpu_us: 90_000,
                rss_bytes: 40_000_000,
                ..WindowServer::default()
            }];
            windows.push(Window { at_ms, ops, servers, host: HostWindow::default() });
        }
    }
    let Making { totals, mut slowest, .. } = making;
    slowest.sort_by(|left, right| right.latency_us.total_cmp(&left.latency_us));
    slowest.truncate(50);
    let operations = OPS.iter().zip(totals).map(|(op, (latency, lag, offered))| Operation {
        op: (*op).to_owned(),
        offered,
        ok: offered,
        latency_us: latency.quantiles(),
        service_us: latency.quantiles(),
        lag_us: lag.quantiles(),
        ..Operation::default()
    });
    let run = summary(shape, operations.collect());
    let events = events(shape);
    Found { folder: "/runs/a".into(), run, windows, events, slowest, ..Found::default() }
}

fn events(shape: &Shape) -> Vec<Happening> {
    let event =
        |at_ms, kind: &str, text: &str| Happening { at_ms, kind: kind.into(), text: text.into() };
    let mut events =
        vec![event(30_000, "fault", "leader killed"), event(30_400, "leader", "n1 leads term 3")];
    if shape.kind != TargetKind::Pitchover {
        events.push(event(44_000, "note", "GC pause <young>"));
    }
    events
}

fn summary(shape: &Shape, operations: Vec<Operation>) -> Run {
    let server = |node: &str| Server {
        node: node.to_owned(),
        cpu_us: Some(2_900_000),
        rss_max_bytes: Some(if shape.kind == TargetKind::Pitchover {
            41_000_000
        } else {
            612_000_000
        }),
        syncs: Some(24_000),
    };
    Run {
        schema: SCHEMA.to_owned(),
        id: format!("{}-{}", shape.arm, shape.seed),
        name: shape.workload.to_owned(),
        description:
            "1,000 broker sets × 3 replicas at Java's cadences; the leader is killed after 30 s"
                .to_owned(),
        arm: shape.arm.to_owned(),
        seed: shape.seed,
        finished: true,
        started_unix_ms: 1_795_342_013_000 + shape.seed * 90_000,
        commit: Some("0e52630c1d2e3f4a".to_owned()),
        command: ["pitchover", "bench", "run", "-f", "fleet 1k.toml", "--seed", "1"]
            .map(str::to_owned)
            .to_vec(),
        durability: shape.durability,
        target: Target {
            kind: shape.kind,
            version: Some("5.5.0".to_owned()),
            controllers: vec!["127.0.0.1:9770".to_owned(); 3],
            reads: "leader".to_owned(),
        },
        host: host(),
        time: Time {
            warmup_ms: WARMUP_S * 1_000,
            measure_ms: shape.seconds * 1_000,
            window_ms: 1_000,
        },
        workload: "schema = \"pitchover.bench/v1\"\nname = \"fleet-1k-steady\"\nseed = 1\n"
            .to_owned(),
        validity: Validity {
            valid: true,
            send_lag_p99_us: 31.0,
            generator_cpu: Some(0.31),
            psi_cpu_some_pct: Some(3.2),
            clock_step_us: Some(2),
            others_cores: Some(0.05),
            ..Validity::default()
        },
        operations,
        servers: ["n0", "n1", "n2"].map(server).to_vec(),
        cost: Cost {
            cpu_us_per_op: Some(shape.cpu_us_per_op),
            disk_bytes_per_op: Some(420.0),
            syncs_per_op: None,
        },
        correctness: Correctness { checked: true, ..Correctness::default() },
        failover: shape.failover_us.map(|middle| failover(middle, shape.seed)),
    }
}

fn host() -> Host {
    let few = |p50: f64, p99: f64| Quantiles {
        p50: Some(p50),
        p99: Some(p99),
        max: Some(p99 * 3.0),
        count: 2_000,
        ..Quantiles::default()
    };
    Host {
        cpus: 2,
        model: "Virtual processor".to_owned(),
        kernel: "6.18.44".to_owned(),
        memory_mib: 7_900,
        filesystem: "ext4".to_owned(),
        descriptors: 20_000,
        calibration: Some(Calibration {
            round_trip_us: few(11.0, 38.0),
            fdatasync_us: few(96.0, 410.0),
            sleep_overshoot_us: few(4.8, 14.0),
            others_cores: Some(0.04),
            ..Calibration::default()
        }),
    }
}

fn failover(middle_us: f64, seed: u64) -> Failover {
    let mut random = Random(seed ^ 0xFA11);
    let mut milestone = |name: &str, part: f64| {
        let mut samples: Vec<f64> = (0..200).map(|_| random.latency_us(middle_us * part)).collect();
        samples.sort_by(f64::total_cmp);
        Milestone { name: name.to_owned(), latency_us: Quantiles::default(), samples_us: samples }
    };
    let milestones =
        vec![milestone("noticed", 0.2), milestone("elected", 0.7), milestone("told", 1.0)];
    let goal = Goal {
        what: "told, last".into(),
        limit: 2_000.0,
        reached: middle_us / 400.0,
        unit: "ms".into(),
    };
    Failover { what: "masters".to_owned(), goals: vec![goal], milestones }
}

/// A folder that nobody finished.
pub(crate) fn unfinished() -> Found {
    let mut found = run(&Shape::ours().brief());
    found.run.finished = false;
    found.windows.truncate(30);
    found.slowest.clear();
    found.run.failover = None;
    found.notes.push("the run was not finished: its figures are those of its windows".to_owned());
    found
}

/// A folder whose generator was late.
pub(crate) fn invalid() -> Found {
    let mut found = run(&Shape::ours().brief());
    found.run.validity.valid = false;
    found.run.validity.send_lag_p99_us = 4_200.0;
    found.run.validity.reasons = vec!["send lag p99 4.2 ms, at most 1 ms".to_owned()];
    found
}

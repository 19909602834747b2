//! What runs say of one figure: its value and how far it could have been off.
//!
//! | Figure | Value | Interval (95 %) |
//! |---|---|---|
//! | latency | quantile of all runs' merged histograms | moving-block bootstrap over windows; by order statistics if there are few |
//! | answered, CPU | totals over totals | the same bootstrap |
//! | milestone | quantile of all samples | drawn samples; none for the last of all |
//! | growth of memory | slope of slices of the longest run | Theil–Sen |
//! | memory, bytes, counts | the most, or the totals | none: they are what they are |

use measure::cells::Cells;
use measure::folder::{Found, Server, Window};
use measure::histogram::is_supported;
use measure::statistics::{self, Sample};

use crate::file::{Sli, SliKind};

/// Slices of a run whose memory is looked at; longer ones than windows, since neighbouring windows resemble each other.
const SLICES: usize = 60;

/// Of intervals.
const CONFIDENCE: f64 = 0.95;

pub(crate) const MIB: f64 = 1_048_576.0;
pub(crate) const MS_PER_HOUR: f64 = 3_600_000.0;

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Measured {
    pub(crate) value: Option<f64>,
    /// Of an exact figure both ends are its value.
    pub(crate) interval: Option<(f64, f64)>,
    /// What is missing.
    pub(crate) why: String,
}

impl Measured {
    fn exactly(value: f64) -> Self {
        Self { value: Some(value), interval: Some((value, value)), why: String::new() }
    }

    fn missing(why: &str) -> Self {
        Self { why: why.to_owned(), ..Self::default() }
    }
}

/// The figure of all these runs together.
pub(crate) fn measured(sli: &Sli, runs: &[&Found]) -> Measured {
    match sli.of {
        SliKind::Latency => latency(&sli.op, sli.q.unwrap_or_default(), runs),
        SliKind::Answered => answered(&sli.op, runs),
        SliKind::Milestone => milestone(&sli.op, sli.q.unwrap_or_default(), runs),
        SliKind::Untold => untold(runs),
        SliKind::Cpu => cpu(runs),
        SliKind::Bytes => bytes(runs),
        SliKind::Memory => memory(runs),
        SliKind::MemoryGrowth => memory_growth(runs),
        SliKind::Violations => violations(runs),
        SliKind::WronglyDead => wrongly_dead(runs),
    }
}

/// The merged latencies of one operation.
pub(crate) fn merged(op: &str, runs: &[&Found]) -> Cells {
    let all: Vec<Cells> = runs.iter().map(|run| Cells::of(&run.latency(op))).collect();
    Cells::merged(all.iter())
}

/// Every window of one operation, run by run.
pub(crate) fn samples(op: &str, runs: &[&Found]) -> Vec<Vec<Sample>> {
    let sample = |run: &Found, window: &Window| {
        let of_op = window.ops.iter().find(|it| it.op == op);
        let latency = of_op.and_then(|it| it.latency.decode().ok());
        Sample {
            latency: latency.map(|it| Cells::of(&it)).unwrap_or_default(),
            ok: of_op.map_or(0, |it| it.ok),
            seconds: float(run.run.time.window_ms) / 1e3,
            cpu_us: 0,
        }
    };
    runs.iter().map(|run| run.measured().map(|window| sample(run, window)).collect()).collect()
}

fn latency(op: &str, q: f64, runs: &[&Found]) -> Measured {
    let cells = merged(op, runs);
    let Some(quantile) = cells.quantile(q) else {
        return Measured::missing("the runs have no such operation");
    };
    if !is_supported(cells.count(), q) {
        let why = format!("{} samples: fewer than ten lie beyond this quantile", cells.count());
        return Measured::missing(&why);
    }
    let draws = statistics::draw(&samples(op, runs), &[q]);
    let drawn = draws.and_then(|mut draws| statistics::middle(draws.quantiles.pop()?, CONFIDENCE));
    let interval = drawn.map(|(low, high)| (low / 1e6, high / 1e6));
    let ranks = quantile.interval_us.map(|(low, high)| (low / 1e3, high / 1e3));
    Measured {
        value: Some(quantile.value_us / 1e3),
        interval: interval.or(ranks),
        why: String::new(),
    }
}

fn answered(op: &str, runs: &[&Found]) -> Measured {
    let samples = samples(op, runs);
    let all = || samples.iter().flatten();
    let (ok, seconds) =
        all().fold((0, 0.0), |(ok, seconds), it| (ok + it.ok, seconds + it.seconds));
    if ok == 0 {
        return Measured::missing("the runs have no such operation, or no answer of success");
    }
    let draws = statistics::draw(&samples, &[]);
    let interval = draws.and_then(|draws| statistics::middle(draws.rate, CONFIDENCE));
    Measured { value: Some(float(ok) / seconds), interval, why: String::new() }
}

fn cpu(runs: &[&Found]) -> Measured {
    let sample = |window: &Window| Sample {
        ok: window.ops.iter().map(|it| it.ok).sum(),
        cpu_us: window.servers.iter().map(|it| it.cpu_us).sum(),
        seconds: 1.0,
        ..Sample::default()
    };
    let samples: Vec<Vec<Sample>> =
        runs.iter().map(|run| run.measured().map(sample).collect()).collect();
    let all = || samples.iter().flatten();
    let (ok, cpu_us) = all().fold((0, 0), |(ok, cpu), it| (ok + it.ok, cpu + it.cpu_us));
    if ok == 0 || cpu_us == 0 {
        return Measured::missing("nobody measured the servers' processes");
    }
    let draws = statistics::draw(&samples, &[]);
    let interval = draws.and_then(|draws| statistics::middle(draws.cpu_us_per_ok, CONFIDENCE));
    Measured { value: Some(float(cpu_us) / float(ok)), interval, why: String::new() }
}

fn bytes(runs: &[&Found]) -> Measured {
    let mut all = (0, 0.0);
    for run in runs.iter().map(|run| &run.run) {
        let ok: u64 = run.operations.iter().map(|op| op.ok).sum();
        let Some(each) = run.cost.disk_bytes_per_op else {
            return Measured::missing("nobody measured what the disks wrote");
        };
        all = (all.0 + ok, all.1 + each * float(ok));
    }
    match all {
        (0, _) => Measured::missing("no request was answered"),
        (ok, bytes) => Measured::exactly(bytes / float(ok)),
    }
}

fn milestone(name: &str, q: f64, runs: &[&Found]) -> Measured {
    let failovers = runs.iter().filter_map(|run| run.run.failover.as_ref());
    let milestones = failovers.flat_map(|it| &it.milestones).filter(|it| it.name == name);
    let mut samples: Vec<f64> = milestones.flat_map(|it| it.samples_us.iter().copied()).collect();
    samples.sort_by(f64::total_cmp);
    let Some(value) = statistics::quantile_of(&samples, q) else {
        return Measured::missing("the runs have no such milestone");
    };
    if q >= 1.0 {
        return Measured::exactly(value / 1e3);
    }
    if !is_supported(u64::try_from(samples.len()).unwrap_or(u64::MAX), q) {
        let why = format!("{} samples: fewer than ten lie beyond this quantile", samples.len());
        return Measured::missing(&why);
    }
    let interval = statistics::middle(statistics::draw_samples(&samples, q), CONFIDENCE);
    let interval = interval.map(|(low, high)| (low / 1e3, high / 1e3));
    Measured { value: Some(value / 1e3), interval, why: String::new() }
}

fn untold(runs: &[&Found]) -> Measured {
    let failovers = runs.iter().filter_map(|run| run.run.failover.as_ref());
    let mut goals =
        failovers.flat_map(|it| &it.goals).filter(|goal| goal.unit == "brokers").peekable();
    if goals.peek().is_none() {
        return Measured::missing("the runs have no failover");
    }
    Measured::exactly(goals.map(|goal| goal.reached).sum())
}

fn memory(runs: &[&Found]) -> Measured {
    let servers = runs.iter().flat_map(|run| &run.run.servers);
    match servers.filter_map(|server: &Server| server.rss_max_bytes).max() {
        Some(most) => Measured::exactly(float(most) / MIB),
        None => Measured::missing("nobody measured the servers' processes"),
    }
}

fn memory_growth(runs: &[&Found]) -> Measured {
    let Some(run) = runs.iter().max_by_key(|run| run.measured().count()) else {
        return Measured::missing("there is no run");
    };
    let windows: Vec<&Window> = run.measured().collect();
    let slice = windows.len().div_ceil(SLICES).max(1);
    let mut nodes: Vec<&str> = windows
        .iter()
        .flat_map(|window| &window.servers)
        .map(|server| server.node.as_str())
        .collect();
    nodes.sort_unstable();
    nodes.dedup();
    let slope = |node: &&str| {
        let mean = |slice: &[&Window]| {
            let servers = slice.iter().flat_map(|window| &window.servers);
            let sizes: Vec<u64> =
                servers.filter(|it| it.node == **node).map(|it| it.rss_bytes).collect();
            let at_ms = slice.first().map_or(0, |window| window.at_ms);
            let hours = float(u64::try_from(at_ms).unwrap_or_default()) / MS_PER_HOUR;
            let count = float(u64::try_from(sizes.len()).unwrap_or(u64::MAX));
            (!sizes.is_empty()).then(|| (hours, float(sizes.iter().sum()) / count / MIB))
        };
        let samples: Vec<(f64, f64)> = windows.chunks(slice).filter_map(mean).collect();
        statistics::slope(&samples)
    };
    match nodes.iter().filter_map(slope).max_by(|left, right| left.low.total_cmp(&right.low)) {
        Some(it) => Measured {
            value: Some(it.value),
            interval: Some((it.low, it.high)),
            why: String::new(),
        },
        None => Measured::missing("too few windows with the servers' memory"),
    }
}

fn violations(runs: &[&Found]) -> Measured {
    if runs.iter().any(|run| !run.run.correctness.checked) {
        return Measured::missing("nobody checked the answers");
    }
    Measured::exactly(float(runs.iter().map(|run| run.run.correctness.violations).sum()))
}

fn wrongly_dead(runs: &[&Found]) -> Measured {
    let counted: Option<u64> = runs.iter().map(|run| run.run.correctness.wrongly_dead).sum();
    match counted {
        Some(brokers) => Measured::exactly(float(brokers)),
        None => Measured::missing("nobody counted brokers that were taken for dead"),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts, bytes and milliseconds of runs are far below 2^53"
)]
fn float(count: u64) -> f64 {
    count as f64
}

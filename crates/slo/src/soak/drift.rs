//! What grows in a run, and whether that is a drift or noise.
//!
//! A series is cut into equal parts, of which there are at most [`PARTS_MAX`], and each part becomes one sample: the
//! mean of a size, the p99 of a time. It grows if three things hold together:
//!
//! 1. the lower end of the slope's interval (Theil and Sen) is above what is allowed an hour,
//! 2. the trend (Mann and Kendall) is unlikely to be none: less than [`ALPHA`], shared by all series (Bonferroni),
//! 3. over the whole time it comes to more than a [margin](Kind::margin), below which growth harms nobody: without one a
//!    five-minute run would call a page of memory a megabyte an hour.
//!
//! Of a process its longest life counts, without its first tenth, in which it grows into its work.

use measure::folder::{Found, Window};
use measure::histogram::{Histogram, as_f64, is_supported};
use measure::statistics::{self, Slope};
use serde::Serialize;

use super::Growth;
use crate::file::{Objectives, SliKind};
use crate::sli::{MIB, MS_PER_HOUR};

/// Most parts of a series.
const PARTS_MAX: usize = 60;

/// Fewest.
const PARTS_MIN: usize = 6;

/// How unlikely a trend must be to be believed, all series of a run together.
const ALPHA: f64 = 0.01;

/// Samples that a part needs to have a p99.
const P99_SAMPLES: u64 = 1_000;

/// One series.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drift {
    /// Of what: `memory of n0`.
    pub what: String,
    /// Of its growth an hour.
    pub unit: &'static str,
    /// Growth an hour, with its interval; absent with too few samples.
    pub slope: Option<Hourly>,
    /// How likely such a trend is if there is none, 0 to 1.
    pub p: f64,
    /// Growth an hour that is allowed.
    pub limit: f64,
    /// Growth over the whole time that harms nobody.
    pub margin: f64,
    /// Hours of the series.
    pub hours: f64,
    /// Whether it is a time, which depends on the host.
    pub is_of_clock: bool,
    /// What was found.
    pub trend: Trend,
}

/// Growth an hour.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Hourly {
    /// The middle.
    pub value: f64,
    /// Lower end of its 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// What was found of a series.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trend {
    /// It grows by more than is allowed.
    Grows,
    /// It does not.
    Still,
    /// Nobody can tell.
    TooFew,
}

/// Kinds of series.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Memory,
    Files,
    Threads,
    Journal,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Memory, Self::Files, Self::Threads, Self::Journal];

    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Files => "descriptors",
            Self::Threads => "threads",
            Self::Journal => "journal",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Memory | Self::Journal => "MiB/h",
            Self::Files | Self::Threads => "1/h",
        }
    }

    /// Growth in all that harms nobody: of memory what an allocator keeps for itself, of descriptors a few connections,
    /// of the journal some segments that wait to be used again.
    fn margin(self) -> f64 {
        match self {
            Self::Memory => 4.0,
            Self::Files => 8.0,
            Self::Threads => 2.0,
            Self::Journal => 64.0,
        }
    }

    fn limit(self, growth: &Growth) -> f64 {
        match self {
            Self::Memory => growth.memory,
            Self::Files => growth.files,
            Self::Threads => growth.threads,
            Self::Journal => growth.journal,
        }
    }
}

/// Growth of a p99 in all that harms nobody, in milliseconds.
const P99_MARGIN_MS: f64 = 1.0;

/// One sample: milliseconds from the start of measuring, and the value.
type Samples = Vec<(f64, f64)>;

/// All series of a run.
pub(super) fn drifts(objectives: &Objectives, found: &Found) -> Vec<Drift> {
    let mut growth = objectives.soak.growth;
    let promised = objectives
        .all()
        .find(|it| it.workload == found.run.name && it.sli.of == SliKind::MemoryGrowth);
    growth.memory = promised.map_or(growth.memory, |it| it.minimum.value);
    let windows: Vec<&Window> = found.measured().collect();
    let mut series: Vec<(Drift, Samples)> = Vec::new();
    for node in nodes(&windows) {
        for kind in Kind::ALL {
            let samples = parts(&longest_life(&windows, &node, kind), PARTS_MAX);
            // A figure that nobody could look at has no series.
            if !samples.is_empty() {
                let what = format!("{} of {node}", kind.name());
                series
                    .push((blank(what, kind.unit(), kind.limit(&growth), kind.margin()), samples));
            }
        }
    }
    for op in found.operations() {
        let samples = p99s(&windows, op);
        if !samples.is_empty() {
            let drift = blank(format!("p99 of {op}"), "ms/h", growth.p99, P99_MARGIN_MS);
            series.push((Drift { is_of_clock: true, ..drift }, samples));
        }
    }
    let alpha = ALPHA / as_f64(series.len().max(1) as u64);
    series.into_iter().map(|(drift, samples)| judged(drift, &samples, alpha)).collect()
}

fn blank(what: String, unit: &'static str, limit: f64, margin: f64) -> Drift {
    Drift {
        what,
        unit,
        slope: None,
        p: 1.0,
        limit,
        margin,
        hours: 0.0,
        is_of_clock: false,
        trend: Trend::TooFew,
    }
}

fn judged(mut drift: Drift, samples: &[(f64, f64)], alpha: f64) -> Drift {
    let hourly: Samples = samples.iter().map(|(ms, value)| (ms / MS_PER_HOUR, *value)).collect();
    let Some(Slope { value, low, high, p }) = statistics::slope(&hourly) else { return drift };
    let first = hourly.first().map_or(0.0, |it| it.0);
    drift.hours = hourly.last().map_or(0.0, |it| it.0) - first;
    (drift.slope, drift.p) = (Some(Hourly { value, low, high }), p);
    let grows = low > drift.limit && p < alpha && value * drift.hours > drift.margin;
    drift.trend = if grows { Trend::Grows } else { Trend::Still };
    drift
}

fn nodes(windows: &[&Window]) -> Vec<String> {
    let servers = windows.iter().flat_map(|window| &window.servers);
    let mut nodes: Vec<String> = servers.map(|server| server.node.clone()).collect();
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

/// What one process of a node was seen to have, the one that lived longest, without its first tenth.
fn longest_life(windows: &[&Window], node: &str, kind: Kind) -> Samples {
    let mut lives: Vec<(Option<u32>, Samples)> = Vec::new();
    for window in windows {
        let Some(server) = window.servers.iter().find(|server| server.node == node) else {
            continue;
        };
        if lives.last().is_none_or(|(pid, _)| *pid != server.pid) {
            lives.push((server.pid, Vec::new()));
        }
        let value = match kind {
            Kind::Memory => Some(as_f64(server.rss_bytes) / MIB),
            Kind::Files => server.files.map(as_f64),
            Kind::Threads => server.threads.map(as_f64),
            Kind::Journal => server.journal_bytes.map(|bytes| as_f64(bytes) / MIB),
        };
        let sample = value.map(|value| (at_ms(window), value));
        if let Some((_, samples)) = lives.last_mut() {
            samples.extend(sample);
        }
    }
    let span = |samples: &Samples| {
        samples.last().map_or(0.0, |it| it.0) - samples.first().map_or(0.0, |it| it.0)
    };
    let longest = lives.into_iter().map(|(_, samples)| samples);
    let longest = longest.max_by(|left, right| span(left).total_cmp(&span(right)));
    let Some(longest) = longest else { return Vec::new() };
    let from = longest.first().map_or(0.0, |it| it.0) + span(&longest) / 10.0;
    longest.into_iter().filter(|it| it.0 >= from).collect()
}

/// Means of equal parts, at most so many.
fn parts(samples: &Samples, most: usize) -> Samples {
    let size = samples.len().div_ceil(most).max(1);
    let mean = |part: &[(f64, f64)]| {
        let count = as_f64(part.len() as u64);
        let value = part.iter().map(|it| it.1).sum::<f64>() / count;
        (part.first().map_or(0.0, |it| it.0), value)
    };
    samples.chunks(size).map(mean).collect()
}

/// The p99 of an operation over time, in as many parts as its requests allow.
fn p99s(windows: &[&Window], op: &str) -> Samples {
    let latency = |window: &Window| {
        let of_op = window.ops.iter().find(|it| it.op == op)?;
        of_op.latency.decode().ok().filter(|it| it.count() > 0)
    };
    let each: Vec<(f64, Histogram)> =
        windows.iter().filter_map(|window| Some((at_ms(window), latency(window)?))).collect();
    let count: u64 = each.iter().map(|it| it.1.count()).sum();
    let fit = usize::try_from(count / P99_SAMPLES).unwrap_or(PARTS_MAX);
    if fit < PARTS_MIN {
        return Vec::new();
    }
    let size = each.len().div_ceil(fit.min(PARTS_MAX)).max(1);
    let merged = |part: &[(f64, Histogram)]| {
        let mut all = Histogram::default();
        part.iter().for_each(|it| all.add(&it.1));
        let is_enough = is_supported(all.count(), 0.99);
        is_enough.then(|| (part.first().map_or(0.0, |it| it.0), all.quantile_ms(0.99)))
    };
    each.chunks(size).filter_map(merged).collect()
}

fn at_ms(window: &Window) -> f64 {
    as_f64(u64::try_from(window.at_ms).unwrap_or_default())
}

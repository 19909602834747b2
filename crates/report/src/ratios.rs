//! Every arm against the first: ratio, interval, and what follows.

use crate::arms::{Model, Op, Workload};
use crate::summary::{ArmFigures, CostFigures};
use measure::comparison::{COST_MARGIN, Change, LATENCIES, MEMORY_MARGIN, RATE_MARGIN};
use measure::folder::Failover;
use measure::histogram::is_supported;
use measure::judged::Better;
use measure::statistics::{self, Draws, Sample};
use serde::Serialize;

/// One metric of one arm beside that of the first.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Ratio {
    #[serde(skip)]
    pub(crate) number: usize,
    pub(crate) arm: String,
    /// An operation, a milestone, or `servers`.
    pub(crate) of: String,
    pub(crate) metric: &'static str,
    pub(crate) unit: Unit,
    pub(crate) better: Better,
    pub(crate) base: f64,
    pub(crate) value: f64,
    pub(crate) ratio: f64,
    pub(crate) interval: Option<(f64, f64)>,
    pub(crate) margin: f64,
    /// Nothing without an interval: one value says nothing of its error.
    pub(crate) change: Option<Change>,
    /// The arms do not promise the same.
    pub(crate) across_durability: bool,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    Microseconds,
    PerSecond,
    Bytes,
    Count,
}

impl Unit {
    pub(crate) fn show(self, value: f64) -> String {
        use crate::draw::numbers;
        match self {
            Self::Microseconds => numbers::latency(value),
            Self::PerSecond => numbers::rate(value),
            Self::Bytes => numbers::bytes(value),
            Self::Count => numbers::three_digits(value),
        }
    }
}

/// A metric before it is compared.
struct Metric {
    of: String,
    metric: &'static str,
    unit: Unit,
    better: Better,
    margin: f64,
    value: f64,
    draws: Vec<f64>,
}

/// All ratios of a workload, metric by metric, and within a metric arm by arm.
pub(crate) fn all(model: &Model<'_>, workload: &Workload<'_>, arms: &[ArmFigures]) -> Vec<Ratio> {
    let metrics: Vec<Vec<Metric>> = workload
        .entries
        .iter()
        .zip(arms)
        .map(|(entry, figures)| {
            let mut metrics: Vec<Metric> = entry.step().ops.iter().flat_map(of_op).collect();
            metrics.extend(figures.failover.iter().flat_map(of_failover));
            metrics.extend(of_cost(&figures.cost));
            metrics
        })
        .collect();
    let Some((base, others)) = metrics.split_first() else { return Vec::new() };
    let mut ratios = Vec::new();
    for metric in base {
        for (figures, other) in arms.iter().skip(1).zip(others) {
            let same = |it: &&Metric| it.of == metric.of && it.metric == metric.metric;
            let Some(other) = other.iter().find(same) else { continue };
            let durability = |figures: &ArmFigures| model.arms[figures.number].durability;
            let across = durability(&arms[0]) != durability(figures);
            ratios.extend(ratio(figures, metric, other, across));
        }
    }
    ratios
}

fn ratio(figures: &ArmFigures, base: &Metric, other: &Metric, across: bool) -> Option<Ratio> {
    let ratio = other.value / base.value;
    if !ratio.is_finite() || ratio <= 0.0 {
        return None;
    }
    let interval = statistics::ratio_interval(&other.draws, &base.draws);
    Some(Ratio {
        number: figures.number,
        arm: figures.arm.clone(),
        of: base.of.clone(),
        metric: base.metric,
        unit: base.unit,
        better: base.better,
        base: base.value,
        value: other.value,
        ratio,
        interval,
        margin: base.margin,
        change: interval.map(|interval| Change::of(ratio, interval, base.margin, base.better)),
        across_durability: across,
    })
}

fn of_op(op: &Op) -> Vec<Metric> {
    let seconds = |run: usize| op.windows[run].iter().filter(|window| window.is_measured).count();
    let sample = |run: usize, window: &crate::arms::OpWindow| Sample {
        latency: window.latency.clone(),
        ok: window.ok,
        // Only ratios of rates are taken, so that the unit of time is free: a run's share of the whole.
        seconds: op.seconds / op.windows.len() as f64 / seconds(run).max(1) as f64,
        cpu_us: 0,
    };
    let runs: Vec<Vec<Sample>> = op
        .windows
        .iter()
        .enumerate()
        .map(|(run, windows)| {
            let measured = windows.iter().filter(|window| window.is_measured);
            measured.map(|window| sample(run, window)).collect()
        })
        .filter(|run: &Vec<Sample>| !run.is_empty())
        .collect();
    let quantiles = LATENCIES.map(|compared| compared.0);
    let draws = statistics::draw(&runs, &quantiles)
        .unwrap_or_else(|| Draws { quantiles: vec![Vec::new(); 3], ..Draws::default() });
    let mut metrics = Vec::new();
    let told = [op.told.p50, op.told.p99, op.told.p999];
    for (((q, metric, margin), draws), told) in LATENCIES.into_iter().zip(draws.quantiles).zip(told)
    {
        let Some(value) = op.latency.supported(q).or(told) else { continue };
        metrics.push(Metric {
            of: op.name.clone(),
            metric,
            unit: Unit::Microseconds,
            better: Better::Lower,
            margin,
            value,
            draws,
        });
    }
    metrics.push(Metric {
        of: op.name.clone(),
        metric: "answered",
        unit: Unit::PerSecond,
        better: Better::Higher,
        margin: RATE_MARGIN,
        value: op.ok_per_s(),
        draws: draws.rate,
    });
    metrics
}

fn of_failover(failover: &Failover) -> Vec<Metric> {
    let mut metrics = Vec::new();
    for milestone in &failover.milestones {
        for (q, metric, margin) in LATENCIES {
            let samples = &milestone.samples_us;
            if !is_supported(samples.len() as u64, q) {
                continue;
            }
            let Some(value) = statistics::quantile_of(samples, q) else { continue };
            metrics.push(Metric {
                of: milestone.name.clone(),
                metric,
                unit: Unit::Microseconds,
                better: Better::Lower,
                margin,
                value,
                draws: statistics::draw_samples(samples, q),
            });
        }
    }
    metrics
}

fn of_cost(cost: &CostFigures) -> Vec<Metric> {
    let rows = [
        ("CPU per operation", Unit::Microseconds, COST_MARGIN, cost.cpu_us_per_op),
        ("disk bytes per operation", Unit::Bytes, COST_MARGIN, cost.disk_bytes_per_op),
        ("syncs per operation", Unit::Count, COST_MARGIN, cost.syncs_per_op),
        (
            "memory, most of a node",
            Unit::Bytes,
            MEMORY_MARGIN,
            cost.rss_max_bytes.map(|it| it as f64),
        ),
    ];
    let rows = rows.into_iter().filter_map(|(metric, unit, margin, value)| {
        let of = "servers".to_owned();
        let (better, draws) = (Better::Lower, Vec::new());
        Some(Metric { of, metric, unit, better, margin, value: value?, draws })
    });
    rows.collect()
}

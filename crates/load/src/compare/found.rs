//! What the blocks of a comparison come to. No clock, no process: blocks in, effects out.
//!
//! | Metric | Of a quad | Judged if |
//! |---|---|---|
//! | p50, p99 of each operation | log of the quantiles of B's blocks less that of A's | a block holds 100 / (1 − q) requests or more |
//! | p99.9 | histograms of all drawn blocks merged, since tails of blocks are biased | the same |
//! | CPU for each operation, bytes on disks for each | log of the costs | the host counts them |
//!
//! What is measured and not judged is `reported_only`. Quads are dropped for what the host did, never for what they say.

use std::collections::{BTreeMap, BTreeSet};

use measure::Cells;
use measure::comparison::{COST_MARGIN, Change, Effect, LATENCIES};
use measure::histogram::is_supported;
use measure::judged::Better;
use measure::statistics::{self, Estimate, Options, QUADS_MIN, effect, holm, pooled_effect};

use crate::generator::measures::{Kind, Measures, Tally};
use crate::run::succeeded;

/// A hypervisor that took more than this part of a block, in percent, spoilt it.
const STEAL_MAX_PCT: f64 = 1.0;

/// A quantile that is judged has so many requests beyond it in each block.
const BEYOND_MIN: f64 = 100.0;

/// Quantiles from here on are those of merged histograms.
const POOLED_FROM: f64 = 0.995;

/// Draws where each merges histograms.
const POOLED_DRAWS: usize = 1_000;

/// What may be wrong of the comparison of the baseline with itself.
const SAME_ALPHA: f64 = 0.05;

/// What one block holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    /// Of the candidate, or of the second copy of the baseline.
    pub(super) is_candidate: bool,
    /// Latencies by operation.
    pub(super) ops: BTreeMap<&'static str, Cells>,
    /// Requests that succeeded, heartbeats included.
    pub(super) ok: u64,
    pub(super) cpu_us: Option<u64>,
    pub(super) disk_written_bytes: Option<u64>,
    pub(super) pressure_pct: f64,
    pub(super) steal_pct: f64,
}

impl Block {
    /// The requests of a block.
    pub(super) fn of(tally: &Tally) -> Self {
        let ops = tally.0.iter().filter(|(_, it)| it.latency.count() > 0);
        let ok = |(kind, it): (&Kind, &Measures)| succeeded(*kind, it);
        Self {
            ops: ops.map(|(kind, it)| (kind.name(), Cells::of(&it.latency))).collect(),
            ok: tally.0.iter().map(ok).sum(),
            ..Self::default()
        }
    }
}

/// Four blocks.
#[derive(Clone, Debug)]
pub(super) struct Quad {
    pub(super) restart: usize,
    /// The baseline with its second copy.
    pub(super) is_same: bool,
    pub(super) blocks: Vec<Block>,
}

impl Quad {
    fn side(&self, is_candidate: bool) -> impl Iterator<Item = &Block> {
        self.blocks.iter().filter(move |block| block.is_candidate == is_candidate)
    }

    /// The log of candidate / baseline of a figure of blocks: means of the logs of each arm's.
    fn log_ratio(&self, figure: &impl Fn(&Block) -> Option<f64>) -> Option<f64> {
        let mean = |is_candidate: bool| {
            let logs: Option<Vec<f64>> =
                self.side(is_candidate).map(|block| figure(block).map(f64::ln)).collect();
            let logs = logs.filter(|logs| !logs.is_empty())?;
            Some(logs.iter().sum::<f64>() / count(logs.len()))
        };
        Some(mean(true)? - mean(false)?)
    }

    fn merged(&self, op: &str, is_candidate: bool) -> Cells {
        Cells::merged(self.side(is_candidate).filter_map(|block| block.ops.get(op)))
    }
}

/// What is decided before anything is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Somebody may wait for a processor for so large a part of a block, in percent.
    pub(super) pressure_pct: f64,
    /// How often all verdicts together may be wrong if there is no difference, 0 to 1.
    pub(super) alpha: f64,
    pub(super) seed: u64,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) effects: Vec<Effect>,
    pub(super) same: Vec<Effect>,
    pub(super) kept: usize,
    pub(super) kept_same: usize,
    pub(super) dropped: usize,
    /// Why nothing follows.
    pub(super) reasons: Vec<String>,
}

/// Effects of all quads whose blocks the host left alone.
pub(super) fn found(quads: &[Quad], terms: &Terms) -> Found {
    let is_left_alone = |quad: &&Quad| {
        let mut blocks = quad.blocks.iter();
        blocks.all(|it| it.pressure_pct <= terms.pressure_pct && it.steal_pct <= STEAL_MAX_PCT)
    };
    let kept: Vec<&Quad> = quads.iter().filter(is_left_alone).collect();
    let (same, pairs): (Vec<&Quad>, Vec<&Quad>) = kept.iter().partition(|quad| quad.is_same);
    let dropped = quads.len() - kept.len();
    let mut reasons = Vec::new();
    if dropped * 2 > quads.len() || quads.is_empty() {
        let limit = terms.pressure_pct;
        let mut pressures: Vec<f64> =
            quads.iter().flat_map(|quad| quad.blocks.iter().map(|it| it.pressure_pct)).collect();
        let typical = statistics::median(&mut pressures).unwrap_or_default();
        reasons.push(format!(
            "the host is too busy: {dropped} of {} quads were dropped; somebody waited for a processor {typical:.0} % of \
             the time (median of blocks), limit {limit:.0} %, or more than {STEAL_MAX_PCT:.0} % were stolen",
            quads.len()
        ));
    }
    let effects = judged(&pairs, |quad| quad.restart, terms);
    // Few of them: each is a cluster of its own, so that Student's t widens the interval.
    let numbers: BTreeMap<*const Quad, usize> =
        same.iter().enumerate().map(|(number, quad)| (std::ptr::from_ref(*quad), number)).collect();
    let own = Terms { alpha: SAME_ALPHA, ..*terms };
    let same_effects = judged(&same, |quad| numbers[&std::ptr::from_ref(quad)], &own);
    for it in same_effects.iter().filter(|it| differs(it)) {
        let Effect { op, metric, ratio, .. } = &it.effect;
        reasons.push(format!(
            "the baseline differs from its own copy: {op} {metric}, ratio {ratio:.3}"
        ));
    }
    Found {
        effects: effects.into_iter().map(|it| with_verdict(it, pairs.len())).collect(),
        kept: pairs.len(),
        kept_same: same.len(),
        same: same_effects.into_iter().map(|it| it.effect).collect(),
        dropped,
        reasons,
    }
}

/// An effect, and whether it is believed beside all others.
#[derive(Clone, Debug)]
struct Judged {
    effect: Effect,
    is_believed: bool,
}

fn differs(it: &Judged) -> bool {
    it.is_believed && !it.effect.reported_only
}

fn with_verdict(it: Judged, quads: usize) -> Effect {
    let Judged { mut effect, is_believed } = it;
    let interval = effect.low.zip(effect.high).filter(|_| quads >= QUADS_MIN);
    let change =
        interval.map(|interval| Change::of(effect.ratio, interval, effect.margin, effect.better));
    effect.verdict = match change {
        Some(Change::Faster | Change::Slower) if !is_believed => Change::Inconclusive,
        Some(change) => change,
        None => Change::Inconclusive,
    };
    effect
}

/// All effects with their intervals, and Holm's correction over those that are judged.
fn judged(quads: &[&Quad], cluster: impl Fn(&Quad) -> usize, terms: &Terms) -> Vec<Judged> {
    let mut clusters: BTreeMap<usize, Vec<&Quad>> = BTreeMap::new();
    for quad in quads {
        clusters.entry(cluster(quad)).or_default().push(quad);
    }
    let clusters: Vec<Vec<&Quad>> = clusters.into_values().collect();
    let mut effects = latencies(&clusters, terms);
    let cost = |of: fn(&Block) -> Option<u64>| {
        move |block: &Block| Some(float(of(block)?) / float(block.ok.max(1))).filter(|it| *it > 0.0)
    };
    for (metric, unit, of) in [
        ("cpu_us_per_op", "us", (|block| block.cpu_us) as fn(&Block) -> Option<u64>),
        ("disk_bytes_per_op", "bytes", |block| block.disk_written_bytes),
    ] {
        let figure = cost(of);
        let Some(estimate) = estimate(&clusters, &figure, terms) else { continue };
        let mean = |is_candidate: bool| {
            let blocks = quads.iter().flat_map(|quad| quad.side(is_candidate));
            let (all, ok) = blocks.fold((0, 0), |(all, ok), block| {
                (all + of(block).unwrap_or_default(), ok + block.ok)
            });
            Some(float(all) / float(ok.max(1)))
        };
        let effect = Effect {
            op: "servers".to_owned(),
            metric: metric.to_owned(),
            unit: unit.to_owned(),
            a: mean(false),
            b: mean(true),
            ..shown(&estimate, COST_MARGIN)
        };
        effects.push((effect, estimate.p));
    }
    let gated = |it: &&(Effect, f64)| !it.0.reported_only;
    let likelihoods: Vec<f64> = effects.iter().filter(gated).map(|(_, p)| *p).collect();
    let mut believed = holm(&likelihoods, terms.alpha).into_iter();
    let with_belief = |(effect, _): (Effect, f64)| {
        let is_believed = !effect.reported_only && believed.next().unwrap_or(false);
        Judged { effect, is_believed }
    };
    effects.into_iter().map(with_belief).collect()
}

/// Quantiles of all operations, each with how likely it is without a difference.
fn latencies(clusters: &[Vec<&Quad>], terms: &Terms) -> Vec<(Effect, f64)> {
    let blocks = || clusters.iter().flatten().flat_map(|quad| &quad.blocks);
    let ops: BTreeSet<&'static str> =
        blocks().flat_map(|block| block.ops.keys().copied()).collect();
    let mut effects = Vec::new();
    for op in ops {
        let in_block = |block: &Block| block.ops.get(op).map_or(0, Cells::count);
        let least = blocks().map(in_block).min().unwrap_or_default();
        let merged = [false, true].map(|is_candidate| {
            let all: Vec<Cells> =
                clusters.iter().flatten().map(|quad| quad.merged(op, is_candidate)).collect();
            Cells::merged(all.iter())
        });
        for (q, metric, margin) in LATENCIES {
            let is_pooled = q >= POOLED_FROM;
            let is_known = if is_pooled {
                merged.iter().all(|cells| is_supported(cells.count(), q))
            } else {
                is_supported(least, q)
            };
            if !is_known {
                continue;
            }
            let estimate = if is_pooled {
                pooled(clusters, op, q, terms)
            } else {
                estimate(clusters, &|block: &Block| block.ops.get(op)?.at(q), terms)
            };
            let Some(estimate) = estimate else { continue };
            let effect = Effect {
                op: op.to_owned(),
                metric: metric.to_owned(),
                unit: "us".to_owned(),
                a: merged[0].at(q),
                b: merged[1].at(q),
                reported_only: float(least) * (1.0 - q) < BEYOND_MIN - 1e-6,
                ..shown(&estimate, margin)
            };
            effects.push((effect, estimate.p));
        }
    }
    effects
}

fn estimate(
    clusters: &[Vec<&Quad>],
    figure: &impl Fn(&Block) -> Option<f64>,
    terms: &Terms,
) -> Option<Estimate> {
    let logs: Option<Vec<Vec<f64>>> = clusters
        .iter()
        .map(|quads| quads.iter().map(|quad| quad.log_ratio(figure)).collect())
        .collect();
    effect(&logs?, &options(terms, Options::default().draws))
}

fn pooled(clusters: &[Vec<&Quad>], op: &str, q: f64, terms: &Terms) -> Option<Estimate> {
    let pair = |quad: &&Quad| (quad.merged(op, false), quad.merged(op, true));
    let clusters: Vec<Vec<(Cells, Cells)>> =
        clusters.iter().map(|quads| quads.iter().map(pair).collect()).collect();
    pooled_effect(&clusters, q, &options(terms, POOLED_DRAWS))
}

fn options(terms: &Terms, draws: usize) -> Options {
    Options { draws, confidence: 1.0 - terms.alpha, seed: terms.seed }
}

fn shown(estimate: &Estimate, margin: f64) -> Effect {
    Effect {
        better: Better::Lower,
        ratio: estimate.ratio,
        low: Some(estimate.low),
        high: Some(estimate.high),
        margin,
        // A smaller one does not count, however sure it is.
        detectable: Some(estimate.detectable.max(margin)),
        ..Effect::default()
    }
}

fn count(many: usize) -> f64 {
    float(u64::try_from(many).unwrap_or(u64::MAX))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts, bytes and microseconds of blocks are far below 2^53"
)]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;

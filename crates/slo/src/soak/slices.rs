//! A long run as short ones: each slice is judged by itself, and the last beside the first.

use measure::folder::{Found, Validity};
use measure::histogram::{Histogram, as_f64, micros};
use measure::judged::Verdict;
use measure::statistics::{self, Sample};
use serde::Serialize;

use super::SoakOptions;
use crate::file::{Objectives, SliKind};
use crate::judge::judge;
use crate::sli::samples;

/// How much slower the last slice must be than the first to be called slower. Slices follow each other, so the ratio
/// holds what the host did between them, too: on shared hosts halves of one run differ "significantly" in half of all
/// cases, by far less than this.
pub(super) const SLOWER: f64 = 1.5;

/// An objective over the slices.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Kept {
    /// Names it.
    pub id: String,
    /// What is measured.
    pub sli: String,
    /// Its bar and unit.
    pub bar: f64,
    /// Of bar and values.
    pub unit: String,
    /// Slices that say something about the server.
    pub judged: usize,
    /// Those of them whose whole interval broke the bar.
    pub failed: usize,
    /// Those that may.
    pub allowed: usize,
    /// Slices in all.
    pub slices: usize,
    /// The worst value of a judged slice.
    pub worst: Option<f64>,
    /// Pass, fail, or invalid if fewer than half of the slices say something.
    pub verdict: Verdict,
}

/// The last slice beside the first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Which figure of which operation.
    pub what: String,
    /// Last / first.
    pub ratio: f64,
    /// Lower end of its 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// The whole interval lies beyond `SLOWER`.
    pub is_slower: bool,
}

/// The slices of a run, each as a run; the rest at its end is left out.
pub(super) fn cut(found: &Found, slice_ms: u64, options: &SoakOptions<'_>) -> Vec<Found> {
    let Some(count) = found.run.time.measure_ms.checked_div(slice_ms) else { return Vec::new() };
    (0..count).map(|number| slice(found, number * slice_ms, slice_ms, options)).collect()
}

fn slice(found: &Found, from_ms: u64, slice_ms: u64, options: &SoakOptions<'_>) -> Found {
    let range = signed(from_ms)..signed(from_ms + slice_ms);
    let mut slice = Found { run: found.run.clone(), ..Found::default() };
    slice.run.time.measure_ms = slice_ms;
    slice.run.finished = true;
    let inside = found.windows.iter().filter(|window| range.contains(&window.at_ms));
    slice.windows = inside.cloned().collect();
    for window in &mut slice.windows {
        window.at_ms -= range.start;
    }
    slice.run.validity = validity(&slice, slice_ms, options);
    slice
}

/// Whether generator and host kept in a slice what they promise for a whole run.
fn validity(slice: &Found, slice_ms: u64, options: &SoakOptions<'_>) -> Validity {
    let mut lag = Histogram::default();
    let ops = || slice.windows.iter().flat_map(|window| &window.ops);
    ops().filter_map(|op| op.lag.decode().ok()).for_each(|one| lag.add(&one));
    let lag_us = micros(lag.quantile_ns(0.99));
    let skipped: u64 = ops().map(|op| op.skipped).sum();
    let pressure: u64 = slice.windows.iter().filter_map(|window| window.host.psi_cpu_some_us).sum();
    let pressure_pct = as_f64(pressure) / (as_f64(slice_ms.max(1)) * 1e3) * 100.0;
    let mut reasons = Vec::new();
    if lag_us > options.send_lag_us {
        reasons.push(format!("send lag p99 {lag_us:.0} us"));
    }
    if skipped > 0 {
        reasons.push(format!("{skipped} arrivals were not sent"));
    }
    if pressure_pct > options.psi_cpu_some_pct {
        reasons.push(format!("somebody waited for a processor {pressure_pct:.0} % of the time"));
    }
    Validity { valid: reasons.is_empty(), reasons, ..Validity::default() }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// Every objective that a slice can have, over all slices.
pub(super) fn kept(
    objectives: &Objectives,
    slices: &[Found],
    budget: f64,
    today: &str,
) -> Vec<Kept> {
    let name = slices.first().map_or("", |slice| slice.run.name.as_str());
    let is_of_slices = |of: SliKind| match of {
        SliKind::Latency | SliKind::Answered | SliKind::Cpu => true,
        SliKind::Milestone
        | SliKind::Untold
        | SliKind::Bytes
        | SliKind::Memory
        | SliKind::MemoryGrowth
        | SliKind::Violations
        | SliKind::WronglyDead => false,
    };
    let mut all: Vec<Kept> = objectives
        .all()
        .filter(|it| it.workload == name && is_of_slices(it.sli.of))
        .map(|it| Kept {
            id: it.id.clone(),
            sli: it.sli.words(),
            bar: it.minimum.value,
            unit: it.sli.of.unit().to_owned(),
            judged: 0,
            failed: 0,
            allowed: 0,
            slices: slices.len(),
            worst: None,
            verdict: Verdict::Invalid,
        })
        .collect();
    for slice in slices {
        let ending = judge(objectives, std::slice::from_ref(slice), today);
        for judged in ending.judged.iter().filter(|it| it.verdict != Verdict::Invalid) {
            let Some(kept) = all.iter_mut().find(|kept| kept.id == judged.id) else { continue };
            let is_waived = ending.waived.contains(&judged.id);
            kept.judged += 1;
            kept.failed += usize::from(judged.verdict == Verdict::Fail && !is_waived);
            kept.bar = judged.minimum;
            let worse = |worst: f64, value: f64| match judged.better {
                measure::judged::Better::Lower => worst.max(value),
                measure::judged::Better::Higher => worst.min(value),
            };
            kept.worst = judged
                .value
                .map(|value| kept.worst.map_or(value, |worst| worse(worst, value)))
                .or(kept.worst);
        }
    }
    for kept in &mut all {
        let judged = u64::try_from(kept.judged).unwrap_or(u64::MAX);
        let allowed = measure::histogram::whole((as_f64(judged) * budget).floor());
        kept.allowed = usize::try_from(allowed).unwrap_or(usize::MAX);
        kept.verdict = match () {
            () if kept.failed > kept.allowed => Verdict::Fail,
            () if kept.judged * 2 < kept.slices => Verdict::Invalid,
            () => Verdict::Pass,
        };
    }
    all
}

/// Median and p99 of every operation, the last slice that says something beside the first.
pub(super) fn changes(slices: &[Found]) -> Vec<Change> {
    const QUANTILES: [(&str, f64); 2] = [("p50", 0.5), ("p99", 0.99)];
    let mut valid = slices.iter().filter(|slice| slice.run.validity.valid);
    let (Some(first), Some(last)) = (valid.next(), valid.next_back()) else { return Vec::new() };
    let quantiles = QUANTILES.map(|(_, q)| q);
    let mut all = Vec::new();
    for op in first.operations() {
        let draws = |slice: &Found| -> Option<Vec<Vec<f64>>> {
            let samples: Vec<Vec<Sample>> = samples(op, &[slice]);
            statistics::draw(&samples, &quantiles).map(|draws| draws.quantiles)
        };
        let (Some(before), Some(after)) = (draws(first), draws(last)) else { continue };
        for (place, (name, q)) in QUANTILES.into_iter().enumerate() {
            let value = |slice: &Found| as_f64(slice.latency(op).quantile_ns(q));
            let interval = statistics::ratio_interval(&after[place], &before[place]);
            let Some((low, high)) = interval else { continue };
            all.push(Change {
                what: format!("{name} of {op}"),
                ratio: value(last) / value(first).max(1.0),
                low,
                high,
                is_slower: low > SLOWER,
            });
        }
    }
    all
}

//! Two arms that were measured in turns: A B B A, again and again, on restarts of both.
//!
//! ```text
//! restart 1   quad quad quad …     one figure for each quad: log(B) − log(A), the mean of two blocks each
//! restart 2   quad quad quad …     effect = exp(median of all)
//!   …                              draws: restarts first, quads inside them
//! ```
//!
//! Within a quad what the host does hits both arms alike and cancels. Between restarts the layout of memory and data
//! differs, so restarts are drawn as wholes, and the interval is never narrower than what a few restarts allow by
//! Student's t. Fewer than [`QUADS_MIN`] quads make bootstrap intervals too narrow (2 to 14 % false differences at 12
//! quads), so callers give no verdict on them.

use super::random::Random;
use super::student;
use super::table::Table;
use super::{length, middle};
use crate::cells::Cells;

/// Fewer quads than this carry no verdict.
pub const QUADS_MIN: usize = 30;

/// Fewer restarts than this have no t-interval between them: the layout of memory is not in the interval.
pub const RESTARTS_MIN: usize = 3;

/// How much farther than the end of its interval a difference must be to be found in 80 of 100 cases, in standard
/// deviations.
const POWER_80: f64 = 0.8416;

/// How an effect is estimated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Draws of the bootstrap; 10,000 give the ends of a 99 % interval to a few per cent of its length.
    pub draws: usize,
    /// Of the interval, 0 to 1.
    pub confidence: f64,
    /// The same seed gives the same estimate.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { draws: 10_000, confidence: 0.95, seed: 42 }
    }
}

/// How two arms differ in one metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Candidate / baseline.
    pub ratio: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// How likely so large a difference would be if there were none, 0 to 1.
    pub p: f64,
    /// The difference, as a part of one, that this design finds in 80 of 100 cases.
    pub detectable: f64,
}

/// How the candidate differs, from the log-ratio of each quad; `restarts` holds the quads of each restart. Nothing if
/// there are no quads, or one is no number.
#[must_use]
pub fn effect(restarts: &[Vec<f64>], options: &Options) -> Option<Estimate> {
    let restarts: Vec<&Vec<f64>> = restarts.iter().filter(|quads| !quads.is_empty()).collect();
    let mut all: Vec<f64> = restarts.iter().flat_map(|quads| quads.iter().copied()).collect();
    let medians: Vec<f64> =
        restarts.iter().filter_map(|quads| median(&mut quads.to_vec())).collect();
    let mut random = Random::new(options.seed, 1);
    let mut drawn = Vec::with_capacity(all.len());
    let draws = (0..options.draws).filter_map(|_| {
        drawn.clear();
        for _ in 0..restarts.len() {
            let quads = restarts[random.below(restarts.len())];
            drawn.extend((0..quads.len()).map(|_| quads[random.below(quads.len())]));
        }
        median(&mut drawn)
    });
    let draws = draws.collect();
    joined(median(&mut all)?, draws, &medians, options)
}

/// The same of a quantile (0 to 1) of the merged histograms of all quads, for quantiles so far out that those of
/// single blocks are biased. `restarts` holds baseline and candidate of each quad. Nothing if one of them is empty.
#[must_use]
pub fn pooled_effect(
    restarts: &[Vec<(Cells, Cells)>],
    quantile: f64,
    options: &Options,
) -> Option<Estimate> {
    let restarts: Vec<&Vec<(Cells, Cells)>> =
        restarts.iter().filter(|quads| !quads.is_empty()).collect();
    let side = |of: fn(&(Cells, Cells)) -> &Cells| {
        let clusters: Vec<Vec<&Cells>> =
            restarts.iter().map(|quads| quads.iter().map(of).collect()).collect();
        Table::of(&clusters)
    };
    let tables = [side(|quad| &quad.0), side(|quad| &quad.1)];
    let log_ratio = |picked: &[(usize, usize)]| {
        let [a, b] = [&tables[0], &tables[1]].map(|table| {
            let mut counts = table.nothing();
            picked.iter().for_each(|(restart, quad)| table.add(*restart, *quad, &mut counts));
            table.quantile(&counts, quantile).ln()
        });
        b - a
    };
    let of_restart = |restart: usize| (0..restarts[restart].len()).map(move |quad| (restart, quad));
    let each: Vec<Vec<(usize, usize)>> =
        (0..restarts.len()).map(|restart| of_restart(restart).collect()).collect();
    let of_each: Vec<f64> = each.iter().map(|picked| log_ratio(picked)).collect();
    let mut random = Random::new(options.seed, 2);
    let mut picked = Vec::new();
    let draws = (0..options.draws).map(|_| {
        picked.clear();
        for _ in 0..restarts.len() {
            let restart = random.below(restarts.len());
            let quads = restarts[restart].len();
            picked.extend((0..quads).map(|_| (restart, random.below(quads))));
        }
        log_ratio(&picked)
    });
    let draws = draws.collect();
    joined(log_ratio(&each.concat()), draws, &of_each, options)
}

/// Effect and interval as ratios: what the bootstrap drew, and at least what Student's t gives between restarts.
fn joined(log: f64, draws: Vec<f64>, restarts: &[f64], options: &Options) -> Option<Estimate> {
    let count = length(draws.len());
    let mean = draws.iter().sum::<f64>() / count;
    let spread = (draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / count).sqrt();
    let tail =
        |is_there: fn(&f64) -> bool| length(draws.iter().filter(|draw| is_there(draw)).count());
    let rarer = tail(|draw| *draw <= 0.0).min(tail(|draw| *draw >= 0.0));
    // One more, since no number of draws shows that something never happens.
    let mut p = (2.0 * (rarer + 1.0) / (count + 1.0)).min(1.0);
    let (mut low, mut high) = middle(draws, options.confidence)?;
    if restarts.len() >= RESTARTS_MIN {
        let many = length(restarts.len());
        let mean = restarts.iter().sum::<f64>() / many;
        let squares = restarts.iter().map(|own| (own - mean).powi(2)).sum::<f64>();
        let error = (squares / (many - 1.0) / many).sqrt();
        let freedom = u32::try_from(restarts.len() - 1).unwrap_or(u32::MAX);
        let reach = student::bound(options.confidence, freedom) * error;
        (low, high) = (low.min(mean - reach), high.max(mean + reach));
        if error > 0.0 {
            p = p.max(1.0 - student::within((mean / error).abs(), freedom));
        }
    }
    let is_number = [log, low, high].iter().all(|value| value.is_finite());
    let reach = (high - low) / 2.0 + POWER_80 * spread;
    is_number.then(|| Estimate {
        ratio: log.exp(),
        low: low.exp(),
        high: high.exp(),
        p,
        detectable: reach.exp() - 1.0,
    })
}

/// Which of several differences are believed at `alpha` together, from the likelihood of each (0 to 1).
///
/// Source: Holm, "A simple sequentially rejective multiple test procedure" (1979).
#[must_use]
pub fn holm(likelihoods: &[f64], alpha: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..likelihoods.len()).collect();
    order.sort_by(|left, right| likelihoods[*left].total_cmp(&likelihoods[*right]));
    let mut believed = vec![false; likelihoods.len()];
    for (rank, place) in order.iter().enumerate() {
        if likelihoods[*place] > alpha / length(likelihoods.len() - rank) {
            break;
        }
        believed[*place] = true;
    }
    believed
}

/// The middle of some values, which are put into another order; nothing if there are none or one is no number.
#[must_use]
pub fn median(values: &mut [f64]) -> Option<f64> {
    if values.is_empty() || values.iter().any(|value| value.is_nan()) {
        return None;
    }
    let (middle, is_even) = (values.len() / 2, values.len().is_multiple_of(2));
    let (below, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = *upper;
    if !is_even {
        return Some(upper);
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests;

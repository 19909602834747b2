//! How far a quantile could have been off: the same windows drawn again and again.
//!
//! Neighbouring windows resemble each other (a pause, a neighbour on the host), so blocks of them are drawn
//! (moving-block bootstrap, block length the third root of their number); of several runs, runs are drawn
//! first and blocks inside them, as runs differ more than windows.
//!
//! What this does *not* know: how the host changed between two arms. Only interleaved arms (`bench compare`)
//! can tell a difference of the arms from one of the hours.

use crate::cells::Cells;
use std::collections::BTreeMap;

/// Draws; 400 give the ends of a 95 % interval to a few per cent of its length.
pub(crate) const DRAWS: usize = 400;

/// Fewer windows than this in all give no interval.
const WINDOWS_MIN: usize = 8;

/// Any fixed seed: the same runs give the same page.
const SEED: u64 = 0x5EED_0F8E_9047;

/// What one window holds of one operation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) latency: Cells,
    pub(crate) ok: u64,
    pub(crate) seconds: f64,
}

/// One value for each draw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draws {
    /// By quantile, in the order they were asked for.
    pub(crate) quantiles: Vec<Vec<f64>>,
    /// Successes a second.
    pub(crate) rate: Vec<f64>,
}

/// Draws of quantiles and the rate; nothing if there are too few windows. `runs` holds the windows of each run.
pub(crate) fn draw(runs: &[Vec<Sample>], quantiles: &[f64]) -> Option<Draws> {
    let windows: usize = runs.iter().map(Vec::len).sum();
    if windows < WINDOWS_MIN {
        return None;
    }
    let table = Table::of(runs);
    let mut random = Random(SEED);
    let mut draws = Draws { quantiles: vec![Vec::new(); quantiles.len()], rate: Vec::new() };
    let mut counts = vec![0_u64; table.values.len()];
    for _ in 0..DRAWS {
        counts.fill(0);
        let (mut ok, mut seconds) = (0, 0.0);
        for (run, window) in pick(runs, &mut random) {
            for &(place, count) in &table.cells[run][window] {
                counts[place] += count;
            }
            ok += runs[run][window].ok;
            seconds += runs[run][window].seconds;
        }
        for (values, quantile) in draws.quantiles.iter_mut().zip(quantiles) {
            values.push(table.quantile(&counts, *quantile));
        }
        draws.rate.push(if seconds > 0.0 { ok as f64 / seconds } else { 0.0 });
    }
    Some(draws)
}

/// Middle 95 % of ratios of draws of the same number; nothing if some draw has no ratio.
pub(crate) fn interval(arm: &[f64], base: &[f64]) -> Option<(f64, f64)> {
    let mut ratios: Vec<f64> = arm.iter().zip(base).map(|(arm, base)| arm / base).collect();
    if ratios.is_empty() || ratios.iter().any(|ratio| !ratio.is_finite() || *ratio <= 0.0) {
        return None;
    }
    ratios.sort_by(f64::total_cmp);
    let cut = ratios.len() / 40;
    Some((ratios[cut], ratios[ratios.len() - 1 - cut]))
}

/// Draws of a quantile of plain samples.
pub(crate) fn draw_samples(samples: &[f64], quantile: f64) -> Vec<f64> {
    let mut random = Random(SEED);
    let one = |random: &mut Random| {
        let mut drawn: Vec<f64> =
            (0..samples.len()).map(|_| samples[random.below(samples.len())]).collect();
        drawn.sort_by(f64::total_cmp);
        quantile_of(&drawn, quantile).unwrap_or(f64::NAN)
    };
    (0..DRAWS).map(|_| one(&mut random)).collect()
}

/// A quantile of sorted values.
pub(crate) fn quantile_of(sorted: &[f64], quantile: f64) -> Option<f64> {
    let count = sorted.len();
    let rank = crate::draw::numbers::whole((count as f64 * quantile - 1e-9).ceil()).max(1);
    sorted.get(usize::try_from(rank - 1).ok()?).copied()
}

/// As many windows as there are: runs by chance, in each as many windows as it has, in blocks.
fn pick(runs: &[Vec<Sample>], random: &mut Random) -> Vec<(usize, usize)> {
    let mut picked = Vec::new();
    for number in 0..runs.len() {
        let run = if runs.len() == 1 { number } else { random.below(runs.len()) };
        let length = runs[run].len();
        let block = (length as f64).cbrt().ceil().max(1.0);
        let block = usize::try_from(crate::draw::numbers::whole(block)).unwrap_or(1);
        let end = picked.len() + length;
        while picked.len() < end {
            let start = random.below(length);
            let room = end - picked.len();
            // Blocks go round the end, so that the first and the last window are drawn as often as others.
            picked.extend((0..block.min(room)).map(|step| (run, (start + step) % length)));
        }
    }
    picked
}

/// All windows over one list of values, so that a draw is an addition.
struct Table {
    /// Every time that occurs, in nanoseconds, rising.
    values: Vec<u64>,
    /// By run and window: places in `values`, and counts.
    cells: Vec<Vec<Vec<(usize, u64)>>>,
}

impl Table {
    fn of(runs: &[Vec<Sample>]) -> Self {
        let all = Cells::merged(runs.iter().flatten().map(|sample| &sample.latency));
        let values: Vec<u64> = all.iter().map(|cell| cell.0).collect();
        let places: BTreeMap<u64, usize> =
            values.iter().enumerate().map(|(place, value)| (*value, place)).collect();
        let of_window = |sample: &Sample| -> Vec<(usize, u64)> {
            sample.latency.iter().map(|(value, count)| (places[&value], count)).collect()
        };
        let cells = runs.iter().map(|run| run.iter().map(of_window).collect()).collect();
        Self { values, cells }
    }

    fn quantile(&self, counts: &[u64], quantile: f64) -> f64 {
        let rank = counts.iter().sum::<u64>() as f64 * quantile;
        let mut seen = 0;
        let found = counts.iter().position(|count| {
            seen += count;
            seen as f64 >= rank && seen > 0
        });
        found.map_or(f64::NAN, |place| self.values[place] as f64)
    }
}

/// `SplitMix64`: enough for drawing with replacement.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % limit.max(1) as u64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Sample, draw, draw_samples, interval, quantile_of};
    use crate::cells::Cells;
    use measure::Histogram;

    /// Windows of 1,000 requests whose times go round in `micros`.
    fn run(windows: usize, micros: &[u64]) -> Vec<Sample> {
        let window = |number: usize| {
            let mut histogram = Histogram::default();
            for request in 0..1_000 {
                histogram.record(micros[(number + request) % micros.len()] * 1_000);
            }
            Sample { latency: Cells::of(&histogram), ok: 1_000, seconds: 1.0 }
        };
        (0..windows).map(window).collect()
    }

    #[test]
    fn a_ratio_lies_within_its_interval_and_the_same_arm_shows_none() {
        let slow: Vec<u64> = (200..300).collect();
        let fast: Vec<u64> = (100..150).collect();
        let slow = draw(&[run(60, &slow)], &[0.5]).unwrap();
        let fast = draw(&[run(60, &fast)], &[0.5]).unwrap();
        let (low, high) = interval(&fast.quantiles[0], &slow.quantiles[0]).unwrap();
        assert!(
            low <= high && (low - 0.5).abs() < 0.05 && (high - 0.5).abs() < 0.05,
            "{low} {high}"
        );
        assert_eq!(interval(&slow.rate, &slow.rate), Some((1.0, 1.0)));
    }

    #[test]
    fn few_windows_give_no_interval() {
        assert!(draw(&[run(7, &[100])], &[0.5]).is_none());
        assert!(draw(&[run(4, &[100]), run(4, &[100])], &[0.5]).is_some());
    }

    #[test]
    fn what_has_no_ratio_has_no_interval() {
        assert_eq!(interval(&[1.0, 2.0], &[1.0, 0.0]), None);
        assert_eq!(interval(&[], &[]), None);
    }

    #[test]
    fn samples_are_drawn_from_what_there_is() {
        let draws = draw_samples(&[3.0, 1.0, 2.0], 0.5);
        assert!(draws.iter().all(|value| [1.0, 2.0, 3.0].contains(value)));
        assert_eq!(quantile_of(&[1.0, 2.0, 3.0, 4.0], 0.5), Some(2.0));
        assert_eq!(quantile_of(&[], 0.5), None);
    }
}

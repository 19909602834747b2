//! How far a quantile could have been off: the same windows drawn again and again.
//!
//! Neighbouring windows resemble each other (a pause, a neighbour on the host), so blocks of them are drawn
//! (moving-block bootstrap, block length the third root of their number); of several runs, runs are drawn
//! first and blocks inside them, as runs differ more than windows.
//!
//! What this does *not* know: how the host changed between two arms. Only interleaved arms (`bench compare`)
//! can tell a difference of the arms from one of the hours.

use super::random::Random;
use super::table::Table;
use super::{length, middle};
use crate::cells::Cells;
use crate::histogram::{as_f64, whole};

/// Draws; 400 give the ends of a 95 % interval to a few per cent of its length.
pub const DRAWS: usize = 400;

/// Fewer windows than this in all give no interval.
const WINDOWS_MIN: usize = 8;

/// Any fixed seed: the same runs give the same page.
const SEED: u64 = 0x5EED_0F8E_9047;

/// What one window holds of one operation.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// From due to done.
    pub latency: Cells,
    /// Answers of success.
    pub ok: u64,
    /// Its length.
    pub seconds: f64,
    /// What the servers used meanwhile, in microseconds of CPU time; 0 where nobody knows.
    pub cpu_us: u64,
}

/// One value for each draw.
#[derive(Clone, Debug, Default)]
pub struct Draws {
    /// By quantile, in the order they were asked for, in nanoseconds.
    pub quantiles: Vec<Vec<f64>>,
    /// Successes a second.
    pub rate: Vec<f64>,
    /// CPU time for each success, in microseconds.
    pub cpu_us_per_ok: Vec<f64>,
}

/// Draws of quantiles, rate and cost; nothing if there are too few windows. `runs` holds the windows of each run.
#[must_use]
pub fn draw(runs: &[Vec<Sample>], quantiles: &[f64]) -> Option<Draws> {
    let windows: usize = runs.iter().map(Vec::len).sum();
    if windows < WINDOWS_MIN {
        return None;
    }
    let cells: Vec<Vec<&Cells>> =
        runs.iter().map(|run| run.iter().map(|sample| &sample.latency).collect()).collect();
    let table = Table::of(&cells);
    let mut random = Random::new(SEED, 0);
    let mut draws = Draws { quantiles: vec![Vec::new(); quantiles.len()], ..Draws::default() };
    let mut counts = table.nothing();
    for _ in 0..DRAWS {
        counts.fill(0);
        let (mut ok, mut cpu_us, mut seconds) = (0, 0, 0.0);
        for (run, window) in pick(runs, &mut random) {
            table.add(run, window, &mut counts);
            ok += runs[run][window].ok;
            cpu_us += runs[run][window].cpu_us;
            seconds += runs[run][window].seconds;
        }
        for (values, quantile) in draws.quantiles.iter_mut().zip(quantiles) {
            values.push(table.quantile(&counts, *quantile));
        }
        draws.rate.push(if seconds > 0.0 { as_f64(ok) / seconds } else { 0.0 });
        draws.cpu_us_per_ok.push(as_f64(cpu_us) / as_f64(ok.max(1)));
    }
    Some(draws)
}

/// Middle 95 % of ratios of draws of the same number; nothing if some draw has no ratio.
#[must_use]
pub fn ratio_interval(arm: &[f64], base: &[f64]) -> Option<(f64, f64)> {
    let ratios: Vec<f64> = arm.iter().zip(base).map(|(arm, base)| arm / base).collect();
    if ratios.iter().any(|ratio| !ratio.is_finite() || *ratio <= 0.0) {
        return None;
    }
    middle(ratios, 0.95)
}

/// Draws of a quantile (0 to 1) of plain samples; each is not a number if there are none.
#[must_use]
pub fn draw_samples(samples: &[f64], quantile: f64) -> Vec<f64> {
    let mut random = Random::new(SEED, 0);
    let one = |random: &mut Random| {
        let mut drawn: Vec<f64> =
            (0..samples.len()).map(|_| samples[random.below(samples.len())]).collect();
        drawn.sort_by(f64::total_cmp);
        quantile_of(&drawn, quantile).unwrap_or(f64::NAN)
    };
    (0..DRAWS).map(|_| one(&mut random)).collect()
}

/// A quantile (0 to 1) of sorted values; nothing if there are none.
#[must_use]
pub fn quantile_of(sorted: &[f64], quantile: f64) -> Option<f64> {
    let rank = whole((length(sorted.len()) * quantile - 1e-9).ceil()).max(1);
    sorted.get(usize::try_from(rank - 1).ok()?).copied()
}

/// As many windows as there are: runs by chance, in each as many windows as it has, in blocks.
fn pick(runs: &[Vec<Sample>], random: &mut Random) -> Vec<(usize, usize)> {
    let mut picked = Vec::new();
    for number in 0..runs.len() {
        let run = if runs.len() == 1 { number } else { random.below(runs.len()) };
        let windows = runs[run].len();
        let block = length(windows).cbrt().ceil().max(1.0);
        let block = usize::try_from(whole(block)).unwrap_or(1);
        let end = picked.len() + windows;
        while picked.len() < end {
            let start = random.below(windows);
            let room = end - picked.len();
            // Blocks go round the end, so that the first and the last window are drawn as often as others.
            picked.extend((0..block.min(room)).map(|step| (run, (start + step) % windows)));
        }
    }
    picked
}

#[cfg(test)]
mod tests {
    use super::{Sample, draw, draw_samples, quantile_of, ratio_interval};
    use crate::Histogram;
    use crate::cells::Cells;

    /// Windows of 1,000 requests whose times go round in `micros`.
    fn run(windows: usize, micros: &[u64]) -> Vec<Sample> {
        let window = |number: usize| {
            let mut histogram = Histogram::default();
            for request in 0..1_000 {
                histogram.record(micros[(number + request) % micros.len()] * 1_000);
            }
            Sample { latency: Cells::of(&histogram), ok: 1_000, seconds: 1.0, cpu_us: 5_000 }
        };
        (0..windows).map(window).collect()
    }

    #[test]
    fn a_ratio_lies_within_its_interval_and_the_same_arm_shows_none() {
        let slow: Vec<u64> = (200..300).collect();
        let fast: Vec<u64> = (100..150).collect();
        let slow = draw(&[run(60, &slow)], &[0.5]).unwrap();
        let fast = draw(&[run(60, &fast)], &[0.5]).unwrap();
        let (low, high) = ratio_interval(&fast.quantiles[0], &slow.quantiles[0]).unwrap();
        assert!(
            low <= high && (low - 0.5).abs() < 0.05 && (high - 0.5).abs() < 0.05,
            "{low} {high}"
        );
        assert_eq!(ratio_interval(&slow.rate, &slow.rate), Some((1.0, 1.0)));
        assert!(slow.cpu_us_per_ok.iter().all(|cost| (cost - 5.0).abs() < 1e-9));
    }

    #[test]
    fn few_windows_give_no_interval() {
        assert!(draw(&[run(7, &[100])], &[0.5]).is_none());
        assert!(draw(&[run(4, &[100]), run(4, &[100])], &[0.5]).is_some());
    }

    #[test]
    fn what_has_no_ratio_has_no_interval() {
        assert_eq!(ratio_interval(&[1.0, 2.0], &[1.0, 0.0]), None);
        assert_eq!(ratio_interval(&[], &[]), None);
    }

    #[test]
    fn samples_are_drawn_from_what_there_is() {
        let draws = draw_samples(&[3.0, 1.0, 2.0], 0.5);
        assert!(draws.iter().all(|value| [1.0, 2.0, 3.0].contains(value)));
        assert_eq!(quantile_of(&[1.0, 2.0, 3.0, 4.0], 0.5), Some(2.0));
        assert_eq!(quantile_of(&[], 0.5), None);
    }
}

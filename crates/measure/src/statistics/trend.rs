//! Does something grow? A slope that outliers do not move, with its interval and a test.
//!
//! The slope is the median of those between all pairs of samples (Theil and Sen); its interval comes from the ranks of
//! those slopes by Kendall's variance (Sen, 1968). Neighbouring samples resemble each other, which makes that interval
//! too narrow; so callers give means or maxima of slices that are long beside what they resemble each other by.
//!
//! The test is that of Mann and Kendall, which counts how many pairs rise and how many fall: it says how likely so many
//! more of one kind would be without any trend, and knows ties, which counts (descriptors, threads) are full of.

use super::{length, median};
use crate::histogram::whole;

/// Samples beyond this number are thinned out evenly: all pairs of them are looked at.
const SAMPLES_MAX: usize = 1_000;

/// Fewer samples than this have no interval.
const SAMPLES_MIN: usize = 6;

/// Width of a 95 % interval of a normal distribution to each side, in standard deviations.
const DEVIATIONS: f64 = 1.96;

/// How something changes, in its unit for each unit of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    /// The median of the slopes between all pairs.
    pub value: f64,
    /// Lower end of its 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// How likely (0 to 1) pairs would rise or fall so one-sidedly without a trend (Mann and Kendall, both sides).
    pub p: f64,
}

/// The slope of samples (time, value); nothing if there are fewer than six, or all at one time.
#[must_use]
pub fn slope(samples: &[(f64, f64)]) -> Option<Slope> {
    if samples.len() < SAMPLES_MIN {
        return None;
    }
    let stride = samples.len().div_ceil(SAMPLES_MAX);
    let samples: Vec<(f64, f64)> = samples.iter().copied().step_by(stride).collect();
    let mut slopes = Vec::with_capacity(samples.len() * samples.len() / 2);
    for (place, (at, value)) in samples.iter().enumerate() {
        let later = samples[place + 1..].iter().filter(|later| later.0 > *at);
        slopes.extend(later.map(|later| (later.1 - value) / (later.0 - at)));
    }
    let value = median(&mut slopes)?;
    slopes.sort_by(f64::total_cmp);
    let many = length(samples.len());
    let spread = (many * (many - 1.0) * (2.0 * many + 5.0) / 18.0).sqrt();
    let pairs = length(slopes.len());
    let rank = |rank: f64| usize::try_from(whole(rank.clamp(0.0, pairs - 1.0))).unwrap_or(0);
    let low = slopes[rank(((pairs - DEVIATIONS * spread) / 2.0).floor())];
    let high = slopes[rank(((pairs + DEVIATIONS * spread) / 2.0).ceil())];
    Some(Slope { value, low, high, p: no_trend(&samples) })
}

/// How likely (0 to 1) the samples, in the order of their times, would lean so far to one side without a trend.
///
/// Source: Mann (1945), Kendall (1975); variance with ties, correction for continuity.
fn no_trend(samples: &[(f64, f64)]) -> f64 {
    let later = |place: usize| samples[place + 1..].iter();
    let leaning: f64 = (0..samples.len())
        .map(|place| later(place).map(|it| sign(it.1 - samples[place].1)).sum::<f64>())
        .sum();
    let mut values: Vec<f64> = samples.iter().map(|it| it.1).collect();
    values.sort_by(f64::total_cmp);
    let weight = |many: f64| many * (many - 1.0) * (2.0 * many + 5.0);
    let ties: f64 =
        values.chunk_by(|left, right| left == right).map(|tied| weight(length(tied.len()))).sum();
    let variance = (weight(length(samples.len())) - ties) / 18.0;
    if variance <= 0.0 {
        // All are equal.
        return 1.0;
    }
    outside((leaning.abs() - 1.0).max(0.0) / variance.sqrt())
}

fn sign(difference: f64) -> f64 {
    f64::from(i8::from(difference > 0.0) - i8::from(difference < 0.0))
}

/// How much of a normal distribution (0 to 1) lies beyond so many deviations, on both sides.
///
/// Source: Abramowitz and Stegun, 7.1.26, good to 1.5e-7.
fn outside(deviations: f64) -> f64 {
    const FACTORS: [f64; 5] =
        [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592];
    let at = deviations / std::f64::consts::SQRT_2;
    let part = 1.0 / (1.0 + 0.327_591_1 * at);
    let sum = FACTORS.iter().fold(0.0, |sum, factor| sum * part + factor);
    sum * part * (-at * at).exp()
}

#[cfg(test)]
mod tests {
    use super::{outside, slope};
    use crate::statistics::Random;

    /// Samples that grow by `growth` each unit of time, under noise of ±1 and now and then an outlier.
    fn series(seed: u64, count: u32, growth: f64) -> Vec<(f64, f64)> {
        let mut random = Random::new(seed, 0);
        let one = |at: u32| {
            let outlier = if random.below(20) == 0 { 50.0 } else { 0.0 };
            let noise = random.unit() * 2.0 - 1.0;
            (f64::from(at), f64::from(at) * growth + noise + outlier)
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn growth_is_found_and_none_is_not() {
        let holds = |growth: f64| {
            let held = (0..200).filter(|seed| {
                let slope = slope(&series(*seed, 60, growth)).unwrap();
                slope.low <= growth && growth <= slope.high
            });
            held.count()
        };
        assert!(holds(0.0) >= 186 && holds(0.1) >= 186, "{} {}", holds(0.0), holds(0.1));
        let grows = slope(&series(1, 60, 0.1)).unwrap();
        assert!(grows.low > 0.0 && (grows.value - 0.1).abs() < 0.05, "{grows:?}");
    }

    #[test]
    fn the_test_finds_a_planted_drift_and_none_in_flat_series() {
        let found = |growth: f64| {
            (0..200).filter(|seed| slope(&series(*seed, 60, growth)).unwrap().p < 0.01).count()
        };
        assert!(found(0.0) <= 8, "{} of 200 flat series", found(0.0));
        assert_eq!(found(0.05), 200);
        // Counts have ties: one more in sixty is nothing, one more in every six is.
        let count = |every: u32| -> Vec<(f64, f64)> {
            (0..60).map(|at| (f64::from(at), f64::from(20 + at / every))).collect()
        };
        assert!(slope(&count(6)).unwrap().p < 1e-6);
        let flat = slope(&count(60)).unwrap();
        assert!(flat.p == 1.0 && flat.value == 0.0, "{flat:?}");
    }

    #[test]
    fn tails_are_those_of_the_printed_tables() {
        let rows = [(0.0, 1.0), (1.0, 0.317_31), (1.96, 0.05), (2.575_83, 0.01), (4.0, 6.334e-5)];
        for (deviations, expected) in rows {
            assert!((outside(deviations) - expected).abs() < 1e-5, "{deviations}");
        }
    }

    #[test]
    fn few_samples_or_one_moment_have_no_slope() {
        assert_eq!(slope(&series(1, 5, 1.0)), None);
        assert_eq!(slope(&[(1.0, 2.0); 9]), None);
        let many = slope(&series(2, 5_000, 1.0)).unwrap();
        assert!((many.value - 1.0).abs() < 0.01);
    }
}

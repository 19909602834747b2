//! When did a series change? Change points by energy distances, each confirmed by a t-test.
//!
//! ```text
//! window of 50 ──► split where the two sides differ most (E-divisive) ──► t-test ──► split both sides again
//!                            candidates of all windows ──► the weakest goes, until all are believed
//! ```
//!
//! Windows overlap by half, so that a long history does not hide a short change. A candidate has been chosen because it
//! looks best, which makes its p too small; that is why [`P_MAX`] is far below what one test would need.
//!
//! Source: Matteson and James, "A nonparametric approach for multiple change point analysis" (2014); the t-test and the
//! windows as in Fleming et al., "Hunter: using change point detection to hunt for performance regressions" (2023).

use std::collections::BTreeSet;

use super::length;
use super::student;

/// Samples that are looked at together.
pub const WINDOW: usize = 50;

/// How unlikely two sides must be to have one mean.
pub const P_MAX: f64 = 0.001;

/// How much likelier a candidate may be before its neighbours are known.
const WEAK: f64 = 10.0;

/// Fewest samples between two change points: two have no spread worth a test.
pub const SIDE_MIN: usize = 3;

/// A change in a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChangePoint {
    /// The first sample of the new level, from 0.
    pub at: usize,
    /// Mean of the level before.
    pub before: f64,
    /// Mean of the level from it on.
    pub after: f64,
    /// How likely so large a difference would be without a change.
    pub p: f64,
}

/// All changes of a series of at least `magnitude`, in the order of time. Nothing if a sample is no number.
#[must_use]
pub fn change_points(series: &[f64], magnitude: f64) -> Vec<ChangePoint> {
    if series.iter().any(|value| !value.is_finite()) {
        return Vec::new();
    }
    let mut candidates = BTreeSet::new();
    let mut from = 0;
    loop {
        let to = (from + WINDOW).min(series.len());
        split(series, (from, to), &mut candidates);
        if to == series.len() {
            break;
        }
        from += WINDOW / 2;
    }
    let mut points: Vec<usize> = candidates.into_iter().collect();
    loop {
        let found = levels(series, &points);
        let is_believed =
            |it: &ChangePoint| it.p < P_MAX && (it.after - it.before).abs() >= magnitude;
        // The one that says least: a difference too small counts as none.
        let weakness = |it: &ChangePoint| if is_believed(it) { 0.0 } else { it.p + 1.0 };
        let weakest = (0..found.len())
            .max_by(|left, right| weakness(&found[*left]).total_cmp(&weakness(&found[*right])));
        match weakest.filter(|place| !is_believed(&found[*place])) {
            Some(place) => points.remove(place),
            None => return found,
        };
    }
}

/// Splits a stretch where its sides differ most, and both sides again, while the sides look different.
fn split(series: &[f64], (from, to): (usize, usize), candidates: &mut BTreeSet<usize>) {
    let Some(at) = most_different(&series[from..to]) else { return };
    let (left, right) = (&series[from..from + at], &series[from + at..to]);
    if difference(left, right) >= P_MAX * WEAK {
        return;
    }
    candidates.insert(from + at);
    split(series, (from, from + at), candidates);
    split(series, (from + at, to), candidates);
}

/// Where the energy distance between the two sides is largest; nothing if a side would be too short.
fn most_different(series: &[f64]) -> Option<usize> {
    let splits = SIDE_MIN..(series.len() + 1).saturating_sub(SIDE_MIN);
    let energy = |at: usize| {
        let (left, right) = series.split_at(at);
        let (many, more) = (length(left.len()), length(right.len()));
        let across: f64 =
            left.iter().flat_map(|one| right.iter().map(move |other| (one - other).abs())).sum();
        let between = 2.0 * across / (many * more);
        many * more / (many + more) * (between - within(left) - within(right))
    };
    splits
        .map(|at| (at, energy(at)))
        .max_by(|left, right| left.1.total_cmp(&right.1))
        .map(|it| it.0)
}

/// Mean distance of two samples of one side.
fn within(side: &[f64]) -> f64 {
    let count = length(side.len());
    let pairs = (0..side.len())
        .flat_map(|place| side[place + 1..].iter().map(move |other| (side[place] - other).abs()));
    2.0 * pairs.sum::<f64>() / (count * (count - 1.0)).max(1.0)
}

/// The levels on both sides of each point.
fn levels(series: &[f64], points: &[usize]) -> Vec<ChangePoint> {
    let level = |place: usize| {
        let from = place.checked_sub(1).map_or(0, |before| points[before]);
        let to = points.get(place + 1).copied().unwrap_or(series.len());
        let (left, right) = (&series[from..points[place]], &series[points[place]..to]);
        let (before, after) = (mean(left), mean(right));
        ChangePoint { at: points[place], before, after, p: difference(left, right) }
    };
    (0..points.len()).map(level).collect()
}

fn mean(side: &[f64]) -> f64 {
    side.iter().sum::<f64>() / length(side.len().max(1))
}

/// How likely two sides would differ so much if they had one mean (Student, pooled variance).
fn difference(left: &[f64], right: &[f64]) -> f64 {
    if left.len() < SIDE_MIN || right.len() < SIDE_MIN {
        return 1.0;
    }
    let squares = |side: &[f64]| {
        let middle = mean(side);
        side.iter().map(|value| (value - middle).powi(2)).sum::<f64>()
    };
    let (many, more) = (length(left.len()), length(right.len()));
    let freedom = u32::try_from(left.len() + right.len() - 2).unwrap_or(u32::MAX);
    let variance = (squares(left) + squares(right)) / f64::from(freedom);
    let apart = (mean(left) - mean(right)).abs();
    if apart <= 0.0 {
        return 1.0;
    }
    let error = (variance * (1.0 / many + 1.0 / more)).sqrt();
    // Sides without any spread differ for certain.
    if error <= 0.0 { 0.0 } else { 1.0 - student::within(apart / error, freedom) }
}

#[cfg(test)]
mod tests {
    use super::{SIDE_MIN, change_points};
    use crate::statistics::Random;

    /// Levels, each for so many samples, under noise of about ±0.05.
    fn series(seed: u64, levels: &[(usize, f64)]) -> Vec<f64> {
        let mut random = Random::new(seed, 9);
        let mut noise = || (random.unit() + random.unit() + random.unit() - 1.5) * 0.1;
        let each = levels.iter().flat_map(|(count, level)| std::iter::repeat_n(*level, *count));
        each.map(|level| level + noise()).collect()
    }

    fn places(series: &[f64], magnitude: f64) -> Vec<usize> {
        change_points(series, magnitude).iter().map(|it| it.at).collect()
    }

    #[test]
    fn flat_series_have_no_change_points() {
        let found = (0..200).filter(|seed| !places(&series(*seed, &[(120, 0.0)]), 0.03).is_empty());
        let found = found.count();
        assert!(found <= 10, "{found} of 200");
    }

    #[test]
    fn planted_changes_are_found_where_they_are() {
        let mut others = 0;
        for seed in 0..50 {
            let found = places(&series(seed, &[(40, 0.0), (30, 0.15), (60, -0.1)]), 0.03);
            let is_near = |planted: usize| found.iter().any(|at| at.abs_diff(planted) <= 5);
            assert!(is_near(40) && is_near(70), "{seed}: {found:?}");
            others += found.len() - 2;
        }
        // A magnitude below the noise lets chance through now and then.
        assert!(others <= 5, "{others} others in 50 series");
        let one = change_points(&series(1, &[(20, 0.0), (20, 0.2)]), 0.03);
        assert!((one[0].after - one[0].before - 0.2).abs() < 0.04 && one[0].p < 1e-6, "{one:?}");
    }

    #[test]
    fn the_last_few_samples_are_enough_if_they_are_clear() {
        let found = places(&series(3, &[(60, 0.0), (5, 0.5)]), 0.03);
        assert_eq!(found, [60]);
    }

    #[test]
    fn what_is_smaller_than_the_magnitude_does_not_matter() {
        let small = series(5, &[(100, 0.0), (100, 0.04)]);
        assert_eq!(places(&small, 0.02).len(), 1);
        assert_eq!(places(&small, 0.1), [0; 0]);
    }

    #[test]
    fn short_constant_or_broken_series_say_nothing_or_the_obvious() {
        assert_eq!(places(&[], 0.0), [0; 0]);
        assert_eq!(places(&[1.0; 2 * SIDE_MIN - 1], 0.0), [0; 0]);
        assert_eq!(places(&[1.0; 80], 0.0), [0; 0]);
        assert_eq!(places(&[[1.0; 9], [2.0; 9]].concat(), 0.5), [9]);
        assert_eq!(places(&[1.0, f64::NAN, 2.0], 0.0), [0; 0]);
    }
}

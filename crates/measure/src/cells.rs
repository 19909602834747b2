//! A histogram as the list of its cells that are not empty: what windows are merged, cut and drawn from.
//!
//! A whole histogram takes 200 kB; a window rarely fills a hundred cells of it, and a report holds thousands
//! of windows.

use crate::histogram::{Histogram, SUPPORT_MIN, as_f64, is_supported, micros, whole};

/// Width of the 95 % interval of a normal distribution, in standard deviations to each side.
const DEVIATIONS: f64 = 1.96;

/// Times in nanoseconds and how often each was seen, in rising order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cells(Vec<(u64, u64)>);

/// One quantile, in microseconds, with what is known of its error.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Quantile {
    /// Which one, 0 to 1.
    pub q: f64,
    /// The time at or below which this part of all lies.
    pub value_us: f64,
    /// Everything within counts as the same time.
    pub bucket_us: (f64, f64),
    /// 95 % interval by order statistics (binomial), if there are enough samples.
    pub interval_us: Option<(f64, f64)>,
    /// Whether [`SUPPORT_MIN`] samples or more lie beyond it.
    pub supported: bool,
}

impl Cells {
    /// Those of a histogram.
    #[must_use]
    pub fn of(histogram: &Histogram) -> Self {
        Self(histogram.recorded().collect())
    }

    /// All of these together.
    #[must_use]
    pub fn merged<'a>(all: impl Iterator<Item = &'a Self>) -> Self {
        let mut cells: Vec<(u64, u64)> = all.flat_map(|one| one.0.iter().copied()).collect();
        cells.sort_unstable();
        cells.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                earlier.1 += later.1;
            }
            same
        });
        Self(cells)
    }

    /// Each time and how often it was seen, in rising order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied()
    }

    /// How many times there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|cell| cell.1).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The longest, in microseconds.
    #[must_use]
    pub fn max_us(&self) -> Option<f64> {
        self.0.last().map(|cell| micros(cell.0))
    }

    /// The time of the sample of this rank, counted from one.
    fn at_rank(&self, rank: u64) -> Option<u64> {
        let mut seen = 0;
        let found = self.0.iter().find(|cell| {
            seen += cell.1;
            seen >= rank
        });
        found.or(self.0.last()).map(|cell| cell.0)
    }

    /// A quantile in microseconds, whether it is supported or not.
    #[must_use]
    pub fn at(&self, q: f64) -> Option<f64> {
        self.at_rank(rank(self.count(), q)).map(micros)
    }

    /// A quantile in microseconds, if enough samples lie beyond it.
    #[must_use]
    pub fn supported(&self, q: f64) -> Option<f64> {
        if is_supported(self.count(), q) { self.at(q) } else { None }
    }

    /// A quantile with its errors; nothing if there are no samples.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Quantile> {
        let count = self.count();
        let value = self.at_rank(rank(count, q))?;
        let band = |nanos: u64| Histogram::default().bucket_ns(nanos);
        let (low, high) = band(value);
        let interval_us = self.interval(q).map(|(low, high)| (micros(band(low).0), micros(high)));
        Some(Quantile {
            q,
            value_us: micros(value),
            bucket_us: (micros(low), micros(high)),
            interval_us,
            supported: is_supported(count, q),
        })
    }

    /// The 95 % interval of a quantile in microseconds, if there are enough samples.
    #[must_use]
    pub fn interval_us(&self, q: f64) -> Option<(f64, f64)> {
        self.interval(q).map(|(low, high)| (micros(low), micros(high)))
    }

    /// Times between which the true quantile lies in 95 of 100 cases, if samples are independent: the ranks of
    /// a binomial variable by its normal approximation, which needs [`SUPPORT_MIN`] samples on both sides.
    fn interval(&self, q: f64) -> Option<(u64, u64)> {
        let count = self.count();
        let below = as_f64(count) * q;
        if below < SUPPORT_MIN || !is_supported(count, q) {
            return None;
        }
        let spread = DEVIATIONS * (below * (1.0 - q)).sqrt();
        let low = whole((below - spread).floor()).max(1);
        let high = whole((below + spread).ceil() + 1.0).min(count);
        Some((self.at_rank(low)?, self.at_rank(high)?))
    }
}

/// The rank, from one, of a quantile of so many samples.
fn rank(count: u64, q: f64) -> u64 {
    whole((as_f64(count) * q - 1e-9).ceil()).clamp(1, count.max(1))
}

#[cfg(test)]
mod tests {
    use super::Cells;
    use crate::Histogram;

    fn to(last: u64) -> Cells {
        let mut histogram = Histogram::default();
        (1..=last).for_each(|number| histogram.record(number * 1_000));
        Cells::of(&histogram)
    }

    #[test]
    fn quantiles_are_those_of_the_histogram() {
        let cells = to(1_000);
        assert_eq!(cells.count(), 1_000);
        for (q, micros) in [(0.5, 500.0), (0.99, 990.0), (0.0, 1.0), (1.0, 1_000.0)] {
            let value = cells.at(q).unwrap();
            assert!((value - micros).abs() <= micros / 1e3, "{q}: {value}");
        }
        assert_eq!(Cells::default().at(0.5), None);
    }

    #[test]
    fn merging_adds_up_equal_times() {
        let both = Cells::merged([&to(10), &to(20)].into_iter());
        assert_eq!(both.count(), 30);
        assert_eq!(both.iter().next(), Some((1_000, 2)));
    }

    #[test]
    fn intervals_hold_the_value_and_need_samples() {
        let quantile = to(10_000).quantile(0.99).unwrap();
        let (low, high) = quantile.interval_us.unwrap();
        // 9,900 ± 1.96 × √99 ranks.
        assert!((9_870.0..9_885.0).contains(&low) && (9_915.0..9_930.0).contains(&high));
        assert!(low < quantile.value_us && quantile.value_us < high);
        let thin = to(100).quantile(0.99).unwrap();
        assert!(!thin.supported && thin.interval_us.is_none());
    }
}

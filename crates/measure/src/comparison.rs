//! What a comparison of two arms found: written by `bench compare`, drawn by `report`.
//!
//! A ratio is that of the candidate to the baseline, `b / a`.

use super::folder::Durability;
use super::judged::Better;
use serde::{Deserialize, Serialize};

/// What `schema` says.
pub const SCHEMA: &str = "pitchover.comparison/v1";

/// Quantiles (0 to 1) of latencies that are compared, their names, and the difference, as a part of one, that does not
/// matter.
pub const LATENCIES: [(f64, &str, f64); 3] =
    [(0.5, "p50", 0.03), (0.99, "p99", 0.10), (0.999, "p99.9", 0.15)];

/// The difference of rates that does not matter.
pub const RATE_MARGIN: f64 = 0.03;

/// The difference of costs for each operation that does not matter.
pub const COST_MARGIN: f64 = 0.02;

/// The difference of memory that does not matter.
pub const MEMORY_MARGIN: f64 = 0.10;

/// One comparison.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Comparison {
    /// [`SCHEMA`].
    pub schema: String,
    /// The workload.
    pub workload: String,
    /// The baseline.
    pub a: Side,
    /// The candidate.
    pub b: Side,
    /// How the arms were interleaved: `5 restarts × 8 quads, blocks of 2 s, 3 dropped`.
    pub design: String,
    /// Whether host, generator and the comparison of the baseline with itself allow a verdict.
    pub valid: bool,
    /// Why not.
    pub reasons: Vec<String>,
    /// One for each metric.
    pub effects: Vec<Effect>,
    /// The baseline against a second copy of itself: none should differ.
    pub same: Vec<Effect>,
}

impl Comparison {
    /// Whether the arms do not promise the same.
    #[must_use]
    pub fn crosses_durability(&self) -> bool {
        self.a.durability != self.b.durability
    }

    /// What all judged effects come to: slower if one is, else inconclusive if one is or none was judged, else faster
    /// if one is.
    #[must_use]
    pub fn verdict(&self) -> Change {
        let has = |change: Change| {
            let mut judged = self.effects.iter().filter(|effect| !effect.reported_only);
            judged.any(|effect| effect.verdict == change)
        };
        let order = [Change::Slower, Change::Inconclusive, Change::Faster, Change::Equivalent];
        order.into_iter().find(|change| has(*change)).unwrap_or(Change::Inconclusive)
    }
}

/// One arm.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Side {
    /// Its name.
    pub arm: String,
    /// What its acknowledged writes survive.
    pub durability: Durability,
}

/// How one metric differs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Effect {
    /// Operation, or empty for the whole.
    pub op: String,
    /// `p50`, `p99`, `cpu_us_per_op`, …
    pub metric: String,
    /// Of `a` and `b`.
    pub unit: String,
    /// Which way is better.
    pub better: Better,
    /// The baseline's value.
    pub a: Option<f64>,
    /// The candidate's value.
    pub b: Option<f64>,
    /// `b / a`.
    pub ratio: f64,
    /// Lower end of the interval of the ratio; absent if it has none.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Differences up to this part of one do not matter: 0.1 is ten per cent.
    pub margin: f64,
    /// Measured and not judged: the blocks were too short for so rare a quantile.
    pub reported_only: bool,
    /// The smallest difference, as a part of one, that this design would have found in 80 of 100 cases.
    pub detectable: Option<f64>,
    /// What follows.
    pub verdict: Change,
}

/// What follows from an interval and a margin.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Better beyond the margin, and the interval excludes one.
    Faster,
    /// Worse beyond the margin, and the interval excludes one.
    Slower,
    /// The whole interval lies within the margin.
    Equivalent,
    /// None of these.
    #[default]
    Inconclusive,
}

impl Change {
    /// What follows from a ratio, its interval and a margin.
    #[must_use]
    pub fn of(ratio: f64, (low, high): (f64, f64), margin: f64, better: Better) -> Self {
        let inside = low >= 1.0 / (1.0 + margin) && high <= 1.0 + margin;
        let is_beyond = ratio > 1.0 + margin || ratio < 1.0 / (1.0 + margin);
        let excludes_one = low > 1.0 || high < 1.0;
        match (inside, is_beyond && excludes_one) {
            (true, _) => Self::Equivalent,
            (false, false) => Self::Inconclusive,
            (false, true) if (ratio < 1.0) == (better == Better::Lower) => Self::Faster,
            (false, true) => Self::Slower,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Comparison, Effect};
    use crate::judged::Better;

    #[test]
    fn one_slower_metric_is_enough_and_what_is_only_reported_counts_for_nothing() {
        let verdict = |changes: &[(Change, bool)]| {
            let effect = |(verdict, reported_only): &(Change, bool)| Effect {
                verdict: *verdict,
                reported_only: *reported_only,
                ..Effect::default()
            };
            let effects = changes.iter().map(effect).collect();
            Comparison { effects, ..Comparison::default() }.verdict()
        };
        use Change::{Equivalent, Faster, Inconclusive, Slower};
        assert_eq!(verdict(&[(Faster, false), (Slower, false), (Inconclusive, false)]), Slower);
        assert_eq!(verdict(&[(Faster, false), (Inconclusive, false)]), Inconclusive);
        assert_eq!(verdict(&[(Equivalent, false), (Faster, false), (Slower, true)]), Faster);
        assert_eq!(verdict(&[(Equivalent, false)]), Equivalent);
        assert_eq!(verdict(&[(Faster, true)]), Inconclusive);
        assert_eq!(verdict(&[]), Inconclusive);
    }

    #[test]
    fn a_verdict_needs_an_interval_beyond_one_and_an_effect_beyond_the_margin() {
        let rows = [
            (0.5, (0.4, 0.6), Better::Lower, Change::Faster),
            (0.5, (0.4, 0.6), Better::Higher, Change::Slower),
            (2.0, (1.5, 2.5), Better::Lower, Change::Slower),
            (2.0, (0.9, 2.5), Better::Lower, Change::Inconclusive),
            (1.05, (1.01, 1.2), Better::Lower, Change::Inconclusive),
            (1.05, (1.01, 1.09), Better::Lower, Change::Equivalent),
        ];
        for (ratio, interval, better, expected) in rows {
            assert_eq!(Change::of(ratio, interval, 0.1, better), expected, "{ratio} {interval:?}");
        }
    }
}

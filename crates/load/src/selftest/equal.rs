//! A server compared with itself: blocks of one run are called A, B, B, A in turn.
//!
//! Each four blocks give one figure, how much slower B was. If both are the same, it is as often above
//! nought as below: the sign test asks how likely the numbers of either are. It assumes nothing about
//! how the host's noise is distributed, and needs no simulation.

use std::fmt;

use measure::folder::{Found, Window};
use serde::Serialize;

/// How unlikely a difference must be to be believed: a self-test that fails by chance once in five
/// hundred is still worth running.
const ALPHA: f64 = 0.001;

/// Blocks that are compared together.
const QUAD: usize = 4;

/// Whether two arms that are one differ.
#[derive(Clone, Debug, Serialize)]
pub struct Equality {
    /// Which quantile of the latency.
    pub quantile: f64,
    /// Groups of four blocks.
    pub quads: usize,
    /// Those in which B was the slower one.
    pub slower: usize,
    /// How likely so uneven numbers are, if there is no difference: 0 to 1.
    pub likelihood: f64,
    /// B's time as a multiple of A's: the median over the quads.
    pub ratio: f64,
    /// The smallest slowdown that would have been found, as a multiple; none if there are too few
    /// quads to find any.
    pub detectable: Option<f64>,
}

impl Equality {
    /// Whether a difference was found.
    #[must_use]
    pub fn is_different(&self) -> bool {
        self.likelihood < ALPHA
    }

    /// From how much slower B was in each quad, as logarithms.
    fn new(quantile: f64, mut logs: Vec<f64>) -> Self {
        logs.sort_unstable_by(f64::total_cmp);
        let quads = logs.len();
        let slower = logs.iter().filter(|log| **log > 0.0).count();
        // The most quads that may point the other way while a difference is still believed.
        let others_max = (0..quads).take_while(|others| likelihood(quads, *others) < ALPHA).last();
        Self {
            quantile,
            quads,
            slower,
            likelihood: likelihood(quads, slower),
            ratio: logs.get(quads / 2).map_or(1.0, |log| log.exp()),
            detectable: others_max
                .and_then(|others| logs.get(others))
                .map(|log| (-log).exp().max(1.0)),
        }
    }
}

impl fmt::Display for Equality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { quads, slower, ratio, likelihood, .. } = self;
        let quantile = self.quantile * 100.0;
        let found = if self.is_different() { "A DIFFERENCE" } else { "no difference" };
        write!(
            f,
            "A/A, p{quantile:.0}: B/A {ratio:.3}, slower in {slower} of {quads} quads (likely \
             {likelihood:.3}): {found}"
        )?;
        match self.detectable {
            Some(ratio) => {
                write!(f, "; one of {:.0} % would have been found", (ratio - 1.0) * 100.0)
            }
            None => write!(f, "; too few quads to find any"),
        }
    }
}

/// Compares the windows of a run with each other.
pub(super) fn compare(found: &Found) -> Vec<Equality> {
    let windows: Vec<&Window> = found.measured().collect();
    let of = |quantile: f64| {
        let time = |window: &&Window| {
            let latency = window.ops.first()?.latency.decode().ok()?;
            (latency.count() > 0).then(|| latency.quantile_ms(quantile).max(f64::MIN_POSITIVE).ln())
        };
        let logs: Vec<Option<f64>> = windows.iter().map(time).collect();
        let slower = |quad: &[Option<f64>]| match *quad {
            [Some(first), Some(second), Some(third), Some(fourth)] => {
                Some((second + third - first - fourth) / 2.0)
            }
            _ => None,
        };
        Equality::new(quantile, logs.chunks_exact(QUAD).filter_map(slower).collect())
    };
    vec![of(0.5), of(0.99)]
}

/// How likely it is that of so many fair coins so many, or a more uneven number, show heads.
fn likelihood(coins: usize, heads: usize) -> f64 {
    let coins = u32::try_from(coins).unwrap_or(u32::MAX);
    let heads = u32::try_from(heads).unwrap_or(u32::MAX);
    let fewer = heads.min(coins.saturating_sub(heads));
    // The chance of k heads follows from that of k - 1.
    let (mut chance, mut sum) = (0.5_f64.powf(f64::from(coins)), 0.0);
    for k in 0..=fewer {
        sum += chance;
        chance *= f64::from(coins - k) / f64::from(k + 1);
    }
    (2.0 * sum).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::{Equality, likelihood};

    #[test]
    fn coins_are_as_likely_as_they_are() {
        let rows = [(10, 5, 1.0), (10, 0, 2.0 / 1_024.0), (10, 9, 22.0 / 1_024.0), (0, 0, 1.0)];
        for (coins, heads, expected) in rows {
            assert!((likelihood(coins, heads) - expected).abs() < 1e-9, "{heads} of {coins}");
        }
    }

    #[test]
    fn noise_is_no_difference_and_a_shift_is_one() {
        let noise: Vec<f64> = (0..30).map(|at| f64::from(at * 7 % 30) / 100.0 - 0.145).collect();
        let equal = Equality::new(0.5, noise.clone());
        assert!(!equal.is_different(), "{equal}");
        let detectable = equal.detectable.unwrap();
        let shifted = |by: f64| {
            Equality::new(0.5, noise.iter().map(|log| log + by.ln()).collect()).is_different()
        };
        assert!(shifted(detectable * 1.001) && !shifted(detectable * 0.98), "{detectable}");
        let few = Equality::new(0.5, vec![0.1; 5]);
        assert!(!few.is_different() && few.detectable.is_none(), "{few}");
    }
}

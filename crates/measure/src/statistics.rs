//! How far a figure could have been off: intervals that neither a tail nor a neighbour on the host fools.
//!
//! | Question | Answer | Where |
//! |---|---|---|
//! | one run: how sure is its p99? | moving-block bootstrap over windows | [`draw`] |
//! | two arms, interleaved: do they differ? | median of log-ratios, cluster bootstrap over restarts × quads, joined with a t-interval between restarts | [`effect`], [`pooled_effect`] |
//! | several metrics at once | Holm's correction | [`holm`] |
//! | faster, slower, equivalent or unknown? | the interval beside a margin | [`Change::of`](crate::comparison::Change::of) |
//! | would a difference have been seen? | [`Estimate::detectable`] | [`effect`] |
//! | does something grow? | Theil–Sen slope with its interval, Mann–Kendall test | [`slope`] |
//! | when did it change? | E-divisive with a t-test | [`change_points`] |
//!
//! Everything is a function of its arguments: a seed repeats it. What none of it knows: a bias that all blocks of an
//! arm share, such as the layout of its code. That is why restarts are a level of their own, and why a "slower" must
//! come back in a second comparison before it blocks anybody.

mod changes;
mod paired;
mod random;
mod student;
mod table;
mod trend;
mod windows;

pub use changes::{ChangePoint, P_MAX, SIDE_MIN, WINDOW, change_points};
pub use paired::{Estimate, Options, QUADS_MIN, RESTARTS_MIN, effect, holm, median, pooled_effect};
pub use random::Random;
pub use trend::{Slope, slope};
pub use windows::{DRAWS, Draws, Sample, draw, draw_samples, quantile_of, ratio_interval};

use crate::histogram::{as_f64, whole};

/// The middle part (0 to 1) of draws, from its lowest to its highest; nothing if there are none, or one of them is no
/// number.
#[must_use]
pub fn middle(mut draws: Vec<f64>, part: f64) -> Option<(f64, f64)> {
    if draws.is_empty() || draws.iter().any(|draw| !draw.is_finite()) {
        return None;
    }
    draws.sort_by(f64::total_cmp);
    let outside = length(draws.len()) * (1.0 - part) / 2.0;
    let cut = usize::try_from(whole((outside + 1e-9).floor())).unwrap_or(0);
    let cut = cut.min((draws.len() - 1) / 2);
    Some((draws[cut], draws[draws.len() - 1 - cut]))
}

/// How many, as a number to calculate with.
fn length(count: usize) -> f64 {
    as_f64(u64::try_from(count).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::middle;

    #[test]
    fn the_middle_leaves_as_much_on_both_sides() {
        let draws: Vec<f64> = (1..=400).map(f64::from).collect();
        assert_eq!(middle(draws.clone(), 0.95), Some((11.0, 390.0)));
        assert_eq!(middle(draws, 0.99), Some((3.0, 398.0)));
        assert_eq!(middle(vec![7.0], 0.95), Some((7.0, 7.0)));
        assert_eq!((middle(vec![], 0.95), middle(vec![1.0, f64::NAN], 0.95)), (None, None));
    }
}

//! Coverage and false positives on data whose truth is known. Every figure follows from the seeds.

use super::{Options, effect, holm, median, pooled_effect};
use crate::cells::Cells;
use crate::comparison::Change;
use crate::histogram::Histogram;
use crate::judged::Better;
use crate::statistics::Random;

/// Comparisons of each kind.
const REPEATS: u64 = 200;

/// Fewer draws than in use: what is tested does not depend on them.
const OPTIONS: Options = Options { draws: 200, confidence: 0.95, seed: 1 };

/// Noise of a block's p99 on a busy host: mostly small, now and then a factor of several.
fn noise(random: &mut Random) -> f64 {
    let normal = (0..12).map(|_| random.unit()).sum::<f64>() - 6.0;
    let burst = if random.below(10) == 0 { 1.5 } else { 0.15 };
    normal * burst
}

/// Log-ratios of quads whose candidate is `log` slower, on restarts that differ by `layout` themselves.
fn quads(seed: u64, restarts: usize, quads: usize, (log, layout): (f64, f64)) -> Vec<Vec<f64>> {
    let mut random = Random::new(seed, 77);
    (0..restarts)
        .map(|_| {
            let own = layout * ((0..12).map(|_| random.unit()).sum::<f64>() - 6.0);
            (0..quads).map(|_| log + own + noise(&mut random)).collect()
        })
        .collect()
}

/// In how many of a hundred comparisons `is_so` holds of the estimate.
fn per_cent(
    design: (usize, usize),
    truth: (f64, f64),
    is_so: impl Fn(&super::Estimate) -> bool,
) -> u64 {
    let so = (0..REPEATS).filter(|seed| {
        let restarts = quads(*seed, design.0, design.1, truth);
        is_so(&effect(&restarts, &OPTIONS).unwrap())
    });
    u64::try_from(so.count()).unwrap() * 100 / REPEATS
}

#[test]
fn equal_arms_are_rarely_found_different() {
    // At most 5 of 100 are allowed; joining with Student's t makes it fewer.
    for (layout, most) in [(0.0, 5), (0.05, 5)] {
        let found = per_cent((5, 8), (0.0, layout), |it| it.low > 1.0 || it.high < 1.0);
        assert!(found <= most, "layout {layout}: {found} %");
    }
}

#[test]
fn the_interval_holds_the_truth() {
    for truth in [0.7_f64, 1.0, 1.5] {
        let held = per_cent((5, 8), (truth.ln(), 0.03), |it| it.low <= truth && truth <= it.high);
        assert!(held >= 94, "{truth}: {held} %");
    }
}

#[test]
fn a_difference_as_large_as_the_detectable_one_is_found() {
    let typical = effect(&quads(5, 5, 8, (0.0, 0.0)), &OPTIONS).unwrap().detectable;
    let found = per_cent((5, 8), ((1.0 + typical).ln(), 0.0), |it| it.low > 1.0);
    assert!(found >= 70, "{found} % at +{:.1} %", typical * 100.0);
    let small = per_cent((5, 8), ((1.0 + typical / 10.0).ln(), 0.0), |it| it.low > 1.0);
    assert!(small <= 20, "{small} %");
}

#[test]
fn equivalence_needs_many_quads_and_no_difference() {
    let verdict =
        |it: &super::Estimate| Change::of(it.ratio, (it.low, it.high), 0.1, Better::Lower);
    let equal = per_cent((5, 24), (0.0, 0.0), |it| verdict(it) == Change::Equivalent);
    assert!(equal >= 90, "{equal} %");
    let slower = per_cent((5, 24), (0.3, 0.0), |it| verdict(it) == Change::Slower);
    assert!(slower >= 95, "{slower} %");
    let wrong = per_cent((5, 24), (0.12, 0.0), |it| verdict(it) == Change::Equivalent);
    assert!(wrong <= 5, "a difference beyond the margin is called equal: {wrong} %");
}

#[test]
fn likelihoods_agree_with_intervals() {
    for seed in 0..50 {
        let it = effect(&quads(seed, 5, 8, (0.05, 0.02)), &OPTIONS).unwrap();
        let excludes_one = it.low > 1.0 || it.high < 1.0;
        // A draw more or less may fall on either side.
        assert!(excludes_one == (it.p < 0.05) || (it.p - 0.05).abs() < 0.02, "{seed}: {it:?}");
    }
}

#[test]
fn restarts_that_disagree_widen_the_interval() {
    let alike = vec![vec![0.1, 0.11, 0.09]; 5];
    let mut unlike = alike.clone();
    unlike[0] = vec![0.6, 0.61, 0.59];
    let width = |restarts: &[Vec<f64>]| {
        let it = effect(restarts, &OPTIONS).unwrap();
        it.high / it.low
    };
    assert!(width(&unlike) > width(&alike) * 1.3);
    // Two restarts have no t-interval; their quads are all there is.
    assert!(width(&alike[..2]) < 1.03);
}

#[test]
fn pooled_quantiles_find_what_tails_hold() {
    let block = |random: &mut Random, factor: u64| {
        let mut histogram = Histogram::default();
        (0..500).for_each(|_| {
            let is_slow = random.below(200) == 0;
            let micros =
                if is_slow { 5_000 } else { 200 } + u64::try_from(random.below(50)).unwrap();
            histogram.record(micros * 1_000 * factor / 100);
        });
        Cells::of(&histogram)
    };
    let mut random = Random::new(3, 3);
    let mut arms = |factor| {
        let quads = |random: &mut Random| {
            (0..8).map(|_| (block(random, 100), block(random, factor))).collect()
        };
        (0..4).map(|_| quads(&mut random)).collect::<Vec<Vec<_>>>()
    };
    let slower = pooled_effect(&arms(150), 0.999, &OPTIONS).unwrap();
    assert!((slower.ratio - 1.5).abs() < 0.02 && slower.low > 1.3, "{slower:?}");
    let equal = pooled_effect(&arms(100), 0.999, &OPTIONS).unwrap();
    assert!(equal.low <= 1.0 && equal.high >= 1.0, "{equal:?}");
}

#[test]
fn what_has_no_quads_has_no_effect() {
    assert_eq!(effect(&[], &OPTIONS), None);
    assert_eq!(effect(&[Vec::new()], &OPTIONS), None);
    assert_eq!(effect(&[vec![f64::NAN, 1.0]], &OPTIONS), None);
    assert_eq!(pooled_effect(&[], 0.5, &OPTIONS), None);
    assert_eq!(pooled_effect(&[vec![Default::default()]], 0.5, &OPTIONS), None);
}

#[test]
fn holm_asks_more_of_the_first_and_stops_at_the_first_doubt() {
    assert_eq!(holm(&[0.2, 0.001, 0.02], 0.05), [false, true, true]);
    assert_eq!(holm(&[0.03, 0.02, 0.04], 0.05), [false; 3]);
    assert_eq!(holm(&[0.01], 0.05), [true]);
    assert_eq!(holm(&[], 0.05), [] as [bool; 0]);
}

#[test]
fn medians_lie_in_the_middle() {
    let of = |values: &[f64]| median(&mut values.to_vec());
    assert_eq!((of(&[3.0, 1.0, 2.0]), of(&[4.0, 1.0, 2.0, 3.0])), (Some(2.0), Some(2.5)));
    assert_eq!((of(&[]), of(&[f64::NAN])), (None, None));
}

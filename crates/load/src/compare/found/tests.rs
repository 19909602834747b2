//! Blocks whose truth is known: what is found of them, and what is refused.

use measure::comparison::{Change, Effect};
use measure::statistics::Random;
use measure::{Cells, Histogram};

use super::{Block, Found, Quad, Terms, found};

const TERMS: Terms = Terms { pressure_pct: 25.0, alpha: 0.05, seed: 7 };

/// Requests of a block: enough for p99 to be judged.
const REQUESTS: u64 = 12_000;

/// A block whose times and costs are multiplied.
fn block(random: &mut Random, is_candidate: bool, factor: f64) -> Block {
    let mut histogram = Histogram::default();
    let hour = 0.9 + 0.2 * random.unit();
    for _ in 0..REQUESTS / 20 {
        let nanos = 200_000.0 * factor * hour * (1.0 + random.unit());
        histogram.record_n(measure::histogram::whole(nanos), 20);
    }
    Block {
        is_candidate,
        ops: [("get_replica_info", Cells::of(&histogram))].into(),
        ok: REQUESTS,
        cpu_us: Some(measure::histogram::whole(240_000.0 * factor * (0.99 + 0.02 * random.unit()))),
        disk_written_bytes: Some(0),
        pressure_pct: 5.0,
        steal_pct: 0.0,
    }
}

fn quads(count: usize, is_same: bool, factor: f64) -> Vec<Quad> {
    let mut random = Random::new(5, u64::from(is_same));
    let quad = |number: usize| {
        let mut one = |is_candidate| {
            block(&mut random, is_candidate, if is_candidate { factor } else { 1.0 })
        };
        Quad {
            restart: number * 5 / count,
            is_same,
            blocks: [false, true, true, false].map(&mut one).into(),
        }
    };
    (0..count).map(quad).collect()
}

fn effect<'a>(found: &'a Found, metric: &str) -> &'a Effect {
    found.effects.iter().find(|effect| effect.metric == metric).unwrap()
}

#[test]
fn a_slower_candidate_is_found_and_an_equal_one_is_equal() {
    let slower = found(&quads(40, false, 1.3), &TERMS);
    for metric in ["p50", "p99", "cpu_us_per_op"] {
        let effect = effect(&slower, metric);
        assert_eq!(effect.verdict, Change::Slower, "{effect:?}");
        assert!((effect.ratio - 1.3).abs() < 0.05 && !effect.reported_only, "{effect:?}");
    }
    let faster = found(&quads(40, false, 0.7), &TERMS);
    assert_eq!(effect(&faster, "p50").verdict, Change::Faster);
    let equal = found(&quads(40, false, 1.0), &TERMS);
    assert_eq!(effect(&equal, "p99").verdict, Change::Equivalent);
    assert_eq!(effect(&equal, "cpu_us_per_op").verdict, Change::Equivalent);
    assert!(equal.reasons.is_empty() && equal.kept == 40, "{:?}", equal.reasons);
}

#[test]
fn quantiles_that_blocks_are_too_short_for_are_shown_and_not_judged() {
    let all = found(&quads(40, false, 1.0), &TERMS);
    let tail = effect(&all, "p99.9");
    assert!(tail.reported_only && tail.low.is_some(), "{tail:?}");
    assert!(
        !all.effects.iter().any(|effect| effect.metric == "disk_bytes_per_op"),
        "nothing was written"
    );
}

#[test]
fn few_quads_carry_no_verdict() {
    let few = found(&quads(20, false, 1.5), &TERMS);
    let effect = effect(&few, "p50");
    assert_eq!(effect.verdict, Change::Inconclusive);
    assert!(
        effect.low.is_some_and(|low| low > 1.3),
        "the figures are shown all the same: {effect:?}"
    );
}

#[test]
fn quads_under_pressure_are_dropped_and_too_many_of_them_say_that_the_host_is_busy() {
    let mut all = quads(40, false, 1.0);
    for quad in &mut all[..15] {
        quad.blocks[2].pressure_pct = 26.0;
    }
    let some = found(&all, &TERMS);
    assert_eq!((some.kept, some.dropped, some.reasons.len()), (25, 15, 0));
    for quad in &mut all[..30] {
        quad.blocks[0].steal_pct = 2.0;
    }
    let most = found(&all, &TERMS);
    assert!(most.reasons[0].contains("30 of 40 quads were dropped"), "{:?}", most.reasons);
}

#[test]
fn a_baseline_that_differs_from_its_own_copy_makes_all_invalid() {
    let mut all = quads(40, false, 1.0);
    all.extend(quads(4, true, 1.0));
    let fine = found(&all, &TERMS);
    assert!(fine.reasons.is_empty() && fine.kept_same == 4, "{:?}", fine.reasons);
    assert!(!fine.same.is_empty());
    all.truncate(40);
    all.extend(quads(4, true, 2.0));
    let broken = found(&all, &TERMS);
    assert!(broken.reasons.iter().all(|why| why.contains("its own copy")), "{:?}", broken.reasons);
    assert!(!broken.reasons.is_empty());
    assert_eq!(broken.kept, 40, "they are not mixed with the others");
}

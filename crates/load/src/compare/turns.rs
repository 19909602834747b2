//! Who is asked when: fixed before a restart begins, by its seed.
//!
//! ```text
//!        warm-up A   warm-up B │ s│block│s│block│s│block│s│block│ s│…
//!  A     ██████████            │██████████               ███████████ A
//!  B                ██████████ │          ████████████████           B     a quad: A B B A, or B A A B by coin
//! ```
//!
//! `s` is the time to settle: the arm is loaded already, and nothing counts.

use std::time::Duration;

use measure::statistics::Random;

/// Windows of the generator; blocks and the time to settle are multiples of it.
pub(super) const WINDOW_MS: u64 = 500;

/// The baseline, the candidate, and a second copy of the baseline, as places.
pub(super) const A: usize = 0;
pub(super) const B: usize = 1;
pub(super) const TWIN: usize = 2;

/// Blocks of a quad.
pub(super) const QUAD: usize = 4;

/// How long everything is, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lengths {
    pub(super) warm_up_ms: u64,
    pub(super) settle_ms: u64,
    pub(super) block_ms: u64,
}

/// One block of one arm; times count from the beginning of the restart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Turn {
    pub(super) arm: usize,
    pub(super) from_ms: u64,
    pub(super) to_ms: u64,
}

/// Four blocks that are compared with each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct QuadTurns {
    /// The baseline is compared with its second copy.
    pub(super) is_same: bool,
    pub(super) turns: [Turn; QUAD],
}

/// A whole restart.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    lengths: Lengths,
    warm_ups: Vec<Turn>,
    pub(super) quads: Vec<QuadTurns>,
}

impl Turns {
    /// So many quads of A and B, and so many of A with itself, in an order by chance.
    pub(super) fn new(quads: usize, same: usize, lengths: Lengths, random: &mut Random) -> Self {
        let arms = if same > 0 { 3 } else { 2 };
        let mut at_ms = 0;
        let mut warm_ups = Vec::with_capacity(arms);
        for arm in 0..arms {
            warm_ups.push(Turn { arm, from_ms: at_ms, to_ms: at_ms + lengths.warm_up_ms });
            at_ms += lengths.warm_up_ms;
        }
        let mut kinds = vec![false; quads];
        kinds.extend(vec![true; same]);
        for last in (1..kinds.len()).rev() {
            kinds.swap(last, random.below(last + 1));
        }
        let mut quad = |is_same| {
            let other = if is_same { TWIN } else { B };
            let order = if random.coin() { [A, other, other, A] } else { [other, A, A, other] };
            let turns = order.map(|arm| {
                let from_ms = at_ms + lengths.settle_ms;
                at_ms = from_ms + lengths.block_ms;
                Turn { arm, from_ms, to_ms: at_ms }
            });
            QuadTurns { is_same, turns }
        };
        let quads = kinds.into_iter().map(&mut quad).collect();
        Self { lengths, warm_ups, quads }
    }

    /// How many arms take part.
    pub(super) fn arms(&self) -> usize {
        self.warm_ups.len()
    }

    /// When everything is over.
    pub(super) fn end_ms(&self) -> u64 {
        let last = self.quads.last().map(|quad| quad.turns[QUAD - 1]);
        last.or(self.warm_ups.last().copied()).map_or(0, |turn| turn.to_ms)
    }

    /// When everything before the first quad is over.
    pub(super) fn warm_ms(&self) -> u64 {
        self.warm_ups.last().map_or(0, |turn| turn.to_ms)
    }

    /// Factors of the load of one arm, from moments on.
    pub(super) fn phases(&self, arm: usize) -> Vec<(Duration, f64)> {
        let blocks = self
            .quads
            .iter()
            .flat_map(|quad| quad.turns)
            .map(|turn| Turn { from_ms: turn.from_ms - self.lengths.settle_ms, ..turn });
        let mut phases = vec![(Duration::ZERO, 0.0)];
        let own = self.warm_ups.iter().copied().chain(blocks).filter(|turn| turn.arm == arm);
        for turn in own {
            phases.push((Duration::from_millis(turn.from_ms), 1.0));
            phases.push((Duration::from_millis(turn.to_ms), 0.0));
        }
        phases
    }
}

/// The share of one of several restarts in a number of quads: as even as may be.
pub(super) fn share(all: usize, restarts: usize, restart: usize) -> usize {
    all / restarts + usize::from(restart < all % restarts)
}

#[cfg(test)]
mod tests {
    use super::{A, B, Lengths, QUAD, TWIN, Turns, share};
    use measure::statistics::Random;

    const LENGTHS: Lengths = Lengths { warm_up_ms: 3_000, settle_ms: 1_000, block_ms: 2_000 };

    #[test]
    fn every_moment_has_one_arm_and_every_quad_is_balanced() {
        let turns = Turns::new(8, 1, LENGTHS, &mut Random::new(3, 0));
        assert_eq!((turns.arms(), turns.quads.len()), (3, 9));
        assert_eq!(turns.end_ms(), 3 * 3_000 + 9 * 4 * 3_000);
        let mut at_ms = turns.warm_ms();
        let mut orders = [0, 0];
        for quad in &turns.quads {
            let other = if quad.is_same { TWIN } else { B };
            let arms = quad.turns.map(|turn| turn.arm);
            assert!(arms == [A, other, other, A] || arms == [other, A, A, other], "{arms:?}");
            orders[usize::from(arms[0] == A)] += 1;
            for turn in quad.turns {
                assert_eq!((turn.from_ms, turn.to_ms), (at_ms + 1_000, at_ms + 3_000));
                at_ms = turn.to_ms;
            }
        }
        assert!(orders[0] > 0 && orders[1] > 0, "the coin has two sides: {orders:?}");
        assert_eq!(turns.quads.iter().filter(|quad| quad.is_same).count(), 1);
    }

    #[test]
    fn load_is_on_where_an_arm_has_its_turn_and_nowhere_else() {
        let turns = Turns::new(5, 1, LENGTHS, &mut Random::new(9, 0));
        let phases: Vec<_> = (0..turns.arms()).map(|arm| turns.phases(arm)).collect();
        let scale = |arm: usize, at_ms: u64| {
            let mut begun = phases[arm].iter().rev();
            let at = u128::from(at_ms);
            begun.find(|(from, _)| from.as_millis() <= at).unwrap().1
        };
        for at_ms in (0..turns.end_ms()).step_by(100) {
            let loaded: Vec<usize> = (0..3).filter(|arm| scale(*arm, at_ms) > 0.0).collect();
            assert_eq!(loaded.len(), 1, "at {at_ms} ms: {loaded:?}");
            let turn = turns.quads.iter().flat_map(|quad| quad.turns);
            let mut turn = turn.filter(|turn| (turn.from_ms..turn.to_ms).contains(&at_ms));
            assert!(turn.next().is_none_or(|turn| turn.arm == loaded[0]), "at {at_ms} ms");
        }
        assert!((0..3).all(|arm| scale(arm, turns.end_ms()) == 0.0));
    }

    #[test]
    fn shares_add_up() {
        for (all, restarts) in [(40, 5), (4, 5), (7, 3), (0, 2)] {
            let shares = (0..restarts).map(|restart| share(all, restarts, restart));
            assert_eq!(shares.sum::<usize>(), all);
        }
        assert_eq!(QUAD, 4);
    }
}

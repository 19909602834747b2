//! Seeded draws: the same seed gives the same faults, targets and lengths in the same order.
//!
//! `SplitMix64`: 64 bits of state, one multiplication chain; nothing here needs more. What processes
//! and the kernel do with their time is not drawn, so a run is repeated in kind, not event by event.

/// A stream of draws.
#[derive(Clone, Debug)]
pub struct Draw(u64);

impl Draw {
    /// The stream of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A stream of its own for one user of randomness, so that one more draw there changes nothing
    /// elsewhere.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self(self.bits())
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `bound`.
    ///
    /// # Panics
    /// If `bound` is 0: there is no such number.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "a draw below 0");
        self.bits() % bound
    }

    /// An index into a list of `count` entries.
    ///
    /// # Panics
    /// If `count` is 0: there is no such index.
    pub fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.below(count as u64)).expect("smaller than a count that fits")
    }

    /// A number of `low..=high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// A number of `low..=high`, each doubling of `low` as likely as the next, the last of which `high` may cut short:
    /// lengths are no square waves.
    ///
    /// # Panics
    /// If `low` is 0, which no doubling leaves, or above `high`.
    pub fn log_between(&mut self, low: u64, high: u64) -> u64 {
        assert!(0 < low && low <= high, "a draw of {low} to {high}");
        // As many as it takes to come to `high`: 1 to 8 are three, 1 to 9 are four.
        let doublings = high.div_ceil(low).next_power_of_two().trailing_zeros().max(1);
        let drawn = u32::try_from(self.below(u64::from(doublings))).expect("at most 64");
        let base = low << drawn;
        let top = if drawn + 1 == doublings { high } else { 2 * base - 1 };
        self.between(base, top)
    }

    /// Whether something that happens `per_mille` times of 1,000 happens now.
    pub fn happens(&mut self, per_mille: u32) -> bool {
        self.below(1_000) < u64::from(per_mille)
    }

    /// Puts a list into an order of this stream.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            let other = self.index(at + 1);
            list.swap(at, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Draw;

    #[test]
    fn a_seed_repeats_and_bounds_hold() {
        let (mut one, mut two) = (Draw::new(7), Draw::new(7));
        for _ in 0..1_000 {
            let drawn = one.log_between(500, 10_000);
            assert_eq!(drawn, two.log_between(500, 10_000));
            assert!((500..=10_000).contains(&drawn), "{drawn}");
            assert_eq!(one.index(3), two.index(3));
        }
        let mut list = [1, 2, 3, 4, 5];
        one.shuffle(&mut list);
        list.sort_unstable();
        assert_eq!(list, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn every_part_of_a_range_is_drawn() {
        for (low, high) in
            [(1, 300), (5, 40), (5, 41), (100, 2_000), (1_000, 8_000), (7, 7), (1, 2)]
        {
            let mut draw = Draw::new(3);
            let drawn: Vec<u64> = (0..10_000).map(|_| draw.log_between(low, high)).collect();
            let is_within = |one: &u64| (low..=high).contains(one);
            assert!(drawn.iter().all(is_within), "{low} to {high}");
            let (least, most) = (drawn.iter().min().unwrap(), drawn.iter().max().unwrap());
            // Within a hundredth of both ends.
            assert!(*least <= low + high / 100, "{low} to {high}: {least}");
            assert!(*most >= high - high / 100, "{low} to {high}: {most}");
        }
    }

    #[test]
    fn forks_do_not_disturb_each_other() {
        let mut root = Draw::new(1);
        let (mut one, mut two) = (root.fork(), root.fork());
        assert_ne!(one.bits(), two.bits());
    }
}

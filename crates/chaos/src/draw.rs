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

    /// A number of `low..=high`, each power of two as likely as the next: lengths are no square waves.
    pub fn log_between(&mut self, low: u64, high: u64) -> u64 {
        let doublings = u64::from((high / low.max(1)).max(1).ilog2());
        let base = low << self.between(0, doublings.saturating_sub(1));
        (base + self.below(base.max(1))).min(high)
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
    fn forks_do_not_disturb_each_other() {
        let mut root = Draw::new(1);
        let (mut one, mut two) = (root.fork(), root.fork());
        assert_ne!(one.bits(), two.bits());
    }
}

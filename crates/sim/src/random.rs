//! Seeded numbers, one stream for each component, so that removing one fault does not shift the others.

/// One stream of numbers: xoshiro256**, whose state is filled by splitmix64 from a seed and a name.
///
/// Source: Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2018.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: [u64; 4],
}

impl Random {
    /// The stream of one component: the same seed, name and number give the same stream.
    pub(crate) fn stream(seed: u64, name: &str, number: usize) -> Self {
        let mut mixer = seed ^ (number as u64).wrapping_mul(0xA24B_AED4_963E_E407);
        for byte in name.bytes() {
            mixer = (mixer ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
        let mut next = || {
            mixer = mixer.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (mixer ^ (mixer >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^ (mixed >> 31)
        };
        Self { state: [next(), next(), next(), next() | 1] }
    }

    pub(crate) fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number from 0 up to, and without, `end`; 0 if `end` is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // The upper half of a product is as even as the remainder of a division, and cheaper.
        let product = u128::from(self.next()) * u128::from(end);
        u64::try_from(product >> 64).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// A place in a list of `count` items.
    pub(crate) fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.below(count as u64)).unwrap_or(0)
    }

    /// A number from `low` to `high` whose magnitude is even: small ones are as likely as large ones.
    pub(crate) fn magnitude(&mut self, low: u64, high: u64) -> u64 {
        let low = low.max(1);
        let doublings = (high / low).max(1).ilog2();
        let floor = low << self.below(u64::from(doublings) + 1);
        self.between(floor, (floor * 2).min(high).max(floor))
    }

    /// True `per_mille` times in a thousand.
    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// One of `items`, which are not empty.
    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        let index = self.index(items.len());
        items[index]
    }

    /// A delay around `middle` with a long tail: each doubling is a quarter as likely as the one before.
    pub(crate) fn delay(&mut self, middle: u64, most: u64) -> u64 {
        let doublings = (self.next().trailing_zeros() / 2).min(16);
        let base = middle / 2 + self.below(middle + 1);
        (base << doublings).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn streams_differ_and_repeat() {
        let first = |name, number| Random::stream(7, name, number).next();
        assert_eq!(first("node", 1), first("node", 1));
        assert_ne!(first("node", 1), first("node", 2));
        assert_ne!(first("node", 1), first("broker", 1));
    }

    #[test]
    fn numbers_stay_in_their_ranges() {
        let mut random = Random::stream(1, "test", 0);
        let mut seen = [0; 10];
        for _ in 0..10_000 {
            seen[random.index(10)] += 1;
            assert!((3..=9).contains(&random.between(3, 9)));
            assert!((10..=10_000).contains(&random.magnitude(10, 10_000)));
            assert!(random.delay(100, 1_000) <= 1_000);
        }
        assert!(seen.iter().all(|count| (800..1_200).contains(count)), "{seen:?}");
    }
}

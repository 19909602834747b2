//! How far a worker's clock is ahead of ours, from pings and pongs.
//!
//! ```text
//! ours    sent ─────────────── back        the worker looked at its clock somewhere in between, so
//! theirs         looked at                 ahead = looked at - (sent + back) / 2, wrong by (back - sent) / 2 at most
//! ```
//!
//! Queues only make a round trip longer, so the shortest of many is the one to believe.

/// How far a clock is ahead, and how well that is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Offset {
    /// The worker's clock less ours, in nanoseconds.
    pub(crate) ahead_ns: i64,
    /// It is wrong by so much at most.
    pub(crate) error_ns: u64,
}

/// The best of all pongs since it was emptied.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Samples {
    best: Option<Offset>,
    count: usize,
}

impl Samples {
    /// A ping that was sent and came back at these moments of our clock, and what the worker's clock said.
    pub(crate) fn add(&mut self, sent_ns: u64, back_ns: u64, theirs_ns: u64) {
        // Nobody of ours sends a ping that is answered before it was sent.
        let Some(trip_ns) = back_ns.checked_sub(sent_ns) else { return };
        let middle = i128::from(sent_ns) + i128::from(trip_ns / 2);
        let Ok(ahead_ns) = i64::try_from(i128::from(theirs_ns) - middle) else { return };
        let offset = Offset { ahead_ns, error_ns: trip_ns.div_ceil(2) };
        self.count += 1;
        if self.best.is_none_or(|best| offset.error_ns < best.error_ns) {
            self.best = Some(offset);
        }
    }

    /// How many there were.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The offset that is known best.
    pub(crate) fn best(&self) -> Option<Offset> {
        self.best
    }
}

#[cfg(test)]
mod tests {
    use super::{Offset, Samples};

    #[test]
    fn the_shortest_round_trip_is_believed() {
        let mut samples = Samples::default();
        assert_eq!(samples.best(), None);
        // 1,000 ahead; the ways there and back take 50 + 10, then 5 + 7, then 90 + 90.
        samples.add(100, 160, 1_150);
        samples.add(200, 212, 1_205);
        samples.add(300, 480, 1_390);
        assert_eq!(
            (samples.count(), samples.best()),
            (3, Some(Offset { ahead_ns: 999, error_ns: 6 }))
        );
    }

    #[test]
    fn clocks_may_be_far_apart_and_nonsense_is_left_out() {
        let mut samples = Samples::default();
        samples.add(5_000, 5_010, 0);
        assert_eq!(samples.best().unwrap().ahead_ns, -5_005);
        samples.add(10, 5, 0);
        samples.add(0, 2, u64::MAX);
        assert_eq!(samples.count(), 1);
    }
}

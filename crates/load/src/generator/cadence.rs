//! A plan of periodic events: everyone has a turn in each period, evenly spread over it.
//!
//! ```text
//! start                    start + period
//!   │ 0   1   2   3   …  n-1 │ 0   1   2  …         event k is due at start + k × period / n
//! ```
//!
//! Every due moment is computed from the start, never from an earlier event or from an answer: what
//! is late stays late by as much as it is, and the next one is due when it was always due.

/// The plan of one kind of event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cadence {
    start_ns: u64,
    period_ns: u64,
    count: u64,
    next: u64,
    /// All turns of a period are due at its beginning.
    is_at_once: bool,
}

impl Cadence {
    /// `count` events in every `period_ns`, the first at `start_ns`; none at all if `count` is 0.
    ///
    /// # Panics
    /// If the period is 0.
    pub(crate) fn new(start_ns: u64, period_ns: u64, count: usize) -> Self {
        assert!(period_ns > 0, "a period lasts longer than nothing");
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        Self { start_ns, period_ns, count, next: 0, is_at_once: false }
    }

    /// The same with everybody's turn at the beginning of each period.
    pub(crate) fn at_once(self) -> Self {
        Self { is_at_once: true, ..self }
    }

    /// When the next event is due; `u64::MAX` if there are none.
    pub(crate) fn due_ns(&self) -> u64 {
        if self.count == 0 {
            return u64::MAX;
        }
        let (round, turn) = (self.next / self.count, self.next % self.count);
        // Both factors are far below 2^32 seconds in nanoseconds and 2^20 turns.
        let within =
            if self.is_at_once { 0 } else { turn.saturating_mul(self.period_ns) / self.count };
        self.start_ns.saturating_add(round.saturating_mul(self.period_ns)).saturating_add(within)
    }

    /// The next event if it is due at `now_ns`: when it was due, and whose turn it is.
    pub(crate) fn take(&mut self, now_ns: u64) -> Option<(u64, usize)> {
        let due_ns = self.due_ns();
        if due_ns > now_ns || self.count == 0 {
            return None;
        }
        let turn = usize::try_from(self.next % self.count).unwrap_or(usize::MAX);
        self.next += 1;
        Some((due_ns, turn))
    }
}

#[cfg(test)]
mod tests {
    use super::Cadence;

    #[test]
    fn everybody_has_a_turn_in_each_period() {
        let mut cadence = Cadence::new(100, 30, 3);
        assert_eq!(cadence.take(99), None);
        let mut taken = Vec::new();
        while let Some(event) = cadence.take(140) {
            taken.push(event);
        }
        assert_eq!(taken, [(100, 0), (110, 1), (120, 2), (130, 0), (140, 1)]);
        assert_eq!(cadence.due_ns(), 150, "being late moves nothing");
        let mut together = Cadence::new(100, 30, 2).at_once();
        let taken: Vec<_> = std::iter::from_fn(|| together.take(130)).collect();
        assert_eq!(taken, [(100, 0), (100, 1), (130, 0), (130, 1)]);
    }

    #[test]
    fn periods_that_do_not_divide_do_not_drift() {
        let mut cadence = Cadence::new(0, 1_000_000_007, 3);
        let mut last = (0, 0);
        for _ in 0..3_000_001 {
            last = cadence.take(u64::MAX).unwrap();
        }
        assert_eq!(last, (1_000_000 * 1_000_000_007, 0));
        assert_eq!(Cadence::new(0, 1, 0).take(u64::MAX), None, "nobody has no turn");
    }
}

//! So many a second, and a burst at once: a bound on what somebody else can make this process do.

use crate::instant::Instant;

/// Lets through one in each `gap_micros`, and up to `burst` more after a quiet time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    gap_micros: u64,
    burst: u64,
    /// When all that was let through is paid for.
    paid: Instant,
}

impl Rate {
    pub(crate) const fn new(per_second: u64, burst: u64) -> Self {
        assert!(per_second > 0 && burst > 0, "a rate of nothing lets nothing through for ever");
        Self { gap_micros: 1_000_000 / per_second, burst, paid: Instant::from_micros(0) }
    }

    /// Whether one more may go now; if so, it is counted.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let is_allowed = self.next(now) <= now;
        if is_allowed {
            self.paid = self.paid.max(now).plus_micros(self.gap_micros);
        }
        is_allowed
    }

    /// When the next one may go, at `now` or later.
    pub(crate) fn next(&self, now: Instant) -> Instant {
        let credit = self.gap_micros.saturating_mul(self.burst - 1);
        Instant::from_micros(self.paid.as_micros().saturating_sub(credit)).max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::Rate;
    use crate::instant::Instant;

    #[test]
    fn a_burst_then_a_rate() {
        let mut rate = Rate::new(1_000, 10);
        let at = |micros: u64| Instant::from_micros(5_000_000 + micros);
        let taken = |rate: &mut Rate, micros| (0..1_000).filter(|_| rate.take(at(micros))).count();
        assert_eq!(taken(&mut rate, 0), 10);
        assert_eq!(rate.next(at(0)), at(1_000));
        assert_eq!(taken(&mut rate, 999), 0);
        assert_eq!(taken(&mut rate, 1_000), 1);
        assert_eq!(taken(&mut rate, 4_500), 3);
        assert_eq!(taken(&mut rate, 1_000_000), 10, "a quiet time saves up no more than a burst");
    }
}

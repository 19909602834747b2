//! How long readers waited for their barriers: a small histogram over the last minute or two, for status.
//!
//! The server measures whole requests for the metrics; this is the part of them that is spent waiting for a leader.

use crate::instant::Instant;
use alloc::boxed::Box;

/// Buckets: four for each doubling of the time, from 1 µs to about 17 s.
const BUCKETS: usize = 96;

/// A window lasts so long, in ms; the figures are those of the last whole window and the present one.
const WINDOW_MS: u64 = 60_000;

/// Waiting times of the last minute or two.
#[derive(Debug)]
pub(crate) struct Waits {
    windows: Box<[[u64; BUCKETS]; 2]>,
    since: Instant,
}

impl Default for Waits {
    fn default() -> Self {
        Self { windows: Box::new([[0; BUCKETS]; 2]), since: Instant::default() }
    }
}

impl Waits {
    /// Counts one wait of `micros` microseconds.
    pub(crate) fn record(&mut self, now: Instant, micros: u64) {
        self.turn(now);
        let [present, _] = &mut *self.windows;
        if let Some(count) = present.get_mut(bucket(micros)) {
            *count += 1;
        }
    }

    /// The time in microseconds that at most 1 % of the waits exceeded, rounded up to its bucket; 0 without waits.
    pub(crate) fn p99(&self, now: Instant) -> u64 {
        let [present, last] = &*self.windows;
        let age_ms = now.since_ms(self.since);
        let count = |at: usize| {
            let present = present.get(at).filter(|_| age_ms < 2 * WINDOW_MS);
            let last = last.get(at).filter(|_| age_ms < WINDOW_MS);
            present.unwrap_or(&0) + last.unwrap_or(&0)
        };
        let total: u64 = (0..BUCKETS).map(count).sum();
        let mut above = total;
        for at in 0..BUCKETS {
            above -= count(at);
            if total > 0 && above * 100 <= total {
                return upper(at);
            }
        }
        0
    }

    fn turn(&mut self, now: Instant) {
        let age_ms = now.since_ms(self.since);
        if age_ms < WINDOW_MS {
            return;
        }
        let [present, last] = &mut *self.windows;
        *last = if age_ms < 2 * WINDOW_MS { *present } else { [0; BUCKETS] };
        *present = [0; BUCKETS];
        self.since = now;
    }
}

/// The bucket of a time: its leading bit, and the two bits after it.
fn bucket(micros: u64) -> usize {
    let micros = micros.max(1);
    let exponent = micros.ilog2();
    let quarter = ((micros << 2) >> exponent) & 3;
    let at = u64::from(exponent) * 4 + quarter;
    usize::try_from(at).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The first time beyond a bucket.
fn upper(at: usize) -> u64 {
    let (exponent, quarter) = (at / 4, at % 4);
    let quarters = 5 + u64::try_from(quarter).unwrap_or_default();
    (quarters << exponent).div_ceil(4)
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, WINDOW_MS, Waits, bucket, upper};
    use crate::instant::Instant;

    #[test]
    fn a_time_is_below_the_upper_end_of_its_bucket_and_near_it() {
        for micros in (1..100_000_u64).chain([1_000_000, 9_999_999]) {
            let upper = upper(bucket(micros));
            assert!(micros < upper, "{micros} {upper}");
            assert!(upper <= micros + micros / 4 + 1, "{micros} {upper}");
        }
        assert_eq!(bucket(u64::MAX / 8), BUCKETS - 1);
    }

    #[test]
    fn the_slowest_hundredth_is_left_out() {
        let mut waits = Waits::default();
        let now = Instant::default();
        assert_eq!(waits.p99(now), 0);
        for _ in 0..99 {
            waits.record(now, 100);
        }
        waits.record(now, 50_000);
        assert_eq!(waits.p99(now), upper(bucket(100)));
        waits.record(now, 50_000);
        assert_eq!(waits.p99(now), upper(bucket(50_000)));
    }

    #[test]
    fn old_waits_are_forgotten() {
        let mut waits = Waits::default();
        waits.record(Instant::default(), 50_000);
        let next = Instant::default().plus_ms(WINDOW_MS);
        waits.record(next, 10);
        assert_eq!(waits.p99(next), upper(bucket(50_000)));
        let later = next.plus_ms(WINDOW_MS);
        assert_eq!(waits.p99(later), upper(bucket(10)));
        waits.record(later.plus_ms(2 * WINDOW_MS), 7);
        assert_eq!(waits.p99(later.plus_ms(2 * WINDOW_MS)), upper(bucket(7)));
    }
}

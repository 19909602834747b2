//! The only place of this crate where a clock is read.
#![expect(clippy::disallowed_methods, reason = "this file is where clocks are read")]

use controller::Instant;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The monotonic clock of this process, counted from its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: std::time::Instant,
}

impl Clock {
    /// A clock whose origin is an hour ago, so that "a while before now" can be expressed.
    pub(crate) fn start() -> Self {
        let now = std::time::Instant::now();
        Self { origin: now.checked_sub(Duration::from_secs(3_600)).unwrap_or(now) }
    }

    /// Now.
    pub(crate) fn now(self) -> Instant {
        let micros = self.origin.elapsed().as_micros();
        Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// The runtime's form of `moment`.
    pub(crate) fn to_tokio(self, moment: Instant) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.origin + Duration::from_micros(moment.as_micros()))
    }
}

/// Microseconds of the monotonic clock, for durations only: they count from the first call.
pub(crate) fn monotonic_micros() -> u64 {
    static ORIGIN: OnceLock<std::time::Instant> = OnceLock::new();
    let origin = ORIGIN.get_or_init(std::time::Instant::now);
    u64::try_from(origin.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Nanoseconds of the wall clock, to draw a seed from; nothing is ever ordered by it.
pub(crate) fn wall_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos() & u128::from(u64::MAX)).unwrap_or_default()
}

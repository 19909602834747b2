//! The only file of this crate that reads a clock.
//!
//! Latencies come from the monotonic clock; civil time only makes the names of broker sets differ
//! between two runs against one cluster.

#![expect(clippy::disallowed_methods, reason = "this is the file that reads the clock")]

use std::time::{Duration, Instant, SystemTime};

/// The monotonic time now.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since 1970, which is what brokers put into `invokeTime`.
pub(crate) fn unix_ms() -> u64 {
    unix_us() / 1_000
}

/// Microseconds since 1970.
pub(crate) fn unix_us() -> u64 {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let elapsed = elapsed.unwrap_or(Duration::ZERO);
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}

/// Nanoseconds of the monotonic clock, which all processes of this host share.
pub(crate) fn mono_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(now.tv_nsec).unwrap_or_default();
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

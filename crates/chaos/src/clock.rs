//! The only file of this crate that reads a clock.
//!
//! Everything that is recorded carries nanoseconds of `CLOCK_MONOTONIC`: one kernel, one clock, so
//! that times of different threads and of the fabric can be compared exactly.

#![expect(clippy::disallowed_methods, reason = "this is the file that reads the clock")]

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, SystemTime};

/// Nanoseconds of a second.
pub const SECOND: u64 = 1_000_000_000;

/// Nanoseconds of a millisecond.
pub const MILLISECOND: u64 = 1_000_000;

/// Nanoseconds of `CLOCK_MONOTONIC`.
#[must_use]
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds * SECOND + u64::try_from(time.tv_nsec).unwrap_or_default()
}

/// Civil time in seconds since 1970, for the names of folders and for a seed nobody gave.
#[must_use]
pub fn unix_seconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_secs()
}

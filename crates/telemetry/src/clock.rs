//! The only place of this crate where a clock is read.
#![expect(clippy::disallowed_methods, reason = "this file is where clocks are read")]

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970, as OTLP dates everything; nothing is ever ordered by it.
#[must_use]
pub fn wall_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

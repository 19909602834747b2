//! Waiting for what other processes do: bounded, generous, and never measured.

use std::time::Duration;

/// Looks before giving up; with [`PAUSE`] between two of them, about a minute.
const LOOKS_MAX: usize = 3_000;

const PAUSE: Duration = Duration::from_millis(20);

/// Looks until there is something to see.
///
/// # Panics
/// If there is nothing after [`LOOKS_MAX`] looks; `what` says what was expected.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..LOOKS_MAX {
        if let Some(seen) = look() {
            return seen;
        }
        std::thread::park_timeout(PAUSE);
    }
    panic!("waited in vain: {what}");
}

//! Waiting: the only place of the suite that reads a clock.
//!
//! Every wait has a limit and says what it waits for, so that a run that hangs explains itself.

use super::report::{Failure, Outcome};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Pause between two looks at something that is expected to change.
const POLL: Duration = Duration::from_millis(50);

/// How often a long wait shows that it is still alive.
const PROGRESS: Duration = Duration::from_secs(10);

/// Counts from its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "this is the file that reads the clock")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// `12.3 s`, for people.
    pub(crate) fn shown(self) -> String {
        format!("{:.1} s", self.elapsed().as_secs_f64())
    }
}

/// Milliseconds since 1970 by the wall clock, as Java's `currentTimeMillis` gives them.
#[expect(clippy::disallowed_methods, reason = "this is the file that reads the clock")]
pub(crate) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Does nothing for `duration`.
pub(crate) fn pause(duration: Duration) {
    // Nobody ever sends, and the sender lives until the end: the time-out is the only way out.
    let (_sender, receiver) = sync_channel::<()>(1);
    let ended = receiver.recv_timeout(duration);
    assert!(ended.is_err(), "nothing is sent on this channel");
}

/// Calls `probe` until it gives a value; an error of the probe ends the wait at once.
///
/// # Errors
/// The probe's own error, or that `limit` passed without a value.
pub(crate) fn until<T>(
    what: &str,
    limit: Duration,
    mut probe: impl FnMut() -> Outcome<Option<T>>,
) -> Outcome<T> {
    let watch = Stopwatch::start();
    let mut shown = PROGRESS;
    loop {
        if let Some(value) = probe()? {
            return Ok(value);
        }
        if watch.elapsed() >= limit {
            return Err(Failure(format!("waited {} s for {what}", limit.as_secs())));
        }
        if watch.elapsed() >= shown {
            println!("   ..  waiting for {what}: {} of {} s", shown.as_secs(), limit.as_secs());
            shown += PROGRESS;
        }
        pause(POLL);
    }
}

//! The only file of this crate that reads a clock.

use std::time::Duration;

use tokio::time::Instant;

/// The moment until which a caller is willing to wait.
///
/// One deadline covers everything a call does: connecting, queueing, sending, waiting, and, for a
/// [`crate::Cluster`], trying again.
#[derive(Clone, Copy, Debug, Eq, PartialEq, PartialOrd, Ord)]
pub struct Deadline {
    at: Instant,
}

impl Deadline {
    /// The moment `time` from now. A zero `time` is a deadline that has passed already.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self { at: Instant::now() + time }
    }

    /// Whether at least `time` is left.
    #[must_use]
    pub fn leaves(self, time: Duration) -> bool {
        Instant::now() + time <= self.at
    }

    /// The earlier of this deadline and the moment `time` from now.
    #[must_use]
    pub fn within(self, time: Duration) -> Self {
        self.min(Self::after(time))
    }

    pub(crate) fn instant(self) -> Instant {
        self.at
    }
}

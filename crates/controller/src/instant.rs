//! Time as the core sees it: a number that is handed in, never read.

/// A moment on the monotonic clock of this process, in microseconds since an origin of the caller's choice.
///
/// Moments of two processes cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Instant(u64);

impl Instant {
    /// The moment `micros` microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// This moment and `milliseconds` more; the far end of the range if that lies beyond it.
    #[must_use]
    pub const fn plus_ms(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_add(milliseconds.saturating_mul(1_000)))
    }

    /// This moment and `micros` microseconds more; the far end of the range if that lies beyond it.
    #[must_use]
    pub const fn plus_micros(self, micros: u64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Whole milliseconds from `earlier` to this moment, 0 if `earlier` is later.
    pub const fn since_ms(self, earlier: Self) -> u64 {
        self.since_micros(earlier) / 1_000
    }

    /// Microseconds from `earlier` to this moment, 0 if `earlier` is later.
    pub const fn since_micros(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

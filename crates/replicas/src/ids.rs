//! Numbers that must not be swapped: broker ids and the two epochs of a broker set.
//!
//! Epochs are Java `int`s on the wire. They only rise, by 1, and never wrap: at `i32::MAX` the
//! change that would raise them is refused ([`crate::Rejection::EpochExhausted`]).

use core::fmt;

/// The number of a broker inside its broker set, given by the controller. 1 and up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerId(pub i64);

impl BrokerId {
    /// The first id of a broker set.
    pub const FIRST: Self = Self(1);
    /// What the wire says for "no broker in particular", as in an election the controller triggers.
    pub const NOBODY: Self = Self(-1);
    /// The largest id that is given: the next id after it must still be a number.
    pub const MAX: Self = Self(i64::MAX - 1);
}

impl fmt::Display for BrokerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Counts the masters of one broker set. 0 and up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MasterEpoch(pub i32);

impl MasterEpoch {
    /// The epoch after this one, or none at the end of the range.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(next) => Some(Self(next)),
            None => None,
        }
    }
}

impl fmt::Display for MasterEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Counts the sync-state sets of one broker set. 0 and up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetEpoch(pub i32);

impl SetEpoch {
    /// The epoch after this one, or none at the end of the range.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(next) => Some(Self(next)),
            None => None,
        }
    }
}

impl fmt::Display for SetEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

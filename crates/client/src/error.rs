//! Why a call has no answer, and whether the request may have had an effect all the same.
//!
//! | Variant | Was it sent? | Repeat a write? |
//! |---|---|---|
//! | [`CallError::Unreachable`], [`CallError::Busy`], [`CallError::NoLeader`] | no | safe |
//! | [`CallError::Timeout`], [`CallError::ConnectionLost`] | perhaps | the outcome is unknown |
//! | [`CallError::Unreadable`] | yes, and answered | the outcome is unknown |
//!
//! An answer with a code other than 0 is no error here: it is the server's answer.

use std::io;

/// A call without an answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// The address does not resolve, refuses, or accepted no connection before the deadline.
    #[error("{address} cannot be reached: {reason}")]
    Unreachable {
        /// The address as it was given.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// The connection had ended before this request was handed to it.
    #[error("the connection to {address} was closed before the request was sent")]
    Closed {
        /// The address as it was given.
        address: String,
    },
    /// [`crate::IN_FLIGHT_MAX`] requests wait for answers on this connection.
    #[error("too many requests wait on the connection to {address} (IN_FLIGHT_MAX)")]
    Busy {
        /// The address as it was given.
        address: String,
    },
    /// None of the addresses named a leader before the deadline.
    #[error("no leader found: {reasons}")]
    NoLeader {
        /// One reason for each address, in their order.
        reasons: String,
    },
    /// The deadline passed after the request was handed to the connection.
    #[error("{address} did not answer in time; the outcome is unknown")]
    Timeout {
        /// The address as it was given.
        address: String,
    },
    /// The connection ended after the request was handed to it.
    #[error("the connection to {address} was lost ({reason}); the outcome is unknown")]
    ConnectionLost {
        /// The address as it was given.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// The server's bytes are no frames.
    #[error("{address} sent what is not a frame: {reason}; the outcome is unknown")]
    Unreadable {
        /// The address as it was given.
        address: String,
        /// Which rule was broken.
        reason: String,
    },
}

impl CallError {
    /// Whether the request may have had an effect: a checker may then assume neither outcome.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::ConnectionLost { .. } | Self::Unreadable { .. } => true,
            Self::Unreachable { .. }
            | Self::Closed { .. }
            | Self::Busy { .. }
            | Self::NoLeader { .. } => false,
        }
    }

    pub(crate) fn unreachable(address: &str, error: &io::Error) -> Self {
        Self::Unreachable { address: address.to_owned(), reason: error.to_string() }
    }
}

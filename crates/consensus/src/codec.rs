//! What all our byte layouts share: the error, and total reads of fixed fields.
//!
//! Little endian throughout. Every reader is total: any bytes give a value or a [`DecodeError`],
//! nothing is allocated before the length that asks for it was checked against the bytes that are
//! there, and trailing bytes are an error, so that equal values have equal bytes.

use bytes::{Buf, TryGetError};

/// Bytes that are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a field.
    #[error("the bytes end inside a field")]
    Short,
    /// Bytes are left after the last field.
    #[error("{count} bytes are left after the last field")]
    Trailing {
        /// How many.
        count: usize,
    },
    /// A layout version that this release does not know.
    #[error("layout version {version} is not known")]
    Version {
        /// The version found.
        version: u8,
    },
    /// A field holds a value that its layout does not know.
    #[error("{field} holds {value}, which is not known")]
    Value {
        /// The name of the field.
        field: &'static str,
        /// What it holds.
        value: u64,
    },
    /// A length or count above its limit.
    #[error("{field} is {value}, more than {limit_name} = {limit}")]
    TooLarge {
        /// The name of the field.
        field: &'static str,
        /// What it holds.
        value: u64,
        /// The limit.
        limit: u64,
        /// The name of the limit.
        limit_name: &'static str,
    },
    /// A list of peers that is not sorted, names one twice, or names peer 0.
    #[error("{field} is not a sorted list of different peers")]
    Unsorted {
        /// The name of the list.
        field: &'static str,
    },
}

impl From<TryGetError> for DecodeError {
    fn from(_: TryGetError) -> Self {
        Self::Short
    }
}

/// A flag byte: 0 or 1 and nothing else.
pub(crate) fn get_flag(from: &mut impl Buf, field: &'static str) -> Result<bool, DecodeError> {
    match from.try_get_u8()? {
        0 => Ok(false),
        1 => Ok(true),
        value => Err(DecodeError::Value { field, value: value.into() }),
    }
}

/// A field that must be zero in this version.
pub(crate) fn get_zeros(from: &mut impl Buf, count: usize) -> Result<(), DecodeError> {
    for _ in 0..count {
        let value = from.try_get_u8()?;
        if value != 0 {
            return Err(DecodeError::Value { field: "reserved", value: value.into() });
        }
    }
    Ok(())
}

/// Nothing may follow the last field.
pub(crate) fn get_end(from: &impl Buf) -> Result<(), DecodeError> {
    match from.remaining() {
        0 => Ok(()),
        count => Err(DecodeError::Trailing { count }),
    }
}

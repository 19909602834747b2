//! A string that is cheap to make, to clone and to keep.
//!
//! ```text
//! up to 23 bytes   in the value itself: no allocation, no reference to the connection's buffer
//! longer           a slice of a shared buffer: clone is one more reference
//! ```
//!
//! Names, addresses and numbers on this wire nearly always fit the first form, so what the
//! controller keeps of a request does not keep the buffer alive that it arrived in.
//!
//! Invariant: the bytes are valid UTF-8 from construction on and never change. Without `unsafe`
//! the view as `str` checks them again, which costs a few nanoseconds for strings of this length.

use crate::java_number::Decimal;
use alloc::string::String;
use bytes::Bytes;
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::Deref;

/// Bytes that fit beside the length without making the value larger than [`Bytes`] is.
const INLINE_BYTES_MAX: usize = 23;

/// An immutable UTF-8 string.
#[derive(Clone)]
pub struct Text(Form);

#[derive(Clone)]
enum Form {
    Inline { length: u8, bytes: [u8; INLINE_BYTES_MAX] },
    Shared(Bytes),
}

impl Text {
    /// The string itself.
    ///
    /// # Panics
    /// Never: the bytes were valid UTF-8 when the value was made.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).expect("checked when the text was made")
    }

    /// The UTF-8 bytes of the string.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Form::Inline { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or(bytes),
            Form::Shared(bytes) => bytes,
        }
    }

    /// A text of its own with the same characters.
    #[must_use]
    pub fn copied(text: &str) -> Self {
        let shared = || Self(Form::Shared(Bytes::copy_from_slice(text.as_bytes())));
        Self::inline(text.as_bytes()).unwrap_or_else(shared)
    }

    /// Takes the UTF-8 `part` out of `buffer` if it lies there, and copies it if not or if it is short.
    pub(crate) fn slice_of(buffer: &Bytes, part: &[u8]) -> Self {
        if let Some(text) = Self::inline(part) {
            return text;
        }
        let start = part.as_ptr().addr().wrapping_sub(buffer.as_ptr().addr());
        let end = start.saturating_add(part.len());
        let is_inside = end <= buffer.len();
        let shared =
            if is_inside { buffer.slice(start..end) } else { Bytes::copy_from_slice(part) };
        Self(Form::Shared(shared))
    }

    fn inline(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; INLINE_BYTES_MAX];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        let length = u8::try_from(text.len()).ok()?;
        Some(Self(Form::Inline { length, bytes }))
    }
}

impl Default for Text {
    fn default() -> Self {
        Self(Form::Shared(Bytes::new()))
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Self(Form::Shared(Bytes::from_static(text.as_bytes())))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::inline(text.as_bytes()).unwrap_or_else(|| Self(Form::Shared(Bytes::from(text))))
    }
}

impl From<&Text> for Text {
    fn from(text: &Text) -> Self {
        text.clone()
    }
}

impl From<i32> for Text {
    fn from(number: i32) -> Self {
        Self::from(i64::from(number))
    }
}

impl From<i64> for Text {
    /// The number in decimal, without an allocation.
    fn from(number: i64) -> Self {
        let decimal = Decimal::new(number);
        Self::inline(decimal.as_bytes()).expect("20 characters fit 23 bytes")
    }
}

impl From<bool> for Text {
    /// `true` or `false`, as Java writes it.
    fn from(value: bool) -> Self {
        Self::from(if value { "true" } else { "false" })
    }
}

impl fmt::Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), formatter)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), formatter)
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    /// By bytes, which is the order of `str`.
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Text {
    /// As `str`, so that a map keyed by texts can be asked with a `str`.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::{INLINE_BYTES_MAX, Text};
    use alloc::string::{String, ToString};
    use bytes::Bytes;

    #[test]
    fn both_forms_read_the_same() {
        for length in 0..=2 * INLINE_BYTES_MAX {
            let string = "ab\u{e4}".chars().cycle().take(length).collect::<String>();
            let buffer = Bytes::from(string.clone());
            let texts = [
                Text::from(string.clone()),
                Text::copied(&string),
                Text::slice_of(&buffer, &buffer),
            ];
            for text in texts {
                assert_eq!(text, string.as_str());
                assert_eq!(text.clone().to_string(), string);
            }
        }
    }

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 7, -1, i64::MIN, i64::MAX] {
            assert_eq!(Text::from(number), number.to_string().as_str());
        }
        assert_eq!(Text::from(i32::MIN), "-2147483648");
        assert_eq!(Text::from(true), "true");
    }

    #[test]
    fn a_text_is_no_larger_than_bytes() {
        assert_eq!(size_of::<Text>(), size_of::<Bytes>());
    }
}

//! Fields of fixed layout, written to and read from bytes. Little-endian throughout.
//!
//! | Field | Bytes |
//! |---|---|
//! | `u8`, `u32`, `i32`, `i64` | 1, 4, 4, 8 |
//! | flag | 1: 0 or 1, nothing else |
//! | text | `u32` length, then that many bytes of UTF-8 |
//! | optional X | flag, then X if it is 1 |
//! | list of X | `u32` count, then that many X |
//!
//! A reader takes nothing on trust: a length is compared with its limit and with what is left
//! before anything is allocated.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// What fields are written to: bytes, or a hash.
pub(crate) trait Sink {
    fn u8(&mut self, value: u8);
    fn u32(&mut self, value: u32);
    fn i32(&mut self, value: i32);
    fn i64(&mut self, value: i64);
    fn raw(&mut self, bytes: &[u8]);

    fn flag(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    fn count(&mut self, value: usize) {
        self.u32(u32::try_from(value).expect("what is written is within limits far below u32"));
    }

    fn text(&mut self, value: &str) {
        self.count(value.len());
        self.raw(value.as_bytes());
    }

    fn optional_text(&mut self, value: Option<&str>) {
        self.flag(value.is_some());
        if let Some(value) = value {
            self.text(value);
        }
    }

    fn optional_i64(&mut self, value: Option<i64>) {
        self.flag(value.is_some());
        if let Some(value) = value {
            self.i64(value);
        }
    }
}

impl Sink for Vec<u8> {
    fn u8(&mut self, value: u8) {
        self.push(value);
    }

    fn u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn i32(&mut self, value: i32) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn i64(&mut self, value: i64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Why fields could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FieldError {
    #[error("the bytes end at {offset}, inside a field")]
    Truncated { offset: usize },
    #[error("a flag at {offset} is {value}, neither 0 nor 1")]
    Flag { offset: usize, value: u8 },
    #[error("a length at {offset} is {length}, over {maximum}")]
    TooLong { offset: usize, length: usize, maximum: usize },
    #[error("a text at {offset} is not UTF-8")]
    NotUtf8 { offset: usize },
    #[error("bytes follow the end at {offset}")]
    Trailing { offset: usize },
}

/// Reads fields from the front of some bytes.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, offset: 0 }
    }

    /// Where the next field begins.
    pub(crate) const fn offset(&self) -> usize {
        self.offset
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], FieldError> {
        let (array, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(FieldError::Truncated { offset: self.offset })?;
        self.rest = rest;
        self.offset = self.offset.saturating_add(N);
        Ok(*array)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, FieldError> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FieldError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, FieldError> {
        self.array().map(i32::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, FieldError> {
        self.array().map(i64::from_le_bytes)
    }

    pub(crate) fn flag(&mut self) -> Result<bool, FieldError> {
        let offset = self.offset;
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(FieldError::Flag { offset, value }),
        }
    }

    /// A length or count of at most `maximum`.
    pub(crate) fn count(&mut self, maximum: usize) -> Result<usize, FieldError> {
        let offset = self.offset;
        let length = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        if length > maximum {
            return Err(FieldError::TooLong { offset, length, maximum });
        }
        Ok(length)
    }

    pub(crate) fn text(&mut self, maximum: usize) -> Result<Box<str>, FieldError> {
        let length = self.count(maximum)?;
        let offset = self.offset;
        let (bytes, rest) =
            self.rest.split_at_checked(length).ok_or(FieldError::Truncated { offset })?;
        self.rest = rest;
        self.offset = offset.saturating_add(length);
        let text = core::str::from_utf8(bytes).ok().ok_or(FieldError::NotUtf8 { offset })?;
        Ok(text.into())
    }

    pub(crate) fn optional_text(&mut self, maximum: usize) -> Result<Option<Box<str>>, FieldError> {
        self.flag()?.then(|| self.text(maximum)).transpose()
    }

    pub(crate) fn optional_i64(&mut self) -> Result<Option<i64>, FieldError> {
        self.flag()?.then(|| self.i64()).transpose()
    }

    /// A list; the vector grows with what is really there, not with the count that is written.
    pub(crate) fn list<T>(
        &mut self,
        maximum: usize,
        mut one: impl FnMut(&mut Self) -> Result<T, FieldError>,
    ) -> Result<Vec<T>, FieldError> {
        let count = self.count(maximum)?;
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(one(self)?);
        }
        Ok(list)
    }

    /// Nothing must be left.
    pub(crate) fn end(&self) -> Result<(), FieldError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(FieldError::Trailing { offset: self.offset })
    }
}

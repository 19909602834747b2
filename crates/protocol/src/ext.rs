//! `extFields`: the map from string to string that carries the fields of a request or answer.
//!
//! ```text
//! source   the header that was decoded, as it lies in the connection's buffer
//! own      what was put in by hand, and strings that had escapes
//! entries  key from..to, value from..to: offsets into source and, from its end on, into own
//! ```
//!
//! Kept as a list in the order of the wire, because there are nine entries and not nine thousand:
//! decoding costs one allocation of 16 bytes an entry, dropping costs nothing per entry, and a
//! look-up compares lengths before it looks at bytes.
//!
//! Of two entries with one key the last counts, as in upstream's map. An absent map, an empty one
//! and null values are the same as no entry, to every reader there is.
//!
//! Invariant: every entry lies whole in `source` or whole in `own`, and is UTF-8 there.

use crate::frame::EXT_FIELDS_MAX;
use crate::{Text, java_number};
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;

/// Entries that the first allocation holds: a heartbeat and some that a hook adds.
const TYPICAL_COUNT: usize = 12;

/// Bytes that the first allocation of `own` holds: keys and values of an answer.
const TYPICAL_OWN_BYTES: usize = 128;

/// The fields of one command.
#[derive(Clone, Default)]
pub struct ExtFields {
    source: Bytes,
    own: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    key: Span,
    value: Span,
}

/// Offsets, the second exclusive. Headers are far below 4 GiB.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    #[inline]
    fn new(start: usize, length: usize) -> Self {
        let offset = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Self { start: offset(start), end: offset(start.saturating_add(length)) }
    }

    #[inline]
    fn len(self) -> usize {
        usize::try_from(self.end.wrapping_sub(self.start)).unwrap_or(usize::MAX)
    }

    #[inline]
    fn of<'a>(self, source: &'a [u8], own: &'a [u8]) -> &'a [u8] {
        let start = usize::try_from(self.start).unwrap_or(usize::MAX);
        let (bytes, start) = match start.checked_sub(source.len()) {
            None => (source, start),
            Some(start) => (own, start),
        };
        let bytes = bytes.get(start..).and_then(|bytes| bytes.get(..self.len()));
        bytes.expect("entries lie in the header or in our own bytes")
    }
}

impl ExtFields {
    /// No fields.
    #[must_use]
    pub const fn new() -> Self {
        Self { source: Bytes::new(), own: Vec::new(), entries: Vec::new() }
    }

    /// Entries, with those that a later one of the same key hides.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// No entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.find(key).map(as_str)
    }

    /// The value of `key`, to keep.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<Text> {
        self.find(key).map(|value| Text::slice_of(&self.source, value))
    }

    /// The value of `key` as Java's `Long.parseLong` reads it; `None` where that throws, too.
    #[must_use]
    pub fn long(&self, key: &str) -> Option<i64> {
        java_number::long(self.find(key)?)
    }

    /// The value of `key` as Java's `Integer.parseInt` reads it; `None` where that throws, too.
    #[must_use]
    pub fn int(&self, key: &str) -> Option<i32> {
        java_number::int(self.find(key)?)
    }

    /// The value of `key` as Java's `Boolean.parseBoolean` reads it, which never throws.
    #[must_use]
    pub fn boolean(&self, key: &str) -> Option<bool> {
        self.find(key).map(java_number::boolean)
    }

    /// Puts `value` under `key`, behind all others. Numbers and booleans are written as in Java.
    pub fn push(&mut self, key: &str, value: impl Into<Text>) {
        let value = value.into();
        let base = self.source.len();
        self.reserve();
        let key = append(&mut self.own, base, key.as_bytes());
        let value = append(&mut self.own, base, value.as_bytes());
        self.entries.push(Entry { key, value });
    }

    /// Puts `value` under `key` if there is one: upstream leaves out what is null.
    pub fn push_some(&mut self, key: &str, value: Option<impl Into<Text>>) {
        if let Some(value) = value {
            self.push(key, value);
        }
    }

    /// All entries in the order of the wire.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter_bytes().map(|(key, value)| (as_str(key), as_str(value)))
    }

    /// As [`Self::iter`], for writers that need no `str`.
    pub(crate) fn iter_bytes(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let bytes = |span: Span| span.of(&self.source, &self.own);
        self.entries.iter().map(move |entry| (bytes(entry.key), bytes(entry.value)))
    }

    fn find(&self, key: &str) -> Option<&[u8]> {
        let (source, own) = (self.source.as_ref(), self.own.as_slice());
        let is_key = |entry: &&Entry| {
            entry.key.len() == key.len() && entry.key.of(source, own) == key.as_bytes()
        };
        let entry = self.entries.iter().rev().find(is_key)?;
        Some(entry.value.of(source, own))
    }

    fn reserve(&mut self) {
        if self.entries.capacity() == 0 {
            self.entries.reserve(TYPICAL_COUNT);
            self.own.reserve(TYPICAL_OWN_BYTES);
        }
    }
}

fn append(own: &mut Vec<u8>, base: usize, bytes: &[u8]) -> Span {
    let span = Span::new(base.saturating_add(own.len()), bytes.len());
    own.extend_from_slice(bytes);
    span
}

fn as_str(bytes: &[u8]) -> &str {
    core::str::from_utf8(bytes).expect("entries are UTF-8 from decoding or pushing on")
}

impl PartialEq for ExtFields {
    fn eq(&self, other: &Self) -> bool {
        self.iter_bytes().eq(other.iter_bytes())
    }
}

impl Eq for ExtFields {}

impl fmt::Debug for ExtFields {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.iter()).finish()
    }
}

/// Collects the entries of a header while it is scanned.
pub(crate) struct Collector<'a> {
    header: &'a [u8],
    own: Vec<u8>,
    entries: Vec<Entry>,
    /// With nulls and hidden ones: these cost time, too.
    seen_count: usize,
}

impl<'a> Collector<'a> {
    /// For slices of `header`, which is UTF-8 wherever an entry is cut out of it.
    pub(crate) fn new(header: &'a [u8]) -> Self {
        Self { header, own: Vec::new(), entries: Vec::new(), seen_count: 0 }
    }

    /// Adds an entry of two UTF-8 strings and tells whether there was room for it. What lies in the
    /// header is not copied.
    #[inline]
    pub(crate) fn push(&mut self, key: &[u8], value: &[u8]) -> bool {
        if self.entries.capacity() == 0 {
            self.entries.reserve(TYPICAL_COUNT);
        }
        let entry = Entry { key: self.span(key), value: self.span(value) };
        self.entries.push(entry);
        self.count()
    }

    /// A null value: hides every earlier entry of `key`, as putting it into a map does. Takes room
    /// as an entry would.
    pub(crate) fn forget(&mut self, key: &[u8]) -> bool {
        let (header, own) = (self.header, &self.own);
        self.entries.retain(|entry| entry.key.of(header, own) != key);
        self.count()
    }

    /// The map came again, and the last one counts.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// The entries, once the header is no longer borrowed.
    pub(crate) fn finish(self) -> Collected {
        Collected { own: self.own, entries: self.entries }
    }

    #[inline]
    fn count(&mut self) -> bool {
        self.seen_count = self.seen_count.saturating_add(1);
        self.seen_count <= EXT_FIELDS_MAX
    }

    #[inline]
    fn span(&mut self, bytes: &[u8]) -> Span {
        let start = bytes.as_ptr().addr().wrapping_sub(self.header.as_ptr().addr());
        let is_inside = start.saturating_add(bytes.len()) <= self.header.len();
        if is_inside {
            return Span::new(start, bytes.len());
        }
        append(&mut self.own, self.header.len(), bytes)
    }
}

/// Entries without the header that they were collected from.
pub(crate) struct Collected {
    own: Vec<u8>,
    entries: Vec<Entry>,
}

impl Collected {
    /// Ties the entries to their header again; keeps no header without an entry.
    pub(crate) fn into_fields(self, header: Bytes) -> ExtFields {
        if self.entries.is_empty() {
            return ExtFields::new();
        }
        ExtFields { source: header, own: self.own, entries: self.entries }
    }
}

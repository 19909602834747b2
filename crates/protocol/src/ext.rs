//! `extFields`: the map from string to string that carries the fields of a request or answer.
//!
//! Kept as a list in the order of the wire, because there are nine entries and not nine thousand.
//! What was decoded stays where it is: an entry is four offsets into the header's bytes. Only a
//! string with escapes, or one that was put in by hand, is a [`Text`] of its own.
//!
//! Of two entries with one key the last counts, as in upstream's map. An absent map, an empty one
//! and null values are the same as no entry, to every reader there is.

use crate::frame::{EXT_FIELDS_MAX, FrameError};
use crate::{Text, java_number};
use alloc::borrow::Cow;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;

/// Entries that the first allocation holds: a heartbeat and some that a hook adds.
const TYPICAL_COUNT: usize = 12;

/// The fields of one command.
#[derive(Clone, Default)]
pub struct ExtFields {
    /// The header that the offsets point into; empty if none do.
    source: Bytes,
    fields: Vec<Field>,
}

#[derive(Clone)]
struct Field {
    key: Part,
    value: Part,
}

#[derive(Clone)]
enum Part {
    /// Bytes of the source, known to be UTF-8.
    Source {
        start: u32,
        end: u32,
    },
    Text(Text),
}

impl Part {
    fn bytes<'a>(&'a self, source: &'a [u8]) -> &'a [u8] {
        match self {
            &Self::Source { start, end } => {
                let index = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
                source.get(index(start)..index(end)).expect("offsets lie in the source")
            }
            Self::Text(text) => text.as_bytes(),
        }
    }

    fn str<'a>(&'a self, source: &'a [u8]) -> &'a str {
        core::str::from_utf8(self.bytes(source)).expect("checked when it was decoded")
    }
}

impl ExtFields {
    /// No fields.
    #[must_use]
    pub const fn new() -> Self {
        Self { source: Bytes::new(), fields: Vec::new() }
    }

    /// Entries, with those that a later one of the same key hides.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// No entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        Some(self.find(key)?.str(&self.source))
    }

    /// The value of `key`, to keep.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<Text> {
        let value = self.find(key)?;
        Some(match value {
            Part::Source { .. } => Text::slice_of(&self.source, value.str(&self.source)),
            Part::Text(text) => text.clone(),
        })
    }

    /// The value of `key` as Java's `Long.parseLong` reads it; `None` where that throws, too.
    #[must_use]
    pub fn long(&self, key: &str) -> Option<i64> {
        java_number::long(self.find(key)?.bytes(&self.source))
    }

    /// The value of `key` as Java's `Integer.parseInt` reads it; `None` where that throws, too.
    #[must_use]
    pub fn int(&self, key: &str) -> Option<i32> {
        java_number::int(self.find(key)?.bytes(&self.source))
    }

    /// The value of `key` as Java's `Boolean.parseBoolean` reads it, which never throws.
    #[must_use]
    pub fn boolean(&self, key: &str) -> Option<bool> {
        Some(java_number::boolean(self.find(key)?.bytes(&self.source)))
    }

    /// Puts `value` under `key`, behind all others. Numbers and booleans are written as in Java.
    pub fn push(&mut self, key: &'static str, value: impl Into<Text>) {
        self.push_text(Text::from(key), value.into());
    }

    /// Puts `value` under `key` if there is one: upstream leaves out what is null.
    pub fn push_some(&mut self, key: &'static str, value: Option<impl Into<Text>>) {
        if let Some(value) = value {
            self.push(key, value);
        }
    }

    /// Puts `value` under a `key` that is not known to the program, behind all others.
    pub fn push_text(&mut self, key: Text, value: Text) {
        self.fields.push(Field { key: Part::Text(key), value: Part::Text(value) });
    }

    /// All entries in the order of the wire.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|field| (field.key.str(&self.source), field.value.str(&self.source)))
    }

    /// As [`Self::iter`], for writers that need no `str`.
    pub(crate) fn iter_bytes(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let source = &self.source;
        self.fields.iter().map(|field| (field.key.bytes(source), field.value.bytes(source)))
    }

    fn find(&self, key: &str) -> Option<&Part> {
        let is_key = |field: &&Field| field.key.bytes(&self.source) == key.as_bytes();
        self.fields.iter().rev().find(is_key).map(|field| &field.value)
    }
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
    /// With nulls and hidden ones: these cost time, too.
    seen_count: usize,
    fields: Vec<Field>,
}

impl<'a> Collector<'a> {
    /// For slices of `header`, which is at most `HEADER_BYTES_MAX` long.
    pub(crate) fn new(header: &'a [u8]) -> Self {
        Self { header, seen_count: 0, fields: Vec::new() }
    }

    /// Adds an entry; borrowed strings must lie in the header.
    pub(crate) fn push(
        &mut self,
        key: Cow<'a, str>,
        value: Cow<'a, str>,
    ) -> Result<(), FrameError> {
        self.count()?;
        if self.fields.capacity() == 0 {
            self.fields.reserve(TYPICAL_COUNT);
        }
        let field = Field { key: self.part(key), value: self.part(value) };
        self.fields.push(field);
        Ok(())
    }

    /// A null value: hides every earlier entry of `key`, as putting it into a map does.
    pub(crate) fn forget(&mut self, key: &str) -> Result<(), FrameError> {
        self.count()?;
        let header = self.header;
        self.fields.retain(|field| field.key.bytes(header) != key.as_bytes());
        Ok(())
    }

    /// The map came again, and the last one counts.
    pub(crate) fn clear(&mut self) {
        self.fields.clear();
    }

    /// The entries, and where the offsets go.
    pub(crate) fn finish(self) -> Offsets {
        Offsets(self.fields)
    }

    fn count(&mut self) -> Result<(), FrameError> {
        self.seen_count = self.seen_count.saturating_add(1);
        if self.seen_count > EXT_FIELDS_MAX { Err(FrameError::TooManyExtFields) } else { Ok(()) }
    }

    fn part(&self, text: Cow<'a, str>) -> Part {
        let text = match text {
            Cow::Owned(text) => return Part::Text(Text::from(text)),
            Cow::Borrowed(text) => text,
        };
        let start = text.as_ptr().addr().checked_sub(self.header.as_ptr().addr());
        let offset = |at: Option<usize>| u32::try_from(at?).ok();
        let end = start.and_then(|start| start.checked_add(text.len()));
        let is_inside = end.is_some_and(|end| end <= self.header.len());
        match (offset(start), offset(end)) {
            (Some(start), Some(end)) if is_inside => Part::Source { start, end },
            // Not a slice of the header. Nobody gives one; a copy is right, too.
            _ => Part::Text(Text::copied(text)),
        }
    }
}

/// Entries whose header is still borrowed by the scanner.
pub(crate) struct Offsets(Vec<Field>);

impl Offsets {
    /// Ties the entries to the header that they were collected from.
    pub(crate) fn into_fields(self, header: Bytes) -> ExtFields {
        let source = if self.0.is_empty() { Bytes::new() } else { header };
        ExtFields { source, fields: self.0 }
    }
}

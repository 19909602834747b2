//! A scanner and writers for the JSON of this wire.
//!
//! One pass, no tree and no allocation: the caller says what it expects next and takes slices. It is lenient where upstream's peers are: unknown members are skipped, keys may be bare
//! integers (`{1:"a"}`, as Java writes its maps), and raw control characters may stand in strings.
//! It is strict where leniency helps nobody: one value and nothing behind it, depth at most
//! [`JSON_DEPTH_MAX`].
//!
//! Why not a library: none reads bare keys, and the header of a heartbeat has a microsecond.

use crate::java_number::Decimal;
use crate::{JSON_DEPTH_MAX, Text};
use alloc::borrow::Cow;
use alloc::string::String;
use bytes::{BufMut, BytesMut};

/// Why a text is not the JSON that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JsonError {
    #[error("the text ends early")]
    Truncated,
    #[error("unexpected character")]
    Unexpected,
    #[error("nested deeper than JSON_DEPTH_MAX")]
    TooDeep,
    #[error("a list is longer than its limit")]
    TooLong,
    #[error("a value of the wrong type")]
    WrongType,
}

/// A string between its quotes, escapes still in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawString<'a> {
    pub(crate) raw: &'a [u8],
    pub(crate) has_escapes: bool,
}

impl<'a> RawString<'a> {
    /// The bytes of the string itself; allocates only where a backslash stands.
    #[inline]
    pub(crate) fn bytes(self) -> Cow<'a, [u8]> {
        if self.has_escapes {
            return Cow::Owned(unescape(text(self.raw)).into_bytes());
        }
        Cow::Borrowed(self.raw)
    }

    pub(crate) fn is(self, key: &str) -> bool {
        *self.bytes() == *key.as_bytes()
    }
}

/// One whole value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Null,
    /// `true`, `false`, or a number, as it stands.
    Bare(&'a [u8]),
    String(RawString<'a>),
    /// An object or a list, as it stands.
    Nested(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The value as Java's `toString` would give it; null is empty.
    #[inline]
    pub(crate) fn bytes(self) -> Cow<'a, [u8]> {
        match self {
            Self::Null => Cow::Borrowed(b""),
            Self::Bare(bytes) | Self::Nested(bytes) => Cow::Borrowed(bytes),
            Self::String(string) => string.bytes(),
        }
    }

    pub(crate) fn to_text(self) -> Text {
        Text::copied(text(&self.bytes()))
    }
}

/// Every slice of a scanner is UTF-8, because it was cut out of a `str` beside ASCII characters.
fn text(bytes: &[u8]) -> &str {
    core::str::from_utf8(bytes).unwrap_or_default()
}

/// A position in a JSON text.
///
/// Bytes and not a `str`, since every cut stands beside an ASCII character and needs no check.
pub(crate) struct Scanner<'a> {
    rest: &'a [u8],
    depth: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { rest: text.as_bytes(), depth: 0 }
    }

    /// Visits each member of an object; `visit` must take the value.
    #[inline]
    pub(crate) fn members<V>(&mut self, mut visit: V) -> Result<(), JsonError>
    where
        V: FnMut(&mut Self, RawString<'a>) -> Result<(), JsonError>,
    {
        self.sequence(b'{', b'}', |scanner| {
            let key = scanner.key()?;
            scanner.expect(b':')?;
            visit(scanner, key)
        })
    }

    /// Visits each element of a list; `visit` must take the element.
    #[inline]
    pub(crate) fn elements<V>(&mut self, visit: V) -> Result<(), JsonError>
    where
        V: FnMut(&mut Self) -> Result<(), JsonError>,
    {
        self.sequence(b'[', b']', visit)
    }

    /// Takes any value.
    #[inline]
    pub(crate) fn value(&mut self) -> Result<Value<'a>, JsonError> {
        if self.eat(b'"') {
            return self.string().map(Value::String);
        }
        match self.peek().ok_or(JsonError::Truncated)? {
            b'{' | b'[' => self.nested(),
            b't' => self.word(b"true").map(Value::Bare),
            b'f' => self.word(b"false").map(Value::Bare),
            b'n' => self.word(b"null").map(|_| Value::Null),
            _ => self.number().map(Value::Bare),
        }
    }

    /// Takes a `null` if one stands here.
    pub(crate) fn is_null(&mut self) -> Result<bool, JsonError> {
        if self.peek() != Some(b'n') {
            return Ok(false);
        }
        self.word(b"null").map(|_| true)
    }

    /// Nothing but white space may be left.
    pub(crate) fn end(&mut self) -> Result<(), JsonError> {
        if self.peek().is_none() { Ok(()) } else { Err(JsonError::Unexpected) }
    }

    #[inline]
    fn sequence<V>(&mut self, open: u8, close: u8, mut visit: V) -> Result<(), JsonError>
    where
        V: FnMut(&mut Self) -> Result<(), JsonError>,
    {
        self.expect(open)?;
        if self.depth >= JSON_DEPTH_MAX {
            return Err(JsonError::TooDeep);
        }
        self.depth = self.depth.saturating_add(1);
        if !self.eat(close) {
            loop {
                visit(self)?;
                if !self.eat(b',') {
                    break;
                }
            }
            self.expect(close)?;
        }
        self.depth = self.depth.saturating_sub(1);
        Ok(())
    }

    fn nested(&mut self) -> Result<Value<'a>, JsonError> {
        let before = self.rest;
        if self.peek() == Some(b'{') {
            self.members(|scanner, _| scanner.value().map(|_| ()))?;
        } else {
            self.elements(|scanner| scanner.value().map(|_| ()))?;
        }
        let taken = before.len().saturating_sub(self.rest.len());
        Ok(Value::Nested(before.get(..taken).unwrap_or_default()))
    }

    #[inline]
    fn key(&mut self) -> Result<RawString<'a>, JsonError> {
        if self.eat(b'"') {
            return self.string();
        }
        self.peek();
        Ok(RawString { raw: self.number()?, has_escapes: false })
    }

    /// A string whose opening quote is taken.
    #[inline]
    fn string(&mut self) -> Result<RawString<'a>, JsonError> {
        let end = plain_bytes(self.rest);
        match self.rest.split_at_checked(end) {
            Some((raw, [b'"', rest @ ..])) => {
                self.rest = rest;
                Ok(RawString { raw, has_escapes: false })
            }
            Some(_) | None => self.string_with_escapes(),
        }
    }

    /// The same where a quote behind a backslash does not end it.
    #[cold]
    fn string_with_escapes(&mut self) -> Result<RawString<'a>, JsonError> {
        let mut is_escaped = false;
        let is_end = |&byte: &u8| {
            let ends = byte == b'"' && !is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
            ends
        };
        let end = self.rest.iter().position(is_end).ok_or(JsonError::Truncated)?;
        let raw = self.take(end)?;
        self.take(1)?;
        Ok(RawString { raw, has_escapes: true })
    }

    fn number(&mut self) -> Result<&'a [u8], JsonError> {
        let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
        let end = self.rest.iter().position(|byte| !is_part(byte)).unwrap_or(self.rest.len());
        let number = self.take(end)?;
        let has_digit = number.iter().any(u8::is_ascii_digit);
        if has_digit { Ok(number) } else { Err(JsonError::Unexpected) }
    }

    fn word(&mut self, word: &[u8]) -> Result<&'a [u8], JsonError> {
        if self.rest.starts_with(word) { self.take(word.len()) } else { Err(JsonError::Unexpected) }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], JsonError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(JsonError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next byte that is not white space.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        let first = self.rest.first().copied()?;
        if first > b' ' { Some(first) } else { self.skip_space() }
    }

    #[cold]
    fn skip_space(&mut self) -> Option<u8> {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
        self.rest.first().copied()
    }

    #[inline]
    fn eat(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        if let (true, [_, rest @ ..]) = (is_next, self.rest) {
            self.rest = rest;
        }
        is_next
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.eat(byte) {
            return Ok(());
        }
        Err(if self.rest.is_empty() { JsonError::Truncated } else { JsonError::Unexpected })
    }
}

/// How many bytes stand before the first quote or backslash, eight at a time.
///
/// The classic test for a zero byte in a word: subtracting 1 from each byte borrows into its top bit
/// only from zero. A borrow may run on into higher bytes, so only the lowest hit is a true one.
#[inline]
fn plain_bytes(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([0x01; 8]);
    const TOPS: u64 = u64::from_le_bytes([0x80; 8]);
    const QUOTES: u64 = u64::from_le_bytes([b'"'; 8]);
    const BACKSLASHES: u64 = u64::from_le_bytes([b'\\'; 8]);
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & TOPS;
    let (chunks, tail) = bytes.as_chunks::<8>();
    let mut count = 0_usize;
    for chunk in chunks {
        let word = u64::from_le_bytes(*chunk);
        let hits = zeros(word ^ QUOTES) | zeros(word ^ BACKSLASHES);
        if hits != 0 {
            let bits = usize::try_from(hits.trailing_zeros()).unwrap_or(0);
            return count.saturating_add(bits / 8);
        }
        count = count.saturating_add(8);
    }
    let is_special = |&byte: &u8| byte == b'"' || byte == b'\\';
    let in_tail = tail.iter().position(is_special).unwrap_or(tail.len());
    count.saturating_add(in_tail)
}

/// Resolves escapes. Java keeps half of a surrogate pair, which is no character; it becomes U+FFFD.
/// An escape that JSON does not know stands for the character behind the backslash.
fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((plain, behind)) = rest.split_once('\\') {
        out.push_str(plain);
        let mut characters = behind.chars();
        let (character, length) = match characters.next() {
            Some('b') => ('\u{8}', 1),
            Some('f') => ('\u{c}', 1),
            Some('n') => ('\n', 1),
            Some('r') => ('\r', 1),
            Some('t') => ('\t', 1),
            Some('u') => code_point(behind),
            Some(other) => (other, other.len_utf8()),
            None => (char::REPLACEMENT_CHARACTER, 0),
        };
        out.push(character);
        rest = behind.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// Reads `uXXXX`, or two of them that make one character, and tells how many bytes it took.
fn code_point(text: &str) -> (char, usize) {
    let unit = |at: usize| {
        let digits = text.get(at..)?.get(..4)?;
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hex { u16::from_str_radix(digits, 16).ok() } else { None }
    };
    let Some(first) = unit(1) else { return ('u', 1) };
    if let Some(character) = char::from_u32(u32::from(first)) {
        return (character, 5);
    }
    let second = text.get(5..).filter(|rest| rest.starts_with("\\u")).and_then(|_| unit(7));
    let units = [first, second.unwrap_or(0)];
    match char::decode_utf16(units).next() {
        Some(Ok(character)) => (character, 11),
        Some(Err(_)) | None => (char::REPLACEMENT_CHARACTER, 5),
    }
}

/// Writes `text` between quotes, with the escapes that upstream writes.
pub(crate) fn write_string(out: &mut BytesMut, text: &[u8]) {
    out.put_u8(b'"');
    let needs_escape = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    // Folded, not searched: the whole string is usually clean, and this runs on whole registers.
    let is_dirty = text.iter().fold(false, |dirty, &byte| dirty | needs_escape(byte));
    if is_dirty {
        write_escaped(out, text);
    } else {
        out.extend_from_slice(text);
    }
    out.put_u8(b'"');
}

fn write_escaped(out: &mut BytesMut, text: &[u8]) {
    for &byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            0x00..=0x1f => {
                out.extend_from_slice(if byte < 0x10 { b"\\u000" } else { b"\\u001" });
                out.put_u8(
                    b"0123456789abcdef".get(usize::from(byte % 16)).copied().unwrap_or(b'0'),
                );
            }
            _ => out.put_u8(byte),
        }
    }
}

/// Writes `number` in decimal.
pub(crate) fn write_number(out: &mut BytesMut, number: i64) {
    out.extend_from_slice(Decimal::new(number).as_bytes());
}

/// Writes `items` between brackets, each by `write`.
pub(crate) fn write_list<I, T, W>(out: &mut BytesMut, items: I, mut write: W)
where
    I: IntoIterator<Item = T>,
    W: FnMut(&mut BytesMut, T),
{
    let mut separator: &[u8] = b"[";
    for item in items {
        out.extend_from_slice(separator);
        write(out, item);
        separator = b",";
    }
    out.extend_from_slice(if separator == b"[" { b"[]" } else { b"]" });
}

#[cfg(test)]
mod tests {
    use super::{JsonError, Scanner, Value, write_string};
    use alloc::string::{String, ToString};
    use bytes::BytesMut;

    fn text(json: &str) -> Result<String, JsonError> {
        let mut scanner = Scanner::new(json);
        let value = scanner.value()?.bytes().into_owned();
        scanner.end()?;
        Ok(String::from_utf8(value).unwrap())
    }

    #[test]
    fn values_become_their_text() {
        let rows: &[(&str, &str)] = &[
            ("\"\"", ""),
            (" \"a\" ", "a"),
            ("-12.50", "-12.50"),
            ("true", "true"),
            ("null", ""),
            ("[1, {\"a\":[]}]", "[1, {\"a\":[]}]"),
            (r#""\b\f\n\r\t\"\\\/""#, "\u{8}\u{c}\n\r\t\"\\/"),
            (r#""\u0041\u00e4\u4e2d""#, "A\u{e4}\u{4e2d}"),
            (r#""\ud83d\ude00.""#, "\u{1f600}."),
            (r#""\ud83d.""#, "\u{fffd}."),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
            (r#""\ude00""#, "\u{fffd}"),
            (r#""\u00""#, "u00"),
            (r#""\u+041""#, "u+041"),
            (r#""\x\\u{e4}""#, "x\\u{e4}"),
            ("\"raw\nline\"", "raw\nline"),
        ];
        for &(json, expected) in rows {
            assert_eq!(text(json).as_deref(), Ok(expected), "{json}");
        }
    }

    #[test]
    fn broken_values_are_refused() {
        let rows = [
            "", " ", "\"", "\"a\\\"", "{", "[1,", "[1,]", "{\"a\"}", "{,}", "{a:1}", "tru", "-",
            "1 2", "}",
        ];
        for json in rows {
            assert!(text(json).is_err(), "{json}");
        }
    }

    #[test]
    fn b11_depth_is_limited() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(text(&nested(16)).is_ok());
        assert_eq!(text(&nested(17)), Err(JsonError::TooDeep));
        assert_eq!(text(&"{\"a\":".repeat(10_000)), Err(JsonError::TooDeep));
    }

    #[test]
    fn bare_integers_are_keys() {
        let mut keys = String::new();
        let mut scanner = Scanner::new("{1:\"a\",-2:\"b\",\"3\":null}");
        let outcome = scanner.members(|scanner, key| {
            keys.push_str(core::str::from_utf8(&key.bytes()).unwrap());
            scanner.value().map(|_| ())
        });
        assert_eq!((outcome, keys.as_str()), (Ok(()), "1-23"));
    }

    #[test]
    fn what_is_written_is_read() {
        let all: String = (0..=0x200_u32).filter_map(char::from_u32).chain(['\u{1f600}']).collect();
        let mut out = BytesMut::new();
        write_string(&mut out, all.as_bytes());
        let written = core::str::from_utf8(&out).unwrap().to_string();
        assert_eq!(text(&written), Ok(all.clone()));
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), all);
        assert!(matches!(Scanner::new("\"a\"").value(), Ok(Value::String(_))));
    }
}

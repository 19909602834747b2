//! Reads Java property files exactly as Java's own loader does.
//!
//! ```text
//! bytes ──natural lines──▶ logical lines ──split──▶ raw key, raw value ──unescape──▶ Property
//!        CR, LF or CR LF    `\` at the end joins     first `=` `:` blank    \t \n \r \f \uXXXX
//! ```
//!
//! | Rule | Trap that follows from it |
//! |---|---|
//! | bytes are ISO-8859-1 | UTF-8 text outside ASCII arrives garbled, in Java as here |
//! | blanks before a key and around the separator go, blanks *after* the value stay | `9876 ` is no number |
//! | a comment is a line whose first character is `#` or `!`; it is never continued | a `\` at its end joins nothing |
//! | `\` before any other character stands for that character | `C:\dir` becomes `C:dir` |
//! | a malformed `\uXXXX` is an error for the whole file | Java stops at start, 1009 answers code 1 |
//! | a line without separator is a key with an empty value | an XML comment at the top gives odd keys |
//!
//! Invariants: total on any input (only `\u` can fail); properties come in file order with the line
//! on which their key begins; duplicates are kept, and the later one wins by being later.
//!
//! What is not here: meaning. Which key is known and what its value may be stands in
//! [`crate::config`]. XML property files are not read either; upstream does not use them.
//!
//! Source: `java.util.Properties#load(InputStream)` of JDK 9 and later. JDK 8 differs in one place,
//! where the backslash at the end of a comment changes how a backslash that opens the next line is
//! read; that was a defect.

/// One `key=value` of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// The key, unescaped. It may be empty, as in Java.
    pub key: String,
    /// The value, unescaped, with its trailing blanks.
    pub value: String,
    /// The natural line on which the key begins, counted from 1.
    pub line: usize,
}

/// A `\u` that four hexadecimal digits do not follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: malformed \\uxxxx encoding: four hexadecimal digits must follow \\u")]
pub struct PropertiesError {
    /// The natural line on which the property begins, counted from 1.
    pub line: usize,
}

/// Reads all properties of a file.
///
/// `bytes` is the whole file. Returns the properties in file order, duplicates included.
///
/// # Errors
/// [`PropertiesError`] at the first malformed `\uXXXX`; nothing of the file is then used.
///
/// Source: `java.util.Properties#load0`.
pub fn load(bytes: &[u8]) -> Result<Vec<Property>, PropertiesError> {
    let mut lines = LogicalLines { rest: bytes, line: 1 };
    let mut properties = Vec::new();
    while let Some((line, text)) = lines.next_line() {
        let (key, value) = split(&text);
        let malformed = PropertiesError { line };
        let key = unescape(key).ok_or(malformed)?;
        let value = unescape(value).ok_or(malformed)?;
        properties.push(Property { key, value, line });
    }
    Ok(properties)
}

/// Writes one property so that [`load`] reads the same key and value back.
///
/// For the plain values of a controller this is `key=value` and a line feed, the text Java writes;
/// Java does not escape, so a value with a backslash does not survive there.
pub fn write(key: &str, value: &str, out: &mut String) {
    escape(key, Part::Key, out);
    out.push('=');
    escape(value, Part::Value, out);
    out.push('\n');
}

/// Which half of a property is escaped: separators matter in a key only.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Key,
    Value,
}

/// Cuts the input into logical lines.
struct LogicalLines<'a> {
    rest: &'a [u8],
    /// Number of the natural line that `rest` begins in.
    line: usize,
}

/// One line of the file, without blanks at its start and without its terminator.
struct NaturalLine<'a> {
    text: &'a [u8],
    number: usize,
    /// The input ends with this line or with the first byte of its terminator.
    is_last: bool,
}

impl<'a> LogicalLines<'a> {
    /// The next logical line that is neither blank nor a comment, without the joining backslashes,
    /// and the number of its first natural line.
    fn next_line(&mut self) -> Option<(usize, Vec<u8>)> {
        let mut text: Vec<u8> = Vec::new();
        let mut first = self.line;
        while let Some(natural) = self.natural_line() {
            // Java looks only at the length so far: after a lone `\` a comment is still a comment.
            if text.is_empty() {
                first = natural.number;
                if matches!(natural.text.first(), None | Some(b'#' | b'!')) {
                    continue;
                }
            }
            text.extend_from_slice(natural.text);
            let backslashes = natural.text.iter().rev().take_while(|byte| **byte == b'\\').count();
            let is_continued = backslashes % 2 == 1;
            if is_continued {
                text.pop();
            }
            // A lone `\` as the last line gives Java an empty key with an empty value.
            if natural.is_last || !is_continued {
                return Some((first, text));
            }
        }
        (!text.is_empty()).then_some((first, text))
    }

    /// Takes one natural line off the input; `None` at its end.
    fn natural_line(&mut self) -> Option<NaturalLine<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let number = self.line;
        let end = self.rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let (text, terminated) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let is_last = terminated.len() <= 1;
        self.rest = match terminated {
            [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
            [] => &[],
        };
        self.line += 1;
        let start = text.iter().position(|byte| !is_blank(*byte)).unwrap_or(text.len());
        let (_, text) = text.split_at(start);
        Some(NaturalLine { text, number, is_last })
    }
}

/// Blanks in the sense of property files: no vertical tab, no line ends.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\x0c')
}

/// Splits a logical line at its first separator that no backslash protects.
///
/// Blanks around one `=` or `:` belong to the separator; a second one belongs to the value.
fn split(line: &[u8]) -> (&[u8], &[u8]) {
    let mut is_escaped = false;
    let is_separator = |byte: &u8| {
        let found = !is_escaped && (matches!(byte, b'=' | b':') || is_blank(*byte));
        is_escaped = *byte == b'\\' && !is_escaped;
        found
    };
    let key_bytes = line.iter().position(is_separator).unwrap_or(line.len());
    let (key, rest) = line.split_at(key_bytes);
    let rest = skip_blanks(rest);
    let value = match rest {
        [b'=' | b':', value @ ..] => skip_blanks(value),
        value => value,
    };
    (key, value)
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !is_blank(*byte)).unwrap_or(text.len());
    text.split_at(start).1
}

/// Resolves the escapes; `None` if a `\u` is malformed.
///
/// Java builds UTF-16, so a pair of `\u` may form one character; a lone half becomes U+FFFD here.
fn unescape(raw: &[u8]) -> Option<String> {
    let mut units: Vec<u16> = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied();
    while let Some(byte) = bytes.next() {
        let unit = match byte {
            // `?` is for `\u` only: the line reader leaves no lone backslash at the end.
            b'\\' => match bytes.next()? {
                b't' => u16::from(b'\t'),
                b'n' => u16::from(b'\n'),
                b'r' => u16::from(b'\r'),
                b'f' => 0x0c,
                b'u' => code_unit(&mut bytes)?,
                other => u16::from(other),
            },
            plain => u16::from(plain),
        };
        units.push(unit);
    }
    Some(String::from_utf16_lossy(&units))
}

/// Four hexadecimal digits of either case.
fn code_unit(bytes: &mut impl Iterator<Item = u8>) -> Option<u16> {
    let mut unit: u16 = 0;
    for _ in 0..4 {
        let digit = char::from(bytes.next()?).to_digit(16)?;
        unit = (unit << 4) | u16::try_from(digit).ok()?;
    }
    Some(unit)
}

fn escape(text: &str, part: Part, out: &mut String) {
    for (position, character) in text.chars().enumerate() {
        let is_leading = position == 0;
        match character {
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\u{c}' => out.push_str("\\f"),
            '\\' => out.push_str("\\\\"),
            ' ' if is_leading || part == Part::Key => out.push_str("\\ "),
            '=' | ':' if is_leading || part == Part::Key => push_escaped(character, out),
            '#' | '!' if is_leading => push_escaped(character, out),
            ' '..='~' => out.push(character),
            other => {
                let mut units = [0; 2];
                for unit in other.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04X}"));
                }
            }
        }
    }
}

fn push_escaped(character: char, out: &mut String) {
    out.push('\\');
    out.push(character);
}

//! Java's number rules, to the letter, and decimal digits without a formatter.
//!
//! Fields of a request are strings, and which strings are numbers decides what upstream answers:
//! `+1` is one and ` 1` is not.
//!
//! ```text
//! number := ["-" | "+"] digit+        no white space, no exponent, no underscore, no overflow
//! digit  := any decimal digit of the basic plane of Unicode, such as U+0661
//! ```
//!
//! Source: `Long.parseLong`, `Integer.parseInt` and `Character.digit` of the Java library.

/// Zeros of the decimal digits outside ASCII that fit one UTF-16 unit; nine more follow each.
/// Java reads a string by these units, so digits beyond them are none.
const ZEROS: &[u32] = &[
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66,
    0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90,
    0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10,
];

/// Digits that fit 64 bits whatever they are.
const SHORT_DIGITS_MAX: usize = 18;

/// Reads what `Long.parseLong` reads; `None` where it throws.
pub(crate) fn long(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let magnitude = if digits.len() <= SHORT_DIGITS_MAX { short(digits) } else { None };
    let number = match magnitude {
        // Counted downward, because the smallest number has no positive counterpart.
        Some(magnitude) => magnitude.wrapping_neg(),
        None => {
            let characters = core::str::from_utf8(digits).ok()?.chars();
            characters.into_iter().try_fold(0_i64, |number, character| {
                number.checked_mul(10)?.checked_sub(digit(character)?)
            })?
        }
    };
    if is_negative { Some(number) } else { number.checked_neg() }
}

/// ASCII digits that cannot overflow; `None` if others are among them.
fn short(digits: &[u8]) -> Option<i64> {
    let mut number = 0_i64;
    for &byte in digits {
        let value = byte.wrapping_sub(b'0');
        if value > 9 {
            return None;
        }
        number = number.wrapping_mul(10).wrapping_add(i64::from(value));
    }
    Some(number)
}

/// Reads what `Integer.parseInt` reads; `None` where it throws.
pub(crate) fn int(text: &[u8]) -> Option<i32> {
    i32::try_from(long(text)?).ok()
}

/// Reads as `Boolean.parseBoolean`: "true" in any case, and everything else is false.
pub(crate) fn boolean(text: &[u8]) -> bool {
    text.eq_ignore_ascii_case(b"true")
}

fn digit(character: char) -> Option<i64> {
    if character.is_ascii() {
        return character.to_digit(10).map(i64::from);
    }
    let point = u32::from(character);
    let values = ZEROS.iter().map(|&zero| point.wrapping_sub(zero));
    values.into_iter().find(|&value| value <= 9).map(i64::from)
}

/// The decimal digits of one number.
pub(crate) struct Decimal {
    bytes: [u8; Self::BYTES_MAX],
    start: usize,
}

impl Decimal {
    /// A sign and the 19 digits of `i64::MIN`.
    const BYTES_MAX: usize = 20;

    pub(crate) fn new(number: i64) -> Self {
        let mut bytes = [b'0'; Self::BYTES_MAX];
        let mut start = Self::BYTES_MAX;
        let mut rest = number.unsigned_abs();
        for place in bytes.iter_mut().rev() {
            let digit = u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
            start = start.saturating_sub(1);
            *place = b'0'.wrapping_add(digit);
            if rest == 0 {
                break;
            }
        }
        if number < 0 {
            start = start.saturating_sub(1);
            if let Some(place) = bytes.get_mut(start) {
                *place = b'-';
            }
        }
        Self { bytes, start }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{Decimal, boolean, int, long};
    use alloc::string::ToString;

    #[test]
    fn b23_numbers_are_those_of_java() {
        let rows: &[(&str, Option<i64>)] = &[
            ("0", Some(0)),
            ("-0", Some(0)),
            ("+1", Some(1)),
            ("007", Some(7)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("\u{661}\u{662}", Some(12)),
            ("-\u{ff19}", Some(-9)),
            ("", None),
            ("-", None),
            ("+", None),
            ("+-1", None),
            ("--1", None),
            ("abc", None),
            ("1e3", None),
            ("1.0", None),
            (" 1", None),
            ("1 ", None),
            ("1_0", None),
            ("0x1", None),
            ("1L", None),
            ("\u{2160}", None),
            ("\u{1d7d8}", None),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("99999999999999999999999", None),
        ];
        for &(text, expected) in rows {
            assert_eq!(long(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn ints_end_at_32_bits() {
        assert_eq!(int(b"2147483647"), Some(i32::MAX));
        assert_eq!(int(b"-2147483648"), Some(i32::MIN));
        assert_eq!(int(b"2147483648"), None);
        assert_eq!(int(b"-2147483649"), None);
    }

    #[test]
    fn booleans_are_never_refused() {
        assert!(boolean(b"true") && boolean(b"TrUe"));
        assert!(!boolean(b"1") && !boolean(b"") && !boolean(b"true ") && !boolean(b"yes"));
    }

    #[test]
    fn decimals_are_as_formatted() {
        for number in [0, 9, 10, 99, -1, -10, 123_456, i64::MIN, i64::MAX] {
            assert_eq!(Decimal::new(number).as_bytes(), number.to_string().as_bytes());
        }
    }
}

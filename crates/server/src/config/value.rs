//! Turns texts into values by the rules of Java's setters.
//!
//! Upstream finds the setter by the key's name, converts by the parameter's type, and swallows
//! whatever the conversion throws: the old value stays. So `listenPort=9876 ` (with a blank) changes
//! nothing, while a string is trimmed first. The result here is the text that Java would print for
//! the value, so that `+5` becomes `5` and `TRUE` becomes `true`.
//!
//! Source: upstream `MixAll#properties2Object`, `MetricsExporterType#valueOf`.

use super::field::Kind;

/// Names of `MetricsExporterType` in the order of their numbers.
const EXPORTER_TYPES: [&str; 4] = ["DISABLE", "OTLP_GRPC", "PROM", "LOG"];

/// The text Java would print for `raw` as a `kind`, or `None` if Java keeps the old value.
#[must_use]
pub fn convert(kind: Kind, raw: &str) -> Option<String> {
    match kind {
        // Rust's rule for a sign and for overflow is that of `parseInt` and `parseLong`.
        Kind::Int => raw.parse::<i32>().ok().map(|number| number.to_string()),
        Kind::Long => raw.parse::<i64>().ok().map(|number| number.to_string()),
        Kind::Boolean => Some(raw.eq_ignore_ascii_case("true").to_string()),
        Kind::Text | Kind::Secret => Some(trim(raw).to_owned()),
        Kind::ExporterType => exporter_type(raw).map(ToOwned::to_owned),
        Kind::Choice(words) => {
            words.iter().find(|word| **word == raw.trim()).map(|word| (*word).to_owned())
        }
        Kind::Within(least, most) => raw
            .trim()
            .parse::<i64>()
            .ok()
            .filter(|number| (least..=most).contains(number))
            .map(|number| number.to_string()),
    }
}

/// What a kind accepts, for messages.
#[must_use]
pub fn allowed(kind: Kind) -> &'static str {
    match kind {
        Kind::Int => "a whole number of 32 bits without blanks",
        Kind::Long => "a whole number of 64 bits without blanks",
        Kind::Boolean => "true or false",
        Kind::Text | Kind::Secret => "any text",
        Kind::ExporterType => "DISABLE, OTLP_GRPC, PROM, LOG or 0 to 3",
        Kind::Choice(_) => "one of the listed words",
        Kind::Within(_, _) => "a whole number within bounds",
    }
}

/// What one of our own kinds accepts, in full.
#[must_use]
pub fn allowed_exactly(kind: Kind) -> String {
    match kind {
        Kind::Choice(words) => words.join(", "),
        Kind::Within(least, most) => format!("a whole number from {least} to {most}"),
        Kind::Int | Kind::Long | Kind::Boolean | Kind::Text | Kind::Secret | Kind::ExporterType => {
            allowed(kind).to_owned()
        }
    }
}

/// Java's `trim`: everything up to U+0020 goes, and nothing beyond.
fn trim(text: &str) -> &str {
    text.trim_matches(|character| character <= ' ')
}

/// A number picks by position and 0 when it is out of range; otherwise the exact name.
fn exporter_type(raw: &str) -> Option<&'static str> {
    if let Ok(number) = raw.parse::<i32>() {
        let position = usize::try_from(number).unwrap_or(0);
        return Some(EXPORTER_TYPES.get(position).copied().unwrap_or(EXPORTER_TYPES[0]));
    }
    EXPORTER_TYPES.into_iter().find(|name| *name == raw)
}

#[cfg(test)]
mod tests {
    use super::{Kind, convert};

    fn check(kind: Kind, rows: &[(&str, Option<&str>)]) {
        for (raw, expected) in rows {
            assert_eq!(convert(kind, raw).as_deref(), *expected, "{kind:?} {raw:?}");
        }
    }

    #[test]
    fn numbers_are_exact() {
        let rows = [
            ("9876", Some("9876")),
            ("+5", Some("5")),
            ("-5", Some("-5")),
            ("007", Some("7")),
            ("9876 ", None),
            (" 9876", None),
            ("", None),
            ("+", None),
            ("1e3", None),
            ("0x10", None),
            ("2147483647", Some("2147483647")),
            ("2147483648", None),
        ];
        check(Kind::Int, &rows);
        let wide = [("2147483648", Some("2147483648")), ("9223372036854775808", None)];
        check(Kind::Long, &wide);
    }

    #[test]
    fn booleans_never_fail() {
        let rows = [
            ("true", Some("true")),
            ("TrUe", Some("true")),
            ("true ", Some("false")),
            ("yes", Some("false")),
            ("", Some("false")),
        ];
        check(Kind::Boolean, &rows);
    }

    #[test]
    fn texts_are_trimmed() {
        check(Kind::Text, &[(" a b \t", Some("a b")), ("\u{a0}a", Some("\u{a0}a"))]);
    }

    #[test]
    fn exporter_types_go_by_name_or_number() {
        let rows = [
            ("PROM", Some("PROM")),
            ("2", Some("PROM")),
            ("7", Some("DISABLE")),
            ("-1", Some("DISABLE")),
            ("prom", None),
            ("PROM ", None),
        ];
        check(Kind::ExporterType, &rows);
    }

    #[test]
    fn our_own_kinds_are_strict() {
        check(Kind::Choice(&["a", "b"]), &[("a", Some("a")), (" b ", Some("b")), ("A", None)]);
        check(Kind::Within(0, 9), &[("9", Some("9")), (" 0 ", Some("0")), ("10", None)]);
    }
}

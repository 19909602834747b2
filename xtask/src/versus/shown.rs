//! Figures as people read them: three digits that count, and a unit.

/// Microseconds with the unit that keeps three digits.
pub(super) fn latency(us: f64) -> String {
    match us {
        us if us < 999.5 => format!("{us:.0} µs"),
        us if us < 999_500.0 => format!("{} ms", three_digits(us / 1e3)),
        us => format!("{} s", three_digits(us / 1e6)),
    }
}

/// Events a second, thousands apart.
pub(super) fn rate(per_second: f64) -> String {
    let digits = format!("{per_second:.0}");
    if digits.len() <= 2 {
        return format!("{}/s", three_digits(per_second));
    }
    let mut shown = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown + "/s"
}

/// Bytes in powers of 1,024.
pub(super) fn bytes(value: f64) -> String {
    match value {
        value if value < 1_024.0 => format!("{value:.0} B"),
        value if value < 1_048_576.0 => format!("{} KiB", three_digits(value / 1_024.0)),
        value => format!("{} MiB", three_digits(value / 1_048_576.0)),
    }
}

/// `64.1×`.
pub(super) fn factor(value: f64) -> String {
    format!("{}×", three_digits(value))
}

pub(super) fn three_digits(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.9995 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{bytes, factor, latency, rate};

    #[test]
    fn figures_keep_three_digits() {
        assert_eq!([7.0, 1_240.0, 31e6].map(latency), ["7 µs", "1.24 ms", "31.0 s"]);
        assert_eq!([7.5, 181.2, 1_234_567.0].map(rate), ["7.50/s", "181/s", "1,234,567/s"]);
        assert_eq!([512.0, 22_020_096.0].map(bytes), ["512 B", "21.0 MiB"]);
        assert_eq!([0.5, 64.12, 250.0].map(factor), ["0.500×", "64.1×", "250×"]);
    }
}

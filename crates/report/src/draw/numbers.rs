//! Figures as people read them: three digits that count, a unit beside each, no value as a dash.

pub use measure::histogram::whole;

/// What stands where there is no value. Zero is a value and is written `0`.
pub const NONE: &str = "–";

/// Microseconds with the unit that keeps three digits: `812 µs`, `1.24 ms`, `12.4 ms`, `3.02 s`.
pub fn latency(us: f64) -> String {
    match us {
        us if us < 999.5 => format!("{us:.0} µs"),
        us if us < 999_500.0 => format!("{} ms", three_digits(us / 1e3)),
        us => format!("{} s", three_digits(us / 1e6)),
    }
}

/// The same beside an axis, where values are round: `10 ms`, `500 µs`.
pub fn round_latency(us: f64) -> String {
    match us {
        us if us < 999.5 => format!("{} µs", (us * 1e3).round() / 1e3),
        us if us < 999_500.0 => format!("{} ms", us.round() / 1e3),
        us => format!("{} s", (us / 1e3).round() / 1e3),
    }
}

/// Three digits that count, more before the point where there are more: `0.0123`, `1.24`, `12.4`, `124`, `1240`.
pub fn three_digits(value: f64) -> String {
    let size = value.abs();
    match size {
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.9995 || size == 0.0 => format!("{value:.2}"),
        size if size >= 0.09995 => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    }
}

/// A count with its thousands apart: `12,345`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Events a second: `1,998/s`, `0.50/s`.
pub fn rate(per_second: f64) -> String {
    if per_second >= 99.5 {
        format!("{}/s", count(whole(per_second)))
    } else {
        format!("{}/s", three_digits(per_second))
    }
}

/// A ratio of two values, without its sign: `0.97`, `64.1`, and `1/68.0` where the first is far smaller.
pub fn plain_ratio(value: f64) -> String {
    if value > 0.0 && value < 0.0995 {
        format!("1/{}", three_digits(1.0 / value))
    } else {
        three_digits(value)
    }
}

/// A ratio of two values: `0.97×`, `64.1×`, `1/68.0×`.
pub fn ratio(value: f64) -> String {
    format!("{}×", plain_ratio(value))
}

/// Bytes in powers of 1,024: `512 B`, `21.0 MiB`.
pub fn bytes(value: f64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if value < 1_024.0 {
        return format!("{value:.0} B");
    }
    let mut scaled = value / 1_024.0;
    let mut unit = 0;
    while scaled >= 1_024.0 && unit + 1 < UNITS.len() {
        scaled /= 1_024.0;
        unit += 1;
    }
    format!("{} {}", three_digits(scaled), UNITS[unit])
}

/// A length of time in milliseconds: `250 ms`, `12.5 s`, `3 min 20 s`.
pub fn length(ms: u64) -> String {
    match ms {
        ms if ms < 1_000 => format!("{ms} ms"),
        ms if ms < 120_000 && ms % 1_000 != 0 => format!("{:.1} s", ms as f64 / 1e3),
        ms if ms < 120_000 => format!("{} s", ms / 1_000),
        ms if ms % 60_000 < 1_000 => format!("{} min", ms / 60_000),
        ms => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

/// A moment of Unix time in UTC: `2026-11-22 10:06:53 UTC`.
///
/// Source: Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`, for days from 1970 on.
pub fn date(unix_ms: u64) -> String {
    let seconds = unix_ms / 1_000;
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months count from March here, so that the day that comes and goes is the last of the year.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year_of_era + era * 400 + later;
    let (hour, minute, second) = (second / 3_600, second % 3_600 / 60, second % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::{bytes, count, date, latency, length, rate, ratio, round_latency};

    #[test]
    fn latencies_keep_three_digits_and_change_their_unit_before_they_round_to_it() {
        let shown = [0.0, 7.0, 999.4, 999.6, 1_240.0, 12_400.0, 999_400.0, 999_600.0, 31e6];
        let shown = shown.map(latency);
        let expected = [
            "0 µs", "7 µs", "999 µs", "1.00 ms", "1.24 ms", "12.4 ms", "999 ms", "1.00 s", "31.0 s",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn round_latencies_have_no_digits_to_spare() {
        let shown = [0.5, 200.0, 1e3, 2e4, 5e6].map(round_latency);
        assert_eq!(shown, ["0.5 µs", "200 µs", "1 ms", "20 ms", "5 s"]);
    }

    #[test]
    fn counts_rates_ratios_and_sizes() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0.0, 0.5, 12.34, 1_998.4].map(rate),
            ["0.00/s", "0.500/s", "12.3/s", "1,998/s"]
        );
        assert_eq!([0.972, 64.12, 0.004].map(ratio), ["0.972×", "64.1×", "1/250×"]);
        assert_eq!([512.0, 1_536.0, 22_020_096.0].map(bytes), ["512 B", "1.50 KiB", "21.0 MiB"]);
    }

    #[test]
    fn lengths_of_time() {
        let shown = [250, 12_500, 60_000, 180_000, 200_000].map(length);
        assert_eq!(shown, ["250 ms", "12.5 s", "60 s", "3 min", "3 min 20 s"]);
    }

    #[test]
    fn dates_know_leap_years() {
        assert_eq!(date(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(date(951_782_400_000), "2000-02-29 00:00:00 UTC");
        assert_eq!(date(1_795_342_013_000), "2026-11-22 10:06:53 UTC");
    }
}

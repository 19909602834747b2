//! Times in nanoseconds, as histograms that can be merged and that travel as text.
//!
//! ```text
//! 1 ns … 60 s, three significant digits: every quantile is right to 0.1 %
//! text: HdrHistogram V2, deflated, base64 ("HISTFAAA…"), as HdrHistogram's own tools read it
//! ```
//!
//! The unit inside is the nanosecond, here and in everything that is encoded; figures that people
//! read ([`Quantiles`]) are microseconds. A histogram in memory takes about 200 kB, its text a few
//! hundred bytes, so what is kept for every window is kept as text ([`Encoded`]).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

/// Three digits hold every quantile to 0.1 %.
const SIGNIFICANT_DIGITS: u8 = 3;

/// A minute; slower answers count as this slow.
pub const NS_MAX: u64 = 60_000_000_000;

/// A quantile is only given if so many samples lie beyond it.
pub const SUPPORT_MIN: f64 = 10.0;

/// Longest text of a histogram that is decoded.
const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Times in nanoseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram(hdrhistogram::Histogram<u64>);

impl Default for Histogram {
    fn default() -> Self {
        let new = hdrhistogram::Histogram::new_with_bounds(1, NS_MAX, SIGNIFICANT_DIGITS);
        Self(new.expect("1 ns to a minute with 3 digits is a valid histogram"))
    }
}

impl Histogram {
    /// Adds one time in nanoseconds; one above [`NS_MAX`] counts as [`NS_MAX`].
    pub fn record(&mut self, nanos: u64) {
        self.0.saturating_record(nanos);
    }

    /// Adds one time so many times.
    pub fn record_n(&mut self, nanos: u64, count: u64) {
        self.0.saturating_record_n(nanos, count);
    }

    /// Adds all times of another histogram.
    pub fn add(&mut self, other: &Self) {
        for step in other.0.iter_recorded() {
            self.0.saturating_record_n(step.value_iterated_to(), step.count_at_value());
        }
    }

    /// Forgets all times and keeps the memory.
    pub fn clear(&mut self) {
        self.0.reset();
    }

    /// How many times there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time at or below which this part (0 to 1) of all lies, in nanoseconds; 0 if there is none.
    #[must_use]
    pub fn quantile_ns(&self, quantile: f64) -> u64 {
        self.0.value_at_quantile(quantile)
    }

    /// As [`Self::quantile_ns`], in milliseconds.
    #[must_use]
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        micros(self.quantile_ns(quantile)) / 1e3
    }

    /// The longest, in nanoseconds; 0 if there is none.
    #[must_use]
    pub fn max_ns(&self) -> u64 {
        self.0.max()
    }

    /// The longest, in milliseconds; 0 if there is none.
    #[must_use]
    pub fn max_ms(&self) -> f64 {
        micros(self.max_ns()) / 1e3
    }

    /// How many times are at most this long.
    #[must_use]
    pub fn count_up_to(&self, nanos: u64) -> u64 {
        self.0.count_between(0, nanos)
    }

    /// Each time that was recorded, and how often, in rising order.
    pub fn recorded(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value()))
    }

    /// The first and the last time that count as the same as this one, in nanoseconds.
    #[must_use]
    pub fn bucket_ns(&self, nanos: u64) -> (u64, u64) {
        (self.0.lowest_equivalent(nanos), self.0.highest_equivalent(nanos))
    }

    /// What people read of it.
    #[must_use]
    pub fn quantiles(&self) -> Quantiles {
        let count = self.count();
        let quantile = |quantile: f64| {
            is_supported(count, quantile).then(|| micros(self.quantile_ns(quantile)))
        };
        Quantiles {
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p999: quantile(0.999),
            p9999: quantile(0.9999),
            max: (count > 0).then(|| micros(self.max_ns())),
            count,
        }
    }

    /// The histogram as text; nothing at all if it is empty.
    ///
    /// # Panics
    /// Never: memory takes whatever is written to it.
    #[must_use]
    pub fn encode(&self) -> Encoded {
        if self.count() == 0 {
            return Encoded::default();
        }
        let mut bytes = Vec::new();
        let serialized = V2DeflateSerializer::new().serialize(&self.0, &mut bytes);
        serialized.expect("memory takes whatever is written to it");
        Encoded(STANDARD.encode(bytes))
    }
}

/// A histogram travels between processes as its text.
impl serde::Serialize for Histogram {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde::Serialize::serialize(&self.encode(), serializer)
    }
}

impl<'de> serde::Deserialize<'de> for Histogram {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <Encoded as serde::Deserialize>::deserialize(deserializer)?
            .decode()
            .map_err(serde::de::Error::custom)
    }
}

/// Whether a quantile (0 to 1) of so many samples has [`SUPPORT_MIN`] of them beyond it.
#[must_use]
pub fn is_supported(count: u64, quantile: f64) -> bool {
    // Of 1,000 samples 10 lie beyond 0.99, which floating point makes a little less of.
    as_f64(count) * (1.0 - quantile) >= SUPPORT_MIN - 1e-6
}

/// The text of a histogram; empty for one without any times.
#[derive(Clone, Debug, Default, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Encoded(pub String);

/// A text that is no histogram.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "not a histogram in HdrHistogram's V2 encoding: {why} (the text begins with {beginning:?})"
)]
pub struct NotAHistogram {
    why: String,
    beginning: String,
}

impl Encoded {
    /// The histogram.
    ///
    /// # Errors
    /// - [`NotAHistogram`]: the text is none.
    pub fn decode(&self) -> Result<Histogram, NotAHistogram> {
        if self.0.is_empty() {
            return Ok(Histogram::default());
        }
        let fail = |why: String| {
            let beginning = self.0.chars().take(16).collect();
            NotAHistogram { why, beginning }
        };
        if self.0.len() > TEXT_BYTES_MAX {
            return Err(fail(format!("longer than {TEXT_BYTES_MAX} bytes (TEXT_BYTES_MAX)")));
        }
        let bytes = STANDARD.decode(&self.0).map_err(|error| fail(error.to_string()))?;
        let decoded = Deserializer::new().deserialize(&mut bytes.as_slice());
        let decoded: hdrhistogram::Histogram<u64> =
            decoded.map_err(|error| fail(error.to_string()))?;
        // Bounds and precision become our own, whoever wrote it.
        let mut own = Histogram::default();
        own.add(&Histogram(decoded));
        Ok(own)
    }
}

/// The figures of one histogram, in microseconds. A quantile with fewer than [`SUPPORT_MIN`] samples
/// beyond it is absent: nobody could rely on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Quantiles {
    /// Half took at most this.
    pub p50: Option<f64>,
    /// 90 % took at most this.
    pub p90: Option<f64>,
    /// 99 % took at most this.
    pub p99: Option<f64>,
    /// 99.9 % took at most this.
    pub p999: Option<f64>,
    /// 99.99 % took at most this.
    pub p9999: Option<f64>,
    /// The longest; absent if there were none at all.
    pub max: Option<f64>,
    /// How many there were.
    pub count: u64,
}

/// Nanoseconds as microseconds.
#[must_use]
pub fn micros(nanos: u64) -> f64 {
    as_f64(nanos) / 1e3
}

/// The whole number nearest to a value; none is below zero.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast of Rust saturates, and counts, ranks and what is printed are far below 2^64"
)]
#[must_use]
pub fn whole(value: f64) -> u64 {
    value.round() as u64
}

/// A count, or nanoseconds, as the number that figures are computed with: exact below 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts and times of a run are far below 2^53")]
#[must_use]
pub fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::{Encoded, Histogram, NS_MAX, is_supported};

    #[test]
    fn figures_are_right_to_a_tenth_of_a_percent_and_unsupported_ones_are_absent() {
        let mut histogram = Histogram::default();
        for millis in 1..=1_000 {
            histogram.record(millis * 1_000_000);
        }
        let quantiles = histogram.quantiles();
        let near = |value: Option<f64>, micros: f64| {
            value.is_some_and(|value| (value - micros).abs() <= micros / 1e3)
        };
        assert!(near(quantiles.p50, 500_000.0), "{quantiles:?}");
        assert!(near(quantiles.p99, 990_000.0), "{quantiles:?}");
        assert!(near(quantiles.max, 1_000_000.0), "{quantiles:?}");
        assert_eq!((quantiles.p999, quantiles.p9999, quantiles.count), (None, None, 1_000));
        assert_eq!(histogram.count_up_to(250_000_000), 250);
        assert_eq!(histogram.bucket_ns(1_500), (1_500, 1_500));
        assert_eq!(histogram.bucket_ns(250_000_000), (249_954_304, 250_085_375));
        assert_eq!(Histogram::default().quantiles().max, None);
    }

    #[test]
    fn support_begins_with_ten_samples_beyond() {
        let rows = [(20, 0.5, true), (19, 0.5, false), (1_000, 0.99, true), (999, 0.99, false)];
        for (count, quantile, expected) in rows {
            assert_eq!(is_supported(count, quantile), expected, "{count} at {quantile}");
        }
        assert!(is_supported(100_000, 0.9999) && !is_supported(99_000, 0.9999));
    }

    #[test]
    fn text_brings_back_the_same_histogram() {
        let mut histogram = Histogram::default();
        for nanos in [1, 999, 1_000_000, 59_999_999_999, NS_MAX, u64::MAX] {
            histogram.record_n(nanos, nanos % 7 + 1);
        }
        let text = histogram.encode();
        assert!(text.0.starts_with("HISTF"), "as other tools know it: {text:?}");
        assert_eq!(text.decode().unwrap(), histogram);
        assert_eq!(Encoded::default().decode().unwrap(), Histogram::default());
        assert_eq!(Histogram::default().encode(), Encoded::default());
    }

    #[test]
    fn merging_is_recording_in_one() {
        let (mut one, mut other, mut both) =
            (Histogram::default(), Histogram::default(), Histogram::default());
        for step in 0..1_000_u64 {
            let nanos = step * step * 997;
            both.record(nanos);
            if step % 3 == 0 { one.record(nanos) } else { other.record(nanos) }
        }
        one.add(&other);
        assert_eq!(one, both);
    }

    #[test]
    fn other_texts_are_refused_by_name() {
        for text in ["x", "HISTFAAA", "HISTFAAAABB42pNpmSz", "AAAAAAAAAAAAAAAAAAAA"] {
            let error = Encoded(text.to_owned()).decode().unwrap_err().to_string();
            assert!(error.starts_with("not a histogram"), "{error}");
        }
    }
}

//! What is recorded of open-loop requests: three histograms, and every outcome.
//!
//! ```text
//! due ───────── sent ───────── done
//!  │◄── lag ────►│◄── service ──►│      lag says whether the generator kept its plan
//!  │◄───────── latency ─────────►│      the only figure that an objective means
//! ```
//!
//! A request without an answer is recorded as having taken its time-out: leaving it out would make
//! the tail of a stalling server look better than it is.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Three digits hold every quantile to 0.1 %.
const SIGNIFICANT_DIGITS: u8 = 3;

/// A minute; slower answers count as this slow.
const NS_MAX: u64 = 60_000_000_000;

/// Times in nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Times(Histogram<u64>);

impl Default for Times {
    /// # Panics
    /// Never: the bounds are valid.
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, NS_MAX, SIGNIFICANT_DIGITS);
        Self(histogram.expect("1 ns to a minute with 3 digits is a valid histogram"))
    }
}

impl Times {
    pub(crate) fn record(&mut self, nanos: u64) {
        self.0.saturating_record(nanos);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The value below or at which this part of all times lies, in milliseconds; 0 if there is none.
    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        millis(self.0.value_at_quantile(quantile))
    }

    /// The longest, in milliseconds; 0 if there is none.
    pub(crate) fn max_ms(&self) -> f64 {
        millis(self.0.max())
    }

    /// Each recorded value and how often it occurred, which is how histograms travel between
    /// processes.
    fn pairs(&self) -> Vec<(u64, u64)> {
        self.0.iter_recorded().map(|it| (it.value_iterated_to(), it.count_at_value())).collect()
    }

    fn add_pairs(&mut self, pairs: &[(u64, u64)]) {
        for &(value, count) in pairs {
            self.0.saturating_record_n(value, count);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a minute in nanoseconds is far below 2^53")]
fn millis(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

impl Serialize for Times {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.pairs().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = Vec::<(u64, u64)>::deserialize(deserializer)?;
        let mut times = Self::default();
        times.add_pairs(&pairs);
        Ok(times)
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    /// An answer with this code.
    Answered(i32),
    /// No answer in time.
    TimedOut,
    /// The connection broke first, or there was none.
    Lost,
    /// Not sent, since too many were waiting: the plan was not kept.
    Skipped,
}

/// Everything about one kind of request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measures {
    /// Requests that were due.
    pub(crate) offered: u64,
    /// Answers with code 0.
    pub(crate) ok: u64,
    /// Answers with another code.
    pub(crate) refused: BTreeMap<i32, u64>,
    pub(crate) timed_out: u64,
    pub(crate) lost: u64,
    pub(crate) skipped: u64,
    /// Requests that were answered with another value than they must.
    pub(crate) wrong: u64,
    pub(crate) latency: Times,
    pub(crate) service: Times,
    pub(crate) lag: Times,
}

impl Measures {
    /// A request that wants no answer was sent.
    pub(crate) fn sent(&mut self, due_ns: u64, sent_ns: u64) {
        self.offered += 1;
        self.lag.record(sent_ns.saturating_sub(due_ns));
    }

    /// A request ended `now_ns`; one that was never sent has `sent_ns` = `now_ns`.
    pub(crate) fn ended(&mut self, ending: Ending, due_ns: u64, sent_ns: u64, now_ns: u64) {
        self.sent(due_ns, sent_ns);
        match ending {
            Ending::Answered(0) => self.ok += 1,
            Ending::Answered(code) => *self.refused.entry(code).or_default() += 1,
            Ending::TimedOut => self.timed_out += 1,
            Ending::Lost => self.lost += 1,
            Ending::Skipped => self.skipped += 1,
        }
        self.latency.record(now_ns.saturating_sub(due_ns));
        self.service.record(now_ns.saturating_sub(sent_ns));
    }

    /// Adds what another process recorded. Histograms are merged; quantiles are never averaged.
    pub(crate) fn add(&mut self, other: &Self) {
        self.offered += other.offered;
        self.ok += other.ok;
        self.timed_out += other.timed_out;
        self.lost += other.lost;
        self.skipped += other.skipped;
        self.wrong += other.wrong;
        for (&code, count) in &other.refused {
            *self.refused.entry(code).or_default() += count;
        }
        self.latency.add_pairs(&other.latency.pairs());
        self.service.add_pairs(&other.service.pairs());
        self.lag.add_pairs(&other.lag.pairs());
    }

    /// Requests that were to be answered and were not, by code 0.
    pub(crate) fn failed(&self) -> u64 {
        let refused: u64 = self.refused.values().sum();
        refused + self.timed_out + self.lost + self.skipped
    }
}

#[cfg(test)]
mod tests {
    use super::{Ending, Measures};

    const MS: u64 = 1_000_000;

    #[test]
    fn latency_counts_from_the_due_moment_and_time_outs_count() {
        let mut measures = Measures::default();
        for _ in 0..99 {
            measures.ended(Ending::Answered(0), 10 * MS, 12 * MS, 13 * MS);
        }
        measures.ended(Ending::TimedOut, 10 * MS, 10 * MS, 3_010 * MS);
        assert_eq!((measures.offered, measures.ok, measures.failed()), (100, 99, 1));
        let near = |value: f64, wanted: f64| (value - wanted).abs() < wanted / 500.0;
        assert!(near(measures.latency.quantile_ms(0.5), 3.0));
        assert!(near(measures.service.quantile_ms(0.5), 1.0));
        assert!(near(measures.lag.quantile_ms(0.5), 2.0));
        assert!(near(measures.latency.max_ms(), 3_000.0), "{}", measures.latency.max_ms());
    }

    #[test]
    fn processes_are_merged_and_travel_as_json() {
        let mut one = Measures::default();
        one.ended(Ending::Answered(2007), 0, 0, MS);
        one.ended(Ending::Skipped, 0, 0, 0);
        let mut other = Measures::default();
        other.ended(Ending::Answered(2007), 0, 0, 9 * MS);
        other.ended(Ending::Lost, 0, 0, 2 * MS);
        let json = serde_json::to_string(&other).unwrap();
        one.add(&serde_json::from_str(&json).unwrap());
        assert_eq!((one.offered, one.ok, one.failed()), (4, 0, 4));
        assert_eq!((one.refused[&2007], one.skipped, one.lost), (2, 1, 1));
        assert!((one.latency.max_ms() - 9.0).abs() < 0.02, "{}", one.latency.max_ms());
    }
}

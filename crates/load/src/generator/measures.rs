//! What is recorded of open-loop requests: three histograms, and every outcome.
//!
//! ```text
//! due ───────── sent ───────── done
//!  │◄── lag ────►│◄── service ──►│      lag says whether the generator kept its plan
//!  │◄───────── latency ─────────►│      the only figure that an objective means
//! ```
//!
//! A request that was not answered with success is recorded as having taken its time-out at least:
//! leaving it out, or counting a quick refusal as quick, would make the tail of a failing server look
//! better than it is. What was skipped has no times; it makes a run invalid. What was abandoned was sent, so it has a lag,
//! and no latency: nobody waited to the end.
//!
//! Requests belong to the window in which they were due, so a stall is seen where it happened.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use measure::Histogram;
use serde::{Deserialize, Serialize};

/// What was asked, as reports name it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub(crate) enum Kind {
    OneWayHeartbeat,
    Heartbeat,
    GetReplicaInfo,
    GetMetadata,
    GetNextBrokerId,
    AlterSyncStateSet,
    Get,
    Set,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OneWayHeartbeat => "heartbeat_oneway",
            Self::Heartbeat => "heartbeat",
            Self::GetReplicaInfo => "get_replica_info",
            Self::GetMetadata => "get_metadata",
            Self::GetNextBrokerId => "get_next_broker_id",
            Self::AlterSyncStateSet => "alter_sync_state_set",
            Self::Get => "get",
            Self::Set => "set",
        }
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
    /// Whoever asked is dead, and nobody waits for the answer.
    Abandoned,
}

/// When a request was due, sent and over, in nanoseconds; one that was never sent was sent when it
/// was over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moments {
    pub(crate) due_ns: u64,
    pub(crate) sent_ns: u64,
    pub(crate) done_ns: u64,
    /// What it counts as at least, if it was not answered with success.
    pub(crate) timeout_ns: u64,
}

impl Moments {
    /// Latency and service as they are recorded.
    pub(crate) fn times(&self, ending: Ending) -> (u64, u64) {
        let least = if ending == Ending::Answered(0) { 0 } else { self.timeout_ns };
        let since = |begin: u64| self.done_ns.saturating_sub(begin).max(least);
        (since(self.due_ns), since(self.sent_ns))
    }
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
    pub(crate) abandoned: u64,
    /// Requests that were answered with another value than they must.
    pub(crate) wrong: u64,
    pub(crate) latency: Histogram,
    pub(crate) service: Histogram,
    pub(crate) lag: Histogram,
}

impl Measures {
    /// A request that wants no answer was sent.
    pub(crate) fn sent(&mut self, due_ns: u64, sent_ns: u64) {
        self.offered += 1;
        self.lag.record(sent_ns.saturating_sub(due_ns));
    }

    /// A request is over.
    pub(crate) fn ended(&mut self, ending: Ending, moments: &Moments) {
        match ending {
            Ending::Answered(0) => self.ok += 1,
            Ending::Answered(code) => *self.refused.entry(code).or_default() += 1,
            Ending::TimedOut => self.timed_out += 1,
            Ending::Lost => self.lost += 1,
            Ending::Skipped => {
                self.offered += 1;
                self.skipped += 1;
                return;
            }
            Ending::Abandoned => {
                self.abandoned += 1;
                self.sent(moments.due_ns, moments.sent_ns);
                return;
            }
        }
        self.sent(moments.due_ns, moments.sent_ns);
        let (latency, service) = moments.times(ending);
        self.latency.record(latency);
        self.service.record(service);
    }

    /// Adds what another process recorded. Histograms are merged; quantiles are never averaged.
    pub(crate) fn add(&mut self, other: &Self) {
        self.offered += other.offered;
        self.ok += other.ok;
        self.timed_out += other.timed_out;
        self.lost += other.lost;
        self.skipped += other.skipped;
        self.abandoned += other.abandoned;
        self.wrong += other.wrong;
        for (&code, count) in &other.refused {
            *self.refused.entry(code).or_default() += count;
        }
        self.latency.add(&other.latency);
        self.service.add(&other.service);
        self.lag.add(&other.lag);
    }

    /// Requests that were to be answered and were not, by code 0.
    pub(crate) fn failed(&self) -> u64 {
        self.errors() + self.timed_out + self.skipped
    }

    /// Answers with another code, and lost connections.
    pub(crate) fn errors(&self) -> u64 {
        self.refused.values().sum::<u64>() + self.lost
    }
}

/// The measures of every kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tally(pub(crate) BTreeMap<Kind, Measures>);

impl Tally {
    /// The measures of one kind, empty ones if there was none.
    pub(crate) fn of(&self, kind: Kind) -> Measures {
        self.0.get(&kind).cloned().unwrap_or_default()
    }

    /// Requests of all kinds that were due.
    pub(crate) fn offered(&self) -> u64 {
        self.0.values().map(|measures| measures.offered).sum()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (kind, measures) in &other.0 {
            self.0.entry(*kind).or_default().add(measures);
        }
    }

    /// All kinds together.
    pub(crate) fn all(&self) -> Measures {
        let mut all = Measures::default();
        self.0.values().for_each(|measures| all.add(measures));
        all
    }
}

/// What one thread has recorded, by window. Another thread takes windows that are over, so there is a
/// lock; nobody waits for it but for that moment.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<BTreeMap<u64, Tally>>);

impl Recorder {
    pub(crate) fn with(&self, window: u64, kind: Kind, record: impl FnOnce(&mut Measures)) {
        record(self.windows().entry(window).or_default().0.entry(kind).or_default());
    }

    /// Takes a window; empty if there was nothing in it.
    pub(crate) fn take(&self, window: u64) -> Tally {
        self.windows().remove(&window).unwrap_or_default()
    }

    /// Takes all windows.
    pub(crate) fn take_all(&self) -> BTreeMap<u64, Tally> {
        std::mem::take(&mut self.windows())
    }

    fn windows(&self) -> MutexGuard<'_, BTreeMap<u64, Tally>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Ending, Kind, Measures, Moments, Recorder, Tally};

    const MS: u64 = 1_000_000;

    fn moments(due: u64, sent: u64, done: u64) -> Moments {
        let timeout_ns = 3_000 * MS;
        Moments { due_ns: due * MS, sent_ns: sent * MS, done_ns: done * MS, timeout_ns }
    }

    #[test]
    fn latency_counts_from_the_due_moment_and_failures_take_their_time_out() {
        let mut measures = Measures::default();
        for _ in 0..97 {
            measures.ended(Ending::Answered(0), &moments(10, 12, 13));
        }
        measures.ended(Ending::TimedOut, &moments(10, 10, 3_110));
        measures.ended(Ending::Answered(2007), &moments(10, 10, 11));
        measures.ended(Ending::Lost, &moments(10, 11, 11));
        measures.ended(Ending::Skipped, &moments(10, 10, 10));
        assert_eq!((measures.offered, measures.ok, measures.failed()), (101, 97, 4));
        let near = |value: f64, wanted: f64| (value - wanted).abs() < wanted / 500.0;
        assert!(near(measures.latency.quantile_ms(0.5), 3.0));
        assert!(near(measures.service.quantile_ms(0.5), 1.0));
        assert!(near(measures.lag.quantile_ms(0.5), 2.0));
        assert!(near(measures.latency.max_ms(), 3_100.0), "{}", measures.latency.max_ms());
        assert!(near(measures.latency.quantile_ms(0.98), 3_000.0), "a refusal is not quick");
        assert_eq!(measures.latency.count(), 100, "what was skipped has no time");
    }

    #[test]
    fn what_is_abandoned_was_offered_and_has_no_latency() {
        let mut one = Measures::default();
        one.ended(Ending::Abandoned, &moments(10, 12, 900));
        let mut all = one.clone();
        all.add(&one);
        assert_eq!((all.offered, all.abandoned, all.failed(), all.timed_out), (2, 2, 0, 0));
        assert_eq!((all.latency.count(), all.service.count(), all.lag.count()), (0, 0, 2));
    }

    #[test]
    fn processes_are_merged_and_travel_as_json() {
        let mut one = Tally::default();
        one.0.entry(Kind::Get).or_default().ended(Ending::Answered(7), &moments(0, 0, 1));
        let mut other = Tally::default();
        other.0.entry(Kind::Get).or_default().ended(Ending::Answered(7), &moments(0, 0, 9_000));
        other.0.entry(Kind::Set).or_default().ended(Ending::Lost, &moments(0, 0, 2));
        let json = serde_json::to_string(&other).unwrap();
        one.add(&serde_json::from_str(&json).unwrap());
        let (get, all) = (one.of(Kind::Get), one.all());
        assert_eq!((get.offered, get.refused[&7], all.offered, all.failed()), (2, 2, 3, 3));
        assert!((get.latency.max_ms() - 9_000.0).abs() < 10.0, "{}", get.latency.max_ms());
        assert_eq!(one.of(Kind::Heartbeat).offered, 0);
    }

    #[test]
    fn windows_are_taken_once() {
        let recorder = Recorder::default();
        recorder.with(3, Kind::Get, |measures| measures.sent(0, 1));
        recorder.with(4, Kind::Get, |measures| measures.sent(0, 1));
        assert_eq!(recorder.take(3).of(Kind::Get).offered, 1);
        assert_eq!(recorder.take(3).of(Kind::Get).offered, 0);
        assert_eq!(recorder.take_all().len(), 1);
    }
}

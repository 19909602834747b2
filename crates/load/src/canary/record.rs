//! What a canary saw: counts, times and promises, of the time since the last line and of all.
//!
//! A request that nobody answered, that was refused or lost counts against a promise as if it had taken forever; one that
//! a follower sends elsewhere (Java's followers answer no reads) does not count at all.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use measure::histogram::as_f64;
use measure::judged::Verdict;
use measure::{Histogram, Quantiles};
use serde::{Deserialize, Serialize};

use super::Promise;
use crate::clock::unix_ms;

/// Contradictions and reasons that are told in words.
const WORDS_MAX: usize = 10;

/// How many deviations an error share must be above what is allowed to be believed: 95 %, two-sided.
const DEVIATIONS: f64 = 1.96;

/// Kinds of requests.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum Kind {
    /// A change of the own sync-state set.
    #[serde(rename = "alter_sync_state_set")]
    Write,
    /// What the own set is, asked of one controller.
    #[serde(rename = "get_replica_info")]
    Read,
    /// A sign of life that is answered.
    #[serde(rename = "heartbeat")]
    Heartbeat,
    /// An election of the own set.
    #[serde(rename = "elect_master")]
    Failover,
}

impl Kind {
    /// As lines, metrics and workloads write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Write => "alter_sync_state_set",
            Self::Read => "get_replica_info",
            Self::Heartbeat => "heartbeat",
            Self::Failover => "elect_master",
        }
    }

    /// What objectives call the same in production; nothing if no canary sends it.
    #[must_use]
    pub fn of_production(kind: &str) -> Option<Self> {
        match kind {
            "CONTROLLER_ALTER_SYNC_STATE_SET" => Some(Self::Write),
            "CONTROLLER_GET_REPLICA_INFO" => Some(Self::Read),
            "CONTROLLER_BROKER_HEARTBEAT" => Some(Self::Heartbeat),
            "CONTROLLER_ELECT_MASTER" => Some(Self::Failover),
            _ => None,
        }
    }
}

/// How a request ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ending {
    /// Answered with success.
    Good,
    /// Answered by somebody who is not the leader and answers nothing else.
    Elsewhere,
    /// Answered with another code.
    Refused(String),
    /// Not answered in time.
    TimedOut,
    /// The connection broke, or there was none.
    Lost(String),
}

impl Ending {
    /// As metrics write it.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Elsewhere => "not_leader",
            Self::Refused(_) => "refused",
            Self::TimedOut => "timeout",
            Self::Lost(_) => "lost",
        }
    }

    pub(super) fn is_good(&self) -> bool {
        matches!(self, Self::Good)
    }
}

/// One kind of request in one stretch of time.
#[derive(Clone, Debug, Default)]
struct Counts {
    endings: BTreeMap<&'static str, u64>,
    latency: Histogram,
}

/// What a promise came to so far.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    good: u64,
    all: u64,
}

#[derive(Clone, Debug, Default)]
struct Stretch {
    since_unix_ms: u64,
    counts: BTreeMap<Kind, Counts>,
    /// As many as there are promises.
    tallies: Vec<Tally>,
    contradictions: u64,
    words: Vec<String>,
}

/// One request as the metrics count it: its kind, its node, how it ended.
pub(super) type Key = (Kind, String, &'static str);

/// All that was seen.
#[derive(Debug)]
pub(super) struct Record {
    set: String,
    promises: Vec<Promise>,
    /// Since the last line, and all.
    stretches: Mutex<[Stretch; 2]>,
    /// For the metrics: count and times by kind, node and ending.
    series: Mutex<BTreeMap<Key, Histogram>>,
}

/// What one line says of one kind of request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OpLine {
    /// Requests that were made.
    pub offered: u64,
    /// Those that were answered with success.
    pub good: u64,
    /// All others, by how they ended.
    pub others: BTreeMap<String, u64>,
    /// From when they were due.
    pub latency_us: Quantiles,
}

/// What one line says of one promise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PromiseLine {
    /// The objective's id.
    pub id: String,
    /// Answers that were good and in time.
    pub good: u64,
    /// All that count.
    pub all: u64,
    /// Part that must be good.
    pub ratio: f64,
    /// Pass, fail, or inconclusive with too few.
    pub verdict: Verdict,
}

/// A minute of a canary, or all of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// From, in milliseconds since 1970.
    pub since_unix_ms: u64,
    /// Up to.
    pub unix_ms: u64,
    /// The canary's broker set.
    pub set: String,
    /// By kind of request.
    pub ops: BTreeMap<Kind, OpLine>,
    /// One for each promise.
    pub promises: Vec<PromiseLine>,
    /// Reads that knew less than what was acknowledged before.
    pub contradictions: u64,
    /// The first contradictions and reasons of failures.
    pub words: Vec<String>,
}

impl Record {
    pub(super) fn new(set: String, promises: Vec<Promise>) -> Self {
        let since_unix_ms = unix_ms();
        let tallies = vec![Tally::default(); promises.len()];
        let stretch = Stretch { since_unix_ms, tallies, ..Stretch::default() };
        let stretches = Mutex::new([stretch.clone(), stretch]);
        Self { set, promises, stretches, series: Mutex::default() }
    }

    /// A request of a kind to a node ended, so long after it was due.
    pub(super) fn ended(&self, kind: Kind, node: &str, ending: &Ending, latency_ns: u64) {
        let word = match ending {
            Ending::Good | Ending::Elsewhere => None,
            Ending::Refused(why) | Ending::Lost(why) => Some(why.clone()),
            Ending::TimedOut => Some("not answered in time".to_owned()),
        };
        for stretch in self.stretches().iter_mut() {
            let counts = stretch.counts.entry(kind).or_default();
            *counts.endings.entry(ending.label()).or_default() += 1;
            counts.latency.record(latency_ns);
            for (promise, tally) in self.promises.iter().zip(&mut stretch.tallies) {
                if promise.kind == kind && *ending != Ending::Elsewhere {
                    let is_soon = as_f64(latency_ns) <= promise.seconds * 1e9;
                    tally.all += 1;
                    tally.good += u64::from(ending.is_good() && is_soon);
                }
            }
            if let Some(word) = word.as_ref().filter(|_| stretch.words.len() < WORDS_MAX) {
                stretch.words.push(format!("{} at {node}: {word}", kind.name()));
            }
        }
        let key = (kind, node.to_owned(), ending.label());
        self.series().entry(key).or_default().record(latency_ns);
    }

    /// A read knew less than what was acknowledged before.
    pub(super) fn contradiction(&self, what: String) {
        for stretch in self.stretches().iter_mut() {
            stretch.contradictions += 1;
            if stretch.words.len() < WORDS_MAX {
                stretch.words.push(what.clone());
            }
        }
    }

    /// What was seen since the last line; the next one begins here.
    pub(super) fn line(&self) -> Line {
        let mut stretches = self.stretches();
        let fresh = Stretch {
            since_unix_ms: unix_ms(),
            tallies: vec![Tally::default(); self.promises.len()],
            ..Stretch::default()
        };
        let over = std::mem::replace(&mut stretches[0], fresh);
        self.told(&over)
    }

    /// All that was seen.
    pub(super) fn whole(&self) -> Line {
        self.told(&self.stretches()[1])
    }

    /// Times by kind, node and ending.
    pub(super) fn series(&self) -> MutexGuard<'_, BTreeMap<Key, Histogram>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stretches(&self) -> MutexGuard<'_, [Stretch; 2]> {
        self.stretches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self, stretch: &Stretch) -> Line {
        let op = |(kind, counts): (&Kind, &Counts)| {
            let others = counts.endings.iter().filter(|(label, _)| **label != Ending::Good.label());
            let line = OpLine {
                offered: counts.endings.values().sum(),
                good: counts.endings.get(Ending::Good.label()).copied().unwrap_or_default(),
                others: others.map(|(label, count)| ((*label).to_owned(), *count)).collect(),
                latency_us: counts.latency.quantiles(),
            };
            (*kind, line)
        };
        let promise = |(promise, tally): (&Promise, &Tally)| PromiseLine {
            id: promise.id.clone(),
            good: tally.good,
            all: tally.all,
            ratio: promise.ratio,
            verdict: promise_verdict(tally.good, tally.all, promise.ratio),
        };
        Line {
            since_unix_ms: stretch.since_unix_ms,
            unix_ms: unix_ms(),
            set: self.set.clone(),
            ops: stretch.counts.iter().map(op).collect(),
            promises: self.promises.iter().zip(&stretch.tallies).map(promise).collect(),
            contradictions: stretch.contradictions,
            words: stretch.words.clone(),
        }
    }
}

/// Whether so many good answers of all keep a promise: fail if the whole interval of the bad share (Wilson, 95 %) is
/// above what is allowed, pass if the share is not and one bad answer would be allowed, else nobody can tell.
#[must_use]
pub fn promise_verdict(good: u64, all: u64, ratio: f64) -> Verdict {
    if all == 0 {
        return Verdict::Inconclusive;
    }
    let (count, allowed) = (as_f64(all), 1.0 - ratio);
    let share = as_f64(all.saturating_sub(good)) / count;
    let squared = DEVIATIONS * DEVIATIONS;
    let middle = share + squared / (2.0 * count);
    let reach = DEVIATIONS
        * (share * (1.0 - share) / count + squared / (4.0 * count * count)).max(0.0).sqrt();
    let low = (middle - reach) / (1.0 + squared / count);
    match () {
        () if low > allowed => Verdict::Fail,
        () if share <= allowed && count * allowed >= 1.0 => Verdict::Pass,
        () => Verdict::Inconclusive,
    }
}

#[cfg(test)]
mod tests {
    use measure::judged::Verdict;

    use super::{Ending, Kind, Promise, Record, promise_verdict};

    #[test]
    fn a_promise_is_broken_only_beyond_chance() {
        let rows = [
            (0, 0, 0.99, Verdict::Inconclusive),
            (50, 50, 0.99, Verdict::Inconclusive),
            (100, 100, 0.99, Verdict::Pass),
            (990, 1_000, 0.99, Verdict::Pass),
            (985, 1_000, 0.99, Verdict::Inconclusive),
            (970, 1_000, 0.99, Verdict::Fail),
            (9, 10, 0.999, Verdict::Fail),
            (0, 3, 0.9, Verdict::Fail),
        ];
        for (good, all, ratio, expected) in rows {
            assert_eq!(promise_verdict(good, all, ratio), expected, "{good} of {all}, {ratio}");
        }
    }

    #[test]
    fn lines_hold_their_minute_and_the_whole_holds_all() {
        let promise = Promise { id: "p".into(), kind: Kind::Read, seconds: 0.01, ratio: 0.9 };
        let record = Record::new("set".to_owned(), vec![promise]);
        let read =
            |ending: Ending, ms: u64| record.ended(Kind::Read, "a:1", &ending, ms * 1_000_000);
        read(Ending::Good, 1);
        read(Ending::Good, 11);
        read(Ending::Elsewhere, 1);
        record.ended(Kind::Write, "leader", &Ending::TimedOut, 3_000_000_000);
        record.contradiction("less".to_owned());
        let line = record.line();
        let op = &line.ops[&Kind::Read];
        assert_eq!((op.offered, op.good, op.others["not_leader"]), (3, 2, 1));
        assert_eq!((line.promises[0].good, line.promises[0].all), (1, 2), "late is not good");
        assert_eq!((line.contradictions, line.words.len()), (1, 2));
        assert!(line.words[0].starts_with("alter_sync_state_set at leader: not answered"));
        read(Ending::Refused("code 1: no".to_owned()), 1);
        let next = record.line();
        assert_eq!((next.ops[&Kind::Read].offered, next.ops.len(), next.contradictions), (1, 1, 0));
        let whole = record.whole();
        assert_eq!((whole.ops[&Kind::Read].offered, whole.promises[0].all), (4, 3));
        let text = serde_json::to_string(&whole).unwrap();
        assert!(text.contains("\"get_replica_info\":{\"offered\":4,"), "{text}");
        assert_eq!(Kind::of_production("CONTROLLER_GET_REPLICA_INFO"), Some(Kind::Read));
        assert_eq!(record.series().len(), 4);
    }
}

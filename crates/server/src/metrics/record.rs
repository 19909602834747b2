//! What is counted, as plain atomic numbers: the only part of the metrics that requests touch.
//!
//! **Cost.** A request is four relaxed additions on fixed places: its kind and status, its kind and
//! code, its bucket, its sum. The library's histogram takes a lock and walks its bounds; two of them
//! (upstream's and ours) and two counters came to 185 ns a request on two loaded cores, where this
//! takes 70. Both sets of names are written from the same numbers at a scrape.
//!
//! Relaxed order is enough: a scrape may see a request's bucket and not yet its sum, which the next
//! scrape mends, and no number ever falls. The count of a histogram is the sum of its buckets, so
//! those two never contradict each other.

use protocol::response_code::SYSTEM_ERROR;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{ElectionReason, ElectionResult, RequestKind, Stage};

/// Upper bounds of the latency buckets, in microseconds: upstream's, from a fast answer out of
/// memory to over its time-out of 5 s.
pub const BOUNDS_US: [u32; 22] = [
    1, 3, 5, 10, 30, 50, 100, 300, 500, 1_000, 3_000, 5_000, 10_000, 30_000, 50_000, 100_000,
    300_000, 500_000, 1_000_000, 3_000_000, 5_000_000, 10_000_000,
];

/// Labels of response codes with a series of their own; the last is for all others.
pub(super) const CODES: [&str; 26] = [
    "0", "1", "2", "3", "16", "2000", "2001", "2002", "2003", "2004", "2005", "2006", "2007",
    "2008", "2009", "2010", "2011", "2012", "2013", "2014", "2015", "2016", "2017", "2018", "2019",
    "other",
];

/// Names of limits that are told apart; further ones count as `other`.
pub(super) const LIMITS_MAX: usize = 64;

/// Series of elections; a broker set beyond that counts as `other`.
const ELECTIONS_MAX: usize = 50_000;

const KINDS: usize = RequestKind::ALL.len();

/// All numbers.
#[derive(Debug)]
pub(super) struct Records {
    /// By kind: without and with an exception.
    pub(super) statuses: [[Count; 2]; KINDS],
    pub(super) codes: [[Count; CODES.len()]; KINDS],
    pub(super) latencies: [Latencies; KINDS],
    /// In the order of `AppendResult`.
    pub(super) appends: [Count; 2],
    pub(super) append_latencies: Latencies,
    pub(super) journal_syncs: Latencies,
    /// In the order of `Stage`.
    pub(super) stages: [Latencies; Stage::ALL.len()],
    /// In the order of `Work`.
    pub(super) works: [Latencies; 2],
    /// In the order of `Batch`; here the bounds count things, not microseconds.
    pub(super) batches: [Latencies; 2],
    /// Bytes that the journal wrote to its segments, in whole blocks.
    pub(super) journal_written: Count,
    /// Frames to other controllers, and their bytes.
    pub(super) peer_frames: Count,
    pub(super) peer_bytes: Count,
    pub(super) refusals: Named,
    pub(super) notices: [Count; 4],
    pub(super) expiries: [Count; 2],
    pub(super) leader_changes: Count,
    pub(super) elections: Elections,
}

impl Records {
    pub(super) fn new() -> Self {
        use std::array::from_fn;
        Self {
            statuses: from_fn(|_| from_fn(|_| Count::default())),
            codes: from_fn(|_| from_fn(|_| Count::default())),
            latencies: Default::default(),
            appends: Default::default(),
            append_latencies: Latencies::default(),
            journal_syncs: Latencies::default(),
            stages: Default::default(),
            works: Default::default(),
            batches: Default::default(),
            journal_written: Count::default(),
            peer_frames: Count::default(),
            peer_bytes: Count::default(),
            refusals: Named::new(),
            notices: Default::default(),
            expiries: Default::default(),
            leader_changes: Count::default(),
            elections: Elections::default(),
        }
    }

    pub(super) fn request(&self, kind: RequestKind, code: i32, micros: u64) {
        let row = kind as usize;
        // Upstream answers an exception with this code; any other is a success to its metrics.
        self.statuses[row][usize::from(code == SYSTEM_ERROR)].add();
        self.codes[row][code_position(code)].add();
        self.latencies[row].observe(micros);
    }
}

/// A number that only rises.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self) {
        self.add_many(1);
    }

    pub(super) fn add_many(&self, many: u64) {
        self.0.fetch_add(many, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A histogram over [`BOUNDS_US`].
#[derive(Debug, Default)]
pub(super) struct Latencies {
    /// One more than bounds: the last is for everything above.
    buckets: [Count; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Latencies {
    /// A duration above an hour counts as about an hour.
    pub(super) fn observe(&self, micros: u64) {
        self.observe_many(micros, 1);
    }

    /// The same duration so many times.
    pub(super) fn observe_many(&self, micros: u64, times: u64) {
        let micros = u32::try_from(micros).unwrap_or(u32::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < micros);
        self.buckets[bucket].add_many(times);
        // Less than 2^64 for as long as less than 2^32 hours were observed.
        self.sum_us.fetch_add(u64::from(micros).wrapping_mul(times), Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Reading {
        let buckets = std::array::from_fn(|bucket| self.buckets[bucket].get());
        Reading { buckets, sum_us: self.sum_us.load(Ordering::Relaxed) }
    }
}

/// A histogram at one moment.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Reading {
    pub(super) buckets: [u64; BOUNDS_US.len() + 1],
    pub(super) sum_us: u64,
}

impl Reading {
    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// Counts by a name of the program. Names take places in the order of their first event.
#[derive(Debug)]
pub(super) struct Named {
    places: [(OnceLock<&'static str>, Count); LIMITS_MAX],
    other: Count,
}

impl Named {
    fn new() -> Self {
        let places = std::array::from_fn(|_| (OnceLock::new(), Count::default()));
        Self { places, other: Count::default() }
    }

    pub(super) fn add(&self, name: &'static str) {
        let place = self.places.iter().find(|(own, _)| *own.get_or_init(|| name) == name);
        place.map_or(&self.other, |(_, count)| count).add();
    }

    pub(super) fn read(&self) -> Vec<(&'static str, u64)> {
        let taken =
            self.places.iter().filter_map(|(name, count)| Some((*name.get()?, count.get())));
        let other = self.other.get();
        taken.chain((other > 0).then_some(("other", other))).collect()
    }
}

/// Elections by cluster, broker set, result and reason. They are rare, so a lock will do.
#[derive(Debug, Default)]
pub(super) struct Elections(std::sync::Mutex<std::collections::BTreeMap<Election, u64>>);

/// What elections are told apart by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Election {
    pub(super) cluster: String,
    pub(super) broker_set: String,
    pub(super) result: ElectionResult,
    pub(super) reason: ElectionReason,
}

impl Elections {
    pub(super) fn add(&self, mut election: Election) {
        let mut counts = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if counts.len() >= ELECTIONS_MAX && !counts.contains_key(&election) {
            "other".clone_into(&mut election.cluster);
            "other".clone_into(&mut election.broker_set);
        }
        *counts.entry(election).or_default() += 1;
    }

    pub(super) fn read(&self) -> Vec<(Election, u64)> {
        let counts = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        counts.iter().map(|(election, count)| (election.clone(), *count)).collect()
    }
}

/// Position of a code in [`CODES`], without a search: it is on the path of every request.
fn code_position(code: i32) -> usize {
    /// Where 2000 stands.
    const FIRST_OF_2000: usize = 5;
    const OTHER: usize = CODES.len() - 1;
    match code {
        0 => 0,
        1 => 1,
        2 => 2,
        3 => 3,
        16 => 4,
        2000..=2019 => usize::try_from(code - 2000).map_or(OTHER, |at| at + FIRST_OF_2000),
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::{BOUNDS_US, CODES, Election, Latencies, Named, code_position};
    use crate::metrics::{ElectionReason, ElectionResult};

    #[test]
    fn codes_find_their_label() {
        for (position, label) in CODES.iter().enumerate() {
            assert_eq!(code_position(label.parse().unwrap_or(-1)), position);
        }
        assert_eq!(code_position(2020), CODES.len() - 1);
    }

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let latencies = Latencies::default();
        for micros in [0, 1, 2, 3, 10_000_000, 10_000_001, u64::MAX] {
            latencies.observe(micros);
        }
        let reading = latencies.read();
        assert_eq!(reading.count(), 7);
        assert_eq!(reading.buckets[..3], [2, 2, 0]);
        assert_eq!(reading.buckets[BOUNDS_US.len() - 1..], [1, 2]);
        latencies.observe_many(2, 5);
        let more = latencies.read();
        assert_eq!((more.count(), more.sum_us - reading.sum_us), (12, 10));
        assert_eq!(more.buckets[1], 7);
    }

    #[test]
    fn names_beyond_the_limit_share_a_series() {
        let names: Vec<&'static str> = (0..70).map(|n| &*format!("n{n}").leak()).collect();
        let named = Named::new();
        for name in names.iter().chain(&names[..2]) {
            named.add(name);
        }
        let read = named.read();
        assert_eq!((read[0], read[2], read[64]), (("n0", 2), ("n2", 1), ("other", 6)));
    }

    #[test]
    fn elections_are_told_apart() {
        let elections = super::Elections::default();
        let election = |broker_set: &str| Election {
            cluster: "c".to_owned(),
            broker_set: broker_set.to_owned(),
            result: ElectionResult::Elected,
            reason: ElectionReason::Broker,
        };
        for broker_set in ["a", "b", "a"] {
            elections.add(election(broker_set));
        }
        assert_eq!(elections.read(), [(election("a"), 2), (election("b"), 1)]);
    }
}

//! How long a fault was felt.
//!
//! For each injection: the *outage* is the longest time in which some writer had no success, counted from the
//! first deed at the earliest, since a rolling restart or a hand-over is over before it is confirmed; *healed* is the
//! time from healing until every writer had succeeded again. A writer asks every controller at once, so that this is the controllers' time and not that of a
//! client which waits for a frozen one.
//!
//! Samples in which the host itself stood still are dropped and counted.

pub mod goals;

use crate::actors::recorder::{Mastership, Result as Ended, Sample, changes_of_master};
use crate::clock::MILLISECOND;
use crate::course::{Course, Event};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What one kind of fault cost, over all its injections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub fault: String,
    /// Longest time without a success, in ms, ascending.
    pub outages_ms: Vec<u64>,
    /// From healing to success, in ms, ascending.
    pub healed_ms: Vec<u64>,
    /// Injections during which the host stood still.
    pub dropped: usize,
    /// Changes from one master to another while it was in force, or before the next fault, whoever was to blame.
    pub replaced: usize,
}

impl Row {
    /// For machines.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "fault": self.fault, "samples": self.outages_ms.len(), "dropped": self.dropped,
            "outagesMs": self.outages_ms, "healedMs": self.healed_ms, "mastersReplaced": self.replaced,
        })
    }

    /// The value that `per_cent` of the sorted `values` do not exceed; 0 if there are none.
    #[must_use]
    pub fn percentile(values: &[u64], per_cent: usize) -> u64 {
        let rank = (values.len() * per_cent).div_ceil(100).max(1);
        values.get(rank - 1).copied().unwrap_or(0)
    }
}

/// One row for each fault that was injected, by name.
pub(crate) fn rows(course: &Course, samples: &[Sample], masterships: &[Mastership]) -> Vec<Row> {
    let mut successes: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for sample in samples.iter().filter(|sample| sample.is_write && is_client(sample)) {
        let of_client = successes.entry(sample.client).or_default();
        if sample.result == Ended::Ok {
            of_client.push(sample.ended);
        }
    }
    for of_client in successes.values_mut() {
        of_client.sort_unstable();
    }
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    let names: BTreeSet<&str> = course.events.iter().map(|event| &*event.name).collect();
    for name in names {
        rows.insert(name, Row { fault: name.to_owned(), ..Row::default() });
    }
    for (at, event) in course.events.iter().enumerate() {
        let next = course.events.get(at + 1).map_or(course.ended, |next| next.struck);
        let until = event.recovered.unwrap_or(course.ended).max(event.healed).min(next);
        let Some(row) = rows.get_mut(&*event.name) else { continue };
        let stalled = |(from, to): &(u64, u64)| *from < until && *to > event.struck;
        if course.stalls.iter().any(stalled) {
            row.dropped += 1;
            continue;
        }
        let (outage, healed) = felt(event, until, next, &successes);
        row.outages_ms.push(outage / MILLISECOND);
        row.healed_ms.push(healed / MILLISECOND);
    }
    for row in rows.values_mut() {
        row.outages_ms.sort_unstable();
        row.healed_ms.sort_unstable();
    }
    // Each change of master belongs to the last fault that was begun before it was seen.
    for (_, change) in changes_of_master(masterships) {
        let fault = course.events.iter().rev().find(|event| event.struck <= change.at);
        if let Some(row) = fault.and_then(|fault| rows.get_mut(&*fault.name)) {
            row.replaced += 1;
        }
    }
    rows.into_values().collect()
}

fn is_client(sample: &Sample) -> bool {
    sample.client < crate::actors::crew::BROKERS_FROM
}

/// The longest outage of any writer, and the longest way back after healing.
fn felt(event: &Event, until: u64, next: u64, successes: &BTreeMap<u32, Vec<u64>>) -> (u64, u64) {
    let (mut outage, mut healed) = (0, 0);
    for of_client in successes.values() {
        let from = of_client.partition_point(|at| *at < event.struck);
        let mut last = event.struck;
        let later = of_client.iter().skip(from).copied();
        // The first success behind the end closes the last gap.
        let mut ends: Vec<u64> = later.take_while(|at| *at <= until).collect();
        let behind = of_client.get(from + ends.len()).copied().unwrap_or(next);
        ends.push(behind.min(next));
        for at in ends {
            outage = outage.max(at.saturating_sub(last));
            last = at;
        }
        let first = of_client.partition_point(|at| *at < event.healed);
        let first = of_client.get(first).copied().unwrap_or(next);
        healed = healed.max(first.saturating_sub(event.healed));
    }
    (outage, healed)
}

#[cfg(test)]
mod tests {
    use super::{Row, rows};
    use crate::actors::recorder::{Mastership, Result as Ended, Sample};
    use crate::clock::MILLISECOND;
    use crate::course::{Course, Event};

    fn sample(client: u32, ms: u64, result: Ended) -> Sample {
        let ended = ms * MILLISECOND;
        Sample { client, invoked: ended, ended, result, is_write: true }
    }

    fn course(stalls: Vec<(u64, u64)>) -> Course {
        let at = |ms: u64| ms * MILLISECOND;
        let event = Event {
            name: "leader-kill".into(),
            struck: at(1_000),
            began: at(2_600),
            healed: at(3_000),
            recovered: Some(at(3_500)),
            ..Event::default()
        };
        Course { ended: at(9_000), events: vec![event], stalls, ..Course::default() }
    }

    #[test]
    fn the_longest_gap_of_the_slowest_writer_counts() {
        let mut samples: Vec<Sample> = Vec::new();
        for ms in [900, 1_010, 1_250, 1_300, 3_020, 3_600] {
            samples.push(sample(0, ms, Ended::Ok));
        }
        for ms in (900..1_100).step_by(50).chain((1_400..4_000).step_by(50)) {
            samples.push(sample(1, ms, Ended::Ok));
            samples.push(sample(1, ms + 1, Ended::Refused));
            // A broker is no client.
            samples.push(sample(100, ms, Ended::Ok));
        }
        let rows = rows(&course(Vec::new()), &samples, &[]);
        // Writer 0 from 1,300 to 3,020; after healing it needed 20 ms, writer 1 none.
        assert_eq!((&*rows[0].outages_ms, &*rows[0].healed_ms), (&[1_720][..], &[20][..]));
    }

    #[test]
    fn what_is_over_before_it_is_confirmed_counts() {
        let all = (900..4_000).step_by(50);
        let gone = |gap: std::ops::Range<u64>| {
            let samples = all.clone().filter(|ms| !gap.contains(ms));
            let samples: Vec<Sample> = samples.map(|ms| sample(0, ms, Ended::Ok)).collect();
            rows(&course(Vec::new()), &samples, &[])[0].outages_ms.clone()
        };
        assert_eq!(gone(1_201..2_400), [1_200], "while the deeds were done");
        assert_eq!(gone(0..1_300), [300], "from the first deed, not from before");
        let early = vec![(1_100 * MILLISECOND, 1_400 * MILLISECOND)];
        assert_eq!(rows(&course(early), &[], &[])[0].dropped, 1, "a stall of that time, too");
    }

    #[test]
    fn a_stall_of_the_host_drops_the_sample() {
        let rows = rows(&course(vec![(2_000 * MILLISECOND, 2_300 * MILLISECOND)]), &[], &[]);
        assert_eq!((rows[0].dropped, rows[0].outages_ms.len()), (1, 0));
    }

    #[test]
    fn a_change_of_master_belongs_to_the_last_fault_before_it() {
        let mut course = course(Vec::new());
        let at = |ms: u64| ms * MILLISECOND;
        course.events.push(Event { name: "reset".into(), struck: at(5_000), ..Event::default() });
        let seen = [
            (0, "a", 1, 1),
            (2_000, "a", 2, 2),
            (5_000, "a", 3, 3),
            (8_000, "b", 9, 1),
            (8_500, "b", 11, 2),
        ];
        let mastership = |(ms, set, epoch, master): (u64, &str, i32, i64)| Mastership {
            at: at(ms),
            set: set.into(),
            epoch,
            master,
        };
        // Answers of later epochs may be seen first.
        let masterships: Vec<_> = seen.into_iter().rev().map(mastership).collect();
        let rows = rows(&course, &[], &masterships);
        let counted: Vec<_> = rows.iter().map(|row| (&*row.fault, row.replaced)).collect();
        assert_eq!(counted, [("leader-kill", 1), ("reset", 2)]);
    }

    #[test]
    fn percentiles_are_ranks() {
        let values = [1, 2, 3, 4];
        let of = |per_cent| Row::percentile(&values, per_cent);
        assert_eq!((of(50), of(99), of(1)), (2, 4, 1));
        assert_eq!(Row::percentile(&[], 99), 0);
    }
}

//! Snapshots, recycling, spares, a full disk, and what is refused while running.

use std::slice::from_ref;

use consensus::{HardState, LogIndex, Persist};
use journal::{JournalError, Upkeep, Violation};

use crate::model::{
    SMALL, descriptor, entry, founded, group, hard_state, names, open, state_bytes,
};

fn count(names: &[String], start: &str) -> usize {
    names.iter().filter(|name| name.starts_with(start)).count()
}

#[test]
fn the_log_stays_bounded_by_the_snapshots() {
    let (disk, mut journal) = founded();
    while journal.maintain().expect("done") == Upkeep::More {}
    let mut most = 0;
    for index in 1..=400 {
        let one = group(hard_state(1, None, index - 1), vec![entry(index, 1, 1000)]);
        journal.write(&[one]).expect("written");
        if index % 20 == 0 {
            let state = state_bytes(index - 1, 1);
            journal.save_snapshot(&descriptor(index - 1, 1, &state), &state).expect("saved");
        }
        while journal.maintain().expect("done") == Upkeep::More {}
        let on_disk: usize = disk.contents().values().map(Vec::len).sum();
        most = most.max(on_disk);
    }
    // Two snapshots' worth of log, the segments at its ends, two spares, two states.
    assert!(most < 9 * 16 * 1024, "{most} bytes");
    let names = names(&disk);
    assert_eq!(count(&names, "snapshot-"), 2, "{names:?}");
    assert_eq!(count(&names, "spare-"), 2, "{names:?}");
    let counters = journal.counters();
    assert!(counters.recycled > 15, "{counters:?}");
    assert_eq!(counters.segments_without_spare, 0, "{counters:?}");
    assert_eq!(counters.writes, counters.syncs);
    let files = disk.contents();
    let lengths = files.iter().filter(|(name, _)| !["lock", "identity"].contains(&name.as_str()));
    let bytes: usize = lengths.map(|(_, bytes)| bytes.len()).sum();
    let reported = usize::try_from(journal.bytes_on_disk()).expect("fits");
    assert!(bytes - reported < 1000, "headers of two snapshots: {bytes}, {reported}");
}

/// By a clock that is a microsecond later at each look, whatever is timed takes one.
#[test]
fn with_a_clock_syncs_and_recycling_are_timed() {
    let (_disk, mut journal) = founded();
    let before = journal.counters();
    assert_eq!((before.sync_micros, before.recycling_micros), (0, 0), "no clock yet");
    journal.tell_time(tick);
    for index in 1..=3 {
        let one = group(hard_state(1, None, index - 1), vec![entry(index, 1, 8)]);
        journal.write(&[one]).expect("written");
    }
    let written = journal.counters();
    assert_eq!((written.sync_micros, written.syncs - before.syncs), (3, 3));
    assert_eq!(written.recycling_micros, 0);
    let state = state_bytes(2, 1);
    journal.save_snapshot(&descriptor(2, 1, &state), &state).expect("saved");
    assert!(journal.counters().recycling_micros > 0, "{:?}", journal.counters());
}

#[test]
fn one_write_and_one_sync_for_many_groups() {
    let (disk, mut journal) = founded();
    let syncs = disk.syncs();
    let operations = disk.operations();
    let groups: Vec<_> =
        (1..=20).map(|index| group(hard_state(1, None, 0), vec![entry(index, 1, 8)])).collect();
    journal.write(&groups).expect("written");
    assert_eq!((disk.syncs() - syncs, disk.operations() - operations), (1, 2));
    assert_eq!((journal.counters().groups, journal.counters().writes), (20, 1));
}

#[test]
fn a_commit_index_alone_rides_with_the_next_group() {
    let (disk, mut journal) = founded();
    let one = group(hard_state(1, None, 0), vec![entry(1, 1, 8)]);
    journal.write(&[one]).expect("written");
    let operations = disk.operations();
    let alone = Persist { must_sync: false, ..group(hard_state(1, None, 1), vec![]) };
    journal.write(from_ref(&alone)).expect("remembered");
    assert_eq!(disk.operations(), operations, "nothing was written");
    let next = Persist { hard_state: None, ..group(HardState::default(), vec![entry(2, 1, 8)]) };
    journal.write(&[next]).expect("written");
    assert_eq!(journal.hard_state(), hard_state(1, None, 1));
    // Marked or not: a new term is synced.
    let term = Persist { must_sync: false, ..group(hard_state(2, Some(1), 1), vec![]) };
    journal.write(&[alone, term]).expect("written");
    drop(journal);
    disk.crash(0);
    let (_, recovered) = open(disk.handle()).expect("opens");
    assert_eq!(recovered.hard_state, hard_state(2, Some(1), 1));
    assert_eq!(recovered.entries.len(), 2);
}

#[test]
fn a_group_larger_than_a_segment_gets_one_of_its_own() {
    let (disk, mut journal) = founded();
    let large = group(hard_state(1, None, 0), vec![entry(1, 1, 100_000)]);
    journal.write(&[large]).expect("written");
    let small = group(hard_state(1, None, 1), vec![entry(2, 1, 10)]);
    journal.write(&[small]).expect("written");
    drop(journal);
    let (_, recovered) = open(disk.handle()).expect("opens");
    assert_eq!(recovered.entries[0].bytes.len(), 100_000);
    assert_eq!(recovered.entries.len(), 2);
}

#[test]
fn a_fetched_snapshot_counts_when_it_is_installed() {
    let (disk, mut journal) = founded();
    let one = group(hard_state(1, None, 0), vec![entry(1, 1, 10)]);
    journal.write(&[one]).expect("written");
    let state = state_bytes(50, 3);
    let fetched = descriptor(50, 3, &state);
    journal.save_snapshot(&fetched, &state).expect("saved");
    let (found, bytes) = journal.read_snapshot(LogIndex(50)).expect("intact").expect("there");
    assert_eq!((found, bytes), (fetched.clone(), state.clone()));
    drop(journal);

    // Not installed: the log is what it was.
    let (mut journal, recovered) = open(disk.handle()).expect("opens");
    assert_eq!((recovered.snapshot, recovered.entries.len()), (None, 1));
    let install =
        Persist { snapshot: Some(fetched.clone()), ..group(hard_state(4, None, 50), vec![]) };
    let refused = journal.write(from_ref(&install)).expect_err("fetched by another process");
    let violation = Violation::SnapshotNotSaved { index: LogIndex(50), term: fetched.term };
    assert!(matches!(refused, JournalError::Contradiction(found) if found == violation));
    drop(journal);

    let (mut journal, _) = open(disk.handle()).expect("opens");
    journal.save_snapshot(&fetched, &state).expect("saved again");
    let entries = vec![entry(51, 4, 10)];
    journal.write(&[Persist { entries, ..install }]).expect("written");
    drop(journal);
    disk.crash(0);
    let (_, recovered) = open(disk.handle()).expect("opens");
    assert_eq!(recovered.snapshot, Some((fetched, state)));
    assert_eq!(recovered.entries, [entry(51, 4, 10)]);
}

#[test]
fn a_full_disk_is_met_by_spares_and_snapshots_only() {
    let (disk, mut journal) = founded();
    let used: usize = disk.contents().values().map(Vec::len).sum();
    disk.set_capacity(Some(u64::try_from(used).expect("fits") + 20_000));
    assert_eq!(journal.maintain().expect("one fits"), Upkeep::More);
    assert_eq!(journal.maintain().expect("no error"), Upkeep::DiskFull);
    assert_eq!(journal.spares(), 1);
    let before = names(&disk);

    let one = group(hard_state(1, None, 1), vec![entry(1, 1, 1000)]);
    journal.write(&[one]).expect("the path of writes is not concerned");
    let state = vec![7; 10_000];
    let error = journal.save_snapshot(&descriptor(1, 1, &state), &state).expect_err("full");
    assert!(error.is_survivable(), "{error}");
    assert_eq!(names(&disk), before, "nothing half-made is left");

    disk.set_capacity(None);
    journal.save_snapshot(&descriptor(1, 1, &state), &state).expect("recovers by itself");
    while journal.maintain().expect("done") == Upkeep::More {}
    assert_eq!(journal.spares(), SMALL.spares);
    drop(journal);
    open(disk.handle()).expect("opens");
}

#[test]
fn contradictions_are_refused_before_they_reach_the_disk() {
    let committed = || group(hard_state(3, Some(1), 2), vec![entry(1, 1, 8), entry(2, 3, 8)]);
    let none = Vec::new;
    let cases = [
        (group(hard_state(2, None, 2), none()), "term fell"),
        (group(hard_state(3, Some(2), 2), none()), "vote of term 3 changed"),
        (group(hard_state(3, None, 2), none()), "vote of term 3 changed"),
        (group(hard_state(3, Some(1), 1), none()), "commit index fell"),
        (group(hard_state(3, Some(1), 3), none()), "beyond the last entry"),
        (group(hard_state(3, Some(1), 2), vec![entry(4, 3, 8)]), "does not follow"),
        (group(hard_state(3, Some(1), 2), vec![entry(3, 2, 8)]), "the entry before it 3"),
        (group(hard_state(3, Some(1), 2), vec![entry(3, 4, 8)]), "above the hard state's"),
        (group(hard_state(3, Some(1), 2), vec![entry(2, 3, 8)]), "cannot be cut"),
    ];
    for (bad, part) in cases {
        let (disk, mut journal) = founded();
        journal.write(&[committed()]).expect("written");
        let before = disk.contents();
        let error = journal.write(&[bad]).expect_err(part);
        assert!(error.to_string().contains(part), "{part:?} is missing in: {error}");
        assert!(!error.is_survivable());
        assert_eq!(disk.contents(), before);
        assert!(matches!(journal.write(&[committed()]), Err(JournalError::Failed)));
    }
}

#[test]
fn without_sync_nothing_is_synced() {
    let (disk, journal) = founded();
    drop(journal);
    let options = journal::Options { sync: false, ..SMALL };
    let (mut journal, _) =
        journal::Journal::open(disk.handle(), crate::model::CLUSTER, crate::model::ME, options)
            .expect("opens");
    let syncs = disk.syncs();
    let one = group(hard_state(1, None, 0), vec![entry(1, 1, 8)]);
    journal.write(&[one]).expect("written");
    assert_eq!((disk.syncs(), journal.counters().syncs), (syncs, 0));
}

/// See [`with_a_clock_syncs_and_recycling_are_timed`], its only caller.
fn tick() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NOW: AtomicU64 = AtomicU64::new(0);
    NOW.fetch_add(1, Ordering::Relaxed)
}

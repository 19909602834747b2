//! The window against a plain vector, across the borders of its chunks.

use super::{CHUNK_ENTRIES, LogWindow};
use crate::{HardState, LogIndex, Membership, PeerId, SnapshotDescriptor, Term};
use bytes::Bytes;
use raft::eraftpb::Entry as EngineEntry;
use raft::{GetEntriesContext, Storage};
use std::vec::Vec;

fn window() -> LogWindow {
    LogWindow::new(HardState::default(), Membership::default(), None)
}

fn entries(indexes: core::ops::RangeInclusive<u64>, term: u64) -> Vec<EngineEntry> {
    let data = Bytes::from_static(b"12345678");
    let entry = |index| EngineEntry { term, index, data: data.clone(), ..EngineEntry::default() };
    indexes.map(entry).collect()
}

fn read(window: &LogWindow, low: u64, high: u64, max: u64) -> Vec<(u64, u64)> {
    let context = GetEntriesContext::empty(false);
    let entries = window.entries(low, high, max, context).unwrap();
    entries.iter().map(|entry| (entry.index, entry.term)).collect()
}

fn taken(window: &mut LogWindow, index: u64, catch_up: u64) {
    let term = window.term(LogIndex(index)).unwrap();
    let index = LogIndex(index);
    window.taken(SnapshotDescriptor { index, term, ..SnapshotDescriptor::default() }, catch_up);
}

#[test]
fn an_append_cuts_the_tail_wherever_it_begins() {
    let chunk = CHUNK_ENTRIES as u64;
    for cut in [1, 2, chunk - 1, chunk, chunk + 1, chunk + 2, 3 * chunk, 3 * chunk + 1] {
        let mut window = window();
        window.append(&entries(1..=3 * chunk, 1));
        window.append(&entries(cut..=cut + 1, 2));
        assert_eq!(window.last(), LogIndex(cut + 1), "cut at {cut}");
        let expected: Vec<_> = (1..=cut + 1).map(|it| (it, 1 + u64::from(it >= cut))).collect();
        assert_eq!(read(&window, 1, cut + 2, u64::MAX), expected, "cut at {cut}");
        assert_eq!(window.bytes() as u64, (cut + 1) * 8, "cut at {cut}");
        assert_eq!(window.term(LogIndex(cut + 2)), None, "cut at {cut}");
    }
}

#[test]
fn a_read_returns_one_entry_or_what_fits() {
    let mut window = window();
    window.append(&entries(1..=9, 1));
    assert_eq!(read(&window, 3, 9, 0).len(), 1);
    assert_eq!(read(&window, 3, 9, 80).len(), 2, "40 bytes each, overhead included");
    assert_eq!(read(&window, 3, 9, u64::MAX).len(), 6);
}

#[test]
fn a_snapshot_drops_whole_chunks_far_before_it() {
    let chunk = CHUNK_ENTRIES as u64;
    let mut window = window();
    window.append(&entries(1..=4 * chunk, 7));
    taken(&mut window, 2 * chunk - 1, 0);
    assert_eq!(window.base(), (LogIndex(chunk), Term(7)));
    taken(&mut window, 4 * chunk, chunk + 1);
    assert_eq!(window.base(), (LogIndex(2 * chunk), Term(7)));
    assert_eq!(read(&window, 2 * chunk + 1, 2 * chunk + 2, 0), [(2 * chunk + 1, 7)]);
    let compacted = window.entries(2 * chunk, 2 * chunk + 1, None, GetEntriesContext::empty(false));
    assert!(compacted.is_err(), "who needs this one gets the snapshot");
    taken(&mut window, 4 * chunk, 0);
    assert_eq!(window.base(), (LogIndex(4 * chunk), Term(7)));
    assert_eq!(window.last(), LogIndex(4 * chunk));
    window.append(&entries(4 * chunk + 1..=4 * chunk + 1, 8));
    assert_eq!(window.last(), LogIndex(4 * chunk + 1));
}

#[test]
fn an_installed_snapshot_replaces_the_log() {
    let mut window = window();
    window.append(&entries(1..=5, 1));
    let (index, term) = (LogIndex(9), Term(3));
    let membership = Membership::of_voters([PeerId(1), PeerId(2)]);
    window.install(&SnapshotDescriptor { index, term, membership, ..Default::default() });
    assert_eq!((window.base(), window.last()), ((index, term), index));
    assert_eq!(Storage::snapshot(&window, 0, 2).unwrap().get_metadata().index, 9);
    assert!(Storage::snapshot(&window, 10, 2).is_err(), "there is no newer one yet");
    assert!(Storage::snapshot(&window, 0, 3).is_err(), "peer 3 is no member of it (S7)");
}

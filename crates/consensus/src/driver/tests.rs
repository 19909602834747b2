//! What a driver cannot start from.

use super::{Driver, StartError};
use crate::{
    Entry, EntryKind, HardState, LogIndex, Membership, PeerId, Restored, Settings,
    SnapshotDescriptor, Term,
};
use bytes::Bytes;
use std::vec::Vec;

fn entry(index: u64, term: u64) -> Entry {
    let (index, term) = (LogIndex(index), Term(term));
    Entry { term, index, kind: EntryKind::Empty, bytes: Bytes::new() }
}

fn restored() -> Restored {
    let membership = Membership::of_voters([1, 2, 3].map(PeerId));
    let (index, term) = (LogIndex(4), Term(2));
    let snapshot =
        SnapshotDescriptor { index, term, membership: membership.clone(), bytes: 0, checksum: 0 };
    Restored {
        hard_state: HardState { term: Term(3), vote: None, commit: LogIndex(5) },
        membership,
        snapshot: Some(snapshot),
        entries: std::vec![entry(5, 2), entry(6, 3)],
    }
}

fn check(what: &str, change: fn(&mut Restored), expected: Option<StartError>) {
    let mut restored = restored();
    change(&mut restored);
    let outcome = Driver::new(Settings::new(PeerId(1), 1), restored);
    assert_eq!(outcome.err(), expected, "{what}");
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let log = |index| Some(StartError::Log { index: LogIndex(index) });
    check("whole", |_| (), None);
    check("a commit that was not written", |it| it.hard_state.commit = LogIndex(0), None);
    check(
        "a commit beyond the log",
        |it| it.hard_state.commit = LogIndex(7),
        Some(StartError::Commit { commit: LogIndex(7), last: LogIndex(6) }),
    );
    check("a gap after the snapshot", |it| drop(it.entries.remove(0)), log(6));
    check("a term that falls", |it| it.entries[1].term = Term(1), log(6));
    check("a term above the hard state's", |it| it.entries[1].term = Term(4), log(6));
    check("a snapshot above the hard state's", |it| it.hard_state.term = Term(1), log(4));
    check("an empty entry with bytes", |it| it.entries[0].bytes = Bytes::from("x"), log(5));
    check("a membership entry", |it| it.entries[0].kind = EntryKind::Membership, log(5));
    let membership = Some(StartError::Membership);
    check("a joint membership", |it| it.membership.auto_leave = true, membership);
    check("another membership", |it| it.membership = Membership::default(), membership);
    check("a new learner", |it| *it = Restored::default(), None);
}

#[test]
fn settings_out_of_range_are_refused() {
    let check = |expected: &str, change: fn(&mut Settings)| {
        let mut settings = Settings::new(PeerId(1), 1);
        change(&mut settings);
        let outcome = Driver::new(settings, restored()).err();
        let is_expected = matches!(
            outcome,
            Some(StartError::Setting { setting, .. }) if setting == expected
        );
        assert!(is_expected, "{expected}: {outcome:?}");
    };
    check("me", |it| it.me = PeerId(0));
    check("keepalive_ticks", |it| it.keepalive_ticks = 0);
    check("election_ticks", |it| it.election_ticks = 2);
}

#[test]
fn a_restored_driver_stands_where_it_stopped() {
    let driver = Driver::new(Settings::new(PeerId(1), 1), restored()).expect("it fits");
    let indexes = [driver.commit(), driver.applied(), driver.last_index()].map(|index| index.0);
    assert_eq!((driver.term(), indexes), (Term(3), [5, 4, 6]));
    let mut effects = Vec::new();
    let mut driver = driver;
    driver.end_of_turn(&mut effects);
    assert_eq!(effects.len(), 1, "what is committed is handed out: {effects:?}");
}

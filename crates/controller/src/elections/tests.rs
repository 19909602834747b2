//! Which sets are due, and how long masters have that were not heard.

use super::{Elections, LOOK_MS, SETS_PER_LOOK};
use crate::instant::Instant;
use crate::settings::RECONCILE_MS;
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

fn at(ms: u64) -> Instant {
    Instant::from_micros(ms * 1_000)
}

fn leading(sets: &[&str]) -> Elections {
    let mut elections = Elections::default();
    elections.begin(at(0), sets.iter().map(|set| Box::from(*set)));
    elections
}

fn due(elections: &mut Elections) -> Vec<Box<str>> {
    elections.take_due()
}

#[test]
fn only_a_leader_considers() {
    let mut elections = Elections::default();
    elections.consider("a");
    assert!(!elections.has_due());
    assert_eq!(elections.next_due(), None);
    let mut elections = leading(&["b", "a"]);
    assert_eq!(due(&mut elections), [Box::from("a"), Box::from("b")], "a new one looks at all");
    elections.consider("a");
    elections.end();
    assert!(!elections.has_due());
}

#[test]
fn a_set_has_one_election_at_a_time_and_is_looked_at_after_it() {
    let mut elections = leading(&[]);
    elections.consider("a");
    elections.consider("a");
    assert_eq!(due(&mut elections).len(), 1);
    elections.proposed("a".into());
    elections.consider("a");
    assert!(!elections.has_due());
    assert_eq!(elections.in_flight(), 1);
    elections.ended("a");
    assert_eq!((elections.in_flight(), due(&mut elections).len()), (0, 1));
}

/// Names of so many sets, from that number on.
fn names(from: usize, count: usize) -> Vec<Box<str>> {
    (from..from + count).map(|number| format!("{number:06}").into()).collect()
}

#[test]
fn all_sets_are_looked_at_now_and_then() {
    let mut elections = leading(&[]);
    assert_eq!(elections.next_due(), Some(at(RECONCILE_MS)));
    assert!(!elections.is_look_due(at(RECONCILE_MS - 1)));
    assert!(elections.is_look_due(at(RECONCILE_MS)));
    elections.look_at(at(RECONCILE_MS), names(0, 3));
    assert_eq!(due(&mut elections), names(0, 3));
    assert!(!elections.is_look_due(at(RECONCILE_MS)));
    assert_eq!(elections.next_due(), Some(at(2 * RECONCILE_MS)));
}

#[test]
fn many_sets_are_looked_at_some_at_a_time() {
    let mut elections = leading(&[]);
    let mut now = at(RECONCILE_MS);
    for step in 0..3 {
        assert!(elections.is_look_due(now));
        elections.look_at(now, names(step * SETS_PER_LOOK, SETS_PER_LOOK));
        assert_eq!(due(&mut elections).len(), SETS_PER_LOOK);
        let last = names((step + 1) * SETS_PER_LOOK - 1, 1).remove(0);
        assert_eq!(elections.looked_until(), Some(&*last));
        assert_eq!(elections.next_due(), Some(now.plus_ms(LOOK_MS)), "a pause");
        now = now.plus_ms(LOOK_MS);
    }
    elections.look_at(now, Vec::new());
    assert_eq!(elections.looked_until(), None, "from the first set again");
    assert_eq!(
        elections.next_due(),
        Some(at(2 * RECONCILE_MS)),
        "counted from where this one began"
    );
    // A walk that takes longer than it should is followed by the next at once.
    let late = at(4 * RECONCILE_MS);
    elections.look_at(late, Vec::new());
    assert!(elections.is_look_due(late));
}

#[test]
fn who_was_not_heard_has_time() {
    let mut elections = leading(&[]);
    elections.give_time("a", 1, at(100));
    elections.give_time("b", 1, at(200));
    assert!(elections.is_in_grace("a", 1) && elections.is_in_grace("b", 1));
    assert!(!elections.is_in_grace("a", 2));
    assert_eq!(elections.next_due(), Some(at(100)));
    elections.heard("b", 1);
    assert!(!elections.is_in_grace("b", 1));
    elections.end_times(at(99));
    assert!(elections.is_in_grace("a", 1));
    elections.end_times(at(100));
    assert!(!elections.is_in_grace("a", 1));
    assert_eq!(due(&mut elections), [Box::from("a")], "its set is looked at");
    elections.end_times(at(200));
    assert!(!elections.has_due(), "who was heard is no reason to look");
}

#[test]
fn a_second_time_is_not_ended_by_the_first() {
    let mut elections = leading(&[]);
    elections.give_time("a", 1, at(100));
    elections.heard("a", 1);
    elections.give_time("a", 1, at(150));
    elections.end_times(at(100));
    assert!(elections.is_in_grace("a", 1));
    elections.end_times(at(150));
    assert!(!elections.is_in_grace("a", 1));
    elections.give_time("a", 1, at(300));
    elections.end();
    assert!(!elections.is_in_grace("a", 1));
}

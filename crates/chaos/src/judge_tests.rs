//! Judgements over courses made by hand.

use super::{Outcome, judge, judge_within, lost, needless};
use crate::actors::recorder::{Mastership, Recorder, Records, Result as Ended, Sample};
use crate::clock::SECOND;
use crate::course::{Course, Event, Final, Options};
use crate::faults::Skip;
use serde_json::json;
use std::fs;
use std::net::Ipv4Addr;
use workload::check::search::Limit;
use workload::history::{self, Call, History, Operation, Seen};

const MASTER: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);

fn masters(rows: &[(u64, i32, i64)]) -> Records {
    let one = |(at, epoch, master): &(u64, i32, i64)| Mastership {
        at: at * SECOND,
        set: "a".into(),
        epoch: *epoch,
        master: *master,
    };
    let mut records = Records::default();
    records.masterships = rows.iter().map(one).collect();
    records.beats.insert(MASTER, (0..100).map(|second| second * SECOND).collect());
    records
}

fn course(touched: Ipv4Addr) -> Course {
    let event = Event {
        name: "some".into(),
        struck: 10 * SECOND,
        began: 11 * SECOND,
        healed: 12 * SECOND,
        recovered: Some(13 * SECOND),
        brokers: vec![touched],
        ..Event::default()
    };
    let addresses = [(("a".into(), 1), MASTER), (("a".into(), 2), Ipv4Addr::new(10, 77, 1, 2))];
    Course { events: vec![event], addresses: addresses.into(), ..Course::default() }
}

#[test]
fn a_master_that_nothing_touched_must_stay() {
    let other = Ipv4Addr::new(10, 77, 1, 2);
    let count = |course, rows: &[_]| needless(&course, &masters(rows)).len();
    assert_eq!(count(course(MASTER), &[(1, 1, 1), (11, 2, 2)]), 0, "it was touched");
    assert_eq!(count(course(other), &[(1, 1, 1), (11, 2, 2)]), 1, "another was touched");
    assert_eq!(count(course(MASTER), &[(1, 1, 1), (10, 2, 2)]), 0, "it ended before all was done");
    assert_eq!(count(course(MASTER), &[(1, 1, 1), (60, 2, 2)]), 1, "it was touched long before");
    assert_eq!(count(course(MASTER), &[(1, 1, 1), (9, 2, 2)]), 1, "it was touched only afterwards");
    assert_eq!(count(course(other), &[(1, 1, 1), (40, 2, 1)]), 0, "it is master again");
    let mut open = course(MASTER);
    open.events[0].recovered = None;
    assert_eq!(count(open, &[(1, 1, 1), (60, 2, 2)]), 0, "it never healed");
    let mut silent = masters(&[(1, 1, 1), (60, 2, 2)]);
    silent.beats.insert(MASTER, (0..100).step_by(4).map(|second| second * SECOND).collect());
    assert_eq!(needless(&course(other), &silent).len(), 0, "its own heartbeats had gaps");
}

fn acknowledged(call: Call, seen: Seen) -> Operation {
    Operation {
        client: 0,
        peer: None,
        set: "a".into(),
        invoked: 0,
        finished: Some(1),
        call,
        outcome: history::Outcome::Ok(seen),
    }
}

#[test]
fn what_was_acknowledged_is_there_at_the_end() {
    let seen = Seen { master_epoch: Some(2), set_epoch: Some(7), ..Seen::default() };
    let apply = Call::ApplyId { id: 3, check_code: "x".into() };
    let operations = vec![acknowledged(Call::Read, seen), acknowledged(apply, Seen::default())];
    let history = History { operations, ..History::default() };
    let end = |master: i32, set: i32, ids: &[i64]| {
        let replicas: Vec<_> = ids.iter().map(|id| json!({ "id": id })).collect();
        let found = json!({ "brokerName": "a", "masterEpoch": master, "syncStateSetEpoch": set, "replicas": replicas });
        lost(&history, &[said(Some(found))]).len()
    };
    assert_eq!(end(2, 7, &[1, 2, 3]), 0);
    assert_eq!(end(3, 8, &[1, 2, 3, 4]), 0);
    assert_eq!(end(2, 6, &[1, 2, 3]), 1);
    assert_eq!(end(2, 7, &[1, 2]), 1);
    assert_eq!(end(1, 9, &[]), 2);
    assert_eq!(lost(&history, &[said(None)]).len(), 1);
    let of_another = said(Some(json!({ "brokerName": "b", "masterEpoch": 9 })));
    assert_eq!(lost(&history, &[of_another]).len(), 1, "an answer about another set is none");
}

/// Ids 1 to 3 are given, then these cleans; each operation comes after the one before. Ids at the end, none if the
/// set is unknown, and how much of that is told.
#[test]
fn what_was_cleaned_is_gone_and_not_lost() {
    use history::Outcome::{Ok, Refused, Unknown};
    let ok = || Ok(Seen::default());
    let refused = || Refused { code: 2009, seen: Seen::default() };
    type Cleans = Vec<(Vec<i64>, history::Outcome)>;
    let check = |cleans: Cleans, ids: Option<&[i64]>, told: &[&str]| {
        let apply = |id| (Call::ApplyId { id, check_code: "x".into() }, ok());
        let clean = |(ids, outcome)| (Call::Clean { ids, living: true }, outcome);
        let seen = Seen { master_epoch: Some(2), set_epoch: Some(7), ..Seen::default() };
        let calls = [(Call::Read, Ok(seen)), apply(1), apply(2), apply(3)].into_iter();
        let operation = |(at, (call, outcome)): (u64, (Call, history::Outcome))| Operation {
            invoked: at * 2,
            finished: (outcome != Unknown).then_some(at * 2 + 1),
            outcome,
            ..acknowledged(call, Seen::default())
        };
        let operations = (0..).zip(calls.chain(cleans.into_iter().map(clean))).map(operation);
        let history = History { operations: operations.collect(), ..History::default() };
        let found = ids.map_or(json!(null), |ids| {
            let replicas: Vec<_> = ids.iter().map(|id| json!({ "id": id })).collect();
            json!({ "brokerName": "a", "masterEpoch": 3, "syncStateSetEpoch": 8, "replicas": replicas })
        });
        let lost = lost(&history, &[said(Some(found))]);
        assert_eq!(lost.len(), told.len(), "{lost:?}");
        assert!(lost.iter().zip(told).all(|(lost, told)| lost.contains(told)), "{lost:?}");
    };
    let all = Some(&[1, 2, 3][..]);
    check(vec![(vec![2], ok())], Some(&[1, 3]), &[]);
    check(vec![(vec![2], ok())], all, &["at n1 the ids [2], which were cleaned"]);
    check(vec![(vec![2], Unknown)], all, &[]);
    check(vec![(vec![2], Unknown)], Some(&[1, 3]), &[]);
    check(vec![(vec![2], Unknown)], Some(&[1]), &["lacks at n1 the acknowledged ids [3]"]);
    check(vec![(vec![2], refused())], Some(&[1, 3]), &["lacks at n1 the acknowledged ids [2]"]);
    check(vec![(vec![2], ok())], None, &["unknown at n1, with the acknowledged ids [1, 3]"]);
    check(vec![(vec![1, 2, 3], ok())], None, &[]);
    check(vec![(vec![], ok())], None, &[]);
    check(vec![(vec![], ok())], Some(&[3]), &["at n1 the ids [3], which were cleaned"]);
    check(vec![(vec![], Unknown)], None, &[]);
    check(vec![(vec![], Unknown)], all, &[]);
    check(vec![(vec![], refused())], None, &["with the acknowledged ids [1, 2, 3]"]);
}

#[test]
fn an_id_that_is_given_after_a_clean_is_there_at_the_end() {
    let apply = |id| Call::ApplyId { id, check_code: "x".into() };
    let clean = Call::Clean { ids: vec![], living: true };
    let at = |at: u64, call| Operation {
        invoked: at,
        finished: Some(at),
        ..acknowledged(call, Seen::default())
    };
    let operations = vec![at(1, apply(1)), at(2, clean), at(3, apply(2))];
    let history = History { operations, ..History::default() };
    let found = |id| {
        let replicas = json!([{ "id": id }]);
        json!({ "brokerName": "a", "masterEpoch": 1, "syncStateSetEpoch": 1, "replicas": replicas })
    };
    let count = |found| lost(&history, &[said(Some(found))]).len();
    assert_eq!((count(found(2)), count(found(1)), count(json!(null))), (0, 2, 1));
}

#[test]
fn masters_that_an_operator_replaces_are_not_missed() {
    let count = |set: &str| {
        let mut records = masters(&[(1, 1, 1), (60, 2, 2)]);
        records.masterships.iter_mut().for_each(|one| one.set = set.into());
        let mut course = course(Ipv4Addr::LOCALHOST);
        course.addresses = [((set.into(), 1), MASTER)].into();
        needless(&course, &records).len()
    };
    assert_eq!((count("a"), count("op-0-0")), (1, 0));
}

fn said(said: Option<serde_json::Value>) -> Final {
    Final { node: 1, set: "a".into(), said }
}

#[test]
fn what_nobody_found_out_is_no_pass() {
    let folder = std::env::temp_dir().join(format!("pitchover-judged-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let recorder = Recorder::create(&folder, 3, (true, "a test".into())).unwrap();
    let sample = Sample { client: 0, invoked: 0, ended: 1, result: Ended::Ok, is_write: true };
    let apply = Call::ApplyId { id: 1, check_code: "x".into() };
    recorder.tell(sample, vec![acknowledged(apply, Seen::default())]);
    let found = || {
        let found = json!({ "brokerName": "a", "masterEpoch": 0, "syncStateSetEpoch": 0, "replicas": [{ "id": 1 }] });
        said(Some(found))
    };
    let check = |course: &Course, steps, expected: Outcome, about: &str| {
        let options = Options::for_tests(&folder);
        let verdict = judge_within(&options, course, &recorder, Limit { steps });
        assert_eq!((verdict.outcome, verdict.violations.len()), (expected, 0), "{verdict:?}");
        let are_about_it = verdict.doubts.iter().all(|doubt| doubt.contains(about));
        assert!(
            are_about_it && verdict.doubts.len() == usize::from(!about.is_empty()),
            "{verdict:?}"
        );
        assert_eq!(verdict.undecided, usize::from(about == "gave up"));
    };
    let course = |asked| Course { finals: vec![found(); asked], ..Course::default() };
    check(&course(3), 1_000, Outcome::Passed, "");
    check(&course(3), 0, Outcome::Invalid, "gave up");
    check(&course(2), 1_000, Outcome::Invalid, "2 of 3 questions");
    check(&course(0), 1_000, Outcome::Invalid, "0 of 3 questions");
    let refused = Course { doubts: vec!["no thread".into()], ..course(3) };
    check(&refused, 1_000, Outcome::Invalid, "no thread");
    let skipped = vec![("bursts".to_owned(), Skip::because("the time was over"))];
    let short = Course { asked: 9, unreached: vec!["bursts".into()], skipped, ..course(3) };
    check(&short, 1_000, Outcome::Passed, "");
    let release = Options { is_release: true, ..Options::for_tests(&folder) };
    let verdict = judge_within(&release, &short, &recorder, Limit::default());
    assert_eq!(verdict.outcome, Outcome::Invalid, "{verdict:?}");
    let reach = "faults: 1 of 9 were NOT INJECTED, the run never came to them: bursts";
    assert_eq!(verdict.reach(), reach);
    assert_eq!(super::to_json(&verdict, &release, &short)["notInjected"], 1);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_run_that_ended_because_it_was_full_proves_nothing_and_says_so() {
    let folder = std::env::temp_dir().join(format!("pitchover-full-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let recorder = Recorder::create(&folder, 3, (true, String::new())).unwrap();
    let options = Options::for_tests(&folder);
    let verdict = |full: Option<&str>| {
        let full = full.map(str::to_owned);
        judge(&options, &Course { full, ..Course::default() }, &recorder)
    };
    let (whole, cut) = (verdict(None), verdict(Some("ended after 5 of 9 s: no room")));
    fs::remove_dir_all(folder).unwrap();
    assert_eq!((whole.outcome, whole.doubts), (Outcome::Passed, Vec::new()));
    assert_eq!(cut.outcome, Outcome::Invalid);
    assert_eq!(cut.doubts, ["ended after 5 of 9 s: no room"]);
}

//! The judges' own exam: they agree with brute force on small histories, with each other on large
//! ones, let every true history pass, and find what is planted in it.

#![expect(clippy::cast_possible_truncation, reason = "the numbers of a small world are small")]

mod brute_force;
mod generator;

use generator::{Numbers, Plan, true_history};
use proptest::prelude::*;
use workload::check::broker_set::{self, Opinion};
use workload::check::search::Limit;
use workload::check::{judge, parts, versioned};
use workload::history::{Call, History, NOBODY, Operation, Outcome, Seen};

fn fast(history: &History) -> bool {
    versioned::check(history).is_empty()
}

fn classic(history: &History) -> bool {
    parts(history).all(|part| match broker_set::check_set(&part, Limit::default()) {
        Opinion::InOrder => true,
        Opinion::Against(_) => false,
        Opinion::Undecided => panic!("a small history is always decided"),
    })
}

fn seen(master_epoch: i32, set_epoch: i32, master: i64, set: &[i64]) -> Seen {
    Seen {
        master_epoch: Some(master_epoch),
        set_epoch: Some(set_epoch),
        master: Some(master),
        sync_state_set: Some(set.to_vec()),
        next_id: None,
    }
}

fn refused(code: i32) -> Outcome {
    Outcome::Refused { code, seen: Seen::default() }
}

/// Calls that show or need both epochs, with outcomes out of a small world: some fit, many do not.
fn epoch_operation() -> impl Strategy<Value = (Call, Outcome)> {
    let sets = prop::sample::select(vec![vec![1], vec![1, 2], vec![2]]);
    let numbers = (1..4_i32, 1..5_i32, prop::sample::select(vec![1_i64, 1, 2, NOBODY]), sets);
    (0..8_u8, numbers).prop_map(|(kind, (master_epoch, set_epoch, master, set))| {
        let look = seen(master_epoch, set_epoch, master, &set);
        let broker = if master == NOBODY { 1 } else { master };
        let elect = Call::Elect { id: broker, designate: false };
        let alter = Call::Alter { master: broker, master_epoch, set_epoch, new_set: set.clone() };
        match kind {
            0..=2 => (Call::Read, Outcome::Ok(look)),
            3 => (alter, Outcome::Ok(seen(master_epoch, set_epoch + 1, broker, &set))),
            4 => (alter, refused(2000)),
            5 => (alter, refused(2001)),
            6 => (alter, Outcome::Unknown),
            _ => (elect, Outcome::Ok(seen(master_epoch, set_epoch, broker, &[broker]))),
        }
    })
}

/// Calls about ids and about being known.
fn id_operation() -> impl Strategy<Value = (Call, Outcome)> {
    let code = prop::sample::select(vec!["a", "b"]);
    (0..6_u8, 1..4_i64, code).prop_map(|(kind, id, code)| {
        let apply = Call::ApplyId { id, check_code: code.into() };
        match kind {
            0 => (Call::ReadNextId, Outcome::Ok(Seen { next_id: Some(id), ..Seen::default() })),
            1 | 2 => (apply, Outcome::Ok(Seen::default())),
            3 => (apply, Outcome::Unknown),
            4 => (apply, refused(2014)),
            _ => (Call::Read, refused(2008)),
        }
    })
}

/// Cleans among looks at a broker set in which two brokers are or were.
fn clean_operation() -> impl Strategy<Value = (Call, Outcome)> {
    let named = prop::sample::select(vec![vec![], vec![1], vec![2], vec![1, 2], vec![3]]);
    (0..4_u8, named, any::<bool>()).prop_map(|(kind, ids, living)| {
        let clean = Call::Clean { ids, living };
        match kind {
            0 | 1 => (clean, Outcome::Ok(Seen::default())),
            2 => (clean, Outcome::Unknown),
            _ => (Call::Read, refused(2008)),
        }
    })
}

/// A broker set of two: their ids were given before anything else was asked.
fn of_two(history: &mut History) {
    for id in [1, 2] {
        let call = Call::ApplyId { id, check_code: "a".into() };
        let at = id.unsigned_abs();
        let mut operation = operation(at, call, Outcome::Ok(Seen::default()));
        (operation.invoked, operation.finished) = (at * 2, Some(at * 2 + 1));
        history.operations.iter_mut().for_each(|other| {
            other.invoked += 3;
            other.finished = other.finished.map(|end| end + 3);
        });
        history.operations.insert(0, operation);
    }
}

fn history(
    operation: impl Strategy<Value = (Call, Outcome)>,
    is_complete: bool,
) -> impl Strategy<Value = History> {
    let timed = (operation, 0..20_u64, 1..8_u64);
    prop::collection::vec(timed, 1..6).prop_map(move |rows| {
        let operation = |((call, outcome), invoked, length): ((Call, Outcome), u64, u64)| {
            let finished = (outcome != Outcome::Unknown).then_some(invoked + length);
            Operation { client: 0, peer: None, set: "s".into(), invoked, finished, call, outcome }
        };
        let operations = rows.into_iter().map(operation).collect();
        History { is_complete, origin: String::new(), operations }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn epochs_three_judges_agree(history in history(epoch_operation(), false)) {
        let truth = brute_force::can_be(&history);
        prop_assert_eq!(classic(&history), truth, "search");
        let has_fence = history.operations.iter().any(|o| matches!(o.outcome, Outcome::Refused { .. }));
        // A fencing answer may be impossible only because both epochs together leave it no moment.
        prop_assert!(fast(&history) == truth || (has_fence && !truth), "versions");
    }

    #[test]
    fn ids_the_search_agrees_with_brute_force(history in history(id_operation(), true)) {
        let truth = brute_force::can_be(&history);
        prop_assert_eq!(classic(&history), truth, "search");
        // The versions do not ask who made an id that a read shows, so they may be content with more.
        prop_assert!(fast(&history) || !truth, "versions");
    }

    #[test]
    fn complete_histories_the_search_agrees_with_brute_force(
        history in history(prop_oneof![epoch_operation(), id_operation()], true)
    ) {
        let truth = brute_force::can_be(&history);
        prop_assert_eq!(classic(&history), truth, "search");
        prop_assert!(fast(&history) || !truth, "versions");
    }

    #[test]
    fn true_histories_pass(seed: u64) {
        let history = true_history(Plan { seed, operations_count: 200, clients_count: 8 });
        let judgement = judge(&history, Limit::default());
        let told: Vec<String> =
            judgement.violations.iter().map(|violation| violation.explain(&history)).collect();
        prop_assert_eq!(told, Vec::<String>::new());
        prop_assert!(judgement.undecided.is_empty());
    }
}

proptest! {
    // Two operations more cost brute force four times as much.
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cleans_the_search_agrees_with_brute_force(
        history in history(prop_oneof![epoch_operation(), clean_operation()], true)
    ) {
        let mut history = history;
        of_two(&mut history);
        let truth = brute_force::can_be(&history);
        prop_assert_eq!(classic(&history), truth, "search");
        prop_assert!(fast(&history) || !truth, "versions");
    }
}

/// A change that turns a true history into a false one; none if it finds nothing to change.
type Plant = fn(&mut History, &mut Numbers) -> Option<()>;

/// A read returns what another read saw that was over before this one was asked for, and was older
/// than something else that was over by then.
fn stale_read(history: &mut History, numbers: &mut Numbers) -> Option<()> {
    let reads: Vec<usize> = reads(history);
    for _ in 0..200 {
        let (old, new) = (*numbers.pick(&reads)?, *numbers.pick(&reads)?);
        let between = *numbers.pick(&reads)?;
        let [old, mid, at] = [old, between, new].map(|at| history.operations[at].clone());
        let version = |operation: &Operation| {
            operation.outcome.seen().map(|seen| (seen.master_epoch, seen.set_epoch))
        };
        if mid.finished? < at.invoked && version(&old) < version(&mid) {
            history.operations[new].outcome = old.outcome;
            return Some(());
        }
    }
    None
}

fn reads(history: &History) -> Vec<usize> {
    let is_read = |operation: &Operation| {
        operation.call == Call::Read && matches!(operation.outcome, Outcome::Ok(_))
    };
    (0..history.operations.len()).filter(|at| is_read(&history.operations[*at])).collect()
}

fn alters(history: &History) -> Vec<usize> {
    let is_alter = |operation: &Operation| {
        matches!(operation.call, Call::Alter { .. }) && operation.outcome.took_effect()
    };
    (0..history.operations.len()).filter(|at| is_alter(&history.operations[*at])).collect()
}

/// An acknowledged change is made again by a second client, as if the first had been lost.
fn lost_write(history: &mut History, numbers: &mut Numbers) -> Option<()> {
    let at = *numbers.pick(&alters(history))?;
    let first = history.operations[at].clone();
    let after = first.finished? + 1;
    let again = Operation {
        client: first.client + 100,
        invoked: after,
        finished: Some(after + 1),
        ..first
    };
    history.operations.push(again);
    Some(())
}

/// A change that was made, and that later answers show, is reported as refused (K4).
fn refusal_with_effect(history: &mut History, numbers: &mut Numbers) -> Option<()> {
    let alters = alters(history);
    let at = *numbers.pick(&alters)?;
    let Call::Alter { master_epoch, set_epoch, .. } = history.operations[at].call else {
        return None;
    };
    // Nobody else may have made it.
    let is_other_maker = |operation: &Operation| match operation.call {
        Call::Clean { .. } => operation.outcome != Outcome::Never,
        Call::Alter { set_epoch: other, .. } => {
            other == set_epoch && operation.outcome == Outcome::Unknown
        }
        _ => false,
    };
    if history.operations.iter().any(is_other_maker) {
        return None;
    }
    // Somebody must have seen it.
    let shown = |operation: &Operation| {
        let seen = operation.outcome.seen()?;
        let version = (seen.master_epoch?, seen.set_epoch?);
        (version.0 == master_epoch && version.1 > set_epoch).then_some(())
    };
    let others = history.operations.iter().enumerate().filter(|(other, _)| *other != at);
    others.map(|(_, operation)| operation).find_map(shown)?;
    history.operations[at].outcome = refused(2006);
    Some(())
}

/// Two clients hear of one version with two contents.
fn two_contents(history: &mut History, numbers: &mut Numbers) -> Option<()> {
    let at = *numbers.pick(&reads(history))?;
    let read = history.operations[at].clone();
    let (invoked, finished) = (read.invoked, read.finished);
    let mut other = Operation { client: read.client + 100, invoked, finished, ..read };
    if let Outcome::Ok(seen) = &mut other.outcome {
        seen.sync_state_set = Some(vec![77]);
    }
    history.operations.push(other);
    Some(())
}

/// Two brokers are told that they are master in one master epoch (C1).
fn two_masters(history: &mut History, numbers: &mut Numbers) -> Option<()> {
    let at = *numbers.pick(&reads(history))?;
    let mut other = history.operations[at].clone();
    if let Outcome::Ok(seen) = &mut other.outcome {
        seen.master = Some(78);
    }
    history.operations.push(other);
    Some(())
}

/// One id is granted to two brokers (C7).
fn id_twice(history: &mut History, numbers: &mut Numbers) -> Option<()> {
    let grants: Vec<usize> = (0..history.operations.len())
        .filter(|at| {
            let operation = &history.operations[*at];
            matches!(operation.call, Call::ApplyId { .. }) && operation.outcome.took_effect()
        })
        .collect();
    let mut other = history.operations[*numbers.pick(&grants)?].clone();
    if let Call::ApplyId { check_code, .. } = &mut other.call {
        *check_code = "another".into();
    }
    other.invoked = other.finished? + 1;
    other.finished = Some(other.invoked + 1);
    history.operations.push(other);
    Some(())
}

/// An answer of another request: an alter hears of a set that it did not ask for.
fn swapped_answer(history: &mut History, numbers: &mut Numbers) -> Option<()> {
    let at = *numbers.pick(&alters(history))?;
    let Outcome::Ok(seen) = &mut history.operations[at].outcome else { return None };
    seen.sync_state_set = Some(vec![79]);
    Some(())
}

const PLANTS: [(&str, Plant); 7] = [
    ("stale read", stale_read),
    ("lost write", lost_write),
    ("refusal with effect", refusal_with_effect),
    ("two contents", two_contents),
    ("two masters", two_masters),
    ("id twice", id_twice),
    ("swapped answer", swapped_answer),
];

#[test]
fn everything_that_is_planted_is_found() {
    for (name, plant) in PLANTS {
        let mut planted_count = 0;
        for seed in 0..300 {
            let mut history = true_history(Plan { seed, operations_count: 120, clients_count: 6 });
            if plant(&mut history, &mut Numbers::new(seed)).is_none() {
                continue;
            }
            planted_count += 1;
            let judgement = judge(&history, Limit::default());
            assert!(!judgement.violations.is_empty(), "{name}, seed {seed}: not found");
            let told = judgement.violations[0].explain(&history);
            assert!(told.lines().count() >= 2, "{name}: no witness: {told}");
        }
        assert!(planted_count > 60, "{name}: planted only {planted_count} times");
    }
}

/// One field of one operation is another number: mostly a violation, sometimes not.
fn any_change(history: &mut History, numbers: &mut Numbers) {
    let at = numbers.below(history.operations.len() as u64) as usize;
    let operation = &mut history.operations[at];
    match numbers.below(4) {
        0 => operation.invoked = operation.invoked.saturating_sub(numbers.below(40)),
        1 => operation.finished = operation.finished.map(|end| end + numbers.below(40)),
        2 if operation.finished.is_some() => {
            let shift = numbers.below(60);
            operation.invoked += shift;
            operation.finished = operation.finished.map(|end| end + shift);
        }
        _ => {
            if let Outcome::Ok(seen) = &mut operation.outcome
                && operation.call == Call::Read
            {
                let by = numbers.below(3) as i32 - 1;
                seen.master_epoch = seen.master_epoch.map(|epoch| (epoch + by).max(0));
                let by = numbers.below(3) as i32 - 1;
                seen.set_epoch = seen.set_epoch.map(|epoch| (epoch + by).max(0));
            }
        }
    }
}

#[test]
fn two_judges_agree_on_ten_thousand_changed_histories() {
    let mut false_count = 0;
    for seed in 0..10_000 {
        let mut numbers = Numbers::new(seed);
        let plan = Plan { seed, operations_count: 30, clients_count: 5 };
        let mut history = true_history(plan);
        // Only what both judge alike: epochs, by clients who may not be all there are.
        history.is_complete = false;
        history.operations.retain(|operation| {
            !matches!(operation.call, Call::ApplyId { .. } | Call::Clean { .. })
        });
        for _ in 0..=numbers.below(2) {
            any_change(&mut history, &mut numbers);
        }
        let (fast, classic) = (fast(&history), classic(&history));
        assert_eq!(fast, classic, "seed {seed}\n{}", history.to_lines());
        false_count += u32::from(!fast);
    }
    assert!((1_000..9_000).contains(&false_count), "{false_count} of 10,000 are false");
}

fn operation(at: u64, call: Call, outcome: Outcome) -> Operation {
    let finished = (outcome != Outcome::Unknown).then_some(at * 10 + 5);
    Operation { client: 0, peer: None, set: "s".into(), invoked: at * 10, finished, call, outcome }
}

/// What is asked, one after the other, and what comes of it.
type Rows = Vec<(Call, Outcome)>;

/// One after the other: three brokers come, the first is elected, all are in sync; then these.
fn after_three(then: Rows) -> History {
    let ok = || Outcome::Ok(Seen::default());
    let apply = |id| (Call::ApplyId { id, check_code: format!("broker {id}").into() }, ok());
    let mut rows = vec![apply(1), apply(2), apply(3)];
    rows.push((Call::Elect { id: 1, designate: false }, Outcome::Ok(seen(1, 1, 1, &[1]))));
    let alter = Call::Alter { master: 1, master_epoch: 1, set_epoch: 1, new_set: vec![1, 2, 3] };
    rows.push((alter, Outcome::Ok(seen(1, 2, 1, &[1, 2, 3]))));
    rows.extend(then);
    let operations = (1..).zip(rows).map(|(at, (call, outcome))| operation(at, call, outcome));
    History { is_complete: true, origin: String::new(), operations: operations.collect() }
}

fn clean(ids: &[i64]) -> (Call, Outcome) {
    (Call::Clean { ids: ids.to_vec(), living: true }, Outcome::Ok(Seen::default()))
}

fn read(seen: Seen) -> (Call, Outcome) {
    (Call::Read, Outcome::Ok(seen))
}

fn next_id(next_id: i64) -> (Call, Outcome) {
    (Call::ReadNextId, Outcome::Ok(Seen { next_id: Some(next_id), ..Seen::default() }))
}

fn apply(id: i64, check_code: &str) -> (Call, Outcome) {
    (Call::ApplyId { id, check_code: check_code.into() }, Outcome::Ok(Seen::default()))
}

fn alter(view: (i64, i32, i32), new_set: &[i64]) -> (Call, Outcome) {
    let (master, master_epoch, set_epoch) = view;
    let call = Call::Alter { master, master_epoch, set_epoch, new_set: new_set.to_vec() };
    (call, Outcome::Ok(seen(master_epoch, set_epoch + 1, master, new_set)))
}

fn elect(id: i64, seen: Seen) -> (Call, Outcome) {
    (Call::Elect { id, designate: true }, Outcome::Ok(seen))
}

/// What an operator does, and what must and must not follow; each row is told by both judges on their own.
#[test]
fn both_judges_know_what_follows_a_clean() {
    let unknown = || (Call::Read, refused(2008));
    let [smaller, headless] = [seen(1, 3, 1, &[1, 2]), seen(2, 3, NOBODY, &[2, 3])];
    let begun = || vec![clean(&[]), unknown(), next_id(4), apply(4, "again")];
    let followed = |mut rows: Rows, then: Rows| {
        rows.extend(then);
        rows
    };
    let rows: Vec<(&str, bool, Rows)> = vec![
        ("a member goes", true, vec![clean(&[3]), read(smaller)]),
        ("the set epoch stays", false, vec![clean(&[3]), read(seen(1, 2, 1, &[1, 2]))]),
        ("a member stays", false, vec![clean(&[3]), read(seen(1, 3, 1, &[1, 2, 3]))]),
        ("the master goes", true, vec![clean(&[1]), read(headless.clone())]),
        ("the master stays", false, vec![clean(&[1]), read(seen(1, 3, 1, &[2, 3]))]),
        ("it is master again", false, vec![clean(&[1]), elect(1, seen(3, 4, 1, &[1]))]),
        ("another is", true, vec![clean(&[1]), elect(2, seen(3, 4, 2, &[2]))]),
        ("one goes, all go", false, vec![clean(&[1]), unknown()]),
        ("all go, one by one", true, vec![clean(&[1]), clean(&[2, 3]), unknown()]),
        ("who is not there goes", true, vec![clean(&[9]), read(seen(1, 2, 1, &[1, 2, 3]))]),
        ("it begins again", true, followed(begun(), vec![elect(4, seen(3, 4, 4, &[4]))])),
        ("an id is given twice", false, vec![clean(&[]), unknown(), apply(3, "another")]),
        ("the next id falls", false, vec![clean(&[]), unknown(), next_id(1)]),
        ("epochs begin anew", false, followed(begun(), vec![elect(4, seen(2, 2, 4, &[4]))])),
        ("the dead come back", false, followed(begun(), vec![elect(2, seen(3, 4, 2, &[2]))])),
        ("the master is left out", false, vec![alter((1, 1, 2), &[2, 3])]),
        ("a stranger is taken in", false, vec![alter((1, 1, 2), &[1, 9])]),
        ("a stranger comes", false, vec![(Call::Register { id: 9 }, Outcome::Ok(Seen::default()))]),
        ("it cannot be known again", false, vec![clean(&[]), read(headless)]),
    ];
    for (what, is_true, then) in rows {
        let history = after_three(then);
        let told = versioned::check(&history);
        assert_eq!(told.is_empty(), is_true, "versions: {what}: {told:?}");
        assert_eq!(classic(&history), is_true, "search: {what}");
    }
}

/// The whole set goes while the living are protected: the search alone tells whether that was right, by the epochs
/// with which the set comes again.
#[test]
fn a_set_with_a_master_is_not_cleaned_while_the_living_are_protected() {
    let protected = |ids: &[i64]| {
        let call = Call::Clean { ids: ids.to_vec(), living: false };
        (call, Outcome::Ok(Seen::default()))
    };
    let again = |mut before: Rows, master_epoch, set_epoch| {
        before.extend([protected(&[]), (Call::Read, refused(2008)), apply(4, "again")]);
        before.push(elect(4, seen(master_epoch, set_epoch, 4, &[4])));
        after_three(before)
    };
    let master_goes = || vec![clean(&[1]), read(seen(2, 3, NOBODY, &[2, 3]))];
    let rows: [(&str, bool, History); 4] = [
        ("1 is master until then", false, again(Vec::new(), 3, 4)),
        ("an election left nobody", true, again(Vec::new(), 4, 4)),
        ("the master was cleaned before", true, again(master_goes(), 4, 5)),
        (
            "all are named",
            true,
            after_three(vec![protected(&[1, 2, 3]), (Call::Read, refused(2008))]),
        ),
    ];
    for (what, is_true, history) in rows {
        assert!(fast(&history), "versions: {what}");
        assert_eq!(classic(&history), is_true, "search: {what}");
        assert_eq!(brute_force::can_be(&history), is_true, "brute force: {what}");
    }
}

/// A clean without an answer may have come at any time since, or never.
#[test]
fn what_an_unheard_clean_did_is_open() {
    let unheard = || (Call::Clean { ids: vec![1], living: true }, Outcome::Unknown);
    let stays = read(seen(1, 2, 1, &[1, 2, 3]));
    let goes = read(seen(2, 3, NOBODY, &[2, 3]));
    let passes = |then| {
        let history = after_three(then);
        (fast(&history), classic(&history))
    };
    assert_eq!(passes(vec![unheard(), stays.clone()]), (true, true));
    assert_eq!(passes(vec![unheard(), goes.clone()]), (true, true));
    assert_eq!(passes(vec![unheard(), stays.clone(), goes.clone()]), (true, true));
    assert_eq!(passes(vec![unheard(), (Call::Read, refused(2008))]), (false, false));
    assert_eq!(passes(vec![unheard(), goes, stays]), (false, false));
    // Carried out after whoever asked gave up, and after somebody else came.
    let whole = (Call::Clean { ids: Vec::new(), living: true }, Outcome::Unknown);
    let then = vec![whole, apply(4, "late"), (Call::Read, refused(2008))];
    let mut history = after_three(then);
    for operation in &mut history.operations {
        operation.finished = Some(operation.invoked + 5);
    }
    assert_eq!((fast(&history), classic(&history)), (true, true));
}

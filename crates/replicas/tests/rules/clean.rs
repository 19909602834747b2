//! 1011: who is removed, and what stays.

use replicas::{BrokerId, CleanBrokerData, Command, Outcome, Rejection, Replicas};

use crate::fixture::{
    Fault, SET, accept, alive, alter, apply_id, check, check_order, clean, describe, elect_anyone,
    elect_by, id, ids, living, refused, registered, three_in_sync, with_epochs,
};

fn cleaned(removed: &[i64], master: Option<i64>, whole_set: bool) -> Result<Outcome, Rejection> {
    Ok(Outcome::BrokersCleaned { removed: ids(removed), master: master.map(BrokerId), whole_set })
}

fn malformed(part: &str) -> Rejection {
    Rejection::CleanIdMalformed { part: part.into() }
}

#[test]
fn each_fault_and_each_pair_of_faults_is_refused_in_upstreams_order() {
    let good = CleanBrokerData {
        set: SET.into(),
        ids: Some("2;3".into()),
        clean_living: false,
        evidence: alive(&[1]),
    };
    let faults = || {
        vec![
            Fault::<CleanBrokerData> {
                name: "no ids, master recorded",
                spoil: |command| command.ids = None,
                rejection: Rejection::CleanMasterRecorded { set: SET.into() },
            },
            Fault {
                name: "malformed",
                spoil: |command| command.ids = Some("2;x;3".into()),
                rejection: malformed("x"),
            },
            Fault {
                name: "alive",
                spoil: |command| command.evidence = alive(&[1, 3]),
                rejection: Rejection::CleanBrokerAlive { set: SET.into(), id: id(3) },
            },
        ]
    };
    check_order(&three_in_sync(), &good, &faults(), &[], Command::CleanBrokerData);
    // An unknown broker set comes last.
    let mut state = three_in_sync();
    accept(&mut state, &living(clean(SET, None, alive(&[]))));
    let unknown = Rejection::CleanSetUnknown { set: SET.into() };
    for state in [&Replicas::new(), &state] {
        refused(state, &clean(SET, Some("2"), alive(&[])), unknown.clone());
        refused(state, &clean(SET, None, alive(&[2])), unknown.clone());
        refused(state, &living(clean(SET, Some("2"), alive(&[2]))), unknown.clone());
        refused(state, &clean(SET, Some("x"), alive(&[])), malformed("x"));
        let still_alive = Rejection::CleanBrokerAlive { set: SET.into(), id: id(2) };
        refused(state, &clean(SET, Some("2"), alive(&[2])), still_alive);
    }
}

#[test]
fn lists_of_ids() {
    let state = three_in_sync();
    let dead = |list| clean(SET, Some(list), alive(&[]));
    for list in ["x", "1;x", "x;1"] {
        refused(&state, &dead(list), malformed("x"));
    }
    for (list, part) in [
        (";1", ""),
        ("1;;2", ""),
        (" 1", " 1"),
        ("1 ", "1 "),
        ("1; ", " "),
        (" ;", " "),
        ("1,2", "1,2"),
        ("1e3", "1e3"),
        ("-", "-"),
        ("9223372036854775808", "9223372036854775808"),
    ] {
        refused(&state, &dead(list), malformed(part));
        refused(&state, &living(dead(list)), malformed(part));
    }
    for list in ["2", "+2", "2;", "2;2", "2;99", "002", "-7;2;;;"] {
        check(&mut state.clone(), &dead(list), cleaned(&[2], None, false));
    }
    let recorded = Rejection::CleanMasterRecorded { set: SET.into() };
    for list in ["", " ", "\t\n", ";", ";;;"] {
        refused(&state, &dead(list), recorded.clone());
        check(&mut state.clone(), &living(dead(list)), cleaned(&[1, 2, 3], Some(1), true));
    }
    refused(&state, &clean(SET, None, alive(&[])), recorded);
    // Of two living brokers the first of upstream's walk is named.
    let alive_id = |number| Rejection::CleanBrokerAlive { set: SET.into(), id: id(number) };
    refused(&state, &clean(SET, Some("3;2"), alive(&[2, 3])), alive_id(2));
    refused(&state, &clean(SET, Some("1;16"), alive(&[1, 16])), alive_id(16));
}

// covers: whole_set_cleaned
#[test]
fn every_subset_of_an_elected_broker_set() {
    // U10; what stays, after each list of dead ids.
    for (list, removed, master, after) in [
        ("99", &[][..], None, "master 1, epochs 1/2, [1, 2, 3] of [1, 2, 3], next 4"),
        ("2", &[2], None, "master 1, epochs 1/3, [1, 3] of [1, 3], next 4"),
        ("2;3", &[2, 3], None, "master 1, epochs 1/3, [1] of [1], next 4"),
        ("1", &[1], Some(1), "master none, epochs 2/3, [2, 3] of [2, 3], next 4"),
        ("1;3", &[1, 3], Some(1), "master none, epochs 2/3, [2] of [2], next 4"),
        ("1;2;3", &[1, 2, 3], Some(1), "cleaned, epochs 2/3, next 4"),
    ] {
        let mut state = three_in_sync();
        let whole_set = removed.len() == 3;
        check(&mut state, &clean(SET, Some(list), alive(&[])), cleaned(removed, master, whole_set));
        assert_eq!(describe(&state), after, "{list}");
    }
}

#[test]
fn every_subset_of_a_broker_set_that_was_never_elected() {
    // S3: upstream forgets the epochs here, and with them all other replicas.
    for (list, removed, after) in [
        (Some("2"), &[2][..], "master none, epochs 0/0, [] of [1, 3], next 4, never elected"),
        (Some("3"), &[3], "master none, epochs 0/0, [] of [1, 2], next 4, never elected"),
        (Some("1;2;3"), &[1, 2, 3], "cleaned, epochs 1/1, next 4"),
        (None, &[1, 2, 3], "cleaned, epochs 1/1, next 4"),
    ] {
        let mut state = registered(3);
        let whole_set = removed.len() == 3;
        check(&mut state, &clean(SET, list, alive(&[])), cleaned(removed, None, whole_set));
        assert_eq!(describe(&state), after, "{list:?}");
    }
    // The others go on as if nothing had been.
    let mut state = registered(3);
    accept(&mut state, &clean(SET, Some("1"), alive(&[])));
    accept(&mut state, &apply_id(SET, 4));
    accept(&mut state, &elect_by(2, alive(&[2])));
    assert_eq!(describe(&state), "master 2, epochs 1/1, [2] of [2, 3, 4], next 5");
}

#[test]
fn a_replica_out_of_sync_leaves_the_epochs_alone() {
    let mut state = three_in_sync();
    accept(&mut state, &apply_id(SET, 4));
    check(&mut state, &clean(SET, Some("4"), alive(&[1])), cleaned(&[4], None, false));
    assert_eq!(describe(&state), "master 1, epochs 1/2, [1, 2, 3] of [1, 2, 3], next 5");
}

#[test]
fn living_brokers_go_only_if_they_are_named_or_nobody_is() {
    // S4, U27: upstream removes the whole broker set.
    let mut state = three_in_sync();
    let all = || alive(&[1, 2, 3]);
    check(&mut state, &living(clean(SET, Some("2"), all())), cleaned(&[2], None, false));
    assert_eq!(describe(&state), "master 1, epochs 1/3, [1, 3] of [1, 3], next 4");
    check(&mut state, &living(clean(SET, Some("1"), all())), cleaned(&[1], Some(1), false));
    assert_eq!(describe(&state), "master none, epochs 2/4, [3] of [3], next 4");
    check(&mut state, &living(clean(SET, None, all())), cleaned(&[3], None, true));
    assert_eq!(describe(&state), "cleaned, epochs 3/5, next 4");
}

#[test]
fn a_recorded_master_protects_the_whole_set_even_when_dead() {
    // S7, kept as upstream has it.
    let mut state = three_in_sync();
    let recorded = Rejection::CleanMasterRecorded { set: SET.into() };
    refused(&state, &clean(SET, None, alive(&[])), recorded);
    accept(&mut state, &elect_anyone(alive(&[])));
    check(&mut state, &clean(SET, None, alive(&[1, 2, 3])), cleaned(&[1, 2, 3], None, true));
    assert_eq!(describe(&state), "cleaned, epochs 3/3, next 4");
}

// covers: recreated_above_floor
#[test]
fn a_broker_set_comes_again_above_its_old_epochs() {
    let mut state = three_in_sync();
    accept(&mut state, &living(clean(SET, None, alive(&[]))));
    accept(&mut state, &apply_id(SET, 4));
    assert_eq!(describe(&state), "master none, epochs 2/3, [] of [4], next 5, never elected");
    accept(&mut state, &elect_by(4, alive(&[])));
    assert_eq!(describe(&state), "master 4, epochs 3/4, [4] of [4], next 5");
    accept(&mut state, &apply_id(SET, 5));
    accept(&mut state, &alter(4, (3, 4), &[4, 5], alive(&[4, 5])));
    accept(&mut state, &living(clean(SET, None, alive(&[]))));
    assert_eq!(describe(&state), "cleaned, epochs 4/6, next 6");
}

#[test]
fn an_epoch_at_its_end_refuses_only_what_would_raise_it() {
    const LAST: i32 = i32::MAX;
    let exhausted = || Rejection::EpochExhausted { set: SET.into() };
    let mut four = three_in_sync();
    accept(&mut four, &apply_id(SET, 4));
    let dead = |list| clean(SET, Some(list), alive(&[]));
    let mut state = with_epochs(&four, LAST, 2);
    refused(&state, &dead("1"), exhausted());
    refused(&state, &living(clean(SET, None, alive(&[]))), exhausted());
    check(&mut state, &dead("2"), cleaned(&[2], None, false));
    let mut state = with_epochs(&four, 1, LAST);
    refused(&state, &dead("2"), exhausted());
    refused(&state, &living(clean(SET, None, alive(&[]))), exhausted());
    check(&mut state, &dead("4"), cleaned(&[4], None, false));
}

//! 1001: order of checks, and what is stored.

use replicas::{AlterSyncStateSet, Command, MasterEpoch, Outcome, Rejection, SetEpoch};

use crate::fixture::{
    Fault, SET, accept, alive, alter, apply_id, check, check_order, clean, describe, elect_anyone,
    elect_by, id, ids, refused, registered, three_in_sync, with_epochs,
};

/// Broker 4 is registered and never alive, broker 9 does not exist.
fn good() -> AlterSyncStateSet {
    AlterSyncStateSet {
        set: SET.into(),
        master: Some(id(1)),
        master_epoch: Some(MasterEpoch(1)),
        new_set: Some(ids(&[1, 2])),
        set_epoch: SetEpoch(2),
        evidence: alive(&[1, 2, 3]),
    }
}

fn faults() -> Vec<Fault<AlterSyncStateSet>> {
    vec![
        Fault {
            name: "set unknown",
            spoil: |command| command.set = "other".into(),
            rejection: Rejection::AlterSetUnknown,
        },
        Fault {
            name: "no new set",
            spoil: |command| command.new_set = None,
            rejection: Rejection::MissingField { field: "syncStateSet" },
        },
        Fault {
            name: "unchanged",
            spoil: |command| command.new_set = Some(ids(&[3, 1, 2, 1])),
            rejection: Rejection::SetUnchanged,
        },
        Fault {
            name: "not master",
            spoil: |command| command.master = Some(id(2)),
            rejection: Rejection::NotMaster { current: Some(id(1)), given: Some(id(2)) },
        },
        Fault {
            name: "no master epoch",
            spoil: |command| command.master_epoch = None,
            rejection: Rejection::MissingField { field: "masterEpoch" },
        },
        Fault {
            name: "master epoch",
            spoil: |command| command.master_epoch = Some(MasterEpoch(9)),
            rejection: Rejection::FencedMasterEpoch {
                current: MasterEpoch(1),
                given: MasterEpoch(9),
            },
        },
        Fault {
            name: "set epoch",
            spoil: |command| command.set_epoch = SetEpoch(1),
            rejection: Rejection::FencedSetEpoch { current: SetEpoch(2), given: SetEpoch(1) },
        },
        Fault {
            name: "unknown member",
            spoil: |command| command.new_set.iter_mut().for_each(|set| set.push(id(0))),
            rejection: Rejection::ReplicaUnknown { id: id(0) },
        },
        Fault {
            name: "dead member",
            spoil: |command| command.new_set.iter_mut().for_each(|set| set.push(id(4))),
            rejection: Rejection::ReplicaNotAlive { id: id(4) },
        },
        Fault {
            name: "without master",
            spoil: |command| {
                let without = |set: &mut Vec<_>| set.retain(|member| *member != id(1));
                command.new_set.iter_mut().for_each(without);
            },
            rejection: Rejection::MasterNotInSet { master: id(1) },
        },
    ]
}

#[test]
fn each_fault_and_each_pair_of_faults_is_refused_in_upstreams_order() {
    let mut state = three_in_sync();
    accept(&mut state, &apply_id(SET, 4));
    check_order(&state, &good(), &faults(), &[], Command::AlterSyncStateSet);
}

#[test]
fn a_good_change_is_stored_with_the_next_epoch() {
    let mut state = three_in_sync();
    let expected =
        Outcome::SyncStateSetAltered { sync_state_set: ids(&[1, 2]), set_epoch: SetEpoch(3) };
    check(&mut state, &alter(1, (1, 2), &[2, 1, 2], alive(&[1, 2])), Ok(expected));
    assert_eq!(describe(&state), "master 1, epochs 1/3, [1, 2] of [1, 2, 3], next 4");
    // The repeat of an accepted change, with the epoch it was sent with: unchanged, not fenced.
    refused(&state, &alter(1, (1, 2), &[1, 2], alive(&[1, 2])), Rejection::SetUnchanged);
}

#[test]
fn liveness_is_asked_of_every_member_old_or_new() {
    let state = three_in_sync();
    let dead = |number| Rejection::ReplicaNotAlive { id: id(number) };
    refused(&state, &alter(1, (1, 2), &[1, 2], alive(&[2, 3])), dead(1));
    refused(&state, &alter(1, (1, 2), &[1, 2], alive(&[1, 3])), dead(2));
    refused(
        &state,
        &alter(1, (1, 2), &[], alive(&[])),
        Rejection::MasterNotInSet { master: id(1) },
    );
}

// covers: faulty_member_found_in_upstreams_order
#[test]
fn of_two_faulty_members_the_first_of_upstreams_walk_is_named() {
    let mut state = three_in_sync();
    (4..=18).for_each(|number| drop(accept(&mut state, &apply_id(SET, number))));
    let named = |set: &[i64], rejection| {
        refused(&state, &alter(1, (1, 2), set, alive(&[1, 2, 3])), rejection);
    };
    named(&[1, 4, 19], Rejection::ReplicaUnknown { id: id(19) });
    // 4 and 20 fall into one bucket, where the order is that of the request.
    named(&[1, 20, 4], Rejection::ReplicaUnknown { id: id(20) });
    named(&[1, 4, 20], Rejection::ReplicaNotAlive { id: id(4) });
    named(&[10, 5, 16, 1], Rejection::ReplicaNotAlive { id: id(16) });
    named(&[1, 18, 2, 34, 18], Rejection::ReplicaNotAlive { id: id(18) });
    named(&[1, 34, 2, 18], Rejection::ReplicaUnknown { id: id(34) });
}

#[test]
fn without_a_master_nobody_alters() {
    let not_master = |given| Rejection::NotMaster { current: None, given };
    // Never elected.
    let state = registered(2);
    refused(&state, &alter(1, (0, 0), &[1], alive(&[1])), not_master(Some(id(1))));
    // Elected, but the master was taken away (#7293).
    let mut state = three_in_sync();
    accept(&mut state, &elect_anyone(alive(&[])));
    refused(&state, &alter(1, (2, 2), &[1], alive(&[1])), not_master(Some(id(1))));
    let mut nobody = good();
    nobody.master = None;
    refused(&state, &Command::AlterSyncStateSet(nobody), not_master(None));
    // Cleaned.
    accept(&mut state, &clean(SET, None, alive(&[])));
    refused(&state, &alter(1, (3, 3), &[1], alive(&[1])), Rejection::AlterSetUnknown);
}

#[test]
fn an_epoch_at_its_end_is_refused_last() {
    let state = with_epochs(&three_in_sync(), 1, i32::MAX);
    let exhausted = Rejection::EpochExhausted { set: SET.into() };
    refused(&state, &alter(1, (1, i32::MAX), &[1, 2], alive(&[1, 2])), exhausted);
    let first = Rejection::MasterNotInSet { master: id(1) };
    refused(&state, &alter(1, (1, i32::MAX), &[2], alive(&[1, 2])), first);
}

#[test]
fn a_member_once_elected_keeps_its_rights_only_with_the_new_epoch() {
    let mut state = three_in_sync();
    accept(&mut state, &elect_by(2, alive(&[2, 3])));
    let not_master = Rejection::NotMaster { current: Some(id(2)), given: Some(id(1)) };
    refused(&state, &alter(1, (1, 2), &[1, 2], alive(&[1, 2])), not_master);
    accept(&mut state, &alter(2, (2, 3), &[1, 2], alive(&[1, 2])));
    assert_eq!(describe(&state), "master 2, epochs 2/4, [1, 2] of [1, 2, 3], next 4");
}

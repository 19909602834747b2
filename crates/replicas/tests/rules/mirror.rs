//! Upstream's `ReplicasInfoManagerTest`, cases 1 to 11 of the list in `spec/state-machine.md`.

use replicas::{Outcome, Rejection, Replicas, SetEpoch};

use crate::fixture::{
    SET, accept, alive, alter, check, clean, describe, designate, elect_anyone, elect_by, heard,
    id, ids, living, master, refused, register, registered, still_exists, three_in_sync,
};

const LAST: i32 = i32::MAX;

#[test]
fn case_1_register_ok() {
    let state = three_in_sync();
    assert_eq!(describe(&state), "master 1, epochs 1/2, [1, 2, 3] of [1, 2, 3], next 4");
    let info = state.replica_info(SET).unwrap();
    assert_eq!(info.master, Some((id(1), "127.0.0.1:9000")));
    assert_eq!(info.sync_state_set, ids(&[1, 2, 3]));
}

#[test]
fn case_2_register_sees_the_master() {
    let mut state = registered(3);
    let all = || alive(&[1, 2, 3]);
    accept(&mut state, &elect_by(1, all()));
    let told = Outcome::BrokerRegistered {
        master: Some(master(1, (1, 1), &[1])),
        sync_state_set: ids(&[1]),
        set_epoch: SetEpoch(1),
        address_changed: false,
    };
    check(&mut state, &register(3, all()), Ok(told));
    refused(&state, &elect_by(3, all()), still_exists(1, (1, 1), &[1]));
    assert_eq!(describe(&state), "master 1, epochs 1/1, [1] of [1, 2, 3], next 4");
}

#[test]
fn case_3_the_old_master_is_inactive() {
    let mut state = three_in_sync();
    accept(&mut state, &elect_by(3, alive(&[3])));
    assert_eq!(describe(&state), "master 3, epochs 2/3, [3] of [1, 2, 3], next 4");
}

#[test]
fn case_4_the_old_master_is_still_alive() {
    let state = three_in_sync();
    let rejection = still_exists(1, (1, 2), &[1, 2, 3]);
    refused(&state, &elect_anyone(alive(&[1, 2, 3])), rejection);
}

#[test]
fn cases_5_to_7_epoch_then_offset_then_priority() {
    for (brokers, winner) in [
        ([(2, 1, 2, LAST), (3, 0, 3, LAST)], 2),
        ([(2, 1, 2, LAST), (3, 1, 3, LAST)], 3),
        ([(2, 1, 3, 2), (3, 1, 3, 1)], 3),
    ] {
        let mut state = three_in_sync();
        accept(&mut state, &elect_anyone(heard(&brokers)));
        let after = format!("master {winner}, epochs 2/3, [{winner}] of [1, 2, 3], next 4");
        assert_eq!(describe(&state), after);
    }
}

#[test]
fn case_8_elect_and_designate() {
    let mut state = three_in_sync();
    let all = || alive(&[1, 2, 3]);
    accept(&mut state, &elect_anyone(alive(&[2, 3])));
    assert_eq!(describe(&state), "master 2, epochs 2/3, [2] of [1, 2, 3], next 4");
    accept(&mut state, &alter(2, (2, 3), &[1, 2, 3], all()));
    refused(&state, &designate(1, alive(&[2, 3])), Rejection::ElectionFailed);
    refused(&state, &designate(2, all()), still_exists(2, (2, 4), &[1, 2, 3]));
    accept(&mut state, &designate(1, alive(&[1, 3])));
    assert_eq!(describe(&state), "master 1, epochs 3/5, [1] of [1, 2, 3], next 4");
}

#[test]
fn case_9_all_replicas_in_sync_are_gone() {
    let mut state = three_in_sync();
    accept(&mut state, &alter(1, (1, 2), &[1], alive(&[1])));
    accept(&mut state, &elect_anyone(alive(&[2, 3])));
    assert_eq!(describe(&state), "master none, epochs 2/3, [1] of [1, 2, 3], next 4");
    assert_eq!(state.replica_info(SET).unwrap().master, None);
}

#[test]
fn case_10_clean() {
    let mut state = three_in_sync();
    let all = || alive(&[1, 2, 3]);
    let is_alive = Rejection::CleanBrokerAlive { set: SET.into(), id: id(1) };
    refused(&state, &clean(SET, Some("1"), all()), is_alive);
    refused(&state, &clean(SET, None, all()), Rejection::CleanMasterRecorded { set: SET.into() });
    accept(&mut state.clone(), &clean(SET, Some("1"), alive(&[])));
    accept(&mut state.clone(), &clean(SET, Some("1;2;3"), alive(&[])));
    let unknown = Rejection::CleanSetUnknown { set: "broker12".into() };
    refused(&state, &living(clean("broker12", None, all())), unknown);
    accept(&mut state, &living(clean(SET, Some("1;2;3"), all())));
}

#[test]
fn case_11_snapshot_round_trip() {
    let state = three_in_sync();
    let restored = Replicas::restore(&state.snapshot()).unwrap();
    assert_eq!(restored, state);
    assert!(restored.broker_sets().map(|(name, _)| name).eq([SET]));
}

//! The bytes of commands and snapshots, written out: a log or snapshot of today stays readable.

use expect_test::{Expect, expect};
use replicas::{Command, DecodeError, ElectMaster, MasterEpoch, Policy, Replicas, RestoreError};

use crate::fixture::{
    SET, accept, alter, apply_id, clean, designate, heard, id, living, register, three_in_sync,
};

fn hex(bytes: &[u8]) -> String {
    let lines = bytes.chunks(32).map(|line| {
        let bytes: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        bytes.concat()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn check(bytes: &[u8], expected: &Expect) {
    expected.assert_eq(&hex(bytes));
}

#[test]
fn commands() {
    let evidence = || heard(&[(1, 2, 3, 4), (2, -1, -1, i32::MAX)]);
    check(
        &apply_id("s", 3).encode(),
        &expect![[r#"
        010101000000730109000000636c75737465722d61010300000000000000011c
        0000003132372e302e302e313a393030323b31373030303030303030303030"#]],
    );
    check(
        &register(2, evidence()).encode(),
        &expect![[r#"
        01020c00000062726f6b65722d7365742d61010200000000000000010e000000
        3132372e302e302e313a39303031020000000100000000000000020000000300
        000000000000040000000200000000000000ffffffffffffffffffffffffffff
        ff7f"#]],
    );
    check(
        &designate(-1, evidence()).encode(),
        &expect![[r#"
        01030c00000062726f6b65722d7365742d6101ffffffffffffffff0100020000
        0001000000000000000200000003000000000000000400000002000000000000
        00ffffffffffffffffffffffffffffff7f"#]],
    );
    check(
        &alter(1, (5, 6), &[1, 2], evidence()).encode(),
        &expect![[r#"
        01040c00000062726f6b65722d7365742d610101000000000000000105000000
        0102000000010000000000000002000000000000000600000002000000010000
        0000000000020000000300000000000000040000000200000000000000ffffff
        ffffffffffffffffffffffff7f"#]],
    );
    check(
        &living(clean("s", Some("1;2"), evidence())).encode(),
        &expect![[r#"
        010501000000730103000000313b320102000000010000000000000002000000
        0300000000000000040000000200000000000000ffffffffffffffffffffffff
        ffffff7f"#]],
    );
}

#[test]
fn snapshot() {
    let mut state = three_in_sync();
    accept(&mut state, &clean(SET, Some("3"), heard(&[])));
    accept(&mut state, &apply_id("b", 1));
    accept(&mut state, &living(clean("b", None, heard(&[]))));
    accept(&mut state, &apply_id("a", 1));
    check(
        &state.snapshot(),
        &expect![[r#"
        52504c4301000000030000000100000061010000000000000000020000000000
        00000109000000636c75737465722d6100000000000001000000010000000000
        00000e0000003132372e302e302e313a393030301c0000003132372e302e302e
        313a393030303b31373030303030303030303030010000006202010000000100
        000002000000000000000c00000062726f6b65722d7365742d61010100000003
        00000004000000000000000109000000636c75737465722d6101010100000000
        0000000200000001000000000000000200000000000000020000000100000000
        0000000e0000003132372e302e302e313a393030301c0000003132372e302e30
        2e313a393030303b3137303030303030303030303002000000000000000e0000
        003132372e302e302e313a393030311c0000003132372e302e302e313a393030
        313b31373030303030303030303030"#]],
    );
    check(&Replicas::new().snapshot(), &expect!["52504c430100000000000000"]);
    let expected = expect!["e22d788531542c6a22bb10454991f551"];
    expected.assert_eq(&format!("{:032x}", state.state_hash()));
    assert_eq!(state.next_broker_id("b"), id(2));
}

#[test]
fn what_is_not_a_command_says_why() {
    let good = apply_id("s", 3).encode().to_vec();
    let with = |index: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[index] = byte;
        Command::decode(&bytes).map_err(|error| error.to_string())
    };
    let text = |text: &str| Err(text.to_owned());
    let cut = Command::decode(&good[..good.len() - 1]).map_err(|error| error.to_string());
    let longer = Command::decode(&[&good[..], &[0]].concat()).map_err(|error| error.to_string());
    assert_eq!(with(0, 9), text("command layout 9 is not known, this version knows 1 and 2"));
    assert_eq!(with(1, 0), text("command kind 0 is not known"));
    assert_eq!(with(6, 0xff), text("command: a text at 6 is not UTF-8"));
    assert_eq!(with(3, 1), text("command: a length at 2 is 257, over 255"));
    assert_eq!(with(7, 2), text("command: a flag at 7 is 2, neither 0 nor 1"));
    assert_eq!(cut, text("command: the bytes end at 35, inside a field"));
    assert_eq!(longer, text("command: bytes follow the end at 63"));
    // The second sighting with the id of the first.
    let mut bytes = register(2, heard(&[(1, 0, 0, 0), (2, 0, 0, 0)])).encode().to_vec();
    let second = bytes.len() - 24;
    bytes[second] = 1;
    assert_eq!(Command::decode(&bytes), Err(DecodeError::EvidenceOrder));
}

#[test]
fn what_is_not_a_snapshot_says_why() {
    let good = three_in_sync().snapshot();
    let record = 12 + 4 + SET.len();
    let with = |index: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[index] = byte;
        Replicas::restore(&bytes).map_err(|error| error.to_string())
    };
    let text = |text: &str| Err(text.to_owned());
    let broken = |text: &str| Err(format!("broker set {SET:?} breaks an invariant: {text}"));
    assert_eq!(with(0, b'x'), text("not a snapshot of broker sets: it does not begin with RPLC"));
    assert_eq!(with(4, 2), text("snapshot layout 2 is not known, this version knows 1"));
    assert_eq!(with(8, 0), text("snapshot: bytes follow the end at 12"));
    assert_eq!(with(record, 3), text("record kind 3 before byte 45 is not known"));
    assert_eq!(with(record + 4, 0x80), broken("1: an epoch is negative"));
    assert_eq!(with(record + 1, 0), broken("6: elected, but an epoch is 0"));
    assert_eq!(with(record + 9, 3), broken("2: an id is not below the next id"));
    let elected = record + 17 + 1 + 4 + "cluster-a".len();
    assert_eq!(with(elected, 0), broken("5: never elected, but somebody is in sync"));
    assert_eq!(with(elected + 2, 9), broken("4: the master is not in the sync-state set"));
    let set = elected + 1 + 9 + 4;
    assert_eq!(with(set, 2), broken("3: the sync-state set does not ascend"));
    assert_eq!(with(set + 16, 9), broken("3: a member of the sync-state set is not a replica"));
    let replicas = set + 24 + 4;
    assert_eq!(with(replicas, 0), broken("2: no replica, or an id below 1"));
    assert_eq!(with(replicas, 3), broken("2: ids of replicas do not ascend"));
}

#[test]
fn names_out_of_order_and_poor_tombstones_are_no_snapshot() {
    let mut state = Replicas::new();
    for name in ["a", "b"] {
        accept(&mut state, &apply_id(name, 1));
        accept(&mut state, &living(clean(name, None, heard(&[]))));
    }
    let good = state.snapshot();
    let first_name = 12 + 4;
    for name in [b'b', b'c'] {
        let mut bytes = good.clone();
        bytes[first_name] = name;
        let error = Replicas::restore(&bytes).unwrap_err();
        assert_eq!(error, RestoreError::Order { offset: good.len() });
    }
    for (offset, invariant) in [
        (2, "the master epoch of a tombstone is 1 or more"),
        (6, "the set epoch of a tombstone is 1 or more"),
        (10, "the next id of a tombstone is 2 or more"),
    ] {
        let mut bytes = good.clone();
        bytes[first_name + offset] = 0;
        let error = Replicas::restore(&bytes).unwrap_err();
        assert_eq!(error, RestoreError::Invariant { set: "a".into(), invariant });
    }
}

/// Layout 2, and that an election of before it is still what it was.
#[test]
fn an_election_with_what_layout_2_adds() {
    let old = designate(3, heard(&[(1, 2, 3, 4)]));
    let bytes = old.encode();
    assert_eq!(bytes[0], 1, "nothing to add, nothing added");
    let Command::ElectMaster(election) = Command::decode(&bytes).unwrap() else { panic!() };
    assert_eq!((election.seen, &election.policy), (None, &Policy::default()));
    let policy = Policy::new(vec![id(3), id(2), id(3)], vec![id(9)]);
    let new = Command::ElectMaster(ElectMaster { seen: Some(MasterEpoch(7)), policy, ..election });
    check(
        &new.encode(),
        &expect![[r#"
        02030c00000062726f6b65722d7365742d610103000000000000000100010000
        0001000000000000000200000003000000000000000400000001070000000200
        000002000000000000000300000000000000010000000900000000000000"#]],
    );
    assert_eq!(Command::decode(&new.encode()), Ok(new.clone()));
    // Every cut is refused, and so is what is not the one encoding.
    let bytes = new.encode();
    for length in 0..bytes.len() {
        assert!(Command::decode(&bytes[..length]).is_err(), "{length} bytes");
    }
    let mut empty = bytes[..bytes.len() - 37].to_vec();
    empty.extend([0; 9]);
    assert_eq!(Command::decode(&empty), Err(DecodeError::NotCanonical));
    let mut twice = bytes.to_vec();
    let second = twice.len() - 20;
    twice[second] = 2;
    assert_eq!(Command::decode(&twice), Err(DecodeError::PolicyOrder));
    let mut other_kind = apply_id("s", 3).encode().to_vec();
    other_kind[0] = 2;
    assert_eq!(Command::decode(&other_kind), Err(DecodeError::Kind { kind: 1 }));
}

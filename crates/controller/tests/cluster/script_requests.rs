//! Requests end to end: on leader and followers, one-way, forwarded, malformed, too many.

use crate::broker::Broker;
use crate::request::{
    alter, apply_id, clean, designate, elect, info, next_id, raw, register, set_in,
    sync_state_data, text, version,
};
use crate::world::{MS, World};
use controller::{Inspect, Note};
use protocol::{ReplicasInfo, Request, Text, code};

/// Every step of a broker set's life, asked of the leader and then of a follower.
#[test]
fn a_set_lives_on_leader_and_followers_alike() {
    for seed in 0..6 {
        let mut world = World::founded(3, seed);
        let node = if seed % 2 == 0 { world.leader().unwrap() } else { world.follower() };
        for id in 1..=3 {
            let broker = Broker::new("a", id);
            let address = broker.address.clone();
            let next = world.expect(node, next_id("a"), 0);
            assert_eq!(next.ext.long("nextBrokerId"), Some(id));
            world.expect(node, apply_id("a", id, &address), 0);
            let registered = world.expect(node, register("a", id, &address), 0);
            assert_eq!(registered.ext.get("masterBrokerId"), None);
            world.add_broker(broker);
        }
        world.run(20);
        let elected = world.expect(node, elect("a", 2), 0);
        assert_eq!(version(&elect("a", 2), &elected), Some((1, 1)));
        assert_eq!(elected.ext.long("masterBrokerId"), Some(2));
        let kept = world.expect(node, elect("a", 1), 2011);
        assert_eq!(kept.ext.long("masterBrokerId"), Some(2));
        let altered = world.expect(node, alter("a", (2, 1, 1), &[1, 2, 3]), 0);
        assert_eq!(set_in(&altered), [1, 2, 3]);
        world.expect(node, alter("a", (2, 1, 1), &[1, 2, 3]), 2013);
        world.expect(node, alter("a", (2, 1, 1), &[1, 2]), 2001);
        world.expect(node, alter("a", (2, 9, 2), &[1, 2]), 2000);
        world.expect(node, alter("a", (1, 1, 2), &[1, 2]), 2002);
        let registered = world.expect(node, register("a", 3, "elsewhere:1"), 0);
        assert_eq!(registered.ext.long("masterBrokerId"), Some(2));
        assert_eq!(set_in(&registered), [1, 2, 3]);
        let designated = world.expect(node, designate("a", 3), 0);
        assert_eq!(designated.ext.get("masterAddress"), Some("elsewhere:1"));
        let shown = world.expect(node, info("a"), 0);
        assert_eq!(version(&info("a"), &shown), Some((2, 3)));
        let data = world.expect(node, sync_state_data(&["a", "none", "a"]), 0);
        let data = ReplicasInfo::decode(&data.body).unwrap();
        assert_eq!(data.table.len(), 1);
        let (name, set) = &data.table[0];
        assert_eq!((&**name, set.master_broker_id), ("a", Some(3)));
        assert_eq!(set.in_sync_replicas.len(), 1);
        assert!(set.not_in_sync_replicas.iter().all(|replica| replica.alive));
        world.expect(node, clean("a", Some("1"), true), 0);
        world.expect(node, info("a"), 0);
        world.checks.nothing_lost();
    }
}

#[test]
fn every_node_names_the_leader() {
    let mut world = World::founded(3, 3);
    let leader = world.leader().unwrap();
    world.run(50);
    for node in world.ids() {
        let answer = world.expect(node, Request::GetMetadataInfo, 0);
        let ext = |key| answer.ext.get(key).map(str::to_owned);
        assert_eq!(ext("controllerLeaderId"), Some(format!("n{leader}")));
        assert_eq!(ext("controllerLeaderAddress"), Some(format!("10.0.0.{leader}:9878")));
        assert_eq!(ext("isLeader"), Some((node == leader).to_string()));
        assert_eq!(ext("group").as_deref(), Some("group"));
        let peers = "n1:10.0.0.1:9878;n2:10.0.0.2:9878;n3:10.0.0.3:9878;";
        assert_eq!(ext("peers").as_deref(), Some(peers));
    }
}

/// D7, K3: links that deliver everything twice, and a write that would show it.
#[test]
fn forward_once() {
    let mut world = World::founded(3, 21);
    world.add_synced_set("a", 2);
    world.run(100);
    world.conditions.twice = 1_000;
    let follower = world.follower();
    let before = world.checks.commands;
    for round in 0..20 {
        let wanted: &[i64] = if round % 2 == 0 { &[1] } else { &[1, 2] };
        world.expect(follower, alter("a", (1, 1, 2 + round), wanted), 0);
    }
    world.run(500);
    assert_eq!(world.checks.commands - before, 20, "each forwarded write is one command");
    let leader = world.leader().unwrap();
    assert_eq!(world.overview(leader).unwrap().counts.taken, 20);
}

/// A peer that starts again counts its forwards from 1 again: they are taken, and answers to what it asked before
/// are not mistaken for answers to them (P64).
#[test]
fn forwards_of_a_peer_that_started_again() {
    for seed in 22..26 {
        let mut world = World::founded(3, seed);
        let (leader, follower) = (world.leader().unwrap(), world.follower());
        world.conditions.sync = (400_000, 0);
        let before = world.overview(leader).unwrap().counts.taken;
        world.send_request(follower, apply_id("b", 1, "x"));
        world.run(5);
        assert_eq!(world.overview(leader).unwrap().counts.taken, before + 1);
        world.crash(follower);
        world.start(follower);
        world.run_until(300, |world| world.overview(follower).unwrap().leader.is_some());
        // The first forward of the new process, while the old one's is not decided.
        world.run(60);
        let ticket = world.send_request(follower, elect("none", 1));
        world.conditions.sync = (300, 700);
        assert_eq!(world.await_answer(ticket).code, 2010, "seed {seed}");
        assert_eq!(world.leader(), Some(leader));
    }
}

/// A read that begins after a write has ended shows it, on every node (K1, K2, R9).
#[test]
fn followers_answer_reads_at_least_as_new() {
    for seed in 30..36 {
        let mut world = World::founded(3, seed);
        world.add_synced_set("a", 2);
        for round in 0..20_i32 {
            let writer = world.random.below(3) + 1;
            let wanted: &[i64] = if round % 2 == 0 { &[1] } else { &[1, 2] };
            world.expect(writer, alter("a", (1, 1, 2 + round), wanted), 0);
            for reader in world.ids() {
                let shown = world.expect(reader, info("a"), 0);
                assert_eq!(version(&info("a"), &shown), Some((1, 3 + round)));
            }
        }
        let reads = |node| world.overview(node).unwrap().counts.reads;
        assert!(world.ids().into_iter().all(|node| reads(node) >= 20), "nobody forwards reads");
    }
}

#[test]
fn a_follower_that_is_cut_off_answers_no_read() {
    let mut world = World::founded(3, 40);
    world.add_set("a", 1);
    let follower = world.follower();
    world.isolate(follower);
    let began = world.now;
    world.expect(follower, info("a"), 2007);
    assert!(world.now - began <= 1_100_000, "{}", world.now - began);
    world.run(2_000);
    world.expect(follower, info("a"), 2007);
    let metadata = world.expect(follower, Request::GetMetadataInfo, 0);
    assert_eq!(metadata.ext.get("controllerLeaderAddress"), Some(""));
    world.heal();
    world.run(2_000);
    world.expect(follower, info("a"), 0);
}

#[test]
fn one_way_requests_take_effect() {
    let mut world = World::founded(3, 41);
    for node in world.ids() {
        let set = format!("s{node}");
        world.send_one_way(node, &apply_id(&set, 1, "x:1"));
        world.run(20);
        let next = world.expect(node, next_id(&set), 0);
        assert_eq!(next.ext.long("nextBrokerId"), Some(2));
    }
}

/// One request that is wrong: what it is, its fields, its body, the code of the answer.
type Row = (i32, Fields, &'static str, i32);

type Fields = &'static [(&'static str, &'static str)];

const ALTER: i32 = code::CONTROLLER_ALTER_SYNC_STATE_SET;
const REGISTER: i32 = code::CONTROLLER_REGISTER_BROKER;
const INFO: i32 = code::CONTROLLER_GET_REPLICA_INFO;
const DATA: i32 = code::CONTROLLER_GET_SYNC_STATE_DATA;
const CLEAN: i32 = code::CLEAN_BROKER_DATA;
const NEXT: i32 = code::CONTROLLER_GET_NEXT_BROKER_ID;
const APPLY: i32 = code::CONTROLLER_APPLY_BROKER_ID;

/// What never becomes an entry, by the rows of RELIABILITY, section 7. Set `a` has the brokers 1 and 2, and 1 is
/// its master with epochs 1 and 2.
const MALFORMED: &[Row] = &[
    // B22, B23: what upstream needs is absent or no number.
    (ALTER, &[], "{\"syncStateSet\":[1]}", 1),
    (ALTER, &[("brokerName", "a"), ("masterBrokerId", "1")], "{\"syncStateSet\":[1]}", 1),
    (
        ALTER,
        &[("brokerName", "a"), ("masterBrokerId", "1"), ("masterEpoch", "1e3")],
        "{\"syncStateSet\":[1],\"syncStateSetEpoch\":2}",
        1,
    ),
    // The master is looked at before its epoch is missed, and an equal set before the master.
    (ALTER, &[("brokerName", "a"), ("masterBrokerId", "2")], "{\"syncStateSet\":[1]}", 2002),
    (ALTER, &[("brokerName", "a"), ("masterBrokerId", "abc")], "{\"syncStateSet\":[1]}", 2002),
    (ALTER, &[("brokerName", "a")], "{\"syncStateSet\":[1,2]}", 2013),
    (ALTER, &[("brokerName", "none")], "{\"syncStateSet\":[1]}", 2013),
    (REGISTER, &[("brokerId", "1"), ("brokerAddress", "x")], "", 1),
    (REGISTER, &[("brokerName", "a"), ("brokerAddress", "x")], "", 1),
    (REGISTER, &[("brokerName", "none"), ("brokerAddress", "x")], "", 2010),
    (REGISTER, &[("brokerName", "a"), ("brokerId", "1")], "", 1),
    (REGISTER, &[("brokerName", "a"), ("brokerId", "1"), ("brokerAddress", "")], "", 1),
    (REGISTER, &[("brokerName", "a"), ("brokerId", "7")], "", 2010),
    (INFO, &[], "", 1),
    (NEXT, &[], "", 1),
    (CLEAN, &[], "", 1),
    (APPLY, &[("appliedBrokerId", "1"), ("registerCheckCode", "x;1")], "", 1),
    (APPLY, &[("brokerName", "a"), ("registerCheckCode", "x;1")], "", 1),
    (APPLY, &[("brokerName", "a"), ("appliedBrokerId", "3")], "", 1),
    (APPLY, &[("brokerName", "a"), ("appliedBrokerId", ""), ("registerCheckCode", "x;1")], "", 1),
    // B25: no body, or none that says anything.
    (ALTER, &[("brokerName", "a"), ("masterBrokerId", "1"), ("masterEpoch", "1")], "", 1),
    (ALTER, &[("brokerName", "a"), ("masterBrokerId", "1"), ("masterEpoch", "1")], "{}", 1),
    (ALTER, &[("brokerName", "a"), ("masterBrokerId", "1"), ("masterEpoch", "1")], "null", 1),
    (ALTER, &[("brokerName", "a"), ("masterBrokerId", "1"), ("masterEpoch", "1")], "so?", 1),
    (
        ALTER,
        &[("brokerName", "a"), ("masterBrokerId", "1"), ("masterEpoch", "1")],
        "{\"syncStateSet\":[1,null]}",
        1,
    ),
    // B31: control characters.
    (
        APPLY,
        &[("brokerName", "a\nb"), ("appliedBrokerId", "1"), ("registerCheckCode", "x;1")],
        "",
        1,
    ),
    // B37.
    (INFO, &[("brokerName", "none")], "", 2008),
    (DATA, &[], "", 1),
    (DATA, &[], "null", 1),
    (DATA, &[], "[]", 1),
    (DATA, &[], "{", 1),
];

#[test]
fn what_is_malformed_never_becomes_an_entry() {
    let mut world = World::founded(3, 50);
    world.add_synced_set("a", 2);
    world.run(200);
    let (leader, follower) = (world.leader().unwrap(), world.follower());
    let (commands, hash) = (world.checks.commands, world.checks.state().state_hash());
    for node in [leader, follower] {
        for (code, fields, body, expected) in MALFORMED {
            let ticket = world.send_frame(node, raw(*code, fields, body));
            let answer = world.await_answer(ticket);
            assert_eq!(answer.code, *expected, "{code} {fields:?} {body}: {answer:?}");
            if answer.code == 1 {
                assert!(answer.remark.is_some(), "{code} {fields:?} {body}: a 1 says why");
            }
        }
        let long = "x".repeat(300);
        let huge = "x".repeat(2_000);
        for request in [
            apply_id(&long, 1, "x"),
            apply_id("b", 1, &huge),
            register("a", 1, &huge),
            elect(&long, 1),
            clean("a", Some(&"1;".repeat(9_000)), true),
        ] {
            let answer = world.expect(node, request, 1);
            assert!(answer.remark.unwrap().contains("_MAX"), "B31, B32, B34: the limit is named");
        }
    }
    world.run(500);
    assert_eq!(world.checks.commands, commands, "nothing was proposed");
    assert_eq!(world.checks.state().state_hash(), hash);
}

/// Well formed, refused by a rule: these do become entries, and change nothing.
#[test]
fn what_is_refused_changes_nothing() {
    let mut world = World::founded(3, 51);
    let brokers = world.add_synced_set("a", 3);
    world.kill_broker(brokers[2]);
    world.run(500);
    let leader = world.leader().unwrap();
    let hash = world.checks.state().state_hash();
    let rows: Vec<(Request, i32)> = vec![
        // B26
        (alter("a", (1, 1, 2), &[1, 2, 3]), 2013),
        (alter("a", (1, 1, 2), &[2]), 2013),
        (alter("a", (1, 1, 2), &[1, 9]), 2003),
        (alter("a", (1, 1, 2), &[1, 3]), 2006),
        (alter("a", (1, 1, 2), &[]), 2013),
        (alter("none", (1, 1, 2), &[1]), 2013),
        // B27, B28
        (alter("a", (1, -1, 2), &[1]), 2000),
        (alter("a", (1, 2, 2), &[1]), 2000),
        (alter("a", (1, 1, -1), &[1]), 2001),
        (alter("a", (2, 1, 2), &[1]), 2002),
        // B29, B30
        (elect("none", 1), 2010),
        (elect("a", -1), 2011),
        (elect("a", 0), 2011),
        (designate("a", -1), 2004),
        (designate("a", 9), 2012),
        (designate("a", 3), 2012),
        (designate("a", 1), 2011),
        // B32, B33
        (apply_id("b", 2, "x"), 2014),
        (apply_id("a", 1, "x"), 2014),
        (apply_id("a", 0, "x"), 2014),
        (apply_id("a", -1, "x"), 2014),
        (apply_id("a", 1, "a.1:30911"), 0),
        // B34
        (register("a", 9, "x"), 2010),
        (register("none", 1, "x"), 2010),
        // B39
        (clean("a", Some("1;x"), false), 2009),
        (clean("a", Some("1"), false), 2009),
        (clean("a", None, false), 2009),
        (clean("none", None, true), 2009),
    ];
    for (request, expected) in rows {
        world.expect(leader, request, expected);
    }
    assert_eq!(world.checks.state().state_hash(), hash);
}

/// B35: heartbeats in every odd form.
#[test]
fn odd_heartbeats() {
    let mut world = World::founded(3, 52);
    world.add_set("a", 1);
    let leader = world.leader().unwrap();
    let beat = code::BROKER_HEARTBEAT;
    let rows: [(Fields, i32); 6] = [
        (&[("brokerName", "a"), ("clusterName", "cluster-a")], 2005),
        (&[("brokerName", "a"), ("brokerId", "x")], 2005),
        (&[("brokerName", "a"), ("brokerId", "5"), ("epoch", "-1"), ("maxOffset", "-7")], 0),
        (&[("brokerName", "a"), ("brokerId", "6"), ("heartbeatTimeoutMills", "0")], 0),
        (&[("brokerName", "a"), ("brokerId", "7"), ("heartbeatTimeoutMills", "-3")], 0),
        (
            &[
                ("brokerName", "a"),
                ("brokerId", "8"),
                ("heartbeatTimeoutMills", "9223372036854775807"),
            ],
            0,
        ),
    ];
    for (fields, expected) in rows {
        let ticket = world.send_frame(leader, raw(beat, fields, ""));
        assert_eq!(world.await_answer(ticket).code, expected, "{fields:?}");
    }
    world.run(20);
    // 6 and 7 were dead at once; 1, 5 and 8 live.
    assert_eq!(world.overview(leader).unwrap().brokers, 3);
    let name = "x".repeat(70_000);
    for fields in [
        [("brokerName", &*name), ("clusterName", "c"), ("brokerAddr", "x")],
        [("brokerName", "a"), ("clusterName", &*name), ("brokerAddr", "x")],
        [("brokerName", "a"), ("clusterName", "c"), ("brokerAddr", &*name)],
    ] {
        let mut fields = fields.to_vec();
        fields.push(("brokerId", "1"));
        let ticket = world.send_frame(leader, raw(beat, &fields, ""));
        assert_eq!(world.await_answer(ticket).code, 1, "a name over its limit is not kept");
    }
    assert_eq!(world.overview(leader).unwrap().brokers, 3);
}

/// B37: 10,000 names are answered, and not in a time that grows with their square.
#[test]
fn sync_state_data_of_ten_thousand_names() {
    let mut world = World::founded(1, 53);
    world.add_set("a", 1);
    let names: Vec<String> = (0..9_999).map(|number| format!("set-{number}")).collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.push("a");
    let answer = world.expect(1, sync_state_data(&names), 0);
    assert_eq!(ReplicasInfo::decode(&answer.body).unwrap().table.len(), 1);
    names.push("b");
    world.expect(1, sync_state_data(&names), 1);
}

/// An answer that no frame could carry is an answer that says so: the client would cut the connection.
#[test]
fn sync_state_data_that_is_too_long() {
    let mut world = World::founded(1, 56);
    world.checks.is_shallow = true;
    let name = |set: i64| format!("{}{set}", "n".repeat(245));
    for set in 0..150 {
        for id in 1..=75 {
            world.tell_request(1, &apply_id(&name(set), id, &"y".repeat(1_000)));
        }
        world.run(5);
    }
    world.run(1_000);
    let names: Vec<String> = (0..150).map(name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    world.expect(1, sync_state_data(&names[..100]), 0);
    let answer = world.expect(1, sync_state_data(&names), 1);
    assert!(answer.remark.unwrap().contains("BODY_BYTES_MAX"));
}

/// An answer that no link carries: a follower says so, instead of nothing until its deadline.
#[test]
fn a_forwarded_answer_that_is_too_long_is_an_error_that_says_so() {
    let mut world = World::founded(3, 57);
    world.checks.is_shallow = true;
    let (leader, follower) = (world.leader().unwrap(), world.follower());
    let name = |set: i64| format!("{}{set}", "n".repeat(245));
    for set in 0..60 {
        for id in 1..=75 {
            world.tell_request(leader, &apply_id(&name(set), id, &"y".repeat(1_000)));
        }
        world.run(5);
    }
    world.run(1_000);
    let names: Vec<String> = (0..60).map(name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    world.expect(leader, sync_state_data(&names), 0);
    world.expect(follower, sync_state_data(&names[..30]), 0);
    let began = world.now;
    let answer = world.expect(follower, sync_state_data(&names), 1);
    assert!(answer.remark.unwrap().contains("ANSWER_BYTES_MAX"));
    assert!(world.now - began < 100 * MS, "{} us", world.now - began);
}

/// 1012 repeats its names; who could never register is not told an id.
#[test]
fn next_ids_of_names_that_are_too_long() {
    let mut world = World::founded(3, 58);
    let whole = "n".repeat(255);
    let long = "n".repeat(256);
    for node in world.ids() {
        world.expect(node, next_id(&whole), 0);
        let answer = world.expect(node, next_id(&long), 1);
        assert!(answer.remark.unwrap().contains("NAME_BYTES_MAX"));
        assert!(answer.ext.is_empty(), "nothing is repeated");
        let cluster_name = Some(text(&long));
        let request = protocol::GetNextBrokerId { cluster_name, broker_name: Some(text("a")) };
        let answer = world.expect(node, Request::GetNextBrokerId(request), 1);
        assert!(answer.remark.unwrap().contains("CLUSTER_BYTES_MAX"));
    }
}

/// A table that is full refuses, says so, and is empty again afterwards (L3, L5).
#[test]
fn forwards_have_a_limit() {
    const LIMIT: u64 = 65_536;
    let mut world = World::founded(3, 54);
    let (leader, follower) = (world.leader().unwrap(), world.follower());
    world.freeze(leader, 100);
    for _ in 0..=LIMIT {
        world.tell_request(follower, &apply_id("a", 1, "x"));
    }
    world.run(1);
    let refused = Note::Refused("FORWARDS_WAITING_MAX");
    let notes = &world.nodes[&follower].notes;
    assert_eq!(notes.iter().filter(|(_, note)| *note == refused).count(), 1);
    assert_eq!(world.overview(follower).unwrap().forwards_waiting, 65_536);
    world.run(3_000);
    assert_eq!(world.overview(follower).unwrap().forwards_waiting, 0);
}

#[test]
fn status_and_describe_are_json() {
    let mut world = World::founded(3, 55);
    world.add_synced_set("a", 2);
    world.run(1_000);
    for node in world.ids() {
        let status = world.inspect(node, Inspect::Status);
        let role = if Some(node) == world.leader() { "leader" } else { "follower" };
        assert!(status.contains(&format!("\"role\":\"{role}\"")), "{status}");
        assert!(status.contains("\"ready\":true"), "{status}");
        assert!(status.contains("\"sets\":1,\"masters\":1,\"brokersAlive\":2"), "{status}");
        let described = world.inspect(node, Inspect::Describe { set: Text::from("a") });
        assert!(described.contains("\"why\":\"the master is alive\""), "{described}");
        assert!(described.contains("\"masterEpoch\":1,\"syncStateSetEpoch\":2"), "{described}");
    }
}

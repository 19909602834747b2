//! Orders of an operator, and the lists of brokers that are wanted as masters or not.

use crate::request::{clean, designate, elect, info, set_in, version};
use crate::world::World;
use controller::{ElectionOrder, ElectionReason, Event, LiveSettings, MasterLists, Note};
use protocol::{Frame, Response, private};

fn json(answer: &Response) -> String {
    assert_eq!(answer.code, 0, "{answer:?}");
    String::from_utf8(answer.body.to_vec()).unwrap()
}

#[track_caller]
fn says(answer: &Response, parts: &[&str]) {
    let json = json(answer);
    for part in parts {
        assert!(json.contains(part), "no {part} in {json}");
    }
}

fn master(world: &mut World, set: &str) -> (Option<i64>, Option<(i32, i32)>) {
    let leader = world.leader().unwrap();
    let answer = world.ask(leader, info(set));
    (answer.ext.long("masterBrokerId"), version(&info(set), &answer))
}

/// Tells one peer which brokers are wanted; the others keep their own lists.
fn lists(world: &mut World, node: u64, preferred: &str, never: &str) {
    let masters = MasterLists::parse(preferred, never).unwrap();
    let live = LiveSettings { masters, ..LiveSettings::default() };
    world.tell(node, Event::Configured(live));
    world.run(5);
}

#[test]
fn an_order_says_why_on_every_node() {
    let mut world = World::founded(3, 3_000);
    world.add_synced_set("a", 3);
    world.run(1_000);
    let (leader, follower) = (world.leader().unwrap(), world.follower());
    for node in [leader, follower] {
        let name = ("brokerName", "a");
        let stays = world.order_election(node, &[name]);
        says(&stays, &["\"result\":\"stays\"", "\"master\":1", "the master is alive and stays"]);
        // Tried out: nothing changes.
        let tried = world.order_election(node, &[name, ("brokerId", "2"), ("dryRun", "true")]);
        says(
            &tried,
            &["\"result\":\"elected\",\"master\":2,\"masterEpoch\":2", "another one was named"],
        );
        assert_eq!(master(&mut world, "a"), (Some(1), Some((1, 2))));
        let unknown = world.order_election(node, &[name, ("brokerId", "9")]);
        says(&unknown, &["\"result\":\"nobody\"", "\"notRegistered\":9"]);
        assert_eq!(world.order_election(node, &[("brokerName", "none")]).code, 2008);
        let tried = [("brokerName", "none"), ("dryRun", "true")];
        assert_eq!(world.order_election(node, &tried).code, 2008);
    }
    let done = world.order_election(follower, &[("brokerName", "a"), ("brokerId", "2")]);
    says(&done, &["\"result\":\"elected\",\"master\":2,\"masterEpoch\":2"]);
    assert_eq!(master(&mut world, "a"), (Some(2), Some((2, 3))));
    // In the log of the leader, as an operator's; and the brokers are told.
    let is_ordered = |note: &Note| {
        matches!(note, Note::Election { reason: ElectionReason::Operator, master: Some(2), .. })
    };
    assert!(world.nodes[&leader].notes.iter().any(|(_, note)| is_ordered(note)));
    world.run(100);
    assert_eq!(world.brokers[2].newest_notice().unwrap().master_broker_id, 2);
}

/// DESIGN, "Cleaning and coming again": nobody is in sync, and an order gives the set a master.
#[test]
fn an_unclean_order_revives_a_set_with_nobody_in_sync() {
    let mut world = World::founded(3, 3_001);
    world.add_set("a", 3);
    let leader = world.leader().unwrap();
    world.expect(leader, clean("a", Some("1"), true), 0);
    world.run(10_000);
    assert_eq!(master(&mut world, "a"), (None, Some((2, 2))));
    let to = [("brokerName", "a"), ("brokerId", "3")];
    says(
        &world.order_election(leader, &to),
        &["\"result\":\"nobody\"", "not in the sync-state set"],
    );
    world.expect(leader, designate("a", 3), 2012);
    let unclean = [to[0], to[1], ("unclean", "true")];
    says(
        &world.order_election(leader, &unclean),
        &["\"result\":\"elected\"", "messages may be lost"],
    );
    assert_eq!(master(&mut world, "a"), (Some(3), Some((3, 3))));
}

/// A dead broker is not made master by any order.
#[test]
fn an_order_elects_no_dead_broker() {
    let mut world = World::founded(3, 3_002);
    let brokers = world.add_synced_set("a", 3);
    world.run(1_000);
    world.kill_broker(brokers[1]);
    world.run(100);
    let leader = world.leader().unwrap();
    let order = [("brokerName", "a"), ("brokerId", "2"), ("unclean", "true")];
    says(
        &world.order_election(leader, &order),
        &["\"result\":\"nobody\"", "no controller heard it"],
    );
    assert_eq!(master(&mut world, "a").0, Some(1));
}

#[test]
fn what_is_no_order_is_not_read() {
    let decode = |code, fields: &[(&'static str, &str)]| {
        ElectionOrder::decode(&Frame::decode(crate::request::raw(code, fields, "")).unwrap())
    };
    let elect = private::ELECT;
    assert!(decode(elect, &[("brokerName", "a")]).is_some());
    assert!(decode(private::STATUS, &[("brokerName", "a")]).is_none());
    assert!(decode(elect, &[]).is_none());
    assert!(decode(elect, &[("brokerName", &"x".repeat(256))]).is_none());
    for id in ["", "x", "0", "-1", "9223372036854775808"] {
        assert!(decode(elect, &[("brokerName", "a"), ("brokerId", id)]).is_none(), "{id}");
    }
}

/// The lists are the leader's, and travel in the command: peers that have others decide alike (U18).
#[test]
fn the_leaders_lists_decide_on_every_peer() {
    for (seed, preferred, never, expected) in [
        (3_010, "", "", 2),
        (3_011, "a:3", "", 3),
        (3_012, "a.3:30911", "", 3),
        (3_013, "a.3:*", "", 3),
        (3_014, "", "a:2", 3),
        (3_015, "a:2", "a.2:*", 3),
        (3_016, "b:3;a.9:*", "b:2", 2),
    ] {
        let mut world = World::founded(3, seed);
        let brokers = world.add_synced_set("a", 3);
        world.brokers[brokers[1]].max_offset = 9;
        world.run(2_000);
        let (leader, follower) = (world.leader().unwrap(), world.follower());
        lists(&mut world, leader, preferred, never);
        // What another peer has says nothing.
        lists(&mut world, follower, "a:1", "a:2;a:3");
        world.kill_broker(brokers[0]);
        world.run(200);
        assert_eq!(master(&mut world, "a").0, Some(expected), "{preferred} {never}");
        let hashes: Vec<u128> = world
            .ids()
            .into_iter()
            .map(|node| world.nodes[&node].controller.as_ref().unwrap().state_hash())
            .collect();
        assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "peers differ");
    }
}

/// The only one left is never to be master: nobody is, and an operator's word makes it one.
#[test]
fn a_set_waits_rather_than_take_a_broker_that_is_never_to_be_master() {
    let mut world = World::founded(3, 3_020);
    let brokers = world.add_synced_set("a", 2);
    world.run(2_000);
    let leader = world.leader().unwrap();
    lists(&mut world, leader, "", "a:2");
    world.kill_broker(brokers[0]);
    world.run(30_000);
    assert_eq!(master(&mut world, "a"), (None, Some((2, 2))));
    let commands = world.checks.commands;
    world.run(30_000);
    assert_eq!(world.checks.commands, commands, "nothing is tried while nothing has changed");
    let tried = world.order_election(leader, &[("brokerName", "a"), ("dryRun", "true")]);
    says(&tried, &["\"result\":\"nobody\"", "pitchover.neverMaster"]);
    world.expect(leader, elect("a", 2), 2012);
    let done = world.order_election(leader, &[("brokerName", "a"), ("brokerId", "2")]);
    says(&done, &["\"result\":\"elected\",\"master\":2"]);
}

/// Two brokers ask at once for the first election of their set, before the first of them is heard. With unclean
/// elections allowed the second must not take the set over: its command was made when nobody was master.
#[test]
fn two_first_elections_close_together_leave_one_master() {
    for seed in 3_030..3_034 {
        let mut world = World::new(3, seed);
        world.live.enable_elect_unclean_master = true;
        for node in world.ids() {
            world.start(node);
        }
        world.await_leader(5_000);
        let leader = world.leader().unwrap();
        for id in 1..=2 {
            let address = crate::broker::address("a", id);
            world.expect(leader, crate::request::apply_id("a", id, &address), 0);
        }
        world.add_broker(crate::broker::Broker::new("a", 2));
        world.run(100);
        world.freeze(leader, 20);
        let first = world.send_request(leader, elect("a", 1));
        world.run(1);
        let second = world.send_request(leader, elect("a", 2));
        let codes = [world.await_answer(first).code, world.await_answer(second).code];
        assert_eq!(codes, [0, 2011], "seed {seed}");
        world.add_broker(crate::broker::Broker::new("a", 1));
        world.run(20_000);
        let answer = world.ask(leader, info("a"));
        assert_eq!((master(&mut world, "a"), set_in(&answer)), ((Some(1), Some((1, 1))), vec![1]));
    }
}

//! Whom 1005 names, and when a node names nobody.

use crate::broker::Broker;
use crate::request::info;
use crate::world::World;
use controller::{Inspect, LeaderNaming};
use protocol::Request;
use std::collections::{BTreeMap, BTreeSet};

/// Issue text: a node cut from the leader stops naming itself within one second.
const STOPS_WITHIN_MS: u64 = 1_000;

fn spread(seed: u64) -> World {
    let mut world = World::new(3, seed);
    world.naming = LeaderNaming::Spread;
    world.found();
    world
}

fn with_brokers(seed: u64, count: i64) -> World {
    let mut world = spread(seed);
    for id in 1..=count {
        world.add_broker(Broker::new("a", id));
    }
    world.run(1_500);
    world
}

#[track_caller]
fn leader_named_by(world: &mut World, node: u64) -> String {
    let answer = world.expect(node, Request::GetMetadataInfo, 0);
    answer.ext.get("controllerLeaderId").unwrap().to_owned()
}

#[test]
fn brokers_are_spread_and_tools_see_the_leader() {
    let mut world = with_brokers(1, 60);
    let leader = format!("n{}", world.leader().unwrap());
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for broker in 0..60 {
        let named: BTreeSet<String> =
            world.ids().into_iter().map(|node| world.named_to(broker, node)).collect();
        assert_eq!(named.len(), 1, "every node names the same one to broker {broker}");
        *counts.entry(named.into_iter().next().unwrap()).or_default() += 1;
    }
    assert_eq!(counts.len(), 3, "{counts:?}");
    assert!(counts.values().all(|&count| count >= 10), "{counts:?}");
    for node in world.ids() {
        assert_eq!(leader_named_by(&mut world, node), leader, "no broker asked");
    }
}

#[test]
fn without_spread_brokers_see_the_leader() {
    let mut world = World::founded(3, 2);
    world.add_broker(Broker::new("a", 1));
    world.run(1_500);
    let leader = format!("n{}", world.leader().unwrap());
    for node in world.ids() {
        assert_eq!(world.named_to(0, node), leader);
    }
}

#[test]
fn a_node_that_dies_is_named_no_more_and_only_its_brokers_move() {
    let mut world = with_brokers(3, 60);
    let (leader, dead) = (world.leader().unwrap(), world.follower());
    let before: Vec<String> = (0..60).map(|broker| world.named_to(broker, leader)).collect();
    world.crash(dead);
    world.run(STOPS_WITHIN_MS);
    for (broker, before) in before.iter().enumerate() {
        let after = world.named_to(broker, leader);
        assert_ne!(after, format!("n{dead}"));
        assert!(after == *before || *before == format!("n{dead}"), "broker {broker} moved");
    }
}

/// Either way in, either way out, or both: without the leader no barrier is completed.
#[test]
fn a_node_cut_from_the_leader_names_nobody_and_is_not_named() {
    for (seed, ways) in [(4, "both"), (5, "to the leader"), (6, "from the leader")] {
        let mut world = with_brokers(seed, 30);
        let (leader, cut) = (world.leader().unwrap(), world.follower());
        assert_ne!(world.named_to(0, cut), "");
        let other = world.ids().into_iter().find(|&node| node != leader && node != cut).unwrap();
        if ways != "from the leader" {
            world.cuts.insert((cut, leader));
        }
        if ways != "to the leader" {
            world.cuts.insert((leader, cut));
        }
        world.run(STOPS_WITHIN_MS);
        assert_eq!(leader_named_by(&mut world, cut), "", "{ways}");
        for broker in 0..30 {
            assert_eq!(world.named_to(broker, cut), "", "{ways}");
            assert_ne!(world.named_to(broker, other), format!("n{cut}"), "{ways}");
        }
        world.expect(cut, info("b"), 2007);
        world.heal();
        world.run(3_000);
        assert_eq!(world.overview(cut).unwrap().leader, world.overview(leader).unwrap().leader);
        let back = (0..30).filter(|&broker| world.named_to(broker, other) == format!("n{cut}"));
        assert!(back.count() > 0, "{ways}: it serves again");
    }
}

/// A leader without a quorum completes no barrier either, well before it steps down.
#[test]
fn a_leader_that_is_cut_off_stops_naming_itself_within_a_second() {
    for seed in 10..20 {
        let mut world = World::founded(3, seed);
        world.run(500);
        let old = world.leader().unwrap();
        world.isolate(old);
        world.run(STOPS_WITHIN_MS);
        let answer = world.expect(old, Request::GetMetadataInfo, 0);
        assert_eq!(answer.ext.get("controllerLeaderAddress"), Some(""));
        assert_eq!(answer.ext.get("isLeader"), Some("false"));
    }
}

#[test]
fn status_says_who_serves_and_who_relays() {
    let mut world = with_brokers(30, 6);
    let (leader, follower) = (world.leader().unwrap(), world.follower());
    for broker in 0..6 {
        world.brokers[broker].cut_from.insert(leader);
    }
    world.run(8_000);
    let status = world.inspect(leader, Inspect::Status);
    for member in [r#""serves":true"#, r#""leaderNaming":"spread""#, r#""readMode":"readindex""#] {
        assert!(status.contains(member), "{member}: {status}");
    }
    world.expect(follower, info("b"), 2008);
    let status = world.inspect(follower, Inspect::Status);
    for member in [r#""brokersRelayed":6"#, r#""readsServed":1,"#, r#""readBarriers":"#] {
        assert!(status.contains(member), "{member}: {status}");
    }
    assert!(!status.contains(r#""barrierWaitP99Micros":0,"#), "a round takes time: {status}");
}

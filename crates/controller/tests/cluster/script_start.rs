//! The first start of a cluster (M5), restarts, and disks that were wiped.

use crate::request::{apply_id, info, next_id};
use crate::world::{Ending, World};
use controller::{Event, Founding, Note, PeerId, Standing};
use protocol::Request;

fn standing(world: &World, node: u64) -> Option<Standing> {
    world.overview(node).map(|overview| overview.standing)
}

fn is_wiped(world: &World, node: u64) -> bool {
    world.nodes[&node].notes.iter().any(|(_, note)| matches!(note, Note::Wiped { .. }))
}

#[test]
fn first_start_in_every_order() {
    let orders = [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]];
    for (seed, order) in (1..).zip(orders) {
        let mut world = World::new(3, seed);
        for node in order {
            assert_eq!(world.leader(), None, "M5: {order:?}: all must be up once");
            world.start(node);
            world.run(1_700);
        }
        world.await_leader(3_000);
        let leader = world.leader().unwrap();
        world.expect(leader, apply_id("a", 1, "a.1:1"), 0);
    }
}

#[test]
fn first_start_waits_for_the_last_peer_and_says_for_whom() {
    let mut world = World::new(3, 7);
    world.start(1);
    world.start(3);
    world.run(4_000);
    assert_eq!(world.leader(), None);
    let waits: Vec<_> = world.nodes[&1].notes.iter().map(|(_, note)| note.clone()).collect();
    assert!(waits.contains(&Note::WaitsFor(vec![PeerId(2)])), "{waits:?}");
    assert_eq!(world.expect(1, next_id("a"), 2007).code, 2007);
    assert_eq!(world.expect(1, apply_id("a", 1, "a.1:1"), 2007).code, 2007);
    let metadata = world.expect(3, Request::GetMetadataInfo, 0);
    assert_eq!(metadata.ext.get("controllerLeaderAddress"), Some(""));
    world.start(2);
    world.await_leader(3_000);
}

#[test]
fn first_start_survives_a_crash_at_any_moment() {
    for seed in 0..60 {
        let mut world = World::new(3, seed);
        for node in 1..=3 {
            world.start(node);
        }
        // The whole takes about ten milliseconds: crashes fall before, between and after the records.
        let node = world.random.below(3) + 1;
        let micros = world.random.below(12_000);
        world.run_micros(micros);
        world.crash(node);
        world.run(200);
        world.start(node);
        world.run(4_000);
        assert!(world.leader().is_some(), "seed {seed}: no leader after a crash of {node}");
        for node in 1..=3 {
            assert!(!is_wiped(&world, node), "seed {seed}: {node} takes itself for wiped");
            let identity = world.nodes[&node].disk.identity.clone();
            assert_eq!(identity.map(|(state, _, _)| state), Some(Founding::Founded));
        }
    }
}

#[test]
fn one_peer_founds_itself() {
    let mut world = World::founded(1, 1);
    world.expect(1, apply_id("a", 1, "a.1:1"), 0);
    world.crash(1);
    world.start(1);
    world.await_leader(3_000);
    let next = world.expect(1, next_id("a"), 0);
    assert_eq!(next.ext.get("nextBrokerId"), Some("2"));
}

#[test]
fn five_peers_found_and_serve() {
    let mut world = World::founded(5, 5);
    world.add_synced_set("a", 3);
    for node in 1..=5 {
        world.expect(node, info("a"), 0);
    }
}

/// M4: it says that it was wiped, comes back as another member, catches up and votes again, and all by itself.
#[test]
fn a_wiped_peer_is_taken_back() {
    for seed in 100..120 {
        let mut world = World::founded(3, seed);
        world.add_set("a", 1);
        let leader = world.leader().unwrap();
        // A follower, or the leader itself.
        let wiped = if seed % 2 == 0 { world.follower() } else { leader };
        world.crash(wiped);
        world.wipe(wiped);
        world.start(wiped);
        world.run_until(15_000, |world| standing(world, wiped) == Some(Standing::Voter));
        assert!(is_wiped(&world, wiped), "seed {seed}");
        assert_ne!(world.member(wiped), PeerId(wiped), "seed {seed}: an id is never used twice");
        assert_eq!(standing(&world, wiped), Some(Standing::Voter), "seed {seed}");
        world.run(500);
        world.expect(wiped, info("a"), 0);
        // It counts in a majority: without it the third could not lead alone.
        let other = world.ids().into_iter().find(|&node| node != wiped && node != world.follower());
        world.crash(other.unwrap());
        world.await_leader(5_000);
        world.run(200);
        let leader = world.leader().unwrap();
        world.expect(leader, apply_id("b", 1, "b.1:1"), 0);
        world.expect(leader, info("a"), 0);
        world.checks.nothing_lost();
    }
}

/// M4: one after the other, every disk of the group is replaced.
#[test]
fn every_disk_can_be_replaced_in_turn() {
    let mut world = World::founded(3, 130);
    world.add_synced_set("a", 2);
    for round in 0..6 {
        let node = round % 3 + 1;
        world.crash(node);
        world.run(100);
        world.wipe(node);
        world.start(node);
        world.run_until(15_000, |world| standing(world, node) == Some(Standing::Voter));
        assert_eq!(standing(&world, node), Some(Standing::Voter), "round {round}");
        // That a joint change was left must be known on every disk before another disk goes.
        world.run(3_000);
    }
    for node in world.ids() {
        let answer = world.expect(node, info("a"), 0);
        assert_eq!(crate::request::set_in(&answer), [1, 2]);
    }
    world.checks.nothing_lost();
}

/// A wiped peer that is wiped again before it was taken back: its first new id is removed, and a third one votes.
#[test]
fn wiped_twice() {
    for seed in 140..150 {
        let mut world = World::founded(3, seed);
        world.add_set("a", 1);
        let wiped = world.follower();
        let mut members = Vec::new();
        for pause in [300, 900, 0] {
            world.crash(wiped);
            world.wipe(wiped);
            world.start(wiped);
            world.run(pause);
            members.push(world.member(wiped));
        }
        world.run_until(20_000, |world| standing(world, wiped) == Some(Standing::Voter));
        assert_eq!(standing(&world, wiped), Some(Standing::Voter), "seed {seed}: {members:?}");
        assert!(!members[..2].contains(&world.member(wiped)), "seed {seed}");
    }
}

/// R10: until it is taken back it neither votes nor counts; `manual` leaves that to an operator.
#[test]
fn a_wiped_peer_neither_votes_nor_serves() {
    let mut world = World::new(3, 11);
    world.live.replace_wiped = controller::ReplaceWiped::Manual;
    world.found();
    world.add_set("a", 1);
    let leader = world.leader().unwrap();
    let wiped = world.follower();
    world.crash(wiped);
    world.wipe(wiped);
    world.start(wiped);
    world.run(2_000);
    assert!(is_wiped(&world, wiped));
    assert_eq!(standing(&world, wiped), Some(Standing::Stranger));
    let overview = world.overview(wiped).unwrap();
    assert_eq!((overview.applied, overview.is_ready), (0, false));
    world.expect(wiped, info("a"), 2007);
    world.expect(wiped, apply_id("b", 1, "b.1:1"), 2007);
    // The leader and the other follower go on.
    world.expect(leader, apply_id("b", 1, "b.1:1"), 0);
    // Alone, the third cannot lead with the help of the wiped one (R10).
    world.crash(leader);
    world.run(6_000);
    assert_eq!(world.leader(), None);
    world.start(leader);
    world.await_leader(5_000);
}

#[test]
fn two_wiped_peers_do_not_found_a_second_cluster() {
    let mut world = World::founded(3, 12);
    world.add_set("a", 1);
    let kept = world.leader().unwrap();
    for node in world.ids() {
        if node != kept {
            world.crash(node);
            world.wipe(node);
            world.start(node);
        }
    }
    world.run(10_000);
    assert_eq!(world.leader(), None);
    for node in world.ids() {
        assert_eq!(is_wiped(&world, node), node != kept, "node {node}");
        assert_eq!(world.member(node) == PeerId(node), node == kept, "node {node}");
    }
}

#[test]
fn two_wiped_peers_do_not_talk_without_end() {
    let mut world = World::founded(3, 13);
    for node in [1, 2] {
        world.crash(node);
        world.wipe(node);
        world.start(node);
    }
    world.run(3_000);
    let before = world.messages;
    world.run(10_000);
    // The third campaigns in vain: a few messages for each tick, and nothing beside.
    let rate = (world.messages - before) / 10;
    assert!(rate < 200, "L6: {rate} messages in a second");
}

#[test]
fn restarts_keep_everything() {
    let mut world = World::founded(3, 14);
    world.add_synced_set("a", 3);
    for node in world.ids() {
        world.crash(node);
    }
    world.run(100);
    for node in world.ids() {
        world.start(node);
    }
    world.await_leader(5_000);
    let leader = world.leader().unwrap();
    let answer = world.expect(leader, info("a"), 0);
    assert_eq!(answer.ext.get("masterEpoch"), Some("1"));
    assert_eq!(crate::request::set_in(&answer), [1, 2, 3]);
    world.checks.nothing_lost();
}

/// D21: a disk that is older than what the peer acknowledged. It says so, serves nothing, and does not loop.
#[test]
fn a_restored_backup_stops_the_peer() {
    let mut world = World::founded(3, 18);
    world.add_set("a", 2);
    let (leader, follower) = (world.leader().unwrap(), world.follower());
    world.run(2_000);
    let mut backup = world.nodes[&follower].disk.clone();
    backup.orders.clear();
    world.add_set("b", 2);
    world.run(2_000);
    world.crash(follower);
    world.node(follower).disk = backup;
    world.checks.is_shallow = true;
    world.start(follower);
    world.run(3_000);
    let lost = world.nodes[&follower].notes.iter().filter(|(_, note)| {
        matches!(note, Note::Consensus(controller::ConsensusNote::DataLost { .. }))
    });
    assert_eq!(lost.count(), 1);
    world.expect(follower, info("a"), 2007);
    world.expect(follower, apply_id("c", 1, "x"), 2007);
    world.expect(leader, info("b"), 0);
    // It does not vote either: the third peer alone leads nobody.
    world.crash(leader);
    world.run(6_000);
    assert_eq!(world.leader(), None);
}

#[test]
fn a_request_to_a_dead_node_is_refused_and_one_in_its_hands_is_unknown() {
    let mut world = World::founded(3, 15);
    let leader = world.leader().unwrap();
    let ticket = world.send_request(leader, apply_id("a", 1, "a.1:1"));
    world.run(1);
    world.crash(leader);
    assert_eq!(world.ending(ticket), Some(&Ending::Unknown));
    let ticket = world.send_request(leader, apply_id("a", 1, "a.1:1"));
    world.run(1);
    assert_eq!(world.ending(ticket), Some(&Ending::Refused));
}

#[test]
fn stop_hands_leadership_over_and_says_when_done() {
    let mut world = World::founded(3, 16);
    world.add_set("a", 2);
    let leader = world.leader().unwrap();
    let began = world.now;
    world.tell(leader, Event::Stop);
    world.run_until(1_000, |world| world.nodes[&leader].is_stopped);
    assert!(world.now - began < 50_000, "{} us", world.now - began);
    world.await_other_leader(200, leader);
    let next = world.leader().unwrap();
    world.expect(next, info("a"), 0);
}

#[test]
fn stop_without_a_successor_ends_in_time() {
    let mut world = World::founded(3, 17);
    let leader = world.leader().unwrap();
    world.isolate(leader);
    world.run(500);
    world.tell(leader, Event::Stop);
    let took = world.run_until(2_000, |world| world.nodes[&leader].is_stopped);
    assert!(took <= 1_200, "{took} ms");
}

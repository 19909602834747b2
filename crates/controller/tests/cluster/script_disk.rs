//! A slow disk slows writes, and nothing else.

use crate::request::{alter, apply_id, info, next_id, register};
use crate::script_brokers::{deaths, failovers, with_set};
use crate::world::World;
use controller::Event;

/// Every sync of every disk takes 8 s: heartbeats are taken all the while, and no broker dies of it. What is written
/// meanwhile ends as "unknown".
#[test]
fn disks_that_hang_for_seconds_expire_nobody() {
    let (mut world, _brokers) = with_set(4_000);
    let leader = world.leader().unwrap();
    world.conditions.sync = (8_000_000, 8_000_000);
    let ticket = world.send_request(leader, apply_id("a", 4, "a.4:30911"));
    world.run(100);
    let heard = |world: &World| -> Vec<u64> {
        let of = |node| world.overview(node).unwrap().counts.heartbeats;
        world.ids().into_iter().map(of).collect()
    };
    let before = heard(&world);
    world.run(30_000);
    // Three brokers, one heartbeat a second, at every node.
    for (before, after) in before.into_iter().zip(heard(&world)) {
        assert!(after >= before + 3 * 29, "{before} then {after}");
    }
    assert_eq!(world.await_answer(ticket).code, 1, "nobody knows");
    for node in world.ids() {
        assert_eq!(deaths(&world, node, "a", 1), [], "node {node}");
    }
    assert_eq!(failovers(&world, "a"), []);
    world.conditions.sync = (100, 1_000);
    world.run(20_000);
    let leader = world.leader().unwrap();
    world.expect(leader, apply_id("a", 4, "a.4:30911"), 0);
    world.expect(leader, register("a", 4, "a.4:30911"), 0);
}

/// A leader whose disk does not return holds up everybody, so it hands over; the others go on, and so does it when its
/// disk is back. M8.
#[test]
fn a_leader_whose_disk_hangs_hands_over() {
    let mut world = World::founded(3, 4_002);
    world.add_synced_set("a", 2);
    let leader = world.leader().unwrap();
    world.hang_disk(leader, 20_000);
    let ticket = world.send_request(leader, apply_id("a", 3, "a.3:30911"));
    world.await_other_leader(1_500, leader);
    let next = world.leader().unwrap();
    world.expect(next, apply_id("a", 4, "a.4:30911"), 0);
    // It was committed by the others, and who asked the old leader hears so from it or never.
    world.expect(next, register("a", 3, "a.3:30911"), 0);
    world.run(25_000);
    assert!([0, 1].contains(&world.await_answer(ticket).code));
    assert_eq!(world.leader(), Some(next), "nobody takes leadership back for its disk");
    world.expect(leader, info("a"), 0);
}

/// Disks that are slow and move are no reason to move leadership.
#[test]
fn slow_disks_move_no_leadership() {
    let mut world = World::founded(3, 4_003);
    world.add_synced_set("a", 2);
    let leader = world.leader().unwrap();
    world.conditions.sync = (600_000, 0);
    for id in 3..8 {
        world.send_request(leader, apply_id("a", id, &format!("a.{id}:30911")));
        world.run(2_000);
    }
    assert_eq!(world.leader(), Some(leader));
}

/// The journal owes too much: writes are refused as busy, here and from followers; heartbeats, polls and the
/// controller's own elections go on.
#[test]
fn a_disk_that_is_behind_sheds_writes_only() {
    let mut world = World::founded(3, 4_001);
    let brokers = world.add_synced_set("a", 2);
    world.run(2_000);
    let (leader, follower) = (world.leader().unwrap(), world.follower());
    world.tell(leader, Event::DiskBehind(true));
    world.run(5);
    for node in [leader, follower] {
        world.expect(node, alter("a", (1, 1, 2), &[1]), 2);
        world.expect(node, apply_id("a", 3, "a.3:30911"), 2);
        world.expect(node, info("a"), 0);
        world.expect(node, next_id("a"), 0);
    }
    let before = world.overview(leader).unwrap().counts.heartbeats;
    world.run(5_000);
    assert!(world.overview(leader).unwrap().counts.heartbeats >= before + 8);
    world.kill_broker(brokers[0]);
    world.run(100);
    assert_eq!(failovers(&world, "a"), [Some(2)]);
    world.tell(leader, Event::DiskBehind(false));
    world.run(5);
    world.expect(leader, apply_id("a", 3, "a.3:30911"), 0);
}

//! Snapshots: taken, sent to a peer that is far behind, and found again at a start.

use crate::request::{alter, apply_id, clean, info, version};
use crate::world::World;

/// Each of these is 16 KiB of log and refused without much work: 4,350 are more than SNAPSHOT_LOG_BYTES.
fn fill(world: &mut World, node: u64, count: usize) {
    let request = clean("none", Some(&"x".repeat(16_000)), true);
    let before = world.overview(node).unwrap().counts.commands;
    for _ in 0..count {
        world.tell_request(node, &request);
        if world.random.chance(20) {
            world.run(1);
        }
    }
    world.run(2_000);
    let done = world.overview(node).unwrap().counts.commands - before;
    assert_eq!(done, count as u64, "all were committed");
}

/// A world whose state makes a snapshot of several parts.
fn with_large_state(seed: u64) -> World {
    let mut world = World::founded(3, seed);
    world.checks.is_shallow = true;
    let leader = world.leader().unwrap();
    let filler = "f".repeat(240);
    let address = "y".repeat(1_000);
    let mut last = None;
    for number in 0..300 {
        let set = format!("{filler}{number}");
        last = Some(world.send_request(leader, apply_id(&set, 1, &address)));
    }
    world.await_answer(last.unwrap());
    world.add_synced_set("a", 2);
    world
}

fn taken(world: &World, node: u64) -> u64 {
    world.nodes[&node].disk.snapshot_index()
}

/// A follower that was away while the log was cut gets a snapshot, and goes on from there.
#[test]
fn a_peer_far_behind_gets_a_snapshot() {
    let mut world = with_large_state(3_000);
    let leader = world.leader().unwrap();
    let away = world.follower();
    world.isolate(away);
    fill(&mut world, leader, 4_350);
    assert!(taken(&world, leader) > 0, "SNAPSHOT_LOG_BYTES was reached");
    let leader = world.leader().unwrap();
    world.expect(leader, alter("a", (1, 1, 2), &[1]), 0);
    world.heal();
    world.run(8_000);
    assert!(taken(&world, away) > 0, "the snapshot was installed");
    let leader = world.leader().unwrap();
    let (one, other) = (world.overview(leader).unwrap(), world.overview(away).unwrap());
    assert_eq!(one.applied, other.applied, "L4");
    let hash = |node| world.nodes[&node].controller.as_ref().unwrap().state_hash();
    assert_eq!(hash(leader), hash(away), "C11, C12");
    // It serves, and it can lead.
    let answer = world.expect(away, info("a"), 0);
    assert_eq!(version(&info("a"), &answer), Some((1, 3)));
    // All go on from their disks.
    for node in world.ids() {
        world.crash(node);
        world.start(node);
    }
    world.await_leader(6_000);
    for node in world.ids() {
        let answer = world.expect(node, info("a"), 0);
        assert_eq!(version(&info("a"), &answer), Some((1, 3)));
    }
}

/// The receiver dies at any moment of the transfer, and comes back; the sender dies; the link breaks.
#[test]
fn a_snapshot_that_is_interrupted_is_sent_again() {
    let mut world = with_large_state(3_100);
    let leader = world.leader().unwrap();
    let away = world.follower();
    world.isolate(away);
    fill(&mut world, leader, 4_350);
    for round in 0..12 {
        world.heal();
        let wait = 50_000 + world.random.below(400_000);
        world.run_micros(wait);
        match round % 3 {
            0 => {
                world.crash(away);
                world.start(away);
            }
            1 => {
                let old = world.leader().unwrap_or(leader);
                world.crash(old);
                world.start(old);
            }
            _ => world.isolate(away),
        }
    }
    world.heal();
    world.run(20_000);
    let hashes: Vec<_> = world
        .ids()
        .into_iter()
        .map(|node| {
            let overview = world.overview(node).unwrap();
            (overview.applied, world.nodes[&node].controller.as_ref().unwrap().state_hash())
        })
        .collect();
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
    assert!(taken(&world, away) > 0);
}

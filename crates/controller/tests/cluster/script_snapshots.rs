//! Snapshots: taken, sent to a peer that is far behind, and found again at a start.

use crate::request::{alter, apply_id, clean, info, version};
use crate::world::World;
use controller::{Controller, ControllerStartError, Instant, Standing, Start};

/// Each of these is 16 KiB of log and refused without much work: 4,350 are more than `SNAPSHOT_LOG_BYTES`.
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

/// A journal that names a snapshot and does not hand it over: an empty state would be taken for the whole.
#[test]
fn a_snapshot_that_is_missing_is_no_start() {
    let mut world = with_large_state(3_050);
    let leader = world.leader().unwrap();
    fill(&mut world, leader, 4_350);
    assert!(taken(&world, leader) > 0);
    let Start::Founded { restored, snapshot } = world.nodes[&leader].disk.start() else {
        panic!("it is founded")
    };
    assert!(snapshot.is_some());
    let settings = world.settings(leader, 1);
    let start = Start::Founded { restored, snapshot: None };
    let error = Controller::new(Instant::default(), settings, start).unwrap_err();
    assert!(matches!(error, ControllerStartError::SnapshotMissing { .. }), "{error}");
}

/// A disk without room for snapshots: everything else goes on, and the next one is tried when the log has grown.
#[test]
fn a_full_disk_takes_its_snapshot_later() {
    let mut world = with_large_state(3_060);
    let leader = world.leader().unwrap();
    for node in world.ids() {
        world.node(node).disk.is_full = true;
    }
    fill(&mut world, leader, 4_350);
    assert_eq!(taken(&world, leader), 0);
    world.expect(leader, alter("a", (1, 1, 2), &[1]), 0);
    for node in world.ids() {
        world.node(node).disk.is_full = false;
    }
    world.run(5_000);
    assert_eq!(taken(&world, leader), 0, "not in every turn");
    fill(&mut world, leader, 4_350);
    for node in world.ids() {
        assert!(taken(&world, node) > 0, "node {node}");
    }
}

/// A peer that was away cannot save the snapshot that it is sent; it is offered again until it can.
#[test]
fn a_full_disk_gets_its_snapshot_later() {
    let mut world = with_large_state(3_070);
    let leader = world.leader().unwrap();
    let away = world.follower();
    world.isolate(away);
    fill(&mut world, leader, 4_350);
    world.node(away).disk.is_full = true;
    world.heal();
    world.run(10_000);
    assert_eq!(taken(&world, away), 0);
    world.expect(leader, alter("a", (1, 1, 2), &[1]), 0);
    world.node(away).disk.is_full = false;
    world.run(15_000);
    assert!(taken(&world, away) > 0);
    world.expect(away, info("a"), 0);
}

/// M4, S7: a wiped peer needs a newer snapshot than there is, and the leader's disk is full: it tries now and then.
#[test]
fn a_full_disk_takes_a_wiped_peer_back_later() {
    let mut world = with_large_state(3_080);
    let leader = world.leader().unwrap();
    fill(&mut world, leader, 4_350);
    assert!(taken(&world, leader) > 0, "the log does not reach back");
    let wiped = world.follower();
    world.crash(wiped);
    world.wipe(wiped);
    world.node(leader).disk.is_full = true;
    world.start(wiped);
    world.run(4_000);
    let refused = world.nodes[&leader].disk.refused;
    assert!((2..=25).contains(&refused), "{refused} tries in 4 s");
    world.node(leader).disk.is_full = false;
    let is_back =
        |world: &World| world.overview(wiped).is_some_and(|it| it.standing == Standing::Voter);
    world.run_until(20_000, is_back);
    assert!(is_back(&world));
    world.expect(wiped, info("a"), 0);
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

//! What upstream's controllers get wrong about life and death, one scenario each.
//!
//! | Scenario | Upstream | There |
//! |---|---|---|
//! | `r9717` | issue 9717 | the scan of inactive brokers never ran: who falls silent stays alive |
//! | `r10416` | issue 10416 | the same gate, the other way round: a hung process with an open connection stays alive |
//! | `r10875` | issue 10875, L4 | a dead master with a living replica is passed over, if its death was not seen in the moment |
//! | `r8380` | issue 8380, L4 | a dead replica of a living master causes elections without end |
//! | `r5712` | issue 5712 | only the old leader knew who is alive |
//! | `r5009` | issue 5009 | an election whose entry could not be appended is not tried again |
//! | `l1` to `l7` | `docs/spec/state-machine.md`, section 9 | as said at each |
//!
//! The defects are upstream's, so each scenario was seen to fail with the same mistake made here; which one stands at
//! the test.

use crate::broker::{Broker, Door};
use crate::request::{alter, apply_id, info, set_in, version};
use crate::script_brokers::{deaths, failovers, with_set};
use crate::world::{MS, What, World};
use controller::{ConnectionId, Event};

/// Exact expiry: as much later than the deadline as the issue allows.
const LATE_MS: u64 = 50;

/// When the leader lost sight of broker `at`, it was so long after the time-out; in microseconds.
fn lateness(world: &World, leader: u64, broker: usize) -> u64 {
    let id = world.brokers[broker].id;
    let (at, _) = *deaths(world, leader, "a", id).last().expect("it died");
    at - (world.heard[&(leader, broker)] + 10_000 * MS)
}

/// Broken by: `Liveness::ring` returns before it looks.
#[test]
fn r9717_silence_alone_is_noticed_however_long_after_the_start() {
    let (mut world, brokers) = with_set(5_000);
    world.run(60_000);
    let leader = world.leader().unwrap();
    world.silence_broker(brokers[0]);
    world.run(12_000);
    assert!(lateness(&world, leader, brokers[0]) <= LATE_MS * MS);
    assert_eq!(failovers(&world, "a"), [Some(2)]);
    // And again: the scan is not one that runs once.
    world.silence_broker(brokers[1]);
    world.run(12_000);
    assert!(lateness(&world, leader, brokers[1]) <= LATE_MS * MS);
}

/// Broken by: a broker with an open connection does not expire.
#[test]
fn r10416_a_hung_process_with_an_open_connection_expires() {
    let (mut world, brokers) = with_set(5_001);
    world.run(30_000);
    let leader = world.leader().unwrap();
    // Its kernel accepts connections, and closes none.
    world.stop(brokers[0], Door::Accepts);
    world.run(12_000);
    assert!(lateness(&world, leader, brokers[0]) <= LATE_MS * MS);
    assert_eq!(failovers(&world, "a"), [Some(2)]);
}

/// The master dies while nobody leads, so no leader sees it die: whoever leads next finds it dead, and a member alive.
/// Broken by: a new leader looks at no set.
#[test]
fn r10875_a_master_that_died_unseen_is_replaced() {
    let (mut world, brokers) = with_set(5_002);
    let nodes = world.ids();
    let leader = world.leader().unwrap();
    for node in nodes.iter().filter(|node| **node != leader) {
        world.isolate(*node);
    }
    world.run(3_000);
    assert_eq!(world.leader(), None, "no quorum, no leader");
    world.silence_broker(brokers[0]);
    world.run(15_000);
    assert_eq!(failovers(&world, "a"), []);
    world.heal();
    world.await_leader(5_000);
    // One time-out, in which a peer that does hear it could say so.
    world.run(10_500);
    assert_eq!(failovers(&world, "a"), [Some(2)]);
}

/// Broken by: `needs_election` asks whether the master is alive, and not whether it is not.
#[test]
fn r8380_a_dead_replica_of_a_living_master_is_no_election() {
    let (mut world, brokers) = with_set(5_003);
    let leader = world.leader().unwrap();
    world.kill_broker(brokers[2]);
    world.silence_broker(brokers[1]);
    world.run(15_000);
    assert_eq!(deaths(&world, leader, "a", 3).len(), 1);
    assert_eq!(deaths(&world, leader, "a", 2).len(), 1);
    let commands = world.checks.commands;
    world.run(60_000);
    assert_eq!(world.checks.commands, commands, "nothing is proposed");
    let answer = world.expect(leader, info("a"), 0);
    assert_eq!(version(&info("a"), &answer), Some((1, 2)));
    assert_eq!(set_in(&answer), [1, 2, 3], "the set is the master's to shrink");
}

/// Leader first, master within a second. Broken by: a new leader asks nobody whose connection is closed.
#[test]
fn r5712_leader_and_master_die_within_a_second() {
    for (seed, pause) in [(5_010, 0), (5_011, 1), (5_012, 2), (5_013, 300), (5_014, 1_000)] {
        let (mut world, brokers) = with_set(seed);
        let old = world.leader().unwrap();
        world.crash(old);
        world.run(pause);
        world.kill_broker(brokers[0]);
        let took = world.run_until(5_000, |world| !failovers(world, "a").is_empty());
        assert!(took <= 1_000, "{pause} ms between the two: {took} ms");
        assert_eq!(failovers(&world, "a"), [Some(2)]);
    }
}

/// The writes that wait for a quorum take all the room when a silent master's time is over. Broken by: `Elections::ended`
/// does nothing.
#[test]
fn r5009_an_election_that_could_not_be_written_is_held_again() {
    const WRITES: i64 = 65_536;
    let mut world = World::new(3, 5_020);
    // So long that the leader is one all the while.
    world.election_timeout_ms = 20_000;
    world.checks.is_shallow = true;
    for node in world.ids() {
        world.start(node);
    }
    world.await_leader(120_000);
    let brokers = world.add_synced_set("a", 2);
    world.run(2_000);
    let leader = world.leader().unwrap();
    // A close would be asked about, and the frozen peers could not say that they do not object.
    world.silence_broker(brokers[0]);
    world.run(8_900);
    for node in world.ids().into_iter().filter(|node| *node != leader) {
        world.freeze(node, 1_500);
    }
    for _ in 0..WRITES {
        world.tell_request(leader, &apply_id("b", 0, "b"));
    }
    world.run(1_200);
    assert_eq!(world.overview(leader).unwrap().writes_waiting, 65_536, "there is no room");
    assert_eq!(deaths(&world, leader, "a", 1).len(), 1, "and the master is dead");
    world.run(8_000);
    assert_eq!(world.leader(), Some(leader));
    let answer = world.expect(leader, info("a"), 0);
    assert_eq!(answer.ext.long("masterBrokerId"), Some(2));
    assert_eq!(version(&info("a"), &answer), Some((2, 3)));
}

/// A close is death. Broken by: `connection_closed` takes the broker for dead.
#[test]
fn l1_a_healthy_master_whose_connections_close_stays() {
    let (mut world, brokers) = with_set(5_030);
    for _ in 0..60 {
        for broker in &brokers {
            world.close_connections(*broker);
        }
        world.run(1_000);
    }
    assert_eq!(failovers(&world, "a"), []);
    for node in world.ids() {
        for id in 1..=3 {
            assert_eq!(deaths(&world, node, "a", id), [], "broker {id} at node {node}");
        }
    }
}

/// The connection of an entry is never replaced: the close of the old one kills, the close of the new one is not
/// noticed. Broken by: `Liveness::heard` leaves the broker on its first connection.
#[test]
fn l2_the_newest_connection_of_a_broker_counts() {
    let (mut world, brokers) = with_set(5_031);
    let leader = world.leader().unwrap();
    let old = world.brokers[brokers[0]].connections.remove(&leader).unwrap();
    world.run(1_100);
    let probes = world.overview(leader).unwrap().counts.probes;
    world.tell(leader, Event::ConnectionClosed { connection: old });
    world.run(5_000);
    assert_eq!(world.overview(leader).unwrap().counts.probes, probes, "nobody is asked");
    assert_eq!(failovers(&world, "a"), [], "the old one");
    // The new one, at the leader alone: the others hear the broker on theirs until it dies as well.
    world.stop(brokers[0], Door::Refuses);
    let began = world.now;
    world.close_connections(brokers[0]);
    world.run_until(3_000, |world| !failovers(world, "a").is_empty());
    assert!(world.now - began <= 100 * MS, "{} us", world.now - began);
}

/// Of several brokers on one connection one is noticed. Broken by: `Liveness::closed` returns the first.
#[test]
fn l3_every_broker_of_a_connection_is_noticed() {
    const SETS: [&str; 5] = ["a", "b", "c", "d", "e"];
    let mut world = World::founded(1, 5_032);
    for set in SETS {
        world.add_synced_set(set, 2);
    }
    world.run(1_000);
    let shared = ConnectionId(900);
    let masters = [0, 2, 4, 6, 8];
    for master in masters {
        world.brokers[master].connections.insert(1, shared);
    }
    world.run(1_100);
    for master in masters {
        world.stop(master, Door::Refuses);
    }
    let (node, boot) = (1, world.nodes[&1].boot);
    let event = Event::ConnectionClosed { connection: shared };
    world.after(0, What::Tell { node, boot, event });
    world.run(50);
    for set in SETS {
        assert_eq!(failovers(&world, set), [Some(2)], "{set}");
    }
}

/// Both ways in which the test of liveness can be inverted, at once. Broken as `r8380` and `r10875`.
#[test]
fn l4_dead_masters_are_replaced_and_living_ones_left_alone() {
    let (mut world, brokers) = with_set(5_033);
    let others = world.add_synced_set("b", 3);
    world.run(2_000);
    world.kill_broker(brokers[0]);
    world.kill_broker(others[2]);
    world.run(1_000);
    let leader = world.leader().unwrap();
    // The new master of `a` takes up its work, so `a` has a dead replica and a living master too.
    world.expect(leader, alter("a", (2, 2, 3), &[2, 3]), 0);
    let commands = world.checks.commands;
    world.run(30_000);
    assert_eq!((failovers(&world, "a"), failovers(&world, "b")), (vec![Some(2)], vec![]));
    assert_eq!(world.checks.commands, commands, "and that is all");
}

/// A registration after its close is never removed, and entries leak. Broken by: a heartbeat that its connection's
/// close overtook stands on that connection.
#[test]
fn l5_what_comes_after_a_close_leaves_nothing_behind() {
    let (mut world, _) = with_set(5_034);
    let nodes = world.ids();
    for round in 0..20 {
        let index = world.add_broker(Broker::new("c", 100 + round));
        world.run(100);
        world.stop(index, Door::Refuses);
        for node in &nodes {
            // The close first, then the last heartbeat of the connection.
            let connection = world.brokers[index].connections.remove(node).unwrap();
            world.tell(*node, Event::ConnectionClosed { connection });
            world.brokers[index].connections.insert(*node, connection);
        }
        world.run(1);
        world.brokers[index].is_running = true;
        let life = world.brokers[index].life;
        world.beat(index, life);
        world.brokers[index].is_running = false;
    }
    // Well below the time-out of 10 s: a connection that seemed open, here or at a peer, would keep them so long.
    world.run(2_500);
    let leader = world.leader().unwrap();
    assert_eq!(world.overview(leader).unwrap().brokers, 3);
    world.run(10_000);
    for node in nodes {
        assert_eq!(world.overview(node).unwrap().brokers, 3, "node {node}");
    }
}

/// After a full restart only the first seconds are protected. Broken by: a new leader gives unheard masters no time.
#[test]
fn l6_a_cold_start_gives_every_broker_its_time() {
    for seed in 5_040..5_044 {
        let (mut world, brokers) = with_set(seed);
        for node in world.ids() {
            world.crash(node);
        }
        for broker in &brokers {
            world.stop(*broker, Door::Accepts);
        }
        world.run(30_000);
        for node in world.ids() {
            world.start(node);
        }
        world.await_leader(5_000);
        // Replicas first: each could be elected, and must not be.
        for (broker, pause) in [(2, 1_000), (1, 6_000), (0, 1_500)] {
            world.run(pause);
            world.restart_broker(brokers[broker]);
        }
        world.run(20_000);
        assert_eq!(failovers(&world, "a"), [], "seed {seed}");
    }
}

/// Epoch and offset only grow: a truncated broker keeps its old rank. Broken by: `Liveness::heard` takes larger values
/// only.
#[test]
fn l7_a_broker_that_truncated_ranks_by_what_it_has() {
    let (mut world, brokers) = with_set(5_050);
    (world.brokers[brokers[1]].epoch, world.brokers[brokers[1]].max_offset) = (3, 900);
    (world.brokers[brokers[2]].epoch, world.brokers[brokers[2]].max_offset) = (2, 500);
    world.run(2_000);
    (world.brokers[brokers[1]].epoch, world.brokers[brokers[1]].max_offset) = (2, 400);
    world.run(2_000);
    world.kill_broker(brokers[0]);
    world.run(200);
    assert_eq!(failovers(&world, "a"), [Some(3)]);
}

//! When a broker counts as dead (DESIGN, "Death of a broker"), and when it does not (C10).

use crate::broker::{Broker, Door};
use crate::request::{alter, apply_id, elect};
use crate::world::{MS, What, World};
use controller::{ConnectionId, DeathReason, Event, Note};

/// The elections of `set` that changed something, after its first.
pub(crate) fn failovers(world: &World, set: &str) -> Vec<Option<i64>> {
    let of_set = world.checks.elections.iter().filter(|(name, _)| name == set);
    of_set.map(|(_, master)| *master).skip(1).collect()
}

/// When `node` said that a broker is dead, and why.
pub(crate) fn deaths(world: &World, node: u64, set: &str, dead: i64) -> Vec<(u64, DeathReason)> {
    let notes = world.nodes[&node].notes.iter().filter_map(|(at, note)| match note {
        Note::BrokerDead { set: of, id, reason, .. } if **of == *set && *id == dead => {
            Some((*at, *reason))
        }
        _ => None,
    });
    notes.collect()
}

/// Three nodes and set `a` of three brokers in sync, 1 the master, all remembered.
pub(crate) fn with_set(seed: u64) -> (World, Vec<usize>) {
    let mut world = World::founded(3, seed);
    let brokers = world.add_synced_set("a", 3);
    world.run(2_000);
    (world, brokers)
}

#[test]
fn a_killed_master_is_replaced_in_milliseconds() {
    for seed in 0..20 {
        let (mut world, brokers) = with_set(1_000 + seed);
        let pause = world.random.below(1_000);
        world.run(pause);
        let began = world.now;
        world.kill_broker(brokers[0]);
        world.run_until(100, |world| !failovers(world, "a").is_empty());
        let committed = world.now - began;
        assert!(committed <= 20 * MS, "seed {seed}: {committed} us to commit");
        let told = |world: &World| {
            let epochs = brokers[1..].iter().map(|index| world.brokers[*index].newest_notice());
            epochs.flatten().filter(|notice| notice.master_epoch == 2).count()
        };
        world.run_until(100, |world| told(world) == 2);
        assert!(world.now - began <= 100 * MS, "seed {seed}: notices took too long");
        let leader = world.leader().unwrap();
        let reasons = deaths(&world, leader, "a", 1);
        assert_eq!(
            reasons.iter().map(|(_, reason)| *reason).collect::<Vec<_>>(),
            [DeathReason::Refused]
        );
        world.run(15_000);
        assert_eq!(failovers(&world, "a").len(), 1, "seed {seed}");
    }
}

/// U28: connections that break are a question, and an address that accepts is the answer.
#[test]
fn broken_connections_of_living_brokers_change_nothing() {
    let (mut world, brokers) = with_set(1_100);
    for round in 0..40 {
        for broker in &brokers {
            world.close_connections(*broker);
        }
        let pause = 100 + world.random.below(900);
        world.run(pause);
        assert_eq!(failovers(&world, "a"), [], "round {round}");
    }
    world.run(15_000);
    assert_eq!(failovers(&world, "a"), []);
}

/// Its address accepts but it says nothing more: dead at its deadline, not before, not much later.
#[test]
fn a_broker_that_accepts_dies_at_its_deadline() {
    let (mut world, brokers) = with_set(1_101);
    let leader = world.leader().unwrap();
    world.stop(brokers[0], Door::Accepts);
    world.close_connections(brokers[0]);
    let last = world.heard[&(leader, brokers[0])];
    world.run(15_000);
    let deaths = deaths(&world, leader, "a", 1);
    let (at, reason) = deaths[0];
    assert_eq!((deaths.len(), reason), (1, DeathReason::Deadline));
    let late = at - (last + 10_000 * MS);
    assert!(late <= 5 * MS, "{late} us after its deadline");
    assert_eq!(failovers(&world, "a").len(), 1);
}

/// No answer after a close: a short grace.
#[test]
fn no_answer_after_a_close_is_a_short_grace() {
    let (mut world, brokers) = with_set(1_102);
    let leader = world.leader().unwrap();
    world.silence_broker(brokers[0]);
    world.close_connections(brokers[0]);
    let began = world.now;
    world.run(15_000);
    let (at, _) = deaths(&world, leader, "a", 1)[0];
    // One second until the connect is given up, then 1.5 s of grace.
    let took = (at - began) / MS;
    assert!((2_400..=2_700).contains(&took), "{took} ms");
    assert_eq!(failovers(&world, "a").len(), 1);
}

/// No answer, but it is heard on a new connection since: it has its whole time-out, whatever a close made of it before.
#[test]
fn no_answer_means_nothing_once_it_is_heard_again() {
    let (mut world, brokers) = with_set(1_105);
    let leader = world.leader().unwrap();
    world.brokers[brokers[0]].door = Door::Silent;
    world.close_connections(brokers[0]);
    world.run(1_100);
    let last = world.heard[&(leader, brokers[0])];
    world.silence_broker(brokers[0]);
    world.run(15_000);
    let (at, reason) = deaths(&world, leader, "a", 1)[0];
    assert_eq!(reason, DeathReason::Deadline);
    assert!(at >= last + 10_000 * MS, "dead {} us after it was heard", at - last);
}

/// Within the grace it is heard again: nothing has happened.
#[test]
fn back_within_grace() {
    let (mut world, brokers) = with_set(1_103);
    world.silence_broker(brokers[0]);
    world.close_connections(brokers[0]);
    world.run(2_000);
    world.restart_broker(brokers[0]);
    world.run(20_000);
    assert_eq!(failovers(&world, "a"), []);
}

/// A refusal by an address that never accepted proves nothing (a broker behind a gateway).
#[test]
fn an_address_that_never_accepted_is_given_the_grace() {
    let mut world = World::founded(3, 1_104);
    let mut broker = Broker::new("a", 1);
    broker.door = Door::Refuses;
    let leader = world.leader().unwrap();
    world.expect(leader, apply_id("a", 1, "a.1:30911"), 0);
    let master = world.add_broker(broker);
    let mut replica = Broker::new("a", 2);
    replica.door = Door::Refuses;
    world.expect(leader, apply_id("a", 2, "a.2:30911"), 0);
    world.add_broker(replica);
    world.run(100);
    world.expect(leader, elect("a", 1), 0);
    world.expect(leader, alter("a", (1, 1, 1), &[1, 2]), 0);
    // Closes of the living master change nothing.
    for _ in 0..10 {
        world.close_connections(master);
        world.run(1_300);
    }
    assert_eq!(failovers(&world, "a"), []);
    // When it dies, the grace passes first.
    let began = world.now;
    world.kill_broker(master);
    world.run(10_000);
    let (at, reason) = deaths(&world, leader, "a", 1)[0];
    let took = (at - began) / MS;
    assert!((1_500..=1_600).contains(&took), "{took} ms");
    assert_eq!(reason, DeathReason::Deadline);
    assert_eq!(failovers(&world, "a"), [Some(2)]);
}

/// The leader's connection closes and the address refuses, but another peer still hears the broker.
#[test]
fn an_objection_keeps_a_broker_alive() {
    let (mut world, brokers) = with_set(1_105);
    let leader = world.leader().unwrap();
    world.brokers[brokers[0]].door = Door::Refuses;
    world.brokers[brokers[0]].cut_from.insert(leader);
    let connection = world.brokers[brokers[0]].connections.remove(&leader).unwrap();
    world.tell(leader, Event::ConnectionClosed { connection });
    // The cut answers nothing, a refusal is what this is about: it comes from the host of the broker.
    world.refuses_all.insert(world.brokers[brokers[0]].address.clone());
    world.run(60_000);
    assert_eq!(deaths(&world, leader, "a", 1), []);
    assert_eq!(failovers(&world, "a"), []);
    // Once nobody hears it, it is dead.
    let began = world.now;
    world.kill_broker(brokers[0]);
    world.run_until(1_200, |world| !failovers(world, "a").is_empty());
    assert!(world.now - began <= 1_100 * MS, "{} us", world.now - began);
}

/// A refusal that no quorum of peers confirms is no death: those who do not answer may hear the broker.
#[test]
fn a_refusal_without_a_quorum_of_answers_is_a_grace() {
    let (mut world, brokers) = with_set(1_108);
    let leader = world.leader().unwrap();
    for node in world.ids() {
        if node != leader {
            world.freeze(node, 300);
        }
    }
    let began = world.now;
    world.kill_broker(brokers[0]);
    world.run(3_000);
    // As soon as they answer it is one.
    let (at, reason) = deaths(&world, leader, "a", 1)[0];
    let took = (at - began) / MS;
    assert!((300..=320).contains(&took), "{took} ms");
    assert_eq!(reason, DeathReason::Refused);
}

/// Nobody waits for a peer that is known to be down.
#[test]
fn a_dead_peer_does_not_slow_a_failover() {
    let (mut world, brokers) = with_set(1_245);
    let (leader, dead) = (world.leader().unwrap(), world.follower());
    world.crash(dead);
    world.run(100);
    let began = world.now;
    world.kill_broker(brokers[0]);
    world.run(100);
    let (at, _) = deaths(&world, leader, "a", 1)[0];
    assert!(at - began <= 10 * MS, "{} us", at - began);
}

/// One silent peer blocks nothing: the questions take 50 ms.
#[test]
fn a_silent_peer_does_not_block_a_failover() {
    for seed in 0..5 {
        let (mut world, brokers) = with_set(1_240 + seed);
        let (leader, slow) = (world.leader().unwrap(), world.follower());
        world.freeze(slow, 500);
        let began = world.now;
        world.kill_broker(brokers[0]);
        world.run(500);
        let (at, _) = deaths(&world, leader, "a", 1)[0];
        let took = (at - began) / MS;
        assert!((50..=54).contains(&took), "seed {seed}: {took} ms");
    }
}

/// A host that vanishes: its connections stay open, and its deadline decides.
#[test]
fn a_silent_death_is_noticed_at_the_deadline() {
    for seed in 0..5 {
        let (mut world, brokers) = with_set(1_110 + seed);
        let leader = world.leader().unwrap();
        let pause = world.random.below(1_000);
        world.run(pause);
        world.silence_broker(brokers[0]);
        world.run(5);
        let last = world.heard[&(leader, brokers[0])];
        world.run(9_000);
        assert_eq!(failovers(&world, "a"), [], "seed {seed}: not before its deadline");
        world.run_until(3_000, |world| !failovers(world, "a").is_empty());
        let late = world.now - (last + 10_000 * MS);
        assert!(late <= 10 * MS, "seed {seed}: {late} us after its deadline");
    }
}

/// The last sign of a broker reaches the leader by way of a slow follower too: it is not heard twice.
#[test]
fn slow_peers_do_not_put_a_death_off() {
    for seed in 0..4 {
        let (mut world, brokers) = with_set(1_125 + seed);
        world.conditions.delay = (1_000, 150_000);
        world.run(3_000);
        let leader = world.leader().unwrap();
        let pause = world.random.below(1_000);
        world.run(pause);
        world.silence_broker(brokers[0]);
        world.run(200);
        let last = world.heard[&(leader, brokers[0])];
        world.run(12_000);
        assert_eq!(world.leader(), Some(leader), "seed {seed}");
        let (at, _) = deaths(&world, leader, "a", 1)[0];
        let late = at - (last + 10_000 * MS);
        assert!(late <= 5 * MS, "seed {seed}: {late} us after its deadline");
    }
}

/// A process that hangs accepts connects by its kernel; one whose address refuses while a connection of it seems
/// open is dead after the silence.
#[test]
fn silence_on_an_open_connection_is_asked_about() {
    let (mut world, brokers) = with_set(1_120);
    let leader = world.leader().unwrap();
    // The process died, and nobody heard of it: the close was lost. A new connect is refused.
    world.stop(brokers[0], Door::Refuses);
    let began = world.now;
    for node in world.ids() {
        if node != leader {
            let connection = world.brokers[brokers[0]].connections.remove(&node).unwrap();
            world.tell(node, Event::ConnectionClosed { connection });
        }
    }
    world.run_until(6_000, |world| !failovers(world, "a").is_empty());
    let took = (world.now - began) / MS;
    assert!((2_000..=5_500).contains(&took), "{took} ms");
}

/// #10812, #4800: the master reaches the followers only. It keeps its place, for ever.
#[test]
fn a_master_heard_only_by_followers_stays_master() {
    for seed in 0..4 {
        let (mut world, brokers) = with_set(1_130 + seed);
        let leader = world.leader().unwrap();
        world.brokers[brokers[0]].cut_from.insert(leader);
        // With and without a close that gets through.
        if seed % 2 == 0 {
            let connection = world.brokers[brokers[0]].connections.remove(&leader).unwrap();
            world.tell(leader, Event::ConnectionClosed { connection });
        }
        world.run(60_000);
        assert_eq!(failovers(&world, "a"), [], "seed {seed}");
        assert_eq!(world.leader(), Some(leader));
        // It counts as alive in evidence: it may alter through a follower.
        let follower = world.follower();
        world.expect(follower, alter("a", (1, 1, 2), &[1, 2]), 0);
        // And its death is still noticed.
        world.kill_broker(brokers[0]);
        world.run(12_000);
        assert_eq!(failovers(&world, "a"), [Some(2)], "seed {seed}");
    }
}

/// The leader cannot reach a broker and shortens its time, but followers hear it: what they pass on within the grace
/// counts, however short a while ago they passed on something else.
#[test]
fn heartbeats_passed_on_within_the_grace_count() {
    for phase in 0..20 {
        let (mut world, brokers) = with_set(1_140 + phase);
        let leader = world.leader().unwrap();
        world.brokers[brokers[0]].cut_from.insert(leader);
        world.run(20_000 + phase * 100);
        let follower = world.follower();
        let connection = world.brokers[brokers[0]].connections.remove(&follower).unwrap();
        world.tell(follower, Event::ConnectionClosed { connection });
        world.run(5_000);
        assert_eq!(failovers(&world, "a"), [], "phase {phase}");
    }
}

/// The same just after the leader heard the broker itself: its address refuses, and the followers' objections come too
/// late for a round, but what they hear next is news.
#[test]
fn heartbeats_passed_on_soon_after_the_last_own_one_count() {
    for phase in 0..20 {
        let (mut world, brokers) = with_set(1_160 + phase);
        world.conditions.delay = (30_000, 1_000);
        let leader = world.leader().unwrap();
        world.run(5_000 + phase * 50);
        world.brokers[brokers[0]].cut_from.insert(leader);
        world.refuses_all.insert(world.brokers[brokers[0]].address.clone());
        let connection = world.brokers[brokers[0]].connections.remove(&leader).unwrap();
        world.tell(leader, Event::ConnectionClosed { connection });
        world.run(5_000);
        assert_eq!(deaths(&world, leader, "a", 1), [], "phase {phase}");
        assert_eq!(failovers(&world, "a"), [], "phase {phase}");
    }
}

/// U13: a broker opens a new connection, is heard on it, and the old one closes.
#[test]
fn the_close_of_an_old_connection_means_nothing() {
    let (mut world, brokers) = with_set(1_200);
    let leader = world.leader().unwrap();
    let old = world.brokers[brokers[0]].connections.remove(&leader).unwrap();
    world.run(1_100);
    let new = world.brokers[brokers[0]].connections[&leader];
    assert!(new > old);
    let before = world.overview(leader).unwrap().counts.probes;
    world.tell(leader, Event::ConnectionClosed { connection: old });
    world.run(5_000);
    assert_eq!(world.overview(leader).unwrap().counts.probes, before, "nobody is asked");
    assert_eq!(failovers(&world, "a"), []);
}

/// U29: several brokers on one connection.
#[test]
fn all_brokers_of_a_connection_are_noticed() {
    let mut world = World::founded(1, 1_210);
    for set in ["a", "b", "c"] {
        world.add_synced_set(set, 2);
    }
    world.run(1_000);
    // From now on the masters share one connection, as in a broker container.
    let shared = ConnectionId(900);
    let masters = [0, 2, 4];
    for master in masters {
        world.brokers[master].connections.insert(1, shared);
    }
    world.run(1_100);
    for master in masters {
        world.stop(master, Door::Refuses);
    }
    let (node, boot) = (1, world.nodes[&1].boot);
    world
        .after(0, What::Tell { node, boot, event: Event::ConnectionClosed { connection: shared } });
    world.run(50);
    for set in ["a", "b", "c"] {
        assert_eq!(failovers(&world, set), [Some(2)], "{set}");
    }
}

/// U33: a thousand masters die in one instant; they are elected in a few entries.
#[test]
fn mass_failover_shares_entries() {
    const SETS: usize = 150;
    let mut world = World::founded(3, 1_220);
    world.checks.is_shallow = true;
    for number in 0..SETS {
        let set = format!("set-{number}");
        world.add_synced_set(&set, 2);
    }
    world.run(2_000);
    let leader = world.leader().unwrap();
    let before = world.overview(leader).unwrap();
    for number in 0..SETS {
        world.kill_broker(number * 2);
    }
    world.run(1_000);
    let after = world.overview(leader).unwrap();
    assert_eq!(after.counts.commands - before.counts.commands, SETS as u64);
    let entries = after.applied - before.applied;
    assert!(entries <= 40, "{entries} entries for {SETS} elections");
    for number in 0..SETS {
        let told = world.brokers[number * 2 + 1].newest_notice().map(|notice| notice.master_epoch);
        assert_eq!(told, Some(2), "set-{number}");
    }
}

/// A broker is heard again while the others are still being asked about it.
#[test]
fn a_broker_that_comes_back_at_once_is_not_killed_by_its_own_death() {
    for seed in 0..10 {
        let (mut world, brokers) = with_set(1_230 + seed);
        // A follower that does not answer makes the round as long as it gets.
        let (leader, slow) = (world.leader().unwrap(), world.follower());
        world.freeze(slow, 200);
        world.kill_broker(brokers[0]);
        let wait = 5_000 + world.random.below(40_000);
        world.run_micros(wait);
        world.restart_broker(brokers[0]);
        world.run(500);
        assert_eq!(deaths(&world, leader, "a", 1), [], "seed {seed}, after {wait} us");
        assert_eq!(failovers(&world, "a"), [], "seed {seed}, after {wait} us");
    }
}

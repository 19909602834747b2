//! When a broker counts as dead (DESIGN, "Death of a broker"), and when it does not (C10).

use crate::broker::{Broker, Door};
use crate::request::{alter, apply_id, elect};
use crate::world::{MS, What, World};
use controller::{ConnectionId, DeathReason, Event, Note};

/// The elections of `set` that changed something, after its first.
fn failovers(world: &World, set: &str) -> Vec<Option<i64>> {
    let of_set = world.checks.elections.iter().filter(|(name, _)| name == set);
    of_set.map(|(_, master)| *master).skip(1).collect()
}

/// When `node` said that a broker is dead, and why.
fn deaths(world: &World, node: u64, set: &str, dead: i64) -> Vec<(u64, DeathReason)> {
    let notes = world.nodes[&node].notes.iter().filter_map(|(at, note)| match note {
        Note::BrokerDead { set: of, id, reason, .. } if **of == *set && *id == dead => {
            Some((*at, *reason))
        }
        _ => None,
    });
    notes.collect()
}

/// Three nodes and set `a` of three brokers in sync, 1 the master, all remembered.
fn with_set(seed: u64) -> (World, Vec<usize>) {
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

/// A leader that was stopped for 5 s finds the brokers' closed connections and its own old table.
#[test]
fn a_pause_of_the_leader_is_no_failover() {
    for (seed, pause) in [(1_140, 900), (1_141, 3_000), (1_142, 5_000), (1_143, 12_000)] {
        let (mut world, brokers) = with_set(seed);
        let leader = world.leader().unwrap();
        world.freeze(leader, pause);
        world.run(pause / 2);
        // Brokers close connections on which an answer is later than 3 s.
        for broker in &brokers {
            if let Some(connection) = world.brokers[*broker].connections.remove(&leader) {
                world.tell(leader, Event::ConnectionClosed { connection });
            }
        }
        world.run(pause / 2 + 20_000);
        assert_eq!(failovers(&world, "a"), [], "pause of {pause} ms");
    }
}

/// The same where nobody else can lead, and the first thing that the leader hears is a replica that asks to be
/// master. Its question must not be judged by a table that is as old as the pause.
#[test]
fn a_pause_of_the_only_peer_deposes_nobody() {
    for pause in [5_000, 12_000, 60_000] {
        let mut world = World::founded(1, 1_150 + pause);
        world.add_synced_set("a", 2);
        world.run(1_000);
        world.freeze(1, pause);
        // The heartbeats of the pause do not wait in the inbox: brokers gave up.
        for broker in 0..2 {
            world.brokers[broker].cut_from.insert(1);
            world.brokers[broker].connections.clear();
        }
        world.run(pause - 10);
        let ticket = world.send_request(1, elect("a", 2));
        let answer = world.await_answer(ticket);
        assert_eq!(answer.code, 2011, "pause of {pause} ms: {answer:?}");
        for broker in 0..2 {
            world.brokers[broker].cut_from.clear();
        }
        world.run(20_000);
        assert_eq!(failovers(&world, "a"), [], "pause of {pause} ms");
    }
}

/// With a campaign time-out of 20 s the core is woken each 0.5 to 1.5 s: these are no pauses.
#[test]
fn a_long_campaign_timeout_is_no_pause() {
    let mut world = World::new(1, 1_155);
    world.election_timeout_ms = 20_000;
    world.start(1);
    world.await_leader(60_000);
    let brokers = world.add_set("a", 1);
    world.silence_broker(brokers[0]);
    world.run(12_000);
    assert_eq!(failovers(&world, "a"), [None]);
    // And the core is woken for a deadline, however far apart the ticks are.
    let late = deaths(&world, 1, "a", 1)[0].0 - (world.heard[&(1, brokers[0])] + 10_000 * MS);
    assert!(late < MS, "{late} us");
}

/// All controllers restart while the master is dead: it had 10 s to be heard, then a replica takes over.
#[test]
fn a_new_leader_with_an_empty_table_gives_ten_seconds() {
    let (mut world, brokers) = with_set(1_160);
    for node in world.ids() {
        world.crash(node);
    }
    world.kill_broker(brokers[0]);
    for node in world.ids() {
        world.start(node);
    }
    world.await_leader(5_000);
    let began = world.now;
    let leader = world.leader().unwrap();
    world.run(1_500);
    // A replica that asks meanwhile hears that the master stays.
    world.expect(leader, elect("a", 2), 2011);
    world.run(8_400);
    assert_eq!(failovers(&world, "a"), []);
    world.run_until(300, |world| !failovers(world, "a").is_empty());
    let took = (world.now - began) / MS;
    assert!((9_950..=10_100).contains(&took), "{took} ms");
}

/// Who was heard has no time to be heard any more: its death counts at once.
#[test]
fn a_master_that_returned_and_died_is_replaced_at_once() {
    let (mut world, brokers) = with_set(1_161);
    for node in world.ids() {
        world.crash(node);
    }
    for broker in &brokers {
        world.stop(*broker, Door::Accepts);
    }
    for node in world.ids() {
        world.start(node);
    }
    world.await_leader(5_000);
    world.run(1_000);
    for broker in &brokers {
        world.restart_broker(*broker);
    }
    world.run(2_000);
    world.kill_broker(brokers[0]);
    world.run_until(100, |world| !failovers(world, "a").is_empty());
}

/// The same in the moment in which a leader is elected and has not applied an entry of its own yet: it does not
/// know whom to wait for.
#[test]
fn a_leader_that_is_not_ready_judges_nobody() {
    for seed in 0..5 {
        let (mut world, _) = with_set(1_165 + seed);
        world.conditions.sync = (20_000, 20_000);
        for node in world.ids() {
            world.crash(node);
        }
        for broker in 0..3 {
            world.stop(broker, Door::Accepts);
        }
        for node in world.ids() {
            world.start(node);
        }
        world.run_until(5_000, |world| world.leader().is_some());
        let leader = world.leader().unwrap();
        let answer = world.ask(leader, elect("a", 2));
        assert!([2007, 2011].contains(&answer.code), "seed {seed}: {answer:?}");
        world.run(1_000);
        assert_eq!(failovers(&world, "a"), [], "seed {seed}");
    }
}

/// Requests that wait behind each other: the set does not exist yet when the evidence of its election is taken.
#[test]
fn evidence_of_a_set_that_is_just_being_made() {
    let mut world = World::new(1, 1_168);
    world.live.enable_elect_unclean_master = true;
    world.start(1);
    world.await_leader(3_000);
    for id in 1..=2 {
        world.add_broker(Broker::new("a", id));
    }
    world.run(100);
    let requests = [
        apply_id("a", 1, "a.1:30911"),
        apply_id("a", 2, "a.2:30911"),
        elect("a", 1),
        elect("a", 2),
    ];
    world.freeze(1, 50);
    let tickets = requests.map(|request| {
        world.run(1);
        world.send_request(1, request)
    });
    world.run(200);
    let code = world.await_answer(tickets[3]).code;
    assert_eq!((code, failovers(&world, "a")), (2011, vec![]), "1 is alive and stays");
}

/// U30: all controllers restart, and brokers return over 9 s. Nobody is failed over.
#[test]
fn a_cold_start_expires_nobody() {
    for seed in 0..5 {
        let (mut world, brokers) = with_set(1_170 + seed);
        for node in world.ids() {
            world.crash(node);
        }
        for broker in &brokers {
            world.stop(*broker, Door::Accepts);
        }
        // The newest entries may be durable and not yet known to be committed: they are applied by a leader.
        for node in world.ids() {
            world.start(node);
        }
        world.await_leader(5_000);
        for broker in &brokers {
            let pause = world.random.below(3_000);
            world.run(pause);
            world.restart_broker(*broker);
        }
        world.run(20_000);
        assert_eq!(failovers(&world, "a"), [], "seed {seed}");
    }
}

/// What a leader applies only after its campaign counts for the grace too: here the election itself.
#[test]
fn a_cold_start_right_after_an_election_expires_nobody() {
    for (count, seed) in [(1, 1_180), (1, 1_181), (3, 1_182), (3, 1_183), (3, 1_184)] {
        let mut world = World::founded(count, seed);
        let brokers = world.add_set("a", 2);
        for node in world.ids() {
            world.crash(node);
        }
        for broker in &brokers {
            world.stop(*broker, Door::Accepts);
        }
        for node in world.ids() {
            world.start(node);
        }
        world.await_leader(5_000);
        world.run(4_000);
        // The replica first: it must not take over because the master is not heard yet.
        world.restart_broker(brokers[1]);
        world.run(3_000);
        world.restart_broker(brokers[0]);
        world.run(20_000);
        assert_eq!(failovers(&world, "a"), [], "{count} nodes, seed {seed}");
    }
}

/// The leader and the master die together: the new leader asks about what it saw close before it led.
#[test]
fn leader_and_master_killed_together() {
    for seed in 0..10 {
        let (mut world, brokers) = with_set(1_190 + seed);
        let old = world.leader().unwrap();
        world.crash(old);
        world.kill_broker(brokers[0]);
        let took = world.run_until(12_000, |world| !failovers(world, "a").is_empty());
        assert!(took <= 800, "seed {seed}: {took} ms");
        assert_eq!(failovers(&world, "a"), [Some(2)]);
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

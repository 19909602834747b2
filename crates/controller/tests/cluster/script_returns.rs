//! What a controller that was away, or is new in its place, makes of brokers: pauses, restarts, new leaders (C10).

use crate::broker::{Broker, Door};
use crate::request::{apply_id, elect};
use crate::script_brokers::{deaths, failovers, with_set};
use crate::world::{MS, World};
use controller::Event;

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

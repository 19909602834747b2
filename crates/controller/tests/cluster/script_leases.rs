//! Reads under a lease (rule D18): what they save, and everything that must void them.

use crate::request::{apply_id, info, next_id};
use crate::world::World;
use controller::{Inspect, ReadMode};

fn leased(count: u64, seed: u64) -> World {
    let mut world = World::new(count, seed);
    world.read_mode = ReadMode::Lease;
    world.found();
    world.run(1_000);
    world
}

fn leased_reads(world: &World, node: u64) -> u64 {
    world.overview(node).unwrap().counts.leased_reads
}

#[test]
fn a_leader_with_a_lease_answers_without_a_round() {
    let mut world = leased(3, 1);
    let leader = world.leader().unwrap();
    world.expect(leader, apply_id("a", 1, "x"), 0);
    let before = leased_reads(&world, leader);
    for _ in 0..20 {
        world.expect(leader, next_id("a"), 0);
    }
    assert_eq!(leased_reads(&world, leader) - before, 20);
    let follower = world.follower();
    world.expect(follower, next_id("a"), 0);
    assert_eq!(leased_reads(&world, follower), 0, "a follower asks its leader");
}

#[test]
fn without_the_option_there_is_no_lease() {
    let mut world = World::founded(3, 2);
    world.run(1_000);
    let leader = world.leader().unwrap();
    world.expect(leader, next_id("a"), 0);
    assert_eq!(leased_reads(&world, leader), 0);
}

/// The promise of a lease: while it lasts nobody else leads. Leaders are cut off at any moment of their rounds.
#[test]
fn no_lease_outlives_the_election_of_another() {
    for seed in 100..160 {
        let mut world = leased(3, seed);
        let pause = world.random.below(400);
        world.run(pause);
        let old = world.leader().unwrap();
        world.isolate(old);
        let mut last_leased = 0;
        let mut elected = None;
        for ms in 0..3_000 {
            let before = leased_reads(&world, old);
            world.tell_request(old, &info("a"));
            world.run(1);
            if leased_reads(&world, old) > before {
                last_leased = ms;
            }
            let others = world.ids().into_iter().filter(|&node| node != old);
            let is_led = others
                .filter_map(|node| world.overview(node))
                .any(|overview| overview.role == Some(controller::Role::Leader));
            if is_led && elected.is_none() {
                elected = Some(ms);
            }
        }
        let elected = elected.expect("a majority elects");
        assert!(last_leased > 0, "seed {seed}: the lease was used");
        assert!(last_leased < elected, "seed {seed}: {last_leased} ms, elected at {elected} ms");
    }
}

/// A peer that started again forgot whom it heard: it grants no vote for one campaign time-out.
#[test]
fn a_restarted_peer_does_not_vote_at_once() {
    for seed in 200..230 {
        let mut world = leased(3, seed);
        let old = world.leader().unwrap();
        let restarted = world.follower();
        world.isolate(old);
        world.run(900);
        world.crash(restarted);
        world.start(restarted);
        world.run(600);
        assert_eq!(world.leader().filter(|&leader| leader != old), None, "seed {seed}");
        let took = world.await_other_leader(4_000, old);
        assert!(took > 0, "seed {seed}");
    }
}

/// Rule D23 would elect another before the lease is over.
#[test]
fn a_crashed_leader_costs_a_whole_time_out() {
    for seed in 300..310 {
        let mut world = leased(3, seed);
        let old = world.leader().unwrap();
        world.crash(old);
        let took = world.await_other_leader(4_000, old);
        assert!(took >= 800, "seed {seed}: {took} ms");
    }
}

/// One peer without the option breaks the rules, so nobody uses a lease.
#[test]
fn one_peer_without_leases_is_enough() {
    let mut world = leased(3, 3);
    let (leader, other) = (world.leader().unwrap(), world.follower());
    world.read_mode = ReadMode::Index;
    world.crash(other);
    world.start(other);
    world.run(2_000);
    assert_eq!(world.leader(), Some(leader));
    let before = leased_reads(&world, leader);
    world.expect(leader, next_id("a"), 0);
    assert_eq!(leased_reads(&world, leader), before);
    let status = world.inspect(leader, Inspect::Status);
    assert!(status.contains("not every peer said"), "{status}");
}

/// Not even a hand-over that fails leaves the lease: the word to campaign may still be under way.
#[test]
fn a_hand_over_ends_the_lease() {
    let mut world = leased(3, 4);
    let leader = world.leader().unwrap();
    let before = leased_reads(&world, leader);
    for other in world.ids() {
        if other != leader {
            world.cut(leader, other);
        }
    }
    world.tell(leader, controller::Event::Stop);
    world.run(5);
    world.tell_request(leader, &info("a"));
    world.run(5);
    assert_eq!(leased_reads(&world, leader), before);
}

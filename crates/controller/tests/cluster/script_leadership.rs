//! Leaders die, freeze, are cut off and come back.

use crate::request::{alter, apply_id, info, next_id, version};
use crate::world::{Ending, MS, World};
use controller::{Event, PeerId};
use protocol::Request;

/// D23: the address of a crashed leader refuses, so it is replaced in no more than 0.4 s.
#[test]
fn leader_refused() {
    for (count, seeds) in [(3, 100..120), (5, 200..210)] {
        for seed in seeds {
            let mut world = World::founded(count, seed);
            let pause = world.random.below(500);
            world.run(pause);
            let old = world.leader().unwrap();
            world.crash(old);
            let took = world.await_other_leader(400, old);
            assert!(took <= 400, "{count} peers, seed {seed}: {took} ms");
            let leader = world.leader().unwrap();
            world.expect(leader, apply_id("a", 1, "x"), 0);
        }
    }
}

/// Whoever alone sees a refusal deposes nobody: the others still hear the leader.
#[test]
fn leader_refused_by_one_peer_only() {
    for seed in 0..10 {
        let mut world = World::founded(3, seed);
        let (leader, follower) = (world.leader().unwrap(), world.follower());
        let term = world.overview(leader).unwrap().term;
        for _ in 0..5 {
            world.tell(follower, Event::PeerUnreachable { peer: PeerId(leader), is_refused: true });
            world.run(100);
        }
        world.tell(follower, Event::PeerReachable { peer: PeerId(leader) });
        world.run(3_000);
        assert_eq!(world.leader(), Some(leader), "seed {seed}");
        assert_eq!(world.overview(leader).unwrap().term, term, "seed {seed}");
        world.expect(follower, next_id("a"), 0);
    }
}

/// A leader that is cut off or frozen is replaced after the campaign time-out, E = 1 s.
#[test]
fn leader_silent() {
    for seed in 0..10 {
        let mut world = World::founded(3, 300 + seed);
        world.add_set("a", 1);
        let old = world.leader().unwrap();
        let is_cut = seed % 2 == 0;
        if is_cut {
            world.isolate(old);
        } else {
            world.freeze(old, 4_000);
        }
        let took = world.await_other_leader(2_000, old);
        assert!(took >= 600, "seed {seed}: nobody was in a hurry: {took} ms");
        let leader = world.leader().unwrap();
        world.expect(leader, alter("a", (1, 1, 1), &[1]), 2013);
        world.run(4_000);
        world.heal();
        world.run(3_000);
        world.expect(old, info("a"), 0);
        let roles = world
            .ids()
            .into_iter()
            .filter(|node| world.overview(*node).unwrap().role == Some(consensus::Role::Leader));
        assert_eq!(roles.count(), 1, "seed {seed}");
    }
}

/// U36: a leader that is cut off names itself no longer than 2 E.
#[test]
fn a_leader_without_a_quorum_names_nobody() {
    let mut world = World::founded(3, 60);
    let old = world.leader().unwrap();
    world.isolate(old);
    world.run(2_000);
    let metadata = world.expect(old, Request::GetMetadataInfo, 0);
    assert_eq!(metadata.ext.get("controllerLeaderAddress"), Some(""));
    assert_eq!(metadata.ext.get("isLeader"), Some("false"));
    // It looks whether a quorum follows it once in E, and its ticks are not all equally long.
    world.run(300);
    world.expect(old, apply_id("a", 1, "x"), 2007);
    world.expect(old, info("a"), 2007);
}

/// D8, D9, K4: whoever waits for a leader that is cut off hears an end, and no lie.
#[test]
fn step_down_with_waiters() {
    for seed in 0..8 {
        let mut world = World::founded(3, 400 + seed);
        world.add_synced_set("a", 2);
        let old = world.leader().unwrap();
        world.isolate(old);
        let mut writes = Vec::new();
        for number in 0..30 {
            writes.push(world.send_request(old, apply_id(&format!("w{number}"), 1, "x")));
            let reader = old;
            writes.push(world.send_request(reader, info("a")));
            world.run(50);
        }
        world.run(1_500);
        let leader = world.leader().unwrap();
        assert_ne!(leader, old);
        world.heal();
        world.run(4_000);
        // The first was in the old leader's log: who knows. K4: it is not said to have failed.
        let first = world.ending(writes[0]).cloned();
        assert!(matches!(first, Some(Ending::Answer(answer)) if answer.code == 1), "seed {seed}");
        for ticket in writes {
            let Some(Ending::Answer(answer)) = world.ending(ticket).cloned() else {
                panic!("seed {seed}: {:?} never ended", world.asked[ticket.0].request);
            };
            assert!([1, 2007].contains(&answer.code), "seed {seed}: {answer:?}");
            // 2007 says: nothing was done. Nothing that reached only the old leader's log is in the new one's.
            let name = crate::request::set_of(&world.asked[ticket.0].request).unwrap();
            let is_done = world.checks.state().broker_set(&name).is_some();
            assert!(name == "a" || !is_done, "seed {seed}: {name} was done");
        }
        let overview = world.overview(old).unwrap();
        assert_eq!((overview.writes_waiting, overview.reads_waiting), (0, 0));
    }
}

/// What the next leader overwrites was not done, and yet its caller is told no more than that nobody knows: the same
/// answer as to a write that the next leader finds and commits.
#[test]
fn an_overwritten_write_is_unknown() {
    for seed in 0..5 {
        let mut world = World::founded(3, 450 + seed);
        let old = world.leader().unwrap();
        world.isolate(old);
        let ticket = world.send_request(old, apply_id("a", 1, "x"));
        let began = world.now;
        world.await_other_leader(2_300, old);
        world.heal();
        let answer = world.await_answer(ticket);
        assert_eq!(answer.code, 1, "seed {seed}: {answer:?}");
        assert!(world.now - began < 2_450 * MS, "seed {seed}: it did not wait for its deadline");
        assert!(world.checks.state().broker_set("a").is_none());
    }
}

/// A write that the dying leader spread is unknown to its caller, and done by the next leader.
#[test]
fn a_write_in_flight_at_a_crash_is_unknown_and_done_at_most_once() {
    let mut done = 0;
    for seed in 0..30 {
        let mut world = World::founded(3, 500 + seed);
        let old = world.leader().unwrap();
        let ticket = world.send_request(old, apply_id("a", 1, "x"));
        let wait = 300 + world.random.below(2_500);
        world.run_micros(wait);
        world.crash(old);
        world.await_other_leader(2_000, old);
        let leader = world.leader().unwrap();
        let next = world.expect(leader, next_id("a"), 0).ext.long("nextBrokerId");
        let is_done = next == Some(2);
        done += u64::from(is_done);
        if let Some(Ending::Answer(answer)) = world.ending(ticket) {
            assert_eq!((answer.code, is_done), (0, true), "seed {seed}: C14, C4");
        }
    }
    assert!((1..30).contains(&done), "both ends are seen: {done} of 30");
}

/// D17: readers of a new leader wait for its first entry; none is dropped (restate #2950).
#[test]
fn read_at_new_leader() {
    for seed in 0..10 {
        let mut world = World::founded(3, 600 + seed);
        world.add_set("a", 1);
        world.conditions.sync = (20_000, 20_000);
        let old = world.leader().unwrap();
        world.crash(old);
        world.run_until(2_000, |world| world.leader().is_some());
        let leader = world.leader().unwrap();
        let overview = world.overview(leader).unwrap();
        assert!(overview.applied < overview.last, "seed {seed}: it is not ready yet");
        let answer = world.expect(leader, info("a"), 0);
        assert_eq!(version(&info("a"), &answer), Some((1, 1)));
    }
}

/// U05: an old leader that wakes up answers nothing stale to those who asked while it slept.
#[test]
fn a_paused_old_leader_answers_nothing_stale() {
    for seed in 0..10 {
        let mut world = World::founded(3, 700 + seed);
        world.add_synced_set("a", 2);
        let old = world.leader().unwrap();
        world.freeze(old, 3_000);
        world.await_other_leader(2_000, old);
        let leader = world.leader().unwrap();
        world.expect(leader, alter("a", (1, 1, 2), &[1]), 0);
        let tickets: Vec<_> = (0..5)
            .map(|_| {
                world.run(10);
                world.send_request(old, info("a"))
            })
            .collect();
        world.run(4_500);
        for ticket in tickets {
            // A stale answer is caught by K2; 2007 is an honest one.
            let Some(Ending::Answer(answer)) = world.ending(ticket) else {
                panic!("seed {seed}: a reader waits for ever")
            };
            assert!([0, 2007].contains(&answer.code), "seed {seed}: {answer:?}");
        }
        world.expect(old, info("a"), 0);
    }
}

/// One-way cuts of the leader: it hears all and reaches nobody, or the other way round.
#[test]
fn leader_cut_in_one_direction() {
    for seed in 0..8 {
        let mut world = World::founded(3, 800 + seed);
        world.add_set("a", 1);
        let old = world.leader().unwrap();
        for other in world.ids() {
            if other != old {
                world.cuts.insert(if seed % 2 == 0 { (old, other) } else { (other, old) });
            }
        }
        world.await_other_leader(3_000, old);
        let leader = world.leader().unwrap();
        world.expect(leader, info("a"), 0);
        world.run(1_000);
        world.expect(old, info("a"), 2007);
        world.heal();
        world.run(2_000);
        world.expect(old, info("a"), 0);
    }
}

/// A majority comes and goes; what was acknowledged stays.
#[test]
fn majority_killed_and_restarted() {
    for seed in 0..6 {
        let mut world = World::founded(3, 900 + seed);
        world.add_synced_set("a", 2);
        let kept = world.follower();
        for node in world.ids() {
            if node != kept {
                world.crash(node);
            }
        }
        world.run(3_000);
        assert_eq!(world.leader(), None, "seed {seed}");
        world.expect(kept, info("a"), 2007);
        for node in world.ids() {
            if node != kept {
                world.start(node);
            }
        }
        let took = world.await_leader(4_000);
        assert!(took <= 3_000, "seed {seed}: {took} ms");
        let leader = world.leader().unwrap();
        let answer = world.expect(leader, info("a"), 0);
        assert_eq!(version(&info("a"), &answer), Some((1, 2)), "seed {seed}");
    }
}

/// A forward whose leader dies ends as unknown at once, not at the deadline.
#[test]
fn a_forward_to_a_dying_leader_is_unknown() {
    let mut world = World::founded(3, 950);
    let (leader, follower) = (world.leader().unwrap(), world.follower());
    world.freeze(leader, 60_000);
    let ticket = world.send_request(follower, apply_id("a", 1, "x"));
    world.run(100);
    assert_eq!(world.ending(ticket), None);
    let began = world.now;
    world.crash(leader);
    let answer = world.await_answer(ticket);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(world.now - began < 20 * MS);
}

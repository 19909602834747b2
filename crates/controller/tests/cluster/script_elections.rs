//! Elections of the controller's own, what follows a clean, and notices.

use crate::broker::Broker;
use crate::request::{
    alter, apply_id, clean, designate, elect, info, next_id, register, set_in, version,
};
use crate::world::{MS, World};
use controller::{ElectionReason, ElectionResult, Event, LiveSettings, Note};

fn version_of(world: &mut World, set: &str) -> Option<(i32, i32)> {
    let leader = world.leader().expect("a leader");
    let answer = world.ask(leader, info(set));
    version(&info(set), &answer)
}

fn master_of(world: &mut World, set: &str) -> Option<i64> {
    let leader = world.leader().expect("a leader");
    world.ask(leader, info(set)).ext.long("masterBrokerId")
}

/// U09: all members are dead. The epoch rises once, and nothing more is proposed until somebody returns.
#[test]
fn a_failed_election_raises_the_epoch_once() {
    let mut world = World::founded(3, 2_000);
    let brokers = world.add_synced_set("a", 3);
    world.run(2_000);
    // The master last: whoever outlives it would be elected, and be alone in sync.
    for broker in brokers.iter().rev() {
        world.silence_broker(*broker);
        world.run(1_500);
    }
    world.run(20_000);
    assert_eq!(version_of(&mut world, "a"), Some((2, 2)));
    assert_eq!(master_of(&mut world, "a"), None);
    let commands = world.checks.commands;
    world.run(120_000);
    assert_eq!(version_of(&mut world, "a"), Some((2, 2)));
    assert_eq!(world.checks.commands, commands, "nothing is proposed while nobody lives");
    // A new leader does not try again either.
    let old = world.leader().unwrap();
    world.crash(old);
    world.await_other_leader(2_000, old);
    world.run(15_000);
    assert_eq!(version_of(&mut world, "a"), Some((2, 2)));
}

/// Whoever of the set returns is elected by its heartbeat.
#[test]
fn a_member_that_returns_is_elected_at_once() {
    let mut world = World::founded(3, 2_001);
    let brokers = world.add_synced_set("a", 3);
    world.run(2_000);
    for broker in brokers.iter().rev() {
        world.kill_broker(*broker);
        world.run(200);
    }
    world.run(15_000);
    assert_eq!(master_of(&mut world, "a"), None);
    let began = world.now;
    world.restart_broker(brokers[2]);
    world.run_until(100, |world| {
        world.brokers[brokers[2]].newest_notice().is_some_and(|notice| notice.master_broker_id == 3)
    });
    assert!(world.now - began < 20 * MS);
    world.run(20_000);
    assert_eq!(master_of(&mut world, "a"), Some(3));
    let notes = world.ids().into_iter().flat_map(|node| world.nodes[&node].notes.clone());
    let elections: Vec<_> = notes
        .filter_map(|(_, note)| match note {
            Note::Election { result, reason, master, .. } => Some((reason, result, master)),
            _ => None,
        })
        .collect();
    let lost = ElectionReason::MasterLost;
    assert!(elections.contains(&(ElectionReason::Broker, ElectionResult::NewMaster, Some(1))));
    assert!(elections.contains(&(lost, ElectionResult::NoMaster, None)), "{elections:?}");
    assert!(elections.contains(&(lost, ElectionResult::NewMaster, Some(3))), "{elections:?}");
}

/// A broker may ask for its first election before its first heartbeat is here: they travel on two connections.
#[test]
fn a_master_that_asked_before_it_was_heard_has_time() {
    let mut world = World::founded(3, 2_003);
    let leader = world.leader().unwrap();
    world.expect(leader, apply_id("a", 1, "a.1:30911"), 0);
    world.expect(leader, elect("a", 1), 0);
    world.run(3_000);
    assert_eq!(version_of(&mut world, "a"), Some((1, 1)));
    world.add_broker(Broker::new("a", 1));
    world.run(20_000);
    assert_eq!(version_of(&mut world, "a"), Some((1, 1)));
    // One that is never heard is dead after one time-out.
    world.expect(leader, apply_id("b", 1, "b.1:30911"), 0);
    world.expect(leader, elect("b", 1), 0);
    world.run(9_900);
    assert_eq!(version_of(&mut world, "b"), Some((1, 1)));
    world.run(200);
    assert_eq!(version_of(&mut world, "b"), Some((2, 1)));
    assert_eq!(master_of(&mut world, "b"), None);
}

/// Outside the sync-state set nobody is elected, unless the setting says so.
#[test]
fn only_an_unclean_election_takes_a_replica_that_is_behind() {
    let mut world = World::founded(3, 2_002);
    let brokers = world.add_set("a", 2);
    world.run(2_000);
    world.kill_broker(brokers[0]);
    world.run(15_000);
    assert_eq!(master_of(&mut world, "a"), None);
    let leader = world.leader().unwrap();
    world.expect(leader, elect("a", 2), 2012);
    world.expect(leader, designate("a", 2), 2012);
    let live = LiveSettings { enable_elect_unclean_master: true, ..LiveSettings::default() };
    for node in world.ids() {
        world.tell(node, Event::Configured(live.clone()));
    }
    world.run(6_000);
    assert_eq!(master_of(&mut world, "a"), Some(2));
    assert_eq!(version_of(&mut world, "a"), Some((3, 2)));
}

/// The first master of a set is not the controller's to choose, not even an unclean one.
#[test]
fn nobody_is_elected_before_a_broker_asks() {
    let mut world = World::new(3, 2_004);
    world.live.enable_elect_unclean_master = true;
    for node in world.ids() {
        world.start(node);
    }
    world.await_leader(5_000);
    let leader = world.leader().unwrap();
    for id in 1..=2 {
        world.add_broker(Broker::new("a", id));
        world.expect(leader, apply_id("a", id, &crate::broker::address("a", id)), 0);
    }
    world.run(15_000);
    assert_eq!(version_of(&mut world, "a"), Some((0, 0)));
    world.expect(leader, elect("a", 2), 0);
    assert_eq!(master_of(&mut world, "a"), Some(2));
}

/// The best of those in sync: by epoch, then offset, then priority, then id.
#[test]
fn the_most_advanced_member_is_elected() {
    type Standing = (i32, i64, i32);
    let rows: [(Standing, Standing, i64); 5] = [
        ((2, 10, 9), (1, 99, 1), 2),
        ((1, 10, 9), (1, 11, 9), 3),
        ((1, 10, 9), (1, 10, 1), 3),
        ((1, 10, 1), (1, 10, 1), 2),
        ((1, i64::MAX, 1), (1, i64::MIN, 1), 2),
    ];
    for (seed, (two, three, expected)) in (2_010..).zip(rows) {
        let mut world = World::founded(3, seed);
        let brokers = world.add_synced_set("a", 3);
        for (broker, (epoch, max_offset, priority)) in [(brokers[1], two), (brokers[2], three)] {
            let broker = &mut world.brokers[broker];
            (broker.epoch, broker.max_offset, broker.priority) = (epoch, max_offset, priority);
        }
        world.run(2_000);
        world.kill_broker(brokers[0]);
        world.run(100);
        assert_eq!(master_of(&mut world, "a"), Some(expected), "{two:?} {three:?}");
    }
}

/// U31: a broker that truncates reports less, and counts as what it reports.
#[test]
fn offsets_may_fall() {
    let mut world = World::founded(3, 2_020);
    let brokers = world.add_synced_set("a", 3);
    world.brokers[brokers[1]].max_offset = 500;
    world.brokers[brokers[2]].max_offset = 400;
    world.run(2_000);
    world.brokers[brokers[1]].max_offset = 100;
    world.run(2_000);
    world.kill_broker(brokers[0]);
    world.run(100);
    assert_eq!(master_of(&mut world, "a"), Some(3));
}

/// #9815: quorum is lost in mid-election; the election is held when it is back, and once.
#[test]
fn an_election_without_a_quorum_is_held_later() {
    let mut world = World::founded(3, 2_021);
    let brokers = world.add_synced_set("a", 2);
    world.run(2_000);
    let leader = world.leader().unwrap();
    for node in world.ids() {
        if node != leader {
            world.crash(node);
        }
    }
    world.kill_broker(brokers[0]);
    world.run(5_000);
    for node in world.ids() {
        if node != leader {
            world.start(node);
        }
    }
    world.await_leader(5_000);
    world.run(15_000);
    assert_eq!(version_of(&mut world, "a"), Some((2, 3)));
    assert_eq!(master_of(&mut world, "a"), Some(2));
}

/// DESIGN, "Cleaning and coming again".
#[test]
fn cleaned_sets() {
    let mut world = World::founded(3, 2_030);
    let brokers = world.add_synced_set("a", 3);
    world.run(1_000);
    let leader = world.leader().unwrap();
    // Some ids, a replica: out of the set too.
    world.expect(leader, clean("a", Some("3"), true), 0);
    assert_eq!(version_of(&mut world, "a"), Some((1, 3)));
    let answer = world.expect(leader, info("a"), 0);
    assert_eq!(set_in(&answer), [1, 2]);
    world.expect(leader, register("a", 3, "a.3:30911"), 2010);
    // The master: it is recorded no longer, and the other in-sync member is elected at once.
    world.expect(leader, clean("a", Some("1"), true), 0);
    world.run(50);
    assert_eq!(master_of(&mut world, "a"), Some(2));
    assert_eq!(version_of(&mut world, "a"), Some((3, 5)));
    // The whole set: unknown to brokers, but its ids and epochs go on.
    world.expect(leader, clean("a", None, true), 0);
    world.expect(leader, info("a"), 2008);
    world.expect(leader, register("a", 2, "a.2:30911"), 2010);
    world.expect(leader, elect("a", 2), 2010);
    let next = world.expect(leader, next_id("a"), 0);
    assert_eq!(next.ext.long("nextBrokerId"), Some(4));
    world.expect(leader, apply_id("a", 2, "a.2:30911"), 2014);
    world.expect(leader, apply_id("a", 4, "a.4:30911"), 0);
    world.run(10_000);
    assert_eq!(master_of(&mut world, "a"), None, "the first election is a broker's to ask for");
    world.add_broker(Broker::new("a", 4));
    world.expect(leader, elect("a", 4), 0);
    assert_eq!(version_of(&mut world, "a"), Some((5, 7)));
    // All in sync are gone, a replica remains: nobody, without an unclean election.
    world.add_synced_set("b", 2);
    world.expect(leader, alter("b", (1, 1, 2), &[1]), 0);
    world.expect(leader, clean("b", Some("1"), true), 0);
    world.run(10_000);
    assert_eq!(master_of(&mut world, "b"), None);
    world.expect(leader, elect("b", 2), 2012);
    drop(brokers);
}

/// U22: a notice is sent again until it is acknowledged.
#[test]
fn notices_are_retried_until_acknowledged() {
    let mut world = World::founded(3, 2_040);
    let brokers = world.add_synced_set("a", 3);
    world.run(2_000);
    world.brokers[brokers[2]].is_deaf = true;
    let before = world.brokers[brokers[2]].told.len();
    world.kill_broker(brokers[0]);
    world.run(16_000);
    let told = world.brokers[brokers[2]].told.len() - before;
    assert!(
        (2..=4).contains(&told),
        "{told} times in 16 s: 5 s for each answer, and a growing pause"
    );
    world.brokers[brokers[2]].is_deaf = false;
    world.run(12_000);
    let leader = world.leader().unwrap();
    let overview = world.overview(leader).unwrap();
    assert_eq!(overview.notices_waiting, 0);
    assert!(overview.notices.retried >= 2);
    let told = world.brokers[brokers[2]].told.len();
    world.run(20_000);
    assert_eq!(world.brokers[brokers[2]].told.len(), told, "an acknowledged one is not repeated");
}

/// The newest epoch wins; what is older is not repeated.
#[test]
fn the_newest_notice_wins() {
    let mut world = World::founded(3, 2_041);
    let brokers = world.add_synced_set("a", 3);
    world.run(2_000);
    let leader = world.leader().unwrap();
    world.brokers[brokers[2]].is_deaf = true;
    world.expect(leader, designate("a", 2), 0);
    world.expect(leader, alter("a", (2, 2, 3), &[1, 2]), 0);
    world.expect(leader, designate("a", 1), 0);
    world.run(12_000);
    let epochs: Vec<i32> =
        world.brokers[brokers[2]].told.iter().map(|(_, notice)| notice.master_epoch).collect();
    assert_eq!(epochs.iter().filter(|epoch| **epoch == 2).count(), 1, "{epochs:?}");
    assert!(epochs.iter().filter(|epoch| **epoch == 3).count() >= 2, "{epochs:?}");
    assert!(epochs.is_sorted(), "{epochs:?}");
    assert!(world.overview(leader).unwrap().notices.given_up >= 1);
}

/// D9: a leader that leads no more sends nothing more.
#[test]
fn notices_are_given_up_with_leadership() {
    let mut world = World::founded(3, 2_042);
    let brokers = world.add_synced_set("a", 3);
    world.run(2_000);
    let old = world.leader().unwrap();
    world.brokers[brokers[2]].is_deaf = true;
    world.kill_broker(brokers[0]);
    world.run(1_000);
    assert_eq!(world.overview(old).unwrap().notices_waiting, 1);
    world.isolate(old);
    world.run(5_000);
    let overview = world.overview(old).unwrap();
    assert_eq!((overview.notices_waiting, overview.notices.given_up), (0, 1));
    let told = world.brokers[brokers[2]].told.len();
    world.run(20_000);
    assert_eq!(world.brokers[brokers[2]].told.len(), told);
}

/// A dead broker is told nothing; when it returns it learns by asking.
#[test]
fn a_dead_broker_is_not_told() {
    let mut world = World::founded(3, 2_043);
    let brokers = world.add_synced_set("a", 3);
    world.run(2_000);
    world.brokers[brokers[2]].is_deaf = true;
    world.kill_broker(brokers[0]);
    world.run(1_000);
    let leader = world.leader().unwrap();
    assert_eq!(world.overview(leader).unwrap().notices_waiting, 1);
    world.kill_broker(brokers[2]);
    world.run(1_000);
    assert_eq!(world.overview(leader).unwrap().notices_waiting, 0);
}

#[test]
fn notices_can_be_switched_off() {
    let mut world = World::new(3, 2_044);
    world.live.notify_broker_role_changed = false;
    for node in world.ids() {
        world.start(node);
    }
    world.await_leader(5_000);
    let brokers = world.add_synced_set("a", 2);
    world.run(2_000);
    world.kill_broker(brokers[0]);
    world.run(2_000);
    assert_eq!(master_of(&mut world, "a"), Some(2));
    assert!(world.brokers.iter().all(|broker| broker.told.is_empty()));
}

/// A broker comes back at another address while a notice is on its way to the old one, where nobody answers.
#[test]
fn a_notice_follows_its_broker_to_a_new_address() {
    let mut world = World::founded(3, 2_045);
    let brokers = world.add_synced_set("a", 3);
    world.run(2_000);
    world.brokers[brokers[2]].is_deaf = true;
    world.kill_broker(brokers[0]);
    world.run(1_000);
    let leader = world.leader().unwrap();
    assert_eq!(world.overview(leader).unwrap().notices_waiting, 1);
    world.brokers[brokers[2]].address = "elsewhere:1".to_owned();
    world.brokers[brokers[2]].is_deaf = false;
    let before = world.brokers[brokers[2]].told.len();
    world.expect(leader, register("a", 3, "elsewhere:1"), 0);
    world.run(20);
    assert_eq!(world.brokers[brokers[2]].told.len(), before + 1, "told at once");
    assert_eq!(world.overview(leader).unwrap().notices_waiting, 0);
}

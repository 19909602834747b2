//! The table alone: who is alive when, and what an alarm finds.

use super::{
    ASKED_MS, CLOSED_MAX, LIVE_BROKERS_MAX, Liveness, PASS_ON_MS, PASS_ON_UNASKED_MS, Ring,
    SILENCE_AGAIN_MS, SILENCE_MS, TableFull,
};
use crate::event::ConnectionId;
use crate::instant::Instant;
use alloc::vec::Vec;
use consensus::PeerId;
use proptest::prelude::*;
use protocol::{BrokerHeartbeat, Text};
use std::collections::BTreeMap;

const CLUSTER: &str = "c";
const SET: &str = "s";

fn at(ms: u64) -> Instant {
    Instant::from_micros(ms * 1_000)
}

fn beat(timeout_ms: i64) -> BrokerHeartbeat {
    BrokerHeartbeat {
        cluster_name: Some(Text::from(CLUSTER)),
        broker_address: Some(Text::from("x:1")),
        broker_name: Some(Text::from(SET)),
        heartbeat_timeout_ms: Some(timeout_ms),
        ..BrokerHeartbeat::default()
    }
}

fn on(connection: u64) -> Option<ConnectionId> {
    Some(ConnectionId(connection))
}

fn ids(ring: &Ring) -> Vec<i64> {
    ring.dead.iter().map(|broker| broker.identity.id).collect()
}

/// Lets every alarm ring in order up to `end`; the moments of deaths in microseconds, and of silences.
fn ring_until(table: &mut Liveness, end: Instant) -> (Vec<(u64, i64)>, Vec<u64>) {
    let (mut dead, mut silent) = (Vec::new(), Vec::new());
    while let Some(next) = table.next_alarm().filter(|next| *next <= end) {
        let ring = table.ring(next, true);
        dead.extend(ids(&ring).into_iter().map(|id| (next.as_micros(), id)));
        silent.extend(ring.silent.iter().map(|_| next.as_micros() / 1_000));
    }
    (dead, silent)
}

#[test]
fn alive_up_to_the_deadline_and_no_longer() {
    let mut table = Liveness::default();
    let heard = table.heard(at(100), on(1), 1, &beat(10_000)).unwrap();
    assert!(heard.is_new && heard.is_new_address);
    let deadline = at(10_100);
    assert!(table.is_alive(deadline, CLUSTER, SET, 1));
    assert!(!table.is_alive(deadline.plus_micros(1), CLUSTER, SET, 1));
    assert!(!table.is_alive(at(100), "other", SET, 1), "the cluster's name counts");
    assert!(!table.is_alive(at(100), CLUSTER, SET, 2));
    let (dead, _) = ring_until(&mut table, at(60_000));
    assert_eq!(dead, [(deadline.as_micros() + 1, 1)], "to the microsecond");
    assert_eq!((table.len(), table.next_alarm()), (0, None));
}

#[test]
fn time_outs_and_their_borders() {
    for (timeout_ms, lives_ms) in
        [(1, 1), (10_000, 10_000), (86_400_000, 86_400_000), (i64::MAX, 86_400_000)]
    {
        let mut table = Liveness::default();
        table.heard(at(50), on(1), 1, &beat(timeout_ms)).unwrap();
        let end = at(50).plus_ms(lives_ms);
        assert!(table.is_alive(end, CLUSTER, SET, 1), "{timeout_ms}");
        assert!(!table.is_alive(end.plus_micros(1), CLUSTER, SET, 1), "{timeout_ms}");
    }
    for timeout_ms in [0, -1, i64::MIN] {
        let mut table = Liveness::default();
        table.heard(at(50), on(1), 1, &beat(timeout_ms)).unwrap();
        assert_eq!(table.is_alive(at(50), CLUSTER, SET, 1), timeout_ms == 0, "{timeout_ms}");
        assert!(!table.is_alive(at(51), CLUSTER, SET, 1), "{timeout_ms}: dead at once");
        assert_eq!(ids(&table.ring(at(51), true)), [1], "{timeout_ms}");
    }
    let mut table = Liveness::default();
    let none = BrokerHeartbeat { heartbeat_timeout_ms: None, ..beat(0) };
    table.heard(at(0), on(1), 1, &none).unwrap();
    assert!(table.is_alive(at(10_000), CLUSTER, SET, 1), "10 s where none is named");
}

#[test]
fn heartbeats_move_the_deadline_without_a_new_alarm() {
    let mut table = Liveness::default();
    for second in 0..100 {
        table.heard(at(second * 1_000), on(1), 1, &beat(10_000)).unwrap();
        assert!(ids(&table.ring(at(second * 1_000), true)).is_empty());
        assert!(table.alarms.len() <= 2, "one alarm, and one that is void");
    }
    let (dead, _) = ring_until(&mut table, at(200_000));
    assert_eq!(dead, [(109_000_001, 1)]);
}

#[test]
fn a_shorter_time_out_counts_at_once() {
    let mut table = Liveness::default();
    table.heard(at(0), on(1), 1, &beat(60_000)).unwrap();
    table.heard(at(1_000), on(1), 1, &beat(500)).unwrap();
    assert_eq!(ring_until(&mut table, at(9_000)).0, [(1_500_001, 1)]);
}

#[test]
fn silence_is_noticed_and_repeated() {
    let mut table = Liveness::default();
    table.heard(at(0), on(1), 1, &beat(10_000)).unwrap();
    table.heard(at(1_000), on(1), 1, &beat(10_000)).unwrap();
    let (dead, silent) = ring_until(&mut table, at(60_000));
    let mut expected: Vec<u64> = Vec::from([1_000 + SILENCE_MS]);
    while *expected.last().unwrap() + SILENCE_AGAIN_MS < 11_000 {
        expected.push(expected.last().unwrap() + SILENCE_AGAIN_MS);
    }
    assert_eq!(silent, expected);
    assert_eq!(dead, [(11_000_001, 1)]);
}

#[test]
fn a_deadline_is_shortened_but_never_lengthened() {
    let mut table = Liveness::default();
    let slot = table.heard(at(0), on(1), 1, &beat(10_000)).unwrap().slot;
    table.shorten(slot, at(20_000));
    table.shorten(slot, at(2_000));
    table.shorten(slot, at(5_000));
    assert!(table.is_alive(at(2_000), CLUSTER, SET, 1));
    assert_eq!(ring_until(&mut table, at(30_000)).0, [(2_000_001, 1)]);
    table.shorten(slot, at(1));
    // Heard again before it ends: the whole time-out counts.
    let slot = table.heard(at(3_000), on(1), 1, &beat(10_000)).unwrap().slot;
    table.shorten(slot, at(4_000));
    table.heard(at(3_500), on(1), 1, &beat(10_000)).unwrap();
    assert_eq!(ring_until(&mut table, at(30_000)).0, [(13_500_001, 1)]);
}

#[test]
fn after_a_pause_nobody_expires_for_a_while() {
    let mut table = Liveness::default();
    table.heard(at(0), on(1), 1, &beat(10_000)).unwrap();
    table.heard(at(0), on(2), 2, &beat(-5)).unwrap();
    table.forgive_until(at(23_000));
    assert!(table.is_alive(at(22_999), CLUSTER, SET, 1));
    assert!(!table.is_alive(at(22_999), CLUSTER, SET, 2), "who asked to be dead is");
    assert!(ids(&table.ring(at(22_999), true)).is_empty());
    assert_eq!(table.next_alarm(), Some(at(23_000)));
    let mut dead = ids(&table.ring(at(23_000), true));
    dead.sort_unstable();
    assert_eq!(dead, [1, 2]);
    table.forgive_until(at(1));
    assert_eq!(table.not_before, at(23_000), "never shorter");
}

/// L7 and U13: which heartbeat counts, and which close.
#[test]
fn the_newest_connection_counts() {
    let offsets = |table: &Liveness| {
        let evidence = table.evidence(at(1), Some(CLUSTER), SET);
        (evidence[0].epoch, evidence[0].max_offset)
    };
    let with = |epoch, max_offset| BrokerHeartbeat { epoch, max_offset, ..beat(10_000) };
    let mut table = Liveness::default();
    table.heard(at(0), on(5), 1, &with(3, 100)).unwrap();
    table.heard(at(1), on(5), 1, &with(2, 50)).unwrap();
    assert_eq!(offsets(&table), (2, 50), "it truncated, on its newest connection");
    table.heard(at(1), on(4), 1, &with(1, 10)).unwrap();
    assert_eq!(offsets(&table), (2, 50), "an older connection says less: it is older");
    table.heard(at(1), on(4), 1, &with(2, 60)).unwrap();
    assert_eq!(offsets(&table), (2, 60), "an older connection says more");
    table.heard(at(1), None, 1, &with(1, 1)).unwrap();
    assert_eq!(offsets(&table), (2, 60), "other peers are no newer than a connection here");
    assert!(table.closed(ConnectionId(4)).is_empty(), "the close of an old one means nothing");
    let slots = table.closed(ConnectionId(5));
    assert_eq!(slots.len(), 1);
    assert_eq!(table.get(slots[0]).unwrap().connection, None);
    assert!(table.closed(ConnectionId(5)).is_empty(), "once");
    // An older one is still open and is now the newest.
    table.heard(at(1), on(3), 1, &with(1, 1)).unwrap();
    assert_eq!(offsets(&table), (1, 1));
    assert_eq!(table.closed(ConnectionId(3)).len(), 1);
}

/// The close of a connection overtakes the last heartbeat that was sent on it.
#[test]
fn a_heartbeat_of_a_closed_connection_does_not_open_it() {
    let connection = |table: &Liveness| {
        let slot = table.slot(CLUSTER, SET, 1).unwrap();
        table.get(slot).unwrap().connection
    };
    let mut table = Liveness::default();
    table.heard(at(0), on(5), 1, &beat(10_000)).unwrap();
    table.closed(ConnectionId(5));
    table.heard(at(1), on(5), 1, &beat(10_000)).unwrap();
    assert_eq!(connection(&table), None);
    assert!(table.is_alive(at(10_001), CLUSTER, SET, 1), "but it was heard");
    // Even if nothing was heard on it before.
    table.closed(ConnectionId(6));
    table.heard(at(2), on(6), 1, &beat(10_000)).unwrap();
    assert_eq!(connection(&table), None);
    table.heard(at(3), on(7), 1, &beat(10_000)).unwrap();
    assert_eq!(connection(&table), on(7));
    for number in 8..CLOSED_MAX + 100 {
        table.closed(ConnectionId(u64::try_from(number).unwrap()));
    }
    table.closed(ConnectionId(7));
    table.heard(at(4), on(7), 1, &beat(10_000)).unwrap();
    assert_eq!(connection(&table), None, "an old connection that closed last");
    assert_eq!(table.closed.len(), CLOSED_MAX, "the oldest are forgotten");
}

#[test]
fn an_address_changes_with_the_newest_connection() {
    let mut table = Liveness::default();
    let from = |address: &'static str| BrokerHeartbeat {
        broker_address: Some(Text::from(address)),
        ..beat(10_000)
    };
    let changed = |table: &mut Liveness, connection, address| {
        table.heard(at(1), connection, 1, &from(address)).unwrap().is_new_address
    };
    assert!(changed(&mut table, on(2), "x:1"));
    assert!(!changed(&mut table, on(2), "x:1"));
    assert!(!changed(&mut table, on(1), "x:2"));
    assert!(changed(&mut table, on(3), "x:2"));
}

/// U29: one connection of several brokers.
#[test]
fn a_close_concerns_all_brokers_of_the_connection() {
    // A few, and more than are looked through.
    for count in [3, 12] {
        let mut table = Liveness::default();
        for id in 1..=count {
            table.heard(at(0), on(1), id, &beat(10_000)).unwrap();
        }
        table.heard(at(0), on(2), 3, &beat(10_000)).unwrap();
        for id in 1..=count {
            table.heard(at(1), on(1), id, &beat(10_000)).unwrap();
        }
        let closed = table.closed(ConnectionId(1));
        let closed = closed.iter().map(|slot| table.get(*slot).unwrap().identity.id);
        assert!(closed.eq((1..=count).filter(|id| *id != 3)), "broker 3 moved on");
    }
}

#[test]
fn a_slot_is_good_for_one_broker_only() {
    let mut table = Liveness::default();
    let slot = table.heard(at(0), on(1), 1, &beat(10_000)).unwrap().slot;
    assert_eq!(table.remove(slot).unwrap().identity.id, 1);
    assert!(table.remove(slot).is_none());
    let other = table.heard(at(0), on(1), 2, &beat(10_000)).unwrap().slot;
    assert_eq!(other.index, slot.index, "the place is used again");
    assert!(table.get(slot).is_none());
    table.shorten(slot, at(0));
    assert!(table.is_alive(at(10_000), CLUSTER, SET, 2));
    assert_eq!(ring_until(&mut table, at(20_000)).0, [(10_000_001, 2)], "void alarms are void");
}

#[test]
fn evidence_is_of_one_cluster_and_of_the_living() {
    let mut table = Liveness::default();
    for id in 1..=3 {
        table.heard(at(0), on(1), id, &beat(id * 1_000)).unwrap();
    }
    let other = BrokerHeartbeat { cluster_name: Some(Text::from("d")), ..beat(9_000) };
    table.heard(at(0), on(1), 4, &other).unwrap();
    let alive = |cluster| {
        let alive = table.evidence(at(2_000), cluster, SET);
        let mut alive: Vec<i64> = alive.iter().map(|alive| alive.id.0).collect();
        alive.sort_unstable();
        alive
    };
    assert_eq!(alive(Some(CLUSTER)), [2, 3]);
    assert_eq!(alive(Some("d")), [4]);
    assert_eq!(alive(None), [2, 3, 4]);
    assert!(table.evidence(at(0), Some(CLUSTER), "other").is_empty());
}

#[test]
fn the_leader_is_told_rarely_until_it_asks() {
    let mut table = Liveness::default();
    let slot = table.heard(at(0), on(1), 1, &beat(10_000)).unwrap().slot;
    let (one, two) = (PeerId(1), PeerId(2));
    assert!(table.must_pass_on(at(0), slot, one));
    assert!(!table.must_pass_on(at(PASS_ON_UNASKED_MS - 1), slot, one));
    assert!(table.must_pass_on(at(PASS_ON_UNASKED_MS - 1), slot, two), "a new one knows nothing");
    assert!(!table.must_pass_on(at(2 * PASS_ON_UNASKED_MS - 2), slot, two));
    assert!(table.must_pass_on(at(2 * PASS_ON_UNASKED_MS), slot, two));
    // Asked: at once, then often, until the question is forgotten.
    let asked = 3 * PASS_ON_UNASKED_MS;
    table.asked(at(asked), slot);
    assert_eq!(table.relayed(at(asked), (one, two)), 1);
    assert!(table.must_pass_on(at(asked), slot, two));
    assert!(!table.must_pass_on(at(asked + PASS_ON_MS - 1), slot, two));
    assert!(table.must_pass_on(at(asked + PASS_ON_MS), slot, two));
    let late = asked + ASKED_MS;
    assert_eq!(table.relayed(at(late), (one, two)), 0);
    assert!(table.must_pass_on(at(late), slot, two));
    assert!(!table.must_pass_on(at(late + PASS_ON_MS), slot, two));
}

/// What waited in the sockets of a paused process is no news.
#[test]
fn nothing_is_passed_on_right_after_a_pause() {
    let mut table = Liveness::default();
    let slot = table.heard(at(0), on(1), 1, &beat(10_000)).unwrap().slot;
    table.mistrust_until(at(500));
    assert!(!table.must_pass_on(at(499), slot, PeerId(1)), "it may be as old as the pause");
    assert!(table.must_pass_on(at(500), slot, PeerId(1)), "and was not passed on before");
}

/// A third of a short time-out, so that two may be lost.
#[test]
fn the_leader_is_told_in_time_of_brokers_that_die_soon() {
    let mut table = Liveness::default();
    let slot = table.heard(at(0), on(1), 2, &beat(900)).unwrap().slot;
    for (ms, is_told) in [(0, true), (299, false), (300, true), (599, false), (600, true)] {
        assert_eq!(table.must_pass_on(at(ms), slot, PeerId(1)), is_told, "{ms}");
    }
}

#[test]
fn the_table_has_a_limit() {
    let mut table = Liveness::default();
    let beat = beat(10_000);
    for id in 0..LIVE_BROKERS_MAX {
        let id = i64::try_from(id).unwrap();
        let names = BrokerHeartbeat { broker_name: Some(Text::from(id / 8)), ..beat.clone() };
        table.heard(at(0), on(id.unsigned_abs()), id, &names).unwrap();
    }
    let full = table.heard(at(0), on(7), i64::MAX, &beat);
    assert_eq!(full, Err(TableFull));
    let known = BrokerHeartbeat { broker_name: Some(Text::from(0_i64)), ..beat };
    assert!(table.heard(at(1), on(0), 0, &known).is_ok(), "who is in it stays in it");
}

/// What happens in the property below.
#[derive(Debug, Clone)]
enum Step {
    Heard { id: i64, connection: u64, timeout_ms: i64 },
    Closed(u64),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_i64..5, 1_u64..6, 1_i64..8_000).prop_map(|(id, connection, timeout_ms)| {
            Step::Heard { id, connection, timeout_ms }
        }),
        1 => (1_u64..6).prop_map(Step::Closed),
        2 => (1_u64..4_000).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    /// Against a table of deadlines alone: whatever happens, the same brokers live.
    #[test]
    fn the_same_brokers_live_as_by_their_deadlines(steps in proptest::collection::vec(step(), 1..60)) {
        let mut table = Liveness::default();
        let mut deadlines: BTreeMap<i64, u64> = BTreeMap::new();
        let mut now = 0;
        for step in steps {
            match step {
                Step::Heard { id, connection, timeout_ms } => {
                    table.heard(at(now), on(connection), id, &beat(timeout_ms)).unwrap();
                    deadlines.insert(id, now + timeout_ms.unsigned_abs());
                }
                Step::Closed(connection) => drop(table.closed(ConnectionId(connection))),
                Step::Pass(ms) => {
                    now += ms;
                    table.ring(at(now), true);
                }
            }
            table.ring(at(now), true);
            deadlines.retain(|_, deadline| *deadline >= now);
            prop_assert_eq!(table.len(), deadlines.len());
            for id in 1..5 {
                let is_alive = table.is_alive(at(now), CLUSTER, SET, id);
                prop_assert_eq!(is_alive, deadlines.contains_key(&id));
            }
            let earliest = deadlines.values().min().map(|deadline| at(*deadline).plus_micros(1));
            let alarm = table.next_alarm();
            prop_assert!(earliest.is_none_or(|at| alarm.is_some_and(|alarm| alarm <= at)));
            let connected: usize = table.by_connection.values().map(Vec::len).sum();
            let with = table.iter().filter(|(_, broker)| broker.connection.is_some()).count();
            prop_assert_eq!(connected, with);
        }
    }
}

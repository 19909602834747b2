//! Slots, retries and what ends them.

use super::{NOTICES_IN_FLIGHT_MAX, NoticeCounts, Notices, RETRY_MS_MAX, RETRY_MS_MIN};
use crate::event::NoticeResult;
use crate::instant::Instant;
use crate::liveness::BrokerIdentity;
use alloc::vec::Vec;
use protocol::RoleNotice;

fn at(ms: u64) -> Instant {
    Instant::from_micros(ms * 1_000)
}

fn broker(id: i64) -> BrokerIdentity {
    BrokerIdentity { cluster: "c".into(), set: "s".into(), id }
}

fn notice(master_epoch: i32) -> RoleNotice {
    RoleNotice { master_epoch, ..RoleNotice::default() }
}

fn put(notices: &mut Notices, ms: u64, id: i64, epoch: i32) {
    notices.put(at(ms), broker(id), "x:1".into(), notice(epoch));
}

#[test]
fn a_failed_notice_is_sent_again_with_growing_pauses() {
    let mut notices = Notices::default();
    put(&mut notices, 0, 1, 5);
    let mut now = 0;
    let mut pauses = Vec::new();
    for _ in 0..9 {
        let sending = notices.take_due(at(now));
        assert_eq!(sending.len(), 1);
        assert_eq!((&*sending[0].address, sending[0].notice.master_epoch), ("x:1", 5));
        assert!(notices.take_due(at(now)).is_empty(), "one attempt at a time");
        notices.ended(at(now), sending[0].attempt, NoticeResult::Failed);
        let next = notices.next_due().unwrap();
        assert!(notices.take_due(at(next.since_ms(at(0)) - 1)).is_empty(), "not before");
        pauses.push(next.since_ms(at(now)));
        now = next.since_ms(at(0));
    }
    assert_eq!(pauses[..4], [RETRY_MS_MIN, 200, 400, 800]);
    assert_eq!(pauses[6..], [RETRY_MS_MAX; 3]);
    let sending = notices.take_due(at(now));
    notices.ended(at(now), sending[0].attempt, NoticeResult::Acknowledged);
    assert_eq!((notices.len(), notices.next_due()), (0, None));
    let counts = NoticeCounts { sent: 1, acknowledged: 1, retried: 9, given_up: 0 };
    assert_eq!(notices.counts, counts);
}

#[test]
fn the_newest_epoch_wins_whatever_the_order() {
    let mut notices = Notices::default();
    put(&mut notices, 0, 1, 5);
    let old = notices.take_due(at(0)).remove(0);
    put(&mut notices, 1, 1, 6);
    put(&mut notices, 1, 1, 4);
    put(&mut notices, 1, 1, 6);
    let new = notices.take_due(at(1)).remove(0);
    assert_eq!(new.notice.master_epoch, 6);
    // What becomes of the old attempt says nothing about the new one.
    notices.ended(at(2), old.attempt, NoticeResult::Acknowledged);
    assert_eq!(notices.len(), 1);
    notices.ended(at(2), old.attempt, NoticeResult::Failed);
    assert_eq!(notices.next_due(), None, "the new one is on its way");
    notices.ended(at(3), new.attempt, NoticeResult::Acknowledged);
    assert_eq!(notices.len(), 0);
    let counts = NoticeCounts { sent: 2, acknowledged: 1, retried: 0, given_up: 1 };
    assert_eq!(notices.counts, counts);
}

#[test]
fn one_slot_for_each_broker_not_for_each_address() {
    let mut notices = Notices::default();
    put(&mut notices, 0, 1, 5);
    put(&mut notices, 0, 2, 5);
    assert_eq!(notices.take_due(at(0)).len(), 2);
}

#[test]
fn a_dead_broker_and_a_lost_leadership_end_notices() {
    let mut notices = Notices::default();
    for id in 1..=3 {
        put(&mut notices, 0, id, 5);
    }
    let sending = notices.take_due(at(0));
    notices.ended(at(0), sending[1].attempt, NoticeResult::Failed);
    notices.forget(&broker(1));
    notices.forget(&broker(2));
    notices.forget(&broker(9));
    assert_eq!((notices.len(), notices.next_due()), (1, None));
    notices.ended(at(1), sending[0].attempt, NoticeResult::Failed);
    assert_eq!(notices.next_due(), None);
    notices.clear();
    notices.ended(at(1), sending[2].attempt, NoticeResult::Failed);
    assert_eq!((notices.len(), notices.next_due(), notices.counts.given_up), (0, None, 3));
}

#[test]
fn notices_on_their_way_have_a_limit() {
    let mut notices = Notices::default();
    let count = i64::try_from(NOTICES_IN_FLIGHT_MAX).unwrap() + 3;
    for id in 0..count {
        put(&mut notices, 0, id, 1);
    }
    let sending = notices.take_due(at(0));
    assert_eq!(sending.len(), NOTICES_IN_FLIGHT_MAX);
    assert_eq!(notices.next_due(), None, "no waking for what cannot be sent");
    assert!(notices.take_due(at(0)).is_empty());
    notices.ended(at(0), sending[0].attempt, NoticeResult::Acknowledged);
    assert_eq!(notices.take_due(at(0)).len(), 1);
}

#[test]
fn a_broker_that_moved_is_told_at_its_new_address_at_once() {
    let mut notices = Notices::default();
    // Between two attempts, and with one on its way.
    for is_waiting in [true, false] {
        put(&mut notices, 0, 1, 5);
        let old = notices.take_due(at(0)).remove(0);
        if is_waiting {
            notices.ended(at(1), old.attempt, NoticeResult::Failed);
        }
        notices.moved(at(2), &broker(1), "x:1");
        assert!(notices.take_due(at(3)).is_empty(), "the same address is no news");
        notices.moved(at(4), &broker(1), "y:1");
        assert_eq!(notices.next_due(), Some(at(4)));
        let new = notices.take_due(at(4));
        assert_eq!((new.len(), &*new[0].address, new[0].notice.master_epoch), (1, "y:1", 5));
        notices.ended(at(5), old.attempt, NoticeResult::Acknowledged);
        assert_eq!(notices.len(), 1, "whoever answered there, it was not told here");
        notices.ended(at(6), new[0].attempt, NoticeResult::Acknowledged);
        assert_eq!((notices.len(), notices.next_due()), (0, None));
    }
    notices.moved(at(9), &broker(1), "z:1");
    assert_eq!(notices.len(), 0);
}

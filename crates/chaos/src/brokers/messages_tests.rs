//! Judgements over messages made by hand.

use super::{Messages, Send};
use crate::actors::recorder::{Mastership, Result as Ended};
use crate::clock::MILLISECOND;
use crate::course::Course;
use std::net::Ipv4Addr;

const SET: &str = "set-0";
const ENDING: &str = "acknowledged=3 failed=1 consumed=3 pause_ms=9 undelivered=0 lost=0";

fn course() -> Course {
    let broker = |id: u8| ((SET.into(), i64::from(id)), Ipv4Addr::new(10, 77, 1, id));
    Course {
        addresses: [broker(1), broker(2)].into(),
        ended: 100_000 * MILLISECOND,
        ..Course::default()
    }
}

/// Epoch and master, first seen at so many ms.
fn masters(rows: &[(u64, i32, i64)]) -> Vec<Mastership> {
    let one = |(at, epoch, master): &(u64, i32, i64)| Mastership {
        at: at * MILLISECOND,
        set: SET.into(),
        epoch: *epoch,
        master: *master,
    };
    rows.iter().map(one).collect()
}

/// Sends that ended at so many ms, acknowledged by the broker of this number; and what brokers said of themselves: when, who,
/// id, epoch.
fn messages(sends: &[(u64, u8)], claims: &[(u64, u8, i64, i32)], lost: &str) -> Messages {
    let send = |(id, (at, broker)): (usize, &(u64, u8))| {
        let at = at * MILLISECOND;
        format!("{id}\t{}\t{at}\tSEND_OK\t10.77.1.{broker}:10911\t700\n", at - MILLISECOND)
    };
    let claim = |(at, broker, id, epoch): &(u64, u8, i64, i32)| {
        format!("1\t{}\t10.77.1.{broker}:10911\t{id}\t{epoch}\t0\n", at * MILLISECOND)
    };
    let sends: String = sends.iter().enumerate().map(send).collect();
    let claims: String = claims.iter().map(claim).collect();
    Messages::read(&sends, &claims, lost, ENDING)
}

#[test]
fn lines_of_the_drivers_are_read_and_halves_left_out() {
    let text =
        "0\t5\t9\tSEND_OK\t10.77.1.2:10911\t700\n1\t10\t12\tRemotingTimeoutException\t-\t-\n2\t13";
    let read = Messages::read(text, "", "1\n", ENDING);
    let stored = Some((Ipv4Addr::new(10, 77, 1, 2), 700));
    let first = Send { id: 0, began: 5, ended: 9, said: "SEND_OK".into(), stored };
    assert_eq!((read.sends.len(), &read.sends[0]), (2, &first));
    assert_eq!((read.undelivered, read.lost.len()), (Some(0), 1));
    let results: Vec<Ended> = read.samples().iter().map(|sample| sample.result).collect();
    assert_eq!(results, [Ended::Ok, Ended::Unknown]);
    assert_eq!(Messages::read("", "", "", "").undelivered, None);
}

#[test]
fn messages_are_counted_for_their_masters() {
    let masters = masters(&[(1_000, 1, 1), (5_000, 2, 2)]);
    // The last but one by a master that was replaced already; the first before anybody saw its master.
    let judged = messages(&[(900, 1), (2_000, 1), (5_100, 1), (5_200, 2)], &[], "")
        .judge(&course(), &masters);
    let counts: Vec<_> =
        judged.reigns.iter().map(|reign| (reign.acknowledged, reign.afterwards)).collect();
    assert_eq!(counts, [(1, 1), (1, 0)]);
    assert_eq!((judged.acknowledged, judged.lost.len(), judged.split.len()), (4, 0, 0));
}

#[test]
fn a_lost_message_is_a_violation_unless_a_living_master_was_replaced() {
    let masters = masters(&[(1_000, 1, 1), (5_000, 2, 2)]);
    let judge = |at, claims: &[_]| {
        let judged = messages(&[(at, 1)], claims, "0\n").judge(&course(), &masters);
        (judged.lost.len(), judged.notes.len())
    };
    assert_eq!(judge(2_000, &[]), (1, 0), "long before the election");
    assert_eq!(judge(4_900, &[]), (1, 0), "shortly before it, and nobody heard of it since");
    assert_eq!(judge(4_900, &[(5_100, 1, 0, 1)]), (0, 1), "it lived on");
    assert_eq!(judge(5_100, &[]), (0, 1), "behind the election");
    let untold = Messages::read("", "", "", "").judge(&course(), &masters);
    assert_eq!(untold.lost, ["nobody told what became of the acknowledged messages"]);
}

#[test]
fn who_was_not_elected_is_no_master_by_its_own_words() {
    let masters = masters(&[(1_000, 1, 1), (5_000, 2, 2)]);
    let split = |claims: &[_]| messages(&[], claims, "").judge(&course(), &masters).split.len();
    assert_eq!(split(&[(4_000, 1, 0, 1), (5_500, 1, 0, 1)]), 0, "replaced, and does not know it");
    assert_eq!(split(&[(5_500, 2, 0, 1), (5_600, 2, 0, 1)]), 0, "it stored nothing in epoch 2 yet");
    assert_eq!(split(&[(5_500, 1, 0, 1), (5_600, 1, 0, 2), (5_800, 1, 3, 2)]), 0, "half a change");
    assert_eq!(
        split(&[(5_500, 1, 0, 2), (5_600, 1, 0, 2), (5_700, 1, 0, 2)]),
        1,
        "it says so again"
    );
    assert_eq!(split(&[(2_000, 2, 0, 1), (2_100, 2, 0, 1)]), 1, "long before its election");
    let never = messages(&[(2_000, 9)], &[], "").judge(&course(), &masters);
    assert_eq!(never.split.len(), 1, "{:?}", never.split);
}

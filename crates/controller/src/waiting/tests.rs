//! Tables of waiters: their limits, their deadlines, and that everyone leaves once.

use super::{Forwards, Full, Query, Read, Reads, Waiter, Write, Writes};
use crate::event::{Caller, ConnectionId};
use crate::instant::Instant;
use crate::settings::{
    FORWARD_DEADLINE_MS, FORWARDS_WAITING_MAX, READ_DEADLINE_MS, READ_WAITERS_MAX,
    WRITE_DEADLINE_MS, WRITES_WAITING_MAX,
};
use alloc::vec::Vec;
use consensus::{Barrier, PeerId, Ticket};
use protocol::{HeaderEncoding, Text};

fn at(ms: u64) -> Instant {
    Instant::from_micros(ms * 1_000)
}

fn caller(opaque: i32) -> Caller {
    Caller {
        connection: ConnectionId(1),
        opaque,
        encoding: HeaderEncoding::Json,
        is_one_way: false,
        code: 0,
        received: at(0),
    }
}

fn write(ms: u64) -> Write {
    let waiter = Waiter::Own { set: "s".into() };
    Write { waiter, started: at(ms), echo: Default::default(), is_order: false }
}

fn read(ms: u64, opaque: i32) -> Read {
    let waiter = Waiter::Client(caller(opaque));
    Read { waiter, query: Query::ReplicaInfo(Text::from("s")), started: at(ms) }
}

fn opaques(reads: &[Read]) -> Vec<i32> {
    let opaque = |read: &Read| match &read.waiter {
        Waiter::Client(caller) => caller.opaque,
        Waiter::Peer { .. } | Waiter::Own { .. } => -1,
    };
    reads.iter().map(opaque).collect()
}

#[test]
fn writes_leave_by_their_ticket_or_at_their_deadline() {
    let mut writes = Writes::default();
    for (ticket, ms) in [(1, 0), (2, 0), (5, 10), (6, 20)] {
        writes.insert(Ticket(ticket), write(ms));
    }
    assert!(writes.take(Ticket(2)).is_some());
    assert!(writes.take(Ticket(2)).is_none());
    assert_eq!(writes.next_due(), Some(at(WRITE_DEADLINE_MS)));
    assert!(writes.expired(at(WRITE_DEADLINE_MS - 1)).is_empty());
    assert_eq!(writes.expired(at(WRITE_DEADLINE_MS + 10)).len(), 2);
    assert_eq!((writes.len(), writes.next_due()), (1, Some(at(WRITE_DEADLINE_MS + 20))));
    assert!(writes.take(Ticket(1)).is_none(), "its answer went out");
}

#[test]
fn reads_leave_together_by_their_barrier_or_alone_at_their_deadline() {
    let mut reads = Reads::default();
    reads.insert(Barrier(1), read(0, 10));
    reads.insert(Barrier(1), read(5, 11));
    reads.insert(Barrier(2), read(6, 12));
    reads.insert(Barrier(3), read(7, 13));
    assert_eq!(reads.next_due(), Some(at(READ_DEADLINE_MS)));
    assert_eq!(opaques(&reads.expired(at(READ_DEADLINE_MS))), [10]);
    assert_eq!(reads.next_due(), Some(at(READ_DEADLINE_MS + 5)));
    assert_eq!(opaques(&reads.take(Barrier(2))), [12]);
    assert!(reads.take(Barrier(2)).is_empty());
    assert_eq!(opaques(&reads.expired(at(READ_DEADLINE_MS + 7))), [11, 13]);
    assert_eq!((reads.len(), reads.next_due()), (0, None));
}

#[test]
fn forwards_are_numbered_once_and_end_once() {
    let mut forwards = Forwards::default();
    let (one, two) = (PeerId(1), PeerId(2));
    let numbers: Vec<u64> = (0..4)
        .map(|n| forwards.insert(at(n), caller(0), if n < 2 { one } else { two }).unwrap())
        .collect();
    assert!(numbers.is_sorted_by(|a, b| a < b));
    assert!(forwards.take(numbers[0]).is_some());
    assert!(forwards.take(numbers[0]).is_none());
    assert!(forwards.lost_with(PeerId(9)).is_empty());
    assert_eq!(forwards.lost(Some(two)).len(), 1, "sent to who leads no more");
    assert_eq!(forwards.lost_with(two).len(), 2);
    assert_eq!((forwards.len(), forwards.next_due()), (0, None));
    let number = forwards.insert(at(9), caller(0), two).unwrap();
    assert!(number > numbers[3], "never used again");
    assert!(forwards.expired(at(8 + FORWARD_DEADLINE_MS)).is_empty());
    assert_eq!(forwards.expired(at(9 + FORWARD_DEADLINE_MS)).len(), 1);
    forwards.insert(at(10), caller(0), two).unwrap();
    assert_eq!(forwards.lost(None).len(), 1, "nobody leads");
}

#[test]
fn every_table_has_a_limit() {
    let mut writes = Writes::default();
    let mut reads = Reads::default();
    let mut forwards = Forwards::default();
    for number in 0..WRITES_WAITING_MAX {
        assert_eq!(writes.admit(), Ok(()));
        writes.insert(Ticket(u64::try_from(number).unwrap()), write(0));
    }
    for _ in 0..READ_WAITERS_MAX {
        assert_eq!(reads.admit(), Ok(()));
        reads.insert(Barrier(1), read(0, 0));
    }
    for _ in 0..FORWARDS_WAITING_MAX {
        assert!(forwards.insert(at(0), caller(0), PeerId(1)).is_ok());
    }
    assert_eq!(writes.admit(), Err(Full("WRITES_WAITING_MAX")));
    assert_eq!(reads.admit(), Err(Full("READ_WAITERS_MAX")));
    let full = forwards.insert(at(0), caller(0), PeerId(1));
    assert_eq!(full, Err(Full("FORWARDS_WAITING_MAX")));
    assert_eq!(reads.take(Barrier(1)).len(), READ_WAITERS_MAX);
    assert_eq!(reads.admit(), Ok(()), "room again");
}

/// A broker gives up after 3 s and closes its connection: every answer comes before.
#[test]
fn deadlines_fit_into_each_other() {
    let deadlines = [READ_DEADLINE_MS, WRITE_DEADLINE_MS, FORWARD_DEADLINE_MS, 3_000];
    assert!(deadlines.is_sorted_by(|earlier, later| earlier < later), "{deadlines:?}");
}

//! Parts of a snapshot, as they come and as they must not come.

use super::{Fetched, Part, SNAPSHOT_BYTES_MAX, SNAPSHOT_PART_BYTES_MAX, Snapshots, checksum};
use crate::instant::Instant;
use alloc::vec::Vec;
use bytes::Bytes;
use consensus::{LogIndex, Membership, PeerId, SnapshotDescriptor, Term};

const PEER: PeerId = PeerId(2);

fn at(ms: u64) -> Instant {
    Instant::from_micros(ms * 1_000)
}

fn content(length: usize) -> Bytes {
    (0..length).map(|index| u8::try_from(index % 251).unwrap()).collect::<Vec<u8>>().into()
}

fn descriptor(bytes: &Bytes) -> SnapshotDescriptor {
    SnapshotDescriptor {
        index: LogIndex(50),
        term: Term(3),
        membership: Membership::of_voters([PeerId(1), PEER]),
        bytes: u64::try_from(bytes.len()).unwrap(),
        checksum: checksum(bytes),
    }
}

fn sender(bytes: &Bytes) -> Snapshots {
    Snapshots::restored(Some((descriptor(bytes), bytes.clone())))
}

fn part(from: PeerId, index: u64, offset: u64, bytes: &Bytes) -> Part {
    Part { from, index: LogIndex(index), offset, bytes: bytes.clone() }
}

#[test]
fn checksums_are_those_of_the_standard() {
    // Source: RFC 9923, the test vectors of FNV-1a with 128 bits.
    assert_eq!(checksum(b""), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
    assert_eq!(checksum(b"a"), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
    assert_eq!(checksum(b"foobar"), 0x343e_1662_793c_64bf_6f0d_3597_ba44_6f18);
}

#[test]
fn every_length_arrives() {
    let most = SNAPSHOT_PART_BYTES_MAX;
    for length in [0, 1, most - 1, most, most + 1, 2 * most, 2 * most + 7] {
        let bytes = content(length);
        let mut from = sender(&bytes);
        let mut to = Snapshots::default();
        assert!(to.begin_fetch(at(0), PEER, descriptor(&bytes)));
        let (mut offset, mut parts) = (0, 0);
        let arrived = loop {
            let (bytes_of_part, is_last) = from.part(at(0), PEER, LogIndex(50), offset);
            parts += 1;
            match to.take_part(at(0), &part(PEER, 50, offset, &bytes_of_part)) {
                Fetched::More(peer, next) => {
                    assert!(peer == PEER && next > offset && !is_last);
                    offset = next;
                }
                Fetched::Complete(of, arrived) => {
                    assert!(is_last && of == descriptor(&bytes));
                    break arrived;
                }
                other @ (Fetched::Failed(_) | Fetched::Ignored) => panic!("{length}: {other:?}"),
            }
        };
        assert_eq!(arrived, bytes);
        assert_eq!(parts, length.div_ceil(most).max(1), "{length}");
        assert!(to.next_due().is_none(), "nothing is left of it");
    }
}

#[test]
fn damage_is_refused() {
    let bytes = content(1_000);
    let wrong = content(1_001).slice(1..);
    let long = content(1_001);
    let over = Bytes::from(alloc::vec![0; SNAPSHOT_PART_BYTES_MAX + 1]);
    let nothing = Bytes::new();
    for (what, bytes_of_part) in
        [("other bytes", wrong), ("too much", long), ("a part too long", over), ("gone", nothing)]
    {
        let mut to = Snapshots::default();
        assert!(to.begin_fetch(at(0), PEER, descriptor(&bytes)));
        let fetched = to.take_part(at(0), &part(PEER, 50, 0, &bytes_of_part));
        assert!(matches!(fetched, Fetched::Failed(_)), "{what}: {fetched:?}");
        let after = to.take_part(at(0), &part(PEER, 50, 0, &bytes));
        assert!(matches!(after, Fetched::Ignored), "{what}");
    }
}

#[test]
fn what_was_not_asked_for_is_ignored() {
    let bytes = content(SNAPSHOT_PART_BYTES_MAX + 5);
    let first = bytes.slice(..SNAPSHOT_PART_BYTES_MAX);
    let mut to = Snapshots::default();
    let ignored = |fetched: Fetched| matches!(fetched, Fetched::Ignored);
    assert!(ignored(to.take_part(at(0), &part(PEER, 50, 0, &first))), "nothing is fetched");
    assert!(to.begin_fetch(at(0), PEER, descriptor(&bytes)));
    assert!(ignored(to.take_part(at(0), &part(PeerId(3), 50, 0, &first))), "another peer");
    assert!(ignored(to.take_part(at(0), &part(PEER, 49, 0, &first))), "another snapshot");
    assert!(ignored(to.take_part(at(0), &part(PEER, 50, 9, &first))), "another part");
    assert!(matches!(to.take_part(at(0), &part(PEER, 50, 0, &first)), Fetched::More(..)));
    assert!(ignored(to.take_part(at(0), &part(PEER, 50, 0, &first))), "the same again");
}

#[test]
fn a_snapshot_over_the_limit_is_not_fetched() {
    let mut to = Snapshots::default();
    let huge = SnapshotDescriptor { bytes: SNAPSHOT_BYTES_MAX + 1, ..descriptor(&content(1)) };
    assert!(!to.begin_fetch(at(0), PEER, huge));
    assert_eq!(to.next_due(), None);
}

#[test]
fn a_fetch_without_parts_fails_in_time() {
    let bytes = content(SNAPSHOT_PART_BYTES_MAX + 5);
    let mut to = Snapshots::default();
    assert!(to.begin_fetch(at(0), PEER, descriptor(&bytes)));
    assert!(to.late_fetch(at(1_999)).is_none());
    let first = bytes.slice(..SNAPSHOT_PART_BYTES_MAX);
    to.take_part(at(1_999), &part(PEER, 50, 0, &first));
    assert!(to.late_fetch(at(3_998)).is_none(), "each part gives more time");
    assert_eq!(to.late_fetch(at(3_999)), Some(descriptor(&bytes)));
    assert!(to.late_fetch(at(9_999)).is_none());
}

#[test]
fn who_does_not_come_for_it_is_reported_once() {
    let bytes = content(SNAPSHOT_PART_BYTES_MAX + 5);
    let mut from = sender(&bytes);
    from.offered(at(0), PEER);
    assert!(from.late_offers(at(9_999)).is_empty());
    from.part(at(9_999), PEER, LogIndex(50), 0);
    assert!(from.late_offers(at(19_998)).is_empty());
    assert_eq!(from.late_offers(at(19_999)), [PEER]);
    assert!(from.late_offers(at(99_999)).is_empty());
    from.offered(at(0), PEER);
    assert!(from.withdraw(PEER) && !from.withdraw(PEER));
    from.offered(at(0), PEER);
    let (_, is_last) =
        from.part(at(0), PEER, LogIndex(50), u64::try_from(bytes.len()).unwrap() - 1);
    assert!(is_last && !from.withdraw(PEER), "it has all of it");
}

#[test]
fn another_snapshot_than_the_newest_is_answered_with_nothing() {
    let mut from = sender(&content(10));
    assert_eq!(from.part(at(0), PEER, LogIndex(49), 0), (Bytes::new(), false));
    assert_eq!(from.part(at(0), PEER, LogIndex(50), u64::MAX).0, Bytes::new());
    assert_eq!(Snapshots::default().part(at(0), PEER, LogIndex(50), 0), (Bytes::new(), false));
}

#[test]
fn one_is_due_by_commands_or_bytes_and_never_two_at_once() {
    let mut taker = Snapshots::default();
    taker.applied(99, 9);
    assert!(!taker.is_due(100, 10));
    taker.applied(1, 0);
    assert!(taker.is_due(100, 10));
    assert!(!taker.is_due(101, 10) && taker.is_due(101, 9));
    let bytes = content(3);
    taker.begin_saving(descriptor(&bytes), bytes.clone());
    taker.applied(500, 500);
    assert!(!taker.is_due(100, 10), "one is on its way");
    assert!(taker.bytes_of(&descriptor(&bytes)).is_none(), "not before it is durable");
    assert!(taker.saved(&descriptor(&content(4))).is_none(), "another one");
    assert_eq!(taker.saved(&descriptor(&bytes)), Some(bytes.clone()));
    assert_eq!(
        (taker.newest_index(), taker.bytes_of(&descriptor(&bytes))),
        (50, Some(bytes.clone()))
    );
    assert!(taker.is_due(100, 10));
    taker.begin_saving(descriptor(&bytes), bytes.clone());
    taker.not_saved(&descriptor(&bytes));
    assert!(!taker.is_due(100, 10), "the log must grow again");
    taker.applied(100, 0);
    assert!(taker.begin_fetch(at(0), PEER, descriptor(&bytes)));
    assert!(!taker.is_due(100, 10), "one is fetched");
}

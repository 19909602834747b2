//! Messages keep every field, through our bytes and through the engine's type; bytes that nobody
//! wrote are refused, never a panic.

use super::{Content, Message, ReadContext};
use crate::{Entry, EntryKind, LogIndex, Membership, PeerId, SnapshotDescriptor, Term, engine};
use bytes::{Bytes, BytesMut};
use expect_test::expect;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use std::fmt::Write as _;
use std::string::String;

fn index() -> impl Strategy<Value = LogIndex> {
    any::<u64>().prop_map(LogIndex)
}

fn term() -> impl Strategy<Value = Term> {
    any::<u64>().prop_map(Term)
}

fn peers() -> impl Strategy<Value = std::vec::Vec<PeerId>> {
    btree_set(1..u64::MAX, 0..5).prop_map(|ids| ids.into_iter().map(PeerId).collect())
}

fn membership() -> impl Strategy<Value = Membership> {
    (peers(), peers(), peers(), peers(), any::<bool>()).prop_map(
        |(voters, outgoing, learners, learners_next, auto_leave)| Membership {
            voters,
            outgoing,
            learners,
            learners_next,
            auto_leave,
        },
    )
}

fn descriptor() -> impl Strategy<Value = SnapshotDescriptor> {
    (index(), term(), membership(), any::<u64>(), any::<u128>()).prop_map(
        |(index, term, membership, bytes, checksum)| SnapshotDescriptor {
            index,
            term,
            membership,
            bytes,
            checksum,
        },
    )
}

fn context() -> impl Strategy<Value = ReadContext> {
    (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(peer, boot_nonce, sequence)| {
        ReadContext { peer: PeerId(peer), boot_nonce, sequence }
    })
}

fn entry() -> impl Strategy<Value = Entry> {
    (term(), index(), vec(any::<u8>(), 0..20), any::<bool>()).prop_map(
        |(term, index, bytes, is_membership)| {
            let kind = match (is_membership, bytes.is_empty()) {
                (true, _) => EntryKind::Membership,
                (false, true) => EntryKind::Empty,
                (false, false) => EntryKind::Commands,
            };
            Entry { term, index, kind, bytes: Bytes::from(bytes) }
        },
    )
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        (index(), term(), index(), vec(entry(), 0..4)).prop_map(
            |(index, log_term, commit, entries)| {
                Content::Append { index, log_term, commit, entries }
            }
        ),
        (index(), any::<bool>(), index(), term(), index(), index()).prop_map(
            |(index, reject, reject_hint, log_term, commit, request_snapshot)| {
                Content::AppendAnswer {
                    index,
                    reject,
                    reject_hint,
                    log_term,
                    commit,
                    request_snapshot,
                }
            }
        ),
        (any::<(bool, bool, i64)>(), index(), term(), index(), term()).prop_map(
            |((is_pre, is_transfer, priority), index, log_term, commit, commit_term)| {
                Content::Vote {
                    is_pre,
                    index,
                    log_term,
                    commit,
                    commit_term,
                    priority,
                    is_transfer,
                }
            }
        ),
        (any::<(bool, bool)>(), index(), term()).prop_map(
            |((is_pre, reject), commit, commit_term)| {
                Content::VoteAnswer { is_pre, reject, commit, commit_term }
            }
        ),
        (index(), proptest::option::of(context()))
            .prop_map(|(commit, context)| Content::Keepalive { commit, context }),
        (index(), proptest::option::of(context()))
            .prop_map(|(commit, context)| Content::KeepaliveAnswer { commit, context }),
        descriptor().prop_map(|descriptor| Content::Snapshot { descriptor }),
        Just(Content::TimeoutNow),
        context().prop_map(|context| Content::ReadIndex { context }),
        (index(), context())
            .prop_map(|(index, context)| Content::ReadIndexAnswer { index, context }),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    (any::<(u64, u64)>(), term(), content()).prop_map(|((from, to), term, content)| Message {
        from: PeerId(from),
        to: PeerId(to),
        term,
        content,
    })
}

fn encode(message: &Message) -> Bytes {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes);
    bytes.freeze()
}

proptest! {
    #[test]
    fn bytes_keep_every_field(message in message()) {
        prop_assert_eq!(Message::decode(encode(&message)), Ok(message));
    }

    #[test]
    fn the_engine_keeps_every_field(message in message()) {
        prop_assert_eq!(engine::message(engine::to_message(message.clone())), message);
    }

    #[test]
    fn a_part_of_a_message_is_refused(message in message(), part in 0.0..1.0_f64) {
        let bytes = encode(&message);
        #[expect(
            clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss,
            reason = "a place between the ends"
        )]
        let end = (bytes.len() as f64 * part) as usize;
        prop_assert!(Message::decode(bytes.slice(..end)).is_err());
    }

    #[test]
    fn a_longer_message_is_refused(message in message(), tail in vec(any::<u8>(), 1..9)) {
        let mut bytes = BytesMut::from(&encode(&message)[..]);
        bytes.extend_from_slice(&tail);
        prop_assert!(Message::decode(bytes.freeze()).is_err());
    }

    /// What is not refused is a message, and has these very bytes.
    #[test]
    fn any_other_bytes_are_canonical_or_refused(
        message in message(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = BytesMut::from(&encode(&message)[..]);
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let bytes = bytes.freeze();
        if let Ok(message) = Message::decode(bytes.clone()) {
            prop_assert_eq!(encode(&message), bytes);
        }
    }

    #[test]
    fn noise_is_no_panic(bytes in vec(any::<u8>(), 0..200)) {
        drop(Message::decode(Bytes::from(bytes.clone())));
        drop(SnapshotDescriptor::decode(&bytes));
        drop(Membership::decode(&bytes));
    }
}

/// The layout of the module's table, byte for byte.
#[test]
fn an_append_has_these_bytes() {
    let payload = Bytes::from_static(b"\x02\0\0\0hi");
    let (term, index) = (Term(5), LogIndex(8));
    let entry = Entry { term, index, kind: EntryKind::Commands, bytes: payload };
    let message = Message {
        from: PeerId(1),
        to: PeerId(2),
        term,
        content: Content::Append {
            index: LogIndex(7),
            log_term: Term(4),
            commit: LogIndex(6),
            entries: std::vec![entry],
        },
    };
    let mut lines = String::new();
    for line in encode(&message).chunks(8) {
        let hex: std::vec::Vec<_> = line.iter().map(|byte| std::format!("{byte:02x}")).collect();
        writeln!(lines, "{}", hex.join(" ")).unwrap();
    }
    expect![[r#"
        01 01 00 00 00 00 00 00
        01 00 00 00 00 00 00 00
        02 00 00 00 00 00 00 00
        05 00 00 00 00 00 00 00
        07 00 00 00 00 00 00 00
        04 00 00 00 00 00 00 00
        06 00 00 00 00 00 00 00
        01 00 00 00 00 00 00 00
        05 00 00 00 00 00 00 00
        08 00 00 00 00 00 00 00
        01 00 00 00 06 00 00 00
        02 00 00 00 68 69
    "#]]
    .assert_eq(&lines);
}

#[test]
fn a_count_beyond_the_bytes_allocates_nothing() {
    let content = Content::Append {
        index: LogIndex(0),
        log_term: Term(0),
        commit: LogIndex(0),
        entries: std::vec::Vec::new(),
    };
    let message = Message { from: PeerId(1), to: PeerId(2), term: Term(1), content };
    let mut bytes = BytesMut::from(&encode(&message)[..]);
    let count = 32 + 3 * 8;
    bytes[count..count + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(Message::decode(bytes.freeze()).is_err());
}

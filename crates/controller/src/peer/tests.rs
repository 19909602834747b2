//! Every message comes back from its bytes, other bytes are refused, and nothing panics.

use super::{NAME_BYTES_MAX, PeerMessage, PeerMessageError};
use crate::effect::Founding;
use crate::liveness::BrokerIdentity;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};
use consensus::{Content, LogIndex, Message, PeerId, Term};
use proptest::prelude::*;
use protocol::{BrokerHeartbeat, Text};

fn encoded(message: &PeerMessage) -> Bytes {
    let mut out = BytesMut::new();
    message.encode(&mut out);
    out.freeze()
}

fn broker() -> impl Strategy<Value = BrokerIdentity> {
    ("\\PC{0,40}", "\\PC{0,40}", any::<i64>()).prop_map(|(cluster, set, id)| BrokerIdentity {
        cluster: cluster.into(),
        set: set.into(),
        id,
    })
}

prop_compose! {
    fn heartbeat()(
        broker in broker(),
        address in "\\PC{0,60}",
        numbers in any::<(i32, i64, i64, i64, i32)>(),
    ) -> BrokerHeartbeat {
        BrokerHeartbeat {
            cluster_name: Some(Text::copied(&broker.cluster)),
            broker_address: Some(Text::copied(&address)),
            broker_name: Some(Text::copied(&broker.set)),
            broker_id: Some(broker.id),
            epoch: numbers.0,
            max_offset: numbers.1,
            confirm_offset: numbers.2,
            heartbeat_timeout_ms: Some(numbers.3),
            election_priority: numbers.4,
        }
    }
}

fn message() -> impl Strategy<Value = PeerMessage> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..100).prop_map(Bytes::from);
    let raft = |term: u64, commit: u64| {
        let content = Content::Keepalive { commit: LogIndex(commit), context: None };
        PeerMessage::Raft(Message { from: PeerId(1), to: PeerId(2), term: Term(term), content })
    };
    prop_oneof![
        (1_u64..1_000, 0_u64..1_000).prop_map(move |(term, commit)| raft(term, commit)),
        prop_oneof![Just(Founding::Empty), Just(Founding::Founding), Just(Founding::Founded)]
            .prop_map(PeerMessage::Founding),
        (any::<u64>(), bytes())
            .prop_map(|(sequence, frame)| PeerMessage::Forward { sequence, frame }),
        (any::<u64>(), bytes())
            .prop_map(|(sequence, frame)| PeerMessage::Answer { sequence, frame }),
        broker().prop_map(PeerMessage::Closed),
        (any::<u64>(), any::<u32>(), broker()).prop_map(|(number, silent_ms, broker)| {
            PeerMessage::Question { number, silent_ms, broker }
        }),
        (any::<u64>(), any::<bool>())
            .prop_map(|(number, objects)| PeerMessage::Objection { number, objects }),
        heartbeat().prop_map(|beat| PeerMessage::Heard(Box::new(beat))),
        any::<(bool, bool)>().prop_map(|(serves, leases)| PeerMessage::Serving { serves, leases }),
        (any::<u64>(), any::<u64>()).prop_map(|(index, offset)| {
            PeerMessage::SnapshotRead { index: LogIndex(index), offset }
        }),
        (any::<u64>(), any::<u64>(), bytes()).prop_map(|(index, offset, bytes)| {
            PeerMessage::SnapshotPart { index: LogIndex(index), offset, bytes }
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn messages_come_back(message in message()) {
        prop_assert_eq!(PeerMessage::decode(encoded(&message)), Ok(message));
    }

    /// What is taken is written again in the same bytes: there is one form of each message.
    #[test]
    fn any_bytes_are_a_message_or_refused(
        kind in 0_u8..12,
        rest in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut bytes = Vec::from([kind]);
        bytes.extend(rest);
        let bytes = Bytes::from(bytes);
        if let Ok(message) = PeerMessage::decode(bytes.clone()) {
            prop_assert_eq!(encoded(&message), bytes);
        }
    }

    #[test]
    fn cut_or_changed_messages_do_no_harm(
        message in message(),
        at in any::<proptest::sample::Index>(),
        value in any::<u8>(),
    ) {
        let bytes = encoded(&message);
        let at = at.index(bytes.len());
        let cut = PeerMessage::decode(bytes.slice(..at));
        prop_assert_ne!(cut, Ok(message));
        let mut changed = bytes.to_vec();
        changed[at] = value;
        let changed = Bytes::from(changed);
        if let Ok(message) = PeerMessage::decode(changed.clone()) {
            prop_assert_eq!(encoded(&message), changed);
        }
    }
}

#[test]
fn unknown_kinds_and_nothing_are_refused() {
    assert_eq!(PeerMessage::decode(Bytes::new()), Err(PeerMessageError::Kind(0)));
    for kind in [0, 12, 255] {
        let bytes = Bytes::copy_from_slice(&[kind, 1, 2, 3]);
        assert_eq!(PeerMessage::decode(bytes), Err(PeerMessageError::Kind(kind)));
    }
    for kind in 1..=11 {
        let bytes = Bytes::copy_from_slice(&[kind]);
        assert_eq!(PeerMessage::decode(bytes), Err(PeerMessageError::Payload(kind)));
    }
}

/// Longer names never come in; what is cut stays UTF-8, so that the peer can read it.
#[test]
fn long_names_are_cut_between_characters() {
    let name: String = core::iter::repeat_n('ä', NAME_BYTES_MAX).collect();
    let name = "x".to_owned() + &name;
    let broker = BrokerIdentity { cluster: name.as_str().into(), set: name.as_str().into(), id: 7 };
    let Ok(PeerMessage::Closed(read)) = PeerMessage::decode(encoded(&PeerMessage::Closed(broker)))
    else {
        panic!("a cut name is not read")
    };
    assert_eq!(read.cluster.len(), NAME_BYTES_MAX - 1);
    assert_eq!(read.cluster, read.set);
}

use alloc::borrow::ToOwned;

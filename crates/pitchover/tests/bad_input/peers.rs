//! B42: somebody who takes himself for a controller.
//!
//! The bytes are made up here from the tables in `server/src/hello.rs`, `controller/src/peer.rs` and
//! `consensus/src/message/codec.rs`, because a stranger has no more than those.

use std::fs;
use std::io::Write;

use protocol::{FLAG_RESPONSE, Frame, Header, code, private, response_code};
use rustix::process::Signal;

use crate::checksum::crc32c;
use crate::cluster::NODES;
use crate::ground::{Ground, encoded};
use crate::patience::until;
use crate::wire::request;

const MAGIC: &[u8] = b"PITCHPEER";
const VERSION: u16 = 2;

/// What a hello says.
#[derive(Clone, Copy)]
struct Hello {
    version: u16,
    cluster: u64,
    peer: u64,
    nonce: u64,
}

impl Hello {
    fn bytes(self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&self.version.to_le_bytes());
        for number in [self.cluster, self.peer, self.nonce] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let checksum = crc32c(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }
}

/// A batch, whose header says how long it is.
fn batch_of(body: Vec<u8>) -> Frame {
    let opaque = i32::try_from(body.len()).expect("short");
    let frame = request(private::PEER_BATCH, &[], body);
    Frame { header: Header { opaque, ..frame.header }, ..frame }
}

/// Number of a node in the consensus group: its rank among the names, from 1.
fn peer_id(node: usize) -> u64 {
    u64::try_from(node).expect("a few nodes") + 1
}

/// The cluster's id, from the identity file of a node.
fn cluster_id(ground: &Ground, node: usize) -> u64 {
    let file = format!("store/pitchover-n{node}/identity");
    let identity = fs::read(ground.cluster.folder.path().join(file)).expect("there is an identity");
    let id: [u8; 8] = identity[16..24].try_into().expect("eight bytes");
    u64::from_le_bytes(id)
}

/// A hello that does not fit is refused with a reason, and the connection stays a client's.
#[test]
fn b42_hellos_that_are_refused() {
    let mut ground = Ground::new("");
    for node in ground.two_kinds() {
        let other = peer_id((node + 1) % NODES);
        let cluster = cluster_id(&ground, node);
        let good = Hello { version: VERSION, cluster, peer: other, nonce: 5 };
        let good_bytes = good.bytes();
        let mut wrong_magic = good_bytes.clone();
        wrong_magic[0] = b'Q';
        let mut wrong_checksum = good_bytes.clone();
        wrong_checksum[30] ^= 1;
        let bodies = [
            ("empty", Vec::new()),
            ("short", good_bytes[..good_bytes.len() - 1].to_vec()),
            ("long", [&*good_bytes, b"x"].concat()),
            ("wrong magic", wrong_magic),
            ("another boot than its checksum's", wrong_checksum),
            ("older version", Hello { version: 0, ..good }.bytes()),
            ("newer version", Hello { version: VERSION + 1, ..good }.bytes()),
            ("another cluster", Hello { cluster: cluster ^ 1, ..good }.bytes()),
            ("no cluster", Hello { cluster: 0, ..good }.bytes()),
            ("nobody", Hello { peer: 0, ..good }.bytes()),
            ("not configured", Hello { peer: 4, ..good }.bytes()),
            ("the largest id", Hello { peer: u64::MAX, ..good }.bytes()),
            ("itself", Hello { peer: peer_id(node), ..good }.bytes()),
        ];
        let before = ground.refused(node, "peer hello");
        for (name, body) in &bodies {
            let mut wire = ground.connect(node);
            let answer = wire.ask(&request(private::PEER_HELLO, &[], body)).unwrap().unwrap();
            assert_eq!(answer.code, response_code::NO_PERMISSION, "{name}: {answer:?}");
            assert!(answer.remark.unwrap_or_default().starts_with("peer refused: "), "{name}");
            assert!(answer.body.is_empty(), "{name}: nothing is told to a stranger");
            // Still a client: batches are not for it, and requests are.
            let answer = wire.ask(&request(private::PEER_BATCH, &[], "x")).unwrap().unwrap();
            assert_eq!(answer.code, response_code::REQUEST_CODE_NOT_SUPPORTED, "{name}");
            let question = request(code::CONTROLLER_GET_METADATA_INFO, &[], "");
            assert_eq!(wire.ask(&question).unwrap().unwrap().code, 0, "{name}");
            // Whatever it says now: a link is one from its first frame on, or never.
            let late = wire.ask(&request(private::PEER_HELLO, &[], &good_bytes)).unwrap().unwrap();
            assert_eq!(late.code, response_code::NO_PERMISSION, "{name}: {late:?}");
            assert!(late.remark.unwrap_or_default().contains("first frame"), "{name}");
            ground.check(name);
        }
        let counted = ground.refused(node, "peer hello") - before;
        assert_eq!(counted, u64::try_from(2 * bodies.len()).unwrap(), "each is counted");
    }
}

/// Behind a hello that fits: what cannot be read ends the link, what cannot be true is refused and counted, and the
/// peer whose name was borrowed is back at once.
#[test]
fn b42_garbage_behind_a_good_hello() {
    let mut ground = Ground::new("");
    for node in ground.two_kinds() {
        let (me, other) = (peer_id(node), peer_id((node + 1) % NODES));
        let cluster = cluster_id(&ground, node);
        let hello = Hello { version: VERSION, cluster, peer: other, nonce: 5 };
        let hello = request(private::PEER_HELLO, &[], hello.bytes());
        for (name, batch) in unreadable() {
            let before = ground.refused(node, "malformed peer batch");
            send_behind(&ground, node, &hello, &encoded([&batch_of(batch)]), name);
            assert_eq!(ground.refused(node, "malformed peer batch"), before + 1, "{name}");
            ground.check(name);
        }
        // Damage in the one place that no checksum covers: it would wait long for the rest of such a frame.
        let mut longer = encoded([&batch_of(packed(&[2, 2]))]);
        longer[2] ^= 1;
        let before = ground.refused(node, "malformed peer batch");
        send_behind(&ground, node, &hello, &longer, "longer than it is");
        assert_eq!(ground.refused(node, "malformed peer batch"), before + 1);
        let mut answer = batch_of(packed(&[2, 2]));
        answer.header.flag |= FLAG_RESPONSE;
        let mut shorter = batch_of(packed(&[2, 2]));
        shorter.header.opaque -= 1;
        for frame in [
            request(code::CONTROLLER_GET_METADATA_INFO, &[], ""),
            request(private::STATUS, &[], ""),
            request(24_003, &[], ""),
            answer,
            shorter,
            hello.clone(),
        ] {
            let before = ground.refused(node, "peer link without batch");
            send_behind(&ground, node, &hello, &encoded([&frame]), "no batch");
            assert_eq!(ground.refused(node, "peer link without batch"), before + 1);
            ground.check("no batch");
        }
        for (name, messages) in impossible(me, other) {
            let before = refused_messages(&mut ground, node);
            let count = u64::try_from(messages.len()).unwrap();
            let batch = messages.iter().flat_map(|message| packed(message)).collect::<Vec<u8>>();
            send_behind(&ground, node, &hello, &encoded([&batch_of(batch)]), name);
            until("impossible messages are refused", || {
                (refused_messages(&mut ground, node) >= before + count).then_some(())
            });
            ground.check(name);
        }
        for (name, message) in harmless() {
            let batch = packed(&message);
            send_behind(&ground, node, &hello, &encoded([&batch_of(batch)]), name);
            ground.check(name);
        }
    }
}

/// Sends both frames at once, so that they are read before the real peer takes its link back, and sees the end.
fn send_behind(ground: &Ground, node: usize, hello: &Frame, frame: &[u8], name: &str) {
    let mut wire = ground.connect(node);
    wire.send(&[&encoded([hello]), frame].concat());
    match wire.receive() {
        // The answer to the hello, unless the end overtook it.
        Ok(Some(answer)) => {
            assert_eq!(answer.header.code, response_code::SUCCESS, "{name}");
            wire.must_end(name);
        }
        Ok(None) => {}
        Err(error) => panic!("{name}: {error}"),
    }
}

/// A leader that stands still, and a follower that is given more for it than their link holds: the follower goes on
/// answering, and all is well when the leader is back.
#[test]
fn a_leader_that_does_not_read() {
    const REQUESTS: usize = 256;
    let mut ground = Ground::new("");
    let [leader, follower] = ground.two_kinds();
    let blanks = " ".repeat(60 * 1_024);
    let elect = request(code::CONTROLLER_ELECT_MASTER, &[("brokerName", "other")], &blanks);
    let pipeline = encoded([&elect]).repeat(REQUESTS);
    ground.signal(leader, Signal::STOP);
    let mut wire = ground.connect(follower);
    let mut writing = wire.stream.try_clone().expect("a handle can be copied");
    std::thread::scope(|scope| {
        let writer = std::thread::Builder::new().name("pipeline".to_owned());
        let writer = writer.spawn_scoped(scope, || writing.write_all(&pipeline));
        let writer = writer.expect("a thread can be had");
        for _ in 0..REQUESTS {
            let code = wire.must_receive("a request for a leader that stands still").header.code;
            // Unknown, no leader, or one was elected meanwhile that does not know the set.
            assert!(matches!(code, 1 | 2007 | 2010), "{code}");
        }
        writer.join().expect("the writer does not panic").expect("all requests are taken");
    });
    assert_eq!(ground.status(follower)["stage"], "member");
    ground.signal(leader, Signal::CONT);
    ground.check("a leader that did not read");
}

fn refused_messages(ground: &mut Ground, node: usize) -> u64 {
    ground.status(node)["refusedMessages"].as_u64().expect("a number")
}

/// A message as it stands in a batch.
fn packed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("short");
    let checksum = crc32c(message);
    [&length.to_le_bytes()[..], &checksum.to_le_bytes(), message].concat()
}

/// Batches that end the link.
fn unreadable() -> Vec<(&'static str, Vec<u8>)> {
    let mut damaged = packed(&[2, 2]);
    damaged[4] ^= 1;
    let behind_a_good_one = [packed(&[2, 2]), packed(&[99])].concat();
    let raft = |head: &[u8]| packed(&[&[1], head].concat());
    let heartbeat_cut = [&[10][..], &[0; 30]].concat();
    let not_utf8 = [&[5][..], &[0; 8], &[1, 0, 0xff], b"a"].concat();
    let name_past_the_end = [&[5][..], &[0; 8], &[0xff, 0xff], b"a"].concat();
    vec![
        ("one byte", vec![0]),
        ("length past the end", vec![9, 0, 0, 0, 0, 0, 0, 0]),
        ("length of 4 GiB", vec![0xff; 8]),
        ("wrong checksum", damaged),
        ("empty message", packed(b"")),
        ("kind 0", packed(&[0])),
        ("kind 99", packed(&[99])),
        ("a bad message behind a good one", behind_a_good_one),
        ("founding state 3", packed(&[2, 3])),
        ("founding state with more", packed(&[2, 2, 0])),
        ("forward without number", packed(&[3, 1, 2])),
        ("answer without number", packed(&[4])),
        ("closed, not UTF-8", packed(&not_utf8)),
        ("closed, name past the end", packed(&name_past_the_end)),
        ("objection neither yes nor no", packed(&[7, 0, 0, 0, 0, 0, 0, 0, 0, 2])),
        ("snapshot read with more", packed(&[8; 18])),
        ("snapshot part cut off", packed(&[9; 10])),
        ("heartbeat cut off", packed(&heartbeat_cut)),
        ("raft, nothing", raft(b"")),
        ("raft, layout 2", raft(&[2, 5, 0, 0, 0, 0, 0, 0])),
        ("raft, kind 0", raft(&message(0, 0, [1, 2, 3], &[]))),
        ("raft, kind 11", raft(&message(11, 0, [1, 2, 3], &[]))),
        ("raft, unknown flag", raft(&message(8, 0x8000, [1, 2, 3], &[]))),
        ("raft, append cut off", raft(&message(1, 0, [1, 2, 3], &[1]))),
        // A count of a million entries, and no entry.
        (
            "raft, append without its entries",
            raft(&message(1, 0, [1, 2, 3], &[1, 1, 1, 1_000_000])),
        ),
    ]
}

/// A message of the consensus engine: sender, receiver, term, and the numbers of its kind.
fn message(kind: u8, flags: u16, addresses_and_term: [u64; 3], fields: &[u64]) -> Vec<u8> {
    let mut out = vec![1, kind];
    out.extend_from_slice(&flags.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    for number in addresses_and_term.iter().chain(fields) {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out
}

/// Well-formed messages of the engine that no correct peer sends.
fn impossible(me: u64, other: u64) -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let raft = |message: Vec<u8>| [&[1][..], &message].concat();
    let third = 6 - me - other;
    // Append, its answer, a vote, its answer, a keepalive, its answer, time-out now.
    let kinds: [(u8, &[u64]); 7] = [
        (1, &[0, 0, 0, 0]),
        (2, &[0, 0, 0, 0, 0]),
        (3, &[0, 0, 0, 0, 0]),
        (4, &[0, 0]),
        (5, &[0]),
        (6, &[0]),
        (8, &[]),
    ];
    let all = |from, to, term| {
        kinds
            .iter()
            .map(|(kind, fields)| raft(message(*kind, 0, [from, to, term], fields)))
            .collect()
    };
    let gap = [&message(1, 0, [other, me, 1], &[0, 0, 0, 1])[..], &entry(1, 7)].concat();
    vec![
        ("term 2^64-1", all(other, me, u64::MAX)),
        ("term 0", all(other, me, 0)),
        ("from another", all(third, me, 1)),
        ("from nobody", all(0, me, 1)),
        ("from the receiver", all(me, me, 1)),
        ("to another", all(other, third, 1)),
        ("an index without a term", vec![raft(message(1, 0, [other, me, 1], &[9, 0, 0, 0]))]),
        ("an entry behind a gap", vec![raft(gap)]),
        ("a read question of term 1", vec![raft(message(9, 0, [other, me, 1], &[other, 5, 1]))]),
    ]
}

/// An empty entry of the log.
fn entry(term: u64, index: u64) -> Vec<u8> {
    let numbers = [term.to_le_bytes(), index.to_le_bytes()].concat();
    [&numbers[..], &[0; 8]].concat()
}

/// Messages that can be read and mean nothing here.
fn harmless() -> Vec<(&'static str, Vec<u8>)> {
    let numbered =
        |kind: u8, number: u64, rest: &[u8]| [&[kind][..], &number.to_le_bytes(), rest].concat();
    let unknown_code = encoded([&request(private::PEER_HELLO, &[], "x")]);
    let metadata = encoded([&request(code::CONTROLLER_GET_METADATA_INFO, &[], "")]);
    vec![
        ("founding of a member", vec![2, 0]),
        ("forward of garbage", numbered(3, 1, b"so?")),
        ("forward of nothing", numbered(3, 2, b"")),
        ("forward of a private code", numbered(3, u64::MAX - 1, &unknown_code)),
        ("forward of what is not forwarded", numbered(3, u64::MAX, &metadata)),
        ("answer to nothing", numbered(4, u64::MAX, b"so?")),
        ("a broker closed that nobody knows", [numbered(5, 7, &[1, 0]), b"xy".to_vec()].concat()),
        ("objection to nothing", numbered(7, u64::MAX, &[1])),
        ("part of no snapshot", numbered(9, 1, &[0; 100])),
        ("question of no snapshot", numbered(8, u64::MAX, &u64::MAX.to_le_bytes())),
    ]
}

//! D20, D21: what must not reach the engine, one row each; and noise of every kind, which must
//! never panic a peer.

use crate::cluster::Cluster;
use crate::random::Random;
use bytes::{Bytes, BytesMut};
use consensus::{
    ChangeStep, Content, Driver, Effect, Entry, EntryKind, LogIndex, Membership, MembershipChange,
    Message, PeerId, Persist, ReadContext, Refused, Restored, Role, Settings, SnapshotDescriptor,
    Term,
};

const ME: PeerId = PeerId(1);
const OTHER: PeerId = PeerId(2);

/// Three peers with two committed entries; peer 1 leads term 1, or follows peer 2.
fn cluster(role: Role) -> Cluster {
    let mut cluster = Cluster::new([1, 2, 3]);
    let leader = if role == Role::Leader { ME } else { OTHER };
    cluster.driver_mut(leader).campaign_now();
    cluster.end_of_turn(leader);
    cluster.settle();
    cluster.propose(leader, Bytes::from_static(b"a")).unwrap();
    cluster.end_of_turn(leader);
    cluster.settle();
    assert_eq!(cluster.driver(ME).commit(), LogIndex(2));
    cluster
}

fn entry(index: u64, term: u64) -> Entry {
    let (index, term) = (LogIndex(index), Term(term));
    Entry { term, index, kind: EntryKind::Empty, bytes: Bytes::new() }
}

fn append(index: u64, log_term: u64, commit: u64, entries: Vec<Entry>) -> Content {
    let (index, log_term, commit) = (LogIndex(index), Term(log_term), LogIndex(commit));
    Content::Append { index, log_term, commit, entries }
}

fn accepted(index: u64) -> Content {
    Content::AppendAnswer {
        index: LogIndex(index),
        reject: false,
        reject_hint: LogIndex(0),
        log_term: Term(0),
        commit: LogIndex(0),
        request_snapshot: LogIndex(0),
    }
}

fn keepalive(commit: u64) -> Content {
    Content::Keepalive { commit: LogIndex(commit), context: None }
}

fn snapshot(index: u64, term: u64, voters: &[u64]) -> Content {
    let membership = Membership::of_voters(voters.iter().copied().map(PeerId));
    let (index, term) = (LogIndex(index), Term(term));
    let descriptor = SnapshotDescriptor { index, term, membership, bytes: 0, checksum: 0 };
    Content::Snapshot { descriptor }
}

/// One message of `term` from peer 2 to peer 1 in `role`; the words of its refusal, or "taken".
fn check(role: Role, term: u64, content: Content, expected: &str) {
    let mut cluster = cluster(role);
    let what = format!("{role:?}, term {term}: {content:?}");
    let message = Message { from: OTHER, to: ME, term: Term(term), content };
    let verdict = cluster.driver_mut(ME).step(OTHER, 1, message);
    let verdict = verdict.map_or_else(|refused| refused.to_string(), |()| "taken".to_owned());
    assert!(verdict.contains(expected), "{what}: {verdict}, not {expected}");
    cluster.end_of_turn(ME);
    let lost = matches!(expected, "acknowledged here and is lost");
    assert_eq!(cluster.driver(ME).has_lost_data(), lost, "{what}");
}

#[test]
fn a_follower_refuses_what_no_leader_sends() {
    let follower = |content, expected| check(Role::Follower, 1, content, expected);
    let unsound = Entry { kind: EntryKind::Commands, ..entry(3, 1) };
    let membership = Entry { kind: EntryKind::Membership, ..entry(3, 1) };
    follower(append(2, 1, 2, vec![entry(3, 1)]), "taken");
    follower(append(2, 1, 2, vec![entry(4, 1)]), "entry 4 does not follow");
    follower(append(2, 1, 2, vec![entry(3, 2)]), "entry 3 does not follow");
    follower(append(2, 1, 2, vec![entry(3, 0)]), "entry 3 does not follow");
    follower(append(2, 1, 2, vec![unsound]), "entry 3 does not follow");
    follower(append(2, 1, 2, vec![membership]), "entry 3 does not follow");
    let bytes = MembershipChange::one(ChangeStep::Learn(PeerId(9))).encode();
    let membership = Entry { kind: EntryKind::Membership, bytes, ..entry(3, 1) };
    follower(append(2, 1, 2, vec![membership]), "taken");
    follower(append(9, 0, 2, vec![entry(10, 1)]), "index = 9 is impossible");
    follower(append(2, 2, 2, vec![]), "log term = 2 is impossible");
    follower(append(u64::MAX, 1, 2, vec![]), "is impossible");
    follower(keepalive(u64::MAX), "is impossible");
    follower(snapshot(9, 1, &[2, 3]), "membership that cannot be");
    follower(snapshot(0, 0, &[1, 2, 3]), "snapshot index = 0 is impossible");
    follower(snapshot(9, 2, &[1, 2, 3]), "log term = 2 is impossible");
    follower(snapshot(9, 1, &[1, 2, 3]), "taken");
    let context = ReadContext { peer: OTHER, boot_nonce: 1, sequence: 1 };
    check(Role::Follower, 0, Content::ReadIndex { context }, "does not lead");
    follower(Content::ReadIndex { context }, "term = 1 is impossible");
    follower(Content::ReadIndexAnswer { index: LogIndex(1), context }, "read context");
    check(Role::Follower, 0, keepalive(0), "term = 0 is impossible");
    check(Role::Follower, u64::MAX, keepalive(0), "is impossible");
    check(Role::Follower, 9, Content::TimeoutNow, "out of turn");
    // Only a campaign in the next term can still be asked about; what was said of an earlier one is late.
    let promise = || Content::VoteAnswer {
        is_pre: true,
        reject: false,
        commit: LogIndex(0),
        commit_term: Term(0),
    };
    follower(promise(), "out of turn");
    check(Role::Follower, 2, promise(), "taken");
    check(Role::Follower, 3, promise(), "out of turn");
}

#[test]
fn lost_data_is_seen() {
    let lost = "acknowledged here and is lost";
    let follower = |term, content, expected| check(Role::Follower, term, content, expected);
    follower(1, keepalive(3), lost);
    follower(9, keepalive(3), lost);
    follower(1, keepalive(2), "taken");
    follower(9, append(2, 9, 2, vec![]), lost);
    follower(9, append(1, 1, 2, vec![entry(2, 9)]), lost);
    follower(9, snapshot(2, 9, &[1, 2, 3]), lost);
    follower(9, snapshot(2, 1, &[1, 2, 3]), "taken");
}

#[test]
fn a_leader_refuses_what_no_follower_sends() {
    let leader = |term, content, expected| check(Role::Leader, term, content, expected);
    leader(1, accepted(2), "taken");
    leader(1, accepted(3), "acknowledged = 3 is impossible");
    leader(1, keepalive(0), "claims to lead term 1");
    leader(1, append(2, 1, 2, vec![]), "claims to lead term 1");
    leader(1, snapshot(9, 1, &[1, 2, 3]), "claims to lead term 1");
    leader(1, Content::TimeoutNow, "out of turn");
    let question = |peer, boot_nonce, sequence| Content::ReadIndex {
        context: ReadContext { peer, boot_nonce, sequence },
    };
    leader(0, question(OTHER, 1, 1), "taken");
    leader(0, question(OTHER, 2, 1), "read context");
    leader(0, question(PeerId(3), 1, 1), "read context");
    leader(0, question(OTHER, 1, 0), "read context");
}

#[test]
fn a_message_must_be_of_its_link() {
    let mut cluster = cluster(Role::Follower);
    for (from, to, link) in [(2, 3, 2), (3, 1, 2), (1, 1, 1), (0, 1, 0)] {
        let (from, to, link) = (PeerId(from), PeerId(to), PeerId(link));
        let message = Message { from, to, term: Term(1), content: keepalive(0) };
        let verdict = cluster.driver_mut(ME).step(link, 1, message);
        assert_eq!(verdict, Err(Refused::Address { from, to }));
    }
    let stranger = PeerId(9);
    let message = Message { from: stranger, to: ME, term: Term(1), content: accepted(1) };
    let verdict = cluster.driver_mut(ME).step(stranger, 1, message);
    assert_eq!(verdict, Err(Refused::NotMember { from: stranger }));
}

/// Small numbers, so that many messages are nearly right.
fn noise(random: &mut Random) -> Message {
    let mut small = |end: u64| random.next() % end;
    let index = LogIndex(small(12));
    let log_term = Term(small(5));
    let commit = LogIndex(small(12));
    let context = ReadContext { peer: PeerId(small(4)), boot_nonce: 1, sequence: small(9) };
    let term = Term(small(8));
    let mut entries = Vec::new();
    for offset in 1..=small(4) {
        let mut entry = entry(index.0 + offset, (log_term.0 + small(2)).min(term.0));
        if small(3) == 0 {
            entry.kind = EntryKind::Commands;
            entry.bytes = Bytes::from_static(b"\x01\0\0\0x");
        }
        entries.push(entry);
    }
    let flags = [small(2) == 0, small(2) == 0];
    let content = match small(14) {
        0..=2 => Content::Append { index, log_term, commit, entries },
        3 | 4 => Content::AppendAnswer {
            index,
            reject: flags[0],
            reject_hint: LogIndex(small(12)),
            log_term,
            commit,
            request_snapshot: LogIndex(0),
        },
        5 | 6 => Content::Vote {
            is_pre: flags[0],
            index,
            log_term,
            commit,
            commit_term: Term(small(5)),
            priority: 0,
            is_transfer: flags[1],
        },
        7 | 8 => Content::VoteAnswer {
            is_pre: flags[0],
            reject: flags[1],
            commit,
            commit_term: Term(small(5)),
        },
        // A commit beyond the log ends the test of this peer (D21), so it is made rare.
        9 => Content::Keepalive {
            commit: LogIndex(small(12) / 6),
            context: flags[0].then_some(context),
        },
        10 => Content::KeepaliveAnswer { commit, context: flags[0].then_some(context) },
        11 => snapshot(index.0, log_term.0, &[1, 2, 3]),
        12 => Content::TimeoutNow,
        _ if flags[0] => Content::ReadIndex { context },
        _ => Content::ReadIndexAnswer { index, context },
    };
    let term = if matches!(content, Content::ReadIndex { .. }) { Term(0) } else { term };
    Message { from: PeerId(small(2) + 2), to: ME, term, content }
}

/// One peer alone among liars; it may be led astray, it must not panic.
fn survive(seed: u64) -> usize {
    let random = &mut Random(seed);
    let count = [3, 3, 1][random.below(3)];
    let membership = Membership::of_voters((1..=count).map(PeerId));
    let restored = Restored { membership, ..Restored::default() };
    let mut driver = Driver::new(Settings::new(ME, 1), restored).unwrap();
    let mut numbers = Vec::new();
    let mut fetches = Vec::new();
    let mut taken = 0;
    for _ in 0..300 {
        let message = noise(random);
        let mut bytes = BytesMut::new();
        message.encode(&mut bytes);
        let message = Message::decode(bytes.freeze()).unwrap();
        taken += usize::from(driver.step(message.from, 1, message).is_ok());
        match random.below(8) {
            0 => driver.tick(),
            1 => driver.campaign_now(),
            2 => _ = driver.propose(Bytes::from_static(b"c")),
            3 => _ = driver.read_barrier(),
            4 => driver.transfer_to(OTHER),
            5 => driver.snapshot_reported(OTHER, true),
            6 => numbers.drain(..).for_each(|number| driver.persisted(number)),
            _ => {
                let ok = random.chance(800);
                fetches.drain(..).for_each(|descriptor| driver.snapshot_fetched(&descriptor, ok));
            }
        }
        let mut effects = Vec::new();
        driver.end_of_turn(&mut effects);
        for effect in effects {
            match effect {
                Effect::Persist(Persist { number, .. }) => numbers.push(number),
                Effect::FetchSnapshot { descriptor, .. } => fetches.push(descriptor),
                _ => {}
            }
        }
    }
    taken
}

#[test]
fn noise_is_no_panic() {
    let taken: usize = (0..1_000)
        .map(|seed| {
            println!("seed {seed}");
            survive(seed)
        })
        .sum();
    assert!(taken > 50_000, "{taken}: the noise is nearly right");
}

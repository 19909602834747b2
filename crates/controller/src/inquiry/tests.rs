//! Questions about one broker after the other, without a cluster around them.

use super::{Finding, Inquiries, PROBES_IN_FLIGHT_MAX, Suspect, Why};
use crate::event::{AttemptId, ProbeResult};
use crate::instant::Instant;
use crate::liveness::BrokerIdentity;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use consensus::PeerId;

fn at(ms: u64) -> Instant {
    Instant::from_micros(ms * 1_000)
}

fn broker(id: i64) -> BrokerIdentity {
    BrokerIdentity { cluster: "c".into(), set: "s".into(), id }
}

/// One broker whose address is remembered to have accepted.
fn remembered() -> Inquiries {
    let mut inquiries = Inquiries::default();
    inquiries.ask(at(0), &broker(1), "x:1", Why::Remember);
    let attempt = only_probe(&mut inquiries);
    assert_eq!(inquiries.probed(at(1), attempt, ProbeResult::Accepted), Finding::Nothing);
    inquiries
}

fn only_probe(inquiries: &mut Inquiries) -> AttemptId {
    let probes = inquiries.take_probes(at(1_000_000));
    assert_eq!(probes.len(), 1, "one connect");
    assert_eq!(&*probes[0].1, "x:1");
    probes[0].0
}

fn suspect(since: Instant, is_closed: bool) -> Suspect {
    Suspect { broker: broker(1), since, is_closed }
}

/// Asks, is refused, and opens a round with these peers.
fn refused_round(inquiries: &mut Inquiries, why: Why, asked: &[u64]) -> u64 {
    inquiries.ask(at(10), &broker(1), "x:1", why);
    let attempt = only_probe(inquiries);
    let found = inquiries.probed(at(11), attempt, ProbeResult::Refused);
    let Finding::AskPeers(number, found) = found else { panic!("{found:?}") };
    assert_eq!(found, suspect(at(10), why == Why::Closed));
    let asked: BTreeSet<PeerId> = asked.iter().copied().map(PeerId).collect();
    inquiries.open_round(at(11), number, found, asked);
    number
}

/// What a connect says, by why it was made and whether the address ever accepted.
#[test]
fn what_a_connect_means() {
    type IsExpected = fn(&Finding) -> bool;
    let nothing: IsExpected = |finding| *finding == Finding::Nothing;
    let asks: IsExpected = |finding| matches!(finding, Finding::AskPeers(..));
    let shortens: IsExpected = |finding| matches!(finding, Finding::Shorten(..));
    let rows = [
        (Why::Remember, true, ProbeResult::Accepted, nothing),
        (Why::Remember, false, ProbeResult::Refused, nothing),
        (Why::Remember, false, ProbeResult::NoAnswer, nothing),
        (Why::Silent, true, ProbeResult::Accepted, nothing),
        (Why::Silent, true, ProbeResult::Refused, asks),
        (Why::Silent, true, ProbeResult::NoAnswer, nothing),
        (Why::Silent, false, ProbeResult::Refused, nothing),
        (Why::Closed, true, ProbeResult::Accepted, nothing),
        (Why::Closed, true, ProbeResult::Refused, asks),
        (Why::Closed, true, ProbeResult::NoAnswer, shortens),
        (Why::Closed, false, ProbeResult::Accepted, nothing),
        (Why::Closed, false, ProbeResult::Refused, shortens),
        (Why::Closed, false, ProbeResult::NoAnswer, shortens),
    ];
    for (why, is_remembered, result, is_expected) in rows {
        let mut inquiries = if is_remembered { remembered() } else { Inquiries::default() };
        inquiries.ask(at(10), &broker(1), "x:1", why);
        if why == Why::Remember && is_remembered {
            assert!(inquiries.take_probes(at(1_000_000)).is_empty(), "what is known is not asked");
            continue;
        }
        let attempt = only_probe(&mut inquiries);
        let finding = inquiries.probed(at(11), attempt, result);
        assert!(is_expected(&finding), "{why:?} {is_remembered} {result:?}: {finding:?}");
        assert_eq!(inquiries.probed(at(12), attempt, result), Finding::Nothing, "once");
    }
}

#[test]
fn an_empty_address_is_not_remembered() {
    let mut inquiries = Inquiries::default();
    inquiries.ask(at(0), &broker(1), "", Why::Remember);
    assert!(inquiries.take_probes(at(1_000_000)).is_empty());
}

#[test]
fn a_round_ends_when_all_have_answered() {
    let mut inquiries = remembered();
    let number = refused_round(&mut inquiries, Why::Closed, &[2, 3]);
    inquiries.answered(at(12), number, PeerId(2), false);
    assert!(inquiries.close_rounds(at(12), 2).is_empty(), "one is missing, and time is left");
    inquiries.answered(at(13), number, PeerId(3), false);
    let dead = Finding::Dead(suspect(at(10), true));
    assert_eq!(inquiries.close_rounds(at(13), 2), [dead]);
    assert!(inquiries.close_rounds(at(99), 2).is_empty(), "once");
}

#[test]
fn a_silent_peer_blocks_nothing_if_a_quorum_answered() {
    let mut inquiries = remembered();
    let number = refused_round(&mut inquiries, Why::Closed, &[2, 3]);
    inquiries.answered(at(12), number, PeerId(2), false);
    inquiries.answered(at(12), number, PeerId(2), false);
    inquiries.answered(at(12), number, PeerId(9), false);
    assert_eq!(inquiries.next_due(at(1_000_000)), Some(at(61)));
    assert!(inquiries.close_rounds(at(60), 2).is_empty());
    assert_eq!(inquiries.close_rounds(at(61), 2), [Finding::Dead(suspect(at(10), true))]);
}

#[test]
fn without_a_quorum_nobody_is_dead() {
    for (why, is_short) in [(Why::Closed, true), (Why::Silent, false)] {
        let mut inquiries = remembered();
        refused_round(&mut inquiries, why, &[2, 3]);
        let findings = inquiries.close_rounds(at(61), 2);
        let shortens = matches!(findings[..], [Finding::Shorten(..)]);
        let nothing = findings == [Finding::Nothing];
        assert_eq!((shortens, nothing), (is_short, !is_short), "{why:?}: {findings:?}");
    }
    // Alone, this peer is the quorum.
    let mut inquiries = remembered();
    refused_round(&mut inquiries, Why::Closed, &[]);
    assert_eq!(inquiries.close_rounds(at(11), 1).len(), 1);
}

#[test]
fn an_objection_ends_the_round_and_a_close_is_asked_again() {
    for (why, is_asked_again) in [(Why::Closed, true), (Why::Silent, false)] {
        let mut inquiries = remembered();
        let number = refused_round(&mut inquiries, why, &[2, 3]);
        inquiries.answered(at(12), number, PeerId(2), true);
        assert!(inquiries.close_rounds(at(99), 2).is_empty());
        let expected = if is_asked_again { Vec::from([broker(1)]) } else { Vec::new() };
        assert!(inquiries.take_again(at(1_011)).is_empty());
        assert_eq!(inquiries.take_again(at(1_012)), expected, "{why:?}");
    }
}

/// Another close while the connect is on its way: the connect may be older, so it is made again.
#[test]
fn a_close_during_a_connect_is_asked_about_anew() {
    let mut inquiries = remembered();
    inquiries.ask(at(10), &broker(1), "x:1", Why::Closed);
    let attempt = only_probe(&mut inquiries);
    inquiries.ask(at(11), &broker(1), "x:1", Why::Closed);
    assert!(inquiries.take_probes(at(1_000_000)).is_empty(), "one at a time");
    assert_eq!(inquiries.probed(at(12), attempt, ProbeResult::Accepted), Finding::Nothing);
    let attempt = only_probe(&mut inquiries);
    let found = inquiries.probed(at(13), attempt, ProbeResult::Refused);
    let Finding::AskPeers(_, suspect) = found else { panic!("{found:?}") };
    assert_eq!(suspect.since, at(12), "who heard it since the second question objects");
}

#[test]
fn the_more_urgent_reason_stands() {
    let mut inquiries = remembered();
    inquiries.ask(at(10), &broker(1), "x:1", Why::Silent);
    inquiries.ask(at(20), &broker(1), "x:1", Why::Closed);
    let attempt = only_probe(&mut inquiries);
    let found = inquiries.probed(at(21), attempt, ProbeResult::NoAnswer);
    let Finding::Shorten(_, found) = found else { panic!("{found:?}") };
    assert_eq!(found, suspect(at(20), true));
}

/// However often its connections close, one broker is asked again once in a second.
#[test]
fn questions_about_one_broker_do_not_multiply() {
    let mut inquiries = remembered();
    for ms in 0..500 {
        inquiries.ask(at(ms), &broker(1), "x:1", Why::Closed);
        for (attempt, _) in inquiries.take_probes(at(1_000_000)) {
            inquiries.probed(at(ms), attempt, ProbeResult::Accepted);
        }
    }
    assert_eq!(inquiries.take_again(at(1_499)).len(), 1);
    assert!(inquiries.take_again(at(9_999)).is_empty());
}

#[test]
fn connects_have_a_limit() {
    let mut inquiries = Inquiries::default();
    for id in 0..600 {
        inquiries.ask(at(0), &broker(id), "x:1", Why::Closed);
    }
    let first = inquiries.take_probes(at(1_000_000));
    assert_eq!(first.len(), PROBES_IN_FLIGHT_MAX);
    assert!(inquiries.take_probes(at(1_000_000)).is_empty());
    inquiries.probed(at(1), first[0].0, ProbeResult::NoAnswer);
    assert_eq!(inquiries.take_probes(at(1_000_000)).len(), 1);
}

/// Leadership is lost: no question of it goes on. What every peer asks to remember goes on.
#[test]
fn only_questions_of_the_leader_end_with_leadership() {
    let mut inquiries = Inquiries::default();
    inquiries.ask(at(0), &broker(1), "x:1", Why::Closed);
    inquiries.ask(at(0), &broker(2), "x:2", Why::Remember);
    let probes = inquiries.take_probes(at(1_000_000));
    inquiries.ask(at(0), &broker(3), "x:3", Why::Remember);
    inquiries.clear();
    assert_eq!(inquiries.probed(at(1), probes[0].0, ProbeResult::NoAnswer), Finding::Nothing);
    assert_eq!(inquiries.probed(at(1), probes[1].0, ProbeResult::Accepted), Finding::Nothing);
    let waiting = inquiries.take_probes(at(1_000_000));
    assert_eq!(waiting.iter().map(|(_, address)| &**address).collect::<Vec<_>>(), ["x:3"]);
    assert_eq!(inquiries.next_due(at(1_000_000)), None);
    // The address of 2 is remembered: its refusal counts.
    inquiries.ask(at(2), &broker(2), "x:2", Why::Closed);
    let probes = inquiries.take_probes(at(1_000_000));
    let found = inquiries.probed(at(3), probes[0].0, ProbeResult::Refused);
    assert!(matches!(found, Finding::AskPeers(..)), "{found:?}");
}

/// An unmodified broker heartbeats before its own port is open: refused at first, remembered soon after.
#[test]
fn an_address_that_did_not_accept_is_tried_again_until_it_does() {
    let mut inquiries = Inquiries::default();
    inquiries.ask(at(0), &broker(1), "x:1", Why::Remember);
    let attempt = only_probe(&mut inquiries);
    assert_eq!(inquiries.probed(at(1), attempt, ProbeResult::Refused), Finding::Nothing);
    assert_eq!(inquiries.next_due(at(1_000_000)), Some(at(501)));
    assert!(inquiries.take_unaccepted(at(500)).is_empty());
    assert_eq!(inquiries.take_unaccepted(at(501)), [broker(1)]);
    inquiries.ask(at(501), &broker(1), "x:1", Why::Remember);
    let attempt = only_probe(&mut inquiries);
    assert_eq!(inquiries.probed(at(502), attempt, ProbeResult::NoAnswer), Finding::Nothing);
    assert_eq!(inquiries.next_due(at(1_000_000)), Some(at(1_502)), "the pause doubles");
    assert_eq!(inquiries.take_unaccepted(at(1_502)), [broker(1)]);
    inquiries.ask(at(1_502), &broker(1), "x:1", Why::Remember);
    let attempt = only_probe(&mut inquiries);
    assert_eq!(inquiries.probed(at(1_503), attempt, ProbeResult::Accepted), Finding::Nothing);
    assert_eq!(inquiries.next_due(at(1_000_000)), None);
    inquiries.ask(at(2_000), &broker(1), "x:1", Why::Remember);
    assert!(inquiries.take_probes(at(1_000_000)).is_empty(), "remembered");
}

/// A fleet that is new is remembered at a rate, and a close that comes meanwhile waits for none of it.
#[test]
fn whoever_is_only_remembered_waits() {
    let mut inquiries = Inquiries::default();
    let count = 30_000;
    for id in 0..count {
        inquiries.ask(at(0), &broker(id), &alloc::format!("x:{id}"), Why::Remember);
    }
    let start = 1_000_000;
    let first = inquiries.take_probes(at(start));
    assert_eq!(first.len(), 128);
    inquiries.ask(at(start), &broker(29_000), "x:29000", Why::Closed);
    inquiries.ask(at(start), &broker(77_777), "y:1", Why::Closed);
    let urgent: Vec<_> =
        inquiries.take_probes(at(start)).into_iter().map(|probe| probe.1).collect();
    assert_eq!(urgent, ["x:29000".into(), "y:1".into()]);
    let (mut ms, mut asked, mut running) = (start, first.len(), first);
    while asked < 29_999 {
        for (attempt, _) in running.drain(..) {
            inquiries.probed(at(ms), attempt, ProbeResult::Accepted);
        }
        ms += 10;
        running = inquiries.take_probes(at(ms));
        asked += running.len();
        assert!(running.len() <= 128);
    }
    let took = ms - start;
    assert!((29_500..=30_500).contains(&took), "{took} ms for a fleet of {count}");
}

/// As many connects as one likes to cause go out at a bounded rate.
#[test]
fn a_flood_of_closes_is_asked_about_at_a_rate() {
    let mut inquiries = Inquiries::default();
    let (mut asked, mut id) = (0, 0);
    for ms in 1_000..2_000 {
        for _ in 0..100 {
            id += 1;
            inquiries.ask(at(ms), &broker(id), &alloc::format!("x:{id}"), Why::Closed);
        }
        let probes = inquiries.take_probes(at(ms));
        asked += probes.len();
        for (attempt, _) in probes {
            inquiries.probed(at(ms), attempt, ProbeResult::NoAnswer);
        }
    }
    assert!((12_000..=14_100).contains(&asked), "{asked} in a second");
    let due = inquiries.next_due(at(1_999)).unwrap();
    assert!((at(1_999)..=at(2_000)).contains(&due), "the next may go soon: {due:?}");
}

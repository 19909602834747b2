//! One row for each effect: what comes out of a hundred packets from host 1 to host 2.

use super::{Counts, Effect, Hosts, Packet, Pulse, Rule, Rules};
use crate::clock::{MILLISECOND, SECOND};
use crate::draw::Draw;
use std::net::Ipv4Addr;

fn host(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, last)
}

fn hosts(last: &[u8]) -> Hosts {
    last.iter().map(|last| host(*last)).collect()
}

/// A TCP segment with a number as its data.
fn packet(from: u8, to: u8, number: u8) -> Packet {
    let mut bytes = vec![0; 40];
    bytes[0] = 0x45;
    bytes[9] = 6;
    bytes[12..16].copy_from_slice(&host(from).octets());
    bytes[16..20].copy_from_slice(&host(to).octets());
    bytes[32] = 5 << 4;
    bytes.push(number);
    Packet::new(&bytes).unwrap()
}

/// Deliveries of a hundred packets sent a millisecond apart, in the order of delivery, and the counts.
fn hundred(effect: Effect, pulse: Option<Pulse>) -> (Vec<(u64, u8)>, Counts) {
    let mut rules = Rules::new(Draw::new(5));
    let rule = Rule { pulse, ..Rule::new(&hosts(&[1]), &hosts(&[2]), effect) };
    let id = rules.add(rule, 0);
    let mut out = Vec::new();
    for number in 0..100 {
        let now = u64::from(number) * MILLISECOND;
        for due in rules.pass(packet(1, 2, number), now) {
            out.push((due.at, *due.packet.bytes().last().unwrap()));
        }
        // The way back has no rule.
        assert_eq!(rules.pass(packet(2, 1, number), now).len(), 1);
    }
    out.sort_by_key(|(at, _)| *at);
    let lifted = rules.remove(id).unwrap();
    let counts = lifted.sum();
    assert_eq!(lifted.pairs.into_keys().collect::<Vec<_>>(), [(host(1), host(2))]);
    assert_eq!(rules.pass(packet(1, 2, 0), 200 * SECOND).len(), 1, "no rule, no effect");
    (out, counts)
}

#[test]
fn a_cut_drops_one_direction_and_counts() {
    let (out, counts) = hundred(Effect::Cut, None);
    assert_eq!(out, []);
    assert_eq!(counts, Counts { fitted: 100, touched: 100, dropped: 100 });
}

#[test]
fn a_pulse_drops_only_while_it_is_on() {
    let pulse = Pulse { on: 10 * MILLISECOND, off: 40 * MILLISECOND };
    let (out, counts) = hundred(Effect::Cut, Some(pulse));
    assert_eq!((out.len(), counts.dropped), (80, 20));
}

#[test]
fn loss_and_duplicates_follow_their_share() {
    let (out, counts) = hundred(Effect::Loss { per_mille: 800 }, None);
    assert!((5..40).contains(&out.len()), "{}", out.len());
    assert_eq!(counts.dropped, 100 - out.len() as u64);
    let (out, counts) = hundred(Effect::Duplicate { per_mille: 300 }, None);
    assert_eq!(out.len() as u64, 100 + counts.touched);
    assert!((10..60).contains(&counts.touched), "{counts:?}");
}

#[test]
fn a_delay_keeps_the_order_and_its_bounds() {
    let effect = Effect::Delay { mean: 100 * MILLISECOND, spread: 50 * MILLISECOND, tail: 0 };
    let (out, _) = hundred(effect, None);
    for (place, (at, number)) in out.iter().enumerate() {
        assert_eq!(usize::from(*number), place);
        let sent = u64::from(*number) * MILLISECOND;
        assert!(*at >= sent + 50 * MILLISECOND && *at <= sent + 250 * MILLISECOND);
    }
}

#[test]
fn what_is_scattered_keeps_its_bounds_and_loses_its_order() {
    let effect = Effect::Scatter { mean: 100 * MILLISECOND, spread: 50 * MILLISECOND };
    let (out, counts) = hundred(effect, None);
    assert_eq!((out.len(), counts), (100, Counts { fitted: 100, touched: 100, dropped: 0 }));
    for (at, number) in &out {
        let held = at - u64::from(*number) * MILLISECOND;
        assert!((50 * MILLISECOND..=150 * MILLISECOND).contains(&held), "{held} ns");
    }
    assert!(out.windows(2).any(|pair| pair[0].1 > pair[1].1));
}

#[test]
fn what_is_held_is_overtaken() {
    let (out, counts) = hundred(Effect::Reorder { per_mille: 200, hold: 5 * MILLISECOND }, None);
    assert_eq!(out.len(), 100);
    assert!(counts.touched > 5);
    assert!(out.windows(2).any(|pair| pair[0].1 > pair[1].1));
}

#[test]
fn a_slow_link_spreads_packets_and_drops_what_it_cannot_hold() {
    let (out, counts) = hundred(Effect::Rate { bytes: 4_100 }, None);
    // 41 bytes each: ten milliseconds on this link.
    assert!(out.windows(2).all(|pair| pair[1].0 - pair[0].0 == 10 * MILLISECOND));
    assert_eq!((out.len(), counts.touched), (100, 99));
    // Twenty milliseconds each: room for 99 ms in which they come, and for a second that they may wait.
    let (out, _) = hundred(Effect::Rate { bytes: 2_050 }, None);
    assert_eq!(out.len(), 55);
}

#[test]
fn corruption_and_resets_touch_only_data() {
    let (out, counts) = hundred(Effect::Corrupt { per_mille: 500 }, None);
    let changed =
        out.iter().enumerate().filter(|(place, (_, number))| usize::from(*number) != *place);
    assert_eq!(changed.count() as u64, counts.touched);
    assert!(counts.touched > 20);
    let (_, counts) = hundred(Effect::Reset { per_mille: 500 }, None);
    assert!(counts.touched > 20 && counts.dropped == 0);
    let (out, _) = hundred(Effect::DropOver { bytes: 40 }, None);
    assert_eq!(out, []);
    let (out, _) = hundred(Effect::DropSyn, None);
    assert_eq!(out.len(), 100, "none of them begins a connection");
}

/// A TCP segment without data that ends its connection: 4 is RST.
fn end(from: u8, to: u8) -> Packet {
    let mut bytes = packet(from, to, 0).bytes()[..40].to_vec();
    bytes[33] = 4;
    Packet::new(&bytes).unwrap()
}

#[test]
fn a_connection_is_half_open_when_one_side_alone_hears_of_its_end() {
    let both = hosts(&[1, 2]);
    let (reset, drop_end) = (Effect::Reset { per_mille: 1_000 }, Effect::DropEnd);
    for effects in [[reset, drop_end], [drop_end, reset]] {
        let mut rules = Rules::new(Draw::new(5));
        for effect in effects {
            rules.add(Rule::new(&both, &both, effect), 0);
        }
        let heard = rules.pass(packet(1, 2, 7), 0);
        assert!(heard.len() == 1 && heard[0].packet.is_end(), "host 2 hears of an end");
        assert_eq!(rules.pass(end(2, 1), 0).len(), 0, "host 1 hears of none");
    }
}

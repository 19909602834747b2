//! The thread that carries packets: reads every device, asks the rules, delivers when it is time.
//!
//! Cost: one read, one table look-up and one write for each packet, about 10 µs here; the traffic of five
//! controllers and their brokers is some thousand packets a second.

use super::packet::Packet;
use super::rule::Due;
use super::tun::Tun;
use super::{PACKETS_MAX, Shared, Traffic};
use crate::clock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;

/// Largest packet: the devices have the usual 1,500 bytes.
const PACKET_BYTES_MAX: usize = 2048;

/// Packets taken from one device before the others have their turn.
const BURST: usize = 64;

/// Nanoseconds that the thread sleeps at most, so that it notices its end.
const SLEEP: u64 = 50 * clock::MILLISECOND;

/// A packet that waits, ordered by time and then by arrival.
struct Waiting {
    at: u64,
    sequence: u64,
    packet: Packet,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.sequence) == (other.at, other.sequence)
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

/// Carries packets until `shared` says that it is over.
pub(super) fn carry(tuns: &[Tun], homes: &BTreeMap<Ipv4Addr, usize>, shared: &Shared) {
    let mut heap: BinaryHeap<Reverse<Waiting>> = BinaryHeap::new();
    let mut buffer = vec![0; PACKET_BYTES_MAX];
    let mut sequence = 0;
    while !shared.is_over.load(Ordering::Relaxed) {
        wait(tuns, heap.peek().map(|next| next.0.at));
        let mut traffic = Traffic::default();
        let mut came = Vec::new();
        for tun in tuns {
            for _ in 0..BURST {
                let Some(length) = tun.read(&mut buffer) else { break };
                match buffer.get(..length).and_then(Packet::new) {
                    Some(packet) if homes.contains_key(&packet.destination()) => came.push(packet),
                    Some(_) | None => traffic.foreign += 1,
                }
            }
        }
        for packet in came {
            for Due { at, packet } in shared.rules().pass(packet, clock::now()) {
                let has_room = heap.len() < PACKETS_MAX;
                traffic.overflowed += u64::from(!has_room);
                sequence += 1;
                if has_room {
                    heap.push(Reverse(Waiting { at, sequence, packet }));
                }
            }
        }
        let now = clock::now();
        while heap.peek().is_some_and(|next| next.0.at <= now) {
            let Some(Reverse(Waiting { packet, .. })) = heap.pop() else { break };
            let home = homes.get(&packet.destination()).and_then(|home| tuns.get(*home));
            let is_taken = home.is_some_and(|tun| tun.write(packet.bytes()));
            traffic.delivered += u64::from(is_taken);
            traffic.untaken += u64::from(!is_taken);
        }
        shared.add(traffic);
    }
}

fn wait(tuns: &[Tun], next: Option<u64>) {
    let now = clock::now();
    let sleep = next.map_or(SLEEP, |next| next.saturating_sub(now)).min(SLEEP);
    let sleep = Timespec { tv_sec: 0, tv_nsec: i64::try_from(sleep).unwrap_or_default() };
    let mut fds: Vec<PollFd<'_>> = tuns.iter().map(|tun| PollFd::new(tun, PollFlags::IN)).collect();
    // An interrupted wait is a short wait.
    poll(&mut fds, Some(&sleep)).ok();
}

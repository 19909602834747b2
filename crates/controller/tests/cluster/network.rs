//! Links between nodes: one ordered stream per direction, which breaks and is opened again.
//!
//! A cut loses what is under way and breaks links after a while; connects then get no answer. The address of a
//! node that does not run refuses at once.

use crate::world::{MS, What, World};
use bytes::{Bytes, BytesMut};
use controller::{Event, PeerId, PeerMessage};

/// Until a sender notices that nothing gets through, in ms.
const NOTICE_CUT_MS: u64 = 300;

/// Between two attempts to connect, in ms.
const RETRY_MS: u64 = 50;

/// The stream from one node to another.
#[derive(Debug, Default)]
pub(crate) struct Link {
    /// Counts how often it was opened; what was sent before is void.
    generation: u64,
    is_up: bool,
    is_failing: bool,
    last_arrival: u64,
}

impl World {
    /// Nothing passes between two nodes.
    pub(crate) fn cut(&mut self, one: u64, other: u64) {
        self.cuts.insert((one, other));
        self.cuts.insert((other, one));
    }

    /// Nothing passes between this node and the others.
    pub(crate) fn isolate(&mut self, node: u64) {
        for other in self.ids() {
            if other != node {
                self.cut(node, other);
            }
        }
    }

    pub(crate) fn heal(&mut self) {
        self.cuts.clear();
    }

    fn is_cut(&self, from: u64, to: u64) -> bool {
        self.cuts.contains(&(from, to))
    }

    pub(crate) fn connect(&mut self, from: u64, to: u64) {
        let link = self.links.entry((from, to)).or_default();
        if link.is_up {
            return;
        }
        let boot = self.nodes[&from].boot;
        let peer = PeerId(to);
        if self.is_cut(from, to) || self.is_cut(to, from) || !self.is_up(to) {
            let is_cut = self.is_cut(from, to) || self.is_cut(to, from);
            self.tell(from, Event::PeerUnreachable { peer, is_refused: !is_cut });
            return self.after(RETRY_MS * MS, What::Connect { from, to, boot });
        }
        let delay = self.delay();
        let arrival = self.now + delay;
        let link = self.links.entry((from, to)).or_default();
        link.generation += 1;
        (link.is_up, link.is_failing) = (true, false);
        link.last_arrival = arrival;
        self.tell(from, Event::PeerReachable { peer: self.member(to) });
        let event = Event::PeerUp { peer: self.member(from), nonce: self.nodes[&from].nonce };
        let (node, boot) = (to, self.nodes[&to].boot);
        self.at(arrival, What::Tell { node, boot, event });
    }

    pub(crate) fn send(&mut self, from: u64, to: u64, message: &PeerMessage) {
        let delay = self.delay();
        let is_lost = self.random.chance(self.conditions.loss);
        let copies = 1 + u64::from(self.random.chance(self.conditions.twice));
        let is_cut = self.is_cut(from, to);
        let Some(link) = self.links.get_mut(&(from, to)).filter(|link| link.is_up) else { return };
        if is_cut || is_lost {
            if is_cut && !link.is_failing {
                link.is_failing = true;
                let link = link.generation;
                self.after(NOTICE_CUT_MS * MS, What::Broken { from, to, link });
            }
            return;
        }
        self.messages += 1;
        let mut bytes = BytesMut::new();
        message.encode(&mut bytes);
        let bytes = bytes.freeze();
        let generation = link.generation;
        let mut arrival = link.last_arrival.max(self.now + delay);
        link.last_arrival = arrival;
        for _ in 0..copies {
            let what = What::Arrive { from, to, link: generation, bytes: bytes.clone() };
            self.at(arrival, what);
            arrival += delay * 10;
        }
    }

    pub(crate) fn arrive(&mut self, (from, to): (u64, u64), link: u64, bytes: Bytes) {
        let is_current = self.links[&(from, to)].generation == link;
        if !is_current || self.is_cut(from, to) || !self.is_up(to) {
            return;
        }
        let message = PeerMessage::decode(bytes).expect("what a peer encodes can be read");
        self.tell(to, Event::Peer { peer: self.member(from), message });
    }

    pub(crate) fn broken(&mut self, (from, to): (u64, u64), generation: u64) {
        let Some(link) = self.links.get_mut(&(from, to)) else { return };
        if link.generation != generation || !link.is_up {
            return;
        }
        link.is_up = false;
        link.generation += 1;
        if self.is_up(from) {
            self.tell(from, Event::PeerUnreachable { peer: PeerId(to), is_refused: false });
            let boot = self.nodes[&from].boot;
            self.after(100, What::Connect { from, to, boot });
        }
    }

    /// A process ended: the kernel closes its connections.
    pub(crate) fn links_die(&mut self, node: u64) {
        for other in self.ids() {
            if let Some(link) = self.links.get_mut(&(node, other)) {
                link.is_up = false;
                link.generation += 1;
            }
            let incoming = self.links.get(&(other, node)).filter(|link| link.is_up);
            if let Some(generation) = incoming.map(|link| link.generation) {
                let delay =
                    if self.is_cut(node, other) { NOTICE_CUT_MS * MS } else { self.delay() };
                self.after(delay, What::Broken { from: other, to: node, link: generation });
            }
        }
    }

    pub(crate) fn delay(&mut self) -> u64 {
        let (least, more) = self.conditions.delay;
        least + self.random.below(more + 1)
    }
}

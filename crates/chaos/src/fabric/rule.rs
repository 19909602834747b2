//! What the network does to a packet: a list of rules, applied in order. Pure: time and packets come in,
//! packets with the time of their delivery come out.
//!
//! | Effect | Order within a directed pair |
//! |---|---|
//! | delay, rate | kept: a later packet never overtakes |
//! | reorder | the held packet is overtaken |
//! | scatter | lost |
//!
//! Without a rule a packet passes at once. Nothing is dropped but by a rule, or by the limit of the queue,
//! which has a count of its own.

use super::packet::Packet;
use crate::clock::SECOND;
use crate::draw::Draw;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// How long a packet waits for a slow link at most, as in a router's buffer; others are dropped. What waits when the
/// rule is taken away still comes so late, and for no longer.
const BACKLOG_MAX: u64 = SECOND;

/// Addresses on one side of a rule.
pub type Hosts = BTreeSet<Ipv4Addr>;

/// What happens to a packet that a rule fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Dropped.
    Cut,
    /// Dropped now and then.
    Loss {
        /// So many of 1,000.
        per_mille: u32,
    },
    /// Comes later: `mean` ± `spread`, and one packet of 100 up to `tail`.
    Delay {
        /// Nanoseconds.
        mean: u64,
        /// Nanoseconds, at most `mean`.
        spread: u64,
        /// Nanoseconds; 0 for no tail.
        tail: u64,
    },
    /// Comes later by `mean` ± `spread`, each packet by itself: it overtakes and is overtaken, as with netem.
    Scatter {
        /// Nanoseconds.
        mean: u64,
        /// Nanoseconds, at most `mean`.
        spread: u64,
    },
    /// Comes twice.
    Duplicate {
        /// So many of 1,000.
        per_mille: u32,
    },
    /// Is held and overtaken.
    Reorder {
        /// So many of 1,000.
        per_mille: u32,
        /// Nanoseconds.
        hold: u64,
    },
    /// One bit of the data is flipped under a right TCP checksum.
    Corrupt {
        /// So many of 1,000 that carry data.
        per_mille: u32,
    },
    /// The link carries only so much.
    Rate {
        /// Bytes of a second.
        bytes: u64,
    },
    /// New connections are not heard.
    DropSyn,
    /// The end of a connection is not heard: FIN and RST, but for one that another rule made.
    DropEnd,
    /// Large packets vanish, and nobody says so.
    DropOver {
        /// The largest that passes.
        bytes: usize,
    },
    /// A packet with data becomes the end of its connection.
    Reset {
        /// So many of 1,000 that carry data.
        per_mille: u32,
    },
}

impl Effect {
    /// What it does, after "touched by its".
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Cut => "cuts",
            Self::Loss { .. } => "loss",
            Self::Delay { .. } | Self::Scatter { .. } => "delay",
            Self::Duplicate { .. } => "duplicates",
            Self::Reorder { .. } => "reordering",
            Self::Corrupt { .. } => "corruption",
            Self::Rate { .. } => "narrow link",
            Self::DropSyn => "drops of SYN",
            Self::DropEnd => "drops of FIN and RST",
            Self::DropOver { .. } => "drops of large packets",
            Self::Reset { .. } => "resets",
        }
    }
}

/// On for a while, off for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// Nanoseconds.
    pub on: u64,
    /// Nanoseconds.
    pub off: u64,
}

/// One rule: packets from any of these hosts to any of those.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Senders.
    pub from: Hosts,
    /// Receivers.
    pub to: Hosts,
    /// What happens.
    pub effect: Effect,
    /// If it is not always on.
    pub pulse: Option<Pulse>,
}

impl Rule {
    /// A rule that is always on.
    #[must_use]
    pub fn new(from: &Hosts, to: &Hosts, effect: Effect) -> Self {
        Self { from: from.clone(), to: to.clone(), effect, pulse: None }
    }
}

/// What a rule did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets that it fitted.
    pub fitted: u64,
    /// Packets to which it did something.
    pub touched: u64,
    /// Packets that it dropped.
    pub dropped: u64,
}

/// A rule that was taken away, and what it did, by directed pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifted {
    /// The rule.
    pub rule: Rule,
    /// Pairs of which it fitted a packet.
    pub pairs: BTreeMap<(Ipv4Addr, Ipv4Addr), Counts>,
}

impl Lifted {
    /// What it did to all pairs together.
    #[must_use]
    pub fn sum(&self) -> Counts {
        let mut sum = Counts::default();
        for counts in self.pairs.values() {
            sum.fitted += counts.fitted;
            sum.touched += counts.touched;
            sum.dropped += counts.dropped;
        }
        sum
    }
}

struct Installed {
    id: u64,
    rule: Rule,
    since: u64,
    pairs: BTreeMap<(Ipv4Addr, Ipv4Addr), Counts>,
    /// When a slow link is free again, by directed pair.
    free: BTreeMap<(Ipv4Addr, Ipv4Addr), u64>,
}

/// All rules of a network.
pub(super) struct Rules {
    installed: Vec<Installed>,
    next_id: u64,
    draw: Draw,
    /// The latest delivery of each directed pair, so that order is kept.
    latest: BTreeMap<(Ipv4Addr, Ipv4Addr), u64>,
}

/// A packet and when it is to be delivered.
pub(super) struct Due {
    pub(super) at: u64,
    pub(super) packet: Packet,
}

/// What one rule makes of one packet.
enum Fate {
    Dropped,
    Passes { delay: u64, overtaken: bool, copies: usize, touched: bool },
}

impl Rules {
    pub(super) fn new(draw: Draw) -> Self {
        Self { installed: Vec::new(), next_id: 0, draw, latest: BTreeMap::new() }
    }

    /// Adds a rule; returns what names it.
    pub(super) fn add(&mut self, rule: Rule, now: u64) -> u64 {
        self.next_id += 1;
        let (id, pairs, free) = (self.next_id, BTreeMap::new(), BTreeMap::new());
        self.installed.push(Installed { id, rule, since: now, pairs, free });
        id
    }

    /// Takes a rule away; returns what it did.
    pub(super) fn remove(&mut self, id: u64) -> Option<Lifted> {
        let at = self.installed.iter().position(|installed| installed.id == id)?;
        let Installed { rule, pairs, .. } = self.installed.remove(at);
        Some(Lifted { rule, pairs })
    }

    /// Packets that a rule fitted so far.
    #[cfg(test)]
    pub(super) fn fitted(&self, id: u64) -> u64 {
        let found = self.installed.iter().find(|installed| installed.id == id);
        found.map_or(0, |found| found.pairs.values().map(|counts| counts.fitted).sum())
    }

    /// Applies all rules that fit.
    pub(super) fn pass(&mut self, mut packet: Packet, now: u64) -> Vec<Due> {
        let pair = (packet.source(), packet.destination());
        let (mut at, mut copies, mut is_overtaken) = (now, 1, false);
        let mut is_made_end = false;
        for installed in &mut self.installed {
            let effect = installed.rule.effect;
            // An end that a rule made is to be heard, so that the other side's answer to it is not.
            if !installed.fits(pair, now) || (is_made_end && effect == Effect::DropEnd) {
                continue;
            }
            let fate = installed.decide(&mut packet, now, &mut self.draw);
            let counts = installed.pairs.entry(pair).or_default();
            counts.fitted += 1;
            match fate {
                Fate::Dropped => {
                    counts.dropped += 1;
                    counts.touched += 1;
                    return Vec::new();
                }
                Fate::Passes { delay, overtaken, copies: more, touched } => {
                    counts.touched += u64::from(touched);
                    is_made_end |= touched && matches!(effect, Effect::Reset { .. });
                    at += delay;
                    copies *= more;
                    is_overtaken |= overtaken;
                }
            }
        }
        if !is_overtaken {
            let latest = self.latest.entry(pair).or_default();
            at = at.max(*latest);
            *latest = at;
        }
        (0..copies).map(|_| Due { at, packet: packet.clone() }).collect()
    }
}

impl Installed {
    fn fits(&self, (from, to): (Ipv4Addr, Ipv4Addr), now: u64) -> bool {
        let is_on = self.rule.pulse.is_none_or(|pulse| {
            now.saturating_sub(self.since) % (pulse.on + pulse.off).max(1) < pulse.on
        });
        is_on && self.rule.from.contains(&from) && self.rule.to.contains(&to)
    }

    fn decide(&mut self, packet: &mut Packet, now: u64, draw: &mut Draw) -> Fate {
        let passes = |touched| Fate::Passes { delay: 0, overtaken: false, copies: 1, touched };
        let drop_if = |dropped| if dropped { Fate::Dropped } else { passes(false) };
        match self.rule.effect {
            Effect::Cut => Fate::Dropped,
            Effect::Loss { per_mille } => drop_if(draw.happens(per_mille)),
            Effect::DropSyn => drop_if(packet.is_syn()),
            Effect::DropEnd => drop_if(packet.is_end()),
            Effect::DropOver { bytes } => drop_if(packet.bytes().len() > bytes),
            Effect::Delay { mean, spread, tail } => {
                let is_late = tail > 0 && draw.happens(10);
                let usual = around(mean, spread, draw);
                let delay = if is_late { draw.between(mean, tail.max(mean)) } else { usual };
                Fate::Passes { delay, overtaken: false, copies: 1, touched: true }
            }
            Effect::Scatter { mean, spread } => {
                let delay = around(mean, spread, draw);
                Fate::Passes { delay, overtaken: true, copies: 1, touched: true }
            }
            Effect::Duplicate { per_mille } => {
                let is_doubled = draw.happens(per_mille);
                let copies = if is_doubled { 2 } else { 1 };
                Fate::Passes { delay: 0, overtaken: false, copies, touched: is_doubled }
            }
            Effect::Reorder { per_mille, hold } => {
                let is_held = draw.happens(per_mille);
                let delay = if is_held { hold } else { 0 };
                Fate::Passes { delay, overtaken: is_held, copies: 1, touched: is_held }
            }
            Effect::Corrupt { per_mille } => {
                passes(packet.has_data() && draw.happens(per_mille) && packet.flip(draw.bits()))
            }
            Effect::Reset { per_mille } => {
                let is_chosen = packet.has_data() && draw.happens(per_mille);
                let reset = is_chosen.then(|| packet.clone().into_reset()).flatten();
                let touched = reset.is_some();
                if let Some(reset) = reset {
                    *packet = reset;
                }
                passes(touched)
            }
            Effect::Rate { bytes } => self.throttle(packet, now, bytes),
        }
    }

    fn throttle(&mut self, packet: &Packet, now: u64, bytes: u64) -> Fate {
        let free = self.free.entry((packet.source(), packet.destination())).or_default();
        let begins = now.max(*free);
        let waits = begins - now;
        if waits > BACKLOG_MAX {
            return Fate::Dropped;
        }
        *free = begins + packet.bytes().len() as u64 * SECOND / bytes.max(1);
        Fate::Passes { delay: *free - now, overtaken: false, copies: 1, touched: waits > 0 }
    }
}

/// One of the times that are at most `spread` away from `mean`, all alike.
fn around(mean: u64, spread: u64, draw: &mut Draw) -> u64 {
    mean - spread + draw.below(2 * spread + 1)
}

#[cfg(test)]
#[path = "rule_tests.rs"]
mod tests;

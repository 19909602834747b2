//! Whether a broker is dead whose connection closed: it is asked, at its own address (DESIGN, "Death of a broker").
//!
//! ```text
//! a connection closed, here or at another peer ─┐           ┌─► accepted: alive until its deadline,
//! an open one is silent for 3 s ────────────────┼─► Probe ──┤             asked again each second until heard
//! first heard (only to remember) ───────────────┘           ├─► no answer: deadline at most the grace away
//!                                                           └─► refused, by an address that once accepted:
//!                                       one round of questions to the other peers, at most 50 ms
//!                                            ├─► somebody still hears it: as accepted
//!                                            └─► nobody, and a quorum answered: dead now
//! ```
//!
//! Only the leader asks for closes and silence; every peer asks once to remember which addresses accept. A refusal
//! by an address that never accepted proves nothing (a broker behind a gateway), so it counts as no answer.
//!
//! One inquiry per broker at a time; at most [`PROBES_IN_FLIGHT_MAX`] connects are on their way, and so many a second
//! ([`PROBES_RATE`]). Questions that somebody waits for pass by those that only serve to remember.

use crate::event::{AttemptId, ProbeResult};
use crate::instant::Instant;
use crate::liveness::BrokerIdentity;
use crate::rate::Rate;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use consensus::PeerId;

/// Connects to brokers that may be on their way at once; more wait for their turn.
pub const PROBES_IN_FLIGHT_MAX: usize = 512;

/// Of these, connects that only ask whether an address accepts at all: nobody waits for one.
const REMEMBER_IN_FLIGHT_MAX: usize = 128;

/// Connects because of a close or a silence, a second, and at once after a quiet time: a rack that dies is asked about
/// at once, and who opens and closes connections in a broker's name makes us no tool against its address.
const PROBES_RATE: (u64, u64) = (10_000, 4_096);

/// The same for connects that only ask whether an address accepts: a whole fleet in half a minute.
const REMEMBER_RATE: (u64, u64) = (1_000, 128);

/// How long the other peers have to object to a death, in ms.
pub(crate) const ROUND_MS: u64 = 50;

/// Pause before a broker that accepted is asked again, in ms.
pub(crate) const ASK_AGAIN_MS: u64 = 1_000;

/// Pause before an address that did not accept is tried again, in ms; doubled up to [`REMEMBER_AGAIN_MS_MAX`].
pub(crate) const REMEMBER_AGAIN_MS_MIN: u64 = 500;

/// Longest pause between two such attempts, in ms.
pub(crate) const REMEMBER_AGAIN_MS_MAX: u64 = 60_000;

/// Addresses remembered to have accepted; beyond it none is added, so refusals there count as no answer.
pub(crate) const REMEMBERED_MAX: usize = 200_000;

/// Why a broker is asked. The order is that of urgency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// To know whether its address accepts at all.
    Remember,
    /// It is silent on an open connection.
    Silent,
    /// A connection of its closed.
    Closed,
}

/// What an answer, or the end of a round, means for a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Nothing changes.
    Nothing,
    /// Ask the other peers, in the round of this number.
    AskPeers(u64, Suspect),
    /// Its deadline is at most the grace away; other peers are asked by this number, and need not answer.
    Shorten(u64, Suspect),
    /// It is dead, unless it was heard here meanwhile.
    Dead(Suspect),
}

/// A broker whose address refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Suspect {
    pub(crate) broker: BrokerIdentity,
    /// Since when it is suspected: whoever heard it later objects.
    pub(crate) since: Instant,
    /// Whether a connection of its closed; else it is only silent.
    pub(crate) is_closed: bool,
}

impl Suspect {
    /// What the other peers are asked about: who, and since when it is suspected.
    pub(crate) fn asked_about(&self) -> (&BrokerIdentity, Instant) {
        (&self.broker, self.since)
    }
}

#[derive(Debug)]
struct Inquiry {
    address: Box<str>,
    why: Why,
    /// Since when the broker is suspected: whoever heard it later objects.
    since: Instant,
    /// Another connection closed while this inquiry ran.
    is_repeated: bool,
    /// Its connect is on its way, or has ended and a round runs.
    is_asked: bool,
}

#[derive(Debug)]
struct Round {
    suspect: Suspect,
    deadline: Instant,
    waits_for: BTreeSet<PeerId>,
    answered: usize,
}

/// All inquiries of one peer.
#[derive(Debug)]
pub(crate) struct Inquiries {
    remembered: BTreeSet<Box<str>>,
    open: BTreeMap<BrokerIdentity, Inquiry>,
    /// Asked about because of a close or a silence, in this order; one that is asked by now is passed over.
    waiting: VecDeque<BrokerIdentity>,
    /// The same for those that are only to be remembered.
    remembering: VecDeque<BrokerIdentity>,
    probes: BTreeMap<AttemptId, BrokerIdentity>,
    rate: Rate,
    remember_rate: Rate,
    rounds: BTreeMap<u64, Round>,
    /// Brokers to ask again, once each, and when.
    again_at: BTreeMap<BrokerIdentity, Instant>,
    /// The same in the order of time.
    again: BTreeSet<(Instant, BrokerIdentity)>,
    /// Brokers whose address did not accept when it was to be remembered, and the pause before the next attempt.
    unaccepted: BTreeMap<BrokerIdentity, u64>,
    /// When those are asked next, once each.
    remember_at: BTreeSet<(Instant, BrokerIdentity)>,
    last_number: u64,
}

impl Default for Inquiries {
    fn default() -> Self {
        Self {
            remembered: BTreeSet::new(),
            open: BTreeMap::new(),
            waiting: VecDeque::new(),
            remembering: VecDeque::new(),
            probes: BTreeMap::new(),
            rate: Rate::new(PROBES_RATE.0, PROBES_RATE.1),
            remember_rate: Rate::new(REMEMBER_RATE.0, REMEMBER_RATE.1),
            rounds: BTreeMap::new(),
            again_at: BTreeMap::new(),
            again: BTreeSet::new(),
            unaccepted: BTreeMap::new(),
            remember_at: BTreeSet::new(),
            last_number: 0,
        }
    }
}

impl Inquiries {
    /// Asks about a broker, suspected since `since`. If it is being asked about already, the more urgent reason
    /// stands.
    pub(crate) fn ask(&mut self, since: Instant, broker: &BrokerIdentity, address: &str, why: Why) {
        if why == Why::Remember && (address.is_empty() || self.remembered.contains(address)) {
            return;
        }
        if let Some(inquiry) = self.open.get_mut(broker) {
            inquiry.is_repeated |= why == Why::Closed;
            if inquiry.why < why {
                if inquiry.why == Why::Remember && !inquiry.is_asked {
                    self.waiting.push_back(broker.clone());
                }
                (inquiry.why, inquiry.since) = (why, since);
            }
            return;
        }
        let lane = if why == Why::Remember { &mut self.remembering } else { &mut self.waiting };
        lane.push_back(broker.clone());
        let (is_repeated, is_asked) = (false, false);
        let inquiry = Inquiry { address: address.into(), why, since, is_repeated, is_asked };
        self.open.insert(broker.clone(), inquiry);
    }

    /// The connects to make now.
    pub(crate) fn take_probes(&mut self, now: Instant) -> Vec<(AttemptId, Box<str>)> {
        let mut probes = Vec::new();
        while self.probes.len() < PROBES_IN_FLIGHT_MAX && !self.waiting.is_empty() {
            if !self.rate.take(now) {
                break;
            }
            let Some(broker) = self.waiting.pop_front() else { break };
            probes.extend(self.probe(broker));
        }
        while self.probes.len() < REMEMBER_IN_FLIGHT_MAX && !self.remembering.is_empty() {
            if !self.remember_rate.take(now) {
                break;
            }
            let Some(broker) = self.remembering.pop_front() else { break };
            probes.extend(self.probe(broker));
        }
        probes
    }

    fn probe(&mut self, broker: BrokerIdentity) -> Option<(AttemptId, Box<str>)> {
        let inquiry = self.open.get_mut(&broker).filter(|inquiry| !inquiry.is_asked)?;
        inquiry.is_asked = true;
        let attempt = AttemptId(next(&mut self.last_number));
        self.probes.insert(attempt, broker);
        Some((attempt, inquiry.address.clone()))
    }

    /// When [`Self::take_probes`] may have something, though no connect ends before.
    fn next_probe(&self, now: Instant) -> Option<Instant> {
        let has_room = self.probes.len() < PROBES_IN_FLIGHT_MAX;
        let urgent = (has_room && !self.waiting.is_empty()).then(|| self.rate.next(now));
        let has_room = self.probes.len() < REMEMBER_IN_FLIGHT_MAX;
        let remember =
            (has_room && !self.remembering.is_empty()).then(|| self.remember_rate.next(now));
        urgent.into_iter().chain(remember).min()
    }

    /// A connect has ended.
    pub(crate) fn probed(
        &mut self,
        now: Instant,
        attempt: AttemptId,
        result: ProbeResult,
    ) -> Finding {
        let Some(broker) = self.probes.remove(&attempt) else { return Finding::Nothing };
        let Some(inquiry) = self.open.get(&broker) else { return Finding::Nothing };
        let is_remembered = self.remembered.contains(&inquiry.address);
        let (why, since) = (inquiry.why, inquiry.since);
        let is_closed = why == Why::Closed;
        match result {
            ProbeResult::Accepted => {
                let address = inquiry.address.clone();
                self.unaccepted.remove(&broker);
                if self.remembered.len() < REMEMBERED_MAX {
                    self.remembered.insert(address);
                }
                self.stays_alive(now, &broker);
                Finding::Nothing
            }
            ProbeResult::Refused if is_remembered && why > Why::Remember => {
                let number = next(&mut self.last_number);
                Finding::AskPeers(number, Suspect { broker, since, is_closed })
            }
            ProbeResult::Refused | ProbeResult::NoAnswer => {
                self.open.remove(&broker);
                if why == Why::Remember {
                    self.remember_later(now, broker);
                    return Finding::Nothing;
                }
                if !is_closed {
                    return Finding::Nothing;
                }
                let number = next(&mut self.last_number);
                Finding::Shorten(number, Suspect { broker, since, is_closed })
            }
        }
    }

    /// The number of a question that no round waits for.
    pub(crate) fn number(&mut self) -> u64 {
        next(&mut self.last_number)
    }

    /// Opens the round that [`Finding::AskPeers`] asks for; `asked` are the peers that can be reached.
    pub(crate) fn open_round(
        &mut self,
        now: Instant,
        number: u64,
        suspect: Suspect,
        asked: BTreeSet<PeerId>,
    ) {
        let deadline = now.plus_ms(ROUND_MS);
        self.rounds.insert(number, Round { suspect, deadline, waits_for: asked, answered: 0 });
    }

    /// A peer has answered. One objection ends the round; without any, [`Self::close_rounds`] does.
    pub(crate) fn answered(&mut self, now: Instant, number: u64, peer: PeerId, objects: bool) {
        let Some(round) = self.rounds.get_mut(&number) else { return };
        if !round.waits_for.remove(&peer) {
            return;
        }
        round.answered += 1;
        if objects {
            let broker = round.suspect.broker.clone();
            self.rounds.remove(&number);
            self.stays_alive(now, &broker);
        }
    }

    /// Closes the rounds that are over: all have answered, or the time has. `quorum` counts this peer too.
    pub(crate) fn close_rounds(&mut self, now: Instant, quorum: usize) -> Vec<Finding> {
        let over: Vec<u64> = (self.rounds.iter())
            .filter(|(_, round)| round.waits_for.is_empty() || round.deadline <= now)
            .map(|(&number, _)| number)
            .collect();
        let mut findings = Vec::with_capacity(over.len());
        for number in over {
            let Some(round) = self.rounds.remove(&number) else { continue };
            let why = self.open.remove(&round.suspect.broker).map(|inquiry| inquiry.why);
            findings.push(if round.answered + 1 >= quorum {
                Finding::Dead(round.suspect)
            } else if why == Some(Why::Closed) {
                Finding::Shorten(number, round.suspect)
            } else {
                Finding::Nothing
            });
        }
        findings
    }

    /// This peer itself still has an open connection of the broker, or heard it: no death.
    pub(crate) fn object(&mut self, now: Instant, broker: &BrokerIdentity) {
        self.stays_alive(now, broker);
    }

    /// The brokers that accepted and are due to be asked again.
    pub(crate) fn take_again(&mut self, now: Instant) -> Vec<BrokerIdentity> {
        let mut due = Vec::new();
        while let Some((at, broker)) = self.again.pop_first() {
            if at > now {
                self.again.insert((at, broker));
                break;
            }
            self.again_at.remove(&broker);
            due.push(broker);
        }
        due
    }

    /// A broker heartbeats before its own port is open (upstream starts in that order), so an address that does not
    /// accept is asked again until it does.
    fn remember_later(&mut self, now: Instant, broker: BrokerIdentity) {
        let pause = self.unaccepted.entry(broker.clone()).or_insert(REMEMBER_AGAIN_MS_MIN);
        let due = now.plus_ms(*pause);
        *pause = pause.saturating_mul(2).min(REMEMBER_AGAIN_MS_MAX);
        self.remember_at.insert((due, broker));
    }

    /// The brokers whose address is to be tried again, to be remembered.
    pub(crate) fn take_unaccepted(&mut self, now: Instant) -> Vec<BrokerIdentity> {
        let mut due = Vec::new();
        while let Some((at, broker)) = self.remember_at.pop_first() {
            if at > now {
                self.remember_at.insert((at, broker));
                break;
            }
            due.push(broker);
        }
        due
    }

    /// The broker left the table: its address is of no interest until it comes again.
    pub(crate) fn forget(&mut self, broker: &BrokerIdentity) {
        self.unaccepted.remove(broker);
    }

    /// When something is due next.
    pub(crate) fn next_due(&self, now: Instant) -> Option<Instant> {
        let again = self.again.first().map(|(at, _)| *at);
        let again = again.into_iter().chain(self.remember_at.first().map(|(at, _)| *at)).min();
        let round = self.rounds.values().map(|round| round.deadline).min();
        let probe = self.next_probe(now);
        again.into_iter().chain(round).chain(probe).min()
    }

    /// Leadership is lost: only the leader asks for closes and silence. What is asked to remember goes on.
    pub(crate) fn clear(&mut self) {
        self.open.retain(|_, inquiry| inquiry.why == Why::Remember);
        self.probes.retain(|_, broker| self.open.contains_key(broker));
        self.rounds.clear();
        self.again_at.clear();
        self.again.clear();
    }

    fn stays_alive(&mut self, now: Instant, broker: &BrokerIdentity) {
        let Some(inquiry) = self.open.remove(broker) else { return };
        if inquiry.is_repeated {
            self.ask(now, broker, &inquiry.address, Why::Closed);
        } else if inquiry.why == Why::Closed {
            let due = now.plus_ms(ASK_AGAIN_MS);
            if let Some(old) = self.again_at.insert(broker.clone(), due) {
                self.again.remove(&(old, broker.clone()));
            }
            self.again.insert((due, broker.clone()));
        }
    }
}

fn next(number: &mut u64) -> u64 {
    *number += 1;
    *number
}

#[cfg(test)]
mod tests;

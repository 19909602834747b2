//! Whether this peer can serve, and which of the others say that they can.
//!
//! A peer serves if it completed a read barrier that it began less than [`PROOF_AGE_MS_MAX`] ago: then a quorum
//! followed the leader, and the leader reached this peer, at some moment since. Nothing less proves it: a follower
//! whose own messages are lost still hears the leader. So every peer asks for a barrier of its own each
//! [`PROOF_EVERY_MS`], which travels with the reads of clients if there are any.
//!
//! ```text
//!  due ──► asked (barrier, since) ──► reached: proof = since ──► serves until proof + PROOF_AGE_MS_MAX
//!                     └── failed: asked again when due
//! ```
//!
//! The moment at which a proof was begun is also where a lease begins (rule D18), in `lease.rs`.
//!
//! Decision 0008.

use crate::instant::Instant;
use alloc::collections::BTreeMap;
use consensus::{Barrier, PeerId};

/// A barrier for the proof is begun this often, in ms; in a quarter of the campaign time-out if that is shorter.
pub(crate) const PROOF_EVERY_MS: u64 = 250;

/// A peer serves for so long after the beginning of a barrier that it completed, in ms. With [`PROOF_EVERY_MS`] it
/// stops naming itself within a second after it was cut off.
pub(crate) const PROOF_AGE_MS_MAX: u64 = 750;

/// What another peer said of itself last.
#[derive(Debug, Clone, Copy)]
struct Said {
    at: Instant,
    serves: bool,
    leases: bool,
}

/// What this peer knows of its own health and that of the others.
#[derive(Debug, Default)]
pub(crate) struct Health {
    asked: Option<(Barrier, Instant)>,
    next_question: Instant,
    proof: Option<Instant>,
    /// What the others were told, and when.
    told: Option<(bool, Instant)>,
    others: BTreeMap<PeerId, Said>,
}

impl Health {
    /// Whether a barrier should be asked for. One is in flight at a time.
    pub(crate) fn must_ask(&self, now: Instant) -> bool {
        self.asked.is_none() && self.next_question <= now
    }

    /// A barrier was asked for, or none could be had; the next question is `every_ms` later.
    pub(crate) fn asked(&mut self, now: Instant, barrier: Option<Barrier>, every_ms: u64) {
        self.asked = barrier.map(|barrier| (barrier, now));
        self.next_question = now.plus_ms(every_ms);
    }

    /// A barrier was reached. It may be a later one than the one that was asked for.
    pub(crate) fn reached(&mut self, barrier: Barrier) {
        if let Some((_, since)) = self.asked.take_if(|(asked, _)| *asked <= barrier) {
            self.proof = Some(since);
        }
    }

    /// A barrier failed.
    pub(crate) fn failed(&mut self, barrier: Barrier) {
        self.asked.take_if(|(asked, _)| *asked == barrier);
    }

    /// Who leads has changed, or this process was paused: what was proved does not hold any more.
    pub(crate) fn doubt(&mut self, now: Instant) {
        self.proof = None;
        self.next_question = now;
    }

    /// When the newest barrier was begun that was completed.
    pub(crate) fn proof(&self) -> Option<Instant> {
        self.proof
    }

    /// Whether this peer can serve.
    pub(crate) fn serves(&self, now: Instant) -> bool {
        self.proof.is_some_and(|proof| now < proof.plus_ms(PROOF_AGE_MS_MAX))
    }

    /// Whether the others are to be told now: at every change, and each [`PROOF_EVERY_MS`] while it stays.
    pub(crate) fn must_tell(&mut self, now: Instant, serves: bool) -> bool {
        let is_known =
            self.told.is_some_and(|(told, at)| told == serves && now < at.plus_ms(PROOF_EVERY_MS));
        if !is_known {
            self.told = Some((serves, now));
        }
        !is_known
    }

    /// A link came up: whoever is at its end does not know yet.
    pub(crate) fn tell_anew(&mut self) {
        self.told = None;
    }

    /// Another peer said whether it serves, and whether it keeps the rules of leases.
    pub(crate) fn said(&mut self, now: Instant, peer: PeerId, (serves, leases): (bool, bool)) {
        self.others.insert(peer, Said { at: now, serves, leases });
    }

    /// The link to a peer is down.
    pub(crate) fn lost(&mut self, peer: PeerId) {
        if let Some(said) = self.others.get_mut(&peer) {
            said.serves = false;
        }
    }

    /// Whether another peer can serve, as far as it said.
    pub(crate) fn other_serves(&self, now: Instant, peer: PeerId) -> bool {
        let said = self.others.get(&peer);
        said.is_some_and(|said| said.serves && now < said.at.plus_ms(PROOF_AGE_MS_MAX))
    }

    /// Whether another peer said that it keeps the rules of leases.
    pub(crate) fn other_leases(&self, peer: PeerId) -> bool {
        self.others.get(&peer).is_some_and(|said| said.leases)
    }

    /// The next moment at which time alone changes something.
    pub(crate) fn next_due(&self) -> Instant {
        let question = if self.asked.is_some() { None } else { Some(self.next_question) };
        // The end of a proof is a reason to wake as long as the others believe in it; they are told once.
        let is_believed = self.told.is_some_and(|(serves, _)| serves);
        let proof = self.proof.filter(|_| is_believed);
        let end = proof.map(|proof| proof.plus_ms(PROOF_AGE_MS_MAX));
        let tell = self.told.map_or(Instant::default(), |(_, at)| at.plus_ms(PROOF_EVERY_MS));
        question.into_iter().chain(end).fold(tell, Instant::min)
    }
}

#[cfg(test)]
mod tests {
    use super::{Health, PROOF_AGE_MS_MAX, PROOF_EVERY_MS};
    use crate::instant::Instant;
    use consensus::{Barrier, PeerId};

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    #[test]
    fn a_proof_counts_from_its_beginning() {
        let mut health = Health::default();
        assert!(health.must_ask(at(0)), "a new peer asks at once");
        health.asked(at(0), Some(Barrier(7)), PROOF_EVERY_MS);
        assert!(!health.must_ask(at(PROOF_EVERY_MS)), "one question is in flight");
        health.reached(Barrier(6));
        assert!(!health.serves(at(300)), "an older barrier was begun before the question");
        health.reached(Barrier(9));
        assert!(health.serves(at(PROOF_AGE_MS_MAX - 1)));
        assert!(!health.serves(at(PROOF_AGE_MS_MAX)), "it counts from 0, not from the answer");
    }

    #[test]
    fn a_failed_question_is_asked_again_when_due() {
        let mut health = Health::default();
        health.asked(at(0), Some(Barrier(1)), PROOF_EVERY_MS);
        health.failed(Barrier(1));
        assert!(!health.must_ask(at(PROOF_EVERY_MS - 1)), "it does not spin");
        assert!(health.must_ask(at(PROOF_EVERY_MS)));
        health.reached(Barrier(1));
        assert!(!health.serves(at(PROOF_EVERY_MS)), "nothing was asked");
    }

    #[test]
    fn a_proof_that_ended_wakes_nobody() {
        let mut health = Health::default();
        health.asked(at(0), Some(Barrier(1)), PROOF_EVERY_MS);
        health.reached(Barrier(1));
        assert!(health.must_tell(at(1), true));
        health.asked(at(PROOF_EVERY_MS), Some(Barrier(2)), PROOF_EVERY_MS);
        // No quorum answers any more.
        assert!(health.must_tell(at(PROOF_AGE_MS_MAX), false));
        assert!(health.next_due() > at(PROOF_AGE_MS_MAX), "{:?}", health.next_due());
    }

    #[test]
    fn doubt_ends_the_proof_and_asks_at_once() {
        let mut health = Health::default();
        health.asked(at(0), Some(Barrier(1)), PROOF_EVERY_MS);
        health.reached(Barrier(1));
        health.doubt(at(10));
        assert!(!health.serves(at(10)) && health.must_ask(at(10)));
    }

    #[test]
    fn the_others_are_told_at_a_change_and_while_it_stays() {
        let mut health = Health::default();
        assert!(health.must_tell(at(0), true));
        assert!(!health.must_tell(at(PROOF_EVERY_MS - 1), true));
        assert!(health.must_tell(at(PROOF_EVERY_MS), true));
        assert!(health.must_tell(at(PROOF_EVERY_MS + 1), false), "a change is told at once");
        health.tell_anew();
        assert!(health.must_tell(at(PROOF_EVERY_MS + 2), false));
    }

    #[test]
    fn what_another_said_grows_old() {
        let mut health = Health::default();
        let peer = PeerId(2);
        assert!(!health.other_serves(at(0), peer) && !health.other_leases(peer));
        health.said(at(0), peer, (true, true));
        assert!(health.other_serves(at(PROOF_AGE_MS_MAX - 1), peer));
        assert!(!health.other_serves(at(PROOF_AGE_MS_MAX), peer));
        health.said(at(0), peer, (true, true));
        health.lost(peer);
        assert!(!health.other_serves(at(1), peer) && health.other_leases(peer));
    }
}

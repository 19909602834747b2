//! Reads without a round of questions, while a lease lasts (rule D18 of CONSENSUS; `pitchover.readMode=lease`).
//!
//! Whoever heard the leader votes for nobody else within one campaign time-out E. A quorum that confirmed a barrier
//! which this leader began at `t` therefore elects nobody before `t + E`, on its own clocks. The lease lasts
//! [`LEASE_PERMILLE`] of E from `t`, less what clocks may differ by. It needs, besides:
//!
//! - ticks that are never shorter than a twentieth of E (`turn.rs`; without leases they may be half of that);
//! - that nobody runs his campaign clock forward (rule D23): a crashed leader costs a whole E;
//! - that a peer which just started, and forgot whom it heard, votes for nobody for one E;
//! - that every peer keeps these rules, so a leader uses its lease only if all the others said so;
//! - no hand-over in this term, not even one that failed: the word to campaign at once may still be on its way.
//!
//! Outside the promise of linearizability: a clock that drifts by more, or a process that is paused between the
//! look at the clock and the answer, can make it wrong. That is why it is not the default.

use crate::controller::{Controller, Stage};
use crate::instant::Instant;
use crate::settings::ReadMode;
use consensus::Content;

/// How much of the campaign time-out a lease lasts, in thousandths: 0.8 of it, less a clock drift of 20 %.
const LEASE_PERMILLE: u64 = 666;

impl Controller {
    /// Whether this peer answers reads from its state at once.
    pub(crate) fn has_lease(&self, now: Instant) -> bool {
        if self.settings.read_mode != ReadMode::Lease || !self.leads() {
            return false;
        }
        let lease_ms = self.settings.election_timeout_ms.saturating_mul(LEASE_PERMILLE) / 1_000;
        let is_fresh = self.health.proof().is_some_and(|proof| now < proof.plus_ms(lease_ms));
        is_fresh && self.is_applied() && self.is_whole() && self.are_leases_kept()
    }

    /// Whether every other peer said that it keeps the rules of leases.
    pub(crate) fn are_leases_kept(&self) -> bool {
        self.links.peers().all(|peer| self.health.other_leases(peer))
    }

    /// Whether a vote of this peer could break the lease of a leader that it heard before it was started anew.
    pub(crate) fn must_not_vote(&self, now: Instant, content: &Content) -> bool {
        let Stage::Member(member) = &self.stage else { return false };
        let is_young = now < member.started.plus_ms(self.settings.election_timeout_ms);
        let is_question = matches!(content, Content::Vote { .. });
        self.settings.read_mode == ReadMode::Lease && is_young && is_question
    }

    /// Whether everything known to be committed is in the state.
    fn is_applied(&self) -> bool {
        self.driver().is_some_and(|driver| driver.applied() == driver.commit())
    }

    /// Whether no hand-over was tried in this term.
    fn is_whole(&self) -> bool {
        let term = self.driver().map(consensus::Driver::term);
        term.is_some() && self.handed_over_in != term
    }
}

//! A crashed leader is replaced at once (rule D23 of CONSENSUS).
//!
//! The leader's address refuses connections, so its process is dead and no time-out need be waited for. Each peer
//! that sees the refusal runs its campaign clock forward, staggered by rank so that two do not split the vote. The
//! first round only ends the leases: a peer that heard the leader less than E ago refuses the pre-vote.

use crate::instant::Instant;
use crate::settings::{CRASH_CAMPAIGN_STAGGER_MS, CRASH_CAMPAIGNS_MAX};
use consensus::{PeerId, Term};

/// A leader whose address refuses, and what this peer does about it.
#[derive(Debug, Clone, Copy)]
struct Crash {
    leader: PeerId,
    term: Term,
    next: Instant,
    left: u32,
}

/// What a peer sees of its cluster.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) leader: Option<PeerId>,
    pub(crate) term: Term,
    /// It is no candidate.
    pub(crate) is_follower: bool,
    /// The address of [`CrashCampaign::leader`] refused the last attempt to connect.
    pub(crate) refuses: bool,
    /// How many vote.
    pub(crate) voters: u64,
}

/// Campaigns after a crash of the leader.
#[derive(Debug, Default)]
pub(crate) struct CrashCampaign {
    crash: Option<Crash>,
}

impl CrashCampaign {
    /// The address of `leader`, who leads `term`, refused a connection. `rank` is this peer's place among the
    /// other voters, from 0.
    pub(crate) fn refused(&mut self, now: Instant, leader: PeerId, term: Term, rank: u64) {
        if self.crash.is_none() {
            let next = now.plus_ms(rank * CRASH_CAMPAIGN_STAGGER_MS);
            self.crash = Some(Crash { leader, term, next, left: CRASH_CAMPAIGNS_MAX });
        }
    }

    /// The leader that crashed.
    pub(crate) fn leader(&self) -> Option<PeerId> {
        self.crash.map(|crash| crash.leader)
    }

    /// Whether to campaign now. It ends when another peer leads, when the term rose although this peer is no
    /// candidate (it granted a real vote), when the address does not refuse any more, or after
    /// [`CRASH_CAMPAIGNS_MAX`] rounds.
    pub(crate) fn is_due(&mut self, now: Instant, seen: Seen) -> bool {
        let Some(crash) = self.crash.as_mut() else { return false };
        let is_replaced = seen.leader.is_some_and(|leader| leader != crash.leader);
        let has_voted = seen.term > crash.term && seen.is_follower;
        let is_over = is_replaced || has_voted;
        if is_over || crash.left == 0 || !seen.refuses {
            self.crash = None;
            return false;
        }
        if crash.next > now {
            return false;
        }
        crash.left -= 1;
        crash.next = now.plus_ms(seen.voters * CRASH_CAMPAIGN_STAGGER_MS);
        true
    }

    /// When [`Self::is_due`] may say yes next.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.crash.map(|crash| crash.next)
    }
}

#[cfg(test)]
mod tests;

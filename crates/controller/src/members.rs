//! Who takes part: the leader takes back a peer that lost its disk (rules M1-M4 of CONSENSUS).
//!
//! ```text
//!  wiped peer: draws a new id, records it, starts anew ──► a stranger on a known seat, which follows nobody
//!  leader:     stranger ──► learner ──caught up for one E──► joint change: it votes, its old self is removed ──► left
//! ```
//!
//! Decision 0010. Level-triggered: a leader looks at who belongs to the cluster and who sits on the seats, and makes the one change that
//! is next. Whatever a lost leader left half done, the next one finds and ends; nothing is remembered but since when a
//! learner has been close behind.

use crate::controller::Controller;
use crate::instant::Instant;
use crate::seat::seat;
use crate::settings::ReplaceWiped;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use consensus::{ChangeStep, Driver, Membership, MembershipChange, PeerId, PeerProgress};

/// How far a learner may be behind the commit index when it becomes a voter, in entries.
const PROMOTE_LAG_ENTRIES_MAX: u64 = 64;

/// How often a leader looks at its members, in ms; every fifth of the campaign time-out if that is shorter.
const LOOK_MS: u64 = 200;

/// What a peer is in the consensus group, going by what it has applied itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its first start is not complete, or its disk was just found wiped.
    None,
    /// It belongs to nothing: its disk was wiped, and the leader has not taken it back yet.
    Stranger,
    /// It receives the log and does not vote.
    Learner,
    /// It votes.
    Voter,
}

/// What is remembered between two looks.
#[derive(Debug, Default)]
pub(crate) struct Members {
    next_look: Instant,
    /// A member cannot use the newest snapshot, so one is to be taken. Said once for each look, so that a full disk is
    /// not tried in every turn.
    pub(crate) wants_snapshot: bool,
    /// Since when a learner has been close behind, without a break.
    close_since: BTreeMap<PeerId, Instant>,
}

impl Members {
    /// When a leader looks again.
    pub(crate) fn next_due(&self) -> Instant {
        self.next_look
    }
}

/// The change that is next. `present` are the members that sit on the seats now; `is_close` says whether a learner may
/// vote.
fn next_change(
    membership: &Membership,
    present: &[PeerId],
    is_close: impl Fn(PeerId) -> bool,
) -> Option<MembershipChange> {
    let Membership { voters, learners, .. } = membership;
    if membership.is_joint() {
        return Some(MembershipChange::leave());
    }
    for &new in present {
        let sits_there = |member: &&PeerId| seat(**member) == seat(new) && **member != new;
        // An earlier try of the same seat, whose disk is gone too.
        if let Some(&stale) = learners.iter().find(sits_there) {
            return Some(MembershipChange::one(ChangeStep::Remove(stale)));
        }
        let Some(&old) = voters.iter().find(sits_there) else { continue };
        if !learners.contains(&new) {
            return Some(MembershipChange::one(ChangeStep::Learn(new)));
        }
        if is_close(new) {
            let steps = Vec::from([ChangeStep::Vote(new), ChangeStep::Remove(old)]);
            return Some(MembershipChange { steps });
        }
    }
    None
}

impl Controller {
    /// Makes the change that is next, if this peer leads and it is time to look.
    pub(crate) fn tend_members(&mut self, now: Instant) {
        if !self.leads() {
            (self.members.close_since, self.members.wants_snapshot) = (BTreeMap::new(), false);
            return;
        }
        if now < self.members.next_look {
            return;
        }
        let patience_ms = self.settings.election_timeout_ms;
        self.members.next_look = now.plus_ms(LOOK_MS.min(patience_ms / 5));
        let may_replace = self.settings.live.replace_wiped == ReplaceWiped::Auto;
        let present: Vec<PeerId> =
            if may_replace { self.links.members().collect() } else { Vec::new() };
        let Some(driver) = self.driver() else { return };
        let close: Vec<PeerId> = close_learners(driver);
        let wants_snapshot = driver.needs_snapshot();
        let mut since = core::mem::take(&mut self.members.close_since);
        since.retain(|learner, _| close.contains(learner));
        for learner in close {
            since.entry(learner).or_insert(now);
        }
        let is_close =
            |learner| since.get(&learner).is_some_and(|since| now.since_ms(*since) >= patience_ms);
        let Some(driver) = self.driver_mut() else { return };
        if let Some(change) = next_change(driver.membership(), &present, is_close) {
            // Refused while an earlier one is under way: it is wanted again at the next look.
            _ = driver.change(&change);
        }
        (self.members.close_since, self.members.wants_snapshot) = (since, wants_snapshot);
    }

    /// The members that sit on a seat, as far as the consensus group knows.
    pub(crate) fn members_on(&self, place: PeerId) -> Vec<PeerId> {
        let Some(driver) = self.driver() else { return Vec::new() };
        let Membership { voters, learners, outgoing, .. } = driver.membership();
        let mut members: Vec<PeerId> =
            voters.iter().chain(learners).chain(outgoing).copied().collect();
        members.retain(|member| seat(*member) == seat(place));
        members.sort_unstable();
        members.dedup();
        members
    }

    /// What this peer is in the consensus group.
    pub(crate) fn standing(&self) -> Standing {
        let Some(driver) = self.driver() else { return Standing::None };
        let (me, membership) = (driver.me(), driver.membership());
        if membership.voters.contains(&me) {
            Standing::Voter
        } else if membership.learners.contains(&me) {
            Standing::Learner
        } else {
            Standing::Stranger
        }
    }
}

/// Learners that answered lately and are close behind.
fn close_learners(driver: &Driver) -> Vec<PeerId> {
    let wanted = driver.commit().0.saturating_sub(PROMOTE_LAG_ENTRIES_MAX);
    let learners = &driver.membership().learners;
    let is_close = |progress: &PeerProgress| {
        progress.is_recent && progress.matched.0 >= wanted && learners.contains(&progress.peer)
    };
    driver.peers().into_iter().filter(is_close).map(|progress| progress.peer).collect()
}

#[cfg(test)]
mod tests {
    use super::next_change;
    use alloc::string::String;
    use alloc::vec::Vec;
    use consensus::{ChangeStep, Membership, PeerId};

    fn ids(ids: &[u64]) -> Vec<PeerId> {
        ids.iter().copied().map(PeerId).collect()
    }

    /// The steps that follow from voters, learners, who is present and who is close behind.
    fn check(voters: &[u64], learners: &[u64], present: &[u64], close: &[u64], expected: &str) {
        let membership =
            Membership { voters: ids(voters), learners: ids(learners), ..Membership::default() };
        let is_close = |peer: PeerId| close.contains(&peer.0);
        let change = next_change(&membership, &ids(present), is_close);
        let shown = change.map_or_else(String::new, |change| {
            let steps = change.steps.iter().map(|step| match step {
                ChangeStep::Vote(peer) => alloc::format!("vote {peer}"),
                ChangeStep::Learn(peer) => alloc::format!("learn {peer}"),
                ChangeStep::Remove(peer) => alloc::format!("remove {peer}"),
            });
            steps.collect::<Vec<_>>().join(", ")
        });
        assert_eq!(shown, expected, "{voters:?} {learners:?} {present:?} {close:?}");
    }

    #[test]
    fn one_change_after_the_other() {
        check(&[1, 2, 3], &[], &[2, 3], &[], "");
        check(&[1, 2, 3], &[], &[2], &[], "");
        check(&[1, 2, 3], &[], &[2, 35], &[], "learn 35");
        check(&[1, 2, 3], &[35], &[2, 35], &[], "");
        check(&[1, 2, 3], &[35], &[2, 35], &[35], "vote 35, remove 3");
        check(&[1, 2, 35], &[], &[2, 35], &[35], "");
        check(&[1, 2, 3], &[35], &[2, 67], &[35], "remove 35");
        check(&[1, 2, 35], &[67], &[2, 35], &[], "remove 67");
        check(&[1, 2, 3], &[35], &[2], &[35], "");
        check(&[1, 2, 3], &[], &[34, 35], &[], "learn 34");
    }

    #[test]
    fn a_joint_membership_is_left_first() {
        let membership = Membership {
            voters: ids(&[1, 2, 35]),
            outgoing: ids(&[1, 2, 3]),
            ..Membership::default()
        };
        let change = next_change(&membership, &ids(&[2, 35]), |_| true);
        assert_eq!(change.map(|change| change.steps), Some(Vec::new()));
    }
}

//! R8: everybody makes the same change of the membership at the same entry, one at a time, and the majorities before and
//! after it overlap.

use super::ledger::Broken;
use crate::node::peer_id;
use crate::sometimes::Sometimes;
use crate::world::World;
use consensus::{LogIndex, Membership, PeerId};
use std::collections::BTreeMap;

/// Every change that anybody applied.
#[derive(Debug, Default)]
pub(crate) struct Members {
    /// The membership from an entry on, and the term in which it was first seen.
    changes: BTreeMap<u64, (Membership, u64)>,
}

fn only(one: &[PeerId], other: &[PeerId]) -> usize {
    one.iter().filter(|peer| !other.contains(peer)).count()
}

impl Members {
    /// Whether those for whom `is_in` holds are a quorum of a membership that can be in force: the newest that anybody
    /// applied, or the one before it. `seats`: how many controllers found the cluster.
    pub(crate) fn is_quorum(&self, seats: usize, is_in: impl Fn(PeerId) -> bool) -> bool {
        let has_most = |voters: &[PeerId]| {
            voters.iter().filter(|voter| is_in(**voter)).count() > voters.len() / 2
        };
        let is_enough = |it: &Membership| {
            has_most(&it.voters) && (it.outgoing.is_empty() || has_most(&it.outgoing))
        };
        let mut recent = self.changes.values().rev().take(2).map(|(it, _)| it);
        if self.changes.len() < 2 && is_enough(&Membership::of_voters((0..seats).map(peer_id))) {
            return true;
        }
        recent.any(is_enough)
    }

    /// Whether a change of the membership is under way, as far as anybody applied it.
    pub(super) fn is_joint(&self) -> bool {
        self.changes.values().next_back().is_some_and(|(newest, _)| newest.is_joint())
    }

    fn change(
        &mut self,
        (index, term): (u64, u64),
        new: &Membership,
        sometimes: &mut Sometimes,
    ) -> Result<(), Broken> {
        if let Some((known, _)) = self.changes.get(&index) {
            return if known == new {
                Ok(())
            } else {
                Err(("R8", format!("two memberships from {index} on: {known:?}, {new:?}")))
            };
        }
        let before = self.changes.range(..index).next_back().map(|(_, before)| before.clone());
        self.changes.insert(index, (new.clone(), term));
        let Some((old, since)) = before else { return Ok(()) };
        let is_right = match (old.is_joint(), new.is_joint()) {
            (false, false) => only(&old.voters, &new.voters) + only(&new.voters, &old.voters) <= 1,
            (false, true) => new.outgoing == old.voters,
            (true, false) => new.voters == old.voters,
            (true, true) => false,
        };
        if !is_right || !new.is_sound() {
            return Err(("R8", format!("{old:?} became {new:?} at {index}")));
        }
        if new.is_joint() {
            sometimes.hit("joint_entered");
            if new.voters.iter().any(|voter| old.learners.contains(voter)) {
                sometimes.hit("learner_promoted");
            }
        } else if old.is_joint() && since != term {
            sometimes.hit("joint_left_by_new_leader");
        }
        Ok(())
    }
}

impl World<'_> {
    /// A controller applied a change.
    pub(crate) fn membership_changed(
        &mut self,
        node: usize,
        index: LogIndex,
        membership: &Membership,
    ) {
        let term = self.terms[node];
        let Self { checks, sometimes, .. } = self;
        let changed = checks.members.change((index.0, term), membership, sometimes);
        if let Err((invariant, text)) = changed {
            self.fail(invariant, format!("node {node}: {text}"));
        }
    }
}

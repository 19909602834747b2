//! R1 and R5 from the outside: nobody campaigns without a quorum that would vote for it, and nobody leads without a
//! quorum that did. What was said in earlier terms counts for nothing.

use super::image_of;
use super::ledger::Broken;
use crate::world::World;
use consensus::{PeerId, Role};
use controller::Overview;
use std::collections::{BTreeMap, BTreeSet};

/// Who said what about campaigns.
#[derive(Debug, Default)]
pub(crate) struct Campaigns {
    /// By term and candidate: who said that it would vote so.
    promises: BTreeMap<(u64, PeerId), BTreeSet<PeerId>>,
    /// By the term in which it was said: who was told to campaign at once.
    told: BTreeSet<(u64, PeerId)>,
}

impl Campaigns {
    /// A leader tells a member to campaign.
    pub(super) fn told(&mut self, term: u64, member: PeerId) {
        self.told.insert((term, member));
    }

    /// A pre-vote is granted for a campaign in `term`.
    pub(super) fn promised(&mut self, term: u64, candidate: PeerId, voter: PeerId) {
        self.promises.entry((term, candidate)).or_default().insert(voter);
    }
}

impl World<'_> {
    pub(super) fn check_campaign(
        &self,
        node: usize,
        before: &Overview,
        after: &Overview,
    ) -> Result<(), Broken> {
        let (term, seats) = (after.term, self.nodes.len());
        let campaigns = matches!(after.role, Some(Role::Candidate | Role::Leader));
        if !campaigns {
            return Ok(());
        }
        let Self { nodes, checks, .. } = self;
        let me = nodes[node].member;
        let log = &checks.campaigns;
        if after.term > before.term {
            let promised = log.promises.get(&(term, me));
            let would = |it| it == me || promised.is_some_and(|promised| promised.contains(&it));
            let is_told = log.told.contains(&(term - 1, me));
            if !is_told && !checks.members.is_quorum(seats, would) {
                let text = format!(
                    "node {node} campaigns in term {term}, and a quorum never said it would vote so"
                );
                return Err(("R5", text));
            }
        }
        if after.role == Some(Role::Leader) && !checks.leaders.contains_key(&term) {
            let vote = |it| image_of(nodes, it).and_then(|image| image.vote_in(term));
            let voted = |it| it == me || vote(it) == Some(me);
            if !checks.members.is_quorum(seats, voted) {
                let text = format!("node {node} leads term {term} without the votes of a quorum");
                return Err(("R1", text));
            }
        }
        Ok(())
    }
}

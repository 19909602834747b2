//! R6 at a leader: what it believes of the others' logs is true and durable there, and they said so in its term.
//!
//! An acknowledgement of an earlier term says nothing about the present one, even while it happens to be true: whoever
//! gave it may have cut since what it had then.

use super::image_of;
use super::ledger::Broken;
use crate::world::World;
use consensus::{PeerId, PeerProgress, Role};
use controller::Overview;
use std::collections::BTreeMap;

/// How far each peer said that its log is, by the term in which it said so, and to whom.
#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    last: BTreeMap<(u64, PeerId, PeerId), u64>,
}

impl Acknowledged {
    pub(super) fn says(&mut self, term: u64, (from, to): (PeerId, PeerId), index: u64) {
        let last = self.last.entry((term, from, to)).or_default();
        *last = index.max(*last);
    }

    fn said(&self, term: u64, (from, to): (PeerId, PeerId)) -> u64 {
        self.last.get(&(term, from, to)).copied().unwrap_or(0)
    }
}

impl World<'_> {
    /// As long as nobody is in a later term: who follows one may cut what it acknowledged.
    pub(super) fn check_progress(&self, node: usize, after: &Overview) -> Result<(), Broken> {
        let is_newest = self.terms.iter().all(|term| *term <= after.term);
        if after.role != Some(Role::Leader) || !is_newest {
            return Ok(());
        }
        let Some(controller) = &self.nodes[node].controller else { return Ok(()) };
        let me = self.nodes[node].member;
        for PeerProgress { peer, matched, .. } in controller.progress() {
            let own = self.nodes[node].image.chain(matched.0);
            let image = image_of(&self.nodes, peer);
            let is_true = own.zip(image).is_none_or(|(own, image)| image.holds(matched.0, own));
            if !is_true {
                let text =
                    format!("node {node} counts {matched} of {peer}, which does not hold it");
                return Err(("R6", text));
            }
            let said = self.checks.acknowledged.said(after.term, (peer, me));
            if peer != me && matched.0 > said {
                let text = format!(
                    "node {node} counts {matched} of {peer}, which said {said} in term {}",
                    after.term
                );
                return Err(("R6", text));
            }
        }
        Ok(())
    }
}

//! Changes of the membership (M1-M3): proposed by the leader one at a time, taken by everybody when they are applied.

use super::Driver;
use crate::change::{ChangeError, MembershipChange};
use crate::{Effect, LogIndex, Membership, Note, PeerId, Role, engine};

impl Driver {
    /// Proposes a change of the membership. It has happened when [`Note::Membership`] says so, and may come to nothing
    /// if leadership is lost before: whoever wants it looks at [`Driver::membership`] and asks again.
    ///
    /// # Errors
    /// A [`ChangeError`]; nothing was proposed then.
    pub fn change(&mut self, change: &MembershipChange) -> Result<(), ChangeError> {
        if self.has_lost_data || !self.is_leader_ready() {
            return Err(ChangeError::NotLeader);
        }
        // What the engine refuses it would replace by an empty entry, without a word (M1): so it is never asked to.
        if self.node.raft.has_pending_conf() {
            return Err(ChangeError::Pending);
        }
        if self.membership().is_joint() != change.steps.is_empty() {
            return Err(ChangeError::Joint);
        }
        let proposed =
            self.node.propose_conf_change(change.encode().into(), engine::to_change(change));
        proposed.map_err(|_no_room| ChangeError::Busy)
    }

    /// Whether the newest snapshot is of no use to a member, since it was taken before that one belonged to the cluster:
    /// then a new one is needed.
    #[must_use]
    pub fn needs_snapshot(&self) -> bool {
        let Some(snapshot) = self.snapshot() else { return false };
        let membership = self.membership();
        let mut members = membership.voters.iter().chain(&membership.learners);
        let is_stranger = |peer: &PeerId| !snapshot.membership.has_peer(*peer);
        self.role() == Role::Leader && !membership.is_joint() && members.any(is_stranger)
    }

    /// A membership entry is applied. What does not fit changes nothing, on no peer: all are in the same state.
    pub(super) fn change_membership(&mut self, index: LogIndex, payload: &[u8]) {
        let Ok(change) = MembershipChange::decode(payload) else { return };
        let Ok(state) = self.node.apply_conf_change(&engine::to_change(&change)) else { return };
        let membership: Membership = engine::membership(&state);
        self.heard.retain(|peer, _| membership.has_peer(*peer));
        self.snapshot_since.retain(|peer, _| membership.has_peer(*peer));
        self.out.push(Effect::Note(Note::Membership { index, membership: membership.clone() }));
        self.node.mut_store().set_membership(membership);
    }
}

//! What may be asked of a driver.

use super::Driver;
use crate::{LogIndex, Membership, PeerId, Role, SnapshotDescriptor, Term, engine};
use alloc::vec::Vec;
use raft::ProgressState;

/// How far a peer is, as the leader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerProgress {
    /// Who.
    pub peer: PeerId,
    /// Its log matches the leader's up to here.
    pub matched: LogIndex,
    /// It waits for a snapshot.
    pub is_in_snapshot: bool,
    /// It was heard within the last two keepalives.
    pub is_recent: bool,
}

impl Driver {
    /// This peer.
    #[must_use]
    pub fn me(&self) -> PeerId {
        self.settings.me
    }

    /// What this peer is; a follower for good once it lost data.
    #[must_use]
    pub fn role(&self) -> Role {
        if self.has_lost_data { Role::Follower } else { engine::role(self.node.raft.state) }
    }

    /// The newest term this peer has seen.
    #[must_use]
    pub fn term(&self) -> Term {
        Term(self.node.raft.term)
    }

    /// Who leads, as far as this peer knows; maybe itself.
    #[must_use]
    pub fn leader(&self) -> Option<PeerId> {
        if self.has_lost_data { None } else { engine::peer(self.node.raft.leader_id) }
    }

    /// Whom this peer voted for in its term.
    #[must_use]
    pub fn vote(&self) -> Option<PeerId> {
        engine::peer(self.node.raft.vote)
    }

    /// Whether this peer leads and has committed an entry of its term: it can serve reads.
    #[must_use]
    pub fn is_leader_ready(&self) -> bool {
        self.role() == Role::Leader && self.node.raft.commit_to_current_term()
    }

    /// The peer that leadership is being handed to.
    #[must_use]
    pub fn transfer_target(&self) -> Option<PeerId> {
        self.transfer
    }

    /// Whether this peer lost data and must be replaced (D21).
    #[must_use]
    pub fn has_lost_data(&self) -> bool {
        self.has_lost_data
    }

    /// The newest entry known to be committed.
    #[must_use]
    pub fn commit(&self) -> LogIndex {
        LogIndex(self.node.raft.raft_log.committed)
    }

    /// The last entry handed out, or the snapshot that was installed.
    #[must_use]
    pub fn applied(&self) -> LogIndex {
        self.applied.0
    }

    /// The term of [`Driver::applied`], as a snapshot of it names it.
    #[must_use]
    pub fn applied_term(&self) -> Term {
        self.applied.1
    }

    /// The last entry of the log, durable or not.
    #[must_use]
    pub fn last_index(&self) -> LogIndex {
        LogIndex(self.node.raft.raft_log.last_index())
    }

    /// Who belongs to the cluster.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        self.node.store().membership()
    }

    /// The newest snapshot that a peer can be sent.
    #[must_use]
    pub fn snapshot(&self) -> Option<&SnapshotDescriptor> {
        self.node.store().snapshot()
    }

    /// Bytes of commands that the log window holds.
    #[must_use]
    pub fn window_bytes(&self) -> usize {
        self.node.store().bytes()
    }

    /// Commands that wait for their entry.
    #[must_use]
    pub fn waiting_count(&self) -> usize {
        self.proposals.waiting_count()
    }

    /// How far every member is; empty where this peer does not lead.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerProgress> {
        if self.role() != Role::Leader {
            return Vec::new();
        }
        let Membership { voters, learners, .. } = self.membership();
        voters.iter().chain(learners).filter_map(|peer| self.progress(*peer)).collect()
    }

    /// The voter to hand leadership to (M7): the most caught-up of those that answered within the
    /// last two keepalives.
    #[must_use]
    pub fn best_transfer_target(&self) -> Option<PeerId> {
        let voters = &self.membership().voters;
        let peers = self.peers().into_iter().filter(|progress| {
            let is_other = progress.peer != self.settings.me && voters.contains(&progress.peer);
            is_other && progress.is_recent && !progress.is_in_snapshot
        });
        // The last of equals wins in `max_by_key`: reversed, the lowest id does.
        let peers: Vec<_> = peers.collect();
        peers.iter().rev().max_by_key(|progress| progress.matched).map(|progress| progress.peer)
    }

    fn progress(&self, peer: PeerId) -> Option<PeerProgress> {
        let progress = self.node.raft.prs().get(peer.0)?;
        let recent = u64::from(self.settings.keepalive_ticks) * 2;
        let heard = self.heard.get(&peer);
        Some(PeerProgress {
            peer,
            matched: LogIndex(progress.matched),
            is_in_snapshot: progress.state == ProgressState::Snapshot,
            is_recent: peer == self.settings.me
                || heard.is_some_and(|heard| heard + recent >= self.now),
        })
    }
}

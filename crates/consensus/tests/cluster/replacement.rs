//! Peers that lose their disks, and a leader that takes them back under new ids (M4), as the controller does it.

use crate::cluster::Cluster;
use consensus::{ChangeStep, LogIndex, Membership, MembershipChange, PeerId};

/// Ids of one seat are equal in their last bits.
const SEATS: u64 = 32;

/// How far a learner may be behind when it becomes a voter.
const LAG_ENTRIES_MAX: u64 = 4;

fn seat(peer: PeerId) -> u64 {
    peer.0 % SEATS
}

fn founders(count: u64) -> Membership {
    Membership::of_voters((1..=count).map(PeerId))
}

/// One disk may be lost at a time: everybody who votes is there, and knows it after a crash too. Who does not know that
/// a joint change was left still asks the majority before it, and a disk of that one is gone.
pub(crate) fn may_wipe(cluster: &Cluster, count: u64) -> bool {
    let founders = founders(count);
    let newest = cluster.checks.newest_membership();
    let (since, membership) = newest.unwrap_or((LogIndex(0), &founders));
    let is_whole = membership.voters.iter().eq(cluster.peers.keys());
    let is_known = cluster.peers.values().all(|peer| {
        let commit = peer.disk.hard_state.commit;
        commit.max(peer.disk.base()) >= since
    });
    count > 1 && is_whole && is_known && !membership.is_joint() && membership.learners.is_empty()
}

/// A disk is lost; its peer starts again with an empty one, under an id that nobody ever had.
pub(crate) fn wipe(cluster: &mut Cluster, id: PeerId) {
    let count = cluster.peers.len() as u64;
    cluster.lose(id);
    cluster.join(PeerId(id.0 + SEATS), &founders(count));
}

/// A leader's next change, if it has to make one.
pub(crate) fn replace_lost(cluster: &mut Cluster, id: PeerId) {
    let driver = cluster.driver(id);
    if !driver.is_leader_ready() {
        return;
    }
    if driver.needs_snapshot() {
        cluster.snapshot(id);
    }
    if let Some(change) = next_change(cluster, id) {
        // Refused while another one is under way: it is wanted again in the next turn.
        _ = cluster.driver_mut(id).change(&change);
    }
}

fn next_change(cluster: &Cluster, leader: PeerId) -> Option<MembershipChange> {
    let driver = cluster.driver(leader);
    let membership = driver.membership();
    if membership.is_joint() {
        return Some(MembershipChange::leave());
    }
    let is_lost = |peer: &&PeerId| !cluster.peers.contains_key(peer);
    if let Some(learner) = membership.learners.iter().find(is_lost) {
        return Some(MembershipChange::one(ChangeStep::Remove(*learner)));
    }
    let lost = *membership.voters.iter().find(is_lost)?;
    let new = *cluster.peers.keys().find(|peer| seat(**peer) == seat(lost))?;
    let Some(progress) = driver.peers().into_iter().find(|progress| progress.peer == new) else {
        return Some(MembershipChange::one(ChangeStep::Learn(new)));
    };
    let wanted = LogIndex(driver.commit().0.saturating_sub(LAG_ENTRIES_MAX));
    let is_ready = progress.is_recent && progress.matched >= wanted;
    is_ready
        .then(|| MembershipChange { steps: vec![ChangeStep::Vote(new), ChangeStep::Remove(lost)] })
}

//! C10: no needless failover. And which elections rested on evidence that was old when they were applied.
//!
//! A master keeps its place, without an operator's word, as long as its heartbeats reach a controller that reaches the
//! leader and a quorum. Whoever was so for long enough must not be replaced, whatever clocks and disks did elsewhere; nor
//! as soon as a leader wakes up that was paused together with all who could have taken its place.

use super::ledger::{Broken, Election};
use crate::agenda::MS;
use crate::network::Lane;
use crate::world::World;

/// Whoever leads and was paused for longer than this gives masters time.
const PAUSE: u64 = 1_000 * MS;
/// So much after it nobody can be dead: three periods of heartbeats, on a fast clock, and some to spare.
const PAUSE_GRACE: u64 = 2_000 * MS;

/// Heartbeats further apart than this begin anew.
pub(crate) const HEARD_GAP: u64 = 2_500 * MS;

impl World<'_> {
    /// Looks at the elections that have just been committed.
    pub(crate) fn check_elections(&mut self) -> Result<(), Broken> {
        let elections = std::mem::take(&mut self.checks.ledger.elections);
        for election in &elections {
            if let Some(master) = election.master
                && self.broker_at(&election.set, master).is_none_or(|it| !self.brokers[it].is_up)
            {
                self.sometimes("evidence_outdated_at_apply");
            }
            let is_needless = !election.is_designated
                && !self.checks.is_without_failover
                && self.is_needless(election);
            if is_needless {
                let text =
                    format!("{election:?}, though its heartbeats reached a quorum all the time");
                return Err(("C10", text));
            }
        }
        Ok(())
    }

    /// Whether the old master was well, and heard by a controller that was well, for long enough.
    fn is_needless(&self, election: &Election) -> bool {
        let Some(previous) = election.previous else { return false };
        let Some(broker) = self.broker_at(&election.set, previous) else { return false };
        let Some(&leader) = self.checks.leaders.get(&election.term) else { return false };
        let patience = self.plan.heartbeat_timeout_ms * MS * 3 / 2 + 6_000 * MS;
        let Some(since) = self.now.checked_sub(patience) else { return false };
        let actor = &self.brokers[broker];
        if !actor.is_up || actor.well_since > since {
            return false;
        }
        if self.is_just_awake(leader) {
            // What it was sent meanwhile waits to be read; what its table says is as old as the pause.
            let is_old = self.nodes[leader].started_at <= since;
            return is_old && self.undisturbed_since(leader, actor.place) <= since;
        }
        if !self.is_well(leader, since) {
            return false;
        }
        let quorum = self.nodes.len() / 2 + 1;
        (0..self.nodes.len()).any(|node| {
            let heard = actor.heard[node];
            let is_heard = heard.since <= since && self.now - heard.last <= HEARD_GAP;
            let reaches = |other: usize| {
                other == node || self.is_well(other, since) && self.is_calm(node, other, since)
            };
            let reached = (0..self.nodes.len()).filter(|&other| reaches(other)).count();
            is_heard && self.is_well(node, since) && reaches(leader) && reached >= quorum
        })
    }

    /// Nobody is dead before its time-out by the clock alone, while the connection is open on which it was heard.
    pub(crate) fn check_death(&mut self, node: usize, set: &str, id: i64) {
        let broker = self.broker_at(set, id).filter(|_| !self.plan.has_doubles);
        let Some(heard) = broker.map(|broker| self.brokers[broker].heard[node]) else { return };
        let least = self.plan.heartbeat_timeout_ms * MS * 4 / 5;
        let is_open = heard.pipe != 0 && self.is_open(heard.pipe, Lane::Down);
        if is_open && heard.last + least > self.now {
            let text = format!("to node {node} {id} of {set} is dead, heard at {}", heard.last);
            self.fail("C10", text);
        }
    }

    fn is_just_awake(&self, node: usize) -> bool {
        let (begin, end) = self.nodes[node].paused;
        begin + PAUSE < end && (end..end + PAUSE_GRACE).contains(&self.now)
    }

    pub(crate) fn is_well(&self, node: usize, since: u64) -> bool {
        let state = &self.nodes[node];
        let is_awake = state.frozen_until <= self.now && state.writer.hung_until <= self.now;
        self.is_up(node) && is_awake && state.well_since <= since
    }

    /// Whether nothing disturbed the ways between two controllers.
    fn is_calm(&self, one: usize, other: usize, since: u64) -> bool {
        self.undisturbed_since(one, other) <= since
    }

    /// Since when nothing disturbs the ways between a controller and another place; never, if they are cut.
    pub(super) fn undisturbed_since(&self, node: usize, place: usize) -> u64 {
        if self.net.is_hindered(node, place) || self.net.is_hindered(place, node) {
            return u64::MAX;
        }
        self.changed_at(node, place)
    }

    /// When anything last happened to the ways between a controller and another place.
    pub(super) fn changed_at(&self, node: usize, place: usize) -> u64 {
        let at = |from, to| self.disturbances.get(&(from, to)).copied().unwrap_or(0);
        at(node, place).max(at(place, node))
    }

    /// Something happened to the way from one place to another, or to a process.
    pub(crate) fn disturbed(&mut self, from: usize, to: usize) {
        if from == to {
            self.nodes[from].well_since = u64::MAX;
        } else {
            self.disturbances.insert((from, to), self.now);
        }
    }

    /// The broker that runs under an id, or last did.
    pub(crate) fn broker_at(&self, set: &str, id: i64) -> Option<usize> {
        let is_it = |broker: &crate::broker::Broker| broker.set == set && broker.id() == Some(id);
        self.brokers.iter().position(is_it)
    }
}

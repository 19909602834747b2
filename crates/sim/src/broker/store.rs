//! Just enough of a broker's store: offsets that grow at masters and follow, later or sooner, at slaves; an epoch file;
//! who keeps up; and what heartbeats say of all that.

use super::{Broker, Purpose};
use crate::agenda::MS;
use crate::random::Random;
use crate::request;
use crate::world::World;
use protocol::BrokerHeartbeat;
use std::collections::VecDeque;

/// A slave that did not reach its master's end for so long is not in sync.
const BEHIND: u64 = 4_000 * MS;
/// Heartbeats that are remembered.
const BEATS_MAX: usize = 64;

/// What a heartbeat says: epoch, offset, priority.
pub(crate) type Said = (i32, i64, i32);

/// A broker's store.
#[derive(Debug)]
pub(crate) struct Store {
    /// The newest epoch of the epoch file.
    pub(crate) epoch: i32,
    /// The end of its log.
    pub(crate) offset: i64,
    priority: i32,
    /// A master's log grows by less than this between two heartbeats.
    growth: u64,
    /// When it had all that its master had.
    caught_up_at: u64,
    /// Until when it takes nothing from its master.
    pub(crate) stuck_until: u64,
    beats: VecDeque<(u64, Said)>,
}

impl Store {
    pub(super) fn draw(random: &mut Random) -> Self {
        Self {
            epoch: 0,
            offset: 0,
            priority: random.pick(&[i32::MAX, i32::MAX, 0, 1, 2]),
            // Some write so much that the ends of two logs are gigabytes apart.
            growth: random.magnitude(100, 1 << 33),
            caught_up_at: 0,
            stuck_until: 0,
            beats: VecDeque::new(),
        }
    }

    pub(super) fn lose(&mut self) {
        (self.epoch, self.offset, self.caught_up_at) = (0, 0, 0);
    }
}

impl Broker {
    pub(super) fn heartbeat(&mut self, now: u64) -> BrokerHeartbeat {
        let Store { epoch, offset, priority, .. } = self.store;
        if self.store.beats.len() == BEATS_MAX {
            self.store.beats.pop_front();
        }
        self.store.beats.push_back((now, (epoch, offset, priority)));
        BrokerHeartbeat {
            cluster_name: Some(request::text(request::CLUSTER)),
            broker_address: Some(request::text(&self.address)),
            broker_name: Some(request::text(&self.set)),
            broker_id: self.file,
            epoch,
            max_offset: offset,
            confirm_offset: offset / 2,
            heartbeat_timeout_ms: Some(self.timeout_ms),
            election_priority: priority,
        }
    }

    /// Whether one of its heartbeats since a moment, or the last one before it, said so.
    pub(crate) fn has_said(&self, said: Said, since: u64) -> bool {
        let beats = &self.store.beats;
        let first = beats.iter().rposition(|(at, _)| *at < since).unwrap_or(0);
        beats.iter().skip(first).any(|(_, it)| *it == said)
    }

    /// Whether it has what its master has, or had so a short while ago.
    fn keeps_up(&self, now: u64) -> bool {
        self.store.caught_up_at + BEHIND > now
    }
}

impl World<'_> {
    /// A master's log grows, a slave's follows it.
    pub(super) fn replicate(&mut self, broker: usize) {
        let now = self.now;
        if self.brokers[broker].is_master {
            let actor = &mut self.brokers[broker];
            let more = actor.random.below(actor.store.growth);
            actor.store.offset = actor.store.offset.saturating_add_unsigned(more);
            return;
        }
        let (epoch, master) = (self.brokers[broker].epoch, self.brokers[broker].master);
        let source = self.brokers[broker].siblings.clone().find(|&other| {
            let other = &self.brokers[other];
            other.is_running() && other.is_master && other.file == master && other.epoch == epoch
        });
        let Some(source) = source else { return };
        let (end, growth) = (self.brokers[source].store.offset, self.brokers[source].store.growth);
        let actor = &mut self.brokers[broker];
        if actor.store.stuck_until > now {
            return;
        }
        // Mostly it has everything, sometimes the last of it is still on its way.
        let behind = if actor.random.chance(200) { actor.random.below(growth) } else { 0 };
        let reached = end.saturating_sub_unsigned(behind).max(0);
        if behind == 0 {
            actor.store.caught_up_at = now;
        }
        // What the master does not have is truncated.
        let own = actor.store.offset.min(end);
        actor.store.offset = reached.max(own);
        actor.store.epoch = epoch;
    }

    /// A master compares who is in sync with the set that it knows, and asks for another one.
    pub(super) fn check_members(&mut self, broker: usize) {
        let actor = &self.brokers[broker];
        let Some(own) = actor.file.filter(|_| actor.is_master && !actor.is_altering) else {
            return;
        };
        let mut wanted = vec![own];
        for other in actor.siblings.clone().filter(|&other| other != broker) {
            let slave = &self.brokers[other];
            let is_following = slave.is_running()
                && slave.paused_until <= self.now
                && !slave.is_master
                && slave.keeps_up(self.now)
                && (slave.master, slave.epoch) == (Some(own), actor.epoch);
            wanted.extend(slave.file.filter(|_| is_following));
        }
        wanted.sort_unstable();
        wanted.dedup();
        let mut known = actor.members.clone();
        known.sort_unstable();
        if wanted == known {
            return;
        }
        let request = request::alter(&actor.set, (own, actor.epoch, actor.set_epoch), &wanted);
        self.brokers[broker].is_altering = true;
        self.ask_leader(broker, Purpose::Alter, request);
    }
}

//! C8, where it begins: a leader's evidence is compared with what it heard, in the turn that proposes it.
//!
//! Whoever was heard all the time by the proposing leader itself stands in it, with what one of his last heartbeats
//! said; whoever was heard by nobody for longer than his time-out does not.

use super::failover::HEARD_GAP;
use super::ledger::Broken;
use crate::agenda::MS;
use crate::broker::Broker;
use crate::world::World;
use consensus::{EntryKind, Persist, Role};
use controller::{Effect, Overview};
use replicas::{BrokerId, Command, Evidence};

/// A command may wait for its entry, and a heartbeat in the queue of a process that had other things to do.
const STALE: u64 = 3_000 * MS;
/// How long, beside its time-out, a broker may count as alive that nobody hears: what was passed on may be late, and
/// a leader that was paused forgives.
const LATE: u64 = 8_000 * MS;

fn evidence_of(command: &Command) -> Option<&Evidence> {
    match command {
        Command::ApplyBrokerId(_) => None,
        Command::RegisterBroker(it) => Some(&it.evidence),
        Command::ElectMaster(it) => Some(&it.evidence),
        Command::AlterSyncStateSet(it) => Some(&it.evidence),
        Command::CleanBrokerData(it) => Some(&it.evidence),
    }
}

/// Whether an election is among the commands of a group.
pub(super) fn has_election(group: &Persist) -> bool {
    let commands = group.entries.iter().filter(|entry| entry.kind == EntryKind::Commands);
    let mut commands = commands.flat_map(|entry| consensus::frame::split(&entry.bytes));
    commands.any(|bytes| matches!(Command::decode(&bytes), Ok(Command::ElectMaster(_))))
}

impl World<'_> {
    /// Looks at what a leader proposes in this turn.
    pub(super) fn check_evidence(
        &self,
        node: usize,
        after: &Overview,
        effects: &[Effect],
    ) -> Result<(), Broken> {
        if after.role != Some(Role::Leader) || self.plan.has_doubles {
            return Ok(());
        }
        for effect in effects {
            let Effect::Persist(group) = effect else { continue };
            let is_own = |entry: &&consensus::Entry| {
                entry.kind == EntryKind::Commands && entry.term.0 == after.term
            };
            let entries = group.entries.iter().filter(is_own);
            for bytes in entries.flat_map(|entry| consensus::frame::split(&entry.bytes)) {
                // One that cannot be read fails when it is committed (R4).
                Command::decode(&bytes).map_or(Ok(()), |it| self.check_command(node, &it))?;
            }
        }
        Ok(())
    }

    fn check_command(&self, node: usize, command: &Command) -> Result<(), Broken> {
        let Some(evidence) = evidence_of(command) else { return Ok(()) };
        let name = command.set();
        let known = self.checks.ledger.state.broker_set(name);
        let asker = match command {
            Command::ElectMaster(it) => it.broker,
            _ => None,
        };
        for broker in self.brokers.iter().filter(|it| it.set == name) {
            let Some(id) = broker.id().map(BrokerId) else { continue };
            let fail = |what: &str| {
                let heard = broker.heard[node];
                Err(("C8", format!("node {node}: {id} of {name} {what} ({heard:?}): {command:?}")))
            };
            let is_registered = known.is_some_and(|set| set.replica(id).is_some());
            let seen = evidence.get(id);
            if self.is_surely_heard(node, broker) && is_registered && seen.is_none() {
                return fail("is heard all the time and does not count as alive");
            }
            let Some(seen) = seen else { continue };
            if (seen.epoch, seen.max_offset) == (-1, -1) {
                // Counts because it asks, or because it had no time to be heard.
                continue;
            }
            if asker != Some(id) && self.is_surely_silent(node, broker) {
                return fail("is heard by nobody and counts as alive");
            }
            let said = (seen.epoch, seen.max_offset, seen.priority);
            if self.is_surely_heard(node, broker) && !broker.has_said(said, self.now - STALE * 2) {
                return fail("never said so of late");
            }
        }
        Ok(())
    }

    /// Whether a controller heard a broker itself, without a gap and for long enough.
    fn is_surely_heard(&self, node: usize, broker: &Broker) -> bool {
        let heard = broker.heard[node];
        let (now, since) = (self.now, self.now.saturating_sub(STALE * 2));
        let is_well = broker.is_up && broker.paused_until <= now && broker.well_since <= since;
        let is_fresh = heard.since <= since && now - heard.last <= HEARD_GAP;
        is_well && is_fresh && self.is_well(node, since) && self.nodes[node].started_at <= since
    }

    /// Whether nobody heard a broker for longer than it may be silent.
    fn is_surely_silent(&self, node: usize, broker: &Broker) -> bool {
        let most = self.plan.heartbeat_timeout_ms * MS * 5 / 4 + LATE + self.net.slowest();
        let last = broker.heard.iter().map(|it| it.last).max().unwrap_or(0);
        last + most < self.now && self.is_well(node, self.now.saturating_sub(most))
    }
}

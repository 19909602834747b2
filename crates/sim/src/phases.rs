//! The two phases of a run: first faults, in which nothing may break; then repairs, after which all must come right.
//!
//! In the second phase a random majority of controllers is healed first, and must serve on its own (L1, L2); then all are,
//! and must become equal and quiet (L3 to L7).

use crate::agenda::{MS, What};
use crate::client::NOBODYS;
use crate::network::Weather;
use crate::node::Fate;
use crate::random::Random;
use crate::world::World;
use controller::{Event, Founding, MasterLists, Overview, Standing};

/// How long after the repair requests may still be without an end: an asker's patience, on slow clocks.
pub(crate) const REQUEST_MS: u64 = 4_500;
/// What brokers need beside the heartbeat time-out: their own polls and retries.
const BROKER_MS: u64 = 2_000 + 17_000;
/// Messages between controllers in one second: more than keepalives, heartbeats passed on and requests can explain.
const STORM_PER_PAIR: u64 = 400;

impl World<'_> {
    /// Starts everybody and lets the plan's faults strike.
    pub(crate) fn safety(&mut self) {
        let mut random = Random::stream(self.plan.seed, "start", 0);
        for node in 0..self.nodes.len() {
            let pause = random.below(300 * MS);
            self.put(pause, What::Start { node, boot: 0 });
        }
        self.run_to(self.now + 400 * MS);
        for broker in 0..self.brokers.len() {
            // Together or one after the other: both happen.
            let pause = random.below(3_000 * MS);
            self.put(pause, What::Begin { broker });
        }
        for client in 0..self.clients.len() {
            if self.clients[client].pause > 0 {
                let pause = random.below(2_000 * MS);
                self.put(pause, What::Client { client });
            }
        }
        for fault in 0..self.plan.faults.len() {
            let at_ms = self.plan.faults[fault].at_ms;
            // What would strike into the repairs is no part of this phase.
            if at_ms < self.plan.safety_ms {
                self.agenda.put((at_ms * MS).max(self.now), What::Strike { fault });
            }
        }
        self.run_to(self.plan.safety_ms * MS);
    }

    /// Heals a majority, then all, and demands that everything comes right.
    pub(crate) fn liveness(&mut self) {
        let mut random = Random::stream(self.plan.seed, "heal", 0);
        // Who finds his disk damaged says so now: nothing can be demanded of him.
        for node in 0..self.nodes.len() {
            if self.nodes[node].fate == Fate::Rotten {
                self.start(node);
            }
        }
        let mut order: Vec<usize> =
            (0..self.nodes.len()).filter(|&node| self.is_of_use(node)).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, random.index(at + 1));
        }
        let quorum = self.nodes.len() / 2 + 1;
        if order.len() < quorum {
            // Too few disks are left; stopping is right, and nothing can be demanded.
            return;
        }
        // The very first start needs everybody once (rule M5): before it is complete no majority serves alone.
        let is_founded = |node: &usize| self.nodes[*node].image.identity == Some(Founding::Founded);
        let is_begun = order[..quorum].iter().all(is_founded);
        let core = if is_begun { order[..quorum].to_vec() } else { order.clone() };
        self.armed.clear();
        self.await_sleepers();
        self.heal_outside();
        self.heal(&core);
        self.await_leader(&core);
        self.await_masters(&core);
        if self.failure.is_some() {
            return;
        }
        // Who lost his disk comes last, and must be taken back (M4).
        let wiped = (0..self.nodes.len()).filter(|&node| self.nodes[node].fate == Fate::Wiped);
        order.extend(wiped.collect::<Vec<_>>());
        self.heal(&order);
        self.await_leader(&order);
        self.await_quiet(&order);
    }

    /// Lets pauses come to their end: a process that sleeps cannot be woken from outside.
    fn await_sleepers(&mut self) {
        // A fault whose moment had come may strike even now.
        loop {
            let nodes = self.nodes.iter().map(|it| it.frozen_until.max(it.writer.hung_until));
            let brokers = self.brokers.iter().map(|it| it.paused_until);
            let end = nodes.chain(brokers).max().unwrap_or(0);
            if end <= self.now || self.failure.is_some() {
                return;
            }
            self.run_to(end);
        }
    }

    /// Whether a controller can be healed.
    fn is_of_use(&self, node: usize) -> bool {
        matches!(self.nodes[node].fate, Fate::Whole | Fate::Rotten)
    }

    /// All faults of the network and of brokers end; clients fall silent, but for those who read.
    fn heal_outside(&mut self) {
        for fault in 0..self.plan.faults.len() {
            self.forget_fault(fault);
        }
        let weather = &mut self.net.weather;
        *weather = Weather { delay: 300, delay_max: 5_000, ..Weather::default() };
        (self.plan.sync, self.plan.sync_max) = (500, 20_000);
        for client in &mut self.clients {
            client.is_active = client.trade == crate::client::Trade::Reader;
        }
        for node in 0..self.nodes.len() {
            self.nodes[node].live.masters = MasterLists::default();
            let live = self.nodes[node].live.clone();
            self.tell(node, Event::Configured(live));
        }
        for broker in 0..self.brokers.len() {
            let actor = &mut self.brokers[broker];
            actor.takes_notices_in(0, self.now);
            (actor.shut_until, actor.unanswered_until, actor.store.stuck_until) = (0, 0, 0);
            self.start_broker(broker);
        }
    }

    /// These controllers run, and reach each other and everybody outside; all others stay as they are, and cut off.
    fn heal(&mut self, healed: &[usize]) {
        let places = self.net.hosts.len();
        let nodes = self.nodes.len();
        for one in 0..nodes {
            for other in 0..places {
                let is_inside = |place: usize| place >= nodes || healed.contains(&place);
                let must_pass = is_inside(one) && is_inside(other);
                self.set_cut(one, other, !must_pass && one != other);
                self.clog(one, other, 0);
                self.clog(other, one, 0);
            }
        }
        for &node in healed {
            let state = &mut self.nodes[node];
            state.writer.slowness = 1;
            state.disk.set_capacity(None);
            state.disk.clear_faults();
            self.start(node);
            self.wake_up(node);
        }
    }

    /// L1: a leader that serves.
    fn await_leader(&mut self, core: &[usize]) {
        let patience = 10 * self.plan.election_timeout_ms * 5 / 4;
        let end = self.now + (patience + 1_500) * MS;
        let is_led = |world: &Self| {
            let leader = world.leader().filter(|leader| core.contains(leader));
            leader.is_some_and(|leader| world.overview(leader).is_some_and(|it| it.is_ready))
        };
        while !is_led(self) && self.failure.is_none() {
            if self.now >= end {
                let text = format!("no leader within {patience} ms: {:?}", self.overviews());
                return self.fail("L1", text);
            }
            self.run_to(self.now + 50 * MS);
        }
    }

    /// L2: every broker set with a living member in sync has a master, which all its living members know.
    fn await_masters(&mut self, core: &[usize]) {
        let patience = self.plan.heartbeat_timeout_ms * 5 / 4 + BROKER_MS;
        let end = self.now + patience * MS;
        let mut last_messages = self.net.messages;
        loop {
            let missing = self.without_master();
            let Some(set) = missing else { return };
            if self.failure.is_some() {
                return;
            }
            if self.now >= end {
                let text = format!("after {patience} ms {set}; {:?}", self.overviews());
                return self.fail("L2", text);
            }
            self.run_to(self.now + 1_000 * MS);
            let messages = self.net.messages - last_messages;
            last_messages = self.net.messages;
            self.check_storm(messages, core.len());
        }
    }

    /// L6: no storm.
    fn check_storm(&mut self, messages: u64, nodes: usize) {
        let pairs = (nodes * nodes.saturating_sub(1)) as u64;
        let brokers = self.brokers.len() as u64;
        let asked: u64 = self.clients.iter().map(|it| 1_000_000 / it.pause.max(1_000)).sum();
        let most = pairs * STORM_PER_PAIR + (brokers * 20 + asked * 8) * nodes as u64;
        if messages > most {
            self.fail("L6", format!("{messages} messages in one second, at most {most} are due"));
        }
    }

    /// A set without what L2 demands, in words.
    fn without_master(&self) -> Option<String> {
        if self.plan.has_doubles {
            return None;
        }
        for (name, set) in self.checks.ledger.state.broker_sets() {
            let members = self.brokers.iter().filter(|it| it.set == name && it.is_up);
            let living: Vec<_> = members.filter_map(|it| Some((it.id()?, it))).collect();
            let is_in_sync = |id: i64| set.sync_state_set().iter().any(|member| member.0 == id);
            if !set.was_elected() || !living.iter().any(|(id, _)| is_in_sync(*id)) {
                continue;
            }
            let Some(master) = set.master() else { return Some(format!("{name} has no master")) };
            if !living.iter().any(|(id, _)| *id == master.0) {
                return Some(format!("{name} has the dead master {master}"));
            }
            let epoch = set.master_epoch().0;
            let ignorant = living.iter().find(|(id, it)| {
                set.replica(replicas::BrokerId(*id)).is_some()
                    && (it.master, it.epoch) != (Some(master.0), epoch)
            });
            if let Some((id, it)) = ignorant {
                let known = (it.master, it.epoch, it.is_running());
                let text = format!("{name}: {id} knows {known:?}, not {master} of epoch {epoch}");
                return Some(text);
            }
        }
        None
    }

    /// L3 to L5, L7: every request ends, all controllers become equal, tables empty, duties run.
    fn await_quiet(&mut self, healed: &[usize]) {
        for client in &mut self.clients {
            client.is_active = false;
        }
        let has_wiped = healed.iter().any(|&node| self.nodes[node].fate == Fate::Wiped);
        let back_ms = if has_wiped { 12 * self.plan.election_timeout_ms } else { 0 };
        let end = self.now + (REQUEST_MS + 12_000 + back_ms) * MS;
        loop {
            self.run_to(self.now + 250 * MS);
            let Some((invariant, text)) = self.unrest(healed) else { return };
            if self.failure.is_some() {
                return;
            }
            if self.now >= end {
                return self.fail(invariant, text);
            }
        }
    }

    /// What is not quiet yet.
    fn unrest(&self, healed: &[usize]) -> Option<(&'static str, String)> {
        let overviews: Vec<(usize, Overview)> =
            healed.iter().filter_map(|&node| Some((node, self.overview(node)?))).collect();
        if overviews.len() < healed.len() {
            return Some(("L4", "a healed controller does not run".to_owned()));
        }
        let waits = self.calls.values().find(|call| {
            let patience = REQUEST_MS * MS;
            let is_theirs = healed.contains(&call.node) && self.is_up(call.node);
            // Whoever asked may have given up by now; the controller owes its end all the same.
            let arrived = call.arrived.filter(|_| is_theirs && !call.is_answered);
            arrived.is_some_and(|arrived| arrived + patience < self.now)
        });
        if let Some(call) = waits {
            return Some(("L3", format!("{:?} has no end", call.request)));
        }
        let applied = self.checks.ledger.len();
        for (node, it) in &overviews {
            if it.standing != Standing::Voter {
                return Some(("L4", format!("node {node} is not taken back: {it:?}")));
            }
            if it.applied != applied || it.commit != applied || !it.is_ready {
                return Some((
                    "L4",
                    format!("node {node} is not whole: {it:?}, committed {applied}"),
                ));
            }
            let waiting = it.writes_waiting + it.reads_waiting + it.forwards_waiting;
            if waiting > 0 || it.notices_waiting > self.nobodys_addresses() {
                return Some(("L5", format!("node {node} still waits: {it:?}")));
            }
        }
        let duty = overviews.iter().find(|(node, it)| {
            let of_brokers = self.brokers.iter().filter(|it| it.is_running()).count();
            !self.plan.has_doubles && it.brokers < of_brokers && self.nodes[*node].applied > 0
        });
        duty.map(|(node, it)| ("L7", format!("node {node} does not hear all brokers: {it:?}")))
    }

    /// Members whom a rival registered at an address where nobody listens. As long as such a member lives, its notice
    /// is sent again and again, as it must be.
    fn nobodys_addresses(&self) -> usize {
        let members = self.checks.ledger.state.broker_sets().flat_map(|(_, set)| set.replicas());
        members.filter(|member| member.address.starts_with(NOBODYS)).count()
    }

    /// What a controller says of itself.
    pub(crate) fn overview(&self, node: usize) -> Option<Overview> {
        self.nodes[node].controller.as_ref().map(|it| it.overview())
    }

    fn overviews(&self) -> Vec<Option<Overview>> {
        (0..self.nodes.len()).map(|node| self.overview(node)).collect()
    }
}

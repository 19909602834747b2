//! What is owed while faults strike elsewhere: L2 to L4 for whoever was left alone for long enough.
//!
//! | Duty | Within |
//! |---|---|
//! | a request that a well controller got has an end | its patience |
//! | a master that is gone is replaced, if a member in sync lives | the heartbeat time-out, or the time of masters that a new leader did not hear |
//! | a member is told of its new master, by a notice | the longest pause between two attempts, and one attempt |
//! | a follower that the leader reaches has what was committed | a few campaign time-outs |
//!
//! All of them are counted from the last moment at which anything disturbed one of those that they need.

use super::failover::HEARD_GAP;
use super::ledger::Broken;
use crate::agenda::MS;
use crate::broker::Broker;
use crate::node::Fate;
use crate::phases::REQUEST_MS;
use crate::world::World;
use replicas::{BrokerId, BrokerSet};
use std::collections::{BTreeMap, VecDeque};

/// How often the duties are looked at.
const LOOK_EVERY: u64 = 500 * MS;
/// A new leader gives masters that it never heard so much time, which it may have to do anew.
const UNHEARD_MS: u64 = 10_000;
/// Beside all that: an election is proposed, written and committed.
const ELECTION_MS: u64 = 3_000;
/// As much, where nobody has to be missed first: the set has no master, and the heir is heard.
const PROMPT_MS: u64 = 500;
/// A connect for a notice that was begun before the way was free ends in vain; then the next gets through.
const NOTICE_MS: u64 = 3_000 + 1_000;
/// The longest pause between two attempts to tell a broker; it grows with the time for which they fail.
const NOTICE_PAUSE_MS: u64 = 5_000;
/// What a follower may need to catch up, snapshots that were lost on the way included.
const CATCH_UP_MS: u64 = 15_000;
/// Slower networks than this have no duties: their patience would be longer than their faults.
const DELAY_MAX: u64 = 50_000;

/// What was seen at earlier looks.
#[derive(Debug, Default)]
pub(crate) struct Duties {
    looked_at: u64,
    /// Of each broker set: its master epoch and master, and since when.
    masters: BTreeMap<String, (i32, Option<i64>, u64)>,
    /// How much was committed when.
    committed: VecDeque<(u64, u64)>,
    /// When a heartbeat of an id last came to any controller, by set.
    heard: BTreeMap<String, BTreeMap<i64, u64>>,
}

impl Duties {
    /// A heartbeat came, whether or not whoever sent it still lives.
    pub(crate) fn heard(&mut self, set: &str, id: i64, now: u64) {
        if !self.heard.contains_key(set) {
            self.heard.insert(set.to_owned(), BTreeMap::new());
        }
        if let Some(ids) = self.heard.get_mut(set) {
            ids.insert(id, now);
        }
    }
}

/// Somebody who leads since a moment, and since when nothing disturbs him and a quorum.
#[derive(Debug, Clone, Copy)]
struct Ruler {
    node: usize,
    led_since: u64,
    since: u64,
}

impl World<'_> {
    /// Looks at all duties, now and then.
    pub(super) fn check_duties(&mut self) -> Result<(), Broken> {
        if self.now < self.checks.duties.looked_at + LOOK_EVERY {
            return Ok(());
        }
        let (now, committed) = (self.now, self.checks.ledger.len());
        let duties = &mut self.checks.duties;
        duties.looked_at = now;
        duties.committed.push_back((now, committed));
        while duties.committed.front().is_some_and(|(at, _)| at + CATCH_UP_MS * MS < now) {
            duties.committed.pop_front();
        }
        for (name, set) in self.checks.ledger.state.broker_sets() {
            let (epoch, master) = (set.master_epoch().0, set.master().map(|id| id.0));
            let known = duties.masters.entry(name.to_owned()).or_insert((epoch, master, now));
            if (known.0, known.1) != (epoch, master) {
                *known = (epoch, master, now);
            }
        }
        self.check_ends()?;
        let weather = &self.net.weather;
        let is_fair = weather.loss + weather.overtaking == 0 && weather.delay_max <= DELAY_MAX;
        let Some(ruler) = self.ruler().filter(|_| is_fair && !self.plan.has_doubles) else {
            return Ok(());
        };
        self.check_followers(ruler)?;
        for (name, set) in self.checks.ledger.state.broker_sets() {
            self.check_master(ruler, name, set)?;
            self.check_told(ruler, name, set)?;
        }
        Ok(())
    }

    /// L3: whoever asks a controller that is well gets an answer.
    fn check_ends(&self) -> Result<(), Broken> {
        let patience = REQUEST_MS * MS;
        let is_late = |call: &&crate::calls::Call| {
            let arrived = call.arrived.filter(|_| !call.is_answered);
            arrived.is_some_and(|at| at + patience < self.now && self.is_well(call.node, at))
        };
        match self.calls.values().find(is_late) {
            Some(call) => {
                let (node, request) = (call.node, &call.request);
                Err(("L3", format!("node {node} does not answer {request:?}")))
            }
            None => Ok(()),
        }
    }

    fn ruler(&self) -> Option<Ruler> {
        let node = self.leader()?;
        let led_since = self.checks.led_since.get(&self.terms[node]).copied()?;
        let mut ways: Vec<u64> = (0..self.nodes.len())
            .filter(|&other| self.nodes[other].fate == Fate::Whole)
            .map(|other| self.calm_since(node, other))
            .collect();
        ways.sort_unstable();
        let quorum = *ways.get(self.nodes.len() / 2)?;
        let since = led_since.max(quorum);
        (since < self.now).then_some(Ruler { node, led_since, since })
    }

    /// Since when two controllers are well and nothing disturbs the ways between them.
    fn calm_since(&self, one: usize, other: usize) -> u64 {
        if !self.is_well(one, self.now) || !self.is_well(other, self.now) {
            return u64::MAX;
        }
        let well = self.nodes[one].well_since.max(self.nodes[other].well_since);
        if one == other { well } else { well.max(self.undisturbed_since(one, other)) }
    }

    /// L4: a follower that the leader reaches has what was committed some time ago.
    fn check_followers(&self, ruler: Ruler) -> Result<(), Broken> {
        let Some(&(at, committed)) = self.checks.duties.committed.front() else { return Ok(()) };
        let allowed =
            (CATCH_UP_MS + self.plan.election_timeout_ms * 4) * MS + self.plan.sync_max * 8;
        for node in 0..self.nodes.len() {
            let state = &self.nodes[node];
            let since = ruler.since.max(self.calm_since(ruler.node, node));
            let is_due = since.max(at).checked_add(allowed).is_some_and(|due| due < self.now);
            if is_due && state.fate == Fate::Whole && state.applied < committed {
                return Err((
                    "L4",
                    format!(
                        "node {node} applied {}, though {committed} was committed long ago and it \
                         reaches leader {}",
                        state.applied, ruler.node
                    ),
                ));
            }
        }
        Ok(())
    }

    /// L2: a master that is gone is replaced, and a set without one gets one.
    fn check_master(&self, ruler: Ruler, name: &str, set: &BrokerSet) -> Result<(), Broken> {
        let Some(&(_, master, since)) = self.checks.duties.masters.get(name) else { return Ok(()) };
        if !set.was_elected() {
            return Ok(());
        }
        let gone_since = match master.and_then(|id| self.broker_at(name, id)) {
            Some(broker) if self.brokers[broker].is_up => {
                let is_paused = self.brokers[broker].paused_until > self.now;
                let last = self.brokers[broker].heard.iter().map(|it| it.last).max();
                last.filter(|_| is_paused)
            }
            Some(broker) => Some(self.brokers[broker].ended_at),
            None => self.brokers.iter().filter(|it| it.set == name).map(|it| it.lost_at).max(),
        };
        let Some(gone_since) = gone_since else { return Ok(()) };
        // On the slowest clock.
        let slow = |ms: u64| ms * 5 / 4 * MS;
        let timeout_ms = self.plan.heartbeat_timeout_ms;
        // What waited in its connection comes long after its end, and counts; and whoever was elected on his own word
        // without a heartbeat has time as under a new leader.
        let last = master.and_then(|id| self.checks.duties.heard.get(name)?.get(&id).copied());
        let gone_since = gone_since.max(last.unwrap_or(0));
        let is_known = |last| last > self.nodes[ruler.node].started_at;
        let is_heard = master.is_none() || last.is_some_and(is_known);
        let unheard_since = if is_heard { ruler.led_since } else { ruler.led_since.max(since) };
        let noticed =
            (gone_since + slow(timeout_ms)).max(unheard_since + slow(timeout_ms.max(UNHEARD_MS)));
        let start = noticed.max(since).max(ruler.since);
        let is_settled = ruler.since + slow(ELECTION_MS) + self.plan.sync_max * 4 < self.now;
        let election_ms = if master.is_none() && is_settled { PROMPT_MS } else { ELECTION_MS };
        let patience = slow(election_ms) + self.plan.sync_max * 4 + self.net.weather.delay_max * 8;
        let heir = self.brokers.iter().find(|it| {
            let heard = it.heard[ruler.node];
            let is_forbidden = |id| {
                let mut never = self.nodes.iter().flat_map(|it| &it.never);
                never.any(|(set, never)| set == name && *never == id)
            };
            let is_in_sync =
                it.id().is_some_and(|id| set.is_in_sync(BrokerId(id)) && !is_forbidden(id));
            let start = start.max(heard.since).max(it.well_since);
            let is_well = it.set == name && it.is_running() && it.paused_until <= self.now;
            let is_heard = heard.last + HEARD_GAP > self.now && heard.since > 0;
            is_in_sync && is_well && is_heard && start + patience < self.now
        });
        let Some(heir) = heir else { return Ok(()) };
        let (id, leader) = (heir.id(), ruler.node);
        let text = format!(
            "{name}: master {master:?} is gone since {gone_since}, leader {leader} leads in peace \
             since {} and hears {id:?}, which is in sync",
            ruler.since
        );
        Err(("L2", text))
    }

    /// Whether a broker counts as alive all the time, because the leader hears it or somebody who can tell him.
    fn is_alive_to(&self, ruler: Ruler, broker: &Broker, since: u64) -> bool {
        (0..self.nodes.len()).any(|node| {
            let heard = broker.heard[node];
            let is_fresh = heard.since + HEARD_GAP < since && heard.last + HEARD_GAP > self.now;
            is_fresh && self.calm_since(ruler.node, node) < since.saturating_sub(HEARD_GAP)
        })
    }

    /// L2: every living member hears of a new master by a notice.
    fn check_told(&self, ruler: Ruler, name: &str, set: &BrokerSet) -> Result<(), Broken> {
        let Some(&(epoch, master, since)) = self.checks.duties.masters.get(name) else {
            return Ok(());
        };
        if master.is_none() || ruler.since + LOOK_EVERY * 2 > since {
            return Ok(());
        }
        let start_at = |it: &Broker| {
            let slow = it.slowest_notice(since);
            let way = self.undisturbed_since(ruler.node, it.place).max(since);
            let pause = (way - since).min(NOTICE_PAUSE_MS * MS);
            way.saturating_add((NOTICE_MS * MS + pause) * 5 / 4 + slow)
        };
        let deaf = self.brokers.iter().find(|it| {
            let place = it.id().and_then(|id| set.replica(BrokerId(id)));
            let is_here =
                it.set == name && place.is_some_and(|place| *place.address == *it.address);
            let is_well = it.is_running() && it.well_since + HEARD_GAP < since;
            let is_heard = self.is_alive_to(ruler, it, since);
            is_here && is_well && is_heard && it.told < epoch && start_at(it) < self.now
        });
        let Some(deaf) = deaf else { return Ok(()) };
        let text = format!(
            "{name}: {:?} was told of epoch {}, and not of {epoch}, which leader {} made at {since}",
            deaf.id(),
            deaf.told,
            ruler.node
        );
        Err(("L2", text))
    }
}

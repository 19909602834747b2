//! A running cluster with traffic on it, and the things that are done to it and waited for.
//!
//! Each function does one thing and gives what was seen, or why it did not come to pass; what they prove together
//! is in `scenario.rs`.

use super::admin::{Admin, Polled, Role, State};
use super::clock::{Stopwatch, pause, until};
use super::cluster::Cluster;
use super::report::{Failure, Outcome};
use super::setup::{BROKER_SET, Setup, TOPIC};
use super::traffic::{Status, Traffic};
use std::time::Duration;

/// A JVM starts in a few seconds; a busy machine and a broker's own retries (5 s each) come on top.
pub(super) const START_LIMIT: Duration = Duration::from_secs(90);

/// Upstream's slowest way: 10 s until a silent broker counts as dead, 5 s until the next scan, 5 s until the next poll.
const CHANGE_LIMIT: Duration = Duration::from_secs(60);

/// Messages that have to be acknowledged before traffic counts as running.
const FLOW_COUNT: u64 = 100;

/// How long traffic is watched while a controller is gone, at least.
const WATCH: Duration = Duration::from_secs(3);

/// How a master is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// `kill -9`: its connections close at once.
    Killed,
    /// SIGTERM: it says goodbye.
    Asked,
    /// SIGSTOP: its connections stay open, and its address accepts, but nothing answers.
    Frozen,
}

/// The cluster and those who talk to it.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) cluster: Cluster,
    admin: Admin,
    traffic: Option<Traffic>,
}

impl Stage {
    /// Starts name server and controllers; brokers and traffic come later.
    pub(super) fn open(setup: Setup, relayed: usize) -> Outcome<Self> {
        let admin = Admin::start(&setup)?;
        let mut cluster = Cluster::new(setup, relayed)?;
        cluster.start_namesrv()?;
        for index in 0..3 {
            cluster.start_controller(index)?;
        }
        Ok(Self { cluster, admin, traffic: None })
    }

    pub(super) fn setup(&self) -> &Setup {
        &self.cluster.setup
    }

    /// Waits until every running controller names the same leader, which is one of them; gives its index.
    pub(super) fn leader(&mut self) -> Outcome<usize> {
        let addresses = self.setup().controller_addresses();
        let Self { cluster, admin, .. } = self;
        until("one leader that all controllers name", START_LIMIT, || {
            cluster.check()?;
            let live = cluster.live_controllers();
            let mut named = Vec::new();
            for controller in live.iter().filter_map(|index| addresses.get(*index)) {
                named.push(admin.leader(controller)?);
            }
            named.dedup();
            let [Some(leader)] = named.as_slice() else { return Ok(None) };
            Ok(live.into_iter().find(|index| addresses.get(*index) == Some(leader)))
        })
    }

    /// Waits until the state of the one broker set is as asked.
    pub(super) fn state(
        &mut self,
        what: &str,
        limit: Duration,
        is_so: impl Fn(&State) -> bool,
    ) -> Outcome<State> {
        self.state_of(BROKER_SET, what, limit, is_so)
    }

    /// Waits until the state of a broker set is as asked.
    pub(super) fn state_of(
        &mut self,
        set: &str,
        what: &str,
        limit: Duration,
        is_so: impl Fn(&State) -> bool,
    ) -> Outcome<State> {
        let addresses = self.setup().controller_addresses();
        let Self { cluster, admin, .. } = self;
        let mut last = None;
        let seen = until(what, limit, || {
            cluster.check()?;
            let live = cluster.live_controllers();
            let Some(controller) = live.first().and_then(|index| addresses.get(*index)) else {
                return Err(Failure("no controller runs".to_owned()));
            };
            let Some(state) = admin.state(controller, set)? else { return Ok(None) };
            let found = is_so(&state).then(|| state.clone());
            last = Some(state);
            Ok(found)
        });
        seen.map_err(|failure| Failure(format!("{failure}; last seen: {last:?}")))
    }

    /// Starts a broker that has no data and waits until it is in the sync-state set under `id`.
    pub(super) fn add_broker(&mut self, index: usize, id: i64) -> Outcome<State> {
        self.cluster.start_broker(index)?;
        self.joined(index, id)
    }

    /// Waits until a broker is in the sync-state set of its broker set under `id`.
    pub(super) fn joined(&mut self, index: usize, id: i64) -> Outcome<State> {
        let address = self.broker_address(index)?;
        let set = self.setup().broker_set(index);
        let what = format!("{set}: broker {id} in the sync-state set");
        let state = self.state_of(set, &what, START_LIMIT, |state| {
            let mut members = state.in_sync.iter();
            members.any(|member| member.id == id && member.address == address && member.is_alive)
        })?;
        match self.cluster.identity(index)? {
            Some(own) if own == id => Ok(state),
            own => Err(Failure(format!("its identity file says {own:?}, the controller {id}"))),
        }
    }

    /// Looks at the broker set once; none if nobody answers just now.
    pub(super) fn look(&mut self) -> Outcome<Option<State>> {
        self.cluster.check()?;
        let live = self.cluster.live_controllers();
        let addresses = self.setup().controller_addresses();
        let Some(address) = live.first().and_then(|index| addresses.get(*index)) else {
            return Ok(None);
        };
        self.admin.state(address, BROKER_SET)
    }

    /// Whom one controller names to a tool; none if it names nobody.
    pub(super) fn named_by(&mut self, controller: usize) -> Outcome<Option<String>> {
        let address = self.controller_address(controller)?;
        self.admin.leader(&address)
    }

    /// What one controller itself answers to a poll.
    pub(super) fn poll(&mut self, controller: usize, set: &str) -> Outcome<Option<Polled>> {
        let address = self.controller_address(controller)?;
        self.admin.poll(&address, set)
    }

    fn controller_address(&self, index: usize) -> Outcome<String> {
        let address = self.setup().controller_addresses().get(index).cloned();
        address.ok_or_else(|| Failure(format!("there is no controller {index}")))
    }

    pub(super) fn broker_address(&self, index: usize) -> Outcome<String> {
        let address = self.setup().broker_addresses().get(index).cloned();
        address.ok_or_else(|| Failure(format!("there is no broker {index}")))
    }

    /// The index of the broker that the state names as master.
    pub(super) fn master(&self, state: &State) -> Outcome<usize> {
        let all = self.setup().broker_addresses();
        let index = all.iter().position(|broker| Some(broker) == state.master_address.as_ref());
        index.ok_or_else(|| Failure(format!("the master is none of ours: {state:?}")))
    }

    /// Waits until a broker calls itself master, or follower, in its own answer and at the name server.
    pub(super) fn role(&mut self, index: usize, is_master: bool) -> Outcome<()> {
        let broker = self.broker_address(index)?;
        let what = format!("{broker} to be {}", if is_master { "master" } else { "a slave" });
        until(&what, CHANGE_LIMIT, || {
            let roles = self.admin.roles(BROKER_SET)?;
            let role = roles.iter().find(|role| role.address == broker);
            let is_so = |role: &Role| {
                role.is_master_at_namesrv == is_master && role.is_master_itself == is_master
            };
            Ok(role.is_some_and(is_so).then_some(()))
        })
    }

    /// Makes the topic and starts the producer and the consumer.
    pub(super) fn start_traffic(&mut self) -> Outcome<Status> {
        let admin = &mut self.admin;
        // The master has to reach the name server first.
        until("the topic", START_LIMIT, || Ok(admin.create_topic()?.ok()))?;
        self.traffic = Some(Traffic::start(&self.cluster.setup)?);
        self.flow(START_LIMIT)
    }

    pub(super) fn traffic(&mut self) -> Outcome<&mut Traffic> {
        self.traffic.as_mut().ok_or_else(|| Failure("no traffic runs".to_owned()))
    }

    /// Waits until [`FLOW_COUNT`] more messages are acknowledged and consumed than now.
    pub(super) fn flow(&mut self, limit: Duration) -> Outcome<Status> {
        let before = self.traffic()?.status()?;
        let mut last = before;
        let Self { cluster, traffic, .. } = self;
        let seen = until("messages to be acknowledged and consumed", limit, || {
            cluster.check()?;
            last = traffic.as_mut().map_or(Ok(last), Traffic::status)?;
            let sent = last.acknowledged >= before.acknowledged + FLOW_COUNT;
            let received = last.consumed >= before.consumed + FLOW_COUNT;
            Ok((sent && received).then_some(last))
        });
        seen.map_err(|failure| Failure(format!("{failure}; last seen: {last:?}")))
    }

    /// Waits until all brokers that run have the topic, so that any of them can go on as master.
    pub(super) fn spread_topic(&mut self) -> Outcome<()> {
        until("the topic on every broker", CHANGE_LIMIT, || {
            let mut is_known = true;
            for index in 0..3 {
                is_known &= self.cluster.knows_topic(index, TOPIC)?;
            }
            Ok(is_known.then_some(()))
        })
    }

    /// Waits until three brokers are alive and in sync.
    pub(super) fn complete(&mut self) -> Outcome<State> {
        self.state("three brokers in sync", START_LIMIT, |state| {
            let is_alive = state.in_sync.iter().all(|replica| replica.is_alive);
            is_alive && state.in_sync.len() == 3 && state.behind.is_empty()
        })
    }

    /// Kills the master and waits for the next one and for traffic through it. Gives the index of the dead one and what
    /// was seen.
    pub(super) fn fail_over(&mut self) -> Outcome<(usize, String)> {
        self.lose_master(Loss::Killed)
    }

    /// Takes the master away and waits for the next one and for traffic through it. Gives the index of the lost one and
    /// what was seen.
    pub(super) fn lose_master(&mut self, loss: Loss) -> Outcome<(usize, String)> {
        let before = self.complete()?;
        let dead = self.master(&before)?;
        self.traffic()?.mark()?;
        let watch = Stopwatch::start();
        let ending = match loss {
            Loss::Killed => self.cluster.kill_broker(dead).map(|()| None),
            Loss::Frozen => self.cluster.freeze_broker(dead, true).map(|()| None),
            Loss::Asked => self.cluster.ask_broker_to_end(dead).map(Some),
        }?;
        let after = self.state("a new master", CHANGE_LIMIT, |state| {
            state.master.is_some() && state.master != before.master
        })?;
        let elected = watch.shown();
        let new = self.master(&after)?;
        if !before.ids().contains(&after.master.unwrap_or_default()) {
            return Err(Failure(format!("it was not in sync: {before:?}, then {after:?}")));
        }
        if after.master_epoch <= before.master_epoch {
            return Err(Failure(format!("the epoch did not grow: {before:?}, then {after:?}")));
        }
        self.role(new, true)?;
        let status = self.flow(CHANGE_LIMIT)?;
        ending.map_or(Ok(()), |ending| ending.end_of(CHANGE_LIMIT))?;
        // The survivor has to find the new master before the old one is back: see `commands.rs`.
        // While the old one stands still, the survivor may be stuck at its replication address (`interop/README.md`).
        if loss != Loss::Frozen {
            self.state("the survivor in sync", CHANGE_LIMIT, |state| state.in_sync.len() == 2)?;
        }
        let (from, to) = (before.master.unwrap_or_default(), after.master.unwrap_or_default());
        let (old, epoch) = (before.master_epoch, after.master_epoch);
        let paused = status.pause_ms;
        Ok((
            dead,
            format!(
                "master {from} -> {to}, epoch {old} -> {epoch}, elected within {elected}, writes \
                 paused {paused} ms"
            ),
        ))
    }

    /// Starts a broker with the data it had and waits until it follows.
    pub(super) fn come_back(&mut self, index: usize) -> Outcome<String> {
        self.return_of(index, Loss::Killed)
    }

    /// Brings a lost master back and waits until it follows.
    pub(super) fn return_of(&mut self, index: usize, loss: Loss) -> Outcome<String> {
        let before = self.state("a master", CHANGE_LIMIT, |state| state.master.is_some())?;
        let id = self.cluster.identity(index)?;
        match loss {
            Loss::Killed | Loss::Asked => self.cluster.start_broker(index)?,
            Loss::Frozen => self.cluster.freeze_broker(index, false)?,
        }
        let after = match loss {
            Loss::Killed | Loss::Asked => self.complete()?,
            Loss::Frozen => self.state("the old master in sync", START_LIMIT, |state| {
                state.in_sync.iter().any(|member| Some(member.id) == id && member.is_alive)
            })?,
        };
        if (after.master, after.master_epoch) != (before.master, before.master_epoch) {
            return Err(Failure(format!("the master changed: {before:?}, then {after:?}")));
        }
        if self.cluster.identity(index)? != id {
            return Err(Failure("it has another id than before".to_owned()));
        }
        self.role(index, false)?;
        Ok(format!("id {}, sync-state set {:?}", id.unwrap_or_default(), after.ids()))
    }

    /// Kills the leading controller and watches the broker set go on.
    pub(super) fn lose_leader(&mut self) -> Outcome<(usize, String)> {
        let before = self.complete()?;
        let dead = self.leader()?;
        let marked = self.traffic()?.mark()?;
        self.cluster.kill_controller(dead)?;
        let watch = Stopwatch::start();
        let new = self.leader()?;
        let elected = watch.shown();
        pause(WATCH);
        let status = self.flow(CHANGE_LIMIT)?;
        let after = self.complete()?;
        if (after.master, after.master_epoch) != (before.master, before.master_epoch) {
            return Err(Failure(format!("the master changed: {before:?}, then {after:?}")));
        }
        let failed = status.failed - marked.failed;
        if failed > 0 {
            return Err(Failure(format!("{failed} messages failed though no broker did")));
        }
        let paused = status.pause_ms;
        let detail = format!(
            "leader n{dead} -> n{new} within {elected}, no message failed, longest pause {paused} ms"
        );
        Ok((dead, detail))
    }

    /// Ends the traffic and asks what became of every acknowledged message.
    pub(super) fn end_traffic(&mut self) -> Outcome<String> {
        let status = self.traffic()?.stop()?;
        let Status { acknowledged, failed, consumed, undelivered, lost, .. } = status;
        if undelivered > 0 || lost > 0 {
            return Err(Failure(format!(
                "of {acknowledged}, {lost} are lost, {undelivered} undelivered"
            )));
        }
        Ok(format!(
            "{acknowledged} acknowledged, {consumed} consumed ({failed} sends ended without an \
             answer)"
        ))
    }
}

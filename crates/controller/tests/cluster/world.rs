//! A cluster in one thread: virtual time, an agenda of what happens next, nodes, links, disks and brokers.
//!
//! ```text
//!   agenda ──► node's inbox ──► turn: handle … handle(EndOfTurn) ──► effects ──► agenda
//! ```
//!
//! Nothing here draws a number that the seed does not give, so a seed is a schedule.

use crate::broker::Broker;
use crate::checks::Checks;
use crate::disk::{Disk, Order};
use crate::network::Link;
use crate::random::Random;
use bytes::Bytes;
use consensus::Role;
use controller::{
    ConnectionId, Controller, Effect, Event, Instant, LeaderNaming, LiveSettings, Note, Overview,
    PeerId, PeerSettings, ReadMode, Retention, Settings, seat,
};
use protocol::{Request, Response};
use std::collections::{BTreeMap, BTreeSet};

/// Microseconds in a millisecond.
pub(crate) const MS: u64 = 1_000;

/// What happens at a moment.
#[derive(Debug)]
pub(crate) enum What {
    /// A process looks at its inbox.
    Turn { node: u64, boot: u64 },
    /// The moment that a controller asked for.
    Wake { node: u64, boot: u64 },
    /// Something is told to a process, whoever comes from there.
    Tell { node: u64, boot: u64, event: Event },
    /// Bytes of a peer arrive over a link.
    Arrive { from: u64, to: u64, link: u64, bytes: Bytes },
    /// A process tries to connect to a peer.
    Connect { from: u64, to: u64, boot: u64 },
    /// A process notices that its link is broken.
    Broken { from: u64, to: u64, link: u64 },
    /// The oldest order to a disk is carried out.
    Written { node: u64, boot: u64 },
    /// A request reaches its node.
    Request { asked: usize },
    /// A broker sends its heartbeats.
    Beat { broker: usize, life: u64 },
}

/// What may go wrong by itself, and how long things take, in microseconds.
#[derive(Debug, Clone)]
pub(crate) struct Conditions {
    /// A message takes so long at least, and at most this much more.
    pub(crate) delay: (u64, u64),
    /// A sync takes so long at least, and at most this much more.
    pub(crate) sync: (u64, u64),
    /// Messages lost, per mille.
    pub(crate) loss: u64,
    /// Messages that arrive twice, per mille.
    pub(crate) twice: u64,
}

impl Default for Conditions {
    fn default() -> Self {
        Self { delay: (200, 300), sync: (300, 700), loss: 0, twice: 0 }
    }
}

/// One process and its disk.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) controller: Option<Controller>,
    pub(crate) disk: Disk,
    /// Counts starts and ends; an event of an earlier life is void.
    pub(crate) boot: u64,
    pub(crate) nonce: u64,
    inbox: Vec<Event>,
    has_turn: bool,
    wake: Option<u64>,
    pub(crate) frozen_until: u64,
    pub(crate) frozen_in_all: u64,
    disk_free_at: u64,
    pub(crate) connections: u64,
    pub(crate) notes: Vec<(u64, Note)>,
    pub(crate) is_stopped: bool,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ending {
    Answer(Response),
    /// The process died before it answered: it may have happened.
    Unknown,
    /// Nobody listened: it has not happened.
    Refused,
}

/// A request and what became of it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) node: u64,
    pub(crate) request: Request,
    pub(crate) frame: Bytes,
    /// Of all clients, if no broker's own.
    pub(crate) connection: ConnectionId,
    pub(crate) is_one_way: bool,
    pub(crate) floor: Option<(i32, i32)>,
    pub(crate) ending: Option<(u64, Ending)>,
}

/// The whole.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: u64,
    agenda: BTreeMap<(u64, u64), What>,
    sequence: u64,
    pub(crate) random: Random,
    pub(crate) conditions: Conditions,
    pub(crate) live: LiveSettings,
    pub(crate) naming: LeaderNaming,
    pub(crate) read_mode: ReadMode,
    pub(crate) election_timeout_ms: u64,
    pub(crate) nodes: BTreeMap<u64, Node>,
    pub(crate) links: BTreeMap<(u64, u64), Link>,
    pub(crate) cuts: BTreeSet<(u64, u64)>,
    pub(crate) brokers: Vec<Broker>,
    /// When a node last hears a broker, by number: node, broker.
    pub(crate) heard: BTreeMap<(u64, usize), u64>,
    /// Addresses whose host refuses although the broker runs.
    pub(crate) refuses_all: BTreeSet<String>,
    pub(crate) asked: Vec<Asked>,
    pub(crate) checks: Checks,
    /// Hash over everything that happened, to see that a seed replays.
    pub(crate) trace: u64,
    /// Messages between peers.
    pub(crate) messages: u64,
}

impl World {
    /// `count` nodes with empty disks; none is running.
    pub(crate) fn new(count: u64, seed: u64) -> Self {
        let nodes: BTreeMap<u64, Node> = (1..=count).map(|id| (id, Node::default())).collect();
        Self {
            now: MS,
            agenda: BTreeMap::new(),
            sequence: 0,
            random: Random(seed),
            conditions: Conditions::default(),
            live: LiveSettings::default(),
            naming: LeaderNaming::default(),
            read_mode: ReadMode::default(),
            election_timeout_ms: 1_000,
            nodes,
            links: BTreeMap::new(),
            cuts: BTreeSet::new(),
            brokers: Vec::new(),
            heard: BTreeMap::new(),
            refuses_all: BTreeSet::new(),
            asked: Vec::new(),
            checks: Checks::default(),
            trace: 0,
            messages: 0,
        }
    }

    /// `count` running nodes, founded, with a leader that serves.
    pub(crate) fn founded(count: u64, seed: u64) -> Self {
        let mut world = Self::new(count, seed);
        world.found();
        world
    }

    /// Starts all nodes and waits for a leader.
    pub(crate) fn found(&mut self) {
        for node in self.ids() {
            self.start(node);
        }
        self.await_leader(5_000);
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        self.nodes.keys().copied().collect()
    }

    pub(crate) fn at(&mut self, moment: u64, what: What) {
        self.sequence += 1;
        self.agenda.insert((moment.max(self.now), self.sequence), what);
    }

    pub(crate) fn after(&mut self, micros: u64, what: What) {
        self.at(self.now + micros, what);
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, ms: u64) {
        self.run_micros(ms * MS);
    }

    pub(crate) fn run_micros(&mut self, micros: u64) {
        let end = self.now + micros;
        while self.step(end) {}
        self.now = end;
    }

    /// Lets time pass until `is_done`, at most `ms`; how many milliseconds it took.
    ///
    /// # Panics
    /// If it was not done in time.
    #[track_caller]
    pub(crate) fn run_until(&mut self, ms: u64, is_done: impl Fn(&Self) -> bool) -> u64 {
        let began = self.now;
        let end = began + ms * MS;
        while !is_done(self) {
            assert!(self.step(end), "not done within {ms} ms: {:#?}", self.overviews());
        }
        (self.now - began) / MS
    }

    fn step(&mut self, end: u64) -> bool {
        let Some(first) = self.agenda.first_entry() else { return false };
        if first.key().0 > end {
            return false;
        }
        let ((moment, _), what) = first.remove_entry();
        self.now = moment;
        self.happen(what);
        true
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Turn { node, boot } if self.is_alive(node, boot) => self.turn(node),
            What::Wake { node, boot } if self.is_alive(node, boot) => {
                let now = self.now;
                let state = self.node(node);
                if state.wake.is_some_and(|wake| wake <= now) {
                    state.wake = None;
                    self.tell(node, Event::Wake);
                }
            }
            What::Tell { node, boot, event } if self.is_alive(node, boot) => self.tell(node, event),
            What::Written { node, boot } if self.is_alive(node, boot) => self.written(node),
            What::Connect { from, to, boot } if self.is_alive(from, boot) => self.connect(from, to),
            What::Turn { .. }
            | What::Wake { .. }
            | What::Tell { .. }
            | What::Written { .. }
            | What::Connect { .. } => {}
            What::Arrive { from, to, link, bytes } => self.arrive((from, to), link, bytes),
            What::Broken { from, to, link } => self.broken((from, to), link),
            What::Request { asked } => self.requested(asked),
            What::Beat { broker, life } => self.beat(broker, life),
        }
    }

    /// Puts an event into the inbox of a running node.
    pub(crate) fn tell(&mut self, node: u64, event: Event) {
        let now = self.now;
        let state = self.node(node);
        state.inbox.push(event);
        if !state.has_turn {
            state.has_turn = true;
            let boot = state.boot;
            let moment = state.frozen_until.max(now + 20);
            self.at(moment, What::Turn { node, boot });
        }
    }

    fn turn(&mut self, node: u64) {
        if self.nodes[&node].frozen_until > self.now {
            let boot = self.nodes[&node].boot;
            return self.at(self.nodes[&node].frozen_until, What::Turn { node, boot });
        }
        let now = self.instant(node);
        let state = self.node(node);
        state.has_turn = false;
        let events = std::mem::take(&mut state.inbox);
        let Some(mut controller) = state.controller.take() else { return };
        let mut effects = Vec::new();
        for event in events {
            controller.handle(now, event, &mut effects);
        }
        controller.handle(now, Event::EndOfTurn, &mut effects);
        self.checks.turn(node, &controller, &self.nodes[&node].disk);
        self.node(node).controller = Some(controller);
        let is_restart = effects.iter().any(|effect| matches!(effect, Effect::Restart));
        for effect in effects {
            self.carry_out(node, effect);
        }
        if is_restart {
            self.crash(node);
            self.start(node);
        }
    }

    fn carry_out(&mut self, node: u64, effect: Effect) {
        let fold = u64::from(effect_number(&effect));
        self.trace = (self.trace ^ fold ^ (node << 8) ^ self.now).wrapping_mul(0x0100_0000_01b3);
        match effect {
            Effect::Reply { caller, response } => self.replied(node, &caller, response),
            Effect::Send { peer, message } => self.send(node, seat(peer).0, &message),
            Effect::Persist(group) => self.order(node, Order::Persist(group)),
            Effect::WriteIdentity { state, voters, member } => {
                self.order(node, Order::Identity(state, voters, member));
            }
            Effect::SaveSnapshot { descriptor, bytes } => {
                self.order(node, Order::Snapshot(descriptor, bytes));
            }
            Effect::Notify { attempt, address, notice } => {
                self.notify(node, attempt, &address, notice);
            }
            Effect::Probe { attempt, address } => self.probe(node, attempt, &address),
            Effect::WakeAt(at) => {
                let moment = at.as_micros() - offset(node);
                let state = self.node(node);
                state.wake = Some(moment);
                let boot = state.boot;
                self.at(moment, What::Wake { node, boot });
            }
            Effect::Note(note) => {
                let now = self.now;
                self.node(node).notes.push((now, note));
            }
            Effect::Stopped => self.node(node).is_stopped = true,
            // The turn ends with it.
            Effect::Restart => {}
        }
    }

    fn order(&mut self, node: u64, order: Order) {
        let (least, more) = self.conditions.sync;
        let delay = least + self.random.below(more + 1);
        let now = self.now;
        let state = self.node(node);
        state.disk.orders.push_back(order);
        state.disk_free_at = state.disk_free_at.max(now) + delay;
        let (moment, boot) = (state.disk_free_at, state.boot);
        self.at(moment, What::Written { node, boot });
    }

    /// Nothing that this disk is told from now on is durable before so many ms are over.
    pub(crate) fn hang_disk(&mut self, node: u64, ms: u64) {
        let until = self.now + ms * 1_000;
        self.node(node).disk_free_at = until;
    }

    fn written(&mut self, node: u64) {
        let order = self.node(node).disk.write_next();
        let event = match order.expect("one order for each moment") {
            Order::Persist(group) => Event::Persisted { number: group.number },
            Order::Identity(..) => Event::IdentityWritten,
            Order::Snapshot(descriptor, _) if self.nodes[&node].disk.is_full => {
                Event::SnapshotFailed { descriptor }
            }
            Order::Snapshot(descriptor, _) => Event::SnapshotSaved { descriptor },
        };
        self.tell(node, event);
    }

    /// Starts a process with what its disk holds.
    pub(crate) fn start(&mut self, node: u64) {
        let nonce = self.random.next();
        let now = self.instant(node);
        let settings = self.settings(node, nonce);
        let state = self.node(node);
        assert!(state.controller.is_none(), "node {node} runs already");
        let controller = Controller::new(now, settings, state.disk.start());
        state.controller = Some(controller.expect("a disk that the journal left can be read"));
        state.boot += 1;
        state.nonce = nonce;
        state.is_stopped = false;
        let boot = state.boot;
        self.tell(node, Event::Wake);
        for peer in self.ids() {
            if peer != node {
                self.after(500, What::Connect { from: node, to: peer, boot });
            }
        }
    }

    /// Its id in the consensus group.
    pub(crate) fn member(&self, node: u64) -> PeerId {
        self.nodes[&node].disk.identity.as_ref().map_or(PeerId(node), |(_, _, member)| *member)
    }

    pub(crate) fn settings(&self, node: u64, nonce: u64) -> Settings {
        let peer = |id: u64| PeerSettings {
            id: PeerId(id),
            name: format!("n{id}").into(),
            broker_address: controller_address(id).into(),
        };
        let named = |id: &u64| format!("n{id}:{};", controller_address(*id));
        Settings {
            me: PeerId(node),
            member: self.member(node),
            peers: self.nodes.keys().map(|&id| peer(id)).collect(),
            group: "group".into(),
            peers_text: self.nodes.keys().map(named).collect::<String>().into(),
            leader_id_is_address: false,
            election_timeout_ms: self.election_timeout_ms,
            naming: self.naming,
            read_mode: self.read_mode,
            boot_nonce: nonce,
            seed: nonce ^ node,
            live: self.live.clone(),
            retention: Retention::default(),
            version: "test".into(),
            durability: "fsync".into(),
            process_id: 1,
            admin_address: "".into(),
        }
    }

    /// Ends a process at once. Of what its disk was told, some may become durable all the same.
    pub(crate) fn crash(&mut self, node: u64) {
        let kept = self.random.below(3);
        let state = self.node(node);
        state.controller = None;
        state.boot += 1;
        state.inbox.clear();
        (state.has_turn, state.wake, state.frozen_until) = (false, None, 0);
        (state.disk_free_at, state.connections) = (0, state.connections + 1_000);
        for _ in 0..kept {
            state.disk.write_next();
        }
        state.disk.orders.clear();
        self.links_die(node);
        self.connections_die(node);
        let now = self.now;
        for asked in self.asked.iter_mut().filter(|asked| asked.node == node) {
            asked.ending.get_or_insert((now, Ending::Unknown));
        }
    }

    /// Stops a process for a while: its sockets stay open, its clock runs on.
    pub(crate) fn freeze(&mut self, node: u64, ms: u64) {
        let until = self.now + ms * MS;
        let state = self.node(node);
        state.frozen_until = until;
        state.frozen_in_all += ms * MS;
    }

    pub(crate) fn wipe(&mut self, node: u64) {
        let state = self.node(node);
        assert!(state.controller.is_none(), "node {node} runs");
        state.disk = Disk::default();
    }

    pub(crate) fn node(&mut self, node: u64) -> &mut Node {
        self.nodes.get_mut(&node).expect("a node of this world")
    }

    pub(crate) fn is_up(&self, node: u64) -> bool {
        self.nodes[&node].controller.is_some()
    }

    fn is_alive(&self, node: u64, boot: u64) -> bool {
        self.nodes[&node].boot == boot && self.is_up(node)
    }

    /// The clocks of processes have nothing to do with each other.
    pub(crate) fn instant(&self, node: u64) -> Instant {
        Instant::from_micros(self.now + offset(node))
    }

    pub(crate) fn overview(&self, node: u64) -> Option<Overview> {
        self.nodes[&node].controller.as_ref().map(Controller::overview)
    }

    fn overviews(&self) -> Vec<(u64, Option<Overview>)> {
        self.nodes.keys().map(|&node| (node, self.overview(node))).collect()
    }

    /// The running leader of the newest term.
    pub(crate) fn leader(&self) -> Option<u64> {
        let leads = |overview: &Overview| overview.role == Some(Role::Leader);
        let overviews = self.nodes.keys().filter_map(|&node| Some((node, self.overview(node)?)));
        let leaders = overviews.filter(|(_, overview)| leads(overview));
        leaders.max_by_key(|(_, overview)| overview.term).map(|(node, _)| node)
    }

    /// Waits for a leader that has applied an entry of its own; how many milliseconds that took.
    #[track_caller]
    pub(crate) fn await_leader(&mut self, ms: u64) -> u64 {
        self.await_other_leader(ms, 0)
    }

    /// As [`Self::await_leader`], for one that is not `old`.
    #[track_caller]
    pub(crate) fn await_other_leader(&mut self, ms: u64, old: u64) -> u64 {
        self.run_until(ms, |world| {
            let Some(leader) = world.leader().filter(|leader| *leader != old) else { return false };
            let overview = world.overview(leader).expect("it runs");
            overview.applied == overview.last
        })
    }

    /// A node that runs and does not lead.
    pub(crate) fn follower(&self) -> u64 {
        let leader = self.leader();
        let followers = self.nodes.keys().filter(|node| Some(**node) != leader);
        *followers.into_iter().find(|node| self.is_up(**node)).expect("a follower")
    }
}

/// Where brokers reach a node.
pub(crate) fn controller_address(node: u64) -> String {
    format!("10.0.0.{node}:9878")
}

fn offset(node: u64) -> u64 {
    node * 3_600_000_000
}

fn effect_number(effect: &Effect) -> u8 {
    match effect {
        Effect::Reply { .. } => 1,
        Effect::Send { .. } => 2,
        Effect::Persist(_) => 3,
        Effect::WriteIdentity { .. } => 4,
        Effect::SaveSnapshot { .. } => 5,
        Effect::Notify { .. } => 6,
        Effect::Probe { .. } => 7,
        Effect::WakeAt(_) => 8,
        Effect::Note(_) => 9,
        Effect::Stopped => 10,
        Effect::Restart => 11,
    }
}

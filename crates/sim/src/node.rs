//! One controller process: its inbox, its turns, its clock, and what its effects lead to.
//!
//! What the server does around a [`Controller`] is done here in the same order: a turn takes everything urgent and some
//! requests, effects are carried out in the order in which they come, a link that is down drops what is sent, and
//! whatever waits for a disk goes through one writer (`writer.rs`).

use crate::agenda::{MS, What};
use crate::check::images::Image;
use crate::network::{Cargo, Kind, Lane, PipeId, Way};
use crate::random::Random;
use crate::world::World;
use crate::writer::Writer;
use bytes::{Bytes, BytesMut};
use consensus::{Content, PeerId};
use controller::{
    ConnectionId, ConsensusNote, Controller, Effect, Event, Instant, LiveSettings, Note,
    PeerMessage, PeerSettings, Settings, seat,
};
use journal::{Journal, MemoryDisk};
use protocol::Request;
use std::collections::{BTreeMap, VecDeque};

/// How long a link may take to open, hellos included. As in the server.
const DIAL_DEADLINE: u64 = 2_000 * MS;
/// Pauses between attempts to open a link. As in the server.
const BACKOFF: (u64, u64) = (50 * MS, 1_000 * MS);
/// A controller that asks to be woken more often does so in vain: its ticks and all its deadlines need less (L6).
const WAKES_PER_SECOND_MAX: u64 = 2_000;
/// The shortest time between two turns of a process.
const TURN_MICROS: u64 = 20;

/// How a process sees time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Its own seconds in a thousand true ones.
    pub(crate) rate: u64,
    /// What it shows at the beginning, in microseconds.
    pub(crate) offset: u64,
    /// Its ticks, in microseconds.
    pub(crate) grain: u64,
}

impl Clock {
    /// What it shows at a true moment.
    pub(crate) fn local(self, now: u64) -> u64 {
        let exact = self.offset + now * self.rate / 1_000;
        exact - exact % self.grain
    }

    /// The first true moment at which it shows `local` or more.
    fn moment(self, local: u64) -> u64 {
        let shown = local.div_ceil(self.grain) * self.grain;
        (shown.saturating_sub(self.offset) * 1_000).div_ceil(self.rate)
    }
}

/// Why a process will not come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It will.
    Whole,
    /// Its disk was wiped after the cluster was founded: the member that it was says nothing any more.
    Wiped,
    /// Its disk was damaged at rest; it may refuse to start.
    Rotten,
    /// It was damaged and said so.
    Refuses,
}

/// One process, its host and its disk.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) controller: Option<Box<Controller>>,
    pub(crate) journal: Option<Journal<MemoryDisk>>,
    pub(crate) disk: MemoryDisk,
    pub(crate) writer: Writer,
    /// What this process asked its disk for, and what is durable there.
    pub(crate) image: Image,
    /// Counts starts and ends; an event of an earlier life is void.
    pub(crate) boot: u64,
    pub(crate) started_at: u64,
    pub(crate) nonce: u64,
    pub(crate) clock: Clock,
    pub(crate) live: LiveSettings,
    /// Sets and ids of the brokers that its operator never wanted as masters, now or before.
    pub(crate) never: Vec<(String, i64)>,
    pub(crate) fate: Fate,
    /// Its id in the consensus group, as its disk says.
    pub(crate) member: PeerId,
    /// Members that it was, and what their disks held when they were lost.
    pub(crate) lost: Vec<(PeerId, Image)>,
    pub(crate) inbox: Vec<Event>,
    pub(crate) requests: VecDeque<Event>,
    has_turn: bool,
    wish: u64,
    /// In which second it was woken how often, as it asked for.
    wakes: (u64, u64),
    pub(crate) frozen_until: u64,
    /// The link to each peer, if it is up or being opened.
    links: Vec<Option<PipeId>>,
    is_linked: Vec<bool>,
    backoff: Vec<u64>,
    /// The newest link from each peer.
    incoming: Vec<Option<PipeId>>,
    pub(crate) applied: u64,
    /// From whom it fetches a snapshot.
    pub(crate) fetching: Option<usize>,
    /// The last read context that arrived from each peer.
    contexts: BTreeMap<usize, (u64, u64)>,
    pub(crate) random: Random,
    /// Since when nothing bad happened to it: it runs, is not frozen, and its disk answers.
    pub(crate) well_since: u64,
    /// Begin and end of its last pause.
    pub(crate) paused: (u64, u64),
    /// When its process ended last.
    pub(crate) ended_at: u64,
    /// Commands that it had applied when it last handed over a snapshot, and since when another is due.
    pub(crate) snapshots: (u64, Option<u64>),
}

impl Node {
    pub(crate) fn new(seed: u64, number: usize, peers: usize, clock: Clock) -> Self {
        Self {
            controller: None,
            journal: None,
            disk: MemoryDisk::new(),
            writer: Writer::new(seed, number),
            image: Image::default(),
            boot: 0,
            started_at: 0,
            nonce: 0,
            clock,
            live: LiveSettings::default(),
            never: Vec::new(),
            fate: Fate::Whole,
            member: peer_id(number),
            lost: Vec::new(),
            inbox: Vec::new(),
            requests: VecDeque::new(),
            has_turn: false,
            wish: 0,
            wakes: (0, 0),
            frozen_until: 0,
            links: vec![None; peers],
            is_linked: vec![false; peers],
            backoff: vec![0; peers],
            incoming: vec![None; peers],
            applied: 0,
            fetching: None,
            contexts: BTreeMap::new(),
            random: Random::stream(seed, "node", number),
            well_since: 0,
            paused: (0, 0),
            ended_at: 0,
            snapshots: (0, None),
        }
    }

    /// Makes an operation of the disk fail, counted from now.
    pub(crate) fn fail_disk(&self, operations: u64, fault: journal::Fault) {
        self.disk.fail_at(self.disk.operations() + operations, fault);
    }

    /// Everything that does not survive a process.
    pub(crate) fn forget(&mut self) {
        self.controller = None;
        self.journal = None;
        self.boot += 1;
        self.inbox.clear();
        self.requests.clear();
        self.writer.forget();
        (self.has_turn, self.wish, self.frozen_until, self.applied) = (false, 0, 0, 0);
        for links in [&mut self.links, &mut self.incoming] {
            links.fill(None);
        }
        self.is_linked.fill(false);
        self.backoff.fill(0);
        self.fetching = None;
        self.snapshots = (0, None);
        self.contexts.clear();
    }
}

/// The seat of a controller.
pub(crate) fn peer_id(node: usize) -> PeerId {
    PeerId(node as u64 + 1)
}

/// The place in our list of whoever sits there, or ever sat.
pub(crate) fn node_of(peer: PeerId) -> usize {
    usize::try_from(seat(peer).0 - 1).expect("a peer of a small cluster")
}

/// Where brokers reach a controller.
pub(crate) fn controller_address(node: usize) -> String {
    format!("10.0.0.{}:9878", node + 1)
}

impl World<'_> {
    /// The clock of a process.
    pub(crate) fn local(&self, node: usize) -> Instant {
        Instant::from_micros(self.nodes[node].clock.local(self.now))
    }

    pub(crate) fn is_up(&self, node: usize) -> bool {
        self.nodes[node].controller.is_some()
    }

    /// What a controller is told when its process starts.
    pub(crate) fn settings(&self, node: usize) -> Settings {
        let peer = |node| PeerSettings {
            id: peer_id(node),
            name: format!("n{node}").into(),
            broker_address: controller_address(node).into(),
        };
        let count = self.nodes.len();
        let named = |node| format!("n{node}:{};", controller_address(node));
        let nonce = self.nodes[node].nonce;
        Settings {
            me: peer_id(node),
            member: self.nodes[node].member,
            peers: (0..count).map(peer).collect(),
            group: "group".into(),
            peers_text: (0..count).map(named).collect::<String>().into(),
            leader_id_is_address: false,
            election_timeout_ms: self.plan.election_timeout_ms,
            naming: self.plan.naming,
            read_mode: self.plan.read_mode,
            boot_nonce: nonce,
            seed: nonce.rotate_left(17),
            live: self.nodes[node].live.clone(),
            retention: self.plan.retention,
            version: "sim".into(),
            durability: "fsync".into(),
            process_id: 1,
            admin_address: "".into(),
        }
    }

    /// Puts something urgent into the inbox of a running process.
    pub(crate) fn tell(&mut self, node: usize, event: Event) {
        if self.is_up(node) {
            self.nodes[node].inbox.push(event);
            self.wake_up(node);
        }
    }

    /// Sees to it that a process looks at its inbox.
    pub(crate) fn wake_up(&mut self, node: usize) {
        let now = self.now;
        let state = &mut self.nodes[node];
        if !state.has_turn && state.controller.is_some() {
            state.has_turn = true;
            let moment = state.frozen_until.max(now + TURN_MICROS);
            let boot = state.boot;
            self.agenda.put(moment, What::Turn { node, boot });
        }
    }

    pub(crate) fn woken(&mut self, node: usize, wish: u64) {
        let state = &mut self.nodes[node];
        if state.wish != wish {
            return;
        }
        let second = self.now / (1_000 * MS);
        if state.wakes.0 != second {
            state.wakes = (second, 0);
        }
        state.wakes.1 += 1;
        if state.wakes.1 > WAKES_PER_SECOND_MAX {
            let text =
                format!("node {node} wakes itself more than {WAKES_PER_SECOND_MAX} times a second");
            return self.fail("L6", text);
        }
        self.tell(node, Event::Wake);
    }

    /// One turn: what waits goes in, what comes out is checked and then carried out.
    pub(crate) fn turn(&mut self, node: usize) {
        let now = self.local(node);
        let events_max = self.plan.turn_events;
        let state = &mut self.nodes[node];
        if state.frozen_until > self.now {
            let boot = state.boot;
            return self.agenda.put(state.frozen_until, What::Turn { node, boot });
        }
        state.has_turn = false;
        let Some(mut controller) = state.controller.take() else { return };
        let mut effects = std::mem::take(&mut self.effects);
        let before = controller.overview();
        for event in state.inbox.drain(..) {
            controller.handle(now, event, &mut effects);
        }
        let count = state.requests.len().min(events_max);
        for event in state.requests.drain(..count) {
            controller.handle(now, event, &mut effects);
        }
        let has_more = !state.requests.is_empty();
        controller.handle(now, Event::EndOfTurn, &mut effects);
        let overview = controller.overview();
        let hash = controller.state_hash();
        state.controller = Some(controller);
        state.applied = overview.applied;
        (self.roles[node], self.terms[node]) = (overview.role, overview.term);
        self.turns += 1;
        if has_more {
            self.wake_up(node);
        }
        self.check_turn(node, (&before, &overview), hash, &effects);
        for effect in effects.drain(..) {
            if self.failure.is_some() || !self.is_up(node) {
                break;
            }
            self.carry_out(node, effect);
        }
        effects.clear();
        self.effects = effects;
    }

    fn carry_out(&mut self, node: usize, effect: Effect) {
        self.trace_effect(node, &effect);
        match effect {
            Effect::Reply { caller, response } => self.answered(node, &caller, response),
            Effect::Send { peer, message } => self.send_to_peer(node, node_of(peer), &message),
            Effect::Persist(group) => self.order(node, crate::writer::Order::Persist(group)),
            Effect::WriteIdentity { state, voters, member } => {
                self.order(node, crate::writer::Order::Identity(state, voters, member));
            }
            Effect::SaveSnapshot { descriptor, bytes } => {
                self.order(node, crate::writer::Order::Snapshot(descriptor, bytes));
            }
            Effect::Notify { attempt, address, notice } => {
                self.notify(node, attempt, &address, notice);
            }
            Effect::Probe { attempt, address } => self.probe(node, attempt, &address),
            Effect::WakeAt(at) => {
                let wish = at.as_micros();
                let state = &mut self.nodes[node];
                state.wish = wish;
                let (moment, boot) = (state.clock.moment(wish).max(self.now), state.boot);
                self.agenda.put(moment, What::Wake { node, boot, wish });
            }
            Effect::Note(note) => self.noted(node, &note),
            Effect::Stopped => self.stopped(node),
            Effect::Restart => {
                self.end(node, false);
                self.start(node);
            }
        }
    }

    fn noted(&mut self, node: usize, note: &Note) {
        match note {
            Note::Consensus(ConsensusNote::TransferAborted { .. }) => {
                self.sometimes("transfer_aborted");
            }
            Note::Consensus(ConsensusNote::ReadRoundRepeated { .. }) => {
                self.sometimes("read_round_expired");
            }
            Note::Consensus(ConsensusNote::DataLost { .. }) => {
                if self.nodes[node].fate == Fate::Whole {
                    self.fail(
                        "R6",
                        format!("node {node} lost data though nothing damaged its disk"),
                    );
                }
            }
            Note::Consensus(
                ConsensusNote::Leadership { .. }
                | ConsensusNote::LeaderReady { .. }
                | ConsensusNote::Membership { .. },
            )
            | Note::WaitsFor(_)
            | Note::Wiped { .. }
            | Note::Founded
            | Note::BrokerAlive { .. }
            | Note::Election { .. }
            | Note::Proposal { .. }
            | Note::DiskStalled { .. }
            | Note::Refused(_) => {}
            Note::BrokerDead { set, id, reason, .. } => {
                if *reason == controller::DeathReason::Deadline {
                    self.sometimes("expired_by_deadline");
                    self.check_death(node, set, *id);
                } else {
                    self.sometimes("dead_since_refused");
                }
            }
            Note::UnknownCommand { index } => {
                self.fail("R4", format!("node {node} cannot read the entry at {index}"));
            }
        }
    }

    fn send_to_peer(&mut self, node: usize, peer: usize, message: &PeerMessage) {
        let Some(pipe) = self.nodes[node].links[peer].filter(|_| self.nodes[node].is_linked[peer])
        else {
            return;
        };
        let mut bytes = BytesMut::new();
        message.encode(&mut bytes);
        let bytes = bytes.freeze();
        self.trace_bytes(&bytes);
        self.send(pipe, Lane::Up, Cargo::Peer(bytes));
    }

    /// A process tries to open its link to a peer.
    pub(crate) fn dial(&mut self, node: usize, peer: usize) {
        let boot = self.nodes[node].boot;
        if self.nodes[node].links[peer].is_some() {
            return;
        }
        let passes = self.net.passes_both_ways(node, peer);
        if !passes || !self.is_up(peer) {
            let is_refused = passes;
            let delay = if is_refused { self.net.delay(node, peer) * 2 } else { DIAL_DEADLINE };
            return self.put(delay, What::NotDialled { node, boot, peer, is_refused });
        }
        let pipe = self.connect(Kind::Peers, node, peer);
        self.nodes[node].links[peer] = Some(pipe);
        self.send(pipe, Lane::Up, Cargo::Hello);
        self.put(DIAL_DEADLINE, What::NotDialled { node, boot, peer, is_refused: false });
    }

    /// An attempt to open a link is over; if it did not succeed, another follows.
    pub(crate) fn not_dialled(&mut self, node: usize, peer: usize, is_refused: bool) {
        if self.nodes[node].is_linked[peer] {
            return;
        }
        if let Some(pipe) = self.nodes[node].links[peer].take() {
            self.close(pipe, Lane::Up);
        }
        self.unlinked(node, peer, is_refused);
    }

    fn unlinked(&mut self, node: usize, peer: usize, is_refused: bool) {
        self.trace(|| format!("node {node} has no link to {peer}"));
        let event = Event::PeerUnreachable { peer: peer_id(peer), is_refused };
        self.tell(node, event);
        let state = &mut self.nodes[node];
        let pause = state.backoff[peer];
        state.backoff[peer] = (pause * 2).clamp(BACKOFF.0, BACKOFF.1);
        let boot = state.boot;
        self.put(pause + 1, What::Dial { node, boot, peer });
    }

    /// Something arrives at a controller over a connection.
    pub(crate) fn arrived_at_node(&mut self, node: usize, way: Way, cargo: Cargo) {
        let (pipe, lane, sequence) = way;
        let frozen_until = self.nodes[node].frozen_until;
        if frozen_until > self.now {
            // It reads its sockets when it runs again.
            let event = What::Arrive { pipe, lane, sequence, cargo };
            return self.agenda.put(frozen_until, event);
        }
        let Some(open) = self.net.pipes.get(&pipe) else { return };
        let from = open.dialler();
        match cargo {
            Cargo::Hello => {
                let nonce = self.nodes[from].nonce;
                self.trace(|| format!("node {node} is called by {from}: {pipe}"));
                let older = self.nodes[node].incoming[from].replace(pipe);
                if let Some(older) = older {
                    self.close(older, Lane::Down);
                }
                self.tell(node, Event::PeerUp { peer: self.nodes[from].member, nonce });
                self.send(pipe, Lane::Down, Cargo::Welcome);
            }
            Cargo::Welcome => {
                let peer = open.acceptor();
                if self.nodes[node].links[peer] == Some(pipe) {
                    self.trace(|| format!("node {node} has a link to {peer}: {pipe}"));
                    self.nodes[node].is_linked[peer] = true;
                    self.nodes[node].backoff[peer] = 0;
                    self.tell(node, Event::PeerReachable { peer: self.nodes[peer].member });
                }
            }
            Cargo::Peer(bytes) => self.peer_message(node, from, pipe, bytes),
            Cargo::Garbage => self.close(pipe, Lane::Down),
            Cargo::Question(question) => self.asked(node, pipe, *question),
            Cargo::Answer { .. } => self.fail("K4", format!("node {node} is sent an answer")),
            Cargo::Close => self.hung_up(pipe, lane),
        }
    }

    /// A message of a peer; what a retired link still holds is dropped (rule N3).
    pub(crate) fn peer_message(&mut self, node: usize, from: usize, pipe: PipeId, bytes: Bytes) {
        if self.nodes[node].incoming[from] != Some(pipe) || !self.is_up(node) {
            return;
        }
        match PeerMessage::decode(bytes) {
            Ok(message) => {
                self.note_arrival(node, from, &message);
                let peer = self.nodes[from].member;
                self.tell(node, Event::Peer { peer, message });
            }
            Err(error) => self.fail("R4", format!("what a peer encodes is refused: {error}")),
        }
    }

    fn note_arrival(&mut self, node: usize, from: usize, message: &PeerMessage) {
        let PeerMessage::Raft(message) = message else { return };
        match &message.content {
            Content::ReadIndexAnswer { index, .. } if index.0 > self.nodes[node].applied => {
                self.sometimes("follower_read_waited_for_apply");
            }
            Content::ReadIndex { context } => {
                let seen = self.nodes[node].contexts.entry(from).or_default();
                let is_known = *seen >= (context.boot_nonce, context.sequence);
                *seen = (context.boot_nonce, context.sequence);
                if is_known {
                    self.sometimes("duplicate_context_dropped");
                }
            }
            _ => {}
        }
    }

    /// The end of a connection that a lane leads to learns that the other end is gone.
    pub(crate) fn hung_up(&mut self, pipe: PipeId, lane: Lane) {
        let Some(open) = self.net.pipes.get(&pipe) else { return };
        let (dialler, acceptor, kind) = (open.dialler(), open.acceptor(), open.kind);
        let (own, is_dialler) =
            if lane == Lane::Down { (Lane::Up, true) } else { (Lane::Down, false) };
        let was_open = self.is_open(pipe, own);
        if !was_open && kind == Kind::Outside {
            return;
        }
        self.abandon(pipe, own);
        if kind == Kind::Peers {
            for (node, peer) in [(dialler, acceptor), (acceptor, dialler)] {
                if self.nodes[node].fetching.take_if(|from| *from == peer).is_some() {
                    self.sometimes("stream_broken");
                }
            }
        }
        match (kind, is_dialler) {
            (Kind::Peers, true) => {
                let state = &mut self.nodes[dialler];
                if state.links[acceptor] == Some(pipe) {
                    state.links[acceptor] = None;
                    state.is_linked[acceptor] = false;
                    self.unlinked(dialler, acceptor, false);
                }
            }
            (Kind::Peers, false) => {
                let newest = &mut self.nodes[acceptor].incoming[dialler];
                if *newest == Some(pipe) {
                    *newest = None;
                }
            }
            (Kind::Outside, true) => self.outside_lost(dialler, pipe),
            (Kind::Outside, false) => {
                let connection = ConnectionId(pipe);
                self.tell(acceptor, Event::ConnectionClosed { connection });
            }
        }
    }

    /// A heartbeat or another one-way request; it has no frame, since nobody sends it on.
    pub(crate) fn send_one_way(&mut self, pipe: PipeId, request: Request) {
        let question = crate::calls::Question { call: None, request, frame: Bytes::new() };
        self.send(pipe, Lane::Up, Cargo::Question(Box::new(question)));
    }
}

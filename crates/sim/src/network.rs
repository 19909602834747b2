//! The network: who reaches whom, connections, and what a cut does to them.
//!
//! ```text
//!   dialler ──Up──► acceptor      a connection (pipe) has two lanes; each is ordered
//!           ◄─Down──
//! ```
//!
//! A cut loses nothing by itself: what was sent waits, as TCP's does, and comes out late if the cut heals in time. A link
//! between controllers that gets no acknowledgement for [`SEND_DEADLINE`] breaks, and loses what waited: an unknown
//! suffix. A process that dies hangs up; a host that dies says nothing until it is back and finds unknown connections.
//!
//! With the fault class *datagrams*, messages between controllers are also dropped, doubled and overtaken: worse than
//! anything that a connection does. Some answers come once more when whom they were for leads again: then they are of an
//! earlier term, and nothing of this one has arrived yet.

use crate::agenda::{MS, What};
use crate::calls::Question;
use crate::random::Random;
use crate::world::World;
use bytes::Bytes;
use consensus::Content;
use controller::PeerMessage;
use protocol::Response;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What a link between controllers sent and never got acknowledged for so long breaks it. As in the server.
pub(crate) const SEND_DEADLINE: u64 = 2_000 * MS;

/// How many of the messages that come twice are answers that come when they hurt most, per mille.
const ECHOES: u64 = 200;
/// Answers that wait to come once more, for each controller.
const ECHOES_MAX: usize = 64;

/// Names one connection; a later one has a larger number.
pub(crate) type PipeId = u64;

/// Somebody with an address: controllers first, then brokers, then clients.
pub(crate) type Place = usize;

/// One direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// From who opened the connection.
    Up,
    /// To who opened it.
    Down,
}

impl Lane {
    const fn from(self) -> usize {
        match self {
            Self::Up => 0,
            Self::Down => 1,
        }
    }

    const fn to(self) -> usize {
        1 - self.from()
    }

    const fn back(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

/// Where something comes out: connection, lane, and its number there.
pub(crate) type Way = (PipeId, Lane, u64);

/// What travels over a connection.
#[derive(Debug, Clone)]
pub(crate) enum Cargo {
    /// The first word of a link between controllers.
    Hello,
    /// The acceptor's answer to it.
    Welcome,
    /// A message between controllers, as bytes.
    Peer(Bytes),
    /// Bytes that were damaged on the way; the frame check refuses them and closes.
    Garbage,
    /// A client's or broker's request.
    Question(Box<Question>),
    /// The answer to a request.
    Answer { call: u64, response: Box<Response> },
    /// The end.
    Close,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Between controllers; only the dialler sends.
    Peers,
    /// From a broker or a client to a controller.
    Outside,
}

#[derive(Debug, Default)]
struct Stretch {
    sequence: u64,
    last_arrival: u64,
    waiting: BTreeMap<u64, Cargo>,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) kind: Kind,
    ends: [Place; 2],
    is_open: [bool; 2],
    stretches: [Stretch; 2],
    unacknowledged: Option<u64>,
}

impl Pipe {
    pub(crate) fn dialler(&self) -> Place {
        self.ends[0]
    }

    pub(crate) fn acceptor(&self) -> Place {
        self.ends[1]
    }
}

/// How long things take and what happens to messages; drawn by the seed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Weather {
    /// Middle of a one-way delay, in microseconds.
    pub delay: u64,
    /// The longest delay, in microseconds.
    pub delay_max: u64,
    /// Messages between controllers that are lost, per mille.
    pub loss: u64,
    /// Messages between controllers that come twice, per mille.
    pub twice: u64,
    /// Messages between controllers that overtake others, per mille.
    pub overtaking: u64,
    /// Messages between controllers that arrive damaged, per million.
    pub garbage: u64,
    /// Connects of controllers to brokers that nobody answers, per mille.
    pub unanswered: u64,
}

/// All connections, and who reaches whom.
#[derive(Debug)]
pub(crate) struct Network {
    nodes: usize,
    places: usize,
    /// For each controller and place: how many cuts lie on the way out, and on the way in.
    cuts: [Vec<u16>; 2],
    /// Extra delay by the same places, in microseconds.
    clogs: [Vec<u64>; 2],
    /// Whether the host of a place answers at all.
    pub(crate) hosts: Vec<bool>,
    pub(crate) pipes: BTreeMap<PipeId, Pipe>,
    next_pipe: PipeId,
    /// Lanes in which something waits behind a cut.
    waiting: BTreeSet<(PipeId, Lane)>,
    pub(crate) weather: Weather,
    /// Answers that come once more when the controller leads that they were for.
    echoes: BTreeMap<Place, VecDeque<(PipeId, Bytes)>>,
    randoms: Vec<Random>,
    /// Messages between controllers that were sent.
    pub(crate) messages: u64,
}

impl Network {
    pub(crate) fn new(seed: u64, nodes: usize, places: usize, weather: Weather) -> Self {
        let size = nodes * places;
        Self {
            nodes,
            places,
            cuts: [vec![0; size], vec![0; size]],
            clogs: [vec![0; size], vec![0; size]],
            hosts: vec![true; places],
            pipes: BTreeMap::new(),
            next_pipe: 1,
            waiting: BTreeSet::new(),
            weather,
            echoes: BTreeMap::new(),
            randoms: (0..places).map(|place| Random::stream(seed, "network", place)).collect(),
            messages: 0,
        }
    }

    /// The tables' place for a direction; brokers and clients never talk to each other here.
    fn at(&self, from: Place, to: Place) -> (usize, usize) {
        if from < self.nodes { (0, from * self.places + to) } else { (1, to * self.places + from) }
    }

    /// Whether nothing passes from one place to another.
    pub(crate) fn is_cut(&self, from: Place, to: Place) -> bool {
        let (way, at) = self.at(from, to);
        // Both ends keep a count where both are controllers, so the way out is enough.
        self.cuts[way][at] > 0
    }

    /// Whether nothing passes from one place to another, or only slowly.
    pub(crate) fn is_hindered(&self, from: Place, to: Place) -> bool {
        let (way, at) = self.at(from, to);
        self.is_cut(from, to) || self.clogs[way][at] > 0
    }

    /// How long anything may be on its way now, in microseconds.
    pub(crate) fn slowest(&self) -> u64 {
        let clog = self.clogs.iter().flatten().max().copied().unwrap_or(0);
        self.weather.delay_max + clog
    }

    /// Whether packets pass from one place to another and somebody is there to take them.
    fn passes(&self, from: Place, to: Place) -> bool {
        !self.is_cut(from, to) && self.hosts[to] && self.hosts[from]
    }

    pub(crate) fn passes_both_ways(&self, one: Place, other: Place) -> bool {
        self.passes(one, other) && self.passes(other, one)
    }

    /// Whether nobody answers a connect of a controller, by chance.
    pub(crate) fn is_unanswered(&mut self, node: Place) -> bool {
        let unanswered = self.weather.unanswered;
        unanswered > 0 && self.randoms[node].chance(unanswered)
    }

    pub(crate) fn delay(&mut self, from: Place, to: Place) -> u64 {
        let (way, at) = self.at(from, to);
        let clog = self.clogs[way][at];
        let Weather { delay, delay_max, .. } = self.weather;
        self.randoms[from].delay(delay, delay_max) + clog
    }
}

impl World<'_> {
    /// Adds a cut from one place to another, or takes it away.
    pub(crate) fn cut(&mut self, from: Place, to: Place, is_cut: bool) {
        let (way, at) = self.net.at(from, to);
        self.disturbed(from, to);
        let count = &mut self.net.cuts[way][at];
        if is_cut {
            *count += 1;
        } else {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.let_through();
            }
        }
    }

    /// Cuts both ways between two places, or lets everything through, whatever was before.
    pub(crate) fn set_cut(&mut self, one: Place, other: Place, is_cut: bool) {
        for (from, to) in [(one, other), (other, one)] {
            let (way, at) = self.net.at(from, to);
            let count = &mut self.net.cuts[way][at];
            let was_cut = *count > 0;
            *count = u16::from(is_cut);
            if was_cut != is_cut {
                self.disturbed(from, to);
            }
        }
        if !is_cut {
            self.let_through();
        }
    }

    /// Makes everything from one place to another slower, or as before.
    pub(crate) fn clog(&mut self, from: Place, to: Place, micros: u64) {
        let (way, at) = self.net.at(from, to);
        self.net.clogs[way][at] = micros;
        self.disturbed(from, to);
    }

    /// The host of a place answers, or does not.
    pub(crate) fn host(&mut self, place: Place, is_up: bool) {
        self.net.hosts[place] = is_up;
        if is_up {
            self.let_through();
        }
    }

    /// What waits behind cuts that are gone leaves now.
    fn let_through(&mut self) {
        let waiting: Vec<(PipeId, Lane)> = self.net.waiting.iter().copied().collect();
        for (pipe, lane) in waiting {
            let Some(open) = self.net.pipes.get_mut(&pipe) else {
                self.net.waiting.remove(&(pipe, lane));
                continue;
            };
            let (from, to) = (open.ends[lane.from()], open.ends[lane.to()]);
            if !self.net.passes(from, to) {
                continue;
            }
            self.net.waiting.remove(&(pipe, lane));
            let Some(open) = self.net.pipes.get_mut(&pipe) else { continue };
            open.unacknowledged = None;
            let waiting = std::mem::take(&mut open.stretches[lane.from()].waiting);
            for (sequence, cargo) in waiting {
                self.travel(pipe, lane, sequence, cargo);
            }
        }
    }

    /// Opens a connection; the acceptor's process takes it without a word.
    pub(crate) fn connect(&mut self, kind: Kind, dialler: Place, acceptor: Place) -> PipeId {
        let pipe = self.net.next_pipe;
        self.net.next_pipe += 1;
        let ends = [dialler, acceptor];
        let stretches = [Stretch::default(), Stretch::default()];
        let open = Pipe { kind, ends, is_open: [true; 2], stretches, unacknowledged: None };
        self.net.pipes.insert(pipe, open);
        pipe
    }

    /// Sends over a connection, if the sender's end is still open.
    pub(crate) fn send(&mut self, pipe: PipeId, lane: Lane, cargo: Cargo) {
        let Some(open) = self.net.pipes.get_mut(&pipe) else { return };
        if !open.is_open[lane.from()] {
            return;
        }
        let stretch = &mut open.stretches[lane.from()];
        stretch.sequence += 1;
        let sequence = stretch.sequence;
        let (from, to) = (open.ends[lane.from()], open.ends[lane.to()]);
        if open.kind == Kind::Peers {
            self.net.messages += 1;
            if self.meets_bad_weather(pipe, (from, to), &cargo) {
                return;
            }
        }
        if self.net.passes(from, to) {
            if !self.net.passes(to, from) {
                self.unacknowledged(pipe);
            }
            self.travel(pipe, lane, sequence, cargo);
        } else {
            self.hold(pipe, lane, sequence, cargo);
        }
    }

    /// What the class *datagrams* does to a message; whether it took it away.
    fn meets_bad_weather(
        &mut self,
        pipe: PipeId,
        (from, to): (Place, Place),
        cargo: &Cargo,
    ) -> bool {
        let Weather { loss, twice, overtaking, .. } = self.net.weather;
        let Cargo::Peer(bytes) = cargo else { return false };
        if loss + twice + overtaking == 0 {
            return false;
        }
        let random = &mut self.net.randoms[from];
        let is_lost = random.chance(loss);
        let is_doubled = random.chance(twice);
        let overtakes = random.chance(overtaking);
        if is_doubled && random.chance(ECHOES) && is_answer(bytes) {
            let echoes = self.net.echoes.entry(to).or_default();
            echoes.push_back((pipe, bytes.clone()));
            if echoes.len() > ECHOES_MAX {
                echoes.pop_front();
            }
        } else if is_doubled || overtakes && !is_lost {
            let delay = self.net.delay(from, to) * if is_doubled { 8 } else { 1 };
            self.put(delay, What::Stray { pipe, bytes: bytes.clone() });
        }
        is_lost || overtakes
    }

    /// A controller leads: what it was answered when it last did comes once more, before anybody can answer it now.
    pub(crate) fn comes_again(&mut self, node: Place) {
        for (pipe, bytes) in self.net.echoes.remove(&node).unwrap_or_default() {
            self.put(1, What::Stray { pipe, bytes });
        }
    }

    fn travel(&mut self, pipe: PipeId, lane: Lane, sequence: u64, cargo: Cargo) {
        let Some(open) = self.net.pipes.get(&pipe) else { return };
        let (from, to) = (open.ends[lane.from()], open.ends[lane.to()]);
        let delay = self.net.delay(from, to);
        let garbage = self.net.weather.garbage;
        let is_peers = matches!(cargo, Cargo::Peer(_));
        let is_damaged =
            is_peers && garbage > 0 && self.net.randoms[from].below(1_000_000) < garbage;
        let cargo = if is_damaged { Cargo::Garbage } else { cargo };
        let Some(open) = self.net.pipes.get_mut(&pipe) else { return };
        let stretch = &mut open.stretches[lane.from()];
        let arrival = stretch.last_arrival.max(self.now + delay);
        stretch.last_arrival = arrival;
        self.agenda.put(arrival, What::Arrive { pipe, lane, sequence, cargo });
    }

    /// Keeps what cannot pass until it can.
    fn hold(&mut self, pipe: PipeId, lane: Lane, sequence: u64, cargo: Cargo) {
        self.net.waiting.insert((pipe, lane));
        if let Some(open) = self.net.pipes.get_mut(&pipe) {
            open.stretches[lane.from()].waiting.insert(sequence, cargo);
        }
        self.unacknowledged(pipe);
    }

    /// Something is on its way that may never be acknowledged.
    fn unacknowledged(&mut self, pipe: PipeId) {
        let now = self.now;
        let Some(open) = self.net.pipes.get_mut(&pipe) else { return };
        if open.kind == Kind::Peers && open.unacknowledged.is_none() {
            open.unacknowledged = Some(now);
            self.put(SEND_DEADLINE, What::Unacknowledged { pipe, since: now });
        }
    }

    pub(crate) fn still_unacknowledged(&mut self, pipe: PipeId, since: u64) {
        let Some(open) = self.net.pipes.get_mut(&pipe) else { return };
        if open.unacknowledged != Some(since) {
            return;
        }
        open.unacknowledged = None;
        let (from, to) = (open.ends[0], open.ends[1]);
        if !self.net.passes_both_ways(from, to) {
            self.sometimes("half_open_reaped");
            self.hung_up(pipe, Lane::Down);
        }
    }

    /// Something comes out of a lane; `None` if it must wait or nobody is there.
    pub(crate) fn comes_out(
        &mut self,
        pipe: PipeId,
        lane: Lane,
        sequence: u64,
        cargo: Cargo,
    ) -> Option<(Place, Cargo)> {
        let open = self.net.pipes.get(&pipe)?;
        let (from, to) = (open.ends[lane.from()], open.ends[lane.to()]);
        if !self.net.passes(from, to) {
            self.hold(pipe, lane, sequence, cargo);
            return None;
        }
        if !open.is_open[lane.to()] {
            // The kernel answers that it knows of no such connection.
            if open.is_open[lane.from()] && !self.net.is_cut(to, from) {
                let delay = self.net.delay(to, from);
                self.put(delay, What::Hangup { pipe, lane: lane.back() });
            }
            return None;
        }
        Some((to, cargo))
    }

    /// The end of a connection that a lane leads to is closed by the process there, which tells the other end.
    pub(crate) fn close(&mut self, pipe: PipeId, own: Lane) {
        self.send(pipe, own, Cargo::Close);
        self.abandon(pipe, own);
    }

    /// The sender's end of a lane is no more, and says nothing.
    pub(crate) fn abandon(&mut self, pipe: PipeId, own: Lane) {
        let Some(open) = self.net.pipes.get_mut(&pipe) else { return };
        open.is_open[own.from()] = false;
        if open.is_open == [false; 2] {
            self.net.pipes.remove(&pipe);
        }
    }

    /// Whether the sender's end of a lane is open.
    pub(crate) fn is_open(&self, pipe: PipeId, own: Lane) -> bool {
        self.net.pipes.get(&pipe).is_some_and(|open| open.is_open[own.from()])
    }

    /// A process ended. The kernel hangs up for it, unless the whole host is gone.
    pub(crate) fn drop_connections(&mut self, place: Place) {
        let is_up = self.net.hosts[place];
        let of_place = self.net.pipes.iter().filter_map(|(&pipe, open)| {
            let lane = if open.ends[0] == place { Lane::Up } else { Lane::Down };
            (open.ends[lane.from()] == place && open.is_open[lane.from()]).then_some((pipe, lane))
        });
        let of_place: Vec<(PipeId, Lane)> = of_place.collect();
        for (pipe, lane) in of_place {
            if is_up {
                self.close(pipe, lane);
            } else {
                self.abandon(pipe, lane);
            }
        }
    }
}

/// Whether a message answers a leader or a candidate.
fn is_answer(bytes: &Bytes) -> bool {
    let Ok(PeerMessage::Raft(message)) = PeerMessage::decode(bytes.clone()) else { return false };
    match message.content {
        Content::AppendAnswer { .. }
        | Content::VoteAnswer { .. }
        | Content::KeepaliveAnswer { .. }
        | Content::ReadIndexAnswer { .. } => true,
        Content::Append { .. }
        | Content::Vote { .. }
        | Content::Keepalive { .. }
        | Content::Snapshot { .. }
        | Content::TimeoutNow
        | Content::ReadIndex { .. } => false,
    }
}

//! The fleet at work: one thread that sends what is due, reads what came, and remembers who was told.
//!
//! ```text
//! turn:  commands ─► kills that are due ─► requests that are due ─► connects ─► one write per line
//!        ─► wait for a socket or for the next due moment ─► answers and notices
//! ```
//!
//! Estimate for one heartbeat: 0.1 µs to copy 350 bytes, 50 ns for each clock read, and a write of
//! its own, 3 to 5 µs on loopback, since brokers do not share connections.
//!
//! Targets must be on this host: brokers connect from and listen on loopback addresses.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::Duration;

use bytes::Bytes;
use protocol::{Frame, Request, Response};

use super::broker::{Identity, Stencil, poll};
use super::founding::view;
use super::line::{Line, Queued};
use super::notices::{Notice, Notices, listen};
use super::plan::{Closing, Command, Event, Listening, Plan, REPLICAS, Report, Told, View};
use crate::clock::mono_ns;
use crate::generator::cadence::Cadence;
use crate::generator::calls::{Call, Calls};
use crate::generator::measures::{Ending, Measures};
use crate::generator::poller::{Poller, Ready};

/// How long a broker waits for an answer. Source: upstream's 3,000 ms.
const CALL_NS: u64 = 3_000_000_000;

/// Requests that are sent in one turn before sockets are read again.
const TURN_EVENTS_MAX: usize = 256;

/// Connects that may be under way; a controller's backlog holds more.
const CONNECTING_MAX: usize = 128;

/// Pause before a connection that broke is opened again.
const RECONNECT_NS: u64 = 500_000_000;

/// Longest wait, so that commands are taken soon.
const WAIT_NS: u64 = 5_000_000;

/// Bytes read at once.
const SCRATCH_BYTES: usize = 64 * 1024;

/// Kinds of tokens, in their highest bits.
const LINE: u64 = 1 << 56;
const LISTENER: u64 = 2 << 56;
const NOTICES: u64 = 3 << 56;
const NUMBER: u64 = LINE - 1;

/// What a call asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asked {
    Heartbeat { broker: usize },
    Poll { broker: usize },
    Metadata { broker: usize },
}

struct Broker {
    address: Ipv4Addr,
    is_alive: bool,
    /// Its first line; those to the other controllers follow.
    line: usize,
    heartbeat: Stencil,
    /// The controller that it polls: the one that was named to it.
    polled: usize,
    listener: Option<TcpListener>,
}

/// The fleet of one process.
pub(super) struct Driver {
    plan: Plan,
    poller: Poller,
    brokers: Vec<Broker>,
    polls: Vec<Stencil>,
    metadata: Stencil,
    controllers: Vec<String>,
    lines: Vec<Line>,
    /// Lines that wait to be opened, and from when on.
    to_open: std::collections::VecDeque<(u64, usize)>,
    connecting: usize,
    /// Lines that are open.
    open: usize,
    dirty: Vec<usize>,
    calls: Calls<Asked>,
    /// Heartbeats, polls, questions for the leader.
    cadences: [Cadence; 3],
    heartbeats: u64,
    notices: Notices,
    _shared: Option<TcpListener>,
    views: Vec<View>,
    kills: Vec<(u64, Vec<usize>)>,
    /// Survivors that are still to be told.
    untold: BTreeSet<(usize, i64)>,
    report: Report,
    is_measuring: bool,
    is_beating: bool,
    scratch: Vec<u8>,
}

impl Driver {
    /// Listens everywhere; connections are made by [`Self::run`].
    ///
    /// # Errors
    /// A text that says what the system refused, or which address is none.
    pub(super) fn new(plan: Plan) -> Result<Self, String> {
        let poller = Poller::new().map_err(|error| format!("epoll: {error}"))?;
        let targets = resolve(&plan.controllers)?;
        let shared = match plan.listening {
            Listening::Own => None,
            Listening::Shared => {
                let all = SocketAddr::from((Ipv4Addr::UNSPECIFIED, plan.port));
                Some(watched_listener(&poller, all, 0)?)
            }
        };
        let stencil = |error: crate::NotPatchable| error.to_string();
        let (mut brokers, mut polls, mut lines) = (Vec::new(), Vec::new(), Vec::new());
        for set in 0..plan.sets {
            let name = plan.set_name(set);
            polls.push(Stencil::two_way(&poll(&name)).map_err(stencil)?);
            for replica in 0..REPLICAS {
                let (number, address) = (brokers.len(), plan.address(set, replica));
                if number % plan.brokers_per_connection == 0 {
                    lines.extend(targets.iter().map(|to| Line::new(*to, *address.ip())));
                }
                let listener = match plan.listening {
                    Listening::Own => Some(watched_listener(&poller, address.into(), number)?),
                    Listening::Shared => None,
                };
                let id = i64::try_from(replica + 1).unwrap_or(i64::MAX);
                let timeout_ms = i64::try_from(plan.timeout.as_millis()).unwrap_or(i64::MAX);
                let beat = Identity { set: &name, id, address }.heartbeat(timeout_ms);
                brokers.push(Broker {
                    address: *address.ip(),
                    is_alive: true,
                    line: lines.len() - targets.len(),
                    heartbeat: Stencil::one_way(&beat).map_err(stencil)?,
                    polled: 0,
                    listener,
                });
            }
        }
        let to_open = (0..lines.len()).map(|line| (0, line)).collect();
        Ok(Self {
            poller,
            brokers,
            polls,
            metadata: Stencil::two_way(&Request::GetMetadataInfo).map_err(stencil)?,
            controllers: plan.controllers.clone(),
            lines,
            to_open,
            connecting: 0,
            open: 0,
            dirty: Vec::new(),
            calls: Calls::new(),
            cadences: [Cadence::new(0, 1, 0); 3],
            heartbeats: 0,
            notices: Notices::default(),
            _shared: shared,
            views: Vec::new(),
            kills: Vec::new(),
            untold: BTreeSet::new(),
            report: Report::default(),
            is_measuring: false,
            is_beating: false,
            scratch: vec![0; SCRATCH_BYTES],
            plan,
        })
    }

    /// Plays the fleet until it is told to stop or nobody can tell it any more.
    ///
    /// # Errors
    /// What the kernel refuses: no descriptor is left, for one.
    pub(super) fn run(
        mut self,
        commands: &Receiver<Command>,
        events: &SyncSender<Event>,
    ) -> io::Result<()> {
        let mut ready = Vec::new();
        let mut beating_ns = u64::MAX;
        loop {
            loop {
                match commands.try_recv() {
                    Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return Ok(()),
                    Ok(Command::Report) => say(events, Event::Report(Box::new(self.take_report()))),
                    Ok(other) => self.command(other),
                    Err(TryRecvError::Empty) => break,
                }
            }
            self.kill_due();
            self.send_due();
            self.expire();
            self.open_lines()?;
            self.flush();
            self.poller.wait(self.next_due(), &mut ready)?;
            let had_untold = !self.untold.is_empty();
            for ready in &ready {
                self.take_ready(*ready)?;
            }
            if had_untold && self.untold.is_empty() {
                say(events, Event::AllTold);
            }
            // The first heartbeats leave when every line is open, so that none of them is late.
            let now_ns = mono_ns();
            if !self.is_beating && self.open == self.lines.len() {
                self.is_beating = true;
                self.cadences[0] = self.cadence(self.plan.heartbeat_every, now_ns);
                beating_ns = now_ns + 2 * nanos(self.plan.heartbeat_every);
            }
            if now_ns > beating_ns {
                beating_ns = u64::MAX;
                say(events, Event::Beating);
            }
        }
    }

    fn cadence(&self, every: Duration, now_ns: u64) -> Cadence {
        Cadence::new(now_ns, nanos(every).max(1), self.brokers.len())
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Know(views) => self.views = views,
            Command::Measure { has_polls } => {
                let now_ns = mono_ns();
                if has_polls {
                    self.cadences[1] = self.cadence(self.plan.poll_every, now_ns);
                    self.cadences[2] = self.cadence(self.plan.metadata_every, now_ns);
                }
                self.report = Report::default();
                self.is_measuring = true;
            }
            Command::Kill { at_ns, sets } => {
                for &set in &sets {
                    let master = self.views.get(set).and_then(|view| view.master);
                    let survivors = (1..).take(REPLICAS).filter(|id| Some(*id) != master);
                    self.untold.extend(survivors.map(|id| (set, id)));
                }
                self.kills.push((at_ns, sets));
            }
            Command::Report | Command::Stop => unreachable!("the loop takes these itself"),
        }
    }

    fn take_report(&mut self) -> Report {
        self.is_measuring = false;
        std::mem::take(&mut self.report)
    }

    fn next_due(&self) -> u64 {
        let kills = self.kills.iter().map(|(at_ns, _)| *at_ns);
        let due = self.cadences.iter().map(Cadence::due_ns).chain(kills);
        due.fold(mono_ns() + WAIT_NS, u64::min)
    }

    fn kill_due(&mut self) {
        let now_ns = mono_ns();
        let (due, later) = self.kills.drain(..).partition(|(at_ns, _)| *at_ns <= now_ns);
        self.kills = later;
        let due: Vec<(u64, Vec<usize>)> = due;
        let mut dead = BTreeSet::new();
        for set in due.into_iter().flat_map(|(_, sets)| sets) {
            let Some(master) = self.views.get(set).and_then(|view| view.master) else { continue };
            let replica = usize::try_from(master - 1).unwrap_or_default();
            let number = set * REPLICAS + replica;
            let controllers = self.controllers.len();
            let Some(broker) = self.brokers.get_mut(number) else { continue };
            let at_ns = mono_ns();
            broker.is_alive = false;
            broker.listener = None;
            dead.insert(broker.address);
            let lines = broker.line..broker.line + controllers;
            // Whoever shares a connection with others dies without closing it.
            if self.plan.brokers_per_connection == 1 {
                self.lines[lines].iter_mut().for_each(Line::reset);
            }
            let set = self.plan.first_set + set;
            self.report.closings.push(Closing { set, master, at_ns });
        }
        if !dead.is_empty() {
            self.notices.close(&dead);
        }
    }

    fn send_due(&mut self) {
        for kind in 0..self.cadences.len() {
            for _ in 0..TURN_EVENTS_MAX {
                let Some((due_ns, broker)) = self.cadences[kind].take(mono_ns()) else { break };
                if !self.brokers[broker].is_alive {
                    continue;
                }
                let Broker { line, polled, .. } = self.brokers[broker];
                match kind {
                    0 => self.heartbeat(due_ns, broker),
                    1 => self.ask(due_ns, Asked::Poll { broker }, line + polled),
                    // Upstream asks the first controller that answers.
                    _ => self.ask(due_ns, Asked::Metadata { broker }, self.first_open(line)),
                }
            }
        }
    }

    /// To every controller, one of them two-way now and then.
    fn heartbeat(&mut self, due_ns: u64, broker: usize) {
        self.heartbeats += 1;
        let every = self.plan.two_way_every;
        let is_sample = every > 0 && self.heartbeats.is_multiple_of(every);
        let controllers = u64::try_from(self.controllers.len()).unwrap_or(1);
        let sampled = (self.heartbeats / every.max(1)) % controllers;
        for controller in 0..self.controllers.len() {
            let Broker { line, heartbeat, .. } = &self.brokers[broker];
            let line = line + controller;
            let asked = Asked::Heartbeat { broker };
            if is_sample && u64::try_from(controller) == Ok(sampled) {
                self.ask(due_ns, asked, line);
                continue;
            }
            let queued = self.lines[line].queue(|out| heartbeat.append_one_way(out));
            let now_ns = mono_ns();
            match queued {
                Queued::Taken => {
                    self.dirty.push(line);
                    if self.is_measuring {
                        self.report.heartbeats.sent(due_ns, now_ns);
                    }
                }
                Queued::NotConnected => self.ended_unsent(asked, Ending::Lost, due_ns),
                Queued::Full => self.ended_unsent(asked, Ending::Skipped, due_ns),
            }
        }
    }

    /// Sends a request that wants an answer.
    fn ask(&mut self, due_ns: u64, asked: Asked, line: usize) {
        let stencil = match asked {
            Asked::Heartbeat { broker } => &self.brokers[broker].heartbeat,
            Asked::Poll { broker } => &self.polls[broker / REPLICAS],
            Asked::Metadata { .. } => &self.metadata,
        };
        let sent_ns = mono_ns();
        let calls = &mut self.calls;
        let mut ending = None;
        let queued = self.lines[line].queue(|out| {
            match calls.open(Call { kind: asked, line, due_ns, sent_ns }) {
                Some(opaque) => stencil.append(opaque, out),
                None => ending = Some(Ending::Skipped),
            }
        });
        match queued {
            Queued::Taken => self.dirty.push(line),
            Queued::NotConnected => ending = Some(Ending::Lost),
            Queued::Full => ending = Some(Ending::Skipped),
        }
        if let Some(ending) = ending {
            self.ended_unsent(asked, ending, due_ns);
        }
    }

    /// The line to the first controller that is connected, of those from `first` on.
    fn first_open(&self, first: usize) -> usize {
        let mut lines = first..first + self.controllers.len();
        lines.find(|&line| self.lines[line].is_open()).unwrap_or(first)
    }

    fn ended_unsent(&mut self, asked: Asked, ending: Ending, due_ns: u64) {
        let now_ns = mono_ns();
        self.record(asked, ending, (due_ns, now_ns), now_ns);
    }

    fn record(&mut self, asked: Asked, ending: Ending, (due_ns, sent_ns): (u64, u64), now_ns: u64) {
        if let Some(measures) = self.measures(asked) {
            measures.ended(ending, due_ns, sent_ns, now_ns);
        }
    }

    fn measures(&mut self, asked: Asked) -> Option<&mut Measures> {
        let measures = match asked {
            Asked::Heartbeat { .. } => &mut self.report.two_way_heartbeats,
            Asked::Poll { .. } => &mut self.report.polls,
            Asked::Metadata { .. } => &mut self.report.metadata,
        };
        self.is_measuring.then_some(measures)
    }

    fn expire(&mut self) {
        let now_ns = mono_ns();
        while let Some(call) = self.calls.expired(now_ns.saturating_sub(CALL_NS)) {
            self.record(call.kind, Ending::TimedOut, (call.due_ns, call.sent_ns), now_ns);
        }
    }

    fn open_lines(&mut self) -> io::Result<()> {
        let now_ns = mono_ns();
        while self.connecting < CONNECTING_MAX {
            let Some(&(from_ns, line)) = self.to_open.front() else { break };
            if from_ns > now_ns {
                break;
            }
            self.to_open.pop_front();
            if !self.lines[line].is_wanted() {
                continue;
            }
            match self.lines[line].open() {
                Ok(stream) => {
                    let token = LINE | u64::try_from(line).unwrap_or(NUMBER);
                    self.poller.add_stream(stream, token)?;
                    self.connecting += 1;
                }
                // On this host a controller that is gone refuses at once.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    self.to_open.push_back((now_ns + RECONNECT_NS, line));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn flush(&mut self) {
        for at in 0..self.dirty.len() {
            let line = self.dirty[at];
            if self.lines[line].flush().is_err() {
                self.lose(line);
            }
        }
        self.dirty.clear();
    }

    fn take_ready(&mut self, ready: Ready) -> io::Result<()> {
        let number = usize::try_from(ready.token & NUMBER).unwrap_or(usize::MAX);
        match ready.token & !NUMBER {
            LINE => self.take_line(number, ready),
            LISTENER => return self.accept(number),
            _ => {
                let number = ready.token & NUMBER;
                for notice in self.notices.read(number, &mut self.scratch) {
                    self.take_notice(&notice);
                }
            }
        }
        Ok(())
    }

    fn take_line(&mut self, line: usize, ready: Ready) {
        let was_open = self.lines[line].is_open();
        let mut is_broken = false;
        if ready.is_writable {
            is_broken = self.lines[line].writable().is_err();
            if !was_open {
                self.connecting = self.connecting.saturating_sub(1);
                self.open += usize::from(self.lines[line].is_open());
            }
        }
        let mut answers = Vec::new();
        if ready.is_readable && !is_broken {
            let take = |frame: &[u8]| answers.push(Bytes::copy_from_slice(frame));
            is_broken = self.lines[line].read(&mut self.scratch, take).is_err();
        }
        let now_ns = mono_ns();
        for answer in answers {
            self.take_answer(line, answer, now_ns);
        }
        if is_broken {
            self.lose(line);
        }
    }

    fn take_answer(&mut self, line: usize, bytes: Bytes, now_ns: u64) {
        let Ok(frame) = Frame::decode(bytes) else { return };
        let Some(call) = self.calls.answered(frame.header.opaque, line) else { return };
        let answer = Response::from_frame(frame);
        let ending = Ending::Answered(answer.code);
        self.record(call.kind, ending, (call.due_ns, call.sent_ns), now_ns);
        match call.kind {
            Asked::Heartbeat { .. } => {}
            Asked::Poll { broker } if answer.code == 0 => self.check(broker, &answer),
            // Upstream asks for the leader again only when its turn comes.
            Asked::Poll { .. } => {}
            Asked::Metadata { broker } => {
                let named = client::Metadata::read(&answer).leader_address;
                let named =
                    named.and_then(|named| self.controllers.iter().position(|it| *it == named));
                if let Some(named) = named {
                    self.brokers[broker].polled = named;
                }
            }
        }
    }

    /// While nobody dies every answer must be what was founded: an epoch that moved is a master that
    /// was replaced though it lives.
    fn check(&mut self, broker: usize, answer: &Response) {
        let set = broker / REPLICAS;
        let Some(known) = self.views.get(set) else { return };
        let seen = view(answer);
        let is_same = (seen.master, seen.master_epoch) == (known.master, known.master_epoch);
        if !is_same && self.is_measuring && self.report.closings.is_empty() {
            self.report.polls.wrong += 1;
            let name = self.plan.set_name(set);
            let text = format!("{name} was {known:?}, and an answer says {seen:?}");
            self.report.contradiction.get_or_insert(text);
        }
    }

    fn take_notice(&mut self, Notice { broker, notice }: &Notice) {
        let at_ns = mono_ns();
        let Some(number) = self.plan.number_of(*broker) else { return };
        let (set, id) = (number / REPLICAS, i64::try_from(number % REPLICAS + 1).unwrap_or(0));
        let known = self.views.get(set).map_or(0, |view| view.master_epoch);
        if notice.master_epoch > known && self.untold.remove(&(set, id)) {
            self.report.told.push(Told {
                set: self.plan.first_set + set,
                broker: id,
                at_ns,
                master: notice.master_broker_id,
                master_epoch: notice.master_epoch,
            });
        }
    }

    fn accept(&mut self, number: usize) -> io::Result<()> {
        let listener = match self._shared.as_ref() {
            Some(shared) => Some(shared),
            None => self.brokers.get(number).and_then(|broker| broker.listener.as_ref()),
        };
        // It may have died in this very turn.
        let Some(listener) = listener else { return Ok(()) };
        while let Some((number, stream)) = self.notices.accept(listener)? {
            self.poller.add_stream(stream, NOTICES | number)?;
        }
        Ok(())
    }

    fn lose(&mut self, line: usize) {
        if !self.lines[line].is_in_use() {
            return;
        }
        let was_open = self.lines[line].is_open();
        self.report.connections_lost += u64::from(was_open);
        self.open = self.open.saturating_sub(usize::from(was_open));
        self.lines[line].lose();
        let now_ns = mono_ns();
        for call in self.calls.lost_with(line) {
            self.record(call.kind, Ending::Lost, (call.due_ns, call.sent_ns), now_ns);
        }
        self.to_open.push_back((now_ns + RECONNECT_NS, line));
    }
}

/// The first address of each controller.
fn resolve(controllers: &[String]) -> Result<Vec<SocketAddr>, String> {
    let first = |text: &String| {
        let found = text.to_socket_addrs().map_err(|error| format!("{text}: {error}"))?;
        let mut found = found.filter(|address| address.is_ipv4() && address.ip().is_loopback());
        found.next().ok_or_else(|| {
            format!("{text} is not on this host: the simulated brokers live on loopback addresses")
        })
    };
    controllers.iter().map(first).collect()
}

fn watched_listener(poller: &Poller, at: SocketAddr, number: usize) -> Result<TcpListener, String> {
    let listener = listen(at).map_err(|error| format!("listening on {at}: {error}"))?;
    let token = LISTENER | u64::try_from(number).unwrap_or(NUMBER);
    poller.add_listener(&listener, token).map_err(|error| format!("epoll: {error}"))?;
    Ok(listener)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn say(events: &SyncSender<Event>, event: Event) {
    // Nobody listens any more only when the fleet is being ended.
    drop(events.send(event));
}

//! The thread that connects, reads and judges: it takes answers and notices, ends what timed out,
//! lets masters die, and gives windows away that are over.
//!
//! ```text
//! turn:  commands ─► kills that are due ─► connects ─► sockets ─► time-outs ─► windows
//! ```
//!
//! What is sent, and when, is the [`super::pacer`]'s. Answers are checked as they come: a read that
//! says less than what was acknowledged before it was sent, or a second master for one epoch, is a
//! violation.
//!
//! A fleet's targets must be on this host, since brokers connect from and listen on loopback addresses, unless its plan
//! names a host: then they have ports of that.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};

use bytes::Bytes;
use protocol::{Frame, Response};

use super::calls::Call;
use super::line::read_answers;
use super::measures::{Ending, Kind};
use super::notices::{Notice, Notices, listen};
use super::pacer::{Order, Pacer};
use super::plan::{Command, Event, Listening, Plan, REPLICAS, Report, Times, Told, View};
use super::poller::{Poller, Ready};
use super::shared::Shared;
use super::wire;
use crate::answer;
use crate::clock::mono_ns;
use crate::run::part_of;
use crate::workload::Wire;

mod dying;
mod judging;
mod reacting;

/// Connects that may be under way; a controller's backlog holds more.
const CONNECTING_MAX: usize = 128;

/// Pause before a connection that broke is opened again.
const RECONNECT_NS: u64 = 500_000_000;

/// Longest wait, so that commands are taken soon.
const WAIT_NS: u64 = 5_000_000;

/// Pause between two looks for requests that timed out.
const SWEEP_NS: u64 = 20_000_000;

/// Pause before a set is asked for that did not say what it is.
const ASK_AGAIN_NS: u64 = 200_000_000;

/// Orders that may wait for the pacer.
const ORDERS_MAX: usize = 16;

/// Bytes read at once.
const SCRATCH_BYTES: usize = 64 * 1024;

/// Kinds of tokens, in their highest bits.
const LINE: u64 = 1 << 56;
const LISTENER: u64 = 2 << 56;
const NOTICES: u64 = 3 << 56;
const NUMBER: u64 = LINE - 1;

/// The generator of one process.
pub(super) struct Reader {
    shared: Arc<Shared>,
    orders: SyncSender<Order>,
    poller: Poller,
    listeners: Vec<Option<TcpListener>>,
    common_listener: Option<TcpListener>,
    /// The beginning of an answer on each line.
    partial: Vec<Vec<u8>>,
    /// Lines that wait to be opened, and from when on.
    to_open: VecDeque<(u64, usize)>,
    connecting: usize,
    /// Lines that are open.
    open: usize,
    notices: Notices,
    views: Vec<View>,
    /// Who was seen as master of each set, by epoch.
    masters: Vec<BTreeMap<i32, i64>>,
    kills: Vec<(u64, Vec<usize>)>,
    /// When so large a part of the brokers is to reconnect.
    reconnects: Vec<(u64, f64)>,
    /// When new masters change their sets, and which.
    reactions: VecDeque<(u64, usize)>,
    /// Survivors that are still to be told.
    untold: BTreeSet<(usize, i64)>,
    report: Report,
    times: Option<Times>,
    /// The next window to be given away.
    window: u64,
    swept_ns: u64,
    asked_ns: u64,
    scratch: Vec<u8>,
}

impl Reader {
    /// Listens everywhere and starts the pacer; connections are made by [`Self::run`].
    ///
    /// # Errors
    /// A text that says what the system refused, or which address is none.
    pub(super) fn new(plan: Plan) -> Result<Self, String> {
        let poller = Poller::new().map_err(|error| format!("epoll: {error}"))?;
        let shared = Arc::new(Shared::new(plan)?);
        let plan = &shared.plan;
        let (mut common_listener, mut listeners) = (None, Vec::new());
        match plan.listening {
            Listening::Own => {
                for (number, broker) in shared.brokers.iter().enumerate() {
                    let at = SocketAddr::from(broker.address);
                    listeners.push(Some(watched_listener(&poller, at, number)?));
                }
            }
            Listening::Shared => {
                let all = SocketAddr::from((Ipv4Addr::UNSPECIFIED, plan.port));
                common_listener = Some(watched_listener(&poller, all, 0)?);
            }
        }
        let (orders, taken) = std::sync::mpsc::sync_channel(ORDERS_MAX);
        let pacer = Pacer::new(Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("pacer".to_owned());
        let started = thread.spawn(move || pacer.run(&taken));
        started.map_err(|error| format!("starting the pacer: {error}"))?;
        let lines = shared.lines.len();
        Ok(Self {
            orders,
            poller,
            listeners,
            common_listener,
            partial: vec![Vec::new(); lines],
            to_open: (0..lines).map(|line| (0, line)).collect(),
            connecting: 0,
            open: 0,
            notices: Notices::default(),
            views: Vec::new(),
            masters: vec![BTreeMap::new(); shared.sets.len()],
            kills: Vec::new(),
            reconnects: Vec::new(),
            reactions: VecDeque::new(),
            untold: BTreeSet::new(),
            report: Report::default(),
            times: None,
            window: 0,
            swept_ns: 0,
            asked_ns: 0,
            scratch: vec![0; SCRATCH_BYTES],
            shared,
        })
    }

    /// Plays its part until it is told to stop or nobody can tell it any more.
    ///
    /// # Errors
    /// What the kernel refuses: no descriptor is left, for one.
    pub(super) fn run(
        mut self,
        commands: &Receiver<Command>,
        events: &SyncSender<Event>,
    ) -> io::Result<()> {
        let mut ready = Vec::new();
        let (mut is_beating, mut beating_ns) = (false, u64::MAX);
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
            self.reconnect_due();
            self.react_due();
            self.open_lines()?;
            let kills = self.kills.iter().map(|(at_ns, _)| *at_ns);
            let reconnects = self.reconnects.iter().map(|(at_ns, _)| *at_ns);
            let due = kills.chain(reconnects).chain(self.reactions.front().map(|it| it.0));
            self.poller.wait(due.fold(mono_ns() + WAIT_NS, u64::min), &mut ready)?;
            let had_untold = !self.untold.is_empty();
            for ready in &ready {
                self.take_ready(*ready)?;
            }
            if had_untold && self.untold.is_empty() {
                say(events, Event::AllTold);
            }
            // The first heartbeats leave when every line is open, so that none of them is late.
            let now_ns = mono_ns();
            if !is_beating && self.open == self.shared.lines.len() {
                is_beating = true;
                self.order(Order::Beat { start_ns: now_ns });
                let every = self.shared.plan.heartbeat_every;
                let two_periods = u64::try_from(2 * every.as_nanos()).unwrap_or(u64::MAX);
                beating_ns = now_ns + if self.shared.brokers.is_empty() { 0 } else { two_periods };
            }
            if now_ns > beating_ns {
                beating_ns = u64::MAX;
                say(events, Event::Beating);
            }
            if now_ns > self.swept_ns + SWEEP_NS {
                self.swept_ns = now_ns;
                // Read first: whatever was due before it is open by now, so the sweep sees it.
                let sent_ns = self.shared.sent_up_to_ns.load(Ordering::Acquire);
                let oldest_ns = self.sweep(now_ns);
                self.give_windows(sent_ns.min(oldest_ns), events);
                self.ask_for_sets(now_ns);
            }
        }
    }

    fn order(&self, order: Order) {
        // The pacer ends only with this thread.
        self.orders.send(order).ok();
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Know(views) => {
                for (set, view) in views.iter().enumerate() {
                    self.see_master(set, view);
                    self.shared.know(set, view);
                }
                self.views = views;
            }
            Command::Measure { has_load, times } => {
                self.take_report();
                (self.times, self.window) = (Some(times), 0);
                self.shared.start_ns.store(times.start_ns, Ordering::Release);
                self.shared.end_ns.store(u64::MAX, Ordering::Release);
                if has_load {
                    self.order(Order::Load { start_ns: times.start_ns });
                }
            }
            Command::Ease { at_ns } => {
                self.shared.end_ns.store(at_ns, Ordering::Release);
                self.order(Order::Ease { at_ns });
            }
            Command::Leader(node) => self.shared.leader.store(node, Ordering::Release),
            Command::Kill { at_ns, sets } => {
                for &set in &sets {
                    let master = self.views.get(set).and_then(|view| view.master);
                    let survivors = (1..).take(REPLICAS).filter(|id| Some(*id) != master);
                    self.untold.extend(survivors.map(|id| (set, id)));
                }
                self.kills.push((at_ns, sets));
            }
            Command::Reconnect { at_ns, part } => self.reconnects.push((at_ns, part)),
            Command::Report | Command::Stop => unreachable!("the loop takes these itself"),
        }
    }

    /// Ends measuring: what is still open counts as timed out.
    fn take_report(&mut self) -> Report {
        let now_ns = mono_ns();
        let shared = Arc::clone(&self.shared);
        shared.calls.sweep(|_| true, |call| self.ended(&call, Ending::TimedOut, now_ns));
        shared.start_ns.store(u64::MAX, Ordering::Release);
        let mut report = std::mem::take(&mut self.report);
        let first_set = shared.plan.first_set;
        let acknowledged = shared.sets.iter().map(|set| set.acked.load(Ordering::Acquire));
        report.acknowledged = (first_set..).zip(acknowledged).collect();
        for recorder in [&shared.sent, &shared.answered] {
            for (window, tally) in recorder.take_all() {
                report.windows.entry(window).or_default().add(&tally);
            }
        }
        report
    }

    /// Resets connections that are to be opened again. What waited on them is lost; that they broke is our own doing.
    fn reconnect_due(&mut self) {
        let now_ns = mono_ns();
        let (due, later): (Vec<_>, Vec<_>) =
            self.reconnects.drain(..).partition(|(at_ns, _)| *at_ns <= now_ns);
        self.reconnects = later;
        let (shared, lost) = (Arc::clone(&self.shared), self.report.connections_lost);
        for (_, part) in due {
            let brokers = part_of(shared.plan.sets, part).min(shared.plan.sets) * REPLICAS;
            let lines: BTreeSet<usize> = shared.brokers[..brokers]
                .iter()
                .flat_map(|broker| broker.line..broker.line + shared.nodes())
                .collect();
            lines.into_iter().for_each(|line| self.lose(line));
        }
        self.report.connections_lost = lost;
    }

    /// Ends what timed out; when the oldest was due that still waits.
    fn sweep(&mut self, now_ns: u64) -> u64 {
        let shared = Arc::clone(&self.shared);
        let oldest_ns = Cell::new(u64::MAX);
        let is_over = |call: &Call| {
            let is_over = call.sent_ns + shared.sources[call.source].timeout_ns < now_ns;
            if !is_over {
                oldest_ns.set(oldest_ns.get().min(call.due_ns));
            }
            is_over
        };
        shared.calls.sweep(is_over, |call| self.ended(&call, Ending::TimedOut, now_ns));
        oldest_ns.get()
    }

    /// Gives windows away in which nothing can happen any more: all before `done_ns` is over.
    fn give_windows(&mut self, done_ns: u64, events: &SyncSender<Event>) {
        let length = u64::try_from(self.shared.plan.window.as_nanos()).unwrap_or(u64::MAX);
        let Some(times) = self.times.filter(|_| length > 0) else { return };
        loop {
            let end_ns = times.start_ns.saturating_add((self.window + 1).saturating_mul(length));
            if end_ns > done_ns {
                return;
            }
            let mut tally = self.shared.sent.take(self.window);
            tally.add(&self.shared.answered.take(self.window));
            say(events, Event::Window(self.window, Box::new(tally)));
            self.window += 1;
        }
    }

    fn ask_for_sets(&mut self, now_ns: u64) {
        if now_ns > self.asked_ns + ASK_AGAIN_NS && !self.shared.to_ask().is_empty() {
            self.asked_ns = now_ns;
            self.order(Order::Ask);
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
            let mut connection = self.shared.line(line);
            if !connection.is_wanted() {
                continue;
            }
            match connection.open() {
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
        let mut is_broken = false;
        let stream = {
            let mut connection = self.shared.line(line);
            let was_open = connection.is_open();
            if ready.is_writable {
                is_broken = connection.writable().is_err();
                if !was_open {
                    self.connecting = self.connecting.saturating_sub(1);
                    self.open += usize::from(connection.is_open());
                }
            }
            connection.stream()
        };
        let mut answers = Vec::new();
        if let (Some(stream), true, false) = (stream, ready.is_readable, is_broken) {
            let take = |answer: &[u8]| answers.push(Bytes::copy_from_slice(answer));
            let (wire, partial) = (self.shared.plan.wire, &mut self.partial[line]);
            is_broken = read_answers(wire, &stream, partial, &mut self.scratch, take).is_err();
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
        let shared = Arc::clone(&self.shared);
        let wire = shared.plan.wire;
        if !matches!(wire, Wire::Controller | Wire::SelfTest) {
            let number = shared.line(line).next_answered();
            let Some(call) = number.and_then(|number| shared.calls.end(number)) else { return };
            let is_read = shared.sources[call.source].plan.kind == Kind::Get;
            let code = wire::code(wire, is_read, &bytes);
            return self.ended(&call, Ending::Answered(code), now_ns);
        }
        let Ok(frame) = Frame::decode(bytes.clone()) else { return };
        let Some(call) = shared.calls.answered(frame.header.opaque, line) else { return };
        let answer = Response::from_frame(frame);
        let is_good = answer.code == 0;
        match shared.sources[call.source].plan.kind {
            Kind::GetReplicaInfo if is_good => self.check(&call, &answer),
            Kind::AlterSyncStateSet if is_good => {
                self.changed(call.subject, answer::set_epoch(&bytes).ok());
                self.reacted(&call, now_ns);
            }
            Kind::GetMetadata if is_good => self.take_leader(&call, &answer),
            // Refusals: upstream asks for the leader again only when its turn comes.
            _ => {}
        }
        self.ended(&call, Ending::Answered(answer.code), now_ns);
    }

    /// A call is over, however.
    fn ended(&mut self, call: &Call, ending: Ending, done_ns: u64) {
        let shared = Arc::clone(&self.shared);
        let source = &shared.sources[call.source];
        source.in_flight.fetch_sub(1, Ordering::AcqRel);
        shared.record(&shared.answered, call, ending, done_ns);
        let is_good = ending == Ending::Answered(0);
        let is_own = call.source == shared.own_questions();
        let is_change = source.plan.kind == Kind::AlterSyncStateSet;
        // Whether a change was made is unknown, or the set is not what we thought: ask.
        if (is_change || is_own) && !is_good {
            shared.to_ask().push(call.subject);
        }
        self.keep_slow(call, ending, done_ns);
    }

    fn take_leader(&mut self, call: &Call, answer: &Response) {
        let shared = &self.shared;
        let named = client::Metadata::read(answer).leader_address;
        let named = named.and_then(|it| shared.plan.controllers.iter().position(|at| *at == it));
        let Some(named) = named else { return };
        shared.leader.store(named, Ordering::Release);
        let is_broker = shared.sources[call.source].plan.connections() == 0;
        if let (true, Some(broker)) = (is_broker, shared.brokers.get(call.subject)) {
            broker.polled.store(named, Ordering::Release);
        }
    }

    fn take_notice(&mut self, Notice { broker, notice }: &Notice) {
        let at_ns = mono_ns();
        let plan = &self.shared.plan;
        let Some(number) = plan.number_of(*broker) else { return };
        let first_set = plan.first_set;
        let (set, id) = (number / REPLICAS, i64::try_from(number % REPLICAS + 1).unwrap_or(0));
        let known = self.views.get(set).map_or(0, |view| view.master_epoch);
        let (master, master_epoch) = (notice.master_broker_id, notice.master_epoch);
        let seen = View { master: Some(master), master_epoch, ..View::default() };
        self.see_master(set, &seen);
        if id == master && master_epoch > known {
            self.promoted(set, notice, at_ns);
        }
        if master_epoch > known && self.untold.remove(&(set, id)) {
            let set = first_set + set;
            self.report.told.push(Told { set, broker: id, at_ns, master, master_epoch });
        }
    }

    fn accept(&mut self, number: usize) -> io::Result<()> {
        let listener = match self.common_listener.as_ref() {
            Some(common) => Some(common),
            None => self.listeners.get(number).and_then(Option::as_ref),
        };
        // It may have died in this very turn.
        let Some(listener) = listener else { return Ok(()) };
        while let Some((number, stream)) = self.notices.accept(listener)? {
            self.poller.add_stream(stream, NOTICES | number)?;
        }
        Ok(())
    }

    fn lose(&mut self, line: usize) {
        let mut connection = self.shared.line(line);
        if !connection.is_in_use() {
            return;
        }
        let was_open = connection.is_open();
        connection.lose();
        drop(connection);
        self.report.connections_lost += u64::from(was_open);
        self.open = self.open.saturating_sub(usize::from(was_open));
        self.partial[line].clear();
        let now_ns = mono_ns();
        let shared = Arc::clone(&self.shared);
        let is_on_it = |call: &Call| call.line == line;
        shared.calls.sweep(is_on_it, |call| self.ended(&call, Ending::Lost, now_ns));
        self.to_open.push_back((now_ns + RECONNECT_NS, line));
    }
}

fn watched_listener(poller: &Poller, at: SocketAddr, number: usize) -> Result<TcpListener, String> {
    let listener = listen(at).map_err(|error| format!("listening on {at}: {error}"))?;
    let token = LISTENER | u64::try_from(number).unwrap_or(NUMBER);
    poller.add_listener(&listener, token).map_err(|error| format!("epoll: {error}"))?;
    Ok(listener)
}

fn say(events: &SyncSender<Event>, event: Event) {
    // Nobody listens any more only when the fleet is being ended.
    drop(events.send(event));
}

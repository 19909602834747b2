//! The thread that sends: it sleeps until a request is due, and sends it.
//!
//! ```text
//! due = earliest of all sources ─► sleep to that very moment ─► encode, write ─► next
//! ```
//!
//! It does nothing else: reading, time-outs and reports belong to the other thread, so neither a burst of
//! answers nor a report makes a request late. It sleeps by the kernel's absolute sleep with a timer
//! slack of 1 ns, which ends 5 µs late as a rule (p99 14 µs); an asynchronous timer ends 1 ms late.
//!
//! Estimate for one request: 0.1 µs to copy 350 bytes, 50 ns for each clock read, 0.1 µs for two
//! locks that nobody holds, and a write of its own, 3 to 5 µs on loopback.

use std::num::NonZeroU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, PoisonError};

use measure::statistics::Random;
use rustix::process::Pid;
use rustix::thread::{ClockId, clock_nanosleep_absolute, set_current_timer_slack};

use super::cadence::Cadence;
use super::calls::Call;
use super::line::Queued;
use super::measures::{Ending, Kind};
use super::plan::{By, REPLICAS};
use super::poller::timespec;
use super::schedule::{Arrivals, Chooser, Schedule};
use super::shared::{Broker, Shared};
use crate::clock::mono_ns;
use crate::workload::Reads;
use measure::histogram::as_f64;

/// Longest sleep, so that orders are taken soon.
const SLEEP_NS: u64 = 5_000_000;

/// A process that plays so many brokers sends what is due together, at most [`GATHER_NS`] late.
const GATHER_FROM: usize = 1_000;

/// Least time between two ends of sleeps then: waking for every request of ten thousand a second
/// would take the processors from the servers that share them.
const GATHER_NS: u64 = 250_000;

/// Priority above everybody else's, where the system grants it: a request must not wait for the
/// servers that share these processors, since real clients have processors of their own.
const NICE: i32 = -15;

/// What the thread is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// Heartbeats from now on.
    Beat { start_ns: u64 },
    /// Everything else from now on.
    Load { start_ns: u64 },
    /// Nothing but heartbeats from this moment on.
    Ease { at_ns: u64 },
    /// Ask for the state of the sets in [`Shared::to_ask`].
    Ask,
}

/// A source at work.
#[derive(Debug)]
struct Active {
    source: usize,
    schedule: Schedule,
    chooser: Chooser,
    /// Counts requests, to take connections and nodes in turn.
    turn: usize,
}

#[derive(Debug)]
pub(super) struct Pacer {
    shared: Arc<Shared>,
    active: Vec<Active>,
    /// When all but heartbeats end.
    ease_ns: u64,
    heartbeats: u64,
    /// When the last sleep ended.
    woken_ns: u64,
    /// Least time between two such moments.
    gather_ns: u64,
}

impl Pacer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let gather_ns = if shared.brokers.len() >= GATHER_FROM { GATHER_NS } else { 0 };
        Self {
            shared,
            active: Vec::new(),
            ease_ns: u64::MAX,
            heartbeats: 0,
            woken_ns: 0,
            gather_ns,
        }
    }

    /// Sends what is due until nobody gives orders any more.
    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        sharpen_timers();
        // Where it is not granted requests are a little later, and the lag says so.
        rustix::process::setpriority_process(thread_id(), NICE).ok();
        loop {
            loop {
                match orders.try_recv() {
                    Ok(order) => self.take(order),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            let now_ns = mono_ns();
            let next = self.active.iter().enumerate().min_by_key(|(_, it)| it.schedule.due_ns());
            let next = next.map(|(at, it)| (at, it.schedule.due_ns()));
            let (at, due_ns) = next.unwrap_or((0, u64::MAX));
            if due_ns >= self.ease_ns && self.ends(at) {
                continue;
            }
            self.shared.sent_up_to_ns.store(due_ns.min(now_ns), Ordering::Release);
            if due_ns > now_ns {
                let wake_ns = due_ns.max(self.woken_ns + self.gather_ns);
                sleep_until(wake_ns.min(now_ns + SLEEP_NS));
                self.woken_ns = mono_ns();
            } else if let Some((due_ns, turn)) = self.active[at].schedule.take(now_ns) {
                self.send(at, due_ns, turn);
            }
        }
    }

    /// Takes a source away whose time is over; heartbeats go on.
    fn ends(&mut self, at: usize) -> bool {
        let is_over =
            |active: &Active| self.shared.sources[active.source].plan.kind != Kind::Heartbeat;
        let ends = self.active.get(at).is_some_and(|active| {
            is_over(active) || !matches!(active.schedule, Schedule::Periodic(_))
        });
        if ends {
            self.active.remove(at);
        }
        ends
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Beat { start_ns } => self.begin(start_ns, true),
            Order::Load { start_ns } => {
                self.ease_ns = u64::MAX;
                self.begin(start_ns, false);
            }
            Order::Ease { at_ns } => self.ease_ns = at_ns,
            Order::Ask => self.ask_for_sets(),
        }
    }

    fn begin(&mut self, start_ns: u64, is_heartbeat: bool) {
        let shared = Arc::clone(&self.shared);
        let plan = &shared.plan;
        let nanos = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let phases =
            || plan.phases.iter().map(|(at, scale)| (as_f64(nanos(*at)), *scale)).collect();
        for (number, source) in plan.sources.iter().enumerate() {
            let is_beating =
                source.kind == Kind::Heartbeat && matches!(source.by, By::Brokers { .. });
            let is_answer = matches!(source.by, By::Reaction { .. });
            if is_beating != is_heartbeat || is_answer {
                continue;
            }
            let purpose = u64::try_from(number).unwrap_or_default();
            let random = |part: u64| Random::new(plan.seed, purpose * 2 + part);
            let arrivals = |arrival, per_second| {
                let arrivals = Arrivals::new(start_ns, arrival, per_second, phases(), random(0));
                Schedule::Stream(Box::new(arrivals))
            };
            let uniform = || Chooser::new(crate::workload::Key::Uniform, plan.sets, random(1));
            let (schedule, chooser) = match &source.by {
                By::Brokers { every } => {
                    let every = if is_beating { plan.heartbeat_every } else { *every };
                    let brokers = plan.brokers();
                    let cadence = Cadence::new(start_ns, nanos(every).max(1), brokers);
                    let cadence = if plan.is_synchronized { cadence.at_once() } else { cadence };
                    (Schedule::Periodic(cadence), uniform())
                }
                By::Masters { arrival, per_second } => (arrivals(*arrival, *per_second), uniform()),
                By::Reaction { .. } => unreachable!("nobody plans when somebody is told"),
                By::Stream { arrival, trace, per_second, key, keys, .. } => {
                    let count = match source.kind {
                        Kind::Get | Kind::Set => *keys,
                        Kind::OneWayHeartbeat | Kind::Heartbeat => plan.brokers(),
                        Kind::GetReplicaInfo | Kind::GetMetadata => plan.sets.max(1),
                        Kind::GetNextBrokerId | Kind::AlterSyncStateSet => plan.sets,
                    };
                    let schedule = match trace {
                        Some(moments) => {
                            Schedule::Trace(moments.iter().map(|at| start_ns + at).collect(), 0)
                        }
                        None => arrivals(*arrival, *per_second),
                    };
                    (schedule, Chooser::new(*key, count, random(1)))
                }
            };
            self.active.push(Active { source: number, schedule, chooser, turn: 0 });
        }
    }

    fn send(&mut self, at: usize, due_ns: u64, turn: usize) {
        let shared = Arc::clone(&self.shared);
        let source = self.active[at].source;
        let plan = &shared.sources[source].plan;
        if let By::Brokers { .. } = plan.by {
            let broker = &shared.brokers[turn];
            if !broker.is_alive.load(Ordering::Acquire) {
                return;
            }
            match plan.kind {
                Kind::Heartbeat => return self.beat(source, due_ns, turn),
                // Upstream asks the first controller that answers.
                Kind::GetMetadata => {
                    self.ask(due_ns, source, turn, first_open(&shared, broker));
                }
                _ => {
                    let line = broker.line + broker.polled.load(Ordering::Acquire);
                    self.ask(due_ns, source, turn / REPLICAS, line);
                }
            }
            return;
        }
        let active = &mut self.active[at];
        active.turn = active.turn.wrapping_add(1);
        let turn = active.turn;
        let chosen = active.chooser.choose();
        let (subject, call) = (chosen, Call { source, due_ns, ..Call::default() });
        let subject = match plan.kind {
            Kind::AlterSyncStateSet => match free_set(&shared, chosen) {
                Some(set) => set,
                None => return self.ended_unsent(&call, Ending::Skipped),
            },
            _ => subject,
        };
        let line = match plan.by {
            By::Stream { connections, .. } => {
                let node = self.node(plan.kind, turn);
                shared.sources[source].line + node * connections + turn % connections
            }
            By::Masters { .. } | By::Brokers { .. } | By::Reaction { .. } => {
                let master = shared.sets[subject].master.load(Ordering::Acquire);
                let broker = &shared.brokers[subject * REPLICAS + master];
                broker.line + broker.polled.load(Ordering::Acquire)
            }
        };
        if !self.ask(due_ns, source, subject, line) && plan.kind == Kind::AlterSyncStateSet {
            shared.sets[subject].is_busy.store(false, Ordering::Release);
        }
    }

    /// The node that a stream's request goes to.
    fn node(&self, kind: Kind, turn: usize) -> usize {
        let (nodes, leader) = (self.shared.nodes(), self.shared.leader.load(Ordering::Acquire));
        let is_read = matches!(kind, Kind::GetReplicaInfo | Kind::GetNextBrokerId | Kind::Get);
        match self.shared.plan.reads {
            Reads::Any if is_read => turn % nodes,
            Reads::Pinned(node) if is_read => node % nodes,
            Reads::Follower if is_read && nodes > 1 => (leader + 1 + turn % (nodes - 1)) % nodes,
            Reads::Leader | Reads::Any | Reads::Follower | Reads::Pinned(_) => leader,
        }
    }

    /// To every controller, one of them two-way now and then.
    fn beat(&mut self, source: usize, due_ns: u64, broker: usize) {
        self.heartbeats += 1;
        let shared = Arc::clone(&self.shared);
        let every = shared.plan.two_way_every;
        let is_sample = every > 0 && self.heartbeats.is_multiple_of(every);
        let nodes = u64::try_from(shared.nodes()).unwrap_or(1);
        let sampled = (self.heartbeats / every.max(1)) % nodes;
        for node in 0..shared.nodes() {
            let Broker { line, heartbeat, .. } = &shared.brokers[broker];
            let line = line + node;
            if is_sample && u64::try_from(node) == Ok(sampled) {
                self.ask(due_ns, source, broker, line);
                continue;
            }
            let mut line = shared.line(line);
            let queued = line.queue(|out| heartbeat.append_one_way(out));
            let now_ns = mono_ns();
            // A connection that breaks is seen by the reader.
            drop(line.flush());
            drop(line);
            let Some(window) = shared.window_of(due_ns) else { continue };
            let kind = Kind::OneWayHeartbeat;
            shared.sent.with(window, kind, |measures| match queued {
                Queued::Taken => measures.sent(due_ns, now_ns),
                Queued::NotConnected => {
                    measures.offered += 1;
                    measures.lost += 1;
                }
                Queued::Full => {
                    measures.offered += 1;
                    measures.skipped += 1;
                }
            });
        }
    }

    /// Sends a request that wants an answer; whether it was sent.
    fn ask(&self, due_ns: u64, source: usize, subject: usize, line: usize) -> bool {
        let call = Call { source, subject, line, due_ns, ..Call::default() };
        self.shared.ask(&self.shared.sent, call)
    }

    fn ended_unsent(&self, call: &Call, ending: Ending) {
        self.shared.ended_unsent(&self.shared.sent, call, ending);
    }

    fn ask_for_sets(&mut self) {
        let source = self.shared.own_questions();
        let sets = std::mem::take(&mut *self.shared.to_ask());
        for set in sets {
            let living = (set * REPLICAS..(set + 1) * REPLICAS)
                .find(|broker| self.shared.brokers[*broker].is_alive.load(Ordering::Acquire));
            let Some(broker) = living else { continue };
            let line = first_open(&self.shared, &self.shared.brokers[broker]);
            if !self.ask(mono_ns(), source, set, line) {
                self.shared.to_ask().push(set);
            }
        }
    }
}

/// The line to the first controller that is connected.
fn first_open(shared: &Shared, broker: &Broker) -> usize {
    let mut lines = broker.line..broker.line + shared.nodes();
    lines.find(|&line| shared.line(line).is_open()).unwrap_or(broker.line)
}

/// The first set from `first` on, in their circle, that no change is under way in; it is busy now.
fn free_set(shared: &Shared, first: usize) -> Option<usize> {
    let sets = shared.sets.len();
    let mut circle = (first..sets).chain(0..first.min(sets));
    circle.find(|&set| {
        let state = &shared.sets[set];
        let was_busy = state.is_busy.swap(true, Ordering::AcqRel);
        let is_known = || state.change.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if !was_busy && !is_known() {
            state.is_busy.store(false, Ordering::Release);
            return false;
        }
        !was_busy
    })
}

/// Sleeps of this thread end when they are due, and not up to 50 us later.
pub(crate) fn sharpen_timers() {
    // Where it is not granted they end a little later, and the lag says so.
    set_current_timer_slack(NonZeroU64::new(1)).ok();
}

/// Sleeps until a moment of the monotonic clock. An interrupted sleep ends early, and its caller
/// looks at the clock.
pub(crate) fn sleep_until(moment_ns: u64) {
    clock_nanosleep_absolute(ClockId::Monotonic, &timespec(moment_ns)).ok();
}

/// This thread, since priorities are of threads.
fn thread_id() -> Option<Pid> {
    Some(rustix::thread::gettid())
}

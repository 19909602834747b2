//! Everything of one run: virtual time, what happens next, controllers, network, brokers, clients, and the checks.
//!
//! One thread, one seed. Nothing here draws a number that the seed does not give, so a seed is a schedule, and a hash
//! over everything that happened says whether two runs were the same.

use crate::agenda::{Agenda, MS, What};
use crate::broker::{Birth, Broker};
use crate::calls::Call;
use crate::check::Checks;
use crate::check::images::{hash, mix};
use crate::client::{Client, set_name};
use crate::fault::Struck;
use crate::network::{Cargo, Network, Place, Way};
use crate::node::{Clock, Node};
use crate::plan::Plan;
use crate::random::Random;
use crate::run::Sink;
use crate::sometimes::Sometimes;
use consensus::Role;
use controller::Effect;
use std::collections::BTreeMap;
use workload::history::History;

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The broken invariant, as docs/RELIABILITY.md names it; `assert` if the code under test stopped itself.
    pub invariant: &'static str,
    /// What is wrong.
    pub text: String,
    /// When, in simulated microseconds.
    pub at_micros: u64,
}

/// Everything of one run.
pub(crate) struct World<'a> {
    pub(crate) plan: Plan,
    pub(crate) now: u64,
    pub(crate) agenda: Agenda,
    pub(crate) nodes: Vec<Node>,
    pub(crate) net: Network,
    pub(crate) brokers: Vec<Broker>,
    pub(crate) clients: Vec<Client>,
    pub(crate) calls: BTreeMap<u64, Call>,
    pub(crate) next_call: u64,
    pub(crate) checks: Checks,
    pub(crate) sometimes: Sometimes,
    pub(crate) failure: Option<Failure>,
    pub(crate) struck: Vec<Struck>,
    /// Faults that wait for their moment.
    pub(crate) armed: Vec<usize>,
    /// When the way between two controllers was last disturbed.
    pub(crate) disturbances: BTreeMap<(Place, Place), u64>,
    /// Until when a notice is under way, and its epoch.
    pub(crate) notices: BTreeMap<usize, (u64, i32)>,
    /// Role and term of each controller after its last turn.
    pub(crate) roles: Vec<Option<Role>>,
    pub(crate) terms: Vec<u64>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) turns: u64,
    pub(crate) events: u64,
    /// All requests and what came of them, with a counter that never repeats as their clock.
    pub(crate) history: History,
    pub(crate) moment: u64,
    trace_hash: u64,
    sink: Option<Sink<'a>>,
}

impl<'a> World<'a> {
    /// Controllers with empty disks, brokers and clients, none of which runs.
    pub(crate) fn new(plan: Plan, sink: Option<Sink<'a>>) -> Self {
        let (seed, count) = (plan.seed, plan.nodes);
        let node = |(number, clock): (usize, &crate::plan::ClockPlan)| {
            let clock = Clock { rate: clock.rate, offset: clock.offset, grain: clock.grain };
            let mut node = Node::new(seed, number, count, clock);
            node.live.enable_elect_unclean_master = plan.unclean >> number & 1 == 1;
            node
        };
        let nodes: Vec<Node> = plan.clocks.iter().enumerate().map(node).collect();
        let brokers_count = plan.sets * plan.replicas;
        let brokers = (0..brokers_count).map(|number| {
            let set = number / plan.replicas;
            Broker::new(Birth {
                set: set_name(set),
                number: number % plan.replicas,
                place: count + number,
                siblings: set * plan.replicas..(set + 1) * plan.replicas,
                connections_of: number / plan.per_process * plan.per_process,
                timeout_ms: plan.heartbeat_timeout_ms,
                nodes: count,
                random: Random::stream(seed, "broker", number),
            })
        });
        let first_client = count + brokers_count;
        let clients = plan.clients.iter().enumerate().map(|(number, &(trade, pause))| {
            let random = Random::stream(seed, "client", number);
            Client::new(trade, first_client + number, pause, count, random)
        });
        let (brokers, clients): (Vec<_>, Vec<_>) = (brokers.collect(), clients.collect());
        let places = first_client + clients.len();
        let mut checks = Checks::default();
        checks.is_without_failover =
            plan.weather.loss + plan.weather.overtaking > 0 || plan.has_doubles;
        Self {
            net: Network::new(seed, count, places, plan.weather.clone()),
            struck: vec![Struck::default(); plan.faults.len()],
            armed: Vec::new(),
            now: MS,
            agenda: Agenda::default(),
            nodes,
            brokers,
            clients,
            calls: BTreeMap::new(),
            next_call: 1,
            checks,
            sometimes: Sometimes::default(),
            failure: None,
            disturbances: BTreeMap::new(),
            notices: BTreeMap::new(),
            roles: vec![None; count],
            terms: vec![0; count],
            effects: Vec::new(),
            turns: 0,
            events: 0,
            history: History {
                is_complete: true,
                origin: format!("pitchover sim --preset {} --seed {seed}", plan.preset),
                operations: Vec::new(),
            },
            moment: 0,
            trace_hash: seed,
            sink,
            plan,
        }
    }

    /// Something happens in so many microseconds.
    pub(crate) fn put(&mut self, micros: u64, what: What) {
        self.agenda.put(self.now + micros, what);
    }

    /// Lets time pass until a moment, or until something is wrong.
    pub(crate) fn run_to(&mut self, end: u64) {
        while self.failure.is_none() {
            let Some((moment, what)) = self.agenda.take(end) else {
                self.now = end.max(self.now);
                return;
            };
            self.now = moment;
            self.events += 1;
            self.happen(what);
        }
    }

    fn is_alive(&self, node: usize, boot: u64) -> bool {
        self.nodes[node].boot == boot
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Turn { node, boot } if self.is_alive(node, boot) => {
                self.trace_word(node as u64 + 1);
                self.turn(node);
            }
            What::Wake { node, boot, wish } if self.is_alive(node, boot) => self.woken(node, wish),
            What::Written { node, boot } if self.is_alive(node, boot) => self.written(node),
            What::Idle { node, boot } if self.is_alive(node, boot) => self.idle(node),
            What::Start { node, boot } if self.is_alive(node, boot) => self.start(node),
            What::Dial { node, boot, peer } if self.is_alive(node, boot) => self.dial(node, peer),
            What::NotDialled { node, boot, peer, is_refused } if self.is_alive(node, boot) => {
                self.not_dialled(node, peer, is_refused);
            }
            What::Tell { node, boot, event } if self.is_alive(node, boot) => {
                self.tell(node, *event);
            }
            What::Turn { .. }
            | What::Wake { .. }
            | What::Written { .. }
            | What::Idle { .. }
            | What::Start { .. }
            | What::Dial { .. }
            | What::NotDialled { .. }
            | What::Tell { .. } => {}
            What::Arrive { pipe, lane, sequence, cargo } => {
                if let Some((place, cargo)) = self.comes_out(pipe, lane, sequence, cargo) {
                    self.arrive(place, (pipe, lane, sequence), cargo);
                }
            }
            What::Stray { pipe, bytes } => self.stray(pipe, bytes),
            What::Unacknowledged { pipe, since } => self.still_unacknowledged(pipe, since),
            What::Hangup { pipe, lane } => self.hung_up(pipe, lane),
            What::Broker { broker, life, alarm } => {
                if self.brokers[broker].life == life && self.brokers[broker].is_up {
                    self.broker_alarm(broker, alarm);
                }
            }
            What::Begin { broker } => self.start_broker(broker),
            What::Client { client } => self.client_acts(client),
            What::TimedOut { call } => self.timed_out(call),
            What::Strike { fault } => self.strike(fault),
            What::Mend { fault } => self.mend(fault),
        }
    }

    fn arrive(&mut self, place: Place, way: Way, cargo: Cargo) {
        if place < self.nodes.len() {
            return self.arrived_at_node(place, way, cargo);
        }
        let (pipe, lane, sequence) = way;
        match cargo {
            Cargo::Answer { call, response } => self.heard_answer(sequence, call, *response),
            Cargo::Close => self.hung_up(pipe, lane),
            Cargo::Hello
            | Cargo::Welcome
            | Cargo::Peer(_)
            | Cargo::Garbage
            | Cargo::Question(_) => {
                self.fail("K4", "a client is sent what is none of its business".to_owned());
            }
        }
    }

    fn stray(&mut self, pipe: u64, bytes: bytes::Bytes) {
        let Some(open) = self.net.pipes.get(&pipe) else { return };
        let (from, to) = (open.dialler(), open.acceptor());
        if self.net.is_cut(from, to) || self.nodes[to].frozen_until > self.now {
            return;
        }
        self.peer_message(to, from, pipe, bytes);
    }

    /// Something is wrong; the first that is counts.
    pub(crate) fn fail(&mut self, invariant: &'static str, text: String) {
        let at_micros = self.now;
        self.failure.get_or_insert(Failure { invariant, text, at_micros });
    }

    pub(crate) fn sometimes(&mut self, name: &'static str) {
        self.sometimes.hit(name);
    }

    /// A line for whoever looks at the trace.
    pub(crate) fn trace(&mut self, line: impl FnOnce() -> String) {
        if let Some(sink) = &mut self.sink {
            let (seconds, micros) = (self.now / 1_000_000, self.now % 1_000_000);
            sink(&format!("{seconds:5}.{micros:06} {}", line()));
        }
    }

    pub(crate) fn trace_effect(&mut self, node: usize, effect: &Effect) {
        let number = match effect {
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
        };
        self.trace_word((number << 8) + node as u64);
        if self.sink.is_some() && !matches!(effect, Effect::WakeAt(_)) {
            self.trace(|| format!("node {node} {effect:?}"));
        }
    }

    pub(crate) fn trace_bytes(&mut self, bytes: &[u8]) {
        let word = hash(bytes);
        self.trace_word(word);
    }

    /// Adds a number to the hash over everything that happened, with the moment.
    pub(crate) fn trace_word(&mut self, word: u64) {
        self.trace_hash = mix(mix(self.trace_hash, self.now), word);
    }

    /// The hash over everything that happened.
    pub(crate) fn trace_hash(&self) -> u64 {
        self.trace_hash
    }
}

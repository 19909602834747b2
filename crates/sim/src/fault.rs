//! Faults: what may strike, and how it is carried out and mended.
//!
//! A partition that flaps, and one that goes round (*swizzle*), are several faults of a plan. Some faults wait for a
//! [`Moment`]: what can only go wrong within a millisecond would hardly ever be struck by chance.

mod broker;
mod client;
mod damage;

use crate::agenda::{MS, What};
use crate::network::{Lane, PipeId, Place};
use crate::world::World;
use consensus::Role;
use controller::{Event, MasterLists};
use journal::Fault as DiskFault;

/// Which controller a fault strikes; found out when it strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// This one.
    Node(usize),
    /// Whoever leads; if nobody does, the first.
    Leader,
    /// One that does not lead.
    Follower(usize),
}

/// Who no longer reaches whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One controller and all others, brokers and clients too.
    Isolated(Who),
    /// Nothing reaches a controller from the others.
    DeafTo(Who),
    /// Nothing a controller says reaches the others.
    MuteTo(Who),
    /// Two halves; the bits say who is in the first.
    Halves(u64),
    /// Each controller reaches its two neighbours.
    Ring,
    /// Two halves, joined by one controller.
    Bridge(Who),
    /// Two controllers from each other.
    Pair(Who, Who),
    /// The leader from the other controllers only.
    LeaderFromFollowers,
    /// All brokers from the leader.
    BrokersFromLeader,
    /// All clients from everybody.
    Clients,
    /// One broker from one controller.
    Broker(usize, Who),
    /// The whole set of this broker from all controllers.
    Set(usize),
}

/// A moment at which a fault hurts most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Somebody leads.
    Elected,
    /// Something is committed that nobody knew to be.
    Committed,
    /// A follower is offered a snapshot.
    Offered,
    /// A leader tells somebody to take over.
    HandedOver,
    /// A leader proposes an election.
    Proposed,
    /// A broker is sent a notice.
    Notified,
}

/// What strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A process ends; with `power`, its host does. It is back when the fault is mended.
    Crash(Who, bool),
    /// The power goes at this operation of the disk, counted from now.
    CrashAtOperation(Who, u64),
    /// A process ends, and its next start ends at this operation of the disk.
    CrashInRecovery(Who, u64),
    /// All processes end.
    CrashAll(bool),
    /// A process sees no events while time goes on.
    Pause(Who),
    /// All of them, as when their hosts share one that is suspended.
    PauseAll,
    /// A process is asked to stop.
    Stop(Who),
    /// A disk is replaced by an empty one.
    Wipe(usize),
    /// One byte of a disk changes while its process is down; the number chooses which.
    Rot(usize, u64),
    /// Settings of one controller change while it runs.
    Configure(Who, bool),
    /// One controller is told whom its operator wants as masters and whom never; the number chooses.
    Prefer(Who, u64),
    /// A partition.
    Partition(Shape),
    /// Everything between a controller and everybody takes so much longer, in microseconds.
    Clog(Who, u64),
    /// All connections of a controller break.
    Reset(Who),
    /// A disk is so many times slower.
    SlowDisk(Who, u64),
    /// A disk finishes nothing.
    HungDisk(Who),
    /// No disk finishes anything, as when all lie in one storage.
    HungDisks,
    /// An operation of the disk fails, counted from now; `true`: a write is done half.
    DiskError(Who, u64, bool),
    /// A disk takes no more bytes.
    FullDisk(Who),
    /// A broker's process ends; with `power`, its host does.
    BrokerCrash(usize, bool),
    /// A broker's process sees no events.
    BrokerPause(usize),
    /// A broker loses its files while it is down.
    BrokerForgets(usize),
    /// A broker's log is shorter after a crash.
    BrokerFallsBack(usize),
    /// A broker comes back with the identity of its neighbour.
    BrokerDoubles(usize),
    /// A broker takes so long to handle notices, in microseconds.
    BrokerSlow(usize, u64),
    /// A broker comes back with another address.
    BrokerMoves(usize),
    /// The connections of a broker break; its process does not.
    BrokerReset(usize),
    /// A broker's own port refuses, and its connection to the leader breaks; the others hear it all the time.
    BrokerShut(usize),
    /// Connects to a broker get no answer; the connections that it has go on.
    BrokerUnanswered(usize),
    /// A broker opens new connections, and the old ones are closed when the fault is mended.
    BrokerReconnects(usize),
    /// A broker takes nothing from its master.
    BrokerLags(usize),
    /// Whoever is master in the set of this broker ends; with `power`, its host does.
    MasterCrash(usize, bool),
    /// So many requests at once.
    Burst(usize),
    /// Everybody outside asks one controller at once, so many times each.
    Crowd(Who, usize),
    /// An operator makes another one of this broker's set its master.
    Designate(usize),
}

impl Kind {
    /// The broker that it strikes, if it strikes one.
    pub(crate) fn broker(self) -> Option<usize> {
        match self {
            Self::BrokerCrash(broker, _)
            | Self::BrokerPause(broker)
            | Self::BrokerForgets(broker)
            | Self::BrokerFallsBack(broker)
            | Self::BrokerDoubles(broker)
            | Self::BrokerSlow(broker, _)
            | Self::BrokerMoves(broker)
            | Self::BrokerReset(broker)
            | Self::BrokerShut(broker)
            | Self::BrokerUnanswered(broker)
            | Self::BrokerReconnects(broker)
            | Self::BrokerLags(broker)
            | Self::MasterCrash(broker, _)
            | Self::Designate(broker)
            | Self::Partition(Shape::Broker(broker, _) | Shape::Set(broker)) => Some(broker),
            _ => None,
        }
    }
}

/// One fault of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// When it strikes, in ms.
    pub at_ms: u64,
    /// How long it lasts, in ms.
    pub for_ms: u64,
    /// What strikes.
    pub kind: Kind,
    /// What it waits for then, and how long after that it strikes, in microseconds; at once without.
    pub on: Option<(Moment, u64)>,
}

/// What a fault that struck has to take back.
#[derive(Debug, Clone, Default)]
pub(crate) struct Struck {
    cuts: Vec<(Place, Place)>,
    nodes: Vec<usize>,
    /// Connections that are still to be closed.
    pipes: Vec<PipeId>,
    /// The broker that was found to be struck.
    broker: Option<usize>,
    is_on: bool,
    /// Its moment has come.
    is_due: bool,
}

impl World<'_> {
    /// The controller that leads, in the newest term if several think so.
    pub(crate) fn leader(&self) -> Option<usize> {
        let leading = (0..self.nodes.len()).filter(|&node| self.is_leading(node));
        leading.max_by_key(|&node| self.terms[node])
    }

    pub(crate) fn is_leading(&self, node: usize) -> bool {
        self.roles[node] == Some(Role::Leader) && self.is_up(node)
    }

    fn who(&self, who: Who) -> usize {
        match who {
            Who::Node(node) => node,
            Who::Leader => self.leader().unwrap_or(0),
            Who::Follower(place) => {
                let leader = self.leader();
                let mut followers = (0..self.nodes.len()).filter(|&node| Some(node) != leader);
                let count = self.nodes.len() - usize::from(leader.is_some());
                followers.nth(place % count.max(1)).unwrap_or(0)
            }
        }
    }

    /// Something happens that faults wait for.
    pub(crate) fn comes(&mut self, moment: Moment) {
        let mut waiting = std::mem::take(&mut self.armed);
        waiting.retain(|&fault| match self.plan.faults[fault].on {
            Some((wanted, micros)) if wanted == moment => {
                self.struck[fault].is_due = true;
                self.put(micros, What::Strike { fault });
                false
            }
            Some(_) | None => true,
        });
        self.armed = waiting;
    }

    /// A fault of the plan strikes.
    pub(crate) fn strike(&mut self, number: usize) {
        let fault = self.plan.faults[number];
        if fault.on.is_some() && !self.struck[number].is_due {
            self.armed.push(number);
            return;
        }
        self.trace(|| format!("fault {number}: {fault:?}"));
        self.struck[number].is_on = true;
        self.put(fault.for_ms * MS, What::Mend { fault: number });
        match fault.kind {
            Kind::Crash(who, power) => {
                self.strike_node(number, who, |world, node| world.end(node, power));
            }
            Kind::CrashAll(power) => {
                for node in 0..self.nodes.len() {
                    self.end(node, power);
                    self.struck[number].nodes.push(node);
                }
            }
            Kind::Pause(who) => {
                let until = self.now + fault.for_ms * MS;
                self.strike_node(number, who, |world, node| world.pause(node, until));
            }
            Kind::PauseAll => {
                let until = self.now + fault.for_ms * MS;
                for node in 0..self.nodes.len() {
                    self.strike_node(number, Who::Node(node), |world, it| world.pause(it, until));
                }
            }
            Kind::Stop(who) => {
                self.strike_node(number, who, |world, node| world.tell(node, Event::Stop));
            }
            Kind::Configure(who, unclean) => self.strike_node(number, who, |world, node| {
                world.nodes[node].live.enable_elect_unclean_master = unclean;
                let live = world.nodes[node].live.clone();
                world.tell(node, Event::Configured(live));
            }),
            Kind::Prefer(who, draw) => self.strike_node(number, who, |world, node| {
                world.prefer(node, draw);
            }),
            Kind::Partition(shape) => self.partition(number, shape),
            Kind::Clog(who, micros) => {
                self.strike_node(number, who, |world, node| world.clog_all(node, micros));
            }
            Kind::Reset(who) => self.strike_node(number, who, Self::reset),
            Kind::Burst(_) | Kind::Crowd(..) | Kind::Designate(_) => {
                self.clients_strike(fault.kind);
            }
            Kind::CrashAtOperation(..)
            | Kind::CrashInRecovery(..)
            | Kind::Wipe(_)
            | Kind::Rot(..)
            | Kind::SlowDisk(..)
            | Kind::HungDisk(_)
            | Kind::HungDisks
            | Kind::DiskError(..)
            | Kind::FullDisk(_) => self.strike_disk(number, fault),
            Kind::BrokerCrash(..)
            | Kind::BrokerPause(_)
            | Kind::BrokerForgets(_)
            | Kind::BrokerFallsBack(_)
            | Kind::BrokerDoubles(_)
            | Kind::BrokerSlow(..)
            | Kind::BrokerMoves(_)
            | Kind::BrokerReset(_)
            | Kind::BrokerShut(_)
            | Kind::BrokerUnanswered(_)
            | Kind::BrokerReconnects(_)
            | Kind::BrokerLags(_)
            | Kind::MasterCrash(..) => self.strike_broker(number, fault),
        }
    }

    fn strike_disk(&mut self, number: usize, fault: Fault) {
        match fault.kind {
            Kind::CrashAtOperation(who, operations) => {
                self.strike_node(number, who, |world, node| {
                    world.nodes[node].fail_disk(operations, DiskFault::PowerLoss);
                });
            }
            Kind::CrashInRecovery(who, operations) => {
                self.strike_node(number, who, |world, node| {
                    world.end(node, true);
                    world.nodes[node].fail_disk(operations, DiskFault::PowerLoss);
                });
            }
            Kind::Wipe(node) => self.wipe(number, node),
            Kind::Rot(node, draw) => self.rot(number, node, draw),
            Kind::SlowDisk(who, times) => self.strike_node(number, who, |world, node| {
                world.nodes[node].writer.slowness = times;
                world.disturbed(node, node);
            }),
            Kind::HungDisk(who) => self.hang(number, who, fault.for_ms),
            Kind::HungDisks => {
                for node in 0..self.nodes.len() {
                    self.hang(number, Who::Node(node), fault.for_ms);
                }
            }
            Kind::DiskError(who, operations, is_short) => {
                let kind = if is_short { DiskFault::Short } else { DiskFault::Error };
                self.strike_node(number, who, |world, node| {
                    world.nodes[node].fail_disk(operations, kind);
                });
            }
            Kind::FullDisk(who) => self.strike_node(number, who, |world, node| {
                world.nodes[node].disk.set_capacity(Some(0));
                world.disturbed(node, node);
            }),
            _ => {}
        }
    }

    fn hang(&mut self, number: usize, who: Who, for_ms: u64) {
        let until = self.now + for_ms * MS;
        self.strike_node(number, who, |world, node| {
            let hung_until = &mut world.nodes[node].writer.hung_until;
            *hung_until = until.max(*hung_until);
            world.disturbed(node, node);
        });
    }

    fn strike_node(&mut self, number: usize, who: Who, strike: impl FnOnce(&mut Self, usize)) {
        let node = self.who(who);
        self.struck[number].nodes.push(node);
        strike(self, node);
    }

    /// A fault of the plan ends; what it took is given back.
    pub(crate) fn mend(&mut self, number: usize) {
        let fault = self.plan.faults[number];
        let Struck { cuts, nodes, pipes, broker, is_on, .. } =
            std::mem::take(&mut self.struck[number]);
        if !is_on {
            return;
        }
        for pipe in pipes {
            let place = self.net.pipes.get(&pipe).map(crate::network::Pipe::dialler);
            if let Some(owner) = place.and_then(|place| place.checked_sub(self.nodes.len())) {
                self.connections_break(owner);
            }
            self.close(pipe, Lane::Up);
        }
        if let Some(broker) = broker {
            self.start_broker(broker);
        }
        for (from, to) in cuts {
            self.cut(from, to, false);
        }
        for node in nodes {
            match fault.kind {
                Kind::Clog(..) => self.clog_all(node, 0),
                Kind::SlowDisk(..) => self.nodes[node].writer.slowness = 1,
                Kind::FullDisk(_) => self.nodes[node].disk.set_capacity(None),
                _ => {}
            }
            if self.is_up(node) {
                self.nodes[node].well_since = self.now;
            } else {
                self.start(node);
            }
        }
        match fault.kind {
            Kind::BrokerCrash(broker, _)
            | Kind::BrokerForgets(broker)
            | Kind::BrokerFallsBack(broker)
            | Kind::BrokerDoubles(broker)
            | Kind::BrokerMoves(broker) => self.start_broker(broker),
            Kind::BrokerSlow(broker, _) => self.brokers[broker].takes_notices_in(0, self.now),
            _ => {}
        }
    }

    /// Whether a partition lasts.
    pub(crate) fn has_partition(&self) -> bool {
        self.struck.iter().any(|struck| !struck.cuts.is_empty())
    }

    /// A fault takes nothing back any more, since everything is healed.
    pub(crate) fn forget_fault(&mut self, number: usize) {
        let struck = std::mem::take(&mut self.struck[number]);
        for pipe in struck.pipes {
            self.close(pipe, Lane::Up);
        }
    }

    fn prefer(&mut self, node: usize, draw: u64) {
        let (sets, replicas) = (self.plan.sets as u64, self.plan.replicas as u64);
        let broker = |shift: u64| {
            let (set, id) = ((draw >> shift) % sets, 1 + (draw >> shift >> 8) % replicas);
            (format!("set-{set}"), i64::try_from(id).unwrap_or(1))
        };
        let text = |(set, id): &(String, i64)| format!("{set}:{id}");
        let (preferred, never) =
            ([broker(0), broker(16)].map(|it| text(&it)).join(";"), broker(32));
        match MasterLists::parse(&preferred, &text(&never)) {
            Ok(masters) => self.nodes[node].live.masters = masters,
            Err((_, error)) => return self.fail("K4", format!("{preferred}, {never:?}: {error}")),
        }
        self.nodes[node].never.push(never);
        let live = self.nodes[node].live.clone();
        self.tell(node, Event::Configured(live));
    }

    fn pause(&mut self, node: usize, until: u64) {
        let state = &mut self.nodes[node];
        state.frozen_until = until.max(state.frozen_until);
        state.paused = (self.now, state.frozen_until);
        self.disturbed(node, node);
    }

    fn clog_all(&mut self, node: usize, micros: u64) {
        for place in (0..self.net.hosts.len()).filter(|&place| place != node) {
            self.clog(node, place, micros);
            self.clog(place, node, micros);
        }
    }

    fn reset(&mut self, node: usize) {
        let of_node =
            |pipe: &crate::network::Pipe| pipe.dialler() == node || pipe.acceptor() == node;
        let pipes = self.net.pipes.iter().filter(|(_, pipe)| of_node(pipe));
        let pipes: Vec<u64> = pipes.map(|(&pipe, _)| pipe).collect();
        for pipe in pipes {
            self.hung_up(pipe, Lane::Down);
            self.hung_up(pipe, Lane::Up);
        }
        for other in 0..self.nodes.len() {
            if other != node {
                self.disturbed(node, other);
            }
        }
    }

    fn cut_for(&mut self, number: usize, from: Place, to: Place) {
        if from != to {
            self.cut(from, to, true);
            self.struck[number].cuts.push((from, to));
        }
    }

    fn partition(&mut self, number: usize, shape: Shape) {
        let nodes = self.nodes.len();
        let places = self.net.hosts.len();
        let mut cuts: Vec<(Place, Place)> = Vec::new();
        let mut both = |one: Place, other: Place| cuts.extend([(one, other), (other, one)]);
        let pairs = || (0..nodes).flat_map(|one| (one + 1..nodes).map(move |other| (one, other)));
        match shape {
            Shape::Isolated(who) => {
                let node = self.who(who);
                (0..places).for_each(|place| both(node, place));
            }
            Shape::DeafTo(who) => {
                let node = self.who(who);
                cuts.extend((0..nodes).map(|other| (other, node)));
            }
            Shape::MuteTo(who) => {
                let node = self.who(who);
                cuts.extend((0..nodes).map(|other| (node, other)));
            }
            Shape::Halves(bits) => {
                let half = |node: usize| bits >> node & 1;
                pairs().filter(|(a, b)| half(*a) != half(*b)).for_each(|(a, b)| both(a, b));
            }
            Shape::Ring => {
                let is_near = |a: usize, b: usize| b - a == 1 || a + nodes - b == 1;
                pairs().filter(|(a, b)| !is_near(*a, *b)).for_each(|(a, b)| both(a, b));
            }
            Shape::Bridge(who) => {
                let bridge = self.who(who);
                let half = |node: usize| node % 2;
                let is_cut = |a: usize, b: usize| a != bridge && b != bridge && half(a) != half(b);
                pairs().filter(|(a, b)| is_cut(*a, *b)).for_each(|(a, b)| both(a, b));
            }
            Shape::Pair(one, other) => both(self.who(one), self.who(other)),
            Shape::LeaderFromFollowers => {
                let leader = self.who(Who::Leader);
                (0..nodes).for_each(|other| both(leader, other));
            }
            Shape::BrokersFromLeader => {
                let leader = self.who(Who::Leader);
                (nodes..nodes + self.brokers.len()).for_each(|broker| both(leader, broker));
            }
            Shape::Clients => {
                let clients = nodes + self.brokers.len()..places;
                clients.for_each(|client| (0..nodes).for_each(|node| both(node, client)));
            }
            Shape::Broker(broker, who) => both(self.who(who), nodes + broker),
            Shape::Set(broker) => {
                let siblings = self.brokers[broker].siblings.clone();
                siblings.for_each(|it| (0..nodes).for_each(|node| both(node, nodes + it)));
            }
        }
        for (from, to) in cuts {
            self.cut_for(number, from, to);
        }
    }

    /// A process stopped by itself, as it was asked to.
    pub(crate) fn stopped(&mut self, node: usize) {
        self.end(node, false);
        self.start_again(node);
    }
}

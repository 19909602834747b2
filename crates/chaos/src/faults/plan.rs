//! From a fault and the state of the cluster to deeds. Pure: the same seed and the same state give the same
//! deeds. What becomes rules of the network stands in `plan/rules.rs`, what happens to brokers in `plan/brokers.rs`.

mod brokers;
mod rules;

use super::Fault;
use super::catalogue::{Choice, ClockFault, DiskFault, Kind};
use super::network;
use super::rest::Rest;
use crate::clock::SECOND;
use crate::crowd::Manner;
use crate::disk::{Loss, Operations, Trouble};
use crate::draw::Draw;
use crate::fabric::{Hosts, Rule};
use crate::ground::skew::Skewed;
use rules::{links, partition};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Longest and shortest time that a fault lasts unless its kind says otherwise; drawn between them.
const LASTS: (u64, u64) = (SECOND, 8 * SECOND);

/// The same for a fault that is to outlast the time after which a Java broker counts as dead.
const LASTS_LONG: (u64, u64) = (7 * SECOND, 12 * SECOND);

/// The same for headers that are sent byte by byte: a controller of ours has enough of one after 5 s.
const LASTS_HEADERS: (u64, u64) = (10 * SECOND, 14 * SECOND);

/// Campaign time-out of the controllers, Raft's, as their settings have it by default.
pub(crate) const CAMPAIGN: u64 = SECOND;

/// Times that a crash loop kills.
const LOOPS: u64 = 5;

/// Starts at which a controller is killed, each in another part of the time that a start takes.
const STARTS: u64 = 5;

/// How much longer a sync of a slow disk takes, in ms.
const SLOW_MS: (u64, u64) = (100, 2_000);

/// Least and most writes a second that a throttled device takes; a journal syncs some hundred times.
const WRITES: (u64, u64) = (5, 40);

/// Most seconds that a clock is ahead.
const AHEAD_MAX: u64 = 3_600;

/// Least and most by which a clock goes faster or slower, in millionths.
const RATE_PPM: (u64, u64) = (50_000, 200_000);

/// Least and most seconds by which civil time jumps.
const JUMP_S: (u64, u64) = (1, 3_600);

/// Least and most seconds that a silent connection may stay, when that setting is changed. It is 120 otherwise.
const IDLE_S: (u64, u64) = (60, 119);

/// What is done to one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Kill this controller; healing starts it.
    Kill(usize),
    /// End it politely; healing starts it.
    Term(usize),
    /// Kill and start it so many times at once.
    CrashLoop(usize, u64),
    /// Kill it, and when each of its next starts has come so far, of 1,000; healing starts it.
    KillAtStart(usize, Vec<u64>),
    /// Kill it while it writes a snapshot; healing starts it.
    KillInSnapshot(usize),
    /// End politely and start one after the other.
    Rolling,
    /// Stop it; healing continues it.
    Suspend(usize),
    /// Freeze it; healing thaws it.
    Freeze(usize),
    /// A rule of the network; healing removes it.
    Rule(Rule),
    /// So many per cent of a processor.
    Quota(usize, u64),
    /// So many writes a second to the device below its data.
    Throttle(usize, u64),
    /// Fill its disk; healing frees it and starts the controller again.
    Fill(usize),
    /// Its disk fails or hangs; healing ends that and starts the controller again if it ended.
    Disk(usize, Trouble),
    /// It ends between a write and its sync, and what was not synced goes, by this seed; healing starts it.
    PowerLoss(usize, Loss, u64),
    /// Kill it and damage its files, by this seed; healing starts it, and wipes it if it refuses.
    Damage(usize, Rest, u64),
    /// Copy its files; healing starts it with that copy, and wipes it once it stopped serving.
    Backup(usize),
    /// End it by this signal's kind and remove its files; healing starts it.
    Wipe(usize, Farewell),
    /// Take memory until the kernel kills it; healing starts it.
    Memory(usize),
    /// Take its free descriptors.
    NoDescriptors(usize),
    /// Kill it; healing starts it with a clock that is so many seconds ahead.
    Ahead(usize, u64),
    /// Its clocks do this; healing lets them go on as clocks do.
    Skew(usize, Skewed),
    /// Put another build in the place of each controller; healing puts back what was there.
    Upgrade,
    /// A crowd asks too much of it, or what nobody may ask; healing ends that.
    Crowd(usize, Manner),
    /// Change a setting of it to so many seconds; healing sets it back.
    Reload(usize, u64),
    /// End this broker (set, place in the set); healing starts it.
    KillBroker(usize, usize),
    /// Stop this broker, which is a process; healing continues it.
    SuspendBroker(usize, usize),
}

/// How a controller ends whose place is emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Farewell {
    Killed,
    /// It hands its leadership over first.
    Polite,
}

/// A fault made concrete.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) deeds: Vec<Deed>,
    /// The entry of the catalogue that each deed belongs to, in the same order.
    pub(crate) of: Vec<&'static str>,
    /// Entries that found nothing to do it to.
    pub(crate) idle: Vec<&'static str>,
    /// Nanoseconds until it is healed.
    pub(crate) lasts: u64,
}

/// What a plan may know.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) controllers: Vec<Ipv4Addr>,
    pub(crate) leader: usize,
    /// Addresses of brokers, by set.
    pub(crate) brokers: Vec<Vec<Ipv4Addr>>,
    /// The master's place in each set, if it has one.
    pub(crate) masters: Vec<Option<usize>>,
    pub(crate) clients: Vec<Ipv4Addr>,
    pub(crate) fixed: usize,
    /// Controllers that were chosen at random for the same fault already: others are taken first, so that two faults at
    /// once do not end each other.
    pub(crate) taken: BTreeSet<usize>,
    /// Faults of the same moment that are still to come; each is left a controller.
    pub(crate) to_come: usize,
    /// How long the fault lasts unless its kind says otherwise; drawn without.
    pub(crate) each: Option<Duration>,
}

impl Scene {
    fn nodes(&self) -> usize {
        self.controllers.len()
    }

    fn addresses(&self, nodes: &[usize]) -> Hosts {
        nodes.iter().map(|node| self.controllers[*node]).collect()
    }

    fn others(&self, nodes: &[usize]) -> Hosts {
        let rest = (0..self.nodes()).filter(|node| !nodes.contains(node));
        rest.map(|node| self.controllers[node]).collect()
    }

    fn all_brokers(&self) -> Hosts {
        self.brokers.iter().flatten().copied().collect()
    }

    fn outsiders(&self) -> Hosts {
        self.all_brokers().into_iter().chain(self.clients.iter().copied()).collect()
    }

    fn take(&mut self, node: usize) -> Vec<usize> {
        self.taken.insert(node);
        vec![node]
    }

    /// The chosen controllers, by `draw`.
    fn choose(&mut self, choice: Choice, draw: &mut Draw) -> Vec<usize> {
        let nodes = self.nodes();
        let most_minor = ((nodes - 1) / 2).max(1);
        let count = match choice {
            Choice::Fixed => return self.take(self.fixed),
            Choice::Leader => return self.take(self.leader),
            Choice::All => nodes,
            Choice::Minor => 1 + draw.index(most_minor),
            Choice::Major => nodes / 2 + 1 + draw.index(nodes - nodes / 2),
            Choice::Random => 1 + draw.index(nodes),
        };
        let mut all: Vec<usize> = (0..nodes).collect();
        draw.shuffle(&mut all);
        all.sort_by_key(|node| self.taken.contains(node));
        let free = nodes - self.taken.len();
        let most = if choice == Choice::All { nodes } else { free.saturating_sub(self.to_come) };
        all.truncate(count.min(most).max(1));
        all.sort_unstable();
        self.taken.extend(&all);
        all
    }
}

/// Makes a fault concrete.
pub(crate) fn plan(fault: &Fault, scene: &Scene, draw: &mut Draw) -> Plan {
    let mut plan = Plan {
        deeds: Vec::new(),
        of: Vec::new(),
        idle: Vec::new(),
        lasts: draw.log_between(LASTS.0, LASTS.1),
    };
    if let Some(each) = scene.each {
        plan.lasts = u64::try_from(each.as_nanos()).unwrap_or(u64::MAX);
    }
    let mut scene = scene.clone();
    let mut needed = None;
    let mut entries = fault.entries.clone();
    // Last, when it is known whom the others end: nobody reads the clocks of those, answers or writes for them.
    entries.sort_by_key(|entry| {
        matches!(entry.kind, Kind::Clock(..) | Kind::Reload | Kind::Throttle(_))
    });
    for (at, entry) in entries.iter().enumerate() {
        scene.to_come = fault.entries.len() - at - 1;
        // Of several at once the one that needs longest has its way, in whatever order they are named.
        needed = needed.max(lasts(entry.kind, draw));
        let mut own = deeds(entry.kind, &mut scene, draw);
        let hindered = network::hindered(&scene, &plan.deeds);
        own.retain(|deed| {
            !matches!(deed, Deed::Reload(node, _) if hindered.contains(&scene.controllers[*node]))
        });
        plan.deeds.extend(own);
        if plan.deeds.len() == plan.of.len() && entry.kind != Kind::Noop {
            plan.idle.push(entry.name);
        }
        plan.of.resize(plan.deeds.len(), entry.name);
    }
    plan.lasts = needed.unwrap_or(plan.lasts);
    plan
}

/// How long a fault of this kind must last, in ns; `None` if any time will do.
fn lasts(kind: Kind, draw: &mut Draw) -> Option<u64> {
    match kind {
        Kind::Suspend { tenths, .. } if tenths > 0 => Some(CAMPAIGN * tenths / 10),
        Kind::Crowd(Manner::SlowHeaders) => Some(draw.between(LASTS_HEADERS.0, LASTS_HEADERS.1)),
        kind if kind.needs_java_brokers() => Some(draw.between(LASTS_LONG.0, LASTS_LONG.1)),
        _ => None,
    }
}

fn deeds(kind: Kind, scene: &mut Scene, draw: &mut Draw) -> Vec<Deed> {
    let each = |nodes: Vec<usize>, deed: fn(usize) -> Deed| nodes.into_iter().map(deed).collect();
    match kind {
        Kind::Noop | Kind::Cannot(_) => Vec::new(),
        Kind::Kill(choice) => each(scene.choose(choice, draw), Deed::Kill),
        Kind::Term(choice) => each(scene.choose(choice, draw), Deed::Term),
        Kind::CrashLoop(choice) => {
            let node = scene.choose(choice, draw)[0];
            vec![Deed::CrashLoop(node, LOOPS)]
        }
        Kind::KillAtStart(choice) => {
            let node = scene.choose(choice, draw)[0];
            vec![Deed::KillAtStart(node, moments(draw))]
        }
        Kind::KillInSnapshot(choice) => vec![Deed::KillInSnapshot(scene.choose(choice, draw)[0])],
        Kind::Rolling => vec![Deed::Rolling],
        Kind::Suspend { choice, .. } => each(scene.choose(choice, draw), Deed::Suspend),
        Kind::Freeze(choice) => each(scene.choose(choice, draw), Deed::Freeze),
        Kind::Partition(cut) => partition(cut, scene, draw).into_iter().map(Deed::Rule).collect(),
        Kind::Links(choice, link) => {
            let nodes = scene.choose(choice, draw);
            links(link, &nodes, scene).into_iter().map(Deed::Rule).collect()
        }
        Kind::Cpu(choice) => {
            let nodes = scene.choose(choice, draw);
            nodes.into_iter().map(|node| Deed::Quota(node, draw.between(5, 20))).collect()
        }
        Kind::Throttle(choice) => {
            let writes = draw.log_between(WRITES.0, WRITES.1);
            vec![Deed::Throttle(scene.choose(choice, draw)[0], writes)]
        }
        // A majority without disk is a cluster without a majority: one at a time shows more.
        Kind::DiskFull(choice) => vec![Deed::Fill(scene.choose(choice, draw)[0])],
        Kind::Disk(choice, fault) => {
            let nodes = scene.choose(choice, draw);
            nodes.into_iter().map(|node| disk(fault, node, draw)).collect()
        }
        Kind::Damage(rest) => {
            let node = scene.choose(Choice::Random, draw)[0];
            vec![Deed::Damage(node, rest, draw.bits())]
        }
        // Only while the leader remembers what a peer acknowledged can anybody tell that it forgot.
        Kind::Backup => {
            let step = 1 + draw.index(scene.nodes() - 1);
            vec![Deed::Backup((scene.leader + step) % scene.nodes())]
        }
        Kind::Wiped => vec![Deed::Wipe(draw.index(scene.nodes()), Farewell::Killed)],
        Kind::Replace => vec![Deed::Wipe(draw.index(scene.nodes()), Farewell::Polite)],
        Kind::Memory(choice) => each(scene.choose(choice, draw), Deed::Memory),
        Kind::NoDescriptors(choice) => each(scene.choose(choice, draw), Deed::NoDescriptors),
        Kind::ClockAhead(choice) => {
            let node = scene.choose(choice, draw)[0];
            vec![Deed::Ahead(node, draw.between(1, AHEAD_MAX))]
        }
        Kind::Clock(choice, fault) => {
            let nodes = scene.choose(choice, draw);
            nodes.into_iter().map(|node| Deed::Skew(node, skewed(fault, draw))).collect()
        }
        Kind::Upgrade => vec![Deed::Upgrade],
        Kind::Reload => {
            let seconds = draw.between(IDLE_S.0, IDLE_S.1);
            (0..scene.nodes()).map(|node| Deed::Reload(node, seconds)).collect()
        }
        Kind::Crowd(manner) => (0..scene.nodes()).map(|node| Deed::Crowd(node, manner)).collect(),
        Kind::MasterKill
        | Kind::ReplicaKill
        | Kind::MasterCut
        | Kind::MasterFromLeader
        | Kind::MasterSuspend
        | Kind::MasterFromReplicas
        | Kind::MasterApart => brokers::broker(kind, scene, draw),
    }
}

/// How far starts have come when they are broken off, of 1,000: one in each part of a start.
fn moments(draw: &mut Draw) -> Vec<u64> {
    let part = 1_000 / STARTS;
    (0..STARTS).map(|start| start * part + draw.below(part)).collect()
}

fn disk(fault: DiskFault, node: usize, draw: &mut Draw) -> Deed {
    let trouble = match fault {
        DiskFault::Fails => Trouble::Fail(Operations::All),
        DiskFault::SyncFails => Trouble::Fail(Operations::Syncs),
        DiskFault::ReadOnly => Trouble::ReadOnly,
        DiskFault::Hangs => Trouble::Hang(Operations::All),
        DiskFault::SyncHangs => Trouble::Hang(Operations::Syncs),
        DiskFault::SyncSlow => {
            let ms = draw.log_between(SLOW_MS.0, SLOW_MS.1);
            Trouble::Delay(Operations::Syncs, Duration::from_millis(ms))
        }
        DiskFault::PowerLoss => return Deed::PowerLoss(node, Loss::Drop, draw.bits()),
        DiskFault::TornWrites => return Deed::PowerLoss(node, Loss::Tear, draw.bits()),
    };
    Deed::Disk(node, trouble)
}

fn skewed(fault: ClockFault, draw: &mut Draw) -> Skewed {
    let either_way = |amount: u64, draw: &mut Draw| {
        let amount = i64::try_from(amount).unwrap_or_default();
        if draw.below(2) == 0 { amount } else { -amount }
    };
    match fault {
        ClockFault::Rate => {
            let amount = draw.between(RATE_PPM.0, RATE_PPM.1);
            Skewed { rate_ppm: either_way(amount, draw), jump_s: 0 }
        }
        ClockFault::Jump => {
            let amount = draw.between(JUMP_S.0, JUMP_S.1);
            Skewed { rate_ppm: 0, jump_s: either_way(amount, draw) }
        }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;

//! Whether rules of the network were felt: those of each fault by themselves, and wherever somebody certainly sends.
//!
//! | Way | Certain, because |
//! |---|---|
//! | leader to each other controller | it sends keepalives and entries |
//! | clients to each controller | writers and readers ask each without end; the operator only when it has heard what it asked before |
//! | brokers to the leader | they poll, send heartbeats, alter their sets |
//! | the same ways back | what is heard is acknowledged; not if a rule hinders the way there |
//!
//! On each such way that a rule covers the rule must have done something, or, where it does it only now and then, have
//! seen packets. Other ways are silent for seconds: followers speak to each other when they campaign. Nor is
//! anything expected of who is ended or hindered by another deed of the same moment, of a rule that is on and off, or of
//! a rule behind another fault's cut, which leaves it no packets.

use super::plan::{Deed, Scene};
use crate::fabric::{Counts, Effect, Hosts, Lifted, Rule};
use std::collections::{BTreeMap, BTreeSet};
use std::mem::discriminant;
use std::net::Ipv4Addr;

/// Some of `from` certainly send to some of `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    from: Hosts,
    to: Hosts,
    words: String,
}

/// A rule that was taken away, and the fault that it belonged to.
#[derive(Clone, Debug)]
pub(super) struct Felt {
    pub(super) fault: &'static str,
    pub(super) lifted: Lifted,
}

/// Controllers and brokers that another deed ends or hinders.
pub(super) fn hindered(scene: &Scene, deeds: &[Deed]) -> Hosts {
    let mut hosts = Hosts::new();
    for deed in deeds {
        match deed {
            Deed::Kill(node)
            | Deed::Term(node)
            | Deed::CrashLoop(node, _)
            | Deed::KillAtStart(node, _)
            | Deed::KillInSnapshot(node)
            | Deed::Suspend(node)
            | Deed::Freeze(node)
            | Deed::Quota(node, _)
            | Deed::Throttle(node, _)
            | Deed::Fill(node)
            | Deed::Disk(node, _)
            | Deed::PowerLoss(node, ..)
            | Deed::Damage(node, ..)
            | Deed::Backup(node)
            | Deed::Wipe(node, _)
            | Deed::Memory(node)
            | Deed::NoDescriptors(node)
            | Deed::Ahead(node, _)
            | Deed::Skew(node, _) => hosts.extend(scene.controllers.get(*node)),
            Deed::Rolling | Deed::Upgrade => hosts.extend(&scene.controllers),
            Deed::KillBroker(set, place) | Deed::SuspendBroker(set, place) => {
                hosts.extend(scene.brokers.get(*set).and_then(|set| set.get(*place)));
            }
            Deed::Rule(_) | Deed::Crowd(..) | Deed::Reload(..) => {}
        }
    }
    hosts
}

/// The ways on which something is certainly sent while these deeds are in force.
pub(crate) fn ways(scene: &Scene, deeds: &[Deed]) -> Vec<Way> {
    let hindered = hindered(scene, deeds);
    let free = |host: &&Ipv4Addr| !hindered.contains(*host);
    let leader = scene.controllers.get(scene.leader).filter(free);
    let clients: Hosts = scene.clients.iter().copied().collect();
    let brokers: Hosts = scene.brokers.iter().flatten().filter(free).copied().collect();
    let mut there = Vec::new();
    for (node, controller) in scene.controllers.iter().enumerate().filter(|(_, one)| free(one)) {
        if let Some(leader) = leader.filter(|leader| *leader != controller) {
            there.push((
                Hosts::from([*leader]),
                *controller,
                "the leader".into(),
                format!("n{node}"),
            ));
        }
        there.push((clients.clone(), *controller, "clients".to_owned(), format!("n{node}")));
    }
    if let Some(leader) = leader {
        there.push((brokers, *leader, "brokers".to_owned(), "the leader".to_owned()));
    }
    let mut ways = Vec::new();
    for (from, to, who, whom) in there {
        let to = Hosts::from([to]);
        if !deeds.iter().any(|deed| hinders(deed, &from, &to)) {
            let words = format!("{whom} to {who}");
            ways.push(Way { from: to.clone(), to: from.clone(), words });
        }
        ways.push(Way { from, to, words: format!("{who} to {whom}") });
    }
    ways
}

/// Whether a rule keeps these from hearing some of those, so that nobody answers.
fn hinders(deed: &Deed, from: &Hosts, to: &Hosts) -> bool {
    let Deed::Rule(rule) = deed else { return false };
    let lets_through = match rule.effect {
        Effect::Delay { .. }
        | Effect::Scatter { .. }
        | Effect::Duplicate { .. }
        | Effect::Reorder { .. }
        | Effect::Corrupt { .. } => true,
        Effect::Cut
        | Effect::Loss { .. }
        | Effect::Rate { .. }
        | Effect::DropSyn
        | Effect::DropEnd
        | Effect::DropOver { .. }
        | Effect::Reset { .. } => false,
    };
    !lets_through && !rule.from.is_disjoint(from) && !rule.to.is_disjoint(to)
}

/// Whether a few packets are enough for it to do something to one of them.
fn is_certain(effect: Effect) -> bool {
    match effect {
        Effect::Cut | Effect::Loss { .. } | Effect::Delay { .. } | Effect::Scatter { .. } => true,
        Effect::Duplicate { .. }
        | Effect::Reorder { .. }
        | Effect::Corrupt { .. }
        | Effect::Rate { .. }
        | Effect::DropSyn
        | Effect::DropEnd
        | Effect::DropOver { .. }
        | Effect::Reset { .. } => false,
    }
}

/// What the rules of each fault did, in words.
pub(super) fn evidence(felt: &[Felt]) -> Vec<String> {
    let mut sums: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    for one in felt {
        let sum = sums.entry(one.fault).or_default();
        *sum = (sum.0 + 1, sum.1 + one.lifted.sum().touched);
    }
    let words = |(fault, (rules, touched)): (&str, (usize, u64))| {
        let rules = if rules == 1 { "1 rule".to_owned() } else { format!("{rules} rules") };
        format!("{rules} of {fault} touched {touched} packets")
    };
    sums.into_iter().map(words).collect()
}

/// A doubt for each fault whose rules did nothing, for each of its effects that did nothing anywhere, and for each way that
/// its rules cover and did nothing on.
pub(super) fn unfelt(felt: &[Felt], ways: &[Way]) -> Vec<String> {
    let mut doubts = Vec::new();
    let faults: BTreeSet<&str> = felt.iter().map(|one| one.fault).collect();
    for fault in faults {
        let own: Vec<&Felt> = felt.iter().filter(|one| one.fault == fault).collect();
        let kind = |one: &Felt| discriminant(&one.lifted.rule.effect);
        let is_felt = |one: &Felt| one.lifted.sum().touched > 0;
        if !own.iter().any(|one| is_felt(one)) {
            doubts.push(format!("no packet was touched by {fault}"));
            continue;
        }
        // One effect of a fault prepares the other: `half-open` resets, and drops what is answered to that.
        let is_idle =
            |one: &&&Felt| !own.iter().any(|felt| kind(felt) == kind(one) && is_felt(felt));
        let idle: BTreeSet<&str> =
            own.iter().filter(is_idle).map(|one| one.lifted.rule.effect.words()).collect();
        doubts.extend(
            idle.iter().map(|words| format!("{fault}: no packet was touched by its {words}")),
        );
        for way in ways {
            if own.iter().any(|one| !one.is_felt_on(way, felt)) {
                doubts.push(format!("{fault} touched no packet from {}", way.words));
            }
        }
    }
    doubts
}

impl Felt {
    /// Whether it did on a way what it must; `true` if nothing is expected of it there.
    fn is_felt_on(&self, way: &Way, all: &[Self]) -> bool {
        let rule = &self.lifted.rule;
        let is_cut_before = |from: &Ipv4Addr, to: &Ipv4Addr| {
            let mut others = all.iter().filter(|other| other.fault != self.fault);
            others.any(|other| {
                let Rule { from: senders, to: receivers, effect, pulse } = &other.lifted.rule;
                let fits = senders.contains(from) && receivers.contains(to);
                fits && *effect == Effect::Cut && pulse.is_none()
            })
        };
        let from = rule.from.intersection(&way.from);
        let to: Vec<_> = rule.to.intersection(&way.to).collect();
        let pairs: Vec<_> = from.flat_map(|from| to.iter().map(move |to| (*from, **to))).collect();
        let is_left = pairs.iter().any(|(from, to)| from != to && !is_cut_before(from, to));
        if rule.pulse.is_some() || !is_left {
            return true;
        }
        let done = |counts: &Counts| {
            if is_certain(rule.effect) { counts.touched } else { counts.fitted }
        };
        pairs.iter().filter_map(|pair| self.lifted.pairs.get(pair)).any(|counts| done(counts) > 0)
    }
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;

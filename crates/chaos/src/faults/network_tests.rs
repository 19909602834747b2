//! Plans of real faults, and what their rules are said to have done.

use super::{Felt, unfelt, ways};
use crate::draw::Draw;
use crate::fabric::{Counts, Effect, Lifted};
use crate::faults::parse;
use crate::faults::plan::{Deed, Plan, Scene, plan};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

type Pair = ((u8, u8), (u8, u8));

fn host((net, last): (u8, u8)) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, net, last)
}

fn scene() -> Scene {
    Scene {
        controllers: (1..=3).map(|node| host((0, node))).collect(),
        leader: 1,
        brokers: vec![(1..=3).map(|broker| host((1, broker))).collect()],
        masters: vec![Some(2)],
        clients: vec![host((2, 1)), host((2, 2))],
        fixed: 0,
        taken: BTreeSet::new(),
        to_come: 0,
        each: None,
    }
}

/// The doubts about a plan if every packet of every pair was touched, but for what `silent` names.
fn doubts(plan: &Plan, silent: impl Fn(&str, Pair) -> bool) -> Vec<String> {
    let last = |one: &Ipv4Addr| (one.octets()[2], one.octets()[3]);
    let mut felt = Vec::new();
    for (deed, fault) in plan.deeds.iter().zip(&plan.of) {
        let Deed::Rule(rule) = deed else { continue };
        let mut pairs = BTreeMap::new();
        for from in &rule.from {
            for to in &rule.to {
                if !silent(fault, (last(from), last(to))) {
                    pairs.insert((*from, *to), Counts { fitted: 2, touched: 1, dropped: 1 });
                }
            }
        }
        felt.push(Felt { fault, lifted: Lifted { rule: rule.clone(), pairs } });
    }
    unfelt(&felt, &ways(&scene(), &plan.deeds))
}

fn of(name: &str) -> Plan {
    plan(&parse(name, 3).unwrap()[0], &scene(), &mut Draw::new(3))
}

const LEADER: (u8, u8) = (0, 2);

#[test]
fn what_one_fault_touched_does_not_stand_for_the_other() {
    let plan = of("leader-partition+random-loss");
    assert_eq!(doubts(&plan, |_, _| false), [""; 0]);
    for silent in ["leader-partition", "random-loss"] {
        let found = doubts(&plan, |fault, _| fault == silent);
        assert_eq!(found, [format!("no packet was touched by {silent}")]);
    }
}

#[test]
fn a_cut_is_felt_on_each_way_on_which_somebody_sends() {
    let plan = of("leader-partition");
    let check = |pairs: &[Pair], expected: &[&str]| {
        assert_eq!(doubts(&plan, |_, pair| pairs.contains(&pair)), expected);
    };
    check(&[(LEADER, (0, 1))], &["leader-partition touched no packet from the leader to n0"]);
    check(&[((0, 1), LEADER), ((0, 3), LEADER)], &[]);
    check(&[((2, 1), LEADER)], &[]);
    check(
        &[((2, 1), LEADER), ((2, 2), LEADER)],
        &["leader-partition touched no packet from clients to n1"],
    );
    let brokers: Vec<Pair> = (1..=3).map(|broker| ((1, broker), LEADER)).collect();
    check(&brokers, &["leader-partition touched no packet from brokers to the leader"]);
}

#[test]
fn the_way_back_counts_where_the_way_there_is_open() {
    let silent = |name| doubts(&of(name), |_, (from, to)| (from, to) == ((0, 3), LEADER));
    assert_eq!(silent("one-way-in"), ["one-way-in touched no packet from n2 to the leader"]);
    assert_eq!(silent("leader-from-followers"), [""; 0]);
    let master = |_: &str, pair| pair == ((1, 3), LEADER);
    let found = doubts(&of("master-from-leader+bursts"), master);
    assert_eq!(found, ["master-from-leader touched no packet from brokers to the leader"]);
}

#[test]
fn nothing_is_expected_of_who_is_ended_or_of_a_pulse() {
    let from_leader = |_: &str, (from, _): Pair| from == LEADER;
    assert_eq!(doubts(&of("bursts"), from_leader), [""; 0]);
    assert_eq!(doubts(&of("flapping"), |_, pair| pair == (LEADER, (0, 1))), [""; 0]);
    assert_eq!(doubts(&of("leader-suspend+reorder"), from_leader), [""; 0]);
    assert_ne!(doubts(&of("reorder"), from_leader), [""; 0]);
}

#[test]
fn what_happens_now_and_then_must_have_seen_packets() {
    let plan = of("reset");
    let mut seen: Vec<Felt> = Vec::new();
    for (deed, fault) in plan.deeds.iter().zip(&plan.of) {
        let Deed::Rule(rule) = deed else { panic!("{deed:?}") };
        let pair = |from: &Ipv4Addr, to: &Ipv4Addr| {
            let touched = u64::from(*from == host((2, 1)));
            ((*from, *to), Counts { fitted: 9, touched, dropped: 0 })
        };
        let pairs = rule.from.iter().flat_map(|from| rule.to.iter().map(move |to| pair(from, to)));
        let lifted = Lifted { rule: rule.clone(), pairs: pairs.collect() };
        seen.push(Felt { fault, lifted });
    }
    assert_eq!(unfelt(&seen, &ways(&scene(), &plan.deeds)), [""; 0]);
}

#[test]
fn each_effect_of_a_fault_must_be_felt_somewhere() {
    let felt = |name: &str, is_felt: fn(Effect) -> bool| {
        let plan = of(name);
        let mut seen = Vec::new();
        for (deed, fault) in plan.deeds.iter().zip(&plan.of) {
            let Deed::Rule(rule) = deed else { panic!("{deed:?}") };
            let touched = u64::from(is_felt(rule.effect));
            let counts = Counts { fitted: 9, touched, dropped: 0 };
            let pairs =
                rule.from.iter().flat_map(|from| rule.to.iter().map(move |to| (*from, *to)));
            let pairs = pairs.map(|pair| (pair, counts)).collect();
            seen.push(Felt { fault, lifted: Lifted { rule: rule.clone(), pairs } });
        }
        unfelt(&seen, &ways(&scene(), &plan.deeds))
    };
    for name in ["half-open", "syn-drop"] {
        assert_eq!(felt(name, |_| true), [""; 0]);
    }
    let resets = |effect| matches!(effect, Effect::Reset { .. });
    let found = felt("half-open", resets);
    assert_eq!(found, ["half-open: no packet was touched by its drops of FIN and RST"]);
    let found = felt("syn-drop", resets);
    assert_eq!(found, ["syn-drop: no packet was touched by its drops of SYN"]);
    let found = felt("half-open", |effect| effect == Effect::DropEnd);
    assert_eq!(found, ["half-open: no packet was touched by its resets"]);
}

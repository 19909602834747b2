//! What a plan hits, and above all what it does not.

use super::{Deed, Plan, Scene, plan};
use crate::clock::SECOND;
use crate::draw::Draw;
use crate::faults::parse;
use std::net::Ipv4Addr;

fn scene(nodes: u8) -> Scene {
    let host = |net, last| Ipv4Addr::new(10, 77, net, last);
    Scene {
        controllers: (1..=nodes).map(|node| host(0, node)).collect(),
        leader: 1,
        brokers: vec![(1..=3).map(|broker| host(1, broker)).collect()],
        masters: vec![Some(2)],
        clients: vec![host(2, 1)],
        fixed: 0,
    }
}

fn of(name: &str, nodes: u8, seed: u64) -> Plan {
    let fault = &parse(name, usize::from(nodes)).unwrap()[0];
    let scene = Scene { fixed: fault.fixed, ..scene(nodes) };
    plan(fault, &scene, &mut Draw::new(seed))
}

/// Whether a packet from `from` to `to` (last two bytes of the address) is hit by a rule of the plan.
fn hits(plan: &Plan, from: (u8, u8), to: (u8, u8)) -> bool {
    let host = |(net, last)| Ipv4Addr::new(10, 77, net, last);
    plan.deeds.iter().any(|deed| match deed {
        Deed::Rule(rule) => rule.from.contains(&host(from)) && rule.to.contains(&host(to)),
        _ => false,
    })
}

#[test]
fn choices_have_the_sizes_of_their_names() {
    for seed in 0..200 {
        for nodes in [3, 5] {
            let count = |name| of(name, nodes, seed).deeds.len();
            let majority = usize::from(nodes) / 2 + 1;
            assert!((1..majority).contains(&count("minor-kill")));
            assert!((majority..=usize::from(nodes)).contains(&count("major-suspend")));
            assert_eq!(of("leader-kill", nodes, seed).deeds, [Deed::Kill(1)]);
            assert_eq!(of("fixed-kill@n2", nodes, seed).deeds, [Deed::Kill(2)]);
            assert_eq!(count("kill-all"), usize::from(nodes));
        }
    }
}

#[test]
fn a_leader_apart_reaches_nobody_and_the_others_everybody() {
    let plan = of("leader-partition", 3, 1);
    for other in [(0, 1), (0, 3), (1, 1), (2, 1)] {
        assert!(hits(&plan, (0, 2), other) && hits(&plan, other, (0, 2)), "{other:?}");
    }
    assert!(!hits(&plan, (0, 1), (0, 3)) && !hits(&plan, (1, 1), (0, 3)));
}

#[test]
fn one_way_is_one_way() {
    let into = of("one-way-in", 3, 1);
    assert!(hits(&into, (0, 1), (0, 2)) && !hits(&into, (0, 2), (0, 1)));
    let out = of("one-way-out", 3, 1);
    assert!(!hits(&out, (0, 1), (0, 2)) && hits(&out, (0, 2), (0, 1)));
}

#[test]
fn in_a_ring_of_five_each_reaches_two_and_a_bridge_has_one_way_over() {
    let plan = of("partition-majorities-ring", 5, 1);
    for from in 1..=5_u8 {
        let reached = (1..=5).filter(|to| *to != from && !hits(&plan, (0, from), (0, *to)));
        assert_eq!(reached.count(), 2);
    }
    let plan = of("bridge", 5, 1);
    let cut = |from, to| hits(&plan, (0, from), (0, to));
    assert!(cut(1, 4) && cut(5, 2) && !cut(1, 3) && !cut(3, 5) && !cut(1, 2) && !cut(4, 5));
}

#[test]
fn a_master_cut_from_the_leader_reaches_the_others() {
    let plan = of("master-from-leader", 3, 1);
    assert!(hits(&plan, (1, 3), (0, 2)) && hits(&plan, (0, 2), (1, 3)));
    assert!(!hits(&plan, (1, 3), (0, 1)) && !hits(&plan, (1, 1), (0, 2)));
}

#[test]
fn damage_stays_between_controllers() {
    let plan = of("corrupt", 3, 1);
    assert!(hits(&plan, (0, 1), (0, 2)) && !hits(&plan, (1, 1), (0, 2)));
}

#[test]
fn combinations_are_deeds_together_and_seeds_repeat() {
    let plan = of("leader-kill+master-kill", 3, 1);
    assert_eq!(plan.deeds, [Deed::Kill(1), Deed::KillBroker(0, 2)]);
    assert_eq!(of("pause-2", 3, 1).lasts, 2 * super::CAMPAIGN);
    for name in ["random-loss", "swizzle", "major-cpu-high"] {
        assert_eq!(of(name, 5, 9).deeds, of(name, 5, 9).deeds);
    }
}

#[test]
fn faults_of_java_brokers_hit_the_master_and_outlast_its_time_out() {
    let (master, replica, controller, client) = ((1, 3), (1, 1), (0, 2), (2, 1));
    let replicas = of("master-from-replicas", 3, 1);
    assert!(hits(&replicas, master, replica) && hits(&replicas, replica, master));
    assert!(!hits(&replicas, master, controller) && !hits(&replicas, client, master));
    let apart = of("master-apart", 3, 1);
    assert!(hits(&apart, master, replica) && hits(&apart, controller, master));
    assert!(!hits(&apart, client, master) && !hits(&apart, replica, controller));
    assert_eq!(of("master-suspend", 3, 1).deeds, [Deed::SuspendBroker(0, 2)]);
    for seed in 0..50 {
        let lasts = of("master-apart", 3, seed).lasts / SECOND;
        assert!((7..=12).contains(&lasts), "{lasts} s");
    }
}

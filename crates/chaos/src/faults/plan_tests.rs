//! What a plan hits, and above all what it does not.

use super::{Deed, Plan, Scene, plan};
use crate::clock::SECOND;
use crate::crowd::Manner;
use crate::draw::Draw;
use crate::faults::parse;
use crate::ground::skew::Skewed;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

fn scene(nodes: u8) -> Scene {
    let host = |net, last| Ipv4Addr::new(10, 77, net, last);
    Scene {
        controllers: (1..=nodes).map(|node| host(0, node)).collect(),
        leader: 1,
        brokers: vec![(1..=3).map(|broker| host(1, broker)).collect()],
        masters: vec![Some(2)],
        clients: vec![host(2, 1)],
        fixed: 0,
        taken: BTreeSet::new(),
        to_come: 0,
        each: None,
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
            assert_eq!(of("freeze", nodes, seed).deeds, [Deed::Freeze(1)]);
            assert_eq!(of("fixed-kill@n2", nodes, seed).deeds, [Deed::Kill(2)]);
            assert_eq!(count("kill-all"), usize::from(nodes));
        }
    }
}

#[test]
fn crowds_come_to_every_controller() {
    for (name, manner) in [
        ("overload", Manner::Overload),
        ("connection-storm", Manner::Storm),
        ("slow-readers", Manner::SlowReaders),
        ("slowloris", Manner::SlowHeaders),
        ("malformed-alter", Manner::Malformed),
    ] {
        let expected: Vec<Deed> = (0..5).map(|node| Deed::Crowd(node, manner)).collect();
        assert_eq!(of(name, 5, 1).deeds, expected, "{name}");
    }
}

#[test]
fn a_start_is_killed_in_each_part_of_it() {
    let mut drawn = BTreeSet::new();
    for seed in 0..20 {
        let deeds = of("kill-at-start", 3, seed).deeds;
        let [Deed::KillAtStart(node, at)] = &*deeds else { panic!("{deeds:?}") };
        assert!(*node < 3, "{node}");
        let parts: Vec<u64> = at.iter().map(|at| at / 200).collect();
        assert_eq!(parts, [0, 1, 2, 3, 4], "{at:?}");
        drawn.extend(at.clone());
    }
    assert!(drawn.len() > 50, "{drawn:?}");
    let deeds = of("kill-in-snapshot", 3, 1).deeds;
    assert!(matches!(*deeds, [Deed::KillInSnapshot(0..3)]), "{deeds:?}");
}

#[test]
fn one_controller_is_throttled() {
    for seed in 0..20 {
        let deeds = of("io-throttle", 5, seed).deeds;
        assert!(matches!(*deeds, [Deed::Throttle(0..5, 5..=40)]), "{deeds:?}");
        // Who is killed writes nothing.
        let deeds = of("io-throttle+leader-kill", 3, seed).deeds;
        assert!(matches!(*deeds, [Deed::Kill(1), Deed::Throttle(0 | 2, _)]), "{deeds:?}");
    }
}

#[test]
fn slow_headers_last_longer_than_their_deadline() {
    for seed in 0..100 {
        for name in ["slowloris", "slowloris+leader-kill"] {
            assert!((10 * SECOND..=14 * SECOND).contains(&of(name, 3, seed).lasts), "{name}");
        }
    }
}

#[test]
fn of_two_at_once_the_one_that_needs_longest_has_its_way() {
    for seed in 0..20 {
        for name in ["slowloris+pause-half", "pause-half+slowloris"] {
            assert!((10 * SECOND..=14 * SECOND).contains(&of(name, 3, seed).lasts), "{name}");
        }
        assert_eq!(of("minor-delay+pause-half", 3, seed).lasts, SECOND / 2);
        assert_eq!(of("pause-10+pause-1", 3, seed).lasts, 10 * SECOND);
    }
}

#[test]
fn a_setting_changes_wherever_somebody_answers() {
    let nodes = |name, seed| -> Vec<usize> {
        let node = |deed: Deed| match deed {
            Deed::Reload(node, seconds) => {
                assert!((60..=119).contains(&seconds), "it is another than 120");
                Some(node)
            }
            _ => None,
        };
        of(name, 3, seed).deeds.into_iter().filter_map(node).collect()
    };
    for seed in 0..20 {
        for name in ["config-reload", "config-reload+duplicate", "config-reload+overload"] {
            assert_eq!(nodes(name, seed), [0, 1, 2], "{name}");
        }
        for name in ["config-reload+leader-kill", "freeze+config-reload"] {
            assert_eq!(nodes(name, seed), [0, 2], "{name}");
        }
    }
    assert_eq!(of("config-reload+kill-all", 3, 1).idle, ["config-reload"]);
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
fn a_leader_is_cut_off_alone_or_with_others_up_to_half() {
    /// Controllers on the leader's side, by the last byte of their addresses.
    fn apart(plan: &Plan) -> Vec<u8> {
        let node = |node: &u8| hits(plan, (0, *node), (2, 1));
        (1..=5).filter(node).collect()
    }
    let mut companions = BTreeSet::new();
    for seed in 0..100 {
        assert_eq!(apart(&of("leader-partition", 3, seed)), [2], "half of three is one");
        let plan = of("leader-partition", 5, seed);
        let side = apart(&plan);
        assert!(side.contains(&2) && side.len() <= 2, "{side:?}");
        companions.extend(side.iter().filter(|node| **node != 2));
        if side.len() == 2 {
            assert!(!hits(&plan, (0, side[0]), (0, side[1])), "the side holds together");
        }
        let pair = of("leader-partition+power-loss", 5, seed);
        let (side, ended) = (apart(&pair), hit(&pair));
        let is_apart = |node: &usize| side.contains(&(u8::try_from(*node).unwrap() + 1));
        assert!(!ended.is_empty() && !ended.iter().any(is_apart), "{side:?} {ended:?}");
    }
    assert_eq!(companions, BTreeSet::from([1, 3, 4, 5]), "each comes with it at times");
    let alone = (0..100).filter(|seed| apart(&of("leader-partition", 5, *seed)) == [2]).count();
    assert!((20..80).contains(&alone), "{alone} of 100");
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

/// The controllers that a plan ends, stops or troubles.
fn hit(plan: &Plan) -> Vec<usize> {
    let one = |deed: &Deed| match deed {
        Deed::Kill(node)
        | Deed::Suspend(node)
        | Deed::Disk(node, _)
        | Deed::PowerLoss(node, ..)
        | Deed::NoDescriptors(node) => Some(*node),
        _ => None,
    };
    plan.deeds.iter().filter_map(one).collect()
}

#[test]
fn two_faults_at_once_hit_two_controllers() {
    for seed in 0..100 {
        for name in [
            "random-kill+minor-disk-error",
            "no-descriptors+power-loss",
            "minor-suspend+minor-kill",
        ] {
            let plan = of(name, 3, seed);
            let mut nodes = hit(&plan);
            let count = nodes.len();
            nodes.sort_unstable();
            nodes.dedup();
            assert!(nodes.len() == count && count >= 2, "{name}: {:?}", plan.deeds);
        }
        let plan = of("minor-partition+power-loss", 3, seed);
        let [node] = hit(&plan)[..] else { panic!("{:?}", plan.deeds) };
        let other = u8::try_from((node + 1) % 3).unwrap() + 1;
        let node = u8::try_from(node).unwrap() + 1;
        let third = 6 - node - other;
        // Whoever loses its power is not the one that is apart.
        assert!(!(hits(&plan, (0, node), (0, other)) && hits(&plan, (0, node), (0, third))));
    }
}

#[test]
fn a_disks_trouble_is_that_of_its_name() {
    use crate::disk::{Loss, Operations, Trouble};
    let deed = |name| of(name, 3, 4).deeds[0].clone();
    assert_eq!(deed("sync-hang"), Deed::Disk(1, Trouble::Hang(Operations::Syncs)));
    assert_eq!(deed("fixed-disk-error@n2"), Deed::Disk(2, Trouble::Fail(Operations::All)));
    assert!(matches!(deed("torn-writes"), Deed::PowerLoss(_, Loss::Tear, _)));
    assert_eq!(of("power-loss-all", 5, 4).deeds.len(), 5);
    for seed in 0..50 {
        let Deed::Backup(node) = of("restored-backup", 3, seed).deeds[0] else { panic!() };
        assert_ne!(
            node, 1,
            "the leader remembers what the others acknowledged, nobody what it did"
        );
    }
}

#[test]
fn clocks_go_wrong_both_ways_within_bounds() {
    let (mut faster, mut back) = (0, 0);
    for seed in 0..100 {
        for deed in of("clock-rate", 5, seed).deeds {
            let Deed::Skew(_, Skewed { rate_ppm, jump_s: 0 }) = deed else { panic!("{deed:?}") };
            assert!((50_000..=200_000).contains(&rate_ppm.abs()), "{rate_ppm}");
            faster += usize::from(rate_ppm > 0);
        }
        for deed in of("clock-jump", 5, seed).deeds {
            let Deed::Skew(_, Skewed { rate_ppm: 0, jump_s }) = deed else { panic!("{deed:?}") };
            assert!((1..=3_600).contains(&jump_s.abs()), "{jump_s}");
            back += usize::from(jump_s < 0);
        }
    }
    assert!(faster > 50 && back > 50, "{faster}, {back}");
    for seed in 0..50 {
        let deeds = of("clock-rate+leader-kill", 3, seed).deeds;
        let is_of_living = |deed: &Deed| matches!(deed, Deed::Skew(node, _) if *node != 1);
        assert_eq!(deeds[0], Deed::Kill(1));
        assert!(deeds.len() > 1 && deeds[1..].iter().all(is_of_living), "{deeds:?}");
    }
}

#[test]
fn combinations_are_deeds_together_and_seeds_repeat() {
    assert_eq!(of("leader-kill+master-kill", 3, 1).deeds, [Deed::Kill(1), Deed::KillBroker(0, 2)]);
    assert_eq!(of("pause-2", 3, 1).lasts, 2 * super::CAMPAIGN);
    let lasts = |name, each| {
        let scene = Scene { each: Some(Duration::from_secs(each)), ..scene(3) };
        plan(&parse(name, 3).unwrap()[0], &scene, &mut Draw::new(1)).lasts
    };
    assert_eq!(lasts("reset", 25), 25 * SECOND, "as long as is wanted");
    assert_eq!(lasts("pause-2", 25), 2 * super::CAMPAIGN, "unless the name says it");
    for name in ["random-loss", "swizzle", "major-cpu-high"] {
        assert_eq!(of(name, 5, 9).deeds, of(name, 5, 9).deeds);
    }
}

#[test]
fn each_deed_has_its_fault_and_a_fault_without_deeds_is_told() {
    let both = of("leader-kill+leader-from-followers", 3, 1);
    assert_eq!(both.of, ["leader-kill", "leader-from-followers", "leader-from-followers"]);
    assert_eq!(both.idle, [""; 0]);
    let fault = &parse("leader-kill+master-kill", 3).unwrap()[0];
    let scene = Scene { masters: vec![None], ..scene(3) };
    let half = plan(fault, &scene, &mut Draw::new(1));
    assert_eq!((half.of, half.idle), (vec!["leader-kill"], vec!["master-kill"]));
    assert_eq!(of("noop", 3, 1).idle, [""; 0]);
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

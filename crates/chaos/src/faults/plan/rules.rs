//! Rules of the network that a fault means.

use super::super::catalogue::{Choice, Cut, Link};
use super::Scene;
use crate::clock::{MILLISECOND, SECOND};
use crate::draw::Draw;
use crate::fabric::{Effect, Hosts, Pulse, Rule};

pub(super) fn both(one: &Hosts, other: &Hosts, effect: Effect) -> Vec<Rule> {
    vec![Rule::new(one, other, effect), Rule::new(other, one, effect)]
}

/// The leader, and others with it up to half of all; whom another fault of the same moment needs is left out.
fn with_company(scene: &mut Scene, draw: &mut Draw) -> Vec<usize> {
    let mut side = scene.choose(Choice::Leader, draw);
    let others = draw.index((scene.nodes() / 2).max(1));
    let mut free: Vec<usize> =
        (0..scene.nodes()).filter(|node| !scene.taken.contains(node)).collect();
    draw.shuffle(&mut free);
    free.truncate(others.min(free.len().saturating_sub(scene.to_come)));
    scene.taken.extend(&free);
    side.extend(free);
    side
}

pub(super) fn partition(cut: Cut, scene: &mut Scene, draw: &mut Draw) -> Vec<Rule> {
    let leader = scene.addresses(&[scene.leader]);
    let followers = scene.others(&[scene.leader]);
    let brokers = scene.all_brokers();
    let everyone: Hosts = followers.union(&scene.outsiders()).copied().collect();
    match cut {
        Cut::Apart(choice) => {
            let mut side = match choice {
                Choice::Leader => with_company(scene, draw),
                Choice::Minor | Choice::Major | Choice::Random | Choice::Fixed | Choice::All => {
                    scene.choose(choice, draw)
                }
            };
            side.truncate((scene.nodes() / 2).max(1));
            let rest = scene.others(&side).union(&scene.outsiders()).copied().collect();
            both(&scene.addresses(&side), &rest, Effect::Cut)
        }
        Cut::Ring => {
            let nodes = scene.nodes();
            let apart = |node: usize| {
                let far = (0..nodes).filter(|far| {
                    let steps = (nodes + far - node) % nodes;
                    steps > 1 && steps < nodes - 1
                });
                let far = scene.addresses(&far.collect::<Vec<_>>());
                Rule::new(&scene.addresses(&[node]), &far, Effect::Cut)
            };
            (0..nodes).map(apart).collect()
        }
        Cut::Bridge => {
            let middle = scene.nodes() / 2;
            let left: Vec<usize> = (0..middle).collect();
            let right: Vec<usize> = (middle + 1..scene.nodes()).collect();
            both(&scene.addresses(&left), &scene.addresses(&right), Effect::Cut)
        }
        Cut::LeaderIn => vec![Rule::new(&everyone, &leader, Effect::Cut)],
        Cut::LeaderOut => vec![Rule::new(&leader, &everyone, Effect::Cut)],
        Cut::LeaderFromFollowers => both(&leader, &followers, Effect::Cut),
        Cut::LeaderFromBrokers => both(&leader, &brokers, Effect::Cut),
        Cut::Clients => {
            let clients = scene.clients.iter().copied().collect();
            both(&clients, &scene.others(&[]), Effect::Cut)
        }
        Cut::Flapping => {
            let on = draw.log_between(50 * MILLISECOND, SECOND);
            let pulse = Some(Pulse { on, off: draw.log_between(50 * MILLISECOND, SECOND) });
            let rules = both(&leader, &followers, Effect::Cut).into_iter();
            rules.map(|rule| Rule { pulse, ..rule }).collect()
        }
        Cut::Swizzle => swizzle(scene, draw),
    }
}

/// Each controller is cut for a time of its own within one period.
fn swizzle(scene: &Scene, draw: &mut Draw) -> Vec<Rule> {
    let mut rules = Vec::new();
    for node in 0..scene.nodes() {
        let pulse = Some(Pulse {
            on: draw.log_between(200 * MILLISECOND, SECOND),
            off: draw.log_between(200 * MILLISECOND, 2 * SECOND),
        });
        let (one, rest) = (scene.addresses(&[node]), scene.others(&[node]));
        let both = both(&one, &rest, Effect::Cut).into_iter();
        rules.extend(both.map(|rule| Rule { pulse, ..rule }));
    }
    rules
}

pub(super) fn links(link: Link, nodes: &[usize], scene: &Scene) -> Vec<Rule> {
    let chosen = scene.addresses(nodes);
    let controllers = scene.others(&[]);
    let everyone: Hosts = controllers.union(&scene.outsiders()).copied().collect();
    let wide = |effect| {
        // From the chosen to all, and from all others to the chosen: no packet is hit twice.
        let others: Hosts = everyone.difference(&chosen).copied().collect();
        vec![Rule::new(&chosen, &everyone, effect), Rule::new(&others, &chosen, effect)]
    };
    match link {
        Link::Delay => {
            wide(Effect::Delay { mean: 100 * MILLISECOND, spread: 50 * MILLISECOND, tail: 0 })
        }
        Link::LongTail => {
            wide(Effect::Delay { mean: 5 * MILLISECOND, spread: 5 * MILLISECOND, tail: 3 * SECOND })
        }
        Link::Loss => wide(Effect::Loss { per_mille: 800 }),
        Link::Bursts => {
            let pulse = Some(Pulse { on: 50 * MILLISECOND, off: 450 * MILLISECOND });
            wide(Effect::Cut).into_iter().map(|rule| Rule { pulse, ..rule }).collect()
        }
        Link::Duplicate => wide(Effect::Duplicate { per_mille: 300 }),
        Link::Reorder => wide(Effect::Reorder { per_mille: 200, hold: 5 * MILLISECOND }),
        // Frames of brokers have no checksum of their own: damage there would be the client's word.
        Link::Corrupt => {
            vec![Rule::new(&controllers, &controllers, Effect::Corrupt { per_mille: 20 })]
        }
        Link::Bandwidth => wide(Effect::Rate { bytes: 20_000 }),
        // What is new must be wanted first: connections end, and are not made again.
        Link::DropSyn => {
            let mut rules = wide(Effect::DropSyn);
            rules.extend(wide(Effect::Reset { per_mille: 10 }));
            rules
        }
        Link::HalfOpen => {
            // One side hears that its connection ended, and what it answers to the other's next packet is dropped.
            let mut rules = wide(Effect::Reset { per_mille: 5 });
            rules.extend(wide(Effect::DropEnd));
            rules
        }
        Link::Reset => wide(Effect::Reset { per_mille: 5 }),
        Link::MtuHole => wide(Effect::DropOver { bytes: 500 }),
    }
}

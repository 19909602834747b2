//! Random schedules: each seed draws its faults, and every invariant is checked at every effect.
//!
//! Time passes only as ticks that are drawn. Messages are lost, doubled and reordered, writes lag,
//! peers crash and lose what was not durable, links are cut. Then everything heals, and the
//! cluster must agree within a bound. The seed stands in the message of every failure.

use crate::cluster::Cluster;
use crate::random::Random;
use crate::replacement;
use bytes::Bytes;
use consensus::{LogIndex, PeerId, Role};
use std::collections::BTreeMap;

const SEEDS: u64 = 120;
const STEPS: usize = 2_000;

/// What must happen in some seed, or the simulation has lost its teeth: a part of an effect's line.
const SOMETIMES: &[&str] = &[
    " committed ",
    ": NotProposed",
    ": Unknown",
    " readable ",
    ": LeaderChanged",
    ": TimedOut",
    " fetch snapshot",
    " install snapshot",
    "ReadRoundRepeated",
    "TransferAborted",
    "time-out now",
    "(transfer)",
    " vote refused",
    " rejected ",
    "(no sync)",
    "Leader in term",
    "learners",
    "outgoing",
];

struct Faults {
    /// Messages arrive in any order, and twice.
    has_datagrams: bool,
    loss: u64,
    crash: u64,
    restart: u64,
    cut: u64,
    snapshot: u64,
    lag: u64,
    campaign: u64,
    wipe: u64,
}

impl Faults {
    fn draw(random: &mut Random) -> Self {
        let mut rate = |most: u64| if random.chance(500) { random.next() % most } else { 0 };
        Self {
            loss: rate(200),
            crash: rate(15),
            restart: 5 + rate(100),
            cut: rate(10),
            snapshot: rate(200),
            lag: rate(900),
            campaign: rate(20),
            has_datagrams: rate(2) == 1,
            wipe: rate(20),
        }
    }
}

/// Runs one seed; the trace's hash, and how often each of [`SOMETIMES`] happened.
fn run(seed: u64, steps: usize) -> (u128, BTreeMap<&'static str, usize>) {
    let random = &mut Random(seed);
    let faults = &Faults::draw(random);
    let count = [1, 3, 3, 3, 5][random.below(5)];
    let mut cluster = Cluster::new(1..=count);
    let mut commands = 0_u64;
    let mut counts = BTreeMap::new();
    for _ in 0..steps {
        let id = *cluster.peers.keys().nth(random.below(cluster.peers.len())).unwrap();
        if random.chance(faults.cut) {
            cut_or_heal(&mut cluster, random);
        }
        if random.chance(faults.wipe) && replacement::may_wipe(&cluster, count) {
            replacement::wipe(&mut cluster, id);
            continue;
        }
        if !cluster.is_up(id) {
            if random.chance(faults.restart) {
                cluster.start(id);
            }
            continue;
        }
        if random.chance(faults.crash) {
            let written = random.below(3);
            cluster.crash(id, written);
            // A link dies with its peer; with datagrams, what is under way still arrives.
            if !faults.has_datagrams {
                cluster.links.retain(|(from, to), _| *from != id && *to != id);
            }
            continue;
        }
        turn(&mut cluster, random, faults, id, &mut commands);
        count_lines(&mut cluster, &mut counts);
    }
    heal(&mut cluster, random, seed);
    (cluster.trace, counts)
}

fn count_lines(cluster: &mut Cluster, counts: &mut BTreeMap<&'static str, usize>) {
    for line in cluster.take_lines() {
        assert!(!line.contains("DataLost"), "no disk lost anything here: {line}");
        for name in SOMETIMES.iter().filter(|name| line.contains(**name)) {
            *counts.entry(name).or_default() += 1;
        }
    }
}

fn turn(
    cluster: &mut Cluster,
    random: &mut Random,
    faults: &Faults,
    id: PeerId,
    commands: &mut u64,
) {
    let senders: Vec<_> = cluster.links.keys().filter(|(_, to)| *to == id).copied().collect();
    for (from, to) in senders {
        for _ in 0..random.below(4) {
            deliver(cluster, random, faults, from, to);
        }
    }
    if !random.chance(faults.lag) {
        let written = random.below(4);
        cluster.write(id, written);
    }
    if random.chance(300) {
        cluster.driver_mut(id).tick();
    }
    if random.chance(faults.campaign) {
        cluster.driver_mut(id).campaign_now();
    }
    if random.chance(faults.campaign) {
        let target = cluster.driver(id).best_transfer_target();
        target.into_iter().for_each(|target| cluster.driver_mut(id).transfer_to(target));
    }
    if random.chance(faults.snapshot) {
        cluster.snapshot(id);
    }
    if random.chance(200) {
        let ok = random.chance(700);
        cluster.fetched(id, ok);
    }
    for _ in 0..random.below(3) {
        *commands += 1;
        // Refused where the peer does not lead: the command is then simply not made.
        _ = cluster.propose(id, Bytes::from(format!("c{commands}")));
    }
    if random.chance(300) {
        _ = cluster.read(id);
    }
    replacement::replace_lost(cluster, id);
    cluster.end_of_turn(id);
}

fn deliver(cluster: &mut Cluster, random: &mut Random, faults: &Faults, from: PeerId, to: PeerId) {
    let queue = cluster.links.get_mut(&(from, to)).unwrap();
    if queue.is_empty() {
        return;
    }
    let index = if faults.has_datagrams { random.below(queue.len()) } else { 0 };
    let bytes = queue.remove(index).unwrap();
    if faults.has_datagrams && random.chance(100) {
        queue.push_back(bytes.clone());
    }
    if random.chance(faults.loss) {
        if cluster.is_up(from) && random.chance(500) {
            cluster.driver_mut(from).unreachable(to);
        }
        return;
    }
    // A refusal is no failure: late and doubled messages are meant to be refused.
    _ = cluster.step(from, to, bytes);
}

fn cut_or_heal(cluster: &mut Cluster, random: &mut Random) {
    if random.chance(400) {
        cluster.cuts.clear();
        return;
    }
    let ids: Vec<_> = cluster.peers.keys().copied().collect();
    let one = ids[random.below(ids.len())];
    for other in ids {
        let is_one_way = random.chance(200);
        cluster.cuts.insert((one, other));
        if !is_one_way {
            cluster.cuts.insert((other, one));
        }
    }
}

/// L1, L3, L4: all is repaired, and the cluster must come together.
fn heal(cluster: &mut Cluster, random: &mut Random, seed: u64) {
    cluster.cuts.clear();
    let ids: Vec<_> = cluster.peers.keys().copied().collect();
    for id in &ids {
        if !cluster.is_up(*id) {
            cluster.start(*id);
        }
    }
    for round in 0..400_u64 {
        cluster.settle();
        for id in &ids {
            // The spread between peers' clocks comes from outside, as in the product (D19).
            if random.chance(700) {
                cluster.driver_mut(*id).tick();
            }
            replacement::replace_lost(cluster, *id);
            cluster.end_of_turn(*id);
        }
        if round == 300 {
            let leader = ids.iter().find(|id| cluster.driver(**id).role() == Role::Leader);
            let leader = *leader.expect("L1: a leader 300 ticks after the repair");
            cluster.propose(leader, Bytes::from_static(b"last")).unwrap();
            for id in &ids {
                _ = cluster.read(*id);
            }
        }
    }
    cluster.checks.all_ended();
    let states: Vec<_> = ids.iter().map(|id| cluster.peers[id].state).collect();
    let first = states[0];
    assert!(states.iter().all(|state| *state == first), "L4, C11: seed {seed}: {states:?}");
    assert!(first.0 > LogIndex(1), "seed {seed}: something was committed");
    let voters = &cluster.driver(ids[0]).membership().voters;
    assert_eq!(*voters, ids, "seed {seed}: everybody who is there votes again");
    cluster.take_lines();
}

#[test]
fn invariants_hold_under_faults() {
    let mut counts: BTreeMap<_, usize> = SOMETIMES.iter().map(|name| (*name, 0)).collect();
    for seed in 0..SEEDS {
        println!("seed {seed}");
        for (name, count) in run(seed, STEPS).1 {
            *counts.entry(name).or_default() += count;
        }
    }
    println!("{counts:#?}");
    assert!(counts.values().all(|count| *count > 0), "{counts:#?}");
}

#[test]
fn a_seed_replays() {
    for seed in 0..5 {
        assert_eq!(run(seed, STEPS), run(seed, STEPS), "seed {seed}");
    }
}

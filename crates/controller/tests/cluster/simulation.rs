//! Random schedules: each seed draws its faults, everything that must hold is checked after every turn.
//!
//! First faults and load, then everything heals: whoever waits must have heard an end, all nodes must agree, a set
//! with a living member in sync must have a master that its living members know, and nothing shown may be lost. The
//! seed stands in the message of every failure.

use crate::broker::{Broker, Door, address};
use crate::random::Random;
use crate::request::{
    alter, apply_id, clean, designate, elect, info, next_id, register, sync_state_data,
};
use crate::world::{Conditions, Ending, MS, World};
use consensus::Role;
use controller::Event;
use protocol::Request;

const SEEDS: u64 = 120;

/// How long the faults last, in ms.
const FAULTS_MS: u64 = 8_000;

/// What a seed lets go wrong: each a chance in a thousand, at each step.
#[derive(Debug)]
struct Faults {
    crash: u64,
    freeze: u64,
    cut: u64,
    broker: u64,
    stop: u64,
    has_cleans: bool,
}

impl Faults {
    fn draw(random: &mut Random) -> Self {
        let mut rate = |most: u64| if random.chance(500) { random.below(most) + 1 } else { 0 };
        Self {
            crash: rate(40),
            freeze: rate(40),
            cut: rate(60),
            broker: rate(120),
            stop: rate(10),
            has_cleans: rate(2) == 1,
        }
    }
}

fn conditions(random: &mut Random) -> Conditions {
    Conditions {
        delay: random.pick(&[(50, 100), (200, 300), (1_000, 4_000), (100, 30_000)]),
        sync: random.pick(&[(50, 50), (300, 700), (2_000, 8_000), (500, 60_000)]),
        loss: random.pick(&[0, 0, 0, 5, 50]),
        twice: random.pick(&[0, 0, 0, 50]),
    }
}

const SETS: [&str; 3] = ["a", "b", "c"];

struct Run {
    world: World,
    random: Random,
    faults: Faults,
    has_operator: bool,
}

fn begin(seed: u64) -> Run {
    let mut random = Random(seed);
    let count = random.pick(&[1, 3, 3, 3, 3, 5]);
    let faults = Faults::draw(&mut random);
    let mut world = World::new(count, seed ^ 0x5eed);
    world.conditions = conditions(&mut random);
    world.live.enable_elect_unclean_master = random.chance(200);
    for node in world.ids() {
        let pause = random.below(300);
        world.run(pause);
        world.start(node);
    }
    for set in SETS {
        for id in 1..=3 {
            let pause = random.below(20);
            world.run(pause);
            world.add_broker(Broker::new(set, id));
        }
    }
    Run { world, random, faults, has_operator: true }
}

/// A request that somebody might send now, right or wrong.
fn request(run: &mut Run) -> Request {
    let Run { world, random, faults, has_operator } = run;
    let has_cleans = faults.has_cleans;
    let set = random.pick(&SETS);
    let id = i64::try_from(random.below(3)).unwrap() + 1;
    let known = world.checks.state().broker_set(set);
    let view = known.map_or((id, 0, 0), |known| {
        let master = known.master().map_or(id, |master| master.0);
        (master, known.master_epoch().0, known.set_epoch().0)
    });
    match random.below(12) {
        0 => next_id(set),
        1 => apply_id(set, id, &address(set, id)),
        2 => register(set, id, &address(set, id)),
        3 => elect(set, id),
        4 if *has_operator => designate(set, id),
        5 => sync_state_data(&SETS),
        6 => alter(set, view, &[view.0]),
        7 => alter(set, view, &[1, 2, 3]),
        8 if has_cleans && random.chance(200) => clean(set, Some(&id.to_string()), true),
        9 if has_cleans && random.chance(30) => clean(set, None, true),
        _ => info(set),
    }
}

/// One step of the first phase: some load, perhaps a fault.
fn step(run: &mut Run) {
    let pause = 10 + run.random.below(40);
    run.world.run(pause);
    let nodes = run.world.ids();
    for _ in 0..run.random.below(4) {
        let at = run.random.pick(&nodes);
        let request = request(run);
        run.world.send_request(at, request);
    }
    let Run { world, random, faults, .. } = run;
    let node = random.pick(&nodes);
    if !world.is_up(node) && random.chance(100) {
        world.start(node);
    } else if world.is_up(node) && random.chance(faults.crash) {
        world.crash(node);
    } else if world.is_up(node) && random.chance(faults.freeze) {
        let length = random.pick(&[50, 500, 1_500, 4_000]);
        world.freeze(node, length);
    } else if world.is_up(node) && random.chance(faults.stop) {
        world.tell(node, Event::Stop);
    }
    if world.nodes[&node].is_stopped && world.is_up(node) {
        world.crash(node);
    }
    if random.chance(faults.cut) {
        match random.below(4) {
            0 => world.isolate(node),
            1 => drop(world.cuts.insert((node, random.pick(&nodes)))),
            2 => world.cut(node, random.pick(&nodes)),
            _ => world.heal(),
        }
    } else if random.chance(60) {
        world.heal();
    }
    if random.chance(faults.broker) {
        let broker = usize::try_from(random.below(9)).unwrap();
        match random.below(6) {
            0 if world.brokers[broker].is_running => world.kill_broker(broker),
            1 if world.brokers[broker].is_running => world.silence_broker(broker),
            2 => world.close_connections(broker),
            3 => drop(world.brokers[broker].cut_from.insert(node)),
            4 => world.brokers[broker].cut_from.clear(),
            _ if !world.brokers[broker].is_running => world.restart_broker(broker),
            _ => world.brokers[broker].max_offset += 1,
        }
    }
}

/// The second phase: all is repaired.
fn heal(seed: u64, world: &mut World) {
    world.heal();
    world.conditions = Conditions::default();
    for node in world.ids() {
        world.thaw(node);
        if world.nodes[&node].is_stopped && world.is_up(node) {
            world.crash(node);
        }
        if !world.is_up(node) {
            world.start(node);
        }
    }
    for broker in 0..world.brokers.len() {
        world.brokers[broker].cut_from.clear();
        world.brokers[broker].door = Door::Accepts;
        if !world.brokers[broker].is_running {
            world.restart_broker(broker);
        }
    }
    let took = world.await_leader(10_000);
    assert!(took <= 10_000, "L1: seed {seed}: {took} ms");
    for _ in 0..36 {
        world.run(500);
        if is_settled(world) {
            break;
        }
    }
}

/// Nothing is under way any more; what is wrong then stays wrong.
fn is_settled(world: &World) -> bool {
    let overviews = world.ids().into_iter().map(|node| world.overview(node).unwrap());
    let mut applied = overviews.map(|overview| {
        let waiting = overview.notices_waiting + overview.writes_waiting + overview.reads_waiting;
        (waiting == 0 && overview.brokers == 9).then_some(overview.applied)
    });
    let first = applied.next().flatten();
    let is_led = leaders(world) == 1;
    let is_answered = world.asked.iter().all(|asked| asked.ending.is_some());
    let is_equal = first.is_some() && applied.all(|other| other == first);
    is_led && is_equal && is_answered && has_masters(world)
}

fn leaders(world: &World) -> usize {
    let roles = world.ids().into_iter().filter_map(|node| world.overview(node)?.role);
    roles.filter(|role| *role == Role::Leader).count()
}

/// L2: whoever can have a master has one.
fn has_masters(world: &World) -> bool {
    SETS.iter().all(|set| {
        world.checks.state().broker_set(set).is_none_or(|known| {
            let can_have = known.was_elected() && !known.sync_state_set().is_empty();
            known.master().is_some() || !can_have
        })
    })
}

fn check_end(seed: u64, world: &mut World) {
    for asked in &world.asked {
        let patience = 3_000 * MS + world.nodes[&asked.node].frozen_in_all;
        let is_late = asked.ending.as_ref().is_some_and(|(at, ending)| {
            matches!(ending, Ending::Answer(_)) && at - asked.began > patience
        });
        assert!(asked.ending.is_some() && !is_late, "L3: seed {seed}: {asked:?}");
    }
    let overviews: Vec<_> =
        world.ids().into_iter().map(|node| world.overview(node).unwrap()).collect();
    let first = &overviews[0];
    for overview in &overviews {
        assert_eq!(overview.applied, first.applied, "L4: seed {seed}");
        let waiting = (overview.writes_waiting, overview.reads_waiting, overview.forwards_waiting);
        assert_eq!(waiting, (0, 0, 0), "L5: seed {seed}");
        assert_eq!(overview.notices_waiting, 0, "L5: seed {seed}");
        assert_eq!(overview.brokers, 9, "all brokers are heard: seed {seed}");
    }
    assert_eq!(leaders(world), 1, "seed {seed}");
    world.checks.nothing_lost();
    assert!(has_masters(world), "L2: seed {seed}");
}

/// Runs one seed; the hash of all that happened, and how many commands were committed.
fn run(seed: u64) -> (u64, u64) {
    let mut run = begin(seed);
    while run.world.now < FAULTS_MS * MS {
        step(&mut run);
    }
    let mut world = run.world;
    heal(seed, &mut world);
    check_end(seed, &mut world);
    (world.trace, world.checks.commands)
}

#[test]
fn what_must_hold_holds_under_faults() {
    let mut commands = 0;
    for seed in 0..SEEDS {
        println!("seed {seed}");
        commands += run(seed).1;
    }
    assert!(commands > SEEDS * 20, "{commands} commands are few");
}

/// C10: whatever happens to controllers, a master that is heard keeps its place. Brokers are well here, and nobody
/// designates or cleans.
#[test]
fn no_needless_failover() {
    let mut elected = 0;
    for seed in 10_000..10_000 + SEEDS / 4 {
        println!("seed {seed}");
        let mut run = begin(seed);
        (run.faults.broker, run.faults.has_cleans) = (0, false);
        run.faults.crash = run.faults.crash.max(5);
        run.has_operator = false;
        while run.world.now < FAULTS_MS * MS {
            step(&mut run);
        }
        heal(seed, &mut run.world);
        for set in SETS {
            let of_set = run.world.checks.elections.iter().filter(|(name, _)| name == set);
            let count = of_set.count();
            assert!(count <= 1, "C10: seed {seed}: {:?}", run.world.checks.elections);
            elected += count;
        }
    }
    assert!(elected > 20, "{elected} elections are few");
}

#[test]
fn a_seed_replays() {
    for seed in 0..4 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
}

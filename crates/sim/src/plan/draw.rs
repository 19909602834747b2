//! How a seed becomes a plan.

use super::{ClientPlan, ClockPlan, Plan, Preset};
use crate::client::Trade;
use crate::fault::{Fault, Kind, Moment, Shape, Who};
use crate::network::Weather;
use crate::random::Random;
use controller::{LeaderNaming, ReadMode, Retention};
use journal::Options;

/// With tides faults begin in the first so many ms of each so many, and last no longer: what is owed afterwards has time.
const TIDE_MS: (u64, u64) = (15_000, 60_000);

/// Which classes of faults a seed has.
#[expect(clippy::struct_excessive_bools, reason = "one coin for each class")]
#[derive(Debug, Clone, Copy, Default)]
struct Classes {
    crashes: bool,
    pauses: bool,
    partitions: bool,
    clogs: bool,
    datagrams: bool,
    disks: bool,
    damage: bool,
    brokers: bool,
    clocks: bool,
    settings: bool,
    /// Faults come together, and then none for a while.
    tides: bool,
}

impl Classes {
    fn draw(random: &mut Random, preset: Preset) -> Self {
        let is_calm = preset == Preset::Calm;
        let is_reads = preset == Preset::Reads;
        let mut coin = || random.chance(500) && !is_calm;
        let mut classes = Self {
            crashes: coin(),
            pauses: coin(),
            partitions: coin(),
            clogs: coin(),
            datagrams: coin(),
            disks: coin(),
            damage: coin(),
            brokers: coin(),
            clocks: coin(),
            settings: coin(),
            tides: false,
        };
        classes.tides = random.chance(300) && !is_calm && !is_reads;
        if random.chance(200) && !is_calm && !is_reads {
            // All about brokers: what controllers owe them is seen only while nothing happens to controllers.
            let brokers = Self { brokers: true, ..Self::default() };
            classes = Self { settings: classes.settings, ..brokers };
        }
        if is_reads {
            (classes.disks, classes.damage, classes.brokers, classes.settings) = Default::default();
            classes.partitions = true;
        }
        classes
    }
}

pub(super) fn plan(seed: u64, preset: Preset) -> Plan {
    let mut random = Random::stream(seed, "plan", 0);
    let random = &mut random;
    let classes = Classes::draw(random, preset);
    let is_reads = preset == Preset::Reads;
    let nodes = random.pick(if is_reads { &[3, 3, 3, 5] } else { &[1, 3, 3, 3, 3, 3, 5, 7] });
    let sets = match preset {
        Preset::Reads => 2,
        Preset::Calm => 10,
        Preset::Mix => usize::try_from(random.magnitude(1, 12)).unwrap_or(1),
        Preset::Long => usize::try_from(random.magnitude(1, 60)).unwrap_or(1),
    };
    let replicas = if is_reads { 2 } else { random.pick(&[1, 2, 3, 3, 3, 5]) };
    let replicas = if preset == Preset::Calm { 3 } else { replicas };
    let safety_ms = match preset {
        Preset::Reads => 12_000,
        Preset::Mix | Preset::Calm => 120_000,
        Preset::Long => random.between(60_000, 1_800_000),
    };
    let election_timeout_ms = random.pick(&[500, 1_000, 1_000, 2_000]);
    let heartbeat_timeout_ms = random.pick(&[5_000, 10_000, 10_000, 20_000]);
    let is_slow = random.chance(300) && !is_reads && preset != Preset::Calm;
    let (sync, sync_max) = if is_slow { (20_000, 2_000_000) } else { (500, 50_000) };
    let mut plan = Plan {
        seed,
        preset,
        nodes,
        sets,
        replicas,
        per_process: if random.chance(150) && !is_reads { 3 } else { 1 },
        safety_ms,
        election_timeout_ms,
        heartbeat_timeout_ms,
        naming: if random.chance(300) { LeaderNaming::Spread } else { LeaderNaming::Leader },
        read_mode: if random.chance(250) { ReadMode::Lease } else { ReadMode::Index },
        retention: retention(random),
        journal: Options {
            segment_bytes: 4_096 << random.between(1, 5),
            first_segment_bytes: 4_096 << random.between(1, 5),
            spares: random.pick(&[0, 1, 2]),
            sync: true,
        },
        sync,
        sync_max,
        turn_events: usize::try_from(random.magnitude(1, 4_096)).unwrap_or(1),
        unclean: unclean(random, classes),
        weather: weather(random, classes, preset),
        clocks: clocks(random, nodes, classes.clocks),
        clients: clients(random, preset),
        faults: Vec::new(),
        has_doubles: false,
    };
    let has_leases = plan.read_mode == ReadMode::Lease;
    let (brokers, until) = (sets * replicas, safety_ms);
    plan.faults =
        Storm { random, nodes, brokers, replicas, until, election_timeout_ms, has_leases }
            .draw(classes);
    plan.has_doubles = plan.faults.iter().any(|it| matches!(it.kind, Kind::BrokerDoubles(_)));
    plan
}

/// Often so little that whoever was away for some seconds needs a snapshot.
fn retention(random: &mut Random) -> Retention {
    let (commands, entries) = if random.chance(300) { (50, 16) } else { (10_000, 8_192) };
    Retention {
        snapshot_commands: random.magnitude(10, commands),
        catch_up_entries: random.magnitude(4, entries),
    }
}

/// Nowhere, everywhere, or here and there.
fn unclean(random: &mut Random, classes: Classes) -> u64 {
    let some = random.next();
    if classes.settings { random.pick(&[0, u64::MAX, some, some]) } else { 0 }
}

fn weather(random: &mut Random, classes: Classes, preset: Preset) -> Weather {
    let (delay, delay_max) = if classes.clogs {
        random.pick(&[(300, 5_000), (2_000, 50_000), (10_000, 500_000), (1_000, 2_000_000)])
    } else {
        (300, 5_000)
    };
    let rate = |random: &mut Random, most| if random.chance(600) { random.below(most) } else { 0 };
    let is_bad = classes.datagrams;
    let most_twice = if preset == Preset::Reads { 500 } else { 300 };
    Weather {
        delay,
        delay_max,
        loss: if is_bad { rate(random, 300).min(rate(random, 300)) } else { 0 },
        twice: if is_bad { rate(random, most_twice) } else { 0 },
        overtaking: if is_bad { rate(random, 200) } else { 0 },
        garbage: if is_bad { rate(random, 300) } else { 0 },
        unanswered: if classes.brokers { rate(random, 300) } else { 0 },
    }
}

fn clocks(random: &mut Random, nodes: usize, is_wrong: bool) -> Vec<ClockPlan> {
    let mut clock = |_| {
        let rate = if is_wrong { random.between(800, 1_200) } else { 1_000 };
        let grain = if is_wrong { random.pick(&[1, 1, 1_000, 10_000, 15_000]) } else { 1 };
        ClockPlan { rate, offset: random.between(1, 3_600) * 1_000_000, grain }
    };
    (0..nodes).map(&mut clock).collect()
}

fn clients(random: &mut Random, preset: Preset) -> Vec<ClientPlan> {
    let mut clients = Vec::new();
    let mut add = |count: u64, trade, pause| clients.extend((0..count).map(|_| (trade, pause)));
    match preset {
        Preset::Calm => add(2, Trade::Reader, 200_000),
        Preset::Reads => {
            add(2, Trade::Writer, random.magnitude(10_000, 100_000));
            add(4, Trade::Reader, random.magnitude(10_000, 60_000));
        }
        Preset::Mix | Preset::Long => {
            add(random.between(1, 3), Trade::Reader, random.magnitude(50_000, 2_000_000));
            add(random.below(2), Trade::Operator, random.magnitude(2_000_000, 30_000_000));
            add(random.below(3), Trade::Rival, random.magnitude(30_000, 5_000_000));
            add(random.below(2), Trade::Writer, random.magnitude(30_000, 2_000_000));
            add(random.below(2), Trade::Vandal, random.magnitude(500_000, 10_000_000));
        }
    }
    clients
}

/// Draws the faults of a run.
struct Storm<'a> {
    random: &'a mut Random,
    nodes: usize,
    brokers: usize,
    /// Brokers of one set, which stand next to each other.
    replicas: usize,
    until: u64,
    /// Campaign time-out E, in ms.
    election_timeout_ms: u64,
    has_leases: bool,
}

impl Storm<'_> {
    fn draw(&mut self, classes: Classes) -> Vec<Fault> {
        let mut faults = Vec::new();
        let is_short = self.until < 30_000;
        let pause = |long, short| if is_short { short } else { long };
        type Draw<'a> = fn(&mut Storm<'a>) -> Vec<Fault>;
        let rows: [(bool, u64, Draw<'_>); 6] = [
            (classes.crashes, pause(10_000, 4_000), Storm::crash),
            (classes.pauses, pause(15_000, 4_000), Storm::pause),
            (classes.partitions, pause(12_000, 3_000), Storm::partition),
            (classes.clogs, pause(30_000, 8_000), Storm::clog),
            (classes.disks, 20_000, Storm::disk),
            (classes.brokers, 6_000, Storm::broker),
        ];
        for (_, middle, draw) in rows.into_iter().filter(|(is_on, ..)| *is_on) {
            // Harder in some seeds than in others.
            let middle = middle * self.random.pick(&[1, 2, 4]) / 2;
            let mut at = self.random.below(middle * 2);
            while at < self.until {
                let on = self.moment();
                for fault in draw(self) {
                    let on = fault.on.or(on);
                    faults.push(Fault { at_ms: at + fault.at_ms, on, ..fault });
                }
                at += 1 + self.random.below(middle * 2);
            }
        }
        if classes.settings {
            for _ in 0..self.random.below(4) {
                let kind = if self.random.chance(500) {
                    Kind::Configure(self.who(), self.random.chance(500))
                } else {
                    Kind::Prefer(self.who(), self.random.next())
                };
                let fault = self.lasting(1, 2, kind);
                faults.push(Fault { at_ms: self.random.below(self.until), ..fault });
            }
            if self.random.chance(100) {
                let at_ms = self.random.below(self.until);
                faults.push(Fault { at_ms, for_ms: 1, kind: Kind::Burst(2_500), on: None });
            }
        }
        if classes.damage {
            faults.extend(self.damage());
        }
        if self.has_leases && (classes.crashes || classes.partitions) {
            for _ in 0..self.random.below(12) {
                let at_ms = self.random.below(self.until);
                let ends =
                    if self.random.chance(350) { self.hand_over() } else { self.lonely_leader() };
                faults.extend(ends.into_iter().map(|it| Fault { at_ms: at_ms + it.at_ms, ..it }));
            }
        }
        if classes.tides {
            faults.retain(|fault| fault.at_ms % TIDE_MS.1 < TIDE_MS.0);
            faults.iter_mut().for_each(|fault| fault.for_ms = fault.for_ms.min(TIDE_MS.0));
        }
        faults.sort_by_key(|fault| fault.at_ms);
        faults
    }

    fn who(&mut self) -> Who {
        match self.random.below(4) {
            0 => Who::Follower(self.random.index(self.nodes)),
            1 => Who::Node(self.random.index(self.nodes)),
            _ => Who::Leader,
        }
    }

    /// What the next faults wait for; mostly nothing.
    fn moment(&mut self) -> Option<(Moment, u64)> {
        let moment = match self.random.below(24) {
            0 => Moment::Elected,
            1 => Moment::Committed,
            2 => Moment::Offered,
            3 => Moment::HandedOver,
            4 => Moment::Proposed,
            5 => Moment::Notified,
            _ => return None,
        };
        Some((moment, self.random.magnitude(1, 5_000)))
    }

    fn lasting(&mut self, least: u64, most: u64, kind: Kind) -> Fault {
        Fault { at_ms: 0, for_ms: self.random.magnitude(least, most), kind, on: None }
    }

    fn crash(&mut self) -> Vec<Fault> {
        let (who, power) = (self.who(), self.random.chance(500));
        let operation = 1 + self.random.below(12);
        let kind = match self.random.below(15) {
            0 => Kind::CrashAll(power),
            1 | 2 => Kind::CrashAtOperation(who, operation),
            3 => Kind::CrashInRecovery(who, operation * 3),
            4 => Kind::Stop(who),
            5 | 6 => return self.hand_over(),
            7 => return self.late_follower(power),
            9 => return self.short_lives(),
            8 => {
                // In a loop.
                let again = |round| Fault {
                    at_ms: round * 700,
                    for_ms: 300,
                    kind: Kind::Crash(who, power),
                    on: None,
                };
                return (0..self.random.between(2, 6)).map(again).collect();
            }
            _ => Kind::Crash(who, power),
        };
        vec![self.lasting(50, 15_000, kind)]
    }

    /// A leader stops, and hears nothing more once it has told another to take over.
    fn hand_over(&mut self) -> Vec<Fault> {
        let stop = self.lasting(50, 5_000, Kind::Stop(Who::Leader));
        let deaf = self.lasting(200, 5_000, Kind::Partition(Shape::DeafTo(Who::Leader)));
        let on = Some((Moment::HandedOver, self.random.magnitude(1, 1_000)));
        vec![Fault { on, ..deaf }, stop]
    }

    /// A leader loses one follower after the other, and the last one that it hears is started anew at that moment: who
    /// votes now may have forgotten that a lease rests on its word. It must come about shortly before the first who was
    /// lost campaigns, and nothing be written that he lacks; so clients reach nobody until then.
    fn lonely_leader(&mut self) -> Vec<Fault> {
        let last = self.random.index(self.nodes);
        let patience = self.election_timeout_ms;
        let cut = |lost| {
            let shape = Shape::Pair(Who::Leader, Who::Follower(last + lost));
            Fault { at_ms: 0, for_ms: patience * 4, kind: Kind::Partition(shape), on: None }
        };
        // As many as with one more are a quorum that can do without the leader.
        let mut faults: Vec<Fault> = (1..=self.nodes / 2).map(cut).collect();
        let at_ms = self.random.between(patience * 7 / 10, patience);
        let last = Who::Follower(last);
        let kind = Kind::Partition(Shape::Clients);
        let quiet = Fault { at_ms: 0, for_ms: at_ms + 20, kind, on: None };
        let crash = Fault { at_ms, ..self.lasting(20, 60, Kind::Crash(last, false)) };
        let for_ms = self.random.between(patience, patience * 3);
        let kind = Kind::Partition(Shape::LeaderFromFollowers);
        faults.extend([quiet, crash, Fault { at_ms, for_ms, kind, on: None }]);
        faults
    }

    /// A follower is away for long, and something happens as soon as it is offered a snapshot: to the leader's
    /// connections, or to itself.
    fn late_follower(&mut self, power: bool) -> Vec<Fault> {
        let follower = Who::Follower(self.random.index(self.nodes));
        let away = self.lasting(5_000, 15_000, Kind::Crash(follower, power));
        let kind = if self.random.chance(500) {
            Kind::Reset(Who::Leader)
        } else {
            Kind::Crash(follower, power)
        };
        let on = Some((Moment::Offered, self.random.magnitude(1, 20_000)));
        vec![away, Fault { on, ..self.lasting(50, 500, kind) }]
    }

    /// A follower is started anew twice within the time for which a write may wait, while all disks stand still, and
    /// everybody comes to it each time: what it sent on in one life is still waited for in the next.
    fn short_lives(&mut self) -> Vec<Fault> {
        let follower = Who::Follower(self.random.index(self.nodes));
        let crash = |storm: &mut Self, at_ms| {
            let end = storm.lasting(20, 150, Kind::Crash(follower, false));
            Fault { at_ms, ..end }
        };
        let crowd = |storm: &mut Self, at_ms| {
            let kind = Kind::Crowd(follower, 1 + storm.random.index(4));
            Fault { at_ms, for_ms: 1, kind, on: None }
        };
        let again = self.random.between(1_100, 1_500);
        let mut faults = vec![crash(self, 0), crash(self, again)];
        for at_ms in [again - 50, again + 500, again + 900, again + 1_300] {
            faults.push(crowd(self, at_ms));
        }
        // Writes of the first life wait until here, and not for longer than they may.
        let at_ms = again - 100;
        let for_ms = self.random.between(1_000, 2_300);
        faults.push(Fault { at_ms, for_ms, kind: Kind::HungDisks, on: None });
        faults
    }

    fn pause(&mut self) -> Vec<Fault> {
        if self.random.chance(100) {
            return vec![self.lasting(500, 20_000, Kind::PauseAll)];
        }
        let who = self.who();
        vec![self.lasting(1, 20_000, Kind::Pause(who))]
    }

    fn clog(&mut self) -> Vec<Fault> {
        let (who, micros) = (self.who(), self.random.magnitude(10_000, 2_000_000));
        vec![self.lasting(500, 20_000, Kind::Clog(who, micros))]
    }

    fn partition(&mut self) -> Vec<Fault> {
        let who = self.who();
        let broker = self.random.index(self.brokers);
        let shape = match self.random.below(15) {
            0 | 1 => Shape::Halves(self.random.next()),
            2 => Shape::Ring,
            3 => Shape::Bridge(who),
            4 | 5 => Shape::LeaderFromFollowers,
            6 => return vec![self.lasting(500, 60_000, Kind::Partition(Shape::BrokersFromLeader))],
            7 => Shape::Clients,
            8 => {
                let shape = Shape::Broker(broker, who);
                return vec![self.lasting(500, 60_000, Kind::Partition(shape))];
            }
            9 => Shape::DeafTo(who),
            10 => Shape::MuteTo(who),
            11 => return vec![self.lasting(1, 2, Kind::Reset(who))],
            12 => return self.flapping(who),
            13 => return self.swizzle(),
            _ => Shape::Isolated(who),
        };
        let most = if self.until < 30_000 { 4_000 } else { 20_000 };
        vec![self.lasting(100, most, Kind::Partition(shape))]
    }

    fn flapping(&mut self, who: Who) -> Vec<Fault> {
        let period = self.random.magnitude(50, 5_000);
        let kind = Kind::Partition(Shape::Isolated(who));
        let fault = |round| Fault { at_ms: round * period, for_ms: period / 2 + 1, kind, on: None };
        (0..self.random.between(2, 8)).map(fault).collect()
    }

    /// One after the other is cut off, and let back in another order.
    fn swizzle(&mut self) -> Vec<Fault> {
        let cut = |storm: &mut Self, node: usize| {
            let kind = Kind::Partition(Shape::Isolated(Who::Node(node)));
            let at_ms = 300 * node as u64;
            let for_ms = 300 * storm.nodes as u64 + storm.random.below(5_000);
            Fault { at_ms, for_ms, kind, on: None }
        };
        (0..self.nodes).map(|node| cut(self, node)).collect()
    }

    fn disk(&mut self) -> Vec<Fault> {
        let who = self.who();
        let kind = match self.random.below(7) {
            0 => Kind::SlowDisk(who, self.random.magnitude(2, 200)),
            1 => Kind::HungDisk(who),
            2 => Kind::FullDisk(who),
            3 => Kind::HungDisks,
            _ => Kind::DiskError(who, 1 + self.random.below(8), self.random.chance(300)),
        };
        vec![self.lasting(50, 10_000, kind)]
    }

    fn broker(&mut self) -> Vec<Fault> {
        let (broker, power) = (self.random.index(self.brokers), self.random.chance(400));
        let kind = match self.random.below(29) {
            0 | 1 => Kind::BrokerPause(broker),
            2 => Kind::BrokerForgets(broker),
            3 => Kind::BrokerFallsBack(broker),
            4 if self.random.chance(300) => Kind::BrokerDoubles(broker),
            4 | 5 => Kind::BrokerSlow(broker, self.random.magnitude(10_000, 8_000_000)),
            6 => Kind::BrokerMoves(broker),
            7 | 8 => Kind::BrokerReset(broker),
            9 | 10 => Kind::BrokerReconnects(broker),
            11 => Kind::BrokerLags(broker),
            12 | 13 => return self.behind_and_alone(broker, power),
            14..=16 => {
                let for_ms = self.random.between(500, 60_000);
                let kind = Kind::MasterCrash(broker, power);
                return vec![Fault { at_ms: 0, for_ms, kind, on: None }];
            }
            17 => return self.unheard_by_leader(broker),
            18 => return vec![self.lasting(500, 20_000, Kind::BrokerShut(broker))],
            19 | 20 => {
                return vec![self.lasting(1_000, 60_000, Kind::Partition(Shape::Set(broker)))];
            }
            21 => return vec![self.lasting(100, 20_000, Kind::BrokerUnanswered(broker))],
            22..=24 => return self.told_twice(broker),
            _ => Kind::BrokerCrash(broker, power),
        };
        vec![self.lasting(100, 40_000, kind)]
    }

    /// Nobody keeps up with a master, and then it ends, or no controller reaches it.
    fn behind_and_alone(&mut self, broker: usize, power: bool) -> Vec<Fault> {
        let first = broker / self.replicas * self.replicas;
        let lag =
            |broker| Fault { at_ms: 0, for_ms: 30_000, kind: Kind::BrokerLags(broker), on: None };
        let mut faults: Vec<Fault> = (first..first + self.replicas).map(lag).collect();
        let kind = if self.random.chance(500) {
            Kind::MasterCrash(broker, power)
        } else {
            Kind::Partition(Shape::Set(broker))
        };
        let end = self.lasting(5_000, 40_000, kind);
        faults.push(Fault { at_ms: self.random.between(8_000, 20_000), ..end });
        faults
    }

    /// An operator changes his mind as soon as he can, while a broker still takes the first master, and cannot be told
    /// of the second.
    fn told_twice(&mut self, broker: usize) -> Vec<Fault> {
        let taking_ms = self.random.between(2_000, 4_900);
        let kind = Kind::BrokerSlow(broker, taking_ms * 1_000);
        let slow = Fault { at_ms: 0, for_ms: self.random.between(200, 1_000), kind, on: None };
        let kind = Kind::BrokerUnanswered(broker);
        let on = Some((Moment::Notified, 1));
        let deaf = Fault { at_ms: 0, for_ms: taking_ms, kind, on };
        let word = Fault { at_ms: 10, for_ms: 1, kind: Kind::Designate(broker), on: None };
        // A new master is alone in its set at first, so he is told to wait until he hears nothing of that any more.
        let mut faults = vec![slow, deaf, word];
        let mut at_ms = self.random.between(700, 1_500);
        while at_ms < taking_ms {
            faults.push(Fault { at_ms, ..word });
            at_ms += self.random.between(200, 600);
        }
        faults
    }

    /// A broker reaches all controllers but the leader, or none while it is told of its master.
    fn unheard_by_leader(&mut self, broker: usize) -> Vec<Fault> {
        let shape = Shape::Broker(broker, Who::Leader);
        if self.random.chance(500) {
            return vec![self.lasting(8_000, 60_000, Kind::Partition(shape))];
        }
        let end = self.lasting(10_000, 60_000, Kind::MasterCrash(broker, false));
        let cut = self.lasting(500, 6_000, Kind::Partition(shape));
        let on = Some((Moment::Proposed, self.random.magnitude(1, 1_000)));
        vec![Fault { on, ..cut }, Fault { at_ms: 100, ..end }]
    }

    /// Wiped and rotten disks: of fewer than half of the controllers, so that a quorum of whole disks is left.
    fn damage(&mut self) -> Vec<Fault> {
        let most = (self.nodes - 1) / 2;
        let mut faults = Vec::new();
        for victim in 0..self.random.below(most as u64 + 1) {
            let node = (self.random.index(self.nodes) / 2 * 2
                + usize::try_from(victim).unwrap_or(0))
                % self.nodes;
            let is_known = |fault: &Fault| match fault.kind {
                Kind::Wipe(other) | Kind::Rot(other, _) => other == node,
                _ => false,
            };
            if faults.iter().any(is_known) {
                continue;
            }
            let at_ms = self.random.between(5_000.min(self.until / 2), self.until);
            let draw = self.random.next();
            let kind =
                if self.random.chance(500) { Kind::Wipe(node) } else { Kind::Rot(node, draw) };
            faults.push(Fault { at_ms, for_ms: self.random.magnitude(50, 5_000), kind, on: None });
        }
        faults
    }
}

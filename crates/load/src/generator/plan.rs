//! What a fleet, or the part of it that one process plays, is to be; and what is said to and by it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::measures::{Kind, Tally};
use crate::workload::{Arrival, Key, Reads, Wire};

/// Brokers of a set.
pub(crate) const REPLICAS: usize = 3;

/// Most brokers of one fleet: each has an address of its own.
pub(crate) const BROKERS_MAX: usize = 100_000;

/// Last bytes of an address that are used: not 0 and not 255.
const HOSTS: usize = 250;

/// First byte but one of the brokers' addresses.
const NETWORK: usize = 64;

/// How brokers listen.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) enum Listening {
    /// Each by a socket of its own, so that its address refuses when it dies.
    Own,
    /// All by one socket that takes every address of this host: for fleets in which nobody dies, it
    /// saves a descriptor for each broker.
    Shared,
}

/// A fleet's part that one process plays.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// `host:port` of each controller.
    pub(crate) controllers: Vec<String>,
    /// Beginning of all sets' names; they go on with a number.
    pub(crate) prefix: String,
    /// The number of the first set.
    pub(crate) first_set: usize,
    /// How many there are.
    pub(crate) sets: usize,
    /// The brokers' port, 0 before it is known; with a `host` that of the first of them.
    pub(crate) port: u16,
    /// The address that all brokers of this part have, each with a port of its own; none for an address of loopback for
    /// each, all with one port, which only controllers of this host reach.
    pub(crate) host: Option<Ipv4Addr>,
    pub(crate) listening: Listening,
    /// Brokers that share a connection to each controller; 1 for a connection of one's own.
    pub(crate) brokers_per_connection: usize,
    pub(crate) heartbeat_every: Duration,
    /// `heartbeatTimeoutMillis` of all brokers.
    pub(crate) timeout: Duration,
    /// Of so many heartbeats one is sent two-way, to have a latency; 0 for none.
    pub(crate) two_way_every: u64,
    /// Whether all brokers do what they do at one moment, and not spread over their periods.
    pub(crate) is_synchronized: bool,
    /// What is sent beside one-way heartbeats.
    pub(crate) sources: Vec<Source>,
    /// What the controllers' addresses speak.
    pub(crate) wire: Wire,
    /// Where the reads of streams go.
    pub(crate) reads: Reads,
    /// Everything random comes from it.
    pub(crate) seed: u64,
    /// Factors of the rates of streams, from moments on that count from the start of the load.
    pub(crate) phases: Vec<(Duration, f64)>,
    /// Length of a window; nought for a single one without an end.
    pub(crate) window: Duration,
    /// How many of the slowest requests are kept.
    pub(crate) slowest: usize,
}

/// Something that sends requests which are answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Source {
    pub(crate) kind: Kind,
    /// How long an answer may take.
    pub(crate) timeout: Duration,
    /// Requests that may wait for answers.
    pub(crate) in_flight_max: usize,
    pub(crate) by: By,
}

/// Who sends, and when.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum By {
    /// Every broker once in a period, over its own connection. Of heartbeats only the sampled ones
    /// are answered; their period is the plan's.
    Brokers { every: Duration },
    /// Masters of sets chosen evenly, over their own connections.
    Masters { arrival: Arrival, per_second: f64 },
    /// A new master, so long after it was told that it is one, over its own connection.
    Reaction { delay: Duration },
    /// Somebody with connections of his own, so many to each node.
    Stream {
        arrival: Arrival,
        /// Moments in nanoseconds from the start of the load, in the place of arrival and rate.
        trace: Option<Vec<u64>>,
        per_second: f64,
        key: Key,
        connections: usize,
        /// Keys of a store, and the bytes of each value.
        keys: usize,
        value_bytes: usize,
    },
}

impl Source {
    /// Something that every broker asks periodically.
    pub(crate) fn of_brokers(kind: Kind, every: Duration, timeout: Duration) -> Self {
        Self { kind, timeout, in_flight_max: usize::MAX, by: By::Brokers { every } }
    }

    /// Connections of its own to each node.
    pub(crate) fn connections(&self) -> usize {
        match self.by {
            By::Brokers { .. } | By::Masters { .. } | By::Reaction { .. } => 0,
            By::Stream { connections, .. } => connections,
        }
    }

    /// The same at a part of the rate and with a part of the connections, in one of several processes; of a trace each
    /// takes its turns.
    fn part(&self, part: f64, (process, processes): (usize, usize)) -> Self {
        let mut source = self.clone();
        if let By::Stream { trace: Some(trace), .. } = &mut source.by {
            *trace = trace.iter().copied().skip(process).step_by(processes).collect();
        }
        match &mut source.by {
            By::Brokers { .. } | By::Reaction { .. } => {}
            By::Masters { per_second, .. } => *per_second *= part,
            By::Stream { per_second, connections, .. } => {
                *per_second *= part;
                // Nobody can send without one.
                *connections = share_of(*connections, (process, processes)).max(1);
                if source.in_flight_max != usize::MAX {
                    source.in_flight_max =
                        share_of(source.in_flight_max, (process, processes)).max(1);
                }
            }
        }
        source
    }
}

/// How long a broker waits for an answer. Source: upstream's 3,000 ms.
const ANSWER: Duration = Duration::from_secs(3);

impl Plan {
    /// A fleet with the cadences of Java's brokers.
    /// Source: upstream `brokerHeartbeatInterval`, `syncBrokerMetadataPeriod`,
    /// `syncControllerMetadataPeriod`.
    pub(crate) fn as_java(controllers: Vec<String>, prefix: String, sets: usize) -> Self {
        let heartbeat_every = Duration::from_secs(1);
        let source = |kind, seconds| Source::of_brokers(kind, Duration::from_secs(seconds), ANSWER);
        Self {
            controllers,
            prefix,
            first_set: 0,
            sets,
            port: 0,
            host: None,
            listening: Listening::Own,
            brokers_per_connection: 1,
            heartbeat_every,
            timeout: Duration::from_secs(10),
            two_way_every: 100,
            is_synchronized: false,
            sources: vec![
                source(Kind::Heartbeat, 1),
                source(Kind::GetReplicaInfo, 5),
                source(Kind::GetMetadata, 10),
            ],
            wire: Wire::Controller,
            reads: Reads::Leader,
            seed: 0,
            phases: Vec::new(),
            window: Duration::ZERO,
            slowest: 0,
        }
    }

    pub(crate) fn brokers(&self) -> usize {
        self.sets * REPLICAS
    }

    /// The longest time that any answer may take.
    pub(crate) fn longest_answer(&self) -> Duration {
        self.sources.iter().map(|source| source.timeout).max().unwrap_or_default()
    }

    /// Descriptors that the fleet needs, the connections over which notices come included.
    pub(crate) fn descriptors(&self) -> usize {
        let lines = self.brokers().div_ceil(self.brokers_per_connection) * self.controllers.len();
        let listeners = match self.listening {
            Listening::Own => self.brokers(),
            Listening::Shared => 1,
        };
        let streams: usize = self.sources.iter().map(Source::connections).sum();
        lines + listeners + self.brokers() + streams * self.controllers.len()
    }

    /// The parts of several processes, as even as may be; each has one of the `ports`, since a
    /// listener that takes every address has the port for itself.
    pub(crate) fn split(&self, ports: &[u16]) -> Vec<Self> {
        let processes = ports.len();
        let mut parts = Vec::with_capacity(processes);
        let mut first_set = self.first_set;
        for (part, &port) in ports.iter().enumerate() {
            let sets = share_of(self.sets, (part, processes));
            let share = match self.sets {
                0 => part_of(1, processes),
                all => part_of(sets, all),
            };
            let sources =
                self.sources.iter().map(|source| source.part(share, (part, processes))).collect();
            let seed = self.seed.wrapping_add(u64::from(port));
            parts.push(Self { first_set, sets, port, sources, seed, ..self.clone() });
            first_set += sets;
        }
        parts
    }

    /// The name of a set of this part, counted from 0.
    pub(crate) fn set_name(&self, set: usize) -> String {
        format!("{}-{}", self.prefix, self.first_set + set)
    }

    /// The address of broker `replica` (0 to 2) of a set of this part.
    ///
    /// # Panics
    /// If the fleet is larger than [`BROKERS_MAX`], or the brokers of a `host` than its ports.
    pub(crate) fn address(&self, set: usize, replica: usize) -> SocketAddrV4 {
        let own = set * REPLICAS + replica;
        if let Some(host) = self.host {
            let port = u16::try_from(own).ok().and_then(|own| self.port.checked_add(own));
            return SocketAddrV4::new(host, port.expect("a worker's brokers fit into its ports"));
        }
        let number = self.first_set * REPLICAS + own;
        assert!(number < BROKERS_MAX, "a fleet has at most {BROKERS_MAX} brokers");
        let byte = |value: usize| u8::try_from(value).expect("BROKERS_MAX keeps it in its byte");
        let (low, rest) = (1 + number % HOSTS, number / HOSTS);
        let (middle, high) = (rest % HOSTS, NETWORK + rest / HOSTS);
        let ip = Ipv4Addr::new(127, byte(high), byte(middle), byte(low));
        SocketAddrV4::new(ip, self.port)
    }

    /// The broker of this part with this address, counted from 0.
    pub(crate) fn number_of(&self, address: SocketAddrV4) -> Option<usize> {
        if self.host.is_some() {
            let number = usize::from(address.port().checked_sub(self.port)?);
            return (number < self.brokers()).then_some(number);
        }
        let [_, high, middle, low] = address.ip().octets().map(usize::from);
        let rest = high.checked_sub(NETWORK)? * HOSTS + middle;
        let number = (rest * HOSTS + low).checked_sub(1)?;
        let number = number.checked_sub(self.first_set * REPLICAS)?;
        (number < self.brokers()).then_some(number)
    }
}

/// What one of several processes has of so many things, as even as may be.
fn share_of(all: usize, (process, processes): (usize, usize)) -> usize {
    all / processes + usize::from(process < all % processes)
}

/// A part of all sets, 0 to 1; all of it if there are none.
#[expect(clippy::cast_precision_loss, reason = "sets are far fewer than 2^53")]
fn part_of(sets: usize, all: usize) -> f64 {
    if all == 0 { 1.0 } else { sets as f64 / all as f64 }
}

/// What a set looks like, by an answer or by its founding.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct View {
    pub(crate) master: Option<i64>,
    pub(crate) master_epoch: i32,
    /// Sorted.
    pub(crate) members: Vec<i64>,
    pub(crate) set_epoch: i32,
}

#[cfg(test)]
impl View {
    /// A set of three under master 1, all in sync.
    pub(crate) fn of_three(master_epoch: i32, set_epoch: i32) -> Self {
        Self { master: Some(1), master_epoch, members: vec![1, 2, 3], set_epoch }
    }
}

/// What a fleet's process is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Command {
    /// From now on polls are answered like this, one view for each set.
    Know(Vec<View>),
    /// Start to measure: heartbeats alone, or everything that the plan has.
    Measure { has_load: bool, times: Times },
    /// Send nothing but heartbeats from this moment on, and do not count those.
    Ease { at_ns: u64 },
    /// Who leads the controllers, by its place among them.
    Leader(usize),
    /// The masters of these sets of the part die together at this moment of the shared clock.
    Kill { at_ns: u64, sets: Vec<usize> },
    /// The connections of all brokers of this part (0 to 1) of the sets are reset at this moment, and opened again.
    Reconnect { at_ns: u64, part: f64 },
    /// Say what was measured since [`Command::Measure`].
    Report,
    /// Close everything and end.
    Stop,
}

impl Command {
    /// The same by a clock that is so many nanoseconds ahead of ours.
    pub(crate) fn by_clock(&self, ahead_ns: i64) -> Self {
        let moved = |at_ns: u64| moved(at_ns, ahead_ns);
        match self.clone() {
            Self::Measure { has_load, times } => {
                let Times { start_ns, measure_from_ns, measure_to_ns } = times;
                let times = Times {
                    start_ns: moved(start_ns),
                    measure_from_ns: moved(measure_from_ns),
                    measure_to_ns: moved(measure_to_ns),
                };
                Self::Measure { has_load, times }
            }
            Self::Ease { at_ns } => Self::Ease { at_ns: moved(at_ns) },
            Self::Kill { at_ns, sets } => Self::Kill { at_ns: moved(at_ns), sets },
            Self::Reconnect { at_ns, part } => Self::Reconnect { at_ns: moved(at_ns), part },
            same @ (Self::Know(_) | Self::Leader(_) | Self::Report | Self::Stop) => same,
        }
    }
}

/// A moment by a clock that is so far ahead; `u64::MAX`, which is never, stays that.
fn moved(at_ns: u64, ahead_ns: i64) -> u64 {
    if at_ns == u64::MAX { at_ns } else { at_ns.saturating_add_signed(ahead_ns) }
}

/// Moments of the shared clock.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Times {
    /// The first request is due, and the first window begins.
    pub(crate) start_ns: u64,
    /// What is due from here on …
    pub(crate) measure_from_ns: u64,
    /// … up to here may be among the slowest.
    pub(crate) measure_to_ns: u64,
}

impl Times {
    /// From now on, without an end.
    pub(crate) fn from_now() -> Self {
        let now_ns = crate::clock::mono_ns();
        Self { start_ns: now_ns, measure_from_ns: now_ns, measure_to_ns: u64::MAX }
    }
}

/// What a fleet's process says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Event {
    /// For the one who waits.
    Progress(String),
    /// All brokers are connected and have heartbeated.
    Beating,
    /// All sets have a master and all their members in sync.
    Founded(Vec<View>),
    /// Every survivor of every set whose master was killed has been told.
    AllTold,
    /// A window is over, and everything in it has ended; its number, from 0.
    Window(u64, Box<Tally>),
    /// The answer to [`Command::Report`].
    Report(Box<Report>),
    /// It cannot go on.
    Failed(String),
}

/// A master that was killed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Closing {
    /// Number of its set in the whole fleet.
    pub(crate) set: usize,
    pub(crate) master: i64,
    /// When the first of its sockets was closed.
    pub(crate) at_ns: u64,
}

/// A role notice as a broker received it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Number of its set in the whole fleet.
    pub(crate) set: usize,
    /// Who was told.
    pub(crate) broker: i64,
    pub(crate) at_ns: u64,
    pub(crate) master: i64,
    pub(crate) master_epoch: i32,
}

/// What one process has seen.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Windows that were not told before.
    pub(crate) windows: BTreeMap<u64, Tally>,
    /// The slowest requests, the slowest first.
    pub(crate) slowest: Vec<Slow>,
    pub(crate) closings: Vec<Closing>,
    pub(crate) told: Vec<Told>,
    /// When a new master's own change of its set was acknowledged, by the set's number in the whole fleet.
    pub(crate) reported: BTreeMap<usize, u64>,
    /// Connections to controllers that broke though nobody here closed them.
    pub(crate) connections_lost: u64,
    /// Answers that contradicted what was known.
    pub(crate) violations: u64,
    /// The first of them.
    pub(crate) contradictions: Vec<String>,
    /// Both epochs of each set, by its number in the whole fleet, as they were acknowledged last.
    pub(crate) acknowledged: BTreeMap<usize, u64>,
}

/// Most contradictions that are told in words.
pub(crate) const CONTRADICTIONS_MAX: usize = 20;

/// A slow request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Slow {
    pub(crate) kind: Kind,
    pub(crate) due_ns: u64,
    pub(crate) latency_ns: u64,
    pub(crate) service_ns: u64,
    pub(crate) lag_ns: u64,
    /// `ok`, `timeout`, `lost` or `code N`.
    pub(crate) outcome: String,
}

impl Report {
    /// Moments by a clock that is so many nanoseconds ahead of the one they were taken by.
    pub(crate) fn by_clock(mut self, ahead_ns: i64) -> Self {
        let each = |at_ns: &mut u64| *at_ns = moved(*at_ns, ahead_ns);
        self.slowest.iter_mut().for_each(|it| each(&mut it.due_ns));
        self.closings.iter_mut().for_each(|it| each(&mut it.at_ns));
        self.told.iter_mut().for_each(|it| each(&mut it.at_ns));
        self.reported.values_mut().for_each(each);
        self
    }

    /// Adds what another process has seen.
    pub(crate) fn add(&mut self, other: Self) {
        for (window, tally) in &other.windows {
            self.windows.entry(*window).or_default().add(tally);
        }
        self.slowest.extend(other.slowest);
        self.slowest.sort_by_key(|slow| std::cmp::Reverse(slow.latency_ns));
        self.closings.extend(other.closings);
        self.told.extend(other.told);
        self.reported.extend(other.reported);
        self.connections_lost += other.connections_lost;
        self.violations += other.violations;
        self.acknowledged.extend(other.acknowledged);
        self.contradictions.extend(other.contradictions);
        self.contradictions.truncate(CONTRADICTIONS_MAX);
    }

    /// All windows together.
    pub(crate) fn tally(&self) -> Tally {
        let mut all = Tally::default();
        self.windows.values().for_each(|tally| all.add(tally));
        all
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use std::time::Duration;

    use super::{BROKERS_MAX, By, Command, Kind, Plan, REPLICAS, Report, Source, Times};

    #[test]
    fn parts_cover_the_fleet_and_all_addresses_differ() {
        let sets = BROKERS_MAX / REPLICAS;
        let plan = Plan::as_java(vec!["x:1".to_owned()], "p".to_owned(), sets);
        let mut addresses = BTreeSet::new();
        let mut names = BTreeSet::new();
        for part in plan.split(&[9; 7]) {
            for set in 0..part.sets {
                assert!(names.insert(part.set_name(set)));
                for replica in 0..REPLICAS {
                    let address = part.address(set, replica);
                    assert!(addresses.insert(address));
                    assert_eq!(part.number_of(address), Some(set * REPLICAS + replica));
                }
            }
        }
        assert_eq!((names.len(), addresses.len()), (sets, sets * REPLICAS));
        assert!(addresses.iter().all(|address| address.ip().is_loopback()));
    }

    #[test]
    fn brokers_of_a_host_have_ports() {
        let mut plan = Plan::as_java(vec!["x:1".to_owned()], "p".to_owned(), 4);
        (plan.first_set, plan.port, plan.host) = (7, 10_000, Some([10, 0, 0, 9].into()));
        assert_eq!(plan.address(3, 2).to_string(), "10.0.0.9:10011");
        assert_eq!(plan.number_of(plan.address(3, 2)), Some(11));
        assert_eq!(plan.number_of("10.0.0.9:10012".parse().unwrap()), None);
        assert_eq!(plan.number_of("10.0.0.9:9999".parse().unwrap()), None);
    }

    #[test]
    fn streams_are_split_by_rate_and_connections_also_without_a_fleet() {
        for sets in [0, 4] {
            let mut plan = Plan::as_java(vec!["x:1".to_owned()], "p".to_owned(), sets);
            let (arrival, key) =
                (crate::workload::Arrival::Constant, crate::workload::Key::Uniform);
            let by = By::Stream {
                arrival,
                trace: None,
                per_second: 100.0,
                key,
                connections: 7,
                keys: 1,
                value_bytes: 1,
            };
            let timeout = Duration::from_secs(1);
            plan.sources = vec![Source { kind: Kind::Get, timeout, in_flight_max: 9, by }];
            let parts = plan.split(&[1, 2]);
            let of = |part: &Plan| match part.sources[0].by {
                By::Stream { per_second, connections, .. } => (per_second, connections),
                _ => panic!("it is a stream"),
            };
            assert_eq!(parts.iter().map(of).collect::<Vec<_>>(), [(50.0, 4), (50.0, 3)]);
            assert_eq!(parts[0].sources[0].in_flight_max + parts[1].sources[0].in_flight_max, 9);
        }
    }

    #[test]
    fn moments_are_told_by_another_clock_and_never_stays_never() {
        let times = Times { start_ns: 10, measure_from_ns: 20, measure_to_ns: u64::MAX };
        let Command::Measure { times, .. } =
            (Command::Measure { has_load: true, times }).by_clock(5)
        else {
            panic!("it is the same command")
        };
        assert_eq!(
            (times.start_ns, times.measure_from_ns, times.measure_to_ns),
            (15, 25, u64::MAX)
        );
        let report = Report { reported: [(1, 100)].into(), ..Report::default() };
        assert_eq!(report.by_clock(-40).reported[&1], 60);
    }

    #[test]
    fn descriptors_are_counted() {
        let controllers = vec!["x:1".to_owned(); 3];
        let mut plan = Plan::as_java(controllers, "p".to_owned(), 10);
        assert_eq!(plan.descriptors(), 30 * 3 + 30 + 30);
        plan.brokers_per_connection = 20;
        plan.listening = super::Listening::Shared;
        assert_eq!(plan.descriptors(), 2 * 3 + 1 + 30);
    }
}

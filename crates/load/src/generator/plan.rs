//! What a fleet, or the part of it that one process plays, is to be; and what is said to and by it.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::generator::measures::Measures;

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
    /// The brokers' port, 0 before it is known.
    pub(crate) port: u16,
    pub(crate) listening: Listening,
    /// Brokers that share a connection to each controller; 1 for a connection of one's own.
    pub(crate) brokers_per_connection: usize,
    pub(crate) heartbeat_every: Duration,
    /// `heartbeatTimeoutMillis` of all brokers.
    pub(crate) timeout: Duration,
    /// Pause between two polls (1004) of a broker.
    pub(crate) poll_every: Duration,
    /// Pause between two questions for the leader (1005) of a broker.
    pub(crate) metadata_every: Duration,
    /// Of so many heartbeats one is sent two-way, to have a latency; 0 for none.
    pub(crate) two_way_every: u64,
}

impl Plan {
    /// A fleet with the cadences of Java's brokers.
    /// Source: upstream `brokerHeartbeatInterval`, `syncBrokerMetadataPeriod`,
    /// `syncControllerMetadataPeriod`.
    pub(crate) fn as_java(controllers: Vec<String>, prefix: String, sets: usize) -> Self {
        Self {
            controllers,
            prefix,
            first_set: 0,
            sets,
            port: 0,
            listening: Listening::Own,
            brokers_per_connection: 1,
            heartbeat_every: Duration::from_secs(1),
            timeout: Duration::from_secs(10),
            poll_every: Duration::from_secs(5),
            metadata_every: Duration::from_secs(10),
            two_way_every: 100,
        }
    }

    pub(crate) fn brokers(&self) -> usize {
        self.sets * REPLICAS
    }

    /// Descriptors that the fleet needs, the connections over which notices come included.
    pub(crate) fn descriptors(&self) -> usize {
        let lines = self.brokers().div_ceil(self.brokers_per_connection) * self.controllers.len();
        let listeners = match self.listening {
            Listening::Own => self.brokers(),
            Listening::Shared => 1,
        };
        lines + listeners + self.brokers()
    }

    /// The parts of several processes, as even as may be; each has one of the `ports`, since a
    /// listener that takes every address has the port for itself.
    pub(crate) fn split(&self, ports: &[u16]) -> Vec<Self> {
        let processes = ports.len();
        let mut parts = Vec::with_capacity(processes);
        let mut first_set = self.first_set;
        for (part, &port) in ports.iter().enumerate() {
            let sets = self.sets / processes + usize::from(part < self.sets % processes);
            parts.push(Self { first_set, sets, port, ..self.clone() });
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
    /// If the fleet is larger than [`BROKERS_MAX`].
    pub(crate) fn address(&self, set: usize, replica: usize) -> SocketAddrV4 {
        let number = (self.first_set + set) * REPLICAS + replica;
        assert!(number < BROKERS_MAX, "a fleet has at most {BROKERS_MAX} brokers");
        let byte = |value: usize| u8::try_from(value).expect("BROKERS_MAX keeps it in its byte");
        let (low, rest) = (1 + number % HOSTS, number / HOSTS);
        let (middle, high) = (rest % HOSTS, NETWORK + rest / HOSTS);
        let ip = Ipv4Addr::new(127, byte(high), byte(middle), byte(low));
        SocketAddrV4::new(ip, self.port)
    }

    /// The broker of this part with this address, counted from 0.
    pub(crate) fn number_of(&self, address: Ipv4Addr) -> Option<usize> {
        let [_, high, middle, low] = address.octets().map(usize::from);
        let rest = high.checked_sub(NETWORK)? * HOSTS + middle;
        let number = (rest * HOSTS + low).checked_sub(1)?;
        let number = number.checked_sub(self.first_set * REPLICAS)?;
        (number < self.brokers()).then_some(number)
    }
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

/// What a fleet's process is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Command {
    /// From now on polls are answered like this, one view for each set.
    Know(Vec<View>),
    /// Start to measure, with or without polls.
    Measure { has_polls: bool },
    /// The masters of these sets of the part die together at this moment of the shared clock.
    Kill { at_ns: u64, sets: Vec<usize> },
    /// Say what was measured since [`Command::Measure`].
    Report,
    /// Close everything and end.
    Stop,
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
    pub(crate) heartbeats: Measures,
    pub(crate) two_way_heartbeats: Measures,
    pub(crate) polls: Measures,
    pub(crate) metadata: Measures,
    pub(crate) closings: Vec<Closing>,
    pub(crate) told: Vec<Told>,
    /// Connections to controllers that broke though nobody here closed them.
    pub(crate) connections_lost: u64,
    /// An answer that contradicted what was known, if there was any.
    pub(crate) contradiction: Option<String>,
}

impl Report {
    /// Adds what another process has seen.
    pub(crate) fn add(&mut self, other: Self) {
        self.heartbeats.add(&other.heartbeats);
        self.two_way_heartbeats.add(&other.two_way_heartbeats);
        self.polls.add(&other.polls);
        self.metadata.add(&other.metadata);
        self.closings.extend(other.closings);
        self.told.extend(other.told);
        self.connections_lost += other.connections_lost;
        self.contradiction = self.contradiction.take().or(other.contradiction);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{BROKERS_MAX, Plan, REPLICAS};

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
                    assert_eq!(part.number_of(*address.ip()), Some(set * REPLICAS + replica));
                }
            }
        }
        assert_eq!((names.len(), addresses.len()), (sets, sets * REPLICAS));
        assert!(addresses.iter().all(|address| address.ip().is_loopback()));
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

//! What a run did to the nodes, looked at from outside of `OpenChaos`, which records an injection as made even if it failed.
//!
//! A thread looks at every node: does its controller run, in which state, what did its packet filter drop, how long is a round
//! trip. An injection is confirmed if between its begin and its end the trace of its fault was seen somewhere.
//!
//! A round trip is a connection to a port where nobody listens: the refusal is the answer, and no program has a part in it. One
//! may take long on a busy machine, so a delay is seen only if half of those to a node do, and those to it between injections not.

use super::faults::Trace;
use super::ground::{NAMES, tool};
use super::nodes::{Nodes, PROCESS};
use crate::interop::clock::{Stopwatch, pause, wall_ms};
use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often processes are looked at; filters cost two programs each, and are looked at, as are round trips, every fourth time.
const EVERY: Duration = Duration::from_millis(250);
const LOOKS_PER_FILTER: u32 = 4;

/// A port where no node has a listener.
const CLOSED_PORT: u16 = 9;

/// Longer than any round trip with a delay, and shorter than a second try of the kernel.
const ROUND_TRIP_MAX: Duration = Duration::from_millis(900);

/// The least delay of 100 ms ± 50 ms, on one of the two ways.
const DELAY_MIN_US: u64 = 50_000;

/// Fewer round trips than this to a node say nothing.
const ROUND_TRIPS_MIN: usize = 3;

/// One look at one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) at_ms: u64,
    pub(super) node: usize,
    /// The letter of the controller's state, if it runs.
    pub(super) state: Option<char>,
    /// Packets that the filter has dropped since its rules were made.
    pub(super) dropped: u64,
    /// Microseconds to the node and back, if it answered.
    pub(super) round_trip_us: Option<u64>,
}

/// An injection as `OpenChaos` recorded it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Injection {
    pub(super) from_ms: u64,
    pub(super) to_ms: u64,
}

/// A thread that looks.
#[derive(Debug)]
pub(super) struct Watch {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Look>>>,
}

impl Watch {
    /// Begins to look; filters and round trips only if the fault is one of the network.
    pub(super) fn start(nodes: &Nodes, trace: Trace) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let place = |((name, home), address): ((&String, &PathBuf), &String)| Place {
            namespace: name.clone(),
            file: home.join(PROCESS).display().to_string(),
            address: address.clone(),
        };
        let places = nodes.names.iter().zip(&nodes.homes).zip(&nodes.addresses).map(place);
        let (places, hub) = (places.collect::<Vec<_>>(), nodes.hub.clone());
        let look = move || {
            let mut looks = Vec::new();
            let is_there = trace != Trace::Delayed || enter(&hub);
            let looks_at_network = is_there && matches!(trace, Trace::Dropped | Trace::Delayed);
            for round in 0_u32.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let with_network = looks_at_network && round % LOOKS_PER_FILTER == 0;
                looks.extend(look_at_all(&places, with_network.then_some(trace)));
                pause(EVERY);
            }
            looks
        };
        let thread = std::thread::Builder::new().name("watch".to_owned()).spawn(look).ok();
        Self { is_over, thread }
    }

    /// Ends it; gives all that was seen.
    pub(super) fn end(mut self) -> Vec<Look> {
        self.is_over.store(true, Ordering::Relaxed);
        let looks = self.thread.take().map(JoinHandle::join);
        looks.and_then(Result::ok).unwrap_or_default()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Where a node is looked at.
#[derive(Debug)]
struct Place {
    namespace: String,
    /// Its controller's property file.
    file: String,
    address: String,
}

/// Moves this thread to the host of `OpenChaos`; `false` if that cannot be, and then it has said why.
fn enter(hub: &str) -> bool {
    let moved = || -> io::Result<()> {
        let name = Path::new(NAMES).join(hub);
        let file = rustix::fs::open(name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?)
    };
    moved().map_err(|error| eprintln!("no round trip is seen from {hub}: {error}")).is_ok()
}

/// One look at every node; at its network only for a fault of the network.
fn look_at_all(places: &[Place], of_network: Option<Trace>) -> Vec<Look> {
    let states = states(places);
    let look = |(node, place): (usize, &Place)| {
        let at_ms = wall_ms();
        let asks = |trace| of_network == Some(trace);
        let dropped = if asks(Trace::Dropped) { dropped_at(&place.namespace) } else { 0 };
        let round_trip_us = if asks(Trace::Delayed) { round_trip_us(&place.address) } else { None };
        let state = states.get(&place.file).copied();
        Look { at_ms, node, state, dropped, round_trip_us }
    };
    places.iter().enumerate().map(look).collect()
}

/// The state of each controller that runs, by its property file.
fn states(places: &[Place]) -> BTreeMap<String, char> {
    let mut states = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
        let line = String::from_utf8_lossy(&line);
        // `start`, which brings a controller to life, names the file in no argument of its own.
        let file = line.split('\0').find(|word| places.iter().any(|place| place.file == **word));
        let Some(file) = file else { continue };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
        if let Some(state) = state.filter(|state| *state != 'Z') {
            states.insert(file.to_owned(), state);
        }
    }
    states
}

/// What a node's filter dropped.
fn dropped_at(namespace: &str) -> u64 {
    let shown = tool(&["ip", "netns", "exec", namespace, "iptables", "-nvxL", "INPUT"]);
    dropped(&shown.unwrap_or_default())
}

/// Microseconds until a node refuses a connection; none if it did not in [`ROUND_TRIP_MAX`].
fn round_trip_us(address: &str) -> Option<u64> {
    let address: Ipv4Addr = address.parse().ok()?;
    let watch = Stopwatch::start();
    let asked =
        TcpStream::connect_timeout(&SocketAddr::from((address, CLOSED_PORT)), ROUND_TRIP_MAX);
    let took = watch.elapsed();
    let error = asked.err().filter(|error| error.kind() == ErrorKind::ConnectionRefused);
    error.and_then(|_| u64::try_from(took.as_micros()).ok())
}

/// The sum of the packets of all rules that drop.
fn dropped(shown: &str) -> u64 {
    let packets = |line: &str| {
        let mut words = line.split_whitespace();
        let packets: u64 = words.next()?.parse().ok()?;
        (words.nth(1) == Some("DROP")).then_some(packets)
    };
    shown.lines().filter_map(packets).sum()
}

/// How many injections left their trace.
pub(super) fn confirmed(injections: &[Injection], looks: &[Look], trace: Trace) -> usize {
    let is_seen = |injection: &&Injection| {
        let mut within = looks.iter().filter(|look| injection.has(look));
        match trace {
            Trace::Nothing => within.next().is_some(),
            Trace::Gone => within.any(|look| look.state.is_none()),
            Trace::Stopped => within.any(|look| look.state == Some('T')),
            Trace::Dropped => within.any(|look| look.dropped > 0),
            Trace::Delayed => has_delayed(injection, injections, looks),
        }
    };
    injections.iter().filter(is_seen).count()
}

impl Injection {
    fn has(&self, look: &Look) -> bool {
        (self.from_ms..=self.to_ms).contains(&look.at_ms)
    }
}

/// Whether round trips to one node took longer in this injection than those to it outside of all.
fn has_delayed(injection: &Injection, injections: &[Injection], looks: &[Look]) -> bool {
    let nodes: BTreeSet<usize> = looks.iter().map(|look| look.node).collect();
    nodes.into_iter().any(|node| {
        let median = |is_meant: &dyn Fn(&Look) -> bool| {
            let meant = looks.iter().filter(|look| look.node == node && is_meant(look));
            median(meant.filter_map(|look| look.round_trip_us).collect())
        };
        let usual = median(&|look| !injections.iter().any(|injection| injection.has(look)));
        let then = median(&|look| injection.has(look));
        usual.zip(then).is_some_and(|(usual, then)| then >= usual + DELAY_MIN_US)
    })
}

/// The time that half of them take, or less.
fn median(mut times: Vec<u64>) -> Option<u64> {
    times.sort_unstable();
    let middle = times.get(times.len() / 2).copied();
    middle.filter(|_| times.len() >= ROUND_TRIPS_MIN)
}

#[cfg(test)]
mod tests {
    use super::{Injection, Look, confirmed, dropped};
    use crate::openchaos::faults::Trace;

    #[test]
    fn packets_of_rules_that_drop_are_summed() {
        let shown = "Chain INPUT (policy ACCEPT 90 packets, 12 bytes)\n\
                     \x20   pkts      bytes target     prot opt in     out     source               destination\n\
                     \x20      7      420 DROP       0    --  *      *       10.78.0.2            0.0.0.0/0\n\
                     \x20      5      300 DROP       0    --  *      *       10.78.0.3            0.0.0.0/0\n\
                     \x20      9      300 ACCEPT     0    --  *      *       10.78.0.3            0.0.0.0/0\n";
        assert_eq!(dropped(shown), 12);
        assert_eq!(dropped(""), 0);
    }

    #[test]
    fn an_injection_is_confirmed_by_its_own_trace_in_its_own_time() {
        let look =
            |at_ms, state, dropped| Look { at_ms, node: 0, state, dropped, round_trip_us: None };
        let looks = [
            look(5, Some('S'), 0),
            look(15, None, 0),
            look(25, Some('T'), 0),
            look(35, Some('S'), 4),
        ];
        let count =
            |from_ms, to_ms, trace| confirmed(&[Injection { from_ms, to_ms }], &looks, trace);
        assert_eq!(count(10, 20, Trace::Gone), 1);
        assert_eq!(count(20, 40, Trace::Gone), 0);
        assert_eq!(count(20, 30, Trace::Stopped), 1);
        assert_eq!(count(10, 20, Trace::Stopped), 0);
        assert_eq!(count(30, 40, Trace::Dropped), 1);
        assert_eq!(count(0, 30, Trace::Dropped), 0);
        assert_eq!(count(0, 40, Trace::Delayed), 0);
    }

    #[test]
    fn a_delay_is_what_half_of_the_round_trips_to_a_node_have_and_only_in_its_time() {
        // Two injections of three looks, with as many before, between and after them.
        let injections = [10, 30].map(|from_ms| Injection { from_ms, to_ms: from_ms + 9 });
        let count = |slow: &[u64], usual_us: u64| {
            let look = |at_ms: u64, node: usize| {
                let more = if node == 1 && slow.contains(&at_ms) { 60_000 } else { 0 };
                let round_trip_us = Some(usual_us + more);
                Look { at_ms, node, state: Some('S'), dropped: 0, round_trip_us }
            };
            let times = (0..50).filter(|at_ms| at_ms % 10 < 3);
            let looks: Vec<Look> =
                times.flat_map(|at_ms| [look(at_ms, 0), look(at_ms, 1)]).collect();
            confirmed(&injections, &looks, Trace::Delayed)
        };
        assert_eq!(count(&[10, 11, 31, 32], 300), 2);
        assert_eq!(count(&[10, 11, 12], 300), 1);
        assert_eq!(count(&[10, 32], 300), 0, "one of three is the machine");
        assert_eq!(count(&[], 90_000), 0, "always slow is no delay");
        let never_healed: Vec<u64> = (10..50).collect();
        assert_eq!(count(&never_healed, 300), 0);
        let few = Look { at_ms: 10, node: 0, state: None, dropped: 0, round_trip_us: Some(60_000) };
        assert_eq!(confirmed(&injections, &[few], Trace::Delayed), 0);
    }
}

//! What a run did to the nodes, looked at from outside of `OpenChaos`, which records an injection as made even if it failed.
//!
//! A thread looks at every node: does its controller run, in which state, what did its packet filter drop, has its device a
//! delay. An injection is confirmed if between its begin and its end the trace of its fault was seen somewhere.

use super::faults::Trace;
use super::ground::tool;
use super::nodes::PROCESS;
use crate::interop::clock::{pause, wall_ms};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often processes are looked at; filters and devices cost two programs each, and are looked at every fourth time.
const EVERY: Duration = Duration::from_millis(250);
const LOOKS_PER_FILTER: u32 = 4;

/// One look at one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) at_ms: u64,
    pub(super) node: usize,
    /// The letter of the controller's state, if it runs.
    pub(super) state: Option<char>,
    /// Packets that the filter has dropped since its rules were made.
    pub(super) dropped: u64,
    pub(super) is_delayed: bool,
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
    /// Begins to look; filters and devices only if the fault is one of the network.
    pub(super) fn start(names: &[String], homes: &[PathBuf], trace: Trace) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, names) = (Arc::clone(&is_over), names.to_vec());
        let files: Vec<String> =
            homes.iter().map(|home| home.join(PROCESS).display().to_string()).collect();
        let looks_at_network = matches!(trace, Trace::Dropped | Trace::Delayed);
        let look = move || {
            let mut looks = Vec::new();
            for round in 0_u32.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let with_network = looks_at_network && round % LOOKS_PER_FILTER == 0;
                looks.extend(look_at_all(&names, &files, with_network.then_some(trace)));
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

/// One look at every node; at its network only for a fault of the network.
fn look_at_all(names: &[String], files: &[String], of_network: Option<Trace>) -> Vec<Look> {
    let states = states(files);
    let look = |(node, (name, file)): (usize, (&String, &String))| {
        let (dropped, is_delayed) = of_network.map_or((0, false), |trace| network(name, trace));
        let state = states.get(file).copied();
        Look { at_ms: wall_ms(), node, state, dropped, is_delayed }
    };
    names.iter().zip(files).enumerate().map(look).collect()
}

/// The state of each controller that runs, by its property file.
fn states(files: &[String]) -> BTreeMap<String, char> {
    let mut states = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
        let line = String::from_utf8_lossy(&line);
        // `start`, which brings a controller to life, names the file in no argument of its own.
        let file = line.split('\0').find(|word| files.iter().any(|file| file == word));
        let Some(file) = file else { continue };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
        if let Some(state) = state.filter(|state| *state != 'Z') {
            states.insert(file.to_owned(), state);
        }
    }
    states
}

/// What a node's filter dropped, and whether its device has a delay.
fn network(name: &str, trace: Trace) -> (u64, bool) {
    let inside = ["ip", "netns", "exec", name];
    if trace == Trace::Delayed {
        let shown = tool(&[&inside[..], &["tc", "qdisc", "show", "dev", "eth0"]].concat());
        return (0, shown.is_ok_and(|shown| shown.contains("netem")));
    }
    let shown = tool(&[&inside[..], &["iptables", "-nvxL", "INPUT"]].concat());
    (dropped(&shown.unwrap_or_default()), false)
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
    let is_trace = |look: &Look| match trace {
        Trace::Nothing => true,
        Trace::Gone => look.state.is_none(),
        Trace::Stopped => look.state == Some('T'),
        Trace::Dropped => look.dropped > 0,
        Trace::Delayed => look.is_delayed,
    };
    let is_seen = |injection: &&Injection| {
        let within = |look: &&Look| (injection.from_ms..=injection.to_ms).contains(&look.at_ms);
        looks.iter().filter(within).any(is_trace)
    };
    injections.iter().filter(is_seen).count()
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
            |at_ms, state, dropped| Look { at_ms, node: 0, state, dropped, is_delayed: false };
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
}

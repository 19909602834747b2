//! The faults of `OpenChaos` that do something, and how each is seen to.
//!
//! `OpenChaos` lists 40 names. 18 are made by `ChaosControl#ready`; the others end with "no such fault".
//! Source: `FaultGenerator`, `ChaosControl`, `NetFault` of commit d129a32.

/// How an injection is seen from outside of `OpenChaos`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trace {
    /// Nothing is done, nothing is to be seen.
    Nothing,
    /// A controller's process is gone.
    Gone,
    /// A controller's process is in state `T`.
    Stopped,
    /// Packet filters of a node dropped packets.
    Dropped,
    /// A round trip to a node takes as much longer as a delay is at least.
    Delayed,
}

/// What the kernel must offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Means {
    /// Nothing but processes.
    Processes,
    /// iptables with `-j DROP`.
    Filter,
    /// iptables with `-m statistic`.
    Statistic,
    /// `tc` with netem, or [`super::delay`].
    Netem,
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) name: &'static str,
    pub(super) nodes: u8,
    pub(super) trace: Trace,
    pub(super) means: Means,
    /// Injections that a run has; `OpenChaos` never heals `leader-partition`, so a second one would leave no majority.
    pub(super) is_once: bool,
}

const fn fault(name: &'static str, nodes: u8, trace: Trace, means: Means) -> Fault {
    Fault { name, nodes, trace, means, is_once: false }
}

/// All that work, those of the leader first.
pub(super) const FAULTS: [Fault; 18] = [
    fault("noop", 3, Trace::Nothing, Means::Processes),
    fault("leader-kill", 3, Trace::Gone, Means::Processes),
    fault("leader-suspend", 3, Trace::Stopped, Means::Processes),
    Fault { is_once: true, ..fault("leader-partition", 3, Trace::Dropped, Means::Filter) },
    fault("minor-kill", 3, Trace::Gone, Means::Processes),
    fault("major-kill", 3, Trace::Gone, Means::Processes),
    fault("random-kill", 3, Trace::Gone, Means::Processes),
    fault("fixed-kill", 3, Trace::Gone, Means::Processes),
    fault("minor-suspend", 3, Trace::Stopped, Means::Processes),
    fault("major-suspend", 3, Trace::Stopped, Means::Processes),
    fault("random-suspend", 3, Trace::Stopped, Means::Processes),
    fault("fixed-suspend", 3, Trace::Stopped, Means::Processes),
    fault("random-partition", 3, Trace::Dropped, Means::Filter),
    fault("fixed-partition", 3, Trace::Dropped, Means::Filter),
    fault("random-loss", 3, Trace::Dropped, Means::Statistic),
    fault("partition-majorities-ring", 5, Trace::Dropped, Means::Filter),
    fault("bridge", 5, Trace::Dropped, Means::Filter),
    fault("random-delay", 3, Trace::Delayed, Means::Netem),
];

/// Names that `OpenChaos` lists and does not make.
pub(super) const NAMES_ONLY: [&str; 22] = [
    "minor-loss",
    "major-loss",
    "fixed-loss",
    "minor-delay",
    "major-delay",
    "fixed-delay",
    "minor-cpu-high",
    "major-cpu-high",
    "random-cpu-high",
    "fixed-cpu-high",
    "minor-mem-high",
    "major-mem-high",
    "random-mem-high",
    "fixed-mem-high",
    "minor-disk-error",
    "major-disk-error",
    "random-disk-error",
    "fixed-disk-error",
    "minor-io-hang",
    "major-io-hang",
    "random-io-hang",
    "fixed-io-hang",
];

/// Reads a list of names; `all` is all that work.
///
/// # Errors
/// The first name that is unknown, or that `OpenChaos` knows only by name.
pub(super) fn parse(list: &str) -> Result<Vec<Fault>, String> {
    if list == "all" {
        return Ok(FAULTS.to_vec());
    }
    let one = |name: &str| {
        let found = FAULTS.iter().find(|fault| fault.name == name).copied();
        found.ok_or_else(|| {
            if NAMES_ONLY.contains(&name) {
                return format!("OpenChaos lists the fault {name} and does not make it");
            }
            let names: Vec<&str> = FAULTS.iter().map(|fault| fault.name).collect();
            format!("OpenChaos has no fault {name}; it has {}", names.join(", "))
        })
    };
    list.split(',').map(str::trim).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::{FAULTS, NAMES_ONLY, parse};

    #[test]
    fn the_forty_names_are_known_once() {
        let mut names: Vec<&str> = FAULTS.iter().map(|fault| fault.name).collect();
        names.extend(NAMES_ONLY);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 40);
    }

    #[test]
    fn lists_are_read_and_what_is_wrong_is_named() {
        let faults = parse("leader-kill, bridge").expect("both work");
        assert_eq!((faults[0].name, faults[1].nodes), ("leader-kill", 5));
        assert_eq!(parse("all").expect("all work").len(), FAULTS.len());
        let wrong = parse("leader-kil").expect_err("no such fault");
        assert!(wrong.starts_with("OpenChaos has no fault leader-kil; it has noop, "), "{wrong}");
        let idle = parse("minor-loss").expect_err("it does nothing");
        assert_eq!(idle, "OpenChaos lists the fault minor-loss and does not make it");
    }
}

//! Which faults there are, how a list of them is read, and what each means for one cluster.
//!
//! ```text
//! name ──parse──► Fault ──plan (pure, seeded)──► deeds ──injection──► confirmed, or the run is INVALID
//! ```
//!
//! | File | Holds |
//! |---|---|
//! | `catalogue.rs` | every name, `OpenChaos`' 40 among them |
//! | `plan.rs` | from a fault and the state of the cluster to deeds; no IO |
//! | `injection.rs` | deeds done, confirmed, undone |
//! | `ends.rs` | those of them that end controllers and start them again |
//! | `limits.rs` | those of them that leave one less than it needs |
//! | `clocks.rs` | those of them that are about clocks |
//! | `crowds.rs` | those of them that are about crowds |
//! | `processes.rs` | those of them that keep one process from running |
//! | `snapshots.rs` | a kill in the middle of a snapshot |
//! | `network.rs` | whether rules of the network were felt |
//! | `settings.rs` | the one that changes a setting |
//! | `storage.rs` | those of them that are about disks and files |
//! | `rest.rs` | files damaged while nobody has them open |

pub mod catalogue;
mod clocks;
mod crowds;
mod ends;
pub(crate) mod injection;
mod limits;
mod network;
pub(crate) mod plan;
mod processes;
pub mod rest;
mod settings;
mod snapshots;
mod storage;

use crate::ground::probe::{Finding, Means};
use crate::target;
use catalogue::{CATALOGUE, Entry, Kind, Origin};

/// One fault that was asked for: one entry of the catalogue, or several at once.
#[derive(Clone, Debug)]
pub struct Fault {
    /// As it was written.
    pub name: String,
    /// What happens together.
    pub entries: Vec<&'static Entry>,
    /// The node that `fixed` names.
    pub fixed: usize,
}

/// A word that names no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownFault {
    /// No entry of the catalogue has this name.
    #[error("unknown fault `{0}`; `pitchover chaos list` shows all names")]
    Name(String),
    /// `@` is not followed by a node of the cluster.
    #[error("`{0}`: `@` is followed by a node, n0 to n{1}")]
    Node(String, usize),
    /// Two faults were joined that cannot happen at once, for this reason.
    #[error("`{0}`: {1} and {2} cannot happen at once: {3}; name each by itself")]
    NotTogether(String, &'static str, &'static str, &'static str),
    /// Nothing was named.
    #[error("no fault is named")]
    Nothing,
}

/// Reads a list of faults: names, `openchaos:NAME`, `NAME@n1` for a fixed node, `NAME+NAME` for several at
/// once, `all`, `openchaos` or `ours` for whole parts of the catalogue, and `pairs` for every two families at once.
///
/// # Errors
/// The first word that names nothing.
pub fn parse(list: &str, nodes: usize) -> Result<Vec<Fault>, UnknownFault> {
    let mut faults = Vec::new();
    for word in list.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let part = |wanted: Option<Origin>| {
            let fits = move |entry: &&'static Entry| wanted.is_none_or(|w| entry.origin == w);
            CATALOGUE.iter().filter(fits).map(|entry| Fault {
                name: entry.full_name(),
                entries: vec![entry],
                fixed: 0,
            })
        };
        match word {
            "all" => faults.extend(part(None)),
            "openchaos" => faults.extend(part(Some(Origin::OpenChaos))),
            "ours" => faults.extend(part(Some(Origin::Ours))),
            "pairs" => faults.extend(pairs()),
            word => faults.push(one(word, nodes)?),
        }
    }
    if faults.is_empty() { Err(UnknownFault::Nothing) } else { Ok(faults) }
}

/// Every two families at once, each by the name of it that hits fewest, so that a majority is left to heal.
fn pairs() -> Vec<Fault> {
    let mut families: Vec<&'static Entry> = Vec::new();
    for entry in CATALOGUE {
        let is_none = matches!(entry.kind, Kind::Noop | Kind::Cannot(_));
        if is_none || entry.alone.is_some() || entry.kind.needs_java_brokers() {
            continue;
        }
        match families.iter_mut().find(|known| known.family == entry.family) {
            None => families.push(entry),
            Some(known) if entry.is_minor() && !known.is_minor() => *known = entry,
            Some(_) => {}
        }
    }
    let pair = |one: &'static Entry, other: &'static Entry| Fault {
        name: format!("{}+{}", one.name, other.name),
        entries: vec![one, other],
        fixed: 0,
    };
    let with_later = |(at, one): (usize, &&'static Entry)| {
        let can = |other: &&&'static Entry| one.conflict(other).is_none();
        families[at + 1..].iter().filter(can).map(|other| pair(one, other)).collect::<Vec<_>>()
    };
    families.iter().enumerate().flat_map(with_later).collect()
}

fn one(word: &str, nodes: usize) -> Result<Fault, UnknownFault> {
    let (names, fixed) = match word.split_once('@') {
        None => (word, 0),
        Some((names, node)) => {
            let number = node.strip_prefix('n').and_then(|node| node.parse().ok());
            let number = number.filter(|number| *number < nodes);
            (names, number.ok_or_else(|| UnknownFault::Node(word.to_owned(), nodes - 1))?)
        }
    };
    let find = |name: &str| {
        let found = CATALOGUE.iter().find(|entry| entry.name == name || entry.full_name() == name);
        found.ok_or_else(|| UnknownFault::Name(name.to_owned()))
    };
    let entries = names.split('+').map(find).collect::<Result<Vec<&Entry>, _>>()?;
    for (at, one) in entries.iter().enumerate() {
        for other in &entries[at + 1..] {
            if let Some(why) = one.conflict(other) {
                return Err(UnknownFault::NotTogether(word.to_owned(), one.name, other.name, why));
            }
        }
    }
    Ok(Fault { name: word.to_owned(), entries, fixed })
}

/// Why a fault was not injected, and whether that leaves something untested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// In words.
    pub why: String,
    /// What speaks for it.
    pub excuse: Excuse,
}

/// What speaks for a run that skipped a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excuse {
    /// Nothing: something is untested.
    None,
    /// There is nothing in the controllers that could be tested by it.
    NothingToHit,
    /// It means something only with so many controllers; another run has them.
    Nodes(usize),
    /// It means something only with Java brokers; another run has them.
    JavaBrokers,
    /// It means something only where data lie on a device; another run's do.
    Device,
}

/// What the data of controllers lie on.
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    /// A block device, below the folder of the run.
    Device,
    /// Memory, for the sake of other faults of the run.
    Memory,
    /// The folder of the run is on no such device, for this reason.
    Elsewhere(&'a str),
}

/// What a run has, so that faults can be injected.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// What this machine can inject.
    pub findings: &'a [Finding],
    /// Who the controllers are.
    pub target: target::Kind,
    /// How many they are.
    pub nodes: usize,
    /// Whether there is another build of them.
    pub has_other_program: bool,
    /// Whether brokers are processes that store messages.
    pub has_java_brokers: bool,
    /// What the data of controllers lie on.
    pub data: Data<'a>,
}

impl Skip {
    /// Nothing excuses it.
    #[must_use]
    pub fn because(why: impl Into<String>) -> Self {
        Self { why: why.into(), excuse: Excuse::None }
    }
}

/// Why a fault cannot be injected in this setting, if it cannot.
#[must_use]
pub fn skipped(fault: &Fault, setting: &Setting<'_>) -> Option<Skip> {
    let Setting { findings, target, nodes, has_other_program, has_java_brokers, .. } = *setting;
    let excused = |why: &str, excuse| Some(Skip { why: why.to_owned(), excuse });
    fault.entries.iter().find_map(|entry| {
        if entry.is_of_our_journal() && !target.is_ours() {
            let why = "about our journal; upstream's are maps of memory";
            return excused(why, Excuse::NothingToHit);
        }
        if entry.is_of_our_program() && !target.is_ours() {
            return Some(Skip::because("done to our program only"));
        }
        if let Kind::Cannot(why) = entry.kind {
            return excused(why, Excuse::NothingToHit);
        }
        if entry.kind.needs_java_brokers() && !has_java_brokers {
            return excused("needs --brokers java", Excuse::JavaBrokers);
        }
        if nodes < entry.nodes_min {
            let why = format!("needs {} controllers", entry.nodes_min);
            return excused(&why, Excuse::Nodes(entry.nodes_min));
        }
        if entry.kind == Kind::Upgrade && !has_other_program {
            return Some(Skip::because("no other build to upgrade to; name one by --other-binary"));
        }
        if entry.means == Some(Means::DeviceLimit) {
            match setting.data {
                Data::Device => {}
                Data::Memory => {
                    let why = "data lie in memory, for other faults of this run: give it its own";
                    return excused(why, Excuse::Device);
                }
                Data::Elsewhere(why) => return Some(Skip::because(why)),
            }
        }
        let lacks = |(means, found): &Finding| {
            let why = found.as_ref().err()?;
            (Some(*means) == entry.means).then(|| Skip::because(format!("{}: {why}", means.name())))
        };
        findings.iter().find_map(lacks)
    })
}

#[cfg(test)]
mod tests {
    use super::catalogue::{CATALOGUE, Origin};
    use super::{Data, Excuse, Setting, UnknownFault, parse, skipped};
    use crate::ground::probe::Means;
    use crate::target::Kind as Target;

    #[test]
    fn all_forty_names_of_openchaos_are_known() {
        let ours = CATALOGUE.iter().filter(|entry| entry.origin == Origin::OpenChaos);
        assert_eq!(ours.count(), 40);
        let rows = ["noop", "leader-kill", "openchaos:leader-partition", "openchaos:fixed-io-hang"];
        for row in rows {
            assert_eq!(parse(row, 3).unwrap().len(), 1, "{row}");
        }
    }

    #[test]
    fn the_design_says_how_many_there_are() {
        let design = include_str!("../../../docs/design/RELIABILITY.md");
        let ours = CATALOGUE.iter().filter(|entry| entry.origin == Origin::Ours).count();
        let said =
            format!("({ours} of our own, {} in all: `pitchover chaos list`)", CATALOGUE.len());
        assert!(design.contains(&said), "docs/design/RELIABILITY.md, 5.3, should say: {said}");
    }

    #[test]
    fn names_are_used_once() {
        let mut names: Vec<&str> = CATALOGUE.iter().map(|entry| entry.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn lists_nodes_and_combinations_are_read() {
        let faults = parse("fixed-kill@n2, leader-kill+master-kill", 3).unwrap();
        assert_eq!((faults[0].fixed, faults[0].entries.len()), (2, 1));
        assert_eq!(faults[1].entries.len(), 2);
        assert_eq!(parse("all", 3).unwrap().len(), CATALOGUE.len());
    }

    #[test]
    fn pairs_hold_every_two_families_once() {
        let pairs = parse("pairs", 3).unwrap();
        let mut families: Vec<_> =
            pairs.iter().map(|pair| (pair.entries[0].family, pair.entries[1].family)).collect();
        families.sort_unstable();
        families.dedup();
        assert_eq!(families.len(), pairs.len());
        assert!(families.iter().all(|(one, other)| one != other));
        let names: Vec<&str> = pairs.iter().map(|pair| &*pair.name).collect();
        assert!(names.contains(&"minor-kill+minor-disk-error"), "{names:?}");
        assert!(!names.iter().any(|name| name.contains("wiped") || name.contains("noop")));
        // 18 families: kill, suspend, partition, delay, loss, cpu, memory, disk error, io hang, network, disk full,
        // descriptors, clock, broker, power loss, load, configuration, bad input.
        assert_eq!(pairs.len(), 18 * 17 / 2);
    }

    #[test]
    fn only_what_leaves_nothing_untested_is_excused() {
        let found = [(Means::Quota, Err("no cgroup".to_owned()))];
        let check = |name, target, nodes, expected| {
            let fault = &parse(name, nodes).unwrap()[0];
            let mut setting = Setting {
                findings: &found,
                target,
                nodes,
                has_other_program: false,
                has_java_brokers: false,
                data: Data::Memory,
            };
            let skip = skipped(fault, &setting);
            assert_eq!(skip.map(|skip| skip.excuse), expected, "{name}");
            setting.has_other_program = true;
            setting.has_java_brokers = true;
            setting.data = Data::Device;
            skipped(fault, &setting).map(|skip| skip.excuse)
        };
        check("leader-kill", Target::Pitchover, 3, None);
        check("bridge", Target::Pitchover, 5, None);
        check("bridge", Target::Pitchover, 3, Some(Excuse::Nodes(5)));
        check("partition-majorities-ring", Target::Pitchover, 3, Some(Excuse::Nodes(4)));
        check("add-peer", Target::Pitchover, 5, Some(Excuse::NothingToHit));
        check("overload", Target::Pitchover, 5, None);
        check("overload", Target::JavaJraft, 5, Some(Excuse::None));
        check("kill-in-snapshot", Target::JavaJraft, 5, Some(Excuse::None));
        check("kill-at-start", Target::JavaJraft, 5, None);
        check("slow-readers", Target::JavaJraft, 5, None);
        for name in ["malformed-alter", "slowloris", "config-reload"] {
            check(name, Target::JavaJraft, 5, None);
        }
        check("leader-cpu", Target::Pitchover, 5, Some(Excuse::None));
        check("power-loss", Target::JavaJraft, 5, Some(Excuse::NothingToHit));
        // These want what the first setting lacks and the second has.
        for name in ["master-suspend", "master-from-replicas", "master-apart"] {
            let with_all = check(name, Target::Pitchover, 3, Some(Excuse::JavaBrokers));
            assert_eq!(with_all, None, "{name}");
        }
        let with_all = check("io-throttle", Target::Pitchover, 3, Some(Excuse::Device));
        assert_eq!(with_all, None, "io-throttle");
        check("io-throttle", Target::JavaJraft, 3, Some(Excuse::NothingToHit));
        let with_all = check("rolling-upgrade", Target::Pitchover, 3, Some(Excuse::None));
        assert_eq!(with_all, None, "rolling-upgrade");
        let with_all = check("rolling-upgrade", Target::JavaJraft, 3, Some(Excuse::None));
        assert_eq!(with_all, Some(Excuse::None), "of upstream's there is one build");
    }

    #[test]
    fn a_folder_on_no_device_is_no_excuse() {
        let setting = Setting {
            findings: &[],
            target: Target::Pitchover,
            nodes: 3,
            has_other_program: false,
            has_java_brokers: false,
            data: Data::Elsewhere("/x lies on no block device"),
        };
        let skip = skipped(&parse("io-throttle", 3).unwrap()[0], &setting).unwrap();
        assert_eq!((&*skip.why, skip.excuse), ("/x lies on no block device", Excuse::None));
        assert_eq!(skipped(&parse("leader-kill", 3).unwrap()[0], &setting), None);
    }

    #[test]
    fn what_names_nothing_is_named() {
        let error = |list| parse(list, 3).unwrap_err();
        assert_eq!(error("leader-kil"), UnknownFault::Name("leader-kil".into()));
        assert_eq!(error("noop,leader-kill+x"), UnknownFault::Name("x".into()));
        assert_eq!(error("fixed-kill@n3"), UnknownFault::Node("fixed-kill@n3".into(), 2));
        assert_eq!(error(" , "), UnknownFault::Nothing);
    }

    #[test]
    fn what_can_only_be_in_doubt_together_is_refused() {
        let refused = |one: &str, other: &str| {
            for joined in [format!("{one}+{other}"), format!("{other}+{one}")] {
                let error = parse(&joined, 3).unwrap_err();
                assert!(matches!(error, UnknownFault::NotTogether(..)), "{error}");
                let text = error.to_string();
                assert!(text.contains(one) && text.contains(other), "{text}");
            }
        };
        refused("wiped-disk", "leader-kill");
        refused("rolling-restart", "duplicate");
        refused("rolling-upgrade", "minor-delay");
        refused("kill-in-snapshot", "minor-kill");
        refused("io-throttle", "major-kill");
        refused("io-throttle", "suspend-all");
        refused("io-throttle", "random-loss");
        refused("leader-kill", "freeze");
        refused("leader-kill", "leader-cpu");
        refused("kill-all", "minor-suspend");
        let joined = "io-throttle+leader-kill,leader-kill+minor-suspend,leader-kill+fixed-cpu-high,\
            freeze+leader-cpu,leader-kill+leader-partition,io-throttle+minor-loss,kill-all+overload";
        assert_eq!(parse(joined, 3).map(|faults| faults.len()), Ok(7));
    }
}

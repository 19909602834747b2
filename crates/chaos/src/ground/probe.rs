//! What this machine can inject. Asked before anything is started, and printed. A question changes nothing of what it asks
//! about, nor of this process, from which controllers inherit.

use super::cgroup::{Resource, Tree, Version};
use super::{descriptors, device, skew, tool};
use crate::{crowd, disk, fabric};
use std::fs::File;

/// A means of injection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Means {
    /// All of it needs root.
    Root,
    /// A session, a network and a PID namespace for each controller: `setsid`, `ip`, `unshare`, `setpriv`.
    Namespaces,
    /// Devices that bring packets to the fabric.
    Tun,
    /// A processor quota.
    Quota,
    /// A limit of memory.
    MemoryLimit,
    /// Processes that stand still.
    Freezer,
    /// A limit of what is written to a device.
    DeviceLimit,
    /// A file system that can be full.
    SizedTmpfs,
    /// A clock of its own for one process.
    TimeNamespace,
    /// A compiler for the library that tells a process another time.
    ClockShim,
    /// A disk that fails, hangs and loses what was not synced.
    FaultyDisk,
    /// Descriptors for thousands of connections.
    Descriptors,
}

/// All means, in the order of the table.
pub const ALL: [Means; 12] = [
    Means::Root,
    Means::Namespaces,
    Means::Tun,
    Means::Quota,
    Means::MemoryLimit,
    Means::Freezer,
    Means::DeviceLimit,
    Means::SizedTmpfs,
    Means::TimeNamespace,
    Means::ClockShim,
    Means::FaultyDisk,
    Means::Descriptors,
];

/// Controllers of the largest run.
const NODES_MAX: usize = 5;

/// Without these there is no run.
const NEEDED: [Means; 3] = [Means::Root, Means::Namespaces, Means::Tun];

/// What was found about one means: how it is done, or why not.
pub type Finding = (Means, Result<&'static str, String>);

impl Means {
    /// Its name in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Namespaces => "namespaces",
            Self::Tun => "TUN fabric",
            Self::Quota => "processor quota",
            Self::MemoryLimit => "memory limit",
            Self::Freezer => "freezer",
            Self::DeviceLimit => "device limit",
            Self::SizedTmpfs => "sized tmpfs",
            Self::TimeNamespace => "time namespace",
            Self::ClockShim => "clock shim",
            Self::FaultyDisk => "faulty disk",
            Self::Descriptors => "descriptors",
        }
    }

    fn find(self) -> Result<&'static str, String> {
        let said = |words: &[&str]| tool(words).map(drop).map_err(|error| error.to_string());
        match self {
            Self::Root => match rustix::process::geteuid().is_root() {
                true => Ok("effective user 0"),
                false => Err("not root: namespaces and devices need it".to_owned()),
            },
            Self::Namespaces => {
                said(&["ip", "-V"])?;
                let both = ["unshare", "--net", "--pid", "--mount-proc", "--fork", "--kill-child"];
                said(&["setsid", "setpriv", "--pdeathsig", "KILL", "true"])?;
                said(&[both.as_slice(), &["true"]].concat())?;
                Ok("ip netns, unshare, setpriv, setsid")
            }
            Self::Tun => opens(fabric::DEVICE),
            Self::Quota => match Tree::find(Resource::Processor).map(|tree| tree.version) {
                Some(Version::First) => Ok("cgroup v1, cpu.cfs_quota_us"),
                Some(Version::Second) => Ok("cgroup v2, cpu.max"),
                None => Err("no cgroup with the cpu controller".to_owned()),
            },
            Self::MemoryLimit => match Tree::find(Resource::Memory).map(|tree| tree.version) {
                Some(Version::First) => Ok("cgroup v1, memory.limit_in_bytes"),
                Some(Version::Second) => Ok("cgroup v2, memory.max"),
                None => Err("no cgroup with the memory controller".to_owned()),
            },
            Self::Freezer => match Tree::find(Resource::Freezer).map(|tree| tree.version) {
                Some(Version::First) => Ok("cgroup v1, freezer.state"),
                Some(Version::Second) => Ok("cgroup v2, cgroup.freeze"),
                None => Err("no cgroup that can freeze".to_owned()),
            },
            Self::DeviceLimit => device::find(),
            Self::SizedTmpfs => {
                said(&[
                    "unshare", "--mount", "mount", "-t", "tmpfs", "-o", "size=1m", "probe", "/mnt",
                ])?;
                Ok("mount -t tmpfs -o size")
            }
            Self::TimeNamespace => {
                said(&["unshare", "--time", "--monotonic", "1", "--fork", "true"])?;
                Ok("unshare --time --monotonic")
            }
            Self::ClockShim => {
                said(&[skew::COMPILER, "--version"])?;
                Ok("a library of our own in front of the C library; cc")
            }
            Self::FaultyDisk => opens(disk::DEVICE),
            Self::Descriptors => {
                descriptors::may_claim((NODES_MAX * crowd::CONNECTIONS_MAX) as u64)?;
                Ok("RLIMIT_NOFILE")
            }
        }
    }
}

/// Whether a device can be opened.
fn opens(path: &'static str) -> Result<&'static str, String> {
    let opened = File::options().read(true).write(true).open(path);
    opened.map(|_| path).map_err(|error| format!("{path}: {error}"))
}

/// Asks for every means.
#[must_use]
pub fn findings() -> Vec<Finding> {
    ALL.iter().map(|means| (*means, means.find())).collect()
}

/// The first means that every run needs and this machine lacks, in words.
#[must_use]
pub fn lacking(findings: &[Finding]) -> Option<String> {
    let lacks = |(means, found): &Finding| {
        let why = found.as_ref().err().filter(|_| NEEDED.contains(means))?;
        Some(format!("{}: {why}", means.name()))
    };
    findings.iter().find_map(lacks)
}

/// The table, one line for each means.
#[must_use]
pub fn table(findings: &[Finding]) -> String {
    let line = |(means, found): &Finding| match found {
        Ok(how) => format!("{:<16} yes  {how}\n", means.name()),
        Err(why) => format!("{:<16} no   {why}\n", means.name()),
    };
    findings.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::Means;
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    #[test]
    fn a_question_about_descriptors_takes_none() {
        let before = getrlimit(Resource::Nofile);
        // Fewer than crowds need, as most shells have it, and enough for all tests beside this one.
        let few = Some(before.maximum.unwrap_or(u64::MAX).min(1_024));
        setrlimit(Resource::Nofile, Rlimit { current: few, ..before }).unwrap();
        drop(Means::Descriptors.find());
        let after = getrlimit(Resource::Nofile).current;
        setrlimit(Resource::Nofile, before).unwrap();
        assert_eq!(after, few);
    }
}

//! Limits of processor time and of memory by cgroup, version 1 or 2, whichever has the controller.
//!
//! A limit alone does nothing to a process that sleeps most of the time and needs no more than it has. So another is put
//! into the same group: one that never sleeps, or one that takes memory until there is none. The two share what the
//! limit leaves, and the rest of the machine is not touched.

use super::namespace::name;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command};

/// Microseconds over which a quota counts.
const PERIOD_US: u64 = 100_000;

/// Bytes that a starved controller and whoever starves it may have: less than the latter takes at once.
const MEMORY: &str = "67108864";

/// Whom the kernel kills first, in every group. Source: `proc(5)`, `oom_score_adj`.
const FIRST_TO_GO: &str = "1000";

/// What a group limits, by the kernel's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Processor,
    Memory,
}

impl Resource {
    const ALL: [Self; 2] = [Self::Processor, Self::Memory];

    const fn name(self) -> &'static str {
        match self {
            Self::Processor => "cpu",
            Self::Memory => "memory",
        }
    }
}

/// Which of the two trees can limit a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    First,
    Second,
}

/// Where groups that limit one resource are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tree {
    pub(crate) version: Version,
    resource: Resource,
}

impl Tree {
    /// The tree of this machine that can limit `resource`, if either can.
    pub(crate) fn find(resource: Resource) -> Option<Self> {
        let second =
            fs::read_to_string("/sys/fs/cgroup/cgroup.subtree_control").unwrap_or_default();
        let first = Self { version: Version::First, resource };
        if second.split_whitespace().any(|word| word == resource.name()) {
            return Some(Self { version: Version::Second, resource });
        }
        fs::exists(first.root().join("tasks")).unwrap_or(false).then_some(first)
    }

    /// Every tree of this machine in which a run makes groups.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        Resource::ALL.into_iter().filter_map(Self::find)
    }

    /// Where the groups lie.
    pub(super) fn root(self) -> PathBuf {
        match self.version {
            Version::First => PathBuf::from("/sys/fs/cgroup").join(self.resource.name()),
            Version::Second => PathBuf::from("/sys/fs/cgroup"),
        }
    }
}

/// A group with one process and its bad neighbour in it; dropping it ends the neighbour and removes the group, once it
/// is empty.
#[derive(Debug)]
pub(crate) struct Limit {
    tree: Tree,
    folder: PathBuf,
    neighbour: Child,
}

impl Limit {
    /// Puts the process `pid` into a group of its own that has `per_cent` of one processor.
    pub(crate) fn processor(run: u32, part: &str, pid: i32, per_cent: u64) -> io::Result<Self> {
        let limit = Self::begin(Resource::Processor, (run, part), "while :; do :; done")?;
        let us = PERIOD_US * per_cent / 100;
        match limit.tree.version {
            Version::First => {
                limit.write("cpu.cfs_period_us", &PERIOD_US.to_string())?;
                limit.write("cpu.cfs_quota_us", &us.to_string())?;
            }
            Version::Second => limit.write("cpu.max", &format!("{us} {PERIOD_US}"))?,
        }
        limit.share(pid)
    }

    /// Puts the process `pid` into a group of its own whose memory is taken until the kernel kills the process.
    pub(crate) fn memory(run: u32, part: &str, pid: i32) -> io::Result<Self> {
        // It keeps whatever it read of something without an end; and begins when it is in the group.
        let greedy = "read -r begin && exec tail /dev/zero";
        let mut limit = Self::begin(Resource::Memory, (run, part), greedy)?;
        match limit.tree.version {
            Version::First => limit.write("memory.limit_in_bytes", MEMORY)?,
            Version::Second => limit.write("memory.max", MEMORY)?,
        }
        fs::write(format!("/proc/{pid}/oom_score_adj"), FIRST_TO_GO)?;
        limit = limit.share(pid)?;
        let mut begin = limit.neighbour.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        io::Write::write_all(&mut begin, b"begin\n")?;
        Ok(limit)
    }

    fn begin(resource: Resource, (run, part): (u32, &str), does: &str) -> io::Result<Self> {
        let missing = || io::Error::other(format!("no cgroup can limit {}", resource.name()));
        let tree = Tree::find(resource).ok_or_else(missing)?;
        let folder = tree.root().join(name(run, part));
        fs::create_dir_all(&folder)?;
        let mut neighbour = Command::new("setpriv");
        neighbour.args(["--pdeathsig", "KILL", "sh", "-c", does]);
        neighbour.stdin(std::process::Stdio::piped());
        Ok(Self { tree, folder, neighbour: neighbour.spawn()? })
    }

    fn share(self, pid: i32) -> io::Result<Self> {
        self.write("cgroup.procs", &self.neighbour.id().to_string())?;
        self.write("cgroup.procs", &pid.to_string())?;
        Ok(self)
    }

    /// How often the group wanted to run and was not let.
    pub(crate) fn throttled(&self) -> u64 {
        self.count("cpu.stat", "nr_throttled ")
    }

    /// How many of its processes the kernel killed for their memory.
    pub(crate) fn killed(&self) -> u64 {
        let file = match self.tree.version {
            Version::First => "memory.oom_control",
            Version::Second => "memory.events",
        };
        self.count(file, "oom_kill ")
    }

    fn count(&self, file: &str, name: &str) -> u64 {
        let text = fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
    }

    /// Lets the process go its own way again, if it lives.
    pub(crate) fn lift(self, pid: Option<i32>) -> io::Result<()> {
        match pid {
            Some(pid) => fs::write(self.tree.root().join("cgroup.procs"), pid.to_string()),
            None => Ok(()),
        }
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        let path = self.folder.join(file);
        fs::write(&path, text)
            .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        // It has ended already if these fail.
        drop(self.neighbour.kill());
        drop(self.neighbour.wait());
        // Fails while a process is in it; the next start removes it then.
        drop(fs::remove_dir(&self.folder));
    }
}

//! Groups of processes (cgroups), version 1 or 2, whichever has the controller; limits of processor time and of memory.
//!
//! A limit alone does nothing to a process that sleeps most of the time and needs no more than it has. So another is put
//! into the same group: one that never sleeps, or one that takes memory until there is none. The two share what the
//! limit leaves, and the rest of the machine is not touched.

use super::namespace::name;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

/// Microseconds over which a quota counts.
const PERIOD_US: u64 = 100_000;

/// Bytes that a starved controller and whoever starves it may have: less than the latter takes at once.
const MEMORY: &str = "67108864";

/// Whom the kernel kills first, in every group. Source: `proc(5)`, `oom_score_adj`.
const FIRST_TO_GO: &str = "1000";

/// Looks at a group that should be empty; a process that was killed is in its group until the kernel has taken its
/// memory back.
const LOOKS_MAX: usize = 40;

/// Between two of them.
const LOOK: Duration = Duration::from_millis(5);

/// What a group limits, by the kernel's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Processor,
    Memory,
    /// Whether its processes run at all: `freezer.rs`.
    Freezer,
    /// What they write to a device: `device.rs`.
    Device,
}

impl Resource {
    const ALL: [Self; 4] = [Self::Processor, Self::Memory, Self::Freezer, Self::Device];

    const fn name(self) -> &'static str {
        match self {
            Self::Processor => "cpu",
            Self::Memory => "memory",
            Self::Freezer => "freezer",
            Self::Device => "blkio",
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
        // Every group of the second version can be frozen: it is no controller there.
        let is_second = match resource {
            Resource::Processor | Resource::Memory => {
                second.split_whitespace().any(|word| word == resource.name())
            }
            Resource::Device => second.split_whitespace().any(|word| word == "io"),
            Resource::Freezer => fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap_or(false),
        };
        if is_second {
            return Some(Self { version: Version::Second, resource });
        }
        fs::exists(first.root().join("tasks")).unwrap_or(false).then_some(first)
    }

    /// The group of this tree that a process is in, by its `/proc/PID/cgroup`: lines `4:memory:/a/b` of the first version, and
    /// `0::/a/b` of the second. The root where that is not to be seen from here, as in a container.
    fn group_in(self, groups: &str) -> PathBuf {
        let wanted = match self.version {
            Version::First => self.resource.name(),
            Version::Second => "",
        };
        let path_in = |line: &str| {
            let (_, rest) = line.split_once(':')?;
            let (names, path) = rest.split_once(':')?;
            names
                .split(',')
                .any(|name| name == wanted)
                .then(|| path.trim_start_matches('/').to_owned())
        };
        let path = groups.lines().find_map(path_in).unwrap_or_default();
        let group = self.root().join(path);
        if group.is_dir() { group } else { self.root() }
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

/// A group with one process and its bad neighbour in it; dropping it lets the process go, ends the neighbour and
/// removes the group. So nothing is left of a fault that is broken off while the process lives.
#[derive(Debug)]
pub(crate) struct Limit {
    group: Group,
    neighbour: Child,
}

impl Limit {
    /// Puts the process `pid` into a group of its own that has `per_cent` of one processor.
    pub(crate) fn processor(run: u32, part: &str, pid: i32, per_cent: u64) -> io::Result<Self> {
        let limit = Self::begin(Resource::Processor, (run, part), "while :; do :; done")?;
        let us = PERIOD_US * per_cent / 100;
        match limit.group.version() {
            Version::First => {
                limit.group.write("cpu.cfs_period_us", &PERIOD_US.to_string())?;
                limit.group.write("cpu.cfs_quota_us", &us.to_string())?;
            }
            Version::Second => limit.group.write("cpu.max", &format!("{us} {PERIOD_US}"))?,
        }
        limit.share(pid)
    }

    /// Puts the process `pid` into a group of its own whose memory is taken until the kernel kills the process.
    pub(crate) fn memory(run: u32, part: &str, pid: i32) -> io::Result<Self> {
        // It keeps whatever it read of something without an end; and begins when it is in the group.
        let greedy = "read -r begin && exec tail /dev/zero";
        let mut limit = Self::begin(Resource::Memory, (run, part), greedy)?;
        match limit.group.version() {
            Version::First => limit.group.write("memory.limit_in_bytes", MEMORY)?,
            Version::Second => limit.group.write("memory.max", MEMORY)?,
        }
        fs::write(format!("/proc/{pid}/oom_score_adj"), FIRST_TO_GO)?;
        limit = limit.share(pid)?;
        let mut begin = limit.neighbour.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        io::Write::write_all(&mut begin, b"begin\n")?;
        Ok(limit)
    }

    fn begin(resource: Resource, (run, part): (u32, &str), does: &str) -> io::Result<Self> {
        let group = Group::make(resource, run, part)?;
        let mut neighbour = Command::new("setpriv");
        neighbour.args(["--pdeathsig", "KILL", "sh", "-c", does]);
        neighbour.stdin(std::process::Stdio::piped());
        Ok(Self { group, neighbour: neighbour.spawn()? })
    }

    fn share(mut self, pid: i32) -> io::Result<Self> {
        let neighbour = i32::try_from(self.neighbour.id()).map_err(io::Error::other)?;
        put(self.group.folder(), neighbour)?;
        self.group.put(pid)?;
        Ok(self)
    }

    /// How often the group wanted to run and was not let.
    pub(crate) fn throttled(&self) -> u64 {
        self.count("cpu.stat", "nr_throttled ")
    }

    /// How many of its processes the kernel killed for their memory.
    pub(crate) fn killed(&self) -> u64 {
        let file = match self.group.version() {
            Version::First => "memory.oom_control",
            Version::Second => "memory.events",
        };
        self.count(file, "oom_kill ")
    }

    fn count(&self, file: &str, name: &str) -> u64 {
        let text = self.group.read(file);
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
    }

    /// Lets the process go its own way again, if it lives.
    pub(crate) fn lift(mut self) -> io::Result<()> {
        self.group.let_go()
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        // It is ending if this fails, or has ended.
        drop(self.group.let_go());
        // It has ended already if these fail. The group is removed behind it.
        drop(self.neighbour.kill());
        drop(self.neighbour.wait());
    }
}

/// A group with one process in it; dropping it lets the process go and removes the group.
#[derive(Debug)]
pub(super) struct Group {
    tree: Tree,
    folder: PathBuf,
    inside: Option<Guest>,
}

impl Group {
    pub(super) fn make(resource: Resource, run: u32, part: &str) -> io::Result<Self> {
        let missing = || io::Error::other(format!("no cgroup has {}", resource.name()));
        let tree = Tree::find(resource).ok_or_else(missing)?;
        let folder = tree.root().join(name(run, part));
        fs::create_dir_all(&folder)?;
        Ok(Self { tree, folder, inside: None })
    }

    pub(super) fn put(&mut self, pid: i32) -> io::Result<()> {
        self.inside = Some(Guest::take_in(self.tree, &self.folder, pid)?);
        Ok(())
    }

    /// Lets the process go its own way again, if it lives.
    fn let_go(&mut self) -> io::Result<()> {
        self.inside.take().map_or(Ok(()), |guest| guest.let_go(&self.folder))
    }

    /// Whether the process that was put in is in it still: of the second version another group may have taken it.
    pub(super) fn holds_its_process(&self) -> bool {
        self.inside.as_ref().is_some_and(|guest| members(&self.folder).contains(&guest.pid))
    }

    pub(super) fn version(&self) -> Version {
        self.tree.version
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What a file of it says; nothing if there is none.
    pub(super) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.folder.join(file)).unwrap_or_default()
    }

    pub(super) fn write(&self, file: &str, text: &str) -> io::Result<()> {
        write(&self.folder, file, text)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The process ended if this fails.
        drop(self.let_go());
        // Of the second version another limit may share it, and removes it then; else the next start does.
        drop(remove(&self.folder));
    }
}

/// Writes a file of a group.
pub(super) fn write(group: &Path, file: &str, text: &str) -> io::Result<()> {
    let path = group.join(file);
    let failed = |error| io::Error::other(format!("{}: {error}", path.display()));
    fs::write(&path, text).map_err(failed)
}

/// Where the kernel lists who is in a group, and is told who shall be.
const MEMBERS: &str = "cgroup.procs";

fn members(group: &Path) -> Vec<i32> {
    let text = fs::read_to_string(group.join(MEMBERS)).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Puts a process into a group, with all its threads.
fn put(group: &Path, pid: i32) -> io::Result<()> {
    write(group, MEMBERS, &pid.to_string())
}

/// A process in a group of ours, and the group that it was in before: whoever limits the whole run, as a job of a CI does,
/// limits it there.
#[derive(Debug)]
struct Guest {
    pid: i32,
    before: PathBuf,
}

impl Guest {
    fn take_in(tree: Tree, group: &Path, pid: i32) -> io::Result<Self> {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).map_err(|error| {
            io::Error::other(format!("process {pid} is in no group to be seen: {error}"))
        })?;
        let before = tree.group_in(&groups);
        let is_ours = before
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(super::PREFIX));
        if is_ours && before != group {
            let text = format!(
                "process {pid} is in {} and can be in no second group of version 2, whose limit would end the first: \
                 ask for one of the two faults at a time",
                before.display()
            );
            return Err(io::Error::other(text));
        }
        put(group, pid)?;
        Ok(Self { pid, before })
    }

    /// Lets the process go its own way again, if it is in this group.
    fn let_go(self, group: &Path) -> io::Result<()> {
        let Self { pid, before } = self;
        // Asked, because an id may have gone to another process since.
        if members(group).contains(&pid) { put(&before, pid) } else { Ok(()) }
    }
}

/// Removes a group in which nobody is, or only who is ending.
///
/// # Errors
/// Somebody is in it still after [`LOOKS_MAX`] looks.
pub(super) fn remove(group: &Path) -> io::Result<()> {
    let mut looks = 1;
    loop {
        match fs::remove_dir(group) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && looks < LOOKS_MAX => {
                looks += 1;
                std::thread::park_timeout(LOOK);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                let inside = members(group);
                let text = format!("{}, with {inside:?} in it: {error}", group.display());
                return Err(io::Error::other(text));
            }
            Ok(()) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Command, Group, Limit, Resource, Tree, Version};
    use std::io::Write as _;
    use std::path::Path;

    #[test]
    fn the_group_of_a_process_is_read() {
        let groups = "4:memory,net_cls:/\n2:cpuset:/a\n1:cpu,cpuacct:/not/there\n0::/\n";
        for version in [Version::First, Version::Second] {
            for resource in Resource::ALL {
                let tree = Tree { version, resource };
                assert_eq!(tree.group_in(groups), tree.root(), "{tree:?}");
            }
        }
    }

    #[test]
    fn a_process_comes_back_to_the_group_that_it_came_from() {
        let run = std::process::id();
        for resource in Resource::ALL {
            if !rustix::process::geteuid().is_root() || Tree::find(resource).is_none() {
                let why = "not root, or no cgroup for it";
                let text =
                    format!("SKIPPED: nobody was in a group of {}: {why}\n", resource.name());
                std::io::stderr().write_all(text.as_bytes()).unwrap();
                continue;
            }
            let tree = Tree::find(resource).unwrap();
            // Of somebody else, like the group of a job.
            let job = tree.root().join(format!("job-{run}"));
            std::fs::create_dir_all(&job).unwrap();
            let mut sleeper = Command::new("sleep").arg("600").spawn().unwrap();
            let pid = i32::try_from(sleeper.id()).unwrap();
            super::put(&job, pid).unwrap();
            let mut group = Group::make(resource, run, "guest").unwrap();
            group.put(pid).unwrap();
            let was_held = group.holds_its_process();
            let mut other = Group::make(resource, run, "guest-too").unwrap();
            let refused = other.put(pid);
            drop((group, other));
            let is_back = super::members(&job).contains(&pid);
            sleeper.kill().unwrap();
            sleeper.wait().unwrap();
            super::remove(&job).unwrap();
            let refused = refused.unwrap_err().to_string();
            assert!(was_held && is_back, "{}", job.display());
            assert!(refused.contains("can be in no second group"), "{refused}");
        }
    }

    #[test]
    fn a_group_knows_that_its_process_was_taken() {
        let resource = Resource::Freezer;
        if !rustix::process::geteuid().is_root() || Tree::find(resource).is_none() {
            let text = b"SKIPPED: nobody was taken out of a group: not root, or no cgroup for it\n";
            std::io::stderr().write_all(text).unwrap();
            return;
        }
        let mut sleeper = Command::new("sleep").arg("600").spawn().unwrap();
        let pid = i32::try_from(sleeper.id()).unwrap();
        let mut group = Group::make(resource, std::process::id(), "taken").unwrap();
        group.put(pid).unwrap();
        let held = group.holds_its_process();
        let root: &Path = &Tree::find(resource).unwrap().root();
        super::put(root, pid).unwrap();
        let held_then = group.holds_its_process();
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        assert!(held && !held_then);
    }

    #[test]
    fn a_limit_that_is_broken_off_goes_while_its_process_lives() {
        let is_root = rustix::process::geteuid().is_root();
        for resource in [Resource::Processor, Resource::Memory] {
            if !is_root || Tree::find(resource).is_none() {
                let why = "not root, or no cgroup for it";
                let text = format!("SKIPPED: no limit of {} was made: {why}\n", resource.name());
                std::io::stderr().write_all(text.as_bytes()).unwrap();
                continue;
            }
            let mut sleeper = Command::new("sleep").arg("600").spawn().unwrap();
            let pid = i32::try_from(sleeper.id()).unwrap();
            let run = std::process::id();
            let limit = match resource {
                Resource::Processor => Limit::processor(run, "dropped", pid, 50),
                // Its neighbour is told nothing: a process that lives on is wanted here.
                Resource::Memory | Resource::Freezer | Resource::Device => {
                    Limit::begin(resource, (run, "dropped"), "read -r begin").unwrap().share(pid)
                }
            };
            let limit = limit.unwrap();
            let folder = limit.group.folder().to_owned();
            let was_inside = super::members(&folder).contains(&pid);
            drop(limit);
            let lives = sleeper.try_wait().unwrap().is_none();
            sleeper.kill().unwrap();
            sleeper.wait().unwrap();
            let is_gone = !folder.exists();
            if !is_gone {
                super::remove(&folder).unwrap();
            }
            assert!(was_inside && lives, "{}", folder.display());
            assert!(is_gone, "{} was left", folder.display());
        }
    }
}

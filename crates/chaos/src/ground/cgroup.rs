//! Processor quotas by cgroup, version 1 or 2, whichever has the controller.
//!
//! A quota alone does nothing to a process that sleeps most of the time. So a process that never sleeps is put
//! into the same group: the two share what the quota leaves, and the rest of the machine is not touched.

use super::namespace::name;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command};

/// Microseconds over which a quota counts.
const PERIOD_US: u64 = 100_000;

/// Which of the two trees holds the `cpu` controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tree {
    First,
    Second,
}

impl Tree {
    /// The tree of this machine, if either can limit processors.
    pub(crate) fn find() -> Option<Self> {
        let second =
            fs::read_to_string("/sys/fs/cgroup/cgroup.subtree_control").unwrap_or_default();
        if second.split_whitespace().any(|word| word == "cpu") {
            return Some(Self::Second);
        }
        let has_first = fs::exists("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").unwrap_or(false)
            || fs::exists("/sys/fs/cgroup/cpu/tasks").unwrap_or(false);
        has_first.then_some(Self::First)
    }

    /// Where the groups of `cpu` lie.
    pub(super) fn root(self) -> PathBuf {
        PathBuf::from(match self {
            Self::First => "/sys/fs/cgroup/cpu",
            Self::Second => "/sys/fs/cgroup",
        })
    }
}

/// A group with one process and a spinner in it; dropping it removes it, once it is empty.
#[derive(Debug)]
pub(crate) struct Quota {
    tree: Tree,
    folder: PathBuf,
    spinner: Child,
}

impl Quota {
    /// Puts the process `pid` into a group of its own that has `per_cent` of one processor.
    pub(crate) fn impose(
        tree: Tree,
        run: u32,
        part: &str,
        pid: i32,
        per_cent: u64,
    ) -> io::Result<Self> {
        let folder = tree.root().join(name(run, part));
        fs::create_dir_all(&folder)?;
        let mut spinner = Command::new("setpriv");
        spinner.args(["--pdeathsig", "KILL", "sh", "-c", "while :; do :; done"]);
        let quota = Self { tree, folder, spinner: spinner.spawn()? };
        let us = PERIOD_US * per_cent / 100;
        match tree {
            Tree::First => {
                quota.write("cpu.cfs_period_us", &PERIOD_US.to_string())?;
                quota.write("cpu.cfs_quota_us", &us.to_string())?;
            }
            Tree::Second => quota.write("cpu.max", &format!("{us} {PERIOD_US}"))?,
        }
        quota.write("cgroup.procs", &quota.spinner.id().to_string())?;
        quota.write("cgroup.procs", &pid.to_string())?;
        Ok(quota)
    }

    /// How often the group wanted to run and was not let.
    pub(crate) fn throttled(&self) -> u64 {
        let text = fs::read_to_string(self.folder.join("cpu.stat")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("nr_throttled "));
        line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
    }

    /// Lets the process run again.
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

impl Drop for Quota {
    fn drop(&mut self) {
        // It has ended already if these fail.
        drop(self.spinner.kill());
        drop(self.spinner.wait());
        // Fails while a process is in it; the next start removes it then.
        drop(fs::remove_dir(&self.folder));
    }
}

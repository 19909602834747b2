//! What a process on this host costs: CPU time and resident memory, from `/proc`.
//!
//! A controller is found by the port it listens on, so one that somebody else started, Java too,
//! is measured like one of ours:
//!
//! ```text
//! /proc/net/tcp, tcp6   port, state LISTEN ──► inode
//! /proc/<pid>/fd/*      "socket:[inode]"   ──► pid
//! /proc/<pid>/stat      fields 14 and 15: user and system time of all its threads
//! /proc/<pid>/status    VmRSS, Threads
//! /proc/<pid>/fd        open descriptors
//! ```
//!
//! On a host without such a process, or under another user, there is nothing to report.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

/// Milliseconds of a clock tick in `/proc`; fixed by the kernel for every program.
pub(crate) const TICK_MS: u64 = 10;

/// `st` column of a listening socket.
const LISTEN: &str = "0A";

/// A running process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
}

impl Process {
    /// This process.
    pub(crate) fn own() -> Self {
        Self { pid: std::process::id() }
    }

    /// The process that listens on TCP `port` of this host; `None` if there is none that we may
    /// look into.
    pub(crate) fn listening_on(port: u16) -> Option<Self> {
        let inodes = listening_inodes(port);
        if inodes.is_empty() {
            return None;
        }
        let pids = fs::read_dir("/proc")
            .ok()?
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        // A socket may be inherited; the child has the larger number as a rule, the server is it.
        pids.filter(|pid| holds_socket(*pid, &inodes)).max().map(|pid| Self { pid })
    }

    /// User and system time of all threads since the process began.
    pub(crate) fn cpu(self) -> Option<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        cpu_of_stat(&stat)
    }

    /// The same of each thread, by its id.
    pub(crate) fn cpu_of_threads(self) -> BTreeMap<u32, Duration> {
        let tasks =
            fs::read_dir(format!("/proc/{}/task", self.pid)).into_iter().flatten().flatten();
        let thread = |id: u32| {
            let stat = fs::read_to_string(format!("/proc/{}/task/{id}/stat", self.pid)).ok()?;
            Some((id, cpu_of_stat(&stat)?))
        };
        tasks.filter_map(|task| thread(task.file_name().to_str()?.parse().ok()?)).collect()
    }

    /// Resident memory in bytes, and threads.
    pub(crate) fn size(self) -> Option<(u64, u64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let value = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let kib: u64 = value("VmRSS:")?.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some((kib.checked_mul(1024)?, value("Threads:")?.trim().parse().ok()?))
    }

    /// Resident memory in bytes.
    pub(crate) fn rss_bytes(self) -> Option<u64> {
        self.size().map(|(rss_bytes, _)| rss_bytes)
    }

    /// Open descriptors. Costs a system call for every few hundred of them.
    pub(crate) fn files(self) -> Option<u64> {
        let files = fs::read_dir(format!("/proc/{}/fd", self.pid)).ok()?;
        u64::try_from(files.count()).ok()
    }
}

fn listening_inodes(port: u16) -> BTreeSet<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let tables = tables.into_iter().filter_map(|path| fs::read_to_string(path).ok());
    tables.flat_map(|table| inodes_in(&table, port)).collect()
}

/// Inodes of the listeners on `port` in the text of one of the two tables.
fn inodes_in(table: &str, port: u16) -> Vec<String> {
    let suffix = format!(":{port:04X}");
    let listener = |line: &str| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let is_ours = columns.get(1)?.ends_with(&suffix) && *columns.get(3)? == LISTEN;
        is_ours.then(|| columns.get(9).map(|inode| format!("socket:[{inode}]")))?
    };
    table.lines().skip(1).filter_map(listener).collect()
}

fn holds_socket(pid: u32, inodes: &BTreeSet<String>) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    files.flatten().any(|file| {
        let target = fs::read_link(file.path());
        target.is_ok_and(|target| target.to_str().is_some_and(|text| inodes.contains(text)))
    })
}

/// The name in field 2 may hold blanks and parentheses, so counting starts behind the last one.
fn cpu_of_stat(stat: &str) -> Option<Duration> {
    const USER_BEHIND_NAME: usize = 11;
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_ascii_whitespace().skip(USER_BEHIND_NAME);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let ticks = user.checked_add(system)?;
    Some(Duration::from_millis(ticks.checked_mul(TICK_MS)?))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Duration;

    use super::{Process, cpu_of_stat, inodes_in};

    #[test]
    fn a_listener_of_this_process_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(Process::listening_on(port), Some(Process::own()));
        assert!(Process::own().rss_bytes().is_some_and(|bytes| bytes > 0));
        assert!(Process::own().cpu().is_some());
        assert!(Process::own().size().is_some_and(|(_, threads)| threads > 0));
        assert!(Process::own().files().is_some_and(|files| files > 2));
        assert!(!Process::own().cpu_of_threads().is_empty());
    }

    #[test]
    fn only_listeners_on_the_port_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:2696 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 11 1 0 100\n\
            1: 0100007F:2696 0100007F:C000 01 00000000:00000000 00:00000000 00000000 0 0 12 1 0 100\n\
            2: 0100007F:2697 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 13 1 0 100\n";
        assert_eq!(inodes_in(table, 9878), ["socket:[11]"]);
        assert_eq!(inodes_in(table, 1), Vec::<String>::new());
    }

    #[test]
    fn times_are_read_behind_the_name() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 0 0 0 0 0 150 25 0 0 20 0 3 0 100 0 0";
        assert_eq!(cpu_of_stat(stat), Some(Duration::from_millis(1750)));
        assert_eq!(cpu_of_stat("7 (a) S 1"), None);
    }
}

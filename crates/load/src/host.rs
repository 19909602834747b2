//! What a reader of the numbers must know about this host.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::process::TICK_MS;

/// Processors that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Type of the file system that holds `folder`, such as `ext4`; `unknown` where it cannot be told.
/// A sync that costs nothing, on `tmpfs`, is worth nothing.
pub(crate) fn file_system(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    file_system_in(&mounts, &folder).unwrap_or("unknown").to_owned()
}

/// CPU time that all processors have spent on anything since the host began.
pub(crate) fn cpu() -> Option<Duration> {
    cpu_in(&fs::read_to_string("/proc/stat").ok()?)
}

/// The first line: user, nice, system, idle, iowait, irq, softirq, steal; the rest is counted in
/// user and nice already.
fn cpu_in(stat: &str) -> Option<Duration> {
    const IDLE: [usize; 2] = [3, 4];
    const COLUMNS: usize = 8;
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let columns = line.split_ascii_whitespace().take(COLUMNS).enumerate();
    let busy = columns.filter(|(index, _)| !IDLE.contains(index));
    let ticks: Option<u64> = busy.map(|(_, ticks)| ticks.parse::<u64>().ok()).sum();
    Some(Duration::from_millis(ticks?.checked_mul(TICK_MS)?))
}

/// Of several mounts that hold the folder the longest path counts, of equal ones the last.
fn file_system_in<'a>(mounts: &'a str, folder: &Path) -> Option<&'a str> {
    let entry = |line: &'a str| {
        let mut columns = line.split(' ').skip(1);
        Some((columns.next()?, columns.next()?))
    };
    let holding = mounts.lines().filter_map(entry).filter(|(at, _)| folder.starts_with(at));
    holding.max_by_key(|(at, _)| at.len()).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::{cpu_in, file_system_in};

    #[test]
    fn idle_processors_are_not_counted() {
        let stat = "cpu  1 2 4 1000 1000 8 16 32 500 500\ncpu0 1 2 4 1000 1000 8 16 32 500 500\n";
        assert_eq!(cpu_in(stat), Some(Duration::from_millis(630)));
        assert_eq!(cpu_in(""), None);
    }

    #[test]
    fn the_nearest_mount_counts() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp/disk xfs rw 0 0\n";
        let rows = [("/", "ext4"), ("/tmp/x", "tmpfs"), ("/tmp/disk/x", "xfs"), ("/tmpx", "ext4")];
        for (folder, kind) in rows {
            assert_eq!(file_system_in(mounts, Path::new(folder)), Some(kind), "{folder}");
        }
        assert_eq!(file_system_in("", Path::new("/")), None);
    }
}

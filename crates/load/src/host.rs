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

/// Time in which somebody waited for a processor since the host began, in microseconds, where the
/// kernel counts it.
pub(crate) fn psi_cpu_some_us() -> Option<u64> {
    psi_in(&fs::read_to_string("/proc/pressure/cpu").ok()?)
}

fn psi_in(pressure: &str) -> Option<u64> {
    let line = pressure.lines().find(|line| line.starts_with("some "))?;
    line.split(' ').find_map(|word| word.strip_prefix("total="))?.parse().ok()
}

/// Time that the hypervisor gave to others since the host began, all processors together.
pub(crate) fn steal_us() -> Option<u64> {
    const STEAL: usize = 7;
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: u64 = line.split_ascii_whitespace().nth(STEAL)?.parse().ok()?;
    ticks.checked_mul(TICK_MS * 1_000)
}

/// Bytes that all disks have written since the host began: what servers cost them, and whatever else ran.
///
/// Not what the kernel counts for each process (`write_bytes`): it charges a process for the whole piece of the cache
/// that a write touched, so 4 KiB into a file that was made of zeros 1 MiB at a time count as 1 MiB (ext4, Linux 6.18).
pub(crate) fn disk_written_bytes() -> Option<u64> {
    let disks = fs::read_dir("/sys/block").ok()?.flatten();
    // A disk of its own has a device behind it; loops, memory and mapped ones would count a byte twice, or never.
    let disks = disks.filter(|disk| disk.path().join("device").exists());
    let written =
        disks.filter_map(|disk| written_in(&fs::read_to_string(disk.path().join("stat")).ok()?));
    written.reduce(u64::saturating_add)
}

/// The seventh figure counts sectors of 512 bytes, whatever the disk's own are.
fn written_in(stat: &str) -> Option<u64> {
    const SECTORS_WRITTEN: usize = 6;
    const SECTOR_BYTES: u64 = 512;
    let sectors: u64 = stat.split_ascii_whitespace().nth(SECTORS_WRITTEN)?.parse().ok()?;
    sectors.checked_mul(SECTOR_BYTES)
}

/// What a reader of a run must know of this host; `folder` is where servers keep their data, if that
/// is known.
pub(crate) fn card(folder: Option<&Path>) -> measure::folder::Host {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let member = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim());
        value.unwrap_or("unknown").to_owned()
    };
    let memory = member(&read("/proc/meminfo"), "MemTotal");
    let memory_kib: u64 = memory.trim_end_matches(" kB").parse().unwrap_or_default();
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    measure::folder::Host {
        cpus: cores(),
        model: member(&read("/proc/cpuinfo"), "model name"),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        memory_mib: memory_kib / 1_024,
        filesystem: folder.map_or_else(|| "unknown".to_owned(), file_system),
        descriptors: descriptors.unwrap_or(u64::MAX),
        calibration: None,
    }
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

    use super::{card, cpu_in, file_system_in, psi_in, written_in};

    #[test]
    fn pressure_and_the_card_are_read() {
        let text = "some avg10=0.00 avg60=1.20 avg300=0.50 total=12345\nfull avg10=0.00 total=9\n";
        assert_eq!((psi_in(text), psi_in("")), (Some(12_345), None));
        let card = card(Some(Path::new("/")));
        assert!(card.cpus > 0 && card.memory_mib > 0 && card.descriptors > 0);
        assert!(!card.kernel.is_empty() && !card.filesystem.is_empty());
    }

    #[test]
    fn written_sectors_are_counted_in_bytes() {
        let stat = "  9001  12  500000  300  7000  15  80000  900  0  1000  1200 0 0 0 0 0 0\n";
        assert_eq!(
            (written_in(stat), written_in("1 2 3"), written_in("")),
            (Some(40_960_000), None, None)
        );
    }

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

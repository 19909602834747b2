//! The block device that a folder lies on, and a limit of the writes of one process to it, by cgroup.
//!
//! Version 1 counts and limits what a process itself sends to the device, by a write that is synced at once or by its own
//! sync, which is how our journal writes. What the kernel writes later by itself is nobody's there.

use super::cgroup::{Group, Resource, Tree, Version};
use rustix::fs::{major, minor, stat};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the kernel lists block devices by number.
const DEVICES: &str = "/sys/dev/block";

/// A block device, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    major: u32,
    minor: u32,
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

impl Device {
    /// The device that a folder lies on, or will lie on: the whole one, not a part of it.
    pub(crate) fn below(folder: &Path) -> io::Result<Self> {
        let folder = std::path::absolute(folder)?;
        let is_there = |folder: &&Path| fs::exists(folder).unwrap_or(false);
        let there = folder.ancestors().find(is_there).unwrap_or(Path::new("/"));
        let number = stat(there)?.st_dev;
        let part = Self { major: major(number), minor: minor(number) };
        let known = Path::new(DEVICES).join(part.to_string());
        if !known.exists() {
            let text = format!("{} lies on no block device: its number is {part}", there.display());
            return Err(io::Error::other(text));
        }
        if !known.join("partition").exists() {
            return Ok(part);
        }
        let whole = fs::canonicalize(known)?;
        let number = fs::read_to_string(whole.join("..").join("dev"))?;
        Self::read(number.trim())
            .ok_or_else(|| io::Error::other(format!("{number:?} is no device")))
    }

    fn read(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once(':')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

/// A process that may write so often a second to one device; dropping it lifts that.
#[derive(Debug)]
pub(crate) struct Throttle {
    group: Group,
    device: Device,
}

impl Throttle {
    pub(crate) fn begin(
        (run, part): (u32, &str),
        pid: i32,
        device: Device,
        writes_per_s: u64,
    ) -> io::Result<Self> {
        let group = Group::make(Resource::Device, run, &format!("{part}-throttled"))?;
        match group.version() {
            Version::First => group
                .write("blkio.throttle.write_iops_device", &format!("{device} {writes_per_s}"))?,
            Version::Second => group.write("io.max", &format!("{device} wiops={writes_per_s}"))?,
        }
        let mut throttle = Self { group, device };
        throttle.group.put(pid)?;
        Ok(throttle)
    }

    /// Writes to the device that were let through so far.
    pub(crate) fn writes(&self) -> u64 {
        match self.group.version() {
            Version::First => {
                first_writes(self.device, &self.group.read("blkio.throttle.io_serviced"))
            }
            Version::Second => second_writes(self.device, &self.group.read("io.stat")),
        }
    }
}

/// How a device can be limited here.
pub(super) fn find() -> Result<&'static str, String> {
    match Tree::find(Resource::Device) {
        Some(tree) if tree.version == Version::Second => Ok("cgroup v2, io.max"),
        Some(tree) if throttles(tree) => Ok("cgroup v1, blkio.throttle.write_iops_device"),
        Some(_) => Err("cgroup v1 has blkio, but its kernel cannot throttle".to_owned()),
        None => Err("no cgroup with the blkio or io controller".to_owned()),
    }
}

fn throttles(tree: Tree) -> bool {
    let file: PathBuf = tree.root().join("blkio.throttle.write_iops_device");
    file.exists()
}

/// Of lines `254:0 Write 17`.
fn first_writes(device: Device, text: &str) -> u64 {
    let start = format!("{device} Write ");
    let number = text.lines().find_map(|line| line.strip_prefix(&start)?.trim().parse().ok());
    number.unwrap_or(0)
}

/// Of lines `254:0 rbytes=1 wbytes=2 rios=3 wios=4`.
fn second_writes(device: Device, text: &str) -> u64 {
    let start = format!("{device} ");
    let words = text.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_default();
    let number = words.split(' ').find_map(|word| word.strip_prefix("wios=")?.parse().ok());
    number.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Device, first_writes, second_writes};
    use std::path::Path;

    #[test]
    fn the_kernels_counts_are_read() {
        let device = Device::read("254:0").unwrap();
        let first = "254:16 Write 9\n254:0 Read 2\n254:0 Write 246\n254:0 Total 259\nTotal 259\n";
        assert_eq!((first_writes(device, first), first_writes(device, "Total 0\n")), (246, 0));
        let second = "254:16 wios=9\n254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0\n";
        assert_eq!((second_writes(device, second), second_writes(device, "")), (4, 0));
    }

    #[test]
    fn what_lies_on_no_device_is_said() {
        let refused = Device::below(Path::new("/proc/self/not-there/at-all")).unwrap_err();
        assert!(refused.to_string().contains("/proc/self lies on no block device"), "{refused}");
    }
}

//! What a run stands on: namespaces, processes, cgroups, mounts. Everything here is removed at the end, on
//! Ctrl-C, and by the next start.
//!
//! ```text
//! /run/netns/pitchover-RUN-n0 … -n4, -brokers, -clients       RUN is the process id of the run
//! /sys/fs/cgroup/cpu/pitchover-RUN-n0 …, …/memory/…, …/freezer/…, …/blkio/…    only while a fault needs it
//! FOLDER/n0/store (source pitchover-RUN), FOLDER/n0.log, …    a disk of ours, or a tmpfs, if a fault needs one
//! ```
//!
//! | File | Holds |
//! |---|---|
//! | `namespace.rs` | network namespaces and what lies in them |
//! | `controller.rs` | one controller as a process |
//! | `cgroup.rs` | limits of processor time and memory |
//! | `freezer.rs` | processes that are frozen |
//! | `device.rs` | limits of what is written to a device |
//! | `disk.rs` | the process of one disk |
//! | `descriptors.rs` | how many descriptors a run needs |
//! | `skew.rs` | clocks of one process that go wrong |
//! | `probe.rs` | what this machine can inject |
//! | `leftovers.rs` | what a run that was killed left behind |

pub(crate) mod cgroup;
pub(crate) mod controller;
pub(crate) mod descriptors;
pub(crate) mod device;
pub(crate) mod disk;
pub(crate) mod freezer;
pub(crate) mod leftovers;
pub(crate) mod namespace;
pub mod probe;
pub(crate) mod skew;

use std::io;
use std::process::{Command, Stdio};

/// All names that a run gives begin with this, and go on with its process id.
pub(crate) const PREFIX: &str = "pitchover-";

/// Runs a tool to its end.
///
/// # Errors
/// It could not be started, or said that it failed: then with its own words.
pub(crate) fn tool(words: &[&str]) -> io::Result<String> {
    let (program, arguments) = words.split_first().expect("a command has a program");
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("`{}`: {}", words.join(" "), said.trim())))
}

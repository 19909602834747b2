//! What an earlier run left behind: processes, by a list that each run keeps; and ports that are taken.
//!
//! A process that is started is written down with its start time, so that another one that was given the
//! same number later is left alone. Each is the first of a group, which goes with it.

use super::arms::Arm;
use crate::interop::report::{Failure, Outcome};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::OpenOptions;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

/// The processes that this run has started.
#[derive(Debug)]
pub(super) struct Started {
    list: PathBuf,
}

impl Started {
    /// Ends what an earlier run left, and begins a list of its own; how many were ended.
    ///
    /// # Errors
    /// The list cannot be written.
    pub(super) fn begin(list: &Path) -> Outcome<(Self, usize)> {
        let text = std::fs::read_to_string(list).unwrap_or_default();
        let ended = text.lines().filter(|line| end(line)).count();
        std::fs::write(list, "").map_err(Failure::while_doing(list.display()))?;
        Ok((Self { list: list.to_owned() }, ended))
    }

    /// Writes a process down that leads a group of its own.
    pub(super) fn add(&self, pid: Pid) -> Outcome<()> {
        let line = format!("{} {}\n", pid.as_raw_nonzero(), start_time(pid).unwrap_or_default());
        let list = OpenOptions::new().append(true).open(&self.list);
        let written = list.and_then(|mut list| list.write_all(line.as_bytes()));
        written.map_err(Failure::while_doing(self.list.display()))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // All of them have been ended by those who started them; what has not goes with its group.
        let text = std::fs::read_to_string(&self.list).unwrap_or_default();
        for line in text.lines() {
            end(line);
        }
        drop(std::fs::remove_file(&self.list));
    }
}

/// Ends a whole group.
pub(super) fn end_group(pid: Pid) {
    // Fails only if nobody of it is left.
    kill_process_group(pid, Signal::KILL).ok();
}

/// Ends the process that a line names with its group, if it is still that process.
fn end(line: &str) -> bool {
    let Some((number, started)) = line.split_once(' ') else { return false };
    let Some(pid) = number.parse().ok().and_then(Pid::from_raw) else { return false };
    let is_same = start_time(pid).is_some_and(|now| now.to_string() == started);
    if is_same {
        end_group(pid);
    }
    is_same
}

/// When a process was started, in ticks since the system was; none if it is gone.
fn start_time(pid: Pid) -> Option<u64> {
    const BEHIND_NAME: usize = 19;
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The name may hold blanks and parentheses, so counting starts behind the last one.
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_ascii_whitespace().nth(BEHIND_NAME)?.parse().ok()
}

/// Names the first port that is taken, before anything is started.
///
/// # Errors
/// One is; the text says which, and what to do.
pub(super) fn check_ports(arms: &[Arm], first: u16) -> Outcome<()> {
    for arm in arms {
        for port in arm.ports(first) {
            if let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                let name = arm.name();
                return Err(Failure(format!(
                    "port {port} of {name} is not free ({error}): end whoever listens there (ss -ltnp), or \
                     choose others with --first-port"
                )));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Started, check_ports, end, start_time};
    use crate::versus::arms::Arm;
    use rustix::process::Pid;
    use std::net::TcpListener;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    #[test]
    fn only_the_very_process_is_ended() {
        let mut child =
            Command::new("sleep").arg("600").process_group(0).spawn().expect("sleep starts");
        let pid = Pid::from_child(&child);
        let started = start_time(pid).expect("it runs");
        assert!(!end(&format!("{} {}", pid.as_raw_nonzero(), started + 1)), "another process");
        assert!(!end("nonsense"));
        let list = std::env::temp_dir().join(format!("versus-list-{}", std::process::id()));
        std::fs::write(&list, format!("{} {started}\n", pid.as_raw_nonzero()))
            .expect("it is written");
        let (begun, ended) = Started::begin(&list).expect("the list can be written");
        assert_eq!(ended, 1);
        assert!(!child.wait().expect("it was started").success());
        drop(begun);
        assert!(!list.exists());
    }

    #[test]
    fn a_busy_port_is_named() {
        let holder = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = holder.local_addr().expect("it is bound").port();
        let error =
            check_ports(&[Arm::JavaDledger], port - 2).expect_err("it is taken").to_string();
        assert!(error.contains("of java-dledger is not free"), "{error}");
    }
}

//! Deeds that leave a controller less of what it needs.
//!
//! | Deed | Confirmed by |
//! |---|---|
//! | quota | `nr_throttled` grew |
//! | full disk | no block is free |
//! | no descriptors | the limit as the kernel reports it |

use super::injection::{Done, Injection, pid, text};
use crate::ground::cgroup::Limit;
use crate::stand::Stand;
use rustix::fs::statvfs;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

/// Bytes written at once to fill a disk.
const FILL_BYTES: usize = 64 * 1024;

impl Injection {
    pub(super) fn limit_processor(
        &mut self,
        stand: &Stand,
        (node, per_cent): (usize, u64),
    ) -> Result<Done, String> {
        let quota = Limit::processor(stand.run, &format!("n{node}"), pid(stand, node)?, per_cent);
        let quota = quota.map_err(text)?;
        self.evidence.push(format!("n{node} has {per_cent} % of a processor"));
        Ok(Done::Quota(node, quota))
    }

    pub(super) fn end_quota(&mut self, (node, quota): (usize, Limit)) -> Result<(), String> {
        let times = quota.throttled();
        self.evidence.push(format!("n{node} was throttled {times} times"));
        quota.lift().map_err(text)?;
        if times > 0 { Ok(()) } else { Err(format!("n{node} was never throttled")) }
    }

    pub(super) fn fill(&mut self, stand: &Stand, node: usize) -> Result<Done, String> {
        let folder = stand.store(node);
        let ballast = folder.join("ballast");
        let mut file = File::create(&ballast).map_err(text)?;
        for bytes in [FILL_BYTES, 1] {
            let chunk = vec![0; bytes];
            while file.write_all(&chunk).is_ok() {}
        }
        let free = free_blocks(&folder)?;
        self.evidence.push(format!("n{node} has {free} free blocks"));
        if free == 0 {
            Ok(Done::Full(node, ballast))
        } else {
            Err(format!("{free} blocks are free"))
        }
    }

    pub(super) async fn free(
        &mut self,
        stand: &mut Stand,
        (node, ballast): (usize, &Path),
    ) -> Result<(), String> {
        fs::remove_file(ballast).map_err(text)?;
        // Only then is it certain that the room is there again.
        File::open(stand.store(node)).and_then(|store| store.sync_all()).map_err(text)?;
        let controller = &mut stand.controllers[node];
        let Some(status) = controller.ended() else { return Ok(()) };
        let is_right = controller.plan.kind.may_end_when_disk_fails(status);
        let list = if is_right { &mut self.evidence } else { &mut self.accidents };
        list.push(format!("n{node} ended: {status}"));
        self.start(stand, node).await
    }

    pub(super) fn limit_descriptors(&mut self, stand: &Stand, node: usize) -> Result<Done, String> {
        let controller = &stand.controllers[node];
        let folder = controller.of_process("fd").ok_or("it does not run")?;
        let open = fs::read_dir(folder).map_err(text)?.count() as u64;
        let pid = controller.pid();
        let before = limit(pid, None)?;
        limit(pid, Some(Rlimit { current: Some(open), ..before }))?;
        let now = limit(pid, None)?.current;
        self.evidence.push(format!("n{node} has {open} descriptors open and may have no more"));
        if now == Some(open) { Ok(Done::Limited(node, before)) } else { Err("no limit".to_owned()) }
    }
}

/// Gives a controller back the descriptors that it might have.
pub(super) fn end_limit(stand: &Stand, (node, before): (usize, Rlimit)) -> Result<(), String> {
    limit(stand.controllers[node].pid(), Some(before)).map(drop)
}

/// Sets the limit of descriptors, or only asks for it.
fn limit(pid: Option<Pid>, new: Option<Rlimit>) -> Result<Rlimit, String> {
    let pid = pid.ok_or("it does not run")?;
    match new {
        Some(new) => prlimit(Some(pid), Resource::Nofile, new).map_err(text),
        None => {
            let path = format!("/proc/{}/limits", pid.as_raw_nonzero());
            let limits = fs::read_to_string(path).map_err(text)?;
            let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
            let mut numbers = line.unwrap_or_default().split_whitespace();
            let mut number = || numbers.next().and_then(|word| word.parse().ok());
            Ok(Rlimit { current: number(), maximum: number() })
        }
    }
}

fn free_blocks(folder: &Path) -> Result<u64, String> {
    statvfs(folder).map(|system| system.f_bavail).map_err(text)
}

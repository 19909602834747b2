//! A controller that is killed or frozen: one of our own cluster, or a process that others started.

use std::io;

use rustix::process::{Pid, Signal, kill_process};

use super::leader::Fault;
use super::{FailoverError, Stage};
use crate::ground;
use crate::process::Process;

/// Who is struck.
#[derive(Clone, Copy, Debug)]
pub(super) enum Victim {
    /// A node of a cluster that the run started.
    Own(usize),
    /// The process that listens on a target's port.
    Other(Pid),
}

impl Victim {
    /// The process of one node.
    ///
    /// # Errors
    /// - [`FailoverError::Options`]: a target that is not on this host, or whose process is not ours to see.
    pub(super) fn of(stage: &Stage, node: usize) -> Result<Self, FailoverError> {
        if stage.own.is_some() {
            return Ok(Self::Own(node));
        }
        let address = &stage.addresses[node];
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let process = port.and_then(Process::listening_on);
        let pid = process.and_then(|process| Pid::from_raw(i32::try_from(process.pid).ok()?));
        let missing =
            || FailoverError::Options(format!("no process of this host listens on {address}"));
        pid.map(Self::Other).ok_or_else(missing)
    }

    pub(super) fn strike(self, stage: &mut Stage, fault: Fault) -> Result<(), FailoverError> {
        let struck = match (self, fault, stage.own.as_mut()) {
            (Self::Own(node), Fault::Kill, Some(own)) => {
                own.kill(node);
                Ok(())
            }
            (Self::Own(node), Fault::Freeze, Some(own)) => own.freeze(node),
            (Self::Other(pid), Fault::Kill, _) => signal(pid, Signal::KILL),
            (Self::Other(pid), Fault::Freeze, _) => signal(pid, Signal::STOP),
            (Self::Own(_), _, None) => Err(io::ErrorKind::NotFound.into()),
        };
        Ok(struck.map_err(ground::io("striking the leader"))?)
    }

    /// Starts our own again, or lets the frozen one go on; a killed target is left to who started it.
    pub(super) fn bring_back(self, stage: &mut Stage, fault: Fault) -> Result<(), FailoverError> {
        let back = match (self, fault, stage.own.as_mut()) {
            (Self::Own(node), Fault::Kill, Some(own)) => own.restart(node),
            (Self::Own(node), Fault::Freeze, Some(own)) => own.thaw(node),
            (Self::Other(pid), Fault::Freeze, _) => signal(pid, Signal::CONT),
            (Self::Other(_), Fault::Kill, _) | (Self::Own(_), _, None) => Ok(()),
        };
        Ok(back.map_err(ground::io("bringing the leader back"))?)
    }
}

fn signal(pid: Pid, signal: Signal) -> io::Result<()> {
    Ok(kill_process(pid, signal)?)
}

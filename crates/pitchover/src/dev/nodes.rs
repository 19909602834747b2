//! The controllers of `dev`: processes of this very program, started again when they end.

use crate::clock::Stopwatch;
use load::{OwnCluster, Setup};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// All controllers; dropping it ends them, and removes the folder if it is a temporary one.
pub(super) struct Nodes {
    cluster: OwnCluster,
    /// Since when each is known to have ended.
    ended: Vec<Option<Stopwatch>>,
}

impl Nodes {
    /// Starts one for each port.
    pub(super) fn start(ports: &[u16], data: Option<PathBuf>) -> io::Result<Self> {
        let setup = Setup {
            data,
            ports: ports.to_vec(),
            group: "dev".to_owned(),
            extra: "pitchover.limits.segmentBytes = 4194304\n".to_owned(),
            ..Setup::temporary(std::env::current_exe()?)
        };
        Ok(Self { cluster: OwnCluster::start(&setup)?, ended: vec![None; ports.len()] })
    }

    pub(super) fn addresses(&self) -> Vec<String> {
        self.cluster.addresses().to_vec()
    }

    /// Name, address and process id of each.
    pub(super) fn list(&self) -> impl Iterator<Item = (String, &str, u32)> {
        let addresses = self.cluster.addresses().iter().enumerate();
        addresses.map(|(node, address)| (format!("n{node}"), &**address, self.cluster.pid(node)))
    }

    /// Notices controllers that ended, and starts them again after a while; says both.
    pub(super) fn look(&mut self, restart_after: Duration) -> Vec<String> {
        let mut events = Vec::new();
        for (node, ended) in self.ended.iter_mut().enumerate() {
            match ended {
                None => {
                    if let Some(status) = self.cluster.ended(node) {
                        *ended = Some(Stopwatch::start());
                        let pid = self.cluster.pid(node);
                        events.push(format!("controller n{node} (pid {pid}) ended: {status}"));
                    }
                }
                Some(since) if since.elapsed() >= restart_after => {
                    if self.cluster.restart(node).is_ok() {
                        *ended = None;
                        let pid = self.cluster.pid(node);
                        events.push(format!("controller n{node} started again, pid {pid}"));
                    }
                }
                Some(_) => {}
            }
        }
        events
    }

    /// The end of every log.
    pub(super) fn logs(&self) -> String {
        self.cluster.logs()
    }
}

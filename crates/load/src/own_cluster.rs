//! Three controllers of our own, as three processes of this very program on loopback.
//!
//! ```text
//! FOLDER/n0.properties   n1.properties   n2.properties     DLedger convention, one port each
//! FOLDER/n0/             n1/             n2/               journal
//! FOLDER/n0.log          n1.log          n2.log            what they print
//! ```
//!
//! Their durability is `fsync` and their folder a temporary one; both go with this value.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Controllers that are started.
pub(crate) const NODES: usize = 3;

/// First port that is looked at, and how many follow it.
const PORT_FIRST: u32 = 10_000;
const PORTS: u32 = 20_000;

/// Distance between the places where two processes start to look.
const PORTS_PER_PROCESS: u32 = 61;

/// Lines of a node's output that an error message repeats.
const LOG_LINES: usize = 15;

/// Running controllers; dropping it ends them and removes their folder.
#[derive(Debug)]
pub struct OwnCluster {
    folder: PathBuf,
    addresses: Vec<String>,
    nodes: Vec<Child>,
}

impl OwnCluster {
    /// Starts `program serve -c FILE` three times on free ports, below `parent`.
    ///
    /// # Errors
    /// If a port, a file or a process cannot be had.
    pub fn start(program: &Path, parent: &Path) -> io::Result<Self> {
        let ports = free_ports(NODES)?;
        let folder = parent.join(format!("pitchover-quick-{}-{}", std::process::id(), ports[0]));
        fs::create_dir_all(&folder)?;
        let addresses = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let mut cluster = Self { folder, addresses, nodes: Vec::new() };
        for node in 0..NODES {
            let started = cluster.start_node(program, node)?;
            cluster.nodes.push(started);
        }
        Ok(cluster)
    }

    /// The nodes' addresses.
    #[must_use]
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Where their journals are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The end of what each node printed, for an error message.
    #[must_use]
    pub fn logs(&self) -> String {
        let tail = |node: usize| {
            let text = fs::read_to_string(self.folder.join(format!("n{node}.log")));
            let text = text.unwrap_or_else(|error| error.to_string());
            let lines: Vec<&str> = text.lines().collect();
            let from = lines.len().saturating_sub(LOG_LINES);
            format!("--- n{node}\n{}\n", lines[from..].join("\n"))
        };
        (0..NODES).map(tail).collect()
    }

    fn start_node(&self, program: &Path, node: usize) -> io::Result<Child> {
        let settings = self.folder.join(format!("n{node}.properties"));
        fs::write(&settings, self.properties(node))?;
        let log = File::create(self.folder.join(format!("n{node}.log")))?;
        Command::new(program)
            .arg("serve")
            .arg("-c")
            .arg(&settings)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
    }

    fn properties(&self, node: usize) -> String {
        let peers = self.addresses.iter().enumerate();
        let peers: Vec<_> = peers.map(|(id, address)| format!("n{id}-{address}")).collect();
        let folder = self.folder.join(format!("n{node}"));
        let folder = folder.display();
        format!(
            "controllerDLegerGroup = quick\n\
             controllerDLegerPeers = {}\n\
             controllerDLegerSelfId = n{node}\n\
             controllerStorePath = {folder}\n\
             configStorePath = {folder}/controller.properties\n\
             pitchover.durability = fsync\n\
             pitchover.adminAddr = 127.0.0.1:0\n",
            peers.join(";"),
        )
    }
}

impl Drop for OwnCluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            end(node);
        }
        // A folder that cannot be removed lies among temporary files; nobody can act on it here.
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Ends a child and waits for it. Either step fails only if the child has ended already.
pub(crate) fn end(child: &mut Child) {
    drop(child.kill());
    drop(child.wait());
}

/// Ports of loopback that were free a moment ago, all different.
///
/// They lie below the range from which the system takes the ports of outgoing connections, and
/// each process starts looking at a place of its own, so nobody is likely to be faster.
///
/// # Errors
/// If fewer are free.
///
/// # Panics
/// Never: the range ends below 65536.
pub fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    static LOOKED_AT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(PORTS_PER_PROCESS);
    let candidates = (0..PORTS).map(|_| {
        let offset = start.wrapping_add(LOOKED_AT.fetch_add(1, Ordering::Relaxed)) % PORTS;
        u16::try_from(PORT_FIRST + offset).expect("the range ends below 65536")
    });
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let free: Vec<u16> = candidates.filter(is_free).take(count).collect();
    if free.len() < count {
        return Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "no free port between 10000 and 30000",
        ));
    }
    Ok(free)
}

#[cfg(test)]
mod tests {
    use super::free_ports;

    #[test]
    fn ports_are_different_each_time() {
        let mut ports = [free_ports(3).unwrap(), free_ports(3).unwrap()].concat();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 6);
    }
}

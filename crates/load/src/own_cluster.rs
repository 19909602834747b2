//! Controllers of our own, each a process of this very program on loopback.
//!
//! ```text
//! FOLDER/n0.properties   n1.properties   n2.properties     DLedger convention, one port each
//! FOLDER/pitchover-n0/   …                                 journals
//! FOLDER/n0.log          n1.log          n2.log            what they print
//! ```
//!
//! Their durability is `fsync`. They can be killed, frozen and started again. They end with this program, however it
//! ends (`own_cluster/starting.rs`).

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

mod starting;

/// Controllers that are started unless ports are named.
const NODES: usize = 3;

/// First port that is looked at, and how many follow it.
const PORT_FIRST: u32 = 10_000;
const PORTS: u32 = 20_000;

/// Distance between the places where two processes start to look.
const PORTS_PER_PROCESS: u32 = 61;

/// Lines of a node's output that an error message repeats.
const LOG_LINES: usize = 15;

/// How often a node that was asked to stop is looked at before it is ended, and the pause between.
const STOP_LOOKS_MAX: u32 = 300;
const STOP_LOOK: Duration = Duration::from_millis(10);

/// How controllers are set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The program that knows `serve -c FILE`.
    pub program: PathBuf,
    /// Where their data is; made if it is not there. `None` for a folder in `parent` that goes with
    /// the cluster.
    pub data: Option<PathBuf>,
    /// Where a folder is made that goes with the cluster.
    pub parent: PathBuf,
    /// Their ports, one for each controller; empty for three free ones.
    pub ports: Vec<u16>,
    /// Name of their group, which their data belongs to.
    pub group: String,
    /// Further lines of every property file.
    pub extra: String,
}

impl Setup {
    /// Three controllers on free ports, whose data is in a temporary folder.
    #[must_use]
    pub fn temporary(program: PathBuf) -> Self {
        let (parent, group) = (std::env::temp_dir(), "own".to_owned());
        Self { program, data: None, parent, ports: Vec::new(), group, extra: String::new() }
    }
}

/// Running controllers; dropping it ends them, and removes their folder if it is a temporary one.
#[derive(Debug)]
pub struct OwnCluster {
    program: PathBuf,
    folder: PathBuf,
    is_temporary: bool,
    addresses: Vec<String>,
    nodes: Vec<Child>,
}

impl OwnCluster {
    /// Starts `program serve -c FILE` once for each controller.
    ///
    /// # Errors
    /// If a port, a file or a process cannot be had.
    pub fn start(setup: &Setup) -> io::Result<Self> {
        let ports = if setup.ports.is_empty() { free_ports(NODES)? } else { setup.ports.clone() };
        let temporary = format!("pitchover-{}-{}", std::process::id(), ports[0]);
        let folder = setup.data.clone().unwrap_or_else(|| setup.parent.join(temporary));
        fs::create_dir_all(&folder)?;
        let addresses = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let mut cluster = Self {
            program: setup.program.clone(),
            folder,
            is_temporary: setup.data.is_none(),
            addresses,
            nodes: Vec::new(),
        };
        for node in 0..ports.len() {
            fs::write(cluster.settings(node), cluster.properties(node, setup))?;
            let started = cluster.start_node(node)?;
            cluster.nodes.push(started);
        }
        Ok(cluster)
    }

    /// How controllers are started here: whether they have sessions of their own.
    #[must_use]
    pub fn how_started() -> &'static str {
        starting::how()
    }

    /// The nodes' addresses.
    #[must_use]
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Where their data is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The process id of a node.
    ///
    /// # Panics
    /// If there is no such node.
    #[must_use]
    pub fn pid(&self, node: usize) -> u32 {
        self.nodes[node].id()
    }

    /// How a node has ended; `None` if it runs.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn ended(&mut self, node: usize) -> Option<ExitStatus> {
        self.nodes[node].try_wait().ok().flatten()
    }

    /// Ends a node as a power cut would (`kill -9`).
    ///
    /// # Panics
    /// If there is no such node.
    pub fn kill(&mut self, node: usize) {
        end(&mut self.nodes[node]);
    }

    /// Asks a node to end, as an operator does (`SIGTERM`): a leader hands over first. Returns at once.
    ///
    /// # Errors
    /// If it has ended.
    pub fn terminate(&self, node: usize) -> io::Result<()> {
        self.signal(node, Signal::TERM)
    }

    /// Bytes of a node's journal on disk; `None` if its folder cannot be looked at.
    #[must_use]
    pub fn journal_bytes(&self, node: usize) -> Option<u64> {
        let files = fs::read_dir(self.folder.join(format!("pitchover-n{node}"))).ok()?;
        // A file that went meanwhile counts nothing.
        let size = |entry: io::Result<fs::DirEntry>| entry.ok()?.metadata().ok();
        Some(files.filter_map(size).map(|file| if file.is_file() { file.len() } else { 0 }).sum())
    }

    /// Stops a node's clock and all it does (`SIGSTOP`), until [`Self::thaw`].
    ///
    /// # Errors
    /// If it has ended.
    pub fn freeze(&self, node: usize) -> io::Result<()> {
        self.signal(node, Signal::STOP)
    }

    /// Lets a frozen node go on.
    ///
    /// # Errors
    /// If it has ended.
    pub fn thaw(&self, node: usize) -> io::Result<()> {
        self.signal(node, Signal::CONT)
    }

    /// Starts a node again that has ended.
    ///
    /// # Errors
    /// If there is no process for it.
    pub fn restart(&mut self, node: usize) -> io::Result<()> {
        end(&mut self.nodes[node]);
        self.nodes[node] = self.start_node(node)?;
        Ok(())
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
        (0..self.nodes.len()).map(tail).collect()
    }

    fn signal(&self, node: usize, signal: Signal) -> io::Result<()> {
        let pid = i32::try_from(self.pid(node)).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::NotFound)?;
        Ok(kill_process(pid, signal)?)
    }

    fn settings(&self, node: usize) -> PathBuf {
        self.folder.join(format!("n{node}.properties"))
    }

    fn start_node(&self, node: usize) -> io::Result<Child> {
        let log = self.folder.join(format!("n{node}.log"));
        let log = File::options().create(true).append(true).open(log)?;
        let mut command = starting::command(&self.program);
        command.arg("serve").arg("-c").arg(self.settings(node));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        starting::start(command)
    }

    fn properties(&self, node: usize, Setup { group, extra, .. }: &Setup) -> String {
        let peers = self.addresses.iter().enumerate();
        let peers: Vec<_> = peers.map(|(id, address)| format!("n{id}-{address}")).collect();
        let folder = self.folder.display();
        format!(
            "controllerDLegerGroup = {group}\n\
             controllerDLegerPeers = {}\n\
             controllerDLegerSelfId = n{node}\n\
             controllerStorePath = {folder}\n\
             configStorePath = {folder}/n{node}.stored.properties\n\
             pitchover.durability = fsync\n\
             pitchover.adminAddr = 127.0.0.1:0\n\
             {extra}",
            peers.join(";"),
        )
    }
}

impl Drop for OwnCluster {
    fn drop(&mut self) {
        for node in 0..self.nodes.len() {
            // A frozen one would not hear the next; both fail only if it has ended already.
            drop(self.thaw(node));
            drop(self.terminate(node));
        }
        for node in &mut self.nodes {
            for _look in 0..STOP_LOOKS_MAX {
                if !matches!(node.try_wait(), Ok(None)) {
                    break;
                }
                std::thread::park_timeout(STOP_LOOK);
            }
            end(node);
        }
        if self.is_temporary {
            // What cannot be removed lies among temporary files; nobody can act on it here.
            drop(fs::remove_dir_all(&self.folder));
        }
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

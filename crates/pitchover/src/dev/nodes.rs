//! The controllers of `dev`: processes of this very program.

use crate::clock::Stopwatch;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a controller may take to hand leadership over and end.
const STOP: Duration = Duration::from_secs(3);

/// Lines of a controller's log that are shown when something went wrong.
const LOG_LINES: usize = 20;

struct Node {
    name: String,
    address: String,
    process: Child,
    ended: Option<Stopwatch>,
}

/// All controllers; dropping it ends them, and removes the folder if it is a temporary one.
pub(super) struct Nodes {
    folder: PathBuf,
    is_temporary: bool,
    nodes: Vec<Node>,
}

impl Nodes {
    /// Writes one property file each and starts them.
    pub(super) fn start(ports: &[u16], data: Option<PathBuf>) -> io::Result<Self> {
        let is_temporary = data.is_none();
        let temporary =
            || std::env::temp_dir().join(format!("pitchover-dev-{}", std::process::id()));
        let folder = data.unwrap_or_else(temporary);
        fs::create_dir_all(&folder)?;
        let peers: Vec<String> = (ports.iter().enumerate())
            .map(|(node, port)| format!("n{node}-127.0.0.1:{port}"))
            .collect();
        let mut all = Self { folder, is_temporary, nodes: Vec::new() };
        for (node, port) in ports.iter().enumerate() {
            let name = format!("n{node}");
            let settings = properties(&all.folder, &name, &peers.join(";"));
            fs::write(all.folder.join(format!("{name}.properties")), settings)?;
            let process = start(&all.folder, &name)?;
            let address = format!("127.0.0.1:{port}");
            all.nodes.push(Node { name, address, process, ended: None });
        }
        Ok(all)
    }

    pub(super) fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.address.clone()).collect()
    }

    /// Name, address and process id of each.
    pub(super) fn list(&self) -> impl Iterator<Item = (&str, &str, u32)> {
        self.nodes.iter().map(|node| (&*node.name, &*node.address, node.process.id()))
    }

    /// Notices controllers that ended, and starts them again after a while; says both.
    pub(super) fn look(&mut self, restart_after: Duration) -> Vec<String> {
        let mut events = Vec::new();
        for node in &mut self.nodes {
            match node.ended {
                None => {
                    if let Ok(Some(status)) = node.process.try_wait() {
                        node.ended = Some(Stopwatch::start());
                        let (name, pid) = (&node.name, node.process.id());
                        events.push(format!("controller {name} (pid {pid}) ended: {status}"));
                    }
                }
                Some(ended) if ended.elapsed() >= restart_after => {
                    if let Ok(process) = start(&self.folder, &node.name) {
                        let (name, pid) = (&node.name, process.id());
                        events.push(format!("controller {name} started again, pid {pid}"));
                        node.process = process;
                        node.ended = None;
                    }
                }
                Some(_) => {}
            }
        }
        events
    }

    /// The end of every log.
    pub(super) fn logs(&self) -> String {
        let tail = |node: &Node| {
            let log = fs::read_to_string(self.folder.join(format!("{}.log", node.name)));
            let log = log.unwrap_or_else(|error| error.to_string());
            let lines: Vec<&str> = log.lines().collect();
            let from = lines.len().saturating_sub(LOG_LINES);
            format!("--- {}\n{}\n", node.name, lines[from..].join("\n"))
        };
        self.nodes.iter().map(tail).collect()
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for node in &self.nodes {
            let pid =
                i32::try_from(node.process.id()).ok().and_then(rustix::process::Pid::from_raw);
            if let (None, Some(pid)) = (node.ended, pid) {
                // It has ended already if this fails.
                rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
            }
        }
        let began = Stopwatch::start();
        for node in &mut self.nodes {
            while began.elapsed() < STOP && matches!(node.process.try_wait(), Ok(None)) {
                std::thread::park_timeout(Duration::from_millis(10));
            }
            // Both fail only if it has ended already.
            drop(node.process.kill());
            drop(node.process.wait());
        }
        if self.is_temporary {
            // What cannot be removed lies among temporary files; nobody can act on it here.
            drop(fs::remove_dir_all(&self.folder));
        }
    }
}

fn start(folder: &Path, name: &str) -> io::Result<Child> {
    let log = File::options().create(true).append(true).open(folder.join(format!("{name}.log")))?;
    Command::new(std::env::current_exe()?)
        .args(["serve", "-c"])
        .arg(folder.join(format!("{name}.properties")))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

fn properties(folder: &Path, name: &str, peers: &str) -> String {
    let folder = folder.display();
    format!(
        "controllerDLegerGroup = dev\n\
         controllerDLegerPeers = {peers}\n\
         controllerDLegerSelfId = {name}\n\
         controllerStorePath = {folder}\n\
         configStorePath = {folder}/{name}.stored.properties\n\
         pitchover.limits.segmentBytes = 4194304\n"
    )
}

//! Three controllers of one arm, each in a folder of its own.

use super::arms::Arm;
use super::leftovers::{Started, end_group};
use crate::interop::clock::until;
use crate::interop::process::Process;
use crate::interop::report::{Failure, Outcome};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long controllers may take until they listen.
const LISTEN_LIMIT: Duration = Duration::from_secs(180);

/// The one heap policy and collector of all Java arms; everything else is as the JVM chooses.
pub(super) const JVM_FLAGS: [&str; 3] = ["-Xms512m", "-Xmx512m", "-XX:+UseG1GC"];

/// Upstream's program.
const JAVA_CLASS: &str = "org.apache.rocketmq.controller.ControllerStartup";

/// What all clusters of a run have in common.
#[derive(Debug)]
pub(super) struct Grounds<'a> {
    /// Our program.
    pub(super) pitchover: PathBuf,
    /// Of upstream's jars; empty if no Java arm is run.
    pub(super) class_path: String,
    pub(super) logback: PathBuf,
    /// Log level of Java's controllers.
    pub(super) java_log: String,
    pub(super) first_port: u16,
    pub(super) started: &'a Started,
}

/// Running controllers; dropping it ends them.
#[derive(Debug)]
pub(super) struct Cluster<'a> {
    grounds: &'a Grounds<'a>,
    pub(super) arm: Arm,
    folder: PathBuf,
    nodes: Vec<Process>,
}

impl<'a> Cluster<'a> {
    /// Starts three and waits until they listen.
    ///
    /// # Errors
    /// One ended by itself or does not listen in time; the text holds the end of its log.
    pub(super) fn start(grounds: &'a Grounds<'a>, arm: Arm, folder: &Path) -> Outcome<Self> {
        let mut cluster = Self { grounds, arm, folder: folder.to_owned(), nodes: Vec::new() };
        for (node, _) in arm.addresses(grounds.first_port).iter().enumerate() {
            let home = cluster.home(node);
            std::fs::create_dir_all(&home).map_err(Failure::while_doing(home.display()))?;
            let file = home.join("controller.properties");
            let text = arm.properties(grounds.first_port, node, &home);
            std::fs::write(&file, text).map_err(Failure::while_doing(file.display()))?;
            let process = cluster.launch(node)?;
            cluster.nodes.push(process);
        }
        for address in arm.addresses(grounds.first_port) {
            until(&format!("{} on {address}", arm.name()), LISTEN_LIMIT, || {
                cluster.nodes.iter_mut().try_for_each(Process::check)?;
                Ok(TcpStream::connect(&address).ok())
            })?;
        }
        Ok(cluster)
    }

    /// `host:port` of each, with commas.
    pub(super) fn targets(&self) -> String {
        self.arm.addresses(self.grounds.first_port).join(",")
    }

    /// Starts a node again that has ended, where that is wanted.
    ///
    /// # Errors
    /// A node ended that nobody may have killed.
    pub(super) fn tend(&mut self, restarts: bool) -> Outcome<()> {
        for node in 0..self.nodes.len() {
            if !restarts {
                self.nodes[node].check()?;
            } else if self.nodes[node].ended()?.is_some() {
                self.nodes[node] = self.launch(node)?;
            }
        }
        Ok(())
    }

    /// How each of them is started, with paths of this machine left out.
    pub(super) fn command_shown(arm: Arm, java_log: &str) -> String {
        if arm.is_java() {
            let flags = JVM_FLAGS.join(" ");
            format!(
                "java {flags} -Dinterop.level={java_log} … {JAVA_CLASS} -c controller.properties"
            )
        } else {
            "pitchover serve -c controller.properties".to_owned()
        }
    }

    fn home(&self, node: usize) -> PathBuf {
        self.folder.join(format!("n{node}"))
    }

    fn launch(&self, node: usize) -> Outcome<Process> {
        let home = self.home(node);
        let grounds = self.grounds;
        let mut command = if self.arm.is_java() {
            let mut command = Command::new("java");
            command.args(JVM_FLAGS).arg(format!("-Duser.home={}", home.display()));
            command.arg(format!("-Drmq.logback.configurationFile={}", grounds.logback.display()));
            command.arg(format!("-Dinterop.level={}", grounds.java_log));
            command.arg("-cp").arg(&grounds.class_path).arg(JAVA_CLASS);
            for quiet in ["JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "NAMESRV_ADDR"]
            {
                command.env_remove(quiet);
            }
            command
        } else {
            let mut command = Command::new(&grounds.pitchover);
            command.arg("serve");
            command
        };
        command.arg("-c").arg(home.join("controller.properties"));
        command.current_dir(&home).env("HOME", &home).env("ROCKETMQ_HOME", &home).process_group(0);
        let name = format!("n{node} of {}", self.arm.name());
        let process = Process::start(&name, command, &home.join("out.log"))?;
        grounds.started.add(process.pid())?;
        Ok(process)
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        // All at once: one after the other would let the rest hold elections meanwhile.
        self.nodes.iter().for_each(|node| end_group(node.pid()));
    }
}

//! Nodes as `OpenChaos` wants them: an address, a device `eth0`, ssh at port 22, processes of their own.
//!
//! ```text
//! openchaos-RUN-hub   bridge 10.78.0.100/24; `OpenChaos` itself runs here, and its clients
//!   ├─ eth0 of openchaos-RUN-n1   10.78.0.1   sh (pid 1, reaps) ─ sshd, controller
//!   ├─ eth0 of openchaos-RUN-n2   10.78.0.2   …
//! ```
//!
//! A node has a network, a PID and a mount namespace: `OpenChaos` finds processes by `ps ax | grep` and drops packets by
//! iptables, both of which would hit the others. `/run` is a file system of its own (iptables and sshd lock there), and
//! `/etc/passwd` a list with nobody but root, whose home is the node's folder. Where netem is emulated, `tc` is a script.

use super::Target;
use super::delay::{self, Carrier, Emulation};
use super::faults::{Fault, Means};
use super::ground::{PREFIX, find, tool};
use crate::interop::process::Process;
use crate::interop::report::{Failure, Outcome};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Port of every controller.
pub(super) const PORT: u16 = 9878;

/// Port by which `JRaft` controllers talk to each other.
const RAFT_PORT: u16 = 9880;

/// The address of clients and brokers.
pub(super) const HUB: &str = "10.78.0.100";

/// In the command line of every controller, and of nothing else on a node.
pub(super) const PROCESS: &str = "openchaos-controller.conf";

/// Where a node keeps the machine's own `tc`, if a script stands in its place.
const KEPT_TC: &str = "/run/tc";

/// Java controllers get so much, as their own start script would be told for a small machine.
const JAVA: [&str; 3] = ["-Xms256m", "-Xmx256m", "-XX:+UseSerialGC"];

/// Whoever may be root at a node.
const PASSWD: &str = "sshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n";

/// Files that all nodes of all runs use.
#[derive(Debug)]
pub(super) struct Keys {
    /// `user.home` of `OpenChaos`: `.ssh/id_ecdsa` below it opens every node.
    pub(super) home: PathBuf,
}

impl Keys {
    /// Makes new keys.
    ///
    /// # Errors
    /// `ssh-keygen` failed, or the folder cannot be written.
    pub(super) fn make(folder: &Path) -> Outcome<Self> {
        let home = folder.join("home");
        let ssh = home.join(".ssh");
        if ssh.exists() {
            fs::remove_dir_all(&ssh).map_err(Failure::while_doing(ssh.display()))?;
        }
        fs::create_dir_all(&ssh).map_err(Failure::while_doing(ssh.display()))?;
        // OpenChaos' ssh looks at no key in a folder that others may read.
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(&ssh, private).map_err(Failure::while_doing(ssh.display()))?;
        for name in ["id_ecdsa", "host"] {
            let file = ssh.join(name).display().to_string();
            // Without a pass phrase, in the form that Java reads without a further library.
            tool(&["ssh-keygen", "-q", "-t", "ecdsa", "-m", "PEM", "-N", "", "-f", &file])?;
        }
        Ok(Self { home })
    }

    fn file(&self, name: &str) -> String {
        self.home.join(".ssh").join(name).display().to_string()
    }
}

/// What becomes a controller.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) target: Target,
    pub(super) pitchover: PathBuf,
    /// Of RocketMQ's jars.
    pub(super) class_path: String,
    /// `interop/logback.xml`.
    pub(super) logback: PathBuf,
    /// Of netem, where the kernel has none.
    pub(super) emulation: Option<Emulation>,
}

impl Programs {
    /// What emulates netem, if this fault needs it and the kernel has none.
    fn emulation(&self, fault: Fault) -> Option<&Emulation> {
        self.emulation.as_ref().filter(|_| fault.means == Means::Netem)
    }

    fn command(&self, home: &Path) -> Outcome<String> {
        let conf = home.join(PROCESS);
        let conf = conf.display();
        match self.target {
            Target::Pitchover => Ok(format!("{} serve -c {conf}", self.pitchover.display())),
            Target::JavaDledger | Target::JavaJraft => {
                let java = find("java").ok_or_else(|| Failure("java is gone".to_owned()))?;
                let (options, home, logback) =
                    (JAVA.join(" "), home.display(), self.logback.display());
                Ok(format!(
                    "env ROCKETMQ_HOME={home} {java} {options} -Duser.home={home} \
                     -Drmq.logback.configurationFile={logback} -cp '{}' \
                     org.apache.rocketmq.controller.ControllerStartup -c {conf}",
                    self.class_path
                ))
            }
        }
    }
}

/// The running nodes of one run of `OpenChaos`.
#[derive(Debug)]
pub(super) struct Nodes {
    pub(super) addresses: Vec<String>,
    pub(super) names: Vec<String>,
    pub(super) homes: Vec<PathBuf>,
    pub(super) hub: String,
    inits: Vec<Process>,
    carrier: Option<Carrier>,
}

impl Nodes {
    /// Makes namespaces and files, and starts sshd and the controller on each node.
    ///
    /// # Errors
    /// Something could not be made; what was made is removed when the value is dropped, or with the run.
    pub(super) fn start(
        run: u32,
        fault: Fault,
        folder: &Path,
        keys: &Keys,
        programs: &Programs,
    ) -> Outcome<Self> {
        let hub = format!("{PREFIX}{run}-hub");
        tool(&["ip", "netns", "add", &hub])?;
        let mut nodes = Self {
            addresses: (1..=fault.nodes).map(|node| format!("10.78.0.{node}")).collect(),
            names: (1..=fault.nodes).map(|node| format!("{PREFIX}{run}-n{node}")).collect(),
            homes: (1..=fault.nodes).map(|node| folder.join(format!("node-{node}"))).collect(),
            hub,
            inits: Vec::new(),
            carrier: None,
        };
        nodes.wire()?;
        let emulation = programs.emulation(fault);
        if let Some(emulation) = emulation {
            let names = nodes.names.iter().map(String::as_str);
            let mut hosts: Vec<_> = names.zip(nodes.addresses.iter().map(String::as_str)).collect();
            hosts.push((&nodes.hub, HUB));
            nodes.carrier = Some(emulation.start(&hosts, &folder.join("delay.log"))?);
        }
        for node in 0..nodes.names.len() {
            nodes.furnish(node, keys, programs)?;
            let (name, home) = (&nodes.names[node], &nodes.homes[node]);
            let mut command = Command::new("ip");
            command.args(["netns", "exec", name, "setpriv", "--pdeathsig", "KILL", "unshare"]);
            command.args(["--pid", "--mount", "--mount-proc", "--fork", "--kill-child", "sh"]);
            command.arg(home.join("init")).current_dir(home);
            nodes.inits.push(Process::start(name, command, &home.join("init.log"))?);
        }
        Ok(nodes)
    }

    /// Devices and addresses.
    fn wire(&self) -> Outcome<()> {
        let hub = self.hub.as_str();
        tool(&["ip", "-n", hub, "link", "set", "lo", "up"])?;
        tool(&["ip", "-n", hub, "link", "add", "bridge", "type", "bridge"])?;
        let range = format!("{HUB}/24");
        tool(&["ip", "-n", hub, "addr", "add", &range, "dev", "bridge"])?;
        tool(&["ip", "-n", hub, "link", "set", "bridge", "up"])?;
        for (node, (name, address)) in self.names.iter().zip(&self.addresses).enumerate() {
            let end = format!("node{node}");
            tool(&["ip", "netns", "add", name])?;
            let pair = ["link", "add", &end, "type", "veth", "peer", "name", "eth0", "netns", name];
            tool(&[&["ip", "-n", hub], &pair[..]].concat())?;
            tool(&["ip", "-n", hub, "link", "set", &end, "master", "bridge", "up"])?;
            let range = format!("{address}/24");
            tool(&["ip", "-n", name, "addr", "add", &range, "dev", "eth0"])?;
            tool(&["ip", "-n", name, "link", "set", "lo", "up"])?;
            tool(&["ip", "-n", name, "link", "set", "eth0", "up"])?;
        }
        Ok(())
    }

    /// The folder of one node.
    fn furnish(&self, node: usize, keys: &Keys, programs: &Programs) -> Outcome<()> {
        let home = &self.homes[node];
        fs::create_dir_all(home).map_err(Failure::while_doing(home.display()))?;
        let shown = home.display();
        let address = &self.addresses[node];
        let sshd = find("sshd").ok_or_else(|| Failure("sshd is gone".to_owned()))?;
        let command = programs.command(home)?;
        let mask = self.mask(home)?;
        let files = [
            (PROCESS, properties(programs.target, node, &self.addresses, home)),
            ("passwd", format!("root:x:0:0:root:{shown}:/bin/sh\n{PASSWD}")),
            ("shadow", "root:*:1:0:99999:7:::\n".to_owned()),
            ("sshd_config", sshd_config(address, &keys.file("host"), &keys.file("id_ecdsa.pub"))),
            (
                "start",
                format!(
                    "#!/bin/sh\n# Starts the controller, unless it runs.\n\
                     ps ax | grep -v grep | grep -q {PROCESS} && exit 0\n\
                     cd {shown}\nsetsid {command} >> out.log 2>&1 < /dev/null &\n"
                ),
            ),
            (
                "init",
                format!(
                    "mount -t tmpfs openchaos /run && mkdir /run/sshd\n{mask}\
                     mount --bind {shown}/passwd /etc/passwd && mount --bind {shown}/shadow /etc/shadow\n\
                     {shown}/start\n{sshd} -D -e -f {shown}/sshd_config &\nwait\n"
                ),
            ),
        ];
        for (name, text) in files {
            let file = home.join(name);
            fs::write(&file, text).map_err(Failure::while_doing(file.display()))?;
        }
        executable(&home.join("start"))
    }

    /// Where netem is emulated: writes the script that stands in place of `tc`, and gives the line of `init` that puts it there.
    fn mask(&self, home: &Path) -> Outcome<String> {
        if self.carrier.is_none() {
            return Ok(String::new());
        }
        let script = home.join("tc");
        fs::write(&script, delay::script(KEPT_TC))
            .map_err(Failure::while_doing(script.display()))?;
        executable(&script)?;
        let tc = find("tc").ok_or_else(|| Failure("tc is gone".to_owned()))?;
        let script = script.display();
        Ok(format!(
            "touch {KEPT_TC} && mount --bind {tc} {KEPT_TC} && mount --bind {script} {tc} || exit 1\n"
        ))
    }

    /// Packets that were held in place of netem; none where the kernel does that itself, or nothing is to be held.
    ///
    /// # Errors
    /// [`Carrier::held`]
    pub(super) fn held(&mut self) -> Outcome<Option<u64>> {
        self.carrier.as_mut().map(Carrier::held).transpose()
    }

    /// An error if a node has ended.
    pub(super) fn check(&mut self) -> Outcome<()> {
        self.inits.iter_mut().try_for_each(Process::check)
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        // The chains die with their shells; names that stay are the janitor's.
        self.inits.clear();
        self.carrier = None;
        for name in self.names.iter().chain([&self.hub]) {
            drop(tool(&["ip", "netns", "del", name]));
        }
    }
}

fn executable(file: &Path) -> Outcome<()> {
    let permissions = fs::Permissions::from_mode(0o755);
    fs::set_permissions(file, permissions).map_err(Failure::while_doing(file.display()))
}

fn sshd_config(address: &str, host_key: &str, allowed: &str) -> String {
    format!(
        "Port 22\nListenAddress {address}\nHostKey {host_key}\nAuthorizedKeysFile {allowed}\nPidFile none\n\
         StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nUseDNS no\nMaxSessions 100\n"
    )
}

/// Upstream's property file, as both kinds of controller read it.
fn properties(target: Target, node: usize, addresses: &[String], home: &Path) -> String {
    let store = home.join("store");
    let store = store.display();
    let listed = |port: u16, separator: &str, with_names: bool| {
        let one = |(number, address): (usize, &String)| {
            let name = if with_names { format!("n{number}-") } else { String::new() };
            format!("{name}{address}:{port}")
        };
        addresses.iter().enumerate().map(one).collect::<Vec<_>>().join(separator)
    };
    let group = match target {
        Target::Pitchover | Target::JavaDledger => format!(
            "controllerDLegerGroup = openchaos\ncontrollerDLegerPeers = {}\ncontrollerDLegerSelfId = n{node}\n",
            listed(PORT, ";", true)
        ),
        Target::JavaJraft => format!(
            "controllerType = jRaft\njRaftGroupId = openchaos\njRaftInitConf = {}\njRaftServerId = {}:{RAFT_PORT}\n\
             jRaftControllerRPCAddr = {}\n",
            listed(RAFT_PORT, ",", false),
            addresses[node],
            listed(PORT, ",", false)
        ),
    };
    format!("{group}controllerStorePath = {store}\nconfigStorePath = {store}/stored.properties\n")
}

#[cfg(test)]
mod tests {
    use super::{Target, properties};
    use std::path::Path;

    #[test]
    fn each_kind_of_group_is_described_in_its_own_style() {
        let addresses = ["10.78.0.1".to_owned(), "10.78.0.2".to_owned()];
        let check = |target, lines: &[&str]| {
            let text = properties(target, 1, &addresses, Path::new("/x"));
            for line in lines {
                assert!(text.lines().any(|found| found == *line), "{line} in {text}");
            }
        };
        let dledger = [
            "controllerDLegerPeers = n0-10.78.0.1:9878;n1-10.78.0.2:9878",
            "controllerDLegerSelfId = n1",
            "controllerStorePath = /x/store",
        ];
        check(Target::Pitchover, &dledger);
        check(Target::JavaDledger, &dledger);
        let jraft = [
            "jRaftInitConf = 10.78.0.1:9880,10.78.0.2:9880",
            "jRaftServerId = 10.78.0.2:9880",
            "jRaftControllerRPCAddr = 10.78.0.1:9878,10.78.0.2:9878",
        ];
        check(Target::JavaJraft, &jraft);
    }
}

//! What a run needs of the machine, asked before anything is started; and what it leaves behind, which is nothing.
//!
//! Namespaces are named `openchaos-RUN-…`, RUN being the process id of the run. A *janitor*, a shell in a session of its
//! own, reads from a pipe that only this process holds open: when it ends in whatever way, the pipe does, and the janitor
//! kills what lives in the namespaces and removes them. What even the janitor left (it was killed too), the next start
//! removes.

use super::faults::Means;
use crate::interop::report::{Failure, Outcome};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// All names begin with this, and go on with the id of the run.
pub(super) const PREFIX: &str = "openchaos-";

/// Where `ip` keeps names of namespaces.
pub(super) const NAMES: &str = "/run/netns";

/// Kills and removes what begins with `$1`.
const REMOVE: &str = "for name in $(ls /run/netns 2>/dev/null | grep \"^$1\"); do \
     ip netns pids $name | xargs -r kill -9; ip netns del $name; done";

/// Programs, and the packages of Debian that hold them.
const PROGRAMS: [(&str, &str); 11] = [
    ("java", "openjdk-17-jdk-headless"),
    ("javac", "openjdk-17-jdk-headless"),
    ("mvn", "maven"),
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("unshare", "util-linux"),
    ("setpriv", "util-linux"),
    ("iptables", "iptables"),
    ("sshd", "openssh-server"),
    ("ssh-keygen", "openssh-client"),
    ("ps", "procps"),
];

/// Runs a tool to its end and gives what it printed.
///
/// # Errors
/// It could not be started, or failed: with its own words.
pub(super) fn tool(words: &[&str]) -> Outcome<String> {
    let shown = words.join(" ");
    let (program, arguments) = words.split_first().ok_or_else(|| Failure("no words".to_owned()))?;
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(Failure::while_doing(&shown))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Failure(format!("{shown}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

/// Where a program is.
pub(super) fn find(program: &str) -> Option<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/sbin"]);
    folders.map(|folder| format!("{folder}/{program}")).find(|file| Path::new(file).is_file())
}

/// Names everything that is missing.
///
/// # Errors
/// Not root, or a program is not there: with the package that has it.
pub(super) fn check() -> Outcome<()> {
    let mut missing = Vec::new();
    if !rustix::process::geteuid().is_root() {
        missing.push("root, for namespaces".to_owned());
    }
    for (program, package) in PROGRAMS {
        if find(program).is_none() {
            missing.push(format!("{program} (Debian: {package})"));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure(format!("nothing was started; missing: {}", missing.join(", "))))
}

/// Tries each means in a namespace of its own; gives those that do not work, with the reason.
///
/// # Errors
/// There are no namespaces, pairs of devices or bridges at all.
pub(super) fn lacking(run: u32) -> Outcome<Vec<(Means, Failure)>> {
    let name = format!("{PREFIX}{run}-probe");
    tool(&["ip", "netns", "add", &name])?;
    tool(&["ip", "-n", &name, "link", "add", "bridge", "type", "bridge"])?;
    tool(&["ip", "-n", &name, "link", "add", "one", "type", "veth", "peer", "name", "two"])?;
    tool(&["unshare", "--net", "--pid", "--mount-proc", "--fork", "--kill-child", "true"])?;
    let inside = ["ip", "netns", "exec", &name];
    let source = ["-A", "INPUT", "-s", "10.78.0.1"];
    let random = ["-m", "statistic", "--mode", "random", "--probability", "0.8"];
    let drop_it = ["-j", "DROP", "-w"];
    let filter = [&inside[..], &["iptables"], &source, &drop_it].concat();
    let statistic = [&inside[..], &["iptables"], &source, &random, &drop_it].concat();
    let netem =
        [&inside[..], &["tc", "qdisc", "add", "dev", "one", "root", "netem", "delay", "1ms"]]
            .concat();
    let tried = [(Means::Filter, filter), (Means::Statistic, statistic), (Means::Netem, netem)];
    let lacking = tried.iter().filter_map(|(means, words)| Some((*means, tool(words).err()?)));
    let lacking = lacking.collect();
    tool(&["ip", "netns", "del", &name])?;
    Ok(lacking)
}

/// Removes what runs left that no longer live; one line for each.
pub(super) fn remove_leftovers() -> Vec<String> {
    let mut runs: Vec<u32> = Vec::new();
    for entry in fs::read_dir(NAMES).into_iter().flatten().flatten() {
        runs.extend(entry.file_name().to_str().and_then(run_of).filter(|run| !lives(*run)));
    }
    runs.sort_unstable();
    runs.dedup();
    let remove = |run: u32| match tool(&["sh", "-c", REMOVE, "sh", &format!("{PREFIX}{run}-")]) {
        Ok(_) => format!("run {run} is dead and left namespaces: removed"),
        Err(error) => format!("run {run} is dead and left namespaces, not all removed: {error}"),
    };
    runs.into_iter().map(remove).collect()
}

/// The run that gave a name.
fn run_of(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

/// Whether that process is still a run: its id may belong to another program by now.
fn lives(run: u32) -> bool {
    let theirs = fs::read(format!("/proc/{run}/cmdline")).unwrap_or_default();
    run == std::process::id() || String::from_utf8_lossy(&theirs).contains("openchaos")
}

/// Removes everything of this run, when it is dropped and when this process dies.
#[derive(Debug)]
pub(super) struct Janitor(Child);

impl Janitor {
    /// Begins to wait.
    pub(super) fn start(run: u32) -> Outcome<Self> {
        let mut command = Command::new("setsid");
        let script = format!("cat >/dev/null; {REMOVE}");
        command.args(["sh", "-c", &script, "sh", &format!("{PREFIX}{run}-")]);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        command.spawn().map(Self).map_err(Failure::while_doing("cannot start the janitor"))
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        // `wait` closes the pipe first. What it left is removed by the next start.
        drop(self.0.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::run_of;

    #[test]
    fn only_names_of_runs_are_taken_for_such() {
        for (name, run) in [
            ("openchaos-12-n1", Some(12)),
            ("openchaos-12-hub", Some(12)),
            ("openchaos-mine", None),
            ("pitchover-12-n0", None),
        ] {
            assert_eq!(run_of(name), run, "{name}");
        }
    }
}

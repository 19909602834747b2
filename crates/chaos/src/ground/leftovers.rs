//! What a run that was killed left behind: found by name, said, and removed before the next begins.
//!
//! A name carries the process id of its run. A run whose process still lives is somebody else's and is
//! left alone; two runs on one machine share nothing but its processors.

use super::cgroup::{self, Tree};
use super::{PREFIX, freezer, namespace, tool};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How long killed processes may take to go.
const GO: Duration = Duration::from_millis(200);

/// What one dead run left.
#[derive(Debug, Default, PartialEq, Eq)]
struct Left {
    namespaces: Vec<String>,
    mounts: Vec<String>,
    groups: Vec<String>,
}

/// Removes what dead runs left; returns a line for each of them.
pub(crate) fn remove() -> Vec<String> {
    let mut runs: BTreeMap<u32, Left> = BTreeMap::new();
    for name in entries(namespace::FOLDER) {
        if let Some(run) = run_of(&name) {
            runs.entry(run).or_default().namespaces.push(name);
        }
    }
    for (source, place) in mounts() {
        if let Some(run) = run_of(&source) {
            runs.entry(run).or_default().mounts.push(place);
        }
    }
    for tree in Tree::all() {
        for name in entries(tree.root()) {
            if let Some(run) = run_of(&name) {
                let folder = tree.root().join(name).display().to_string();
                runs.entry(run).or_default().groups.push(folder);
            }
        }
    }
    runs.into_iter().filter(|(run, _)| !lives(*run)).map(|(run, left)| left.remove(run)).collect()
}

impl Left {
    fn remove(self, run: u32) -> String {
        let mut failed = Vec::new();
        // Nobody who is frozen ends.
        for folder in &self.groups {
            failed.extend(freezer::thaw_left(Path::new(folder)).err());
        }
        let mut processes = 0;
        for name in &self.namespaces {
            let pids = tool(&["ip", "netns", "pids", name]).unwrap_or_default();
            for pid in pids.split_whitespace().filter_map(|pid| pid.parse().ok()) {
                let killed = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::KILL));
                processes += usize::from(matches!(killed, Some(Ok(()))));
            }
        }
        if processes > 0 {
            std::thread::park_timeout(GO);
        }
        for name in &self.namespaces {
            failed.extend(tool(&["ip", "netns", "del", name]).err());
        }
        for place in &self.mounts {
            // Lazily: whoever still looks into it must not keep it.
            failed.extend(tool(&["umount", "--lazy", place]).err());
        }
        for folder in &self.groups {
            failed.extend(cgroup::remove(Path::new(folder)).err());
        }
        let (namespaces, mounts) = (self.namespaces.len(), self.mounts.len());
        let mut line = format!(
            "run {run} is dead and left {namespaces} namespaces, {processes} processes, {mounts} mounts, \
             {} cgroups: removed",
            self.groups.len()
        );
        for error in failed {
            line.push_str(&format!("\n  but not all of it: {error}"));
        }
        line
    }
}

/// The run that gave this name: `pitchover-1234-n0`, or `pitchover-1234`.
fn run_of(name: &str) -> Option<u32> {
    let rest = name.strip_prefix(PREFIX)?;
    rest.split('-').next()?.parse().ok()
}

/// Whether the run's process is still one of ours: the id may belong to somebody else by now.
fn lives(run: u32) -> bool {
    let theirs = fs::read(format!("/proc/{run}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&theirs).contains("chaos") || run == std::process::id()
}

fn entries(folder: impl AsRef<Path>) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Source and place of every mount.
fn mounts() -> Vec<(String, String)> {
    let text = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let pair = |line: &str| {
        let mut words = line.split(' ');
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::run_of;

    #[test]
    fn only_names_of_runs_are_taken_for_such() {
        let rows = [
            ("pitchover-1234-n0", Some(1234)),
            ("pitchover-1234", Some(1234)),
            ("pitchover-mine", None),
            ("somebody-1234", None),
            ("pitchover-", None),
        ];
        for (name, run) in rows {
            assert_eq!(run_of(name), run, "{name}");
        }
    }
}

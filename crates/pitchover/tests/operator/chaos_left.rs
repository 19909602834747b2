//! `pitchover chaos run` that is interrupted, killed, full or not allowed: what is left of it afterwards, which is nothing.
//!
//! Other runs may be on this machine: only what carries this run's process id, or descends from it, is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::node::{Folder, Node, PROGRAM, command};
use crate::patience::until;
use crate::run::run;

/// One fault of a network and one of a disk at one controller, a leader that is frozen, and one of the processor of another:
/// version 2 has one cgroup for each process. The last is begun last.
const FAULTS: &str = "fixed-partition+fixed-io-hang+freeze+minor-cpu-high";

/// What they need, as `chaos list` calls it.
const NEEDS: [&str; 6] =
    ["root", "namespaces", "TUN fabric", "processor quota", "faulty disk", "freezer"];

/// Three controllers, brokers, clients.
const NAMESPACES: usize = 5;

/// Interrupted or in doubt, as `pitchover chaos` says it.
const INVALID: i32 = 3;

/// Nothing was started.
const NOT_STARTED: i32 = 2;

#[test]
fn an_interrupted_run_leaves_nothing() {
    let folder = Folder::new();
    let Some((mut chaos, pid)) = in_the_middle_of_faults(&folder) else { return };
    let family = descendants(pid);
    chaos.signal(Signal::INT);
    let status = chaos.wait();
    assert_eq!(status.code(), Some(INVALID), "{}", chaos.log());
    let verdict = fs::read_to_string(folder.path().join("run").join("verdict.json"));
    let verdict = verdict.expect("what was seen is judged");
    assert!(verdict.contains("the run was interrupted"), "{verdict}");
    // Nobody confirmed them: they are named, with the reason.
    assert!(verdict.contains(&format!("\"fault\": \"{FAULTS}\"")), "{verdict}");
    assert_eq!(left(pid), Vec::<String>::new(), "{}", chaos.log());
    assert_eq!(alive(&family), Vec::<String>::new(), "{}", chaos.log());
}

#[test]
fn what_a_killed_run_leaves_is_gone_after_the_next_start() {
    let folder = Folder::new();
    let Some((mut chaos, pid)) = in_the_middle_of_faults(&folder) else { return };
    let family = descendants(pid);
    chaos.signal(Signal::KILL);
    assert_eq!(chaos.wait().signal(), Some(Signal::KILL.as_raw()), "{}", chaos.log());
    // It cleans up, and then has nothing to do: no machine can inject this.
    let out = folder.path().join("next").display().to_string();
    let mut next = with_path(Path::new(PROGRAM));
    next.args(["chaos", "run", "--faults", "add-peer", "--out", &out]);
    let log = folder.path().join("next.log");
    let mut next = Node::spawn(&mut next, &log);
    assert_eq!(next.wait().code(), Some(NOT_STARTED), "{}", next.log());
    assert_eq!(left(pid), Vec::<String>::new(), "{}", next.log());
    // Nobody waits for children of a dead run; a disk still brings its files to the folder.
    until("the processes of the killed run end", || alive(&family).is_empty().then_some(()));
}

#[test]
fn without_privileges_the_reason_is_said_and_nothing_begins() {
    let folder = Folder::new();
    let out = folder.path().join("run");
    let is_root = rustix::process::geteuid().is_root();
    let mut chaos = match is_root {
        // In a namespace of users that knows none, root is nobody.
        true => {
            let mut inside = with_path(Path::new("unshare"));
            let is_able = inside.args(["--user", "true"]).status();
            if !is_able.is_ok_and(|status| status.success()) {
                skip("root cannot become nobody here: `unshare --user` does not work");
                return;
            }
            let mut inside = with_path(Path::new("unshare"));
            inside.args(["--user", PROGRAM]);
            inside
        }
        false => with_path(Path::new(PROGRAM)),
    };
    chaos.args(["chaos", "run", "--faults", "leader-kill", "--out"]).arg(&out);
    let mut chaos = Node::spawn(&mut chaos, &folder.path().join("run.log"));
    let pid = chaos.child.id();
    assert_eq!(chaos.wait().code(), Some(NOT_STARTED), "{}", chaos.log());
    assert!(chaos.log().contains("cannot run here: root: not root"), "{}", chaos.log());
    assert!(!out.exists(), "a folder was made");
    assert_eq!(left(pid), Vec::<String>::new());
}

#[test]
fn a_run_that_is_full_ends_early_and_says_so() {
    let folder = Folder::new();
    if let Some(means) = lacking(&NEEDS[..3]) {
        skip(&format!("no run was filled: this machine has no means `{means}`"));
        return;
    }
    let mut chaos = with_path(Path::new(PROGRAM));
    chaos.args(["chaos", "run", "--faults", "noop,leader-kill", "--for", "1h", "--seed", "1"]);
    chaos.args(["--operations-max", "10", "--out"]).arg(folder.path().join("run"));
    let mut chaos = Node::spawn(&mut chaos, &folder.path().join("run.log"));
    let pid = chaos.child.id();
    assert_eq!(chaos.wait().code(), Some(INVALID), "{}", chaos.log());
    let why = "of 3600 s: 10 operations are recorded, and no run records more";
    let log = chaos.log();
    let doubt = log.lines().find(|line| line.starts_with("IN DOUBT ended after "));
    assert!(doubt.is_some_and(|line| line.contains(why)), "{log}");
    assert!(!log.contains("the time was over"), "{log}");
    assert_eq!(left(pid), Vec::<String>::new(), "{log}");
}

/// The first of these means that this machine lacks.
fn lacking(means: &[&'static str]) -> Option<&'static str> {
    let listed = run(&["chaos", "list"]).out;
    let has = |means: &str| {
        let how = |line: &str| line.strip_prefix(means).map(|how| how.trim_start().to_owned());
        listed.lines().find_map(how).is_some_and(|how| how.starts_with("yes"))
    };
    means.iter().find(|means| !has(means)).copied()
}

/// A run with its faults in force, and its process id; `None`, and a loud word, where that cannot be.
fn in_the_middle_of_faults(folder: &Folder) -> Option<(Node, u32)> {
    if let Some(means) = lacking(&NEEDS) {
        skip(&format!("no run was broken off: this machine has no means `{means}`"));
        return None;
    }
    let mut chaos = with_path(Path::new(PROGRAM));
    chaos.args(["chaos", "run", "--faults", FAULTS, "--for", "60s", "--seed", "2", "--out"]);
    chaos.arg(folder.path().join("run"));
    let mut chaos = Node::spawn(&mut chaos, &folder.path().join("run.log"));
    let pid = chaos.child.id();
    until("all faults are in force", || {
        assert_eq!(chaos.ended(), None, "{}", chaos.log());
        // Its neighbour and the controller.
        let is_limited = |group: &PathBuf| {
            let members = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            members.lines().count() == 2
        };
        let groups = groups(pid);
        let is_in_force =
            groups.iter().any(is_limited) && groups.iter().any(|group| is_frozen(group));
        is_in_force.then_some(())
    });
    assert_eq!((namespaces(pid).len(), mounts(pid).len()), (NAMESPACES, 3), "{}", chaos.log());
    Some((chaos, pid))
}

/// Whether a process is frozen in this group, by the file of either version.
fn is_frozen(group: &Path) -> bool {
    let read = |file: &str| fs::read_to_string(group.join(file)).unwrap_or_default();
    let is_so = read("freezer.state") == "FROZEN\n" || read("cgroup.events").contains("frozen 1");
    is_so && !read("cgroup.procs").is_empty()
}

fn skip(why: &str) {
    // Past the harness, which would swallow it.
    std::io::stderr().write_all(format!("\nSKIPPED: {why}\n").as_bytes()).expect("it is open");
}

/// Tools of the system are found where they are.
fn with_path(program: &Path) -> Command {
    let mut command = command(program);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Everything that carries the name of a run.
fn left(run: u32) -> Vec<String> {
    let groups = groups(run).into_iter().map(|group| group.display().to_string());
    namespaces(run).into_iter().chain(mounts(run)).chain(groups).collect()
}

fn is_of(run: u32, name: &str) -> bool {
    let whole = format!("pitchover-{run}");
    name == whole || name.starts_with(&format!("{whole}-"))
}

fn namespaces(run: u32) -> Vec<String> {
    names("/run/netns").into_iter().filter(|name| is_of(run, name)).collect()
}

fn mounts(run: u32) -> Vec<String> {
    let all = fs::read_to_string("/proc/self/mounts").expect("the kernel lists mounts");
    let is_of_run = |line: &&str| line.split(' ').next().is_some_and(|source| is_of(run, source));
    all.lines().filter(is_of_run).map(str::to_owned).collect()
}

/// In the one tree of version 2, or in those of version 1.
fn groups(run: u32) -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let trees = names(root).into_iter().map(|name| root.join(name));
    let of_tree = |tree: PathBuf| {
        let of_run = names(&tree).into_iter().filter(|name| is_of(run, name));
        of_run.map(|name| tree.join(name)).collect::<Vec<_>>()
    };
    trees.chain([root.to_owned()]).flat_map(of_tree).collect()
}

fn names(folder: impl AsRef<Path>) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// A process that no other is taken for: an id may be given again, but not with the same begin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Process {
    id: u32,
    begin: u64,
}

/// Parent, and whether it has not ended, by process.
fn processes() -> BTreeMap<Process, (u32, bool)> {
    let of_id = |id: u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // State, parent, and begin as the 20th word behind the name, which may hold anything.
        let (_, rest) = stat.rsplit_once(')')?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        let begin = words.get(19)?.parse().ok()?;
        let is_alive = !matches!(*words.first()?, "Z" | "X");
        Some((Process { id, begin }, (words.get(1)?.parse().ok()?, is_alive)))
    };
    names("/proc").iter().filter_map(|name| name.parse().ok()).filter_map(of_id).collect()
}

/// All processes below this one.
fn descendants(of: u32) -> BTreeSet<Process> {
    let all = processes();
    let mut found = BTreeSet::new();
    let mut parents = vec![of];
    while let Some(parent) = parents.pop() {
        for (process, _) in all.iter().filter(|(_, (above, _))| *above == parent) {
            if found.insert(process.clone()) {
                parents.push(process.id);
            }
        }
    }
    // Three controllers with their chains, three disks, a neighbour.
    assert!(found.len() >= 10, "{found:?}");
    found
}

/// Those of them that have not ended, in words.
fn alive(family: &BTreeSet<Process>) -> Vec<String> {
    let all = processes();
    let lives = |process: &&Process| all.get(*process).is_some_and(|(_, is_alive)| *is_alive);
    let says = |process: &Process| {
        let line = fs::read(format!("/proc/{}/cmdline", process.id)).unwrap_or_default();
        format!("{}: {}", process.id, String::from_utf8_lossy(&line).replace('\0', " "))
    };
    family.iter().filter(lives).map(says).collect()
}

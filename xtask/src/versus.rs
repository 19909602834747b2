//! `cargo xtask versus-java`: the Java controllers and ours under the same workloads, and the report on it.
//!
//! ```text
//! versus.rs     options, the course of a run
//!  ├─ plan       legs: which workloads on which arms, in which order
//!  ├─ arms       what is compared ── cluster   three controllers of one arm ── leftovers   of an earlier run
//!  ├─ workloads  texts and commands ── bench   runs `pitchover bench`
//!  ├─ record     what happened beside the runs
//!  └─ publish    the report ── figures, goals, tables, shown
//! ```
//!
//! It names no crate of ours: everything is measured and drawn by the `pitchover` that it builds, and it reads
//! what that writes. Java comes by way of [`crate::interop`].

mod arms;
mod bench;
mod cluster;
mod figures;
mod goals;
mod leftovers;
mod plan;
mod publish;
mod record;
mod shown;
pub(crate) mod signals;
mod tables;
mod workloads;

use self::arms::{Arm, FIRST_PORT};
use self::bench::Bench;
use self::cluster::{Cluster, Grounds, JVM_FLAGS};
use self::leftovers::{Started, check_ports};
use self::plan::{Leg, Size, Workload, expected_seconds, legs};
use self::record::Record;
use self::workloads::{Asked, Capacity, Rates, SHARE, Task, tasks, warm_up};
use crate::interop::clock::Stopwatch;
use crate::interop::report::{Failure, Outcome};
use crate::interop::{absolute, build, maven, prepare};
use crate::program;
use crate::words::{EXIT_UNAVAILABLE, understood};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::Ordering;

const USAGE: &str = "\
usage: cargo xtask versus-java [--quick] [--arms LIST] [--workloads LIST] [--out DIR] [--add] [--keep]
                               [--java-log LEVEL] [--first-port N] [--pitchover FILE] [--report-only]

  --quick            all arms in 16 minutes: short windows, small fleets; otherwise hours
  --arms LIST        of java-dledger, java-dledger-confirmed, java-jraft, ours-fsync, ours-async
  --workloads LIST   of capacity, tails, heartbeats, fleet-300, fleet-1000, fleet-3000, fleet-10000,
                     failover-10, failover-200, failover-1000, leader
  --out DIR          results and report; without it results go to target/versus/, and the report of a
                     whole run to docs/report/, too
  --add              keep what the folder of results holds of other workloads, measure those of --workloads
                     (again) on all arms, and report both
  --keep             keep the controllers' data
  --java-log LEVEL   of Java's controllers: WARN (the default, kinder to Java) or INFO (upstream's)
  --first-port N     the 45 ports from there on are used (30100)
  --pitchover FILE   the program under test (default: built with cargo, release profile)
  --report-only      report what an earlier run left in the folder of results

Needs a JDK and Maven for Java's arms.";

/// An interrupted run, as shells say it.
const EXIT_INTERRUPTED: u8 = 130;

/// Version of the Java controllers.
const JAVA_VERSION: &str = "5.5.0";

#[derive(Debug)]
struct Options {
    size: Size,
    arms: Vec<Arm>,
    workloads: Option<Vec<Workload>>,
    out: Option<PathBuf>,
    keeps_data: bool,
    java_log: String,
    first_port: u16,
    pitchover: Option<PathBuf>,
    manner: Manner,
}

/// What becomes of the folder of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// It is emptied first.
    New,
    /// What it holds of other workloads stays.
    Added,
    /// Nothing is measured.
    ReportOnly,
}

impl Options {
    fn workloads(&self) -> Vec<Workload> {
        self.workloads.clone().unwrap_or_else(|| Workload::of_size(self.size))
    }

    fn folder(&self, base: &Path) -> PathBuf {
        let name = match self.size {
            Size::Quick => "quick",
            Size::Full => "full",
        };
        self.out.clone().unwrap_or_else(|| base.join(name))
    }
}

/// Runs the comparison; its exit code says whether it was made, not who is better.
pub(crate) fn run(words: impl Iterator<Item = String>) -> ExitCode {
    let options = match understood(parse(words), USAGE) {
        Ok(options) => options,
        Err(code) => return code,
    };
    let root = crate::tree::root();
    let base = root.join("target").join("versus");
    let has_java =
        options.arms.iter().any(|arm| arm.is_java()) && options.manner != Manner::ReportOnly;
    let ready =
        prepare(&base).and_then(|()| if has_java { maven::check_tools(&base) } else { Ok(()) });
    if let Err(failure) = ready {
        eprintln!("versus-java: {failure}");
        return ExitCode::from(EXIT_UNAVAILABLE);
    }
    let made = if options.manner == Manner::ReportOnly {
        Record::read(&options.folder(&base)).and_then(|record| {
            let pitchover = program(&options, root, &base)?;
            publish(&options, root, &options.folder(&base), &pitchover, &record)
        })
    } else {
        compare(&options, root, &base)
    };
    match made {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_INTERRUPTED),
        Err(failure) => {
            eprintln!("versus-java: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Measures everything and reports it; false if it was interrupted.
fn compare(options: &Options, root: &Path, base: &Path) -> Outcome<bool> {
    let stop = signals::stop_flag();
    let (started, ended) = Started::begin(&base.join("processes"))?;
    if ended > 0 {
        println!("{ended} processes of an earlier run were ended");
    }
    check_ports(&options.arms, options.first_port)?;
    let folder = options.folder(base);
    let folder = std::path::absolute(&folder).map_err(Failure::while_doing(folder.display()))?;
    let commit = program::name(root, options.pitchover.as_deref());
    let earlier = if options.manner == Manner::Added {
        Some(earlier(options, &folder, &commit)?)
    } else {
        clear(&folder)?;
        None
    };
    let pitchover = program(options, root, base)?;
    let has_java = options.arms.iter().any(|arm| arm.is_java());
    let class_path = if has_java {
        println!("RocketMQ {JAVA_VERSION} through Maven");
        maven::class_path(root, JAVA_VERSION, base)?
    } else {
        String::new()
    };
    let setting = setting(options, &commit);
    setting.iter().for_each(|(name, value)| println!("{name}: {value}"));
    let hidden = [folder.as_path(), root];
    let mut record = match earlier {
        Some(mut earlier) => {
            earlier.hide(&hidden);
            earlier.go_on(&options.workloads(), &names(&options.workloads()))?;
            earlier
        }
        None => Record::begin(&folder, &hidden, &options.arms, &setting)?,
    };
    record.set("program", commit.as_str().into())?;
    record.set("java_log", options.java_log.as_str().into())?;
    let grounds = Grounds {
        pitchover: pitchover.clone(),
        class_path,
        logback: root.join("interop").join("logback.xml"),
        java_log: options.java_log.clone(),
        first_port: options.first_port,
        started: &started,
    };
    let bench =
        Bench { pitchover: &pitchover, folder: folder.clone(), stop: &stop, started: &started };
    let legs = legs(options.size, &options.workloads(), &options.arms);
    let mut course = Course {
        options,
        grounds: &grounds,
        bench: &bench,
        commit: &commit,
        record,
        capacities: BTreeMap::new(),
        watch: Stopwatch::start(),
        expected: legs.iter().map(|leg| leg_seconds(options.size, leg)).sum(),
        done: 0,
    };
    let ran = course.run(&legs);
    let is_stopped = stop.load(Ordering::Acquire);
    let mut record = course.record;
    if is_stopped || ran.is_err() {
        record.set("interrupted", true.into())?;
    } else {
        record.add_workloads(&options.workloads())?;
    }
    let published = publish(options, root, &folder, &pitchover, &record);
    ran.and(published)
}

/// The record to which this run adds, without what it measures again.
fn earlier(options: &Options, folder: &Path, program: &str) -> Outcome<Record> {
    let record = Record::read(folder)?;
    let is_same = record.arms() == options.arms
        && record.java_log() == options.java_log
        && record.program() == program;
    if !is_same {
        let why = "holds results of other arms, of another log level or of another program of ours: --add needs the same";
        return Err(Failure(format!("{} {why}", folder.display())));
    }
    // Controllers would begin with what others left there.
    empty(&folder.join("data"))?;
    for arm in &options.arms {
        let runs = folder.join("runs").join(arm.name());
        let entries = std::fs::read_dir(&runs).into_iter().flatten().flatten();
        let is_again = |name: &str| options.workloads().iter().any(|it| it.has_run(name));
        let again = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_again));
        for path in again.map(|entry| entry.path()) {
            std::fs::remove_dir_all(&path).map_err(Failure::while_doing(path.display()))?;
        }
    }
    Ok(record)
}

/// What a report says of workloads that were measured later than the others.
fn names(workloads: &[Workload]) -> String {
    let names: Vec<String> = workloads.iter().map(|it| it.name()).collect();
    format!("{}, on all arms", names.join(", "))
}

/// Everything that earlier runs left in the folder, and the folders of this one.
fn clear(folder: &Path) -> Outcome<()> {
    prepare(folder)?;
    let is_empty = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    if !is_empty && !Record::is_in(folder) {
        let why =
            "holds something else than results of this command: choose another folder with --out";
        return Err(Failure(format!("{} {why}", folder.display())));
    }
    for name in ["runs", "logs", "workloads", "data"] {
        empty(&folder.join(name))?;
    }
    Ok(())
}

/// An empty folder, whatever was in it.
fn empty(folder: &Path) -> Outcome<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(Failure::while_doing(folder.display()))?;
    }
    prepare(folder)
}

fn program(options: &Options, root: &Path, base: &Path) -> Outcome<PathBuf> {
    options.pitchover.clone().map_or_else(
        || {
            println!("building pitchover");
            build(root, base)
        },
        Ok,
    )
}

/// Draws the report; that of a whole run into the repository, too. False if the run was interrupted.
fn publish(
    options: &Options,
    root: &Path,
    folder: &Path,
    pitchover: &Path,
    record: &Record,
) -> Outcome<bool> {
    let [reached, missed, open] = publish::write(pitchover, folder, record)?;
    println!("\ngoals: {reached} reached, {missed} missed, {open} not measured");
    let is_whole = options.out.is_none() && record.is_whole();
    let docs = root.join("docs").join("report");
    if is_whole {
        prepare(&docs)?;
    }
    for name in publish::FILES {
        let (from, to) = (folder.join(name), docs.join(name));
        println!("{}", from.display());
        if is_whole {
            std::fs::copy(&from, &to).map_err(Failure::while_doing(to.display()))?;
            println!("{}", to.display());
        }
    }
    Ok(!record.is_interrupted())
}

/// Names and values of the conditions, for people.
fn setting(options: &Options, commit: &str) -> Vec<(&'static str, String)> {
    let size = options.size;
    let minutes = match size {
        Size::Quick => "quick: short windows, one kill, one freeze; a full run takes hours",
        Size::Full => "full",
    };
    let ours = match options.pitchover {
        Some(_) => format!("program {commit}, named by --pitchover"),
        None => format!("commit {commit}, release profile"),
    };
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    vec![
        ("command", format!("cargo xtask {}", arguments.join(" "))),
        ("size", minutes.to_owned()),
        ("ours", ours),
        ("Java", first_line("java", &["-version"])),
        ("RocketMQ", format!("{JAVA_VERSION}, unmodified, from Maven")),
        ("heap policy and collector of all Java arms", JVM_FLAGS.join(" ")),
        (
            "log level of Java's controllers",
            format!("{} (upstream's default is INFO)", options.java_log),
        ),
        (
            "warm-up of closed loops",
            format!("{} s of the same load before each", size.closed_warm_up().as_secs()),
        ),
        ("share of the own capacity", format!("{:.0} %", SHARE * 100.0)),
        ("three controllers and the generator", "on one host, over loopback".to_owned()),
    ]
}

/// What a program says first of its version, without quotes.
fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let said = output.map(|it| [it.stdout, it.stderr].concat()).unwrap_or_default();
    let said = String::from_utf8_lossy(&said).replace('"', "");
    said.lines().next().unwrap_or("not found").to_owned()
}

/// A run of all legs.
struct Course<'a> {
    options: &'a Options,
    grounds: &'a Grounds<'a>,
    bench: &'a Bench<'a>,
    commit: &'a str,
    record: Record,
    capacities: BTreeMap<&'static str, Capacity>,
    watch: Stopwatch,
    /// Expected seconds: all, and those of what is done.
    expected: u64,
    done: u64,
}

impl<'a> Course<'a> {
    /// All legs on all their arms; false if it was stopped. What fails is recorded as a gap, and the next goes on.
    fn run(&mut self, legs: &[Leg]) -> Outcome<bool> {
        for (number, leg) in legs.iter().enumerate() {
            for arm in &leg.arms {
                let data = self.bench.folder.join("data").join(format!("{number}-{}", arm.name()));
                self.run_leg(leg, *arm, &data)?;
                if !self.options.keeps_data {
                    // What cannot be removed now is removed by the next run.
                    drop(std::fs::remove_dir_all(&data));
                }
                if self.is_stopped() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn is_stopped(&self) -> bool {
        self.bench.stop.load(Ordering::Acquire)
    }

    fn run_leg(&mut self, leg: &Leg, arm: Arm, data: &Path) -> Outcome<()> {
        let mut cluster = None;
        for (number, workload) in leg.workloads.iter().enumerate() {
            if self.is_stopped() {
                return Ok(());
            }
            let name = workload.name();
            if cluster.is_none() {
                // Data of controllers that failed say nothing any more.
                match self.start(leg, arm, &data.join(number.to_string())) {
                    Ok(running) => cluster = Some(running),
                    Err(failure) => {
                        self.gap(arm, &name, &format!("its controllers do not start: {failure}"))?;
                        continue;
                    }
                }
            }
            self.say(&format!("{}: {name}", arm.name()));
            let Some(running) = cluster.as_mut() else { continue };
            if self.run_workload(*workload, arm, running)? {
                cluster = None;
            }
            self.done += expected_seconds(self.options.size, *workload, arm);
        }
        Ok(())
    }

    /// Controllers of an arm, warmed up unless the leg does so itself.
    fn start(&mut self, leg: &Leg, arm: Arm, data: &Path) -> Outcome<Cluster<'a>> {
        self.say(&format!("{}: starting three controllers", arm.name()));
        let mut cluster = Cluster::start(self.grounds, arm, data)?;
        if leg.workloads != [Workload::Capacity] {
            let targets = cluster.targets();
            let task = warm_up(self.options.size, &self.asked(arm, &targets));
            let said = self.bench.run(&task.step, Some(&mut cluster))?;
            self.record.warm_up(arm, requests_in(&said))?;
        }
        self.done += start_seconds(self.options.size, arm, leg);
        Ok(cluster)
    }

    /// Runs all steps of a workload; true if the controllers are to be started anew after it.
    fn run_workload(
        &mut self,
        workload: Workload,
        arm: Arm,
        cluster: &mut Cluster<'_>,
    ) -> Outcome<bool> {
        let targets = cluster.targets();
        let all: Vec<Capacity> = self.capacities.values().copied().collect();
        let own = self.capacities.get(arm.name()).copied().unwrap_or_default();
        let rates = Rates::of(own, &all);
        if let (Workload::Tails, None) = (workload, rates) {
            self.gap(
                arm,
                &workload.name(),
                "its capacity is not known, so there is no rate to offer",
            )?;
            return Ok(false);
        }
        let tasks = tasks(self.options.size, workload, &self.asked(arm, &targets), rates);
        let mut has_failed = false;
        for task in tasks {
            if self.is_stopped() {
                break;
            }
            self.write_file(&task)?;
            match self.bench.run(&task.step, Some(cluster)) {
                Ok(said) => {
                    for note in refusals_in(&said) {
                        self.record.refusal(arm, &note)?;
                    }
                }
                Err(failure) => {
                    has_failed = true;
                    self.gap(arm, &task.step.name, &failure.to_string())?;
                    break;
                }
            }
        }
        if workload == Workload::Capacity {
            self.capacities.insert(arm.name(), self.capacity(arm));
        }
        Ok(has_failed)
    }

    fn asked<'t>(&self, arm: Arm, targets: &'t str) -> Asked<'t>
    where
        'a: 't,
    {
        let version = if arm.is_java() { JAVA_VERSION } else { self.commit };
        Asked { arm, targets, commit: (!arm.is_java()).then_some(self.commit), version }
    }

    fn write_file(&self, task: &Task) -> Outcome<()> {
        let Some((name, text)) = &task.file else { return Ok(()) };
        let path = self.bench.folder.join("workloads").join(name);
        std::fs::write(&path, text).map_err(Failure::while_doing(path.display()))
    }

    /// What the closed loops of an arm answered a second, by their run folders.
    fn capacity(&self, arm: Arm) -> Capacity {
        let rate = |name: &str| {
            let folder = self.bench.folder.join("runs").join(arm.name()).join(name);
            let text = std::fs::read_to_string(folder.join("run.json")).ok()?;
            let run: Value = serde_json::from_str(&text).ok()?;
            let answered = run["operations"][0]["ok"].as_f64()?;
            let seconds = run["time"]["measure_ms"].as_f64()? / 1e3;
            (seconds > 0.0).then_some(answered / seconds)
        };
        Capacity { writes: rate("writes-saturated"), reads: rate("reads-saturated") }
    }

    /// A failure; one that came from stopping the run is none.
    fn gap(&mut self, arm: Arm, workload: &str, why: &str) -> Outcome<()> {
        if self.is_stopped() {
            return Ok(());
        }
        self.say(&format!("{}: {workload} FAILED: {why}", arm.name()));
        self.record.gap(arm, workload, why)
    }

    /// One line with the time that passed and the time that is left, by what was expected and what was so far.
    fn say(&self, text: &str) {
        let passed = self.watch.elapsed().as_secs();
        let left = self.expected.saturating_sub(self.done);
        let left = if self.done > 60 { left * passed / self.done } else { left };
        println!("[{passed:>5} s, about {left:>5} s left] {text}");
    }
}

/// Seconds that it takes until an arm's controllers are ready for a leg's first workload.
fn start_seconds(size: Size, arm: Arm, leg: &Leg) -> u64 {
    let boot = if arm.is_java() { 8 } else { 2 };
    let warm_up =
        if leg.workloads == [Workload::Capacity] { 0 } else { 3 * size.warm_up_seconds() + 4 };
    boot + warm_up
}

/// Seconds that a leg is expected to take on all its arms.
fn leg_seconds(size: Size, leg: &Leg) -> u64 {
    let of_arm = |arm: &Arm| -> u64 {
        let workloads = leg.workloads.iter().map(|it| expected_seconds(size, *it, *arm));
        start_seconds(size, *arm, leg) + workloads.sum::<u64>()
    };
    leg.arms.iter().map(of_arm).sum()
}

/// Requests that `bench quick` made, by its JSON.
fn requests_in(said: &str) -> u64 {
    let report = report_in(said);
    let rows = report["rows"].as_array().into_iter().flatten();
    rows.filter_map(|row| row["controllers"]["requests"].as_u64()).sum()
}

/// What `bench quick` could not measure since it was refused, by its JSON.
fn refusals_in(said: &str) -> Vec<String> {
    let report = report_in(said);
    let notes = report["notes"].as_array().into_iter().flatten();
    notes.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn report_in(said: &str) -> Value {
    let json = said.find('{').and_then(|at| said.get(at..)).unwrap_or_default();
    serde_json::from_str(json).unwrap_or_default()
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        size: Size::Full,
        arms: Arm::ALL.to_vec(),
        workloads: None,
        out: None,
        keeps_data: false,
        java_log: "WARN".to_owned(),
        first_port: FIRST_PORT,
        pitchover: None,
        manner: Manner::New,
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--quick" => options.size = Size::Quick,
            "--keep" => options.keeps_data = true,
            "--add" => options.manner = Manner::Added,
            "--report-only" => options.manner = Manner::ReportOnly,
            "--arms" => options.arms = Arm::list(&value()?)?,
            "--workloads" => options.workloads = Some(Workload::list(&value()?)?),
            "--out" => options.out = Some(absolute(value()?)?),
            "--pitchover" => options.pitchover = Some(absolute(value()?)?),
            "--java-log" => {
                options.java_log = match value()?.as_str() {
                    level @ ("WARN" | "INFO") => level.to_owned(),
                    other => return Err(format!("there is no log level {other:?}: WARN, INFO")),
                };
            }
            "--first-port" => {
                let text = value()?;
                let port = text.parse().ok().filter(|port| (1_024..=60_000).contains(port));
                options.first_port = port.ok_or(format!("{text:?} is no port: 1024 to 60000"))?;
            }
            other => return Err(format!("{other} is no option")),
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests;

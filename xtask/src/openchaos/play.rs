//! One run of `OpenChaos`: one fault, nodes of its own, and everything that is asked afterwards.

use super::faults::Fault;
use super::ground::tool;
use super::nodes::{HUB, Keys, Nodes, PORT, PROCESS, Programs};
use super::presence::Absent;
use super::result::{self, Second, Shown};
use super::watch::{Watch, confirmed};
use super::{Mapping, Options};
use crate::interop::clock::{pause, until};
use crate::interop::process::Process;
use crate::interop::report::{Failure, Outcome};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Clients, and puts a second of all together.
const CLIENTS: u64 = 4;
const RATE: u64 = 100;

/// Seconds that a run lasts beyond the time for twice the wanted puts: outages take their share.
const MORE_SECONDS: u64 = 30;

/// Most seconds between an injection and its end, and from there to the next.
const INTERVAL_MAX: u64 = 20;

/// Seconds for recovery before the last read.
const RECOVERY_SECONDS: u64 = 15;

/// Beyond these `OpenChaos` is set up, reads, and checks.
const AROUND: Duration = Duration::from_secs(240);

/// How long ssh may take to be there.
const SSH_LIMIT: Duration = Duration::from_secs(20);

/// How long controllers get before `OpenChaos` begins.
const SETTLE: Duration = Duration::from_secs(3);

/// Files and programs of all runs.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    pub(super) options: &'a Options,
    pub(super) folder: PathBuf,
    pub(super) keys: Keys,
    pub(super) programs: Programs,
    pub(super) jar: PathBuf,
    /// Of the driver's classes.
    pub(super) driver: PathBuf,
}

impl Stage<'_> {
    /// Plays one fault.
    ///
    /// # Errors
    /// `OpenChaos` or a node did not do what it should; what it found is never an error.
    pub(super) fn play(&self, run: u32, fault: Fault) -> Outcome<Shown> {
        let name = format!("{}-{}", self.options.target.name(), fault.name);
        let folder = self.folder.join(&name);
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(Failure::while_doing(folder.display()))?;
        }
        fs::create_dir_all(&folder).map_err(Failure::while_doing(folder.display()))?;
        let mut nodes = Nodes::start(run, fault, &folder, &self.keys, &self.programs)?;
        for address in &nodes.addresses {
            let hub = nodes.hub.as_str();
            let port = format!("exec 3<>/dev/tcp/{address}/22");
            until("sshd of a node", SSH_LIMIT, || {
                Ok(tool(&["ip", "netns", "exec", hub, "bash", "-c", &port]).ok())
            })?;
        }
        pause(SETTLE);
        nodes.check()?;
        let history = folder.join("seen.jsonl");
        let settings = folder.join("driver.yaml");
        fs::write(&settings, self.settings(&nodes, &history))
            .map_err(Failure::while_doing(settings.display()))?;
        let watch = Watch::start(&nodes, fault.trace);
        let log = folder.join("openchaos.log");
        let seconds = self.options.seconds();
        let command = self.command(&nodes, fault, &settings, &folder);
        let mut openchaos = Process::start("OpenChaos", command, &log)?;
        let limit = Duration::from_secs(seconds + RECOVERY_SECONDS) + AROUND;
        let status = until(&format!("OpenChaos with {}", fault.name), limit, || {
            nodes.check()?;
            openchaos.ended()
        })?;
        let looks = watch.end();
        let held = nodes.held()?;
        drop(nodes);
        if !status.success() {
            return Err(Failure(format!("OpenChaos ended with {status}; see {}", log.display())));
        }
        let mut shown = self.judge(&folder, &log, &history)?;
        let theirs = written(&folder, "chaos-history-file")?;
        let (injections, outage_ms) = result::history(&theirs);
        shown.was_read = result::was_read(&theirs);
        shown.fault = fault.name.to_owned();
        shown.nodes = fault.nodes;
        shown.outage_ms = outage_ms;
        shown.injections = injections.len();
        shown.held = held;
        shown.confirmed = confirmed(&injections, &looks, fault.trace);
        shown.absent = Absent::find(&looks, &injections, result::asked(&theirs), fault.trace);
        Ok(shown)
    }

    fn settings(&self, nodes: &Nodes, history: &Path) -> String {
        let listed: String = nodes.addresses.iter().map(|node| format!("  - {node}\n")).collect();
        format!(
            "name: controllers\ndriverClass: pitchover.openchaos.ControllerDriver\nnodes:\n{listed}\
             mapping: {}\nport: {PORT}\nbrokers: {HUB}\nhistory: {}\nstart: ./start\nprocess: {PROCESS}\n",
            self.options.mapping.name(),
            history.display()
        )
    }

    fn class_path(&self) -> String {
        // The driver first: it brings its own classes only.
        format!("{}:{}", self.driver.display(), self.jar.display())
    }

    fn command(&self, nodes: &Nodes, fault: Fault, settings: &Path, folder: &Path) -> Command {
        let seconds = self.options.seconds();
        let interval =
            if fault.is_once { seconds * 3 / 5 } else { (seconds / 5).min(INTERVAL_MAX) };
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &nodes.hub, "setpriv", "--pdeathsig", "KILL", "java"]);
        command.arg(format!("-Duser.home={}", self.keys.home.display()));
        command.args(["-Xmx512m", "-XX:+UseSerialGC", "-cp", &self.class_path()]);
        command.args(["io.openchaos.ChaosControl", "--model", "kv", "--rto", "--recovery"]);
        command.arg("--driver").arg(settings).args(["--username", "root"]);
        command.args(["--fault", fault.name, "--fault-nodes", &nodes.addresses[0]]);
        command.args(["--limit-time", &seconds.to_string()]);
        command.args(["--fault-interval", &interval.to_string()]);
        command.args(["--recovery-time", &RECOVERY_SECONDS.to_string()]);
        command.args(["--concurrency", &CLIENTS.to_string(), "--rate", &RATE.to_string()]);
        command.arg("--output-dir").arg(folder).current_dir(folder);
        command
    }

    /// `OpenChaos`' verdict, the driver's own check, and the second opinion.
    fn judge(&self, folder: &Path, log: &Path, history: &Path) -> Outcome<Shown> {
        let read =
            |file: &Path| fs::read_to_string(file).map_err(Failure::while_doing(file.display()));
        let text = written(folder, "chaos-kv-result-file")?;
        let counts =
            result::counts(&text).ok_or_else(|| Failure("OpenChaos counted nothing".to_owned()))?;
        let recovery = written(folder, "chaos-rto-result-file")?;
        let violations = self.check(history)?;
        let mut second = Command::new(&self.programs.pitchover);
        second.arg("check").arg(history);
        let printed = second.output().map_err(Failure::while_doing("pitchover check"))?;
        let said = folder.join("pitchover-check.txt");
        fs::write(&said, &printed.stdout).map_err(Failure::while_doing(said.display()))?;
        Ok(Shown {
            counts,
            rto_ms: result::recovery_times(&recovery),
            errors: result::errors(&read(log)?),
            violations,
            second: Second::of(printed.status.code()),
            ..Shown::default()
        })
    }

    /// Violations of a history by the driver's own check, which also says them in a file beside it.
    ///
    /// # Errors
    /// The check did not come to an end.
    pub(super) fn check(&self, history: &Path) -> Outcome<u64> {
        let class_path = self.class_path();
        let file = history.display().to_string();
        let said = tool(&["java", "-cp", &class_path, "pitchover.openchaos.Check", &file])?;
        let count = said.lines().last().and_then(|line| line.strip_prefix("violations "));
        let count = count.and_then(|count| count.parse().ok());
        let count = count.ok_or_else(|| Failure(format!("the driver's check said {said}")))?;
        if let Some(name) = history.file_name().filter(|_| history.starts_with(&self.folder)) {
            let beside = history.with_file_name(format!("{}.check.txt", name.to_string_lossy()));
            fs::write(&beside, said).map_err(Failure::while_doing(beside.display()))?;
        }
        Ok(count)
    }
}

impl Options {
    /// How long clients put.
    pub(super) fn seconds(&self) -> u64 {
        self.seconds.unwrap_or(self.writes * 2 / RATE + MORE_SECONDS)
    }
}

/// The one file of `OpenChaos` whose name ends so.
fn written(folder: &Path, end: &str) -> Outcome<String> {
    let entries = fs::read_dir(folder).map_err(Failure::while_doing(folder.display()))?;
    let file = entries.flatten().map(|entry| entry.path());
    let file = file.into_iter().find(|path| path.to_string_lossy().ends_with(end));
    let file = file.ok_or_else(|| {
        Failure(format!("OpenChaos wrote no {end} in {}; see its log there", folder.display()))
    })?;
    fs::read_to_string(&file).map_err(Failure::while_doing(file.display()))
}

impl Mapping {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Set => "set",
        }
    }
}

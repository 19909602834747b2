//! One stage as a process: started, told to stop, ended.

use super::{Stage, Work};
use crate::interop::clock::{Stopwatch, pause};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often a stage is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// How much longer than its faults a run may take to start, settle and judge; then it is told to stop.
const BEYOND: Duration = Duration::from_secs(3_600);

/// How long it may take to end once it was told to; then it is killed.
const FAREWELL: Duration = Duration::from_secs(900);

/// By which `pitchover chaos run` and `cargo xtask openchaos` say that nothing was started.
const NOT_STARTED: [i32; 3] = [2, 64, 69];

/// What the stages are played with.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) pitchover: PathBuf,
    /// This very program.
    pub(super) xtask: PathBuf,
    pub(super) other_binary: Option<PathBuf>,
    pub(super) jars: PathBuf,
    pub(super) openchaos: Option<PathBuf>,
}

impl Programs {
    fn command(&self, stage: &Stage, at: &Path) -> Command {
        let chaos = |nodes: u8| {
            let mut command = Command::new(&self.pitchover);
            command.args(["chaos", "run", "--nodes", &nodes.to_string()]);
            command.args(["--seed", &stage.seed.to_string()]);
            command.args(["--for", &format!("{}s", stage.length.as_secs()), "--out"]).arg(at);
            if let Some(other) = &self.other_binary {
                command.arg("--other-binary").arg(other);
            }
            command
        };
        match stage.work {
            Work::Chaos { faults, nodes } => {
                let mut command = chaos(nodes);
                command.args(["--faults", faults]);
                command
            }
            Work::JavaBrokers => {
                let mut command = chaos(stage.work.nodes());
                command.args(["--brokers", "java", "--jars"]).arg(&self.jars);
                command
            }
            Work::OpenChaos => {
                let mut command = Command::new(&self.xtask);
                command.args(["openchaos", "--pitchover"]).arg(&self.pitchover);
                if let Some(source) = &self.openchaos {
                    command.arg("--source").arg(source);
                }
                command
            }
        }
    }
}

/// What became of a stage.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// This machine lacks what it needs, in its own words.
    NotStarted(String),
    /// How it ended, in words.
    Played(String),
}

/// Plays a stage to its end. A request to stop is passed on, as is the end of its time: a run then judges what it saw.
pub(super) fn play(
    programs: &Programs,
    stage: &Stage,
    at: &Path,
    stop: &AtomicBool,
) -> io::Result<Ended> {
    let path = at.join("run.log");
    let log = File::create(&path)?;
    let mut command = programs.command(stage, at);
    // In a group of its own, so that what it started (Maven, git) hears of its end, too, and nobody hears of Ctrl-C twice.
    command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut run = command.spawn()?;
    let watch = Stopwatch::start();
    let most = match stage.work {
        Work::Chaos { .. } | Work::JavaBrokers => stage.length + BEYOND,
        // It has no time of its own: it goes from fault to fault.
        Work::OpenChaos => stage.length,
    };
    let mut told: Option<(Stopwatch, &str)> = None;
    let status = loop {
        if let Some(status) = run.try_wait()? {
            break status;
        }
        let why = match stop.load(Ordering::Acquire) {
            true => Some("it was stopped"),
            false => (watch.elapsed() > most).then_some("its time was over"),
        };
        match (&told, why) {
            (None, Some(why)) => {
                told = Some((Stopwatch::start(), why));
                tell(&run, Signal::TERM)?;
            }
            (Some((since, _)), _) if since.elapsed() > FAREWELL => tell(&run, Signal::KILL)?,
            (Some(_) | None, _) => {}
        }
        pause(LOOK);
    };
    if told.is_none() && status.code().is_some_and(|code| NOT_STARTED.contains(&code)) {
        return Ok(Ended::NotStarted(last_words(&path)));
    }
    let why = told.map_or(String::new(), |(_, why)| format!("{why}; "));
    Ok(Ended::Played(format!("{why}{status}")))
}

/// The last line of its log, which is the reason.
fn last_words(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    let last = last.unwrap_or("it did not say why").trim();
    last.strip_prefix("chaos: ").unwrap_or(last).to_owned()
}

fn tell(run: &Child, signal: Signal) -> io::Result<()> {
    let id = i32::try_from(run.id()).ok().and_then(Pid::from_raw);
    // Nobody has waited for it yet, so that its id is still its own.
    id.map_or(Ok(()), |id| Ok(kill_process_group(id, signal)?))
}

//! `pitchover bench run`: a workload file or a preset against one target, open loop.
//!
//! The result goes to standard output; while it runs, standard error shows a live table on a terminal, and one JSON object
//! a line elsewhere.
//!
//! Exit codes are those of `crate::exit`: 1 for wrong answers.

use super::otlp::{Otlp, OtlpArguments};
use crate::exit::{FAILED, INVALID, USAGE};
use clap::Args;
use load::fleet::Fleet;
use load::run::{Live, Progress, RunError, Setup, Summary, Target};
use load::workload::{PRESETS, Workload};
use measure::folder::Run;
use rustix::process::{Signal, kill_process};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};

/// Where run folders are made unless told otherwise.
const FOLDER: &str = "pitchover-runs";

/// Options of every command that makes runs.
#[derive(Debug, Clone, Args)]
pub(crate) struct Common {
    /// A workload file, or the name of a preset; `pitchover bench run --presets` lists them.
    #[arg(short = 'f', long = "workload", value_name = "FILE", default_value = "canonical")]
    pub(crate) workload: String,
    /// Running servers: `host:port,host:port,...`. Three controllers are started if none are named anywhere.
    #[arg(long, value_delimiter = ',', conflicts_with = "spawn")]
    pub(crate) target: Vec<String>,
    /// Start so many controllers, ended with the run.
    #[arg(long, value_name = "PEERS")]
    pub(crate) spawn: Option<usize>,
    /// Everything random comes from it; the file's by default.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    #[command(flatten)]
    pub(crate) subject: super::subject::SubjectArguments,
    /// Host card of `bench calibrate`; the one in this folder by default, if there is one.
    #[arg(long, value_name = "FILE")]
    pub(crate) calibration: Option<PathBuf>,
    /// Folder in which started controllers keep their data; a temporary one by default.
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `bench run`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Folder of this run; `pitchover-runs/NAME-TIME` by default.
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    otlp: OtlpArguments,
    /// List the presets and end.
    #[arg(long)]
    presets: bool,
    /// Print the text of the workload, a preset or a file, and end.
    #[arg(long)]
    print: bool,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    if arguments.presets {
        PRESETS.iter().for_each(|(name, what)| println!("{name:<20} {what}"));
        return ExitCode::SUCCESS;
    }
    let common = &arguments.common;
    if arguments.print {
        let workload = match Workload::named(&common.workload) {
            Ok(workload) => workload,
            Err(error) => return usage("bench run", &error.to_string()),
        };
        print!("{}", workload.text);
        return ExitCode::SUCCESS;
    }
    let how = How { out: arguments.out.clone(), otlp: arguments.otlp.clone(), fleet: None };
    run_recorded("bench run", common, how)
}

/// What the commands that record one run have in common besides.
pub(crate) struct How {
    /// Folder of the run.
    pub(crate) out: Option<PathBuf>,
    /// Who hears of it.
    pub(crate) otlp: OtlpArguments,
    /// Where the load comes from, if not from here.
    pub(crate) fleet: Option<Fleet>,
}

/// Makes a run, shows how it goes, and prints what came of it; on the hosts of `fleet`, or on this one.
pub(crate) fn run_recorded(command: &str, common: &Common, how: How) -> ExitCode {
    let How { out, otlp, fleet } = how;
    let workload = match common.workload() {
        Ok(workload) => workload,
        Err(error) => return usage(command, &error),
    };
    let mut setup = match common.setup(&workload, out) {
        Ok(setup) => setup,
        Err(error) => return usage(command, &error),
    };
    setup.fleet = fleet;
    let folder = setup.folder.clone();
    let otlp = match otlp.start(&folder.display().to_string(), workload.time.window.millis()) {
        Ok(otlp) => otlp,
        Err(error) => return usage(command, &error),
    };
    match run_shown(&workload, setup, otlp) {
        Ok(run) => {
            if common.json {
                println!("{}", serde_json::to_string_pretty(&run).unwrap_or_default());
            } else {
                println!("{}\n{}", Summary(&run), folder.display());
            }
            ExitCode::from(verdict(&run))
        }
        Err(error) => failed(command, &error),
    }
}

/// 0, 1 for wrong answers, 3 for an invalid run.
pub(crate) fn verdict(run: &Run) -> u8 {
    match (run.correctness.violations, run.validity.valid) {
        (1.., _) => FAILED,
        (0, false) => INVALID,
        (0, true) => 0,
    }
}

pub(crate) fn failed(command: &str, error: &RunError) -> ExitCode {
    eprintln!("{command}: {error}");
    let is_usage =
        matches!(error, RunError::Options(_) | RunError::Target(_) | RunError::Folder(_));
    ExitCode::from(if is_usage { USAGE } else { INVALID })
}

pub(crate) fn usage(command: &str, why: &str) -> ExitCode {
    eprintln!("{command}: {why}");
    ExitCode::from(USAGE)
}

impl Common {
    /// The workload that is meant.
    ///
    /// # Errors
    /// A text that says what is wrong, where, and what is allowed.
    pub(crate) fn workload(&self) -> Result<Workload, String> {
        let mut workload = Workload::named(&self.workload).map_err(|error| error.to_string())?;
        workload.seed = self.seed.unwrap_or(workload.seed);
        Ok(workload)
    }

    /// How a run of the workload is made; `out` is its folder.
    ///
    /// # Errors
    /// A text that says what is wrong with the host card.
    pub(crate) fn setup(&self, workload: &Workload, out: Option<PathBuf>) -> Result<Setup, String> {
        let target = match (self.target.is_empty(), self.spawn) {
            (false, _) => Target::Addresses(self.target.clone()),
            (true, Some(peers)) => Target::Spawn(peers),
            (true, None) => Target::OfWorkload,
        };
        let folder = out.unwrap_or_else(|| default_folder(&workload.name));
        let mut setup = Setup::new(target, &folder);
        setup.data = self.data.clone();
        setup.subject = self.subject.subject();
        setup.calibration = super::calibrate::card(self.calibration.as_deref())?;
        stop_on_signals(&setup.stop);
        Ok(setup)
    }
}

/// A folder that no other run has.
pub(crate) fn default_folder(name: &str) -> PathBuf {
    PathBuf::from(FOLDER).join(format!("{name}-{}", crate::clock::unix_ms()))
}

/// A signal ends the run early, with all that it has; a second one ends the program.
pub(crate) fn stop_on_signals(stop: &Arc<AtomicBool>) {
    let stop = Arc::clone(stop);
    let wait = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        if let Err(error) = runtime.block_on(heed_signals(&stop)) {
            eprintln!("signals are not heard any more: {error}");
        }
    };
    // Without it a signal ends the program at once; the folder can be read all the same.
    drop(std::thread::Builder::new().name("signals".to_owned()).spawn(wait));
}

async fn heed_signals(stop: &AtomicBool) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    for is_second in [false, true] {
        tokio::select! {
            _interrupted = interrupt.recv() => {}
            _terminated = terminate.recv() => {}
        }
        stop.store(true, Ordering::Release);
        if is_second {
            // Whoever does not wait for the clean-up, or for what hangs, is not to wait any longer.
            kill_process(rustix::process::getpid(), Signal::KILL)?;
        }
    }
    Ok(())
}

/// Makes a run and shows on standard error how it goes.
fn run_shown(workload: &Workload, setup: Setup, mut otlp: Option<Otlp>) -> Result<Run, RunError> {
    let mut shown = Shown::new(workload.time.window.millis());
    let result = load::run::run_with(workload, setup, |progress| {
        if let Some(otlp) = &mut otlp {
            otlp.note(&progress);
        }
        shown.show(&progress);
    });
    if let Some(lost) = otlp.and_then(|otlp| otlp.finish(result.as_ref().ok())) {
        shown.show(&Progress::Doing(lost));
    }
    result
}

/// Standard error while something runs: a live table on a terminal, one JSON object a line elsewhere.
pub(crate) struct Shown {
    is_terminal: bool,
    window_ms: u64,
    /// Lines of the table that stands there.
    lines: usize,
}

impl Shown {
    pub(crate) fn new(window_ms: u64) -> Self {
        Self { is_terminal: std::io::stderr().is_terminal(), window_ms, lines: 0 }
    }

    pub(crate) fn show(&mut self, progress: &Progress<'_>) {
        match progress {
            Progress::Doing(text) if self.is_terminal => self.say(text),
            Progress::Doing(text) => note(&serde_json::json!({ "doing": text })),
            Progress::Planned(_) => {}
            Progress::Event(event) if self.is_terminal => {
                self.say(&format!("{} s: {}", event.at_ms / 1_000, event.text));
            }
            Progress::Event(event) => note(&serde_json::json!({ "event": event })),
            Progress::Window(window, _) if self.is_terminal => {
                let text = Live { window, window_ms: self.window_ms }.to_string();
                // Over the table before it.
                if self.lines > 0 {
                    eprint!("\x1b[{}A\x1b[J", self.lines);
                }
                eprint!("{text}");
                self.lines = text.lines().count();
            }
            Progress::Window(window, windows) => {
                let ops: Vec<_> = window.ops.iter().map(figures).collect();
                note(&serde_json::json!({ "at_ms": window.at_ms, "windows": windows, "ops": ops }));
            }
        }
    }

    fn say(&mut self, text: &str) {
        eprintln!("{text}");
        self.lines = 0;
    }
}

fn figures(it: &measure::folder::WindowOperation) -> serde_json::Value {
    let latency_us = it.latency.decode().unwrap_or_default().quantiles();
    serde_json::json!({
        "op": it.op, "offered": it.offered, "ok": it.ok, "errors": it.errors,
        "timeouts": it.timeouts, "skipped": it.skipped, "abandoned": it.abandoned,
        "latency_us": latency_us,
    })
}

fn note(line: &serde_json::Value) {
    eprintln!("{line}");
}

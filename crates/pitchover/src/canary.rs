//! `pitchover canary`: a low, known load in production, and a candidate judged beside a baseline.
//!
//! | Exit code | `run` | `judge` |
//! |---|---|---|
//! | 0 | it ended as it was asked to, and no objective was broken | promote: as good as the baseline |
//! | 1 | an objective was broken, or an answer was wrong | roll back |
//! | 2 | – | hold: nobody can tell yet |
//! | 3 | nothing was ever answered | invalid: the baseline or this host was not well |
//! | 64 | wrong usage, or no set could be founded | the same |

use crate::bench::run::{stop_on_signals, usage};
use crate::exit::{FAILED, INVALID, UNDECIDED};
use ::slo::Objectives;
use clap::{Args, Parser, Subcommand};
use load::canary::{
    self, CanaryError, Judgement, Judging, Kind, Line, Options, Progress, Promise, Summary, Why,
};
use load::workload::Span;
use measure::judged::Verdict;
use report::draw::numbers;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Where the kernel says what this host is called.
const HOST: &str = "/proc/sys/kernel/hostname";

/// What a canary can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send a low, known load until stopped; a line of JSON a minute, metrics, and objectives judged here.
    Run(Run),
    /// Compare a candidate with a fresh baseline, in turns: promote, hold or roll back.
    Judge(Judge),
}

/// What both have.
#[derive(Debug, Clone, Args)]
pub(crate) struct Own {
    /// Distinguishes this canary's broker set, `__pitchover_canary__HOST`; the host's name by default.
    #[arg(long)]
    host: Option<String>,
}

/// Options of `canary run`.
#[derive(Debug, Parser)]
pub(crate) struct Run {
    /// Controllers of one group, of any kind: `host:port,host:port,...`.
    #[arg(long, value_delimiter = ',', required = true)]
    target: Vec<String>,
    #[command(flatten)]
    own: Own,
    /// Objectives; those with `prod` are judged here. None are without.
    #[arg(long, value_name = "FILE")]
    slo: Option<PathBuf>,
    /// Changes of its own set a second.
    #[arg(long, default_value_t = 1.0)]
    writes: f64,
    /// Reads a second of each controller.
    #[arg(long, default_value_t = 10.0)]
    reads: f64,
    /// Make the other replica of its own set the master, again and again after so much time.
    #[arg(long, value_name = "TIME", value_parser = span)]
    failover_every: Option<Duration>,
    /// Pause between two lines.
    #[arg(long, value_name = "TIME", value_parser = span, default_value = "1m")]
    every: Duration,
    /// End after so much time; run until stopped by default.
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    length: Option<Duration>,
    /// End when this file is there, and do not begin while it is.
    #[arg(long, value_name = "FILE")]
    kill_switch: Option<PathBuf>,
    /// Where Prometheus finds `/metrics`: `127.0.0.1:9466`, for one. Nowhere by default.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

/// Options of `canary judge`.
#[derive(Debug, Parser)]
pub(crate) struct Judge {
    /// What is known to be good, started as freshly as the candidate: one node or a group.
    #[arg(long, value_delimiter = ',', required = true)]
    baseline: Vec<String>,
    /// What is to be judged.
    #[arg(long, value_delimiter = ',', required = true)]
    candidate: Vec<String>,
    #[command(flatten)]
    own: Own,
    /// Groups of four blocks (A B B A); 30 at least carry a verdict.
    #[arg(long, default_value_t = 40)]
    quads: usize,
    /// Length of a block.
    #[arg(long, value_name = "TIME", value_parser = span, default_value = "2s")]
    block: Duration,
    /// Load before each block that does not count.
    #[arg(long, value_name = "TIME", value_parser = span, default_value = "500ms")]
    settle: Duration,
    /// Reads a second.
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// The order of the turns.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn span(text: &str) -> Result<Duration, String> {
    Span::parse(text).map(|span| span.0).ok_or_else(|| "a time such as 500ms, 10s, 1m".to_owned())
}

pub(crate) fn run(command: &Command) -> ExitCode {
    match command {
        Command::Run(arguments) => watch(arguments),
        Command::Judge(arguments) => judge(arguments),
    }
}

impl Own {
    fn host(&self) -> Result<String, String> {
        let named = self.host.clone().map_or_else(|| std::fs::read_to_string(HOST), Ok);
        let host = named.map_err(|error| format!("{HOST}: {error}; give --host"))?;
        let host = host.trim().to_owned();
        let is_name = canary::set_name(&host).len() > canary::SET_PREFIX.len();
        is_name
            .then_some(host)
            .ok_or_else(|| "--host: letters, digits, '-', '_' and '.'".to_owned())
    }
}

fn watch(arguments: &Run) -> ExitCode {
    let options = match options(arguments) {
        Ok(options) => options,
        Err(why) => return usage("canary run", &why),
    };
    if let Some(file) = options.kill_switch.as_ref().filter(|file| file.exists()) {
        eprintln!("canary run: {} is there: nothing is sent", file.display());
        return ExitCode::SUCCESS;
    }
    stop_on_signals(&options.stop);
    let told = |progress: Progress<'_>| match progress {
        Progress::Doing(what) => eprintln!("canary: {what}"),
        Progress::Line(line) => println!("{}", json(line)),
    };
    match canary::run(&options, told) {
        Ok(summary) => ExitCode::from(ended(&summary)),
        Err(
            error @ (CanaryError::Options(_) | CanaryError::Set(_) | CanaryError::Listen { .. }),
        ) => usage("canary run", &error.to_string()),
        Err(error @ CanaryError::Ground(_)) => {
            eprintln!("canary run: {error}");
            ExitCode::from(INVALID)
        }
    }
}

fn options(arguments: &Run) -> Result<Options, String> {
    let mut options = Options::new(arguments.target.clone(), arguments.own.host()?);
    (options.writes, options.reads) = (arguments.writes, arguments.reads);
    (options.failover_every, options.line_every) = (arguments.failover_every, arguments.every);
    (options.length, options.listen) = (arguments.length, arguments.listen);
    options.kill_switch.clone_from(&arguments.kill_switch);
    if let Some(path) = &arguments.slo {
        options.promises = promises(&crate::slo::objectives(path)?.1);
    }
    options.check().map_err(|error| error.to_string())?;
    Ok(options)
}

/// What objectives promise in production, as far as a canary sends it.
fn promises(objectives: &Objectives) -> Vec<Promise> {
    let promise = |objective: &::slo::Objective| {
        let prod = objective.prod.as_ref()?;
        let kind = Kind::of_production(&prod.kind)?;
        Some(Promise { id: objective.id.clone(), kind, seconds: prod.seconds, ratio: prod.ratio })
    };
    objectives.all().filter_map(promise).collect()
}

fn json(line: &Line) -> String {
    serde_json::to_string(line).unwrap_or_default()
}

/// Says what it came to; the exit code.
fn ended(summary: &Summary) -> u8 {
    let Summary { why, whole, left } = summary;
    // The whole has the form of a line, so that one reader does for both.
    println!("{}", json(whole));
    let why = match why {
        Why::Stopped => "stopped",
        Why::KillSwitch => "the kill switch is there",
        Why::Over => "its time is over",
    };
    eprintln!("canary: {why}");
    if let Some(left) = left {
        eprintln!("canary: {} stays behind until the next start: {left}", whole.set);
    }
    let has_good = whole.ops.values().any(|op| op.good > 0);
    let is_broken = whole.promises.iter().any(|it| it.verdict == Verdict::Fail);
    match () {
        () if whole.contradictions > 0 || (is_broken && has_good) => FAILED,
        () if !has_good => INVALID,
        () => 0,
    }
}

fn judge(arguments: &Judge) -> ExitCode {
    let host = match arguments.own.host() {
        Ok(host) => host,
        Err(why) => return usage("canary judge", &why),
    };
    let judging = Judging {
        baseline: arguments.baseline.clone(),
        candidate: arguments.candidate.clone(),
        host,
        quads: arguments.quads,
        block: arguments.block,
        settle: arguments.settle,
        rate: arguments.rate,
        seed: arguments.seed,
        stop: Arc::new(AtomicBool::new(false)),
    };
    stop_on_signals(&judging.stop);
    match canary::judge(&judging) {
        Ok(judgement) => {
            if arguments.json {
                println!("{}", serde_json::to_string_pretty(&judgement).unwrap_or_default());
            } else {
                show(&judgement);
            }
            ExitCode::from(match judgement.verdict {
                canary::Verdict::Promote => 0,
                canary::Verdict::RollBack => FAILED,
                canary::Verdict::Hold => UNDECIDED,
                canary::Verdict::Invalid => INVALID,
            })
        }
        Err(error) => usage("canary judge", &error.to_string()),
    }
}

fn show(judgement: &Judgement) {
    for it in &judgement.effects {
        let figure = |value: Option<f64>| value.map_or(numbers::NONE.to_owned(), numbers::latency);
        let [low, high] =
            [it.low, it.high].map(Option::unwrap_or_default).map(numbers::three_digits);
        println!(
            "{} {}: baseline {}, candidate {}, {} [{low}, {high}], margin {:.0} %: {:?}",
            it.op,
            it.metric,
            figure(it.a),
            figure(it.b),
            numbers::ratio(it.ratio),
            it.margin * 100.0,
            it.verdict
        );
    }
    let [(asked, failed), (judged, worse)] = judgement.failures;
    println!("failures: baseline {failed} of {asked}, candidate {worse} of {judged}");
    judgement.reasons.iter().chain(&judgement.words).for_each(|text| println!("  {text}"));
    let verdict = match judgement.verdict {
        canary::Verdict::Promote => "promote: as good as the baseline",
        canary::Verdict::RollBack => "ROLL BACK",
        canary::Verdict::Hold => "hold: nobody can tell yet",
        canary::Verdict::Invalid => "INVALID: says nothing about the candidate",
    };
    println!("{} quads: {verdict}", judgement.quads);
}

//! `cargo xtask chaos-release`: the programme before a release, 24 hours.
//!
//! ```text
//! round 1: every fault, 3 controllers │ every fault, 5 │ every two families at once, 3 │ the same, 5 │ Java brokers, 3
//! round 2: …                                                                              the last stage: OpenChaos
//! ```
//!
//! Every stage is a process with a folder of its own: a run of `pitchover chaos run` with a seed, or `cargo xtask openchaos`.
//! After each the report is written anew, so that a programme that is cut short (`--for`, Ctrl-C, TERM) has said what it saw.
//! What it never came to is named, and makes it INVALID; so does a stage that this machine cannot play (no root, no Java),
//! which is SKIPPED with its reason.
//!
//! | File | Holds |
//! |---|---|
//! | `play.rs` | one stage as a process |
//! | `summary.rs` | what all stages showed together, and the report |
//! | `theirs.rs` | what `OpenChaos` said |
//!
//! Not here, each a command of its own: unmodified brokers without faults (`cargo xtask interop`), the same faults against
//! upstream's controllers (`pitchover chaos run --target java-dledger`).

mod play;
mod summary;
mod theirs;

use self::play::{Ended, Programs, play};
use self::summary::Summary;
use crate::interop::build;
use crate::versus::signals::stop_flag;
use crate::words::{EXIT_UNAVAILABLE, understood};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const USAGE: &str = "\
usage: cargo xtask chaos-release [--for TIME] [--stage TIME] [--seed N] [--pitchover FILE] [--other-binary FILE]
                                 [--jars FOLDER] [--openchaos DIR|ARCHIVE] [--out FOLDER]

  --for TIME               all of it: 24h (default), 90m, 600s; an eighth of it is OpenChaos'
  --stage TIME             one run (default 30m)
  --seed N                 of the first run; the next ones count on from it (default 1)
  --pitchover FILE         our program (default: built with cargo, release profile)
  --other-binary FILE      another build, of the release before, to which controllers are upgraded and back; without it
                           rolling-upgrade is skipped, and the programme INVALID
  --jars FOLDER            upstream's jars (default: where `cargo xtask interop --fetch` leaves them)
  --openchaos DIR|ARCHIVE  OpenChaos' sources (default: cloned from GitHub)
  --out FOLDER             for runs and report (default target/chaos-release)

Needs root. Ctrl-C ends it early, with a report about what was seen and what was not done.
Exit codes: 0 passed; 1 something did not hold; 3 something was not done or is in doubt.";

/// As `pitchover chaos run` says that a run proves nothing.
const EXIT_INVALID: u8 = 3;

const LENGTH: Duration = Duration::from_secs(24 * 3_600);

const STAGE: Duration = Duration::from_secs(30 * 60);

/// The part of the programme that is `OpenChaos`': 3 of 24 hours are 10 minutes for each of its 18 faults.
const OPENCHAOS_PART: u32 = 8;

/// Where upstream's jars are if nobody says it.
const JARS: &str = "target/interop/maven-5.5.0/jars";

/// What one round is made of.
const ROUND: [Work; 5] = [
    Work::Chaos { faults: "all", nodes: 3 },
    Work::Chaos { faults: "all", nodes: 5 },
    Work::Chaos { faults: "pairs", nodes: 3 },
    Work::Chaos { faults: "pairs", nodes: 5 },
    Work::JavaBrokers,
];

#[derive(Debug, PartialEq, Eq)]
struct Options {
    length: Duration,
    stage: Duration,
    seed: u64,
    pitchover: Option<PathBuf>,
    other_binary: Option<PathBuf>,
    jars: Option<PathBuf>,
    openchaos: Option<PathBuf>,
    out: Option<PathBuf>,
}

/// What a stage does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    /// Our controllers under these faults.
    Chaos { faults: &'static str, nodes: u8 },
    /// The same with unmodified brokers, under what may cost them a message.
    JavaBrokers,
    /// The original `OpenChaos`.
    OpenChaos,
}

impl Work {
    fn name(self) -> String {
        match self {
            Self::Chaos { faults, nodes } => format!("{faults}-{nodes}"),
            Self::JavaBrokers => "java-brokers-3".to_owned(),
            Self::OpenChaos => "openchaos".to_owned(),
        }
    }

    const fn nodes(self) -> u8 {
        match self {
            Self::Chaos { nodes, .. } => nodes,
            Self::JavaBrokers | Self::OpenChaos => 3,
        }
    }
}

/// One process of the programme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stage {
    number: usize,
    work: Work,
    seed: u64,
    length: Duration,
}

impl Stage {
    /// As its folder and the report call it.
    fn name(&self) -> String {
        format!("{:03}-{}", self.number, self.work.name())
    }
}

/// The stages that fit: whole rounds of equal stages, at least one round, however short its stages are; then `OpenChaos`.
fn stages(length: Duration, stage: Duration, seed: u64) -> Vec<Stage> {
    let theirs = Duration::from_secs((length / OPENCHAOS_PART).as_secs().max(1));
    let ours = length.saturating_sub(theirs);
    let per_round = u64::try_from(ROUND.len()).unwrap_or(1);
    let rounds = (ours.as_secs() / (stage.as_secs().max(1) * per_round)).max(1);
    let each = Duration::from_secs((ours.as_secs() / (rounds * per_round)).max(1));
    let count = usize::try_from(rounds).unwrap_or(1) * ROUND.len();
    let works = ROUND.into_iter().cycle().take(count).map(|work| (work, each));
    let seeds = (0..).map(|number| seed.wrapping_add(number));
    let works = works.chain([(Work::OpenChaos, theirs)]).zip(seeds).zip(1..);
    works.map(|(((work, length), seed), number)| Stage { number, work, seed, length }).collect()
}

/// Runs; 0: passed, 1: failed, 3: invalid, which a programme is that was cut short.
pub(crate) fn run(words: impl Iterator<Item = String>) -> ExitCode {
    let options = match understood(parse(words), USAGE) {
        Ok(options) => options,
        Err(code) => return code,
    };
    match programme(&options) {
        Ok(summary) => {
            print!("{}", summary.markdown());
            match (summary.has_failed(), summary.is_complete()) {
                (true, _) => ExitCode::FAILURE,
                (false, true) => ExitCode::SUCCESS,
                (false, false) => ExitCode::from(EXIT_INVALID),
            }
        }
        Err(error) => {
            eprintln!("chaos-release: {error}");
            ExitCode::from(EXIT_UNAVAILABLE)
        }
    }
}

fn programme(options: &Options) -> io::Result<Summary> {
    let root = crate::tree::root();
    let folder = options.out.clone().unwrap_or_else(|| root.join("target").join("chaos-release"));
    fs::create_dir_all(&folder)?;
    let built = || build(root, &folder).map_err(|failure| io::Error::other(failure.to_string()));
    let named = std::env::var_os("PITCHOVER_ROCKETMQ_JARS").map(PathBuf::from);
    let programs = Programs {
        pitchover: options.pitchover.clone().map_or_else(built, Ok)?,
        xtask: std::env::current_exe()?,
        other_binary: options.other_binary.clone(),
        jars: options.jars.clone().or(named).unwrap_or_else(|| root.join(JARS)),
        openchaos: options.openchaos.clone(),
    };
    let stages = stages(options.length, options.stage, options.seed);
    play_all(&stages, &programs, &folder, &stop_flag())
}

/// Plays one stage after the other until somebody stops it, and writes the report after each.
fn play_all(
    stages: &[Stage],
    programs: &Programs,
    folder: &Path,
    stop: &AtomicBool,
) -> io::Result<Summary> {
    let mut summary = Summary::default();
    let report = folder.join("report.md");
    for (done, stage) in stages.iter().enumerate() {
        let name = stage.name();
        if stop.load(Ordering::Acquire) {
            let left = &stages[done..];
            println!("stopped: {} stages were not played", left.len());
            summary.cut_short(left.iter().map(Stage::name).collect());
            break;
        }
        let at = folder.join(&name);
        println!(
            "{} of {}: {name}, seed {}, {} s, {}",
            stage.number,
            stages.len(),
            stage.seed,
            stage.length.as_secs(),
            at.display()
        );
        if at.exists() {
            fs::remove_dir_all(&at)?;
        }
        fs::create_dir_all(&at)?;
        match (play(programs, stage, &at, stop)?, stage.work) {
            (Ended::NotStarted(why), _) => {
                println!("SKIPPED {name}: {why}");
                summary.skip(&name, &why);
            }
            (Ended::Played(status), Work::OpenChaos) => summary.add_theirs(&name, &at, &status)?,
            (Ended::Played(status), work) => summary.add(work, &at, &status)?,
        }
        fs::write(&report, summary.markdown())?;
    }
    fs::write(&report, summary.markdown())?;
    println!("report: {}", report.display());
    Ok(summary)
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        length: LENGTH,
        stage: STAGE,
        seed: 1,
        pitchover: None,
        other_binary: None,
        jars: None,
        openchaos: None,
        out: None,
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--for" => options.length = time(&value()?)?,
            "--stage" => options.stage = time(&value()?)?,
            "--seed" => {
                let text = value()?;
                options.seed = text.parse().map_err(|_wrong| format!("`{text}` is no seed"))?;
            }
            "--pitchover" => options.pitchover = Some(there(&value()?)?),
            "--other-binary" => options.other_binary = Some(there(&value()?)?),
            "--jars" => options.jars = Some(there(&value()?)?),
            "--openchaos" => options.openchaos = Some(there(&value()?)?),
            "--out" => options.out = Some(absolute(&value()?)?),
            _ => return Err(format!("unknown option `{word}`")),
        }
    }
    Ok(options)
}

fn absolute(path: &str) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| format!("{path}: {error}"))
}

/// What is missing shall be said now, not hours later.
fn there(path: &str) -> Result<PathBuf, String> {
    fs::canonicalize(path).map_err(|error| format!("{path}: {error}"))
}

/// `600s`, `90m`, `24h`.
fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time; write 600s, 90m or 24h");
    let unit = match text.chars().last().ok_or_else(wrong)? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        _ => return Err(wrong()),
    };
    let number = text.get(..text.len() - 1).and_then(|number| number.parse::<u64>().ok());
    let seconds = number.and_then(|number| number.checked_mul(unit)).filter(|seconds| *seconds > 0);
    Ok(Duration::from_secs(seconds.ok_or_else(wrong)?))
}

#[cfg(test)]
#[path = "chaos_release/tests.rs"]
mod tests;

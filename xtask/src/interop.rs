//! `cargo xtask interop`: unmodified RocketMQ brokers, clients and mqadmin against three of our controllers.
//!
//! Needs a JDK and Maven. Maven fetches RocketMQ and builds the small drivers (`interop/`); this module starts,
//! kills and asks, and prints one line per thing proved. What is proved is in [`scenario`]; `interop/README.md` tells
//! how to run it. `--target java` plays the same against upstream's own controllers, which checks the suite.
//!
//! ```text
//! interop.rs     options, rounds
//!  ├─ maven      Java, Maven, jars
//!  ├─ scenario   what a round proves (base, liveness, spread) ── commands   mqadmin's outputs ── expected
//!  │   └─ stage  what is done and waited for ── admin, traffic, counters
//!  │       └─ cluster ── relay, setup (files, command lines) ── ports
//!  └─ report, clock, process
//! ```

mod admin;
pub(crate) mod clock;
mod cluster;
mod commands;
mod counters;
mod expected;
pub(crate) mod maven;
mod ports;
pub(crate) mod process;
mod relay;
pub(crate) mod report;
mod scenario;
mod setup;
mod stage;
mod traffic;

use self::clock::Stopwatch;
use self::ports::{BROKERS_MAX, Ports};
use self::report::{Failure, Outcome, Report, Stop};
use self::setup::{Play, Serialization, Setup, Target};
use crate::words::{EXIT_UNAVAILABLE, understood};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "\
usage: cargo xtask interop [--quick] [--target pitchover|java] [--round NAME] [--pitchover FILE] | --fetch

  --quick            5.5.0 with JSON headers only
  --target java      Java controllers instead of ours: checks the suite itself
  --round NAME       one round: 5.5.0-json, 5.5.0-rocketmq, 5.1.4-json, 5.1.4-rocketmq, liveness, spread
  --pitchover FILE   the program under test (default: built with cargo, release profile)
  --fetch            only fetch 5.5.0 and build the drivers, for `pitchover chaos run --brokers java`

Needs a JDK and Maven. Logs stay under target/interop/.";

const BUILD_LIMIT: Duration = Duration::from_secs(1_800);

/// One version, one serialization, one fresh cluster.
#[derive(Debug, Clone, Copy)]
struct Round {
    name: &'static str,
    version: &'static str,
    serialization: Serialization,
    play: Play,
    is_quick: bool,
}

const ROUNDS: [Round; 6] = [
    Round {
        name: "5.5.0-json",
        version: "5.5.0",
        serialization: Serialization::Json,
        play: Play::Base,
        is_quick: true,
    },
    Round {
        name: "5.5.0-rocketmq",
        version: "5.5.0",
        serialization: Serialization::RocketMq,
        play: Play::Base,
        is_quick: false,
    },
    Round {
        name: "5.1.4-json",
        version: "5.1.4",
        serialization: Serialization::Json,
        play: Play::Base,
        is_quick: false,
    },
    Round {
        name: "5.1.4-rocketmq",
        version: "5.1.4",
        serialization: Serialization::RocketMq,
        play: Play::Base,
        is_quick: false,
    },
    Round {
        name: "liveness",
        version: "5.5.0",
        serialization: Serialization::Json,
        play: Play::Liveness,
        is_quick: false,
    },
    Round {
        name: "spread",
        version: "5.5.0",
        serialization: Serialization::Json,
        play: Play::Spread,
        is_quick: false,
    },
];

#[derive(Debug)]
struct Options {
    target: Target,
    rounds: Vec<Round>,
    pitchover: Option<PathBuf>,
    fetches_only: bool,
}

/// Runs the suite; the last line printed is `N passed, N failed`.
pub(crate) fn run(words: impl Iterator<Item = String>) -> ExitCode {
    let options = match understood(parse(words), USAGE) {
        Ok(options) => options,
        Err(code) => return code,
    };
    let root = crate::tree::root();
    let folder = root.join("target").join("interop");
    if let Err(failure) = prepare(&folder).and_then(|()| maven::check_tools(&folder)) {
        eprintln!("{failure}");
        return ExitCode::from(EXIT_UNAVAILABLE);
    }
    if options.fetches_only {
        return fetch(root, &folder);
    }
    if let Err(failure) = maven::check_disk(&folder) {
        eprintln!("{failure}");
        return ExitCode::from(EXIT_UNAVAILABLE);
    }
    let mut report = Report::new();
    let played = play_all(root, &folder, &options, &mut report);
    if played.is_err() {
        println!("\nlogs: {}", folder.display());
    }
    report.close()
}

/// Leaves jars and drivers of the newest version that is played.
fn fetch(root: &Path, folder: &Path) -> ExitCode {
    match maven::class_path(root, ROUNDS[0].version, folder) {
        Ok(class_path) => {
            println!("{class_path}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(EXIT_UNAVAILABLE)
        }
    }
}

fn play_all(
    root: &Path,
    folder: &Path,
    options: &Options,
    report: &mut Report,
) -> Result<(), Stop> {
    let mut pitchover = PathBuf::new();
    if options.target == Target::Pitchover {
        report.note("building pitchover, unless it is given");
        let built = options.pitchover.clone().map_or_else(|| build(root, folder), Ok);
        match built {
            Ok(built) => pitchover = built,
            Err(failure) => return report.prove("pitchover is built", Err(failure)),
        }
    }
    let mut all = Ok(());
    for round in &options.rounds {
        if round.play == Play::Spread && options.target == Target::Java {
            report.note(&format!("{} is not played: upstream's followers refuse", round.name));
            continue;
        }
        let played = match set_up(root, folder, options.target, round, report) {
            Ok(setup) => play(Setup { pitchover: pitchover.clone(), ..setup }, round, report),
            Err(failure) => report.prove(&format!("{} can be played", round.name), Err(failure)),
        };
        all = all.and(played);
    }
    all
}

fn play(setup: Setup, round: &Round, report: &mut Report) -> Result<(), Stop> {
    let who = match setup.target {
        Target::Pitchover => "Pitchover",
        Target::Java => "Java",
    };
    let headers = setup.serialization.name();
    let version = round.version;
    let what = format!("RocketMQ {version}, brokers write {headers} headers, {who} controllers");
    report.open_round(round.name, &what);
    let folder = setup.folder.clone();
    let watch = Stopwatch::start();
    let played = scenario::play(setup, report);
    report.note(&format!("{} took {}", round.name, watch.shown()));
    if played.is_ok() {
        drop_data(&folder);
    }
    played
}

/// Logs stay; the data of a round that went well is only large.
fn drop_data(folder: &Path) {
    for (name, count) in [("controller", 3), ("broker", BROKERS_MAX)] {
        for index in 0..count {
            // What cannot be removed now is removed by the next run.
            drop(std::fs::remove_dir_all(folder.join(format!("{name}-{index}")).join("store")));
        }
    }
}

fn set_up(
    root: &Path,
    folder: &Path,
    target: Target,
    round: &Round,
    report: &Report,
) -> Outcome<Setup> {
    report.note(&format!("RocketMQ {} through Maven", round.version));
    let class_path = maven::class_path(root, round.version, folder)?;
    let prefix = match target {
        Target::Pitchover => "pitchover",
        Target::Java => "java",
    };
    let own = folder.join(format!("{prefix}-{}", round.name));
    if own.exists() {
        std::fs::remove_dir_all(&own).map_err(Failure::while_doing(own.display()))?;
    }
    prepare(&own)?;
    Ok(Setup {
        folder: own,
        version: round.version,
        target,
        serialization: round.serialization,
        play: round.play,
        relays: Vec::new(),
        ports: Ports::find()?,
        class_path,
        pitchover: PathBuf::new(),
        logback: root.join("interop").join("logback.xml"),
    })
}

/// Builds our program as it is released.
///
/// # Errors
/// Cargo failed; its output is in the log the text names.
pub(crate) fn build(root: &Path, folder: &Path) -> Outcome<PathBuf> {
    let words = ["build", "--release", "--package", "pitchover"];
    Ok(cargo(root, &words, &folder.join("build.log"))?.join("release").join("pitchover"))
}

/// Lets cargo build something; gives the folder in which its profiles have theirs.
///
/// # Errors
/// Cargo failed; its output is in the log the text names.
pub(crate) fn cargo(root: &Path, words: &[&str], log: &Path) -> Outcome<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = std::process::Command::new(cargo);
    command.current_dir(root).args(words);
    let (status, _) = process::run("cargo build", command, log, BUILD_LIMIT)?;
    if !status.success() {
        return Err(Failure(format!("cargo build ended with {status}; see {}", log.display())));
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    Ok(root.join(target))
}

/// Makes a folder if it is not there.
///
/// # Errors
/// It cannot be made.
pub(crate) fn prepare(folder: &Path) -> Outcome<()> {
    std::fs::create_dir_all(folder).map_err(Failure::while_doing(folder.display()))
}

/// The file that a word names, wherever who is given it runs: each process has a folder of its own.
pub(crate) fn absolute(path: impl AsRef<Path>) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| error.to_string())
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        target: Target::Pitchover,
        rounds: ROUNDS.to_vec(),
        pitchover: None,
        fetches_only: false,
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--fetch" => options.fetches_only = true,
            "--quick" => options.rounds.retain(|round| round.is_quick),
            "--target" => {
                options.target = match value()?.as_str() {
                    "pitchover" => Target::Pitchover,
                    "java" => Target::Java,
                    other => return Err(format!("there is no target {other}")),
                };
            }
            "--round" => {
                let name = value()?;
                options.rounds.retain(|round| round.name == name);
                if options.rounds.is_empty() {
                    return Err(format!("there is no round {name}"));
                }
            }
            "--pitchover" => options.pitchover = Some(absolute(value()?)?),
            other => return Err(format!("{other} is no option")),
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::{Options, Target, parse};

    fn check(line: &str) -> Result<Options, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    fn rounds(line: &str) -> Vec<&'static str> {
        check(line).expect("it is right").rounds.iter().map(|round| round.name).collect()
    }

    #[test]
    fn rounds_are_chosen() {
        assert_eq!(rounds("").len(), 6);
        assert_eq!(rounds("--quick"), ["5.5.0-json"]);
        assert_eq!(rounds("--round 5.1.4-rocketmq"), ["5.1.4-rocketmq"]);
    }

    #[test]
    fn targets_are_chosen() {
        assert_eq!(check("").expect("it is right").target, Target::Pitchover);
        assert_eq!(check("--target java --quick").expect("it is right").target, Target::Java);
        assert!(check("--fetch").expect("it is right").fetches_only);
    }

    #[test]
    fn wrong_words_are_told() {
        for (line, expected) in [
            ("--round", "--round needs a value"),
            ("--round 4.9", "there is no round 4.9"),
            ("--target rust", "there is no target rust"),
            ("quick", "quick is no option"),
        ] {
            assert_eq!(check(line).expect_err("it is wrong"), expected);
        }
    }
}

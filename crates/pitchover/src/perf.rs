//! `pitchover perf`: the history of figures, when they changed, and which commit did it.
//!
//! | Exit code | `log add` | `changes` | `bisect` |
//! |---|---|---|---|
//! | 0 | a line was added | nothing became worse | the bad end is not slower after all |
//! | 1 | – | something did | the first slower commit is named |
//! | 2 | – | – | only commits that nobody can judge are left |
//! | 64 | wrong usage, a run that says nothing, a file that is none | the same | the same |

mod bisect;

use crate::bench::run::usage;
use clap::{Parser, Subcommand};
use measure::folder;
use measure::history::{self, Change, Entry};
use report::draw::numbers;
use std::path::PathBuf;
use std::process::ExitCode;

/// Something became worse.
const WORSE: u8 = 1;

/// What can be done with a history.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The file of the history.
    #[command(subcommand)]
    Log(Log),
    /// When figures changed, and between which commits.
    Changes(Changes),
    /// Search a range of commits for the first that is slower, by `bench compare`.
    Bisect(bisect::Arguments),
}

/// What can be done with the file.
#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// Add the line of one run.
    Add(Add),
}

/// Where the history is.
#[derive(Debug, Parser)]
struct File {
    /// The history: one line of JSON for each run, only ever appended to.
    #[arg(long, value_name = "FILE", default_value = "perf-history.ndjson")]
    history: PathBuf,
}

/// Options of `perf log add`.
#[derive(Debug, Parser)]
pub(crate) struct Add {
    #[command(flatten)]
    file: File,
    /// The run folder.
    run: PathBuf,
    /// A run of an unchanging build of the same workload, made beside it on the same host: what the host does cancels.
    #[arg(long, value_name = "RUN")]
    anchor: Option<PathBuf>,
    /// Commit of the program under measurement, if the run does not say it.
    #[arg(long)]
    commit: Option<String>,
}

/// Options of `perf changes`.
#[derive(Debug, Parser)]
pub(crate) struct Changes {
    #[command(flatten)]
    file: File,
    /// Only this workload.
    #[arg(long)]
    workload: Option<String>,
    /// Only this figure: `get_replica_info.p99`, `cpu`, …
    #[arg(long)]
    figure: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: &Command) -> ExitCode {
    let done = match command {
        Command::Log(Log::Add(arguments)) => add(arguments),
        Command::Changes(arguments) => changes(arguments),
        Command::Bisect(arguments) => bisect::run(arguments),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(why) => usage("perf", &why),
    }
}

fn add(arguments: &Add) -> Result<u8, String> {
    let read = |path: &PathBuf| folder::read(path).map_err(|error| error.to_string());
    let mut found = read(&arguments.run)?;
    found.run.commit = arguments.commit.clone().or(found.run.commit);
    let anchor = arguments.anchor.as_ref().map(read).transpose()?;
    let entry = Entry::of(&found, anchor.as_ref()).map_err(|error| error.to_string())?;
    let path = &arguments.file.history;
    history::append(path, &entry).map_err(|error| error.to_string())?;
    let figures = entry.figures.len();
    let anchored = entry.anchor.map_or("no anchor".to_owned(), |anchor| format!("anchor {anchor}"));
    println!("{}: {figures} figures, {anchored}, in {}", entry.run, path.display());
    Ok(0)
}

fn changes(arguments: &Changes) -> Result<u8, String> {
    let path = &arguments.file.history;
    let entries = history::read(path).map_err(|error| error.to_string())?;
    if entries.is_empty() {
        return Err(format!("{} has no runs: `perf log add RUN`", path.display()));
    }
    let is_wanted = |change: &Change| {
        arguments.workload.as_ref().is_none_or(|it| *it == change.workload)
            && arguments.figure.as_ref().is_none_or(|it| *it == change.figure)
    };
    let found: Vec<Change> = history::changes(&entries).into_iter().filter(is_wanted).collect();
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&found).unwrap_or_default());
    } else {
        found.iter().for_each(show);
        println!("{} runs, {} changes", entries.len(), found.len());
    }
    Ok(if found.iter().any(|change| change.is_worse) { WORSE } else { 0 })
}

fn show(change: &Change) {
    let commit = |entry: &Entry| {
        let commit = entry.commit.as_deref().unwrap_or("unknown commit");
        commit.chars().take(12).collect::<String>()
    };
    let word = if change.is_worse { "WORSE" } else { "better" };
    let host =
        if change.is_anchored { "" } else { " (without an anchor: the host may have done it)" };
    println!(
        "{} {} {}: {word}, {} from {}..{} on, {}, p {:.1e}{host}",
        change.workload,
        change.arm,
        change.figure,
        numbers::ratio(change.ratio),
        commit(&change.last_before),
        commit(&change.first_after),
        numbers::date(change.first_after.unix_ms),
        change.p,
    );
}

//! `pitchover check`: judges recorded history files.
//!
//! | Exit code | Means |
//! |---|---|
//! | 0 | every history is linearizable |
//! | 1 | one is not; the operations that contradict each other are printed |
//! | 2 | none is known to be wrong, but the search reached its limit on one (see `--steps`) |
//! | 3 | a file cannot be read, or is no history |
//!
//! The largest problem counts: 3 before 1 before 2. A file holds JSON lines as the simulator and the load and
//! chaos harnesses write them, or one of the two published formats of `workload/tests/histories`.

use clap::Parser;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use workload::check::search::Limit;
use workload::check::{Judgement, judge};
use workload::history::History;
use workload::published::Published;

/// Judge recorded histories: can all answers be explained by one order?
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// History files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// How many steps the search may take for one broker set.
    #[arg(long, default_value_t = Limit::default().steps)]
    steps: u64,
    /// Violations that are printed for one file.
    #[arg(long, default_value_t = 5)]
    show: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Linearizable,
    Undecided,
    Wrong,
    Unreadable,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Linearizable => Self::SUCCESS,
            Verdict::Wrong => Self::from(1),
            Verdict::Undecided => Self::from(2),
            Verdict::Unreadable => Self::from(3),
        }
    }
}

/// Judges every file; the table of the module says which exit code means what.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let limit = Limit { steps: arguments.steps };
    let verdicts = arguments.files.iter().map(|file| match one(file, limit, arguments.show) {
        Ok(verdict) => verdict,
        Err(error) => {
            eprintln!("{}: {error}", file.display());
            Verdict::Unreadable
        }
    });
    verdicts.max().unwrap_or(Verdict::Unreadable).into()
}

fn one(file: &Path, limit: Limit, shown_max: usize) -> Result<Verdict, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let name = file.display();
    if !text.contains("pitchoverHistory") {
        let history = Published::read(&text).map_err(|error| error.to_string())?;
        let count = history.operations_count();
        if count == 0 {
            return Err("no history".to_owned());
        }
        let (word, verdict) = match history.is_linearizable(limit) {
            Some(true) => ("linearizable", Verdict::Linearizable),
            Some(false) => ("NOT linearizable", Verdict::Wrong),
            None => ("undecided", Verdict::Undecided),
        };
        println!("{name}: {word}, {count} operations");
        return Ok(verdict);
    }
    let history = History::from_lines(&text).map_err(|error| error.to_string())?;
    let Judgement { sets_count, violations, undecided } = judge(&history, limit);
    let (word, verdict) = match (violations.len(), undecided.len()) {
        (0, 0) => ("linearizable", Verdict::Linearizable),
        (0, _) => ("undecided", Verdict::Undecided),
        (_, _) => ("NOT linearizable", Verdict::Wrong),
    };
    println!("{name}: {word}, {} operations on {sets_count} broker sets", history.operations.len());
    for violation in violations.iter().take(shown_max) {
        println!("{}", violation.explain(&history));
    }
    if violations.len() > shown_max {
        println!("and {} more broker sets", violations.len() - shown_max);
    }
    for set in &undecided {
        println!("undecided: broker set {set}, after {} steps", limit.steps);
    }
    Ok(verdict)
}

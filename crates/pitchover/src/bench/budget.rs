//! `pitchover bench budget`: what one operation costs, by counts that do not depend on the machine, beside what it may.
//!
//! | Figures | Counted by |
//! |---|---|
//! | `decode.instructions`, `apply.…`, `step.…`, `encode.…` | the processor; where it cannot, valgrind; of a release build only |
//! | `write.syncs`, `write.journal_bytes`, `write.frames`, `write.peer_bytes`, the same of `read` and `read_follower` | the nodes themselves |
//! | CPU time, wall clock | shown, never judged |
//!
//! Exit codes: 0 within all budgets (what this machine cannot count is said), 1 beyond one, 3 nothing could be counted,
//! 64 wrong usage.

use super::hot;
use crate::exit::{FAILED, INVALID, USAGE};
use clap::Args;
use load::counted::{self, Counted, Options};
use serde::Serialize;
use slo::{BudgetVerdict, Budgets};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// Turns that valgrind counts: twice as many less as many, so that start and end cancel.
const TURNS: u32 = 2_000;

/// Options of `bench budget`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The budgets.
    #[arg(long, value_name = "FILE", default_value = "budgets.toml")]
    budgets: PathBuf,
    /// Writes that are counted.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    writes: u32,
    /// Reads that are counted, at the leader and at a follower each.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    reads: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Everything that was found.
#[derive(Debug, Serialize)]
struct Report {
    budgets: Vec<slo::Counted>,
    figures: BTreeMap<String, f64>,
    /// What depends on the machine.
    reported: BTreeMap<String, f64>,
    /// Who counted instructions, or why nobody did.
    instructions: String,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match report(arguments) {
        Ok(report) => {
            if arguments.json {
                println!("{}", serde_json::to_string_pretty(&report).unwrap_or_default());
            } else {
                show(&report);
            }
            let is_beyond = |it: &slo::Counted| it.verdict == BudgetVerdict::Beyond;
            ExitCode::from(if report.budgets.iter().any(is_beyond) { FAILED } else { 0 })
        }
        Err((code, why)) => {
            eprintln!("bench budget: {why}");
            ExitCode::from(code)
        }
    }
}

fn report(arguments: &Arguments) -> Result<Report, (u8, String)> {
    let name = arguments.budgets.display().to_string();
    let text = std::fs::read_to_string(&arguments.budgets);
    let text = text.map_err(|error| (USAGE, format!("{name}: {error}")))?;
    let known: Vec<String> = hot::names().map(figure).chain(counted::figure_names()).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let budgets =
        Budgets::read(&name, &text, &known).map_err(|error| (USAGE, error.to_string()))?;
    let options = Options { program: None, writes: arguments.writes, reads: arguments.reads };
    let counted = counted::run(&options).map_err(|error| (INVALID, error.to_string()))?;
    let Counted { mut figures, reported } = counted;
    let instructions = match instructions() {
        Ok((counts, by)) => {
            figures.extend(counts);
            format!("instructions were counted by {by}")
        }
        Err(why) => format!("instructions were not counted: {why}"),
    };
    Ok(Report { budgets: budgets.judge(&figures), figures, reported, instructions })
}

fn figure(name: &str) -> String {
    format!("{name}.instructions")
}

/// Instructions of a turn of each loop, and who counted them.
fn instructions() -> Result<(BTreeMap<String, f64>, &'static str), String> {
    if cfg!(debug_assertions) {
        return Err("this is no release build".to_owned());
    }
    match hot::instructions() {
        Ok(counts) => {
            let counts = counts.into_iter().map(|(name, count)| (figure(name), count));
            Ok((counts.collect(), "the processor"))
        }
        Err(why) => {
            let counts: Result<BTreeMap<String, f64>, String> =
                hot::names().map(|name| Ok((figure(name), by_valgrind(name)?))).collect();
            let counts =
                counts.map_err(|error| format!("by the processor: {why}; by valgrind: {error}"))?;
            Ok((counts, "valgrind"))
        }
    }
}

/// Instructions of a turn of one loop, from two runs of this program.
fn by_valgrind(name: &str) -> Result<f64, String> {
    let (once, twice) = (under_valgrind(name, TURNS)?, under_valgrind(name, TURNS * 2)?);
    Ok((twice - once) / f64::from(TURNS))
}

/// All instructions of this program while it does so many turns.
fn under_valgrind(name: &str, turns: u32) -> Result<f64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let ran = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
        .arg(program)
        .args(["bench", "hot", "--only", name, "--turns", &turns.to_string()])
        .output();
    let ran = ran.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&ran.stderr);
    let total = total_in(&said);
    let total = total.filter(|_| ran.status.success()).ok_or_else(|| {
        let end: Vec<&str> = said.lines().rev().take(3).collect();
        format!("it said {end:?}")
    })?;
    total.trim().replace(',', "").parse().map_err(|_number| format!("it counted {total:?}"))
}

/// The total in what cachegrind says: `==7== I   refs:      10,131,210`, with as many blanks as its version likes.
fn total_in(said: &str) -> Option<&str> {
    said.lines().find_map(|line| {
        let (before, count) = line.split_once("refs:")?;
        before.trim_end().ends_with(" I").then_some(count)
    })
}

fn show(report: &Report) {
    println!("{:<30}{:>12}{:>12}  ", "figure", "counted", "budget");
    for it in &report.budgets {
        let value = it.value.map_or("-".to_owned(), |value| format!("{value:.2}"));
        let word = match it.verdict {
            BudgetVerdict::Within => "within",
            BudgetVerdict::Roomy => "within, with much room: tighten the budget",
            BudgetVerdict::Beyond => "BEYOND its budget",
            BudgetVerdict::NotCounted => "not counted",
        };
        println!("{:<30}{value:>12}{:>12.2}  {word}", it.figure, it.most);
    }
    println!("\nfor reading only, they depend on the machine:");
    for (name, value) in &report.reported {
        println!("{name:<30}{value:>12.1}");
    }
    println!("{}", report.instructions);
}

#[cfg(test)]
mod tests {
    use super::total_in;

    #[test]
    fn the_total_is_found_however_it_is_set() {
        for line in ["==7== I   refs:      10,131,210", "==7== I refs:  10,131,210"] {
            let said = format!("==7== Cachegrind\n{line}\n==7== D   refs: 5\n");
            assert_eq!(total_in(&said).map(str::trim), Some("10,131,210"), "{line}");
        }
        assert_eq!(total_in("==7== D   refs: 5\n"), None);
    }
}

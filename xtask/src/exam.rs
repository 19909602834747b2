//! `cargo xtask exam`: plants known bugs, one at a time, and asks whether the simulator finds them.
//!
//! ```text
//! cargo xtask exam [P01 ...] [--seeds N] [--repeats R] [--jobs J] [--write]
//! cargo xtask exam --check
//! cargo xtask exam --on processes ...      on real processes: `processes.rs`
//! ```
//!
//! | Word | Means |
//! |---|---|
//! | `P01 ...` | these bugs; all without |
//! | `--seeds N` | give up after so many seeds (60) |
//! | `--repeats R` | so many times, each with other seeds (1); the table has median and worst |
//! | `--jobs J` | so many bugs at a time (1), each in a tree and a build of its own |
//! | `--write` | puts the rows of these bugs into the table in `docs/RELIABILITY.md`; the others stay as they are |
//! | `--check` | only whether every patch still applies, which CI asks of every change |
//!
//! A bug is a file of `exam/`: a head that says what it is and who is expected to find it, and a patch. Product code
//! never holds any of it: `scratch.rs` copies the committed tree, plants, builds the simulator alone, runs seeds until
//! an invariant fires, and takes the patch back. All repetitions are of one build. A seed that fails runs once more without any patch, and is left out if
//! it fails then, too: so a bug is never "found" by another one. Exit code 0: all that were planted were found.

mod catalogue;
mod jobs;
mod processes;
mod scratch;
mod table;

use crate::words::understood;
use catalogue::{Bug, Judge};
use jobs::Jobs;
use scratch::{Scratch, Verdict};
use std::process::{Command, ExitCode};
use table::Row;

const USAGE: &str =
    "usage: cargo xtask exam [P01 ...] [--seeds N] [--repeats R] [--jobs J] [--write] | --check";

/// Seeds of one repetition begin so far behind those of the one before.
const SEEDS_APART: u64 = 100_000;

/// Lines of context that must fit for a patch to apply: neighbours may change.
const CONTEXT: &str = "-C1";

#[derive(Debug, PartialEq, Eq)]
struct Arguments {
    numbers: Vec<u32>,
    seeds: u64,
    repeats: u64,
    jobs: u64,
    writes: bool,
    checks: bool,
}

impl Arguments {
    fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self {
            numbers: Vec::new(),
            seeds: 60,
            repeats: 1,
            jobs: 1,
            writes: false,
            checks: false,
        };
        let mut words = words;
        while let Some(word) = words.next() {
            let mut number = |what: &str| {
                let value = words.next().and_then(|value| value.parse::<u64>().ok());
                value.filter(|value| *value > 0).ok_or(format!("{what} needs a number"))
            };
            match word.as_str() {
                "--seeds" => arguments.seeds = number("--seeds")?,
                "--repeats" => arguments.repeats = number("--repeats")?,
                "--jobs" => arguments.jobs = number("--jobs")?,
                "--write" => arguments.writes = true,
                "--check" => arguments.checks = true,
                other => {
                    let bug = other.strip_prefix('P').and_then(|digits| digits.parse().ok());
                    arguments.numbers.push(bug.ok_or(format!("`{other}` is not known"))?);
                }
            }
        }
        Ok(arguments)
    }
}

pub(crate) fn run(words: impl Iterator<Item = String>) -> ExitCode {
    let words: Vec<String> = words.collect();
    if let [on, processes, rest @ ..] = words.as_slice()
        && (on.as_str(), processes.as_str()) == ("--on", "processes")
    {
        return processes::run(rest);
    }
    let usage = format!("{USAGE}\n{}", processes::USAGE);
    let arguments = match understood(Arguments::parse(words.into_iter()), &usage) {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let result = catalogue::read()
        .and_then(|bugs| if arguments.checks { check(&bugs) } else { examine(bugs, &arguments) });
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("exam: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every patch applies to the tree as it is.
fn check(bugs: &[Bug]) -> Result<bool, String> {
    let mut rotten = 0;
    for bug in bugs.iter().filter(|bug| bug.is_planted()) {
        let mut command = Command::new("git");
        command.args(["apply", "--check", CONTEXT]).arg(&bug.path).current_dir(crate::tree::root());
        let output = command.output().map_err(|error| format!("git: {error}"))?;
        if !output.status.success() {
            rotten += 1;
            eprintln!("{}: {}", bug.name(), String::from_utf8_lossy(&output.stderr).trim());
        }
    }
    let planted = bugs.iter().filter(|bug| bug.is_planted()).count();
    println!("{planted} planted bugs of {}, {rotten} do not apply", bugs.len());
    Ok(rotten == 0)
}

fn examine(bugs: Vec<Bug>, arguments: &Arguments) -> Result<bool, String> {
    let numbers = &arguments.numbers;
    let is_asked = |bug: &&Bug| numbers.is_empty() || numbers.contains(&bug.number);
    let bugs: Vec<&Bug> = bugs.iter().filter(is_asked).collect();
    let jobs = Jobs::new(&bugs);
    let missed = Jobs::share(arguments.jobs, |worker| work_off(&jobs, worker, arguments))?;
    let planted = bugs.iter().filter(|bug| bug.is_planted()).count();
    println!("{} of {planted} planted bugs found", planted - missed);
    Ok(missed == 0)
}

/// Examines one bug after the other until none is left. Returns how many were missed.
fn work_off(jobs: &Jobs<'_>, worker: u64, arguments: &Arguments) -> Result<usize, String> {
    let scratch = Scratch::prepare(&format!("target/exam/{worker}"), arguments.jobs)?;
    println!("{}: building without a bug", scratch.commit());
    scratch.build_sound()?;
    let mut missed = 0;
    while let Some(bug) = jobs.next() {
        let verdicts = if bug.is_planted() {
            scratch
                .with(bug, |scratch| judge(scratch, bug, arguments))
                .unwrap_or_else(|problem| vec![Verdict::NotBuilt { problem }])
        } else {
            Vec::new()
        };
        let row = Row::of(bug, &verdicts, arguments.seeds);
        println!("{}", row.line());
        missed += usize::from(row.is_missed());
        if arguments.writes {
            let _page = jobs.page();
            table::write(&row, &scratch.commit())?;
        }
    }
    Ok(missed)
}

fn judge(scratch: &Scratch, bug: &Bug, arguments: &Arguments) -> Result<Vec<Verdict>, String> {
    match &bug.judge {
        Judge::Simulator => {
            scratch.build()?;
            let firsts = (0..arguments.repeats).map(|at| at * SEEDS_APART + 1);
            firsts.map(|first| scratch.seeds(first, arguments.seeds)).collect()
        }
        Judge::Tests(words) => Ok(vec![scratch.tests(words)?]),
    }
}

#[cfg(test)]
mod tests {
    use super::table::median;
    use super::{Arguments, catalogue};

    fn parse(words: &[&str]) -> Result<Arguments, String> {
        Arguments::parse(words.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn words_are_understood_or_refused() {
        let arguments = parse(&["P07", "--seeds", "9", "P31", "--repeats", "5"]).unwrap();
        assert_eq!((arguments.numbers, arguments.seeds, arguments.repeats), (vec![7, 31], 9, 5));
        for wrong in [&["--seeds"][..], &["--seeds", "0"], &["Q1"], &["--jobs", "x"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn every_number_is_there_once_and_says_what_it_is() {
        let bugs = catalogue::read().expect("the folder `exam` lies at the root");
        let numbers: Vec<u32> = bugs.iter().map(|bug| bug.number).collect();
        let last = u32::try_from(numbers.len()).unwrap();
        assert!(last >= 67, "section 4 of the design lists 67");
        assert_eq!(numbers, (1..=last).collect::<Vec<u32>>());
        for bug in &bugs {
            assert!(bug.what.len() > 20, "{}", bug.name());
            assert_eq!(bug.is_planted(), bug.why_not.is_none(), "{}", bug.name());
        }
    }

    #[test]
    fn the_middle_of_an_even_number_is_the_larger_one() {
        assert_eq!(median(&mut [3]), 3);
        assert_eq!(median(&mut [9, 1, 5]), 5);
        assert_eq!(median(&mut [9, 1]), 9);
    }
}

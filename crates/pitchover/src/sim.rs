//! `pitchover sim`: whole clusters in one thread, one seed each.
//!
//! | Exit code | Means |
//! |---|---|
//! | 0 | no seed failed |
//! | 1 | a seed failed; the last line printed replays it |
//! | 2 | no seed failed, but an interesting situation was never reached in a run of full length |
//!
//! A run of full length is one of 1,000 seeds or more; in one, every 1,000th seed runs again in two processes.
//!
//! With `--until-failure` the last line is for programs: `failed seed=.. invariant=.. at_ms=.. seeds=.. simulated_ms=..`
//! or `clean seeds=.. simulated_ms=..`.

mod batch;

use crate::clock::Stopwatch;
use ::sim::{Plan, Preset, Report, Smaller, Sometimes};
use batch::Batch;
use clap::Parser;
use std::ops::Range;
use std::process::{Command, ExitCode};

/// From so many seeds on, a night's run, every interesting situation must be reached; shorter runs only count.
const FULL_LENGTH_SEEDS: u64 = 100_000;
/// Runs that shrinking one failure may take.
const SHRINK_RUNS_MAX: usize = 400;

/// Options of `sim`.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// One seed.
    #[arg(long, value_parser = number, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Many seeds: `FROM..TO`, without TO.
    #[arg(long, value_parser = range, default_value = "0..100")]
    seeds: Range<u64>,
    /// Which kind of run: `mix`, `long`, `reads` or `calm`.
    #[arg(long, default_value = "mix")]
    preset: Preset,
    /// Seeds at once.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Print everything that happens (with `--seed`).
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Stop at the first failure, do not shrink it, and end with a line for programs.
    #[arg(long)]
    until_failure: bool,
    /// Do not look for a smaller plan that fails, too.
    #[arg(long)]
    no_shrink: bool,
    /// Write the history of all requests here, for `pitchover check` (with `--seed`).
    #[arg(long, requires = "seed")]
    history: Option<std::path::PathBuf>,
    /// Of the plan's faults only these, by number (as shrinking prints them).
    #[arg(long, value_parser = numbers, requires = "seed")]
    faults: Option<Numbers>,
    /// Of the plan's clients only these, by number.
    #[arg(long, value_parser = numbers, requires = "seed")]
    clients: Option<Numbers>,
    /// Broker sets, fewer than the plan's.
    #[arg(long, requires = "seed")]
    sets: Option<usize>,
    /// How long the faults last, less than in the plan.
    #[arg(long, requires = "seed")]
    for_ms: Option<u64>,
}

/// Numbers with commas between; none at all is a list, too.
#[derive(Debug, Clone)]
struct Numbers(Vec<usize>);

fn numbers(words: &str) -> Result<Numbers, String> {
    let words = words.split(',').filter(|word| !word.is_empty());
    let parsed: Result<Vec<usize>, _> = words.map(str::parse).collect();
    parsed.map(Numbers).map_err(|error| error.to_string())
}

fn number(word: &str) -> Result<u64, String> {
    let parsed = match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => word.parse(),
    };
    parsed.map_err(|error| error.to_string())
}

fn range(word: &str) -> Result<Range<u64>, String> {
    let (from, to) = word.split_once("..").ok_or("FROM..TO is expected")?;
    let range = number(from)?..number(to)?;
    if range.is_empty() { Err("there is no seed in it".to_owned()) } else { Ok(range) }
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match arguments.seed {
        Some(seed) => one(arguments, seed),
        None => many(arguments),
    }
}

/// One seed, perhaps made smaller, perhaps with its trace.
fn one(arguments: &Arguments, seed: u64) -> ExitCode {
    let mut plan = Plan::draw(seed, arguments.preset);
    let smaller = Smaller {
        faults: arguments.faults.clone().map(|numbers| numbers.0),
        clients: arguments.clients.clone().map(|numbers| numbers.0),
        sets: arguments.sets,
        safety_ms: arguments.for_ms,
    };
    plan.keep(&smaller);
    println!("{plan}");
    let mut print = |line: &str| println!("{line}");
    let watch = Stopwatch::start();
    let report = ::sim::run(&plan, if arguments.trace { Some(&mut print) } else { None });
    let seconds = watch.elapsed().as_secs_f64();
    println!(
        "{} events, {} turns of controllers, {} commands, {} answers compared, {} of them reads",
        report.events, report.turns, report.commands, report.answers, report.reads
    );
    println!("trace {:016x}", report.trace_hash);
    println!("{} simulated in {seconds:.2} s", simulated(report.simulated_micros));
    if let Some(path) = &arguments.history
        && let Err(error) = std::fs::write(path, report.history.to_lines())
    {
        eprintln!("sim: {}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    if report.failure.is_none() {
        println!("no failure");
        return ExitCode::SUCCESS;
    }
    let is_whole = smaller == Smaller::default();
    if arguments.until_failure {
        print_failure(&report);
        println!("{}", for_programs(&report, 1, report.simulated_micros));
    } else {
        print_with_replay(arguments, &report, is_whole && !arguments.no_shrink, &smaller);
    }
    ExitCode::FAILURE
}

/// Many seeds, several at once.
fn many(arguments: &Arguments) -> ExitCode {
    let seeds = arguments.seeds.clone();
    let count = seeds.end - seeds.start;
    let watch = Stopwatch::start();
    let mut batch = Batch::new(arguments.preset, seeds, arguments.jobs);
    let mut failures: Vec<Report> = Vec::new();
    let mut sometimes = Sometimes::default();
    let (mut done, mut micros, mut reads, mut answers) = (0_u64, 0, 0, 0);
    let mut progress = batch::Progress::new(count);
    while let Some(report) = batch.next() {
        done += 1;
        micros += report.simulated_micros;
        (reads, answers) = (reads + report.reads, answers + report.answers);
        sometimes.add(&report.sometimes);
        if report.failure.is_some() {
            failures.push(report);
        }
        progress.show(done, failures.len(), speed(micros, watch), false);
        if arguments.until_failure && !failures.is_empty() {
            batch.stop();
        }
    }
    progress.show(done, failures.len(), speed(micros, watch), true);
    failures.sort_by_key(|report| report.seed);
    if arguments.until_failure {
        let Some(first) = failures.first() else {
            println!("clean seeds={done} simulated_ms={}", micros / 1_000);
            return ExitCode::SUCCESS;
        };
        print_failure(first);
        println!("{}", for_programs(first, done, micros));
        return ExitCode::FAILURE;
    }
    print_sometimes(&sometimes);
    let stale = failures.iter().filter(|report| is_stale(report)).count();
    println!(
        "{done} seeds, {} simulated, {:.0} x real time; {answers} answers compared with the log, {reads} of them reads; \
         seeds with a stale read: {stale}",
        simulated(micros),
        speed(micros, watch)
    );
    let is_full = count >= FULL_LENGTH_SEEDS;
    let is_long = count >= batch::TWICE_EVERY;
    let twice = is_long.then(|| batch::differing_twice(arguments.preset, arguments.seeds.clone()));
    if let Some(seed) = twice.flatten() {
        println!("determinism: seed {seed} gave two traces");
        println!("pitchover sim --preset {} --seed {seed} --trace", arguments.preset);
        return ExitCode::FAILURE;
    }
    judge(arguments, &failures, is_full, &sometimes)
}

/// What the failures and the table come to.
fn judge(
    arguments: &Arguments,
    failures: &[Report],
    is_full: bool,
    sometimes: &Sometimes,
) -> ExitCode {
    let Some((first, others)) = failures.split_first() else {
        let missing = sometimes.missing();
        if is_full && arguments.preset == Preset::Mix && !missing.is_empty() {
            println!("never reached: {}", missing.join(", "));
            return ExitCode::from(2);
        }
        println!("no failure");
        return ExitCode::SUCCESS;
    };
    for report in others {
        print_failure(report);
    }
    print_with_replay(arguments, first, !arguments.no_shrink, &Smaller::default());
    ExitCode::FAILURE
}

fn is_stale(report: &Report) -> bool {
    let invariant = report.failure.as_ref().map_or("", |failure| failure.invariant);
    matches!(invariant, "K1" | "K2" | "R9")
}

fn speed(micros: u64, watch: Stopwatch) -> f64 {
    std::time::Duration::from_micros(micros).as_secs_f64() / watch.elapsed().as_secs_f64()
}

fn simulated(micros: u64) -> String {
    let seconds = micros / 1_000_000;
    format!("{} h {:02} min {:02} s", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

fn print_failure(report: &Report) {
    let Some(failure) = &report.failure else { return };
    let seconds = std::time::Duration::from_micros(failure.at_micros).as_secs_f64();
    println!("seed {}: {} at {seconds:.3} s: {}", report.seed, failure.invariant, failure.text);
}

fn for_programs(report: &Report, seeds: u64, micros: u64) -> String {
    let failure = report.failure.as_ref();
    format!(
        "failed seed={} invariant={} at_ms={} seeds={seeds} simulated_ms={}",
        report.seed,
        failure.map_or("none", |it| it.invariant),
        failure.map_or(0, |it| it.at_micros / 1_000),
        micros / 1_000
    )
}

/// Prints a failure, shrinks it if asked to, and ends with the line that replays it.
fn print_with_replay(arguments: &Arguments, report: &Report, shrinks: bool, smaller: &Smaller) {
    print_failure(report);
    let (seed, preset) = (report.seed, arguments.preset);
    let mut smaller = smaller.clone();
    if shrinks {
        let (shrunk, report) = ::sim::shrink(seed, preset, report, SHRINK_RUNS_MAX);
        smaller = shrunk;
        println!("made smaller, it fails like this:");
        print_failure(&report);
    }
    println!("at commit {}; built with --profile sim; replay:", commit());
    println!("pitchover sim --preset {preset} --seed {seed}{smaller}");
}

/// The commit of the folder that this runs in, as far as it is one.
fn commit() -> String {
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    let output = output.ok().filter(|output| output.status.success());
    let text = output.and_then(|output| String::from_utf8(output.stdout).ok());
    text.map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn print_sometimes(sometimes: &Sometimes) {
    println!("{:<12} {:<42} reached", "area", "situation");
    for (area, name, count, why_not) in sometimes.rows() {
        match why_not {
            Some(why) if count == 0 => println!("{area:<12} {name:<42} not here: {why}"),
            Some(_) | None => println!("{area:<12} {name:<42} {count}"),
        }
    }
}

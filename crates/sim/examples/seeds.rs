//! Runs seeds until one fails: what `cargo xtask exam` builds for each planted bug, since it links no server.
//!
//! `seeds FIRST COUNT [PRESET|any] [--all] [--trace]`. Prints `found SEED PRESET RUNS INVARIANT TEXT` and ends, or goes on with
//! `--all`; at the end `never NAMES` of situations and `clean RUNS`. `--trace` prints everything that happens. With `any`, every third seed is one of `reads` and the others of `mix`.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use sim::{Plan, Preset, Sink, Sometimes, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let is_all = words.iter().any(|word| word == "--all");
    let is_traced = words.iter().any(|word| word == "--trace");
    words.retain(|word| !word.starts_with("--"));
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
    let (Some(first), Some(count)) = (number(0), number(1)) else {
        println!("usage: seeds FIRST COUNT [PRESET|any] [--all] [--trace]");
        return ExitCode::from(64);
    };
    let preset: Option<Preset> = words.get(2).and_then(|word| word.parse().ok());
    let mut runs: u64 = 0;
    let mut sometimes = Sometimes::default();
    for seed in first..first + count {
        runs += 1;
        let of_seed = if seed.is_multiple_of(3) { Preset::Reads } else { Preset::Mix };
        let preset = preset.unwrap_or(of_seed);
        let plan = Plan::draw(seed, preset);
        let mut print = |line: &str| println!("{line}");
        let trace: Option<Sink<'_>> = if is_traced { Some(&mut print) } else { None };
        if is_traced {
            println!("{plan}");
        }
        let report = run(&plan, trace);
        sometimes.add(&report.sometimes);
        if let Some(failure) = report.failure {
            let text = failure.text.replace('\n', " ");
            println!("found {seed} {preset} {runs} {} {text}", failure.invariant);
            if !is_all {
                return ExitCode::SUCCESS;
            }
        }
    }
    if is_all {
        println!("never {}", sometimes.missing().join(" "));
    }
    println!("clean {runs}");
    ExitCode::SUCCESS
}

//! `pitchover bench hot`: what the straight line costs, by counts that neighbours cannot change.
//!
//! Instructions are counted by the processor where the kernel lets us ask it (virtual machines often have no such counter,
//! and `kernel.perf_event_paranoid` above 2 forbids it); else the report says so and has CPU time only, the least of
//! several measurements.

use crate::clock::thread_cpu_ns;
use clap::Args;
use measure::histogram::as_f64;
use perf_event::Builder;
use perf_event::events::Hardware;
use serde::Serialize;
use sim::hot::{Loop, loops};
use std::process::ExitCode;

/// Measurements of each loop.
const REPEATS: usize = 7;

/// Options of `bench hot`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Turns of each loop, instead of its own number.
    #[arg(long)]
    turns: Option<u32>,
    /// Do only the turns of this loop, once, and measure nothing: for somebody else's counter.
    #[arg(long, value_name = "LOOP", requires = "turns")]
    only: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What one loop costs.
#[derive(Debug, Serialize)]
struct Cost {
    name: &'static str,
    turns: u32,
    /// Instructions of one turn: the least of all measurements.
    instructions_per_turn: Option<f64>,
    /// By how much the most of them was more, in percent.
    instructions_spread_pct: Option<f64>,
    /// CPU time of one turn in nanoseconds: the least.
    cpu_ns_per_turn: f64,
}

/// All of them.
#[derive(Debug, Serialize)]
struct Report {
    costs: Vec<Cost>,
    /// Why there are no instructions, if there are none.
    missing: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    if let (Some(only), Some(turns)) = (&arguments.only, arguments.turns) {
        return once(only, turns);
    }
    let missing = count(|| 0).1.err();
    let costs = loops().into_iter().map(|it| cost(it, arguments.turns)).collect();
    let report = Report { costs, missing };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report).unwrap_or_default());
        return ExitCode::SUCCESS;
    }
    println!(
        "{:<10}{:>10}{:>20}{:>12}{:>14}",
        "loop", "turns", "instructions/turn", "spread", "CPU ns/turn"
    );
    for it in &report.costs {
        let cell = |value: Option<f64>, digits, unit: &str| {
            value.map_or("-".to_owned(), |value| format!("{value:.digits$}{unit}"))
        };
        let instructions = cell(it.instructions_per_turn, 1, "");
        let spread = cell(it.instructions_spread_pct, 2, " %");
        println!(
            "{:<10}{:>10}{instructions:>20}{spread:>12}{:>14.0}",
            it.name, it.turns, it.cpu_ns_per_turn
        );
    }
    if let Some(why) = &report.missing {
        println!("\nthis machine counts no instructions: {why}");
    }
    ExitCode::SUCCESS
}

/// Names of all loops.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    loops().into_iter().map(|it| it.name)
}

/// Instructions of a turn of each loop, or why this machine does not count them.
///
/// # Errors
/// What the kernel said.
pub(crate) fn instructions() -> Result<Vec<(&'static str, f64)>, String> {
    count(|| 0).1?;
    let counted = |it: Loop| {
        let name = it.name;
        let count = cost(it, None).instructions_per_turn;
        Ok((name, count.ok_or("it stopped to count")?))
    };
    loops().into_iter().map(counted).collect()
}

fn once(only: &str, turns: u32) -> ExitCode {
    let Some(mut it) = loops().into_iter().find(|it| it.name == only) else {
        let names: Vec<&str> = names().collect();
        return super::run::usage(
            "bench hot",
            &format!("no loop {only:?}; there are {}", names.join(", ")),
        );
    };
    std::hint::black_box((it.run)(turns));
    ExitCode::SUCCESS
}

fn cost(mut it: Loop, turns: Option<u32>) -> Cost {
    let turns = turns.unwrap_or(it.turns).max(1);
    // What the first turns allocate and load belongs to nobody.
    std::hint::black_box((it.run)(turns.min(1_000)));
    let mut instructions = Vec::new();
    let mut least_ns = u64::MAX;
    for _ in 0..REPEATS {
        let (spent_ns, counted) = count(|| (it.run)(turns));
        least_ns = least_ns.min(spent_ns);
        instructions.extend(counted.ok());
    }
    let per_turn = |count: u64| as_f64(count) / f64::from(turns);
    let (least, most) = (instructions.iter().min(), instructions.iter().max());
    let spread = least
        .zip(most)
        .map(|(least, most)| (as_f64(*most) / as_f64((*least).max(1)) - 1.0) * 100.0);
    Cost {
        name: it.name,
        turns,
        instructions_per_turn: least.copied().map(per_turn),
        instructions_spread_pct: spread,
        cpu_ns_per_turn: per_turn(least_ns),
    }
}

/// CPU time in nanoseconds and instructions of `work`, or why they are not counted.
fn count(work: impl FnOnce() -> u64) -> (u64, Result<u64, String>) {
    let mut counter = Builder::new(Hardware::INSTRUCTIONS).build().and_then(|mut counter| {
        counter.enable()?;
        Ok(counter)
    });
    let before = thread_cpu_ns();
    std::hint::black_box(work());
    let spent_ns = thread_cpu_ns().saturating_sub(before);
    let counted = counter.as_mut().map_err(|error| error.to_string()).and_then(|counter| {
        let counted = counter.disable().and_then(|()| counter.read());
        counted.map_err(|error| error.to_string())
    });
    (spent_ns, counted)
}

#[cfg(test)]
mod tests {
    use super::cost;

    #[test]
    fn every_loop_has_a_cost() {
        for it in sim::hot::loops() {
            let cost = cost(it, Some(20));
            assert!(cost.cpu_ns_per_turn > 0.0 && cost.turns == 20, "{cost:?}");
            assert!(cost.instructions_per_turn.is_none_or(|count| count > 0.0), "{cost:?}");
        }
    }
}

//! `pitchover bench compare`: two builds, or two running groups, in turns on one host.
//!
//! | Exit code | Means |
//! |---|---|
//! | 0 | every judged metric is equivalent or faster |
//! | 1 | one is slower, or an arm gave wrong answers |
//! | 2 | inconclusive: the difference that this design would have found stands beside each metric |
//! | 3 | invalid: the host, the generator, or the baseline differs from its own copy |
//! | 64 | wrong usage, or what the arms promise differs |

use super::run::{stop_on_signals, usage};
use crate::exit::{FAILED, INVALID, UNDECIDED, USAGE};
use clap::Args;
use load::compare::{self, Arm, CompareError, Setup};
use load::run::RunError;
use load::workload::{Span, Workload};
use measure::comparison::{Change, Comparison, Effect};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Options of `bench compare`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The baseline: a program like this one, or running controllers (`host:port,host:port,...`).
    #[arg(long, value_name = "BIN|ADDRESSES")]
    a: String,
    /// The candidate.
    #[arg(long, value_name = "BIN|ADDRESSES")]
    b: String,
    /// A workload file, or the name of a preset, with `load` or churn: a fleet alone cannot take turns.
    #[arg(short = 'f', long = "workload", value_name = "FILE", default_value = "reads-leader")]
    workload: String,
    /// Groups of four blocks (A B B A), over all restarts; 30 at least carry a verdict.
    #[arg(long, default_value_t = 40)]
    quads: usize,
    /// Length of a block. A quantile is judged if a block holds 100 requests beyond it.
    #[arg(long, default_value = "2s", value_parser = span)]
    block: Duration,
    /// Load before each block that does not count.
    #[arg(long, default_value = "1s", value_parser = span)]
    settle: Duration,
    /// How often both arms are started anew.
    #[arg(long, default_value_t = 5)]
    restarts: usize,
    /// Quads that compare the baseline with a second copy of itself.
    #[arg(long, default_value_t = 4)]
    aa: usize,
    /// Drop quads in which somebody waited for a processor for a larger part of a block, in percent; by default as the
    /// workload's limits say.
    #[arg(long, value_name = "PERCENT")]
    pressure: Option<f64>,
    /// Do not extend an inconclusive comparison.
    #[arg(long)]
    one_look: bool,
    /// Order of the turns, and draws.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Where the comparison is written, for `report --comparison`.
    #[arg(long, value_name = "FILE", default_value = "pitchover-comparison.json")]
    out: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn span(text: &str) -> Result<Duration, String> {
    let span = Span::parse(text).ok_or("a time such as 500ms, 2s, 1m")?;
    Ok(span.0)
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let workload = match Workload::named(&arguments.workload) {
        Ok(workload) => workload,
        Err(error) => return usage("bench compare", &error.to_string()),
    };
    let arms = arm(&arguments.a).and_then(|a| Ok((a, arm(&arguments.b)?)));
    let (a, b) = match arms {
        Ok(arms) => arms,
        Err(why) => return usage("bench compare", &why),
    };
    let setup = Setup {
        quads: arguments.quads,
        same: arguments.aa,
        restarts: arguments.restarts,
        block: arguments.block,
        settle: arguments.settle,
        pressure_pct: arguments.pressure,
        may_extend: !arguments.one_look,
        seed: arguments.seed,
        ..Setup::new(a, b)
    };
    stop_on_signals(&setup.stop);
    let is_terminal = std::io::stderr().is_terminal();
    let told = |text: &str| {
        if is_terminal {
            eprintln!("{text}");
        } else {
            eprintln!("{}", serde_json::json!({ "doing": text }));
        }
    };
    let outcome = match compare::run(&workload, &setup, told) {
        Ok(outcome) => outcome,
        Err(error) => {
            eprintln!("bench compare: {error}");
            return ExitCode::from(code(&error));
        }
    };
    let json = serde_json::to_string_pretty(&outcome.comparison).unwrap_or_default();
    if let Err(error) = std::fs::write(&arguments.out, json.clone() + "\n") {
        eprintln!("bench compare: {}: {error}", arguments.out.display());
        return ExitCode::from(USAGE);
    }
    if arguments.json {
        println!("{json}");
    } else {
        show(&outcome.comparison, &arguments.out);
    }
    for text in &outcome.contradictions {
        eprintln!("bench compare: a wrong answer: {text}");
    }
    ExitCode::from(verdict(&outcome.comparison, outcome.violations))
}

/// A program, or addresses.
fn arm(text: &str) -> Result<Arm, String> {
    if Path::new(text).is_file() {
        return Ok(Arm::Program(PathBuf::from(text)));
    }
    let addresses: Vec<String> = text.split(',').map(str::to_owned).collect();
    let is_address = |address: &String| {
        let port = address.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        matches!(port, Some(Ok(_)))
    };
    if addresses.iter().all(is_address) {
        return Ok(Arm::Addresses(addresses));
    }
    Err(format!("{text:?} is neither a program's file nor addresses (host:port,host:port,...)"))
}

fn code(error: &CompareError) -> u8 {
    match error {
        CompareError::Options(_)
        | CompareError::AcrossDurability { .. }
        | CompareError::Run(RunError::Options(_) | RunError::Target(_)) => USAGE,
        CompareError::Run(_) | CompareError::Generator(_) | CompareError::Io(_) => INVALID,
    }
}

fn verdict(comparison: &Comparison, violations: u64) -> u8 {
    match (violations, comparison.valid, comparison.verdict()) {
        (1.., _, _) => FAILED,
        (0, false, _) => INVALID,
        (0, true, Change::Slower) => FAILED,
        (0, true, Change::Inconclusive) => UNDECIDED,
        (0, true, Change::Faster | Change::Equivalent) => 0,
    }
}

fn show(comparison: &Comparison, out: &Path) {
    let Comparison { a, b, design, workload, .. } = comparison;
    println!("{workload}: {} against {}\n{design}\n", b.arm, a.arm);
    let head = ["metric", "A", "B", "B/A", "interval", "would find", "verdict"];
    println!(
        "{:<36}{:>12}{:>12}{:>8}{:>18}{:>12}  {}",
        head[0], head[1], head[2], head[3], head[4], head[5], head[6]
    );
    comparison.effects.iter().for_each(|effect| row(effect, word(effect)));
    if !comparison.same.is_empty() {
        println!("\nA with a second copy of itself");
        comparison.same.iter().for_each(|effect| row(effect, ""));
    }
    for reason in &comparison.reasons {
        println!("invalid: {reason}");
    }
    let overall = match (comparison.valid, comparison.verdict()) {
        (false, _) => "INVALID: nothing follows",
        (true, Change::Faster) => "FASTER",
        (true, Change::Slower) => {
            "SLOWER (before it blocks anybody, it must come back in a second comparison: --seed)"
        }
        (true, Change::Equivalent) => "EQUIVALENT",
        (true, Change::Inconclusive) => "INCONCLUSIVE",
    };
    println!("\n{overall}\n{}", out.display());
}

fn word(effect: &Effect) -> &'static str {
    match (effect.reported_only, effect.verdict) {
        (true, _) => "not judged: blocks too short",
        (false, Change::Faster) => "faster",
        (false, Change::Slower) => "slower",
        (false, Change::Equivalent) => "equivalent",
        (false, Change::Inconclusive) => "inconclusive",
    }
}

fn row(effect: &Effect, word: &str) {
    let value = |value: Option<f64>| {
        value.map_or("-".to_owned(), |value| format!("{value:.1} {}", effect.unit))
    };
    let interval = effect.low.zip(effect.high);
    let interval = interval.map_or("-".to_owned(), |(low, high)| format!("[{low:.3}, {high:.3}]"));
    let would = effect.detectable.map_or("-".to_owned(), |part| format!("{:.1} %", part * 100.0));
    let name = format!("{} {}", effect.op, effect.metric);
    let (a, b, ratio) = (value(effect.a), value(effect.b), effect.ratio);
    println!("{name:<36}{a:>12}{b:>12}{ratio:>8.3}{interval:>18}{would:>12}  {word}");
}

#[cfg(test)]
mod tests {
    use super::{Arm, arm, verdict};
    use measure::comparison::{Change, Comparison, Effect};

    #[test]
    fn files_are_programs_and_ports_are_addresses() {
        let own = std::env::current_exe().unwrap();
        assert_eq!(arm(own.to_str().unwrap()), Ok(Arm::Program(own)));
        let both = vec!["h:1".to_owned(), "127.0.0.1:9878".to_owned()];
        assert_eq!(arm("h:1,127.0.0.1:9878"), Ok(Arm::Addresses(both)));
        let error = arm("./nowhere").unwrap_err();
        assert!(error.contains("neither a program's file nor addresses"), "{error}");
    }

    #[test]
    fn every_ending_has_its_exit_code() {
        let of = |valid, verdict| {
            let effects = vec![Effect { verdict, ..Effect::default() }];
            Comparison { valid, effects, ..Comparison::default() }
        };
        let rows = [
            (of(true, Change::Equivalent), 0, 0),
            (of(true, Change::Faster), 0, 0),
            (of(true, Change::Slower), 0, 1),
            (of(true, Change::Inconclusive), 0, 2),
            (of(false, Change::Slower), 0, 3),
            (of(false, Change::Faster), 2, 1),
        ];
        for (comparison, violations, expected) in rows {
            assert_eq!(verdict(&comparison, violations), expected, "{comparison:?}");
        }
    }
}

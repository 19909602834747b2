//! The one binary. Each subcommand is a file; this one only finds out which is meant.
//!
//! Called as `mqcontroller` (a link or a copy) it takes the Java start script's flags directly, as `serve` does.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool prints")]

mod bench;
mod canary;
mod chaos;
mod check;
mod clock;
mod describe;
mod dev;
mod elect;
mod exit;
mod logging;
mod perf;
mod report;
mod serve;
mod sim;
mod slo;
mod soak;
mod status;
mod targets;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The RocketMQ 5 Controller, written again in Rust.
#[derive(Debug, Parser)]
#[command(name = "pitchover", version = VERSION, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one controller from a controller.conf of the Java controller.
    Serve(serve::Arguments),
    /// Run three controllers on loopback, with a small simulated broker fleet.
    Dev(dev::Arguments),
    /// Show every controller's view of the cluster.
    Status(status::Arguments),
    /// Show one broker set and why it is as it is.
    Describe(describe::Arguments),
    /// Elect a master of one broker set, or see whom an election would choose, and why.
    Elect(elect::Arguments),
    /// Judge recorded histories: can all answers be explained by one order?
    Check(check::Arguments),
    /// Run whole clusters under faults in one thread, one seed each, and check every invariant.
    Sim(sim::Arguments),
    /// Measure.
    #[command(subcommand)]
    Bench(bench::Command),
    /// Draw run folders: an offline page, Markdown, CSV, JSON, an interval log.
    Report(report::Arguments),
    /// Objectives: judge runs, explain, tighten, compare versions, and make alert rules and dashboards of them.
    #[command(subcommand)]
    Slo(slo::Command),
    /// A long run under faults: objectives slice by slice, what grows, what goes wrong.
    Soak(soak::Arguments),
    /// A low, known load in production; and a candidate judged beside a baseline.
    #[command(subcommand)]
    Canary(canary::Command),
    /// Break real controllers, and judge what their clients saw.
    #[command(subcommand)]
    Chaos(chaos::Command),
    /// The history of figures: when they changed, and which commit did it.
    #[command(subcommand)]
    Perf(perf::Command),
    /// The canned-answer server that `bench quick` compares with.
    #[command(hide = true)]
    CannedServer(bench::CannedArguments),
    /// A part of the simulated fleet of `bench failover`; told by standard input.
    #[command(hide = true)]
    FleetWorker,
}

/// Version of the program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn main() -> ExitCode {
    let mut words: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let is_mqcontroller = is_mqcontroller(words.first());
    if is_mqcontroller {
        words.insert(1, "serve".into());
    }
    if words.get(1).is_some_and(|word| word == "serve") {
        // Java's flags and exit codes, which clap's own would change.
        return serve::run_as_java(&words, is_mqcontroller);
    }
    let arguments = match Arguments::try_parse_from(&words) {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() && exit::is_of_table(words.get(1)) => {
            // Nothing is wrong that the terminal would not show, too.
            drop(error.print());
            return ExitCode::from(exit::USAGE);
        }
        Err(error) => error.exit(),
    };
    match arguments.command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Dev(arguments) => dev::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Describe(arguments) => describe::run(&arguments),
        Command::Elect(arguments) => elect::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Sim(arguments) => sim::run(&arguments),
        Command::Bench(command) => bench::run(command),
        Command::Report(arguments) => report::run(&arguments),
        Command::Slo(command) => slo::run(&command),
        Command::Soak(arguments) => soak::run(&arguments),
        Command::Canary(command) => canary::run(&command),
        Command::Perf(command) => perf::run(&command),
        Command::Chaos(command) => chaos::run(&command),
        Command::CannedServer(arguments) => bench::run_canned(&arguments),
        Command::FleetWorker => bench::run_fleet_worker(),
    }
}

fn is_mqcontroller(program: Option<&std::ffi::OsString>) -> bool {
    let name = program.map(std::path::Path::new).and_then(std::path::Path::file_stem);
    name.is_some_and(|name| name == "mqcontroller")
}

//! `pitchover bench`: the measuring commands of the crate `load`.

mod budget;
mod calibrate;
mod compare;
mod failover;
mod fleet;
mod hot;
mod otlp;
mod ramp;
pub(crate) mod run;
mod selftest;
mod subject;

use crate::exit::{FAILED, INVALID, USAGE};
use clap::{Parser, Subcommand, ValueEnum};
use load::quick::{self, Options, QuickError};
use std::process::ExitCode;
use std::time::Duration;

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// A workload file or a preset, open loop: latency counts from when a request was due; a run folder holds all of it.
    Run(run::Arguments),
    /// The same with the load of several workers, on as many hosts: one start, one folder, histograms merged by buckets.
    Fleet(fleet::Arguments),
    /// Waits for `bench fleet` on another host and plays the part of the load that it is given.
    Worker(fleet::WorkerArguments),
    /// A workload at several sizes: where it stops keeping up, and how much it carries within a limit.
    Ramp(ramp::Arguments),
    /// Two builds in turns on one host, blocks A B B A: faster, slower, equivalent, or unknown.
    Compare(compare::Arguments),
    /// Instructions, syncs, bytes and frames of an operation beside what they may be: fails beyond a budget.
    Budget(budget::Arguments),
    /// What the straight line costs: four loops with fixed counts, by instructions where the machine counts them.
    Hot(hot::Arguments),
    /// Proves the harness: a server that stalls by plan is seen as it is, and equal servers are found equal.
    Selftest(selftest::Arguments),
    /// What this host can do at best: round trip, fdatasync, timers, noise.
    Calibrate(calibrate::Arguments),
    /// Writes, reads, heartbeats, follower reads and a mix of 64 closed-loop connections, beside this machine's ceiling.
    Quick(QuickArguments),
    /// How long a simulated fleet waits when masters or controllers die, and that nothing dies by mistake.
    #[command(subcommand)]
    Failover(failover::Command),
}

/// Options of `bench quick`.
#[derive(Debug, Parser)]
pub(crate) struct QuickArguments {
    /// Running controllers, also Java's: `host:port,host:port,...`. Three are started if there are none.
    #[arg(long, value_delimiter = ',')]
    target: Vec<String>,
    /// Closed-loop connections.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Measured seconds of each workload.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Milliseconds of the same load before each measurement.
    #[arg(long, default_value_t = 1_000)]
    warm_up_ms: u64,
    /// What is measured; everything by default.
    #[arg(long, value_enum, value_delimiter = ',')]
    rows: Vec<QuickRow>,
    /// Leave out the same bytes against a canned-answer server.
    #[arg(long)]
    no_ceiling: bool,
    /// Folder in which each row becomes a run folder, that of follower reads for the first follower.
    #[arg(long)]
    out: Option<std::path::PathBuf>,
    /// Folder in which the started controllers keep their data; a temporary one by default.
    #[arg(long)]
    data: Option<std::path::PathBuf>,
    #[command(flatten)]
    subject: subject::SubjectArguments,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Rows of `bench quick`.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum QuickRow {
    /// alterSyncStateSet on the leader.
    Writes,
    /// getReplicaInfo on the leader.
    Reads,
    /// Two-way heartbeats on the leader.
    Heartbeats,
    /// getReplicaInfo on each follower.
    FollowerReads,
    /// What brokers send, on all nodes.
    Mix,
}

impl From<QuickRow> for load::Workload {
    fn from(row: QuickRow) -> Self {
        match row {
            QuickRow::Writes => Self::AlterSyncStateSet,
            QuickRow::Reads => Self::GetReplicaInfo,
            QuickRow::Heartbeats => Self::Heartbeat,
            QuickRow::FollowerReads => Self::FollowerRead,
            QuickRow::Mix => Self::Mix,
        }
    }
}

/// Options of the hidden canned-answer server.
#[derive(Debug, Parser)]
pub(crate) struct CannedArguments {
    /// Port on loopback.
    #[arg(long)]
    port: u16,
    /// From one stall to the next; 0 for none.
    #[arg(long, default_value_t = 0)]
    stall_every_ms: u64,
    /// Length of each stall.
    #[arg(long, default_value_t = 0)]
    stall_ms: u64,
}

/// Names of all workloads that need no file.
pub(crate) fn preset_names() -> Vec<&'static str> {
    load::workload::PRESETS.iter().map(|(name, _)| *name).collect()
}

pub(crate) fn run(command: Command) -> ExitCode {
    match command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Fleet(arguments) => fleet::run(&arguments),
        Command::Worker(arguments) => fleet::run_worker(&arguments),
        Command::Budget(arguments) => budget::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Hot(arguments) => hot::run(&arguments),
        Command::Ramp(arguments) => ramp::run(&arguments),
        Command::Selftest(arguments) => selftest::run(&arguments),
        Command::Calibrate(arguments) => calibrate::run(&arguments),
        Command::Quick(arguments) => run_quick(arguments),
        Command::Failover(command) => failover::run(command),
    }
}

fn run_quick(arguments: QuickArguments) -> ExitCode {
    let options = Options {
        targets: arguments.target,
        connections: arguments.connections,
        warm_up: Duration::from_millis(arguments.warm_up_ms),
        measure: Duration::from_secs(arguments.seconds),
        rows: arguments.rows.into_iter().map(Into::into).collect(),
        has_ceiling: !arguments.no_ceiling,
        record: arguments.out,
        subject: arguments.subject.subject(),
        folder: arguments.data,
        ..Options::default()
    };
    run::stop_on_signals(&options.stop);
    match quick::run(options) {
        Ok(report) if arguments.json => println!("{}", report.to_json()),
        Ok(report) => println!("{report}"),
        Err(error) => {
            eprintln!("bench quick: {error}");
            return ExitCode::from(match error {
                QuickError::Connections(_) | QuickError::Record(_) => USAGE,
                QuickError::Workload { .. } => FAILED,
                QuickError::Ground(_)
                | QuickError::Prepare(_)
                | QuickError::Removal(_)
                | QuickError::Interrupted => INVALID,
            });
        }
    }
    ExitCode::SUCCESS
}

pub(crate) fn run_canned(arguments: &CannedArguments) -> ExitCode {
    let stalls = load::canned::Stalls {
        every: Duration::from_millis(arguments.stall_every_ms),
        length: Duration::from_millis(arguments.stall_ms),
    };
    let listener = std::net::TcpListener::bind(("127.0.0.1", arguments.port));
    match listener.and_then(|listener| load::canned::run(listener, stalls)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("canned-server: {error}");
            ExitCode::FAILURE
        }
    }
}

pub(crate) fn run_fleet_worker() -> ExitCode {
    match load::generator::worker::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fleet-worker: {error}");
            ExitCode::FAILURE
        }
    }
}

//! `pitchover bench failover`: its arms and their options.
//!
//! Exit codes are those of `crate::exit`: 1 for a goal missed or something wrong; 3 also for a goal missed while the
//! generator was late itself.

use super::run::stop_on_signals;
use crate::exit::{INVALID, USAGE};
use clap::{Args, Subcommand};
use load::failover::{FailoverError, Ground, Report, leader, masters, steady};
use std::process::ExitCode;
use std::time::Duration;

/// What happens to the fleet or to the controllers.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Masters vanish; measured is the time until each survivor has been told who is master now.
    Masters(MastersArguments),
    /// The controllers' leader is killed or frozen; measured is the time to the first accepted write.
    Leader(LeaderArguments),
    /// Nothing dies: a large fleet heartbeats and polls; nobody may be taken for dead.
    Steady(SteadyArguments),
}

/// Options of every arm.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Folder in which the started controllers keep their data; a temporary one by default.
    #[arg(long)]
    data: Option<std::path::PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Options of `masters`.
#[derive(Debug, Args)]
pub(crate) struct MastersArguments {
    /// Running controllers on this host, also Java's: `host:port,host:port,...`. Three are started if there are none.
    #[arg(long, value_delimiter = ',')]
    target: Vec<String>,
    /// Broker sets of three brokers.
    #[arg(long, default_value_t = 1_000)]
    sets: usize,
    /// Masters that die together, the others after a pause; by default all.
    #[arg(long)]
    at_once: Option<usize>,
    /// Milliseconds from the last survivor told to the next death.
    #[arg(long, default_value_t = 500)]
    pause_ms: u64,
    #[command(flatten)]
    common: Common,
}

/// Options of `leader`.
#[derive(Debug, Args)]
pub(crate) struct LeaderArguments {
    /// Running controllers on this host, also Java's: `host:port,host:port,...`. Three are started if there are none.
    #[arg(long, value_delimiter = ',')]
    target: Vec<String>,
    /// Kill and freeze targets, too. Whoever started a killed one must start it again; that is waited for.
    #[arg(long, requires = "target")]
    strike_targets: bool,
    /// Broker sets of the fleet that lives through it.
    #[arg(long, default_value_t = 100)]
    sets: usize,
    /// How often the leader is killed (`kill -9`).
    #[arg(long, default_value_t = 20)]
    kills: usize,
    /// How often the leader is frozen (SIGSTOP).
    #[arg(long, default_value_t = 5)]
    freezes: usize,
    /// Folder of this run; it is not recorded by default.
    #[arg(long)]
    out: Option<std::path::PathBuf>,
    #[command(flatten)]
    subject: super::subject::SubjectArguments,
    #[command(flatten)]
    common: Common,
}

/// Options of `steady`.
#[derive(Debug, Args)]
pub(crate) struct SteadyArguments {
    /// Running controllers on this host, also Java's: `host:port,host:port,...`. Three are started if there are none.
    #[arg(long, value_delimiter = ',')]
    target: Vec<String>,
    /// Simulated brokers, in sets of three.
    #[arg(long, default_value_t = 18_000)]
    brokers: usize,
    /// Brokers that share one connection to each controller.
    #[arg(long, default_value_t = 1)]
    share: usize,
    /// Seconds with heartbeats and polls.
    #[arg(long, default_value_t = 300)]
    duration: u64,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(command: Command) -> ExitCode {
    let ground = |target, common: &Common| {
        let folder = common.data.clone();
        let ground = Ground { targets: target, folder, ..Ground::default() };
        stop_on_signals(&ground.stop);
        ground
    };
    let (ran, common) = match command {
        Command::Masters(MastersArguments { target, sets, at_once, pause_ms, common }) => {
            let ground = ground(target, &common);
            let pause = Duration::from_millis(pause_ms);
            let at_once = at_once.unwrap_or(sets);
            (masters::run(&masters::Options { ground, sets, at_once, pause }), common)
        }
        Command::Leader(it) => {
            let options = leader::Options {
                ground: ground(it.target, &it.common),
                strikes_targets: it.strike_targets,
                sets: it.sets,
                kills: it.kills,
                freezes: it.freezes,
                record: it.out,
                subject: it.subject.subject(),
            };
            (leader::run(&options), it.common)
        }
        Command::Steady(SteadyArguments { target, brokers, share, duration, common }) => {
            let ground = ground(target, &common);
            let duration = Duration::from_secs(duration);
            let brokers_per_connection = share;
            let options = steady::Options { ground, brokers, brokers_per_connection, duration };
            (steady::run(&options), common)
        }
    };
    show(ran, common.json)
}

fn show(ran: Result<Report, FailoverError>, is_json: bool) -> ExitCode {
    match ran {
        Ok(report) => {
            if is_json {
                println!("{}", report.to_json());
            } else {
                println!("{report}");
            }
            report.verdict().into()
        }
        Err(error) => {
            eprintln!("bench failover: no report: {error}");
            let is_usage = matches!(error, FailoverError::Options(_) | FailoverError::Folder(_));
            ExitCode::from(if is_usage { USAGE } else { INVALID })
        }
    }
}

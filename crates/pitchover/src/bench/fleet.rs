//! `pitchover bench worker` and `pitchover bench fleet`: one run whose load comes from several hosts.
//!
//! `bench fleet` takes what `bench run` takes, leaves the same folder, and ends with its exit codes. A worker that dies makes the
//! run invalid (3), with its name; one that refuses is wrong usage (64).

use super::otlp::OtlpArguments;
use super::run::{Common, How, run_recorded, stop_on_signals, usage};
use clap::Args;
use load::fleet::worker::{Options, Worker, check_token};
use load::fleet::{Fleet, PORT, with_port};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Where the token is looked for.
const TOKEN: &str = "PITCHOVER_FLEET_TOKEN";

/// Options of `bench worker`.
#[derive(Debug, Args)]
pub(crate) struct WorkerArguments {
    /// Where coordinators connect to; beyond loopback only with a token, in the environment as `PITCHOVER_FLEET_TOKEN`.
    #[arg(long, value_name = "ADDR", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)))]
    listen: SocketAddr,
}

/// Options of `bench fleet`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    otlp: OtlpArguments,
    /// Running workers: `host,host:port,...`, port 9700 unless named; each plays a part of the load. Their token is `PITCHOVER_FLEET_TOKEN`.
    #[arg(long, value_delimiter = ',', required = true)]
    workers: Vec<String>,
    /// Folder of this run; `pitchover-runs/NAME-TIME` by default.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// The token of this process, if it has one.
fn token() -> Option<String> {
    std::env::var(TOKEN).ok().filter(|token| !token.is_empty())
}

pub(crate) fn run_worker(arguments: &WorkerArguments) -> ExitCode {
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signals(&stop);
    let options = Options {
        listen: arguments.listen,
        token: token(),
        version: crate::VERSION.to_owned(),
        program: None,
        stop,
    };
    let worker = match Worker::new(options) {
        Ok(worker) => worker,
        Err(error) => return usage("bench worker", &error.to_string()),
    };
    let address = worker.address().unwrap_or(arguments.listen);
    eprintln!("bench worker: listening on {address}");
    worker.run(|text| eprintln!("bench worker: {text}"));
    ExitCode::SUCCESS
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let token = token();
    if let Some(Err(error)) = token.as_deref().map(check_token) {
        return usage("bench fleet", &error.to_string());
    }
    let workers = arguments.workers.iter().map(|worker| with_port(worker)).collect();
    let fleet = Fleet { workers, token, version: crate::VERSION.to_owned() };
    let (out, otlp) = (arguments.out.clone(), arguments.otlp.clone());
    run_recorded("bench fleet", &arguments.common, How { out, otlp, fleet: Some(fleet) })
}

//! `pitchover bench selftest`: whether the harness says the truth.
//!
//! 0: it does; 1: it does not; 3: this host is too busy to tell.

use clap::Args;
use load::selftest::{self, Options, Verdict};
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `bench selftest`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Folder of its run folders; `pitchover-runs/selftest-TIME` by default.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let folder = arguments.out.clone().unwrap_or_else(|| super::run::default_folder("selftest"));
    let options = Options { program: None, folder };
    match selftest::run(&options, |text| eprintln!("bench selftest: {text}")) {
        Ok(report) => {
            if arguments.json {
                println!("{}", report.to_json());
            } else {
                println!("{report}");
            }
            match report.verdict() {
                Verdict::Passed => ExitCode::SUCCESS,
                Verdict::Failed => ExitCode::FAILURE,
                Verdict::Invalid => ExitCode::from(crate::exit::INVALID),
            }
        }
        Err(error) => {
            eprintln!("bench selftest: {error}");
            ExitCode::from(crate::exit::INVALID)
        }
    }
}

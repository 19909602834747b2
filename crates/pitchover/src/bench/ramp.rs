//! `pitchover bench ramp`: a workload at several sizes; the knee, and capacity at a limit.
//!
//! 0: done; 1: wrong answers; 3: no point was valid; 64: wrong usage.

use clap::{Args, ValueEnum};
use load::ramp::{self, Limit, RampError};
use std::process::ExitCode;

/// Options of `bench ramp`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: super::run::Common,
    /// Factors of the workload's rates, or of its broker sets if it has no streams.
    #[arg(long, value_delimiter = ',', default_value = "0.25,0.5,1,2,3")]
    scale: Vec<f64>,
    /// In which order.
    #[arg(long, value_enum, default_value = "shuffled")]
    order: Order,
    /// What capacity means: `OPERATION:QUANTILE:TIME`, such as `get_replica_info:p99:10ms`.
    #[arg(long, value_parser = Limit::read)]
    until: Option<Limit>,
    /// Folder of all run folders; `pitchover-runs/ramp-NAME-TIME` by default.
    #[arg(long)]
    out: Option<std::path::PathBuf>,
}

/// In which order sizes are run.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Order {
    /// By chance, by the seed.
    Shuffled,
    /// From the smallest to the largest.
    Rising,
    /// Rising, then falling.
    Mirrored,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let common = &arguments.common;
    let order = match arguments.order {
        Order::Shuffled => ramp::Order::Shuffled,
        Order::Rising => ramp::Order::Rising,
        Order::Mirrored => ramp::Order::Mirrored,
    };
    let prepared = common.workload().and_then(|workload| {
        let name = format!("ramp-{}", workload.name);
        let out = arguments.out.clone().unwrap_or_else(|| super::run::default_folder(&name));
        common.setup(&workload, Some(out)).map(|setup| (workload, setup))
    });
    let (workload, setup) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return super::run::usage("bench ramp", &error),
    };
    let mut shown = super::run::Shown::new(workload.time.window.millis());
    let sizes = (&arguments.scale[..], order);
    let ramp = ramp::run(&workload, sizes, arguments.until.clone(), &setup, |it| shown.show(&it));
    match ramp {
        Ok(ramp) => {
            if common.json {
                println!("{}", serde_json::to_string_pretty(&ramp).unwrap_or_default());
            } else {
                println!("{ramp}\n{}", setup.folder.display());
            }
            match (ramp.violations(), ramp.is_valid()) {
                (1.., _) => ExitCode::FAILURE,
                (0, true) => ExitCode::SUCCESS,
                (0, false) => ExitCode::from(crate::exit::INVALID),
            }
        }
        Err(RampError::Run(error)) => super::run::failed("bench ramp", &error),
        Err(error) => super::run::usage("bench ramp", &error.to_string()),
    }
}

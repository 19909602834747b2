//! `pitchover soak`: a long run under faults, judged by the objectives slice by slice, by what grew, and by what went
//! wrong.
//!
//! | Exit code | Means |
//! |---|---|
//! | 0 | nothing went wrong, nothing grows, the objectives were kept but for their budget |
//! | 1 | wrong answers, lost writes, living brokers taken for dead, a drift; or objectives missed too often |
//! | 2 | undecided: too short, or nobody counted what must be counted |
//! | 3 | invalid: generator or host; says nothing about the server |
//! | 64 | wrong usage, or a file that is none |
//!
//! The run folder also gets `soak.json`, `soak.md` (for a merge request) and `report.html`. A signal ends the load early
//! and in order; what was measured until then is judged.

use crate::bench::run::{self as bench, Common, Shown, usage};
use ::slo::{Objectives, Soak, SoakOptions};
use clap::Parser;
use load::run::{RunError, Summary};
use load::workload::{Span, Workload};
use measure::folder::{self, Found};
use measure::judged::Judged;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Options of `soak`.
#[derive(Debug, Parser)]
#[command(mut_arg("workload", |workload| workload.default_value("soak-mixed")))]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// How long to measure: `5m`, `2h`, up to 55 h in windows of a second; as long as the workload says by default.
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    length: Option<Span>,
    /// Faults in the place of the workload's own.
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Objectives, and the limits of `[soak]`.
    #[arg(long, value_name = "FILE", default_value = "slo.toml")]
    slo: PathBuf,
    /// Report objectives, p99 and the last slice against the first, but let them fail nothing: for hosts with neighbours.
    #[arg(long)]
    report_clock: bool,
    /// Folder of this run; `pitchover-runs/NAME-TIME` by default.
    #[arg(long)]
    out: Option<PathBuf>,
}

fn span(text: &str) -> Result<Span, String> {
    Span::parse(text).ok_or_else(|| "a time such as 5m, 2h".to_owned())
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let (workload, objectives) = match prepared(arguments) {
        Ok(prepared) => prepared,
        Err(why) => return usage("soak", &why),
    };
    let mut setup = match arguments.common.setup(&workload, arguments.out.clone()) {
        Ok(setup) => setup,
        Err(why) => return usage("soak", &why),
    };
    (setup.may_end_early, setup.counts_deaths) = (true, true);
    let out = setup.folder.clone();
    let mut shown = Shown::new(workload.time.window.millis());
    let ran = load::run::run_with(&workload, setup, |progress| shown.show(&progress));
    let ran = match ran {
        Ok(ran) => ran,
        Err(error) => return bench::failed("soak", &error),
    };
    let found = match folder::read(&out) {
        Ok(found) => found,
        Err(error) => return bench::failed("soak", &RunError::Folder(error)),
    };
    let options = SoakOptions {
        gates_clock: !arguments.report_clock,
        send_lag_us: workload.limits.send_lag_p99.0.as_secs_f64() * 1e6,
        psi_cpu_some_pct: workload.limits.psi_cpu_some.0,
        today: &crate::slo::today(),
    };
    let soak = ::slo::soak(&objectives, &found, &options);
    let written = match write(&out, &found, &soak) {
        Ok(written) => written,
        Err(why) => return usage("soak", &why),
    };
    if arguments.common.json {
        println!("{}", serde_json::to_string_pretty(&soak).unwrap_or_default());
    } else {
        println!("{}\n{}", Summary(&ran), soak.headline());
        written.iter().for_each(|path| println!("{}", path.display()));
    }
    ExitCode::from(soak.code())
}

/// The workload as it will run, and the file of objectives.
fn prepared(arguments: &Arguments) -> Result<(Workload, Objectives), String> {
    let mut workload = arguments.common.workload()?;
    if let Some(length) = arguments.length {
        workload = workload.lasting(length).map_err(|error| error.to_string())?;
    }
    if let Some(path) = &arguments.faults {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
        workload = workload.with_faults(&name, &text).map_err(|error| error.to_string())?;
    }
    Ok((workload, crate::slo::objectives(&arguments.slo)?.1))
}

/// Writes what was judged beside what was measured; the files.
fn write(out: &Path, found: &Found, soak: &Soak) -> Result<[PathBuf; 3], String> {
    let files = ["soak.json", "soak.md", "report.html"].map(|name| out.join(name));
    let tables = soak.tables();
    let judged: &[Judged] = &soak.whole;
    let title = format!("{}: {}", found.run.name, soak.headline());
    let options = report::Options {
        title: Some(&title),
        judged,
        tables: &tables,
        ..report::Options::default()
    };
    let runs = std::slice::from_ref(found);
    let failed = |error: report::ReportError| error.to_string();
    let json = serde_json::to_string_pretty(soak).map_err(|error| error.to_string())? + "\n";
    let texts = [
        json,
        report::markdown(runs, &options).map_err(failed)?,
        report::html(runs, &options).map_err(failed)?,
    ];
    for (path, text) in files.iter().zip(texts) {
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(files)
}

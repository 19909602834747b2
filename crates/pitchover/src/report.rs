//! `pitchover report`: run folders as a page, Markdown, CSV, JSON or an interval log.
//!
//! | Exit code | Means |
//! |---|---|
//! | 0 | written; whether the runs were valid is what the report says |
//! | 64 | nothing was written: no run folder, or a comparison that would mislead |

use crate::exit::USAGE;
use clap::{Parser, ValueEnum};
use measure::comparison::{self, Comparison};
use measure::folder::{self, Found};
use measure::judged::Judged;
use measure::tables::Table;
use serde::de::DeserializeOwned;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What is written.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    /// One offline page with pictures.
    Html,
    /// Tables for a merge request.
    Md,
    /// All figures.
    Json,
    /// One row for each figure.
    Csv,
    /// All windows as one interval log.
    Hlog,
}

/// Draw run folders, also those of unfinished runs.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// What is written.
    form: Form,
    /// Run folders. Those of one arm and load are merged, several loads are a ramp; the first arm is the baseline.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Run folders of the baseline, instead of the first arm.
    #[arg(long, value_name = "RUN")]
    vs: Vec<PathBuf>,
    /// Where to; standard output by default.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Title of the report.
    #[arg(long)]
    title: Option<String>,
    /// Judged objectives, as JSON.
    #[arg(long, value_name = "FILE")]
    judged: Option<PathBuf>,
    /// Tables that were computed beside the runs, as JSON; they stand before all others.
    #[arg(long, value_name = "FILE")]
    tables: Option<PathBuf>,
    /// What `bench compare` found, as JSON.
    #[arg(long, value_name = "FILE")]
    comparison: Option<PathBuf>,
    /// Compare arms of different durability; every such ratio is marked.
    #[arg(long)]
    across_durability: bool,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Folder(#[from] folder::FolderError),
    #[error(transparent)]
    Report(#[from] ::report::ReportError),
    #[error("{}: {why}", path.display())]
    File { path: PathBuf, why: String },
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match write(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("report: {problem}");
            ExitCode::from(USAGE)
        }
    }
}

fn write(arguments: &Arguments) -> Result<(), Problem> {
    let read = |paths: &[PathBuf]| -> Result<Vec<Found>, Problem> {
        Ok(paths.iter().map(|path| folder::read(path)).collect::<Result<_, _>>()?)
    };
    let (runs, vs) = (read(&arguments.runs)?, read(&arguments.vs)?);
    let judged: Vec<Judged> = match &arguments.judged {
        Some(path) => parse(path)?,
        None => Vec::new(),
    };
    let tables: Vec<Table> = match &arguments.tables {
        Some(path) => parse(path)?,
        None => Vec::new(),
    };
    let comparison: Option<Comparison> = arguments.comparison.as_deref().map(parse).transpose()?;
    let wrong = comparison.as_ref().filter(|found| found.schema != comparison::SCHEMA);
    if let (Some(found), Some(path)) = (wrong, &arguments.comparison) {
        let why = format!("its schema is {:?}, expected {:?}", found.schema, comparison::SCHEMA);
        return Err(Problem::File { path: path.clone(), why });
    }
    let options = ::report::Options {
        title: arguments.title.as_deref(),
        vs: &vs,
        judged: &judged,
        comparison: comparison.as_ref(),
        tables: &tables,
        across_durability: arguments.across_durability,
    };
    let text = match arguments.form {
        Form::Html => ::report::html(&runs, &options)?,
        Form::Md => ::report::markdown(&runs, &options)?,
        Form::Json => ::report::json(&runs, &options)?,
        Form::Csv => ::report::csv(&runs, &options)?,
        Form::Hlog => ::report::hlog(vs.iter().chain(&runs)),
    };
    let path = arguments.out.clone().unwrap_or_else(|| "standard output".into());
    let written = match &arguments.out {
        Some(path) => std::fs::write(path, text),
        None => std::io::stdout().write_all(text.as_bytes()),
    };
    written.map_err(|error| Problem::File { path, why: error.to_string() })
}

fn parse<T: DeserializeOwned>(path: &Path) -> Result<T, Problem> {
    let failed = |why: String| Problem::File { path: path.to_owned(), why };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| failed(error.to_string()))
}

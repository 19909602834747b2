//! Draws what was measured: one offline page, Markdown for a merge request, CSV, JSON, and interval logs.
//!
//! ```text
//! run folders ─► arms (workload, arm, step of load) ─► figures ─┬─► page, Markdown, CSV, JSON
//!                        └── histograms merged, percentiles never averaged
//! ```
//!
//! [`draw`] knows nothing of runs and is what all pages of the project are drawn with. The rest knows
//! nothing of where runs come from. What is *absent*: measuring, judging, a clock, and the network.
#![forbid(unsafe_code)]

mod arms;
mod csv;
pub mod draw;
mod hlog;
mod markdown;
mod page;
mod ratios;
mod summary;

pub use csv::csv;
pub use hlog::hlog;
pub use markdown::markdown;
pub use page::html;

use measure::comparison::Comparison;
use measure::folder::Found;
use measure::judged::Judged;
use measure::tables::Table;

/// What a report says besides its runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// Its title; names of workloads if there is none.
    pub title: Option<&'a str>,
    /// The baseline: what all others are compared with. Without, it is the arm of the first run.
    pub vs: &'a [Found],
    /// Objectives that were judged on these runs.
    pub judged: &'a [Judged],
    /// What `bench compare` found.
    pub comparison: Option<&'a Comparison>,
    /// Tables that were computed beside the runs.
    pub tables: &'a [Table],
    /// Compare arms that do not promise the same; every such ratio is marked.
    pub across_durability: bool,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Nothing to report.
    #[error("no run was given")]
    NoRuns,
    /// Arms that do not promise the same.
    #[error(
        "workload {workload:?}: {arms}: what survives a loss of power differs, so a comparison would \
         mislead; leave arms out, or ask for it with --across-durability, which marks it"
    )]
    AcrossDurability {
        /// Which one.
        workload: String,
        /// Arms and their classes.
        arms: String,
    },
    /// Colours and letters end.
    #[error("{} arms, at most {} (ARMS_MAX) can be told apart: {}", names.len(), arms::ARMS_MAX, names.join(", "))]
    TooManyArms {
        /// All of them.
        names: Vec<String>,
    },
    /// Even drawn coarsely the page is too large.
    #[error(
        "the page would have {bytes} bytes, at most {} (PAGE_BYTES_MAX) are allowed: report fewer runs at once",
        draw::page::PAGE_BYTES_MAX
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

/// All figures as JSON (`pitchover.report/v1`).
///
/// # Errors
/// - [`ReportError`], all but the last.
///
/// # Panics
/// Never: all figures have a form in JSON.
pub fn json(runs: &[Found], options: &Options<'_>) -> Result<String, ReportError> {
    let summary = summary::summary(&arms::model(runs, options)?);
    Ok(serde_json::to_string_pretty(&summary).expect("figures have a form in JSON") + "\n")
}

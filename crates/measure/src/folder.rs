//! The run folder: everything that one run found, readable at any moment.
//!
//! | File | What | Written |
//! |---|---|---|
//! | `run.json` | what was run, whether it is valid, totals ([`Run`]) | at the start with `finished = false`, replaced at the end |
//! | `windows.ndjson` | one line for each window ([`Window`]) | appended when the window is over |
//! | `events.ndjson` | faults, elections, notes ([`Happening`]) | appended as they happen |
//! | `slowest.ndjson` | the slowest requests ([`Slow`]) | at the end |
//! | `broker_sets.ndjson` | milestones of each broker set of a failover run ([`BrokerSet`]) | at the end, optional |
//! | `<operation>.hlog` | the latency histograms of all windows, as `HdrHistogram`'s own tools read them | appended with the windows |
//! | `server/<node>.prom` | the last metrics page of a node | at the end, optional |
//!
//! Times say their unit in their names; `at_ms` counts from the start of measuring and is negative
//! in the warm-up. Histograms are in nanoseconds (see [`crate::histogram`]).
//!
//! A run that was interrupted leaves `run.json` with `finished = false` and all lines but perhaps a
//! part of the last one; [`read()`] takes it, adds the windows up, and says what is missing. Readers
//! ignore members that they do not know; `schema` is checked.
//!
//! The lines are plain text: compressed ones would need a C library in the build, and text can be
//! looked at with any tool while the run goes on. A window takes a kilobyte or two for each operation.

mod lines;
mod reader;
mod run;
mod writer;

use std::io;
use std::path::PathBuf;

pub use lines::{BrokerSet, Happening, HostWindow, Slow, Window, WindowOperation, WindowServer};
pub use reader::{Found, read};
pub use run::{
    Calibration, Correctness, Cost, Durability, Failover, Goal, Host, Milestone, Operation, Run,
    Server, Target, TargetKind, Time, Validity,
};
pub use writer::Writer;

/// What `schema` says.
pub const SCHEMA: &str = "pitchover.run/v1";

const RUN: &str = "run.json";
const WINDOWS: &str = "windows.ndjson";
const EVENTS: &str = "events.ndjson";
const SLOWEST: &str = "slowest.ndjson";
const BROKER_SETS: &str = "broker_sets.ndjson";
const SERVERS: &str = "server";

/// Why a run folder could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file could not be had.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// There is a run already.
    #[error("{} holds a run already: choose another folder (--out)", path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// The file is no run of ours.
    #[error("{}: {why}", path.display())]
    NotARun {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

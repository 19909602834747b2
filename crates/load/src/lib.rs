//! Load generation and measurement.
//!
//! ```text
//! quick ──► own_cluster      three controllers, if no target is named
//!       ──► broker_sets      what the requests are about
//!       ──► closed_loop      one thread, many connections ──► requester, answer, slot
//!       ──► canned           the ceiling, in a process of its own
//!       ──► process, host    CPU time, memory, file system
//!       ──► report           a table and JSON
//! ```
//!
//! The first command is `bench quick`: [`quick::run`]. Its ceiling is [`canned::run`], which the
//! program offers as a hidden subcommand, because the run starts itself again for it.
//!
//! What is *absent*: a command line, and open-loop load.
#![forbid(unsafe_code)]

mod answer;
mod broker_sets;
pub mod canned;
mod clock;
mod closed_loop;
mod host;
mod own_cluster;
mod process;
pub mod quick;
mod report;
mod requester;
mod slot;

pub use answer::BadAnswer;
pub use broker_sets::PrepareError;
pub use closed_loop::LaneError;
pub use own_cluster::{OwnCluster, free_ports};
pub use report::{Figures, Node, Report, Row, Workload};
pub use requester::NotPatchable;

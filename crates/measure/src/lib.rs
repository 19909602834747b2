//! What a measurement is, for those who make one and for those who read it.
//!
//! ```text
//! load ──► folder::Writer ──► a run folder ──► folder::read ──► report, objectives, comparisons
//!              └── histogram ───── merged, never averaged ───────┘
//!                                  statistics ── how far a figure could have been off ──┘
//! ```
//!
//! What is *absent*: sockets, clocks, threads, a command line, and any opinion about the figures.
#![forbid(unsafe_code)]

pub mod cells;
pub mod comparison;
pub mod folder;
pub mod histogram;
pub mod history;
pub mod judged;
pub mod ramp;
pub mod statistics;
pub mod tables;

pub use cells::{Cells, Quantile};
pub use histogram::{Encoded, Histogram, NotAHistogram, Quantiles};

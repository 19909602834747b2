//! What clients ask of a controller group, what they saw, and the judges of it.
//!
//! ```text
//! simulator ─┐
//! load ──────┼─► History (JSON lines) ─► check::judge ─► Verdict: in order, or the operations that cannot both be
//! chaos ─────┘
//! ```
//!
//! | Module | What |
//! |---|---|
//! | [`history`] | operations with their begin, end and outcome; the file format |
//! | [`check`] | the judges |
//! | [`published`] | histories of others with known verdicts, for the judges' own exam |
//! | [`record`] | from a request and its answer to an operation, the same for every recorder |
//!
//! No clock, no randomness, no IO: a caller gives the time of an operation and the text of a file.
#![forbid(unsafe_code)]

pub mod check;
pub mod history;
pub mod published;
pub mod record;

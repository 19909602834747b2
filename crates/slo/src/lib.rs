//! Objectives as code: one file judges runs, moves its own bars one way only, and writes alert rules and dashboards.
//!
//! ```text
//!              ┌─ judge ────── runs ──► pass, fail, extended, inconclusive, invalid ──► explain
//! slo.toml ────┼─ ratchet ──── runs that kept a hope often enough ──► slo.toml, tighter
//!   (file)     ├─ soak ─────── one long run ──► slice by slice, what grows, what went wrong
//!              ├─ lint ─────── two versions of the file ──► what was loosened without a waiver
//!              └─ rules, dashboard ──► Prometheus, Grafana
//! ```
//!
//! A *bar* (`minimum`) fails a build, a *hope* (`aspire`) never does; when a hope has been kept for long enough the bar
//! moves to it. Where a bar has a floor, the host's own sync or round trip times a factor, the larger of the two is in
//! force: a slow disk is not our regression.
//!
//! What is *absent*: making runs, a clock (the day is an argument), processes, and the network.
#![forbid(unsafe_code)]

mod budgets;
mod dashboard;
mod explain;
mod file;
mod judge;
mod lint;
mod ratchet;
mod rules;
mod sli;
mod soak;

pub use budgets::{BUDGETS_SCHEMA, Budget, BudgetVerdict, Budgets, Counted};
pub use dashboard::{DASHBOARD_UID, dashboard, expressions};
pub use explain::{explain, sign};
pub use file::{
    Aspire, FileError, Floor, History, Minimum, Objective, Objectives, Production, Ratchet, SCHEMA,
    Sli, SliKind, Waiver,
};
pub use judge::{Ending, RUNS_MAX, judge};
pub use lint::{Loosened, loosened};
pub use ratchet::{Move, RatchetError, ratchet};
pub use rules::{Alert, METRICS, WINDOWS, rules};
pub use soak::{
    Change, Count, Drift, Growth, Kept, SLICES_MIN, Soak, SoakLimits, SoakOptions, Trend, soak,
};

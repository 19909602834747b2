//! What was found of one objective: written by whoever judges, read by whoever shows.
//!
//! Limits, aspirations and values of one objective are in one unit, which `unit` names.

use serde::{Deserialize, Serialize};

/// One objective, judged on one or more runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Judged {
    /// Names the objective: `write-p99`.
    pub id: String,
    /// Which part of the system it is about.
    pub component: String,
    /// The workload it was judged on.
    pub workload: String,
    /// The arm it was judged on.
    pub arm: String,
    /// What is measured, in words: `alter_sync_state_set latency p99`.
    pub sli: String,
    /// Of all figures here: `ms`, `1/s`, `bytes`, …; empty for a count.
    pub unit: String,
    /// Which way is better.
    pub better: Better,
    /// What was measured; absent if nothing could be.
    pub value: Option<f64>,
    /// Lower end of its 95 % interval.
    pub low: Option<f64>,
    /// Upper end of its 95 % interval.
    pub high: Option<f64>,
    /// The limit in force.
    pub minimum: f64,
    /// Where the limit comes from, if it is not a plain figure: `3 × fsync.p99`.
    pub minimum_from: String,
    /// What is hoped for, from the nearest to the farthest; none of them fails anything.
    pub aspirations: Vec<Aspiration>,
    /// What was found.
    pub verdict: Verdict,
    /// Why, where the figures do not say it.
    pub why: String,
    /// How the limit moved, the oldest first.
    pub history: Vec<Moved>,
}

/// A value that is hoped for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Aspiration {
    /// `M1`, …
    pub name: String,
    /// In the unit of its objective.
    pub value: f64,
}

/// One move of a limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Moved {
    /// The day.
    pub at: String,
    /// The commit, if it is known.
    pub commit: String,
    /// From and to, as the file says it: `60 -> 24`.
    pub minimum: String,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Times, costs, counts of mistakes.
    #[default]
    Lower,
    /// Rates, capacities.
    Higher,
}

/// What was found of an objective.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The whole interval keeps the limit.
    Pass,
    /// The whole interval breaks it.
    Fail,
    /// The limit lies inside the interval, and another run may decide.
    Extended,
    /// The limit lies inside the interval for good, or there are too few samples.
    #[default]
    Inconclusive,
    /// The run says nothing about the server.
    Invalid,
}

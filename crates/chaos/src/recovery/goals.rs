//! What recovery times ought to be, beside what they were. Goals never decide a verdict: times depend on the machine.
//!
//! Source: docs/design/RELIABILITY.md, section 5.5, with a campaign time-out of 1 s.

use super::Row;
use serde_json::{Value, json};

/// Longest outage at p99 in ms, by fault.
const OUTAGE_MS: [(&str, u64); 13] = [
    ("leader-kill", 400),
    ("leader-term", 100),
    ("leader-suspend", 2_000),
    ("freeze", 2_000),
    ("pause-half", 2_000),
    ("pause-1", 2_000),
    ("pause-2", 2_000),
    ("pause-10", 2_000),
    ("leader-partition", 2_000),
    ("leader-from-followers", 2_000),
    ("one-way-in", 2_000),
    ("one-way-out", 2_000),
    ("leader-kill+master-kill", 800),
];

/// Longest time from the end of any single fault to the next success of every writer, at p99 in ms.
const HEALED_MS: u64 = 3_000;

/// What a goal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// The longest time without a success of some writer.
    Outage,
    /// From healing to the next success of every writer.
    Healed,
}

impl Span {
    /// As reports call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Outage => "outage",
            Self::Healed => "healed",
        }
    }
}

/// One goal, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goal {
    /// The fault.
    pub fault: String,
    /// What it is about.
    pub of: Span,
    /// What p99 may be, in ms.
    pub most_ms: u64,
    /// What it was.
    pub p99_ms: u64,
    /// Of how many injections.
    pub samples: usize,
}

impl Goal {
    /// Whether it was reached.
    #[must_use]
    pub const fn is_reached(&self) -> bool {
        self.p99_ms <= self.most_ms
    }

    /// In words.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { fault, of, most_ms, p99_ms, samples } = self;
        let of = of.name();
        let word = if self.is_reached() { "reached" } else { "MISSED" };
        format!("{word}: {fault}, {of} p99 {p99_ms} ms of {most_ms} ({samples} injections)")
    }

    /// For machines.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "fault": self.fault, "of": self.of.name(), "mostMs": self.most_ms, "p99Ms": self.p99_ms,
            "samples": self.samples, "reached": self.is_reached(),
        })
    }
}

/// All goals that these rows say something about.
#[must_use]
pub fn goals(rows: &[Row]) -> Vec<Goal> {
    let mut goals = Vec::new();
    for row in rows.iter().filter(|row| !row.outages_ms.is_empty()) {
        let name = row.fault.trim_start_matches("openchaos:");
        let goal = |of, most_ms, values: &[u64]| Goal {
            fault: name.to_owned(),
            of,
            most_ms,
            p99_ms: Row::percentile(values, 99),
            samples: values.len(),
        };
        let outage = OUTAGE_MS.iter().find(|(fault, _)| *fault == name);
        goals.extend(outage.map(|(_, most)| goal(Span::Outage, *most, &row.outages_ms)));
        if !name.contains('+') {
            goals.push(goal(Span::Healed, HEALED_MS, &row.healed_ms));
        }
    }
    goals
}

#[cfg(test)]
mod tests {
    use super::{OUTAGE_MS, goals};
    use crate::faults::parse;
    use crate::recovery::Row;

    fn row(fault: &str, outage: u64, healed: u64) -> Row {
        let (outages_ms, healed_ms) = (vec![1, outage], vec![1, healed]);
        Row { fault: fault.to_owned(), outages_ms, healed_ms, ..Row::default() }
    }

    #[test]
    fn outages_have_goals_by_name_and_any_single_fault_heals() {
        let rows = [
            row("openchaos:leader-kill", 401, 3_000),
            row("kill-all", 9_000, 3_001),
            row("leader-kill+master-kill", 800, 9_000),
            Row { fault: "freeze".to_owned(), ..Row::default() },
        ];
        let said: Vec<String> = goals(&rows).iter().map(super::Goal::line).collect();
        assert_eq!(
            said,
            [
                "MISSED: leader-kill, outage p99 401 ms of 400 (2 injections)",
                "reached: leader-kill, healed p99 3000 ms of 3000 (2 injections)",
                "MISSED: kill-all, healed p99 3001 ms of 3000 (2 injections)",
                "reached: leader-kill+master-kill, outage p99 800 ms of 800 (2 injections)",
            ]
        );
    }

    #[test]
    fn goals_are_of_faults_that_there_are() {
        for (fault, _) in OUTAGE_MS {
            assert!(parse(fault, 5).is_ok(), "{fault}");
        }
    }
}

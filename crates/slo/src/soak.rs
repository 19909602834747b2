//! What a soak came to: a long run under faults, judged slice by slice, by what grew, and by what went wrong.
//!
//! | Question | Judged by | Is of the clock |
//! |---|---|---|
//! | were the objectives kept all the time? | each slice by itself; a part of them may fail | yes |
//! | does memory, do descriptors, threads, the journal grow? | slope and trend over the longest life of each process | no |
//! | does p99 grow? is the last slice slower than the first? | slope and trend; ratio with its interval | yes |
//! | was anything wrong? | wrong answers, lost writes, living brokers taken for dead: none of them may be | no |
//!
//! What is of the clock depends on the host, and may be left out of the verdict (`gates_clock`), where neighbours share
//! the processors. Everything else holds on any host, and also in a run whose generator was late.

mod drift;
mod slices;
mod tables;

use measure::folder::Found;
use measure::judged::{Judged, Verdict};
use serde::{Deserialize, Serialize};

use crate::file::{Objectives, SliKind};
use crate::judge::judge;

pub use drift::{Drift, Trend};
pub use slices::{Change, Kept};

/// What a soak may do, in the file of objectives: `[soak]`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SoakLimits {
    /// Length of a slice in seconds; a run of fewer than [`SLICES_MIN`] is cut into that many.
    pub slice_s: u64,
    /// Part (0 to 1) of the slices that may miss an objective.
    pub budget: f64,
    /// Growth an hour that is allowed.
    pub growth: Growth,
}

impl Default for SoakLimits {
    fn default() -> Self {
        Self { slice_s: 300, budget: 0.05, growth: Growth::default() }
    }
}

/// Growth an hour that is allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Growth {
    /// Of the memory of a process, in MiB; an objective `memory_growth` of the same workload counts instead.
    pub memory: f64,
    /// Of its open descriptors.
    pub files: f64,
    /// Of its threads.
    pub threads: f64,
    /// Of its journal, in MiB.
    pub journal: f64,
    /// Of the p99 of any operation, in milliseconds.
    pub p99: f64,
}

impl SoakLimits {
    /// What is wrong with it, and what is allowed.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Growth { memory, files, threads, journal, p99 } = self.growth;
        let is_growth = |it: f64| it.is_finite() && it >= 0.0;
        if !(1..=86_400).contains(&self.slice_s) || !(0.0..=1.0).contains(&self.budget) {
            return Err("[soak]: slice_s 1 to 86400, budget 0 to 1".to_owned());
        }
        if ![memory, files, threads, journal, p99].into_iter().all(is_growth) {
            return Err("[soak]: growth is 0 or more".to_owned());
        }
        Ok(())
    }
}

/// Fewest slices of a run.
pub const SLICES_MIN: u64 = 6;

/// How a soak is judged.
#[derive(Clone, Copy, Debug)]
pub struct SoakOptions<'a> {
    /// Whether figures of the clock may fail it; else they are only reported.
    pub gates_clock: bool,
    /// Beyond it (99th percentile of sends, in microseconds) a slice says nothing about the server.
    pub send_lag_us: f64,
    /// The same of the share of time in which somebody waited for a processor, in percent.
    pub psi_cpu_some_pct: f64,
    /// A day such as `2026-12-01`, for waivers.
    pub today: &'a str,
}

/// Something that must not be at all.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Count {
    /// What.
    pub what: &'static str,
    /// How many; absent where nobody counted.
    pub count: Option<u64>,
}

/// What a soak came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Soak {
    /// Of all.
    pub verdict: Verdict,
    /// Why, a sentence each; empty if it passed.
    pub reasons: Vec<String>,
    /// Whether figures of the clock count.
    pub gates_clock: bool,
    /// Measured time, in milliseconds.
    pub measured_ms: u64,
    /// Length of a slice, in milliseconds.
    pub slice_ms: u64,
    /// What must not be at all.
    pub counts: Vec<Count>,
    /// Objectives over the slices.
    pub kept: Vec<Kept>,
    /// Objectives that only a whole run has.
    pub whole: Vec<Judged>,
    /// What grows.
    pub drifts: Vec<Drift>,
    /// The last slice beside the first.
    pub changes: Vec<Change>,
}

/// Judges a run by the objectives of its workload, and by the limits of `[soak]`.
#[must_use]
pub fn soak(objectives: &Objectives, found: &Found, options: &SoakOptions<'_>) -> Soak {
    let limits = objectives.soak;
    let measured_ms = found.run.time.measure_ms;
    let slice_ms = (limits.slice_s * 1_000).min(measured_ms / SLICES_MIN);
    let slices = slices::cut(found, slice_ms, options);
    let correctness = &found.run.correctness;
    let count = |what, count| Count { what, count };
    // Lost writes are among the violations, and have a line of their own here.
    let wrong = correctness.violations.saturating_sub(correctness.lost_writes.unwrap_or_default());
    let mut soak = Soak {
        gates_clock: options.gates_clock,
        measured_ms,
        slice_ms,
        counts: vec![
            count("wrong answers", Some(wrong).filter(|_| correctness.checked)),
            count("acknowledged writes that were lost", correctness.lost_writes),
            count("living brokers taken for dead", correctness.wrongly_dead),
        ],
        kept: slices::kept(objectives, &slices, limits.budget, options.today),
        whole: whole(objectives, found, options.today),
        drifts: drift::drifts(objectives, found),
        changes: slices::changes(&slices),
        ..Soak::default()
    };
    soak.decide(found);
    soak
}

/// Objectives about a whole run: of failovers, of bytes. What slices and drifts judge is left out.
fn whole(objectives: &Objectives, found: &Found, today: &str) -> Vec<Judged> {
    let is_of_whole = |it: &Judged| {
        objectives.find(&it.id).is_some_and(|objective| match objective.sli.of {
            SliKind::Milestone | SliKind::Untold | SliKind::Bytes | SliKind::Memory => true,
            SliKind::Latency
            | SliKind::Answered
            | SliKind::Cpu
            | SliKind::MemoryGrowth
            | SliKind::Violations
            | SliKind::WronglyDead => false,
        })
    };
    // What does not depend on the generator is judged in any case.
    let mut found = found.clone();
    (found.run.finished, found.run.validity.valid) = (true, true);
    judge(objectives, &[found], today).judged.into_iter().filter(is_of_whole).collect()
}

impl Soak {
    /// The exit code of a command: 0 pass, 1 fail, 2 undecided, 3 invalid.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self.verdict {
            Verdict::Pass => 0,
            Verdict::Fail => 1,
            Verdict::Extended | Verdict::Inconclusive => 2,
            Verdict::Invalid => 3,
        }
    }

    fn decide(&mut self, found: &Found) {
        let (mut broken, mut clock, mut open) = (Vec::new(), Vec::new(), Vec::new());
        for Count { what, count } in &self.counts {
            match count {
                Some(0) => {}
                Some(count) => broken.push(format!("{count} {what}")),
                None => open.push(format!("nobody counted {what}")),
            }
        }
        for drift in &self.drifts {
            let list = if drift.is_of_clock { &mut clock } else { &mut broken };
            match drift.trend {
                Trend::Grows => list.push(format!("{} grows", drift.what)),
                Trend::Still => {}
                Trend::TooFew if drift.is_of_clock && !self.gates_clock => {}
                Trend::TooFew => open.push(format!("{}: too few samples", drift.what)),
            }
        }
        for op in found.run.operations.iter().filter(|it| it.offered > 0 && it.ok == 0) {
            broken.push(format!("no {} succeeded", op.op));
        }
        for it in &self.whole {
            if it.verdict == Verdict::Fail {
                broken.push(format!("{}: its bar was broken", it.id));
            }
        }
        for it in &self.kept {
            match it.verdict {
                Verdict::Fail => clock.push(format!(
                    "{}: {} of {} slices missed it, {} may",
                    it.id, it.failed, it.judged, it.allowed
                )),
                Verdict::Invalid if self.gates_clock => {
                    open.push(format!("{}: most slices say nothing about the server", it.id));
                }
                Verdict::Invalid | Verdict::Pass | Verdict::Extended | Verdict::Inconclusive => {}
            }
        }
        let slower = self.changes.iter().filter(|it| it.is_slower);
        clock.extend(
            slower.map(|it| format!("{}: the last slice is slower than the first", it.what)),
        );
        let validity = &found.run.validity;
        let (verdict, reasons) = match () {
            () if !broken.is_empty() => (Verdict::Fail, broken),
            () if self.gates_clock && !validity.valid => {
                (Verdict::Invalid, validity.reasons.clone())
            }
            () if self.gates_clock && !clock.is_empty() => (Verdict::Fail, clock),
            () if !found.run.finished => {
                (Verdict::Invalid, vec!["the run was not finished".to_owned()])
            }
            () if !open.is_empty() => (Verdict::Inconclusive, open),
            () => (Verdict::Pass, Vec::new()),
        };
        (self.verdict, self.reasons) = (verdict, reasons);
    }
}

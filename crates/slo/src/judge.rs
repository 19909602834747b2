//! Runs against bars.
//!
//! ```text
//!   interval below the bar       pass          ├──┤  │bar
//!   interval above it            fail                │   ├──┤
//!   the bar inside it            extended         ├──┼──┤          another run may decide; after RUNS_MAX inconclusive
//! ```
//!
//! An invalid run says nothing about the server and is left out, but for its wrong answers: those are wrong on any host.
//! Brokers that were taken for dead are not: a generator that is late does not send their heartbeats.

use std::collections::BTreeSet;

use measure::folder;
use measure::judged::{Aspiration, Better, Judged, Moved, Verdict};

use crate::file::{Floor, Minimum, Objective, Objectives, SliKind};
use crate::sli::{Measured, measured};

/// Runs that one objective may be judged on: the first, and three more.
pub const RUNS_MAX: usize = 4;

/// What all objectives came to.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// One for each objective and arm that has a run.
    pub judged: Vec<Judged>,
    /// Ids of objectives without a run of their workload.
    pub without_run: Vec<String>,
    /// Ids of failed objectives that may fail today.
    pub waived: BTreeSet<String>,
}

impl Ending {
    /// The worst of all: fail, invalid, inconclusive (extended too), pass; waived failures count for nothing.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let counts = |it: &&Judged| it.verdict != Verdict::Fail || !self.waived.contains(&it.id);
        let has = |verdict| self.judged.iter().filter(counts).any(|it| it.verdict == verdict);
        let order = [Verdict::Fail, Verdict::Invalid, Verdict::Inconclusive, Verdict::Extended];
        order.into_iter().find(|verdict| has(*verdict)).unwrap_or(Verdict::Pass)
    }
}

/// Judges all objectives on the runs of their workloads, arm by arm. `today` is a day such as `2026-12-01`.
#[must_use]
pub fn judge(objectives: &Objectives, runs: &[folder::Found], today: &str) -> Ending {
    let mut ending = Ending::default();
    for objective in objectives.all() {
        let own = runs.iter().filter(|found| found.run.name == objective.workload);
        let own: Vec<&folder::Found> = own.collect();
        let mut arms: Vec<&str> = own.iter().map(|found| found.run.arm.as_str()).collect();
        arms.sort_unstable();
        arms.dedup();
        if arms.is_empty() {
            ending.without_run.push(objective.id.clone());
        }
        for arm in arms {
            let of_arm: Vec<&folder::Found> =
                own.iter().copied().filter(|found| found.run.arm == arm).collect();
            let mut judged = one(objective, &of_arm);
            let waiver = objectives.waived(&objective.id, today);
            if let Some(waiver) = waiver.filter(|_| judged.verdict == Verdict::Fail) {
                let why = format!(
                    "waived until {} by {}: {}",
                    waiver.until, waiver.approved_by, waiver.reason
                );
                judged.why = why;
                ending.waived.insert(objective.id.clone());
            }
            ending.judged.push(judged);
        }
    }
    ending
}

/// One objective on the runs of one arm.
fn one(objective: &Objective, runs: &[&folder::Found]) -> Judged {
    let is_valid = |found: &&&folder::Found| found.run.finished && found.run.validity.valid;
    let valid: Vec<&folder::Found> = runs.iter().filter(is_valid).copied().collect();
    let counts_always = objective.sli.of == SliKind::Violations;
    let used = if counts_always { runs } else { &valid };
    let bar = in_force(&objective.minimum, runs);
    let Measured { value, interval, why } = measured(&objective.sli, used);
    let better = objective.sli.of.better();
    let mut verdict = verdict(interval, bar.value, better);
    if verdict == Verdict::Extended && used.len() >= RUNS_MAX {
        verdict = Verdict::Inconclusive;
    }
    // Right answers of a run that says nothing prove nothing; wrong ones do.
    if valid.is_empty() && verdict != Verdict::Fail || (valid.is_empty() && !counts_always) {
        verdict = Verdict::Invalid;
    }
    let why = match verdict {
        Verdict::Invalid => reasons(runs),
        Verdict::Extended => {
            format!("undecided after {} of {RUNS_MAX} runs: give another one", used.len())
        }
        Verdict::Pass | Verdict::Fail | Verdict::Inconclusive => why,
    };
    let aspirations = objective.aspire.iter().map(|hope| {
        let value = hope_in_force(objective.minimum.floor, (hope.value, hope.times), runs);
        Aspiration { name: hope.name.clone(), value }
    });
    let history = objective.history.iter().map(|moved| Moved {
        at: moved.at.clone(),
        commit: moved.commit.clone(),
        minimum: moved.minimum.clone(),
    });
    Judged {
        id: objective.id.clone(),
        component: objective.component.clone(),
        workload: objective.workload.clone(),
        arm: runs.first().map(|found| found.run.arm.clone()).unwrap_or_default(),
        sli: objective.sli.words(),
        unit: objective.sli.of.unit().to_owned(),
        better,
        value,
        low: interval.map(|(low, _)| low),
        high: interval.map(|(_, high)| high),
        minimum: bar.value,
        minimum_from: bar.from,
        aspirations: aspirations.collect(),
        verdict,
        why,
        history: history.collect(),
    }
}

/// What an interval says of a bar; without one nothing is known.
fn verdict(interval: Option<(f64, f64)>, bar: f64, better: Better) -> Verdict {
    let Some((low, high)) = interval else { return Verdict::Inconclusive };
    let (is_kept, is_broken) = match better {
        Better::Lower => (high <= bar, low > bar),
        Better::Higher => (low >= bar, high < bar),
    };
    match (is_kept, is_broken) {
        (true, _) => Verdict::Pass,
        (false, true) => Verdict::Fail,
        (false, false) => Verdict::Extended,
    }
}

fn reasons(runs: &[&folder::Found]) -> String {
    let mut reasons: Vec<&str> =
        runs.iter().flat_map(|found| &found.run.validity.reasons).map(String::as_str).collect();
    reasons.sort_unstable();
    reasons.dedup();
    if reasons.is_empty() { "no run was finished".to_owned() } else { reasons.join("; ") }
}

/// The bar of some runs.
pub(crate) struct Bar {
    pub(crate) value: f64,
    /// Where it comes from, if it is not its plain value.
    pub(crate) from: String,
}

/// The larger of value and floor; of several runs the floor of the slowest host card counts.
pub(crate) fn in_force(minimum: &Minimum, runs: &[&folder::Found]) -> Bar {
    let plain = |from: String| Bar { value: minimum.value, from };
    let Some((floor, times)) = minimum.floor.zip(minimum.times) else {
        return plain(String::new());
    };
    match floor_ms(floor, runs) {
        Some(ms) if ms * times > minimum.value => {
            Bar { value: ms * times, from: format!("{times} × {} of {ms:.2} ms", floor.name()) }
        }
        Some(_) => plain(String::new()),
        None => {
            plain(format!("no host card: {times} × {} left out (bench calibrate)", floor.name()))
        }
    }
}

pub(crate) fn hope_in_force(
    floor: Option<Floor>,
    (value, times): (f64, Option<f64>),
    runs: &[&folder::Found],
) -> f64 {
    let from_floor = floor.and_then(|floor| floor_ms(floor, runs)).zip(times);
    from_floor.map_or(value, |(ms, times)| value.max(ms * times))
}

fn floor_ms(floor: Floor, runs: &[&folder::Found]) -> Option<f64> {
    let cards = runs.iter().filter_map(|found| found.run.host.calibration.as_ref());
    let p99 = cards.filter_map(|card| match floor {
        Floor::Fsync => card.fdatasync_us.p99,
        Floor::RoundTrip => card.round_trip_us.p99,
    });
    p99.reduce(f64::max).map(|us| us / 1e3)
}

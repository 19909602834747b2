//! A failing plan made small: fewer faults, then fewer clients, sets and less time, as long as it still fails.
//!
//! Delta debugging over lists: halves are left out first, then quarters, down to single items. The invariant that
//! fails must stay the same, so that one bug does not turn into another on the way.
//!
//! Source: Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002.

use crate::plan::{Plan, Preset, Smaller};
use crate::run::{Report, run};

/// Makes the plan of a failing seed smaller, in at most `runs_max` runs. What is left, and how it fails.
#[must_use]
pub fn shrink(seed: u64, preset: Preset, failing: &Report, runs_max: usize) -> (Smaller, Report) {
    let whole = Plan::draw(seed, preset);
    let mut search = Search { seed, preset, runs_left: runs_max, best: failing.clone() };
    let mut smaller = Smaller::default();
    let Some(failure) = &failing.failure else { return (smaller, failing.clone()) };
    let end_ms = failure.at_micros / 1_000 + 1;
    if end_ms < whole.safety_ms {
        smaller.safety_ms = search.try_one(&smaller, |it| it.safety_ms = Some(end_ms)).safety_ms;
    }
    let faults = whole.faults.iter().enumerate();
    let until = smaller.safety_ms.unwrap_or(whole.safety_ms);
    let faults = faults.filter(|(_, fault)| fault.at_ms < until).map(|(at, _)| at).collect();
    smaller = search.fewer(smaller, faults, |it, list| it.faults = Some(list));
    smaller = search
        .fewer(smaller, (0..whole.clients.len()).collect(), |it, list| it.clients = Some(list));
    let mut sets = whole.sets;
    while sets > 1 {
        let wanted = sets / 2;
        let tried = search.try_one(&smaller, |it| it.sets = Some(wanted));
        if tried == smaller {
            break;
        }
        (smaller, sets) = (tried, wanted);
    }
    (smaller, search.best)
}

struct Search {
    seed: u64,
    preset: Preset,
    runs_left: usize,
    best: Report,
}

impl Search {
    fn still_fails(&mut self, smaller: &Smaller) -> bool {
        if self.runs_left == 0 {
            return false;
        }
        self.runs_left -= 1;
        let mut plan = Plan::draw(self.seed, self.preset);
        plan.keep(smaller);
        let report = run(&plan, None);
        let invariant = |report: &Report| report.failure.as_ref().map(|it| it.invariant);
        let is_same = invariant(&report) == invariant(&self.best);
        if is_same {
            self.best = report;
        }
        is_same
    }

    fn try_one(&mut self, smaller: &Smaller, change: impl FnOnce(&mut Smaller)) -> Smaller {
        let mut tried = smaller.clone();
        change(&mut tried);
        if self.still_fails(&tried) { tried } else { smaller.clone() }
    }

    fn fewer(
        &mut self,
        smaller: Smaller,
        mut list: Vec<usize>,
        set: impl Fn(&mut Smaller, Vec<usize>),
    ) -> Smaller {
        let mut best = smaller;
        let mut chunk = list.len();
        while chunk > 0 {
            let mut at = 0;
            while at < list.len() {
                let end = (at + chunk).min(list.len());
                let rest: Vec<usize> = [&list[..at], &list[end..]].concat();
                let mut tried = best.clone();
                set(&mut tried, rest.clone());
                if self.still_fails(&tried) {
                    (best, list) = (tried, rest);
                } else {
                    at = end;
                }
            }
            chunk /= 2;
        }
        best
    }
}

//! Acknowledged changes that nobody knows any more when a run is over.
//!
//! While a run goes on, each read must say what was acknowledged before it was sent. What was acknowledged last is read
//! by nobody then, so it is asked for at the end, of the leader, after whatever struck the controllers.

use std::collections::BTreeMap;

use measure::folder::Run;

use crate::generator::plan::{CONTRADICTIONS_MAX, Plan, View};
use crate::generator::shared::epochs;

/// What is missing.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Lost {
    /// Changes that were acknowledged and are not there.
    pub(super) writes: u64,
    /// One sentence for each set that misses some.
    pub(super) details: Vec<String>,
}

/// Compares what was acknowledged, both epochs of a set as one number, with what the sets are in the end.
pub(super) fn lost(plan: &Plan, acknowledged: &BTreeMap<usize, u64>, views: &[View]) -> Lost {
    let mut all = Lost::default();
    for (set, known) in acknowledged {
        let Some(view) = views.get(*set) else { continue };
        let (known_set, known_master) = halves(*known);
        let (seen_set, seen_master) = halves(epochs(view));
        let missing = known_set.saturating_sub(seen_set) + known_master.saturating_sub(seen_master);
        if missing > 0 {
            all.writes += missing;
            let name = plan.set_name(*set);
            all.details.push(format!(
                "{name}: master epoch {known_master} and set epoch {known_set} were acknowledged, \
                 and the end knows {seen_master} and {seen_set}"
            ));
        }
    }
    all
}

/// Writes into the run what is missing, or why nobody knows: a run whose last acknowledged changes nobody repeats says
/// nothing about them, so it is invalid.
pub(super) fn note(asked: Result<Lost, String>, run: &mut Run) {
    match asked {
        Ok(lost) => {
            run.correctness.lost_writes = Some(lost.writes);
            run.correctness.violations += lost.writes;
            run.correctness.details.extend(lost.details.into_iter().take(CONTRADICTIONS_MAX));
        }
        Err(why) => {
            run.validity.valid = false;
            let reason = format!("whether acknowledged writes were lost is unknown: {why}");
            run.validity.reasons.push(reason);
        }
    }
}

/// Set epoch and master epoch.
fn halves(epochs: u64) -> (u64, u64) {
    (epochs & u64::from(u32::MAX), epochs >> 32)
}

#[cfg(test)]
mod tests {
    use measure::folder::{Run, Validity};

    use super::{Lost, lost, note};
    use crate::generator::plan::{Plan, View};

    #[test]
    fn what_was_acknowledged_must_be_there() {
        let plan = Plan::as_java(vec!["x:1".to_owned()], "p".to_owned(), 3);
        let view = View::of_three;
        let acknowledged = [(0, (1 << 32) | 7), (1, (1 << 32) | 7), (2, (3 << 32) | 1)].into();
        let right = [view(1, 7), view(2, 9), view(3, 1)];
        assert_eq!(lost(&plan, &acknowledged, &right), Lost::default());
        let wrong = [view(1, 5), view(1, 7), view(2, 1)];
        let found = lost(&plan, &acknowledged, &wrong);
        assert_eq!((found.writes, found.details.len()), (3, 2));
        assert!(
            found.details[0].starts_with("p-0: master epoch 1 and set epoch 7 were"),
            "{found:?}"
        );
    }

    #[test]
    fn who_is_not_answered_in_the_end_has_an_invalid_run() {
        let begun =
            || Run { validity: Validity { valid: true, ..Validity::default() }, ..Run::default() };
        let mut known = begun();
        note(Ok(Lost { writes: 2, details: vec!["p-0".to_owned()] }), &mut known);
        let correctness = &known.correctness;
        assert_eq!((correctness.lost_writes, correctness.violations), (Some(2), 2));
        assert!(known.validity.valid && correctness.details == ["p-0"], "{known:?}");
        let mut unknown = begun();
        note(Err("no leader".to_owned()), &mut unknown);
        assert_eq!((unknown.correctness.lost_writes, unknown.correctness.violations), (None, 0));
        let reason = "whether acknowledged writes were lost is unknown: no leader";
        assert!(!unknown.validity.valid && unknown.validity.reasons == [reason], "{unknown:?}");
    }
}

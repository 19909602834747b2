//! Whether every controller was there when it had to be: `OpenChaos` itself asks nobody, and two of three go on.
//!
//! ```text
//! first put        injection               injection         last read
//! ────┤··········│░░░░░░░░░░░░│···········│░░░░░░░░░░│·········├────   controllers are stopped
//!      all run, or the run     all run at the end of each of these, if the fault ends processes;
//!      says nothing            all run all the time, if it does not
//! ```

use super::faults::Trace;
use super::watch::{Injection, Look};
use std::collections::BTreeSet;

/// The time in which clients ask, from their first put to the last read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) from_ms: u64,
    pub(super) to_ms: u64,
}

/// Whose controllers were not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Absent {
    /// In the last look in front of the first injection.
    pub(super) before: Option<String>,
    /// Behind an injection, or while one was in force that ends nobody.
    pub(super) later: Option<String>,
}

impl Absent {
    /// Reads it off the looks.
    pub(super) fn find(
        looks: &[Look],
        injections: &[Injection],
        asked: Asked,
        trace: Trace,
    ) -> Self {
        let Asked { from_ms, to_ms } = asked;
        let first = injections.first().map_or(to_ms, |injection| injection.from_ms);
        let before = last_absent(looks, (from_ms, first)).into_iter().next();
        let before = before.map(|node| format!("n{node} did not run before the first injection"));
        let rests = injections.iter().enumerate().map(|(number, injection)| {
            let next = injections.get(number + 1).map_or(to_ms, |next| next.from_ms);
            (injection.to_ms, next.min(to_ms))
        });
        let gone = rests.filter_map(|rest| {
            let node = last_absent(looks, rest).into_iter().next()?;
            Some(format!("n{node} did not run {} ms after an injection", rest.1 - rest.0))
        });
        let ended = || {
            let mut within = looks.iter().filter(|look| (first..=to_ms).contains(&look.at_ms));
            let look = within.find(|look| look.state.is_none())?;
            Some(format!("n{} ended by itself", look.node))
        };
        let later = if trace == Trace::Gone { gone.into_iter().next() } else { ended() };
        Self { before, later }
    }
}

/// Nodes whose last look in this time saw no controller.
fn last_absent(looks: &[Look], (from_ms, to_ms): (u64, u64)) -> BTreeSet<usize> {
    let mut absent = BTreeSet::new();
    for look in looks.iter().filter(|look| (from_ms..to_ms).contains(&look.at_ms)) {
        if look.state.is_some() {
            absent.remove(&look.node);
        } else {
            absent.insert(look.node);
        }
    }
    absent
}

#[cfg(test)]
mod tests {
    use super::{Absent, Asked};
    use crate::openchaos::faults::Trace;
    use crate::openchaos::watch::{Injection, Look};

    /// Looks every 10 ms at three nodes, two injections; node 1 has no controller in these times.
    fn absent(trace: Trace, gone: &[(u64, u64)]) -> Absent {
        let look = |at_ms: u64, node: usize| {
            let is_gone = node == 1 && gone.iter().any(|(from, to)| (*from..*to).contains(&at_ms));
            let state = if is_gone { None } else { Some('S') };
            Look { at_ms, node, state, dropped: 0, round_trip_us: None }
        };
        let looks: Vec<Look> = (0..100)
            .flat_map(|at| (0..3).map(move |node| (at * 10, node)))
            .map(|(at, node)| look(at, node))
            .collect();
        let injections = [200, 500].map(|from_ms| Injection { from_ms, to_ms: from_ms + 100 });
        Absent::find(&looks, &injections, Asked { from_ms: 50, to_ms: 900 }, trace)
    }

    #[test]
    fn controllers_are_there_before_and_after_each_injection() {
        let check = |trace, gone: &[(u64, u64)], before: Option<&str>, later: Option<&str>| {
            let found = absent(trace, gone);
            assert_eq!(
                (found.before.as_deref(), found.later.as_deref()),
                (before, later),
                "{gone:?}"
            );
        };
        let early = Some("n1 did not run before the first injection");
        let ended = Some("n1 ended by itself");
        // They start before the first put, and are stopped behind the last read.
        check(Trace::Stopped, &[(0, 50), (901, 1_000)], None, None);
        check(Trace::Gone, &[(0, 60), (210, 330), (510, 650)], None, None);
        check(Trace::Gone, &[(100, 330)], early, None);
        check(Trace::Gone, &[(210, 999)], None, Some("n1 did not run 200 ms after an injection"));
        check(Trace::Gone, &[(510, 999)], None, Some("n1 did not run 300 ms after an injection"));
        check(Trace::Stopped, &[(250, 999)], None, ended);
        check(Trace::Nothing, &[(250, 260)], None, ended);
        check(Trace::Dropped, &[(890, 999)], None, ended);
    }

    #[test]
    fn an_injection_that_is_never_ended_has_no_end_to_be_back_after() {
        let injections = [Injection { from_ms: 20, to_ms: u64::MAX }];
        let look = |at_ms, state| Look { at_ms, node: 0, state, dropped: 0, round_trip_us: None };
        let asked = Asked { from_ms: 0, to_ms: 90 };
        let find = |looks: &[Look], trace| Absent::find(looks, &injections, asked, trace);
        let dies = [look(10, Some('S')), look(30, None)];
        assert_eq!(find(&dies, Trace::Gone), Absent::default());
        assert_eq!(find(&dies, Trace::Dropped).later.as_deref(), Some("n0 ended by itself"));
    }
}

//! Masters die, many at once or one by one; their survivors wait to be told who is master now.
//!
//! ```text
//! T0 listener and connections of a master close ─► T3 each of its survivors has a role notice (1008)
//! ```
//!
//! T0 is taken for each master before its first socket is closed, T3 when the notice has been read:
//! both by one clock, in one process.

use std::collections::BTreeMap;
use std::time::Duration;

use super::report::{Distribution, Generator, Goal, Report};
use super::{FailoverError, Ground, Stage, drained_report, progress};
use crate::clock::mono_ns;
use crate::generator::measures::Kind;
use crate::generator::plan::{self, Closing, Command, Plan, REPLICAS, Times, Told, View};
use crate::load_seen::Load;
use measure::Histogram;
use measure::histogram::as_f64;

/// Most sets: nine descriptors each, over several processes.
pub const SETS_MAX: usize = 10_000;

/// How long all survivors may take to be told before the run says who was not.
const PATIENCE: Duration = Duration::from_secs(20);

/// From the order to kill to the moment of it, so that every process has it in time.
const NOTICE_NS: u64 = 300_000_000;

/// Time for the fleet's polls and heartbeats to run before anybody dies.
const SETTLE: Duration = Duration::from_secs(3);

/// Most wrong things that a report lists.
const VIOLATIONS_MAX: usize = 20;

/// Goals, in milliseconds: a mass failover, and one set in an idle cluster.
const MASS_P99_MS: f64 = 400.0;
const SINGLE_P99_MS: f64 = 10.0;

/// How a run is to be made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Controllers and folders.
    pub ground: Ground,
    /// Broker sets of three, 1 to [`SETS_MAX`].
    pub sets: usize,
    /// Masters that die together; the others follow after a pause.
    pub at_once: usize,
    /// Pause after all survivors have been told.
    pub pause: Duration,
}

/// Makes a run and blocks until it is over.
///
/// # Errors
/// - [`FailoverError`]: what could not be done.
pub fn run(options: &Options) -> Result<Report, FailoverError> {
    if !(1..=SETS_MAX).contains(&options.sets) || options.at_once == 0 {
        let text = format!("sets must be 1 to {SETS_MAX} (SETS_MAX), and one or more die at once");
        return Err(FailoverError::Options(text));
    }
    let stage = Stage::begin(&options.ground)?;
    let plan = stage.plan(options.sets);
    let made = make(options, &stage, &plan);
    stage.leave(&plan);
    made
}

/// Lets masters die until none is left. When it returns nobody plays any more.
fn make(options: &Options, stage: &Stage, plan: &Plan) -> Result<Report, FailoverError> {
    let (mut crew, before) = stage.crew(plan)?;
    crew.tell(&Command::Measure { has_load: true, times: Times::from_now() })?;
    stage.pause(SETTLE)?;
    let load = Load::begin(&crew.processes(), &stage.servers);
    let all: Vec<usize> = (0..options.sets).collect();
    for batch in all.chunks(options.at_once) {
        progress(format_args!("masters of {} sets die", batch.len()));
        if !crew.kill(mono_ns() + NOTICE_NS, batch, PATIENCE)? {
            progress("not everybody was told in time");
        }
        stage.pause(options.pause)?;
    }
    let load = load.end();
    let seen = drained_report(stage, &mut crew, plan)?;
    let after = stage.views(plan)?;
    let findings = Findings::new(&seen, &before, &after);
    let (sets, at_once) = (options.sets, options.at_once.min(options.sets));
    let what = format!("{sets} sets of {REPLICAS} brokers lose their masters, {at_once} at once");
    Ok(findings.report(stage.headline(&what), &seen, at_once, load))
}

/// What the notices and the views say together.
#[derive(Debug)]
struct Findings {
    told: Histogram,
    /// For each batch the longest, from its first close.
    untold: u64,
    violations: Vec<String>,
    all_told_ms: f64,
}

impl Findings {
    fn new(seen: &plan::Report, before: &[View], after: &[View]) -> Self {
        let mut findings = Self {
            told: Histogram::default(),
            untold: 0,
            violations: Vec::new(),
            all_told_ms: 0.0,
        };
        let mut told: BTreeMap<usize, Vec<&Told>> = BTreeMap::new();
        for notice in &seen.told {
            told.entry(notice.set).or_default().push(notice);
        }
        if seen.closings.len() != before.len() {
            let (died, sets) = (seen.closings.len(), before.len());
            findings.violations.push(format!("{died} masters died of {sets}"));
        }
        for closing in &seen.closings {
            let notices = told.remove(&closing.set).unwrap_or_default();
            let views = before.get(closing.set).zip(after.get(closing.set));
            if let Some((before, after)) = views {
                findings.set(closing, &notices, before, after);
            }
        }
        let first = seen.closings.iter().map(|closing| closing.at_ns).min();
        let last = seen.told.iter().map(|told| told.at_ns).max();
        if let (Some(first), Some(last)) = (first, last) {
            let mut span = Histogram::default();
            span.record(last.saturating_sub(first));
            findings.all_told_ms = span.max_ms();
        }
        findings.violations.extend(seen.contradictions.iter().cloned());
        findings.violations.truncate(VIOLATIONS_MAX);
        findings
    }

    fn set(&mut self, closing: &Closing, notices: &[&Told], before: &View, after: &View) {
        let set = closing.set;
        let survivors = u64::try_from(REPLICAS - 1).unwrap_or_default();
        let told = u64::try_from(notices.len()).unwrap_or_default();
        self.untold += survivors.saturating_sub(told);
        for notice in notices {
            self.told.record(notice.at_ns.saturating_sub(closing.at_ns));
            let named = (Some(notice.master), notice.master_epoch);
            if named != (after.master, after.master_epoch) {
                let text = format!("set {set}: broker {} was told {named:?}", notice.broker);
                self.violations.push(format!("{text}, recorded is {after:?}"));
            }
        }
        let is_right = after
            .master
            .is_some_and(|master| master != closing.master && before.members.contains(&master));
        if !is_right || after.master_epoch != before.master_epoch + 1 {
            let text =
                format!("set {set}: {before:?} became {after:?} when {} died", closing.master);
            self.violations.push(text);
        }
    }

    fn report(self, headline: String, seen: &plan::Report, at_once: usize, load: Load) -> Report {
        let told = Distribution::of("close of a master to a survivor told", &self.told);
        let limit = if at_once == 1 { SINGLE_P99_MS } else { MASS_P99_MS };
        let goals = vec![
            Goal::at_most("a survivor is told, p99", limit, told.p99_ms, "ms"),
            Goal::at_most("survivors never told", 0.0, as_f64(self.untold), "brokers"),
        ];
        let mut figures = vec![(
            "connections lost though nobody closed them".to_owned(),
            as_f64(seen.connections_lost),
            "",
        )];
        if at_once == seen.closings.len() {
            let what = "first close of all to the last survivor told".to_owned();
            figures.push((what, self.all_told_ms, "ms"));
        }
        let mut generator = Generator::of(seen);
        load.fill(&mut generator);
        let polls = Distribution::of(
            "getReplicaInfo meanwhile",
            &seen.tally().of(Kind::GetReplicaInfo).latency,
        );
        Report {
            headline,
            goals,
            violations: self.violations,
            distributions: vec![told, polls],
            figures,
            generator,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Findings;
    use crate::generator::plan::{Closing, Report, Told, View};

    fn view(master: i64, master_epoch: i32) -> View {
        View { master: Some(master), master_epoch, members: vec![1, 2, 3], set_epoch: 2 }
    }

    fn told(broker: i64, at_ns: u64, master: i64, master_epoch: i32) -> Told {
        Told { set: 0, broker, at_ns, master, master_epoch }
    }

    fn find(told: Vec<Told>, after: View) -> Findings {
        let closings = vec![Closing { set: 0, master: 1, at_ns: 1_000_000 }];
        let seen = Report { closings, told, ..Report::default() };
        Findings::new(&seen, &[view(1, 1)], &[after])
    }

    #[test]
    fn a_right_failover_has_no_violation() {
        let found = find(vec![told(2, 4_000_000, 2, 2), told(3, 6_000_000, 2, 2)], view(2, 2));
        assert_eq!((found.untold, found.told.count(), found.violations.len()), (0, 2, 0));
        assert!((found.told.max_ms() - 5.0).abs() < 0.01);
        assert!((found.all_told_ms - 5.0).abs() < 0.01);
    }

    #[test]
    fn each_wrong_thing_is_found() {
        let rows = [
            ("two epochs", vec![told(2, 2, 2, 3), told(3, 2, 2, 3)], view(2, 3), 0, 1),
            ("the dead one", vec![told(2, 2, 1, 2), told(3, 2, 1, 2)], view(1, 2), 0, 1),
            ("two minds", vec![told(2, 2, 2, 2), told(3, 2, 3, 2)], view(2, 2), 0, 1),
            ("untold", vec![told(2, 2, 2, 2)], view(2, 2), 1, 0),
            ("no election", vec![], view(1, 1), 2, 1),
        ];
        for (what, told, after, untold, violations) in rows {
            let found = find(told, after);
            assert_eq!((found.untold, found.violations.len()), (untold, violations), "{what}");
        }
    }
}

//! The run folder of `bench failover leader`: one sample for each fault.

use std::time::Duration;

use measure::Histogram;
use measure::folder::{Correctness, Failover, Goal, Happening, Milestone, Run, Validity, Writer};
use measure::histogram::micros;

use super::leader::{Fault, Options};
use super::report::{Distribution, Report};
use super::{FailoverError, Stage};
use crate::clock::mono_ns;
use crate::subject::Said;

/// Name of the run, for objectives about it.
pub const NAME: &str = "leader-lost";

/// Names of the times, in the order of [`Record::times`].
const TIMES: [&str; 2] =
    ["leader killed to first accepted write", "leader frozen to first accepted write"];

/// What became of the faults, in memory and, if wanted, in a run folder.
pub(super) struct Record {
    began_ns: u64,
    /// Of kills, of freezes.
    times: [Histogram; 2],
    samples_us: [Vec<f64>; 2],
    run: Run,
    writer: Option<Writer>,
}

impl Record {
    pub(super) fn begin(stage: &Stage, options: &Options) -> Result<Self, FailoverError> {
        let said = stage.statuses().into_iter().flatten().next();
        let data = stage.own.as_ref().map(crate::OwnCluster::folder);
        let nodes = &stage.addresses;
        let mut run = options.subject.begin(NAME, &Said::by(said.as_ref()), nodes, data);
        run.description = format!(
            "the leader is killed {} times and frozen {} times under {} broker sets; somebody writes \
             every 5 ms through each of the others until a write is accepted",
            options.kills, options.freezes, options.sets
        );
        let writer = options.record.as_ref().map(|folder| Writer::create(folder, &run));
        Ok(Self {
            began_ns: mono_ns(),
            times: Default::default(),
            samples_us: Default::default(),
            run,
            writer: writer.transpose()?,
        })
    }

    /// A fault struck, and a write was accepted so long after it.
    pub(super) fn struck(&mut self, fault: Fault, took: Duration) -> Result<(), FailoverError> {
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let kind = match fault {
            Fault::Kill => 0,
            Fault::Freeze => 1,
        };
        self.times[kind].record(took_ns);
        self.samples_us[kind].push(micros(took_ns));
        if let Some(writer) = &mut self.writer {
            let at_ms = mono_ns().saturating_sub(self.began_ns + took_ns) / 1_000_000;
            let at_ms = i64::try_from(at_ms).unwrap_or(i64::MAX);
            let text = format!("{}: {:.1} ms", TIMES[kind], micros(took_ns) / 1e3);
            writer.event(&Happening { at_ms, kind: "fault".to_owned(), text })?;
        }
        Ok(())
    }

    /// Of kills, of freezes.
    pub(super) fn distributions(&self) -> [Distribution; 2] {
        [0, 1].map(|kind| Distribution::of(TIMES[kind], &self.times[kind]))
    }

    /// Writes what the report says into the run folder.
    pub(super) fn finish(self, report: &Report) -> Result<(), FailoverError> {
        let Some(mut writer) = self.writer else { return Ok(()) };
        let goal = |goal: &super::Goal| Goal {
            what: goal.what.clone(),
            limit: goal.limit,
            reached: goal.reached,
            unit: goal.unit.to_owned(),
        };
        let milestones = TIMES.iter().zip(&self.times).zip(self.samples_us);
        let milestones = milestones.filter(|(_, samples)| !samples.is_empty());
        let milestones = milestones.map(|((name, times), samples_us)| Milestone {
            name: (*name).to_owned(),
            latency_us: times.quantiles(),
            samples_us,
        });
        let generator = &report.generator;
        let violations = u64::try_from(report.violations.len()).unwrap_or(u64::MAX);
        writer.finish(&Run {
            finished: true,
            validity: Validity {
                // The writers keep their own time: a fleet that heartbeats late is no part of it.
                valid: true,
                send_lag_p99_us: generator.lag_p99_ms * 1e3,
                skipped: generator.skipped,
                others_cores: generator.other_cores,
                ..Validity::default()
            },
            correctness: Correctness {
                checked: true,
                violations,
                details: report.violations.clone(),
                ..Correctness::default()
            },
            failover: Some(Failover {
                what: "leader".to_owned(),
                goals: report.goals.iter().map(goal).collect(),
                milestones: milestones.collect(),
            }),
            ..self.run
        })?;
        Ok(())
    }
}

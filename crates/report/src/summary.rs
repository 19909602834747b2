//! The figures of a report, once, for all its forms: page, Markdown, CSV and JSON.

use crate::arms::{Entry, Model, Op, Step, Workload, durability};
use crate::ratios::{self, Ratio};
use measure::Quantiles;
use measure::cells::Quantile;
use measure::folder::{Correctness, Failover, Validity};
use measure::ramp::{self, Load};
use serde::Serialize;
use std::collections::BTreeMap;

/// What `schema` says.
pub(crate) const SCHEMA: &str = "pitchover.report/v1";

/// Quantiles that are printed.
pub(crate) const QUANTILES: [f64; 5] = [0.5, 0.9, 0.99, 0.999, 0.9999];

/// All figures.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) schema: &'static str,
    /// Arms of different durability stand beside each other because somebody asked for it.
    pub(crate) across_durability: bool,
    pub(crate) workloads: Vec<WorkloadFigures>,
}

/// One workload.
#[derive(Debug, Serialize)]
pub(crate) struct WorkloadFigures {
    pub(crate) workload: String,
    pub(crate) description: String,
    pub(crate) arms: Vec<ArmFigures>,
    /// Each arm but the first against the first.
    pub(crate) ratios: Vec<Ratio>,
}

impl WorkloadFigures {
    /// Names of all operations, in the order of the arms.
    pub(crate) fn op_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for op in self.arms.iter().flat_map(|arm| &arm.operations) {
            if !names.contains(&op.op.as_str()) {
                names.push(&op.op);
            }
        }
        names
    }

    /// What is compared, by what it is of and its name.
    pub(crate) fn metrics(&self) -> Vec<(&str, &str)> {
        let mut metrics: Vec<(&str, &str)> = Vec::new();
        for ratio in &self.ratios {
            if !metrics.contains(&(ratio.of.as_str(), ratio.metric)) {
                metrics.push((&ratio.of, ratio.metric));
            }
        }
        metrics
    }
}

/// One workload on one arm, at the load that is shown.
#[derive(Debug, Serialize)]
pub(crate) struct ArmFigures {
    /// Number of the arm in the report.
    #[serde(skip)]
    pub(crate) number: usize,
    pub(crate) arm: String,
    pub(crate) durability: &'static str,
    pub(crate) runs: Vec<RunFigures>,
    pub(crate) offered_per_s: f64,
    pub(crate) operations: Vec<OpFigures>,
    pub(crate) cost: CostFigures,
    pub(crate) failover: Option<Failover>,
    /// The operation whose latency a ramp shows.
    pub(crate) ramp_op: String,
    /// All loads, if there are several.
    pub(crate) ramp: Vec<LoadFigures>,
    /// Of a ramp: see [`measure::ramp::knee`].
    pub(crate) knee_per_s: Option<f64>,
    /// The highest load that was carried, of a ramp.
    pub(crate) carried_per_s: Option<f64>,
}

/// One run.
#[derive(Debug, Serialize)]
pub(crate) struct RunFigures {
    pub(crate) id: String,
    pub(crate) finished: bool,
    pub(crate) seed: u64,
    pub(crate) started_unix_ms: u64,
    pub(crate) commit: Option<String>,
    pub(crate) command: Vec<String>,
    pub(crate) validity: Validity,
    pub(crate) correctness: Correctness,
    pub(crate) notes: Vec<String>,
}

/// One operation.
#[derive(Debug, Serialize)]
pub(crate) struct OpFigures {
    pub(crate) op: String,
    pub(crate) seconds: f64,
    pub(crate) offered: u64,
    pub(crate) ok: u64,
    pub(crate) errors: BTreeMap<String, u64>,
    pub(crate) timeouts: u64,
    pub(crate) skipped: u64,
    pub(crate) abandoned: u64,
    pub(crate) offered_per_s: f64,
    pub(crate) ok_per_s: f64,
    pub(crate) count: u64,
    pub(crate) latency: Vec<Quantile>,
    pub(crate) max_us: Option<f64>,
    /// Absent of merged runs: quantiles are never averaged.
    pub(crate) service_us: Quantiles,
    pub(crate) lag_us: Quantiles,
}

/// What the servers used.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct CostFigures {
    pub(crate) cpu_us_per_op: Option<f64>,
    pub(crate) disk_bytes_per_op: Option<f64>,
    pub(crate) syncs_per_op: Option<f64>,
    /// The most of any node.
    pub(crate) rss_max_bytes: Option<u64>,
}

/// One step of a ramp.
#[derive(Debug, Serialize)]
pub(crate) struct LoadFigures {
    pub(crate) offered_per_s: f64,
    pub(crate) ok_per_s: f64,
    /// Of the operation that was offered most.
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    pub(crate) p999_us: Option<f64>,
    pub(crate) valid: bool,
}

pub(crate) fn summary(model: &Model<'_>) -> Summary {
    let workloads = model.workloads.iter().map(|workload| of_workload(model, workload)).collect();
    Summary { schema: SCHEMA, across_durability: model.crosses_durability, workloads }
}

fn of_workload(model: &Model<'_>, workload: &Workload<'_>) -> WorkloadFigures {
    let arms: Vec<ArmFigures> =
        workload.entries.iter().map(|entry| of_entry(model, entry)).collect();
    WorkloadFigures {
        workload: workload.name.to_owned(),
        description: workload.description.to_owned(),
        ratios: ratios::all(model, workload, &arms),
        arms,
    }
}

fn of_entry(model: &Model<'_>, entry: &Entry<'_>) -> ArmFigures {
    let step = entry.step();
    let arm = &model.arms[entry.arm];
    let is_ramp = entry.steps.len() > 1;
    let ramp_op = entry.busiest();
    let ramp: Vec<LoadFigures> = if is_ramp {
        entry.steps.iter().map(|step| of_load(step, ramp_op)).collect()
    } else {
        Vec::new()
    };
    let all_runs = entry.steps.iter().flat_map(|step| &step.runs);
    let runs = all_runs.map(|found| RunFigures {
        id: found.run.id.clone(),
        finished: found.run.finished,
        seed: found.run.seed,
        started_unix_ms: found.run.started_unix_ms,
        commit: found.run.commit.clone(),
        command: found.run.command.clone(),
        validity: found.run.validity.clone(),
        correctness: found.run.correctness.clone(),
        notes: found.notes.clone(),
    });
    ArmFigures {
        number: entry.arm,
        arm: arm.name.clone(),
        durability: durability(arm.durability),
        runs: runs.collect(),
        offered_per_s: step.offered_per_s(),
        operations: step.ops.iter().map(of_op).collect(),
        cost: cost(step),
        failover: failover(step),
        knee_per_s: ramp::knee(&ramp.iter().map(LoadFigures::load).collect::<Vec<_>>()),
        carried_per_s: carried(&ramp),
        ramp_op: ramp_op.to_owned(),
        ramp,
    }
}

fn of_op(op: &Op) -> OpFigures {
    let measured = QUANTILES.iter().filter_map(|q| op.latency.quantile(*q)).collect();
    let latency = if op.latency.is_empty() { told(&op.told) } else { measured };
    OpFigures {
        op: op.name.clone(),
        seconds: op.seconds,
        offered: op.offered,
        ok: op.ok,
        errors: op.errors.clone(),
        timeouts: op.timeouts,
        skipped: op.skipped,
        abandoned: op.abandoned,
        offered_per_s: op.offered_per_s(),
        ok_per_s: op.ok_per_s(),
        count: if op.latency.is_empty() { op.told.count } else { op.latency.count() },
        latency,
        max_us: op.latency.max_us().or(op.told.max),
        service_us: op.service,
        lag_us: op.lag,
    }
}

/// Quantiles of a run without windows, which carry no interval.
fn told(told: &Quantiles) -> Vec<Quantile> {
    let values = [told.p50, told.p90, told.p99, told.p999, told.p9999];
    let known = QUANTILES.iter().zip(values).filter_map(|(q, value)| Some((*q, value?)));
    let quantile = |(q, value_us): (f64, f64)| {
        let bucket_us = (value_us, value_us);
        Quantile { q, value_us, bucket_us, interval_us: None, supported: true }
    };
    known.map(quantile).collect()
}

/// Several runs: totals divided by totals.
fn cost(step: &Step<'_>) -> CostFigures {
    let memory = step.runs.iter().flat_map(|found| &found.run.servers);
    let rss_max_bytes = memory.filter_map(|server| server.rss_max_bytes).max();
    let answered = |found: &measure::folder::Found| -> u64 {
        found.run.operations.iter().map(|op| op.ok).sum()
    };
    let all: u64 = step.runs.iter().map(|found| answered(found)).sum();
    let over = |of: fn(&measure::folder::Cost) -> Option<f64>| -> Option<f64> {
        let weighed: Option<Vec<f64>> = step
            .runs
            .iter()
            .map(|found| of(&found.run.cost).map(|value| value * answered(found) as f64))
            .collect();
        Some(weighed?.iter().sum::<f64>() / all.max(1) as f64)
    };
    CostFigures {
        cpu_us_per_op: over(|cost| cost.cpu_us_per_op),
        disk_bytes_per_op: over(|cost| cost.disk_bytes_per_op),
        syncs_per_op: over(|cost| cost.syncs_per_op),
        rss_max_bytes,
    }
}

/// All faults of all runs of a step.
fn failover(step: &Step<'_>) -> Option<Failover> {
    let mut parts = step.runs.iter().filter_map(|found| found.run.failover.as_ref());
    let mut all = parts.next()?.clone();
    for part in parts {
        for milestone in &part.milestones {
            match all.milestones.iter_mut().find(|known| known.name == milestone.name) {
                Some(known) => {
                    known.samples_us.extend(&milestone.samples_us);
                    known.latency_us = Quantiles::default();
                }
                None => all.milestones.push(milestone.clone()),
            }
        }
    }
    for milestone in &mut all.milestones {
        milestone.samples_us.sort_by(f64::total_cmp);
    }
    Some(all)
}

fn of_load(step: &Step<'_>, op: &str) -> LoadFigures {
    let latency = step.ops.iter().find(|known| known.name == op).map(|op| &op.latency);
    let at = |q: f64| latency.and_then(|latency| latency.supported(q));
    LoadFigures {
        offered_per_s: step.offered_per_s(),
        ok_per_s: step.answered().map(Op::ok_per_s).sum(),
        p50_us: at(0.5),
        p99_us: at(0.99),
        p999_us: at(0.999),
        valid: step.runs.iter().all(|found| found.run.validity.valid),
    }
}

impl LoadFigures {
    fn load(&self) -> Load {
        Load {
            offered: self.offered_per_s,
            answered: self.ok_per_s,
            p99: self.p99_us,
            is_valid: self.valid,
        }
    }
}

/// The highest load of a ramp that was carried by a valid run.
fn carried(ramp: &[LoadFigures]) -> Option<f64> {
    let carried =
        ramp.iter().map(LoadFigures::load).filter(|load| load.is_valid && load.is_carried());
    carried.map(|load| load.offered).reduce(f64::max)
}

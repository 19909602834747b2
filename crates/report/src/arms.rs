//! Run folders in the order of a report: workloads, in each the arms, in each arm the steps of its load.
//!
//! Runs are one *arm* if their folders name the same arm, durability, commit and version, and stand on the
//! same side of `--vs`. Runs of an arm whose loads differ by more than [`SAME_LOAD`] are steps of a ramp;
//! runs of one step are repetitions, and their histograms are merged.

use crate::{Options, ReportError};
use measure::Quantiles;
use measure::cells::Cells;
use measure::folder::{Durability, Found, TargetKind, Window};
use std::collections::BTreeMap;

/// Loads that differ by less than this part are one load.
const SAME_LOAD: f64 = 0.05;

/// Arms that colours and letters can tell apart.
pub(crate) const ARMS_MAX: usize = 8;

/// What is compared.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Arm {
    /// Unlike that of all others.
    pub(crate) name: String,
    pub(crate) durability: Durability,
    pub(crate) kind: TargetKind,
    pub(crate) version: Option<String>,
}

impl Arm {
    /// `A` to `H`.
    pub(crate) fn letter(number: usize) -> &'static str {
        ["A", "B", "C", "D", "E", "F", "G", "H"].get(number).copied().unwrap_or("?")
    }
}

/// All that a report is about.
#[derive(Debug)]
pub(crate) struct Model<'a> {
    /// The first one is what the others are compared with.
    pub(crate) arms: Vec<Arm>,
    pub(crate) workloads: Vec<Workload<'a>>,
    /// Some workload was measured with arms of different durability.
    pub(crate) crosses_durability: bool,
}

/// One workload on all arms that were asked to carry it.
#[derive(Debug)]
pub(crate) struct Workload<'a> {
    pub(crate) name: &'a str,
    pub(crate) description: &'a str,
    /// In the order of the arms.
    pub(crate) entries: Vec<Entry<'a>>,
}

/// One workload on one arm.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    /// Which one of [`Model::arms`].
    pub(crate) arm: usize,
    /// By rising load; one, if it is no ramp.
    pub(crate) steps: Vec<Step<'a>>,
    /// The step that is shown where one load is shown.
    pub(crate) shown: usize,
}

impl<'a> Entry<'a> {
    pub(crate) fn step(&self) -> &Step<'a> {
        &self.steps[self.shown]
    }

    /// The operation that was offered most at the lowest load, of those that are answered.
    pub(crate) fn busiest(&self) -> &str {
        let most = self.steps[0].answered().max_by_key(|op| op.offered);
        most.map_or("", |op| &op.name)
    }

    pub(crate) fn op(&self, name: &str) -> Option<&Op> {
        self.step().ops.iter().find(|op| op.name == name)
    }
}

/// Runs of one load.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    pub(crate) runs: Vec<&'a Found>,
    pub(crate) ops: Vec<Op>,
}

impl Step<'_> {
    /// Operations that are answered: load that nobody answers, such as one-way heartbeats, is apart.
    pub(crate) fn answered(&self) -> impl Iterator<Item = &Op> {
        self.ops.iter().filter(|op| op.is_answered())
    }

    /// Requests that were due and are answered, a second.
    pub(crate) fn offered_per_s(&self) -> f64 {
        self.answered().map(Op::offered_per_s).sum()
    }

    /// Part of them that was answered with success.
    pub(crate) fn carried(&self) -> f64 {
        let offered: u64 = self.answered().map(|op| op.offered).sum();
        let ok: u64 = self.answered().map(|op| op.ok).sum();
        ok as f64 / offered.max(1) as f64
    }
}

/// One operation over the runs of one step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Op {
    pub(crate) name: String,
    /// Measured time of all runs together.
    pub(crate) seconds: f64,
    pub(crate) offered: u64,
    pub(crate) ok: u64,
    pub(crate) errors: BTreeMap<String, u64>,
    pub(crate) timeouts: u64,
    pub(crate) skipped: u64,
    pub(crate) abandoned: u64,
    /// All measured windows of all runs, merged.
    pub(crate) latency: Cells,
    /// What the runs say of themselves, if it was one: also known without windows.
    pub(crate) told: Quantiles,
    pub(crate) service: Quantiles,
    pub(crate) lag: Quantiles,
    /// By run: all its windows, also those of the warm-up.
    pub(crate) windows: Vec<Vec<OpWindow>>,
}

impl Op {
    /// Whether anything was answered, so that there is a latency.
    pub(crate) fn is_answered(&self) -> bool {
        !self.latency.is_empty() || self.told.count > 0
    }

    pub(crate) fn offered_per_s(&self) -> f64 {
        self.offered as f64 / self.seconds.max(1e-3)
    }

    pub(crate) fn ok_per_s(&self) -> f64 {
        self.ok as f64 / self.seconds.max(1e-3)
    }
}

/// One operation in one window.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpWindow {
    pub(crate) at_ms: i64,
    pub(crate) is_measured: bool,
    pub(crate) offered: u64,
    pub(crate) ok: u64,
    pub(crate) failed: u64,
    pub(crate) latency: Cells,
    pub(crate) lag: Cells,
}

/// Orders the runs.
pub(crate) fn model<'a>(
    runs: &'a [Found],
    options: &Options<'a>,
) -> Result<Model<'a>, ReportError> {
    let sides = options.vs.iter().map(|run| (run, true));
    let sides: Vec<(&Found, bool)> = sides.chain(runs.iter().map(|run| (run, false))).collect();
    if sides.is_empty() {
        return Err(ReportError::NoRuns);
    }
    let (arms, arm_of) = name_arms(&sides);
    if arms.len() > ARMS_MAX {
        let names = arms.into_iter().map(|arm| arm.name).collect();
        return Err(ReportError::TooManyArms { names });
    }
    let mut names: Vec<&str> = Vec::new();
    for (run, _) in &sides {
        if !names.contains(&run.run.name.as_str()) {
            names.push(&run.run.name);
        }
    }
    let runs: Vec<(&Found, usize)> = sides.iter().map(|side| side.0).zip(arm_of).collect();
    let workloads = names.into_iter().map(|name| workload(name, &runs, arms.len())).collect();
    let mut model = Model { arms, workloads, crosses_durability: false };
    for workload in &model.workloads {
        let classes = workload.entries.iter().map(|entry| &model.arms[entry.arm]);
        let classes: Vec<&Arm> = classes.collect();
        if classes.iter().all(|arm| arm.durability == classes[0].durability) {
            continue;
        }
        model.crosses_durability = true;
        if !options.across_durability {
            let told = |arm: &&Arm| format!("{} is {}", arm.name, durability(arm.durability));
            return Err(ReportError::AcrossDurability {
                workload: workload.name.to_owned(),
                arms: classes.iter().map(told).collect::<Vec<_>>().join(", "),
            });
        }
    }
    if let Some(comparison) = options.comparison.filter(|it| it.crosses_durability()) {
        model.crosses_durability = true;
        if !options.across_durability {
            let told = [&comparison.a, &comparison.b]
                .map(|side| format!("{} is {}", side.arm, durability(side.durability)));
            let workload = comparison.workload.clone();
            return Err(ReportError::AcrossDurability { workload, arms: told.join(", ") });
        }
    }
    Ok(model)
}

/// The name of a class of durability.
pub(crate) fn durability(class: Durability) -> &'static str {
    match class {
        Durability::Fsync => "fsync",
        Durability::Async => "async",
        Durability::Unknown => "unknown",
    }
}

/// The arms in the order of their first run, and the arm of each run.
fn name_arms(sides: &[(&Found, bool)]) -> (Vec<Arm>, Vec<usize>) {
    let key = |(found, is_vs): &(&Found, bool)| {
        let run = &found.run;
        let target = (run.target.kind, run.target.version.clone());
        (run.arm.clone(), run.durability, run.commit.clone(), target, *is_vs)
    };
    let mut keys = Vec::new();
    let mut arm_of = Vec::new();
    for side in sides {
        let key = key(side);
        let known = keys.iter().position(|other| *other == key);
        arm_of.push(known.unwrap_or_else(|| {
            keys.push(key);
            keys.len() - 1
        }));
    }
    let is_alone = |name: &str| keys.iter().filter(|key| key.0 == name).count() == 1;
    let mut arms: Vec<Arm> = Vec::new();
    for (name, durability, commit, (kind, version), is_vs) in &keys {
        let mut unique = name.clone();
        if !is_alone(name) {
            let short = commit.as_deref().map(|commit| commit.get(..8).unwrap_or(commit));
            let more = short.or(version.as_deref()).unwrap_or("unknown build");
            unique = format!("{name} ({more}{})", if *is_vs { ", baseline" } else { "" });
        }
        if arms.iter().any(|arm| arm.name == unique) {
            unique = format!("{unique} #{}", arms.len() + 1);
        }
        let version = version.clone();
        arms.push(Arm { name: unique, durability: *durability, kind: *kind, version });
    }
    (arms, arm_of)
}

fn workload<'a>(name: &'a str, runs: &[(&'a Found, usize)], arms: usize) -> Workload<'a> {
    let of_workload = runs.iter().filter(|(run, _)| run.run.name == name);
    let mut by_arm: Vec<Vec<&Found>> = vec![Vec::new(); arms];
    for (run, arm) in of_workload {
        by_arm[*arm].push(run);
    }
    let description =
        by_arm.iter().flatten().map(|run| run.run.description.as_str()).next().unwrap_or_default();
    let entries = by_arm.into_iter().enumerate().filter(|(_, runs)| !runs.is_empty());
    let mut entries: Vec<Entry<'_>> =
        entries.map(|(arm, runs)| Entry { arm, steps: steps(runs), shown: 0 }).collect();
    let load = shown_load(&entries);
    for entry in &mut entries {
        let distance = |step: &Step<'_>| (step.offered_per_s() - load).abs();
        let near = (0..entry.steps.len())
            .min_by(|a, b| distance(&entry.steps[*a]).total_cmp(&distance(&entry.steps[*b])));
        entry.shown = near.unwrap_or(0);
    }
    Workload { name, description, entries }
}

/// The load at which all arms are shown: the highest that every arm carried, or the lowest of all.
fn shown_load(entries: &[Entry<'_>]) -> f64 {
    let carried = |entry: &Entry<'_>| {
        let carried = entry.steps.iter().filter(|step| step.carried() >= measure::ramp::CARRIED);
        carried.map(Step::offered_per_s).fold(0.0, f64::max)
    };
    let common = entries.iter().map(carried).fold(f64::MAX, f64::min);
    let lowest = entries.iter().filter_map(|entry| entry.steps.first()).map(Step::offered_per_s);
    if common > 0.0 { common } else { lowest.fold(f64::MAX, f64::min) }
}

/// Steps by rising load.
fn steps(mut runs: Vec<&Found>) -> Vec<Step<'_>> {
    let load = |run: &Found| {
        let answered = run.run.operations.iter().filter(|op| op.latency_us.count > 0);
        answered.map(|op| op.offered).sum::<u64>() as f64 / seconds(run).max(1e-3)
    };
    runs.sort_by(|left, right| load(left).total_cmp(&load(right)));
    let mut groups: Vec<Vec<&Found>> = Vec::new();
    for run in runs {
        match groups.last_mut() {
            Some(group) if load(run) <= load(group[0]) * (1.0 + SAME_LOAD) => group.push(run),
            Some(_) | None => groups.push(vec![run]),
        }
    }
    let step = |runs: Vec<_>| Step { ops: ops(&runs), runs };
    groups.into_iter().map(step).collect()
}

/// Measured time: as planned, or what there is of an unfinished run.
fn seconds(found: &Found) -> f64 {
    let planned = found.run.time.measure_ms as f64 / 1e3;
    let seen = found.measured().count() as f64 * found.run.time.window_ms as f64 / 1e3;
    if found.run.finished || seen == 0.0 { planned } else { seen.min(planned) }
}

fn ops(runs: &[&Found]) -> Vec<Op> {
    let mut ops: Vec<Op> = Vec::new();
    for found in runs {
        for name in found.operations() {
            if !ops.iter().any(|op| op.name == name) {
                ops.push(Op { name: name.to_owned(), ..Op::default() });
            }
        }
    }
    for op in &mut ops {
        for found in runs {
            add_run(op, found);
        }
        let windows = op.windows.iter().flatten().filter(|window| window.is_measured);
        op.latency = Cells::merged(windows.map(|window| &window.latency));
        if runs.len() > 1 {
            (op.told, op.service, op.lag) = Default::default();
        }
    }
    ops
}

fn add_run(op: &mut Op, found: &Found) {
    op.seconds += seconds(found);
    if let Some(total) = found.run.operations.iter().find(|total| total.op == op.name) {
        op.offered += total.offered;
        op.ok += total.ok;
        op.timeouts += total.timeouts;
        op.skipped += total.skipped;
        op.abandoned += total.abandoned;
        for (code, count) in &total.errors {
            *op.errors.entry(code.clone()).or_default() += count;
        }
        (op.told, op.service, op.lag) = (total.latency_us, total.service_us, total.lag_us);
    }
    let end_ms = i64::try_from(found.run.time.measure_ms).unwrap_or(i64::MAX);
    let of_window = |window: &Window| {
        let cells = |text: &measure::Encoded| {
            text.decode().map(|histogram| Cells::of(&histogram)).unwrap_or_default()
        };
        let seen = window.ops.iter().find(|seen| seen.op == op.name);
        seen.map(|seen| OpWindow {
            at_ms: window.at_ms,
            is_measured: (0..end_ms.max(1)).contains(&window.at_ms),
            offered: seen.offered,
            ok: seen.ok,
            failed: seen.errors + seen.timeouts,
            latency: cells(&seen.latency),
            lag: cells(&seen.lag),
        })
    };
    op.windows.push(found.windows.iter().filter_map(of_window).collect());
}

//! The same for a merge request: what to know first, then tables.

use crate::arms::{Arm, Model, durability};
use crate::draw::numbers;
use crate::page::{between, change_sign, kind, quantile_name, shell, shown_interval, verdict_word};
use crate::ratios::Ratio;
use crate::summary::{
    self, ArmFigures, OpFigures, QUANTILES, RunFigures, Summary, WorkloadFigures,
};
use crate::{Options, ReportError, arms};
use measure::comparison::{Change, Comparison};
use measure::folder::Found;
use measure::judged::Judged;
use measure::tables::{Cell, Mood, Table};
use std::fmt::Write as _;

/// Markdown (GitHub's and GitLab's tables) about the runs.
///
/// # Errors
/// - [`ReportError`], all but the last.
pub fn markdown(runs: &[Found], options: &Options<'_>) -> Result<String, ReportError> {
    let model = arms::model(runs, options)?;
    let summary = summary::summary(&model);
    let mut out = Text::default();
    let names: Vec<&str> = model.workloads.iter().map(|workload| workload.name).collect();
    out.line(format_args!("# {}\n", options.title.map_or_else(|| names.join(", "), str::to_owned)));
    doubts(&mut out, &summary, options);
    legend(&mut out, &model);
    options.tables.iter().for_each(|table| given(&mut out, table));
    objectives(&mut out, options.judged);
    if let Some(comparison) = options.comparison {
        compared(&mut out, comparison);
    }
    for figures in &summary.workloads {
        if summary.workloads.len() > 1 || options.title.is_some() {
            out.line(format_args!("## {}\n", figures.workload));
        }
        if !figures.description.is_empty() {
            out.line(format_args!("{}\n", figures.description));
        }
        latencies(&mut out, figures);
        ratios(&mut out, figures);
        ramp(&mut out, figures);
        failover(&mut out, figures);
        costs(&mut out, figures);
    }
    first_is_better(&mut out, &summary, &model);
    validity(&mut out, &summary);
    commands(&mut out, &summary);
    Ok(out.0)
}

/// Lines that are being written.
#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("a string grows");
        self.0.push('\n');
    }

    /// A row of a table; text of runs ends no cell.
    fn row<T: AsRef<str>>(&mut self, cells: &[T]) {
        let safe = |cell: &T| cell.as_ref().replace('|', "\\|").replace('\n', " ");
        let cells: Vec<String> = cells.iter().map(safe).collect();
        self.line(format_args!("| {} |", cells.join(" | ")));
    }

    /// The head of a table: the first columns are words, the others figures.
    fn head<T: AsRef<str>>(&mut self, names: &[T], words: usize) {
        self.row(names);
        let rule = |place: usize| if place < words { "---" } else { "---:" };
        let rules: Vec<&str> = (0..names.len()).map(rule).collect();
        self.line(format_args!("|{}|", rules.join("|")));
    }
}

fn runs(summary: &Summary) -> impl Iterator<Item = (&WorkloadFigures, &ArmFigures, &RunFigures)> {
    summary.workloads.iter().flat_map(|workload| {
        workload
            .arms
            .iter()
            .flat_map(move |arm| arm.runs.iter().map(move |run| (workload, arm, run)))
    })
}

fn doubts(out: &mut Text, summary: &Summary, options: &Options<'_>) {
    for (workload, arm, run) in runs(summary) {
        let name = format!("{} on {} ({})", workload.workload, arm.arm, run.id);
        if !run.finished {
            out.line(format_args!(
                "> **Unfinished**: {name}; the figures are those of its windows.\n"
            ));
        } else if !run.validity.valid {
            let reasons = run.validity.reasons.join("; ");
            out.line(format_args!(
                "> **✗ INVALID**: {name} says nothing about the server: {reasons}\n"
            ));
        }
        if run.correctness.violations > 0 {
            let details = run.correctness.details.join("; ");
            let violations = run.correctness.violations;
            out.line(format_args!("> **✗ WRONG ANSWERS**: {name}: {violations}; {details}\n"));
        }
    }
    if let Some(comparison) = options.comparison.filter(|comparison| !comparison.valid) {
        out.line(format_args!("> **✗ INVALID comparison**: {}\n", comparison.reasons.join("; ")));
    }
    if summary.across_durability {
        out.line(format_args!(
            "> **Across durability classes**: arms that do not promise the same stand beside each other; \
             such ratios are marked †.\n"
        ));
    }
}

fn legend(out: &mut Text, model: &Model<'_>) {
    out.head(&["", "Arm", "Target", "Durability"], 4);
    for (number, arm) in model.arms.iter().enumerate() {
        let version = arm.version.as_deref().unwrap_or(numbers::NONE);
        let target = format!("{} {version}", kind(arm.kind));
        out.row(&[Arm::letter(number), &arm.name, &target, durability(arm.durability)]);
    }
    out.line(format_args!(""));
}

/// A table that came with the runs.
fn given(out: &mut Text, table: &Table) {
    out.line(format_args!("## {}\n", table.title));
    if !table.question.is_empty() {
        out.line(format_args!("{}\n", table.question));
    }
    if !table.columns.is_empty() {
        out.head(&table.columns, table.words);
    }
    for row in &table.rows {
        let bold = |cell: &Cell| match cell.mood {
            Mood::Plain => cell.text.clone(),
            Mood::Good | Mood::Bad | Mood::Open => format!("**{}**", cell.text),
        };
        out.row(&row.iter().map(bold).collect::<Vec<_>>());
    }
    out.line(format_args!(""));
    table.notes.iter().for_each(|note| out.line(format_args!("{note}\n")));
}

fn objectives(out: &mut Text, judged: &[Judged]) {
    if judged.is_empty() {
        return;
    }
    out.line(format_args!("## Objectives\n"));
    out.head(&["", "Objective", "What", "Measured", "Limit"], 3);
    for one in judged {
        let show = |value: f64| format!("{} {}", numbers::three_digits(value), one.unit);
        let mut value = one.value.map_or(numbers::NONE.to_owned(), show);
        if let (Some(low), Some(high)) = (one.low, one.high) {
            let (low, high) = (numbers::three_digits(low), numbers::three_digits(high));
            value = format!("{value} [{low}, {high}]");
        }
        let word = verdict_word(one.verdict).1;
        out.row(&[word, &one.id, &one.sli, &value, &show(one.minimum)]);
    }
    out.line(format_args!(""));
}

fn compared(out: &mut Text, comparison: &Comparison) {
    let (a, b) = (&comparison.a.arm, &comparison.b.arm);
    out.line(format_args!("## Interleaved: {b} against {a}\n\n{}\n", comparison.design));
    out.head(&["Metric", "", "Ratio", "Interval"], 2);
    for effect in &comparison.effects {
        let name = format!("{} {}", effect.op, effect.metric);
        let interval = shown_interval(effect.low.zip(effect.high));
        let change = change_sign(Some(effect.verdict)).1;
        out.row(&[name.as_str(), change, &numbers::ratio(effect.ratio), &interval]);
    }
    out.line(format_args!(""));
}

fn latencies(out: &mut Text, figures: &WorkloadFigures) {
    let names: Vec<String> = QUANTILES.iter().map(|q| quantile_name(*q)).collect();
    let mut head = vec!["Operation", "", "Offered", "Answered", "Failed"];
    head.extend(names.iter().map(String::as_str));
    head.push("max");
    out.head(&head, 2);
    for op in figures.op_names() {
        for arm in &figures.arms {
            let Some(figures) = arm.operations.iter().find(|figures| figures.op == op) else {
                continue;
            };
            out.row(&latency_row(arm, figures));
        }
    }
    out.line(format_args!("\nIn brackets: fewer than ten samples beyond. Small: 95 % interval.\n"));
}

fn latency_row(arm: &ArmFigures, op: &OpFigures) -> Vec<String> {
    let failed = op.errors.values().sum::<u64>() + op.timeouts;
    let mut row = vec![
        op.op.clone(),
        Arm::letter(arm.number).to_owned(),
        numbers::rate(op.offered_per_s),
        numbers::rate(op.ok_per_s),
        numbers::count(failed),
    ];
    for q in QUANTILES {
        let quantile = op.latency.iter().find(|quantile| quantile.q == q);
        row.push(match quantile {
            None => numbers::NONE.to_owned(),
            Some(thin) if !thin.supported => format!("({})", numbers::latency(thin.value_us)),
            Some(known) => {
                let value = numbers::latency(known.value_us);
                match known.interval_us {
                    Some(interval) => format!("{value} <sub>{}</sub>", between(Some(interval))),
                    None => value,
                }
            }
        });
    }
    row.push(op.max_us.map_or(numbers::NONE.to_owned(), numbers::latency));
    row
}

/// Metrics down, arms across: old and new.
fn ratios(out: &mut Text, figures: &WorkloadFigures) {
    let Some(first) = figures.arms.first().filter(|_| !figures.ratios.is_empty()) else { return };
    let mut head =
        vec!["Metric".to_owned(), format!("{} {}", Arm::letter(first.number), first.arm)];
    let others = || figures.arms.iter().skip(1);
    head.extend(others().map(|arm| format!("{} {}", Arm::letter(arm.number), arm.arm)));
    out.head(&head, 1);
    for (of, metric) in figures.metrics() {
        let find = |number: usize| {
            let same = |it: &&Ratio| it.of == of && it.metric == metric && it.number == number;
            figures.ratios.iter().find(same)
        };
        let base = others().find_map(|arm| find(arm.number));
        let base = base.map(|ratio| ratio.unit.show(ratio.base)).unwrap_or_default();
        let mut row = vec![format!("{of} {metric}"), base];
        row.extend(
            others().map(|arm| find(arm.number).map_or(numbers::NONE.to_owned(), ratio_cell)),
        );
        out.row(&row);
    }
    out.line(format_args!(
        "\nRatios against {}. Intervals hold what windows differ within a run, not what the host did between runs.\n",
        first.arm
    ));
}

fn ratio_cell(ratio: &Ratio) -> String {
    let mark = if ratio.across_durability { "†" } else { "" };
    let sign = change_sign(ratio.change).1.split(' ').next().unwrap_or_default();
    let sign = if ratio.change.is_some() { sign } else { "" };
    let (value, interval) = (ratio.unit.show(ratio.value), shown_interval(ratio.interval));
    format!("{value}, **{}**{mark} {interval} {sign}", numbers::ratio(ratio.ratio))
        .trim_end()
        .to_owned()
}

fn ramp(out: &mut Text, figures: &WorkloadFigures) {
    if figures.arms.iter().all(|arm| arm.ramp.is_empty()) {
        return;
    }
    let show =
        |value: Option<f64>, show: fn(f64) -> String| value.map_or(numbers::NONE.to_owned(), show);
    out.head(&["Load", "Offered", "Answered", "p50", "p99", "p99.9", ""], 1);
    for arm in &figures.arms {
        for load in &arm.ramp {
            let is_knee = arm.knee_per_s == Some(load.offered_per_s);
            let note = match (load.valid, is_knee) {
                (false, _) => "✗ invalid",
                (true, true) => "knee",
                (true, false) => "",
            };
            out.row(&[
                Arm::letter(arm.number).to_owned(),
                numbers::rate(load.offered_per_s),
                numbers::rate(load.ok_per_s),
                show(load.p50_us, numbers::latency),
                show(load.p99_us, numbers::latency),
                show(load.p999_us, numbers::latency),
                note.to_owned(),
            ]);
        }
    }
    out.line(format_args!(""));
    for arm in figures.arms.iter().filter(|arm| !arm.ramp.is_empty()) {
        let (letter, carried) = (Arm::letter(arm.number), show(arm.carried_per_s, numbers::rate));
        out.line(format_args!("{letter} carried at most {carried}.\n"));
    }
}

fn failover(out: &mut Text, figures: &WorkloadFigures) {
    if figures.arms.iter().all(|arm| arm.failover.is_none()) {
        return;
    }
    out.head(&["Milestone", "", "Times", "p50", "p99", "last"], 2);
    for arm in &figures.arms {
        for milestone in arm.failover.iter().flat_map(|failover| &failover.milestones) {
            let samples = &milestone.samples_us;
            let at = |q: f64| {
                let value = measure::statistics::quantile_of(samples, q).map(numbers::latency);
                let is_supported = measure::histogram::is_supported(samples.len() as u64, q);
                let bracketed = value.map(|it| if is_supported { it } else { format!("({it})") });
                bracketed.unwrap_or_else(|| numbers::NONE.to_owned())
            };
            let last = samples.last().copied().or(milestone.latency_us.max);
            out.row(&[
                milestone.name.clone(),
                Arm::letter(arm.number).to_owned(),
                numbers::count(samples.len() as u64),
                at(0.5),
                at(0.99),
                last.map_or(numbers::NONE.to_owned(), numbers::latency),
            ]);
        }
    }
    out.line(format_args!(""));
}

fn costs(out: &mut Text, figures: &WorkloadFigures) {
    let show =
        |value: Option<f64>, show: fn(f64) -> String| value.map_or(numbers::NONE.to_owned(), show);
    out.head(
        &[
            "Cost of an operation",
            "CPU, all nodes",
            "Bytes on disks",
            "Syncs",
            "Memory, most of a node",
        ],
        1,
    );
    for arm in &figures.arms {
        let cost = &arm.cost;
        out.row(&[
            format!("{} {}", Arm::letter(arm.number), arm.arm),
            show(cost.cpu_us_per_op, |us| format!("{} µs", numbers::three_digits(us))),
            show(cost.disk_bytes_per_op, numbers::bytes),
            show(cost.syncs_per_op, numbers::three_digits),
            show(cost.rss_max_bytes.map(|bytes| bytes as f64), numbers::bytes),
        ]);
    }
    out.line(format_args!(""));
}

fn first_is_better(out: &mut Text, summary: &Summary, model: &Model<'_>) {
    if model.arms.len() < 2 {
        return;
    }
    out.line(format_args!("## Where the baseline, {}, is better\n", model.arms[0].name));
    let mut is_any = false;
    for figures in &summary.workloads {
        for ratio in figures.ratios.iter().filter(|ratio| ratio.change == Some(Change::Slower)) {
            is_any = true;
            let (base, cell) = (ratio.unit.show(ratio.base), ratio_cell(ratio));
            out.line(format_args!(
                "- {}: {} {} of {}: {cell} instead of {base}",
                figures.workload, ratio.of, ratio.metric, ratio.arm
            ));
        }
    }
    if !is_any {
        out.line(format_args!("In no metric whose interval allows a verdict."));
    }
    out.line(format_args!(""));
}

fn validity(out: &mut Text, summary: &Summary) {
    out.line(format_args!("## Validity and correctness\n"));
    out.head(
        &["Run", "Valid", "Checked", "Send lag p99", "Skipped", "Others, cores", "Wrong answers"],
        3,
    );
    for (workload, arm, run) in runs(summary) {
        let valid = match (run.finished, run.validity.valid) {
            (false, _) => "? unfinished",
            (true, true) => "✓",
            (true, false) => "✗",
        };
        let others = run.validity.others_cores.map(|cores| format!("{cores:.2}"));
        out.row(&[
            format!("{} on {} ({})", workload.workload, arm.arm, run.id),
            valid.to_owned(),
            if run.correctness.checked { "✓".to_owned() } else { "? no".to_owned() },
            numbers::latency(run.validity.send_lag_p99_us),
            numbers::count(run.validity.skipped),
            others.unwrap_or_else(|| numbers::NONE.to_owned()),
            numbers::count(run.correctness.violations),
        ]);
    }
    out.line(format_args!(""));
}

fn commands(out: &mut Text, summary: &Summary) {
    out.line(format_args!("## Commands\n"));
    for (_, _, run) in runs(summary) {
        let started = numbers::date(run.started_unix_ms);
        out.line(format_args!("- `{}` (seed {}, {started})", shell(&run.command), run.seed));
    }
}

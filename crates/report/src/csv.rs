//! The same as rows, one for each figure, for spreadsheets and scripts.

use crate::summary::{ArmFigures, WorkloadFigures, summary};
use crate::{Options, ReportError, arms};
use measure::folder::Found;
use std::fmt::Write as _;

/// Names of the columns.
const HEAD: &str = "workload,arm,durability,of,metric,unit,value,low,high,supported\n";

/// One figure.
struct Row<'a> {
    of: &'a str,
    metric: String,
    unit: &'a str,
    value: Option<f64>,
    interval: Option<(f64, f64)>,
    supported: bool,
}

/// One row for each figure; an absent figure is an empty cell, which is not zero.
///
/// # Errors
/// - [`ReportError`], all but the last.
pub fn csv(runs: &[Found], options: &Options<'_>) -> Result<String, ReportError> {
    let summary = summary(&arms::model(runs, options)?);
    let mut out = HEAD.to_owned();
    for figures in &summary.workloads {
        for arm in &figures.arms {
            for row in rows(arm) {
                write(&mut out, figures, arm, &row);
            }
        }
    }
    Ok(out)
}

fn rows(arm: &ArmFigures) -> Vec<Row<'_>> {
    let plain = |of, metric: &str, unit, value| Row {
        of,
        metric: metric.to_owned(),
        unit,
        value,
        interval: None,
        supported: true,
    };
    let mut rows = Vec::new();
    for op in &arm.operations {
        rows.push(plain(&op.op, "offered", "1/s", Some(op.offered_per_s)));
        rows.push(plain(&op.op, "answered", "1/s", Some(op.ok_per_s)));
        for (metric, count) in
            [("timeouts", op.timeouts), ("skipped", op.skipped), ("samples", op.count)]
        {
            rows.push(plain(&op.op, metric, "", Some(count as f64)));
        }
        if op.abandoned > 0 {
            rows.push(plain(&op.op, "abandoned", "", Some(op.abandoned as f64)));
        }
        for (code, count) in &op.errors {
            rows.push(plain(&op.op, &format!("error {code}"), "", Some(*count as f64)));
        }
        rows.extend(op.latency.iter().map(|quantile| Row {
            of: &op.op,
            metric: crate::page::quantile_name(quantile.q),
            unit: "us",
            value: Some(quantile.value_us),
            interval: quantile.interval_us,
            supported: quantile.supported,
        }));
        rows.push(plain(&op.op, "max", "us", op.max_us));
    }
    for milestone in arm.failover.iter().flat_map(|failover| &failover.milestones) {
        for q in [0.5, 0.9, 0.99] {
            let samples = &milestone.samples_us;
            rows.push(Row {
                of: &milestone.name,
                metric: crate::page::quantile_name(q),
                unit: "us",
                value: measure::statistics::quantile_of(samples, q),
                interval: None,
                supported: measure::histogram::is_supported(samples.len() as u64, q),
            });
        }
    }
    for load in &arm.ramp {
        let of = format!("load {:.0}/s", load.offered_per_s);
        rows.push(plain("ramp", &format!("{of} answered"), "1/s", Some(load.ok_per_s)));
        rows.push(plain("ramp", &format!("{of} p99"), "us", load.p99_us));
    }
    let cost = &arm.cost;
    rows.push(plain("servers", "cpu per operation", "us", cost.cpu_us_per_op));
    rows.push(plain("servers", "disk bytes per operation", "bytes", cost.disk_bytes_per_op));
    rows.push(plain("servers", "syncs per operation", "", cost.syncs_per_op));
    rows.push(plain("servers", "memory max", "bytes", cost.rss_max_bytes.map(|it| it as f64)));
    rows
}

fn write(out: &mut String, figures: &WorkloadFigures, arm: &ArmFigures, row: &Row<'_>) {
    let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.3}"));
    let line = [
        quoted(&figures.workload),
        quoted(&arm.arm),
        arm.durability.to_owned(),
        quoted(row.of),
        quoted(&row.metric),
        row.unit.to_owned(),
        number(row.value),
        number(row.interval.map(|interval| interval.0)),
        number(row.interval.map(|interval| interval.1)),
        row.supported.to_string(),
    ];
    writeln!(out, "{}", line.join(",")).expect("a string grows");
}

/// A cell, in quotes where it has to be (RFC 4180).
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn cells_cannot_break_the_row() {
        assert_eq!(quoted("plain"), "plain");
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
    }
}

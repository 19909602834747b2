//! The whole distribution of each operation, all arms: where the tail starts.

use super::{Context, chip};
use crate::arms::Workload;
use crate::draw::numbers;
use crate::draw::page::figure;
use crate::draw::plot::{Axis, Plot, log_range};
use crate::draw::scale::Kind;
use crate::summary::{OpFigures, QUANTILES, WorkloadFigures};
use maud::{Markup, html};
use measure::cells::{Cells, Quantile};
use measure::histogram::SUPPORT_MIN;

/// Height of a plot, in pixels.
const HEIGHT: f64 = 230.0;

pub(super) fn draw(context: &Context<'_>) -> Option<Markup> {
    let mut parts = Vec::new();
    for (workload, figures) in context.workloads() {
        parts.push(html! {
            (context.heading(&figures.workload))
            (at_which_load(figures))
            (table(figures))
            div.grid { @for op in op_names(workload) { @if let Some(plot) = plot(context, workload, op) { (plot) } } }
        });
    }
    Some(html! {
        @for part in &parts { (part) }
        div.key {
            span { i.l {} "ten samples or more lie beyond" }
            span { i.l.dash {} "fewer than ten: what one more run could change" }
            span { i.fill2 style="--c:var(--dim);--f:var(--line)" {} "95 % interval" }
        }
    })
}

/// Operations of all arms of a workload, in their order.
pub(super) fn op_names<'a>(workload: &'a Workload<'_>) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for op in workload.entries.iter().flat_map(|entry| &entry.step().ops) {
        if !names.contains(&op.name.as_str()) {
            names.push(&op.name);
        }
    }
    names
}

fn at_which_load(figures: &WorkloadFigures) -> Markup {
    html! {
        @if figures.arms.iter().any(|arm| !arm.ramp.is_empty()) {
            p.note {
                "Of the ramp the highest load is shown that every arm carried: "
                @for (place, arm) in figures.arms.iter().enumerate() {
                    @if place > 0 { ", " }
                    (chip(arm.number)) " " (numbers::rate(arm.offered_per_s))
                }
            }
        }
    }
}

/// The name of a quantile: `p50`, `p99.9`.
pub(crate) fn quantile_name(q: f64) -> String {
    format!("p{}", (q * 1e6).round() / 1e4)
}

fn table(figures: &WorkloadFigures) -> Markup {
    html! {
        div.card.scroll {
            table {
                tr {
                    th { "Operation" } th { "" } th.n { "Offered" } th.n { "Answered" } th.n { "Failed" }
                    @for q in QUANTILES { th.n { (quantile_name(q)) } }
                    th.n { "max" } th.n { "Samples" }
                }
                @for op in figures.op_names() {
                    @for arm in &figures.arms {
                        @if let Some(figures) = arm.operations.iter().find(|figures| figures.op == op) {
                            tr { td { (op) } td { (chip(arm.number)) } (cells(figures)) }
                        }
                    }
                }
            }
        }
    }
}

fn cells(op: &OpFigures) -> Markup {
    let failed = op.errors.values().sum::<u64>() + op.timeouts;
    let class = if failed > 0 { "n bad" } else { "n" };
    html! {
        td.n { (numbers::rate(op.offered_per_s)) }
        td.n { (numbers::rate(op.ok_per_s)) }
        td class=(class) { (numbers::count(failed)) @if op.skipped > 0 { small { (op.skipped) " skipped" } } }
        @for q in QUANTILES { (quantile(op.latency.iter().find(|quantile| quantile.q == q))) }
        td.n { (op.max_us.map_or(numbers::NONE.to_owned(), numbers::latency)) }
        td.n { (numbers::count(op.count)) }
    }
}

fn quantile(quantile: Option<&Quantile>) -> Markup {
    html! {
        @match quantile {
            None => td.n { (numbers::NONE) },
            Some(quantile) if !quantile.supported => td.n title="fewer than ten samples lie beyond" {
                "(" (numbers::latency(quantile.value_us)) ")" small { "< 10 beyond" }
            },
            Some(quantile) => td.n title=(bucket(quantile)) {
                (numbers::latency(quantile.value_us))
                small { (between(quantile.interval_us)) }
            },
        }
    }
}

/// What one cell of the histogram takes for the same.
fn bucket(quantile: &Quantile) -> String {
    let (low, high) = quantile.bucket_us;
    format!("bucket {low:.3} to {high:.3} µs")
}

/// `1.19–1.31 ms`.
pub(crate) fn between(interval: Option<(f64, f64)>) -> String {
    interval.map_or(String::new(), |(low, high)| {
        let (low, high) = (numbers::latency(low), numbers::latency(high));
        match (low.split_once(' '), high.split_once(' ')) {
            (Some((number, unit)), Some((_, same))) if unit == same => format!("{number}–{high}"),
            (Some(_) | None, Some(_) | None) => format!("{low}–{high}"),
        }
    })
}

/// The distribution of one operation; nothing if no arm has samples of it.
fn plot(context: &Context<'_>, workload: &Workload<'_>, op: &str) -> Option<Markup> {
    let points = context.detail.points;
    let arms: Vec<(usize, &Cells)> = workload
        .entries
        .iter()
        .filter_map(|entry| Some((entry.arm, &entry.op(op)?.latency)))
        .filter(|(_, cells)| !cells.is_empty())
        .collect();
    let most = arms.iter().map(|(_, cells)| cells.count()).max()?;
    let values = arms.iter().flat_map(|(_, cells)| [cells.at(0.0), cells.max_us()]).flatten();
    let last = most as f64;
    let x = Axis {
        label: "percentile",
        range: (1.0, last.max(10.0)),
        kind: Kind::Log,
        show: tail_name,
    };
    let y = Axis {
        label: "latency",
        range: log_range(values),
        kind: Kind::Log,
        show: numbers::round_latency,
    };
    let mut ticks = vec![(2.0, Some("50 %".to_owned()))];
    let decades = (1..=7).map(|decade| 10_f64.powi(decade)).filter(|tail| *tail <= last);
    ticks.extend(decades.map(|tail| (tail, Some(tail_name(tail)))));
    let mut plot = Plot::with_ticks(&x, &ticks, &y, HEIGHT);
    for (arm, cells) in &arms {
        draw_arm(&mut plot, *arm, cells, points);
    }
    let tips: Vec<(f64, String)> = tails(last, points)
        .into_iter()
        .map(|tail| {
            let q = 1.0 - 1.0 / tail;
            let value = |(arm, cells): &(usize, &Cells)| {
                let value = cells.at(q)?;
                let thin =
                    if cells.count() as f64 / tail < SUPPORT_MIN { " (< 10 beyond)" } else { "" };
                let letter = crate::arms::Arm::letter(*arm);
                Some(format!("{letter} {}{thin}", numbers::latency(value)))
            };
            let values: Vec<String> = arms.iter().filter_map(value).collect();
            (tail, format!("{}\n{}", tail_name(tail), values.join("\n")))
        })
        .collect();
    plot.tips(&tips);
    let picture =
        plot.finish(&format!("Latency of {op} by percentile; the table above has the figures"));
    Some(figure(&html! { (op) }, &picture, &html! {}))
}

/// Places of a line: 1/(1 − q), evenly on a logarithmic axis, up to the last sample.
fn tails(last: f64, points: u32) -> Vec<f64> {
    let mut tails = Vec::new();
    let mut step = 0;
    loop {
        let tail = 10_f64.powf(f64::from(step) / f64::from(points));
        if tail >= last {
            tails.push(last);
            return tails;
        }
        tails.push(tail);
        step += 1;
    }
}

fn draw_arm(plot: &mut Plot, arm: usize, cells: &Cells, points: u32) {
    let class = format!("c{arm}");
    let count = cells.count() as f64;
    let points: Vec<(f64, f64)> = tails(count, points)
        .into_iter()
        .filter_map(|tail| Some((tail, cells.at(1.0 - 1.0 / tail)?)))
        .collect();
    let band: Vec<(f64, f64, f64)> = points
        .iter()
        .filter_map(|(tail, _)| {
            let (low, high) = cells.interval_us(1.0 - 1.0 / tail)?;
            Some((*tail, low, high))
        })
        .collect();
    plot.band(&band, &class);
    let supported = points.partition_point(|(tail, _)| count / tail >= SUPPORT_MIN);
    plot.line(&points[..supported], &class);
    // Both parts share the point where they meet.
    plot.line(&points[supported.saturating_sub(1)..], &format!("{class} dash"));
    if let Some(end) = points.last() {
        plot.name(*end, &class, crate::arms::Arm::letter(arm));
    }
}

/// `99.9 %` for 1,000.
fn tail_name(tail: f64) -> String {
    let percent = 100.0 * (1.0 - 1.0 / tail);
    let digits = match tail {
        tail if tail < 99.0 => 0,
        tail if tail < 999.0 => usize::from(tail > 101.0),
        tail if tail < 9_990.0 => 1 + usize::from(tail > 1_010.0),
        tail if tail < 99_900.0 => 2 + usize::from(tail > 10_100.0),
        tail if tail < 999_000.0 => 3 + usize::from(tail > 101_000.0),
        _ => 5,
    };
    format!("{percent:.digits$} %")
}

#[cfg(test)]
mod tests {
    use super::{between, quantile_name, tail_name, tails};

    #[test]
    fn percentiles_have_as_many_digits_as_they_need() {
        let shown = [2.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0].map(tail_name);
        assert_eq!(shown, ["50 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"]);
        assert_eq!(
            [0.5, 0.99, 0.999, 0.9999].map(quantile_name),
            ["p50", "p99", "p99.9", "p99.99"]
        );
    }

    #[test]
    fn intervals_name_a_shared_unit_once() {
        assert_eq!(between(Some((1_190.0, 1_310.0))), "1.19–1.31 ms");
        assert_eq!(between(Some((990.0, 1_310.0))), "990 µs–1.31 ms");
        assert_eq!(between(None), "");
    }

    #[test]
    fn lines_end_at_the_last_sample() {
        let tails = tails(1_000.0, 7);
        assert_eq!((tails[0], tails[tails.len() - 1]), (1.0, 1_000.0));
        assert!(tails.is_sorted());
    }
}

//! Quantiles over time: one picture for each arm and operation, on the same axes.

use super::slices::{self, Grid, Series, Slice};
use super::{Context, arm_caption};
use crate::arms::{Entry, Workload};
use crate::draw::numbers;
use crate::draw::page::{behind, figure};
use crate::draw::plot::{Axis, Plot, log_range, seconds};
use crate::draw::scale::Kind;
use crate::draw::svg::Rect;
use maud::{Markup, html};

/// Height of a plot, in pixels.
const HEIGHT: f64 = 190.0;

/// What is drawn: class, name, quantile.
const LINES: [(&str, &str, f64); 4] =
    [("q0", "p50", 0.5), ("q1", "p99", 0.99), ("q2", "p99.9", 0.999), ("q3 thin", "max", 1.0)];

pub(super) fn draw(context: &Context<'_>) -> Option<Markup> {
    let mut parts = Vec::new();
    for (workload, figures) in context.workloads() {
        let Some(grid) = Grid::of(context, workload) else { continue };
        parts.push(html! {
            (context.heading(&figures.workload))
            (slices::beside(context, workload, |op| of_op(context, workload, &grid, op)))
            p.note {
                "Each point merges the windows of " (numbers::length(numbers::whole(grid.width_s() * 1e3)))
                ". Dashed: fewer than ten samples beyond; with fewer than one there is no line. Band: lowest and highest p99 of the windows of a point. "
                "Grey: warm-up, which no other figure counts."
            }
        });
    }
    if parts.is_empty() { None } else { Some(html! { @for part in &parts { (part) } }) }
}

fn of_op(context: &Context<'_>, workload: &Workload<'_>, grid: &Grid, op: &str) -> Markup {
    let series: Vec<(&Entry<'_>, Series)> = workload
        .entries
        .iter()
        .filter_map(|entry| Some((entry, grid.series(entry.op(op)?))))
        .filter(|(_, series)| series.count > 0)
        .collect();
    let slices = series.iter().flat_map(|(_, series)| &series.slices);
    let values = slices.flat_map(|slice| [slice.latency.at(0.5), slice.latency.max_us()]);
    let range = log_range(values.flatten());
    html! {
        @if !series.is_empty() { h3 { (op) } }
        div.grid {
            @for (entry, series) in &series {
                (figure(
                    &arm_caption(context, entry.arm),
                    &plot(series, grid, range, op),
                    &behind("Table", &table(series)),
                ))
            }
        }
    }
}

fn plot(series: &Series, grid: &Grid, range: (f64, f64), op: &str) -> Markup {
    let (from, to) = grid.range_s();
    let x = Axis {
        label: "time since the start of measuring, s",
        range: (from, to),
        kind: Kind::Linear,
        show: seconds,
    };
    let y = Axis { label: "latency", range, kind: Kind::Log, show: numbers::round_latency };
    let mut plot = Plot::new(&x, &y, HEIGHT);
    if from < 0.0 {
        let (left, right) = (plot.x.at(from), plot.x.at(0.0));
        let warm = Rect { x: left, y: plot.y.end, width: right - left, height: HEIGHT };
        plot.picture.rect(warm, "warm", None);
    }
    let middle = |slice: &Slice| f64::midpoint(slice.from_s, slice.to_s);
    let band: Vec<(f64, f64, f64)> = series
        .slices
        .iter()
        .filter(|slice| slice.windows > 1)
        .filter_map(|slice| slice.p99_us.map(|(low, high)| (middle(slice), low, high)))
        .collect();
    plot.band(&band, "q1");
    for (class, name, q) in LINES {
        let mut last = None;
        for (points, is_supported) in runs(&series.slices, q) {
            last = points.last().copied().or(last);
            let dash = if is_supported { "" } else { " dash" };
            plot.line(&points, &format!("{class}{dash}"));
        }
        if let Some(last) = last {
            plot.name(last, class, name);
        }
    }
    for slice in &series.slices {
        plot.tip((slice.from_s, slice.to_s), &slice.tip());
    }
    plot.finish(&format!("Latency of {op} over time; the table below has the figures"))
}

/// Points of a part of a line, and whether they are supported.
type Stretch = (Vec<(f64, f64)>, bool);

/// Parts of a line that are supported, or not, and end where nothing was seen. A part begins where the one
/// before it ended.
fn runs(slices: &[Slice], q: f64) -> Vec<Stretch> {
    let mut runs: Vec<Stretch> = Vec::new();
    let mut is_open = false;
    for slice in slices {
        // A quantile beyond which no sample can lie is the maximum, which has a line of its own.
        let is_maximum = q < 1.0 && slice.latency.count() as f64 * (1.0 - q) < 0.999;
        let Some(value) = slice.latency.at(q).filter(|_| !is_maximum) else {
            is_open = false;
            continue;
        };
        let point = (f64::midpoint(slice.from_s, slice.to_s), value);
        // The maximum is what was seen; it claims nothing about what was not.
        let is_supported = q >= 1.0 || slice.latency.supported(q).is_some();
        match runs.last_mut() {
            Some((points, same)) if is_open && *same == is_supported => points.push(point),
            Some((points, _)) if is_open => {
                let joint = points.last().copied();
                runs.push((joint.into_iter().chain([point]).collect(), is_supported));
            }
            Some(_) | None => runs.push((vec![point], is_supported)),
        }
        is_open = true;
    }
    runs
}

fn table(series: &Series) -> Markup {
    let show = |value: Option<f64>| value.map_or(numbers::NONE.to_owned(), numbers::latency);
    html! {
        table {
            tr { th.n { "From, s" } th.n { "Offered" } th.n { "Failed" } th.n { "p50" } th.n { "p99" } th.n { "p99.9" } th.n { "max" } }
            @for slice in &series.slices {
                tr {
                    td.n { (format!("{:.0}", slice.from_s)) }
                    @if slice.windows == 0 { td.n { (numbers::NONE) } td.n { (numbers::NONE) } }
                    @else { td.n { (numbers::count(slice.offered)) } td.n { (numbers::count(slice.failed)) } }
                    @for q in [0.5, 0.99, 0.999] { td.n { (show(slice.latency.supported(q))) } }
                    td.n { (show(slice.latency.max_us())) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::slices::Slice;
    use super::runs;
    use measure::Histogram;
    use measure::cells::Cells;

    fn slice(number: u32, requests: u64) -> Slice {
        let mut histogram = Histogram::default();
        histogram.record_n(1_000_000, requests);
        let from_s = f64::from(number);
        Slice {
            from_s,
            to_s: from_s + 1.0,
            windows: 1,
            latency: Cells::of(&histogram),
            ..Slice::default()
        }
    }

    #[test]
    fn a_line_is_dashed_where_it_is_thin_and_ends_where_nothing_was_seen() {
        let slices =
            [slice(0, 2_000), slice(1, 2_000), slice(2, 500), slice(3, 0), slice(4, 2_000)];
        let parts: Vec<(usize, bool)> =
            runs(&slices, 0.99).into_iter().map(|(points, thick)| (points.len(), thick)).collect();
        assert_eq!(parts, [(2, true), (2, false), (1, true)]);
    }
}

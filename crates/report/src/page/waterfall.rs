//! Time × latency × how many, arm beside arm, and their difference: pauses are columns that reach up.
//!
//! All arms of an operation share the axes and the scale of colours. A slice without a window is hatched,
//! a cell without a request is pale: nothing seen and nothing there are not the same.

use super::slices::{self, Grid, Series};
use super::{Context, arm_caption};
use crate::arms::{Entry, Workload};
use crate::draw::numbers;
use crate::draw::page::{behind, figure};
use crate::draw::plot::{Axis, Plot, log_range, seconds};
use crate::draw::scale::{Kind, Scale};
use crate::draw::svg::short;
use maud::{Markup, html};
use measure::folder::Happening;
use std::fmt::Write as _;

/// Height of a waterfall and of the row of send lag below it, in pixels.
const HEIGHT: f64 = 190.0;
const LAG_HEIGHT: f64 = 30.0;

/// Cells of a column.
const ROWS: usize = 38;

/// Levels of colour for how many.
const LEVELS: usize = 9;

/// A difference is drawn a level stronger from each of these parts of the greatest on.
const SIDES: [f64; 3] = [1.0 / 512.0, 1.0 / 64.0, 1.0 / 8.0];

/// Events drawn into one picture; all are in the raw figures.
const EVENTS_MAX: usize = 12;

/// Events closer than this share a flag, in pixels.
const FLAG_WIDTH: f64 = 20.0;

/// A generator later than this is drawn as a warning: it is the limit of a valid run by default.
const LAG_LIMIT_US: f64 = 1_000.0;

pub(super) fn draw(context: &Context<'_>) -> Option<Markup> {
    let mut parts = Vec::new();
    for (workload, figures) in context.workloads() {
        let Some(grid) = Grid::of(context, workload) else { continue };
        let several = workload.entries.iter().any(|entry| entry.step().runs.len() > 1);
        parts.push(html! {
            (context.heading(&figures.workload))
            @if several { p.note { "Of an arm with several runs the first is shown: pauses of different runs have no common time." } }
            (slices::beside(context, workload, |op| of_op(context, workload, &grid, op)))
        });
    }
    if parts.is_empty() { None } else { Some(html! { @for part in &parts { (part) } }) }
}

/// Requests of one slice by row; nothing if there is no window.
type Column = Option<Vec<u64>>;

/// One arm of an operation.
struct Part<'a> {
    entry: &'a Entry<'a>,
    series: Series,
    columns: Vec<Column>,
}

/// All arms of one operation, on the same axes.
fn of_op(context: &Context<'_>, workload: &Workload<'_>, grid: &Grid, op: &str) -> Markup {
    let series: Vec<(&Entry<'_>, Series)> = workload
        .entries
        .iter()
        .filter_map(|entry| Some((entry, grid.series(entry.op(op)?))))
        .filter(|(_, series)| series.count > 0)
        .collect();
    let slices = series.iter().flat_map(|(_, series)| &series.slices);
    let values = slices.flat_map(|slice| [slice.latency.at(0.0), slice.latency.max_us()]);
    let rows = Rows::new(log_range(values.flatten()));
    let part = |(entry, series): (_, Series)| {
        let columns = rows.columns(&series);
        Part { entry, series, columns }
    };
    let parts: Vec<Part<'_>> = series.into_iter().map(part).collect();
    let counts = parts.iter().flat_map(|part| part.columns.iter().flatten().flatten());
    let most = counts.copied().max().unwrap_or(1).max(1);
    let Some(first) = parts.first() else { return html! {} };
    html! {
        h3 { (op) }
        div.grid {
            @for part in &parts { (one(context, part, &rows, grid, most)) }
            @for part in &parts[1..] { (difference(context, first, part, (&rows, grid))) }
        }
        (key(most, parts.len() > 1))
    }
}

/// Rows of equal ratio between the lowest and the highest latency.
struct Rows {
    range: (f64, f64),
    scale: Scale,
}

impl Rows {
    fn new(range: (f64, f64)) -> Self {
        Self { range, scale: Scale::log(range, (0.0, ROWS as f64)) }
    }

    fn columns(&self, series: &Series) -> Vec<Column> {
        let column = |slice: &slices::Slice| {
            if slice.windows == 0 {
                return None;
            }
            let mut column = vec![0; ROWS];
            for (nanos, count) in slice.latency.iter() {
                column[self.row(measure::histogram::micros(nanos))] += count;
            }
            Some(column)
        };
        series.slices.iter().map(column).collect()
    }

    fn row(&self, us: f64) -> usize {
        let row = numbers::whole(self.scale.at(us).floor().max(0.0));
        usize::try_from(row).unwrap_or(0).min(ROWS - 1)
    }
}

/// One waterfall, the row of send lag, events, and the table behind them.
fn one(context: &Context<'_>, part: &Part<'_>, rows: &Rows, grid: &Grid, most: u64) -> Markup {
    let mut plot = axes(rows, grid);
    let level = |count: u64| match count {
        0 => None,
        count => Some(level(count, most)),
    };
    let levels: Vec<Option<Vec<Option<usize>>>> = part
        .columns
        .iter()
        .map(|column| column.as_ref().map(|column| column.iter().map(|it| level(*it)).collect()))
        .collect();
    paint(&mut plot, &part.series, &levels, |level| format!("h{level}"));
    let events = events(part.entry);
    flags(&mut plot, &events);
    for slice in &part.series.slices {
        plot.tip((slice.from_s, slice.to_s), &slice.tip());
    }
    let arm = &context.model.arms[part.entry.arm].name;
    let picture = html! {
        (plot.finish(&format!("Waterfall of {arm}: time, latency, how many; the table below has the figures")))
        (lag(&part.series, grid))
    };
    let below = html! {
        @if !events.is_empty() {
            ol.events {
                @for (number, event) in events.iter().enumerate() {
                    li { b { (number + 1) } (format!("{:.1} s", event.at_ms as f64 / 1e3)) " " (event.kind) ": " (event.text) }
                }
            }
        }
        (behind("Table: requests by slice and latency", &table(part, rows)))
    };
    figure(&arm_caption(context, part.entry.arm), &picture, &below)
}

fn axes(rows: &Rows, grid: &Grid) -> Plot {
    let (from, to) = grid.range_s();
    let x = Axis {
        label: "time since the start of measuring, s",
        range: (from, to),
        kind: Kind::Linear,
        show: seconds,
    };
    let y =
        Axis { label: "latency", range: rows.range, kind: Kind::Log, show: numbers::round_latency };
    Plot::new(&x, &y, HEIGHT)
}

/// From 1 for one request to [`LEVELS`] for the most, evenly by ratio.
fn level(count: u64, most: u64) -> usize {
    let share = (count as f64).ln() / (most.max(2) as f64).ln();
    let above = numbers::whole((share * (LEVELS - 1) as f64).ceil());
    (1 + usize::try_from(above).unwrap_or(0)).min(LEVELS)
}

/// Columns of cells: hatched without a window, pale where nothing was, else one of some classes.
fn paint<L: Copy + Ord>(
    plot: &mut Plot,
    series: &Series,
    levels: &[Option<Vec<Option<L>>>],
    class: impl Fn(L) -> String,
) {
    let (top, bottom) = (plot.y.end, plot.y.start);
    let height = (bottom - top) / ROWS as f64;
    let mut paths: std::collections::BTreeMap<L, String> = std::collections::BTreeMap::new();
    let (mut seen, mut unseen) = (String::new(), String::new());
    let mut width: f64 = 1.0;
    for (slice, levels) in series.slices.iter().zip(levels) {
        let (left, right) = (plot.x.at(slice.from_s), plot.x.at(slice.to_s));
        width = right - left;
        let middle = short(f64::midpoint(left, right));
        let ground = if levels.is_some() { &mut seen } else { &mut unseen };
        put(ground, format_args!("M{middle} {}V{}", short(top), short(bottom)));
        let mut row = 0;
        let levels = levels.as_deref().unwrap_or_default();
        while let Some(level) = levels.get(row) {
            let run = levels[row..].iter().take_while(|other| *other == level).count();
            if let Some(level) = level {
                let from = bottom - row as f64 * height;
                let up = run as f64 * height;
                let path = paths.entry(*level).or_default();
                put(path, format_args!("M{middle} {}v-{}", short(from), short(up)));
            }
            row += run;
        }
    }
    // A little wider than a column, so that no seam shows when the page scales it.
    let width = width + 0.25;
    plot.picture.stroke(&seen, "zero", width);
    plot.picture.stroke(&unseen, "none", width);
    for (level, path) in paths {
        plot.picture.stroke(&path, &class(level), width);
    }
}

/// Faults and changes of leader first, then what else happened, in the order of time.
fn events<'a>(entry: &Entry<'a>) -> Vec<&'a Happening> {
    let mut events: Vec<&Happening> =
        entry.step().runs.first().map(|found| found.events.iter().collect()).unwrap_or_default();
    let weight = |event: &&Happening| match event.kind.as_str() {
        "fault" => 0,
        "leader" => 1,
        "election" => 2,
        _ => 3,
    };
    events.sort_by_key(weight);
    events.truncate(EVENTS_MAX);
    events.sort_by_key(|event| event.at_ms);
    events
}

/// Numbered flags; events whose flags would overlap share one.
fn flags(plot: &mut Plot, events: &[&Happening]) {
    let x = |event: &Happening| plot.x.at(event.at_ms as f64 / 1e3);
    let mut groups: Vec<(usize, usize)> = Vec::new();
    for (number, event) in events.iter().enumerate() {
        match groups.last_mut() {
            Some(group) if x(event) - x(events[group.0]) < FLAG_WIDTH => group.1 = number,
            Some(_) | None => groups.push((number, number)),
        }
    }
    for (first, last) in groups {
        let label = match last - first {
            0 => (first + 1).to_string(),
            _ => format!("{}–{}", first + 1, last + 1),
        };
        let texts: Vec<&str> =
            events[first..=last].iter().map(|event| event.text.as_str()).collect();
        plot.event(events[first].at_ms as f64 / 1e3, &label, &texts.join("\n"));
    }
}

/// The generator's own lateness below a waterfall: a pause that is also here is not the server's.
fn lag(series: &Series, grid: &Grid) -> Markup {
    let (from, to) = grid.range_s();
    let lags = series.slices.iter().filter_map(|slice| slice.lag.at(0.99));
    let (low, high) = log_range(lags.chain([LAG_LIMIT_US]));
    let x = Axis { label: "", range: (from, to), kind: Kind::Linear, show: |_| String::new() };
    let y = Axis {
        label: "send lag p99",
        range: (low / 2.0, high),
        kind: Kind::Log,
        show: numbers::round_latency,
    };
    let mut plot = Plot::strip(&x, &y, LAG_HEIGHT);
    let (mut calm, mut late) = (String::new(), String::new());
    let mut width: f64 = 1.0;
    for slice in &series.slices {
        let Some(lag) = slice.lag.at(0.99) else { continue };
        let (left, right) = (plot.x.at(slice.from_s), plot.x.at(slice.to_s));
        width = right - left;
        let path = if lag > LAG_LIMIT_US { &mut late } else { &mut calm };
        let (base, top) = (short(plot.y.start), short(plot.y.at(lag)));
        put(path, format_args!("M{} {base}V{top}", short(f64::midpoint(left, right))));
    }
    plot.picture.stroke(&calm, "calm", width * 0.8);
    plot.picture.stroke(&late, "hot", width * 0.8);
    plot.limit(LAG_LIMIT_US, "limit");
    plot.finish("Send lag: how late the generator was itself")
}

/// Where one arm had more requests than the first, and where fewer, as parts of all of theirs.
fn difference(
    context: &Context<'_>,
    first: &Part<'_>,
    other: &Part<'_>,
    (rows, grid): (&Rows, &Grid),
) -> Markup {
    let share = |part: &Part<'_>, column: usize, row: usize| {
        let count = part.columns[column].as_ref().map(|column| column[row]);
        count.map(|count| count as f64 / part.series.count as f64)
    };
    let columns: Vec<Option<Vec<f64>>> = (0..other.columns.len())
        .map(|column| {
            let cell = |row| Some(share(other, column, row)? - share(first, column, row)?);
            (0..ROWS).map(cell).collect()
        })
        .collect();
    let most =
        columns.iter().flatten().flatten().fold(f64::MIN_POSITIVE, |most, it| most.max(it.abs()));
    let side = |difference: f64| {
        let level = SIDES.iter().filter(|part| difference.abs() > most * **part).count();
        let level = i8::try_from(level).ok().filter(|level| *level > 0)?;
        Some(if difference < 0.0 { -level } else { level })
    };
    let levels: Vec<Option<Vec<Option<i8>>>> = columns
        .iter()
        .map(|column| column.as_ref().map(|column| column.iter().map(|it| side(*it)).collect()))
        .collect();
    let mut plot = axes(rows, grid);
    paint(&mut plot, &other.series, &levels, |side| {
        if side < 0 { format!("m{}", -side) } else { format!("p{side}") }
    });
    let caption = html! {
        (super::chip(other.entry.arm)) "−" (super::chip(first.entry.arm)) "difference"
    };
    let names = [other, first].map(|part| context.model.arms[part.entry.arm].name.as_str());
    let name = format!("Difference of the waterfalls of {} and {}", names[0], names[1]);
    figure(&caption, &plot.finish(&name), &html! {})
}

/// What the colours mean.
fn key(most: u64, has_difference: bool) -> Markup {
    html! {
        div.key {
            span { i.none {} "no window" } span { i.zero {} "0" }
            @for (level, count) in levels(most) {
                span {
                    i class={ "h" (level) } {}
                    @if count > 1 { "≤ " }
                    (numbers::count(count))
                }
            }
            "requests in a cell"
            @if has_difference {
                span { i.m3 {} i.m2 {} i.m1 {} "more of the baseline" } span { i.p1 {} i.p2 {} i.p3 {} "more of the other arm" }
            }
        }
    }
}

/// Each level that some count has, with the highest of its counts.
fn levels(most: u64) -> Vec<(usize, u64)> {
    let highest = |level: usize| {
        let share = (level - 1) as f64 / (LEVELS - 1) as f64;
        (level, numbers::whole(((most.max(2) as f64).powf(share) + 1e-9).floor()))
    };
    let mut levels: Vec<(usize, u64)> = (1..=LEVELS).map(highest).collect();
    levels.dedup_by_key(|level| level.1);
    levels
}

/// Requests by slice and decade of latency.
fn table(part: &Part<'_>, rows: &Rows) -> Markup {
    let first = 10_f64.powf(rows.range.0.log10().floor() + 1.0);
    let decades = std::iter::successors(Some(first), |decade| Some(decade * 10.0));
    let decades: Vec<f64> = decades.take_while(|decade| *decade < rows.range.1 * 9.99).collect();
    html! {
        table {
            tr { th.n { "From, s" } @for decade in &decades { th.n { "≤ " (numbers::latency(*decade)) } } th.n { "Send lag p99" } }
            @for slice in &part.series.slices {
                tr {
                    td.n { (format!("{:.0}", slice.from_s)) }
                    @for decade in &decades {
                        td.n { @if slice.windows == 0 { (numbers::NONE) } @else { (within(slice, *decade)) } }
                    }
                    td.n { (slice.lag.at(0.99).map_or(numbers::NONE.to_owned(), numbers::latency)) }
                }
            }
        }
    }
}

fn within(slice: &slices::Slice, decade: f64) -> u64 {
    let is_within = |us: f64| us <= decade && us > decade / 10.0;
    let cells =
        slice.latency.iter().map(|(nanos, count)| (measure::histogram::micros(nanos), count));
    cells.filter(|(us, _)| is_within(*us)).map(|(_, count)| count).sum()
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a string grows");
}

#[cfg(test)]
mod tests {
    use super::{LEVELS, Rows, level, levels};

    #[test]
    fn levels_run_from_one_request_to_the_most() {
        assert_eq!([1, 2, 1_000_000].map(|count| level(count, 1_000_000)), [1, 2, LEVELS]);
        assert_eq!(level(1, 1), 1);
        assert_eq!(levels(3), [(1, 1), (7, 2), (9, 3)]);
        for (at, count) in levels(10_000) {
            assert_eq!(
                (level(count, 10_000), level(count + 1, 10_000) > at || at == LEVELS),
                (at, true)
            );
        }
    }

    #[test]
    fn every_latency_has_a_row() {
        let rows = Rows::new((10.0, 1_000.0));
        assert_eq!([1.0, 10.0, 100.0, 1_000.0, 1e9].map(|us| rows.row(us)), [0, 0, 19, 37, 37]);
    }
}

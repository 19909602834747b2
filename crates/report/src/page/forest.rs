//! Ratios with their intervals: a table that is a picture, and the table of old and new.

use super::{Context, chip};
use crate::draw::numbers;
use crate::draw::scale::Scale;
use crate::draw::svg::{Picture, Rect};
use crate::ratios::{Ratio, Unit};
use crate::summary::WorkloadFigures;
use maud::{Markup, html};
use measure::comparison::{Change, Comparison, Effect};
use measure::judged::Better;

/// Size of the strip in a row, in pixels.
const WIDTH: f64 = 330.0;
const HEIGHT: f64 = 22.0;

/// Labels of the axis are at least so far apart, in pixels.
const TICK_WIDTH: f64 = 34.0;

/// An axis whose ends have a smaller ratio than this has no decade to show.
const SHORT: f64 = 8.0;

/// One row, wherever it comes from.
struct Row<'a> {
    number: usize,
    name: String,
    values: (String, String),
    ratio: f64,
    interval: Option<(f64, f64)>,
    margin: f64,
    better: Better,
    change: Option<Change>,
    mark: &'a str,
}

pub(super) fn draw(context: &Context<'_>) -> Option<Markup> {
    let has_ratios = context.summary.workloads.iter().any(|workload| !workload.ratios.is_empty());
    if !has_ratios && context.options.comparison.is_none() {
        return None;
    }
    Some(html! {
        @if let Some(comparison) = context.options.comparison { (compared(comparison)) }
        @if has_ratios {
            p.note {
                "Ratios against " (chip(0)) " " (context.model.arms[0].name) ". The arms were run one after the other: intervals hold "
                "what windows differ within a run (moving-block bootstrap, " (measure::statistics::DRAWS) " draws), not what the host did "
                "between runs. " code { "bench compare" } " interleaves them."
            }
            @for (_, figures) in context.workloads() {
                @if !figures.ratios.is_empty() {
                    (context.heading(&figures.workload))
                    @if figures.arms.len() > 2 { (old_and_new(figures)) }
                    @let rows: Vec<Row<'_>> = figures.ratios.iter().map(of_ratio).collect();
                    @if figures.arms.len() <= 2 {
                        (forest(&rows))
                    } @else if context.detail.forest {
                        details { summary { "Forest plot of all ratios" } (forest(&rows)) }
                    }
                }
            }
            (where_the_first_is_better(context))
        }
    })
}

fn of_ratio(ratio: &Ratio) -> Row<'_> {
    Row {
        number: ratio.number,
        name: format!("{} {}", ratio.of, ratio.metric),
        values: (ratio.unit.show(ratio.base), ratio.unit.show(ratio.value)),
        ratio: ratio.ratio,
        interval: ratio.interval,
        margin: ratio.margin,
        better: ratio.better,
        change: ratio.change,
        mark: if ratio.across_durability { "†" } else { "" },
    }
}

fn of_effect(effect: &Effect, mark: &'static str) -> Row<'static> {
    let value = |value: Option<f64>| {
        let shown = value.map(|value| match effect.unit.as_str() {
            "us" | "µs" => numbers::latency(value),
            "1/s" => Unit::PerSecond.show(value),
            "bytes" => numbers::bytes(value),
            unit => format!("{} {unit}", numbers::three_digits(value)),
        });
        shown.unwrap_or_else(|| numbers::NONE.to_owned())
    };
    Row {
        number: 1,
        name: format!("{} {}", effect.op, effect.metric),
        values: (value(effect.a), value(effect.b)),
        ratio: effect.ratio,
        interval: effect.low.zip(effect.high),
        margin: effect.margin,
        better: effect.better,
        change: Some(effect.verdict),
        mark,
    }
}

fn compared(comparison: &Comparison) -> Markup {
    let mark = if comparison.crosses_durability() { "†" } else { "" };
    let rows: Vec<Row<'_>> =
        comparison.effects.iter().map(|effect| of_effect(effect, mark)).collect();
    let smallest = |effect: &Effect| {
        let detectable = effect.detectable?;
        Some(format!("{} {}: {:.0} %", effect.op, effect.metric, detectable * 100.0))
    };
    let smallest: Vec<String> = comparison.effects.iter().filter_map(smallest).collect();
    html! {
        h3 { "Interleaved: " (comparison.b.arm) " against " (comparison.a.arm) }
        p.note { (comparison.design) @if !smallest.is_empty() { ". Smallest difference it would have found: " (smallest.join(", ")) "." } }
        (forest(&rows))
    }
}

fn forest(rows: &[Row<'_>]) -> Markup {
    let ends = rows.iter().flat_map(|row| {
        let (low, high) = row.interval.unwrap_or((row.ratio, row.ratio));
        [low, high, row.ratio]
    });
    let farthest = ends.map(|ratio| ratio.ln().abs()).fold(0.2_f64, f64::max) * 1.08;
    let scale = Scale::log((((-farthest).exp()), farthest.exp()), (6.0, WIDTH - 6.0));
    html! {
        div.card.scroll {
            table.forest {
                tr {
                    th { "" } th { "Metric" } th.n { "Baseline" } th.n { "Arm" } th.n { "Ratio" }
                    th { (header(&scale)) } th { "" }
                }
                @for row in rows {
                    tr {
                        td { (chip(row.number)) }
                        td { (row.name) " " (row.mark) }
                        td.n { (row.values.0) }
                        td.n { (row.values.1) }
                        td.n { (numbers::ratio(row.ratio)) small { (shown_interval(row.interval)) } }
                        td.mid { (strip(&scale, row)) }
                        td { (change_word(row.change)) }
                    }
                }
            }
            p.note {
                "Ratios on a logarithmic axis; the grey band is the margin within which a difference does not matter. "
                "Better is left for times and costs, right for rates (▷)."
            }
        }
    }
}

/// Class and words of a change.
pub(crate) fn change_sign(change: Option<Change>) -> (&'static str, &'static str) {
    match change {
        Some(Change::Faster) => ("good", "✓ better"),
        Some(Change::Slower) => ("bad", "✗ worse"),
        Some(Change::Equivalent) => ("", "= equal"),
        Some(Change::Inconclusive) => ("warn", "? unknown"),
        None => ("", "no interval"),
    }
}

fn change_word(change: Option<Change>) -> Markup {
    let (class, word) = change_sign(change);
    html! { span.word.(class) { (word) } }
}

/// `[0.93, 1.04]`, or nothing.
pub(crate) fn shown_interval(interval: Option<(f64, f64)>) -> String {
    interval.map_or(String::new(), |(low, high)| {
        format!("[{}, {}]", numbers::plain_ratio(low), numbers::plain_ratio(high))
    })
}

/// The axis above all strips: decades, or equal steps where it is short.
fn header(scale: &Scale) -> Markup {
    let mut picture = Picture::new(WIDTH, 16.0);
    let is_short = scale.to / scale.from < SHORT;
    let even = Scale::linear((scale.from, scale.to), (scale.start, scale.end));
    let ticks = if is_short { even.ticks() } else { scale.ticks() };
    let mut free = 0.0;
    for (value, is_labelled) in ticks {
        let x = scale.at(value);
        if is_labelled && x > free {
            picture.text((x, 12.0), "num mid", &tick(value));
            free = x + TICK_WIDTH;
        }
    }
    picture.finish("axis of the ratios")
}

/// A round ratio on the axis: `1/20`, `0.95`, `1`, `200`.
fn tick(value: f64) -> String {
    if value < 0.195 {
        format!("1/{}", (1.0 / value).round())
    } else {
        ((value * 100.0).round() / 100.0).to_string()
    }
}

fn strip(scale: &Scale, row: &Row<'_>) -> Markup {
    let mut picture = Picture::new(WIDTH, HEIGHT);
    let (one, middle) = (scale.at(1.0), HEIGHT / 2.0);
    let (from, to) = (scale.at(1.0 / (1.0 + row.margin)), scale.at(1.0 + row.margin));
    picture.rect(Rect { x: from, y: 0.0, width: to - from, height: HEIGHT }, "margin", None);
    picture.line((one, 0.0), (one, HEIGHT), "one");
    let class = format!("c{}", row.number);
    if let Some((low, high)) = row.interval {
        let (from, to) = (scale.at(low), scale.at(high));
        picture.line((from, middle), (to.max(from + 1.0), middle), &format!("line {class}"));
        for x in [from, to] {
            picture.line((x, middle - 4.0), (x, middle + 4.0), &format!("line {class}"));
        }
    }
    let shape = if row.interval.is_some() { "disc" } else { "ring" };
    picture.dot((scale.at(row.ratio), middle), 4.5, &format!("{shape} {class}"), None);
    if row.better == Better::Higher {
        picture.text((WIDTH - 6.0, middle + 4.0), "end", "▷");
    }
    picture.finish(&format!("{}: {}", row.name, numbers::ratio(row.ratio)))
}

/// Three arms and more: metrics down, arms across.
fn old_and_new(figures: &WorkloadFigures) -> Markup {
    let metrics = figures.metrics();
    let of = |metric: &(&str, &str), number: usize| {
        let same =
            |ratio: &&Ratio| (ratio.of.as_str(), ratio.metric) == *metric && ratio.number == number;
        figures.ratios.iter().find(same)
    };
    html! {
        div.card.scroll {
            table {
                tr {
                    th { "Metric" }
                    @for arm in &figures.arms { th.n { (chip(arm.number)) (arm.arm) small.note { br; (arm.durability) } } }
                }
                @for metric in &metrics {
                    tr {
                        td { (metric.0) " " b { (metric.1) } }
                        @let base = figures.ratios.iter().find(|ratio| (ratio.of.as_str(), ratio.metric) == *metric);
                        td.n { (base.map_or(numbers::NONE.to_owned(), |ratio| ratio.unit.show(ratio.base))) }
                        @for arm in figures.arms.iter().skip(1) { (cell(of(metric, arm.number))) }
                    }
                }
            }
        }
    }
}

fn cell(ratio: Option<&Ratio>) -> Markup {
    html! {
        td.n {
            @match ratio {
                Some(ratio) => {
                    (ratio.unit.show(ratio.value))
                    small {
                        @let class = match ratio.change {
                            Some(Change::Faster) => "good",
                            Some(Change::Slower) => "bad",
                            Some(Change::Equivalent | Change::Inconclusive) | None => "",
                        };
                        b.(class) { (numbers::ratio(ratio.ratio)) }
                        @if ratio.across_durability { "†" }
                        " " (shown_interval(ratio.interval))
                    }
                },
                None => (numbers::NONE),
            }
        }
    }
}

/// What an honest report says too.
fn where_the_first_is_better(context: &Context<'_>) -> Markup {
    let worse: Vec<(&str, &Ratio)> = context
        .summary
        .workloads
        .iter()
        .flat_map(|workload| {
            workload.ratios.iter().map(|ratio| (workload.workload.as_str(), ratio))
        })
        .filter(|(_, ratio)| ratio.change == Some(Change::Slower))
        .collect();
    html! {
        h3 { "Where the baseline, " (context.model.arms[0].name) ", is better" }
        @if worse.is_empty() { p { "In no metric whose interval allows a verdict." } }
        @else {
            ul {
                @for (workload, ratio) in worse {
                    li {
                        (chip(ratio.number)) " " (workload) ": " (ratio.of) " " (ratio.metric) " is "
                        (ratio.unit.show(ratio.value)) " instead of " (ratio.unit.show(ratio.base)) ", "
                        (numbers::ratio(ratio.ratio)) " " (shown_interval(ratio.interval))
                        @if ratio.across_durability { " †" }
                    }
                }
            }
        }
    }
}

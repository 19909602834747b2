//! Objectives: the value with its interval beside the limit and what is hoped for.

use super::Context;
use crate::draw::numbers;
use crate::draw::scale::Scale;
use crate::draw::svg::{Picture, Rect};
use maud::{Markup, html};
use measure::judged::{Better, Judged, Verdict};

/// Size of the strip in a row, in pixels.
const WIDTH: f64 = 260.0;
const HEIGHT: f64 = 30.0;

pub(super) fn draw(context: &Context<'_>) -> Option<Markup> {
    let judged = context.options.judged;
    if judged.is_empty() {
        return None;
    }
    Some(html! {
        div.card.scroll {
            table {
                tr {
                    th { "" } th { "Objective" } th { "Measured" } th { "Limit" }
                    th { "Value, limit and hopes" } th { "Next" }
                }
                @for one in judged { (row(one)) }
            }
            div.key {
                span { i.q1 {} "value with its 95 % interval" } span { i style="--f:var(--bad)" {} "limit in force" }
                span { i.q0 {} "what is hoped for" }
            }
        }
    })
}

/// Class and words of a verdict.
pub(crate) fn verdict_word(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Pass => ("good", "✓ kept"),
        Verdict::Fail => ("bad", "✗ broken"),
        Verdict::Extended => ("warn", "? another run"),
        Verdict::Inconclusive => ("warn", "? undecided"),
        Verdict::Invalid => ("bad", "✗ invalid run"),
    }
}

fn show(value: f64, unit: &str) -> String {
    format!("{} {unit}", numbers::three_digits(value)).trim_end().to_owned()
}

fn row(one: &Judged) -> Markup {
    let (class, word) = verdict_word(one.verdict);
    let value = one.value.map_or(numbers::NONE.to_owned(), |value| show(value, &one.unit));
    html! {
        tr {
            td { span.word.(class) { (word) } }
            td {
                b { (one.id) }
                small { (one.sli) }
                small { (one.component) @if !one.workload.is_empty() { " · " (one.workload) } @if !one.arm.is_empty() { " · " (one.arm) } }
                @if !one.why.is_empty() { small { (one.why) } }
            }
            td {
                (value)
                @if one.low.is_some() { small { (super::beliefs::interval(one.low, one.high)) } }
            }
            td {
                (show(one.minimum, &one.unit))
                @if !one.minimum_from.is_empty() { small { (one.minimum_from) } }
                @for moved in &one.history { small { (moved.at) " " (moved.minimum) } }
            }
            td.mid { (strip(one)) }
            td { (next(one)) }
        }
    }
}

/// The next hope that is not reached, and how far away it is.
fn next(one: &Judged) -> Markup {
    let reached = |hope: f64, value: f64| match one.better {
        Better::Lower => value <= hope,
        Better::Higher => value >= hope,
    };
    let Some(value) = one.value else { return html! { (numbers::NONE) } };
    let open = one.aspirations.iter().find(|hope| !reached(hope.value, value));
    html! {
        @match open {
            Some(hope) => {
                (hope.name) ": " (show(hope.value, &one.unit))
                small { (numbers::ratio(value / hope.value)) " of it" }
            },
            None if one.aspirations.is_empty() => (numbers::NONE),
            None => b.good { "all reached" },
        }
    }
}

fn strip(one: &Judged) -> Markup {
    let hopes = one.aspirations.iter().map(|hope| hope.value);
    let values = hopes.chain([one.minimum]).chain(one.value).chain(one.low).chain(one.high);
    let values: Vec<f64> = values.filter(|value| *value > 0.0).collect();
    let low = values.iter().copied().fold(f64::MAX, f64::min);
    let high = values.iter().copied().fold(0.0, f64::max);
    let mut picture = Picture::new(WIDTH, HEIGHT);
    let scale = Scale::log((low / 1.3, high * 1.3), (4.0, WIDTH - 4.0));
    let middle = HEIGHT / 2.0;
    picture.line((4.0, middle), (WIDTH - 4.0, middle), "axis");
    for hope in &one.aspirations {
        let x = scale.at(hope.value);
        picture.line((x, 5.0), (x, HEIGHT - 5.0), "line thin q0");
        picture.text((x + 2.0, 9.0), "", &hope.name);
    }
    let x = scale.at(one.minimum);
    picture.line((x, 2.0), (x, HEIGHT - 2.0), "line broken");
    if let (Some(low), Some(high)) = (one.low, one.high) {
        let (from, to) = (scale.at(low), scale.at(high));
        picture.rect(
            Rect { x: from, y: middle - 3.0, width: to - from, height: 6.0 },
            "fill2 q1",
            None,
        );
    }
    if let Some(value) = one.value {
        picture.dot((scale.at(value), middle), 4.5, "disc q1", Some(&show(value, &one.unit)));
    }
    picture.finish(&format!("{}: value beside its limit", one.id))
}

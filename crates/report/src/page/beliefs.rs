//! Can it be believed, and was it right?

use super::Context;
use super::verdict::runs;
use crate::draw::numbers;
use crate::summary::RunFigures;
use maud::{Markup, html};

pub(super) fn validity(context: &Context<'_>) -> Option<Markup> {
    Some(html! {
        div.card.scroll {
            table {
                tr {
                    th { "Run" } th { "Valid" } th.n { "Send lag p99" } th.n { "Skipped" } th.n { "Generator" }
                    th.n { "CPU pressure" } th.n { "Clock step" } th.n { "Others, cores" } th { "Remarks" }
                }
                @for (name, run) in runs(context) { (row(&name, run)) }
            }
        }
        @if let Some(comparison) = context.options.comparison {
            div.card {
                h3 { "The comparison" }
                dl {
                    dt { "design" } dd { (comparison.design) }
                    @for same in &comparison.same {
                        dt { (comparison.a.arm) " against itself" }
                        dd { (same.op) " " (same.metric) " " (numbers::ratio(same.ratio)) " " (interval(same.low, same.high)) }
                    }
                }
            }
        }
    })
}

/// `[0.96, 1.02]`, or nothing.
pub(super) fn interval(low: Option<f64>, high: Option<f64>) -> String {
    match (low, high) {
        (Some(low), Some(high)) => {
            format!("[{}, {}]", numbers::three_digits(low), numbers::three_digits(high))
        }
        (Some(_) | None, None) | (None, Some(_)) => "no interval".to_owned(),
    }
}

fn row(name: &str, run: &RunFigures) -> Markup {
    let validity = &run.validity;
    let (class, word) = match (run.finished, validity.valid) {
        (false, _) => ("warn", "? unfinished"),
        (true, true) => ("good", "✓ valid"),
        (true, false) => ("bad", "✗ invalid"),
    };
    let or_none = |value: Option<String>| value.unwrap_or_else(|| numbers::NONE.to_owned());
    let percent = |share: f64| format!("{share:.1} %");
    html! {
        tr {
            td { (name) }
            td { span.word.(class) { (word) } }
            td.n { (numbers::latency(validity.send_lag_p99_us)) }
            td.n { (numbers::count(validity.skipped)) }
            td.n { (or_none(validity.generator_cpu.map(|part| percent(part * 100.0)))) }
            td.n { (or_none(validity.psi_cpu_some_pct.map(percent))) }
            td.n { (or_none(validity.clock_step_us.map(|step| format!("{step} µs")))) }
            td.n { (or_none(validity.others_cores.map(|cores| format!("{cores:.2}")))) }
            td { (validity.reasons.iter().chain(&run.notes).map(String::as_str).collect::<Vec<_>>().join("; ")) }
        }
    }
}

pub(super) fn correctness(context: &Context<'_>) -> Option<Markup> {
    Some(html! {
        div.card.scroll {
            table {
                tr { th { "Run" } th { "Checked" } th.n { "Wrong answers" } th { "The first of them" } }
                @for (name, run) in runs(context) {
                    @let right = &run.correctness;
                    tr {
                        td { (name) }
                        @if right.checked { td.good { "✓ yes" } } @else { td.warn { "? no" } }
                        td.n {
                            @if right.checked || right.violations > 0 { (numbers::count(right.violations)) }
                            @else { (numbers::NONE) }
                        }
                        td { @for detail in &right.details { div { (detail) } } }
                    }
                }
            }
        }
    })
}

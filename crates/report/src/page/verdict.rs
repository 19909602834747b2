//! What now? What makes the report doubtful stands first and largest.

use super::{Context, chip};
use crate::summary::RunFigures;
use maud::{Markup, html};
use measure::comparison::Change;
use measure::judged::Verdict;

/// Everything that keeps a reader from believing the figures below.
pub(super) fn banners(context: &Context<'_>) -> Markup {
    let invalid: Vec<(String, Vec<String>)> = runs(context)
        .filter(|(_, run)| !run.validity.valid && run.finished)
        .map(|(name, run)| (name, run.validity.reasons.clone()))
        .collect();
    let unfinished: Vec<String> =
        runs(context).filter(|(_, run)| !run.finished).map(|(name, _)| name).collect();
    let false_answers: Vec<(String, String)> = runs(context)
        .filter(|(_, run)| run.correctness.violations > 0)
        .map(|(name, run)| (name, run.correctness.details.join("; ")))
        .collect();
    let wrong = context.options.comparison.filter(|comparison| !comparison.valid);
    html! {
        @if !invalid.is_empty() {
            div.banner.bad role="alert" {
                b { "✗ Invalid: " (invalid.len()) " of " (runs(context).count()) " runs say nothing about the server" }
                ul {
                    @for (name, reasons) in &invalid {
                        li { (name) ": " (reasons.join("; ")) @if reasons.is_empty() { "no reason is given" } }
                    }
                }
            }
        }
        @if !false_answers.is_empty() {
            div.banner.bad role="alert" {
                b { "✗ Wrong answers" }
                ul { @for (name, details) in &false_answers { li { (name) ": " (details) } } }
            }
        }
        @if let Some(comparison) = wrong {
            div.banner.bad role="alert" {
                b { "✗ The comparison is invalid" }
                ul { @for reason in &comparison.reasons { li { (reason) } } }
            }
        }
        @if !unfinished.is_empty() {
            div.banner.warn {
                b { "Unfinished: " (unfinished.len()) " of " (runs(context).count()) " runs did not come to their end" }
                ul { @for name in &unfinished { li { (name) ": the figures are those of the windows it left" } } }
            }
        }
        @if context.model.crosses_durability {
            div.banner.warn {
                b { "Across durability classes" }
                " This page compares arms that do not promise the same: an acknowledged write of a class other than "
                "fsync can be lost with the power. Every such ratio is marked †."
            }
        }
    }
}

/// One tile for each kind of verdict, and one for each arm.
pub(super) fn tiles(context: &Context<'_>) -> Markup {
    html! {
        div.strip {
            (validity(context))
            (objectives(context))
            (correctness(context))
            @for number in 1..context.model.arms.len() { (arm(context, number)) }
        }
    }
}

/// Runs with a name that tells them apart.
pub(super) fn runs<'a>(context: &Context<'a>) -> impl Iterator<Item = (String, &'a RunFigures)> {
    context.summary.workloads.iter().flat_map(|workload| {
        let of_arm = workload.arms.iter();
        of_arm.flat_map(move |arm| {
            let name = move |run: &RunFigures| {
                format!("{} on {} ({})", workload.workload, arm.arm, run.id)
            };
            arm.runs.iter().map(move |run| (name(run), run))
        })
    })
}

fn tile(class: &str, head: &str, text: &str) -> Markup {
    html! { div class={ "tile " (class) } { b { (head) } span { (text) } } }
}

fn validity(context: &Context<'_>) -> Markup {
    let all = runs(context).count();
    let valid = runs(context).filter(|(_, run)| run.validity.valid && run.finished).count();
    let lag = runs(context).map(|(_, run)| run.validity.send_lag_p99_us).fold(0.0, f64::max);
    let text = format!("runs valid; send lag p99 at most {}", crate::draw::numbers::latency(lag));
    let (class, sign) = if valid == all { ("good", "✓") } else { ("bad", "✗") };
    tile(class, &format!("{sign} {valid} of {all}"), &text)
}

fn objectives(context: &Context<'_>) -> Markup {
    let judged = context.options.judged;
    let count = |verdict| judged.iter().filter(|one| one.verdict == verdict).count();
    let (passed, failed) = (count(Verdict::Pass), count(Verdict::Fail));
    let open = judged.len() - passed - failed;
    if judged.is_empty() {
        return tile("", "–", "no objectives were judged");
    }
    let class = if failed > 0 {
        "bad"
    } else if open > 0 {
        "warn"
    } else {
        "good"
    };
    tile(class, &format!("{passed} ✓  {failed} ✗  {open} ?"), "objectives: kept, broken, undecided")
}

fn correctness(context: &Context<'_>) -> Markup {
    let (mut violations, mut unchecked) = (0, 0);
    for (_, run) in runs(context) {
        violations += run.correctness.violations;
        unchecked += usize::from(!run.correctness.checked);
    }
    let text = match unchecked {
        0 => "wrong answers; every run was checked".to_owned(),
        _ => format!("wrong answers seen; {unchecked} runs were not checked"),
    };
    let (class, sign) = match (violations, unchecked) {
        (0, 0) => ("good", "✓ "),
        (0, _) => ("warn", "? "),
        _ => ("bad", "✗ "),
    };
    tile(class, &format!("{sign}{}", crate::draw::numbers::count(violations)), &text)
}

fn arm(context: &Context<'_>, number: usize) -> Markup {
    let of_arm = context.summary.workloads.iter().flat_map(|workload| &workload.ratios);
    let changes: Vec<Option<Change>> =
        of_arm.filter(|ratio| ratio.number == number).map(|ratio| ratio.change).collect();
    let count = |change| changes.iter().filter(|one| **one == Some(change)).count();
    let (better, worse) = (count(Change::Faster), count(Change::Slower));
    let equal = count(Change::Equivalent);
    let unknown = changes.len() - better - worse - equal;
    html! {
        div.tile {
            b { (chip(number)) " " (better) " better, " (worse) " worse" }
            span { (equal) " equal, " (unknown) " unknown: " (context.model.arms[number].name) " against " (chip(0)) }
        }
    }
}

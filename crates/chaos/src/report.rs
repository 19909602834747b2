//! The files of a run: `verdict.json` for machines, and `report.html` for people: one page that needs nothing
//! from elsewhere, drawn with `report::draw` as all pages of the project.

mod lanes;
mod messages;

use crate::actors::recorder::{Recorder, Records};
use crate::clock::{MILLISECOND, SECOND};
use crate::course::{Course, Options};
use crate::judge::{self, Outcome, Verdict};
use crate::recovery::Row;
use crate::recovery::goals::{Goal, goals};
use maud::{Markup, html};
use report::draw::{numbers, page};
use std::fs;
use std::io;

/// What the columns of [`recovery`] mean.
const FELT: &str = "Outage: the longest time in which some writer had no success, from the first deed on. \
                    Healed: from healing until every writer had succeeded again. Milliseconds.";

/// Lines of one list that the page shows.
const LINES_MAX: usize = 50;

/// Writes them.
pub(crate) fn write(
    options: &Options,
    course: &Course,
    recorder: &Recorder,
    verdict: &Verdict,
) -> io::Result<()> {
    let json = judge::to_json(verdict, options, course);
    fs::write(options.folder.join("verdict.json"), format!("{json:#}\n"))?;
    let html = draw(options, course, &recorder.lock(), verdict, &json.to_string());
    fs::write(options.folder.join("report.html"), html)
}

fn draw(
    options: &Options,
    course: &Course,
    records: &Records,
    verdict: &Verdict,
    json: &str,
) -> String {
    let word = verdict.word();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.trim();
    let body = html! {
        (tiles(course, verdict))
        (list("What did not hold", "bad", &verdict.violations))
        (list("What is in doubt", "warn", &verdict.doubts))
        @if verdict.outcome == Outcome::Passed {
            p {
                "Linearizable on every broker set; no acknowledged change lost; no two masters in one epoch; "
                "no healthy master replaced; "
                @if options.target.kind.is_ours() { "all controllers equal at the end; " }
                "every fault that was injected confirmed."
            }
        }
        (lanes::draw(options, course, records))
        @if let Some(all) = &verdict.messages { (messages::draw(course, all)) }
        (page::section(
            "recovery",
            "How long faults were felt",
            &format!("Controllers' clients. {FELT}"),
            &recovery(&verdict.recovery),
        ))
        (page::section("goals", "Goals", "What recovery times ought to be. They never decide: times depend on the machine.",
            &goals_table(&goals(&verdict.recovery))))
        (faults(course))
        (skipped(course))
    };
    let subtitle = format!(
        "{} · {} controllers · seed {} · version {} · kernel {kernel}",
        options.target.label(),
        options.nodes,
        options.seed,
        options.version
    );
    page::page(&format!("Chaos on real processes: {word}"), &subtitle, &body, Some(json))
}

fn tiles(course: &Course, verdict: &Verdict) -> Markup {
    let class = match verdict.outcome {
        Outcome::Passed => "tile good",
        Outcome::Failed => "tile bad",
        Outcome::Invalid => "tile warn",
    };
    let seconds = course.ended.saturating_sub(course.began) / SECOND;
    let [ok, refused, unknown] = verdict.operations.map(|count| count as u64);
    let delivered = course.traffic.delivered;
    html! {
        div.strip {
            div class=(class) {
                b { (verdict.word()) }
                span { (verdict.violations.len()) " violations, " (verdict.doubts.len()) " doubts" }
            }
            div class=(if verdict.not_injected.is_empty() { "tile" } else { "tile warn" }) {
                b { (course.events.len()) " faults" }
                span {
                    "injected in " (numbers::length(seconds * 1_000))
                    @if !verdict.not_injected.is_empty() {
                        "; " (verdict.not_injected.len()) " of " (verdict.asked) " that were asked for were not"
                    }
                }
            }
            div.tile {
                b { (numbers::count(ok)) " operations" }
                span { "carried out; " (numbers::count(refused)) " refused, " (numbers::count(unknown)) " unknown" }
            }
            div class=(if verdict.undecided > 0 { "tile warn" } else { "tile" }) {
                b { (verdict.undecided) " undecided" }
                span { "broker sets on which the search for an order gave up" }
            }
            div.tile {
                b { (numbers::count(delivered)) " packets" }
                span { "carried, " (numbers::count(delivered / seconds.max(1))) " a second" }
            }
            div.tile {
                b { (course.stalls.len()) " stalls" }
                span { "times that the host itself stood still" }
            }
        }
    }
}

fn list(title: &str, class: &str, lines: &[String]) -> Markup {
    html! {
        @if !lines.is_empty() {
            h2 { (title) ": " span.word.(class) { (lines.len()) } }
            @for line in lines.iter().take(LINES_MAX) { pre { (line) } }
        }
    }
}

fn recovery(rows: &[Row]) -> Markup {
    html! {
        div.card.scroll {
            table {
                tr {
                    th { "Fault" } th.n { "Samples" }
                    th.n { "Outage p50" } th.n { "p99" } th.n { "max" }
                    th.n { "Healed p50" } th.n { "p99" } th.n { "max" }
                    th.n { "Dropped (host stood still)" }
                    th.n { "Masters replaced" }
                }
                @for row in rows {
                    tr {
                        td { (row.fault) }
                        td.n { (row.outages_ms.len()) }
                        @for values in [&row.outages_ms, &row.healed_ms] {
                            @for per_cent in [50, 99, 100] { td.n { (Row::percentile(values, per_cent)) } }
                        }
                        td.n { (row.dropped) }
                        td.n { (row.replaced) }
                    }
                }
            }
        }
        p { "Changes lost (RPO): every violation above that begins with LOST; else none." }
    }
}

fn goals_table(goals: &[Goal]) -> Markup {
    html! {
        div.card.scroll {
            table {
                tr { th { "Fault" } th { "Of" } th.n { "Injections" } th.n { "p99, ms" } th.n { "Goal, ms" } th { "" } }
                @for goal in goals {
                    tr {
                        td { (goal.fault) } td { (goal.of.name()) } td.n { (goal.samples) }
                        td.n { (goal.p99_ms) } td.n { (goal.most_ms) }
                        @if goal.is_reached() { td.good { "reached" } } @else { td.warn { "missed" } }
                    }
                }
            }
        }
    }
}

fn faults(course: &Course) -> Markup {
    let ms = |from: u64, to: u64| to.saturating_sub(from) / MILLISECOND;
    let table = html! {
        div.card.scroll {
            table {
                tr { th.n { "At, s" } th { "Fault" } th.n { "Done within, ms" } th.n { "Held, ms" } th.n { "Whole after, ms" } th { "Seen" } }
                @for event in &course.events {
                    tr {
                        td.n { (format!("{:.1}", ms(course.began, event.struck) as f64 / 1e3)) }
                        td { (event.name) }
                        td.n { (ms(event.struck, event.began)) }
                        td.n { (ms(event.began, event.healed)) }
                        td.n {
                            @match event.recovered {
                                Some(at) => (ms(event.healed, at)),
                                None => span.bad.word { "never" },
                            }
                        }
                        td {
                            @if !event.doubts.is_empty() { span.warn.word { "NOT CONFIRMED: " } }
                            (event.doubts.iter().chain(&event.evidence).map(String::as_str)
                                .collect::<Vec<_>>().join(", "))
                        }
                    }
                }
            }
        }
    };
    page::section("faults", "Every fault", "What was done, and how it was seen to work.", &table)
}

fn skipped(course: &Course) -> Markup {
    let table = html! {
        div.card.scroll {
            table {
                tr { th { "Means" } th { "Here" } th { "How, or why not" } }
                @for (means, found) in &course.findings {
                    tr {
                        td { (means.name()) }
                        @match found {
                            Ok(how) => { td.good { "yes" } td { (how) } },
                            Err(why) => { td.warn { "no" } td { (why) } },
                        }
                    }
                }
            }
        }
        @if !course.skipped.is_empty() {
            h3 { "Skipped: " (course.skipped.len()) }
            div.card.scroll {
                table { @for (name, skip) in &course.skipped { tr { td { (name) } td { (skip.why) } } } }
            }
        }
    };
    page::section(
        "means",
        "What this machine can inject",
        "A fault that cannot be injected is named.",
        &table,
    )
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;

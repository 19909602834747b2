//! The slowest requests, the slowest first, by stage: waiting in the generator, and on the way.

use super::{Context, arm_caption};
use crate::arms::Entry;
use crate::draw::numbers;
use crate::draw::page::{behind, figure};
use crate::draw::scale::Scale;
use crate::draw::svg::{Picture, Rect};
use maud::{Markup, html};
use measure::folder::Slow;

/// Size of a bar, room for words at its left, and width of the picture, in pixels.
const BAR: f64 = 7.0;
const LEFT: f64 = 58.0;
const WIDTH: f64 = 520.0;

pub(super) fn draw(context: &Context<'_>) -> Option<Markup> {
    let of_entry = |entry: &Entry<'_>| -> Vec<Slow> {
        let mut all: Vec<Slow> =
            entry.step().runs.iter().flat_map(|found| found.slowest.iter().cloned()).collect();
        all.sort_by(|left, right| right.latency_us.total_cmp(&left.latency_us));
        all.truncate(context.detail.slowest);
        all
    };
    let mut parts = Vec::new();
    for (workload, figures) in context.workloads() {
        let arms: Vec<(usize, Vec<Slow>)> =
            workload.entries.iter().map(|entry| (entry.arm, of_entry(entry))).collect();
        if arms.iter().any(|(_, all)| !all.is_empty()) {
            parts.push(html! {
                (context.heading(&figures.workload))
                div.grid { @for (arm, all) in &arms { @if !all.is_empty() { (one(context, *arm, all)) } } }
            });
        }
    }
    if parts.is_empty() {
        return None;
    }
    Some(html! {
        @for part in &parts { (part) }
        div.key {
            span { i.q2 {} "due, not yet sent (the generator)" } span { i.q1 {} "sent, not yet answered" }
        }
    })
}

fn one(context: &Context<'_>, arm: usize, all: &[Slow]) -> Markup {
    let longest = all.first().map_or(1.0, |slow| slow.latency_us);
    let scale = Scale::linear((0.0, longest), (LEFT, WIDTH - 10.0));
    let bottom = 4.0 + BAR * all.len() as f64;
    let mut picture = Picture::new(WIDTH, bottom + 22.0);
    for (value, _) in scale.ticks() {
        let x = scale.at(value);
        picture.line((x, 0.0), (x, bottom), "grid");
        picture.text((x, bottom + 16.0), "num mid", &numbers::round_latency(value));
    }
    for (place, slow) in all.iter().enumerate() {
        let y = 2.0 + BAR * place as f64;
        let sent = scale.at(slow.lag_us);
        let tip = format!(
            "{} due at {:.1} s: {}\n{} until sent, {} until answered\n{}",
            slow.op,
            slow.due_ms / 1e3,
            numbers::latency(slow.latency_us),
            numbers::latency(slow.lag_us),
            numbers::latency(slow.service_us),
            slow.outcome
        );
        let lag = Rect { x: LEFT, y, width: sent - LEFT, height: BAR - 1.5 };
        picture.rect(lag, "fill q2", Some(&tip));
        let service =
            Rect { x: sent, y, width: scale.at(slow.latency_us) - sent, height: BAR - 1.5 };
        let class = if slow.outcome == "ok" { "fill q1" } else { "fill2 q1" };
        picture.rect(service, class, Some(&tip));
        if place % 10 == 0 {
            picture.text((LEFT - 6.0, y + BAR), "num end", &(place + 1).to_string());
        }
    }
    let name = format!("The {} slowest requests; the table below has the figures", all.len());
    figure(&arm_caption(context, arm), &picture.finish(&name), &behind("Table", &table(all)))
}

fn table(all: &[Slow]) -> Markup {
    html! {
        table {
            tr { th { "Operation" } th.n { "Due, s" } th.n { "Latency" } th.n { "Until sent" } th.n { "Until answered" } th { "Outcome" } }
            @for slow in all {
                tr {
                    td { (slow.op) } td.n { (format!("{:.3}", slow.due_ms / 1e3)) }
                    @for value in [slow.latency_us, slow.lag_us, slow.service_us] { td.n { (numbers::latency(value)) } }
                    td { (slow.outcome) }
                }
            }
        }
    }
}

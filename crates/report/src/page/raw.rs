//! All figures as tables: quantiles with their buckets and intervals, errors by code, servers, events.

use super::facts::found;
use super::percentiles::{between, quantile_name};
use super::verdict::runs;
use super::{Context, chip};
use crate::draw::numbers;
use crate::summary::{ArmFigures, OpFigures};
use maud::{Markup, html};

/// Events that are listed.
const EVENTS_MAX: usize = 200;

pub(super) fn draw(context: &Context<'_>) -> Option<Markup> {
    Some(html! {
        @for (_, figures) in context.workloads() {
            (context.heading(&figures.workload))
            @for arm in &figures.arms {
                details {
                    summary { (chip(arm.number)) " " (arm.arm) ": quantiles, buckets, intervals, errors" }
                    div.scroll { (quantiles(arm)) }
                }
            }
        }
        (servers(context))
        (events(context))
        (notes(context))
        p.note { "The same figures are embedded in this page as JSON (" code { "pitchover.report/v1" } ", element " code { "#data" } ")." }
    })
}

fn quantiles(arm: &ArmFigures) -> Markup {
    html! {
        table {
            tr {
                th { "Operation" } th { "Quantile" } th.n { "Latency" } th.n { "Bucket, µs" } th.n { "95 % interval" } th { "Ten beyond" }
                th { "Answers" }
            }
            @for op in &arm.operations {
                @for (place, quantile) in op.latency.iter().enumerate() {
                    tr {
                        td { (op.op) } td { (quantile_name(quantile.q)) } td.n { (numbers::latency(quantile.value_us)) }
                        td.n { (format!("{:.3}–{:.3}", quantile.bucket_us.0, quantile.bucket_us.1)) }
                        td.n { @if quantile.interval_us.is_some() { (between(quantile.interval_us)) } @else { (numbers::NONE) } }
                        td { @if quantile.supported { "✓" } @else { "no" } }
                        td { @if place == 0 { (answers(op)) } }
                    }
                }
            }
        }
    }
}

fn answers(op: &OpFigures) -> String {
    let mut parts =
        vec![format!("{} offered, {} ok", numbers::count(op.offered), numbers::count(op.ok))];
    parts.extend(
        op.errors.iter().map(|(code, count)| format!("code {code}: {}", numbers::count(*count))),
    );
    parts.push(format!(
        "{} timeouts, {} skipped",
        numbers::count(op.timeouts),
        numbers::count(op.skipped)
    ));
    if op.abandoned > 0 {
        parts.push(format!("{} abandoned", numbers::count(op.abandoned)));
    }
    let tail = |name: &str, quantiles: &measure::Quantiles| {
        quantiles.p99.map(|p99| format!("{name} p99 {}", numbers::latency(p99)))
    };
    parts.extend(tail("service", &op.service_us));
    parts.extend(tail("send lag", &op.lag_us));
    parts.join("; ")
}

fn servers(context: &Context<'_>) -> Markup {
    let show =
        |value: Option<u64>, show: fn(u64) -> String| value.map_or(numbers::NONE.to_owned(), show);
    html! {
        @if found(context).any(|(_, found)| !found.run.servers.is_empty()) {
            details {
                summary { "Servers" }
                div.scroll {
                    table {
                        tr { th { "" } th { "Run" } th { "Node" } th.n { "CPU" } th.n { "Memory, most" } th.n { "Syncs" } }
                        @for (arm, found) in found(context) {
                            @for server in &found.run.servers {
                                tr {
                                    td { (chip(arm)) } td { (found.run.id) } td { (server.node) }
                                    td.n { (show(server.cpu_us, |us| numbers::latency(us as f64))) }
                                    td.n { (show(server.rss_max_bytes, |bytes| numbers::bytes(bytes as f64))) }
                                    td.n { (show(server.syncs, numbers::count)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn events(context: &Context<'_>) -> Markup {
    let all: Vec<_> = found(context)
        .flat_map(|(arm, found)| found.events.iter().map(move |event| (arm, found, event)))
        .collect();
    html! {
        @if !all.is_empty() {
            details {
                summary { "Events" @if all.len() > EVENTS_MAX { ": the first " (EVENTS_MAX) " of " (all.len()) } }
                div.scroll {
                    table {
                        tr { th { "" } th { "Run" } th.n { "At, s" } th { "Kind" } th { "What" } }
                        @for (arm, found, event) in all.iter().take(EVENTS_MAX) {
                            tr {
                                td { (chip(*arm)) } td { (found.run.id) } td.n { (format!("{:.1}", event.at_ms as f64 / 1e3)) }
                                td { (event.kind) } td { (event.text) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn notes(context: &Context<'_>) -> Markup {
    html! {
        @if runs(context).any(|(_, run)| !run.notes.is_empty()) {
            details {
                summary { "What was missing in the run folders" }
                ul { @for (name, run) in runs(context) { @for note in &run.notes { li { (name) ": " (note) } } } }
            }
        }
    }
}

//! What the servers used for one answered operation.

use super::{Context, chip};
use crate::draw::numbers;
use crate::summary::{CostFigures, WorkloadFigures};
use maud::{Markup, html};

/// Name, value and its text.
type Kind = (&'static str, fn(&CostFigures) -> Option<f64>, fn(f64) -> String);

const KINDS: [Kind; 4] = [
    ("CPU, all nodes", |cost| cost.cpu_us_per_op, |us| format!("{} µs", numbers::three_digits(us))),
    ("bytes on disks", |cost| cost.disk_bytes_per_op, numbers::bytes),
    ("syncs", |cost| cost.syncs_per_op, numbers::three_digits),
    ("memory, most of a node", |cost| cost.rss_max_bytes.map(|bytes| bytes as f64), numbers::bytes),
];

pub(super) fn draw(context: &Context<'_>) -> Option<Markup> {
    let known = |figures: &&WorkloadFigures| {
        let mut costs = figures.arms.iter().flat_map(|arm| KINDS.map(|kind| (kind.1)(&arm.cost)));
        costs.any(|value| value.is_some())
    };
    let shown: Vec<&WorkloadFigures> = context.summary.workloads.iter().filter(known).collect();
    if shown.is_empty() {
        return None;
    }
    Some(html! {
        @for figures in shown {
            (context.heading(&figures.workload))
            div.card.scroll { (table(figures)) }
        }
        p.note { "For each operation that was answered with success. Bars of one column share their scale; – is not known, which is not zero." }
    })
}

fn table(figures: &WorkloadFigures) -> Markup {
    html! {
        table {
            tr { th { "Arm" } @for (name, ..) in KINDS { th { (name) } } }
            @for arm in &figures.arms {
                tr {
                    td { (chip(arm.number)) (arm.arm) }
                    @for (_, value, show) in KINDS {
                        @let most = figures.arms.iter().filter_map(|arm| value(&arm.cost)).fold(0.0, f64::max);
                        td {
                            @match value(&arm.cost) {
                                Some(used) => {
                                    (show(used))
                                    span class={ "bar c" (arm.number) } style={ "width:" (format!("{:.1}", used / most.max(1e-12) * 100.0)) "%" } {}
                                },
                                None => (numbers::NONE),
                            }
                        }
                    }
                }
            }
        }
    }
}

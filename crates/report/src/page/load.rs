//! Latency against offered load, of the steps of ramps; and what was answered of it.

use super::{Context, chip};
use crate::arms::Arm;
use crate::draw::numbers;
use crate::draw::page::{behind, figure};
use crate::draw::plot::{Axis, Plot, counted, log_range, percent};
use crate::draw::scale::Kind;
use crate::summary::{ArmFigures, LoadFigures, WorkloadFigures};
use maud::{Markup, html};
use measure::ramp;

/// Height of a plot, in pixels.
const HEIGHT: f64 = 230.0;

pub(super) fn draw(context: &Context<'_>) -> Option<Markup> {
    let ramps: Vec<&WorkloadFigures> = context
        .summary
        .workloads
        .iter()
        .filter(|figures| figures.arms.iter().any(|arm| !arm.ramp.is_empty()))
        .collect();
    if ramps.is_empty() {
        return None;
    }
    Some(html! {
        @for figures in ramps {
            (context.heading(&figures.workload))
            div.grid {
                (figure(&html! { "p99 of " (op_names(figures)) " (thin: p50)" }, &latency(figures), &html! {}))
                (figure(&html! { "Answered with success" }, &answered(figures), &html! {}))
            }
            (knees(figures))
            (behind("Table", &table(figures)))
        }
    })
}

fn range(figures: &WorkloadFigures) -> (f64, f64) {
    let loads = figures.arms.iter().flat_map(|arm| &arm.ramp);
    (0.0, loads.map(|load| load.offered_per_s).fold(0.0, f64::max) * 1.03)
}

/// The operations whose latency is shown, which is one but for arms that differ.
fn op_names(figures: &WorkloadFigures) -> String {
    let mut names: Vec<&str> = figures.arms.iter().map(|arm| arm.ramp_op.as_str()).collect();
    names.dedup();
    names.join(", ")
}

/// One line of a ramp: its loads and a value of each, where there is one.
fn line(arm: &ArmFigures, value: fn(&LoadFigures) -> Option<f64>) -> Vec<(f64, f64)> {
    arm.ramp.iter().filter_map(|load| Some((load.offered_per_s, value(load)?))).collect()
}

fn latency(figures: &WorkloadFigures) -> Markup {
    let loads = || figures.arms.iter().flat_map(|arm| &arm.ramp);
    let values = loads().flat_map(|load| [load.p50_us, load.p99_us]).flatten();
    let x = Axis {
        label: "offered, requests a second",
        range: range(figures),
        kind: Kind::Linear,
        show: counted,
    };
    let y = Axis {
        label: "latency",
        range: log_range(values),
        kind: Kind::Log,
        show: numbers::round_latency,
    };
    let mut plot = Plot::new(&x, &y, HEIGHT);
    for arm in &figures.arms {
        let class = format!("c{}", arm.number);
        plot.line(&line(arm, |load| load.p50_us), &format!("thin {class}"));
        let tail = line(arm, |load| load.p99_us);
        plot.line(&tail, &class);
        if let Some(end) = tail.last() {
            plot.name(*end, &class, Arm::letter(arm.number));
        }
        for load in &arm.ramp {
            let Some(p99) = load.p99_us else { continue };
            let is_knee = arm.knee_per_s == Some(load.offered_per_s);
            let tip = format!(
                "{}: {} offered, {} answered\np99 {}{}{}",
                arm.arm,
                numbers::rate(load.offered_per_s),
                numbers::rate(load.ok_per_s),
                numbers::latency(p99),
                if is_knee { "\nthe knee" } else { "" },
                if load.valid { "" } else { "\nINVALID run" },
            );
            let shape = if is_knee { "ring" } else { "disc" };
            plot.mark((load.offered_per_s, p99), &format!("{shape} {class}"), Some(&tip));
            if !load.valid {
                let place = (plot.x.at(load.offered_per_s), plot.y.at(p99) - 8.0);
                plot.picture.text(place, "mid broken name", "✗");
            }
        }
    }
    plot.finish("Latency against offered load; the table below has the figures")
}

fn answered(figures: &WorkloadFigures) -> Markup {
    let range = range(figures);
    let x = Axis { label: "offered, requests a second", range, kind: Kind::Linear, show: counted };
    let y = Axis { label: "answered a second", range, kind: Kind::Linear, show: counted };
    let mut plot = Plot::new(&x, &y, HEIGHT);
    plot.line(&[(0.0, 0.0), (range.1, range.1)], "thin dash q3");
    for arm in &figures.arms {
        let class = format!("c{}", arm.number);
        let points = line(arm, |load| Some(load.ok_per_s));
        plot.line(&points, &class);
        for point in &points {
            plot.mark(*point, &format!("disc {class}"), None);
        }
        if let Some(end) = points.last() {
            plot.name(*end, &class, Arm::letter(arm.number));
        }
    }
    plot.finish("Answered against offered load; the dashed line is all of it")
}

fn knees(figures: &WorkloadFigures) -> Markup {
    let show = |value: Option<f64>| value.map_or(numbers::NONE.to_owned(), numbers::rate);
    html! {
        div.card.scroll {
            table {
                tr { th { "Arm" } th.n { "Knee" } th.n { "Highest load carried" } }
                @for arm in figures.arms.iter().filter(|arm| !arm.ramp.is_empty()) {
                    tr { td { (chip(arm.number)) (arm.arm) } td.n { (show(arm.knee_per_s)) } td.n { (show(arm.carried_per_s)) } }
                }
            }
            p.note {
                "Carried: " (percent(ramp::CARRIED)) " of what was due was answered with success. Knee (ring): the largest load up to which "
                "every one was carried, with a p99 within " (ramp::KNEE_FACTOR) " times that of the smallest. Loads are those that are "
                "answered: one-way heartbeats are apart. Invalid runs (✗) count for neither."
            }
        }
    }
}

fn table(figures: &WorkloadFigures) -> Markup {
    let show = |value: Option<f64>| value.map_or(numbers::NONE.to_owned(), numbers::latency);
    html! {
        table {
            tr { th { "Arm" } th.n { "Offered" } th.n { "Answered" } th.n { "p50" } th.n { "p99" } th.n { "p99.9" } th { "Valid" } }
            @for arm in &figures.arms {
                @for load in &arm.ramp {
                    tr {
                        td { (chip(arm.number)) } td.n { (numbers::rate(load.offered_per_s)) } td.n { (numbers::rate(load.ok_per_s)) }
                        @for value in [load.p50_us, load.p99_us, load.p999_us] { td.n { (show(value)) } }
                        @if load.valid { td.good { "✓" } } @else { td.bad { "✗" } }
                    }
                }
            }
        }
    }
}

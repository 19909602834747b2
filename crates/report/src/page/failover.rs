//! How long until each milestone after a fault: the distribution over broker sets, not one number.

use super::{Context, chip};
use crate::arms::Arm;
use crate::draw::numbers;
use crate::draw::page::figure;
use crate::draw::plot::{Axis, Plot, log_range, percent};
use crate::draw::scale::Kind;
use crate::summary::WorkloadFigures;
use maud::{Markup, html};
use measure::folder::Milestone;
use measure::histogram::is_supported;
use measure::statistics::quantile_of;

/// Height of a plot, in pixels.
const HEIGHT: f64 = 190.0;

pub(super) fn draw(context: &Context<'_>) -> Option<Markup> {
    let has = |figures: &&WorkloadFigures| figures.arms.iter().any(|arm| arm.failover.is_some());
    let shown: Vec<&WorkloadFigures> = context.summary.workloads.iter().filter(has).collect();
    if shown.is_empty() {
        return None;
    }
    Some(html! {
        @for figures in shown {
            (context.heading(&figures.workload))
            div.grid {
                @for name in milestones(figures) { @if let Some(plot) = plot(context, figures, name) { (plot) } }
            }
            (table(figures))
            (goals(figures))
        }
    })
}

/// Milestones of all arms, in their order.
fn milestones(figures: &WorkloadFigures) -> Vec<&str> {
    let all = figures.arms.iter().filter_map(|arm| arm.failover.as_ref());
    let mut names: Vec<&str> = Vec::new();
    for milestone in all.flat_map(|failover| &failover.milestones) {
        if !names.contains(&milestone.name.as_str()) {
            names.push(&milestone.name);
        }
    }
    names
}

/// Arms that came to a milestone.
fn arms<'a>(figures: &'a WorkloadFigures, name: &str) -> Vec<(usize, &'a Milestone)> {
    let of_arm = figures.arms.iter().filter_map(|arm| {
        let mut all = arm.failover.iter().flat_map(|failover| &failover.milestones);
        Some((arm.number, all.find(|milestone| milestone.name == name)?))
    });
    of_arm.collect()
}

fn plot(context: &Context<'_>, figures: &WorkloadFigures, name: &str) -> Option<Markup> {
    let mut arms = arms(figures, name);
    arms.retain(|(_, milestone)| !milestone.samples_us.is_empty());
    if arms.is_empty() {
        return None;
    }
    // All stages on one axis, so that they can be compared.
    let all = milestones(figures).into_iter().flat_map(|name| self::arms(figures, name));
    let values: Vec<f64> =
        all.flat_map(|(_, milestone)| milestone.samples_us.iter().copied()).collect();
    let x = Axis {
        label: "time from the fault",
        range: log_range(values.into_iter()),
        kind: Kind::Log,
        show: numbers::round_latency,
    };
    let y = Axis { label: "come so far", range: (0.0, 1.0), kind: Kind::Linear, show: percent };
    let mut plot = Plot::new(&x, &y, HEIGHT);
    for (arm, milestone) in arms {
        let class = format!("c{arm}");
        let points = steps(&milestone.samples_us, context.detail.steps);
        plot.line(&points, &class);
        let half = quantile_of(&milestone.samples_us, 0.5).unwrap_or_default();
        let last = milestone.samples_us.last().copied().unwrap_or_default();
        let tip = format!(
            "{}: {} times\np50 {}\nmax {}",
            Arm::letter(arm),
            milestone.samples_us.len(),
            numbers::latency(half),
            numbers::latency(last)
        );
        plot.mark((half, 0.5), &format!("disc {class}"), Some(&tip));
        plot.name((last, 1.0), &class, Arm::letter(arm));
    }
    let picture = plot.finish(&format!("Times until: {name}; the table below has the figures"));
    Some(figure(&html! { (name) }, &picture, &html! {}))
}

/// A rising staircase over sorted samples, thinned evenly.
fn steps(sorted: &[f64], most: usize) -> Vec<(f64, f64)> {
    let count = sorted.len();
    let stride = count.div_ceil(most).max(1);
    let mut points = Vec::new();
    let mut share = 0.0;
    for (rank, value) in sorted.iter().enumerate() {
        if rank % stride == 0 || rank + 1 == count {
            points.push((*value, share));
            share = (rank + 1) as f64 / count as f64;
            points.push((*value, share));
        }
    }
    points
}

fn table(figures: &WorkloadFigures) -> Markup {
    html! {
        div.card.scroll {
            table {
                tr { th { "Milestone" } th { "" } th.n { "Times" } th.n { "p50" } th.n { "p90" } th.n { "p99" } th.n { "last" } }
                @for name in milestones(figures) {
                    @for (arm, milestone) in arms(figures, name) { (row(name, arm, milestone)) }
                }
            }
        }
    }
}

fn row(name: &str, arm: usize, milestone: &Milestone) -> Markup {
    let samples = &milestone.samples_us;
    let told = &milestone.latency_us;
    let count = if samples.is_empty() { told.count } else { samples.len() as u64 };
    let value = |q: f64, told: Option<f64>| {
        let value = quantile_of(samples, q).or(told);
        match value.map(numbers::latency) {
            None => numbers::NONE.to_owned(),
            Some(value) if is_supported(count, q) => value,
            Some(value) => format!("({value})"),
        }
    };
    html! {
        tr {
            td { (name) } td { (chip(arm)) } td.n { (numbers::count(count)) }
            @for (q, told) in [(0.5, told.p50), (0.9, told.p90), (0.99, told.p99)] { td.n { (value(q, told)) } }
            td.n { (samples.last().copied().or(told.max).map_or(numbers::NONE.to_owned(), numbers::latency)) }
        }
    }
}

fn goals(figures: &WorkloadFigures) -> Markup {
    let with_goals =
        figures.arms.iter().filter_map(|arm| Some((arm.number, arm.failover.as_ref()?)));
    let goals: Vec<_> = with_goals
        .flat_map(|(arm, failover)| failover.goals.iter().map(move |goal| (arm, goal)))
        .collect();
    html! {
        @if !goals.is_empty() {
            div.card.scroll {
                table {
                    tr { th { "Goal" } th { "" } th.n { "At most" } th.n { "Reached" } th { "" } }
                    @for (arm, goal) in goals {
                        tr {
                            td { (goal.what) } td { (chip(arm)) }
                            td.n { (numbers::three_digits(goal.limit)) " " (goal.unit) }
                            td.n { (numbers::three_digits(goal.reached)) " " (goal.unit) }
                            @if goal.reached <= goal.limit { td.good { "✓" } } @else { td.bad { "✗" } }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::steps;

    #[test]
    fn a_staircase_ends_at_all_of_them() {
        assert_eq!(steps(&[1.0, 2.0], 10), [(1.0, 0.0), (1.0, 0.5), (2.0, 0.5), (2.0, 1.0)]);
        let many: Vec<f64> = (0..10_000).map(f64::from).collect();
        let points = steps(&many, 300);
        assert!(points.len() <= 602);
        assert_eq!(points.last(), Some(&(9_999.0, 1.0)));
    }
}

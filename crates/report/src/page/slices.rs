//! Windows joined to as many slices of time as a picture has columns. Histograms are merged.

use super::Context;
use crate::arms::{Entry, Op, OpWindow, Workload};
use crate::draw::numbers;
use maud::{Markup, html};
use measure::cells::Cells;

/// Some windows, one after the other.
#[derive(Debug, Default)]
pub(super) struct Slice {
    pub(super) from_s: f64,
    pub(super) to_s: f64,
    /// Nothing was seen if there is no window; a window without requests is seen to be empty.
    pub(super) windows: usize,
    pub(super) offered: u64,
    pub(super) failed: u64,
    pub(super) latency: Cells,
    pub(super) lag: Cells,
    /// Lowest and highest p99 of its windows.
    pub(super) p99_us: Option<(f64, f64)>,
}

/// One operation of one arm over time: the first of its runs.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) slices: Vec<Slice>,
    /// Requests in all of them.
    pub(super) count: u64,
}

/// Range and width of the slices, in milliseconds: the same for all arms of a workload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    from_ms: i64,
    width_ms: i64,
    count: usize,
}

impl Grid {
    /// From the first window to the last of all arms; nothing if there is none, or nothing is drawn over time.
    pub(super) fn of(context: &Context<'_>, workload: &Workload<'_>) -> Option<Self> {
        if context.detail.ops == 0 {
            return None;
        }
        let times = || {
            let ops = workload.entries.iter().flat_map(|entry| &entry.step().ops);
            ops.filter_map(|op| op.windows.first()).flatten().map(|window| window.at_ms)
        };
        let (first, last) = (times().min()?, times().max()?);
        let runs = workload.entries.iter().filter_map(|entry| entry.step().runs.first());
        let window_ms = runs.map(|found| found.run.time.window_ms).max().unwrap_or(0).max(1);
        let window_ms = i64::try_from(window_ms).ok()?;
        let columns = i64::try_from(context.columns).ok()?;
        let windows = (last - first) / window_ms + 1;
        let width_ms = (windows + columns - 1) / columns * window_ms;
        let count = usize::try_from((last - first) / width_ms + 1).ok()?;
        Some(Self { from_ms: first, width_ms, count })
    }

    /// In seconds from the start of measuring.
    pub(super) fn range_s(&self) -> (f64, f64) {
        (self.edge_s(0), self.edge_s(self.count))
    }

    pub(super) fn width_s(&self) -> f64 {
        self.width_ms as f64 / 1e3
    }

    fn edge_s(&self, number: usize) -> f64 {
        (self.from_ms as f64 + self.width_ms as f64 * number as f64) / 1e3
    }

    pub(super) fn series(&self, op: &Op) -> Series {
        let mut parts: Vec<Vec<&OpWindow>> = vec![Vec::new(); self.count];
        for window in op.windows.first().into_iter().flatten() {
            let place = usize::try_from((window.at_ms - self.from_ms) / self.width_ms);
            if let Some(part) = place.ok().and_then(|place| parts.get_mut(place)) {
                part.push(window);
            }
        }
        let slices: Vec<Slice> =
            parts.iter().enumerate().map(|(number, windows)| self.slice(number, windows)).collect();
        let count = slices.iter().map(|slice| slice.latency.count()).sum();
        Series { slices, count }
    }

    fn slice(&self, number: usize, windows: &[&OpWindow]) -> Slice {
        let p99 = windows.iter().filter_map(|window| window.latency.at(0.99));
        let p99_us = p99.fold(None, |range: Option<(f64, f64)>, value| {
            let (low, high) = range.unwrap_or((value, value));
            Some((low.min(value), high.max(value)))
        });
        Slice {
            from_s: self.edge_s(number),
            to_s: self.edge_s(number + 1),
            windows: windows.len(),
            offered: windows.iter().map(|window| window.offered).sum(),
            failed: windows.iter().map(|window| window.failed).sum(),
            latency: Cells::merged(windows.iter().map(|window| &window.latency)),
            lag: Cells::merged(windows.iter().map(|window| &window.lag)),
            p99_us,
        }
    }
}

impl Slice {
    /// What a pointer shows.
    pub(super) fn tip(&self) -> String {
        let time = format!("{:.0}–{:.0} s", self.from_s, self.to_s);
        if self.windows == 0 {
            return format!("{time}: no window");
        }
        let show = |q: f64| {
            let thin = if self.latency.supported(q).is_none() { " (< 10 beyond)" } else { "" };
            self.latency.at(q).map_or(numbers::NONE.to_owned(), |us| numbers::latency(us) + thin)
        };
        let max = self.latency.max_us().map_or(numbers::NONE.to_owned(), numbers::latency);
        let lag = self.lag.at(0.99).map_or(numbers::NONE.to_owned(), numbers::latency);
        format!(
            "{time}: {} requests, {} failed\np50 {}\np99 {}\nmax {max}\nsend lag p99 {lag}",
            numbers::count(self.offered),
            numbers::count(self.failed),
            show(0.5),
            show(0.99),
        )
    }
}

/// The pictures of each operation: below each other, or beside each other if there is one arm.
pub(super) fn beside(
    context: &Context<'_>,
    workload: &Workload<'_>,
    draw: impl Fn(&str) -> Markup,
) -> Markup {
    html! {
        @if workload.entries.len() == 1 {
            div.grid { @for op in ops(workload, context.detail.ops) { div { (draw(op)) } } }
        } @else {
            @for op in ops(workload, context.detail.ops) { (draw(op)) }
        }
    }
}

/// The busiest operations of a workload, in their order.
fn ops<'a>(workload: &'a Workload<'_>, most: usize) -> Vec<&'a str> {
    let is_answered = |name: &&str| {
        workload.entries.iter().any(|entry| entry.op(name).is_some_and(|op| !op.latency.is_empty()))
    };
    let names: Vec<&str> =
        super::percentiles::op_names(workload).into_iter().filter(is_answered).collect();
    let offered = |name: &str| -> u64 {
        let of_arm = |entry: &Entry<'_>| entry.op(name).map_or(0, |op| op.offered);
        workload.entries.iter().map(of_arm).sum()
    };
    let mut busiest = names.clone();
    busiest.sort_by_key(|name| std::cmp::Reverse(offered(name)));
    busiest.truncate(most);
    names.into_iter().filter(|name| busiest.contains(name)).collect()
}

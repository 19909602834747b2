//! Histograms over one list of values, so that merging some of them by chance is an addition.

use std::collections::BTreeMap;

use crate::cells::Cells;
use crate::histogram::as_f64;

/// Histograms in clusters: windows in runs, quads in restarts.
pub(super) struct Table {
    /// Every time that occurs, in nanoseconds, rising.
    values: Vec<u64>,
    /// By cluster and member: places in `values`, and counts.
    cells: Vec<Vec<Vec<(usize, u64)>>>,
}

impl Table {
    pub(super) fn of(clusters: &[Vec<&Cells>]) -> Self {
        let all = Cells::merged(clusters.iter().flatten().copied());
        let values: Vec<u64> = all.iter().map(|cell| cell.0).collect();
        let places: BTreeMap<u64, usize> =
            values.iter().enumerate().map(|(place, value)| (*value, place)).collect();
        let of_member = |cells: &&Cells| -> Vec<(usize, u64)> {
            cells.iter().map(|(value, count)| (places[&value], count)).collect()
        };
        let cells = clusters.iter().map(|all| all.iter().map(of_member).collect()).collect();
        Self { values, cells }
    }

    /// Counts of no histogram at all.
    pub(super) fn nothing(&self) -> Vec<u64> {
        vec![0; self.values.len()]
    }

    /// Adds one histogram to `counts`.
    pub(super) fn add(&self, cluster: usize, member: usize, counts: &mut [u64]) {
        for &(place, count) in &self.cells[cluster][member] {
            counts[place] += count;
        }
    }

    /// A quantile (0 to 1) of counts, in nanoseconds; not a number if there are none.
    pub(super) fn quantile(&self, counts: &[u64], quantile: f64) -> f64 {
        let rank = as_f64(counts.iter().sum()) * quantile;
        let mut seen = 0;
        let found = counts.iter().position(|count| {
            seen += count;
            as_f64(seen) >= rank && seen > 0
        });
        found.map_or(f64::NAN, |place| as_f64(self.values[place]))
    }
}

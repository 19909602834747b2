//! `bench ramp`: the same workload at several sizes, to see where it stops keeping up.
//!
//! ```text
//! p99 │                       ·        each point is a run of its own, on fresh controllers if the run
//!     │                     ·          starts them; in shuffled order, so that a host that grows busier
//!     │  ·    ·     ·    ·             does not look like a load that grows heavier
//!     └──────────────────┬─────────
//!                      knee        offered requests per second
//! ```
//!
//! The *knee* is the largest load up to which every point answered what was offered and kept its p99
//! within [`KNEE_FACTOR`](measure::ramp::KNEE_FACTOR) times that of the smallest. *Capacity* is the largest load within a limit;
//! between the last point within it and the first beyond it lies a straight line in the logarithm of
//! the latency. Points that are invalid count for neither.

use std::fmt;
use std::path::Path;

use measure::folder::{FolderError, Operation, Run};
use measure::ramp::{self, Load};
use measure::statistics::Random;
use serde::Serialize;

use crate::run::{self, Progress, RunError, Setup};
use crate::workload::{Workload, WorkloadError};
use measure::histogram::as_f64;

/// Most points of a ramp.
pub const POINTS_MAX: usize = 50;

/// In which order the points are run.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Order {
    /// By chance, by the workload's seed.
    #[default]
    Shuffled,
    /// From the smallest to the largest.
    Rising,
    /// Rising, then falling: each size twice.
    Mirrored,
}

/// The most that one operation may take.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Limit {
    /// Which operation.
    pub op: String,
    /// Which quantile: 0.5, 0.9, 0.99, 0.999 or 0.9999.
    pub quantile: f64,
    /// How long.
    pub ms: f64,
}

impl Limit {
    /// Reads `OP:p99:10ms`.
    ///
    /// # Errors
    /// A text that says what is allowed.
    pub fn read(text: &str) -> Result<Self, String> {
        let allowed = || {
            format!(
                "{text:?} is no limit: OPERATION:QUANTILE:TIME, such as get_replica_info:p99:10ms, \
                     with p50, p90, p99, p99.9 or p99.99"
            )
        };
        let mut parts = text.split(':');
        let (Some(op), Some(quantile), Some(time), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(allowed());
        };
        let quantile = match quantile {
            "p50" => 0.5,
            "p90" => 0.9,
            "p99" => 0.99,
            "p99.9" => 0.999,
            "p99.99" => 0.9999,
            _ => return Err(allowed()),
        };
        let ms: f64 = time.strip_suffix("ms").and_then(|ms| ms.parse().ok()).ok_or_else(allowed)?;
        Ok(Self { op: op.to_owned(), quantile, ms })
    }

    fn of(&self, operation: &Operation) -> Option<f64> {
        let times = &operation.latency_us;
        let us = match self.quantile {
            it if it <= 0.5 => times.p50,
            it if it <= 0.9 => times.p90,
            it if it <= 0.99 => times.p99,
            it if it <= 0.999 => times.p999,
            _ => times.p9999,
        };
        us.map(|us| us / 1e3)
    }
}

/// One size.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// Factor of the workload.
    pub scale: f64,
    /// Requests per second that were due, one-way heartbeats apart.
    pub offered: f64,
    /// Those that were answered with success.
    pub achieved: f64,
    /// Latency of the operation that is looked at.
    pub p50_ms: Option<f64>,
    /// The same.
    pub p99_ms: Option<f64>,
    /// The same.
    pub p999_ms: Option<f64>,
    /// What the limit means, if there is one.
    pub limited_ms: Option<f64>,
    /// CPU of all servers for each operation.
    pub cpu_us_per_op: Option<f64>,
    /// Why it says nothing about the server; empty if it does.
    pub invalid: Vec<String>,
    /// Wrong answers.
    pub violations: u64,
    /// Its run folder, below that of the ramp.
    pub folder: String,
}

/// A ramp.
#[derive(Clone, Debug, Serialize)]
pub struct Ramp {
    /// The workload's name.
    pub name: String,
    /// The operation that is looked at: the limit's, else the one that was offered most.
    pub op: String,
    /// What capacity means.
    pub limit: Option<Limit>,
    /// By rising scale.
    pub points: Vec<Point>,
    /// The largest load that was kept up with, in requests per second; none if not even the smallest.
    pub knee: Option<f64>,
    /// The largest load within the limit, in requests per second.
    pub capacity: Option<f64>,
    /// No point was beyond the limit, so capacity is at least so much.
    pub is_capacity_open: bool,
}

/// Why there is no ramp.
#[derive(Debug, thiserror::Error)]
pub enum RampError {
    /// The sizes allow none.
    #[error("{0}")]
    Options(String),
    /// A size is one that nobody can send.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// A run could not be made.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The result cannot be written.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// Runs the workload at every scale; `setup.folder` holds the run folders, and `ramp.json` at the end.
///
/// # Errors
/// - [`RampError`]: what could not be done. Invalid points are in the result.
pub fn run(
    workload: &Workload,
    (scales, order): (&[f64], Order),
    limit: Option<Limit>,
    setup: &Setup,
    mut progress: impl FnMut(Progress<'_>),
) -> Result<Ramp, RampError> {
    if scales.is_empty() || scales.len() > POINTS_MAX {
        let why = format!("{} scales: 1 to {POINTS_MAX} (POINTS_MAX)", scales.len());
        return Err(RampError::Options(why));
    }
    // All of them are looked at before the first is run.
    for scale in scales {
        workload.scaled(*scale)?;
    }
    let mut runs = Vec::new();
    for (number, scale) in ordered(scales, order, workload.seed).into_iter().enumerate() {
        progress(Progress::Doing(format!("scale {scale}")));
        let folder = format!("{number:02}-scale-{scale}");
        let point = Setup { folder: setup.folder.join(&folder), ..setup.clone() };
        let run = run::run_with(&workload.scaled(scale)?, point, &mut progress)?;
        runs.push((scale, folder, run));
    }
    let ramp = Ramp::new(&workload.name, limit, &runs);
    write(&setup.folder, &ramp)?;
    Ok(ramp)
}

fn write(folder: &Path, ramp: &Ramp) -> Result<(), FolderError> {
    let path = folder.join("ramp.json");
    let text = serde_json::to_string_pretty(ramp).map_err(std::io::Error::other);
    let written = text.and_then(|text| std::fs::write(&path, text + "\n"));
    written.map_err(|error| FolderError::Io { path, error })
}

fn ordered(scales: &[f64], order: Order, seed: u64) -> Vec<f64> {
    let mut all = scales.to_vec();
    all.sort_unstable_by(f64::total_cmp);
    match order {
        Order::Rising => {}
        Order::Mirrored => all.extend(all.clone().into_iter().rev()),
        Order::Shuffled => {
            let mut random = Random::new(seed, u64::MAX);
            for last in (1..all.len()).rev() {
                all.swap(last, random.below(last + 1));
            }
        }
    }
    all
}

impl Ramp {
    fn new(name: &str, limit: Option<Limit>, runs: &[(f64, String, Run)]) -> Self {
        let answered = |run: &Run| -> Vec<Operation> {
            run.operations.iter().filter(|it| it.latency_us.count > 0).cloned().collect()
        };
        let most = runs.first().and_then(|(_, _, run)| {
            answered(run).into_iter().max_by_key(|operation| operation.offered)
        });
        let op = limit.as_ref().map(|limit| limit.op.clone());
        let op = op.or(most.map(|operation| operation.op)).unwrap_or_default();
        let point = |(scale, folder, run): &(f64, String, Run)| {
            let seconds = as_f64(run.time.measure_ms) / 1e3;
            let all = answered(run);
            let sum = |of: fn(&Operation) -> u64| as_f64(all.iter().map(of).sum()) / seconds;
            let looked_at = all.iter().find(|operation| operation.op == op);
            let times = looked_at.map(|operation| operation.latency_us).unwrap_or_default();
            let ms = |us: Option<f64>| us.map(|us| us / 1e3);
            let limited_ms = limit.as_ref().zip(looked_at).and_then(|(limit, it)| limit.of(it));
            let invalid = match run.validity.valid {
                true => Vec::new(),
                false => run.validity.reasons.clone(),
            };
            Point {
                scale: *scale,
                offered: sum(|it| it.offered),
                achieved: sum(|it| it.ok),
                p50_ms: ms(times.p50),
                p99_ms: ms(times.p99),
                p999_ms: ms(times.p999),
                limited_ms,
                cpu_us_per_op: run.cost.cpu_us_per_op,
                invalid,
                violations: run.correctness.violations,
                folder: folder.clone(),
            }
        };
        let mut points: Vec<Point> = runs.iter().map(point).collect();
        points.sort_by(|one, other| one.scale.total_cmp(&other.scale));
        let (capacity, is_capacity_open) = capacity(&points, limit.as_ref());
        let loads: Vec<Load> = points.iter().map(load).collect();
        let knee = ramp::knee(&loads);
        Self { name: name.to_owned(), op, limit, points, knee, capacity, is_capacity_open }
    }

    /// Whether some point says something.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.points.iter().any(|point| point.invalid.is_empty())
    }

    /// Wrong answers at all points together.
    #[must_use]
    pub fn violations(&self) -> u64 {
        self.points.iter().map(|point| point.violations).sum()
    }
}

fn valid(points: &[Point]) -> impl Iterator<Item = &Point> {
    points.iter().filter(|point| point.invalid.is_empty())
}

/// A point as whoever looks for the knee sees it.
fn load(point: &Point) -> Load {
    Load {
        offered: point.offered,
        answered: point.achieved,
        p99: point.p99_ms,
        is_valid: point.invalid.is_empty(),
    }
}

fn capacity(points: &[Point], limit: Option<&Limit>) -> (Option<f64>, bool) {
    let Some(limit) = limit else { return (None, false) };
    let mut within: Option<(f64, f64)> = None;
    for point in valid(points) {
        let Some(ms) = point.limited_ms else { continue };
        let keeps_up = load(point).is_carried();
        if ms <= limit.ms && keeps_up {
            within = Some((point.offered, ms));
            continue;
        }
        let between =
            within.filter(|(_, before)| keeps_up && ms > *before).map(|(offered, before)| {
                let part = (limit.ms / before).ln() / (ms / before).ln();
                offered + (point.offered - offered) * part
            });
        return (between.or(within.map(|(offered, _)| offered)), false);
    }
    (within.map(|(offered, _)| offered), within.is_some())
}

impl fmt::Display for Ramp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, latency of {}\n", self.name, self.op)?;
        writeln!(
            f,
            "{:>7}{:>12}{:>12}{:>10}{:>10}{:>11}{:>12}",
            "scale", "offered/s", "answered/s", "p50 ms", "p99 ms", "p99.9 ms", "CPU us/op"
        )?;
        let cell = |value: Option<f64>| value.map_or("-".to_owned(), |it| format!("{it:.2}"));
        for it in &self.points {
            write!(
                f,
                "{:>7}{:>12.0}{:>12.0}{:>10}{:>10}{:>11}{:>12}",
                it.scale,
                it.offered,
                it.achieved,
                cell(it.p50_ms),
                cell(it.p99_ms),
                cell(it.p999_ms),
                cell(it.cpu_us_per_op)
            )?;
            match it.invalid.first() {
                Some(reason) => writeln!(f, "  INVALID: {reason}")?,
                None => writeln!(f)?,
            }
        }
        match self.knee {
            Some(knee) => write!(f, "\nknee: {knee:.0} requests/s")?,
            None => write!(f, "\nno knee: not even the smallest load was kept up with")?,
        }
        if let Some(limit) = &self.limit {
            let (op, quantile, ms) = (&limit.op, limit.quantile * 100.0, limit.ms);
            write!(f, "\ncapacity with {op} p{quantile} within {ms} ms: ")?;
            match (self.capacity, self.is_capacity_open) {
                (Some(capacity), true) => write!(f, "{capacity:.0} requests/s or more")?,
                (Some(capacity), false) => write!(f, "{capacity:.0} requests/s")?,
                (None, _) => write!(f, "less than the smallest load")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use measure::Quantiles;
    use measure::folder::{Operation, Run, Time, Validity};

    use super::{Limit, Order, Ramp, ordered};

    /// A run of one second with these requests and this p99.
    fn run(scale: f64, [offered, ok]: [u64; 2], p99_ms: f64, valid: bool) -> (f64, String, Run) {
        let p99 = Some(p99_ms * 1e3);
        let latency_us = Quantiles { p99, count: offered, ..Quantiles::default() };
        let operation =
            Operation { op: "get".to_owned(), offered, ok, latency_us, ..Operation::default() };
        let reasons = if valid { Vec::new() } else { vec!["late".to_owned()] };
        let run = Run {
            time: Time { measure_ms: 1_000, ..Time::default() },
            operations: vec![operation],
            validity: Validity { valid, reasons, ..Validity::default() },
            ..Run::default()
        };
        (scale, format!("{scale}"), run)
    }

    fn near(value: Option<f64>, expected: f64) -> bool {
        value.is_some_and(|value| (value - expected).abs() < 0.5)
    }

    #[test]
    fn knee_and_capacity_are_found_whatever_the_order() {
        let limit = Limit::read("get:p99:10ms").unwrap();
        let runs = [
            run(4.0, [400, 390], 100.0, true),
            run(1.0, [100, 100], 1.0, true),
            run(3.0, [300, 300], 100.0, true),
            run(2.5, [250, 250], 999.0, false),
            run(2.0, [200, 200], 1.0, true),
        ];
        let ramp = Ramp::new("w", Some(limit), &runs);
        assert!(near(ramp.knee, 200.0), "{ramp}");
        // Half the way from 1 to 100 ms in the logarithm.
        assert!(near(ramp.capacity, 250.0) && !ramp.is_capacity_open, "{ramp}");
        assert!(ramp.to_string().contains("INVALID: late"), "{ramp}");
        let open = Ramp::new("w", ramp.limit.clone(), &runs[1..2]);
        assert!(near(open.capacity, 100.0) && open.is_capacity_open, "{open}");
        let none = Ramp::new("w", ramp.limit, &runs[..1]);
        assert!(none.capacity.is_none() && none.knee.is_none() && none.is_valid(), "{none}");
    }

    #[test]
    fn orders_hold_every_scale() {
        let scales = [3.0, 1.0, 2.0, 5.0, 4.0];
        assert_eq!(ordered(&scales, Order::Rising, 1), [1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(ordered(&scales[..2], Order::Mirrored, 1), [1.0, 3.0, 3.0, 1.0]);
        let shuffled = ordered(&scales, Order::Shuffled, 1);
        assert_eq!(shuffled, ordered(&scales, Order::Shuffled, 1), "the same seed, the same order");
        let mut sorted = shuffled.clone();
        sorted.sort_by(f64::total_cmp);
        assert!(sorted != shuffled && sorted == [1.0, 2.0, 3.0, 4.0, 5.0], "{shuffled:?}");
    }

    #[test]
    fn what_is_no_limit_is_refused() {
        for text in ["", "get", "get:p99", "get:99:10ms", "get:p99:10", "get:p99:10ms:x"] {
            let error = Limit::read(text).unwrap_err();
            assert!(error.contains("get_replica_info:p99:10ms"), "{error}");
        }
    }
}

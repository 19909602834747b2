//! What one metric is: nothing at all without series, else its description and each series; and how it is written to
//! the page.

use core::fmt;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::record::{BOUNDS_US, Reading};

/// Labels beyond those of the whole set.
pub(super) type Labels<'a> = Vec<(&'static str, &'a str)>;

/// What the bounds and the sum of a histogram are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Microseconds,
    Seconds,
    /// Not a time: the bounds count things.
    Things,
}

impl Unit {
    /// Exact up to 2^53 microseconds, which is 285 years.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a sum beyond 285 years may lose its last digit"
    )]
    pub(super) fn of_micros(self, micros: u64) -> f64 {
        match self {
            Self::Microseconds | Self::Things => micros as f64,
            Self::Seconds => micros as f64 / 1e6,
        }
    }

    /// Upper bounds of all buckets but the last.
    pub(super) fn bounds(self) -> Vec<f64> {
        BOUNDS_US.iter().map(|bound| self.of_micros(u64::from(*bound))).collect()
    }
}

/// One metric with all its series, of which there is one at least.
#[derive(Debug)]
pub(super) struct Family<'a> {
    pub(super) name: &'a str,
    pub(super) help: &'a str,
    pub(super) points: Points<'a>,
}

/// Values, each with its labels.
#[derive(Debug)]
pub(super) enum Points<'a> {
    Gauges(Vec<(Labels<'a>, i64)>),
    Counters(Vec<(Labels<'a>, u64)>),
    Histograms(Unit, Vec<(Labels<'a>, Reading)>),
}

/// What families are shown to: the page, or an export.
pub(super) type Show<'s> = dyn FnMut(Family<'_>) -> fmt::Result + 's;

/// Gauges.
pub(super) fn gauges(
    show: &mut Show<'_>,
    (name, help): (&str, &str),
    series: Vec<(Labels<'_>, i64)>,
) -> fmt::Result {
    if series.is_empty() {
        return Ok(());
    }
    show(Family { name, help, points: Points::Gauges(series) })
}

/// Counters, of which those without an event are left out.
pub(super) fn counters(
    show: &mut Show<'_>,
    (name, help): (&str, &str),
    mut series: Vec<(Labels<'_>, u64)>,
) -> fmt::Result {
    series.retain(|(_, count)| *count > 0);
    if series.is_empty() {
        return Ok(());
    }
    show(Family { name, help, points: Points::Counters(series) })
}

/// Histograms, of which those without an event are left out.
pub(super) fn histograms(
    show: &mut Show<'_>,
    (name, help): (&str, &str),
    unit: Unit,
    mut series: Vec<(Labels<'_>, Reading)>,
) -> fmt::Result {
    series.retain(|(_, reading)| reading.count() > 0);
    if series.is_empty() {
        return Ok(());
    }
    show(Family { name, help, points: Points::Histograms(unit, series) })
}

/// Writes a family to the page. The library appends `_total` to the names of counters.
pub(super) fn write(encoder: &mut DescriptorEncoder<'_>, family: &Family<'_>) -> fmt::Result {
    let kind = match &family.points {
        Points::Gauges(_) => MetricType::Gauge,
        Points::Counters(_) => MetricType::Counter,
        Points::Histograms(..) => MetricType::Histogram,
    };
    let mut metric = encoder.encode_descriptor(family.name, family.help, None, kind)?;
    match &family.points {
        Points::Gauges(series) => series.iter().try_for_each(|(labels, value)| {
            if labels.is_empty() {
                return metric.encode_gauge(value);
            }
            metric.encode_family(labels)?.encode_gauge(value)
        }),
        Points::Counters(series) => series.iter().try_for_each(|(labels, count)| {
            if labels.is_empty() {
                return metric.encode_counter::<NoLabelSet, u64, u64>(count, None);
            }
            metric.encode_family(labels)?.encode_counter::<NoLabelSet, u64, u64>(count, None)
        }),
        Points::Histograms(unit, series) => {
            let bounds: Vec<f64> = unit.bounds().into_iter().chain([f64::INFINITY]).collect();
            series.iter().try_for_each(|(labels, reading)| {
                let buckets: Vec<_> = bounds.iter().copied().zip(reading.buckets).collect();
                let (sum, count) = (unit.of_micros(reading.sum_us), reading.count());
                if labels.is_empty() {
                    return metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None);
                }
                let mut family = metric.encode_family(labels)?;
                family.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
            })
        }
    }
}

/// Prometheus counts in floating point; the limit of `i64` is far beyond its precision.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

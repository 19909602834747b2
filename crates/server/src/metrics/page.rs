//! How one metric is written: nothing at all without series, else its description and each series.

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
    fn of_micros(self, micros: u64) -> f64 {
        match self {
            Self::Microseconds | Self::Things => micros as f64,
            Self::Seconds => micros as f64 / 1e6,
        }
    }
}

/// Gauges.
pub(super) fn gauges(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    series: Vec<(Labels<'_>, i64)>,
) -> fmt::Result {
    if series.is_empty() {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in series {
        if labels.is_empty() {
            metric.encode_gauge(&value)?;
        } else {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
    }
    Ok(())
}

/// Counters, of which those without an event are left out. The library appends `_total`.
pub(super) fn counters(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    series: Vec<(Labels<'_>, u64)>,
) -> fmt::Result {
    if series.iter().all(|(_, count)| *count == 0) {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, count) in series.into_iter().filter(|(_, count)| *count > 0) {
        if labels.is_empty() {
            metric.encode_counter::<NoLabelSet, u64, u64>(&count, None)?;
        } else {
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&count, None)?;
        }
    }
    Ok(())
}

/// Histograms, of which those without an event are left out.
pub(super) fn histograms(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    unit: Unit,
    series: Vec<(Labels<'_>, Reading)>,
) -> fmt::Result {
    if series.iter().all(|(_, reading)| reading.count() == 0) {
        return Ok(());
    }
    let bounds = BOUNDS_US.iter().map(|bound| unit.of_micros(u64::from(*bound)));
    let bounds: Vec<f64> = bounds.chain([f64::INFINITY]).collect();
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    for (labels, reading) in series.into_iter().filter(|(_, reading)| reading.count() > 0) {
        let buckets: Vec<(f64, u64)> = bounds.iter().copied().zip(reading.buckets).collect();
        let (sum, count) = (unit.of_micros(reading.sum_us), reading.count());
        if labels.is_empty() {
            metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        } else {
            let mut family = metric.encode_family(&labels)?;
            family.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
    }
    Ok(())
}

/// Prometheus counts in floating point; the limit of `i64` is far beyond its precision.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

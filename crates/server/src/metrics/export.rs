//! The same families as on the page, for an export: upstream's by their bare OpenTelemetry names, ours as on the page.
//!
//! | Scope | Attributes of all series |
//! |---|---|
//! | `controller` | `address`, `group`, `peer_id`, the pairs of `metricsLabel`, `aggregation=delta` if so |
//! | `pitchover` | `durability=async` if writes are not synced |
//!
//! Deviation: upstream's `role` is an up-down counter there and a gauge here, which collectors show alike.
//!
//! Source: upstream `ControllerMetricsManager#initMetricsBuilder`, `#newAttributesBuilder`.

use std::sync::Arc;

use telemetry::{Distribution, Metric, Points as Values, Scope, Series};

use super::java::{Java, bare_name};
use super::own::Own;
use super::page::{Family, Labels, Points, Unit};
use super::record::Reading;
use super::{Metrics, Shared};

impl Metrics {
    /// Everything that [`Metrics::text`] shows, read now.
    ///
    /// # Panics
    /// Never: making a list does not fail.
    #[must_use]
    pub fn scopes(&self) -> Vec<Scope> {
        let inner = &self.inner;
        let shared = || -> Arc<Shared> { Arc::clone(&inner.shared) };
        let mut upstream = Vec::new();
        let java = Java(shared()).each(&mut |family| {
            let (name, unit) = bare_name(family.name);
            upstream.push(metric(name, unit, &family));
            Ok(())
        });
        let mut ours = Vec::new();
        let own = Own(shared()).each(&mut |family| {
            let unit = if family.name.ends_with("_seconds") { "s" } else { "" };
            ours.push(metric(family.name, unit, &family));
            Ok(())
        });
        java.and(own).expect("a list takes any family");
        vec![
            Scope {
                name: "controller",
                attributes: inner.attributes.upstream.clone(),
                metrics: upstream,
            },
            Scope { name: "pitchover", attributes: inner.attributes.ours.clone(), metrics: ours },
        ]
    }
}

fn metric(name: &str, unit: &'static str, family: &Family<'_>) -> Metric {
    let points = match &family.points {
        Points::Gauges(all) => Values::Gauge(series(all, |value| as_float(*value))),
        Points::Counters(all) => Values::Sum(series(all, |count| *count)),
        Points::Histograms(unit, all) => Values::Histogram {
            bounds: unit.bounds(),
            series: series(all, |reading| distribution(*unit, reading)),
        },
    };
    Metric { name: name.to_owned(), help: family.help.to_owned(), unit, points }
}

fn series<V, T>(all: &[(Labels<'_>, V)], value: impl Fn(&V) -> T) -> Vec<Series<T>> {
    let series = all.iter().map(|(labels, of)| Series {
        attributes: labels.iter().map(|(key, value)| (*key, (*value).to_owned())).collect(),
        value: value(of),
    });
    series.collect()
}

fn distribution(unit: Unit, reading: &Reading) -> Distribution {
    Distribution { buckets: reading.buckets.to_vec(), sum: unit.of_micros(reading.sum_us) }
}

/// As a scrape shows them: exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in floating point, too")]
fn as_float(value: i64) -> f64 {
    value as f64
}

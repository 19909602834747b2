//! Metrics as lines of the log: one JSON object for each metric, for where there is no collector.
//!
//! ```text
//! {"scope":"controller","name":"request_total","unit":"","series":[{"request_type":"…","value":3}]}
//! {"scope":"controller","name":"request_latency","unit":"us","series":[{"request_type":"…","count":3,"sum":290.0}]}
//! ```
//!
//! Java's exporter writes whole OTLP messages as JSON, of tens of kilobytes a line. Buckets are left out here: who wants
//! to compute with them reads `/metrics`.

use serde_json::{Map, Value, json};

use crate::data::{Metric, Points, Scope};

/// One line for each metric that has series.
#[must_use]
pub fn lines(scopes: &[Scope]) -> Vec<String> {
    let metrics = scopes.iter().flat_map(|scope| scope.metrics.iter().map(move |one| (scope, one)));
    metrics.filter_map(|(scope, metric)| line(scope, metric)).collect()
}

fn line(scope: &Scope, metric: &Metric) -> Option<String> {
    let object = |attributes: &[(&'static str, String)], values: &[(&str, Value)]| {
        let mut object = Map::new();
        for (key, value) in attributes {
            object.insert((*key).to_owned(), json!(value));
        }
        for (key, value) in values {
            object.insert((*key).to_owned(), value.clone());
        }
        Value::Object(object)
    };
    let series: Vec<Value> = match &metric.points {
        Points::Gauge(all) => {
            all.iter().map(|one| object(&one.attributes, &[("value", json!(one.value))])).collect()
        }
        Points::Sum(all) => {
            all.iter().map(|one| object(&one.attributes, &[("value", json!(one.value))])).collect()
        }
        Points::Histogram { series, .. } => {
            let all = series.iter().map(|one| {
                let count: u64 = one.value.buckets.iter().sum();
                let values = [("count", json!(count)), ("sum", json!(one.value.sum))];
                object(&one.attributes, &values)
            });
            all.collect()
        }
    };
    let line =
        json!({ "scope": scope.name, "name": metric.name, "unit": metric.unit, "series": series });
    (!series.is_empty()).then(|| line.to_string())
}

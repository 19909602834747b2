//! What was counted since the last export (`metricsInDelta`), instead of since the start.
//!
//! What counts is what the collector took: after an export that failed the next one holds its events too.

use std::collections::HashMap;

use crate::data::{Distribution, Metric, Points, Scope, Series};

/// Scope, metric and attributes of a series.
type Key = (&'static str, String, Vec<(&'static str, String)>);

/// What the collector has. It holds one entry for each series, of which the program has a bounded number.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    sums: HashMap<Key, u64>,
    distributions: HashMap<Key, Distribution>,
}

impl Taken {
    /// The same scopes with only what the collector does not have yet. Series without news are left out.
    pub(crate) fn news(&self, scopes: &[Scope]) -> Vec<Scope> {
        let metric = |scope: &'static str, metric: &Metric| {
            let key = |attributes: &[(&'static str, String)]| {
                (scope, metric.name.clone(), attributes.to_vec())
            };
            let points = match &metric.points {
                Points::Gauge(series) => Points::Gauge(series.clone()),
                Points::Sum(series) => {
                    let news = series.iter().filter_map(|series| {
                        let before = self.sums.get(&key(&series.attributes)).copied();
                        let value = series.value.saturating_sub(before.unwrap_or(0));
                        (value > 0).then(|| Series { attributes: series.attributes.clone(), value })
                    });
                    Points::Sum(news.collect())
                }
                Points::Histogram { bounds, series } => {
                    let news = series.iter().filter_map(|series| {
                        let before = self.distributions.get(&key(&series.attributes));
                        let value = difference(&series.value, before);
                        let is_news = value.buckets.iter().any(|bucket| *bucket > 0);
                        is_news.then(|| Series { attributes: series.attributes.clone(), value })
                    });
                    Points::Histogram { bounds: bounds.clone(), series: news.collect() }
                }
            };
            Metric { points, ..metric.clone() }
        };
        let scope = |scope: &Scope| {
            let metrics = scope.metrics.iter().map(|one| metric(scope.name, one)).collect();
            Scope { name: scope.name, attributes: scope.attributes.clone(), metrics }
        };
        scopes.iter().map(scope).collect()
    }

    /// The collector has all of this now.
    pub(crate) fn take(&mut self, scopes: &[Scope]) {
        for scope in scopes {
            for metric in &scope.metrics {
                let key = |attributes: &[(&'static str, String)]| {
                    (scope.name, metric.name.clone(), attributes.to_vec())
                };
                match &metric.points {
                    Points::Gauge(_) => {}
                    Points::Sum(series) => {
                        let new = series.iter().map(|one| (key(&one.attributes), one.value));
                        self.sums.extend(new);
                    }
                    Points::Histogram { series, .. } => {
                        let new = series.iter();
                        let new = new.map(|one| (key(&one.attributes), one.value.clone()));
                        self.distributions.extend(new);
                    }
                }
            }
        }
    }
}

fn difference(now: &Distribution, before: Option<&Distribution>) -> Distribution {
    let Some(before) = before else { return now.clone() };
    let buckets = now.buckets.iter().zip(&before.buckets);
    Distribution {
        buckets: buckets.map(|(now, before)| now.saturating_sub(*before)).collect(),
        sum: now.sum - before.sum,
    }
}

#[cfg(test)]
mod tests {
    use super::Taken;
    use crate::data::{Distribution, Metric, Points, Scope, Series};

    fn scopes(sum: u64, buckets: [u64; 2], total: f64) -> Vec<Scope> {
        let attributes = || vec![("kind", "a".to_owned())];
        let metric = |name: &str, points| Metric {
            name: name.to_owned(),
            help: String::new(),
            unit: "",
            points,
        };
        let value = Distribution { buckets: buckets.to_vec(), sum: total };
        vec![Scope {
            name: "s",
            attributes: Vec::new(),
            metrics: vec![
                metric("sum", Points::Sum(vec![Series { attributes: attributes(), value: sum }])),
                metric(
                    "times",
                    Points::Histogram {
                        bounds: vec![1.0],
                        series: vec![Series { attributes: attributes(), value }],
                    },
                ),
            ],
        }]
    }

    #[test]
    fn news_is_what_was_not_taken() {
        let mut taken = Taken::default();
        let first = scopes(5, [1, 2], 3.5);
        assert_eq!(taken.news(&first), first);
        // The export failed: all of it is news still, and what came meanwhile.
        let second = scopes(7, [1, 4], 8.5);
        assert_eq!(taken.news(&second), second);
        taken.take(&second);
        assert_eq!(taken.news(&scopes(8, [3, 4], 9.0)), scopes(1, [2, 0], 0.5));
        let nothing = taken.news(&second);
        let is_empty = |metric: &Metric| match &metric.points {
            Points::Gauge(_) => false,
            Points::Sum(series) => series.is_empty(),
            Points::Histogram { series, .. } => series.is_empty(),
        };
        assert!(nothing[0].metrics.iter().all(is_empty), "{nothing:?}");
    }
}

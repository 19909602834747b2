//! Metrics in parts that fit a message.

use crate::data::{Metric, Points, Scope};

/// The same metrics in as many parts as it takes for none to have more than `points_max` points; one part if there
/// are none. A metric whose points lie in two parts is named in both.
///
/// # Panics
/// If `points_max` is 0.
pub(crate) fn parts(scopes: Vec<Scope>, points_max: usize) -> Vec<Vec<Scope>> {
    assert!(points_max > 0, "a part without points");
    let mut full = Vec::new();
    let mut part = Vec::new();
    let mut room = points_max;
    for Scope { name, attributes, metrics } in scopes {
        let mut open = Scope { name, attributes, metrics: Vec::new() };
        for mut metric in metrics {
            while let Some(after) = split_off(&mut metric.points, room) {
                let next = Metric {
                    name: metric.name.clone(),
                    help: metric.help.clone(),
                    unit: metric.unit,
                    points: after,
                };
                open.metrics.push(std::mem::replace(&mut metric, next));
                let next = Scope { name, attributes: open.attributes.clone(), metrics: Vec::new() };
                part.push(std::mem::replace(&mut open, next));
                full.push(std::mem::take(&mut part));
                room = points_max;
            }
            room -= count(&metric.points);
            open.metrics.push(metric);
        }
        part.push(open);
    }
    full.push(part);
    full
}

fn count(points: &Points) -> usize {
    match points {
        Points::Gauge(series) => series.len(),
        Points::Sum(series) => series.len(),
        Points::Histogram { series, .. } => series.len(),
    }
}

/// What is beyond so many points; `None` if nothing is.
fn split_off(points: &mut Points, room: usize) -> Option<Points> {
    if count(points) <= room {
        return None;
    }
    Some(match points {
        Points::Gauge(series) => Points::Gauge(series.split_off(room)),
        Points::Sum(series) => Points::Sum(series.split_off(room)),
        Points::Histogram { bounds, series } => {
            Points::Histogram { bounds: bounds.clone(), series: series.split_off(room) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{count, parts};
    use crate::data::{Distribution, Metric, Points, Scope, Series};
    use crate::delta::Taken;

    fn series<T>(values: impl IntoIterator<Item = T>) -> Vec<Series<T>> {
        let one =
            |(at, value): (u32, T)| Series { attributes: vec![("at", at.to_string())], value };
        (0..).zip(values).map(one).collect()
    }

    fn scope(name: &'static str, metrics: Vec<(&str, Points)>) -> Scope {
        let metric = |(name, points): (&str, Points)| Metric {
            name: name.to_owned(),
            help: format!("help of {name}"),
            unit: "s",
            points,
        };
        let attributes = vec![("of".to_owned(), name.to_owned())];
        Scope { name, attributes, metrics: metrics.into_iter().map(metric).collect() }
    }

    /// Points of two scopes, in the order in which they are sent: 3 + 5 + 0 and 2.
    fn scopes() -> Vec<Scope> {
        let values = [1, 2].map(|sum| Distribution { buckets: vec![1, sum], sum: 0.5 });
        let times = Points::Histogram { bounds: vec![1.0], series: series(values) };
        let gauge = Points::Gauge(series([0.0, 1.0, 2.0]));
        let none = Points::Gauge(Vec::new());
        let sum = Points::Sum(series([1, 2, 3, 4, 5]));
        vec![
            scope("a", vec![("gauge", gauge), ("sum", sum), ("none", none)]),
            scope("b", vec![("times", times)]),
        ]
    }

    fn points(part: &[Scope]) -> usize {
        part.iter().flat_map(|scope| &scope.metrics).map(|metric| count(&metric.points)).sum()
    }

    /// Every point with all that tells it apart.
    fn flat(parts: &[Vec<Scope>]) -> Vec<String> {
        let mut flat = Vec::new();
        for scope in parts.iter().flatten() {
            for Metric { name, help, unit, points } in &scope.metrics {
                let points: Vec<_> = match points {
                    Points::Gauge(series) => series.iter().map(|s| format!("{s:?}")).collect(),
                    Points::Sum(series) => series.iter().map(|s| format!("{s:?}")).collect(),
                    Points::Histogram { bounds, series } => {
                        series.iter().map(|s| format!("{s:?} {bounds:?}")).collect()
                    }
                };
                let of = format!("{} {:?} {name} {help} {unit}", scope.name, scope.attributes);
                flat.extend(points.into_iter().map(|point| format!("{of} {point}")));
            }
        }
        flat
    }

    #[test]
    fn parts_have_every_point_once_and_none_has_too_many() {
        let whole = flat(&[scopes()]);
        assert_eq!(whole.len(), 10);
        for points_max in 1..=11 {
            let parts = parts(scopes(), points_max);
            assert_eq!(flat(&parts), whole, "{points_max} points");
            assert_eq!(parts.len(), 10_usize.div_ceil(points_max), "{points_max} points");
            assert!(parts.iter().all(|part| points(part) <= points_max), "{points_max} points");
        }
        assert_eq!(parts(scopes(), 10), [scopes()], "what fits stays as it is");
        assert_eq!(parts(Vec::new(), 1), [Vec::<Scope>::new()]);
    }

    /// A collector that took the first part and not the second gets nothing twice.
    #[test]
    fn differences_are_taken_part_by_part() {
        let mut taken = Taken::default();
        let parts = parts(scopes(), 5);
        taken.take(&parts[0]);
        assert_eq!(points(&taken.news(&parts[0])), 3, "gauges only");
        assert_eq!(taken.news(&parts[1]), parts[1]);
    }
}

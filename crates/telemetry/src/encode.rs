//! Our words as OTLP messages.
//!
//! Source: opentelemetry-proto 1.x, `metrics.proto`, `trace.proto`; the specification of OTLP.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value as Any,
};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric as OtlpMetric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource as OtlpResource;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span as OtlpSpan, Status, span::SpanKind, status::StatusCode,
};
use prost::Message;

use crate::data::{Distribution, Metric, Points, Scope, Series, Span, Value};

/// Who exports: pairs such as `service.name`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resource(pub Vec<(&'static str, String)>);

/// Since when values are counted, and when they were read.
#[derive(Debug, Clone, Copy)]
struct Period {
    from_nanos: u64,
    to_nanos: u64,
    temporality: AggregationTemporality,
}

/// The message of an export of metrics. The values count from `from_nanos` to `to_nanos` (since 1970); if `is_delta`,
/// the collector adds them to what it has.
#[must_use]
pub fn metrics_message(
    resource: &Resource,
    scopes: &[Scope],
    (from_nanos, to_nanos): (u64, u64),
    is_delta: bool,
) -> Bytes {
    let temporality = match is_delta {
        true => AggregationTemporality::Delta,
        false => AggregationTemporality::Cumulative,
    };
    let period = Period { from_nanos, to_nanos, temporality };
    let scope_metrics = scopes.iter().map(|scope| ScopeMetrics {
        scope: Some(instrumentation(scope.name)),
        metrics: scope.metrics.iter().map(|metric| metric_of(scope, metric, period)).collect(),
        ..ScopeMetrics::default()
    });
    let resource_metrics = vec![ResourceMetrics {
        resource: Some(resource_of(resource)),
        scope_metrics: scope_metrics.collect(),
        ..ResourceMetrics::default()
    }];
    Bytes::from(ExportMetricsServiceRequest { resource_metrics }.encode_to_vec())
}

/// The message of an export of spans.
#[must_use]
pub fn spans_message(resource: &Resource, scope: &str, spans: &[Span]) -> Bytes {
    let scope_spans = vec![ScopeSpans {
        scope: Some(instrumentation(scope)),
        spans: spans.iter().map(span_of).collect(),
        ..ScopeSpans::default()
    }];
    let resource_spans = vec![ResourceSpans {
        resource: Some(resource_of(resource)),
        scope_spans,
        ..ResourceSpans::default()
    }];
    Bytes::from(ExportTraceServiceRequest { resource_spans }.encode_to_vec())
}

fn resource_of(resource: &Resource) -> OtlpResource {
    let attributes = resource.0.iter().map(|(key, value)| text(key, value));
    OtlpResource { attributes: attributes.collect(), ..OtlpResource::default() }
}

fn instrumentation(name: &str) -> InstrumentationScope {
    InstrumentationScope { name: name.to_owned(), ..InstrumentationScope::default() }
}

fn metric_of(scope: &Scope, metric: &Metric, period: Period) -> OtlpMetric {
    let aggregation_temporality = period.temporality.into();
    let data = match &metric.points {
        Points::Gauge(series) => metric::Data::Gauge(Gauge {
            data_points: numbers(scope, series, period, |value| {
                number_data_point::Value::AsDouble(*value)
            }),
        }),
        Points::Sum(series) => metric::Data::Sum(Sum {
            data_points: numbers(scope, series, period, |value| {
                number_data_point::Value::AsInt(i64::try_from(*value).unwrap_or(i64::MAX))
            }),
            aggregation_temporality,
            is_monotonic: true,
        }),
        Points::Histogram { bounds, series } => metric::Data::Histogram(Histogram {
            data_points: series
                .iter()
                .map(|series| distribution(scope, series, bounds, period))
                .collect(),
            aggregation_temporality,
        }),
    };
    OtlpMetric {
        name: metric.name.clone(),
        description: metric.help.clone(),
        unit: metric.unit.to_owned(),
        data: Some(data),
        ..OtlpMetric::default()
    }
}

fn numbers<T>(
    scope: &Scope,
    series: &[Series<T>],
    period: Period,
    value: impl Fn(&T) -> number_data_point::Value,
) -> Vec<NumberDataPoint> {
    let point = |series: &Series<T>| NumberDataPoint {
        attributes: attributes(scope, &series.attributes),
        start_time_unix_nano: period.from_nanos,
        time_unix_nano: period.to_nanos,
        value: Some(value(&series.value)),
        ..NumberDataPoint::default()
    };
    series.iter().map(point).collect()
}

fn distribution(
    scope: &Scope,
    series: &Series<Distribution>,
    bounds: &[f64],
    period: Period,
) -> HistogramDataPoint {
    HistogramDataPoint {
        attributes: attributes(scope, &series.attributes),
        start_time_unix_nano: period.from_nanos,
        time_unix_nano: period.to_nanos,
        count: series.value.buckets.iter().sum(),
        sum: Some(series.value.sum),
        bucket_counts: series.value.buckets.clone(),
        explicit_bounds: bounds.to_vec(),
        ..HistogramDataPoint::default()
    }
}

fn attributes(scope: &Scope, own: &[(&'static str, String)]) -> Vec<KeyValue> {
    let common = scope.attributes.iter().map(|(key, value)| text(key, value));
    common.chain(own.iter().map(|(key, value)| text(key, value))).collect()
}

fn text(key: &str, value: &str) -> KeyValue {
    pair(key, Any::StringValue(value.to_owned()))
}

fn pair(key: &str, value: Any) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn span_of(span: &Span) -> OtlpSpan {
    let kind = if span.is_server { SpanKind::Server } else { SpanKind::Internal };
    let attributes = span.attributes.iter().map(|(key, value)| match value {
        Value::Word(word) => text(key, word),
        Value::Text(value) => text(key, value),
        Value::Number(number) => pair(key, Any::IntValue(*number)),
    });
    let status =
        span.is_error.then(|| Status { code: StatusCode::Error.into(), ..Status::default() });
    OtlpSpan {
        trace_id: span.trace.to_be_bytes().to_vec(),
        span_id: span.id.to_be_bytes().to_vec(),
        parent_span_id: span.parent.map(|id| id.to_be_bytes().to_vec()).unwrap_or_default(),
        name: span.name.to_owned(),
        kind: kind.into(),
        start_time_unix_nano: span.began_nanos,
        end_time_unix_nano: span.ended_nanos,
        attributes: attributes.collect(),
        status,
        ..OtlpSpan::default()
    }
}

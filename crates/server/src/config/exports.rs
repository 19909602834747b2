//! What is exported to collectors, from upstream's keys for metrics and ours for traces.
//!
//! | Metrics, by upstream's keys | Traces, by ours |
//! |---|---|
//! | `metricsExporterType=OTLP_GRPC` | on as soon as there is a target |
//! | `metricsGrpcExporterTarget` | `pitchover.otlp.tracesTarget` |
//! | `metricsGrpcExporterHeader` | `pitchover.otlp.tracesHeader` |
//! | `metricGrpcExporterTimeOutInMills`, `metricGrpcExporterIntervalInMills` | time-out of 3 s |
//! | `metricsInDelta` | – |
//! | `metricsExporterType=LOG`: `metricLoggingExporterIntervalInMills` | `pitchover.otlp.tracesPerMillion` |
//!
//! As upstream, a target that will not do exports nothing, says so at start, and keeps nobody from starting.

use std::time::Duration;

use telemetry::{MetricsPlan, MetricsWay, Target, TargetError};

use super::{Oddity, Settings, Warning};

/// An interval or a time-out lies between these, in ms: a collector is not asked more often than
/// ten times a second, and what takes longer than an hour was a slip of the pen.
const MILLIS: (u64, u64) = (100, 3_600_000);

/// How long a message of spans may take.
const TRACES_TIMEOUT: Duration = Duration::from_secs(3);

/// What is exported, and where to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exports {
    /// Metrics.
    pub metrics: Option<MetricsPlan>,
    /// Spans.
    pub traces: Option<Target>,
    /// Of a million requests so many are traced; 0 to 1,000,000.
    pub traces_per_million: u32,
}

/// Reads them, and says which will not do.
pub(super) fn read(settings: &Settings) -> (Exports, Vec<Warning>) {
    let mut warnings = Vec::new();
    let mut target = |key: &str, header: &str, timeout| match Target::read(
        settings.text(key),
        settings.text(header),
        timeout,
    ) {
        Ok(target) => Some(target),
        Err(error) => {
            let key = match error {
                TargetError::Missing => "metricsExporterType",
                TargetError::Header(_) => header,
                TargetError::Tls(_) | TargetError::Address(_) => key,
            };
            let text = format!("nothing is exported: {error}");
            warnings.push(Warning {
                origin: settings.get(key).origin.clone(),
                key: key.to_owned(),
                oddity: Oddity::Note(text),
            });
            None
        }
    };
    let is_delta = settings.is_true("metricsInDelta");
    let millis = |key| Duration::from_millis(settings.amount(key).clamp(MILLIS.0, MILLIS.1));
    let metrics = match settings.text("metricsExporterType") {
        "OTLP_GRPC" => {
            let timeout = millis("metricGrpcExporterTimeOutInMills");
            let to = target("metricsGrpcExporterTarget", "metricsGrpcExporterHeader", timeout);
            let interval = millis("metricGrpcExporterIntervalInMills");
            to.map(|to| MetricsPlan { way: MetricsWay::Otlp(to), interval, is_delta })
        }
        "LOG" => {
            let interval = millis("metricLoggingExporterIntervalInMills");
            Some(MetricsPlan { way: MetricsWay::Log, interval, is_delta })
        }
        _ => None,
    };
    let is_traced = !settings.text("pitchover.otlp.tracesTarget").is_empty();
    let traces = is_traced
        .then(|| {
            let (key, header) = ("pitchover.otlp.tracesTarget", "pitchover.otlp.tracesHeader");
            target(key, header, TRACES_TIMEOUT)
        })
        .flatten();
    let per_million = settings.amount("pitchover.otlp.tracesPerMillion");
    let traces_per_million = u32::try_from(per_million).unwrap_or(u32::MAX);
    (Exports { metrics, traces, traces_per_million }, warnings)
}

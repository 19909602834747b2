//! The exporter of this process: metrics and spans to a collector, or metrics to the log, as the configuration says.

use crate::node::NodeError;
use crate::shared::Shared;
use crate::traces::Traces;
use telemetry::{Exporter, Plan, Resource};

/// What leaves by itself; it ends with this value.
#[derive(Debug, Default)]
pub(crate) struct Pushing {
    /// What puts spans together; `None` if no request is traced.
    pub(crate) traces: Option<Box<Traces>>,
    /// Kept until the core ends: it sends what is left then.
    _exporter: Option<Box<Exporter>>,
}

/// Starts it; nothing if nothing is exported.
///
/// # Errors
/// [`NodeError::System`]: no runtime or no thread can be had.
pub(crate) fn start(shared: &Shared, version: &str) -> Result<Pushing, NodeError> {
    let config = &shared.config;
    let exports = &config.metrics.exports;
    if exports.metrics.is_none() && exports.traces.is_none() {
        return Ok(Pushing::default());
    }
    let resource = Resource(vec![
        ("service.name", "pitchover".to_owned()),
        ("service.namespace", config.group.clone()),
        ("service.instance.id", config.me.name.clone()),
        ("service.version", version.to_owned()),
    ]);
    let plan = Plan { resource, metrics: exports.metrics.clone(), spans: exports.traces.clone() };
    let source = shared.metrics.clone();
    let exporter = Exporter::start(plan, shared.metrics.exports(), move || source.scopes())
        .map_err(|source| NodeError::System { what: "start the telemetry thread", source })?;
    let traces = exporter
        .spans()
        .map(|spans| Box::new(Traces::new(spans, exports.traces_per_million, shared.clock.now())));
    Ok(Pushing { traces, _exporter: Some(Box::new(exporter)) })
}

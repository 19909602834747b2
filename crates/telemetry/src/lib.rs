//! Metrics and spans on their way to an OpenTelemetry collector (OTLP over gRPC), or metrics to the log.
//!
//! ```text
//!  registry ◄──read at each interval── metrics ─┐
//!                                               ├─ encode ──► collector ──► one connection each, with a time-out
//!  program ──offer──► queue (bounded) ► spans ──┘
//! ```
//!
//! | Question | File |
//! |---|---|
//! | what is a metric, what is a span? | `data.rs` |
//! | how do they become OTLP messages? | `encode.rs`; as lines of the log `lines.rs` |
//! | when is the difference sent instead of the sum? | `delta.rs` |
//! | what if they are too many for one message? | `parts.rs` |
//! | how does a message reach a collector? | `collector.rs` |
//! | when is what sent, and what is dropped? | `exporter.rs` |
//!
//! Invariants: whoever offers a span never waits and never allocates a queue; one message of each kind is on its way
//! at most; a message that the collector did not take in time is dropped, counted, and not sent again. So a collector
//! that is slow, broken or hung costs a thread at low priority, two sockets and [`SPANS_WAITING_MAX`] spans.
//!
//! Not here: instruments (the program has its own, and this crate reads what they show), sampling, TLS, and whatever
//! a collector answers beyond "taken" or "refused".

mod clock;
mod collector;
mod data;
mod delta;
mod encode;
mod exporter;
mod lines;
mod parts;

pub use clock::wall_nanos;
pub use collector::{Collector, SendError, Target, TargetError};
pub use data::{Distribution, Metric, Points, Scope, Series, Span, Value};
pub use encode::{Resource, metrics_message, spans_message};
pub use exporter::{
    Counts, Exporter, MetricsPlan, MetricsWay, Plan, SPANS_WAITING_MAX, Signal, Spans,
};
pub use lines::lines;

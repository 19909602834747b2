//! What running controllers say about themselves to dashboards and collectors.

#[path = "processes/broker_set.rs"]
mod broker_set;
#[path = "processes/cluster.rs"]
mod cluster;
#[path = "telemetry/export.rs"]
mod export;
#[path = "telemetry/harness.rs"]
mod harness;
#[path = "processes/node.rs"]
mod node;
#[path = "processes/patience.rs"]
mod patience;
#[path = "telemetry/real.rs"]
mod real;
#[path = "../../telemetry/tests/support/receiver.rs"]
mod receiver;
#[path = "telemetry/stages.rs"]
mod stages;
#[path = "processes/wire.rs"]
mod wire;

//! A workload as a plan for the generator.

use std::time::Duration;

use super::{RunError, kills_brokers, without_fleet};
use crate::clock;
use crate::generator::measures::Kind;
use crate::generator::plan::{By, Listening, Plan, Source};
use crate::workload::{
    Arrival, Fleet, FleetPhase, Op, Reaction, Select, Span, Stream, Timing, Workload, trace,
};

/// The plan of the whole load against these addresses.
///
/// # Errors
/// - [`RunError::Options`]: the workload asks what these addresses cannot give.
pub(crate) fn plan(workload: &Workload, addresses: Vec<String>) -> Result<Plan, RunError> {
    if let crate::workload::Reads::Pinned(node) = workload.target.reads
        && node >= addresses.len()
    {
        let nodes = addresses.len();
        let why = format!("reads = \"pinned:{node}\": there are {nodes} nodes, counted from 0");
        return Err(RunError::Options(why));
    }
    for fault in workload.faults() {
        if let Select::Node(node) = fault.select
            && node >= addresses.len()
        {
            let nodes = addresses.len();
            let why = format!("select = \"node:{node}\": there are {nodes} nodes, counted from 0");
            return Err(RunError::Options(why));
        }
    }
    let mut plan = match &workload.fleet {
        Some(fleet) => of_fleet(fleet, addresses),
        None => without_fleet(addresses),
    };
    // Where nobody dies no listener has to close, and a descriptor for each broker is saved.
    plan.listening = if kills_brokers(workload) { Listening::Own } else { Listening::Shared };
    for it in workload.streams() {
        plan.sources.push(stream(it, workload.warm_up().0)?);
    }
    plan.wire = workload.target.kind;
    plan.reads = workload.target.reads;
    plan.seed = workload.seed;
    plan.window = workload.time.window.0;
    plan.slowest = workload.record.trace_slowest;
    // Phases count from the start of measuring, the generator's moments from the start of the load.
    let warm_up = workload.warm_up().0;
    plan.phases = workload.phase.iter().map(|phase| (phase.at.0 + warm_up, phase.scale)).collect();
    if let Some((at, _)) = plan.phases.first_mut().filter(|(at, _)| *at == warm_up) {
        // A first phase from the beginning on is that of the warm-up, too.
        *at = Duration::ZERO;
    }
    Ok(plan)
}

fn of_fleet(fleet: &Fleet, addresses: Vec<String>) -> Plan {
    // Two runs may begin in one millisecond; their sets must not be one set.
    let prefix = format!("run-{}-{}", clock::unix_ms(), std::process::id());
    let mut plan = Plan::as_java(addresses, prefix, fleet.broker_sets);
    plan.brokers_per_connection = fleet.connections.brokers;
    plan.heartbeat_every = fleet.heartbeat.every.0;
    plan.timeout = fleet.heartbeat.timeout.0;
    plan.two_way_every = every_nth(fleet.heartbeat.sample_twoway);
    plan.is_synchronized = fleet.phase == FleetPhase::Synchronized;
    plan.sources.truncate(1);
    let periodic =
        [(Kind::GetReplicaInfo, fleet.get_replica_info), (Kind::GetMetadata, fleet.get_metadata)];
    for (kind, periodic) in periodic {
        let source = periodic.map(|it| Source::of_brokers(kind, it.every.0, it.timeout.0));
        plan.sources.extend(source);
    }
    plan.sources.extend(fleet.alter_sync_state_set.map(|churn| Source {
        kind: Kind::AlterSyncStateSet,
        timeout: churn.timeout.0,
        in_flight_max: usize::MAX,
        by: By::Masters {
            arrival: churn.arrival,
            per_second: churn.per_set.0 * count(fleet.broker_sets),
        },
    }));
    plan.sources.extend(fleet.react.map(|react| match react.to_role_change {
        Reaction::AlterSyncStateSet => Source {
            kind: Kind::AlterSyncStateSet,
            timeout: react.timeout.0,
            in_flight_max: usize::MAX,
            by: By::Reaction { delay: react.delay.0 },
        },
    }));
    plan
}

/// A stream as a source; traces count from the start of measuring, the generator's moments from that of the load.
fn stream(stream: &Stream, warm_up: Duration) -> Result<Source, RunError> {
    let kind = match stream.op {
        Op::GetReplicaInfo => Kind::GetReplicaInfo,
        Op::GetMetadata => Kind::GetMetadata,
        Op::GetNextBrokerId => Kind::GetNextBrokerId,
        Op::AlterSyncStateSet => Kind::AlterSyncStateSet,
        Op::Heartbeat => Kind::Heartbeat,
        Op::Get => Kind::Get,
        Op::Set => Kind::Set,
    };
    let (arrival, trace) = match &stream.arrival {
        Timing::At(arrival) => (*arrival, None),
        Timing::Trace(file) => {
            let moments = trace::moments(file, stream.op).map_err(RunError::Options)?;
            let since_load = moments.into_iter().map(|at| Span(at + warm_up).nanos());
            (Arrival::Constant, Some(since_load.collect()))
        }
    };
    Ok(Source {
        kind,
        timeout: stream.timeout.0,
        in_flight_max: stream.max_in_flight,
        by: By::Stream {
            arrival,
            trace,
            per_second: stream.rate.map_or(0.0, |rate| rate.0),
            key: stream.key,
            connections: stream.conns,
            keys: stream.keys,
            value_bytes: stream.value_bytes,
        },
    })
}

/// Of how many one is taken, if this part of all is.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive number; one that is too large saturates and means never"
)]
fn every_nth(part: f64) -> u64 {
    if part <= 0.0 { 0 } else { (1.0 / part).round() as u64 }
}

#[expect(clippy::cast_precision_loss, reason = "sets are far fewer than 2^53")]
fn count(sets: usize) -> f64 {
    sets as f64
}

#[cfg(test)]
mod tests {
    use super::{every_nth, plan};
    use crate::generator::measures::Kind;
    use crate::generator::plan::Listening;
    use crate::workload::{Workload, preset};

    fn planned(name: &str) -> crate::generator::plan::Plan {
        let workload = Workload::read(name, &preset(name).unwrap()).unwrap();
        plan(&workload, vec!["127.0.0.1:1".to_owned(); 3]).unwrap()
    }

    #[test]
    fn presets_become_plans() {
        let canonical = planned("canonical");
        let kinds: Vec<_> = canonical.sources.iter().map(|source| source.kind).collect();
        let (read, alter) = (Kind::GetReplicaInfo, Kind::AlterSyncStateSet);
        assert_eq!(kinds, [Kind::Heartbeat, read, Kind::GetMetadata, read, alter]);
        assert_eq!((canonical.brokers(), canonical.two_way_every), (1_002, 100));
        assert_eq!(canonical.listening, Listening::Shared);
        assert_eq!(planned("mass-failover-10").listening, Listening::Own);
        assert_eq!(planned("redis").brokers(), 0);
    }

    #[test]
    fn a_node_that_is_not_there_is_refused() {
        let text = preset("reads-follower").unwrap().replace("\"follower\"", "\"pinned:3\"");
        let workload = Workload::read("w", &text).unwrap();
        let error = plan(&workload, vec!["127.0.0.1:1".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("there are 1 nodes"), "{error}");
    }

    #[test]
    fn parts_of_heartbeats_are_counted() {
        assert_eq!([0.0, 0.01, 0.5, 1.0].map(every_nth), [0, 100, 2, 1]);
    }
}

//! What a workload file may not say though each of its values is one: sizes, and what does not go
//! together.

use std::time::Duration;

use super::{
    BROKER_SETS_MAX, CONNECTIONS_MAX, Fault, Fleet, IN_FLIGHT_MAX, Op, Phase, Reads, SCHEMA,
    STRIKES_MAX, Stream, Target, Time, Timing, WINDOWS_MAX, Wire, Workload,
};

/// Most further streams, phases and faults.
const ENTRIES_MAX: usize = 64;

/// Most keys of a stream to a store, and bytes of each value.
const KEYS_MAX: usize = 10_000_000;
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// Where something is wrong.
pub(super) enum At {
    Byte(usize),
    /// The first line that begins with it.
    Key(&'static str),
}

impl Workload {
    /// Everything that one value alone does not show.
    pub(super) fn check(&self) -> Result<(), (At, String)> {
        let key = |key, why: String| Err((At::Key(key), why));
        if self.schema != SCHEMA {
            return key("schema", format!("schema {:?}: must be {SCHEMA:?}", self.schema));
        }
        let Time { measure, window, .. } = self.time;
        if measure.0.is_zero() || window.0 < Duration::from_millis(100) || window.0 > measure.0 {
            let why = "a window is 100ms or longer and not longer than `measure`";
            return key("time", why.to_owned());
        }
        if !measure.nanos().is_multiple_of(window.nanos()) {
            let why = "`measure` must be a multiple of `window`, so that windows make it up";
            return key("time", why.to_owned());
        }
        let windows = self.length().as_nanos() / window.0.as_nanos();
        if windows > u128::from(WINDOWS_MAX) {
            let why = format!("{windows} windows: at most {WINDOWS_MAX} (WINDOWS_MAX)");
            return key("time", why);
        }
        if self.load.is_empty() && self.fleet.is_none() {
            return key("name", "no load: give `load = [...]` or `[fleet]`".to_owned());
        }
        for (name, entries) in
            [("load", self.load.len()), ("fault", self.fault.len()), ("phase", self.phase.len())]
        {
            if entries > ENTRIES_MAX {
                return key(
                    name,
                    format!("{entries} entries: at most {ENTRIES_MAX} (ENTRIES_MAX)"),
                );
            }
        }
        let is_rising = self.phase.is_sorted_by_key(|phase| phase.at.0);
        let is_scale = |phase: &Phase| (0.0..=1_000.0).contains(&phase.scale);
        if !is_rising || !self.phase.iter().all(is_scale) {
            return key(
                "phase",
                "phases follow in time, each with a scale of 0 to 1000".to_owned(),
            );
        }
        for stream in &self.load {
            self.check_stream(stream.get_ref())
                .map_err(|why| (At::Byte(stream.span().start), why))?;
        }
        for fault in &self.fault {
            self.check_fault(fault.get_ref()).map_err(|why| (At::Byte(fault.span().start), why))?;
        }
        if self.strikes().len() > STRIKES_MAX {
            let why = format!("faults strike more than {STRIKES_MAX} times (STRIKES_MAX)");
            return key("fault", why);
        }
        self.check_target()?;
        self.fleet.as_ref().map_or(Ok(()), check_fleet)
    }

    fn check_target(&self) -> Result<(), (At, String)> {
        let Target { kind, controllers, reads, spawn, .. } = &self.target;
        let key = |key, why: &str| Err((At::Key(key), why.to_owned()));
        if self.fleet.is_some() && *kind != Wire::Controller {
            return key("[fleet]", "a fleet needs a target of kind \"controller\"");
        }
        if self.fleet.is_none() && *kind == Wire::Controller {
            let why = "streams to controllers ask about a fleet's broker sets: add [fleet] with \
                       broker_sets = 100, for one";
            return key("load", why);
        }
        if spawn.is_some_and(|spawn| !matches!(spawn.peers, 1 | 3 | 5)) {
            return key("spawn", "spawn.peers must be 1, 3 or 5");
        }
        if spawn.is_some() && (*kind != Wire::Controller || !controllers.is_empty()) {
            return key("spawn", "spawn starts controllers of our own: name no others beside it");
        }
        let nodes = spawn.map_or(controllers.len(), |spawn| spawn.peers);
        match *reads {
            Reads::Pinned(node) if nodes > 0 && node >= nodes => {
                key("reads", &format!("pinned:{node}: there are {nodes} controllers, from 0"))
            }
            Reads::Leader | Reads::Any | Reads::Follower | Reads::Pinned(_) => Ok(()),
        }
    }

    fn check_stream(&self, stream: &Stream) -> Result<(), String> {
        let kind = self.target.kind;
        if stream.op.is_of_store() != kind.is_store() {
            let allowed = if kind.is_store() {
                "get, set"
            } else {
                "get_replica_info, get_metadata, get_next_broker_id, alter_sync_state_set, \
                 heartbeat"
            };
            let (op, kind) = (stream.op.name(), kind.name());
            return Err(format!("op {op:?} is none of a {kind:?} target; allowed: {allowed}"));
        }
        let is_of_self_test = matches!(stream.op, Op::GetReplicaInfo | Op::GetMetadata);
        if kind == Wire::SelfTest && !is_of_self_test {
            let why = "the self-test's server has no brokers: ask get_replica_info, get_metadata";
            return Err(why.to_owned());
        }
        let is_trace = matches!(stream.arrival, Timing::Trace(_));
        if is_trace == stream.rate.is_some() {
            let why = "a stream has a rate, or else arrival = \"trace:FILE\", which has its own";
            return Err(why.to_owned());
        }
        let limit = |what: &str, value: usize, most: usize, name: &str| {
            let is_right = (1..=most).contains(&value);
            is_right.then_some(()).ok_or_else(|| format!("{what} = {value}: 1 to {most} ({name})"))
        };
        limit("conns", stream.conns, CONNECTIONS_MAX, "CONNECTIONS_MAX")?;
        limit("max_in_flight", stream.max_in_flight, IN_FLIGHT_MAX, "IN_FLIGHT_MAX")?;
        limit("keys", stream.keys, KEYS_MAX, "KEYS_MAX")?;
        limit("value_bytes", stream.value_bytes, VALUE_BYTES_MAX, "VALUE_BYTES_MAX")
    }

    pub(super) fn check_fault(&self, fault: &Fault) -> Result<(), String> {
        if fault.at.0 >= self.time.measure.0 {
            return Err("a fault strikes while it is measured: `at` below `measure`".to_owned());
        }
        fault.check(self.fleet.is_some())
    }
}

fn check_fleet(fleet: &Fleet) -> Result<(), (At, String)> {
    let key = |key, why: String| Err((At::Key(key), why));
    let sets = fleet.broker_sets;
    if !(1..=BROKER_SETS_MAX).contains(&sets) {
        let why = format!("broker_sets = {sets}: 1 to {BROKER_SETS_MAX} (BROKER_SETS_MAX)");
        return key("broker_sets", why);
    }
    if fleet.replicas != Fleet::default_replicas() {
        return key("replicas", "replicas: a simulated set has 3 brokers".to_owned());
    }
    if !(0.0..=1.0).contains(&fleet.heartbeat.sample_twoway) {
        return key("heartbeat", "sample_twoway is a part of all heartbeats, 0 to 1".to_owned());
    }
    let periods = [Some(fleet.heartbeat.every), fleet.get_replica_info.map(|it| it.every)];
    let periods = periods.into_iter().chain([fleet.get_metadata.map(|it| it.every)]).flatten();
    if periods.into_iter().any(|every| every.0 < Duration::from_millis(10)) {
        return key("[fleet]", "every: 10ms or longer".to_owned());
    }
    Ok(())
}

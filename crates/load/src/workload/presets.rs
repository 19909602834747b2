//! Workloads that everyone may name.
//!
//! They are texts, so that a run folder holds what a file would: whoever wants another one prints a
//! preset (`bench run -f NAME --print`), changes it and gives it as a file.

use super::{Workload, WorkloadError};

/// Their names, and what each is for.
pub const PRESETS: &[(&str, &str)] = &[
    ("canonical", "1,002 brokers at Java's cadences, reads and writes beside them, 60 s"),
    ("smoke-5s", "a small fleet with reads and writes, 5 s: for every change"),
    ("fleet-100-steady", "102 brokers at Java's cadences"),
    ("fleet-1k-steady", "1,002 brokers at Java's cadences"),
    ("fleet-3k-steady", "3,000 brokers at Java's cadences"),
    ("fleet-10k-steady", "10,002 brokers at Java's cadences"),
    ("fleet-30k-steady", "30,000 brokers at Java's cadences, ten on a connection"),
    ("churn", "replicas fall behind and catch up: 2 changes per set and minute in 1,000 sets"),
    ("writes-max", "4,000 changes of sync-state sets per second"),
    ("reads-leader", "10,000 linearizable reads per second on the leader"),
    ("reads-follower", "10,000 linearizable reads per second on the followers"),
    ("mass-failover-10", "10 of 100 masters vanish at once"),
    ("mass-failover-200", "200 of 1,000 masters vanish at once"),
    ("mass-failover-1000", "1,000 of 1,000 masters vanish at once"),
    ("restart-storm", "all 3,000 brokers of 1,000 sets connect again at once"),
    (
        "controller-rolling",
        "each of three controllers is asked to end and started again, under 300 brokers",
    ),
    (
        "soak-mixed",
        "300 brokers, reads and writes; leaders killed, controllers restarted and frozen, 30 minutes",
    ),
    ("redis", "5,000 reads and 500 writes per second to a Redis server"),
    ("memcached", "5,000 reads and 500 writes per second to a Memcached server, by text commands"),
    ("memcached-meta", "the same by meta commands"),
    ("etcd", "500 linearizable reads and 100 writes per second to etcd's JSON gateway"),
];

/// The text of a preset; `None` if there is none of this name.
#[must_use]
pub fn preset(name: &str) -> Option<String> {
    let (_, description) = PRESETS.iter().find(|(known, _)| *known == name)?;
    let head = |measure: &str, rest: &str| {
        format!(
            "schema = \"{}\"\nname = \"{name}\"\ndescription = \"{description}\"\n\
             time = {{ warmup = \"5s\", measure = \"{measure}\" }}\n{rest}",
            super::SCHEMA
        )
    };
    let failover = |sets: usize, part: usize| {
        let fault = format!(
            "fault = [{{ at = \"10s\", kind = \"broker-kill\", select = \"masters:{part}%\" }}]\n"
        );
        head("30s", &(fault + &fleet(sets, "per-broker")))
    };
    let text = match name {
        "canonical" => head("60s", &(beside("2000", "100") + &fleet(334, "per-broker"))),
        "smoke-5s" => {
            let text = head("5s", &(beside("500", "50") + &fleet(20, "per-broker")));
            text.replace("warmup = \"5s\"", "warmup = \"1s\"")
        }
        "fleet-100-steady" => head("60s", &fleet(34, "per-broker")),
        "fleet-1k-steady" => head("60s", &fleet(334, "per-broker")),
        "fleet-3k-steady" => head("120s", &fleet(1_000, "per-broker")),
        "fleet-10k-steady" => head("120s", &fleet(3_334, "per-broker")),
        "fleet-30k-steady" => head("120s", &fleet(10_000, "shared:10")),
        "churn" => {
            let churn = "alter_sync_state_set = { arrival = \"poisson\", per_set = 0.0333 }\n";
            head("120s", &(fleet(1_000, "per-broker") + churn))
        }
        "writes-max" => head("60s", &(stream("alter_sync_state_set", "4000") + &alone(1_024, ""))),
        "reads-leader" => head("60s", &(stream("get_replica_info", "10000") + &alone(100, ""))),
        "reads-follower" => {
            head("60s", &(stream("get_replica_info", "10000") + &alone(100, "follower")))
        }
        "mass-failover-10" => failover(100, 10),
        "mass-failover-200" => failover(1_000, 20),
        "mass-failover-1000" => failover(1_000, 100),
        "restart-storm" => {
            let fault = "fault = [{ at = \"10s\", kind = \"broker-reconnect\", select = \"brokers:100%\" }]\n";
            head("30s", &(fault.to_owned() + &fleet(1_000, "per-broker")))
        }
        "controller-rolling" => {
            let fault = "fault = [{ at = \"10s\", every = \"15s\", kind = \"controller-restart\", \
                         select = \"next\", restart_after = \"3s\" }]\n";
            // Three strikes, one for each, and time to be whole again.
            head("55s", &(fault.to_owned() + &beside("200", "20") + &fleet(100, "per-broker")))
        }
        "soak-mixed" => {
            let fault = |at: &str, kind: &str, whom: &str, back: &str| {
                format!(
                    "  {{ at = \"{at}\", every = \"10m\", kind = \"{kind}\", select = \"{whom}\", \
                     restart_after = \"{back}\" }},\n"
                )
            };
            let faults = [
                fault("1m", "controller-kill", "leader", "10s"),
                fault("4m", "controller-restart", "next", "3s"),
                fault("7m", "controller-stop", "follower", "5s"),
            ];
            let rest = format!("fault = [\n{}]\n", faults.concat());
            head("30m", &(rest + &beside("200", "20") + &fleet(100, "per-broker")))
        }
        "redis" | "memcached" | "memcached-meta" => head("30s", &store(name, "5000", "500")),
        "etcd" => head("30s", &store(name, "500", "100")),
        _ => return None,
    };
    Some(text)
}

/// Reads and writes beside a fleet.
fn beside(reads: &str, writes: &str) -> String {
    format!(
        "load = [\n  {{ op = \"get_replica_info\", arrival = \"poisson\", rate = {reads}, \
         key = \"zipf:0.99\" }},\n  {{ op = \"alter_sync_state_set\", arrival = \"poisson\", \
         rate = {writes} }},\n]\n"
    )
}

fn stream(op: &str, rate: &str) -> String {
    format!("load = [{{ op = \"{op}\", arrival = \"poisson\", rate = {rate}, conns = 64 }}]\n")
}

/// Broker sets that only give signs of life.
fn alone(sets: usize, reads: &str) -> String {
    let target =
        if reads.is_empty() { String::new() } else { format!("[target]\nreads = \"{reads}\"\n") };
    format!(
        "{target}[fleet]\nbroker_sets = {sets}\nconnections = \"shared:300\"\n\
         get_metadata = {{ every = \"10s\" }}\n"
    )
}

/// Brokers at Java's cadences.
/// Source: upstream `brokerHeartbeatInterval`, `syncBrokerMetadataPeriod`,
/// `syncControllerMetadataPeriod`.
fn fleet(sets: usize, connections: &str) -> String {
    format!(
        "[fleet]\nbroker_sets = {sets}\nconnections = \"{connections}\"\n\
         heartbeat = {{ every = \"1s\", timeout = \"10s\", sample_twoway = 0.01 }}\n\
         get_replica_info = {{ every = \"5s\", timeout = \"3s\" }}\n\
         get_metadata = {{ every = \"10s\", timeout = \"3s\" }}\n"
    )
}

fn store(kind: &str, reads: &str, writes: &str) -> String {
    format!(
        "load = [\n  {{ op = \"get\", arrival = \"poisson\", rate = {reads}, conns = 16 }},\n  \
         {{ op = \"set\", arrival = \"poisson\", rate = {writes}, conns = 16 }},\n]\n\
         [target]\nkind = \"{kind}\"\n"
    )
}

impl Workload {
    /// The workload that `name` means: a preset, else a file.
    ///
    /// # Errors
    /// - [`WorkloadError`]: the file is no workload, or there is none; the presets are named.
    pub fn named(name: &str) -> Result<Self, WorkloadError> {
        if let Some(text) = preset(name) {
            return Self::read(name, &text);
        }
        let text = std::fs::read_to_string(name).map_err(|error| {
            let names: Vec<_> = PRESETS.iter().map(|(name, _)| *name).collect();
            let why = format!("{error}, and no preset either ({})", names.join(", "));
            WorkloadError { file: name.to_owned(), line: 0, why }
        })?;
        Self::read(name, &text)
    }
}

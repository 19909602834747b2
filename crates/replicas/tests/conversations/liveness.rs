//! The naive table of who is alive, and what a leader does when a master dies.

use std::collections::BTreeMap;

use replicas::{Alive, BrokerId, Command, ElectMaster, Evidence, Policy, Replicas};

const DEFAULT_TIMEOUT_MS: i64 = 10_000;

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    cluster: Option<String>,
    set: String,
    id: BrokerId,
}

struct Seen {
    at_ms: i64,
    timeout_ms: i64,
    alive: Alive,
}

impl Seen {
    fn is_alive(&self, now_ms: i64) -> bool {
        self.at_ms + self.timeout_ms >= now_ms
    }
}

/// Who heartbeated when.
#[derive(Default)]
pub(crate) struct Liveness {
    now_ms: i64,
    seen: BTreeMap<Key, Seen>,
}

impl Liveness {
    pub(crate) fn advance(&mut self, ms: i64) {
        self.now_ms += ms;
    }

    /// Takes a heartbeat (904) from its header fields.
    pub(crate) fn heard(&mut self, field: impl Fn(&str) -> Option<String>) {
        let Some(id) = field("brokerId").and_then(|id| id.parse().ok()).map(BrokerId) else {
            return;
        };
        let number = |name: &str, default| {
            field(name).and_then(|text| text.parse::<i64>().ok()).unwrap_or(default)
        };
        let small = |name: &str, default: i32| {
            i32::try_from(number(name, i64::from(default))).unwrap_or(default)
        };
        let alive = Alive {
            id,
            epoch: small("epoch", -1),
            max_offset: number("maxOffset", -1),
            priority: small("electionPriority", i32::MAX),
        };
        let timeout_ms = number("heartbeatTimeoutMills", DEFAULT_TIMEOUT_MS);
        let set = field("brokerName").unwrap_or_default();
        let key = Key { cluster: field("clusterName"), set, id };
        self.seen.insert(key, Seen { at_ms: self.now_ms, timeout_ms, alive });
    }

    /// Who of a broker set is alive under this cluster name.
    pub(crate) fn evidence(&self, cluster: Option<&str>, set: &str) -> Evidence {
        let of_set = |key: &Key| key.cluster.as_deref() == cluster && key.set == set;
        let alive =
            self.seen.iter().filter(|(key, seen)| of_set(key) && seen.is_alive(self.now_ms));
        Evidence::new(alive.map(|(_, seen)| seen.alive).collect())
    }

    /// Who of a broker set is alive under the cluster name that is stored for it.
    pub(crate) fn stored_evidence(&self, replicas: &Replicas, set: &str) -> Evidence {
        let cluster = replicas.broker_set(set).and_then(|known| known.cluster());
        self.evidence(cluster, set)
    }

    /// Elects wherever the recorded master is dead, as the leader does at a deadline.
    pub(crate) fn elect_for_the_dead(&self, replicas: &mut Replicas) {
        let sets: Vec<String> = replicas.broker_sets().map(|(name, _)| name.to_owned()).collect();
        for set in sets {
            let evidence = self.stored_evidence(replicas, &set);
            let master = replicas.broker_set(&set).and_then(|known| known.master());
            if master.is_none_or(|master| evidence.is_alive(master)) {
                continue;
            }
            let set = set.into();
            let command = ElectMaster {
                set,
                broker: None,
                designate: false,
                unclean: false,
                evidence,
                seen: None,
                policy: Policy::default(),
            };
            replicas.apply(&Command::ElectMaster(command)).unwrap();
        }
    }
}

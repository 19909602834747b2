//! Controllers that are not the run's own, and what they know of it.

use std::process::Command;

use load::{OwnCluster, Setup, free_ports};

use super::patience::until;

/// Controllers that are not the run's own; all of them answer.
pub(crate) fn controllers() -> OwnCluster {
    let mut setup = Setup::temporary(env!("CARGO_BIN_EXE_pitchover").into());
    setup.ports = free_ports(3).expect("there are free ports");
    let cluster = OwnCluster::start(&setup).expect("controllers can be started");
    nothing_is_left(&cluster);
    cluster
}

/// How many broker sets each of the controllers knows; nothing of those that do not say.
pub(crate) fn sets(cluster: &OwnCluster) -> Vec<Option<u64>> {
    let addresses = cluster.addresses().join(",");
    let ran = Command::new(env!("CARGO_BIN_EXE_pitchover"))
        .args(["status", "--json", "--target", &addresses])
        .output()
        .expect("it can be started");
    let all: Vec<serde_json::Value> = serde_json::from_slice(&ran.stdout).unwrap_or_default();
    all.iter().map(|view| view["sets"].as_u64()).collect()
}

/// Followers learn of a removal a moment after the leader.
pub(crate) fn nothing_is_left(cluster: &OwnCluster) {
    until("all sets are removed", || (sets(cluster) == [Some(0); 3]).then_some(()));
}

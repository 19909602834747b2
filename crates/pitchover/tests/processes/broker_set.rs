//! A broker set that lives: three brokers with ids, addresses and heartbeats, the first one master.

use protocol::{Frame, SyncStateSetBody, code, response_code};

use crate::cluster::Cluster;
use crate::wire::{Wire, request};

/// Name of the cluster of brokers.
pub(crate) const CLUSTER: &str = "c";

/// Name of the broker set.
pub(crate) const SET: &str = "a";

/// A day, in ms: the longest time-out there is. No test waits for a heartbeat.
const TIMEOUT_MS: &str = "86400000";

/// Makes the set known; all its brokers are alive and in sync, master epoch 1, set epoch 2. They live as long as
/// the connections that are returned, one to each node.
pub(crate) fn found(cluster: &Cluster) -> Vec<Wire> {
    let connect = |address: &String| Wire::connect(address).expect("a node can be reached");
    let mut wires: Vec<Wire> = cluster.addresses.iter().map(connect).collect();
    for id in ["1", "2", "3"] {
        for frame in [apply_id(id), register(id)] {
            let answer = wires[0].decided(&frame);
            assert_eq!(answer.code, response_code::SUCCESS, "{answer:?}");
        }
        for wire in &mut wires {
            let answer = wire.decided(&heartbeat(id));
            assert_eq!(answer.code, response_code::SUCCESS, "{answer:?}");
        }
    }
    // A repeat, after an answer that was lost, is refused; what counts is what is read afterwards.
    wires[0].decided(&elect("1"));
    wires[0].decided(&alter("1", "{\"syncStateSet\":[1,2,3],\"syncStateSetEpoch\":1}"));
    for wire in &mut wires {
        assert_eq!(shown(wire), ("1".to_owned(), "1".to_owned(), vec![1, 2, 3], 2));
    }
    wires
}

/// Master, master epoch, sync-state set and its epoch, as this node shows them.
pub(crate) fn shown(wire: &mut Wire) -> (String, String, Vec<i64>, i32) {
    let answer = wire.decided(&info());
    assert_eq!(answer.code, response_code::SUCCESS, "{answer:?}");
    let field = |key| answer.ext.get(key).unwrap_or_default().to_owned();
    let body = SyncStateSetBody::decode(&answer.body).expect("1004 is answered with a set");
    (field("masterBrokerId"), field("masterEpoch"), body.sync_state_set, body.epoch)
}

/// 1001 by broker `master`, with a current master epoch.
pub(crate) fn alter(master: &str, body: &str) -> Frame {
    let fields = [("brokerName", SET), ("masterBrokerId", master), ("masterEpoch", "1")];
    request(code::CONTROLLER_ALTER_SYNC_STATE_SET, &fields, body)
}

fn elect(id: &str) -> Frame {
    let fields = [("clusterName", CLUSTER), ("brokerName", SET), ("brokerId", id)];
    request(code::CONTROLLER_ELECT_MASTER, &fields, "")
}

fn info() -> Frame {
    request(code::CONTROLLER_GET_REPLICA_INFO, &[("brokerName", SET)], "")
}

fn apply_id(id: &str) -> Frame {
    let check_code = format!("{};1", address(id));
    let fields = [
        ("clusterName", CLUSTER),
        ("brokerName", SET),
        ("appliedBrokerId", id),
        ("registerCheckCode", &check_code),
    ];
    request(code::CONTROLLER_APPLY_BROKER_ID, &fields, "")
}

fn register(id: &str) -> Frame {
    let address = address(id);
    let fields = [
        ("clusterName", CLUSTER),
        ("brokerName", SET),
        ("brokerId", id),
        ("brokerAddress", &address),
    ];
    request(code::CONTROLLER_REGISTER_BROKER, &fields, "")
}

fn heartbeat(id: &str) -> Frame {
    let address = address(id);
    let fields = [
        ("clusterName", CLUSTER),
        ("brokerName", SET),
        ("brokerId", id),
        ("brokerAddr", &address),
        ("epoch", "1"),
        ("maxOffset", "1"),
        ("confirmOffset", "1"),
        ("heartbeatTimeoutMills", TIMEOUT_MS),
    ];
    request(code::BROKER_HEARTBEAT, &fields, "")
}

/// Where nobody listens: no test waits for a notice.
fn address(id: &str) -> String {
    format!("127.0.0.1:{id}")
}

//! The histograms of the stages, after requests of every kind.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use protocol::{code, response_code};
use rustix::process::Signal;

use crate::broker_set::{CLUSTER, SET, alter, found};
use crate::cluster::{Cluster, status};
use crate::patience::until;
use crate::wire::{Wire, request};

/// Requests of every kind that upstream has, to this controller; the broker set is known. The last takes its broker 3 away.
pub(crate) fn ask_everything(address: &str) {
    let mut wire = Wire::connect(address).expect("a controller accepts");
    let set = [("clusterName", CLUSTER), ("brokerName", SET)];
    let with = |more: &[(&'static str, &'static str)]| [&set[..], more].concat();
    let heartbeat =
        [("brokerId", "1"), ("brokerAddr", "127.0.0.1:1"), ("heartbeatTimeoutMills", "86400000")];
    let apply = [("appliedBrokerId", "4"), ("registerCheckCode", "127.0.0.1:4;1")];
    let register = [("brokerId", "4"), ("brokerAddress", "127.0.0.1:4")];
    let requests = [
        alter("1", "{\"syncStateSet\":[1,2],\"syncStateSetEpoch\":2}"),
        request(code::CONTROLLER_ELECT_MASTER, &with(&[("brokerId", "1")]), ""),
        request(code::CONTROLLER_GET_NEXT_BROKER_ID, &with(&[]), ""),
        request(code::CONTROLLER_APPLY_BROKER_ID, &with(&apply), ""),
        request(code::CONTROLLER_REGISTER_BROKER, &with(&register), ""),
        request(code::CONTROLLER_GET_REPLICA_INFO, &set[1..], ""),
        request(code::CONTROLLER_GET_METADATA_INFO, &[], ""),
        request(code::CONTROLLER_GET_SYNC_STATE_DATA, &[], format!("[\"{SET}\"]")),
        request(code::BROKER_HEARTBEAT, &with(&heartbeat), ""),
        request(code::UPDATE_CONTROLLER_CONFIG, &[], "notifyBrokerRoleChanged=false"),
        request(code::GET_CONTROLLER_CONFIG, &[], ""),
        request(
            code::CLEAN_BROKER_DATA,
            &with(&[("brokerControllerIdsToClean", "3"), ("isCleanLivingBroker", "true")]),
            "",
        ),
    ];
    for frame in requests {
        let answer = wire.decided(&frame);
        assert_ne!(answer.code, response_code::SYSTEM_BUSY, "{}: {answer:?}", frame.header.code);
    }
}

/// The metrics page of the controller that is reached at `address`.
pub(crate) fn metrics_page(address: &str) -> String {
    let status = until("a controller says where its pages are", || status(address));
    let admin = status["adminAddress"].as_str().expect("the address of the pages");
    let mut stream = TcpStream::connect(admin).expect("the pages can be reached");
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request can be sent");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("the page is text");
    page
}

fn counted(page: &str, stage: &str) -> u64 {
    let series = format!("pitchover_stage_seconds_count{{stage=\"{stage}\"}} ");
    let count = page.lines().find_map(|line| line.strip_prefix(&*series));
    count.map_or(0, |count| count.parse().expect("a count"))
}

#[test]
fn every_stage_counts_where_it_happens() {
    let mut cluster = Cluster::one_port("");
    let _brokers = found(&cluster);
    let leader = cluster.await_leader();
    ask_everything(&cluster.addresses[leader]);

    let stages = ["propose", "append", "sync", "replicate", "commit", "apply", "reply"];
    let page = metrics_page(&cluster.addresses[leader]);
    for stage in stages {
        assert!(counted(&page, stage) > 0, "{stage} at the leader:\n{page}");
    }
    // 1001, 1013, 1003, 1011: what the leader was asked for and what changes something goes through the log.
    assert!(counted(&page, "propose") >= 4, "{page}");
    assert!(counted(&page, "commit") >= counted(&page, "propose"), "{page}");
    assert!(counted(&page, "replicate") >= counted(&page, "propose"), "two followers:\n{page}");
    for kind in ["pitchover_batch_commands_count", "pitchover_batch_groups_count"] {
        assert!(page.contains(kind), "{kind}:\n{page}");
    }

    let follower = &cluster.addresses[(leader + 1) % cluster.addresses.len()];
    let page = until("a follower has applied and answered", || {
        let page = metrics_page(follower);
        let own = ["append", "sync", "apply", "reply"];
        own.iter().all(|stage| counted(&page, stage) > 0).then_some(page)
    });
    for stage in ["commit", "propose"] {
        // Unless it led at first, before the set was founded.
        assert!(counted(&page, stage) <= counted(&page, "apply"), "{stage} at a follower:\n{page}");
    }
    // What is timed holds nobody up who is to stop.
    let mut last = cluster.nodes.swap_remove(leader);
    last.signal(Signal::TERM);
    assert!(last.wait().success(), "{}", last.log());
}

//! Reads of real processes that were paused: what they answer afterwards is never older than what anybody was told.

#[path = "processes/broker_set.rs"]
mod broker_set;
#[path = "processes/cluster.rs"]
mod cluster;
#[path = "processes/node.rs"]
mod node;
#[path = "processes/patience.rs"]
mod patience;
#[path = "processes/wire.rs"]
mod wire;

use bytes::BytesMut;
use protocol::{Frame, Response, SyncStateSetBody, code, response_code};
use rustix::process::Signal;
use std::io::Write as _;

use broker_set::{SET, alter, found, shown};
use cluster::{Cluster, NODES, status};
use patience::until;
use wire::{Wire, request};

/// Reads that wait in each socket of the paused leader.
const READS: usize = 20;

fn send(wire: &mut Wire, frame: &Frame) {
    let mut bytes = BytesMut::new();
    frame.encode(&mut bytes);
    wire.stream.write_all(&bytes).expect("a socket takes a few hundred bytes");
}

fn receive(wire: &mut Wire) -> Response {
    let frame = wire.receive().expect("an answer comes in time");
    Response::from_frame(frame.expect("the connection stays"))
}

/// A read shows this set epoch or a later one, or is refused.
fn must_be_since(epoch: i32, answer: &Response) {
    if answer.code != response_code::SUCCESS {
        assert_eq!(answer.code, response_code::CONTROLLER_NOT_LEADER, "{answer:?}");
        return;
    }
    let body = SyncStateSetBody::decode(&answer.body).expect("1004 is answered with a set");
    assert!(body.epoch >= epoch, "stale: {answer:?}");
}

/// The leader is frozen (SIGSTOP), another one leads and takes a write, and then the old one thaws: with requests in its
/// sockets that were sent before the pause and after the write, and with a clock that tells it nothing yet.
#[test]
fn a_leader_that_was_paused_answers_nothing_stale() {
    let mut cluster = Cluster::one_port("");
    let _brokers = found(&cluster);
    let info = request(code::CONTROLLER_GET_REPLICA_INFO, &[("brokerName", SET)], "");
    let members = [[1, 2], [1, 3]];
    let mut epoch = 2;
    for round in 0..2 * NODES {
        let old = cluster.await_leader();
        let connect = || Wire::connect(&cluster.addresses[old]).expect("a leader accepts");
        let mut readers: Vec<Wire> = (0..4).map(|_| connect()).collect();
        let mut writer = connect();
        // Some reads are under way when it freezes: these may be old or new.
        for reader in &mut readers {
            (0..READS).for_each(|_| send(reader, &info));
        }
        cluster.nodes[old].signal(Signal::STOP);

        let name = format!("n{old}");
        let new = until("another one leads", || {
            (0..NODES).filter(|node| *node != old).find(|node| {
                let view = status(&cluster.addresses[*node]).expect("a node answers");
                view["role"] == "leader" && view["leader"] != *name && view["ready"] == true
            })
        });
        let body =
            format!("{{\"syncStateSet\":{:?},\"syncStateSetEpoch\":{epoch}}}", members[round % 2]);
        let mut wire = Wire::connect(&cluster.addresses[new]).expect("a leader accepts");
        wire.decided(&alter("1", &body));
        let (_, _, _, now) = shown(&mut wire);
        assert!(now > epoch, "round {round}: the write took effect");

        // These were asked after the write was answered: only the new state is right.
        for reader in &mut readers {
            (0..READS).for_each(|_| send(reader, &info));
        }
        // And a write that is fenced by what the old leader has not heard of yet.
        send(&mut writer, &alter("1", &body));
        cluster.nodes[old].signal(Signal::CONT);
        for reader in &mut readers {
            (0..READS).for_each(|_| must_be_since(epoch, &receive(reader)));
            (0..READS).for_each(|_| must_be_since(now, &receive(reader)));
        }
        let answer = receive(&mut writer);
        assert_ne!(answer.code, response_code::SUCCESS, "round {round}: {answer:?}");
        epoch = now;
    }
}

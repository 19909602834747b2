//! U35: far more requests than the core takes. Polls are refused first, and no broker dies of it.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use protocol::{Frame, code, response_code};

use crate::ground::{Ground, encoded};
use crate::wire::{Wire, request};

/// Requests that may wait for the core in this test.
const CAPACITY: usize = 200;

/// Connections of strangers, each with as many unanswered requests as one may have: ten times the capacity.
const STRANGERS: usize = 8;

/// Requests that a stranger sends without waiting for an answer.
const PIPELINE: usize = 250;

/// How often it does.
const ROUNDS: usize = 120;

/// Time-out of a broker here: a heartbeat that is not taken for so long is the end of it.
const TIMEOUT_MS: &str = "2000";

fn heartbeat(id: &str) -> Frame {
    let address = format!("127.0.0.1:{id}");
    let fields = [
        ("clusterName", "c"),
        ("brokerName", "hurried"),
        ("brokerId", id),
        ("brokerAddr", &address),
        ("heartbeatTimeoutMills", TIMEOUT_MS),
    ];
    request(code::BROKER_HEARTBEAT, &fields, "")
}

/// A broker that heartbeats as soon as its last heartbeat was answered, until told to stop. How many were taken.
fn beat(mut wire: Wire, id: &str, is_over: &AtomicBool) -> usize {
    let (beat, mut count) = (heartbeat(id), 0);
    while !is_over.load(Ordering::Relaxed) {
        let answer = wire.ask(&beat).expect("an answer comes in time").expect("it is not closed");
        assert_eq!(answer.code, response_code::SUCCESS, "a heartbeat is refused: {answer:?}");
        count += 1;
    }
    count
}

/// One stranger to its end; counts what was refused as busy.
fn flood(mut wire: Wire, frame: &Frame, busy: &AtomicUsize) {
    let pipeline = encoded(std::iter::repeat_n(frame, PIPELINE));
    for _ in 0..ROUNDS {
        wire.stream.write_all(&pipeline).expect("requests are taken");
        for _ in 0..PIPELINE {
            let code = wire.must_receive("a flood").header.code;
            let is_busy = code == response_code::SYSTEM_BUSY;
            assert!(is_busy || code == response_code::SUCCESS, "code {code}");
            busy.fetch_add(usize::from(is_busy), Ordering::Relaxed);
        }
    }
}

#[test]
fn an_overload_of_polls_expires_no_broker() {
    let capacity = format!("controllerRequestThreadPoolQueueCapacity = {CAPACITY}\n");
    let mut ground = Ground::new(&capacity);
    let node = ground.leader;
    let poll = request(code::CONTROLLER_GET_REPLICA_INFO, &[("brokerName", "a")], "");
    let (is_over, busy) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let brokers = ["1", "2", "3"].map(|id| {
            let (wire, is_over) = (ground.connect(node), &is_over);
            scope.spawn(move || beat(wire, id, is_over))
        });
        let strangers: Vec<_> = (0..STRANGERS)
            .map(|_| {
                let (wire, poll, busy) = (ground.connect(node), &poll, &busy);
                scope.spawn(move || flood(wire, poll, busy))
            })
            .collect();
        strangers.into_iter().for_each(|stranger| stranger.join().expect("a flood ends"));
        // The brokers are still there, so whoever is dead died of the overload.
        let log = ground.cluster.nodes[node].log();
        is_over.store(true, Ordering::Relaxed);
        assert!(!log.contains("broker dead"), "{log}");
        for broker in brokers {
            assert!(broker.join().expect("a broker ends") > 100, "heartbeats come through");
        }
    });
    // Otherwise it was no overload.
    let busy = busy.into_inner();
    assert!(busy > 1_000, "{busy} polls were refused");
    assert_eq!(ground.refused(node, "INBOX_POLLS_MAX"), u64::try_from(busy).unwrap());
    assert_eq!(ground.refused(node, "HEARTBEATS_WAITING_MAX"), 0);
    ground.check("U35");
}

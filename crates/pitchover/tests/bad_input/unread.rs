//! B9 and beyond: answers that are read late, in part or never. What they may hold of a controller's memory, for how
//! long, and who goes when it is too much.

use std::io::Write;
use std::time::Duration;

use bytes::BytesMut;
use protocol::{Frame, code, response_code};
use rustix::net::sockopt::set_socket_recv_buffer_size;

use crate::connections::{read_late, reset, usual};
use crate::ground::{Ground, encoded};
use crate::patience::until;
use crate::wire::{Wire, is_end, request};

const MIB: u64 = 1_024 * 1_024;

/// What a client's kernel may keep, in bytes: little, so that answers wait in the controller.
const RECEIVE_BYTES: usize = 64 * 1_024;

/// What the kernels of both ends keep of a connection at most, in bytes, with [`SOCKETS`] and [`RECEIVE_BYTES`]: each
/// of them takes twice what it is told.
const KERNEL_BYTES: usize = 256 * 1_024;

const SOCKETS: &str = "serverSocketSndBufSize = 65536\n";

/// Nobody is closed for the time that a slow machine takes.
const PATIENT: &str = "pitchover.limits.outboundStallMs = 600000\n";

/// Requests that one sends at once: the answers are more than one connection may hold.
const REQUESTS: usize = 500;

/// A question whose answer is many times as long.
fn question() -> Frame {
    request(code::GET_CONTROLLER_CONFIG, &[], "")
}

fn pipeline(requests: usize) -> BytesMut {
    encoded(std::iter::repeat_n(&question(), requests))
}

/// Bytes of one answer, a little less than with its header.
fn answer_bytes(ground: &Ground) -> usize {
    let answer = ground.connect(ground.leader).ask(&question()).expect("an answer comes in time");
    answer.expect("it is not closed").body.len()
}

/// A client that asks so much at once and has read nothing yet.
fn ask(ground: &Ground, node: usize, requests: usize) -> Wire {
    let mut wire = ground.connect(node);
    set_socket_recv_buffer_size(&wire.stream, RECEIVE_BYTES).expect("the option is known");
    // It may be closed while it asks.
    match wire.stream.write_all(&pipeline(requests)) {
        Ok(()) => {}
        Err(error) if is_end(&error) => {}
        Err(error) => panic!("requests are not taken: {error}"),
    }
    wire
}

/// Reads answers until there are so many, or the connection ends. How many there were.
fn read(wire: &mut Wire, most: usize) -> usize {
    for read in 0..most {
        let Some(answer) = wire.receive().expect("an answer or an end comes in time") else {
            return read;
        };
        assert_eq!((answer.header.code, answer.header.opaque), (response_code::SUCCESS, 7));
    }
    most
}

/// Memory of answers that wait, as a node's page of metrics says.
fn held(ground: &mut Ground, node: usize) -> u64 {
    ground.metric(node, "pitchover_unread_answers_bytes", "")
}

/// Waits until nothing changes any more. How many were closed for what all hold, and what all hold then.
fn settled(ground: &mut Ground, node: usize) -> (u64, u64) {
    const LOOKS: u32 = 10;
    let (mut last, mut same) = ((0, 0), 0);
    until("answers neither come nor go", || {
        let now = (ground.refused(node, "outboundBytesMax"), held(ground, node));
        same = if now == last { same + 1 } else { 0 };
        last = now;
        (same == LOOKS).then_some(now)
    })
}

/// Answers that nobody reads: each connection is within its limit, and together they are not. Who holds most is closed,
/// until the rest is within the limit; nobody else loses an answer.
#[test]
fn unread_answers_have_a_common_limit() {
    const LIMIT: u64 = 16 * MIB;
    /// Each holds 1 MiB or more, but no more than [`LIMIT`] halved: one goes, and more than that half stays.
    const DEAF: usize = 24;
    /// Who hold less than any of those.
    const HONEST: usize = 4;
    let limits = format!("pitchover.limits.outboundBytesMax = {LIMIT}\n{SOCKETS}{PATIENT}");
    let mut ground = Ground::new(&limits);
    let few = KERNEL_BYTES * 2 / answer_bytes(&ground);
    for node in ground.two_kinds() {
        let usual = usual(&ground, node);
        let (before, _) = settled(&mut ground, node);
        let kib_before = ground.resident_kib(node);
        let mut honest: Vec<Wire> = (0..HONEST).map(|_| ask(&ground, node, few)).collect();
        until("honest answers wait, too", || (held(&mut ground, node) > 0).then_some(()));
        let mut deaf: Vec<Wire> = (0..DEAF).map(|_| ask(&ground, node, REQUESTS)).collect();
        until("somebody is closed", || {
            (ground.refused(node, "outboundBytesMax") > before).then_some(())
        });
        let (refused, held_bytes) = settled(&mut ground, node);
        assert!(held_bytes <= LIMIT, "{held_bytes} bytes are held");
        assert!(held_bytes > LIMIT / 2, "more were closed than had to: {held_bytes} bytes stay");
        assert!(refused - before < u64::try_from(DEAF).unwrap(), "all were closed");
        let kib = ground.resident_kib(node);
        // The allocator keeps some of what was freed.
        assert!(kib < kib_before + 3 * LIMIT / 1_024, "{kib_before} KiB before, {kib} KiB after");
        ground.check("unread answers of many");
        for wire in &mut honest {
            assert_eq!(read(wire, few), few, "an honest client was closed");
        }
        let answers = deaf.iter_mut().map(|wire| read(wire, REQUESTS));
        let ended = u64::try_from(answers.filter(|answers| *answers < REQUESTS).count()).unwrap();
        let refused = ground.refused(node, "outboundBytesMax");
        assert_eq!(ended, refused - before, "closed, and closed for this");
        deaf.into_iter().chain(honest).for_each(reset);
        ground.await_descriptors(node, &usual);
        until("nothing is held", || (held(&mut ground, node) == 0).then_some(()));
    }
    // Their bytes are given back: who reads late is within the limit again.
    read_late(&ground, &pipeline(REQUESTS), REQUESTS);
    ground.check("after unread answers");
}

/// Who reads nearly everything holds no more than what is left.
#[test]
fn what_was_read_holds_no_memory() {
    const READERS: u64 = 32;
    /// What is left of one answer after the other, twice, and what the allocator keeps.
    const KIB_MAX: u64 = 768;
    let mut ground = Ground::new(&format!("{SOCKETS}{PATIENT}"));
    let node = ground.leader;
    // Some of it waits in the controller, and not all in the kernels.
    let left = KERNEL_BYTES * 5 / 4 / answer_bytes(&ground);
    let mut readers = Vec::new();
    let mut before = 0;
    for number in 0..=READERS {
        let mut wire = ask(&ground, node, REQUESTS);
        assert_eq!(read(&mut wire, REQUESTS - left), REQUESTS - left);
        readers.push(wire);
        if number == 0 {
            // Without what is only needed once.
            before = ground.resident_kib(node);
        }
    }
    ground.check("while the last answers wait");
    let held_bytes = held(&mut ground, node);
    assert!(held_bytes > 0, "nothing waits in the controller: this test shows nothing");
    assert!(held_bytes < READERS * KIB_MAX * 1_024, "{held_bytes} bytes are held");
    let after = ground.resident_kib(node);
    assert!(after < before + READERS * KIB_MAX, "{before} KiB before, {after} KiB after");
    readers.iter_mut().for_each(|wire| assert_eq!(read(wire, left), left));
    ground.check("what was read");
}

/// Who is closed for its answers gets no more of them, though all its requests have arrived.
#[test]
fn who_is_closed_is_answered_no_more() {
    let limits = format!("pitchover.limits.outboundBytesMax = 65536\n{SOCKETS}{PATIENT}");
    let mut ground = Ground::new(&limits);
    let node = ground.leader;
    let mut wire = ask(&ground, node, REQUESTS);
    until("it is closed", || (ground.refused(node, "outboundBytesMax") > 0).then_some(()));
    assert!(read(&mut wire, REQUESTS) < REQUESTS);
    assert_eq!(settled(&mut ground, node), (1, 0));
    let kind = "\"CONTROLLER_GET_CONTROLLER_CONFIG\"";
    let answered = ground.metric(node, "pitchover_requests_total{", kind);
    assert!(answered < u64::try_from(REQUESTS / 2).unwrap(), "{answered} requests were answered");
    ground.check("closed for its answers");
}

/// Who takes nothing of what waits is closed in the end; who reads slowly, for longer than that, is not.
#[test]
fn who_reads_nothing_is_closed_and_who_reads_slowly_is_not() {
    const STEP: usize = 5;
    let mut ground = Ground::new(&format!("pitchover.limits.outboundStallMs = 2000\n{SOCKETS}"));
    let node = ground.leader;
    let mut deaf = ask(&ground, node, REQUESTS);
    let mut slow = ask(&ground, node, REQUESTS);
    for _ in 0..REQUESTS / STEP {
        std::thread::park_timeout(Duration::from_millis(50));
        assert_eq!(read(&mut slow, STEP), STEP, "who reads slowly was closed");
    }
    until("who reads nothing is closed", || {
        (ground.refused(node, "outboundStallMs") > 0).then_some(())
    });
    assert!(read(&mut deaf, REQUESTS) < REQUESTS, "it gets what was sent before");
    assert_eq!(ground.refused(node, "outboundStallMs"), 1);
    assert_eq!(held(&mut ground, node), 0);
    ground.check("who reads nothing");
}

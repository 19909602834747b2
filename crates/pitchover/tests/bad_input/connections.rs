//! B7-B9: connections that are slow, half closed, reset, or never read.

use std::io::{ErrorKind, Write};
use std::ops::RangeInclusive;
use std::time::Duration;

use protocol::{code, response_code};
use rustix::net::sockopt::set_socket_linger;

use crate::ground::{Ground, encoded, framed};
use crate::patience::until;
use crate::wire::{Wire, request};

/// B7: strangers that send too slowly are closed, each by its own deadline; one that is busy is not, however
/// long it is in the middle of some frame.
#[test]
fn b7_slow_frames_end_and_busy_connections_do_not() {
    let limits =
        "pitchover.limits.headerDeadlineMs = 500\npitchover.limits.frameDeadlineMs = 1500\n";
    let mut ground = Ground::new(limits);
    let node = ground.leader;
    let whole = framed(0, b"{\"code\":1005,\"opaque\":7}", &[b'x'; 1_000]);
    let header_bytes = whole.len() - 1_000;
    let rows = [
        ("headerDeadlineMs", 1),
        ("headerDeadlineMs", 7),
        ("headerDeadlineMs", header_bytes - 1),
        ("frameDeadlineMs", header_bytes),
        ("frameDeadlineMs", whole.len() - 1),
    ];
    let mut slow = rows.map(|(limit, bytes)| {
        let mut wire = ground.connect(node);
        wire.send(&whole[..bytes]);
        (format!("{limit}, {bytes} bytes"), wire)
    });
    slow.iter_mut().for_each(|(row, wire)| wire.must_end(row));
    for limit in ["headerDeadlineMs", "frameDeadlineMs"] {
        let expected = rows.iter().filter(|row| row.0 == limit).count();
        assert_eq!(ground.refused(node, limit), u64::try_from(expected).unwrap(), "{limit}");
    }
    drip(&ground, node);
    stay_busy(&ground, node);
    ground.check("B7");
}

/// One byte after the other, each in good time: the deadline is the frame's, not the byte's.
fn drip(ground: &Ground, node: usize) {
    let mut slow = ground.connect(node);
    slow.stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a time-out is set");
    let endless = framed(0, b"{\"code\":1005}", &vec![b'x'; 100_000]);
    let mut bytes = endless.iter();
    until("a dripping frame is cut off", || {
        slow.send(&[*bytes.next()?]);
        match slow.receive() {
            Ok(None) => Some(()),
            Ok(Some(frame)) => panic!("answered {frame:?}"),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    });
}

/// Every read of the controller ends in the middle of a frame, for longer than any deadline.
fn stay_busy(ground: &Ground, node: usize) {
    let mut busy = ground.connect(node);
    let frame = framed(0, b"{\"code\":1005,\"opaque\":7}", b"");
    let (head, tail) = frame.split_at(10);
    busy.send(head);
    for _ in 0..50 {
        std::thread::park_timeout(Duration::from_millis(50));
        busy.send(&[tail, head].concat());
        let answer = busy.must_receive("a busy connection").header;
        assert_eq!((answer.code, answer.opaque), (response_code::SUCCESS, 7));
    }
}

/// Unfinished frames of many: each is within its limits, and together they are not.
#[test]
fn unfinished_frames_have_a_common_limit() {
    const MIB: usize = 1_024 * 1_024;
    let limits = format!("pitchover.limits.inboundBytesMax = {}\n", 8 * MIB);
    let mut ground = Ground::new(&limits);
    let node = ground.leader;
    let whole = framed(0, b"{\"code\":1005,\"opaque\":7}", &vec![b'x'; 4 * MIB]);
    let usual = usual(&ground, node);
    for _ in 0..3 {
        let before = ground.refused(node, "inboundBytesMax");
        let mut many: Vec<Wire> = (0..4).map(|_| ground.connect(node)).collect();
        many.iter_mut().for_each(|wire| wire.send(&whole[..3 * MIB]));
        until("somebody is closed", || {
            (ground.refused(node, "inboundBytesMax") > before).then_some(())
        });
        ground.check("unfinished frames of many");
        many.into_iter().for_each(reset);
        ground.await_descriptors(node, &usual);
        // Their bytes are given back: one alone is let in, and refused by what it is.
        let mut one = ground.connect(node);
        one.send(&whole);
        let answer = one.must_receive("one large frame").header;
        assert_eq!((answer.code, answer.opaque), (response_code::SYSTEM_ERROR, 7));
    }
}

/// B8: whatever way a stranger goes, nothing of it stays.
#[test]
fn b8_what_goes_away_is_freed() {
    let mut ground = Ground::new("");
    let half = framed(0, b"{\"code\":1005,\"opaque\":7}", &[b'x'; 1_000]);
    let (half, rest) = half.split_at(600);
    let request_and_half =
        [&*encoded([&request(code::GET_CONTROLLER_CONFIG, &[], "")]), half].concat();
    for node in ground.two_kinds() {
        let usual = usual(&ground, node);
        for round in 0..20 {
            let mut fin_in_a_frame = ground.connect(node);
            fin_in_a_frame.send(half);
            fin_in_a_frame.stream.shutdown(std::net::Shutdown::Write).expect("a FIN is sent");
            fin_in_a_frame.must_end("FIN in a frame");
            // The other half comes too late, and is nobody's.
            fin_in_a_frame.send(rest);

            let mut reset_in_a_frame = ground.connect(node);
            reset_in_a_frame.send(&request_and_half);
            reset(reset_in_a_frame);

            let nothing_at_all = ground.connect(node);
            if round % 2 == 0 {
                reset(nothing_at_all);
            }
        }
        ground.await_descriptors(node, &usual);
    }
    ground.check("B8");
}

/// B9: requests by the thousand from some who do not read. The controller stops reading, keeps little, serves the
/// others, and forgets them when they go.
#[test]
fn b9_who_never_reads_is_not_read() {
    const REQUESTS: usize = 10_000;
    const LATE: usize = 2_000;
    const DEAF: usize = 8;
    /// What one such connection may cost: its answers up to the limit, and what the allocator keeps of them.
    const KIB_MAX: u64 = 4 * 1_024;
    // The less the kernel keeps, the sooner the limit is reached.
    let mut ground = Ground::new("serverSocketSndBufSize = 65536\n");
    let listing = encoded([&request(code::GET_CONTROLLER_CONFIG, &[], "")]);
    let pipeline = listing.repeat(REQUESTS);
    for node in ground.two_kinds() {
        let usual = usual(&ground, node);
        let before = ground.resident_kib(node);
        let mut deaf: Vec<Wire> = (0..DEAF).map(|_| ground.connect(node)).collect();
        for wire in &mut deaf {
            let patience = Some(Duration::from_millis(50));
            wire.stream.set_write_timeout(patience).expect("a time-out is set");
            // All of it, or as much as the kernel's buffers hold: nobody takes the rest.
            let sent = wire.stream.write_all(&pipeline).map_err(|error| error.kind());
            assert!(matches!(sent, Ok(()) | Err(ErrorKind::WouldBlock)), "{sent:?}");
        }
        ground.check("B9 while the answers wait");
        let after = ground.resident_kib(node);
        let most = before + KIB_MAX * u64::try_from(DEAF).unwrap();
        assert!(after < most, "{before} KiB before, {after} KiB after");
        deaf.into_iter().for_each(reset);
        ground.await_descriptors(node, &usual);
    }
    read_late(&ground, &listing.repeat(LATE), LATE);
    ground.check("B9");
}

/// Who reads after all gets every answer.
pub(crate) fn read_late(ground: &Ground, pipeline: &[u8], requests: usize) {
    let mut late = ground.connect(ground.leader);
    let mut writing = late.stream.try_clone().expect("a handle can be copied");
    std::thread::scope(|scope| {
        let writer = std::thread::Builder::new().name("pipeline".to_owned());
        let writer = writer.spawn_scoped(scope, || writing.write_all(pipeline));
        let writer = writer.expect("a thread can be had");
        for _ in 0..requests {
            let answer = late.must_receive("a late reader").header;
            assert_eq!((answer.code, answer.opaque), (response_code::SUCCESS, 7));
        }
        writer.join().expect("the writer does not panic").expect("all requests are taken");
    });
}

/// Descriptors that a node may hold when the strangers are gone: as many as now, or a few less or more, since
/// links between nodes come and go on a slow machine.
pub(crate) fn usual(ground: &Ground, node: usize) -> RangeInclusive<usize> {
    const TOLERANCE: usize = 4;
    let now = ground.descriptors(node);
    now - TOLERANCE..=now + TOLERANCE
}

/// Closes without a good-bye.
pub(crate) fn reset(wire: Wire) {
    set_socket_linger(&wire.stream, Some(Duration::ZERO)).expect("the option is known");
}

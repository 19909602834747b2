//! The limits of frames and of the queue.

use super::{Proposals, ProposeError};
use crate::frame;
use crate::settings::{
    COMMAND_BYTES_MAX, FRAME_BYTES_MAX, FRAME_COMMANDS_MAX, FRAMES_IN_FLIGHT_MAX,
    PROPOSALS_WAITING_MAX,
};
use crate::{LogIndex, Term, Ticket};
use bytes::Bytes;
use std::vec::Vec;

/// Commands of these sizes: how many each frame takes.
fn check(what: &str, sizes: &[usize], expected: &[usize]) {
    let mut proposals = Proposals::default();
    for size in sizes {
        proposals.push(Bytes::from(std::vec![7; *size])).expect("there is room");
    }
    let mut counts = Vec::new();
    for index in 1.. {
        let Some((payload, count)) = proposals.next_frame() else { break };
        assert!(frame::is_sound(&payload), "{what}");
        counts.push(count);
        proposals.framed(count, Term(1), LogIndex(index));
        let first = proposals.applied(Term(1), LogIndex(index));
        let before: usize = counts.iter().sum::<usize>() - count;
        assert_eq!(first, Some(Ticket(before as u64)), "{what}");
    }
    assert_eq!(counts, expected, "{what}");
    assert_eq!(proposals.waiting_bytes, 0, "{what}");
}

#[test]
fn frames_keep_their_limits() {
    let length = frame::LENGTH_BYTES;
    let half = FRAME_BYTES_MAX / 2 - length;
    check("one", &[1], &[1]);
    check("as many as fit", &[1; FRAME_COMMANDS_MAX + 1], &[FRAME_COMMANDS_MAX, 1]);
    check("two halves", &[half, half, 1], &[2, 1]);
    check("two halves and a byte", &[half, half + 1, 1], &[1, 2]);
    check("a large one alone", &[1, COMMAND_BYTES_MAX, 1], &[1, 1, 1]);
}

#[test]
fn no_more_frames_than_the_limit_are_in_flight() {
    let mut proposals = Proposals::default();
    for index in 0..=FRAMES_IN_FLIGHT_MAX as u64 {
        proposals.push(Bytes::from_static(b"x")).expect("there is room");
        let Some((_, count)) = proposals.next_frame() else {
            assert_eq!(index, FRAMES_IN_FLIGHT_MAX as u64);
            return;
        };
        proposals.framed(count, Term(1), LogIndex(index + 1));
    }
    panic!("the limit was not met");
}

#[test]
fn the_queue_answers_busy() {
    let mut proposals = Proposals::default();
    for bytes in [0, COMMAND_BYTES_MAX + 1] {
        let refused = proposals.push(Bytes::from(std::vec![0; bytes]));
        assert_eq!(refused, Err(ProposeError::Size { bytes }));
    }
    for _ in 0..PROPOSALS_WAITING_MAX {
        proposals.push(Bytes::from_static(b"x")).expect("there is room");
    }
    assert_eq!(proposals.push(Bytes::from_static(b"x")), Err(ProposeError::Busy));
    let mut proposals = Proposals::default();
    let large = Bytes::from(std::vec![0; COMMAND_BYTES_MAX]);
    for _ in 0..64 {
        proposals.push(large.clone()).expect("64 MiB fit");
    }
    assert_eq!(proposals.push(large), Err(ProposeError::Busy));
}

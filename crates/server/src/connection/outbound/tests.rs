//! Clients that read late, in part or never.

use super::Unread;

/// All but 100 bytes of 5 MiB are read: what is held is never more than twice what is left.
#[test]
fn what_was_written_gives_its_room_back() {
    const BYTES: usize = 5 * 1_024 * 1_024;
    const LEFT: usize = 100;
    let all: Vec<u8> = (0..=u8::MAX).cycle().take(BYTES).collect();
    for step in [64 * 1_024 - 7, BYTES - LEFT] {
        let mut unread = Unread::default();
        unread.end().extend_from_slice(&all);
        let mut read = Vec::new();
        while unread.rest().len() > LEFT {
            let count = step.min(unread.rest().len() - LEFT);
            read.extend_from_slice(&unread.rest()[..count]);
            unread.advance(count);
            let (held, left) = (unread.held_bytes(), unread.rest().len());
            assert!((left..=2 * left).contains(&held), "{held} bytes held for {left}");
        }
        read.extend_from_slice(unread.rest());
        assert!(read == all, "other bytes than were to be written");
        unread.advance(LEFT);
        assert_eq!((unread.held_bytes(), unread.rest().len()), (0, 0));
    }
}

/// What comes while something waits is appended, whether or not the buffer has moved meanwhile.
#[test]
fn answers_are_appended_to_what_waits() {
    for written in 0..=6 {
        let mut unread = Unread::default();
        unread.end().extend_from_slice(b"abcdef");
        unread.advance(written);
        unread.end().extend_from_slice(b"gh");
        assert_eq!(unread.rest(), &b"abcdefgh"[written..], "{written} written");
    }
}

//! The payload of an entry of commands (D11).
//!
//! ```text
//! per command: u32 length (1 or more), the command's bytes
//! ```
//!
//! One command or more, at most [`FRAME_COMMANDS_MAX`]. The bytes of a command are handed out as
//! slices of the entry, never copied.

use crate::settings::FRAME_COMMANDS_MAX;
use alloc::vec::Vec;
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes of a command's length field.
pub const LENGTH_BYTES: usize = 4;

/// Puts commands into one frame.
///
/// # Panics
/// If a command has 4 GiB or more; `COMMAND_BYTES_MAX` keeps it far below.
#[must_use]
pub fn encode<'a>(commands: impl Iterator<Item = &'a Bytes> + Clone) -> Bytes {
    let size = commands.clone().map(|command| LENGTH_BYTES + command.len()).sum();
    let mut frame = BytesMut::with_capacity(size);
    for command in commands {
        frame.put_u32_le(u32::try_from(command.len()).expect("COMMAND_BYTES_MAX fits 32 bits"));
        frame.put_slice(command);
    }
    frame.freeze()
}

/// Whether [`split`] can take these bytes apart.
#[must_use]
pub fn is_sound(mut frame: &[u8]) -> bool {
    let mut count = 0;
    while frame.has_remaining() {
        let Ok(length) = frame.try_get_u32_le() else { return false };
        let length = length as usize;
        if length == 0 || length > frame.remaining() {
            return false;
        }
        frame.advance(length);
        count += 1;
    }
    (1..=FRAME_COMMANDS_MAX).contains(&count)
}

/// The commands of a frame, in order, as slices of it.
///
/// # Panics
/// If the frame is not [`is_sound`]: it is checked where it enters, from a peer or the journal.
#[must_use]
pub fn split(frame: &Bytes) -> Vec<Bytes> {
    assert!(is_sound(frame), "a frame is checked where it enters");
    let mut rest = frame.clone();
    let mut commands = Vec::new();
    while rest.has_remaining() {
        let length = rest.get_u32_le() as usize;
        commands.push(rest.split_to(length));
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::{encode, is_sound, split};
    use bytes::Bytes;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn commands_come_out_as_they_went_in() {
        let commands: Vec<_> = ["a", "bcd", "ef"].map(Bytes::from).to_vec();
        let frame = encode(commands.iter());
        assert_eq!(&frame[..], b"\x01\0\0\0a\x03\0\0\0bcd\x02\0\0\0ef");
        assert_eq!(split(&frame), commands);
    }

    #[test]
    fn unsound_frames_are_seen() {
        let too_many = encode(vec![Bytes::from_static(b"x"); 1_025].iter());
        let table: [(&str, &[u8]); 6] = [
            ("no command", b""),
            ("an empty command", b"\0\0\0\0"),
            ("half a length", b"\x01\0\0"),
            ("a length beyond the end", b"\x02\0\0\0a"),
            ("a length near the top", b"\xff\xff\xff\xffa"),
            ("too many commands", &too_many),
        ];
        for (what, frame) in table {
            assert!(!is_sound(frame), "{what}");
        }
    }
}

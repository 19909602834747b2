//! Frames between coordinator and worker.
//!
//! ```text
//! ┌────────────┬──────┬─────────┐
//! │ length  u32│kind  │ payload │   length: bytes of kind and payload, big-endian
//! └────────────┴──────┴─────────┘
//! ```
//!
//! Nothing is allocated for a length that was only announced: memory grows with the bytes that came. A frame must be whole
//! within the time that its reader gives, however its bytes trickle in.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::clock;

/// Most bytes of a frame: the report of 30,000 broker sets is below 20 MiB.
pub(super) const FRAME_BYTES_MAX: u32 = 64 * 1024 * 1024;

/// Most bytes of a frame from somebody who has not said who he is.
pub(super) const HELLO_BYTES_MAX: u32 = 4 * 1024;

/// What a frame holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Hello = 1,
    Welcome = 2,
    Refused = 3,
    Ping = 4,
    Pong = 5,
    Plan = 6,
    Command = 7,
    Event = 8,
    Usage = 9,
}

const KINDS: [Kind; 9] = [
    Kind::Hello,
    Kind::Welcome,
    Kind::Refused,
    Kind::Ping,
    Kind::Pong,
    Kind::Plan,
    Kind::Command,
    Kind::Event,
    Kind::Usage,
];

/// Why there is no frame.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// The connection ended between two frames.
    #[error("the connection was closed")]
    Closed,
    /// The connection broke, or nothing came in time.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Longer than it may be, or without a kind.
    #[error("a frame of {bytes} bytes; 1 to {max} are allowed (FRAME_BYTES_MAX, HELLO_BYTES_MAX)")]
    Length {
        /// As announced.
        bytes: u32,
        /// As allowed.
        max: u32,
    },
    /// Nobody knows it.
    #[error("a frame of the unknown kind {0}")]
    Kind(u8),
}

/// Writes one frame.
///
/// # Errors
/// If the connection is broken, or the payload is longer than [`FRAME_BYTES_MAX`].
pub(super) fn write(mut out: impl Write, kind: Kind, payload: &[u8]) -> io::Result<()> {
    let bytes = u32::try_from(payload.len()).ok().and_then(|bytes| bytes.checked_add(1));
    let bytes = bytes.filter(|bytes| *bytes <= FRAME_BYTES_MAX);
    let bytes = bytes.ok_or_else(|| {
        let count = payload.len();
        io::Error::other(format!("{count} bytes are too long for FRAME_BYTES_MAX"))
    })?;
    let mut frame = Vec::with_capacity(payload.len() + 5);
    frame.extend_from_slice(&bytes.to_be_bytes());
    #[expect(clippy::as_conversions, reason = "the number that stands beside the kind")]
    frame.push(kind as u8);
    frame.extend_from_slice(payload);
    out.write_all(&frame)
}

/// Reads one frame of at most `max` bytes.
///
/// # Errors
/// - [`FrameError`]: what came instead.
pub(super) fn read(mut from: impl Read, max: u32) -> Result<(Kind, Vec<u8>), FrameError> {
    let mut length = [0; 4];
    let mut got = 0;
    while got < length.len() {
        match from.read(&mut length[got..]) {
            Ok(0) if got == 0 => return Err(FrameError::Closed),
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(count) => got += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    let bytes = u32::from_be_bytes(length);
    if bytes == 0 || bytes > max {
        return Err(FrameError::Length { bytes, max });
    }
    let mut frame = Vec::new();
    from.take(u64::from(bytes)).read_to_end(&mut frame)?;
    if frame.len() != usize::try_from(bytes).unwrap_or(usize::MAX) {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    let number = frame.remove(0);
    #[expect(clippy::as_conversions, reason = "the number that stands beside the kind")]
    let kind = KINDS.into_iter().find(|kind| *kind as u8 == number);
    Ok((kind.ok_or(FrameError::Kind(number))?, frame))
}

/// A connection that is read up to a moment and no longer.
#[derive(Debug)]
pub(super) struct Timed<'a> {
    stream: &'a TcpStream,
    began: Instant,
    patience: Duration,
}

impl<'a> Timed<'a> {
    pub(super) fn new(stream: &'a TcpStream, patience: Duration) -> Self {
        Self { stream, began: clock::now(), patience }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let spent = clock::now().saturating_duration_since(self.began);
        let seconds = self.patience.as_secs();
        let late = || {
            let text = format!("nothing whole came within {seconds} s");
            io::Error::new(io::ErrorKind::TimedOut, text)
        };
        let left = self.patience.checked_sub(spent).filter(|left| !left.is_zero());
        self.stream.set_read_timeout(Some(left.ok_or_else(late)?))?;
        let mut stream = self.stream;
        stream.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => late(),
            _ => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{FRAME_BYTES_MAX, FrameError, KINDS, Kind, read, write};

    #[test]
    fn what_is_written_is_read() {
        for (payload, kind) in [&b""[..], b"x", b"{\"a\":1}"].into_iter().cycle().zip(KINDS) {
            let mut bytes = Vec::new();
            write(&mut bytes, kind, payload).unwrap();
            let (found, content) = read(&bytes[..], FRAME_BYTES_MAX).unwrap();
            assert_eq!((found, content.as_slice()), (kind, payload));
        }
    }

    #[test]
    fn what_is_no_frame_is_named() {
        let why = |bytes: &[u8]| read(bytes, 100).unwrap_err().to_string();
        assert_eq!(why(b""), "the connection was closed");
        assert!(why(&[0, 0, 0, 0]).contains("a frame of 0 bytes; 1 to 100"));
        assert!(why(b"GET / HTTP/1.1\r\n").contains("a frame of 1195725856 bytes"));
        assert!(why(&[0, 0, 0, 2, 77, 0]).contains("unknown kind 77"));
        assert!(matches!(read(&[0, 0, 0, 9, 1][..], 100), Err(FrameError::Io(_))));
        assert!(matches!(read(&[0, 0][..], 100), Err(FrameError::Io(_))));
    }

    #[test]
    fn what_is_too_long_is_not_written() {
        let payload = vec![0; usize::try_from(FRAME_BYTES_MAX).unwrap()];
        let mut out = Vec::new();
        assert!(write(&mut out, Kind::Event, &payload).is_err());
        assert!(out.is_empty());
    }
}

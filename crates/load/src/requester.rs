//! The requests of one connection: a frame built once, patched in place for each next request.
//!
//! ```text
//! fixed      head | header with the opaque's ten digits | body     only the opaque changes
//! toggling   head | header with the opaque's ten digits | body     the body is written again:
//!                                                                  {1,2} <-> {1,2,3}, set epoch
//! ```
//!
//! Cost of the next request: one digit, and for a toggling one 45 bytes of body. Nothing is
//! allocated, since the buffer keeps its capacity.

use std::fmt;

use crate::generator::slot::{
    HEAD_BYTES, OPAQUE_DIGITS, find_opaque, header_bytes, increment, write_opaque,
};

/// Why a frame cannot be used by the generator.
#[derive(Debug, thiserror::Error)]
#[error("a prebuilt request must have a JSON header with an opaque of {OPAQUE_DIGITS} digits")]
pub struct NotPatchable;

/// Makes one request after another for a single closed-loop connection.
#[derive(Clone)]
pub(crate) struct Requester {
    frame: Vec<u8>,
    opaque_at: usize,
    toggle: Option<Toggle>,
}

/// What an alternating ALTER needs beside its header.
#[derive(Clone)]
struct Toggle {
    body_at: usize,
    set_epoch: u32,
    is_full: bool,
    members: Members,
}

/// The two sync-state sets between which an alternating ALTER goes, as lists of ids with commas.
#[derive(Clone, Debug)]
pub(crate) struct Members {
    pub(crate) few: String,
    pub(crate) full: String,
}

impl Default for Members {
    fn default() -> Self {
        Self { few: "1,2".to_owned(), full: "1,2,3".to_owned() }
    }
}

impl Requester {
    /// The same request again and again, with a new opaque each time.
    ///
    /// # Errors
    /// - [`NotPatchable`]: the frame has no JSON header or no ten-digit opaque in it.
    pub(crate) fn fixed(frame: Vec<u8>) -> Result<Self, NotPatchable> {
        let opaque_at = find_opaque(&frame, 0).ok_or(NotPatchable)?;
        Ok(Self { frame, opaque_at, toggle: None })
    }

    /// An ALTER that asks for `{1,2,3}` and `{1,2}` in turn, beginning with the other one than the
    /// set in force: `is_full` says that this is `{1,2,3}`, at epoch `set_epoch`.
    ///
    /// # Errors
    /// - [`NotPatchable`]: the frame has no JSON header or no ten-digit opaque in it.
    pub(crate) fn toggling(
        frame: Vec<u8>,
        set_epoch: u32,
        is_full: bool,
    ) -> Result<Self, NotPatchable> {
        Self::toggling_between(Members::default(), frame, set_epoch, is_full)
    }

    /// As [`Self::toggling`], between other sets.
    ///
    /// # Errors
    /// - [`NotPatchable`]: the frame has no JSON header or no ten-digit opaque in it.
    pub(crate) fn toggling_between(
        members: Members,
        frame: Vec<u8>,
        set_epoch: u32,
        is_full: bool,
    ) -> Result<Self, NotPatchable> {
        let body_at = HEAD_BYTES + header_bytes(&frame).ok_or(NotPatchable)?;
        let mut requester = Self::fixed(frame)?;
        requester.toggle = Some(Toggle { body_at, set_epoch, is_full, members });
        requester.write_body();
        Ok(requester)
    }

    /// Whether an answer's set epoch must be read and given to [`Requester::advance`].
    pub(crate) fn wants_set_epoch(&self) -> bool {
        self.toggle.is_some()
    }

    /// The bytes to send.
    pub(crate) fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// Appends the request under an opaque of the caller's.
    pub(crate) fn append(&self, opaque: i32, out: &mut Vec<u8>) {
        let at = out.len() + self.opaque_at;
        out.extend_from_slice(&self.frame);
        write_opaque(&mut out[at..at + OPAQUE_DIGITS], opaque);
    }

    /// The ten digits that the answer must repeat.
    pub(crate) fn opaque(&self) -> &[u8] {
        &self.frame[self.opaque_at..self.opaque_at + OPAQUE_DIGITS]
    }

    /// Turns to the next request; `set_epoch` is what the answer to this one said, if it was read.
    pub(crate) fn advance(&mut self, set_epoch: Option<u32>) {
        increment(&mut self.frame[self.opaque_at..self.opaque_at + OPAQUE_DIGITS]);
        if let (Some(toggle), Some(set_epoch)) = (&mut self.toggle, set_epoch) {
            toggle.is_full = !toggle.is_full;
            toggle.set_epoch = set_epoch;
            self.write_body();
        }
    }

    /// Where a toggling requester stands: the epoch in force and whether the set is `{1,2,3}`.
    pub(crate) fn position(&self) -> Option<(u32, bool)> {
        self.toggle.as_ref().map(|toggle| (toggle.set_epoch, toggle.is_full))
    }

    fn write_body(&mut self) {
        let Some(toggle) = &self.toggle else { return };
        self.frame.truncate(toggle.body_at);
        let Members { few, full } = &toggle.members;
        let set = if toggle.is_full { few } else { full };
        let before: [&[u8]; 3] =
            [b"{\"syncStateSet\":[", set.as_bytes(), b"],\"syncStateSetEpoch\":"];
        for part in before {
            self.frame.extend_from_slice(part);
        }
        push_decimal(&mut self.frame, toggle.set_epoch);
        self.frame.push(b'}');
        let total = u32::try_from(self.frame.len() - 4).expect("a frame is shorter than 4 GiB");
        self.frame[..4].copy_from_slice(&total.to_be_bytes());
    }
}

impl fmt::Debug for Requester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let opaque = String::from_utf8_lossy(self.opaque());
        write!(f, "Requester({} bytes, opaque {opaque})", self.frame.len())
    }
}

fn push_decimal(out: &mut Vec<u8>, number: u32) {
    const DIGITS_MAX: usize = 10;
    let start = out.len();
    out.resize(start + DIGITS_MAX, b'0');
    let mut rest = number;
    let mut first = out.len();
    while rest > 0 || first == out.len() {
        first -= 1;
        out[first] += u8::try_from(rest % 10).expect("a remainder of ten is a digit");
        rest /= 10;
    }
    out.drain(start..first);
}

#[cfg(test)]
mod tests {
    use super::{Requester, push_decimal};

    const HEADER: &[u8] = b"{\"code\":1001,\"opaque\":1000000009}";

    fn frame(body: &[u8]) -> Vec<u8> {
        let header_bytes = u32::try_from(HEADER.len()).unwrap();
        let total = 4 + header_bytes + u32::try_from(body.len()).unwrap();
        [&total.to_be_bytes(), &header_bytes.to_be_bytes(), HEADER, body].concat()
    }

    fn body(requester: &Requester) -> &str {
        std::str::from_utf8(&requester.frame()[8 + HEADER.len()..]).unwrap()
    }

    #[test]
    fn a_fixed_request_changes_its_opaque_only() {
        let mut requester = Requester::fixed(frame(b"[]")).unwrap();
        requester.advance(None);
        assert_eq!(requester.opaque(), b"1000000010");
        assert_eq!(requester.frame().len(), frame(b"[]").len());
        assert_eq!((requester.wants_set_epoch(), requester.position()), (false, None));
    }

    #[test]
    fn a_toggling_request_follows_the_answers() {
        let mut requester = Requester::toggling(frame(b""), 9, false).unwrap();
        let mut seen = Vec::new();
        for answered in [10, 11, 12] {
            seen.push(body(&requester).to_owned());
            requester.advance(Some(answered));
        }
        let expected = [
            "{\"syncStateSet\":[1,2,3],\"syncStateSetEpoch\":9}",
            "{\"syncStateSet\":[1,2],\"syncStateSetEpoch\":10}",
            "{\"syncStateSet\":[1,2,3],\"syncStateSetEpoch\":11}",
        ];
        assert_eq!(seen, expected);
        assert_eq!(requester.position(), Some((12, true)));
        assert_eq!(
            requester.frame(),
            [&frame(body(&requester).as_bytes())[..4], &requester.frame()[4..]].concat()
        );
    }

    #[test]
    fn a_frame_that_cannot_be_patched_is_refused() {
        assert!(Requester::fixed(b"\0\0\0\x06\0\0\0\x02{}".to_vec()).is_err());
        assert!(Requester::toggling(Vec::new(), 1, false).is_err());
    }

    #[test]
    fn decimals_are_written_without_leading_noughts() {
        for number in [0, 7, 10, 4_294_967_295] {
            let mut out = b"x".to_vec();
            push_decimal(&mut out, number);
            assert_eq!(out, format!("x{number}").as_bytes());
        }
    }
}

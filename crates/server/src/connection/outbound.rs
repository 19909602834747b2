//! Answers that wait to be written: of one connection, and of all together.
//!
//! What counts is the memory that they occupy, not what is left to be written: a client that takes all of an answer
//! but its last bytes would otherwise keep the whole buffer and count as nothing.

use crate::config::Config;
use crate::metrics::Metrics;
use bytes::BytesMut;
use std::cell::Cell;

/// Answers of all clients together that may wait to be written, in bytes; whose do when there are more is closed. The
/// limit of one times the number of connections is more than any host has.
const OUTBOUND_BYTES_MAX: usize = 256 * 1_024 * 1_024;

/// An output buffer that is kept when it is empty, in bytes: one usual answer.
const OUT_BYTES_KEPT: usize = 1_024;

/// Answers of one connection that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Unread {
    bytes: BytesMut,
    /// Bytes at its beginning that were written. Counted here, since a buffer that is advanced keeps its memory and no
    /// longer tells how much that is.
    written: usize,
}

impl Unread {
    /// Where answers are appended.
    pub(super) fn end(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// What is still to be written.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// Whether everything was written.
    pub(super) fn is_empty(&self) -> bool {
        self.rest().is_empty()
    }

    /// So many bytes of [`Self::rest`] were written. Once they are more than what is left, that moves to a buffer of
    /// its own size: no byte is copied without another one that was written.
    pub(super) fn advance(&mut self, count: usize) {
        assert!(count <= self.rest().len(), "{count} bytes of {} written", self.rest().len());
        self.written += count;
        let left = self.rest().len();
        if left == 0 && self.bytes.capacity() <= OUT_BYTES_KEPT {
            self.bytes.clear();
        } else if self.written > left {
            self.bytes = BytesMut::from(self.rest());
        } else {
            return;
        }
        self.written = 0;
    }

    /// Bytes that it occupies, as long as anything waits in it.
    pub(super) fn held_bytes(&self) -> usize {
        if self.is_empty() { 0 } else { self.bytes.capacity() }
    }
}

/// Answers that wait to be written, of all connections together.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(super) bytes: Cell<usize>,
    pub(super) bytes_max: usize,
    pub(super) metrics: Metrics,
}

impl Outbound {
    pub(crate) fn new(config: &Config, metrics: Metrics) -> Self {
        let configured = config.limit("outboundBytesMax");
        let bytes_max = configured
            .map_or(OUTBOUND_BYTES_MAX, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        Self { bytes: Cell::new(0), bytes_max, metrics }
    }
}

#[cfg(test)]
mod tests;

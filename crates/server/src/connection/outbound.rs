//! Answers that wait to be written: of one connection, and of all together.
//!
//! What counts is the memory that they occupy, not what is left to be written: a client that takes all of an answer
//! but its last bytes would otherwise keep the whole buffer and count as nothing.
//!
//! | Too much | Who is closed |
//! |---|---|
//! | bytes of all clients together ([`OUTBOUND_BYTES_MAX`]) | who holds most, until the others are within the limit |
//! | time without taking a byte ([`OUTBOUND_STALL_MS`]) | who takes none |
//!
//! Whoever is answered when the room is full need not be the one who fills it, so it is not the one who goes.
//!
//! Not here: the limit of one connection, beyond which nothing is read from it. And who reads slowly but reads, and
//! holds less than others: it stays.

use super::Connection;
use crate::clock::Clock;
use crate::config::Config;
use crate::metrics::Metrics;
use bytes::BytesMut;
use controller::{ConnectionId, Instant};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Weak;

/// Memory that waiting answers of all clients together may occupy, in bytes. The limit of one times the number of
/// connections is more than any host has.
const OUTBOUND_BYTES_MAX: usize = 256 * 1_024 * 1_024;

/// A client for whom answers wait must take a byte this often, in ms.
const OUTBOUND_STALL_MS: u64 = 15_000;

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

/// For whom answers wait, by what these occupy: nobody else, so that an answer that leaves at once costs nothing here.
type Holders = BTreeMap<(usize, ConnectionId), Weak<Connection>>;

/// Answers that wait to be written, of all clients together.
#[derive(Debug)]
pub(crate) struct Outbound {
    bytes: Cell<usize>,
    bytes_max: usize,
    stall_ms: u64,
    holders: RefCell<Holders>,
    clock: Clock,
    metrics: Metrics,
}

impl Outbound {
    pub(crate) fn new(config: &Config, clock: Clock, metrics: Metrics) -> Self {
        Self {
            bytes: Cell::new(0),
            bytes_max: config.limit_bytes("outboundBytesMax", OUTBOUND_BYTES_MAX),
            stall_ms: config.limit("outboundStallMs").unwrap_or(OUTBOUND_STALL_MS),
            holders: RefCell::default(),
            clock,
            metrics,
        }
    }

    /// From here on answers wait for this connection that occupy so many bytes.
    pub(super) fn add(&self, id: ConnectionId, bytes: usize, holder: Weak<Connection>) {
        if bytes > 0 {
            self.holders.borrow_mut().insert((bytes, id), holder);
            self.set(self.bytes.get() + bytes);
        }
    }

    /// What was added for this connection last is gone.
    pub(super) fn remove(&self, id: ConnectionId, bytes: usize) {
        if bytes > 0 {
            self.holders.borrow_mut().remove(&(bytes, id));
            self.set(self.bytes.get() - bytes);
        }
    }

    fn set(&self, bytes: usize) {
        self.bytes.set(bytes);
        self.metrics.unread_answers(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Closes who holds most (the newest of several), until all together are within the limit.
    pub(super) fn keep_limit(&self) {
        while self.bytes.get() > self.bytes_max {
            let most = self.holders.borrow().last_key_value().and_then(|(_, most)| most.upgrade());
            // Whoever ceases to be takes its entry along.
            let Some(most) = most else { break };
            self.metrics.refused("outboundBytesMax");
            most.close();
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Whether a client that took its last byte then has had its time.
    pub(super) fn is_stalled(&self, since: Instant, now: Instant) -> bool {
        now.since_ms(since) > self.stall_ms
    }
}

#[cfg(test)]
mod tests;

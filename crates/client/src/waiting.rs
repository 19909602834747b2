//! Which opaque waits for an answer on one connection.
//!
//! Invariant: a waiter is told exactly once, by its answer or by [`Waiting::close`]; a caller that
//! gives up takes its waiter out first, so a late answer finds nobody and is dropped, as upstream
//! drops it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use protocol::Frame;
use tokio::sync::oneshot;

/// Calls that may wait for an answer on one connection.
pub const IN_FLIGHT_MAX: usize = 65_536;

/// Why a connection ended.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// The socket broke or was closed by the other side.
    Lost(String),
    /// The other side sent what is not a frame.
    Unreadable(String),
}

/// What a waiter is told.
pub(crate) type Told = Result<Frame, End>;

/// Why a call may not wait.
pub(crate) enum Refused {
    Full,
    Closed,
}

#[derive(Debug, Default)]
pub(crate) struct Waiting {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    waiters: BTreeMap<i32, oneshot::Sender<Told>>,
    opaque: i32,
    is_closed: bool,
}

impl Waiting {
    /// An opaque that no waiting call has, for a request that wants no answer.
    pub(crate) fn opaque(&self) -> Result<i32, Refused> {
        self.with(|table| if table.is_closed { Err(Refused::Closed) } else { Ok(table.next()) })
    }

    /// Opens a wait under a new opaque.
    pub(crate) fn open(&self) -> Result<(i32, oneshot::Receiver<Told>), Refused> {
        self.with(|table| {
            if table.is_closed {
                return Err(Refused::Closed);
            }
            if table.waiters.len() >= IN_FLIGHT_MAX {
                return Err(Refused::Full);
            }
            let opaque = table.next();
            let (teller, waiter) = oneshot::channel();
            table.waiters.insert(opaque, teller);
            Ok((opaque, waiter))
        })
    }

    /// Hands `frame` to whoever waits for it; nobody is no error.
    pub(crate) fn answer(&self, frame: Frame) {
        let teller = self.with(|table| table.waiters.remove(&frame.header.opaque));
        if let Some(teller) = teller {
            // The caller has just given up: the answer has no reader and is dropped.
            drop(teller.send(Ok(frame)));
        }
    }

    /// Ends a wait from the caller's side.
    pub(crate) fn forget(&self, opaque: i32) {
        self.with(|table| table.waiters.remove(&opaque));
    }

    /// Ends all waits and refuses new ones.
    pub(crate) fn close(&self, end: &End) {
        let waiters = self.with(|table| {
            table.is_closed = true;
            std::mem::take(&mut table.waiters)
        });
        for teller in waiters.into_values() {
            drop(teller.send(Err(end.clone())));
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.with(|table| table.is_closed)
    }

    fn with<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        change(&mut self.table.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Table {
    /// Upstream counts through the negative numbers too; an opaque that still waits is skipped.
    fn next(&mut self) -> i32 {
        loop {
            self.opaque = self.opaque.wrapping_add(1);
            if !self.waiters.contains_key(&self.opaque) {
                return self.opaque;
            }
        }
    }
}

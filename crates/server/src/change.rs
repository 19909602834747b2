//! Request 1009: settings of this process change, and the file that keeps them is written.
//!
//! The change counts at once. The file is synced to the disk, so it is written by another thread, one write at a time:
//! what changes meanwhile shares the next one, whose file holds all of it. The caller hears "done" when a file that
//! holds his change is there, as in Java; the core and everybody else wait for nothing.

use crate::config::{Live, LiveChange, StoredFile, UpdateAnswer};
use crate::refuse;
use crate::shared::{Shared, live_settings};
use controller::{Caller, Event};
use protocol::Response;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Changes that may wait for the file; one more is refused as busy, and not made.
const CHANGES_WAITING_MAX: usize = 256;

/// Log lines about the keys of one request 1009: whoever reaches the port can send them.
const WARNINGS_LOGGED_MAX: usize = 20;

/// Changes whose file is not written yet.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    is_writing: Cell<bool>,
    /// The newest file, and who waits for it.
    next: RefCell<Option<(StoredFile, Vec<Caller>)>>,
}

/// Takes a change. `Some` if it is answered here and now; else the answer follows the file.
pub(crate) fn take(shared: &Rc<Shared>, caller: Caller, body: &[u8]) -> Option<Response> {
    let waiting = shared.changes.next.borrow().as_ref().map_or(0, |(_, waiting)| waiting.len());
    if waiting >= CHANGES_WAITING_MAX {
        shared.metrics.refused("CHANGES_WAITING_MAX");
        return Some(refuse::busy());
    }
    let UpdateAnswer { outcome, changes, warnings, file } = shared.store.borrow_mut().update(body);
    for warning in warnings.iter().take(WARNINGS_LOGGED_MAX) {
        tracing::warn!(%warning, "setting not understood");
    }
    if let Some(more) = warnings.len().checked_sub(WARNINGS_LOGGED_MAX).filter(|&n| n > 0) {
        tracing::warn!(more, "further settings not understood");
    }
    if !changes.is_empty() {
        let mut live = shared.live.get();
        for change in &changes {
            tracing::warn!(?change, "setting changed by request 1009");
            apply(&mut live, *change);
        }
        shared.live.set(live);
        shared.tell(Event::Configured(live_settings(&live, &shared.config)));
    }
    let Some(file) = file else { return Some(refuse::config_updated(outcome)) };
    let mut next = shared.changes.next.borrow_mut();
    let mut waiting = next.take().map(|(_older, waiting)| waiting).unwrap_or_default();
    waiting.push(caller);
    *next = Some((file, waiting));
    drop(next);
    if !shared.changes.is_writing.replace(true) {
        tokio::task::spawn_local(write(Rc::clone(shared)));
    }
    None
}

/// Writes files until none waits.
#[expect(
    clippy::disallowed_methods,
    reason = "the stored settings are no part of the journal, and one file at a time is written"
)]
async fn write(shared: Rc<Shared>) {
    loop {
        let next = shared.changes.next.borrow_mut().take();
        let Some((file, waiting)) = next else { break };
        match tokio::task::spawn_blocking(move || file.write()).await {
            Ok(Ok(())) => {}
            // As in Java: the change counts, and only the log knows.
            Ok(Err(warning)) => tracing::warn!(%warning, "settings not stored"),
            Err(error) => tracing::error!(%error, "settings not stored"),
        }
        let now = shared.clock.now();
        for caller in waiting {
            let response = refuse::config_updated(crate::config::UpdateOutcome::Done);
            shared.metrics.answered(&caller, response.code, now);
            if let Some(connection) = shared.connection(caller.connection) {
                connection.answer(&caller, &response);
                connection.flush();
            }
        }
    }
    shared.changes.is_writing.set(false);
}

fn apply(live: &mut Live, change: LiveChange) {
    match change {
        LiveChange::UncleanElection(value) => live.brokers.is_unclean_allowed = value,
        LiveChange::NotifyBrokers(value) => live.brokers.is_notified = value,
        LiveChange::IdleSecsMax(value) => live.idle_secs_max = value,
        LiveChange::ShutdownGracefully(value) => live.is_shutdown_graceful = value,
    }
}

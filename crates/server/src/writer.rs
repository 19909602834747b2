//! The thread that owns the journal: the only one that waits for the disk.
//!
//! When exactly is synced? Here, once for each round of the loop: one group is taken, whatever waits is drained
//! behind it, and one [`Journal::write`] makes all of it durable with one sync. What arrives meanwhile is the next
//! round (rule J2). While nothing waits, spare segments are made, a step at a time (rule J1).
//!
//! A failed write or sync ends the process (rule J4): the kernel may have dropped the pages, so nothing that this
//! process believes about its disk holds any more.

use crate::clock::{Clock, monotonic_micros};
use crate::slice;
use bytes::Bytes;
use controller::{Event, Instant, PeerId, Persist, SnapshotDescriptor};
use journal::{Disk, Founding, Identity, Journal, JournalError, Upkeep};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;
use tokio::sync::mpsc::Sender;

/// Orders on their way to this thread; more wait in `orders.rs`.
pub(crate) const ORDERS_MAX: usize = 16_384;

/// Groups that share one write; a few megabytes at most, so that one sync stays short.
const GROUPS_PER_WRITE_MAX: usize = 1_024;

/// How long nothing must wait before spares are made.
const IDLE: Duration = Duration::from_millis(20);

/// What the core wants made durable, in this order.
#[derive(Debug)]
pub(crate) enum Order {
    /// Log entries and hard state.
    Persist(Persist),
    /// The identity record of the first start.
    Identity {
        /// Whether the cluster is founded, or only being founded.
        is_founded: bool,
        /// The first voters.
        voters: Vec<PeerId>,
        /// This peer's own id.
        member: PeerId,
    },
    /// A snapshot.
    Snapshot(SnapshotDescriptor, Bytes),
}

/// What the writer says.
#[derive(Debug)]
pub(crate) enum Done {
    /// To be handed to the core.
    Event(Event),
    /// One write with its sync took this long, and made this many groups durable.
    Synced {
        /// Microseconds.
        micros: u64,
        /// Microseconds of that for the sync; `None` if nothing was synced.
        sync_micros: Option<u64>,
        /// When all was done.
        ended: Instant,
        /// Number of the newest group.
        number: u64,
        /// Bytes written to segments; 0 if nothing needed to be durable, and nothing was synced.
        bytes: u64,
        /// Groups that became durable.
        groups: usize,
        /// Bytes that the journal's files hold.
        bytes_on_disk: u64,
    },
    /// A snapshot was saved, and the log below it given up.
    Saved {
        /// Microseconds of the saving.
        micros: u64,
        /// Microseconds of the giving up.
        recycling_micros: u64,
    },
    /// The journal failed; the process must end.
    Failed(JournalError),
}

/// Runs until the core is gone or the journal fails.
pub(crate) fn run<D: Disk>(
    mut journal: Journal<D>,
    cluster: u64,
    clock: Clock,
    orders: &Receiver<Order>,
    done: &Sender<Done>,
) {
    slice::ask_for_short_ones();
    journal.tell_time(monotonic_micros);
    let mut groups: Vec<Persist> = Vec::new();
    let mut next = None;
    loop {
        let order = match next.take().map_or_else(|| wait(&mut journal, orders), |o| Ok(Some(o))) {
            Ok(Some(order)) => order,
            Ok(None) => return,
            Err(error) => return say(done, Done::Failed(error)),
        };
        let result = match order {
            Order::Persist(persist) => {
                groups.push(persist);
                next = drain(orders, &mut groups);
                write(&mut journal, clock, &mut groups, done)
            }
            Order::Identity { is_founded, voters, member } => {
                let state = if is_founded { Founding::Founded } else { Founding::Founding };
                let identity = Identity { cluster, peer: member, state, voters };
                journal.write_identity(&identity).map(|()| {
                    say(done, Done::Event(Event::IdentityWritten));
                })
            }
            Order::Snapshot(descriptor, bytes) => {
                let (began, before) = (monotonic_micros(), journal.counters());
                match journal.save_snapshot(&descriptor, &bytes) {
                    Ok(()) => {
                        let recycling_micros =
                            journal.counters().recycling_micros - before.recycling_micros;
                        let micros = (monotonic_micros() - began).saturating_sub(recycling_micros);
                        say(done, Done::Saved { micros, recycling_micros });
                        say(done, Done::Event(Event::SnapshotSaved { descriptor }));
                        Ok(())
                    }
                    Err(error) if error.is_survivable() => {
                        tracing::error!(%error, "snapshot not saved; free some disk space");
                        say(done, Done::Event(Event::SnapshotFailed { descriptor }));
                        Ok(())
                    }
                    Err(error) => Err(error),
                }
            }
        };
        if let Err(error) = result {
            return say(done, Done::Failed(error));
        }
    }
}

fn write<D: Disk>(
    journal: &mut Journal<D>,
    clock: Clock,
    groups: &mut Vec<Persist>,
    done: &Sender<Done>,
) -> Result<(), JournalError> {
    let began = clock.now();
    let before = journal.counters();
    journal.write(groups)?;
    let after = journal.counters();
    let bytes = after.bytes.saturating_sub(before.bytes);
    let ended = clock.now();
    let micros = ended.since_micros(began);
    let sync_micros =
        (after.syncs > before.syncs).then(|| after.sync_micros.saturating_sub(before.sync_micros));
    let number = groups.iter().map(|group| group.number).max();
    let count = groups.len();
    groups.clear();
    if let Some(number) = number {
        say(done, Done::Event(Event::Persisted { number }));
    }
    let bytes_on_disk = journal.bytes_on_disk();
    let number = number.unwrap_or_default();
    let groups = count;
    say(done, Done::Synced { micros, sync_micros, ended, number, bytes, groups, bytes_on_disk });
    Ok(())
}

/// Takes what waits, up to a limit; an order of another kind ends the write and comes next.
fn drain(orders: &Receiver<Order>, groups: &mut Vec<Persist>) -> Option<Order> {
    while groups.len() < GROUPS_PER_WRITE_MAX {
        match orders.try_recv() {
            Ok(Order::Persist(persist)) => groups.push(persist),
            Ok(other) => return Some(other),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => return None,
        }
    }
    None
}

/// The next order; `None` when the core is gone. Makes spares while it waits.
fn wait<D: Disk>(
    journal: &mut Journal<D>,
    orders: &Receiver<Order>,
) -> Result<Option<Order>, JournalError> {
    let mut has_upkeep = journal.identity().is_some();
    loop {
        let order = if has_upkeep {
            orders.recv_timeout(IDLE)
        } else {
            orders.recv().map_err(|_gone| RecvTimeoutError::Disconnected)
        };
        match order {
            Ok(order) => return Ok(Some(order)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {
                has_upkeep = match journal.maintain()? {
                    Upkeep::More => true,
                    // Looked at again after the next write: only writing uses spares up.
                    Upkeep::Done => false,
                    Upkeep::DiskFull => {
                        tracing::error!("disk full: no spare segment can be made");
                        false
                    }
                };
            }
        }
    }
}

fn say(done: &Sender<Done>, what: Done) {
    // The receiver is gone only when the process stops; then nobody needs to know.
    drop(done.blocking_send(what));
}

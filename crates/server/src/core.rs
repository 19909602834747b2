//! The loop that owns the controller: events in, one turn, effects out.
//!
//! ```text
//!  connections, peer links, writer, timers ──► inbox ──► Controller::handle … EndOfTurn ──► effects
//!                                                                                        │
//!     sockets ◄── answers, batches (one write per connection and turn) ◄─────────────────┤
//!     writer thread ◄── persist, identity, snapshot ◄────────────────────────────────────┤
//!     brokers ◄── notices, probes ◄──────────────────────────────────────────────────────┘
//! ```
//!
//! Nothing here waits for a disk (`orders.rs`). Sockets and core share one thread (decision 0006), so a turn
//! takes whatever became readable during the last one: batching without a timer.

use crate::metrics::Work;
use crate::notes;
use crate::orders::Orders;
use crate::outgoing::Outgoing;
use crate::peer_link::{PeerLink, Pushed};
use crate::pushing::Pushing;
use crate::rest::Rest;
use crate::shared::Shared;
use crate::stages::{Round, Stages};
use crate::traces::Turn;
use crate::writer::{Done, Order};
use controller::{
    ConnectionId, ConsensusNote, Controller, Effect, Event, Founding, Instant, Note, PeerId, seat,
};
use journal::JournalError;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Sleep, sleep};

/// Why the loop ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The process was asked to stop, and leadership was handed over as far as possible.
    Stopped,
    /// The disk says now that this is another member: everything starts anew from there (rule M4).
    Restart,
    /// The journal failed: the process must not go on (rule J4).
    Journal(JournalError),
}

/// The controller and everything its effects need.
pub(crate) struct Core {
    pub(crate) shared: Rc<Shared>,
    /// Boxed: it is tens of kilobytes, too much to be moved from frame to frame.
    pub(crate) controller: Box<Controller>,
    pub(crate) links: BTreeMap<PeerId, Rc<PeerLink>>,
    pub(crate) outgoing: Outgoing,
    pub(crate) orders: Orders,
    pub(crate) done: Receiver<Done>,
    pub(crate) gauges: notes::Gauges,
    pub(crate) rest: Rest,
    pub(crate) stages: Box<Stages>,
    pub(crate) pushing: Pushing,
}

impl Core {
    /// Runs until [`End`].
    pub(crate) async fn run(mut self) -> End {
        let mut events: Vec<Event> = Vec::new();
        let mut effects: Vec<Effect> = Vec::new();
        let mut replied: BTreeSet<ConnectionId> = BTreeSet::new();
        let mut timer: std::pin::Pin<Box<Sleep>> = Box::pin(sleep(Duration::ZERO));
        let shared = Rc::clone(&self.shared);
        loop {
            tokio::select! {
                biased;
                done = self.done.recv() => {
                    let Some(done) = done else { return End::Stopped };
                    if let Some(end) = self.take_done(done, &mut events) {
                        return end;
                    }
                }
                () = shared.wake.notified() => {}
                () = &mut timer => events.push(Event::Wake),
            }
            while let Ok(done) = self.done.try_recv() {
                if let Some(end) = self.take_done(done, &mut events) {
                    return end;
                }
            }
            if let Some(is_behind) = self.orders.news() {
                tracing::warn!(is_behind, "the disk falls behind, or has caught up");
                events.push(Event::DiskBehind(is_behind));
            }
            if shared.inbox.take(&mut events) {
                shared.wake.notify_one();
            }
            let now = shared.clock.now();
            self.rest.turn(now, &events);
            self.stages.begin(now, &events, &shared.metrics);
            for event in events.drain(..) {
                self.controller.handle(now, event, &mut effects);
            }
            let applied = self.controller.commands_applied();
            let ending = shared.clock.now();
            self.controller.handle(now, Event::EndOfTurn, &mut effects);
            let decided = shared.clock.now();
            let applied = self.controller.commands_applied() - applied;
            self.stages.decided(applied, ending, decided, &shared.metrics);
            let mut end = None;
            for effect in effects.drain(..) {
                match effect {
                    Effect::WakeAt(at) => timer.as_mut().reset(shared.clock.to_tokio(at)),
                    Effect::Stopped => end = Some(End::Stopped),
                    Effect::Restart => end = Some(End::Restart),
                    other => self.carry_out(now, other, &mut replied),
                }
            }
            self.send_off((ending, decided), &mut replied);
            if let Some(end) = end {
                return end;
            }
            self.gauges.publish_if_due(now, &self.controller, &shared.metrics);
            self.rest.after_turn(|| self.controller.is_waited_for() || self.orders.are_owed());
            // A turn that always leaves work for the next must not keep sockets and timers waiting for ever.
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Lets everything leave that the turn wrote: it began to end and was decided at these moments.
    fn send_off(
        &mut self,
        (ending, decided): (Instant, Instant),
        replied: &mut BTreeSet<ConnectionId>,
    ) {
        let shared = &self.shared;
        for link in self.links.values() {
            link.flush(shared);
        }
        while let Some(connection) = replied.pop_first() {
            if let Some(connection) = shared.connection(connection) {
                connection.flush();
            }
        }
        if self.stages.has_answers() {
            let left = shared.clock.now();
            self.stages.answered(left, &shared.metrics);
            if let Some(traces) = &mut self.pushing.traces {
                traces.left(Turn { ending, decided, left }, &self.stages);
            }
        }
    }

    fn take_done(&mut self, done: Done, events: &mut Vec<Event>) -> Option<End> {
        match done {
            Done::Event(event) => events.push(event),
            Done::Synced { micros, sync_micros, ended, number, bytes, groups, bytes_on_disk } => {
                self.orders.done(groups);
                let round = Round { number, ended, sync_micros, groups, is_written: bytes > 0 };
                self.stages.written(round, &self.shared.metrics);
                // A commit index alone rides along with a later write.
                if bytes > 0 {
                    self.shared.metrics.journal_sync(micros, bytes);
                }
                self.gauges.journal_bytes = bytes_on_disk;
            }
            Done::Saved { micros, recycling_micros } => {
                self.shared.metrics.work(Work::Snapshot, micros);
                self.shared.metrics.work(Work::Compaction, recycling_micros);
            }
            Done::Failed(error) => return Some(End::Journal(error)),
        }
        None
    }

    fn carry_out(&mut self, now: Instant, effect: Effect, replied: &mut BTreeSet<ConnectionId>) {
        match effect {
            Effect::Reply { caller, response } => {
                self.shared.metrics.answered(&caller, response.code, now);
                if caller.is_one_way {
                    // The connection would not be told anything: no need to look for it.
                    return;
                }
                if let Some(connection) = self.shared.connection(caller.connection) {
                    self.stages.answer();
                    if let Some(traces) = &mut self.pushing.traces {
                        traces.answer(&caller, response.code);
                    }
                    connection.answer(&caller, &response);
                    replied.insert(caller.connection);
                }
            }
            Effect::Send { peer, message } => {
                let Some(link) = self.links.get(&seat(peer)) else { return };
                self.stages.sent(now, peer, &message);
                match link.push(&message) {
                    Pushed::Taken => {}
                    Pushed::Full => {
                        self.shared.metrics.refused("PEER_QUEUE_BYTES_MAX");
                        self.shared.tell(Event::PeerUnreachable { peer, is_refused: false });
                    }
                    Pushed::TooLong => self.shared.metrics.refused("BATCH_BYTES_MAX"),
                }
            }
            Effect::Persist(persist) => {
                self.stages.ordered(now, persist.number);
                self.orders.push(Order::Persist(persist));
            }
            Effect::WriteIdentity { state, voters, member } => {
                let is_founded = state == Founding::Founded;
                self.orders.push(Order::Identity { is_founded, voters, member });
            }
            Effect::SaveSnapshot { descriptor, bytes } => {
                self.orders.push(Order::Snapshot(descriptor, bytes));
            }
            Effect::Notify { attempt, address, notice } => {
                self.outgoing.notify(attempt, address, notice);
            }
            Effect::Probe { attempt, address } => self.outgoing.probe(attempt, address),
            Effect::Note(note) => {
                if let Note::Consensus(ConsensusNote::Leadership { .. }) = note {
                    self.stages.leadership_changed();
                }
                if let Some(traces) = &mut self.pushing.traces {
                    traces.note(&note);
                }
                notes::take(&self.shared, &note);
            }
            Effect::WakeAt(_) | Effect::Stopped | Effect::Restart => {
                unreachable!("the loop takes these itself")
            }
        }
    }
}

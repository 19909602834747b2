//! The thread of a controller that owns its journal, and the start and the end of a process.
//!
//! As in the server: orders are carried out in their order, groups that wait share one write, spares are made when
//! nothing waits, and a journal that fails ends the process. A crash can come before, after, or in the middle of what
//! the writer is doing: then some operations of the disk have happened and the next one has not.

use crate::agenda::{MS, What};
use crate::check::images::Recovery;
use crate::node::{Fate, peer_id};
use crate::random::Random;
use crate::world::World;
use bytes::Bytes;
use consensus::{PeerId, Persist};
use controller::{Controller, Event, Founding, SnapshotDescriptor, Start};
use journal::{Fault, Identity, Journal, JournalError, OpenError, Recovered, RecoveryNote, Upkeep};
use std::collections::VecDeque;

/// No write takes longer, however slow the disk, unless it hangs.
const SLOWEST_WRITE: u64 = 4_000 * MS;
/// The cluster id in every journal here.
pub(crate) const CLUSTER: u64 = 0x5EED;
/// Groups that share one write. As in the server.
const GROUPS_PER_WRITE_MAX: usize = 1_024;
/// How long nothing must wait before spares are made. As in the server.
const IDLE: u64 = 20 * MS;
/// What starts a process again after it ended by itself waits so long.
const SUPERVISOR: (u64, u64) = (100 * MS, 2_000 * MS);

/// What the core wants made durable.
#[derive(Debug, Clone)]
pub(crate) enum Order {
    Persist(Persist),
    Identity(Founding, Vec<PeerId>, PeerId),
    Snapshot(SnapshotDescriptor, Bytes),
}

/// The writer of one process.
#[derive(Debug)]
pub(crate) struct Writer {
    orders: VecDeque<Order>,
    /// What the disk is doing now: groups of one write, or one order of another kind.
    busy: Vec<Order>,
    has_upkeep: bool,
    random: Random,
    /// Nothing is finished before this moment.
    pub(crate) hung_until: u64,
    /// Everything takes so many times longer.
    pub(crate) slowness: u64,
}

impl Writer {
    pub(crate) fn new(seed: u64, number: usize) -> Self {
        Self {
            orders: VecDeque::new(),
            busy: Vec::new(),
            has_upkeep: false,
            random: Random::stream(seed, "disk", number),
            hung_until: 0,
            slowness: 1,
        }
    }

    pub(crate) fn forget(&mut self) {
        self.orders.clear();
        self.busy.clear();
        self.has_upkeep = false;
    }

    /// Takes what one round of the writer carries out.
    fn take_round(&mut self) {
        while let Some(order) = self.orders.pop_front() {
            let is_group = matches!(order, Order::Persist(_));
            if !is_group && !self.busy.is_empty() {
                self.orders.push_front(order);
                return;
            }
            self.busy.push(order);
            if !is_group || self.busy.len() == GROUPS_PER_WRITE_MAX {
                return;
            }
        }
    }
}

impl World<'_> {
    pub(crate) fn order(&mut self, node: usize, order: Order) {
        self.nodes[node].writer.orders.push_back(order);
        self.begin_round(node);
    }

    fn begin_round(&mut self, node: usize) {
        let now = self.now;
        let (middle, most) = (self.plan.sync, self.plan.sync_max);
        let state = &mut self.nodes[node];
        if !state.writer.busy.is_empty() {
            return;
        }
        state.writer.take_round();
        let boot = state.boot;
        if state.writer.busy.is_empty() {
            if state.writer.has_upkeep {
                self.put(IDLE, What::Idle { node, boot });
            }
            return;
        }
        let delay = state.writer.random.delay(middle, most) * state.writer.slowness;
        let delay = delay.min(SLOWEST_WRITE);
        let moment = (now + delay).max(state.writer.hung_until);
        self.agenda.put(moment, What::Written { node, boot });
    }

    /// The disk is done with what the writer asked of it.
    pub(crate) fn written(&mut self, node: usize) {
        let hung_until = self.nodes[node].writer.hung_until.max(self.nodes[node].frozen_until);
        if hung_until > self.now {
            let boot = self.nodes[node].boot;
            return self.agenda.put(hung_until, What::Written { node, boot });
        }
        let busy = std::mem::take(&mut self.nodes[node].writer.busy);
        match self.do_round(node, &busy) {
            Ok(event) => {
                self.nodes[node].writer.has_upkeep = true;
                for order in &busy {
                    self.durable(node, order);
                }
                if let Some(event) = event {
                    self.tell(node, event);
                }
                self.begin_round(node);
            }
            Err(error) => self.journal_failed(node, &error),
        }
    }

    /// One round on the disk, as the server's writer does it.
    fn do_round(&mut self, node: usize, busy: &[Order]) -> Result<Option<Event>, JournalError> {
        let state = &mut self.nodes[node];
        let Some(journal) = &mut state.journal else { return Ok(None) };
        let before = journal.counters();
        match busy {
            [Order::Identity(founding, voters, member)] => {
                let state = match founding {
                    Founding::Founded => journal::Founding::Founded,
                    Founding::Empty | Founding::Founding => journal::Founding::Founding,
                };
                let (peer, voters) = (*member, voters.clone());
                journal.write_identity(&Identity { cluster: CLUSTER, peer, state, voters })?;
                Ok(Some(Event::IdentityWritten))
            }
            [Order::Snapshot(descriptor, bytes)] => {
                let descriptor = descriptor.clone();
                match journal.save_snapshot(&descriptor, bytes) {
                    Ok(()) => Ok(Some(Event::SnapshotSaved { descriptor })),
                    Err(error) if error.is_survivable() => {
                        self.sometimes("disk_full_stepped_aside");
                        Ok(Some(Event::SnapshotFailed { descriptor }))
                    }
                    Err(error) => Err(error),
                }
            }
            groups => {
                let groups: Vec<Persist> = groups
                    .iter()
                    .filter_map(|order| match order {
                        Order::Persist(group) => Some(group.clone()),
                        Order::Identity(..) | Order::Snapshot(..) => None,
                    })
                    .collect();
                journal.write(&groups)?;
                let after = journal.counters();
                let spares_missing = after.segments_without_spare > before.segments_without_spare;
                let number = groups.iter().map(|group| group.number).max();
                if spares_missing {
                    self.sometimes("spares_missing");
                }
                Ok(number.map(|number| Event::Persisted { number }))
            }
        }
    }

    fn journal_failed(&mut self, node: usize, error: &JournalError) {
        match error {
            JournalError::Disk(_) => {
                self.sometimes("sync_failed");
                self.trace(|| format!("node {node}: the journal failed: {error}"));
                let power = !self.nodes[node].disk.has_power();
                self.end(node, power);
                self.start_again(node);
            }
            JournalError::Contradiction(_)
            | JournalError::GroupTooLarge { .. }
            | JournalError::NoIdentity
            | JournalError::Identity(_)
            | JournalError::Snapshot(_)
            | JournalError::SnapshotDamaged { .. }
            | JournalError::Failed => {
                let text = format!("the core of node {node} contradicts its journal: {error}");
                self.fail("R7", text);
            }
        }
    }

    /// The writer has nothing else to do.
    pub(crate) fn idle(&mut self, node: usize) {
        if !self.nodes[node].writer.busy.is_empty() || !self.nodes[node].writer.has_upkeep {
            return;
        }
        let state = &mut self.nodes[node];
        let Some(journal) = &mut state.journal else { return };
        if journal.identity().is_none() {
            return;
        }
        match journal.maintain() {
            Ok(Upkeep::More) => {
                let boot = state.boot;
                self.put(IDLE, What::Idle { node, boot });
            }
            Ok(Upkeep::Done) => state.writer.has_upkeep = false,
            Ok(Upkeep::DiskFull) => {
                state.writer.has_upkeep = false;
                self.sometimes("disk_full_stepped_aside");
            }
            Err(error) => self.journal_failed(node, &error),
        }
    }

    /// What starts processes again does so after a while.
    pub(crate) fn start_again(&mut self, node: usize) {
        let pause = self.nodes[node].random.between(SUPERVISOR.0, SUPERVISOR.1);
        let boot = self.nodes[node].boot;
        self.put(pause, What::Start { node, boot });
    }

    /// A process ends at once. With `power` its whole host does, and what was not synced may be lost.
    pub(crate) fn end(&mut self, node: usize, power: bool) {
        if !self.is_up(node) {
            return;
        }
        self.trace(|| {
            format!("node {node} ends{}", if power { ", its power is gone" } else { "" })
        });
        self.disturbed(node, node);
        self.nodes[node].ended_at = self.now;
        let busy = std::mem::take(&mut self.nodes[node].writer.busy);
        // What the disk was doing is done to some point.
        if !busy.is_empty() && self.nodes[node].writer.random.chance(500) {
            let disk = &self.nodes[node].disk;
            let most = if matches!(busy.first(), Some(Order::Persist(_))) { 3 } else { 12 };
            let reached = disk.operations() + 1 + self.nodes[node].random.below(most);
            self.nodes[node].disk.fail_at(reached, Fault::PowerLoss);
            // Whether it got that far does not matter: the process is gone.
            self.do_round(node, &busy).ok();
        }
        let counters = self.nodes[node].journal.as_ref().map(Journal::counters);
        if counters.is_some_and(|counters| counters.recycled > 0) {
            self.sometimes("old_bytes_in_recycled_segment");
        }
        if power && self.nodes[node].disk.has_pending_names() {
            self.sometimes("crash_between_rename_and_folder_sync");
        }
        let seed = self.nodes[node].random.next();
        self.nodes[node].forget();
        if power {
            self.host(node, false);
            self.nodes[node].disk.crash(seed);
        } else {
            self.nodes[node].disk.kill();
        }
        self.drop_connections(node);
        let lost = self.calls.iter().filter(|(_, call)| call.node == node && call.is_given_up);
        let lost: Vec<u64> = lost.map(|(&call, _)| call).collect();
        for call in lost {
            self.calls.remove(&call);
        }
        self.checks.ended(node);
    }

    /// A process starts with what its disk holds.
    pub(crate) fn start(&mut self, node: usize) {
        if self.is_up(node) || self.nodes[node].fate == Fate::Refuses {
            return;
        }
        self.host(node, true);
        let disk = self.nodes[node].disk.handle();
        // As in the server: whoever sits here, going by the disk.
        let identity = match journal::read_identity(&disk) {
            Ok(identity) => identity,
            Err(error) => return self.not_opened(node, &error),
        };
        let member = identity.map_or(peer_id(node), |identity| identity.peer);
        self.nodes[node].member = member;
        let opened = Journal::open(disk, CLUSTER, member, self.plan.journal);
        let (journal, recovered) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.not_opened(node, &error),
        };
        match self.recovered(node, &recovered) {
            Ok(dropped) => self.note_recovery(&recovered, dropped),
            Err(it) => return self.fail(it.invariant, format!("node {node}: {}", it.text)),
        }
        self.nodes[node].nonce = self.nodes[node].random.next();
        let settings = self.settings(node);
        let now = self.local(node);
        match Controller::new(now, settings, start_of(recovered)) {
            Ok(controller) => {
                let state = &mut self.nodes[node];
                state.controller = Some(Box::new(controller));
                state.journal = Some(journal);
                state.boot += 1;
                (state.started_at, state.well_since) = (self.now, self.now);
                let boot = state.boot;
                self.trace(|| format!("node {node} starts"));
                self.tell(node, Event::Wake);
                for peer in (0..self.nodes.len()).filter(|&peer| peer != node) {
                    self.put(1, What::Dial { node, boot, peer });
                }
            }
            Err(error) => self.fail("R6", format!("node {node} cannot go on: {error}")),
        }
    }

    fn not_opened(&mut self, node: usize, error: &OpenError) {
        match error {
            OpenError::Disk(_) | OpenError::Permission(_) | OpenError::Locked { .. } => {
                self.sometimes("crash_in_recovery");
                let seed = self.nodes[node].random.next();
                self.nodes[node].disk.crash(seed);
                self.start_again(node);
            }
            OpenError::OtherCluster { .. }
            | OpenError::OtherPeer { .. }
            | OpenError::NewerFormat { .. }
            | OpenError::NotAFolder { .. }
            | OpenError::NotAJournal { .. }
            | OpenError::IdentityMissing { .. }
            | OpenError::SegmentMissing { .. }
            | OpenError::Damaged { .. }
            | OpenError::NoSnapshot { .. }
            | OpenError::Options(_) => {
                if self.nodes[node].fate != Fate::Rotten {
                    let text = format!("node {node} refuses a disk that nothing damaged: {error}");
                    return self.fail("R6", text);
                }
                self.trace(|| format!("node {node} refuses to start: {error}"));
                self.sometimes("damage_refused");
                self.nodes[node].fate = Fate::Refuses;
            }
        }
    }

    fn note_recovery(&mut self, recovered: &Recovered, dropped: usize) {
        let is_torn = |note: &RecoveryNote| matches!(note, RecoveryNote::TornWriteCut { .. });
        if dropped > 0 && recovered.notes.iter().any(is_torn) {
            self.sometimes("torn_group_dropped");
        }
        for note in &recovered.notes {
            self.sometimes(match note {
                RecoveryNote::TornWriteCut { .. } => "torn_write_cut",
                RecoveryNote::UnusedSegment { .. } => "crash_between_rename_and_folder_sync",
                RecoveryNote::SnapshotUnusable { .. } => "fell_back_to_older",
            });
        }
    }

    fn recovered(&mut self, node: usize, recovered: &Recovered) -> Result<usize, Recovery> {
        let is_rotten = self.nodes[node].fate == Fate::Rotten;
        let Self { nodes, checks, .. } = self;
        nodes[node].image.recovered(recovered, is_rotten, &mut checks.entries)
    }
}

/// What the core is told of a recovered journal, as in the server.
fn start_of(recovered: Recovered) -> Start {
    let is_empty = recovered.identity.is_none();
    match recovered.into_restored() {
        Some((restored, snapshot)) => Start::Founded { restored, snapshot },
        None if is_empty => Start::Empty,
        None => Start::Founding,
    }
}

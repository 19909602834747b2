//! What goes into a driver.

use super::Driver;
use crate::message::{Content, Message};
use crate::propose::ProposeError;
use crate::read::Unavailable;
use crate::screen::{Refused, Screen};
use crate::settings::SNAPSHOT_PATIENCE_TICKS;
use crate::{Barrier, Effect, PeerId, Persist, Role, SnapshotDescriptor, Ticket, engine};
use alloc::vec::Vec;
use bytes::Bytes;
use raft::{ProgressState, SnapshotStatus};

impl Driver {
    /// Takes a command of the leader into its next entry.
    ///
    /// The ticket ends exactly once: in an [`Effect::Committed`], or in an [`Effect::Lost`].
    ///
    /// # Errors
    /// - [`ProposeError::NotLeader`]: this peer does not lead.
    /// - [`ProposeError::Size`]: the command is empty or too large.
    /// - [`ProposeError::Busy`]: the queue is full.
    pub fn propose(&mut self, command: Bytes) -> Result<Ticket, ProposeError> {
        if self.role() != Role::Leader {
            return Err(ProposeError::NotLeader { leader: self.leader() });
        }
        self.proposals.push(command)
    }

    /// One more reader joins the batch that is forming; the round starts when the turn ends.
    ///
    /// The barrier ends exactly once: in an [`Effect::Readable`] or [`Effect::BarrierFailed`].
    ///
    /// # Errors
    /// - [`Unavailable::DataLost`]: this peer serves nothing any more.
    /// - [`Unavailable::NoLeader`]: no leader is known.
    /// - [`Unavailable::Busy`]: too many readers wait.
    pub fn read_barrier(&mut self) -> Result<Barrier, Unavailable> {
        if self.has_lost_data {
            return Err(Unavailable::DataLost);
        }
        if self.leader().is_none() {
            return Err(Unavailable::NoLeader);
        }
        self.reads.join(self.now)
    }

    /// Takes a message that came over the link of `from`, whose hello named `link_nonce`.
    ///
    /// # Errors
    /// A [`Refused`] if the message must not reach the engine; it changed nothing, except that
    /// [`Refused::DataLost`] stops this peer for good (D21).
    pub fn step(&mut self, from: PeerId, link_nonce: u64, message: Message) -> Result<(), Refused> {
        if self.has_lost_data {
            return Err(Refused::DataLost { index: self.last_index() });
        }
        let verdict = self.screen().judge(from, &message);
        if let Err(Refused::DataLost { index }) = verdict {
            self.lose_data(from, index);
        }
        verdict?;
        let is_current = message.term >= self.term();
        match &message.content {
            Content::ReadIndex { context } if !self.reads.admit(from, link_nonce, *context) => {
                return Err(Refused::Context);
            }
            Content::ReadIndexAnswer { context, .. } if !self.reads.is_asked(*context) => {
                return Err(Refused::Context);
            }
            Content::Snapshot { descriptor } if is_current && self.must_fetch(descriptor) => {
                self.offer(descriptor.clone(), message);
                return Ok(());
            }
            Content::Append { .. }
            | Content::AppendAnswer { .. }
            | Content::Vote { .. }
            | Content::VoteAnswer { .. }
            | Content::Keepalive { .. }
            | Content::KeepaliveAnswer { .. }
            | Content::Snapshot { .. }
            | Content::TimeoutNow
            | Content::ReadIndex { .. }
            | Content::ReadIndexAnswer { .. } => {}
        }
        self.step_screened(message);
        let is_member = self.node.raft.prs().get(from.0).is_some();
        if is_member && is_current {
            self.heard.insert(from, self.now);
        }
        Ok(())
    }

    fn step_screened(&mut self, message: Message) {
        let outcome = self.node.step(engine::to_message(message));
        debug_assert!(outcome.is_ok(), "a screened message is refused: {outcome:?}");
    }

    fn screen(&self) -> Screen<'_> {
        Screen {
            me: self.settings.me,
            node: &self.node,
            is_writing: self.groups.is_writing(),
            is_installing: self.groups.is_installing(),
        }
    }

    /// Whether the file of this snapshot is needed: not if the log here already reaches there.
    fn must_fetch(&self, descriptor: &SnapshotDescriptor) -> bool {
        let log = &self.node.raft.raft_log;
        let is_ahead = descriptor.index.0 > log.committed;
        is_ahead && !log.match_term(descriptor.index.0, descriptor.term.0)
    }

    /// Keeps the newest snapshot message until its file is here (S5); asks for it once.
    fn offer(&mut self, descriptor: SnapshotDescriptor, message: Message) {
        let from = message.from;
        let old = self.offered.replace((descriptor.clone(), message));
        if old.is_none_or(|(old, _)| old != descriptor) {
            self.out.push(Effect::FetchSnapshot { from, descriptor });
        }
    }

    /// The file of a snapshot is durable here (`ok`), or cannot be had.
    pub fn snapshot_fetched(&mut self, descriptor: &SnapshotDescriptor, ok: bool) {
        let offered = self.offered.take_if(|(offered, _)| offered == descriptor);
        let Some((_, message)) = offered else { return };
        // While the file travelled this peer may have changed: the message is judged again.
        let is_welcome = self.screen().judge(message.from, &message).is_ok();
        if ok && is_welcome && !self.has_lost_data {
            self.step_screened(message);
        }
    }

    /// Everything handed to the journal up to this number is durable.
    pub fn persisted(&mut self, number: u64) {
        if !self.has_lost_data {
            self.groups.persisted(number);
            self.settle();
        }
    }

    /// One tick of this peer's clock.
    pub fn tick(&mut self) {
        if self.has_lost_data {
            return;
        }
        self.now += 1;
        if !self.must_hold_clock() {
            self.node.tick();
        }
        let patience = u64::from(self.settings.election_ticks);
        self.proposals.expire(self.now, patience, &mut self.out);
        self.reads.expire(self.now, &mut self.out);
        self.write_idle_commit(patience);
        self.offer_snapshots_again();
    }

    /// A commit index that no group took along is written after a while: a restart then has less
    /// to learn again.
    fn write_idle_commit(&mut self, patience: u64) {
        let is_due = self.commit_unwritten_since.is_some_and(|since| since + patience <= self.now);
        if !is_due || self.groups.is_writing() {
            return;
        }
        let hard_state = self.unwritten_hard_state();
        self.out.push(Effect::Persist(Persist {
            number: self.number,
            hard_state,
            entries: Vec::new(),
            snapshot: None,
            must_sync: false,
        }));
    }

    /// A peer whose snapshot nobody reported would be paused for ever (S6).
    fn offer_snapshots_again(&mut self) {
        if self.role() != Role::Leader {
            return;
        }
        let mut overdue = Vec::new();
        for (&id, progress) in self.node.raft.prs().iter() {
            let peer = PeerId(id);
            if progress.state != ProgressState::Snapshot {
                self.snapshot_since.remove(&peer);
                continue;
            }
            let since = *self.snapshot_since.entry(peer).or_insert(self.now);
            if since + SNAPSHOT_PATIENCE_TICKS <= self.now {
                overdue.push(peer);
            }
        }
        overdue.sort_unstable();
        for peer in overdue {
            self.snapshot_reported(peer, false);
        }
    }

    /// A message to this peer was dropped, or its link broke.
    pub fn unreachable(&mut self, peer: PeerId) {
        let progress = self.node.raft.prs().get(peer.0).map(|progress| progress.state);
        self.node.report_unreachable(peer.0);
        if progress == Some(ProgressState::Snapshot) {
            self.snapshot_reported(peer, false);
        }
    }

    /// The file of a snapshot reached this peer (`ok`), or the transfer failed.
    pub fn snapshot_reported(&mut self, peer: PeerId, ok: bool) {
        self.snapshot_since.remove(&peer);
        let status = if ok { SnapshotStatus::Finish } else { SnapshotStatus::Failure };
        self.node.report_snapshot(peer.0, status);
    }

    /// The state of `descriptor`, applied up to its index and no further, is durable; entries far
    /// before it are forgotten.
    ///
    /// # Panics
    /// If it is ahead of what is applied, or names another term: it is not of this log.
    pub fn snapshot_taken(&mut self, descriptor: SnapshotDescriptor) {
        let applied = self.applied.0;
        assert!(descriptor.index <= applied, "snapshot {descriptor:?}, applied {applied}");
        let newest = self.snapshot().map(|snapshot| snapshot.index);
        // One that was installed while this one was written is newer.
        if newest.is_none_or(|newest| newest < descriptor.index) {
            let catch_up_entries = self.settings.catch_up_entries;
            self.node.mut_store().taken(descriptor, catch_up_entries);
        }
    }

    /// Runs this peer's clock forward to its campaign time-out (D23). When to do so, and how often,
    /// the caller knows: it sees refused connections.
    pub fn campaign_now(&mut self) {
        if self.has_lost_data || self.role() == Role::Leader {
            return;
        }
        for _ in 0..self.settings.election_ticks {
            if self.must_hold_clock() || self.node.tick() {
                return;
            }
        }
    }

    /// Hands leadership to `target`, as soon as its log is whole. Proposals wait meanwhile. It is
    /// given up after a campaign time-out ([`crate::Note::TransferAborted`]).
    pub fn transfer_to(&mut self, target: PeerId) {
        let is_possible = self.role() == Role::Leader
            && target != self.settings.me
            && self.membership().voters.contains(&target);
        if is_possible {
            self.node.transfer_leader(target.0);
            self.transfer = Some(target);
        }
    }

    /// Whether a campaign would break the engine now, see the module of the driver.
    fn must_hold_clock(&self) -> bool {
        let is_alone = self.node.raft.prs().is_singleton();
        let is_blocked = self.groups.is_installing() || (is_alone && self.groups.is_writing());
        is_blocked && !self.is_engine_leader()
    }
}

//! One peer: the turn, and what is done with the engine's Ready.
//!
//! A turn is any number of inputs and one [`Driver::end_of_turn`]. Give a turn's inputs in this
//! order: messages, persisted numbers, ticks, proposals and readers (D1). The rules that the
//! recipe keeps stand at `Driver::take_ready`.
//!
//! Invariants:
//! 1. Between the engine's `ready` and `advance_append_async` only its storage is touched.
//! 2. Effects come in the order in which things must happen; what may be sent at once comes first.
//! 3. `applied` is what the caller has applied when it has carried out all effects up to here.
//! 4. The engine's own proposal forwarding and leases are never used, and a joint membership is left by a change of
//!    our own (M3).
//!
//! The engine's clock does not run while a campaign would break it: between the installation of
//! a snapshot and its durability, and, where this peer is the only voter, while its log is written.

mod input;
mod members;
mod start;
mod status;
#[cfg(test)]
mod tests;

pub use start::StartError;
pub use status::PeerProgress;

use crate::coalesce::coalesce;
use crate::groups::{Group, Groups};
use crate::log::LogWindow;
use crate::propose::Proposals;
use crate::read::Reads;
use crate::{
    CommittedCommand, Effect, EntryKind, HardState, LogIndex, Message, Note, PeerId, Persist, Role,
    Settings, SnapshotDescriptor, Term, Ticket, engine, frame,
};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use raft::eraftpb::{Entry as EngineEntry, Message as EngineMessage};
use raft::{RawNode, ReadState, StateRole};

/// One peer of the cluster; see the crate and this module.
pub struct Driver {
    settings: Settings,
    node: RawNode<LogWindow>,
    proposals: Proposals,
    reads: Reads,
    groups: Groups,
    /// The hard state of the newest Ready.
    hard_state: HardState,
    /// The hard state that the journal has, or is writing.
    written: HardState,
    /// The commit index moved at this tick, and the journal does not know yet (D3).
    commit_unwritten_since: Option<u64>,
    /// The newest number handed to the journal.
    number: u64,
    /// What the last [`Note::Leadership`] said.
    leadership: Leadership,
    /// The last term whose [`Note::LeaderReady`] is out.
    ready_term: Term,
    transfer: Option<PeerId>,
    /// A snapshot message that waits for its file (S5).
    offered: Option<(SnapshotDescriptor, Message)>,
    applied: (LogIndex, Term),
    /// Ticks since the start.
    now: u64,
    /// The tick at which a member was last heard in the present term.
    heard: BTreeMap<PeerId, u64>,
    /// Since when a peer waits for a snapshot, as the leader sees it.
    snapshot_since: BTreeMap<PeerId, u64>,
    has_lost_data: bool,
    out: Vec<Effect>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Leadership {
    term: Term,
    role: Role,
    leader: Option<PeerId>,
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("me", &self.settings.me)
            .field("leadership", &self.leadership)
            .field("commit", &self.commit())
            .field("applied", &self.applied)
            .field("last", &self.last_index())
            .finish_non_exhaustive()
    }
}

impl Driver {
    /// Ends the turn: answers what a change of leadership ends, frames the proposals, starts a
    /// read round, takes everything from the engine, and appends the turn's effects.
    pub fn end_of_turn(&mut self, effects: &mut Vec<Effect>) {
        if !self.has_lost_data {
            self.notice_leadership();
            loop {
                self.frame_proposals();
                self.start_read_round();
                if !self.node.has_ready() {
                    break;
                }
                // What is committed or confirmed here makes room for the next frame and round,
                // which must not wait for an event that may not come soon: once more from above.
                while self.node.has_ready() {
                    self.take_ready();
                }
            }
            self.reads.serve(self.applied.0, &mut self.out);
        }
        effects.append(&mut self.out);
    }

    /// The recipe, step by step. `Ready` is the engine's bundle of what it wants done.
    ///
    /// 1. What it adds to the log is put into the window, before the engine is told (D5).
    /// 2. A leader's messages leave at once, so that its peers write while it writes (D2), unless
    ///    a term or vote here is not durable yet (D4). All others wait for their group.
    /// 3. One group goes to the journal if there is an entry, a snapshot, a term or a vote in it.
    ///    A commit index alone rides with the next group (D3).
    /// 4. The engine is told that all is taken, and, if nothing had to be written and nothing is
    ///    being written, that it is durable.
    /// 5. Committed entries are handed out and count as applied; then readers are served (D5).
    fn take_ready(&mut self) {
        let mut ready = self.node.ready();
        let number = ready.number();

        let snapshot = ready.snapshot();
        let snapshot = (!snapshot.is_empty()).then(|| engine::descriptor(snapshot));
        if let Some(descriptor) = &snapshot {
            self.node.mut_store().install(descriptor);
        }
        let entries = ready.take_entries();
        self.node.mut_store().append(&entries);

        let old = self.hard_state;
        self.hard_state = ready.hs().map_or(old, engine::hard_state);
        let new = self.hard_state;
        let has_vote = (old.term, old.vote) != (new.term, new.vote);
        let mut prompt = ready.take_messages();
        let mut messages = ready.take_persisted_messages();
        if has_vote || self.groups.has_vote() {
            messages.append(&mut prompt);
        }
        self.send(prompt);

        let is_writing = ready.must_sync();
        self.proposals.overwritten(&entries, &mut self.out);
        if is_writing {
            let entries = entries.iter().map(engine::entry).collect();
            self.persist(number, entries, snapshot.clone());
        } else if new.commit != old.commit {
            self.commit_unwritten_since.get_or_insert(self.now);
        }
        self.groups.push(Group { number, is_writing, has_vote, messages, snapshot });

        let committed = ready.take_committed_entries();
        let read_states = ready.take_read_states();
        self.node.advance_append_async(ready);
        self.settle();

        for entry in committed {
            self.commit_entry(entry);
        }
        self.node.advance_apply_to(self.applied.0.0);
        for ReadState { index, request_ctx } in read_states {
            self.reads.confirm(engine::context(&request_ctx), LogIndex(index));
        }
        self.reads.serve(self.applied.0, &mut self.out);
    }

    fn persist(
        &mut self,
        number: u64,
        entries: Vec<crate::Entry>,
        snapshot: Option<SnapshotDescriptor>,
    ) {
        self.number = number;
        let hard_state = self.unwritten_hard_state();
        let group = Persist { number, hard_state, entries, snapshot, must_sync: true };
        self.out.push(Effect::Persist(group));
    }

    /// The hard state if the journal does not have it yet; it goes there now.
    fn unwritten_hard_state(&mut self) -> Option<HardState> {
        self.commit_unwritten_since = None;
        let is_new = self.hard_state != self.written;
        self.written = self.hard_state;
        is_new.then_some(self.hard_state)
    }

    /// Acknowledges, in order, every group that is done: the engine counts it, its snapshot is
    /// installed, its messages leave.
    fn settle(&mut self) {
        let mut last = None;
        let mut messages = Vec::new();
        let mut snapshot = None;
        while let Some(mut group) = self.groups.pop_done() {
            last = Some(group.number);
            messages.append(&mut group.messages);
            snapshot = group.snapshot.or(snapshot);
        }
        let Some(last) = last else { return };
        self.node.on_persist_ready(last);
        if let Some(descriptor) = snapshot {
            self.install(descriptor);
        }
        self.send(messages);
    }

    fn install(&mut self, descriptor: SnapshotDescriptor) {
        assert!(
            descriptor.index >= self.applied.0,
            "a snapshot at {} is installed over {}",
            descriptor.index,
            self.applied.0
        );
        self.applied = (descriptor.index, descriptor.term);
        self.proposals.lose_frames(&mut self.out);
        self.out.push(Effect::InstallSnapshot { descriptor });
        self.node.advance_apply_to(self.applied.0.0);
    }

    fn send(&mut self, mut messages: Vec<EngineMessage>) {
        coalesce(&mut messages);
        self.out.extend(messages.into_iter().map(|message| {
            let message = engine::message(message);
            Effect::Send { to: message.to, message }
        }));
    }

    /// Hands out one committed entry; with it, the tickets of its commands end.
    fn commit_entry(&mut self, entry: EngineEntry) {
        let entry = engine::entry(&entry);
        let (term, index) = (entry.term, entry.index);
        let next = self.applied.0.0 + 1;
        assert!(index.0 == next, "entry {index} is committed where {next} comes next");
        let first = self.proposals.applied(term, index);
        let commands = match entry.kind {
            EntryKind::Empty | EntryKind::Membership => Vec::new(),
            EntryKind::Commands => commands(&entry.bytes, first),
        };
        self.applied = (index, term);
        self.out.push(Effect::Committed { term, index, commands });
        if entry.kind == EntryKind::Membership {
            self.change_membership(index, &entry.bytes);
        }
        let is_first = self.role() == Role::Leader && self.ready_term != term;
        if is_first && term == self.term() {
            self.ready_term = term;
            self.out.push(Effect::Note(Note::LeaderReady { term }));
        }
    }

    /// Ends what does not outlive a term, a role or a leader (D9).
    fn notice_leadership(&mut self) {
        let old = self.leadership;
        let new = Leadership { term: self.term(), role: self.role(), leader: self.leader() };
        self.notice_transfer(new.role);
        if old == new {
            return;
        }
        self.leadership = new;
        self.heard.clear();
        self.snapshot_since.clear();
        let Leadership { term, role, leader } = new;
        self.out.push(Effect::Note(Note::Leadership { term, role, leader }));
        if old.role == Role::Leader {
            self.proposals.leadership_lost(self.now, &mut self.out);
        }
        self.reads.fail_unconfirmed(crate::BarrierLoss::LeaderChanged, &mut self.out);
    }

    /// The engine gives a transfer up after a campaign time-out, without a word.
    fn notice_transfer(&mut self, role: Role) {
        if self.node.raft.lead_transferee.is_some() {
            return;
        }
        let Some(target) = self.transfer.take() else { return };
        if role == Role::Leader {
            self.out.push(Effect::Note(Note::TransferAborted { target }));
        }
    }

    /// Puts the waiting commands into entries (D11). During a transfer they wait (M7).
    fn frame_proposals(&mut self) {
        let is_open = self.role() == Role::Leader && self.node.raft.lead_transferee.is_none();
        if !is_open {
            return;
        }
        while let Some((payload, count)) = self.proposals.next_frame() {
            let proposal = engine::proposal(self.settings.me, payload);
            if self.node.raft.step(proposal).is_err() {
                // Dropped by the engine's limit of uncommitted bytes: they wait in our queue,
                // until there is room or leadership is lost (D10).
                break;
            }
            self.proposals.framed(count, self.term(), self.last_index());
        }
    }

    /// Asks for a commit index, once a leader can answer: an engine that has not committed in its
    /// term drops the question without a word (D15, D17). A follower sees the same commit soon.
    fn start_read_round(&mut self) {
        if self.leader().is_none() || !self.node.raft.commit_to_current_term() {
            return;
        }
        let repeated = self.reads.repeat_round(self.now, &mut self.out);
        if let Some(context) = repeated.or_else(|| self.reads.start_round(self.now)) {
            self.node.read_index(engine::to_context(context).into());
        }
    }

    /// Stops for good: this disk lost what it had acknowledged (D21).
    fn lose_data(&mut self, by: PeerId, index: LogIndex) {
        let last = self.last_index();
        self.has_lost_data = true;
        self.out.push(Effect::Note(Note::DataLost { by, index, last }));
        self.proposals.leadership_lost(self.now, &mut self.out);
        self.proposals.lose_frames(&mut self.out);
        self.reads.fail_all(crate::BarrierLoss::DataLost, &mut self.out);
    }

    fn is_engine_leader(&self) -> bool {
        self.node.raft.state == StateRole::Leader
    }
}

/// The commands of an entry; `first` is the ticket of the first one if they were proposed here.
fn commands(payload: &bytes::Bytes, first: Option<Ticket>) -> Vec<CommittedCommand> {
    let commands = (0..).zip(frame::split(payload));
    let ticket = |offset: u64| first.map(|first| Ticket(first.0 + offset));
    commands.map(|(offset, bytes)| CommittedCommand { bytes, ticket: ticket(offset) }).collect()
}

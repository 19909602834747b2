//! What must hold, checked after every turn of every controller. Names are those of docs/RELIABILITY.md.
//!
//! | File | Invariants |
//! |---|---|
//! | `check.rs` | R3, R4, R6, R10, C11: one turn |
//! | `check/campaigns.rs` | R1, R5: who may campaign and lead |
//! | `check/images.rs` | R2, R5, R6, R7: logs and disks |
//! | `check/ledger.rs` | C1-C9, C12, C13, K3, K4: the committed log |
//! | `check/content.rs`, `check/answers.rs` | R9, C8, C14, K1, K2, K4: answers |
//! | `check/members.rs` | R8 |
//! | `check/snapshots.rs` | C12, L5: snapshots |
//! | `check/progress.rs` | R6: what a leader believes of the others' logs |
//! | `check/evidence.rs` | C8: what a leader says it saw |
//! | `check/failover.rs` | C10 |
//! | `check/duties.rs` | L2-L4 while faults strike |
//! | `phases.rs` | L1-L7 after them |

pub(crate) mod answers;
pub(crate) mod campaigns;
pub(crate) mod content;
pub(crate) mod duties;
pub(crate) mod evidence;
pub(crate) mod failover;
pub(crate) mod images;
pub(crate) mod ledger;
pub(crate) mod members;
pub(crate) mod progress;
pub(crate) mod snapshots;

use crate::agenda::MS;
use crate::fault::Moment;
use crate::node::{Fate, Node, node_of};
use crate::world::World;
use crate::writer::{CLUSTER, Order};
use consensus::{Content, Message, PeerId, Role};
use content::content_of_request;
use controller::{ConsensusNote, Effect, Founding, Note, Overview, PeerMessage};
use images::{Entries, Image};
use journal::Journal;
use ledger::{Broken, Ledger};
use protocol::Request;
use std::collections::BTreeMap;

/// How often the bytes on the disks are opened like after a crash, and compared (R6).
const DISKS_EVERY: u64 = 2_000 * MS;

/// After so many campaign time-outs an old leader knows that it is one: two of its own, with slow clocks and ticks.
const OLD_LEADER_CAMPAIGNS: u64 = 6;

/// What is known of all controllers together.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    pub(crate) ledger: Ledger,
    pub(crate) members: members::Members,
    pub(crate) entries: Entries,
    /// R1: who led a term.
    pub(crate) leaders: BTreeMap<u64, usize>,
    /// When a term's leader was first seen.
    led_since: BTreeMap<u64, u64>,
    /// The last entry that was first known to be committed in a term.
    committed_in: BTreeMap<u64, u64>,
    /// Who campaigned in a term.
    candidates: BTreeMap<u64, usize>,
    /// Who was told to take over, and from which term.
    transfer: Option<(u64, usize)>,
    pub(crate) campaigns: campaigns::Campaigns,
    acknowledged: progress::Acknowledged,
    pub(crate) duties: duties::Duties,
    /// K2: the newest version of each broker set that any finished request showed.
    seen: BTreeMap<String, (i32, i32)>,
    disks_looked_at: u64,
    /// Commands that were decided by an answer, reads that were served; for the report.
    pub(crate) answers: u64,
    pub(crate) reads: u64,
    /// C10 is not looked at: messages are lost at random, or brokers share an identity.
    pub(crate) is_without_failover: bool,
}

impl Checks {
    /// How many entries are known to be committed.
    pub(crate) fn committed(&self) -> u64 {
        self.ledger.len()
    }

    /// Somebody sends a request.
    pub(crate) fn asked(&mut self, content: Option<&content::Content>) {
        if let Some(content) = content {
            // More requests never break the count.
            self.ledger.asks(content, 1).ok();
        }
    }

    /// The newest version of the request's broker set that anybody was shown.
    pub(crate) fn floor(&self, request: &Request) -> Option<(i32, i32)> {
        let set = match request {
            Request::GetReplicaInfo(it) => it.broker_name.as_ref()?.to_string(),
            _ => content_of_request(request)?.set,
        };
        self.seen.get(&set).copied()
    }

    pub(crate) fn ended(&mut self, node: usize) {
        self.transfer = self.transfer.filter(|(_, target)| *target != node);
    }
}

/// The place of an entry in a list that begins with index 1.
fn index_of(index: u64) -> usize {
    usize::try_from(index).unwrap_or(0).saturating_sub(1)
}

/// What the disk of a member holds, or held when it was lost.
fn image_of(nodes: &[Node], member: PeerId) -> Option<&Image> {
    let node = nodes.get(node_of(member))?;
    let lost = node.lost.iter().find(|(lost, _)| *lost == member).map(|(_, image)| image);
    lost.or(Some(&node.image).filter(|_| node.member == member))
}

impl World<'_> {
    /// After a turn, before its effects are carried out.
    pub(crate) fn check_turn(
        &mut self,
        node: usize,
        (before, after): (&Overview, &Overview),
        hash: u128,
        effects: &[Effect],
    ) {
        self.note_members(node, effects);
        let known = self.checks.committed();
        let checked = self
            .check_orders(node, effects)
            .and_then(|()| self.check_role(node, before, after))
            .and_then(|()| self.check_progress(node, after))
            .and_then(|()| self.check_evidence(node, after, effects))
            .and_then(|()| self.check_old_leader(node, after))
            .and_then(|()| self.check_commit(node, before, after))
            .and_then(|()| self.check_state(node, (before, after), hash))
            .and_then(|()| self.check_snapshots(node, after, effects))
            .and_then(|()| self.check_promises(node, after, effects))
            .and_then(|()| self.check_duties())
            .and_then(|()| self.check_disks());
        if let Err((invariant, text)) = checked {
            self.fail(invariant, text);
        }
        self.note_turn(node, before, after, effects);
        if self.checks.committed() > known && self.rivals() > 1 {
            self.leaders_are_asked();
        }
        self.note_moments(known, before, after, effects);
    }

    /// Tells the faults that wait what has happened.
    fn note_moments(
        &mut self,
        known: u64,
        before: &Overview,
        after: &Overview,
        effects: &[Effect],
    ) {
        if self.armed.is_empty() {
            return;
        }
        let led = before.role == Some(Role::Leader) && before.term == after.term;
        let leads = after.role == Some(Role::Leader);
        if leads && !led {
            self.comes(Moment::Elected);
        }
        if self.checks.committed() > known {
            self.comes(Moment::Committed);
        }
        for effect in effects {
            match effect {
                Effect::Send { message: PeerMessage::Raft(message), .. } => {
                    match &message.content {
                        Content::Snapshot { .. } => self.comes(Moment::Offered),
                        Content::TimeoutNow => self.comes(Moment::HandedOver),
                        _ => {}
                    }
                }
                Effect::Persist(group) if leads && evidence::has_election(group) => {
                    self.comes(Moment::Proposed);
                }
                Effect::Notify { .. } => self.comes(Moment::Notified),
                _ => {}
            }
        }
    }

    /// R8. What a turn applied is in force for what it commits next.
    fn note_members(&mut self, node: usize, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Note(Note::Consensus(ConsensusNote::Membership { index, membership })) =
                effect
            {
                self.membership_changed(node, *index, membership);
            }
        }
    }

    fn check_orders(&mut self, node: usize, effects: &[Effect]) -> Result<(), Broken> {
        let Self { nodes, checks, sometimes, .. } = self;
        let Checks { entries, leaders, .. } = checks;
        for effect in effects {
            let Effect::Persist(group) = effect else { continue };
            let leads = |term| leaders.get(&term) == Some(&node);
            let asked = nodes[node].image.asks(group, entries, leads);
            let asked = asked.map_err(|it| (it.invariant, format!("node {node}: {}", it.text)))?;
            if asked.has_cut {
                sometimes.hit("conflicting_tail_cut");
            }
        }
        Ok(())
    }

    /// R1, R3.
    fn check_role(
        &mut self,
        node: usize,
        before: &Overview,
        after: &Overview,
    ) -> Result<(), Broken> {
        if after.role == before.role && after.term == before.term {
            return Ok(());
        }
        self.check_campaign(node, before, after)?;
        let Self { nodes, checks, sometimes, now, .. } = self;
        if after.role == Some(Role::Candidate) {
            let first = *checks.candidates.entry(after.term).or_insert(node);
            if first != node {
                sometimes.hit("campaigns_collided");
            }
        }
        if after.role != Some(Role::Leader) {
            return Ok(());
        }
        let term = after.term;
        let leader = *checks.leaders.entry(term).or_insert(node);
        checks.led_since.entry(term).or_insert(*now);
        if leader != node {
            return Err(("R1", format!("nodes {leader} and {node} lead term {term}")));
        }
        sometimes.hit("leader_elected");
        if checks.transfer.take_if(|(old, target)| *old < term && *target == node).is_some() {
            sometimes.hit("transfer_done");
        }
        // Votes may come so late that a later term has a leader by now, who owes this one nothing.
        let earlier = checks.committed_in.range(..term);
        let last = earlier.map(|(_, last)| *last).max().unwrap_or(0);
        let is_whole =
            checks.ledger.chain(last).is_none_or(|chain| nodes[node].image.has(last, chain));
        if is_whole {
            return Ok(());
        }
        Err(("R3", format!("node {node} leads term {term} without the committed entry at {last}")))
    }

    /// L1: a leader that lost its quorum, so that another could be elected, finds out by itself before long.
    fn check_old_leader(&self, node: usize, after: &Overview) -> Result<(), Broken> {
        if after.role != Some(Role::Leader) {
            return Ok(());
        }
        let newer = self.checks.led_since.range(after.term + 1..).next();
        let Some((&term, &since)) = newer else { return Ok(()) };
        let patience = OLD_LEADER_CAMPAIGNS * self.plan.election_timeout_ms * MS + 2_000 * MS;
        let is_over = since + patience < self.now;
        if is_over && self.is_well(node, since) {
            let text =
                format!("node {node} still leads term {}, term {term} has a leader", after.term);
            return Err(("L1", text));
        }
        Ok(())
    }

    /// R3, R4, R6: what a controller knows to be committed.
    fn check_commit(
        &mut self,
        node: usize,
        before: &Overview,
        after: &Overview,
    ) -> Result<(), Broken> {
        if after.commit < before.commit && before.role.is_some() {
            let text =
                format!("node {node}: commit falls from {} to {}", before.commit, after.commit);
            return Err(("R7", text));
        }
        if after.commit > after.last {
            return Err((
                "R7",
                format!("node {node}: commit {} is above {}", after.commit, after.last),
            ));
        }
        if after.commit == before.commit {
            return Ok(());
        }
        let Self { nodes, checks, sometimes, .. } = self;
        let first = checks.ledger.len() + 1;
        for index in first..=after.commit {
            let Some(chain) = nodes[node].image.chain(index) else {
                return Err(("R3", format!("node {node} commits {index}, which it does not have")));
            };
            let Some(entry) = checks.entries.entry(index, chain) else {
                return Err(("R4", format!("node {node} commits {index}, which nobody wrote")));
            };
            checks.ledger.commit((entry, chain), sometimes)?;
        }
        let chain = checks.ledger.chain(after.commit).unwrap_or(0);
        if !nodes[node].image.has(after.commit, chain) {
            let text =
                format!("node {node} holds another entry at {} than was committed", after.commit);
            return Err(("R3", text));
        }
        let leads = |it: &Overview| it.role == Some(Role::Leader);
        let leads_on = leads(before) && leads(after) && before.term == after.term;
        let term = checks.ledger.entries.get(index_of(after.commit)).map_or(0, |(term, _)| *term);
        if leads_on && term != after.term {
            let text = format!(
                "node {node} leads term {} and commits {} of term {term} by itself",
                after.term, after.commit
            );
            return Err(("R3", text));
        }
        if after.commit >= first {
            checks.committed_in.insert(after.term, after.commit);
            let is_held =
                |member| image_of(nodes, member).is_some_and(|it| it.holds(after.commit, chain));
            if !checks.members.is_quorum(nodes.len(), is_held) {
                let text = format!(
                    "node {node} reveals that {} is committed, which no quorum of disks holds",
                    after.commit
                );
                return Err(("R6", text));
            }
        }
        self.check_elections()
    }

    /// R4, C11.
    fn check_state(
        &mut self,
        node: usize,
        (before, after): (&Overview, &Overview),
        hash: u128,
    ) -> Result<(), Broken> {
        if after.applied < before.applied || after.applied > after.commit {
            let text =
                format!("node {node}: applied goes from {} to {}", before.applied, after.applied);
            return Err(("R4", text));
        }
        if after.applied > self.checks.ledger.len() {
            return Err(("R4", format!("node {node} applied {}, not committed", after.applied)));
        }
        if self.checks.ledger.hash(after.applied) != hash {
            let text =
                format!("node {node} has another state at {} than its log gives", after.applied);
            return Err(("C11", text));
        }
        if after.applied != before.applied {
            self.trace_word(ledger::fold(hash));
        }
        Ok(())
    }

    /// R5, R6, R10: nothing is said to a peer that promises more than what is durable here.
    fn check_promises(
        &mut self,
        node: usize,
        after: &Overview,
        effects: &[Effect],
    ) -> Result<(), Broken> {
        for effect in effects {
            if let Effect::Send { peer, message: PeerMessage::SnapshotRead { .. } } = effect {
                self.nodes[node].fetching = Some(node_of(*peer));
            }
            let Effect::Send { peer, message: PeerMessage::Raft(message) } = effect else {
                continue;
            };
            if self.nodes[node].lost.iter().any(|(lost, _)| *lost == message.from) {
                let text = format!("node {node} lost the disk of the member that says {message:?}");
                return Err(("R10", text));
            }
            self.check_promise(node, *peer, message)?;
            self.note_message(after, *peer, message);
        }
        Ok(())
    }

    fn check_promise(&self, node: usize, to: PeerId, message: &Message) -> Result<(), Broken> {
        let image = &self.nodes[node].image;
        let (term, vote) = image.vote();
        let voted = |whom| term > message.term.0 || term == message.term.0 && vote == Some(whom);
        match &message.content {
            Content::VoteAnswer { is_pre: false, reject: false, .. } if !voted(to) => {
                let text = format!(
                    "node {node} votes for {to} in term {} before it is durable",
                    message.term
                );
                Err(("R5", text))
            }
            Content::Vote { is_pre: false, .. } if !voted(self.nodes[node].member) => {
                let text =
                    format!("node {node} campaigns in term {} before it is durable", message.term);
                Err(("R5", text))
            }
            // To a leader of an earlier term this says what was durable then, and still counts there: had it been
            // enough for a commit, the later term's leader could not have been elected without these entries. They
            // may be gone from the log by now, if that leader had others.
            Content::AppendAnswer { index, reject: false, .. }
                if term <= message.term.0 && index.0 > image.durable_last() =>
            {
                let text = format!(
                    "node {node} acknowledges {index}, durable is {}",
                    image.durable_last()
                );
                Err(("R6", text))
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
            | Content::ReadIndexAnswer { .. } => Ok(()),
        }
    }

    fn note_message(&mut self, after: &Overview, to: PeerId, message: &Message) {
        match &message.content {
            Content::VoteAnswer { is_pre: true, reject: true, .. } if after.leader.is_some() => {
                self.sometimes("prevote_refused_by_fresh_leader");
            }
            Content::Snapshot { .. } => self.sometimes("log_no_longer_reaches_follower"),
            Content::TimeoutNow => {
                self.checks.transfer = Some((message.term.0, node_of(to)));
                self.checks.campaigns.told(message.term.0, to);
            }
            Content::VoteAnswer { is_pre: true, reject: false, .. } => {
                self.checks.campaigns.promised(message.term.0, to, message.from);
            }
            Content::ReadIndexAnswer { .. } => self.sometimes("read_confirmed_for_follower"),
            Content::AppendAnswer { index, reject: false, .. } => {
                self.checks.acknowledged.says(message.term.0, (message.from, to), index.0);
            }
            Content::Append { .. }
            | Content::AppendAnswer { .. }
            | Content::Vote { .. }
            | Content::VoteAnswer { .. }
            | Content::Keepalive { .. }
            | Content::KeepaliveAnswer { .. }
            | Content::ReadIndex { .. } => {}
        }
    }

    fn note_turn(&mut self, node: usize, before: &Overview, after: &Overview, effects: &[Effect]) {
        let led = before.role == Some(Role::Leader);
        let leads = after.role == Some(Role::Leader);
        if led && !leads {
            if before.writes_waiting > 0 {
                self.sometimes("leader_changed_with_writes_pending");
            }
            let is_altering = self.calls.values().any(|call| {
                let content = call.content.as_ref().map(|it| &it.wanted);
                let is_alter = matches!(content, Some(content::Wanted::Alter { .. }));
                call.node == node && is_alter && call.arrived.is_some() && !call.is_answered
            });
            if is_altering {
                self.sometimes("alter_pending_at_leader_change");
            }
            if before.term == after.term {
                self.sometimes("stepped_down_without_quorum");
            }
        }
        let is_settled =
            self.checks.ledger.entries.last().is_none_or(|(term, _)| *term == after.term);
        if leads && !is_settled && after.reads_waiting > 0 {
            self.sometimes("read_waited_for_first_commit");
        }
        if after.notices.retried > before.notices.retried {
            self.sometimes("retried");
        }
        if after.notices.given_up > before.notices.given_up {
            self.sometimes("receiver_dead");
        }
        if leads && !led {
            self.comes_again(node);
            self.leaders_are_asked();
            if self.has_unheard_master(node) {
                self.sometimes("new_leader_in_grace");
            }
        }
        for effect in effects {
            match effect {
                Effect::SaveSnapshot { .. } => {
                    self.nodes[node].fetching = None;
                    self.sometimes("snapshot_saved");
                }
                Effect::Persist(group) if group.snapshot.is_some() && self.has_partition() => {
                    self.sometimes("installed_during_cut");
                }
                _ => {}
            }
        }
    }

    /// Whether a recorded master was never heard by this controller since its start.
    fn has_unheard_master(&self, node: usize) -> bool {
        let started = self.nodes[node].started_at;
        let mut sets = self.checks.ledger.state.broker_sets();
        sets.any(|(name, set)| {
            let master = set.master().and_then(|id| self.broker_at(name, id.0));
            master.is_some_and(|master| self.brokers[master].heard[node].last < started)
        })
    }

    /// R6, looking at the bytes: each disk is opened as it would be after the unluckiest crash.
    fn check_disks(&mut self) -> Result<(), Broken> {
        if self.now < self.checks.disks_looked_at + DISKS_EVERY {
            return Ok(());
        }
        self.checks.disks_looked_at = self.now;
        for node in 0..self.nodes.len() {
            let Self { nodes, checks, plan, .. } = self;
            let state = &nodes[node];
            let is_founded = state.image.identity == Some(Founding::Founded);
            if !is_founded || state.fate != Fate::Whole || state.controller.is_none() {
                continue;
            }
            let found = Journal::open(state.disk.durable(), CLUSTER, state.member, plan.journal);
            let (_, found) = found.map_err(|error| {
                ("R6", format!("node {node}: its disk cannot be opened: {error}"))
            })?;
            let compared = state.image.compare(&found, &mut checks.entries);
            compared.map_err(|it| (it.invariant, format!("node {node}: {}", it.text)))?;
        }
        Ok(())
    }

    /// An order was carried out by a disk.
    pub(crate) fn durable(&mut self, node: usize, order: &Order) {
        let Self { nodes, checks, sometimes, .. } = self;
        let result = match order {
            Order::Persist(_) => nodes[node].image.is_durable(&mut checks.entries),
            Order::Identity(founding, _, member) => {
                nodes[node].image.identity = Some(*founding);
                if *member != nodes[node].member {
                    nodes[node].image.forget_votes();
                }
                Ok(false)
            }
            Order::Snapshot(..) => Ok(false),
        };
        match result {
            Ok(true) => sometimes.hit("term_changed_between_ready_and_persisted"),
            Ok(false) => {}
            Err(it) => self.fail(it.invariant, format!("node {node}: {}", it.text)),
        }
    }
}

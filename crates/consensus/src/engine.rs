//! The only place where the engine's types meet ours.
//!
//! Both directions are total. Towards the engine a message has been screened; from the engine come
//! only the kinds that may travel, because it never forwards proposals here (D7) and its own
//! local messages stay inside.

use crate::message::{Content, Message, ReadContext};
use crate::{
    ChangeStep, Entry, EntryKind, HardState, LogIndex, Membership, MembershipChange, PeerId, Role,
    SnapshotDescriptor, Term,
};
use alloc::vec;
use alloc::vec::Vec;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use raft::eraftpb::{
    ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2, ConfState,
    Entry as EngineEntry, EntryType, HardState as EngineHardState, Message as EngineMessage,
    MessageType, Snapshot, SnapshotMetadata,
};

/// What the engine puts into a vote request when the leader asked for the campaign.
/// Source: `CAMPAIGN_TRANSFER` of the engine, which is not part of its documented interface.
const TRANSFER_CONTEXT: &[u8] = b"CampaignTransfer";

const CONTEXT_BYTES: usize = 24;

pub(crate) fn role(role: raft::StateRole) -> Role {
    match role {
        raft::StateRole::Follower => Role::Follower,
        raft::StateRole::PreCandidate => Role::PreCandidate,
        raft::StateRole::Candidate => Role::Candidate,
        raft::StateRole::Leader => Role::Leader,
    }
}

/// The engine's 0 is nobody.
pub(crate) fn peer(id: u64) -> Option<PeerId> {
    (id != 0).then_some(PeerId(id))
}

pub(crate) fn hard_state(from: &EngineHardState) -> HardState {
    HardState { term: Term(from.term), vote: peer(from.vote), commit: LogIndex(from.commit) }
}

pub(crate) fn to_hard_state(from: HardState) -> EngineHardState {
    let vote = from.vote.map_or(0, |peer| peer.0);
    let (term, commit) = (from.term.0, from.commit.0);
    EngineHardState { term, vote, commit, ..EngineHardState::default() }
}

pub(crate) fn entry(from: &EngineEntry) -> Entry {
    let kind = match from.get_entry_type() {
        EntryType::EntryNormal if from.data.is_empty() => EntryKind::Empty,
        EntryType::EntryNormal => EntryKind::Commands,
        EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => EntryKind::Membership,
    };
    // The payload of a membership entry is our own record, beside what the engine wrote for itself (D22).
    let bytes = if kind == EntryKind::Membership { &from.context } else { &from.data };
    Entry { term: Term(from.term), index: LogIndex(from.index), kind, bytes: bytes.clone() }
}

pub(crate) fn to_entry(from: Entry) -> EngineEntry {
    let Entry { term, index, bytes: data, .. } = from;
    let mut to = EngineEntry { term: term.0, index: index.0, data, ..EngineEntry::default() };
    match from.kind {
        EntryKind::Empty | EntryKind::Commands => {}
        EntryKind::Membership => {
            to.set_entry_type(EntryType::EntryConfChangeV2);
            to.context = core::mem::take(&mut to.data);
        }
    }
    to
}

/// A change, as the engine takes it. One with several steps stays joint until it is left by a change of its own (M3).
pub(crate) fn to_change(from: &MembershipChange) -> ConfChangeV2 {
    let step = |step: &ChangeStep| {
        let (kind, peer) = match step {
            ChangeStep::Vote(peer) => (ConfChangeType::AddNode, peer),
            ChangeStep::Learn(peer) => (ConfChangeType::AddLearnerNode, peer),
            ChangeStep::Remove(peer) => (ConfChangeType::RemoveNode, peer),
        };
        let mut to = ConfChangeSingle::default();
        to.set_change_type(kind);
        to.node_id = peer.0;
        to
    };
    let mut to = ConfChangeV2::default();
    to.set_changes(from.steps.iter().map(step).collect::<Vec<_>>().into());
    if from.steps.len() > 1 {
        to.set_transition(ConfChangeTransition::Explicit);
    }
    to
}

/// The engine's lists come out of sets, in no order.
pub(crate) fn membership(from: &ConfState) -> Membership {
    let ids = |list: &[u64]| {
        let mut peers: Vec<_> = list.iter().copied().map(PeerId).collect();
        peers.sort_unstable();
        peers
    };
    Membership {
        voters: ids(&from.voters),
        outgoing: ids(&from.voters_outgoing),
        learners: ids(&from.learners),
        learners_next: ids(&from.learners_next),
        auto_leave: from.auto_leave,
    }
}

pub(crate) fn to_conf_state(from: &Membership) -> ConfState {
    let ids = |peers: &[PeerId]| peers.iter().map(|peer| peer.0).collect::<Vec<_>>();
    let mut to = ConfState::default();
    to.set_voters(ids(&from.voters));
    to.set_voters_outgoing(ids(&from.outgoing));
    to.set_learners(ids(&from.learners));
    to.set_learners_next(ids(&from.learners_next));
    to.auto_leave = from.auto_leave;
    to
}

/// A snapshot as the engine sees it: its data is our descriptor, so that nothing is kept twice.
pub(crate) fn to_snapshot(from: &SnapshotDescriptor) -> Snapshot {
    let (index, term) = (from.index.0, from.term.0);
    let mut metadata = SnapshotMetadata { index, term, ..SnapshotMetadata::default() };
    metadata.set_conf_state(to_conf_state(&from.membership));
    let mut data = BytesMut::new();
    from.encode(&mut data);
    let mut to = Snapshot::default();
    to.set_metadata(metadata);
    to.data = data.freeze();
    to
}

pub(crate) fn descriptor(from: &Snapshot) -> SnapshotDescriptor {
    SnapshotDescriptor::decode(&from.data).expect("only to_snapshot makes the engine's snapshots")
}

pub(crate) fn to_context(from: ReadContext) -> Bytes {
    let mut to = BytesMut::with_capacity(CONTEXT_BYTES);
    to.put_u64_le(from.peer.0);
    to.put_u64_le(from.boot_nonce);
    to.put_u64_le(from.sequence);
    to.freeze()
}

/// None where the engine has none.
pub(crate) fn context(mut from: &[u8]) -> Option<ReadContext> {
    let peer = PeerId(from.try_get_u64_le().ok()?);
    let boot_nonce = from.try_get_u64_le().ok()?;
    let sequence = from.try_get_u64_le().ok()?;
    Some(ReadContext { peer, boot_nonce, sequence })
}

/// The question for a commit index, as the engine takes it: a context travels as an entry.
fn context_entry(from: ReadContext) -> EngineEntry {
    EngineEntry { data: to_context(from), ..EngineEntry::default() }
}

fn context_of_entry(from: &EngineMessage) -> ReadContext {
    let data = from.entries.first().map(|entry| &entry.data[..]);
    data.and_then(context).expect("a read question holds the context that we gave it")
}

/// What the engine sends, in our words.
///
/// # Panics
/// On a kind that must not travel: no proposal is ever stepped outside a leader (D7), and local
/// kinds do not leave the engine.
pub(crate) fn message(mut from: EngineMessage) -> Message {
    let index = LogIndex(from.index);
    let log_term = Term(from.log_term);
    let commit = LogIndex(from.commit);
    let commit_term = Term(from.commit_term);
    let kind = from.get_msg_type();
    let content = match kind {
        MessageType::MsgAppend => {
            let entries = from.take_entries().iter().map(entry).collect();
            Content::Append { index, log_term, commit, entries }
        }
        MessageType::MsgAppendResponse => Content::AppendAnswer {
            index,
            reject: from.reject,
            reject_hint: LogIndex(from.reject_hint),
            log_term,
            commit,
            request_snapshot: LogIndex(from.request_snapshot),
        },
        MessageType::MsgRequestVote | MessageType::MsgRequestPreVote => Content::Vote {
            is_pre: kind == MessageType::MsgRequestPreVote,
            index,
            log_term,
            commit,
            commit_term,
            priority: from.priority,
            is_transfer: from.context[..] == *TRANSFER_CONTEXT,
        },
        MessageType::MsgRequestVoteResponse | MessageType::MsgRequestPreVoteResponse => {
            let is_pre = kind == MessageType::MsgRequestPreVoteResponse;
            Content::VoteAnswer { is_pre, reject: from.reject, commit, commit_term }
        }
        MessageType::MsgHeartbeat => Content::Keepalive { commit, context: context(&from.context) },
        MessageType::MsgHeartbeatResponse => {
            Content::KeepaliveAnswer { commit, context: context(&from.context) }
        }
        MessageType::MsgSnapshot => {
            Content::Snapshot { descriptor: descriptor(from.get_snapshot()) }
        }
        MessageType::MsgTimeoutNow => Content::TimeoutNow,
        MessageType::MsgReadIndex => Content::ReadIndex { context: context_of_entry(&from) },
        MessageType::MsgReadIndexResp => {
            Content::ReadIndexAnswer { index, context: context_of_entry(&from) }
        }
        MessageType::MsgHup
        | MessageType::MsgBeat
        | MessageType::MsgPropose
        | MessageType::MsgUnreachable
        | MessageType::MsgSnapStatus
        | MessageType::MsgCheckQuorum
        | MessageType::MsgTransferLeader => panic!("the engine sends {kind:?}, which stays inside"),
    };
    Message { from: PeerId(from.from), to: PeerId(from.to), term: Term(from.term), content }
}

/// A screened message, in the engine's words.
pub(crate) fn to_message(from: Message) -> EngineMessage {
    let mut to = EngineMessage::default();
    to.from = from.from.0;
    to.to = from.to.0;
    to.term = from.term.0;
    let kind = put_content(from.content, &mut to);
    to.set_msg_type(kind);
    to
}

fn put_content(from: Content, to: &mut EngineMessage) -> MessageType {
    match from {
        Content::Append { index, log_term, commit, entries } => {
            to.index = index.0;
            to.log_term = log_term.0;
            to.commit = commit.0;
            to.set_entries(entries.into_iter().map(to_entry).collect::<Vec<_>>().into());
            MessageType::MsgAppend
        }
        Content::AppendAnswer {
            index,
            reject,
            reject_hint,
            log_term,
            commit,
            request_snapshot,
        } => {
            to.index = index.0;
            to.reject = reject;
            to.reject_hint = reject_hint.0;
            to.log_term = log_term.0;
            to.commit = commit.0;
            to.request_snapshot = request_snapshot.0;
            MessageType::MsgAppendResponse
        }
        Content::Vote { is_pre, index, log_term, commit, commit_term, priority, is_transfer } => {
            to.index = index.0;
            to.log_term = log_term.0;
            to.commit = commit.0;
            to.commit_term = commit_term.0;
            to.priority = priority;
            if is_transfer {
                to.context = Bytes::from_static(TRANSFER_CONTEXT);
            }
            if is_pre { MessageType::MsgRequestPreVote } else { MessageType::MsgRequestVote }
        }
        Content::VoteAnswer { is_pre, reject, commit, commit_term } => {
            to.reject = reject;
            to.commit = commit.0;
            to.commit_term = commit_term.0;
            if is_pre {
                MessageType::MsgRequestPreVoteResponse
            } else {
                MessageType::MsgRequestVoteResponse
            }
        }
        Content::Keepalive { commit, context } => {
            to.commit = commit.0;
            to.context = context.map(to_context).unwrap_or_default();
            MessageType::MsgHeartbeat
        }
        Content::KeepaliveAnswer { commit, context } => {
            to.commit = commit.0;
            to.context = context.map(to_context).unwrap_or_default();
            MessageType::MsgHeartbeatResponse
        }
        Content::Snapshot { descriptor } => {
            to.set_snapshot(to_snapshot(&descriptor));
            MessageType::MsgSnapshot
        }
        Content::TimeoutNow => MessageType::MsgTimeoutNow,
        Content::ReadIndex { context } => {
            to.set_entries(vec![context_entry(context)].into());
            MessageType::MsgReadIndex
        }
        Content::ReadIndexAnswer { index, context } => {
            to.index = index.0;
            to.set_entries(vec![context_entry(context)].into());
            MessageType::MsgReadIndexResp
        }
    }
}

/// A proposal of one entry. Not `RawNode::propose`, which takes a `Vec` of its own.
pub(crate) fn proposal(me: PeerId, frame: Bytes) -> EngineMessage {
    let entry = EngineEntry { data: frame, ..EngineEntry::default() };
    let mut to = EngineMessage::default();
    to.set_msg_type(MessageType::MsgPropose);
    to.from = me.0;
    to.set_entries(vec![entry].into());
    to
}

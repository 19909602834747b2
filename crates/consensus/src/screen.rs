//! Which messages may reach the engine (D20), and which prove that this disk lost data (D21).
//!
//! The engine panics on messages that no correct peer sends. A message is judged here by itself
//! and against this peer's state; what passes makes no panic. A message of an old term passes if
//! it is well formed, because the engine answers some of those, and changes nothing for it.

use crate::log::LogWindow;
use crate::message::{Content, ENTRY_BYTES_MAX, Message};
use crate::{
    Entry, EntryKind, LogIndex, MembershipChange, PeerId, SnapshotDescriptor, Term, frame,
};
use raft::{RawNode, StateRole};

/// No term or index comes near this; the engine adds to both without a check.
const NUMBER_MAX: u64 = u64::MAX / 4;

/// Why a message did not reach the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It names another sender or receiver than its link.
    #[error("the message is from {from} to {to}, not from its link's peer to this one")]
    Address {
        /// The sender it names.
        from: PeerId,
        /// The receiver it names.
        to: PeerId,
    },
    /// Its sender does not belong to the cluster and may not say this.
    #[error("peer {from} does not belong to the cluster")]
    NotMember {
        /// The sender.
        from: PeerId,
    },
    /// A term or index that no correct peer sends.
    #[error("{field} = {value} is impossible here")]
    Number {
        /// Which field.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// An entry that does not follow the one before, or whose payload is not of its kind.
    #[error("entry {index} does not follow the one before or is not of its kind")]
    Entry {
        /// The entry.
        index: LogIndex,
    },
    /// A second leader of one term.
    #[error("peer {from} claims to lead term {term}, which has another leader")]
    SecondLeader {
        /// Who claims it.
        from: PeerId,
        /// The term.
        term: Term,
    },
    /// A read question or answer that was used before or is of another start.
    #[error("the read context is used, unknown or of another start of its peer")]
    Context,
    /// A question to a leader, at a peer that does not lead.
    #[error("this peer does not lead")]
    NotLeader,
    /// A snapshot whose membership is joint, not sound, or lacks this peer (S7).
    #[error("the snapshot at {index} has a membership that cannot be this peer's")]
    Membership {
        /// The snapshot's index.
        index: LogIndex,
    },
    /// A message that cannot be true yet, or that this peer cannot follow now.
    #[error("the message is out of turn")]
    Untimely,
    /// It proves that this peer lost data it had acknowledged (D21), now or earlier.
    #[error("entry {index} was acknowledged here and is lost")]
    DataLost {
        /// The entry.
        index: LogIndex,
    },
}

/// What a message is judged against.
#[derive(Clone, Copy)]
pub(crate) struct Screen<'a> {
    pub(crate) me: PeerId,
    pub(crate) node: &'a RawNode<LogWindow>,
    /// Groups are with the journal.
    pub(crate) is_writing: bool,
    /// An installed snapshot is with the journal: a campaign now would ask for cut entries.
    pub(crate) is_installing: bool,
}

impl Screen<'_> {
    /// Passes or refuses one message that came over the link of `from`.
    pub(crate) fn judge(&self, from: PeerId, message: &Message) -> Result<(), Refused> {
        let is_addressed = message.from == from && message.to == self.me;
        if !is_addressed || from == self.me || from.0 == 0 {
            return Err(Refused::Address { from: message.from, to: message.to });
        }
        let term = message.term;
        let is_question = matches!(message.content, Content::ReadIndex { .. });
        number("term", term.0, (term.0 == 0) == is_question)?;
        match &message.content {
            Content::Append { index, log_term, commit, entries } => {
                position(*index, *log_term, term)?;
                number("commit", commit.0, true)?;
                check_entries(*index, *log_term, term, entries)?;
                self.one_leader(from, term)?;
                self.agrees(term, *index, *log_term)?;
                entries.iter().try_for_each(|entry| self.agrees(term, entry.index, entry.term))
            }
            Content::AppendAnswer {
                index,
                reject,
                reject_hint,
                log_term,
                commit,
                request_snapshot,
            } => {
                self.member(from)?;
                number("index", index.0, true)?;
                number("reject hint", reject_hint.0, true)?;
                number("log term", log_term.0, log_term <= &term)?;
                number("commit", commit.0, true)?;
                // No peer asks for one: the leader knows what it cannot send any more.
                number("request snapshot", request_snapshot.0, request_snapshot.0 == 0)?;
                let is_ours = self.leads() && term == self.term();
                number("acknowledged", index.0, *reject || !is_ours || *index <= self.last())
            }
            Content::Vote { index, log_term, commit, commit_term, .. } => {
                position(*index, *log_term, term)?;
                number("commit", commit.0, commit <= index)?;
                number("commit term", commit_term.0, commit_term <= log_term)
            }
            Content::VoteAnswer { is_pre, reject, commit, commit_term } => {
                self.member(from)?;
                number("commit", commit.0, true)?;
                number("commit term", commit_term.0, commit_term <= &term)?;
                match (*is_pre, *reject) {
                    (_, true) => Ok(()),
                    (true, false) => self.check_promise(term),
                    (false, false) => self.check_vote(),
                }
            }
            Content::Keepalive { commit, .. } => {
                number("commit", commit.0, true)?;
                self.one_leader(from, term)?;
                let is_lost = term >= self.term() && *commit > self.last();
                if is_lost { Err(Refused::DataLost { index: *commit }) } else { Ok(()) }
            }
            Content::KeepaliveAnswer { commit, .. } => {
                self.member(from)?;
                number("commit", commit.0, true)
            }
            Content::Snapshot { descriptor } => self.check_snapshot(from, term, descriptor),
            Content::TimeoutNow => self.check_timeout_now(from, term),
            Content::ReadIndex { .. } => {
                self.member(from)?;
                if self.leads() { Ok(()) } else { Err(Refused::NotLeader) }
            }
            Content::ReadIndexAnswer { index, .. } => {
                number("index", index.0, true)?;
                let is_from_leader = self.node.raft.leader_id == from.0 && term == self.term();
                if is_from_leader { Ok(()) } else { Err(Refused::Context) }
            }
        }
    }

    /// A pre-vote names the term that was asked about. The engine counts one that was granted for an earlier campaign,
    /// and would campaign in a term in which no quorum said it would vote for it.
    fn check_promise(&self, term: Term) -> Result<(), Refused> {
        let is_next = term.0 == self.term().0 + 1;
        if is_next { Ok(()) } else { Err(Refused::Untimely) }
    }

    /// Votes are asked for when all is durable; an earlier one is made up, and the engine asserts
    /// that a new leader's log is durable.
    fn check_vote(&self) -> Result<(), Refused> {
        let is_candidate = self.node.raft.state == StateRole::Candidate;
        if is_candidate && self.is_writing { Err(Refused::Untimely) } else { Ok(()) }
    }

    fn check_snapshot(
        &self,
        from: PeerId,
        term: Term,
        descriptor: &SnapshotDescriptor,
    ) -> Result<(), Refused> {
        let (index, membership) = (descriptor.index, &descriptor.membership);
        number("snapshot index", index.0, index.0 > 0)?;
        position(index, descriptor.term, term)?;
        let is_ours = membership.is_sound() && membership.has_peer(self.me);
        if !is_ours || membership.is_joint() {
            return Err(Refused::Membership { index });
        }
        self.one_leader(from, term)?;
        self.agrees(term, index, descriptor.term)
    }

    /// The leader hands over; only its present follower may listen, and only with a whole log.
    fn check_timeout_now(&self, from: PeerId, term: Term) -> Result<(), Refused> {
        let is_from_leader = self.node.raft.leader_id == from.0 && term == self.term();
        let is_alone = self.node.raft.prs().is_singleton();
        let is_possible = is_from_leader && !is_alone && !self.is_installing;
        if is_possible { Ok(()) } else { Err(Refused::Untimely) }
    }

    /// A leader's log holds every entry committed here, so it cannot differ at or below commit.
    fn agrees(&self, term: Term, index: LogIndex, log_term: Term) -> Result<(), Refused> {
        let log = &self.node.raft.raft_log;
        if term < self.term() || index.0 > log.committed {
            return Ok(());
        }
        // The engine answers 0 for an entry before its window.
        let is_same = match log.term(index.0) {
            Ok(0) | Err(_) => true,
            Ok(ours) => ours == log_term.0,
        };
        if is_same { Ok(()) } else { Err(Refused::DataLost { index }) }
    }

    fn one_leader(&self, from: PeerId, term: Term) -> Result<(), Refused> {
        let leader = self.node.raft.leader_id;
        let has_other = leader != 0 && leader != from.0;
        if term == self.term() && has_other {
            return Err(Refused::SecondLeader { from, term });
        }
        Ok(())
    }

    fn member(&self, from: PeerId) -> Result<(), Refused> {
        let is_member = self.node.raft.prs().get(from.0).is_some();
        if is_member { Ok(()) } else { Err(Refused::NotMember { from }) }
    }

    fn leads(&self) -> bool {
        self.node.raft.state == StateRole::Leader
    }

    fn term(&self) -> Term {
        Term(self.node.raft.term)
    }

    fn last(&self) -> LogIndex {
        LogIndex(self.node.raft.raft_log.last_index())
    }
}

fn number(field: &'static str, value: u64, is_possible: bool) -> Result<(), Refused> {
    let is_possible = is_possible && value <= NUMBER_MAX;
    if is_possible { Ok(()) } else { Err(Refused::Number { field, value }) }
}

/// An index and the term of its entry: both zero or none, and no entry is of a later term.
fn position(index: LogIndex, log_term: Term, term: Term) -> Result<(), Refused> {
    number("index", index.0, (index.0 == 0) == (log_term.0 == 0))?;
    number("log term", log_term.0, log_term <= term)
}

/// Entries without gap after `index`, with terms that never fall, each of its own kind.
fn check_entries(
    index: LogIndex,
    log_term: Term,
    term: Term,
    entries: &[Entry],
) -> Result<(), Refused> {
    let (mut index, mut log_term) = (index, log_term);
    for entry in entries {
        index.0 += 1;
        let is_next = entry.index == index && entry.term >= log_term && entry.term.0 > 0;
        if !is_next || entry.term > term || !is_payload_sound(entry) {
            return Err(Refused::Entry { index: entry.index });
        }
        log_term = entry.term;
    }
    Ok(())
}

/// Whether the payload is what the kind says.
pub(crate) fn is_payload_sound(entry: &Entry) -> bool {
    let bytes = &entry.bytes;
    match entry.kind {
        EntryKind::Empty => bytes.is_empty(),
        EntryKind::Commands => bytes.len() <= ENTRY_BYTES_MAX && frame::is_sound(bytes),
        EntryKind::Membership => MembershipChange::decode(bytes).is_ok(),
    }
}

//! The invariants R1-R7 and R9 and the ends of tickets and barriers, over all peers at once.
//! Everything here looks at effects and disk images, never into a driver.

use crate::disk::Disk;
use bytes::Bytes;
use consensus::{
    Barrier, CommittedCommand, Content, Entry, LogIndex, Lost, Membership, Message, PeerId, Term,
    Ticket,
};
use std::collections::{BTreeMap, BTreeSet};

/// A ticket or barrier of one start of one peer.
type Owner = (PeerId, u64);

/// The payload of an entry, and the term of the one before where it is known.
type Logged = (Bytes, Option<Term>);

#[derive(Default)]
pub(crate) struct Checks {
    leaders: BTreeMap<Term, PeerId>,
    entries: BTreeMap<(LogIndex, Term), Logged>,
    /// What is committed at index 1, 2, ...
    pub(crate) committed: Vec<(Term, Bytes)>,
    /// The membership from an entry on that changes it.
    changes: BTreeMap<LogIndex, Membership>,
    votes: BTreeMap<(PeerId, Term), PeerId>,
    tickets: BTreeMap<(Owner, Ticket), Bytes>,
    never: BTreeSet<Bytes>,
    seen: BTreeSet<Bytes>,
    /// Barrier -> the largest commit of any peer when its newest reader joined.
    barriers: BTreeMap<(Owner, Barrier), LogIndex>,
}

impl Checks {
    /// R1 and R3: one leader per term, and it has everything that is committed.
    pub(crate) fn leads(&mut self, peer: PeerId, term: Term, disk: &Disk) {
        let leader = *self.leaders.entry(term).or_insert(peer);
        assert_eq!(leader, peer, "R1: two leaders of term {term}");
        for (index, (term, _)) in (1..).zip(&self.committed) {
            let index = LogIndex(index);
            assert!(disk.holds(index, *term), "R3: leader {peer} lacks {index}/{term}: {disk:?}");
        }
    }

    /// R2: one payload and one past per (index, term), in all that ever was on a disk or was sent.
    pub(crate) fn logged(&mut self, disk: &Disk, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        let before = disk.entry(LogIndex(first.index.0 - 1));
        self.chained(before.map(|entry| entry.term), entries);
    }

    fn chained(&mut self, before: Option<Term>, entries: &[Entry]) {
        let mut before = before;
        for entry in entries {
            let key = (entry.index, entry.term);
            let known = self.entries.entry(key).or_insert((entry.bytes.clone(), before));
            assert_eq!(known.0, entry.bytes, "R2: two entries at {key:?}");
            if let (Some(ours), Some(theirs)) = (before, known.1) {
                assert_eq!(ours, theirs, "R2: two pasts of {key:?}");
            }
            known.1 = known.1.or(before);
            before = Some(entry.term);
        }
    }

    /// R4 and R6: one entry per index, and a quorum of disk images holds it.
    pub(crate) fn committed(
        &mut self,
        index: LogIndex,
        term: Term,
        commands: &[CommittedCommand],
        disks: &[&Disk],
    ) {
        let offset = usize::try_from(index.0 - 1).unwrap();
        let payload: Vec<_> = commands.iter().flat_map(|it| [&it.bytes[..], b"\n"]).collect();
        let payload = Bytes::from(payload.concat());
        if let Some(known) = self.committed.get(offset) {
            assert_eq!(*known, (term, payload), "R4: two entries committed at {index}");
            return;
        }
        let holders = disks.iter().filter(|disk| disk.holds(index, term)).count();
        assert!(holders * 2 > disks.len(), "R6: {index}/{term} is on {holders} disks");
        assert_eq!(offset, self.committed.len(), "R4: a gap before {index}");
        self.committed.push((term, payload));
        for command in commands {
            assert!(self.seen.insert(command.bytes.clone()), "K3: {command:?} happened twice");
            assert!(!self.never.contains(&command.bytes), "K4: {command:?} was not proposed");
        }
    }

    /// R8: everybody makes the same change at the same entry, and the majorities before and after it overlap.
    pub(crate) fn changed(&mut self, index: LogIndex, old: &Membership, new: &Membership) {
        let known = self.changes.entry(index).or_insert_with(|| new.clone());
        assert_eq!(known, new, "R8: two memberships from {index} on");
        let only = |one: &[PeerId], other: &[PeerId]| {
            one.iter().filter(|peer| !other.contains(peer)).count()
        };
        let is_simple = only(&old.voters, &new.voters) + only(&new.voters, &old.voters) <= 1;
        let is_entered = new.outgoing == old.voters;
        let is_left = old.is_joint() && new.voters == old.voters;
        let is_right = match (old.is_joint(), new.is_joint()) {
            (false, false) => is_simple,
            (false, true) => is_entered,
            (true, false) => is_left,
            (true, true) => false,
        };
        assert!(is_right && new.is_sound(), "R8: {old:?} became {new:?} at {index}");
    }

    /// The last change's entry, and who belongs to the cluster after it.
    pub(crate) fn newest_membership(&self) -> Option<(LogIndex, &Membership)> {
        self.changes.iter().next_back().map(|(index, membership)| (*index, membership))
    }

    /// R5 and R6 of what leaves: no message promises what this disk does not hold.
    pub(crate) fn sent(&mut self, message: &Message, disk: &Disk) {
        let durable = disk.hard_state;
        // One that was made before a newer term became durable is as good as one that is late.
        let is_late = message.term < durable.term;
        let vote = match &message.content {
            Content::Append { log_term, entries, .. } => {
                self.chained(Some(*log_term), entries);
                None
            }
            Content::Vote { is_pre: false, .. } => Some(message.from),
            Content::VoteAnswer { is_pre: false, reject: false, .. } => Some(message.to),
            Content::AppendAnswer { reject: false, index, .. } => {
                assert!(
                    is_late || *index <= disk.last(),
                    "R6: {message:?} promises more than {disk:?}"
                );
                None
            }
            _ => None,
        };
        if let Some(vote) = vote {
            let key = (message.from, message.term);
            let is_durable = durable.term == message.term && durable.vote == Some(vote);
            assert!(is_late || is_durable, "R5: {message:?} before {durable:?}");
            assert_eq!(*self.votes.entry(key).or_insert(vote), vote, "R5: two votes of {key:?}");
        }
        let is_pre = matches!(
            message.content,
            Content::Vote { is_pre: true, .. } | Content::VoteAnswer { is_pre: true, .. }
        );
        let is_question = matches!(message.content, Content::ReadIndex { .. });
        let is_free = is_pre || is_question || is_late;
        assert!(is_free || durable.term == message.term, "D4: {message:?} before {durable:?}");
    }

    pub(crate) fn proposed(&mut self, owner: Owner, ticket: Ticket, command: Bytes) {
        let old = self.tickets.insert((owner, ticket), command);
        assert!(old.is_none(), "ticket {ticket} of {owner:?} is given twice");
    }

    pub(crate) fn ticket_committed(&mut self, owner: Owner, ticket: Ticket, command: &Bytes) {
        let ours = self.tickets.remove(&(owner, ticket));
        assert_eq!(ours.as_ref(), Some(command), "C8: another command for {ticket} of {owner:?}");
    }

    pub(crate) fn ticket_lost(&mut self, owner: Owner, ticket: Ticket, why: Lost) {
        let command = self.tickets.remove(&(owner, ticket));
        let command = command.expect("a ticket ends once");
        if why == Lost::NotProposed {
            assert!(!self.seen.contains(&command), "K4: {command:?} happened");
            self.never.insert(command);
        }
    }

    pub(crate) fn asked(&mut self, owner: Owner, barrier: Barrier) {
        let commit = LogIndex(self.committed.len() as u64);
        self.barriers.insert((owner, barrier), commit);
    }

    /// R9: no read of a barrier is older than what any peer had committed when it joined.
    pub(crate) fn readable(&mut self, owner: Owner, barrier: Barrier, applied: LogIndex) {
        let commit = self.barriers.remove(&(owner, barrier)).expect("a barrier ends once");
        assert!(applied >= commit, "R9: read at {applied}, {commit} was committed before");
    }

    pub(crate) fn barrier_failed(&mut self, owner: Owner, barrier: Barrier) {
        self.barriers.remove(&(owner, barrier)).expect("a barrier ends once");
    }

    /// A crash ends what its peer owed.
    pub(crate) fn crashed(&mut self, owner: Owner) {
        self.tickets.retain(|(of, _), _| *of != owner);
        self.barriers.retain(|(of, _), _| *of != owner);
    }

    /// L3: nothing waits for ever.
    pub(crate) fn all_ended(&self) {
        assert!(self.tickets.is_empty(), "L3: {:?} never ended", self.tickets);
        assert!(self.barriers.is_empty(), "L3: {:?} never ended", self.barriers);
    }
}

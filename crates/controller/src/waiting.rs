//! Who waits for what: writes for their commit, reads for their barrier, forwarded requests for the leader.
//!
//! Every table is bounded, and everyone who waits hears one answer: the outcome, or at the deadline the truth
//! about what is not known. Deadlines of one table are equally long, so the oldest entry is always the next due.

use crate::effect::Note;
use crate::event::Caller;
use crate::instant::Instant;
use crate::route::Draft;
use crate::settings::{
    FORWARD_DEADLINE_MS, FORWARDS_WAITING_MAX, READ_DEADLINE_MS, READ_WAITERS_MAX,
    WRITE_DEADLINE_MS, WRITES_WAITING_MAX,
};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use consensus::{Barrier, PeerId, Ticket};
use protocol::Text;

/// Whom an answer goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Waiter {
    /// A client of this process.
    Client(Caller),
    /// A peer that forwarded a client's request. The answer is dropped if that peer's link is another by then.
    Peer {
        /// The peer.
        peer: PeerId,
        /// Boot nonce of the link on which it came.
        nonce: u64,
        /// The peer's number for it.
        sequence: u64,
    },
    /// The controller itself: an election of its own.
    Own {
        /// The broker set.
        set: Box<str>,
    },
}

/// A table is at its limit; the text is the limit's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full(pub(crate) &'static str);

/// A write that was proposed.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) waiter: Waiter,
    pub(crate) started: Instant,
    /// What upstream repeats in the answer.
    pub(crate) echo: EchoedNames,
    /// An operator's order: its answer says why.
    pub(crate) is_order: bool,
}

impl Write {
    /// What there is to say at its end.
    pub(crate) fn ended(&self, now: Instant, is_committed: bool) -> Note {
        let waited_micros = match &self.waiter {
            Waiter::Client(caller) => Some(self.started.since_micros(caller.received)),
            Waiter::Peer { .. } | Waiter::Own { .. } => None,
        };
        Note::Proposal { waited_micros, is_committed, micros: now.since_micros(self.started) }
    }
}

/// Writes that wait for their commit.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    waiting: BTreeMap<Ticket, Write>,
}

impl Writes {
    /// Whether one more may wait.
    ///
    /// # Errors
    /// [`Full`] at [`WRITES_WAITING_MAX`].
    pub(crate) fn admit(&self) -> Result<(), Full> {
        admit(self.waiting.len(), WRITES_WAITING_MAX, "WRITES_WAITING_MAX")
    }

    pub(crate) fn insert(&mut self, ticket: Ticket, write: Write) {
        self.waiting.insert(ticket, write);
    }

    pub(crate) fn take(&mut self, ticket: Ticket) -> Option<Write> {
        self.waiting.remove(&ticket)
    }

    /// The writes whose time is over. Their commands may still be applied.
    pub(crate) fn expired(&mut self, now: Instant) -> Vec<Write> {
        let mut expired = Vec::new();
        while let Some(entry) = self.waiting.first_entry() {
            if entry.get().started.plus_ms(WRITE_DEADLINE_MS) > now {
                break;
            }
            expired.push(entry.remove());
        }
        expired
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        let (_, write) = self.waiting.first_key_value()?;
        Some(write.started.plus_ms(WRITE_DEADLINE_MS))
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

/// What is to be answered once the barrier is reached.
#[derive(Debug)]
pub(crate) enum Query {
    /// 1004
    ReplicaInfo(Text),
    /// 1012
    NextBrokerId {
        /// Echoed.
        cluster: Option<Text>,
        /// The broker set.
        set: Text,
    },
    /// 1006
    SyncStateData(Vec<Text>),
    /// A write that can only be refused: what upstream throws at stands in it. It is decided, never logged.
    Refusal(Box<Draft>),
    /// What an election that an operator has in mind would come to.
    DryRun(Box<Draft>),
    /// One broker set for our own tools.
    Describe(Text),
}

/// The names that upstream repeats in answers to registrations, refused ones too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EchoedNames {
    pub(crate) cluster: Option<Text>,
    pub(crate) set: Option<Text>,
}

/// A read that waits.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) waiter: Waiter,
    pub(crate) query: Query,
    pub(crate) started: Instant,
}

/// Reads that wait for their barrier.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    waiting: BTreeMap<Barrier, Vec<Read>>,
    count: usize,
}

impl Reads {
    /// Whether one more may wait.
    ///
    /// # Errors
    /// [`Full`] at [`READ_WAITERS_MAX`].
    pub(crate) fn admit(&self) -> Result<(), Full> {
        admit(self.count, READ_WAITERS_MAX, "READ_WAITERS_MAX")
    }

    pub(crate) fn insert(&mut self, barrier: Barrier, read: Read) {
        self.waiting.entry(barrier).or_default().push(read);
        self.count += 1;
    }

    pub(crate) fn take(&mut self, barrier: Barrier) -> Vec<Read> {
        let reads = self.waiting.remove(&barrier).unwrap_or_default();
        self.count -= reads.len();
        reads
    }

    /// The reads whose time is over.
    pub(crate) fn expired(&mut self, now: Instant) -> Vec<Read> {
        let mut expired = Vec::new();
        while let Some(mut entry) = self.waiting.first_entry() {
            let due = |read: &Read| read.started.plus_ms(READ_DEADLINE_MS) <= now;
            let late = entry.get().iter().take_while(|read| due(read)).count();
            expired.extend(entry.get_mut().drain(..late));
            if !entry.get().is_empty() {
                break;
            }
            entry.remove();
        }
        self.count -= expired.len();
        expired
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        let (_, reads) = self.waiting.first_key_value()?;
        reads.first().map(|read| read.started.plus_ms(READ_DEADLINE_MS))
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }
}

/// A request that was sent on to the leader.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) caller: Caller,
    pub(crate) leader: PeerId,
    started: Instant,
}

/// Forwarded requests that wait for the leader's answer.
#[derive(Debug, Default)]
pub(crate) struct Forwards {
    waiting: BTreeMap<u64, Forward>,
    sequence: u64,
}

impl Forwards {
    /// Remembers a request and returns its number, which no other request of this process ever has.
    ///
    /// # Errors
    /// [`Full`] at [`FORWARDS_WAITING_MAX`].
    pub(crate) fn insert(
        &mut self,
        now: Instant,
        caller: Caller,
        leader: PeerId,
    ) -> Result<u64, Full> {
        admit(self.waiting.len(), FORWARDS_WAITING_MAX, "FORWARDS_WAITING_MAX")?;
        self.sequence += 1;
        self.waiting.insert(self.sequence, Forward { caller, leader, started: now });
        Ok(self.sequence)
    }

    pub(crate) fn take(&mut self, sequence: u64) -> Option<Forward> {
        self.waiting.remove(&sequence)
    }

    /// Those sent to peers other than `leader`: it will not answer them as leader any more.
    pub(crate) fn lost(&mut self, leader: Option<PeerId>) -> Vec<Forward> {
        let lost = self.waiting.extract_if(.., |_, forward| Some(forward.leader) != leader);
        lost.map(|(_, forward)| forward).collect()
    }

    /// Those sent to `peer`, whose link is gone.
    pub(crate) fn lost_with(&mut self, peer: PeerId) -> Vec<Forward> {
        let lost = self.waiting.extract_if(.., |_, forward| forward.leader == peer);
        lost.map(|(_, forward)| forward).collect()
    }

    /// Those whose time is over.
    pub(crate) fn expired(&mut self, now: Instant) -> Vec<Forward> {
        let mut expired = Vec::new();
        while let Some(entry) = self.waiting.first_entry() {
            if entry.get().started.plus_ms(FORWARD_DEADLINE_MS) > now {
                break;
            }
            expired.push(entry.remove());
        }
        expired
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        let (_, forward) = self.waiting.first_key_value()?;
        Some(forward.started.plus_ms(FORWARD_DEADLINE_MS))
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

fn admit(count: usize, max: usize, name: &'static str) -> Result<(), Full> {
    if count < max { Ok(()) } else { Err(Full(name)) }
}

#[cfg(test)]
mod tests;

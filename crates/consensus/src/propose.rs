//! Tickets: from a command that is proposed to the one end that each of them has (D7-D11).
//!
//! ```text
//!  propose ──► waiting ──► frame (term, index) ──► applied ──► Committed, with the ticket
//!                 │             │
//!                 │             ├── another entry took the index, or a snapshot covers it ─► Unknown
//!                 │             └── leadership lost, no verdict within a campaign time-out ─► Unknown
//!                 └── leadership lost ────────────────────────────────────► NotProposed
//! ```
//!
//! A frame outlives the leadership that proposed it for a while: what a leader left behind at a
//! hand-over is committed by the next one, and its callers then hear the true outcome.

#[cfg(test)]
mod tests;

use crate::settings::{
    COMMAND_BYTES_MAX, FRAME_BYTES_MAX, FRAME_COMMANDS_MAX, FRAMES_IN_FLIGHT_MAX,
    PROPOSALS_WAITING_BYTES_MAX, PROPOSALS_WAITING_MAX,
};
use crate::{Effect, LogIndex, Lost, PeerId, Term, Ticket, frame};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::Bytes;
use raft::eraftpb::Entry as EngineEntry;

/// Why a command was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// This peer does not lead.
    #[error("this peer does not lead")]
    NotLeader {
        /// Who does, if known.
        leader: Option<PeerId>,
    },
    /// Too much waits already.
    #[error("PROPOSALS_WAITING_MAX commands or PROPOSALS_WAITING_BYTES_MAX bytes wait already")]
    Busy,
    /// The command is empty or too large.
    #[error("a command has 1 to COMMAND_BYTES_MAX = {COMMAND_BYTES_MAX} bytes, not {bytes}")]
    Size {
        /// Its size.
        bytes: usize,
    },
}

/// Commands in one entry that is proposed and not decided.
#[derive(Debug)]
struct Frame {
    term: Term,
    index: LogIndex,
    first: Ticket,
    count: u64,
    /// The tick at which the leadership that proposed it was lost.
    orphaned_at: Option<u64>,
}

/// All tickets of one driver that have not ended.
#[derive(Debug, Default)]
pub(crate) struct Proposals {
    /// The next ticket's number.
    next: u64,
    /// Commands without an entry; the last one has ticket `next - 1`.
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    /// In order of index; their tickets ascend without gap but for what was lost.
    frames: VecDeque<Frame>,
}

impl Proposals {
    /// Queues a command of the leader.
    pub(crate) fn push(&mut self, command: Bytes) -> Result<Ticket, ProposeError> {
        let bytes = command.len();
        if !(1..=COMMAND_BYTES_MAX).contains(&bytes) {
            return Err(ProposeError::Size { bytes });
        }
        let is_full = self.waiting.len() >= PROPOSALS_WAITING_MAX;
        if is_full || self.waiting_bytes + bytes > PROPOSALS_WAITING_BYTES_MAX {
            return Err(ProposeError::Busy);
        }
        let ticket = Ticket(self.next);
        self.next += 1;
        self.waiting_bytes += bytes;
        self.waiting.push_back(command);
        Ok(ticket)
    }

    /// Commands that wait for their entry.
    pub(crate) fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    /// The payload of the next entry and how many commands it takes; they stay in the queue
    /// until [`Proposals::framed`], because the engine may refuse the entry (D10).
    pub(crate) fn next_frame(&self) -> Option<(Bytes, usize)> {
        if self.waiting.is_empty() || self.frames.len() >= FRAMES_IN_FLIGHT_MAX {
            return None;
        }
        let mut bytes = 0;
        let fits = |command: &&Bytes| {
            bytes += frame::LENGTH_BYTES + command.len();
            bytes <= FRAME_BYTES_MAX
        };
        let count = self.waiting.iter().take(FRAME_COMMANDS_MAX).take_while(fits).count();
        // A command above FRAME_BYTES_MAX gets an entry of its own.
        let count = count.max(1);
        Some((frame::encode(self.waiting.iter().take(count)), count))
    }

    /// The first `count` commands became the entry at `index`.
    pub(crate) fn framed(&mut self, count: usize, term: Term, index: LogIndex) {
        let first = Ticket(self.next - self.waiting.len() as u64);
        let bytes: usize = self.waiting.drain(..count).map(|command| command.len()).sum();
        self.waiting_bytes -= bytes;
        let is_last = self.frames.back().is_none_or(|frame| frame.index < index);
        assert!(is_last, "frames ascend by index: {index} comes after {:?}", self.frames.back());
        self.frames.push_back(Frame { term, index, first, count: count as u64, orphaned_at: None });
    }

    /// This entry is applied now: the first ticket of its commands, if they were proposed here.
    ///
    /// # Panics
    /// If a frame was overtaken by this entry and did not hear so: another entry came into the log
    /// at its index, and [`Proposals::overwritten`] was called for it.
    pub(crate) fn applied(&mut self, term: Term, index: LogIndex) -> Option<Ticket> {
        let frame = self.frames.pop_front_if(|frame| frame.index <= index)?;
        let is_same = (frame.index, frame.term) == (index, term);
        assert!(is_same, "entry {index}/{term} is applied over {frame:?}");
        Some(frame.first)
    }

    /// The log holds `entries` from the first one's index on, and nothing after them.
    pub(crate) fn overwritten(&mut self, entries: &[EngineEntry], out: &mut Vec<Effect>) {
        let Some(first) = entries.first().map(|entry| entry.index) else { return };
        self.frames.retain(|frame| {
            let Some(offset) = frame.index.0.checked_sub(first) else { return true };
            let entry = usize::try_from(offset).ok().and_then(|offset| entries.get(offset));
            let stands = entry.is_some_and(|entry| entry.term == frame.term.0);
            if !stands {
                // mark: overtaken entry
                frame.lose(out);
            }
            stands
        });
    }

    /// Leadership is lost: what waits was never proposed, what is in a frame is open for now.
    pub(crate) fn leadership_lost(&mut self, now: u64, out: &mut Vec<Effect>) {
        let first = self.next - self.waiting.len() as u64;
        out.extend((first..self.next).map(|ticket| not_proposed(Ticket(ticket))));
        self.waiting.clear();
        self.waiting_bytes = 0;
        for frame in &mut self.frames {
            frame.orphaned_at.get_or_insert(now);
        }
    }

    /// Frames whose leadership was lost `patience` ticks ago end here: nobody waits for ever.
    pub(crate) fn expire(&mut self, now: u64, patience: u64, out: &mut Vec<Effect>) {
        let is_over = |frame: &mut Frame| frame.orphaned_at.is_some_and(|at| at + patience <= now);
        while let Some(frame) = self.frames.pop_front_if(is_over) {
            frame.lose(out);
        }
    }

    /// The log was replaced by a snapshot, or this peer stops: no verdict will come.
    pub(crate) fn lose_frames(&mut self, out: &mut Vec<Effect>) {
        self.frames.drain(..).for_each(|frame| frame.lose(out));
    }
}

impl Frame {
    fn lose(&self, out: &mut Vec<Effect>) {
        let tickets = self.first.0..self.first.0 + self.count;
        out.extend(tickets.map(|it| Effect::Lost { ticket: Ticket(it), why: Lost::Unknown }));
    }
}

fn not_proposed(ticket: Ticket) -> Effect {
    Effect::Lost { ticket, why: Lost::NotProposed }
}

//! What all records so far say in sum, and what no further record may say (J7).
//!
//! The same value stands behind the writer and behind recovery: what is checked when a group is
//! written is checked again, at the distant place, when it is read back.
//!
//! ```text
//!        first                       last
//!   ------|---------------------------|
//!         older      newest    commit
//!           |----------|---------|      snapshots kept, and the commit index
//! ```
//!
//! 1. Entries from `first` to `last` are there, without gap; their terms never fall.
//! 2. At the end of a group no entry's term is above the hard state's, and commit <= last.
//! 3. The hard state's term never falls, nor does its commit index; one vote per term.
//! 4. A snapshot taken is of an entry in the log, with its term. One installed cuts the log.
//! 5. At most two snapshots are kept; the older has the smaller index.
//!
//! Entries themselves are not here; the terms of a log are a few runs.

use consensus::{HardState, LogIndex, Term};

use crate::error::Violation;
use crate::layout::Reader;
use crate::segment::Carried;

/// Which state a snapshot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    /// The last entry applied to it; never 0.
    pub(crate) index: u64,
    /// The term of that entry.
    pub(crate) term: u64,
}

impl Mark {
    /// Two fields of a header; zeros mean none.
    pub(crate) fn read(fields: &mut Reader<'_>) -> Option<Option<Self>> {
        let mark = Self { index: fields.u64()?, term: fields.u64()? };
        Some((mark.index != 0).then_some(mark))
    }
}

/// Entries from `first` on, up to the next run, have `term`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first: u64,
    term: u64,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogState {
    hard_state: HardState,
    first: u64,
    last: u64,
    /// Ascending; the first run starts at `first - 1` or before it, or at `first` where the term
    /// before the log is not known.
    runs: Vec<Run>,
    newest: Option<Mark>,
    older: Option<Mark>,
}

impl LogState {
    pub(crate) fn new(carried: &Carried) -> Self {
        let last = carried.next_index.saturating_sub(1);
        Self {
            hard_state: carried.hard_state,
            first: carried.next_index,
            last,
            runs: vec![Run { first: last, term: carried.last_term }],
            newest: carried.newest,
            older: carried.older,
        }
    }

    /// What a new segment carries over.
    pub(crate) fn carried(&self) -> Carried {
        Carried {
            next_index: self.last.saturating_add(1),
            last_term: self.last_term(),
            hard_state: self.hard_state,
            newest: self.newest,
            older: self.older,
        }
    }

    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    pub(crate) fn newest(&self) -> Option<Mark> {
        self.newest
    }

    pub(crate) fn older(&self) -> Option<Mark> {
        self.older
    }

    /// The hard state with the commit index that the snapshots prove.
    pub(crate) fn hard_state(&self) -> HardState {
        let proved = self.newest.map_or(0, |mark| mark.index);
        let commit = LogIndex(self.hard_state.commit.0.max(proved));
        HardState { commit, ..self.hard_state }
    }

    /// The lowest entry that is not needed any more, if a start from the older snapshot is to be
    /// possible; segments that hold nothing above it can be recycled.
    pub(crate) fn floor(&self) -> u64 {
        let base = self.first.saturating_sub(1);
        self.older.map_or(base, |mark| mark.index.max(base))
    }

    /// Whether the entry of a snapshot is in this log, so that the log goes on from it.
    pub(crate) fn has(&self, mark: Mark) -> bool {
        self.covers(mark) && self.term_at(mark.index) == Some(mark.term)
    }

    fn covers(&self, mark: Mark) -> bool {
        mark.index.saturating_add(1) >= self.first && mark.index <= self.last
    }

    fn term_at(&self, index: u64) -> Option<u64> {
        self.runs.iter().rev().find(|run| run.first <= index).map(|run| run.term)
    }

    fn last_term(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.term)
    }

    pub(crate) fn take_entry(&mut self, index: u64, term: u64) -> Result<(), Violation> {
        let next = self.last.checked_add(1);
        if next != Some(index) {
            return Err(Violation::EntryGap { last: LogIndex(self.last), found: LogIndex(index) });
        }
        let before = self.last_term();
        if term < before {
            let (before, found) = (Term(before), Term(term));
            return Err(Violation::EntryTermFell { index: LogIndex(index), before, found });
        }
        if term > before {
            self.runs.push(Run { first: index, term });
        }
        self.last = index;
        Ok(())
    }

    pub(crate) fn take_hard_state(&mut self, new: HardState) -> Result<(), Violation> {
        let old = self.hard_state;
        if new.term < old.term {
            return Err(Violation::TermFell { before: old.term, found: new.term });
        }
        let is_second_vote = old.vote.is_some() && new.vote != old.vote;
        if new.term == old.term && is_second_vote {
            return Err(Violation::VoteChanged { term: new.term });
        }
        if new.commit < old.commit {
            return Err(Violation::CommitFell { before: old.commit, found: new.commit });
        }
        self.hard_state = new;
        Ok(())
    }

    /// Cuts the entries from `index` on.
    ///
    /// An index below `first` is possible when the oldest segment was recycled: entries that it
    /// held were cut here and written again. The log then starts at the cut.
    pub(crate) fn take_truncate(&mut self, index: u64) -> Result<(), Violation> {
        let commit = self.hard_state().commit;
        let is_inside = index > commit.0 && index <= self.last;
        if !is_inside {
            let last = LogIndex(self.last);
            return Err(Violation::CutOutOfRange { found: LogIndex(index), commit, last });
        }
        self.last = index.saturating_sub(1);
        if index < self.first {
            self.first = index;
            // The term before the cut stood in the recycled segment: it is not known.
            self.runs.clear();
        }
        while self.runs.last().is_some_and(|run| run.first >= index) {
            self.runs.pop();
        }
        Ok(())
    }

    /// A snapshot of this log was saved; `older` is the one kept beside it.
    pub(crate) fn take_snapshot(
        &mut self,
        mark: Mark,
        older: Option<Mark>,
    ) -> Result<(), Violation> {
        // Before the log nothing can be checked: its entry stood in a recycled segment.
        let is_before = mark.index < self.first;
        let is_unknown = is_before && self.term_at(mark.index).is_none_or(|_| !self.covers(mark));
        let is_unordered = older.is_some_and(|older| older.index >= mark.index);
        if mark.index == 0 || is_unordered || !(is_unknown || self.has(mark)) {
            return Err(unfit(mark));
        }
        self.newest = Some(mark);
        self.older = older;
        self.forget_runs();
        Ok(())
    }

    /// A snapshot of another peer replaces the log.
    pub(crate) fn take_installed(&mut self, mark: Mark) -> Result<(), Violation> {
        if mark.index == 0 || mark.index < self.hard_state().commit.0 {
            return Err(unfit(mark));
        }
        self.first = mark.index.checked_add(1).ok_or(unfit(mark))?;
        self.last = mark.index;
        self.runs = vec![Run { first: mark.index, term: mark.term }];
        self.newest = Some(mark);
        self.older = None;
        Ok(())
    }

    /// What must hold at the end of every group.
    pub(crate) fn check_group_end(&self) -> Result<(), Violation> {
        let last_term = Term(self.last_term());
        if last_term > self.hard_state.term {
            let hard_state = self.hard_state.term;
            return Err(Violation::TermAboveHardState { last: last_term, hard_state });
        }
        if self.hard_state.commit.0 > self.last {
            let (commit, last) = (self.hard_state.commit, LogIndex(self.last));
            return Err(Violation::CommitBeyondLog { commit, last });
        }
        Ok(())
    }

    /// A snapshot turned out to be unreadable; the log goes on from another, or from its start.
    pub(crate) fn drop_newest(&mut self) {
        // What it proved about the commit index stays known.
        self.hard_state = self.hard_state();
        self.newest = self.older.take();
    }

    /// Takes over which snapshots are kept from the header of the next segment.
    pub(crate) fn adopt_snapshots(&mut self, newest: Option<Mark>, older: Option<Mark>) {
        self.hard_state = self.hard_state();
        self.newest = newest;
        self.older = older;
    }

    /// The segments that held entries below `first` are gone.
    pub(crate) fn forget_below(&mut self, first: u64) {
        self.first = self.first.max(first.min(self.last.saturating_add(1)));
        self.forget_runs();
    }

    /// Keeps the runs few: only those that `has` can still be asked about.
    fn forget_runs(&mut self) {
        let base = self.first.saturating_sub(1);
        let needed = self.runs.iter().rposition(|run| run.first <= base).unwrap_or(0);
        self.runs.drain(..needed);
    }
}

fn unfit(mark: Mark) -> Violation {
    Violation::SnapshotUnfit { index: LogIndex(mark.index), term: Term(mark.term) }
}

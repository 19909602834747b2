//! The log window: the part of the log that is held in memory, and the engine's storage.
//!
//! ```text
//!     base            first                                    last
//!      │                │                                        │
//!      ▼                ▼                                        ▼
//!  ────┼────────────────┼────────┬────────┬────────┬─────┤
//!   (index, term)       │ chunk  │ chunk  │ chunk  │ part │
//! ```
//!
//! - Entries stand in chunks of [`CHUNK_ENTRIES`]; every chunk but the last is full. The oldest is
//!   dropped whole, so that a cut never moves an entry that stays.
//! - Every entry after the newest snapshot is here, and `Settings::catch_up_entries` before it if they
//!   take no more than [`CATCH_UP_BYTES`]. Who needs an older one gets the snapshot (decision 0003).
//! - It holds what the engine may read, durable or not: entries are put here before the engine
//!   is told that they are taken (D5). What is durable, the engine counts by itself.

#[cfg(test)]
mod tests;

use crate::settings::CATCH_UP_BYTES;
use crate::{HardState, LogIndex, Membership, PeerId, SnapshotDescriptor, Term, engine};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use raft::eraftpb::{Entry as EngineEntry, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};

/// Entries in one chunk.
pub(crate) const CHUNK_ENTRIES: usize = 32;

/// What an entry weighs beside its payload when an append message is filled.
const ENTRY_OVERHEAD_BYTES: u64 = 32;

#[derive(Debug, Default)]
struct Chunk {
    entries: Vec<EngineEntry>,
    bytes: usize,
}

/// The window; see the module.
#[derive(Debug)]
pub(crate) struct LogWindow {
    /// As it was when the engine started; the engine keeps the present one by itself.
    hard_state: HardState,
    /// The membership as of what is applied.
    membership: Membership,
    /// The newest snapshot, which is what a peer far behind is sent.
    snapshot: Option<SnapshotDescriptor>,
    /// The entry before the first one here; its term is still needed to match logs.
    base: (LogIndex, Term),
    chunks: VecDeque<Chunk>,
}

impl LogWindow {
    /// A window that holds nothing yet.
    pub(crate) fn new(
        hard_state: HardState,
        membership: Membership,
        snapshot: Option<SnapshotDescriptor>,
    ) -> Self {
        let base = snapshot.as_ref().map_or_else(Default::default, |it| (it.index, it.term));
        Self { hard_state, membership, snapshot, base, chunks: VecDeque::new() }
    }

    /// The entry before the first one here, and its term.
    pub(crate) fn base(&self) -> (LogIndex, Term) {
        self.base
    }

    pub(crate) fn membership(&self) -> &Membership {
        &self.membership
    }

    /// A change of the membership was applied.
    pub(crate) fn set_membership(&mut self, membership: Membership) {
        self.membership = membership;
    }

    pub(crate) fn snapshot(&self) -> Option<&SnapshotDescriptor> {
        self.snapshot.as_ref()
    }

    /// The last entry, or `base` if there is none.
    pub(crate) fn last(&self) -> LogIndex {
        let full = self.chunks.len().saturating_sub(1) * CHUNK_ENTRIES;
        let count = full + self.chunks.back().map_or(0, |chunk| chunk.entries.len());
        LogIndex(self.base.0.0 + count as u64)
    }

    /// The term of an entry here, or of the one before the first; None for every other.
    pub(crate) fn term(&self, index: LogIndex) -> Option<Term> {
        if index == self.base.0 {
            return Some(self.base.1);
        }
        self.get(index).map(|entry| Term(entry.term))
    }

    /// Bytes of the payloads held.
    pub(crate) fn bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.bytes).sum()
    }

    fn get(&self, index: LogIndex) -> Option<&EngineEntry> {
        let offset = index.0.checked_sub(self.base.0.0 + 1)?;
        let offset = usize::try_from(offset).ok()?;
        self.chunks.get(offset / CHUNK_ENTRIES)?.entries.get(offset % CHUNK_ENTRIES)
    }

    /// Appends entries without gap; from the first one's index on, older ones are cut.
    ///
    /// # Panics
    /// If the first entry lies before the window or leaves a gap: the engine never cuts what is
    /// committed, and the window never loses what is not.
    pub(crate) fn append(&mut self, entries: &[EngineEntry]) {
        let Some(first) = entries.first() else { return };
        self.cut_tail(LogIndex(first.index));
        for entry in entries {
            let last = self.last();
            assert!(entry.index == last.0 + 1, "entry {} follows {last}", entry.index);
            let is_full = self.chunks.back().is_none_or(|it| it.entries.len() == CHUNK_ENTRIES);
            if is_full {
                self.chunks.push_back(Chunk::default());
            }
            let chunk = self.chunks.back_mut().expect("a chunk with room was just made sure of");
            chunk.bytes += payload_bytes(entry);
            chunk.entries.push(entry.clone());
        }
    }

    /// Drops every entry from `from` on.
    fn cut_tail(&mut self, from: LogIndex) {
        assert!(from > self.base.0, "a cut at {from} reaches before {}", self.base.0);
        while self.last() >= from {
            let chunk = self.chunks.back_mut().expect("last is above base: there is a chunk");
            let entry = chunk.entries.pop().expect("no chunk is empty");
            chunk.bytes -= payload_bytes(&entry);
            if chunk.entries.is_empty() {
                self.chunks.pop_back();
            }
        }
    }

    /// A snapshot was installed: nothing before it is known any more.
    pub(crate) fn install(&mut self, descriptor: &SnapshotDescriptor) {
        self.chunks.clear();
        self.base = (descriptor.index, descriptor.term);
        self.membership = descriptor.membership.clone();
        self.snapshot = Some(descriptor.clone());
    }

    /// A snapshot of the state here was taken: entries far before it are dropped.
    ///
    /// # Panics
    /// If the descriptor's entry is not the one that stands here.
    pub(crate) fn taken(&mut self, descriptor: SnapshotDescriptor, catch_up_entries: u64) {
        let term = self.term(descriptor.index);
        assert!(term == Some(descriptor.term), "snapshot of {descriptor:?}, here is {term:?}");
        let index = descriptor.index.0;
        self.snapshot = Some(descriptor);
        let mut bytes = self.bytes();
        while let Some(chunk) = self.chunks.front() {
            let last = self.base.0.0 + chunk.entries.len() as u64;
            let is_far = last + catch_up_entries <= index || bytes > CATCH_UP_BYTES;
            if last > index || !is_far {
                break;
            }
            bytes -= chunk.bytes;
            let term = chunk.entries.last().expect("no chunk is empty").term;
            self.base = (LogIndex(last), Term(term));
            self.chunks.pop_front();
        }
    }
}

/// A membership entry keeps its payload in the context (D22).
fn payload_bytes(entry: &EngineEntry) -> usize {
    entry.data.len() + entry.context.len()
}

impl Storage for LogWindow {
    fn initial_state(&self) -> raft::Result<RaftState> {
        let conf_state = engine::to_conf_state(&self.membership);
        Ok(RaftState::new(engine::to_hard_state(self.hard_state), conf_state))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<EngineEntry>> {
        if low <= self.base.0.0 {
            return Err(StorageError::Compacted.into());
        }
        assert!(high <= self.last().0 + 1, "entries up to {high}, the last is {}", self.last());
        let limit = max_size.into().unwrap_or(u64::MAX);
        let mut entries = Vec::new();
        let mut bytes = 0_u64;
        for index in low..high {
            let entry = self.get(LogIndex(index)).expect("base < low <= index < high <= last + 1");
            bytes = bytes.saturating_add(ENTRY_OVERHEAD_BYTES + payload_bytes(entry) as u64);
            if bytes > limit && !entries.is_empty() {
                break;
            }
            entries.push(entry.clone());
        }
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        let term = self.term(LogIndex(index)).map(|term| term.0);
        let before = index < self.base.0.0;
        let why = if before { StorageError::Compacted } else { StorageError::Unavailable };
        term.ok_or_else(|| why.into())
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.base.0.0 + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last().0)
    }

    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<Snapshot> {
        // Without one the log reaches back to its first entry, so that nobody needs one. One that was taken before
        // the receiver belonged to the cluster would be refused there (S7); the caller takes a new one.
        let is_of_use = |it: &&SnapshotDescriptor| {
            it.index.0 >= request_index && it.membership.has_peer(PeerId(to))
        };
        let snapshot = self.snapshot.as_ref().filter(is_of_use);
        let unavailable = StorageError::SnapshotTemporarilyUnavailable;
        snapshot.map(engine::to_snapshot).ok_or_else(|| unavailable.into())
    }
}

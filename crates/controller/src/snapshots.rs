//! Snapshots of the replicated state: when one is taken, and how a peer that is far behind gets one.
//!
//! The engine only learns that a snapshot *exists* (a descriptor). Its bytes are pulled by the peer that needs
//! them, one part after the other over the ordinary link, so keepalives pass between two parts and the reader sets
//! the pace. The state is a few megabytes, so the newest snapshot is kept in memory (decision 0005).
//!
//! ```text
//!  leader                                   follower
//!    │ ── Raft(snapshot: descriptor) ────────► │  FetchSnapshot
//!    │ ◄──────────────── SnapshotRead(0) ───── │
//!    │ ── SnapshotPart(0, bytes) ────────────► │  … until complete; checksum; SaveSnapshot
//!    │                                         │  SnapshotSaved ──► the engine may use it
//! ```

use crate::instant::Instant;
use alloc::collections::BTreeMap;
use bytes::{Bytes, BytesMut};
use consensus::{LogIndex, PeerId, SnapshotDescriptor};

/// Largest part of a snapshot in one message, in bytes: well below a frame, and quick to send.
pub const SNAPSHOT_PART_BYTES_MAX: usize = 256 * 1_024;

/// Largest snapshot that is fetched, in bytes. A million broker sets stay below it.
pub const SNAPSHOT_BYTES_MAX: u64 = 1_024 * 1_024 * 1_024;

/// A fetch that saw no part for this long, in ms, has failed.
pub(crate) const SNAPSHOT_PART_DEADLINE_MS: u64 = 2_000;

/// A peer that was offered a snapshot and did not come for a part for this long, in ms, is reported.
pub(crate) const SNAPSHOT_OFFER_DEADLINE_MS: u64 = 10_000;

/// Checksum of a snapshot's bytes: FNV-1a with 128 bits.
///
/// Source: RFC 9923 (the FNV hash), parameters of the 128-bit variant.
pub fn checksum(bytes: &[u8]) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.iter().fold(BASIS, |hash, &byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME))
}

/// A snapshot that is being fetched.
#[derive(Debug)]
struct Fetch {
    from: PeerId,
    descriptor: SnapshotDescriptor,
    bytes: BytesMut,
    deadline: Instant,
}

/// A part that arrived.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) from: PeerId,
    pub(crate) index: LogIndex,
    pub(crate) offset: u64,
    pub(crate) bytes: Bytes,
}

/// What a part that arrived means.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// Ask for the part at this offset.
    More(PeerId, u64),
    /// Complete and as described: make it durable.
    Complete(SnapshotDescriptor, Bytes),
    /// Damaged, or the sender does not have it any more.
    Failed(SnapshotDescriptor),
    /// Not what is being fetched.
    Ignored,
}

/// Snapshots of one peer.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    /// The newest durable one, for peers that are far behind.
    newest: Option<(SnapshotDescriptor, Bytes)>,
    /// On its way to the disk: taken here, or fetched.
    saving: Option<(SnapshotDescriptor, Bytes)>,
    fetch: Option<Fetch>,
    /// Peers that were offered a snapshot, and until when they should have asked for a part.
    offers: BTreeMap<PeerId, Instant>,
    commands: u64,
    bytes: u64,
}

impl Snapshots {
    /// What recovery found.
    pub(crate) fn restored(newest: Option<(SnapshotDescriptor, Bytes)>) -> Self {
        Self { newest, ..Self::default() }
    }

    /// Counts what was applied since the last snapshot.
    pub(crate) fn applied(&mut self, commands: u64, bytes: u64) {
        self.commands += commands;
        self.bytes += bytes;
    }

    /// Whether the log has grown enough for a snapshot, and none is on its way.
    pub(crate) fn is_due(&self, commands_max: u64, bytes_max: u64) -> bool {
        let has_grown = self.commands >= commands_max || self.bytes >= bytes_max;
        has_grown && self.is_idle()
    }

    /// Whether none is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        self.saving.is_none() && self.fetch.is_none()
    }

    /// A snapshot is handed to the disk.
    pub(crate) fn begin_saving(&mut self, descriptor: SnapshotDescriptor, bytes: Bytes) {
        self.saving = Some((descriptor, bytes));
        (self.commands, self.bytes) = (0, 0);
    }

    /// A snapshot is durable; its bytes, if it is the one that was being saved.
    pub(crate) fn saved(&mut self, descriptor: &SnapshotDescriptor) -> Option<Bytes> {
        let (_, bytes) = self.saving.take_if(|(saving, _)| saving == descriptor)?;
        self.newest = Some((descriptor.clone(), bytes.clone()));
        Some(bytes)
    }

    /// A snapshot could not be saved; the next one is tried when the log has grown again.
    pub(crate) fn not_saved(&mut self, descriptor: &SnapshotDescriptor) {
        self.saving.take_if(|(saving, _)| saving == descriptor);
    }

    /// The bytes of the durable snapshot that `descriptor` names.
    pub(crate) fn bytes_of(&self, descriptor: &SnapshotDescriptor) -> Option<Bytes> {
        let (newest, bytes) = self.newest.as_ref()?;
        (newest.index == descriptor.index && newest.term == descriptor.term).then(|| bytes.clone())
    }

    /// A part of the newest snapshot, empty if it is another by now; and whether it is the last.
    pub(crate) fn part(
        &mut self,
        now: Instant,
        peer: PeerId,
        index: LogIndex,
        offset: u64,
    ) -> (Bytes, bool) {
        let newest = self.newest.as_ref().filter(|(newest, _)| newest.index == index);
        let Some((_, bytes)) = newest else { return (Bytes::new(), false) };
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let end = start.saturating_add(SNAPSHOT_PART_BYTES_MAX).min(bytes.len());
        let is_last = end == bytes.len();
        let part = bytes.slice(start..end);
        if is_last {
            self.offers.remove(&peer);
        } else {
            self.offers.insert(peer, now.plus_ms(SNAPSHOT_OFFER_DEADLINE_MS));
        }
        (part, is_last)
    }

    /// `peer` was told of a snapshot.
    pub(crate) fn offered(&mut self, now: Instant, peer: PeerId) {
        self.offers.insert(peer, now.plus_ms(SNAPSHOT_OFFER_DEADLINE_MS));
    }

    /// Whether `peer`, whose link is gone, was being sent a snapshot.
    pub(crate) fn withdraw(&mut self, peer: PeerId) -> bool {
        self.offers.remove(&peer).is_some()
    }

    /// Peers that did not come for their snapshot.
    pub(crate) fn late_offers(&mut self, now: Instant) -> alloc::vec::Vec<PeerId> {
        self.offers.extract_if(.., |_, until| *until <= now).map(|(peer, _)| peer).collect()
    }

    /// Starts to fetch. `false` if it is larger than [`SNAPSHOT_BYTES_MAX`].
    pub(crate) fn begin_fetch(
        &mut self,
        now: Instant,
        from: PeerId,
        descriptor: SnapshotDescriptor,
    ) -> bool {
        if descriptor.bytes > SNAPSHOT_BYTES_MAX {
            return false;
        }
        let deadline = now.plus_ms(SNAPSHOT_PART_DEADLINE_MS);
        self.fetch = Some(Fetch { from, descriptor, bytes: BytesMut::new(), deadline });
        true
    }

    /// A part has arrived.
    pub(crate) fn take_part(&mut self, now: Instant, part: &Part) -> Fetched {
        let &Part { from, index, offset, bytes: ref part } = part;
        let Some(fetch) = self.fetch.as_mut() else { return Fetched::Ignored };
        let have = u64::try_from(fetch.bytes.len()).unwrap_or(u64::MAX);
        if fetch.from != from || fetch.descriptor.index != index || offset != have {
            return Fetched::Ignored;
        }
        let total = have.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
        let is_broken = (part.is_empty() && total < fetch.descriptor.bytes)
            || part.len() > SNAPSHOT_PART_BYTES_MAX
            || total > fetch.descriptor.bytes;
        if !is_broken && total < fetch.descriptor.bytes {
            fetch.bytes.extend_from_slice(part);
            fetch.deadline = now.plus_ms(SNAPSHOT_PART_DEADLINE_MS);
            return Fetched::More(from, total);
        }
        let Some(mut fetch) = self.fetch.take() else { return Fetched::Ignored };
        fetch.bytes.extend_from_slice(part);
        let bytes = fetch.bytes.freeze();
        if is_broken || checksum(&bytes) != fetch.descriptor.checksum {
            return Fetched::Failed(fetch.descriptor);
        }
        Fetched::Complete(fetch.descriptor, bytes)
    }

    /// The fetch that got no part in time.
    pub(crate) fn late_fetch(&mut self, now: Instant) -> Option<SnapshotDescriptor> {
        self.fetch.take_if(|fetch| fetch.deadline <= now).map(|fetch| fetch.descriptor)
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        let fetch = self.fetch.as_ref().map(|fetch| fetch.deadline);
        fetch.into_iter().chain(self.offers.values().copied()).min()
    }

    /// Size of the newest durable snapshot, 0 if there is none.
    pub(crate) fn newest_bytes(&self) -> u64 {
        self.newest.as_ref().map_or(0, |(newest, _)| newest.bytes)
    }

    /// Index of the newest durable snapshot, 0 if there is none.
    pub(crate) fn newest_index(&self) -> u64 {
        self.newest.as_ref().map_or(0, |(newest, _)| newest.index.0)
    }
}

#[cfg(test)]
mod tests;

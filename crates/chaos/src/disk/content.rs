//! One file: what processes see of it, and what a power loss would leave.
//!
//! | Sector | Processes see | After a power loss | After the next good sync |
//! |---|---|---|---|
//! | clean | its bytes | the same | the same |
//! | dirty: written since the last sync | the new bytes | old, new, or a mixture | the new bytes are durable |
//! | dropped: it was dirty when a sync failed | the new bytes | old | still old: the kernel believes it clean |
//!
//! A write makes a dropped sector dirty again. The length is durable as of the last good sync.
//!
//! Source: what Linux does with pages whose write-back failed; RELIABILITY, section 2.2.

use super::Loss;
use crate::draw::Draw;
use std::collections::BTreeMap;

/// What a disk writes as one piece, in bytes.
pub(super) const SECTOR: usize = 512;

/// The bytes of one file, and those that would come back.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// What processes see.
    bytes: Vec<u8>,
    durable_bytes: usize,
    /// By number of the sector: what is durable there.
    dirty: BTreeMap<usize, [u8; SECTOR]>,
    dropped: BTreeMap<usize, [u8; SECTOR]>,
}

impl Content {
    /// A file that was there before anybody wrote to it: all of it is durable.
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        Self { durable_bytes: bytes.len(), bytes, ..Self::default() }
    }

    /// What processes see.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// As many of the `count` bytes at `offset` as there are.
    pub(super) fn read(&self, offset: usize, count: usize) -> &[u8] {
        let begin = offset.min(self.bytes.len());
        &self.bytes[begin..begin.saturating_add(count).min(self.bytes.len())]
    }

    /// Writes `bytes` at `offset`; a hole before it reads as zeros.
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        self.soil(offset.min(self.bytes.len()), end);
        if end > self.bytes.len() {
            self.bytes.resize(end, 0);
        }
        self.bytes[offset..end].copy_from_slice(bytes);
    }

    /// Cuts or lengthens the file.
    pub(super) fn resize(&mut self, bytes: usize) {
        self.soil(bytes.min(self.bytes.len()), bytes.max(self.bytes.len()));
        self.bytes.resize(bytes, 0);
    }

    /// Everything is durable but what an earlier failed sync dropped.
    pub(super) fn sync(&mut self) {
        self.dirty.clear();
        self.durable_bytes = self.bytes.len();
    }

    /// A sync failed: nothing became durable, and later syncs do not try it again.
    pub(super) fn fail_sync(&mut self) {
        self.dropped.append(&mut self.dirty);
    }

    /// Sectors that are not durable.
    pub(super) fn at_stake(&self) -> usize {
        self.dirty.len() + self.dropped.len()
    }

    /// The power goes. Returns how many bytes were not durable and are not there any more.
    pub(super) fn lose(&mut self, loss: Loss, draw: &mut Draw) -> usize {
        let seen = self.bytes.clone();
        let keeps_length = loss == Loss::Tear && draw.happens(500);
        let bytes = if keeps_length { seen.len() } else { self.durable_bytes };
        // Room for sectors that a cut took away and that come back.
        self.bytes.resize(seen.len().max(bytes).next_multiple_of(SECTOR), 0);
        for (sector, old) in std::mem::take(&mut self.dropped) {
            self.revert(sector, &old, SECTOR);
        }
        for (sector, old) in std::mem::take(&mut self.dirty) {
            let gone = match loss {
                Loss::Drop => SECTOR,
                Loss::Tear => [0, draw.index(SECTOR), SECTOR][draw.index(3)],
            };
            self.revert(sector, &old, gone);
        }
        self.bytes.resize(bytes, 0);
        self.durable_bytes = bytes;
        let changed = seen.iter().zip(&self.bytes).filter(|(seen, left)| seen != left).count();
        changed + seen.len().saturating_sub(bytes)
    }

    /// The last `gone` bytes of a sector are the old ones again.
    fn revert(&mut self, sector: usize, old: &[u8; SECTOR], gone: usize) {
        let start = sector * SECTOR;
        if let Some(now) = self.bytes.get_mut(start..start + SECTOR) {
            now[SECTOR - gone..].copy_from_slice(&old[SECTOR - gone..]);
        }
    }

    /// Remembers what is durable in every sector of `from..to`, before it changes.
    fn soil(&mut self, from: usize, to: usize) {
        for sector in from / SECTOR..to.div_ceil(SECTOR) {
            if self.dirty.contains_key(&sector) {
                continue;
            }
            let known = self.dropped.remove(&sector);
            let old = known.unwrap_or_else(|| {
                let mut old = [0; SECTOR];
                let seen = self.read(sector * SECTOR, SECTOR);
                old[..seen.len()].copy_from_slice(seen);
                old
            });
            self.dirty.insert(sector, old);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Content, SECTOR};
    use crate::disk::Loss;
    use crate::draw::Draw;

    fn drop_all(content: &mut Content) -> usize {
        content.lose(Loss::Drop, &mut Draw::new(1))
    }

    #[test]
    fn what_was_synced_stays_and_the_rest_goes() {
        let mut file = Content::default();
        file.write(0, &[1; 2_000]);
        file.sync();
        file.write(1_500, &[2; 1_000]);
        assert_eq!(file.read(1_499, 2), [1, 2]);
        assert_eq!(drop_all(&mut file), 1_000);
        assert_eq!(file.bytes(), [1; 2_000]);
        assert_eq!(drop_all(&mut file), 0);
    }

    #[test]
    fn a_cut_comes_back_and_a_hole_is_zero() {
        let mut file = Content::durable(vec![7; 1_300]);
        file.resize(100);
        file.write(1_200, &[8; 4]);
        assert_eq!(file.read(99, 3), [7, 0, 0]);
        drop_all(&mut file);
        assert_eq!(file.bytes(), [7; 1_300]);
    }

    #[test]
    fn a_failed_sync_is_never_made_good_by_the_next() {
        let mut file = Content::default();
        file.write(0, &[1; 3 * SECTOR]);
        file.sync();
        file.write(0, &[2; 2 * SECTOR]);
        file.fail_sync();
        file.sync();
        assert_eq!(file.read(0, 1), [2]);
        // Written once more, as a journal that starts again does, it counts.
        file.write(SECTOR, &[2; SECTOR]);
        file.sync();
        assert_eq!(drop_all(&mut file), SECTOR);
        let expected = [[1; SECTOR], [2; SECTOR], [1; SECTOR]].concat();
        assert_eq!(file.bytes(), expected);
    }

    #[test]
    fn a_torn_sector_begins_new_and_ends_old() {
        let mut kinds = [0; 3];
        for seed in 0..200 {
            let mut file = Content::durable(vec![1; SECTOR]);
            file.write(0, &[2; SECTOR]);
            file.lose(Loss::Tear, &mut Draw::new(seed));
            let new = file.bytes().iter().take_while(|byte| **byte == 2).count();
            assert!(file.bytes()[new..].iter().all(|byte| *byte == 1), "seed {seed}");
            kinds[usize::from(new > 0) + usize::from(new == SECTOR)] += 1;
        }
        assert!(kinds.iter().all(|count| *count > 20), "{kinds:?}");
    }
}

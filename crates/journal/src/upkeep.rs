//! What keeps the journal small and its next segment ready: snapshots, recycling, spares.
//!
//! A snapshot, step by step (S2): written aside; synced; renamed; folder synced; a record in the
//! journal; recycling. A crash between any two steps leaves either the old state of affairs and a
//! left-over file, or the new one and segments that the next snapshot gives up.
//!
//! Two snapshots are kept, and the log from the older one on (S3): if the newest turns out to be
//! rotten, the older one and the log give the same state.
//!
//! A snapshot that does not belong to this log came from another peer and waits to be installed:
//! its file is durable, but no record names it before the group with [`Persist::snapshot`] is
//! written, which cuts the log in the same write (S5).
//!
//! [`Persist::snapshot`]: consensus::Persist::snapshot

use bytes::Bytes;
use consensus::{LogIndex, SnapshotDescriptor};

use crate::disk::{Disk, DiskFile};
use crate::error::{DiskError, JournalError, OpenError};
use crate::journal::{Journal, ZERO_BYTES};
use crate::layout::{self, Name, in_memory, on_disk};
use crate::log_state::{LogState, Mark};
use crate::record::{self, Kind};
use crate::snapshot::{self, Unusable};
use crate::survey::Survey;

/// What [`Journal::maintain`] found to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upkeep {
    /// Nothing: all spares are there.
    Done,
    /// A step was done and more remain; call again when idle.
    More,
    /// The disk is full, so a spare is missing: this peer should not lead (J5). Call again later.
    DiskFull,
}

/// A spare that is being made, a step at a time.
#[derive(Debug)]
pub(crate) struct Making<F> {
    number: u64,
    file: F,
    bytes: u64,
}

/// The spares that were found.
pub(crate) struct Spares {
    pub(crate) usable: Vec<u64>,
    /// Names of those of another length.
    pub(crate) unusable: Vec<String>,
}

impl<D: Disk> Journal<D> {
    /// Saves a state durably. Returns when it survives a crash and old segments were given up.
    ///
    /// If the state belongs to this log, it counts from now on. If not, it was fetched from another
    /// peer and counts when a group with the same descriptor in `Persist::snapshot` is written. A
    /// state that is not newer than the newest that counts changes nothing.
    ///
    /// # Errors
    /// - [`JournalError::Snapshot`]: the descriptor does not describe `bytes`; survivable.
    /// - [`JournalError::Disk`]: survivable if the disk was full ([`JournalError::is_survivable`]).
    /// - [`JournalError::NoIdentity`], [`JournalError::Failed`].
    ///
    /// Source: CONSENSUS.md S2, S3, S5.
    pub fn save_snapshot(
        &mut self,
        descriptor: &SnapshotDescriptor,
        bytes: &[u8],
    ) -> Result<(), JournalError> {
        self.guarded(|journal| journal.save(descriptor, bytes))
    }

    fn save(&mut self, descriptor: &SnapshotDescriptor, bytes: &[u8]) -> Result<(), JournalError> {
        if self.active.is_none() {
            return Err(JournalError::NoIdentity);
        }
        let mark = Mark { index: descriptor.index.0, term: descriptor.term.0 };
        let newest = self.state.newest();
        let is_newer = newest.is_none_or(|newest| newest.index < mark.index);
        if !is_newer || self.fetched == Some(mark) {
            return Ok(());
        }
        snapshot::save(&mut self.disk, self.cluster, descriptor, bytes)?;
        self.snapshot_bytes.push((mark, on_disk(bytes.len())));
        self.counters.snapshots = self.counters.snapshots.saturating_add(1);
        if !self.state.has(mark) {
            self.fetched = Some(mark);
            return Ok(());
        }
        self.make_room(on_disk(record::size(16)))?;
        self.state.take_snapshot(mark, newest)?;
        let mut payload = [0; 16];
        let (index, term) = payload.split_at_mut(8);
        index.copy_from_slice(&newest.unwrap_or_default().index.to_le_bytes());
        term.copy_from_slice(&newest.unwrap_or_default().term.to_le_bytes());
        let payload = if newest.is_some() { &payload[..] } else { &[] };
        self.batch.push(Kind::SnapshotTaken, mark.term, mark.index, payload);
        self.batch.end_group();
        self.flush()?;
        self.give_up_old()
    }

    /// Reads a saved state back and checks every byte; `None` if there is none at that index.
    ///
    /// # Errors
    /// - [`JournalError::SnapshotDamaged`]: the file has rotted; survivable.
    /// - [`JournalError::Disk`]: it could not be read.
    pub fn read_snapshot(
        &self,
        index: LogIndex,
    ) -> Result<Option<(SnapshotDescriptor, Bytes)>, JournalError> {
        let known = [self.state.newest(), self.state.older(), self.fetched];
        let Some(mark) = known.into_iter().flatten().find(|mark| mark.index == index.0) else {
            return Ok(None);
        };
        let damaged = |offset, damage| JournalError::SnapshotDamaged {
            place: self.disk.place(),
            file: layout::snapshot_name(mark.index, mark.term),
            offset: on_disk(offset),
            damage,
        };
        match snapshot::load(&self.disk, self.cluster, mark) {
            Ok(snapshot) => Ok(Some(snapshot)),
            Err(Unusable::Disk(error)) => Err(error.into()),
            Err(Unusable::Newer(_)) => {
                let damage = crate::Damage::Field { field: "format version" };
                Err(damaged(8, damage))
            }
            Err(Unusable::Damaged { offset, damage }) => Err(damaged(offset, damage)),
        }
    }

    /// Makes spare segments ahead of need, at most 1 MiB of zeros at a time, so that a group that
    /// arrives meanwhile waits for one small step only. Called when there is nothing to write.
    ///
    /// # Errors
    /// Any [`JournalError`] but a full disk, which is [`Upkeep::DiskFull`]; none is survivable.
    ///
    /// Source: CONSENSUS.md J1, J5.
    pub fn maintain(&mut self) -> Result<Upkeep, JournalError> {
        self.guarded(|journal| match journal.maintain_step() {
            Err(error) if error.is_disk_full() => {
                journal.give_up_making()?;
                Ok(Upkeep::DiskFull)
            }
            result => Ok(result?),
        })
    }

    fn maintain_step(&mut self) -> Result<Upkeep, DiskError> {
        let has_all = self.spares.len() >= self.options.spares;
        if self.active.is_none() || (has_all && self.making.is_none()) {
            return Ok(Upkeep::Done);
        }
        let place = self.disk.place();
        let number = self.making.as_ref().map_or(self.next_spare, |making| making.number);
        let name = layout::spare_name(number);
        let aside = layout::aside_name(&name);
        let failed = |action, source| DiskError::new(&place, &aside, action, source);
        let mut making = match self.making.take() {
            Some(making) => making,
            None => {
                let file = self.disk.create(&aside).map_err(|source| failed("make", source))?;
                self.next_spare = self.next_spare.saturating_add(1);
                Making { number, file, bytes: 0 }
            }
        };
        let rest = self.options.segment_bytes.saturating_sub(making.bytes);
        let step = rest.min(on_disk(ZERO_BYTES));
        let zeros = vec![0; in_memory(step)];
        let written = making.file.write_at(making.bytes, &zeros);
        let synced = written.and_then(|()| making.file.sync());
        making.bytes = making.bytes.saturating_add(step);
        let is_complete = making.bytes >= self.options.segment_bytes;
        self.making = Some(making);
        synced.map_err(|source| failed("write zeros to", source))?;
        if is_complete {
            self.disk.rename(&aside, &name).map_err(|source| failed("rename", source))?;
            self.disk.sync_folder().map_err(|source| failed("sync the folder of", source))?;
            self.making = None;
            self.spares.push(number);
        }
        let is_done = is_complete && self.spares.len() >= self.options.spares;
        Ok(if is_done { Upkeep::Done } else { Upkeep::More })
    }

    fn give_up_making(&mut self) -> Result<(), DiskError> {
        let Some(making) = self.making.take() else { return Ok(()) };
        let aside = layout::aside_name(&layout::spare_name(making.number));
        self.disk
            .remove(&aside)
            .map_err(|source| DiskError::new(&self.disk.place(), &aside, "remove", source))
    }

    /// How many spare segments are ready.
    #[must_use]
    pub fn spares(&self) -> usize {
        self.spares.len()
    }

    /// Bytes of segments, spares and the snapshots that count or wait.
    #[must_use]
    pub fn bytes_on_disk(&self) -> u64 {
        let active = self.active.as_ref().map(|active| active.segment.bytes);
        let closed = self.closed.iter().map(|segment| segment.bytes);
        let spares = self.spares.iter().map(|_| self.options.segment_bytes);
        let making = self.making.as_ref().map(|making| making.bytes);
        let snapshots = self.snapshot_bytes.iter().map(|(_, bytes)| *bytes);
        let all = active.into_iter().chain(closed).chain(spares).chain(making).chain(snapshots);
        all.fold(0, u64::saturating_add)
    }

    /// Gives up segments below the older snapshot, oldest first, and snapshots that do not count.
    ///
    /// The folder is synced after each segment: a crash may undo the last of these changes, but it
    /// never leaves a hole between segments.
    pub(crate) fn give_up_old(&mut self) -> Result<(), JournalError> {
        let began = (self.clock)();
        let floor = self.state.floor();
        loop {
            let newest = self.active.as_ref().map(|active| active.segment.first_index);
            let next = self.closed.get(1).map(|segment| segment.first_index).or(newest);
            // All entries of the oldest segment lie before the first of the next one.
            let is_below = next.is_some_and(|first| first <= floor.saturating_add(1));
            if !is_below {
                break;
            }
            let Some(oldest) = self.closed.pop_front() else { break };
            let is_fit = oldest.bytes == self.options.segment_bytes;
            if is_fit && self.spares.len() < self.options.spares {
                self.retire(oldest.generation)?;
            } else {
                self.remove_all(&[layout::segment_name(oldest.generation)])?;
            }
            self.state.forget_below(next.unwrap_or(0));
            self.counters.recycled = self.counters.recycled.saturating_add(1);
        }
        self.remove_stray_snapshots()?;
        let micros = (self.clock)().saturating_sub(began);
        self.counters.recycling_micros = self.counters.recycling_micros.saturating_add(micros);
        Ok(())
    }

    /// Makes a spare of a segment.
    pub(crate) fn retire(&mut self, generation: u64) -> Result<(), DiskError> {
        let place = self.disk.place();
        let name = layout::segment_name(generation);
        let number = self.next_spare;
        self.next_spare = number.saturating_add(1);
        self.disk
            .rename(&name, &layout::spare_name(number))
            .map_err(|source| DiskError::new(&place, &name, "rename", source))?;
        self.disk
            .sync_folder()
            .map_err(|source| DiskError::new(&place, &name, "sync the folder of", source))?;
        self.spares.push(number);
        Ok(())
    }

    /// Removes files, and syncs the folder in any case.
    pub(crate) fn remove_all(&mut self, names: &[String]) -> Result<(), DiskError> {
        let place = self.disk.place();
        for name in names {
            self.disk
                .remove(name)
                .map_err(|source| DiskError::new(&place, name, "remove", source))?;
        }
        self.disk
            .sync_folder()
            .map_err(|source| DiskError::new(&place, "", "sync the folder", source))
    }

    fn remove_stray_snapshots(&mut self) -> Result<(), JournalError> {
        let kept = [self.state.newest(), self.state.older(), self.fetched];
        let is_kept = |mark: Mark| kept.contains(&Some(mark));
        let place = self.disk.place();
        let names = self
            .disk
            .list()
            .map_err(|source| DiskError::new(&place, "", "list the folder", source))?;
        for name in names {
            if let Name::Snapshot { index, term } = Name::parse(&name)
                && !is_kept(Mark { index, term })
            {
                self.disk
                    .remove(&name)
                    .map_err(|source| DiskError::new(&place, &name, "remove", source))?;
            }
        }
        self.snapshot_bytes.retain(|(mark, _)| is_kept(*mark));
        Ok(())
    }

    /// Notes the sizes of the snapshots that count.
    pub(crate) fn measure_snapshots(&mut self, state: &LogState) -> Result<(), OpenError> {
        for mark in [state.newest(), state.older()].into_iter().flatten() {
            let name = layout::snapshot_name(mark.index, mark.term);
            // The older one may be missing or unreadable: it is only asked for when it is needed.
            if let Ok(file) = self.disk.open(&name)
                && let Ok(bytes) = file.bytes()
            {
                self.snapshot_bytes.push((mark, bytes));
            }
        }
        Ok(())
    }

    /// Sorts the spares that were found by whether their length is the one asked for today.
    pub(crate) fn measure_spares(&self, survey: &Survey) -> Result<Spares, OpenError> {
        let mut spares = Spares { usable: Vec::new(), unusable: Vec::new() };
        for number in survey.spares.iter().copied() {
            let name = layout::spare_name(number);
            let measured = self.disk.open(&name).and_then(|file| file.bytes());
            let bytes = measured
                .map_err(|source| DiskError::new(&self.disk.place(), &name, "measure", source))?;
            let is_fit = bytes == self.options.segment_bytes;
            if is_fit && spares.usable.len() < self.options.spares {
                spares.usable.push(number);
            } else {
                spares.unusable.push(name);
            }
        }
        Ok(spares)
    }
}

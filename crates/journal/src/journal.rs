//! The journal: opening it, and the one path by which groups become durable.
//!
//! | Step | Where |
//! |---|---|
//! | check the group against everything before it (J7) | [`Journal::write`], `log_state` |
//! | encode its records into the buffer | `batch` |
//! | no room: finish the write, go to the next segment | `roll` |
//! | one write, one sync | `flush` |
//!
//! Order at a roll: the header is written to a spare and synced; the spare becomes `segment-<n>`;
//! the folder is synced; only then a record goes into it. So a file called `segment-*` always has
//! a header.
//!
//! A group in which only the commit index moved needs no sync of its own (D3): it is remembered
//! and rides with the next one.

use std::collections::VecDeque;
use std::io;

use consensus::{HardState, PeerId, Persist};

use crate::batch::Batch;
use crate::disk::{Disk, DiskFile};
use crate::error::{DiskError, JournalError, OpenError, Violation};
use crate::identity::{self, Founding, Identity};
use crate::layout::{self, BLOCK_BYTES, LOCK, on_disk};
use crate::log_state::{LogState, Mark};
use crate::record::{self, Kind};
use crate::recover::{self, Closed, SEGMENT_BYTES_MAX};
use crate::recovered::Recovered;
use crate::segment::{Carried, Header};
use crate::survey::Survey;
use crate::upkeep::Making;

/// The largest group, as records; the driver's own limits keep far below it.
pub const GROUP_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How much is zeroed by one write.
pub(crate) const ZERO_BYTES: usize = 1024 * 1024;

/// How a journal is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Length of a segment: whole blocks of 4,096 bytes, at least 2, at most
    /// [`SEGMENT_BYTES_MAX`].
    pub segment_bytes: u64,
    /// Length of the very first segment, which is made before the peer serves.
    pub first_segment_bytes: u64,
    /// How many spare segments are made ahead of need.
    pub spares: usize,
    /// False: nothing in [`Journal::write`] is synced. For comparisons only; a crash then loses
    /// what was acknowledged.
    pub sync: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 * 1024 * 1024,
            first_segment_bytes: 4 * 1024 * 1024,
            spares: 2,
            sync: true,
        }
    }
}

impl Options {
    fn check(&self) -> Result<(), OpenError> {
        let block = on_disk(BLOCK_BYTES);
        for bytes in [self.segment_bytes, self.first_segment_bytes] {
            if bytes.checked_rem(block) != Some(0) || bytes <= block {
                return Err(OpenError::Options("a segment has at least 2 whole blocks of 4,096"));
            }
            if bytes > SEGMENT_BYTES_MAX {
                return Err(OpenError::Options("a segment is above SEGMENT_BYTES_MAX"));
            }
        }
        Ok(())
    }
}

/// What was done since the opening.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Groups made durable.
    pub groups: u64,
    /// Writes to a segment; each has one sync.
    pub writes: u64,
    /// Syncs of segments.
    pub syncs: u64,
    /// Microseconds that these syncs took; 0 without a clock ([`Journal::tell_time`]).
    pub sync_micros: u64,
    /// Bytes written to segments, in whole blocks.
    pub bytes: u64,
    /// Bytes of records, without the blocks around them.
    pub record_bytes: u64,
    /// Segments begun.
    pub segments: u64,
    /// Segments that had to be made on the spot because there was no spare.
    pub segments_without_spare: u64,
    /// Segments given up below the older snapshot.
    pub recycled: u64,
    /// Microseconds that giving up took, the removal of old snapshots included; 0 without a clock.
    pub recycling_micros: u64,
    /// Snapshots saved.
    pub snapshots: u64,
}

/// The newest segment.
#[derive(Debug)]
pub(crate) struct Active<F> {
    pub(crate) file: F,
    pub(crate) segment: Closed,
}

/// One peer's journal. See the crate.
#[derive(Debug)]
pub struct Journal<D: Disk> {
    pub(crate) disk: D,
    pub(crate) options: Options,
    pub(crate) cluster: u64,
    pub(crate) identity: Option<Identity>,
    pub(crate) state: LogState,
    pub(crate) batch: Batch,
    pub(crate) active: Option<Active<D::File>>,
    /// Older segments, oldest first.
    pub(crate) closed: VecDeque<Closed>,
    /// Numbers of the spares, all of them `segment_bytes` long.
    pub(crate) spares: Vec<u64>,
    pub(crate) next_spare: u64,
    pub(crate) making: Option<Making<D::File>>,
    /// Sizes of the snapshots kept or fetched.
    pub(crate) snapshot_bytes: Vec<(Mark, u64)>,
    /// Saved, but of a log that is not this one: waits to be installed.
    pub(crate) fetched: Option<Mark>,
    /// A commit index that needed no sync of its own.
    riding: Option<HardState>,
    has_failed: bool,
    /// Where in which segment the newest write of this process began.
    newest_write: Option<(u64, u64)>,
    pub(crate) counters: Counters,
    /// Microseconds of a clock that never falls, for the counters alone.
    pub(crate) clock: fn() -> u64,
}

impl<D: Disk> Journal<D> {
    /// Opens the journal in `disk` for this cluster and this peer, and says what it holds.
    ///
    /// Nothing in the folder is changed unless it was understood completely. An empty folder is
    /// fine: [`Recovered::identity`] is `None` then, and [`Journal::write_identity`] must come
    /// first.
    ///
    /// # Errors
    /// Any [`OpenError`]; its text says what to do.
    ///
    /// Source: CONSENSUS.md, section 5.
    pub fn open(
        mut disk: D,
        cluster: u64,
        peer: PeerId,
        options: Options,
    ) -> Result<(Self, Recovered), OpenError> {
        options.check()?;
        Survey::read(&disk)?.refuse_foreign(disk.place())?;
        disk.lock(LOCK).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => OpenError::Locked { place: disk.place() },
            _ => DiskError::new(&disk.place(), LOCK, "lock", source).into(),
        })?;
        // Again: until the lock was ours, another process may have been at work.
        let survey = Survey::read(&disk)?;
        survey.refuse_foreign(disk.place())?;
        let identity = identity::read_identity(&disk)?;
        let mut journal = Self::new(disk, cluster, options);
        let recovered = match identity {
            None => journal.open_empty(&survey)?,
            Some(identity) => {
                journal.check_owner(&identity, peer)?;
                journal.open_existing(&survey, identity)?
            }
        };
        Ok((journal, recovered))
    }

    fn new(disk: D, cluster: u64, options: Options) -> Self {
        Self {
            disk,
            options,
            cluster,
            identity: None,
            state: LogState::new(&Carried::default()),
            batch: Batch::default(),
            active: None,
            closed: VecDeque::new(),
            spares: Vec::new(),
            next_spare: 1,
            making: None,
            snapshot_bytes: Vec::new(),
            fetched: None,
            riding: None,
            has_failed: false,
            newest_write: None,
            counters: Counters::default(),
            clock: || 0,
        }
    }

    fn check_owner(&self, identity: &Identity, peer: PeerId) -> Result<(), OpenError> {
        let (place, file) = (self.disk.place(), layout::IDENTITY.to_owned());
        if identity.cluster != self.cluster {
            let (found, expected) = (identity.cluster, self.cluster);
            return Err(OpenError::OtherCluster { place, file, found, expected });
        }
        if identity.peer != peer {
            let (found, expected) = (identity.peer, peer);
            return Err(OpenError::OtherPeer { place, file, found, expected });
        }
        Ok(())
    }

    /// No identity: nothing but left-overs of a first start that never got that far.
    fn open_empty(&mut self, survey: &Survey) -> Result<Recovered, OpenError> {
        let missing =
            |file: String| Err(OpenError::IdentityMissing { place: self.disk.place(), file });
        if let Some(name) = survey.snapshots.first() {
            return missing(name.clone());
        }
        for generation in survey.segments.iter().copied() {
            let (_, bytes) = recover::load_segment(&self.disk, generation)?;
            if generation != 1 || !recover::is_unused(&bytes, generation) {
                return missing(layout::segment_name(generation));
            }
        }
        let spares = survey.spares.iter().copied().map(layout::spare_name);
        let segments = survey.segments.iter().copied().map(layout::segment_name);
        let left_over: Vec<_> = segments.chain(spares).chain(survey.asides.clone()).collect();
        self.remove_all(&left_over)?;
        Ok(Recovered {
            identity: None,
            hard_state: HardState::default(),
            snapshot: None,
            entries: Vec::new(),
            notes: Vec::new(),
        })
    }

    /// Everything is read and judged first; only then the disk is touched.
    fn open_existing(
        &mut self,
        survey: &Survey,
        identity: Identity,
    ) -> Result<Recovered, OpenError> {
        let mut replayed = recover::replay(&self.disk, &identity, &survey.segments)?;
        let hard_state = replayed.state.hard_state();
        let (state, notes) = (&mut replayed.state, &mut replayed.notes);
        let snapshot = recover::choose_snapshot(&self.disk, self.cluster, state, notes)?;
        let applied = snapshot.as_ref().map_or(0, |(descriptor, _)| descriptor.index.0);
        let entries = replayed.entries.into_iter().filter(|entry| entry.index.0 > applied);
        let entries: Vec<_> = entries.collect();
        self.measure_snapshots(&replayed.state)?;
        let spares = self.measure_spares(survey)?;

        replayed.tail.seal(&self.disk.place())?;
        self.next_spare = survey.spares.iter().max().map_or(1, |most| most.saturating_add(1));
        self.spares = spares.usable;
        if let Some(generation) = replayed.unused {
            self.retire(generation)?;
        }
        let left_over: Vec<_> = survey.asides.iter().cloned().chain(spares.unusable).collect();
        self.remove_all(&left_over)?;
        let (tail, block) = replayed.tail.start();
        let generation = replayed.tail.segment.generation;
        self.batch.start(generation, replayed.tail.next_write(), tail, block);
        let recover::Tail { file, segment, .. } = replayed.tail;
        self.active = Some(Active { file, segment });
        self.closed = replayed.closed;
        self.state = replayed.state;
        self.identity = Some(identity.clone());
        let notes = replayed.notes;
        Ok(Recovered { identity: Some(identity), hard_state, snapshot, entries, notes })
    }

    /// Says whose journal this is, durably, and makes the first segment if there is none yet.
    ///
    /// An empty journal may take any peer id (M4 gives a wiped peer a new one); later the id and
    /// the cluster stay, and *founded* does not become *founding* again.
    ///
    /// # Errors
    /// - [`JournalError::Identity`]: see above, or more voters than
    ///   [`IDENTITY_VOTERS_MAX`](crate::IDENTITY_VOTERS_MAX).
    /// - [`JournalError::Disk`], [`JournalError::Failed`]: the journal is at its end.
    pub fn write_identity(&mut self, identity: &Identity) -> Result<(), JournalError> {
        self.guarded(|journal| {
            if identity.cluster != journal.cluster {
                return Err(JournalError::Identity("it names another cluster"));
            }
            match &journal.identity {
                Some(old) if old.peer != identity.peer => {
                    return Err(JournalError::Identity("it names another peer"));
                }
                Some(old) if old.state == Founding::Founded && identity.state != old.state => {
                    return Err(JournalError::Identity("a founded cluster is founded once"));
                }
                // The segment comes first: an identity without one is a loss.
                None => {
                    let bytes = journal.options.first_segment_bytes;
                    journal.begin_segment(1, identity.peer, bytes, 1)?;
                }
                Some(_) => {}
            }
            identity::replace(&mut journal.disk, identity)?;
            journal.identity = Some(identity.clone());
            Ok(())
        })
    }

    /// Makes `groups` durable, in order: one write and one sync for all of them, unless they do not
    /// fit the segment. When this returns, the highest number among them is persisted.
    ///
    /// Groups in which only the commit index moved are not written when nothing else is; they ride
    /// with the next call and may be lost until then.
    ///
    /// # Errors
    /// Any [`JournalError`]; none is survivable, and nothing is known then about `groups`.
    ///
    /// Source: CONSENSUS.md J2, D3.
    pub fn write(&mut self, groups: &[Persist]) -> Result<(), JournalError> {
        self.guarded(|journal| journal.write_groups(groups))
    }

    /// Runs `work`; after an error that is not survivable nothing runs any more (J4).
    pub(crate) fn guarded<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        if self.has_failed {
            return Err(JournalError::Failed);
        }
        let result = work(self);
        self.has_failed = result.as_ref().is_err_and(|error| !error.is_survivable());
        result
    }

    fn write_groups(&mut self, groups: &[Persist]) -> Result<(), JournalError> {
        if !groups.iter().any(|group| self.needs_sync(group)) {
            let newest = groups.iter().rev().find_map(|group| group.hard_state);
            self.riding = newest.or(self.riding);
            return Ok(());
        }
        let mut has_installed = false;
        for group in groups {
            self.append_group(group)?;
            has_installed |= group.snapshot.is_some();
        }
        self.flush()?;
        if has_installed {
            self.fetched = None;
            self.give_up_old()?;
        }
        Ok(())
    }

    fn needs_sync(&self, group: &Persist) -> bool {
        let known = self.state.hard_state();
        let changes_vote = |new: HardState| (new.term, new.vote) != (known.term, known.vote);
        let has_content = !group.entries.is_empty() || group.snapshot.is_some();
        group.must_sync || has_content || group.hard_state.is_some_and(changes_vote)
    }

    fn append_group(&mut self, group: &Persist) -> Result<(), JournalError> {
        // A hard state of the group itself is newer than one that rode along.
        let riding = self.riding.take();
        let hard_state = group.hard_state.or(riding);
        let has_entries = !group.entries.is_empty();
        if !has_entries && hard_state.is_none() && group.snapshot.is_none() {
            return Ok(());
        }
        self.make_room(group_bytes(group))?;
        if let Some(descriptor) = &group.snapshot {
            let mark = Mark { index: descriptor.index.0, term: descriptor.term.0 };
            if self.fetched != Some(mark) && self.state.newest() != Some(mark) {
                let (index, term) = (descriptor.index, descriptor.term);
                return Err(Violation::SnapshotNotSaved { index, term }.into());
            }
            self.state.take_installed(mark)?;
            self.batch.push(Kind::SnapshotInstalled, mark.term, mark.index, &[]);
        }
        // Before the hard state, which may already commit what replaces the cut entries.
        if let Some(first) = group.entries.first().map(|entry| entry.index.0)
            && first <= self.state.last()
        {
            self.state.take_truncate(first)?;
            self.batch.push(Kind::Truncate, 0, first, &[]);
        }
        if let Some(new) = hard_state {
            self.state.take_hard_state(new)?;
            let vote = new.vote.map(|peer| peer.0.to_le_bytes());
            let payload = vote.as_ref().map_or(&[][..], |bytes| &bytes[..]);
            self.batch.push(Kind::HardState, new.term.0, new.commit.0, payload);
        }
        for entry in &group.entries {
            let (term, index) = (entry.term.0, entry.index.0);
            self.state.take_entry(index, term)?;
            self.batch.push(Kind::Entry(entry.kind), term, index, &entry.bytes);
        }
        self.state.check_group_end()?;
        self.batch.end_group();
        self.counters.groups = self.counters.groups.saturating_add(1);
        Ok(())
    }

    /// Sees to it that a group of so many bytes fits the newest segment and the present write.
    pub(crate) fn make_room(&mut self, bytes: u64) -> Result<(), JournalError> {
        if bytes > GROUP_BYTES_MAX {
            return Err(JournalError::GroupTooLarge { bytes });
        }
        let active = self.active.as_ref().ok_or(JournalError::NoIdentity)?;
        let has_room = self.batch.tail().saturating_add(bytes) <= active.segment.bytes;
        if has_room && !self.batch.is_full() {
            return Ok(());
        }
        self.flush()?;
        if has_room { Ok(()) } else { self.roll(bytes) }
    }

    /// One write, one sync.
    pub(crate) fn flush(&mut self) -> Result<(), JournalError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let Self { batch, active, disk, options, counters, clock, .. } = self;
        let active = active.as_mut().ok_or(JournalError::NoIdentity)?;
        let generation = active.segment.generation;
        let failed = |action, source| {
            DiskError::new(&disk.place(), &layout::segment_name(generation), action, source)
        };
        let record_bytes = batch.new_bytes();
        let start = batch.tail().saturating_sub(record_bytes);
        let (offset, bytes) = batch.seal();
        active.file.write_at(offset, bytes).map_err(|source| failed("write", source))?;
        counters.bytes = counters.bytes.saturating_add(on_disk(bytes.len()));
        counters.record_bytes = counters.record_bytes.saturating_add(record_bytes);
        counters.writes = counters.writes.saturating_add(1);
        if options.sync {
            let began = clock();
            active.file.sync().map_err(|source| failed("sync", source))?;
            counters.syncs = counters.syncs.saturating_add(1);
            let micros = clock().saturating_sub(began);
            counters.sync_micros = counters.sync_micros.saturating_add(micros);
        }
        self.newest_write = Some((generation, start));
        batch.written();
        Ok(())
    }

    /// Goes to the next segment, one in which a group of `needed` bytes fits.
    fn roll(&mut self, needed: u64) -> Result<(), JournalError> {
        let identity = self.identity.as_ref().ok_or(JournalError::NoIdentity)?;
        let peer = identity.peer;
        let active = self.active.as_ref().ok_or(JournalError::NoIdentity)?;
        let left = active.segment;
        let block = on_disk(BLOCK_BYTES);
        let least = needed.saturating_add(block).next_multiple_of(block);
        let bytes = self.options.segment_bytes.max(least);
        let write = self.batch.write_number();
        self.begin_segment(left.generation.saturating_add(1), peer, bytes, write)?;
        self.closed.push_back(left);
        Ok(())
    }

    /// Begins a segment in a spare, or in a new file if there is none of that length.
    fn begin_segment(
        &mut self,
        generation: u64,
        peer: PeerId,
        bytes: u64,
        first_write: u64,
    ) -> Result<(), JournalError> {
        let place = self.disk.place();
        let name = layout::segment_name(generation);
        let failed = |action, source| DiskError::new(&place, &name, action, source);
        let spare = if bytes == self.options.segment_bytes { self.spares.pop() } else { None };
        let (made, mut file) = match spare.map(layout::spare_name) {
            Some(spare) => {
                let file = self.disk.open(&spare).map_err(|source| failed("open", source))?;
                (spare, file)
            }
            None => {
                // The very first segment never has a spare to take.
                let without = &mut self.counters.segments_without_spare;
                *without = without.saturating_add(u64::from(generation > 1));
                let aside = layout::aside_name(&name);
                let file = make_zeroed(&mut self.disk, &aside, bytes)
                    .map_err(|source| failed("make", source))?;
                (aside, file)
            }
        };
        let carried = self.state.carried();
        let header = Header { cluster: self.cluster, peer, generation, first_write, carried };
        file.write_at(0, &header.encode()).map_err(|source| failed("write", source))?;
        file.sync().map_err(|source| failed("sync", source))?;
        self.disk.rename(&made, &name).map_err(|source| failed("rename", source))?;
        self.disk.sync_folder().map_err(|source| failed("sync the folder of", source))?;
        self.batch.start(generation, first_write, BLOCK_BYTES, &[]);
        let first_index = carried.next_index;
        self.active = Some(Active { file, segment: Closed { generation, first_index, bytes } });
        self.counters.segments = self.counters.segments.saturating_add(1);
        Ok(())
    }

    /// The hard state as far as it is durable.
    #[must_use]
    pub fn hard_state(&self) -> HardState {
        self.state.hard_state()
    }

    /// Whose journal this is, if it has an identity.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// The file that the newest write of this process went to, and how many of its bytes stand before that write. A
    /// later write proves these to have been durable, so that damage in them is no torn write; of what follows nobody
    /// can tell. `None` before the first write since the opening.
    #[must_use]
    pub fn proven(&self) -> Option<(String, u64)> {
        self.newest_write.map(|(generation, start)| (layout::segment_name(generation), start))
    }

    /// Gives the counters a clock: `micros` says microseconds of one that never falls. Nothing else here looks at it.
    pub fn tell_time(&mut self, micros: fn() -> u64) {
        self.clock = micros;
    }

    /// What was done since the opening.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }
}

/// A new file of so many zeros; not synced.
fn make_zeroed<D: Disk>(disk: &mut D, name: &str, bytes: u64) -> io::Result<D::File> {
    let mut file = disk.create(name)?;
    let zeros = vec![0; ZERO_BYTES];
    let mut offset = 0;
    while offset < bytes {
        let count = bytes.saturating_sub(offset).min(on_disk(ZERO_BYTES));
        file.write_at(offset, zeros.get(..layout::in_memory(count)).unwrap_or_default())?;
        offset = offset.saturating_add(count);
    }
    Ok(file)
}

/// The most that a group can take as records.
fn group_bytes(group: &Persist) -> u64 {
    // A snapshot installed, a hard state with a vote, a cut.
    let fixed = [0, 8, 0].into_iter().map(record::size);
    let entries = group.entries.iter().map(|entry| record::size(entry.bytes.len()));
    fixed.chain(entries).fold(0, |sum, bytes| sum.saturating_add(on_disk(bytes)))
}

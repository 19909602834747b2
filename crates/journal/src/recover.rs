//! What is found when a journal is opened, and what it means.
//!
//! | Found | Decision |
//! |---|---|
//! | everything valid up to zeros or older generations | open |
//! | a bad record, and every valid record of this generation after it belongs to the *same write* as it (the last valid record before it is of that write, or is `WRITE_END` of the write before) | torn write: the unfinished group and all after it are dropped, the rest is cleared and synced |
//! | a bad record followed by a valid record of a later write, or a bad record in a segment that is not the newest | damage: refused, with file and offset; the files stay as they are |
//! | bad header of the newest segment, no valid record in it, a segment before it | unused: becomes a spare |
//! | newest snapshot bad or missing | the previous one, if the log still reaches back to it; else refused |
//!
//! Why a torn write can be told from damage: write *n + 1* starts when the sync of *n* returned. So
//! a valid record of a later write proves that the bad one had been durable. Inside the *newest*
//! write nothing proves that; one peer alone cannot tell.
//!
//! Where an older segment ends is proved by the header of the next one, which names its first
//! write. So a rotten end of an older segment is damage too, though it looks like an end.
//!
//! Reading changes nothing; `Tail::seal` is called when all of it was understood. It writes the
//! last write once more and syncs: the process before may have died because that very sync had
//! failed, and then the kernel shows bytes that are not on the disk. What is cut is cleared by the
//! same write. A crash in between leaves what the same decisions lead to again.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;
use consensus::{Entry, HardState, LogIndex, PeerId, SnapshotDescriptor, Term};
use rustix::io::Errno;

use crate::batch;
use crate::disk::{Disk, DiskFile};
use crate::error::{Damage, DiskError, OpenError, Violation};
use crate::identity::Identity;
use crate::layout::{self, BLOCK_BYTES, FORMAT_VERSION, Reader, block_floor, in_memory, on_disk};
use crate::log_state::{LogState, Mark};
use crate::record::{self, Kind, Position, Record};
use crate::segment::{FirstBlock, Header};
use crate::snapshot::{self, Unusable};

/// The largest segment file that is read, and the largest that can be asked for.
pub const SEGMENT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Something that recovery did or met, for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecoveryNote {
    /// The newest write was unfinished; it was never acknowledged.
    TornWriteCut {
        /// The segment.
        file: String,
        /// Where it was cut.
        offset: u64,
    },
    /// A segment that was never used is a spare again.
    UnusedSegment {
        /// The segment.
        file: String,
    },
    /// A snapshot cannot be read; the one before it, or the log alone, served.
    SnapshotUnusable {
        /// Its index.
        index: LogIndex,
        /// What is wrong with it.
        reason: String,
    },
}

/// A segment that is full, or was left for a larger one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) generation: u64,
    /// The entry that came next when it was made.
    pub(crate) first_index: u64,
    pub(crate) bytes: u64,
}

/// The newest segment, understood.
#[derive(Debug)]
pub(crate) struct Tail<F> {
    pub(crate) file: F,
    pub(crate) segment: Closed,
    /// All of its bytes.
    bytes: Vec<u8>,
    end: End,
}

/// All segments, understood. Nothing was changed.
#[derive(Debug)]
pub(crate) struct Replayed<F> {
    pub(crate) state: LogState,
    pub(crate) entries: VecDeque<Entry>,
    pub(crate) closed: VecDeque<Closed>,
    pub(crate) tail: Tail<F>,
    /// The newest name, if its segment was never used.
    pub(crate) unused: Option<u64>,
    pub(crate) notes: Vec<RecoveryNote>,
}

/// Where the valid part of a segment ends.
#[derive(Debug, Clone, Copy)]
struct End {
    /// Behind the last complete group.
    tail: usize,
    /// The start of the last complete group's last record.
    last_record: Option<usize>,
    /// The start of the last write of which a group is complete.
    write_start: usize,
    /// Where reading stopped: behind `tail` if the last group is unfinished.
    stopped: usize,
    /// The number of the write that was expected there.
    write: u64,
    /// Whether complete groups of `write` are there, without its end.
    is_open: bool,
    /// Behind the last record of the write that is cut; `tail` if nothing is.
    clear_to: usize,
}

impl End {
    fn is_torn(&self) -> bool {
        self.is_open || self.clear_to > self.tail
    }
}

impl<F: DiskFile> Tail<F> {
    /// The number of the next write.
    pub(crate) fn next_write(&self) -> u64 {
        self.end.write.saturating_add(u64::from(self.end.is_open))
    }

    /// The offset of the next record, and what its block holds before it.
    pub(crate) fn start(&self) -> (usize, &[u8]) {
        let tail = self.end.tail;
        (tail, self.bytes.get(block_floor(tail)..tail).unwrap_or_default())
    }

    /// Writes the last write once more, closed, clears what is cut, and syncs.
    pub(crate) fn seal(&mut self, place: &str) -> Result<(), OpenError> {
        let End { tail, last_record, write_start, clear_to, .. } = self.end;
        let name = layout::segment_name(self.segment.generation);
        let failed = |action, source| DiskError::new(place, &name, action, source);
        let cut = batch::Cut { from: write_start, last_record, tail, clear_to };
        let (offset, bytes) = batch::reseal(&mut self.bytes, self.segment.generation, cut);
        if !bytes.is_empty() {
            self.file.write_at(offset, bytes).map_err(|source| failed("write", source))?;
        }
        self.file.sync().map_err(|source| failed("sync", source))?;
        Ok(())
    }
}

/// Reads all segments in order. Changes nothing.
pub(crate) fn replay<D: Disk>(
    disk: &D,
    identity: &Identity,
    generations: &[u64],
) -> Result<Replayed<D::File>, OpenError> {
    let place = disk.place();
    let first = generations.first().copied().unwrap_or(1);
    for (generation, expected) in generations.iter().zip(first..) {
        if *generation != expected {
            let file = layout::segment_name(expected);
            return Err(OpenError::SegmentMissing { place, file });
        }
    }
    let mut reading = Reading { place, identity, replay: None, entries: VecDeque::new() };
    let mut closed = VecDeque::new();
    let mut open: Option<Tail<D::File>> = None;
    let mut unused = None;
    for (at, generation) in generations.iter().copied().enumerate() {
        let is_newest = at.checked_add(1) == Some(generations.len());
        let (file, bytes) = reading.load(disk, generation)?;
        let header = match reading.header(generation, &bytes)? {
            Some(header) => header,
            None if is_newest && open.is_some() && is_unused(&bytes, generation) => {
                unused = Some(generation);
                break;
            }
            None => return Err(reading.damaged(generation, 0, Damage::Header)),
        };
        if let Some(before) = open.take() {
            reading.check_complete(&before, &header)?;
            closed.push_back(before.segment);
        }
        let end = reading.records(&header, &bytes)?;
        let (first_index, bytes_count) = (header.carried.next_index, on_disk(bytes.len()));
        let segment = Closed { generation, first_index, bytes: bytes_count };
        open = Some(Tail { file, segment, bytes, end });
    }
    let nothing = || OpenError::SegmentMissing {
        place: reading.place.clone(),
        file: layout::segment_name(1),
    };
    let mut tail = open.ok_or_else(nothing)?;
    reading.find_cut(&mut tail)?;
    let mut notes = Vec::new();
    if tail.end.is_torn() {
        let file = layout::segment_name(tail.segment.generation);
        notes.push(RecoveryNote::TornWriteCut { file, offset: on_disk(tail.end.tail) });
    }
    notes.extend(
        unused.map(|generation| RecoveryNote::UnusedSegment {
            file: layout::segment_name(generation),
        }),
    );
    let (state, entries) = (reading.replay.ok_or_else(nothing)?, reading.entries);
    Ok(Replayed { state, entries, closed, tail, unused, notes })
}

/// Whether no record of this generation is in the segment.
pub(crate) fn is_unused(bytes: &[u8], generation: u64) -> bool {
    record::search(bytes, generation, BLOCK_BYTES).next().is_none()
}

/// Reads a whole segment file, whose length bounds the allocation.
pub(crate) fn load_segment<D: Disk>(
    disk: &D,
    generation: u64,
) -> Result<(D::File, Vec<u8>), OpenError> {
    let name = layout::segment_name(generation);
    let place = disk.place();
    let failed = |action, source| DiskError::new(&place, &name, action, source);
    let file = disk.open(&name).map_err(|source| failed("open", source))?;
    let bytes = file.bytes().map_err(|source| failed("measure", source))?;
    let is_whole_blocks = bytes.checked_rem(on_disk(BLOCK_BYTES)) == Some(0);
    let is_possible = is_whole_blocks && bytes > on_disk(BLOCK_BYTES);
    if !is_possible || bytes > SEGMENT_BYTES_MAX {
        let damage = Damage::Length { bytes };
        return Err(OpenError::Damaged { place, file: name, offset: 0, damage });
    }
    let mut content = vec![0; in_memory(bytes)];
    file.read_at(0, &mut content).map_err(|source| failed("read", source))?;
    Ok((file, content))
}

/// What was read so far.
struct Reading<'a> {
    place: String,
    identity: &'a Identity,
    replay: Option<LogState>,
    entries: VecDeque<Entry>,
}

impl Reading<'_> {
    fn load<D: Disk>(&self, disk: &D, generation: u64) -> Result<(D::File, Vec<u8>), OpenError> {
        load_segment(disk, generation)
    }

    fn damaged(&self, generation: u64, offset: usize, damage: Damage) -> OpenError {
        let (place, file) = (self.place.clone(), layout::segment_name(generation));
        OpenError::Damaged { place, file, offset: on_disk(offset), damage }
    }

    /// The header of a segment; `None` if it is not one of this generation.
    fn header(&self, generation: u64, bytes: &[u8]) -> Result<Option<Header>, OpenError> {
        let (place, file) = (self.place.clone(), layout::segment_name(generation));
        let header = match Header::decode(bytes.get(..BLOCK_BYTES).unwrap_or_default()) {
            FirstBlock::Intact(header) => header,
            FirstBlock::Newer(found) => {
                let supported = FORMAT_VERSION;
                return Err(OpenError::NewerFormat { place, file, found, supported });
            }
            FirstBlock::Zero | FirstBlock::Bad => return Ok(None),
        };
        if header.cluster != self.identity.cluster {
            let (found, expected) = (header.cluster, self.identity.cluster);
            return Err(OpenError::OtherCluster { place, file, found, expected });
        }
        if header.peer != self.identity.peer {
            let (found, expected) = (header.peer, self.identity.peer);
            return Err(OpenError::OtherPeer { place, file, found, expected });
        }
        Ok((header.generation == generation).then_some(header))
    }

    /// The segment before `next` must have ended where `next` was begun.
    fn check_complete<F>(&mut self, before: &Tail<F>, next: &Header) -> Result<(), OpenError> {
        let End { stopped, tail, write, is_open, .. } = before.end;
        let generation = before.segment.generation;
        if is_open || stopped > tail || write < next.first_write {
            return Err(self.damaged(generation, stopped, Damage::Record { write }));
        }
        let Some(state) = &mut self.replay else { return Ok(()) };
        let (known, carried) = (state.carried(), next.carried);
        let compared = [
            ("first write", next.first_write, write),
            ("next index", carried.next_index, known.next_index),
            ("term", carried.hard_state.term.0, known.hard_state.term.0),
            ("vote", vote(carried.hard_state), vote(known.hard_state)),
        ];
        for (field, found, expected) in compared {
            if found != expected {
                let damage = Damage::HeaderMismatch { field, found, expected };
                return Err(self.damaged(next.generation, 0, damage));
            }
        }
        // A snapshot that an earlier start found unreadable is not carried over.
        state.adopt_snapshots(carried.newest, carried.older);
        Ok(())
    }

    /// Reads the records of one segment up to the first that is not there.
    fn records(&mut self, header: &Header, bytes: &[u8]) -> Result<End, OpenError> {
        let generation = header.generation;
        let state = self.replay.get_or_insert_with(|| LogState::new(&header.carried));
        let mut group = Vec::new();
        let mut next_group: u16 = 0;
        let mut end = End {
            tail: BLOCK_BYTES,
            last_record: None,
            write_start: BLOCK_BYTES,
            stopped: BLOCK_BYTES,
            write: header.first_write,
            is_open: false,
            clear_to: BLOCK_BYTES,
        };
        let mut violated = None;
        while violated.is_none() {
            let at = end.stopped;
            let position = Position { generation, offset: on_disk(at) };
            let Some(record) = record::read(bytes.get(at..).unwrap_or_default(), position) else {
                break;
            };
            // Left over from a cut write, when the clearing was cut short by a crash.
            if record.write < end.write {
                break;
            }
            let is_closed = record.ends_group() || !record.ends_write();
            let is_in_order = record.write == end.write && record.group == next_group;
            if !(is_in_order && is_closed) {
                let Record { write, group, .. } = record;
                violated = Some((at, Damage::Order { write, group }));
                break;
            }
            end.stopped = at.saturating_add(record.bytes());
            group.push((at, record));
            if !record.ends_group() {
                continue;
            }
            violated = apply_group(state, &mut self.entries, &mut group)
                .map_err(|(at, violation)| (at, Damage::Contradiction(violation)))
                .err();
            if !end.is_open {
                end.write_start = end.tail;
            }
            end.tail = end.stopped;
            end.last_record = Some(at);
            end.is_open = !record.ends_write();
            end.write = end.write.saturating_add(u64::from(record.ends_write()));
            next_group = if record.ends_write() { 0 } else { next_group.saturating_add(1) };
        }
        end.clear_to = end.stopped;
        match violated {
            Some((at, damage)) => Err(self.damaged(generation, at, damage)),
            None => Ok(end),
        }
    }

    /// Judges what follows the end of the newest segment: torn write, or damage.
    fn find_cut<F>(&self, tail: &mut Tail<F>) -> Result<(), OpenError> {
        let generation = tail.segment.generation;
        let End { stopped, write, .. } = tail.end;
        for (offset, record) in record::search(&tail.bytes, generation, stopped) {
            if record.write > write {
                return Err(self.damaged(generation, stopped, Damage::Record { write }));
            }
            tail.end.clear_to = offset.saturating_add(record.bytes());
        }
        Ok(())
    }
}

fn vote(hard_state: HardState) -> u64 {
    hard_state.vote.map_or(0, |PeerId(peer)| peer)
}

/// Takes over the records of one complete group.
fn apply_group(
    state: &mut LogState,
    entries: &mut VecDeque<Entry>,
    group: &mut Vec<(usize, Record<'_>)>,
) -> Result<(), (usize, Violation)> {
    let last = group.last().map_or(0, |(at, _)| *at);
    for (at, record) in group.drain(..) {
        apply(state, entries, &record).map_err(|violation| (at, violation))?;
    }
    state.check_group_end().map_err(|violation| (last, violation))
}

fn apply(
    state: &mut LogState,
    entries: &mut VecDeque<Entry>,
    record: &Record<'_>,
) -> Result<(), Violation> {
    let Record { term, index, payload, .. } = *record;
    let mark = Mark { index, term };
    match record.kind {
        Kind::Entry(kind) => {
            state.take_entry(index, term)?;
            let bytes = Bytes::copy_from_slice(payload);
            entries.push_back(Entry { term: Term(term), index: LogIndex(index), kind, bytes });
        }
        Kind::HardState => {
            let vote = Reader::new(payload).u64().map(PeerId);
            state.take_hard_state(HardState { term: Term(term), vote, commit: LogIndex(index) })?;
        }
        Kind::Truncate => {
            state.take_truncate(index)?;
            while entries.back().is_some_and(|entry| entry.index.0 >= index) {
                entries.pop_back();
            }
        }
        Kind::SnapshotTaken => {
            let older = Mark::read(&mut Reader::new(payload)).flatten();
            state.take_snapshot(mark, older)?;
        }
        Kind::SnapshotInstalled => {
            state.take_installed(mark)?;
            entries.clear();
        }
    }
    Ok(())
}

/// Loads the newest snapshot that is intact and that the log goes on from.
///
/// `None` if there is none and the log starts at its beginning.
pub(crate) fn choose_snapshot<D: Disk>(
    disk: &D,
    cluster: u64,
    state: &mut LogState,
    notes: &mut Vec<RecoveryNote>,
) -> Result<Option<(SnapshotDescriptor, Bytes)>, OpenError> {
    let mut reasons = Vec::new();
    while let Some(mark) = state.newest() {
        let name = layout::snapshot_name(mark.index, mark.term);
        let reason = if state.has(mark) {
            match snapshot::load(disk, cluster, mark) {
                Ok(snapshot) => return Ok(Some(snapshot)),
                Err(Unusable::Disk(error)) if !is_lost(&error) => return Err(error.into()),
                Err(Unusable::Disk(error)) => error.to_string(),
                Err(Unusable::Newer(version)) => {
                    format!("{name} has format {version}, newer than {FORMAT_VERSION}")
                }
                Err(Unusable::Damaged { offset, damage }) => {
                    format!("{name} is damaged at offset {offset}: {damage}")
                }
            }
        } else {
            format!("{name} does not belong to the log that follows")
        };
        reasons.push(reason.clone());
        notes.push(RecoveryNote::SnapshotUnusable { index: LogIndex(mark.index), reason });
        state.drop_newest();
    }
    if state.first() == 1 {
        return Ok(None);
    }
    let reasons =
        if reasons.is_empty() { "none is recorded".to_owned() } else { reasons.join("; ") };
    Err(OpenError::NoSnapshot { place: disk.place(), first: LogIndex(state.first()), reasons })
}

/// Whether the file is gone or cannot be read any more, unlike a lack of descriptors or of rights.
fn is_lost(error: &DiskError) -> bool {
    let is_input_output = error.source.raw_os_error() == Some(Errno::IO.raw_os_error());
    let kind = error.source.kind();
    is_input_output || matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof)
}

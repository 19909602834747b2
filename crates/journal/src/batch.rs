//! The one buffer that all groups go through: records in, whole blocks out.
//!
//! ```text
//!   base                        end of the last write        tail
//!    |--- bytes already on disk ---|------- new records -------|--- zeros ---|
//!    |<------------------- one write, whole blocks ------------------------->|
//! ```
//!
//! A write starts at the block that the write before it left unfinished and repeats that block's
//! bytes: the kernel never has to read a block to complete it, and what an older use of the segment
//! left behind the tail in its block is cleared. A sector that holds old and new bytes in any
//! mixture still holds the old records, because they are the same in both.
//!
//! The buffer is reused; in steady state nothing is allocated.

use crate::layout::{BLOCK_BYTES, block_ceiling, block_floor, on_disk};
use crate::record::{self, GROUP_END, Kind, Position, Record, WRITE_END};

/// A buffer that grew above this is given back after the write.
const KEEP_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Records on their way to one segment.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    buffer: Vec<u8>,
    /// Offset in the segment of the buffer's first byte: a multiple of the block size.
    base: u64,
    generation: u64,
    /// The number of the write that is being gathered.
    write: u64,
    /// The number of the group that is being gathered.
    group: u16,
    /// Where in the buffer the last new record starts.
    last_record: Option<usize>,
    /// The buffer's length without the zeros that [`Batch::seal`] adds.
    records_end: usize,
    /// How many bytes at the buffer's start are on the disk already.
    kept: usize,
}

impl Batch {
    /// Goes to another segment, behind `tail`; `block` is what its last block holds before `tail`.
    ///
    /// # Panics
    /// If records are still waiting: they would be lost.
    pub(crate) fn start(&mut self, generation: u64, write: u64, tail: usize, block: &[u8]) {
        assert!(self.is_empty(), "records of generation {} were never written", self.generation);
        self.base = on_disk(block_floor(tail));
        self.generation = generation;
        self.write = write;
        self.group = 0;
        self.buffer.clear();
        self.buffer.extend_from_slice(block);
        self.records_end = self.buffer.len();
        self.kept = self.buffer.len();
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.last_record.is_none()
    }

    /// The offset in the segment behind the last record.
    pub(crate) fn tail(&self) -> u64 {
        self.base.saturating_add(on_disk(self.buffer.len()))
    }

    /// The number of the write that is being gathered.
    pub(crate) fn write_number(&self) -> u64 {
        self.write
    }

    /// How many bytes of new records wait.
    pub(crate) fn new_bytes(&self) -> u64 {
        on_disk(self.records_end.saturating_sub(self.kept))
    }

    /// Whether one write can hold no further group.
    pub(crate) fn is_full(&self) -> bool {
        self.group == u16::MAX
    }

    /// Appends a record to the group that is being gathered.
    pub(crate) fn push(&mut self, kind: Kind, term: u64, index: u64, payload: &[u8]) {
        let start = self.buffer.len();
        let (group, write) = (self.group, self.write);
        let record = Record { kind, flags: 0, group, write, term, index, payload };
        let position = self.position(start);
        record::append(&mut self.buffer, position, &record);
        self.last_record = Some(start);
        self.records_end = self.buffer.len();
    }

    /// Closes the group that is being gathered.
    pub(crate) fn end_group(&mut self) {
        self.flag_last(GROUP_END);
        self.group = self.group.saturating_add(1);
    }

    /// Closes the write: where in the segment it goes, and its bytes, in whole blocks.
    pub(crate) fn seal(&mut self) -> (u64, &[u8]) {
        self.flag_last(WRITE_END);
        self.buffer.resize(block_ceiling(self.records_end), 0);
        (self.base, &self.buffer)
    }

    /// The sealed write is durable: the next one starts in the block it left unfinished.
    pub(crate) fn written(&mut self) {
        let keep_from = block_floor(self.records_end);
        let kept = self.records_end.saturating_sub(keep_from);
        self.buffer.truncate(self.records_end);
        self.buffer.drain(..keep_from);
        if self.buffer.capacity() > KEEP_BYTES_MAX {
            self.buffer.shrink_to(BLOCK_BYTES);
        }
        self.records_end = kept;
        self.kept = kept;
        self.base = self.base.saturating_add(on_disk(keep_from));
        self.write = self.write.saturating_add(1);
        self.group = 0;
        self.last_record = None;
    }

    fn flag_last(&mut self, flags: u8) {
        let Some(start) = self.last_record else { return };
        let position = self.position(start);
        record::add_flags(self.buffer.get_mut(start..).unwrap_or_default(), position, flags);
    }

    fn position(&self, start: usize) -> Position {
        let offset = self.base.saturating_add(on_disk(start));
        Position { generation: self.generation, offset }
    }
}

/// What recovery found at the end of the newest segment, as offsets in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// The start of the last write.
    pub(crate) from: usize,
    /// The start of the last record that is kept.
    pub(crate) last_record: Option<usize>,
    /// Behind that record.
    pub(crate) tail: usize,
    /// Behind everything that is dropped.
    pub(crate) clear_to: usize,
}

/// Closes the last write again: flags its last record and clears what is dropped. Gives the blocks
/// that must be written, from the one of the last write's start on, and where in the segment.
pub(crate) fn reseal(segment: &mut [u8], generation: u64, cut: Cut) -> (u64, &[u8]) {
    if let Some(last) = cut.last_record {
        let position = Position { generation, offset: on_disk(last) };
        record::add_flags(segment.get_mut(last..).unwrap_or_default(), position, WRITE_END);
    }
    let end = block_ceiling(cut.clear_to.max(cut.tail)).min(segment.len());
    segment.get_mut(cut.tail..end).unwrap_or_default().fill(0);
    let start = block_floor(cut.from);
    (on_disk(start), segment.get(start..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::in_memory;
    use consensus::EntryKind;

    const ENTRY: Kind = Kind::Entry(EntryKind::Commands);

    /// Writes what the batch holds into `disk`, as the journal does.
    fn flush(batch: &mut Batch, disk: &mut [u8]) {
        let (offset, bytes) = batch.seal();
        let start = in_memory(offset);
        disk[start..start + bytes.len()].copy_from_slice(bytes);
        batch.written();
    }

    #[test]
    fn writes_follow_each_other_in_whole_blocks() {
        let mut disk = vec![0xEE; 16 * BLOCK_BYTES];
        let mut batch = Batch::default();
        batch.start(1, 1, BLOCK_BYTES, &[]);
        for (index, bytes) in [10, 4000, 1, 9000, 4096 - 40].into_iter().enumerate() {
            batch.push(Kind::HardState, 1, 0, &[]);
            batch.push(ENTRY, 1, on_disk(index), &vec![7; bytes]);
            batch.end_group();
            let (offset, written) = batch.seal();
            assert_eq!((offset % 4096, written.len() % 4096), (0, 0));
            flush(&mut batch, &mut disk);
        }
        let mut at = BLOCK_BYTES;
        let mut seen = Vec::new();
        while let Some(record) =
            record::read(&disk[at..], Position { generation: 1, offset: on_disk(at) })
        {
            seen.push((record.write, record.index, record.ends_write()));
            at += record.bytes();
        }
        let expected: Vec<_> = (1..=5).flat_map(|n| [(n, 0, false), (n, n - 1, true)]).collect();
        assert_eq!(seen, expected);
        assert_eq!(on_disk(at), batch.tail());
        let rest_of_block = &disk[at..block_ceiling(at)];
        assert!(rest_of_block.iter().all(|byte| *byte == 0), "old bytes are cleared");
    }

    #[test]
    fn a_large_write_gives_its_memory_back() {
        let mut disk = vec![0; 3 * KEEP_BYTES_MAX];
        let mut batch = Batch::default();
        batch.start(1, 1, BLOCK_BYTES, &[]);
        batch.push(ENTRY, 1, 1, &vec![1; KEEP_BYTES_MAX + 1]);
        batch.end_group();
        flush(&mut batch, &mut disk);
        assert!(batch.buffer.capacity() < KEEP_BYTES_MAX);
    }

    #[test]
    #[should_panic(expected = "never written")]
    fn leaving_a_segment_with_records_waiting_is_a_fault() {
        let mut batch = Batch::default();
        batch.start(1, 1, BLOCK_BYTES, &[]);
        batch.push(Kind::HardState, 1, 0, &[]);
        batch.start(2, 1, BLOCK_BYTES, &[]);
    }
}

//! A record: the unit of a segment that is either intact or not.
//!
//! | Offset | Bytes | Field |
//! |---|---|---|
//! | 0 | 4 | CRC-32C of bytes 4 to 39, salted |
//! | 4 | 4 | CRC-32C of the payload, salted |
//! | 8 | 4 | payload length |
//! | 12 | 1 | kind |
//! | 13 | 1 | flags: 1 `GROUP_END`, 2 `WRITE_END` |
//! | 14 | 2 | group: its number within the write, from 0 |
//! | 16 | 8 | write: its number, from 1; only a write that was cut leaves its number to the next |
//! | 24 | 8 | term |
//! | 32 | 8 | index |
//! | 40 | | payload, then zeros up to a multiple of 8 |
//!
//! | Kind | Term | Index | Payload |
//! |---|---|---|---|
//! | 1 empty entry | its term | its index | its bytes |
//! | 2 entry of commands | its term | its index | its bytes |
//! | 3 entry of a membership | its term | its index | its bytes |
//! | 4 hard state | term | commit index | nothing, or the voted peer's id (8) |
//! | 5 truncate | 0 | the first entry that is cut | nothing |
//! | 6 snapshot taken | its term | its index | nothing, or index (8) and term (8) of the older one kept |
//! | 7 snapshot installed | its term | its index | nothing; the whole log is cut |
//!
//! The salt is the CRC-32C of the segment's generation (8) and the record's offset in it (8). So
//! old bytes of a recycled segment never validate, nor bytes that the disk put in a wrong place,
//! nor the image of a record inside the payload of another.
//!
//! The header has a checksum of its own so that the search for records behind a bad one costs a
//! few bytes per position and not a payload. The zeros at the end are not covered: they carry
//! nothing. A record never grows an allocation: payloads are slices of the segment.

use consensus::EntryKind;

use crate::layout::{Reader, in_memory, on_disk};

/// Size of a record without its payload.
pub(crate) const HEADER_BYTES: usize = 40;
/// Records start at multiples of this.
pub(crate) const ALIGNMENT: usize = 8;

pub(crate) const GROUP_END: u8 = 1;
pub(crate) const WRITE_END: u8 = 2;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Entry(EntryKind),
    HardState,
    Truncate,
    SnapshotTaken,
    SnapshotInstalled,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Entry(EntryKind::Empty) => 1,
            Self::Entry(EntryKind::Commands) => 2,
            Self::Entry(EntryKind::Membership) => 3,
            Self::HardState => 4,
            Self::Truncate => 5,
            Self::SnapshotTaken => 6,
            Self::SnapshotInstalled => 7,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Entry(EntryKind::Empty),
            2 => Self::Entry(EntryKind::Commands),
            3 => Self::Entry(EntryKind::Membership),
            4 => Self::HardState,
            5 => Self::Truncate,
            6 => Self::SnapshotTaken,
            7 => Self::SnapshotInstalled,
            _ => return None,
        })
    }
}

/// The fields of a record, without checksums; a slice of the segment it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    pub(crate) group: u16,
    pub(crate) write: u64,
    pub(crate) term: u64,
    pub(crate) index: u64,
    pub(crate) payload: &'a [u8],
}

impl Record<'_> {
    pub(crate) fn ends_group(&self) -> bool {
        self.flags & GROUP_END != 0
    }

    pub(crate) fn ends_write(&self) -> bool {
        self.flags & WRITE_END != 0
    }

    /// Its size in the segment.
    pub(crate) fn bytes(&self) -> usize {
        size(self.payload.len())
    }
}

/// The size in a segment of a record with `payload_bytes` of payload.
pub(crate) fn size(payload_bytes: usize) -> usize {
    let bytes = HEADER_BYTES.saturating_add(payload_bytes);
    bytes.checked_next_multiple_of(ALIGNMENT).unwrap_or(usize::MAX)
}

/// Where a record stands: what its checksums are salted with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Position {
    pub(crate) generation: u64,
    /// Offset in the segment.
    pub(crate) offset: u64,
}

impl Position {
    fn salt(self) -> u32 {
        let mut bytes = [0; 16];
        let (generation, offset) = bytes.split_at_mut(8);
        generation.copy_from_slice(&self.generation.to_le_bytes());
        offset.copy_from_slice(&self.offset.to_le_bytes());
        crc32c::crc32c(&bytes)
    }
}

/// Appends a record to `out`, which grows by [`Record::bytes`]. `position` is where it will stand.
///
/// The payload's length is checked against [`crate::GROUP_BYTES_MAX`] before, so it fits 32 bits.
pub(crate) fn append(out: &mut Vec<u8>, position: Position, record: &Record<'_>) {
    let start = out.len();
    let payload_bytes = u32::try_from(record.payload.len()).unwrap_or(u32::MAX);
    let payload_crc = crc32c::crc32c_append(position.salt(), record.payload);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&payload_crc.to_le_bytes());
    out.extend_from_slice(&payload_bytes.to_le_bytes());
    out.extend_from_slice(&[record.kind.byte(), record.flags]);
    out.extend_from_slice(&record.group.to_le_bytes());
    out.extend_from_slice(&record.write.to_le_bytes());
    out.extend_from_slice(&record.term.to_le_bytes());
    out.extend_from_slice(&record.index.to_le_bytes());
    out.extend_from_slice(record.payload);
    out.resize(start.saturating_add(record.bytes()), 0);
    add_flags(out.get_mut(start..).unwrap_or_default(), position, 0);
}

/// Adds flags to the record at the start of `bytes` and computes its header's checksum again.
pub(crate) fn add_flags(bytes: &mut [u8], position: Position, flags: u8) {
    let Some(header) = bytes.first_chunk_mut::<HEADER_BYTES>() else { return };
    let (crc, covered) = header.split_at_mut(4);
    if let Some(byte) = covered.get_mut(9) {
        *byte |= flags;
    }
    crc.copy_from_slice(&crc32c::crc32c_append(position.salt(), covered).to_le_bytes());
}

/// Reads the record at the start of `bytes`, which go on to the end of the segment.
///
/// `None` if there is none that was written at this `position`.
pub(crate) fn read(bytes: &[u8], position: Position) -> Option<Record<'_>> {
    let (header, body) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let mut fields = Reader::new(header);
    let (header_crc, payload_crc) = (fields.u32()?, fields.u32()?);
    let payload_bytes = in_memory(fields.u32()?.into());
    // The cheap questions come first: the search for records asks this at every position.
    let kind = Kind::from_byte(fields.u8()?)?;
    let flags = fields.u8()?;
    if flags & !(GROUP_END | WRITE_END) != 0 {
        return None;
    }
    let payload = body.get(..payload_bytes)?;
    let salt = position.salt();
    let covered = header.get(4..)?;
    if crc32c::crc32c_append(salt, covered) != header_crc {
        return None;
    }
    if crc32c::crc32c_append(salt, payload) != payload_crc {
        return None;
    }
    let (group, write) = (fields.u16()?, fields.u64()?);
    let (term, index) = (fields.u64()?, fields.u64()?);
    Some(Record { kind, flags, group, write, term, index, payload })
}

/// Where in `segment` the intact records behind `from` stand, at any alignment a record can have.
pub(crate) fn search(
    segment: &[u8],
    generation: u64,
    from: usize,
) -> impl Iterator<Item = (usize, Record<'_>)> {
    let start = from.checked_next_multiple_of(ALIGNMENT).unwrap_or(usize::MAX);
    (start..segment.len()).step_by(ALIGNMENT).filter_map(move |offset| {
        let position = Position { generation, offset: on_disk(offset) };
        read(segment.get(offset..)?, position).map(|record| (offset, record))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn position(generation: u64, offset: u64) -> Position {
        Position { generation, offset }
    }

    fn sample(payload: &[u8]) -> Record<'_> {
        let kind = Kind::Entry(EntryKind::Commands);
        Record { kind, flags: GROUP_END, group: 3, write: 77, term: 5, index: 1234, payload }
    }

    #[test]
    fn every_kind_is_read_back() {
        for byte in 0..=u8::MAX {
            if let Some(kind) = Kind::from_byte(byte) {
                assert_eq!(kind.byte(), byte);
            }
        }
        assert_eq!((0..=u8::MAX).filter_map(Kind::from_byte).count(), 7);
    }

    #[test]
    fn flags_are_added_under_a_fresh_checksum() {
        let mut bytes = Vec::new();
        append(&mut bytes, position(1, 4096), &sample(b"abc"));
        add_flags(&mut bytes, position(1, 4096), WRITE_END);
        let record = read(&bytes, position(1, 4096)).expect("intact");
        assert!(record.ends_group() && record.ends_write());
    }

    #[test]
    fn search_finds_what_follows_and_no_image_in_a_payload() {
        let mut image = Vec::new();
        append(&mut image, position(1, 0), &sample(b"inner"));
        let mut segment = Vec::new();
        append(&mut segment, position(1, 0), &sample(&image));
        let second = segment.len();
        append(&mut segment, position(1, on_disk(second)), &sample(b"second"));
        let found: Vec<_> = search(&segment, 1, 8).map(|(offset, _)| offset).collect();
        assert_eq!(found, [second]);
        assert_eq!(search(&segment, 2, 0).count(), 0);
    }

    proptest! {
        #[test]
        fn round_trip(payload: Vec<u8>, generation: u64, offset: u64, write: u64, group: u16) {
            let record = Record { write, group, ..sample(&payload) };
            let mut bytes = Vec::new();
            append(&mut bytes, position(generation, offset), &record);
            prop_assert_eq!(bytes.len(), record.bytes());
            prop_assert_eq!(bytes.len() % ALIGNMENT, 0);
            prop_assert_eq!(read(&bytes, position(generation, offset)), Some(record));
            let elsewhere = position(generation, offset.wrapping_add(8));
            prop_assert_eq!(read(&bytes, elsewhere), None);
            let later = position(generation.wrapping_add(1), offset);
            prop_assert_eq!(read(&bytes, later), None);
        }

        #[test]
        fn any_flipped_bit_is_noticed(
            payload in prop::collection::vec(any::<u8>(), 0..64),
            at: prop::sample::Index,
            bit in 0..8,
        ) {
            let mut bytes = Vec::new();
            append(&mut bytes, position(1, 4096), &sample(&payload));
            let covered = HEADER_BYTES + payload.len();
            bytes[at.index(covered)] ^= 1_u8 << bit;
            prop_assert_eq!(read(&bytes, position(1, 4096)), None);
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            prop_assert_eq!(search(&bytes, 1, 0).count(), 0);
        }
    }
}

//! What all files of the journal have in common: names, block size, first bytes, little-endian
//! fields.
//!
//! | Name | What |
//! |---|---|
//! | `lock` | held by the running process, empty |
//! | `identity` | cluster id, peer id, founding state, first voters ([`crate::identity`]) |
//! | `segment-<generation>` | records ([`crate::segment`], [`crate::record`]) |
//! | `spare-<number>` | a segment to be: full length, written once, its bytes mean nothing |
//! | `snapshot-<index>-<term>` | a saved state ([`crate::snapshot`]) |
//! | `<any of these>.new` | being made; means nothing, removed when found |
//!
//! Numbers in names are decimal with 20 digits, so that names sort as numbers. A file with one of
//! the first names is always complete: it is made aside, synced and only then renamed.
//!
//! Every file but `lock` starts with 16 bytes whose meaning never changes, so that an older program
//! can tell a newer format from damage:
//!
//! | Offset | Bytes | Field |
//! |---|---|---|
//! | 0 | 8 | magic: what kind of file |
//! | 8 | 4 | format version |
//! | 12 | 4 | CRC-32C of bytes 0 to 11 |

/// Unit of all writes to a segment, and size of its header.
pub(crate) const BLOCK_BYTES: usize = 4096;
/// The only format version so far.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// Size of the part that every file starts with.
pub(crate) const PREFIX_BYTES: usize = 16;

pub(crate) const LOCK: &str = "lock";
pub(crate) const IDENTITY: &str = "identity";
/// Ending of a file that is still being made.
pub(crate) const ASIDE: &str = ".new";

/// Digits of a number in a file name: enough for every 64-bit number.
const DIGITS: usize = 20;

/// What a name in the folder says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    Lock,
    Identity,
    Segment(u64),
    Spare(u64),
    Snapshot {
        index: u64,
        term: u64,
    },
    /// One of ours, never completed.
    Aside,
    /// Not ours.
    Foreign,
}

impl Name {
    pub(crate) fn parse(name: &str) -> Self {
        if let Some(made) = name.strip_suffix(ASIDE) {
            return match Self::parse(made) {
                Self::Foreign | Self::Aside | Self::Lock => Self::Foreign,
                Self::Identity | Self::Segment(_) | Self::Spare(_) | Self::Snapshot { .. } => {
                    Self::Aside
                }
            };
        }
        match name {
            LOCK => return Self::Lock,
            IDENTITY => return Self::Identity,
            _ => {}
        }
        if let Some(generation) = name.strip_prefix("segment-").and_then(number) {
            return Self::Segment(generation);
        }
        if let Some(number) = name.strip_prefix("spare-").and_then(number) {
            return Self::Spare(number);
        }
        let parts = name.strip_prefix("snapshot-").and_then(|rest| rest.split_once('-'));
        let numbers = parts.and_then(|(index, term)| number(index).zip(number(term)));
        match numbers {
            Some((index, term)) => Self::Snapshot { index, term },
            None => Self::Foreign,
        }
    }
}

fn number(digits: &str) -> Option<u64> {
    let well_formed = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    if well_formed { digits.parse().ok() } else { None }
}

pub(crate) fn segment_name(generation: u64) -> String {
    format!("segment-{generation:020}")
}

pub(crate) fn spare_name(number: u64) -> String {
    format!("spare-{number:020}")
}

pub(crate) fn snapshot_name(index: u64, term: u64) -> String {
    format!("snapshot-{index:020}-{term:020}")
}

pub(crate) fn aside_name(name: &str) -> String {
    format!("{name}{ASIDE}")
}

/// What the first 16 bytes of a file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prefix {
    Ours,
    /// Written whole by a newer program: its format version.
    Newer(u32),
    /// Not such a file, or damaged.
    Bad,
}

/// Appends the first 16 bytes of a file.
pub(crate) fn put_prefix(out: &mut Vec<u8>, magic: [u8; 8]) {
    let mut prefix = [0; 12];
    let (head, version) = prefix.split_at_mut(8);
    head.copy_from_slice(&magic);
    version.copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    out.extend_from_slice(&prefix);
    out.extend_from_slice(&crc32c::crc32c(&prefix).to_le_bytes());
}

/// Judges the first 16 bytes of a file.
pub(crate) fn check_prefix(bytes: &[u8], magic: [u8; 8]) -> Prefix {
    let mut reader = Reader::new(bytes);
    let fields = (reader.array::<8>(), reader.u32(), reader.u32());
    let (Some(found), Some(version), Some(crc)) = fields else { return Prefix::Bad };
    let covered = bytes.get(..12).unwrap_or_default();
    if found != magic || crc != crc32c::crc32c(covered) {
        return Prefix::Bad;
    }
    match version {
        FORMAT_VERSION => Prefix::Ours,
        0 => Prefix::Bad,
        newer => Prefix::Newer(newer),
    }
}

/// Reads little-endian fields off the front of some bytes; every field is `None` once they have run
/// out.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

/// A length in memory as a length on disk; no supported machine has lengths above 64 bits.
pub(crate) fn on_disk(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// A length on disk as a length in memory; what does not fit becomes a length that no slice has.
pub(crate) fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The largest multiple of the block size that is not above `offset`.
pub(crate) fn block_floor(offset: usize) -> usize {
    offset.saturating_sub(offset.checked_rem(BLOCK_BYTES).unwrap_or(0))
}

/// The smallest multiple of the block size that is not below `offset`.
pub(crate) fn block_ceiling(offset: usize) -> usize {
    offset.checked_next_multiple_of(BLOCK_BYTES).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_nothing_else_is_taken_for_ours() {
        assert_eq!(Name::parse(&segment_name(7)), Name::Segment(7));
        assert_eq!(Name::parse(&segment_name(u64::MAX)), Name::Segment(u64::MAX));
        assert_eq!(Name::parse(&spare_name(3)), Name::Spare(3));
        assert_eq!(Name::parse(&snapshot_name(9, 2)), Name::Snapshot { index: 9, term: 2 });
        assert_eq!(Name::parse("identity"), Name::Identity);
        assert_eq!(Name::parse("lock"), Name::Lock);
        assert_eq!(Name::parse(&aside_name(&segment_name(7))), Name::Aside);
        assert_eq!(Name::parse("identity.new"), Name::Aside);
        for foreign in [
            "segment-7",
            "segment-+0000000000000000007",
            "segment-99999999999999999999",
            "snapshot-00000000000000000009",
            "lock.new",
            "identity.new.new",
            ".new",
            "",
            "dledger-n0",
        ] {
            assert_eq!(Name::parse(foreign), Name::Foreign, "{foreign}");
        }
    }

    #[test]
    fn a_prefix_is_ours_newer_or_bad() {
        let mut bytes = Vec::new();
        put_prefix(&mut bytes, *b"SOMEFILE");
        assert_eq!(bytes.len(), PREFIX_BYTES);
        assert_eq!(check_prefix(&bytes, *b"SOMEFILE"), Prefix::Ours);
        assert_eq!(check_prefix(&bytes, *b"ELSEFILE"), Prefix::Bad);
        assert_eq!(check_prefix(&bytes[..15], *b"SOMEFILE"), Prefix::Bad);
        bytes[8] = 9;
        assert_eq!(check_prefix(&bytes, *b"SOMEFILE"), Prefix::Bad);
        let crc = crc32c::crc32c(&bytes[..12]);
        bytes[12..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(check_prefix(&bytes, *b"SOMEFILE"), Prefix::Newer(9));
    }

    #[test]
    fn blocks_are_rounded_both_ways() {
        for (offset, floor, ceiling) in [(0, 0, 0), (1, 0, 4096), (4096, 4096, 4096)] {
            assert_eq!((block_floor(offset), block_ceiling(offset)), (floor, ceiling));
        }
    }
}

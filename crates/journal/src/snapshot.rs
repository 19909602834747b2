//! Snapshot files: a state of the machine, saved (S2, S3, S5).
//!
//! | Offset | Bytes | Field |
//! |---|---|---|
//! | 0 | 16 | magic `PITCHSNP`, format version, checksum ([`crate::layout`]) |
//! | 16 | 8 | cluster id |
//! | 24 | 8 | index of the last entry applied |
//! | 32 | 8 | term of that entry |
//! | 40 | 8 | length of the state |
//! | 48 | 4 | length of the descriptor |
//! | 52 | 4 | CRC-32C of the descriptor |
//! | 56 | 4 | CRC-32C of the state |
//! | 60 | 4 | CRC-32C of bytes 16 to 59 |
//! | 64 | | the descriptor in consensus' own layout, then the state |
//!
//! A file called `snapshot-*` was written aside and synced before it got that name. Whether it
//! counts is said by the journal alone, in a record; a file without one is a left-over.
//!
//! The state's own checksum, in the descriptor, belongs to who made the bytes and is not looked at
//! here.

use bytes::{Bytes, BytesMut};
use consensus::SnapshotDescriptor;

use crate::disk::{Disk, DiskFile};
use crate::error::{Damage, DiskError, JournalError, SAVE_SNAPSHOT};
use crate::layout::{self, PREFIX_BYTES, Prefix, Reader, in_memory, on_disk};
use crate::log_state::Mark;

const MAGIC: [u8; 8] = *b"PITCHSNP";
const HEADER_BYTES: usize = 64;
/// The largest state that can be saved.
pub const SNAPSHOT_BYTES_MAX: u64 = 1 << 30;
/// The largest descriptor: four lists of members at their limits, with room.
const DESCRIPTOR_BYTES_MAX: u64 = 64 * 1024;

/// Why a snapshot file cannot be used.
#[derive(Debug)]
pub(crate) enum Unusable {
    Disk(DiskError),
    /// Written by a newer program: its format version.
    Newer(u32),
    Damaged {
        offset: usize,
        damage: Damage,
    },
}

/// Saves a state under its final name; durable when this returns.
///
/// When the disk is full, what was made aside is removed again and nothing else has changed.
pub(crate) fn save<D: Disk>(
    disk: &mut D,
    cluster: u64,
    descriptor: &SnapshotDescriptor,
    state: &[u8],
) -> Result<(), JournalError> {
    let name = layout::snapshot_name(descriptor.index.0, descriptor.term.0);
    let aside = layout::aside_name(&name);
    let place = disk.place();
    let failed = |source| DiskError::new(&place, &name, SAVE_SNAPSHOT, source);
    let head = encode_head(cluster, descriptor, state)?;
    let made = disk.create(&aside).and_then(|mut file| {
        file.write_at(0, &head)?;
        file.write_at(on_disk(head.len()), state)?;
        file.sync()
    });
    if let Err(source) = made {
        let error = failed(source);
        if error.is_disk_full() {
            // A left-over that cannot be removed costs space and is removed at the next start.
            disk.remove(&aside).ok();
        }
        return Err(error.into());
    }
    let failed = |action, source| DiskError::new(&place, &name, action, source);
    disk.rename(&aside, &name).map_err(|source| failed("rename", source))?;
    disk.sync_folder().map_err(|source| failed("sync the folder of", source))?;
    Ok(())
}

fn encode_head(
    cluster: u64,
    descriptor: &SnapshotDescriptor,
    state: &[u8],
) -> Result<Vec<u8>, JournalError> {
    let state_bytes = on_disk(state.len());
    if descriptor.bytes != state_bytes {
        return Err(JournalError::Snapshot("the descriptor gives another length"));
    }
    if state_bytes > SNAPSHOT_BYTES_MAX {
        return Err(JournalError::Snapshot("it is above SNAPSHOT_BYTES_MAX"));
    }
    if descriptor.index.0 == 0 {
        return Err(JournalError::Snapshot("its index is 0"));
    }
    let mut described = BytesMut::new();
    descriptor.encode(&mut described);
    let mut head = Vec::with_capacity(HEADER_BYTES.saturating_add(described.len()));
    layout::put_prefix(&mut head, MAGIC);
    for field in [cluster, descriptor.index.0, descriptor.term.0, state_bytes] {
        head.extend_from_slice(&field.to_le_bytes());
    }
    let descriptor_bytes = u32::try_from(described.len()).unwrap_or(u32::MAX);
    for field in [descriptor_bytes, crc32c::crc32c(&described), crc32c::crc32c(state)] {
        head.extend_from_slice(&field.to_le_bytes());
    }
    let crc = crc32c::crc32c(head.get(PREFIX_BYTES..).unwrap_or_default());
    head.extend_from_slice(&crc.to_le_bytes());
    head.extend_from_slice(&described);
    Ok(head)
}

/// The fields of the header that the rest is checked against.
struct Head {
    state_bytes: u64,
    descriptor_bytes: u64,
    descriptor_crc: u32,
    state_crc: u32,
}

/// Reads a saved state and checks every byte of it.
pub(crate) fn load<D: Disk>(
    disk: &D,
    cluster: u64,
    mark: Mark,
) -> Result<(SnapshotDescriptor, Bytes), Unusable> {
    let name = layout::snapshot_name(mark.index, mark.term);
    let place = disk.place();
    let failed = |action, source| Unusable::Disk(DiskError::new(&place, &name, action, source));
    let file = disk.open(&name).map_err(|source| failed("open", source))?;
    let bytes = file.bytes().map_err(|source| failed("measure", source))?;
    let wrong_length = || damaged(0, Damage::Length { bytes });
    let mut header = [0; HEADER_BYTES];
    if bytes < on_disk(HEADER_BYTES) {
        return Err(wrong_length());
    }
    file.read_at(0, &mut header).map_err(|source| failed("read", source))?;
    let head = decode_head(&header, cluster, mark)?;
    let expected = on_disk(HEADER_BYTES)
        .saturating_add(head.descriptor_bytes)
        .saturating_add(head.state_bytes);
    // From here on the lengths are those of the file, which bound the allocation.
    if bytes != expected || head.descriptor_bytes > DESCRIPTOR_BYTES_MAX {
        return Err(wrong_length());
    }
    let mut content = BytesMut::zeroed(in_memory(bytes).saturating_sub(HEADER_BYTES));
    let offset = on_disk(HEADER_BYTES);
    file.read_at(offset, &mut content).map_err(|source| failed("read", source))?;
    let mut content = content.freeze();
    let described = content.split_to(in_memory(head.descriptor_bytes));
    if crc32c::crc32c(&described) != head.descriptor_crc {
        return Err(damaged(HEADER_BYTES, Damage::Checksum));
    }
    let state_offset = HEADER_BYTES.saturating_add(described.len());
    if crc32c::crc32c(&content) != head.state_crc {
        return Err(damaged(state_offset, Damage::Checksum));
    }
    let field = |field| damaged(HEADER_BYTES, Damage::Field { field });
    let descriptor =
        SnapshotDescriptor::decode(&described).map_err(|_undecodable| field("descriptor"))?;
    let found = Mark { index: descriptor.index.0, term: descriptor.term.0 };
    if found != mark || descriptor.bytes != head.state_bytes {
        return Err(field("descriptor"));
    }
    Ok((descriptor, content))
}

fn decode_head(header: &[u8; HEADER_BYTES], cluster: u64, mark: Mark) -> Result<Head, Unusable> {
    match layout::check_prefix(header, MAGIC) {
        Prefix::Ours => {}
        Prefix::Newer(version) => return Err(Unusable::Newer(version)),
        Prefix::Bad => return Err(damaged(0, Damage::Header)),
    }
    let mut fields = Reader::new(header.get(PREFIX_BYTES..).unwrap_or_default());
    let covered = header.get(PREFIX_BYTES..HEADER_BYTES.saturating_sub(4)).unwrap_or_default();
    let mut read = || {
        let found = [fields.u64()?, fields.u64()?, fields.u64()?];
        let (state_bytes, descriptor_bytes) = (fields.u64()?, u64::from(fields.u32()?));
        let (descriptor_crc, state_crc) = (fields.u32()?, fields.u32()?);
        let head = Head { state_bytes, descriptor_bytes, descriptor_crc, state_crc };
        (fields.u32()? == crc32c::crc32c(covered)).then_some((found, head))
    };
    let (found, head) = read().ok_or_else(|| damaged(PREFIX_BYTES, Damage::Checksum))?;
    let names = ["cluster", "index", "term"];
    let fields = found.into_iter().zip([cluster, mark.index, mark.term]);
    for ((found, expected), field) in fields.zip(names) {
        if found != expected {
            let damage = Damage::HeaderMismatch { field, found, expected };
            return Err(damaged(PREFIX_BYTES, damage));
        }
    }
    Ok(head)
}

fn damaged(offset: usize, damage: Damage) -> Unusable {
    Unusable::Damaged { offset, damage }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryDisk;
    use consensus::{LogIndex, Membership, PeerId, Term};

    const MARK: Mark = Mark { index: 40, term: 3 };

    fn saved() -> (MemoryDisk, String, SnapshotDescriptor) {
        let descriptor = SnapshotDescriptor {
            index: LogIndex(40),
            term: Term(3),
            membership: Membership::of_voters([PeerId(1), PeerId(2)]),
            bytes: 5,
            checksum: 77,
        };
        let mut disk = MemoryDisk::new();
        save(&mut disk, 9, &descriptor, b"state").expect("saved");
        (disk, layout::snapshot_name(40, 3), descriptor)
    }

    #[test]
    fn what_was_saved_is_loaded_after_a_crash() {
        let (disk, _, descriptor) = saved();
        disk.crash(3);
        let (found, state) = load(&disk.handle(), 9, MARK).expect("intact");
        assert_eq!((found, &state[..]), (descriptor, &b"state"[..]));
    }

    #[test]
    fn every_flipped_bit_every_cut_and_every_wrong_name_is_noticed() {
        let (disk, name, _) = saved();
        let good = disk.content(&name).expect("there");
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            disk.put(&name, &bytes);
            load(&disk, 9, MARK).expect_err("flipped");
        }
        for bytes in 0..good.len() {
            disk.put(&name, &good[..bytes]);
            load(&disk, 9, MARK).expect_err("cut");
        }
        disk.put(&name, &good);
        load(&disk, 9, MARK).expect("whole again");
        load(&disk, 8, MARK).expect_err("another cluster's");
        disk.put(&layout::snapshot_name(41, 3), &good);
        load(&disk, 9, Mark { index: 41, term: 3 }).expect_err("another index");
    }

    #[test]
    fn a_descriptor_that_lies_is_refused() {
        let (mut disk, _, descriptor) = saved();
        let refused = save(&mut disk, 9, &descriptor, b"longer state");
        assert!(matches!(refused, Err(JournalError::Snapshot(_))));
    }

    #[test]
    fn a_full_disk_leaves_nothing_behind() {
        let (mut disk, _, descriptor) = saved();
        let names = disk.list().expect("listed");
        disk.set_capacity(Some(150));
        let descriptor = SnapshotDescriptor { index: LogIndex(50), ..descriptor };
        let error = save(&mut disk, 9, &descriptor, b"state").expect_err("full");
        assert!(error.is_survivable(), "{error}");
        assert_eq!(disk.list().expect("listed"), names);
    }
}

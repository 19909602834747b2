//! The file `identity`: whose journal this is, and how far the founding of its cluster got (M5).
//!
//! | Offset | Bytes | Field |
//! |---|---|---|
//! | 0 | 16 | magic `PITCHIDY`, format version, checksum ([`crate::layout`]) |
//! | 16 | 8 | cluster id |
//! | 24 | 8 | peer id |
//! | 32 | 4 | state: 1 founding, 2 founded |
//! | 36 | 4 | number of voters |
//! | 40 | 8 each | the voters' ids |
//! | then | 4 | CRC-32C of everything from byte 16 on |
//!
//! No file means *empty*: a new peer, or a wiped one. It is replaced whole: aside, sync, rename,
//! sync of the folder. The first segment is made before it, so that an identity without a segment
//! is a loss and not a beginning.

use consensus::PeerId;
use std::io;

use crate::disk::{Disk, DiskFile};
use crate::error::{Damage, DiskError, JournalError, OpenError};
use crate::layout::{self, FORMAT_VERSION, IDENTITY, PREFIX_BYTES, Prefix, Reader};
use crate::layout::{in_memory, on_disk};

const MAGIC: [u8; 8] = *b"PITCHIDY";
/// Most voters in an identity.
pub const IDENTITY_VOTERS_MAX: usize = 64;
/// The largest an identity file can be.
const BYTES_MAX: u64 = 40 + 8 * 64 + 4;

/// How far the founding of the cluster got; *empty* is the absence of an [`Identity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Founding {
    /// Every configured peer answered *empty* or *founding*.
    Founding,
    /// Every configured peer answered *founding* or *founded*: this peer votes.
    Founded,
}

/// Whose journal this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The cluster: a hash of its name and its sorted peers.
    pub cluster: u64,
    /// The peer; an id is never used twice (M4).
    pub peer: PeerId,
    /// How far the founding got.
    pub state: Founding,
    /// The voters that the cluster was founded with; at most [`IDENTITY_VOTERS_MAX`].
    pub voters: Vec<PeerId>,
}

impl Identity {
    /// The bytes of the file.
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        layout::put_prefix(&mut out, MAGIC);
        out.extend_from_slice(&self.cluster.to_le_bytes());
        out.extend_from_slice(&self.peer.0.to_le_bytes());
        let state: u32 = match self.state {
            Founding::Founding => 1,
            Founding::Founded => 2,
        };
        out.extend_from_slice(&state.to_le_bytes());
        let voters = u32::try_from(self.voters.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&voters.to_le_bytes());
        for voter in &self.voters {
            out.extend_from_slice(&voter.0.to_le_bytes());
        }
        let crc = crc32c::crc32c(out.get(PREFIX_BYTES..).unwrap_or_default());
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads what follows the prefix.
    fn decode(bytes: &[u8]) -> Result<Self, (usize, Damage)> {
        let length = Damage::Length { bytes: on_disk(bytes.len()) };
        let (covered, crc) = bytes.split_last_chunk::<4>().ok_or((0, length.clone()))?;
        let covered = covered.get(PREFIX_BYTES..).ok_or((0, length.clone()))?;
        if crc32c::crc32c(covered) != u32::from_le_bytes(*crc) {
            return Err((PREFIX_BYTES, Damage::Checksum));
        }
        let mut fields = Reader::new(covered);
        let mut read = || {
            let (cluster, peer) = (fields.u64()?, PeerId(fields.u64()?));
            let (state, voters) = (fields.u32()?, fields.u32()?);
            let voters: Option<Vec<_>> = (0..voters).map(|_| fields.u64().map(PeerId)).collect();
            voters.map(|voters| (cluster, peer, state, voters))
        };
        let (cluster, peer, state, voters) = read().ok_or((0, length.clone()))?;
        if !fields.is_empty() {
            return Err((0, length));
        }
        let state = match state {
            1 => Founding::Founding,
            2 => Founding::Founded,
            _ => return Err((32, Damage::Field { field: "state" })),
        };
        Ok(Self { cluster, peer, state, voters })
    }
}

/// Reads the identity of the journal in `disk`, without opening it; `None` if it has none.
///
/// For a caller who does not know yet as which peer to open it.
///
/// # Errors
/// - [`OpenError::Damaged`], [`OpenError::NewerFormat`]: the file cannot be understood.
/// - [`OpenError::Permission`], [`OpenError::Disk`]: it cannot be read.
pub fn read_identity<D: Disk>(disk: &D) -> Result<Option<Identity>, OpenError> {
    let place = disk.place();
    let failed = |action, source| DiskError::new(&place, IDENTITY, action, source);
    let file = match disk.open(IDENTITY) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open", error).into()),
    };
    let bytes = file.bytes().map_err(|source| failed("measure", source))?;
    let damaged = |offset, damage| OpenError::Damaged {
        place: place.clone(),
        file: IDENTITY.to_owned(),
        offset: on_disk(offset),
        damage,
    };
    if bytes > BYTES_MAX {
        return Err(damaged(0, Damage::Length { bytes }));
    }
    let mut content = vec![0; in_memory(bytes)];
    file.read_at(0, &mut content).map_err(|source| failed("read", source))?;
    match layout::check_prefix(&content, MAGIC) {
        Prefix::Ours => {}
        Prefix::Bad if content.is_empty() => {
            return Err(damaged(0, Damage::Length { bytes }));
        }
        Prefix::Bad => return Err(damaged(0, Damage::Header)),
        Prefix::Newer(found) => {
            let (place, file) = (place.clone(), IDENTITY.to_owned());
            return Err(OpenError::NewerFormat { place, file, found, supported: FORMAT_VERSION });
        }
    }
    Identity::decode(&content).map(Some).map_err(|(offset, damage)| damaged(offset, damage))
}

/// Writes the identity aside and puts it in place of the old one.
pub(crate) fn replace<D: Disk>(disk: &mut D, identity: &Identity) -> Result<(), JournalError> {
    if identity.voters.len() > IDENTITY_VOTERS_MAX {
        return Err(JournalError::Identity("more voters than IDENTITY_VOTERS_MAX"));
    }
    let place = disk.place();
    let aside = layout::aside_name(IDENTITY);
    let failed = |action, source| DiskError::new(&place, IDENTITY, action, source);
    let mut file = disk.create(&aside).map_err(|source| failed("make", source))?;
    file.write_at(0, &identity.encode()).map_err(|source| failed("write", source))?;
    file.sync().map_err(|source| failed("sync", source))?;
    disk.rename(&aside, IDENTITY).map_err(|source| failed("rename", source))?;
    disk.sync_folder().map_err(|source| failed("sync the folder of", source))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryDisk;

    fn sample() -> Identity {
        let voters = vec![PeerId(1), PeerId(2), PeerId(3)];
        Identity { cluster: 0xC0FFEE, peer: PeerId(2), state: Founding::Founding, voters }
    }

    #[test]
    fn what_was_written_is_read_back() {
        let mut disk = MemoryDisk::new();
        assert_eq!(read_identity(&disk).expect("empty"), None);
        replace(&mut disk, &sample()).expect("written");
        assert_eq!(read_identity(&disk).expect("intact"), Some(sample()));
        let founded = Identity { state: Founding::Founded, voters: vec![], ..sample() };
        replace(&mut disk, &founded).expect("written");
        disk.crash(1);
        assert_eq!(read_identity(&disk.handle()).expect("intact"), Some(founded));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_damage() {
        let mut disk = MemoryDisk::new();
        replace(&mut disk, &sample()).expect("written");
        let good = disk.content(IDENTITY).expect("there");
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            disk.put(IDENTITY, &bytes);
            let error = read_identity(&disk).expect_err("damaged");
            assert!(matches!(error, OpenError::Damaged { .. }), "bit {bit}: {error}");
        }
        for bytes in 0..good.len() {
            disk.put(IDENTITY, &good[..bytes]);
            let error = read_identity(&disk).expect_err("damaged");
            assert!(matches!(error, OpenError::Damaged { .. }), "{bytes} bytes: {error}");
        }
    }

    #[test]
    fn too_many_voters_are_refused() {
        let mut disk = MemoryDisk::new();
        let identity = Identity { voters: vec![PeerId(1); 65], ..sample() };
        assert!(matches!(replace(&mut disk, &identity), Err(JournalError::Identity(_))));
    }
}

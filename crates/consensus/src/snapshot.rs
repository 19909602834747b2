//! What peers and the journal know of a snapshot; its bytes never come here.
//!
//! ```text
//! 0   u8    layout version, 1
//! 1   u8*7  zero
//! 8   u64   index             24  u64   bytes, the size of the file's payload
//! 16  u64   term              32  u128  checksum
//! 48  ...   membership, to the end
//! ```

use crate::codec::{DecodeError, get_zeros};
use crate::{LogIndex, Membership, Term};
use bytes::{Buf, BufMut, BytesMut};

const VERSION: u8 = 1;

/// A snapshot, described: what it contains and how to check its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotDescriptor {
    /// The last entry whose effect it contains.
    pub index: LogIndex,
    /// The term of that entry.
    pub term: Term,
    /// Who belonged to the cluster at `index`.
    pub membership: Membership,
    /// Size of the state's bytes.
    pub bytes: u64,
    /// Checksum of the state's bytes, as their maker computed it.
    pub checksum: u128,
}

impl SnapshotDescriptor {
    /// Appends the canonical bytes.
    ///
    /// # Panics
    /// If the membership is above its limits, see [`Membership::encode`].
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u8(VERSION);
        out.put_bytes(0, 7);
        out.put_u64_le(self.index.0);
        out.put_u64_le(self.term.0);
        out.put_u64_le(self.bytes);
        out.put_u128_le(self.checksum);
        self.membership.encode(out);
    }

    /// Reads what [`SnapshotDescriptor::encode`] wrote.
    ///
    /// # Errors
    /// Any [`DecodeError`]; bytes that no `encode` writes are refused.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, DecodeError> {
        let from = &mut bytes;
        let version = from.try_get_u8()?;
        if version != VERSION {
            return Err(DecodeError::Version { version });
        }
        get_zeros(from, 7)?;
        let index = LogIndex(from.try_get_u64_le()?);
        let term = Term(from.try_get_u64_le()?);
        let bytes = from.try_get_u64_le()?;
        let checksum = from.try_get_u128_le()?;
        let membership = Membership::decode(from)?;
        Ok(Self { index, term, membership, bytes, checksum })
    }
}

//! The first frame of a link between controllers, and how messages are packed after it (rules N1, N2).
//!
//! | Hello | Bytes |
//! |---|---|
//! | magic `PITCHPEER` | 9 |
//! | version of the link's format | 2 |
//! | cluster id | 8 |
//! | id of the sender in the consensus group; its last bits are its seat | 8 |
//! | boot nonce of the sender | 8 |
//!
//! | One message of a batch | Bytes |
//! |---|---|
//! | length of the message | 4 |
//! | CRC-32C of the message | 4 |
//! | message | as announced |
//!
//! Integers are little endian. A batch is the body of one frame of code [`protocol::private::PEER_BATCH`].

use bytes::{Buf, BufMut, Bytes, BytesMut};
use controller::{PeerId, PeerMessage, PeerMessageError};
use thiserror::Error;

const MAGIC: &[u8; 9] = b"PITCHPEER";

/// Version of the link's format; both ends must have the same.
pub(crate) const LINK_VERSION: u16 = 1;

/// Largest body of a batch, in bytes: half a frame.
pub(crate) const BATCH_BYTES_MAX: usize = 8 * 1_024 * 1_024;

/// Who is at the other end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) version: u16,
    pub(crate) cluster: u64,
    pub(crate) peer: PeerId,
    pub(crate) nonce: u64,
}

/// Bytes of a peer that are no hello or no batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum LinkError {
    /// Not a hello.
    #[error("not a hello of a controller")]
    Hello,
    /// A length that runs past the batch.
    #[error("a message runs past its batch")]
    Length,
    /// A checksum that does not fit.
    #[error("a message's checksum does not fit")]
    Checksum,
    /// A message that cannot be read.
    #[error(transparent)]
    Message(#[from] PeerMessageError),
}

impl Hello {
    pub(crate) fn encode(self) -> Bytes {
        let mut out = BytesMut::with_capacity(35);
        out.put_slice(MAGIC);
        out.put_u16_le(self.version);
        out.put_u64_le(self.cluster);
        out.put_u64_le(self.peer.0);
        out.put_u64_le(self.nonce);
        out.freeze()
    }

    pub(crate) fn decode(mut bytes: Bytes) -> Result<Self, LinkError> {
        if bytes.len() != MAGIC.len() + 26 || !bytes.starts_with(MAGIC) {
            return Err(LinkError::Hello);
        }
        bytes.advance(MAGIC.len());
        Ok(Self {
            version: bytes.get_u16_le(),
            cluster: bytes.get_u64_le(),
            peer: PeerId(bytes.get_u64_le()),
            nonce: bytes.get_u64_le(),
        })
    }
}

/// Appends one message to a batch.
pub(crate) fn pack(message: &PeerMessage, batch: &mut BytesMut) {
    let start = batch.len();
    batch.put_u64_le(0);
    message.encode(batch);
    let Some((head, bytes)) = batch.get_mut(start..).and_then(|all| all.split_at_mut_checked(8))
    else {
        return;
    };
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let checksum = crc32c::crc32c(bytes);
    head.copy_from_slice(&(u64::from(checksum) << 32 | u64::from(length)).to_le_bytes());
}

/// Takes the next message off a batch.
pub(crate) fn unpack(batch: &mut Bytes) -> Result<PeerMessage, LinkError> {
    let length = batch.try_get_u32_le().map_err(|_short| LinkError::Length)?;
    let checksum = batch.try_get_u32_le().map_err(|_short| LinkError::Length)?;
    let length = usize::try_from(length).map_err(|_wide| LinkError::Length)?;
    if length > batch.len() {
        return Err(LinkError::Length);
    }
    // Copied, since log entries are kept for long and must not keep the whole batch they came in.
    let bytes = Bytes::copy_from_slice(&batch.split_to(length));
    if crc32c::crc32c(&bytes) != checksum {
        return Err(LinkError::Checksum);
    }
    Ok(PeerMessage::decode(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::{Hello, LINK_VERSION, LinkError, pack, unpack};
    use bytes::{Bytes, BytesMut};
    use controller::{Founding, PeerId, PeerMessage};

    #[test]
    fn a_hello_reads_back_and_nothing_else_does() {
        let hello = Hello { version: LINK_VERSION, cluster: 7, peer: PeerId(3), nonce: u64::MAX };
        let bytes = hello.encode();
        assert_eq!(Hello::decode(bytes.clone()), Ok(hello));
        for short in 0..bytes.len() {
            assert_eq!(Hello::decode(bytes.slice(..short)), Err(LinkError::Hello));
        }
    }

    #[test]
    fn a_batch_reads_back_and_damage_is_refused() {
        let mut batch = BytesMut::new();
        let messages =
            [PeerMessage::Founding(Founding::Empty), PeerMessage::Founding(Founding::Founded)];
        messages.iter().for_each(|message| pack(message, &mut batch));
        let bytes = batch.freeze();
        let mut rest = bytes.clone();
        assert_eq!(unpack(&mut rest).as_ref(), Ok(&messages[0]));
        assert_eq!(unpack(&mut rest).as_ref(), Ok(&messages[1]));
        assert!(rest.is_empty());
        for at in 0..bytes.len() / 2 {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 0x40;
            assert!(unpack(&mut Bytes::from(damaged)).is_err(), "byte {at}");
        }
    }
}

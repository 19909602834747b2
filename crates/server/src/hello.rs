//! The first frame of a link between controllers, and how messages are packed after it (rules N1, N2).
//!
//! | Hello | Bytes |
//! |---|---|
//! | magic `PITCHPEER` | 9 |
//! | version of the link's format | 2 |
//! | cluster id | 8 |
//! | id of the sender in the consensus group; its last bits are its seat | 8 |
//! | boot nonce of the sender | 8 |
//! | CRC-32C of all before | 4 |
//!
//! | Header of a batch's frame | |
//! |---|---|
//! | code, flag | [`protocol::private::PEER_BATCH`], one way |
//! | opaque | how long the body is |
//!
//! | One message of a batch | Bytes |
//! |---|---|
//! | length of the message | 4 |
//! | CRC-32C of the message | 4 |
//! | message | as announced |
//!
//! Integers are little endian. A batch is the body of one frame.
//!
//! Messages have checksums, the frame around them has none, and TCP's own is weak: no flipped bit may leave the receiver
//! waiting for bytes that nobody sends. So the header says once more what the frame's length says, and the two are
//! compared as soon as the header is there ([`is_broken`]).

use bytes::{Buf, BufMut, Bytes, BytesMut};
use controller::{PeerId, PeerMessage, PeerMessageError};
use protocol::{ExtFields, FLAG_ONE_WAY, Header, HeaderEncoding, header_ahead, private};
use thiserror::Error;

const MAGIC: &[u8; 9] = b"PITCHPEER";

/// Version of the link's format; both ends must have the same.
pub(crate) const LINK_VERSION: u16 = 2;

/// Largest body of a batch, in bytes: half a frame.
pub(crate) const BATCH_BYTES_MAX: usize = 8 * 1_024 * 1_024;

/// Bytes of a hello.
const HELLO_BYTES: usize = MAGIC.len() + 30;

/// The encoding in which our own requests are written.
pub(crate) const OWN_ENCODING: HeaderEncoding = HeaderEncoding::Binary;

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
        let mut out = BytesMut::with_capacity(HELLO_BYTES);
        out.put_slice(MAGIC);
        out.put_u16_le(self.version);
        out.put_u64_le(self.cluster);
        out.put_u64_le(self.peer.0);
        out.put_u64_le(self.nonce);
        let checksum = crc32c::crc32c(&out);
        out.put_u32_le(checksum);
        out.freeze()
    }

    pub(crate) fn decode(mut bytes: Bytes) -> Result<Self, LinkError> {
        if bytes.len() != HELLO_BYTES || !bytes.starts_with(MAGIC) {
            return Err(LinkError::Hello);
        }
        let mut checksum = bytes.split_off(HELLO_BYTES - 4);
        if checksum.get_u32_le() != crc32c::crc32c(&bytes) {
            return Err(LinkError::Checksum);
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

/// The header of a batch of so many bytes.
pub(crate) fn batch_header(body_bytes: usize) -> Header {
    let opaque = i32::try_from(body_bytes).unwrap_or(i32::MAX);
    Header::request(private::PEER_BATCH, opaque, FLAG_ONE_WAY, ExtFields::new(), OWN_ENCODING)
}

/// Whether this is the header of a batch of so many bytes.
pub(crate) fn heads_batch(header: &Header, body_bytes: usize) -> bool {
    let opaque = usize::try_from(header.opaque).ok();
    header.code == private::PEER_BATCH && !header.is_response() && opaque == Some(body_bytes)
}

/// Whether the beginning of a frame on a link shows already that it is no batch as it was sent.
pub(crate) fn is_broken(beginning: &[u8]) -> bool {
    match header_ahead(beginning) {
        Ok(Some((header, body_bytes))) => !heads_batch(&header, body_bytes),
        Ok(None) => false,
        Err(_malformed) => true,
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
    use super::{
        Hello, LINK_VERSION, LinkError, batch_header, heads_batch, is_broken, pack, unpack,
    };
    use bytes::{Bytes, BytesMut};
    use controller::{Founding, PeerId, PeerMessage};
    use protocol::Frame;

    #[test]
    fn a_hello_reads_back_and_nothing_else_does() {
        let hello = Hello { version: LINK_VERSION, cluster: 7, peer: PeerId(3), nonce: u64::MAX };
        let bytes = hello.encode();
        assert_eq!(Hello::decode(bytes.clone()), Ok(hello));
        for short in 0..bytes.len() {
            assert_eq!(Hello::decode(bytes.slice(..short)), Err(LinkError::Hello));
        }
        for bit in 0..bytes.len() * 8 {
            assert!(Hello::decode(flipped(&bytes, bit)).is_err(), "bit {bit}");
        }
    }

    fn flipped(bytes: &[u8], bit: usize) -> Bytes {
        let mut damaged = bytes.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        damaged.into()
    }

    /// What becomes of the bytes of one batch: its messages, or the end of the link. Never a wait for more.
    fn arrive(bytes: Bytes) -> Option<Vec<PeerMessage>> {
        let mut buffer = BytesMut::from(&bytes[..]);
        let Ok(split) = protocol::split(&mut buffer) else { return None };
        let Some(frame) = split else {
            assert!(is_broken(&buffer), "it waits for bytes that nobody sends");
            return None;
        };
        let frame = Frame::decode(frame).ok()?;
        if !heads_batch(&frame.header, frame.body.len()) {
            return None;
        }
        let mut batch = frame.body;
        let mut messages = Vec::new();
        while !batch.is_empty() {
            messages.push(unpack(&mut batch).ok()?);
        }
        buffer.is_empty().then_some(messages)
    }

    #[test]
    fn no_flipped_bit_changes_a_batch_or_leaves_the_receiver_waiting() {
        let sent =
            [PeerMessage::Founding(Founding::Empty), PeerMessage::Founding(Founding::Founded)];
        let mut batch = BytesMut::new();
        sent.iter().for_each(|message| pack(message, &mut batch));
        let body = batch.freeze();
        let mut bytes = BytesMut::new();
        Frame { header: batch_header(body.len()), body }.encode(&mut bytes);
        let bytes = bytes.freeze();
        assert_eq!(arrive(bytes.clone()).as_deref(), Some(&sent[..]));
        let mut refused = 0;
        for bit in 0..bytes.len() * 8 {
            match arrive(flipped(&bytes, bit)) {
                Some(messages) => assert_eq!(messages, sent, "bit {bit}"),
                None => refused += 1,
            }
        }
        // The rest is what nobody reads: the language and version of the sender, and flags without a meaning.
        assert!(refused > bytes.len() * 8 / 2, "{refused} of {}", bytes.len() * 8);
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

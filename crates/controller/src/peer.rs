//! Messages between controllers, and their bytes.
//!
//! One message is one byte of kind and a payload; integers are little endian. The server wraps batches of them
//! in frames of a private request code, each message with its length and checksum.
//!
//! | Kind | Message | Payload |
//! |---|---|---|
//! | 1 | `Raft` | as [`consensus::Message::encode`] writes it |
//! | 2 | `Founding` | 1 byte: 0 empty, 1 founding, 2 founded |
//! | 3 | `Forward` | sequence `u64`, then the request's frame |
//! | 4 | `Answer` | sequence `u64`, then the answer's frame |
//! | 5 | `Closed` | broker: id `i64`, length of cluster `u16`, cluster, set |
//! | 6 | `Question` | number `u64`, silence in ms `u32`, broker as above |
//! | 7 | `Objection` | number `u64`, 1 byte: 1 objects, 0 does not |
//! | 8 | `SnapshotRead` | index `u64`, offset `u64` |
//! | 9 | `SnapshotPart` | index `u64`, offset `u64`, bytes |
//! | 10 | `Heard` | epoch `i32`, max offset `i64`, confirm offset `i64`, time-out in ms `i64`, priority `i32`, length of address `u16`, address, broker as above |
//! | 11 | `Serving` | 1 byte: bit 0 serves, bit 1 keeps the rules of leases |
//!
//! Decoding is total: bytes of a peer are refused, never believed.

use crate::effect::Founding;
use crate::liveness::{BrokerIdentity, HEARTBEAT_TIMEOUT_MS_DEFAULT};
use alloc::boxed::Box;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use consensus::{Content, LogIndex, Message};
use protocol::{BrokerHeartbeat, Text};

/// A message between controllers.
#[derive(Debug, Clone, PartialEq)]
pub enum PeerMessage {
    /// A message of the consensus engine.
    Raft(Message),
    /// How far the sender has come in its first start (rule M5).
    Founding(Founding),
    /// A request for the leader, that a client sent to the sender.
    Forward {
        /// Counts up within one boot of the sender.
        sequence: u64,
        /// The whole request as the client sent it.
        frame: Bytes,
    },
    /// The leader's answer to [`PeerMessage::Forward`].
    Answer {
        /// Of the request.
        sequence: u64,
        /// The whole answer as a frame; its correlation id means nothing.
        frame: Bytes,
    },
    /// The sender saw the newest connection of this broker close.
    Closed(BrokerIdentity),
    /// The leader asks whether anybody still hears this broker, whose own address refuses connections.
    Question {
        /// Of the leader's round of questions.
        number: u64,
        /// How long the leader has not heard the broker, in ms.
        silent_ms: u32,
        /// The broker.
        broker: BrokerIdentity,
    },
    /// The answer to [`PeerMessage::Question`].
    Objection {
        /// Of the question.
        number: u64,
        /// The broker has an open connection here, or was heard here since.
        objects: bool,
    },
    /// The sender heard a broker on a connection of its own.
    Heard(Box<BrokerHeartbeat>),
    /// Whether the sender can serve, said at every change and again and again.
    Serving {
        /// It completed a read barrier lately (`health.rs`).
        serves: bool,
        /// It keeps the rules that leases need (`lease.rs`).
        leases: bool,
    },
    /// Asks for a part of the snapshot at `index`.
    SnapshotRead {
        /// The snapshot.
        index: LogIndex,
        /// First byte wanted.
        offset: u64,
    },
    /// A part of a snapshot; empty if the sender does not have it (any more).
    SnapshotPart {
        /// The snapshot.
        index: LogIndex,
        /// First byte sent.
        offset: u64,
        /// At most [`crate::snapshots::SNAPSHOT_PART_BYTES_MAX`].
        bytes: Bytes,
    },
}

/// Bytes of a peer that are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeerMessageError {
    /// The kind byte is none of the table.
    #[error("peer message of unknown kind {0}")]
    Kind(u8),
    /// The payload ends early, or a field is impossible.
    #[error("peer message of kind {0} has an impossible payload")]
    Payload(u8),
}

const RAFT: u8 = 1;
const FOUNDING: u8 = 2;
const FORWARD: u8 = 3;
const ANSWER: u8 = 4;
const CLOSED: u8 = 5;
const QUESTION: u8 = 6;
const OBJECTION: u8 = 7;
const SNAPSHOT_READ: u8 = 8;
const SNAPSHOT_PART: u8 = 9;
const HEARD: u8 = 10;
const SERVING: u8 = 11;

impl PeerMessage {
    /// The last of the log entries that this message carries, if it carries any.
    #[must_use]
    pub fn last_entry(&self) -> Option<LogIndex> {
        let Self::Raft(Message { content: Content::Append { entries, .. }, .. }) = self else {
            return None;
        };
        entries.last().map(|entry| entry.index)
    }

    /// Up to where the sender says that its log is durable and like the receiver's.
    #[must_use]
    pub fn acknowledged(&self) -> Option<LogIndex> {
        let Self::Raft(Message { content, .. }) = self else { return None };
        let Content::AppendAnswer { index, reject: false, .. } = content else { return None };
        Some(*index)
    }

    /// Appends the message's bytes to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Raft(message) => {
                out.put_u8(RAFT);
                message.encode(out);
            }
            Self::Founding(state) => {
                out.put_u8(FOUNDING);
                out.put_u8(match state {
                    Founding::Empty => 0,
                    Founding::Founding => 1,
                    Founding::Founded => 2,
                });
            }
            Self::Forward { sequence, frame } => {
                out.put_u8(FORWARD);
                out.put_u64_le(*sequence);
                out.put_slice(frame);
            }
            Self::Answer { sequence, frame } => {
                out.put_u8(ANSWER);
                out.put_u64_le(*sequence);
                out.put_slice(frame);
            }
            Self::Closed(broker) => {
                out.put_u8(CLOSED);
                put_broker(broker, out);
            }
            Self::Question { number, silent_ms, broker } => {
                out.put_u8(QUESTION);
                out.put_u64_le(*number);
                out.put_u32_le(*silent_ms);
                put_broker(broker, out);
            }
            Self::Objection { number, objects } => {
                out.put_u8(OBJECTION);
                out.put_u64_le(*number);
                out.put_u8(u8::from(*objects));
            }
            Self::Heard(beat) => {
                out.put_u8(HEARD);
                put_heartbeat(beat, out);
            }
            Self::Serving { serves, leases } => {
                out.put_u8(SERVING);
                out.put_u8(u8::from(*serves) | u8::from(*leases) << 1);
            }
            Self::SnapshotRead { index, offset } => {
                out.put_u8(SNAPSHOT_READ);
                out.put_u64_le(index.0);
                out.put_u64_le(*offset);
            }
            Self::SnapshotPart { index, offset, bytes } => {
                out.put_u8(SNAPSHOT_PART);
                out.put_u64_le(index.0);
                out.put_u64_le(*offset);
                out.put_slice(bytes);
            }
        }
    }

    /// Reads one message; `bytes` holds exactly that.
    ///
    /// # Errors
    /// [`PeerMessageError`] if they are no message of this version.
    pub fn decode(mut bytes: Bytes) -> Result<Self, PeerMessageError> {
        let kind = bytes.try_get_u8().map_err(|_short| PeerMessageError::Kind(0))?;
        let bad = PeerMessageError::Payload(kind);
        let short = |_| bad;
        let message = match kind {
            RAFT => Self::Raft(Message::decode(bytes).map_err(|_refused| bad)?),
            FOUNDING => Self::Founding(match (bytes.try_get_u8().map_err(short)?, bytes.len()) {
                (0, 0) => Founding::Empty,
                (1, 0) => Founding::Founding,
                (2, 0) => Founding::Founded,
                _ => return Err(bad),
            }),
            FORWARD => {
                Self::Forward { sequence: bytes.try_get_u64_le().map_err(short)?, frame: bytes }
            }
            ANSWER => {
                Self::Answer { sequence: bytes.try_get_u64_le().map_err(short)?, frame: bytes }
            }
            CLOSED => Self::Closed(get_broker(bytes).ok_or(bad)?),
            QUESTION => Self::Question {
                number: bytes.try_get_u64_le().map_err(short)?,
                silent_ms: bytes.try_get_u32_le().map_err(short)?,
                broker: get_broker(bytes).ok_or(bad)?,
            },
            OBJECTION => {
                let number = bytes.try_get_u64_le().map_err(short)?;
                let objects = match (bytes.try_get_u8().map_err(short)?, bytes.len()) {
                    (0, 0) => false,
                    (1, 0) => true,
                    _ => return Err(bad),
                };
                Self::Objection { number, objects }
            }
            HEARD => Self::Heard(get_heartbeat(bytes).ok_or(bad)?),
            SERVING => match (bytes.try_get_u8().map_err(short)?, bytes.len()) {
                (bits @ 0..4, 0) => Self::Serving { serves: bits & 1 != 0, leases: bits & 2 != 0 },
                _ => return Err(bad),
            },
            SNAPSHOT_READ => {
                let index = LogIndex(bytes.try_get_u64_le().map_err(short)?);
                let offset = bytes.try_get_u64_le().map_err(short)?;
                if !bytes.is_empty() {
                    return Err(bad);
                }
                Self::SnapshotRead { index, offset }
            }
            SNAPSHOT_PART => Self::SnapshotPart {
                index: LogIndex(bytes.try_get_u64_le().map_err(short)?),
                offset: bytes.try_get_u64_le().map_err(short)?,
                bytes,
            },
            unknown => return Err(PeerMessageError::Kind(unknown)),
        };
        Ok(message)
    }
}

/// Longest answer to a forwarded request, in bytes: what a link always has room for, behind a queue that is full.
pub const ANSWER_BYTES_MAX: usize = 4 * 1_024 * 1_024 - 1_024;

/// Names that come over the wire are shorter (`route.rs`). What is cut here never matches anything.
const NAME_BYTES_MAX: usize = 1_024;

fn put_broker(broker: &BrokerIdentity, out: &mut BytesMut) {
    out.put_i64_le(broker.id);
    put_name(&broker.cluster, out);
    out.put_slice(cut(&broker.set).as_bytes());
}

fn get_broker(mut bytes: Bytes) -> Option<BrokerIdentity> {
    let id = bytes.try_get_i64_le().ok()?;
    let cluster = get_name(&mut bytes)?;
    if bytes.len() > NAME_BYTES_MAX {
        return None;
    }
    let set = core::str::from_utf8(&bytes).ok()?;
    Some(BrokerIdentity { cluster, set: set.into(), id })
}

/// What a heartbeat leaves out is filled in as its reader would do.
fn put_heartbeat(beat: &BrokerHeartbeat, out: &mut BytesMut) {
    out.put_i32_le(beat.epoch);
    out.put_i64_le(beat.max_offset);
    out.put_i64_le(beat.confirm_offset);
    out.put_i64_le(beat.heartbeat_timeout_ms.unwrap_or(HEARTBEAT_TIMEOUT_MS_DEFAULT));
    out.put_i32_le(beat.election_priority);
    put_name(beat.broker_address.as_deref().unwrap_or_default(), out);
    out.put_i64_le(beat.broker_id.unwrap_or_default());
    put_name(beat.cluster_name.as_deref().unwrap_or_default(), out);
    out.put_slice(cut(beat.broker_name.as_deref().unwrap_or_default()).as_bytes());
}

fn get_heartbeat(mut bytes: Bytes) -> Option<Box<BrokerHeartbeat>> {
    let epoch = bytes.try_get_i32_le().ok()?;
    let max_offset = bytes.try_get_i64_le().ok()?;
    let confirm_offset = bytes.try_get_i64_le().ok()?;
    let timeout_ms = bytes.try_get_i64_le().ok()?;
    let election_priority = bytes.try_get_i32_le().ok()?;
    let address = get_name(&mut bytes)?;
    let BrokerIdentity { cluster, set, id } = get_broker(bytes)?;
    Some(Box::new(BrokerHeartbeat {
        cluster_name: Some(Text::copied(&cluster)),
        broker_address: Some(Text::copied(&address)),
        broker_name: Some(Text::copied(&set)),
        broker_id: Some(id),
        epoch,
        max_offset,
        confirm_offset,
        heartbeat_timeout_ms: Some(timeout_ms),
        election_priority,
    }))
}

fn put_name(name: &str, out: &mut BytesMut) {
    let name = cut(name);
    out.put_u16_le(u16::try_from(name.len()).expect("NAME_BYTES_MAX fits 16 bits"));
    out.put_slice(name.as_bytes());
}

fn get_name(bytes: &mut Bytes) -> Option<Box<str>> {
    let length = usize::from(bytes.try_get_u16_le().ok()?);
    if length > bytes.len().min(NAME_BYTES_MAX) {
        return None;
    }
    let name = bytes.split_to(length);
    core::str::from_utf8(&name).ok().map(Box::from)
}

fn cut(name: &str) -> &str {
    let (cut, _) = name.split_at(name.floor_char_boundary(NAME_BYTES_MAX));
    cut
}

#[cfg(test)]
mod tests;

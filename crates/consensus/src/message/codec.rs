//! The bytes of a message. Little endian; layout 1.
//!
//! ```text
//!  0  u8    layout version, 1        8   u64  from
//!  1  u8    kind                     16  u64  to
//!  2  u16   flags                    24  u64  term
//!  4  u32   zero                     32  ...  the kind's fields
//!
//!  kind                 flags            fields
//!  1 append                              index, log_term, commit, u32 count, u32 zero, entries
//!  2 append answer      reject           index, reject_hint, log_term, commit, request_snapshot
//!  3 vote               pre, transfer    index, log_term, commit, commit_term, i64 priority
//!  4 vote answer        pre, reject      commit, commit_term
//!  5 keepalive          context          commit, context
//!  6 keepalive answer   context          commit, context
//!  7 snapshot                            descriptor, see `SnapshotDescriptor`
//!  8 time-out now
//!  9 read index                          context
//! 10 read index answer                   index, context
//!
//!  entry    u64 term, u64 index, u8 kind (0 empty, 1 commands, 2 membership), 3 zeros,
//!           u32 length, bytes
//!  context  u64 peer, u64 boot nonce, u64 sequence
//!  flags    1 reject, 2 pre, 4 transfer, 8 context follows
//! ```
//!
//! Whether the values make sense together is not asked here but by the screen (D20).

use super::{Content, Message, ReadContext};
use crate::codec::{DecodeError, get_end, get_zeros};
use crate::settings::COMMAND_BYTES_MAX;
use crate::{Entry, EntryKind, LogIndex, PeerId, SnapshotDescriptor, Term};
use alloc::vec::Vec;
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Largest payload of an entry: one command of the largest size, and its length.
pub const ENTRY_BYTES_MAX: usize = COMMAND_BYTES_MAX + 4;

/// Largest message; an append of `APPEND_BYTES_MAX` stays far below it.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1_024 * 1_024;

const VERSION: u8 = 1;
const ENTRY_HEADER_BYTES: usize = 24;

const APPEND: u8 = 1;
const APPEND_ANSWER: u8 = 2;
const VOTE: u8 = 3;
const VOTE_ANSWER: u8 = 4;
const KEEPALIVE: u8 = 5;
const KEEPALIVE_ANSWER: u8 = 6;
const SNAPSHOT: u8 = 7;
const TIMEOUT_NOW: u8 = 8;
const READ_INDEX: u8 = 9;
const READ_INDEX_ANSWER: u8 = 10;

const REJECT: u16 = 1;
const PRE: u16 = 2;
const TRANSFER: u16 = 4;
const CONTEXT: u16 = 8;

impl Message {
    /// Appends the message's bytes.
    ///
    /// # Panics
    /// If an entry's payload is 4 GiB or more; [`ENTRY_BYTES_MAX`] keeps it far below.
    pub fn encode(&self, out: &mut BytesMut) {
        let (kind, flags) = kind_and_flags(&self.content);
        out.put_u8(VERSION);
        out.put_u8(kind);
        out.put_u16_le(flags);
        out.put_u32_le(0);
        put_all(out, &[self.from.0, self.to.0, self.term.0]);
        put_content(&self.content, out);
    }

    /// Reads what [`Message::encode`] wrote; the payloads of entries share `bytes`.
    ///
    /// # Errors
    /// Any [`DecodeError`]; bytes that no `encode` writes are refused.
    pub fn decode(mut bytes: Bytes) -> Result<Self, DecodeError> {
        at_most("message", bytes.len(), MESSAGE_BYTES_MAX, "MESSAGE_BYTES_MAX")?;
        let version = bytes.try_get_u8()?;
        if version != VERSION {
            return Err(DecodeError::Version { version });
        }
        let kind = bytes.try_get_u8()?;
        let mut flags = Flags(bytes.try_get_u16_le()?);
        get_zeros(&mut bytes, 4)?;
        let from = PeerId(bytes.try_get_u64_le()?);
        let to = PeerId(bytes.try_get_u64_le()?);
        let term = get_term(&mut bytes)?;
        let content = get_content(kind, &mut flags, &mut bytes)?;
        flags.end()?;
        get_end(&bytes)?;
        Ok(Self { from, to, term, content })
    }
}

fn kind_and_flags(content: &Content) -> (u8, u16) {
    let when = |is_set: bool, flag: u16| if is_set { flag } else { 0 };
    match content {
        Content::Append { .. } => (APPEND, 0),
        Content::AppendAnswer { reject, .. } => (APPEND_ANSWER, when(*reject, REJECT)),
        Content::Vote { is_pre, is_transfer, .. } => {
            (VOTE, when(*is_pre, PRE) | when(*is_transfer, TRANSFER))
        }
        Content::VoteAnswer { is_pre, reject, .. } => {
            (VOTE_ANSWER, when(*is_pre, PRE) | when(*reject, REJECT))
        }
        Content::Keepalive { context, .. } => (KEEPALIVE, when(context.is_some(), CONTEXT)),
        Content::KeepaliveAnswer { context, .. } => {
            (KEEPALIVE_ANSWER, when(context.is_some(), CONTEXT))
        }
        Content::Snapshot { .. } => (SNAPSHOT, 0),
        Content::TimeoutNow => (TIMEOUT_NOW, 0),
        Content::ReadIndex { .. } => (READ_INDEX, 0),
        Content::ReadIndexAnswer { .. } => (READ_INDEX_ANSWER, 0),
    }
}

fn put_content(content: &Content, out: &mut BytesMut) {
    match content {
        Content::Append { index, log_term, commit, entries } => {
            put_all(out, &[index.0, log_term.0, commit.0]);
            put_entries(entries, out);
        }
        Content::AppendAnswer {
            index, reject_hint, log_term, commit, request_snapshot, ..
        } => {
            put_all(out, &[index.0, reject_hint.0, log_term.0, commit.0, request_snapshot.0]);
        }
        Content::Vote { index, log_term, commit, commit_term, priority, .. } => {
            put_all(out, &[index.0, log_term.0, commit.0, commit_term.0]);
            out.put_i64_le(*priority);
        }
        Content::VoteAnswer { commit, commit_term, .. } => put_all(out, &[commit.0, commit_term.0]),
        Content::Keepalive { commit, context } | Content::KeepaliveAnswer { commit, context } => {
            out.put_u64_le(commit.0);
            context.iter().for_each(|context| put_context(*context, out));
        }
        Content::Snapshot { descriptor } => descriptor.encode(out),
        Content::TimeoutNow => {}
        Content::ReadIndex { context } => put_context(*context, out),
        Content::ReadIndexAnswer { index, context } => {
            out.put_u64_le(index.0);
            put_context(*context, out);
        }
    }
}

fn get_content(kind: u8, flags: &mut Flags, from: &mut Bytes) -> Result<Content, DecodeError> {
    Ok(match kind {
        APPEND => Content::Append {
            index: get_index(from)?,
            log_term: get_term(from)?,
            commit: get_index(from)?,
            entries: get_entries(from)?,
        },
        APPEND_ANSWER => Content::AppendAnswer {
            reject: flags.take(REJECT),
            index: get_index(from)?,
            reject_hint: get_index(from)?,
            log_term: get_term(from)?,
            commit: get_index(from)?,
            request_snapshot: get_index(from)?,
        },
        VOTE => Content::Vote {
            is_pre: flags.take(PRE),
            is_transfer: flags.take(TRANSFER),
            index: get_index(from)?,
            log_term: get_term(from)?,
            commit: get_index(from)?,
            commit_term: get_term(from)?,
            priority: from.try_get_i64_le()?,
        },
        VOTE_ANSWER => Content::VoteAnswer {
            is_pre: flags.take(PRE),
            reject: flags.take(REJECT),
            commit: get_index(from)?,
            commit_term: get_term(from)?,
        },
        KEEPALIVE => {
            Content::Keepalive { commit: get_index(from)?, context: get_optional(flags, from)? }
        }
        KEEPALIVE_ANSWER => Content::KeepaliveAnswer {
            commit: get_index(from)?,
            context: get_optional(flags, from)?,
        },
        SNAPSHOT => {
            let descriptor = SnapshotDescriptor::decode(from)?;
            from.clear();
            Content::Snapshot { descriptor }
        }
        TIMEOUT_NOW => Content::TimeoutNow,
        READ_INDEX => Content::ReadIndex { context: get_context(from)? },
        READ_INDEX_ANSWER => {
            Content::ReadIndexAnswer { index: get_index(from)?, context: get_context(from)? }
        }
        kind => return Err(DecodeError::Value { field: "kind", value: kind.into() }),
    })
}

fn put_all(out: &mut BytesMut, numbers: &[u64]) {
    numbers.iter().for_each(|number| out.put_u64_le(*number));
}

fn get_index(from: &mut Bytes) -> Result<LogIndex, DecodeError> {
    Ok(LogIndex(from.try_get_u64_le()?))
}

fn get_term(from: &mut Bytes) -> Result<Term, DecodeError> {
    Ok(Term(from.try_get_u64_le()?))
}

fn put_entries(entries: &[Entry], out: &mut BytesMut) {
    let bytes: usize = entries.iter().map(|entry| ENTRY_HEADER_BYTES + entry.bytes.len()).sum();
    out.reserve(8 + bytes);
    out.put_u32_le(u32::try_from(entries.len()).expect("an append fits MESSAGE_BYTES_MAX"));
    out.put_u32_le(0);
    for entry in entries {
        put_all(out, &[entry.term.0, entry.index.0]);
        out.put_u8(match entry.kind {
            EntryKind::Empty => 0,
            EntryKind::Commands => 1,
            EntryKind::Membership => 2,
        });
        out.put_bytes(0, 3);
        out.put_u32_le(u32::try_from(entry.bytes.len()).expect("ENTRY_BYTES_MAX fits 32 bits"));
        out.put_slice(&entry.bytes);
    }
}

fn get_entries(from: &mut Bytes) -> Result<Vec<Entry>, DecodeError> {
    let count = from.try_get_u32_le()? as usize;
    get_zeros(from, 4)?;
    // Every entry needs its header, so the bytes that are there bound what is allocated.
    if count > from.remaining() / ENTRY_HEADER_BYTES {
        return Err(DecodeError::Short);
    }
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let term = get_term(from)?;
        let index = get_index(from)?;
        let kind = match from.try_get_u8()? {
            0 => EntryKind::Empty,
            1 => EntryKind::Commands,
            2 => EntryKind::Membership,
            kind => return Err(DecodeError::Value { field: "entry kind", value: kind.into() }),
        };
        get_zeros(from, 3)?;
        let length = from.try_get_u32_le()? as usize;
        at_most("entry", length, ENTRY_BYTES_MAX, "ENTRY_BYTES_MAX")?;
        if length > from.remaining() {
            return Err(DecodeError::Short);
        }
        entries.push(Entry { term, index, kind, bytes: from.split_to(length) });
    }
    Ok(entries)
}

fn put_context(context: ReadContext, out: &mut BytesMut) {
    put_all(out, &[context.peer.0, context.boot_nonce, context.sequence]);
}

fn get_context(from: &mut Bytes) -> Result<ReadContext, DecodeError> {
    Ok(ReadContext {
        peer: PeerId(from.try_get_u64_le()?),
        boot_nonce: from.try_get_u64_le()?,
        sequence: from.try_get_u64_le()?,
    })
}

fn get_optional(flags: &mut Flags, from: &mut Bytes) -> Result<Option<ReadContext>, DecodeError> {
    if flags.take(CONTEXT) { get_context(from).map(Some) } else { Ok(None) }
}

fn at_most(
    field: &'static str,
    value: usize,
    limit: usize,
    limit_name: &'static str,
) -> Result<(), DecodeError> {
    if value <= limit {
        return Ok(());
    }
    let (value, limit) = (value as u64, limit as u64);
    Err(DecodeError::TooLarge { field, value, limit, limit_name })
}

/// The flags that are not read yet: a flag that its kind does not know is an error.
struct Flags(u16);

impl Flags {
    fn take(&mut self, flag: u16) -> bool {
        let is_set = self.0 & flag != 0;
        self.0 &= !flag;
        is_set
    }

    fn end(&self) -> Result<(), DecodeError> {
        match self.0 {
            0 => Ok(()),
            flags => Err(DecodeError::Value { field: "flags", value: flags.into() }),
        }
    }
}

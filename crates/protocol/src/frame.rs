//! Frames: how many bytes belong together, and what is header and what is body.
//!
//! ```text
//!  0        4      5             8                8 + header           4 + total
//!  +--------+------+-------------+----------------+--------------------+
//!  | total  | type | header size | header         | body               |
//!  | u32    | u8   | u24         | JSON or binary | opaque, often none |
//!  +--------+------+-------------+----------------+--------------------+
//!            total counts from here; everything is big endian
//! ```
//!
//! A frame that breaks a rule here ends the connection, as upstream does: nothing behind it can be
//! trusted, and nobody could match an answer. The rules are checked as soon as their bytes are
//! there, before anything is reserved for the rest.
//!
//! Source: upstream `NettyDecoder` and `RemotingCommand#decode`.

use crate::ExtFields;
use crate::header::{Header, HeaderEncoding, HeaderView};
use crate::json::JsonError;
use bytes::{BufMut, Bytes, BytesMut};

/// Most bytes of a frame, the four of its length included; upstream's `frameMaxLength`.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Most bytes of a header that is read. Upstream has no limit of its own; this is far above every
/// honest header, and leaves room to refuse an overlong field with an answer instead of a cut.
pub const HEADER_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Most entries of `extFields` that are read.
pub const EXT_FIELDS_MAX: usize = 256;

/// Deepest nesting of JSON that is read, in headers and in bodies.
pub const JSON_DEPTH_MAX: usize = 16;

/// Longest body that fits a frame with any header that is read. Who makes longer ones must say so
/// to the caller instead: the peer would cut the connection.
pub const BODY_BYTES_MAX: usize = FRAME_BYTES_MAX - HEADER_BYTES_MAX - PREFIX_BYTES;

/// Length, type and header size.
const PREFIX_BYTES: usize = 8;

/// The length itself, which it does not count.
const LENGTH_BYTES: usize = 4;

/// Largest header size that its 24 bits hold.
const HEADER_SIZE_MAX: usize = 0x00ff_ffff;

/// Why the bytes of a connection are no frames; it must be closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length leaves no room for the type and the header size.
    #[error("frame length {0} is below 4")]
    TooShort(u32),
    /// The length is above [`FRAME_BYTES_MAX`], or negative as Java reads it.
    #[error("frame length {0} is above FRAME_BYTES_MAX ({FRAME_BYTES_MAX}) or negative")]
    TooLong(u32),
    /// The type is neither 0 (JSON) nor 1 (binary).
    #[error("header type {0} is neither JSON (0) nor binary (1)")]
    UnknownHeaderType(u8),
    /// The header is longer than the frame that holds it.
    #[error("header of {0} bytes is longer than its frame")]
    HeaderBeyondFrame(usize),
    /// The header is above [`HEADER_BYTES_MAX`].
    #[error("header of {0} bytes is above HEADER_BYTES_MAX ({HEADER_BYTES_MAX})")]
    HeaderTooLong(usize),
    /// There is no header.
    #[error("header is empty")]
    HeaderEmpty,
    /// [`Frame::decode`] was given less or more than one frame.
    #[error("{got} bytes where the length says {expected}")]
    WrongLength {
        /// Bytes given.
        got: usize,
        /// Bytes that the frame claims.
        expected: usize,
    },
    /// Text in the header is not UTF-8.
    #[error("header is not UTF-8")]
    NotUtf8,
    /// The header is not the JSON object that it should be.
    #[error("JSON header: {0}")]
    Json(&'static str),
    /// A length in a binary header points outside of what holds it.
    #[error("binary header: {0} is cut off or has an impossible length")]
    Binary(&'static str),
    /// More than [`EXT_FIELDS_MAX`] entries.
    #[error("more than EXT_FIELDS_MAX ({EXT_FIELDS_MAX}) extFields")]
    TooManyExtFields,
}

impl From<JsonError> for FrameError {
    fn from(error: JsonError) -> Self {
        Self::Json(match error {
            // Of all that stands in a header only this list has a limit.
            JsonError::TooLong => return Self::TooManyExtFields,
            JsonError::Truncated => "ends early",
            JsonError::Unexpected => "unexpected character",
            JsonError::TooDeep => "nested deeper than JSON_DEPTH_MAX",
            JsonError::WrongType => "a member of the wrong type",
        })
    }
}

/// One command of the wire, request or response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What the command is.
    pub header: Header,
    /// What it carries; empty where there is none, which the wire does not distinguish.
    pub body: Bytes,
}

/// Splits one frame off the front of `buffer`, its four length bytes included.
///
/// `Ok(None)`: more bytes are needed. The result does not depend on how the bytes arrived in pieces.
///
/// # Errors
/// As soon as the bytes of the length (4), or of the type and header size (8), are there and wrong;
/// `buffer` is then left as it is and nothing was reserved.
///
/// Source: upstream `NettyDecoder`, a `LengthFieldBasedFrameDecoder` of 16 MiB.
pub fn split(buffer: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
    let Some(prefix) = Prefix::read(buffer)? else { return Ok(None) };
    if buffer.len() < prefix.frame_bytes {
        return Ok(None);
    }
    Ok(Some(buffer.split_to(prefix.frame_bytes).freeze()))
}

/// Whether the first frame in `buffer` is there to the end of its header, so that only body is missing.
///
/// `false` too for bytes that [`split`] refuses.
#[must_use]
pub fn has_header(buffer: &[u8]) -> bool {
    let prefix = Prefix::read(buffer).ok().flatten();
    prefix.is_some_and(|prefix| buffer.len() >= PREFIX_BYTES.saturating_add(prefix.header_bytes))
}

/// The header of the first frame in `buffer` and how long the body behind it will be, as soon as the header is there to
/// its end; `None` before that.
///
/// For connections whose headers say something about the body: what contradicts it is found before the body comes.
///
/// # Errors
/// As [`split`] and [`Frame::decode`].
pub fn header_ahead(buffer: &[u8]) -> Result<Option<(Header, usize)>, FrameError> {
    let Some(prefix) = Prefix::read(buffer)? else { return Ok(None) };
    let header_end = PREFIX_BYTES.saturating_add(prefix.header_bytes);
    let Some(header) = buffer.get(PREFIX_BYTES..header_end) else { return Ok(None) };
    let header = Header::decode(Bytes::copy_from_slice(header), prefix.encoding)?;
    Ok(Some((header, prefix.frame_bytes.saturating_sub(header_end))))
}

/// What the first bytes of a frame say, checked as far as they are there.
struct Prefix {
    /// Of the whole frame, length bytes included.
    frame_bytes: usize,
    header_bytes: usize,
    encoding: HeaderEncoding,
}

impl Prefix {
    fn read(bytes: &[u8]) -> Result<Option<Self>, FrameError> {
        let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let total = u32::from_be_bytes(*length);
        if total < 4 {
            return Err(FrameError::TooShort(total));
        }
        let payload_bytes = usize::try_from(total).unwrap_or(usize::MAX);
        let frame_bytes = payload_bytes.saturating_add(LENGTH_BYTES);
        if frame_bytes > FRAME_BYTES_MAX {
            return Err(FrameError::TooLong(total));
        }
        let Some(&[kind, high, middle, low]) = rest.first_chunk::<4>() else { return Ok(None) };
        let encoding = match kind {
            0 => HeaderEncoding::Json,
            1 => HeaderEncoding::Binary,
            _ => return Err(FrameError::UnknownHeaderType(kind)),
        };
        let header_bytes = u32::from_be_bytes([0, high, middle, low]);
        let header_bytes = usize::try_from(header_bytes).unwrap_or(usize::MAX);
        if header_bytes > payload_bytes.saturating_sub(4) {
            return Err(FrameError::HeaderBeyondFrame(header_bytes));
        }
        if header_bytes > HEADER_BYTES_MAX {
            return Err(FrameError::HeaderTooLong(header_bytes));
        }
        if header_bytes == 0 {
            return Err(FrameError::HeaderEmpty);
        }
        Ok(Some(Self { frame_bytes, header_bytes, encoding }))
    }
}

impl Frame {
    /// Reads one whole frame, as [`split`] gives it. Header fields and body are slices of it.
    ///
    /// # Errors
    /// Where the lengths, the type or the header are not what upstream would read.
    ///
    /// Source: upstream `RemotingCommand#decode`, `#headerDecode`.
    pub fn decode(mut frame: Bytes) -> Result<Self, FrameError> {
        let wrong_length = |expected| FrameError::WrongLength { got: frame.len(), expected };
        let prefix = Prefix::read(&frame)?.ok_or_else(|| wrong_length(PREFIX_BYTES))?;
        if frame.len() != prefix.frame_bytes {
            return Err(wrong_length(prefix.frame_bytes));
        }
        let body = frame.split_off(PREFIX_BYTES.saturating_add(prefix.header_bytes));
        let header = Header::decode(frame.split_off(PREFIX_BYTES), prefix.encoding)?;
        Ok(Self { header, body })
    }

    /// Appends the whole frame to `out`.
    ///
    /// The header is written in its `encoding`, except that one which binary cannot express (a code
    /// or version beyond 16 bits) is written as JSON: readers go by the type byte. The lengths are
    /// always true; a frame above [`FRAME_BYTES_MAX`] is one that the peer refuses, so keep bodies
    /// within [`BODY_BYTES_MAX`].
    pub fn encode(&self, out: &mut BytesMut) {
        encode(&self.header.view(), &self.body, out);
    }
}

/// Appends a frame of `header` and `body`; see [`Frame::encode`].
pub(crate) fn encode(header: &HeaderView<'_>, body: &[u8], out: &mut BytesMut) {
    let start = out.len();
    // Most headers are below 512 bytes; one reservation for prefix, header and body.
    out.reserve(body.len().saturating_add(512));
    out.put_u64(0);
    let mut encoding = header.encode(out);
    let header_start = start.saturating_add(PREFIX_BYTES);
    let mut header_bytes = out.len().saturating_sub(header_start);
    if header_bytes > HEADER_SIZE_MAX {
        // 24 bits hold no such size. Code and opaque still reach the peer.
        out.truncate(header_start);
        let bare = HeaderView { remark: None, ext: &ExtFields::new(), ..*header };
        encoding = bare.encode(out);
        header_bytes = out.len().saturating_sub(header_start);
    }
    out.extend_from_slice(body);
    let total = out.len().saturating_sub(start).saturating_sub(LENGTH_BYTES);
    let total = u32::try_from(total).unwrap_or(u32::MAX);
    let header_bytes = u32::try_from(header_bytes).unwrap_or(u32::MAX);
    let [_, high, middle, low] = header_bytes.to_be_bytes();
    let [a, b, c, d] = total.to_be_bytes();
    let prefix = [a, b, c, d, encoding.type_byte(), high, middle, low];
    if let Some(place) = out.get_mut(start..header_start) {
        place.copy_from_slice(&prefix);
    }
}

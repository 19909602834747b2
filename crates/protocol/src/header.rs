//! The header of a command: what it is, whose answer it is, and its fields.
//!
//! | Member | JSON | Binary | Meaning |
//! |---|---|---|---|
//! | `code` | number | i16 | request or response code |
//! | `language` | name | u8 | [`Language`]; nothing depends on it |
//! | `version` | number | i16 | ordinal of the peer's release |
//! | `opaque` | number | i32 | echoed in the answer; matches the two |
//! | `flag` | number | i32 | [`FLAG_RESPONSE`], [`FLAG_ONE_WAY`] |
//! | `remark` | string | i32 + bytes | free text; errors in answers |
//! | `extFields` | object | i32 + entries | [`ExtFields`] |
//!
//! Not here: what a code means, and which fields it has.
//!
//! Source: upstream `RemotingCommand`.

mod binary;
mod json;

use crate::frame::FrameError;
use crate::{ExtFields, Text};
use bytes::{Bytes, BytesMut};

/// Bit of [`Header::flag`]: an answer, not a request.
pub const FLAG_RESPONSE: i32 = 1;

/// Bit of [`Header::flag`]: nobody waits for an answer, not even for an error.
pub const FLAG_ONE_WAY: i32 = 2;

/// Version of everything we write: that of a stand-alone upstream controller, which sets none. A
/// server sends `GO_AWAY` only to versions that are larger.
const OUR_VERSION: i32 = 0;

/// How a header stands on the wire; the type byte of the frame tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeaderEncoding {
    /// Type 0, a JSON object; what everybody sends unless told otherwise.
    #[default]
    Json,
    /// Type 1, fixed fields; `ROCKETMQ` in upstream's settings.
    Binary,
}

impl HeaderEncoding {
    pub(crate) fn type_byte(self) -> u8 {
        match self {
            Self::Json => 0,
            Self::Binary => 1,
        }
    }
}

/// The language of the peer's program, as a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Language(pub u8);

impl Language {
    /// What we write, as upstream does.
    pub const JAVA: Self = Self(0);
    /// A name or nothing where a language should be.
    pub const UNKNOWN: Self = Self(u8::MAX);

    /// Names in the order of their codes.
    const NAMES: [&str; 14] = [
        "JAVA", "CPP", "DOTNET", "PYTHON", "DELPHI", "ERLANG", "RUBY", "OTHER", "HTTP", "GO",
        "PHP", "OMS", "RUST", "NODE_JS",
    ];

    /// The name in a JSON header, if the code has one.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Self::NAMES.get(usize::from(self.0)).copied()
    }

    /// The language of that name, or [`Self::UNKNOWN`].
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        Self::from_bytes(name.as_bytes())
    }

    fn from_bytes(name: &[u8]) -> Self {
        let mut codes = (0_u8..).zip(Self::NAMES);
        let found = codes.find(|&(_, known)| known.as_bytes() == name);
        found.map_or(Self::UNKNOWN, |(code, _)| Self(code))
    }
}

/// The header of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Request code ([`crate::code`]) or response code ([`crate::response_code`]).
    pub code: i32,
    /// The peer's language.
    pub language: Language,
    /// Ordinal of the peer's release.
    pub version: i32,
    /// Number of the request, echoed in its answer; may be negative, may repeat.
    pub opaque: i32,
    /// [`FLAG_RESPONSE`] and [`FLAG_ONE_WAY`].
    pub flag: i32,
    /// Free text. An empty one and none are the same in a binary header.
    pub remark: Option<Text>,
    /// The fields.
    pub ext: ExtFields,
    /// How it stood, or shall stand, on the wire.
    pub encoding: HeaderEncoding,
}

impl Header {
    /// A request in our own name.
    #[must_use]
    pub fn request(
        code: i32,
        opaque: i32,
        flag: i32,
        ext: ExtFields,
        encoding: HeaderEncoding,
    ) -> Self {
        let (language, version) = (Language::JAVA, OUR_VERSION);
        Self { code, language, version, opaque, flag, remark: None, ext, encoding }
    }

    /// The frame answers a request.
    #[must_use]
    pub fn is_response(&self) -> bool {
        self.flag & FLAG_RESPONSE != 0
    }

    /// Nothing may be written back, not even an error.
    #[must_use]
    pub fn is_one_way(&self) -> bool {
        self.flag & FLAG_ONE_WAY != 0
    }

    /// Reads a header of at most `HEADER_BYTES_MAX` bytes.
    pub(crate) fn decode(bytes: Bytes, encoding: HeaderEncoding) -> Result<Self, FrameError> {
        match encoding {
            HeaderEncoding::Json => json::decode(bytes),
            HeaderEncoding::Binary => binary::decode(bytes),
        }
    }

    pub(crate) fn view(&self) -> HeaderView<'_> {
        HeaderView {
            code: self.code,
            language: self.language,
            version: self.version,
            opaque: self.opaque,
            flag: self.flag,
            remark: self.remark.as_ref(),
            ext: &self.ext,
            encoding: self.encoding,
        }
    }
}

/// A header to write, whose parts belong to somebody else.
#[derive(Clone, Copy)]
pub(crate) struct HeaderView<'a> {
    pub(crate) code: i32,
    pub(crate) language: Language,
    pub(crate) version: i32,
    pub(crate) opaque: i32,
    pub(crate) flag: i32,
    pub(crate) remark: Option<&'a Text>,
    pub(crate) ext: &'a ExtFields,
    pub(crate) encoding: HeaderEncoding,
}

impl<'a> HeaderView<'a> {
    /// An answer in our own name.
    pub(crate) fn response(
        code: i32,
        opaque: i32,
        remark: Option<&'a Text>,
        ext: &'a ExtFields,
        encoding: HeaderEncoding,
    ) -> Self {
        let (language, version) = (Language::JAVA, OUR_VERSION);
        Self { code, language, version, opaque, flag: FLAG_RESPONSE, remark, ext, encoding }
    }

    /// Appends the header and tells in which encoding: binary falls back to JSON where it lacks the
    /// room for a number or a key.
    pub(crate) fn encode(&self, out: &mut BytesMut) -> HeaderEncoding {
        let wants_binary = self.encoding == HeaderEncoding::Binary;
        if wants_binary && binary::encode(self, out).is_some() {
            return HeaderEncoding::Binary;
        }
        json::encode(self, out);
        HeaderEncoding::Json
    }
}

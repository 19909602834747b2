//! The binary header.
//!
//! ```text
//!  code  language  version  opaque  flag   remark               extFields
//!  i16   u8        i16      i32     i32    i32 length, bytes    i32 length of the block, entries
//!
//!  entry:  i16 key length, key, i32 value length, value
//! ```
//!
//! Length 0 means null: an entry with an empty value reads as no entry. A length that is negative,
//! or reaches beyond what holds it, ends the connection; upstream reads on into whatever follows in
//! some of these cases, which we do not. Bytes behind the block are ignored, as upstream does.
//!
//! Source: upstream `RocketMQSerializable`.

use super::{Header, HeaderEncoding, HeaderView, Language};
use crate::Text;
use crate::ext::{Collected, Collector};
use crate::frame::FrameError;
use bytes::{BufMut, Bytes, BytesMut};

pub(super) fn decode(bytes: Bytes) -> Result<Header, FrameError> {
    let mut reader = Reader { rest: &bytes };
    let code = i16::from_be_bytes(reader.array("code")?);
    let [language] = reader.array("language")?;
    let version = i16::from_be_bytes(reader.array("version")?);
    let opaque = i32::from_be_bytes(reader.array("opaque")?);
    let flag = i32::from_be_bytes(reader.array("flag")?);
    let remark_length = i32::from_be_bytes(reader.array("remark")?);
    let remark = reader.text(remark_length, "remark")?;
    let remark = (!remark.is_empty()).then(|| Text::slice_of(&bytes, remark.as_bytes()));
    let collected = entries(&mut reader, &bytes)?;
    Ok(Header {
        code: code.into(),
        language: Language(language),
        version: version.into(),
        opaque,
        flag,
        remark,
        ext: collected.into_fields(bytes),
        encoding: HeaderEncoding::Binary,
    })
}

fn entries(reader: &mut Reader<'_>, header: &[u8]) -> Result<Collected, FrameError> {
    let mut fields = Collector::new(header);
    let block_length = i32::from_be_bytes(reader.array("extFields")?);
    // Upstream reads a negative length as "no fields".
    let mut block = Reader { rest: reader.take(block_length.max(0), "extFields")? };
    while !block.rest.is_empty() {
        let key_length = i16::from_be_bytes(block.array("key of extFields")?);
        let key = block.text(key_length.into(), "key of extFields")?;
        let value_length = i32::from_be_bytes(block.array("value of extFields")?);
        let value = block.text(value_length, "value of extFields")?;
        let has_room = match (key, value) {
            (key, "") => fields.forget(key.as_bytes()),
            ("", _) => true,
            (key, value) => fields.push(key.as_bytes(), value.as_bytes()),
        };
        if !has_room {
            return Err(FrameError::TooManyExtFields);
        }
    }
    Ok(fields.finish())
}

/// What is left of a header.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], FrameError> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(FrameError::Binary(what))?;
        self.rest = rest;
        Ok(*array)
    }

    fn take(&mut self, length: i32, what: &'static str) -> Result<&'a [u8], FrameError> {
        let parts = usize::try_from(length).ok().and_then(|at| self.rest.split_at_checked(at));
        let (taken, rest) = parts.ok_or(FrameError::Binary(what))?;
        self.rest = rest;
        Ok(taken)
    }

    fn text(&mut self, length: i32, what: &'static str) -> Result<&'a str, FrameError> {
        core::str::from_utf8(self.take(length, what)?).or(Err(FrameError::NotUtf8))
    }
}

/// Appends the header, or nothing if a number or a key does not fit its field.
pub(super) fn encode(header: &HeaderView<'_>, out: &mut BytesMut) -> Option<()> {
    let code = i16::try_from(header.code).ok()?;
    let version = i16::try_from(header.version).ok()?;
    let remark = header.remark.map_or(&b""[..], Text::as_bytes);
    let mut block_bytes = 0_usize;
    for (key, value) in header.ext.iter_bytes() {
        i16::try_from(key.len()).ok()?;
        i32::try_from(value.len()).ok()?;
        block_bytes =
            block_bytes.checked_add(6)?.checked_add(key.len())?.checked_add(value.len())?;
    }
    let block_length = i32::try_from(block_bytes).ok()?;
    let remark_length = i32::try_from(remark.len()).ok()?;
    out.put_i16(code);
    out.put_u8(header.language.0);
    out.put_i16(version);
    out.put_i32(header.opaque);
    out.put_i32(header.flag);
    out.put_i32(remark_length);
    out.extend_from_slice(remark);
    out.put_i32(block_length);
    for (key, value) in header.ext.iter_bytes() {
        out.put_i16(i16::try_from(key.len()).ok()?);
        out.extend_from_slice(key);
        out.put_i32(i32::try_from(value.len()).ok()?);
        out.extend_from_slice(value);
    }
    Some(())
}

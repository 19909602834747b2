//! The JSON header: read in any order and with leniency, written as upstream does.
//!
//! ```text
//! {"code":904,"extFields":{..},"flag":2,"language":"JAVA","opaque":9,"remark":"..",
//!  "serializeTypeCurrentRPC":"JSON","version":513}
//! ```
//!
//! Members are written in this order, without white space, null ones left out. Reading takes each
//! member the way fastjson converts it: a number may stand as a string, a value of `extFields` may
//! be anything and becomes its text, a member that is missing or null keeps its default, unknown
//! ones are skipped, and the last of two with one name counts.
//!
//! One pass and one allocation (the list of fields) for a heartbeat; see `ext.rs`.

use super::{Header, HeaderEncoding, HeaderView, Language};
use crate::ext::Collector;
use crate::frame::FrameError;
use crate::json::{JsonError, RawString, Scanner, Value, write_number, write_string};
use crate::{ExtFields, Text, java_number};
use bytes::{BufMut, Bytes, BytesMut};

pub(super) fn decode(bytes: Bytes) -> Result<Header, FrameError> {
    let text = core::str::from_utf8(&bytes).or(Err(FrameError::NotUtf8))?;
    let mut header = Header {
        code: 0,
        language: Language::UNKNOWN,
        version: 0,
        opaque: 0,
        flag: 0,
        remark: None,
        ext: ExtFields::new(),
        encoding: HeaderEncoding::Json,
    };
    let mut fields = Collector::new(text.as_bytes());
    // An error of the list has no place in the scanner's; it is kept here on the way out.
    let mut failure = None;
    let mut scanner = Scanner::new(text);
    let outcome = scanner.members(|scanner, key| {
        match &*key.bytes() {
            b"code" => header.code = integer(scanner.value()?)?,
            b"extFields" => ext_fields(scanner, &mut fields, &mut failure)?,
            b"flag" => header.flag = integer(scanner.value()?)?,
            b"language" => header.language = language(scanner.value()?),
            b"opaque" => header.opaque = integer(scanner.value()?)?,
            b"remark" => header.remark = remark(scanner.value()?, &bytes),
            b"version" => header.version = integer(scanner.value()?)?,
            _ => {
                scanner.value()?;
            }
        }
        Ok(())
    });
    let outcome = outcome.and_then(|()| scanner.end());
    outcome.map_err(|error| failure.unwrap_or_else(|| error.into()))?;
    let collected = fields.finish();
    header.ext = collected.into_fields(bytes);
    Ok(header)
}

fn ext_fields<'a>(
    scanner: &mut Scanner<'a>,
    fields: &mut Collector<'a>,
    failure: &mut Option<FrameError>,
) -> Result<(), JsonError> {
    fields.clear();
    if scanner.is_null()? {
        return Ok(());
    }
    scanner.members(|scanner, key| {
        let value = scanner.value()?;
        let key = key.bytes();
        let outcome = if value == Value::Null {
            fields.forget(&key)
        } else {
            fields.push(&key, &value.bytes())
        };
        outcome.map_err(|error| {
            *failure = Some(error);
            JsonError::TooLong
        })
    })
}

/// A number, or one in a string; fastjson cuts a fraction off. Missing is 0, and so is null.
fn integer(value: Value<'_>) -> Result<i32, JsonError> {
    let text = match value {
        Value::Null => return Ok(0),
        Value::Bare(text) => text,
        Value::String(RawString { raw, .. }) => return number(raw),
        Value::Nested(_) => return Err(JsonError::WrongType),
    };
    let whole = text.split(|&byte| byte == b'.').next();
    number(whole.unwrap_or_default())
}

fn number(digits: &[u8]) -> Result<i32, JsonError> {
    java_number::int(digits).ok_or(JsonError::WrongType)
}

fn language(value: Value<'_>) -> Language {
    Language::from_name(&value.to_text())
}

fn remark(value: Value<'_>, header: &Bytes) -> Option<Text> {
    (value != Value::Null).then(|| Text::slice_of(header, &value.bytes()))
}

pub(super) fn encode(header: &HeaderView<'_>, out: &mut BytesMut) {
    out.extend_from_slice(b"{\"code\":");
    write_number(out, header.code.into());
    if !header.ext.is_empty() {
        let mut separator: &[u8] = b",\"extFields\":{";
        for (key, value) in header.ext.iter_bytes() {
            out.extend_from_slice(separator);
            write_string(out, key);
            out.put_u8(b':');
            write_string(out, value);
            separator = b",";
        }
        out.put_u8(b'}');
    }
    out.extend_from_slice(b",\"flag\":");
    write_number(out, header.flag.into());
    if let Some(name) = header.language.name() {
        out.extend_from_slice(b",\"language\":");
        write_string(out, name.as_bytes());
    }
    out.extend_from_slice(b",\"opaque\":");
    write_number(out, header.opaque.into());
    if let Some(remark) = header.remark {
        out.extend_from_slice(b",\"remark\":");
        write_string(out, remark.as_bytes());
    }
    out.extend_from_slice(b",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":");
    write_number(out, header.version.into());
    out.put_u8(b'}');
}

//! Reads as little of an answer as proves it right: its length, code 0, and the opaque.
//!
//! Both controllers write JSON headers with sorted members, so a good answer begins with
//! `{"code":0,` and its opaque stands where it stood before. An answer that looks different is
//! decoded by `protocol`, which is slow and right; so a server may write its header in any order
//! and either encoding, and pays nothing but our time.

use bytes::Bytes;
use protocol::Frame;

use crate::generator::slot::{HEAD_BYTES, OPAQUE_DIGITS, find_opaque, header_bytes};

const GOOD_HEADER: &[u8] = b"{\"code\":0,";
const EPOCH_KEY: &[u8] = b"\"syncStateSetEpoch\":";

/// An answer that ends the measurement.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadAnswer {
    /// The server refused the request.
    #[error("code {code}, remark {remark:?}")]
    Code {
        /// The response code.
        code: i32,
        /// The remark, empty if there was none.
        remark: String,
    },
    /// The answer belongs to another request, on a connection that has only one in flight.
    #[error("the answer's opaque is {got}, sent was {sent}")]
    Opaque {
        /// What the answer says.
        got: i32,
        /// What was sent.
        sent: String,
    },
    /// The bytes are no frame, or no answer to an ALTER where one was due.
    #[error("{0}")]
    Malformed(String),
}

/// Checks the answers of one connection; remembers where the last one had its opaque.
#[derive(Debug, Default)]
pub(crate) struct AnswerReader {
    opaque_at: usize,
}

impl AnswerReader {
    /// Accepts a whole `frame` that answers the request with the digits `opaque` by code 0.
    ///
    /// # Errors
    /// - [`BadAnswer::Code`]: any other code.
    /// - [`BadAnswer::Opaque`]: the answer to another request.
    /// - [`BadAnswer::Malformed`]: not a frame.
    pub(crate) fn check(&mut self, frame: &[u8], opaque: &[u8]) -> Result<(), BadAnswer> {
        // A binary header cannot begin like this: its first byte is half of a code.
        let header = frame.get(HEAD_BYTES..).unwrap_or_default();
        if header.starts_with(GOOD_HEADER)
            && let Some(at) = find_opaque(frame, self.opaque_at)
        {
            self.opaque_at = at;
            if &frame[at..at + OPAQUE_DIGITS] == opaque {
                return Ok(());
            }
        }
        check_slowly(frame, opaque)
    }
}

fn check_slowly(frame: &[u8], opaque: &[u8]) -> Result<(), BadAnswer> {
    let decoded = Frame::decode(Bytes::copy_from_slice(frame));
    let decoded = decoded.map_err(|error| BadAnswer::Malformed(error.to_string()))?;
    let sent = String::from_utf8_lossy(opaque).into_owned();
    let got = decoded.header.opaque;
    if got.to_string() != sent {
        return Err(BadAnswer::Opaque { got, sent });
    }
    if decoded.header.code != 0 {
        let remark = decoded.header.remark.as_ref().map(ToString::to_string).unwrap_or_default();
        return Err(BadAnswer::Code { code: decoded.header.code, remark });
    }
    Ok(())
}

/// The set epoch at the end of an ALTER's answer, `{"syncStateSet":[1,2],"syncStateSetEpoch":7}`.
///
/// # Errors
/// - [`BadAnswer::Malformed`]: the body does not hold one.
pub(crate) fn set_epoch(frame: &[u8]) -> Result<u32, BadAnswer> {
    let body = header_bytes(frame).and_then(|bytes| frame.get(HEAD_BYTES + bytes..));
    let body = body.unwrap_or_default();
    let at_end = body.strip_suffix(b"}").and_then(trailing_epoch);
    at_end.or_else(|| epoch_by_parsing(body)).ok_or_else(|| {
        let body = String::from_utf8_lossy(body);
        BadAnswer::Malformed(format!("no syncStateSetEpoch in {body:?}"))
    })
}

/// The member is the last one, since bodies are written in alphabetical order.
fn trailing_epoch(members: &[u8]) -> Option<u32> {
    let digits_count = members.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (before, digits) = members.split_at(members.len() - digits_count);
    let digits = before.ends_with(EPOCH_KEY).then_some(digits)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn epoch_by_parsing(body: &[u8]) -> Option<u32> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    u32::try_from(body.get("syncStateSetEpoch")?.as_u64()?).ok()
}

#[cfg(test)]
mod tests {
    use super::{AnswerReader, BadAnswer, set_epoch};

    fn frame(header: &str, body: &str) -> Vec<u8> {
        let header_bytes = u32::try_from(header.len()).unwrap();
        let total = 4 + header_bytes + u32::try_from(body.len()).unwrap();
        let lengths = [total.to_be_bytes(), header_bytes.to_be_bytes()].concat();
        [&lengths, header.as_bytes(), body.as_bytes()].concat()
    }

    #[test]
    fn answers_are_told_apart() {
        let opaque = |got| BadAnswer::Opaque { got, sent: "1000000001".to_owned() };
        let code = |code, remark: &str| BadAnswer::Code { code, remark: remark.to_owned() };
        let rows = [
            ("{\"code\":0,\"flag\":1,\"opaque\":1000000001}", Ok(())),
            ("{\"opaque\":1000000001,\"code\":0,\"flag\":1}", Ok(())),
            ("{\"code\":0,\"flag\":1,\"opaque\":1000000002}", Err(opaque(1_000_000_002))),
            ("{\"code\":0,\"flag\":1,\"opaque\":5}", Err(opaque(5))),
            ("{\"code\":1,\"flag\":1,\"opaque\":1000000001}", Err(code(1, ""))),
            (
                "{\"code\":2007,\"flag\":1,\"opaque\":1000000001,\"remark\":\"x\"}",
                Err(code(2007, "x")),
            ),
        ];
        let mut reader = AnswerReader::default();
        for (header, expected) in rows {
            assert_eq!(reader.check(&frame(header, ""), b"1000000001"), expected, "{header}");
        }
        let broken = reader.check(&frame("{", ""), b"1000000001");
        assert!(matches!(broken, Err(BadAnswer::Malformed(_))), "{broken:?}");
    }

    #[test]
    fn the_set_epoch_is_read_from_the_end_or_by_parsing() {
        let rows = [
            ("{\"syncStateSet\":[1,2],\"syncStateSetEpoch\":70}", Some(70)),
            ("{\"syncStateSetEpoch\": 8, \"syncStateSet\":[1,2]}", Some(8)),
            ("{\"syncStateSet\":[1,2]}", None),
            ("", None),
        ];
        for (body, expected) in rows {
            assert_eq!(set_epoch(&frame("{}", body)).ok(), expected, "{body}");
        }
    }
}

//! What the generator speaks beside the controllers' protocol: stores that everybody knows.
//!
//! | Wire | `get` | `set` | An answer belongs to |
//! |---|---|---|---|
//! | controllers, self-test | – | – | the request with its opaque |
//! | Redis (RESP) | `GET key` | `SET key value` | the oldest request on the connection |
//! | Memcached, text | `get key` | `set key 0 0 bytes` | the same |
//! | Memcached, meta | `mg key v` | `ms key bytes` | the same |
//! | etcd | `POST /v3/kv/range` | `POST /v3/kv/put` | the same |
//!
//! etcd is asked by the JSON gateway of its v3 interface, over HTTP/1.1: one more hop inside etcd than
//! gRPC, so its latencies stand for etcd with its gateway. Its server answers one request after the
//! other on a connection, so give it many connections.
//!
//! A missing key counts as an error ([`MISSING`]): a load that reads nothing measures nothing.

use std::io::{self, ErrorKind};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::slot::frame_bytes;
use crate::workload::Wire;

/// Longest answer that is accepted.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Code of an answer that says no.
pub(crate) const REFUSED: i32 = -1;

/// Code of a read whose key is not there.
pub(crate) const MISSING: i32 = -2;

/// Byte length of the whole answer that begins `bytes`; `None` while that cannot be told.
///
/// # Errors
/// If no answer of this wire begins so, or it is longer than [`ANSWER_BYTES_MAX`].
pub(crate) fn answer_bytes(wire: Wire, bytes: &[u8]) -> io::Result<Option<usize>> {
    let length = match wire {
        Wire::Controller | Wire::SelfTest => frame_bytes(bytes),
        Wire::Redis => redis_bytes(bytes)?,
        Wire::Memcached | Wire::MemcachedMeta => memcached_bytes(bytes)?,
        Wire::Etcd => http_bytes(bytes)?,
    };
    if length.unwrap_or(bytes.len()) > ANSWER_BYTES_MAX {
        return Err(ErrorKind::InvalidData.into());
    }
    Ok(length.filter(|length| *length <= bytes.len()))
}

/// What a store's whole answer to a read or a write says: 0 for success, [`REFUSED`] or [`MISSING`].
pub(crate) fn code(wire: Wire, is_read: bool, answer: &[u8]) -> i32 {
    let is = |start: &[u8]| answer.starts_with(start);
    let (is_good, is_missing) = match wire {
        Wire::Controller | Wire::SelfTest => (false, false),
        Wire::Redis if is_read => (is(b"$"), is(b"$-1")),
        Wire::Redis => (is(b"+OK"), false),
        Wire::Memcached if is_read => (is(b"VALUE "), is(b"END")),
        Wire::Memcached => (is(b"STORED"), false),
        Wire::MemcachedMeta if is_read => (is(b"VA "), is(b"EN")),
        Wire::MemcachedMeta => (is(b"HD"), false),
        Wire::Etcd => {
            let is_good = is(b"HTTP/1.1 200 ");
            (is_good, is_good && is_read && find(answer, b"\"kvs\"").is_none())
        }
    };
    match (is_missing, is_good) {
        (true, _) => MISSING,
        (false, true) => 0,
        (false, false) => REFUSED,
    }
}

/// Appends a read of `key`.
pub(crate) fn append_get(wire: Wire, key: usize, out: &mut Vec<u8>) {
    let key = key_name(key);
    let text = match wire {
        Wire::Controller | Wire::SelfTest => return,
        Wire::Redis => format!("*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len()),
        Wire::Memcached => format!("get {key}\r\n"),
        Wire::MemcachedMeta => format!("mg {key} v\r\n"),
        Wire::Etcd => post("range", &format!("{{\"key\":\"{}\"}}", STANDARD.encode(key))),
    };
    out.extend_from_slice(text.as_bytes());
}

/// Appends a write of `key` with a value of so many bytes.
pub(crate) fn append_set(wire: Wire, key: usize, value_bytes: usize, out: &mut Vec<u8>) {
    let (key, value) = (key_name(key), "x".repeat(value_bytes));
    let text = match wire {
        Wire::Controller | Wire::SelfTest => return,
        Wire::Redis => {
            format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${value_bytes}\r\n{value}\r\n", key.len())
        }
        Wire::Memcached => format!("set {key} 0 0 {value_bytes}\r\n{value}\r\n"),
        Wire::MemcachedMeta => format!("ms {key} {value_bytes}\r\n{value}\r\n"),
        Wire::Etcd => {
            let (key, value) = (STANDARD.encode(key), STANDARD.encode(value));
            post("put", &format!("{{\"key\":\"{key}\",\"value\":\"{value}\"}}"))
        }
    };
    out.extend_from_slice(text.as_bytes());
}

fn key_name(key: usize) -> String {
    format!("pitchover:{key:08}")
}

fn post(what: &str, body: &str) -> String {
    format!(
        "POST /v3/kv/{what} HTTP/1.1\r\nHost: etcd\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// `+OK`, `-ERR …`, `:1`, or `$bytes` and so many bytes.
fn redis_bytes(bytes: &[u8]) -> io::Result<Option<usize>> {
    let Some(line) = line_bytes(bytes) else { return Ok(None) };
    match bytes.first() {
        Some(b'+' | b'-' | b':') => Ok(Some(line)),
        Some(b'$') => match number(&bytes[1..line - 2]) {
            Some(length) => Ok(Some(line + length + 2)),
            None if bytes.starts_with(b"$-1") => Ok(Some(line)),
            None => Err(ErrorKind::InvalidData.into()),
        },
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

/// One line, and behind `VALUE key flags bytes` the value and `END`, behind `VA bytes` the value.
fn memcached_bytes(bytes: &[u8]) -> io::Result<Option<usize>> {
    let Some(line) = line_bytes(bytes) else { return Ok(None) };
    let words: Vec<&[u8]> = bytes[..line - 2].split(|byte| *byte == b' ').collect();
    let (length, end) = match words.first() {
        Some(&b"VALUE") => (words.get(3), b"END\r\n".len()),
        Some(&b"VA") => (words.get(1), 0),
        _ => return Ok(Some(line)),
    };
    let length = length.and_then(|text| number(text)).ok_or(ErrorKind::InvalidData)?;
    Ok(Some(line + length + 2 + end))
}

/// A head, and a body by `Content-Length` or in chunks.
fn http_bytes(bytes: &[u8]) -> io::Result<Option<usize>> {
    const END: &[u8] = b"\r\n\r\n";
    let Some(head) = find(bytes, END) else { return Ok(None) };
    let body = head + END.len();
    let head = bytes[..head].to_ascii_lowercase();
    if !head.starts_with(b"http/1.1 ") {
        return Err(ErrorKind::InvalidData.into());
    }
    if let Some(at) = find(&head, b"content-length:") {
        let value = &head[at + b"content-length:".len()..];
        let value = value.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let length = number(value.trim_ascii()).ok_or(ErrorKind::InvalidData)?;
        return Ok(Some(body + length));
    }
    let last_chunk: &[u8] = b"\r\n0\r\n\r\n";
    Ok(find(&bytes[body..], last_chunk).map(|at| body + at + last_chunk.len()))
}

/// Length of the first line with its end.
fn line_bytes(bytes: &[u8]) -> Option<usize> {
    find(bytes, b"\r\n").map(|at| at + 2)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn number(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{MISSING, REFUSED, Wire, answer_bytes, append_get, append_set, code};

    /// Every answer is whole at its last byte and not before, and says what the row says.
    #[test]
    fn answers_are_cut_and_read() {
        let http = |status: &str, body: &str| {
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        };
        let chunked =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{\"kvs\":\r\n0\r\n\r\n";
        let rows = [
            (Wire::Redis, true, "$3\r\nabc\r\n".to_owned(), 0),
            (Wire::Redis, true, "$-1\r\n".to_owned(), MISSING),
            (Wire::Redis, false, "+OK\r\n".to_owned(), 0),
            (Wire::Redis, false, "-ERR no\r\n".to_owned(), REFUSED),
            (Wire::Memcached, true, "VALUE k 0 2\r\nab\r\nEND\r\n".to_owned(), 0),
            (Wire::Memcached, true, "END\r\n".to_owned(), MISSING),
            (Wire::Memcached, false, "STORED\r\n".to_owned(), 0),
            (Wire::Memcached, false, "SERVER_ERROR out of memory\r\n".to_owned(), REFUSED),
            (Wire::MemcachedMeta, true, "VA 2\r\nab\r\n".to_owned(), 0),
            (Wire::MemcachedMeta, true, "EN\r\n".to_owned(), MISSING),
            (Wire::MemcachedMeta, false, "HD\r\n".to_owned(), 0),
            (Wire::Etcd, true, http("200 OK", "{\"kvs\":[]}"), 0),
            (Wire::Etcd, true, http("200 OK", "{\"header\":{}}"), MISSING),
            (Wire::Etcd, false, http("200 OK", "{\"header\":{}}"), 0),
            (Wire::Etcd, false, http("503 Unavailable", ""), REFUSED),
            (Wire::Etcd, true, chunked.to_owned(), 0),
        ];
        for (wire, is_read, answer, expected) in rows {
            let bytes = answer.as_bytes();
            for end in 0..bytes.len() {
                let early = answer_bytes(wire, &bytes[..end]);
                assert!(matches!(early, Ok(None)), "{answer:?} at {end}: {early:?}");
            }
            let more = [bytes, b"+OK"].concat();
            assert_eq!(answer_bytes(wire, &more).unwrap(), Some(bytes.len()), "{answer:?}");
            assert_eq!(code(wire, is_read, bytes), expected, "{answer:?}");
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let rows = [
            (Wire::Redis, "HTTP/1.1 400\r\n"),
            (Wire::Redis, "$99999999\r\n"),
            (Wire::Memcached, "VALUE k\r\n"),
            (Wire::Etcd, "SSH-2.0\r\n\r\n"),
            (Wire::Controller, "HTTP/1.1 400 Bad Request"),
        ];
        for (wire, bytes) in rows {
            assert!(answer_bytes(wire, bytes.as_bytes()).is_err(), "{bytes}");
        }
    }

    #[test]
    fn requests_are_as_the_stores_want_them() {
        let both = |wire| {
            let mut out = Vec::new();
            append_get(wire, 7, &mut out);
            append_set(wire, 7, 2, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            both(Wire::Redis),
            "*2\r\n$3\r\nGET\r\n$18\r\npitchover:00000007\r\n\
             *3\r\n$3\r\nSET\r\n$18\r\npitchover:00000007\r\n$2\r\nxx\r\n"
        );
        assert_eq!(
            both(Wire::Memcached),
            "get pitchover:00000007\r\nset pitchover:00000007 0 0 2\r\nxx\r\n"
        );
        assert_eq!(
            both(Wire::MemcachedMeta),
            "mg pitchover:00000007 v\r\nms pitchover:00000007 2\r\nxx\r\n"
        );
        assert!(both(Wire::Etcd).contains("{\"key\":\"cGl0Y2hvdmVyOjAwMDAwMDA3\"}POST /v3/kv/put"));
    }
}

//! Every frame that was captured from upstream, read and written again.
//!
//! `vectors/frames.jsonl` are single frames; `vectors/conversations/*.jsonl` are requests in order
//! with every answer. What is written again must be the captured bytes, since the order of fields is
//! kept; the exceptions are named where they are made.

use bytes::{Bytes, BytesMut};
use protocol::{
    ElectMasterBody, Frame, Language, ReplicasInfo, Request, Response, RoleNotice,
    SyncStateSetBody, code, split,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Lines of a file under `vectors/`.
fn lines(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors").join(file);
    let text = std::fs::read_to_string(path).expect("the vectors lie in the repository");
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

fn bytes(hex: &Value) -> Bytes {
    let digits = hex.as_str().expect("a frame in hex").chars();
    let digits: Vec<u32> = digits.map(|digit| digit.to_digit(16).expect("a hex digit")).collect();
    let bytes = digits.chunks_exact(2).map(|pair| pair[0] * 16 + pair[1]);
    bytes.map(|byte| u8::try_from(byte).expect("two hex digits")).collect()
}

fn number(value: &Value) -> i32 {
    value.as_i64().and_then(|number| i32::try_from(number).ok()).expect("a code")
}

fn frame(bytes: &Bytes) -> Frame {
    let mut buffer = BytesMut::from(&bytes[..]);
    let whole = split(&mut buffer).expect("a captured frame").expect("all of it");
    assert!(buffer.is_empty());
    assert_eq!(&whole, bytes);
    Frame::decode(whole).expect("a captured frame")
}

fn encoded(frame: &Frame) -> Bytes {
    let mut out = BytesMut::new();
    frame.encode(&mut out);
    out.freeze()
}

/// Upstream writes `"extFields":{}` where a header object has only null fields; we write nothing.
fn without_empty_fields(frame: &Bytes) -> Bytes {
    let empty = b",\"extFields\":{}";
    let Some(at) = frame.windows(empty.len()).position(|window| window == empty) else {
        return frame.clone();
    };
    let mut shorter = frame.to_vec();
    shorter.drain(at..at + empty.len());
    for at in [0, 4] {
        // The type byte of JSON is 0, so that header size and type read as one number.
        let number = u32::from_be_bytes(shorter[at..at + 4].try_into().expect("four bytes"));
        let number = number - u32::try_from(empty.len()).expect("a short text");
        shorter[at..at + 4].copy_from_slice(&number.to_be_bytes());
    }
    Bytes::from(shorter)
}

fn fields(frame: &Frame) -> BTreeMap<String, String> {
    frame.header.ext.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn expected_fields(fields: &Value) -> BTreeMap<String, String> {
    let Value::Object(fields) = fields else { return BTreeMap::new() };
    let text = |value: &Value| value.as_str().expect("fields are strings").to_owned();
    fields.iter().map(|(key, value)| (key.clone(), text(value))).collect()
}

/// JSON with integer keys in quotes, which no library reads otherwise.
fn quoted(body: &str) -> Value {
    let mut out = String::new();
    let (mut is_string, mut is_escaped) = (false, false);
    let mut nesting = Vec::new();
    let mut bare = false;
    for character in body.chars() {
        if bare && character == ':' {
            out.push('"');
            bare = false;
        }
        let opens_member = !is_string && out.ends_with(['{', ',']) && nesting.last() == Some(&'{');
        if opens_member && character.is_ascii_digit() {
            out.push('"');
            bare = true;
        }
        match character {
            '"' if !is_escaped => is_string = !is_string,
            '{' | '[' if !is_string => nesting.push(character),
            '}' | ']' if !is_string => drop(nesting.pop()),
            _ => {}
        }
        is_escaped = is_string && character == '\\' && !is_escaped;
        out.push(character);
    }
    serde_json::from_str(&out).expect("a captured body is JSON but for its keys")
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("we write JSON")
}

/// Reads the body of an answer as its type, writes it again, and compares the values.
fn check_body(request_code: i32, body: &[u8]) {
    let (written, read_again) = match request_code {
        code::CONTROLLER_ALTER_SYNC_STATE_SET
        | code::CONTROLLER_REGISTER_BROKER
        | code::CONTROLLER_GET_REPLICA_INFO
        | code::NOTIFY_BROKER_ROLE_CHANGED => {
            let read = SyncStateSetBody::decode(body).expect("a sync-state set");
            let written = read.to_bytes();
            let is_same = SyncStateSetBody::decode(&written) == Some(read);
            (written, is_same)
        }
        code::CONTROLLER_ELECT_MASTER => {
            let read = ElectMasterBody::decode(body).expect("an election");
            let written = read.to_bytes();
            let is_same = ElectMasterBody::decode(&written) == Some(read);
            (written, is_same)
        }
        code::CONTROLLER_GET_SYNC_STATE_DATA => {
            let read = ReplicasInfo::decode(body).expect("replicas");
            let written = read.to_bytes();
            let is_same = ReplicasInfo::decode(&written) == Some(read);
            (written, is_same)
        }
        // A text of settings, and an answer that only brokers give.
        code::GET_CONTROLLER_CONFIG | code::GET_BROKER_EPOCH_CACHE => return,
        other => panic!("no answer to {other} has a body"),
    };
    let captured = core::str::from_utf8(body).expect("bodies are UTF-8");
    assert_eq!(json(&written), quoted(captured), "{captured}");
    assert!(read_again);
}

/// Reads a request as its type and writes it again; both must say the same.
fn check_request(frame: &Frame) {
    let Some(request) = Request::decode(frame) else {
        let known = [904, 1001, 1002, 1003, 1004, 1005, 1006, 1009, 1010, 1011, 1012, 1013];
        assert!(!known.contains(&frame.header.code), "{}", frame.header.code);
        return;
    };
    assert_eq!(request.code(), frame.header.code);
    let mut out = BytesMut::new();
    request.encode(frame.header.opaque, frame.header.flag, frame.header.encoding, &mut out);
    let again = Frame::decode(out.freeze()).expect("we write frames");
    assert_eq!(again.header.opaque, frame.header.opaque);
    assert_eq!(again.header.flag, frame.header.flag);
    assert_eq!(Request::decode(&again), Some(request));
}

#[test]
fn captured_frames_are_read_and_written() {
    let rows = lines("frames.jsonl");
    assert_eq!(rows.len(), 103);
    for row in &rows {
        let bytes = bytes(&row["hex"]);
        let frame = frame(&bytes);
        let (header, expected) = (&frame.header, &row["header"]);
        assert_eq!(expected["code"], header.code);
        let language = match &expected["language"] {
            Value::String(name) => Language::from_name(name),
            number => Language(u8::try_from(number.as_u64().unwrap()).unwrap()),
        };
        assert_eq!(language, header.language);
        assert_eq!(expected["version"], header.version);
        assert_eq!(expected["opaque"], header.opaque);
        assert_eq!(expected["flag"], header.flag);
        assert_eq!(expected["remark"].as_str(), header.remark.as_deref());
        assert_eq!(expected_fields(&expected["extFields"]), fields(&frame));
        assert_eq!(row["body"].as_str().unwrap().as_bytes(), frame.body);
        assert_eq!(encoded(&frame), without_empty_fields(&bytes));
        assert_eq!(header.is_response(), row["kind"] == "response");
        assert_eq!(header.is_one_way(), row["kind"] == "oneway");
        let request_code = number(&row["request_code"]);
        if header.is_response() {
            if !frame.body.is_empty() {
                check_body(request_code, &frame.body);
            }
        } else if let Some(notice) = RoleNotice::decode(&frame) {
            let mut out = BytesMut::new();
            notice.encode(header.opaque, header.flag, header.encoding, &mut out);
            let again = Frame::decode(out.freeze()).unwrap();
            assert_eq!(RoleNotice::decode(&again), Some(notice));
            check_body(request_code, &frame.body);
        } else {
            check_request(&frame);
        }
    }
}

fn check_conversation(file: &str, expected_count: usize) {
    let steps = lines(file);
    assert_eq!(steps.len(), expected_count);
    for step in &steps {
        let request_code = number(&step["code"]);
        let bytes_sent = bytes(&step["request_hex"]);
        let request = frame(&bytes_sent);
        assert_eq!(request.header.code, request_code);
        assert_eq!(expected_fields(&step["ext"]), fields(&request));
        assert_eq!(encoded(&request), bytes_sent);
        check_request(&request);
        if step["answer_hex"].is_null() {
            continue;
        }
        let bytes_received = bytes(&step["answer_hex"]);
        let answer = frame(&bytes_received);
        assert!(answer.header.is_response());
        assert_eq!(expected_fields(&step["answer"]["ext"]), fields(&answer));
        let (opaque, encoding) = (answer.header.opaque, answer.header.encoding);
        let response = Response::from_frame(answer);
        assert_eq!(step["answer"]["code"], response.code);
        assert_eq!(step["answer"]["remark"].as_str(), response.remark.as_deref());
        if !response.body.is_empty() {
            check_body(request_code, &response.body);
        }
        let mut out = BytesMut::new();
        response.encode(opaque, encoding, &mut out);
        assert_eq!(out.freeze(), without_empty_fields(&bytes_received));
    }
}

#[test]
fn scripted_conversation_is_read_and_written() {
    check_conversation("conversations/scripted.jsonl", 283);
}

#[test]
fn random_conversation_a_is_read_and_written() {
    check_conversation("conversations/random-a.jsonl", 1_500);
}

#[test]
fn random_conversation_b_is_read_and_written() {
    check_conversation("conversations/random-b.jsonl", 1_500);
}

//! When two answers are alike.
//!
//! Code, remark and header fields are equal, and bodies are equal as JSON values. Not compared: the
//! text of code 1, and all but the code of metadata (1005) and configuration listings (1010).

use std::borrow::Cow;

use protocol::{code, response_code};
use serde_json::Value;

use crate::step::Answer;

/// In what `got` is unlike `expected`, as answers to request `request_code`; `None`: they are alike.
pub(crate) fn difference(request_code: i32, expected: &Answer, got: &Answer) -> Option<String> {
    if expected.code != got.code {
        return Some(format!("code {} instead of {}", got.code, expected.code));
    }
    if matches!(request_code, code::CONTROLLER_GET_METADATA_INFO | code::GET_CONTROLLER_CONFIG) {
        return None;
    }
    if expected.code != response_code::SYSTEM_ERROR && expected.remark != got.remark {
        return Some(format!("remark {:?} instead of {:?}", got.remark, expected.remark));
    }
    if expected.ext != got.ext {
        return Some(format!("fields {:?} instead of {:?}", got.ext, expected.ext));
    }
    (value(&expected.body) != value(&got.body))
        .then(|| format!("body {} instead of {}", got.body, expected.body))
}

/// A body as a JSON value; text that is none stays text.
fn value(body: &str) -> Value {
    let text = || Value::String(body.to_owned());
    serde_json::from_str(&quote_keys(body)).unwrap_or_else(|_| text())
}

/// Puts quotes around object keys that are bare numbers, as Java writes them.
fn quote_keys(json: &str) -> Cow<'_, str> {
    let mut out = String::with_capacity(json.len());
    let mut nesting = Vec::new();
    let mut is_key_next = false;
    let mut characters = json.chars().peekable();
    while let Some(character) = characters.next() {
        let is_bare = is_key_next && (character.is_ascii_digit() || character == '-');
        if is_bare {
            out.push('"');
        }
        out.push(character);
        match character {
            '"' => copy_string(&mut characters, &mut out),
            '{' | '[' => nesting.push(character),
            '}' | ']' => drop(nesting.pop()),
            _ if is_bare => {
                while let Some(digit) = characters.next_if(char::is_ascii_digit) {
                    out.push(digit);
                }
                out.push('"');
            }
            _ => {}
        }
        let opens_member = matches!(character, '{' | ',') && nesting.last() == Some(&'{');
        is_key_next = opens_member || (is_key_next && character.is_whitespace());
    }
    if out == json { Cow::Borrowed(json) } else { Cow::Owned(out) }
}

/// Copies the rest of a string, its closing quote too.
fn copy_string(characters: &mut impl Iterator<Item = char>, out: &mut String) {
    let mut is_escaped = false;
    for character in characters {
        out.push(character);
        if character == '"' && !is_escaped {
            return;
        }
        is_escaped = character == '\\' && !is_escaped;
    }
}

#[test]
fn numeric_keys_are_quoted() {
    let rows = [
        (r#"{"a":{1:"x", 22:"y"},"b":[1,2]}"#, r#"{"a":{"1":"x", "22":"y"},"b":[1,2]}"#),
        (r#"{-1:[{3:4}]}"#, r#"{"-1":[{"3":4}]}"#),
        (r#"{"a\",{1":1,"b":"{2:3}"}"#, r#"{"a\",{1":1,"b":"{2:3}"}"#),
        ("[1,2]", "[1,2]"),
        ("", ""),
    ];
    for (java, quoted) in rows {
        assert_eq!(quote_keys(java), quoted);
    }
}

#[test]
fn answers_are_compared_as_far_as_they_must_be() {
    let answer = |code, remark: &str, body: &str| Answer {
        code,
        remark: Some(remark.to_owned()),
        body: body.to_owned(),
        ..Answer::default()
    };
    let rows = [
        (code::CONTROLLER_ELECT_MASTER, answer(0, "", "{1:2}"), answer(0, "", "{\"1\": 2}"), true),
        (code::CONTROLLER_ELECT_MASTER, answer(0, "", "{1:2}"), answer(0, "", "{1:3}"), false),
        (code::CONTROLLER_ELECT_MASTER, answer(2, "a", ""), answer(2, "b", ""), false),
        (code::CONTROLLER_ELECT_MASTER, answer(1, "a", ""), answer(1, "b", ""), true),
        (code::GET_CONTROLLER_CONFIG, answer(0, "", "a=1"), answer(0, "", "a=2"), true),
        (code::GET_CONTROLLER_CONFIG, answer(0, "", "a=1"), answer(1, "", "a=1"), false),
    ];
    for (request, expected, got, is_alike) in rows {
        let difference = difference(request, &expected, &got);
        assert_eq!(difference.is_none(), is_alike, "{expected:?} {got:?}: {difference:?}");
    }
}

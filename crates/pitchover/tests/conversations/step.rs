//! One line of a conversation file: what is sent, where, and what was answered.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use protocol::{ExtFields, Frame, Header, HeaderEncoding};
use serde_json::Value;

/// Release that the recorded requests carry: 5.3.3. Upstream looks at it only while it shuts down.
const VERSION: i32 = 479;

/// Which node a step is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum To {
    /// The node that leads.
    Leader,
    /// One that does not.
    Follower,
    /// Every node; the leader's answer counts.
    All,
}

impl To {
    fn of(name: &Value) -> Self {
        match name.as_str() {
            None | Some("leader") => Self::Leader,
            Some("follower") => Self::Follower,
            Some("all") => Self::All,
            Some(other) => panic!("no step is sent to {other:?}"),
        }
    }
}

/// One request of a conversation and the answer that upstream gave.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// Number in the conversation.
    pub(crate) n: u64,
    /// Where it goes.
    pub(crate) to: To,
    /// Name of the connection; the default one if absent.
    pub(crate) conn: String,
    /// Request code.
    pub(crate) code: i32,
    /// Header fields.
    pub(crate) ext: Option<BTreeMap<String, Value>>,
    /// Body text.
    pub(crate) body: Option<String>,
    /// The header is binary, not JSON.
    pub(crate) is_binary: bool,
    /// Seconds to wait before sending.
    pub(crate) wait: f64,
    /// What the step is about.
    pub(crate) note: String,
    /// What upstream answered.
    pub(crate) answer: Answer,
    /// Why ours answers something else.
    pub(crate) deviation: Option<String>,
}

/// An answer as far as it is compared.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Answer {
    /// Response code.
    pub(crate) code: i32,
    /// Remark.
    pub(crate) remark: Option<String>,
    /// Header fields; absent and empty are the same.
    pub(crate) ext: BTreeMap<String, String>,
    /// Body text; absent and empty are the same.
    pub(crate) body: String,
}

impl Step {
    /// Reads a line's JSON; what is absent is what it is by default.
    fn of(line: &Value) -> Self {
        let owned = |key: &str| line[key].as_str().map(str::to_owned);
        Self {
            n: line["n"].as_u64().unwrap_or_default(),
            to: To::of(&line["to"]),
            conn: owned("conn").unwrap_or_default(),
            code: code_of(line),
            ext: line["ext"].as_object().map(|ext| ext.clone().into_iter().collect()),
            body: owned("body"),
            is_binary: line["typ"] == 1,
            wait: line["wait"].as_f64().unwrap_or_default(),
            note: owned("note").unwrap_or_default(),
            answer: Answer::recorded(&line["answer"]),
            deviation: owned("deviation"),
        }
    }

    /// The header field `key`, as text.
    pub(crate) fn field(&self, key: &str) -> Option<String> {
        self.ext.as_ref()?.get(key).map(text)
    }

    /// The request as a frame; its opaque is the connection's business.
    pub(crate) fn frame(&self) -> Frame {
        let mut ext = ExtFields::new();
        for (key, value) in self.ext.iter().flatten().filter(|(_, value)| !value.is_null()) {
            ext.push(key, text(value));
        }
        let encoding = if self.is_binary { HeaderEncoding::Binary } else { HeaderEncoding::Json };
        let mut header = Header::request(self.code, 0, 0, ext, encoding);
        header.version = VERSION;
        Frame { header, body: self.body.clone().unwrap_or_default().into() }
    }
}

impl Answer {
    fn recorded(answer: &Value) -> Self {
        let fields = answer["ext"].as_object().into_iter().flatten();
        Self {
            code: code_of(answer),
            remark: answer["remark"].as_str().map(str::to_owned),
            ext: fields.map(|(key, value)| (key.clone(), text(value))).collect(),
            body: answer["body"].as_str().unwrap_or_default().to_owned(),
        }
    }

    /// What a frame answers.
    pub(crate) fn of(frame: &Frame) -> Self {
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        Self {
            code: frame.header.code,
            remark: frame.header.remark.as_ref().map(ToString::to_string),
            ext: frame.header.ext.iter().map(owned).collect(),
            body: String::from_utf8_lossy(&frame.body).into_owned(),
        }
    }
}

/// Reads a conversation file.
///
/// # Panics
/// If it is not there, or a line is not a step.
pub(crate) fn read(file: &Path) -> Vec<Step> {
    let text = fs::read_to_string(file);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let step = |(index, line)| {
        let step = serde_json::from_str(line);
        let step = step.unwrap_or_else(|error| panic!("{}:{}: {error}", file.display(), index + 1));
        Step::of(&step)
    };
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(step).collect()
}

fn code_of(line: &Value) -> i32 {
    let code = line["code"].as_i64().and_then(|code| i32::try_from(code).ok());
    code.unwrap_or_else(|| panic!("no code in {line}"))
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

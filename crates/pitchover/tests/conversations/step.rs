//! One line of a conversation file: what is sent, where, and what was answered.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use protocol::{ExtFields, Frame, Header, HeaderEncoding};
use serde::Deserialize;
use serde_json::Value;

/// Release that the recorded requests carry: 5.3.3. Upstream looks at it only while it shuts down.
const VERSION: i32 = 479;

/// Which node a step is for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum To {
    /// The node that leads.
    #[default]
    Leader,
    /// One that does not.
    Follower,
    /// Every node; the leader's answer counts.
    All,
}

/// One request of a conversation and the answer that upstream gave.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Step {
    /// Number in the conversation.
    pub(crate) n: u64,
    /// Where it goes.
    #[serde(default)]
    pub(crate) to: To,
    /// Name of the connection; the default one if absent.
    #[serde(default)]
    pub(crate) conn: String,
    /// Request code.
    pub(crate) code: i32,
    /// Header fields.
    #[serde(default)]
    pub(crate) ext: Option<BTreeMap<String, Value>>,
    /// Body text.
    #[serde(default)]
    pub(crate) body: Option<String>,
    /// 1: binary header.
    #[serde(default)]
    pub(crate) typ: u8,
    /// Seconds to wait before sending.
    #[serde(default)]
    pub(crate) wait: f64,
    /// What the step is about.
    #[serde(default)]
    pub(crate) note: String,
    /// What upstream answered.
    pub(crate) answer: Answer,
    /// Why ours answers something else.
    #[serde(default)]
    pub(crate) deviation: Option<String>,
}

/// An answer as far as it is compared.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
pub(crate) struct Answer {
    /// Response code.
    pub(crate) code: i32,
    /// Remark.
    #[serde(default)]
    pub(crate) remark: Option<String>,
    /// Header fields; absent and empty are the same.
    #[serde(default)]
    pub(crate) ext: BTreeMap<String, String>,
    /// Body text; absent and empty are the same.
    #[serde(default)]
    pub(crate) body: String,
}

impl Step {
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
        let binary = self.typ == 1;
        let encoding = if binary { HeaderEncoding::Binary } else { HeaderEncoding::Json };
        let mut header = Header::request(self.code, 0, 0, ext, encoding);
        header.version = VERSION;
        Frame { header, body: self.body.clone().unwrap_or_default().into() }
    }
}

impl Answer {
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
        step.unwrap_or_else(|error| panic!("{}:{}: {error}", file.display(), index + 1))
    };
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(step).collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

//! Histories that others published with known verdicts, in the formats in which they did.
//!
//! ```text
//! INFO  jepsen.util - 3  :invoke  :cas  [4 1]                             one register, etcd under Jepsen
//! {:process 4, :type :ok, :f :append, :key "0", :value "x 4 0 y"}         a key-value store
//! ```
//!
//! The line number is the time. `:info` says that the outcome is unknown; an operation that never
//! returns is unknown as well. A failed compare-and-set found another value; a failed read has no
//! answer. Failed writes do not occur in these files and are refused here, as is everything else.
//!
//! Source: the test data of `anishathalye/porcupine`.

use crate::check::objects::{KeyOperation, OneKey, Register, RegisterOperation};
use crate::check::search::{Found, Limit, Span, search};
use std::collections::BTreeMap;

/// A published history, ready to be judged.
#[derive(Clone, Debug)]
pub enum Published {
    /// One register.
    Register(Vec<Span<RegisterOperation>>),
    /// Keys that do not touch each other, each judged on its own.
    Store(BTreeMap<String, Vec<Span<KeyOperation>>>),
}

/// A line that is in neither format, or does not fit those before it.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {text}")]
pub struct NotPublished {
    /// From 1.
    pub line: usize,
    /// The line.
    pub text: String,
}

impl Published {
    /// Reads a file in one of the two formats.
    ///
    /// # Errors
    /// - [`NotPublished`]: a line is in neither format, or does not fit those before it.
    pub fn read(text: &str) -> Result<Self, NotPublished> {
        if text.starts_with("{:process") { store(text) } else { register(text) }
    }

    /// How many operations there are.
    #[must_use]
    pub fn operations_count(&self) -> usize {
        match self {
            Self::Register(spans) => spans.len(),
            Self::Store(keys) => keys.values().map(Vec::len).sum(),
        }
    }

    /// Whether the operations can be put in an order; none if the limit was reached first.
    #[must_use]
    pub fn is_linearizable(&self, limit: Limit) -> Option<bool> {
        let verdict = |found: Found| match found {
            Found::Order(_) => Some(true),
            Found::Nothing(_) => Some(false),
            Found::Undecided => None,
        };
        match self {
            Self::Register(spans) => verdict(search(&Register, spans, limit)),
            Self::Store(keys) => {
                let mut all = Some(true);
                for spans in keys.values() {
                    match verdict(search(&OneKey, spans, limit)) {
                        Some(true) => {}
                        Some(false) => return Some(false),
                        None => all = None,
                    }
                }
                all
            }
        }
    }
}

/// What a line says of an operation: its begin, its answer, or that nobody knows.
enum Word {
    Invoke,
    Ok,
    Fail,
    Info,
}

fn word(text: &str) -> Option<Word> {
    match text {
        ":invoke" => Some(Word::Invoke),
        ":ok" => Some(Word::Ok),
        ":fail" => Some(Word::Fail),
        ":info" => Some(Word::Info),
        _ => None,
    }
}

fn register(text: &str) -> Result<Published, NotPublished> {
    let mut spans = Vec::new();
    let mut open: BTreeMap<u32, usize> = BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        let wrong = || NotPublished { line: at + 1, text: line.to_owned() };
        let (_, rest) = line.split_once("jepsen.util - ").ok_or_else(wrong)?;
        let (process, rest) = word_and_rest(rest).ok_or_else(wrong)?;
        let (kind, rest) = word_and_rest(rest).ok_or_else(wrong)?;
        let (what, value) = word_and_rest(rest).ok_or_else(wrong)?;
        let process: u32 = process.parse().map_err(|_not_a_number| wrong())?;
        let time = at as u64;
        match word(kind).ok_or_else(wrong)? {
            Word::Invoke => {
                let operation = invoked(what, value).ok_or_else(wrong)?;
                open.insert(process, spans.len());
                spans.push(Span { invoked: time, finished: None, operation });
            }
            Word::Ok => {
                let span = open.remove(&process).and_then(|at| spans.get_mut(at));
                let span = span.ok_or_else(wrong)?;
                span.finished = Some(time);
                if what == ":read" {
                    span.operation = invoked(what, value).ok_or_else(wrong)?;
                }
            }
            Word::Fail => {
                let span = open.remove(&process).and_then(|at| spans.get_mut(at));
                let span = span.ok_or_else(wrong)?;
                match span.operation {
                    RegisterOperation::Swapped { from, .. } => {
                        span.finished = Some(time);
                        span.operation = RegisterOperation::Kept { from };
                    }
                    // Timed out: it has no answer.
                    RegisterOperation::Read(_) => {}
                    RegisterOperation::Write(_) | RegisterOperation::Kept { .. } => {
                        return Err(wrong());
                    }
                }
            }
            Word::Info => {
                open.remove(&process).ok_or_else(wrong)?;
            }
        }
    }
    // A read without an answer says nothing, and would otherwise be taken for one of "nothing".
    spans.retain(|span| {
        span.finished.is_some() || !matches!(span.operation, RegisterOperation::Read(_))
    });
    Ok(Published::Register(spans))
}

/// Some files separate with a tab, some with blanks.
fn word_and_rest(text: &str) -> Option<(&str, &str)> {
    let (word, rest) = text.trim().split_once([' ', '\t'])?;
    Some((word, rest.trim()))
}

fn invoked(what: &str, value: &str) -> Option<RegisterOperation> {
    match what {
        ":read" if value == "nil" => Some(RegisterOperation::Read(None)),
        ":read" => Some(RegisterOperation::Read(Some(value.parse().ok()?))),
        ":write" => Some(RegisterOperation::Write(value.parse().ok()?)),
        ":cas" => {
            let pair = value.strip_prefix('[')?.strip_suffix(']')?;
            let (from, to) = pair.split_once(' ')?;
            Some(RegisterOperation::Swapped { from: from.parse().ok()?, to: to.parse().ok()? })
        }
        _ => None,
    }
}

fn store(text: &str) -> Result<Published, NotPublished> {
    let mut keys: BTreeMap<String, Vec<Span<KeyOperation>>> = BTreeMap::new();
    let mut open: BTreeMap<u32, (String, usize)> = BTreeMap::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = || NotPublished { line: at + 1, text: line.to_owned() };
        let (process, kind, what, key, value) = fields(line).ok_or_else(wrong)?;
        let process: u32 = process.parse().map_err(|_not_a_number| wrong())?;
        let operation = match what {
            ":get" => KeyOperation::Get(value.to_owned()),
            ":put" => KeyOperation::Put(value.to_owned()),
            ":append" => KeyOperation::Append(value.to_owned()),
            _ => return Err(wrong()),
        };
        let time = at as u64;
        match word(kind).ok_or_else(wrong)? {
            Word::Invoke => {
                let spans = keys.entry(key.to_owned()).or_default();
                open.insert(process, (key.to_owned(), spans.len()));
                spans.push(Span { invoked: time, finished: None, operation });
            }
            Word::Ok => {
                let (key, at) = open.remove(&process).ok_or_else(wrong)?;
                let span = keys.get_mut(&key).and_then(|spans| spans.get_mut(at));
                let span = span.ok_or_else(wrong)?;
                (span.finished, span.operation) = (Some(time), operation);
            }
            Word::Fail | Word::Info => return Err(wrong()),
        }
    }
    for spans in keys.values_mut() {
        let says_something = |span: &Span<KeyOperation>| {
            span.finished.is_some() || !matches!(span.operation, KeyOperation::Get(_))
        };
        spans.retain(says_something);
    }
    Ok(Published::Store(keys))
}

/// Process, kind, operation, key and value; `nil` is read as an empty text.
fn fields(line: &str) -> Option<(&str, &str, &str, &str, &str)> {
    let rest = line.strip_prefix("{:process ")?.strip_suffix('}')?;
    let (process, rest) = rest.split_once(", :type ")?;
    let (kind, rest) = rest.split_once(", :f ")?;
    let (what, rest) = rest.split_once(", :key \"")?;
    let (key, value) = rest.split_once("\", :value ")?;
    let text = if value == "nil" { "" } else { value.strip_prefix('"')?.strip_suffix('"')? };
    Some((process, kind, what, key, text))
}

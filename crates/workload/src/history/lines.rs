//! The file format: JSON lines, a heading and then one operation a line.
//!
//! ```text
//! {"pitchoverHistory":1,"isComplete":true,"origin":"sim --seed 7, commit 1a2b3c4"}
//! {"client":3,"set":"broker-a","invoked":10,"finished":14,"call":"read","outcome":{"ok":{"masterEpoch":3,"setEpoch":5}}}
//! ```
//!
//! Lines stand in any order, so several recorders may append to one file, each line in one write.
//! Blank lines are skipped. A history whose last line is cut is refused, not shortened.

use super::{History, Operation};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// Version of the format, in the heading.
pub const VERSION: u32 = 1;

/// Why a text is not a history.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It does not begin with a heading.
    #[error("the first line is not the heading of a history: {0}")]
    Heading(#[source] serde_json::Error),
    /// The heading names another version.
    #[error("a history of version {found}; this program reads version {VERSION}")]
    Version {
        /// The version it names.
        found: u32,
    },
    /// A line is not an operation.
    #[error("line {line}: not an operation: {error}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// An operation ends before it begins.
    #[error("line {line}: finished at {finished}, invoked at {invoked}")]
    Backwards {
        /// From 1.
        line: usize,
        /// Its begin.
        invoked: u64,
        /// Its end.
        finished: u64,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Heading {
    pitchover_history: u32,
    #[serde(default)]
    is_complete: bool,
    #[serde(default)]
    origin: String,
}

impl Operation {
    /// One line of a history file, without the line break.
    ///
    /// # Panics
    /// Never: numbers, texts and lists can all be written as JSON.
    #[must_use]
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).expect("an operation has only texts, numbers and lists")
    }
}

impl History {
    /// The first line of a history file, without the line break.
    ///
    /// # Panics
    /// Never: numbers and texts can all be written as JSON.
    #[must_use]
    pub fn heading(&self) -> String {
        let heading = Heading {
            pitchover_history: VERSION,
            is_complete: self.is_complete,
            origin: self.origin.clone(),
        };
        serde_json::to_string(&heading).expect("a heading has only texts and numbers")
    }

    /// The whole file.
    #[must_use]
    pub fn to_lines(&self) -> String {
        let mut text = self.heading();
        text.push('\n');
        for operation in &self.operations {
            writeln!(text, "{}", operation.to_line()).expect("a string grows");
        }
        text
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// - [`ReadError::Heading`]: the first line is no heading.
    /// - [`ReadError::Version`]: written by another version.
    /// - [`ReadError::Line`]: a later line is no operation.
    /// - [`ReadError::Backwards`]: an operation ends before it begins.
    pub fn from_lines(text: &str) -> Result<Self, ReadError> {
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let first = lines.next().map_or("", |(_, line)| line);
        let heading: Heading = serde_json::from_str(first).map_err(ReadError::Heading)?;
        if heading.pitchover_history != VERSION {
            return Err(ReadError::Version { found: heading.pitchover_history });
        }
        let mut operations = Vec::new();
        for (at, line) in lines {
            let line_number = at + 1;
            let operation: Operation = serde_json::from_str(line)
                .map_err(|error| ReadError::Line { line: line_number, error })?;
            let invoked = operation.invoked;
            if let Some(finished) = operation.finished.filter(|finished| *finished < invoked) {
                return Err(ReadError::Backwards { line: line_number, invoked, finished });
            }
            operations.push(operation);
        }
        Ok(Self { is_complete: heading.is_complete, origin: heading.origin, operations })
    }
}

#[cfg(test)]
mod tests {
    use super::ReadError;
    use crate::history::{Call, History, Operation, Outcome, Seen};

    fn sample() -> History {
        let seen = Seen {
            master_epoch: Some(3),
            set_epoch: Some(6),
            master: Some(1),
            sync_state_set: Some(vec![1, 2]),
            next_id: None,
        };
        let alter = Call::Alter { master: 1, master_epoch: 3, set_epoch: 5, new_set: vec![1, 2] };
        let apply = Call::ApplyId { id: 3, check_code: "10.0.0.1:10911;17".into() };
        let rows = [
            (alter, Outcome::Ok(seen.clone())),
            (Call::Read, Outcome::Refused { code: 2008, seen: Seen::default() }),
            (Call::Elect { id: 2, designate: true }, Outcome::Refused { code: 2011, seen }),
            (apply, Outcome::Unknown),
            (Call::ReadNextId, Outcome::Never),
            (
                Call::Clean { ids: vec![], living: false },
                Outcome::TookEffect(Seen { next_id: Some(4), ..Seen::default() }),
            ),
            (Call::Register { id: 2 }, Outcome::Ok(Seen::default())),
        ];
        let operation = |(at, (call, outcome))| Operation {
            client: at,
            peer: (at % 2 == 0).then_some(1),
            set: "broker-\"a\"".into(),
            invoked: u64::from(at),
            finished: (outcome != Outcome::Unknown).then(|| u64::from(at) + 5),
            call,
            outcome,
        };
        let operations = (0..).zip(rows).map(operation).collect();
        History { is_complete: true, origin: "a test".into(), operations }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let history = sample();
        assert_eq!(History::from_lines(&history.to_lines()).unwrap(), history);
    }

    #[test]
    fn lines_are_short_and_plain() {
        let text = sample().to_lines();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], r#"{"pitchoverHistory":1,"isComplete":true,"origin":"a test"}"#);
        assert_eq!(
            lines[1],
            r#"{"client":0,"peer":1,"set":"broker-\"a\"","invoked":0,"finished":5,"call":{"alter":{"master":1,"masterEpoch":3,"setEpoch":5,"newSet":[1,2]}},"outcome":{"ok":{"masterEpoch":3,"setEpoch":6,"master":1,"syncStateSet":[1,2]}}}"#
        );
        assert_eq!(
            lines[2],
            r#"{"client":1,"set":"broker-\"a\"","invoked":1,"finished":6,"call":"read","outcome":{"refused":{"code":2008}}}"#
        );
    }

    #[test]
    fn cut_foreign_and_impossible_files_are_refused() {
        let text = sample().to_lines();
        let cut = &text.as_bytes()[..text.len() - 9];
        let cut = std::str::from_utf8(cut).unwrap();
        assert!(matches!(History::from_lines(cut), Err(ReadError::Line { line: 8, .. })));
        assert!(matches!(History::from_lines(""), Err(ReadError::Heading(_))));
        let newer = r#"{"pitchoverHistory":2}"#;
        assert!(matches!(History::from_lines(newer), Err(ReadError::Version { found: 2 })));
        let mut history = sample();
        history.operations[0].invoked = 9;
        let backwards = History::from_lines(&history.to_lines());
        assert!(matches!(
            backwards,
            Err(ReadError::Backwards { line: 2, invoked: 9, finished: 5 })
        ));
    }
}

//! The bugs: files of `exam/`, each a head of `Word: text` lines and, behind an empty line, a patch.
//!
//! | Word | Means |
//! |---|---|
//! | `Bug` | `P` and its number in section 4 of docs/design/RELIABILITY.md |
//! | `What` | what is wrong with it planted |
//! | `Source` | where it really happened, or the rule it breaks |
//! | `Expected` | who is thought to find it: invariants of docs/RELIABILITY.md |
//! | `Note` | what differs from the list, if anything does |
//! | `Judge` | a `cargo test` instead of the simulator |
//! | `NotPlanted` | why there is no patch |

use crate::tree::root;
use std::path::{Path, PathBuf};

/// Who looks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Judge {
    Simulator,
    /// Arguments of cargo.
    Tests(Vec<String>),
}

#[derive(Debug, Clone)]
pub(super) struct Bug {
    pub(super) number: u32,
    pub(super) what: String,
    pub(super) source: String,
    pub(super) expected: String,
    pub(super) judge: Judge,
    pub(super) why_not: Option<String>,
    pub(super) path: PathBuf,
    has_patch: bool,
}

impl Bug {
    pub(super) fn name(&self) -> String {
        format!("P{:02}", self.number)
    }

    pub(super) fn is_planted(&self) -> bool {
        self.has_patch
    }

    fn parse(path: &Path, text: &str) -> Result<Self, String> {
        let head = text.split("\n\n").next().unwrap_or_default();
        let word = |name: &str| {
            let line = |line: &str| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned());
            head.lines().find_map(line)
        };
        let needed = |name: &str| word(name).ok_or(format!("{}: no `{name}:`", path.display()));
        let number = needed("Bug")?;
        let number = number.strip_prefix('P').and_then(|digits| digits.parse().ok());
        let judge = match word("Judge") {
            Some(line) => {
                let words = line.strip_prefix("cargo ").ok_or("a judge is a cargo command")?;
                Judge::Tests(words.split(' ').map(str::to_owned).collect())
            }
            None => Judge::Simulator,
        };
        Ok(Self {
            number: number.ok_or(format!("{}: its number", path.display()))?,
            what: needed("What")?,
            source: needed("Source")?,
            expected: needed("Expected")?,
            judge,
            why_not: word("NotPlanted"),
            path: path.to_owned(),
            has_patch: text.contains("\n@@ "),
        })
    }
}

/// All bugs, by number.
pub(super) fn read() -> Result<Vec<Bug>, String> {
    let folder = root().join("exam");
    let listed = std::fs::read_dir(&folder).map_err(|it| format!("{}: {it}", folder.display()))?;
    let mut bugs = Vec::new();
    for entry in listed {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.extension().is_none_or(|extension| extension != "patch") {
            continue;
        }
        let text = std::fs::read_to_string(&path);
        let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
        bugs.push(Bug::parse(&path, &text)?);
    }
    bugs.sort_by_key(|bug| bug.number);
    Ok(bugs)
}

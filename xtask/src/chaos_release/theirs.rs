//! What `cargo xtask openchaos` printed: a line for each fault, which begins with a verdict.

use crate::openchaos;

/// What was said of all faults of `OpenChaos`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Theirs {
    /// The lines of those that have one.
    pub(super) lines: Vec<String>,
    pub(super) failed: Vec<String>,
    /// Played, and it proves nothing; or there is no such verdict.
    pub(super) doubts: Vec<String>,
    pub(super) skipped: Vec<String>,
    /// Names without a line.
    pub(super) not_played: Vec<&'static str>,
    pub(super) played: usize,
}

impl Theirs {
    /// Reads a log.
    pub(super) fn read(log: &str) -> Self {
        let mut theirs = Self::default();
        for name in openchaos::faults() {
            let is_about = |line: &&str| {
                let mut words = line.split_whitespace();
                let verdict = words.next().is_some_and(|word| {
                    ["PASSED", "FAILED", "INVALID", "SKIPPED", "BROKEN"].contains(&word)
                });
                verdict && words.next().is_some_and(|word| word.trim_end_matches(':') == name)
            };
            let Some(line) = log.lines().find(is_about) else {
                theirs.not_played.push(name);
                continue;
            };
            let line = line.trim_end().to_owned();
            theirs.lines.push(line.clone());
            match line.split_whitespace().next() {
                Some("PASSED") => theirs.played += 1,
                Some("FAILED") => {
                    theirs.played += 1;
                    theirs.failed.push(line);
                }
                Some("SKIPPED") => theirs.skipped.push(line),
                Some(_) | None => {
                    theirs.played += 1;
                    theirs.doubts.push(line);
                }
            }
        }
        theirs
    }

    pub(super) fn word(&self) -> &'static str {
        let is_whole = [&self.doubts, &self.skipped].iter().all(|list| list.is_empty());
        match (self.failed.is_empty(), is_whole && self.not_played.is_empty()) {
            (false, _) => "FAILED",
            (true, true) => "PASSED",
            (true, false) => "INVALID",
        }
    }
}

//! The result: a line for each bug, and the table in `docs/RELIABILITY.md`.

use super::catalogue::{Bug, root};
use super::scratch::Verdict;
use std::collections::BTreeSet;
use std::fs;

const PAGE: &str = "docs/RELIABILITY.md";
const BEGIN: &str = "<!-- exam: written by `cargo xtask exam --write` -->";
const END: &str = "<!-- end of the exam -->";

/// What came of one bug.
#[derive(Debug)]
pub(super) struct Row {
    name: String,
    what: String,
    expected: String,
    /// By whom it was found, in words; or why it is not planted.
    found: String,
    seeds: String,
    is_missed: bool,
}

impl Row {
    pub(super) fn of(bug: &Bug, verdicts: &[Verdict]) -> Self {
        let mut by = BTreeSet::new();
        let mut counts = Vec::new();
        let mut misses = 0;
        for verdict in verdicts {
            match verdict {
                Verdict::Found { by: invariant, runs } => {
                    by.insert(invariant.clone());
                    counts.push(*runs);
                }
                Verdict::Missed => misses += 1,
                Verdict::NotBuilt { problem } => {
                    let error = problem.lines().find(|line| line.contains("error"));
                    by.insert(format!("**not built**: {}", error.unwrap_or_default().trim()));
                    misses += 1;
                }
            }
        }
        let by: Vec<String> = by.into_iter().collect();
        let mut found = by.join(", ");
        if let Some(why) = &bug.why_not {
            found = format!("not planted: {why}");
        } else if counts.is_empty() && found.is_empty() {
            found = "**not found**".to_owned();
        } else if misses > 0 && !counts.is_empty() {
            found = format!("{found}; missed {misses} of {} times", verdicts.len());
        }
        let worst = counts.iter().max().copied().unwrap_or(0);
        let seeds = match counts.len() {
            0 => "–".to_owned(),
            1 => worst.to_string(),
            _ => format!("{} / {worst}", median(&mut counts)),
        };
        Self {
            name: bug.name(),
            what: format!("{} ({})", bug.what, bug.source),
            expected: bug.expected.clone(),
            found,
            seeds,
            is_missed: misses > 0,
        }
    }

    pub(super) fn is_missed(&self) -> bool {
        self.is_missed
    }

    pub(super) fn line(&self) -> String {
        format!(
            "{}  {}  after {} seeds (expected {})",
            self.name, self.found, self.seeds, self.expected
        )
    }
}

/// The one in the middle; of two the larger.
pub(super) fn median(counts: &mut [u64]) -> u64 {
    counts.sort_unstable();
    counts.get(counts.len() / 2).copied().unwrap_or(0)
}

pub(super) fn text(rows: &[Row], commit: &str, seeds: u64, repeats: u64) -> String {
    let planted = rows.iter().filter(|row| !row.found.starts_with("not planted")).count();
    let missed = rows.iter().filter(|row| row.is_missed).count();
    let mut text = format!(
        "`cargo xtask exam --seeds {seeds} --repeats {repeats}` at {commit}: {} of {planted} planted bugs found; {} of the list are not planted.\n\n\
         | Bug | Planted (source) | Expected | Found by | Seeds{} |\n|---|---|---|---|---|\n",
        planted - missed,
        rows.len() - planted,
        if repeats > 1 { ", median / worst" } else { "" },
    );
    for row in rows {
        let Row { name, what, expected, found, seeds, .. } = row;
        text.push_str(&format!("| {name} | {what} | {expected} | {found} | {seeds} |\n"));
    }
    text
}

/// Puts the table between the marks of the page.
pub(super) fn write(table: &str) -> Result<(), String> {
    let path = root().join(PAGE);
    let page = fs::read_to_string(&path).map_err(|error| format!("{PAGE}: {error}"))?;
    let page = replaced(&page, table).ok_or(format!("{PAGE} lacks the marks of the exam"))?;
    fs::write(&path, page).map_err(|error| format!("{PAGE}: {error}"))
}

fn replaced(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::{BEGIN, END, replaced};

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let page = format!("head\n{BEGIN}\nold\n{END}\ntail\n");
        let once = replaced(&page, "new\n").unwrap();
        assert_eq!(once, format!("head\n{BEGIN}\n\nnew\n\n{END}\ntail\n"));
        assert_eq!(replaced(&once, "new\n").unwrap(), once);
        assert_eq!(replaced("head\n", "new\n"), None);
    }
}

//! The result: a line for each bug, and the table in `docs/RELIABILITY.md`.

use super::catalogue::Bug;
use super::scratch::Verdict;
use crate::tree::root;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

const PAGE: &str = "docs/RELIABILITY.md";
const BEGIN: &str = "<!-- exam: written by `cargo xtask exam --write` -->";
const END: &str = "<!-- end of the exam -->";

/// What came of one bug.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    what: String,
    expected: String,
    /// By whom it was found, in words; or why it is not planted.
    found: String,
    seeds: String,
    is_missed: bool,
}

impl Row {
    /// `asked`: after how many seeds each repetition gave up.
    pub(super) fn of(bug: &Bug, verdicts: &[Verdict], asked: u64) -> Self {
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
            0 if verdicts.len() > 1 => format!("none of {} times {asked}", verdicts.len()),
            0 if bug.is_planted() => format!("none of {asked}"),
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

/// The table with a new row; the others are those of `page`, which were found out at other commits.
fn text(page: &str, row: &Row, commit: &str) -> String {
    let old = page.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END));
    let mut lines: BTreeMap<String, String> = BTreeMap::new();
    for line in old.map_or("", |(old, _)| old).lines().filter(|line| line.starts_with("| P")) {
        let name = line.split(' ').nth(1).unwrap_or_default();
        lines.insert(name.to_owned(), line.to_owned());
    }
    let Row { name, what, expected, found, seeds, .. } = row;
    let is_planted = !found.starts_with("not planted");
    let commit = if is_planted { commit } else { "–" };
    let line = format!("| {name} | {what} | {expected} | {found} | {seeds} | {commit} |");
    lines.insert(name.clone(), line);
    let count = |word: &str| lines.values().filter(|line| line.contains(word)).count();
    let not_planted = count("| not planted");
    let missed = count("**not found**") + count("**not built**");
    let (open, partly) = (count("| not examined yet |"), count("; missed "));
    let planted = lines.len() - not_planted;
    let mut text = format!(
        "{planted} of {} are planted: {} found ({partly} of them not in every repetition), {missed} not found, {open} \
         not examined yet. The last column says at which commit.\n\n\
         | Bug | Planted (source) | Expected | Found by | Seeds (of several repetitions: median / worst) | Commit |\n\
         |---|---|---|---|---|---|\n",
        lines.len(),
        planted - missed - open,
    );
    for line in lines.values() {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// Puts a row into the table that stands between the marks of the page.
pub(super) fn write(row: &Row, commit: &str) -> Result<(), String> {
    put((BEGIN, END), |page| text(page, row, commit))
}

/// Puts what `table` makes of the page between two marks of it.
pub(super) fn put(marks: (&str, &str), table: impl Fn(&str) -> String) -> Result<(), String> {
    let path = root().join(PAGE);
    let page = fs::read_to_string(&path).map_err(|error| format!("{PAGE}: {error}"))?;
    let page = replaced(&page, marks, &table(&page));
    let page = page.ok_or(format!("{PAGE} lacks `{}`", marks.0))?;
    fs::write(&path, page).map_err(|error| format!("{PAGE}: {error}"))
}

fn replaced(page: &str, (begin, end): (&str, &str), table: &str) -> Option<String> {
    let (before, rest) = page.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}\n\n{table}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::{BEGIN, END, Row, replaced, text};

    #[test]
    fn rows_that_were_not_asked_for_stay() {
        let page = format!(
            "{BEGIN}\n\n| P01 | a | R1 | R1 | 3 | old |\n| P02 | b | R2 | not examined yet | – | – |\n{END}"
        );
        let row = Row {
            name: "P02".to_owned(),
            what: "b".to_owned(),
            expected: "R2".to_owned(),
            found: "**not found**".to_owned(),
            seeds: "none of 60".to_owned(),
            is_missed: true,
        };
        let table = text(&page, &row, "new");
        assert!(
            table.starts_with(
                "2 of 2 are planted: 1 found (0 of them not in every repetition), 1 not"
            ),
            "{table}"
        );
        assert!(table.contains("\n| P01 | a | R1 | R1 | 3 | old |\n"), "{table}");
        assert!(
            table.contains("\n| P02 | b | R2 | **not found** | none of 60 | new |\n"),
            "{table}"
        );
    }

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let page = format!("head\n{BEGIN}\nold\n{END}\ntail\n");
        let once = replaced(&page, (BEGIN, END), "new\n").unwrap();
        assert_eq!(once, format!("head\n{BEGIN}\n\nnew\n\n{END}\ntail\n"));
        assert_eq!(replaced(&once, (BEGIN, END), "new\n").unwrap(), once);
        assert_eq!(replaced("head\n", (BEGIN, END), "new\n"), None);
    }
}

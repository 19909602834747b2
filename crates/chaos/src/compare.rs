//! Runs of several targets side by side, from the `verdict.json` of each: a Markdown text and a page.
//!
//! Runs of one target are added up. Nothing is judged again: a verdict is what its run said.

use crate::judge::KINDS;
use crate::recovery::Row;
use maud::html;
use report::draw::page;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Runs that one comparison reads.
pub const RUNS_MAX: usize = 100;

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A folder has no verdict that can be read.
    #[error("{0}: {1}")]
    Unreadable(String, io::Error),
    /// What is there is not the verdict of a run.
    #[error("{0}: not the verdict of a chaos run, or of an older program: no {1}")]
    NoVerdict(String, &'static str),
    /// Too many folders.
    #[error("{0} runs; RUNS_MAX is {RUNS_MAX}")]
    TooMany(usize),
}

/// What all runs of one target showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// The target, for a reader.
    label: String,
    verdicts: Vec<String>,
    seconds: u64,
    faults: usize,
    unconfirmed: usize,
    /// Ok, refused, unknown.
    operations: [u64; 3],
    /// In the order of [`KINDS`].
    counts: [u64; KINDS.len()],
    /// Outages in ms, ascending, by fault.
    outages: BTreeMap<String, Vec<u64>>,
    /// Injections, and masters that were replaced under them, by fault.
    replaced: BTreeMap<String, (u64, u64)>,
    /// What did not hold, the first few in words.
    violations: Vec<String>,
}

/// Violations of one side that are shown in words.
const SHOWN_MAX: usize = 8;

/// Characters of one violation that are shown: a line, not its whole list of operations.
const SHOWN_CHARS_MAX: usize = 240;

/// Reads the verdicts of these run folders; one side for each target, in the order of their first run.
///
/// # Errors
/// A folder without a verdict, or too many folders.
pub fn read(folders: &[PathBuf]) -> Result<Vec<Side>, CompareError> {
    if folders.len() > RUNS_MAX {
        return Err(CompareError::TooMany(folders.len()));
    }
    let mut sides: Vec<Side> = Vec::new();
    for folder in folders {
        let file = folder.join("verdict.json");
        let shown = || file.display().to_string();
        let text =
            fs::read_to_string(&file).map_err(|error| CompareError::Unreadable(shown(), error))?;
        let verdict: Value = serde_json::from_str(&text)
            .map_err(|error| CompareError::Unreadable(shown(), error.into()))?;
        add(&mut sides, &verdict).map_err(|lacks| CompareError::NoVerdict(shown(), lacks))?;
    }
    Ok(sides)
}

fn add(sides: &mut Vec<Side>, verdict: &Value) -> Result<(), &'static str> {
    let label = verdict["label"].as_str().ok_or("label")?;
    let place = sides.iter().position(|side| side.label == label).unwrap_or_else(|| {
        sides.push(Side { label: label.to_owned(), ..Side::default() });
        sides.len() - 1
    });
    let side = &mut sides[place];
    side.verdicts.push(verdict["verdict"].as_str().ok_or("verdict")?.to_owned());
    side.seconds += verdict["seconds"].as_u64().ok_or("seconds")?;
    let events = verdict["events"].as_array().ok_or("events")?;
    side.faults += events.len();
    let has_doubts = |event: &&Value| event["doubts"].as_array().is_some_and(|all| !all.is_empty());
    side.unconfirmed += events.iter().filter(has_doubts).count();
    for (sum, name) in side.operations.iter_mut().zip(["ok", "refused", "unknown"]) {
        *sum += verdict["operations"][name].as_u64().ok_or("operations")?;
    }
    for (kind, sum) in side.counts.iter_mut().enumerate() {
        *sum += verdict["counts"][kind].as_u64().ok_or("counts")?;
    }
    for row in verdict["recovery"].as_array().ok_or("recovery")? {
        let outages = row["outagesMs"].as_array().into_iter().flatten().filter_map(Value::as_u64);
        let name = row["fault"].as_str().unwrap_or_default();
        let of_fault = side.outages.entry(name.to_owned()).or_default();
        of_fault.extend(outages);
        of_fault.sort_unstable();
        let injections = events.iter().filter(|event| event["fault"] == name).count();
        let replaced = side.replaced.entry(name.to_owned()).or_default();
        replaced.0 += u64::try_from(injections).unwrap_or_default();
        replaced.1 += row["mastersReplaced"].as_u64().ok_or("mastersReplaced")?;
    }
    let lines = verdict["violations"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let room = SHOWN_MAX.saturating_sub(side.violations.len());
    side.violations.extend(lines.take(room).map(first_line));
    Ok(())
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(SHOWN_CHARS_MAX).collect()
}

/// A table: its heading, then rows as wide.
type Table = (Vec<String>, Vec<Vec<String>>);

fn summary(sides: &[Side]) -> Table {
    let heading = [String::new()].into_iter().chain(sides.iter().map(|side| side.label.clone()));
    let row = |name: &str, cell: &dyn Fn(&Side) -> String| {
        [name.to_owned()].into_iter().chain(sides.iter().map(cell)).collect::<Vec<_>>()
    };
    let mut rows = vec![
        row("verdicts", &|side| side.verdicts.join(", ")),
        row("seconds, the start among them", &|side| side.seconds.to_string()),
        row("faults", &|side| side.faults.to_string()),
        row("of these not confirmed", &|side| side.unconfirmed.to_string()),
    ];
    for (place, name) in ["carried out", "refused", "unknown"].into_iter().enumerate() {
        rows.push(row(&format!("operations {name}"), &|side| side.operations[place].to_string()));
    }
    for (place, name) in KINDS.into_iter().enumerate() {
        rows.push(row(name, &|side| side.counts[place].to_string()));
    }
    (heading.collect(), rows)
}

/// A row for each fault, a column for each side.
fn by_fault(sides: &[Side], cell: &dyn Fn(&Side, &str) -> String) -> Table {
    let faults: BTreeSet<&String> = sides.iter().flat_map(|side| side.outages.keys()).collect();
    let heading =
        ["fault".to_owned()].into_iter().chain(sides.iter().map(|side| side.label.clone()));
    let row = |fault: &String| {
        let cells = sides.iter().map(|side| cell(side, fault));
        [format!("`{fault}`")].into_iter().chain(cells).collect()
    };
    (heading.collect(), faults.into_iter().map(row).collect())
}

fn outages(sides: &[Side]) -> Table {
    by_fault(sides, &|side, fault| match side.outages.get(fault).map(Vec::as_slice) {
        None | Some([]) => NONE.to_owned(),
        Some(values) => {
            let (half, most) = (Row::percentile(values, 50), Row::percentile(values, 100));
            format!("{half} / {most} ({})", values.len())
        }
    })
}

fn replaced(sides: &[Side]) -> Table {
    by_fault(sides, &|side, fault| match side.replaced.get(fault) {
        None | Some((0, _)) => NONE.to_owned(),
        Some((injections, masters)) => format!("{masters} ({injections})"),
    })
}

const ABOUT: &str = "The same faults, brokers, clients, histories and judges for every target; the operator takes part only with ours. A verdict of upstream's controllers is a \
                     finding about them, by our rules. Times are of one machine that also ran the harness: upper bounds.";

/// A fault that was not injected, or of which no sample counts.
const NONE: &str = "–";

const REPLACED: &str = "Changes from one master to another, all broker sets together, from the first deed to the next fault, whoever \
                        was to blame (injections).";

const OUTAGE: &str = "Longest time in which some writer had no success, from the first deed on, in ms: p50 / max (injections). \
                      A writer asks every controller at once.";

/// The comparison as Markdown; `origin` says where, when, and by which commands.
#[must_use]
pub fn markdown(sides: &[Side], origin: &str) -> String {
    let paragraphs = ["# Chaos: targets side by side", origin, ABOUT];
    let mut text = String::new();
    for paragraph in paragraphs.into_iter().filter(|paragraph| !paragraph.is_empty()) {
        writeln!(text, "{paragraph}\n").expect("a string grows");
    }
    write_table(&mut text, &summary(sides));
    text.push_str("\n## How long faults were felt\n\n");
    text.push_str(OUTAGE);
    text.push_str("\n\n");
    write_table(&mut text, &outages(sides));
    text.push_str("\n## How many masters were replaced\n\n");
    text.push_str(REPLACED);
    text.push_str("\n\n");
    write_table(&mut text, &replaced(sides));
    for side in sides.iter().filter(|side| !side.violations.is_empty()) {
        writeln!(text, "\n## {}: the first violations\n", side.label).expect("a string grows");
        for line in &side.violations {
            writeln!(text, "- {line}").expect("a string grows");
        }
    }
    text
}

fn write_table(text: &mut String, (heading, rows): &Table) {
    let rule = vec!["---".to_owned(); heading.len()];
    for row in [heading, &rule].into_iter().chain(rows) {
        writeln!(text, "| {} |", row.join(" | ")).expect("a string grows");
    }
}

/// The comparison as one page that needs nothing from elsewhere.
#[must_use]
pub fn html(sides: &[Side], origin: &str) -> String {
    let table = |(heading, rows): &Table| {
        html! {
            div.card.scroll {
                table {
                    tr { @for (at, word) in heading.iter().enumerate() { th.n[at > 0] { (word) } } }
                    @for row in rows {
                        tr { @for (at, word) in row.iter().enumerate() { td.n[at > 0] { (word.trim_matches('`')) } } }
                    }
                }
            }
        }
    };
    let body = html! {
        p { (ABOUT) }
        (page::section("summary", "What each showed", "Runs of one target are added up.", &table(&summary(sides))))
        (page::section("outages", "How long faults were felt", OUTAGE, &table(&outages(sides))))
        (page::section("replaced", "How many masters were replaced", REPLACED, &table(&replaced(sides))))
        @for side in sides.iter().filter(|side| !side.violations.is_empty()) {
            h2 { (side.label) ": the first violations" }
            @for line in &side.violations { pre { (line) } }
        }
    };
    page::page("Chaos: targets side by side", origin, &body, None)
}

/// Writes both, whichever is wanted.
///
/// # Errors
/// A file or its folder cannot be written.
pub fn write(
    sides: &[Side],
    origin: &str,
    as_markdown: Option<&Path>,
    as_html: Option<&Path>,
) -> io::Result<()> {
    let files = [(as_markdown, markdown(sides, origin)), (as_html, html(sides, origin))];
    for (file, text) in files {
        let Some(file) = file else { continue };
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(file, text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Side, add, html, markdown};
    use serde_json::{Value, json};

    fn verdict(label: &str, word: &str, outages: &[u64], needless: u64) -> Value {
        json!({
            "label": label, "verdict": word, "seconds": 60, "counts": [0, 0, 0, needless, 0],
            "operations": { "ok": 10, "refused": 2, "unknown": 1 },
            "violations": ["NEEDLESS: a\n  and more"], "events": [{ "fault": "leader-kill", "doubts": [] }, { "fault": "noop", "doubts": ["why"] }],
            "recovery": [{ "fault": "leader-kill", "outagesMs": outages, "mastersReplaced": needless }],
        })
    }

    fn sides() -> Vec<Side> {
        let mut sides = Vec::new();
        for verdict in [
            verdict("ours", "PASSED", &[100, 300], 0),
            verdict("theirs", "FAILED", &[9_000], 4),
            verdict("ours", "PASSED", &[200], 0),
        ] {
            add(&mut sides, &verdict).unwrap();
        }
        sides
    }

    #[test]
    fn runs_of_one_target_are_added_up() {
        let text = markdown(&sides(), "made by hand");
        for line in [
            "|  | ours | theirs |",
            "| verdicts | PASSED, PASSED | FAILED |",
            "| seconds, the start among them | 120 | 60 |",
            "| of these not confirmed | 2 | 1 |",
            "| operations carried out | 20 | 10 |",
            "| healthy masters that were replaced | 0 | 4 |",
            "| `leader-kill` | 200 / 300 (3) | 9000 / 9000 (1) |",
            "| `leader-kill` | 0 (2) | 4 (1) |",
            "- NEEDLESS: a",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }

    #[test]
    fn the_page_holds_the_same() {
        let page = html(&sides(), "made by hand");
        for part in ["theirs", "9000 / 9000 (1)", "made by hand"] {
            assert!(page.contains(part), "{part}");
        }
    }

    #[test]
    fn what_is_no_verdict_is_named() {
        let mut whole = verdict("a", "PASSED", &[], 0);
        whole["counts"] = Value::Null;
        assert_eq!(add(&mut Vec::new(), &whole), Err("counts"));
        assert_eq!(add(&mut Vec::new(), &json!({})), Err("label"));
    }
}

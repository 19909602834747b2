//! What the runs showed, for the terminal and for `docs/report/openchaos.md`.
//!
//! That file has a section for each target and mapping, and in it the last run of each fault; a command replaces the
//! rows of those that it ran and leaves the others.

use super::faults::FAULTS;
use super::ground::tool;
use super::result::{Shown, Verdict};
use super::{Mapping, ORIGIN, Options, ROCKETMQ, Target};
use crate::interop::report::{Failure, Outcome};
use crate::program;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Where the table is written, below the repository.
pub(super) const REPORT: &str = "docs/report/openchaos.md";

/// A section begins with this.
const SECTION: &str = "## ";

/// What became of one fault.
#[derive(Debug)]
pub(super) enum Row {
    Played(Shown, Verdict),
    /// The kernel lacks what it needs.
    Skipped(&'static str, String),
    /// `OpenChaos` or a node did not do what it should.
    Broken(&'static str, String),
}

impl Row {
    fn fault(&self) -> &str {
        match self {
            Self::Played(shown, _) => &shown.fault,
            Self::Skipped(fault, _) | Self::Broken(fault, _) => fault,
        }
    }

    /// Whether the command may say that all is well: of upstream's controllers a failure is what is asked for.
    pub(super) fn is_well(&self, target: Target) -> bool {
        match self {
            Self::Played(_, Verdict::Passed) | Self::Skipped(..) => true,
            Self::Played(_, Verdict::Failed(_)) => target != Target::Pitchover,
            Self::Played(_, Verdict::Invalid(_)) | Self::Broken(..) => false,
        }
    }
}

/// Above a table for the terminal.
pub(super) fn heading(target: Target, mapping: Mapping) -> String {
    format!(
        "\n{}, mapping {}\nVERDICT  {:<26} {:>6} {:>6} {:>5} {:>10} {:>13} {:>9} {:>10}  SEEN TO WORK",
        target.name(),
        mapping.name(),
        "FAULT",
        "PUTS",
        "ACKED",
        "LOST",
        "OWN CHECK",
        "SECOND",
        "OUTAGE MS",
        "RTO MS"
    )
}

/// One run.
pub(super) fn line(shown: &Shown, verdict: &Verdict) -> String {
    let (word, why) = words(verdict);
    let why = if why.is_empty() { String::new() } else { format!("\n         {why}") };
    let [puts, acknowledged, lost, own, second, outage, rto, seen] = figures(shown);
    let emulated = emulated(shown);
    format!(
        "{word:<8} {:<26} {puts:>6} {acknowledged:>6} {lost:>5} {own:>10} {second:>13} {outage:>9} {rto:>10}  {seen}{emulated}{why}",
        shown.fault
    )
}

/// What one run showed, in the order of the columns.
fn figures(shown: &Shown) -> [String; 8] {
    let counts = shown.counts;
    [
        counts.puts.to_string(),
        counts.acknowledged.to_string(),
        lost(shown),
        shown.violations.to_string(),
        shown.second.word().to_owned(),
        shown.outage_ms.to_string(),
        times(&shown.rto_ms),
        format!("{} of {}", shown.confirmed, shown.injections),
    ]
}

fn words(verdict: &Verdict) -> (&'static str, &str) {
    match verdict {
        Verdict::Passed => ("PASSED", ""),
        Verdict::Failed(why) => ("FAILED", why),
        Verdict::Invalid(why) => ("INVALID", why),
    }
}

/// A word for a fault that was made by a program of ours, since the kernel cannot.
fn emulated(shown: &Shown) -> String {
    shown.held.map_or(String::new(), |held| format!(", EMULATED: {held} packets held"))
}

/// What is lost, if that is known.
fn lost(shown: &Shown) -> String {
    if shown.was_read { shown.counts.lost.to_string() } else { "?".to_owned() }
}

fn times(times: &[u64]) -> String {
    if times.is_empty() {
        return "none".to_owned();
    }
    times.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

/// Puts one run into the section of this target and mapping, in place of an earlier one of the same fault.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write(file: &Path, options: &Options, row: &Row) -> Outcome<()> {
    let title = format!("{}, mapping {}", options.target.name(), options.mapping.name());
    let before = introduced(&fs::read_to_string(file).unwrap_or_default());
    let mut rows = rows(&before, &title);
    rows.insert(place(row.fault()), cells(row, &about_run(options)?));
    let section = section(&title, options.target, &rows);
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(Failure::while_doing(folder.display()))?;
    }
    fs::write(file, replaced(&before, &title, &section))
        .map_err(Failure::while_doing(file.display()))
}

/// Where a fault's row stands.
fn place(fault: &str) -> usize {
    FAULTS.iter().position(|known| known.name == fault).unwrap_or(FAULTS.len())
}

/// The rows of a section by the places of their faults.
fn rows(text: &str, title: &str) -> BTreeMap<usize, String> {
    let lines = text.lines().skip_while(|line| line.strip_prefix(SECTION) != Some(title)).skip(1);
    lines
        .take_while(|line| !line.starts_with(SECTION))
        .filter_map(|line| {
            let (fault, _) = line.strip_prefix("| `")?.split_once('`')?;
            Some((place(fault), line.to_owned()))
        })
        .collect()
}

const INTRODUCTION: &str = "\
# OpenChaos against controllers

Written by `cargo xtask openchaos --write`, which replaces the rows of the faults that it runs. What a put is, and what OpenChaos cannot do, stands in
[interop/openchaos/README.md](../../interop/openchaos/README.md).

| Column | Means |
|---|---|
| Puts, acknowledged, lost | OpenChaos' own counts; *lost* is its verdict, ? if nobody answered its last read |
| Own check | violations that the driver's check counted; every one is a pair of answers that cannot both be |
| Second opinion | `pitchover check` over the same history, by other code |
| Outage | longest time without an acknowledged put of any client, over the whole run |
| RTO | OpenChaos' own, from the first failed request after an injection to the next success; none: no request failed |
| Seen to work | injections whose trace was seen from outside, of those that OpenChaos recorded; EMULATED: made by a program of ours, since the kernel has no netem |
| Run | date, commit of our program (or digest of a file that was named) or release of RocketMQ, length, load of the machine at the end |

One run each, on a virtual machine with two cores that did other work at the same time: times are upper bounds, counts are what happened in that run.
";

/// `text` with the introduction as it is today above its sections.
fn introduced(text: &str) -> String {
    let heading = format!("\n{SECTION}");
    let sections = text.split_once(&heading);
    sections.map_or(INTRODUCTION.to_owned(), |(_, rest)| format!("{INTRODUCTION}{heading}{rest}"))
}

fn section(title: &str, target: Target, rows: &BTreeMap<usize, String>) -> String {
    let release = match target {
        Target::Pitchover => String::new(),
        Target::JavaDledger | Target::JavaJraft => format!(", RocketMQ {ROCKETMQ}"),
    };
    let mut text = format!(
        "{SECTION}{title}\n\nOpenChaos {}{release}.\n\n\
         | Fault | Nodes | Puts | Acknowledged | Lost | Own check | Second opinion | Outage, ms | RTO, ms | Seen to work | Verdict | Run |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
        ORIGIN.commit
    );
    for row in rows.values() {
        text.push_str(row);
        text.push('\n');
    }
    text
}

fn cells(row: &Row, run: &str) -> String {
    let none = |fault: &str, word: &str, why: &str| {
        let why = why.replace(['\n', '|'], " ");
        format!("| `{fault}` | | | | | | | | | | {word}: {why} | {run} |")
    };
    let (one, verdict) = match row {
        Row::Played(one, verdict) => (one, verdict),
        Row::Skipped(fault, why) => return none(fault, "SKIPPED", why),
        Row::Broken(fault, why) => return none(fault, "BROKEN OFF", why),
    };
    let (word, why) = words(verdict);
    let colon = if why.is_empty() { "" } else { ": " };
    let figures = figures(one).join(" | ");
    let emulated = emulated(one);
    format!(
        "| `{}` | {} | {figures}{emulated} | {word}{colon}{why} | {run} |",
        one.fault, one.nodes
    )
}

/// What a run's figures come from, as far as it matters and no further.
fn about_run(options: &Options) -> Outcome<String> {
    let date = tool(&["date", "-u", "+%Y-%m-%d"])?;
    let what = match options.target {
        Target::Pitchover => program::name(crate::tree::root(), options.pitchover.as_deref()),
        Target::JavaDledger | Target::JavaJraft => ROCKETMQ.to_owned(),
    };
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    Ok(format!("{}, {}, {} s, load {load}", date.trim(), what.trim(), options.seconds()))
}

/// `text` with the section of this title replaced, or added.
fn replaced(text: &str, title: &str, section: &str) -> String {
    let heading = format!("\n{SECTION}{title}\n");
    let Some((before, after)) = text.split_once(&heading) else {
        return format!("{}\n\n{section}", text.trim_end());
    };
    let rest = after.split_once(&format!("\n{SECTION}"));
    let rest = rest.map_or(String::new(), |(_, rest)| format!("\n{SECTION}{rest}"));
    format!("{}\n\n{section}{rest}", before.trim_end())
}

#[cfg(test)]
mod tests {
    use super::{INTRODUCTION, Row, cells, introduced, line, place, replaced, rows, section};
    use crate::openchaos::Target;
    use crate::openchaos::result::{Shown, Verdict};

    #[test]
    fn what_was_emulated_says_so_and_only_that() {
        let check = |held, expected: bool| {
            let shown = Shown { fault: "random-delay".into(), held, ..Shown::default() };
            let text = line(&shown, &Verdict::Passed);
            assert!(text.starts_with("PASSED   random-delay "), "{text}");
            let row = cells(&Row::Played(shown, Verdict::Passed), "today");
            for text in [text, row] {
                assert_eq!(text.contains("0 of 0, EMULATED: 7 packets held"), expected, "{text}");
                assert_eq!(text.contains("EMULATED"), expected, "{text}");
            }
        };
        check(Some(7), true);
        check(None, false);
    }

    #[test]
    fn a_reason_of_several_lines_is_one_row() {
        let why = || "no netem\nnor | a device".to_owned();
        for row in [Row::Skipped("random-delay", why()), Row::Broken("random-delay", why())] {
            let text = cells(&row, "today");
            assert!(text.contains(": no netem nor   a device | today |"), "{text}");
        }
    }

    #[test]
    fn the_introduction_is_todays_and_sections_stay() {
        assert_eq!(introduced(""), INTRODUCTION);
        let expected = format!("{INTRODUCTION}\n## one\n\n1\n\n## two\n");
        assert_eq!(introduced("# Old\n\nwords\n\n## one\n\n1\n\n## two\n"), expected);
    }

    #[test]
    fn the_row_of_a_fault_is_replaced_and_those_of_others_stay() {
        let row = |fault: &str, run: &str| format!("| `{fault}` | 3 | {run} |");
        let before = format!(
            "# Title\n\n## ours\n\n{}\n{}\n\n## theirs\n\n{}\n",
            row("bridge", "old"),
            row("leader-kill", "old"),
            row("leader-suspend", "theirs")
        );
        let mut all = rows(&before, "ours");
        all.insert(place("bridge"), row("bridge", "new"));
        let text = replaced(&before, "ours", &section("ours", Target::Pitchover, &all));
        let kept: Vec<String> = rows(&text, "ours").into_values().collect();
        assert_eq!(
            kept,
            [row("leader-kill", "old"), row("bridge", "new")],
            "in the order of faults"
        );
        assert_eq!(
            rows(&text, "theirs").into_values().collect::<Vec<_>>(),
            [row("leader-suspend", "theirs")]
        );
    }

    #[test]
    fn a_section_is_replaced_and_others_stay() {
        let added = replaced("# Title\n", "one", "## one\n\n1\n");
        assert_eq!(added, "# Title\n\n## one\n\n1\n");
        let both = replaced(&added, "two", "## two\n\n2\n");
        assert_eq!(both, "# Title\n\n## one\n\n1\n\n## two\n\n2\n");
        let again = replaced(&both, "one", "## one\n\n3\n");
        assert_eq!(again, "# Title\n\n## one\n\n3\n\n## two\n\n2\n");
        assert_eq!(
            replaced(&again, "two", "## two\n\n4\n"),
            "# Title\n\n## one\n\n3\n\n## two\n\n4\n"
        );
    }
}

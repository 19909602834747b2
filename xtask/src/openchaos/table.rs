//! What the runs showed, for the terminal and for `docs/report/openchaos.md`.
//!
//! That file has a section for each target and mapping; a command replaces its own and leaves the others.

use super::ground::tool;
use super::play::seconds;
use super::result::{Shown, Verdict};
use super::{Mapping, ORIGIN, Options, ROCKETMQ, Target};
use crate::interop::report::{Failure, Outcome};
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
    /// Whether the command may say that all is well: of upstream's controllers a failure is what is asked for.
    pub(super) fn is_well(&self, target: Target) -> bool {
        match self {
            Self::Played(_, Verdict::Passed) | Self::Skipped(..) => true,
            Self::Played(_, Verdict::Failed) => target != Target::Pitchover,
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
    let counts = shown.counts;
    let (word, why) = words(verdict);
    let why = if why.is_empty() { String::new() } else { format!("\n         {why}") };
    format!(
        "{word:<8} {:<26} {:>6} {:>6} {:>5} {:>10} {:>13} {:>9} {:>10}  {} of {}{why}",
        shown.fault,
        counts.puts,
        counts.acknowledged,
        lost(shown),
        shown.violations,
        shown.second.word(),
        shown.outage_ms,
        times(&shown.rto_ms),
        shown.confirmed,
        shown.injections
    )
}

fn words(verdict: &Verdict) -> (&'static str, &str) {
    match verdict {
        Verdict::Passed => ("PASSED", ""),
        Verdict::Failed => ("FAILED", ""),
        Verdict::Invalid(why) => ("INVALID", why),
    }
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

/// Replaces the section of this target and mapping.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write(file: &Path, options: &Options, rows: &[Row]) -> Outcome<()> {
    let title = format!("{}, mapping {}", options.target.name(), options.mapping.name());
    let section = section(&title, options, rows)?;
    let before = fs::read_to_string(file).unwrap_or_else(|_| INTRODUCTION.to_owned());
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(Failure::while_doing(folder.display()))?;
    }
    fs::write(file, replaced(&before, &title, &section))
        .map_err(Failure::while_doing(file.display()))
}

const INTRODUCTION: &str = "\
# OpenChaos against controllers

Written by `cargo xtask openchaos --write`; each section by one command. What a put is, and what OpenChaos cannot do, stands in
[interop/openchaos/README.md](../../interop/openchaos/README.md).

| Column | Means |
|---|---|
| Puts, acknowledged, lost | OpenChaos' own counts; *lost* is its verdict, ? if nobody answered its last read |
| Own check | violations that the driver's check counted; every one is a pair of answers that cannot both be |
| Second opinion | `pitchover check` over the same history, by other code |
| Outage | longest time without an acknowledged put of any client, over the whole run |
| RTO | OpenChaos' own, from the first failed request after an injection to the next success; none: no request failed |
| Seen to work | injections whose trace was seen from outside, of those that OpenChaos recorded |

One run each, on a machine that did other work at the same time: times are upper bounds, counts are what happened in that run.
";

fn section(title: &str, options: &Options, rows: &[Row]) -> Outcome<String> {
    let date = tool(&["date", "-u", "+%Y-%m-%d"])?;
    let mut text = format!(
        "{SECTION}{title}\n\n{}. {}. OpenChaos {}, {} s a run{}.\n\n",
        date.trim(),
        machine(),
        ORIGIN.commit,
        seconds(options.writes),
        match options.target {
            Target::Pitchover => String::new(),
            Target::JavaDledger | Target::JavaJraft => format!(", RocketMQ {ROCKETMQ}"),
        }
    );
    text.push_str(
        "| Fault | Nodes | Puts | Acknowledged | Lost | Own check | Second opinion | Outage, ms | RTO, ms | Seen to work | Verdict |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let Row::Played(one, verdict) = row else { continue };
        let counts = one.counts;
        let (word, why) = words(verdict);
        let colon = if why.is_empty() { "" } else { ": " };
        text.push_str(&format!(
            "| `{}` | {} | {} | {} | {} | {} | {} | {} | {} | {} of {} | {word}{colon}{why} |\n",
            one.fault,
            one.nodes,
            counts.puts,
            counts.acknowledged,
            lost(one),
            one.violations,
            one.second.word(),
            one.outage_ms,
            times(&one.rto_ms),
            one.confirmed,
            one.injections
        ));
    }
    for row in rows {
        match row {
            Row::Played(..) => {}
            Row::Skipped(fault, why) => text.push_str(&format!("\nSkipped: `{fault}`: {why}\n")),
            Row::Broken(fault, why) => text.push_str(&format!("\nBroken off: `{fault}`: {why}\n")),
        }
    }
    Ok(text)
}

/// What the figures come from, as far as it matters and no further.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let version: Vec<&str> = kernel.trim().split(['.', '-']).take(2).collect();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    format!("Virtual machine, {cores} cores, Linux {}, load {load} at the end", version.join("."))
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
    use super::replaced;

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

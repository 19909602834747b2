//! From run folders to the report: figures, tables, page and Markdown, all through `pitchover report`.

use super::arms::Arm;
use super::figures::{Figures, OURS};
use super::record::Record;
use super::tables;
use crate::interop::process::run;
use crate::interop::report::{Failure, Outcome};
use serde_json::Value;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long one form of a report may take.
const LIMIT: Duration = Duration::from_secs(300);

const TITLE: &str = "Pitchover beside the Java controllers of RocketMQ";

/// The page and the Markdown of a report, by the names that they have everywhere.
pub(super) const FILES: [&str; 2] = ["index.html", "README.md"];

/// Writes the report of all runs in `folder` beside them; the goals that were reached, missed, not measured.
///
/// # Errors
/// There is no run, or `pitchover report` failed.
pub(super) fn write(pitchover: &Path, folder: &Path, record: &Record) -> Outcome<[usize; 3]> {
    let runs = run_folders(folder, &record.arms());
    if runs.is_empty() {
        return Err(Failure("no run was made, so there is nothing to report".to_owned()));
    }
    let is_ours = |run: &&String| run.starts_with(&format!("runs/{}/", OURS.name()));
    let (ours, others): (Vec<&String>, Vec<&String>) = runs.iter().partition(is_ours);
    let ours_first: Vec<String> = ours.into_iter().chain(others).cloned().collect();
    draw(pitchover, folder, ("json", "figures.json"), &ours_first, &[])?;
    let path = folder.join("figures.json");
    let text = std::fs::read_to_string(&path).map_err(Failure::while_doing(path.display()))?;
    let read: Value = serde_json::from_str(&text).map_err(Failure::while_doing(path.display()))?;
    let figures = Figures::read(&read);
    let judged = tables::judged(&figures);
    let tables = tables::all(&figures, &record.facts(), &record.arms());
    for (name, value) in [("judged.json", &judged), ("tables.json", &tables)] {
        let path = folder.join(name);
        std::fs::write(&path, format!("{value:#}\n"))
            .map_err(Failure::while_doing(path.display()))?;
    }
    let [page, markdown] = FILES;
    draw(pitchover, folder, ("md", markdown), &runs, &["--tables", "tables.json"])?;
    let both = ["--tables", "tables.json", "--judged", "judged.json"];
    draw(pitchover, folder, ("html", page), &runs, &both)?;
    let count = |verdict: &str| {
        judged.as_array().into_iter().flatten().filter(|it| it["verdict"] == verdict).count()
    };
    Ok([count("pass"), count("fail"), count("inconclusive")])
}

/// All run folders, relative to `folder`: arm by arm in the order of the arms, so that the oldest is the baseline.
fn run_folders(folder: &Path, arms: &[Arm]) -> Vec<String> {
    let mut all = Vec::new();
    for arm in arms {
        let below = format!("runs/{}", arm.name());
        let entries = std::fs::read_dir(folder.join(&below)).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter(|entry| entry.path().join("run.json").exists())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort_by_key(|name| (place(name), name.clone()));
        all.extend(names.into_iter().map(|name| format!("{below}/{name}")));
    }
    all
}

/// Where a workload stands in a report: what can be done, how long it takes, what a fleet feels, what failure costs.
fn place(name: &str) -> (usize, u64) {
    const ORDER: [&str; 11] = [
        "writes-saturated",
        "reads-saturated",
        "follower-reads-saturated",
        "heartbeats-saturated",
        "common-rate",
        "writes-share",
        "reads-share",
        "heartbeats",
        "fleet-",
        "failover-",
        "leader-",
    ];
    let same = |known: &str| name == known || (known.ends_with('-') && name.starts_with(known));
    let number = name.rsplit('-').next().and_then(|size| size.parse().ok()).unwrap_or_default();
    (ORDER.iter().position(|known| same(known)).unwrap_or(ORDER.len()), number)
}

/// Calls `pitchover report` for one form, given with the name of its file.
fn draw(
    pitchover: &Path,
    folder: &Path,
    (form, out): (&str, &str),
    runs: &[String],
    options: &[&str],
) -> Outcome<()> {
    let mut command = Command::new(pitchover);
    command.arg0("pitchover").current_dir(folder);
    command.args(["report", form]).args(runs).args(["--across-durability", "--title", TITLE]);
    command.args(options).args(["--out", out]);
    let log: PathBuf = folder.join("logs").join(format!("report-{form}.log"));
    drop(std::fs::remove_file(&log));
    let (status, said) = run(&format!("pitchover report {form}"), command, &log, LIMIT)?;
    if status.success() {
        return Ok(());
    }
    Err(Failure(format!("pitchover report {form} ended with {status}: {}", said.trim())))
}

#[cfg(test)]
mod tests {
    use super::{place, run_folders};
    use crate::versus::arms::Arm;

    #[test]
    fn runs_are_found_in_the_order_of_arms_and_workloads() {
        let folder = std::env::temp_dir().join(format!("versus-runs-{}", std::process::id()));
        for run in ["ours-fsync/leader-lost", "java-jraft/fleet-1000", "java-jraft/fleet-300"] {
            let run = folder.join("runs").join(run);
            std::fs::create_dir_all(&run).expect("it can be made");
            std::fs::write(run.join("run.json"), "{}").expect("it can be written");
        }
        std::fs::create_dir_all(folder.join("runs/java-jraft/tails")).expect("it can be made");
        let found = run_folders(&folder, &Arm::ALL);
        let expected = [
            "runs/java-jraft/fleet-300",
            "runs/java-jraft/fleet-1000",
            "runs/ours-fsync/leader-lost",
        ];
        assert_eq!(found, expected, "what has no run.json is none");
        std::fs::remove_dir_all(&folder).expect("it was made");
        assert!(
            place("writes-saturated") < place("heartbeats") && place("heartbeats") < place("x")
        );
    }
}

//! `pitchover slo`: objectives as code.
//!
//! | Exit code | `check` | `lint` | the others |
//! |---|---|---|---|
//! | 0 | every bar was kept | nothing is wrong or loosened | done |
//! | 1 | a bar was broken | something was loosened without a waiver | – |
//! | 2 | undecided: give another run, or samples are too few | – | – |
//! | 3 | invalid: generator or host, nothing about the server | – | – |
//! | 64 | wrong usage, or a file that is none | the same | the same |

mod extend;

use crate::bench::preset_names;
use crate::exit::{FAILED, INVALID, UNDECIDED, USAGE};
use ::slo::{Ending, Loosened, Objectives, explain, judge, loosened, ratchet, sign};
use clap::{Parser, Subcommand};
use load::workload::{SCHEMA as WORKLOAD_SCHEMA, Workload};
use measure::folder::{self, Found};
use measure::judged::{Judged, Verdict};
use report::draw::numbers;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What can be done with objectives.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Judge run folders by the bars.
    Check(Check),
    /// One objective: its bar, its hopes, and the percentiles of its runs beside them.
    Explain(Explain),
    /// Move bars to hopes that were kept often enough; the file keeps its layout.
    Ratchet(Ratchet),
    /// Is the file right, and does it ask less than another version of it?
    Lint(Lint),
    /// Prometheus recording rules and alerts, as YAML.
    Rules(File),
    /// A Grafana dashboard, as JSON.
    Dashboard(File),
}

/// Where objectives stand.
#[derive(Debug, Parser)]
pub(crate) struct File {
    /// The objectives.
    #[arg(long, value_name = "FILE", default_value = "slo.toml")]
    slo: PathBuf,
}

/// Options of `slo check`.
#[derive(Debug, Parser)]
pub(crate) struct Check {
    #[command(flatten)]
    file: File,
    /// Run folders; several of one workload and arm are judged together.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// While an objective is undecided run its workload again, up to three times, on controllers of this program's own.
    #[arg(long)]
    extend: bool,
    /// Running servers for these runs: `host:port,host:port,...`.
    #[arg(long, value_delimiter = ',', requires = "extend")]
    target: Vec<String>,
    /// Where the verdicts are written, for `report --judged`.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Options of `slo explain`.
#[derive(Debug, Parser)]
pub(crate) struct Explain {
    #[command(flatten)]
    file: File,
    /// Which objective.
    id: String,
    /// Run folders.
    #[arg(value_name = "RUN")]
    runs: Vec<PathBuf>,
}

/// Options of `slo ratchet`.
#[derive(Debug, Parser)]
pub(crate) struct Ratchet {
    #[command(flatten)]
    file: File,
    /// Run folders, of all days.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Say what would move, and leave the file as it is.
    #[arg(long)]
    dry_run: bool,
}

/// Options of `slo lint`.
#[derive(Debug, Parser)]
pub(crate) struct Lint {
    #[command(flatten)]
    file: File,
    /// Another version of the file: a file, or a revision of git that has it.
    #[arg(long, value_name = "FILE|REVISION")]
    against: Option<String>,
}

pub(crate) fn run(command: &Command) -> ExitCode {
    let done = match command {
        Command::Check(arguments) => check(arguments),
        Command::Explain(arguments) => explain_one(arguments),
        Command::Ratchet(arguments) => move_bars(arguments),
        Command::Lint(arguments) => lint(arguments),
        Command::Rules(file) => objectives(&file.slo).map(|(_, it)| print(&::slo::rules(&it))),
        Command::Dashboard(file) => {
            objectives(&file.slo).map(|(_, it)| print(&::slo::dashboard(&it)))
        }
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(why) => {
            eprintln!("slo: {why}");
            ExitCode::from(USAGE)
        }
    }
}

fn print(text: &str) -> u8 {
    print!("{text}");
    0
}

/// The text of a file, and what it says.
pub(crate) fn objectives(path: &Path) -> Result<(String, Objectives), String> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
    let objectives = Objectives::read(&name, &text).map_err(|error| error.to_string())?;
    Ok((text, objectives))
}

fn read(runs: &[PathBuf]) -> Result<Vec<Found>, String> {
    let read = |path: &PathBuf| folder::read(path).map_err(|error| error.to_string());
    runs.iter().map(read).collect()
}

/// The day, as waivers write it.
pub(crate) fn today() -> String {
    numbers::date(u64::try_from(crate::clock::unix_ms()).unwrap_or_default())
        .chars()
        .take("2026-12-01".len())
        .collect()
}

fn check(arguments: &Check) -> Result<u8, String> {
    let (_, objectives) = objectives(&arguments.file.slo)?;
    let mut runs = read(&arguments.runs)?;
    let ending = if arguments.extend {
        extend::extend(&objectives, &mut runs, &arguments.target, &today())?
    } else {
        judge(&objectives, &runs, &today())
    };
    if ending.judged.is_empty() {
        let names: Vec<&str> = runs.iter().map(|found| found.run.name.as_str()).collect();
        return Err(format!("no objective is about {}", names.join(", ")));
    }
    let json = serde_json::to_string_pretty(&ending.judged).unwrap_or_default();
    if let Some(path) = &arguments.out {
        let written = std::fs::write(path, json.clone() + "\n");
        written.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if arguments.json {
        println!("{json}");
    } else {
        show(&ending);
    }
    Ok(match ending.verdict() {
        Verdict::Pass => 0,
        Verdict::Fail => FAILED,
        Verdict::Extended | Verdict::Inconclusive => UNDECIDED,
        Verdict::Invalid => INVALID,
    })
}

fn show(ending: &Ending) {
    println!(
        "{:<2}{:<26}{:>11}{:>22}{:>11}{:>8}  hopes",
        "", "objective", "value", "interval", "bar", "of it"
    );
    for it in &ending.judged {
        let value = it.value.map_or(numbers::NONE.to_owned(), numbers::three_digits);
        let interval = it.low.zip(it.high).filter(|(low, high)| low < high);
        let interval = interval.map_or(String::new(), |(low, high)| {
            format!("[{}, {}]", numbers::three_digits(low), numbers::three_digits(high))
        });
        let part = it.value.filter(|_| it.minimum > 0.0);
        let part =
            part.map_or(String::new(), |value| format!("{:.0} %", value / it.minimum * 100.0));
        let bar = format!("{} {}", numbers::three_digits(it.minimum), it.unit);
        let (sign, id) = (sign(it.verdict), &it.id);
        println!("{sign} {id:<26}{value:>11}{interval:>22}{bar:>11}{part:>8}  {}", hopes(it));
        for text in [&it.why, &it.minimum_from] {
            if !text.is_empty() {
                println!("    {text}");
            }
        }
    }
    if !ending.without_run.is_empty() {
        println!("without a run: {}", ending.without_run.join(", "));
    }
}

/// Hopes with a tick where they are reached.
fn hopes(it: &Judged) -> String {
    let is_kept = |hope: f64| match it.better {
        measure::judged::Better::Lower => it.high.is_some_and(|high| high <= hope),
        measure::judged::Better::Higher => it.low.is_some_and(|low| low >= hope),
    };
    let shown = it.aspirations.iter().map(|hope| {
        let sign = if is_kept(hope.value) { "✓" } else { "·" };
        format!("{sign}{} {}", hope.name, numbers::three_digits(hope.value))
    });
    shown.collect::<Vec<_>>().join("  ")
}

fn explain_one(arguments: &Explain) -> Result<u8, String> {
    let (_, objectives) = objectives(&arguments.file.slo)?;
    let Some(objective) = objectives.find(&arguments.id) else {
        let ids: Vec<&str> = objectives.all().map(|it| it.id.as_str()).collect();
        return Err(format!("no objective {:?}; there are {}", arguments.id, ids.join(", ")));
    };
    let runs = read(&arguments.runs)?;
    let ending = judge(&objectives, &runs, &today());
    let judged: Vec<&Judged> = ending.judged.iter().filter(|it| it.id == objective.id).collect();
    let own: Vec<&Found> = runs.iter().filter(|it| it.run.name == objective.workload).collect();
    Ok(print(&explain(objective, &judged, &own)))
}

fn move_bars(arguments: &Ratchet) -> Result<u8, String> {
    let path = &arguments.file.slo;
    let (text, objectives) = objectives(path)?;
    let runs = read(&arguments.runs)?;
    let moved = ratchet(&text, &objectives, &runs, &today()).map_err(|error| error.to_string())?;
    let (new, moves) = moved;
    if moves.is_empty() {
        println!("no bar moves");
        return Ok(0);
    }
    for it in &moves {
        let times = it.times.map_or(String::new(), |times| format!(", {times} x the floor"));
        println!(
            "{}: {} kept by {} runs: bar {} -> {}{times}",
            it.id,
            it.hope,
            it.runs.len(),
            it.from,
            it.to
        );
    }
    if !arguments.dry_run {
        // The new text must be one that the next command reads.
        let name = path.display().to_string();
        Objectives::read(&name, &new).map_err(|error| format!("the new text is none: {error}"))?;
        std::fs::write(path, new).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(0)
}

fn lint(arguments: &Lint) -> Result<u8, String> {
    let path = &arguments.file.slo;
    let (_, objectives) = objectives(path)?;
    // One of its runs is not made by a workload, but by a command of its own.
    let presets = [preset_names(), vec![load::failover::LEADER_LOST]].concat();
    let beside = workloads_beside(path)?;
    for it in objectives.all() {
        let is_known = presets.contains(&it.workload.as_str()) || beside.contains(&it.workload);
        if !is_known {
            let (known, beside) = (presets.join(", "), beside.join(", "));
            return Err(format!(
                "objective {:?}: workload {:?} is no preset ({known}), and no workload file beside {} has this \
                 `name` (theirs: {beside})",
                it.id,
                it.workload,
                path.display()
            ));
        }
    }
    let Some(against) = &arguments.against else {
        println!("{} objectives", objectives.all().count());
        return Ok(0);
    };
    let old = version(path, against)?;
    let old = Objectives::read(against, &old).map_err(|error| error.to_string())?;
    let all = loosened(&old, &objectives, &today());
    for Loosened { id, what, is_waived } in &all {
        let waived = if *is_waived { "waived" } else { "LOOSENED without a waiver" };
        println!("{id}: {what}: {waived}");
    }
    if all.iter().all(|it| it.is_waived) {
        println!("{} objectives, nothing is loosened without a waiver", objectives.all().count());
        return Ok(0);
    }
    Ok(FAILED)
}

/// Names of the workloads whose files (`*.toml` with the schema of workloads) are in the folder of the objectives, sorted.
///
/// # Errors
/// A text that says which of them cannot be read, and why; files that are something else are left out.
fn workloads_beside(path: &Path) -> Result<Vec<String>, String> {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.extension().is_none_or(|it| it != "toml") {
            continue;
        }
        // Cargo's own files and others that are none of ours lie here, too.
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        if text.lines().any(|line| line.starts_with("schema") && line.contains(WORKLOAD_SCHEMA)) {
            let name = file.display().to_string();
            names.push(Workload::read(&name, &text).map_err(|error| error.to_string())?.name);
        }
    }
    names.sort();
    Ok(names)
}

/// The text of another version: of a file, or of the same file at a revision.
fn version(path: &Path, against: &str) -> Result<String, String> {
    if Path::new(against).is_file() {
        return std::fs::read_to_string(against).map_err(|error| format!("{against}: {error}"));
    }
    // `:./` names it from this folder, wherever the repository begins.
    let object = format!("{against}:./{}", path.display());
    let shown = std::process::Command::new("git").args(["show", &object]).output();
    let shown = shown.map_err(|error| format!("git show {object}: {error}"))?;
    if !shown.status.success() {
        let said = String::from_utf8_lossy(&shown.stderr);
        return Err(format!(
            "{against:?} is neither a file nor a revision with this file: {}",
            said.trim()
        ));
    }
    String::from_utf8(shown.stdout).map_err(|error| format!("git show {object}: {error}"))
}

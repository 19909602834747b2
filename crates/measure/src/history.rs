//! The history of figures: one append-only file of lines, and when they changed.
//!
//! A line holds the figures of one run, and how they compare with an *anchor*: a run of an unchanging build, made
//! beside it on the same host. `ln(run / anchor)` does not move when the host does, so changes are looked for there.
//! Lines without an anchor are kept, and make series of their own.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::comparison::{COST_MARGIN, LATENCIES, MEMORY_MARGIN, RATE_MARGIN};
use crate::folder::Found;
use crate::histogram::as_f64;
use crate::judged::Better;
use crate::statistics::{ChangePoint, change_points};

/// What `schema` says.
pub const SCHEMA: &str = "pitchover.history/v1";

/// One run in the history.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// [`SCHEMA`].
    pub schema: String,
    /// Of the run.
    pub run: String,
    /// When it was started, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Of the program under measurement.
    pub commit: Option<String>,
    /// Which workload.
    pub workload: String,
    /// Which arm.
    pub arm: String,
    /// The processor's name.
    pub host: String,
    /// Figures by name: `get_replica_info.p99`, in microseconds; `cpu`, `bytes`, `syncs` for each success; `memory`.
    pub figures: BTreeMap<String, f64>,
    /// The run of the anchor, if there was one.
    pub anchor: Option<String>,
    /// The logarithms of the ratios to the anchor, by name.
    pub logs: BTreeMap<String, f64>,
}

/// Why there is no history, or no new line in it.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// A file could not be had.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A line is none of ours.
    #[error("{}:{line}: {why}", path.display())]
    NotALine {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The run says nothing about the server, or is there already.
    #[error("{run}: {why}")]
    Refused {
        /// Which run.
        run: String,
        /// Why.
        why: String,
    },
}

/// A change in the history.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Which workload.
    pub workload: String,
    /// Which arm.
    pub arm: String,
    /// Which figure.
    pub figure: String,
    /// After / before.
    pub ratio: f64,
    /// How likely it would be without a change.
    pub p: f64,
    /// Whether it is for the worse.
    pub is_worse: bool,
    /// Whether it is of ratios to an anchor; else what the host did is in it.
    pub is_anchored: bool,
    /// The last entry before.
    pub last_before: Entry,
    /// The first entry after.
    pub first_after: Entry,
}

impl Entry {
    /// The line of a run, with its anchor.
    ///
    /// # Errors
    /// - [`HistoryError::Refused`]: a run is invalid or unfinished, or the anchor is of another workload.
    pub fn of(found: &Found, anchor: Option<&Found>) -> Result<Self, HistoryError> {
        for one in [Some(found), anchor].into_iter().flatten() {
            let run = one.run.id.clone();
            if !one.run.finished {
                return Err(HistoryError::Refused { run, why: "it was not finished".to_owned() });
            }
            if !one.run.validity.valid {
                let why = format!("it is invalid: {}", one.run.validity.reasons.join("; "));
                return Err(HistoryError::Refused { run, why });
            }
        }
        let other = anchor.filter(|anchor| anchor.run.name != found.run.name);
        if let Some(other) = other {
            let why =
                format!("the anchor's workload is {:?}, not {:?}", other.run.name, found.run.name);
            return Err(HistoryError::Refused { run: other.run.id.clone(), why });
        }
        let own = figures(found);
        let known = anchor.map(figures).unwrap_or_default();
        let log = |(name, value): (&String, &f64)| {
            let anchor = known.get(name)?;
            let log = (value / anchor).ln();
            log.is_finite().then(|| (name.clone(), log))
        };
        let run = &found.run;
        Ok(Self {
            schema: SCHEMA.to_owned(),
            run: run.id.clone(),
            unix_ms: run.started_unix_ms,
            commit: run.commit.clone(),
            workload: run.name.clone(),
            arm: run.arm.clone(),
            host: run.host.model.clone(),
            logs: own.iter().filter_map(log).collect(),
            figures: own,
            anchor: anchor.map(|anchor| anchor.run.id.clone()),
        })
    }
}

/// What a history keeps of a run.
fn figures(found: &Found) -> BTreeMap<String, f64> {
    let run = &found.run;
    let seconds = as_f64(run.time.measure_ms.max(1)) / 1e3;
    let mut all = BTreeMap::new();
    let mut put = |name: String, value: Option<f64>| {
        if let Some(value) = value.filter(|value| value.is_finite() && *value > 0.0) {
            all.insert(name, value);
        }
    };
    for op in &run.operations {
        let latency = &op.latency_us;
        let name = &op.op;
        put(format!("{name}.p50"), latency.p50);
        put(format!("{name}.p99"), latency.p99);
        put(format!("{name}.p99.9"), latency.p999);
        put(format!("{name}.rate"), Some(as_f64(op.ok) / seconds));
    }
    put("cpu".to_owned(), run.cost.cpu_us_per_op);
    put("bytes".to_owned(), run.cost.disk_bytes_per_op);
    put("syncs".to_owned(), run.cost.syncs_per_op);
    let memory = run.servers.iter().filter_map(|server| server.rss_max_bytes).max();
    put("memory".to_owned(), memory.map(as_f64));
    all
}

/// The difference of a figure, as a part of one, that does not matter; and which way is better.
fn margin(figure: &str) -> (f64, Better) {
    let quantile = LATENCIES
        .iter()
        .find(|(_, name, _)| figure.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')));
    match figure {
        _ if quantile.is_some() => (quantile.map_or(0.0, |it| it.2), Better::Lower),
        "memory" => (MEMORY_MARGIN, Better::Lower),
        "cpu" | "bytes" | "syncs" => (COST_MARGIN, Better::Lower),
        _ => (RATE_MARGIN, Better::Higher),
    }
}

/// All lines of a history; none if there is no file yet.
///
/// # Errors
/// - [`HistoryError::Io`], [`HistoryError::NotALine`].
pub fn read(path: &Path) -> Result<Vec<Entry>, HistoryError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(HistoryError::Io { path: path.to_owned(), error }),
    };
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let entry = |(number, line): (usize, &str)| {
        let failed =
            |why: String| HistoryError::NotALine { path: path.to_owned(), line: number + 1, why };
        let entry: Entry = serde_json::from_str(line).map_err(|error| failed(error.to_string()))?;
        if entry.schema != SCHEMA {
            return Err(failed(format!("its schema is {:?}, expected {SCHEMA:?}", entry.schema)));
        }
        Ok(entry)
    };
    lines.map(entry).collect()
}

/// Adds a line at the end.
///
/// # Errors
/// - [`HistoryError::Refused`]: the run is there already.
/// - [`HistoryError::Io`], [`HistoryError::NotALine`].
///
/// # Panics
/// Never: figures have a form in JSON.
pub fn append(path: &Path, entry: &Entry) -> Result<(), HistoryError> {
    if read(path)?.iter().any(|known| known.run == entry.run) {
        let why = format!("it is in {} already", path.display());
        return Err(HistoryError::Refused { run: entry.run.clone(), why });
    }
    let line = serde_json::to_string(entry).expect("figures have a form in JSON") + "\n";
    let written = File::options()
        .create(true)
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    written.map_err(|error| HistoryError::Io { path: path.to_owned(), error })
}

/// All changes of all figures, the oldest first.
#[must_use]
pub fn changes(entries: &[Entry]) -> Vec<Change> {
    let mut series: BTreeMap<(&str, &str), Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        series.entry((&entry.workload, &entry.arm)).or_default().push(entry);
    }
    let mut all = Vec::new();
    for entries in series.values_mut() {
        entries.sort_by_key(|entry| entry.unix_ms);
        let mut names: Vec<&String> =
            entries.iter().flat_map(|entry| entry.figures.keys()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            all.extend(of_figure(entries, name, true));
            all.extend(of_figure(entries, name, false));
        }
    }
    all.sort_by_key(|change| change.first_after.unix_ms);
    all
}

/// Changes of one figure: of lines with an anchor, or of those without.
fn of_figure(entries: &[&Entry], name: &str, is_anchored: bool) -> Vec<Change> {
    let value = |entry: &Entry| match is_anchored {
        true => entry.logs.get(name).copied(),
        false if entry.anchor.is_none() => entry.figures.get(name).map(|value| value.ln()),
        false => None,
    };
    let known: Vec<(&Entry, f64)> =
        entries.iter().filter_map(|entry| Some((*entry, value(entry)?))).collect();
    let series: Vec<f64> = known.iter().map(|it| it.1).collect();
    let (margin, better) = margin(name);
    let change = |ChangePoint { at, before, after, p }: ChangePoint| {
        let (last, first) = (known[at - 1].0, known[at].0);
        Change {
            workload: first.workload.clone(),
            arm: first.arm.clone(),
            figure: name.to_owned(),
            ratio: (after - before).exp(),
            p,
            is_worse: (after > before) == (better == Better::Lower),
            is_anchored,
            last_before: last.clone(),
            first_after: first.clone(),
        }
    };
    change_points(&series, (1.0 + margin).ln()).into_iter().map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::{Entry, HistoryError, append, changes, read};
    use crate::Quantiles;
    use crate::folder::{Found, Operation, Run, Time, Validity};
    use crate::statistics::Random;

    /// A run of that number, on a host that is so fast, with a p99 that takes so long there.
    fn run(id: &str, number: u32, p99_us: f64) -> Found {
        let latency_us = Quantiles { p99: Some(p99_us), p50: Some(100.0), ..Quantiles::default() };
        let op = Operation { op: "read".into(), ok: 10, latency_us, ..Operation::default() };
        Found {
            run: Run {
                id: format!("{id}-{number}"),
                name: "w".into(),
                arm: "a".into(),
                finished: true,
                started_unix_ms: u64::from(number) * 1_000,
                commit: Some(format!("c{number}")),
                time: Time { measure_ms: 10_000, ..Time::default() },
                validity: Validity { valid: true, ..Validity::default() },
                operations: vec![op],
                ..Run::default()
            },
            ..Found::default()
        }
    }

    #[test]
    fn a_host_that_moves_hides_nothing_and_shows_nothing_where_there_is_an_anchor() {
        let mut random = Random::new(4, 4);
        let mut entries = Vec::new();
        for number in 0..60 {
            // The host becomes half as fast at 15; the program becomes 30 % slower at 40.
            let host = if number < 15 { 1.0 } else { 2.0 };
            let own = if number < 40 { 1.0 } else { 1.3 };
            let noise = 1.0 + (random.unit() - 0.5) * 0.1;
            let anchor = run("anchor", number, 500.0 * host);
            entries.push(
                Entry::of(&run("r", number, 500.0 * host * own * noise), Some(&anchor)).unwrap(),
            );
        }
        let found = changes(&entries);
        assert_eq!(found.len(), 1, "{found:?}");
        let change = &found[0];
        assert_eq!((change.figure.as_str(), change.is_worse), ("read.p99", true));
        assert_eq!(change.first_after.commit.as_deref(), Some("c40"));
        assert_eq!(change.last_before.commit.as_deref(), Some("c39"));
        assert!((change.ratio - 1.3).abs() < 0.03 && change.is_anchored, "{change:?}");
        // The same runs without their anchors: the host is what is seen.
        let alone: Vec<Entry> = (0..30)
            .map(|number| {
                Entry::of(&run("r", number, if number < 15 { 500.0 } else { 1_000.0 }), None)
                    .unwrap()
            })
            .collect();
        let found = changes(&alone);
        assert!(
            found.len() == 1 && !found[0].is_anchored && (found[0].ratio - 2.0).abs() < 1e-9,
            "{found:?}"
        );
    }

    #[test]
    fn lines_are_appended_once_and_read_back() {
        let path =
            std::env::temp_dir().join(format!("pitchover-history-{}.ndjson", std::process::id()));
        drop(std::fs::remove_file(&path));
        assert_eq!(read(&path).unwrap(), []);
        let entry = Entry::of(&run("r", 1, 500.0), Some(&run("a", 1, 250.0))).unwrap();
        assert!((entry.logs["read.p99"] - 2.0_f64.ln()).abs() < 1e-12);
        assert_eq!((entry.figures["read.rate"], entry.figures.len()), (1.0, 3));
        append(&path, &entry).unwrap();
        let again = append(&path, &entry).unwrap_err().to_string();
        assert!(again.starts_with("r-1: it is in "), "{again}");
        append(&path, &Entry::of(&run("r", 2, 500.0), None).unwrap()).unwrap();
        assert_eq!(read(&path).unwrap()[0], entry);
        std::fs::write(&path, "{\"schema\":\"v0\"}\n").unwrap();
        let error = read(&path).unwrap_err();
        assert!(matches!(error, HistoryError::NotALine { line: 1, .. }), "{error}");
        drop(std::fs::remove_file(&path));
    }

    #[test]
    fn runs_that_say_nothing_are_refused() {
        let mut invalid = run("r", 1, 500.0);
        invalid.run.validity = Validity { reasons: vec!["late".into()], ..Validity::default() };
        fn refused(found: &Found, anchor: Option<&Found>) -> String {
            Entry::of(found, anchor).unwrap_err().to_string()
        }
        assert_eq!(refused(&invalid, None), "r-1: it is invalid: late");
        let good = run("r", 2, 500.0);
        assert_eq!(refused(&good, Some(&invalid)), "r-1: it is invalid: late");
        let mut other = run("o", 3, 500.0);
        other.run.name = "x".to_owned();
        assert!(refused(&good, Some(&other)).contains("workload is \"x\", not \"w\""));
        other.run.finished = false;
        assert_eq!(refused(&other, None), "o-3: it was not finished");
    }
}

//! Reads a run folder, also one that nobody finished.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::{
    BROKER_SETS, BrokerSet, EVENTS, FolderError, Happening, Operation, RUN, Run, SCHEMA, SERVERS,
    SLOWEST, Slow, WINDOWS, Window,
};
use crate::histogram::Histogram;

/// A run folder as it was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Where it is.
    pub folder: PathBuf,
    /// The run. If it is not finished, its operations are those of the windows, without service times.
    pub run: Run,
    /// All whole lines.
    pub windows: Vec<Window>,
    /// All whole lines.
    pub events: Vec<Happening>,
    /// Empty if the run is not finished.
    pub slowest: Vec<Slow>,
    /// Empty if it is no failover run, or not finished.
    pub broker_sets: Vec<BrokerSet>,
    /// Metrics pages by node.
    pub server_metrics: BTreeMap<String, String>,
    /// What was missing or could not be read, in words.
    pub notes: Vec<String>,
}

/// Reads the run in `folder`.
///
/// # Errors
/// - [`FolderError::NotARun`]: there is no `run.json`, or it is none of this schema.
/// - [`FolderError::Io`]: a file is there and cannot be read.
pub fn read(folder: &Path) -> Result<Found, FolderError> {
    let mut found = Found { folder: folder.to_owned(), run: run(folder)?, ..Found::default() };
    let notes = &mut found.notes;
    found.windows = lines(folder, WINDOWS, notes)?;
    found.events = lines(folder, EVENTS, notes)?;
    found.slowest = lines(folder, SLOWEST, notes)?;
    found.broker_sets = lines(folder, BROKER_SETS, notes)?;
    found.server_metrics = pages(&folder.join(SERVERS))?;
    if !found.run.finished {
        found.notes.push("the run was not finished: its figures are those of its windows".into());
        found.rebuild();
    }
    Ok(found)
}

impl Found {
    /// Names of all operations, in the order of `run.json`, then of the windows.
    #[must_use]
    pub fn operations(&self) -> Vec<&str> {
        let of_run = self.run.operations.iter().map(|it| it.op.as_str());
        let of_windows = self.windows.iter().flat_map(|it| &it.ops).map(|it| it.op.as_str());
        let mut names = Vec::new();
        for name in of_run.chain(of_windows) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The latencies of one operation over the measured time, all windows merged; empty if there
    /// are none. A text that is no histogram counts as an empty one.
    #[must_use]
    pub fn latency(&self, op: &str) -> Histogram {
        let mut all = Histogram::default();
        for window in self.measured() {
            let of_op = window.ops.iter().filter(|it| it.op == op);
            of_op.filter_map(|it| it.latency.decode().ok()).for_each(|one| all.add(&one));
        }
        all
    }

    /// The windows of the measured time, without the warm-up.
    pub fn measured(&self) -> impl Iterator<Item = &Window> {
        let end_ms = i64::try_from(self.run.time.measure_ms).unwrap_or(i64::MAX);
        self.windows.iter().filter(move |it| (0..end_ms.max(1)).contains(&it.at_ms))
    }

    /// Totals of an unfinished run, from its windows.
    fn rebuild(&mut self) {
        let names: Vec<String> = self.operations().into_iter().map(str::to_owned).collect();
        let total = |op: String| {
            let mut total = Operation { op, ..Operation::default() };
            let mut lag = Histogram::default();
            for it in self.measured().flat_map(|it| &it.ops).filter(|it| it.op == total.op) {
                total.offered += it.offered;
                total.ok += it.ok;
                total.timeouts += it.timeouts;
                total.skipped += it.skipped;
                total.abandoned += it.abandoned;
                *total.errors.entry("all".to_owned()).or_default() += it.errors;
                it.lag.decode().iter().for_each(|one| lag.add(one));
            }
            total.errors.retain(|_, count| *count > 0);
            total.latency_us = self.latency(&total.op).quantiles();
            total.lag_us = lag.quantiles();
            total
        };
        self.run.operations = names.into_iter().map(total).collect();
    }
}

fn run(folder: &Path) -> Result<Run, FolderError> {
    let path = folder.join(RUN);
    let not_a_run = |why: String| FolderError::NotARun { path: path.clone(), why };
    let text = fs::read_to_string(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            not_a_run("there is no such file, so this is no run folder".to_owned())
        }
        _ => FolderError::Io { path: path.clone(), error },
    })?;
    let run: Run = serde_json::from_str(&text).map_err(|error| not_a_run(error.to_string()))?;
    if run.schema != SCHEMA {
        return Err(not_a_run(format!("its schema is {:?}, expected {SCHEMA:?}", run.schema)));
    }
    Ok(run)
}

/// All lines that can be read; the notes say which cannot.
fn lines<T: DeserializeOwned>(
    folder: &Path,
    name: &str,
    notes: &mut Vec<String>,
) -> Result<Vec<T>, FolderError> {
    let path = folder.join(name);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(FolderError::Io { path, error }),
    };
    let mut all = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        match serde_json::from_slice(line) {
            Ok(one) => all.push(one),
            Err(error) => notes.push(format!("{name}, line {}: left out: {error}", index + 1)),
        }
    }
    Ok(all)
}

fn pages(folder: &Path) -> Result<BTreeMap<String, String>, FolderError> {
    let failed = |path: &Path, error| FolderError::Io { path: path.to_owned(), error };
    let mut pages = BTreeMap::new();
    let Ok(entries) = fs::read_dir(folder) else { return Ok(pages) };
    for entry in entries {
        let path = entry.map_err(|error| failed(folder, error))?.path();
        let node = path.file_stem().map(|it| it.to_string_lossy().into_owned());
        let is_page = path.extension().is_some_and(|it| it == "prom");
        if let (Some(node), true) = (node, is_page) {
            let page = fs::read_to_string(&path).map_err(|error| failed(&path, error))?;
            pages.insert(node, page);
        }
    }
    Ok(pages)
}

#[cfg(test)]
mod tests;

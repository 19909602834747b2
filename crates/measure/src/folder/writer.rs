//! Writes a run folder while the run goes on.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{
    BROKER_SETS, BrokerSet, EVENTS, FolderError, Happening, RUN, Run, SERVERS, SLOWEST, Slow,
    WINDOWS, Window,
};
use crate::histogram::{Encoded, micros};

/// The first lines of a `.hlog`, as `HdrHistogram`'s tools expect them.
const HLOG_HEAD: &str = "#[Histogram log format version 1.3]\n#[times are nanoseconds]\n";

/// A run folder that is being written. Each line is in its file when the call returns, so the end of
/// this process loses none.
#[derive(Debug)]
pub struct Writer {
    folder: PathBuf,
    windows: File,
    events: File,
    logs: BTreeMap<String, File>,
    window_ms: u64,
}

impl Writer {
    /// Makes the folder, with all above it, and writes `run` as not finished.
    ///
    /// # Errors
    /// - [`FolderError::Taken`]: it holds a run already.
    /// - [`FolderError::Io`]: it cannot be written.
    pub fn create(folder: &Path, run: &Run) -> Result<Self, FolderError> {
        fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        if folder.join(RUN).exists() {
            return Err(FolderError::Taken { path: folder.to_owned() });
        }
        write_run(folder, &Run { finished: false, ..run.clone() })?;
        let append = |name: &str| appending(&folder.join(name));
        Ok(Self {
            folder: folder.to_owned(),
            windows: append(WINDOWS)?,
            events: append(EVENTS)?,
            logs: BTreeMap::new(),
            window_ms: run.time.window_ms,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Adds a window that is over.
    ///
    /// # Errors
    /// - [`FolderError::Io`]: it cannot be written.
    pub fn window(&mut self, window: &Window) -> Result<(), FolderError> {
        append_line(&mut self.windows, window)
            .map_err(|error| failed(&self.folder.join(WINDOWS), error))?;
        for operation in &window.ops {
            self.log(&operation.op, window.at_ms, &operation.latency)?;
        }
        Ok(())
    }

    /// Adds something that happened.
    ///
    /// # Errors
    /// - [`FolderError::Io`]: it cannot be written.
    pub fn event(&mut self, event: &Happening) -> Result<(), FolderError> {
        append_line(&mut self.events, event)
            .map_err(|error| failed(&self.folder.join(EVENTS), error))
    }

    /// Writes the slowest requests, the slowest first.
    ///
    /// # Errors
    /// - [`FolderError::Io`]: they cannot be written.
    pub fn slowest(&mut self, requests: &[Slow]) -> Result<(), FolderError> {
        self.lines(SLOWEST, requests)
    }

    /// Writes what became of each broker set.
    ///
    /// # Errors
    /// - [`FolderError::Io`]: they cannot be written.
    pub fn broker_sets(&mut self, sets: &[BrokerSet]) -> Result<(), FolderError> {
        self.lines(BROKER_SETS, sets)
    }

    /// Keeps the metrics page of a node.
    ///
    /// # Errors
    /// - [`FolderError::Io`]: it cannot be written.
    pub fn server_metrics(&mut self, node: &str, page: &str) -> Result<(), FolderError> {
        let folder = self.folder.join(SERVERS);
        fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
        let path = folder.join(format!("{}.prom", file_name(node)));
        fs::write(&path, page).map_err(|error| failed(&path, error))
    }

    /// Replaces `run.json` by the run as it ended. Before a run has come to its planned end `run`
    /// says so itself (`finished`).
    ///
    /// # Errors
    /// - [`FolderError::Io`]: it cannot be written.
    pub fn finish(&mut self, run: &Run) -> Result<(), FolderError> {
        write_run(&self.folder, run)
    }

    /// One interval of an operation's log: its tag, start and length in seconds, the longest time in
    /// milliseconds, the histogram.
    fn log(&mut self, op: &str, at_ms: i64, latency: &Encoded) -> Result<(), FolderError> {
        // A log has no times before its start; the warm-up is in the windows.
        let (Ok(at_ms), false) = (u64::try_from(at_ms), latency.0.is_empty()) else {
            return Ok(());
        };
        let max_ns = latency.decode().map(|histogram| histogram.max_ns()).unwrap_or_default();
        let max_ms = micros(max_ns) / 1e3;
        let seconds = |millis: u64| format!("{}.{:03}", millis / 1_000, millis % 1_000);
        let (start, length) = (seconds(at_ms), seconds(self.window_ms));
        let line = format!("Tag={op},{start},{length},{max_ms:.3},{}\n", latency.0);
        let path = self.folder.join(format!("{}.hlog", file_name(op)));
        let file = match self.logs.get_mut(op) {
            Some(file) => file,
            None => {
                let mut file = appending(&path)?;
                let head = file.write_all(HLOG_HEAD.as_bytes());
                head.map_err(|error| failed(&path, error))?;
                self.logs.entry(op.to_owned()).or_insert(file)
            }
        };
        file.write_all(line.as_bytes()).map_err(|error| failed(&path, error))
    }

    fn lines<T: Serialize>(&self, name: &str, all: &[T]) -> Result<(), FolderError> {
        let path = self.folder.join(name);
        let mut text = Vec::new();
        for one in all {
            append_line(&mut text, one).map_err(|error| failed(&path, error))?;
        }
        fs::write(&path, text).map_err(|error| failed(&path, error))
    }
}

/// Beside its place first: whoever reads it finds the old one or the new one, whole.
fn write_run(folder: &Path, run: &Run) -> Result<(), FolderError> {
    let (path, new) = (folder.join(RUN), folder.join("run.json.new"));
    let text = serde_json::to_string_pretty(run).map_err(io::Error::other);
    let written = text.and_then(|text| fs::write(&new, text + "\n"));
    written.and_then(|()| fs::rename(&new, &path)).map_err(|error| failed(&path, error))
}

fn append_line(out: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    // One write, so that a reader sees no half lines while the run goes on.
    out.write_all(&text)
}

fn appending(path: &Path) -> Result<File, FolderError> {
    let opened = File::options().create(true).append(true).open(path);
    opened.map_err(|error| failed(path, error))
}

/// Names of operations and nodes as names of files.
fn file_name(text: &str) -> String {
    let plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.');
    text.chars().map(|it| if plain(it) { it } else { '_' }).collect()
}

fn failed(path: &Path, error: io::Error) -> FolderError {
    FolderError::Io { path: path.to_owned(), error }
}

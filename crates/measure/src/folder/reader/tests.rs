//! Run folders written, read, interrupted and mangled.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

use super::{Found, read};
use crate::folder::{
    FolderError, Happening, Run, SCHEMA, Slow, Time, Window, WindowOperation, Writer,
};
use crate::histogram::Histogram;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("measure-{}-{name}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn run(finished: bool) -> Run {
    let time = Time { warmup_ms: 1_000, measure_ms: 2_000, window_ms: 1_000 };
    let schema = SCHEMA.to_owned();
    Run { schema, name: "a workload".to_owned(), finished, time, ..Run::default() }
}

fn window(at_ms: i64, micros: u64) -> Window {
    let mut times = Histogram::default();
    times.record_n(micros * 1_000, 1_000);
    let operation = WindowOperation {
        op: "read it".to_owned(),
        offered: 1_003,
        ok: 999,
        errors: 1,
        timeouts: 1,
        abandoned: 2,
        latency: times.encode(),
        lag: times.encode(),
        ..WindowOperation::default()
    };
    Window { at_ms, ops: vec![operation], ..Window::default() }
}

/// A warm-up window and two measured ones.
fn write(folder: &Path) -> Writer {
    let mut writer = Writer::create(folder, &run(true)).unwrap();
    for (at_ms, micros) in [(-1_000, 9_000), (0, 100), (1_000, 300)] {
        writer.window(&window(at_ms, micros)).unwrap();
    }
    let event = Happening { at_ms: 7, kind: "fault".to_owned(), text: "n0 died".to_owned() };
    writer.event(&event).unwrap();
    writer
}

fn near(value: Option<f64>, micros: f64) -> bool {
    value.is_some_and(|value| (value - micros).abs() <= micros / 1e3)
}

fn check_totals(found: &Found) {
    let total = &found.run.operations[0];
    assert_eq!((total.op.as_str(), total.offered, total.ok), ("read it", 2_006, 1_998));
    assert_eq!((total.timeouts, total.errors["all"], total.abandoned), (2, 2, 4));
    assert!(near(total.latency_us.p50, 100.0), "without the warm-up: {total:?}");
    assert!(near(total.latency_us.p99, 300.0) && near(total.lag_us.max, 300.0), "{total:?}");
}

#[test]
fn a_finished_folder_comes_back_as_it_was_written() {
    let folder = Folder::new();
    let mut writer = write(&folder.0);
    let slow = Slow { op: "read it".to_owned(), latency_us: 1.5, ..Slow::default() };
    writer.slowest(std::slice::from_ref(&slow)).unwrap();
    writer.server_metrics("127.0.0.1:9", "up 1\n").unwrap();
    writer.finish(&run(true)).unwrap();
    let found = read(&folder.0).unwrap();
    assert_eq!((&found.run, found.notes.len()), (&run(true), 0));
    assert_eq!(found.windows[1], window(0, 100));
    assert_eq!((found.events[0].text.as_str(), &found.slowest[0]), ("n0 died", &slow));
    assert_eq!(found.server_metrics["127.0.0.1_9"], "up 1\n");
    assert_eq!((found.latency("read it").count(), found.operations()), (2_000, vec!["read it"]));
}

#[test]
fn an_interrupted_folder_is_added_up_from_its_windows() {
    let folder = Folder::new();
    drop(write(&folder.0));
    let windows = folder.0.join("windows.ndjson");
    let mut text = fs::read(&windows).unwrap();
    text.extend_from_slice(b"{\"at_ms\":2000,\"ops\":[{\"op\":\"re");
    fs::write(&windows, text).unwrap();
    let found = read(&folder.0).unwrap();
    check_totals(&found);
    assert!(!found.run.finished && found.windows.len() == 3);
    let cut = found.notes.iter().any(|note| note.starts_with("windows.ndjson, line 4: left out"));
    assert!(cut, "{:?}", found.notes);
}

#[test]
fn histogram_logs_are_read_by_the_library() {
    let folder = Folder::new();
    drop(write(&folder.0));
    let log = fs::read(folder.0.join("read_it.hlog")).unwrap();
    let intervals: Vec<_> = IntervalLogIterator::new(&log)
        .map(|entry| entry.unwrap())
        .filter_map(|entry| match entry {
            LogEntry::Interval(interval) => Some(interval),
            _ => None,
        })
        .collect();
    let starts: Vec<_> = intervals.iter().map(|it| it.start_timestamp().as_millis()).collect();
    assert_eq!(starts, [0, 1_000], "the warm-up is left out");
    assert_eq!(intervals[1].duration().as_millis(), 1_000);
    assert!((intervals[1].max() - 0.3).abs() < 0.001, "milliseconds: {}", intervals[1].max());
}

#[test]
fn what_is_no_run_is_named() {
    let folder = Folder::new();
    let nothing = read(&folder.0).unwrap_err();
    assert!(matches!(nothing, FolderError::NotARun { .. }), "{nothing}");
    fs::create_dir_all(&folder.0).unwrap();
    for (text, expected) in
        [("{", "EOF"), ("{\"schema\":\"x/v9\"}", "expected \"pitchover.run/v1\"")]
    {
        fs::write(folder.0.join("run.json"), text).unwrap();
        let error = read(&folder.0).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("run.json"), "{error}");
    }
    let taken = Writer::create(&folder.0, &run(false)).unwrap_err();
    assert!(matches!(taken, FolderError::Taken { .. }), "{taken}");
}

#[test]
fn unknown_members_and_kinds_are_taken() {
    let folder = Folder::new();
    fs::create_dir_all(&folder.0).unwrap();
    let text = "{\"schema\":\"pitchover.run/v1\",\"new\":1,\"finished\":true,\
                \"durability\":\"hope\",\"target\":{\"kind\":\"abacus\"}}";
    fs::write(folder.0.join("run.json"), text).unwrap();
    let found = read(&folder.0).unwrap();
    assert_eq!(found.run.target.kind, crate::folder::TargetKind::Unknown);
    assert_eq!(found.run.durability, crate::folder::Durability::Unknown);
}

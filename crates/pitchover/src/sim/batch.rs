//! Many seeds at once, how far they are, and whether a seed is the same twice.

use ::sim::{Plan, Preset, Report};
use std::io::{IsTerminal, Write};
use std::ops::Range;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

/// Every so many seeds one is run again, in another process.
pub(super) const TWICE_EVERY: u64 = 1_000;
/// Reports that may wait to be looked at.
const REPORTS_MAX: usize = 64;

/// Seeds that are being run.
pub(crate) struct Batch {
    reports: Receiver<Report>,
    next: Arc<AtomicU64>,
    end: u64,
}

impl Batch {
    /// Starts to run `seeds`, `jobs` at once.
    pub(crate) fn new(preset: Preset, seeds: Range<u64>, jobs: usize) -> Self {
        let (sender, reports) = sync_channel(REPORTS_MAX);
        let next = Arc::new(AtomicU64::new(seeds.start));
        for job in 0..jobs.max(1) {
            let (sender, next, end) = (sender.clone(), Arc::clone(&next), seeds.end);
            let work = move || loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= end {
                    return;
                }
                let mut report = ::sim::run(&Plan::draw(seed, preset), None);
                // Only a single seed's history is ever written.
                report.history.operations = Vec::new();
                if sender.send(report).is_err() {
                    return;
                }
            };
            let thread = std::thread::Builder::new().name(format!("sim-{job}")).spawn(work);
            if let Err(error) = thread {
                eprintln!("sim: job {job} cannot be started: {error}");
            }
        }
        Self { reports, next, end: seeds.end }
    }

    /// The next report; `None` when all seeds are done.
    pub(crate) fn next(&mut self) -> Option<Report> {
        self.reports.recv().ok()
    }

    /// Begins no further seed.
    pub(crate) fn stop(&self) {
        self.next.store(self.end, Ordering::Relaxed);
    }
}

/// A bar on a terminal; a line at each tenth where there is none.
pub(crate) struct Progress {
    count: u64,
    is_terminal: bool,
    tenths: u64,
}

impl Progress {
    pub(crate) fn new(count: u64) -> Self {
        Self { count, is_terminal: std::io::stderr().is_terminal(), tenths: 0 }
    }

    pub(crate) fn show(&mut self, done: u64, failed: usize, speed: f64, is_last: bool) {
        let tenths = done * 10 / self.count.max(1);
        let text = format!("{done}/{} seeds, {failed} failed, {speed:.0} x", self.count);
        if self.is_terminal {
            let filled = usize::try_from(done * 40 / self.count.max(1)).unwrap_or(0).min(40);
            let end = if is_last { "\n" } else { "" };
            eprint!("\r[{}{}] {text}   {end}", "#".repeat(filled), ".".repeat(40 - filled));
            // A bar that cannot be drawn is no reason to stop.
            std::io::stderr().flush().ok();
        } else if tenths > self.tenths {
            self.tenths = tenths;
            eprintln!("{text}");
        }
    }
}

/// Runs every [`TWICE_EVERY`]th seed in two other processes; one that gave two traces.
pub(crate) fn differing_twice(preset: Preset, seeds: Range<u64>) -> Option<u64> {
    let first = seeds.start.next_multiple_of(TWICE_EVERY);
    let mut twice = (first..seeds.end).step_by(usize::try_from(TWICE_EVERY).unwrap_or(1));
    twice.find(|&seed| {
        let (one, other) = (trace_of(preset, seed), trace_of(preset, seed));
        one.is_none() || one != other
    })
}

/// The hash of a seed's trace, in a process of its own.
fn trace_of(preset: Preset, seed: u64) -> Option<String> {
    let program = std::env::current_exe().ok()?;
    let (preset, seed) = (preset.to_string(), seed.to_string());
    let arguments = ["sim", "--preset", &preset, "--seed", &seed, "--no-shrink"];
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let hash = text.lines().find_map(|line| line.strip_prefix("trace "))?;
    Some(hash.to_owned())
}

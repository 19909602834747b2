//! Runs `pitchover bench`, one step after the other, and says how each ended.
//!
//! It runs in the folder of results with paths relative to it, so that the commands in a report mean
//! something on another machine.

use super::cluster::Cluster;
use super::leftovers::{Started, end_group};
use crate::interop::clock::{Stopwatch, pause};
use crate::interop::process::Process;
use crate::interop::report::{Failure, Outcome};
use rustix::process::{Signal, kill_process};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Pause between two looks at a step.
const LOOK: Duration = Duration::from_millis(50);

/// How long a step may take to end after it was asked to.
const END_LIMIT: Duration = Duration::from_secs(20);

/// Lines of what a step said that are repeated when it fails.
const LINES_SHOWN: usize = 3;

/// One call of `pitchover`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Step {
    /// Names its log.
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    /// The leader is killed in it, and must be started again.
    pub(super) kills: bool,
    pub(super) limit: Duration,
}

/// Where and with what steps are run.
#[derive(Debug)]
pub(super) struct Bench<'a> {
    pub(super) pitchover: &'a Path,
    /// Results; the working directory of every step.
    pub(super) folder: PathBuf,
    pub(super) stop: &'a AtomicBool,
    pub(super) started: &'a Started,
}

impl Bench<'_> {
    /// Runs a step to its end; what it printed. A run that calls itself invalid, or that found wrong
    /// answers, was made all the same: its folder says so.
    ///
    /// # Errors
    /// It could not be started, failed, took too long, was interrupted, or a controller ended meanwhile.
    pub(super) fn run(&self, step: &Step, cluster: Option<&mut Cluster<'_>>) -> Outcome<String> {
        let log = self.folder.join("logs").join(format!("{}.log", step.name));
        // What an earlier run of the same name said would be taken for this one's.
        drop(std::fs::remove_file(&log));
        let mut command = Command::new(self.pitchover);
        command.arg0("pitchover").args(&step.arguments);
        command.current_dir(&self.folder).process_group(0);
        let mut process = Process::start(&step.name, command, &log)?;
        self.started.add(process.pid())?;
        let ended = self.watch(step, &mut process, cluster);
        end_group(process.pid());
        let said = std::fs::read(&log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        match ended? {
            Some(0 | 1 | 3) if !said.contains("panicked at") && is_made(&said) => Ok(said),
            code => {
                let code = code.map_or("a signal".to_owned(), |code| format!("code {code}"));
                Err(Failure(format!("ended with {code}: {}", last_lines(&said))))
            }
        }
    }

    fn watch(
        &self,
        step: &Step,
        process: &mut Process,
        mut cluster: Option<&mut Cluster<'_>>,
    ) -> Outcome<Option<i32>> {
        let watch = Stopwatch::start();
        let mut asked_at = None;
        loop {
            if let Some(status) = process.ended()? {
                return Ok(status.code());
            }
            if let Some(cluster) = cluster.as_deref_mut() {
                cluster.tend(step.kills)?;
            }
            let now = watch.elapsed();
            let is_stopped = self.stop.load(Ordering::Acquire);
            if asked_at.is_none() && (is_stopped || now > step.limit) {
                // It keeps what it has, and says that it was interrupted. If it is gone, the next look tells.
                kill_process(process.pid(), Signal::INT).ok();
                asked_at = Some(now);
            }
            if asked_at.is_some_and(|asked_at| now > asked_at + END_LIMIT) {
                let why = if is_stopped { "interrupted" } else { "took too long" };
                return Err(Failure(format!("{why}: {} s", now.as_secs())));
            }
            pause(LOOK);
        }
    }
}

/// Whether a command of ours came to its result: errors begin with the command's name.
fn is_made(said: &str) -> bool {
    // A failover says by lines of its name what it does, too.
    let errors = ["bench quick: ", "bench run: ", "bench failover: no report: ", "error: "];
    !said.lines().any(|line| errors.iter().any(|error| line.starts_with(error)))
}

/// The end of what a step said, in one line.
fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let shown = lines.get(lines.len().saturating_sub(LINES_SHOWN)..).unwrap_or_default();
    shown.join(" / ")
}

#[cfg(test)]
mod tests {
    use super::{is_made, last_lines};

    #[test]
    fn results_and_errors_are_told_apart() {
        assert!(is_made("{\"rows\": []}\n"));
        assert!(!is_made("bench quick: preparing the broker sets: no answer\n"));
        assert!(is_made("bench failover: starting three controllers\n"));
        assert!(!is_made("bench failover: no report: a process of the fleet ended\n"));
        assert!(!is_made("error: unexpected argument\n"));
    }

    #[test]
    fn the_end_of_a_log_is_one_line() {
        assert_eq!(last_lines("a\nb\n\nc\nd\n"), "b / c / d");
        assert_eq!(last_lines(""), "");
    }
}

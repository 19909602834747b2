//! What the suite says: one line per thing proved, one per failure, and the sum at the end.

use super::clock::Stopwatch;
use super::setup::Target;
use std::fmt;
use std::process::ExitCode;

/// Why a step did not prove what it should, for people.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

/// What a step gives.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// A step failed and was reported; the steps of this round that build on it are left out.
#[derive(Debug)]
pub(super) struct Stop;

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Failure {
    /// Puts what was being done before the reason.
    pub(crate) fn while_doing<E: fmt::Display>(what: impl fmt::Display) -> impl Fn(E) -> Self {
        move |error| Self(format!("{what}: {error}"))
    }
}

/// Counts and prints.
#[derive(Debug)]
pub(super) struct Report {
    watch: Stopwatch,
    round: String,
    passed: u32,
    failed: u32,
}

impl Report {
    pub(super) fn new() -> Self {
        Self { watch: Stopwatch::start(), round: String::new(), passed: 0, failed: 0 }
    }

    /// Opens a round: one version, one serialization, one fresh cluster.
    pub(super) fn open_round(&mut self, name: &str, what: &str) {
        name.clone_into(&mut self.round);
        println!("\n== {name}: {what}");
    }

    /// Says what is going on; proves nothing.
    pub(super) fn note(&self, text: &str) {
        println!("   ..  [{:>5.0} s] {text}", self.watch.elapsed().as_secs_f64());
    }

    /// Counts one thing as proved or failed. `detail` is what was seen.
    ///
    /// # Errors
    /// [`Stop`], if it failed; a caller whose next step does not build on this one may go on.
    pub(super) fn prove(&mut self, what: &str, detail: Outcome<String>) -> Result<(), Stop> {
        let at = self.watch.elapsed().as_secs_f64();
        let round = &self.round;
        match detail {
            Ok(detail) => {
                self.passed += 1;
                let separator = if detail.is_empty() { "" } else { ": " };
                println!("ok     [{at:>5.0} s] {round}: {what}{separator}{detail}");
                Ok(())
            }
            Err(failure) => {
                self.failed += 1;
                println!("FAILED [{at:>5.0} s] {round}: {what}: {failure}");
                Err(Stop)
            }
        }
    }

    /// As [`Report::prove`] with our controllers. With upstream's, what is not so is told and does not count: the promise
    /// is ours alone, and theirs is the comparison.
    ///
    /// # Errors
    /// [`Stop`], if it failed with our controllers.
    pub(super) fn promise(
        &mut self,
        target: Target,
        what: &str,
        detail: Outcome<String>,
    ) -> Result<(), Stop> {
        match (target, detail) {
            (Target::Java, Err(failure)) => {
                self.note(&format!("not so: {what}: {failure}"));
                Ok(())
            }
            (Target::Java | Target::Pitchover, detail) => self.prove(what, detail),
        }
    }

    /// Prints the sum; it is the last line of the run.
    pub(super) fn close(&self) -> ExitCode {
        println!("\nran for {}", self.watch.shown());
        println!("{} passed, {} failed", self.passed, self.failed);
        if self.failed == 0 && self.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

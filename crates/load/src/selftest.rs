//! `bench selftest`: whether the harness says the truth.
//!
//! ```text
//! a server that answers nobody for 200 ms every 5 s      so 4 % of all requests are due in a stall,
//!   ▁▁▁▁▁█▁▁▁▁▁█▁▁▁▁▁█▁▁▁▁▁                              and wait for its end: up to 200 ms, evenly
//! ```
//!
//! The truth follows from the plan: of requests that are evenly due, the part `p = length / every` waits,
//! from nought to `length`, each wait as often as any other. So the quantile `q` is
//! `length × (1 − (1 − q) / p)` where that is positive. A harness that waits for answers before it asks
//! again meets each stall with one request per connection, and reports none of it.
//!
//! Then the same server is compared with itself, in blocks A B B A: no difference may be found.

use std::fmt;
use std::io;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use measure::folder::{FolderError, Run, read};
use serde::Serialize;

use crate::canned::{CannedServer, Stalls};
use crate::clock;
use crate::closed_loop::{self, Gauge, Lane, LaneError};
use crate::generator::broker::poll;
use crate::own_cluster::free_ports;
use crate::quick::{QuickError, connect};
use crate::requester::{NotPatchable, Requester};
use crate::run::{self, RunError, Setup, Target};
use crate::workload::Workload;

mod equal;

pub use equal::Equality;

/// Most that a reported quantile may be off, as a part of the truth.
const TOLERANCE: f64 = 0.10;

/// Requests per second: few enough that what waited in a stall is answered at once after it.
const RATE: u32 = 1_000;

/// Connections of the closed loop beside it.
const CLOSED_CONNECTIONS: usize = 8;

/// How long a server may take to listen, and the pause between two looks.
const LISTENS: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(20);

/// Length of the comparison, and of a block in it.
const EQUAL_SECONDS: u64 = 24;
const BLOCK_MS: u64 = 200;

/// The plans: length of a stall and time from one to the next, in milliseconds; and how long each is
/// measured. Whole periods, so that the truth does not depend on where the first one lies.
const PLANS: [(u64, u64, u64); 3] = [(200, 5_000, 10), (400, 4_000, 12), (1_000, 10_000, 20)];

/// How a self-test is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program that knows `canned-server` and `fleet-worker`; none: this one.
    pub program: Option<PathBuf>,
    /// Where the run folders are made.
    pub folder: PathBuf,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum SelfTestError {
    /// A process, file or socket of our own could not be had.
    #[error("{doing}: {error}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// A run could not be made.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Its folder could not be read.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The closed loop could not be made.
    #[error("the closed loop: {0}")]
    Closed(#[from] LaneError),
    /// It could not connect.
    #[error(transparent)]
    Connect(#[from] QuickError),
    /// Our own request cannot be patched in place.
    #[error(transparent)]
    NotPatchable(#[from] NotPatchable),
}

/// Two quantiles, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Tail {
    /// 99 % took at most this.
    pub p99_ms: f64,
    /// 99.9 % took at most this.
    pub p999_ms: f64,
}

/// One plan of stalls.
#[derive(Clone, Debug, Serialize)]
pub struct Stalled {
    /// Length of a stall.
    pub length_ms: u64,
    /// From one to the next.
    pub every_ms: u64,
    /// By the plan.
    pub truth: Tail,
    /// As the harness reports it.
    pub open: Tail,
    /// As connections report it that wait for their answers.
    pub closed: Tail,
    /// Whether the run kept its own plan, and why not.
    pub invalid: Vec<String>,
}

impl Stalled {
    /// Whether the harness said the truth.
    #[must_use]
    pub fn is_true(&self) -> bool {
        let near = |got: f64, truth: f64| (got - truth).abs() <= truth * TOLERANCE;
        near(self.open.p99_ms, self.truth.p99_ms) && near(self.open.p999_ms, self.truth.p999_ms)
    }
}

/// What a self-test found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Each plan.
    pub stalled: Vec<Stalled>,
    /// The comparison of a server with itself.
    pub equal: Vec<Equality>,
}

/// What a self-test says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The harness says the truth.
    Passed,
    /// It does not.
    Failed,
    /// A figure was off, but the generator did not keep its plan: the host is too busy to tell.
    Invalid,
}

impl Report {
    /// The report as indented JSON.
    ///
    /// # Panics
    /// Never: all keys are strings and no value refuses to be written.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report holds numbers and strings only")
    }

    /// What it comes to.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let wrong: Vec<_> = self.stalled.iter().filter(|stalled| !stalled.is_true()).collect();
        let has_difference = self.equal.iter().any(|equality| equality.is_different());
        if has_difference || wrong.iter().any(|stalled| stalled.invalid.is_empty()) {
            return Verdict::Failed;
        }
        if wrong.is_empty() { Verdict::Passed } else { Verdict::Invalid }
    }
}

/// Makes a self-test, about a minute and a half; `progress` hears what is being done.
///
/// # Errors
/// - [`SelfTestError`]: what could not be done.
pub fn run(options: &Options, mut progress: impl FnMut(&str)) -> Result<Report, SelfTestError> {
    let own = |error| SelfTestError::Io { doing: "finding this program's file", error };
    let program = options.program.clone().map_or_else(std::env::current_exe, Ok).map_err(own)?;
    let mut stalled = Vec::new();
    for (length_ms, every_ms, seconds) in PLANS {
        progress(&format!("a server that stalls {length_ms} ms every {every_ms} ms"));
        let millis = Duration::from_millis;
        let stalls = Stalls { every: millis(every_ms), length: millis(length_ms) };
        let server = Served::start(&program, stalls)?;
        let name = format!("stall-{length_ms}ms-every-{every_ms}ms");
        let run = server.run(&program, &options.folder.join(&name), &name, (seconds, 1_000))?;
        progress("the same by connections that wait for their answers");
        let closed = server.closed_loop(Duration::from_secs(seconds))?;
        stalled.push(Stalled {
            length_ms,
            every_ms,
            truth: truth(stalls),
            open: reported(&run),
            closed,
            invalid: run.validity.reasons,
        });
    }
    progress("a server compared with itself");
    let server = Served::start(&program, Stalls::default())?;
    let folder = options.folder.join("equal");
    server.run(&program, &folder, "equal", (EQUAL_SECONDS, BLOCK_MS))?;
    Ok(Report { stalled, equal: equal::compare(&read(&folder)?) })
}

/// The quantiles that follow from a plan.
fn truth(stalls: Stalls) -> Tail {
    let part = stalls.length.as_secs_f64() / stalls.every.as_secs_f64();
    let length_ms = stalls.length.as_secs_f64() * 1e3;
    let quantile = |quantile: f64| (length_ms * (1.0 - (1.0 - quantile) / part)).max(0.0);
    Tail { p99_ms: quantile(0.99), p999_ms: quantile(0.999) }
}

fn reported(run: &Run) -> Tail {
    let times = run.operations.first().map(|operation| operation.latency_us).unwrap_or_default();
    let ms = |us: Option<f64>| us.unwrap_or_default() / 1e3;
    Tail { p99_ms: ms(times.p99), p999_ms: ms(times.p999) }
}

/// A canned-answer server, and a connection that keeps it from ending.
struct Served {
    _server: CannedServer,
    address: String,
    _keeper: TcpStream,
}

impl Served {
    fn start(program: &Path, stalls: Stalls) -> Result<Self, SelfTestError> {
        let io = |doing| move |error| SelfTestError::Io { doing, error };
        let port = free_ports(1).map_err(io("finding a free port"))?[0];
        let server = CannedServer::start(program, port, stalls);
        let server = server.map_err(io("starting the server"))?;
        let address = format!("127.0.0.1:{port}");
        let until = clock::now() + LISTENS;
        let keeper = loop {
            match TcpStream::connect(&address) {
                Ok(keeper) => break keeper,
                Err(_) if clock::now() < until => std::thread::park_timeout(LOOK),
                Err(error) => return Err(io("connecting to the server")(error)),
            }
        };
        Ok(Self { _server: server, address, _keeper: keeper })
    }

    /// An open-loop run of so many seconds in windows of so many milliseconds.
    fn run(
        &self,
        program: &Path,
        folder: &Path,
        name: &str,
        (seconds, window_ms): (u64, u64),
    ) -> Result<Run, SelfTestError> {
        let text = format!(
            "schema = \"{}\"\nname = \"{name}\"\n\
             description = \"a server of the harness's own with known answers\"\n\
             time = {{ warmup = \"1s\", measure = \"{seconds}s\", window = \"{window_ms}ms\" }}\n\
             load = [{{ op = \"get_replica_info\", rate = {RATE}, conns = 8 }}]\n\
             [target]\nkind = \"self-test\"\n",
            crate::workload::SCHEMA
        );
        let workload = Workload::read(name, &text)
            .map_err(|error| RunError::Options(format!("the self-test's own workload: {error}")))?;
        let mut setup = Setup::new(Target::Addresses(vec![self.address.clone()]), folder);
        setup.program = Some(program.to_owned());
        Ok(run::run_with(&workload, setup, |_progress| {})?)
    }

    /// The same server as connections see it that send when they have been answered.
    fn closed_loop(&self, measure: Duration) -> Result<Tail, SelfTestError> {
        let io = |error| SelfTestError::Io { doing: "building a runtime", error };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(io)?.block_on(async {
            let streams = connect(&[&self.address], CLOSED_CONNECTIONS).await?;
            let requester = Requester::fixed(crate::broker_sets::frame(&poll("self-test")))?;
            let lane =
                |(number, stream)| Lane { number, stream, requesters: vec![requester.clone()] };
            let lanes = streams.into_iter().enumerate().map(lane).collect();
            let gauge = Gauge::new();
            let director = async {
                gauge.start_measuring();
                tokio::time::sleep(measure).await;
                gauge.stop();
            };
            closed_loop::run(lanes, &gauge, director).await?;
            let times = gauge.measured().latency();
            Ok(Tail { p99_ms: times.quantile_ms(0.99), p999_ms: times.quantile_ms(0.999) })
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<26}{:>16}{:>16}{:>22}{:>12}",
            "server", "truth p99/p99.9", "open loop", "closed loop (8 conn.)", ""
        )?;
        for it in &self.stalled {
            let pair = |tail: &Tail| format!("{:.0} / {:.0} ms", tail.p99_ms, tail.p999_ms);
            let closed = format!("{:.1} / {:.1} ms", it.closed.p99_ms, it.closed.p999_ms);
            let name = format!("{} ms every {} ms", it.length_ms, it.every_ms);
            let verdict = if it.is_true() { "true" } else { "OFF" };
            let (truth, open) = (pair(&it.truth), pair(&it.open));
            writeln!(f, "{name:<26}{truth:>16}{open:>16}{closed:>22}{verdict:>12}")?;
            for reason in &it.invalid {
                writeln!(f, "  invalid: {reason}")?;
            }
        }
        for it in &self.equal {
            writeln!(f, "{it}")?;
        }
        match self.verdict() {
            Verdict::Passed => write!(f, "the harness says the truth within 10 %"),
            Verdict::Failed => write!(f, "THE HARNESS IS WRONG"),
            Verdict::Invalid => write!(f, "this host is too busy to tell"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Report, Stalled, Stalls, Tail, Verdict, truth};

    #[test]
    fn the_truth_follows_from_the_plan() {
        let millis = Duration::from_millis;
        let tail = truth(Stalls { every: millis(5_000), length: millis(200) });
        assert!((tail.p99_ms - 150.0).abs() < 1e-6 && (tail.p999_ms - 195.0).abs() < 1e-6);
        let rare = truth(Stalls { every: millis(5_000), length: millis(40) });
        assert!(rare.p99_ms.abs() < 1e-9, "fewer than one in a hundred wait");
    }

    #[test]
    fn a_figure_that_is_off_fails_unless_the_host_was_too_busy() {
        let tail = |p99_ms, p999_ms| Tail { p99_ms, p999_ms };
        let report = |p99_ms, invalid: &[&str]| {
            let truth = tail(150.0, 195.0);
            let stalled = Stalled {
                length_ms: 200,
                every_ms: 5_000,
                truth,
                open: tail(p99_ms, 195.0),
                closed: tail(1.0, 2.0),
                invalid: invalid.iter().map(|text| (*text).to_owned()).collect(),
            };
            Report { stalled: vec![stalled], equal: Vec::new() }
        };
        let rows = [
            (report(155.0, &[]), Verdict::Passed),
            (report(155.0, &["late"]), Verdict::Passed),
            (report(2.1, &[]), Verdict::Failed),
            (report(190.0, &["late"]), Verdict::Invalid),
        ];
        for (report, expected) in rows {
            assert_eq!(report.verdict(), expected, "{report}");
        }
    }
}

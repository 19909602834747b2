//! `bench run`: one workload against one target, recorded in a run folder.
//!
//! ```text
//! target   start controllers, or look who answers there
//! crew     processes that found the fleet, then send by the plan        generator
//! watch    servers, host and leader, once in each window                watch
//! folder   a line for each window as soon as nothing can happen in it   measure::folder
//! totals   all measured windows added up; is the run valid?             totals
//! ```
//!
//! ```text
//!   start      t0                         t1        end
//!     │ warm-up │ window │ window │ … │ … │ cooldown │ drain │
//! ```
//!
//! Every moment is fixed before the first request is sent. A run that could not offer what it promised
//! says so and is invalid: it says nothing about the server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use measure::folder::{Calibration, FolderError, Happening, Run, Time, Window, Writer};

use crate::clock::mono_ns;
use crate::generator::crew::{Crew, CrewError};
use crate::generator::measures::Tally;
use crate::generator::plan::{self, Command, Plan, Times};
use crate::ground::GroundError;
use crate::subject::Subject;
use crate::workload::{FaultKind, Workload};

mod faults;
pub(crate) mod planning;
mod summary;
pub(crate) mod target;
mod totals;
mod watch;

pub use summary::{Live, Summary};
use target::Stage;
pub use target::{NotATarget, Target};
use totals::Totals;
pub(crate) use totals::succeeded;
pub(crate) use watch::Sleeper;
use watch::{Sample, Watch};

/// From the order to the first request, so that every process has it in time.
const LEAD_NS: u64 = 300_000_000;

/// Pause between two looks at what the generators say.
const LOOK: Duration = Duration::from_millis(20);

/// How a run is made.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What is asked.
    pub target: Target,
    /// Where the run folder is made; it must not hold a run.
    pub folder: PathBuf,
    /// The program that knows `serve -c FILE` and `fleet-worker`; none: this one.
    pub program: Option<PathBuf>,
    /// Where controllers that are started keep their data; none: a temporary folder.
    pub data: Option<PathBuf>,
    /// What the caller knows of the target.
    pub subject: Subject,
    /// What the host can do at best.
    pub calibration: Option<Calibration>,
    /// Set from elsewhere to end the run early; what it has is kept.
    pub stop: Arc<AtomicBool>,
}

impl Setup {
    /// A run with nothing special.
    #[must_use]
    pub fn new(target: Target, folder: &Path) -> Self {
        Self {
            target,
            folder: folder.to_owned(),
            program: None,
            data: None,
            subject: Subject::default(),
            calibration: None,
            stop: Arc::new(AtomicBool::new(false)),
        }
    }
}

/// Why there is no run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The workload does not fit the target.
    #[error("{0}")]
    Options(String),
    /// Nobody answers there, or not as it should.
    #[error(transparent)]
    Target(#[from] NotATarget),
    /// A program, file, socket or controller could not be had.
    #[error(transparent)]
    Ground(#[from] GroundError),
    /// The generator could not begin, or gave up.
    #[error(transparent)]
    Generator(#[from] CrewError),
    /// The run folder cannot be written.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// What whoever waits may want to know.
#[derive(Clone, Debug)]
pub enum Progress<'a> {
    /// What is being done.
    Doing(String),
    /// Something happened.
    Event(&'a Happening),
    /// A window is over; how many there will be.
    Window(&'a Window, u64),
}

/// Makes a run and blocks until it is over, with nothing special: see [`run_with`].
///
/// # Errors
/// - [`RunError`]: what could not be done. A run that is invalid is no error; it says so itself.
pub fn run(workload: &Workload, target: Target, folder: &Path) -> Result<Run, RunError> {
    run_with(workload, Setup::new(target, folder), |_progress| {})
}

/// Makes a run and blocks until it is over.
///
/// # Errors
/// - [`RunError`]: what could not be done. A run that is invalid is no error; it says so itself.
pub fn run_with(
    workload: &Workload,
    setup: Setup,
    mut progress: impl FnMut(Progress<'_>),
) -> Result<Run, RunError> {
    let mut stage = Stage::begin(workload, &setup, &mut progress)?;
    let plan = planning::plan(workload, stage.addresses.clone())?;
    let mut run = describe(workload, &setup, &stage);
    let mut writer = Writer::create(&setup.folder, &run)?;
    let (mut crew, _views) =
        Crew::start(&stage.program, &plan, |text| progress(Progress::Doing(text.to_owned())))?;
    let ran =
        Course::new(workload, &setup).run(&mut crew, &mut stage, &mut writer, &mut progress)?;
    let seen = ran.seen;
    if workload.record.server_metrics {
        for (node, page) in stage.metrics() {
            writer.server_metrics(&node, &page)?;
        }
    }
    if stage.own.is_none() && plan.sets > 0 {
        progress(Progress::Doing("removing the run's broker sets".to_owned()));
        if let Err(error) = stage.remove(&plan) {
            progress(Progress::Doing(format!("some stay behind: {error}")));
        }
    }
    let slowest: Vec<_> = seen.slowest.iter().map(|slow| ran.course.slow(slow)).collect();
    writer.slowest(slowest.get(..workload.record.trace_slowest).unwrap_or(&slowest))?;
    ran.course.totals.finish(&mut run, workload, &ran.watched, &seen);
    if let Some((failover, sets)) = faults::outcome(&seen, &plan, ran.course.times.measure_from_ns)
    {
        writer.broker_sets(&sets)?;
        run.failover = Some(failover);
    }
    run.finished = !ran.is_stopped;
    if ran.is_stopped {
        run.validity.valid = false;
        run.validity.reasons.push("interrupted before its planned end".to_owned());
    }
    writer.finish(&run)?;
    Ok(run)
}

/// What is known before the first request.
fn describe(workload: &Workload, setup: &Setup, stage: &Stage) -> Run {
    let (nodes, data) = (&stage.addresses, stage.data_folder());
    let mut run = setup.subject.begin(&workload.name, &stage.said, nodes, data);
    run.description.clone_from(&workload.description);
    run.seed = workload.seed;
    run.target.reads = workload.target.reads.name();
    run.host.calibration.clone_from(&setup.calibration);
    run.time = Time {
        warmup_ms: workload.warm_up().millis(),
        measure_ms: workload.time.measure.millis(),
        window_ms: workload.time.window.millis(),
    };
    run.workload.clone_from(&workload.text);
    run
}

/// A run while it goes on.
struct Course<'a> {
    workload: &'a Workload,
    stop: Arc<AtomicBool>,
    times: Times,
    window_ns: u64,
    /// Windows of the whole run, warm-up and cooldown included.
    windows: u64,
    totals: Totals,
}

/// A run when it is over.
struct Ran<'a> {
    course: Course<'a>,
    seen: plan::Report,
    watched: watch::Watched,
    is_stopped: bool,
}

impl<'a> Course<'a> {
    fn new(workload: &'a Workload, setup: &Setup) -> Self {
        let start_ns = mono_ns() + LEAD_NS;
        let measure_from_ns = start_ns + workload.warm_up().nanos();
        let measure_to_ns = measure_from_ns + workload.time.measure.nanos();
        let window_ns = workload.time.window.nanos();
        let length = u64::try_from(workload.length().as_nanos()).unwrap_or(u64::MAX);
        Self {
            workload,
            stop: Arc::clone(&setup.stop),
            times: Times { start_ns, measure_from_ns, measure_to_ns },
            window_ns,
            windows: length.div_ceil(window_ns),
            totals: Totals::default(),
        }
    }

    fn run(
        mut self,
        crew: &mut Crew,
        stage: &mut Stage,
        writer: &mut Writer,
        progress: &mut impl FnMut(Progress<'_>),
    ) -> Result<Ran<'a>, RunError> {
        let end_ns = self.times.start_ns
            + u64::try_from(self.workload.length().as_nanos()).unwrap_or(u64::MAX);
        crew.tell(&Command::Measure { has_load: true, times: self.times })?;
        crew.tell(&Command::Ease { at_ns: end_ns })?;
        let mut faults = faults::Faults::new(self.workload, self.times.measure_from_ns);
        let mut watch = Watch::begin(stage, &crew.processes(), self.times);
        let mut half_done = BTreeMap::new();
        let mut samples: BTreeMap<u64, Sample> = BTreeMap::new();
        let drained_ns = end_ns + self.workload.time.drain_timeout.nanos();
        let mut given = 0;
        let is_stopped = loop {
            let now_ns = mono_ns();
            if let Some(number) = now_ns.checked_sub(self.times.start_ns) {
                watch.look(number / self.window_ns, stage, &mut samples);
            }
            let mut happened = watch.leader_changes(crew)?;
            happened.extend(faults.strike(now_ns, crew, stage, &mut watch)?);
            for (kind, text) in happened {
                let event = Happening { at_ms: self.at_ms(now_ns), kind: kind.to_owned(), text };
                writer.event(&event)?;
                progress(Progress::Event(&event));
            }
            for (number, tally) in crew.windows(&mut half_done)? {
                given += u64::from(number < self.windows);
                self.write(number, (&tally, samples.remove(&number)), writer, progress)?;
            }
            let is_stopped = self.stop.load(Ordering::Acquire);
            let is_over = now_ns > end_ns && (given >= self.windows || now_ns > drained_ns);
            if is_stopped || is_over {
                break is_stopped;
            }
            std::thread::park_timeout(LOOK);
        };
        let watched = watch.end(stage);
        let mut seen = crew.report()?;
        for (number, (_, tally)) in half_done {
            seen.windows.entry(number).or_default().add(&tally);
        }
        for (number, tally) in std::mem::take(&mut seen.windows) {
            self.write(number, (&tally, samples.remove(&number)), writer, progress)?;
        }
        Ok(Ran { course: self, seen, watched, is_stopped })
    }

    /// A window that is over goes into its file, and into the totals if it is a measured one.
    fn write(
        &mut self,
        number: u64,
        (tally, sample): (&Tally, Option<Sample>),
        writer: &mut Writer,
        progress: &mut impl FnMut(Progress<'_>),
    ) -> Result<(), RunError> {
        // Heartbeats go on while answers are waited for.
        if number >= self.windows {
            return Ok(());
        }
        let begin_ns = self.times.start_ns + number * self.window_ns;
        let window = totals::window(self.at_ms(begin_ns), tally, sample.unwrap_or_default());
        if (self.times.measure_from_ns..self.times.measure_to_ns).contains(&begin_ns) {
            self.totals.add(tally);
        }
        writer.window(&window)?;
        progress(Progress::Window(&window, self.windows));
        Ok(())
    }

    /// Milliseconds from the start of measuring.
    fn at_ms(&self, moment_ns: u64) -> i64 {
        let millis = |nanos: u64| i64::try_from(nanos / 1_000_000).unwrap_or(i64::MAX);
        let from = self.times.measure_from_ns;
        if moment_ns >= from { millis(moment_ns - from) } else { -millis(from - moment_ns) }
    }

    fn slow(&self, slow: &plan::Slow) -> measure::folder::Slow {
        let due_ns = slow.due_ns.saturating_sub(self.times.measure_from_ns);
        measure::folder::Slow {
            op: slow.kind.name().to_owned(),
            due_ms: measure::histogram::micros(due_ns) / 1e3,
            latency_us: measure::histogram::micros(slow.latency_ns),
            service_us: measure::histogram::micros(slow.service_ns),
            lag_us: measure::histogram::micros(slow.lag_ns),
            outcome: slow.outcome.clone(),
        }
    }
}

/// Whether a workload wants controllers killed that this run has started.
fn kills_controllers(workload: &Workload) -> bool {
    workload.faults().any(|fault| fault.kind != FaultKind::BrokerKill)
}

/// Whether the workload's fleet is one that nobody dies in, so that one listener takes all notices.
fn kills_brokers(workload: &Workload) -> bool {
    workload.faults().any(|fault| fault.kind == FaultKind::BrokerKill)
}

/// A plan's empty beginning, for streams without a fleet.
fn without_fleet(addresses: Vec<String>) -> Plan {
    let mut plan = Plan::as_java(addresses, "none".to_owned(), 0);
    plan.sources.clear();
    plan
}

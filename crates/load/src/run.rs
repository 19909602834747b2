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
use crate::fleet::Fleet;
use crate::fleet::link::Link;
use crate::generator::crew::{Crew, CrewError};
use crate::generator::measures::{Kind, Tally};
use crate::generator::plan::{self, CONTRADICTIONS_MAX, Command, Plan, Times};
use crate::ground::GroundError;
use crate::own_cluster::OwnCluster;
use crate::subject::Subject;
use crate::workload::{FaultKind, Workload};

mod aside;
mod deaths;
mod faults;
mod lost;
pub(crate) mod planning;
mod summary;
pub(crate) mod target;
mod totals;
mod watch;
mod workers;

pub(crate) use faults::part_of;
pub use summary::{Live, Summary};
use target::Stage;
pub use target::{NotATarget, Target};
use totals::Totals;
pub(crate) use totals::succeeded;
pub(crate) use watch::Sleeper;
use watch::{Sample, Watch};

/// From the order to the first request, so that every process has it in time.
const LEAD_NS: u64 = 300_000_000;

/// The same for workers on other hosts.
const LEAD_OF_WORKERS_NS: u64 = 2_000_000_000;

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
    /// Such a run is a shorter one, and not an interrupted one: the load ends in order, and answers are waited for.
    pub may_end_early: bool,
    /// Workers that play the load; none for processes of this host.
    pub fleet: Option<Fleet>,
    /// Count brokers that controllers take for dead, by their metrics; they are asked every five seconds.
    pub counts_deaths: bool,
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
            may_end_early: false,
            fleet: None,
            counts_deaths: false,
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

/// When the parts of a run begin, as durations from now. A run that is ended early ends before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Planned {
    /// The warm-up.
    pub start: Duration,
    /// What is measured.
    pub measure_from: Duration,
    /// The load after it that is not counted.
    pub measure_to: Duration,
    /// No request is due any more.
    pub end: Duration,
}

/// What whoever waits may want to know.
#[derive(Clone, Debug)]
pub enum Progress<'a> {
    /// What is being done.
    Doing(String),
    /// Every moment of the load is fixed.
    Planned(Planned),
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
    let links = setup.fleet.as_ref().map(|fleet| workers::connect(fleet, &plan)).transpose()?;
    let mut writer = Writer::create(&setup.folder, &run)?;
    if stage.own.is_some() {
        let at_ms = -i64::try_from(run.time.warmup_ms).unwrap_or_default();
        let text = OwnCluster::how_started().to_owned();
        writer.event(&Happening { at_ms, kind: "note".to_owned(), text })?;
    }
    let order = Order { workload, setup: &setup, plan: &plan, links };
    let made = make(order, &mut stage, &mut writer, &mut run, &mut progress);
    // Whatever became of it: controllers that others use keep nothing of it.
    if stage.own.is_none() && plan.sets > 0 {
        progress(Progress::Doing("removing the run's broker sets".to_owned()));
        if let Err(error) = stage.remove(&plan) {
            progress(Progress::Doing(format!("some stay behind: {error}")));
        }
    }
    made?;
    writer.finish(&run)?;
    Ok(run)
}

/// What is to be played, and by whom.
struct Order<'a> {
    workload: &'a Workload,
    setup: &'a Setup,
    plan: &'a Plan,
    /// Workers of a fleet; none for processes of this host.
    links: Option<Vec<Link>>,
}

/// Lets the load be played and writes what came of it, into the folder and into `run`. When it returns nobody plays any more.
fn make(
    order: Order<'_>,
    stage: &mut Stage,
    writer: &mut Writer,
    run: &mut Run,
    progress: &mut impl FnMut(Progress<'_>),
) -> Result<(), RunError> {
    let Order { workload, setup, plan, links } = order;
    let mut doing = |text: &str| progress(Progress::Doing(text.to_owned()));
    let begun = match links {
        Some(links) => Crew::of_workers(links, plan, &setup.stop, &mut doing),
        None => Crew::start_unless(&stage.program, plan, &setup.stop, &mut doing),
    };
    let mut crew = match begun {
        Ok((crew, _views)) => crew,
        // What other hosts do is no reason to have nothing at all, and neither is an operator who has seen enough.
        Err(
            error @ (CrewError::Worker { .. } | CrewError::Silent { .. } | CrewError::Ended { .. }),
        ) => {
            run.validity.valid = false;
            run.validity.reasons.push(error.to_string());
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let course = Course::new(workload, setup);
    let mut ran = course.run(&mut crew, stage, writer, progress)?;
    workers::note(&crew.workers(), &mut ran, writer, progress)?;
    let seen = &ran.seen;
    let lost = lost_writes(stage, plan, seen, progress);
    if workload.record.server_metrics {
        for (node, page) in stage.metrics() {
            writer.server_metrics(&node, &page)?;
        }
    }
    let slowest: Vec<_> = seen.slowest.iter().map(|slow| ran.course.slow(slow)).collect();
    writer.slowest(slowest.get(..workload.record.trace_slowest).unwrap_or(&slowest))?;
    run.time.measure_ms = ran.measured_ms();
    ran.course.totals.finish(run, workload, &ran.watched, seen);
    if let Some(lost) = lost {
        run.correctness.lost_writes = Some(lost.writes);
        run.correctness.violations += lost.writes;
        run.correctness.details.extend(lost.details.into_iter().take(CONTRADICTIONS_MAX));
    }
    if let Some((failover, sets)) = faults::outcome(seen, plan, ran.course.times.measure_from_ns) {
        writer.broker_sets(&sets)?;
        run.failover = Some(failover);
    }
    let interrupted = || "interrupted before its planned end".to_owned();
    let why = ran.broken.map(|error| error.to_string());
    let why = why.or_else(|| ran.is_stopped.then(interrupted));
    run.finished = why.is_none();
    if let Some(why) = why {
        run.validity.valid = false;
        run.validity.reasons.push(why);
    }
    crew.dismiss().into_iter().for_each(|late| progress(Progress::Doing(late)));
    Ok(())
}

/// What all who play it have measured; where one is lost, now or before, what the others have.
fn reported(crew: &mut Crew, broken: &mut Option<CrewError>) -> plan::Report {
    let mut all = plan::Report::default();
    if broken.is_none() {
        *broken = crew.report(&mut all).err();
    }
    if broken.is_some() {
        crew.rest(&mut all);
        // Windows without the part of whoever is gone would say too little.
        all.windows.clear();
    }
    all
}

/// What was acknowledged and is not there in the end; nothing if no change was made, or nobody answers.
fn lost_writes(
    stage: &Stage,
    plan: &Plan,
    seen: &plan::Report,
    progress: &mut impl FnMut(Progress<'_>),
) -> Option<lost::Lost> {
    plan.sources.iter().find(|source| source.kind == Kind::AlterSyncStateSet)?;
    progress(Progress::Doing("asking for what was acknowledged last".to_owned()));
    match stage.views(plan) {
        Ok(views) => Some(lost::lost(plan, &seen.acknowledged, &views)),
        Err(error) => {
            progress(Progress::Doing(format!("nobody says what was acknowledged: {error}")));
            None
        }
    }
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
    may_end_early: bool,
    counts_deaths: bool,
    times: Times,
    /// When the load ends, the cooldown included.
    end_ns: u64,
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
    /// Who of those that play it was lost, and how; what was measured before counts.
    broken: Option<CrewError>,
}

impl Ran<'_> {
    /// Milliseconds that were measured; where somebody was lost, those of the windows that are whole.
    fn measured_ms(&self) -> u64 {
        let measured = match self.broken {
            None => self.course.measured(),
            Some(_) => {
                self.course.measured().min(self.course.totals.measured(self.course.window_ns))
            }
        };
        measured.as_millis().try_into().unwrap_or(u64::MAX)
    }
}

impl<'a> Course<'a> {
    fn new(workload: &'a Workload, setup: &Setup) -> Self {
        let lead_ns = if setup.fleet.is_some() { LEAD_OF_WORKERS_NS } else { LEAD_NS };
        let start_ns = mono_ns() + lead_ns;
        let measure_from_ns = start_ns + workload.warm_up().nanos();
        let measure_to_ns = measure_from_ns + workload.time.measure.nanos();
        let window_ns = workload.time.window.nanos();
        let length = u64::try_from(workload.length().as_nanos()).unwrap_or(u64::MAX);
        Self {
            workload,
            stop: Arc::clone(&setup.stop),
            may_end_early: setup.may_end_early,
            counts_deaths: setup.counts_deaths,
            times: Times { start_ns, measure_from_ns, measure_to_ns },
            end_ns: start_ns + length,
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
        let begin = Command::Measure { has_load: true, times: self.times };
        let begun =
            crew.tell(&begin).and_then(|()| crew.tell(&Command::Ease { at_ns: self.end_ns }));
        let mut broken = begun.err();
        let mut faults = faults::Faults::new(self.workload, self.times.measure_from_ns);
        let mut watch = Watch::begin(stage, &crew.processes(), self.times);
        if self.counts_deaths {
            watch.count_deaths(stage);
        }
        progress(Progress::Planned(self.planned(mono_ns())));
        let (mut half_done, mut whole) = (BTreeMap::new(), Vec::new());
        let mut samples: BTreeMap<u64, Sample> = BTreeMap::new();
        let mut given = 0;
        let mut look = || {
            let now_ns = mono_ns();
            if let Some(number) = now_ns.checked_sub(self.times.start_ns) {
                watch.look(number / self.window_ns, stage, &mut samples);
            }
            let mut happened = watch.leader_changes(crew)?;
            happened.extend(watch.deaths());
            happened.extend(faults.strike(now_ns, crew, stage, &mut watch)?);
            let is_stopped = self.stop.load(Ordering::Acquire);
            if is_stopped && self.may_end_early && self.shorten(now_ns) {
                crew.tell(&Command::Ease { at_ns: self.end_ns })?;
                watch.end_at(self.times.measure_to_ns);
                faults.cease();
                happened.push(("note", "asked to end early".to_owned()));
            }
            for (kind, text) in happened {
                let event = Happening { at_ms: self.at_ms(now_ns), kind: kind.to_owned(), text };
                writer.event(&event)?;
                progress(Progress::Event(&event));
            }
            crew.windows(&mut half_done, &mut whole)?;
            for (number, tally) in whole.drain(..) {
                given += u64::from(number < self.windows);
                self.write(number, (&tally, samples.remove(&number)), writer, progress)?;
            }
            let drained_ns = self.end_ns + self.workload.time.drain_timeout.nanos();
            let is_over = now_ns > self.end_ns && (given >= self.windows || now_ns > drained_ns);
            let is_stopped = is_stopped && !self.may_end_early;
            if is_stopped || (is_over && !faults.has_returns()) {
                return Ok(Some(is_stopped));
            }
            Ok(None)
        };
        let mut is_stopped = None;
        while is_stopped.is_none() && broken.is_none() {
            match look() {
                Ok(None) => std::thread::park_timeout(LOOK),
                Ok(ended) => is_stopped = ended,
                Err(RunError::Generator(error)) => broken = Some(error),
                Err(error) => return Err(error),
            }
        }
        if broken.is_some() {
            // Windows to which everybody had given his part are whole, also those that nobody had looked at yet.
            drop(crew.windows(&mut half_done, &mut whole));
            self.write_all(whole, &mut samples, writer, progress)?;
        }
        let watched = watch.end(stage);
        let mut seen = reported(crew, &mut broken);
        if broken.is_some() {
            half_done.clear();
        }
        for (number, (_, tally)) in half_done {
            seen.windows.entry(number).or_default().add(&tally);
        }
        self.write_all(std::mem::take(&mut seen.windows), &mut samples, writer, progress)?;
        Ok(Ran { course: self, seen, watched, is_stopped: is_stopped == Some(true), broken })
    }

    /// Ends the load with the next whole window but one; whether that is earlier than it would have ended. One window
    /// at least is measured.
    fn shorten(&mut self, now_ns: u64) -> bool {
        let Times { start_ns, measure_from_ns, measure_to_ns } = self.times;
        let since_ns = (now_ns + LEAD_NS).saturating_sub(measure_from_ns);
        let measured = since_ns.div_ceil(self.window_ns).max(1);
        let end_ns = measure_from_ns + measured * self.window_ns;
        if end_ns >= measure_to_ns {
            return false;
        }
        (self.times.measure_to_ns, self.end_ns) = (end_ns, end_ns);
        self.windows = (end_ns - start_ns).div_ceil(self.window_ns);
        true
    }

    /// Whether a window with this number is one of the measured ones.
    fn is_measured(&self, number: u64) -> bool {
        let begin_ns = self.times.start_ns + number * self.window_ns;
        number < self.windows
            && (self.times.measure_from_ns..self.times.measure_to_ns).contains(&begin_ns)
    }

    /// How long after `now_ns` everything begins.
    fn planned(&self, now_ns: u64) -> Planned {
        let after = |moment_ns: u64| Duration::from_nanos(moment_ns.saturating_sub(now_ns));
        let Times { start_ns, measure_from_ns, measure_to_ns } = self.times;
        Planned {
            start: after(start_ns),
            measure_from: after(measure_from_ns),
            measure_to: after(measure_to_ns),
            end: after(self.end_ns),
        }
    }

    /// The time that was measured, or is to be.
    fn measured(&self) -> Duration {
        Duration::from_nanos(self.times.measure_to_ns - self.times.measure_from_ns)
    }

    /// As [`Self::write`], each window with its sample.
    fn write_all(
        &mut self,
        windows: impl IntoIterator<Item = (u64, Tally)>,
        samples: &mut BTreeMap<u64, Sample>,
        writer: &mut Writer,
        progress: &mut impl FnMut(Progress<'_>),
    ) -> Result<(), RunError> {
        for (number, tally) in windows {
            self.write(number, (&tally, samples.remove(&number)), writer, progress)?;
        }
        Ok(())
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
        if self.is_measured(number) {
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
    workload.faults().any(|fault| fault.kind.is_of_controllers())
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

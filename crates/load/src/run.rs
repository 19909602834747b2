//! `bench run`: one workload against one target, recorded in a run folder.
//!
//! ```text
//! target   start controllers, or look who answers there
//! crew     processes that found the fleet, then send by the plan        generator
//! course   who plays it is told, heard and struck, up to its end        course
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

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use measure::folder::{Calibration, FolderError, Happening, Run, Time, Window, Writer};

use crate::fleet::Fleet;
use crate::fleet::link::Link;
use crate::generator::crew::{Crew, CrewError};
use crate::generator::measures::Kind;
use crate::generator::plan::{self, Plan};
use crate::ground::GroundError;
use crate::own_cluster::OwnCluster;
use crate::subject::Subject;
use crate::workload::{FaultKind, Workload};

mod aside;
mod course;
mod deaths;
mod faults;
mod lost;
pub(crate) mod planning;
mod summary;
pub(crate) mod target;
mod totals;
mod watch;
mod workers;

use course::Course;
pub(crate) use faults::part_of;
pub use summary::{Live, Summary};
use target::Stage;
pub use target::{NotATarget, Target};
pub(crate) use totals::succeeded;
pub(crate) use watch::Sleeper;

/// From the order to the first request, so that every process has it in time.
const LEAD_NS: u64 = 300_000_000;

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
    /// Count brokers that controllers take for dead every five seconds, by their metrics, and not only before and after.
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
    stage.leave(&plan, |text| progress(Progress::Doing(text.to_owned())));
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
        None => Crew::start(&stage.program, plan, &setup.stop, &mut doing),
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
    let deaths = deaths::Before::ask(workload, setup.counts_deaths, stage);
    let course = Course::new(workload, setup);
    let mut ran = course.run(&mut crew, stage, writer, progress)?;
    ran.watched.deaths = ran.watched.deaths.or_else(|| deaths.since(stage));
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
    if let Some(asked) = lost {
        lost::note(asked, run);
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

/// What was acknowledged and is not there in the end, or why nobody says so; nothing if no change was made.
fn lost_writes(
    stage: &Stage,
    plan: &Plan,
    seen: &plan::Report,
    progress: &mut impl FnMut(Progress<'_>),
) -> Option<Result<lost::Lost, String>> {
    plan.sources.iter().find(|source| source.kind == Kind::AlterSyncStateSet)?;
    progress(Progress::Doing("asking for what was acknowledged last".to_owned()));
    Some(stage.last_views(plan).map(|views| lost::lost(plan, &seen.acknowledged, &views)))
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

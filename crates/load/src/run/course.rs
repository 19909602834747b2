//! A run from its first request to its last answer: who plays it is told, heard and struck, and windows are written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use measure::folder::{Happening, Writer};

use super::target::Stage;
use super::totals::{self, Totals};
use super::watch::{self, Sample, Watch};
use super::{LEAD_NS, Planned, Progress, RunError, Setup, faults};
use crate::clock::mono_ns;
use crate::generator::crew::{Crew, CrewError};
use crate::generator::measures::Tally;
use crate::generator::plan::{self, Command, Times};
use crate::workload::Workload;

/// [`LEAD_NS`] for workers on other hosts.
const LEAD_OF_WORKERS_NS: u64 = 2_000_000_000;

/// Pause between two looks at what the generators say.
const LOOK: Duration = Duration::from_millis(20);

/// A run while it goes on.
pub(super) struct Course<'a> {
    workload: &'a Workload,
    stop: Arc<AtomicBool>,
    may_end_early: bool,
    counts_deaths: bool,
    pub(super) times: Times,
    /// When the load ends, the cooldown included.
    end_ns: u64,
    window_ns: u64,
    /// Windows of the whole run, warm-up and cooldown included.
    windows: u64,
    pub(super) totals: Totals,
}

/// A run when it is over.
pub(super) struct Ran<'a> {
    pub(super) course: Course<'a>,
    pub(super) seen: plan::Report,
    pub(super) watched: watch::Watched,
    pub(super) is_stopped: bool,
    /// Who of those that play it was lost, and how; what was measured before counts.
    pub(super) broken: Option<CrewError>,
}

impl Ran<'_> {
    /// Milliseconds that were measured; where somebody was lost, those of the windows that are whole.
    pub(super) fn measured_ms(&self) -> u64 {
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
    pub(super) fn new(workload: &'a Workload, setup: &Setup) -> Self {
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

    pub(super) fn run(
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
    pub(super) fn is_measured(&self, number: u64) -> bool {
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
    pub(super) fn measured(&self) -> Duration {
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

    pub(super) fn slow(&self, slow: &plan::Slow) -> measure::folder::Slow {
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

//! `bench compare`: two builds in turns, on a host that others use too.
//!
//! ```text
//! for each restart     start A, B and a second copy of A, in an order by chance; warm each up     stand
//!   for each quad      A B B A or B A A B; who has no turn only keeps alive                       turns
//! all quads            drop the ones under pressure, whatever they say; effects, verdicts         found
//!                      inconclusive: as many restarts again, once
//! ```
//!
//! One after the other two runs of one build differ "significantly" in half of all cases on a shared host; in turns they
//! do not. The arms never work at the same time. Both looks at the data are fixed in advance: the first may spend 0.04,
//! the second 0.01 of what may be wrong in 1. Differences between builds that are none, such as the layout of code, stay:
//! a "slower" must come back in a second comparison before it blocks anybody.
//!
//! What is *absent*: syncs of the journal, since asking for them would be load.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use measure::comparison::{Change, Comparison, SCHEMA, Side};
use measure::folder::Durability;
use measure::statistics::{QUADS_MIN, RESTARTS_MIN, Random};

use crate::clock::mono_ns;
use crate::generator::crew::CrewError;
use crate::generator::measures::Tally;
use crate::generator::plan::Times;
use crate::host;
use crate::run::RunError;
use crate::workload::Workload;
use found::{Block, Quad, Terms};
use stand::{Players, Stand, Used};
use turns::{A, B, Lengths, QUAD, Turn, Turns, WINDOW_MS, share};

mod found;
mod stand;
mod turns;

/// From the order to the first request, so that every process has it in time.
const LEAD_NS: u64 = 500_000_000;

/// Pause between two looks at what the generators say.
const LOOK: Duration = Duration::from_millis(20);

/// Most quads of one comparison.
pub const QUADS_MAX: usize = 2_000;

/// Most restarts.
pub const RESTARTS_MAX: usize = 100;

/// Of how much may be wrong in 1 each look may spend its part. Source: two looks fixed in advance, 0.05 together.
const ALPHAS: [f64; 2] = [0.04, 0.01];

/// One of the things that are compared.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Arm {
    /// A program that knows `serve -c FILE`; it is started again for each restart.
    Program(PathBuf),
    /// Running controllers, `host:port`; they cannot be restarted.
    Addresses(Vec<String>),
}

/// How two arms are compared.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The baseline.
    pub a: Arm,
    /// The candidate.
    pub b: Arm,
    /// The program that plays the fleets; none: this one.
    pub generator: Option<PathBuf>,
    /// Quads of both, over all restarts.
    pub quads: usize,
    /// Quads of the baseline with its second copy, over all restarts.
    pub same: usize,
    /// How often both are started; 1 where an arm cannot be.
    pub restarts: usize,
    /// Length of a block.
    pub block: Duration,
    /// Load before each block that does not count.
    pub settle: Duration,
    /// A quad counts if nobody waited for a processor for a larger part of any of its blocks, in percent; none: as the
    /// workload's `limits` say.
    pub pressure_pct: Option<f64>,
    /// Whether an inconclusive comparison is extended once.
    pub may_extend: bool,
    /// Orders and draws come from it.
    pub seed: u64,
    /// Set from elsewhere to end early; what there is, is judged.
    pub stop: Arc<AtomicBool>,
}

impl Setup {
    /// The design that PERFORMANCE asks for: five restarts of eight quads, and four of the baseline with itself.
    #[must_use]
    pub fn new(a: Arm, b: Arm) -> Self {
        Self {
            a,
            b,
            generator: None,
            quads: 40,
            same: 4,
            restarts: 5,
            block: Duration::from_secs(2),
            settle: Duration::from_secs(1),
            pressure_pct: None,
            may_extend: true,
            seed: 42,
            stop: Arc::new(AtomicBool::new(false)),
        }
    }
}

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The design or the workload cannot be compared by turns.
    #[error("{0}")]
    Options(String),
    /// The arms do not promise the same.
    #[error(
        "what an acknowledged write survives differs: the baseline is {a:?}, the candidate {b:?}; such a comparison \
         would mislead"
    )]
    AcrossDurability {
        /// Of the baseline.
        a: Durability,
        /// Of the candidate.
        b: Durability,
    },
    /// An arm could not be had.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A fleet could not begin, or gave up.
    #[error(transparent)]
    Generator(#[from] CrewError),
    /// This program could not be found.
    #[error("finding this program's file: {0}")]
    Io(#[from] io::Error),
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// As it is written and drawn.
    pub comparison: Comparison,
    /// Wrong answers of either arm: a fast one that is wrong is no result.
    pub violations: u64,
    /// The first of them, in words.
    pub contradictions: Vec<String>,
}

/// Compares two arms and blocks until it is known how they differ; `progress` hears what is being done.
///
/// # Errors
/// - [`CompareError`]: what could not be done. A host that is too busy is no error; the comparison says so itself.
pub fn run(
    workload: &Workload,
    setup: &Setup,
    mut progress: impl FnMut(&str),
) -> Result<Outcome, CompareError> {
    check(workload, setup)?;
    let mut course = Course {
        workload,
        setup,
        generator: setup.generator.clone().map_or_else(std::env::current_exe, Ok)?,
        random: Random::new(setup.seed, 11),
        quads: Vec::new(),
        sides: Default::default(),
        lag: measure::Histogram::default(),
        skipped: 0,
        violations: 0,
        contradictions: Vec::new(),
    };
    let looks = if setup.may_extend { ALPHAS.len() } else { 1 };
    for (look, alpha) in ALPHAS.into_iter().enumerate().take(looks) {
        for restart in 0..setup.restarts {
            progress(&format!(
                "restart {} of {}",
                look * setup.restarts + restart + 1,
                setup.restarts
            ));
            course.restart(look * setup.restarts + restart, restart, &mut progress)?;
        }
        let comparison = course.comparison(alpha);
        let is_open = comparison.verdict() == Change::Inconclusive;
        let is_last = look + 1 == looks || setup.stop.load(Ordering::Acquire);
        if is_last || !is_open || !comparison.valid {
            let Course { violations, contradictions, .. } = course;
            return Ok(Outcome { comparison, violations, contradictions });
        }
        progress("inconclusive: as many restarts again, once");
    }
    unreachable!("the last look returns")
}

/// What cannot be compared in turns.
fn check(workload: &Workload, setup: &Setup) -> Result<(), CompareError> {
    let refuse = |why: String| Err(CompareError::Options(why));
    let has_streams = workload.streams().next().is_some();
    let has_churn =
        workload.fleet.as_ref().is_some_and(|fleet| fleet.alter_sync_state_set.is_some());
    if !has_streams && !has_churn {
        let why = "a fleet alone cannot take turns: a workload with `load = [...]` can";
        return refuse(format!("workload {}: {why}", workload.name));
    }
    let has_trace = workload.streams().any(|stream| stream.rate.is_none());
    if has_trace || !workload.phase.is_empty() || workload.faults().next().is_some() {
        let why = "`phase`, `fault` and traces do not go with turns: leave them out";
        return refuse(format!("workload {}: {why}", workload.name));
    }
    for (name, length) in [("block", setup.block), ("settle", setup.settle)] {
        let millis = millis(length);
        if millis == 0 || !millis.is_multiple_of(WINDOW_MS) {
            return refuse(format!("--{name} {millis}ms: a multiple of {WINDOW_MS}ms (WINDOW_MS)"));
        }
    }
    let (quads, restarts) = (setup.quads, setup.restarts);
    if !(1..=QUADS_MAX).contains(&quads) || setup.same > QUADS_MAX {
        return refuse(format!("{quads} quads: 1 to {QUADS_MAX} (QUADS_MAX)"));
    }
    if !(1..=RESTARTS_MAX).contains(&restarts) || restarts > quads {
        return refuse(format!(
            "{restarts} restarts of {quads} quads: 1 to {RESTARTS_MAX} (RESTARTS_MAX), each of a quad or more"
        ));
    }
    let is_running = [&setup.a, &setup.b].iter().any(|arm| matches!(arm, Arm::Addresses(_)));
    if is_running && restarts > 1 {
        return refuse("running controllers cannot be restarted: --restarts 1".to_owned());
    }
    if setup.a == setup.b && matches!(setup.a, Arm::Addresses(_)) {
        return refuse(
            "the same controllers twice: they cannot be asked in turns by two fleets".to_owned(),
        );
    }
    Ok(())
}

/// A comparison while it goes on.
struct Course<'a> {
    workload: &'a Workload,
    setup: &'a Setup,
    generator: PathBuf,
    random: Random,
    quads: Vec<Quad>,
    sides: [Side; 2],
    lag: measure::Histogram,
    skipped: u64,
    violations: u64,
    contradictions: Vec<String>,
}

/// What was seen of one turn, before its windows are known.
struct Taken {
    turn: Turn,
    used: (Used, Used),
    pressure_pct: f64,
    steal_pct: f64,
}

impl Course<'_> {
    /// Starts all arms, gives them their turns and ends them.
    fn restart(
        &mut self,
        number: usize,
        of_look: usize,
        progress: &mut impl FnMut(&str),
    ) -> Result<(), CompareError> {
        let setup = self.setup;
        let lengths = Lengths {
            warm_up_ms: self.workload.warm_up().millis().next_multiple_of(WINDOW_MS),
            settle_ms: millis(setup.settle),
            block_ms: millis(setup.block),
        };
        let quads = share(setup.quads, setup.restarts, of_look);
        // A second copy of what cannot be started is nowhere to be had.
        let can_copy = matches!(setup.a, Arm::Program(_));
        let same = if can_copy { share(setup.same, setup.restarts, of_look) } else { 0 };
        let turns = Turns::new(quads, same, lengths, &mut self.random);
        let mut stands = Vec::new();
        let started = self.stands(&turns, &mut stands, progress);
        let made = started.and_then(|()| self.take_turns(number, &turns, lengths, &mut stands));
        // Whatever became of it: controllers that others use keep nothing of it.
        stands.into_iter().for_each(|stand| stand.leave(progress));
        made
    }

    /// Gives all arms their turns and keeps what was seen of them.
    fn take_turns(
        &mut self,
        number: usize,
        turns: &Turns,
        lengths: Lengths,
        stands: &mut [Stand],
    ) -> Result<(), CompareError> {
        let setup = self.setup;
        self.know(stands)?;
        let start_ns = mono_ns() + LEAD_NS;
        let at_ns = |at_ms: u64| start_ns + at_ms * 1_000_000;
        let end_ns = at_ns(turns.end_ms());
        let times =
            Times { start_ns, measure_from_ns: at_ns(turns.warm_ms()), measure_to_ns: end_ns };
        stands.iter_mut().try_for_each(|stand| stand.measure(times, end_ns))?;
        let mut taken = Vec::new();
        for quad in &turns.quads {
            for turn in quad.turns {
                wait(stands, at_ns(turn.from_ms))?;
                let (before, pressure, steal) = look(&stands[turn.arm]);
                wait(stands, at_ns(turn.to_ms))?;
                let (after, pressure_after, steal_after) = look(&stands[turn.arm]);
                let part = |before: u64, after: u64, of: u64| {
                    percent(after.saturating_sub(before), of * lengths.block_ms * 1_000)
                };
                let cores = u64::try_from(host::cores()).unwrap_or(1);
                taken.push(Taken {
                    turn,
                    used: (before, after),
                    pressure_pct: part(pressure, pressure_after, 1),
                    steal_pct: part(steal, steal_after, cores),
                });
            }
            if setup.stop.load(Ordering::Acquire) {
                break;
            }
        }
        let drained_ns = mono_ns() + self.workload.time.drain_timeout.nanos();
        if taken.len() == turns.quads.len() * QUAD {
            wait(stands, drained_ns)?;
        }
        let mut windows = Vec::with_capacity(stands.len());
        for stand in stands {
            let (own, seen) = stand.report()?;
            self.violations += seen.violations;
            self.contradictions.extend(seen.contradictions);
            windows.push(own);
        }
        for (quad, taken) in turns.quads.iter().zip(taken.chunks_exact(QUAD)) {
            let blocks = taken.iter().map(|taken| self.block(taken, &windows[taken.turn.arm]));
            let blocks = blocks.collect();
            self.quads.push(Quad { restart: number, is_same: quad.is_same, blocks });
        }
        Ok(())
    }

    /// Starts all arms in an order by chance; they stand in their own. If one fails, those are there that had begun.
    fn stands(
        &mut self,
        turns: &Turns,
        stands: &mut Vec<Stand>,
        progress: &mut impl FnMut(&str),
    ) -> Result<(), CompareError> {
        let mut order: Vec<usize> = (0..turns.arms()).collect();
        for last in (1..order.len()).rev() {
            order.swap(last, self.random.below(last + 1));
        }
        let mut started = BTreeMap::new();
        let mut begun = Ok(());
        for place in order {
            let arm = if place == B { &self.setup.b } else { &self.setup.a };
            let phases = turns.phases(place);
            let players = Players { generator: &self.generator, stop: &self.setup.stop };
            match Stand::start(self.workload, arm, phases, players, progress) {
                Ok(stand) => drop(started.insert(place, stand)),
                Err(error) => {
                    begun = Err(error);
                    break;
                }
            }
        }
        stands.extend(started.into_values());
        begun
    }

    /// Who is compared, and whether that may be.
    fn know(&mut self, stands: &[Stand]) -> Result<(), CompareError> {
        let [a, b] = [&stands[A], &stands[B]].map(|stand| (stand.name(), stand.durability()));
        if a.1 != b.1 {
            return Err(CompareError::AcrossDurability { a: a.1, b: b.1 });
        }
        let side = |name: &str, (arm, durability): (String, Durability)| Side {
            arm: format!("{name}: {arm}"),
            durability,
        };
        self.sides = [side("A", a), side("B", b)];
        Ok(())
    }

    /// The windows of one turn together.
    fn block(&mut self, taken: &Taken, windows: &BTreeMap<u64, Tally>) -> Block {
        let turn = taken.turn;
        let mut all = Tally::default();
        for number in turn.from_ms / WINDOW_MS..turn.to_ms / WINDOW_MS {
            if let Some(tally) = windows.get(&number) {
                all.add(tally);
            }
        }
        let everything = all.all();
        self.lag.add(&everything.lag);
        self.skipped += everything.skipped;
        let (before, after) = taken.used;
        let spent = before.cpu.zip(after.cpu).map(|(before, after)| after.saturating_sub(before));
        let written = before.disk_written_bytes.zip(after.disk_written_bytes);
        Block {
            is_candidate: turn.arm != A,
            cpu_us: spent.and_then(|spent| u64::try_from(spent.as_micros()).ok()),
            disk_written_bytes: written.map(|(before, after)| after.saturating_sub(before)),
            pressure_pct: taken.pressure_pct,
            steal_pct: taken.steal_pct,
            ..Block::of(&all)
        }
    }

    /// What all quads so far come to.
    fn comparison(&self, alpha: f64) -> Comparison {
        let (setup, limits) = (self.setup, &self.workload.limits);
        let terms = Terms {
            pressure_pct: setup.pressure_pct.unwrap_or(limits.psi_cpu_some.0),
            alpha,
            seed: setup.seed,
        };
        let found = found::found(&self.quads, &terms);
        let mut reasons = found.reasons;
        let (lag, limit) = (self.lag.quantile_ms(0.99), limits.send_lag_p99.0.as_secs_f64() * 1e3);
        if lag > limit {
            reasons.push(format!(
                "the generator was late: send lag p99 {lag:.2} ms, limit {limit:.2}"
            ));
        }
        if self.skipped > limits.skipped_arrivals {
            let (skipped, limit) = (self.skipped, limits.skipped_arrivals);
            reasons.push(format!("{skipped} arrivals were not sent, limit {limit}"));
        }
        let restarts = self.quads.last().map_or(0, |quad| quad.restart + 1);
        let mut design = format!(
            "{restarts} restarts, {} quads of A and B, {} of A with itself, blocks of {:?}, {} quads dropped under \
             pressure, intervals of {:.0} %",
            found.kept,
            found.kept_same,
            setup.block,
            found.dropped,
            (1.0 - alpha) * 100.0,
        );
        if found.kept < QUADS_MIN {
            design += &format!("; fewer than {QUADS_MIN} quads (QUADS_MIN) carry no verdict");
        }
        if restarts < RESTARTS_MIN {
            design += &format!(
                "; fewer than {RESTARTS_MIN} restarts (RESTARTS_MIN): layout is not in the intervals"
            );
        }
        let [a, b] = self.sides.clone();
        Comparison {
            schema: SCHEMA.to_owned(),
            workload: self.workload.name.clone(),
            a,
            b,
            design,
            valid: reasons.is_empty(),
            reasons,
            effects: found.effects,
            same: found.same,
        }
    }
}

/// Waits for a moment and takes windows meanwhile.
fn wait(stands: &mut [Stand], until_ns: u64) -> Result<(), CompareError> {
    loop {
        stands.iter_mut().try_for_each(Stand::take_windows)?;
        let now_ns = mono_ns();
        if now_ns >= until_ns {
            return Ok(());
        }
        std::thread::park_timeout(LOOK.min(Duration::from_nanos(until_ns - now_ns)));
    }
}

/// What an arm has used, and pressure and steal of the host, in microseconds; 0 where the kernel does not count it.
fn look(stand: &Stand) -> (Used, u64, u64) {
    let pressure_us = host::psi_cpu_some_us().unwrap_or_default();
    (stand.used(), pressure_us, host::steal_us().unwrap_or_default())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn percent(part_us: u64, of_us: u64) -> f64 {
    measure::histogram::micros(part_us) / measure::histogram::micros(of_us.max(1)) * 100.0
}

//! One run from its plan to its report.

use crate::plan::Plan;
use crate::sometimes::Sometimes;
use crate::world::{Failure, World};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use workload::history::History;

/// What a run gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// What was wrong, if anything was.
    pub failure: Option<Failure>,
    /// Hash over everything that happened; equal for equal plans.
    pub trace_hash: u64,
    /// Simulated time, in microseconds.
    pub simulated_micros: u64,
    /// Events of the simulation.
    pub events: u64,
    /// Turns of controllers; the cheap invariants were checked after each.
    pub turns: u64,
    /// Commands in the log.
    pub commands: u64,
    /// Answers compared with the log.
    pub answers: u64,
    /// Reads among them, each compared with what was committed when it began.
    pub reads: u64,
    /// All requests and what came of them.
    pub history: History,
    /// Which situations were reached.
    pub sometimes: Sometimes,
}

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

/// A panic of the code under test is a finding and not the end of this program, so it is not printed either.
fn install_hook() {
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if IS_QUIET.get() {
                let place = info.location().map(ToString::to_string).unwrap_or_default();
                LAST_PLACE.set(place);
            } else {
                before(info);
            }
        }));
    });
}

thread_local! {
    static LAST_PLACE: std::cell::RefCell<String> = const { std::cell::RefCell::new(String::new()) };
}

/// Takes the lines of a trace.
pub type Sink<'a> = &'a mut dyn FnMut(&str);

/// Runs a plan. `trace` gets a line for whatever happens.
#[must_use]
pub fn run(plan: &Plan, trace: Option<Sink<'_>>) -> Report {
    install_hook();
    let mut world = World::new(plan.clone(), trace);
    let was_quiet = IS_QUIET.replace(true);
    let result = catch_unwind(AssertUnwindSafe(|| {
        world.safety();
        if world.failure.is_none() {
            world.liveness();
        }
        if world.failure.is_none() {
            world.judge_history();
        }
    }));
    IS_QUIET.set(was_quiet);
    if let Err(panic) = result {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        let text = format!("{} ({})", text.unwrap_or_default(), LAST_PLACE.take());
        world.fail("assert", text);
    }
    Report {
        seed: plan.seed,
        failure: world.failure.clone(),
        trace_hash: world.trace_hash(),
        simulated_micros: world.now,
        events: world.events,
        turns: world.turns,
        commands: world.checks.ledger.commands,
        answers: world.checks.answers,
        reads: world.checks.reads,
        history: std::mem::take(&mut world.history),
        sometimes: world.sometimes.clone(),
    }
}

//! What a run on several hosts has beside any other: connections to workers, and a word on each of them.

use measure::folder::{Happening, Writer};

use super::{Progress, Ran, RunError};
use crate::fleet::Fleet;
use crate::fleet::link::{self, Link};
use crate::generator::crew::{Crew, Playing};
use crate::generator::plan::Plan;

/// Connects to as many parts as the plan needs, as many for each worker as for any other.
///
/// # Errors
/// - [`RunError::Options`]: there is no worker, fewer broker sets than parts, or a worker refuses; it is named.
pub(super) fn connect(fleet: &Fleet, plan: &Plan) -> Result<Vec<Link>, RunError> {
    let workers = fleet.workers.len();
    if workers == 0 {
        return Err(RunError::Options("a fleet needs one worker or more".to_owned()));
    }
    let parts = Crew::processes_for(plan).div_ceil(workers) * workers;
    if (1..parts).contains(&plan.sets) {
        let sets = plan.sets;
        let why = format!("{sets} broker sets for {parts} parts: name fewer workers");
        return Err(RunError::Options(why));
    }
    link::connect(fleet, parts).map_err(RunError::Options)
}

/// Notes each worker's clock and share, and counts how busy their hosts were: the busiest is judged.
///
/// # Errors
/// - [`RunError::Folder`]: a note cannot be written.
pub(super) fn note(
    workers: &[Playing],
    ran: &mut Ran<'_>,
    writer: &mut Writer,
    progress: &mut impl FnMut(Progress<'_>),
) -> Result<(), RunError> {
    let at_ms = i64::try_from(ran.course.measured().as_millis()).unwrap_or(i64::MAX);
    for Playing { address, clock, usage, offered } in workers {
        let measured = offered.iter().filter(|(number, _)| ran.course.is_measured(**number));
        let offered: u64 = measured.map(|(_, offered)| offered).sum();
        let mut text = format!("worker {address}: offered {offered} requests");
        if let (Some(before), now) = clock {
            let (ahead_us, error_us) = (before.ahead_ns / 1_000, before.error_ns / 1_000);
            text += &format!(", clock {ahead_us} us ahead, to {error_us} us");
            let drift_us = now.map(|now| (now.ahead_ns - before.ahead_ns) / 1_000);
            text += &drift_us.map(|it| format!(", {it} us more at the end")).unwrap_or_default();
        }
        let event = Happening { at_ms, kind: "worker".to_owned(), text };
        writer.event(&event)?;
        progress(Progress::Event(&event));
        let watched = &mut ran.watched;
        let larger =
            |one: Option<f64>, other: Option<f64>| one.into_iter().chain(other).reduce(f64::max);
        watched.generator_cpu = larger(watched.generator_cpu, usage.busiest_thread);
        watched.psi_cpu_some_pct = larger(watched.psi_cpu_some_pct, usage.psi_cpu_some_pct);
    }
    Ok(())
}

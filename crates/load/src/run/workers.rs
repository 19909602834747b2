//! What a run on several hosts has beside any other: connections to workers, and a word on each of them.

use std::net::ToSocketAddrs;

use measure::folder::{Happening, Writer};

use super::course::Ran;
use super::{Progress, RunError};
use crate::fleet::Fleet;
use crate::fleet::link::{self, Link};
use crate::fleet::worker::{BROKERS_PER_SESSION, SESSIONS_MAX};
use crate::generator::crew::{Crew, Playing};
use crate::generator::plan::{Plan, REPLICAS};

/// Connects to as many parts as the plan needs, as many for each worker as for any other.
///
/// # Errors
/// - [`RunError::Options`]: there is no worker, fewer broker sets than parts, or a worker refuses; it is named.
pub(super) fn connect(fleet: &Fleet, plan: &Plan) -> Result<Vec<Link>, RunError> {
    let workers = fleet.workers.len();
    if workers == 0 {
        return Err(RunError::Options("a fleet needs one worker or more".to_owned()));
    }
    let parts = parts(plan, workers).map_err(RunError::Options)?;
    if (1..parts).contains(&plan.sets) {
        let sets = plan.sets;
        let why = format!("{sets} broker sets for {parts} parts: name fewer workers");
        return Err(RunError::Options(why));
    }
    link::connect(fleet, parts).map_err(RunError::Options)
}

/// In how many parts a plan is played, as many by each worker: so that descriptors suffice, and ports where brokers have
/// one each.
///
/// # Errors
/// A text that says how many workers are needed.
fn parts(plan: &Plan, workers: usize) -> Result<usize, String> {
    let by_descriptors = Crew::processes_for(plan);
    let by_ports =
        if is_near(plan) { 1 } else { plan.sets.div_ceil(BROKERS_PER_SESSION / REPLICAS) };
    let each = by_descriptors.max(by_ports).div_ceil(workers);
    if each > SESSIONS_MAX {
        let (brokers, needed) =
            (plan.brokers(), by_descriptors.max(by_ports).div_ceil(SESSIONS_MAX));
        return Err(format!(
            "{brokers} brokers are too many for {workers} workers of {SESSIONS_MAX} parts each (SESSIONS_MAX, \
             BROKERS_PER_SESSION): name {needed} workers on hosts of their own"
        ));
    }
    Ok(each * workers)
}

/// Whether all controllers are on this host, where brokers have addresses of loopback and need no port each. A name that
/// cannot be found here may be found by the workers.
fn is_near(plan: &Plan) -> bool {
    plan.controllers.iter().all(|controller| {
        let found = controller.to_socket_addrs().into_iter().flatten();
        found.map(|address| address.ip().is_loopback()).reduce(|all, it| all && it) == Some(true)
    })
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

#[cfg(test)]
mod tests {
    use super::{BROKERS_PER_SESSION, Plan, parts};
    use crate::generator::plan::{Listening, REPLICAS};

    fn plan(controller: &str, sets: usize) -> Plan {
        let mut plan = Plan::as_java(vec![controller.to_owned()], "p".to_owned(), sets);
        plan.listening = Listening::Shared;
        plan
    }

    #[test]
    fn parts_are_sized_by_ports_where_brokers_have_one_each() {
        let near = plan("127.0.0.1:9878", 1_000);
        assert_eq!(parts(&near, 1), Ok(1));
        for (sets, workers, wanted) in [(833, 1, 1), (834, 1, 2), (1_000, 3, 3), (3_334, 2, 6)] {
            let far = plan("192.0.2.1:9878", sets);
            assert_eq!(parts(&far, workers), Ok(wanted), "{sets} sets, {workers} workers");
            let largest = sets.div_ceil(wanted) * REPLICAS;
            assert!(largest <= BROKERS_PER_SESSION, "{largest} brokers in a part");
        }
        let error = parts(&plan("192.0.2.1:9878", 10_000), 1).unwrap_err();
        assert!(error.contains("30000 brokers") && error.contains("name 2 workers"), "{error}");
    }
}

//! Nothing dies: a large fleet heartbeats to every controller each second, and polls.
//!
//! ```text
//! heartbeats alone    CPU of the controllers per heartbeat
//! heartbeats, polls   latency of getReplicaInfo; nobody is taken for dead, no epoch moves
//! ```

use std::time::Duration;

use super::report::{Distribution, Generator, Goal, Report};
use super::{FailoverError, Ground, Stage, drained_report, progress};
use crate::clock;
use crate::generator::measures::{Kind, Measures};
use crate::generator::plan::{self, BROKERS_MAX, Command, Listening, Plan, REPLICAS, Times, View};
use crate::inspect::Status;
use crate::load_seen::Load;
use measure::histogram::as_f64;

/// How often a run says how far it is.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// Longest time without polls, in which the cost of a heartbeat is measured.
const ALONE_MAX: Duration = Duration::from_secs(20);

/// After the last broker has connected everything may settle so long, and as long as the leader takes to ask the address
/// of each new broker once, whose refusals it will believe from then on.
const SETTLE: Duration = Duration::from_secs(5);

/// New brokers that the leader asks in a second (`controller::inquiry`).
const ASKED_PER_SECOND: u64 = 1_000;

/// Most wrong things that a report lists.
const VIOLATIONS_MAX: usize = 20;

/// Goals.
const POLL_P999_MS: f64 = 25.0;
const HEARTBEAT_CPU_US: f64 = 10.0;

/// How a run is to be made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Controllers and folders.
    pub ground: Ground,
    /// Brokers, in sets of three.
    pub brokers: usize,
    /// Brokers that share one connection to each controller; 1 for connections of their own.
    pub brokers_per_connection: usize,
    /// Time with heartbeats and polls.
    pub duration: Duration,
}

/// Makes a run and blocks until it is over.
///
/// # Errors
/// - [`FailoverError`]: what could not be done.
pub fn run(options: &Options) -> Result<Report, FailoverError> {
    let (brokers, share) = (options.brokers, options.brokers_per_connection);
    let is_possible = (REPLICAS..=BROKERS_MAX).contains(&brokers) && share > 0;
    if !is_possible || !brokers.is_multiple_of(REPLICAS) {
        let text = format!("brokers must be a multiple of 3, at most {BROKERS_MAX} (BROKERS_MAX)");
        return Err(FailoverError::Options(text));
    }
    let stage = Stage::begin(&options.ground)?;
    let mut plan = stage.plan(brokers / REPLICAS);
    plan.listening = Listening::Shared;
    plan.brokers_per_connection = share;
    let made = make(options, &stage, &plan);
    stage.leave(&plan);
    made
}

/// Lets the fleet live for its time. When it returns nobody plays any more.
fn make(options: &Options, stage: &Stage, plan: &Plan) -> Result<Report, FailoverError> {
    let (brokers, share) = (options.brokers, options.brokers_per_connection);
    let (mut crew, before) = stage.crew(plan)?;
    let asked = u64::try_from(brokers).unwrap_or(u64::MAX) / ASKED_PER_SECOND;
    stage.pause(SETTLE + Duration::from_secs(asked))?;
    let expired = stage.expired();

    progress("heartbeats alone");
    crew.tell(&Command::Measure { has_load: false, times: Times::from_now() })?;
    let load = Load::begin(&crew.processes(), &stage.servers);
    let cpu = stage.servers_cpu();
    stage.pause(ALONE_MAX.min(options.duration))?;
    let cpu = stage.servers_cpu().zip(cpu).map(|(after, before)| after.saturating_sub(before));
    let alone = (crew.whole_report()?, load.end(), cpu);

    crew.tell(&Command::Measure { has_load: true, times: Times::from_now() })?;
    let load = Load::begin(&crew.processes(), &stage.servers);
    let until = clock::now() + options.duration;
    while let Some(left) = until.checked_duration_since(clock::now()) {
        progress(format_args!("heartbeats and polls, {} s left", left.as_secs()));
        stage.pause(left.min(SAY_EVERY).max(Duration::from_millis(1)))?;
    }
    let load = load.end();
    let seen = drained_report(stage, &mut crew, plan)?;
    let expired = stage.expired().saturating_sub(expired);
    let alive = stage.statuses();
    let after = stage.views(plan)?;
    let mut violations = moved(plan, &before, &after);
    violations.extend(seen.contradictions.iter().cloned());
    violations.extend(missing(&alive, brokers));
    violations.truncate(VIOLATIONS_MAX);
    let sharing = if share == 1 { "of their own".to_owned() } else { format!("shared by {share}") };
    let seconds = options.duration.as_secs();
    let what = format!("{brokers} brokers on connections {sharing} heartbeat for {seconds} s");
    let parts = Parts { alone, seen, load, expired, violations };
    Ok(parts.report(stage.headline(&what)))
}

/// What a run has collected.
struct Parts {
    alone: (plan::Report, Load, Option<Duration>),
    seen: plan::Report,
    load: Load,
    expired: u64,
    violations: Vec<String>,
}

impl Parts {
    fn report(self, headline: String) -> Report {
        let Self { alone: (alone, alone_load, cpu), seen, load, expired, violations } = self;
        let tally = seen.tally();
        let asked = tally.of(Kind::GetReplicaInfo);
        let polls = Distribution::of("getReplicaInfo", &asked.latency);
        let beats = sent(&alone);
        let us_per_beat = cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / as_f64(beats.max(1)));
        let mut goals = vec![
            Goal::at_most("brokers taken for dead", 0.0, as_f64(expired), "brokers"),
            Goal::at_most("getReplicaInfo, p99.9", POLL_P999_MS, polls.p999_ms, "ms"),
            Goal::at_most("polls without a good answer", 0.0, as_f64(asked.failed()), "polls"),
        ];
        let what = "CPU of all controllers per heartbeat, without polls";
        goals.extend(us_per_beat.map(|us| Goal::at_most(what, HEARTBEAT_CPU_US, us, "us")));
        let distributions = vec![
            polls,
            Distribution::of("getReplicaInfo from when it was sent", &asked.service),
            Distribution::of("getMetadata", &tally.of(Kind::GetMetadata).latency),
            Distribution::of(
                "heartbeat, every hundredth two-way",
                &tally.of(Kind::Heartbeat).latency,
            ),
            Distribution::of("lateness of the generator", &tally.of(Kind::OneWayHeartbeat).lag),
        ];
        let figure = |what: &str, value: Option<f64>, unit: &'static str| {
            value.map(|value| (what.to_owned(), value, unit))
        };
        let figures = [
            figure("heartbeats sent meanwhile", Some(as_f64(sent(&seen))), ""),
            figure("connections lost", Some(as_f64(seen.connections_lost)), ""),
            figure("controllers, heartbeats alone", alone_load.server_cores(), "cores"),
            figure("controllers, with polls", load.server_cores(), "cores"),
        ];
        let mut generator = Generator::of(&seen);
        load.fill(&mut generator);
        let figures = figures.into_iter().flatten().collect();
        Report { headline, goals, violations, distributions, figures, generator }
    }
}

/// Heartbeats that were sent.
fn sent(seen: &plan::Report) -> u64 {
    let tally = seen.tally();
    let sent = |kind| {
        let Measures { offered, lost, skipped, .. } = tally.of(kind);
        offered.saturating_sub(lost + skipped)
    };
    sent(Kind::OneWayHeartbeat) + sent(Kind::Heartbeat)
}

/// Sets whose master or epoch is another one than it was.
fn moved(plan: &Plan, before: &[View], after: &[View]) -> Vec<String> {
    let pairs = before.iter().zip(after).enumerate();
    let changed = pairs.filter(|(_, (before, after))| {
        (before.master, before.master_epoch) != (after.master, after.master_epoch)
    });
    changed
        .map(|(set, (before, after))| {
            format!("{}: {before:?} became {after:?} though nobody died", plan.set_name(set))
        })
        .collect()
}

/// Controllers that do not believe every broker to be alive.
fn missing(statuses: &[Option<Status>], brokers: usize) -> Vec<String> {
    let wanted = u64::try_from(brokers).unwrap_or(u64::MAX);
    let wrong = |status: &Status| {
        let alive = status.number("brokersAlive");
        let name = status.text("name");
        (alive < wanted).then(|| format!("{name} believes {alive} brokers of {wanted} to be alive"))
    };
    statuses.iter().flatten().filter_map(wrong).collect()
}

#[cfg(test)]
mod tests {
    use super::moved;
    use crate::generator::plan::{Plan, View};

    #[test]
    fn a_moved_epoch_is_a_violation_and_a_changed_set_is_none() {
        let plan = Plan::as_java(vec!["x:1".to_owned()], "p".to_owned(), 3);
        let view = View::of_three;
        let before = [view(1, 1), view(1, 1), view(1, 1)];
        let after = [view(1, 1), view(2, 2), view(1, 2)];
        let found = moved(&plan, &before, &after);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("p-1: "), "{found:?}");
    }
}

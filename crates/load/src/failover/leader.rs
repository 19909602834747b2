//! The controllers' leader is killed or frozen; writers wait for the first write to be accepted.
//!
//! ```text
//! T0 SIGKILL or SIGSTOP ─► every 5 ms one attempt to each other controller ─► Tr first answer with code 0
//! ```
//!
//! Attempts follow an absolute plan and do not wait for each other. Each controller has a set of its
//! own to write to, and all attempts of a round ask for the same change: the first that is taken
//! fences the others, so a late one can do no harm. A writer that is fenced before anything was taken
//! looks what its set is like now, as a broker does: upstream replaces masters when its leader changes.
//!
//! Targets that somebody else started are only struck if that is asked for. They are found by their
//! ports; a killed one is started again by whoever started it, which is waited for.

use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::time::Duration;

use client::{Connection, Deadline};
use protocol::{Request, response_code};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::record::Record;
use super::report::{Generator, Goal, Report};
use super::victim::Victim;
use super::{FailoverError, Ground, Stage, progress};
use crate::clock;
use crate::generator::broker::{Identity, poll};
use crate::generator::founding;
use crate::generator::plan::{Command, Plan, Times, View};
use crate::load_seen::Load;
use crate::subject::Subject;

/// Pause between two attempts to one controller.
const ATTEMPT_EVERY: Duration = Duration::from_millis(5);

/// How long one attempt may take: as long as a broker waits.
const ATTEMPT: Duration = Duration::from_secs(3);

/// How long a round may take before the run gives up.
const ROUND: Duration = Duration::from_secs(60);

/// How long a cluster may take to be whole again.
const WHOLE: Duration = Duration::from_secs(120);

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// A whole cluster runs so long before the next leader dies.
const SETTLE: Duration = Duration::from_secs(2);

/// How long a leader stays frozen after another was found.
const FROZEN: Duration = Duration::from_secs(1);

/// Goals, in milliseconds.
const KILLED_P99_MS: f64 = 400.0;
const FROZEN_P99_MS: f64 = 2_000.0;

/// How a run is to be made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Controllers and folders.
    pub ground: Ground,
    /// Strike targets, too: other people's controllers are not killed unless they say so.
    pub strikes_targets: bool,
    /// Broker sets of a fleet that lives through all of it.
    pub sets: usize,
    /// How often the leader is killed.
    pub kills: usize,
    /// How often it is frozen.
    pub freezes: usize,
    /// Folder of the run; none: it is not recorded.
    pub record: Option<PathBuf>,
    /// What the caller knows of the target, for the record.
    pub subject: Subject,
}

/// What happens to the leader.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    Kill,
    Freeze,
}

/// Makes a run and blocks until it is over.
///
/// # Errors
/// - [`FailoverError`]: what could not be done.
pub fn run(options: &Options) -> Result<Report, FailoverError> {
    if !options.ground.targets.is_empty() && !options.strikes_targets {
        let text = "controllers that others started are killed only with --strike-targets";
        return Err(FailoverError::Options(text.to_owned()));
    }
    let mut stage = Stage::begin(&options.ground)?;
    if options.sets < stage.addresses.len() {
        let text =
            format!("sets must be {} or more: each controller needs one", stage.addresses.len());
        return Err(FailoverError::Options(text));
    }
    let plan = stage.plan(options.sets);
    let made = make(options, &mut stage, &plan);
    stage.leave(&plan);
    made
}

/// Strikes the leader as often as is asked for. When it returns nobody plays any more.
fn make(options: &Options, stage: &mut Stage, plan: &Plan) -> Result<Report, FailoverError> {
    let (mut crew, before) = stage.crew(plan)?;
    crew.tell(&Command::Measure { has_load: false, times: Times::from_now() })?;
    let load = Load::begin(&crew.processes(), &[]);
    let mut record = Record::begin(stage, options)?;
    let kills = std::iter::repeat_n(Fault::Kill, options.kills);
    let freezes = std::iter::repeat_n(Fault::Freeze, options.freezes);
    for (round, fault) in kills.chain(freezes).enumerate() {
        await_whole(stage)?;
        stage.pause(SETTLE)?;
        let took = strike(stage, plan, fault)?;
        let millis = took.as_secs_f64() * 1e3;
        progress(format_args!(
            "round {round}: {fault:?}, first write accepted after {millis:.1} ms"
        ));
        record.struck(fault, took)?;
    }
    await_whole(stage)?;
    let load = load.end();
    let mut generator = Generator::of(&crew.whole_report()?);
    load.fill(&mut generator);
    let violations = lost_masters(&before, &stage.views(plan)?);
    let [killed, frozen] = record.distributions();
    let mut goals = Vec::new();
    for (times, limit) in [(&killed, KILLED_P99_MS), (&frozen, FROZEN_P99_MS)] {
        if times.samples > 0 {
            goals.push(Goal::at_most(format!("{}, p99", times.what), limit, times.p99_ms, "ms"));
        }
    }
    let (kills, freezes) = (options.kills, options.freezes);
    let what = format!("the leader is killed {kills} times and frozen {freezes} times");
    let headline = stage.headline(&format!("{what} under {} brokers", plan.brokers()));
    let distributions = vec![killed, frozen];
    let report =
        Report { headline, goals, violations, distributions, figures: Vec::new(), generator };
    record.finish(&report)?;
    Ok(report)
}

/// Strikes the leader and waits for the first accepted write.
fn strike(stage: &mut Stage, plan: &Plan, fault: Fault) -> Result<Duration, FailoverError> {
    let Some(leader) = leader(stage) else {
        return Err(FailoverError::Options("the cluster has no leader".to_owned()));
    };
    let views = stage.views(plan)?;
    let others = (0..stage.addresses.len()).filter(|node| *node != leader);
    let writers: Vec<Writer> = others.map(|node| Writer::new(stage, plan, &views, node)).collect();
    let victim = Victim::of(stage, leader)?;
    let began = clock::now();
    victim.strike(stage, fault)?;
    let accepted = stage.runtime.block_on(async {
        let mut writing = JoinSet::new();
        for writer in writers {
            writing.spawn(writer.until_accepted());
        }
        let accepted = timeout(ROUND, writing.join_next()).await;
        accepted.is_ok_and(|joined| joined.is_some_and(|joined| joined.is_ok()))
    });
    let took = clock::now().saturating_duration_since(began);
    let paused = if fault == Fault::Freeze { stage.pause(FROZEN) } else { Ok(()) };
    // Also when the run is to end: a frozen controller is not left behind.
    victim.bring_back(stage, fault)?;
    paused?;
    if !accepted {
        let logs = stage.own.as_ref().map(crate::OwnCluster::logs).unwrap_or_default();
        let text = format!("no write was accepted within {} s\n{logs}", ROUND.as_secs());
        return Err(FailoverError::Options(text));
    }
    Ok(took)
}

/// Writes through one controller.
struct Writer {
    address: String,
    set: String,
    master_address: SocketAddrV4,
    request: Request,
}

/// What became of an attempt.
enum Attempt {
    Accepted,
    Refused,
    /// The set is not as the writer believes, but like this.
    Fenced(View),
}

impl Writer {
    /// One that changes the set that has the controller's number: `{1,2,3}` to `{1,2}` and back.
    fn new(stage: &Stage, plan: &Plan, views: &[View], node: usize) -> Self {
        let set = plan.set_name(node);
        let master_address = plan.address(node, 0);
        let request = change(&set, master_address, &views[node]);
        Self { address: stage.addresses[node].clone(), set, master_address, request }
    }

    /// Attempts by the plan until one is accepted.
    async fn until_accepted(mut self) {
        let mut due = Instant::from_std(clock::now());
        let mut connection = None;
        let mut attempts = JoinSet::new();
        loop {
            if connection.as_ref().is_none_or(Connection::is_closed) {
                connection =
                    Connection::connect(&self.address, Deadline::after(ATTEMPT)).await.ok();
            }
            if let Some(connection) = connection.clone() {
                attempts.spawn(attempt(connection, self.set.clone(), self.request.clone()));
            }
            due += ATTEMPT_EVERY;
            loop {
                tokio::select! {
                    () = sleep_until(due) => break,
                    Some(ended) = attempts.join_next() => match ended {
                        Ok(Attempt::Accepted) => return,
                        Ok(Attempt::Fenced(now)) => {
                            self.request = change(&self.set, self.master_address, &now);
                        }
                        Ok(Attempt::Refused) | Err(_) => {}
                    }
                }
            }
        }
    }
}

/// The change that a master asks for whose set is like that: one member less, or all again.
fn change(set: &str, address: SocketAddrV4, view: &View) -> Request {
    let id = view.master.unwrap_or(1);
    let less = vec![id, if id == 1 { 2 } else { 1 }];
    let members = if view.members.len() == 3 { less } else { vec![1, 2, 3] };
    let identity = Identity { set, id, address };
    identity.alter(view.master_epoch, members, view.set_epoch)
}

async fn attempt(connection: Connection, set: String, request: Request) -> Attempt {
    let code = match connection.call(&request, Deadline::after(ATTEMPT)).await {
        Ok(answer) => answer.code,
        Err(_) => return Attempt::Refused,
    };
    match code {
        response_code::SUCCESS => Attempt::Accepted,
        response_code::CONTROLLER_FENCED_MASTER_EPOCH
        | response_code::CONTROLLER_FENCED_SYNC_STATE_SET_EPOCH => {
            let answer = connection.call(&poll(&set), Deadline::after(ATTEMPT)).await;
            let now = answer.ok().filter(|answer| answer.code == response_code::SUCCESS);
            now.map_or(Attempt::Refused, |answer| Attempt::Fenced(founding::view(&answer)))
        }
        _ => Attempt::Refused,
    }
}

/// The node that takes itself for the leader, if all follow it.
fn leader(stage: &Stage) -> Option<usize> {
    let statuses = stage.statuses();
    if statuses.iter().all(Option::is_none) {
        return leader_by_metadata(stage);
    }
    let names: Option<Vec<&str>> =
        statuses.iter().map(|status| status.as_ref().map(|status| status.text("leader"))).collect();
    let names = names?;
    let agree = names.iter().all(|name| *name == names[0]);
    let ready = statuses.iter().flatten().all(crate::inspect::Status::is_ready);
    let leads = |status: &Option<crate::inspect::Status>| {
        status.as_ref().is_some_and(|status| status.text("role") == "leader")
    };
    statuses.iter().position(leads).filter(|_| agree && ready)
}

/// The same of controllers that are not ours: all answer, all name one, and it alone says it leads.
fn leader_by_metadata(stage: &Stage) -> Option<usize> {
    let told = stage.runtime.block_on(stage.cluster.metadata(Deadline::after(ATTEMPT)));
    let told: Vec<_> = told.into_iter().collect::<Result<_, _>>().ok()?;
    let named = told.first()?.leader_address.clone()?;
    let agree = told.iter().all(|it| it.leader_address.as_ref() == Some(&named));
    let leading: Vec<usize> = (0..told.len()).filter(|node| told[*node].is_leader).collect();
    let place = stage.addresses.iter().position(|address| *address == named)?;
    (agree && leading == [place]).then_some(place)
}

fn await_whole(stage: &Stage) -> Result<(), FailoverError> {
    let until = clock::now() + WHOLE;
    while leader(stage).is_none() {
        if clock::now() > until {
            let logs = stage.own.as_ref().map(crate::OwnCluster::logs).unwrap_or_default();
            let text = format!("the cluster is not whole after {} s\n{logs}", WHOLE.as_secs());
            return Err(FailoverError::Options(text));
        }
        stage.pause(LOOK)?;
    }
    Ok(())
}

/// No broker died, so no master may have been replaced.
fn lost_masters(before: &[View], after: &[View]) -> Vec<String> {
    let pairs = before.iter().zip(after).enumerate();
    let changed = pairs.filter(|(_, (before, after))| {
        (before.master, before.master_epoch) != (after.master, after.master_epoch)
    });
    changed
        .map(|(set, (before, after))| format!("set {set}: {before:?} became {after:?}"))
        .collect()
}

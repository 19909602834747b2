//! `bench failover`: how long a fleet waits when something dies, and that nothing dies by mistake.
//!
//! | Arm | What happens | What is measured |
//! |---|---|---|
//! | [`masters`] | masters' processes vanish, many at once or one by one | from the close to each survivor having been told |
//! | [`leader`] | the controllers' leader is killed, or frozen | to the first write that is accepted |
//! | [`steady`] | nothing: a large fleet heartbeats and polls | brokers taken for dead, polls' latency, CPU per heartbeat |
//!
//! Load follows an absolute plan and latency counts from when a request was due, so a stall of the
//! server is seen as long as it lasts. Every run checks correctness, too: one new master, its epoch
//! raised by exactly one, all survivors of one mind; and no epoch raised where nobody died.
//!
//! Targets may be any controllers of the protocol on this host; none of them is killed unless that is
//! asked for. However a run ends, it removes its broker sets from them.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use client::{Cluster, Deadline};

use crate::generator::crew::{Crew, CrewError};
use crate::generator::plan::{self, Command, Plan};
use crate::generator::{FoundingError, founding};
use crate::ground::{self, GroundError, LEADER};
use crate::inspect::Status;
use crate::own_cluster::{OwnCluster, Setup};
use crate::process::Process;
use crate::{clock, host};

pub mod leader;
pub mod masters;
mod record;
mod report;
pub mod steady;
mod victim;

pub use record::NAME as LEADER_LOST;
pub use report::{Distribution, Generator, Goal, Report};

/// Beyond the time-out of the last poll, until its end has been noticed.
const DRAIN_MARGIN: Duration = Duration::from_millis(200);

/// Pause between two looks at whether the run is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// What all arms have in common.
#[derive(Clone, Debug, Default)]
pub struct Ground {
    /// Addresses of running controllers; none: three are started and ended.
    pub targets: Vec<String>,
    /// The program that knows `serve -c FILE` and `fleet-worker`; none: this one.
    pub program: Option<PathBuf>,
    /// Where the folder of started controllers is made; none: the folder for temporary files.
    pub folder: Option<PathBuf>,
    /// Set from elsewhere to end the run early; there is no report then.
    pub stop: Arc<AtomicBool>,
}

/// Why a run has no report.
#[derive(Debug, thiserror::Error)]
pub enum FailoverError {
    /// The options allow no run.
    #[error("{0}")]
    Options(String),
    /// A program, file, socket or controller could not be had.
    #[error(transparent)]
    Ground(#[from] GroundError),
    /// The fleet could not be brought to life.
    #[error(transparent)]
    Fleet(#[from] CrewError),
    /// The run folder cannot be written.
    #[error(transparent)]
    Folder(#[from] measure::folder::FolderError),
    /// The controllers did not say what a set looks like.
    #[error(transparent)]
    Views(#[from] FoundingError),
    /// It was told to end before it was over.
    #[error("interrupted before its planned end")]
    Interrupted,
}

/// How a run ended, for the shell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// All goals were reached and nothing was wrong.
    Passed,
    /// A goal was missed, or something was wrong.
    Failed,
    /// A goal was missed, but the generator was late itself: this says nothing about the server.
    Invalid,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Passed => Self::SUCCESS,
            Verdict::Failed => Self::from(1),
            Verdict::Invalid => Self::from(3),
        }
    }
}

/// The controllers of a run, and whatever asks them beside the fleet.
struct Stage {
    program: PathBuf,
    own: Option<OwnCluster>,
    addresses: Vec<String>,
    cluster: Arc<Cluster>,
    runtime: tokio::runtime::Runtime,
    /// Their processes, as far as they are on this host.
    servers: Vec<Process>,
    stop: Arc<AtomicBool>,
}

impl Stage {
    /// Starts controllers, or takes the targets, and waits for a leader.
    fn begin(ground: &Ground) -> Result<Self, FailoverError> {
        let program = ground::program(ground.program.as_deref())?;
        let own = if ground.targets.is_empty() {
            progress("starting three controllers");
            let mut setup = Setup::temporary(program.clone());
            setup.parent = ground.folder.clone().unwrap_or(setup.parent);
            Some(ground::start(&setup)?)
        } else {
            None
        };
        let addresses = own.as_ref().map_or(&ground.targets[..], OwnCluster::addresses).to_vec();
        let runtime = ground::runtime()?;
        let cluster = Arc::new(Cluster::new(addresses.iter().cloned()));
        let leader = runtime.block_on(cluster.leader(Deadline::after(LEADER)));
        drop(leader.map_err(ground::unreachable(own.as_ref()))?);
        let port =
            |address: &String| address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let servers = addresses.iter().filter_map(port).filter_map(Process::listening_on).collect();
        let stop = Arc::clone(&ground.stop);
        Ok(Self { program, own, addresses, cluster, runtime, servers, stop })
    }

    /// Brings the fleet of a plan to life.
    fn crew(&self, plan: &Plan) -> Result<(Crew, Vec<plan::View>), FailoverError> {
        Ok(Crew::start(&self.program, plan, &self.stop, |text| progress(text))?)
    }

    /// Waits without burning time: nothing here is measured by it.
    fn pause(&self, time: Duration) -> Result<(), FailoverError> {
        let until = clock::now() + time;
        loop {
            self.is_wanted()?;
            let left = until.checked_duration_since(clock::now());
            let Some(left) = left.filter(|left| !left.is_zero()) else { return Ok(()) };
            std::thread::park_timeout(left.min(LOOK));
        }
    }

    /// Whether nobody has told the run to end.
    fn is_wanted(&self) -> Result<(), FailoverError> {
        if self.stop.load(Ordering::Acquire) {
            return Err(FailoverError::Interrupted);
        }
        Ok(())
    }

    /// Removes the fleet's sets from controllers that are not ours; its processes must have ended.
    fn leave(&self, plan: &Plan) {
        if self.own.is_some() {
            return;
        }
        progress("removing the run's broker sets");
        if let Err(error) = self.runtime.block_on(founding::remove_all(plan, &self.cluster)) {
            progress(format_args!("some stay behind: {error}"));
        }
    }

    /// A fleet of `sets` sets that nobody has seen before.
    fn plan(&self, sets: usize) -> Plan {
        let prefix = format!("fleet-{}", clock::unix_ms());
        Plan::as_java(self.addresses.clone(), prefix, sets)
    }

    fn views(&self, plan: &Plan) -> Result<Vec<plan::View>, FailoverError> {
        Ok(self.runtime.block_on(founding::views(plan, &self.cluster))?)
    }

    /// What each controller says of itself.
    fn statuses(&self) -> Vec<Option<Status>> {
        self.runtime.block_on(async {
            let mut all = Vec::with_capacity(self.addresses.len());
            for address in &self.addresses {
                all.push(Status::of(address).await);
            }
            all
        })
    }

    /// Brokers that each controller has taken for dead so far.
    fn expired(&self) -> u64 {
        let statuses = self.statuses();
        self.runtime.block_on(async {
            let mut count = 0;
            for status in statuses.iter().flatten() {
                count += crate::inspect::expired(status).await.into_values().sum::<u64>();
            }
            count
        })
    }

    fn servers_cpu(&self) -> Option<Duration> {
        let cpu: Option<Duration> = self.servers.iter().map(|server| server.cpu()).sum();
        cpu.filter(|_| !self.servers.is_empty())
    }

    fn headline(&self, what: &str) -> String {
        let class = self.own.as_ref().map_or_else(
            || "durability as the targets are set".to_owned(),
            |own| format!("fsync on {}", host::file_system(own.folder())),
        );
        let (nodes, cores) = (self.addresses.len(), host::cores());
        format!("{what}; {nodes} controllers, {class}; {cores} cores with the generator")
    }
}

/// Says on standard error what is being done.
#[expect(clippy::print_stderr, reason = "a run takes minutes, and whoever waits wants to know why")]
fn progress(text: impl fmt::Display) {
    eprintln!("bench failover: {text}");
}

/// Ends measuring, and waits for what is under way: a report would count every request that waits for its answer as one
/// that timed out.
fn drained_report(
    stage: &Stage,
    crew: &mut Crew,
    plan: &Plan,
) -> Result<plan::Report, FailoverError> {
    crew.tell(&Command::Ease { at_ns: clock::mono_ns() })?;
    stage.pause(plan.longest_answer() + DRAIN_MARGIN)?;
    Ok(crew.whole_report()?)
}

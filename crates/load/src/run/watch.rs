//! What is looked at beside the load: servers, host and leader, once in each window.
//!
//! It stands on a thread that sends nothing, so whatever a look takes makes no request late. A server
//! that was started again begins to count at nought; windows are added up, so nothing is lost but what
//! it used up to its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use client::Deadline;
use measure::folder::{HostWindow, Server, WindowServer};

use super::RunError;
use super::aside::aside;
use super::deaths::{self, Deaths};
use super::target::{Stage, cluster};
use crate::clock::{mono_ns, unix_us};
use crate::generator::crew::Crew;
use crate::generator::pacer::{sharpen_timers, sleep_until};
use crate::generator::plan::{Command, Times};
use crate::load_seen::Load;
use crate::process::Process;
use crate::workload::Wire;
use crate::{host, inspect};
use measure::histogram::as_f64;

/// Pause between two questions for the leader.
const LEADER_EVERY: Duration = Duration::from_millis(500);

/// Changes of the leader that may wait to be looked at.
const CHANGES_MAX: usize = 16;

/// Pause between two close looks at a server: counting descriptors and files takes time.
const CLOSE_LOOK_NS: u64 = 5_000_000_000;

/// What the sleeper sleeps.
const SLEEP_NS: u64 = 1_000_000;

/// What was seen in one window.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    pub(super) servers: Vec<WindowServer>,
    pub(super) host: HostWindow,
}

/// What was seen over the measured time.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched {
    pub(super) servers: Vec<Server>,
    pub(super) psi_cpu_some_pct: Option<f64>,
    pub(super) clock_step_us: Option<i64>,
    /// Part of one core that the busiest thread of the generator used.
    pub(super) generator_cpu: Option<f64>,
    pub(super) others_cores: Option<f64>,
    /// What disks of this host wrote, for whomever.
    pub(super) disk_written_bytes: Option<u64>,
    /// Brokers that controllers took for dead, killed ones included; absent where nobody counts.
    pub(super) deaths: Option<u64>,
}

/// Counters at one moment.
#[derive(Clone, Debug, Default)]
struct Counters {
    cpu: Vec<Option<Duration>>,
    psi_us: Option<u64>,
    steal_us: Option<u64>,
}

/// Counters at the beginning of the measured time.
#[derive(Clone, Debug)]
struct Beginning {
    at_ns: u64,
    threads: BTreeMap<u32, Duration>,
    psi_us: Option<u64>,
    civil_less_mono_us: i64,
    disk_written_bytes: Option<u64>,
    syncs: Vec<Option<u64>>,
    load: Load,
}

pub(super) struct Watch {
    times: Times,
    generators: Vec<Process>,
    processes: Vec<Option<Process>>,
    /// The window that is under way.
    window: Option<u64>,
    last: Counters,
    beginning: Option<Beginning>,
    is_over: bool,
    watched: Watched,
    sleeper: Arc<Sleeper>,
    leaders: Option<Receiver<usize>>,
    leader: Option<usize>,
    addresses: Vec<String>,
    /// When servers were looked at closely.
    close_look_ns: u64,
    deaths: Option<Receiver<Deaths>>,
    stop: Arc<AtomicBool>,
}

impl Watch {
    pub(super) fn begin(stage: &Stage, generators: &[Process], times: Times) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let processes = stage.processes();
        let node = |node: usize| Server { node: format!("n{node}"), ..Server::default() };
        let servers = (0..processes.len()).map(node).collect();
        let is_controller = stage.wire == Wire::Controller;
        Self {
            times,
            generators: generators.to_vec(),
            processes,
            window: None,
            last: Counters::default(),
            beginning: None,
            is_over: false,
            watched: Watched { servers, ..Watched::default() },
            sleeper: Sleeper::start(&stop),
            leaders: is_controller.then(|| watch_leader(&stage.addresses, &stop)),
            leader: None,
            addresses: stage.addresses.clone(),
            close_look_ns: 0,
            deaths: None,
            stop,
        }
    }

    /// Counts brokers that controllers take for dead, where they say so.
    pub(super) fn count_deaths(&mut self, stage: &Stage) {
        if !stage.metrics().is_empty() {
            self.watched.deaths = Some(0);
            self.deaths = Some(deaths::watch(&self.addresses, &self.stop));
        }
    }

    /// What controllers took for dead since the last look.
    pub(super) fn deaths(&mut self) -> Vec<(&'static str, String)> {
        let found: Vec<Deaths> = self.deaths.iter().flat_map(Receiver::try_iter).collect();
        let note = |Deaths { node, brokers, reason }: Deaths| {
            let all = self.watched.deaths.get_or_insert_default();
            *all += brokers;
            ("dead", format!("n{node} took {brokers} brokers for dead: {reason}"))
        };
        found.into_iter().map(note).collect()
    }

    /// Measuring ends at this moment, earlier than was planned.
    pub(super) fn end_at(&mut self, end_ns: u64) {
        self.times.measure_to_ns = self.times.measure_to_ns.min(end_ns);
    }

    /// Who led when it was last asked.
    pub(super) fn leader(&self) -> Option<usize> {
        self.leader
    }

    /// Processes of servers that were started again.
    pub(super) fn find_processes(&mut self, stage: &Stage) {
        self.processes = stage.processes();
    }

    /// Looks if another window has begun than at the last look.
    pub(super) fn look(&mut self, window: u64, stage: &Stage, samples: &mut BTreeMap<u64, Sample>) {
        if self.window == Some(window) {
            return;
        }
        let counters = self.counters();
        if let Some(over) = self.window {
            samples.insert(over, self.sample(&counters, stage));
        }
        (self.last, self.window) = (counters, Some(window));
        let now_ns = mono_ns();
        let is_measured = (self.times.measure_from_ns..self.times.measure_to_ns).contains(&now_ns);
        if is_measured && self.beginning.is_none() {
            self.beginning = Some(self.beginning_now(now_ns, stage));
        }
        if now_ns >= self.times.measure_to_ns {
            self.end_measured(stage);
        }
    }

    fn counters(&self) -> Counters {
        let each = |process: &Option<Process>| process.and_then(Process::cpu);
        Counters {
            cpu: self.processes.iter().map(each).collect(),
            psi_us: host::psi_cpu_some_us(),
            steal_us: host::steal_us(),
        }
    }

    /// What changed since the last look; within the measured time it is added up.
    fn sample(&mut self, now: &Counters, stage: &Stage) -> Sample {
        let now_ns = mono_ns();
        let is_close = now_ns > self.close_look_ns + CLOSE_LOOK_NS;
        if is_close {
            self.close_look_ns = now_ns;
        }
        let is_measured = self.beginning.is_some() && !self.is_over;
        let mut servers = Vec::new();
        for (node, process) in self.processes.iter().enumerate() {
            let before = self.last.cpu.get(node).copied().flatten();
            let Some((process, cpu)) = process.zip(now.cpu[node]) else { continue };
            let spent = cpu.saturating_sub(before.unwrap_or_default());
            let cpu_us = u64::try_from(spent.as_micros()).unwrap_or(u64::MAX);
            // One that has ended and was not waited for has no memory any more.
            let Some((rss_bytes, threads)) = process.size() else { continue };
            let server = &mut self.watched.servers[node];
            if is_measured {
                server.cpu_us = Some(server.cpu_us.unwrap_or_default() + cpu_us);
            }
            server.rss_max_bytes = server.rss_max_bytes.max(Some(rss_bytes));
            let own = stage.own.as_ref().filter(|_| is_close);
            servers.push(WindowServer {
                node: server.node.clone(),
                cpu_us,
                rss_bytes,
                pid: Some(process.pid),
                threads: Some(threads),
                files: Some(process).filter(|_| is_close).and_then(Process::files),
                journal_bytes: own.and_then(|own| own.journal_bytes(node)),
            });
        }
        let grown = |now: Option<u64>, before: Option<u64>| {
            now.zip(before).map(|(now, before)| now.saturating_sub(before))
        };
        let host = HostWindow {
            psi_cpu_some_us: grown(now.psi_us, self.last.psi_us),
            steal_us: grown(now.steal_us, self.last.steal_us),
            sleeper_max_us: Some(self.sleeper.take_max_us()),
        };
        Sample { servers, host }
    }

    fn beginning_now(&self, at_ns: u64, stage: &Stage) -> Beginning {
        let servers: Vec<Process> = self.processes.iter().copied().flatten().collect();
        Beginning {
            at_ns,
            threads: self.threads(),
            psi_us: host::psi_cpu_some_us(),
            civil_less_mono_us: civil_less_mono_us(),
            disk_written_bytes: host::disk_written_bytes(),
            syncs: syncs(stage),
            load: Load::begin(&self.generators, &servers),
        }
    }

    fn end_measured(&mut self, stage: &Stage) {
        let Some(beginning) = self.beginning.as_ref().filter(|_| !self.is_over) else { return };
        let elapsed_us = mono_ns().saturating_sub(beginning.at_ns) / 1_000;
        let part = |spent_us: u64| as_f64(spent_us) / as_f64(elapsed_us.max(1));
        let psi = host::psi_cpu_some_us().zip(beginning.psi_us);
        let spent = self.threads().into_iter().map(|(thread, cpu)| {
            cpu.saturating_sub(beginning.threads.get(&thread).copied().unwrap_or_default())
        });
        let busiest = spent.max().and_then(|cpu| u64::try_from(cpu.as_micros()).ok());
        self.watched.generator_cpu = busiest.map(part);
        let waited = psi.map(|(now, before)| part(now.saturating_sub(before)) * 100.0);
        self.watched.psi_cpu_some_pct = waited;
        self.watched.clock_step_us = Some(civil_less_mono_us() - beginning.civil_less_mono_us);
        self.watched.others_cores = beginning.load.clone().end().other_cores();
        let written = host::disk_written_bytes().zip(beginning.disk_written_bytes);
        self.watched.disk_written_bytes = written.map(|(now, before)| now.saturating_sub(before));
        for (server, (before, now)) in
            self.watched.servers.iter_mut().zip(beginning.syncs.iter().zip(syncs(stage)))
        {
            server.syncs = now.zip(*before).and_then(|(now, before)| now.checked_sub(before));
        }
        self.is_over = true;
    }

    fn threads(&self) -> BTreeMap<u32, Duration> {
        self.generators.iter().flat_map(|process| process.cpu_of_threads()).collect()
    }

    /// Tells the generators who leads, if that changed; what is to be noted.
    pub(super) fn leader_changes(
        &mut self,
        crew: &mut Crew,
    ) -> Result<Vec<(&'static str, String)>, RunError> {
        let mut changes = Vec::new();
        let Some(leaders) = &self.leaders else { return Ok(changes) };
        for leader in leaders.try_iter() {
            crew.tell(&Command::Leader(leader))?;
            self.leader = Some(leader);
            changes.push(("leader", format!("n{leader} ({}) leads", self.addresses[leader])));
        }
        Ok(changes)
    }

    pub(super) fn end(mut self, stage: &Stage) -> Watched {
        self.end_measured(stage);
        self.stop.store(true, Ordering::Release);
        std::mem::take(&mut self.watched)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// Sleeps a millisecond again and again and remembers how late it woke at worst: what the host takes
/// from everybody, where it does not count its pressure.
#[derive(Debug, Default)]
pub(crate) struct Sleeper {
    max_ns: AtomicU64,
}

impl Sleeper {
    /// Sleeps until `stop` is set.
    pub(crate) fn start(stop: &Arc<AtomicBool>) -> Arc<Self> {
        let sleeper = Arc::new(Self::default());
        let (own, stop) = (Arc::clone(&sleeper), Arc::clone(stop));
        let sleep = move || {
            sharpen_timers();
            while !stop.load(Ordering::Acquire) {
                let due_ns = mono_ns() + SLEEP_NS;
                sleep_until(due_ns);
                own.max_ns.fetch_max(mono_ns().saturating_sub(due_ns), Ordering::AcqRel);
            }
        };
        // Without it there is only one figure less.
        drop(std::thread::Builder::new().name("sleeper".to_owned()).spawn(sleep));
        sleeper
    }

    /// The latest it woke since the last question, in microseconds.
    pub(crate) fn take_max_us(&self) -> u64 {
        self.max_ns.swap(0, Ordering::AcqRel) / 1_000
    }
}

/// Asks for the leader again and again, until `stop` is set; each change of it.
fn watch_leader(addresses: &[String], stop: &Arc<AtomicBool>) -> Receiver<usize> {
    let (addresses, stop) = (addresses.to_vec(), Arc::clone(stop));
    // Where no change is noted, brokers find the leader by themselves.
    aside("leader watch", CHANGES_MAX, move |changes| ask_for_leader(addresses, stop, changes))
}

async fn ask_for_leader(addresses: Vec<String>, stop: Arc<AtomicBool>, changes: SyncSender<usize>) {
    let cluster = cluster(&addresses);
    let mut known = None;
    while !stop.load(Ordering::Acquire) {
        let told = cluster.metadata(Deadline::after(LEADER_EVERY)).await;
        let named = told.into_iter().flatten().find_map(|it| it.leader_address);
        let leader = named.and_then(|named| addresses.iter().position(|it| *it == named));
        if let Some(leader) = leader.filter(|leader| known != Some(*leader)) {
            known = Some(leader);
            if changes.send(leader).is_err() {
                return;
            }
        }
        tokio::time::sleep(LEADER_EVERY).await;
    }
}

/// Syncs of each node so far, where it counts them.
fn syncs(stage: &Stage) -> Vec<Option<u64>> {
    let mut all = vec![None; stage.addresses.len()];
    for (node, page) in stage.metrics() {
        let number = node.strip_prefix('n').and_then(|number| number.parse::<usize>().ok());
        if let Some(syncs) = number.and_then(|number| all.get_mut(number)) {
            *syncs = inspect::syncs_in(&page);
        }
    }
    all
}

fn civil_less_mono_us() -> i64 {
    let mono_us = i64::try_from(mono_ns() / 1_000).unwrap_or(i64::MAX);
    i64::try_from(unix_us()).unwrap_or(i64::MAX) - mono_us
}

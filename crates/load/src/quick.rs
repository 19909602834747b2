//! `bench quick`: three workloads in a closed loop, each beside the machine's ceiling.
//!
//! ```text
//! start three controllers, or take the targets ─► leader ─► broker sets, one per connection
//! for each workload:   connections ─► leader            warm-up, measure
//!                      connections ─► canned server     warm-up, measure: the ceiling
//! ```
//!
//! The two halves of a row lie seconds apart, so that a neighbour on the machine touches both. The
//! generator is one thread; on two cores it shares them with the servers, and its own CPU time
//! stands in the report.
//!
//! Any controller that speaks the protocol can be the target, Java's too. What this is not: a load
//! test. A closed loop waits when the server stalls, so its tail is too kind.

use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use client::{CallError, Cluster, Connection, Deadline};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::broker_sets::{BrokerSet, PrepareError, accept_notices, keep_alive};
use crate::closed_loop::{self, Gauge, Lane, LaneError};
use crate::own_cluster::{OwnCluster, Setup, end, free_ports};
use crate::process::Process;
use crate::report::{CpuUsed, Figures, Node, Report, Row, Workload};
use crate::requester::{NotPatchable, Requester};
use crate::{clock, host};

/// Most connections of one run; each is a broker set with three brokers.
pub const CONNECTIONS_MAX: usize = 4096;

/// How long a cluster may take to name its leader.
const LEADER: Duration = Duration::from_secs(30);

/// How long the canned-answer server may take to listen.
const CANNED: Duration = Duration::from_secs(5);

/// Pause between two attempts to connect to it.
const RETRY: Duration = Duration::from_millis(20);

/// How a run is to be made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Addresses of running controllers, `host:port`; none: three are started and ended.
    pub targets: Vec<String>,
    /// Closed-loop connections, 1 to [`CONNECTIONS_MAX`].
    pub connections: usize,
    /// Time before each measurement.
    pub warm_up: Duration,
    /// Measured time of each workload.
    pub measure: Duration,
    /// The program that knows `serve -c FILE` and `canned-server --port PORT`; none: this one.
    pub program: Option<PathBuf>,
    /// Where the folder of started controllers is made; none: the folder for temporary files.
    pub folder: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            connections: 64,
            warm_up: Duration::from_secs(2),
            measure: Duration::from_secs(5),
            program: None,
            folder: None,
        }
    }
}

/// Why a run has no report.
#[derive(Debug, thiserror::Error)]
pub enum QuickError {
    /// The options allow no run.
    #[error("{0} connections: must be 1 to {CONNECTIONS_MAX} (CONNECTIONS_MAX)")]
    Connections(usize),
    /// A process, file or socket of our own could not be had.
    #[error("{doing}: {error}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The cluster named no leader, or a controller is not reachable.
    #[error("{error}\n{logs}")]
    Unreachable {
        /// Why.
        error: CallError,
        /// The last lines that controllers of our own printed; empty for targets.
        logs: String,
    },
    /// The broker sets could not be made ready.
    #[error("preparing the broker sets: {0}")]
    Prepare(#[from] PrepareError),
    /// A workload ended early.
    #[error("{}: {error}", workload.name())]
    Workload {
        /// Which one.
        workload: Workload,
        /// Why.
        error: LaneError,
    },
}

impl From<NotPatchable> for QuickError {
    fn from(error: NotPatchable) -> Self {
        Self::Prepare(error.into())
    }
}

/// Makes a run and blocks until it is over, about `2 x 3 x (warm_up + measure)`.
///
/// The generator runs on a thread of its own, so a caller may stand inside a runtime.
///
/// # Errors
/// - [`QuickError`]: what could not be done. An answer with a code other than 0 ends the run.
///
/// # Panics
/// If the generator does.
pub fn run(options: Options) -> Result<Report, QuickError> {
    if !(1..=CONNECTIONS_MAX).contains(&options.connections) {
        return Err(QuickError::Connections(options.connections));
    }
    let generator = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| io_error("building a runtime", error))?;
        runtime.block_on(measure_all(&options))
    };
    let thread = std::thread::Builder::new().name("generator".to_owned()).spawn(generator);
    let thread = thread.map_err(|error| io_error("starting the generator's thread", error))?;
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

async fn measure_all(options: &Options) -> Result<Report, QuickError> {
    let own = if options.targets.is_empty() { Some(start_own(options)?) } else { None };
    let addresses = own.as_ref().map_or(&options.targets[..], OwnCluster::addresses);
    let unreachable = |error| {
        let logs = own.as_ref().map(OwnCluster::logs).unwrap_or_default();
        QuickError::Unreachable { error, logs }
    };
    let leader = Cluster::new(addresses.iter().cloned()).leader(Deadline::after(LEADER)).await;
    let leader = leader.map_err(unreachable)?;
    let mut all = Vec::new();
    for address in addresses {
        let connection = Connection::connect(address, Deadline::after(LEADER)).await;
        all.push(connection.map_err(unreachable)?);
    }
    // Its tasks end with the run.
    let mut helpers = JoinSet::new();
    let mut sets = prepare(options, &leader, &all, &mut helpers).await?;
    let nodes = nodes(addresses, leader.address());
    let processes: Vec<Process> = nodes.iter().filter_map(|(_, process)| *process).collect();

    let mut streams = connect(leader.address(), sets.len()).await?;
    let mut rows = Vec::new();
    for workload in Workload::ALL {
        let requesters = requesters(workload, &sets)?;
        let phase = Phase { workload, options, processes: &processes };
        let (lanes, controllers) = phase.measure(streams, requesters.clone()).await?;
        for (set, lane) in sets.iter_mut().zip(&lanes) {
            set.moved_to(lane.requester.position());
        }
        streams = lanes.into_iter().map(|lane| lane.stream).collect();
        rows.push(Row::new(workload, controllers, ceiling(workload, options, requesters).await?));
    }
    let report = report(options, own.as_ref(), nodes, rows);
    if own.is_none() {
        for set in &sets {
            set.clean(&leader).await?;
        }
    }
    Ok(report)
}

fn start_own(options: &Options) -> Result<OwnCluster, QuickError> {
    let mut setup = Setup::temporary(program(options)?);
    setup.parent = options.folder.clone().unwrap_or(setup.parent);
    OwnCluster::start(&setup).map_err(|error| io_error("starting controllers", error))
}

fn program(options: &Options) -> Result<PathBuf, QuickError> {
    let own = |error| io_error("finding this program's file", error);
    options.program.clone().map_or_else(std::env::current_exe, Ok).map_err(own)
}

/// Registers a broker set for each connection and starts what keeps their brokers alive.
async fn prepare(
    options: &Options,
    leader: &Connection,
    all: &[Connection],
    helpers: &mut JoinSet<()>,
) -> Result<Vec<BrokerSet>, QuickError> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.map_err(|error| io_error("listening for role notices", error))?;
    let address = listener.local_addr().map_err(|error| io_error("own address", error))?;
    helpers.spawn(accept_notices(listener));
    let now_ms = clock::unix_ms();
    let mut preparing = JoinSet::new();
    for index in 0..options.connections {
        let name = format!("quick-{now_ms}-{index}");
        let invoke_time_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
        let mut set = BrokerSet::new(name, address.to_string(), invoke_time_ms);
        let (leader, all) = (leader.clone(), all.to_vec());
        preparing.spawn(async move { set.prepare(&leader, &all).await.map(|()| set) });
    }
    let sets: Vec<BrokerSet> = preparing.join_all().await.into_iter().collect::<Result<_, _>>()?;
    helpers.spawn(keep_alive(sets.clone(), all.to_vec()));
    Ok(sets)
}

/// Each address with its process, if that is on this host.
fn nodes(addresses: &[String], leader: &str) -> Vec<(Node, Option<Process>)> {
    let node = |address: &String| {
        let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
        let is_here = matches!(host, "127.0.0.1" | "localhost" | "[::1]");
        let port = port.parse().ok().filter(|_| is_here);
        let process = port.and_then(Process::listening_on);
        let pid = process.map(|process| process.pid);
        let is_leader = address == leader;
        (Node { address: address.clone(), is_leader, pid, rss_bytes: None }, process)
    };
    addresses.iter().map(node).collect()
}

fn requesters(workload: Workload, sets: &[BrokerSet]) -> Result<Vec<Requester>, NotPatchable> {
    let requester = |set: &BrokerSet| match workload {
        Workload::AlterSyncStateSet => set.altering(),
        Workload::GetReplicaInfo => set.reading(),
        Workload::Heartbeat => set.heartbeating(),
    };
    sets.iter().map(requester).collect()
}

async fn connect(address: &str, count: usize) -> Result<Vec<TcpStream>, QuickError> {
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        let stream = TcpStream::connect(address).await;
        let stream = stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
        streams.push(stream.map_err(|error| io_error("connecting the workload", error))?);
    }
    Ok(streams)
}

/// Measures the same requests against a canned-answer server in a process of its own.
async fn ceiling(
    workload: Workload,
    options: &Options,
    requesters: Vec<Requester>,
) -> Result<Figures, QuickError> {
    let ports = free_ports(1).map_err(|error| io_error("finding a free port", error))?;
    let server = CannedServer::start(&program(options)?, ports[0])?;
    let address = format!("127.0.0.1:{}", ports[0]);
    let deadline = Deadline::after(CANNED);
    // No connection is made for trying: the server would take it for its last client.
    let streams = loop {
        match connect(&address, requesters.len()).await {
            Err(_) if deadline.leaves(RETRY) => sleep(RETRY).await,
            connected => break connected?,
        }
    };
    let processes = [Process { pid: server.child.id() }];
    let phase = Phase { workload, options, processes: &processes };
    phase.measure(streams, requesters).await.map(|(_, figures)| figures)
}

/// A running canned-answer server; dropping it ends it.
struct CannedServer {
    child: Child,
}

impl CannedServer {
    fn start(program: &PathBuf, port: u16) -> Result<Self, QuickError> {
        let mut command = Command::new(program);
        command.args(["canned-server", "--port", &port.to_string()]).stdin(Stdio::null());
        let child = command.spawn();
        child.map(|child| Self { child }).map_err(|error| io_error("starting the ceiling", error))
    }
}

impl Drop for CannedServer {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// One workload against one server.
struct Phase<'a> {
    workload: Workload,
    options: &'a Options,
    /// Where the server's CPU time is read.
    processes: &'a [Process],
}

impl Phase<'_> {
    async fn measure(
        &self,
        streams: Vec<TcpStream>,
        requesters: Vec<Requester>,
    ) -> Result<(Vec<Lane>, Figures), QuickError> {
        let lanes = streams.into_iter().zip(requesters);
        let lanes = lanes.map(|(stream, requester)| Lane { stream, requester }).collect();
        let gauge = Gauge::new();
        let director = async {
            sleep(self.options.warm_up).await;
            let before = self.cpu();
            gauge.start_measuring();
            sleep(self.options.measure).await;
            gauge.stop();
            (before, self.cpu())
        };
        let (lanes, (before, after)) = closed_loop::run(lanes, &gauge, director)
            .await
            .map_err(|error| QuickError::Workload { workload: self.workload, error })?;
        let measured = gauge.measured();
        let used =
            |of: fn(&CpuUsed) -> Option<Duration>| Some(of(&after)?.saturating_sub(of(&before)?));
        let used = CpuUsed {
            servers: used(|cpu| cpu.servers),
            generator: used(|cpu| cpu.generator),
            host: used(|cpu| cpu.host),
        };
        Ok((lanes, Figures::new(&measured.latency_ns, measured.time, used)))
    }

    /// CPU time used so far.
    fn cpu(&self) -> CpuUsed {
        let servers: Option<Duration> = self.processes.iter().map(|process| process.cpu()).sum();
        CpuUsed {
            servers: servers.filter(|_| !self.processes.is_empty()),
            generator: Process::own().cpu(),
            host: host::cpu(),
        }
    }
}

fn report(
    options: &Options,
    own: Option<&OwnCluster>,
    nodes: Vec<(Node, Option<Process>)>,
    rows: Vec<Row>,
) -> Report {
    let node = |(node, process): (Node, Option<Process>)| Node {
        rss_bytes: process.and_then(Process::rss_bytes),
        ..node
    };
    Report {
        connections: options.connections,
        warm_up_seconds: options.warm_up.as_secs_f64(),
        cores: host::cores(),
        durability: own.map(|_| "fsync"),
        file_system: own.map(|own| host::file_system(own.folder())),
        nodes: nodes.into_iter().map(node).collect(),
        rows,
    }
}

fn io_error(doing: &'static str, error: io::Error) -> QuickError {
    QuickError::Io { doing, error }
}

//! `bench quick`: workloads in a closed loop, beside the machine's ceiling.
//!
//! ```text
//! start three controllers, or take the targets ─► leader ─► broker sets, one per connection
//! for each workload:   connections ─► leader            warm-up, measure
//!                      connections ─► canned server     warm-up, measure: the ceiling
//! for each follower:   connections ─► follower          reads, beside the leader's
//! mix:                 connections ─► all nodes         what brokers send
//! ```
//!
//! The two halves of a row lie seconds apart, so that a neighbour on the machine touches both. The
//! generator is one thread; on two cores it shares them with the servers, and its own CPU time
//! stands in the report.
//!
//! Any controller that speaks the protocol can be the target, Java's too. What this is not: a load
//! test. A closed loop waits when the server stalls, so its tail is too kind.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use client::{Cluster, Connection, Deadline};
use measure::folder::{Durability, FolderError};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::broker_sets::{BrokerSet, PrepareError, accept_notices, keep_alive};
use crate::canned::{CannedServer, Stalls};
use crate::closed_loop::{self, Gauge, Lane, LaneError, Measured};
use crate::generator::founding;
use crate::ground::{self, GroundError};
use crate::inspect::Status;
use crate::own_cluster::{OwnCluster, Setup, free_ports};
use crate::process::Process;
use crate::report::{CpuUsed, Figures, Node, Reads, Report, Row, Workload};
use crate::requester::{NotPatchable, Requester};
use crate::subject::{Said, Subject};
use crate::{clock, host};

mod record;
use record::{Counters, Used};

/// Most connections of one run; each is a broker set with three brokers.
pub const CONNECTIONS_MAX: usize = 4096;

/// How long the canned-answer server may take to listen.
const CANNED: Duration = Duration::from_secs(5);

/// How long the controllers are watched while they only keep brokers alive.
const IDLE: Duration = Duration::from_secs(2);

/// Pause between two looks at whether the run is still wanted.
const LOOK: Duration = Duration::from_millis(50);

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
    /// What is measured; nothing named: everything.
    pub rows: Vec<Workload>,
    /// Measure the same bytes against a canned-answer server, too.
    pub has_ceiling: bool,
    /// Folder in which each row becomes a run folder, that of follower reads for the first follower.
    pub record: Option<PathBuf>,
    /// What the caller knows of the target, for the record.
    pub subject: Subject,
    /// Set from elsewhere to end the run early; there is no report then.
    pub stop: Arc<AtomicBool>,
}

impl Options {
    fn wants(&self, workload: Workload) -> bool {
        self.rows.is_empty() || self.rows.contains(&workload)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            connections: 64,
            warm_up: Duration::from_secs(1),
            measure: Duration::from_secs(3),
            program: None,
            folder: None,
            rows: Vec::new(),
            has_ceiling: true,
            record: None,
            subject: Subject::default(),
            stop: Arc::new(AtomicBool::new(false)),
        }
    }
}

/// Why a run has no report.
#[derive(Debug, thiserror::Error)]
pub enum QuickError {
    /// The options allow no run.
    #[error("{0} connections: must be 1 to {CONNECTIONS_MAX} (CONNECTIONS_MAX)")]
    Connections(usize),
    /// A program, file, socket or controller could not be had.
    #[error(transparent)]
    Ground(#[from] GroundError),
    /// The broker sets could not be made ready.
    #[error("preparing the broker sets: {0}")]
    Prepare(#[from] PrepareError),
    /// Broker sets stay behind on the targets.
    #[error("the figures are lost, since some broker sets stay behind: {0}")]
    Removal(String),
    /// A run folder cannot be written.
    #[error(transparent)]
    Record(#[from] FolderError),
    /// A workload ended early.
    #[error("{}: {error}", workload.name())]
    Workload {
        /// Which one.
        workload: Workload,
        /// Why.
        error: LaneError,
    },
    /// It was told to end before it was over.
    #[error("interrupted before its planned end: there is no report")]
    Interrupted,
}

impl From<NotPatchable> for QuickError {
    fn from(error: NotPatchable) -> Self {
        Self::Prepare(error.into())
    }
}

/// Makes a run and blocks until it is over, about `9 x (warm_up + measure)`.
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
    let generator = move || ground::runtime()?.block_on(Box::pin(measure_all(&options)));
    let thread = std::thread::Builder::new().name("generator".to_owned()).spawn(generator);
    let thread = thread.map_err(ground::io("starting the generator's thread"))?;
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

async fn measure_all(options: &Options) -> Result<Report, QuickError> {
    let own = if options.targets.is_empty() { Some(start_own(options)?) } else { None };
    let addresses = own.as_ref().map_or(&options.targets[..], OwnCluster::addresses);
    let (listener, sets) = planned_sets(options).await?;
    let removals = sets.iter().map(|set| (set.removal(), set.name().to_owned())).collect();
    let made = tokio::select! {
        made = Box::pin(measure(options, own.as_ref(), addresses, (listener, sets))) => made,
        () = interrupted(&options.stop) => Err(QuickError::Interrupted),
    };
    // Whatever became of it: controllers that others use keep nothing of it.
    if own.is_none() {
        let cluster = Arc::new(Cluster::new(addresses.iter().cloned()));
        if let Err(error) = founding::remove(removals, &cluster).await {
            return made.and(Err(QuickError::Removal(error)));
        }
    }
    made
}

/// Waits until the run is to end.
async fn interrupted(stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        sleep(LOOK).await;
    }
}

/// All rows of a run, with sets that nobody has registered yet. What it started ends with it.
async fn measure(
    options: &Options,
    own: Option<&OwnCluster>,
    addresses: &[String],
    (listener, planned): (TcpListener, Vec<BrokerSet>),
) -> Result<Report, QuickError> {
    let (leader, all) = Box::pin(ground::connect(addresses, own)).await?;
    // Its tasks end with the run.
    let mut helpers = JoinSet::new();
    helpers.spawn(accept_notices(listener));
    let mut sets = Box::pin(prepare(planned, &leader, &all, &mut helpers)).await?;
    let nodes = nodes(addresses, leader.address());
    let processes: Vec<Process> = nodes.iter().filter_map(|(_, process)| *process).collect();

    let said = Said::by(Status::of(leader.address()).await.as_ref());
    let data = own.map(OwnCluster::folder);
    let began = options.subject.begin("row", &said, addresses, data);
    let mut run = Run { options, processes: &processes, background: None, began };
    run.background = run.idle_cores().await;
    let mut found = Found::new(&nodes);
    Box::pin(ask_leader(&run, (&leader, addresses), &mut sets, &mut found)).await?;
    if options.wants(Workload::FollowerRead) {
        Box::pin(read_followers(&run, addresses, &sets, &mut found)).await?;
    }
    if options.wants(Workload::Mix) {
        let everywhere: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let streams = connect(&everywhere, sets.len()).await?;
        let mixing = run.measure(Workload::Mix, streams, requesters(Workload::Mix, &sets)?);
        let mixed = Box::pin(mixing).await;
        if let Some(seen) = found.unless_refused(Workload::Mix, mixed)? {
            run.record(Workload::Mix, &seen)?;
            move_on(&mut sets, &seen.lanes);
            found.rows.push(Row::alone(Workload::Mix, None, seen.figures));
        }
    }
    Ok(report(&run, own, nodes, found))
}

/// The workloads that the leader alone serves, each beside its ceiling.
async fn ask_leader(
    run: &Run<'_>,
    (leader, addresses): (&Connection, &[String]),
    sets: &mut [BrokerSet],
    found: &mut Found,
) -> Result<(), QuickError> {
    let options = run.options;
    let mut streams = connect(&[leader.address()], sets.len()).await?;
    for workload in Workload::OF_LEADER.into_iter().filter(|it| options.wants(*it)) {
        let requesters = requesters(workload, sets)?;
        let before = counts(addresses).await;
        let measuring = run.measure(workload, streams, requesters.clone());
        let seen = Box::pin(measuring).await?;
        run.record(workload, &seen)?;
        if workload == Workload::GetReplicaInfo {
            let counts = [before, counts(addresses).await];
            found.add_reads(leader.address(), &counts, &seen.figures);
        }
        move_on(sets, &seen.lanes);
        streams = seen.lanes.into_iter().map(|lane| lane.stream).collect();
        found.rows.push(if options.has_ceiling {
            let ceiling = Box::pin(ceiling(workload, options, requesters)).await?;
            Row::new(workload, seen.figures, ceiling)
        } else {
            Row::alone(workload, None, seen.figures)
        });
    }
    Ok(())
}

/// Reads at one follower after the other.
async fn read_followers(
    run: &Run<'_>,
    addresses: &[String],
    sets: &[BrokerSet],
    found: &mut Found,
) -> Result<(), QuickError> {
    let workload = Workload::FollowerRead;
    let leads: Vec<bool> = found.nodes.iter().map(|node| node.is_leader).collect();
    let followers = addresses.iter().zip(leads).filter(|(_, leads)| !leads);
    for (number, (follower, _)) in followers.enumerate() {
        let streams = connect(&[follower], sets.len()).await?;
        let before = counts(addresses).await;
        let read = run.measure(workload, streams, requesters(workload, sets)?).await;
        let Some(seen) = found.unless_refused(workload, read)? else { continue };
        // Followers differ by chance only; two runs of one name would be taken for a ramp.
        if number == 0 {
            run.record(workload, &seen)?;
        }
        if run.options.wants(Workload::GetReplicaInfo) {
            let counts = [before, counts(addresses).await];
            found.add_reads(follower, &counts, &seen.figures);
        }
        found.rows.push(Row::alone(workload, Some(follower.clone()), seen.figures));
    }
    Ok(())
}

/// Where the lanes left the sets.
fn move_on(sets: &mut [BrokerSet], lanes: &[Lane]) {
    for (set, lane) in sets.iter_mut().zip(lanes) {
        set.moved_to(lane.requesters.iter().find_map(Requester::position));
    }
}

/// What each node says of itself; `None` from one that is not ours.
async fn counts(addresses: &[String]) -> Vec<Option<Status>> {
    let mut all = Vec::with_capacity(addresses.len());
    for address in addresses {
        all.push(Status::of(address).await);
    }
    all
}

/// What a run has found so far.
#[derive(Debug)]
struct Found {
    nodes: Vec<Node>,
    rows: Vec<Row>,
    reads: Vec<Reads>,
    notes: Vec<String>,
    leader_reads_per_second: f64,
}

impl Found {
    fn new(nodes: &[(Node, Option<Process>)]) -> Self {
        Self {
            nodes: nodes.iter().map(|(node, _)| node.clone()).collect(),
            rows: Vec::new(),
            reads: Vec::new(),
            notes: Vec::new(),
            leader_reads_per_second: 0.0,
        }
    }

    /// The result, or nothing and a note if the node refused, as Java's followers do.
    fn unless_refused<T>(
        &mut self,
        workload: Workload,
        measured: Result<T, QuickError>,
    ) -> Result<Option<T>, QuickError> {
        match measured {
            Err(QuickError::Workload { error: LaneError::Answer(answer), .. }) => {
                self.notes.push(format!("{}: not measured: {answer}", workload.name()));
                Ok(None)
            }
            measured => measured.map(Some),
        }
    }

    /// What reading at the node with this address took, if the nodes count it: by what all of them
    /// said before and after.
    fn add_reads(
        &mut self,
        address: &str,
        [before, after]: &[Vec<Option<Status>>; 2],
        figures: &Figures,
    ) {
        let nodes = &self.nodes;
        let Some(at) = nodes.iter().position(|node| node.address == address) else { return };
        let is_leader = nodes[at].is_leader;
        if is_leader {
            self.leader_reads_per_second = figures.requests_per_second;
        }
        let Some((before, after)) = before[at].as_ref().zip(after[at].as_ref()) else { return };
        let grown = |member| {
            let grown = after.number(member).saturating_sub(before.number(member));
            f64::from(u32::try_from(grown).unwrap_or(u32::MAX))
        };
        let rounds_per_thousand = grown("readBarriers") / grown("readsServed").max(1.0) * 1_000.0;
        // A leader asks each of the others, a follower the leader.
        let asked = if is_leader { nodes.len().saturating_sub(1) } else { 1 };
        let asked = f64::from(u32::try_from(asked).unwrap_or(u32::MAX));
        self.reads.push(Reads {
            address: address.to_owned(),
            is_leader,
            of_leader: figures.requests_per_second / self.leader_reads_per_second.max(1.0),
            rounds_per_thousand,
            messages_per_thousand: rounds_per_thousand * 2.0 * asked,
            wait_p99_us: after.number("barrierWaitP99Micros"),
        });
    }
}

fn start_own(options: &Options) -> Result<OwnCluster, GroundError> {
    let mut setup = Setup::temporary(ground::program(options.program.as_deref())?);
    setup.parent = options.folder.clone().unwrap_or(setup.parent);
    ground::start(&setup)
}

/// A broker set for each connection, which nobody knows yet, and where they hear role notices.
async fn planned_sets(options: &Options) -> Result<(TcpListener, Vec<BrokerSet>), QuickError> {
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.map_err(ground::io("listening for role notices"))?;
    let address = listener.local_addr().map_err(ground::io("own address"))?.to_string();
    let now_ms = clock::unix_ms();
    let invoke_time_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
    let set =
        |index| BrokerSet::new(format!("quick-{now_ms}-{index}"), address.clone(), invoke_time_ms);
    let sets = (0..options.connections).map(set).collect();
    Ok((listener, sets))
}

/// Registers the sets and starts what keeps their brokers alive.
async fn prepare(
    planned: Vec<BrokerSet>,
    leader: &Connection,
    all: &[Connection],
    helpers: &mut JoinSet<()>,
) -> Result<Vec<BrokerSet>, QuickError> {
    let mut preparing = JoinSet::new();
    for mut set in planned {
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

/// The requests of each connection.
fn requesters(workload: Workload, sets: &[BrokerSet]) -> Result<Vec<Vec<Requester>>, NotPatchable> {
    let requesters = |set: &BrokerSet| {
        let single = match workload {
            Workload::AlterSyncStateSet => set.altering(),
            Workload::GetReplicaInfo | Workload::FollowerRead => set.reading(),
            Workload::Heartbeat => set.heartbeating(),
            Workload::Mix => return set.mixing(),
        };
        single.map(|requester| vec![requester])
    };
    sets.iter().map(requesters).collect()
}

/// Connections to all of `addresses` in turn.
pub(crate) async fn connect(
    addresses: &[&str],
    count: usize,
) -> Result<Vec<TcpStream>, QuickError> {
    let mut streams = Vec::with_capacity(count);
    for address in addresses.iter().cycle().take(count) {
        let stream = TcpStream::connect(address).await;
        let stream = stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
        streams.push(stream.map_err(ground::io("connecting the workload"))?);
    }
    Ok(streams)
}

/// Measures the same requests against a canned-answer server in a process of its own.
async fn ceiling(
    workload: Workload,
    options: &Options,
    requesters: Vec<Vec<Requester>>,
) -> Result<Figures, QuickError> {
    let ports = free_ports(1).map_err(ground::io("finding a free port"))?;
    let server = CannedServer::start(
        &ground::program(options.program.as_deref())?,
        ports[0],
        Stalls::default(),
    );
    let server = server.map_err(ground::io("starting the ceiling"))?;
    let address = format!("127.0.0.1:{}", ports[0]);
    let deadline = Deadline::after(CANNED);
    // No connection is made for trying: the server would take it for its last client.
    let streams = loop {
        match connect(&[&address], requesters.len()).await {
            Err(_) if deadline.leaves(RETRY) => sleep(RETRY).await,
            connected => break connected?,
        }
    };
    let processes = [Process { pid: server.child.id() }];
    let run = Run { options, processes: &processes, background: None, began: Default::default() };
    run.measure(workload, streams, requesters).await.map(|seen| seen.figures)
}

/// One workload against one server, measured.
struct Seen {
    lanes: Vec<Lane>,
    figures: Figures,
    measured: Measured,
    used: Used,
}

/// One server, and how it is measured.
struct Run<'a> {
    options: &'a Options,
    /// Where the server's CPU time is read.
    processes: &'a [Process],
    /// Processors that it keeps busy without the workload.
    background: Option<f64>,
    /// What is known of it before the first request.
    began: measure::folder::Run,
}

impl Run<'_> {
    /// Processors that the server keeps busy with what runs beside every workload.
    async fn idle_cores(&self) -> Option<f64> {
        let (began, before) = (clock::now(), self.cpu().servers?);
        sleep(IDLE).await;
        let used = self.cpu().servers?.saturating_sub(before);
        let seconds = clock::now().saturating_duration_since(began).as_secs_f64();
        Some(used.as_secs_f64() / seconds.max(f64::MIN_POSITIVE))
    }

    async fn measure(
        &self,
        workload: Workload,
        streams: Vec<TcpStream>,
        requesters: Vec<Vec<Requester>>,
    ) -> Result<Seen, QuickError> {
        let lanes = streams.into_iter().zip(requesters).enumerate();
        let lanes = lanes
            .map(|(number, (stream, requesters))| Lane { number, stream, requesters })
            .collect();
        let gauge = Gauge::new();
        let director = async {
            sleep(self.options.warm_up).await;
            let before = (self.cpu(), Counters::now(self.processes));
            gauge.start_measuring();
            sleep(self.options.measure).await;
            gauge.stop();
            let used = Counters::now(self.processes).since(&before.1, self.processes);
            (before.0, self.cpu(), used)
        };
        let (lanes, (before, after, used_meanwhile)) = closed_loop::run(lanes, &gauge, director)
            .await
            .map_err(|error| QuickError::Workload { workload, error })?;
        let measured = gauge.measured();
        let used =
            |of: fn(&CpuUsed) -> Option<Duration>| Some(of(&after)?.saturating_sub(of(&before)?));
        let background = measured.time.mul_f64(self.background.unwrap_or_default());
        let used = CpuUsed {
            servers: used(|cpu| cpu.servers).map(|all| all.saturating_sub(background)),
            generator: used(|cpu| cpu.generator),
            host: used(|cpu| cpu.host),
        };
        let figures = Figures::new(&measured.latency(), measured.time, used);
        Ok(Seen { lanes, figures, measured, used: used_meanwhile })
    }

    /// Makes a run folder of a row, if that is wanted.
    fn record(&self, workload: Workload, seen: &Seen) -> Result<(), FolderError> {
        let Some(folder) = &self.options.record else { return Ok(()) };
        let run = (self.began.clone(), seen.lanes.len());
        let parts = (&seen.measured, seen.used.clone());
        record::write(folder, run, (workload, &seen.figures), parts)
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
    run: &Run<'_>,
    own: Option<&OwnCluster>,
    nodes: Vec<(Node, Option<Process>)>,
    found: Found,
) -> Report {
    let options = run.options;
    let node = |(node, process): (Node, Option<Process>)| Node {
        rss_bytes: process.and_then(Process::rss_bytes),
        ..node
    };
    Report {
        connections: options.connections,
        warm_up_seconds: options.warm_up.as_secs_f64(),
        cores: host::cores(),
        durability: match run.began.durability {
            Durability::Fsync => Some("fsync"),
            Durability::Async => Some("async"),
            Durability::Unknown => None,
        },
        file_system: own.map(|own| host::file_system(own.folder())),
        nodes: nodes.into_iter().map(node).collect(),
        background_cores: run.background,
        rows: found.rows,
        reads: found.reads,
        notes: found.notes,
    }
}

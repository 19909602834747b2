//! `bench budget`: what one write and one read cost by counts that neither a neighbour nor a slow machine changes.
//!
//! ```text
//! three controllers ── one broker set ── idle ── writes, one after the other ── reads at the leader ── at a follower
//!                                          └── what goes on anyway, for each second: taken off everything after it
//! ```
//!
//! One request at a time, so that nothing is shared by batches whose size is a matter of luck: an upper bound of what
//! happens under load. Counts are the nodes' own, from their metrics pages. CPU time and wall clock stand beside them,
//! for reading only: they depend on the machine.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use client::Connection;
use serde::Serialize;
use tokio::task::JoinSet;

use crate::broker_sets::{BrokerSet, PrepareError, accept_notices};
use crate::clock;
use crate::ground::{self, GroundError};
use crate::inspect::{self, Status, counter_in};
use crate::own_cluster::{OwnCluster, Setup};
use crate::process::Process;

/// How long is looked at what goes on anyway.
const IDLE: Duration = Duration::from_secs(3);

/// Requests of a phase that are not counted.
const WARM_UP: u32 = 20;

/// What is counted of a node: the figure's name, and the name on its metrics page.
const COUNTERS: [(&str, &str); 4] = [
    ("syncs", "pitchover_journal_sync_seconds_count"),
    ("journal_bytes", "pitchover_journal_written_bytes_total"),
    ("frames", "pitchover_peer_frames_total"),
    ("peer_bytes", "pitchover_peer_bytes_total"),
];

/// What is counted, one after the other.
const PHASES: [&str; 3] = ["write", "read", "read_follower"];

/// Names of all figures.
pub fn figure_names() -> impl Iterator<Item = String> {
    let of_phase = |phase: &'static str| COUNTERS.map(move |(name, _)| format!("{phase}.{name}"));
    PHASES.into_iter().flat_map(of_phase)
}

/// How it is counted.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program that knows `serve -c FILE`; none: this one.
    pub program: Option<PathBuf>,
    /// Writes that are counted, 1 or more.
    pub writes: u32,
    /// Reads that are counted, at the leader and at a follower each, 1 or more.
    pub reads: u32,
}

/// Why nothing was counted.
#[derive(Debug, thiserror::Error)]
pub enum CountError {
    /// A program, file, socket or controller could not be had.
    #[error(transparent)]
    Ground(#[from] GroundError),
    /// A request was refused, or had no answer.
    #[error(transparent)]
    Request(#[from] PrepareError),
    /// A controller has no metrics page.
    #[error("{address} has no metrics page")]
    Page {
        /// Which one.
        address: String,
    },
}

/// What was counted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counted {
    /// For each write, and each read at the leader and at a follower: `write.syncs`, …, all nodes together.
    pub figures: BTreeMap<String, f64>,
    /// The same that depends on the machine: `write.cpu_us`, `write.wall_us`, …
    pub reported: BTreeMap<String, f64>,
}

/// Counts, and blocks until it is done.
///
/// # Errors
/// - [`CountError`]: what could not be done.
pub fn run(options: &Options) -> Result<Counted, CountError> {
    let setup = Setup::temporary(ground::program(options.program.as_deref())?);
    let cluster = ground::start(&setup)?;
    ground::runtime()?.block_on(Box::pin(count(options, &cluster)))
}

async fn count(options: &Options, cluster: &OwnCluster) -> Result<Counted, CountError> {
    let io = ground::io("listening for role notices");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(io)?;
    let broker = listener.local_addr().map_err(io)?.to_string();
    // Its task ends with the count.
    let mut helpers = JoinSet::new();
    helpers.spawn(accept_notices(listener));
    let (leader, all) = Box::pin(ground::connect(cluster.addresses(), Some(cluster))).await?;
    let now_ms = i64::try_from(clock::unix_ms()).unwrap_or(i64::MAX);
    let mut set = BrokerSet::new("counted".to_owned(), broker, now_ms);
    Box::pin(set.prepare(&leader, &all)).await?;

    let addresses = cluster.addresses();
    let nodes = (0..addresses.len()).map(|node| Process { pid: cluster.pid(node) }).collect();
    let watch = Watch { addresses, nodes };
    let idle = Box::pin(watch.idle()).await?;
    let mut counted = Counted::default();
    let [write, read, read_follower] = PHASES;
    Box::pin(writes(&mut set, &leader, WARM_UP)).await?;
    let before = Box::pin(watch.look()).await?;
    Box::pin(writes(&mut set, &leader, options.writes)).await?;
    let after = Box::pin(watch.look()).await?;
    counted.add(write, &before.to(&after), options.writes, &idle);
    let follower = all.iter().find(|node| node.address() != leader.address());
    for (name, node) in [(read, Some(&leader)), (read_follower, follower)] {
        let Some(node) = node else { continue };
        Box::pin(reads(&set, node, WARM_UP)).await?;
        let before = Box::pin(watch.look()).await?;
        Box::pin(reads(&set, node, options.reads)).await?;
        let after = Box::pin(watch.look()).await?;
        counted.add(name, &before.to(&after), options.reads, &idle);
    }
    Ok(counted)
}

async fn writes(set: &mut BrokerSet, leader: &Connection, many: u32) -> Result<(), CountError> {
    for _ in 0..many {
        set.toggle(leader).await?;
    }
    Ok(())
}

async fn reads(set: &BrokerSet, node: &Connection, many: u32) -> Result<(), CountError> {
    let poll = set.poll();
    for _ in 0..many {
        set.ask(node, "read", &poll).await?;
    }
    Ok(())
}

/// The nodes that are looked at.
struct Watch<'a> {
    addresses: &'a [String],
    nodes: Vec<Process>,
}

/// What all nodes have counted so far.
struct Look {
    at: std::time::Instant,
    counters: [u64; COUNTERS.len()],
    cpu: Duration,
}

/// What happened between two looks.
struct Grown {
    seconds: f64,
    counters: [f64; COUNTERS.len()],
    cpu_us: f64,
}

impl Watch<'_> {
    async fn look(&self) -> Result<Look, CountError> {
        let mut counters = [0; COUNTERS.len()];
        for address in self.addresses {
            let page = match Status::of(address).await {
                Some(status) => inspect::metrics(&status).await,
                None => None,
            };
            let page = page.ok_or_else(|| CountError::Page { address: address.clone() })?;
            for ((_, name), all) in COUNTERS.iter().zip(&mut counters) {
                *all += counter_in(&page, name).unwrap_or_default();
            }
        }
        let cpu = self.nodes.iter().filter_map(|node| node.cpu()).sum();
        Ok(Look { at: clock::now(), counters, cpu })
    }

    /// What goes on while nobody asks anything, for each second.
    async fn idle(&self) -> Result<Grown, CountError> {
        let before = self.look().await?;
        tokio::time::sleep(IDLE).await;
        let grown = before.to(&self.look().await?);
        let each = |count: f64| count / grown.seconds;
        Ok(Grown { seconds: 1.0, counters: grown.counters.map(each), cpu_us: each(grown.cpu_us) })
    }
}

impl Look {
    fn to(&self, later: &Self) -> Grown {
        let mut counters = [0.0; COUNTERS.len()];
        for ((grown, before), after) in counters.iter_mut().zip(self.counters).zip(later.counters) {
            *grown = float(after.saturating_sub(before));
        }
        Grown {
            seconds: later.at.saturating_duration_since(self.at).as_secs_f64(),
            counters,
            cpu_us: later.cpu.saturating_sub(self.cpu).as_secs_f64() * 1e6,
        }
    }
}

impl Counted {
    /// Adds what so many requests took, less what goes on anyway.
    fn add(&mut self, name: &str, grown: &Grown, requests: u32, idle: &Grown) {
        let each =
            |all: f64, idle: f64| ((all - idle * grown.seconds) / f64::from(requests)).max(0.0);
        for (place, (counter, _)) in COUNTERS.iter().enumerate() {
            let value = each(grown.counters[place], idle.counters[place]);
            self.figures.insert(format!("{name}.{counter}"), value);
        }
        self.reported.insert(format!("{name}.cpu_us"), each(grown.cpu_us, idle.cpu_us));
        self.reported.insert(format!("{name}.wall_us"), grown.seconds * 1e6 / f64::from(requests));
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a short run are far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::{COUNTERS, Counted, Grown};

    #[test]
    fn what_goes_on_anyway_is_taken_off() {
        let idle = Grown { seconds: 1.0, counters: [0.0, 0.0, 40.0, 4_000.0], cpu_us: 5_000.0 };
        let grown =
            Grown { seconds: 2.0, counters: [300.0, 1_000.0, 480.0, 7_000.0], cpu_us: 30_000.0 };
        let mut counted = Counted::default();
        counted.add("write", &grown, 100, &idle);
        let figure = |name: &str| counted.figures[name];
        assert_eq!(COUNTERS.len(), counted.figures.len());
        assert!((figure("write.syncs") - 3.0).abs() < 1e-9);
        assert!((figure("write.frames") - 4.0).abs() < 1e-9);
        assert!(figure("write.peer_bytes").abs() < 1e-9, "never below nought");
        assert!((counted.reported["write.cpu_us"] - 200.0).abs() < 1e-9);
        assert!((counted.reported["write.wall_us"] - 20_000.0).abs() < 1e-9);
    }
}

//! The plan of a run: everything that the seed draws before the first event.
//!
//! *Swarm*: each seed first draws which classes of faults exist at all, each with one chance in two, then how hard they
//! strike; so that some seeds are all about disks and others have none. A plan can be made smaller without shifting the
//! rest: each component draws from a stream of its own.

mod draw;

use crate::client::Trade;
use crate::fault::Fault;
use crate::network::Weather;
use controller::{LeaderNaming, ReadMode, Retention};
use journal::Options;
use std::fmt;
use std::str::FromStr;

/// Which kind of run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// Everything, for two minutes of faults.
    Mix,
    /// As `mix`, for up to thirty minutes.
    Long,
    /// Reads at every controller while sync-state sets change fast: partitions, changes of leaders, late and repeated
    /// messages. Short.
    Reads,
    /// No faults.
    Calm,
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "mix" => Ok(Self::Mix),
            "long" => Ok(Self::Long),
            "reads" => Ok(Self::Reads),
            "calm" => Ok(Self::Calm),
            other => Err(format!("`{other}` is none of mix, long, reads, calm")),
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mix => "mix",
            Self::Long => "long",
            Self::Reads => "reads",
            Self::Calm => "calm",
        })
    }
}

/// How a controller sees time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockPlan {
    /// Its own seconds in a thousand true ones.
    pub rate: u64,
    /// What it shows at the beginning, in microseconds.
    pub offset: u64,
    /// Its ticks, in microseconds.
    pub grain: u64,
}

/// One client: what it does, and the middle of its pauses in microseconds.
pub type ClientPlan = (Trade, u64);

/// Everything that a seed draws before the first event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The seed that it was drawn from, and that every stream of numbers begins with.
    pub seed: u64,
    /// Which kind of run.
    pub preset: Preset,
    /// Controllers.
    pub nodes: usize,
    /// Broker sets.
    pub sets: usize,
    /// Brokers in each.
    pub replicas: usize,
    /// Brokers of all sets that share one process, and so its connections.
    pub per_process: usize,
    /// How long the faults last, in ms.
    pub safety_ms: u64,
    /// Campaign time-out E, in ms.
    pub election_timeout_ms: u64,
    /// After which time a broker is dead, in ms.
    pub heartbeat_timeout_ms: u64,
    /// Whom controllers name to brokers.
    pub naming: LeaderNaming,
    /// How leaders make sure of their reads.
    pub read_mode: ReadMode,
    /// Log and snapshots.
    pub retention: Retention,
    /// Segments.
    pub journal: Options,
    /// Middle and maximum of what a write with its sync takes, in microseconds.
    pub sync: u64,
    /// See `sync`.
    pub sync_max: u64,
    /// Requests in one turn.
    pub turn_events: usize,
    /// At which controllers elections may be unclean at the start, one bit each.
    pub unclean: u64,
    /// The network.
    pub weather: Weather,
    /// One for each controller.
    pub clocks: Vec<ClockPlan>,
    /// Who asks beside the brokers.
    pub clients: Vec<ClientPlan>,
    /// What strikes, by time.
    pub faults: Vec<Fault>,
    /// Whether some fault gives two brokers one id, which no controller can tell apart.
    pub has_doubles: bool,
}

impl Plan {
    /// Draws the plan of a seed.
    #[must_use]
    pub fn draw(seed: u64, preset: Preset) -> Self {
        draw::plan(seed, preset)
    }

    /// Leaves only what these lists name; `None` leaves all.
    pub fn keep(&mut self, smaller: &Smaller) {
        if let Some(faults) = &smaller.faults {
            let kept = self.faults.iter().enumerate().filter(|(at, _)| faults.contains(at));
            self.faults = kept.map(|(_, fault)| *fault).collect();
        }
        if let Some(clients) = &smaller.clients {
            // A client that is left out is one that never acts, so that the others keep their places.
            for (at, client) in self.clients.iter_mut().enumerate() {
                if !clients.contains(&at) {
                    client.1 = 0;
                }
            }
        }
        if let Some(sets) = smaller.sets {
            self.sets = sets.min(self.sets);
            let brokers = self.sets * self.replicas;
            self.faults.retain(|fault| fault.kind.broker().is_none_or(|broker| broker < brokers));
        }
        if let Some(safety_ms) = smaller.safety_ms {
            self.safety_ms = safety_ms.min(self.safety_ms);
            self.faults.retain(|fault| fault.at_ms < safety_ms);
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, preset, nodes, sets, replicas, .. } = self;
        writeln!(
            f,
            "seed {seed}, preset {preset}: {nodes} controllers, {sets} x {replicas} brokers"
        )?;
        let (e, heartbeat) = (self.election_timeout_ms, self.heartbeat_timeout_ms);
        let safety = self.safety_ms;
        writeln!(f, "E {e} ms, heartbeat time-out {heartbeat} ms, faults for {safety} ms")?;
        let (naming, reads) = (self.naming, self.read_mode);
        writeln!(f, "names {naming:?}, reads by {reads:?}, {:?}", self.retention)?;
        let Options { segment_bytes, spares, .. } = self.journal;
        writeln!(f, "segments of {segment_bytes} bytes, {spares} spares, {:?}", self.weather)?;
        for (number, (trade, pause)) in self.clients.iter().enumerate() {
            writeln!(f, "client {number}: {trade:?}, every {} ms", pause / 1_000)?;
        }
        for (number, fault) in self.faults.iter().enumerate() {
            writeln!(
                f,
                "fault {number} at {} ms for {} ms: {:?}, on {:?}",
                fault.at_ms, fault.for_ms, fault.kind, fault.on
            )?;
        }
        Ok(())
    }
}

/// What is left of a plan that was made smaller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Smaller {
    /// The faults that stay, by their number in the whole plan.
    pub faults: Option<Vec<usize>>,
    /// The clients that stay.
    pub clients: Option<Vec<usize>>,
    /// Broker sets.
    pub sets: Option<usize>,
    /// How long the faults last.
    pub safety_ms: Option<u64>,
}

impl fmt::Display for Smaller {
    /// As options of the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |list: &[usize]| list.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        if let Some(faults) = &self.faults {
            write!(f, " --faults={}", list(faults))?;
        }
        if let Some(clients) = &self.clients {
            write!(f, " --clients={}", list(clients))?;
        }
        if let Some(sets) = self.sets {
            write!(f, " --sets {sets}")?;
        }
        if let Some(safety_ms) = self.safety_ms {
            write!(f, " --for-ms {safety_ms}")?;
        }
        Ok(())
    }
}

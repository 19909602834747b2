//! `canary`: a low load that is always the same and always known, for production.
//!
//! ```text
//! pacing   a thread that only sleeps and says what is due
//! set      the canary's own broker set: two simulated replicas, founded at the start, cleaned at the end
//! asking   one connection to each controller; one request, and how it ended
//! record   counts, times and promises of the last minute and of all; a line of JSON
//! page     the same for Prometheus
//! turns    `judge`: two groups or nodes in turns, and whether the candidate is as good
//! ```
//!
//! It registers the broker set [`SET_PREFIX`]`<host>` and nothing else, and removes it with `CLEAN_BROKER_DATA`: when
//! it ends, also by a signal, and before it starts, if a crash left it. It speaks what every RocketMQ broker speaks, so
//! it runs against any RocketMQ controller; the same canary before and after a migration shows what the migration did.
//!
//! What it may send is limited by [`RATE_MAX`], and a file ([`Options::kill_switch`]) ends it from outside.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::channel;

use crate::clock::mono_ns;
use crate::generator::cadence::Cadence;
use crate::ground::{self, GroundError};

mod asking;
mod pacing;
mod page;
mod record;
mod set;
mod turns;

use asking::Asker;
use record::Record;
pub use record::{Ending, Kind, Line, PromiseLine, promise_verdict};
use set::REPLICAS;
pub(crate) use set::is_absent;
pub use set::{SET_PREFIX, SetError, set_name};
pub use turns::{Judgement, Judging, TurnsError, Verdict, judge};

/// Most requests a second of all kinds together.
pub const RATE_MAX: f64 = 200.0;

/// Most controllers that one canary watches.
pub const CONTROLLERS_MAX: usize = 16;

/// What is due and waits to be sent; more is skipped and counted.
const DUE_MAX: usize = 1_024;

/// Requests that may wait for answers; more are skipped and counted.
const IN_FLIGHT_MAX: usize = 512;

/// How long what is under way is waited for at the end.
const DRAIN: Duration = Duration::from_secs(3);

/// Pause between two looks for a reason to end.
const LOOK: Duration = Duration::from_millis(250);

/// From the order to the first request.
const LEAD_NS: u64 = 100_000_000;

/// What part of the answers must be good, and how soon.
#[derive(Clone, Debug, PartialEq)]
pub struct Promise {
    /// The objective's id.
    pub id: String,
    /// About which requests.
    pub kind: Kind,
    /// A good answer takes at most so many seconds.
    pub seconds: f64,
    /// Part (0 to 1) of the answers that must be good.
    pub ratio: f64,
}

/// How a canary is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// `host:port` of each controller of one group.
    pub targets: Vec<String>,
    /// What distinguishes this canary from others: its host's name.
    pub host: String,
    /// Changes of its own sync-state set a second.
    pub writes: f64,
    /// Reads a second of each controller.
    pub reads: f64,
    /// Pause between two heartbeats of each replica.
    pub heartbeat_every: Duration,
    /// Pause between two elections of its own set; none without.
    pub failover_every: Option<Duration>,
    /// Pause between two lines.
    pub line_every: Duration,
    /// How long it runs; until it is stopped without.
    pub length: Option<Duration>,
    /// It ends when this file is there.
    pub kill_switch: Option<PathBuf>,
    /// Where Prometheus finds its metrics; nowhere without.
    pub listen: Option<SocketAddr>,
    /// What is promised.
    pub promises: Vec<Promise>,
    /// Set from elsewhere to end it.
    pub stop: Arc<AtomicBool>,
}

impl Options {
    /// The usual load: one write a second, ten reads a second of each controller, one heartbeat a second.
    #[must_use]
    pub fn new(targets: Vec<String>, host: String) -> Self {
        Self {
            targets,
            host,
            writes: 1.0,
            reads: 10.0,
            heartbeat_every: Duration::from_secs(1),
            failover_every: None,
            line_every: Duration::from_secs(60),
            length: None,
            kill_switch: None,
            listen: None,
            promises: Vec::new(),
            stop: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Requests a second of all kinds together.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let nodes = f64::from(u32::try_from(self.targets.len()).unwrap_or(u32::MAX));
        let replicas = f64::from(u32::try_from(REPLICAS).unwrap_or(u32::MAX));
        let beats = nodes * replicas / self.heartbeat_every.as_secs_f64().max(f64::MIN_POSITIVE);
        self.writes + self.reads * nodes + beats
    }

    /// What is wrong with them, and what is allowed.
    ///
    /// # Errors
    /// - [`CanaryError::Options`].
    pub fn check(&self) -> Result<(), CanaryError> {
        let refused = |why: String| Err(CanaryError::Options(why));
        let nodes = self.targets.len();
        if !(1..=CONTROLLERS_MAX).contains(&nodes) {
            return refused(format!(
                "{nodes} controllers: 1 to {CONTROLLERS_MAX} (CONTROLLERS_MAX)"
            ));
        }
        let is_rate = |it: f64| it.is_finite() && it > 0.0;
        if !is_rate(self.writes) || !is_rate(self.reads) {
            return refused("writes and reads a second are above 0".to_owned());
        }
        let shortest = [Some(self.heartbeat_every), Some(self.line_every), self.failover_every];
        if shortest.into_iter().flatten().any(|every| every < Duration::from_millis(100)) {
            return refused("heartbeats, lines and elections are 100ms or more apart".to_owned());
        }
        let rate = self.rate();
        if rate > RATE_MAX {
            return refused(format!("{rate:.0} requests a second: at most {RATE_MAX} (RATE_MAX)"));
        }
        Ok(())
    }
}

/// Why a canary did not run.
#[derive(Debug, thiserror::Error)]
pub enum CanaryError {
    /// What is asked for is not allowed.
    #[error("{0}")]
    Options(String),
    /// Its set could not be founded.
    #[error(transparent)]
    Set(#[from] SetError),
    /// Nobody may listen there.
    #[error("metrics on {address}: {why}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        why: String,
    },
    /// The system refused something.
    #[error(transparent)]
    Ground(#[from] GroundError),
}

/// Why a canary ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Why {
    /// It was stopped.
    Stopped,
    /// The file of the kill switch is there.
    KillSwitch,
    /// Its time is over.
    Over,
}

/// What a canary came to.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Why it ended.
    pub why: Why,
    /// All of it, as one line.
    pub whole: Line,
    /// What is left behind, if cleaning failed.
    pub left: Option<String>,
}

/// What whoever runs a canary may want to know.
#[derive(Debug)]
pub enum Progress<'a> {
    /// Something is done.
    Doing(String),
    /// A minute is over.
    Line(&'a Line),
}

/// Something that is due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Due {
    Write,
    Read { node: usize },
    Beat { replica: usize, node: usize },
    Failover,
    Line,
}

/// All that requests under way share.
#[derive(Debug)]
struct Canary {
    asker: Asker,
    set: set::OwnSet,
    record: Record,
    skipped: Arc<AtomicU64>,
    in_flight: AtomicUsize,
}

/// Runs a canary until it is told to end.
///
/// # Errors
/// - [`CanaryError`]: what could not be done. Controllers that do not answer later on are no error: that is what it
///   watches.
pub fn run(
    options: &Options,
    mut progress: impl FnMut(Progress<'_>),
) -> Result<Summary, CanaryError> {
    options.check()?;
    ground::runtime()?.block_on(async {
        let canary = begin(options, &mut progress).await?;
        let watched = watch(options, &canary, &mut progress).await;
        // Whatever happened, nothing is left behind.
        let left = canary.set.clean().await.err().map(|error| error.to_string());
        let why = watched?;
        Ok(Summary { why, whole: canary.record.whole(), left })
    })
}

async fn begin(
    options: &Options,
    progress: &mut impl FnMut(Progress<'_>),
) -> Result<Arc<Canary>, CanaryError> {
    let name = set_name(&options.host);
    progress(Progress::Doing(format!("founding {name} on {}", options.targets.join(", "))));
    let asker = Asker::new(&options.targets);
    let set = set::OwnSet::found(&name, &options.targets, &asker).await?;
    let canary = Canary {
        asker,
        set,
        record: Record::new(name, options.promises.clone()),
        skipped: Arc::new(AtomicU64::new(0)),
        in_flight: AtomicUsize::new(0),
    };
    Ok(Arc::new(canary))
}

async fn watch(
    options: &Options,
    canary: &Arc<Canary>,
    progress: &mut impl FnMut(Progress<'_>),
) -> Result<Why, CanaryError> {
    if let Some(address) = options.listen {
        let bound = page::serve(address, Arc::clone(canary)).await;
        let bound =
            bound.map_err(|error| CanaryError::Listen { address, why: error.to_string() })?;
        progress(Progress::Doing(format!("metrics on http://{bound}/metrics")));
    }
    let start_ns = mono_ns() + LEAD_NS;
    let end_ns = options.length.map_or(u64::MAX, |length| start_ns.saturating_add(nanos(length)));
    let (sender, mut due) = channel(DUE_MAX);
    let plan = plan(options, start_ns).take_while(move |(due_ns, _)| *due_ns < end_ns);
    let pacer =
        pacing::start(plan, sender, &canary.skipped).map_err(ground::io("starting the pacer"))?;
    let mut look = tokio::time::interval(LOOK);
    let why = loop {
        tokio::select! {
            taken = due.recv() => match taken {
                // The plan is over, and so is the time.
                None => break Why::Over,
                Some((_, Due::Line)) => progress(Progress::Line(&canary.record.line())),
                Some((due_ns, what)) => canary.send(due_ns, what),
            },
            _ = look.tick() => {
                if options.stop.load(Ordering::Acquire) {
                    break Why::Stopped;
                }
                if options.kill_switch.as_ref().is_some_and(|file| file.exists()) {
                    break Why::KillSwitch;
                }
            }
        }
    };
    drop((due, pacer));
    let until = client::Deadline::after(DRAIN);
    while canary.in_flight.load(Ordering::Acquire) > 0 && until.leaves(LOOK) {
        tokio::time::sleep(LOOK).await;
    }
    Ok(why)
}

/// What is due in a turn of a cadence.
type Turn = Box<dyn Fn(usize) -> Due + Send>;

/// All that is due, in the order of time, without an end.
fn plan(options: &Options, start_ns: u64) -> impl Iterator<Item = (u64, Due)> + Send + use<> {
    let nodes = options.targets.len();
    let per_second = |rate: f64| nanos(Duration::from_secs_f64(1.0 / rate)).max(1);
    let cadence = |period_ns: u64, count: usize| Cadence::new(start_ns, period_ns, count);
    let later = |every: Duration| Cadence::new(start_ns + nanos(every), nanos(every), 1);
    let mut all: Vec<(Cadence, Turn)> = vec![
        (cadence(per_second(options.writes), 1), Box::new(|_| Due::Write)),
        (cadence(per_second(options.reads), nodes), Box::new(|node| Due::Read { node })),
        (
            cadence(nanos(options.heartbeat_every), nodes * REPLICAS),
            Box::new(move |turn| Due::Beat { replica: turn / nodes, node: turn % nodes }),
        ),
        (later(options.line_every), Box::new(|_| Due::Line)),
    ];
    if let Some(every) = options.failover_every {
        all.push((later(every), Box::new(|_| Due::Failover)));
    }
    std::iter::from_fn(move || {
        let (cadence, what) = all.iter_mut().min_by_key(|(cadence, _)| cadence.due_ns())?;
        let (due_ns, turn) = cadence.take(u64::MAX)?;
        Some((due_ns, what(turn)))
    })
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Canary {
    fn send(self: &Arc<Self>, due_ns: u64, what: Due) {
        if self.in_flight.load(Ordering::Acquire) >= IN_FLIGHT_MAX {
            self.skipped.fetch_add(1, Ordering::AcqRel);
            return;
        }
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        let canary = Arc::clone(self);
        tokio::spawn(async move {
            canary.ask(due_ns, what).await;
            canary.in_flight.fetch_sub(1, Ordering::AcqRel);
        });
    }

    async fn ask(&self, due_ns: u64, what: Due) {
        let (kind, node, ending) = match what {
            Due::Write => (Kind::Write, None, self.set.write().await),
            Due::Failover => (Kind::Failover, None, self.set.elect_another().await),
            Due::Read { node } => {
                let (ending, contradiction) = self.set.read(&self.asker, node).await;
                contradiction.into_iter().for_each(|what| self.record.contradiction(what));
                (Kind::Read, Some(node), ending)
            }
            Due::Beat { replica, node } => {
                (Kind::Heartbeat, Some(node), self.set.beat(&self.asker, replica, node).await)
            }
            Due::Line => return,
        };
        let latency_ns = mono_ns().saturating_sub(due_ns);
        let node = node.map_or("leader", |node| self.asker.address(node));
        self.record.ended(kind, node, &ending, latency_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::{Due, Options, plan};
    use std::time::Duration;

    fn options(nodes: usize) -> Options {
        Options::new(vec!["x:1".to_owned(); nodes], "h".to_owned())
    }

    #[test]
    fn the_usual_load_is_what_is_promised_and_in_the_order_of_time() {
        let options = options(3);
        let minute = plan(&options, 0).take_while(|(due_ns, _)| *due_ns < 60_000_000_000);
        let all: Vec<(u64, Due)> = minute.collect();
        assert!(all.is_sorted_by_key(|(due_ns, _)| *due_ns));
        let count = |is: fn(&Due) -> bool| all.iter().filter(|(_, due)| is(due)).count();
        assert_eq!(count(|due| *due == Due::Write), 60);
        assert_eq!(count(|due| matches!(due, Due::Read { .. })), 60 * 10 * 3);
        assert_eq!(count(|due| *due == Due::Read { node: 2 }), 600);
        assert_eq!(count(|due| *due == Due::Beat { replica: 1, node: 0 }), 60);
        assert_eq!(
            count(|due| *due == Due::Line),
            0,
            "the first line is due when a minute is over"
        );
        assert!((options.rate() - 37.0).abs() < 1e-9, "{}", options.rate());
    }

    #[test]
    fn more_than_is_allowed_is_refused_by_name() {
        let refused = |change: fn(&mut Options)| {
            let mut options = options(3);
            change(&mut options);
            options.check().expect_err("it must be refused").to_string()
        };
        let rows = [
            (refused(|it| it.reads = 100.0), "307 requests a second: at most 200 (RATE_MAX)"),
            (refused(|it| it.targets.clear()), "0 controllers: 1 to 16 (CONTROLLERS_MAX)"),
            (refused(|it| it.writes = 0.0), "above 0"),
            (refused(|it| it.reads = f64::NAN), "above 0"),
            (refused(|it| it.heartbeat_every = Duration::from_millis(9)), "100ms or more apart"),
        ];
        for (said, part) in rows {
            assert!(said.contains(part), "{said}");
        }
        assert!(options(3).check().is_ok());
    }
}

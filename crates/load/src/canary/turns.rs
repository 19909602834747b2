//! `canary judge`: a candidate beside a fresh baseline, in turns, and whether it is as good.
//!
//! ```text
//! quad:  A B B A  or  B A A B, by coin      block: reads at an even rate, its first part not counted
//! ```
//!
//! Both have a canary's set of their own, whose heartbeats go on all the time. Each quad gives one log-ratio of each
//! quantile; the statistics are those of `bench compare` ([`measure::statistics::effect`]), with one start of each arm,
//! so what differs between starts is not in the interval: judge again after a restart before anybody is blamed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use measure::Histogram;
use measure::comparison::{Change, Effect};
use measure::histogram::as_f64;
use measure::judged::Better;
use measure::statistics::{self, QUADS_MIN, Random};
use serde::Serialize;
use tokio::sync::mpsc::channel;

use super::asking::Asker;
use super::record::Ending;
use super::set::{OwnSet, REPLICAS, set_name};
use super::{DUE_MAX, LEAD_NS, RATE_MAX, SetError, nanos, pacing};
use crate::clock::mono_ns;
use crate::generator::cadence::Cadence;
use crate::ground::{self, GroundError};

/// Quantiles that are judged, their names, and the difference, as a part of one, that does not matter to a canary.
const QUANTILES: [(f64, &str, f64); 2] = [(0.5, "p50", 0.10), (0.9, "p90", 0.20)];

/// Failures below this number say nothing of a candidate.
const FAILURES_MIN: u64 = 3;

/// Part of the baseline's requests that may fail in a comparison that says something.
const BASELINE_FAILURES_MAX: f64 = 0.01;

/// How late requests may leave: the 99th percentile.
const LAG_P99_MS_MAX: f64 = 5.0;

/// Pause between two heartbeats of each replica.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);

/// Longest wait for what is under way at the end.
const DRAIN: Duration = Duration::from_secs(4);

/// How two groups, or two nodes, are judged.
#[derive(Clone, Debug)]
pub struct Judging {
    /// What is known to be good, started as freshly as the candidate.
    pub baseline: Vec<String>,
    /// What is to be judged.
    pub candidate: Vec<String>,
    /// What distinguishes this canary from others: its host's name.
    pub host: String,
    /// Groups of four blocks.
    pub quads: usize,
    /// Length of a block.
    pub block: Duration,
    /// Load before each block that does not count.
    pub settle: Duration,
    /// Reads a second.
    pub rate: f64,
    /// The order of the turns.
    pub seed: u64,
    /// Set from elsewhere to end it.
    pub stop: Arc<AtomicBool>,
}

/// Why nothing was judged.
#[derive(Debug, thiserror::Error)]
pub enum TurnsError {
    /// What is asked for is not allowed.
    #[error("{0}")]
    Options(String),
    /// A set could not be founded.
    #[error("{arm}: {error}")]
    Set {
        /// Baseline or candidate.
        arm: &'static str,
        /// Why.
        error: SetError,
    },
    /// The system refused something.
    #[error(transparent)]
    Ground(#[from] GroundError),
}

/// What a candidate came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Judgement {
    /// What follows.
    pub verdict: Verdict,
    /// Why, where the figures do not say it.
    pub reasons: Vec<String>,
    /// Quads that were measured.
    pub quads: usize,
    /// One for each quantile.
    pub effects: Vec<Effect>,
    /// Requests and failures of the baseline, and of the candidate.
    pub failures: [(u64, u64); 2],
    /// The first failures, in words.
    pub words: Vec<String>,
}

/// What follows of a comparison.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As good or better.
    Promote,
    /// Worse, or wrong.
    RollBack,
    /// Nobody can tell: leave it as it is and look again.
    #[default]
    Hold,
    /// The baseline or this host was not well: says nothing about the candidate.
    Invalid,
}

impl Judging {
    /// What is wrong with it, and what is allowed.
    ///
    /// # Errors
    /// - [`TurnsError::Options`].
    pub fn check(&self) -> Result<(), TurnsError> {
        let refused = |why: String| Err(TurnsError::Options(why));
        if self.baseline.is_empty() || self.candidate.is_empty() {
            return refused("baseline and candidate have one address or more".to_owned());
        }
        if self.rate <= 0.0 || self.rate > RATE_MAX || !self.rate.is_finite() {
            return refused(format!("{} reads a second: up to {RATE_MAX} (RATE_MAX)", self.rate));
        }
        let samples = self.rate * self.block.as_secs_f64();
        if samples < 100.0 {
            return refused(format!(
                "a block has {samples:.0} reads: 100 at least, by rate or block"
            ));
        }
        if self.quads == 0 {
            return refused("quads: 1 or more, 30 for a verdict".to_owned());
        }
        Ok(())
    }
}

/// One block: its number, and whose it is (0 the baseline, 1 the candidate).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Block {
    number: usize,
    arm: usize,
}

/// What is due: a read, counted in a block or not at all, or heartbeats of both arms.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Due {
    Read { arm: usize, turn: usize, block: Option<usize> },
    Beat { turn: usize },
}

/// One arm.
struct Arm {
    asker: Asker,
    set: OwnSet,
}

/// What blocks saw, by their number.
#[derive(Debug, Default)]
struct Seen {
    blocks: BTreeMap<usize, Histogram>,
    lag: Histogram,
    /// Requests and failures of each arm.
    failures: [(u64, u64); 2],
    contradictions: [u64; 2],
    words: Vec<String>,
}

/// Measures both in turns and blocks until it is over, or until it is told to end.
///
/// # Errors
/// - [`TurnsError`]: what could not be done.
pub fn judge(judging: &Judging) -> Result<Judgement, TurnsError> {
    judging.check()?;
    ground::runtime()?.block_on(async {
        let mut arms = Vec::new();
        for (arm, targets) in [("baseline", &judging.baseline), ("candidate", &judging.candidate)] {
            let asker = Asker::new(targets);
            let name = format!("{}_{arm}", set_name(&judging.host));
            let set = OwnSet::found(&name, targets, &asker).await;
            match set {
                Ok(set) => arms.push(Arm { asker, set }),
                Err(error) => {
                    clean(&arms).await;
                    return Err(TurnsError::Set { arm, error });
                }
            }
        }
        let arms: Arc<[Arm]> = arms.into();
        let seen = measure(judging, &arms).await;
        clean(&arms).await;
        Ok(judged(judging, &blocks(judging), &seen?))
    })
}

async fn clean(arms: &[Arm]) {
    for arm in arms {
        // What stays is removed by the next one.
        drop(arm.set.clean().await);
    }
}

async fn measure(judging: &Judging, arms: &Arc<[Arm]>) -> Result<Seen, TurnsError> {
    let start_ns = mono_ns() + LEAD_NS;
    let (sender, mut due) = channel(DUE_MAX);
    let skipped = Arc::new(AtomicU64::new(0));
    let nodes = arms.iter().map(|arm| arm.asker.count()).sum::<usize>();
    let plan = plan(judging, start_ns, nodes);
    let pacer = pacing::start(plan, sender, &skipped).map_err(ground::io("starting the pacer"))?;
    let seen = Arc::new(Mutex::new(Seen::default()));
    while let Some((due_ns, what)) = due.recv().await {
        if judging.stop.load(Ordering::Acquire) {
            break;
        }
        let (arms, seen) = (Arc::clone(arms), Arc::clone(&seen));
        tokio::spawn(async move { ask(&arms, &seen, due_ns, what).await });
    }
    drop((due, pacer));
    let until = client::Deadline::after(DRAIN);
    while Arc::strong_count(&seen) > 1 && until.leaves(Duration::from_millis(20)) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
    let skipped = skipped.load(Ordering::Acquire);
    if skipped > 0 {
        seen.words.push(format!("{skipped} requests were not sent: too many waited"));
        seen.lag.record_n(nanos(DRAIN), skipped);
    }
    Ok(seen)
}

async fn ask(arms: &[Arm], seen: &Mutex<Seen>, due_ns: u64, what: Due) {
    let sent_ns = mono_ns();
    match what {
        Due::Beat { turn } => {
            let (mut node, replica) = (turn / REPLICAS, turn % REPLICAS);
            for arm in arms {
                if node < arm.asker.count() {
                    arm.set.beat(&arm.asker, replica, node).await;
                    return;
                }
                node -= arm.asker.count();
            }
        }
        Due::Read { arm, turn, block } => {
            let Arm { asker, set } = &arms[arm];
            let (ending, contradiction) = set.read(asker, turn % asker.count()).await;
            let latency_ns = mono_ns().saturating_sub(due_ns);
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.read((arm, block), &ending, (latency_ns, sent_ns.saturating_sub(due_ns)));
            seen.contradictions[arm] += u64::from(contradiction.is_some());
            seen.words.extend(contradiction);
        }
    }
}

impl Seen {
    fn read(&mut self, (arm, block): (usize, Option<usize>), ending: &Ending, times: (u64, u64)) {
        let (latency_ns, lag_ns) = times;
        let Some(block) = block else { return };
        self.lag.record(lag_ns);
        self.blocks.entry(block).or_default().record(latency_ns);
        let (asked, failed) = &mut self.failures[arm];
        *asked += 1;
        if !ending.is_good() {
            *failed += 1;
            if self.words.len() < 10 {
                self.words.push(format!("{}: {ending:?}", ["baseline", "candidate"][arm]));
            }
        }
    }
}

/// The blocks in their order.
fn blocks(judging: &Judging) -> Vec<Block> {
    let mut random = Random::new(judging.seed, 0);
    let quads =
        (0..judging.quads).flat_map(|_| if random.coin() { [0, 1, 1, 0] } else { [1, 0, 0, 1] });
    quads.enumerate().map(|(number, arm)| Block { number, arm }).collect()
}

/// All that is due, in the order of time.
fn plan(
    judging: &Judging,
    start_ns: u64,
    nodes: usize,
) -> impl Iterator<Item = (u64, Due)> + Send + use<> {
    let (settle_ns, block_ns) = (nanos(judging.settle), nanos(judging.block));
    let gap_ns = nanos(Duration::from_secs_f64(1.0 / judging.rate)).max(1);
    let reads = blocks(judging).into_iter().flat_map(move |Block { number, arm }| {
        let position = u64::try_from(number).unwrap_or(u64::MAX);
        let from_ns = start_ns + position * (settle_ns + block_ns);
        let count = (settle_ns + block_ns) / gap_ns;
        (0..count).map(move |turn| {
            let since_ns = turn * gap_ns;
            let block = (since_ns >= settle_ns).then_some(number);
            let turn = usize::try_from(turn).unwrap_or_default();
            (from_ns + since_ns, Due::Read { arm, turn, block })
        })
    });
    let mut reads = reads.peekable();
    let mut beats = Cadence::new(start_ns, nanos(HEARTBEAT_EVERY), nodes * REPLICAS);
    std::iter::from_fn(move || {
        let (read_ns, _) = *reads.peek()?;
        match beats.take(read_ns) {
            Some((due_ns, turn)) => Some((due_ns, Due::Beat { turn })),
            None => reads.next(),
        }
    })
}

/// What all blocks come to.
fn judged(judging: &Judging, blocks: &[Block], seen: &Seen) -> Judgement {
    let whole: Vec<&[Block]> = blocks
        .chunks(4)
        .filter(|quad| quad.iter().all(|block| seen.blocks.contains_key(&block.number)))
        .collect();
    let effects: Vec<Effect> = QUANTILES
        .iter()
        .filter_map(|quantile| effect(quantile, &whole, seen, judging.seed))
        .collect();
    let mut reasons = Vec::new();
    let [(asked, failed), (_, worse)] = seen.failures;
    let lag_ms = seen.lag.quantile_ms(0.99);
    if lag_ms > LAG_P99_MS_MAX {
        reasons.push(format!("requests left late: p99 {lag_ms:.1} ms, limit {LAG_P99_MS_MAX}"));
    }
    if as_f64(failed) > as_f64(asked) * BASELINE_FAILURES_MAX {
        reasons.push(format!("{failed} of {asked} reads of the baseline failed"));
    }
    if whole.len() < QUADS_MIN {
        reasons.push(format!(
            "{} quads: {QUADS_MIN} at least carry a verdict (QUADS_MIN)",
            whole.len()
        ));
    }
    let is_worse = worse >= FAILURES_MIN && worse > 2 * failed;
    let is_wrong = seen.contradictions[1] > 0;
    let is_slower = effects.iter().any(|effect| effect.verdict == Change::Slower);
    let is_open = effects.len() < QUANTILES.len()
        || effects.iter().any(|effect| effect.verdict == Change::Inconclusive);
    let verdict = match () {
        () if is_wrong => {
            reasons.push("the candidate knew less than was acknowledged".to_owned());
            Verdict::RollBack
        }
        () if is_worse && as_f64(failed) <= as_f64(asked) * BASELINE_FAILURES_MAX => {
            reasons
                .push(format!("{worse} reads of the candidate failed, {failed} of the baseline"));
            Verdict::RollBack
        }
        () if !reasons.is_empty() => Verdict::Invalid,
        () if is_slower => Verdict::RollBack,
        () if is_open => Verdict::Hold,
        () => Verdict::Promote,
    };
    let words = seen.words.clone();
    Judgement { verdict, reasons, quads: whole.len(), effects, failures: seen.failures, words }
}

fn effect(
    (q, name, margin): &(f64, &str, f64),
    quads: &[&[Block]],
    seen: &Seen,
    seed: u64,
) -> Option<Effect> {
    let log = |block: &Block| as_f64(seen.blocks[&block.number].quantile_ns(*q).max(1)).ln();
    let ratio = |quad: &&[Block]| {
        let signed = quad.iter().map(|it| if it.arm == 1 { log(it) } else { -log(it) });
        signed.sum::<f64>() / 2.0
    };
    let options = statistics::Options { seed, ..statistics::Options::default() };
    let estimate = statistics::effect(&[quads.iter().map(ratio).collect()], &options)?;
    let middle = |arm: usize| {
        let of_arm = quads.iter().flat_map(|quad| quad.iter()).filter(|block| block.arm == arm);
        let mut all: Vec<f64> = of_arm.map(|block| log(block).exp() / 1e3).collect();
        statistics::median(&mut all)
    };
    let interval = (estimate.low, estimate.high);
    Some(Effect {
        op: "get_replica_info".to_owned(),
        metric: (*name).to_owned(),
        unit: "us".to_owned(),
        better: Better::Lower,
        a: middle(0),
        b: middle(1),
        ratio: estimate.ratio,
        low: Some(estimate.low),
        high: Some(estimate.high),
        margin: *margin,
        reported_only: false,
        detectable: Some(estimate.detectable),
        verdict: Change::of(estimate.ratio, interval, *margin, Better::Lower),
    })
}

#[cfg(test)]
mod tests {
    use super::{Due, Ending, Judging, Seen, Verdict, blocks, judged, plan};
    use measure::statistics::Random;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    fn judging() -> Judging {
        Judging {
            baseline: vec!["a:1".to_owned()],
            candidate: vec!["b:1".to_owned()],
            host: "h".to_owned(),
            quads: 30,
            block: Duration::from_secs(2),
            settle: Duration::from_secs(1),
            rate: 100.0,
            seed: 7,
            stop: Arc::new(AtomicBool::new(false)),
        }
    }

    /// What two arms look like that answer so fast, with this many failures of the candidate.
    fn seen(baseline_us: f64, candidate_us: f64, failures: usize) -> Seen {
        let (mut seen, mut random) = (Seen::default(), Random::new(3, 1));
        for block in blocks(&judging()) {
            let middle = [baseline_us, candidate_us][block.arm];
            for _ in 0..200 {
                let nanos = measure::histogram::whole(middle * 1e3 * (0.7 + 0.6 * random.unit()));
                seen.read((block.arm, Some(block.number)), &Ending::Good, (nanos, 50_000));
            }
        }
        for _ in 0..failures {
            seen.read((1, Some(0)), &Ending::TimedOut, (1, 50_000));
        }
        seen
    }

    #[test]
    fn as_good_is_promoted_slower_or_failing_is_rolled_back() {
        let verdict = |seen: &Seen| judged(&judging(), &blocks(&judging()), seen).verdict;
        assert_eq!(verdict(&seen(300.0, 300.0, 0)), Verdict::Promote);
        assert_eq!(verdict(&seen(300.0, 200.0, 0)), Verdict::Promote);
        assert_eq!(verdict(&seen(300.0, 400.0, 0)), Verdict::RollBack);
        assert_eq!(verdict(&seen(300.0, 300.0, 2)), Verdict::Promote, "two say nothing");
        assert_eq!(verdict(&seen(300.0, 300.0, 5)), Verdict::RollBack);
        let mut wrong = seen(300.0, 300.0, 0);
        wrong.contradictions[1] = 1;
        assert_eq!(verdict(&wrong), Verdict::RollBack);
    }

    #[test]
    fn what_is_not_well_or_too_short_says_nothing() {
        let judge = |seen: &Seen| judged(&judging(), &blocks(&judging()), seen);
        let mut broken = seen(300.0, 300.0, 0);
        broken.failures[0].1 = 400;
        assert_eq!(judge(&broken).verdict, Verdict::Invalid);
        let mut late = seen(300.0, 300.0, 0);
        late.lag.record_n(9_000_000, 10_000);
        assert!(judge(&late).reasons[0].contains("left late"), "{:?}", judge(&late).reasons);
        let mut short = seen(300.0, 300.0, 0);
        short.blocks.retain(|number, _| *number < 40);
        assert_eq!((judge(&short).verdict, judge(&short).quads), (Verdict::Invalid, 10));
    }

    #[test]
    fn turns_are_fair_and_heartbeats_go_on() {
        let judging = judging();
        let all: Vec<(u64, Due)> = plan(&judging, 0, 2).collect();
        assert!(all.is_sorted_by_key(|(due_ns, _)| *due_ns));
        let counted = |of: usize| {
            let is_his = |(_, due): &&(u64, Due)| matches!(due, Due::Read { arm, block: Some(_), .. } if *arm == of);
            all.iter().filter(is_his).count()
        };
        assert_eq!((counted(0), counted(1)), (30 * 2 * 200, 30 * 2 * 200));
        let beats = all.iter().filter(|(_, due)| matches!(due, Due::Beat { .. })).count();
        assert!(beats.abs_diff(360 * 4) < 8, "four replicas and nodes once a second: {beats}");
        let refused = Judging { rate: 10.0, ..judging };
        assert!(refused.check().unwrap_err().to_string().contains("a block has 20 reads"));
    }
}

//! When the requests of one source are due: moments fixed beforehand, whatever is answered.
//!
//! ```text
//! constant   │ │ │ │ │ │      poisson  ││  │   │ │      burst  ││││    ││││      sine  │ │││││ │  │ │││││
//! ```
//!
//! A due moment is computed from the one before and from the seed, never from a completion or from
//! when something was sent: what is late stays late by as much as it is, and the next one is due when
//! it was always due. Phases multiply the rate from fixed moments on.

use measure::statistics::Random;

use super::cadence::Cadence;
use crate::workload::{Arrival, Key};

const SECOND_NS: f64 = 1e9;

/// Seconds; a swing that is shorter counts as this long.
const MIN_PERIOD: f64 = 0.001;

/// A gap that is never shorter than a nanosecond, so that time goes on.
const GAP_NS_MIN: f64 = 1.0;

/// The due moments of one source.
#[derive(Clone, Debug)]
pub(crate) enum Schedule {
    /// Everybody once in each period.
    Periodic(Cadence),
    /// A stream at a rate.
    Stream(Box<Arrivals>),
    /// A stream that is replayed: its moments, and which is the next.
    Trace(Vec<u64>, usize),
}

impl Schedule {
    /// When the next request is due.
    pub(crate) fn due_ns(&self) -> u64 {
        match self {
            Self::Periodic(cadence) => cadence.due_ns(),
            Self::Stream(arrivals) => arrivals.due_ns(),
            Self::Trace(moments, next) => moments.get(*next).copied().unwrap_or(u64::MAX),
        }
    }

    /// The next request if it is due: when it was due, and for a periodic source whose turn it is.
    pub(crate) fn take(&mut self, now_ns: u64) -> Option<(u64, usize)> {
        match self {
            Self::Periodic(cadence) => cadence.take(now_ns),
            Self::Stream(arrivals) => arrivals.take(now_ns).map(|due_ns| (due_ns, 0)),
            Self::Trace(moments, next) => {
                let due_ns = moments.get(*next).copied().filter(|due_ns| *due_ns <= now_ns)?;
                *next += 1;
                Some((due_ns, 0))
            }
        }
    }
}

/// A stream of arrivals.
#[derive(Clone, Debug)]
pub(crate) struct Arrivals {
    start_ns: u64,
    /// Of the next one, in nanoseconds from the start. A float holds a week to a tenth of one.
    at_ns: f64,
    arrival: Arrival,
    per_ns: f64,
    /// From when on (nanoseconds from the start) the rate is multiplied, in rising order.
    phases: Vec<(f64, f64)>,
    random: Random,
    /// Of a burst, how many are still due at this moment.
    left: u32,
}

impl Arrivals {
    /// `per_second` requests from `start_ns` on; `phases` are factors from moments on, in nanoseconds
    /// from the start, rising.
    pub(crate) fn new(
        start_ns: u64,
        arrival: Arrival,
        per_second: f64,
        phases: Vec<(f64, f64)>,
        random: Random,
    ) -> Self {
        let per_ns = per_second / SECOND_NS;
        let mut arrivals = Self { start_ns, at_ns: 0.0, arrival, per_ns, phases, random, left: 0 };
        if let Arrival::Burst { size } = arrival {
            arrivals.left = size;
        }
        arrivals.skip_silence();
        arrivals
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "moments of a run, positive; one beyond the end of time never comes"
    )]
    fn due_ns(&self) -> u64 {
        self.start_ns.saturating_add(self.at_ns as u64)
    }

    fn take(&mut self, now_ns: u64) -> Option<u64> {
        let due_ns = self.due_ns();
        if due_ns > now_ns {
            return None;
        }
        self.advance();
        Some(due_ns)
    }

    fn advance(&mut self) {
        if self.left > 1 {
            self.left -= 1;
            return;
        }
        let rate = self.per_ns * self.scale_at(self.at_ns);
        let gap = match self.arrival {
            Arrival::Constant => 1.0 / rate,
            // The gaps of independent arrivals; 1 - u is never 0.
            Arrival::Poisson => -(1.0 - self.random.unit()).ln() / rate,
            Arrival::Burst { size } => {
                self.left = size;
                f64::from(size) / rate
            }
            Arrival::Sine { amplitude, period } => {
                let turns = self.at_ns / (period.0.as_secs_f64().max(MIN_PERIOD) * SECOND_NS);
                let swing =
                    1.0 + amplitude.clamp(0.0, 0.999) * (turns * std::f64::consts::TAU).sin();
                1.0 / (rate * swing)
            }
        };
        self.at_ns += gap.max(GAP_NS_MIN);
        self.skip_silence();
    }

    fn scale_at(&self, at_ns: f64) -> f64 {
        let begun = self.phases.iter().take_while(|(from, _)| *from <= at_ns);
        begun.last().map_or(1.0, |(_, scale)| *scale)
    }

    /// A phase of scale 0 is passed over as a whole.
    fn skip_silence(&mut self) {
        while self.scale_at(self.at_ns) <= 0.0 {
            let next = self.phases.iter().find(|(from, _)| *from > self.at_ns);
            self.at_ns = next.map_or(f64::INFINITY, |(from, _)| *from);
            if self.at_ns.is_infinite() {
                return;
            }
        }
    }
}

/// Chooses about what a stream asks.
#[derive(Clone, Debug)]
pub(crate) struct Chooser {
    count: usize,
    /// Of a Zipf distribution, the part of all requests that ask about one up to this.
    cumulated: Vec<f64>,
    random: Random,
}

impl Chooser {
    /// One of `count`.
    #[expect(clippy::cast_precision_loss, reason = "keys are far fewer than 2^53")]
    pub(crate) fn new(key: Key, count: usize, random: Random) -> Self {
        let mut cumulated = Vec::new();
        if let Key::Zipf(exponent) = key {
            let mut sum = 0.0;
            cumulated.extend((1..=count).map(|rank| {
                sum += (rank as f64).powf(-exponent);
                sum
            }));
            cumulated.iter_mut().for_each(|part| *part /= sum);
        }
        Self { count, cumulated, random }
    }

    /// The next one, from 0.
    pub(crate) fn choose(&mut self) -> usize {
        if self.cumulated.is_empty() {
            return self.random.below(self.count);
        }
        let at = self.random.unit();
        self.cumulated.partition_point(|part| *part <= at).min(self.count.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrivals, Chooser, Schedule};
    use crate::workload::{Arrival, Key, Span};
    use measure::statistics::Random;
    use std::time::Duration;

    const SECOND: u64 = 1_000_000_000;

    fn moments(arrival: Arrival, rate: f64, phases: Vec<(f64, f64)>, seconds: u64) -> Vec<u64> {
        let mut arrivals = Arrivals::new(0, arrival, rate, phases, Random::new(7, 0));
        std::iter::from_fn(|| arrivals.take(seconds * SECOND - 1)).collect()
    }

    #[test]
    fn constant_arrivals_are_even_and_do_not_drift() {
        let all = moments(Arrival::Constant, 3.0, Vec::new(), 1_000);
        assert_eq!(all.len(), 3_000);
        let last = all[2_997];
        assert!(last.abs_diff(999 * SECOND) < 10, "{last}");
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_its_variance_and_repeat_with_the_seed() {
        let all = moments(Arrival::Poisson, 1_000.0, Vec::new(), 100);
        assert_eq!(all, moments(Arrival::Poisson, 1_000.0, Vec::new(), 100));
        let mut per_second = [0_i64; 100];
        for at in &all {
            per_second[usize::try_from(at / SECOND).unwrap()] += 1;
        }
        let deviations = per_second.iter().map(|count| (count - 1_000).pow(2)).sum::<i64>() / 100;
        assert!((99_000..101_000).contains(&all.len()), "{}", all.len());
        assert!((600..1_600).contains(&deviations), "variance of the mean: {deviations}");
    }

    #[test]
    fn bursts_come_together_and_sines_swing() {
        let all = moments(Arrival::Burst { size: 10 }, 100.0, Vec::new(), 1);
        assert_eq!(all.len(), 100);
        assert!(all.chunks(10).all(|burst| burst.iter().all(|at| at == &burst[0])));
        let sine = Arrival::Sine { amplitude: 0.9, period: Span(Duration::from_secs(10)) };
        let all = moments(sine, 1_000.0, Vec::new(), 10);
        let early = all.iter().filter(|at| **at < 5 * SECOND).count();
        assert!(early > 2 * (all.len() - early), "{early} of {}", all.len());
        let mean = all.len();
        assert!((9_800..10_200).contains(&mean), "the rate is kept on average: {mean}");
    }

    #[test]
    fn phases_multiply_the_rate_and_nought_is_silence() {
        let second = 1e9;
        let phases = vec![(0.0, 1.0), (second, 3.0), (2.0 * second, 0.0), (3.0 * second, 0.5)];
        let all = moments(Arrival::Constant, 100.0, phases, 4);
        let within = |second: u64| all.iter().filter(|at| *at / SECOND == second).count();
        let counts: Vec<_> = (0..4).map(within).collect();
        assert!(counts[0].abs_diff(100) < 2 && counts[1].abs_diff(300) < 2, "{counts:?}");
        assert!(counts[2] < 2 && counts[3].abs_diff(50) < 2, "{counts:?}");
    }

    #[test]
    fn a_trace_is_replayed_and_then_over() {
        let mut trace = Schedule::Trace(vec![5, 5, 9], 0);
        assert_eq!((trace.take(4), trace.due_ns()), (None, 5));
        let taken: Vec<_> = std::iter::from_fn(|| trace.take(100)).map(|it| it.0).collect();
        assert_eq!((taken, trace.due_ns()), (vec![5, 5, 9], u64::MAX));
    }

    #[test]
    fn zipf_prefers_the_first_and_uniform_nobody() {
        let count = |key| {
            let mut chooser = Chooser::new(key, 100, Random::new(1, 2));
            let mut counts = vec![0_u32; 100];
            (0..100_000).for_each(|_| counts[chooser.choose()] += 1);
            counts
        };
        let zipf = count(Key::Zipf(1.0));
        // 1 / (1 + 1/2 + … + 1/100) of all.
        assert!((18_500..20_000).contains(&zipf[0]), "{}", zipf[0]);
        assert!(zipf[0].abs_diff(2 * zipf[1]) < 1_000 && zipf[99] > 0);
        assert!(count(Key::Uniform).iter().all(|count| count.abs_diff(1_000) < 200));
    }
}

//! What a run found: goals, distributions, and what must be known to believe them.

use std::fmt;

use serde::Serialize;

use super::Verdict;
use crate::generator::plan;
use measure::Histogram;

/// Points of the distribution that JSON holds.
const CDF_POINTS: u32 = 200;

/// A quantile with fewer samples beyond it is marked.
const SUPPORT_MIN: f64 = 10.0;

/// Most that the 99th percentile of the generator's own lateness may be, in milliseconds.
const LAG_P99_MS_MAX: f64 = 1.0;

/// Something that must be reached.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Goal {
    /// What.
    pub what: String,
    /// The most it may be.
    pub limit: f64,
    /// What it was.
    pub reached: f64,
    /// Of both.
    pub unit: &'static str,
}

impl Goal {
    pub(super) fn at_most(
        what: impl Into<String>,
        limit: f64,
        reached: f64,
        unit: &'static str,
    ) -> Self {
        Self { what: what.into(), limit, reached, unit }
    }

    /// Whether it was reached.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.reached <= self.limit
    }
}

/// How long something took, over all who waited for it. All times in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Distribution {
    /// What.
    pub what: String,
    /// How many.
    pub samples: u64,
    /// Half took at most this.
    pub p50_ms: f64,
    /// 90 % took at most this.
    pub p90_ms: f64,
    /// 99 % took at most this.
    pub p99_ms: f64,
    /// 99.9 % took at most this.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// Parts of all (0 to 1) and the times within which they were done.
    pub cdf: Vec<(f64, f64)>,
}

impl Distribution {
    pub(super) fn of(what: impl Into<String>, times: &Histogram) -> Self {
        let point = |step: u32| {
            let part = f64::from(step) / f64::from(CDF_POINTS);
            (part, times.quantile_ms(part))
        };
        Self {
            what: what.into(),
            samples: times.count(),
            p50_ms: times.quantile_ms(0.5),
            p90_ms: times.quantile_ms(0.9),
            p99_ms: times.quantile_ms(0.99),
            p999_ms: times.quantile_ms(0.999),
            max_ms: times.max_ms(),
            cdf: (1..=CDF_POINTS).map(point).collect(),
        }
    }
}

/// Whether the load was what it was said to be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Generator {
    /// Requests that were due while it was measured.
    pub offered: u64,
    /// Of these, not sent since too many waited for an answer.
    pub skipped: u64,
    /// How late it sent them: the 99th percentile.
    pub lag_p99_ms: f64,
    /// How late it sent them at worst.
    pub lag_max_ms: f64,
    /// Processors that it kept busy itself.
    pub cores: Option<f64>,
    /// Processors that neither it nor the controllers kept busy, but somebody did.
    pub other_cores: Option<f64>,
}

impl Generator {
    pub(super) fn of(report: &plan::Report) -> Self {
        let all = report.tally().all();
        Self {
            offered: all.offered,
            skipped: all.skipped,
            lag_p99_ms: all.lag.quantile_ms(0.99),
            lag_max_ms: all.lag.max_ms(),
            cores: None,
            other_cores: None,
        }
    }

    /// Whether it did not keep its own plan.
    #[must_use]
    pub fn was_bottleneck(&self) -> bool {
        self.skipped > 0 || self.lag_p99_ms > LAG_P99_MS_MAX
    }
}

/// Everything that one run found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Which arm, and how large.
    pub headline: String,
    /// What was to be reached.
    pub goals: Vec<Goal>,
    /// What was wrong; empty if all answers and notices were right.
    pub violations: Vec<String>,
    /// Times.
    pub distributions: Vec<Distribution>,
    /// Other figures, each with its unit.
    pub figures: Vec<(String, f64, &'static str)>,
    /// Whether the load was what it was said to be.
    pub generator: Generator,
}

impl Report {
    /// The report as indented JSON.
    ///
    /// # Panics
    /// Never: all keys are strings and no value refuses to be written.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report holds numbers and strings only")
    }

    /// Whether the goals were reached. Since lateness of the generator is part of every latency, a
    /// goal that was reached is reached all the same; one that was missed says nothing then.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let is_missed = self.goals.iter().any(|goal| !goal.is_met());
        match (self.violations.is_empty(), is_missed) {
            (false, _) => Verdict::Failed,
            (true, false) if self.generator.skipped == 0 => Verdict::Passed,
            (true, true) if !self.generator.was_bottleneck() => Verdict::Failed,
            (true, true | false) => Verdict::Invalid,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.headline)?;
        writeln!(
            f,
            "{:<44}{:>9}{:>10}{:>10}{:>10}{:>11}{:>10}",
            "time", "samples", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms"
        )?;
        for it in &self.distributions {
            let marked = |quantile: f64, value: f64| {
                let mark = if is_supported(it.samples, quantile) { ' ' } else { '*' };
                format!("{value:.2}{mark}")
            };
            writeln!(
                f,
                "{:<44}{:>9}{:>10}{:>10}{:>10}{:>11}{:>10}",
                it.what,
                it.samples,
                marked(0.5, it.p50_ms),
                marked(0.9, it.p90_ms),
                marked(0.99, it.p99_ms),
                marked(0.999, it.p999_ms),
                format!("{:.2} ", it.max_ms),
            )?;
        }
        writeln!(f, "* fewer than ten samples beyond it\n")?;
        for (what, value, unit) in &self.figures {
            writeln!(f, "{what:<60}{value:>14.2} {unit}")?;
        }
        let Generator { offered, skipped, lag_p99_ms, lag_max_ms, cores: own, other_cores } =
            &self.generator;
        let cores =
            |cores: &Option<f64>| cores.map_or("-".to_owned(), |cores| format!("{cores:.2}"));
        writeln!(
            f,
            "\ngenerator: {offered} requests due, {skipped} skipped, sent late by {lag_p99_ms:.2} ms \
             (p99), {lag_max_ms:.2} ms (max); it kept {} cores busy, others {}",
            cores(own),
            cores(other_cores),
        )?;
        if self.generator.was_bottleneck() {
            writeln!(
                f,
                "The generator was late itself (more than {LAG_P99_MS_MAX} ms): it, or the machine, \
                 was the bottleneck, and all times hold its lateness."
            )?;
        }
        writeln!(f)?;
        for goal in &self.goals {
            let mark = if goal.is_met() { "reached" } else { "MISSED " };
            let Goal { what, limit, reached, unit } = goal;
            writeln!(f, "{mark}  {what}: {reached:.2} {unit}, at most {limit} {unit}")?;
        }
        for violation in &self.violations {
            writeln!(f, "WRONG    {violation}")?;
        }
        match self.verdict() {
            Verdict::Passed => write!(f, "passed"),
            Verdict::Failed => write!(f, "failed"),
            Verdict::Invalid => write!(f, "invalid: says nothing about the controllers"),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
fn is_supported(samples: u64, quantile: f64) -> bool {
    // 100 samples have ten beyond their 90th percentile, whatever a float makes of 1 - 0.9.
    (samples as f64 * (1.0 - quantile)).round() >= SUPPORT_MIN
}

#[cfg(test)]
mod tests {
    use super::{Distribution, Generator, Goal, Report};
    use crate::failover::Verdict;
    use crate::generator::measures::Kind;
    use crate::generator::plan;
    use measure::Histogram;

    fn report(reached: f64, lag_ns: u64, violations: &[&str]) -> Report {
        let mut times = Histogram::default();
        (1..=100).for_each(|ms| times.record(ms * 1_000_000));
        let mut seen = plan::Report::default();
        let measures =
            seen.windows.entry(0).or_default().0.entry(Kind::GetReplicaInfo).or_default();
        (0..100).for_each(|_| measures.sent(0, lag_ns));
        Report {
            headline: "h".to_owned(),
            goals: vec![Goal::at_most("told", 400.0, reached, "ms")],
            violations: violations.iter().map(|text| (*text).to_owned()).collect(),
            distributions: vec![Distribution::of("told", &times)],
            figures: vec![("expired".to_owned(), 0.0, "brokers")],
            generator: Generator::of(&seen),
        }
    }

    #[test]
    fn a_late_generator_excuses_a_missed_goal_and_nothing_else() {
        let rows = [
            (399.0, 10, &[][..], Verdict::Passed),
            (399.0, 9_000_000, &[], Verdict::Passed),
            (401.0, 10, &[], Verdict::Failed),
            (401.0, 9_000_000, &[], Verdict::Invalid),
            (399.0, 9_000_000, &["two masters"], Verdict::Failed),
        ];
        for (reached, lag_ns, violations, expected) in rows {
            let report = report(reached, lag_ns, violations);
            assert_eq!(report.verdict(), expected, "{report}");
        }
        let mut skipping = report(399.0, 10, &[]);
        skipping.generator.skipped = 1;
        assert_eq!(skipping.verdict(), Verdict::Invalid, "less was offered than promised");
    }

    #[test]
    fn the_table_marks_what_it_cannot_know() {
        let table = report(401.0, 9_000_000, &["two masters"]).to_string();
        for part in
            ["90.05 ", "99.02*", "MISSED   told: 401.00 ms", "WRONG    two masters", "late itself"]
        {
            assert!(table.contains(part), "{part} in\n{table}");
        }
        let json: serde_json::Value =
            serde_json::from_str(&report(1.0, 10, &[]).to_json()).unwrap();
        assert_eq!(json["distributions"][0]["samples"], 100);
        assert_eq!(json["goals"][0]["unit"], "ms");
    }
}

//! All measured windows added up, and the question whether the run is valid.

use std::collections::BTreeMap;

use measure::folder::{Correctness, Cost, Operation, Run, Window, WindowOperation};
use measure::histogram::{as_f64, micros};

use super::watch::{Sample, Watched};
use crate::generator::measures::{Kind, Measures, Tally};
use crate::generator::plan;
use crate::workload::Workload;

/// What the measured windows hold together.
#[derive(Debug, Default)]
pub(super) struct Totals {
    tally: Tally,
    windows: u64,
}

impl Totals {
    pub(super) fn add(&mut self, tally: &Tally) {
        self.tally.add(tally);
        self.windows += 1;
    }

    /// How long all windows of this length were together.
    pub(super) fn measured(&self, window_ns: u64) -> std::time::Duration {
        std::time::Duration::from_nanos(self.windows.saturating_mul(window_ns))
    }

    /// Writes everything into the run that is known at its end.
    pub(super) fn finish(
        &self,
        run: &mut Run,
        workload: &Workload,
        watched: &Watched,
        seen: &plan::Report,
    ) {
        run.operations = self.tally.0.iter().map(|(kind, it)| operation(*kind, it)).collect();
        run.servers = watched.servers.clone();
        run.cost = cost(watched, &run.operations);
        run.correctness = Correctness {
            checked: workload.fleet.is_some(),
            violations: seen.violations,
            details: seen.contradictions.clone(),
            wrongly_dead: watched.deaths.map(|deaths| deaths.saturating_sub(died(run, seen))),
            lost_writes: None,
        };
        self.judge(run, workload, watched);
    }

    /// What is beyond its limit makes the run invalid, with value and limit.
    fn judge(&self, run: &mut Run, workload: &Workload, watched: &Watched) {
        let limits = &workload.limits;
        // The run's own time: an early end that was allowed has shortened it.
        let expected = run.time.measure_ms / run.time.window_ms.max(1);
        let validity = &mut run.validity;
        let all = self.tally.all();
        validity.send_lag_p99_us = micros(all.lag.quantile_ns(0.99));
        validity.skipped = all.skipped;
        validity.generator_cpu = watched.generator_cpu;
        validity.psi_cpu_some_pct = watched.psi_cpu_some_pct;
        validity.clock_step_us = watched.clock_step_us;
        validity.others_cores = watched.others_cores;
        let lag_limit_us = micros(limits.send_lag_p99.nanos());
        let step_limit_us = i64::try_from(limits.clock_step.nanos() / 1_000).unwrap_or(i64::MAX);
        let mut reasons = Vec::new();
        let mut unless = |is_right: bool, why: String| {
            if !is_right {
                reasons.push(why);
            }
        };
        let lag_us = validity.send_lag_p99_us;
        unless(
            lag_us <= lag_limit_us,
            format!("the generator was late: send lag p99 {lag_us:.0} us, limit {lag_limit_us:.0}"),
        );
        let (skipped, limit) = (all.skipped, limits.skipped_arrivals);
        unless(
            skipped <= limit,
            format!("{skipped} arrivals were not sent, limit {limit}: too many waited for answers"),
        );
        let (cpu, limit) = (watched.generator_cpu.unwrap_or_default(), limits.generator_cpu);
        unless(
            cpu <= limit,
            format!("the generator's busiest thread used {cpu:.2} of a core, limit {limit:.2}"),
        );
        let (psi, limit) = (watched.psi_cpu_some_pct.unwrap_or_default(), limits.psi_cpu_some.0);
        unless(
            psi <= limit,
            format!("somebody waited for a processor {psi:.1} % of the time, limit {limit:.1} %"),
        );
        let step_us = watched.clock_step_us.unwrap_or_default();
        unless(
            step_us.abs() <= step_limit_us,
            format!("civil time moved by {step_us} us, limit {step_limit_us}"),
        );
        let windows = self.windows;
        unless(windows >= expected, format!("{windows} windows of {expected} were measured"));
        validity.valid = reasons.is_empty();
        validity.reasons = reasons;
    }
}

/// Deaths that controllers may count: each of them every broker that was killed.
fn died(run: &Run, seen: &plan::Report) -> u64 {
    let nodes = run.target.controllers.len().max(1);
    u64::try_from(seen.closings.len() * nodes).unwrap_or(u64::MAX)
}

/// A window as its line.
pub(super) fn window(at_ms: i64, tally: &Tally, sample: Sample) -> Window {
    let operation = |(kind, it): (&Kind, &Measures)| WindowOperation {
        op: kind.name().to_owned(),
        offered: it.offered,
        ok: succeeded(*kind, it),
        errors: it.errors(),
        timeouts: it.timed_out,
        skipped: it.skipped,
        abandoned: it.abandoned,
        latency: it.latency.encode(),
        lag: it.lag.encode(),
    };
    let ops = tally.0.iter().map(operation).collect();
    Window { at_ms, ops, servers: sample.servers, host: sample.host }
}

fn operation(kind: Kind, it: &Measures) -> Operation {
    let mut errors: BTreeMap<String, u64> =
        it.refused.iter().map(|(code, count)| (code.to_string(), *count)).collect();
    if it.lost > 0 {
        errors.insert("lost".to_owned(), it.lost);
    }
    Operation {
        op: kind.name().to_owned(),
        offered: it.offered,
        ok: succeeded(kind, it),
        errors,
        timeouts: it.timed_out,
        skipped: it.skipped,
        abandoned: it.abandoned,
        latency_us: it.latency.quantiles(),
        service_us: it.service.quantiles(),
        lag_us: it.lag.quantiles(),
    }
}

/// Nobody answers a one-way heartbeat, so one that was sent is all that can be said.
pub(crate) fn succeeded(kind: Kind, it: &Measures) -> u64 {
    match kind {
        Kind::OneWayHeartbeat => it.offered.saturating_sub(it.lost + it.skipped),
        _ => it.ok,
    }
}

/// What all servers used for each request that succeeded, heartbeats included.
fn cost(watched: &Watched, operations: &[Operation]) -> Cost {
    let servers = &watched.servers;
    let succeeded: u64 = operations.iter().map(|operation| operation.ok).sum();
    let per_operation = |all: Option<u64>| {
        all.filter(|_| succeeded > 0 && !servers.is_empty())
            .map(|all| as_f64(all) / as_f64(succeeded))
    };
    Cost {
        cpu_us_per_op: per_operation(servers.iter().map(|server| server.cpu_us).sum()),
        disk_bytes_per_op: per_operation(watched.disk_written_bytes),
        syncs_per_op: per_operation(servers.iter().map(|server| server.syncs).sum()),
    }
}

#[cfg(test)]
mod tests {
    use measure::folder::{Run, Time};

    use super::{Totals, Watched};
    use crate::generator::measures::{Ending, Kind, Moments, Tally};
    use crate::generator::plan::Report;
    use crate::workload::Workload;

    const TEXT: &str = "schema = \"pitchover.bench/v1\"\nname = \"x\"\n\
                        time = { measure = \"1s\" }\n[fleet]\nbroker_sets = 1\n";

    /// A run that lasts for one window.
    fn a_second() -> Run {
        Run { time: Time { warmup_ms: 0, measure_ms: 1_000, window_ms: 1_000 }, ..Run::default() }
    }

    /// One window in which a hundred requests were sent so late.
    fn judged(lag_us: u64, skipped: u64, watched: &Watched) -> Run {
        let mut tally = Tally::default();
        let measures = tally.0.entry(Kind::GetReplicaInfo).or_default();
        let sent_ns = lag_us * 1_000;
        let moments = Moments { due_ns: 0, sent_ns, done_ns: sent_ns + 1_000, timeout_ns: 9 };
        (0..100).for_each(|_| measures.ended(Ending::Answered(0), &moments));
        (0..skipped).for_each(|_| measures.ended(Ending::Skipped, &moments));
        let mut totals = Totals::default();
        totals.add(&tally);
        let mut run = a_second();
        let workload = Workload::read("w", TEXT).unwrap();
        totals.finish(&mut run, &workload, watched, &Report::default());
        run
    }

    #[test]
    fn a_run_that_kept_its_plan_is_valid() {
        let run = judged(900, 0, &Watched::default());
        assert!(run.validity.valid, "{:?}", run.validity);
        let operation = &run.operations[0];
        assert_eq!(
            (operation.op.as_str(), operation.offered, operation.ok),
            ("get_replica_info", 100, 100)
        );
        assert!(operation.latency_us.p90.is_some_and(|it| it > operation.service_us.p90.unwrap()));
    }

    #[test]
    fn everything_beyond_its_limit_is_a_reason() {
        let quiet = Watched::default();
        let busy = Watched { generator_cpu: Some(0.9), ..Watched::default() };
        let pressed = Watched { psi_cpu_some_pct: Some(26.0), ..Watched::default() };
        let stepped = Watched { clock_step_us: Some(-1_500), ..Watched::default() };
        let rows = [
            (judged(1_100, 0, &quiet), "send lag p99"),
            (judged(0, 1, &quiet), "1 arrivals were not sent"),
            (judged(0, 0, &busy), "0.90 of a core, limit 0.80"),
            (judged(0, 0, &pressed), "26.0 % of the time"),
            (judged(0, 0, &stepped), "moved by -1500 us"),
        ];
        for (run, part) in rows {
            let reasons = &run.validity.reasons;
            assert!(!run.validity.valid && reasons.len() == 1, "{reasons:?}");
            assert!(reasons[0].contains(part), "{reasons:?}");
        }
        let mut run = a_second();
        let workload = Workload::read("w", TEXT).unwrap();
        Totals::default().finish(&mut run, &workload, &quiet, &Report::default());
        assert_eq!(run.validity.reasons, ["0 windows of 1 were measured"]);
    }
}

//! A run as text: one row while it goes on, a table when it is over.

use measure::histogram::as_f64;
use std::fmt::{self, Write};

use measure::Quantiles;
use measure::folder::{Run, Window};

/// The run when it is over.
#[derive(Clone, Copy, Debug)]
pub struct Summary<'a>(pub &'a Run);

/// The last window of a run that goes on.
#[derive(Clone, Copy, Debug)]
pub struct Live<'a> {
    /// The window.
    pub window: &'a Window,
    /// Its length.
    pub window_ms: u64,
}

const HEAD: &str = "operation                 offered/s      ok/s   errors  skipped    p50 us    p99 us  p99.9 us    max us";

/// Rows of a summary that list what is wrong.
const DETAILS_MAX: usize = 5;

fn row(
    f: &mut impl Write,
    name: &str,
    [offered, ok, errors, skipped]: [f64; 4],
    times: &Quantiles,
) -> fmt::Result {
    let figure = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |us| format!("{us:.0}"));
    writeln!(
        f,
        "{name:<24}{offered:>11.1}{ok:>10.1}{errors:>9.0}{skipped:>9.0}{:>10}{:>10}{:>10}{:>10}",
        figure(times.p50),
        figure(times.p99),
        figure(times.p999),
        figure(times.max),
    )
}

impl fmt::Display for Live<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { window, window_ms } = self;
        let seconds = as_f64(*window_ms).max(1.0) / 1e3;
        let at = window.at_ms / 1_000;
        let phase = if window.at_ms < 0 { "warm-up" } else { "measuring" };
        writeln!(f, "{phase}, {at} s")?;
        writeln!(f, "{HEAD}")?;
        for it in &window.ops {
            let times = it.latency.decode().unwrap_or_default().quantiles();
            let failed = as_f64(it.errors + it.timeouts);
            let counts =
                [as_f64(it.offered) / seconds, as_f64(it.ok) / seconds, failed, as_f64(it.skipped)];
            row(f, &it.op, counts, &times)?;
        }
        Ok(())
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let run = self.0;
        let seconds = (as_f64(run.time.measure_ms) / 1e3).max(0.001);
        let nodes = run.target.controllers.len();
        let (name, arm, seed) = (&run.name, &run.arm, run.seed);
        let class = format!("{:?}", run.durability).to_lowercase();
        writeln!(
            f,
            "{name}: {arm}, {nodes} nodes, durability {class}, seed {seed}, {seconds:.0} s"
        )?;
        writeln!(f, "latency counts from when a request was due\n\n{HEAD}")?;
        for it in &run.operations {
            let failed = as_f64(it.errors.values().sum::<u64>() + it.timeouts);
            let counts =
                [as_f64(it.offered) / seconds, as_f64(it.ok) / seconds, failed, as_f64(it.skipped)];
            row(f, &it.op, counts, &it.latency_us)?;
        }
        let abandoned: u64 = run.operations.iter().map(|it| it.abandoned).sum();
        if abandoned > 0 {
            writeln!(f, "{abandoned} requests were abandoned: who had asked was killed")?;
        }
        self.costs(f)?;
        if let Some(failover) = &run.failover {
            for it in &failover.milestones {
                let ms =
                    |us: Option<f64>| us.map_or("-".to_owned(), |us| format!("{:.1}", us / 1e3));
                let Quantiles { p50, p99, max, count, .. } = it.latency_us;
                let (name, p50, p99, max) = (&it.name, ms(p50), ms(p99), ms(max));
                writeln!(f, "{name}: {count} brokers, p50 {p50} ms, p99 {p99} ms, max {max} ms")?;
            }
            for goal in failover.goals.iter().filter(|goal| goal.reached > goal.limit) {
                writeln!(f, "{}: {:.0} {}", goal.what, goal.reached, goal.unit)?;
            }
        }
        match (run.correctness.checked, run.correctness.violations) {
            (false, _) => writeln!(f, "answers were not checked")?,
            (true, 0) => writeln!(f, "all answers agreed with what was acknowledged")?,
            (true, count) => writeln!(f, "WRONG ANSWERS: {count}")?,
        }
        if let Some(dead @ 1..) = run.correctness.wrongly_dead {
            writeln!(f, "LIVING BROKERS TAKEN FOR DEAD: {dead}")?;
        }
        for detail in run.correctness.details.iter().take(DETAILS_MAX) {
            writeln!(f, "  {detail}")?;
        }
        let lag = run.validity.send_lag_p99_us;
        if run.validity.valid {
            return write!(f, "valid: send lag p99 {lag:.0} us, nothing skipped");
        }
        write!(f, "INVALID, this says nothing about the server:")?;
        run.validity.reasons.iter().try_for_each(|reason| write!(f, "\n  {reason}"))
    }
}

impl Summary<'_> {
    fn costs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let run = self.0;
        writeln!(f)?;
        let cost = &run.cost;
        let figures = [
            ("us of server CPU", cost.cpu_us_per_op),
            ("bytes on disks", cost.disk_bytes_per_op),
            ("syncs", cost.syncs_per_op),
        ];
        let known: Vec<String> = figures
            .into_iter()
            .filter_map(|(what, value)| value.map(|value| format!("{value:.2} {what}")))
            .collect();
        if !known.is_empty() {
            writeln!(f, "for each operation, heartbeats included: {}", known.join(", "))?;
        }
        let memory = run.servers.iter().filter_map(|it| it.rss_max_bytes).max();
        if let Some(bytes) = memory {
            writeln!(f, "largest server: {:.1} MiB", as_f64(bytes) / 1_048_576.0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use measure::folder::{Operation, Run};

    use super::Summary;

    #[test]
    fn a_table_says_what_was_found_and_whether_it_may_be_believed() {
        let mut run = Run { name: "w".to_owned(), arm: "an arm".to_owned(), ..Run::default() };
        run.time.measure_ms = 2_000;
        run.operations =
            vec![Operation { op: "get".to_owned(), offered: 10, ..Operation::default() }];
        run.operations[0].latency_us.p50 = Some(17.4);
        run.validity.reasons = vec!["it was late".to_owned()];
        let text = Summary(&run).to_string();
        for part in
            ["w: an arm", "get                             5.0", "17", "INVALID", "it was late"]
        {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        run.validity.valid = true;
        run.correctness.checked = true;
        let text = Summary(&run).to_string();
        assert!(text.contains("valid: send lag") && text.contains("all answers agreed"), "{text}");
    }
}

//! The goals of the comparison, and what a run says of each: reached, missed, or not measured.
//!
//! Every goal is a factor by which ours is better than a Java arm: of rates ours / Java's, of times and
//! costs Java's / ours. Nothing here is typed but the goals.

use super::arms::Arm;
use super::figures::{Entry, Figures, OURS};

/// Largest quantiles first: the tail that a goal is about, and what stands in for Java's where too few samples
/// lie beyond it. A smaller quantile of Java's makes the goal harder.
const TAILS: [(f64, &str); 3] = [(0.999, "p99.9"), (0.99, "p99"), (0.9, "p90")];

/// What is compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Of {
    /// Answers a second of a closed loop.
    Rate(&'static str),
    /// The p99.9 of the same.
    Tail(&'static str),
    /// CPU of all servers for each operation.
    Cpu,
    /// Memory of the largest node.
    Memory,
    /// Time until the last survivor was told.
    LastTold,
    /// Middle time of a milestone.
    Middle(&'static str),
}

/// A factor that is to be reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal {
    pub(super) what: &'static str,
    pub(super) against: Arm,
    pub(super) at_least: f64,
    /// What is hoped for beyond it.
    pub(super) hope: Option<f64>,
    of: Of,
    /// The first of these that both arms ran.
    workloads: &'static [&'static str],
}

const WRITE: &str = "alter_sync_state_set";
const READ: &str = "get_replica_info";
const KILLED: &str = "leader killed to first accepted write";
const FLEETS: &[&str] = &["fleet-10000", "fleet-3000", "fleet-1000", "fleet-300"];

const fn goal(
    (what, against): (&'static str, Arm),
    at_least: f64,
    of: Of,
    workloads: &'static [&'static str],
) -> Goal {
    Goal { what, against, at_least, hope: None, of, workloads }
}

const fn hoped(goal: Goal, hope: f64) -> Goal {
    Goal { hope: Some(hope), ..goal }
}

/// All goals, in the order in which they are shown.
pub(super) const GOALS: [Goal; 17] = {
    use Arm::{JavaDledger, JavaDledgerConfirmed, JavaJraft};
    let (writes, reads) = (&["writes-saturated"], &["reads-saturated"]);
    // Closed loops wait for the slow ones and ask less meanwhile, so their tails are too kind to whoever stalls.
    let open = "p99.9 of writes at a rate that all carry, open loop";
    [
        hoped(goal(("writes a second", JavaDledger), 60.0, Of::Rate(WRITE), writes), 100.0),
        hoped(goal(("writes a second", JavaJraft), 15.0, Of::Rate(WRITE), writes), 25.0),
        goal(("p99.9 of these writes", JavaDledger), 20.0, Of::Tail(WRITE), writes),
        goal(("p99.9 of these writes", JavaJraft), 20.0, Of::Tail(WRITE), writes),
        goal((open, JavaDledger), 20.0, Of::Tail(WRITE), &["common-rate"]),
        goal((open, JavaJraft), 20.0, Of::Tail(WRITE), &["common-rate"]),
        goal(
            ("linearizable reads a second, against unconfirmed ones", JavaDledger),
            4.0,
            Of::Rate(READ),
            reads,
        ),
        goal(("linearizable reads a second", JavaDledgerConfirmed), 60.0, Of::Rate(READ), reads),
        goal(("linearizable reads a second", JavaJraft), 20.0, Of::Rate(READ), reads),
        // Brokers send them one-way (`BrokerOuterAPI#sendHeartbeatToController`), at a rate that leaves both idle for
        // most of the time, so what an idle process costs is in it; answered ones at capacity hold work alone.
        goal(("CPU of a one-way heartbeat", JavaDledger), 4.0, Of::Cpu, &["heartbeats"]),
        goal(
            ("CPU of an answered heartbeat, at capacity", JavaDledger),
            4.0,
            Of::Cpu,
            &["heartbeats-saturated"],
        ),
        goal(
            ("1,000 masters die: the last survivor is told", JavaDledger),
            10.0,
            Of::LastTold,
            &["failover-1000"],
        ),
        goal(
            ("1,000 masters die: the last survivor is told", JavaJraft),
            10.0,
            Of::LastTold,
            &["failover-1000"],
        ),
        goal(
            ("leader killed to first accepted write", JavaDledger),
            20.0,
            Of::Middle(KILLED),
            &["leader-lost"],
        ),
        goal(
            ("memory of the largest node under the largest fleet", JavaDledger),
            10.0,
            Of::Memory,
            FLEETS,
        ),
        goal(
            ("memory of the largest node under the largest fleet", JavaDledgerConfirmed),
            10.0,
            Of::Memory,
            FLEETS,
        ),
        goal(
            ("memory of the largest node under the largest fleet", JavaJraft),
            10.0,
            Of::Memory,
            FLEETS,
        ),
    ]
};

/// What a run says of a goal.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    Reached(Measured),
    Missed(Measured),
    NotMeasured(String),
}

/// The factor that was measured.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Measured {
    pub(super) factor: f64,
    /// 95 %; absent where there is one value of each only.
    pub(super) interval: Option<(f64, f64)>,
    pub(super) workload: &'static str,
    /// What must be known beside it.
    pub(super) note: String,
}

impl Goal {
    pub(super) fn judge(&self, figures: &Figures) -> Verdict {
        let ran = |workload: &&&str| {
            figures.of(workload, OURS).is_some() && figures.of(workload, self.against).is_some()
        };
        let Some(workload) = self.workloads.iter().find(ran).copied() else {
            let names = self.workloads.join(", ");
            return Verdict::NotMeasured(format!("{names} was not run on both"));
        };
        let (Some(ours), Some(java)) =
            (figures.of(workload, OURS), figures.of(workload, self.against))
        else {
            return Verdict::NotMeasured(format!("{workload} was not run on both"));
        };
        for (arm, entry) in [(OURS, ours), (self.against, java)] {
            if let Some(doubt) = entry.doubt() {
                return Verdict::NotMeasured(format!("{}: {doubt}", arm.name()));
            }
        }
        match self.measure(figures, workload, (ours, java)) {
            Ok(measured) if measured.factor >= self.at_least => Verdict::Reached(measured),
            Ok(measured) => Verdict::Missed(measured),
            Err(why) => Verdict::NotMeasured(why),
        }
    }

    fn measure(
        &self,
        figures: &Figures,
        workload: &'static str,
        (ours, java): (&Entry, &Entry),
    ) -> Result<Measured, String> {
        let missing = || format!("{workload} has no such figure of both");
        let measured = |factor: f64, note: String| {
            let whole = factor.is_finite() && factor > 0.0;
            whole.then_some(Measured { factor, interval: None, workload, note }).ok_or_else(missing)
        };
        let both = |of: fn(&Entry) -> Option<f64>| of(ours).zip(of(java)).ok_or_else(missing);
        match self.of {
            Of::Rate(op) => {
                let rate = |entry: &Entry| entry.op(op).map(|op| op.ok_per_s);
                let (own, other) = rate(ours).zip(rate(java)).ok_or_else(missing)?;
                let ratio = figures.ratio(workload, self.against, op, "answered");
                let interval = ratio.and_then(|ratio| ratio.interval);
                let mut found = measured(own / other, String::new())?;
                found.interval = interval.map(|(low, high)| (1.0 / high, 1.0 / low));
                Ok(found)
            }
            Of::Tail(op) => tail(ours, java, op)
                .ok_or_else(missing)
                .and_then(|(factor, note)| measured(factor, note)),
            Of::Cpu => {
                both(|it| it.cpu_us).and_then(|(own, other)| measured(other / own, String::new()))
            }
            Of::Memory => both(|it| it.rss_bytes)
                .and_then(|(own, other)| measured(other / own, String::new())),
            Of::LastTold => last_told(ours, java)
                .ok_or_else(missing)
                .and_then(|(factor, note)| measured(factor, note)),
            Of::Middle(name) => {
                let of = |entry: &Entry| entry.milestone(name).cloned();
                let (own, other) = of(ours).zip(of(java)).ok_or_else(missing)?;
                let (one, two) = own.median_us().zip(other.median_us()).ok_or_else(missing)?;
                let counts = [own.samples_us.len(), other.samples_us.len()];
                measured(
                    two / one,
                    format!("the middle one of {} and {} times", counts[0], counts[1]),
                )
            }
        }
    }
}

/// Java's tail over ours.
fn tail(ours: &Entry, java: &Entry, op: &str) -> Option<(f64, String)> {
    let (ours, java) = (ours.op(op)?, java.op(op)?);
    let (own, is_supported) = ours.quantile(TAILS[0].0)?;
    let (other, name) = TAILS.iter().find_map(|(q, name)| Some((java.supported(*q)?, *name)))?;
    let mut notes = Vec::new();
    if name != TAILS[0].1 {
        notes.push(format!("Java's {name} stands in for its p99.9, for which it answered too few"));
    }
    if !is_supported {
        notes.push("ours has few samples beyond it".to_owned());
    }
    Some((other / own, notes.join("; ")))
}

/// Java's last survivor over ours; who was never told makes it longer than what was seen.
fn last_told(ours: &Entry, java: &Entry) -> Option<(f64, String)> {
    let last = |entry: &Entry| entry.milestone("told").and_then(|it| it.last_us());
    let (own, other) = last(ours).zip(last(java))?;
    let untold = |entry: &Entry| entry.untold.unwrap_or_default();
    if untold(ours) > 0.0 {
        return Some((f64::MIN_POSITIVE, format!("ours never told {:.0} survivors", untold(ours))));
    }
    let note = if untold(java) > 0.0 {
        format!("Java never told {:.0} survivors, so the factor is at least this", untold(java))
    } else {
        String::new()
    };
    Some((other / own, note))
}

#[cfg(test)]
mod tests {
    use super::{GOALS, Goal, Verdict};
    use crate::versus::arms::Arm;
    use crate::versus::figures::Figures;
    use crate::versus::figures::tests::workload;
    use serde_json::{Value, json};

    fn goal(what: &str, against: Arm) -> Goal {
        *GOALS.iter().find(|it| it.what == what && it.against == against).expect("it is a goal")
    }

    fn writes(java: f64) -> Value {
        let arms = [(Arm::OursFsync, 36_000.0, 6_000.0), (Arm::JavaDledger, java, 560_000.0)];
        workload("writes-saturated", "alter_sync_state_set", &arms)
    }

    fn judge(goal: &Goal, workloads: &[Value]) -> Verdict {
        goal.judge(&Figures::read(&json!({ "workloads": workloads })))
    }

    #[test]
    fn a_rate_is_reached_or_missed_by_the_figures() {
        let rate = goal("writes a second", Arm::JavaDledger);
        let Verdict::Reached(found) = judge(&rate, &[writes(180.0)]) else { panic!("200 > 60") };
        assert!((found.factor - 200.0).abs() < 1e-6);
        let (low, high) = found.interval.expect("the ratio has one");
        assert!((low - 200.0 / 1.1).abs() < 1e-6 && (high - 200.0 / 0.9).abs() < 1e-6);
        assert!(matches!(judge(&rate, &[writes(900.0)]), Verdict::Missed(_)), "40 < 60");
    }

    #[test]
    fn what_was_not_run_or_says_nothing_is_not_measured() {
        let rate = goal("writes a second", Arm::JavaDledger);
        assert!(matches!(judge(&rate, &[]), Verdict::NotMeasured(_)));
        let mut invalid = writes(180.0);
        invalid["arms"][1]["runs"][0]["validity"] = json!({ "valid": false, "reasons": ["late"] });
        let Verdict::NotMeasured(why) = judge(&rate, &[invalid]) else { panic!("it is invalid") };
        assert_eq!(why, "java-dledger: the run is invalid: late");
    }

    #[test]
    fn a_tail_with_too_few_samples_is_replaced_by_a_smaller_one_of_javas() {
        let tail = goal("p99.9 of these writes", Arm::JavaDledger);
        let Verdict::Reached(found) = judge(&tail, &[writes(180.0)]) else {
            panic!("280 / 6 > 20")
        };
        assert!((found.factor - 280.0 / 6.0).abs() < 1e-6 && found.note.contains("Java's p99"));
        let Verdict::Reached(found) = judge(&tail, &[writes(2_000.0)]) else { panic!("560 / 6") };
        assert!((found.factor - 560.0 / 6.0).abs() < 1e-6 && found.note.is_empty());
    }

    #[test]
    fn who_was_never_told_counts() {
        let told = goal("1,000 masters die: the last survivor is told", Arm::JavaDledger);
        let run = |untold: [f64; 2]| {
            let mut one = workload(
                "failover-1000",
                "get_replica_info",
                &[(Arm::OursFsync, 10.0, 1.0), (Arm::JavaDledger, 10.0, 1.0)],
            );
            for (arm, last) in [(0, 140e3), (1, 6_700e3)] {
                one["arms"][arm]["failover"] = json!({
                    "goals": [{ "what": "survivors never told", "reached": untold[arm] }],
                    "milestones": [{ "name": "told", "samples_us": [last, 1e3] }],
                });
            }
            judge(&told, &[one])
        };
        let Verdict::Reached(found) = run([0.0, 64.0]) else { panic!("6.7 / 0.14 > 10") };
        assert!((found.factor - 6.7 / 0.14).abs() < 1e-6 && found.note.contains("at least"));
        assert!(
            matches!(run([1.0, 0.0]), Verdict::Missed(found) if found.note.contains("ours never"))
        );
    }
}

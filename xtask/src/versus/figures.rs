//! The figures of all runs, as `pitchover report json` gives them, in the form in which arms are compared.
//!
//! Nothing is computed here but quotients. Intervals of ratios come from that report; it divides by our
//! `fsync` arm, whose runs it is given first.

use super::arms::Arm;
use serde_json::Value;
use std::collections::BTreeMap;

/// What everything is divided by.
pub(super) const OURS: Arm = Arm::OursFsync;

/// All runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    entries: BTreeMap<(String, &'static str), Entry>,
    /// Workloads in the order of their first run.
    pub(super) workloads: Vec<String>,
    pub(super) ratios: Vec<Ratio>,
}

/// One run of one arm.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub(super) ops: Vec<Op>,
    pub(super) cpu_us: Option<f64>,
    pub(super) rss_bytes: Option<f64>,
    pub(super) milestones: Vec<Milestone>,
    /// Survivors that nobody told.
    pub(super) untold: Option<f64>,
    /// Why the run says nothing about the servers.
    pub(super) invalid: Vec<String>,
    pub(super) is_finished: bool,
    pub(super) violations: u64,
    pub(super) lag_p99_us: f64,
    pub(super) others_cores: Option<f64>,
}

/// One operation of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Op {
    pub(super) name: String,
    pub(super) ok_per_s: f64,
    /// Quantile, microseconds, and whether enough samples lie beyond it.
    pub(super) latency: Vec<(f64, f64, bool)>,
}

/// Times from a fault to something.
#[derive(Clone, Debug, Default)]
pub(super) struct Milestone {
    pub(super) name: String,
    /// In rising order.
    pub(super) samples_us: Vec<f64>,
}

/// A metric of an arm against ours: `value / ours`.
#[derive(Clone, Debug)]
pub(super) struct Ratio {
    pub(super) workload: String,
    pub(super) arm: String,
    pub(super) of: String,
    pub(super) metric: String,
    pub(super) unit: String,
    pub(super) better: String,
    pub(super) ours: f64,
    pub(super) value: f64,
    pub(super) ratio: f64,
    pub(super) interval: Option<(f64, f64)>,
    /// `faster`, `slower`, `equivalent`, `inconclusive`; nothing without an interval.
    pub(super) change: Option<String>,
}

impl Figures {
    /// Reads the report's JSON. What is missing in it is missing here.
    pub(super) fn read(report: &Value) -> Self {
        let mut figures = Self::default();
        for workload in list(&report["workloads"]) {
            let name = text(&workload["workload"]);
            figures.workloads.push(name.clone());
            for arm in list(&workload["arms"]) {
                let known = Arm::ALL.into_iter().find(|it| it.name() == text(&arm["arm"]));
                if let Some(known) = known {
                    figures.entries.insert((name.clone(), known.name()), entry(arm));
                }
            }
            // A report divides by the first arm that ran the workload, which may be another one.
            let is_ours = text(&workload["arms"][0]["arm"]) == OURS.name();
            let ratios = list(&workload["ratios"]).filter(|_| is_ours);
            figures.ratios.extend(ratios.map(|it| ratio(&name, it)));
        }
        figures
    }

    pub(super) fn of(&self, workload: &str, arm: Arm) -> Option<&Entry> {
        self.entries.get(&(workload.to_owned(), arm.name()))
    }

    /// The ratio of one metric of an arm to ours.
    pub(super) fn ratio(&self, workload: &str, arm: Arm, of: &str, metric: &str) -> Option<&Ratio> {
        let same = |it: &&Ratio| {
            (it.workload.as_str(), it.arm.as_str()) == (workload, arm.name())
                && (it.of.as_str(), it.metric.as_str()) == (of, metric)
        };
        self.ratios.iter().find(same)
    }

    /// All runs, by workload and arm.
    pub(super) fn runs(&self) -> impl Iterator<Item = (&str, Arm, &Entry)> {
        self.workloads.iter().flat_map(move |workload| {
            let of = move |arm: Arm| Some((workload.as_str(), arm, self.of(workload, arm)?));
            Arm::ALL.into_iter().filter_map(of)
        })
    }
}

impl Entry {
    pub(super) fn op(&self, name: &str) -> Option<&Op> {
        self.ops.iter().find(|op| op.name == name)
    }

    pub(super) fn milestone(&self, name: &str) -> Option<&Milestone> {
        self.milestones.iter().find(|it| it.name == name)
    }

    /// Why its figures are not to be used; nothing if they are.
    pub(super) fn doubt(&self) -> Option<String> {
        match (self.is_finished, self.invalid.first()) {
            (false, _) => Some("the run was not finished".to_owned()),
            (true, Some(reason)) => Some(format!("the run is invalid: {reason}")),
            (true, None) => None,
        }
    }
}

impl Op {
    /// A quantile in microseconds that enough samples lie beyond.
    pub(super) fn supported(&self, quantile: f64) -> Option<f64> {
        let close = |it: &&(f64, f64, bool)| (it.0 - quantile).abs() < 1e-9 && it.2;
        self.latency.iter().find(close).map(|it| it.1)
    }

    /// A quantile in microseconds, and whether enough samples lie beyond it.
    pub(super) fn quantile(&self, quantile: f64) -> Option<(f64, bool)> {
        let close = |it: &&(f64, f64, bool)| (it.0 - quantile).abs() < 1e-9;
        self.latency.iter().find(close).map(|it| (it.1, it.2))
    }
}

impl Milestone {
    /// The middle one of all times.
    pub(super) fn median_us(&self) -> Option<f64> {
        self.samples_us.get(self.samples_us.len().saturating_sub(1) / 2).copied()
    }

    pub(super) fn last_us(&self) -> Option<f64> {
        self.samples_us.last().copied()
    }
}

fn entry(arm: &Value) -> Entry {
    let runs: Vec<&Value> = list(&arm["runs"]).collect();
    let reasons = runs.iter().filter(|run| run["validity"]["valid"] == false);
    let reasons = reasons.flat_map(|run| list(&run["validity"]["reasons"]).map(text));
    let goals: Vec<&Value> = list(&arm["failover"]["goals"]).collect();
    let untold = goals.iter().find(|goal| goal["what"] == "survivors never told");
    let most =
        |of: fn(&Value) -> Option<f64>| runs.iter().filter_map(|run| of(run)).reduce(f64::max);
    Entry {
        ops: list(&arm["operations"]).map(op).collect(),
        cpu_us: arm["cost"]["cpu_us_per_op"].as_f64(),
        rss_bytes: arm["cost"]["rss_max_bytes"].as_f64(),
        milestones: list(&arm["failover"]["milestones"]).map(milestone).collect(),
        untold: untold.and_then(|goal| goal["reached"].as_f64()),
        invalid: reasons.collect(),
        is_finished: runs.iter().all(|run| run["finished"] == true),
        violations: runs.iter().filter_map(|run| run["correctness"]["violations"].as_u64()).sum(),
        lag_p99_us: most(|run| run["validity"]["send_lag_p99_us"].as_f64()).unwrap_or_default(),
        others_cores: most(|run| run["validity"]["others_cores"].as_f64()),
    }
}

fn op(value: &Value) -> Op {
    let quantile = |it: &Value| {
        Some((it["q"].as_f64()?, it["value_us"].as_f64()?, it["supported"].as_bool()?))
    };
    Op {
        name: text(&value["op"]),
        ok_per_s: value["ok_per_s"].as_f64().unwrap_or_default(),
        latency: list(&value["latency"]).filter_map(quantile).collect(),
    }
}

fn milestone(value: &Value) -> Milestone {
    let mut samples_us: Vec<f64> = list(&value["samples_us"]).filter_map(Value::as_f64).collect();
    samples_us.sort_by(f64::total_cmp);
    Milestone { name: text(&value["name"]), samples_us }
}

fn ratio(workload: &str, value: &Value) -> Ratio {
    let number = |key: &str| value[key].as_f64().unwrap_or_default();
    let interval = &value["interval"];
    Ratio {
        workload: workload.to_owned(),
        arm: text(&value["arm"]),
        of: text(&value["of"]),
        metric: text(&value["metric"]),
        unit: text(&value["unit"]),
        better: text(&value["better"]),
        ours: number("base"),
        value: number("value"),
        ratio: number("ratio"),
        interval: interval[0].as_f64().zip(interval[1].as_f64()),
        change: value["change"].as_str().map(str::to_owned),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Arm, Figures};
    use serde_json::{Value, json};

    /// A report of one workload: ours first, then others; each with rate, p99.9 and CPU.
    pub(in crate::versus) fn workload(name: &str, op: &str, arms: &[(Arm, f64, f64)]) -> Value {
        let arm = |(arm, rate, p999_us): &(Arm, f64, f64)| {
            json!({
                "arm": arm.name(),
                "runs": [{ "finished": true, "validity": { "valid": true, "reasons": [],
                           "send_lag_p99_us": 10.0, "others_cores": 0.1 },
                           "correctness": { "violations": 0 } }],
                "operations": [{ "op": op, "offered_per_s": rate, "ok_per_s": rate, "latency": [
                    { "q": 0.99, "value_us": p999_us / 2.0, "supported": true },
                    { "q": 0.999, "value_us": p999_us, "supported": *rate > 1_000.0 }] }],
                "cost": { "cpu_us_per_op": 1e6 / rate, "rss_max_bytes": 1e6 },
                "failover": null,
            })
        };
        let (ours, others) = arms.split_first().expect("ours is first");
        let ratio = |other: &(Arm, f64, f64)| {
            let ratio = other.1 / ours.1;
            json!({ "arm": other.0.name(), "of": op, "metric": "answered", "unit": "per_second",
                    "better": "higher", "base": ours.1, "value": other.1, "ratio": ratio,
                    "interval": [ratio * 0.9, ratio * 1.1], "change": "slower" })
        };
        json!({ "workload": name, "arms": arms.iter().map(arm).collect::<Vec<_>>(),
                "ratios": others.iter().map(ratio).collect::<Vec<_>>() })
    }

    #[test]
    fn a_report_is_read() {
        let arms = [(Arm::OursFsync, 36_000.0, 6_000.0), (Arm::JavaDledger, 180.0, 560_000.0)];
        let one = workload("writes-saturated", "alter_sync_state_set", &arms);
        let figures = Figures::read(&json!({ "workloads": [one] }));
        let java = figures.of("writes-saturated", Arm::JavaDledger).expect("it ran");
        let op = java.op("alter_sync_state_set").expect("it was asked");
        assert_eq!((op.supported(0.999), op.supported(0.99)), (None, Some(280_000.0)));
        assert_eq!(java.doubt(), None);
        let ratio =
            figures.ratio("writes-saturated", Arm::JavaDledger, "alter_sync_state_set", "answered");
        assert!(ratio.is_some_and(|it| (it.ratio - 0.005).abs() < 1e-9));
        assert_eq!(figures.runs().count(), 2);
    }

    #[test]
    fn ratios_to_another_arm_are_left_out() {
        let arms = [(Arm::JavaJraft, 36_000.0, 1.0), (Arm::JavaDledger, 180.0, 1.0)];
        let one = workload("writes-saturated", "alter_sync_state_set", &arms);
        assert!(Figures::read(&json!({ "workloads": [one] })).ratios.is_empty());
    }
}

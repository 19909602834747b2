//! The tables of the report, as JSON for `pitchover report --tables`; every figure in them is computed.

use super::arms::Arm;
use super::figures::{Entry, Figures, OURS, Ratio};
use super::goals::{GOALS, Verdict};
use super::shown::{bytes, factor, latency, rate};
use serde_json::{Value, json};

/// What stands where there is no value.
const NONE: &str = "–";

/// What happened beside the runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Name and value: sizes, versions, flags.
    pub(super) setting: Vec<(String, String)>,
    /// Arm, its durability, its reads, how it is started.
    pub(super) arms: Vec<[String; 4]>,
    /// Arm, workload, and why it has no figures, or not all.
    pub(super) gaps: Vec<[String; 3]>,
    /// Arm and what it said instead of reading on a follower.
    pub(super) refusals: Vec<(String, String)>,
}

/// All tables, in the order of the report.
pub(super) fn all(figures: &Figures, facts: &Facts, arms: &[Arm]) -> Value {
    json!([
        goals(figures),
        side_by_side(figures, facts, arms),
        java_is_better(figures),
        setting(facts),
        gaps(facts),
        validity(figures),
    ])
}

/// The same goals as objectives, for the strip of the page.
pub(super) fn judged(figures: &Figures) -> Value {
    let judged = GOALS.iter().map(|goal| {
        let (verdict, found, why) = match goal.judge(figures) {
            Verdict::Reached(found) => ("pass", Some(found), String::new()),
            Verdict::Missed(found) => ("fail", Some(found), String::new()),
            Verdict::NotMeasured(why) => ("inconclusive", None, format!("not measured: {why}")),
        };
        let interval = found.as_ref().and_then(|found| found.interval);
        let hopes: Vec<Value> =
            goal.hope.map(|value| json!({ "name": "hoped for", "value": value })).into_iter().collect();
        json!({
            "id": format!("{} against {}", goal.what, goal.against.name()), "component": "old and new",
            "workload": found.as_ref().map_or("", |found| found.workload), "arm": OURS.name(),
            "sli": "how many times better than Java", "unit": "×", "better": "higher",
            "value": found.as_ref().map(|found| found.factor),
            "low": interval.map(|it| it.0), "high": interval.map(|it| it.1),
            "minimum": goal.at_least, "aspirations": hopes, "verdict": verdict,
            "why": found.map_or(why, |found| found.note),
        })
    });
    judged.collect()
}

fn goals(figures: &Figures) -> Value {
    let row = |goal: &super::goals::Goal| {
        let (word, mood, found, note) = match goal.judge(figures) {
            Verdict::Reached(found) => ("reached", "good", Some(found.clone()), found.note),
            Verdict::Missed(found) => ("missed", "bad", Some(found.clone()), found.note),
            Verdict::NotMeasured(why) => ("not measured", "open", None, why),
        };
        let interval = found.as_ref().and_then(|found| found.interval);
        let durability = format!("{} / {}", OURS.durability(), goal.against.durability());
        vec![
            json!({ "text": word, "mood": mood }),
            cell(goal.what),
            cell(goal.against.name()),
            cell(durability),
            cell(note),
            cell(found.as_ref().map_or(NONE.to_owned(), |found| factor(found.factor))),
            cell(interval.map_or(NONE.to_owned(), |(low, high)| {
                format!("{} – {}", factor(low), factor(high))
            })),
            cell(format!("≥ {}", factor(goal.at_least))),
        ]
    };
    let rows: Vec<Vec<Value>> = GOALS.iter().map(row).collect();
    table(
        "Goals",
        "How many times better than Java is ours, and is that enough?",
        (
            &["", "What", "Against", "Durability, ours / Java", "Note", "Measured", "95 %", "Goal"],
            5,
        ),
        rows,
        &[
            "Factors by which our fsync arm is better: of rates ours / Java's, of times and costs Java's / ours. \
             Computed from the runs of this report; a run that calls itself invalid makes a goal not measured.",
            "Intervals hold what windows of a run differ, not what the host did between runs. Without one there \
             is one value of each side.",
            "An acknowledged write of a durability other than fsync can be lost with the power.",
        ],
    )
}

/// One line of the comparison: what, the run, and its value in words.
type Line = (&'static str, &'static str, fn(&Entry) -> Option<String>);

const WRITE: &str = "alter_sync_state_set";
const READ: &str = "get_replica_info";
const BEAT: &str = "heartbeat";

fn answered(entry: &Entry, op: &str) -> Option<String> {
    entry.op(op).map(|op| rate(op.ok_per_s))
}

fn quantile(entry: &Entry, op: &str, q: f64) -> Option<String> {
    let (us, is_supported) = entry.op(op)?.quantile(q)?;
    Some(if is_supported { latency(us) } else { format!("({})", latency(us)) })
}

fn cpu(entry: &Entry) -> Option<String> {
    entry.cpu_us.map(|us| format!("{} µs", super::shown::three_digits(us)))
}

fn middle(entry: &Entry, name: &str) -> Option<String> {
    let milestone = entry.milestone(name)?;
    Some(format!("{} ({})", latency(milestone.median_us()?), milestone.samples_us.len()))
}

fn told(entry: &Entry) -> Option<String> {
    let last = entry.milestone("told")?.last_us().map_or("nobody".to_owned(), latency);
    let untold = entry.untold.unwrap_or_default();
    Some(if untold > 0.0 { format!("{last}, {untold:.0} never") } else { last })
}

const LINES: &[Line] = &[
    ("writes a second, 64 closed loops", "writes-saturated", |it| answered(it, WRITE)),
    ("… p99", "writes-saturated", |it| quantile(it, WRITE, 0.99)),
    ("… p99.9", "writes-saturated", |it| quantile(it, WRITE, 0.999)),
    ("… CPU of a write, all nodes", "writes-saturated", cpu),
    ("reads a second on the leader, 64 closed loops", "reads-saturated", |it| answered(it, READ)),
    ("… p99.9", "reads-saturated", |it| quantile(it, READ, 0.999)),
    ("… CPU of a read, all nodes", "reads-saturated", cpu),
    ("reads a second on a follower", "follower-reads-saturated", |it| answered(it, READ)),
    ("two-way heartbeats a second, 64 closed loops", "heartbeats-saturated", |it| {
        answered(it, BEAT)
    }),
    ("… CPU of a heartbeat, all nodes", "heartbeats-saturated", cpu),
    ("one-way heartbeats, 9,000 a second to three nodes: CPU of each", "heartbeats", cpu),
    ("… p99 of those that are answered", "heartbeats", |it| quantile(it, BEAT, 0.99)),
    ("common rate, open loop: write p99", "common-rate", |it| quantile(it, WRITE, 0.99)),
    ("… write p99.9", "common-rate", |it| quantile(it, WRITE, 0.999)),
    ("… read p99", "common-rate", |it| quantile(it, READ, 0.99)),
    ("writes at a share of the own capacity", "writes-share", |it| answered(it, WRITE)),
    ("… p99", "writes-share", |it| quantile(it, WRITE, 0.99)),
    ("… p99.9", "writes-share", |it| quantile(it, WRITE, 0.999)),
    ("reads at a share of the own capacity", "reads-share", |it| answered(it, READ)),
    ("… p99", "reads-share", |it| quantile(it, READ, 0.99)),
    ("… p99.9", "reads-share", |it| quantile(it, READ, 0.999)),
    ("leader killed to first accepted write (times)", "leader-lost", |it| {
        middle(it, "leader killed to first accepted write")
    }),
    ("leader frozen to first accepted write (times)", "leader-lost", |it| {
        middle(it, "leader frozen to first accepted write")
    }),
];

/// A figure of a run in words, and its name.
type Named = (&'static str, fn(&Entry) -> Option<String>);

const FLEET: &[Named] = &[
    ("poll p99", |it| quantile(it, READ, 0.99)),
    ("polls answered a second", |it| answered(it, READ)),
    ("CPU of a request, heartbeats included", cpu),
    ("memory of the largest node", |it| it.rss_bytes.map(bytes)),
];

fn side_by_side(figures: &Figures, facts: &Facts, arms: &[Arm]) -> Value {
    let mut columns = vec!["What"];
    columns.extend(arms.iter().map(|arm| arm.name()));
    let durability = |arm: &Arm| cell(arm.durability());
    let head: Vec<Value> = [cell("an acknowledged write survives")]
        .into_iter()
        .chain(arms.iter().map(durability))
        .collect();
    let mut rows = vec![head];
    let mut add = |what: String, workload: &str, of: &dyn Fn(Arm, &Entry) -> Option<String>| {
        let value = |arm: &Arm| {
            let entry = figures.of(workload, *arm);
            let shown = entry.and_then(|entry| {
                let mark = if entry.doubt().is_some() { " ✗" } else { "" };
                of(*arm, entry).map(|text| text + mark)
            });
            let refused = facts.refusals.iter().any(|(name, _)| name == arm.name());
            match shown {
                None if refused && workload == "follower-reads-saturated" => cell("refused"),
                shown => cell(shown.unwrap_or_else(|| NONE.to_owned())),
            }
        };
        let cells: Vec<Value> = arms.iter().map(value).collect();
        if cells.iter().any(|cell| cell["text"] != NONE) {
            rows.push([cell(what)].into_iter().chain(cells).collect());
        }
    };
    for (what, workload, of) in LINES {
        add((*what).to_owned(), workload, &|_, entry| of(entry));
    }
    for workload in &figures.workloads {
        if let Some(brokers) = workload.strip_prefix("fleet-") {
            for (what, of) in FLEET {
                add(format!("{brokers} brokers: {what}"), workload, &|_, entry| of(entry));
            }
        }
        if let Some(masters) = workload.strip_prefix("failover-") {
            let what = format!("{masters} masters die: the middle survivor is told (times)");
            add(what, workload, &|_, entry| middle(entry, "told"));
            add(
                format!("{masters} masters die: the last survivor is told"),
                workload,
                &|_, entry| told(entry),
            );
        }
    }
    let refusals = facts.refusals.iter().map(|(arm, why)| format!("{arm} on followers: {why}."));
    let mut notes = vec![
        "In brackets: fewer than ten samples beyond it. ✗: the run calls itself invalid. Closed loops tell what \
         the servers can do; their tails are too kind. Reads of each arm: see the table of arms."
            .to_owned(),
    ];
    notes.extend(refusals);
    let notes: Vec<&str> = notes.iter().map(String::as_str).collect();
    table("Old and new", "What did each arm do?", (&columns, 1), rows, &notes)
}

/// Every metric in which some Java arm is better than our fsync arm, by the figures.
fn java_is_better(figures: &Figures) -> Value {
    let is_java =
        |ratio: &Ratio| Arm::ALL.iter().any(|arm| arm.is_java() && arm.name() == ratio.arm);
    let better = |ratio: &&Ratio| {
        let by_value = if ratio.better == "higher" { ratio.ratio > 1.0 } else { ratio.ratio < 1.0 };
        // Parts of each one's own capacity are different rates, which is no merit of either.
        let is_other_load = ratio.metric == "answered" && ratio.workload.ends_with("-share");
        match ratio.change.as_deref() {
            Some(change) => change == "faster" && !is_other_load,
            None => by_value && !is_other_load,
        }
    };
    let row = |ratio: &Ratio| {
        let show = |value: f64| match ratio.unit.as_str() {
            "microseconds" => latency(value),
            "per_second" => rate(value),
            "bytes" => bytes(value),
            _ => super::shown::three_digits(value),
        };
        let times = if ratio.better == "higher" { ratio.ratio } else { 1.0 / ratio.ratio };
        let sure = if ratio.interval.is_some() { "beyond error" } else { "one value of each" };
        vec![
            cell(&ratio.workload),
            cell(format!("{} {}", ratio.of, ratio.metric)),
            cell(&ratio.arm),
            cell(sure),
            cell(show(ratio.value)),
            cell(show(ratio.ours)),
            cell(factor(times)),
        ]
    };
    let found = figures.ratios.iter().filter(|it| is_java(it)).filter(better);
    let rows: Vec<Vec<Value>> = found.map(row).collect();
    let columns = ["Run", "Metric", "Arm", "", "Java's", "Ours", "Better by"];
    let empty = rows.is_empty();
    let columns = if empty { &[][..] } else { &columns[..] };
    let has_pairs = figures.ratios.iter().any(is_java);
    let notes = if has_pairs {
        ["In no metric of these runs."]
    } else {
        ["No run was made on a Java arm and on ours."]
    };
    table(
        "Where Java is better",
        "In which metrics is a Java arm better than our fsync arm?",
        (columns, 4),
        rows,
        if empty { &notes } else { &[] },
    )
}

fn setting(facts: &Facts) -> Value {
    let mut rows: Vec<Vec<Value>> =
        facts.setting.iter().map(|(name, value)| vec![cell(name), cell(value)]).collect();
    for [arm, durability, reads, command] in &facts.arms {
        let text = format!("{durability}; reads on the leader: {reads}; 3 × {command}");
        rows.push(vec![cell(arm), cell(text)]);
    }
    table("What was compared", "Versions, flags, conditions.", (&["", ""], 2), rows, &[])
}

fn gaps(facts: &Facts) -> Value {
    let row = |gap: &[String; 3]| gap.iter().map(cell).collect();
    let rows: Vec<Vec<Value>> = facts.gaps.iter().map(row).collect();
    let columns = if rows.is_empty() { &[][..] } else { &["Arm", "Workload", "Why"][..] };
    let notes: &[&str] = if rows.is_empty() { &["Nothing: every run was made."] } else { &[] };
    table("What has no figures", "Which runs failed, and why?", (columns, 3), rows, notes)
}

fn validity(figures: &Figures) -> Value {
    let row = |(workload, arm, entry): (&str, Arm, &Entry)| {
        let (word, mood) =
            if entry.doubt().is_some() { ("✗ invalid", "bad") } else { ("✓ valid", "good") };
        let others = entry.others_cores.map_or(NONE.to_owned(), |cores| format!("{cores:.2}"));
        vec![
            json!({ "text": word, "mood": mood }),
            cell(workload),
            cell(arm.name()),
            cell(entry.doubt().unwrap_or_default()),
            cell(latency(entry.lag_p99_us)),
            cell(others),
            cell(entry.violations.to_string()),
        ]
    };
    let rows: Vec<Vec<Value>> = figures.runs().map(row).collect();
    table(
        "Validity of each run",
        "Was the load what it was said to be, and was the machine quiet?",
        (&["", "Run", "Arm", "Why", "Send lag p99", "Others, cores", "Wrong answers"], 4),
        rows,
        &[
            "Closed loops have no plan that the generator could be late for. Others: what programs that are neither \
           generator nor servers kept busy.",
        ],
    )
}

fn table(
    title: &str,
    question: &str,
    (columns, words): (&[&str], usize),
    rows: Vec<Vec<Value>>,
    notes: &[&str],
) -> Value {
    json!({
        "title": title, "question": question, "columns": columns, "words": words, "rows": rows,
        "notes": notes,
    })
}

fn cell(text: impl AsRef<str>) -> Value {
    json!({ "text": text.as_ref() })
}

#[cfg(test)]
mod tests {
    use super::{Facts, all, judged};
    use crate::versus::arms::Arm;
    use crate::versus::figures::Figures;
    use crate::versus::figures::tests::workload;
    use serde_json::{Value, json};

    fn figures() -> Figures {
        let arms = [(Arm::OursFsync, 36_000.0, 6_000.0), (Arm::JavaDledger, 180.0, 560_000.0)];
        let mut one = workload("writes-saturated", "alter_sync_state_set", &arms);
        let better = json!({ "arm": "java-dledger", "of": "servers", "metric": "disk bytes per operation",
            "unit": "bytes", "better": "lower", "base": 512.0, "value": 256.0, "ratio": 0.5,
            "interval": null, "change": null });
        one["ratios"].as_array_mut().expect("it is a list").push(better);
        Figures::read(&json!({ "workloads": [one] }))
    }

    fn titled(tables: &Value, title: &str) -> String {
        let all = tables.as_array().expect("they are a list");
        let found = all.iter().find(|table| table["title"] == title).expect("it is there");
        found["rows"].to_string()
    }

    #[test]
    fn goals_and_figures_stand_beside_each_other() {
        let tables = all(&figures(), &Facts::default(), &[Arm::JavaDledger, Arm::OursFsync]);
        let goals = titled(&tables, "Goals");
        assert!(goals.contains("{\"mood\":\"good\",\"text\":\"reached\"}"), "{goals}");
        assert!(goals.contains("200×") && goals.contains("not measured"), "{goals}");
        let shown = titled(&tables, "Old and new");
        assert!(shown.contains("\"180/s\"") && shown.contains("\"36,000/s\""), "{shown}");
        assert!(shown.contains("(560 ms)"), "too few samples are bracketed: {shown}");
    }

    #[test]
    fn what_java_does_better_is_found_and_nothing_else() {
        let rows = titled(&all(&figures(), &Facts::default(), &Arm::ALL), "Where Java is better");
        let rows: Value = serde_json::from_str(&rows).expect("it is JSON");
        assert_eq!(rows.as_array().map(Vec::len), Some(1));
        assert_eq!(rows[0][1]["text"], "servers disk bytes per operation");
        assert_eq!(rows[0][6]["text"], "2.00×");
    }

    #[test]
    fn refusals_and_gaps_are_told() {
        let facts = Facts {
            refusals: vec![("java-dledger".to_owned(), "code 2007".to_owned())],
            gaps: vec![["java-jraft", "fleet-1000", "no leader"].map(str::to_owned)],
            ..Facts::default()
        };
        let tables = all(&figures(), &facts, &[Arm::JavaDledger, Arm::OursFsync]);
        assert!(titled(&tables, "Old and new").contains("\"refused\""));
        assert!(titled(&tables, "What has no figures").contains("no leader"));
    }

    #[test]
    fn objectives_say_the_same_as_the_table() {
        let judged = judged(&figures());
        assert_eq!(judged[0]["verdict"], "pass");
        assert_eq!(judged[1]["verdict"], "inconclusive");
        assert!(judged[1]["why"].as_str().is_some_and(|why| why.starts_with("not measured")));
    }
}

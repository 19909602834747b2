//! Objectives on runs whose figures are known: verdicts, floors, waivers, and the picture.

#[path = "made/runs.rs"]
mod runs;

use measure::folder::Found;
use measure::judged::{Judged, Verdict};
use runs::{file, on_a_host, run};
use slo::{Objectives, RUNS_MAX, explain, judge};

const TODAY: &str = "2026-12-10";
const P99: &str = "{ of = \"latency\", op = \"write\", q = 0.99 }";

fn judged(sli: &str, rest: &str, runs: &[Found]) -> Judged {
    let objectives =
        Objectives::read("slo.toml", &file(sli, rest)).unwrap_or_else(|error| panic!("{error}"));
    let mut ending = judge(&objectives, runs, TODAY);
    assert_eq!(ending.judged.len(), 1, "{ending:?}");
    ending.judged.remove(0)
}

/// Times of 1 to 10 ms, evenly.
fn even() -> Vec<f64> {
    (1..=100).map(|number| f64::from(number) / 10.0).collect()
}

#[test]
fn every_figure_has_its_value() {
    let runs = [run(0, &even())];
    let rows = [
        (P99, 9.9),
        ("{ of = \"latency\", op = \"write\", q = 0.5 }", 5.0),
        ("{ of = \"answered\", op = \"write\" }", 100.0),
        ("{ of = \"cpu\" }", 15.0),
        ("{ of = \"bytes\" }", 300.0),
        ("{ of = \"memory\" }", 50.0),
        ("{ of = \"memory_growth\" }", 351.56),
        ("{ of = \"milestone\", op = \"told\", q = 0.99 }", 198.0),
        ("{ of = \"milestone\", op = \"told\", q = 1.0 }", 200.0),
        ("{ of = \"untold\" }", 0.0),
        ("{ of = \"violations\" }", 0.0),
    ];
    for (sli, expected) in rows {
        let it = judged(sli, "minimum = { value = 1000.0 }", &runs);
        let value = it.value.unwrap_or_else(|| panic!("{sli}: {}", it.why));
        assert!((value - expected).abs() <= expected * 2e-3, "{sli}: {value}");
        let (low, high) = it.low.zip(it.high).unwrap();
        assert!(low <= value * 1.001 && value <= high * 1.001, "{sli}: {low} {value} {high}");
        let expected = if sli.contains("answered") { Verdict::Fail } else { Verdict::Pass };
        assert_eq!(it.verdict, expected, "{sli}");
    }
}

/// In the second half of the run two requests in a hundred take 50 ms: p99 is anywhere from 10 to 50 ms.
fn torn(day: u64) -> Found {
    let mut slow = even();
    slow[98..].fill(50.0);
    let mut found = run(day, &even());
    found.windows.truncate(20);
    found.windows.extend(run(day, &slow).windows.split_off(20));
    found
}

#[test]
fn the_interval_and_the_bar_decide() {
    let rows = [
        (run(0, &even()), 12.0, Verdict::Pass),
        (run(0, &even()), 8.0, Verdict::Fail),
        (torn(0), 9.0, Verdict::Fail),
        (torn(0), 30.0, Verdict::Extended),
        (torn(0), 60.0, Verdict::Pass),
    ];
    for (found, bar, expected) in rows {
        let it = judged(P99, &format!("minimum = {{ value = {bar:?} }}"), &[found]);
        assert_eq!(it.verdict, expected, "{it:?}");
    }
    let runs: Vec<Found> = (0..4).map(torn).collect();
    assert_eq!(runs.len(), RUNS_MAX);
    let it = judged(P99, "minimum = { value = 30.0 }", &runs);
    assert_eq!(it.verdict, Verdict::Inconclusive, "after so many runs it is given up: {it:?}");
}

#[test]
fn a_slow_disk_raises_bar_and_hopes() {
    let rest = "minimum = { value = 8.0, floor = \"fsync.p99\", times = 3.0 }\naspire = [{ name = \"M1\", value = 5.0, times = 2.5 }]";
    let fast = judged(P99, rest, &[on_a_host(run(0, &even()), 1.0)]);
    assert_eq!((fast.verdict, fast.minimum), (Verdict::Fail, 8.0));
    let slow = judged(P99, rest, &[on_a_host(run(0, &even()), 4.0)]);
    assert_eq!(
        (slow.verdict, slow.minimum, slow.aspirations[0].value),
        (Verdict::Pass, 12.0, 10.0)
    );
    assert_eq!(slow.minimum_from, "3 × fsync.p99 of 4.00 ms");
    let unknown = judged(P99, rest, &[run(0, &even())]);
    assert!(unknown.minimum_from.contains("no host card"), "{}", unknown.minimum_from);
}

#[test]
fn invalid_runs_say_nothing_but_wrong_answers_stay_wrong() {
    let mut invalid = run(0, &even());
    invalid.run.validity.valid = false;
    invalid.run.validity.reasons = vec!["the generator was late".into()];
    let it = judged(P99, "minimum = { value = 1.0 }", std::slice::from_ref(&invalid));
    assert_eq!((it.verdict, it.why.as_str()), (Verdict::Invalid, "the generator was late"));
    let both = judged(P99, "minimum = { value = 12.0 }", &[invalid.clone(), run(1, &even())]);
    assert_eq!(both.verdict, Verdict::Pass, "the valid one counts");
    let wrong = |found: &Found| {
        judged("{ of = \"violations\" }", "minimum = { value = 0.0 }", std::slice::from_ref(found))
    };
    assert_eq!(
        wrong(&invalid).verdict,
        Verdict::Invalid,
        "right answers of an invalid run prove nothing"
    );
    invalid.run.correctness.violations = 1;
    assert_eq!(wrong(&invalid).verdict, Verdict::Fail);
}

#[test]
fn a_replica_that_was_taken_for_dead_breaks_the_bar_though_every_answer_was_right() {
    let dead = |brokers: Option<u64>| {
        let mut found = run(0, &even());
        found.run.correctness.wrongly_dead = brokers;
        found
    };
    let of =
        |found: Found| judged("{ of = \"wrongly_dead\" }", "minimum = { value = 0.0 }", &[found]);
    assert_eq!(of(dead(Some(0))).verdict, Verdict::Pass);
    let one = of(dead(Some(1)));
    assert_eq!((one.verdict, one.value), (Verdict::Fail, Some(1.0)));
    assert_eq!(one.sli, "living brokers taken for dead");
    let uncounted = of(dead(None));
    assert_eq!(uncounted.verdict, Verdict::Inconclusive);
    assert!(uncounted.why.contains("nobody counted"), "{}", uncounted.why);
    let mut late = dead(Some(1));
    late.run.validity.valid = false;
    assert_eq!(
        of(late).verdict,
        Verdict::Invalid,
        "heartbeats that nobody sent are nobody's fault"
    );
}

#[test]
fn few_samples_are_no_verdict() {
    let mut short = run(0, &even());
    short.windows.truncate(5);
    let it = judged(P99, "minimum = { value = 12.0 }", &[short]);
    assert_eq!((it.verdict, it.value), (Verdict::Inconclusive, None));
    assert!(it.why.contains("500 samples: fewer than ten"), "{}", it.why);
    let it = judged(
        "{ of = \"latency\", op = \"read\", q = 0.5 }",
        "minimum = { value = 1.0 }",
        &[run(0, &even())],
    );
    assert!(it.why.contains("no such operation"), "{}", it.why);
}

#[test]
fn the_worst_counts_unless_it_is_waived() {
    let waiver = "waiver = [{ id = \"it\", until = \"2026-12-31\", reason = \"disk\", approved_by = \"ann\" }]\n";
    let text = file(P99, "minimum = { value = 8.0 }");
    let runs = [run(0, &even())];
    let failed = judge(&Objectives::read("f", &text).unwrap(), &runs, TODAY);
    assert_eq!(failed.verdict(), Verdict::Fail);
    let waived = text.replacen("\n\n", &format!("\n{waiver}\n"), 1);
    let waived = Objectives::read("f", &waived).unwrap();
    let ending = judge(&waived, &runs, TODAY);
    assert_eq!((ending.verdict(), ending.judged[0].verdict), (Verdict::Pass, Verdict::Fail));
    assert!(
        ending.judged[0].why.contains("waived until 2026-12-31 by ann"),
        "{}",
        ending.judged[0].why
    );
    assert_eq!(judge(&waived, &runs, "2027-01-01").verdict(), Verdict::Fail, "it has run out");
    let mut other = run(0, &even());
    other.run.name = "other".into();
    let ending = judge(&waived, &[other], TODAY);
    assert_eq!((ending.judged.len(), ending.without_run), (0, vec!["it".to_owned()]));
}

#[test]
fn an_objective_explains_itself() {
    let rest = "minimum = { value = 24.0, floor = \"fsync.p99\", times = 3.0 }\naspire = [{ name = \"M1\", value = 5.0 }]\n\
                history = [{ at = \"2026-12-01\", minimum = \"60 -> 24\", commit = \"abc\" }]";
    let objectives = Objectives::read("f", &file(P99, rest)).unwrap();
    let runs = [run(0, &even())];
    let ending = judge(&objectives, &runs, TODAY);
    let all: Vec<&Judged> = ending.judged.iter().collect();
    let text = explain(objectives.find("it").unwrap(), &all, &[&runs[0]]);
    for part in [
        "it · c · nobody owns it",
        "24 ms, or 3 × fsync.p99",
        "60 -> 24 abc",
        "✓ pitchover-fsync: 9.90",
        "← judged",
        "┃",
        "┆",
        "M1",
        "p99.9",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    let judged_row = text.lines().find(|line| line.contains("← judged")).unwrap();
    assert!(judged_row.trim_start().starts_with("p99 "), "{judged_row}");
    let without = explain(objectives.find("it").unwrap(), &[], &[]);
    assert!(without.contains("no run of this workload"), "{without}");
}

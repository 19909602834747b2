//! Bars that move, and files that ask less than before.

#[path = "made/runs.rs"]
mod runs;

use measure::folder::Found;
use runs::{file, on_a_host, run};
use slo::{Objectives, loosened, ratchet};

const P99: &str = "{ of = \"latency\", op = \"write\", q = 0.99 }";
const REST: &str = "minimum = { value = 60.0, floor = \"fsync.p99\", times = 3.0 } # the bar\n\
                    aspire = [{ name = \"M1\", value = 24.0, times = 2.0 }, { name = \"M2\", value = 11.0 }, { name = \"M3\", value = 2.0 }]\n\
                    # the end";

fn even() -> Vec<f64> {
    (1..=100).map(|number| f64::from(number) / 10.0).collect()
}

fn moved(rest: &str, runs: &[Found]) -> (String, Vec<slo::Move>) {
    let text = file(P99, rest);
    let objectives = Objectives::read("f", &text).expect("a good file");
    let (new, moves) = ratchet(&text, &objectives, runs, "2026-12-10").expect("its own text");
    Objectives::read("f", &new).unwrap_or_else(|error| panic!("{error}\n{new}"));
    if moves.is_empty() {
        assert_eq!(new, text);
    }
    (new, moves)
}

#[test]
fn a_hope_that_was_kept_becomes_the_bar_and_the_file_keeps_its_layout() {
    let runs: Vec<Found> = (0..3).map(|day| run(day, &even())).collect();
    let (new, moves) = moved(REST, &runs);
    assert_eq!((moves.len(), moves[0].hope.as_str()), (1, "M2"));
    // M2 is 11 ms, the worst interval ends at about 10 ms, times 1.1: the looser of both.
    assert!(moves[0].to >= 10.9 && moves[0].to <= 11.1, "{moves:?}");
    for part in [
        "# How bars move.",
        "   # what is measured",
        "# the bar",
        "# the end",
        "\"60 -> 11\"",
        "\"w-0\", \"w-1\", \"w-2\"",
        "name = \"M3\"",
        "commit = \"abc\"",
    ] {
        assert!(new.contains(part), "{part} is missing:\n{new}");
    }
    assert!(
        !new.contains("\"M1\"") && !new.contains("\"M2\""),
        "what became the bar is no hope:\n{new}"
    );
    let (_, again) = {
        let objectives = Objectives::read("f", &new).unwrap();
        ratchet(&new, &objectives, &runs, "2026-12-11").unwrap()
    };
    assert_eq!(again, [], "nothing moves twice");
}

#[test]
fn too_few_runs_or_days_or_an_invalid_one_move_nothing() {
    let all = |days: [u64; 3]| days.map(|day| run(day, &even()));
    assert!(!moved(REST, &all([0, 1, 2])).1.is_empty());
    assert!(moved(REST, &all([0, 1, 2])[..2]).1.is_empty(), "two runs of three");
    assert!(moved(REST, &all([0, 0, 0])).1.is_empty(), "one day of two");
    let mut runs = all([0, 1, 2]);
    runs[1].run.validity.valid = false;
    assert!(moved(REST, &runs).1.is_empty(), "an invalid run");
    let mut runs = all([0, 1, 2]);
    runs[2] = run(2, &[80.0]);
    assert!(moved(REST, &runs).1.is_empty(), "the last run broke it");
}

#[test]
fn a_floor_of_a_slow_host_tightens_only_the_factor() {
    let slow: Vec<Found> = (0..3).map(|day| on_a_host(run(day, &[70.0]), 40.0)).collect();
    let rest = "minimum = { value = 60.0, floor = \"fsync.p99\", times = 3.0 }\naspire = [{ name = \"M1\", value = 24.0, times = 2.0 }]";
    let (new, moves) = moved(rest, &slow);
    assert_eq!((moves[0].to, moves[0].times), (60.0, Some(2.0)), "{new}");
}

#[test]
fn what_asks_less_is_named_and_a_waiver_excuses_it() {
    let rest = "minimum = { value = 24.0, floor = \"fsync.p99\", times = 3.0 }\nprod = { type = \"X\", seconds = 0.03, ratio = 0.999 }";
    let text = file(P99, rest);
    let old = Objectives::read("f", &text).unwrap();
    let compared = |new: &str| {
        let new = Objectives::read("f", new).unwrap_or_else(|error| panic!("{error}\n{new}"));
        loosened(&old, &new, "2026-12-10")
    };
    assert_eq!(compared(&text), []);
    assert_eq!(
        compared(&text.replace("24.0", "20.0").replace("0.999", "0.9999")),
        [],
        "tighter is fine"
    );
    let rows = [
        ("24.0", "25.0", "bar: 24 -> 25 ms"),
        ("times = 3.0", "times = 4.0", "floor: 3 x"),
        ("q = 0.99", "q = 0.9", "another figure"),
        ("workload = \"w\"", "workload = \"v\"", "w -> write latency p99 on v"),
        ("seconds = 0.03", "seconds = 0.05", "prod:"),
        ("ratio = 0.999", "ratio = 0.99", "prod:"),
        ("prod = {", "# prod = {", "prod: it is gone"),
        ("id = \"it\"", "id = \"other\"", "it is gone"),
        ("promote_after = 3", "promote_after = 9", "bars would move later"),
    ];
    for (from, to, says) in rows {
        let all = compared(&text.replace(from, to));
        assert!(
            all.len() == 1 && all[0].what.contains(says) && !all[0].is_waived,
            "{from}: {all:?}"
        );
    }
    // Another figure under the old name asks no less if the old one is asked for under a new name.
    let own = text.split_once("[[slo]]").expect("an objective").1;
    let handed_on = |of_old: &str| {
        let renamed = of_old.replace("id = \"it\"", "id = \"heir\"");
        compared(&format!("{}\n[[slo]]{renamed}", text.replace("q = 0.99", "q = 0.9")))
    };
    assert_eq!(handed_on(own), []);
    let looser = handed_on(&own.replace("24.0", "25.0"));
    assert!(looser.len() == 1 && looser[0].what.contains("bar: 24 -> 25 ms"), "{looser:?}");
    let waiver = "\nwaiver = [{ id = \"it\", until = \"2026-12-31\", reason = \"r\", approved_by = \"ann\" }]\n\n";
    let waived = compared(&text.replace("24.0", "25.0").replacen("\n\n", waiver, 1));
    assert!(waived.len() == 1 && waived[0].is_waived, "{waived:?}");
}

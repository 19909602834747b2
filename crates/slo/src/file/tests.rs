//! Files that are refused, and by which words.

use super::{Objectives, is_day};

const GOOD: &str = r#"schema = "pitchover.slo/v1"

[ratchet]
promote_after = 2
days = 1

[[slo]]
id = "write-p99"
component = "metadata write"
workload = "canonical"
sli = { of = "latency", op = "alter_sync_state_set", q = 0.99 }
minimum = { value = 24.0, floor = "fsync.p99", times = 3.0 }
aspire = [{ name = "M1", value = 16.0, times = 2.0 }, { name = "M2", value = 10.0 }]
"#;

fn check(replace: &str, by: &str, line: usize, says: &str) {
    assert!(GOOD.contains(replace), "{replace}");
    let error = Objectives::read("slo.toml", &GOOD.replace(replace, by)).unwrap_err();
    assert_eq!(error.line, line, "{error}");
    assert!(error.to_string().contains(says), "{error}");
}

#[test]
fn a_good_file_is_read() {
    let objectives = Objectives::read("slo.toml", GOOD).unwrap();
    let objective = objectives.find("write-p99").unwrap();
    assert_eq!(objective.sli.words(), "alter_sync_state_set latency p99");
    assert_eq!(objective.aspire.len(), 2);
    assert_eq!((objectives.ratchet.promote_after, objectives.ratchet.headroom), (2, 1.10));
    assert!(objectives.find("other").is_none());
}

#[test]
fn mistakes_are_named_with_line_and_remedy() {
    check(
        "component =",
        "componend =",
        9,
        "unknown field `componend`, expected one of `id`, `component`",
    );
    check("pitchover.slo/v1", "pitchover.slo/v2", 1, "must be \"pitchover.slo/v1\"");
    check(
        "\"latency\"",
        "\"latencies\"",
        11,
        "unknown variant `latencies`, expected one of `latency`",
    );
    check("fsync.p99", "fsync.p50", 12, "expected `fsync.p99` or `round_trip.p99`");
    check(", q = 0.99", "", 7, "sli of Latency needs `q` from 0 to 1");
    check("q = 0.99", "q = 99", 7, "needs `q` from 0 to 1");
    check("op = \"alter_sync_state_set\", ", "", 7, "sli of Latency needs `op`");
    check(
        "{ of = \"latency\", op = \"alter_sync_state_set\", q = 0.99 }",
        "{ of = \"memory\" }",
        7,
        "only for figures in ms",
    );
    check(", times = 3.0", "", 7, "`floor` and `times` come together");
    check("value = 24.0", "value = -1.0", 7, "a bar is 0 or more");
    check("value = 16.0", "value = 25.0", 7, "M1: 25 is not better than 24 before it");
    check("times = 2.0", "times = 3.5", 7, "its `times` is above the one before it");
    check("write-p99", "Write p99", 7, "of a-z, 0-9 and -");
    check("days = 1", "days = 3", 1, "days 1 to promote_after");
}

#[test]
fn an_objective_stands_once() {
    let second = GOOD.split_once("[[slo]]").unwrap().1;
    let error = Objectives::read("f", &format!("{GOOD}[[slo]]{second}")).unwrap_err();
    assert!(error.to_string().contains("f:14: objective \"write-p99\" stands twice"), "{error}");
    let error = Objectives::read("f", "schema = \"pitchover.slo/v1\"\n").unwrap_err();
    assert!(error.to_string().contains("0 objectives"), "{error}");
}

#[test]
fn a_waiver_needs_an_objective_a_day_a_reason_and_a_name() {
    let with = |waiver: &str| {
        Objectives::read("f", &GOOD.replacen('\n', &format!("\nwaiver = [{{ {waiver} }}]\n"), 1))
    };
    let full =
        "id = \"write-p99\", until = \"2027-01-15\", reason = \"disk\", approved_by = \"ann\"";
    let waived = with(full).unwrap();
    assert!(waived.waived("write-p99", "2027-01-15").is_some());
    assert!(waived.waived("write-p99", "2027-01-16").is_none());
    assert!(waived.waived("other", "2026-01-01").is_none());
    for (from, to, says) in [
        ("write-p99", "read-p99", "there is no such objective"),
        ("2027-01-15", "soon", "a day such as"),
        ("\"ann\"", "\" \"", "who approved it"),
    ] {
        let error = with(&full.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn days_have_one_form() {
    assert!(is_day("2026-12-01") && is_day("2027-02-31"));
    for text in
        ["2026-13-01", "2026-12-00", "26-12-01", "2026-12-1", "2026/12/01", "", "2026-12-01-01"]
    {
        assert!(!is_day(text), "{text}");
    }
}

#[test]
fn the_file_of_this_repository_is_one() {
    let text = include_str!("../../../../slo.toml");
    let objectives = Objectives::read("slo.toml", text).unwrap();
    assert!(objectives.all().count() >= 15 && objectives.waiver.is_empty());
    // A replica that is taken for dead gives nobody a wrong answer.
    let deaths = objectives.find("no-false-deaths").map(|it| it.sli.of);
    assert_eq!(deaths, Some(super::SliKind::WronglyDead));
}

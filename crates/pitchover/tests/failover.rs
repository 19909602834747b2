//! `bench failover` against real processes: that it says the truth, not how fast anything is.

use std::process::{Command, Stdio};

use serde_json::Value;

/// Runs `bench failover` with these words and returns its report, whatever its verdict: on a busy machine goals are
/// missed, which is nothing that a test may judge.
fn report(words: &[&str]) -> Value {
    let ran = Command::new(env!("CARGO_BIN_EXE_pitchover"))
        .args(["bench", "failover"])
        .args(words)
        .arg("--json")
        .stdin(Stdio::null())
        .output()
        .expect("the program can be started");
    let said = String::from_utf8_lossy(&ran.stderr);
    serde_json::from_slice(&ran.stdout).unwrap_or_else(|_| panic!("there is no report: {said}"))
}

fn samples(report: &Value, what: &str) -> u64 {
    let distributions = report["distributions"].as_array().expect("a list");
    let found = distributions.iter().find(|it| it["what"] == what).expect("it was measured");
    found["samples"].as_u64().expect("a count")
}

fn reached(report: &Value, what: &str) -> f64 {
    let goals = report["goals"].as_array().expect("a list");
    let goal = goals.iter().find(|it| it["what"] == what).expect("it is a goal");
    goal["reached"].as_f64().expect("a number")
}

#[test]
fn all_survivors_of_all_masters_are_told() {
    let report = report(&["masters", "--sets", "4", "--at-once", "2", "--pause-ms", "1"]);
    assert_eq!(report["violations"], Value::Array(Vec::new()), "{report:#}");
    assert_eq!(samples(&report, "close of a master to a survivor told"), 8);
    assert!(reached(&report, "survivors never told").abs() < f64::EPSILON);
}

#[test]
fn a_fleet_on_shared_connections_lives_and_polls() {
    let report = report(&["steady", "--brokers", "12", "--share", "5", "--duration", "2"]);
    assert_eq!(report["violations"], Value::Array(Vec::new()), "{report:#}");
    assert!(reached(&report, "brokers taken for dead").abs() < f64::EPSILON);
    assert!(samples(&report, "getReplicaInfo") > 0);
}

#[test]
fn a_killed_and_a_frozen_leader_are_replaced() {
    let report = report(&["leader", "--sets", "3", "--kills", "1", "--freezes", "1"]);
    assert_eq!(report["violations"], Value::Array(Vec::new()), "{report:#}");
    assert_eq!(samples(&report, "leader killed to first accepted write"), 1);
    assert_eq!(samples(&report, "leader frozen to first accepted write"), 1);
}

#[test]
fn what_cannot_be_is_refused() {
    for (words, text) in [
        (&["masters", "--sets", "0"][..], "sets must be 1 to 10000 (SETS_MAX)"),
        (&["steady", "--brokers", "10"], "a multiple of 3"),
        (&["leader", "--sets", "1"], "each controller needs one"),
    ] {
        let ran = Command::new(env!("CARGO_BIN_EXE_pitchover"))
            .args(["bench", "failover"])
            .args(words)
            .stdin(Stdio::null())
            .output()
            .expect("the program can be started");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(64), "{words:?}: {said}");
        // By these words `versus-java` tells it from what a failover says while it goes on.
        let is_told = said.contains("bench failover: no report: ") && said.contains(text);
        assert!(is_told, "{words:?}: {said}");
    }
}

//! Objectives beside the server that they are about: names and bounds of metrics, and the commands on files.

use std::process::Command;

use server::config::{Config, Sources};
use server::metrics::{
    BrokerSetGauges, ElectionReason, ElectionResult, ExpiryReason, Metrics, NoticeResult,
    RequestKind, Snapshot, Stage,
};
use slo::{METRICS, Objectives};

#[path = "processes/scene.rs"]
mod scene;
use scene::{Scene, said};

const FILE: &str = include_str!("../../../slo.toml");

/// A metrics page on which everything has happened once.
fn page() -> String {
    let arguments = [
        ("controllerDLegerGroup", "g"),
        ("controllerDLegerPeers", "n0-127.0.0.1:9877"),
        ("controllerDLegerSelfId", "n0"),
    ];
    let arguments = arguments.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let config = Config::load(&Sources { arguments, ..Sources::default() }).expect("valid");
    let metrics = Metrics::new(&config);
    for kind in RequestKind::ALL {
        metrics.request(kind, 0, 1);
    }
    metrics.election("c", "s", ElectionResult::Elected, ElectionReason::Broker);
    metrics.journal_sync(1, 1);
    metrics.stage(Stage::Commit, 1, 1);
    metrics.peer_frame(1);
    metrics.refused("LIMIT_MAX");
    metrics.notice(NoticeResult::Sent);
    metrics.broker_expired(ExpiryReason::Silent);
    metrics.leader_changed();
    let set = BrokerSetGauges {
        cluster: "c".into(),
        broker_set: "s".into(),
        alive: 3,
        sync_state_set_size: 3,
    };
    metrics.publish(Snapshot {
        broker_sets: vec![set].into(),
        queue_depths: vec![("requests", 0)],
        ..Snapshot::default()
    });
    metrics.text()
}

#[test]
fn rules_name_metrics_that_the_server_has() {
    let page = page();
    for name in METRICS {
        assert!(page.contains(&format!("# TYPE {name} ")), "{name} is not on the page:\n{page}");
    }
    for label in [
        "reason=\"silent\"",
        "limit=\"LIMIT_MAX\"",
        "reason=\"broker\"",
        "queue=\"requests\"",
        "stage=\"commit\"",
        "code=\"0\"",
    ] {
        assert!(page.contains(label), "{label}");
    }
}

#[test]
fn every_promise_is_about_a_bucket_that_exists() {
    let page = page();
    for objective in Objectives::read("slo.toml", FILE).unwrap().all() {
        let Some(prod) = &objective.prod else { continue };
        let (kind, bound) = (&prod.kind, format!("le=\"{:?}\"", prod.seconds));
        let found = page.lines().any(|line| {
            line.starts_with("pitchover_request_seconds_bucket")
                && line.contains(&format!("type=\"{kind}\""))
                && line.contains(&bound)
        });
        assert!(found, "{}: no bucket {bound} of {kind}:\n{page}", objective.id);
    }
}

fn slo(scene: &Scene, words: &[&str]) -> (Option<i32>, String) {
    said(&scene.run(&[&["slo"], words].concat()))
}

#[test]
fn files_are_linted_with_line_and_remedy() {
    let scene = Scene::new("objectives-lint");
    scene.write("slo.toml", FILE);
    let (code, said) = slo(&scene, &["lint"]);
    assert_eq!(code, Some(0), "{said}");
    scene.write("looser.toml", &FILE.replace("value = 24.0", "value = 30.0"));
    let (code, said) = slo(&scene, &["lint", "--slo", "looser.toml", "--against", "slo.toml"]);
    assert!(
        code == Some(1) && said.contains("write-p99: bar: 24 -> 30 ms: LOOSENED"),
        "{code:?} {said}"
    );
    let (code, said) = slo(&scene, &["lint", "--against", "looser.toml"]);
    assert!(code == Some(0), "tighter is fine: {said}");
    let line = 1 + FILE.lines().position(|it| it.starts_with("component =")).unwrap();
    let unknown = format!("slo.toml:{line}: unknown field `componend`, expected one of");
    let rows = [
        ("component =", "componend =", unknown.as_str()),
        (
            "workload = \"canonical\"",
            "workload = \"canonica\"",
            "workload \"canonica\" is no preset (canonical, ",
        ),
    ];
    for (from, to, says) in rows {
        scene.write("slo.toml", &FILE.replacen(from, to, 1));
        let (code, said) = slo(&scene, &["lint"]);
        assert!(code == Some(64) && said.contains(says), "{code:?} {said}");
    }
}

#[test]
fn a_workload_may_be_a_file_beside_the_objectives() {
    let scene = Scene::new("objectives-beside");
    scene.write("slo.toml", &FILE.replace("workload = \"canonical\"", "workload = \"ours\""));
    scene.write("Cargo.toml", "[package]\nname = \"ours\"\n");
    let (code, said) = slo(&scene, &["lint"]);
    assert!(code == Some(64) && said.contains("no workload file beside slo.toml"), "{said}");
    let workload = "schema = \"pitchover.bench/v1\"\nname = \"ours\"\n\
                    time = { measure = \"1s\" }\n[fleet]\nbroker_sets = 1\n";
    scene.write("any.toml", workload);
    let (code, said) = slo(&scene, &["lint"]);
    assert_eq!(code, Some(0), "{said}");
    // What cannot be run is no workload.
    scene.write("any.toml", &format!("{workload}speed = 3\n"));
    let (code, said) = slo(&scene, &["lint"]);
    assert!(code == Some(64) && said.contains("any.toml:6"), "{said}");
}

#[test]
fn a_revision_of_git_is_another_version() {
    if Command::new("git").arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no git here");
        return;
    }
    let scene = Scene::new("objectives-git");
    let git = |words: &[&str]| {
        let mut all = vec!["-c", "user.name=t", "-c", "user.email=t@example.org"];
        all.extend(words);
        let ran = Command::new("git")
            .args(all)
            .current_dir(scene.folder())
            .output()
            .expect("it was there a moment ago");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    };
    scene.write("slo.toml", FILE);
    let (code, said) = slo(&scene, &["lint", "--against", "no-such-revision"]);
    assert!(code == Some(64) && said.contains("neither a file nor a revision"), "{code:?} {said}");
    git(&["init", "--quiet"]);
    git(&["add", "slo.toml"]);
    git(&["commit", "--quiet", "-m", "objectives"]);
    assert_eq!(slo(&scene, &["lint", "--against", "HEAD"]).0, Some(0));
    scene.write("slo.toml", &FILE.replace("value = 60.0 }", "value = 90.0 }"));
    let (code, said) = slo(&scene, &["lint", "--against", "HEAD"]);
    assert!(code == Some(1) && said.contains("write-p999: bar: 60 -> 90 ms"), "{code:?} {said}");
}

#[test]
fn objectives_become_rules_a_dashboard_and_an_explanation() {
    let scene = Scene::new("objectives-made");
    scene.write("slo.toml", FILE);
    let (code, said) = slo(&scene, &["rules"]);
    assert!(code == Some(0) && said.contains("- alert: PitchoverWriteP99PageFast"), "{said}");
    let (code, said) = slo(&scene, &["dashboard"]);
    assert!(code == Some(0) && serde_json::from_str::<serde_json::Value>(&said).is_ok(), "{said}");
    let (code, said) = slo(&scene, &["explain", "write-p99"]);
    assert!(code == Some(0) && said.contains("24 ms, or 3 × fsync.p99"), "{said}");
    let (code, said) = slo(&scene, &["explain", "nothing"]);
    assert!(code == Some(64) && said.contains("there are write-p99, "), "{said}");
    let (code, said) = slo(&scene, &["check", "nowhere"]);
    assert!(code == Some(64) && said.contains("no run folder"), "{said}");
}

/// A run on any machine is valid by these limits: how fast anything is matters to nobody here.
const WORKLOAD: &str = "schema = \"pitchover.bench/v1\"\nname = \"w\"\n\
                        time = { warmup = \"250ms\", measure = \"3s\", window = \"250ms\" }\n\
                        load = [{ op = \"get_replica_info\", rate = 100, conns = 2 }]\n\
                        limits = { send_lag_p99 = \"60s\", skipped_arrivals = 1000000, generator_cpu = 9.0, \
                          psi_cpu_some = \"100%\", clock_step = \"60s\" }\n\
                        [fleet]\nbroker_sets = 2\n";

#[test]
fn an_undecided_objective_is_measured_again_as_often_as_it_may_be() {
    let scene = Scene::new("objectives-extend");
    scene.write("w.toml", WORKLOAD);
    let (code, text) = said(&scene.run(&["bench", "run", "-f", "w.toml", "--out", "run"]));
    assert_eq!(code, Some(0), "{text}");
    let run = measure::folder::read(&scene.folder().join("run")).expect("a run folder").run;
    let reads = run.operations.iter().find(|it| it.op == "get_replica_info");
    let median_us = reads.and_then(|it| it.latency_us.p50).expect("300 reads have a median");
    // A bar in the middle of the interval: nobody can tell.
    let file = format!(
        "schema = \"pitchover.slo/v1\"\n[[slo]]\nid = \"read\"\ncomponent = \"c\"\nworkload = \"w\"\n\
         sli = {{ of = \"latency\", op = \"get_replica_info\", q = 0.5 }}\nminimum = {{ value = {} }}\n",
        median_us / 1e3
    );
    scene.write("slo.toml", &file);
    let (code, text) = slo(&scene, &["check", "run"]);
    assert!(code == Some(2) && text.contains("undecided after 1 of 4 runs"), "{code:?} {text}");
    let (code, text) = slo(&scene, &["check", "run", "--extend", "--out", "judged.json"]);
    assert!(matches!(code, Some(0..=2)), "{code:?} {text}");
    let again = measure::folder::read(&scene.folder().join("run-again-1")).expect("a second run");
    assert_eq!((again.run.seed, again.run.arm), (run.seed + 1, run.arm));
    assert!(!scene.folder().join("run-again-4").exists(), "four runs at most: {text}");
    let judged = std::fs::read_to_string(scene.folder().join("judged.json")).expect("verdicts");
    assert!(!judged.contains("\"extended\""), "pass, fail or inconclusive: {judged}");
}

//! `pitchover soak` against real processes: that it sees what happened, not how fast anything is.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use measure::folder::read;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

#[path = "processes/scene.rs"]
mod scene;
use scene::{Scene, said};

const WORKLOAD: &str = "schema = \"pitchover.bench/v1\"\nname = \"w\"\n\
                        time = { warmup = \"500ms\", measure = \"12s\", window = \"500ms\" }\n\
                        load = [{ op = \"get_replica_info\", rate = 50, conns = 2 },\n\
                          { op = \"alter_sync_state_set\", rate = 20, conns = 2 }]\n\
                        [fleet]\nbroker_sets = 4\n";

const FAULTS: &str = "schema = \"pitchover.faults/v1\"\nfault = [\n\
                      { at = \"2s\", kind = \"controller-restart\", select = \"leader\", restart_after = \"2s\" },\n\
                      { at = \"6s\", every = \"20s\", kind = \"controller-kill\", select = \"leader\", restart_after = \"1s\" }]\n";

const OBJECTIVES: &str = "schema = \"pitchover.slo/v1\"\n[soak]\nslice_s = 2\n\n[[slo]]\nid = \"read\"\n\
                          component = \"c\"\nworkload = \"w\"\n\
                          sli = { of = \"latency\", op = \"get_replica_info\", q = 0.5 }\n\
                          minimum = { value = 5000.0 }\n";

fn scene(name: &str) -> Scene {
    let scene = Scene::new(name);
    scene.write("w.toml", WORKLOAD);
    scene.write("f.toml", FAULTS);
    scene.write("slo.toml", OBJECTIVES);
    scene
}

fn file(scene: &Scene, name: &str) -> String {
    let path = scene.folder().join("run").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn leaders_that_end_and_die_cost_no_write_and_no_living_broker() {
    let scene = scene("soak-faults");
    let words = ["soak", "-f", "w.toml", "--faults", "f.toml", "--report-clock", "--out", "run"];
    let (code, said) = said(&scene.run(&words));
    let found = read(&scene.folder().join("run")).unwrap_or_else(|error| panic!("{error}: {said}"));
    let correctness = &found.run.correctness;
    assert_eq!((correctness.lost_writes, correctness.violations), (Some(0), 0), "{said}");
    // Twelve seconds are too short for most drifts; and on a starved machine brokers may go silent.
    let expected = if correctness.wrongly_dead == Some(0) { [0, 2] } else { [1, 1] };
    assert!(code.is_some_and(|code| expected.contains(&code)), "{code:?}: {said}");
    let events: Vec<&str> = found.events.iter().map(|event| event.text.as_str()).collect();
    let count = |part: &str| events.iter().filter(|text| text.contains(part)).count();
    let struck = count("the leader, is asked to end") + count("the leader, is killed");
    // One that is still away, or that nobody has replaced yet, is not struck.
    let spared = count("not struck again") + count("no leader to strike");
    assert!(struck >= 1 && struck + spared == 2, "{events:?}");
    assert_eq!(count("is back"), struck, "{events:?}");
    let server = found.windows.iter().flat_map(|window| &window.servers);
    assert!(server.clone().any(|it| it.files > Some(0) && it.journal_bytes > Some(0)));
    assert!(server.clone().all(|it| it.threads > Some(0) && it.pid.is_some()));
    let soak: Value = serde_json::from_str(&file(&scene, "soak.json")).expect("JSON");
    assert_eq!(
        (soak["slice_ms"].as_u64(), soak["kept"][0]["slices"].as_u64()),
        (Some(2_000), Some(6))
    );
    assert!(file(&scene, "soak.md").contains("## Objectives, slice by slice"));
    assert!(file(&scene, "report.html").contains("living brokers taken for dead"));
}

#[test]
fn a_signal_cuts_a_soak_short_and_what_was_measured_is_judged() {
    let scene = scene("soak-short");
    let words = ["soak", "-f", "w.toml", "--for", "1h", "--report-clock", "--json", "--out", "run"];
    let mut soak = Command::new(env!("CARGO_BIN_EXE_pitchover"))
        .args(words)
        .current_dir(scene.folder())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be started");
    let stderr = soak.stderr.take().expect("it is piped");
    let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
    // The fourth window is over: something was measured.
    let windows = lines.by_ref().filter(|line| line.contains("\"at_ms\":1000,"));
    assert!(windows.take(1).count() == 1, "a window of the measured time");
    let pid = i32::try_from(soak.id()).ok().and_then(Pid::from_raw).expect("a process has an id");
    kill_process(pid, Signal::TERM).expect("our child can be signalled");
    let told: Vec<String> = lines.collect();
    let ended = soak.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(2), "undecided, so short: {told:?}");
    let run = read(&scene.folder().join("run")).expect("a run folder").run;
    assert!(run.finished && run.time.measure_ms < 600_000, "{:?}", run.time);
    assert_eq!(run.correctness.lost_writes, Some(0));
    let judged: Value = serde_json::from_slice(&ended.stdout).expect("JSON");
    assert_eq!(judged["verdict"], "inconclusive", "{judged}");
}

#[test]
fn wrong_words_and_files_are_refused_with_a_remedy() {
    let scene = scene("soak-refused");
    let own = ["soak", "-f", "w.toml"];
    let rows: [(&[&str], &str); 5] = [
        (&["--for", "9"], "a time such as 5m, 2h"),
        (&["--for", "100h"], "WINDOWS_MAX"),
        (&["--faults", "none.toml"], "none.toml: No such file"),
        (&["--faults", "slo.toml"], "slo.toml:5: unknown field `slo`"),
        (&["--slo", "w.toml"], "w.toml:6: unknown field `fleet`"),
    ];
    for (words, says) in rows {
        let (code, said) = said(&scene.run(&[&own[..], words].concat()));
        assert!(code == Some(64) && said.contains(says), "{code:?}: {said}");
    }
}

//! `bench run` against real processes: that its folder says what happened, not how fast anything is.
//!
//! On a busy machine a run is invalid (exit code 3), which no test may judge; what was offered is fixed by the seed, and that
//! every answer was right must hold on any machine.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use measure::folder::{Found, Operation, read};
use rustix::process::{Pid, Signal, kill_process};

#[path = "processes/patience.rs"]
mod patience;
#[path = "processes/scene.rs"]
mod scene;
#[path = "processes/under_way.rs"]
mod under_way;
use patience::until;
use scene::{Scene, said};

const HEAD: &str = "schema = \"pitchover.bench/v1\"\nname = \"test\"\nseed = 7\n";

/// A folder with the workload in it.
fn scene(workload: &str) -> Scene {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let scene = Scene::new(&format!("bench-run-{number}"));
    scene.write("w.toml", workload);
    scene
}

fn bench(scene: &Scene, words: &[&str]) -> Output {
    scene.run(&[&["bench", "run", "-f", "w.toml", "--out", "run"], words].concat())
}

/// Makes a run that must leave a folder, valid or not, whose answers must be right.
fn run(scene: &Scene, words: &[&str]) -> Found {
    let (code, said) = said(&bench(scene, words));
    assert!(matches!(code, Some(0 | 3)), "{code:?}: {said}");
    let found = read(&scene.folder().join("run")).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert!(found.run.finished && found.notes.is_empty(), "{:?}", found.notes);
    let correctness = &found.run.correctness;
    assert!(correctness.checked && correctness.violations == 0, "{correctness:?}");
    found
}

fn operation<'a>(found: &'a Found, op: &str) -> &'a Operation {
    let operation = found.run.operations.iter().find(|it| it.op == op);
    operation.unwrap_or_else(|| panic!("{op} is not among {:?}", found.run.operations))
}

#[test]
fn a_run_leaves_a_folder_that_says_what_was_offered() {
    let scene = scene(&format!(
        "{HEAD}time = {{ warmup = \"500ms\", measure = \"2s\", window = \"500ms\" }}\n\
         load = [{{ op = \"get_replica_info\", rate = 100, conns = 2 }},\n\
           {{ op = \"alter_sync_state_set\", arrival = \"poisson\", rate = 40, conns = 2 }},\n\
           {{ op = \"get_next_broker_id\", rate = 10, conns = 1, key = \"zipf:1\" }}]\n\
         [fleet]\nbroker_sets = 4\nget_replica_info = {{ every = \"1s\" }}\n\
         get_metadata = {{ every = \"1s\" }}\nheartbeat = {{ sample_twoway = 0.5 }}\n"
    ));
    let found = run(&scene, &["--arm", "this one"]);
    let run = &found.run;
    assert_eq!((run.arm.as_str(), run.seed, run.target.controllers.len()), ("this one", 7, 3));
    assert_eq!(run.durability, measure::folder::Durability::Fsync);
    // 100 and 10 each second for two seconds, and 12 brokers once a second.
    assert_eq!(operation(&found, "get_replica_info").offered, 200 + 24);
    assert_eq!(operation(&found, "get_next_broker_id").offered, 20);
    assert_eq!(operation(&found, "get_metadata").offered, 24);
    let beats =
        operation(&found, "heartbeat_oneway").offered + operation(&found, "heartbeat").offered;
    assert_eq!(beats, 2 * 12 * 3, "each second every broker to each controller");
    let alters = operation(&found, "alter_sync_state_set");
    assert!(
        alters.ok > 0 && alters.offered == alters.latency_us.count + alters.skipped,
        "{alters:?}"
    );
    let at: Vec<i64> = found.windows.iter().map(|window| window.at_ms).collect();
    assert_eq!(at, [-500, 0, 500, 1_000, 1_500], "each window once, warm-up first");
    assert_eq!(found.latency("get_replica_info").count(), 224);
    assert!(found.events.iter().any(|event| event.kind == "leader"), "{:?}", found.events);
    let how = found.events.iter().find(|event| event.text.contains("sessions of their own"));
    assert_eq!(how.map(|event| (event.at_ms, event.kind.as_str())), Some((-500, "note")));
    assert_eq!((found.slowest.len(), found.server_metrics.len()), (50, 3));
    assert!(run.cost.syncs_per_op.is_some_and(|syncs| syncs > 0.0), "{:?}", run.cost);
    assert!(run.correctness.wrongly_dead.is_some(), "controllers of ours count: {run:?}");
}

#[test]
fn masters_that_die_are_told_of_and_reads_go_on() {
    let scene = scene(&format!(
        "{HEAD}time = {{ warmup = \"500ms\", measure = \"4s\" }}\n\
         load = [{{ op = \"get_replica_info\", rate = 50, conns = 2 }},\n\
           {{ op = \"alter_sync_state_set\", rate = 20, conns = 2 }}]\n\
         fault = [{{ at = \"1s\", kind = \"broker-kill\", select = \"masters:50%\" }}]\n\
         [target]\nreads = \"follower\"\n[fleet]\nbroker_sets = 4\n\
         react = {{ to_role_change = \"alter_sync_state_set\", delay = \"1ms\" }}\n"
    ));
    let found = run(&scene, &["--seed", "9"]);
    let failover = found.run.failover.as_ref().expect("masters died");
    assert_eq!(failover.milestones[0].samples_us.len(), 4, "two survivors of two sets");
    let reported: Vec<&str> = failover.milestones.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(reported, ["told", "reported"]);
    assert_eq!(failover.milestones[1].samples_us.len(), 2, "both new masters reported");
    assert_eq!((found.broker_sets.len(), found.run.seed), (2, 9));
    for it in &found.run.operations {
        let ended = it.ok + it.errors.values().sum::<u64>() + it.timeouts + it.skipped;
        assert_eq!(it.offered, ended + it.abandoned, "every request ends once: {it:?}");
    }
    assert!(found.events.iter().any(|event| event.kind == "fault"), "{:?}", found.events);
}

#[test]
fn a_trace_is_replayed_while_all_brokers_reconnect() {
    let scene = scene(&format!(
        "{HEAD}time = {{ warmup = \"500ms\", measure = \"4s\" }}\n\
         load = [{{ op = \"get_replica_info\", arrival = \"trace:t.txt\", conns = 2 }}]\n\
         fault = [{{ at = \"1s\", kind = \"broker-reconnect\", select = \"brokers:100%\" }}]\n\
         [fleet]\nbroker_sets = 2\n"
    ));
    scene.write("t.txt", "0ms\n1.5s get_replica_info\n1.6s heartbeat\n2s get_replica_info\n");
    let found = run(&scene, &[]);
    assert_eq!(operation(&found, "get_replica_info").offered, 3, "its own lines of the trace");
    let said = found.events.iter().any(|it| it.text.contains("of 100 % of the sets reconnect"));
    assert!(said, "{:?}", found.events);
    let beats = operation(&found, "heartbeat_oneway");
    assert!(
        beats.ok > 0 && beats.ok < beats.offered,
        "some were due while lines were closed: {beats:?}"
    );
}

#[test]
fn a_run_whose_controllers_are_dead_in_the_end_is_invalid() {
    let scene = scene(&format!(
        "{HEAD}time = {{ warmup = \"200ms\", measure = \"2s\", drain_timeout = \"1s\" }}\n\
         load = [{{ op = \"alter_sync_state_set\", rate = 20, conns = 1 }}]\n\
         fault = [{{ at = \"1500ms\", kind = \"controller-kill\", select = \"node:0\" }},\n\
           {{ at = \"1500ms\", kind = \"controller-kill\", select = \"node:1\" }}]\n\
         [fleet]\nbroker_sets = 2\n"
    ));
    let (code, said) = said(&bench(&scene, &["--spawn", "3"]));
    assert_eq!(code, Some(3), "two of three are dead: {said}");
    let run = read(&scene.folder().join("run")).unwrap_or_else(|error| panic!("{error}")).run;
    let reasons = run.validity.reasons.join("; ");
    assert!(reasons.contains("whether acknowledged writes were lost is unknown"), "{reasons}");
    assert_eq!(run.correctness.lost_writes, None);
}

#[test]
fn a_run_of_the_same_folder_and_wrong_words_are_refused() {
    let workload = format!("{HEAD}time = {{ measure = \"1s\" }}\n[fleet]\nbroker_sets = 1\n");
    let scene = scene(&format!("{workload}speed = 3\n"));
    let fault = "fault = [{ at = \"0s\", kind = \"controller-kill\", select = \"leader\" }]\n";
    let kills = workload.replace("[fleet]", &format!("{fault}[fleet]"));
    let served = std::net::TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
    let gone = served.local_addr().expect("it has an address").to_string();
    drop(served);
    let target = ["--target", gone.as_str()];
    let rows: [(&str, &[&str], &str); 3] = [
        (&format!("{workload}speed = 3\n"), &[], "w.toml:7: unknown field `speed`"),
        (&workload, &target, "is not a controller: Connection refused"),
        (&kills, &target, "only controllers that the run started itself"),
    ];
    for (text, words, part) in rows {
        scene.write("w.toml", text);
        let ran = bench(&scene, words);
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(64), "{said}");
        assert!(said.contains(part), "{said}");
    }
    assert!(!scene.folder().join("run").exists(), "what is refused leaves nothing");
}

#[test]
fn a_file_is_printed_as_a_preset_is_and_a_fleet_names_no_option_that_it_has_not() {
    let text = format!("{HEAD}time = {{ measure = \"1s\" }}\n# a word\n[fleet]\nbroker_sets = 1\n");
    let scene = scene(&text);
    let (code, printed) = said(&scene.run(&["bench", "run", "-f", "w.toml", "--print"]));
    assert_eq!((code, printed.as_str()), (Some(0), text.as_str()));
    let (code, printed) = said(&scene.run(&["bench", "run", "-f", "smoke-5s", "--print"]));
    assert!(code == Some(0) && printed.contains("name = \"smoke-5s\""), "{printed}");
    let (code, printed) = said(&scene.run(&["bench", "run", "-f", "nowhere", "--print"]));
    assert!(code == Some(64) && printed.contains("no preset either"), "{printed}");
    for command in ["fleet", "compare", "ramp"] {
        let (_, help) = said(&scene.run(&["bench", command, "--help"]));
        let elsewhere = help.replace("bench run --presets", "");
        assert!(!elsewhere.contains("--presets"), "{command}: {help}");
    }
}

/// Starts a run of a minute and waits until it has written a window.
fn started(scene: &Scene, words: &[&str]) -> std::process::Child {
    let run = ["bench", "run", "-f", "w.toml", "--out", "run"];
    let child = under_way::started(scene, &[&run, words].concat());
    let windows = scene.folder().join("run/windows.ndjson");
    let has_lines = |_look| {
        std::thread::park_timeout(std::time::Duration::from_millis(20));
        fs::read_to_string(&windows).is_ok_and(|text| text.lines().count() > 2)
    };
    assert!((0..3_000).any(has_lines), "no window in a minute");
    child
}

#[test]
fn an_interrupted_run_leaves_what_it_has_and_a_reused_folder_is_refused() {
    let scene = scene(&format!(
        "{HEAD}time = {{ warmup = \"200ms\", measure = \"60s\", window = \"200ms\" }}\n\
         [fleet]\nbroker_sets = 1\nget_replica_info = {{ every = \"100ms\" }}\n"
    ));
    let mut child = started(&scene, &[]);
    kill_process(id(&child), Signal::INT).expect("it runs");
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(3), "it says nothing about the server");
    let found = read(&scene.folder().join("run")).expect("a run folder");
    assert!(!found.run.finished && !found.run.validity.valid, "{:?}", found.run.validity);
    let reasons = found.run.validity.reasons.join("; ");
    assert!(reasons.contains("interrupted"), "{reasons}");
    assert!(found.run.operations.iter().any(|it| it.op == "get_replica_info" && it.ok > 0));
    let again = bench(&scene, &[]);
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(again.status.code() == Some(64) && said.contains("holds a run already"), "{said}");
}

fn id(child: &std::process::Child) -> Pid {
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    id.expect("a child has an id")
}

/// Running processes that were started in the scene's folder, with this word in their command lines.
fn running(scene: &Scene, word: &str) -> Vec<Pid> {
    let folder = scene.folder().canonicalize().expect("it is there");
    let processes = fs::read_dir("/proc").expect("this is Linux");
    let is_meant = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.ok()?;
        let id = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        // Whoever has ended has neither.
        let is_here = fs::read_link(entry.path().join("cwd")).ok()? == folder;
        let words = fs::read(entry.path().join("cmdline")).ok()?;
        let has_word = words.split(|byte| *byte == 0).any(|it| it == word.as_bytes());
        (is_here && has_word).then_some(id)
    };
    processes.filter_map(is_meant).collect()
}

#[test]
fn a_second_signal_ends_the_program_and_its_controllers_with_it() {
    let scene = scene(&format!(
        "{HEAD}time = {{ warmup = \"200ms\", measure = \"60s\", window = \"200ms\" }}\n\
         [fleet]\nbroker_sets = 1\n"
    ));
    let data = scene.folder().join("data");
    let mut child = started(&scene, &["--data", data.to_str().expect("a plain name")]);
    assert_eq!(running(&scene, "serve").len(), 3);
    let players = running(&scene, "fleet-worker");
    assert_eq!(players.len(), 1);
    // It does not say what it measured, so the first signal is followed by a long wait, which the second one ends.
    kill_process(players[0], Signal::STOP).expect("it runs");
    let status = until("the second signal", || {
        kill_process(id(&child), Signal::INT).expect("nobody has waited for it");
        child.try_wait().expect("it is ours")
    });
    kill_process(players[0], Signal::CONT).expect("it stood still");
    assert_eq!(status.signal(), Some(9), "{status}");
    for word in ["serve", "fleet-worker"] {
        until("nobody is left", || running(&scene, word).is_empty().then_some(()));
    }
}

#[test]
fn a_ramp_has_a_run_for_every_size() {
    let scene = scene(&format!(
        "{HEAD}time = {{ warmup = \"500ms\", measure = \"1s\", window = \"500ms\" }}\n\
         load = [{{ op = \"get_replica_info\", rate = 40, conns = 1 }}]\n[fleet]\nbroker_sets = 1\n"
    ));
    let ran = Command::new(env!("CARGO_BIN_EXE_pitchover"))
        .args(["bench", "ramp", "-f", "w.toml", "--scale", "2,0.5", "--out", "ramp", "--json"])
        .args(["--until", "get_replica_info:p50:60000ms"])
        .current_dir(scene.folder())
        .stdin(Stdio::null())
        .output()
        .expect("the program can be started");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{said}");
    let ramp: serde_json::Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    let points = ramp["points"].as_array().expect("a list");
    let scales: Vec<_> = points.iter().map(|point| point["scale"].as_f64()).collect();
    assert_eq!(scales, [Some(0.5), Some(2.0)], "by size, whatever the order was");
    for (point, offered) in points.iter().zip([20, 80]) {
        let folder = scene.folder().join("ramp").join(point["folder"].as_str().expect("a name"));
        let found = read(&folder).unwrap_or_else(|error| panic!("{error}: {said}"));
        assert_eq!(operation(&found, "get_replica_info").offered, offered);
    }
    assert!(scene.folder().join("ramp/ramp.json").exists());
}

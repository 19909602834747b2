//! `bench fleet` with workers of its own on loopback: that merged figures are the sum of the workers', and that a worker that
//! dies is named. What speed anything has is not judged: a busy machine makes a run invalid (exit code 3).

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use measure::folder::{Found, read};

#[path = "processes/scene.rs"]
mod scene;
use scene::{Scene, said};

const TOKEN: &str = "a token of this test";

/// A running worker; dropping it kills it.
struct Worker {
    child: Child,
    address: String,
}

impl Worker {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pitchover"))
            .args(["bench", "worker", "--listen", "127.0.0.1:0"])
            .env("PITCHOVER_FLEET_TOKEN", TOKEN)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        let mut said = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut line = String::new();
        said.read_line(&mut line).expect("it says where it listens");
        let address = line.trim().rsplit(' ').next().unwrap_or_default().to_owned();
        // What it says of its sessions is read, so that it can go on.
        let rest = std::thread::Builder::new();
        rest.spawn(move || std::io::copy(&mut said, &mut std::io::sink())).expect("a thread");
        Self { child, address }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn workload(measure: &str) -> String {
    format!(
        "schema = \"pitchover.bench/v1\"\nname = \"test\"\nseed = 7\n\
         time = {{ warmup = \"1s\", measure = \"{measure}\", window = \"500ms\" }}\n\
         load = [{{ op = \"get_replica_info\", rate = 100, conns = 3 }},\n\
           {{ op = \"alter_sync_state_set\", rate = 20, conns = 2 }}]\n\
         [fleet]\nbroker_sets = 5\nheartbeat = {{ sample_twoway = 0.5 }}\n"
    )
}

fn command(scene: &Scene, workers: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pitchover"));
    command
        .args(["bench", "fleet", "-f", "w.toml", "--out", "run", "--spawn", "3", "--workers"])
        .arg(workers.join(","))
        .env("PITCHOVER_FLEET_TOKEN", TOKEN)
        .current_dir(scene.folder())
        .stdin(Stdio::null());
    command
}

/// What was noted of each worker: its address, and the requests that it offered.
fn noted(found: &Found) -> Vec<(String, u64)> {
    let notes = found.events.iter().filter(|event| event.kind == "worker");
    let share = |text: &str| {
        let (address, rest) = text.strip_prefix("worker ")?.split_once(": offered ")?;
        assert!(rest.contains("us ahead"), "the clock is told: {text}");
        Some((address.to_owned(), rest.split(' ').next()?.parse().ok()?))
    };
    notes.map(|event| share(&event.text).expect("a worker's note")).collect()
}

#[test]
fn a_run_of_two_workers_is_the_sum_of_both() {
    let scene = Scene::new("fleet-two");
    scene.write("w.toml", &workload("2s"));
    let workers = [Worker::start(), Worker::start()];
    let addresses: Vec<&str> = workers.iter().map(|worker| worker.address.as_str()).collect();
    let (code, text) = said(&command(&scene, &addresses).output().expect("it can be started"));
    assert!(matches!(code, Some(0 | 3)), "{code:?}: {text}");
    let found = read(&scene.folder().join("run")).unwrap_or_else(|error| panic!("{error}: {text}"));
    let run = &found.run;
    assert!(run.finished && found.notes.is_empty(), "{:?}: {text}", found.notes);
    let correctness = &run.correctness;
    assert!(correctness.checked && correctness.violations == 0, "{correctness:?}");
    assert_eq!(correctness.lost_writes, Some(0));

    let noted = noted(&found);
    let named: Vec<&str> = noted.iter().map(|(address, _)| address.as_str()).collect();
    assert_eq!(named, addresses);
    assert!(noted.iter().all(|(_, offered)| *offered > 50), "both worked: {noted:?}");
    let offered: u64 = run.operations.iter().map(|it| it.offered).sum();
    assert_eq!(noted.iter().map(|(_, offered)| offered).sum::<u64>(), offered);

    let rates = [("get_replica_info", 200), ("alter_sync_state_set", 40)];
    for (op, planned) in rates {
        let operation = run.operations.iter().find(|it| it.op == op).expect(op);
        // Each worker's last request of the time may be due on either side of its end.
        assert!(operation.offered.abs_diff(planned) <= 2, "{op}: {operation:?}");
        let recorded: u64 = found
            .windows
            .iter()
            .filter(|window| (0..2_000).contains(&window.at_ms))
            .flat_map(|window| window.ops.iter().filter(|it| it.op == op))
            .map(|it| it.latency.decode().expect("a histogram").count())
            .sum();
        assert_eq!(recorded, operation.latency_us.count, "{op}: no time is lost or made up");
        assert_eq!(recorded, operation.offered - operation.skipped, "{op}");
    }
    let (code, text) = said(&scene.run(&["report", "md", "run"]));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("alter_sync_state_set"), "{text}");
}

#[test]
fn a_worker_that_dies_makes_the_run_invalid_and_is_named() {
    let scene = Scene::new("fleet-dead");
    scene.write("w.toml", &workload("60s"));
    let (stays, mut dies) = (Worker::start(), Worker::start());
    let mut running = command(&scene, &[&stays.address, &dies.address])
        .args(["--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it can be started");
    let mut lines = BufReader::new(running.stderr.take().expect("it is piped")).lines();
    // The load is on when the first window is over.
    let is_on = lines.by_ref().map_while(Result::ok).any(|line| line.starts_with("{\"at_ms\""));
    assert!(is_on, "a window is told");
    dies.child.kill().expect("it runs");
    let rest = std::thread::Builder::new();
    let rest =
        rest.spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>()).expect("a thread");
    let mut text = String::new();
    running.stdout.take().expect("it is piped").read_to_string(&mut text).expect("text");
    let code = running.wait().expect("it ends").code();
    let errors = rest.join().expect("it ends with the pipe");
    assert_eq!(code, Some(3), "{text} {errors:?}");
    let found = read(&scene.folder().join("run")).unwrap_or_else(|error| panic!("{error}: {text}"));
    let reasons = &found.run.validity.reasons;
    assert!(!found.run.finished && !found.run.validity.valid, "{reasons:?}");
    assert!(
        reasons.iter().any(|it| it.contains(&format!("worker {}", dies.address))),
        "{reasons:?}"
    );
    assert!(!reasons.iter().any(|it| it.contains(&stays.address)), "{reasons:?}");
    assert!(!found.windows.is_empty(), "what was measured before is kept");
}

#[test]
fn workers_that_are_none_are_wrong_usage_and_named() {
    let scene = Scene::new("fleet-none");
    scene.write("w.toml", &workload("1s"));
    let worker = Worker::start();
    let mut other = command(&scene, &[&worker.address]);
    other.env("PITCHOVER_FLEET_TOKEN", "another token of it");
    let (code, text) = said(&other.output().expect("it can be started"));
    assert_eq!(code, Some(64), "{text}");
    assert!(text.contains(&worker.address) && text.contains("the token is another one"), "{text}");
    assert!(!scene.folder().join("run").exists(), "no folder without a run");
    let gone = worker.address.clone();
    drop(worker);
    let (code, text) = said(&command(&scene, &[&gone]).output().expect("it can be started"));
    assert_eq!(code, Some(64), "{text}");
    assert!(text.contains(&format!("worker {gone}: ")), "{text}");
}

#[test]
fn a_worker_without_a_token_listens_on_loopback_only() {
    let ran = Command::new(env!("CARGO_BIN_EXE_pitchover"))
        .args(["bench", "worker", "--listen", "0.0.0.0:9700"])
        .env("PITCHOVER_FLEET_TOKEN", "")
        .output()
        .expect("it can be started");
    let (code, text) = said(&ran);
    assert_eq!(code, Some(64), "{text}");
    assert!(text.contains("PITCHOVER_FLEET_TOKEN"), "{text}");
}

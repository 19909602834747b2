//! `bench fleet` with workers of its own on loopback: that merged figures are the sum of the workers', that a worker that
//! dies or is silent is named, and that controllers of others keep nothing of a run, however it ends. What speed anything has is not judged: a busy machine makes a run invalid (exit code 3).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};

use load::OwnCluster;
use measure::folder::{Found, read};
use rustix::process::{Pid, Signal, kill_process};

#[path = "processes/others.rs"]
mod others;
#[path = "processes/patience.rs"]
mod patience;
#[path = "processes/scene.rs"]
mod scene;
use others::{controllers, nothing_is_left, sets};
use patience::until;
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
    command_at(scene, workers, &["--spawn", "3"])
}

fn command_at(scene: &Scene, workers: &[&str], target: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pitchover"));
    command
        .args(["bench", "fleet", "-f", "w.toml", "--out", "run", "--workers"])
        .arg(workers.join(","))
        .args(target)
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

/// A run that goes on against somebody's controllers.
struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStderr>>,
}

impl Running {
    fn start(scene: &Scene, workers: &[&str], cluster: &OwnCluster) -> Self {
        let target = cluster.addresses().join(",");
        let mut child = command_at(scene, workers, &["--target", &target])
            .arg("--json")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it can be started");
        let lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        Self { child, lines }
    }

    /// Waits for a line of its standard error.
    fn hear(&mut self, what: &str, is_it: impl Fn(&str) -> bool) {
        let heard = self.lines.by_ref().map_while(Result::ok).any(|line| is_it(&line));
        assert!(heard, "{what} is told");
    }

    fn interrupt(&self) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(id.expect("a process has an id"), Signal::INT).expect("it runs");
    }

    /// The exit code, and all that was said since.
    fn end(mut self) -> (Option<i32>, String) {
        let mut out = self.child.stdout.take().expect("it is piped");
        let reading = std::thread::Builder::new().spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).expect("text");
            text
        });
        let errors: Vec<String> = self.lines.by_ref().map_while(Result::ok).collect();
        let code = self.child.wait().expect("it ends").code();
        let text = reading.expect("a thread").join().expect("it ends with the pipe");
        (code, text + &errors.join("\n"))
    }
}

#[test]
fn a_worker_that_dies_makes_the_run_invalid_and_is_named_and_nothing_stays_behind() {
    let cluster = controllers();
    let scene = Scene::new("fleet-dead");
    scene.write("w.toml", &workload("60s"));
    let (stays, mut dies) = (Worker::start(), Worker::start());
    let mut running = Running::start(&scene, &[&stays.address, &dies.address], &cluster);
    // The first measured window is over, and another one.
    let is_measured = |line: &str| line.starts_with("{\"at_ms\":") && !line.contains(":-");
    running.hear("a measured window", is_measured);
    running.hear("another one", is_measured);
    assert!(sets(&cluster).contains(&Some(5)), "they are there while it runs");
    dies.child.kill().expect("it runs");
    let (code, text) = running.end();
    assert_eq!(code, Some(3), "{text}");
    nothing_is_left(&cluster);
    let found = read(&scene.folder().join("run")).unwrap_or_else(|error| panic!("{error}: {text}"));
    let reasons = &found.run.validity.reasons;
    assert!(!found.run.finished && !found.run.validity.valid, "{reasons:?}");
    assert!(
        reasons.iter().any(|it| it.contains(&format!("worker {}", dies.address))),
        "{reasons:?}"
    );
    assert!(!reasons.iter().any(|it| it.contains(&stays.address)), "{reasons:?}");
    assert!(!found.windows.is_empty(), "what was measured before is kept");
    let (run, whole) = (&found.run, found.windows.iter().filter(|window| window.at_ms >= 0));
    assert_eq!(run.time.measure_ms, 500 * u64::try_from(whole.count()).expect("a few"));
    let read = run.operations.iter().find(|it| it.op == "get_replica_info");
    assert!(read.is_some_and(|it| it.offered >= 90), "totals of two windows: {run:?}");
    assert_eq!(run.correctness.violations, 0, "{:?}", run.correctness);
}

/// A worker that takes its part and never says that its brokers live.
fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it listens").to_string();
    let serve = move || {
        let (mut stream, _) = listener.accept().expect("a coordinator");
        while let Some((kind, mut payload)) = frame(&mut stream) {
            // Hello is welcomed, a ping is answered; the numbers are those of the frames' kinds.
            let kind = match kind {
                1 => 2,
                4 => 5,
                _ => continue,
            };
            if kind == 5 {
                payload.extend_from_slice(&[0; 8]);
            } else {
                payload.clear();
            }
            let length = u32::try_from(payload.len() + 1).expect("short").to_be_bytes();
            let answer = [&length[..], &[kind], &payload].concat();
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
        // It does not even close.
        std::thread::park();
    };
    std::thread::Builder::new().spawn(serve).expect("a thread");
    address
}

fn frame(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut bytes = vec![0; usize::try_from(u32::from_be_bytes(length)).ok()?];
    stream.read_exact(&mut bytes).ok()?;
    let kind = bytes.remove(0);
    Some((kind, bytes))
}

#[test]
fn a_signal_is_heard_while_the_fleet_is_founded_and_names_who_is_silent() {
    let cluster = controllers();
    let scene = Scene::new("fleet-silent");
    scene.write("w.toml", &workload("60s"));
    let (lives, silent) = (Worker::start(), silent());
    let mut running = Running::start(&scene, &[&silent, &lives.address], &cluster);
    running.hear("the part of the other", |line| line.contains("now masters are elected"));
    until("the part of the other is founded", || sets(&cluster).contains(&Some(2)).then_some(()));
    running.interrupt();
    let (code, text) = running.end();
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains(&format!("worker {silent}")), "{text}");
    nothing_is_left(&cluster);
    let found = read(&scene.folder().join("run")).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(!found.run.finished && !found.run.validity.valid);
    let reasons = &found.run.validity.reasons;
    assert!(reasons[0].contains("ended before the fleet lived"), "{reasons:?}");
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

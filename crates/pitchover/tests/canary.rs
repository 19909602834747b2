//! `pitchover canary` against three real controllers: what it sends is answered, it judges, and it leaves nothing behind.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};

use protocol::code;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

#[path = "processes/cluster.rs"]
mod cluster;
#[path = "processes/node.rs"]
mod node;
#[path = "processes/patience.rs"]
mod patience;
#[path = "processes/wire.rs"]
mod wire;

use cluster::Cluster;
use node::PROGRAM;
use patience::until;
use wire::{Wire, request};

/// Promises that any machine keeps, and one that none does.
const EASY: &str = "schema = \"pitchover.slo/v1\"\n[[slo]]\nid = \"read\"\ncomponent = \"c\"\nworkload = \"w\"\n\
                    sli = { of = \"violations\" }\nminimum = { value = 0.0 }\n\
                    prod = { type = \"CONTROLLER_GET_REPLICA_INFO\", seconds = 30.0, ratio = 0.5 }\n";

/// A canary that runs; dropping it ends it.
struct Canary {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Canary {
    fn start(cluster: &Cluster, words: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(["canary", "run", "--target", &cluster.addresses.join(","), "--host", "test"]);
        command.args(words).current_dir(cluster.folder.path()).stdin(Stdio::null());
        let log = cluster.folder.path().join("canary.log");
        let log = std::fs::File::create(log).expect("a file in our own folder");
        let child = command.stdout(Stdio::piped()).stderr(log).spawn();
        let mut child = child.expect("the program can be started");
        let lines = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, lines }
    }

    /// The next line.
    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process has an id"), signal).expect("our child");
    }

    /// Waits for its end: its exit code, and the line about all of it.
    fn end(mut self) -> (Option<i32>, Value) {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).expect("what it still says");
        let whole = rest.lines().last().map(|line| serde_json::from_str(line).expect("JSON"));
        let code = self.child.wait().expect("it ends").code();
        (code, whole.unwrap_or_default())
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Whether the controllers know the canary's set.
fn is_known(cluster: &Cluster) -> bool {
    let leader = &cluster.addresses[0];
    let mut wire = Wire::connect(leader).expect("a controller of our own");
    let poll = request(
        code::CONTROLLER_GET_REPLICA_INFO,
        &[("brokerName", "__pitchover_canary__test")],
        "",
    );
    wire.decided(&poll).code == 0
}

fn page(text: &str) -> String {
    let address = text.split("http://").nth(1).and_then(|rest| rest.split("/metrics").next());
    let mut stream = TcpStream::connect(address.expect("an address")).expect("the page is served");
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("a request");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("a page");
    page
}

#[test]
fn its_load_is_answered_and_counted_and_a_signal_leaves_nothing_behind() {
    let cluster = Cluster::one_port("");
    std::fs::write(cluster.folder.path().join("slo.toml"), EASY).expect("our own folder");
    let words = ["--every", "2s", "--failover-every", "1s", "--listen", "127.0.0.1:0"];
    let mut canary = Canary::start(&cluster, &[&words[..], &["--slo", "slo.toml"]].concat());
    let (first, second) = (canary.line(), canary.line());
    assert!(is_known(&cluster), "its set is there while it runs");
    for line in [&first, &second] {
        let read = &line["ops"]["get_replica_info"];
        assert!(
            read["good"].as_u64() > Some(0) && read["latency_us"]["p50"].as_f64() > Some(0.0),
            "{line}"
        );
        assert!(line["ops"]["heartbeat"]["good"].as_u64() > Some(0), "{line}");
        assert_eq!(
            (&line["contradictions"], &line["set"]),
            (&0.into(), &"__pitchover_canary__test".into())
        );
        assert_eq!(line["promises"][0]["verdict"], "pass", "{line}");
    }
    // One write and one election a second: two of each are due in two lines of two seconds.
    let good = |op: &str| {
        [&first, &second].iter().filter_map(|line| line["ops"][op]["good"].as_u64()).sum::<u64>()
    };
    assert!(good("alter_sync_state_set") > 0 && good("elect_master") > 0, "{first}\n{second}");
    let log = std::fs::read_to_string(cluster.folder.path().join("canary.log")).expect("its log");
    let page = page(&log);
    assert!(
        page.contains("pitchover_canary_request_seconds_bucket{type=\"get_replica_info\""),
        "{page}"
    );
    assert!(page.contains("pitchover_canary_objective_broken{slo=\"read\"} 0"), "{page}");
    canary.signal(Signal::TERM);
    let (code, whole) = canary.end();
    assert_eq!(code, Some(0), "{whole}");
    assert!(whole["ops"]["get_replica_info"]["good"].as_u64() > Some(0), "{whole}");
    assert!(!is_known(&cluster), "its set is removed");
}

#[test]
fn what_a_crash_left_goes_with_the_next_one_and_a_file_is_a_kill_switch() {
    let cluster = Cluster::one_port("");
    let mut canary = Canary::start(&cluster, &["--every", "1s"]);
    canary.line();
    canary.signal(Signal::KILL);
    drop(canary.end());
    assert!(is_known(&cluster), "nobody cleaned up");
    let mut canary = Canary::start(&cluster, &["--every", "1s", "--kill-switch", "off"]);
    canary.line();
    std::fs::write(cluster.folder.path().join("off"), "").expect("our own folder");
    let (code, whole) = canary.end();
    assert_eq!(code, Some(0), "{whole}");
    assert!(!is_known(&cluster), "both are gone");
    let again = Canary::start(&cluster, &["--kill-switch", "off"]);
    assert_eq!(again.end().0, Some(0), "nothing is sent while the file is there");
    assert!(!is_known(&cluster));
}

#[test]
fn it_says_when_controllers_go_away_and_a_candidate_that_fails_is_rolled_back() {
    let mut cluster = Cluster::one_port("");
    let judge = |words: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.args(["canary", "judge", "--host", "test", "--json"]).args(words);
        let ran = command.output().expect("the program can be started");
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        let judged: Value = serde_json::from_str(&said).unwrap_or_default();
        (ran.status.code(), judged, String::from_utf8_lossy(&ran.stderr).into_owned())
    };
    let [a, b, c] = [0, 1, 2].map(|node| cluster.addresses[node].clone());
    // Two quads carry no verdict, whatever they say; all reads are answered.
    let short = ["--quads", "2", "--block", "500ms", "--settle", "100ms", "--rate", "200"];
    let (code, judged, error) =
        judge(&[&["--baseline", &a, "--candidate", &b], &short[..]].concat());
    assert_eq!(
        (code, judged["verdict"].as_str(), judged["quads"].as_u64()),
        (Some(3), Some("invalid"), Some(2)),
        "{error}"
    );
    assert_eq!(judged["failures"][0][1], 0, "{judged}");
    let (code, _, error) = judge(&["--baseline", &a, "--candidate", &b, "--rate", "10"]);
    assert!(code == Some(64) && error.contains("a block has 20 reads"), "{error}");
    // A majority goes away under a canary: what is due is not answered, and that is told.
    let mut canary = Canary::start(&cluster, &["--every", "2s"]);
    canary.line();
    cluster.nodes[1].kill();
    cluster.nodes[2].signal(Signal::KILL);
    until("a line that says so", || {
        let line = canary.line();
        let bad = &line["ops"]["get_replica_info"];
        (bad["good"].as_u64() == Some(0)).then_some(())
    });
    canary.signal(Signal::TERM);
    let (code, whole) = canary.end();
    assert_eq!(code, Some(0), "no objective was given: {whole}");
    let (code, _, error) = judge(&["--baseline", &c, "--candidate", &b]);
    assert!(code == Some(64) && error.contains("baseline: an address of"), "{error}");
}

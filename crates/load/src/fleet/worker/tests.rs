//! Sessions with coordinators that are no coordinators. That a run goes through, and what becomes of it when a worker dies,
//! is shown on the real program, in `crates/pitchover/tests/fleet.rs`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::{
    BROKERS_PER_SESSION, Options, PORT_FIRST, PORTS_PER_SESSION, SESSIONS_MAX, STRANGERS_MAX,
    Worker, check_token, hold_ports, is_same, placed,
};
use crate::fleet::frame::{self, FRAME_BYTES_MAX, Kind};
use crate::fleet::link::{self, Link};
use crate::fleet::{FORMAT, Fleet, Hello};
use crate::generator::plan::{BROKERS_MAX, Event, Plan, REPLICAS, Report, Slow};

const TOKEN: &str = "a token of tests";

/// A worker on a port of its own, ended with the test.
struct Scene {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    said: Arc<Mutex<Vec<String>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Scene {
    fn new() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let options = Options {
            listen: "127.0.0.1:0".parse().unwrap(),
            token: Some(TOKEN.to_owned()),
            version: "1".to_owned(),
            // Nobody here gets so far that it would be started.
            program: Some(PathBuf::from("/nowhere")),
            stop: Arc::clone(&stop),
        };
        let worker = Worker::new(options).unwrap();
        let address = worker.address().unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        let say = move |text: &str| heard.lock().unwrap().push(text.to_owned());
        let thread = thread::Builder::new().spawn(move || worker.run(say)).unwrap();
        Self { address, stop, said, thread: Some(thread) }
    }

    fn fleet(&self, token: Option<&str>, version: &str) -> Fleet {
        Fleet {
            workers: vec![self.address.to_string()],
            token: token.map(ToOwned::to_owned),
            version: version.to_owned(),
        }
    }

    fn connect(&self, token: Option<&str>, version: &str) -> Result<Vec<Link>, String> {
        link::connect(&self.fleet(token, version), 1)
    }

    /// What the worker answers to these bytes, up to the end of the connection.
    fn answer(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // A reset after the refusal is an end, too.
        drop(stream.read_to_end(&mut answer));
        answer
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        drop(self.thread.take().map(thread::JoinHandle::join));
    }
}

fn framed(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::write(&mut bytes, kind, payload).unwrap();
    bytes
}

fn hello() -> Vec<u8> {
    let hello =
        Hello { format: FORMAT.to_owned(), version: "1".to_owned(), token: Some(TOKEN.to_owned()) };
    framed(Kind::Hello, &serde_json::to_vec(&hello).unwrap())
}

#[test]
fn whoever_lacks_the_token_or_the_version_is_refused_and_told_why() {
    let scene = Scene::new();
    let why = |token, version| scene.connect(token, version).unwrap_err();
    assert!(why(None, "1").contains("the token is another one"));
    assert!(why(Some("another token of tests"), "1").contains("the token is another one"));
    let error = why(Some(TOKEN), "2");
    assert!(error.contains(&scene.address.to_string()), "{error}");
    assert!(
        error.contains("the coordinator is 2") && error.contains("this worker is 1"),
        "{error}"
    );
    assert!(scene.connect(Some(TOKEN), "1").is_ok());
}

#[test]
fn hostile_bytes_end_their_session_and_no_other() {
    let scene = Scene::new();
    let mut oversized = FRAME_BYTES_MAX.to_be_bytes().to_vec();
    oversized.push(1);
    let mut late_oversized = hello();
    late_oversized.extend_from_slice(&u32::MAX.to_be_bytes());
    let rows: [(Vec<u8>, &str); 8] = [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), "a frame of 1195725856 bytes"),
        (oversized, "a frame of 67108864 bytes; 1 to 4096"),
        (vec![0; 64], "a frame of 0 bytes"),
        (framed(Kind::Hello, b"{\"format\":1}"), "this is no hello"),
        (framed(Kind::Plan, b"{}"), "a Plan in the place of a hello"),
        (
            [hello(), framed(Kind::Command, b"\"Stop\"")].concat(),
            "a Command in the place of a plan",
        ),
        ([hello(), framed(Kind::Plan, b"{}")].concat(), "the plan: missing field"),
        (late_oversized, "a frame of 4294967295 bytes; 1 to 67108864"),
    ];
    for (bytes, why) in rows {
        let answer = String::from_utf8_lossy(&scene.answer(&bytes)).into_owned();
        let said = scene.said.lock().unwrap().last().cloned().unwrap_or_default();
        assert!(said.contains(why), "{why}: said {said:?}, answered {answer:?}");
    }
    // Bytes that some seed gives: whatever they are, the next coordinator is served.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _round in 0..50 {
        let bytes: Vec<u8> = (0..40)
            .map(|_byte| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state.to_be_bytes()[0]
            })
            .collect();
        // Short enough that whatever length they announce, the worker need not wait for the rest.
        let stream = TcpStream::connect(scene.address).unwrap();
        (&stream).write_all(&bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        drop((&stream).read_to_end(&mut answer));
    }
    assert!(scene.connect(Some(TOKEN), "1").is_ok());
}

#[test]
fn places_are_limited_and_free_again() {
    let scene = Scene::new();
    let served: Vec<_> =
        (0..SESSIONS_MAX).map(|_place| scene.connect(Some(TOKEN), "1").unwrap()).collect();
    let error = scene.connect(Some(TOKEN), "1").unwrap_err();
    assert!(error.contains("SESSIONS_MAX") || error.contains("reset"), "{error}");
    drop(served);
    // Their sessions end when they see the end of their connections.
    let found = (0..200).find_map(|_attempt| {
        let link = scene.connect(Some(TOKEN), "1").ok();
        if link.is_none() {
            thread::park_timeout(std::time::Duration::from_millis(20));
        }
        link
    });
    assert!(found.is_some(), "{:?}", scene.said.lock().unwrap());
}

#[test]
fn strangers_who_say_nothing_take_nobodys_place() {
    let scene = Scene::new();
    let dial = || TcpStream::connect(scene.address).unwrap();
    let strangers: Vec<_> = (0..STRANGERS_MAX).map(|_stranger| dial()).collect();
    assert!(scene.connect(Some(TOKEN), "1").is_ok(), "{:?}", scene.said.lock().unwrap());
    // One more than may wait: the oldest has made room, and is told nothing.
    let mut answer = Vec::new();
    drop((&strangers[0]).read_to_end(&mut answer));
    let said = scene.said.lock().unwrap().clone();
    assert!(!said.iter().any(|it| it.contains("nothing whole came")), "before its time: {said:?}");
    drop(strangers);
    assert!(scene.connect(Some(TOKEN), "1").is_ok());
}

#[test]
fn a_crowd_of_strangers_does_not_fill_the_log() {
    let scene = Scene::new();
    let crowd: Vec<_> =
        (0..5 * STRANGERS_MAX).map(|_one| TcpStream::connect(scene.address).unwrap()).collect();
    assert!(scene.connect(Some(TOKEN), "1").is_ok());
    drop(crowd);
    assert!(scene.connect(Some(TOKEN), "1").is_ok());
    // A line for each second, however many seconds this takes: far fewer than the strangers who made room.
    let said = scene.said.lock().unwrap().clone();
    let closed = said.iter().filter(|line| line.contains("closed")).count();
    assert!(closed < 2 * STRANGERS_MAX, "{closed} lines: {said:?}");
}

#[test]
fn what_a_worker_says_to_refuse_is_short_and_escaped() {
    let refused = |text: &[u8]| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let refusal = framed(Kind::Refused, text);
        let serve = move || {
            let (mut stream, _) = listener.accept().unwrap();
            drop(frame::read(&mut stream, FRAME_BYTES_MAX));
            // It may hang up while this is written.
            drop(stream.write_all(&refusal));
        };
        let serving = thread::Builder::new().spawn(serve).unwrap();
        let fleet = Fleet { workers: vec![address], token: None, version: "1".to_owned() };
        let error = link::connect(&fleet, 1).unwrap_err();
        serving.join().unwrap();
        error
    };
    let error = refused(b"\x1b[2Jgone\x07\nnext \xc2\x9b1m \xff");
    assert!(!error.chars().any(char::is_control), "{error:?}");
    assert!(error.contains("\\u{1b}[2Jgone") && error.contains("\\nnext"), "{error}");
    let error = refused(&vec![b'x'; 100_000]);
    assert!(error.len() < 500 && error.contains("a frame of 100001 bytes; 1 to 4096"), "{error}");
}

#[test]
fn what_a_coordinator_says_of_itself_and_its_plan_is_logged_escaped() {
    let scene = Scene::new();
    assert!(scene.connect(Some(TOKEN), "\u{1b}[2J\u{202e}").is_err());
    let mut link = scene.connect(Some(TOKEN), "1").unwrap().remove(0);
    let plan = Plan::as_java(vec!["127.0.0.1:9".to_owned()], "\u{1b}[31mp".to_owned(), 1);
    let events = link.begin(&plan).unwrap();
    // Its end: there is no program that would play it.
    assert!(events.recv().is_ok());
    let said = scene.said.lock().unwrap().join("|");
    assert!(!said.contains(['\u{1b}', '\u{202e}']), "{said:?}");
    assert!(said.contains("the coordinator is \\u{1b}[2J\\u{202e}"), "{said}");
    assert!(said.contains("broker sets of \\u{1b}[31mp"), "{said}");
}

#[test]
fn what_a_worker_reports_is_escaped() {
    let outcome = "ok\u{1b}[2J".to_owned();
    let slow = Slow {
        kind: crate::generator::measures::Kind::Get,
        due_ns: 0,
        latency_ns: 0,
        service_ns: 0,
        lag_ns: 0,
        outcome,
    };
    let contradictions = vec!["p-1: \u{202e}\u{7}".to_owned()];
    let report = Report { contradictions, slowest: vec![slow], ..Report::default() };
    let report = serde_json::to_vec(&Event::Report(Box::new(report))).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let workers = vec![listener.local_addr().unwrap().to_string()];
    let serve = move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&framed(Kind::Welcome, b"")).unwrap();
        stream.write_all(&framed(Kind::Event, &report)).unwrap();
        // Until it hangs up.
        drop(std::io::copy(&mut stream, &mut std::io::sink()));
    };
    let serving = thread::Builder::new().spawn(serve).unwrap();
    let fleet = Fleet { workers, token: None, version: "1".to_owned() };
    let mut link = link::connect(&fleet, 1).unwrap().remove(0);
    let plan = Plan::as_java(vec!["127.0.0.1:9".to_owned()], "p".to_owned(), 1);
    let told = link.begin(&plan).unwrap().recv().unwrap();
    let Event::Report(report) = told else { panic!("it is the same event: {told:?}") };
    assert_eq!(report.contradictions, ["p-1: \\u{202e}\\u{7}"]);
    assert_eq!(report.slowest[0].outcome, "ok\\u{1b}[2J");
    drop(link);
    serving.join().unwrap();
}

#[test]
fn a_worker_is_open_to_its_own_host_only_unless_it_has_a_token() {
    let open = |listen: &str, token: Option<&str>| {
        let options = Options {
            listen: listen.parse().unwrap(),
            token: token.map(ToOwned::to_owned),
            version: "1".to_owned(),
            program: None,
            stop: Arc::default(),
        };
        Worker::new(options).map(drop).map_err(|error| error.to_string())
    };
    assert!(open("0.0.0.0:0", None).unwrap_err().contains("PITCHOVER_FLEET_TOKEN"));
    assert!(open("127.0.0.1:0", Some("short")).unwrap_err().contains("TOKEN_CHARS_MIN"));
    assert_eq!(open("127.0.0.1:0", None), Ok(()));
    assert_eq!(open("0.0.0.0:0", Some(TOKEN)), Ok(()));
}

#[test]
fn tokens_are_compared_whole() {
    assert!(is_same(b"abc", b"abc"));
    assert!(!is_same(b"abc", b"abd") && !is_same(b"abc", b"abcd") && !is_same(b"", b"a"));
    assert!(check_token(TOKEN).is_ok() && check_token(&"x".repeat(2_000)).is_err());
}

#[test]
fn plans_have_limits() {
    let plan = |sets| Plan::as_java(vec!["127.0.0.1:9".to_owned()], "p".to_owned(), sets);
    let (fits, _none) = placed(plan(10)).unwrap();
    assert!(fits.host.is_none() && fits.port > 0, "over loopback brokers are on loopback");
    let why = |plan| placed(plan).map(drop).unwrap_err();
    assert!(why(plan(BROKERS_MAX)).contains("BROKERS_MAX"));
    assert!(why(plan(BROKERS_MAX / REPLICAS)).contains("DESCRIPTORS_MAX"));
    let mut far = plan(1);
    far.first_set = usize::MAX;
    assert!(why(far).contains("BROKERS_MAX"));
    let mut nowhere = plan(1);
    nowhere.controllers.clear();
    assert!(why(nowhere).contains("without controllers"));
    let places = u16::try_from(SESSIONS_MAX).unwrap();
    assert!(PORT_FIRST + places * PORTS_PER_SESSION <= 32_768, "below ephemeral ports");
    assert!(BROKERS_PER_SESSION < usize::from(PORTS_PER_SESSION));
}

#[test]
fn workers_of_one_host_share_its_ports() {
    // An address of its own, which no other test has.
    let own = "127.99.7.3".parse().unwrap();
    let mut held: Vec<_> = (0..SESSIONS_MAX).map(|_part| hold_ports(own).unwrap()).collect();
    let firsts: std::collections::BTreeSet<u16> = held.iter().map(|(first, _)| *first).collect();
    assert_eq!(firsts.len(), SESSIONS_MAX, "each has others: {firsts:?}");
    let error = hold_ports(own).map(drop).unwrap_err();
    assert!(
        error.contains("10000 to 29999 of 127.99.7.3") && error.contains("another host"),
        "{error}"
    );
    let (first, listener) = held.remove(3);
    drop(listener);
    assert_eq!(hold_ports(own).unwrap().0, first, "what was given back");
}

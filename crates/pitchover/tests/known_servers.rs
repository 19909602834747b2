//! `bench run` against servers that everybody knows, so that harness and machine can be judged by them.
//!
//! Where one is not installed its test says so on standard error, which the test runner does not swallow, and passes.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use measure::folder::{TargetKind, read};

/// How often a server is looked for that was started, and the pause between two looks.
const LOOKS_MAX: u32 = 500;
const LOOK: Duration = Duration::from_millis(20);

/// A server of the test's own, which goes with it.
struct Server {
    child: Child,
    folder: PathBuf,
    address: String,
}

impl Server {
    /// Starts `program`; `None`, and a loud word, if it is not installed.
    fn start(program: &str, words: impl Fn(&str, u16, u16) -> Vec<String>) -> Option<Self> {
        let ports = load::free_ports(2).expect("ports of loopback");
        let name = format!("known-{program}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("the folder for temporary files can be written");
        let words = words(&folder.display().to_string(), ports[0], ports[1]);
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else {
            fs::remove_dir_all(&folder).expect("it is empty");
            let text =
                format!("\nSKIPPED: {program} is not installed, nothing was measured against it\n");
            std::io::stderr().write_all(text.as_bytes()).expect("standard error is open");
            return None;
        };
        let address = format!("127.0.0.1:{}", ports[0]);
        let server = Self { child, folder, address };
        let listens = |_look| {
            std::thread::park_timeout(LOOK);
            TcpStream::connect(&server.address).is_ok()
        };
        assert!((0..LOOKS_MAX).any(listens), "{program} does not listen on {}", server.address);
        Some(server)
    }

    /// Reads and writes at a low rate; every one of them must succeed.
    fn measure(&self, kind: &str, expected: TargetKind) {
        let workload = format!(
            "schema = \"pitchover.bench/v1\"\nname = \"{kind}\"\n\
             time = {{ warmup = \"200ms\", measure = \"1s\", window = \"500ms\" }}\n\
             load = [{{ op = \"get\", rate = 200, conns = 4, keys = 50 }},\n\
               {{ op = \"set\", rate = 50, conns = 4, keys = 50, value_bytes = 100 }}]\n\
             [target]\nkind = \"{kind}\"\n"
        );
        let (file, run) = (self.folder.join(format!("{kind}.toml")), self.folder.join(kind));
        fs::write(&file, workload).expect("a file of our own");
        let ran = Command::new(env!("CARGO_BIN_EXE_pitchover"))
            .args(["bench", "run", "--target", &self.address, "-f"])
            .arg(&file)
            .arg("--out")
            .arg(&run)
            .stdin(Stdio::null())
            .output()
            .expect("the program can be started");
        let said = String::from_utf8_lossy(&ran.stderr);
        // On a busy machine the run is invalid, which says nothing about what was answered.
        assert!(matches!(ran.status.code(), Some(0 | 3)), "{kind}: {said}");
        let found = read(&run).expect("a run folder");
        assert_eq!(found.run.target.kind, expected);
        let counts: Vec<_> =
            found.run.operations.iter().map(|it| (it.op.as_str(), it.offered, it.ok)).collect();
        assert_eq!(counts, [("get", 200, 200), ("set", 50, 50)], "{kind}: {:?}", found.run);
    }

    /// A run for controllers says that this is none.
    fn is_no_controller(&self) {
        let ran = Command::new(env!("CARGO_BIN_EXE_pitchover"))
            .args(["bench", "run", "-f", "smoke-5s", "--target", &self.address, "--out"])
            .arg(self.folder.join("none"))
            .stdin(Stdio::null())
            .output()
            .expect("the program can be started");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(64), "{said}");
        assert!(said.contains(&format!("{} is not a controller", self.address)), "{said}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[test]
fn redis_answers_every_request() {
    let start = |folder: &str, port: u16, _: u16| {
        words(&format!("--port {port} --bind 127.0.0.1 --dir {folder} --save --daemonize no"))
    };
    let Some(server) = Server::start("redis-server", start) else { return };
    server.measure("redis", TargetKind::Redis);
    server.is_no_controller();
}

#[test]
fn memcached_answers_every_request_by_text_and_meta_commands() {
    let start = |_: &str, port: u16, _: u16| words(&format!("-l 127.0.0.1 -p {port} -u nobody"));
    let Some(server) = Server::start("memcached", start) else { return };
    server.measure("memcached", TargetKind::Memcached);
    server.measure("memcached-meta", TargetKind::Memcached);
}

#[test]
fn etcd_answers_every_request_of_its_gateway() {
    let start = |folder: &str, port: u16, peer: u16| {
        words(&format!(
            "--data-dir {folder}/etcd --listen-client-urls http://127.0.0.1:{port} \
             --advertise-client-urls http://127.0.0.1:{port} \
             --listen-peer-urls http://127.0.0.1:{peer} \
             --initial-advertise-peer-urls http://127.0.0.1:{peer} \
             --initial-cluster default=http://127.0.0.1:{peer}"
        ))
    };
    let Some(server) = Server::start("etcd", start) else { return };
    server.measure("etcd", TargetKind::Etcd);
    server.is_no_controller();
}

//! Ports, folders and journals that cannot be used: exit code 255, the reason in one line, every file as it was.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use protocol::{code, response_code};

use crate::cluster::Cluster;
use crate::node::{Folder, Node, PROGRAM, command};
use crate::patience::until;
use crate::run::{content, copy, run, run_as};
use crate::wire::{Wire, request};

/// Exit code of a start that failed.
const NOT_STARTED: i32 = 255;

/// The first segment of a journal.
const SEGMENT: &str = "segment-00000000000000000001";

/// Where its records begin, and how long the head of a record is.
const RECORDS_START: usize = 4_096;

/// Settings of a cluster of one, or of more who are never started.
#[derive(Clone)]
struct Settings {
    group: &'static str,
    peers: String,
    me: &'static str,
    store: PathBuf,
    more: String,
}

impl Settings {
    fn of_one(port: u16, store: &Path) -> Self {
        let peers = format!("n0-127.0.0.1:{port}");
        Self { group: "one", peers, me: "n0", store: store.to_owned(), more: String::new() }
    }

    fn text(&self) -> String {
        let Self { group, peers, me, store, more } = self;
        let store = store.display();
        format!(
            "controllerDLegerGroup={group}\ncontrollerDLegerPeers={peers}\ncontrollerDLegerSelfId={me}\n\
             controllerStorePath={store}\nconfigStorePath={store}.properties\n\
             pitchover.adminAddr=127.0.0.1:0\npitchover.limits.segmentBytes=4194304\n{more}\n"
        )
    }

    /// Tries to start with these settings, and must not.
    fn must_refuse(&self, folder: &Folder, row: &str, texts: &[&str]) {
        let file = folder.path().join(format!("{}.properties", row.replace(' ', "-")));
        fs::write(&file, self.text()).expect("a property file can be written");
        let before = (content(&self.store), self.store.exists());
        let ended = run(&["serve", "-c", &file.display().to_string()]);
        ended.must_be(row, NOT_STARTED, texts);
        ended.must_not_panic(row);
        assert!((content(&self.store), self.store.exists()) == before, "{row}: files changed");
    }
}

fn free_port() -> u16 {
    load::free_ports(1).expect("there is a free port")[0]
}

/// B46: what is in use is found out before the disk is touched.
#[test]
fn b46_ports_that_cannot_be_had() {
    let folder = Folder::new();
    let store = folder.path().join("store");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let free = Settings::of_one(free_port(), &store);
    let with = |more: String| Settings { more, ..free.clone() };
    let rows = [
        ("port in use", Settings::of_one(port, &store), format!(":{port}")),
        (
            "admin port in use",
            with(format!("pitchover.adminAddr=127.0.0.1:{port}")),
            format!(":{port}"),
        ),
        (
            "exporter port in use",
            with(format!(
                "metricsExporterType=PROM\nmetricsPromExporterHost=127.0.0.1\nmetricsPromExporterPort={port}"
            )),
            format!(":{port}"),
        ),
        (
            "somebody else's address",
            with("bindAddress=192.0.2.1".to_owned()),
            "192.0.2.1".to_owned(),
        ),
        ("no address", with("bindAddress=no such host".to_owned()), "no such host".to_owned()),
    ];
    for (row, settings, address) in rows {
        settings.must_refuse(&folder, row, &["cannot listen on", &address]);
    }
}

/// B48: too few descriptors are refused; and of those that there are, strangers get so many that the controller has
/// enough for itself, however many come.
#[test]
fn b48_descriptors() {
    const LIMIT: usize = 256;
    let folder = Folder::new();
    let settings = Settings::of_one(free_port(), &folder.path().join("store"));
    let file = folder.path().join("few.properties");
    fs::write(&file, settings.text()).unwrap();
    let limited =
        |limit: usize| format!("ulimit -n {limit}; exec {PROGRAM} serve -c {}", file.display());
    let shell = Path::new("/bin/sh");
    let ended = run_as(shell, &["-c", &limited(64)]);
    ended.must_be("64", NOT_STARTED, &["limit of open files is 64", "DESCRIPTORS_MIN"]);
    assert!(!settings.store.exists(), "the disk was touched");

    let log = folder.path().join("log");
    let node = Node::spawn(command(shell).args(["-c", &limited(LIMIT)]), &log);
    let addresses = vec![settings.peers.split_once('-').unwrap().1.to_owned()];
    let mut cluster = Cluster { nodes: vec![node], addresses, folder };
    cluster.await_leader();
    let address = cluster.addresses[0].clone();
    let mut early = Wire::connect(&address).unwrap();
    let question = request(code::CONTROLLER_GET_METADATA_INFO, &[], "");
    assert!(early.ask(&question).unwrap().is_some());
    let mut strangers: Vec<Wire> =
        (0..LIMIT + 50).map(|_| Wire::connect(&address).unwrap()).collect();
    let is_served = |wire: &mut Wire| matches!(wire.ask(&question), Ok(Some(_)));
    let served = strangers.iter_mut().filter_map(|wire| is_served(wire).then_some(())).count();
    // Three quarters, without the first one.
    assert_eq!(served, LIMIT - LIMIT / 4 - 1);
    let id = cluster.nodes[0].child.id();
    let open = fs::read_dir(format!("/proc/{id}/fd")).unwrap().count();
    assert!(open < LIMIT - 20, "{open} descriptors are open");
    // Who was there before is served, writes included, and newcomers are when the strangers are gone.
    let apply = [("brokerName", "a"), ("appliedBrokerId", "1"), ("registerCheckCode", "x:1;1")];
    let answer = early.decided(&request(code::CONTROLLER_APPLY_BROKER_ID, &apply, ""));
    assert_eq!(answer.code, response_code::SUCCESS);
    drop(strangers);
    until("a newcomer is served", || is_served(&mut Wire::connect(&address).ok()?).then_some(()));
}

/// B46, B44: paths that are no folder, or nobody's.
#[test]
fn b46_store_paths_that_cannot_be_used() {
    let folder = Folder::new();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("file"), "not a folder").unwrap();
    fs::create_dir(at("inner")).unwrap();
    fs::write(at("inner/pitchover-n0"), "not a folder").unwrap();
    fs::create_dir_all(at("java/pitchover-n0/dledger-n0")).unwrap();
    fs::create_dir_all(at("dledger/dledger-n0/data")).unwrap();
    for name in ["log", "raft_meta", "snapshot"] {
        fs::create_dir_all(at("jraft").join(name)).unwrap();
    }
    fs::create_dir_all(at("strange/pitchover-n0")).unwrap();
    fs::write(at("strange/pitchover-n0/photo.jpg"), "somebody's").unwrap();
    let port = free_port();
    let rows = [
        ("the store path is a file", at("file"), vec!["file", "not a folder"]),
        ("its parent is a file", at("file/deeper"), vec!["file", "not a folder"]),
        ("the journal's place is a file", at("inner"), vec!["pitchover-n0", "not a folder"]),
        ("data of a Java controller", at("java"), vec!["dledger-n0", "Java controller"]),
        (
            "a DLedger store beside ours",
            at("dledger"),
            vec!["dledger-n0", "Java controller", "pitchover.javaStore=ignore"],
        ),
        ("a jRaft store beside ours", at("jraft"), vec!["raft_meta", "Java controller"]),
        ("somebody's files", at("strange"), vec!["photo.jpg", "empty folder"]),
        // Root may do everything, but not this.
        (
            "a place where nobody can make folders",
            PathBuf::from("/proc/pitchover"),
            vec!["/proc/pitchover"],
        ),
    ];
    for (row, store, texts) in rows {
        Settings::of_one(port, &store).must_refuse(&folder, row, &texts);
    }
    if !rustix::process::geteuid().is_root() {
        use std::os::unix::fs::PermissionsExt;
        fs::create_dir(at("closed")).unwrap();
        fs::set_permissions(at("closed"), fs::Permissions::from_mode(0o500)).unwrap();
        Settings::of_one(port, &at("closed")).must_refuse(
            &folder,
            "no permission",
            &["right to read and write"],
        );
    }
}

/// Who means it starts beside Java's data, and needs not say so again; Java's files stay as they are.
#[test]
fn a_start_beside_java_that_is_meant() {
    let folder = Folder::new();
    let store = folder.path().join("store");
    let java = store.join("dledger-n0");
    fs::create_dir_all(java.join("data")).unwrap();
    fs::write(java.join("data/00000000000000000000"), "Java's").unwrap();
    let before = content(&java);
    let mut settings = Settings::of_one(free_port(), &store);
    let (file, log) = (folder.path().join("beside.properties"), folder.path().join("log"));
    for more in ["pitchover.javaStore=ignore", ""] {
        settings.more = more.to_owned();
        fs::write(&file, settings.text()).unwrap();
        let node = Node::start(Path::new(PROGRAM), &file, &log);
        let addresses = vec![settings.peers.split_once('-').unwrap().1.to_owned()];
        let mut cluster = Cluster { nodes: vec![node], addresses, folder: Folder::new() };
        cluster.await_leader();
        assert_eq!(content(&java), before);
    }
}

/// A journal with something in it, made by a process that was killed. Each row changes a copy.
#[test]
fn b44_journals_that_are_damaged_or_not_ours() {
    let folder = Folder::new();
    let at = |name: &str| folder.path().join(name);
    let settings = Settings::of_one(free_port(), &at("store"));
    let original = at("store/pitchover-n0");
    let mut cluster = fill(&settings);
    let (settings_file, log) = (cluster.settings(0), cluster.folder.path().join("second.log"));
    let elsewhere =
        Settings { peers: settings.peers.clone(), more: String::new(), ..settings.clone() };

    // While it runs, nobody else may have its folder; its port is looked at first.
    let text = settings.text().replace(&settings.peers, &format!("n0-127.0.0.1:{}", free_port()));
    let file = at("second.properties");
    fs::write(&file, text).unwrap();
    run(&["serve", "-c", &file.display().to_string()]).must_be(
        "in use",
        NOT_STARTED,
        &["in use by another process"],
    );
    run(&["serve", "-c", &settings_file.display().to_string()]).must_be(
        "twice",
        NOT_STARTED,
        &["cannot listen on"],
    );
    cluster.nodes[0].kill();

    for (row, changes, texts) in damages() {
        let store = at(&format!("copy-{}", row.replace(' ', "-")));
        let journal = store.join("pitchover-n0");
        copy(&original, &journal);
        for (name, change) in changes {
            change.apply(&journal.join(name));
        }
        Settings { store, ..elsewhere.clone() }.must_refuse(&folder, row, texts);
    }
    let two = format!("{};n1-127.0.0.1:{}", settings.peers, free_port());
    let rows = [
        (
            "another cluster's name",
            Settings { group: "other", ..settings.clone() },
            "belongs to cluster",
        ),
        ("another list of peers", Settings { peers: two, ..settings }, "belongs to cluster"),
    ];
    for (row, settings, text) in rows {
        settings.must_refuse(&folder, row, &[text, "identity", "check the folder"]);
    }

    // And after all this, the original is as good as ever.
    cluster.nodes[0] = Node::start(Path::new(PROGRAM), &settings_file, &log);
    cluster.await_leader();
    let mut wire = Wire::connect(&cluster.addresses[0]).unwrap();
    let next =
        wire.decided(&request(code::CONTROLLER_GET_NEXT_BROKER_ID, &[("brokerName", "a")], ""));
    assert_eq!(next.ext.get("nextBrokerId"), Some("31"));
}

/// A cluster of one with thirty ids given, each by a write of its own.
fn fill(settings: &Settings) -> Cluster {
    let address = settings.peers.split_once('-').expect("an id and an address").1.to_owned();
    let cluster = Cluster::start(Folder::new(), vec![address], &[settings.text()]);
    let mut wire = Wire::connect(&cluster.addresses[0]).expect("it accepts connections");
    for id in 1..=30 {
        let (id, check_code) = (id.to_string(), format!("127.0.0.1:{id};x"));
        let fields = [
            ("clusterName", "c"),
            ("brokerName", "a"),
            ("appliedBrokerId", &*id),
            ("registerCheckCode", &*check_code),
        ];
        let answer = wire.decided(&request(code::CONTROLLER_APPLY_BROKER_ID, &fields, ""));
        assert_eq!(answer.code, response_code::SUCCESS, "{answer:?}");
    }
    cluster
}

/// What is done to a file.
enum Change {
    Flip(usize),
    /// A bit of the first place where this stands.
    FlipIn(&'static str),
    Zero,
    Empty,
    Cut(usize),
    Append(&'static [u8]),
    Remove,
    Text(&'static str),
    /// A format version that does not exist yet, with its checksum.
    Newer,
}

impl Change {
    fn apply(&self, path: &Path) {
        let mut bytes = fs::read(path).unwrap_or_default();
        match self {
            Self::Flip(at) => bytes[*at] ^= 0x10,
            Self::FlipIn(text) => {
                let found = bytes.windows(text.len()).position(|at| at == text.as_bytes());
                bytes[found.expect("it was written")] ^= 0x10;
            }
            Self::Zero => bytes.fill(0),
            Self::Empty => bytes.clear(),
            Self::Cut(length) => bytes.truncate(*length),
            Self::Append(more) => bytes.extend_from_slice(more),
            Self::Text(text) => bytes = text.as_bytes().to_vec(),
            Self::Newer => {
                bytes[8..12].copy_from_slice(&9_u32.to_le_bytes());
                let checksum = crate::checksum::crc32c(&bytes[..12]);
                bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
            }
            Self::Remove => return fs::remove_file(path).expect("the file is there"),
        }
        fs::write(path, bytes).expect("a copy can be written");
    }
}

/// Name of the row, what is changed, and what the message names.
type Damages = Vec<(&'static str, BTreeMap<&'static str, Change>, &'static [&'static str])>;

fn damages() -> Damages {
    const IDENTITY: &str = "identity";
    let one = |name: &'static str, change: Change| BTreeMap::from([(name, change)]);
    vec![
        (
            "a bit in the first record",
            one(SEGMENT, Change::Flip(RECORDS_START + 20)),
            &[SEGMENT, "is damaged at offset 4096", "must not vote"],
        ),
        (
            "a bit in a record in the middle",
            one(SEGMENT, Change::FlipIn("127.0.0.1:15;x")),
            &[SEGMENT, "is damaged at offset", "later writes follow it", "must not vote"],
        ),
        (
            "a bit in the head of the segment",
            one(SEGMENT, Change::Flip(40)),
            &[SEGMENT, "offset 0"],
        ),
        ("the segment is nothing but zeros", one(SEGMENT, Change::Zero), &[SEGMENT, "damaged"]),
        ("the segment is empty", one(SEGMENT, Change::Empty), &[SEGMENT, "0 bytes"]),
        ("the segment is cut", one(SEGMENT, Change::Cut(100_001)), &[SEGMENT, "100001 bytes"]),
        ("the segment is gone", one(SEGMENT, Change::Remove), &[SEGMENT, "missing"]),
        ("the segment of a newer program", one(SEGMENT, Change::Newer), &[SEGMENT, "format 9"]),
        ("the identity is empty", one(IDENTITY, Change::Empty), &[IDENTITY, "damaged"]),
        ("the identity is nothing but zeros", one(IDENTITY, Change::Zero), &[IDENTITY, "damaged"]),
        ("the identity is cut", one(IDENTITY, Change::Cut(30)), &[IDENTITY, "damaged"]),
        ("the identity has more", one(IDENTITY, Change::Append(b"x")), &[IDENTITY, "damaged"]),
        ("the identity is text", one(IDENTITY, Change::Text("n0\n")), &[IDENTITY, "damaged"]),
        ("a bit in the identity", one(IDENTITY, Change::Flip(20)), &[IDENTITY, "damaged"]),
        ("the identity is gone", one(IDENTITY, Change::Remove), &[IDENTITY, "missing"]),
        ("the identity of a newer program", one(IDENTITY, Change::Newer), &[IDENTITY, "format 9"]),
    ]
}

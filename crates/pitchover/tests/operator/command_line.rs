//! Arguments and property files: exit codes and texts of Java's start script, all errors at once, disk untouched.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use crate::node::{Folder, PROGRAM};
use crate::run::{run, run_as};

/// Exit code of a start that failed.
const NOT_STARTED: i32 = 255;

/// Exit code of a command line that nobody understands.
const USAGE: i32 = 1;

/// What a property file must say besides what a row is about.
const PEERS: &str = "controllerDLegerPeers=n0-127.0.0.1:1;n1-127.0.0.1:2;n2-127.0.0.1:3\n";

/// Arguments, exit code, and texts that must be printed.
type Row<'a> = (&'a [&'a str], i32, &'a [&'a str]);

/// A folder with a property file in it, and one that must never appear.
struct Place {
    folder: Folder,
}

impl Place {
    fn new() -> Self {
        Self { folder: Folder::new() }
    }

    /// A file with `text`, and a store path in it.
    fn file(&self, text: &str) -> String {
        let path = self.path("controller.conf");
        let store = self.path("store");
        let text = format!("{text}\ncontrollerStorePath={}\n", store.display());
        fs::write(&path, text).expect("a file can be written");
        path.display().to_string()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn must_be_untouched(&self, row: &str) {
        assert!(!self.path("store").exists(), "{row}: the disk was touched");
    }
}

#[test]
fn arguments_have_javas_exit_codes() {
    let place = Place::new();
    let file = place.file(&format!(
        "controllerDLegerGroup=g\n{PEERS}controllerDLegerSelfId=n0\nlistenPort=7\n"
    ));
    let missing = place.path("missing.conf").display().to_string();
    let folder = place.folder.path().display().to_string();
    let no_peers = "Attribute value controllerDLegerPeers of ControllerConfig is null or empty";
    let rows: [Row<'_>; 21] = [
        (&["-h"], 0, &["Usage: ", "--configFile", "--printConfigItem", "--namesrvAddr"]),
        (&["--help"], 0, &["Usage: "]),
        (&["-c", &file, "-h"], 0, &["Usage: "]),
        (&["-x"], USAGE, &["-x"]),
        (&["--nonsense"], USAGE, &["--nonsense"]),
        (&["--nonsense=1"], USAGE, &["--nonsense"]),
        (&["-c"], USAGE, &["configFile"]),
        (&["positional"], USAGE, &["positional"]),
        (&["-c", &file, "-c", &file], USAGE, &["configFile"]),
        (&["--version"], USAGE, &[]),
        (&[], NOT_STARTED, &[no_peers]),
        (&["-n", "127.0.0.1:9876"], NOT_STARTED, &[no_peers]),
        (&["-c", &missing], NOT_STARTED, &[&missing, "No such file"]),
        (&["--configFile", &missing], NOT_STARTED, &[&missing]),
        (&["-c", &folder], NOT_STARTED, &[&folder, "directory"]),
        (&["-c", ""], NOT_STARTED, &["No such file"]),
        (
            &["-c", &file, "-p"],
            0,
            &["load config properties file OK", "controllerDLegerSelfId=n0\n", "listenPort=7\n"],
        ),
        (&["-p"], 0, &["controllerDLegerPeers=\n", "listenPort=19876\n"]),
        (&["-c", &file, "-p", "-DcontrollerDLegerSelfId=n1"], 0, &["controllerDLegerSelfId=n1\n"]),
        (&["-c", &file, "-p", "--controllerDLegerSelfId=n2"], 0, &["controllerDLegerSelfId=n2\n"]),
        (
            &["-c", &file, "-DcontrollerDLegerSelfId=n9"],
            NOT_STARTED,
            &["n9", "command line", "n0, n1, n2"],
        ),
    ];
    let link = place.path("mqcontroller");
    symlink(PROGRAM, &link).unwrap();
    for (arguments, code, texts) in rows {
        let row = format!("{arguments:?}");
        let serve: Vec<&str> = ["serve"].into_iter().chain(arguments.iter().copied()).collect();
        for ended in [run(&serve), run_as(&link, arguments)] {
            ended.must_be(&row, code, texts);
            ended.must_not_panic(&row);
        }
        place.must_be_untouched(&row);
    }
    // Each is called in its texts as it was called.
    run(&["serve", "-h"]).must_be("serve", 0, &["Usage: pitchover serve"]);
    run_as(&link, &["-h"]).must_be("link", 0, &["Usage: mqcontroller"]);
}

/// Name of the row, property file, and texts that must be printed.
type File<'a> = (&'a str, String, &'a [&'a str]);

/// None of these files starts a controller, or touches the disk.
fn must_not_start(rows: &[File<'_>]) {
    for (row, text, texts) in rows {
        let place = Place::new();
        let file = place.file(text);
        let ended = run(&["serve", "-c", &file]);
        ended.must_be(row, NOT_STARTED, texts);
        ended.must_not_panic(row);
        place.must_be_untouched(row);
    }
}

#[test]
fn b46_peers_that_form_no_cluster() {
    let peers = |list: &str| {
        format!(
            "controllerDLegerGroup=g\ncontrollerDLegerPeers={list}\ncontrollerDLegerSelfId=n0\n"
        )
    };
    let missing = |key: &str| format!("Attribute value {key} of ControllerConfig is null or empty");
    let [no_group, no_self, no_peers] =
        ["controllerDLegerGroup", "controllerDLegerSelfId", "controllerDLegerPeers"].map(missing);
    let [no_server_id, no_init_conf] = ["jRaftServerId", "jRaftInitConf"].map(missing);
    let jraft = "controllerType=jRaft\njRaftInitConf=a:1,b:2\njRaftControllerRPCAddr=a:3,b:4\njRaftServerId=";
    let forty: Vec<String> = (0..40).map(|at| format!("n{at}-127.0.0.1:{}", at + 1)).collect();
    must_not_start(&[
        ("no group", format!("{PEERS}controllerDLegerSelfId=n0"), &[&no_group]),
        ("no self id", format!("controllerDLegerGroup=g\n{PEERS}"), &[&no_self]),
        ("empty peers", peers(""), &[&no_peers]),
        ("nothing at all", String::new(), &[&no_peers, &no_self, &no_group]),
        (
            "repeated id",
            peers("n0-127.0.0.1:1;n0-127.0.0.1:2"),
            &["controller.conf:2", "id stands there twice"],
        ),
        (
            "repeated address",
            peers("n0-127.0.0.1:1;n1-127.0.0.1:1"),
            &["address stands there twice"],
        ),
        (
            "own id not among the peers",
            peers("n1-127.0.0.1:1;n2-127.0.0.1:2"),
            &["controller.conf:3", "n1, n2"],
        ),
        ("no port", peers("n0-127.0.0.1"), &["controllerDLegerPeers", "host:port"]),
        ("port 0", peers("n0-127.0.0.1:0"), &["from 1 to 65535"]),
        ("port beyond 16 bits", peers("n0-127.0.0.1:65536"), &["from 1 to 65535"]),
        ("no id", peers("127.0.0.1:1"), &["no id"]),
        ("too many peers", peers(&forty.join(";")), &["PEERS_MAX"]),
        (
            "jRaft without addresses",
            format!("{jraft}\njRaftInitConf="),
            &[&no_init_conf, &no_server_id],
        ),
        ("jRaft, not among the peers", format!("{jraft}c:1"), &["jRaftServerId", "a:1, b:2"]),
        (
            "jRaft, lists of different length",
            format!("{jraft}a:1\njRaftControllerRPCAddr=a:3"),
            &["jRaftControllerRPCAddr", "2 addresses"],
        ),
        (
            "two keys at once",
            format!("{}pitchover.adminAddr=no", peers("n0-x")),
            &["controllerDLegerPeers=x", "adminAddr"],
        ),
    ]);
}

#[test]
fn b46_values_that_cannot_be_used() {
    let with =
        |more: &str| format!("controllerDLegerGroup=g\n{PEERS}controllerDLegerSelfId=n0\n{more}\n");
    must_not_start(&[
        ("admin address", with("pitchover.adminAddr=here"), &["controller.conf:4", "ip:port"]),
        (
            "durability",
            with("pitchover.durability=perhaps"),
            &["controller.conf:4", "fsync, async"],
        ),
        (
            "a limit that is no number",
            with("pitchover.limits.segmentBytes=many"),
            &["segmentBytes", "whole number"],
        ),
        ("campaign time-out", with("jRaftElectionTimeoutMs=1"), &["ELECTION_TIMEOUT_MS"]),
        ("TLS demanded", with("tls.server.mode=enforcing"), &["tls.server.mode", "TLS"]),
        ("half an escape", with("a=\\u12"), &["line 4", "\\u"]),
        (
            "two values at once",
            with("pitchover.durability=no\npitchover.limits.segmentBytes=no"),
            &["durability", "segmentBytes"],
        ),
        ("2 MiB", "x".repeat(2 * 1_024 * 1_024), &["CONFIG_FILE_BYTES_MAX", "controller.conf"]),
    ]);
}

/// Tools, asked about nobody or by mistake.
#[test]
fn tools_without_a_cluster() {
    let nobody = load::free_ports(1).unwrap()[0];
    let nobody = format!("127.0.0.1:{nobody}");
    let rows: [Row<'_>; 7] = [
        (&["status", "--target", &nobody], 1, &[&nobody, "cannot be reached"]),
        (&["status", "--json", "--target", &nobody], 1, &["\"error\""]),
        (&["describe", "a", "--target", &nobody], 1, &["describe:", "cannot be reached"]),
        (&["describe", "a", "-c", "/nonexistent/file"], 1, &["/nonexistent/file"]),
        (&["describe"], 2, &["BROKER_NAME"]),
        (&["nonsense"], 2, &["nonsense"]),
        (&[], 2, &["Usage"]),
    ];
    for (arguments, code, texts) in rows {
        let row = format!("{arguments:?}");
        let ended = run(arguments);
        ended.must_be(&row, code, texts);
        ended.must_not_panic(&row);
    }
}

/// Whatever measures or judges: what is wrong is told from what failed, and from what nobody can tell.
#[test]
fn wrong_usage_of_what_measures_has_one_code() {
    let nobody = format!("127.0.0.1:{}", load::free_ports(1).unwrap()[0]);
    let rows: [&[&str]; 20] = [
        &["bench"],
        &["bench", "nonsense"],
        &["bench", "run", "-f", "/nowhere"],
        &["bench", "run", "-f", "smoke-5s", "--target", &nobody],
        &["bench", "ramp", "--scale", "x"],
        &["bench", "compare", "--a", "/nowhere", "--b", "/nowhere"],
        &["bench", "quick", "--connections", "0"],
        &["bench", "quick", "--rows", "nonsense"],
        &["bench", "failover", "masters", "--sets", "0"],
        &["bench", "failover", "nonsense"],
        &["bench", "fleet", "--workers", ""],
        &["bench", "budget", "--file", "/nowhere"],
        &["report", "html", "/nowhere"],
        &["report", "nonsense"],
        &["slo", "check", "--nonsense"],
        &["slo", "lint", "--slo", "/nowhere"],
        &["soak", "--for", "9"],
        &["canary", "nonsense"],
        &["perf", "changes", "--history", "/nowhere"],
        &["chaos", "compare", "/nowhere"],
    ];
    for arguments in rows {
        let row = format!("{arguments:?}");
        let ended = run(arguments);
        ended.must_be(&row, 64, &[]);
        ended.must_not_panic(&row);
    }
}

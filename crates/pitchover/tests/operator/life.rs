//! Clusters that are stopped, killed and started again, in both of upstream's conventions; and the tools beside them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;

use protocol::code;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::broker_set::{SET, found, shown};
use crate::cluster::{Cluster, NODES, status};
use crate::node::{Folder, PROGRAM, command};
use crate::patience::until;
use crate::run::{Ended, content, copy, run};
use crate::wire::{Wire, request};

/// What every node shows of the broker set.
fn must_show(cluster: &Cluster) {
    for address in &cluster.addresses {
        let mut wire = Wire::connect(address).expect("a node accepts connections");
        assert_eq!(shown(&mut wire), ("1".to_owned(), "1".to_owned(), vec![1, 2, 3], 2));
        let next = request(code::CONTROLLER_GET_NEXT_BROKER_ID, &[("brokerName", SET)], "");
        assert_eq!(wire.decided(&next).ext.get("nextBrokerId"), Some("4"));
    }
}

fn hash(address: &str) -> Value {
    status(address).expect("a node answers")["stateHash"].clone()
}

#[test]
fn dev_says_where_its_controllers_show_their_pages() {
    let port = load::free_ports(1).unwrap()[0].to_string();
    let mut dev = command(Path::new(PROGRAM))
        .args(["dev", "--nodes", "1", "--fleet", "0", "--ports", &port])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(dev.stdout.take().unwrap()).lines().map_while(Result::ok);
    let told = lines.by_ref().find(|line| line.starts_with("admin ") || line.starts_with("ready "));
    let admin = told.as_deref().and_then(|line| line.strip_prefix("admin n0  http://"));
    let reached = admin.and_then(|line| line.split(' ').next()).map(TcpStream::connect);
    // It is asked to end before anything is judged, or its controllers would stay.
    let id = i32::try_from(dev.id()).ok().and_then(Pid::from_raw).unwrap();
    kill_process(id, Signal::INT).unwrap();
    lines.for_each(drop);
    assert!(dev.wait().unwrap().success());
    assert!(matches!(reached, Some(Ok(_))), "{told:?}: {reached:?}");
}

/// Killed as by a power cut, all three find everything again: brokers, addresses, master, sync-state set, ids.
#[test]
fn killed_clusters_find_everything_again() {
    // Without brokers alive, an election would change what is compared here; nobody dies so fast.
    let mut cluster = Cluster::one_port("unknownKey = 1\nlistenPort = 1 \n");
    let brokers = found(&cluster);
    let before = hash(&cluster.addresses[0]);
    for round in 0..2 {
        cluster.nodes.iter_mut().for_each(|node| node.kill());
        cluster.nodes =
            (0..NODES).map(|node| cluster.start_node(Path::new(PROGRAM), node)).collect();
        cluster.await_leader();
        must_show(&cluster);
        for address in &cluster.addresses {
            assert_eq!(hash(address), before, "round {round}");
        }
    }
    drop(brokers);
    wrong_disks(&mut cluster);
    must_show(&cluster);
    // B46: what Java ignores is ignored, and said.
    let log = cluster.nodes[0].log();
    for text in [
        "load config properties file OK, ",
        "The Controller Server boot success. serializeType=JSON",
        "n0.properties:9: unknownKey is not a known key",
        "n0.properties:10: listenPort=\"1 \" is not a whole number",
    ] {
        assert!(log.contains(text), "no {text:?} in\n{log}");
    }
}

/// A node on another one's folder does not start; one on an empty folder is taken back as another member; and when its
/// own folder is back, as the member it was.
fn wrong_disks(cluster: &mut Cluster) {
    const VICTIM: usize = 1;
    cluster.nodes[VICTIM].kill();
    let store = cluster.folder.path().join("store");
    let elsewhere = cluster.folder.path().join("elsewhere");
    copy(&store.join("pitchover-n0"), &elsewhere.join("pitchover-n1"));
    let before = content(&elsewhere);
    let (file, setting) =
        (cluster.settings(VICTIM), format!("-DcontrollerStorePath={}", elsewhere.display()));
    let ended = run(&["serve", "-c", &file.display().to_string(), &setting]);
    ended.must_be("another peer's journal", 255, &["belongs to peer 1, this is peer 2"]);
    assert!(content(&elsewhere) == before, "another peer's journal was touched");

    fs::rename(store.join("pitchover-n1"), store.join("kept")).expect("a folder can be renamed");
    cluster.nodes[VICTIM] = cluster.start_node(Path::new(PROGRAM), VICTIM);
    let address = cluster.addresses[VICTIM].clone();
    // M4: it comes back as another member, and votes again when it has caught up.
    until("a wiped peer is taken back", || {
        let view = status(&address)?;
        let is_new = view["memberId"] != view["peerId"];
        (view["member"] == "voter" && view["ready"] == true && is_new).then_some(())
    });
    assert!(
        cluster.nodes[VICTIM].log().contains("it was wiped or has a wrong controllerStorePath")
    );
    must_show(cluster);
    cluster.nodes[VICTIM].signal(Signal::TERM);
    assert_eq!(cluster.nodes[VICTIM].wait().code(), Some(0));
    fs::remove_dir_all(store.join("pitchover-n1")).expect("a folder can be removed");
    fs::rename(store.join("kept"), store.join("pitchover-n1")).expect("a folder can be renamed");
    // The old disk is back: what it promised is on it, so its member may come back too.
    cluster.nodes[VICTIM] = cluster.start_node(Path::new(PROGRAM), VICTIM);
    until("the old member is taken back", || {
        let view = status(&address)?;
        (view["member"] == "voter" && view["memberId"] == view["peerId"]).then_some(())
    });
    cluster.await_leader();
}

/// Asked to stop, a leader hands over before it ends; the rest goes on, and it comes back as what it was.
#[test]
fn stopped_leaders_hand_over() {
    let mut cluster = Cluster::one_port("jRaftElectionTimeoutMs = 2000\n");
    let _brokers = found(&cluster);
    let link = cluster.folder.path().join("mqcontroller");
    symlink(PROGRAM, &link).unwrap();
    let first = cluster.await_leader();
    for signal in [Signal::TERM, Signal::INT] {
        let leader = cluster.await_leader();
        cluster.nodes[leader].signal(signal);
        assert_eq!(cluster.nodes[leader].wait().code(), Some(0));
        let log = cluster.nodes[leader].log();
        let (_, farewell) = log.rsplit_once("stopping: ").expect("it says that it stops");
        let handed_over = farewell.contains("role=Follower leader=\"n");
        assert!(handed_over, "it saw the next leader before it ended:\n{log}");
        let others: Vec<&String> = cluster
            .addresses
            .iter()
            .enumerate()
            .filter(|(node, _)| *node != leader)
            .map(|(_, address)| address)
            .collect();
        for address in &others {
            let name = format!("n{leader}");
            until("the others have a leader of their own", || {
                let view = status(address)?;
                (view["leader"] != "" && view["leader"] != *name && view["ready"] == true)
                    .then_some(())
            });
            assert_eq!(shown(&mut Wire::connect(address).unwrap()).2, [1, 2, 3]);
        }
        // One of three is missing: the tool says so, and shows the others.
        let targets = cluster.addresses.join(",");
        let seen = run(&["status", "--json", "--target", &targets]);
        assert_eq!(seen.code, Some(1), "{seen:?}");
        let views = json(&seen);
        assert!(views[leader]["error"].is_string(), "{views}");
        cluster.nodes[leader] = cluster.start_node(&link, leader);
        cluster.await_leader();
        must_show(&cluster);
    }
    assert!(cluster.nodes[first].log().matches("boot success").count() > 1);
    // Without a quorum there is nobody to hand over to, and nothing to wait for.
    let leader = cluster.await_leader();
    for node in (0..NODES).filter(|node| *node != leader) {
        cluster.nodes[node].kill();
    }
    cluster.nodes[leader].signal(Signal::TERM);
    assert_eq!(cluster.nodes[leader].wait().code(), Some(0));
}

/// Somebody stops a node that waits for the others to be there for the first time.
#[test]
fn a_first_start_that_is_stopped() {
    let cluster = Cluster::one_port("");
    let lonely = fs::read_to_string(cluster.settings(0)).unwrap();
    drop(cluster);
    let folder = Folder::new();
    // All others are gone, and the disk is new.
    let text =
        lonely.replace("controllerStorePath =", "controllerStorePath = /nonexistent\nnothing =");
    let text = format!("{text}controllerStorePath = {}\n", folder.path().display());
    let (settings, log) = (folder.path().join("lonely"), folder.path().join("log"));
    fs::write(&settings, text).unwrap();
    for signal in [Signal::TERM, Signal::INT] {
        let mut node = crate::node::Node::start(Path::new(PROGRAM), &settings, &log);
        until("it waits", || node.log().contains("waiting for peers").then_some(()));
        node.signal(signal);
        assert_eq!(node.wait().code(), Some(0), "{}", node.log());
        fs::remove_file(&log).unwrap();
    }
}

/// The convention with two ports, and the tools against it.
#[test]
fn two_ports_and_tools() {
    let folder = Folder::new();
    let ports = load::free_ports(2 * NODES).unwrap();
    let addresses: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let (brokers, peers) = addresses.split_at(NODES);
    let properties: Vec<String> = (peers.iter().enumerate())
        .map(|(node, own)| {
            let place = folder.path().display();
            format!(
                "controllerType = jRaft\njRaftGroupId = two\njRaftServerId = {own}\n\
                 jRaftInitConf = {}\njRaftControllerRPCAddr = {}\n\
                 controllerStorePath = {place}/store\nconfigStorePath = {place}/n{node}.stored\n\
                 notifyBrokerRoleChanged = false\npitchover.adminAddr = 127.0.0.1:0\n\
                 pitchover.limits.segmentBytes = 4194304\n",
                peers.join(","),
                brokers.join(","),
            )
        })
        .collect();
    let mut cluster = Cluster::start(folder, brokers.to_vec(), &properties);
    let _brokers = found(&cluster);
    must_show(&cluster);
    let leader = cluster.await_leader();
    for (node, address) in cluster.addresses.iter().enumerate() {
        let metadata = request(code::CONTROLLER_GET_METADATA_INFO, &[], "");
        let answer = Wire::connect(address).unwrap().decided(&metadata);
        assert_eq!(answer.ext.get("group"), Some("two"));
        assert_eq!(answer.ext.get("controllerLeaderAddress"), Some(&*brokers[leader]));
        assert_eq!(answer.ext.get("isLeader"), Some(if node == leader { "true" } else { "false" }));
        assert_eq!(answer.ext.get("peers"), Some(&*brokers.join(";")));
    }
    show_with_tools(&cluster);
}

fn show_with_tools(cluster: &Cluster) {
    let file = cluster.settings(1).display().to_string();
    let seen = run(&["status", "--json", "-c", &file]);
    assert_eq!(seen.code, Some(0), "{seen:?}");
    let views = json(&seen);
    let views = views.as_array().expect("one view for each node");
    assert_eq!(views.len(), NODES);
    for view in views {
        assert_eq!(
            (&view["ready"], &view["sets"], &view["masters"]),
            (&true.into(), &1.into(), &1.into())
        );
        assert_eq!(view["brokersAlive"], 3);
        assert_eq!(view["durability"], "fsync");
    }
    let seen = run(&["status", "-c", &file]);
    seen.must_be("status", 0, &["NODE", "leader", "follower"]);

    let seen = run(&["describe", SET, "--json", "-c", &file]);
    assert_eq!(seen.code, Some(0), "{seen:?}");
    let set = json(&seen);
    assert_eq!(
        (&set["master"], &set["masterEpoch"], &set["syncStateSetEpoch"]),
        (&1.into(), &1.into(), &2.into())
    );
    assert_eq!(set["replicas"].as_array().map(Vec::len), Some(3));
    let seen = run(&["describe", SET, "-c", &file]);
    seen.must_be("describe", 0, &["the master is alive", "127.0.0.1:2", "in sync"]);
    let seen = run(&["describe", "none", "--json", "-c", &file]);
    seen.must_be("describe none", 1, &["broker set `none` is not known"]);
    let long = "x".repeat(10_000);
    run(&["describe", &long, "-c", &file]).must_be("describe a long name", 1, &["describe:"]);
}

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

//! Three controllers of our own on loopback, as an operator would set them up.
//!
//! ```text
//! FOLDER/n0.properties  n1.properties  n2.properties     FOLDER/n0.log  n1.log  n2.log
//! FOLDER/store/pitchover-n0/  pitchover-n1/  pitchover-n2/
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use load::free_ports;
use protocol::{private, response_code};
use serde_json::Value;

use crate::node::{Folder, Node, PROGRAM};
use crate::patience::until;
use crate::wire::{Wire, request};

/// Controllers of a cluster.
pub(crate) const NODES: usize = 3;

/// A running cluster; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    /// Where brokers and tools reach them.
    pub(crate) addresses: Vec<String>,
    pub(crate) folder: Folder,
}

impl Cluster {
    /// Starts one node for each property file, and waits for a leader.
    pub(crate) fn start(folder: Folder, addresses: Vec<String>, properties: &[String]) -> Self {
        let mut cluster = Self { nodes: Vec::new(), addresses, folder };
        for (node, text) in properties.iter().enumerate() {
            fs::write(cluster.settings(node), text).expect("a property file can be written");
            let started = cluster.start_node(Path::new(PROGRAM), node);
            cluster.nodes.push(started);
        }
        cluster.await_leader();
        cluster
    }

    /// With one port each, as upstream's samples; `extra` are further lines of every property file.
    pub(crate) fn one_port(extra: &str) -> Self {
        let folder = Folder::new();
        let ports = free_ports(NODES).expect("there are free ports");
        let addresses: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let peers = addresses.iter().enumerate();
        let peers: Vec<String> = peers.map(|(id, address)| format!("n{id}-{address}")).collect();
        let peers = peers.join(";");
        let place = folder.path().display();
        let properties: Vec<String> = (0..NODES)
            .map(|node| {
                format!(
                    "controllerDLegerGroup = test\n\
                     controllerDLegerPeers = {peers}\n\
                     controllerDLegerSelfId = n{node}\n\
                     controllerStorePath = {place}/store\n\
                     configStorePath = {place}/n{node}.stored.properties\n\
                     notifyBrokerRoleChanged = false\n\
                     pitchover.adminAddr = 127.0.0.1:0\n\
                     pitchover.limits.segmentBytes = 4194304\n\
                     {extra}"
                )
            })
            .collect();
        Self::start(folder, addresses, &properties)
    }

    /// The property file of a node.
    pub(crate) fn settings(&self, node: usize) -> PathBuf {
        self.folder.path().join(format!("n{node}.properties"))
    }

    /// Starts a node that is not running.
    pub(crate) fn start_node(&self, program: &Path, node: usize) -> Node {
        let log = self.folder.path().join(format!("n{node}.log"));
        Node::start(program, &self.settings(node), &log)
    }

    /// Waits until every node follows one leader and serves; returns that leader.
    pub(crate) fn await_leader(&mut self) -> usize {
        until("every node follows one leader", || {
            for node in &mut self.nodes {
                let ended = node.ended();
                assert!(ended.is_none(), "a node ended: {ended:?}\n{}", node.log());
            }
            let views: Option<Vec<Value>> = self.addresses.iter().map(|at| status(at)).collect();
            let views = views?;
            let is_whole = |view: &Value| view["ready"] == true && view["leader"] != "";
            let agree = views.iter().all(|view| view["leader"] == views[0]["leader"]);
            let leader = views.iter().position(|view| view["role"] == "leader");
            leader.filter(|_| agree && views.iter().all(is_whole))
        })
    }
}

/// What a controller says of itself; `None` if it does not answer.
pub(crate) fn status(address: &str) -> Option<Value> {
    let mut wire = Wire::connect(address).ok()?;
    let answer = wire.ask(&request(private::STATUS, &[], "")).ok()??;
    (answer.code == response_code::SUCCESS).then_some(())?;
    serde_json::from_slice(&answer.body).ok()
}

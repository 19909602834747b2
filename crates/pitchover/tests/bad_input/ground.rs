//! The cluster under attack, and the question after each row.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::RangeInclusive;

use bytes::BytesMut;
use protocol::{Frame, private, response_code};
use rustix::process::Signal;
use serde_json::Value;

use crate::broker_set::{alter, found, shown};
use crate::cluster::{Cluster, NODES};
use crate::patience::until;
use crate::wire::{Wire, request};

/// Three nodes, a broker set, and a good connection to each node.
pub(crate) struct Ground {
    pub(crate) cluster: Cluster,
    pub(crate) leader: usize,
    good: Vec<Wire>,
    /// Keep the brokers alive, as their heartbeats came over them.
    _brokers: Vec<Wire>,
    hash: String,
}

impl Ground {
    pub(crate) fn new(extra: &str) -> Self {
        let mut cluster = Cluster::one_port(extra);
        let brokers = found(&cluster);
        let leader = cluster.await_leader();
        let good = cluster.addresses.iter().map(|at| Wire::connect(at).expect("a connection"));
        let good = good.collect();
        let mut ground = Self { cluster, leader, good, _brokers: brokers, hash: String::new() };
        ground.take_hash();
        ground
    }

    /// A leader and a follower.
    pub(crate) fn two_kinds(&self) -> [usize; 2] {
        [self.leader, (self.leader + 1) % NODES]
    }

    /// A new connection to a node.
    pub(crate) fn connect(&self, node: usize) -> Wire {
        Wire::connect(&self.cluster.addresses[node]).expect("a node accepts connections")
    }

    /// The state may have changed with the last row; from here on it must be this one.
    pub(crate) fn take_hash(&mut self) {
        self.good_requests("before");
        self.hash = text(&self.status(0), "stateHash");
    }

    /// Every process is the same one and serves, and the state is the same everywhere.
    pub(crate) fn check(&mut self, row: &str) {
        self.good_requests(row);
        for node in 0..NODES {
            let status = self.status(node);
            let id = u64::from(self.cluster.nodes[node].child.id());
            assert_eq!(status["processId"], id, "{row}: another process");
            assert_eq!(status["stage"], "member", "{row}");
            assert_eq!(
                text(&status, "stateHash"),
                self.hash,
                "{row}: the state changed on n{node}"
            );
        }
    }

    /// A write and then a read at every node. The write asks for what is there, so it goes through the log and
    /// changes nothing; at a follower it also takes both links between it and the leader.
    fn good_requests(&mut self, row: &str) {
        let same = alter("1", "{\"syncStateSet\":[1,2,3],\"syncStateSetEpoch\":2}");
        for wire in &mut self.good {
            let code = wire.decided(&same).code;
            assert_eq!(code, response_code::CONTROLLER_ALTER_SYNC_STATE_SET_FAILED, "{row}");
        }
        for wire in &mut self.good {
            let expected = ("1".to_owned(), "1".to_owned(), vec![1, 2, 3], 2);
            assert_eq!(shown(wire), expected, "{row}");
        }
    }

    /// A node's own view, over its good connection.
    pub(crate) fn status(&mut self, node: usize) -> Value {
        let answer = self.good[node].decided(&request(private::STATUS, &[], ""));
        serde_json::from_slice(&answer.body).expect("a status is JSON")
    }

    /// How often a node refused something under this name, by its page of metrics.
    pub(crate) fn refused(&mut self, node: usize, name: &str) -> u64 {
        self.metric(node, "pitchover_refused_total{", &format!("\"{name}\""))
    }

    /// Sum of the series of a node's page of metrics that start so and have this in them.
    pub(crate) fn metric(&mut self, node: usize, start: &str, part: &str) -> u64 {
        let address = text(&self.status(node), "adminAddress");
        let mut stream = TcpStream::connect(address).expect("the admin address accepts");
        let question = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(question).expect("a request can be sent");
        let mut page = String::new();
        stream.read_to_string(&mut page).expect("the page is text");
        let lines = page.lines().filter(|line| line.starts_with(start) && line.contains(part));
        let number = |line: &str| line.rsplit(' ').next()?.parse::<u64>().ok();
        lines.filter_map(number).sum()
    }

    /// Waits until a node holds as many descriptors as it did: what a stranger had is free again.
    pub(crate) fn await_descriptors(&self, node: usize, expected: &RangeInclusive<usize>) {
        until("all connections of strangers are freed", || {
            expected.contains(&self.descriptors(node)).then_some(())
        });
    }

    /// Sends a signal to a node.
    pub(crate) fn signal(&self, node: usize, signal: Signal) {
        self.cluster.nodes[node].signal(signal);
    }

    /// Open descriptors of a node.
    pub(crate) fn descriptors(&self, node: usize) -> usize {
        let id = self.cluster.nodes[node].child.id();
        fs::read_dir(format!("/proc/{id}/fd")).map_or(0, Iterator::count)
    }

    /// Resident memory of a node in KiB.
    pub(crate) fn resident_kib(&self, node: usize) -> u64 {
        let id = self.cluster.nodes[node].child.id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
        kib.expect("the kernel tells the memory of a process")
    }
}

impl Wire {
    /// Sends any bytes. That the controller has closed meanwhile is no error: the end is looked at, not the way.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        match self.stream.write_all(bytes) {
            Ok(()) => {}
            Err(error) if crate::wire::is_end(&error) => {}
            Err(error) => panic!("cannot send: {error}"),
        }
    }

    /// The controller ends the connection, and says nothing before.
    pub(crate) fn must_end(&mut self, row: &str) {
        match self.receive() {
            Ok(None) => {}
            other => panic!("{row}: not closed but {other:?}"),
        }
    }

    /// The next frame.
    pub(crate) fn must_receive(&mut self, row: &str) -> Frame {
        let frame = self.receive().unwrap_or_else(|error| panic!("{row}: {error}"));
        frame.unwrap_or_else(|| panic!("{row}: closed"))
    }
}

/// A frame of `kind` (0 JSON, 1 binary) whose lengths are true.
pub(crate) fn framed(kind: u8, header: &[u8], body: &[u8]) -> Vec<u8> {
    let size = |bytes: usize| u32::try_from(bytes).expect("frames are below 16 MiB");
    let mut out = size(4 + header.len() + body.len()).to_be_bytes().to_vec();
    out.extend_from_slice(&(size(header.len()) | u32::from(kind) << 24).to_be_bytes());
    out.extend_from_slice(header);
    out.extend_from_slice(body);
    out
}

/// The bytes of frames, one behind the other.
pub(crate) fn encoded<'a>(frames: impl IntoIterator<Item = &'a Frame>) -> BytesMut {
    let mut out = BytesMut::new();
    frames.into_iter().for_each(|frame| frame.encode(&mut out));
    out
}

fn text(view: &Value, member: &str) -> String {
    view[member].as_str().unwrap_or_default().to_owned()
}

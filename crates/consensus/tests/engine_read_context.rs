//! Why a read context is never used twice (rule D12): the engine by itself, with the guard off and on.
//!
//! A confirmation says which context it answers, and no more. If a deposed leader asks again with a context that it has
//! used before, an answer of the first use that is late counts for the second, and the leader confirms a read at an
//! index that another leader has left behind. The mechanism of etcd #20418; raft 0.7.0 has it. `src/read.rs` draws a
//! new context for every round, a repeated one too; the script `read_context_reused` shows the other half (D13).

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use raft::eraftpb::{ConfState, Message, MessageType};
use raft::storage::MemStorage;
use raft::{Config, RawNode, StateRole};
use std::collections::BTreeMap;

/// Ticks without a leader before a campaign.
const ELECTION_TICKS: usize = 10;

/// Three engines. Messages wait in `sent` until they are delivered one by one.
struct Engines {
    nodes: BTreeMap<u64, RawNode<MemStorage>>,
    sent: Vec<Message>,
    /// Reads that were confirmed: who, with which context, at which index.
    readable: Vec<(u64, Vec<u8>, u64)>,
}

impl Engines {
    fn new() -> Self {
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let node = |id: u64| {
            let config = Config {
                id,
                election_tick: ELECTION_TICKS,
                heartbeat_tick: 1,
                check_quorum: true,
                pre_vote: true,
                ..Config::default()
            };
            let voters: ConfState = (vec![1, 2, 3], vec![]).into();
            let storage = MemStorage::new_with_conf_state(voters);
            (id, RawNode::new(&config, storage, &logger).unwrap())
        };
        let nodes = [1, 2, 3].into_iter().map(node).collect();
        let mut engines = Self { nodes, sent: Vec::new(), readable: Vec::new() };
        engines.node(1).campaign().unwrap();
        engines.settle(&[1, 2, 3]);
        assert_eq!(engines.node(1).raft.state, StateRole::Leader);
        engines
    }

    fn node(&mut self, id: u64) -> &mut RawNode<MemStorage> {
        self.nodes.get_mut(&id).unwrap()
    }

    /// Writes everything at once, as a disk without delay would, and collects what is to be sent.
    fn turn(&mut self, id: u64) {
        let node = self.nodes.get_mut(&id).unwrap();
        while node.has_ready() {
            let mut ready = node.ready();
            self.sent.append(&mut ready.take_messages());
            for state in ready.take_read_states() {
                self.readable.push((id, state.request_ctx, state.index));
            }
            let store = node.store().clone();
            store.wl().append(ready.entries()).unwrap();
            if let Some(hard_state) = ready.hs() {
                store.wl().set_hardstate(hard_state.clone());
            }
            self.sent.append(&mut ready.take_persisted_messages());
            let mut light = node.advance(ready);
            self.sent.append(&mut light.take_messages());
            node.advance_apply();
        }
    }

    /// Takes away what waits on the way from one to the other.
    fn take(&mut self, from: u64, to: u64) -> Vec<Message> {
        self.sent.extract_if(.., |message| message.from == from && message.to == to).collect()
    }

    fn deliver(&mut self, messages: Vec<Message>) {
        for message in messages {
            let to = message.to;
            // What comes from an older term is refused, as it must be.
            drop(self.node(to).step(message));
            self.turn(to);
        }
    }

    /// Delivers everything between these until nothing more is said.
    fn settle(&mut self, among: &[u64]) {
        among.iter().for_each(|id| self.turn(*id));
        loop {
            let inside = |message: &mut Message| {
                among.contains(&message.from) && among.contains(&message.to)
            };
            let messages: Vec<Message> = self.sent.extract_if(.., inside).collect();
            if messages.is_empty() {
                return;
            }
            self.deliver(messages);
        }
    }

    fn commit(&mut self, leader: u64, command: &[u8], among: &[u64]) {
        self.node(leader).propose(vec![], command.to_vec()).unwrap();
        self.settle(among);
    }

    fn committed(&self, id: u64) -> u64 {
        self.nodes[&id].raft.raft_log.committed
    }
}

/// Leader 1 reads twice. Between the two, 2 and 3 elect 3, which commits and answers a write; of the first read's
/// confirmations, that of 2 comes late. Returns at which index the second read was confirmed, and the index that had
/// been answered when it began.
fn second_read(contexts: [&[u8]; 2]) -> (Option<u64>, u64) {
    let mut engines = Engines::new();
    engines.commit(1, b"old", &[1, 2, 3]);

    engines.node(1).read_index(contexts[0].to_vec());
    engines.turn(1);
    let (to_second, to_third) = (engines.take(1, 2), engines.take(1, 3));
    engines.deliver(to_second);
    let late: Vec<Message> = engines.take(2, 1);
    assert!(late.iter().any(|message| message.get_msg_type() == MessageType::MsgHeartbeatResponse));
    engines.deliver(to_third);
    let answers = engines.take(3, 1);
    engines.deliver(answers);
    assert_eq!(engines.readable.len(), 1, "the first read is right: 1 and 3 are a quorum");

    // The leader is cut off and does not know it yet; nothing of its doing is under way but what is late.
    engines.sent.clear();
    for _ in 0..2 * ELECTION_TICKS {
        for id in [3, 2] {
            engines.node(id).tick();
            engines.settle(&[2, 3]);
        }
    }
    let new = if engines.node(3).raft.state == StateRole::Leader { 3 } else { 2 };
    assert_eq!(engines.node(new).raft.state, StateRole::Leader);
    engines.commit(new, b"new", &[2, 3]);
    let answered = engines.committed(new);
    assert!(answered > engines.committed(1));
    engines.sent.clear();

    assert_eq!(engines.node(1).raft.state, StateRole::Leader, "it was told nothing");
    engines.node(1).read_index(contexts[1].to_vec());
    engines.turn(1);
    engines.deliver(late);
    let second = engines.readable.get(1);
    (second.map(|(_, _, index)| *index), answered)
}

#[test]
fn a_context_used_twice_lets_a_deposed_leader_confirm_a_stale_read() {
    let (confirmed, answered) = second_read([b"same", b"same"]);
    let confirmed =
        confirmed.expect("the late confirmation of the first read counts for the second");
    assert!(confirmed < answered, "stale: index {confirmed}, while {answered} had been answered");
}

#[test]
fn a_context_used_once_does_not() {
    let (confirmed, _) = second_read([b"first", b"second"]);
    assert_eq!(confirmed, None, "a late confirmation of another context counts for nothing");
}

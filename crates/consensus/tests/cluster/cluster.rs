//! Peers, disks and the network between them, with every invariant on.
//!
//! A message travels as bytes in the queue of its (sender, receiver). A group handed to the
//! journal waits until [`Cluster::write`]; a crash loses what still waits. The state of a peer is
//! a hash over its commands, which is also the checksum of its snapshots: a fetched file is the
//! checksum in its descriptor.

use crate::checks::Checks;
use crate::disk::Disk;
use crate::print;
use bytes::{Bytes, BytesMut};
use consensus::{
    Barrier, CommittedCommand, Driver, Effect, LogIndex, Membership, Message, Note, PeerId,
    Persist, ProposeError, Refused, Role, Settings, SnapshotDescriptor, Term, Ticket, Unavailable,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub(crate) struct Peer {
    pub(crate) driver: Option<Driver>,
    pub(crate) boot_nonce: u64,
    pub(crate) disk: Disk,
    /// Who belongs to the cluster, going by what this peer has applied.
    pub(crate) membership: Membership,
    /// With the journal, not durable yet.
    pub(crate) writing: VecDeque<Persist>,
    /// Index and hash of the state machine.
    pub(crate) state: (LogIndex, u128),
    /// Snapshots to fetch, and from whom.
    pub(crate) fetching: VecDeque<(PeerId, SnapshotDescriptor)>,
}

impl Peer {
    /// With an empty disk that knows the founders.
    fn new(founders: &Membership) -> Self {
        Self {
            driver: None,
            boot_nonce: 0,
            disk: Disk::new(founders.clone()),
            membership: founders.clone(),
            writing: VecDeque::new(),
            state: (LogIndex(0), 0),
            fetching: VecDeque::new(),
        }
    }
}

pub(crate) struct Cluster {
    pub(crate) peers: BTreeMap<PeerId, Peer>,
    pub(crate) links: BTreeMap<(PeerId, PeerId), VecDeque<Bytes>>,
    pub(crate) cuts: BTreeSet<(PeerId, PeerId)>,
    /// What disks held before they were lost: it had been acknowledged.
    lost: BTreeMap<PeerId, Disk>,
    pub(crate) checks: Checks,
    /// Small, so that snapshots are needed.
    catch_up_entries: u64,
    boots: u64,
    /// One line per effect since the last [`Cluster::take_lines`].
    lines: Vec<String>,
    /// Hash over all lines ever.
    pub(crate) trace: u128,
}

impl Cluster {
    pub(crate) fn new(voters: impl IntoIterator<Item = u64>) -> Self {
        let membership = Membership::of_voters(voters.into_iter().map(PeerId));
        Self::with_membership(&membership)
    }

    pub(crate) fn with_membership(membership: &Membership) -> Self {
        let ids = membership.voters.iter().chain(&membership.learners);
        let peer = |id: &PeerId| (*id, Peer::new(membership));
        let mut cluster = Self {
            peers: ids.map(peer).collect(),
            links: BTreeMap::new(),
            cuts: BTreeSet::new(),
            lost: BTreeMap::new(),
            checks: Checks::default(),
            catch_up_entries: 8,
            boots: 0,
            lines: Vec::new(),
            trace: 0,
        };
        let ids: Vec<_> = cluster.peers.keys().copied().collect();
        ids.into_iter().for_each(|id| cluster.start(id));
        cluster
    }

    /// A peer with an empty disk, which belongs to nothing yet.
    pub(crate) fn join(&mut self, id: PeerId, founders: &Membership) {
        let old = self.peers.insert(id, Peer::new(founders));
        assert!(old.is_none(), "{id} was used before");
        self.start(id);
    }

    /// The disk of a peer is lost for good, and its id with it.
    pub(crate) fn lose(&mut self, id: PeerId) {
        if self.is_up(id) {
            self.crash(id, 0);
        }
        let peer = self.peers.remove(&id).unwrap();
        self.lost.insert(id, peer.disk);
        self.links.retain(|(from, to), _| *from != id && *to != id);
    }

    pub(crate) fn start(&mut self, id: PeerId) {
        self.boots += 1;
        let peer = self.peers.get_mut(&id).unwrap();
        assert!(peer.driver.is_none(), "{id} runs");
        peer.boot_nonce = 1_000 + self.boots;
        let mut settings = Settings::new(id, peer.boot_nonce);
        settings.catch_up_entries = self.catch_up_entries;
        peer.state = peer.disk.snapshot.as_ref().map_or_else(Default::default, state_of);
        peer.membership = peer.disk.membership.clone();
        peer.driver = Some(Driver::new(settings, peer.disk.restored()).unwrap());
    }

    /// The first `written` groups that wait became durable, the others are lost.
    pub(crate) fn crash(&mut self, id: PeerId, written: usize) {
        let peer = self.peers.get_mut(&id).unwrap();
        peer.driver = None;
        peer.fetching.clear();
        let written = written.min(peer.writing.len());
        let groups: Vec<_> = peer.writing.drain(..).take(written).collect();
        for group in &groups {
            peer.disk.write(group);
            self.checks.logged(&peer.disk, &group.entries);
        }
        self.checks.crashed((id, peer.boot_nonce));
    }

    pub(crate) fn is_up(&self, id: PeerId) -> bool {
        self.peers.get(&id).is_some_and(|peer| peer.driver.is_some())
    }

    pub(crate) fn driver(&self, id: PeerId) -> &Driver {
        self.peers[&id].driver.as_ref().expect("the peer runs")
    }

    pub(crate) fn driver_mut(&mut self, id: PeerId) -> &mut Driver {
        self.peers.get_mut(&id).unwrap().driver.as_mut().expect("the peer runs")
    }

    pub(crate) fn owner(&self, id: PeerId) -> (PeerId, u64) {
        (id, self.peers[&id].boot_nonce)
    }

    pub(crate) fn propose(&mut self, id: PeerId, command: Bytes) -> Result<Ticket, ProposeError> {
        let ticket = self.driver_mut(id).propose(command.clone())?;
        self.checks.proposed(self.owner(id), ticket, command);
        Ok(ticket)
    }

    pub(crate) fn read(&mut self, id: PeerId) -> Result<Barrier, Unavailable> {
        let barrier = self.driver_mut(id).read_barrier()?;
        self.checks.asked(self.owner(id), barrier);
        Ok(barrier)
    }

    /// Puts a message into the receiver, as its link would.
    pub(crate) fn step(&mut self, from: PeerId, to: PeerId, bytes: Bytes) -> Result<(), Refused> {
        let message = Message::decode(bytes).expect("what a driver sends can be read");
        let link_nonce = self.peers[&from].boot_nonce;
        self.driver_mut(to).step(from, link_nonce, message)
    }

    /// The oldest `count` groups of a peer become durable.
    pub(crate) fn write(&mut self, id: PeerId, count: usize) {
        let peer = self.peers.get_mut(&id).unwrap();
        let count = count.min(peer.writing.len());
        for group in peer.writing.drain(..count) {
            peer.disk.write(&group);
            self.checks.logged(&peer.disk, &group.entries);
            peer.driver.as_mut().expect("the peer runs").persisted(group.number);
        }
    }

    /// The state of a peer is saved as its newest snapshot.
    pub(crate) fn snapshot(&mut self, id: PeerId) {
        let peer = self.peers.get_mut(&id).unwrap();
        let driver = peer.driver.as_mut().expect("the peer runs");
        let index = driver.applied();
        if index == LogIndex(0) || peer.disk.base() >= index || driver.membership().is_joint() {
            return;
        }
        assert_eq!(peer.state.0, index, "applied is what the state machine has");
        let term = driver.applied_term();
        let membership = driver.membership().clone();
        let checksum = peer.state.1;
        let descriptor = SnapshotDescriptor { index, term, membership, bytes: 16, checksum };
        peer.disk.save(descriptor.clone());
        driver.snapshot_taken(descriptor);
    }

    /// The oldest fetch of a peer ends.
    pub(crate) fn fetched(&mut self, id: PeerId, ok: bool) {
        let Some((from, descriptor)) = self.peers.get_mut(&id).unwrap().fetching.pop_front() else {
            return;
        };
        self.driver_mut(id).snapshot_fetched(&descriptor, ok);
        if self.is_up(from) {
            self.driver_mut(from).snapshot_reported(id, ok);
        }
    }

    /// Ends a peer's turn and carries its effects out.
    pub(crate) fn end_of_turn(&mut self, id: PeerId) {
        let mut effects = Vec::new();
        self.driver_mut(id).end_of_turn(&mut effects);
        for effect in effects {
            let line = format!("{id} {}", print::effect(&effect));
            self.trace = hash(self.trace, line.as_bytes());
            self.lines.push(line);
            self.carry_out(id, effect);
        }
    }

    fn carry_out(&mut self, id: PeerId, effect: Effect) {
        let owner = self.owner(id);
        match effect {
            Effect::Send { to, message } => self.send(id, to, &message),
            Effect::Persist(group) => self.peers.get_mut(&id).unwrap().writing.push_back(group),
            Effect::Committed { term, index, commands } => {
                self.committed(id, term, index, &commands);
            }
            Effect::Lost { ticket, why } => self.checks.ticket_lost(owner, ticket, why),
            Effect::Readable { barrier } => {
                let applied = self.peers[&id].state.0;
                self.checks.readable(owner, barrier, applied);
            }
            Effect::BarrierFailed { barrier, .. } => self.checks.barrier_failed(owner, barrier),
            Effect::FetchSnapshot { from, descriptor } => {
                let peer = self.peers.get_mut(&id).unwrap();
                peer.fetching.clear();
                peer.fetching.push_back((from, descriptor));
            }
            Effect::InstallSnapshot { descriptor } => {
                let peer = self.peers.get_mut(&id).unwrap();
                peer.state = state_of(&descriptor);
                peer.membership = descriptor.membership;
            }
            Effect::Note(Note::Membership { index, membership }) => {
                self.checks.changed(index, &self.peers[&id].membership, &membership);
                self.peers.get_mut(&id).unwrap().membership = membership;
            }
            Effect::Note(Note::Leadership { term, role: Role::Leader, .. }) => {
                // What the leader believes is its log: durable, and with the journal.
                let peer = &self.peers[&id];
                let mut log = peer.disk.clone();
                peer.writing.iter().for_each(|group| log.write(group));
                self.checks.leads(id, term, &log);
            }
            Effect::Note(_) => {}
        }
    }

    fn send(&mut self, id: PeerId, to: PeerId, message: &Message) {
        assert_eq!((message.from, message.to), (id, to), "{message:?}");
        self.checks.sent(message, &self.peers[&id].disk);
        if self.cuts.contains(&(id, to)) {
            return;
        }
        let mut bytes = BytesMut::new();
        message.encode(&mut bytes);
        self.links.entry((id, to)).or_default().push_back(bytes.freeze());
    }

    fn committed(
        &mut self,
        id: PeerId,
        term: Term,
        index: LogIndex,
        commands: &[CommittedCommand],
    ) {
        let peer = self.peers.get_mut(&id).unwrap();
        assert_eq!(index.0, peer.state.0.0 + 1, "R4: applied in order, once");
        for command in commands {
            peer.state.1 = hash(peer.state.1, &command.bytes);
        }
        peer.state.0 = index;
        let Membership { voters, outgoing, .. } = &self.peers[&id].membership;
        for majority in [voters, outgoing].into_iter().filter(|list| !list.is_empty()) {
            let disk = |voter: &PeerId| {
                self.peers.get(voter).map_or_else(|| &self.lost[voter], |peer| &peer.disk)
            };
            let disks: Vec<_> = majority.iter().map(disk).collect();
            self.checks.committed(index, term, commands, &disks);
        }
        let owner = self.owner(id);
        for command in commands {
            if let Some(ticket) = command.ticket {
                self.checks.ticket_committed(owner, ticket, &command.bytes);
            }
        }
    }

    pub(crate) fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    fn deliver_all(&mut self, from: PeerId, to: PeerId) -> bool {
        let messages = std::mem::take(self.links.get_mut(&(from, to)).unwrap());
        if !self.is_up(to) || messages.is_empty() {
            return false;
        }
        for bytes in messages {
            // Refusals are counted in the product; here the sender asks again.
            _ = self.step(from, to, bytes);
        }
        true
    }

    /// Delivers and writes everything until nothing moves.
    pub(crate) fn settle(&mut self) {
        let ids: Vec<_> = self.peers.keys().copied().collect();
        loop {
            let mut has_moved = false;
            for (from, to) in self.links.keys().copied().collect::<Vec<_>>() {
                has_moved |= self.deliver_all(from, to);
            }
            for id in ids.iter().copied().filter(|id| self.is_up(*id)).collect::<Vec<_>>() {
                has_moved |= !self.peers[&id].writing.is_empty();
                self.write(id, usize::MAX);
                if !self.peers[&id].fetching.is_empty() {
                    has_moved = true;
                    self.fetched(id, true);
                }
                self.end_of_turn(id);
            }
            if !has_moved {
                return;
            }
        }
    }
}

fn state_of(descriptor: &SnapshotDescriptor) -> (LogIndex, u128) {
    (descriptor.index, descriptor.checksum)
}

/// FNV-1a, 128 bits.
fn hash(seed: u128, bytes: &[u8]) -> u128 {
    let mut hash = seed ^ 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    for byte in bytes {
        hash = (hash ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }
    hash
}

//! Requests of clients, and of peers that forward them.
//!
//! Steps 4, 5 and 10 of the straight line: route, evidence, propose; and the answers of reads.

use crate::controller::{Controller, Stage};
use crate::effect::{Effect, Note};
use crate::event::{Caller, ConnectionId, Inspect};
use crate::instant::Instant;
use crate::order::ElectionOrder;
use crate::peer::{ANSWER_BYTES_MAX, PeerMessage};
use crate::respond;
use crate::route::{Draft, EvidenceOf, Route, route};
use crate::waiting::{EchoedNames, Full, Query, Read, Waiter, Write};
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};
use consensus::{Barrier, PeerId};
use consensus::{ProposeError, Unavailable};
use protocol::{
    BrokerHeartbeat, Frame, HeaderEncoding, ReplicaState, ReplicasInfo, ReplicasOfSet, Request,
    Response, Text,
};
use replicas::{Alive, BrokerId, Command, Evidence, Policy, limits, upstream_order};

/// A request of a client.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) caller: Caller,
    pub(crate) request: Request,
    /// The bytes it was decoded from.
    pub(crate) frame: Bytes,
}

impl Controller {
    pub(crate) fn request(&mut self, now: Instant, incoming: Incoming, effects: &mut Vec<Effect>) {
        let Incoming { caller, request, frame } = incoming;
        match route(request) {
            Route::Now(response) => reply(caller, response, effects),
            Route::Heartbeat(id, beat) => self.heartbeat(now, caller, (id, &beat), effects),
            Route::Metadata => {
                let response = self.metadata(now, caller.connection);
                reply(caller, response, effects);
            }
            Route::Read(query) => self.read(now, Waiter::Client(caller), query, effects),
            Route::LeaderRead(query) if self.is_leader() => {
                self.read(now, Waiter::Client(caller), query, effects);
            }
            // A leader that is not settled yet refuses, as upstream's does: it would take evidence without
            // knowing whom to wait for.
            Route::Write(draft) if self.leads() => {
                self.propose(now, Waiter::Client(caller), *draft, effects);
            }
            Route::LeaderRead(_) | Route::Write(_) => self.forward(now, caller, frame, effects),
            // The server answers these; one that comes here all the same is refused like an unknown field.
            Route::NotHere => reply(caller, respond::missing_field("code"), effects),
        }
    }

    pub(crate) fn inspect(
        &mut self,
        now: Instant,
        caller: Caller,
        question: Inspect,
        effects: &mut Vec<Effect>,
    ) {
        match question {
            Inspect::Status => reply(caller, respond::json(self.status(now)), effects),
            Inspect::Describe { set } => {
                self.read(now, Waiter::Client(caller), Query::Describe(set), effects);
            }
        }
    }

    /// A peer sent on what a client asked of it. Each request is taken once (rule D7): links deliver in order,
    /// so a number that does not rise was seen before.
    pub(crate) fn forwarded(
        &mut self,
        now: Instant,
        (peer, sequence): (PeerId, u64),
        frame: Bytes,
        effects: &mut Vec<Effect>,
    ) {
        let Some(link) = self.links.get_mut(peer) else { return };
        let Some(nonce) = link.nonce else { return };
        if sequence <= link.forwarded {
            return;
        }
        link.forwarded = sequence;
        self.counts.taken += 1;
        let waiter = Waiter::Peer { peer, nonce, sequence };
        let frame = Frame::decode(frame).ok();
        if let Some(order) = frame.as_ref().and_then(ElectionOrder::decode) {
            return if self.leads() {
                self.order(now, waiter, &order, effects);
            } else {
                self.answer(waiter, respond::not_leader(), effects);
            };
        }
        let Some(request) = frame.as_ref().and_then(Request::decode) else {
            // The peer decoded it before it sent it on: a newer version, or a defect.
            return self.answer(waiter, respond::missing_field("frame"), effects);
        };
        let is_leader = self.is_leader();
        match route(request) {
            Route::LeaderRead(query) if is_leader => self.read(now, waiter, query, effects),
            Route::Write(draft) if self.leads() => self.propose(now, waiter, *draft, effects),
            Route::Now(response) => self.answer(waiter, response, effects),
            Route::LeaderRead(_)
            | Route::Write(_)
            | Route::Heartbeat(..)
            | Route::Metadata
            | Route::Read(_)
            | Route::NotHere => self.answer(waiter, respond::not_leader(), effects),
        }
    }

    /// The leader's answer to a request that was sent on.
    pub(crate) fn forward_answered(
        &mut self,
        sequence: u64,
        frame: Bytes,
        effects: &mut Vec<Effect>,
    ) {
        let Some(forward) = self.forwards.take(sequence) else { return };
        let response = match Frame::decode(frame) {
            Ok(frame) => Response::from_frame(frame),
            Err(_unreadable) => respond::unknown_outcome(),
        };
        reply(forward.caller, response, effects);
    }

    /// Answers whoever waits.
    pub(crate) fn answer(&mut self, waiter: Waiter, response: Response, effects: &mut Vec<Effect>) {
        match waiter {
            Waiter::Client(caller) => reply(caller, response, effects),
            Waiter::Peer { peer, nonce, sequence } => {
                let is_same_link = self.links.get(peer).is_some_and(|l| l.nonce == Some(nonce));
                if is_same_link {
                    let mut frame = BytesMut::new();
                    response.encode(0, HeaderEncoding::Binary, &mut frame);
                    if frame.len() > ANSWER_BYTES_MAX {
                        // The link would drop it, and the caller wait for nothing.
                        effects.push(Effect::Note(Note::Refused("ANSWER_BYTES_MAX")));
                        frame.clear();
                        respond::answer_too_long().encode(0, HeaderEncoding::Binary, &mut frame);
                    }
                    let message = PeerMessage::Answer { sequence, frame: frame.freeze() };
                    effects.push(Effect::Send { peer, message });
                }
            }
            Waiter::Own { set } => self.elections.ended(&set),
        }
    }

    fn heartbeat(
        &mut self,
        now: Instant,
        caller: Caller,
        named: (i64, &BrokerHeartbeat),
        effects: &mut Vec<Effect>,
    ) {
        self.counts.heartbeats += 1;
        let response = match self.heard(now, Some(caller.connection), named, effects) {
            Ok(()) => respond::heartbeat(),
            Err(Full(limit)) => {
                effects.push(Effect::Note(Note::Refused(limit)));
                respond::busy()
            }
        };
        reply(caller, response, effects);
    }

    /// 1005.
    fn metadata(&self, now: Instant, connection: ConnectionId) -> Response {
        let named = self.named_to(now, connection).and_then(|peer| self.peer_settings(peer));
        let address = named.map_or("", |named| &*named.broker_address);
        let name = named.map_or("", |named| &*named.name);
        respond::metadata(respond::Metadata {
            group: &self.settings.group,
            leader_id: if self.settings.leader_id_is_address { address } else { name },
            leader_address: address,
            is_leader: self.is_leader() && self.serves(now),
            peers: &self.settings.peers_text,
        })
    }

    pub(crate) fn read(
        &mut self,
        now: Instant,
        waiter: Waiter,
        query: Query,
        effects: &mut Vec<Effect>,
    ) {
        if self.has_lease(now) {
            self.counts.reads += 1;
            self.counts.leased_reads += 1;
            let response = self.answer_to(now, query);
            return self.answer(waiter, response, effects);
        }
        if let Err(Full(limit)) = self.reads.admit() {
            effects.push(Effect::Note(Note::Refused(limit)));
            return self.answer(waiter, respond::busy(), effects);
        }
        let barrier = match &mut self.stage {
            Stage::Member(member) => member.driver.read_barrier(),
            Stage::Founding { .. } | Stage::Wiped => Err(Unavailable::NoLeader),
        };
        match barrier {
            Ok(barrier) => self.reads.insert(barrier, Read { waiter, query, started: now }),
            Err(Unavailable::Busy) => self.answer(waiter, respond::busy(), effects),
            Err(Unavailable::NoLeader | Unavailable::DataLost) => {
                self.answer(waiter, respond::not_leader(), effects);
            }
        }
    }

    /// The barrier is reached: everything in `replicas` is at least as new as any answer given before.
    pub(crate) fn readable(&mut self, now: Instant, barrier: Barrier, effects: &mut Vec<Effect>) {
        self.counts.barriers += 1;
        self.health.reached(barrier);
        for Read { waiter, query, started } in self.reads.take(barrier) {
            self.counts.reads += 1;
            let waited = now.since_micros(started);
            self.read_waits.record(now, waited);
            let response = self.answer_to(now, query);
            self.answer(waiter, response, effects);
        }
    }

    fn answer_to(&self, now: Instant, query: Query) -> Response {
        match query {
            Query::ReplicaInfo(set) => respond::replica_info(self.replicas.replica_info(&set)),
            Query::NextBrokerId { cluster, set } => {
                let next = self.replicas.next_broker_id(&set);
                respond::next_broker_id(cluster, set, next)
            }
            Query::SyncStateData(names) => self.sync_state_data(now, names),
            Query::Refusal(mut draft) => {
                self.add_evidence(now, &mut draft);
                let decision = self.replicas.decide(&draft.command);
                respond::decided(&draft.echo, &decision.map(|decision| decision.outcome))
            }
            Query::DryRun(draft) => self.dry_run(now, *draft),
            Query::Describe(set) => match self.describe(now, &set) {
                Some(body) => respond::json(body),
                None => respond::set_unknown(&set),
            },
        }
    }

    fn sync_state_data(&self, now: Instant, names: Vec<Text>) -> Response {
        let mut sets: Vec<(Text, ReplicasOfSet)> = Vec::new();
        let mut seen = BTreeSet::new();
        for name in names {
            let Some(set) = self.replicas.broker_set(&name) else { continue };
            if !seen.insert(name.clone()) {
                continue;
            }
            let cluster = set.cluster().unwrap_or_default();
            let mut of_set = ReplicasOfSet {
                master_broker_id: set.master().map(|master| master.0),
                master_address: set
                    .master_address()
                    .map(|address| Text::from(String::from(address))),
                master_epoch: set.master_epoch().0,
                sync_state_set_epoch: set.set_epoch().0,
                in_sync_replicas: Vec::new(),
                not_in_sync_replicas: Vec::new(),
            };
            for replica in upstream_order::of_replicas(set.replicas()) {
                let state = ReplicaState {
                    alive: self.liveness.is_alive(now, cluster, &name, replica.id.0),
                    broker_address: Text::from(String::from(&*replica.address)),
                    broker_id: replica.id.0,
                    broker_name: name.clone(),
                };
                if set.is_in_sync(replica.id) {
                    of_set.in_sync_replicas.push(state);
                } else {
                    of_set.not_in_sync_replicas.push(state);
                }
            }
            sets.push((name, of_set));
        }
        respond::sync_state_data(&ReplicasInfo { table: sets })
    }

    pub(crate) fn propose(
        &mut self,
        now: Instant,
        waiter: Waiter,
        mut draft: Draft,
        effects: &mut Vec<Effect>,
    ) {
        // What the controller itself elects is bounded by the sets that there are, and cannot wait for the disk.
        let is_shed = self.is_disk_behind && !matches!(waiter, Waiter::Own { .. });
        let room = if is_shed { Err(Full("ORDERS_BEHIND")) } else { self.writes.admit() };
        if let Err(Full(limit)) = room {
            effects.push(Effect::Note(Note::Refused(limit)));
            return self.answer(waiter, respond::busy(), effects);
        }
        self.add_evidence(now, &mut draft);
        let Some(driver) = self.driver_mut() else {
            return self.answer(waiter, respond::not_leader(), effects);
        };
        match driver.propose(draft.command.encode()) {
            Ok(ticket) => {
                self.counts.proposals += 1;
                let Draft { echo, is_order, .. } = draft;
                self.writes.insert(ticket, Write { waiter, started: now, echo, is_order });
            }
            Err(ProposeError::NotLeader { .. }) => {
                self.answer(waiter, respond::not_leader(), effects);
            }
            Err(ProposeError::Busy) => {
                effects.push(Effect::Note(Note::Refused("PROPOSALS_WAITING_MAX")));
                self.answer(waiter, respond::busy(), effects);
            }
            Err(ProposeError::Size { .. }) => {
                effects.push(Effect::Note(Note::Refused("COMMAND_BYTES_MAX")));
                self.answer(waiter, respond::missing_field("body"), effects);
            }
        }
    }

    /// Puts into the command what this peer, the leader, sees of the brokers it concerns.
    pub(crate) fn add_evidence(&self, now: Instant, draft: &mut Draft) {
        let set = draft.command.set();
        let known = self.replicas.broker_set(set);
        let cluster = match draft.evidence {
            EvidenceOf::Nobody => return,
            EvidenceOf::RequestCluster => Some(draft.echo.cluster.as_deref().unwrap_or_default()),
            // A set that is not known may be made by a command that is not applied yet: whatever its cluster.
            EvidenceOf::StoredCluster => known.map(|set| set.cluster().unwrap_or_default()),
        };
        let mut alive = self.liveness.evidence(now, cluster, set);
        let unheard = known.and_then(|set| set.master());
        let unheard = unheard.filter(|id| self.elections.is_in_grace(set, id.0));
        if let (Some(id), Command::ElectMaster(_)) = (unheard, &draft.command) {
            // Recorded before this peer led, and not heard since: alive until its grace is over.
            alive.push(Alive { id, epoch: -1, max_offset: -1, priority: i32::MAX });
        }
        if alive.len() > limits::EVIDENCE_COUNT_MAX {
            alive.retain(|member| known.is_some_and(|set| set.replica(member.id).is_some()));
            alive.truncate(limits::EVIDENCE_COUNT_MAX);
        }
        let evidence = Evidence::new(alive);
        match &mut draft.command {
            Command::ApplyBrokerId(_) => {}
            Command::RegisterBroker(command) => command.evidence = evidence,
            Command::ElectMaster(command) => {
                command.unclean |= self.settings.live.enable_elect_unclean_master;
                command.evidence = evidence;
                command.seen = known.map(replicas::BrokerSet::master_epoch);
                let policy = |set| self.settings.live.masters.policy(&command.set, set);
                command.policy = known.map(policy).unwrap_or_default();
            }
            Command::AlterSyncStateSet(command) => command.evidence = evidence,
            Command::CleanBrokerData(command) => command.evidence = evidence,
        }
    }

    /// Sends a request on to the leader. Without a leader that can be reached nothing was done for certain: 2007.
    pub(crate) fn forward(
        &mut self,
        now: Instant,
        caller: Caller,
        frame: Bytes,
        effects: &mut Vec<Effect>,
    ) {
        let leader = self.leader().filter(|&leader| {
            leader != self.settings.me && self.links.get(leader).is_some_and(|l| l.is_reachable)
        });
        let Some(leader) = leader else {
            return reply(caller, respond::not_leader(), effects);
        };
        match self.forwards.insert(now, caller, leader) {
            Ok(sequence) => {
                self.counts.forwarded += 1;
                let message = PeerMessage::Forward { sequence, frame };
                effects.push(Effect::Send { peer: leader, message });
            }
            Err(Full(limit)) => {
                effects.push(Effect::Note(Note::Refused(limit)));
                reply(caller, respond::busy(), effects);
            }
        }
    }

    /// An election of the controller's own.
    pub(crate) fn propose_election(
        &mut self,
        now: Instant,
        set: Box<str>,
        effects: &mut Vec<Effect>,
    ) {
        let draft = own_election(&set);
        self.elections.proposed(set.clone());
        self.propose(now, Waiter::Own { set }, draft, effects);
    }
}

/// An election that the controller itself wants.
pub(crate) fn own_election(set: &str) -> Draft {
    let command = Command::ElectMaster(replicas::ElectMaster {
        set: set.into(),
        broker: Some(BrokerId::NOBODY),
        designate: false,
        unclean: false,
        evidence: Evidence::default(),
        seen: None,
        policy: Policy::default(),
    });
    let evidence = EvidenceOf::StoredCluster;
    Draft { command, echo: EchoedNames::default(), evidence, is_order: false }
}

pub(crate) fn reply(caller: Caller, response: Response, effects: &mut Vec<Effect>) {
    // Nothing is ever written back to a one-way caller, but the server counts what was answered.
    effects.push(Effect::Reply { caller, response });
}

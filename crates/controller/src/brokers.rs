//! Brokers come, fall silent and die; what follows: questions, elections, notices.
//!
//! Only a settled leader asks, elects and tells (`Controller::leads`). A follower keeps its own table, so that it can
//! lead at any moment, and passes on what it hears: a broker that reaches any peer is alive to the leader.

use crate::controller::Controller;
use crate::effect::{DeathReason, Effect, ElectionReason, ElectionResult, Founding, Note};
use crate::elections::SETS_PER_LOOK;
use crate::event::{AttemptId, ConnectionId, ProbeResult};
use crate::inquiry::{ASK_AGAIN_MS, Finding, Suspect, Why};
use crate::instant::Instant;
use crate::liveness::{BrokerIdentity, OWN_EAR_MS, Slot};
use crate::peer::PeerMessage;
use crate::requests::own_election;
use crate::respond;
use crate::seat::seat;
use crate::settings::UNHEARD_GRACE_MS;
use crate::snapshots::Part;
use crate::waiting::Full;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use consensus::{LogIndex, PeerId, Role};
use protocol::{BrokerHeartbeat, RoleNotice, Text};
use replicas::{BrokerSet, Command, Member, Outcome, RecordedMaster, RegisterBroker, Rejection};

impl Controller {
    /// A heartbeat came.
    pub(crate) fn heard(
        &mut self,
        now: Instant,
        connection: Option<ConnectionId>,
        (id, beat): (i64, &BrokerHeartbeat),
        effects: &mut Vec<Effect>,
    ) -> Result<(), Full> {
        let heard = self.liveness.heard(now, connection, id, beat);
        let heard = heard.map_err(|_full| Full("LIVE_BROKERS_MAX"))?;
        if connection.is_some() {
            self.pass_on(now, heard.slot, beat, effects);
        }
        let Some(broker) = self.liveness.get(heard.slot) else { return Ok(()) };
        // A close overtook this heartbeat: it is the last of its connection, perhaps of its broker.
        let is_too_late = connection.is_some() && broker.connection.is_none();
        if heard.is_new || heard.is_new_address {
            let identity = broker.identity.clone();
            self.inquiries.ask(now, &identity, &broker.address, Why::Remember);
            if heard.is_new {
                self.elections.heard(&identity.set, id);
                self.elections.consider(&identity.set);
                let BrokerIdentity { cluster, set, id } = identity;
                effects.push(Effect::Note(Note::BrokerAlive { cluster, set, id }));
            }
        }
        if is_too_late {
            self.question(now, heard.slot, effects);
        }
        Ok(())
    }

    /// Tells the leader of a broker, which it may not be able to hear itself.
    fn pass_on(
        &mut self,
        now: Instant,
        slot: Slot,
        beat: &BrokerHeartbeat,
        effects: &mut Vec<Effect>,
    ) {
        let leader = self.leader().filter(|&leader| leader != self.settings.me);
        let Some(peer) = leader else { return };
        if self.liveness.must_pass_on(now, slot, peer) {
            let message = PeerMessage::Heard(Box::new(beat.clone()));
            effects.push(Effect::Send { peer, message });
        }
    }

    /// Another peer heard a broker.
    fn heard_elsewhere(&mut self, now: Instant, beat: &BrokerHeartbeat, effects: &mut Vec<Effect>) {
        let cluster = beat.cluster_name.as_deref().unwrap_or_default();
        let set = beat.broker_name.as_deref().unwrap_or_default();
        let (true, Some(id)) = (self.is_leader(), beat.broker_id) else { return };
        let slot = self.liveness.slot(cluster, set, id);
        let known = slot.and_then(|slot| self.liveness.get(slot));
        let own = known.and_then(|broker| broker.heard_here);
        if own.is_some_and(|heard| now.since_ms(heard) < OWN_EAR_MS) {
            return;
        }
        if let Err(Full(limit)) = self.heard(now, None, (id, beat), effects) {
            effects.push(Effect::Note(Note::Refused(limit)));
        }
    }

    /// A client connection closed: for the brokers heard on it, that is a question to the leader.
    pub(crate) fn connection_closed(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        effects: &mut Vec<Effect>,
    ) {
        for slot in self.liveness.closed(connection) {
            self.question(now, slot, effects);
        }
    }

    /// The connection of a broker is gone: the leader is to ask about it.
    fn question(&mut self, now: Instant, slot: Slot, effects: &mut Vec<Effect>) {
        if self.leads() {
            self.ask(now, slot, Why::Closed);
        } else if let (Some(peer), Some(broker)) = (self.leader(), self.liveness.get(slot)) {
            let message = PeerMessage::Closed(broker.identity.clone());
            effects.push(Effect::Send { peer, message });
        }
    }

    fn ask(&mut self, now: Instant, slot: Slot, why: Why) {
        let Some(broker) = self.liveness.get(slot) else { return };
        let since = if why == Why::Silent { broker.heard } else { now };
        self.inquiries.ask(since, &broker.identity, &broker.address, why);
    }

    /// A broker was not heard for a while, neither here nor by way of another peer. Whoever hears it is to pass it on;
    /// if it has a connection to this peer, it is asked itself too.
    fn silent(&mut self, now: Instant, slot: Slot, effects: &mut Vec<Effect>) {
        let Some(broker) = self.liveness.get(slot) else { return };
        let (since, is_connected) = (broker.heard, broker.connection.is_some());
        let identity = broker.identity.clone();
        let number = self.inquiries.number();
        self.ask_peers(now, number, (&identity, since), effects);
        if is_connected {
            self.ask(now, slot, Why::Silent);
        }
    }

    /// Another peer saw a broker's connection close.
    fn closed_elsewhere(&mut self, now: Instant, broker: &BrokerIdentity) {
        let slot = self.liveness.slot(&broker.cluster, &broker.set, broker.id);
        if let (true, Some(slot)) = (self.leads(), slot) {
            self.ask(now, slot, Why::Closed);
        }
    }

    /// The leader asks whether this peer still hears a broker. If so, the next heartbeat is passed on at once.
    fn questioned(&mut self, now: Instant, silent_ms: u64, broker: &BrokerIdentity) -> bool {
        let slot = self.liveness.slot(&broker.cluster, &broker.set, broker.id);
        let Some(slot) = slot else { return false };
        self.liveness.asked(now, slot);
        self.liveness.get(slot).is_some_and(|broker| {
            broker.connection.is_some() || now.since_ms(broker.heard) < silent_ms
        })
    }

    /// A connect to a broker's address ended.
    pub(crate) fn probed(
        &mut self,
        now: Instant,
        attempt: AttemptId,
        result: ProbeResult,
        effects: &mut Vec<Effect>,
    ) {
        let finding = self.inquiries.probed(now, attempt, result);
        self.found(now, finding, effects);
    }

    fn found(&mut self, now: Instant, finding: Finding, effects: &mut Vec<Effect>) {
        match finding {
            Finding::Nothing => {}
            Finding::AskPeers(number, suspect) => {
                if self.is_heard_here(&suspect) {
                    return self.inquiries.object(now, &suspect.broker);
                }
                let asked = self.ask_peers(now, number, suspect.asked_about(), effects);
                self.inquiries.open_round(now, number, suspect, asked);
            }
            // What closed says nothing any more: it lives on another connection since.
            Finding::Shorten(_, suspect) if self.is_heard_here(&suspect) => {}
            Finding::Shorten(number, suspect) => {
                let Suspect { broker, .. } = &suspect;
                let grace = now.plus_ms(self.settings.live.broker_close_grace_ms);
                if let Some(slot) = self.liveness.slot(&broker.cluster, &broker.set, broker.id) {
                    self.liveness.shorten(slot, grace);
                }
                // Whoever hears it still passes its next heartbeat on, which comes within the grace.
                self.ask_peers(now, number, suspect.asked_about(), effects);
            }
            Finding::Dead(suspect) if self.is_heard_here(&suspect) => {}
            Finding::Dead(Suspect { broker, .. }) => {
                let slot = self.liveness.slot(&broker.cluster, &broker.set, broker.id);
                if let Some(dead) = slot.and_then(|slot| self.liveness.remove(slot)) {
                    self.died(dead.identity, DeathReason::Refused, effects);
                }
            }
        }
    }

    /// Asks all peers whether they still hear a broker that is suspected since then. Who was asked.
    fn ask_peers(
        &self,
        now: Instant,
        number: u64,
        (broker, since): (&BrokerIdentity, Instant),
        effects: &mut Vec<Effect>,
    ) -> BTreeSet<PeerId> {
        let asked = self.links.reachable();
        let silent_ms = u32::try_from(now.since_ms(since)).unwrap_or(u32::MAX);
        for &peer in &asked {
            let broker = broker.clone();
            let message = PeerMessage::Question { number, silent_ms, broker };
            effects.push(Effect::Send { peer, message });
        }
        asked
    }

    /// Whether this peer itself has an open connection of the broker, or heard it since it is suspected.
    fn is_heard_here(&self, suspect: &Suspect) -> bool {
        let Suspect { broker, since, is_closed } = suspect;
        let slot = self.liveness.slot(&broker.cluster, &broker.set, broker.id);
        slot.and_then(|slot| self.liveness.get(slot)).is_some_and(|known| {
            let is_connected = *is_closed && known.connection.is_some();
            is_connected || known.heard > *since
        })
    }

    fn died(&mut self, identity: BrokerIdentity, reason: DeathReason, effects: &mut Vec<Effect>) {
        self.notices.forget(&identity);
        self.elections.consider(&identity.set);
        let BrokerIdentity { cluster, set, id } = identity;
        effects.push(Effect::Note(Note::BrokerDead { cluster, set, id, reason }));
    }

    /// What time alone brings: deadlines, silence, rounds that are over, brokers to ask again.
    pub(crate) fn watch_brokers(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let ring = self.liveness.ring(now, self.leads());
        for dead in ring.dead {
            self.died(dead.identity, DeathReason::Deadline, effects);
        }
        for broker in self.inquiries.take_unaccepted(now) {
            match self.liveness.slot(&broker.cluster, &broker.set, broker.id) {
                Some(slot) => self.ask(now, slot, Why::Remember),
                None => self.inquiries.forget(&broker),
            }
        }
        if !self.leads() {
            return;
        }
        for slot in ring.silent {
            self.silent(now, slot, effects);
        }
        for broker in self.inquiries.take_again(now) {
            let slot = self.liveness.slot(&broker.cluster, &broker.set, broker.id);
            let Some(slot) = slot else { continue };
            // Heard again, on a connection or by way of another peer: the question is answered.
            let is_unheard = self.liveness.get(slot).is_some_and(|broker| {
                broker.connection.is_none() && now.since_ms(broker.heard) >= ASK_AGAIN_MS
            });
            if is_unheard {
                self.ask(now, slot, Why::Closed);
            }
        }
        let quorum = self.settings.peers.len() / 2 + 1;
        for finding in self.inquiries.close_rounds(now, quorum) {
            self.found(now, finding, effects);
        }
    }

    /// Proposes an election for every set that needs one. Returns whether any was proposed.
    pub(crate) fn hold_elections(&mut self, now: Instant, effects: &mut Vec<Effect>) -> bool {
        if !self.leads() {
            return false;
        }
        self.elections.end_times(now);
        if self.elections.is_look_due(now) {
            let next = self.replicas.broker_sets_after(self.elections.looked_until());
            let names = next.take(SETS_PER_LOOK).map(|(name, _)| Box::from(name)).collect();
            self.elections.look_at(now, names);
        }
        let mut is_proposed = false;
        for set in self.elections.take_due() {
            if self.needs_election(now, &set) {
                self.propose_election(now, set, effects);
                is_proposed = true;
            }
        }
        is_proposed
    }

    /// Whether the controller itself should elect: the recorded master is dead, or none is recorded although
    /// somebody could be. The first master of a set is not the controller's to choose: brokers ask for it.
    fn needs_election(&self, now: Instant, name: &str) -> bool {
        let Some(set) = self.replicas.broker_set(name) else { return false };
        if !set.was_elected() {
            return false;
        }
        let cluster = set.cluster().unwrap_or_default();
        let is_alive = |id: i64| self.liveness.is_alive(now, cluster, name, id);
        match set.master() {
            Some(master) => !is_alive(master.0) && !self.elections.is_in_grace(name, master.0),
            // The election itself says whether it would find anybody: one that cannot is not proposed.
            None => {
                let mut draft = own_election(name);
                self.add_evidence(now, &mut draft);
                self.elects_anybody(&draft.command)
            }
        }
    }

    /// This peer leads from now on.
    pub(crate) fn begin_leading(&mut self, now: Instant) {
        self.elections.begin(now, self.replicas.broker_sets().map(|(name, _)| Box::from(name)));
        let until = now.plus_ms(UNHEARD_GRACE_MS);
        for (name, set) in self.replicas.broker_sets() {
            let cluster = set.cluster().unwrap_or_default();
            let master =
                set.master().filter(|id| self.liveness.slot(cluster, name, id.0).is_none());
            if let Some(master) = master {
                self.elections.give_time(name, master.0, until);
            }
        }
        // Whose connection closed while nobody led, or only the old leader was told: it is asked now.
        let closed = self.liveness.iter().filter(|(_, broker)| broker.connection.is_none());
        let closed: Vec<Slot> = closed.map(|(slot, _)| slot).collect();
        for slot in closed {
            self.ask(now, slot, Why::Closed);
        }
        self.liveness.begin_leading(now);
    }

    /// A broker that became master before its first heartbeat is here, since it asked for itself, has time.
    pub(crate) fn await_master(&mut self, now: Instant, set: &str, outcome: &Outcome) {
        let Outcome::MasterElected { master, cluster, .. } = outcome else { return };
        let cluster = cluster.as_deref().unwrap_or_default();
        if self.leads() && self.liveness.slot(cluster, set, master.id.0).is_none() {
            self.elections.give_time(set, master.id.0, now.plus_ms(UNHEARD_GRACE_MS));
        }
    }

    /// A broker registered with another address: notices follow it there.
    pub(crate) fn follow_address(&mut self, now: Instant, command: &Command, outcome: &Outcome) {
        let Outcome::BrokerRegistered { address_changed: true, .. } = outcome else { return };
        let Command::RegisterBroker(RegisterBroker {
            set,
            id: Some(id),
            address: Some(address),
            ..
        }) = command
        else {
            return;
        };
        let known = self.replicas.broker_set(set).and_then(BrokerSet::cluster);
        let cluster = known.unwrap_or_default().into();
        let broker = BrokerIdentity { cluster, set: set.clone(), id: id.0 };
        self.notices.moved(now, &broker, address);
    }

    /// This peer leads no more.
    pub(crate) fn end_leading(&mut self) {
        self.elections.end();
        self.inquiries.clear();
        self.notices.clear();
    }

    /// A master was elected: every living member is told. Only the leader does this, and once.
    pub(crate) fn tell_members(&mut self, now: Instant, set: &str, outcome: &Outcome) {
        let Outcome::MasterElected { master, cluster, members, .. } = outcome else { return };
        if !self.leads() || !self.settings.live.notify_broker_role_changed {
            return;
        }
        let cluster = cluster.as_deref().unwrap_or_default();
        for Member { id, address } in members {
            if self.liveness.is_alive(now, cluster, set, id.0) {
                let identity =
                    BrokerIdentity { cluster: cluster.into(), set: set.into(), id: id.0 };
                self.notices.put(now, identity, address.clone(), notice(master));
            }
        }
    }

    /// What is told of an election that was proposed here.
    pub(crate) fn note_election(
        &self,
        (cluster, set): (Option<&Text>, &str),
        reason: ElectionReason,
        result: &Result<Outcome, Rejection>,
        effects: &mut Vec<Effect>,
    ) {
        let (master, result) = match result {
            Ok(Outcome::MasterElected { master, .. }) => {
                (Some(master.id.0), ElectionResult::NewMaster)
            }
            Ok(Outcome::NoMaster { .. }) | Err(Rejection::ElectionFailed) => {
                (None, ElectionResult::NoMaster)
            }
            Err(Rejection::MasterStillExists { master, .. }) => {
                (Some(master.id.0), ElectionResult::KeptMaster)
            }
            // An unknown set is not counted, as upstream.
            Ok(_) | Err(_) => return,
        };
        let cluster = cluster.map_or_else(Box::default, |cluster| cluster.as_str().into());
        let set = set.into();
        effects.push(Effect::Note(Note::Election { cluster, set, master, result, reason }));
    }

    pub(crate) fn peer_message(
        &mut self,
        now: Instant,
        peer: PeerId,
        message: PeerMessage,
        effects: &mut Vec<Effect>,
    ) {
        let link = self.links.get(peer).filter(|link| link.caller == Some(peer));
        let Some(nonce) = link.and_then(|link| link.nonce) else { return };
        let (member, peer) = (peer, seat(peer));
        match message {
            PeerMessage::Raft(message) if self.must_not_vote(now, &message.content) => {
                self.counts.refused_messages += 1;
            }
            PeerMessage::Raft(message) => {
                let refused = self.driver_mut().map(|driver| driver.step(member, nonce, message));
                self.counts.refused_messages += u64::from(matches!(refused, Some(Err(_))));
            }
            PeerMessage::Founding(state) => self.founding_heard(peer, state, effects),
            PeerMessage::Forward { sequence, frame } => {
                self.forwarded(now, (peer, sequence), frame, effects);
            }
            PeerMessage::Answer { sequence, frame } => {
                self.forward_answered(sequence, frame, effects);
            }
            PeerMessage::Closed(broker) => self.closed_elsewhere(now, &broker),
            PeerMessage::Heard(beat) => self.heard_elsewhere(now, &beat, effects),
            PeerMessage::Serving { serves, leases } => {
                self.health.said(now, peer, (serves, leases));
            }
            PeerMessage::Question { number, silent_ms, broker } => {
                let objects = self.questioned(now, u64::from(silent_ms), &broker);
                let message = PeerMessage::Objection { number, objects };
                effects.push(Effect::Send { peer, message });
            }
            PeerMessage::Objection { number, objects } => {
                self.inquiries.answered(now, number, peer, objects);
            }
            PeerMessage::SnapshotRead { index, offset } => {
                self.snapshot_read(now, peer, (index, offset), effects);
            }
            PeerMessage::SnapshotPart { index, offset, bytes } => {
                self.snapshot_part(now, &Part { from: peer, index, offset, bytes }, effects);
            }
        }
    }

    fn snapshot_read(
        &mut self,
        now: Instant,
        peer: PeerId,
        (index, offset): (LogIndex, u64),
        effects: &mut Vec<Effect>,
    ) {
        let (bytes, is_last) = self.snapshots.part(now, peer, index, offset);
        if is_last {
            self.report_snapshot(peer, true);
        }
        let message = PeerMessage::SnapshotPart { index, offset, bytes };
        effects.push(Effect::Send { peer, message });
    }

    /// A peer has a whole snapshot, or will not have it: whoever sits there.
    pub(crate) fn report_snapshot(&mut self, peer: PeerId, ok: bool) {
        for member in self.members_on(peer) {
            if let Some(driver) = self.driver_mut() {
                driver.snapshot_reported(member, ok);
            }
        }
    }

    fn founding_heard(&mut self, peer: PeerId, state: Founding, effects: &mut Vec<Effect>) {
        use crate::controller::Stage;
        match &mut self.stage {
            Stage::Founding { start, .. } => start.heard(peer, state),
            // Two wiped peers that answered each other would never end.
            Stage::Wiped => {}
            Stage::Member(_) => {
                if state != Founding::Founded {
                    let message = PeerMessage::Founding(self.founding_state());
                    effects.push(Effect::Send { peer, message });
                }
            }
        }
    }

    pub(crate) fn peer_up(&mut self, peer: PeerId, nonce: u64, effects: &mut Vec<Effect>) {
        let Some(link) = self.links.get_mut(peer) else { return };
        if link.nonce != Some(nonce) {
            link.forwarded = 0;
        }
        link.nonce = Some(nonce);
        link.caller = Some(peer);
        link.is_refused = false;
        let message = PeerMessage::Founding(self.founding_state());
        effects.push(Effect::Send { peer, message });
    }

    pub(crate) fn peer_reachable(&mut self, peer: PeerId, effects: &mut Vec<Effect>) {
        let Some(link) = self.links.get_mut(peer) else { return };
        link.is_reachable = true;
        link.is_refused = false;
        link.listener = Some(peer);
        self.health.tell_anew();
        let message = PeerMessage::Founding(self.founding_state());
        effects.push(Effect::Send { peer, message });
    }

    pub(crate) fn peer_unreachable(
        &mut self,
        now: Instant,
        peer: PeerId,
        is_refused: bool,
        effects: &mut Vec<Effect>,
    ) {
        let Some(link) = self.links.get_mut(peer) else { return };
        link.is_reachable = false;
        link.is_refused = is_refused;
        for lost in self.forwards.lost_with(peer) {
            crate::requests::reply(lost.caller, respond::unknown_outcome(), effects);
        }
        self.health.lost(peer);
        let was_offered = self.snapshots.withdraw(peer);
        for member in self.members_on(peer) {
            if let Some(driver) = self.driver_mut() {
                driver.unreachable(member);
            }
        }
        if was_offered {
            self.report_snapshot(peer, false);
        }
        let Some(driver) = self.driver() else { return };
        let leader = driver.leader().filter(|leader| seat(*leader) == peer);
        if let Some(leader) = leader.filter(|_| is_refused && driver.role() != Role::Leader) {
            let (me, voters) = (driver.me(), &driver.membership().voters);
            let rank = voters.iter().filter(|&&voter| voter != leader && voter < me).count();
            let term = driver.term();
            self.crash.refused(now, leader, term, u64::try_from(rank).unwrap_or(u64::MAX));
        }
    }
}

fn notice(master: &RecordedMaster) -> RoleNotice {
    RoleNotice {
        master_address: Text::from(alloc::string::String::from(&*master.address)),
        master_epoch: master.master_epoch.0,
        sync_state_set_epoch: master.set_epoch.0,
        master_broker_id: master.id.0,
        sync_state_set: master.sync_state_set.iter().map(|id| id.0).collect(),
    }
}

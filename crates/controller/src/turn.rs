//! The end of a turn: time passes, elections are held, the engine runs, and what it says is carried out.
//!
//! The order is fixed, since the simulator replays it: first start, tick, brokers, elections, engine,
//! what was committed, notices, deadlines, the next wake. Elections that a commit makes due are proposed in the
//! same turn.

use crate::campaign::Seen;
use crate::controller::{Controller, Leadership, Member, Stage};
use crate::effect::{Effect, ElectionReason, Note};
use crate::health::PROOF_EVERY_MS;
use crate::instant::Instant;
use crate::order::explained;
use crate::peer::PeerMessage;
use crate::requests::reply;
use crate::respond;
use crate::seat::seat;
use crate::settings::{ReadMode, SNAPSHOT_LOG_BYTES, SNAPSHOT_LOG_TIMES};
use crate::snapshots::checksum;
use crate::waiting::{Waiter, Write};
use alloc::vec::Vec;
use bytes::Bytes;
use consensus::{CommittedCommand, Content, Lost, PeerId, Role, SnapshotDescriptor, Ticket};
use replicas::{Command, Outcome, Rejection, Replicas};

/// Rounds of elections and engine in one turn. The second proposes what the first committed; more than that only
/// a one-peer cluster can use, where a commit needs nobody.
const ROUNDS_PER_TURN_MAX: usize = 3;

impl Controller {
    pub(crate) fn end_of_turn(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.step_founding(now, effects);
        self.tick(now);
        self.prove_health(now);
        self.tend_members(now);
        self.watch_brokers(now, effects);
        self.leave_to_faster_disk(now, effects);
        for _ in 0..ROUNDS_PER_TURN_MAX {
            self.hold_elections(now, effects);
            self.run_engine(now, effects);
            if !self.elections.has_due() {
                break;
            }
        }
        self.take_snapshot(effects);
        self.tell_health(now, effects);
        for sending in self.notices.take_due(now) {
            let (attempt, address, notice) = (sending.attempt, sending.address, sending.notice);
            effects.push(Effect::Notify { attempt, address, notice });
        }
        for (attempt, address) in self.inquiries.take_probes(now) {
            self.counts.probes += 1;
            effects.push(Effect::Probe { attempt, address });
        }
        self.answer_late(now, effects);
        if self.is_stopped(now) {
            effects.push(Effect::Stopped);
        }
        let next = self.next_due(now);
        self.wake_at(next, effects);
    }

    /// One tick of the engine if it is due, and the campaign of rule D23.
    fn tick(&mut self, now: Instant) {
        let tick_micros = self.settings.election_timeout_ms.saturating_mul(1_000) / 20;
        // The spread that keeps campaigns apart comes from here (rule D19): half to one and a half ticks. Leases
        // need that nobody campaigns early (rule D18), so there it is one to one and a half.
        let is_leased = self.settings.read_mode == ReadMode::Lease;
        let shortest = if is_leased { tick_micros } else { tick_micros / 2 };
        let drawn = self.draw.between(shortest, tick_micros + tick_micros / 2);
        let Stage::Member(member) = &mut self.stage else { return };
        let Member { driver, next_tick, .. } = &mut **member;
        if *next_tick <= now {
            driver.tick();
            *next_tick = now.plus_micros(drawn);
        }
        let crashed = self.crash.leader().and_then(|leader| self.links.get(leader));
        let seen = Seen {
            leader: driver.leader(),
            term: driver.term(),
            is_follower: driver.role() == Role::Follower,
            refuses: crashed.is_some_and(|link| link.is_refused),
            voters: u64::try_from(driver.membership().voters.len()).unwrap_or(u64::MAX),
        };
        if self.crash.is_due(now, seen) && !is_leased {
            driver.campaign_now();
        }
    }

    /// Asks for the barrier that proves that this peer can serve, if it is time.
    fn prove_health(&mut self, now: Instant) {
        if !self.health.must_ask(now) {
            return;
        }
        let every_ms = PROOF_EVERY_MS.min(self.settings.election_timeout_ms / 4);
        let barrier = self.driver_mut().and_then(|driver| driver.read_barrier().ok());
        self.health.asked(now, barrier, every_ms);
    }

    /// Tells the others whether this peer can serve.
    fn tell_health(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let serves = self.serves(now);
        if !self.health.must_tell(now, serves) {
            return;
        }
        let leases = self.settings.read_mode == ReadMode::Lease;
        for peer in self.links.peers() {
            let message = PeerMessage::Serving { serves, leases };
            effects.push(Effect::Send { peer, message });
        }
    }

    /// Lets the engine run and carries out what it says, in its order.
    fn run_engine(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let mut said = core::mem::take(&mut self.engine_effects);
        if let Some(driver) = self.driver_mut() {
            driver.end_of_turn(&mut said);
        }
        for effect in said.drain(..) {
            self.carry_out(now, effect, effects);
        }
        self.engine_effects = said;
        self.watch_leadership(now, effects);
    }

    fn carry_out(&mut self, now: Instant, effect: consensus::Effect, effects: &mut Vec<Effect>) {
        match effect {
            consensus::Effect::Send { to, message } => {
                if matches!(message.content, Content::Snapshot { .. }) {
                    self.snapshots.offered(now, seat(to));
                }
                effects.push(Effect::Send { peer: to, message: PeerMessage::Raft(message) });
            }
            consensus::Effect::Persist(persist) => {
                self.disk.handed(now, persist.number);
                effects.push(Effect::Persist(persist));
            }
            consensus::Effect::Committed { index, commands, .. } => {
                let bytes: usize = commands.iter().map(|command| command.bytes.len()).sum();
                let count = u64::try_from(commands.len()).unwrap_or(u64::MAX);
                self.snapshots.applied(count, u64::try_from(bytes).unwrap_or(u64::MAX));
                self.counts.commands += count;
                for command in commands {
                    self.apply(now, index.0, &command, effects);
                }
            }
            consensus::Effect::Lost { ticket, why } => self.lost(now, ticket, why, effects),
            consensus::Effect::Readable { barrier } => self.readable(now, barrier, effects),
            consensus::Effect::BarrierFailed { barrier, .. } => {
                self.health.failed(barrier);
                for read in self.reads.take(barrier) {
                    self.answer(read.waiter, respond::not_leader(), effects);
                }
            }
            consensus::Effect::FetchSnapshot { from, descriptor } => {
                self.fetch_snapshot(now, from, descriptor, effects);
            }
            consensus::Effect::InstallSnapshot { descriptor } => self.install(&descriptor),
            consensus::Effect::Note(note) => effects.push(Effect::Note(Note::Consensus(note))),
        }
    }

    /// One committed command: decided here, equally on every peer, and answered if its request came here.
    fn apply(
        &mut self,
        now: Instant,
        index: u64,
        committed: &CommittedCommand,
        effects: &mut Vec<Effect>,
    ) {
        let write = committed.ticket.and_then(|ticket| self.writes.take(ticket));
        let command = match Command::decode(&committed.bytes) {
            Ok(command) => command,
            Err(_newer) => {
                effects.push(Effect::Note(Note::UnknownCommand { index }));
                if let Some(write) = write {
                    self.answer(write.waiter, respond::unknown_outcome(), effects);
                }
                return;
            }
        };
        let is_order = write.as_ref().is_some_and(|write| write.is_order);
        // By the state that decides, which is another afterwards.
        let judged = is_order.then(|| self.judge(&command));
        let result = self.replicas.apply(&command);
        if let Ok(outcome) = &result {
            self.tell_members(now, command.set(), outcome);
            self.await_master(now, command.set(), outcome);
            self.follow_address(now, &command, outcome);
        }
        if self.changes_masters(&result) {
            self.elections.consider(command.set());
        }
        let Some(write) = write else { return };
        effects.push(Effect::Note(write.ended(now, true)));
        let Write { waiter, echo, .. } = write;
        if let Command::ElectMaster(election) = &command {
            let reason = match waiter {
                Waiter::Own { .. } => ElectionReason::MasterLost,
                Waiter::Client(_) | Waiter::Peer { .. } if election.designate || is_order => {
                    ElectionReason::Operator
                }
                Waiter::Client(_) | Waiter::Peer { .. } => ElectionReason::Broker,
            };
            let names = (echo.cluster.as_ref(), command.set());
            self.note_election(names, reason, &result, effects);
        }
        let response = match judged {
            Some(judged) => explained(command.set(), judged, &result),
            None => respond::decided(&echo, &result),
        };
        self.answer(waiter, response, effects);
    }

    /// Whether the outcome may leave a set in need of an election.
    fn changes_masters(&self, result: &Result<Outcome, Rejection>) -> bool {
        match result {
            Ok(Outcome::MasterElected { .. } | Outcome::NoMaster { .. }) => true,
            Ok(Outcome::BrokersCleaned { master, .. }) => master.is_some(),
            Ok(
                Outcome::BrokerIdApplied { .. }
                | Outcome::BrokerRegistered { .. }
                | Outcome::SyncStateSetAltered { .. },
            )
            | Err(_) => false,
        }
    }

    fn lost(&mut self, now: Instant, ticket: Ticket, why: Lost, effects: &mut Vec<Effect>) {
        let Some(write) = self.writes.take(ticket) else { return };
        effects.push(Effect::Note(write.ended(now, false)));
        let response = match why {
            Lost::NotProposed => respond::not_leader(),
            Lost::Unknown => respond::unknown_outcome(),
        };
        self.answer(write.waiter, response, effects);
    }

    /// Compares who leads with who led: at a change nothing of the old leadership runs on (rule D9).
    fn watch_leadership(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let Stage::Member(member) = &mut self.stage else { return };
        let Member { driver, seen, .. } = &mut **member;
        let (leader, term) = (driver.leader(), driver.term());
        let is_settled = driver.role() == Role::Leader && driver.applied_term() == term;
        let current = Leadership { leader, term, is_settled };
        if *seen == current {
            return;
        }
        let before = core::mem::replace(seen, current);
        self.health.doubt(now);
        let goes_on = before.is_settled && is_settled && before.term == term;
        if before.is_settled && !goes_on {
            self.end_leading();
        }
        if is_settled && !goes_on {
            self.begin_leading(now);
        }
        for lost in self.forwards.lost(leader.map(seat)) {
            reply(lost.caller, respond::unknown_outcome(), effects);
        }
    }

    fn take_snapshot(&mut self, effects: &mut Vec<Effect>) {
        let log_bytes = self
            .snapshots
            .newest_bytes()
            .saturating_mul(SNAPSHOT_LOG_TIMES)
            .max(SNAPSHOT_LOG_BYTES);
        let commands = self.settings.retention.snapshot_commands;
        let wants_snapshot = core::mem::take(&mut self.members.wants_snapshot);
        let Some(driver) = self.driver() else { return };
        // Never of a joint membership: it could not be started from (S7, M3).
        let is_due = self.snapshots.is_due(commands, log_bytes)
            || wants_snapshot && self.snapshots.is_idle();
        if !is_due || driver.membership().is_joint() {
            return;
        }
        let bytes = Bytes::from(self.replicas.snapshot());
        let descriptor = SnapshotDescriptor {
            index: driver.applied(),
            term: driver.applied_term(),
            membership: driver.membership().clone(),
            bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            checksum: checksum(&bytes),
        };
        self.snapshots.begin_saving(descriptor.clone(), bytes.clone());
        effects.push(Effect::SaveSnapshot { descriptor, bytes });
    }

    fn fetch_snapshot(
        &mut self,
        now: Instant,
        from: PeerId,
        descriptor: SnapshotDescriptor,
        effects: &mut Vec<Effect>,
    ) {
        let index = descriptor.index;
        if self.snapshots.begin_fetch(now, seat(from), descriptor.clone()) {
            let message = PeerMessage::SnapshotRead { index, offset: 0 };
            effects.push(Effect::Send { peer: from, message });
        } else {
            effects.push(Effect::Note(Note::Refused("SNAPSHOT_BYTES_MAX")));
            if let Some(driver) = self.driver_mut() {
                driver.snapshot_fetched(&descriptor, false);
            }
        }
    }

    fn install(&mut self, descriptor: &SnapshotDescriptor) {
        let Some(bytes) = self.snapshots.bytes_of(descriptor) else {
            unreachable!("the engine installs only what was fetched and saved (rule S5)")
        };
        match Replicas::restore(&bytes) {
            Ok(replicas) => self.replicas = replicas,
            // Its checksum was right, so the peer that made it runs a version that this one cannot follow. To go
            // on with another state than the leader's would be worse than to stop.
            Err(error) => panic!("snapshot at index {} cannot be read: {error}", descriptor.index),
        }
    }

    /// Everyone whose time is over hears what is known.
    fn answer_late(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        for write in self.writes.expired(now) {
            effects.push(Effect::Note(write.ended(now, false)));
            self.answer(write.waiter, respond::unknown_outcome(), effects);
        }
        for read in self.reads.expired(now) {
            self.answer(read.waiter, respond::not_leader(), effects);
        }
        for forward in self.forwards.expired(now) {
            reply(forward.caller, respond::unknown_outcome(), effects);
        }
        let late = self.snapshots.late_fetch(now);
        if let (Some(descriptor), Some(driver)) = (late, self.driver_mut()) {
            driver.snapshot_fetched(&descriptor, false);
        }
        for peer in self.snapshots.late_offers(now) {
            self.report_snapshot(peer, false);
        }
    }

    fn is_stopped(&self, now: Instant) -> bool {
        let Some(stop_by) = self.stop_by else { return false };
        let is_alone = self.settings.peers.len() < 2;
        stop_by <= now || !self.is_leader() || is_alone
    }

    /// The next moment at which time alone changes something.
    fn next_due(&self, now: Instant) -> Instant {
        let own = match &self.stage {
            Stage::Founding { repeat_at, .. } => Some(*repeat_at),
            Stage::Wiped => None,
            Stage::Member(member) => Some(member.next_tick),
        };
        let due = [
            own,
            self.liveness.next_alarm(),
            self.inquiries.next_due(now),
            self.elections.next_due(),
            self.elections.has_due().then(|| now.plus_ms(1)),
            self.notices.next_due(),
            self.crash.next_due(),
            self.writes.next_due(),
            self.reads.next_due(),
            self.forwards.next_due(),
            self.snapshots.next_due(),
            self.stop_by,
            self.driver().map(|_| self.health.next_due()),
            self.leads().then(|| self.members.next_due()),
        ];
        // Never in the past, so that a duty that cannot be done yet does not spin.
        let next = due.into_iter().flatten().min();
        next.unwrap_or_else(|| now.plus_ms(500)).max(now.plus_micros(100))
    }
}

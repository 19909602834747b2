//! One controller: its parts, its start, and its one door.
//!
//! What each kind of event does stands in files of their own: requests and forwards in `requests.rs`, brokers,
//! elections and notices in `brokers.rs`, the end of a turn in `turn.rs`.

use crate::campaign::CrashCampaign;
use crate::draw::Draw;
use crate::effect::{Effect, Founding, Note};
use crate::elections::Elections;
use crate::event::Event;
use crate::founding::{FirstStart, Step};
use crate::health::Health;
use crate::inquiry::Inquiries;
use crate::instant::Instant;
use crate::links::Links;
use crate::liveness::Liveness;
use crate::members::{Members, Standing};
use crate::notices::{NoticeCounts, Notices};
use crate::peer::PeerMessage;
use crate::requests::Incoming;
use crate::seat::{new_member, seat};
use crate::settings::{PAUSE_BACKLOG_MS, PAUSE_GRACE_MS, PAUSE_MS, PeerSettings, Settings};
use crate::snapshots::{Fetched, Part, Snapshots};
use crate::stall::DiskWatch;
use crate::waiting::{Forwards, Reads, Writes};
use crate::waits::Waits;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::Bytes;
use consensus::{
    Driver, HardState, LogIndex, Membership, PeerId, PeerProgress, Restored, Role,
    SnapshotDescriptor, StartError, Term,
};
use replicas::{Replicas, RestoreError};

/// How often a peer in its first start tells the others how far it is, in ms.
const FOUNDING_REPEAT_MS: u64 = 500;

/// What the disk says at the start of a process.
#[expect(clippy::large_enum_variant, reason = "made once in the life of a process")]
#[derive(Debug)]
pub enum Start {
    /// Nothing: new, or wiped.
    Empty,
    /// The first start had begun.
    Founding,
    /// A member with a past.
    Founded {
        /// Hard state, membership, and the entries after the snapshot.
        restored: Restored,
        /// Bytes of the snapshot that `restored` names.
        snapshot: Option<Bytes>,
    },
}

/// Why a controller cannot start from what the disk says.
#[derive(Debug, thiserror::Error)]
pub enum ControllerStartError {
    /// The log contradicts itself.
    #[error("the journal cannot be continued: {0}")]
    Log(#[from] StartError),
    /// The snapshot cannot be read by this version.
    #[error("the snapshot cannot be read: {0}")]
    Snapshot(#[from] RestoreError),
    /// The log begins after a snapshot, whose bytes are not there.
    #[error("the log begins after a snapshot at index {index}, which is missing")]
    SnapshotMissing {
        /// The last entry that it covers.
        index: LogIndex,
    },
}

/// What has been counted since the start of the process; only ever rises.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Heartbeats taken.
    pub heartbeats: u64,
    /// Reads answered from this peer's state after a barrier.
    pub reads: u64,
    /// Read rounds: barriers reached.
    pub barriers: u64,
    /// Reads answered at once, under a lease; counted in `reads` too.
    pub leased_reads: u64,
    /// Commands proposed here.
    pub proposals: u64,
    /// Commands applied.
    pub commands: u64,
    /// Requests sent on to the leader.
    pub forwarded: u64,
    /// Requests of other peers taken as leader.
    pub taken: u64,
    /// Messages of peers refused by the screen.
    pub refused_messages: u64,
    /// Probes of broker addresses.
    pub probes: u64,
}

/// A broker set that has living brokers, for its gauges.
#[derive(Debug)]
pub struct LiveSet<'a> {
    /// Name of the set.
    pub name: &'a str,
    /// How many of its brokers this peer believes to be alive, by the cluster that they name.
    pub alive: BTreeMap<&'a str, u64>,
    /// Size of its sync-state set; 0 if it has none.
    pub sync_state_set_size: u64,
}

/// The state of a controller in numbers, for status and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overview {
    /// Role in the consensus group; `None` before the first start is complete.
    pub role: Option<Role>,
    /// What this peer is in the consensus group.
    pub standing: Standing,
    /// Current term.
    pub term: u64,
    /// The leader's seat, if known.
    pub leader: Option<PeerId>,
    /// Whether requests can be answered: a leader is known and what was committed at the start is applied.
    pub is_ready: bool,
    /// Highest index known to be committed.
    pub commit: u64,
    /// Highest index applied.
    pub applied: u64,
    /// Last index of the log.
    pub last: u64,
    /// Broker sets known.
    pub sets: usize,
    /// Broker sets that have a master recorded.
    pub masters: usize,
    /// Brokers this peer believes alive.
    pub brokers: usize,
    /// Writes waiting for their commit.
    pub writes_waiting: usize,
    /// Reads waiting for their barrier.
    pub reads_waiting: usize,
    /// Forwarded requests waiting for the leader.
    pub forwards_waiting: usize,
    /// Notices not acknowledged.
    pub notices_waiting: usize,
    /// What has been counted.
    pub counts: Counts,
    /// What has happened to notices.
    pub notices: NoticeCounts,
}

/// How far this peer takes part.
#[derive(Debug)]
pub(crate) enum Stage {
    /// The first start is under way.
    Founding { start: FirstStart, repeat_at: Instant },
    /// The disk was wiped; a new id is being recorded.
    Wiped,
    /// A member.
    Member(Box<Member>),
}

/// What only a member has.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) driver: Driver,
    pub(crate) next_tick: Instant,
    /// What was seen when last looked, to notice changes.
    pub(crate) seen: Leadership,
    /// Commit index when this process started; readiness waits until it is applied.
    pub(crate) commit_at_start: u64,
    /// When it became a member in this life of the process.
    pub(crate) started: Instant,
}

/// Who leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leadership {
    pub(crate) leader: Option<PeerId>,
    pub(crate) term: Term,
    /// This peer leads and has applied an entry of its own term, so its state is that of the whole log: before,
    /// a master that was elected last might be missing, and seem dead or not to be there.
    pub(crate) is_settled: bool,
}

/// One controller, without IO.
#[derive(Debug)]
pub struct Controller {
    pub(crate) settings: Settings,
    pub(crate) stage: Stage,
    pub(crate) replicas: Replicas,
    pub(crate) liveness: Liveness,
    pub(crate) inquiries: Inquiries,
    pub(crate) elections: Elections,
    pub(crate) notices: Notices,
    pub(crate) writes: Writes,
    pub(crate) reads: Reads,
    pub(crate) read_waits: Waits,
    pub(crate) health: Health,
    pub(crate) forwards: Forwards,
    pub(crate) links: Links,
    pub(crate) members: Members,
    pub(crate) snapshots: Snapshots,
    pub(crate) crash: CrashCampaign,
    pub(crate) draw: Draw,
    pub(crate) counts: Counts,
    pub(crate) engine_effects: Vec<consensus::Effect>,
    /// New writes are refused: the disk of this peer owes too much already.
    pub(crate) is_disk_behind: bool,
    pub(crate) disk: DiskWatch,
    /// Set when the process was asked to stop: leadership should be gone by then.
    pub(crate) stop_by: Option<Instant>,
    /// The last term in which this peer tried to hand its leadership over.
    pub(crate) handed_over_in: Option<Term>,
    last_wake: Option<Instant>,
}

impl Controller {
    /// A controller that goes on from what the disk says.
    ///
    /// # Errors
    /// [`ControllerStartError`] if the journal or the snapshot contradicts itself: the process must not start.
    pub fn new(
        now: Instant,
        settings: Settings,
        start: Start,
    ) -> Result<Self, ControllerStartError> {
        let me = settings.me;
        let others: Vec<PeerId> =
            settings.peers.iter().map(|peer| peer.id).filter(|&peer| peer != me).collect();
        let first =
            |state| Stage::Founding { start: FirstStart::new(state, &others), repeat_at: now };
        let mut replicas = Replicas::new();
        let mut newest = None;
        let stage = match start {
            Start::Empty => first(Founding::Empty),
            Start::Founding => first(Founding::Founding),
            Start::Founded { restored, snapshot } => {
                if let Some(descriptor) = &restored.snapshot {
                    let index = descriptor.index;
                    let missing = ControllerStartError::SnapshotMissing { index };
                    let bytes = snapshot.ok_or(missing)?;
                    replicas = Replicas::restore(&bytes)?;
                    newest = Some((descriptor.clone(), bytes));
                }
                Stage::Member(Box::new(member(now, &settings, restored)?))
            }
        };
        Ok(Self {
            stage,
            replicas,
            liveness: Liveness::default(),
            inquiries: Inquiries::default(),
            elections: Elections::default(),
            notices: Notices::default(),
            writes: Writes::default(),
            reads: Reads::default(),
            read_waits: Waits::default(),
            health: Health::default(),
            forwards: Forwards::default(),
            links: Links::new(others.iter().copied()),
            members: Members::default(),
            snapshots: Snapshots::restored(newest),
            crash: CrashCampaign::default(),
            draw: Draw::new(settings.seed),
            counts: Counts::default(),
            engine_effects: Vec::new(),
            is_disk_behind: false,
            disk: DiskWatch::default(),
            stop_by: None,
            handed_over_in: None,
            last_wake: None,
            settings,
        })
    }

    /// Takes one event. A turn is any number of events and one [`Event::EndOfTurn`]; what the turn leads to is in
    /// `effects` after that.
    ///
    /// `now` never falls.
    pub fn handle(&mut self, now: Instant, event: Event, effects: &mut Vec<Effect>) {
        self.notice_pause(now);
        match event {
            Event::Request { caller, request, frame } => {
                self.request(now, Incoming { caller, request, frame }, effects);
            }
            Event::Inspect { caller, question } => self.inspect(now, caller, question, effects),
            Event::Order { caller, order, frame } => {
                self.ordered(now, caller, (&order, frame), effects);
            }
            Event::ConnectionClosed { connection } => {
                self.connection_closed(now, connection, effects);
            }
            Event::PeerUp { peer, nonce } => self.peer_up(peer, nonce, effects),
            Event::PeerReachable { peer } => self.peer_reachable(peer, effects),
            Event::PeerUnreachable { peer, is_refused } => {
                self.peer_unreachable(now, peer, is_refused, effects);
            }
            Event::Peer { peer, message } => self.peer_message(now, peer, message, effects),
            Event::Persisted { number } => {
                if let Stage::Member(member) = &mut self.stage {
                    member.driver.persisted(number);
                }
                self.disk.persisted(now, number);
            }
            Event::IdentityWritten => self.identity_written(now, effects),
            Event::SnapshotSaved { descriptor } => self.snapshot_saved(&descriptor),
            Event::SnapshotFailed { descriptor } => self.snapshot_failed(&descriptor),
            Event::Probed { attempt, result } => self.probed(now, attempt, result, effects),
            Event::Noticed { attempt, result } => self.notices.ended(now, attempt, result),
            Event::DiskBehind(is_behind) => self.is_disk_behind = is_behind,
            Event::Configured(live) => self.settings.live = live,
            Event::Wake => {}
            Event::Stop => self.stop(now),
            Event::EndOfTurn => self.end_of_turn(now, effects),
        }
    }

    /// How far every member is, as this peer sees it if it leads; empty otherwise.
    pub fn progress(&self) -> Vec<PeerProgress> {
        self.driver().map(Driver::peers).unwrap_or_default()
    }

    /// Whether a client's request, or one that a peer sent on, waits here for its answer.
    pub fn is_waited_for(&self) -> bool {
        self.writes.len() + self.reads.len() + self.forwards.len() > 0
    }

    /// Commands applied since the start of the process.
    pub fn commands_applied(&self) -> u64 {
        self.counts.commands
    }

    /// The state in numbers.
    pub fn overview(&self) -> Overview {
        let sets = self.replicas.broker_sets();
        let (sets, masters) = sets.fold((0, 0), |(sets, masters), (_, set)| {
            (sets + 1, masters + usize::from(set.master().is_some()))
        });
        let driver = self.driver();
        let index = |of: fn(&Driver) -> LogIndex| driver.map_or(0, |driver| of(driver).0);
        Overview {
            role: driver.map(Driver::role),
            standing: self.standing(),
            term: driver.map_or(0, |driver| driver.term().0),
            leader: self.leader(),
            is_ready: self.is_ready(),
            commit: index(Driver::commit),
            applied: index(Driver::applied),
            last: index(Driver::last_index),
            sets,
            masters,
            brokers: self.liveness.len(),
            writes_waiting: self.writes.len(),
            reads_waiting: self.reads.len(),
            forwards_waiting: self.forwards.len(),
            notices_waiting: self.notices.len(),
            counts: self.counts,
            notices: self.notices.counts,
        }
    }

    /// Entries of the log that every other peer is not known to have, by the peer's name; empty where this peer does
    /// not lead.
    pub fn peer_lags(&self) -> Vec<(&str, u64)> {
        let Some(driver) = self.driver() else { return Vec::new() };
        let last = driver.last_index().0;
        let others = driver.peers().into_iter().filter(|progress| progress.peer != driver.me());
        let lag = |progress: PeerProgress| {
            let peer = self.peer_settings(progress.peer)?;
            // Of a seat where one is being replaced, whoever sits there now.
            let listener = self.links.get(progress.peer)?.listener;
            listener.is_none_or(|listener| listener == progress.peer).then_some(())?;
            Some((&*peer.name, last.saturating_sub(progress.matched.0)))
        };
        others.filter_map(lag).collect()
    }

    /// The broker sets that have living brokers, of those whose name comes after `after`, ascending by name.
    pub fn live_sets<'a>(&'a self, after: Option<&'a str>) -> impl Iterator<Item = LiveSet<'a>> {
        self.liveness.sets_after(after).map(|(name, alive)| {
            let set = self.replicas.broker_set(name);
            let size = set.map_or(0, |set| set.sync_state_set().len());
            LiveSet { name, alive, sync_state_set_size: u64::try_from(size).unwrap_or(u64::MAX) }
        })
    }

    /// A number that is equal on all peers that have applied equally much.
    pub fn state_hash(&self) -> u128 {
        self.replicas.state_hash()
    }

    pub(crate) fn driver(&self) -> Option<&Driver> {
        match &self.stage {
            Stage::Member(member) => Some(&member.driver),
            Stage::Founding { .. } | Stage::Wiped => None,
        }
    }

    pub(crate) fn driver_mut(&mut self) -> Option<&mut Driver> {
        match &mut self.stage {
            Stage::Member(member) => Some(&mut member.driver),
            Stage::Founding { .. } | Stage::Wiped => None,
        }
    }

    pub(crate) fn is_leader(&self) -> bool {
        self.driver().is_some_and(|driver| driver.role() == Role::Leader)
    }

    /// Whether this peer leads and may do what only a leader does of itself: ask, elect, tell.
    pub(crate) fn leads(&self) -> bool {
        match &self.stage {
            Stage::Member(member) => member.seen.is_settled && member.driver.role() == Role::Leader,
            Stage::Founding { .. } | Stage::Wiped => false,
        }
    }

    /// The leader's seat.
    pub(crate) fn leader(&self) -> Option<PeerId> {
        self.driver().and_then(Driver::leader).map(seat)
    }

    pub(crate) fn peer_settings(&self, peer: PeerId) -> Option<&PeerSettings> {
        self.settings.peers.iter().find(|settings| settings.id == seat(peer))
    }

    fn is_ready(&self) -> bool {
        match &self.stage {
            Stage::Member(member) => {
                let Member { driver, commit_at_start, .. } = &**member;
                driver.leader().is_some() && driver.applied().0 >= *commit_at_start
            }
            Stage::Founding { .. } | Stage::Wiped => false,
        }
    }

    /// Notices that the process was paused, before anything is judged by a table that is as old as the pause.
    fn notice_pause(&mut self, now: Instant) {
        let late_ms = self.last_wake.map_or(0, |wake| now.since_ms(wake));
        if late_ms > PAUSE_MS {
            self.liveness.forgive_until(now.plus_ms(PAUSE_GRACE_MS));
            self.liveness.mistrust_until(now.plus_ms(PAUSE_BACKLOG_MS));
            self.health.doubt(now);
        }
    }

    /// Says when to be woken, if that changed.
    pub(crate) fn wake_at(&mut self, at: Instant, effects: &mut Vec<Effect>) {
        if self.last_wake != Some(at) {
            self.last_wake = Some(at);
            effects.push(Effect::WakeAt(at));
        }
    }

    fn stop(&mut self, now: Instant) {
        let deadline = now.plus_ms(self.settings.election_timeout_ms);
        self.stop_by = Some(deadline);
        self.hand_over();
    }

    /// Begins to hand leadership over; gives to whom. Only a leader has somebody.
    pub(crate) fn hand_over(&mut self) -> Option<PeerId> {
        let driver = self.driver_mut()?;
        let target = driver.best_transfer_target()?;
        driver.transfer_to(target);
        let term = driver.term();
        self.handed_over_in = Some(term);
        Some(target)
    }

    /// Moves the first start on, if it can move.
    pub(crate) fn step_founding(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let mut voters: Vec<PeerId> = self.settings.peers.iter().map(|peer| peer.id).collect();
        voters.sort_unstable();
        let me = self.settings.me;
        let Stage::Founding { start, repeat_at } = &mut self.stage else { return };
        match start.step() {
            Step::Record(state) => {
                effects.push(Effect::WriteIdentity { state, voters, member: me });
            }
            Step::Wiped => {
                self.stage = Stage::Wiped;
                let member = new_member(me, self.draw.between(0, u64::MAX));
                effects.push(Effect::Note(Note::Wiped { member }));
                let state = Founding::Founded;
                effects.push(Effect::WriteIdentity { state, voters, member });
                return;
            }
            Step::Wait => {}
        }
        if *repeat_at <= now {
            *repeat_at = now.plus_ms(FOUNDING_REPEAT_MS);
            let waits_for = start.waits_for();
            if !waits_for.is_empty() {
                effects.push(Effect::Note(Note::WaitsFor(waits_for)));
            }
            self.tell_founding(effects);
        }
    }

    fn tell_founding(&self, effects: &mut Vec<Effect>) {
        let state = self.founding_state();
        for peer in self.links.peers() {
            effects.push(Effect::Send { peer, message: PeerMessage::Founding(state) });
        }
    }

    pub(crate) fn founding_state(&self) -> Founding {
        match &self.stage {
            Stage::Founding { start, .. } => start.state(),
            Stage::Wiped => Founding::Empty,
            Stage::Member(_) => Founding::Founded,
        }
    }

    fn identity_written(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if matches!(self.stage, Stage::Wiped) {
            return effects.push(Effect::Restart);
        }
        let Stage::Founding { start, .. } = &mut self.stage else { return };
        start.recorded();
        if start.state() == Founding::Founded {
            let voters = self.settings.peers.iter().map(|peer| peer.id);
            let restored = Restored {
                hard_state: HardState::default(),
                membership: Membership::of_voters(voters),
                snapshot: None,
                entries: Vec::new(),
            };
            match member(now, &self.settings, restored) {
                Ok(member) => self.stage = Stage::Member(Box::new(member)),
                Err(error) => unreachable!("an empty log of sound voters starts: {error}"),
            }
            effects.push(Effect::Note(Note::Founded));
        }
        self.tell_founding(effects);
    }

    fn snapshot_saved(&mut self, descriptor: &SnapshotDescriptor) {
        if self.snapshots.saved(descriptor).is_none() {
            return;
        }
        if let Some(driver) = self.driver_mut() {
            // One that was fetched is for the engine to install; one that was taken here shortens the log.
            if descriptor.index > driver.applied() {
                driver.snapshot_fetched(descriptor, true);
            } else {
                driver.snapshot_taken(descriptor.clone());
            }
        }
    }

    fn snapshot_failed(&mut self, descriptor: &SnapshotDescriptor) {
        self.snapshots.not_saved(descriptor);
        let Some(driver) = self.driver_mut() else { return };
        if descriptor.index > driver.applied() {
            driver.snapshot_fetched(descriptor, false);
        }
    }

    pub(crate) fn snapshot_part(&mut self, now: Instant, part: &Part, effects: &mut Vec<Effect>) {
        match self.snapshots.take_part(now, part) {
            Fetched::More(peer, offset) => {
                let index = part.index;
                let message = PeerMessage::SnapshotRead { index, offset };
                effects.push(Effect::Send { peer, message });
            }
            Fetched::Complete(descriptor, bytes) => {
                self.snapshots.begin_saving(descriptor.clone(), bytes.clone());
                effects.push(Effect::SaveSnapshot { descriptor, bytes });
            }
            Fetched::Failed(descriptor) => {
                if let Some(driver) = self.driver_mut() {
                    driver.snapshot_fetched(&descriptor, false);
                }
            }
            Fetched::Ignored => {}
        }
    }
}

fn member(now: Instant, settings: &Settings, restored: Restored) -> Result<Member, StartError> {
    let commit_at_start = restored.hard_state.commit.0;
    let catch_up_entries = settings.retention.catch_up_entries;
    let engine = consensus::Settings {
        catch_up_entries,
        ..consensus::Settings::new(settings.member, settings.boot_nonce)
    };
    let driver = Driver::new(engine, restored)?;
    let seen = Leadership { leader: None, term: driver.term(), is_settled: false };
    Ok(Member { driver, next_tick: now, seen, commit_at_start, started: now })
}

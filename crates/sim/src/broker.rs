//! A broker, as upstream's `ReplicasManager` behaves towards controllers.
//!
//! ```text
//!  initial ──1005──► next id ──1012──► apply ──1013──► register ──1003──► (1002 if no master) ──► running
//!                      (only without an identity file)                     904 /s, 1004 /5 s, 1005 /10 s, 1001
//! ```
//!
//! It takes a role only with a larger master epoch, gives up a request after 3 s and closes the connection then, and
//! retries its start every 5 s. `broker/store.rs` has just enough of a store. Source: docs/spec (broker side), sections 2 to 6.

mod start;
mod store;

use crate::agenda::{MS, What};
use crate::calls::Asker;
use crate::network::{Kind, PipeId, Place};
use crate::random::Random;
use crate::request;
use crate::world::World;
use protocol::{Request, Response, RoleNotice, SyncStateSetBody, response_code as code};

/// Between two heartbeats.
const BEAT: u64 = 1_000 * MS;
/// Between two looks at which controllers can be reached.
const LOOK: u64 = 3_000 * MS;
/// Between two polls (1004), two checks of the sync-state set, and two attempts to start.
const POLL: u64 = 5_000 * MS;
/// Between two searches for the leader (1005).
const SEARCH: u64 = 10_000 * MS;
/// Attempts to register before the start begins anew.
const REGISTER_TRIES: u32 = 5;

/// A broker's own clock.
#[derive(Debug, Clone)]
pub(crate) enum Alarm {
    Start,
    Beat,
    Look,
    Poll,
    Search,
    Check,
    /// Checks the sync-state set once, out of turn.
    Report,
    Notice(Box<RoleNotice>),
}

/// What a request was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Leader { tried: usize },
    NextId,
    ApplyId,
    Register,
    Elect,
    Info,
    Alter,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Running,
}

/// How a controller hears a broker.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Heard {
    /// Since when without a gap.
    pub(crate) since: u64,
    pub(crate) last: u64,
    /// Over which connection last.
    pub(crate) pipe: PipeId,
}

/// One broker: what is on its disk, and what its process knows.
#[expect(clippy::struct_excessive_bools, reason = "each says something else")]
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) set: String,
    pub(crate) place: Place,
    pub(crate) address: String,
    timeout_ms: i64,
    /// The brokers of the same set stand next to each other in the list.
    pub(crate) siblings: std::ops::Range<usize>,
    /// Several brokers in one process use the connections of the first.
    pub(crate) connections_of: usize,

    file: Option<i64>,
    temporary: Option<(i64, String)>,
    pub(crate) store: store::Store,

    /// Counts starts and ends; an event of an earlier life is void.
    pub(crate) life: u64,
    pub(crate) is_up: bool,
    pub(crate) paused_until: u64,
    pub(crate) well_since: u64,
    /// Until when its own port refuses though its process runs.
    pub(crate) shut_until: u64,
    /// Until when connects to its port get no answer though its process runs.
    pub(crate) unanswered_until: u64,
    /// When its process ended last.
    pub(crate) ended_at: u64,
    /// When it lost its id, or took another.
    pub(crate) lost_at: u64,
    phase: Phase,
    tries: u32,
    leader: Option<usize>,
    available: Vec<bool>,
    pipes: Vec<Option<PipeId>>,
    pub(crate) is_master: bool,
    pub(crate) master: Option<i64>,
    pub(crate) epoch: i32,
    /// The newest master epoch that a notice brought to this process.
    pub(crate) told: i32,
    set_epoch: i32,
    members: Vec<i64>,
    is_altering: bool,
    pub(crate) heard: Vec<Heard>,
    /// How long it takes to handle a notice.
    pub(crate) notice_delay: u64,
    /// How long it took before that, and until when.
    pub(crate) earlier_delay: (u64, u64),
    pub(crate) random: Random,
}

/// What a broker is from the beginning.
#[derive(Debug)]
pub(crate) struct Birth {
    pub(crate) set: String,
    pub(crate) number: usize,
    pub(crate) place: Place,
    pub(crate) siblings: std::ops::Range<usize>,
    pub(crate) connections_of: usize,
    pub(crate) timeout_ms: u64,
    pub(crate) nodes: usize,
    pub(crate) random: Random,
}

impl Broker {
    pub(crate) fn new(birth: Birth) -> Self {
        let Birth { set, number, place, siblings, connections_of, timeout_ms, nodes, random } =
            birth;
        let mut random = random;
        let store = store::Store::draw(&mut random);
        Self {
            address: format!("{set}.{number}:30911"),
            set,
            place,
            timeout_ms: i64::try_from(timeout_ms).unwrap_or(i64::MAX),
            siblings,
            connections_of,
            file: None,
            temporary: None,
            store,
            life: 0,
            is_up: false,
            paused_until: 0,
            well_since: 0,
            shut_until: 0,
            unanswered_until: 0,
            ended_at: 0,
            lost_at: 0,
            phase: Phase::Starting,
            tries: 0,
            leader: None,
            available: vec![false; nodes],
            pipes: vec![None; nodes],
            is_master: false,
            master: None,
            epoch: 0,
            told: 0,
            set_epoch: 0,
            members: Vec::new(),
            is_altering: false,
            heard: vec![Heard::default(); nodes],
            notice_delay: 0,
            earlier_delay: (0, 0),
            random,
        }
    }

    /// Its controller id, once it has one.
    pub(crate) fn id(&self) -> Option<i64> {
        self.file
    }

    /// Its process is through its start.
    pub(crate) fn is_running(&self) -> bool {
        self.is_up && self.phase == Phase::Running
    }

    /// Loses its files, all of them.
    pub(crate) fn lose_files(&mut self, now: u64) {
        self.lost_at = now;
        (self.file, self.temporary) = (None, None);
        self.store.lose();
    }

    pub(crate) fn forget_all_connections(&mut self) {
        self.pipes.fill(None);
    }

    /// From now on it takes so long to handle a notice; those that it has it handles as before.
    pub(crate) fn takes_notices_in(&mut self, micros: u64, now: u64) {
        self.earlier_delay = (self.notice_delay, now);
        self.notice_delay = micros;
    }

    /// The longest that it takes, or took, to handle a notice that came at a moment or later.
    pub(crate) fn slowest_notice(&self, since: u64) -> u64 {
        let (earlier, until) = self.earlier_delay;
        if until > since { self.notice_delay.max(earlier) } else { self.notice_delay }
    }

    /// Takes the identity file of another.
    pub(crate) fn take_identity(&mut self, id: Option<i64>) {
        self.file = id;
    }
}

impl World<'_> {
    fn broker_after(&mut self, broker: usize, micros: u64, alarm: Alarm) {
        let life = self.brokers[broker].life;
        self.put(micros, What::Broker { broker, life, alarm });
    }

    /// A broker's process starts.
    pub(crate) fn start_broker(&mut self, broker: usize) {
        let now = self.now;
        let actor = &mut self.brokers[broker];
        if actor.is_up {
            return;
        }
        actor.life += 1;
        actor.is_up = true;
        (actor.paused_until, actor.shut_until, actor.well_since) = (0, 0, now);
        actor.unanswered_until = 0;
        (actor.phase, actor.tries, actor.leader) = (Phase::Starting, 0, None);
        (actor.is_master, actor.master, actor.epoch, actor.set_epoch) = (false, None, 0, 0);
        actor.told = 0;
        actor.members.clear();
        actor.is_altering = false;
        let place = actor.place;
        self.host(place, true);
        self.look(broker);
        self.broker_after(broker, LOOK, Alarm::Look);
        self.broker_after(broker, 1_000 * MS, Alarm::Start);
    }

    /// A broker's process ends; with `power`, its host does.
    pub(crate) fn end_broker(&mut self, broker: usize, power: bool) {
        let now = self.now;
        let actor = &mut self.brokers[broker];
        if !actor.is_up {
            return;
        }
        actor.is_up = false;
        actor.ended_at = now;
        actor.life += 1;
        actor.pipes.fill(None);
        actor.available.fill(false);
        let (place, siblings) = (actor.place, actor.siblings.clone());
        if power {
            self.host(place, false);
        }
        self.drop_connections(place);
        self.connections_break(broker);
        self.report_soon(siblings);
    }

    /// The masters among these see that the set has changed.
    fn report_soon(&mut self, siblings: std::ops::Range<usize>) {
        for broker in siblings {
            if self.brokers[broker].is_running() && self.brokers[broker].is_master {
                let pause = self.brokers[broker].random.between(20 * MS, 1_500 * MS);
                self.broker_after(broker, pause, Alarm::Report);
            }
        }
    }

    pub(crate) fn broker_alarm(&mut self, broker: usize, alarm: Alarm) {
        let paused_until = self.brokers[broker].paused_until;
        if paused_until > self.now {
            let life = self.brokers[broker].life;
            return self.agenda.put(paused_until, What::Broker { broker, life, alarm });
        }
        match alarm {
            Alarm::Start => self.find_leader(broker, 0),
            Alarm::Beat => {
                self.beat(broker);
                self.broker_after(broker, BEAT, Alarm::Beat);
            }
            Alarm::Look => {
                self.look(broker);
                self.broker_after(broker, LOOK, Alarm::Look);
            }
            Alarm::Poll => {
                let set = self.brokers[broker].set.clone();
                self.ask_leader(broker, Purpose::Info, request::info(&set));
                self.broker_after(broker, POLL, Alarm::Poll);
            }
            Alarm::Search => {
                self.find_leader(broker, 0);
                self.broker_after(broker, SEARCH, Alarm::Search);
            }
            Alarm::Check => {
                self.check_members(broker);
                self.broker_after(broker, POLL, Alarm::Check);
            }
            Alarm::Report => self.check_members(broker),
            Alarm::Notice(notice) => {
                let RoleNotice { master_epoch, sync_state_set_epoch, master_broker_id, .. } =
                    *notice;
                if master_epoch <= self.brokers[broker].epoch {
                    self.sometimes("poll_was_faster");
                }
                let actor = &mut self.brokers[broker];
                actor.told = master_epoch.max(actor.told);
                let members = notice.sync_state_set.clone();
                let role = (master_broker_id, master_epoch, sync_state_set_epoch);
                self.adopt(broker, role, members);
            }
        }
    }

    /// Which controllers can be reached: a connection exists or can be opened.
    fn look(&mut self, broker: usize) {
        for node in 0..self.nodes.len() {
            let is_there = self.broker_pipe(broker, node).is_some();
            self.brokers[broker].available[node] = is_there;
        }
    }

    /// The connection to a controller; a new one if it must be and can be opened.
    fn broker_pipe(&mut self, broker: usize, node: usize) -> Option<PipeId> {
        let owner = self.brokers[broker].connections_of;
        if let Some(pipe) = self.brokers[owner].pipes[node] {
            return Some(pipe);
        }
        let place = self.brokers[owner].place;
        if !self.is_up(node) || !self.net.passes_both_ways(place, node) {
            return None;
        }
        let pipe = self.connect(Kind::Outside, place, node);
        self.brokers[owner].pipes[node] = Some(pipe);
        Some(pipe)
    }

    /// Opens a new connection to every controller instead of each that is open; the old ones, which stay open.
    pub(crate) fn reconnect(&mut self, owner: usize) -> Vec<PipeId> {
        let mut old = Vec::new();
        for node in 0..self.nodes.len() {
            old.extend(self.brokers[owner].pipes[node].take());
            self.broker_pipe(owner, node);
        }
        old
    }

    /// Forgets the connection to a controller, which the caller closes.
    pub(crate) fn hang_up_on(&mut self, broker: usize, node: usize) -> Option<PipeId> {
        let owner = self.brokers[broker].connections_of;
        self.brokers[owner].pipes[node].take()
    }

    /// A port that refuses and connections that break: nobody can tell that from the end of those who use them.
    pub(crate) fn connections_break(&mut self, owner: usize) {
        let now = self.now;
        let users = self.brokers.iter_mut().filter(|it| it.connections_of == owner);
        users.filter(|it| it.shut_until > now).for_each(|it| it.well_since = now);
    }

    pub(crate) fn forget_connection(&mut self, broker: usize, pipe: PipeId) {
        let owner = self.brokers[broker].connections_of;
        self.connections_break(owner);
        for known in &mut self.brokers[owner].pipes {
            if *known == Some(pipe) {
                *known = None;
            }
        }
    }

    /// A connection from outside broke.
    pub(crate) fn outside_lost(&mut self, place: Place, pipe: PipeId) {
        let broker = place - self.nodes.len();
        if broker < self.brokers.len() {
            self.forget_connection(broker, pipe);
        } else {
            for known in &mut self.clients[broker - self.brokers.len()].pipes {
                if *known == Some(pipe) {
                    *known = None;
                }
            }
        }
        self.calls_lost(pipe);
    }

    /// A heartbeat to every controller that can be reached.
    fn beat(&mut self, broker: usize) {
        self.replicate(broker);
        let now = self.now;
        let beat = Request::Heartbeat(self.brokers[broker].heartbeat(now));
        for node in 0..self.nodes.len() {
            if !self.brokers[broker].available[node] {
                continue;
            }
            let owner = self.brokers[broker].connections_of;
            if let Some(pipe) = self.brokers[owner].pipes[node] {
                self.send_one_way(pipe, beat.clone());
            }
        }
    }

    fn ask_leader(&mut self, broker: usize, purpose: Purpose, request: Request) {
        let leader = self.brokers[broker].leader;
        let pipe = leader.and_then(|leader| self.broker_pipe(broker, leader));
        match pipe {
            Some(pipe) => self.ask_as(broker, pipe, purpose, request),
            None => self.broker_heard(broker, purpose, None),
        }
    }

    fn ask_as(&mut self, broker: usize, pipe: PipeId, purpose: Purpose, request: Request) {
        let life = self.brokers[broker].life;
        self.ask(pipe, Asker::Broker { broker, life, purpose }, request);
    }

    /// An answer, or `None` if there was none.
    pub(crate) fn broker_heard(
        &mut self,
        broker: usize,
        purpose: Purpose,
        response: Option<&Response>,
    ) {
        let answer = response.map_or(-1, |response| response.code);
        match purpose {
            Purpose::Leader { tried } => self.heard_leader(broker, tried, response),
            Purpose::NextId => match response.and_then(|it| it.ext.long("nextBrokerId")) {
                Some(id) if answer == code::SUCCESS => {
                    let code = format!("{};{}", self.brokers[broker].address, self.now / MS);
                    self.brokers[broker].temporary = Some((id, code));
                    self.register(broker);
                }
                Some(_) | None => self.register_again(broker),
            },
            Purpose::ApplyId => {
                let temporary = self.brokers[broker].temporary.take();
                if answer == code::SUCCESS {
                    self.brokers[broker].file = temporary.map(|(id, _)| id);
                    self.register(broker);
                } else {
                    self.register_again(broker);
                }
            }
            Purpose::Register => {
                if answer == code::SUCCESS {
                    self.take_role(broker, response);
                    self.registered(broker);
                } else if self.brokers[broker].phase == Phase::Starting {
                    if answer == code::CONTROLLER_BROKER_NEED_TO_BE_REGISTERED {
                        // The operator deletes the identity file.
                        let now = self.now;
                        self.brokers[broker].lose_files(now);
                    }
                    self.register_again(broker);
                }
            }
            Purpose::Elect => {
                let is_told =
                    answer == code::SUCCESS || answer == code::CONTROLLER_MASTER_STILL_EXIST;
                if is_told {
                    self.take_role(broker, response);
                }
                if self.brokers[broker].phase == Phase::Starting {
                    self.registered(broker);
                }
            }
            Purpose::Info => self.heard_info(broker, response),
            Purpose::Alter => {
                self.brokers[broker].is_altering = false;
                if let Some(response) = response.filter(|_| answer == code::SUCCESS) {
                    let body = SyncStateSetBody::decode(&response.body);
                    self.adopt_members(broker, body);
                }
            }
        }
    }

    fn heard_info(&mut self, broker: usize, response: Option<&Response>) {
        let Some(response) = response else { return };
        let (set, file) = (self.brokers[broker].set.clone(), self.brokers[broker].file);
        match (response.code, file) {
            (code::CONTROLLER_BROKER_METADATA_NOT_EXIST, Some(id)) => {
                let address = self.brokers[broker].address.clone();
                let request = request::register(&set, id, &address);
                self.ask_leader(broker, Purpose::Register, request);
            }
            (code::SUCCESS, Some(id)) => {
                let epoch = response.ext.int("masterEpoch").unwrap_or(0);
                let body = SyncStateSetBody::decode(&response.body);
                let known = self.brokers[broker].epoch;
                let master = response.ext.long("masterBrokerId");
                match (master, body) {
                    (Some(master), Some(body)) if epoch > known => {
                        self.adopt(broker, (master, epoch, body.epoch), body.sync_state_set);
                    }
                    (None, _) if epoch > known => {
                        self.ask_leader(broker, Purpose::Elect, request::elect(&set, id));
                    }
                    (_, body) if epoch == known => self.adopt_members(broker, body),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// Takes a role from the fields of an answer to 1002 or 1003.
    fn take_role(&mut self, broker: usize, response: Option<&Response>) {
        let Some(response) = response else { return };
        let (Some(master), Some(epoch)) =
            (response.ext.long("masterBrokerId"), response.ext.int("masterEpoch"))
        else {
            return;
        };
        let set_epoch = response.ext.int("syncStateSetEpoch").unwrap_or(0);
        let body = SyncStateSetBody::decode(&response.body);
        let members = body.map(|body| body.sync_state_set).unwrap_or_else(|| vec![master]);
        self.adopt(broker, (master, epoch, set_epoch), members);
    }

    /// A role is taken only with a larger epoch.
    fn adopt(
        &mut self,
        broker: usize,
        (master, epoch, set_epoch): (i64, i32, i32),
        members: Vec<i64>,
    ) {
        let actor = &mut self.brokers[broker];
        if epoch <= actor.epoch {
            return;
        }
        actor.epoch = epoch;
        actor.master = Some(master);
        actor.is_master = actor.file == Some(master);
        if actor.is_master {
            actor.store.epoch = epoch;
        }
        (actor.set_epoch, actor.members) = (set_epoch, members);
        let (set, siblings) = (actor.set.clone(), actor.siblings.clone());
        if let Err((invariant, text)) = self.checks.ledger.master_shown(&set, epoch, master) {
            return self.fail(invariant, text);
        }
        self.report_soon(siblings);
    }

    fn adopt_members(&mut self, broker: usize, body: Option<SyncStateSetBody>) {
        let actor = &mut self.brokers[broker];
        let Some(body) = body.filter(|body| body.epoch > actor.set_epoch) else { return };
        if actor.is_master {
            (actor.set_epoch, actor.members) = (body.epoch, body.sync_state_set);
        }
    }
}

//! Clients beside the brokers: readers at every controller, operators, rivals with stale views, vandals.

use crate::agenda::{MS, What};
use crate::calls::{Asker, Call};
use crate::network::{Kind, PipeId, Place};
use crate::random::Random;
use crate::request;
use crate::world::World;
use protocol::{BrokerHeartbeat, Request, Response};
use replicas::BrokerSet;

/// What the addresses begin with that rivals register.
pub(crate) const NOBODYS: &str = "rival";

/// Broker sets beside those of the plan, in which there are only rivals.
const GHOST_SETS: usize = 2;

/// What a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trade {
    /// Reads broker sets and ids, at every controller.
    Reader,
    /// Designates masters and cleans brokers.
    Operator,
    /// Acts as if it were some broker, with views that may be stale and ids that may be nobody's; also in broker sets
    /// that no broker has, whose heartbeats it sends.
    Rival,
    /// Changes sync-state sets as fast as it can, in the name of the masters.
    Writer,
    /// Sends requests that lack something.
    Vandal,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) trade: Trade,
    pub(crate) place: Place,
    /// Middle of the pause between two requests, in microseconds.
    pub(crate) pause: u64,
    pub(crate) pipes: Vec<Option<PipeId>>,
    pub(crate) is_active: bool,
    /// The last request, for those who repeat themselves.
    last: Option<Request>,
    random: Random,
}

impl Client {
    pub(crate) fn new(
        trade: Trade,
        place: Place,
        pause: u64,
        nodes: usize,
        random: Random,
    ) -> Self {
        Self { trade, place, pause, pipes: vec![None; nodes], is_active: true, last: None, random }
    }
}

impl World<'_> {
    /// A client's time has come.
    pub(crate) fn client_acts(&mut self, client: usize) {
        let pause = self.clients[client].pause;
        let next = self.clients[client].random.delay(pause, pause * 64);
        self.put(next, What::Client { client });
        if !self.clients[client].is_active {
            return;
        }
        let Some(request) = self.client_request(client) else { return };
        let node = self.clients[client].random.index(self.nodes.len());
        self.client_asks(client, node, request);
    }

    /// How many controllers believe that they lead.
    pub(crate) fn rivals(&self) -> usize {
        (0..self.nodes.len()).filter(|&node| self.is_leading(node)).count()
    }

    /// Somebody leads, or something is committed while two believe to: readers ask all of them at once. What is stale
    /// there is stale for milliseconds.
    pub(crate) fn leaders_are_asked(&mut self) {
        let leaders: Vec<usize> = (0..self.nodes.len()).filter(|&it| self.is_leading(it)).collect();
        for client in 0..self.clients.len() {
            let actor = &mut self.clients[client];
            if actor.trade != Trade::Reader || !actor.is_active {
                continue;
            }
            let set = set_name(actor.random.index(self.plan.sets));
            for &node in &leaders {
                self.client_asks(client, node, request::info(&set));
            }
        }
    }

    /// Sends a request of a client, over a connection that is opened if it must be.
    pub(crate) fn client_asks(&mut self, client: usize, node: usize, request: Request) {
        let place = self.clients[client].place;
        let pipe = match self.clients[client].pipes[node] {
            Some(pipe) => pipe,
            None if self.is_up(node) && self.net.passes_both_ways(place, node) => {
                let pipe = self.connect(Kind::Outside, place, node);
                self.clients[client].pipes[node] = Some(pipe);
                pipe
            }
            None => return,
        };
        self.ask(pipe, Asker::Client { client }, request);
    }

    pub(crate) fn client_heard(&mut self, client: usize, call: &Call, response: &Response) {
        let is_designation =
            matches!(&call.request, Request::ElectMaster(it) if it.designate_elect);
        if is_designation && response.code == 0 && self.clients[client].is_active {
            self.designate_again(client, call);
        }
        let is_writer = self.clients[client].trade == Trade::Writer;
        if is_writer && response.code == 0 && self.clients[client].is_active {
            // As soon as it hears of a change it looks whether others see it, too.
            let node = self.clients[client].random.index(self.nodes.len());
            if let Some(content) = &call.content {
                self.client_asks(client, node, request::info(&content.set.clone()));
            }
        }
    }

    /// Sometimes an operator changes his mind while brokers are still being told.
    fn designate_again(&mut self, client: usize, call: &Call) {
        if !self.clients[client].random.chance(500) {
            return;
        }
        let Some(content) = &call.content else { return };
        let Some(known) = self.checks.ledger.state.broker_set(&content.set) else { return };
        let ids = ids(known);
        let random = &mut self.clients[client].random;
        let id = random.pick(&ids);
        let node = random.index(self.nodes.len());
        self.client_asks(client, node, request::designate(&content.set.clone(), id));
    }

    /// A heartbeat of a broker that does not exist, so that the rules meet what no real broker says.
    fn beat_for_ghosts(&mut self, client: usize, index: usize) {
        let set = set_name(index);
        let Some(known) = self.checks.ledger.state.broker_set(&set) else { return };
        let ids = ids(known);
        let random = &mut self.clients[client].random;
        let beat = BrokerHeartbeat {
            cluster_name: Some(request::text(request::CLUSTER)),
            broker_address: Some(request::text(&format!("{set}.ghost:1"))),
            broker_name: Some(request::text(&set)),
            broker_id: Some(random.pick(&ids)),
            epoch: i32::try_from(random.below(3)).unwrap_or(0),
            max_offset: random.pick(&[0, 1, 1 << 31, 1 << 33, i64::MAX]),
            confirm_offset: 0,
            heartbeat_timeout_ms: Some(random.pick(&[500, 3_000])),
            election_priority: random.pick(&[0, 1, i32::MAX]),
        };
        for node in 0..self.nodes.len() {
            if let Some(pipe) = self.clients[client].pipes[node] {
                self.send_one_way(pipe, Request::Heartbeat(beat.clone()));
            }
        }
    }

    pub(crate) fn client_request(&mut self, client: usize) -> Option<Request> {
        let trade = self.clients[client].trade;
        let has_ghosts = matches!(trade, Trade::Rival | Trade::Vandal | Trade::Operator);
        let ghosts = if has_ghosts { GHOST_SETS } else { 0 };
        let index = self.clients[client].random.index(self.plan.sets + ghosts);
        if index >= self.plan.sets {
            self.beat_for_ghosts(client, index);
        }
        let set = set_name(index);
        let known = self.checks.ledger.state.broker_set(&set).cloned();
        let Self { clients, now, .. } = self;
        let random = &mut clients[client].random;
        let request = match trade {
            Trade::Reader => match random.below(12) {
                0 => request::next_id(&set),
                1 => request::sync_state_data(&[set]),
                2 => Request::GetMetadataInfo,
                _ => request::info(&set),
            },
            Trade::Operator => operator(random, &set, known.as_ref()?),
            Trade::Writer => writer(random, &set, known.as_ref()?)?,
            Trade::Rival => {
                let is_repeat = random.chance(250);
                let repeated = clients[client].last.clone().filter(|_| is_repeat);
                let random = &mut clients[client].random;
                repeated.unwrap_or_else(|| rival(random, &set, known.as_ref(), *now))
            }
            Trade::Vandal => {
                let request = rival(random, &set, known.as_ref(), *now);
                request::without_a_field(request, random.next())
            }
        };
        self.clients[client].last = Some(request.clone());
        Some(request)
    }
}

/// The name of a broker set.
pub(crate) fn set_name(index: usize) -> String {
    format!("set-{index}")
}

fn ids(set: &BrokerSet) -> Vec<i64> {
    set.replicas().iter().map(|replica| replica.id.0).collect()
}

fn operator(random: &mut Random, set: &str, known: &BrokerSet) -> Request {
    let ids = ids(known);
    let id = random.pick(&ids);
    match random.below(10) {
        0 => request::clean(set, None, random.chance(500)),
        1 | 2 => request::clean(set, Some(&id.to_string()), random.chance(300)),
        3 => request::sync_state_data(&[set.to_owned()]),
        _ => request::designate(set, id),
    }
}

/// A change of a sync-state set as its master would ask for it now.
fn writer(random: &mut Random, set: &str, known: &BrokerSet) -> Option<Request> {
    let master = known.master()?.0;
    let view = (master, known.master_epoch().0, known.set_epoch().0);
    let mut wanted: Vec<i64> =
        ids(known).into_iter().filter(|&id| id == master || random.chance(500)).collect();
    let mut stored: Vec<i64> = known.sync_state_set().iter().map(|id| id.0).collect();
    if wanted == stored {
        // The other way round: everybody, or the master alone.
        wanted = if stored.len() > 1 { vec![master] } else { ids(known) };
    }
    stored.clear();
    Some(request::alter(set, view, &wanted))
}

/// An id that may be anybody's or nobody's.
fn some_id(random: &mut Random, known: Option<&BrokerSet>) -> i64 {
    let next = known.map_or(1, |known| known.next_id().0);
    let mut ids = known.map(ids).unwrap_or_default();
    // Mostly one of those that there are.
    for _ in 0..3 {
        ids.extend(known.and_then(BrokerSet::master).map(|id| id.0));
        ids.extend_from_within(..ids.len().min(2));
    }
    ids.extend([1, next, next + 5, 0, -1, i64::MIN, i64::MAX]);
    random.pick(&ids)
}

/// Something that a confused broker might send.
fn rival(random: &mut Random, set: &str, known: Option<&BrokerSet>, now: u64) -> Request {
    let id = some_id(random, known);
    let gap = i64::try_from(random.below(3)).unwrap_or(0);
    let next = known.map_or(1, |known| known.next_id().0 + gap - 1).max(1);
    let code = format!("rival;{}", now / MS);
    let Some(known) = known else {
        return match random.below(5) {
            0 => request::next_id(set),
            1 => request::elect(set, id),
            2 => request::apply_id(set, next, &code),
            3 => request::clean(set, None, random.chance(500)),
            _ => request::info(set),
        };
    };
    let ids = ids(known);
    let master = known.master().map_or(id, |master| master.0);
    let (epoch, set_epoch) = (known.master_epoch().0, known.set_epoch().0);
    let older = |random: &mut Random, epoch: i32| epoch - i32::from(random.chance(300));
    match random.below(10) {
        0 => {
            let wanted = if random.chance(100) { id } else { next };
            request::apply_id(set, wanted, &code)
        }
        1 => {
            let address = known.replica(replicas::BrokerId(id)).map_or("rival:1", |it| &it.address);
            request::register(set, id, address)
        }
        2 | 3 => request::elect(set, id),
        4 | 5 => {
            let view = (master, older(random, epoch), older(random, set_epoch));
            request::alter(set, view, &[master])
        }
        6 => request::alter(set, (id, epoch, set_epoch), &[id]),
        7 => {
            // Any members at all, with the master or without.
            let mut wanted: Vec<i64> = ids.into_iter().filter(|_| random.chance(500)).collect();
            if random.chance(200) {
                wanted.push(id);
            }
            request::alter(set, (master, epoch, set_epoch), &wanted)
        }
        8 => {
            let view = (master, epoch, older(random, set_epoch));
            request::alter(set, view, &ids)
        }
        _ => request::info(set),
    }
}

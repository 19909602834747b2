//! How a broker starts: who leads, an id, registration, perhaps an election.

use super::{Alarm, BEAT, POLL, Phase, Purpose, REGISTER_TRIES};
use crate::agenda::MS;
use crate::node::controller_address;
use crate::request;
use crate::world::World;
use protocol::{Request, Response};

impl World<'_> {
    /// Asks one controller after the other who leads.
    pub(super) fn find_leader(&mut self, broker: usize, tried: usize) {
        // All brokers ask in the same order, which has nothing to do with who leads.
        let nodes = self.nodes.len();
        for place in tried..nodes {
            let node = (place + 1) % nodes;
            if !self.brokers[broker].available[node] {
                continue;
            }
            if let Some(pipe) = self.broker_pipe(broker, node) {
                let purpose = Purpose::Leader { tried: place + 1 };
                return self.ask_as(broker, pipe, purpose, Request::GetMetadataInfo);
            }
        }
        if self.brokers[broker].phase == Phase::Starting {
            self.broker_after(broker, POLL, Alarm::Start);
        }
    }

    /// The next step of a start, from the files.
    pub(super) fn register(&mut self, broker: usize) {
        let actor = &self.brokers[broker];
        let (set, address) = (actor.set.clone(), actor.address.clone());
        match (actor.file, actor.temporary.clone()) {
            (Some(id), _) => {
                let request = request::register(&set, id, &address);
                self.ask_leader(broker, Purpose::Register, request);
            }
            (None, Some((id, check_code))) => {
                let request = request::apply_id(&set, id, &check_code);
                self.ask_leader(broker, Purpose::ApplyId, request);
            }
            (None, None) => self.ask_leader(broker, Purpose::NextId, request::next_id(&set)),
        }
    }

    pub(super) fn register_again(&mut self, broker: usize) {
        let actor = &mut self.brokers[broker];
        actor.tries += 1;
        if actor.tries < REGISTER_TRIES {
            let pause = actor.random.below(1_000 * MS);
            return self.broker_after(broker, pause, Alarm::Start);
        }
        actor.tries = 0;
        self.broker_after(broker, POLL, Alarm::Start);
    }

    pub(super) fn heard_leader(
        &mut self,
        broker: usize,
        tried: usize,
        response: Option<&Response>,
    ) {
        let address = response.and_then(|response| response.ext.get("controllerLeaderAddress"));
        let leader = address.filter(|it| !it.is_empty()).and_then(|address| {
            (0..self.nodes.len()).find(|&node| controller_address(node) == address)
        });
        let Some(leader) = leader else { return self.find_leader(broker, tried) };
        self.brokers[broker].leader = Some(leader);
        if self.brokers[broker].phase == Phase::Starting {
            self.register(broker);
        }
    }

    /// Registered: if a master is known the broker runs, else it asks for an election.
    pub(super) fn registered(&mut self, broker: usize) {
        if self.brokers[broker].phase == Phase::Running {
            return;
        }
        if self.brokers[broker].master.is_none() {
            let is_first_try = self.brokers[broker].tries == 0;
            self.brokers[broker].tries = 0;
            self.beat(broker);
            let actor = &self.brokers[broker];
            if let (true, Some(id)) = (is_first_try, actor.file) {
                let request = request::elect(&actor.set, id);
                self.brokers[broker].tries = 1;
                return self.ask_leader(broker, Purpose::Elect, request);
            }
            return self.broker_after(broker, POLL, Alarm::Start);
        }
        self.brokers[broker].phase = Phase::Running;
        self.brokers[broker].tries = 0;
        for (micros, alarm) in [
            (BEAT, Alarm::Beat),
            (3_000 * MS, Alarm::Poll),
            (3_000 * MS, Alarm::Search),
            (3_000 * MS, Alarm::Check),
        ] {
            self.broker_after(broker, micros, alarm);
        }
        self.beat(broker);
        let siblings = self.brokers[broker].siblings.clone();
        self.report_soon(siblings);
    }
}

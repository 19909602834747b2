//! What clients and operators do at the worst moment.

use super::{Kind, Who};
use crate::client::Trade;
use crate::request;
use crate::world::World;

impl World<'_> {
    pub(super) fn clients_strike(&mut self, kind: Kind) {
        match kind {
            Kind::Burst(count) => self.burst(count),
            Kind::Crowd(who, count) => self.crowd(who, count),
            Kind::Designate(broker) => self.designate_another(broker),
            _ => {}
        }
    }

    /// So many brokers come to a set at once; all of it may end in one entry of the log.
    fn burst(&mut self, count: usize) {
        let Some(client) = self.clients.iter().position(|it| it.trade == Trade::Rival) else {
            return;
        };
        let node = self.who(Who::Leader);
        for number in 0..count {
            let request = request::apply_id("set-0", 1, &format!("burst;{number}"));
            self.client_asks(client, node, request);
        }
    }

    /// Everybody outside comes to one controller, as after it was away; each asks what he always asks, so many times.
    fn crowd(&mut self, who: Who, count: usize) {
        let node = self.who(who);
        for client in 0..self.clients.len() {
            let is_there = self.clients[client].is_active && self.clients[client].pause > 0;
            for _ in 0..if is_there { count } else { 0 } {
                if let Some(request) = self.client_request(client) {
                    self.client_asks(client, node, request);
                }
            }
        }
    }

    /// The operator, or whoever acts as one, wants a living member in sync as master that is neither the present one nor
    /// this broker.
    fn designate_another(&mut self, broker: usize) {
        let name = self.brokers[broker].set.clone();
        let Some(set) = self.checks.ledger.state.broker_set(&name) else { return };
        let master = set.master();
        let is_alive = |id: i64| {
            let at = self.broker_at(&name, id);
            at.is_some_and(|at| at != broker && self.brokers[at].is_up)
        };
        let others = set.sync_state_set().iter().filter(|id| Some(**id) != master);
        let Some(wanted) = others.copied().find(|id| is_alive(id.0)) else { return };
        let operator = self.clients.iter().position(|it| it.trade == Trade::Operator).unwrap_or(0);
        if operator < self.clients.len() {
            let node = self.who(Who::Leader);
            self.client_asks(operator, node, request::designate(&name, wanted.0));
        }
    }
}

//! What strikes brokers.

use super::{Fault, Kind};
use crate::agenda::MS;
use crate::network::Lane;
use crate::world::World;

impl World<'_> {
    pub(super) fn strike_broker(&mut self, number: usize, fault: Fault) {
        match fault.kind {
            Kind::BrokerCrash(broker, power) => self.end_broker(broker, power),
            Kind::BrokerPause(broker) => {
                let until = self.now + fault.for_ms * MS;
                let actor = &mut self.brokers[broker];
                actor.paused_until = until.max(actor.paused_until);
                actor.well_since = actor.paused_until;
            }
            Kind::BrokerForgets(broker) => {
                self.end_broker(broker, true);
                let now = self.now;
                self.brokers[broker].lose_files(now);
            }
            Kind::BrokerFallsBack(broker) => {
                self.end_broker(broker, true);
                self.brokers[broker].store.offset /= 2;
                self.sometimes("offset_went_back");
            }
            Kind::BrokerDoubles(broker) => self.double(broker),
            Kind::BrokerSlow(broker, micros) => {
                self.brokers[broker].takes_notices_in(micros, self.now);
            }
            Kind::BrokerMoves(broker) => {
                self.end_broker(broker, true);
                let address = format!("{}x", self.brokers[broker].address);
                self.brokers[broker].address = address;
            }
            Kind::BrokerReset(broker) => {
                let owner = self.brokers[broker].connections_of;
                let place = self.brokers[owner].place;
                self.drop_connections(place);
                self.brokers[owner].forget_all_connections();
                self.connections_break(owner);
            }
            // Where nobody else can hear it, it is dead as far as anybody can tell.
            Kind::BrokerShut(broker) if self.nodes.len() > 1 => {
                let pipe = self.leader().and_then(|leader| self.hang_up_on(broker, leader));
                self.brokers[broker].shut_until = self.now + fault.for_ms * MS;
                if let Some(pipe) = pipe {
                    self.close(pipe, Lane::Up);
                }
            }
            Kind::BrokerUnanswered(broker) => {
                self.brokers[broker].unanswered_until = self.now + fault.for_ms * MS;
            }
            Kind::BrokerReconnects(broker) => {
                let owner = self.brokers[broker].connections_of;
                let old = self.reconnect(owner);
                self.struck[number].pipes = old;
            }
            Kind::BrokerLags(broker) => {
                let until = self.now + fault.for_ms * MS;
                self.brokers[broker].store.stuck_until = until;
            }
            Kind::MasterCrash(broker, power) => {
                let siblings = self.brokers[broker].siblings.clone();
                let mut masters = siblings.filter(|&it| self.brokers[it].is_master);
                let Some(master) = masters.find(|&it| self.brokers[it].is_up) else { return };
                self.end_broker(master, power);
                self.struck[number].broker = Some(master);
            }
            _ => {}
        }
    }

    fn double(&mut self, broker: usize) {
        let mut siblings = self.brokers[broker].siblings.clone();
        let other = siblings.find(|&other| other != broker);
        let id = other.and_then(|other| self.brokers[other].id());
        if id.is_some() {
            self.end_broker(broker, false);
            self.brokers[broker].take_identity(id);
            self.sometimes("two_brokers_one_id");
        }
    }
}

//! What controllers send to brokers: role notices, and connects that ask whether anything listens. And who hears
//! heartbeats, as the omniscient see it.

use crate::agenda::{MS, What};
use crate::broker::{Alarm, Heard};
use crate::check::failover::HEARD_GAP;
use crate::network::{PipeId, Place};
use crate::world::World;
use controller::{AttemptId, Event, NoticeResult, ProbeResult};
use protocol::{BrokerHeartbeat, Frame, HeaderEncoding, RoleNotice};

/// How long a connect for a notice may take. As in the server by default.
const CONNECT_DEADLINE: u64 = 3_000 * MS;
/// How long a broker may take to answer a notice. As in the server.
const ANSWER_DEADLINE: u64 = 5_000 * MS;
/// How long a connect that only asks may take. As in the server.
const PROBE_DEADLINE: u64 = 1_000 * MS;

/// What happens to whoever connects to an address.
enum Door {
    Opens(usize),
    Refuses,
    Silent,
}

impl World<'_> {
    fn door(&mut self, node: usize, address: &str) -> Door {
        let Some(broker) = self.brokers.iter().position(|it| it.address == address) else {
            return Door::Silent;
        };
        let (place, is_up) = (self.brokers[broker].place, self.brokers[broker].is_up);
        if !self.net.passes_both_ways(node, place) {
            return Door::Silent;
        }
        let is_deaf = self.brokers[broker].unanswered_until > self.now;
        if is_deaf || self.net.is_unanswered(node) {
            self.disturbed(node, place);
            return Door::Silent;
        }
        if self.brokers[broker].shut_until > self.now {
            self.disturbed(node, place);
            return Door::Refuses;
        }
        if is_up { Door::Opens(broker) } else { Door::Refuses }
    }

    fn tell_later(&mut self, node: usize, micros: u64, event: Event) {
        let boot = self.nodes[node].boot;
        self.put(micros, What::Tell { node, boot, event: Box::new(event) });
    }

    /// A controller connects to an address and closes again.
    pub(crate) fn probe(&mut self, node: usize, attempt: AttemptId, address: &str) {
        let (micros, result) = match self.door(node, address) {
            Door::Opens(broker) => (self.round_trip(node, broker), ProbeResult::Accepted),
            Door::Refuses => (self.net.weather.delay * 2, ProbeResult::Refused),
            Door::Silent => (PROBE_DEADLINE, ProbeResult::NoAnswer),
        };
        let (micros, result) = if micros < PROBE_DEADLINE {
            (micros, result)
        } else {
            (PROBE_DEADLINE, ProbeResult::NoAnswer)
        };
        self.tell_later(node, micros, Event::Probed { attempt, result });
    }

    fn round_trip(&mut self, node: usize, broker: usize) -> u64 {
        let place = self.brokers[broker].place;
        self.net.delay(node, place) + self.net.delay(place, node)
    }

    /// A controller tells a broker who is master.
    pub(crate) fn notify(
        &mut self,
        node: usize,
        attempt: AttemptId,
        address: &str,
        notice: RoleNotice,
    ) {
        let failed = |attempt| Event::Noticed { attempt, result: NoticeResult::Failed };
        self.note_superseding(address, notice.master_epoch);
        let broker = match self.door(node, address) {
            Door::Opens(broker) => broker,
            Door::Refuses => {
                return self.tell_later(node, self.net.weather.delay * 2, failed(attempt));
            }
            Door::Silent => return self.tell_later(node, CONNECT_DEADLINE, failed(attempt)),
        };
        let (set, epoch) = (self.brokers[broker].set.clone(), notice.master_epoch);
        let shown = self.checks.ledger.master_shown(&set, epoch, notice.master_broker_id);
        if let Err((invariant, text)) = shown {
            return self.fail(invariant, format!("in a notice: {text}"));
        }
        let mut bytes = bytes::BytesMut::new();
        notice.encode(0, 0, HeaderEncoding::Json, &mut bytes);
        let decoded = Frame::decode(bytes.freeze()).ok().and_then(|it| RoleNotice::decode(&it));
        let Some(decoded) = decoded else {
            return self.fail("K4", format!("{notice:?} cannot be read back"));
        };
        let handling = self.brokers[broker].notice_delay;
        let pause = self.brokers[broker].paused_until.saturating_sub(self.now);
        let there = self.round_trip(node, broker) / 2 + handling;
        let life = self.brokers[broker].life;
        let alarm = Alarm::Notice(Box::new(decoded));
        self.put(there, What::Broker { broker, life, alarm });
        let back = there.max(pause) + self.net.weather.delay;
        let is_in_time = back < ANSWER_DEADLINE;
        if is_in_time {
            self.sometimes("acknowledged");
            let event = Event::Noticed { attempt, result: NoticeResult::Acknowledged };
            self.tell_later(node, back, event);
        } else {
            self.tell_later(node, ANSWER_DEADLINE, failed(attempt));
        }
        self.notices.insert(broker, (self.now + back, epoch));
    }

    /// A broker is to be told of an epoch while it still takes an older one.
    fn note_superseding(&mut self, address: &str, epoch: i32) {
        let broker = self.brokers.iter().position(|it| it.address == address);
        let Some((until, older)) = broker.and_then(|it| self.notices.get(&it)) else { return };
        if *until > self.now && *older < epoch {
            self.sometimes("superseded");
        }
    }

    /// A heartbeat arrived at a controller.
    pub(crate) fn heard_broker(
        &mut self,
        node: usize,
        way: (Place, PipeId),
        beat: &BrokerHeartbeat,
    ) {
        let (place, pipe) = way;
        let (set, id) = (beat.broker_name.as_deref().unwrap_or_default(), beat.broker_id);
        let owner = place - self.nodes.len();
        if owner >= self.brokers.len() {
            return;
        }
        let now = self.now;
        if let Some(id) = id {
            self.checks.duties.heard(set, id, now);
        }
        let Some(broker) = id.and_then(|id| self.broker_at(set, id)) else { return };
        let heard = &mut self.brokers[broker].heard[node];
        let since = if now > heard.last + HEARD_GAP { now } else { heard.since };
        let is_back = heard.pipe != 0 && heard.pipe != pipe && since < now;
        *heard = Heard { since, last: now, pipe };
        if is_back {
            self.sometimes("back_within_grace");
        }
        if since == now && !self.is_leading(node) {
            let leader = self.leader();
            let is_deaf =
                leader.is_none_or(|it| now > self.brokers[broker].heard[it].last + HEARD_GAP);
            if is_deaf {
                self.sometimes("heard_only_by_followers");
            }
        }
    }
}

//! What is outside of the controllers: clients that ask, brokers that send heartbeats and are told.

use crate::broker::{Broker, Door};
use crate::request::{apply_id, elect, next_id, register};
use crate::world::{Asked, Ending, MS, What, World};
use bytes::{Bytes, BytesMut};
use controller::{
    AttemptId, Caller, ConnectionId, ElectionOrder, Event, Inspect, NoticeResult, ProbeResult,
};
use protocol::{FLAG_ONE_WAY, Frame, HeaderEncoding, Request, Response, RoleNotice, private};

/// Until an attempt to connect to a silent host is given up, in ms.
const CONNECT_DEADLINE_MS: u64 = 1_000;

/// Until a notice without an answer is given up, in ms.
const NOTICE_DEADLINE_MS: u64 = 5_000;

/// Between two heartbeats, in ms.
const BEAT_MS: u64 = 1_000;

/// The one connection of all clients.
const CLIENTS: ConnectionId = ConnectionId(0);

/// Correlation id of requests whose answers nobody looks at: no request has this number.
const NOBODYS: i32 = i32::MAX;

/// A request by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(pub(crate) usize);

impl World {
    /// Sends a request to a node.
    pub(crate) fn send_request(&mut self, node: u64, request: Request) -> Ticket {
        let opaque = i32::try_from(self.asked.len()).unwrap();
        let mut frame = BytesMut::new();
        request.encode(opaque, 0, HeaderEncoding::Json, &mut frame);
        self.send_frame(node, frame.freeze())
    }

    /// Sends a request that wants no answer.
    pub(crate) fn send_one_way(&mut self, node: u64, request: &Request) -> Ticket {
        let opaque = i32::try_from(self.asked.len()).unwrap();
        let mut frame = BytesMut::new();
        request.encode(opaque, FLAG_ONE_WAY, HeaderEncoding::Binary, &mut frame);
        self.send_frame(node, frame.freeze())
    }

    /// Sends a request as it stands; its correlation id is not looked at.
    pub(crate) fn send_frame(&mut self, node: u64, frame: Bytes) -> Ticket {
        let decoded = Frame::decode(frame.clone()).expect("a frame");
        let request = Request::decode(&decoded).expect("a request of a controller");
        let is_one_way = decoded.header.is_one_way();
        let floor = self.checks.floor(&request);
        let (connection, ending) = (CLIENTS, None);
        let asked = Asked { node, request, frame, connection, is_one_way, floor, ending };
        self.asked.push(asked);
        let asked = self.asked.len() - 1;
        let delay = self.delay();
        self.after(delay, What::Request { asked });
        Ticket(asked)
    }

    pub(crate) fn requested(&mut self, asked: usize) {
        let now = self.now;
        let record = &mut self.asked[asked];
        if record.ending.is_some() {
            // The connection died with the process that it was made to.
            return;
        }
        let (node, frame) = (record.node, record.frame.clone());
        if self.nodes[&node].controller.is_none() {
            record.ending.get_or_insert((now, Ending::Refused));
            return;
        }
        let caller = self.caller(asked);
        let decoded = Frame::decode(frame.clone()).expect("a frame");
        let request = Request::decode(&decoded).expect("a request of a controller");
        self.tell(node, Event::Request { caller, request, frame });
    }

    /// A request whose answer nobody looks at, without a way over the wire.
    pub(crate) fn tell_request(&mut self, node: u64, request: &Request) {
        let caller = Caller {
            connection: ConnectionId(u64::MAX),
            opaque: NOBODYS,
            encoding: HeaderEncoding::Json,
            is_one_way: false,
            code: request.code(),
            received: self.instant(node),
        };
        let (request, frame) = (request.clone(), Bytes::new());
        self.tell(node, Event::Request { caller, request, frame });
    }

    fn caller(&self, asked: usize) -> Caller {
        let Asked { node, request, connection, is_one_way, .. } = &self.asked[asked];
        Caller {
            connection: *connection,
            opaque: i32::try_from(asked).unwrap(),
            encoding: HeaderEncoding::Json,
            is_one_way: *is_one_way,
            code: request.code(),
            received: self.instant(*node),
        }
    }

    pub(crate) fn replied(&mut self, node: u64, caller: &Caller, response: Response) {
        let now = self.now;
        if caller.opaque == NOBODYS {
            return;
        }
        let asked = &mut self.asked[usize::try_from(caller.opaque).unwrap()];
        assert_eq!(asked.connection, caller.connection, "another connection is answered");
        assert_eq!(asked.node, node, "another node answers");
        assert!(asked.ending.is_none(), "K4: a second answer to {:?}", asked.request);
        // Over the wire and back, as every answer goes.
        let mut frame = BytesMut::new();
        response.encode(caller.opaque, caller.encoding, &mut frame);
        let decoded = Response::from_frame(Frame::decode(frame.freeze()).expect("a frame"));
        assert_eq!(decoded, response);
        self.checks.answered(&asked.request, asked.floor, &response);
        asked.ending = Some((now, Ending::Answer(response)));
    }

    pub(crate) fn ending(&self, ticket: Ticket) -> Option<&Ending> {
        self.asked[ticket.0].ending.as_ref().map(|(_, ending)| ending)
    }

    /// Asks and waits; how long it takes is bounded by the deadlines of the core.
    #[track_caller]
    pub(crate) fn ask(&mut self, node: u64, request: Request) -> Response {
        let ticket = self.send_request(node, request);
        self.await_answer(ticket)
    }

    #[track_caller]
    pub(crate) fn await_answer(&mut self, ticket: Ticket) -> Response {
        self.run_until(3_000, |world| world.ending(ticket).is_some());
        match self.ending(ticket) {
            Some(Ending::Answer(response)) => response.clone(),
            other => panic!("{:?} ended as {other:?}", self.asked[ticket.0].request),
        }
    }

    /// The name of the controller that `node` gives to a broker that asks on its own connection.
    #[track_caller]
    pub(crate) fn named_to(&mut self, broker: usize, node: u64) -> String {
        let connection = self.brokers[broker].connections[&node];
        let ticket = self.send_request(node, Request::GetMetadataInfo);
        self.asked[ticket.0].connection = connection;
        let response = self.await_answer(ticket);
        response.ext.get("controllerLeaderId").unwrap().to_owned()
    }

    /// Asks and expects this code.
    #[track_caller]
    pub(crate) fn expect(&mut self, node: u64, request: Request, code: i32) -> Response {
        let shown = format!("{request:?}");
        let response = self.ask(node, request);
        assert_eq!(response.code, code, "{shown}: {response:?}");
        response
    }

    /// A question of our own tools; the answer is a body of JSON.
    pub(crate) fn inspect(&mut self, node: u64, question: Inspect) -> String {
        let ticket = self.send_request(node, Request::GetMetadataInfo);
        // The place of a request that is never sent.
        self.run(2);
        self.asked[ticket.0].ending = None;
        let caller = self.caller(ticket.0);
        self.tell(node, Event::Inspect { caller, question });
        let response = self.await_answer(ticket);
        String::from_utf8(response.body.to_vec()).expect("JSON is UTF-8")
    }

    /// An operator's order; the answer.
    pub(crate) fn order_election(
        &mut self,
        node: u64,
        fields: &[(&'static str, &str)],
    ) -> Response {
        let ticket = self.send_request(node, Request::GetMetadataInfo);
        // The place of a request that is never sent, as for questions.
        self.run(2);
        self.asked[ticket.0].ending = None;
        let caller = self.caller(ticket.0);
        let frame = crate::request::raw(private::ELECT, fields, "");
        let decoded = Frame::decode(frame.clone()).expect("a frame");
        let order = ElectionOrder::decode(&decoded).expect("an order");
        self.tell(node, Event::Order { caller, order, frame });
        self.await_answer(ticket)
    }

    /// A broker starts to send heartbeats; its place in the list.
    pub(crate) fn add_broker(&mut self, broker: Broker) -> usize {
        self.brokers.push(broker);
        let broker = self.brokers.len() - 1;
        self.beat(broker, 0);
        broker
    }

    /// Brokers `1..=count` of a set: they take ids, register, and the first becomes master. The sync-state set is
    /// the master alone.
    #[track_caller]
    pub(crate) fn add_set(&mut self, set: &str, count: i64) -> Vec<usize> {
        let node = self.leader().expect("a leader");
        let mut brokers = Vec::new();
        for id in 1..=count {
            let broker = Broker::new(set, id);
            let address = broker.address.clone();
            self.expect(node, next_id(set), 0);
            self.expect(node, apply_id(set, id, &address), 0);
            self.expect(node, register(set, id, &address), 0);
            brokers.push(self.add_broker(broker));
        }
        self.expect(node, elect(set, 1), 0);
        self.run(100);
        brokers
    }

    /// As [`Self::add_set`], with all brokers in the sync-state set.
    #[track_caller]
    pub(crate) fn add_synced_set(&mut self, set: &str, count: i64) -> Vec<usize> {
        let brokers = self.add_set(set, count);
        let ids: Vec<i64> = (1..=count).collect();
        let node = self.leader().expect("a leader");
        self.expect(node, crate::request::alter(set, (1, 1, 1), &ids), 0);
        brokers
    }

    pub(crate) fn beat(&mut self, index: usize, life: u64) {
        let broker = &self.brokers[index];
        if !broker.is_running || broker.life != life {
            return;
        }
        let request = Request::Heartbeat(broker.heartbeat());
        for node in self.ids() {
            if !self.is_up(node) || self.brokers[index].cut_from.contains(&node) {
                continue;
            }
            let state = self.node(node);
            let (boot, next) = (state.boot, state.connections + 1);
            let known = self.brokers[index].connections.get(&node).copied();
            let connection = known.unwrap_or(ConnectionId(next));
            if known.is_none() {
                self.node(node).connections = next;
                self.brokers[index].connections.insert(node, connection);
            }
            let caller = Caller {
                connection,
                opaque: NOBODYS,
                encoding: HeaderEncoding::Json,
                is_one_way: true,
                code: request.code(),
                received: self.instant(node),
            };
            let event =
                Event::Request { caller, request: request.clone(), frame: Bytes::from_static(b"") };
            let delay = self.delay();
            self.heard.insert((node, index), self.now + delay);
            self.after(delay, What::Tell { node, boot, event });
        }
        self.after(BEAT_MS * MS, What::Beat { broker: index, life });
    }

    /// The connections of a broker close; it notices nothing else.
    pub(crate) fn close_connections(&mut self, broker: usize) {
        for (node, connection) in std::mem::take(&mut self.brokers[broker].connections) {
            let boot = self.nodes[&node].boot;
            let delay = self.delay();
            let event = Event::ConnectionClosed { connection };
            if !self.brokers[broker].cut_from.contains(&node) {
                self.after(delay, What::Tell { node, boot, event });
            }
        }
    }

    /// The connections to a node that died are gone, for the brokers too.
    pub(crate) fn connections_die(&mut self, node: u64) {
        for broker in &mut self.brokers {
            broker.connections.remove(&node);
        }
    }

    /// The process of a broker dies: its connections close, its address refuses.
    pub(crate) fn kill_broker(&mut self, broker: usize) {
        self.stop(broker, Door::Refuses);
        self.close_connections(broker);
    }

    /// The host of a broker dies or is cut off: nothing is heard of it any more, its connections stay open.
    pub(crate) fn silence_broker(&mut self, broker: usize) {
        self.stop(broker, Door::Silent);
    }

    /// A broker says nothing more; whoever connects to it finds this.
    pub(crate) fn stop(&mut self, broker: usize, door: Door) {
        let broker = &mut self.brokers[broker];
        broker.life += 1;
        (broker.is_running, broker.door) = (false, door);
    }

    /// A broker that died starts again.
    pub(crate) fn restart_broker(&mut self, index: usize) {
        let broker = &mut self.brokers[index];
        broker.life += 1;
        (broker.is_running, broker.door) = (true, Door::Accepts);
        broker.connections.clear();
        let life = broker.life;
        self.beat(index, life);
    }

    fn door(&self, node: u64, address: &str) -> (Option<usize>, Door) {
        let found = self.brokers.iter().position(|broker| broker.address == address);
        let Some(index) = found else { return (None, Door::Silent) };
        if self.refuses_all.contains(address) {
            return (found, Door::Refuses);
        }
        let is_cut = self.brokers[index].cut_from.contains(&node);
        (found, if is_cut { Door::Silent } else { self.brokers[index].door })
    }

    pub(crate) fn probe(&mut self, node: u64, attempt: AttemptId, address: &str) {
        let (micros, result) = match self.door(node, address).1 {
            Door::Accepts => (MS, ProbeResult::Accepted),
            Door::Refuses => (MS, ProbeResult::Refused),
            Door::Silent => (CONNECT_DEADLINE_MS * MS, ProbeResult::NoAnswer),
        };
        let boot = self.nodes[&node].boot;
        self.after(micros, What::Tell { node, boot, event: Event::Probed { attempt, result } });
    }

    pub(crate) fn notify(
        &mut self,
        node: u64,
        attempt: AttemptId,
        address: &str,
        notice: RoleNotice,
    ) {
        let (broker, door) = self.door(node, address);
        let (micros, result) = match door {
            Door::Accepts => {
                let now = self.now;
                let broker = &mut self.brokers[broker.expect("it accepts")];
                self.checks.notice(&broker.set, &notice);
                broker.told.push((now, notice));
                if broker.is_deaf {
                    (NOTICE_DEADLINE_MS * MS, NoticeResult::Failed)
                } else {
                    (MS, NoticeResult::Acknowledged)
                }
            }
            Door::Refuses => (MS, NoticeResult::Failed),
            Door::Silent => (NOTICE_DEADLINE_MS * MS, NoticeResult::Failed),
        };
        let boot = self.nodes[&node].boot;
        self.after(micros, What::Tell { node, boot, event: Event::Noticed { attempt, result } });
    }
}

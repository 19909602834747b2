//! Requests of brokers and clients, from the question to its end.
//!
//! A request ends with an answer, or its asker gives up after [`PATIENCE`]: then nobody knows what became of it.

use crate::agenda::{MS, What};
use crate::broker::Purpose;
use crate::check::content::{Content, content_of_request};
use crate::network::{Cargo, Lane, PipeId};
use crate::world::World;
use bytes::{Bytes, BytesMut};
use controller::{Caller, ConnectionId, Event};
use protocol::{Frame, HeaderEncoding, Request, Response, response_code};
use std::ops::Range;
use workload::history::{Operation, Outcome};

/// How long a broker or a tool waits for an answer. Source: spec/broker-side.md, all controller calls.
pub(crate) const PATIENCE: u64 = 3_000 * MS;

/// A request on its way.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// `None` of a one-way request.
    pub(crate) call: Option<u64>,
    pub(crate) request: Request,
    pub(crate) frame: Bytes,
}

/// Who asked.
#[derive(Debug, Clone)]
pub(crate) enum Asker {
    Broker { broker: usize, life: u64, purpose: Purpose },
    Client { client: usize },
}

/// One request that wants an answer.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) asker: Asker,
    pub(crate) pipe: PipeId,
    pub(crate) node: usize,
    pub(crate) request: Request,
    /// What it would write into the log; `None` of a read, or of one that no log entry can come from.
    pub(crate) content: Option<Content>,
    /// When the controller got it.
    pub(crate) arrived: Option<u64>,
    /// Entries known to be committed when it began.
    pub(crate) committed: u64,
    /// The newest version of its broker set that anybody had been shown when it began.
    pub(crate) floor: Option<(i32, i32)>,
    /// Its operations in the history.
    recorded: Range<usize>,
    pub(crate) is_answered: bool,
    pub(crate) is_given_up: bool,
}

impl World<'_> {
    /// Sends a request over a connection and waits for its answer.
    pub(crate) fn ask(&mut self, pipe: PipeId, asker: Asker, request: Request) -> u64 {
        let call = self.next_call;
        self.next_call += 1;
        let open = self.net.pipes.get(&pipe).expect("a connection is known until its owner hears");
        let (place, node) = (open.dialler(), open.acceptor());
        let mut frame = BytesMut::new();
        let opaque = i32::try_from(call).unwrap_or(i32::MAX);
        let encoding =
            if call.is_multiple_of(2) { HeaderEncoding::Json } else { HeaderEncoding::Binary };
        request.encode(opaque, 0, encoding, &mut frame);
        let frame = frame.freeze();
        let content = content_of_request(&request);
        self.checks.asked(content.as_ref());
        let floor = self.checks.floor(&request);
        let committed = self.checks.committed();
        let record = Call {
            asker,
            pipe,
            node,
            request: request.clone(),
            content,
            arrived: None,
            committed,
            floor,
            recorded: self.record(place, node, &request),
            is_answered: false,
            is_given_up: false,
        };
        self.calls.insert(call, record);
        self.put(PATIENCE, What::TimedOut { call });
        let question = Box::new(Question { call: Some(call), request, frame });
        self.send(pipe, Lane::Up, Cargo::Question(question));
        call
    }

    /// Writes down what is asked; nobody knows yet what comes of it.
    fn record(&mut self, place: usize, node: usize, request: &Request) -> Range<usize> {
        self.moment += 1;
        let first = self.history.operations.len();
        for (set, call) in workload::record::calls(request) {
            self.history.operations.push(Operation {
                client: u32::try_from(place).unwrap_or(u32::MAX),
                peer: u32::try_from(node).ok(),
                set,
                invoked: self.moment,
                finished: None,
                call,
                outcome: Outcome::Unknown,
            });
        }
        first..self.history.operations.len()
    }

    /// Writes down what came of it.
    fn record_answer(&mut self, recorded: Range<usize>, response: &Response) {
        self.moment += 1;
        for operation in &mut self.history.operations[recorded] {
            operation.finished = Some(self.moment);
            operation.outcome =
                workload::record::outcome(&operation.set, &operation.call, response);
        }
    }

    /// A request arrives at the process that it was sent to.
    pub(crate) fn asked(&mut self, node: usize, pipe: PipeId, question: Question) {
        let Question { call, request, frame } = question;
        let now = self.now;
        if let Some(record) = call.and_then(|call| self.calls.get_mut(&call)) {
            record.arrived = Some(now);
        }
        if let (None, Request::Heartbeat(beat)) = (call, &request) {
            let place = self.net.pipes.get(&pipe).map(crate::network::Pipe::dialler);
            if let Some(place) = place {
                self.heard_broker(node, (place, pipe), beat);
            }
        }
        let mut caller = Caller {
            connection: ConnectionId(pipe),
            opaque: 0,
            encoding: HeaderEncoding::Json,
            is_one_way: call.is_none(),
            code: request.code(),
            received: self.local(node),
        };
        let mut request = request;
        if let Some(call) = call {
            caller.opaque = i32::try_from(call).unwrap_or(i32::MAX);
            // What was encoded is what is decoded: the codec is part of what is simulated.
            let decoded = Frame::decode(frame.clone()).ok();
            caller.encoding =
                decoded.as_ref().map_or(HeaderEncoding::Json, |it| it.header.encoding);
            match decoded.as_ref().and_then(Request::decode) {
                Some(decoded) => request = decoded,
                None => return self.fail("K4", format!("{request:?} cannot be read back")),
            }
        }
        let event = Event::Request { caller, request, frame };
        self.nodes[node].requests.push_back(event);
        self.wake_up(node);
    }

    /// A controller answers.
    pub(crate) fn answered(&mut self, node: usize, caller: &Caller, response: Response) {
        if caller.is_one_way {
            return;
        }
        let call = u64::try_from(caller.opaque).unwrap_or(u64::MAX);
        let Some(record) = self.calls.get(&call) else { return };
        if record.pipe != caller.connection.0 || record.node != node {
            return self.fail("K4", format!("node {node} answers call {call} of another"));
        }
        if record.is_answered {
            return self.fail("K4", format!("a second answer to {:?}", record.request));
        }
        let Some(mut record) = self.calls.remove(&call) else { return };
        record.is_answered = true;
        let applied = self.nodes[node].applied;
        self.check_answer(&record, applied, &response);
        self.record_answer(record.recorded.clone(), &response);
        if response.code == response_code::SYSTEM_BUSY {
            self.sometimes("answered_busy");
        }
        let (pipe, is_given_up) = (record.pipe, record.is_given_up);
        if !is_given_up {
            self.calls.insert(call, record);
        }
        if is_given_up {
            self.sometimes("client_gone_before_answer");
            return;
        }
        self.send(pipe, Lane::Down, Cargo::Answer { call, response: Box::new(response) });
    }

    /// An answer arrives at who asked.
    pub(crate) fn heard_answer(&mut self, sequence: u64, call: u64, response: Response) {
        let Some(record) = self.calls.get(&call) else { return };
        if record.is_given_up {
            return;
        }
        if let Asker::Broker { broker, life, .. } = record.asker
            && self.brokers[broker].life == life
            && self.brokers[broker].paused_until > self.now
        {
            // It reads its sockets when it runs again.
            let at = self.brokers[broker].paused_until;
            let pipe = record.pipe;
            let cargo = Cargo::Answer { call, response: Box::new(response) };
            self.agenda.put(at, What::Arrive { pipe, lane: Lane::Down, sequence, cargo });
            return;
        }
        let Some(record) = self.calls.remove(&call) else { return };
        match record.asker.clone() {
            Asker::Broker { broker, life, purpose } => {
                if self.brokers[broker].life == life {
                    self.broker_heard(broker, purpose, Some(&response));
                }
            }
            Asker::Client { client } => self.client_heard(client, &record, &response),
        }
    }

    /// Nobody answered in time: the asker gives up. A broker closes the connection, as upstream's client does.
    pub(crate) fn timed_out(&mut self, call: u64) {
        let Some(record) = self.calls.get_mut(&call) else { return };
        if record.is_given_up {
            return;
        }
        record.is_given_up = true;
        let (asker, node, pipe) = (record.asker.clone(), record.node, record.pipe);
        if record.is_answered || !self.is_up(node) || !self.is_open(pipe, Lane::Down) {
            self.calls.remove(&call);
        }
        match asker {
            Asker::Broker { broker, life, purpose } => {
                // Nobody waits for what an ended broker asked, and others may still use the connection.
                if self.brokers[broker].life == life {
                    self.close(pipe, Lane::Up);
                    self.forget_connection(broker, pipe);
                    self.broker_heard(broker, purpose, None);
                }
            }
            Asker::Client { client } => {
                self.close(pipe, Lane::Up);
                self.clients[client].pipes[node] = None;
            }
        }
    }

    /// A connection is gone: what was asked over it ends without an answer, now and not at the deadline.
    pub(crate) fn calls_lost(&mut self, pipe: PipeId) {
        let lost = self.calls.iter().filter(|(_, call)| call.pipe == pipe && !call.is_given_up);
        let lost: Vec<u64> = lost.map(|(&call, _)| call).collect();
        for call in lost {
            self.timed_out(call);
        }
    }
}

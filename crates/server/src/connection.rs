//! One accepted connection: bytes to frames to events, answers to bytes.
//!
//! Steps 1 to 3 and 11 to 12 of the straight line. Bytes are read into one buffer that all connections share and
//! cut there; only the beginning of an unfinished frame is kept per connection, so an idle one holds no buffer.
//! Answers of one turn to one connection leave in one write.
//!
//! A connection is a client's until its first frame is a peer's hello ([`crate::hello`]); then it carries batches.

mod outbound;
mod reader;

use crate::change;
use crate::config::Config;
use crate::hello::{Hello, LINK_VERSION, heads_batch, unpack};
use crate::refuse;
use crate::shared::Shared;
use bytes::Bytes;
use controller::{Caller, ConnectionId, ElectionOrder, Event, Inspect, Instant, PeerId, seat};
use protocol::{Frame, Request, Response, code, private};
use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::rc::Rc;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;

pub(crate) use outbound::Outbound;
use outbound::Unread;
pub(crate) use reader::{Reader, open, serve_peers};

/// Requests of one connection that may be unanswered; then nothing is read from it.
const IN_FLIGHT_MAX: u32 = 256;

/// Answers of one connection that may wait to be written, in bytes; then nothing is read from it.
const OUT_BYTES_MAX: usize = 1_024 * 1_024;

/// The header of a frame must be complete this long after the frame's first byte, in ms.
const HEADER_DEADLINE_MS: u64 = 5_000;

/// A frame must be complete this long after its first byte, in ms.
const FRAME_DEADLINE_MS: u64 = 15_000;

/// Bytes of unfinished frames that all clients together may make us keep; who is in the middle of one when there are
/// more is closed.
const INBOUND_BYTES_MAX: usize = 256 * 1_024 * 1_024;

/// Longest body of a client's request, in bytes. The longest honest one lists a sync-state set.
const REQUEST_BODY_BYTES_MAX: usize = 64 * 1_024;

/// Longest body of a client's request that is a list of its own, in bytes: 1006 and 1009.
const LIST_BODY_BYTES_MAX: usize = 1_024 * 1_024;

/// Longest name of a broker set that our own tools may ask for, in bytes.
const DESCRIBE_BYTES_MAX: usize = 255;

/// What a connection carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Client,
    Peer(PeerId),
}

/// One accepted connection.
#[derive(Debug)]
pub(crate) struct Connection {
    id: ConnectionId,
    stream: OwnedWriteHalf,
    kind: Cell<Kind>,
    out: RefCell<Unread>,
    /// A frame has come.
    has_spoken: Cell<bool>,
    is_flushing: Cell<bool>,
    is_closed: Cell<bool>,
    in_flight: Cell<u32>,
    room: Notify,
    last_active: Cell<Instant>,
    partial: Cell<Option<Partial>>,
    /// Bytes that its unfinished frame occupies.
    held_bytes: Cell<usize>,
    outbound: Rc<Outbound>,
    /// Bytes that its answers occupy, as they are counted there.
    unread_bytes: Cell<usize>,
    /// When its socket took nothing for the first time since it took something.
    takes_nothing_since: Cell<Option<Instant>>,
}

/// The beginning of a frame that waits for its rest.
#[derive(Debug, Clone, Copy)]
struct Partial {
    since: Instant,
    has_header: bool,
}

/// How long unfinished frames may take, and how much room, from `pitchover.limits.*` or by default.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InboundLimits {
    header_ms: u64,
    frame_ms: u64,
    bytes_max: usize,
}

impl InboundLimits {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            bytes_max: config.limit_bytes("inboundBytesMax", INBOUND_BYTES_MAX),
            header_ms: config.limit("headerDeadlineMs").unwrap_or(HEADER_DEADLINE_MS),
            frame_ms: config.limit("frameDeadlineMs").unwrap_or(FRAME_DEADLINE_MS),
        }
    }
}

/// Why a connection is closed from this end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Close(&'static str);

impl Connection {
    /// The connection, and the half from which a [`Reader`] reads it.
    fn new(
        id: ConnectionId,
        stream: TcpStream,
        now: Instant,
        outbound: &Rc<Outbound>,
    ) -> (Self, OwnedReadHalf) {
        let (reading, stream) = stream.into_split();
        let connection = Self {
            id,
            stream,
            kind: Cell::new(Kind::Client),
            out: RefCell::default(),
            has_spoken: Cell::new(false),
            is_flushing: Cell::new(false),
            is_closed: Cell::new(false),
            in_flight: Cell::new(0),
            room: Notify::new(),
            last_active: Cell::new(now),
            partial: Cell::new(None),
            held_bytes: Cell::new(0),
            outbound: Rc::clone(outbound),
            unread_bytes: Cell::new(0),
            takes_nothing_since: Cell::new(None),
        };
        (connection, reading)
    }

    /// Appends an answer; it leaves with [`Self::flush`]. One-way callers get none, and nobody who was closed.
    pub(crate) fn answer(&self, caller: &Caller, response: &Response) {
        if caller.is_one_way {
            return;
        }
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
        if self.is_closed.get() {
            return;
        }
        response.encode(caller.opaque, caller.encoding, self.out.borrow_mut().end());
    }

    /// Writes what waits, as far as the socket takes it; a task writes the rest. If all connections together hold too
    /// much, those that hold most are closed.
    pub(crate) fn flush(self: &Rc<Self>) {
        if self.is_closed.get() {
            return;
        }
        if !self.is_flushing.get() {
            match self.write_some() {
                Ok(true) => self.room.notify_one(),
                Ok(false) => {
                    self.is_flushing.set(true);
                    let this = Rc::clone(self);
                    tokio::task::spawn_local(this.flush_rest());
                }
                Err(_gone) => self.close(),
            }
        }
        // Also while that task waits for a socket that takes nothing.
        self.count_unread();
        self.outbound.keep_limit();
    }

    async fn flush_rest(self: Rc<Self>) {
        loop {
            let done = match self.stream.writable().await {
                Ok(()) => self.write_some(),
                Err(error) => Err(error),
            };
            self.count_unread();
            match done {
                Ok(false) => self.room.notify_one(),
                Ok(true) => break,
                Err(_gone) => {
                    self.close();
                    break;
                }
            }
        }
        self.is_flushing.set(false);
        self.room.notify_one();
    }

    /// A peer is answered once, and briefly.
    fn count_unread(self: &Rc<Self>) {
        let is_client = self.kind.get() == Kind::Client;
        let held_bytes = if is_client { self.out.borrow().held_bytes() } else { 0 };
        let before = self.unread_bytes.replace(held_bytes);
        if held_bytes != before {
            self.outbound.remove(self.id, before);
            self.outbound.add(self.id, held_bytes, Rc::downgrade(self));
        }
    }

    /// Whether everything was written.
    fn write_some(&self) -> std::io::Result<bool> {
        let mut out = self.out.borrow_mut();
        while !out.is_empty() {
            match self.stream.try_write(out.rest()) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    out.advance(written);
                    self.takes_nothing_since.set(None);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let since = self.takes_nothing_since.get();
                    self.takes_nothing_since.set(since.or_else(|| Some(self.outbound.now())));
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Ends the connection: its reader sees the end of the stream, or is woken if it waits for room. What waits is
    /// given up at once, so that nobody else is closed for it.
    pub(crate) fn close(&self) {
        self.is_closed.set(true);
        *self.out.borrow_mut() = Unread::default();
        self.takes_nothing_since.set(None);
        self.outbound.remove(self.id, self.unread_bytes.take());
        // It may be closed already; there is nothing else to do about an error.
        drop(socket2::SockRef::from(self.stream.as_ref()).shutdown(std::net::Shutdown::Both));
        self.room.notify_one();
    }

    /// The limit that it broke: silent too long, taking no answer too long, or an unfinished frame too old.
    pub(crate) fn overdue(
        &self,
        now: Instant,
        idle_secs: u32,
        limits: InboundLimits,
    ) -> Option<&'static str> {
        let idle_ms = u64::from(idle_secs) * 1_000;
        if idle_ms > 0 && now.since_ms(self.last_active.get()) > idle_ms {
            return Some("serverChannelMaxIdleTimeSeconds");
        }
        let since = self.takes_nothing_since.get();
        if since.is_some_and(|since| self.outbound.is_stalled(since, now)) {
            return Some("outboundStallMs");
        }
        let partial = self.partial.get()?;
        let age_ms = now.since_ms(partial.since);
        if age_ms > limits.header_ms && !partial.has_header {
            return Some("headerDeadlineMs");
        }
        (age_ms > limits.frame_ms).then_some("frameDeadlineMs")
    }

    fn has_room(&self) -> bool {
        self.in_flight.get() < IN_FLIGHT_MAX && self.out.borrow().rest().len() < OUT_BYTES_MAX
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Its last answers may wait in a task that outlives its reader; here they are gone for certain.
        self.outbound.remove(self.id, self.unread_bytes.get());
    }
}

fn take_frame(
    shared: &Rc<Shared>,
    connection: &Rc<Connection>,
    now: Instant,
    bytes: Bytes,
) -> Result<(), Close> {
    let frame = Frame::decode(bytes.clone()).map_err(|_malformed| Close("malformed header"))?;
    if let Kind::Peer(peer) = connection.kind.get() {
        return take_batch(shared, connection, peer, frame);
    }
    if frame.header.is_response() {
        // Nobody asked this peer's clients anything: dropped, as upstream does.
        shared.metrics.refused("unexpected response");
        return Ok(());
    }
    let is_first = !connection.has_spoken.replace(true);
    let caller = Caller {
        connection: connection.id,
        opaque: frame.header.opaque,
        encoding: frame.header.encoding,
        is_one_way: frame.header.is_one_way(),
        code: frame.header.code,
        received: now,
    };
    if !caller.is_one_way {
        connection.in_flight.set(connection.in_flight.get() + 1);
    }
    let answer = if let Some((limit, maximum)) = body_limit_broken(&frame) {
        shared.metrics.refused(limit);
        Some(refuse::body_too_long(limit, maximum))
    } else if let Some(request) = Request::decode(&frame) {
        take_request(shared, caller, &frame, request, bytes)
    } else {
        take_private(shared, (connection, is_first), caller, &frame, bytes)
    };
    if let Some(response) = answer {
        shared.metrics.answered(&caller, response.code, now);
        connection.answer(&caller, &response);
        connection.flush();
    }
    Ok(())
}

/// The limit that the body of a client's request breaks. What passes still fits a batch between peers when it is
/// sent on to the leader.
fn body_limit_broken(frame: &Frame) -> Option<(&'static str, usize)> {
    let is_list = matches!(
        frame.header.code,
        code::CONTROLLER_GET_SYNC_STATE_DATA | code::UPDATE_CONTROLLER_CONFIG
    );
    let limit = if is_list {
        ("LIST_BODY_BYTES_MAX", LIST_BODY_BYTES_MAX)
    } else {
        ("REQUEST_BODY_BYTES_MAX", REQUEST_BODY_BYTES_MAX)
    };
    (frame.body.len() > limit.1).then_some(limit)
}

/// A request that every controller answers. `Some` if it is answered here and now.
fn take_request(
    shared: &Rc<Shared>,
    caller: Caller,
    frame: &Frame,
    request: Request,
    bytes: Bytes,
) -> Option<Response> {
    // Only callers that know the code are told to go (upstream: newer than 5.3.1, ordinal 475).
    if shared.is_stopping.get()
        && shared.live.get().is_shutdown_graceful
        && frame.header.version > 475
        && !caller.is_one_way
    {
        return Some(refuse::go_away());
    }
    match request {
        Request::GetControllerConfig => {
            return Some(refuse::config_listing(shared.store.borrow().listing()));
        }
        Request::UpdateControllerConfig(update) => {
            return change::take(shared, caller, &update.body);
        }
        Request::Heartbeat(_)
        | Request::AlterSyncStateSet(_)
        | Request::ElectMaster(_)
        | Request::RegisterBroker(_)
        | Request::GetReplicaInfo(_)
        | Request::GetMetadataInfo
        | Request::GetSyncStateData(_)
        | Request::CleanBrokerData(_)
        | Request::GetNextBrokerId(_)
        | Request::ApplyBrokerId(_) => {}
    }
    shared.ask(caller.code, Event::Request { caller, request, frame: bytes })
}

/// Requests of our own tools and peers; any other code is not supported.
fn take_private(
    shared: &Rc<Shared>,
    (connection, is_first): (&Rc<Connection>, bool),
    caller: Caller,
    frame: &Frame,
    bytes: Bytes,
) -> Option<Response> {
    let question = match frame.header.code {
        private::PEER_HELLO => return Some(take_hello(shared, connection, frame, is_first)),
        private::ELECT => return take_order(shared, connection, caller, frame, bytes),
        private::STATUS => Inspect::Status,
        private::DESCRIBE => {
            let set = std::str::from_utf8(&frame.body).ok().map(str::to_owned);
            match set.filter(|set| set.len() <= DESCRIBE_BYTES_MAX) {
                Some(set) => Inspect::Describe { set: set.into() },
                None => return Some(refuse::code_not_supported(frame.header.code)),
            }
        }
        // Batches without a hello come here too, and are counted as what they are.
        other => {
            shared.metrics.refused("unknown code");
            return Some(refuse::code_not_supported(other));
        }
    };
    // In the lane of requests, since anybody may ask.
    shared.ask(caller.code, Event::Inspect { caller, question })
}

/// `pitchover elect`: whoever ordered it stands in the log of the process that was asked, and what became of it in
/// the leader's.
fn take_order(
    shared: &Rc<Shared>,
    connection: &Rc<Connection>,
    caller: Caller,
    frame: &Frame,
    bytes: Bytes,
) -> Option<Response> {
    let Some(order) = ElectionOrder::decode(frame) else {
        return Some(refuse::order_unreadable());
    };
    let ElectionOrder { set, to, is_unclean, is_dry_run } = &order;
    let from = connection.stream.peer_addr().ok();
    if *is_dry_run {
        tracing::debug!(?from, %set, ?to, is_unclean, "election tried out");
    } else {
        tracing::warn!(?from, %set, ?to, is_unclean, "election ordered by an operator");
    }
    shared.ask(caller.code, Event::Order { caller, order, frame: bytes })
}

/// A peer opens a link (rule N1). From here on the connection carries its batches, and an older one is retired.
fn take_hello(
    shared: &Rc<Shared>,
    connection: &Rc<Connection>,
    frame: &Frame,
    is_first: bool,
) -> Response {
    let refused = |why: &str| {
        shared.metrics.refused("peer hello");
        tracing::warn!(why, "peer refused");
        refuse::hello_refused(why)
    };
    if !is_first {
        // A client's answers may still be on their way: what it was, it stays.
        return refused("not the first frame of its connection");
    }
    let Ok(hello) = Hello::decode(frame.body.clone()) else {
        return refused("not a hello of this format");
    };
    if hello.version != LINK_VERSION {
        return refused("another version of the link's format: upgrade one of the two");
    }
    if hello.cluster != shared.hello.cluster {
        return refused("another cluster: compare controllerDLegerGroup and the list of peers");
    }
    let place = seat(hello.peer);
    let is_known = shared.config.peers.iter().any(|peer| peer.peer_id == place.0);
    if !is_known || place == seat(shared.hello.peer) {
        return refused("not one of the other configured peers");
    }
    connection.kind.set(Kind::Peer(hello.peer));
    let older = shared.peer_connections.borrow_mut().insert(place, connection.id);
    if let Some(older) = older.and_then(|older| shared.connection(older)) {
        older.close();
    }
    shared.tell(Event::PeerUp { peer: hello.peer, nonce: hello.nonce });
    refuse::hello_accepted(shared.hello.encode())
}

fn take_batch(
    shared: &Rc<Shared>,
    connection: &Rc<Connection>,
    peer: PeerId,
    frame: Frame,
) -> Result<(), Close> {
    let newest = shared.peer_connections.borrow().get(&seat(peer)).copied();
    if newest != Some(connection.id) {
        // Retired by a newer hello: what it still holds is dropped (rule N3).
        return Err(Close("retired peer link"));
    }
    if !heads_batch(&frame.header, frame.body.len()) {
        return Err(Close("peer link without batch"));
    }
    let mut batch = frame.body;
    while !batch.is_empty() {
        match unpack(&mut batch) {
            Ok(message) => shared.tell(Event::Peer { peer, message }),
            Err(error) => {
                tracing::warn!(peer = peer.0, %error, "peer link closed");
                return Err(Close("malformed peer batch"));
            }
        }
    }
    Ok(())
}

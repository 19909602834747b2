//! The link to one other controller: what this peer sends leaves here, in order, at most once.
//!
//! ```text
//! Effect::Send ──► batch ──end of turn──► one frame ──► socket      (the answerer of the hello only listens)
//!     link down ──► dropped; the engine sends again what matters
//! ```
//!
//! A link is opened again at once when it breaks, then with growing pauses. Each refusal is told to the core, since
//! a refusal means that the process at the other end is gone (rule D23).

use crate::hello::{BATCH_BYTES_MAX, Hello, LINK_VERSION, OWN_ENCODING, batch_header, pack};
use crate::outgoing::connect;
use crate::shared::Shared;
use bytes::{Buf, BytesMut};
use controller::{ANSWER_BYTES_MAX, Event, PeerId, PeerMessage, seat};
use protocol::{ExtFields, Frame, Header, Response, private, response_code};
use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Bytes for one peer that may wait; beyond it messages are dropped and the peer reported unreachable.
pub(crate) const PEER_QUEUE_BYTES_MAX: usize = 4 * 1_024 * 1_024;

const _: () = assert!(
    PEER_QUEUE_BYTES_MAX + ANSWER_BYTES_MAX + 64 <= BATCH_BYTES_MAX,
    "an answer fits behind a whole queue in one batch"
);

/// First pause between two attempts to connect.
const BACKOFF_MIN: Duration = Duration::from_millis(50);

/// Longest pause between two attempts to connect.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// How long a connect and the exchange of hellos may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);

/// What was sent and not acknowledged for so long means a dead link (rule N4).
const SEND_DEADLINE: Duration = Duration::from_secs(2);

/// The link to one peer.
pub(crate) struct PeerLink {
    /// Its seat.
    peer: PeerId,
    /// The member that answered there last.
    member: Cell<PeerId>,
    address: String,
    stream: RefCell<Option<Rc<TcpStream>>>,
    batch: RefCell<BytesMut>,
    out: RefCell<BytesMut>,
    is_flushing: Cell<bool>,
    /// More was to be sent than the queue holds; nothing is taken until it is empty.
    is_full: Cell<bool>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It stands in the batch, or there is no link and it was dropped: the engine sends again what matters.
    Taken,
    /// It was dropped, since the queue is full. Said once; the peer is reachable again when the queue is empty.
    Full,
    /// It was dropped, since no frame would hold it.
    TooLong,
}

impl PeerLink {
    pub(crate) fn new(peer: PeerId, address: String) -> Self {
        Self {
            peer,
            member: Cell::new(peer),
            address,
            stream: RefCell::default(),
            batch: RefCell::default(),
            out: RefCell::default(),
            is_flushing: Cell::new(false),
            is_full: Cell::new(false),
        }
    }

    /// Puts a message in the batch of this turn.
    pub(crate) fn push(&self, message: &PeerMessage) -> Pushed {
        if self.stream.borrow().is_none() || self.is_full.get() {
            return Pushed::Taken;
        }
        let mut batch = self.batch.borrow_mut();
        let start = batch.len();
        if start + self.out.borrow().len() > PEER_QUEUE_BYTES_MAX {
            self.is_full.set(true);
            return Pushed::Full;
        }
        pack(message, &mut batch);
        if batch.len() > BATCH_BYTES_MAX {
            batch.truncate(start);
            return Pushed::TooLong;
        }
        Pushed::Taken
    }

    /// Sends the batch of this turn, as far as the socket takes it; a task sends the rest.
    pub(crate) fn flush(self: &Rc<Self>, shared: &Rc<Shared>) {
        let mut batch = self.batch.borrow_mut();
        if batch.is_empty() {
            return;
        }
        let Some(stream) = self.stream.borrow().clone() else {
            batch.clear();
            return;
        };
        let body = batch.split().freeze();
        let header = batch_header(body.len());
        let mut out = self.out.borrow_mut();
        let before = out.len();
        Frame { header, body }.encode(&mut out);
        shared.metrics.peer_frame(u64::try_from(out.len() - before).unwrap_or(u64::MAX));
        drop((batch, out));
        if self.is_flushing.get() {
            return;
        }
        match self.write_some(&stream) {
            Ok(true) => self.emptied(shared),
            Ok(false) => {
                self.is_flushing.set(true);
                let (this, shared) = (Rc::clone(self), Rc::clone(shared));
                tokio::task::spawn_local(async move { this.flush_rest(&shared, &stream).await });
            }
            // The reader of the link notices, too.
            Err(_broken) => {}
        }
    }

    async fn flush_rest(&self, shared: &Shared, stream: &Rc<TcpStream>) {
        let is_current =
            || self.stream.borrow().as_ref().is_some_and(|current| Rc::ptr_eq(current, stream));
        // If it is not, or breaks, the queue is that of the next link, which begins anew.
        while stream.writable().await.is_ok() && is_current() {
            match self.write_some(stream) {
                Ok(false) => {}
                Ok(true) => {
                    self.is_flushing.set(false);
                    return self.emptied(shared);
                }
                Err(_broken) => return,
            }
        }
    }

    /// Everything was written; a queue that was full takes messages again.
    fn emptied(&self, shared: &Shared) {
        if self.is_full.replace(false) {
            shared.tell(Event::PeerReachable { peer: self.member.get() });
        }
    }

    /// Whether everything was written.
    fn write_some(&self, stream: &TcpStream) -> std::io::Result<bool> {
        let mut out = self.out.borrow_mut();
        while !out.is_empty() {
            match stream.try_write(&out) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) if written == out.len() => out.clear(),
                Ok(written) => out.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Keeps the link open for as long as the process lives.
    pub(crate) async fn keep(self: Rc<Self>, shared: Rc<Shared>) {
        let mut backoff = Duration::ZERO;
        loop {
            let is_refused = match timeout(CONNECT_DEADLINE, self.open(&shared)).await {
                Ok(Ok(stream)) => {
                    backoff = Duration::ZERO;
                    self.hold(&shared, stream).await;
                    false
                }
                Ok(Err(error)) => {
                    if !matches!(error.kind(), ErrorKind::ConnectionRefused) {
                        tracing::debug!(peer = self.peer.0, %error, "no link to peer");
                    }
                    error.kind() == ErrorKind::ConnectionRefused
                }
                Err(_late) => false,
            };
            shared.tell(Event::PeerUnreachable { peer: self.peer, is_refused });
            sleep(backoff).await;
            backoff = (backoff * 2).clamp(BACKOFF_MIN, BACKOFF_MAX);
        }
    }

    /// Connects and exchanges hellos.
    async fn open(&self, shared: &Shared) -> std::io::Result<TcpStream> {
        let mut stream = connect(&self.address).await?;
        socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(SEND_DEADLINE))?;
        let mut out = BytesMut::new();
        let body = shared.hello.encode();
        let header = Header::request(private::PEER_HELLO, 0, 0, ExtFields::new(), OWN_ENCODING);
        Frame { header, body }.encode(&mut out);
        stream.write_all(&out).await?;
        let mut buffer = BytesMut::new();
        let refused = |why: String| std::io::Error::new(ErrorKind::PermissionDenied, why);
        loop {
            let split = protocol::split(&mut buffer).map_err(|e| refused(e.to_string()))?;
            if let Some(frame) = split {
                let frame = Frame::decode(frame).map_err(|error| refused(error.to_string()))?;
                self.check_hello(shared, Response::from_frame(frame)).map_err(refused)?;
                return Ok(stream);
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn check_hello(&self, shared: &Shared, response: Response) -> Result<(), String> {
        if response.code != response_code::SUCCESS {
            let remark = response.remark.as_deref().unwrap_or("no reason given").to_owned();
            tracing::warn!(peer = self.peer.0, address = self.address, remark, "link refused");
            return Err(remark);
        }
        let hello = Hello::decode(response.body).map_err(|error| error.to_string())?;
        let expected = (LINK_VERSION, shared.hello.cluster, self.peer);
        if (hello.version, hello.cluster, seat(hello.peer)) == expected {
            self.member.set(hello.peer);
            return Ok(());
        }
        let why = format!("{} is peer {} of another set-up", self.address, hello.peer.0);
        tracing::error!(peer = self.peer.0, why, "wrong peer at a configured address");
        Err(why)
    }

    /// Until the link breaks. Nothing is ever sent this way by the other end, so any byte or end is the end.
    async fn hold(&self, shared: &Shared, stream: TcpStream) {
        let stream = Rc::new(stream);
        self.batch.borrow_mut().clear();
        self.out.borrow_mut().clear();
        self.is_flushing.set(false);
        self.is_full.set(false);
        *self.stream.borrow_mut() = Some(Rc::clone(&stream));
        shared.tell(Event::PeerReachable { peer: self.member.get() });
        let mut byte = [0];
        loop {
            if stream.readable().await.is_err() {
                break;
            }
            match stream.try_read(&mut byte) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Ok(_) | Err(_) => break,
            }
        }
        *self.stream.borrow_mut() = None;
        self.batch.borrow_mut().clear();
        self.out.borrow_mut().clear();
    }
}

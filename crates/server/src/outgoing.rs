//! What this process sends to brokers: role notices, and connects that ask whether anything listens.
//!
//! Notices to one address share a connection, which is kept for [`IDLE_CLOSE`] after the last. They are sent two-way,
//! and the broker's answer is the acknowledgement; retrying is the core's business.
//!
//! There are as many connections as [`Shares`] allows; when that is not enough, those that are only kept make room for
//! those that are needed. Probes have a share of their own: a question whether a broker lives waits for no notice.

use crate::descriptors::Shares;
use bytes::{Bytes, BytesMut};
use controller::{AttemptId, Event, NOTICES_IN_FLIGHT_MAX, NoticeResult, ProbeResult};
use protocol::{Frame, HeaderEncoding, RoleNotice};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::timeout;

/// Notices that may wait for one address. The core keeps one slot per broker, so more than a few is a broker
/// container; beyond this the attempt fails and is retried.
const NOTICES_PER_ADDRESS_MAX: usize = 256;

/// How long a broker may take to answer a notice. A change of role takes seconds.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// Connections to brokers at once: every notice that may be on its way, and as many again that are kept.
pub(crate) const NOTICE_CONNECTIONS_MAX: usize = 2 * NOTICES_IN_FLIGHT_MAX;

/// How long a connection without notices is kept.
const IDLE_CLOSE: Duration = Duration::from_secs(60);

/// How long a connect that only asks may take.
const PROBE_DEADLINE: Duration = Duration::from_millis(1_000);

/// Takes what happened back to the core.
pub(crate) type Tell = Rc<dyn Fn(Event)>;

type Job = (AttemptId, RoleNotice);

/// Where the notices of each address go, by its text.
type Links = BTreeMap<Box<str>, mpsc::Sender<Job>>;

/// Connections to brokers, by the text of their address.
#[derive(Clone)]
pub(crate) struct Outgoing {
    links: Rc<RefCell<Links>>,
    connect_timeout: Duration,
    room: Rc<Room>,
    tell: Tell,
}

/// How many connections there may be.
struct Room {
    notices: Semaphore,
    probes: Semaphore,
    /// How many wait for a connection for their notices.
    waiting: Cell<usize>,
    /// One more waits: a connection that is only kept is to end.
    is_wanted: Notify,
}

impl Outgoing {
    pub(crate) fn new(connect_timeout: Duration, shares: Shares, tell: Tell) -> Self {
        let room = Rc::new(Room {
            notices: Semaphore::new(shares.notices),
            probes: Semaphore::new(shares.probes),
            waiting: Cell::new(0),
            is_wanted: Notify::new(),
        });
        Self { links: Rc::default(), connect_timeout, room, tell }
    }

    /// Sends a notice; the end of it is told as [`Event::Noticed`].
    pub(crate) fn notify(&self, attempt: AttemptId, address: Box<str>, notice: RoleNotice) {
        let mut links = self.links.borrow_mut();
        let mut job = (attempt, notice);
        if let Some(link) = links.get(&address) {
            match link.try_send(job) {
                Ok(()) => return,
                Err(mpsc::error::TrySendError::Full(_)) => return self.failed(attempt),
                // That link has just ended; a new one takes its place.
                Err(mpsc::error::TrySendError::Closed(back)) => job = back,
            }
        }
        let (sender, receiver) = mpsc::channel(NOTICES_PER_ADDRESS_MAX);
        if sender.try_send(job).is_err() {
            return self.failed(attempt);
        }
        links.insert(address.clone(), sender);
        drop(links);
        let this = self.clone();
        tokio::task::spawn_local(async move {
            this.serve(&address, receiver).await;
        });
    }

    /// Connects and closes; the end of it is told as [`Event::Probed`].
    pub(crate) fn probe(&self, attempt: AttemptId, address: Box<str>) {
        let (tell, room) = (Rc::clone(&self.tell), Rc::clone(&self.room));
        tokio::task::spawn_local(async move {
            // Never closed, so there is always room in the end.
            let _room = room.probes.acquire().await;
            let result = match timeout(PROBE_DEADLINE, connect(&address)).await {
                Ok(Ok(_stream)) => ProbeResult::Accepted,
                Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
                    ProbeResult::Refused
                }
                Ok(Err(_)) | Err(_) => ProbeResult::NoAnswer,
            };
            tell(Event::Probed { attempt, result });
        });
    }

    fn failed(&self, attempt: AttemptId) {
        (self.tell)(Event::Noticed { attempt, result: NoticeResult::Failed });
    }

    /// One connection from its first notice to its end.
    async fn serve(&self, address: &str, mut jobs: mpsc::Receiver<Job>) {
        let mut stream = None;
        let mut opaque = 0;
        let room = &self.room;
        if room.notices.available_permits() == 0 {
            room.is_wanted.notify_one();
        }
        room.waiting.update(|waiting| waiting + 1);
        // Never closed: there is room when a connection ends that nobody needs any more.
        let _room = room.notices.acquire().await;
        room.waiting.update(|waiting| waiting - 1);
        while let Some((attempt, notice)) = self.next(&mut jobs).await {
            opaque += 1;
            let told = self.tell_broker(&mut stream, address, opaque, &notice).await;
            let result = if told { NoticeResult::Acknowledged } else { NoticeResult::Failed };
            (self.tell)(Event::Noticed { attempt, result });
        }
        self.links.borrow_mut().remove(address);
        jobs.close();
        while let Ok((attempt, _)) = jobs.try_recv() {
            self.failed(attempt);
        }
    }

    /// The next notice for a connection, `None` if it is not to be kept any longer.
    async fn next(&self, jobs: &mut mpsc::Receiver<Job>) -> Option<Job> {
        if let Ok(job) = jobs.try_recv() {
            return Some(job);
        }
        if self.room.waiting.get() > 0 {
            return None;
        }
        tokio::select! {
            biased;
            job = timeout(IDLE_CLOSE, jobs.recv()) => job.ok().flatten(),
            () = self.room.is_wanted.notified() => None,
        }
    }

    async fn tell_broker(
        &self,
        stream: &mut Option<TcpStream>,
        address: &str,
        opaque: i32,
        notice: &RoleNotice,
    ) -> bool {
        if stream.is_none() {
            *stream = match timeout(self.connect_timeout, connect(address)).await {
                Ok(Ok(stream)) => Some(stream),
                Ok(Err(_)) | Err(_) => None,
            };
        }
        let Some(open) = stream.as_mut() else { return false };
        let mut out = BytesMut::new();
        notice.encode(opaque, 0, HeaderEncoding::Json, &mut out);
        let exchange = exchange(open, out.freeze(), opaque);
        let is_told = matches!(timeout(ANSWER_DEADLINE, exchange).await, Ok(Some(())));
        if !is_told {
            *stream = None;
        }
        is_told
    }
}

/// Writes a frame and waits for the answer with its correlation id.
async fn exchange(stream: &mut TcpStream, frame: Bytes, opaque: i32) -> Option<()> {
    stream.write_all(&frame).await.ok()?;
    let mut buffer = BytesMut::new();
    loop {
        while let Some(bytes) = protocol::split(&mut buffer).ok()? {
            let header = Frame::decode(bytes).ok()?.header;
            // Any answer is an acknowledgement: a broker that ignores an old epoch answers code 0 as well, and
            // one that refuses will refuse again.
            if header.is_response() && header.opaque == opaque {
                return Some(());
            }
        }
        if stream.read_buf(&mut buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// Connects to `address`, a name or number and a port.
pub(crate) async fn connect(address: &str) -> std::io::Result<TcpStream> {
    let stream = match address.parse::<SocketAddr>() {
        Ok(address) => TcpStream::connect(address).await?,
        Err(_name) => TcpStream::connect(address).await?,
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests;

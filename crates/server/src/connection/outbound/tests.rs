//! Clients that read late, in part or never.

use super::{Outbound, Unread};
use crate::clock::Clock;
use crate::config::{Config, Sources};
use crate::connection::{Connection, InboundLimits};
use crate::metrics::Metrics;
use bytes::Bytes;
use controller::{Caller, ConnectionId};
use protocol::{HeaderEncoding, Response, code, response_code};
use std::rc::Rc;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::LocalSet;

const MIB: usize = 1_024 * 1_024;

/// What the kernel may keep in each direction, in bytes: little, so that an answer waits here and not there.
const SOCKET_BYTES: usize = 32 * 1_024;

/// Clients, and the connections that they opened.
struct Crowd {
    clock: Clock,
    metrics: Metrics,
    outbound: Rc<Outbound>,
    listener: TcpListener,
    clients: Vec<TcpStream>,
}

impl Crowd {
    /// Nobody yet; all together may hold 8 MiB.
    async fn new() -> Self {
        let arguments = [
            ("controllerDLegerGroup", "g"),
            ("controllerDLegerPeers", "n0-127.0.0.1:9877"),
            ("controllerDLegerSelfId", "n0"),
            ("pitchover.limits.outboundBytesMax", "8388608"),
        ];
        let arguments = arguments.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let config = Config::load(&Sources { arguments, ..Sources::default() }).unwrap();
        let (clock, metrics) = (Clock::start(), Metrics::new(&config));
        let outbound = Rc::new(Outbound::new(&config, clock, metrics.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { clock, metrics, outbound, listener, clients: Vec::new() }
    }

    /// One more, who reads nothing by itself.
    async fn join(&mut self) -> Rc<Connection> {
        let address = self.listener.local_addr().unwrap();
        // Before it connects, since both ends go by the largest window that was ever offered.
        let client = TcpSocket::new_v4().unwrap();
        client.set_recv_buffer_size(u32::try_from(SOCKET_BYTES).unwrap()).unwrap();
        let (client, accepted) = tokio::join!(client.connect(address), self.listener.accept());
        let (client, (stream, _)) = (client.unwrap(), accepted.unwrap());
        stream.set_nodelay(true).unwrap();
        socket2::SockRef::from(&stream).set_send_buffer_size(SOCKET_BYTES).unwrap();
        let id = ConnectionId(u64::try_from(self.clients.len()).unwrap());
        self.clients.push(client);
        let now = self.clock.now();
        let (connection, _reading) = Connection::new(id, stream, now, &self.outbound);
        Rc::new(connection)
    }

    /// The first reads some of what has come; then everybody writes who can.
    async fn read(&mut self) {
        let mut piece = vec![0; SOCKET_BYTES];
        assert_ne!(self.clients[0].read(&mut piece).await.unwrap(), 0, "it is not closed");
        tokio::task::yield_now().await;
    }

    /// How many were closed for what all hold.
    fn closed(&self) -> u64 {
        self.series("pitchover_refused_total{limit=\"outboundBytesMax\"} ")
    }

    /// Bytes that all hold, as the page of metrics says, too.
    fn held(&self) -> usize {
        let bytes = self.outbound.bytes.get();
        let shown = self.series("pitchover_unread_answers_bytes ");
        assert_eq!(shown, u64::try_from(bytes).unwrap(), "the page says otherwise");
        bytes
    }

    fn series(&self, start: &str) -> u64 {
        let page = self.metrics.text();
        let number = page.lines().find_map(|line| line.strip_prefix(start)?.parse().ok());
        number.unwrap_or_default()
    }
}

/// An answer with a body of so many bytes, which does not leave yet.
fn answer(connection: &Rc<Connection>, bytes: usize) {
    let caller = Caller {
        connection: connection.id,
        opaque: 7,
        encoding: HeaderEncoding::Json,
        is_one_way: false,
        code: code::GET_CONTROLLER_CONFIG,
        received: connection.last_active.get(),
    };
    let body = Bytes::from(vec![b'x'; bytes]);
    let response = Response { body, ..Response::new(response_code::SUCCESS) };
    connection.answer(&caller, &response);
}

fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test)
}

/// All but 100 bytes of 5 MiB are read: what is held is never more than twice what is left.
#[test]
fn what_was_written_gives_its_room_back() {
    const BYTES: usize = 5 * 1_024 * 1_024;
    const LEFT: usize = 100;
    let all: Vec<u8> = (0..=u8::MAX).cycle().take(BYTES).collect();
    for step in [64 * 1_024 - 7, BYTES - LEFT] {
        let mut unread = Unread::default();
        unread.end().extend_from_slice(&all);
        let mut read = Vec::new();
        while unread.rest().len() > LEFT {
            let count = step.min(unread.rest().len() - LEFT);
            read.extend_from_slice(&unread.rest()[..count]);
            unread.advance(count);
            let (held, left) = (unread.held_bytes(), unread.rest().len());
            assert!((left..=2 * left).contains(&held), "{held} bytes held for {left}");
        }
        read.extend_from_slice(unread.rest());
        assert!(read == all, "other bytes than were to be written");
        unread.advance(LEFT);
        assert_eq!((unread.held_bytes(), unread.rest().len()), (0, 0));
    }
}

/// What was written and has not given its memory back yet is held, too.
#[test]
fn what_counts_is_the_memory() {
    let mut unread = Unread::default();
    unread.end().extend_from_slice(&[b'x'; 10_000]);
    unread.advance(5_000);
    assert_eq!(unread.rest().len(), 5_000);
    assert!(unread.held_bytes() >= 10_000, "{} bytes are held", unread.held_bytes());
}

/// What comes while something waits is appended, whether or not the buffer has moved meanwhile.
#[test]
fn answers_are_appended_to_what_waits() {
    for written in 0..=6 {
        let mut unread = Unread::default();
        unread.end().extend_from_slice(b"abcdef");
        unread.advance(written);
        unread.end().extend_from_slice(b"gh");
        assert_eq!(unread.rest(), &b"abcdefgh"[written..], "{written} written");
    }
}

/// Who is closed holds nothing from then on, whatever else is answered; nobody else is closed for it.
#[test]
fn who_was_closed_holds_nothing() {
    run(async {
        let mut crowd = Crowd::new().await;
        let (closed, other) = (crowd.join().await, crowd.join().await);
        answer(&closed, 9 * MIB);
        closed.flush();
        assert!(closed.is_closed.get(), "it alone holds more than all may");
        assert_eq!((crowd.closed(), crowd.held()), (1, 0));
        answer(&closed, 9 * MIB);
        assert_eq!(closed.out.borrow().held_bytes(), 0, "it is answered no more");
        answer(&other, MIB);
        closed.flush();
        other.flush();
        assert!(!other.is_closed.get(), "1 MiB is within the limit");
        assert_eq!((crowd.closed(), crowd.held()), (1, other.unread_bytes.get()));
        // The task that was to write the rest ends, and does not keep it.
        while Rc::strong_count(&closed) > 1 {
            tokio::task::yield_now().await;
        }
    });
}

/// The room is full and many are answered in one turn: the one that fills it is closed, and it alone.
#[test]
fn who_holds_most_is_closed_and_not_who_is_answered() {
    run(async {
        let mut crowd = Crowd::new().await;
        let hog = crowd.join().await;
        answer(&hog, 7 * MIB);
        hog.flush();
        assert!(!hog.is_closed.get(), "7 MiB are within the limit");
        let mut others = Vec::new();
        for _ in 0..4 {
            let other = crowd.join().await;
            answer(&other, MIB);
            others.push(other);
        }
        others.iter().for_each(Connection::flush);
        assert!(hog.is_closed.get(), "it holds more than all others together");
        assert!(others.iter().all(|other| !other.is_closed.get()), "others are closed for it");
        let held: usize = others.iter().map(|other| other.unread_bytes.get()).sum();
        assert_eq!((crowd.closed(), crowd.held()), (1, held));
    });
}

/// What is read is held no more, until nothing is.
#[test]
fn who_reads_holds_less_and_less() {
    run(async {
        let mut crowd = Crowd::new().await;
        let late = crowd.join().await;
        answer(&late, 4 * MIB);
        late.flush();
        while late.unread_bytes.get() > 0 {
            let (held, left) = (late.unread_bytes.get(), late.out.borrow().rest().len());
            assert!(held <= 2 * left + SOCKET_BYTES, "{held} bytes held for {left}");
            assert_eq!(crowd.held(), held);
            crowd.read().await;
        }
        assert!(!late.is_closed.get(), "it has read everything");
        assert!(crowd.outbound.holders.borrow().is_empty(), "it holds nothing");
    });
}

/// A client that takes nothing for 15 s has had its time; one byte and it begins anew.
#[test]
fn who_takes_nothing_is_overdue() {
    run(async {
        let mut crowd = Crowd::new().await;
        let late = crowd.join().await;
        let limits = InboundLimits { header_ms: 5_000, frame_ms: 15_000, bytes_max: MIB };
        let forever = crowd.clock.now().plus_ms(1_000_000);
        assert_eq!(late.overdue(forever, 0, limits), None, "nothing waits for it");
        answer(&late, 4 * MIB);
        late.flush();
        let since = late.takes_nothing_since.get().expect("4 MiB are more than the kernel takes");
        let (in_time, too_late) = (since.plus_ms(15_000), since.plus_ms(15_001));
        assert_eq!(late.overdue(in_time, 0, limits), None);
        assert_eq!(late.overdue(too_late, 0, limits), Some("outboundStallMs"));
        while late.takes_nothing_since.get() == Some(since) {
            crowd.read().await;
        }
        assert_eq!(late.overdue(too_late, 0, limits), None, "it has read something");
        while late.unread_bytes.get() > 0 {
            crowd.read().await;
        }
        assert_eq!(late.overdue(forever, 0, limits), None, "it has read everything");
        // Who is closed is not looked at again, for as long as its reader needs to notice.
        answer(&late, 4 * MIB);
        late.flush();
        assert_eq!(late.overdue(forever, 0, limits), Some("outboundStallMs"));
        late.close();
        assert_eq!(late.overdue(forever, 0, limits), None, "it is closed");
    });
}

//! Clients that read late, in part or never.

use super::{Outbound, Unread};
use crate::clock::Clock;
use crate::config::{Config, Sources};
use crate::connection::Connection;
use crate::metrics::Metrics;
use bytes::Bytes;
use controller::{Caller, ConnectionId};
use protocol::{HeaderEncoding, Response, code, response_code};
use std::rc::Rc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

const MIB: usize = 1_024 * 1_024;

/// What the kernel may keep in each direction, in bytes: little, so that an answer waits here and not there.
const SOCKET_BYTES: usize = 16 * 1_024;

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
        let outbound = Rc::new(Outbound::new(&config, metrics.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { clock, metrics, outbound, listener, clients: Vec::new() }
    }

    /// One more, who reads nothing by itself.
    async fn join(&mut self) -> Rc<Connection> {
        let address = self.listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), self.listener.accept());
        let (client, (stream, _)) = (client.unwrap(), accepted.unwrap());
        socket2::SockRef::from(&client).set_recv_buffer_size(SOCKET_BYTES).unwrap();
        socket2::SockRef::from(&stream).set_send_buffer_size(SOCKET_BYTES).unwrap();
        let id = ConnectionId(u64::try_from(self.clients.len()).unwrap());
        self.clients.push(client);
        let now = self.clock.now();
        let (connection, _reading) = Connection::new(id, stream, now, &self.outbound);
        Rc::new(connection)
    }

    /// How many were closed for what all hold.
    fn closed(&self) -> u64 {
        self.series("pitchover_refused_total{limit=\"outboundBytesMax\"} ")
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
        assert_eq!((crowd.closed(), crowd.outbound.bytes.get()), (1, 0));
        answer(&closed, 9 * MIB);
        assert_eq!(closed.out.borrow().held_bytes(), 0, "it is answered no more");
        answer(&other, MIB);
        closed.flush();
        other.flush();
        assert!(!other.is_closed.get(), "1 MiB is within the limit");
        assert_eq!((crowd.closed(), crowd.outbound.bytes.get()), (1, other.unread_bytes.get()));
        // The task that was to write the rest ends, and does not keep it.
        while Rc::strong_count(&closed) > 1 {
            tokio::task::yield_now().await;
        }
    });
}

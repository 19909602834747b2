//! The members of a crowd, each a task of its thread. What they ask is not recorded: they are nobody's clients.

use super::malformed::{Sending, Tally};
use super::{ASKERS, HELD_BYTES, Known, Manner, SILENT, SLOW, SLOW_HEADERS, STORMERS};
use crate::actors::PORT;
use bytes::BytesMut;
use protocol::{BrokerHeartbeat, GetReplicaInfo, HeaderEncoding, Request};
use rustix::net::sockopt::set_socket_linger;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Requests of one write; one of [`HEARTBEATS_EVERY`] is a heartbeat.
const REQUESTS: i32 = 64;

const HEARTBEATS_EVERY: i32 = 8;

/// Bytes of one read.
const READ_BYTES: usize = 64 * 1_024;

/// The window of a slow reader, in bytes; the kernel makes it a little more.
const WINDOW_BYTES: u32 = 4_096;

/// What the kernel keeps of what an asker sends and is not taken, in bytes.
const SEND_BYTES: u32 = 64 * 1_024;

/// How long a connect may take.
const CONNECT: Duration = Duration::from_secs(1);

/// Pause of a member whose connection ended, or could not be.
const AGAIN: Duration = Duration::from_millis(20);

/// Pause of a stormer between two connections: some thousand a second of all of them, no more than a host can bear.
const PAUSE: Duration = Duration::from_millis(5);

/// Of a stormer's connections one in so many ends with FIN, and its port is taken for a minute; the others by RST.
const FIN_EVERY: usize = 8;

/// Between two bytes of a slow header.
const DRIP: Duration = Duration::from_secs(1);

/// The set that heartbeats of the crowd name. Nobody registers it.
const SET: &str = "crowd";

/// A crowd at work; dropping it ends all connections at once.
#[derive(Debug)]
pub(super) struct Members {
    tasks: JoinSet<()>,
    /// Connections of slow headers that were held.
    held: Arc<AtomicUsize>,
    /// Those whose every request counts.
    malformed: Option<Sending>,
}

impl Members {
    pub(super) fn enter(manner: Manner) -> Self {
        let mut tasks = JoinSet::new();
        let (held, mut malformed) = (Arc::<AtomicUsize>::default(), None);
        match manner {
            Manner::Overload => (0..ASKERS).for_each(|_| drop(tasks.spawn(ask_on()))),
            Manner::SlowReaders => (0..SLOW).for_each(|at| drop(tasks.spawn(ask_and_not_read(at)))),
            Manner::Storm => {
                (0..STORMERS).for_each(|number| drop(tasks.spawn(come_and_go(number))));
                (0..SILENT).for_each(|_| drop(tasks.spawn(say_nothing())));
            }
            Manner::SlowHeaders => {
                (0..SLOW_HEADERS).for_each(|_| drop(tasks.spawn(drip(Arc::clone(&held)))));
            }
            Manner::Malformed => malformed = Some(Sending::begin()),
        }
        Self { tasks, held, malformed }
    }

    /// Ends it, when answers to malformed requests that are under way have come; says what the members know.
    pub(super) async fn leave(self) -> Known {
        drop(self.tasks);
        let held = self.held.load(Ordering::Relaxed);
        let tally = match self.malformed {
            Some(sending) => sending.finish().await,
            None => Tally::default(),
        };
        Known { held, tally, ..Known::default() }
    }
}

/// Many requests in a row.
fn requests() -> BytesMut {
    let name = || Some(SET.into());
    let poll = Request::GetReplicaInfo(GetReplicaInfo { broker_name: Some("set-0".into()) });
    let beat = Request::Heartbeat(BrokerHeartbeat {
        cluster_name: name(),
        broker_address: Some("127.0.0.1:1".into()),
        broker_name: name(),
        broker_id: Some(1),
        ..BrokerHeartbeat::default()
    });
    let mut bytes = BytesMut::new();
    for opaque in 0..REQUESTS {
        let request = if opaque % HEARTBEATS_EVERY == 0 { &beat } else { &poll };
        request.encode(opaque, 0, HeaderEncoding::Json, &mut bytes);
    }
    bytes
}

/// As many, for what a controller answers where it reads: the listing of its settings, some KiB.
fn listings() -> BytesMut {
    let mut bytes = BytesMut::new();
    let ask =
        |opaque| Request::GetControllerConfig.encode(opaque, 0, HeaderEncoding::Json, &mut bytes);
    (0..REQUESTS).for_each(ask);
    bytes
}

/// A connection with these sizes of the kernel's buffers, if it could be had in time.
async fn connect(window_bytes: Option<u32>, send_bytes: Option<u32>) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    window_bytes.map_or(Ok(()), |bytes| socket.set_recv_buffer_size(bytes))?;
    send_bytes.map_or(Ok(()), |bytes| socket.set_send_buffer_size(bytes))?;
    let connecting = socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
    timeout(CONNECT, connecting).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Asks as much as is taken, and reads the answers.
async fn ask_on() {
    let requests = requests();
    loop {
        if let Ok(stream) = connect(None, Some(SEND_BYTES)).await {
            // Its end is the controller's doing; there is another.
            drop(converse(&stream, &requests).await);
        }
        sleep(AGAIN).await;
    }
}

async fn converse(stream: &TcpStream, requests: &[u8]) -> io::Result<()> {
    let mut answers = vec![0; READ_BYTES];
    let mut at = 0;
    loop {
        let ready = stream.ready(Interest::READABLE | Interest::WRITABLE).await?;
        if ready.is_readable() && is_end(stream.try_read(&mut answers))? {
            return Ok(());
        }
        if ready.is_writable() {
            match stream.try_write(&requests[at..]) {
                Ok(written) => at = (at + written) % requests.len(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        // Others of this thread are to come to their turn.
        tokio::task::yield_now().await;
    }
}

fn is_end(read: io::Result<usize>) -> io::Result<bool> {
    match read {
        Ok(bytes) => Ok(bytes == 0),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// Asks as much as is taken, and reads nothing. Every second one asks for listings.
async fn ask_and_not_read(number: usize) {
    let requests = if number.is_multiple_of(2) { requests() } else { listings() };
    loop {
        if let Ok(mut stream) = connect(Some(WINDOW_BYTES), None).await {
            while stream.write_all(&requests).await.is_ok() {}
        }
        sleep(AGAIN).await;
    }
}

/// Connects, says nothing, a part of a header or a request, and is gone.
async fn come_and_go(number: usize) {
    let requests = requests();
    for round in number.. {
        if let Ok(stream) = connect(None, None).await {
            let said = [0, 5, requests.len()][round % 3];
            // What is not taken at once was not meant to be heard.
            drop(stream.try_write(&requests[..said]));
            if round % FIN_EVERY != 0 {
                set_socket_linger(&stream, Some(Duration::ZERO)).ok();
            }
        }
        sleep(PAUSE).await;
    }
}

/// Connects and says nothing, for as long as it lasts.
async fn say_nothing() {
    loop {
        if let Ok(stream) = connect(None, None).await {
            // Nothing is ever sent to it, so this returns at its end.
            drop(stream.readable().await);
        }
        sleep(AGAIN).await;
    }
}

/// Sends the header of a request byte by byte, and begins anew when that is ended.
async fn drip(held: Arc<AtomicUsize>) {
    let requests = requests();
    loop {
        if let Ok(stream) = connect(None, None).await {
            for (count, byte) in requests.iter().enumerate() {
                let is_open = stream.try_write(&[*byte]).is_ok();
                if !is_open || timeout(DRIP, stream.readable()).await.is_ok() {
                    // Nothing is ever answered to it: this is its end.
                    break;
                }
                if count + 1 == HELD_BYTES {
                    held.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::{BytesMut, HEARTBEATS_EVERY, REQUESTS, listings, requests};
    use protocol::{Frame, code, split};

    fn codes(mut bytes: BytesMut) -> Vec<i32> {
        let frames = std::iter::from_fn(|| split(&mut bytes).expect("whole frames"));
        frames.map(|frame| Frame::decode(frame).expect("a frame").header.code).collect()
    }

    #[test]
    fn requests_are_polls_and_heartbeats() {
        let codes = codes(requests());
        let count = |code| i32::try_from(codes.iter().filter(|it| **it == code).count()).unwrap();
        let (polls, beats) =
            (count(code::CONTROLLER_GET_REPLICA_INFO), count(code::BROKER_HEARTBEAT));
        assert_eq!((polls + beats, beats), (REQUESTS, REQUESTS / HEARTBEATS_EVERY));
    }

    #[test]
    fn listings_are_what_a_controller_answers_at_once() {
        assert_eq!(codes(listings()), vec![code::GET_CONTROLLER_CONFIG; REQUESTS as usize]);
    }
}

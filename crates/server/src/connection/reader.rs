//! Bytes of a connection, read into the buffer that all share and cut into frames there.

use super::{Close, Connection, Kind, Partial, take_frame};
use crate::hello;
use crate::shared::Shared;
use bytes::BytesMut;
use controller::Event;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::mpsc::Receiver;

/// Least room for one read, in bytes.
const READ_BYTES: usize = 16 * 1_024;

/// Frames of one connection that are taken at once; whole ones behind them wait until the core and the other connections
/// had their turn. Some are answered here, in front of the core, and may cost it a page of settings each.
const VISIT_FRAMES_MAX: usize = 64;

/// Bytes that are read to before a new buffer is made: some hundred heartbeats, whose turn may not have come yet.
const SCRATCH_BYTES: usize = 64 * 1_024;

/// Takes an accepted socket in. It is counted here and now, so that a burst cannot exceed the limit before any of its
/// connections has been read.
pub(crate) fn open(shared: &Rc<Shared>, stream: TcpStream) {
    let id = shared.next_connection();
    let (connection, reading) = Connection::new(id, stream, shared.clock.now(), &shared.outbound);
    let connection = Rc::new(connection);
    shared.connections.borrow_mut().insert(id, Rc::clone(&connection));
    let partial = BytesMut::new();
    let reader = Reader { connection, reading, partial, has_more: false, is_peer: false };
    tokio::task::spawn_local(reader.serve(Rc::clone(shared)));
}

/// Reads a connection.
#[derive(Debug)]
pub(crate) struct Reader {
    connection: Rc<Connection>,
    reading: OwnedReadHalf,
    /// The beginning of a frame that is not complete.
    partial: BytesMut,
    /// Whole frames may stand before it.
    has_more: bool,
    /// It is read among the peers already.
    is_peer: bool,
}

impl Reader {
    /// Reads to the end, then tells the core. A connection that turns out to be a peer's goes on among those.
    async fn serve(mut self, shared: Rc<Shared>) {
        let connection = Rc::clone(&self.connection);
        let id = connection.id;
        match self.read_all(&shared).await {
            Ok(Stop::Ended) => {}
            Ok(Stop::PeerNow) => {
                self.is_peer = true;
                // The other end is gone only when the process ends.
                drop(shared.peer_readers.send(self).await);
                return;
            }
            Err(Close(limit)) => {
                shared.metrics.refused(limit);
                tracing::debug!(connection = id.0, limit, "connection closed");
            }
        }
        connection.close();
        shared.inbound_bytes.update(|bytes| bytes - connection.held_bytes.take());
        shared.connections.borrow_mut().remove(&id);
        match connection.kind.get() {
            Kind::Client => shared.tell(Event::ConnectionClosed { connection: id }),
            Kind::Peer(peer) => {
                let mut newest = shared.peer_connections.borrow_mut();
                if newest.get(&peer) == Some(&id) {
                    newest.remove(&peer);
                }
            }
        }
    }

    async fn read_all(&mut self, shared: &Rc<Shared>) -> Result<Stop, Close> {
        let Self { connection, reading, partial, has_more, is_peer } = self;
        loop {
            if *has_more {
                tokio::task::yield_now().await;
            }
            while !connection.has_room() && !connection.is_closed.get() {
                connection.room.notified().await;
            }
            if connection.is_closed.get() {
                // What has arrived meanwhile could still be read, for as long as the other end sends.
                return Ok(Stop::Ended);
            }
            while shared.inbox.has_urgent_backlog() {
                tokio::task::yield_now().await;
            }
            let is_new = !*has_more;
            let read = poll_fn(|context| {
                let reading = is_new.then_some(&mut *reading);
                poll_read(shared, connection, reading, partial, context)
            })
            .await?;
            if read == Read::End {
                return Ok(Stop::Ended);
            }
            *has_more = read == Read::More;
            if !*is_peer && connection.kind.get() != Kind::Client {
                return Ok(Stop::PeerNow);
            }
        }
    }
}

/// Reads the peers' connections, each in a task beside the one in which all clients' run ([`open`]): whatever the
/// clients send, a peer waits for no more than a few of them.
pub(crate) async fn serve_peers(shared: Rc<Shared>, mut readers: Receiver<Reader>) {
    while let Some(reader) = readers.recv().await {
        tokio::task::spawn_local(reader.serve(Rc::clone(&shared)));
    }
}

/// Why reading stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Ended,
    PeerNow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    /// What was read is taken.
    All,
    /// Of what was read there may be whole frames left.
    More,
    End,
}

/// One read and the frames in it, or without `reading` more frames of the last one.
///
/// The runtime's own `read_buf` knows that a read which did not fill the buffer emptied the socket; a hand-made loop
/// of `readable` and `try_read` would ask the kernel once more for every request. The future is made anew at each
/// poll, so that the shared buffer is borrowed only while it is polled.
fn poll_read(
    shared: &Rc<Shared>,
    connection: &Rc<Connection>,
    reading: Option<&mut OwnedReadHalf>,
    partial: &mut BytesMut,
    context: &mut Context<'_>,
) -> Poll<Result<Read, Close>> {
    let mut scratch = shared.scratch.borrow_mut();
    let (buffer, room) = match partial.is_empty() {
        true => (&mut *scratch, SCRATCH_BYTES),
        false => (&mut *partial, READ_BYTES),
    };
    if let Some(reading) = reading {
        if buffer.capacity() - buffer.len() < READ_BYTES {
            buffer.reserve(room);
        }
        match pin!(reading.read_buf(buffer)).poll(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Ok(Read::End)),
            Poll::Ready(Ok(_some)) => {}
        }
    }
    let now = shared.clock.now();
    connection.last_active.set(now);
    let mut frames = 0;
    let mut result = Ok(Read::All);
    // It may be closed for one of its answers.
    while result == Ok(Read::All) && !connection.is_closed.get() {
        result = match protocol::split(buffer) {
            Ok(Some(frame)) => {
                frames += 1;
                take_frame(shared, connection, now, frame).map(|()| after(frames, buffer))
            }
            Ok(None) => break,
            Err(_malformed) => Err(Close("malformed frame")),
        };
    }
    let has_frame = frames > 0;
    if partial.is_empty() && !scratch.is_empty() {
        // The beginning of a frame moves to a buffer of the connection's own.
        *partial = BytesMut::from(&scratch[..]);
    }
    scratch.clear();
    if partial.is_empty() && partial.capacity() > 0 {
        *partial = BytesMut::new();
    }
    // A busy connection may end every read in the middle of a frame; what counts is the age of that one.
    let older = connection.partial.get().filter(|_| !has_frame);
    let since = older.map_or(now, |older| older.since);
    let has_header = protocol::has_header(partial);
    let is_news = has_header && older.is_none_or(|older| !older.has_header);
    if is_news && connection.kind.get() != Kind::Client && hello::is_broken(partial) {
        result = result.and(Err(Close("malformed peer batch")));
    }
    connection.partial.set((!partial.is_empty()).then_some(Partial { since, has_header }));
    let held_bytes = partial.capacity();
    let before = connection.held_bytes.replace(held_bytes);
    let inbound_bytes = shared.inbound_bytes.get() + held_bytes - before;
    shared.inbound_bytes.set(inbound_bytes);
    let is_client = connection.kind.get() == Kind::Client;
    if is_client && held_bytes > 0 && inbound_bytes > shared.inbound_limits.bytes_max {
        result = result.and(Err(Close("inboundBytesMax")));
    }
    Poll::Ready(result)
}

/// Whether a visit goes on after so many frames, by what is left to cut.
fn after(frames: usize, rest: &[u8]) -> Read {
    if frames < VISIT_FRAMES_MAX || rest.is_empty() { Read::All } else { Read::More }
}

#[cfg(test)]
mod tests {
    use super::{Read, VISIT_FRAMES_MAX, after};

    #[test]
    fn a_visit_ends_when_frames_are_left_after_so_many() {
        assert_eq!(after(VISIT_FRAMES_MAX - 1, b"more"), Read::All);
        assert_eq!(after(VISIT_FRAMES_MAX, b"more"), Read::More);
        assert_eq!(after(VISIT_FRAMES_MAX, b""), Read::All);
    }
}

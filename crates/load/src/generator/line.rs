//! One connection of the generator to one node: non-blocking, shared by the thread that sends and the
//! one that reads.
//!
//! The sender writes through the [`Line`], under a lock that it shares with connects and ends only; the
//! reader reads the socket beside it ([`read_answers`]), so neither waits for the other.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::wire::answer_bytes;
use crate::workload::Wire;

/// Bytes that may wait to be written; what is due then is skipped and counted.
const OUT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One connection, or the place of one.
#[derive(Debug)]
pub(crate) struct Line {
    to: SocketAddr,
    /// Where it comes from; the system chooses if there is none.
    from: Option<Ipv4Addr>,
    stream: Option<Arc<TcpStream>>,
    state: State,
    out: Vec<u8>,
    /// Numbers of the calls whose answers come in the order of the requests.
    waiting: VecDeque<u64>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Closed,
    Connecting,
    Open,
    /// By us, for good.
    Ended,
}

/// What became of bytes that were to be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Queued {
    /// They leave with the next flush.
    Taken,
    /// There is no connection.
    NotConnected,
    /// [`OUT_BYTES_MAX`] wait already.
    Full,
}

impl Line {
    pub(crate) fn new(to: SocketAddr, from: Option<Ipv4Addr>) -> Self {
        let (out, waiting) = (Vec::new(), VecDeque::new());
        Self { to, from, stream: None, state: State::Closed, out, waiting }
    }

    /// The socket, for the reader.
    pub(crate) fn stream(&self) -> Option<Arc<TcpStream>> {
        self.stream.clone()
    }

    /// The next answer is that to the call with this number, once those before it have come.
    pub(crate) fn wait_for(&mut self, number: u64) {
        self.waiting.push_back(number);
    }

    /// The call that the next answer belongs to.
    pub(crate) fn next_answered(&mut self) -> Option<u64> {
        self.waiting.pop_front()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether it is to be opened.
    pub(crate) fn is_wanted(&self) -> bool {
        self.state == State::Closed
    }

    /// Whether it has a socket.
    pub(crate) fn is_in_use(&self) -> bool {
        self.stream.is_some()
    }

    /// Begins to connect; the stream that is to be watched until it is writable.
    ///
    /// # Errors
    /// If there is no socket or no route; the line stays closed.
    pub(crate) fn open(&mut self) -> io::Result<&TcpStream> {
        let socket = Socket::new(Domain::for_address(self.to), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(from) = self.from {
            // Or a broker's ports would be used up when it connects again and again.
            socket.set_reuse_address(true)?;
            socket.bind(&SocketAddrV4::new(from, 0).into())?;
        }
        match socket.connect(&self.to.into()) {
            Ok(()) => {}
            Err(error)
                if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
        self.state = State::Connecting;
        Ok(self.stream.insert(Arc::new(socket.into())))
    }

    /// The stream became writable: a connect has ended, or there is room again. `true` if the line
    /// has just been opened.
    ///
    /// # Errors
    /// If the connect failed or the connection broke.
    pub(crate) fn writable(&mut self) -> io::Result<bool> {
        let Some(stream) = &self.stream else { return Ok(false) };
        let is_new = self.state == State::Connecting;
        if is_new {
            if let Some(error) = stream.take_error()? {
                return Err(error);
            }
            self.state = State::Open;
        }
        self.flush()?;
        Ok(is_new)
    }

    /// Room for one more request, or why there is none.
    pub(crate) fn queue(&mut self, append: impl FnOnce(&mut Vec<u8>)) -> Queued {
        if self.state != State::Open {
            return Queued::NotConnected;
        }
        if self.out.len() > OUT_BYTES_MAX {
            return Queued::Full;
        }
        append(&mut self.out);
        Queued::Taken
    }

    /// Writes what waits, as far as the socket takes it; the rest leaves when it is writable.
    ///
    /// # Errors
    /// If the connection broke.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let Some(stream) = &self.stream else { return Ok(()) };
        let mut written = 0;
        while written < self.out.len() {
            match (&mut &**stream).write(&self.out[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.drain(..written);
        if self.out.is_empty() && self.out.capacity() > 4096 {
            self.out = Vec::new();
        }
        Ok(())
    }

    /// Forgets a connection that broke.
    pub(crate) fn lose(&mut self) {
        self.close_as(State::Closed);
    }

    /// Resets the connection, as the end of a process does that has unread bytes; it is not opened
    /// again.
    pub(crate) fn reset(&mut self) {
        if let Some(stream) = &self.stream {
            // Without it the close is only a polite one.
            drop(SockRef::from(&**stream).set_linger(Some(Duration::ZERO)));
        }
        self.close_as(State::Ended);
    }

    fn close_as(&mut self, state: State) {
        self.stream = None;
        self.state = state;
        self.out = Vec::new();
        self.waiting.clear();
    }
}

/// Reads a stream until it is empty and gives each whole answer to `take`; `partial` keeps the
/// beginning of the next.
///
/// # Errors
/// If it broke or ended ([`ErrorKind::UnexpectedEof`]), or carries no answers of this wire.
pub(crate) fn read_answers(
    wire: Wire,
    mut stream: &TcpStream,
    partial: &mut Vec<u8>,
    scratch: &mut [u8],
    mut take: impl FnMut(&[u8]),
) -> io::Result<()> {
    loop {
        let count = match stream.read(scratch) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if partial.is_empty() {
            let rest = cut(wire, &scratch[..count], &mut take)?;
            partial.extend_from_slice(&scratch[rest..count]);
        } else {
            partial.extend_from_slice(&scratch[..count]);
            let rest = cut(wire, partial, &mut take)?;
            partial.drain(..rest);
        }
        if partial.is_empty() {
            *partial = Vec::new();
        }
        // A read that did not fill the buffer has emptied the socket.
        if count < scratch.len() {
            return Ok(());
        }
    }
}

/// Gives each whole answer away; where the rest begins.
fn cut(wire: Wire, bytes: &[u8], take: &mut impl FnMut(&[u8])) -> io::Result<usize> {
    let mut start = 0;
    while let Some(length) = answer_bytes(wire, &bytes[start..])? {
        take(&bytes[start..start + length]);
        start += length;
    }
    Ok(start)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};

    use super::{Line, Queued, read_answers};
    use crate::generator::poller::Poller;
    use crate::workload::Wire;

    fn wait_writable(poller: &Poller, line: &mut Line) -> std::io::Result<bool> {
        let mut ready = Vec::new();
        while !ready.iter().any(|it: &crate::generator::poller::Ready| it.is_writable) {
            poller.wait(u64::MAX, &mut ready)?;
        }
        line.writable()
    }

    #[test]
    fn frames_travel_whole_and_a_reset_is_seen() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let SocketAddr::V4(to) = listener.local_addr().unwrap() else { panic!("version 4") };
        let from = "127.64.3.9".parse().unwrap();
        let mut line = Line::new(to.into(), Some(from));
        assert_eq!(line.queue(|out| out.push(1)), Queued::NotConnected);
        let poller = Poller::new().unwrap();
        poller.add_stream(line.open().unwrap(), 0).unwrap();
        assert!(wait_writable(&poller, &mut line).unwrap());
        let (mut server, peer) = listener.accept().unwrap();
        assert_eq!(peer.ip(), from, "a broker comes from its own address");
        assert_eq!(line.queue(|out| out.extend_from_slice(b"abc")), Queued::Taken);
        line.flush().unwrap();
        let mut got = [0; 3];
        server.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"abc");

        let mut frames = Vec::new();
        let (mut partial, mut scratch) = (Vec::new(), [0; 8]);
        let stream = line.stream().unwrap();
        for part in [&b"\0\0\0\x02xy\0\0\0\x01"[..], b"z"] {
            server.write_all(part).unwrap();
            let mut ready = Vec::new();
            while !ready.iter().any(|it: &crate::generator::poller::Ready| it.is_readable) {
                poller.wait(u64::MAX, &mut ready).unwrap();
            }
            let take = |frame: &[u8]| frames.push(frame.to_vec());
            read_answers(Wire::Controller, &stream, &mut partial, &mut scratch, take).unwrap();
        }
        assert_eq!(frames, [b"\0\0\0\x02xy".to_vec(), b"\0\0\0\x01z".to_vec()]);

        drop(stream);
        line.reset();
        assert!(!line.is_wanted() && !line.is_open());
        assert_eq!(server.read(&mut got).unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn a_refused_connect_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        drop(listener);
        let mut line = Line::new(to, None);
        let poller = Poller::new().unwrap();
        poller.add_stream(line.open().unwrap(), 0).unwrap();
        assert!(wait_writable(&poller, &mut line).is_err());
        line.lose();
        assert!(line.is_wanted());
    }
}

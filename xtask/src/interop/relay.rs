//! TCP between two processes led through this one, so that a connection can be broken or held up without any rights
//! on the machine.
//!
//! | Kind | Who connects | Where it goes |
//! |---|---|---|
//! | [`Relay::socks`] | a broker, whose property `socksProxyConfig` sends all its outgoing requests here | where the broker says (SOCKS 5) |
//! | [`Relay::link`] | the other controllers | one controller's port for peers; the hello of each link tells who dials |
//!
//! [`Relay::reset`] ends connections with a reset (RST) at both ends. [`Relay::hold`] lets the bytes of a peer stand
//! still, connections open and new ones accepted: what a lost network looks like to a program. What stood still
//! arrives late after [`Relay::release`], as it would by retransmission.

use super::clock::pause;
use super::report::{Failure, Outcome};
use socket2::SockRef;
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// A broken connection ends, and a new one is noticed, this much later at most.
const TICK: Duration = Duration::from_millis(10);

/// How long a dialer may take to say where it wants to go.
const GREETING_LIMIT: Duration = Duration::from_secs(5);

/// Connections of one relay; more mean that something connects in a circle.
const CONNECTIONS_MAX: usize = 256;

/// Bytes on their way per direction.
const CHUNK: usize = 16 * 1_024;

/// Opens the hello of a controller (`crates/server/src/hello.rs`): then version (2 bytes), cluster (8), peer (8).
const HELLO: &[u8] = b"PITCHPEER";
const PEER_OFFSET: usize = 2 + 8;

/// Listens until it is dropped.
#[derive(Debug)]
pub(super) struct Relay {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    pipes: Mutex<Vec<Arc<Pipe>>>,
    /// Peers whose bytes stand still, in both directions.
    held: Mutex<BTreeSet<u64>>,
    has_ended: AtomicBool,
}

/// One connection and its other half.
#[derive(Debug)]
struct Pipe {
    dialer: TcpStream,
    target: TcpStream,
    target_port: u16,
    /// Who dials, if it is a controller and has said so.
    peer: OnceLock<u64>,
    has_ended: AtomicBool,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Socks,
    Link(SocketAddr),
}

impl Relay {
    /// A SOCKS 5 proxy on a port of its own, without passwords.
    pub(super) fn socks() -> Outcome<Self> {
        Self::start(0, Kind::Socks)
    }

    /// Listens at `port` for the controller that listens for its peers at `target`.
    pub(super) fn link(port: u16, target: SocketAddr) -> Outcome<Self> {
        Self::start(port, Kind::Link(target))
    }

    fn start(port: u16, kind: Kind) -> Outcome<Self> {
        let failed = || Failure::while_doing("relay");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(failed())?;
        listener.set_nonblocking(true).map_err(failed())?;
        let port = listener.local_addr().map_err(failed())?.port();
        let shared = Arc::new(Shared::default());
        let mine = Arc::clone(&shared);
        spawn(move || accept(&listener, kind, &mine)).map_err(failed())?;
        Ok(Self { port, shared })
    }

    /// Where it listens, on the loopback address.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Resets the connections that go to one of `ports`; gives their number.
    pub(super) fn reset(&self, ports: &[u16]) -> usize {
        let mut pipes = lock(&self.shared.pipes);
        let before = pipes.len();
        pipes.retain(|pipe| {
            let is_meant = ports.contains(&pipe.target_port);
            if is_meant {
                pipe.reset();
            }
            !is_meant
        });
        before - pipes.len()
    }

    /// Nothing from `peer` arrives and nothing goes back to it.
    pub(super) fn hold(&self, peer: u64) {
        lock(&self.shared.held).insert(peer);
    }

    /// Ends [`Relay::hold`].
    pub(super) fn release(&self, peer: u64) {
        lock(&self.shared.held).remove(&peer);
    }

    /// How many connections of `peer` pass here.
    pub(super) fn links_of(&self, peer: u64) -> usize {
        let pipes = lock(&self.shared.pipes);
        pipes.iter().filter(|pipe| pipe.peer.get() == Some(&peer)).count()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.has_ended.store(true, Ordering::Relaxed);
        lock(&self.shared.pipes).drain(..).for_each(|pipe| pipe.reset());
    }
}

impl Pipe {
    /// The reset leaves when the last of those who hold the sockets drops them.
    fn reset(&self) {
        for stream in [&self.dialer, &self.target] {
            // It fails for a connection that is gone already.
            drop(SockRef::from(stream).set_linger(Some(Duration::ZERO)));
        }
        self.has_ended.store(true, Ordering::Relaxed);
    }

    /// One end closed: so does the other.
    fn close(&self) {
        if !self.has_ended.swap(true, Ordering::Relaxed) {
            drop(self.dialer.shutdown(Shutdown::Both));
            drop(self.target.shutdown(Shutdown::Both));
        }
    }

    fn is_over(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }
}

fn accept(listener: &TcpListener, kind: Kind, shared: &Arc<Shared>) {
    while !shared.has_ended.load(Ordering::Relaxed) {
        let Ok((dialer, _)) = listener.accept() else {
            pause(TICK);
            continue;
        };
        let shared = Arc::clone(shared);
        // Without a thread the connection is dropped, and the dialer tries again.
        drop(spawn(move || serve(dialer, kind, &shared)));
    }
}

/// One connection from its greeting to its end; a dialer that says nothing sensible is hung up on.
fn serve(mut dialer: TcpStream, kind: Kind, shared: &Arc<Shared>) {
    let Ok(Some(target)) = greet(&mut dialer, kind) else { return };
    let Ok(target_port) = target.peer_addr().map(|address| address.port()) else { return };
    for stream in [&dialer, &target] {
        let is_ready = stream.set_nodelay(true).is_ok()
            && stream.set_read_timeout(Some(TICK)).is_ok()
            && stream.set_write_timeout(Some(TICK)).is_ok();
        if !is_ready {
            return;
        }
    }
    let (peer, has_ended) = (OnceLock::new(), AtomicBool::new(false));
    let pipe = Arc::new(Pipe { dialer, target, target_port, peer, has_ended });
    {
        let mut pipes = lock(&shared.pipes);
        pipes.retain(|pipe| !pipe.is_over());
        if pipes.len() >= CONNECTIONS_MAX {
            return;
        }
        pipes.push(Arc::clone(&pipe));
    }
    let (back, mine) = (Arc::clone(&pipe), Arc::clone(shared));
    if spawn(move || carry(&back, (&back.target, &back.dialer), &mine)).is_ok() {
        carry(&pipe, (&pipe.dialer, &pipe.target), shared);
    }
    pipe.close();
}

/// Connects to where the dialer wants to go.
fn greet(dialer: &mut TcpStream, kind: Kind) -> std::io::Result<Option<TcpStream>> {
    // What is accepted inherits the listener's mode on some systems.
    dialer.set_nonblocking(false)?;
    match kind {
        Kind::Link(target) => TcpStream::connect(target).map(Some),
        Kind::Socks => {
            dialer.set_read_timeout(Some(GREETING_LIMIT))?;
            socks(dialer)
        }
    }
}

/// RFC 1928 as far as it is needed: no password, CONNECT, an IPv4 address (also as text).
fn socks(dialer: &mut TcpStream) -> std::io::Result<Option<TcpStream>> {
    let [version, methods] = take(dialer)?;
    let mut offered = vec![0; usize::from(methods)];
    dialer.read_exact(&mut offered)?;
    if version != 5 || !offered.contains(&0) {
        return Ok(None);
    }
    dialer.write_all(&[5, 0])?;
    let [_, command, _, kind] = take(dialer)?;
    let host = match kind {
        1 => Ipv4Addr::from(take::<4>(dialer)?).to_string(),
        3 => {
            let [length] = take(dialer)?;
            let mut name = vec![0; usize::from(length)];
            dialer.read_exact(&mut name)?;
            String::from_utf8_lossy(&name).into_owned()
        }
        _ => return Ok(None),
    };
    let port = u16::from_be_bytes(take(dialer)?);
    let target = if command == 1 { TcpStream::connect((host.as_str(), port)).ok() } else { None };
    // 0: connected; 5: refused.
    let verdict = if target.is_some() { 0 } else { 5 };
    dialer.write_all(&[5, verdict, 0, 1, 0, 0, 0, 0, 0, 0])?;
    Ok(target)
}

fn take<const N: usize>(stream: &mut TcpStream) -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).map(|()| bytes)
}

/// Copies one direction until either end closes.
fn carry(pipe: &Pipe, (mut from, mut to): (&TcpStream, &TcpStream), shared: &Shared) {
    let mut chunk = vec![0; CHUNK];
    while !pipe.is_over() {
        let bytes = match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => chunk.get(..count).unwrap_or_default(),
            Err(error) if is_time_out(&error) => continue,
            Err(_) => break,
        };
        if let Some(peer) = dialing_peer(bytes) {
            pipe.peer.get_or_init(|| peer);
        }
        while shared.holds(pipe) && !pipe.is_over() {
            pause(TICK);
        }
        if !send(pipe, &mut to, bytes) {
            break;
        }
    }
    pipe.close();
}

/// Whether all of `bytes` was taken.
fn send(pipe: &Pipe, to: &mut &TcpStream, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() && !pipe.is_over() {
        match to.write(bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if is_time_out(&error) => {}
            Err(_) => return false,
        }
    }
    bytes.is_empty()
}

impl Shared {
    fn holds(&self, pipe: &Pipe) -> bool {
        pipe.peer.get().is_some_and(|peer| lock(&self.held).contains(peer))
    }
}

fn dialing_peer(bytes: &[u8]) -> Option<u64> {
    let at = bytes.windows(HELLO.len()).position(|window| window == HELLO)?;
    let peer = bytes.get(at + HELLO.len() + PEER_OFFSET..)?.first_chunk()?;
    Some(u64::from_le_bytes(*peer))
}

fn is_time_out(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn spawn(work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name("relay".to_owned()).spawn(work).map(drop)
}

/// A thread that panicked has left a list that is still good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::clock::until;
    use super::{HELLO, Relay};
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    const LIMIT: Duration = Duration::from_secs(20);

    fn open(relay: &Relay) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", relay.port())).expect("it listens");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        stream
    }

    fn accept(listener: &TcpListener) -> TcpStream {
        let (stream, _) = listener.accept().expect("somebody connects");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        stream
    }

    fn read<const N: usize>(stream: &mut TcpStream) -> [u8; N] {
        let mut bytes = [0; N];
        stream.read_exact(&mut bytes).expect("bytes come");
        bytes
    }

    fn socks_to(relay: &Relay, port: u16) -> TcpStream {
        let mut dialer = open(relay);
        dialer.write_all(&[5, 1, 0]).expect("a greeting");
        assert_eq!(read(&mut dialer), [5, 0]);
        let [high, low] = port.to_be_bytes();
        dialer.write_all(&[5, 1, 0, 1, 127, 0, 0, 1, high, low]).expect("a request");
        let answer: [u8; 10] = read(&mut dialer);
        assert_eq!(answer[..2], [5, 0]);
        dialer
    }

    #[test]
    fn a_reset_reaches_both_ends_of_the_meant_connections_only() {
        let relay = Relay::socks().expect("a port");
        let [one, other] = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").expect("a port"));
        let port = |listener: &TcpListener| listener.local_addr().expect("bound").port();
        let mut meant = socks_to(&relay, port(&one));
        let mut spared = socks_to(&relay, port(&other));
        let (mut meant_end, mut spared_end) = (accept(&one), accept(&other));
        meant.write_all(b"there").expect("it is open");
        assert_eq!(read(&mut meant_end), *b"there");
        assert_eq!(relay.reset(&[port(&one)]), 1);
        for stream in [&mut meant, &mut meant_end] {
            let error = stream.read(&mut [0; 1]).expect_err("it was reset");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
        spared_end.write_all(b"back").expect("it is open");
        assert_eq!(read(&mut spared), *b"back");
        assert_eq!(relay.reset(&[port(&one)]), 0);
    }

    #[test]
    fn an_unreachable_target_is_refused() {
        let relay = Relay::socks().expect("a port");
        let mut dialer = open(&relay);
        dialer.write_all(&[5, 1, 0]).expect("a greeting");
        assert_eq!(read(&mut dialer), [5, 0]);
        // Port 0 is nobody's; the address is text here.
        dialer.write_all(b"\x05\x01\x00\x03\x09127.0.0.1\x00\x00").expect("a request");
        let answer: [u8; 10] = read(&mut dialer);
        assert_eq!(answer[..2], [5, 5]);
    }

    #[test]
    fn the_bytes_of_a_held_peer_stand_still_both_ways() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let relay = Relay::link(0, listener.local_addr().expect("bound")).expect("a port");
        let mut ends = [2_u64, 3].map(|peer| {
            let mut dialer = open(&relay);
            let hello = [HELLO, &[0; 10], &peer.to_le_bytes()].concat();
            dialer.write_all(&hello).expect("a hello");
            let mut end = accept(&listener);
            assert_eq!(read::<27>(&mut end)[..], hello);
            (dialer, end)
        });
        assert_eq!((relay.links_of(2), relay.links_of(4)), (1, 0));
        relay.hold(2);
        for (dialer, end) in &mut ends {
            dialer.write_all(b"go").expect("it is open");
            end.write_all(b"back").expect("it is open");
        }
        let [(held, held_end), (free, free_end)] = &mut ends;
        assert_eq!((read(free_end), read(free)), (*b"go", *b"back"));
        for stream in [&mut *held, &mut *held_end] {
            stream.set_read_timeout(Some(super::TICK * 5)).expect("a limit");
            let error = stream.read(&mut [0; 1]).expect_err("nothing may come");
            assert!(super::is_time_out(&error), "{error}");
            stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        }
        relay.release(2);
        assert_eq!((read(held_end), read(held)), (*b"go", *b"back"));
    }

    #[test]
    fn an_end_passes_through() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let relay = Relay::link(0, listener.local_addr().expect("bound")).expect("a port");
        let dialer = open(&relay);
        let mut end = accept(&listener);
        drop(dialer);
        let gone = until("the end", LIMIT, || Ok(end.read(&mut [0; 1]).ok().map(|n| n == 0)));
        assert!(gone.expect("it comes"));
    }
}

//! A worker from the coordinator's side.
//!
//! ```text
//! thread "worker events"  frames ──► events (moments by our clock), samples of its clock, usage
//! thread "worker pings"   a ping now and then, so that each side knows that the other is there
//! ```
//!
//! A worker that is silent for `SILENCE`, closes, or says what it must not ends its events with a failure that says why;
//! whoever owns the link names it. Dropping the link closes the connection, which ends the worker's part.

use std::io;
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::clocks::{Offset, Samples};
use super::frame::{self, FRAME_BYTES_MAX, HELLO_BYTES_MAX, Kind, Timed};
use super::shown::{escape, escaped};
use super::{FORMAT, Fleet, HELLO, Hello, PING_EVERY, SILENCE, Usage, lock};
use crate::clock::mono_ns;
use crate::generator::plan::{Command, Event, Plan};

/// Events of a worker that may wait to be looked at.
const EVENTS_MAX: usize = 64;

/// Pings that are sent together to know a clock well, and the pause between them.
const BURST: usize = 40;
const BURST_PAUSE: Duration = Duration::from_millis(5);

/// How often their answers are looked for after the last of them.
const BURST_LOOKS: usize = 200;

/// A worker that has taken our hello.
#[derive(Debug)]
pub(crate) struct Link {
    address: String,
    shared: Arc<Shared>,
    /// None until it has its part.
    offset: Option<Offset>,
}

#[derive(Debug)]
struct Shared {
    stream: TcpStream,
    writing: Mutex<()>,
    samples: Mutex<Samples>,
    /// What moments of the worker are translated by.
    ahead_ns: AtomicI64,
    usage: Mutex<Usage>,
    is_over: AtomicBool,
}

impl Shared {
    fn write(&self, kind: Kind, payload: &[u8]) -> io::Result<()> {
        let _whole = lock(&self.writing);
        frame::write(&self.stream, kind, payload)
    }

    fn ping(&self) -> io::Result<()> {
        self.write(Kind::Ping, &mono_ns().to_be_bytes())
    }
}

/// Connects to so many parts of a fleet, its workers in turn.
///
/// # Errors
/// A text that names the worker and says why it is none, or why it refused.
pub(crate) fn connect(fleet: &Fleet, parts: usize) -> Result<Vec<Link>, String> {
    let addresses = fleet.workers.iter().cycle().take(parts);
    addresses.map(|address| Link::connect(address, fleet)).collect()
}

impl Link {
    fn connect(address: &str, fleet: &Fleet) -> Result<Self, String> {
        let failed = |why: String| format!("worker {address}: {why}");
        let stream = dial(address).map_err(|error| failed(error.to_string()))?;
        let hello = Hello {
            format: FORMAT.to_owned(),
            version: fleet.version.clone(),
            token: fleet.token.clone(),
        };
        let hello = serde_json::to_vec(&hello).map_err(|error| failed(error.to_string()))?;
        let said = frame::write(&stream, Kind::Hello, &hello);
        said.map_err(|error| failed(error.to_string()))?;
        let (kind, text) = frame::read(Timed::new(&stream, HELLO), HELLO_BYTES_MAX)
            .map_err(|error| failed(format!("no worker answers: {error}")))?;
        match kind {
            Kind::Welcome => {}
            Kind::Refused => return Err(failed(escaped(&String::from_utf8_lossy(&text)))),
            other => return Err(failed(format!("a {other:?} in the place of a welcome"))),
        }
        let shared = Shared {
            stream,
            writing: Mutex::default(),
            samples: Mutex::default(),
            ahead_ns: AtomicI64::new(0),
            usage: Mutex::default(),
            is_over: AtomicBool::new(false),
        };
        Ok(Self { address: address.to_owned(), shared: Arc::new(shared), offset: None })
    }

    /// `host:port`, as it was given.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Gives the worker its part; what its generator says from now on.
    ///
    /// # Errors
    /// If the connection is broken.
    pub(crate) fn begin(&mut self, part: &Plan) -> io::Result<Receiver<Event>> {
        let plan = serde_json::to_vec(part).map_err(io::Error::other)?;
        let (to_us, events) = sync_channel(EVENTS_MAX);
        let shared = Arc::clone(&self.shared);
        let reader = thread::Builder::new().name("worker events".to_owned());
        reader.spawn(move || read(&shared, &to_us))?;
        // Whoever cannot be heard is given nothing to begin with. Only a worker for which there is no thread that pings is
        // left while it begins; it ends with the connection, and nobody waits for that.
        self.shared.write(Kind::Plan, &plan)?;
        let shared = Arc::clone(&self.shared);
        let pinger = thread::Builder::new().name("worker pings".to_owned());
        pinger.spawn(move || {
            // A broken connection is found by the reader.
            while !shared.is_over.load(Ordering::Acquire) && shared.ping().is_ok() {
                thread::park_timeout(PING_EVERY);
            }
        })?;
        Ok(events)
    }

    /// Tells the generator, with moments by its clock.
    ///
    /// # Errors
    /// If the connection is broken.
    pub(crate) fn tell(&self, command: &Command) -> io::Result<()> {
        let command = command.by_clock(self.shared.ahead_ns.load(Ordering::Acquire));
        let line = serde_json::to_vec(&command).map_err(io::Error::other)?;
        self.shared.write(Kind::Command, &line)
    }

    /// Measures the worker's clock anew.
    ///
    /// # Errors
    /// If the connection is broken, or no ping is answered.
    pub(crate) fn measure_clock(&self) -> io::Result<Offset> {
        *lock(&self.shared.samples) = Samples::default();
        for _ping in 0..BURST {
            self.shared.ping()?;
            thread::park_timeout(BURST_PAUSE);
        }
        for _look in 0..BURST_LOOKS {
            if lock(&self.shared.samples).count() >= BURST {
                break;
            }
            thread::park_timeout(BURST_PAUSE);
        }
        let best = lock(&self.shared.samples).best();
        best.ok_or_else(|| io::Error::new(io::ErrorKind::TimedOut, "it answers no ping"))
    }

    /// Measures the worker's clock and goes by that from now on.
    ///
    /// # Errors
    /// As [`Self::measure_clock`].
    pub(crate) fn set_clock(&mut self) -> io::Result<Offset> {
        let offset = self.measure_clock()?;
        self.shared.ahead_ns.store(offset.ahead_ns, Ordering::Release);
        self.offset = Some(offset);
        Ok(offset)
    }

    /// Says that nothing more will be told; the worker ends its part and closes, which the events end with.
    pub(crate) fn hang_up(&self) {
        self.shared.is_over.store(true, Ordering::Release);
        // It may be broken already.
        drop(self.shared.stream.shutdown(Shutdown::Write));
    }

    /// What [`Self::set_clock`] found.
    pub(crate) fn offset(&self) -> Option<Offset> {
        self.offset
    }

    /// How busy the worker's host was; nothing is known before the report.
    pub(crate) fn usage(&self) -> Usage {
        *lock(&self.shared.usage)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        // It may be broken already.
        drop(self.shared.stream.shutdown(Shutdown::Both));
    }
}

fn dial(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no such address");
    for found in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&found, HELLO) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(SILENCE))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Takes frames until the connection ends; the last event says why it did.
fn read(shared: &Shared, to_us: &SyncSender<Event>) {
    loop {
        let event = match next(shared) {
            Ok(Some(event)) => event,
            Ok(None) => continue,
            Err(why) => {
                // Nobody listens any more only when the fleet is being ended.
                drop(to_us.send(Event::Failed(why)));
                return;
            }
        };
        if to_us.send(event).is_err() {
            return;
        }
    }
}

/// The next frame, if it is an event, by our clock.
fn next(shared: &Shared) -> Result<Option<Event>, String> {
    let read = frame::read(Timed::new(&shared.stream, SILENCE), FRAME_BYTES_MAX);
    let (kind, payload) = read.map_err(|error| error.to_string())?;
    let back_ns = mono_ns();
    match kind {
        Kind::Pong => {
            let (sent, theirs) = payload.split_at_checked(8).ok_or("a pong of too few bytes")?;
            let number = |bytes: &[u8]| {
                let bytes = bytes.try_into().map_err(|_error| "a pong of other bytes than 16")?;
                Ok::<u64, String>(u64::from_be_bytes(bytes))
            };
            lock(&shared.samples).add(number(sent)?, back_ns, number(theirs)?);
            Ok(None)
        }
        Kind::Usage => {
            let usage = serde_json::from_slice(&payload).map_err(|error| error.to_string())?;
            *lock(&shared.usage) = usage;
            Ok(None)
        }
        Kind::Event => {
            let event = serde_json::from_slice(&payload).map_err(|error| error.to_string())?;
            let behind_ns = shared.ahead_ns.load(Ordering::Acquire).saturating_neg();
            Ok(Some(match event {
                Event::Report(mut report) => {
                    report.contradictions.iter_mut().for_each(escape);
                    report.slowest.iter_mut().for_each(|slow| escape(&mut slow.outcome));
                    Event::Report(Box::new(report.by_clock(behind_ns)))
                }
                Event::Progress(text) => Event::Progress(escaped(&text)),
                Event::Failed(why) => Event::Failed(escaped(&why)),
                // Numbers.
                other @ (Event::Beating
                | Event::Founded(_)
                | Event::AllTold
                | Event::Window(..)) => other,
            }))
        }
        Kind::Refused => Err(escaped(&String::from_utf8_lossy(&payload))),
        Kind::Hello | Kind::Welcome | Kind::Ping | Kind::Plan | Kind::Command => {
            Err(format!("a frame that only a coordinator sends: {kind:?}"))
        }
    }
}

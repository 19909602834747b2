//! `bench worker`: waits for coordinators and plays the parts that they give.
//!
//! ```text
//! accept ──► stranger (STRANGERS_MAX) ─ hello ─► session (SESSIONS_MAX) ─ welcome ─► plan ─► process "fleet-worker"
//!                                                      commands ──► its standard input
//!              thread "worker relay"                   events   ◄── its standard output
//! ```
//!
//! A session ends, and its process with it, when the coordinator closes, is silent, or says what it must not; the process's end
//! ends the session. What a coordinator says is parsed before it is passed on, and a plan has limits: a stranger gets
//! nothing but a refusal, and a wrong coordinator no more than the load of one process.
//!
//! *Addresses of brokers.* If this host reaches the controllers over loopback, brokers are as `bench run` has them. Otherwise
//! they have the address by which the controllers are reached, and a port each, from [`PORT_FIRST`] on.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::frame::{self, FRAME_BYTES_MAX, FrameError, HELLO_BYTES_MAX, Kind, Timed};
use super::shown::escaped;
use super::{FORMAT, HELLO, Hello, SILENCE, TOKEN_BYTES_MAX, TOKEN_CHARS_MIN, lock};
use crate::clock::{self, mono_ns};
use crate::generator::crew::DESCRIPTORS_MAX;
use crate::generator::plan::{BROKERS_MAX, Command, Listening, Plan, REPLICAS};
use crate::own_cluster::{end, free_ports};
use crate::process::Process;
use strangers::{Parting, Strangers};
use watch::Watch;

mod strangers;
mod watch;

/// Coordinators that are served at once, each with a process of its own.
pub const SESSIONS_MAX: usize = 8;

/// Connections that have not yet shown that they are coordinators'. Each has `HELLO` for that; one more ends the oldest.
pub const STRANGERS_MAX: usize = 64;

/// First port of brokers that have this host's address, and how many each session has. All lie below the ports that
/// systems choose for outgoing connections. The last of a session's is held while it lasts, so that all workers of a host
/// share them out.
pub const PORT_FIRST: u16 = 10_000;
/// See [`PORT_FIRST`].
pub const PORTS_PER_SESSION: u16 = 2_500;

/// Brokers of one part that have this host's address.
pub const BROKERS_PER_SESSION: usize = 2_499;

/// Pause between two looks for a coordinator, and for the order to end.
const LOOK: Duration = Duration::from_millis(50);

/// How a worker waits.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where.
    pub listen: SocketAddr,
    /// What coordinators must know; none for whoever comes, on loopback only.
    pub token: Option<String>,
    /// Of this program; coordinators must have the same.
    pub version: String,
    /// The program that knows `fleet-worker`; none: this one.
    pub program: Option<PathBuf>,
    /// Set from elsewhere to end.
    pub stop: Arc<AtomicBool>,
}

/// Why a worker does not wait.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Anybody in the network could start load from here.
    #[error(
        "{0} is no loopback address: a worker listens there with a token only (PITCHOVER_FLEET_TOKEN)"
    )]
    Open(SocketAddr),
    /// A token that is soon guessed, or that does not fit.
    #[error(
        "a token of {0} bytes: {TOKEN_CHARS_MIN} (TOKEN_CHARS_MIN) to {TOKEN_BYTES_MAX} (TOKEN_BYTES_MAX) are wanted"
    )]
    Token(usize),
    /// The address is taken, or not ours.
    #[error("listening on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// Where this program is.
    #[error("finding this program's file: {0}")]
    Program(io::Error),
}

/// A worker that listens.
#[derive(Debug)]
pub struct Worker {
    listener: TcpListener,
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Shared {
    token: Option<String>,
    version: String,
    program: PathBuf,
    /// Which places are taken.
    places: Mutex<[bool; SESSIONS_MAX]>,
    strangers: Mutex<Strangers>,
}

/// One of the places; dropping it makes it free.
#[derive(Debug)]
struct Place {
    number: usize,
    shared: Arc<Shared>,
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.shared.places)[self.number] = false;
    }
}

/// Whether a token is long enough, and not too long.
///
/// # Errors
/// - [`WorkerError::Token`]: it is not.
pub fn check_token(token: &str) -> Result<(), WorkerError> {
    let bytes = token.len();
    let is_right = token.chars().count() >= TOKEN_CHARS_MIN && bytes <= TOKEN_BYTES_MAX;
    if is_right { Ok(()) } else { Err(WorkerError::Token(bytes)) }
}

impl Worker {
    /// Listens.
    ///
    /// # Errors
    /// - [`WorkerError`]: it must not, or cannot.
    pub fn new(options: Options) -> Result<Self, WorkerError> {
        let Options { listen, token, version, program, stop } = options;
        token.as_deref().map_or(Ok(()), check_token)?;
        if token.is_none() && !listen.ip().is_loopback() {
            return Err(WorkerError::Open(listen));
        }
        let program =
            program.map_or_else(std::env::current_exe, Ok).map_err(WorkerError::Program)?;
        let failed = |error| WorkerError::Listen(listen, error);
        let listener = TcpListener::bind(listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let shared = Shared {
            token,
            version,
            program,
            places: Mutex::default(),
            strangers: Mutex::default(),
        };
        Ok(Self { listener, shared: Arc::new(shared), stop })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves coordinators until it is told to stop; `say` hears who came, and how it ended.
    pub fn run(&self, say: impl Fn(&str) + Clone + Send + 'static) {
        // Versions, names and addresses in it are what somebody else has sent.
        let say = move |text: &str| say(&escaped(text));
        while !self.stop.load(Ordering::Acquire) {
            // What cannot be accepted now, for want of descriptors, may be later.
            let Ok((stream, from)) = self.listener.accept() else {
                let unsaid = lock(&self.shared.strangers).unsaid(clock::now());
                unsaid.iter().for_each(|line| say(line));
                thread::park_timeout(LOOK);
                continue;
            };
            // Without a descriptor for it the connection is closed.
            let Ok(stranger) = lock(&self.shared.strangers).add(&stream) else { continue };
            let (shared, say) = (Arc::clone(&self.shared), say.clone());
            let session = move || match serve(&shared, &stream, stranger, &say, from) {
                Ok(()) => say(&format!("{from}: done")),
                Err(parting) => {
                    let line = lock(&shared.strangers).line(&parting, from, clock::now());
                    line.iter().for_each(|line| say(line));
                    // It may be gone, or not one of ours.
                    drop(frame::write(&stream, Kind::Refused, parting.why().as_bytes()));
                    drop(stream.shutdown(Shutdown::Both));
                }
            };
            let spawned = thread::Builder::new().name("worker session".to_owned()).spawn(session);
            if spawned.is_err() {
                // Without a thread the connection is closed.
                lock(&self.shared.strangers).remove(stranger);
            }
        }
    }
}

impl Shared {
    fn take_place(self: &Arc<Self>) -> Option<Place> {
        let mut places = lock(&self.places);
        let number = places.iter().position(|is_taken| !is_taken)?;
        places[number] = true;
        Some(Place { number, shared: Arc::clone(self) })
    }

    /// Hears who this is.
    fn greet(&self, stream: &TcpStream) -> Result<(), Parting> {
        prepare(stream).map_err(|error| Parting::Left(error.to_string()))?;
        let hello = frame::read(Timed::new(stream, HELLO), HELLO_BYTES_MAX);
        let (kind, hello) = hello.map_err(|error| match error {
            FrameError::Closed | FrameError::Io(_) => Parting::Left(error.to_string()),
            FrameError::Length { .. } | FrameError::Kind(_) => Parting::Refused(error.to_string()),
        })?;
        if kind != Kind::Hello {
            return Err(Parting::Refused(format!("a {kind:?} in the place of a hello")));
        }
        self.judge(&hello).map_err(Parting::Refused)
    }

    /// Whether this is one of our coordinators.
    fn judge(&self, hello: &[u8]) -> Result<(), String> {
        let Hello { format, version, token } =
            serde_json::from_slice(hello).map_err(|_error| "this is no hello".to_owned())?;
        // First of all: what a stranger learns is that he is one.
        if let Some(wanted) = &self.token {
            let is_known = token.is_some_and(|token| is_same(token.as_bytes(), wanted.as_bytes()));
            if !is_known {
                return Err("the token is another one (PITCHOVER_FLEET_TOKEN)".to_owned());
            }
        }
        if format != FORMAT || version != self.version {
            let own = &self.version;
            return Err(format!(
                "the coordinator is {version} ({format}), this worker is {own} ({FORMAT}): use the same program"
            ));
        }
        Ok(())
    }
}

/// Takes as long for a wrong token as for a right one of its length.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |all, (one, other)| all | (one ^ other));
    one.len() == other.len() && differing == 0
}

/// One coordinator, from its hello to its end.
fn serve(
    shared: &Arc<Shared>,
    stream: &TcpStream,
    stranger: u64,
    say: &impl Fn(&str),
    from: SocketAddr,
) -> Result<(), Parting> {
    let greeted = shared.greet(stream);
    lock(&shared.strangers).remove(stranger);
    greeted?;
    play(shared, stream, say, from).map_err(Parting::Failed)
}

/// The part of somebody who is known.
fn play(
    shared: &Arc<Shared>,
    stream: &TcpStream,
    say: &impl Fn(&str),
    from: SocketAddr,
) -> Result<(), String> {
    let text = |error: FrameError| error.to_string();
    // Only for those who are known: whoever is not takes nobody's place.
    let _place = shared.take_place().ok_or_else(|| {
        format!("{SESSIONS_MAX} coordinators are served already (SESSIONS_MAX): come later")
    })?;
    frame::write(stream, Kind::Welcome, &[]).map_err(|error| error.to_string())?;
    let (kind, plan) = frame::read(Timed::new(stream, SILENCE), FRAME_BYTES_MAX).map_err(text)?;
    if kind != Kind::Plan {
        return Err(format!("a {kind:?} in the place of a plan"));
    }
    let plan = serde_json::from_slice(&plan).map_err(|error| format!("the plan: {error}"))?;
    let (plan, _ports) = placed(plan)?;
    say(&format!("{from}: {} broker sets of {}, and streams", plan.sets, plan.prefix));
    Session::start(&shared.program, stream, &plan)?.run(stream)
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(SILENCE))
}

/// A plan within limits, with addresses for its brokers, and what holds their ports.
fn placed(mut plan: Plan) -> Result<(Plan, Option<TcpListener>), String> {
    let sets_max = BROKERS_MAX / REPLICAS;
    if plan.first_set.checked_add(plan.sets).is_none_or(|sets| sets > sets_max) {
        return Err(format!("a plan with more than {sets_max} broker sets (BROKERS_MAX)"));
    }
    if plan.brokers_per_connection == 0 || plan.controllers.is_empty() {
        return Err("a plan without controllers, or without brokers on a connection".to_owned());
    }
    let connections = plan.sources.iter().map(|source| source.connections());
    if connections.fold(0, usize::saturating_add) > DESCRIPTORS_MAX
        || plan.descriptors() > DESCRIPTORS_MAX
    {
        return Err(format!(
            "a plan with more than {DESCRIPTORS_MAX} descriptors (DESCRIPTORS_MAX)"
        ));
    }
    let own = own_address(&plan.controllers)?;
    if own.is_loopback() {
        let ports = free_ports(1).map_err(|error| error.to_string())?;
        (plan.host, plan.port) = (None, ports[0]);
        return Ok((plan, None));
    }
    if plan.brokers() > BROKERS_PER_SESSION {
        let brokers = plan.brokers();
        return Err(format!(
            "{brokers} brokers in one part with a port each, at most {BROKERS_PER_SESSION} (BROKERS_PER_SESSION): name more workers"
        ));
    }
    let (port, held) = hold_ports(own)?;
    // Each broker has a port, so each listens.
    (plan.host, plan.port, plan.listening) = (Some(own), port, Listening::Own);
    Ok((plan, Some(held)))
}

/// The first of [`BROKERS_PER_SESSION`] ports that no other session of this host has, of whichever worker; they are held
/// until the listener is dropped.
fn hold_ports(own: Ipv4Addr) -> Result<(u16, TcpListener), String> {
    let count = u16::try_from(SESSIONS_MAX).map_err(|error| error.to_string())?;
    let firsts = (0..count).map(|number| PORT_FIRST + number * PORTS_PER_SESSION);
    let mut held = firsts.filter_map(|first| {
        let listener = TcpListener::bind((own, first + PORTS_PER_SESSION - 1)).ok()?;
        Some((first, listener))
    });
    held.next().ok_or_else(|| {
        let last = PORT_FIRST + count * PORTS_PER_SESSION - 1;
        format!(
            "the ports {PORT_FIRST} to {last} of {own} are taken by {count} parts or by others: name a worker on another host, or wait for other runs"
        )
    })
}

/// The address of this host that the first controller that can be found is reached by. Nothing is sent.
fn own_address(controllers: &[String]) -> Result<Ipv4Addr, String> {
    let mut why = "no controller".to_owned();
    for controller in controllers {
        let asked = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
            socket.connect(controller)?;
            socket.local_addr()
        });
        match asked.map(|address| address.ip()) {
            Ok(IpAddr::V4(address)) => return Ok(address),
            Ok(IpAddr::V6(address)) => why = format!("{controller} is reached from {address}"),
            Err(error) => why = format!("{controller}: {error}"),
        }
    }
    Err(format!("no way to the controllers by IPv4: {why}"))
}

/// A process that plays a part.
struct Session {
    child: Child,
    relay: Option<thread::JoinHandle<()>>,
    writer: Arc<Writer>,
    watch: Watch,
}

/// Frames of two threads, one after the other.
struct Writer {
    stream: TcpStream,
    writing: Mutex<()>,
}

impl Writer {
    fn write(&self, kind: Kind, payload: &[u8]) -> io::Result<()> {
        let _whole = lock(&self.writing);
        frame::write(&self.stream, kind, payload)
    }
}

impl Session {
    fn start(program: &Path, stream: &TcpStream, plan: &Plan) -> Result<Self, String> {
        let failed = |error: io::Error| format!("a process of the fleet: {error}");
        let stream = stream.try_clone().map_err(failed)?;
        let writer = Arc::new(Writer { stream, writing: Mutex::default() });
        let mut command = std::process::Command::new(program);
        command.arg("fleet-worker").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let stdout = child.stdout.take();
        let watch = Watch::of(Process { pid: child.id() });
        // From here on dropping it ends the process.
        let mut session = Self { child, relay: None, writer, watch };
        let stdout = stdout.ok_or_else(|| failed(io::ErrorKind::BrokenPipe.into()))?;
        let to = Arc::clone(&session.writer);
        let relay = thread::Builder::new().name("worker relay".to_owned());
        let relay = relay.spawn(move || {
            pass_on(stdout, &to);
            // The process has ended, or nobody listens: so does the session.
            drop(to.stream.shutdown(Shutdown::Both));
        });
        session.relay = Some(relay.map_err(failed)?);
        let plan = serde_json::to_vec(plan).map_err(|error| error.to_string())?;
        session.tell(&plan).map_err(failed)?;
        Ok(session)
    }

    fn tell(&mut self, line: &[u8]) -> io::Result<()> {
        let orders = self.child.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        orders.write_all(line)?;
        orders.write_all(b"\n")?;
        orders.flush()
    }

    /// Serves the coordinator until it closes.
    fn run(mut self, stream: &TcpStream) -> Result<(), String> {
        loop {
            let (kind, payload) = match frame::read(Timed::new(stream, SILENCE), FRAME_BYTES_MAX) {
                Ok(frame) => frame,
                Err(FrameError::Closed) => return Ok(()),
                Err(error) => return Err(error.to_string()),
            };
            let now_ns = mono_ns();
            self.watch.look(now_ns);
            let answered = match kind {
                Kind::Ping if payload.len() == 8 => {
                    let pong = [payload, now_ns.to_be_bytes().to_vec()].concat();
                    self.writer.write(Kind::Pong, &pong)
                }
                Kind::Command => self.command(&payload)?,
                other => return Err(format!("a frame that has no place here: {other:?}")),
            };
            answered.map_err(|error| error.to_string())?;
        }
    }

    /// Hands a command on that can be read.
    fn command(&mut self, payload: &[u8]) -> Result<io::Result<()>, String> {
        let command: Command =
            serde_json::from_slice(payload).map_err(|error| format!("a command: {error}"))?;
        if let Command::Measure { times, .. } = command {
            self.watch.measure(times);
        }
        if matches!(command, Command::Report) {
            let usage = serde_json::to_vec(&self.watch.usage(mono_ns()));
            let usage = usage.map_err(|error| error.to_string())?;
            self.writer.write(Kind::Usage, &usage).map_err(|error| error.to_string())?;
        }
        let line = serde_json::to_vec(&command).map_err(|error| error.to_string())?;
        Ok(self.tell(&line))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Its brokers vanish with it, as they would if their machine did.
        end(&mut self.child);
        drop(self.writer.stream.shutdown(Shutdown::Both));
        drop(self.relay.take().map(thread::JoinHandle::join));
    }
}

/// The process's lines, each as an event, until it ends or nobody listens.
fn pass_on(stdout: ChildStdout, to: &Writer) {
    let mut lines = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        let read = lines.by_ref().take(u64::from(FRAME_BYTES_MAX)).read_until(b'\n', &mut line);
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if read.is_err() || line.is_empty() || to.write(Kind::Event, &line).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;

//! One controller process, from its configuration to its end.
//!
//! The order of the start: ports (bound), journal (recovery), core, listener, peer links, admin pages. What is in use by
//! somebody else is found out before the disk is touched. The port is open before there is a quorum, since
//! orchestrators probe it by TCP; readiness is another question (`/readyz`).

use crate::admin::{self, Admin, AdminThread};
use crate::clock::{Clock, wall_nanos};
use crate::config::{Config, Durability, Exporter, SocketConfig, Style};
use crate::connection;
use crate::core::{Core, End};
use crate::descriptors::{self, DESCRIPTORS_MIN};
use crate::hello::{Hello, LINK_VERSION};
use crate::java_store;
use crate::metrics::Metrics;
use crate::notes::Gauges;
use crate::orders::Orders;
use crate::outgoing::Outgoing;
use crate::peer_link::PeerLink;
use crate::pushing;
use crate::rest::{Pillow, Rest};
use crate::shared::{Shared, live_settings};
use crate::slice;
use crate::writer::{self, ORDERS_MAX};
use controller::{
    Controller, ControllerStartError, Event, PeerId, PeerSettings, Retention, Settings, Start, seat,
};
use journal::{Journal, JournalError, OpenError, Options, RealDisk, Recovered};
use std::collections::BTreeMap;
use std::io;
use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::channel;
use tokio::task::LocalSet;

/// Connections that the kernel may hold before they are accepted. Source: upstream's `SO_BACKLOG`.
const BACKLOG: u32 = 1_024;

/// What the writer may have said and the core not yet heard.
const DONE_MAX: usize = 4_096;

/// Connections that said to be a peer's and are not read among those yet.
const PEER_READERS_MAX: usize = 64;

/// How often idle and slow connections are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// Why a controller did not start, or stopped.
#[derive(Debug, Error)]
pub enum NodeError {
    /// The journal cannot be opened; the text says what to do.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The journal failed while running.
    #[error("the journal failed, so this process ends: {0}")]
    Journal(JournalError),
    /// What the journal holds contradicts itself.
    #[error(transparent)]
    Start(#[from] ControllerStartError),
    /// The port cannot be had.
    #[error("cannot listen on {address} (bindAddress and the own entry of the peers): {source}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Data of a Java controller lies where a first start would put ours.
    #[error(
        "{} holds data of a Java controller, which is not taken over: brokers registered there would be unknown \
         here. Choose another controllerStorePath, or set pitchover.javaStore=ignore to start beside it and empty; \
         Java's files are not touched",
        path.display()
    )]
    JavaStore {
        /// What was found.
        path: PathBuf,
    },
    /// The system allows too few descriptors.
    #[error(
        "the limit of open files is {0}, below DESCRIPTORS_MIN ({DESCRIPTORS_MIN}): raise it, for example \
         with LimitNOFILE or ulimit -n"
    )]
    Descriptors(u64),
    /// The runtime, a thread or a signal handler cannot be had.
    #[error("cannot {what}: {source}")]
    System {
        /// What was wanted.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
}

/// Runs one controller until SIGTERM or SIGINT. `on_start` is called once, when the port is open.
///
/// # Errors
/// Any [`NodeError`]; nothing is left half-written.
pub fn run(config: Config, version: &str, on_start: impl FnOnce()) -> Result<(), NodeError> {
    let system = |what| move |source| NodeError::System { what, source };
    let mut on_start = Some(on_start);
    loop {
        let pillow = Pillow::default();
        let hook = pillow.clone();
        // With the runtime and the set go all tasks and sockets, so that a second life finds its ports free.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .on_thread_park(move || hook.rest())
            .build()
            .map_err(system("start the runtime"))?;
        let started = || {
            if let Some(on_start) = on_start.take() {
                on_start();
            }
        };
        // Boxed, since the state of a whole node is too much for a stack frame.
        let life = Box::pin(serve(config.clone(), version, pillow, started));
        if LocalSet::new().block_on(&runtime, life)? == Life::Over {
            return Ok(());
        }
        tracing::info!("starting anew as another member");
    }
}

/// How one life of a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// It was asked to stop.
    Over,
    /// It goes on as another member, from what is on its disk now.
    Anew,
}

async fn serve(
    config: Config,
    version: &str,
    pillow: Pillow,
    on_start: impl FnOnce(),
) -> Result<Life, NodeError> {
    let clock = Clock::start();
    let me = PeerId(config.me.peer_id);
    refuse_java_store(&config)?;
    let shares = descriptors::claim().map_err(NodeError::Descriptors)?;
    let sockets = bind_all(&config)?;
    let pages = bind_pages(&config)?;
    let (journal, recovered) = open_journal(&config, me)?;
    let nonce = draw_nonce();
    let listeners = listen(sockets)?;
    let admin_text = pages.first().map_or_else(String::new, |page| page.address().to_string());
    let member = recovered.identity.as_ref().map_or(me, |identity| identity.peer);
    let settings = core_settings(&config, (member, nonce), version, &admin_text);
    let controller = Controller::new(clock.now(), settings, start_of(recovered))?;
    let hello = Hello { version: LINK_VERSION, cluster: config.cluster_id, peer: member, nonce };
    let metrics = Metrics::new(&config);
    let (peer_readers, peers) = channel(PEER_READERS_MAX);
    let accepted = (shares.accepted, peer_readers);
    let shared = Rc::new(Shared::new(clock, config, metrics, hello, accepted));

    let (orders, orders_in) = sync_channel(ORDERS_MAX);
    let (done_out, done) = channel(DONE_MAX);
    let cluster = shared.config.cluster_id;
    let writer = std::thread::Builder::new()
        .name("journal".to_owned())
        .spawn(move || writer::run(journal, cluster, clock, &orders_in, &done_out))
        .map_err(|source| NodeError::System { what: "start the journal thread", source })?;

    let links = keep_links(&shared, me);
    let connect_timeout = Duration::from_millis(shared.config.timing.connect_timeout_ms);
    let teller = Rc::clone(&shared);
    let tell = Rc::new(move |event| teller.tell(event));
    let outgoing = Outgoing::new(connect_timeout, shares, tell);
    // All clients take turns with each peer and each task here as if they were one.
    let clients = LocalSet::new();
    for listener in listeners {
        clients.spawn_local(accept(Rc::clone(&shared), listener));
    }
    tokio::task::spawn_local(clients);
    tokio::task::spawn_local(connection::serve_peers(Rc::clone(&shared), peers));
    tokio::task::spawn_local(sweep(Rc::clone(&shared)));
    tokio::task::spawn_local(wait_for_signal(Rc::clone(&shared)));
    let gauges = Gauges::new(&shared.config, clock);
    let page = admin::router(gauges.pages(&shared.metrics));
    let routers = [page, admin::metrics_router(shared.metrics.clone())];
    let _pages = AdminThread::start(pages.into_iter().zip(routers).collect())
        .map_err(|source| NodeError::System { what: "start the admin thread", source })?;
    let pushing = pushing::start(&shared, version)?;
    let stages = Box::default();
    // After the thread of the admin pages, which inherits what this one has.
    slice::ask_for_short_ones();
    tracing::info!(admin = admin_text, "listening");
    on_start();

    let controller = Box::new(controller);
    let orders = Orders::new(orders);
    let rest = Rest::new(pillow, clock.now());
    let core =
        Core { shared, controller, links, outgoing, orders, done, gauges, rest, stages, pushing };
    let end = Box::pin(core.run()).await;
    // The core is gone, and with it the orders: the writer finishes what it has and ends.
    let is_clean = writer.join().is_ok();
    match end {
        End::Stopped if is_clean => Ok(Life::Over),
        End::Restart if is_clean => Ok(Life::Anew),
        End::Stopped | End::Restart => Err(NodeError::System {
            what: "end the journal thread",
            source: io::Error::other("it panicked"),
        }),
        End::Journal(error) => Err(NodeError::Journal(error)),
    }
}

/// A link to every other peer, each kept by a task.
fn keep_links(shared: &Rc<Shared>, me: PeerId) -> BTreeMap<PeerId, Rc<PeerLink>> {
    let others = shared.config.peers.iter().filter(|peer| peer.peer_id != me.0);
    let links = others.map(|peer| {
        let peer_id = PeerId(peer.peer_id);
        let link = Rc::new(PeerLink::new(peer_id, peer.peer_address.clone()));
        tokio::task::spawn_local(Rc::clone(&link).keep(Rc::clone(shared)));
        (peer_id, link)
    });
    links.collect()
}

/// Before anything is made: the first start in a Java controller's place is a decision.
fn refuse_java_store(config: &Config) -> Result<(), NodeError> {
    let is_meant = config.settings.text("pitchover.javaStore") == "ignore";
    if is_meant || config.data_path.exists() {
        return Ok(());
    }
    let found = config.data_path.parent().and_then(java_store::found);
    found.map_or(Ok(()), |path| Err(NodeError::JavaStore { path }))
}

fn open_journal(config: &Config, me: PeerId) -> Result<(Journal<RealDisk>, Recovered), NodeError> {
    let disk = RealDisk::open(&config.data_path)?;
    let options = Options { sync: config.durability == Durability::Fsync, ..segment_sizes(config) };
    // Whoever sits on this seat: a peer that lost its disk came back under a new id (rule M4).
    let identity = journal::read_identity(&disk)?;
    let member = identity.map(|identity| identity.peer).filter(|member| seat(*member) == me);
    let (journal, recovered) =
        Journal::open(disk, config.cluster_id, member.unwrap_or(me), options)?;
    for note in &recovered.notes {
        tracing::warn!(?note, "recovery");
    }
    tracing::info!(
        path = %config.data_path.display(),
        entries = recovered.entries.len(),
        term = recovered.hard_state.term.0,
        "journal open"
    );
    Ok((journal, recovered))
}

fn segment_sizes(config: &Config) -> Options {
    let default = Options::default();
    let segment_bytes = config.limit("segmentBytes").unwrap_or(default.segment_bytes);
    Options { segment_bytes, ..default }
}

fn start_of(recovered: Recovered) -> Start {
    let is_empty = recovered.identity.is_none();
    match recovered.into_restored() {
        Some((restored, snapshot)) => Start::Founded { restored, snapshot },
        None if is_empty => Start::Empty,
        None => Start::Founding,
    }
}

fn core_settings(
    config: &Config,
    (member, nonce): (PeerId, u64),
    version: &str,
    admin_address: &str,
) -> Settings {
    let peers = config.peers.iter().map(|peer| PeerSettings {
        id: PeerId(peer.peer_id),
        name: peer.name.as_str().into(),
        // Every peer names itself as it wants to be called, and the others by their entries.
        broker_address: if peer.peer_id == config.me.peer_id {
            config.advertised_address.as_str().into()
        } else {
            peer.broker_address.as_str().into()
        },
    });
    Settings {
        me: PeerId(config.me.peer_id),
        member,
        peers: peers.collect(),
        group: config.group.as_str().into(),
        peers_text: config.peers_text.as_str().into(),
        leader_id_is_address: config.style == Style::TwoPorts,
        election_timeout_ms: config.timing.election_timeout_ms,
        naming: config.naming,
        read_mode: config.read_mode,
        boot_nonce: nonce,
        seed: nonce.rotate_left(17),
        live: live_settings(&config.live, config),
        retention: Retention::default(),
        version: version.into(),
        durability: match config.durability {
            Durability::Fsync => "fsync",
            Durability::Async => "async",
        }
        .into(),
        process_id: std::process::id(),
        admin_address: admin_address.into(),
    }
}

/// The admin address first; the page of the exporter `PROM` after it, if it is asked for.
fn bind_pages(config: &Config) -> Result<Vec<Admin>, NodeError> {
    let listen = |address| move |source| NodeError::Listen { address, source };
    let wanted = config.admin;
    let mut pages = vec![Admin::bind(wanted).map_err(listen(wanted.address.to_string()))?];
    if config.metrics.exporter == Exporter::Prom {
        let (host, port) = &config.metrics.prom_address;
        let page = Admin::bind_host(host, *port);
        pages.push(page.map_err(listen(format!("{host}:{port}")))?);
    }
    Ok(pages)
}

/// A number that no earlier start of this peer drew: the clock and the process id are enough, since two starts of
/// one peer never overlap (the journal is locked).
fn draw_nonce() -> u64 {
    wall_nanos() ^ u64::from(std::process::id()).rotate_left(40)
}

/// A port that is ours and not open yet, with the address that was asked for.
struct Bound {
    socket: TcpSocket,
    address: String,
}

fn bind_all(config: &Config) -> Result<Vec<Bound>, NodeError> {
    let mut ports = vec![config.broker_port];
    if config.peer_port != config.broker_port {
        ports.push(config.peer_port);
    }
    let mut sockets = Vec::with_capacity(ports.len());
    for port in ports {
        let address = format!("{}:{port}", config.bind_address);
        match bind(&address) {
            Ok(socket) => sockets.push(Bound { socket, address }),
            Err(source) => return Err(NodeError::Listen { address, source }),
        }
    }
    Ok(sockets)
}

fn bind(address: &str) -> io::Result<TcpSocket> {
    let mut found = address.to_socket_addrs()?;
    let address = found.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn listen(sockets: Vec<Bound>) -> Result<Vec<TcpListener>, NodeError> {
    let listen = |Bound { socket, address }| {
        socket.listen(BACKLOG).map_err(|source| NodeError::Listen { address, source })
    };
    sockets.into_iter().map(listen).collect()
}

async fn accept(shared: Rc<Shared>, listener: TcpListener) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _from)) => stream,
            Err(error) => {
                // Out of descriptors, usually: those that are open go on, and some will close.
                tracing::error!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if shared.connections.borrow().len() >= shared.connections_max {
            shared.metrics.refused("CONNECTIONS_MAX");
            continue;
        }
        if let Err(error) = tune(&stream, &shared.config.sockets) {
            // A socket without these options is slower and no less right.
            tracing::debug!(%error, "socket options not set");
        }
        connection::open(&shared, stream);
    }
}

fn tune(stream: &TcpStream, sockets: &SocketConfig) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(stream);
    let bytes = |bytes: u32| usize::try_from(bytes).unwrap_or(usize::MAX);
    if let Some(size) = sockets.send_buffer_bytes {
        socket.set_send_buffer_size(bytes(size))?;
    }
    if let Some(size) = sockets.receive_buffer_bytes {
        socket.set_recv_buffer_size(bytes(size))?;
    }
    Ok(())
}

/// Closes connections that were silent too long, or hold an unfinished frame.
async fn sweep(shared: Rc<Shared>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let now = shared.clock.now();
        let idle_secs = shared.live.get().idle_secs_max;
        for connection in shared.connections.borrow().values() {
            if let Some(limit) = connection.overdue(now, idle_secs, shared.inbound_limits) {
                shared.metrics.refused(limit);
                connection.close();
            }
        }
    }
}

async fn wait_for_signal(shared: Rc<Shared>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("no signal handler: this process cannot be asked to stop");
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping: leadership is handed over first");
    shared.is_stopping.set(true);
    shared.tell(Event::Stop);
}

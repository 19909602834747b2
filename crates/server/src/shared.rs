//! What the tasks of one controller process share. They all run on one thread, so nothing here is locked.

use crate::change::Changes;
use crate::clock::Clock;
use crate::config::{Config, ConfigStore, Live};
use crate::connection::{Connection, InboundLimits, Outbound, Reader};
use crate::hello::Hello;
use crate::inbox::{Inbox, Worth};
use crate::metrics::Metrics;
use crate::refuse;
use bytes::BytesMut;
use controller::{ConnectionId, Event, LiveSettings, PeerId};
use protocol::Response;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;

/// Connections accepted at once, peers included; more are closed at once.
pub(crate) const CONNECTIONS_MAX: usize = 100_000;

/// See the module.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) config: Config,
    pub(crate) store: RefCell<ConfigStore>,
    pub(crate) live: Cell<Live>,
    /// Connections that may be open at once.
    pub(crate) connections_max: usize,
    pub(crate) inbound_limits: InboundLimits,
    /// Bytes of unfinished frames that all connections keep.
    pub(crate) inbound_bytes: Cell<usize>,
    pub(crate) outbound: Rc<Outbound>,
    pub(crate) metrics: Metrics,
    pub(crate) hello: Hello,
    pub(crate) inbox: Inbox,
    pub(crate) changes: Changes,
    pub(crate) wake: Notify,
    pub(crate) connections: RefCell<BTreeMap<ConnectionId, Rc<Connection>>>,
    /// The connection over which each seat's newest hello came (rule N3).
    pub(crate) peer_connections: RefCell<BTreeMap<PeerId, ConnectionId>>,
    /// Where connections go that turned out to be a peer's.
    pub(crate) peer_readers: Sender<Reader>,
    /// Where every connection's bytes are read to before they are cut into frames.
    pub(crate) scratch: RefCell<BytesMut>,
    pub(crate) is_stopping: Cell<bool>,
    next_connection: Cell<u64>,
}

impl Shared {
    pub(crate) fn new(
        clock: Clock,
        config: Config,
        metrics: Metrics,
        hello: Hello,
        (connections_max, peer_readers): (usize, Sender<Reader>),
    ) -> Self {
        Self {
            clock,
            store: RefCell::new(ConfigStore::new(&config)),
            live: Cell::new(config.live),
            connections_max,
            inbound_limits: InboundLimits::of(&config),
            inbound_bytes: Cell::new(0),
            outbound: Rc::new(Outbound::new(&config, clock, metrics.clone())),
            inbox: Inbox::new(config.request_queue_max),
            changes: Changes::default(),
            config,
            metrics,
            hello,
            wake: Notify::new(),
            connections: RefCell::default(),
            peer_connections: RefCell::default(),
            peer_readers,
            scratch: RefCell::default(),
            is_stopping: Cell::new(false),
            next_connection: Cell::new(0),
        }
    }

    /// Hands an event to the core, before all requests.
    pub(crate) fn tell(&self, event: Event) {
        self.inbox.tell(event);
        self.wake.notify_one();
    }

    /// Hands a request to the core; the answer "busy" if there is no room for it.
    pub(crate) fn ask(&self, code: i32, event: Event) -> Option<Response> {
        match self.inbox.ask(Worth::of(code), event) {
            Ok(()) => {
                self.wake.notify_one();
                None
            }
            Err(limit) => {
                self.metrics.refused(limit);
                Some(refuse::busy())
            }
        }
    }

    pub(crate) fn next_connection(&self) -> ConnectionId {
        self.next_connection.set(self.next_connection.get() + 1);
        ConnectionId(self.next_connection.get())
    }

    pub(crate) fn connection(&self, id: ConnectionId) -> Option<Rc<Connection>> {
        self.connections.borrow().get(&id).cloned()
    }
}

/// The settings that the core reacts to while running.
pub(crate) fn live_settings(live: &Live, config: &Config) -> LiveSettings {
    LiveSettings {
        enable_elect_unclean_master: live.brokers.is_unclean_allowed,
        notify_broker_role_changed: live.brokers.is_notified,
        replace_wiped: config.replace_wiped,
        broker_close_grace_ms: config.timing.broker_close_grace_ms,
        masters: config.masters.clone(),
    }
}

//! Configuration: every upstream key and ours, read from files, environment and command line.
//!
//! ```text
//! Sources ──Settings::read──▶ Settings (every key, its value, its origin) ──▶ Config (typed)
//!    file, environment,          │        └─▶ print::items       -p             │
//!    command line                └─▶ ConfigStore: 1010 lists, 1009 changes      └─▶ the server
//! ```
//!
//! | Question | Open |
//! |---|---|
//! | which keys there are, with default and effect | `config/field.rs` |
//! | how a text becomes a number or a boolean | `config/value.rs` |
//! | which environment variable sets what | `config/source.rs` |
//! | who wins, and what is warned about | `config/settings.rs` |
//! | how peers and their dashes are read | `config/peer.rs` |
//! | what 1010 answers, what 1009 may change | `config/store.rs` |
//! | what `-p` prints | `config/print.rs` |
//! | what is exported to collectors | `config/exports.rs` |
//! | the texts of warnings and errors | `config/report.rs` |
//!
//! Invariants: what Java ignores is ignored here too and gives a [`Warning`]; what Java refuses is
//! refused with its text; beyond that only our own keys, peers that cannot form a cluster, and a
//! demand for TLS that this version cannot meet are refused. A [`Config`] does not change after
//! start; the few settings that 1009 changes at run time are in [`Live`].
//!
//! Not here: opening sockets, making folders, logging. Warnings are handed to the caller.

pub mod exports;
pub mod field;
pub mod live;
pub mod peer;
pub mod print;
pub mod report;
pub mod settings;
pub mod source;
pub mod store;
pub mod value;

use std::net::SocketAddr;
use std::path::PathBuf;

use controller::{LeaderNaming, MasterLists, ReadMode, ReplaceWiped};

pub use exports::Exports;
pub use live::{Live, LiveChange};
pub use peer::{PEERS_MAX, PeerConfig, Style};
pub use report::{ConfigError, ConfigErrors, Invalid, Oddity, Origin, Warning};
pub use settings::{ReadSettings, Setting, Settings};
pub use source::{ConfigFile, Sources};
pub use store::{ConfigStore, StoredFile, UPDATE_KEYS_MAX, UpdateAnswer, UpdateOutcome};

/// Bounds of `jRaftElectionTimeoutMs`: below, a disk's hiccup deposes the leader; above, nobody
/// waits that long for a new one.
pub const ELECTION_TIMEOUT_MS: (i64, i64) = (50, 600_000);

/// When a write counts as durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// After a sync of the disk.
    Fsync,
    /// After the write: for comparisons only.
    Async,
}

/// Shape of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Java's line shape.
    Text,
    /// One JSON object a line.
    Json,
}

/// Which exporter the metrics go to besides the admin address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exporter {
    /// None.
    Disable,
    /// Pushed to a collector.
    OtlpGrpc,
    /// A page of its own at [`MetricsConfig::prom_address`].
    Prom,
    /// Logged.
    Log,
}

/// The admin address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdminAddress {
    /// Where to listen.
    pub address: SocketAddr,
    /// Whether somebody asked for it: then a busy port is an error, else any free one will do.
    pub is_explicit: bool,
}

/// What metrics need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsConfig {
    /// The exporter.
    pub exporter: Exporter,
    /// Host and port of the `PROM` exporter.
    pub prom_address: (String, u16),
    /// Labels on every series of upstream's set: the pairs of `metricsLabel`.
    pub labels: Vec<(String, String)>,
    /// Exports say what was counted since the last one, and not since the start.
    pub is_delta: bool,
    /// What is exported, and where to.
    pub exports: Box<Exports>,
}

/// Socket buffers; `None` leaves the system's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketConfig {
    /// Bytes of the send buffer.
    pub send_buffer_bytes: Option<u32>,
    /// Bytes of the receive buffer.
    pub receive_buffer_bytes: Option<u32>,
}

/// Durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Campaign time-out E.
    pub election_timeout_ms: u64,
    /// Grace after a broker's connection closed.
    pub broker_close_grace_ms: u64,
    /// For connections to brokers.
    pub connect_timeout_ms: u64,
}

/// Everything the server needs to know, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Cluster name, answered in 1005.
    pub group: String,
    /// One port or two.
    pub style: Style,
    /// All peers, sorted by name; at least one.
    pub peers: Vec<PeerConfig>,
    /// This process, one of `peers`.
    pub me: PeerConfig,
    /// What 1005 answers as `peers`, in configured order.
    pub peers_text: String,
    /// Same on all peers of a cluster: FNV-1a of the group's name and the peers.
    pub cluster_id: u64,
    /// Host part of the listening sockets.
    pub bind_address: String,
    /// Port for brokers and tools.
    pub broker_port: u16,
    /// Port for peers; the same with one port.
    pub peer_port: u16,
    /// The text given to brokers as this peer's address.
    pub advertised_address: String,
    /// Ours alone: `pitchover-<self id>` below `controllerStorePath`, which peers of one host may
    /// share.
    pub data_path: PathBuf,
    /// Durations.
    pub timing: Timing,
    /// What 1009 changes while running, as it is at start.
    pub live: Live,
    /// Which brokers are wanted as masters, and which are not.
    pub masters: MasterLists,
    /// Requests that may wait.
    pub request_queue_max: u64,
    /// Socket buffers.
    pub sockets: SocketConfig,
    /// `JSON` or `ROCKETMQ`: in the line that reports the start.
    pub serialize_type: String,
    /// The admin address.
    pub admin: AdminAddress,
    /// Metrics.
    pub metrics: MetricsConfig,
    /// When a write counts as durable.
    pub durability: Durability,
    /// Whom 1005 names to brokers.
    pub naming: LeaderNaming,
    /// How a leader makes sure of its reads.
    pub read_mode: ReadMode,
    /// Who takes a peer back that lost its disk.
    pub replace_wiped: ReplaceWiped,
    /// Shape of log lines.
    pub log_format: LogFormat,
    /// Filter of log lines.
    pub log_level: String,
    /// Every key with its value and origin, and `pitchover.limits.*`.
    pub settings: Settings,
    /// What is odd, for the caller to log.
    pub warnings: Vec<Warning>,
}

impl Config {
    /// Reads all sources and checks what they say.
    ///
    /// # Errors
    /// All errors at once; see [`ConfigError`]. The first is the one upstream would report.
    pub fn load(sources: &Sources) -> Result<Self, ConfigErrors> {
        Self::resolve(Settings::read(sources)?)
    }

    /// Checks settings that were read before; `-p` needs them unchecked.
    ///
    /// # Errors
    /// As [`Config::load`].
    ///
    /// # Panics
    /// Never by what the settings say: peers and ports were checked a few lines before.
    pub fn resolve(read: ReadSettings) -> Result<Self, ConfigErrors> {
        let ReadSettings { mut settings, mut warnings, errors: wrong_values } = read;
        let mut errors = Vec::new();
        let is_two_ports = settings.text("controllerType") == "jRaft";
        let style = if is_two_ports { Style::TwoPorts } else { Style::OnePort };
        let group_key = if is_two_ports { "jRaftGroupId" } else { "controllerDLegerGroup" };
        let peers = peer::read(&settings, style).map_err(|found| errors.extend(found)).ok();
        errors.extend(peer::require(&settings, &[group_key]).err().into_iter().flatten());
        let admin = admin_address(&settings).map_err(|found| errors.push(found)).ok();
        let masters = masters(&settings).map_err(|found| errors.push(found)).ok();
        errors.extend(check_bounds(&settings));
        errors.extend(wrong_values);
        let (Some(peers), Some(admin), Some(masters), true) =
            (peers, admin, masters, errors.is_empty())
        else {
            return Err(ConfigErrors(errors));
        };

        let me = peers.list.iter().find(|peer| peer.name == peers.own_name).cloned();
        let me = me.expect("the own peer is in the list: peer::read checked it");
        let broker_port = peer::port(&me.broker_address).expect("peer::read checked the port");
        let peer_port = peer::port(&me.peer_address).expect("peer::read checked the port");
        let group = settings.text(group_key).to_owned();
        let cluster_id = cluster_id(&group, &peers.list);
        let data_path = derive(&mut settings, &me, broker_port, &mut warnings);
        let advertised = settings.text("pitchover.advertisedAddr");
        let advertised_address =
            if advertised.is_empty() { &me.broker_address } else { advertised }.to_owned();
        warnings.extend(warn_of_loopback(&settings, &advertised_address, peers.list.len()));
        let (exports, exports_refused) = exports::read(&settings);
        let metrics = metrics(&settings, exports);
        warnings.extend(exports_refused);

        Ok(Self {
            group,
            style,
            peers: peers.list,
            me,
            peers_text: peers.text,
            cluster_id,
            bind_address: settings.text("bindAddress").to_owned(),
            broker_port,
            peer_port,
            advertised_address,
            data_path,
            timing: timing(&settings),
            live: Live::of(&settings),
            masters,
            request_queue_max: settings.amount("controllerRequestThreadPoolQueueCapacity"),
            sockets: sockets(&settings),
            serialize_type: serialize_type(&settings),
            admin,
            metrics,
            durability: match settings.text("pitchover.durability") {
                "async" => Durability::Async,
                _ => Durability::Fsync,
            },
            naming: naming(&settings),
            read_mode: read_mode(&settings),
            replace_wiped: replace_wiped(&settings),
            log_format: match settings.text("pitchover.log.format") {
                "json" => LogFormat::Json,
                _ => LogFormat::Text,
            },
            log_level: settings.text("pitchover.log.level").to_owned(),
            settings,
            warnings,
        })
    }

    /// The peer with this number.
    #[must_use]
    pub fn peer(&self, peer_id: u64) -> Option<&PeerConfig> {
        self.peers.iter().find(|peer| peer.peer_id == peer_id)
    }

    /// The value of `pitchover.limits.<name>`, if set.
    ///
    /// # Panics
    /// If `name` is not in [`field::LIMIT_NAMES`], since setting it would be reported as unknown.
    #[must_use]
    pub fn limit(&self, name: &str) -> Option<u64> {
        assert!(field::LIMIT_NAMES.contains(&name), "name is in LIMIT_NAMES: {name}");
        self.settings.limits().get(name).copied()
    }

    /// The same for what memory may hold, in bytes; `ours` if it is not set.
    ///
    /// # Panics
    /// As [`Self::limit`].
    pub(crate) fn limit_bytes(&self, name: &str, ours: usize) -> usize {
        self.limit(name).map_or(ours, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
    }
}

/// FNV-1a, 64 bits, over the group's name and the sorted peers. Stable for ever: it is on disk.
fn cluster_id(group: &str, peers: &[PeerConfig]) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut text = format!("{group}\n");
    for PeerConfig { name, peer_id: _, broker_address, peer_address } in peers {
        text.push_str(&format!("{name} {broker_address} {peer_address}\n"));
    }
    text.bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

/// Fills in what follows from the peers, so that 1010 shows what is in force. Returns the folder
/// of the data.
fn derive(
    settings: &mut Settings,
    me: &PeerConfig,
    broker_port: u16,
    warnings: &mut Vec<Warning>,
) -> PathBuf {
    if settings.text("controllerStorePath").is_empty() {
        let default = settings.default_store_path();
        settings.set("controllerStorePath", Some(default), Origin::Default);
    }
    let store_path = PathBuf::from(settings.text("controllerStorePath"));
    // An id is one part of a path: no separators, and no drive letters on other systems.
    let folder = me.name.replace([':', '/', '\\'], "-");
    let data_path = store_path.join(format!("pitchover-{folder}"));

    let listen_port = broker_port.to_string();
    let configured = settings.get("listenPort");
    if settings.is_set("listenPort") && configured.value.as_ref() != Some(&listen_port) {
        let text = format!("overwritten by port {listen_port} of the own peer entry");
        let origin = configured.origin.clone();
        let key = "listenPort".to_owned();
        warnings.push(Warning { origin, key, oddity: Oddity::Note(text) });
    }
    settings.set("listenPort", Some(listen_port), Origin::Derived("the own peer entry"));
    data_path
}

fn naming(settings: &Settings) -> LeaderNaming {
    match settings.text("pitchover.leaderNaming") {
        "spread" => LeaderNaming::Spread,
        _ => LeaderNaming::Leader,
    }
}

fn read_mode(settings: &Settings) -> ReadMode {
    match settings.text("pitchover.readMode") {
        "lease" => ReadMode::Lease,
        _ => ReadMode::Index,
    }
}

fn replace_wiped(settings: &Settings) -> ReplaceWiped {
    match settings.text("pitchover.replaceWiped") {
        "manual" => ReplaceWiped::Manual,
        _ => ReplaceWiped::Auto,
    }
}

fn timing(settings: &Settings) -> Timing {
    Timing {
        election_timeout_ms: settings.amount("jRaftElectionTimeoutMs"),
        broker_close_grace_ms: settings.amount("pitchover.brokerCloseGraceMs"),
        connect_timeout_ms: settings.amount("connectTimeoutMillis"),
    }
}

fn sockets(settings: &Settings) -> SocketConfig {
    let bytes = |key| u32::try_from(settings.number(key)).ok().filter(|bytes| *bytes > 0);
    SocketConfig {
        send_buffer_bytes: bytes("serverSocketSndBufSize"),
        receive_buffer_bytes: bytes("serverSocketRcvBufSize"),
    }
}

/// Upstream knows two names and takes anything else for JSON.
fn serialize_type(settings: &Settings) -> String {
    let name = settings.text("rocketmq.serialize.type").to_ascii_uppercase();
    if name == "ROCKETMQ" { name } else { "JSON".to_owned() }
}

fn metrics(settings: &Settings, exports: Exports) -> MetricsConfig {
    let host = settings.text("metricsPromExporterHost");
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    let port = u16::try_from(settings.number("metricsPromExporterPort")).unwrap_or(5557);
    let pairs = settings.text("metricsLabel").split(',').filter_map(|pair| pair.split_once(':'));
    let labels = pairs.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()));
    MetricsConfig {
        exporter: match settings.text("metricsExporterType") {
            "PROM" => Exporter::Prom,
            "OTLP_GRPC" => Exporter::OtlpGrpc,
            "LOG" => Exporter::Log,
            _ => Exporter::Disable,
        },
        prom_address: (host.to_owned(), port),
        labels: labels.filter(|(key, _)| !key.is_empty()).collect(),
        is_delta: exports.metrics.as_ref().is_some_and(|plan| plan.is_delta),
        exports: Box::new(exports),
    }
}

fn admin_address(settings: &Settings) -> Result<AdminAddress, ConfigError> {
    let key = "pitchover.adminAddr";
    let text = settings.text(key).replace("localhost", "127.0.0.1");
    let is_explicit = settings.is_set(key);
    let address = text.parse().map_err(|error: std::net::AddrParseError| {
        invalid(settings, key, &error.to_string(), "ip:port, for example 127.0.0.1:9557")
    })?;
    Ok(AdminAddress { address, is_explicit })
}

fn masters(settings: &Settings) -> Result<MasterLists, ConfigError> {
    let (preferred, never) = ("pitchover.preferredMasters", "pitchover.neverMaster");
    MasterLists::parse(settings.text(preferred), settings.text(never)).map_err(
        |(is_preferred, error)| {
            let key = if is_preferred { preferred } else { never };
            invalid(settings, key, &error.to_string(), "set:id, host:port or host:*, with , or ;")
        },
    )
}

/// Values that Java would take and that we cannot honour.
fn check_bounds(settings: &Settings) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let key = "jRaftElectionTimeoutMs";
    let (least, most) = ELECTION_TIMEOUT_MS;
    if !(least..=most).contains(&settings.number(key)) {
        let allowed = format!("{least} to {most} (ELECTION_TIMEOUT_MS)");
        errors.push(invalid(settings, key, "no usable time-out", &allowed));
    }
    // Whoever demands TLS must not get plain text without noticing.
    if settings.text("tls.server.mode") == "enforcing" {
        let problem = "this version has no TLS";
        errors.push(invalid(settings, "tls.server.mode", problem, "permissive, disabled"));
    }
    errors
}

fn invalid(settings: &Settings, key: &str, problem: &str, allowed: &str) -> ConfigError {
    let Setting { value, origin } = settings.get(key).clone();
    Invalid {
        key: key.to_owned(),
        value: value.unwrap_or_default(),
        origin,
        problem: problem.to_owned(),
        allowed: allowed.to_owned(),
    }
    .into()
}

/// Brokers on other hosts cannot use a loopback address. A single peer is taken for a trial.
fn warn_of_loopback(settings: &Settings, advertised: &str, peers: usize) -> Option<Warning> {
    let is_loopback = |host: &str| host.starts_with("127.") || host.starts_with("localhost");
    let is_hidden = is_loopback(settings.text("bindAddress"));
    let is_odd = is_loopback(advertised) && !is_hidden && peers > 1;
    is_odd.then(|| Warning {
        origin: settings.get("pitchover.advertisedAddr").origin.clone(),
        key: "pitchover.advertisedAddr".to_owned(),
        oddity: Oddity::Note(format!("brokers on other hosts cannot reach {advertised}")),
    })
}

//! The peers: who they are, where brokers and peers reach them, and which one is this process.
//!
//! | Style | Keys | A peer is called | Brokers connect to | Peers connect to |
//! |---|---|---|---|---|
//! | one port | `controllerDLegerPeers` = `id-host:port;…` | its id | its entry | the same |
//! | two ports | `jRaftInitConf`, `jRaftControllerRPCAddr` = `host:port,…` | its Raft address | its entry of the second list | its entry of the first |
//!
//! **Dashes.** Ids and hosts may both hold dashes, so `id-host:port` alone is ambiguous, and only the
//! self id settles it: the own entry starts with it and a dash. If no entry does, dashes do not count
//! (the operator's `my-ctl0-my-ctl-0.svc:9878` with the self id `myctl0`), the longest such id wins,
//! and all ids lose their dashes. The other ids have as many dashes as the own one has. So every
//! peer of a cluster, each with its own self id, reads the same names out of the same list.
//!
//! Invariants of the result: one peer or more; names, broker addresses and peer addresses are each
//! unique; peers are sorted by name and numbered from 1 in that order.

use super::report::{ConfigError, Invalid, Origin};
use super::settings::Settings;

/// Peers of one cluster. Quorums beyond seven have no use; the limit only stops a wrong file.
pub const PEERS_MAX: usize = 31;

/// Which of upstream's two conventions for ports is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `controllerType` is anything but `jRaft`: one port for brokers, tools and peers.
    OnePort,
    /// `controllerType` is `jRaft`: a port for brokers and tools, another for peers.
    TwoPorts,
}

/// One controller of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerConfig {
    /// `n0`, or the Raft address with two ports.
    pub name: String,
    /// 1 plus its rank among the names.
    pub peer_id: u64,
    /// `host:port` for brokers and tools, as configured.
    pub broker_address: String,
    /// `host:port` for peers, as configured.
    pub peer_address: String,
}

/// The peers of a cluster, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peers {
    /// Sorted by name.
    pub list: Vec<PeerConfig>,
    /// Name of this process among them.
    pub own_name: String,
    /// What 1005 answers as `peers`: in the order of the key, `n0:127.0.0.1:9878;…` or, with two
    /// ports, `127.0.0.1:9770;…`.
    pub text: String,
}

/// The port of `host:port`.
#[must_use]
pub fn port(address: &str) -> Option<u16> {
    let (host, port) = address.rsplit_once(':')?;
    let is_plain = !host.is_empty() && (!host.contains(':') || host.starts_with('['));
    let port = port.parse().ok().filter(|port| *port > 0);
    port.filter(|_| is_plain && !host.contains(char::is_whitespace))
}

/// Reads the peers in the given style.
///
/// # Errors
/// All that is wrong, each naming its key: a missing key, an entry without id or with a bad
/// address, a repeated id or address, lists of different length, or a self id that no entry has.
pub(super) fn read(settings: &Settings, style: Style) -> Result<Peers, Vec<ConfigError>> {
    match style {
        Style::OnePort => one_port(settings),
        Style::TwoPorts => two_ports(settings),
    }
}

/// Names the missing ones of `keys`, in their order.
pub(super) fn require(settings: &Settings, keys: &[&'static str]) -> Result<(), Vec<ConfigError>> {
    let missing = keys.iter().filter(|key| settings.text(key).is_empty());
    let errors: Vec<ConfigError> = missing.map(|key| ConfigError::Missing { key }).collect();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn one_port(settings: &Settings) -> Result<Peers, Vec<ConfigError>> {
    const PEERS: &str = "controllerDLegerPeers";
    const SELF_ID: &str = "controllerDLegerSelfId";
    require(settings, &[PEERS, SELF_ID])?;
    let own = settings.text(SELF_ID);
    let list = Entries::new(settings, PEERS, ';');
    let cut = Cut::find(&list.entries, own);
    let mut errors = list.too_many();
    let mut peers = Vec::new();
    for entry in &list.entries {
        match cut.split(entry) {
            Some((id, address)) if !id.is_empty() => {
                errors.extend(list.bad_address(address));
                peers.push(peer(id, address.to_owned(), address.to_owned()));
            }
            _ => errors.push(list.invalid(entry, "no id before the host", "id-host:port;…")),
        }
    }
    let text: Vec<String> =
        peers.iter().map(|peer| format!("{}:{}", peer.name, peer.broker_address)).collect();
    let own_name = peers.iter().find(|peer| peer.name == own).map(|peer| peer.name.clone());
    let own_name = own_name.unwrap_or_else(|| cut.name(own));
    if !peers.iter().any(|peer| peer.name == own_name) {
        let ids: Vec<&str> = peers.iter().map(|peer| peer.name.as_str()).collect();
        errors.push(not_among(settings, SELF_ID, &ids));
    }
    errors.extend(repeated(&list, peers.iter().map(|peer| peer.name.as_str()), "id"));
    let addresses = peers.iter().map(|peer| peer.broker_address.as_str());
    errors.extend(repeated(&list, addresses, "address"));
    finish(peers, own_name, text.join(";"), errors)
}

fn two_ports(settings: &Settings) -> Result<Peers, Vec<ConfigError>> {
    const PEERS: &str = "jRaftInitConf";
    const BROKERS: &str = "jRaftControllerRPCAddr";
    const SELF_ID: &str = "jRaftServerId";
    require(settings, &[PEERS, SELF_ID, BROKERS])?;
    let raft = Entries::new(settings, PEERS, ',');
    let brokers = Entries::new(settings, BROKERS, ',');
    let mut errors = raft.too_many();
    errors.extend(raft.entries.iter().filter_map(|entry| raft.bad_address(entry)));
    errors.extend(brokers.entries.iter().filter_map(|entry| brokers.bad_address(entry)));
    if raft.entries.len() != brokers.entries.len() {
        let problem =
            format!("{} addresses, but {PEERS} has another number", brokers.entries.len());
        let allowed = format!("{} addresses in the order of {PEERS}", raft.entries.len());
        errors.push(brokers.invalid(settings.text(BROKERS), &problem, &allowed));
    }
    let own = settings.text(SELF_ID);
    if !raft.entries.contains(&own) {
        errors.push(not_among(settings, SELF_ID, &raft.entries));
    }
    errors.extend(repeated(&raft, raft.entries.iter().copied(), "address"));
    errors.extend(repeated(&brokers, brokers.entries.iter().copied(), "address"));
    let pairs = raft.entries.iter().zip(&brokers.entries);
    let peers =
        pairs.map(|(raft, broker)| peer(raft.to_string(), broker.to_string(), raft.to_string()));
    finish(peers.collect(), own.to_owned(), brokers.entries.join(";"), errors)
}

fn peer(name: String, broker_address: String, peer_address: String) -> PeerConfig {
    PeerConfig { name, peer_id: 0, broker_address, peer_address }
}

fn finish(
    mut list: Vec<PeerConfig>,
    own_name: String,
    text: String,
    errors: Vec<ConfigError>,
) -> Result<Peers, Vec<ConfigError>> {
    if !errors.is_empty() {
        return Err(errors);
    }
    list.sort_by(|one, other| one.name.cmp(&other.name));
    for (peer, peer_id) in list.iter_mut().zip(1..) {
        peer.peer_id = peer_id;
    }
    assert!(list.iter().any(|peer| peer.name == own_name), "the own peer is in the list");
    Ok(Peers { list, own_name, text })
}

/// Where an entry `id-host:port` is cut, and what its id is called.
struct Cut {
    /// Dashes inside an id.
    dashes: usize,
    /// Whether ids lose their dashes: the self id has none where the entries have some.
    is_plain: bool,
}

impl Cut {
    fn find(entries: &[&str], own: &str) -> Self {
        let dashes = |id: &str| id.matches('-').count();
        let is_own =
            |entry: &&&str| entry.strip_prefix(own).is_some_and(|rest| rest.starts_with('-'));
        if entries.iter().find(is_own).is_some() {
            return Self { dashes: dashes(own), is_plain: false };
        }
        let plain = plain(own);
        let prefixes = entries
            .iter()
            .flat_map(|entry| entry.match_indices('-').filter_map(|(at, _)| entry.get(..at)));
        let own_ids = prefixes.filter(|prefix| self::plain(prefix) == plain);
        match own_ids.max_by_key(|id| id.len()) {
            Some(id) => Self { dashes: dashes(id), is_plain: true },
            None => Self { dashes: 0, is_plain: false },
        }
    }

    fn split<'a>(&self, entry: &'a str) -> Option<(String, &'a str)> {
        let (at, _) = entry.match_indices('-').nth(self.dashes)?;
        let (id, rest) = entry.split_at_checked(at)?;
        Some((self.name(id), rest.strip_prefix('-')?))
    }

    fn name(&self, id: &str) -> String {
        if self.is_plain { plain(id) } else { id.to_owned() }
    }
}

fn plain(id: &str) -> String {
    id.replace('-', "")
}

/// The entries of a list in one key.
struct Entries<'a> {
    key: &'static str,
    origin: Origin,
    entries: Vec<&'a str>,
}

impl<'a> Entries<'a> {
    /// Blanks around an entry and empty entries go; Java would stumble over them.
    fn new(settings: &'a Settings, key: &'static str, separator: char) -> Self {
        let all = settings.text(key).split(separator).map(str::trim);
        let entries = all.filter(|entry| !entry.is_empty()).collect();
        Self { key, origin: settings.get(key).origin.clone(), entries }
    }

    fn invalid(&self, value: &str, problem: &str, allowed: &str) -> ConfigError {
        Invalid {
            key: self.key.to_owned(),
            value: value.to_owned(),
            origin: self.origin.clone(),
            problem: problem.to_owned(),
            allowed: allowed.to_owned(),
        }
        .into()
    }

    fn bad_address(&self, address: &str) -> Option<ConfigError> {
        let allowed = "host:port with a port from 1 to 65535";
        port(address).is_none().then(|| self.invalid(address, "not an address", allowed))
    }

    fn too_many(&self) -> Vec<ConfigError> {
        let count = self.entries.len();
        let problem = format!("{count} peers");
        let allowed = format!("1 to PEERS_MAX = {PEERS_MAX} peers");
        let is_wrong = count == 0 || count > PEERS_MAX;
        is_wrong.then(|| self.invalid("…", &problem, &allowed)).into_iter().collect()
    }
}

fn not_among(settings: &Settings, key: &'static str, names: &[&str]) -> ConfigError {
    Invalid {
        key: key.to_owned(),
        value: settings.text(key).to_owned(),
        origin: settings.get(key).origin.clone(),
        problem: "not one of the peers".to_owned(),
        allowed: names.join(", "),
    }
    .into()
}

/// One error for each value that stands there again.
fn repeated<'a>(
    list: &Entries<'_>,
    values: impl Iterator<Item = &'a str>,
    what: &str,
) -> Vec<ConfigError> {
    let mut seen: Vec<&str> = Vec::new();
    let mut errors = Vec::new();
    for value in values {
        if seen.contains(&value) {
            let problem = format!("the {what} stands there twice");
            errors.push(list.invalid(value, &problem, &format!("each {what} once")));
        }
        seen.push(value);
    }
    errors
}

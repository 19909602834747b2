//! The canary's own broker set: two replicas that live here, founded at the start and removed at the end.
//!
//! Its replicas listen, each on a port of its own, at the address from which this host reaches the controllers: a
//! controller asks a replica's address whether it lives, and sends role notices there. Nothing else is ever written to.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use client::{Cluster, Deadline};
use protocol::{
    ElectMaster, Frame, Request, Response, SyncStateSetBody, Text, response_code, split,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::asking::{ANSWER, Asker, ending};
use super::record::Ending;
use crate::generator::broker::{CLUSTER, Identity, clean, next_id, poll};
use crate::generator::founding::view;
use crate::generator::plan::View;
use crate::generator::shared::epochs;

/// Beginning of the name of every canary's set.
pub const SET_PREFIX: &str = "__pitchover_canary__";

/// Replicas of the set.
pub(super) const REPLICAS: usize = 2;

/// `heartbeatTimeoutMillis` of the replicas: upstream's default.
const HEARTBEAT_TIMEOUT_MS: i64 = 10_000;

/// Longest part of a set's name that comes from the host.
const HOST_CHARS_MAX: usize = 64;

/// How often one step of founding or cleaning is tried, and the pause between.
const ATTEMPTS_MAX: u32 = 50;
const RETRY: Duration = Duration::from_millis(200);

/// How often the set is cleaned at the end: whoever waits for the end is patient for some seconds only.
const LAST_ATTEMPTS_MAX: u32 = 5;

/// Bytes that one connection may have sent without a whole frame: a notice is far smaller.
const NOTICE_BYTES_MAX: usize = 64 * 1024;

/// Why there is no set.
#[derive(Debug, thiserror::Error)]
#[error("{step} of {set}: {why}")]
pub struct SetError {
    step: &'static str,
    set: String,
    why: String,
}

/// The name of the set of a host.
#[must_use]
pub fn set_name(host: &str) -> String {
    let plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.');
    let host: String = host.chars().filter(|it| plain(*it)).take(HOST_CHARS_MAX).collect();
    format!("{SET_PREFIX}{host}")
}

/// The founded set.
#[derive(Debug)]
pub(super) struct OwnSet {
    name: String,
    cluster: Cluster,
    addresses: [SocketAddrV4; REPLICAS],
    /// Their ids, rising: a controller may not give those of a set that was removed again.
    ids: [i64; REPLICAS],
    /// What it is; nothing while that is unknown. Changes are made one after the other.
    known: Mutex<Option<View>>,
    /// Both epochs as they were acknowledged last.
    acknowledged: AtomicU64,
    /// Its replicas listen as long as it lives.
    _listeners: JoinSet<()>,
}

impl OwnSet {
    /// Removes what a crash may have left, and founds the set anew, with both replicas in sync.
    ///
    /// # Errors
    /// - [`SetError`]: a step was refused or lost again and again.
    pub(super) async fn found(
        name: &str,
        targets: &[String],
        asker: &Asker,
    ) -> Result<Self, SetError> {
        let failed = |step, why: String| SetError { step, set: name.to_owned(), why };
        let ip = local_ip(targets).map_err(|why| failed("an address", why))?;
        let mut listeners = JoinSet::new();
        let mut addresses = [SocketAddrV4::new(ip, 0); REPLICAS];
        for address in &mut addresses {
            let listener = TcpListener::bind(*address).await;
            let listener = listener.map_err(|error| failed("a listener", error.to_string()))?;
            let bound =
                listener.local_addr().map_err(|error| failed("a listener", error.to_string()))?;
            address.set_port(bound.port());
            listeners.spawn(listen(listener));
        }
        let mut set = Self {
            name: name.to_owned(),
            cluster: Cluster::new(targets.iter().cloned()),
            addresses,
            ids: [0; REPLICAS],
            known: Mutex::new(None),
            acknowledged: AtomicU64::new(0),
            _listeners: listeners,
        };
        set.removed(ATTEMPTS_MAX).await?;
        if let Err(error) = set.registered(asker).await {
            // What could not be founded is not left behind, if that can be helped.
            drop(set.clean().await);
            return Err(error);
        }
        Ok(set)
    }

    async fn registered(&mut self, asker: &Asker) -> Result<(), SetError> {
        for replica in 0..REPLICAS {
            let answer = self.until_good("the next id", &next_id(&self.name)).await?;
            self.ids[replica] = answer.ext.long("nextBrokerId").ok_or_else(|| SetError {
                step: "the next id",
                set: self.name.clone(),
                why: "the answer has no nextBrokerId".to_owned(),
            })?;
            self.until_good("an id", &self.identity(replica).apply()).await?;
            self.until_good("registration", &self.identity(replica).register()).await?;
        }
        self.crowned(asker).await
    }

    /// Removes the set with all that belongs to it.
    ///
    /// # Errors
    /// - [`SetError`]: it was refused or lost again and again.
    pub(super) async fn clean(&self) -> Result<(), SetError> {
        self.removed(LAST_ATTEMPTS_MAX).await
    }

    async fn removed(&self, attempts: u32) -> Result<(), SetError> {
        let mut why = String::new();
        for _attempt in 0..attempts {
            let answer = self.cluster.call(&clean(&self.name), Deadline::after(ANSWER)).await;
            match ending(answer).0 {
                Ending::Good => return Ok(()),
                // Upstream refuses to clean what is not there.
                Ending::Refused(remark) if is_absent(&remark) => return Ok(()),
                other => why = format!("{other:?}"),
            }
            tokio::time::sleep(RETRY).await;
        }
        Err(SetError { step: "removal", set: self.name.clone(), why })
    }

    async fn until_good(
        &self,
        step: &'static str,
        request: &Request,
    ) -> Result<Response, SetError> {
        let mut why = String::new();
        for _attempt in 0..ATTEMPTS_MAX {
            let answer = self.cluster.call(request, Deadline::after(ANSWER)).await;
            match ending(answer) {
                (_, Some(answer)) => return Ok(answer),
                (other, None) => why = format!("{other:?}"),
            }
            tokio::time::sleep(RETRY).await;
        }
        Err(SetError { step, set: self.name.clone(), why })
    }

    /// Heartbeats until somebody is master and both are in sync.
    async fn crowned(&self, asker: &Asker) -> Result<(), SetError> {
        let mut why = String::new();
        for _attempt in 0..ATTEMPTS_MAX {
            for replica in 0..REPLICAS {
                for node in 0..asker.count() {
                    self.beat(asker, replica, node).await;
                }
            }
            let mut known = self.known.lock().await;
            let tried = match self.look(&mut known).await {
                Ok(view) if view.master.is_none() => {
                    let elected = self.identity(0).elect();
                    ending(self.cluster.call(&elected, Deadline::after(ANSWER)).await).0
                }
                Ok(view) if view.members == self.ids => return Ok(()),
                Ok(_) => self.alter(&mut known, self.ids.to_vec()).await,
                Err(ending) => ending,
            };
            *known = None;
            if !tried.is_good() {
                why = format!("{tried:?}");
                tokio::time::sleep(RETRY).await;
            }
        }
        Err(SetError { step: "founding", set: self.name.clone(), why })
    }

    /// Takes a replica out of the sync-state set, or back into it.
    pub(super) async fn write(&self) -> Ending {
        let mut known = self.known.lock().await;
        let view = match self.look(&mut known).await {
            Ok(view) => view,
            Err(ending) => return ending,
        };
        let Some(master) = view.master else {
            *known = None;
            return Ending::Refused("the set has no master".to_owned());
        };
        let members = if view.members == self.ids { vec![master] } else { self.ids.to_vec() };
        self.alter(&mut known, members).await
    }

    /// Makes the other replica the master.
    pub(super) async fn elect_another(&self) -> Ending {
        let mut known = self.known.lock().await;
        let view = match self.look(&mut known).await {
            Ok(view) => view,
            Err(ending) => return ending,
        };
        if view.members != self.ids {
            let altered = self.alter(&mut known, self.ids.to_vec()).await;
            if !altered.is_good() {
                return altered;
            }
        }
        *known = None;
        let other = if view.master == Some(self.ids[0]) { self.ids[1] } else { self.ids[0] };
        let elect = Request::ElectMaster(ElectMaster {
            cluster_name: CLUSTER.into(),
            broker_name: Text::copied(&self.name),
            broker_id: other,
            designate_elect: true,
            invoke_time_ms: None,
        });
        ending(self.cluster.call(&elect, Deadline::after(ANSWER)).await).0
    }

    /// What one controller says of the set, and in words whether that is less than what was acknowledged before.
    pub(super) async fn read(&self, asker: &Asker, node: usize) -> (Ending, Option<String>) {
        let floor = self.acknowledged.load(Ordering::Acquire);
        let (ending, answer) = asker.ask(node, &poll(&self.name)).await;
        let Some(answer) = answer else { return (ending, None) };
        let seen = epochs(&view(&answer));
        let low = |epochs: u64| epochs & u64::from(u32::MAX);
        let is_less = seen >> 32 < floor >> 32 || low(seen) < low(floor);
        let contradiction = is_less.then(|| {
            let [known_master, known_set] = [floor >> 32, low(floor)];
            let [seen_master, seen_set] = [seen >> 32, low(seen)];
            format!(
                "{}: master epoch {known_master} and set epoch {known_set} were acknowledged, and {} says \
                 {seen_master} and {seen_set} later",
                self.name,
                asker.address(node)
            )
        });
        (ending, contradiction)
    }

    /// A sign of life of one replica, to one controller.
    pub(super) async fn beat(&self, asker: &Asker, replica: usize, node: usize) -> Ending {
        asker.ask(node, &self.identity(replica).heartbeat(HEARTBEAT_TIMEOUT_MS)).await.0
    }

    fn identity(&self, replica: usize) -> Identity<'_> {
        Identity { set: &self.name, id: self.ids[replica], address: self.addresses[replica] }
    }

    /// What the set is: as it is known, or as the leader says.
    async fn look(&self, known: &mut Option<View>) -> Result<View, Ending> {
        if let Some(view) = known {
            return Ok(view.clone());
        }
        let answer = self.cluster.call(&poll(&self.name), Deadline::after(ANSWER)).await;
        let (ended, answer) = ending(answer);
        let seen = view(&answer.ok_or(ended)?);
        self.acknowledged.fetch_max(epochs(&seen), Ordering::AcqRel);
        Ok(known.insert(seen).clone())
    }

    /// Asks for another sync-state set, as the master. What is unknown afterwards is looked at before the next change.
    async fn alter(&self, known: &mut Option<View>, members: Vec<i64>) -> Ending {
        let Some(view) = known.take() else { return Ending::Refused("unknown set".to_owned()) };
        let replica = self.ids.iter().position(|id| Some(*id) == view.master).unwrap_or(0);
        let request =
            self.identity(replica).alter(view.master_epoch, members.clone(), view.set_epoch);
        let answer = self.cluster.call(&request, Deadline::after(ANSWER)).await;
        let (ended, answer) = ending(answer);
        let body = answer.and_then(|answer| SyncStateSetBody::decode(&answer.body));
        if let Some(body) = body {
            let changed = View { members, set_epoch: body.epoch, ..view };
            self.acknowledged.fetch_max(epochs(&changed), Ordering::AcqRel);
            *known = Some(changed);
        }
        ended
    }
}

/// Whether a refusal says that there is no such set.
pub(crate) fn is_absent(remark: &str) -> bool {
    let remark = remark.to_ascii_lowercase();
    ["not exist", "not found", "no such", "unknown"].iter().any(|part| remark.contains(part))
}

/// The address of this host that a controller can reach: the one from which the first that answers is reached.
fn local_ip(targets: &[String]) -> Result<Ipv4Addr, String> {
    let mut why = String::new();
    for target in targets {
        let resolved = target.to_socket_addrs().map(Iterator::collect::<Vec<SocketAddr>>);
        let addresses = match resolved {
            Ok(addresses) => addresses,
            Err(error) => {
                why = format!("{target}: {error}");
                continue;
            }
        };
        for address in addresses {
            let stream = TcpStream::connect_timeout(&address, ANSWER);
            match stream.and_then(|stream| stream.local_addr()) {
                Ok(SocketAddr::V4(own)) => return Ok(*own.ip()),
                Ok(own) => match own.ip() {
                    IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => {
                        return Ok(ip.to_ipv4_mapped().unwrap_or(Ipv4Addr::LOCALHOST));
                    }
                    _ => {
                        why = format!(
                            "{target}: reached by IPv6 only, which broker addresses are not"
                        );
                    }
                },
                Err(error) => why = format!("{target}: {error}"),
            }
        }
    }
    Err(why)
}

/// Takes connections of controllers, and answers what wants an answer.
async fn listen(listener: TcpListener) {
    loop {
        // It fails for one connection, or while descriptors are short; the next one may do.
        let Ok((stream, _from)) = listener.accept().await else {
            tokio::time::sleep(RETRY).await;
            continue;
        };
        tokio::spawn(hear(stream));
    }
}

async fn hear(mut stream: tokio::net::TcpStream) {
    let mut buffer = BytesMut::new();
    loop {
        match stream.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) if buffer.len() > NOTICE_BYTES_MAX => return,
            Ok(_) => {}
        }
        loop {
            let bytes = match split(&mut buffer) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => break,
                Err(_) => return,
            };
            let Ok(frame) = Frame::decode(bytes) else { return };
            if frame.header.is_one_way() {
                continue;
            }
            let (opaque, encoding) = (frame.header.opaque, frame.header.encoding);
            let mut answer = BytesMut::new();
            Response::new(response_code::SUCCESS).encode(opaque, encoding, &mut answer);
            if stream.write_all(&answer).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{is_absent, set_name};

    #[test]
    fn names_are_of_the_host_and_harmless() {
        assert_eq!(set_name("db-1.example"), "__pitchover_canary__db-1.example");
        assert_eq!(set_name("a b;/c\n"), "__pitchover_canary__abc");
        assert!(set_name(&"x".repeat(900)).len() < 100);
    }

    #[test]
    fn what_is_not_there_needs_no_cleaning() {
        assert!(is_absent("code 2008: Broker set: x hasn't been registered or does not exist"));
        assert!(!is_absent("code 1: system busy"));
    }
}

//! One broker, as a controller sees it.
//!
//! ```text
//! start: who leads (1005) ─► id (1012, 1013) ─► register (1003) ─► heartbeat (904) to all ─► elect (1002) if no master
//! then:  904 each second to every controller; 1004 and 1005 now and then; 1008 taken and acknowledged;
//!        as master: 1001 shrinks and expands the sync-state set
//! ```
//!
//! A role is taken only if its master epoch is larger than the known one; after a death the known one is 0
//! again and the id stays. Polls and the question who leads are asked five times as often as upstream asks
//! them, so that a run of minutes sees as much as one of an hour; time-outs of heartbeats are
//! [`HEARTBEAT_TIMEOUT`] instead of 10 s, for the same reason.
//!
//! Source: docs/spec/broker-side.md; upstream `ReplicasManager`.

use super::lines::Lines;
use super::{BROKER_PORT, CLUSTER};
use crate::draw::Draw;
use client::{Deadline, Metadata};
use protocol::{
    AlterBody, AlterSyncStateSet, ApplyBrokerId, BrokerHeartbeat, ElectMaster, Frame,
    GetNextBrokerId, GetReplicaInfo, Header, RegisterBroker, Request, Response, RoleNotice,
    SyncStateSetBody, Text, response_code,
};
use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// How long a broker waits for an answer. Source: upstream, all requests of a broker.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// Source: upstream `brokerHeartbeatInterval`.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(1);

/// After this a silent broker counts as dead.
pub(crate) const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(3);

/// Upstream: 5 s.
const POLL: Duration = Duration::from_secs(1);

/// Rounds of polls between two questions who leads. Upstream: 2, of 5 s.
const POLLS_PER_METADATA: u32 = 2;

/// Upstream: 5 s.
const RETRY: Duration = Duration::from_secs(1);

/// Pause before a listener is tried again that could not be made, or not accept.
const SOCKET_AGAIN: Duration = Duration::from_millis(20);

/// A master asks for another set after a pause drawn from this, in ms.
const ALTER_MS: (u64, u64) = (50, 250);

/// What the run knows of a broker. The id survives its death, as on its disk.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    /// 0 is none yet.
    pub(crate) id: AtomicI64,
    pub(crate) is_alive: AtomicBool,
    /// The master that it follows, or is itself; 0 is none.
    pub(crate) master: AtomicI64,
}

impl Identity {
    /// Of a broker that lives: its id, and the master that it follows.
    fn following(&self) -> Option<(i64, i64)> {
        let (id, master) = (self.id.load(Ordering::Relaxed), self.master.load(Ordering::Relaxed));
        self.is_alive.load(Ordering::Relaxed).then_some((id, master))
    }
}

/// Whether all living brokers of a set, but for the one at `gone`, follow one master, which is one of them (rule L2).
pub(crate) fn follow_one(brokers: &[Identity], gone: Option<usize>) -> bool {
    let others = brokers.iter().enumerate().filter(|(place, _)| Some(*place) != gone);
    let living: Vec<(i64, i64)> = others.filter_map(|(_, one)| one.following()).collect();
    let Some((_, master)) = living.first() else { return false };
    living.iter().all(|(_, followed)| followed == master)
        && living.iter().any(|(id, _)| id == master)
}

/// What a broker knows of its set.
#[derive(Clone, Debug, Default)]
struct Role {
    master: Option<i64>,
    master_epoch: i32,
    set: Vec<i64>,
    set_epoch: i32,
}

/// One broker that lives.
pub(crate) struct Broker {
    pub(crate) set: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) lines: Arc<Lines>,
    /// All brokers of the set, in the order of their places; `me` is one of them.
    pub(crate) identities: Arc<[Identity]>,
    pub(crate) me: usize,
    pub(crate) draw: Draw,
}

/// What its tasks share.
struct Body {
    set: String,
    address: String,
    lines: Arc<Lines>,
    identities: Arc<[Identity]>,
    me: usize,
    role: Mutex<Role>,
    /// The controller that leads, as far as this broker knows.
    leader: AtomicUsize,
}

/// Lives until its task is dropped.
pub(crate) async fn live(broker: Broker) {
    let Broker { set, address, lines, identities, me, mut draw } = broker;
    let at = (address, BROKER_PORT);
    let address = format!("{address}:{BROKER_PORT}");
    let body = Arc::new(Body {
        set,
        address,
        lines,
        identities,
        me,
        role: Mutex::default(),
        leader: AtomicUsize::new(0),
    });
    let mut tasks = JoinSet::new();
    body.identities[me].master.store(0, Ordering::Relaxed);
    tasks.spawn(listen(patiently(|| TcpListener::bind(at)).await, Arc::clone(&body)));
    loop {
        if let Some(leader) = body.find_leader().await
            && body.register(leader, &mut draw).await.is_some()
        {
            break;
        }
        sleep(RETRY).await;
    }
    for peer in 0..body.lines.peers().len() {
        tasks.spawn(heartbeat(Arc::clone(&body), peer));
    }
    body.identities[me].is_alive.store(true, Ordering::Relaxed);
    tasks.spawn(alter(Arc::clone(&body), draw));
    poll(&body).await;
}

impl Body {
    fn id(&self) -> i64 {
        self.identities[self.me].id.load(Ordering::Relaxed)
    }

    fn role(&self) -> MutexGuard<'_, Role> {
        self.role.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self) -> Option<Text> {
        Some(Text::copied(&self.set))
    }

    /// The first controller that names a leader we know.
    async fn find_leader(&self) -> Option<usize> {
        let peers = self.lines.peers();
        for turn in 0..peers.len() {
            // The same order for all brokers, as upstream's, which has it from a hash of the addresses.
            let peer = (turn + 1) % peers.len();
            let Ok(line) = self.lines.line(peer).await else { continue };
            let answer = line.call(&Request::GetMetadataInfo, Deadline::after(PATIENCE)).await;
            let Ok(answer) = answer else {
                self.lines.close(peer).await;
                continue;
            };
            let named = Metadata::read(&answer).leader_address;
            let is_named = |address: &std::net::SocketAddr| named == Some(address.to_string());
            if let Some(leader) = peers.iter().position(is_named) {
                self.leader.store(leader, Ordering::Relaxed);
                return Some(leader);
            }
        }
        None
    }

    async fn call(&self, peer: usize, request: Request) -> Option<Response> {
        let answer = self.lines.ask(peer, &request).await.ok()?;
        (answer.code == response_code::SUCCESS).then_some(answer)
    }

    /// Gets an id if there is none, and registers.
    async fn register(&self, leader: usize, draw: &mut Draw) -> Option<()> {
        if self.id() == 0 {
            let next =
                GetNextBrokerId { cluster_name: Some(CLUSTER.into()), broker_name: self.name() };
            let answer = self.call(leader, Request::GetNextBrokerId(next)).await?;
            let id = answer.ext.long("nextBrokerId")?;
            let apply = ApplyBrokerId {
                cluster_name: Some(CLUSTER.into()),
                broker_name: self.name(),
                applied_broker_id: Some(id),
                register_check_code: Some(Text::from(format!("{};{}", self.address, draw.bits()))),
            };
            self.call(leader, Request::ApplyBrokerId(apply)).await?;
            self.identities[self.me].id.store(id, Ordering::Relaxed);
        }
        self.introduce(leader).await?;
        self.beat(leader).await;
        if self.role().master.is_none() {
            self.elect(leader).await;
        }
        Some(())
    }

    async fn introduce(&self, leader: usize) -> Option<()> {
        let request = RegisterBroker {
            cluster_name: Some(CLUSTER.into()),
            broker_name: self.name(),
            broker_id: Some(self.id()),
            broker_address: Some(Text::copied(&self.address)),
            invoke_time_ms: 0,
        };
        let answer = self.call(leader, Request::RegisterBroker(request)).await?;
        if answer.ext.long("masterBrokerId").is_some() {
            self.adopt(&answer);
        }
        Some(())
    }

    async fn elect(&self, leader: usize) {
        let request = ElectMaster {
            cluster_name: CLUSTER.into(),
            broker_name: Text::copied(&self.set),
            broker_id: self.id(),
            ..ElectMaster::default()
        };
        let answer = self.lines.ask(leader, &Request::ElectMaster(request)).await;
        if let Ok(answer) = answer {
            let code = answer.code;
            if matches!(code, response_code::SUCCESS | response_code::CONTROLLER_MASTER_STILL_EXIST)
            {
                self.adopt(&answer);
            }
        }
    }

    /// Takes the role that an answer names, if its epoch is larger; or the set, if this is the master.
    fn adopt(&self, answer: &Response) {
        let master = answer.ext.long("masterBrokerId");
        let Some(master_epoch) = answer.ext.int("masterEpoch") else { return };
        let Some(body) = SyncStateSetBody::decode(&answer.body) else { return };
        let epoch = answer.ext.int("syncStateSetEpoch").unwrap_or(body.epoch);
        self.take(master, master_epoch, body.sync_state_set, epoch);
    }

    fn take(&self, master: Option<i64>, master_epoch: i32, set: Vec<i64>, set_epoch: i32) {
        let mut role = self.role();
        if master_epoch > role.master_epoch {
            *role = Role { master, master_epoch, set, set_epoch };
            self.identities[self.me].master.store(master.unwrap_or(0), Ordering::Relaxed);
        } else if master_epoch == role.master_epoch && set_epoch > role.set_epoch {
            role.set = set;
            role.set_epoch = set_epoch;
        }
    }

    async fn beat(&self, peer: usize) {
        let role = self.role().clone();
        let beat = Request::Heartbeat(BrokerHeartbeat {
            cluster_name: Some(CLUSTER.into()),
            broker_address: Some(Text::copied(&self.address)),
            broker_name: self.name(),
            broker_id: Some(self.id()),
            epoch: role.master_epoch,
            max_offset: 1,
            confirm_offset: 1,
            heartbeat_timeout_ms: i64::try_from(HEARTBEAT_TIMEOUT.as_millis()).ok(),
            ..BrokerHeartbeat::default()
        });
        if self.lines.tell(peer, &beat, HEARTBEAT).await {
            self.lines.recorder().beat(self.lines.from());
        }
    }
}

async fn heartbeat(body: Arc<Body>, peer: usize) {
    loop {
        body.beat(peer).await;
        sleep(HEARTBEAT).await;
    }
}

async fn poll(body: &Body) {
    for round in 0_u32.. {
        sleep(POLL).await;
        if round % POLLS_PER_METADATA == 0 {
            body.find_leader().await;
        }
        let leader = body.leader.load(Ordering::Relaxed);
        let request = Request::GetReplicaInfo(GetReplicaInfo { broker_name: body.name() });
        let Ok(answer) = body.lines.ask(leader, &request).await else { continue };
        match answer.code {
            response_code::SUCCESS => {}
            response_code::CONTROLLER_BROKER_METADATA_NOT_EXIST => {
                body.introduce(leader).await;
                continue;
            }
            _ => continue,
        }
        let known = body.role().master_epoch;
        let epoch = answer.ext.int("masterEpoch").unwrap_or_default();
        if answer.ext.long("masterBrokerId").is_some() {
            body.adopt(&answer);
        } else if epoch >= known {
            body.elect(leader).await;
        }
    }
}

/// While this broker is master, takes one living replica out of the set, and takes it in again.
async fn alter(body: Arc<Body>, mut draw: Draw) {
    loop {
        sleep(Duration::from_millis(draw.between(ALTER_MS.0, ALTER_MS.1))).await;
        let role = body.role().clone();
        let me = body.id();
        if role.master != Some(me) {
            continue;
        }
        let is_alive = |one: &&Identity| one.is_alive.load(Ordering::Relaxed);
        let alive = body.identities.iter().filter(is_alive);
        let mut wanted: Vec<i64> = alive.map(|one| one.id.load(Ordering::Relaxed)).collect();
        if role.set.len() >= wanted.len() && wanted.len() > 1 {
            let others: Vec<i64> = wanted.iter().copied().filter(|id| *id != me).collect();
            let out = others[draw.index(others.len())];
            wanted.retain(|id| *id != out);
        }
        if !wanted.contains(&me) {
            wanted.push(me);
        }
        wanted.sort_unstable();
        let request = AlterSyncStateSet {
            broker_name: body.name(),
            master_broker_id: Some(me),
            master_epoch: Some(role.master_epoch),
            invoke_time_ms: None,
            body: Some(AlterBody {
                sync_state_set: Some(wanted),
                sync_state_set_epoch: role.set_epoch,
            }),
        };
        let leader = body.leader.load(Ordering::Relaxed);
        if let Some(answer) = body.call(leader, Request::AlterSyncStateSet(request)).await
            && let Some(set) = SyncStateSetBody::decode(&answer.body)
        {
            body.take(Some(me), role.master_epoch, set.sync_state_set, set.epoch);
        }
    }
}

/// What it comes to, however often it fails. An address that refuses is one whose broker is dead: it must not be so for
/// lack of a descriptor.
async fn patiently<T, F>(mut attempt: impl FnMut() -> F) -> T
where
    F: Future<Output = io::Result<T>>,
{
    loop {
        match attempt().await {
            Ok(made) => return made,
            Err(_) => sleep(SOCKET_AGAIN).await,
        }
    }
}

/// Accepts connections and takes role notices.
async fn listen(listener: TcpListener, body: Arc<Body>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _from) = patiently(|| listener.accept()).await;
        connections.spawn(take_notices(stream, Arc::clone(&body)));
        while connections.try_join_next().is_some() {}
    }
}

async fn take_notices(mut stream: TcpStream, body: Arc<Body>) {
    let mut buffer = bytes::BytesMut::new();
    while matches!(stream.read_buf(&mut buffer).await, Ok(read) if read > 0) {
        while let Ok(Some(bytes)) = protocol::split(&mut buffer) {
            let Ok(frame) = Frame::decode(bytes) else { return };
            let Some(notice) = RoleNotice::decode(&frame) else { return };
            let (epoch, master) = (notice.master_epoch, notice.master_broker_id);
            body.lines.recorder().notice(&body.set, epoch, master);
            body.take(Some(master), epoch, notice.sync_state_set, notice.sync_state_set_epoch);
            let Header { opaque, encoding, .. } = frame.header;
            let mut out = bytes::BytesMut::new();
            Response::new(response_code::SUCCESS).encode(opaque, encoding, &mut out);
            if stream.write_all(&out).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Identity, follow_one, patiently};
    use std::io;

    #[tokio::test]
    async fn a_broker_listens_on_after_a_failure() {
        let mut left = 3;
        let attempt = || {
            left -= 1;
            let made =
                if left > 0 { Err(io::Error::other("no descriptor is left")) } else { Ok(7) };
            std::future::ready(made)
        };
        assert_eq!(patiently(attempt).await, 7);
        assert_eq!(left, 0);
    }

    #[test]
    fn a_set_is_led_if_all_who_live_follow_one_of_them() {
        let led_without = |gone, brokers: &[(i64, bool, i64)]| {
            let one = |(id, is_alive, master): &(i64, bool, i64)| Identity {
                id: (*id).into(),
                is_alive: (*is_alive).into(),
                master: (*master).into(),
            };
            follow_one(&brokers.iter().map(one).collect::<Vec<_>>(), gone)
        };
        let led = |brokers: &[(i64, bool, i64)]| led_without(None, brokers);
        assert!(led(&[(1, true, 2), (2, true, 2)]));
        assert!(led(&[(1, false, 3), (2, true, 2)]), "the dead follow nobody");
        assert!(!led(&[(1, true, 1), (2, true, 2)]), "two masters");
        assert!(!led(&[(1, true, 3), (2, true, 3), (3, false, 3)]), "a dead master");
        assert!(!led(&[(1, true, 0), (2, true, 0)]), "none");
        assert!(!led(&[]) && !led(&[(1, false, 1)]));
        let cut = [(1, true, 1), (2, true, 2), (3, true, 2)];
        assert!(!led(&cut) && led_without(Some(0), &cut), "one that is cut off follows itself");
        let left = [(1, true, 1), (2, true, 1), (3, true, 1)];
        assert!(led(&left) && !led_without(Some(0), &left), "who is gone is no master");
    }
}

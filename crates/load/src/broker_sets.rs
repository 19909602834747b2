//! The broker sets of a run: registered, elected, kept alive, and removed at the end.
//!
//! ```text
//! per set   1012, 1013, 1003 for brokers 1, 2, 3 ── 904 to every controller ── 1002 by broker 1
//!           ── 1001 to {1,2}                                          then the lanes take over
//! ```
//!
//! Each connection of the workload owns one set, so no two of them fence each other. All brokers
//! give one address, where [`accept_notices`] answers role notices (1008) as brokers do; without
//! it a controller would spend the measured time on telling them again.

use std::time::Duration;

use bytes::BytesMut;
use client::{CallError, Connection, Deadline};
use protocol::{
    AlterBody, AlterSyncStateSet, ApplyBrokerId, BrokerHeartbeat, CleanBrokerData, ElectMaster,
    Frame, GetNextBrokerId, GetReplicaInfo, HeaderEncoding, RegisterBroker, Request, Response,
    Text, response_code, split,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::answer::BadAnswer;
use crate::generator::slot::OPAQUE_FIRST;
use crate::requester::{NotPatchable, Requester};

/// Brokers in each set.
pub(crate) const REPLICAS: i64 = 3;

/// The broker that is master of each set.
const MASTER: i64 = 1;

/// What the brokers say about themselves; ten minutes, so that a slow run loses none.
const HEARTBEAT_TIMEOUT_MS: i64 = 600_000;

/// Pause between two heartbeats of a broker.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);

const CALL: Duration = Duration::from_secs(10);

/// Attempts of one request, and the pause between two: controllers that were started a moment ago
/// listen before they can do anything.
const ATTEMPTS_MAX: u32 = 50;
const RETRY: Duration = Duration::from_millis(200);

/// Why the sets could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A call had no answer.
    #[error("{step} of {set}: {error}")]
    Call {
        /// What was asked.
        step: &'static str,
        /// The broker set.
        set: String,
        /// Why there is no answer.
        error: CallError,
    },
    /// A call was refused.
    #[error("{step} of {set}: {answer}")]
    Refused {
        /// What was asked.
        step: &'static str,
        /// The broker set.
        set: String,
        /// The answer.
        answer: BadAnswer,
    },
    /// Our own request cannot be patched in place.
    #[error(transparent)]
    NotPatchable(#[from] NotPatchable),
}

impl PrepareError {
    /// Upstream's followers refuse heartbeats in its jRaft mode, where each is an entry of the log.
    fn is_of_follower(&self) -> bool {
        let not_leader = response_code::CONTROLLER_NOT_LEADER;
        matches!(self, Self::Refused { answer: BadAnswer::Code { code, .. }, .. } if *code == not_leader)
    }
}

/// One broker set of the run.
#[derive(Clone, Debug)]
pub(crate) struct BrokerSet {
    name: String,
    broker_address: String,
    invoke_time_ms: i64,
    master_epoch: i32,
    /// The sync-state set's epoch, and whether it is `{1,2,3}` and not `{1,2}`.
    position: (u32, bool),
}

impl BrokerSet {
    pub(crate) fn new(name: String, broker_address: String, invoke_time_ms: i64) -> Self {
        Self { name, broker_address, invoke_time_ms, master_epoch: 0, position: (0, false) }
    }

    /// Registers the brokers with the leader and elects broker 1; the set is then `{1,2}`.
    ///
    /// # Errors
    /// - [`PrepareError`]: which step had no answer or was refused.
    pub(crate) async fn prepare(
        &mut self,
        leader: &Connection,
        all: &[Connection],
    ) -> Result<(), PrepareError> {
        for broker in 1..=REPLICAS {
            for (step, request) in self.registration(broker) {
                self.ask(leader, step, &request).await?;
            }
            for controller in all {
                self.beat(controller, broker).await?;
            }
        }
        let elected = self.ask(leader, "election", &self.election()).await?;
        let epoch = |key| elected.ext.get(key).and_then(|text| text.parse().ok()).unwrap_or(1);
        self.master_epoch = epoch("masterEpoch");
        let set_epoch = epoch("syncStateSetEpoch");
        let altered = self.ask(leader, "alter", &self.alter(vec![1, 2], set_epoch)).await?;
        let new_epoch = altered.ext.get("newSyncStateSetEpoch").and_then(|text| text.parse().ok());
        self.position = (new_epoch.unwrap_or_default(), false);
        Ok(())
    }

    /// An ALTER to the other one of `{1,2}` and `{1,2,3}`.
    ///
    /// # Errors
    /// - [`PrepareError`]: no answer, or refused.
    pub(crate) async fn toggle(&mut self, controller: &Connection) -> Result<(), PrepareError> {
        let (set_epoch, is_full) = self.position;
        let members = if is_full { vec![1, 2] } else { vec![1, 2, 3] };
        let set_epoch = i32::try_from(set_epoch).unwrap_or(i32::MAX);
        let answer = self.ask(controller, "alter", &self.alter(members, set_epoch)).await?;
        let new_epoch = answer.ext.get("newSyncStateSetEpoch").and_then(|text| text.parse().ok());
        self.position = (new_epoch.unwrap_or_default(), !is_full);
        Ok(())
    }

    /// `GET_REPLICA_INFO` of this set.
    pub(crate) fn poll(&self) -> Request {
        Request::GetReplicaInfo(GetReplicaInfo { broker_name: Some(self.text()) })
    }

    /// Where a lane left the set; `None` from one that did not change it.
    pub(crate) fn moved_to(&mut self, position: Option<(u32, bool)>) {
        self.position = position.unwrap_or(self.position);
    }

    /// The request that removes the set with its living brokers.
    pub(crate) fn removal(&self) -> Request {
        Request::CleanBrokerData(CleanBrokerData {
            cluster_name: Some(cluster()),
            broker_name: Some(self.text()),
            clean_living_broker: true,
            invoke_time_ms: Some(self.invoke_time_ms),
            ..CleanBrokerData::default()
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// ALTER, `{1,2}` and `{1,2,3}` in turn.
    ///
    /// # Errors
    /// - [`NotPatchable`]: the encoder writes another layout than this crate patches.
    pub(crate) fn altering(&self) -> Result<Requester, NotPatchable> {
        let (set_epoch, is_full) = self.position;
        Requester::toggling(frame(&self.alter(Vec::new(), 0)), set_epoch, is_full)
    }

    /// `GET_REPLICA_INFO` of this set.
    ///
    /// # Errors
    /// - [`NotPatchable`]: the encoder writes another layout than this crate patches.
    pub(crate) fn reading(&self) -> Result<Requester, NotPatchable> {
        Requester::fixed(frame(&self.poll()))
    }

    /// Two-way heartbeats of the master.
    ///
    /// # Errors
    /// - [`NotPatchable`]: the encoder writes another layout than this crate patches.
    pub(crate) fn heartbeating(&self) -> Result<Requester, NotPatchable> {
        Requester::fixed(frame(&self.heartbeat(MASTER)))
    }

    /// What a broker sends in ten seconds, to one of several controllers: heartbeats, polls, a
    /// question for the leader; and, far more often than a broker would, an ALTER and a question for
    /// an id, so that each kind counts.
    ///
    /// # Errors
    /// - [`NotPatchable`]: the encoder writes another layout than this crate patches.
    pub(crate) fn mixing(&self) -> Result<Vec<Requester>, NotPatchable> {
        let next =
            GetNextBrokerId { cluster_name: Some(cluster()), broker_name: Some(self.text()) };
        let next = Requester::fixed(frame(&Request::GetNextBrokerId(next)))?;
        let metadata = Requester::fixed(frame(&Request::GetMetadataInfo))?;
        let (beat, poll) = (self.heartbeating()?, self.reading()?);
        let five_seconds = [vec![beat; 5], vec![poll]].concat();
        let rest = vec![metadata, self.altering()?, next];
        Ok([five_seconds.clone(), five_seconds, rest].concat())
    }

    fn registration(&self, broker: i64) -> [(&'static str, Request); 3] {
        let cluster_name = Some(cluster());
        let broker_name = Some(self.text());
        let check_code = format!("{};{}", self.broker_address, self.invoke_time_ms);
        let next = GetNextBrokerId {
            cluster_name: cluster_name.clone(),
            broker_name: broker_name.clone(),
        };
        let apply = ApplyBrokerId {
            cluster_name: cluster_name.clone(),
            broker_name: broker_name.clone(),
            applied_broker_id: Some(broker),
            register_check_code: Some(check_code.into()),
        };
        let register = RegisterBroker {
            cluster_name,
            broker_name,
            broker_id: Some(broker),
            broker_address: Some(self.broker_address.clone().into()),
            invoke_time_ms: self.invoke_time_ms,
        };
        [
            ("next id", Request::GetNextBrokerId(next)),
            ("id", Request::ApplyBrokerId(apply)),
            ("registration", Request::RegisterBroker(register)),
        ]
    }

    fn election(&self) -> Request {
        Request::ElectMaster(ElectMaster {
            cluster_name: cluster(),
            broker_name: self.text(),
            broker_id: MASTER,
            designate_elect: false,
            invoke_time_ms: Some(self.invoke_time_ms),
        })
    }

    fn alter(&self, set: Vec<i64>, set_epoch: i32) -> Request {
        Request::AlterSyncStateSet(AlterSyncStateSet {
            broker_name: Some(self.text()),
            master_broker_id: Some(MASTER),
            master_epoch: Some(self.master_epoch),
            invoke_time_ms: Some(self.invoke_time_ms),
            body: Some(AlterBody { sync_state_set: Some(set), sync_state_set_epoch: set_epoch }),
        })
    }

    fn heartbeat(&self, broker: i64) -> Request {
        Request::Heartbeat(BrokerHeartbeat {
            cluster_name: Some(cluster()),
            broker_address: Some(self.broker_address.clone().into()),
            broker_name: Some(self.text()),
            broker_id: Some(broker),
            epoch: self.master_epoch,
            max_offset: 0,
            confirm_offset: 0,
            heartbeat_timeout_ms: Some(HEARTBEAT_TIMEOUT_MS),
            ..BrokerHeartbeat::default()
        })
    }

    /// Heartbeats until a controller takes it, or says that it is a follower.
    async fn beat(&self, controller: &Connection, broker: i64) -> Result<(), PrepareError> {
        let heartbeat = self.heartbeat(broker);
        for _attempt in 1..ATTEMPTS_MAX {
            match self.ask_once(controller, "heartbeat", &heartbeat).await {
                Err(error) if error.is_of_follower() => return Ok(()),
                Err(_) => sleep(RETRY).await,
                Ok(_) => return Ok(()),
            }
        }
        self.ask_once(controller, "heartbeat", &heartbeat).await.map(drop)
    }

    /// Asks until the answer is good; `step` names the request in the error.
    ///
    /// # Errors
    /// - [`PrepareError`]: no answer, or refused, at the last attempt.
    pub(crate) async fn ask(
        &self,
        controller: &Connection,
        step: &'static str,
        request: &Request,
    ) -> Result<Response, PrepareError> {
        for _attempt in 1..ATTEMPTS_MAX {
            if let Ok(answer) = self.ask_once(controller, step, request).await {
                return Ok(answer);
            }
            sleep(RETRY).await;
        }
        self.ask_once(controller, step, request).await
    }

    async fn ask_once(
        &self,
        controller: &Connection,
        step: &'static str,
        request: &Request,
    ) -> Result<Response, PrepareError> {
        let set = || self.name.clone();
        let answer = controller.call(request, Deadline::after(CALL)).await;
        let answer = answer.map_err(|error| PrepareError::Call { step, set: set(), error })?;
        if answer.code != response_code::SUCCESS {
            let remark = answer.remark.as_ref().map(ToString::to_string).unwrap_or_default();
            let answer = BadAnswer::Code { code: answer.code, remark };
            return Err(PrepareError::Refused { step, set: set(), answer });
        }
        Ok(answer)
    }

    fn text(&self) -> Text {
        self.name.clone().into()
    }
}

fn cluster() -> Text {
    "pitchover-quick".into()
}

/// The bytes of `request` with an opaque that can be patched in place.
pub(crate) fn frame(request: &Request) -> Vec<u8> {
    let mut out = BytesMut::new();
    request.encode(OPAQUE_FIRST, 0, HeaderEncoding::Json, &mut out);
    out.to_vec()
}

/// Sends one-way heartbeats of all brokers to all controllers each second, until dropped or until
/// a connection breaks; the lanes then tell better what is wrong.
pub(crate) async fn keep_alive(sets: Vec<BrokerSet>, controllers: Vec<Connection>) {
    let of_set = |set: &BrokerSet| (1..=REPLICAS).map(|id| set.heartbeat(id)).collect::<Vec<_>>();
    let heartbeats: Vec<Request> = sets.iter().flat_map(of_set).collect();
    loop {
        sleep(HEARTBEAT_EVERY).await;
        for controller in &controllers {
            for heartbeat in &heartbeats {
                let sent = controller.send_one_way(heartbeat, Deadline::after(CALL)).await;
                if sent.is_err() {
                    return;
                }
            }
        }
    }
}

/// Answers every two-way request with code 0, as a broker answers a role notice.
pub(crate) async fn accept_notices(listener: TcpListener) {
    let mut open = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        open.spawn(acknowledge(stream));
        while open.try_join_next().is_some() {}
    }
}

async fn acknowledge(mut stream: TcpStream) {
    let mut buffer = BytesMut::new();
    let mut out = BytesMut::new();
    loop {
        while let Ok(Some(frame)) = split(&mut buffer) {
            let Ok(frame) = Frame::decode(frame) else { return };
            if !frame.header.is_one_way() {
                let (opaque, encoding) = (frame.header.opaque, frame.header.encoding);
                Response::new(response_code::SUCCESS).encode(opaque, encoding, &mut out);
            }
        }
        if stream.write_all(&out).await.is_err() {
            return;
        }
        out.clear();
        match stream.read_buf(&mut buffer).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
    }
}

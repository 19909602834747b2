//! One simulated broker: it registers, heartbeats and listens as a Java broker does, and can die.
//!
//! Source: upstream `ReplicasManager`, as far as a controller can see it.

use client::{CallError, Cluster, Connection, Deadline};
use protocol::{
    AlterBody, AlterSyncStateSet, ApplyBrokerId, BrokerHeartbeat, ElectMaster, Frame,
    GetNextBrokerId, GetReplicaInfo, Header, RegisterBroker, Request, Response, RoleNotice,
    SyncStateSetBody, Text,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A broker gives every request this long. Source: upstream's 3,000 ms.
const REQUEST: Duration = Duration::from_secs(3);

/// Source: upstream `brokerHeartbeatInterval`.
const HEARTBEAT: Duration = Duration::from_secs(1);

const CLUSTER: &str = "DevCluster";

/// A request that was refused or lost; the fleet says it and tries again later.
#[derive(Debug, thiserror::Error)]
pub(super) enum BrokerError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("code {code}: {remark}")]
    Refused { code: i32, remark: String },
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// One broker that lives; dropping it is its death: all its sockets close.
pub(super) struct Broker {
    pub(super) id: i64,
    pub(super) set: String,
    address: String,
    /// Heartbeats and listener; they end with this value.
    _tasks: JoinSet<()>,
}

impl Broker {
    /// Starts a broker. Without an `id` it is its first start, and the controller gives it one.
    pub(super) async fn start(
        cluster: &Cluster,
        set: &str,
        id: Option<i64>,
    ) -> Result<Self, BrokerError> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let id = match id {
            Some(id) => id,
            None => first_start(cluster, set, &address).await?,
        };
        let register = RegisterBroker {
            cluster_name: Some(CLUSTER.into()),
            broker_name: Some(Text::copied(set)),
            broker_id: Some(id),
            broker_address: Some(Text::copied(&address)),
            invoke_time_ms: 0,
        };
        call(cluster, Request::RegisterBroker(register)).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(listener));
        let beat = Arc::new(Request::Heartbeat(BrokerHeartbeat {
            cluster_name: Some(CLUSTER.into()),
            broker_address: Some(Text::copied(&address)),
            broker_name: Some(Text::copied(set)),
            broker_id: Some(id),
            epoch: 1,
            max_offset: 0,
            confirm_offset: 0,
            heartbeat_timeout_ms: Some(10_000),
            ..BrokerHeartbeat::default()
        }));
        for controller in cluster.addresses() {
            tasks.spawn(heartbeat(controller.clone(), Arc::clone(&beat)));
        }
        Ok(Self { id, set: set.to_owned(), address, _tasks: tasks })
    }

    /// Asks for an election, as a broker does that knows no master.
    pub(super) async fn elect(&self, cluster: &Cluster) -> Result<(), BrokerError> {
        let elect = ElectMaster {
            cluster_name: CLUSTER.into(),
            broker_name: Text::copied(&self.set),
            broker_id: self.id,
            ..ElectMaster::default()
        };
        match call(cluster, Request::ElectMaster(elect)).await {
            // Somebody is master already, which is as good.
            Err(BrokerError::Refused { code: 2011, .. }) => Ok(()),
            result => result.map(drop),
        }
    }

    /// As master, asks for the whole of `members` as sync-state set.
    pub(super) async fn alter(
        &self,
        cluster: &Cluster,
        view: &View,
        members: Vec<i64>,
    ) -> Result<(), BrokerError> {
        let alter = AlterSyncStateSet {
            broker_name: Some(Text::copied(&self.set)),
            master_broker_id: Some(self.id),
            master_epoch: Some(view.master_epoch),
            invoke_time_ms: None,
            body: Some(AlterBody {
                sync_state_set: Some(members),
                sync_state_set_epoch: view.set_epoch,
            }),
        };
        call(cluster, Request::AlterSyncStateSet(alter)).await.map(drop)
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }
}

/// What a poll (1004) says of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) master: Option<i64>,
    pub(super) master_epoch: i32,
    pub(super) set: Vec<i64>,
    pub(super) set_epoch: i32,
}

/// Polls a set.
pub(super) async fn poll(cluster: &Cluster, set: &str) -> Result<View, BrokerError> {
    let request = Request::GetReplicaInfo(GetReplicaInfo { broker_name: Some(Text::copied(set)) });
    let response = call(cluster, request).await?;
    let body = SyncStateSetBody::decode(&response.body);
    let body = body.unwrap_or(SyncStateSetBody { sync_state_set: Vec::new(), epoch: 0 });
    Ok(View {
        master: response.ext.long("masterBrokerId"),
        master_epoch: response.ext.int("masterEpoch").unwrap_or_default(),
        set: body.sync_state_set,
        set_epoch: body.epoch,
    })
}

async fn first_start(cluster: &Cluster, set: &str, address: &str) -> Result<i64, BrokerError> {
    let next = GetNextBrokerId {
        cluster_name: Some(CLUSTER.into()),
        broker_name: Some(Text::copied(set)),
    };
    let response = call(cluster, Request::GetNextBrokerId(next)).await?;
    let id = response.ext.long("nextBrokerId").unwrap_or(1);
    let apply = ApplyBrokerId {
        cluster_name: Some(CLUSTER.into()),
        broker_name: Some(Text::copied(set)),
        applied_broker_id: Some(id),
        register_check_code: Some(Text::from(format!("{address};{id}"))),
    };
    call(cluster, Request::ApplyBrokerId(apply)).await?;
    Ok(id)
}

async fn call(cluster: &Cluster, request: Request) -> Result<Response, BrokerError> {
    let response = cluster.call(&request, Deadline::after(REQUEST)).await?;
    if response.code == 0 {
        return Ok(response);
    }
    let remark = response.remark.as_deref().unwrap_or_default().to_owned();
    Err(BrokerError::Refused { code: response.code, remark })
}

/// One heartbeat a second to one controller, over a connection that is opened again when it breaks.
async fn heartbeat(controller: String, beat: Arc<Request>) {
    let mut connection: Option<Connection> = None;
    loop {
        if connection.as_ref().is_none_or(Connection::is_closed) {
            connection = Connection::connect(&controller, Deadline::after(HEARTBEAT)).await.ok();
        }
        if let Some(connection) = &connection {
            // A heartbeat that is lost is followed by the next.
            drop(connection.send_one_way(&beat, Deadline::after(HEARTBEAT)).await);
        }
        tokio::time::sleep(HEARTBEAT).await;
    }
}

/// Accepts connections and acknowledges role notices.
async fn listen(listener: TcpListener) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _from)) = listener.accept().await {
        connections.spawn(acknowledge(stream));
        while connections.try_join_next().is_some() {}
    }
}

async fn acknowledge(mut stream: TcpStream) {
    let mut buffer = bytes::BytesMut::new();
    while matches!(stream.read_buf(&mut buffer).await, Ok(read) if read > 0) {
        while let Ok(Some(bytes)) = protocol::split(&mut buffer) {
            let Ok(frame) = Frame::decode(bytes) else { return };
            if RoleNotice::decode(&frame).is_none() {
                return;
            }
            let Header { opaque, encoding, .. } = frame.header;
            let mut out = bytes::BytesMut::new();
            Response::new(0).encode(opaque, encoding, &mut out);
            if stream.write_all(&out).await.is_err() {
                return;
            }
        }
    }
}

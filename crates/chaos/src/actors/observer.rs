//! Asks every controller for its status, from an address that no rule names.

use super::CLUSTER;
use super::lines::Lines;
use super::recorder::{State, View};
use crate::clock;
use crate::target::Kind;
use bytes::Bytes;
use client::{Deadline, Metadata};
use protocol::{
    ExtFields, Frame, GetNextBrokerId, GetReplicaInfo, Header, HeaderEncoding, Request, Response,
    SyncStateSetBody, Text, private, response_code,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// How often each is asked.
pub(crate) const EVERY: Duration = Duration::from_millis(100);

/// How long a status may take; later ones count as silence.
const PATIENCE: Duration = Duration::from_millis(250);

/// Runs until its task is dropped.
pub(crate) async fn observe(lines: Arc<Lines>, kind: Kind) {
    let mut loops = JoinSet::new();
    for node in 0..lines.peers().len() {
        loops.spawn(observe_one(Arc::clone(&lines), node, kind));
    }
    loops.join_all().await;
}

async fn observe_one(lines: Arc<Lines>, node: usize, kind: Kind) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let view = match kind {
            Kind::Pitchover => status(&lines, node).await,
            Kind::JavaDledger | Kind::JavaJraft => metadata(&lines, node).await,
        };
        lines.recorder().state(State { at: clock::now(), node, view });
    }
}

async fn status(lines: &Lines, node: usize) -> Option<View> {
    let status = ask(lines, node, private::STATUS, Bytes::new(), PATIENCE).await?;
    Some(View {
        is_leader: status["role"] == "leader",
        leader: status["leader"].as_str().unwrap_or_default().to_owned(),
        term: status["term"].as_u64().unwrap_or_default(),
        applied: status["applied"].as_u64().unwrap_or_default(),
        is_ready: status["ready"] == true && status["member"] == "voter",
        member: status["memberId"].as_u64().unwrap_or_default(),
        hash: status["stateHash"].as_str().unwrap_or_default().to_owned(),
    })
}

/// What upstream's controllers say of themselves: who leads, and nothing else.
async fn metadata(lines: &Lines, node: usize) -> Option<View> {
    let answer = call(lines, node, &Request::GetMetadataInfo, PATIENCE).await?;
    let metadata = Metadata::read(&answer);
    let leader = metadata.leader_address.unwrap_or_default();
    let (is_leader, is_ready) = (metadata.is_leader, !leader.is_empty());
    Some(View { is_leader, leader, is_ready, ..View::default() })
}

/// What the leader of upstream's controllers has of one broker set, in the shape of our own description; `None`
/// if it does not say. Ids are given in order, so the next one tells which were.
pub(crate) async fn describe(
    lines: &Lines,
    node: usize,
    set: &str,
    patience: Duration,
) -> Option<Value> {
    let name = || Some(Text::copied(set));
    let read = Request::GetReplicaInfo(GetReplicaInfo { broker_name: name() });
    let read = call(lines, node, &read, patience).await?;
    let next = GetNextBrokerId { cluster_name: Some(CLUSTER.into()), broker_name: name() };
    let next = call(lines, node, &Request::GetNextBrokerId(next), patience).await?;
    let epoch = SyncStateSetBody::decode(&read.body).map_or(0, |body| body.epoch);
    let given = 1..next.ext.long("nextBrokerId")?;
    Some(json!({
        "brokerName": set,
        "masterEpoch": read.ext.int("masterEpoch").unwrap_or_default(),
        "syncStateSetEpoch": epoch,
        "replicas": given.map(|id| json!({ "id": id })).collect::<Vec<_>>(),
    }))
}

/// One question of the wire protocol, whose answer is not recorded; `None` if none comes in time, or a refusal
/// to serve.
pub(crate) async fn call(
    lines: &Lines,
    node: usize,
    request: &Request,
    patience: Duration,
) -> Option<Response> {
    let line = lines.line(node).await.ok()?;
    let Ok(answer) = line.call(request, Deadline::after(patience)).await else {
        lines.close(node).await;
        return None;
    };
    (answer.code != response_code::CONTROLLER_NOT_LEADER).then_some(answer)
}

/// One private question to one controller: [`Value::Null`] if it knows no such broker set, `None` if it does not
/// answer in time, or refuses.
pub(crate) async fn ask(
    lines: &Lines,
    node: usize,
    code: i32,
    body: Bytes,
    patience: Duration,
) -> Option<Value> {
    let line = lines.line(node).await.ok()?;
    let header = Header::request(code, 0, 0, ExtFields::new(), HeaderEncoding::Json);
    let answer = line.exchange(Frame { header, body }, Deadline::after(patience)).await;
    let Ok(answer) = answer else {
        lines.close(node).await;
        return None;
    };
    match answer.header.code {
        response_code::SUCCESS => serde_json::from_slice(&answer.body).ok(),
        response_code::CONTROLLER_BROKER_METADATA_NOT_EXIST => Some(Value::Null),
        _ => None,
    }
}

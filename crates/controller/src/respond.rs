//! Every code and remark of an answer that the core gives. The texts are upstream's, to the letter.
//!
//! Requests that never reached the core are answered by `server/src/refuse.rs`, and by nobody else.
//!
//! Source: `spec/controller-requests.md`; upstream `ControllerRequestProcessor`, `ReplicasInfoManager`.

use crate::peer::ANSWER_BYTES_MAX;
use crate::waiting::EchoedNames;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use protocol::response_code as code;
use protocol::{
    BODY_BYTES_MAX, ElectMasterBody, ExtFields, MemberGroup, ReplicasInfo, Response,
    SyncStateSetBody, Text,
};
use replicas::{BrokerId, Member, Outcome, RecordedMaster, Rejection, ReplicaInfo, upstream_order};

fn remark(code: i32, remark: impl Into<Text>) -> Response {
    Response::new(code).with_remark(remark)
}

/// 904 was taken.
pub(crate) fn heartbeat() -> Response {
    remark(code::SUCCESS, "Heart beat success")
}

/// 904 named no broker.
pub(crate) fn heartbeat_without_id() -> Response {
    remark(code::CONTROLLER_INVALID_REQUEST, "Heart beat with empty brokerId")
}

/// Nothing was done, because this peer neither leads nor can reach the leader.
pub(crate) fn not_leader() -> Response {
    remark(code::CONTROLLER_NOT_LEADER, "The controller is not in leader state")
}

/// A table is full. Source: upstream `NettyRemotingAbstract#processRequestCommand`, `[OVERLOAD]`.
pub(crate) fn busy() -> Response {
    remark(code::SYSTEM_BUSY, "[OVERLOAD]system busy, start flow control for a while")
}

/// The request may or may not take effect.
pub(crate) fn unknown_outcome() -> Response {
    let text = "outcome unknown: the request was not decided in time and may still take effect";
    remark(code::SYSTEM_ERROR, text)
}

/// Upstream throws where `field` is absent or cannot be read.
pub(crate) fn missing_field(field: &str) -> Response {
    remark(code::SYSTEM_ERROR, format!("field `{field}` is absent or cannot be read"))
}

/// A text or list is longer than its limit, which upstream does not have.
pub(crate) fn limit_exceeded(field: &str, limit: &str, maximum: usize) -> Response {
    remark(code::SYSTEM_ERROR, format!("`{field}` exceeds {limit} ({maximum})"))
}

/// The answer is longer than a link between controllers carries; the leader itself could give it.
pub(crate) fn answer_too_long() -> Response {
    let text = format!(
        "the answer exceeds ANSWER_BYTES_MAX ({ANSWER_BYTES_MAX}): ask for fewer names, or the \
         leader itself"
    );
    remark(code::SYSTEM_ERROR, text)
}

/// 1006 named nothing. Source: upstream leaves its answer as it was made.
pub(crate) fn nothing_asked() -> Response {
    remark(code::SYSTEM_ERROR, "not set any response code")
}

/// What 1005 says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metadata<'a> {
    pub(crate) group: &'a str,
    pub(crate) leader_id: &'a str,
    pub(crate) leader_address: &'a str,
    pub(crate) is_leader: bool,
    pub(crate) peers: &'a str,
}

/// 1005. An unknown leader is an empty text, never absent: a tool that finds no address asks a name server.
pub(crate) fn metadata(metadata: Metadata<'_>) -> Response {
    let mut response = Response::new(code::SUCCESS);
    let ext = &mut response.ext;
    ext.push("group", text(metadata.group));
    ext.push("controllerLeaderId", text(metadata.leader_id));
    ext.push("controllerLeaderAddress", text(metadata.leader_address));
    ext.push("isLeader", metadata.is_leader);
    ext.push("peers", text(metadata.peers));
    response
}

/// 1004
pub(crate) fn replica_info(info: Option<ReplicaInfo<'_>>) -> Response {
    let Some(info) = info else {
        return remark(
            code::CONTROLLER_BROKER_METADATA_NOT_EXIST,
            "Broker metadata is not existed",
        );
    };
    let mut response = Response::new(code::SUCCESS);
    if let Some((id, address)) = info.master {
        response.ext.push("masterBrokerId", id.0);
        response.ext.push("masterAddress", text(address));
    }
    response.ext.push("masterEpoch", info.master_epoch.0);
    response.body = set_body(info.sync_state_set, info.set_epoch.0);
    response
}

/// 1012
pub(crate) fn next_broker_id(cluster: Option<Text>, set: Text, next: BrokerId) -> Response {
    let mut response = echoing(code::SUCCESS, &EchoedNames { cluster, set: Some(set) });
    response.ext.push("nextBrokerId", next.0);
    response
}

/// 1006
pub(crate) fn sync_state_data(info: &ReplicasInfo) -> Response {
    let body = info.to_bytes();
    if body.len() > BODY_BYTES_MAX {
        return limit_exceeded("body", "BODY_BYTES_MAX", BODY_BYTES_MAX);
    }
    Response { body, ..Response::new(code::SUCCESS) }
}

/// A question of our own tools, answered in JSON.
pub(crate) fn json(body: String) -> Response {
    Response { body: Bytes::from(body), ..Response::new(code::SUCCESS) }
}

/// Our own tools asked for a broker set that is not known.
pub(crate) fn set_unknown(set: &str) -> Response {
    let text = format!("broker set `{set}` is not known");
    remark(code::CONTROLLER_BROKER_METADATA_NOT_EXIST, text)
}

/// A command that was decided.
pub(crate) fn decided(echo: &EchoedNames, result: &Result<Outcome, Rejection>) -> Response {
    match result {
        Ok(outcome) => accepted(echo, outcome),
        Err(rejection) => rejected(echo, rejection),
    }
}

fn accepted(echo: &EchoedNames, outcome: &Outcome) -> Response {
    match outcome {
        Outcome::BrokerIdApplied { .. } => echoing(code::SUCCESS, echo),
        Outcome::BrokerRegistered { master, sync_state_set, set_epoch, .. } => {
            let mut response = echoing(code::SUCCESS, echo);
            if let Some(master) = master {
                push_master(&mut response.ext, master);
            }
            response.body = set_body(sync_state_set, set_epoch.0);
            response
        }
        Outcome::MasterElected { master, cluster, members, .. } => {
            let mut response = Response::new(code::SUCCESS);
            push_master(&mut response.ext, master);
            let group = MemberGroup {
                cluster: cluster.as_deref().map(text),
                broker_name: echo.set.clone().unwrap_or_default(),
                broker_addrs: members
                    .iter()
                    .map(|Member { id, address }| (id.0, text(address)))
                    .collect(),
            };
            response.body = elect_body(Some(group), &master.sync_state_set);
            response
        }
        Outcome::NoMaster { .. } => remark(
            code::CONTROLLER_MASTER_NOT_AVAILABLE,
            "Old master has down and failed to elect a new broker master",
        ),
        Outcome::SyncStateSetAltered { sync_state_set, set_epoch } => {
            let mut response = altering(code::SUCCESS, None, set_epoch.0);
            response.body = set_body(sync_state_set, set_epoch.0);
            response
        }
        Outcome::BrokersCleaned { .. } => Response::new(code::SUCCESS),
    }
}

#[expect(clippy::too_many_lines, reason = "one table: a row for each rejection")]
fn rejected(echo: &EchoedNames, rejection: &Rejection) -> Response {
    const ALTER: &str = "Rejecting alter syncStateSet request because the";
    match rejection {
        Rejection::MissingField { field } => missing_field(field),
        Rejection::LimitExceeded { field, limit, maximum } => {
            limit_exceeded(field, limit, *maximum)
        }
        Rejection::ControlCharacter { field } => {
            let text = format!("`{field}` holds a control character; names may not");
            remark(code::SYSTEM_ERROR, text)
        }
        Rejection::EpochExhausted { set } => {
            let text = format!("an epoch of broker set `{set}` is at its maximum; clean the set");
            remark(code::SYSTEM_ERROR, text)
        }
        Rejection::ApplySetUnknown { set, id } => {
            let text = format!(
                "Broker-set: {set} hasn't been registered in controller, but broker try to apply \
                 brokerId: {id}"
            );
            echoing_remark(code::CONTROLLER_BROKER_ID_INVALID, echo, text)
        }
        Rejection::BrokerIdRefused { set, id } => {
            let text = format!("Fail to apply brokerId: {id} in broker-set: {set}");
            echoing_remark(code::CONTROLLER_BROKER_ID_INVALID, echo, text)
        }
        Rejection::RegisterSetUnknown { set } => {
            let text = format!("Broker-set: {set} hasn't been registered in controller");
            echoing_remark(code::CONTROLLER_BROKER_NEED_TO_BE_REGISTERED, echo, text)
        }
        Rejection::RegisterIdUnknown { set, id } => {
            let text = format!("BrokerId: {id} hasn't been registered in broker-set: {set}");
            echoing_remark(code::CONTROLLER_BROKER_NEED_TO_BE_REGISTERED, echo, text)
        }
        Rejection::ElectSetUnknown => {
            remark(code::CONTROLLER_BROKER_NEED_TO_BE_REGISTERED, "Broker hasn't been registered")
        }
        Rejection::MasterStillExists { set, master } => {
            let text = format!(
                "The old master {} is still alive, not need to elect new master for broker {set}",
                master.id
            );
            let mut response = remark(code::CONTROLLER_MASTER_STILL_EXIST, text);
            push_master(&mut response.ext, master);
            response.body = elect_body(None, &master.sync_state_set);
            response
        }
        Rejection::ElectionFailed => {
            remark(code::CONTROLLER_ELECT_MASTER_FAILED, "Failed to elect a new master")
        }
        Rejection::AlterSetUnknown => altering(
            code::CONTROLLER_ALTER_SYNC_STATE_SET_FAILED,
            Some("Broker metadata is not existed".into()),
            0,
        ),
        Rejection::SetUnchanged => altering(
            code::CONTROLLER_ALTER_SYNC_STATE_SET_FAILED,
            Some(
                "The newSyncStateSet is equal with oldSyncStateSet, no needed to update \
                 syncStateSet"
                    .into(),
            ),
            0,
        ),
        Rejection::NotMaster { current, given } => altering(
            code::CONTROLLER_INVALID_MASTER,
            Some(
                format!(
                    "{ALTER} current leader is:{{{}}}, not {{{}}}",
                    id_or_null(*current),
                    id_or_null(*given)
                )
                .into(),
            ),
            0,
        ),
        Rejection::FencedMasterEpoch { current, given } => altering(
            code::CONTROLLER_FENCED_MASTER_EPOCH,
            Some(format!("{ALTER} current master epoch is:{{{current}}}, not {{{given}}}").into()),
            0,
        ),
        Rejection::FencedSetEpoch { current, given } => altering(
            code::CONTROLLER_FENCED_SYNC_STATE_SET_EPOCH,
            Some(
                format!("{ALTER} current syncStateSet epoch is:{{{current}}}, not {{{given}}}")
                    .into(),
            ),
            0,
        ),
        Rejection::ReplicaUnknown { id } => altering(
            code::CONTROLLER_INVALID_REPLICAS,
            Some(format!("{ALTER} replicas {{{id}}} don't exist").into()),
            0,
        ),
        Rejection::ReplicaNotAlive { id } => altering(
            code::CONTROLLER_BROKER_NOT_ALIVE,
            Some(format!("{ALTER} replicas {{{id}}} don't alive").into()),
            0,
        ),
        Rejection::MasterNotInSet { master } => altering(
            code::CONTROLLER_ALTER_SYNC_STATE_SET_FAILED,
            Some(
                format!("{ALTER} newSyncStateSet don't contains origin leader {{{master}}}").into(),
            ),
            0,
        ),
        Rejection::CleanMasterRecorded { set } => {
            not_cleaned(format!("Broker {set} is still alive, clean up failure"))
        }
        Rejection::CleanIdMalformed { part } => not_cleaned(format!(
            "Please set the option <brokerControllerIdsToClean> according to the format, \
             exception: java.lang.NumberFormatException: For input string: \"{part}\""
        )),
        Rejection::CleanBrokerAlive { set, id } => {
            // Two blanks, as upstream writes it.
            not_cleaned(format!("Broker [{set},  {id}] is still alive, clean up failure"))
        }
        Rejection::CleanSetUnknown { set } => {
            not_cleaned(format!("Broker {set} is not existed,clean broker data failure."))
        }
    }
}

fn not_cleaned(text: String) -> Response {
    remark(code::CONTROLLER_INVALID_CLEAN_BROKER_METADATA, text)
}

/// Upstream's header of 1001's answer has a primitive field: it is there in refusals too, as 0.
fn altering(code: i32, remark: Option<Text>, new_set_epoch: i32) -> Response {
    let mut response = Response { remark, ..Response::new(code) };
    response.ext.push("newSyncStateSetEpoch", new_set_epoch);
    response
}

fn echoing(code: i32, echo: &EchoedNames) -> Response {
    let mut response = Response::new(code);
    if let Some(cluster) = &echo.cluster {
        response.ext.push("clusterName", cluster.clone());
    }
    if let Some(set) = &echo.set {
        response.ext.push("brokerName", set.clone());
    }
    response
}

fn echoing_remark(code: i32, echo: &EchoedNames, text: String) -> Response {
    echoing(code, echo).with_remark(text)
}

fn push_master(ext: &mut ExtFields, master: &RecordedMaster) {
    ext.push("masterBrokerId", master.id.0);
    ext.push("masterAddress", text(&master.address));
    ext.push("masterEpoch", master.master_epoch.0);
    ext.push("syncStateSetEpoch", master.set_epoch.0);
}

fn set_body(set: &[BrokerId], epoch: i32) -> Bytes {
    SyncStateSetBody { sync_state_set: ids(set), epoch }.to_bytes()
}

fn elect_body(broker_member_group: Option<MemberGroup>, set: &[BrokerId]) -> Bytes {
    ElectMasterBody { broker_member_group, sync_state_set: ids(set) }.to_bytes()
}

/// In the order of Java's hash sets, since recordings and eyes compare the text.
fn ids(set: &[BrokerId]) -> Vec<i64> {
    upstream_order::of_set(set.to_vec()).into_iter().map(|id| id.0).collect()
}

fn id_or_null(id: Option<BrokerId>) -> Box<str> {
    id.map_or_else(|| "null".into(), |id| format!("{id}").into())
}

fn text(text: &str) -> Text {
    Text::from(String::from(text))
}

//! Requests as brokers and tools send them, and what an answer says.

use bytes::{Bytes, BytesMut};
use protocol::{
    AlterBody, AlterSyncStateSet, ApplyBrokerId, CleanBrokerData, ElectMaster, ExtFields, Frame,
    GetNextBrokerId, GetReplicaInfo, GetSyncStateData, Header, HeaderEncoding, RegisterBroker,
    Request, Response, SyncStateSetBody, Text,
};

pub(crate) const CLUSTER: &str = "cluster-a";

pub(crate) fn text(text: &str) -> Text {
    Text::copied(text)
}

pub(crate) fn next_id(set: &str) -> Request {
    let cluster_name = Some(text(CLUSTER));
    Request::GetNextBrokerId(GetNextBrokerId { cluster_name, broker_name: Some(text(set)) })
}

pub(crate) fn apply_id(set: &str, id: i64, address: &str) -> Request {
    Request::ApplyBrokerId(ApplyBrokerId {
        cluster_name: Some(text(CLUSTER)),
        broker_name: Some(text(set)),
        applied_broker_id: Some(id),
        register_check_code: Some(text(&format!("{address};1"))),
    })
}

pub(crate) fn register(set: &str, id: i64, address: &str) -> Request {
    Request::RegisterBroker(RegisterBroker {
        cluster_name: Some(text(CLUSTER)),
        broker_name: Some(text(set)),
        broker_id: Some(id),
        broker_address: Some(text(address)),
        invoke_time_ms: 0,
    })
}

pub(crate) fn elect(set: &str, id: i64) -> Request {
    Request::ElectMaster(ElectMaster {
        cluster_name: text(CLUSTER),
        broker_name: text(set),
        broker_id: id,
        ..ElectMaster::default()
    })
}

pub(crate) fn designate(set: &str, id: i64) -> Request {
    Request::ElectMaster(ElectMaster {
        cluster_name: text(CLUSTER),
        broker_name: text(set),
        broker_id: id,
        designate_elect: true,
        ..ElectMaster::default()
    })
}

/// The caller's view: its id, the master epoch, the set epoch.
pub(crate) fn alter(set: &str, view: (i64, i32, i32), wanted: &[i64]) -> Request {
    let (master, master_epoch, sync_state_set_epoch) = view;
    Request::AlterSyncStateSet(AlterSyncStateSet {
        broker_name: Some(text(set)),
        master_broker_id: Some(master),
        master_epoch: Some(master_epoch),
        invoke_time_ms: None,
        body: Some(AlterBody { sync_state_set: Some(wanted.to_vec()), sync_state_set_epoch }),
    })
}

pub(crate) fn clean(set: &str, ids: Option<&str>, clean_living_broker: bool) -> Request {
    Request::CleanBrokerData(CleanBrokerData {
        cluster_name: Some(text(CLUSTER)),
        broker_name: Some(text(set)),
        broker_ids_to_clean: ids.map(text),
        clean_living_broker,
        invoke_time_ms: None,
    })
}

pub(crate) fn info(set: &str) -> Request {
    Request::GetReplicaInfo(GetReplicaInfo { broker_name: Some(text(set)) })
}

pub(crate) fn sync_state_data(sets: &[&str]) -> Request {
    let broker_names = Some(sets.iter().map(|set| text(set)).collect());
    Request::GetSyncStateData(GetSyncStateData { broker_names })
}

/// A request of `code` with these fields and this body, whatever they are.
pub(crate) fn raw(code: i32, fields: &[(&'static str, &str)], body: &str) -> Bytes {
    let mut ext = ExtFields::new();
    for (key, value) in fields {
        ext.push(key, text(value));
    }
    let header = Header::request(code, 0, 0, ext, HeaderEncoding::Json);
    let mut out = BytesMut::new();
    Frame { header, body: Bytes::copy_from_slice(body.as_bytes()) }.encode(&mut out);
    out.freeze()
}

/// The broker set that a request is about.
pub(crate) fn set_of(request: &Request) -> Option<String> {
    let name = match request {
        Request::AlterSyncStateSet(request) => request.broker_name.as_ref(),
        Request::ElectMaster(request) => Some(&request.broker_name),
        Request::RegisterBroker(request) => request.broker_name.as_ref(),
        Request::GetReplicaInfo(request) => request.broker_name.as_ref(),
        Request::CleanBrokerData(request) => request.broker_name.as_ref(),
        Request::GetNextBrokerId(request) => request.broker_name.as_ref(),
        Request::ApplyBrokerId(request) => request.broker_name.as_ref(),
        Request::Heartbeat(_)
        | Request::GetMetadataInfo
        | Request::GetSyncStateData(_)
        | Request::UpdateControllerConfig(_)
        | Request::GetControllerConfig => None,
    };
    name.map(ToString::to_string)
}

/// Master epoch and set epoch.
pub(crate) type Version = (i32, i32);

/// The version of the broker set that an answer shows, if it shows one.
pub(crate) fn version(request: &Request, response: &Response) -> Option<Version> {
    let int = |key| response.ext.int(key);
    let of_body = || Some(SyncStateSetBody::decode(&response.body)?.epoch);
    match request {
        Request::GetReplicaInfo(_) => Some((int("masterEpoch")?, of_body()?)),
        Request::ElectMaster(_) | Request::RegisterBroker(_) => {
            Some((int("masterEpoch")?, int("syncStateSetEpoch")?))
        }
        Request::AlterSyncStateSet(request) if response.code == 0 => {
            Some((request.master_epoch?, int("newSyncStateSetEpoch")?))
        }
        Request::AlterSyncStateSet(_)
        | Request::Heartbeat(_)
        | Request::GetMetadataInfo
        | Request::GetSyncStateData(_)
        | Request::UpdateControllerConfig(_)
        | Request::GetControllerConfig
        | Request::CleanBrokerData(_)
        | Request::GetNextBrokerId(_)
        | Request::ApplyBrokerId(_) => None,
    }
}

/// The sync-state set in an answer's body.
pub(crate) fn set_in(response: &Response) -> Vec<i64> {
    SyncStateSetBody::decode(&response.body).map(|body| body.sync_state_set).unwrap_or_default()
}

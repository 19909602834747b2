//! Requests as brokers and tools send them.

use protocol::{
    AlterBody, AlterSyncStateSet, ApplyBrokerId, CleanBrokerData, ElectMaster, GetNextBrokerId,
    GetReplicaInfo, GetSyncStateData, RegisterBroker, Request, Text,
};

/// The cluster of all brokers.
pub(crate) const CLUSTER: &str = "cluster-a";

pub(crate) fn text(text: &str) -> Text {
    Text::copied(text)
}

pub(crate) fn next_id(set: &str) -> Request {
    let cluster_name = Some(text(CLUSTER));
    Request::GetNextBrokerId(GetNextBrokerId { cluster_name, broker_name: Some(text(set)) })
}

pub(crate) fn apply_id(set: &str, id: i64, check_code: &str) -> Request {
    Request::ApplyBrokerId(ApplyBrokerId {
        cluster_name: Some(text(CLUSTER)),
        broker_name: Some(text(set)),
        applied_broker_id: Some(id),
        register_check_code: Some(text(check_code)),
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

pub(crate) fn sync_state_data(sets: &[String]) -> Request {
    let broker_names = Some(sets.iter().map(|set| text(set)).collect());
    Request::GetSyncStateData(GetSyncStateData { broker_names })
}

/// The same request without one of its fields.
pub(crate) fn without_a_field(request: Request, draw: u64) -> Request {
    match request {
        Request::ApplyBrokerId(it) if draw.is_multiple_of(2) => {
            Request::ApplyBrokerId(ApplyBrokerId { applied_broker_id: None, ..it })
        }
        Request::ApplyBrokerId(it) => {
            Request::ApplyBrokerId(ApplyBrokerId { register_check_code: None, ..it })
        }
        Request::RegisterBroker(it) if draw.is_multiple_of(2) => {
            Request::RegisterBroker(RegisterBroker { broker_id: None, ..it })
        }
        Request::RegisterBroker(it) => {
            Request::RegisterBroker(RegisterBroker { broker_address: None, ..it })
        }
        Request::AlterSyncStateSet(it) if draw.is_multiple_of(2) => {
            Request::AlterSyncStateSet(AlterSyncStateSet { body: None, ..it })
        }
        Request::AlterSyncStateSet(it) => {
            Request::AlterSyncStateSet(AlterSyncStateSet { master_epoch: None, ..it })
        }
        Request::GetReplicaInfo(_) => Request::GetReplicaInfo(GetReplicaInfo { broker_name: None }),
        other => other,
    }
}

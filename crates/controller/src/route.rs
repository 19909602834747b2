//! Where a request goes, from the request alone: no state, no clock.
//!
//! | Route | Requests | Answered |
//! |---|---|---|
//! | [`Route::Now`] | malformed beyond doubt | at once |
//! | [`Route::Heartbeat`] | 904 | at once, from the table of this peer |
//! | [`Route::Metadata`] | 1005 | at once, from what this peer knows |
//! | [`Route::Read`] | 1004, 1012 | by every peer, after a read barrier |
//! | [`Route::LeaderRead`] | 1006, and writes that can only be refused | by the leader, after a read barrier |
//! | [`Route::Write`] | 1001, 1002, 1003, 1011, 1013 | by the settled leader, from the committed command |
//! | [`Route::NotHere`] | 1009, 1010 | by the server: settings of one process |
//!
//! A write in which a field is absent that upstream needs is a *refusal*: upstream may refuse it for another
//! reason before it gets to the field and throws, so it is decided against the state like a read, in upstream's
//! order of checks, but never becomes an entry of the log (row B22 of RELIABILITY).

use crate::respond;
use crate::waiting::{EchoedNames, Query};
use alloc::boxed::Box;
use alloc::vec::Vec;
use protocol::{BrokerHeartbeat, Request, Response, Text};
use replicas::{
    AlterSyncStateSet, ApplyBrokerId, BrokerId, CleanBrokerData, Command, ElectMaster, Evidence,
    MasterEpoch, Policy, RegisterBroker, SetEpoch, limits,
};

/// A write on its way to the log: the leader adds the evidence.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) command: Command,
    pub(crate) echo: EchoedNames,
    /// Under which cluster name the evidence is collected.
    pub(crate) evidence: EvidenceOf,
    /// An operator's order: its answer says why.
    pub(crate) is_order: bool,
}

/// Under which cluster name the leader looks for living members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EvidenceOf {
    /// The command needs none.
    Nobody,
    /// The name stored with the broker set.
    StoredCluster,
    /// The name in the request, as upstream does for 1003.
    RequestCluster,
}

/// Where a request goes.
#[derive(Debug)]
pub(crate) enum Route {
    Now(Response),
    Heartbeat(i64, BrokerHeartbeat),
    Metadata,
    Read(Query),
    LeaderRead(Query),
    Write(Box<Draft>),
    NotHere,
}

/// Finds the route of a request.
pub(crate) fn route(request: Request) -> Route {
    match request {
        Request::Heartbeat(beat) => heartbeat(beat),
        Request::GetMetadataInfo => Route::Metadata,
        Request::GetReplicaInfo(request) => match request.broker_name {
            Some(set) => Route::Read(Query::ReplicaInfo(set)),
            None => missing("brokerName"),
        },
        Request::GetNextBrokerId(request) => next_id(request),
        Request::GetSyncStateData(request) => match request.broker_names {
            Some(names) if !names.is_empty() => Route::LeaderRead(Query::SyncStateData(names)),
            Some(_) | None => Route::Now(respond::nothing_asked()),
        },
        Request::AlterSyncStateSet(request) => alter(request),
        Request::ElectMaster(request) => elect(request),
        Request::RegisterBroker(request) => register(request),
        Request::CleanBrokerData(request) => clean(request),
        Request::ApplyBrokerId(request) => apply_id(request),
        Request::UpdateControllerConfig(_) | Request::GetControllerConfig => Route::NotHere,
    }
}

/// The answer repeats the names, and no broker of longer ones could apply for the id that it names.
fn next_id(request: protocol::GetNextBrokerId) -> Route {
    let Some(set) = request.broker_name else { return missing("brokerName") };
    let cluster = request.cluster_name;
    for (field, value, limit, maximum) in [
        ("brokerName", Some(&set), "NAME_BYTES_MAX", limits::NAME_BYTES_MAX),
        ("clusterName", cluster.as_ref(), "CLUSTER_BYTES_MAX", limits::CLUSTER_BYTES_MAX),
    ] {
        if value.is_some_and(|value| value.as_bytes().len() > maximum) {
            return Route::Now(respond::limit_exceeded(field, limit, maximum));
        }
    }
    Route::Read(Query::NextBrokerId { cluster, set })
}

/// A broker with longer names could never register, and its names would be kept all the same.
fn heartbeat(beat: BrokerHeartbeat) -> Route {
    let Some(id) = beat.broker_id else { return Route::Now(respond::heartbeat_without_id()) };
    let fields = [
        ("clusterName", &beat.cluster_name, "CLUSTER_BYTES_MAX", limits::CLUSTER_BYTES_MAX),
        ("brokerName", &beat.broker_name, "NAME_BYTES_MAX", limits::NAME_BYTES_MAX),
        ("brokerAddr", &beat.broker_address, "ADDRESS_BYTES_MAX", limits::ADDRESS_BYTES_MAX),
    ];
    for (field, value, limit, maximum) in fields {
        if value.as_ref().is_some_and(|value| value.as_bytes().len() > maximum) {
            return Route::Now(respond::limit_exceeded(field, limit, maximum));
        }
    }
    Route::Heartbeat(id, beat)
}

fn missing(field: &str) -> Route {
    Route::Now(respond::missing_field(field))
}

fn alter(request: protocol::AlterSyncStateSet) -> Route {
    let Some(set) = request.broker_name else { return missing("brokerName") };
    let Some(body) = request.body else { return missing("body") };
    let Some(wanted) = body.sync_state_set else { return missing("syncStateSet") };
    let new_set: Vec<BrokerId> = wanted.into_iter().map(BrokerId).collect();
    let is_refusal = request.master_epoch.is_none();
    let command = Command::AlterSyncStateSet(AlterSyncStateSet {
        set: boxed(&set),
        master: request.master_broker_id.map(BrokerId),
        master_epoch: request.master_epoch.map(MasterEpoch),
        new_set: Some(new_set),
        set_epoch: SetEpoch(body.sync_state_set_epoch),
        evidence: Evidence::default(),
    });
    let echo = EchoedNames { cluster: None, set: Some(set) };
    write(command, echo, EvidenceOf::StoredCluster, is_refusal)
}

fn elect(request: protocol::ElectMaster) -> Route {
    let command = Command::ElectMaster(ElectMaster {
        set: boxed(&request.broker_name),
        broker: Some(BrokerId(request.broker_id)),
        designate: request.designate_elect,
        unclean: false,
        evidence: Evidence::default(),
        seen: None,
        policy: Policy::default(),
    });
    let (cluster, set) = (Some(request.cluster_name), Some(request.broker_name));
    write(command, EchoedNames { cluster, set }, EvidenceOf::StoredCluster, false)
}

fn register(request: protocol::RegisterBroker) -> Route {
    let Some(set) = request.broker_name else { return missing("brokerName") };
    let has_address = request.broker_address.as_ref().is_some_and(|address| !address.is_empty());
    let is_refusal = request.broker_id.is_none() || !has_address;
    let command = Command::RegisterBroker(RegisterBroker {
        set: boxed(&set),
        id: request.broker_id.map(BrokerId),
        address: request.broker_address.as_deref().filter(|_| has_address).map(Box::from),
        evidence: Evidence::default(),
    });
    let echo = EchoedNames { cluster: request.cluster_name, set: Some(set) };
    write(command, echo, EvidenceOf::RequestCluster, is_refusal)
}

fn clean(request: protocol::CleanBrokerData) -> Route {
    let Some(set) = request.broker_name else { return missing("brokerName") };
    let command = Command::CleanBrokerData(CleanBrokerData {
        set: boxed(&set),
        ids: request.broker_ids_to_clean.as_deref().map(Box::from),
        clean_living: request.clean_living_broker,
        evidence: Evidence::default(),
    });
    let echo = EchoedNames { cluster: request.cluster_name, set: Some(set) };
    write(command, echo, EvidenceOf::StoredCluster, false)
}

fn apply_id(request: protocol::ApplyBrokerId) -> Route {
    let Some(set) = request.broker_name else { return missing("brokerName") };
    let is_refusal = request.applied_broker_id.is_none() || request.register_check_code.is_none();
    let command = Command::ApplyBrokerId(ApplyBrokerId {
        cluster: request.cluster_name.as_deref().map(Box::from),
        set: boxed(&set),
        id: request.applied_broker_id.map(BrokerId),
        check_code: request.register_check_code.as_deref().map(Box::from),
    });
    let echo = EchoedNames { cluster: request.cluster_name, set: Some(set) };
    write(command, echo, EvidenceOf::Nobody, is_refusal)
}

fn write(command: Command, echo: EchoedNames, evidence: EvidenceOf, is_refusal: bool) -> Route {
    // What exceeds a limit could not be read back from the log, so it is refused before it gets there.
    if let Err(rejection) = command.check_limits() {
        return Route::Now(respond::decided(&echo, &Err(rejection)));
    }
    let draft = Draft { command, echo, evidence, is_order: false };
    if is_refusal {
        return Route::LeaderRead(Query::Refusal(Box::new(draft)));
    }
    Route::Write(Box::new(draft))
}

fn boxed(text: &Text) -> Box<str> {
    text.as_str().into()
}

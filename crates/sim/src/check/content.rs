//! What a request would write into the log, so that requests, entries and answers can be matched.

use protocol::{Request, SyncStateSetBody};
use replicas::{BrokerId, Command, Outcome, Rejection};

/// The part of a command that a request decides: everything but the evidence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Content {
    pub(crate) set: String,
    pub(crate) wanted: Wanted,
}

/// What is wanted of a broker set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wanted {
    Id { id: i64, code: String },
    Register { id: i64, address: String },
    Elect { id: i64, is_designated: bool },
    Alter { master: Option<i64>, master_epoch: i32, set_epoch: i32, members: Vec<i64> },
    Clean { ids: String, is_forced: bool },
}

/// What a request would write, if it is one that writes and lacks nothing.
pub(crate) fn content_of_request(request: &Request) -> Option<Content> {
    let (set, wanted) = match request {
        Request::ApplyBrokerId(it) => {
            let code = it.register_check_code.as_ref()?.to_string();
            (it.broker_name.as_ref()?, Wanted::Id { id: it.applied_broker_id?, code })
        }
        Request::RegisterBroker(it) => {
            let address = it.broker_address.as_ref()?.to_string();
            (it.broker_name.as_ref()?, Wanted::Register { id: it.broker_id?, address })
        }
        Request::ElectMaster(it) => {
            let wanted = Wanted::Elect { id: it.broker_id, is_designated: it.designate_elect };
            (&it.broker_name, wanted)
        }
        Request::AlterSyncStateSet(it) => {
            let body = it.body.as_ref()?;
            let wanted = Wanted::Alter {
                master: it.master_broker_id,
                master_epoch: it.master_epoch?,
                set_epoch: body.sync_state_set_epoch,
                members: sorted(body.sync_state_set.clone()?),
            };
            (it.broker_name.as_ref()?, wanted)
        }
        Request::CleanBrokerData(it) => {
            let ids = it.broker_ids_to_clean.as_ref().map(ToString::to_string).unwrap_or_default();
            (it.broker_name.as_ref()?, Wanted::Clean { ids, is_forced: it.clean_living_broker })
        }
        Request::Heartbeat(_)
        | Request::GetReplicaInfo(_)
        | Request::GetMetadataInfo
        | Request::GetSyncStateData(_)
        | Request::UpdateControllerConfig(_)
        | Request::GetControllerConfig
        | Request::GetNextBrokerId(_) => return None,
    };
    Some(Content { set: set.to_string(), wanted })
}

/// What a command of the log was asked with; `None` if a field is absent.
pub(crate) fn content_of_command(command: &Command) -> Option<Content> {
    let wanted = match command {
        Command::ApplyBrokerId(it) => {
            Wanted::Id { id: it.id?.0, code: it.check_code.as_deref()?.to_owned() }
        }
        Command::RegisterBroker(it) => {
            Wanted::Register { id: it.id?.0, address: it.address.as_deref()?.to_owned() }
        }
        Command::ElectMaster(it) => {
            let id = it.broker.unwrap_or(BrokerId::NOBODY).0;
            Wanted::Elect { id, is_designated: it.designate }
        }
        Command::AlterSyncStateSet(it) => Wanted::Alter {
            master: it.master.map(|id| id.0),
            master_epoch: it.master_epoch?.0,
            set_epoch: it.set_epoch.0,
            members: sorted(it.new_set.as_ref()?.iter().map(|id| id.0).collect()),
        },
        Command::CleanBrokerData(it) => Wanted::Clean {
            ids: it.ids.as_deref().unwrap_or_default().to_owned(),
            is_forced: it.clean_living,
        },
    };
    Some(Content { set: command.set().to_owned(), wanted })
}

/// Sets have no order.
fn sorted(mut members: Vec<i64>) -> Vec<i64> {
    members.sort_unstable();
    members.dedup();
    members
}

/// What an answer shows of a broker set, as far as it can be compared with the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) code: i32,
    pub(crate) master: Option<i64>,
    pub(crate) address: Option<String>,
    pub(crate) master_epoch: Option<i32>,
    pub(crate) set_epoch: Option<i32>,
    pub(crate) members: Option<Vec<i64>>,
}

/// What an answer to a write shows.
pub(crate) fn shown_by_answer(wanted: &Wanted, response: &protocol::Response) -> Shown {
    let int = |key| response.ext.int(key);
    let address = || response.ext.get("masterAddress").map(|it| it.to_string());
    let mut shown = Shown { code: response.code, ..Shown::default() };
    let members = |body: &[u8]| {
        let mut members = SyncStateSetBody::decode(body)?.sync_state_set;
        members.sort_unstable();
        Some(members)
    };
    match wanted {
        Wanted::Id { .. } | Wanted::Clean { .. } => {}
        Wanted::Register { .. } => {
            shown.master = response.ext.long("masterBrokerId");
            shown.address = address();
            shown.master_epoch = int("masterEpoch");
            shown.members = members(&response.body).filter(|_| response.code == 0);
        }
        Wanted::Elect { .. } => {
            shown.master = response.ext.long("masterBrokerId");
            shown.address = address();
            shown.master_epoch = int("masterEpoch");
            shown.set_epoch = int("syncStateSetEpoch");
        }
        Wanted::Alter { .. } => {
            shown.set_epoch = int("newSyncStateSetEpoch").filter(|_| response.code == 0);
            shown.members = members(&response.body).filter(|_| response.code == 0);
        }
    }
    shown
}

/// What the answer to a decided command must show.
pub(crate) fn shown_by_result(result: &Result<Outcome, Rejection>) -> Shown {
    use protocol::response_code as code;
    let of = |code| Shown { code, ..Shown::default() };
    let ids = |set: &[BrokerId]| Some(set.iter().map(|id| id.0).collect());
    match result {
        Ok(Outcome::BrokerIdApplied { .. } | Outcome::BrokersCleaned { .. }) => of(code::SUCCESS),
        Ok(Outcome::BrokerRegistered { master, sync_state_set, .. }) => Shown {
            master: master.as_ref().map(|master| master.id.0),
            address: master.as_ref().map(|master| master.address.to_string()),
            master_epoch: master.as_ref().map(|master| master.master_epoch.0),
            members: ids(sync_state_set),
            ..of(code::SUCCESS)
        },
        Ok(Outcome::MasterElected { master, .. }) => Shown {
            master: Some(master.id.0),
            address: Some(master.address.to_string()),
            master_epoch: Some(master.master_epoch.0),
            set_epoch: Some(master.set_epoch.0),
            ..of(code::SUCCESS)
        },
        Ok(Outcome::NoMaster { .. }) => of(code::CONTROLLER_MASTER_NOT_AVAILABLE),
        Ok(Outcome::SyncStateSetAltered { sync_state_set, set_epoch }) => Shown {
            set_epoch: Some(set_epoch.0),
            members: ids(sync_state_set),
            ..of(code::SUCCESS)
        },
        Err(Rejection::MasterStillExists { master, .. }) => Shown {
            master: Some(master.id.0),
            address: Some(master.address.to_string()),
            master_epoch: Some(master.master_epoch.0),
            set_epoch: Some(master.set_epoch.0),
            ..of(code::CONTROLLER_MASTER_STILL_EXIST)
        },
        Err(rejection) => of(code_of(rejection)),
    }
}

fn code_of(rejection: &Rejection) -> i32 {
    use protocol::response_code as code;
    match rejection {
        Rejection::MissingField { .. }
        | Rejection::LimitExceeded { .. }
        | Rejection::ControlCharacter { .. }
        | Rejection::EpochExhausted { .. } => code::SYSTEM_ERROR,
        Rejection::ApplySetUnknown { .. } | Rejection::BrokerIdRefused { .. } => {
            code::CONTROLLER_BROKER_ID_INVALID
        }
        Rejection::RegisterSetUnknown { .. }
        | Rejection::RegisterIdUnknown { .. }
        | Rejection::ElectSetUnknown => code::CONTROLLER_BROKER_NEED_TO_BE_REGISTERED,
        Rejection::MasterStillExists { .. } => code::CONTROLLER_MASTER_STILL_EXIST,
        Rejection::ElectionFailed => code::CONTROLLER_ELECT_MASTER_FAILED,
        Rejection::AlterSetUnknown | Rejection::SetUnchanged | Rejection::MasterNotInSet { .. } => {
            code::CONTROLLER_ALTER_SYNC_STATE_SET_FAILED
        }
        Rejection::NotMaster { .. } => code::CONTROLLER_INVALID_MASTER,
        Rejection::FencedMasterEpoch { .. } => code::CONTROLLER_FENCED_MASTER_EPOCH,
        Rejection::FencedSetEpoch { .. } => code::CONTROLLER_FENCED_SYNC_STATE_SET_EPOCH,
        Rejection::ReplicaUnknown { .. } => code::CONTROLLER_INVALID_REPLICAS,
        Rejection::ReplicaNotAlive { .. } => code::CONTROLLER_BROKER_NOT_ALIVE,
        Rejection::CleanMasterRecorded { .. }
        | Rejection::CleanIdMalformed { .. }
        | Rejection::CleanBrokerAlive { .. }
        | Rejection::CleanSetUnknown { .. } => code::CONTROLLER_INVALID_CLEAN_BROKER_METADATA,
    }
}

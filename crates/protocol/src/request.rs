//! Typed requests: what a frame asks for, with upstream's defaults for what it leaves out.
//!
//! One file per request holds its table of fields. Reading is total: a field that is absent or
//! does not parse keeps the value that upstream's header class starts with, which is `None` for a
//! boxed field and the primitive's default otherwise. Upstream marks fields as required and then
//! never enforces it; whether a missing one is refused is decided by the controller.
//!
//! Not here: requests between our own peers ([`crate::private`]), which are not header fields.
//!
//! Source: upstream `RemotingCommand#decodeCommandCustomHeader`.

mod alter_sync_state_set;
mod apply_broker_id;
mod broker_heartbeat;
mod clean_broker_data;
mod elect_master;
mod get_next_broker_id;
mod get_replica_info;
mod get_sync_state_data;
mod register_broker;
mod update_controller_config;

use crate::{ExtFields, Frame, Header, HeaderEncoding, code};
use bytes::{Bytes, BytesMut};

pub use alter_sync_state_set::AlterSyncStateSet;
pub use apply_broker_id::ApplyBrokerId;
pub use broker_heartbeat::BrokerHeartbeat;
pub use clean_broker_data::CleanBrokerData;
pub use elect_master::ElectMaster;
pub use get_next_broker_id::GetNextBrokerId;
pub use get_replica_info::GetReplicaInfo;
pub use get_sync_state_data::{GetSyncStateData, SYNC_STATE_DATA_NAMES_MAX};
pub use register_broker::RegisterBroker;
pub use update_controller_config::UpdateControllerConfig;

/// Everything that a controller answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// 904
    Heartbeat(BrokerHeartbeat),
    /// 1001
    AlterSyncStateSet(AlterSyncStateSet),
    /// 1002
    ElectMaster(ElectMaster),
    /// 1003
    RegisterBroker(RegisterBroker),
    /// 1004
    GetReplicaInfo(GetReplicaInfo),
    /// 1005, without fields
    GetMetadataInfo,
    /// 1006
    GetSyncStateData(GetSyncStateData),
    /// 1009
    UpdateControllerConfig(UpdateControllerConfig),
    /// 1010, without fields
    GetControllerConfig,
    /// 1011
    CleanBrokerData(CleanBrokerData),
    /// 1012
    GetNextBrokerId(GetNextBrokerId),
    /// 1013
    ApplyBrokerId(ApplyBrokerId),
}

impl Request {
    /// Reads the request in `frame`, or `None` if its code is not one that a controller answers.
    ///
    /// Whether the frame is a response is the caller's question: [`Header::is_response`].
    #[must_use]
    pub fn decode(frame: &Frame) -> Option<Self> {
        let ext = &frame.header.ext;
        let body = &frame.body;
        let request = match frame.header.code {
            code::BROKER_HEARTBEAT => Self::Heartbeat(BrokerHeartbeat::decode(ext)),
            code::CONTROLLER_ALTER_SYNC_STATE_SET => {
                Self::AlterSyncStateSet(AlterSyncStateSet::decode(ext, body))
            }
            code::CONTROLLER_ELECT_MASTER => Self::ElectMaster(ElectMaster::decode(ext)),
            code::CONTROLLER_REGISTER_BROKER => Self::RegisterBroker(RegisterBroker::decode(ext)),
            code::CONTROLLER_GET_REPLICA_INFO => Self::GetReplicaInfo(GetReplicaInfo::decode(ext)),
            code::CONTROLLER_GET_METADATA_INFO => Self::GetMetadataInfo,
            code::CONTROLLER_GET_SYNC_STATE_DATA => {
                Self::GetSyncStateData(GetSyncStateData::decode(body))
            }
            code::UPDATE_CONTROLLER_CONFIG => {
                Self::UpdateControllerConfig(UpdateControllerConfig { body: body.clone() })
            }
            code::GET_CONTROLLER_CONFIG => Self::GetControllerConfig,
            code::CLEAN_BROKER_DATA => Self::CleanBrokerData(CleanBrokerData::decode(ext)),
            code::CONTROLLER_GET_NEXT_BROKER_ID => {
                Self::GetNextBrokerId(GetNextBrokerId::decode(ext))
            }
            code::CONTROLLER_APPLY_BROKER_ID => Self::ApplyBrokerId(ApplyBrokerId::decode(ext)),
            _ => return None,
        };
        Some(request)
    }

    /// The request code, one of [`code`].
    #[must_use]
    pub fn code(&self) -> i32 {
        match self {
            Self::Heartbeat(_) => code::BROKER_HEARTBEAT,
            Self::AlterSyncStateSet(_) => code::CONTROLLER_ALTER_SYNC_STATE_SET,
            Self::ElectMaster(_) => code::CONTROLLER_ELECT_MASTER,
            Self::RegisterBroker(_) => code::CONTROLLER_REGISTER_BROKER,
            Self::GetReplicaInfo(_) => code::CONTROLLER_GET_REPLICA_INFO,
            Self::GetMetadataInfo => code::CONTROLLER_GET_METADATA_INFO,
            Self::GetSyncStateData(_) => code::CONTROLLER_GET_SYNC_STATE_DATA,
            Self::UpdateControllerConfig(_) => code::UPDATE_CONTROLLER_CONFIG,
            Self::GetControllerConfig => code::GET_CONTROLLER_CONFIG,
            Self::CleanBrokerData(_) => code::CLEAN_BROKER_DATA,
            Self::GetNextBrokerId(_) => code::CONTROLLER_GET_NEXT_BROKER_ID,
            Self::ApplyBrokerId(_) => code::CONTROLLER_APPLY_BROKER_ID,
        }
    }

    /// Appends the whole frame of this request to `out`, as a broker or mqadmin would write it.
    ///
    /// `flag` is 0 for a request that wants an answer, or [`crate::FLAG_ONE_WAY`].
    pub fn encode(&self, opaque: i32, flag: i32, encoding: HeaderEncoding, out: &mut BytesMut) {
        let mut ext = ExtFields::new();
        let body = self.write(&mut ext);
        let header = Header::request(self.code(), opaque, flag, ext, encoding);
        Frame { header, body }.encode(out);
    }

    /// Puts the fields into `ext` and returns the body.
    fn write(&self, ext: &mut ExtFields) -> Bytes {
        match self {
            Self::Heartbeat(request) => request.write(ext),
            Self::AlterSyncStateSet(request) => return request.write(ext),
            Self::ElectMaster(request) => request.write(ext),
            Self::RegisterBroker(request) => request.write(ext),
            Self::GetReplicaInfo(request) => request.write(ext),
            Self::GetMetadataInfo | Self::GetControllerConfig => {}
            Self::GetSyncStateData(request) => return request.body(),
            Self::UpdateControllerConfig(request) => return request.body.clone(),
            Self::CleanBrokerData(request) => request.write(ext),
            Self::GetNextBrokerId(request) => request.write(ext),
            Self::ApplyBrokerId(request) => request.write(ext),
        }
        Bytes::new()
    }
}

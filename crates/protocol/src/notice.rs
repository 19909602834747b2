//! 1008 `NOTIFY_BROKER_ROLE_CHANGED`: a controller tells a broker who is master now.
//!
//! | Key | Type |
//! |---|---|
//! | `masterAddress` | string |
//! | `masterEpoch` | int |
//! | `syncStateSetEpoch` | int |
//! | `masterBrokerId` | long |
//!
//! Body: [`SyncStateSetBody`] with the same epoch. The broker needs all of it. Upstream sends it
//! one-way; with flag 0 a broker answers 0, which serves as an acknowledgement.

use crate::{ExtFields, Frame, Header, HeaderEncoding, SyncStateSetBody, Text, code};
use alloc::vec::Vec;
use bytes::BytesMut;

/// The outcome of an election, for one member of the broker set.
///
/// Source: upstream `NotifyBrokerRoleChangedRequestHeader`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleNotice {
    /// `masterAddress`
    pub master_address: Text,
    /// `masterEpoch`
    pub master_epoch: i32,
    /// `syncStateSetEpoch`, in the header and in the body
    pub sync_state_set_epoch: i32,
    /// `masterBrokerId`
    pub master_broker_id: i64,
    /// The new sync-state set
    pub sync_state_set: Vec<i64>,
}

impl RoleNotice {
    /// Appends the whole frame; `flag` is 0 to have it acknowledged, or [`crate::FLAG_ONE_WAY`].
    pub fn encode(&self, opaque: i32, flag: i32, encoding: HeaderEncoding, out: &mut BytesMut) {
        let mut ext = ExtFields::new();
        ext.push("masterAddress", &self.master_address);
        ext.push("masterEpoch", self.master_epoch);
        ext.push("syncStateSetEpoch", self.sync_state_set_epoch);
        ext.push("masterBrokerId", self.master_broker_id);
        let code = code::NOTIFY_BROKER_ROLE_CHANGED;
        let header = Header::request(code, opaque, flag, ext, encoding);
        let epoch = self.sync_state_set_epoch;
        let body = SyncStateSetBody { sync_state_set: self.sync_state_set.clone(), epoch };
        Frame { header, body: body.to_bytes() }.encode(out);
    }

    /// Reads the notice in a frame; `None` if it is another command or lacks what a broker needs.
    #[must_use]
    pub fn decode(frame: &Frame) -> Option<Self> {
        let ext = &frame.header.ext;
        if frame.header.code != code::NOTIFY_BROKER_ROLE_CHANGED {
            return None;
        }
        Some(Self {
            master_address: ext.text("masterAddress")?,
            master_epoch: ext.int("masterEpoch")?,
            sync_state_set_epoch: ext.int("syncStateSetEpoch")?,
            master_broker_id: ext.long("masterBrokerId")?,
            sync_state_set: SyncStateSetBody::decode(&frame.body)?.sync_state_set,
        })
    }
}

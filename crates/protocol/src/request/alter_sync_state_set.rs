//! 1001 `CONTROLLER_ALTER_SYNC_STATE_SET`: a master changes its sync-state set.
//!
//! | Key | Type | Absent or unreadable |
//! |---|---|---|
//! | `brokerName` | string | `None` |
//! | `masterBrokerId` | long | `None`: upstream compares with null and answers 2002 |
//! | `masterEpoch` | int | `None`: upstream answers 1 |
//! | `invokeTime` | long | `None`: upstream takes its own clock |
//!
//! Body: `{"syncStateSet":[1,2,3],"syncStateSetEpoch":1}`, the wanted set and the epoch that the
//! master believes is current; see [`AlterBody`].

use crate::{AlterBody, ExtFields, Text};
use bytes::Bytes;

/// A master's wish to change its sync-state set.
///
/// Source: upstream `AlterSyncStateSetRequestHeader`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlterSyncStateSet {
    /// `brokerName`, the name of the broker set
    pub broker_name: Option<Text>,
    /// `masterBrokerId`: who asks
    pub master_broker_id: Option<i64>,
    /// `masterEpoch`, as the caller knows it
    pub master_epoch: Option<i32>,
    /// `invokeTime`, the caller's clock in milliseconds; nothing of ours uses it
    pub invoke_time_ms: Option<i64>,
    /// The body; `None` if there is none or it cannot be read: upstream answers 1.
    pub body: Option<AlterBody>,
}

impl AlterSyncStateSet {
    pub(super) fn decode(ext: &ExtFields, body: &[u8]) -> Self {
        Self {
            broker_name: ext.text("brokerName"),
            master_broker_id: ext.long("masterBrokerId"),
            master_epoch: ext.int("masterEpoch"),
            invoke_time_ms: ext.long("invokeTime"),
            body: AlterBody::decode(body),
        }
    }

    pub(super) fn write(&self, ext: &mut ExtFields) -> Bytes {
        ext.push_some("brokerName", self.broker_name.as_ref());
        ext.push_some("masterBrokerId", self.master_broker_id);
        ext.push_some("masterEpoch", self.master_epoch);
        ext.push_some("invokeTime", self.invoke_time_ms);
        self.body.as_ref().map_or_else(Bytes::new, AlterBody::to_bytes)
    }
}

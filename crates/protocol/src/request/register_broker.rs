//! 1003 `CONTROLLER_REGISTER_BROKER`: a broker tells its address under the id it was given.
//!
//! | Key | Type | Absent or unreadable |
//! |---|---|---|
//! | `clusterName` | string | `None` |
//! | `brokerName` | string | `None` |
//! | `brokerId` | long | `None` |
//! | `brokerAddress` | string | `None`: upstream answers 1 |
//! | `invokeTime` | long | 0, a primitive upstream |

use crate::{ExtFields, Text};

/// A broker that starts, or whose address changed.
///
/// Source: upstream `RegisterBrokerToControllerRequestHeader`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegisterBroker {
    /// `clusterName`
    pub cluster_name: Option<Text>,
    /// `brokerName`, the name of the broker set
    pub broker_name: Option<Text>,
    /// `brokerId`
    pub broker_id: Option<i64>,
    /// `brokerAddress`
    pub broker_address: Option<Text>,
    /// `invokeTime`, the caller's clock in milliseconds; nothing of ours uses it
    pub invoke_time_ms: i64,
}

impl RegisterBroker {
    pub(super) fn decode(ext: &ExtFields) -> Self {
        Self {
            cluster_name: ext.text("clusterName"),
            broker_name: ext.text("brokerName"),
            broker_id: ext.long("brokerId"),
            broker_address: ext.text("brokerAddress"),
            invoke_time_ms: ext.long("invokeTime").unwrap_or(0),
        }
    }

    pub(super) fn write(&self, ext: &mut ExtFields) {
        ext.push_some("clusterName", self.cluster_name.as_ref());
        ext.push_some("brokerName", self.broker_name.as_ref());
        ext.push_some("brokerId", self.broker_id);
        ext.push_some("brokerAddress", self.broker_address.as_ref());
        ext.push("invokeTime", self.invoke_time_ms);
    }
}

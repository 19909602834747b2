//! 904 `BROKER_HEARTBEAT`: a broker is alive and tells how far its log reaches.
//!
//! | Key | Type | Absent or unreadable |
//! |---|---|---|
//! | `clusterName` | string | `None` |
//! | `brokerAddr` | string | `None` |
//! | `brokerName` | string | `None` |
//! | `brokerId` | long | `None`: upstream answers 2005 |
//! | `epoch` | int | -1 |
//! | `maxOffset` | long | -1 |
//! | `confirmOffset` | long | -1 |
//! | `heartbeatTimeoutMills` | long | `None`: the reader takes its own time-out |
//! | `electionPriority` | int | `i32::MAX`, the least preferred |

use crate::{ExtFields, Text};

/// A broker's sign of life; the hottest request of all.
///
/// Source: upstream `BrokerHeartbeatRequestHeader`, defaults from
/// `ControllerRequestProcessor#handleBrokerHeartbeat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerHeartbeat {
    /// `clusterName`
    pub cluster_name: Option<Text>,
    /// `brokerAddr`
    pub broker_address: Option<Text>,
    /// `brokerName`, the name of the broker set
    pub broker_name: Option<Text>,
    /// `brokerId`
    pub broker_id: Option<i64>,
    /// `epoch`: the master epoch that the broker knows
    pub epoch: i32,
    /// `maxOffset`
    pub max_offset: i64,
    /// `confirmOffset`
    pub confirm_offset: i64,
    /// `heartbeatTimeoutMills` (so spelled upstream), in milliseconds
    pub heartbeat_timeout_ms: Option<i64>,
    /// `electionPriority`; a smaller number is preferred
    pub election_priority: i32,
}

impl Default for BrokerHeartbeat {
    /// What upstream makes of a heartbeat without any field.
    fn default() -> Self {
        Self {
            cluster_name: None,
            broker_address: None,
            broker_name: None,
            broker_id: None,
            epoch: -1,
            max_offset: -1,
            confirm_offset: -1,
            heartbeat_timeout_ms: None,
            election_priority: i32::MAX,
        }
    }
}

impl BrokerHeartbeat {
    pub(super) fn decode(ext: &ExtFields) -> Self {
        Self {
            cluster_name: ext.text("clusterName"),
            broker_address: ext.text("brokerAddr"),
            broker_name: ext.text("brokerName"),
            broker_id: ext.long("brokerId"),
            epoch: ext.int("epoch").unwrap_or(-1),
            max_offset: ext.long("maxOffset").unwrap_or(-1),
            confirm_offset: ext.long("confirmOffset").unwrap_or(-1),
            heartbeat_timeout_ms: ext.long("heartbeatTimeoutMills"),
            election_priority: ext.int("electionPriority").unwrap_or(i32::MAX),
        }
    }

    pub(super) fn write(&self, ext: &mut ExtFields) {
        ext.push_some("clusterName", self.cluster_name.as_ref());
        ext.push_some("brokerAddr", self.broker_address.as_ref());
        ext.push_some("brokerName", self.broker_name.as_ref());
        ext.push_some("brokerId", self.broker_id);
        ext.push("epoch", self.epoch);
        ext.push("maxOffset", self.max_offset);
        ext.push("confirmOffset", self.confirm_offset);
        ext.push_some("heartbeatTimeoutMills", self.heartbeat_timeout_ms);
        ext.push("electionPriority", self.election_priority);
    }
}

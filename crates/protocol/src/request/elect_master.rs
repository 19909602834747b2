//! 1002 `CONTROLLER_ELECT_MASTER`: somebody asks for an election.
//!
//! | Key | Type | Absent or unreadable |
//! |---|---|---|
//! | `clusterName` | string | `""` |
//! | `brokerName` | string | `""` |
//! | `brokerId` | long | -1: "triggered by the controller" |
//! | `designateElect` | boolean | false |
//! | `invokeTime` | long | `None`: upstream takes its own clock |
//!
//! A broker sends its own id and `designateElect` false, an administrator any id and true. A
//! request without fields therefore looks like the controller's own trigger.

use crate::{ExtFields, Text};

/// `brokerId` of a request that names no broker.
const NO_BROKER: i64 = -1;

/// A wish for an election in one broker set.
///
/// Source: upstream `ElectMasterRequestHeader`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElectMaster {
    /// `clusterName`; a label and no more
    pub cluster_name: Text,
    /// `brokerName`, the name of the broker set
    pub broker_name: Text,
    /// `brokerId`: who should become master, or -1
    pub broker_id: i64,
    /// `designateElect`: exactly this broker and no other
    pub designate_elect: bool,
    /// `invokeTime`, the caller's clock in milliseconds; nothing of ours uses it
    pub invoke_time_ms: Option<i64>,
}

impl Default for ElectMaster {
    /// What upstream makes of a request without any field.
    fn default() -> Self {
        Self {
            cluster_name: Text::default(),
            broker_name: Text::default(),
            broker_id: NO_BROKER,
            designate_elect: false,
            invoke_time_ms: None,
        }
    }
}

impl ElectMaster {
    pub(super) fn decode(ext: &ExtFields) -> Self {
        Self {
            cluster_name: ext.text("clusterName").unwrap_or_default(),
            broker_name: ext.text("brokerName").unwrap_or_default(),
            broker_id: ext.long("brokerId").unwrap_or(NO_BROKER),
            designate_elect: ext.boolean("designateElect").unwrap_or(false),
            invoke_time_ms: ext.long("invokeTime"),
        }
    }

    pub(super) fn write(&self, ext: &mut ExtFields) {
        ext.push("clusterName", &self.cluster_name);
        ext.push("brokerName", &self.broker_name);
        ext.push("brokerId", self.broker_id);
        ext.push("designateElect", self.designate_elect);
        ext.push_some("invokeTime", self.invoke_time_ms);
    }
}

//! 1011 `CLEAN_BROKER_DATA`: an administrator removes replicas or a whole broker set.
//!
//! | Key | Type | Absent or unreadable |
//! |---|---|---|
//! | `clusterName` | string | `None` |
//! | `brokerName` | string | `None`: upstream answers 1 |
//! | `brokerControllerIdsToClean` | string | `None`: the whole broker set |
//! | `isCleanLivingBroker` | boolean | false |
//! | `invokeTime` | long | `None`: upstream takes its own clock |

use crate::{ExtFields, Text};

/// A wish to forget replicas.
///
/// Source: upstream `CleanControllerBrokerDataRequestHeader`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CleanBrokerData {
    /// `clusterName`
    pub cluster_name: Option<Text>,
    /// `brokerName`, the name of the broker set
    pub broker_name: Option<Text>,
    /// `brokerControllerIdsToClean`, ids between semicolons, as it came: the rules read it, because
    /// the refusal of a malformed one comes after other checks
    pub broker_ids_to_clean: Option<Text>,
    /// `isCleanLivingBroker`: also replicas that are alive
    pub clean_living_broker: bool,
    /// `invokeTime`, the caller's clock in milliseconds; nothing of ours uses it
    pub invoke_time_ms: Option<i64>,
}

impl CleanBrokerData {
    pub(super) fn decode(ext: &ExtFields) -> Self {
        Self {
            cluster_name: ext.text("clusterName"),
            broker_name: ext.text("brokerName"),
            broker_ids_to_clean: ext.text("brokerControllerIdsToClean"),
            clean_living_broker: ext.boolean("isCleanLivingBroker").unwrap_or(false),
            invoke_time_ms: ext.long("invokeTime"),
        }
    }

    pub(super) fn write(&self, ext: &mut ExtFields) {
        ext.push_some("clusterName", self.cluster_name.as_ref());
        ext.push_some("brokerName", self.broker_name.as_ref());
        ext.push_some("brokerControllerIdsToClean", self.broker_ids_to_clean.as_ref());
        ext.push("isCleanLivingBroker", self.clean_living_broker);
        ext.push_some("invokeTime", self.invoke_time_ms);
    }
}

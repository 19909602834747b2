//! 1013 `CONTROLLER_APPLY_BROKER_ID`: a new replica claims an id.
//!
//! | Key | Type | Absent or unreadable |
//! |---|---|---|
//! | `clusterName` | string | `None` |
//! | `brokerName` | string | `None`: upstream answers 1 |
//! | `appliedBrokerId` | long | `None`: upstream answers 1 |
//! | `registerCheckCode` | string | `None`: upstream answers 1 |

use crate::{ExtFields, Text};

/// A claim to a broker id, repeatable with the same check code.
///
/// Source: upstream `ApplyBrokerIdRequestHeader`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApplyBrokerId {
    /// `clusterName`
    pub cluster_name: Option<Text>,
    /// `brokerName`, the name of the broker set
    pub broker_name: Option<Text>,
    /// `appliedBrokerId`
    pub applied_broker_id: Option<i64>,
    /// `registerCheckCode`: `<address>;<milliseconds>`, which names the claimant
    pub register_check_code: Option<Text>,
}

impl ApplyBrokerId {
    pub(super) fn decode(ext: &ExtFields) -> Self {
        Self {
            cluster_name: ext.text("clusterName"),
            broker_name: ext.text("brokerName"),
            applied_broker_id: ext.long("appliedBrokerId"),
            register_check_code: ext.text("registerCheckCode"),
        }
    }

    pub(super) fn write(&self, ext: &mut ExtFields) {
        ext.push_some("clusterName", self.cluster_name.as_ref());
        ext.push_some("brokerName", self.broker_name.as_ref());
        ext.push_some("appliedBrokerId", self.applied_broker_id);
        ext.push_some("registerCheckCode", self.register_check_code.as_ref());
    }
}

//! 1004 `CONTROLLER_GET_REPLICA_INFO`: who is master of one broker set, and who is in sync.
//!
//! | Key | Type | Absent |
//! |---|---|---|
//! | `brokerName` | string | `None`: upstream answers 1 |

use crate::{ExtFields, Text};

/// A broker's poll, once in a few seconds.
///
/// Source: upstream `GetReplicaInfoRequestHeader`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GetReplicaInfo {
    /// `brokerName`, the name of the broker set
    pub broker_name: Option<Text>,
}

impl GetReplicaInfo {
    pub(super) fn decode(ext: &ExtFields) -> Self {
        Self { broker_name: ext.text("brokerName") }
    }

    pub(super) fn write(&self, ext: &mut ExtFields) {
        ext.push_some("brokerName", self.broker_name.as_ref());
    }
}

//! 1012 `CONTROLLER_GET_NEXT_BROKER_ID`: which id a new replica should apply for.
//!
//! | Key | Type | Absent |
//! |---|---|---|
//! | `clusterName` | string | `None` |
//! | `brokerName` | string | `None`: upstream answers 1 |

use crate::{ExtFields, Text};

/// A new replica's first question.
///
/// Source: upstream `GetNextBrokerIdRequestHeader`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GetNextBrokerId {
    /// `clusterName`
    pub cluster_name: Option<Text>,
    /// `brokerName`, the name of the broker set
    pub broker_name: Option<Text>,
}

impl GetNextBrokerId {
    pub(super) fn decode(ext: &ExtFields) -> Self {
        Self { cluster_name: ext.text("clusterName"), broker_name: ext.text("brokerName") }
    }

    pub(super) fn write(&self, ext: &mut ExtFields) {
        ext.push_some("clusterName", self.cluster_name.as_ref());
        ext.push_some("brokerName", self.broker_name.as_ref());
    }
}

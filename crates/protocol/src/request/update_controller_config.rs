//! 1009 `UPDATE_CONTROLLER_CONFIG`: new settings for this one node.
//!
//! No fields. The body is the text of a Java property file; reading it is the server's business.

use bytes::Bytes;

/// Settings to take over, as they came.
///
/// Source: upstream `ControllerRequestProcessor#handleUpdateControllerConfig`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpdateControllerConfig {
    /// Text of a property file; empty if there was no body.
    pub body: Bytes,
}

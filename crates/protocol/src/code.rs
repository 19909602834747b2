//! Request codes, as they stand in the `code` member of a header.
//!
//! Only those that a controller answers, sends, or must know by name. Our own codes between peers
//! are in [`crate::private`]; response codes are in [`crate::response_code`].
//!
//! Source: upstream `RequestCode`.

/// A broker is alive; normally one-way, sent to every controller once a second.
pub const BROKER_HEARTBEAT: i32 = 904;
/// A master changes its sync-state set.
pub const CONTROLLER_ALTER_SYNC_STATE_SET: i32 = 1001;
/// A broker, an administrator or the controller itself asks for an election.
pub const CONTROLLER_ELECT_MASTER: i32 = 1002;
/// A broker tells its address under the id it was given.
pub const CONTROLLER_REGISTER_BROKER: i32 = 1003;
/// The master and the sync-state set of one broker set.
pub const CONTROLLER_GET_REPLICA_INFO: i32 = 1004;
/// Who leads the controllers; answered by every node.
pub const CONTROLLER_GET_METADATA_INFO: i32 = 1005;
/// The replicas of the broker sets named in the body, for administrators.
pub const CONTROLLER_GET_SYNC_STATE_DATA: i32 = 1006;
/// Answered by brokers only; a controller refuses it.
pub const GET_BROKER_EPOCH_CACHE: i32 = 1007;
/// A controller tells a broker who is master: [`crate::RoleNotice`].
pub const NOTIFY_BROKER_ROLE_CHANGED: i32 = 1008;
/// Changes the settings of one node.
pub const UPDATE_CONTROLLER_CONFIG: i32 = 1009;
/// The settings of one node.
pub const GET_CONTROLLER_CONFIG: i32 = 1010;
/// Removes replicas or a whole broker set.
pub const CLEAN_BROKER_DATA: i32 = 1011;
/// The id that the next new replica should apply for; nothing is reserved.
pub const CONTROLLER_GET_NEXT_BROKER_ID: i32 = 1012;
/// A new replica claims an id.
pub const CONTROLLER_APPLY_BROKER_ID: i32 = 1013;

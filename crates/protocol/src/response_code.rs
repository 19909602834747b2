//! Response codes, as they stand in the `code` member of an answer.
//!
//! This crate names them and never chooses one.
//!
//! Source: upstream `ResponseCode` and `RemotingSysResponseCode`.

/// The request succeeded.
pub const SUCCESS: i32 = 0;
/// An exception upstream, a time-out, or an outcome that is not known.
pub const SYSTEM_ERROR: i32 = 1;
/// A queue is full.
pub const SYSTEM_BUSY: i32 = 2;
/// Nobody answers this request code here.
pub const REQUEST_CODE_NOT_SUPPORTED: i32 = 3;
/// The caller may not do this, or the setting is on the black list.
pub const NO_PERMISSION: i32 = 16;
/// The node shuts down; connect again.
pub const GO_AWAY: i32 = 1500;
/// The caller's master epoch is not ours.
pub const CONTROLLER_FENCED_MASTER_EPOCH: i32 = 2000;
/// The caller's sync-state set epoch is not ours.
pub const CONTROLLER_FENCED_SYNC_STATE_SET_EPOCH: i32 = 2001;
/// The caller is not the recorded master.
pub const CONTROLLER_INVALID_MASTER: i32 = 2002;
/// A replica that is not registered.
pub const CONTROLLER_INVALID_REPLICAS: i32 = 2003;
/// Nobody could be elected in an election that the controller triggered.
pub const CONTROLLER_MASTER_NOT_AVAILABLE: i32 = 2004;
/// A heartbeat without a broker id.
pub const CONTROLLER_INVALID_REQUEST: i32 = 2005;
/// A replica that sent no heartbeat in time.
pub const CONTROLLER_BROKER_NOT_ALIVE: i32 = 2006;
/// This node does not lead.
pub const CONTROLLER_NOT_LEADER: i32 = 2007;
/// The broker set is not known.
pub const CONTROLLER_BROKER_METADATA_NOT_EXIST: i32 = 2008;
/// The clean request was refused.
pub const CONTROLLER_INVALID_CLEAN_BROKER_METADATA: i32 = 2009;
/// The broker must register first.
pub const CONTROLLER_BROKER_NEED_TO_BE_REGISTERED: i32 = 2010;
/// The recorded master was chosen again.
pub const CONTROLLER_MASTER_STILL_EXIST: i32 = 2011;
/// Nobody could be elected.
pub const CONTROLLER_ELECT_MASTER_FAILED: i32 = 2012;
/// The change of the sync-state set was refused.
pub const CONTROLLER_ALTER_SYNC_STATE_SET_FAILED: i32 = 2013;
/// The broker id is taken or does not follow.
pub const CONTROLLER_BROKER_ID_INVALID: i32 = 2014;
/// Upstream's Raft layer failed; we never send it.
pub const CONTROLLER_JRAFT_INTERNAL_ERROR: i32 = 2015;

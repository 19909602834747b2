//! The limits of commands and state. What exceeds one is refused with
//! [`crate::Rejection::LimitExceeded`], which names it.

/// A broker set's name, in bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 255;
/// A cluster's name, in bytes of UTF-8.
pub const CLUSTER_BYTES_MAX: usize = 255;
/// A broker's address, in bytes of UTF-8.
pub const ADDRESS_BYTES_MAX: usize = 1024;
/// The check code a broker registers with, in bytes of UTF-8.
pub const CHECK_CODE_BYTES_MAX: usize = 1024;
/// The text that lists the ids to clean, in bytes.
pub const ID_LIST_BYTES_MAX: usize = 16 * 1024;
/// Replicas of one broker set, in sync or not.
pub const REPLICAS_COUNT_MAX: usize = 1024;
/// Ids in the sync-state set that an alter asks for.
pub const SYNC_STATE_SET_COUNT_MAX: usize = 1024;
/// Brokers in the evidence of one command.
pub const EVIDENCE_COUNT_MAX: usize = 4096;
/// Broker sets, tombstones included.
pub const BROKER_SETS_COUNT_MAX: usize = 1 << 20;

//! Request codes that only our own peers and tools use, on the same port as the brokers.
//!
//! They fit the 16 bits of a binary header and are unused upstream, where a controller answers
//! them with "not supported". What travels in them is defined by those who send them.

/// First frame of a connection between two peers.
pub const PEER_HELLO: i32 = 24_001;
/// Consensus messages of one turn.
pub const PEER_BATCH: i32 = 24_002;
/// What a node thinks of itself, for tools.
pub const STATUS: i32 = 24_010;
/// One broker set and why it is as it is, for tools; the body is its name.
pub const DESCRIBE: i32 = 24_011;
/// An operator orders an election, or asks what one would come to; the answer says why.
pub const ELECT: i32 = 24_012;

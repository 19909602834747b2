//! What a stranger may send to a running cluster: the bad-input list of the reliability plan, at the wire.
//!
//! Each test starts three real processes with a broker set, sends them one row after the other, and asks after
//! each row: is every process still the same one, is the replicated state the same on all of them, and are the
//! next good requests answered, on connections that were open before?
//!
//! | Rows | Test |
//! |---|---|
//! | B1-B6, B10, B11-B15, B24 | `bad_input/frames.rs` |
//! | B7, B8, B9 | `bad_input/connections.rs` |
//! | B9, with answers read in part, late and never | `bad_input/unread.rs` |
//! | B16-B21 | `bad_input/codes.rs` |
//! | B22, B23, B25-B37, B39 | `bad_input/requests.rs` |
//! | B38 | `bad_input/settings.rs` |
//! | B42 | `bad_input/peers.rs` |
//! | U35 (overload) | `bad_input/overload.rs` |
//! | B44, B46, B48 | `operator.rs`: they need no cluster |
//!
//! Not here: rows about clocks, snapshots and full disks, which the crates below cover with made-up ones.

#[path = "processes/broker_set.rs"]
mod broker_set;
#[path = "processes/checksum.rs"]
mod checksum;
#[path = "processes/cluster.rs"]
mod cluster;
#[path = "bad_input/codes.rs"]
mod codes;
#[path = "bad_input/connections.rs"]
mod connections;
#[path = "bad_input/frames.rs"]
mod frames;
#[path = "bad_input/ground.rs"]
mod ground;
#[path = "processes/node.rs"]
mod node;
#[path = "bad_input/overload.rs"]
mod overload;
#[path = "processes/patience.rs"]
mod patience;
#[path = "bad_input/peers.rs"]
mod peers;
#[path = "bad_input/requests.rs"]
mod requests;
#[path = "bad_input/settings.rs"]
mod settings;
#[path = "bad_input/unread.rs"]
mod unread;
#[path = "processes/wire.rs"]
mod wire;

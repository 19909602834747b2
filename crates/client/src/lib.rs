//! Asynchronous client of the wire protocol.
//!
//! ```text
//! Cluster ──asks 1005──► every address            finds the leader, again when it moved
//!    └── Connection ──frames──► one controller    pipelined, answers matched by opaque
//! ```
//!
//! | File | Holds |
//! |---|---|
//! | `connection.rs` | one socket, two tasks, many calls in flight |
//! | `waiting.rs` | which opaque waits for an answer |
//! | `cluster.rs` | the leader behind several addresses |
//! | `metadata.rs` | the answer to 1005, read |
//! | `error.rs` | why there is no answer, and whether the request may have had an effect |
//! | `clock.rs` | deadlines |
//!
//! Every call has a [`Deadline`]. A call without an answer says whether its outcome is *unknown*
//! ([`CallError::is_unknown`]): such a request is never sent again by this crate.
//!
//! What is *absent*: TLS, signatures, and answers to requests that a server sends (1008).
//!
//! ```no_run
//! # async fn example() -> Result<(), client::CallError> {
//! use std::time::Duration;
//! use client::{Cluster, Deadline};
//! use protocol::{GetReplicaInfo, Request};
//!
//! let cluster = Cluster::new(["127.0.0.1:9878", "127.0.0.1:9868"]);
//! let request = Request::GetReplicaInfo(GetReplicaInfo { broker_name: Some("a".into()) });
//! let answer = cluster.call(&request, Deadline::after(Duration::from_secs(3))).await?;
//! println!("{}", answer.code);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod clock;
mod cluster;
mod connection;
mod error;
mod metadata;
mod waiting;

pub use clock::Deadline;
pub use cluster::Cluster;
pub use connection::Connection;
pub use error::CallError;
pub use metadata::Metadata;
pub use waiting::IN_FLIGHT_MAX;

//! Bytes to typed requests and responses and back, exactly as upstream writes them.
//!
//! ```text
//! BytesMut ──split──► Bytes ──Frame::decode──► Frame ──Request::decode──► Request
//! BytesMut ◄────────────Response::encode────────────── Response
//! ```
//!
//! | File | Holds |
//! |---|---|
//! | `frame.rs` | the frame: lengths, type byte, limits, and how to cut one off a buffer |
//! | `header.rs`, `header/` | the header in both encodings, JSON and binary |
//! | `ext.rs` | `extFields`, the string map that carries a request's fields |
//! | `request.rs`, `request/` | one file per request: fields, defaults, what is absent |
//! | `response.rs`, `body.rs` | answers, and the JSON bodies that travel in them |
//! | `notice.rs` | the role notice (1008) that a controller sends to a broker |
//! | `code.rs`, `response_code.rs`, `private.rs` | numbers |
//! | `json.rs`, `java_number.rs`, `text.rs` | a scanner, Java's number rules, a cheap string |
//!
//! Decoding is total: bytes from a peer give a value or a [`FrameError`], never a panic. A field of
//! a request that is absent or does not parse is `None` or upstream's default, never an error,
//! because upstream never refuses one either.
//!
//! What is *absent*: every rule. This crate does not know what a master is, chooses no response
//! code and writes no remark. Sockets, TLS and timeouts belong to the server.
#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::wildcard_enum_match_arm)]
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod body;
pub mod code;
mod ext;
mod frame;
mod header;
mod java_number;
mod json;
mod notice;
pub mod private;
mod request;
mod response;
pub mod response_code;
mod text;

pub use body::{
    AlterBody, ElectMasterBody, MemberGroup, ReplicaState, ReplicasInfo, ReplicasOfSet,
    SYNC_STATE_SET_IDS_MAX, SyncStateSetBody,
};
pub use ext::ExtFields;
pub use frame::{
    BODY_BYTES_MAX, EXT_FIELDS_MAX, FRAME_BYTES_MAX, Frame, FrameError, HEADER_BYTES_MAX,
    JSON_DEPTH_MAX, has_header, header_ahead, split,
};
pub use header::{FLAG_ONE_WAY, FLAG_RESPONSE, Header, HeaderEncoding, Language};
pub use notice::RoleNotice;
pub use request::{
    AlterSyncStateSet, ApplyBrokerId, BrokerHeartbeat, CleanBrokerData, ElectMaster,
    GetNextBrokerId, GetReplicaInfo, GetSyncStateData, RegisterBroker, Request,
    SYNC_STATE_DATA_NAMES_MAX, UpdateControllerConfig,
};
pub use response::Response;
pub use text::Text;

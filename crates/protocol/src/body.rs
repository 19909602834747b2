//! The JSON bodies of requests and answers.
//!
//! | Body | Travels in |
//! |---|---|
//! | [`AlterBody`] | request 1001 |
//! | [`SyncStateSetBody`] | answers to 1001, 1003, 1004; notice 1008 |
//! | [`ElectMasterBody`] | answer to 1002 |
//! | [`ReplicasInfo`] | answer to 1006 |
//!
//! Written without white space, members in alphabetical order, null ones left out. Integer keys are
//! written in quotes, unlike upstream, whose own tools cannot read what it writes; both are read.
//!
//! Readers are lenient: members in any order, unknown ones skipped, a number may stand as a string.
//! They give `None` for what is not JSON or not this body.
//!
//! Lists keep the order they are given, and the order of a list means nothing to upstream's peers.

mod alter;
mod elect_master;
mod replicas_info;
mod sync_state_set;

use crate::java_number;
use crate::json::{JsonError, Scanner, Value};
use alloc::vec::Vec;

pub use alter::{AlterBody, SYNC_STATE_SET_IDS_MAX};
pub use elect_master::{ElectMasterBody, MemberGroup};
pub use replicas_info::{ReplicaState, ReplicasInfo, ReplicasOfSet};
pub use sync_state_set::SyncStateSetBody;

/// Reads all of `body` with `read`.
fn whole<'a, T>(
    body: &'a [u8],
    read: impl FnOnce(&mut Scanner<'a>) -> Result<T, JsonError>,
) -> Option<T> {
    let mut scanner = Scanner::new(core::str::from_utf8(body).ok()?);
    let value = read(&mut scanner).ok()?;
    scanner.end().ok()?;
    Some(value)
}

/// A whole number, or one in a string.
fn long(value: Value<'_>) -> Result<i64, JsonError> {
    match value {
        Value::Bare(_) | Value::String(_) => {
            java_number::long(&value.bytes()).ok_or(JsonError::WrongType)
        }
        Value::Null | Value::Nested(_) => Err(JsonError::WrongType),
    }
}

/// As [`long`] with 32 bits; null is 0, because the field is a primitive upstream.
fn int(value: Value<'_>) -> Result<i32, JsonError> {
    if value == Value::Null {
        return Ok(0);
    }
    i32::try_from(long(value)?).or(Err(JsonError::WrongType))
}

/// A list of ids; null is an empty one.
fn ids(scanner: &mut Scanner<'_>) -> Result<Vec<i64>, JsonError> {
    let mut ids = Vec::new();
    if !scanner.is_null()? {
        scanner.elements(|scanner| {
            ids.push(long(scanner.value()?)?);
            Ok(())
        })?;
    }
    Ok(ids)
}

//! 1006 `CONTROLLER_GET_SYNC_STATE_DATA`: an administrator looks at broker sets.
//!
//! No fields. The body is a JSON array of names: `["broker-a","broker-b"]`.

use crate::Text;
use crate::json::{self, Scanner, Value};
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};

/// Most names in one request; a longer list counts as no list.
pub const SYNC_STATE_DATA_NAMES_MAX: usize = 10_000;

/// The broker sets to describe.
///
/// Source: upstream `ControllerRequestProcessor#handleControllerGetSyncStateData`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GetSyncStateData {
    /// Names of broker sets, in the caller's order, at most [`SYNC_STATE_DATA_NAMES_MAX`]. `None` if
    /// the body is absent, `null`, longer, or no list of names. Upstream answers 1 to `None` and to
    /// an empty list.
    pub broker_names: Option<Vec<Text>>,
}

impl GetSyncStateData {
    pub(super) fn decode(body: &[u8]) -> Self {
        Self { broker_names: names(body) }
    }

    pub(super) fn body(&self) -> Bytes {
        let Some(names) = &self.broker_names else { return Bytes::new() };
        let mut out = BytesMut::new();
        json::write_list(&mut out, names, |out, name| json::write_string(out, name.as_bytes()));
        out.freeze()
    }
}

fn names(body: &[u8]) -> Option<Vec<Text>> {
    let text = core::str::from_utf8(body).ok()?;
    let mut names = Vec::new();
    let mut scanner = Scanner::new(text);
    scanner
        .elements(|scanner| {
            // Upstream looks a null up like any name and finds nothing.
            let value = scanner.value()?;
            if names.len() >= SYNC_STATE_DATA_NAMES_MAX {
                return Err(json::JsonError::TooLong);
            }
            if value != Value::Null {
                names.push(value.to_text());
            }
            Ok(())
        })
        .ok()?;
    scanner.end().ok()?;
    Some(names)
}

//! `{"syncStateSet":[1,2],"syncStateSetEpoch":2}`: who is in sync, and since which change.

use super::{ids, int, whole};
use crate::json::{write_list, write_number};
use alloc::vec::Vec;
use bytes::{BufMut, Bytes, BytesMut};

/// A sync-state set and its epoch.
///
/// Source: upstream `SyncStateSet`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncStateSetBody {
    /// `syncStateSet`: broker ids
    pub sync_state_set: Vec<i64>,
    /// `syncStateSetEpoch`
    pub epoch: i32,
}

impl SyncStateSetBody {
    /// Appends the body to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        out.extend_from_slice(b"{\"syncStateSet\":");
        write_list(out, &self.sync_state_set, |out, &id| write_number(out, id));
        out.extend_from_slice(b",\"syncStateSetEpoch\":");
        write_number(out, self.epoch.into());
        out.put_u8(b'}');
    }

    /// The body by itself.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        // Room for the names and for a handful of ids.
        let mut out = BytesMut::with_capacity(96);
        self.encode(&mut out);
        out.freeze()
    }

    /// Reads a body; a missing or null member is empty or 0.
    #[must_use]
    pub fn decode(body: &[u8]) -> Option<Self> {
        whole(body, |scanner| {
            let mut read = Self::default();
            scanner.members(|scanner, key| {
                if key.is("syncStateSet") {
                    read.sync_state_set = ids(scanner)?;
                } else if key.is("syncStateSetEpoch") {
                    read.epoch = int(scanner.value()?)?;
                } else {
                    scanner.value()?;
                }
                Ok(())
            })?;
            Ok(read)
        })
    }
}

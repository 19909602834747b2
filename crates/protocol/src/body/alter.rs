//! `{"syncStateSet":[1,2,3],"syncStateSetEpoch":1}` in request 1001: the wanted set, and the epoch
//! of the set that it shall replace.
//!
//! Like [`super::SyncStateSetBody`], but read the way upstream treats a stranger's: no set at all is
//! not an empty set, and whatever would make upstream throw makes the whole body `None`.

use super::{int, long, whole};
use crate::SyncStateSetBody;
use crate::json::{JsonError, Scanner};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use bytes::Bytes;

/// Most different ids in a wanted set; a longer list counts as no body.
pub const SYNC_STATE_SET_IDS_MAX: usize = 1_024;

/// Buckets of a new Java `HashMap`.
const BUCKETS_MIN: usize = 16;

/// What a master wants its sync-state set to be.
///
/// Source: upstream `SyncStateSet`, read by `RemotingSerializable#decode`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlterBody {
    /// `syncStateSet` without repetitions, at most [`SYNC_STATE_SET_IDS_MAX`], in the order in which
    /// upstream's `HashSet` yields them (ascending for ids below 16): a refusal names the first that
    /// fails. `None` if the member is missing or null.
    pub sync_state_set: Option<Vec<i64>>,
    /// `syncStateSetEpoch`; 0 if it is missing
    pub sync_state_set_epoch: i32,
}

impl AlterBody {
    /// The body by itself; a missing set stays missing.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let epoch = self.sync_state_set_epoch;
        let Some(set) = &self.sync_state_set else {
            return Bytes::from(alloc::format!("{{\"syncStateSetEpoch\":{epoch}}}"));
        };
        SyncStateSetBody { sync_state_set: set.clone(), epoch }.to_bytes()
    }

    /// Reads a body; `None` if there is none, if it is not JSON, if an id is null or no number, or
    /// if there are too many.
    #[must_use]
    pub fn decode(body: &[u8]) -> Option<Self> {
        whole(body, |scanner| {
            let mut read = Self::default();
            scanner.members(|scanner, key| {
                if key.is("syncStateSet") {
                    read.sync_state_set = wanted_set(scanner)?;
                } else if key.is("syncStateSetEpoch") {
                    read.sync_state_set_epoch = int(scanner.value()?)?;
                } else {
                    scanner.value()?;
                }
                Ok(())
            })?;
            Ok(read)
        })
    }
}

fn wanted_set(scanner: &mut Scanner<'_>) -> Result<Option<Vec<i64>>, JsonError> {
    if scanner.is_null()? {
        return Ok(None);
    }
    let mut set = IdSet::default();
    scanner.elements(|scanner| set.insert(long(scanner.value()?)?))?;
    Ok(Some(set.into_hash_order()))
}

/// Ids without repetitions.
#[derive(Default)]
struct IdSet {
    in_order: Vec<i64>,
    /// Filled only once looking through the list would cost more.
    seen: BTreeSet<i64>,
}

impl IdSet {
    /// Longest list that is looked through; sets of brokers are nearly always shorter.
    const SCANNED_MAX: usize = 16;

    fn insert(&mut self, id: i64) -> Result<(), JsonError> {
        let is_long = self.in_order.len() > Self::SCANNED_MAX;
        if is_long && self.seen.is_empty() {
            self.seen.extend(&self.in_order);
        }
        let is_new = if is_long { self.seen.insert(id) } else { !self.in_order.contains(&id) };
        if is_new && self.in_order.len() >= SYNC_STATE_SET_IDS_MAX {
            return Err(JsonError::TooLong);
        }
        if is_new {
            self.in_order.push(id);
        }
        Ok(())
    }

    /// The order in which a Java `HashSet` that took the ids one by one yields them: by bucket, and
    /// by arrival within one. Source: `HashMap#hash`, `#resize` (at three quarters) of Java 8 on.
    fn into_hash_order(self) -> Vec<i64> {
        let mut ids = self.in_order;
        let mut buckets = BUCKETS_MIN;
        while ids.len().saturating_mul(4) > buckets.saturating_mul(3) {
            buckets = buckets.saturating_mul(2);
        }
        let mask = u64::try_from(buckets.saturating_sub(1)).unwrap_or(u64::MAX);
        ids.sort_by_key(|&id| {
            let bits = id.cast_unsigned();
            let hash = (bits ^ (bits >> 32)) & u64::from(u32::MAX);
            (hash ^ (hash >> 16)) & mask
        });
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::{AlterBody, SYNC_STATE_SET_IDS_MAX};
    use alloc::format;
    use alloc::string::String;
    use alloc::vec;
    use alloc::vec::Vec;

    /// What is read of a body, and of the set in it.
    type Read = Option<Option<Vec<i64>>>;

    fn set(body: &str) -> Read {
        AlterBody::decode(body.as_bytes()).map(|body| body.sync_state_set)
    }

    #[test]
    fn b25_b26_bodies_are_those_upstream_reads() {
        let rows: &[(&str, Read)] = &[
            ("", None),
            ("null", None),
            ("{", None),
            ("[1]", None),
            ("nonsense", None),
            ("{\"syncStateSet\":[1]} x", None),
            ("{\"syncStateSet\":[1,null]}", None),
            ("{\"syncStateSet\":[1,\"x\"]}", None),
            ("{\"syncStateSet\":[1.5]}", None),
            ("{\"syncStateSet\":[[1]]}", None),
            ("{\"syncStateSet\":[9223372036854775808]}", None),
            ("{\"syncStateSet\":7}", None),
            ("{}", Some(None)),
            ("{\"syncStateSet\":null}", Some(None)),
            ("{\"syncStateSet\":[]}", Some(Some(vec![]))),
            ("{\"syncStateSet\":[2,1,2]}", Some(Some(vec![1, 2]))),
            ("{\"syncStateSet\":[\"1\",2]}", Some(Some(vec![1, 2]))),
            (" { \"x\" : {\"y\":[]} ,\"syncStateSet\" : [ 1 , 2 ] } ", Some(Some(vec![1, 2]))),
            ("{\"syncStateSet\":[9223372036854775807]}", Some(Some(vec![i64::MAX]))),
            ("{\"syncStateSet\":[1,16,18]}", Some(Some(vec![16, 1, 18]))),
            ("{\"syncStateSet\":[-1,1]}", Some(Some(vec![-1, 1]))),
        ];
        for (body, expected) in rows {
            assert_eq!(&set(body), expected, "{body}");
        }
    }

    #[test]
    fn epoch_defaults_to_0() {
        let epoch = |body: &[u8]| AlterBody::decode(body).map(|body| body.sync_state_set_epoch);
        assert_eq!(epoch(b"{}"), Some(0));
        assert_eq!(epoch(b"{\"syncStateSetEpoch\":null}"), Some(0));
        assert_eq!(epoch(b"{\"syncStateSetEpoch\":\"-7\"}"), Some(-7));
        assert_eq!(epoch(b"{\"syncStateSetEpoch\":2147483648}"), None);
    }

    #[test]
    fn limit_counts_different_ids() {
        let list = |count: usize| {
            let ids: Vec<String> = (0..count).chain(0..count).map(|id| format!("{id}")).collect();
            set(&format!("{{\"syncStateSet\":[{}]}}", ids.join(",")))
        };
        let expected: Vec<i64> = (0..1_024).collect();
        assert_eq!(list(SYNC_STATE_SET_IDS_MAX), Some(Some(expected)));
        assert_eq!(list(SYNC_STATE_SET_IDS_MAX + 1), None);
    }
}

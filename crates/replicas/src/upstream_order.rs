//! The order in which upstream walks a set of broker ids: that of a Java hash table.
//!
//! It decides which of two faulty members a refusal names, and how lists in answers are ordered.
//! Brokers do not rely on it; recorded answers show it, as soon as an id is not below the size of
//! the table (16 at first, so `{5, 10, 16}` is walked 16, 5, 10).
//!
//! A `java.util.HashMap` puts a key into bucket `spread(hash) & (size - 1)`, doubles its size when
//! it holds more than three quarters of it, and walks the buckets in order, each in the order of
//! insertion, which a doubling keeps. (Buckets of eight keys and more become trees; not followed.)

use alloc::vec::Vec;

use crate::broker_set::Replica;
use crate::ids::BrokerId;

/// The size of a `java.util.HashSet` that was made without a size.
const DEFAULT_SIZE: usize = 16;

/// Orders the ids of a set as upstream walks them.
///
/// `ids` are distinct and in the order of insertion: that of the request, or ascending.
///
/// Source: `java.util.HashMap`; upstream decodes and stores sync-state sets as `HashSet<Long>`.
#[must_use]
pub fn of_set(ids: Vec<BrokerId>) -> Vec<BrokerId> {
    let distinct_count = ids.len();
    walk(ids, distinct_count)
}

/// As [`of_set`], where `ids` may hold repeats: they stay, behind the first of their kind.
pub(crate) fn walk(mut ids: Vec<BrokerId>, distinct_count: usize) -> Vec<BrokerId> {
    let size = size_for(DEFAULT_SIZE, distinct_count);
    ids.sort_by_key(|id| bucket(*id, size));
    ids
}

/// Orders replicas as upstream lists them in 1006.
///
/// Source: upstream `BrokerReplicaInfo#getBrokerIdTable`, a `HashMap` made for `replicas.len()`.
#[must_use]
pub fn of_replicas(replicas: &[Replica]) -> Vec<&Replica> {
    let size = size_for(replicas.len().next_power_of_two(), replicas.len());
    let mut ordered: Vec<&Replica> = replicas.iter().collect();
    ordered.sort_by_key(|replica| bucket(replica.id, size));
    ordered
}

/// The size of a table that began with `size` buckets, a power of two, and took `count` keys.
fn size_for(mut size: usize, count: usize) -> usize {
    while count.saturating_mul(4) > size.saturating_mul(3) {
        size = size.saturating_mul(2);
    }
    size
}

fn bucket(id: BrokerId, size: usize) -> u64 {
    let bits = id.0.cast_unsigned();
    let hash = (bits ^ (bits >> 32)) & 0xffff_ffff;
    let spread = hash ^ (hash >> 16);
    // `size` is a power of two, so the remainder is Java's mask.
    u64::try_from(size).map_or(spread, |size| spread % size)
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;

    #[track_caller]
    fn check(inserted: &[i64], walked: &[i64]) {
        let ids = inserted.iter().copied().map(BrokerId).collect();
        let order: Vec<i64> = of_set(ids).iter().map(|id| id.0).collect();
        assert_eq!(order, walked);
    }

    #[test]
    fn sets_are_walked_by_bucket() {
        check(&[], &[]);
        check(&[3, 1, 2], &[1, 2, 3]);
        check(&[5, 10, 16], &[16, 5, 10]);
        check(&[1, 15, 16], &[16, 1, 15]);
        check(&[1, 17], &[1, 17]);
        check(&[17, 1], &[17, 1]);
        // Java: hash(-1) is 0, hash(i64::MAX) is 0x8000_0000, which spreads to bucket 0 of 16.
        check(&[2, -1, i64::MAX], &[-1, i64::MAX, 2]);
        // Twelve fit into 16 buckets, thirteen do not.
        let twelve: Vec<i64> = (5..=16).collect();
        let mut walked = vec![16];
        walked.extend(5..=15);
        check(&twelve, &walked);
        let thirteen: Vec<i64> = (5..=17).collect();
        check(&thirteen, &thirteen);
    }

    #[test]
    fn replicas_are_listed_by_bucket_of_a_smaller_table() {
        let replica =
            |id| Replica { id: BrokerId(id), address: "a".into(), check_code: "c".into() };
        let listed = |ids: &[i64]| -> Vec<i64> {
            let replicas: Vec<Replica> = ids.iter().copied().map(replica).collect();
            of_replicas(&replicas).iter().map(|replica| replica.id.0).collect()
        };
        assert_eq!(listed(&[1, 2, 4]), [4, 1, 2]);
        assert_eq!(listed(&[1, 2, 3, 4, 8]), [8, 1, 2, 3, 4]);
        assert_eq!(listed(&[1, 2, 3, 4, 5, 6, 8]), [1, 2, 3, 4, 5, 6, 8]);
        assert_eq!(listed(&[1]), [1]);
    }
}

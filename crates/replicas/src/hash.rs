//! A 128-bit hash of the state, in the manner of FNV-1a, over the fields of the snapshot.
//!
//! It compares peers (RELIABILITY.md C11); it defends against nobody. Each field is one step:
//! `hash = (hash ^ field) * prime`, with bytes taken eight at a time, so a record of a broker set
//! with three replicas costs about 40 multiplications. The hash of the state is the sum of those
//! of its records, so a change subtracts one and adds one. A last mixing of each record's hash
//! keeps related records from cancelling each other in the sum.

use crate::fields::Sink;
use crate::snapshot;
use crate::state::Slot;

// FNV-1a, 128 bits: draft-eastlake-fnv, section 5.
const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

struct Hasher(u128);

impl Hasher {
    fn step(&mut self, word: u64) {
        self.0 = (self.0 ^ u128::from(word)).wrapping_mul(PRIME);
    }
}

impl Sink for Hasher {
    fn u8(&mut self, value: u8) {
        self.step(u64::from(value));
    }

    fn u32(&mut self, value: u32) {
        self.step(u64::from(value));
    }

    fn i32(&mut self, value: i32) {
        self.step(u64::from(value.cast_unsigned()));
    }

    fn i64(&mut self, value: i64) {
        self.step(value.cast_unsigned());
    }

    fn raw(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.step(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        // A length was hashed before these bytes, so the zeros at the end are unambiguous.
        self.step(u64::from_le_bytes(last));
    }
}

/// The share of one broker set in the hash of the state.
pub(crate) fn of_slot(name: &str, slot: &Slot) -> u128 {
    let mut hasher = Hasher(OFFSET);
    snapshot::encode_slot(name, slot, &mut hasher);
    let folded = hasher.0 ^ (hasher.0 >> 64);
    let mixed = folded.wrapping_mul(OFFSET);
    mixed ^ (mixed >> 61)
}

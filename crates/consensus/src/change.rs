//! A change of the membership, and its bytes (M1, M2, D22).
//!
//! ```text
//! 0   u8   layout version, 1
//! 1   u8   count of steps
//! 2   per step: u8  1 vote, 2 learn, 3 remove;  u64  peer
//! ```
//!
//! | Steps | What it is |
//! |---|---|
//! | none | leaves a joint membership |
//! | one | a simple change |
//! | more | enters a joint membership, which lasts until it is left: both majorities decide meanwhile |
//!
//! These bytes are the entry's payload on every disk and wire. The engine's own encoding lives only in the memory of the
//! leader that proposes, because that is where the engine reads it.

use crate::PeerId;
use crate::codec::{DecodeError, get_end};
use crate::membership::MEMBERS_MAX;
use alloc::vec::Vec;
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Most steps of one change.
pub const CHANGE_STEPS_MAX: usize = MEMBERS_MAX;

const VERSION: u8 = 1;

/// What becomes of one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeStep {
    /// It votes.
    Vote(PeerId),
    /// It receives the log and does not vote.
    Learn(PeerId),
    /// It belongs to the cluster no more.
    Remove(PeerId),
}

/// A change of the membership; see the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembershipChange {
    /// In order; no step leaves a joint membership.
    pub steps: Vec<ChangeStep>,
}

/// Why a change was not proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// This peer does not lead, or has not committed in its term.
    #[error("this peer does not lead")]
    NotLeader,
    /// Another change is not applied yet (M1).
    #[error("another change of the membership is not applied yet")]
    Pending,
    /// A joint membership must be left first, or there is none to leave.
    #[error("the change does not fit: the membership is joint, or not joint")]
    Joint,
    /// The engine has no room now, or leadership is being handed over.
    #[error("the change cannot be proposed now")]
    Busy,
}

impl MembershipChange {
    /// The change that leaves a joint membership.
    #[must_use]
    pub fn leave() -> Self {
        Self::default()
    }

    /// One step.
    #[must_use]
    pub fn one(step: ChangeStep) -> Self {
        Self { steps: Vec::from([step]) }
    }

    /// The payload of its entry.
    ///
    /// # Panics
    /// With more than [`CHANGE_STEPS_MAX`] steps.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let count = self.steps.len();
        assert!(count <= CHANGE_STEPS_MAX, "{count} steps, over CHANGE_STEPS_MAX");
        let mut out = BytesMut::with_capacity(2 + 9 * count);
        out.put_u8(VERSION);
        out.put_u8(u8::try_from(count).expect("CHANGE_STEPS_MAX fits a byte"));
        for step in &self.steps {
            let (kind, peer) = match step {
                ChangeStep::Vote(peer) => (1, peer),
                ChangeStep::Learn(peer) => (2, peer),
                ChangeStep::Remove(peer) => (3, peer),
            };
            out.put_u8(kind);
            out.put_u64_le(peer.0);
        }
        out.freeze()
    }

    /// Reads what [`MembershipChange::encode`] wrote.
    ///
    /// # Errors
    /// Any [`DecodeError`]; bytes that no `encode` writes are refused.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, DecodeError> {
        let from = &mut bytes;
        let version = from.try_get_u8()?;
        if version != VERSION {
            return Err(DecodeError::Version { version });
        }
        let count = usize::from(from.try_get_u8()?);
        if count > CHANGE_STEPS_MAX {
            let (field, value, limit) = ("steps", count as u64, CHANGE_STEPS_MAX as u64);
            return Err(DecodeError::TooLarge {
                field,
                value,
                limit,
                limit_name: "CHANGE_STEPS_MAX",
            });
        }
        let mut steps = Vec::with_capacity(count);
        for _ in 0..count {
            let kind = from.try_get_u8()?;
            let peer = PeerId(from.try_get_u64_le()?);
            if peer.0 == 0 {
                return Err(DecodeError::Value { field: "peer", value: 0 });
            }
            steps.push(match kind {
                1 => ChangeStep::Vote(peer),
                2 => ChangeStep::Learn(peer),
                3 => ChangeStep::Remove(peer),
                kind => return Err(DecodeError::Value { field: "step", value: kind.into() }),
            });
        }
        get_end(from)?;
        Ok(Self { steps })
    }
}

#[cfg(test)]
mod tests {
    use super::{ChangeStep, MembershipChange};
    use crate::PeerId;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn step() -> impl Strategy<Value = ChangeStep> {
        (1_u64.., 0..3).prop_map(|(peer, kind)| match kind {
            0 => ChangeStep::Vote(PeerId(peer)),
            1 => ChangeStep::Learn(PeerId(peer)),
            _ => ChangeStep::Remove(PeerId(peer)),
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn changes_come_back(steps in proptest::collection::vec(step(), 0..6)) {
            let change = MembershipChange { steps };
            prop_assert_eq!(MembershipChange::decode(&change.encode()), Ok(change));
        }

        #[test]
        fn any_bytes_are_a_change_or_refused(bytes: Vec<u8>) {
            if let Ok(change) = MembershipChange::decode(&bytes) {
                prop_assert_eq!(change.encode(), bytes);
            }
        }
    }
}

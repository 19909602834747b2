//! Who belongs to the cluster.
//!
//! ```text
//! 0   u8   layout version, 1
//! 1   u8   auto_leave, 0 or 1
//! 2   u8   count of voters          4   u8   count of learners
//! 3   u8   count of outgoing        5   u8   count of learners_next
//! 6   u16  zero
//! 8   u64  per peer: voters, outgoing, learners, learners_next, each list ascending
//! ```

use crate::PeerId;
use crate::codec::{DecodeError, get_end, get_flag, get_zeros};
use alloc::vec::Vec;
use bytes::{Buf, BufMut, BytesMut};

/// Most peers in one of the lists.
pub const MEMBERS_MAX: usize = 64;

const VERSION: u8 = 1;

/// Who belongs to the cluster; every list ascends and names no peer twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// Who votes.
    pub voters: Vec<PeerId>,
    /// Who voted before a joint change that is not finished; empty outside of one.
    pub outgoing: Vec<PeerId>,
    /// Who receives the log and does not vote.
    pub learners: Vec<PeerId>,
    /// Who becomes a learner when the joint change ends.
    pub learners_next: Vec<PeerId>,
    /// The joint change ends by itself.
    pub auto_leave: bool,
}

impl Membership {
    /// The membership of these voters and nobody else, in any order.
    #[must_use]
    pub fn of_voters(voters: impl IntoIterator<Item = PeerId>) -> Self {
        let mut voters: Vec<_> = voters.into_iter().collect();
        voters.sort_unstable();
        voters.dedup();
        Self { voters, ..Self::default() }
    }

    /// Whether a joint change is not finished.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty() || !self.learners_next.is_empty() || self.auto_leave
    }

    /// Whether this peer votes or learns.
    #[must_use]
    pub fn has_peer(&self, peer: PeerId) -> bool {
        let lists = [&self.voters, &self.outgoing, &self.learners];
        lists.into_iter().any(|list| list.contains(&peer))
    }

    /// Whether the lists are what the type promises, and no learner votes.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let is_sorted = self.lists().iter().all(|(_, list)| is_sorted_set(list));
        let is_apart = self.learners.iter().all(|peer| !self.voters.contains(peer));
        let is_known = self.learners_next.iter().all(|peer| self.outgoing.contains(peer));
        is_sorted && is_apart && is_known
    }

    fn lists(&self) -> [(&'static str, &Vec<PeerId>); 4] {
        [
            ("voters", &self.voters),
            ("outgoing", &self.outgoing),
            ("learners", &self.learners),
            ("learners_next", &self.learners_next),
        ]
    }

    /// Appends the canonical bytes.
    ///
    /// # Panics
    /// If a list holds more than [`MEMBERS_MAX`] peers.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u8(VERSION);
        out.put_u8(self.auto_leave.into());
        for (name, list) in self.lists() {
            assert!(list.len() <= MEMBERS_MAX, "{name} has {} peers, over MEMBERS_MAX", list.len());
            let count = u8::try_from(list.len()).expect("MEMBERS_MAX fits a byte");
            out.put_u8(count);
        }
        out.put_u16_le(0);
        for (_, list) in self.lists() {
            list.iter().for_each(|peer| out.put_u64_le(peer.0));
        }
    }

    /// Reads what [`Membership::encode`] wrote.
    ///
    /// # Errors
    /// Any [`DecodeError`]; bytes that no `encode` writes are refused.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, DecodeError> {
        let from = &mut bytes;
        let version = from.try_get_u8()?;
        if version != VERSION {
            return Err(DecodeError::Version { version });
        }
        let auto_leave = get_flag(from, "auto_leave")?;
        let counts =
            [from.try_get_u8()?, from.try_get_u8()?, from.try_get_u8()?, from.try_get_u8()?];
        get_zeros(from, 2)?;
        let [voters, outgoing, learners, learners_next] = counts;
        let membership = Self {
            voters: get_peers(from, "voters", voters)?,
            outgoing: get_peers(from, "outgoing", outgoing)?,
            learners: get_peers(from, "learners", learners)?,
            learners_next: get_peers(from, "learners_next", learners_next)?,
            auto_leave,
        };
        get_end(from)?;
        Ok(membership)
    }
}

fn get_peers(from: &mut &[u8], field: &'static str, count: u8) -> Result<Vec<PeerId>, DecodeError> {
    let count = usize::from(count);
    if count > MEMBERS_MAX {
        return Err(DecodeError::TooLarge {
            field,
            value: count as u64,
            limit: MEMBERS_MAX as u64,
            limit_name: "MEMBERS_MAX",
        });
    }
    let mut peers = Vec::with_capacity(count);
    for _ in 0..count {
        peers.push(PeerId(from.try_get_u64_le()?));
    }
    if is_sorted_set(&peers) { Ok(peers) } else { Err(DecodeError::Unsorted { field }) }
}

fn is_sorted_set(peers: &[PeerId]) -> bool {
    peers.is_sorted_by(|a, b| a < b) && peers.first().is_none_or(|peer| peer.0 > 0)
}

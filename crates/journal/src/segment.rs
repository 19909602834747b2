//! The first block of a segment.
//!
//! | Offset | Bytes | Field |
//! |---|---|---|
//! | 0 | 16 | magic `PITCHSEG`, format version, checksum ([`crate::layout`]) |
//! | 16 | 8 | cluster id |
//! | 24 | 8 | peer id |
//! | 32 | 8 | generation: 1 for the first segment, then 1 more each, never reused |
//! | 40 | 8 | number of the first write that goes into it |
//! | 48 | 8 | index of the entry that would come next when it was made |
//! | 56 | 8 | term of the entry before that one |
//! | 64 | 8 | hard state: term |
//! | 72 | 8 | hard state: commit index |
//! | 80 | 8 | hard state: voted peer |
//! | 88 | 8 | 1 if there is a voted peer, else 0 |
//! | 96 | 16 | newest snapshot kept: index, term; zeros if none |
//! | 112 | 16 | older snapshot kept: index, term; zeros if none |
//! | 128 | 4 | CRC-32C of bytes 16 to 127 |
//! | 132 | | zeros up to 4,096 |
//!
//! The records follow from offset 4,096 on ([`crate::record`]). What the header carries over from
//! older segments makes every segment a place from which recovery can start, so that those before
//! it can be recycled; and the number of its first write tells whether the segment before it is
//! complete.
//!
//! Invariant: a file called `segment-*` had its header synced before it got that name.

use consensus::{HardState, LogIndex, PeerId, Term};

use crate::layout::{self, BLOCK_BYTES, PREFIX_BYTES, Prefix, Reader};
use crate::log_state::Mark;

const MAGIC: [u8; 8] = *b"PITCHSEG";
/// End of the part that the checksum covers, which starts behind the prefix.
const COVERED_END: usize = 128;

/// What the first block of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) cluster: u64,
    pub(crate) peer: PeerId,
    pub(crate) generation: u64,
    pub(crate) first_write: u64,
    pub(crate) carried: Carried,
}

/// What older segments said in sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Carried {
    /// The entry that comes next.
    pub(crate) next_index: u64,
    /// The term of the entry before it.
    pub(crate) last_term: u64,
    pub(crate) hard_state: HardState,
    pub(crate) newest: Option<Mark>,
    pub(crate) older: Option<Mark>,
}

impl Default for Carried {
    /// What a journal that never said anything carries.
    fn default() -> Self {
        let hard_state = HardState::default();
        Self { next_index: 1, last_term: 0, hard_state, newest: None, older: None }
    }
}

/// What a first block turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirstBlock {
    Intact(Header),
    Newer(u32),
    /// Nothing but zeros: a segment that was never used.
    Zero,
    Bad,
}

impl Header {
    /// The whole first block.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(BLOCK_BYTES);
        layout::put_prefix(&mut out, MAGIC);
        let carried = &self.carried;
        let hard_state = &carried.hard_state;
        let (newest, older) =
            (carried.newest.unwrap_or_default(), carried.older.unwrap_or_default());
        for field in [
            self.cluster,
            self.peer.0,
            self.generation,
            self.first_write,
            carried.next_index,
            carried.last_term,
            hard_state.term.0,
            hard_state.commit.0,
            hard_state.vote.unwrap_or_default().0,
            u64::from(hard_state.vote.is_some()),
            newest.index,
            newest.term,
            older.index,
            older.term,
        ] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        let crc = crc32c::crc32c(out.get(PREFIX_BYTES..).unwrap_or_default());
        out.extend_from_slice(&crc.to_le_bytes());
        out.resize(BLOCK_BYTES, 0);
        out
    }

    /// Reads the first block of a segment.
    pub(crate) fn decode(block: &[u8]) -> FirstBlock {
        match layout::check_prefix(block, MAGIC) {
            Prefix::Newer(version) => return FirstBlock::Newer(version),
            Prefix::Bad if !block.is_empty() && block.iter().all(|byte| *byte == 0) => {
                return FirstBlock::Zero;
            }
            Prefix::Bad => return FirstBlock::Bad,
            Prefix::Ours => {}
        }
        Self::decode_fields(block).map_or(FirstBlock::Bad, FirstBlock::Intact)
    }

    fn decode_fields(block: &[u8]) -> Option<Self> {
        let covered = block.get(PREFIX_BYTES..COVERED_END)?;
        let crc = Reader::new(block.get(COVERED_END..)?).u32()?;
        if crc32c::crc32c(covered) != crc {
            return None;
        }
        let mut fields = Reader::new(covered);
        let (cluster, peer) = (fields.u64()?, PeerId(fields.u64()?));
        let (generation, first_write) = (fields.u64()?, fields.u64()?);
        let (next_index, last_term) = (fields.u64()?, fields.u64()?);
        let (term, commit) = (Term(fields.u64()?), LogIndex(fields.u64()?));
        let (voted, has_vote) = (PeerId(fields.u64()?), fields.u64()? != 0);
        let hard_state = HardState { term, vote: has_vote.then_some(voted), commit };
        let newest = Mark::read(&mut fields)?;
        let older = Mark::read(&mut fields)?;
        let carried = Carried { next_index, last_term, hard_state, newest, older };
        Some(Self { cluster, peer, generation, first_write, carried })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Header {
        let vote = Some(PeerId(3));
        let hard_state = HardState { term: Term(9), vote, commit: LogIndex(80) };
        let newest = Some(Mark { index: 70, term: 8 });
        let carried = Carried { next_index: 101, last_term: 9, hard_state, newest, older: None };
        Header { cluster: 0xC1, peer: PeerId(2), generation: 4, first_write: 50, carried }
    }

    #[test]
    fn a_header_is_read_back() {
        let block = sample().encode();
        assert_eq!(block.len(), BLOCK_BYTES);
        assert_eq!(Header::decode(&block), FirstBlock::Intact(sample()));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let block = sample().encode();
        for bit in 0..(COVERED_END + 4) * 8 {
            let mut block = block.clone();
            block[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&block), FirstBlock::Bad, "bit {bit}");
        }
        for bytes in 0..COVERED_END + 4 {
            assert_eq!(Header::decode(&block[..bytes]), FirstBlock::Bad, "{bytes} bytes");
        }
        assert_eq!(Header::decode(&[0; BLOCK_BYTES]), FirstBlock::Zero);
    }
}

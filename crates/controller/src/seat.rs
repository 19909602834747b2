//! Seats: the configured controllers, whoever sits there.
//!
//! A *seat* is a place in the configuration, numbered from 1. A *member* of the consensus group sits on it, and its id
//! is never used twice (rule M4): founders have their seat's number, and a peer whose disk was wiped draws a new id,
//! whose last bits are the seat. So everybody can tell where a member sits without a table, and everything but
//! `consensus` deals in seats.

use consensus::PeerId;

/// Ids of one seat are equal modulo this; at most one less controllers can be configured.
pub const SEATS: u64 = 32;

/// Ids drawn for one seat; below 2^48 in all, so that they stay exact where numbers are floating point.
const DRAWS: u64 = 1 << 43;

/// Where a member sits.
#[must_use]
pub const fn seat(member: PeerId) -> PeerId {
    PeerId(member.0 % SEATS)
}

/// The id that a wiped peer takes on its seat; two draws are equal once in 2^43 times.
pub(crate) const fn new_member(seat: PeerId, drawn: u64) -> PeerId {
    PeerId(seat.0 + SEATS * (1 + drawn % DRAWS))
}

#[cfg(test)]
mod tests {
    use super::{DRAWS, SEATS, new_member, seat};
    use consensus::PeerId;

    #[test]
    fn a_new_member_sits_where_the_old_one_sat() {
        for drawn in [0, 1, DRAWS - 1, DRAWS, u64::MAX] {
            for place in 1..SEATS {
                let member = new_member(PeerId(place), drawn);
                assert_eq!(seat(member), PeerId(place));
                assert!(member.0 >= SEATS && member.0 < 1 << 49, "{member}");
            }
        }
    }
}

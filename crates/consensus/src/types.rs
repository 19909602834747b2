//! The numbers of consensus, one type each, so that none can be taken for another.

use core::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A controller peer; 0 names nobody.
    PeerId
}
number! {
    /// A term of leadership; 0 is before the first campaign.
    Term
}
number! {
    /// The position of an entry in the log; the first entry has 1, and 0 is before it.
    LogIndex
}
number! {
    /// One proposed command, in the order of proposing; never used twice by a driver.
    Ticket
}
number! {
    /// One batch of reads; all reads of a batch hold the same number.
    Barrier
}

/// What a peer is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks whether a campaign would be welcome (pre-vote).
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Leads, or believes so for at most two campaign time-outs.
    Leader,
}

//! How many descriptors this process may hold, and how many of them connections may take.
//!
//! A descriptor that cannot be had is an answer less for a client, and the end for a journal that needs its next
//! segment. So a part is kept from strangers: five of its eight parts are for connections to brokers, the rest for the
//! journal, the links to the other controllers and the admin pages. It is a twelfth, so that a limit of 20,000 carries
//! a fleet of 18,000 connections, and more where the limit is small.

use crate::outgoing::NOTICE_CONNECTIONS_MAX;
use crate::shared::CONNECTIONS_MAX;
use controller::PROBES_IN_FLIGHT_MAX;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors below which a controller does not start: a quarter of them must hold everything of its own.
pub(crate) const DESCRIPTORS_MIN: u64 = 256;

/// What is kept from strangers is a quarter of the limit up to this many, and a twelfth where that is more.
const KEPT_MIN: u64 = 256;

/// How many descriptors each part may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shares {
    /// Accepted connections, of strangers and of peers.
    pub(crate) accepted: usize,
    /// Connections to brokers, for role notices.
    pub(crate) notices: usize,
    /// Connects to brokers that only ask whether anybody listens.
    pub(crate) probes: usize,
}

/// Raises the limit of this process as far as it may, and shares out what there is.
///
/// # Errors
/// The limit, if it is below [`DESCRIPTORS_MIN`].
pub(crate) fn claim() -> Result<Shares, u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // A system that refuses has its reasons; then what is there must do.
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = if raised.is_ok() { maximum } else { current };
    shares(limit.unwrap_or(u64::MAX))
}

fn shares(limit: u64) -> Result<Shares, u64> {
    if limit < DESCRIPTORS_MIN {
        return Err(limit);
    }
    let at_most = |share: u64, most: usize| usize::try_from(share).unwrap_or(usize::MAX).min(most);
    let kept = (limit / 12).max(KEPT_MIN.min(limit / 4));
    Ok(Shares {
        accepted: at_most(limit - kept, CONNECTIONS_MAX),
        notices: at_most(kept / 2, NOTICE_CONNECTIONS_MAX),
        probes: at_most(kept / 8, PROBES_IN_FLIGHT_MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::{CONNECTIONS_MAX, NOTICE_CONNECTIONS_MAX, PROBES_IN_FLIGHT_MAX, Shares, shares};

    #[test]
    fn a_part_is_kept() {
        let of = |accepted, notices, probes| Ok(Shares { accepted, notices, probes });
        let rows = [
            (64, Err(64)),
            (255, Err(255)),
            (256, of(192, 32, 8)),
            (1_024, of(768, 128, 32)),
            (20_000, of(18_334, 833, 208)),
            (65_536, of(60_075, 2_730, PROBES_IN_FLIGHT_MAX)),
            (u64::MAX, of(CONNECTIONS_MAX, NOTICE_CONNECTIONS_MAX, PROBES_IN_FLIGHT_MAX)),
        ];
        for (limit, expected) in rows {
            assert_eq!(shares(limit), expected, "{limit}");
        }
    }
}

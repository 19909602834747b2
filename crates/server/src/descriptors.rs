//! How many descriptors this process may hold, and how many of them connections may take.
//!
//! A descriptor that cannot be had is an answer less for a client, and the end for a journal that needs its next
//! segment. So strangers get three quarters of what the system allows, connections to brokers five of the other eight
//! parts, and the rest is for the journal, the links to the other controllers and the admin pages.

use crate::outgoing::NOTICE_CONNECTIONS_MAX;
use crate::shared::CONNECTIONS_MAX;
use controller::PROBES_IN_FLIGHT_MAX;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors below which a controller does not start: a quarter of them must hold everything of its own.
pub(crate) const DESCRIPTORS_MIN: u64 = 256;

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
    Ok(Shares {
        accepted: at_most(limit - limit / 4, CONNECTIONS_MAX),
        notices: at_most(limit / 8, NOTICE_CONNECTIONS_MAX),
        probes: at_most(limit / 32, PROBES_IN_FLIGHT_MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::{CONNECTIONS_MAX, NOTICE_CONNECTIONS_MAX, PROBES_IN_FLIGHT_MAX, Shares, shares};

    #[test]
    fn a_quarter_is_kept() {
        let of = |accepted, notices, probes| Ok(Shares { accepted, notices, probes });
        let rows = [
            (64, Err(64)),
            (255, Err(255)),
            (256, of(192, 32, 8)),
            (1_024, of(768, 128, 32)),
            (65_536, of(49_152, NOTICE_CONNECTIONS_MAX, PROBES_IN_FLIGHT_MAX)),
            (u64::MAX, of(CONNECTIONS_MAX, NOTICE_CONNECTIONS_MAX, PROBES_IN_FLIGHT_MAX)),
        ];
        for (limit, expected) in rows {
            assert_eq!(shares(limit), expected, "{limit}");
        }
    }
}

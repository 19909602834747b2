//! How many descriptors this process may hold, and how many of them connections may take.
//!
//! A descriptor that cannot be had is an answer less for a client, and the end for a journal that needs its next
//! segment. So strangers get three quarters of what the system allows, and the rest is for the journal, the links to
//! the other controllers, role notices and the admin pages.

use crate::shared::CONNECTIONS_MAX;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors below which a controller does not start: a quarter of them must hold everything of its own.
pub(crate) const DESCRIPTORS_MIN: u64 = 256;

/// Raises the limit of this process as far as it may, and returns how many connections it may accept.
///
/// # Errors
/// The limit, if it is below [`DESCRIPTORS_MIN`].
pub(crate) fn claim() -> Result<usize, u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // A system that refuses has its reasons; then what is there must do.
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = if raised.is_ok() { maximum } else { current };
    connections_max(limit.unwrap_or(u64::MAX))
}

fn connections_max(limit: u64) -> Result<usize, u64> {
    if limit < DESCRIPTORS_MIN {
        return Err(limit);
    }
    let share = usize::try_from(limit - limit / 4).unwrap_or(usize::MAX);
    Ok(share.min(CONNECTIONS_MAX))
}

#[cfg(test)]
mod tests {
    use super::{CONNECTIONS_MAX, connections_max};

    #[test]
    fn a_quarter_is_kept() {
        let rows = [
            (64, Err(64)),
            (255, Err(255)),
            (256, Ok(192)),
            (1_024, Ok(768)),
            (65_536, Ok(49_152)),
            (1 << 20, Ok(CONNECTIONS_MAX)),
            (u64::MAX, Ok(CONNECTIONS_MAX)),
        ];
        for (limit, expected) in rows {
            assert_eq!(connections_max(limit), expected, "{limit}");
        }
    }
}

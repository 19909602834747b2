//! Ports of a round: all on the loopback address, all free when chosen.
//!
//! They lie below the range from which the system takes ports for outgoing connections, so that a broker that
//! is killed finds its port free when it comes back.

use super::report::{Failure, Outcome};
use std::net::{Ipv4Addr, TcpListener};

const FIRST: u16 = 21_000;
const LAST: u16 = 29_000;

/// A broker takes `port - 2` for its fast lane and `port + 1` for replication beside its own port; the block
/// is four ports wide.
const BROKER_PORTS: [u16; 4] = [0, 1, 2, 3];
const BROKER_PORT_IN_BLOCK: u16 = 2;

/// Brokers of the largest cluster.
pub(super) const BROKERS_MAX: usize = 6;

/// Ports of one cluster.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub(super) namesrv: u16,
    pub(super) controllers: [u16; 3],
    /// The controllers' own ports for each other, where they have them.
    pub(super) links: [u16; 3],
    /// The controllers' admin pages.
    pub(super) admin: [u16; 3],
    pub(super) brokers: [u16; BROKERS_MAX],
}

impl Ports {
    /// Finds free ones, starting at a place that differs between processes.
    ///
    /// # Errors
    /// The whole range is taken.
    pub(super) fn find() -> Outcome<Self> {
        let spread = u16::try_from(std::process::id() % u32::from((LAST - FIRST) / 2)).unwrap_or(0);
        let mut next = FIRST + spread;
        // All are held until the last one is found, so that none is given out twice.
        let mut held = Vec::new();
        let mut block = |offsets: &[u16]| {
            while next < LAST {
                let first = next;
                let bind = |offset: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, first + offset));
                let bound: Result<Vec<_>, _> = offsets.iter().map(bind).collect();
                next += u16::try_from(offsets.len()).unwrap_or(1);
                if let Ok(bound) = bound {
                    held.extend(bound);
                    return Ok(first);
                }
            }
            Err(Failure(format!("no free ports between {FIRST} and {LAST}")))
        };
        let namesrv = block(&[0])?;
        let mut three = || Ok([block(&[0])?, block(&[0])?, block(&[0])?]);
        let (controllers, links, admin) = (three()?, three()?, three()?);
        let mut brokers = [0; BROKERS_MAX];
        for broker in &mut brokers {
            *broker = block(&BROKER_PORTS)? + BROKER_PORT_IN_BLOCK;
        }
        Ok(Self { namesrv, controllers, links, admin, brokers })
    }
}

/// The address a peer of this cluster has.
pub(super) fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

#[cfg(test)]
mod tests {
    use super::{FIRST, LAST, Ports};

    #[test]
    fn ports_differ_and_lie_in_the_range() {
        let found = Ports::find().expect("some are free");
        let Ports { namesrv, controllers, links, admin, brokers } = found;
        let around = brokers.iter().flat_map(|port| [port - 2, port - 1, *port, port + 1]);
        let others = controllers.into_iter().chain(links).chain(admin);
        let mut all: Vec<u16> = [namesrv].into_iter().chain(others).chain(around).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(all.iter().all(|port| (FIRST..LAST + 4).contains(port)), "{all:?}");
    }
}

//! The links to the other peers, as far as the core must know them.

use crate::seat::seat;
use alloc::collections::{BTreeMap, BTreeSet};
use consensus::PeerId;

/// One other peer.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Link {
    /// Boot nonce of the newest hello from it; `None` before the first.
    pub(crate) nonce: Option<u64>,
    /// The member that the newest hello from it named.
    pub(crate) caller: Option<PeerId>,
    /// The member that answered at its address.
    pub(crate) listener: Option<PeerId>,
    /// What is sent to it can arrive.
    pub(crate) is_reachable: bool,
    /// Its address refused the last attempt to connect.
    pub(crate) is_refused: bool,
    /// Highest number of a request it forwarded with this nonce: each is taken once (rule D7).
    pub(crate) forwarded: u64,
}

/// The links to all other configured peers, by their seats; whoever sits there may be asked for instead.
#[derive(Debug, Default)]
pub(crate) struct Links {
    links: BTreeMap<PeerId, Link>,
}

impl Links {
    pub(crate) fn new(others: impl Iterator<Item = PeerId>) -> Self {
        Self { links: others.map(|peer| (peer, Link::default())).collect() }
    }

    pub(crate) fn get(&self, peer: PeerId) -> Option<&Link> {
        self.links.get(&seat(peer))
    }

    pub(crate) fn get_mut(&mut self, peer: PeerId) -> Option<&mut Link> {
        self.links.get_mut(&seat(peer))
    }

    pub(crate) fn peers(&self) -> impl Iterator<Item = PeerId> {
        self.links.keys().copied()
    }

    /// The members that sit on the other seats: they answer at the configured addresses, and are those who call.
    pub(crate) fn members(&self) -> impl Iterator<Item = PeerId> {
        let up = self.links.values().filter(|link| link.is_reachable);
        up.filter_map(|link| link.listener.filter(|_| link.listener == link.caller))
    }

    /// The peers that can be reached now.
    pub(crate) fn reachable(&self) -> BTreeSet<PeerId> {
        let up = self.links.iter().filter(|(_, link)| link.is_reachable);
        up.map(|(&peer, _)| peer).collect()
    }
}

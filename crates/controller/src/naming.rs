//! Which controller 1005 names to whom.
//!
//! | `pitchover.leaderNaming` | To a connection that heartbeated as a broker | To everybody else |
//! |---|---|---|
//! | `leader` | the true leader | the true leader |
//! | `spread` | one of the peers that serve, by rendezvous hashing of the broker's identity | the true leader |
//!
//! A peer that knows no leader or cannot serve (`health.rs`) names nobody, so that brokers ask the next one.
//!
//! Rendezvous hashing (Thaler and Ravishankar, 1998): every (broker, peer) pair has a score, the highest wins. All
//! peers that see the same peers serve name the same one, and when a peer goes only its own brokers move.

use crate::controller::Controller;
use crate::event::ConnectionId;
use crate::instant::Instant;
use crate::liveness::BrokerIdentity;
use crate::settings::LeaderNaming;
use consensus::PeerId;

impl Controller {
    /// Whether this peer can serve and means to go on doing so.
    pub(crate) fn serves(&self, now: Instant) -> bool {
        self.stop_by.is_none() && self.leader().is_some() && self.health.serves(now)
    }

    /// The peer that 1005 names to whoever asks on `connection`.
    pub(crate) fn named_to(&self, now: Instant, connection: ConnectionId) -> Option<PeerId> {
        let leader = self.leader().filter(|_| self.serves(now))?;
        let broker = match self.settings.naming {
            LeaderNaming::Leader => None,
            LeaderNaming::Spread => self.liveness.first_on(connection),
        };
        let Some(broker) = broker else { return Some(leader) };
        let me = self.settings.me;
        let others = self.links.peers().filter(|&peer| self.health.other_serves(now, peer));
        others.chain([me]).max_by_key(|&peer| (score(broker, peer), peer))
    }
}

/// How well a peer suits a broker: FNV-1a over both, stirred so that every bit of the peer's id counts.
fn score(broker: &BrokerIdentity, peer: PeerId) -> u64 {
    let names = [broker.cluster.as_bytes(), &[0], broker.set.as_bytes(), &[0]];
    let numbers = [broker.id.to_le_bytes(), peer.0.to_le_bytes()];
    let bytes = names.into_iter().chain(numbers.iter().map(<[u8; 8]>::as_slice)).flatten();
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    stir(hash)
}

/// The finalizer of `MurmurHash3` (Appleby): every bit of the input changes half of the bits of the output.
fn stir(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::score;
    use crate::liveness::BrokerIdentity;
    use alloc::format;
    use alloc::vec::Vec;
    use consensus::PeerId;

    const BROKERS: u64 = 3_000;

    fn choice(broker: u64, peers: &[u64]) -> u64 {
        let set = format!("broker-{}", broker / 3);
        let id = i64::try_from(broker % 3).unwrap() + 1;
        let identity = BrokerIdentity { cluster: "DefaultCluster".into(), set: set.into(), id };
        *peers.iter().max_by_key(|&&peer| score(&identity, PeerId(peer))).unwrap()
    }

    #[test]
    fn brokers_spread_evenly() {
        for peer in [1, 2, 3] {
            let count = (0..BROKERS).filter(|&broker| choice(broker, &[1, 2, 3]) == peer).count();
            assert!((900..1_100).contains(&count), "peer {peer} has {count} of {BROKERS}");
        }
    }

    #[test]
    fn only_the_brokers_of_a_peer_that_goes_move() {
        let moved: Vec<u64> = (0..BROKERS)
            .filter(|&broker| choice(broker, &[1, 2, 3]) != choice(broker, &[1, 3]))
            .collect();
        assert!(!moved.is_empty());
        assert!(moved.iter().all(|&broker| choice(broker, &[1, 2, 3]) == 2));
    }
}

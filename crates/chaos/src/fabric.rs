//! The network: one thread that carries every packet between the namespaces of a run.
//!
//! ```text
//!  namespace n0 ── tun0 ──┐                            ┌── rules: cut, loss, delay, duplicate, reorder,
//!  namespace n1 ── tun0 ──┤   carrier (one thread) ────┤    corrupt, rate, … for directed pairs of addresses,
//!  brokers, clients ──────┘                            └── each with its counts; seeded
//! ```
//!
//! A rule can do to one direction of one pair what `tc netem` cannot: cut it, or damage a packet under a
//! right TCP checksum so that the receiver's own check is tested. Where it is decided: decision 0009.
//!
//! Invariant: a packet that is not delivered is counted, under the rule that dropped it, as `overflowed`,
//! or as `untaken`; nothing vanishes elsewhere.

mod carrier;
mod packet;
mod rule;
mod tun;

pub use rule::{Counts, Effect, Hosts, Lifted, Pulse, Rule};
pub(crate) use tun::DEVICE;

use crate::clock;
use crate::draw::Draw;
use crate::ground::namespace;
use rule::Rules;
use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use tun::Tun;

/// Packets that may wait for their delivery; more are dropped and counted.
pub const PACKETS_MAX: usize = 65_536;

/// Name of the device inside each namespace.
pub const TUN: &str = "tun0";

/// What the network carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets handed to a namespace.
    pub delivered: u64,
    /// Packets that were not IPv4 or not for a host of this run.
    pub foreign: u64,
    /// Packets dropped by [`PACKETS_MAX`].
    pub overflowed: u64,
    /// Packets that a device did not take.
    pub untaken: u64,
}

/// A namespace and the addresses in it.
#[derive(Clone, Debug)]
pub struct Home {
    /// What `ip netns` calls it.
    pub namespace: String,
    /// Packets for these go to it.
    pub addresses: Vec<Ipv4Addr>,
}

struct Shared {
    rules: Mutex<Rules>,
    traffic: Mutex<Traffic>,
    is_over: AtomicBool,
}

impl Shared {
    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, more: Traffic) {
        let mut traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        traffic.delivered += more.delivered;
        traffic.foreign += more.foreign;
        traffic.overflowed += more.overflowed;
        traffic.untaken += more.untaken;
    }
}

/// The network of a run; dropping it ends it, and its devices go.
pub struct Fabric {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Fabric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fabric").finish_non_exhaustive()
    }
}

impl Fabric {
    /// Makes a device [`TUN`] in each namespace and begins to carry.
    ///
    /// # Errors
    /// There is no such namespace, or no TUN device can be made: not root, or the kernel has none.
    pub fn start(homes: &[Home], draw: Draw) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            rules: Mutex::new(Rules::new(draw)),
            traffic: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let (ready, is_ready) = mpsc::sync_channel(1);
        let for_thread = (Arc::clone(&shared), homes.to_vec());
        let thread = std::thread::Builder::new().name("fabric".to_owned()).spawn(move || {
            let (shared, homes) = for_thread;
            let opened = homes.iter().map(open).collect::<io::Result<Vec<Tun>>>();
            match opened {
                Ok(tuns) => {
                    let at = |(index, home): (usize, &Home)| {
                        home.addresses.iter().map(|address| (*address, index)).collect::<Vec<_>>()
                    };
                    let places = homes.iter().enumerate().flat_map(at).collect();
                    // The starter waits for this one message.
                    drop(ready.send(Ok(())));
                    carrier::carry(&tuns, &places, &shared);
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        })?;
        let fabric = Self { shared, thread: Some(thread) };
        is_ready.recv().unwrap_or_else(|_| Err(io::Error::other("the fabric's thread died")))?;
        Ok(fabric)
    }

    /// Puts a rule in force; returns what names it.
    pub fn add(&self, rule: Rule) -> u64 {
        self.shared.rules().add(rule, clock::now())
    }

    /// Takes a rule away; returns what it did, `None` if it is not in force.
    pub(crate) fn remove(&self, id: u64) -> Option<Lifted> {
        self.shared.rules().remove(id)
    }

    /// What was carried so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        *self.shared.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Fabric {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It panicked if this fails, and has said so.
            drop(thread.join());
        }
    }
}

/// The thread stays in the last namespace; its devices work from anywhere.
fn open(home: &Home) -> io::Result<Tun> {
    namespace::enter(&home.namespace)?;
    Tun::open(TUN)
}

#[cfg(test)]
mod fabric_tests;

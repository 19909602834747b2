//! What the proposing leader saw: the brokers of one broker set that were alive, and how far.
//!
//! Invariant: ids ascend and are unique, so that a look-up is a binary search and equal sightings
//! have equal bytes.

use alloc::vec::Vec;

use crate::ids::BrokerId;

/// One broker that was alive when the command was proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alive {
    /// Which broker of the set.
    pub id: BrokerId,
    /// The master epoch of the newest entry in its commit log, as its heartbeat said; -1 unknown.
    pub epoch: i32,
    /// The end of its commit log, as its heartbeat said; -1 unknown.
    pub max_offset: i64,
    /// Its election priority; the smaller number wins. `i32::MAX` when it named none.
    pub priority: i32,
}

/// The brokers of one broker set that the leader saw alive, registered or not.
///
/// Only registered ids and the ids that a clean names are ever looked up, so the collector may
/// leave out all others; at most [`crate::limits::EVIDENCE_COUNT_MAX`] fit into a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    alive: Vec<Alive>,
}

impl Evidence {
    /// Takes sightings in any order; of two for one id the first counts.
    #[must_use]
    pub fn new(mut alive: Vec<Alive>) -> Self {
        alive.sort_by_key(|broker| broker.id);
        alive.dedup_by_key(|broker| broker.id);
        Self { alive }
    }

    /// All sightings, in ascending order of ids.
    #[must_use]
    pub fn alive(&self) -> &[Alive] {
        &self.alive
    }

    /// What was seen of one broker; none if it was not seen alive.
    #[must_use]
    pub fn get(&self, id: BrokerId) -> Option<Alive> {
        let index = self.alive.binary_search_by_key(&id, |broker| broker.id).ok()?;
        self.alive.get(index).copied()
    }

    /// Whether this broker was seen alive.
    #[must_use]
    pub fn is_alive(&self, id: BrokerId) -> bool {
        self.get(id).is_some()
    }
}

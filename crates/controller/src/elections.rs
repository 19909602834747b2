//! Which broker sets wait for an election of the controller's own.
//!
//! Elections are level-triggered: a set is looked at whenever something about it changed (its master died, a
//! member came back, an election of it ended, this peer became leader), and once in [`RECONCILE_MS`] all sets
//! are. All sets that are due in one turn are proposed in that turn, so they share a log entry and a sync.

use crate::instant::Instant;
use crate::settings::RECONCILE_MS;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

/// Elections that one leader wants or waits for.
#[derive(Debug, Default)]
pub(crate) struct Elections {
    due: BTreeSet<Box<str>>,
    in_flight: BTreeSet<Box<str>>,
    reconcile_at: Option<Instant>,
    /// Recorded masters that this peer has not heard yet, by set and id, and until when they have time.
    unheard: BTreeMap<(Box<str>, i64), Instant>,
    /// The same in the order of time; one that is void by now is passed over.
    unheard_until: VecDeque<(Instant, Box<str>, i64)>,
}

impl Elections {
    /// This peer leads from now on: all sets are looked at.
    pub(crate) fn begin(&mut self, now: Instant, sets: impl Iterator<Item = Box<str>>) {
        self.end();
        self.due = sets.collect();
        self.reconcile_at = Some(now.plus_ms(RECONCILE_MS));
    }

    /// A recorded master was not heard yet and has time to be until `until`. Everybody has equally long.
    pub(crate) fn give_time(&mut self, set: &str, id: i64, until: Instant) {
        self.unheard.insert((set.into(), id), until);
        self.unheard_until.push_back((until, set.into(), id));
    }

    /// This peer leads no more: nothing of the old leadership runs later (rule D9).
    pub(crate) fn end(&mut self) {
        *self = Self::default();
    }

    /// Something about `set` changed; look at it at the end of this turn.
    pub(crate) fn consider(&mut self, set: &str) {
        if self.reconcile_at.is_some() && !self.in_flight.contains(set) {
            self.due.insert(set.into());
        }
    }

    /// The sets to look at now.
    pub(crate) fn take_due(&mut self) -> Vec<Box<str>> {
        core::mem::take(&mut self.due).into_iter().collect()
    }

    /// An election of `set` was proposed.
    pub(crate) fn proposed(&mut self, set: Box<str>) {
        self.in_flight.insert(set);
    }

    /// The election of `set` ended, one way or the other; what it left is looked at again.
    pub(crate) fn ended(&mut self, set: &str) {
        self.in_flight.remove(set);
        self.consider(set);
    }

    /// Whether the time has come to look at all sets; asking sets the next time.
    pub(crate) fn is_reconcile_due(&mut self, now: Instant) -> bool {
        let is_due = self.reconcile_at.is_some_and(|at| at <= now);
        if is_due {
            self.reconcile_at = Some(now.plus_ms(RECONCILE_MS));
        }
        is_due
    }

    /// Ends the time of masters that were not heard; their sets are looked at.
    pub(crate) fn end_times(&mut self, now: Instant) {
        while let Some((until, set, id)) = self.unheard_until.pop_front_if(|(at, ..)| *at <= now) {
            let key = (set, id);
            if self.unheard.get(&key) == Some(&until) {
                self.unheard.remove(&key);
                self.consider(&key.0);
            }
        }
    }

    /// A broker was heard.
    pub(crate) fn heard(&mut self, set: &str, id: i64) {
        if !self.unheard.is_empty() {
            self.unheard.remove(&(Box::from(set), id));
        }
    }

    /// Whether this recorded master still has time to be heard for the first time.
    pub(crate) fn is_in_grace(&self, set: &str, id: i64) -> bool {
        !self.unheard.is_empty() && self.unheard.contains_key(&(Box::from(set), id))
    }

    /// When [`Self::is_reconcile_due`] or [`Self::end_times`] has something to do next.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let unheard = self.unheard_until.front().map(|(until, ..)| *until);
        self.reconcile_at.into_iter().chain(unheard).min()
    }

    /// Whether a set waits to be looked at.
    pub(crate) fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Elections proposed and not decided.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }
}

#[cfg(test)]
mod tests;

//! Which broker sets wait for an election of the controller's own.
//!
//! Elections are level-triggered: a set is looked at whenever something about it changed (its master died, a
//! member came back, an election of it ended, this peer became leader), and once in [`RECONCILE_MS`] all sets
//! are, some at a time: ten thousand at once would hold up everybody for 50 ms. All sets that are due in one turn
//! are proposed in that turn, so they share a log entry and a sync.

use crate::instant::Instant;
use crate::settings::RECONCILE_MS;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

/// Sets that the walk over all looks at in one turn: half a millisecond.
pub(crate) const SETS_PER_LOOK: usize = 128;

/// Pause of the walk, in ms. With the size of a step it lets 25,600 sets be looked at in [`RECONCILE_MS`]; more take longer.
const LOOK_MS: u64 = 25;

/// How far a walk over all sets has come.
#[derive(Debug)]
struct Walk {
    began: Instant,
    due: Instant,
    after: Option<Box<str>>,
}

impl Walk {
    /// One that begins at that moment.
    fn from(began: Instant) -> Self {
        Self { began, due: began, after: None }
    }
}

/// Elections that one leader wants or waits for.
#[derive(Debug, Default)]
pub(crate) struct Elections {
    due: BTreeSet<Box<str>>,
    in_flight: BTreeSet<Box<str>>,
    /// The walk over all sets, of a leader.
    walk: Option<Walk>,
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
        self.walk = Some(Walk::from(now.plus_ms(RECONCILE_MS)));
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
        if self.walk.is_some() && !self.in_flight.contains(set) {
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

    /// Whether the walk over all sets is to go on now with the next [`SETS_PER_LOOK`].
    pub(crate) fn is_look_due(&self, now: Instant) -> bool {
        self.walk.as_ref().is_some_and(|walk| walk.due <= now)
    }

    /// The set that the walk came to last; `None` where it begins.
    pub(crate) fn looked_until(&self) -> Option<&str> {
        self.walk.as_ref()?.after.as_deref()
    }

    /// The walk came to these sets: they are looked at, and the next ones soon. Fewer than [`SETS_PER_LOOK`] are the last.
    pub(crate) fn look_at(&mut self, now: Instant, sets: Vec<Box<str>>) {
        for set in &sets {
            self.consider(set);
        }
        let Some(walk) = &mut self.walk else { return };
        if sets.len() < SETS_PER_LOOK {
            *walk = Walk::from(walk.began.plus_ms(RECONCILE_MS).max(now));
        } else {
            walk.after = sets.into_iter().next_back();
            walk.due = now.plus_ms(LOOK_MS);
        }
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

    /// When [`Self::is_look_due`] or [`Self::end_times`] has something to do next.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let unheard = self.unheard_until.front().map(|(until, ..)| *until);
        self.walk.as_ref().map(|walk| walk.due).into_iter().chain(unheard).min()
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

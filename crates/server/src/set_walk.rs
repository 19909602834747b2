//! The gauges of every broker set, collected a few at a time: all of ten thousand at once would hold up whoever asks
//! meanwhile by tens of milliseconds.

use crate::metrics::BrokerSetGauges;
use controller::{Controller, Instant};
use std::sync::Arc;

/// Sets that are looked at in one turn.
const SETS_PER_LOOK: usize = 256;

/// Pause between two looks, in ms. The gauges of ten thousand sets are so at most five seconds old.
const LOOK_MS: u64 = 100;

/// A walk over all broker sets, again and again.
#[derive(Debug, Default)]
pub(crate) struct SetWalk {
    /// What the last whole walk found.
    complete: Arc<Vec<BrokerSetGauges>>,
    /// What this one has found so far, ascending by name.
    found: Vec<BrokerSetGauges>,
    due: Instant,
}

impl SetWalk {
    /// What the last whole walk found.
    pub(crate) fn complete(&self) -> Arc<Vec<BrokerSetGauges>> {
        Arc::clone(&self.complete)
    }

    /// Goes on, if it is time.
    pub(crate) fn step_if_due(&mut self, now: Instant, core: &Controller) {
        if now < self.due {
            return;
        }
        self.due = now.plus_ms(LOOK_MS);
        let after = self.found.last().map(|gauges| gauges.broker_set.clone());
        let mut looked_at = 0;
        for set in core.live_sets(after.as_deref()).take(SETS_PER_LOOK) {
            looked_at += 1;
            self.found.extend(set.alive.into_iter().map(|(cluster, alive)| BrokerSetGauges {
                cluster: cluster.to_owned(),
                broker_set: set.name.to_owned(),
                alive,
                sync_state_set_size: set.sync_state_set_size,
            }));
        }
        if looked_at < SETS_PER_LOOK {
            self.complete = Arc::new(std::mem::take(&mut self.found));
        }
    }
}

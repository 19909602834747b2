//! C12: a snapshot is the state at its index, and reading it back gives the same bytes. L5: one is taken when it is due,
//! whatever became of the one before, so that logs stay bounded.

use super::ledger::Broken;
use crate::agenda::MS;
use crate::world::World;
use controller::{Effect, Overview, Standing};
use replicas::Replicas;

/// How long a snapshot may be due: others may be fetched or written meanwhile.
const DUE: u64 = 15_000 * MS;

impl World<'_> {
    pub(super) fn check_snapshots(
        &mut self,
        node: usize,
        after: &Overview,
        effects: &[Effect],
    ) -> Result<(), Broken> {
        for effect in effects {
            let Effect::SaveSnapshot { descriptor, bytes } = effect else { continue };
            self.nodes[node].snapshots = (after.counts.commands, None);
            let index = descriptor.index.0;
            let ledger = &self.checks.ledger;
            let is_right = Replicas::restore(bytes).is_ok_and(|state| {
                index <= ledger.len()
                    && state.state_hash() == ledger.hash(index)
                    && state.snapshot() == bytes[..]
            });
            if !is_right {
                let text = format!("node {node}: the snapshot at {index} is not its state");
                return Err(("C12", text));
            }
        }
        self.check_due(node, after)
    }

    fn check_due(&mut self, node: usize, after: &Overview) -> Result<(), Broken> {
        let (saved, since) = self.nodes[node].snapshots;
        let applied = after.counts.commands.saturating_sub(saved);
        let is_due = applied >= self.plan.retention.snapshot_commands;
        // Of a joint membership none is taken.
        let is_possible = after.standing == Standing::Voter && !self.checks.members.is_joint();
        if !is_due || !is_possible {
            self.nodes[node].snapshots.1 = None;
            return Ok(());
        }
        let since = since.unwrap_or(self.now);
        self.nodes[node].snapshots.1 = Some(since);
        if since.max(self.nodes[node].well_since).saturating_add(DUE) < self.now {
            let text = format!("node {node} applied {applied} commands and takes no snapshot");
            return Err(("L5", text));
        }
        Ok(())
    }
}

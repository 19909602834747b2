//! Deeds that keep one process from running.
//!
//! | Deed | Confirmed by |
//! |---|---|
//! | freeze | the state of its cgroup, before and after healing |

use super::injection::{Done, Injection, pid, text};
use crate::ground::freezer::Freezer;
use crate::stand::Stand;

impl Injection {
    pub(super) async fn freeze(&mut self, stand: &Stand, node: usize) -> Result<Done, String> {
        let freezer = Freezer::freeze(stand.run, &format!("n{node}"), pid(stand, node)?);
        let freezer = freezer.map_err(text)?;
        if !freezer.becomes(true).await {
            return Err(format!("the cgroup of n{node} does not freeze"));
        }
        self.evidence.push(format!("the cgroup of n{node} is frozen"));
        Ok(Done::Frozen(node, freezer))
    }

    pub(super) async fn thaw(&mut self, node: usize, freezer: Freezer) -> Result<(), String> {
        let was_frozen = freezer.is_frozen() == Some(true);
        freezer.thaw().map_err(text)?;
        let is_thawed = freezer.becomes(false).await;
        match (was_frozen, is_thawed) {
            (true, true) => Ok(()),
            (false, _) => Err(format!("the cgroup of n{node} was not frozen to the end")),
            (true, false) => Err(format!("the cgroup of n{node} does not thaw")),
        }
    }
}

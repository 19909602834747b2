//! Deeds that keep one process from running.
//!
//! | Deed | Confirmed by |
//! |---|---|
//! | freeze | the state of its cgroup, before and after healing |
//! | kill at start | exit status, each time; once at least it had not said yet that it serves |

use super::injection::{Done, Injection, pid, text};
use crate::ground::controller::SERVES;
use crate::ground::freezer::Freezer;
use crate::stand::Stand;
use rustix::process::Signal;
use std::fs;
use std::time::Duration;

impl Injection {
    /// Kills it, and so many ms after each of its next starts again.
    pub(super) async fn kill_at_start(
        &mut self,
        stand: &mut Stand,
        (node, after_ms): (usize, &[u64]),
    ) -> Result<Done, String> {
        stand.controllers[node].signal(Signal::KILL).map_err(text)?;
        self.await_end(stand, node, Signal::KILL).await?;
        let mut early = 0;
        for ms in after_ms {
            let controller = &mut stand.controllers[node];
            let said = fs::metadata(&controller.plan.log).map_or(0, |log| log.len());
            controller.start().await.map_err(text)?;
            tokio::time::sleep(Duration::from_millis(*ms)).await;
            controller.signal(Signal::KILL).map_err(text)?;
            self.await_end(stand, node, Signal::KILL).await?;
            let served = stand.controllers[node].said(said).map_err(text)?.contains(SERVES);
            early += usize::from(!served);
        }
        let kills = after_ms.len();
        self.evidence.push(format!("n{node} did not serve yet at {early} of {kills} kills"));
        if early > 0 { Ok(Done::Down(node)) } else { Err(format!("n{node} served at each kill")) }
    }

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

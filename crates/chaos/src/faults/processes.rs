//! Deeds that keep one process from running, or from writing.
//!
//! | Deed | Confirmed by |
//! |---|---|
//! | freeze | the state of its cgroup, before and after healing |
//! | throttle | writes that the kernel let through: about the limit, and at least half of it |
//! | kill at start | exit status, each time; once at least it had not said yet that it serves |

use super::injection::{Done, Injection, pid, text};
use crate::clock::{self, MILLISECOND, SECOND};
use crate::ground::controller::SERVES;
use crate::ground::device::{Device, Throttle};
use crate::ground::freezer::Freezer;
use crate::stand::Stand;
use rustix::process::Signal;
use std::fs;
use std::time::Duration;

/// A controller whose writes are limited.
#[derive(Debug)]
pub(super) struct Throttled {
    node: usize,
    throttle: Throttle,
    /// Writes a second.
    most: u64,
    /// Since when, by the run's clock.
    since: u64,
}

/// Whether a limit of so many writes a second was kept, and was in the way: `Err` says which it was not.
fn is_throttled(writes: u64, most: u64, lasted: u64) -> Result<(), &'static str> {
    // The kernel lets some more through when a process begins to write again. Unthrottled it is hundreds a second.
    if 2 * writes * SECOND > 3 * most * (lasted + SECOND) {
        Err("is not throttled")
    } else if 2 * writes * SECOND < most * lasted {
        Err("did not write as often as it might")
    } else {
        Ok(())
    }
}

impl Injection {
    pub(super) fn throttle(
        &mut self,
        stand: &Stand,
        (node, writes): (usize, u64),
    ) -> Result<Done, String> {
        let device = Device::below(&stand.store(node)).map_err(text)?;
        let part = format!("n{node}");
        let throttle = Throttle::begin((stand.run, &part), pid(stand, node)?, device, writes);
        let (throttle, since) = (throttle.map_err(text)?, clock::now());
        self.evidence.push(format!("n{node} may write to device {device} {writes} times a second"));
        Ok(Done::Throttled(Throttled { node, throttle, most: writes, since }))
    }

    pub(super) fn end_throttle(&mut self, throttled: Throttled) -> Result<(), String> {
        let Throttled { node, throttle, most, since } = throttled;
        let (writes, lasted) = (throttle.writes(), clock::now() - since);
        drop(throttle);
        let words = format!("n{node} wrote {writes} times in {} ms", lasted / MILLISECOND);
        let judged = is_throttled(writes, most, lasted);
        self.evidence.push(words.clone());
        judged.map_err(|why| format!("n{node} {why}: {words}"))
    }

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

#[cfg(test)]
mod tests {
    use super::is_throttled;
    use crate::clock::SECOND;

    #[test]
    fn a_throttle_is_kept_and_in_the_way() {
        let check = |writes, expected| {
            assert_eq!(is_throttled(writes, 20, 4 * SECOND).is_ok(), expected, "{writes}");
        };
        check(80, true);
        check(150, true);
        check(151, false);
        check(40, true);
        check(39, false);
        check(0, false);
    }
}

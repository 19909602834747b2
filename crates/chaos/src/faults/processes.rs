//! Deeds that keep one process from running, or from writing.
//!
//! | Deed | Confirmed by |
//! |---|---|
//! | suspend, also of a broker | the process is in state `T`, and not after healing |
//! | freeze | the state of its cgroup, before and after healing |
//! | throttle | writes that the kernel let through: about the limit, and at least half of it |
//! | kill at start | exit status, each time; at most of the kills it had not said yet that it serves |

use super::injection::{Done, Injection, pid, text};
use crate::clock::{self, MILLISECOND, SECOND};
use crate::ground::controller::{Controller, SERVES};
use crate::ground::device::{Device, Throttle};
use crate::ground::freezer::Freezer;
use crate::stand::Stand;
use rustix::process::Signal;
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

/// Whether most kills came before it served: a few may be late where a start takes now longer, now shorter.
const fn are_early(early: usize, kills: usize) -> bool {
    2 * early > kills
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

    pub(super) async fn suspend(&mut self, stand: &Stand, node: usize) -> Result<Done, String> {
        stand.controllers[node].signal(Signal::STOP).map_err(text)?;
        let state = await_state(&stand.controllers[node], true).await;
        self.evidence.push(format!("n{node} is in state {state}"));
        let is_stopped = state == 'T';
        is_stopped.then_some(Done::Suspended(node)).ok_or_else(|| format!("n{node} runs on"))
    }

    pub(super) async fn suspend_broker(
        &mut self,
        stand: &Stand,
        (set, place): (usize, usize),
    ) -> Result<Done, String> {
        let broker = broker(stand, place)?;
        broker.signal(Signal::STOP).map_err(text)?;
        let state = await_state(broker, true).await;
        let name = format!("broker {place} of set {set}");
        self.evidence.push(format!("{name} is in state {state}"));
        let is_stopped = state == 'T';
        is_stopped.then_some(Done::SuspendedBroker(place)).ok_or_else(|| format!("{name} runs on"))
    }

    /// Kills it, learns how long it takes to start, and kills it when next starts have come so far, of 1,000.
    pub(super) async fn kill_at_start(
        &mut self,
        stand: &mut Stand,
        (node, at): (usize, &[u64]),
    ) -> Result<Done, String> {
        self.end_by(stand, node, Signal::KILL).await?;
        let mut takes = self.time_start(stand, node).await?;
        self.evidence.push(format!("n{node} served {} ms after its start", takes / MILLISECOND));
        self.end_by(stand, node, Signal::KILL).await?;
        let mut early = 0;
        for part in at {
            let controller = &mut stand.controllers[node];
            let said = controller.said_bytes();
            controller.start().await.map_err(text)?;
            let waits = takes * part / 1_000;
            tokio::time::sleep(Duration::from_nanos(waits)).await;
            self.end_by(stand, node, Signal::KILL).await?;
            if stand.controllers[node].said(said).map_err(text)?.contains(SERVES) {
                // The first start was a slow one: the next kills come the sooner.
                takes = takes.min(waits);
            } else {
                early += 1;
            }
        }
        let kills = at.len();
        let words = format!("n{node} did not serve yet at {early} of {kills} kills");
        self.evidence.push(words.clone());
        if are_early(early, kills) { Ok(Done::Down(node)) } else { Err(words) }
    }

    /// Starts it; how long it takes until it serves, in ns.
    async fn time_start(&mut self, stand: &mut Stand, node: usize) -> Result<u64, String> {
        let controller = &mut stand.controllers[node];
        let said = controller.said_bytes();
        controller.start().await.map_err(text)?;
        let began = clock::now();
        match controller.await_service(said).await.map_err(text)? {
            None => Ok(clock::now() - began),
            Some(status) => {
                self.accidents.push(format!("n{node} ended at its start: {status}"));
                Err(format!("n{node} did not start, so none of its starts was broken off"))
            }
        }
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

/// A broker that is a process.
pub(super) fn broker(stand: &Stand, place: usize) -> Result<&Controller, String> {
    let brokers = stand.troupe.as_ref().map(|troupe| &troupe.brokers);
    brokers.and_then(|brokers| brokers.get(place)).ok_or("no broker is a process".to_owned())
}

/// Lets a process go on that was stopped.
pub(super) async fn resume(process: &Controller) -> Result<(), String> {
    process.signal(Signal::CONT).map_err(text)?;
    match await_state(process, false).await {
        'T' => Err(format!("{} does not go on", process.plan.name)),
        _ => Ok(()),
    }
}

async fn await_state(process: &Controller, is_stopped: bool) -> char {
    let mut state = '?';
    for _ in 0..100 {
        state = process.state().unwrap_or('?');
        if (state == 'T') == is_stopped {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    state
}

#[cfg(test)]
mod tests {
    use super::{are_early, is_throttled};
    use crate::clock::SECOND;

    #[test]
    fn most_kills_at_a_start_come_before_it_serves() {
        let rows = [0, 1, 2, 3, 4, 5].map(|early| are_early(early, 5));
        assert_eq!(rows, [false, false, false, true, true, true]);
    }

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

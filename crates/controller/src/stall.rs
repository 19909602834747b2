//! Whether this peer's own disk stands still, and what its leader does about it (rule M8 of CONSENSUS).
//!
//! A leader hands out what is committed only once it is durable *here* too. So a disk that hangs under a leader holds up everybody,
//! although the others could go on; under a follower it holds up nobody. Such a leader hands over. It does so only while
//! the others are faster: where all disks are slow, another leader would be no better.

use crate::controller::Controller;
use crate::effect::{Effect, Note};
use crate::instant::Instant;
use alloc::vec::Vec;
use consensus::Role;

/// A disk that made nothing durable for so long, though it was asked to, stands still; in ms. Below a second, so that one that
/// needs a second for each sync is noticed, and above what an honest disk needs now and then.
const DISK_STALL_MS: u64 = 750;

/// What the disk owes.
#[derive(Debug, Default)]
pub(crate) struct DiskWatch {
    /// The newest group that it was given.
    newest: u64,
    /// Since when it owes something and has made nothing durable.
    since: Option<Instant>,
}

impl DiskWatch {
    /// A group was handed to the disk.
    pub(crate) fn handed(&mut self, now: Instant, number: u64) {
        self.newest = number;
        self.since.get_or_insert(now);
    }

    /// Everything up to this group is durable.
    pub(crate) fn persisted(&mut self, now: Instant, number: u64) {
        self.since = (number < self.newest).then_some(now);
    }

    fn is_stalled(&self, now: Instant) -> bool {
        self.since.is_some_and(|since| now.since_ms(since) >= DISK_STALL_MS)
    }
}

impl Controller {
    /// Hands leadership over if this peer's disk stands still and the others went on. Tried again when nobody took it.
    pub(crate) fn leave_to_faster_disk(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if !self.disk.is_stalled(now) {
            return;
        }
        let Some(driver) = self.driver() else { return };
        let leads = driver.role() == Role::Leader && driver.transfer_target().is_none();
        let others_are_faster = driver.commit() > driver.applied();
        if leads
            && others_are_faster
            && let Some(target) = self.hand_over()
        {
            effects.push(Effect::Note(Note::DiskStalled { target }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DISK_STALL_MS, DiskWatch};
    use crate::instant::Instant;

    #[test]
    fn a_disk_stands_still_when_it_owes_and_pays_nothing() {
        let at = |ms: u64| Instant::default().plus_ms(ms);
        let mut disk = DiskWatch::default();
        assert!(!disk.is_stalled(at(10_000)));
        disk.handed(at(10_000), 1);
        disk.handed(at(10_400), 2);
        assert!(!disk.is_stalled(at(9_999 + DISK_STALL_MS)));
        assert!(disk.is_stalled(at(10_000 + DISK_STALL_MS)));
        // Slow, but it moves.
        disk.persisted(at(10_600), 1);
        assert!(!disk.is_stalled(at(10_599 + DISK_STALL_MS)));
        disk.persisted(at(10_700), 2);
        assert!(!disk.is_stalled(at(60_000)));
    }
}

//! Role notices (1008) on their way to brokers.
//!
//! One slot per broker, and the newest epoch wins in it: a broker that was told of epoch 5 need not hear of 4.
//! A notice is sent again, with growing pauses, until the broker acknowledges it, a newer one takes its place,
//! the broker dies, or this peer is leader no more. Repeats are harmless: a broker ignores an epoch that is not
//! above its own.
//!
//! Source: upstream `ControllerManager#doNotifyBrokerRoleChanged`, which sends one-way and once (defect T3).

use crate::event::{AttemptId, NoticeResult};
use crate::instant::Instant;
use crate::liveness::BrokerIdentity;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use protocol::RoleNotice;

/// Pause before the second attempt, in ms; doubled each time up to [`RETRY_MS_MAX`].
pub(crate) const RETRY_MS_MIN: u64 = 100;

/// Longest pause between two attempts, in ms: how often a broker polls by itself.
pub(crate) const RETRY_MS_MAX: u64 = 5_000;

/// Notices that may be on their way at once; more wait for their turn.
pub const NOTICES_IN_FLIGHT_MAX: usize = 4_096;

#[derive(Debug)]
struct Slot {
    address: Box<str>,
    notice: RoleNotice,
    attempt: Option<AttemptId>,
    due: Option<Instant>,
    tries: u32,
}

/// A notice to send now.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) attempt: AttemptId,
    pub(crate) address: Box<str>,
    pub(crate) notice: RoleNotice,
}

/// What has happened to notices, for the metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoticeCounts {
    /// First attempts.
    pub sent: u64,
    /// Answered by the broker.
    pub acknowledged: u64,
    /// Attempts after the first.
    pub retried: u64,
    /// Ended without an answer: superseded, the broker dead, or leadership lost.
    pub given_up: u64,
}

/// All notices that are not yet acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    slots: BTreeMap<BrokerIdentity, Slot>,
    attempts: BTreeMap<AttemptId, BrokerIdentity>,
    due: BTreeSet<(Instant, BrokerIdentity)>,
    next_attempt: u64,
    pub(crate) counts: NoticeCounts,
}

impl Notices {
    /// Puts a notice in the broker's slot, due now. An older one there is given up; a newer one stays.
    pub(crate) fn put(
        &mut self,
        now: Instant,
        broker: BrokerIdentity,
        address: Box<str>,
        notice: RoleNotice,
    ) {
        if let Some(old) = self.slots.get(&broker) {
            if old.notice.master_epoch >= notice.master_epoch {
                return;
            }
            self.drop_slot(&broker);
        }
        self.due.insert((now, broker.clone()));
        self.slots
            .insert(broker, Slot { address, notice, attempt: None, due: Some(now), tries: 0 });
    }

    /// The notices whose time has come, as far as [`NOTICES_IN_FLIGHT_MAX`] allows.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<Sending> {
        let mut sending = Vec::new();
        while self.attempts.len() < NOTICES_IN_FLIGHT_MAX {
            let Some((due, broker)) = self.due.pop_first() else { break };
            if due > now {
                self.due.insert((due, broker));
                break;
            }
            let Some(slot) = self.slots.get_mut(&broker) else { continue };
            self.next_attempt += 1;
            let attempt = AttemptId(self.next_attempt);
            slot.attempt = Some(attempt);
            slot.due = None;
            slot.tries += 1;
            if slot.tries == 1 {
                self.counts.sent += 1;
            } else {
                self.counts.retried += 1;
            }
            let (address, notice) = (slot.address.clone(), slot.notice.clone());
            sending.push(Sending { attempt, address, notice });
            self.attempts.insert(attempt, broker);
        }
        sending
    }

    /// An attempt has ended. A failed one is tried again unless it was superseded meanwhile; a late
    /// acknowledgement of a superseded one says nothing about the newer notice.
    pub(crate) fn ended(&mut self, now: Instant, attempt: AttemptId, result: NoticeResult) {
        let Some(broker) = self.attempts.remove(&attempt) else { return };
        let Some(slot) = self.slots.get_mut(&broker) else { return };
        if slot.attempt != Some(attempt) {
            return;
        }
        match result {
            NoticeResult::Acknowledged => {
                self.slots.remove(&broker);
                self.counts.acknowledged += 1;
            }
            NoticeResult::Failed => {
                slot.attempt = None;
                let doublings = slot.tries.saturating_sub(1).min(16);
                let pause = (RETRY_MS_MIN << doublings).min(RETRY_MS_MAX);
                let due = now.plus_ms(pause);
                slot.due = Some(due);
                self.due.insert((due, broker));
            }
        }
    }

    /// The broker registered with another address: what it was not told at the old one, it is told there, now.
    pub(crate) fn moved(&mut self, now: Instant, broker: &BrokerIdentity, address: &str) {
        let Some(slot) = self.slots.get_mut(broker) else { return };
        if *slot.address == *address {
            return;
        }
        slot.address = address.into();
        // An answer from the old address is somebody else's.
        if let Some(attempt) = slot.attempt.take() {
            self.attempts.remove(&attempt);
        }
        if let Some(due) = slot.due.replace(now) {
            self.due.remove(&(due, broker.clone()));
        }
        self.due.insert((now, broker.clone()));
    }

    /// The broker is dead: what it was to hear, it will learn when it comes back.
    pub(crate) fn forget(&mut self, broker: &BrokerIdentity) {
        self.drop_slot(broker);
    }

    /// Leadership is lost: the new leader tells brokers what it decides (rule D9).
    pub(crate) fn clear(&mut self) {
        self.counts.given_up += u64::try_from(self.slots.len()).unwrap_or(u64::MAX);
        self.slots.clear();
        self.attempts.clear();
        self.due.clear();
    }

    /// When [`Self::take_due`] has something next.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        if self.attempts.len() >= NOTICES_IN_FLIGHT_MAX {
            return None;
        }
        self.due.first().map(|(due, _)| *due)
    }

    /// Notices not yet acknowledged.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    fn drop_slot(&mut self, broker: &BrokerIdentity) {
        if let Some(slot) = self.slots.remove(broker) {
            self.counts.given_up += 1;
            if let Some(attempt) = slot.attempt {
                self.attempts.remove(&attempt);
            }
            if let Some(due) = slot.due {
                self.due.remove(&(due, broker.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests;

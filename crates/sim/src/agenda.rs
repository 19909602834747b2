//! What happens next: events by virtual time, in the order in which they were put in where the time is equal.

use crate::broker::Alarm;
use crate::network::{Cargo, Lane, PipeId};
use bytes::Bytes;
use controller::Event;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Microseconds in a millisecond.
pub(crate) const MS: u64 = 1_000;

/// Something that happens at a moment.
#[derive(Debug)]
pub(crate) enum What {
    /// A process looks at its inbox.
    Turn { node: usize, boot: u64 },
    /// The moment that a controller asked for.
    Wake { node: usize, boot: u64, wish: u64 },
    /// The disk has done what the writer asked of it.
    Written { node: usize, boot: u64 },
    /// The writer has nothing to do and makes spares.
    Idle { node: usize, boot: u64 },
    /// A process starts.
    Start { node: usize, boot: u64 },
    /// A process tries to open its link to another.
    Dial { node: usize, boot: u64, peer: usize },
    /// The attempt to open a link found no answer in time, or was refused.
    NotDialled { node: usize, boot: u64, peer: usize, is_refused: bool },
    /// Something comes out of a connection.
    Arrive { pipe: PipeId, lane: Lane, sequence: u64, cargo: Cargo },
    /// A message of a peer that goes its own way, in no order.
    Stray { pipe: PipeId, bytes: Bytes },
    /// What was sent and never acknowledged breaks a connection, if it still is not.
    Unacknowledged { pipe: PipeId, since: u64 },
    /// One end of a connection learns that the other is gone.
    Hangup { pipe: PipeId, lane: Lane },
    /// Something is told to a process, whoever comes from there.
    Tell { node: usize, boot: u64, event: Box<Event> },
    /// A broker's own clock.
    Broker { broker: usize, life: u64, alarm: Alarm },
    /// A broker starts for the first time.
    Begin { broker: usize },
    /// A client asks its next question.
    Client { client: usize },
    /// Nobody answered a request in time.
    TimedOut { call: u64 },
    /// A fault of the plan strikes.
    Strike { fault: usize },
    /// A fault of the plan ends.
    Mend { fault: usize },
}

/// Events by time.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    heap: BinaryHeap<Reverse<(u64, u64, usize)>>,
    slots: Vec<Option<What>>,
    free: Vec<usize>,
    sequence: u64,
}

impl Agenda {
    pub(crate) fn put(&mut self, moment: u64, what: What) {
        self.sequence += 1;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = Some(what);
                slot
            }
            None => {
                self.slots.push(Some(what));
                self.slots.len() - 1
            }
        };
        self.heap.push(Reverse((moment, self.sequence, slot)));
    }

    /// The next event up to and including `end`, with its moment.
    pub(crate) fn take(&mut self, end: u64) -> Option<(u64, What)> {
        let &Reverse((moment, _, slot)) = self.heap.peek()?;
        if moment > end {
            return None;
        }
        self.heap.pop();
        self.free.push(slot);
        let what = self.slots[slot].take().expect("a slot in the heap is filled");
        Some((moment, what))
    }
}

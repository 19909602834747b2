//! Orders on their way to the journal's thread. The core hands them over and never waits for the disk.
//!
//! ```text
//! core ──► push ──► channel (ORDERS_MAX) ──► writer thread
//!             └──► waiting, while the channel is full ──┘ moved on whenever the writer says that it is done
//! ```
//!
//! While the disk is slow the core goes on hearing brokers and peers. What must not grow is what the disk owes:
//! from [`ORDERS_BEHIND`] groups on the core is told, and refuses new writes as busy until half of them are durable.

use crate::writer::{ORDERS_MAX, Order};
use std::collections::VecDeque;
use std::sync::mpsc::{SyncSender, TrySendError};

/// Groups of entries that are ordered and not durable, from which on the disk counts as behind: four whole writes.
pub(crate) const ORDERS_BEHIND: usize = 4_096;

/// Orders that may wait beside the channel. Only a disk that hangs for good lets it come so far, since no write is
/// taken any more; then the core waits too, its links fall silent, and the other controllers go on without it.
const ORDERS_WAITING_MAX: usize = 65_536;

/// The way to the writer.
#[derive(Debug)]
pub(crate) struct Orders {
    writer: SyncSender<Order>,
    waiting: VecDeque<Order>,
    /// Groups ordered and not durable.
    owed: usize,
    is_behind: bool,
}

impl Orders {
    pub(crate) fn new(writer: SyncSender<Order>) -> Self {
        Self { writer, waiting: VecDeque::new(), owed: 0, is_behind: false }
    }

    /// Hands an order over, behind all earlier ones.
    pub(crate) fn push(&mut self, order: Order) {
        self.owed += usize::from(matches!(order, Order::Persist(_)));
        self.waiting.push_back(order);
        self.move_on();
        if self.waiting.len() > ORDERS_WAITING_MAX
            && let Some(first) = self.waiting.pop_front()
        {
            // The writer is gone only after it said why; the loop ends at the next `done`.
            drop(self.writer.send(first));
        }
    }

    /// So many groups became durable.
    pub(crate) fn done(&mut self, groups: usize) {
        self.owed = self.owed.saturating_sub(groups);
        self.move_on();
    }

    /// Whether the disk is behind, if that is news.
    pub(crate) fn news(&mut self) -> Option<bool> {
        let limit = if self.is_behind { ORDERS_BEHIND / 2 } else { ORDERS_BEHIND };
        let is_behind = self.owed >= limit;
        let is_news = is_behind != self.is_behind;
        self.is_behind = is_behind;
        is_news.then_some(is_behind)
    }

    /// Whether something is ordered and not durable.
    pub(crate) fn are_owed(&self) -> bool {
        self.owed > 0
    }

    fn move_on(&mut self) {
        while let Some(order) = self.waiting.pop_front() {
            match self.writer.try_send(order) {
                Ok(()) => {}
                Err(TrySendError::Full(order)) => {
                    self.waiting.push_front(order);
                    return;
                }
                // As above: nobody takes orders any more.
                Err(TrySendError::Disconnected(_)) => self.waiting.clear(),
            }
        }
    }
}

const _: () = assert!(ORDERS_BEHIND < ORDERS_MAX, "the disk is behind before the channel is full");

#[cfg(test)]
mod tests {
    use super::{ORDERS_BEHIND, Orders};
    use crate::writer::Order;
    use controller::Persist;
    use std::sync::mpsc::sync_channel;

    fn persist(number: u64) -> Order {
        let (hard_state, entries, snapshot) = (None, Vec::new(), None);
        Order::Persist(Persist { number, hard_state, entries, snapshot, must_sync: true })
    }

    /// The writer takes nothing: orders wait, in their order, and nobody else does.
    #[test]
    fn a_disk_that_hangs_holds_nobody_up() {
        let (writer, orders_in) = sync_channel(4);
        let mut orders = Orders::new(writer);
        for number in 0..10 {
            orders.push(persist(number));
            assert_eq!(orders.news(), None);
        }
        let mut seen = Vec::new();
        for _ in 0..10 {
            let Order::Persist(group) = orders_in.recv().unwrap() else { panic!("only these") };
            seen.push(group.number);
            orders.done(1);
        }
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
        drop(orders_in);
        orders.push(persist(10));
    }

    #[test]
    fn a_disk_that_is_behind_is_news_once_each_way() {
        let (writer, _orders_in) = sync_channel(1);
        let mut orders = Orders::new(writer);
        for number in 1..ORDERS_BEHIND {
            orders.push(persist(number as u64));
        }
        assert_eq!(orders.news(), None);
        orders.push(persist(0));
        assert_eq!((orders.news(), orders.news()), (Some(true), None));
        orders.done(ORDERS_BEHIND / 2);
        assert_eq!(orders.news(), None, "half is owed still");
        orders.done(1);
        assert_eq!((orders.news(), orders.news()), (Some(false), None));
        orders.done(ORDERS_BEHIND);
    }
}

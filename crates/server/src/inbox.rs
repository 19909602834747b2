//! What waits for the core, in three lanes, and what is turned away when there is too much.
//!
//! | Lane | Holds | Taken each turn | When it is full |
//! |---|---|---|---|
//! | urgent | messages of peers, persisted numbers, closed connections, probes | all | nothing is read from any connection |
//! | heartbeats | 904 | all | 904 is refused as busy: more wait than there may be brokers |
//! | requests | everything else | [`TURN_EVENTS_MAX`] | see below |
//!
//! Under overload a broker must not seem dead because somebody asks too much, so heartbeats pass by what waits.
//! Of the rest, what only asks goes first: polls (1004, 1005, 1006, and the questions of tools) are refused as soon as
//! half of the lane is taken, what changes something or registers a broker only when all of it is. A broker polls
//! again in 5 s; a refused write costs an answer to a producer.
//!
//! A slow disk is another matter: it fills no lane, since the core never waits for it (`orders.rs`).

use controller::Event;
use protocol::code;
use std::cell::RefCell;
use std::collections::VecDeque;

/// Requests that may wait for the core.
pub(crate) const INBOX_EVENTS_MAX: usize = 65_536;

/// Heartbeats that may wait for the core: one of each broker that there may be, and some more.
pub(crate) const HEARTBEATS_WAITING_MAX: usize = 131_072;

/// Urgent events that may wait for the core; beyond it nothing is read from any connection. One batch of a peer may
/// exceed it by what a frame holds.
pub(crate) const URGENT_EVENTS_MAX: usize = 65_536;

/// Requests of one turn, beside everything urgent and all heartbeats; the rest waits for the next (rule D1).
pub(crate) const TURN_EVENTS_MAX: usize = 4_096;

/// What a request is worth under overload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Worth {
    /// A sign of life.
    Heartbeat,
    /// It changes something, or a broker needs it to come up.
    Write,
    /// It only asks, and will ask again.
    Poll,
}

impl Worth {
    /// By the code of the request.
    pub(crate) fn of(code: i32) -> Self {
        match code {
            code::BROKER_HEARTBEAT => Self::Heartbeat,
            code::CONTROLLER_ALTER_SYNC_STATE_SET
            | code::CONTROLLER_ELECT_MASTER
            | code::CONTROLLER_REGISTER_BROKER
            | code::CONTROLLER_APPLY_BROKER_ID
            | code::CONTROLLER_GET_NEXT_BROKER_ID
            | code::CLEAN_BROKER_DATA
            | protocol::private::ELECT => Self::Write,
            _ => Self::Poll,
        }
    }
}

/// The three lanes. Consensus never waits behind requests (rule D1).
#[derive(Debug)]
pub(crate) struct Inbox {
    urgent: RefCell<Vec<Event>>,
    heartbeats: RefCell<Vec<Event>>,
    requests: RefCell<VecDeque<Event>>,
    requests_max: usize,
}

impl Inbox {
    /// `configured` is the limit of requests that the operator wants; ours counts if it is lower.
    pub(crate) fn new(configured: u64) -> Self {
        let configured = usize::try_from(configured).unwrap_or(usize::MAX);
        Self {
            urgent: RefCell::default(),
            heartbeats: RefCell::default(),
            requests: RefCell::default(),
            requests_max: INBOX_EVENTS_MAX.min(configured),
        }
    }

    /// Takes what cannot be refused.
    pub(crate) fn tell(&self, event: Event) {
        self.urgent.borrow_mut().push(event);
    }

    /// Whether so much is urgent that connections wait with reading until the core has taken it.
    pub(crate) fn has_urgent_backlog(&self) -> bool {
        self.urgent.borrow().len() >= URGENT_EVENTS_MAX
    }

    /// Takes a request, or says which limit keeps it out.
    ///
    /// # Errors
    /// The name of the limit.
    pub(crate) fn ask(&self, worth: Worth, event: Event) -> Result<(), &'static str> {
        if worth == Worth::Heartbeat {
            let mut heartbeats = self.heartbeats.borrow_mut();
            if heartbeats.len() >= HEARTBEATS_WAITING_MAX {
                return Err("HEARTBEATS_WAITING_MAX");
            }
            heartbeats.push(event);
            return Ok(());
        }
        let mut requests = self.requests.borrow_mut();
        let room = match worth {
            Worth::Heartbeat | Worth::Write => self.requests_max,
            Worth::Poll => self.requests_max.div_ceil(2),
        };
        if requests.len() >= room {
            return Err("INBOX_EVENTS_MAX");
        }
        requests.push_back(event);
        Ok(())
    }

    /// Hands the core its next turn. Whether requests wait for the one after.
    pub(crate) fn take(&self, events: &mut Vec<Event>) -> bool {
        events.append(&mut self.urgent.borrow_mut());
        events.append(&mut self.heartbeats.borrow_mut());
        let mut requests = self.requests.borrow_mut();
        let count = requests.len().min(TURN_EVENTS_MAX);
        events.extend(requests.drain(..count));
        !requests.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Event, HEARTBEATS_WAITING_MAX, INBOX_EVENTS_MAX, Inbox, TURN_EVENTS_MAX, Worth, code,
    };
    use controller::AttemptId;
    use controller::NoticeResult;

    /// An event with a number to know it by.
    fn event(number: u64) -> Event {
        Event::Noticed { attempt: AttemptId(number), result: NoticeResult::Failed }
    }

    fn number(event: &Event) -> u64 {
        match event {
            Event::Noticed { attempt, .. } => attempt.0,
            other => panic!("not one of ours: {other:?}"),
        }
    }

    #[test]
    fn polls_are_those_that_only_ask() {
        let rows = [
            (code::BROKER_HEARTBEAT, Worth::Heartbeat),
            (code::CONTROLLER_ALTER_SYNC_STATE_SET, Worth::Write),
            (code::CONTROLLER_GET_NEXT_BROKER_ID, Worth::Write),
            (protocol::private::ELECT, Worth::Write),
            (code::CONTROLLER_GET_REPLICA_INFO, Worth::Poll),
            (code::CONTROLLER_GET_METADATA_INFO, Worth::Poll),
            (code::CONTROLLER_GET_SYNC_STATE_DATA, Worth::Poll),
            (protocol::private::STATUS, Worth::Poll),
        ];
        for (code, worth) in rows {
            assert_eq!(Worth::of(code), worth, "{code}");
        }
    }

    #[test]
    fn polls_are_refused_first_then_writes_and_heartbeats_last() {
        for (configured, whole) in [(100, 100), (u64::MAX, INBOX_EVENTS_MAX as u64)] {
            let inbox = Inbox::new(configured);
            for at in 0..whole {
                let expected = if at < whole / 2 { Ok(()) } else { Err("INBOX_EVENTS_MAX") };
                if expected.is_err() {
                    assert_eq!(inbox.ask(Worth::Poll, event(0)), expected, "{at}");
                }
                let worth = if expected.is_ok() { Worth::Poll } else { Worth::Write };
                assert_eq!(inbox.ask(worth, event(0)), Ok(()), "{at}");
            }
            assert_eq!(inbox.ask(Worth::Write, event(0)), Err("INBOX_EVENTS_MAX"));
            for _ in 0..HEARTBEATS_WAITING_MAX {
                assert_eq!(inbox.ask(Worth::Heartbeat, event(1)), Ok(()));
            }
            let full = Err("HEARTBEATS_WAITING_MAX");
            assert_eq!(inbox.ask(Worth::Heartbeat, event(1)), full);
        }
    }

    /// Ten times as much as a turn takes, turn after turn: no heartbeat waits for a second turn.
    #[test]
    fn heartbeats_pass_by_an_overload() {
        let inbox = Inbox::new(50_000);
        let (mut polls_shed, mut writes_shed) = (0, 0);
        for turn in 1..=50 {
            for request in 0..TURN_EVENTS_MAX * 10 {
                match request % 10 {
                    0 => {
                        let worth = Worth::Heartbeat;
                        assert_eq!(inbox.ask(worth, event(turn)), Ok(()), "turn {turn}");
                    }
                    1 => writes_shed += usize::from(inbox.ask(Worth::Write, event(0)).is_err()),
                    _ => polls_shed += usize::from(inbox.ask(Worth::Poll, event(0)).is_err()),
                }
            }
            inbox.tell(event(1_000));
            let mut taken = Vec::new();
            assert!(inbox.take(&mut taken), "there is more than a turn takes");
            assert_eq!(number(&taken[0]), 1_000, "what is urgent comes first");
            let beats = &taken[1..=TURN_EVENTS_MAX];
            assert!(beats.iter().all(|beat| number(beat) == turn), "turn {turn}");
            assert_eq!(taken.len(), 1 + 2 * TURN_EVENTS_MAX);
        }
        assert_eq!(writes_shed, 0, "writes alone would not be too much");
        assert!(polls_shed > 0);
    }
}

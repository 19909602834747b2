//! What waits for the core, in four lanes, and what is turned away when there is too much.
//!
//! | Lane | Holds | Taken each turn | When it is full |
//! |---|---|---|---|
//! | urgent | messages of peers, persisted numbers, closed connections, probes | all | nothing is read from any connection |
//! | heartbeats | 904 | all | 904 is refused as busy: more wait than there may be brokers |
//! | writes | what changes something or registers a broker | [`TURN_WRITES_MAX`] | refused as busy |
//! | polls | what only asks: 1004, 1005, 1006, and the questions of tools | the rest of [`TURN_EVENTS_MAX`] | refused as busy |
//!
//! Under overload a broker must not seem dead because somebody asks too much, so heartbeats pass by what waits. A refused
//! or late write costs an answer to a producer, a broker polls again in 5 s: so writes go before polls, and have a limit of
//! their own, up to which no poll keeps a write out. [`TURN_POLLS_MIN`] go on whatever is written.
//!
//! A lane keeps its order, and one does not wait for another. Nobody was promised more: requests of one connection that do not
//! wait for each other's answers are taken by several threads upstream, and may be answered in any order. Who wants
//! to read what he wrote asks after his answer.
//!
//! A slow disk is another matter: it fills no lane, since the core never waits for it (`orders.rs`).

use controller::Event;
use protocol::code;
use std::cell::RefCell;
use std::collections::VecDeque;

/// Writes that may wait for the core.
pub(crate) const INBOX_WRITES_MAX: usize = 65_536;

/// Polls that may wait for the core: half as many.
pub(crate) const INBOX_POLLS_MAX: usize = INBOX_WRITES_MAX / 2;

/// Heartbeats that may wait for the core: one of each broker that there may be, and some more.
pub(crate) const HEARTBEATS_WAITING_MAX: usize = 131_072;

/// Urgent events that may wait for the core; beyond it nothing is read from any connection. One batch of a peer may
/// exceed it by what a frame holds.
pub(crate) const URGENT_EVENTS_MAX: usize = 65_536;

/// Requests of one turn, beside everything urgent and all heartbeats; the rest waits for the next (rule D1).
pub(crate) const TURN_EVENTS_MAX: usize = 4_096;

/// Polls of one turn for which writes leave room.
pub(crate) const TURN_POLLS_MIN: usize = 512;

/// Writes of one turn.
pub(crate) const TURN_WRITES_MAX: usize = TURN_EVENTS_MAX - TURN_POLLS_MIN;

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

/// Requests that wait.
#[derive(Debug)]
struct Lane {
    events: RefCell<VecDeque<Event>>,
    events_max: usize,
    /// The name of that.
    limit: &'static str,
}

impl Lane {
    fn new(events_max: usize, limit: &'static str) -> Self {
        Self { events: RefCell::default(), events_max, limit }
    }

    fn ask(&self, event: Event) -> Result<(), &'static str> {
        let mut events = self.events.borrow_mut();
        if events.len() >= self.events_max {
            return Err(self.limit);
        }
        events.push_back(event);
        Ok(())
    }

    /// Moves up to `most` into a turn; how many.
    fn take(&self, most: usize, turn: &mut Vec<Event>) -> usize {
        let mut events = self.events.borrow_mut();
        let count = events.len().min(most);
        turn.extend(events.drain(..count));
        count
    }

    fn is_empty(&self) -> bool {
        self.events.borrow().is_empty()
    }
}

/// The four lanes. Consensus never waits behind requests (rule D1).
#[derive(Debug)]
pub(crate) struct Inbox {
    urgent: RefCell<Vec<Event>>,
    heartbeats: Lane,
    writes: Lane,
    polls: Lane,
}

impl Inbox {
    /// `configured` is the limit of writes that the operator wants, that of polls is half of it; ours count if they are
    /// lower.
    pub(crate) fn new(configured: u64) -> Self {
        let configured = usize::try_from(configured).unwrap_or(usize::MAX);
        let polls_max = INBOX_POLLS_MAX.min(configured.div_ceil(2));
        Self {
            urgent: RefCell::default(),
            heartbeats: Lane::new(HEARTBEATS_WAITING_MAX, "HEARTBEATS_WAITING_MAX"),
            writes: Lane::new(INBOX_WRITES_MAX.min(configured), "INBOX_WRITES_MAX"),
            polls: Lane::new(polls_max, "INBOX_POLLS_MAX"),
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
        let lane = match worth {
            Worth::Heartbeat => &self.heartbeats,
            Worth::Write => &self.writes,
            Worth::Poll => &self.polls,
        };
        lane.ask(event)
    }

    /// Hands the core its next turn. Whether requests wait for the one after.
    pub(crate) fn take(&self, events: &mut Vec<Event>) -> bool {
        events.append(&mut self.urgent.borrow_mut());
        self.heartbeats.take(HEARTBEATS_WAITING_MAX, events);
        let writes = self.writes.take(TURN_WRITES_MAX, events);
        self.polls.take(TURN_EVENTS_MAX - writes, events);
        !(self.writes.is_empty() && self.polls.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Event, HEARTBEATS_WAITING_MAX, INBOX_POLLS_MAX, INBOX_WRITES_MAX, Inbox, TURN_EVENTS_MAX,
        TURN_POLLS_MIN, TURN_WRITES_MAX, Worth, code,
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

    /// Asks until a lane is full; how many were taken, and the limit that kept the next one out.
    fn fill(inbox: &Inbox, worth: Worth) -> (usize, &'static str) {
        let mut count = 0;
        loop {
            match inbox.ask(worth, event(0)) {
                Ok(()) => count += 1,
                Err(limit) => return (count, limit),
            }
        }
    }

    #[test]
    fn polls_are_refused_first_and_keep_nobody_else_out() {
        let whole = [(101, 51, 101), (u64::MAX, INBOX_POLLS_MAX, INBOX_WRITES_MAX)];
        for (configured, polls, writes) in whole {
            let inbox = Inbox::new(configured);
            assert_eq!(fill(&inbox, Worth::Poll), (polls, "INBOX_POLLS_MAX"));
            assert_eq!(fill(&inbox, Worth::Write), (writes, "INBOX_WRITES_MAX"));
            let beats = (HEARTBEATS_WAITING_MAX, "HEARTBEATS_WAITING_MAX");
            assert_eq!(fill(&inbox, Worth::Heartbeat), beats);
        }
    }

    /// What came first waits longest: writes go by all polls, and do not stop them.
    #[test]
    fn writes_pass_by_polls() {
        let inbox = Inbox::new(50_000);
        for _ in 0..2 * TURN_EVENTS_MAX {
            assert_eq!(inbox.ask(Worth::Poll, event(1)), Ok(()));
        }
        assert_eq!(inbox.ask(Worth::Write, event(2)), Ok(()));
        let mut taken = Vec::new();
        assert!(inbox.take(&mut taken));
        assert_eq!((number(&taken[0]), taken.len()), (2, TURN_EVENTS_MAX));
        for _ in 0..2 * TURN_EVENTS_MAX {
            assert_eq!(inbox.ask(Worth::Write, event(2)), Ok(()));
        }
        taken.clear();
        assert!(inbox.take(&mut taken));
        let writes = taken.iter().take_while(|event| number(event) == 2).count();
        assert_eq!((writes, taken.len()), (TURN_WRITES_MAX, TURN_WRITES_MAX + TURN_POLLS_MIN));
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

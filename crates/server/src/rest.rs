//! When the thread looks away, so that the heartbeats of a fleet are taken some at a time.
//!
//! Each broker's heartbeat comes on a connection of its own, so each would wake the thread: a switch of context, cold
//! caches, and a turn for one heartbeat that nobody waits for. They cost three times what they cost together. So a
//! turn that took nothing but one-way heartbeats is followed by a rest of [`REST`] before the sockets are looked at
//! again, which network cards call interrupt moderation.
//!
//! What comes meanwhile waits as long. So nobody rests while anyone waits for an answer of this process or the disk
//! owes it one, and only if heartbeats come so densely ([`DENSE_PER_WINDOW`]) that a rest collects several. Of a very
//! large fleet ([`CROWDED_PER_WINDOW`]) somebody always waits for an answer, and being woken for every packet would
//! cost all of them more than a rest does: then every turn that was no backlog is followed by one.

use controller::{Event, Instant};
use protocol::code;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long the thread looks away: what any request may wait longer than without it, on each of the two or three
/// controllers that it needs.
const REST: Duration = Duration::from_micros(500);

/// Over how long heartbeats are counted, in ms.
const WINDOW_MS: u64 = 100;

/// Heartbeats in a window from which on the thread rests: two in each rest.
const DENSE_PER_WINDOW: usize = 400;

/// Heartbeats in a window from which on the thread rests whatever the turn took: five in each rest.
const CROWDED_PER_WINDOW: usize = 1_000;

/// Events of one turn from which on they come together by themselves: a backlog, so the thread goes on at once.
const ENOUGH_PER_TURN: usize = 32;

/// How heartbeats come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Traffic {
    Sparse,
    Dense,
    Crowded,
}

impl Traffic {
    /// By the heartbeats of one window.
    fn of(counted: usize) -> Self {
        match counted {
            CROWDED_PER_WINDOW.. => Self::Crowded,
            DENSE_PER_WINDOW.. => Self::Dense,
            _ => Self::Sparse,
        }
    }
}

/// Decides after each turn whether the thread may rest.
#[derive(Debug)]
pub(crate) struct Rest {
    pillow: Pillow,
    window_began: Instant,
    counted: usize,
    traffic: Traffic,
    /// The turn took nothing but one-way heartbeats.
    is_quiet: bool,
    /// The turn took so much that more will have come by now.
    is_backlog: bool,
}

impl Rest {
    /// `pillow` is what the runtime's hook sleeps on.
    pub(crate) fn new(pillow: Pillow, now: Instant) -> Self {
        Self {
            pillow,
            window_began: now,
            counted: 0,
            traffic: Traffic::Sparse,
            is_quiet: false,
            is_backlog: false,
        }
    }

    /// Takes note of a turn before it begins.
    pub(crate) fn turn(&mut self, now: Instant, events: &[Event]) {
        let signs = events.iter().filter(|event| is_sign_of_life(event)).count();
        self.counted += signs;
        if now.since_ms(self.window_began) >= WINDOW_MS {
            self.traffic = Traffic::of(self.counted);
            (self.window_began, self.counted) = (now, 0);
        }
        self.is_quiet = signs > 0 && signs == events.len();
        self.is_backlog = events.len() >= ENOUGH_PER_TURN;
    }

    /// After the turn: the thread rests, if it may, when it next has nothing to do. `is_waited_for`: somebody waits for an
    /// answer of this process, or the disk owes it one.
    pub(crate) fn after_turn(&self, is_waited_for: impl FnOnce() -> bool) {
        let may_rest = match self.traffic {
            Traffic::Sparse => false,
            Traffic::Dense => self.is_quiet && !is_waited_for(),
            Traffic::Crowded => true,
        };
        if may_rest && !self.is_backlog {
            self.pillow.0.store(true, Ordering::Relaxed);
        }
    }
}

/// What the core and the runtime's hook share. One thread uses it; the runtime asks for more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pillow(Arc<AtomicBool>);

impl Pillow {
    /// Called by the runtime whenever it is about to wait for sockets and timers.
    #[expect(clippy::disallowed_methods, reason = "neither a channel nor a timer may wake it")]
    pub(crate) fn rest(&self) {
        if self.0.swap(false, Ordering::Relaxed) {
            std::thread::sleep(REST);
        }
    }
}

fn is_sign_of_life(event: &Event) -> bool {
    matches!(
        event,
        Event::Request { caller, .. } if caller.is_one_way && caller.code == code::BROKER_HEARTBEAT
    )
}

#[cfg(test)]
mod tests {
    use super::{
        CROWDED_PER_WINDOW, DENSE_PER_WINDOW, ENOUGH_PER_TURN, Ordering, Pillow, Rest, WINDOW_MS,
    };
    use bytes::Bytes;
    use controller::{Caller, ConnectionId, Event, Instant};
    use protocol::{HeaderEncoding, Request, code};

    fn event(code: i32, is_one_way: bool) -> Event {
        let (connection, opaque, encoding) = (ConnectionId(1), 1, HeaderEncoding::Json);
        let received = Instant::from_micros(0);
        let caller = Caller { connection, opaque, encoding, is_one_way, code, received };
        Event::Request { caller, request: Request::GetMetadataInfo, frame: Bytes::new() }
    }

    fn beats(count: usize) -> Vec<Event> {
        (0..count).map(|_| event(code::BROKER_HEARTBEAT, true)).collect()
    }

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    /// A thread to which so many heartbeats came in the first window.
    fn after(counted: usize) -> Rest {
        let mut rest = Rest::new(Pillow::default(), at(0));
        rest.turn(at(1), &beats(counted));
        rest.turn(at(WINDOW_MS), &[]);
        rest
    }

    /// Whether a turn with these events is followed by a rest.
    fn rests(rest: &mut Rest, events: &[Event], is_waited_for: bool) -> bool {
        rest.turn(at(WINDOW_MS + 1), events);
        rest.after_turn(|| is_waited_for);
        rest.pillow.0.swap(false, Ordering::Relaxed)
    }

    #[test]
    fn in_dense_traffic_only_heartbeats_that_nobody_waits_for_are_followed_by_a_rest() {
        let mut rest = after(DENSE_PER_WINDOW);
        assert!(rests(&mut rest, &beats(2), false));
        assert!(!rests(&mut rest, &beats(2), true), "somebody waits");
        assert!(!rests(&mut rest, &beats(ENOUGH_PER_TURN), false), "a backlog");
        assert!(!rests(&mut rest, &[], false), "woken by a timer");
        let two_way = event(code::BROKER_HEARTBEAT, false);
        assert!(!rests(&mut rest, &[two_way], false));
        assert!(!rests(&mut rest, &[event(code::CONTROLLER_GET_METADATA_INFO, true)], false));
        let mut with_a_timer = beats(1);
        with_a_timer.push(Event::Wake);
        assert!(!rests(&mut rest, &with_a_timer, false));
    }

    #[test]
    fn in_a_crowd_every_turn_that_is_no_backlog_is_followed_by_a_rest() {
        let mut rest = after(CROWDED_PER_WINDOW);
        assert!(rests(&mut rest, &beats(2), true));
        assert!(rests(&mut rest, &[event(code::CONTROLLER_GET_REPLICA_INFO, false)], true));
        assert!(!rests(&mut rest, &beats(ENOUGH_PER_TURN), false), "a backlog");
    }

    #[test]
    fn in_sparse_traffic_nobody_rests_and_the_pillow_serves_once() {
        assert!(!rests(&mut after(DENSE_PER_WINDOW - 1), &beats(1), false));
        let pillow = Pillow::default();
        pillow.0.store(true, Ordering::Relaxed);
        pillow.rest();
        assert!(!pillow.0.load(Ordering::Relaxed));
    }
}

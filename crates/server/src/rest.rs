//! When the thread looks away, so that the heartbeats of a fleet are taken some at a time.
//!
//! Each broker's heartbeat comes on a connection of its own, so each would wake the thread: a switch of context, cold
//! caches, and a turn for one heartbeat that nobody waits for. They cost three times what they cost together. So a
//! turn that took nothing but one-way heartbeats is followed by a rest of [`REST`] before the sockets are looked at
//! again, which network cards call interrupt moderation.
//!
//! What comes meanwhile waits as long. So nobody rests while anyone waits for an answer of this process or the disk
//! owes it one, and only if heartbeats come so densely ([`DENSE_PER_WINDOW`]) that a rest collects several.

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

/// Heartbeats of one turn from which on they come together by themselves: a backlog, so the thread goes on at once.
const ENOUGH_PER_TURN: usize = 32;

/// Decides after each turn whether the thread may rest.
#[derive(Debug)]
pub(crate) struct Rest {
    pillow: Pillow,
    window_began: Instant,
    counted: usize,
    is_dense: bool,
}

impl Rest {
    /// `pillow` is what the runtime's hook sleeps on.
    pub(crate) fn new(pillow: Pillow, now: Instant) -> Self {
        Self { pillow, window_began: now, counted: 0, is_dense: false }
    }

    /// Takes note of a turn before it begins. Whether it consists of one-way heartbeats alone, and of few.
    pub(crate) fn turn(&mut self, now: Instant, events: &[Event]) -> bool {
        let signs = events.iter().filter(|event| is_sign_of_life(event)).count();
        self.counted += signs;
        if now.since_ms(self.window_began) >= WINDOW_MS {
            self.is_dense = self.counted >= DENSE_PER_WINDOW;
            (self.window_began, self.counted) = (now, 0);
        }
        signs > 0 && signs == events.len() && signs < ENOUGH_PER_TURN
    }

    /// The thread may rest when it next has nothing to do.
    pub(crate) fn allow(&self) {
        if self.is_dense {
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
    use super::{DENSE_PER_WINDOW, ENOUGH_PER_TURN, Ordering, Pillow, Rest, WINDOW_MS};
    use bytes::Bytes;
    use controller::{Caller, ConnectionId, Event, Instant};
    use protocol::{HeaderEncoding, Request, code};

    fn event(code: i32, is_one_way: bool) -> Event {
        let (connection, opaque, encoding) = (ConnectionId(1), 1, HeaderEncoding::Json);
        let received = Instant::from_micros(0);
        let caller = Caller { connection, opaque, encoding, is_one_way, code, received };
        Event::Request { caller, request: Request::GetMetadataInfo, frame: Bytes::new() }
    }

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    #[test]
    fn only_one_way_heartbeats_are_nobodys_business() {
        let mut rest = Rest::new(Pillow::default(), at(0));
        let beat = || event(code::BROKER_HEARTBEAT, true);
        assert!(rest.turn(at(0), &[beat(), beat()]));
        let backlog: Vec<Event> = (0..ENOUGH_PER_TURN).map(|_| beat()).collect();
        assert!(!rest.turn(at(0), &backlog));
        assert!(!rest.turn(at(0), &[]), "woken by a timer");
        assert!(!rest.turn(at(0), &[beat(), event(code::BROKER_HEARTBEAT, false)]));
        assert!(!rest.turn(at(0), &[event(code::CONTROLLER_GET_METADATA_INFO, true)]));
        assert!(!rest.turn(at(0), &[beat(), Event::Wake]));
    }

    #[test]
    fn a_rest_needs_many_heartbeats_and_is_taken_once() {
        let pillow = Pillow::default();
        let mut rest = Rest::new(pillow.clone(), at(0));
        let beats = |count: usize| -> Vec<Event> {
            (0..count).map(|_| event(code::BROKER_HEARTBEAT, true)).collect()
        };
        let mut is_laid_out = |ms, count| {
            rest.turn(at(ms), &beats(count));
            rest.allow();
            pillow.0.load(Ordering::Relaxed)
        };
        assert!(!is_laid_out(1, DENSE_PER_WINDOW), "the window is not over");
        assert!(is_laid_out(WINDOW_MS, 0));
        pillow.rest();
        assert!(!pillow.0.load(Ordering::Relaxed));
        assert!(!is_laid_out(2 * WINDOW_MS, DENSE_PER_WINDOW - 1), "too few");
    }
}

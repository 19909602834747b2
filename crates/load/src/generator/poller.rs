//! Waiting for sockets and for the next due moment, on one thread and without a runtime.
//!
//! A timer of the kernel wakes the wait at an absolute moment: a wait by milliseconds, which is all
//! that `epoll_wait` has, would send everything up to one late.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// Events that one wait brings at most; more come with the next.
const EVENTS_MAX: usize = 1_024;

/// Token of the timer.
const TIMER: u64 = u64::MAX;

/// What happened to one file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Ready {
    /// As it was given when the file was added.
    pub(crate) token: u64,
    /// There is something to read, or the other end closed.
    pub(crate) is_readable: bool,
    /// There is room to write, or a connect has ended.
    pub(crate) is_writable: bool,
}

/// A set of files and one timer. A file leaves it when it is closed.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
    timer: OwnedFd,
}

impl Poller {
    /// # Errors
    /// If the kernel gives none.
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // Setting the timer again clears it, so nobody has to read it.
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
        Ok(Self { epoll, timer })
    }

    /// Adds a stream: each change is told once, so whoever is told reads and writes all there is.
    ///
    /// # Errors
    /// If the kernel has no room.
    pub(crate) fn add_stream(&self, stream: impl AsFd, token: u64) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, stream, EventData::new_u64(token), flags)?)
    }

    /// Adds a listener: told for as long as somebody waits to be accepted.
    ///
    /// # Errors
    /// If the kernel has no room.
    pub(crate) fn add_listener(&self, listener: impl AsFd, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, listener, EventData::new_u64(token), EventFlags::IN)?)
    }

    /// Waits for a file or for the moment `until_ns` of [`crate::clock::mono_ns`], and puts what is
    /// ready into `ready`. Returns at once if that moment has passed.
    ///
    /// # Errors
    /// What the kernel says, interruptions apart.
    pub(crate) fn wait(&self, until_ns: u64, ready: &mut Vec<Ready>) -> io::Result<()> {
        ready.clear();
        // Zero would switch the timer off.
        let until = timespec(until_ns.max(1));
        let never_again = Timespec { tv_sec: 0, tv_nsec: 0 };
        let timer = Itimerspec { it_interval: never_again, it_value: until };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &timer)?;
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS_MAX);
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_count) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        for event in events {
            let (flags, data) = (event.flags, event.data);
            let token = data.u64();
            if token != TIMER {
                let has = |wanted: EventFlags| flags.intersects(wanted);
                let ended = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
                let is_readable = has(EventFlags::IN | ended);
                let is_writable = has(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR);
                ready.push(Ready { token, is_readable, is_writable });
            }
        }
        Ok(())
    }
}

pub(super) fn timespec(nanos: u64) -> Timespec {
    const SECOND: u64 = 1_000_000_000;
    Timespec {
        tv_sec: i64::try_from(nanos / SECOND).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(nanos % SECOND).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use super::Poller;
    use crate::clock::mono_ns;

    #[test]
    fn the_timer_and_the_sockets_wake_it() {
        let poller = Poller::new().unwrap();
        let mut ready = Vec::new();
        let until = mono_ns() + 1_000_000;
        poller.wait(until, &mut ready).unwrap();
        assert!(ready.is_empty() && mono_ns() >= until, "woken by the timer, not before it");
        poller.wait(0, &mut ready).unwrap();
        assert!(ready.is_empty(), "a moment that has passed does not wait");

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        poller.add_listener(&listener, 7).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        poller.wait(u64::MAX, &mut ready).unwrap();
        assert_eq!((ready.len(), ready[0].token, ready[0].is_readable), (1, 7, true));
        let (accepted, _) = listener.accept().unwrap();
        poller.add_stream(&accepted, 8).unwrap();
        poller.wait(u64::MAX, &mut ready).unwrap();
        assert_eq!((ready[0].token, ready[0].is_writable), (8, true));
        client.write_all(b"x").unwrap();
        poller.wait(u64::MAX, &mut ready).unwrap();
        assert_eq!((ready.len(), ready[0].token, ready[0].is_readable), (1, 8, true));
        poller.wait(mono_ns() + 1_000, &mut ready).unwrap();
        assert!(ready.is_empty(), "a change is told once");
    }
}

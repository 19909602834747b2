//! The producer and the consumer that run through a whole round (`Traffic.java`).

use super::process::Dialogue;
use super::report::{Failure, Outcome};
use super::setup::{Setup, TOPIC};
use std::time::Duration;

const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// Two times 60 s of catching up, and one send that may still be waiting.
const STOP_LIMIT: Duration = Duration::from_secs(150);

/// Counts since the start, but for the pause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) acknowledged: u64,
    pub(super) failed: u64,
    pub(super) consumed: u64,
    /// The longest time between two acknowledgements since the last mark.
    pub(super) pause_ms: u64,
    /// Acknowledged, and not seen by the consumer; told at the end only.
    pub(super) undelivered: u64,
    /// Of these, not in the topic at all.
    pub(super) lost: u64,
}

#[derive(Debug)]
pub(super) struct Traffic(Dialogue);

impl Traffic {
    pub(super) fn start(setup: &Setup) -> Outcome<Self> {
        let home = setup.home("traffic")?;
        let mut command = setup.client(&home, "pitchover.interop.Traffic");
        command.arg(setup.namesrv_address()).arg(TOPIC).arg(home.join("sends.txt"));
        Ok(Self(Dialogue::start("traffic", command, &home.join("errors.log"))?))
    }

    pub(super) fn status(&mut self) -> Outcome<Status> {
        self.ask("status", ANSWER_LIMIT)
    }

    /// Starts a new longest pause.
    pub(super) fn mark(&mut self) -> Outcome<Status> {
        self.ask("mark", ANSWER_LIMIT)
    }

    /// Stops sending; when this returns, nothing is on its way. The consumer goes on.
    pub(super) fn hold(&mut self) -> Outcome<Status> {
        self.ask("hold", ANSWER_LIMIT)
    }

    /// Sends again, and starts a new longest pause.
    pub(super) fn go(&mut self) -> Outcome<Status> {
        self.ask("go", ANSWER_LIMIT)
    }

    /// Ends the producer and waits until the consumer has everything.
    pub(super) fn stop(&mut self) -> Outcome<Status> {
        self.ask("stop", STOP_LIMIT)
    }

    fn ask(&mut self, word: &str, limit: Duration) -> Outcome<Status> {
        self.0.say(word)?;
        let line = self.0.hear(limit)?;
        parse(&line).ok_or_else(|| Failure(format!("traffic answered {line:?}")))
    }
}

/// `status acknowledged=1 failed=0 …`; numbers that are not told are 0.
fn parse(line: &str) -> Option<Status> {
    let mut words = line.split(' ');
    words.next().filter(|word| matches!(*word, "status" | "result"))?;
    let mut status = Status::default();
    for word in words {
        let (name, value) = word.split_once('=')?;
        let value = value.parse().ok()?;
        match name {
            "acknowledged" => status.acknowledged = value,
            "failed" => status.failed = value,
            "consumed" => status.consumed = value,
            "pause_ms" => status.pause_ms = value,
            "undelivered" => status.undelivered = value,
            "lost" => status.lost = value,
            _ => return None,
        }
    }
    Some(status)
}

#[cfg(test)]
mod tests {
    use super::{Status, parse};

    #[test]
    fn lines_of_the_driver_are_read() {
        let line = "result acknowledged=7 failed=1 consumed=6 pause_ms=40 undelivered=2 lost=1";
        let expected = Status {
            acknowledged: 7,
            failed: 1,
            consumed: 6,
            pause_ms: 40,
            undelivered: 2,
            lost: 1,
        };
        assert_eq!(parse(line), Some(expected));
        assert_eq!(parse("status acknowledged=x"), None);
        assert_eq!(parse("Exception in thread main"), None);
    }
}

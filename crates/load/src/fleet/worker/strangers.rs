//! Connections that have not shown who they are: how many wait, and how many lines are said of them.

use std::collections::VecDeque;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::STRANGERS_MAX;

/// Lines a second about strangers who said nothing; a crowd of them is a number in the next line.
const LEFT_LINES_MAX: u32 = 1;

/// The same about those who said that they are none of ours: among them may be an operator with another version.
const REFUSED_LINES_MAX: u32 = 16;

/// What those numbers are for.
const PERIOD: Duration = Duration::from_secs(1);

/// Why a connection is over before its time.
#[derive(Debug)]
pub(super) enum Parting {
    /// A stranger went away, was silent for too long, or made room for another.
    Left(String),
    /// A stranger has shown that he is none of our coordinators.
    Refused(String),
    /// A coordinator's part.
    Failed(String),
}

impl Parting {
    pub(super) fn why(&self) -> &str {
        match self {
            Self::Left(why) | Self::Refused(why) | Self::Failed(why) => why,
        }
    }
}

/// Who is not known yet, the oldest first.
#[derive(Debug)]
pub(super) struct Strangers {
    number: u64,
    waiting: VecDeque<(u64, TcpStream)>,
    left: Lines,
    refused: Lines,
}

impl Default for Strangers {
    fn default() -> Self {
        let (left, refused) = (Lines::new(LEFT_LINES_MAX), Lines::new(REFUSED_LINES_MAX));
        Self { number: 0, waiting: VecDeque::new(), left, refused }
    }
}

impl Strangers {
    /// One more, who has a number from now on; the oldest makes room.
    pub(super) fn add(&mut self, stream: &TcpStream) -> io::Result<u64> {
        let stream = stream.try_clone()?;
        if self.waiting.len() >= STRANGERS_MAX {
            // Those who say nothing must not keep others from speaking; a coordinator says its hello at once.
            let oldest = self.waiting.pop_front();
            drop(oldest.map(|(_, stream)| stream.shutdown(Shutdown::Both)));
        }
        self.number += 1;
        self.waiting.push_back((self.number, stream));
        assert!(self.waiting.len() <= STRANGERS_MAX, "strangers are within STRANGERS_MAX");
        Ok(self.number)
    }

    /// He is known, or gone.
    pub(super) fn remove(&mut self, number: u64) {
        self.waiting.retain(|(waiting, _)| *waiting != number);
    }

    /// What is said of the end of a connection; nothing if enough was said of strangers in this second.
    pub(super) fn line(
        &mut self,
        parting: &Parting,
        from: SocketAddr,
        now: Instant,
    ) -> Option<String> {
        let text = format!("{from}: {}", parting.why());
        match parting {
            Parting::Left(_) => self.left.line(text, now),
            Parting::Refused(_) => self.refused.line(text, now),
            Parting::Failed(_) => Some(text),
        }
    }

    /// How many nothing was said of, when the second in which too many came is over.
    pub(super) fn unsaid(&mut self, now: Instant) -> Vec<String> {
        let left = self.left.unsaid(now).map(|count| format!("{count} more strangers left"));
        let refused = self.refused.unsaid(now);
        let refused = refused.map(|count| format!("{count} more strangers were refused"));
        left.into_iter().chain(refused).collect()
    }
}

/// Lines of one kind.
#[derive(Debug)]
struct Lines {
    /// In each [`PERIOD`].
    max: u32,
    began: Option<Instant>,
    said: u32,
    unsaid: u64,
}

impl Lines {
    fn new(max: u32) -> Self {
        Self { max, began: None, said: 0, unsaid: 0 }
    }

    fn is_over(&self, now: Instant) -> bool {
        self.began.is_none_or(|began| now.saturating_duration_since(began) >= PERIOD)
    }

    fn line(&mut self, text: String, now: Instant) -> Option<String> {
        if self.is_over(now) {
            (self.began, self.said) = (Some(now), 0);
        }
        if self.said >= self.max {
            self.unsaid += 1;
            return None;
        }
        self.said += 1;
        let unsaid = std::mem::take(&mut self.unsaid);
        Some(if unsaid == 0 { text } else { format!("{text} ({unsaid} more before)") })
    }

    /// A number that is told is a line, too.
    fn unsaid(&mut self, now: Instant) -> Option<u64> {
        if self.unsaid == 0 || !self.is_over(now) {
            return None;
        }
        (self.began, self.said) = (Some(now), 1);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::{PERIOD, Parting, REFUSED_LINES_MAX, Strangers};
    use crate::clock;

    #[test]
    fn a_crowd_of_strangers_is_a_line_a_second_and_a_number() {
        let (mut strangers, now) = (Strangers::default(), clock::now());
        let from = "192.0.2.7:1".parse().unwrap();
        let gone = Parting::Left("the connection was closed".to_owned());
        let refused = Parting::Refused("this is no hello".to_owned());
        let failed = Parting::Failed("a Pong".to_owned());
        let mut count = |parting, at| {
            (0..1_000).filter_map(|_| strangers.line(parting, from, at)).collect::<Vec<_>>()
        };
        assert_eq!(count(&gone, now), ["192.0.2.7:1: the connection was closed"]);
        assert_eq!(count(&refused, now).len(), usize::try_from(REFUSED_LINES_MAX).unwrap());
        assert_eq!(count(&failed, now).len(), 1_000, "a coordinator is always told of");
        let next = count(&gone, now + PERIOD);
        assert_eq!(next, ["192.0.2.7:1: the connection was closed (999 more before)"]);
        assert_eq!(strangers.unsaid(now + PERIOD), ["984 more strangers were refused"]);
        assert_eq!(strangers.unsaid(now + 2 * PERIOD), ["999 more strangers left"]);
        assert!(strangers.unsaid(now + 4 * PERIOD).is_empty());
    }
}

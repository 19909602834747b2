//! One process of a crew: on this host, with its standard streams, or a worker's, with a connection.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{CrewError, EVENTS_MAX, GOODBYE};
use crate::clock;
use crate::fleet::link::Link;
use crate::generator::measures::Tally;
use crate::generator::plan::{Command, Event, Plan, Report, View};
use crate::own_cluster::end;

/// A process that plays a part.
#[derive(Debug)]
pub(super) struct Hand {
    pub(super) voice: Voice,
    pub(super) events: Receiver<Event>,
    pub(super) word: Word,
}

/// How far a process is with saying what it measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Word {
    /// It was not asked.
    Unasked,
    /// It was, and is awaited.
    Asked,
    /// It has said it.
    Said,
    /// It can be asked no more.
    Gone,
}

/// By what a process is told.
#[derive(Debug)]
pub(super) enum Voice {
    /// None once it was told to stop.
    Own {
        child: Child,
        orders: Option<ChildStdin>,
    },
    Worker(Link),
}

/// What went wrong with a worker, with its name.
pub(super) fn of_worker(link: &Link, why: String) -> CrewError {
    CrewError::Worker { address: link.address().to_owned(), why }
}

impl Hand {
    pub(super) fn start(program: &Path, part: &Plan) -> Result<Self, CrewError> {
        let mut command = std::process::Command::new(program);
        command.arg("fleet-worker").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let orders = child.stdin.take();
        let (to_us, events) = sync_channel(EVENTS_MAX);
        let stdout = child.stdout.take();
        let voice = Voice::Own { child, orders };
        let mut hand = Self { voice, events, word: Word::Unasked };
        let stdout = stdout.ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?;
        let reader = thread::Builder::new().name("fleet events".to_owned());
        reader.spawn(move || read_events(stdout, &to_us))?;
        hand.tell_line(&serde_json::to_string(part).map_err(io::Error::other)?)?;
        Ok(hand)
    }

    pub(super) fn of(mut link: Link, part: &Plan) -> Result<Self, CrewError> {
        let begun = link.begin(part);
        let events = begun.map_err(|error| of_worker(&link, error.to_string()))?;
        Ok(Self { voice: Voice::Worker(link), events, word: Word::Unasked })
    }

    pub(super) fn tell(&mut self, command: &Command) -> Result<(), CrewError> {
        if let Voice::Worker(link) = &self.voice {
            return link.tell(command).map_err(|error| self.failure(error.to_string()));
        }
        let line = serde_json::to_string(command).map_err(io::Error::other)?;
        Ok(self.tell_line(&line)?)
    }

    fn tell_line(&mut self, line: &str) -> io::Result<()> {
        let Voice::Own { orders: Some(orders), .. } = &mut self.voice else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        writeln!(orders, "{line}")?;
        orders.flush()
    }

    /// Why it is of no use any more.
    fn failure(&self, why: String) -> CrewError {
        match &self.voice {
            Voice::Own { .. } => CrewError::Failed(why),
            Voice::Worker(link) => of_worker(link, why),
        }
    }

    /// The sets of a part that has begun to live; `said` hears what it says until then.
    pub(super) fn founded(
        &self,
        said: &mut impl FnMut(&str),
    ) -> Result<Option<Vec<View>>, CrewError> {
        // No more can wait, so that one who talks on and on keeps nobody else from being heard.
        for _event in 0..EVENTS_MAX {
            match self.next(Duration::ZERO)? {
                Some(Event::Progress(text)) => said(&text),
                Some(Event::Founded(views)) => return Ok(Some(views)),
                Some(
                    Event::Beating
                    | Event::AllTold
                    | Event::Window(..)
                    | Event::Report(_)
                    | Event::Failed(_),
                ) => {}
                None => break,
            }
        }
        Ok(None)
    }

    /// Whether a worker that was told so ends within [`GOODBYE`] of a moment; a process of this host ends when it is dropped.
    pub(super) fn ends(&self, began: Instant) -> bool {
        // A failure is what each worker ends with.
        matches!(self.voice, Voice::Own { .. })
            || self.says(|_event| false, began, GOODBYE).is_err()
    }

    /// Whether such an event comes within `patience` of a moment, whatever else comes before it. What waits already is heard
    /// also when the time is over.
    pub(super) fn says(
        &self,
        is_it: impl Fn(&Event) -> bool,
        began: Instant,
        patience: Duration,
    ) -> Result<bool, CrewError> {
        let mut late = 0;
        loop {
            let left = patience.saturating_sub(clock::now().saturating_duration_since(began));
            late += usize::from(left.is_zero());
            match self.next(left)? {
                Some(event) if is_it(&event) => return Ok(true),
                Some(_) if late <= EVENTS_MAX => {}
                Some(_) | None => return Ok(false),
            }
        }
    }

    /// Asks for what it measured, unless that was done.
    pub(super) fn ask(&mut self) -> Result<(), CrewError> {
        if self.word != Word::Unasked {
            return Ok(());
        }
        let asked = self.tell(&Command::Report);
        self.word = if asked.is_ok() { Word::Asked } else { Word::Gone };
        asked
    }

    /// Adds what has come of what it was asked for to `all`, and the requests of its windows to `offered`.
    pub(super) fn hear(
        &mut self,
        offered: &mut BTreeMap<u64, u64>,
        all: &mut Report,
    ) -> Result<(), CrewError> {
        let mut count = |number: u64, tally: &Tally| {
            *offered.entry(number).or_default() += tally.offered();
        };
        // No more can wait, so that one who talks on and on keeps nobody else from being heard.
        for _event in 0..EVENTS_MAX {
            if self.word != Word::Asked {
                return Ok(());
            }
            match self.next(Duration::ZERO) {
                Ok(None) => return Ok(()),
                Ok(Some(Event::Report(report))) => {
                    report.windows.iter().for_each(|(number, tally)| count(*number, tally));
                    all.add(*report);
                    self.word = Word::Said;
                }
                Ok(Some(Event::Window(number, tally))) => {
                    count(number, &tally);
                    all.windows.entry(number).or_default().add(&tally);
                }
                Ok(Some(
                    Event::Progress(_)
                    | Event::Beating
                    | Event::Founded(_)
                    | Event::AllTold
                    | Event::Failed(_),
                )) => {}
                Err(error) => {
                    self.word = Word::Gone;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// The next event; `None` if there is none within `patience`.
    pub(super) fn next(&self, patience: Duration) -> Result<Option<Event>, CrewError> {
        match self.events.recv_timeout(patience) {
            Ok(Event::Failed(why)) => Err(self.failure(why)),
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                Err(self.failure("it ended without a word".to_owned()))
            }
        }
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        // Its brokers vanish with it, as they would if their machine did.
        if let Voice::Own { child, orders } = &mut self.voice {
            *orders = None;
            end(child);
        }
    }
}

fn read_events(stdout: ChildStdout, to_us: &SyncSender<Event>) {
    for line in BufReader::new(stdout).lines() {
        let event = line.map_err(|error| error.to_string());
        let event =
            event.and_then(|line| serde_json::from_str(&line).map_err(|error| error.to_string()));
        let event = event.unwrap_or_else(Event::Failed);
        if to_us.send(event).is_err() {
            return;
        }
    }
}

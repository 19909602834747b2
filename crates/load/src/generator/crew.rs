//! A fleet as the processes that play it, from the side of who started them.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::measures::Tally;
use super::plan::{Command, Event, Plan, Report, View};
use crate::own_cluster::{end, free_ports};
use crate::process::Process;

/// Descriptors of a fleet that one process is given; with those it needs itself it stays below the
/// 20,000 that some hosts allow.
pub(crate) const DESCRIPTORS_MAX: usize = 18_000;

/// Events of one process that may wait to be looked at.
const EVENTS_MAX: usize = 64;

/// How long a fleet may take to come to life.
const FOUNDING: Duration = Duration::from_secs(300);

/// How long its processes may take to say what they measured.
const REPORT: Duration = Duration::from_secs(60);

/// Why there is no fleet, or no word of it.
#[derive(Debug, thiserror::Error)]
pub enum CrewError {
    /// A process could not be started or told.
    #[error("a process of the fleet: {0}")]
    Io(#[from] io::Error),
    /// A process gave up.
    #[error("a process of the fleet: {0}")]
    Failed(String),
    /// It took too long.
    #[error("the fleet did not say in time that {0}")]
    Silent(&'static str),
}

/// All processes of one fleet; dropping it ends them, and with them every broker.
#[derive(Debug)]
pub(crate) struct Crew {
    hands: Vec<Hand>,
    parts: Vec<Plan>,
}

#[derive(Debug)]
struct Hand {
    child: Child,
    /// None once it was told to stop.
    orders: Option<ChildStdin>,
    events: Receiver<Event>,
}

impl Crew {
    /// Starts as many processes of `program` as the plan needs and waits until the fleet lives; the
    /// sets in the order of the plan. `progress` hears what happens meanwhile.
    ///
    /// # Errors
    /// - [`CrewError`]: what the processes said.
    pub(crate) fn start(
        program: &Path,
        plan: &Plan,
        mut progress: impl FnMut(&str),
    ) -> Result<(Self, Vec<View>), CrewError> {
        let processes = plan.descriptors().div_ceil(DESCRIPTORS_MAX).max(1);
        let ports = free_ports(processes)?;
        let mut crew = Self { hands: Vec::new(), parts: plan.split(&ports) };
        for part in &crew.parts {
            let hand = Hand::start(program, part)?;
            crew.hands.push(hand);
        }
        let mut views = Vec::with_capacity(plan.sets);
        for (number, hand) in crew.hands.iter().enumerate() {
            loop {
                match hand.next(FOUNDING)? {
                    Some(Event::Progress(text)) => {
                        progress(&format!("fleet process {} of {processes}: {text}", number + 1));
                    }
                    Some(Event::Founded(founded)) => {
                        views.extend(founded);
                        break;
                    }
                    Some(_) => {}
                    None => return Err(CrewError::Silent("it lives")),
                }
            }
        }
        Ok((crew, views))
    }

    /// The processes that play it.
    pub(crate) fn processes(&self) -> Vec<Process> {
        self.hands.iter().map(|hand| Process { pid: hand.child.id() }).collect()
    }

    /// Tells every process.
    ///
    /// # Errors
    /// - [`CrewError::Io`]: one has ended.
    pub(crate) fn tell(&mut self, command: &Command) -> Result<(), CrewError> {
        self.hands.iter_mut().try_for_each(|hand| hand.tell(command))
    }

    /// Lets the masters of the sets with these numbers die at `at_ns`. Returns when all survivors
    /// were told: `false` if they were not within `patience`.
    ///
    /// # Errors
    /// - [`CrewError`]: a process has ended.
    pub(crate) fn kill(
        &mut self,
        at_ns: u64,
        sets: &[usize],
        patience: Duration,
    ) -> Result<bool, CrewError> {
        let told = self.strike(at_ns, sets)?;
        for (hand, _) in self.hands.iter().zip(told).filter(|(_, was_told)| *was_told) {
            loop {
                match hand.next(patience)? {
                    Some(Event::AllTold) => break,
                    Some(_) => {}
                    None => return Ok(false),
                }
            }
        }
        Ok(true)
    }

    /// As [`Self::kill`], but waits for nobody; which processes were told.
    ///
    /// # Errors
    /// - [`CrewError`]: a process has ended.
    pub(crate) fn strike(&mut self, at_ns: u64, sets: &[usize]) -> Result<Vec<bool>, CrewError> {
        let mut told = Vec::new();
        for (hand, part) in self.hands.iter_mut().zip(&self.parts) {
            let own = sets.iter().filter_map(|set| set.checked_sub(part.first_set));
            let own: Vec<usize> = own.filter(|set| *set < part.sets).collect();
            told.push(!own.is_empty());
            if !own.is_empty() {
                hand.tell(&Command::Kill { at_ns, sets: own })?;
            }
        }
        Ok(told)
    }

    /// Windows that are over in all processes since the last look, each as soon as the last process
    /// gave it. `half_done` keeps the others for the next look.
    ///
    /// # Errors
    /// - [`CrewError`]: a process has ended.
    pub(crate) fn windows(
        &self,
        half_done: &mut BTreeMap<u64, (usize, Tally)>,
    ) -> Result<Vec<(u64, Tally)>, CrewError> {
        let mut whole = Vec::new();
        for hand in &self.hands {
            while let Some(event) = hand.next(Duration::ZERO)? {
                let Event::Window(number, tally) = event else { continue };
                let (processes, all) = half_done.entry(number).or_default();
                *processes += 1;
                all.add(&tally);
                if *processes == self.hands.len() {
                    whole.extend(half_done.remove(&number).map(|(_, tally)| (number, tally)));
                }
            }
        }
        Ok(whole)
    }

    /// What all processes have measured, merged.
    ///
    /// # Errors
    /// - [`CrewError`]: a process has ended or does not answer.
    pub(crate) fn report(&mut self) -> Result<Report, CrewError> {
        self.tell(&Command::Report)?;
        let mut all = Report::default();
        for hand in &self.hands {
            loop {
                match hand.next(REPORT)? {
                    Some(Event::Report(report)) => {
                        all.add(*report);
                        break;
                    }
                    Some(Event::Window(number, tally)) => {
                        all.windows.entry(number).or_default().add(&tally);
                    }
                    Some(_) => {}
                    None => return Err(CrewError::Silent("what it measured")),
                }
            }
        }
        Ok(all)
    }
}

impl Hand {
    fn start(program: &Path, part: &Plan) -> Result<Self, CrewError> {
        let mut command = std::process::Command::new(program);
        command.arg("fleet-worker").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let orders = child.stdin.take();
        let (to_us, events) = sync_channel(EVENTS_MAX);
        let mut hand = Self { child, orders, events };
        let stdout = hand.child.stdout.take();
        let stdout = stdout.ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?;
        let reader = thread::Builder::new().name("fleet events".to_owned());
        reader.spawn(move || read_events(stdout, &to_us))?;
        hand.tell_line(&serde_json::to_string(part).map_err(io::Error::other)?)?;
        Ok(hand)
    }

    fn tell(&mut self, command: &Command) -> Result<(), CrewError> {
        let line = serde_json::to_string(command).map_err(io::Error::other)?;
        Ok(self.tell_line(&line)?)
    }

    fn tell_line(&mut self, line: &str) -> io::Result<()> {
        let orders = self.orders.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(orders, "{line}")?;
        orders.flush()
    }

    /// The next event; `None` if there is none within `patience`.
    fn next(&self, patience: Duration) -> Result<Option<Event>, CrewError> {
        match self.events.recv_timeout(patience) {
            Ok(Event::Failed(why)) => Err(CrewError::Failed(why)),
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                Err(CrewError::Failed("it ended without a word".to_owned()))
            }
        }
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        // Its brokers vanish with it, as they would if their machine did.
        self.orders = None;
        end(&mut self.child);
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

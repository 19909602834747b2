//! A fleet as the processes that play it, from the side of who started them: on this host, or by workers on others.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::measures::Tally;
use super::plan::{Command, Event, Plan, Report, View};
use crate::clock;
use crate::fleet::Usage;
use crate::fleet::clocks::Offset;
use crate::fleet::link::Link;
use crate::own_cluster::free_ports;
use crate::process::Process;
use hand::{Hand, Voice, Word, of_worker};

mod hand;

/// Descriptors of a fleet that one process is given; with those it needs itself it stays below the
/// 20,000 that some hosts allow.
pub(crate) const DESCRIPTORS_MAX: usize = 18_000;

/// Events of one process that may wait to be looked at.
const EVENTS_MAX: usize = 64;

/// How long a fleet that comes to life may say nothing.
const FOUNDING: Duration = Duration::from_secs(300);

/// Pause between two looks at what a fleet says that comes to life, and at whether it is still wanted.
const LOOK: Duration = Duration::from_millis(20);

/// How long workers may take to end their parts when they are told to.
const GOODBYE: Duration = Duration::from_secs(3);

/// How long its processes may take to say what they measured.
const REPORT: Duration = Duration::from_secs(60);

/// The same when one of them is gone and the run is lost anyway.
const REST: Duration = Duration::from_secs(5);

/// Why there is no fleet, or no word of it.
#[derive(Debug, thiserror::Error)]
pub enum CrewError {
    /// A process could not be started or told.
    #[error("a process of the fleet: {0}")]
    Io(#[from] io::Error),
    /// A process gave up.
    #[error("a process of the fleet: {0}")]
    Failed(String),
    /// A worker of a fleet could not be told, gave up, or is gone.
    #[error("worker {address}: {why}")]
    Worker {
        /// `host:port`, as it was given.
        address: String,
        /// What happened.
        why: String,
    },
    /// It took too long.
    #[error("{who} did not say in time {what}")]
    Silent {
        /// Which workers or processes.
        who: String,
        /// What they should have said.
        what: &'static str,
    },
    /// It was told to end before it lived.
    #[error("ended before the fleet lived; {who} had not yet said that it does")]
    Ended {
        /// Which workers or processes were still awaited.
        who: String,
    },
}

/// All processes of one fleet; dropping it ends them, and with them every broker.
#[derive(Debug)]
pub(crate) struct Crew {
    hands: Vec<Hand>,
    parts: Vec<Plan>,
    /// Requests that were due in each window, by process: what each has done of the whole.
    offered: Vec<BTreeMap<u64, u64>>,
    /// Whether its workers were told that it is over.
    is_dismissed: bool,
}

/// What is known of the worker that plays a part.
#[derive(Clone, Debug)]
pub(crate) struct Playing {
    pub(crate) address: String,
    /// By how much its clock is ahead, as it was before the start and as it is now.
    pub(crate) clock: (Option<Offset>, Option<Offset>),
    pub(crate) usage: Usage,
    /// Requests that were due, by window.
    pub(crate) offered: BTreeMap<u64, u64>,
}

impl Crew {
    /// Starts as many processes of `program` as the plan needs and waits until the fleet lives; the
    /// sets in the order of the plan. `progress` hears what happens meanwhile. It gives up as soon as `stop` is set.
    ///
    /// # Errors
    /// - [`CrewError`]: what the processes said, or that it was to end.
    pub(crate) fn start(
        program: &Path,
        plan: &Plan,
        stop: &AtomicBool,
        mut progress: impl FnMut(&str),
    ) -> Result<(Self, Vec<View>), CrewError> {
        let mut crew = Self::of(plan.split(&free_ports(Self::processes_for(plan))?));
        for part in &crew.parts {
            crew.hands.push(Hand::start(program, part)?);
        }
        let views = crew.found(stop, &mut progress)?;
        Ok((crew, views))
    }

    /// As [`Self::start`], with a part for each of these workers. Their clocks are measured when the fleet lives.
    ///
    /// # Errors
    /// - [`CrewError`]: what the workers said, or that it was to end.
    pub(crate) fn of_workers(
        links: Vec<Link>,
        plan: &Plan,
        stop: &AtomicBool,
        mut progress: impl FnMut(&str),
    ) -> Result<(Self, Vec<View>), CrewError> {
        // A worker chooses its port; here the numbers only make the parts differ.
        let numbers: Vec<u16> = (1..).take(links.len()).collect();
        let mut crew = Self::of(plan.split(&numbers));
        let begun = crew.employ(links, stop, &mut progress);
        if begun.is_err() {
            crew.dismiss().iter().for_each(|late| progress(late));
        }
        Ok((crew, begun?))
    }

    /// A crew of nobody yet. Whoever is taken belongs to it from then on: if the next one fails, the crew ends him, too.
    fn of(parts: Vec<Plan>) -> Self {
        let offered = vec![BTreeMap::new(); parts.len()];
        Self { hands: Vec::new(), parts, offered, is_dismissed: false }
    }

    /// Gives each worker its part, waits until all parts live, and measures the workers' clocks.
    fn employ(
        &mut self,
        links: Vec<Link>,
        stop: &AtomicBool,
        progress: &mut impl FnMut(&str),
    ) -> Result<Vec<View>, CrewError> {
        for (link, part) in links.into_iter().zip(&self.parts) {
            self.hands.push(Hand::of(link, part)?);
        }
        let views = self.found(stop, progress)?;
        for hand in &mut self.hands {
            let Voice::Worker(link) = &mut hand.voice else { continue };
            let Offset { ahead_ns, error_ns } =
                link.set_clock().map_err(|error| of_worker(link, error.to_string()))?;
            let (address, ahead_us, error_us) =
                (link.address(), ahead_ns / 1_000, error_ns / 1_000);
            progress(&format!("worker {address}: clock {ahead_us} us ahead, to {error_us} us"));
        }
        Ok(views)
    }

    /// Tells all workers that it is over and waits for their ends, so that nothing of this fleet is asked any more. Who
    /// has not ended within [`GOODBYE`], and what that may mean.
    pub(crate) fn dismiss(&mut self) -> Option<String> {
        if std::mem::replace(&mut self.is_dismissed, true) {
            return None;
        }
        for hand in &self.hands {
            if let Voice::Worker(link) = &hand.voice {
                link.hang_up();
            }
        }
        let began = clock::now();
        let is_late: Vec<bool> = self.hands.iter().map(|hand| !hand.ends(began)).collect();
        let (who, seconds) = (names(&self.hands, |number| is_late[number]), GOODBYE.as_secs());
        is_late.contains(&true).then(|| {
            format!("{who}: not ended within {seconds} s (GOODBYE): broker sets may be founded there after their removal")
        })
    }

    /// How many processes a plan needs, since each may have only so many descriptors.
    pub(crate) fn processes_for(plan: &Plan) -> usize {
        plan.descriptors().div_ceil(DESCRIPTORS_MAX).max(1)
    }

    /// Waits until all parts of the fleet live, or it is told to end.
    fn found(
        &mut self,
        stop: &AtomicBool,
        progress: &mut impl FnMut(&str),
    ) -> Result<Vec<View>, CrewError> {
        let processes = self.hands.len();
        let mut founded: Vec<Option<Vec<View>>> = vec![None; processes];
        let mut heard = clock::now();
        while founded.iter().any(Option::is_none) {
            // All are looked at in turn, those too that live by now, so that one that fails is heard while another is
            // awaited.
            for (number, (hand, founded)) in self.hands.iter().zip(&mut founded).enumerate() {
                let mut said = |text: &str| {
                    heard = clock::now();
                    progress(&format!("fleet process {} of {processes}: {text}", number + 1));
                };
                if let Some(views) = hand.founded(&mut said)? {
                    *founded = Some(views);
                }
            }
            let is_silent = clock::now().saturating_duration_since(heard) > FOUNDING;
            let is_ended = stop.load(Ordering::Acquire);
            if is_silent || is_ended {
                let who = names(&self.hands, |number| founded[number].is_none());
                let what = "that it lives";
                return Err(if is_ended {
                    CrewError::Ended { who }
                } else {
                    CrewError::Silent { who, what }
                });
            }
            thread::park_timeout(LOOK);
        }
        Ok(founded.into_iter().flatten().flatten().collect())
    }

    /// The processes of this host that play it.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let own = self.hands.iter().filter_map(|hand| match &hand.voice {
            Voice::Own { child, .. } => Some(Process { pid: child.id() }),
            Voice::Worker(_) => None,
        });
        own.collect()
    }

    /// The workers that play it, with their clocks as they are now.
    pub(crate) fn workers(&self) -> Vec<Playing> {
        let workers = self.hands.iter().zip(&self.offered).filter_map(|(hand, offered)| {
            let Voice::Worker(link) = &hand.voice else { return None };
            Some(Playing {
                address: link.address().to_owned(),
                clock: (link.offset(), link.measure_clock().ok()),
                usage: link.usage(),
                offered: offered.clone(),
            })
        });
        workers.collect()
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
        let began = clock::now();
        for (hand, _) in self.hands.iter().zip(told).filter(|(_, was_told)| *was_told) {
            if !hand.says(|event| matches!(event, Event::AllTold), began, patience)? {
                return Ok(false);
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

    /// Adds windows that are over in all processes since the last look to `whole`, each as soon as the last process
    /// gave it. `half_done` keeps the others for the next look.
    ///
    /// # Errors
    /// - [`CrewError`]: a process has ended; `whole` has what all had given before.
    pub(crate) fn windows(
        &mut self,
        half_done: &mut BTreeMap<u64, (usize, Tally)>,
        whole: &mut Vec<(u64, Tally)>,
    ) -> Result<(), CrewError> {
        let processes = self.hands.len();
        let mut looked = Ok(());
        for (hand, offered) in self.hands.iter().zip(&mut self.offered) {
            // No more can wait, so that one who talks on and on keeps nobody else from being heard.
            for _event in 0..EVENTS_MAX {
                let (number, tally) = match hand.next(Duration::ZERO) {
                    Ok(Some(Event::Window(number, tally))) => (number, tally),
                    Ok(Some(_)) => continue,
                    Ok(None) => break,
                    Err(error) => {
                        looked = looked.and(Err(error));
                        break;
                    }
                };
                *offered.entry(number).or_default() += tally.offered();
                let (given, all) = half_done.entry(number).or_default();
                *given += 1;
                all.add(&tally);
                if *given == processes {
                    whole.extend(half_done.remove(&number).map(|(_, tally)| (number, tally)));
                }
            }
        }
        looked
    }

    /// Adds what all processes have measured to `all`, each part as it comes: what some have said stays there if another
    /// one fails.
    ///
    /// # Errors
    /// - [`CrewError`]: a process has ended or does not answer; [`Self::rest`] hears those that were awaited besides.
    pub(crate) fn report(&mut self, all: &mut Report) -> Result<(), CrewError> {
        self.hands.iter_mut().try_for_each(Hand::ask)?;
        let began = clock::now();
        loop {
            for (hand, offered) in self.hands.iter_mut().zip(&mut self.offered) {
                hand.hear(offered, all)?;
            }
            if !self.awaits_word() {
                break;
            }
            if clock::now().saturating_duration_since(began) > REPORT {
                let who = names(&self.hands, |number| self.hands[number].word == Word::Asked);
                return Err(CrewError::Silent { who, what: "what it measured" });
            }
            thread::park_timeout(LOOK);
        }
        // They may be asked again, for what they measure next.
        self.hands.iter_mut().for_each(|hand| hand.word = Word::Unasked);
        Ok(())
    }

    /// What all processes have measured, or why not all have said it.
    ///
    /// # Errors
    /// - [`CrewError`]: as [`Self::report`].
    pub(crate) fn whole_report(&mut self) -> Result<Report, CrewError> {
        let mut all = Report::default();
        self.report(&mut all)?;
        Ok(all)
    }

    /// Adds what those say within [`REST`] who have not yet said what they measured, when another one is lost.
    pub(crate) fn rest(&mut self, all: &mut Report) {
        // Who cannot be asked or heard is gone, which is why this is called.
        self.hands.iter_mut().for_each(|hand| drop(hand.ask()));
        let began = clock::now();
        loop {
            for (hand, offered) in self.hands.iter_mut().zip(&mut self.offered) {
                drop(hand.hear(offered, all));
            }
            if !self.awaits_word() || clock::now().saturating_duration_since(began) > REST {
                return;
            }
            thread::park_timeout(LOOK);
        }
    }

    fn awaits_word(&self) -> bool {
        self.hands.iter().any(|hand| hand.word == Word::Asked)
    }
}

/// Those of the hands that are meant, for a person.
fn names(hands: &[Hand], is_meant: impl Fn(usize) -> bool) -> String {
    let processes = hands.len();
    let meant = hands.iter().enumerate().filter(|(number, _)| is_meant(*number));
    let mut names: Vec<String> = meant
        .map(|(number, hand)| match &hand.voice {
            Voice::Own { .. } => format!("fleet process {} of {processes}", number + 1),
            Voice::Worker(link) => format!("worker {}", link.address()),
        })
        .collect();
    // A worker may play several parts.
    names.dedup();
    names.join(", ")
}

impl Drop for Crew {
    /// Ends all workers' parts, unless that was done; nobody is left who could be told of one that does not end.
    fn drop(&mut self) {
        drop(self.dismiss());
    }
}

#[cfg(test)]
mod tests;

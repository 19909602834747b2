//! Everything that was asked and seen, with one clock: the history, a sample for every attempt, who was
//! master when, and what the controllers said of themselves.

use crate::clock;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use workload::history::{History, NOBODY, Operation, Outcome};

/// Operations that one run may record; then it ends early and says so.
pub(crate) const OPERATIONS_MAX: usize = 20_000_000;

/// What came of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Result {
    Ok,
    Refused,
    Unknown,
    /// Nothing was sent.
    Unreached,
}

/// One attempt of one actor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) client: u32,
    pub(crate) invoked: u64,
    pub(crate) ended: u64,
    pub(crate) result: Result,
    pub(crate) is_write: bool,
}

/// The first sight of a master in an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mastership {
    pub(crate) at: u64,
    pub(crate) set: Box<str>,
    pub(crate) epoch: i32,
    pub(crate) master: i64,
}

/// What one controller said of itself, or that it said nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) at: u64,
    pub(crate) node: usize,
    pub(crate) view: Option<View>,
}

/// A controller's view of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) is_leader: bool,
    pub(crate) leader: String,
    pub(crate) term: u64,
    pub(crate) applied: u64,
    /// Whether it serves and votes; of upstream's, whether it knows who leads.
    pub(crate) is_ready: bool,
    /// Who sits there: a controller that lost its disk comes back as another member.
    pub(crate) member: u64,
    pub(crate) hash: String,
}

#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) history: History,
    pub(crate) samples: Vec<Sample>,
    pub(crate) states: Vec<State>,
    /// In the order of their sight.
    pub(crate) masterships: Vec<Mastership>,
    /// When each broker's heartbeats left, by its address, whichever controller they went to.
    pub(crate) beats: BTreeMap<Ipv4Addr, Vec<u64>>,
    /// Two masters in one epoch, if that was ever seen.
    pub(crate) split: Vec<String>,
    known: BTreeMap<(Box<str>, i32), i64>,
    /// The newest sync-state set that anybody saw, by set, with its epoch.
    members: BTreeMap<Box<str>, (i32, Vec<i64>)>,
    latest: Vec<Option<View>>,
}

/// The recorder of a run, shared by all actors.
#[derive(Debug)]
pub(crate) struct Recorder {
    records: Mutex<Records>,
    history: Mutex<BufWriter<File>>,
    states: Mutex<BufWriter<File>>,
}

impl Recorder {
    /// Opens the files of a run, and writes the heading of the history. `is_complete`: whoever can change a broker set
    /// is recorded, which processes are not.
    pub(crate) fn create(
        folder: &Path,
        nodes: usize,
        (is_complete, origin): (bool, String),
    ) -> io::Result<Self> {
        let history = History { is_complete, origin, operations: Vec::new() };
        let open = |name| File::create(folder.join(name)).map(BufWriter::new);
        let mut file = open("history.jsonl")?;
        writeln!(file, "{}", history.heading())?;
        let latest = vec![None; nodes];
        let records = Records { history, latest, ..Records::default() };
        let states = Mutex::new(open("states.jsonl")?);
        Ok(Self { records: Mutex::new(records), history: Mutex::new(file), states })
    }

    /// Adds what became of one attempt at one or more operations.
    pub(crate) fn tell(&self, sample: Sample, operations: Vec<Operation>) {
        let mut lines = String::new();
        let mut records = self.lock();
        records.samples.push(sample);
        for operation in operations {
            lines.push_str(&operation.to_line());
            lines.push('\n');
            records.look(&operation, sample.ended);
            records.history.operations.push(operation);
        }
        drop(records);
        let mut file = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        // A full disk shows when the file is flushed at the end; the judges use what is in memory.
        drop(file.write_all(lines.as_bytes()));
    }

    /// Adds what a notice said about a master.
    pub(crate) fn notice(&self, set: &str, epoch: i32, master: i64) {
        self.lock().sight(set, epoch, master, clock::now());
    }

    /// Adds that a heartbeat of this broker left.
    pub(crate) fn beat(&self, from: Ipv4Addr) {
        self.lock().beats.entry(from).or_default().push(clock::now());
    }

    /// Adds what a controller said of itself.
    pub(crate) fn state(&self, state: State) {
        let line = match &state.view {
            Some(view) => format!(
                "{{\"at\":{},\"node\":{},\"role\":\"{}\",\"term\":{},\"applied\":{},\"hash\":\"{}\"}}",
                state.at,
                state.node,
                if view.is_leader { "leader" } else { "follower" },
                view.term,
                view.applied,
                view.hash
            ),
            None => format!("{{\"at\":{},\"node\":{},\"role\":null}}", state.at, state.node),
        };
        let mut records = self.lock();
        if let Some(latest) = records.latest.get_mut(state.node) {
            latest.clone_from(&state.view);
        }
        records.states.push(state);
        drop(records);
        let mut file = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        // As above.
        drop(writeln!(file, "{line}"));
    }

    /// What each controller said last.
    pub(crate) fn latest(&self) -> Vec<Option<View>> {
        self.lock().latest.clone()
    }

    /// The newest master that anybody saw of a set.
    pub(crate) fn master(&self, set: &str) -> Option<i64> {
        let records = self.lock();
        let of_set = records.known.range((Box::from(set), i32::MIN)..=(Box::from(set), i32::MAX));
        of_set.last().map(|(_, master)| *master)
    }

    /// The newest sync-state set that anybody saw of a set.
    pub(crate) fn members(&self, set: &str) -> Vec<i64> {
        self.lock().members.get(set).map(|(_, members)| members.clone()).unwrap_or_default()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.lock().history.operations.len() >= OPERATIONS_MAX
    }

    /// Writes out what is buffered.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner).flush()?;
        self.states.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Records {
    fn look(&mut self, operation: &Operation, at: u64) {
        let Some(seen) = operation.outcome.seen() else { return };
        if let (Some(epoch), Some(master)) = (seen.master_epoch, seen.master) {
            self.sight(&operation.set, epoch, master, at);
        }
        if let (Some(epoch), Some(members)) = (seen.set_epoch, &seen.sync_state_set) {
            let newest = self.members.entry(operation.set.clone()).or_default();
            if epoch >= newest.0 {
                *newest = (epoch, members.clone());
            }
        }
    }

    /// At most one master in one epoch of one set, for ever (rule C1).
    fn sight(&mut self, set: &str, epoch: i32, master: i64, at: u64) {
        if master == NOBODY {
            return;
        }
        match self.known.get(&(Box::from(set), epoch)) {
            Some(known) if *known != master => {
                self.split
                    .push(format!("set {set} has masters {known} and {master} in epoch {epoch}"));
            }
            Some(_) => {}
            None => {
                self.known.insert((Box::from(set), epoch), master);
                self.masterships.push(Mastership { at, set: Box::from(set), epoch, master });
            }
        }
    }
}

/// What a list of outcomes comes to.
pub(crate) fn result_of(outcomes: &[&Outcome]) -> Result {
    let one = |outcome: &&Outcome| match outcome {
        Outcome::Ok(_) | Outcome::TookEffect(_) => Result::Ok,
        Outcome::Refused { .. } | Outcome::Never => Result::Refused,
        Outcome::Unknown => Result::Unknown,
    };
    outcomes.iter().map(one).max().unwrap_or(Result::Ok)
}

#[cfg(test)]
mod tests {
    use super::Records;

    #[test]
    fn two_masters_in_one_epoch_are_noticed_and_repeats_are_not() {
        let mut records = Records::default();
        for (epoch, master) in [(1, 1), (1, 1), (2, 3), (2, -1), (1, 1)] {
            records.sight("a", epoch, master, 0);
        }
        assert_eq!((records.masterships.len(), records.split.len()), (2, 0));
        records.sight("b", 2, 1, 0);
        records.sight("a", 2, 1, 0);
        assert_eq!(records.split, ["set a has masters 3 and 1 in epoch 2"]);
    }
}

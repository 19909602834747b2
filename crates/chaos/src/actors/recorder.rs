//! Everything that was asked and seen, with one clock: the history, a sample for every attempt of a client, who was
//! master when, and what the controllers said of themselves.
//!
//! All of it is in memory, for the judges; each list has its limit in [`LIMITS`]. They are looked at between two faults, so
//! that a list may outgrow its limit by what one fault brings. `states.jsonl` holds every state; in memory is what changed.

use super::crew::BROKERS_FROM;
use super::operator;
use crate::clock;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use workload::history::{History, NOBODY, Operation, Outcome};

/// How much one run may record; then it ends early, and its verdict says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Requests of everybody, of some 250 bytes. Three broker sets ask 350 times a second, of which the operator a few: this
    /// is 16 hours, longer than one run should be. 80 sets ask 850 times and more: 6 hours.
    operations: usize,
    /// Attempts of clients, of 24 bytes. One may be at no operation, if nobody could be reached.
    samples: usize,
    /// Changes of a controller's role, of 32 bytes; each is looked at ten times a second.
    roles: usize,
    /// Heartbeats, of 8 bytes; each broker sends one a second to each controller. Beside 3 controllers 9 brokers need 4 days to
    /// fill it, those of 80 sets 4 hours.
    beats: usize,
    /// Epochs of all broker sets.
    masterships: usize,
}

/// Requests that one run may record if nobody wants fewer.
pub const OPERATIONS_MAX: usize = 20_000_000;

const LIMITS: Limits = Limits {
    operations: OPERATIONS_MAX,
    samples: 20_000_000,
    roles: 2_000_000,
    beats: 10_000_000,
    masterships: 1_000_000,
};

/// Epochs with two masters that are told; one is enough to fail.
const SPLIT_MAX: usize = 1_000;

/// Dead brokers without a clean that are told; one is enough to fail, too.
const UNBURIED_MAX: usize = 100;

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

impl Mastership {
    /// Whether the operator plays the brokers of that set.
    pub(crate) fn is_operated(&self) -> bool {
        self.set.starts_with(operator::SETS)
    }
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

/// What a controller is, as far as the page shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It says nothing.
    Silent,
    Leader {
        term: u64,
    },
    Follower {
        term: u64,
    },
    Unready {
        term: u64,
    },
}

/// Since when a controller has a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) at: u64,
    pub(crate) node: usize,
    pub(crate) role: Role,
}

#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) history: History,
    /// Of clients; nobody asks how long brokers waited.
    pub(crate) samples: Vec<Sample>,
    /// In the order of their sight; two of one controller in a row differ.
    pub(crate) turns: Vec<Turn>,
    /// In the order of their sight.
    pub(crate) masterships: Vec<Mastership>,
    /// When each broker's heartbeats left, by its address, whichever controller they went to.
    pub(crate) beats: BTreeMap<Ipv4Addr, Vec<u64>>,
    /// Two masters in one epoch, if that was ever seen.
    pub(crate) split: Vec<String>,
    /// Dead brokers of whom a clean was refused for too long.
    unburied: Vec<String>,
    known: BTreeMap<(Box<str>, i32), i64>,
    /// The newest sync-state set that anybody saw, by set, with its epoch.
    members: BTreeMap<Box<str>, (i32, Vec<i64>)>,
    latest: Vec<Option<View>>,
    /// The role of each controller, once it was looked at.
    roles: Vec<Option<Role>>,
}

/// The recorder of a run, shared by all actors.
#[derive(Debug)]
pub(crate) struct Recorder {
    records: Mutex<Records>,
    limits: Limits,
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
        let roles = vec![None; nodes];
        let records = Records { history, latest, roles, ..Records::default() };
        let states = Mutex::new(open("states.jsonl")?);
        let (records, history) = (Mutex::new(records), Mutex::new(file));
        Ok(Self { records, limits: LIMITS, history, states })
    }

    /// Sets how many operations there is room for.
    pub(crate) fn with_operations_max(mut self, most: usize) -> Self {
        self.limits.operations = most;
        self
    }

    /// Adds what became of one attempt at one or more operations.
    pub(crate) fn tell(&self, sample: Sample, operations: Vec<Operation>) {
        let mut lines = String::new();
        let mut records = self.lock();
        if sample.client < BROKERS_FROM {
            records.samples.push(sample);
        }
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
        records.show(&state);
        drop(records);
        let mut file = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        // As above.
        drop(writeln!(file, "{line}"));
    }

    /// What each controller said last.
    pub(crate) fn latest(&self) -> Vec<Option<View>> {
        self.lock().latest.clone()
    }

    /// Adds that a dead broker could not be cleaned.
    pub(crate) fn unburied(&self, what: String) {
        let mut records = self.lock();
        if records.unburied.len() < UNBURIED_MAX {
            records.unburied.push(what);
        }
    }

    /// Dead brokers that could not be cleaned, in words.
    pub(crate) fn all_unburied(&self) -> Vec<String> {
        self.lock().unburied.clone()
    }

    /// The controller that leads: of those who say so, the one with the largest term.
    pub(crate) fn leader(&self) -> Option<usize> {
        self.leader_in_term().map(|(_, node)| node)
    }

    /// The largest term of which anybody says that he leads in it, and who.
    pub(crate) fn leader_in_term(&self) -> Option<(u64, usize)> {
        let leads = |(node, view): (usize, Option<View>)| {
            let view = view.filter(|view| view.is_leader)?;
            Some((view.term, node))
        };
        self.latest().into_iter().enumerate().filter_map(leads).max()
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

    /// What there is no more room for, in words.
    pub(crate) fn full(&self) -> Option<String> {
        self.lock().full(&self.limits)
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
    fn full(&self, limits: &Limits) -> Option<String> {
        let beats = self.beats.values().map(Vec::len).sum();
        let lists = [
            ("operations", self.history.operations.len(), limits.operations),
            ("attempts of clients", self.samples.len(), limits.samples),
            ("changes of a role", self.turns.len(), limits.roles),
            ("heartbeats", beats, limits.beats),
            ("epochs", self.masterships.len(), limits.masterships),
        ];
        let over = lists.into_iter().find(|(_, count, most)| count >= most);
        over.map(|(what, _, most)| format!("{most} {what} are recorded, and no run records more"))
    }

    fn show(&mut self, state: &State) {
        let State { at, node, view } = state;
        if let Some(latest) = self.latest.get_mut(*node) {
            latest.clone_from(view);
        }
        let role = match view {
            None => Role::Silent,
            Some(view) if view.is_leader => Role::Leader { term: view.term },
            Some(view) if view.is_ready => Role::Follower { term: view.term },
            Some(view) => Role::Unready { term: view.term },
        };
        let before = self.roles.get_mut(*node).and_then(|known| known.replace(role));
        if before != Some(role) {
            self.turns.push(Turn { at: *at, node: *node, role });
        }
    }

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
                let text = format!("set {set} has masters {known} and {master} in epoch {epoch}");
                // Every answer of that epoch shows it again.
                if self.split.len() < SPLIT_MAX && !self.split.contains(&text) {
                    self.split.push(text);
                }
            }
            Some(_) => {}
            None => {
                self.known.insert((Box::from(set), epoch), master);
                self.masterships.push(Mastership { at, set: Box::from(set), epoch, master });
            }
        }
    }
}

/// Each change from one master to another: who it was, and the epoch that took it away; by broker set and epoch.
/// The operator's changes are not among them: it means to make them.
pub(crate) fn changes_of_master(masterships: &[Mastership]) -> Vec<(i64, &Mastership)> {
    let mut in_order: Vec<&Mastership> =
        masterships.iter().filter(|one| !one.is_operated()).collect();
    in_order.sort_by_key(|one| (&one.set, one.epoch));
    let pairs = in_order.windows(2).map(|pair| (pair[0], pair[1]));
    let changes = pairs.filter(|(old, new)| old.set == new.set && old.master != new.master);
    changes.map(|(old, new)| (old.master, new)).collect()
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
    use super::{BROKERS_FROM, LIMITS, Limits, Mastership, Records, Result as Ended, Role};
    use super::{Recorder, Sample, State, Turn, View};
    use std::net::Ipv4Addr;
    use workload::history::{Call, Operation, Outcome};

    #[test]
    fn two_masters_in_one_epoch_are_noticed_and_repeats_are_not() {
        let mut records = Records::default();
        for (epoch, master) in [(1, 1), (1, 1), (2, 3), (2, -1), (1, 1)] {
            records.sight("a", epoch, master, 0);
        }
        assert_eq!((records.masterships.len(), records.split.len()), (2, 0));
        records.sight("b", 2, 1, 0);
        for _ in 0..3 {
            records.sight("a", 2, 1, 0);
        }
        assert_eq!(records.split, ["set a has masters 3 and 1 in epoch 2"]);
    }

    #[test]
    fn of_what_controllers_say_the_changes_of_their_role_are_kept() {
        let mut records =
            Records { latest: vec![None; 2], roles: vec![None; 2], ..Records::default() };
        let view = |is_leader, term, applied| {
            Some(View { is_leader, is_ready: true, term, applied, ..View::default() })
        };
        let mut said = vec![(0, None), (0, None), (1, view(true, 1, 0))];
        said.extend((0..1_000).map(|applied| (1, view(true, 1, applied))));
        said.extend([(1, view(true, 2, 1_000)), (0, view(false, 2, 1_000)), (1, None)]);
        for (at, (node, view)) in said.into_iter().enumerate() {
            records.show(&State { at: at as u64, node, view });
        }
        let turn = |at, node, role| Turn { at, node, role };
        let turns = [
            turn(0, 0, Role::Silent),
            turn(2, 1, Role::Leader { term: 1 }),
            turn(1_003, 1, Role::Leader { term: 2 }),
            turn(1_004, 0, Role::Follower { term: 2 }),
            turn(1_005, 1, Role::Silent),
        ];
        assert_eq!(records.turns, turns);
        assert_eq!(records.latest[0].as_ref().map(|view| view.applied), Some(1_000));
        assert_eq!(records.latest[1], None);
    }

    #[test]
    fn attempts_of_brokers_are_operations_and_no_samples() {
        let folder =
            std::env::temp_dir().join(format!("pitchover-recorder-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let recorder = Recorder::create(&folder, 3, (true, String::new())).unwrap();
        for client in [0, BROKERS_FROM] {
            let (invoked, ended, result) = (1, 2, Ended::Unknown);
            recorder.tell(
                Sample { client, invoked, ended, result, is_write: true },
                vec![operation(client)],
            );
        }
        let records = recorder.lock();
        assert_eq!((records.history.operations.len(), records.samples.len()), (2, 1));
        std::fs::remove_dir_all(folder).unwrap();
    }

    fn operation(client: u32) -> Operation {
        Operation {
            client,
            peer: None,
            set: "a".into(),
            invoked: 1,
            finished: None,
            call: Call::Read,
            outcome: Outcome::Unknown,
        }
    }

    /// Adds one thing to one list.
    type Add = fn(&mut Records);

    #[test]
    fn each_list_that_is_full_is_named() {
        const FEW: Limits =
            Limits { operations: 2, samples: 2, roles: 2, beats: 2, masterships: 2 };
        let rows: [(Add, &str); 5] = [
            (|all| all.history.operations.push(operation(1)), "2 operations"),
            (
                |all| {
                    let result = Ended::Unreached;
                    all.samples.push(Sample {
                        client: 1,
                        invoked: 0,
                        ended: 0,
                        result,
                        is_write: true,
                    });
                },
                "2 attempts of clients",
            ),
            (
                |all| all.turns.push(Turn { at: 0, node: 0, role: Role::Silent }),
                "2 changes of a role",
            ),
            (
                |all| {
                    // Of two brokers: what counts is all of them together.
                    let [first, second] = [1, 2].map(|last| Ipv4Addr::new(10, 77, 1, last));
                    let from = if all.beats.is_empty() { first } else { second };
                    all.beats.entry(from).or_default().push(0);
                },
                "2 heartbeats",
            ),
            (
                |all| {
                    let set = "a".into();
                    all.masterships.push(Mastership { at: 0, set, epoch: 1, master: 1 });
                },
                "2 epochs",
            ),
        ];
        for (add, named) in rows {
            let mut records = Records::default();
            add(&mut records);
            assert_eq!(records.full(&FEW), None, "{named}");
            add(&mut records);
            let said = records.full(&FEW).unwrap();
            assert!(said.starts_with(named), "{said}");
            assert_eq!(records.full(&LIMITS), None, "{named}");
        }
    }

    #[test]
    fn what_the_limits_are_worth_in_bytes_is_what_they_say() {
        assert!(size_of::<Operation>() <= 256, "{}", size_of::<Operation>());
        assert!(size_of::<Sample>() <= 24, "{}", size_of::<Sample>());
        assert!(size_of::<Turn>() <= 32, "{}", size_of::<Turn>());
    }
}

//! What a journal must say, kept without a disk, and random scripts that drive both.

use std::collections::BTreeMap;

use bytes::Bytes;
use consensus::{
    Entry, EntryKind, HardState, LogIndex, Membership, PeerId, Persist, SnapshotDescriptor, Term,
};
use journal::{
    Disk, Founding, Identity, Journal, JournalError, MemoryDisk, OpenError, Options, Recovered,
    RecoveryNote,
};

pub(crate) const CLUSTER: u64 = 0xC1;
pub(crate) const ME: PeerId = PeerId(2);

/// Small segments, so that short scripts roll, recycle and outgrow them.
pub(crate) const SMALL: Options =
    Options { segment_bytes: 16 * 1024, first_segment_bytes: 8 * 1024, spares: 2, sync: true };

pub(crate) fn identity(state: Founding) -> Identity {
    let voters = vec![PeerId(1), ME, PeerId(3)];
    Identity { cluster: CLUSTER, peer: ME, state, voters }
}

pub(crate) fn open(disk: MemoryDisk) -> Result<(Journal<MemoryDisk>, Recovered), OpenError> {
    Journal::open(disk, CLUSTER, ME, SMALL)
}

/// A journal that is founded, in a new folder; the first value stays outside.
pub(crate) fn founded() -> (MemoryDisk, Journal<MemoryDisk>) {
    let disk = MemoryDisk::new();
    let (mut journal, _) = open(disk.handle()).expect("an empty folder opens");
    journal.write_identity(&identity(Founding::Founded)).expect("written");
    (disk, journal)
}

pub(crate) fn entry(index: u64, term: u64, bytes: usize) -> Entry {
    let fill = u8::try_from((index * 7 + term) % 251).expect("below 251");
    let kind = match bytes {
        0 => EntryKind::Empty,
        7 => EntryKind::Membership,
        _ => EntryKind::Commands,
    };
    let bytes = Bytes::from(vec![fill; bytes]);
    Entry { term: Term(term), index: LogIndex(index), kind, bytes }
}

pub(crate) fn hard_state(term: u64, vote: Option<u64>, commit: u64) -> HardState {
    HardState { term: Term(term), vote: vote.map(PeerId), commit: LogIndex(commit) }
}

/// A group with this hard state and these entries.
pub(crate) fn group(hard_state: HardState, entries: Vec<Entry>) -> Persist {
    let hard_state = Some(hard_state);
    Persist { number: 1, hard_state, entries, snapshot: None, must_sync: true }
}

pub(crate) fn descriptor(index: u64, term: u64, state: &[u8]) -> SnapshotDescriptor {
    SnapshotDescriptor {
        index: LogIndex(index),
        term: Term(term),
        membership: Membership::of_voters([PeerId(1), ME, PeerId(3)]),
        bytes: u64::try_from(state.len()).expect("fits"),
        checksum: u128::from(index) << 64 | u128::from(term),
    }
}

pub(crate) fn state_bytes(index: u64, term: u64) -> Bytes {
    Bytes::from(format!("state at {index} of term {term}").repeat(20))
}

/// splitmix64.
#[derive(Debug, Clone)]
pub(crate) struct Dice(pub u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }
}

/// One call of the journal.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    Identity(Founding),
    Write(Vec<Persist>),
    Save(SnapshotDescriptor, Bytes),
    Maintain,
    Reopen,
}

/// What the journal must say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Model {
    pub(crate) identity: Option<Identity>,
    pub(crate) hard_state: HardState,
    pub(crate) entries: BTreeMap<u64, Entry>,
    pub(crate) snapshot: Option<(SnapshotDescriptor, Bytes)>,
    fetched: Option<(SnapshotDescriptor, Bytes)>,
    riding: Option<HardState>,
}

impl Model {
    pub(crate) fn last(&self) -> u64 {
        let applied = self.applied();
        self.entries.keys().next_back().copied().unwrap_or(0).max(applied)
    }

    pub(crate) fn applied(&self) -> u64 {
        self.snapshot.as_ref().map_or(0, |(descriptor, _)| descriptor.index.0)
    }

    /// The term of an entry or of the snapshot.
    pub(crate) fn term_at(&self, index: u64) -> u64 {
        match (&self.snapshot, self.entries.get(&index)) {
            (_, Some(entry)) => entry.term.0,
            (Some((descriptor, _)), None) if descriptor.index.0 == index => descriptor.term.0,
            _ => 0,
        }
    }

    /// All states that a crash during this call may leave, the last one being its success.
    pub(crate) fn after(&self, call: &Call) -> Vec<Self> {
        let mut states = vec![self.clone()];
        let mut model = self.clone();
        match call {
            Call::Identity(state) => model.identity = Some(identity(*state)),
            Call::Write(groups) => {
                if groups.iter().all(|group| !group.must_sync) {
                    let newest = groups.iter().rev().find_map(|group| group.hard_state);
                    model.riding = newest.or(model.riding);
                } else {
                    for group in groups {
                        model.take(group);
                        states.push(model.clone());
                    }
                }
            }
            Call::Save(descriptor, bytes) => {
                let index = descriptor.index.0;
                let is_newer = index > model.applied();
                let is_ours = model.entries.get(&index).is_some_and(|e| e.term == descriptor.term);
                if is_newer && is_ours {
                    model.snapshot = Some((descriptor.clone(), bytes.clone()));
                } else if is_newer {
                    model.fetched = Some((descriptor.clone(), bytes.clone()));
                }
            }
            Call::Maintain => {}
            Call::Reopen => model.forget(),
        }
        states.push(model);
        states
    }

    /// What a process forgets when it ends.
    pub(crate) fn forget(&mut self) {
        self.riding = None;
        self.fetched = None;
    }

    /// The hard state as the peer knows it, durable or not.
    fn live(&self) -> HardState {
        self.riding.unwrap_or(self.hard_state)
    }

    fn take(&mut self, group: &Persist) {
        let riding = self.riding.take();
        if let Some(descriptor) = &group.snapshot {
            self.entries.clear();
            let fetched = self.fetched.take().expect("saved before");
            assert_eq!(&fetched.0, descriptor);
            self.snapshot = Some(fetched);
        }
        self.hard_state = group.hard_state.or(riding).unwrap_or(self.hard_state);
        if let Some(first) = group.entries.first() {
            self.entries.split_off(&first.index.0);
        }
        for entry in &group.entries {
            self.entries.insert(entry.index.0, entry.clone());
        }
    }

    /// What [`Journal::open`] must return, but for its notes.
    pub(crate) fn expected(&self) -> Recovered {
        let applied = self.applied();
        let commit = LogIndex(self.hard_state.commit.0.max(applied));
        Recovered {
            identity: self.identity.clone(),
            hard_state: HardState { commit, ..self.hard_state },
            snapshot: self.snapshot.clone(),
            entries: self.entries.range(applied + 1..).map(|(_, entry)| entry.clone()).collect(),
            notes: Vec::new(),
        }
    }

    /// Asserts that a start from an older snapshot, or from none, leads to the same state.
    pub(crate) fn assert_same_log(&self, recovered: &Recovered) {
        let expected = self.expected();
        let from = recovered.snapshot.as_ref().map_or(0, |(found, _)| found.index.0);
        assert!(from < self.applied(), "an older snapshot than {}, not {from}", self.applied());
        let entries: Vec<_> = self.entries.range(from + 1..).map(|(_, e)| e.clone()).collect();
        assert_eq!(recovered.entries, entries);
        assert_eq!(recovered.hard_state, expected.hard_state);
    }

    /// A call that a peer in this state may make.
    pub(crate) fn random_call(&self, dice: &mut Dice) -> Vec<Call> {
        let Some(identity) = &self.identity else {
            return vec![Call::Identity(Founding::Founding)];
        };
        if identity.state == Founding::Founding {
            return vec![Call::Identity(Founding::Founded)];
        }
        let commit = self.live().commit.0;
        match dice.below(20) {
            0..=1 if commit > self.applied() => {
                let index = dice.between(self.applied() + 1, commit);
                let term = self.term_at(index);
                let state = state_bytes(index, term);
                vec![Call::Save(descriptor(index, term, &state), state)]
            }
            2 => self.random_install(dice),
            3..=6 => vec![Call::Maintain],
            7 => vec![Call::Reopen],
            8 if commit < self.last() => {
                let new = HardState { commit: LogIndex(commit + 1), ..self.live() };
                vec![Call::Write(vec![Persist { must_sync: false, ..group(new, vec![]) }])]
            }
            _ => {
                let mut model = self.clone();
                let count = dice.between(1, 4);
                let mut groups = Vec::new();
                for _ in 0..count {
                    let group = model.random_group(dice);
                    model.take(&group);
                    groups.push(group);
                }
                vec![Call::Write(groups)]
            }
        }
    }

    fn random_group(&self, dice: &mut Dice) -> Persist {
        let mut term = self.live().term.0.max(1);
        let mut vote = self.live().vote.map(|peer| peer.0);
        if dice.below(5) == 0 {
            term += dice.between(1, 2);
            vote = (dice.below(2) == 0).then(|| dice.between(1, 3));
        }
        let floor = self.live().commit.0.max(self.applied());
        let is_conflict = dice.below(6) == 0 && self.last() > floor;
        let first =
            if is_conflict { dice.between(floor + 1, self.last()) } else { self.last() + 1 };
        let count = dice.below(5);
        let entries: Vec<_> = (first..first + count)
            .map(|index| {
                let sizes = [0, 1, 7, 8, 100, 700, 3000];
                let large = if dice.below(60) == 0 { 20_000 } else { 0 };
                let at = usize::try_from(dice.below(7)).expect("small");
                entry(index, term, sizes[at] + large)
            })
            .collect();
        let last = entries.last().map_or(self.last(), |entry| entry.index.0);
        let commit = self.live().commit.0.max(dice.between(floor, last.max(floor)));
        let has_state = dice.below(3) > 0 || term != self.live().term.0;
        let hard_state = has_state.then(|| hard_state(term, vote, commit));
        Persist { number: 1, hard_state, entries, snapshot: None, must_sync: true }
    }

    /// A snapshot of a later leader, and the group that installs it.
    fn random_install(&self, dice: &mut Dice) -> Vec<Call> {
        let term = self.live().term.0 + 1;
        let index = dice.between(self.live().commit.0.max(self.applied()) + 1, self.last() + 9);
        let state = state_bytes(index, term);
        let descriptor = descriptor(index, term, &state);
        let install = Persist {
            snapshot: Some(descriptor.clone()),
            ..group(hard_state(term, None, index), vec![])
        };
        vec![Call::Save(descriptor, state), Call::Write(vec![install])]
    }
}

/// A script: calls that follow from each other, and the states that each may leave.
pub(crate) fn script(model: &Model, seed: u64, calls: usize) -> Vec<Call> {
    let mut dice = Dice(seed);
    let mut model = model.clone();
    let mut script = Vec::new();
    while script.len() < calls {
        for call in model.random_call(&mut dice) {
            model = model.after(&call).pop().expect("one at least");
            script.push(call);
        }
    }
    script
}

/// Why a call did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    Open(OpenError),
    Journal(JournalError),
    /// A fault hit the reading of the newest snapshot; the one before it served.
    SnapshotUnread,
}

/// Does one call; a reopening checks what is found.
pub(crate) fn run(
    disk: &MemoryDisk,
    journal: Journal<MemoryDisk>,
    model: &Model,
    call: &Call,
) -> Result<Journal<MemoryDisk>, Failure> {
    let mut journal = journal;
    match call {
        Call::Identity(state) => journal.write_identity(&identity(*state)),
        Call::Write(groups) => journal.write(groups),
        Call::Save(descriptor, bytes) => journal.save_snapshot(descriptor, bytes),
        Call::Maintain => journal.maintain().map(|_upkeep| ()),
        Call::Reopen => {
            drop(journal);
            let (journal, recovered) = open(disk.handle()).map_err(Failure::Open)?;
            let is_unread =
                |note: &RecoveryNote| matches!(note, RecoveryNote::SnapshotUnusable { .. });
            if recovered.notes.iter().any(is_unread) {
                model.assert_same_log(&recovered);
                return Err(Failure::SnapshotUnread);
            }
            assert_eq!(without_notes(recovered), model.expected());
            return Ok(journal);
        }
    }
    .map_err(Failure::Journal)?;
    Ok(journal)
}

/// Does all calls, from an open journal on. Gives the state after the last one.
pub(crate) fn run_all(
    disk: &MemoryDisk,
    journal: Journal<MemoryDisk>,
    model: Model,
    script: &[Call],
) -> (Journal<MemoryDisk>, Model) {
    let (mut journal, mut model) = (journal, model);
    for call in script {
        journal = run(disk, journal, &model, call).expect("no fault is injected");
        model = model.after(call).pop().expect("one at least");
    }
    (journal, model)
}

pub(crate) fn without_notes(recovered: Recovered) -> Recovered {
    Recovered { notes: Vec::new(), ..recovered }
}

/// The names in a folder.
pub(crate) fn names(disk: &MemoryDisk) -> Vec<String> {
    disk.handle().list().expect("listed")
}

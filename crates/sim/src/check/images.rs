//! Logs and disks: what every controller asked its disk for, what is durable there, and what recovery made of it.
//!
//! R2 (log matching), R5 (one vote per term), R6 (commits are durable), R7 (terms and commits never go back). Entries are
//! compared by a *chain*: a hash of an entry and all before it. So one comparison at an index compares two whole logs.

use consensus::{Entry, EntryKind, HardState, PeerId, Persist};
use controller::Founding;
use journal::Recovered;
use std::collections::{BTreeMap, VecDeque};

/// A broken invariant, before the moment is known.
#[derive(Debug)]
pub(crate) struct Recovery {
    pub(crate) invariant: &'static str,
    pub(crate) text: String,
}

fn broken(invariant: &'static str, text: String) -> Recovery {
    Recovery { invariant, text }
}

/// One entry as some leader made it.
#[derive(Debug)]
struct Made {
    term: u64,
    chain: u64,
    entry: Entry,
}

/// Every entry that anybody ever wrote, by index.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    by_index: Vec<Vec<Made>>,
}

impl Entries {
    /// The chain up to the entry of this index and term; of nothing it is 0.
    pub(crate) fn chain(&self, index: u64, term: u64) -> Option<u64> {
        if index == 0 {
            return Some(0);
        }
        let made = self.by_index.get(usize::try_from(index - 1).ok()?)?;
        made.iter().find(|made| made.term == term).map(|made| made.chain)
    }

    /// The entry of a chain.
    pub(crate) fn entry(&self, index: u64, chain: u64) -> Option<&Entry> {
        let made = self.by_index.get(usize::try_from(index - 1).ok()?)?;
        made.iter().find(|made| made.chain == chain).map(|made| &made.entry)
    }

    /// Takes an entry that follows `before`; its chain. R2 if an entry of its index and term was another.
    fn add(&mut self, before: u64, entry: &Entry) -> Result<u64, Recovery> {
        let kind = match entry.kind {
            EntryKind::Empty => 1,
            EntryKind::Commands => 2,
            EntryKind::Membership => 3,
        };
        let (term, index) = (entry.term.0, entry.index.0);
        let chain = mix(mix(mix(before, term), kind), hash(&entry.bytes));
        let place = usize::try_from(index - 1).unwrap_or(usize::MAX);
        while self.by_index.len() <= place {
            self.by_index.push(Vec::new());
        }
        let made = &mut self.by_index[place];
        match made.iter().find(|made| made.term == term) {
            Some(known) if known.chain != chain => {
                let text = format!("two logs differ at index {index}, term {term}");
                Err(broken("R2", text))
            }
            Some(_) => Ok(chain),
            None => {
                made.push(Made { term, chain, entry: entry.clone() });
                Ok(chain)
            }
        }
    }
}

/// One log, seen from outside.
#[derive(Debug, Clone, Default)]
struct View {
    hard_state: HardState,
    /// Index and chain of the entry before the first.
    base: (u64, u64),
    /// Term and chain of each entry after `base`.
    entries: VecDeque<(u64, u64)>,
}

impl View {
    fn last(&self) -> u64 {
        self.base.0 + self.entries.len() as u64
    }

    /// The chain at an index, `None` if it is not there or covered by a snapshot.
    fn chain(&self, index: u64) -> Option<u64> {
        if index == self.base.0 {
            return Some(self.base.1);
        }
        let place = usize::try_from(index.checked_sub(self.base.0 + 1)?).ok()?;
        self.entries.get(place).map(|(_, chain)| *chain)
    }

    fn holds(&self, index: u64, chain: u64) -> bool {
        index < self.base.0 || self.chain(index) == Some(chain)
    }

    fn apply(&mut self, group: &Persist, known: &mut Entries) -> Result<(), Recovery> {
        if let Some(snapshot) = &group.snapshot {
            let (index, term) = (snapshot.index.0, snapshot.term.0);
            let Some(chain) = known.chain(index, term) else {
                let text = format!("a snapshot at {index} of term {term}, which nobody wrote");
                return Err(broken("R4", text));
            };
            self.base = (index, chain);
            self.entries.clear();
        }
        for entry in &group.entries {
            let keep = usize::try_from(entry.index.0.saturating_sub(self.base.0 + 1)).unwrap_or(0);
            self.entries.truncate(keep);
            let Some(before) = self.chain(entry.index.0 - 1) else {
                let text = format!("entry {} leaves a gap after {}", entry.index, self.last());
                return Err(broken("R4", text));
            };
            let chain = known.add(before, entry)?;
            self.entries.push_back((entry.term.0, chain));
        }
        if let Some(new) = group.hard_state {
            self.hard_state = new;
        }
        Ok(())
    }
}

/// What one controller asked for, and what is durable.
#[derive(Debug, Default)]
pub(crate) struct Image {
    asked: View,
    durable: View,
    /// Asked for and not durable yet.
    pending: VecDeque<Persist>,
    /// A commit index that waits for the next group.
    riding: Option<HardState>,
    pub(crate) identity: Option<Founding>,
    /// R5: the vote of each term, for ever.
    votes: BTreeMap<u64, PeerId>,
}

/// What a group did to a log.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked {
    pub(crate) has_cut: bool,
}

impl Image {
    /// The controller asks for a group. `leads` says whether it is the leader of a term.
    pub(crate) fn asks(
        &mut self,
        group: &Persist,
        known: &mut Entries,
        leads: impl Fn(u64) -> bool,
    ) -> Result<Asked, Recovery> {
        let old = self.asked.hard_state;
        let has_cut = group.entries.first().is_some_and(|it| it.index.0 <= self.asked.last());
        self.asked.apply(group, known)?;
        let new = self.asked.hard_state;
        let text = || format!("{old:?} is followed by {new:?}");
        if new.term < old.term || new.commit < old.commit {
            return Err(broken("R7", text()));
        }
        if new.term == old.term && old.vote.is_some() && new.vote != old.vote {
            return Err(broken("R5", text()));
        }
        if new.commit.0 > self.asked.last() {
            let text =
                format!("commit {} is above the last entry {}", new.commit, self.asked.last());
            return Err(broken("R7", text));
        }
        if has_cut && leads(new.term.0) {
            let text = format!("the leader of term {} cuts its own log", new.term);
            return Err(broken("R2", text));
        }
        self.pending.push_back(group.clone());
        Ok(Asked { has_cut })
    }

    /// The oldest group that was asked for is durable now. Returns whether the term moved on meanwhile.
    pub(crate) fn is_durable(&mut self, known: &mut Entries) -> Result<bool, Recovery> {
        let Some(mut group) = self.pending.pop_front() else {
            return Err(broken("R6", "a group is durable that nobody asked for".to_owned()));
        };
        let old = self.durable.hard_state;
        let is_commit_alone = !group.must_sync
            && group.entries.is_empty()
            && group.snapshot.is_none()
            && group.hard_state.is_none_or(|new| (new.term, new.vote) == (old.term, old.vote));
        if is_commit_alone {
            self.riding = group.hard_state.or(self.riding);
            return Ok(false);
        }
        let riding = self.riding.take();
        group.hard_state = group.hard_state.or(riding);
        self.durable.apply(&group, known)?;
        self.voted()?;
        Ok(self.durable.hard_state.term < self.asked.hard_state.term)
    }

    fn voted(&mut self) -> Result<(), Recovery> {
        let HardState { term, vote, .. } = self.durable.hard_state;
        let Some(vote) = vote else { return Ok(()) };
        let first = *self.votes.entry(term.0).or_insert(vote);
        if first == vote {
            return Ok(());
        }
        Err(broken("R5", format!("in term {term} first {first}, then {vote} has the vote")))
    }

    /// Term and vote that are durable.
    pub(crate) fn vote(&self) -> (u64, Option<PeerId>) {
        (self.durable.hard_state.term.0, self.durable.hard_state.vote)
    }

    /// Who has the vote of a term, if that is durable or ever was.
    pub(crate) fn vote_in(&self, term: u64) -> Option<PeerId> {
        self.votes.get(&term).copied()
    }

    /// The last entry that is durable.
    pub(crate) fn durable_last(&self) -> u64 {
        self.durable.last()
    }

    /// Whether this entry and all before it are durable.
    pub(crate) fn holds(&self, index: u64, chain: u64) -> bool {
        self.durable.holds(index, chain)
    }

    /// The chain of this controller's log at an index; `None` if a snapshot covers it or it is not there.
    pub(crate) fn chain(&self, index: u64) -> Option<u64> {
        self.asked.chain(index)
    }

    /// Whether this controller's log has this entry, or has it in a snapshot.
    pub(crate) fn has(&self, index: u64, chain: u64) -> bool {
        self.asked.holds(index, chain)
    }

    /// A start: what recovery found must be what was durable, and then perhaps some of what was asked for, in order.
    /// Returns how many groups that were asked for are gone.
    pub(crate) fn recovered(
        &mut self,
        recovered: &Recovered,
        is_rotten: bool,
        known: &mut Entries,
    ) -> Result<usize, Recovery> {
        if recovered.identity.is_none() {
            if self.identity == Some(Founding::Founded) {
                let text = "a founded journal is empty after a restart".to_owned();
                return Err(broken("R6", text));
            }
            self.forget_process();
            return Ok(0);
        }
        let found = Self::view_of(recovered, known)?;
        let mut candidate = self.durable.clone();
        let mut riding = self.riding;
        let mut pending = std::mem::take(&mut self.pending);
        let durable = (self.durable.last(), self.durable.hard_state);
        while !Self::is_same(&candidate, &found) {
            let Some(mut group) = pending.pop_front() else {
                let found = (found.last(), found.hard_state);
                let why =
                    if is_rotten { "damage was taken for an end" } else { "lost or invented" };
                let text = format!("{why}: durable were {durable:?}, recovery found {found:?}");
                return Err(broken("R6", text));
            };
            let old = candidate.hard_state;
            let is_riding =
                !group.must_sync && group.entries.is_empty() && group.snapshot.is_none();
            if is_riding
                && group.hard_state.is_none_or(|new| (new.term, new.vote) == (old.term, old.vote))
            {
                riding = group.hard_state.or(riding);
                continue;
            }
            group.hard_state = group.hard_state.or(riding.take());
            candidate.apply(&group, known)?;
        }
        if found.hard_state.commit < candidate.hard_state.commit {
            let text = format!("{:?} is found after {:?}", found.hard_state, candidate.hard_state);
            return Err(broken("R7", text));
        }
        self.asked = found.clone();
        self.durable = found;
        self.forget_process();
        self.voted().map(|()| pending.len())
    }

    /// The disk is another one, and empty. What was voted stays in mind, and what was on the old one is returned.
    pub(crate) fn forget_disk(&mut self) -> Self {
        let votes = self.votes.clone();
        std::mem::replace(self, Self { votes, ..Self::default() })
    }

    /// Another member votes now.
    pub(crate) fn forget_votes(&mut self) {
        self.votes = Default::default();
    }

    fn forget_process(&mut self) {
        self.pending.clear();
        self.riding = None;
        if self.identity.is_none() {
            self.asked = self.durable.clone();
        }
    }

    /// Equal logs, terms and votes; snapshots may cover more or less.
    fn is_same(one: &View, found: &View) -> bool {
        let (a, b) = (one.hard_state, found.hard_state);
        (a.term, a.vote) == (b.term, b.vote)
            && one.last() == found.last()
            && one.chain(one.last()) == found.chain(found.last())
    }

    /// What recovery found, as a view; R2 if its entries are none that anybody wrote.
    pub(crate) fn compare(
        &self,
        recovered: &Recovered,
        known: &mut Entries,
    ) -> Result<(), Recovery> {
        let found = Self::view_of(recovered, known)?;
        let durable = &self.durable;
        let (a, b) = (durable.hard_state, found.hard_state);
        let is_whole = found.last() >= durable.last()
            && found
                .chain(durable.last())
                .is_none_or(|it| Some(it) == durable.chain(durable.last()))
            && b.term >= a.term
            && b.commit >= a.commit;
        if is_whole {
            return Ok(());
        }
        let text = format!(
            "the bytes on the disk hold entries up to {} and {b:?}, durable should be {} and {a:?}",
            found.last(),
            durable.last()
        );
        Err(broken("R6", text))
    }

    fn view_of(recovered: &Recovered, known: &mut Entries) -> Result<View, Recovery> {
        let snapshot = recovered.snapshot.as_ref().map(|(snapshot, _)| snapshot);
        let (index, term) = snapshot.map_or((0, 0), |it| (it.index.0, it.term.0));
        let Some(chain) = known.chain(index, term) else {
            let text = format!("a snapshot at {index} of term {term}, which nobody wrote");
            return Err(broken("R4", text));
        };
        let mut found =
            View { hard_state: recovered.hard_state, base: (index, chain), ..View::default() };
        for entry in &recovered.entries {
            let Some(before) = found.chain(entry.index.0 - 1) else {
                let text = format!("entry {} leaves a gap after {}", entry.index, found.last());
                return Err(broken("R4", text));
            };
            if known.chain(entry.index.0, entry.term.0).is_none() {
                let text =
                    format!("entry {} of term {} was never written", entry.index, entry.term);
                return Err(broken("R4", text));
            }
            let chain = known.add(before, entry)?;
            found.entries.push_back((entry.term.0, chain));
        }
        Ok(found)
    }
}

pub(crate) fn mix(hash: u64, word: u64) -> u64 {
    let mixed = (hash ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^ (mixed >> 29)
}

/// A quick hash of bytes, eight at a time; nobody chooses them to collide.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let word = chunk.try_into().map_or(0, u64::from_le_bytes);
        hash = mix(hash, word);
    }
    let rest = chunks.remainder().iter().fold(0, |rest, &byte| rest << 8 | u64::from(byte));
    mix(hash, rest)
}

//! The one true log: every committed entry in order, what it did, and what must hold of that.
//!
//! Every entry is applied here once, by the real rules, beside checks that know nothing of those rules but the promises:
//! C1 to C9, C11 to C13. Controllers are compared with it by hash.

use super::content::{Content, Shown, Wanted, content_of_command, shown_by_result};
use super::images::mix;
use crate::sometimes::Sometimes;
use consensus::{Entry, EntryKind};
use replicas::{
    AlterSyncStateSet, BrokerId, BrokerSet, Command, ElectMaster, Outcome, Rejection, Replicas,
};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// After so many commands the shadow begins anew from a snapshot (C12).
const SHADOW_COMMANDS: u64 = 1_000;

/// A broken invariant and what is wrong.
pub(crate) type Broken = (&'static str, String);

/// What 1004 shows of a version: the master, and the sync-state set.
pub(crate) type Content1004 = (Option<i64>, Vec<i64>);

/// One command of the log that somebody asked for, and what it gave.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) index: u64,
    pub(crate) wanted: Wanted,
    pub(crate) shown: Shown,
}

/// An election that took the mastership from somebody, or gave it.
#[derive(Debug, Clone)]
pub(crate) struct Election {
    pub(crate) set: String,
    pub(crate) previous: Option<i64>,
    pub(crate) master: Option<i64>,
    /// An operator asked for it.
    pub(crate) is_designated: bool,
    /// The term of its entry.
    pub(crate) term: u64,
}

/// What is promised of one broker set, for ever.
#[derive(Debug, Default)]
struct History {
    /// C1: the master of each master epoch.
    masters: BTreeMap<i32, i64>,
    /// C3: the sync-state set of each set epoch.
    sets: BTreeMap<i32, Vec<i64>>,
    /// Every version that ever was, with what 1004 shows of it.
    versions: BTreeMap<(i32, i32), Content1004>,
    /// C7: who took each id.
    ids: BTreeMap<i64, String>,
    next_id: i64,
    /// What 1012 shows from an entry on.
    next_ids: Vec<(u64, i64)>,
    newest: (i32, i32),
    decided: Vec<Decided>,
}

/// The committed log and the state that it makes.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Term and chain of each entry; index 1 comes first.
    pub(crate) entries: Vec<(u64, u64)>,
    /// The state's hash after each entry.
    pub(crate) hashes: Vec<u128>,
    pub(crate) state: Replicas,
    shadow: Replicas,
    pub(crate) commands: u64,
    histories: BTreeMap<String, History>,
    /// K3: how often each content was asked for, less what was refused; and how often it was committed.
    asked: BTreeMap<Content, (i64, i64)>,
    /// Elections of the newest entries, until somebody takes them.
    pub(crate) elections: Vec<Election>,
}

impl Ledger {
    pub(crate) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(crate) fn chain(&self, index: u64) -> Option<u64> {
        let place = usize::try_from(index.checked_sub(1)?).ok()?;
        self.entries.get(place).map(|(_, chain)| *chain)
    }

    /// The hash of the state after an entry.
    pub(crate) fn hash(&self, index: u64) -> u128 {
        let place = usize::try_from(index).unwrap_or(0);
        if place == 0 { Replicas::new().state_hash() } else { self.hashes[place - 1] }
    }

    /// Somebody asks for this; `count` is negative if it turned out that it was not taken.
    pub(crate) fn asks(&mut self, content: &Content, count: i64) -> Result<(), Broken> {
        if (Wanted::Elect { id: BrokerId::NOBODY.0, is_designated: false }) == content.wanted {
            // Controllers ask for the same on their own.
            return Ok(());
        }
        let (asked, committed) = self.asked.entry(content.clone()).or_default();
        *asked += count;
        if *committed > *asked {
            let text = format!("{content:?} is in the log {committed} times, and was refused");
            return Err(("K4", text));
        }
        Ok(())
    }

    /// The next committed entry.
    pub(crate) fn commit(
        &mut self,
        (entry, chain): (&Entry, u64),
        sometimes: &mut Sometimes,
    ) -> Result<(), Broken> {
        self.entries.push((entry.term.0, chain));
        match entry.kind {
            EntryKind::Empty | EntryKind::Membership => {}
            EntryKind::Commands => {
                let mut count = 0;
                for bytes in consensus::frame::split(&entry.bytes) {
                    count += 1;
                    let command = Command::decode(&bytes).map_err(|error| {
                        ("R4", format!("the entry at {} cannot be read: {error}", entry.index))
                    })?;
                    self.apply(entry.index.0, &command, sometimes)?;
                }
                if count >= consensus::settings::FRAME_COMMANDS_MAX {
                    sometimes.hit("frame_cap_reached");
                }
            }
        }
        self.hashes.push(self.state.state_hash());
        Ok(())
    }

    fn apply(
        &mut self,
        index: u64,
        command: &Command,
        sometimes: &mut Sometimes,
    ) -> Result<(), Broken> {
        self.commands += 1;
        let name = command.set();
        let before = self.state.broker_set(name).cloned();
        let floor = self.state.tombstone(name).copied();
        let hash = self.state.state_hash();
        let result = self.state.apply(command);
        self.follow_shadow(command)?;
        let after = self.state.broker_set(name);
        if result.is_err() && self.state.state_hash() != hash {
            return Err(("C13", format!("{command:?} is refused and changes {name}")));
        }
        let history = self.histories.entry(name.to_owned()).or_default();
        let is_own = is_own_election(command);
        let is_designated = matches!(command, Command::ElectMaster(it) if it.designate);
        let term = self.entries.last().map_or(0, |(term, _)| *term);
        if let Some(content) = content_of_command(command) {
            history.decided.push(Decided {
                index,
                wanted: content.wanted.clone(),
                shown: shown_by_result(&result),
            });
            let (asked, committed) = self.asked.entry(content).or_default();
            *committed += 1;
            if *committed > *asked && !is_own {
                let text =
                    format!("{command:?} is in the log {committed} times, asked {asked} times");
                return Err(("K3", text));
            }
        }
        judge(command, before.as_ref(), &result)
            .map_err(|(id, why)| (id, format!("{why}: {command:?}")))?;
        note(command, before.as_ref(), &result, sometimes);
        match &result {
            Ok(Outcome::MasterElected { master, previous, .. }) => self.elections.push(Election {
                set: name.to_owned(),
                previous: previous.map(|id| id.0),
                master: Some(master.id.0),
                is_designated,
                term,
            }),
            Ok(Outcome::NoMaster { taken_away: Some(id), .. }) => self.elections.push(Election {
                set: name.to_owned(),
                previous: Some(id.0),
                master: None,
                is_designated,
                term,
            }),
            Ok(_) | Err(_) => {}
        }
        if let (None, Some(floor), Some(_)) = (&before, floor, after) {
            sometimes.hit("recreated_above_floor");
            let least = (floor.master_epoch().0, floor.set_epoch().0);
            let now = after.map_or((0, 0), |set| (set.master_epoch().0, set.set_epoch().0));
            if now.0 < least.0 || now.1 < least.1 {
                return Err(("C9", format!("{name} begins at {now:?} below its floor {least:?}")));
            }
        }
        granted(command, after, &result)?;
        let grave = self.state.tombstone(name);
        let next = after.map(BrokerSet::next_id).or(grave.map(replicas::Tombstone::next_id));
        let next = next.map_or(BrokerId::FIRST.0, |id| id.0);
        if history.next_ids.last().map_or(BrokerId::FIRST.0, |(_, id)| *id) != next {
            history.next_ids.push((index, next));
        }
        match after {
            Some(after) => history.follow(name, before.as_ref(), after),
            None => history.follow_grave(name, self.state.tombstone(name), before.is_some()),
        }
    }

    /// C12: a state restored from a snapshot goes on like the one that it was taken of.
    fn follow_shadow(&mut self, command: &Command) -> Result<(), Broken> {
        let _same = self.shadow.apply(command);
        if self.shadow.state_hash() != self.state.state_hash() {
            let text = format!("restored from a snapshot, {command:?} gives another state");
            return Err(("C12", text));
        }
        if self.commands.is_multiple_of(SHADOW_COMMANDS) {
            let bytes = self.state.snapshot();
            self.shadow = Replicas::restore(&bytes)
                .map_err(|error| ("C12", format!("a snapshot cannot be read: {error}")))?;
            if self.shadow.state_hash() != self.state.state_hash()
                || self.shadow.snapshot() != bytes
            {
                return Err(("C12", "a restored snapshot is another state".to_owned()));
            }
        }
        Ok(())
    }

    /// C1: somebody shows a master of an epoch.
    pub(crate) fn master_shown(&self, set: &str, epoch: i32, master: i64) -> Result<(), Broken> {
        let known = self.histories.get(set).and_then(|history| history.masters.get(&epoch));
        match known {
            Some(&known) if known == master => Ok(()),
            Some(known) => {
                Err(("C1", format!("{set} has masters {known} and {master} in epoch {epoch}")))
            }
            None => Err((
                "C1",
                format!("{set} shows master {master} of epoch {epoch}, which is not in the log"),
            )),
        }
    }

    /// Whether 1012 may show this id after some entry from `first` to `last`.
    pub(crate) fn is_next_id(&self, set: &str, (first, last): (u64, u64), id: i64) -> bool {
        let known = self.histories.get(set).map_or(&[][..], |history| &history.next_ids);
        let before = known.iter().rfind(|(index, _)| *index <= first);
        let then = before.map_or(BrokerId::FIRST.0, |(_, id)| *id) == id;
        then || known.iter().any(|it| it.1 == id && (first..=last).contains(&it.0))
    }

    /// What a version of a broker set shows; `None` if it never was committed.
    pub(crate) fn version(&self, set: &str, version: (i32, i32)) -> Option<&Content1004> {
        self.histories.get(set)?.versions.get(&version)
    }

    /// What was decided of this content after an index.
    pub(crate) fn decided<'a>(
        &'a self,
        content: &'a Content,
        after: u64,
    ) -> impl Iterator<Item = &'a Decided> {
        let decided = self.histories.get(&content.set).map_or(&[][..], |history| &history.decided);
        let decided = decided.iter().rev().take_while(move |decided| decided.index > after);
        decided.filter(|decided| decided.wanted == content.wanted)
    }
}

impl History {
    /// C1, C2, C3, C6, C7 of a broker set that is known.
    fn follow(
        &mut self,
        name: &str,
        before: Option<&BrokerSet>,
        after: &BrokerSet,
    ) -> Result<(), Broken> {
        let version = (after.master_epoch().0, after.set_epoch().0);
        let members: Vec<i64> = after.sync_state_set().iter().map(|id| id.0).collect();
        let master = after.master().map(|id| id.0);
        if let Some(before) = before {
            let old = (before.master_epoch().0, before.set_epoch().0);
            let has_moved = before.master() != after.master();
            let rise = version.0 - old.0;
            if rise != i32::from(has_moved) {
                let text =
                    format!("{name}: {old:?} becomes {version:?}, master changed: {has_moved}");
                return Err(("C2", text));
            }
            let has_changed = before.sync_state_set() != after.sync_state_set();
            let rise = version.1 - old.1;
            if !(0..=1).contains(&rise) || has_changed && rise != 1 {
                let text =
                    format!("{name}: {old:?} becomes {version:?}, set changed: {has_changed}");
                return Err(("C3", text));
            }
        } else if version.0 < self.newest.0 || version.1 < self.newest.1 {
            return Err((
                "C9",
                format!("{name} begins again at {version:?} after {:?}", self.newest),
            ));
        }
        self.newest = version;
        if let Some(master) = master {
            let known = *self.masters.entry(version.0).or_insert(master);
            if known != master {
                let text =
                    format!("{name} has masters {known} and {master} in epoch {}", version.0);
                return Err(("C1", text));
            }
            if !members.contains(&master) {
                return Err(("C6", format!("{name}: master {master} is not in {members:?}")));
            }
        }
        let known = self.sets.entry(version.1).or_insert_with(|| members.clone());
        if *known != members {
            return Err((
                "C3",
                format!("{name}: epoch {} is {known:?} and {members:?}", version.1),
            ));
        }
        let unregistered = after.sync_state_set().iter().find(|id| after.replica(**id).is_none());
        if let Some(id) = unregistered {
            return Err(("C6", format!("{name}: {id} is in the set and not registered")));
        }
        self.versions.entry(version).or_insert((master, members));
        self.follow_ids(name, after)
    }

    fn follow_ids(&mut self, name: &str, after: &BrokerSet) -> Result<(), Broken> {
        let next = after.next_id().0;
        if next < self.next_id {
            return Err((
                "C7",
                format!("{name}: the next id falls from {} to {next}", self.next_id),
            ));
        }
        self.next_id = next;
        for replica in after.replicas() {
            if replica.id.0 >= next {
                return Err(("C7", format!("{name}: id {} is not below {next}", replica.id)));
            }
            let code = replica.check_code.to_string();
            let known = self.ids.entry(replica.id.0).or_insert_with(|| code.clone());
            if *known != code {
                let text = format!("{name}: id {} is given to {known} and to {code}", replica.id);
                return Err(("C7", text));
            }
        }
        Ok(())
    }

    fn follow_grave(
        &mut self,
        name: &str,
        grave: Option<&replicas::Tombstone>,
        is_new: bool,
    ) -> Result<(), Broken> {
        let Some(grave) = grave else { return Ok(()) };
        let floor = (grave.master_epoch().0, grave.set_epoch().0);
        let least = (self.newest.0 + i32::from(is_new), self.newest.1 + i32::from(is_new));
        if floor.0 < least.0 || floor.1 < least.1 {
            return Err(("C9", format!("{name} leaves {floor:?} where {least:?} is the least")));
        }
        if grave.next_id().0 < self.next_id {
            return Err(("C7", format!("{name}: the next id falls to {}", grave.next_id())));
        }
        self.newest = floor;
        self.next_id = grave.next_id().0;
        Ok(())
    }
}

fn is_own_election(command: &Command) -> bool {
    match command {
        Command::ElectMaster(it) => it.broker.unwrap_or(BrokerId::NOBODY) == BrokerId::NOBODY,
        Command::ApplyBrokerId(_)
        | Command::RegisterBroker(_)
        | Command::AlterSyncStateSet(_)
        | Command::CleanBrokerData(_) => false,
    }
}

/// C5, C6, C8, C13: whether what was done was allowed, from the command and the state before it.
fn judge(
    command: &Command,
    before: Option<&BrokerSet>,
    result: &Result<Outcome, Rejection>,
) -> Result<(), Broken> {
    match (command, before, result) {
        (Command::ElectMaster(it), Some(set), Ok(Outcome::MasterElected { master, .. })) => {
            let is_known = set.replica(master.id).is_some();
            let stands = if set.was_elected() { set.is_in_sync(master.id) } else { is_known };
            let is_allowed = stands || it.unclean && is_known;
            let asked = it.broker.filter(|id| *id == master.id && !it.designate);
            let is_alive = it.evidence.is_alive(master.id) || asked.is_some();
            if !is_allowed {
                return Err(("C5", format!("{} is elected and may not be", master.id)));
            }
            if !is_alive {
                return Err(("C5", format!("{} is elected and was not alive", master.id)));
            }
            if it.policy.never.contains(&master.id) && !it.designate {
                return Err(("C5", format!("{} is elected and is never to be", master.id)));
            }
            further(it, set, master.id)
        }
        (Command::AlterSyncStateSet(it), Some(set), Ok(_)) => altered(it, set),
        (Command::ElectMaster(it), Some(set), Err(Rejection::ElectionFailed))
        | (Command::ElectMaster(it), Some(set), Ok(Outcome::NoMaster { .. })) => {
            let is_free = !it.designate && set.was_elected();
            let stands = |id: &BrokerId| set.is_in_sync(*id) && !it.policy.never.contains(id);
            let mut alive = it.evidence.alive().iter().map(|alive| alive.id);
            match alive.find(|id| is_free && stands(id)) {
                Some(id) => Err(("C5", format!("nobody is elected, though {id} stands"))),
                None => Ok(()),
            }
        }
        (Command::AlterSyncStateSet(it), Some(set), Err(rejection)) => {
            let is_true = match rejection {
                Rejection::FencedMasterEpoch { .. } => it.master_epoch != Some(set.master_epoch()),
                Rejection::FencedSetEpoch { .. } => it.set_epoch != set.set_epoch(),
                Rejection::NotMaster { .. } => it.master != set.master(),
                _ => true,
            };
            let text = || format!("{rejection:?} is not true");
            if is_true { Ok(()) } else { Err(("C8", text())) }
        }
        (Command::CleanBrokerData(it), Some(_), Ok(Outcome::BrokersCleaned { removed, .. })) => {
            // Without a list only a recorded master protects a set, as upstream.
            let has_list = it.ids.as_deref().is_some_and(|ids| !ids.trim().is_empty());
            let list = it.ids.as_deref().unwrap_or_default();
            let named: Vec<i64> = list.split(';').filter_map(|id| id.trim().parse().ok()).collect();
            if let Some(id) = removed.iter().find(|id| has_list && !named.contains(&id.0)) {
                return Err(("C6", format!("{id} is cleaned and was not named")));
            }
            let living = removed.iter().find(|id| has_list && it.evidence.is_alive(**id));
            match living {
                Some(id) if !it.clean_living => {
                    Err(("C6", format!("{id} lives and is cleaned without a word of force")))
                }
                Some(_) | None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// C6, C13: whether a sync-state set may have been replaced.
fn altered(it: &AlterSyncStateSet, set: &BrokerSet) -> Result<(), Broken> {
    if it.master_epoch != Some(set.master_epoch()) || it.set_epoch != set.set_epoch() {
        return Err(("C13", "an old epoch is accepted".to_owned()));
    }
    if it.master != set.master() || it.master.is_none() {
        return Err(("C13", "somebody else than the master alters the set".to_owned()));
    }
    let wanted = it.new_set.as_deref().unwrap_or_default();
    if set.master().is_none_or(|master| !wanted.contains(&master)) {
        return Err(("C6", "the master is dropped from its set".to_owned()));
    }
    match wanted.iter().find(|id| !it.evidence.is_alive(**id)) {
        Some(id) => Err(("C6", format!("{id} is taken in sync and was not alive"))),
        None => Ok(()),
    }
}

/// C7, C8: whoever hears that it has an id has it, and is known where it says it is.
fn granted(
    command: &Command,
    after: Option<&BrokerSet>,
    result: &Result<Outcome, Rejection>,
) -> Result<(), Broken> {
    if let (Command::RegisterBroker(it), Ok(_)) = (command, result) {
        let known = it.id.and_then(|id| after?.replica(id)).map(|replica| &*replica.address);
        let is_known = it.address.is_none() || known == it.address.as_deref();
        let text =
            || format!("{:?} registers at {:?} and is known at {known:?}", it.id, it.address);
        return if is_known { Ok(()) } else { Err(("C8", text())) };
    }
    let (Command::ApplyBrokerId(it), Ok(_)) = (command, result) else { return Ok(()) };
    let owner = it.id.and_then(|id| after?.replica(id)).map(|replica| &*replica.check_code);
    if owner == it.check_code.as_deref() {
        return Ok(());
    }
    Err(("C7", format!("{:?} is granted to {:?}, but {owner:?} has it", it.id, it.check_code)))
}

/// C5: of those who stand nobody goes before the chosen one: by epoch, preference, offset, priority, id; in an unclean
/// choice by offset before preference. Not looked at: elections that an operator steers, and the first one, which takes
/// whoever asks.
fn further(it: &ElectMaster, set: &BrokerSet, chosen: BrokerId) -> Result<(), Broken> {
    if it.designate || !set.was_elected() {
        return Ok(());
    }
    let is_clean = set.is_in_sync(chosen);
    let stands = |id: BrokerId| set.replica(id).is_some() && (!is_clean || set.is_in_sync(id));
    let rank = |id: BrokerId| {
        let seen = it.evidence.get(id);
        let (epoch, offset) = seen.map_or((-1, -1), |alive| (alive.epoch, alive.max_offset));
        let priority = seen.map_or(i32::MAX, |alive| alive.priority);
        let preferred = it.policy.preferred.contains(&id);
        let (before, after) = (is_clean && preferred, !is_clean && preferred);
        (epoch, before, offset, after, Reverse(priority), Reverse(id))
    };
    let others = it.evidence.alive().iter().map(|alive| alive.id);
    let mut others = others.filter(|id| stands(*id) && !it.policy.never.contains(id));
    match others.find(|id| rank(*id) > rank(chosen)) {
        Some(other) => Err(("C5", format!("{chosen} is elected, but {other} goes before it"))),
        None => Ok(()),
    }
}

/// Counts the interesting situations of the rules.
fn note(
    command: &Command,
    before: Option<&BrokerSet>,
    result: &Result<Outcome, Rejection>,
    sometimes: &mut Sometimes,
) {
    let mut hit = |name| sometimes.hit(name);
    match (command, result) {
        (Command::ElectMaster(it), Ok(Outcome::MasterElected { master, .. })) => {
            if before.is_some_and(|set| !set.was_elected()) {
                hit("first_election");
            } else if before.is_some_and(|set| !set.is_in_sync(master.id)) {
                hit("unclean_election");
            }
            if it.designate {
                hit("designated_election");
            }
            let rank = |id: BrokerId| {
                let alive = it.evidence.get(id)?;
                Some((alive.epoch, alive.max_offset, alive.priority))
            };
            let of_master = rank(master.id);
            let in_sync = before.map_or(&[][..], BrokerSet::sync_state_set);
            if in_sync
                .iter()
                .any(|id| *id != master.id && of_master.is_some() && rank(*id) == of_master)
            {
                hit("election_tie");
            }
        }
        (_, Ok(Outcome::NoMaster { .. }) | Err(Rejection::ElectionFailed)) => {
            hit("nobody_electable");
        }
        (_, Ok(Outcome::BrokersCleaned { whole_set: true, .. })) => hit("whole_set_cleaned"),
        (_, Ok(Outcome::BrokersCleaned { removed, .. })) if removed.len() == 1 => {
            hit("one_member_cleaned");
        }
        (Command::ApplyBrokerId(it), Ok(_)) => {
            let next = before.map_or(BrokerId::FIRST, BrokerSet::next_id);
            if it.id.is_some_and(|id| id > next) {
                hit("id_applied_with_gap");
            }
        }
        (_, Err(Rejection::FencedMasterEpoch { .. })) => hit("fenced_by_master_epoch"),
        (_, Err(Rejection::FencedSetEpoch { .. })) => hit("fenced_by_set_epoch"),
        (_, Err(Rejection::SetUnchanged)) => hit("lost_answer_repeated"),
        (_, Err(Rejection::BrokerIdRefused { .. })) => hit("id_taken_by_other_code"),
        (_, Err(Rejection::ReplicaNotAlive { .. })) => hit("member_not_alive"),
        (_, Ok(_) | Err(_)) => {}
    }
}

/// A number for a whole state hash, for the trace.
pub(crate) fn fold(hash: u128) -> u64 {
    let low = u64::try_from(hash & u128::from(u64::MAX)).unwrap_or(0);
    let high = u64::try_from(hash >> 64).unwrap_or(0);
    mix(low, high)
}

//! What must hold after every turn, seen from outside: the numbers are those of RELIABILITY, section 2.4.
//!
//! Every entry that any peer applied is applied here to a state of its own. So each peer's state can be compared
//! with the one that its log gives, and epochs and masters are checked command by command.

use crate::disk::Disk;
use crate::request::{Version, set_of, version};
use bytes::Bytes;
use consensus::{EntryKind, Role, Term};
use controller::{Controller, Overview};
use protocol::{Request, Response, RoleNotice};
use replicas::{Command, Outcome, Replicas};
use std::collections::BTreeMap;

/// What is known of all peers together.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    /// R1: who led a term.
    leaders: BTreeMap<u64, u64>,
    /// R3, R4: the committed entries in order; index 1 comes first.
    committed: Vec<(Term, Bytes)>,
    /// What they make of the state, and its hash after each.
    state: Replicas,
    hashes: Vec<u128>,
    /// Up to which index each node's log was compared.
    verified: BTreeMap<u64, u64>,
    /// C1: the master of (broker set, master epoch), for ever.
    masters: BTreeMap<(String, i32), i64>,
    /// C2, C3: the newest version of each broker set in the log.
    logged: BTreeMap<String, Version>,
    /// K2: the newest version of each broker set that any finished request showed.
    pub(crate) seen: BTreeMap<String, Version>,
    /// Elections in the log that changed a master or took one away, in order: set, master.
    pub(crate) elections: Vec<(String, Option<i64>)>,
    /// Commands in the log.
    pub(crate) commands: u64,
    /// Off where a test is about size: each turn is looked at only a little then.
    pub(crate) is_shallow: bool,
}

impl Checks {
    /// After a turn of `node`.
    pub(crate) fn turn(&mut self, node: u64, controller: &Controller, disk: &Disk) {
        if self.is_shallow {
            return;
        }
        self.compare(node, &controller.overview(), controller.state_hash(), disk);
    }

    pub(crate) fn compare(&mut self, node: u64, overview: &Overview, hash: u128, disk: &Disk) {
        if overview.role == Some(Role::Leader) {
            let leader = *self.leaders.entry(overview.term).or_insert(node);
            assert_eq!(leader, node, "R1: two leaders in term {}", overview.term);
        }
        while (self.committed.len() as u64) < overview.applied {
            let index = self.committed.len() as u64 + 1;
            let entry = disk.entry(index);
            let entry = entry.unwrap_or_else(|| {
                panic!("R6: node {node} applied {index}, which is not on its disk")
            });
            self.commit(entry.term, entry.bytes.clone(), entry.kind);
        }
        let verified = self.verified.entry(node).or_default();
        for index in disk.snapshot_index().max(*verified) + 1..=overview.applied {
            let place = usize::try_from(index - 1).unwrap();
            let held = disk.entry(index).map(|entry| entry.term);
            let committed = Some(self.committed[place].0);
            assert_eq!(held, committed, "R3: node {node} holds another entry at {index}");
        }
        *verified = overview.applied.max(*verified);
        if let Some(applied) = usize::try_from(overview.applied).unwrap().checked_sub(1) {
            assert_eq!(hash, self.hashes[applied], "C11: node {node} at {}", applied + 1);
        }
    }

    fn commit(&mut self, term: Term, bytes: Bytes, kind: EntryKind) {
        if kind == EntryKind::Commands {
            for bytes in consensus::frame::split(&bytes) {
                self.commands += 1;
                self.apply(&Command::decode(&bytes).expect("what is proposed can be read"));
            }
        }
        self.committed.push((term, bytes));
        self.hashes.push(self.state.state_hash());
    }

    fn apply(&mut self, command: &Command) {
        let result = self.state.apply(command);
        let name = command.set();
        match &result {
            Ok(Outcome::MasterElected { master, .. }) => {
                self.elections.push((name.to_owned(), Some(master.id.0)));
            }
            Ok(Outcome::NoMaster { taken_away: Some(_), .. }) => {
                self.elections.push((name.to_owned(), None));
            }
            Ok(_) | Err(_) => {}
        }
        let Some(set) = self.state.broker_set(name) else { return };
        let version = (set.master_epoch().0, set.set_epoch().0);
        if let Some(master) = set.master() {
            assert!(set.is_in_sync(master), "C6: master {master} of {name} is not in sync");
            self.one_master(name, version.0, master.0);
        }
        let old = self.logged.insert(name.to_owned(), version).unwrap_or_default();
        let falls = version.0 < old.0 || version.1 < old.1;
        assert!(!falls, "C2, C3: {name} goes from {old:?} to {version:?} by {command:?}");
        let rise = version.0 - old.0;
        assert!(rise <= 1 || old == (0, 0), "C2: {name} goes from {old:?} to {version:?}");
    }

    fn one_master(&mut self, set: &str, epoch: i32, master: i64) {
        let known = *self.masters.entry((set.to_owned(), epoch)).or_insert(master);
        assert_eq!(known, master, "C1: two masters of {set} in epoch {epoch}");
    }

    pub(crate) fn notice(&mut self, set: &str, notice: &RoleNotice) {
        self.one_master(set, notice.master_epoch, notice.master_broker_id);
    }

    /// The version that a request which begins now must show at least.
    pub(crate) fn floor(&self, request: &Request) -> Option<Version> {
        self.seen.get(&set_of(request)?).copied()
    }

    /// A request ended that began when `floor` was the newest version that anybody had seen.
    pub(crate) fn answered(
        &mut self,
        request: &Request,
        floor: Option<Version>,
        response: &Response,
    ) {
        let (Some(set), Some(version)) = (set_of(request), version(request, response)) else {
            return;
        };
        let is_stale = floor.is_some_and(|floor| version < floor);
        assert!(!is_stale, "K2: {set} shows {version:?} after {floor:?}: {request:?}");
        if let Some(master) = response.ext.long("masterBrokerId") {
            self.one_master(&set, version.0, master);
        }
        let seen = self.seen.entry(set).or_default();
        *seen = version.max(*seen);
    }

    /// C4: nothing that was shown is lost.
    pub(crate) fn nothing_lost(&self) {
        for (set, seen) in &self.seen {
            let logged = self.logged.get(set);
            assert!(logged >= Some(seen), "C4: {set} was shown {seen:?}, the log has {logged:?}");
        }
    }

    /// The replicated state, from the log alone.
    pub(crate) fn state(&self) -> &Replicas {
        &self.state
    }
}

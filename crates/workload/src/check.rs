//! The judges of a history: can its operations be put in one order, per broker set, that explains
//! every answer?
//!
//! | Judge | How | For |
//! |---|---|---|
//! | [`versioned`] | follows the two epochs and the next id, which only rise; O(n log n) | every history |
//! | [`search`] with [`broker_set`] | looks for an order, O(n) if all is well, exponential at worst | second opinion |
//! | [`search`] with [`objects`] | the same with plain objects | histories that others published |
//!
//! Both are wrong in one direction only if their assumptions are: that controllers elect by
//! themselves whenever they like (so a master epoch needs no writer in the history), and that a
//! complete history holds every client that could write, from the making of the broker set on.
//!
//! A verdict against a history names the operations that cannot both be.

pub mod broker_set;
pub mod objects;
pub mod search;
pub mod versioned;

use crate::history::{Call, History, Operation, Outcome, Seen};
use search::Limit;
use std::collections::BTreeMap;
use std::fmt;

/// Operations that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which rule they break.
    pub rule: Rule,
    /// The broker set.
    pub set: Box<str>,
    /// Places in the history's list, the one that cannot be last.
    pub operations: Vec<usize>,
    /// Why they cannot be, in words.
    pub reason: String,
}

/// What a history may break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// An answer is older than one that was there before it was asked for.
    Stale,
    /// One version was made twice, or with two contents.
    TwoOfOne,
    /// The two epochs do not rise together.
    Forked,
    /// A change was seen that nobody made.
    Orphan,
    /// A broker is named that has no id, or was cleaned.
    Stranger,
    /// A broker set is unknown though a broker is in it.
    Vanished,
    /// An answer does not fit its request, or no state of a broker set.
    WrongAnswer,
    /// No order explains all answers.
    NoOrder,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stale => "stale",
            Self::TwoOfOne => "two of one",
            Self::Forked => "forked",
            Self::Orphan => "orphan",
            Self::Stranger => "stranger",
            Self::Vanished => "vanished",
            Self::WrongAnswer => "wrong answer",
            Self::NoOrder => "no order",
        })
    }
}

/// What the judges say of a history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Broker sets that were judged.
    pub sets_count: usize,
    /// At most one violation for each broker set and judge.
    pub violations: Vec<Violation>,
    /// Broker sets on which the search reached its limit; the first judge was content with them.
    pub undecided: Vec<Box<str>>,
}

/// Puts a history before both judges, broker set by broker set.
///
/// The search is asked where the first judge found nothing.
#[must_use]
pub fn judge(history: &History, limit: Limit) -> Judgement {
    let mut judgement = Judgement::default();
    for (set, places) in by_set(history) {
        judgement.sets_count += 1;
        let part = Part { history, set, places };
        if let Some(violation) = versioned::check_set(&part) {
            judgement.violations.push(violation);
            continue;
        }
        match broker_set::check_set(&part, limit) {
            broker_set::Opinion::InOrder => {}
            broker_set::Opinion::Against(violation) => judgement.violations.push(violation),
            broker_set::Opinion::Undecided => judgement.undecided.push(part.set.into()),
        }
    }
    judgement
}

/// The operations on one broker set.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    /// The whole history.
    pub history: &'a History,
    /// The broker set.
    pub set: &'a str,
    /// Its operations, as places in the history's list.
    pub places: Vec<usize>,
}

impl<'a> Part<'a> {
    /// The operations with their places.
    pub(crate) fn operations(&self) -> impl Iterator<Item = (usize, &'a Operation)> {
        let operations = &self.history.operations;
        self.places.iter().filter_map(|at| Some((*at, operations.get(*at)?)))
    }

    fn violation(&self, rule: Rule, operations: Vec<usize>, reason: String) -> Violation {
        Violation { rule, set: self.set.into(), operations, reason }
    }
}

/// The broker sets of a history, each with the places of its operations.
pub fn parts(history: &History) -> impl Iterator<Item = Part<'_>> {
    by_set(history).into_iter().map(move |(set, places)| Part { history, set, places })
}

fn by_set(history: &History) -> BTreeMap<&str, Vec<usize>> {
    let mut sets: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, operation) in history.operations.iter().enumerate() {
        sets.entry(&operation.set).or_default().push(at);
    }
    sets
}

impl Violation {
    /// The reason, and a line for each operation.
    #[must_use]
    pub fn explain(&self, history: &History) -> String {
        let mut text = format!("{} in broker set {}: {}", self.rule, self.set, self.reason);
        for at in &self.operations {
            if let Some(operation) = history.operations.get(*at) {
                text.push_str(&format!("\n  #{at} {operation}"));
            }
        }
        text
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {}", self.client)?;
        if let Some(peer) = self.peer {
            write!(f, " at peer {peer}")?;
        }
        write!(f, " [{} .. ", self.invoked)?;
        match self.finished {
            Some(finished) => write!(f, "{finished}]")?,
            None => f.write_str("]")?,
        }
        write!(f, " {} -> {}", self.call, self.outcome)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read => f.write_str("read"),
            Self::ReadNextId => f.write_str("read next id"),
            Self::ApplyId { id, check_code } => write!(f, "apply for id {id} as {check_code}"),
            Self::Register { id } => write!(f, "register {id}"),
            Self::Elect { id, designate: true } => write!(f, "elect {id} and nobody else"),
            Self::Elect { id, designate: false } => write!(f, "elect, asked by {id}"),
            Self::Alter { master, master_epoch, set_epoch, new_set } => {
                write!(f, "alter at ({master_epoch}, {set_epoch}) by {master} to {new_set:?}")
            }
            Self::Clean { ids, living } => {
                match ids.as_slice() {
                    [] => f.write_str("clean the whole set")?,
                    ids => write!(f, "clean {ids:?}")?,
                }
                if *living { f.write_str(", living or not") } else { Ok(()) }
            }
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok(seen) => write!(f, "ok{seen}"),
            Self::Refused { code, seen } => write!(f, "refused with {code}{seen}"),
            Self::Unknown => f.write_str("unknown"),
            Self::TookEffect(seen) => write!(f, "unheard, took effect{seen}"),
            Self::Never => f.write_str("unheard, no effect"),
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |value: Option<i32>| value.map_or("?".to_owned(), |value| value.to_string());
        if self.master_epoch.is_some() || self.set_epoch.is_some() {
            write!(f, " ({}, {})", number(self.master_epoch), number(self.set_epoch))?;
        }
        if let Some(master) = self.master {
            write!(f, " master {master}")?;
        }
        if let Some(set) = &self.sync_state_set {
            write!(f, " in sync {set:?}")?;
        }
        if let Some(next_id) = self.next_id {
            write!(f, " next id {next_id}")?;
        }
        Ok(())
    }
}

//! What is wanted of a run, and what was seen of it: all that the judge and the report know.

use crate::brokers::Kit;
use crate::brokers::messages::Messages;
use crate::fabric::Traffic;
use crate::faults::Skip;
use crate::ground::probe::Finding;
use crate::target::Target;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

/// What is wanted of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Controllers, 3 or 5.
    pub nodes: u8,
    /// Broker sets of three, at most [`SETS_MAX`](crate::run::SETS_MAX); with Java brokers there is one.
    pub sets: u8,
    /// The faults, as [`parse`](crate::faults::parse) reads them.
    pub faults: String,
    /// How long faults are injected.
    pub length: Duration,
    /// How long each of them lasts whose name does not say it; drawn without.
    pub each: Option<Duration>,
    /// Operations that are recorded; then the run ends early.
    pub operations_max: usize,
    /// Draws everything that is drawn.
    pub seed: u64,
    /// Where the run's files go; made, and kept.
    pub folder: PathBuf,
    /// Version of that program, for the report.
    pub version: &'static str,
    /// The controllers.
    pub target: Target,
    /// What `rolling-upgrade` puts in the place of the controllers; without it that is skipped.
    pub other_program: Option<PathBuf>,
    /// Whether a skipped fault that nothing excuses makes the run invalid.
    pub is_release: bool,
    /// Java brokers are the brokers; without it they are actors.
    pub java_brokers: Option<Kit>,
}

/// One fault as it was.
#[derive(Clone, Debug, Default)]
pub(crate) struct Event {
    pub(crate) name: String,
    /// When the first deed was begun. Some deeds are felt long before all are in force: a broker ends at once,
    /// a crowd needs time to gather; a rolling restart is over by then.
    pub(crate) struck: u64,
    /// When it was confirmed to be in force, when it was healed, when all was well again.
    pub(crate) began: u64,
    pub(crate) healed: u64,
    pub(crate) recovered: Option<u64>,
    pub(crate) evidence: Vec<String>,
    pub(crate) doubts: Vec<String>,
    pub(crate) accidents: Vec<String>,
    /// Brokers that it touched.
    pub(crate) brokers: Vec<Ipv4Addr>,
}

/// Everything that was seen, for the judge and the report.
#[derive(Debug, Default)]
pub(crate) struct Course {
    pub(crate) began: u64,
    pub(crate) ended: u64,
    pub(crate) events: Vec<Event>,
    pub(crate) skipped: Vec<(String, Skip)>,
    /// Faults that were asked for and could be injected; and those of them that the run never came to.
    pub(crate) asked: usize,
    pub(crate) unreached: Vec<String>,
    pub(crate) findings: Vec<Finding>,
    /// What must not happen, in words.
    pub(crate) accidents: Vec<String>,
    pub(crate) traffic: Traffic,
    pub(crate) stalls: Vec<(u64, u64)>,
    /// What each controller says of each broker set at the end.
    pub(crate) finals: Vec<Final>,
    /// What could not be found out, in words.
    pub(crate) doubts: Vec<String>,
    pub(crate) hashes: Vec<String>,
    /// Where the broker with an id lives.
    pub(crate) addresses: BTreeMap<(Box<str>, i64), Ipv4Addr>,
    pub(crate) is_interrupted: bool,
    /// What there was no more room for, if the run ended early because of it.
    pub(crate) full: Option<String>,
    /// With Java brokers: what became of the messages.
    pub(crate) messages: Option<Messages>,
}

/// What one controller says of one broker set at the end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Final {
    pub(crate) node: usize,
    pub(crate) set: Box<str>,
    /// `None` if it did not answer, or refused; null if it does not know the set.
    pub(crate) said: Option<Value>,
}

#[cfg(test)]
impl Options {
    /// Three controllers of this very program.
    pub(crate) fn for_tests(folder: &std::path::Path) -> Self {
        Self {
            nodes: 3,
            sets: crate::stand::SETS,
            faults: "noop".into(),
            length: Duration::from_secs(1),
            each: None,
            operations_max: 1,
            seed: 1,
            folder: folder.to_owned(),
            version: "0",
            target: Target::ours(&std::env::current_exe().unwrap()).unwrap(),
            other_program: None,
            is_release: false,
            java_brokers: None,
        }
    }
}

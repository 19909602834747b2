//! The verdict of a run.
//!
//! | Question | Answered by | Against the run |
//! |---|---|---|
//! | was every fault in force? | its confirmation | INVALID |
//! | did the search come to an end on every set? was every controller asked at the end? | itself | INVALID |
//! | can the answers be put in one order? | the two judges of `workload` | FAILED |
//! | is a change lost that was acknowledged? | what every controller says of every set at the end | FAILED |
//! | two masters in one epoch? | all answers and notices | FAILED |
//! | is an acknowledged message lost, with Java brokers? two masters by their own words? | `brokers/messages.rs` | FAILED |
//! | was a healthy master replaced? | masters first seen, and what the faults touched | FAILED |
//! | do all hold the same state, did all heal, did none end by itself? | the observer | FAILED |
//! | how long did it take? | [`crate::recovery`] | reported only |
//!
//! A master is healthy if, for the time in which a broker is declared dead and `SLACK` before its
//! replacement was first seen, no fault touched it or any of its packets, and its heartbeats left without a gap
//! of `SILENCE`: an actor that gets no processor is no proof against a controller.

mod lost;

use crate::actors::broker::HEARTBEAT_TIMEOUT;
use crate::actors::recorder::{Recorder, Records, changes_of_master};
use crate::brokers::messages::Judged;
use crate::clock::{MILLISECOND, SECOND};
use crate::course::{Course, Event, Options};
use crate::faults::Excuse;
use crate::recovery::goals::{Goal, goals};
use crate::recovery::{self, Row};
use lost::lost;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use workload::check::search::Limit;
use workload::history::History;

/// How much later than its cause a change of master may be seen, beyond the heartbeat time-out.
const SLACK: u64 = 5 * SECOND;

/// A gap between two heartbeats of a healthy broker is shorter; a heartbeat is due every second.
const SILENCE: u64 = 2 * SECOND;

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything held.
    Passed,
    /// Something did not hold.
    Failed,
    /// What was tested is not known, or not all of it.
    Invalid,
}

/// Kinds of violations.
pub const KINDS: [&str; 5] = [
    "broker sets whose answers no order explains",
    "two masters in one epoch",
    "acknowledged changes that are lost, or that nobody tells of",
    "healthy masters that were replaced",
    "accidents",
];

/// The outcome, and why.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The outcome.
    pub outcome: Outcome,
    /// What did not hold.
    pub violations: Vec<String>,
    /// How many of them are of each kind, in the order of [`KINDS`].
    pub counts: [usize; 5],
    /// What makes it invalid.
    pub doubts: Vec<String>,
    /// Operations that were judged, by what came of them: ok, refused, unknown.
    pub operations: [usize; 3],
    /// Sets on which the search gave up; the other judge was content with them.
    pub undecided: usize,
    /// Faults that were asked for and could be injected.
    pub asked: usize,
    /// Those of them that the run never came to, as a rule for lack of time.
    pub not_injected: Vec<String>,
    /// How long each fault took to be overcome.
    pub recovery: Vec<Row>,
    /// With Java brokers: what became of the messages.
    pub(crate) messages: Option<Judged>,
}

impl Verdict {
    /// How many of the faults were injected, in one line; and which were not.
    #[must_use]
    pub fn reach(&self) -> String {
        let (asked, missing) = (self.asked, self.not_injected.len());
        if missing == 0 {
            return format!("faults: each of {asked} was injected");
        }
        let names = self.not_injected.join(", ");
        format!(
            "faults: {missing} of {asked} were NOT INJECTED, the run never came to them: {names}"
        )
    }

    /// With Java brokers, what became of the messages, a line for each thing that is told.
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        let Some(all) = &self.messages else { return Vec::new() };
        let mut lines = vec![all.sum()];
        lines.extend(all.notes.iter().map(|note| format!("NOTE {note}")));
        lines
    }

    /// With Java brokers, how long each fault was felt by the producer.
    #[must_use]
    pub fn messages_recovery(&self) -> Option<&[Row]> {
        self.messages.as_ref().map(|all| all.recovery.as_slice())
    }

    /// One word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self.outcome {
            Outcome::Passed => "PASSED",
            Outcome::Failed => "FAILED",
            Outcome::Invalid => "INVALID",
        }
    }
}

/// Judges a run.
pub(crate) fn judge(options: &Options, course: &Course, recorder: &Recorder) -> Verdict {
    judge_within(options, course, recorder, Limit::default())
}

fn judge_within(options: &Options, course: &Course, recorder: &Recorder, limit: Limit) -> Verdict {
    let records = recorder.lock();
    let judgement = workload::check::judge(&records.history, limit);
    let order = judgement.violations.iter().map(|found| found.explain(&records.history));
    let messages = course.messages.as_ref().map(|all| all.judge(course, &records.masterships));
    let of_messages = |list: fn(&Judged) -> &[String]| messages.as_ref().map_or(&[][..], list);
    let kinds: [Vec<String>; 5] = [
        order.collect(),
        [records.split.as_slice(), of_messages(|all| &all.split)].concat(),
        [lost(&records.history, &course.finals).as_slice(), of_messages(|all| &all.lost)].concat(),
        needless(course, &records),
        course.accidents.clone(),
    ];
    let counts = std::array::from_fn(|kind| kinds[kind].len());
    let violations = kinds.concat();
    // Of upstream's controllers the leader alone tells.
    let tellers = if options.target.kind.is_ours() { usize::from(options.nodes) } else { 1 };
    let mut doubts = doubts(course, options.is_release);
    doubts.extend(undecided(&judgement.undecided));
    doubts.extend(unasked(&records.history, course, tellers));
    let outcome = match (violations.is_empty(), doubts.is_empty()) {
        (false, _) => Outcome::Failed,
        (true, false) => Outcome::Invalid,
        (true, true) => Outcome::Passed,
    };
    let recovery = recovery::rows(course, &records.samples, &records.masterships);
    let operations = count(&records.history);
    let undecided = judgement.undecided.len();
    let (asked, not_injected) = (course.asked, course.unreached.clone());
    Verdict {
        outcome,
        violations,
        counts,
        doubts,
        operations,
        undecided,
        asked,
        not_injected,
        recovery,
        messages,
    }
}

/// What the run itself leaves in doubt.
fn doubts(course: &Course, is_release: bool) -> Vec<String> {
    let mut doubts = course.doubts.clone();
    for event in &course.events {
        doubts.extend(event.doubts.iter().map(|doubt| format!("{}: {doubt}", event.name)));
    }
    let traffic = course.traffic;
    if traffic.overflowed > 0 {
        doubts.push(format!("the fabric itself dropped {} packets", traffic.overflowed));
    }
    if course.is_interrupted {
        doubts.push("the run was interrupted".to_owned());
    }
    doubts.extend(course.full.clone());
    if is_release {
        let skipped = course.skipped.iter().filter(|(_, skip)| skip.excuse == Excuse::None);
        doubts.extend(skipped.map(|(name, skip)| format!("{name} was skipped: {}", skip.why)));
    }
    doubts
}

/// Sets on which the search reached its limit: the first judge alone cannot tell that an order explains all answers.
fn undecided(sets: &[Box<str>]) -> Vec<String> {
    let gave_up = "the search gave up, so whether an order explains its answers is not known";
    sets.iter().map(|set| format!("set {set}: {gave_up}")).collect()
}

/// A doubt if not each of so many controllers was asked for every set at the end.
fn unasked(history: &History, course: &Course, tellers: usize) -> Option<String> {
    let (asked, due) = (course.finals.len(), written(history).len() * tellers);
    let is_known = course.is_interrupted || asked == due;
    (!is_known)
        .then(|| format!("{asked} of {due} questions about broker sets were asked at the end"))
}

/// Broker sets of which a change was acknowledged; others need not be known to anybody.
pub(crate) fn written(history: &History) -> BTreeSet<&str> {
    let operations = history.operations.iter();
    let written = operations.filter(|one| one.call.can_write() && one.outcome.took_effect());
    written.map(|operation| &*operation.set).collect()
}

fn count(history: &History) -> [usize; 3] {
    use workload::history::Outcome::{Never, Ok, Refused, TookEffect, Unknown};
    let mut counts = [0; 3];
    for operation in &history.operations {
        let place = match operation.outcome {
            Ok(_) | TookEffect(_) => 0,
            Refused { .. } | Never => 1,
            Unknown => 2,
        };
        counts[place] += 1;
    }
    counts
}

/// Masters that were replaced though nothing touched them.
fn needless(course: &Course, records: &Records) -> Vec<String> {
    let window = u64::try_from(HEARTBEAT_TIMEOUT.as_nanos()).unwrap_or(u64::MAX) + SLACK;
    let mut needless = Vec::new();
    for (old, one) in changes_of_master(&records.masterships) {
        let Some(address) = course.addresses.get(&(one.set.clone(), old)) else { continue };
        let touches = |event: &&Event| {
            let until = event.recovered.unwrap_or(u64::MAX);
            event.brokers.contains(address)
                && event.struck <= one.at
                && until.saturating_add(window) >= one.at
        };
        let is_healthy = !course.events.iter().any(|event| touches(&event))
            && beat_on(records.beats.get(address), one.at.saturating_sub(window), one.at);
        if is_healthy {
            let at = one.at.saturating_sub(course.began) / MILLISECOND;
            needless.push(format!(
                "NEEDLESS: set {} lost its healthy master {old} to {} in epoch {}, seen at {at} ms",
                one.set, one.master, one.epoch
            ));
        }
    }
    needless
}

/// Whether heartbeats left between these times without a gap; a run's begin is no gap.
fn beat_on(beats: Option<&Vec<u64>>, from: u64, to: u64) -> bool {
    let Some(beats) = beats else { return false };
    let inside: Vec<u64> = beats.iter().copied().filter(|at| (from..=to).contains(at)).collect();
    let ends = inside.last().is_some_and(|last| to - last < SILENCE);
    ends && inside.windows(2).all(|pair| pair[1] - pair[0] < SILENCE)
}

/// The verdict as JSON, for machines.
pub(crate) fn to_json(verdict: &Verdict, options: &Options, course: &Course) -> Value {
    let events = course.events.iter().map(|event| {
        json!({
            "fault": event.name, "struck": event.struck, "began": event.began, "healed": event.healed,
            "recovered": event.recovered,
            "evidence": event.evidence, "doubts": event.doubts,
        })
    });
    let rows = verdict.recovery.iter().map(Row::to_json);
    let goals = goals(&verdict.recovery);
    let skipped = course.skipped.iter().map(|(name, skip)| {
        let needs_nodes = match skip.excuse {
            Excuse::Nodes(nodes) => Some(nodes),
            Excuse::None | Excuse::NothingToHit | Excuse::JavaBrokers | Excuse::Device => None,
        };
        json!({
            "fault": name, "why": skip.why, "nothingToHit": skip.excuse == Excuse::NothingToHit, "needsNodes": needs_nodes,
            "needsJavaBrokers": skip.excuse == Excuse::JavaBrokers,
            "needsDevice": skip.excuse == Excuse::Device,
        })
    });
    let messages = verdict.messages.as_ref().map(Judged::to_json);
    let [ok, refused, unknown] = verdict.operations;
    json!({
        "verdict": verdict.word(), "target": options.target.kind.name(), "label": options.target.label(),
        "seconds": course.ended.saturating_sub(course.began) / SECOND, "counts": verdict.counts, "seed": options.seed, "nodes": options.nodes, "faults": options.faults,
        "asked": verdict.asked, "notInjected": verdict.not_injected.len(),
        "violations": verdict.violations, "doubts": verdict.doubts,
        "operations": { "ok": ok, "refused": refused, "unknown": unknown }, "undecided": verdict.undecided,
        "packets": course.traffic.delivered, "packetsOverflowed": course.traffic.overflowed,
        "packetsUntaken": course.traffic.untaken, "hostStalls": course.stalls.len(),
        "stateHashes": course.hashes, "messages": messages, "recovery": rows.collect::<Vec<_>>(),
        "goals": goals.iter().map(Goal::to_json).collect::<Vec<_>>(),
        "skipped": skipped.collect::<Vec<_>>(), "events": events.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;

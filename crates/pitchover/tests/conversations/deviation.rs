//! What ours answers where a step names a deviation.
//!
//! | The step's text begins with | Ours |
//! |---|---|
//! | `followers serve` | never 2007; a read, or a write that is refused, is answered as by the leader |
//! | `timing: ours elects` | the election is over: 2011 with the master that upstream elects now |
//! | `ids are not given again` | the next id is above every id that was ever accepted in this set |
//!
//! A deviation that is not in the table is a mistake of this file, and a difference.
//!
//! Source: DESIGN.md, "Compatibility rule" and "Cleaning and coming again".

use std::collections::BTreeMap;

use protocol::{code, response_code};

use crate::step::{Answer, Step};

/// What to hold our answer against.
pub(crate) enum Expected {
    /// This very answer.
    Answer(Answer),
    /// What the leader answers to the same request.
    AsLeader,
    /// Nothing is known about steps with this text.
    Unknown(String),
}

/// Remembers what deviations depend on.
#[derive(Default)]
pub(crate) struct Deviations {
    /// Largest id that was accepted, by broker set.
    largest_id: BTreeMap<String, i64>,
}

impl Deviations {
    /// Takes note of a step, whether it deviates or not.
    pub(crate) fn note(&mut self, step: &Step) {
        let is_accepted = step.answer.code == response_code::SUCCESS;
        if step.code != code::CONTROLLER_APPLY_BROKER_ID || !is_accepted {
            return;
        }
        let id = step.field("appliedBrokerId").and_then(|id| id.parse().ok());
        if let (Some(set), Some(id)) = (step.field("brokerName"), id) {
            let largest = self.largest_id.entry(set).or_insert(id);
            *largest = id.max(*largest);
        }
    }

    /// What our answer to a step with this `deviation` must be.
    pub(crate) fn expected(&self, step: &Step, deviation: &str) -> Expected {
        if deviation.starts_with("followers serve") {
            Expected::AsLeader
        } else if deviation.starts_with("timing: ours elects") {
            Expected::Answer(after_the_election(step))
        } else if deviation.starts_with("ids are not given again") {
            Expected::Answer(self.next_id(step))
        } else {
            Expected::Unknown(deviation.to_owned())
        }
    }

    fn next_id(&self, step: &Step) -> Answer {
        let set = step.field("brokerName").unwrap_or_default();
        let next = self.largest_id.get(&set).map_or(1, |largest| largest + 1);
        let mut answer = step.answer.clone();
        answer.ext.insert("nextBrokerId".to_owned(), next.to_string());
        answer
    }
}

/// Upstream elects at this request, ours did when the deadline passed: same master, same epochs.
fn after_the_election(step: &Step) -> Answer {
    let set = step.field("brokerName").unwrap_or_default();
    let master = step.answer.ext.get("masterBrokerId").cloned().unwrap_or_default();
    let remark = format!(
        "The old master {master} is still alive, not need to elect new master for broker {set}"
    );
    Answer {
        code: response_code::CONTROLLER_MASTER_STILL_EXIST,
        remark: Some(remark),
        ext: step.answer.ext.clone(),
        body: format!("{{\"syncStateSet\":[{master}]}}"),
    }
}

/// Whether asking the leader too changes nothing.
pub(crate) fn may_ask_again(step: &Step, got: &Answer) -> bool {
    let is_read = matches!(
        step.code,
        code::CONTROLLER_GET_REPLICA_INFO
            | code::CONTROLLER_GET_METADATA_INFO
            | code::CONTROLLER_GET_SYNC_STATE_DATA
            | code::CONTROLLER_GET_NEXT_BROKER_ID
    );
    is_read || got.code != response_code::SUCCESS
}

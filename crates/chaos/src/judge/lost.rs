//! What was acknowledged and is not so at the end.
//!
//! | Acknowledged | At the end, at every controller |
//! |---|---|
//! | epochs of a broker set | no lower ones, if the set is known |
//! | an id | it is there, unless a clean that may have come later names it; then the set may be unknown, if all its ids are named |
//! | a clean | nobody is there whom it names and who was there before it began |
//!
//! Ids are given once, so that nothing of this asks in which order two cleans came.

use crate::course::Final;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use workload::history::{Call, History, Operation};

/// What was acknowledged for one set.
#[derive(Debug, Default)]
struct Acknowledged<'a> {
    epochs: (i32, i32),
    /// Of each id: the end of the grant that was heard first, and the begin of the one that was asked for last.
    given: BTreeMap<i64, (u64, u64)>,
    /// Cleans that were carried out, or may have been.
    cleans: Vec<&'a Operation>,
}

impl<'a> Acknowledged<'a> {
    fn take(&mut self, operation: &'a Operation) {
        let took_effect = operation.outcome.took_effect();
        match &operation.call {
            Call::Clean { .. } if operation.outcome.may_take_effect() => {
                self.cleans.push(operation);
            }
            Call::ApplyId { id, .. } if took_effect => {
                let (begin, end) = (operation.invoked, operation.heard().unwrap_or(u64::MAX));
                let (heard, asked) = self.given.get(id).copied().unwrap_or((end, begin));
                self.given.insert(*id, (heard.min(end), asked.max(begin)));
            }
            Call::Clean { .. }
            | Call::ApplyId { .. }
            | Call::Read
            | Call::ReadNextId
            | Call::Register { .. }
            | Call::Elect { .. }
            | Call::Alter { .. } => {}
        }
        if let Some(seen) = operation.outcome.seen().filter(|_| took_effect)
            && let (Some(master), Some(set)) = (seen.master_epoch, seen.set_epoch)
        {
            self.epochs = self.epochs.max((master, set));
        }
    }

    /// Who must be there, and who must not.
    fn members(&self) -> (BTreeSet<i64>, BTreeSet<i64>) {
        let (mut here, mut gone) = (BTreeSet::new(), BTreeSet::new());
        for (id, (heard, asked)) in &self.given {
            let mut may_go = false;
            for clean in self.cleans.iter().filter(|clean| names(&clean.call, *id)) {
                may_go |= clean.heard().is_none_or(|finished| finished >= *asked);
                if clean.outcome.took_effect() && *heard < clean.invoked {
                    gone.insert(*id);
                }
            }
            if !may_go {
                here.insert(*id);
            }
        }
        (here, gone)
    }
}

fn names(clean: &Call, id: i64) -> bool {
    matches!(clean, Call::Clean { ids, .. } if ids.is_empty() || ids.contains(&id))
}

/// Acknowledged changes that a controller does not have at the end.
pub(super) fn lost(history: &History, finals: &[Final]) -> Vec<String> {
    let mut promised: BTreeMap<&str, Acknowledged<'_>> = BTreeMap::new();
    for operation in &history.operations {
        promised.entry(&operation.set).or_default().take(operation);
    }
    let members: BTreeMap<&str, _> =
        promised.iter().map(|(set, promised)| (*set, promised.members())).collect();
    let (mut lost, mut unanswered) = (Vec::new(), 0);
    for Final { node, set: name, said } in finals {
        let (Some(promised), Some((here, gone))) = (promised.get(&**name), members.get(&**name))
        else {
            continue;
        };
        if *said == Some(Value::Null) {
            if !here.is_empty() {
                let here: Vec<&i64> = here.iter().collect();
                lost.push(format!(
                    "LOST: set {name} is unknown at n{node}, with the acknowledged ids {here:?}"
                ));
            }
            continue;
        }
        // What names another set is no answer.
        let Some(found) = said.as_ref().filter(|found| found["brokerName"] == **name) else {
            unanswered += 1;
            continue;
        };
        let number =
            |key: &str| found[key].as_i64().and_then(|n| i32::try_from(n).ok()).unwrap_or(-1);
        let epochs = (number("masterEpoch"), number("syncStateSetEpoch"));
        if epochs < promised.epochs {
            lost.push(format!(
                "LOST: set {name} is at {epochs:?} at n{node}; {:?} was acknowledged",
                promised.epochs
            ));
        }
        let replicas = found["replicas"].as_array().map(Vec::as_slice).unwrap_or_default();
        let ids: BTreeSet<i64> = replicas.iter().filter_map(|one| one["id"].as_i64()).collect();
        let missing: Vec<&i64> = here.difference(&ids).collect();
        if !missing.is_empty() {
            lost.push(format!(
                "LOST: set {name} lacks at n{node} the acknowledged ids {missing:?}"
            ));
        }
        let back: Vec<&i64> = gone.intersection(&ids).collect();
        if !back.is_empty() {
            lost.push(format!(
                "LOST: set {name} has at n{node} the ids {back:?}, which were cleaned"
            ));
        }
    }
    if unanswered > 0 {
        lost.push(format!("{unanswered} questions about broker sets had no answer at the end"));
    }
    lost
}

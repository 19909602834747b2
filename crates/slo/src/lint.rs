//! Two versions of a file: what the newer one asks less of.
//!
//! A loosening needs a waiver in the newer file that has not run out. Moving an objective to another workload, figure or
//! quantile counts as loosening too, since nobody can say that it asks as much; unless another objective of the newer file
//! asks the same of the same workload instead.

use measure::judged::Better;

use crate::file::{Objective, Objectives, Production};
use crate::soak::Growth;

/// One thing that the newer file asks less of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Loosened {
    /// Which objective, or `[ratchet]`.
    pub id: String,
    /// From what to what.
    pub what: String,
    /// Whether a waiver covers it today.
    pub is_waived: bool,
}

/// What `new` asks less of than `old`. `today` is a day such as `2026-12-01`.
#[must_use]
pub fn loosened(old: &Objectives, new: &Objectives, today: &str) -> Vec<Loosened> {
    let mut all = Vec::new();
    let mut add = |id: &str, what: String| {
        let is_waived = new.waived(id, today).is_some();
        all.push(Loosened { id: id.to_owned(), what, is_waived });
    };
    for before in old.all() {
        let Some(named) = new.find(&before.id) else {
            add(&before.id, "it is gone".to_owned());
            continue;
        };
        let is_same = |it: &&Objective| it.sli == before.sli && it.workload == before.workload;
        let same = Some(named).filter(is_same).or_else(|| new.all().find(is_same));
        let after = same.unwrap_or(named);
        differences(before, after).into_iter().for_each(|what| add(&before.id, what));
    }
    let (before, after) = (&old.ratchet, &new.ratchet);
    let is_looser = after.promote_after > before.promote_after
        || after.days > before.days
        || after.headroom > before.headroom;
    if is_looser {
        add("[ratchet]", format!("{before:?} -> {after:?}: bars would move later, or less"));
    }
    let limits = |it: &Objectives| {
        let Growth { memory, files, threads, journal, p99 } = it.soak.growth;
        [
            ("budget", it.soak.budget),
            ("growth.memory", memory),
            ("growth.files", files),
            ("growth.threads", threads),
            ("growth.journal", journal),
            ("growth.p99", p99),
        ]
    };
    for ((what, before), (_, after)) in limits(old).into_iter().zip(limits(new)) {
        if after > before {
            add("[soak]", format!("{what}: {before} -> {after}"));
        }
    }
    all
}

fn differences(before: &Objective, after: &Objective) -> Vec<String> {
    let mut all = Vec::new();
    if before.sli != after.sli || before.workload != after.workload {
        let words = |it: &Objective| format!("{} on {}", it.sli.words(), it.workload);
        all.push(format!("another figure: {} -> {}", words(before), words(after)));
        return all;
    }
    let (old, new) = (&before.minimum, &after.minimum);
    let is_looser = match before.sli.of.better() {
        Better::Lower => new.value > old.value,
        Better::Higher => new.value < old.value,
    };
    if is_looser {
        all.push(format!("bar: {} -> {} {}", old.value, new.value, before.sli.of.unit()));
    }
    let times = (old.times.unwrap_or_default(), new.times.unwrap_or_default());
    if times.1 > times.0 || (new.floor.is_some() && old.floor.is_some() && new.floor != old.floor) {
        all.push(format!("floor: {} x {:?} -> {} x {:?}", times.0, old.floor, times.1, new.floor));
    }
    match (&before.prod, &after.prod) {
        (Some(_), None) => all.push("prod: it is gone".to_owned()),
        (Some(old), Some(new)) if is_weaker(old, new) => {
            all.push(format!("prod: {old:?} -> {new:?}"));
        }
        (Some(_) | None, Some(_)) | (None, None) => {}
    }
    all
}

fn is_weaker(old: &Production, new: &Production) -> bool {
    old.kind != new.kind
        || new.seconds > old.seconds
        || new.ratio < old.ratio
        || new.min_rps > old.min_rps
}

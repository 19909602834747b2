//! The fast judge: a broker set is a versioned register, so order can be read off the versions.
//!
//! ```text
//! time ──►   A: alter makes (3,6)   ├────┤
//!            B: read sees (3,5)                ├───┤      stale: A was over before B was asked
//! ```
//!
//! Master epoch and set epoch only rise, every change raises at least one of them, and answers
//! show them; the next broker id only rises, too. So, for each of these counters:
//!
//! 1. Nothing that finished before B was invoked saw more than B saw, or as much as B made.
//! 2. A fencing answer needs a moment at which the counter differed from what the request gave.
//!
//! and for all of them together:
//!
//! 3. Versions (pairs of epochs) form one line, one content each, and one master each master epoch.
//! 4. One writer for each value, one check code for each id.
//! 5. In a complete history a set epoch rises only by elections, and by changes that somebody asked for.
//! 6. In a complete history whoever is named has an id and was not cleaned, a master is in its sync-state set, and
//!    a broker set with a broker is known.
//!
//! Where every answer shows both epochs, 1 and 3 are exact: sorted by version, writers first,
//! operations stand in an order that respects time. The lower bounds that fencing answers give are
//! the smallest possible, so what 2 finds is false for certain; what it leaves, where a fencing
//! answer is squeezed between the two epochs, is left to the search.
//!
//! Cost: two sorts of the operations of a broker set; each clean is held against each id.
//!
//! Source: RELIABILITY.md section 3; rests on C2, C3, C9, which the simulator checks on its own.

mod brokers;
mod facts;
mod line;

use super::{Part, Rule, Violation};
use crate::history::History;
use facts::{Claim, Counter, Fact};

/// Judges every broker set; at most one violation each.
#[must_use]
pub fn check(history: &History) -> Vec<Violation> {
    super::parts(history).filter_map(|part| check_set(&part)).collect()
}

/// Judges one broker set.
#[must_use]
pub fn check_set(part: &Part<'_>) -> Option<Violation> {
    if let Some(violation) = facts::answers_that_do_not_fit(part) {
        return Some(violation);
    }
    let facts = facts::of(part);
    Counter::ALL
        .into_iter()
        .find_map(|counter| sweep(part, &facts, counter))
        .or_else(|| facts::made_twice(part, &facts))
        .or_else(|| line::check(part))
        .or_else(|| brokers::check(part))
}

/// Goes through begins and ends in time and keeps the largest value that is known to be reached.
fn sweep(part: &Part<'_>, facts: &[Fact], counter: Counter) -> Option<Violation> {
    let mut events: Vec<(u64, bool, usize)> = Vec::with_capacity(facts.len() * 2);
    for (index, fact) in facts.iter().enumerate() {
        if fact.claim(counter).is_some() {
            events.push((fact.invoked, false, index));
            events.extend(fact.finished.map(|finished| (finished, true, index)));
        }
    }
    // Begins first at equal times: who touches, overlaps.
    events.sort_unstable();
    let mut floor: Option<Floor> = None;
    let mut reached: Vec<Option<i64>> = vec![None; facts.len()];
    for (_, is_end, index) in events {
        let Some(fact) = facts.get(index) else { continue };
        let Some(claim) = fact.claim(counter) else { continue };
        if is_end {
            let value = reached.get(index).copied().flatten();
            if let Some(value) =
                value.filter(|value| floor.is_none_or(|floor| *value > floor.value))
            {
                floor = Some(Floor { value, place: fact.place });
            }
            continue;
        }
        if let Some(floor) = floor
            && claim.contradicts(floor.value)
        {
            let reason = reason(counter, claim, floor.value);
            return Some(part.violation(Rule::Stale, vec![floor.place, fact.place], reason));
        }
        if let Some(slot) = reached.get_mut(index) {
            *slot = claim.reaches(floor.map(|floor| floor.value)).filter(|_| fact.is_certain);
        }
    }
    None
}

/// The largest value that some finished operation showed.
#[derive(Clone, Copy)]
struct Floor {
    value: i64,
    place: usize,
}

fn reason(counter: Counter, claim: Claim, floor: i64) -> String {
    let before = format!("had reached {floor} before the second operation was invoked");
    match claim {
        Claim::Saw(value) => format!("{counter} {before}, which saw {value}"),
        Claim::Made(value) => {
            format!("{counter} {before}, which made {value}: one of the two changes is lost")
        }
        Claim::AtLeast(_) | Claim::Differs(_) | Claim::RefusedId(_) => {
            format!("{counter} {before}, which denies it")
        }
    }
}

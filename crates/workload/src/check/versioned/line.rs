//! All versions of a broker set stand on one line: master epoch and set epoch rise together.
//!
//! ```text
//! (0,0) ── (1,1) ── (1,2) ── (2,3) ── (3,3)      an election raises both, or the first alone when it
//!                     │                          takes a master away; an alter raises the second
//!                   (1,2) {1,2}                  one content each
//! ```
//!
//! A version is known from answers, and from requests: an alter that was carried out at (3,5) says
//! that (3,5) was there.

use super::facts::{may_clean, sorted};
use crate::check::{Part, Rule, Violation};
use crate::history::{Call, NOBODY, Operation, Outcome};

/// One look at a version.
#[derive(Clone, Debug)]
struct Look {
    master_epoch: i64,
    set_epoch: i64,
    place: Option<usize>,
    /// Whether an election made it out of the version with both epochs one lower.
    is_elected: bool,
    /// When the look was over; the end of time if it never was.
    finished: u64,
    master: Option<i64>,
    sync_state_set: Option<Vec<i64>>,
}

pub(super) fn check(part: &Part<'_>) -> Option<Violation> {
    let mut looks: Vec<Look> =
        part.operations().flat_map(|(place, operation)| looks(place, operation)).collect();
    if part.history.is_complete {
        looks.push(Look {
            master_epoch: 0,
            set_epoch: 0,
            place: None,
            is_elected: false,
            finished: u64::MAX,
            master: None,
            sync_state_set: None,
        });
    }
    looks.sort_by_key(|look| (look.master_epoch, look.set_epoch, look.finished));
    fork(part, &looks)
        .or_else(|| two_masters(part, &looks))
        .or_else(|| two_contents(part, &looks))
        .or_else(|| orphan(part, &looks))
}

fn looks(place: usize, operation: &Operation) -> Vec<Look> {
    let finished = operation.finished.unwrap_or(u64::MAX);
    let look = |master_epoch: i32, set_epoch: i32| Look {
        master_epoch: i64::from(master_epoch),
        set_epoch: i64::from(set_epoch),
        place: Some(place),
        is_elected: false,
        finished,
        master: None,
        sync_state_set: None,
    };
    if let Call::Alter { master, master_epoch, set_epoch, new_set } = &operation.call {
        if !operation.outcome.took_effect() {
            return Vec::new();
        }
        let before = Look { master: Some(*master), ..look(*master_epoch, *set_epoch) };
        let after = Look {
            set_epoch: before.set_epoch.saturating_add(1),
            sync_state_set: Some(sorted(new_set)),
            ..before
        };
        return vec![before, after];
    }
    let Some(seen) = operation.outcome.seen() else { return Vec::new() };
    let (Some(master_epoch), Some(set_epoch)) = (seen.master_epoch, seen.set_epoch) else {
        return Vec::new();
    };
    let shown = Look {
        master: seen.master,
        sync_state_set: seen.sync_state_set.as_deref().map(sorted),
        ..look(master_epoch, set_epoch)
    };
    if matches!(operation.call, Call::Elect { .. }) && operation.outcome.took_effect() {
        let before = look(master_epoch.saturating_sub(1), set_epoch.saturating_sub(1));
        return vec![before, Look { is_elected: true, ..shown }];
    }
    vec![shown]
}

fn both(left: &Look, right: &Look) -> Vec<usize> {
    left.place.into_iter().chain(right.place).collect()
}

fn fork(part: &Part<'_>, looks: &[Look]) -> Option<Violation> {
    if let Some((left, right)) = pairs(looks).find(|(left, right)| right.set_epoch < left.set_epoch)
    {
        let reason = format!("{} and {} cannot both have been", version(left), version(right));
        return Some(part.violation(Rule::Forked, both(left, right), reason));
    }
    // An election goes from one version to the next; none lies between.
    let mut below: Option<&Look> = None;
    let mut current: Option<&Look> = None;
    for look in looks {
        let is_same = |other: &Look| {
            (other.master_epoch, other.set_epoch) == (look.master_epoch, look.set_epoch)
        };
        if !current.is_some_and(is_same) {
            (below, current) = (current, Some(look));
        }
        let Some(below) = below.filter(|_| look.is_elected) else { continue };
        let came_from = (look.master_epoch.saturating_sub(1), look.set_epoch.saturating_sub(1));
        if (below.master_epoch, below.set_epoch) != came_from {
            let reason = format!(
                "{} cannot have been: an election made {} at once out of {came_from:?}",
                version(below),
                version(look)
            );
            return Some(part.violation(Rule::Forked, both(below, look), reason));
        }
    }
    None
}

fn version(look: &Look) -> String {
    format!("({}, {})", look.master_epoch, look.set_epoch)
}

fn pairs(looks: &[Look]) -> impl Iterator<Item = (&Look, &Look)> {
    looks.iter().zip(looks.iter().skip(1))
}

fn two_masters(part: &Part<'_>, looks: &[Look]) -> Option<Violation> {
    let mut known: Option<(&Look, i64)> = None;
    for look in looks {
        let Some(master) = look.master else { continue };
        if let Some((first, other)) = known
            && first.master_epoch == look.master_epoch
            && other != master
        {
            let reason = format!(
                "two masters in master epoch {}: {} and {}",
                look.master_epoch,
                name(other),
                name(master)
            );
            return Some(part.violation(Rule::TwoOfOne, both(first, look), reason));
        }
        known = Some((look, master));
    }
    None
}

fn name(master: i64) -> String {
    if master == NOBODY { "nobody".to_owned() } else { format!("broker {master}") }
}

fn two_contents(part: &Part<'_>, looks: &[Look]) -> Option<Violation> {
    let mut known: Option<(&Look, &Vec<i64>)> = None;
    for look in looks {
        let Some(set) = &look.sync_state_set else { continue };
        if let Some((first, other)) = known
            && (first.master_epoch, first.set_epoch) == (look.master_epoch, look.set_epoch)
            && other != set
        {
            let reason = format!("two sync-state sets of version {}", version(look));
            return Some(part.violation(Rule::TwoOfOne, both(first, look), reason));
        }
        known = Some((look, set));
    }
    None
}

/// A rise of the set epoch that neither an election nor anybody in a complete history can have made.
fn orphan(part: &Part<'_>, looks: &[Look]) -> Option<Violation> {
    if !part.history.is_complete {
        return None;
    }
    let mut made = Vec::new();
    let mut may_have_made = Vec::new();
    let mut cleans = Vec::new();
    for (_, operation) in part.operations() {
        if let Call::Alter { set_epoch, .. } = operation.call {
            let made_epoch = i64::from(set_epoch).saturating_add(1);
            if operation.outcome.took_effect() {
                made.push(made_epoch);
            } else if operation.outcome == Outcome::Unknown {
                may_have_made.push((made_epoch, operation.invoked));
            }
        } else if may_clean(operation) {
            cleans.push(operation.invoked);
        }
    }
    made.sort_unstable();
    may_have_made.sort_unstable();
    cleans.sort_unstable();
    let below = |epoch: i64| made.partition_point(|made| *made <= epoch);
    for (left, right) in pairs(looks) {
        let rise = right.set_epoch.saturating_sub(left.set_epoch);
        let elections = right.master_epoch.saturating_sub(left.master_epoch);
        let alters = below(right.set_epoch).saturating_sub(below(left.set_epoch));
        let missing = usize::try_from(rise.saturating_sub(elections)).unwrap_or(0);
        let missing = missing.saturating_sub(alters);
        if missing == 0 {
            continue;
        }
        let from = may_have_made.partition_point(|(epoch, _)| *epoch <= left.set_epoch);
        let to = may_have_made.partition_point(|(epoch, _)| *epoch <= right.set_epoch);
        let candidates = may_have_made.get(from..to).unwrap_or_default();
        let unknown = candidates.iter().filter(|(_, invoked)| *invoked <= right.finished).count();
        let cleans = cleans.partition_point(|invoked| *invoked <= right.finished);
        if missing > unknown + cleans {
            let reason = format!(
                "between {} and {} lie {missing} changes of the sync-state set that nobody asked for",
                version(left),
                version(right)
            );
            return Some(part.violation(Rule::Orphan, both(left, right), reason));
        }
    }
    None
}

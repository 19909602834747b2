//! Tries every order of a small history, one state at a time, with no memo and no cleverness.
//!
//! Written apart from the search and its model, so that one mistake is not made twice: elections
//! that nobody asked for are tried here, every number of them.

use std::collections::BTreeMap;
use workload::history::{Call, History, NOBODY, Operation, Outcome, Seen};

/// No answer of the small world shows an epoch above this, and no refusal needs one above the next.
const EPOCH_MAX: i32 = 6;

#[derive(Clone)]
struct World {
    is_complete: bool,
    master_epoch: i32,
    set_epoch: i32,
    /// None: whoever an unseen election chose.
    master: Option<i64>,
    in_sync: Option<Vec<i64>>,
    next_id: i64,
    is_known: bool,
    owners: BTreeMap<i64, String>,
}

/// Whether some order explains every answer.
pub(crate) fn can_be(history: &History) -> bool {
    let world = World {
        is_complete: history.is_complete,
        master_epoch: 0,
        set_epoch: 0,
        master: None,
        in_sync: None,
        next_id: 1,
        is_known: !history.is_complete,
        owners: BTreeMap::new(),
    };
    let left: Vec<&Operation> = history.operations.iter().collect();
    place_next(&world, &left)
}

fn place_next(world: &World, left: &[&Operation]) -> bool {
    if left.iter().all(|operation| operation.outcome == Outcome::Unknown) {
        return true;
    }
    (0..left.len()).any(|at| {
        let comes_first = left.iter().all(|other| {
            let end = if other.outcome == Outcome::Unknown { None } else { other.finished };
            end.is_none_or(|end| end >= left[at].invoked)
        });
        if !comes_first {
            return false;
        }
        let mut rest = left.to_vec();
        rest.remove(at);
        drift(world, |world| {
            let then = match (&left[at].call, &left[at].outcome) {
                (Call::Clean { ids, living }, Outcome::Ok(_) | Outcome::Unknown) => {
                    cleaned(world, ids, *living)
                }
                _ => after(world, left[at]).into_iter().collect(),
            };
            then.iter().any(|world| place_next(world, &rest))
        })
    })
}

/// Tries `then` in this world and in every one that unseen elections, or unseen clients, make of it.
fn drift(world: &World, mut then: impl FnMut(&World) -> bool) -> bool {
    (0..=EPOCH_MAX - world.master_epoch.min(EPOCH_MAX)).any(|elections| {
        let most = if world.is_complete { elections } else { EPOCH_MAX };
        (0..=most).any(|rise| {
            let mut other = world.clone();
            other.master_epoch += elections;
            other.set_epoch += rise;
            if elections > 0 {
                other.master = None;
            }
            if elections > 0 || rise > 0 {
                other.in_sync = None;
            }
            other.set_epoch <= EPOCH_MAX && then(&other)
        })
    })
}

fn after(world: &World, operation: &Operation) -> Option<World> {
    let mut world = world.clone();
    let unseen = Seen::default();
    match (&operation.call, &operation.outcome) {
        (Call::Read, Outcome::Ok(seen)) => {
            let is_there = world.is_known
                && seen.master_epoch == Some(world.master_epoch)
                && seen.set_epoch == Some(world.set_epoch);
            if !is_there || !has(&world, seen.master, seen.sync_state_set.as_ref()) {
                return None;
            }
            learn(&mut world, seen).then_some(world)
        }
        (Call::Read, Outcome::Refused { code: 2008, .. }) => {
            (!world.is_known || !world.is_complete).then_some(world)
        }
        (Call::ReadNextId, Outcome::Ok(seen)) => {
            (seen.next_id == Some(world.next_id)).then_some(world)
        }
        (Call::Elect { .. }, Outcome::Ok(seen)) => {
            world.master_epoch += 1;
            world.set_epoch += 1;
            (world.master, world.in_sync) = (None, None);
            let is_it = world.is_known
                && has(&world, seen.master, seen.sync_state_set.as_ref())
                && seen.master_epoch == Some(world.master_epoch)
                && seen.set_epoch == Some(world.set_epoch);
            (is_it && learn(&mut world, seen)).then_some(world)
        }
        (Call::Alter { master, master_epoch, set_epoch, new_set }, outcome) => match outcome {
            Outcome::Refused { code: 2000, .. } => {
                (world.master_epoch != *master_epoch).then_some(world)
            }
            Outcome::Refused { code: 2001, .. } => {
                let is_it = world.master_epoch == *master_epoch && world.set_epoch != *set_epoch;
                is_it.then_some(world)
            }
            _ => {
                let is_current = world.is_known
                    && has(&world, Some(*master), Some(new_set))
                    && (world.master_epoch, world.set_epoch) == (*master_epoch, *set_epoch);
                if !is_current || world.master.is_some_and(|known| known != *master) {
                    return None;
                }
                world.master = Some(*master);
                world.set_epoch += 1;
                world.in_sync = Some(new_set.clone());
                Some(world)
            }
        },
        (Call::ApplyId { id, check_code }, outcome) => applied(world, *id, check_code, outcome),
        _ => {
            assert_eq!(operation.outcome.seen(), Some(&unseen), "not in the small world");
            Some(world)
        }
    }
}

/// Whether those who are named are there, and the master is in sync.
fn has(world: &World, master: Option<i64>, in_sync: Option<&Vec<i64>>) -> bool {
    if !world.is_complete {
        return true;
    }
    let master = master.filter(|master| *master != NOBODY);
    let named = in_sync.into_iter().flatten().chain(&master);
    let is_in_sync = |master| in_sync.is_none_or(|ids| ids.contains(&master));
    named.into_iter().all(|id| world.owners.contains_key(id)) && master.is_none_or(is_in_sync)
}

/// Every world that a clean may leave; who was in sync or master after an unseen election may be among
/// the cleaned or not.
fn cleaned(world: &World, ids: &[i64], living: bool) -> Vec<World> {
    assert!(world.is_complete, "cleans are in the small world of complete histories only");
    let is_led = world.master.is_some_and(|master| master != NOBODY);
    if !world.is_known || ids.is_empty() && !living && is_led {
        return Vec::new();
    }
    let is_named = |id: &i64| ids.is_empty() || ids.contains(id);
    let mut left = world.clone();
    left.owners.retain(|id, _| !is_named(id));
    if left.owners.is_empty() {
        left.master_epoch += 1;
        left.set_epoch += 1;
        (left.master, left.in_sync, left.is_known) = (None, None, false);
        return vec![left];
    }
    if left.owners.len() == world.owners.len() {
        return vec![left];
    }
    let mut worlds = Vec::new();
    for (shrinks, loses_master) in [(false, false), (true, false), (true, true)] {
        let fits_set = world.in_sync.as_ref().is_none_or(|set| set.iter().any(is_named) == shrinks);
        let fits_master = world.master.is_none_or(|master| is_named(&master) == loses_master);
        if !fits_set || !fits_master {
            continue;
        }
        let mut then = left.clone();
        then.set_epoch += i32::from(shrinks);
        then.master_epoch += i32::from(loses_master);
        if let Some(set) = &mut then.in_sync {
            set.retain(|id| !is_named(id));
        }
        then.master = if loses_master { Some(NOBODY) } else { then.master };
        worlds.push(then);
    }
    worlds
}

fn applied(mut world: World, id: i64, check_code: &str, outcome: &Outcome) -> Option<World> {
    let owner = world.owners.get(&id);
    if matches!(outcome, Outcome::Refused { .. }) {
        let is_below = id < world.next_id;
        let is_first = world.next_id == 1 && id != 1;
        return (is_below || is_first).then_some(world);
    }
    if let Some(owner) = owner {
        return (*owner == check_code).then_some(world);
    }
    // Whoever was cleaned is no owner any more, and its id is below the next.
    if id < world.next_id {
        return None;
    }
    world.owners.insert(id, check_code.to_owned());
    world.next_id = id + 1;
    world.is_known = true;
    Some(world)
}

fn learn(world: &mut World, seen: &Seen) -> bool {
    let same_master = world.master.is_none_or(|known| Some(known) == seen.master);
    let same_set =
        world.in_sync.as_ref().is_none_or(|known| Some(known) == seen.sync_state_set.as_ref());
    world.master = seen.master;
    world.in_sync = seen.sync_state_set.clone();
    same_master && same_set
}

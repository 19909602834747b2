//! True histories: a small broker set that really exists, asked by clients that overlap.
//!
//! Operations are carried out one after the other; each begins some time before its turn and ends
//! some time after it. Now and then the controllers elect by themselves, an answer is lost, an
//! operator cleans.

use workload::history::{Call, History, NOBODY, Operation, Outcome, Seen};

/// `SplitMix64`.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed ^ 0xA5A5_5A5A)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn pick<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        if list.is_empty() {
            return None;
        }
        list.get(self.below(list.len() as u64) as usize)
    }
}

pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) operations_count: usize,
    pub(crate) clients_count: u32,
}

struct Truth {
    master_epoch: i32,
    set_epoch: i32,
    master: i64,
    in_sync: Vec<i64>,
    replicas: Vec<i64>,
    next_id: i64,
    is_known: bool,
}

impl Truth {
    fn seen(&self) -> Seen {
        Seen {
            master_epoch: Some(self.master_epoch),
            set_epoch: Some(self.set_epoch),
            master: Some(self.master),
            sync_state_set: Some(self.in_sync.clone()),
            next_id: None,
        }
    }

    fn elect(&mut self, id: i64) {
        self.master_epoch += 1;
        self.set_epoch += 1;
        (self.master, self.in_sync) = (id, vec![id]);
    }
}

pub(crate) fn true_history(plan: Plan) -> History {
    let mut numbers = Numbers::new(plan.seed);
    let mut truth = Truth {
        master_epoch: 0,
        set_epoch: 0,
        master: NOBODY,
        in_sync: Vec::new(),
        replicas: Vec::new(),
        next_id: 1,
        is_known: false,
    };
    let mut operations = Vec::new();
    // When each client is free again.
    let mut free = vec![0_u64; plan.clients_count as usize];
    let mut now = 10;
    while operations.len() < plan.operations_count {
        now += 1 + numbers.below(4);
        if truth.master != NOBODY && numbers.below(12) == 0 {
            elect_unasked(&mut truth, &mut numbers);
        }
        let client = numbers.below(free.len() as u64) as usize;
        if free[client] >= now {
            continue;
        }
        let (call, outcome) = turn(&mut truth, &mut numbers, operations.len());
        let invoked = (now - numbers.below(9).min(now)).max(free[client] + 1);
        let finished = now + numbers.below(9);
        free[client] = finished;
        let is_lost = call.can_write() && numbers.below(15) == 0;
        let was_done = outcome.took_effect();
        let (finished, outcome) = match (is_lost, numbers.below(2)) {
            (false, _) => (Some(finished), outcome),
            (true, 0) => (None, Outcome::Unknown),
            (true, _) if was_done => {
                (None, Outcome::TookEffect(outcome.seen().cloned().unwrap_or_default()))
            }
            (true, _) => (None, Outcome::Never),
        };
        let client = client as u32;
        let set = "s".into();
        operations.push(Operation { client, peer: None, set, invoked, finished, call, outcome });
    }
    History { is_complete: true, origin: format!("seed {}", plan.seed), operations }
}

fn elect_unasked(truth: &mut Truth, numbers: &mut Numbers) {
    let others: Vec<i64> = truth.in_sync.iter().copied().filter(|id| *id != truth.master).collect();
    match numbers.pick(&others) {
        Some(id) => truth.elect(*id),
        None => {
            truth.master_epoch += 1;
            truth.master = NOBODY;
        }
    }
}

fn turn(truth: &mut Truth, numbers: &mut Numbers, count: usize) -> (Call, Outcome) {
    let refused = |code| Outcome::Refused { code, seen: Seen::default() };
    match numbers.below(16) {
        0 | 1 => {
            let id = if numbers.below(4) == 0 { 1 } else { truth.next_id };
            let check_code = format!("broker {count}").into();
            let call = Call::ApplyId { id, check_code };
            if id < truth.next_id || truth.replicas.len() > 6 {
                return (call, refused(if id < truth.next_id { 2014 } else { 1 }));
            }
            truth.replicas.push(id);
            truth.next_id += 1;
            truth.is_known = true;
            (call, Outcome::Ok(Seen::default()))
        }
        2 => {
            let seen = Seen { next_id: Some(truth.next_id), ..Seen::default() };
            (Call::ReadNextId, Outcome::Ok(seen))
        }
        3 | 4 => {
            let id = numbers.pick(&truth.replicas).copied().unwrap_or(1);
            let call = Call::Elect { id, designate: false };
            if !truth.is_known {
                return (call, refused(2010));
            }
            if truth.master != NOBODY {
                return (call, Outcome::Refused { code: 2011, seen: truth.seen() });
            }
            truth.elect(id);
            (call, Outcome::Ok(truth.seen()))
        }
        5..=9 if truth.master != NOBODY => alter(truth, numbers),
        10 if numbers.below(6) == 0 && truth.is_known => clean(truth, numbers),
        _ if truth.is_known => (Call::Read, Outcome::Ok(truth.seen())),
        _ => (Call::Read, refused(2008)),
    }
}

fn alter(truth: &mut Truth, numbers: &mut Numbers) -> (Call, Outcome) {
    let refused = |code| Outcome::Refused { code, seen: Seen::default() };
    let (late, later) = (numbers.below(6) == 0, numbers.below(6) == 0);
    let mut new_set = vec![truth.master];
    for id in &truth.replicas {
        if *id != truth.master && numbers.below(2) == 0 {
            new_set.push(*id);
        }
    }
    let call = Call::Alter {
        master: truth.master,
        master_epoch: truth.master_epoch - i32::from(late),
        set_epoch: truth.set_epoch - i32::from(later),
        new_set: new_set.clone(),
    };
    new_set.sort_unstable();
    let mut now = truth.in_sync.clone();
    now.sort_unstable();
    if now == new_set {
        return (call, refused(2013));
    }
    if late || later {
        return (call, refused(if late { 2000 } else { 2001 }));
    }
    truth.set_epoch += 1;
    truth.in_sync = new_set;
    (call, Outcome::Ok(truth.seen()))
}

fn clean(truth: &mut Truth, numbers: &mut Numbers) -> (Call, Outcome) {
    let ids: Vec<i64> = match numbers.below(3) {
        0 => Vec::new(),
        _ => numbers.pick(&truth.replicas).into_iter().copied().collect(),
    };
    let living = numbers.below(2) == 0;
    if ids.is_empty() && !living && truth.master != NOBODY {
        let seen = Seen::default();
        return (Call::Clean { ids, living }, Outcome::Refused { code: 2009, seen });
    }
    let is_whole = ids.is_empty() || ids == truth.replicas;
    let changes_set = is_whole || truth.in_sync.iter().any(|id| ids.contains(id));
    let takes_master = is_whole || ids.contains(&truth.master);
    truth.set_epoch += i32::from(changes_set);
    truth.master_epoch += i32::from(takes_master);
    truth.replicas.retain(|id| !is_whole && !ids.contains(id));
    truth.in_sync.retain(|id| !is_whole && !ids.contains(id));
    if takes_master {
        truth.master = NOBODY;
    }
    truth.is_known = !is_whole;
    (Call::Clean { ids, living }, Outcome::Ok(Seen::default()))
}

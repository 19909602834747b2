//! An operator at every controller: closed loops, each with a broker set of its own, whose brokers it plays, too.
//!
//! ```text
//! round:  brokers come (1012, 1013, 1003, 904) ─► elections (1002), changes of the sync-state set (1001), deaths,
//!         cleans (1011), as script.rs has them ─► the whole set is cleaned ─► the same set again
//! ```
//!
//! Before each step it reads (1004), so that every effect of the one before is in the history. A broker lives while its
//! heartbeats go to every controller; with its death they end and its connections close. Nobody listens at the
//! address of these brokers, so that a close is soon a death.
//!
//! What it asks is judged by the same judges as all else. That a clean of a living broker is refused is asked and not
//! judged: no history says whether a heartbeat came. A dead broker whose clean one leader goes on to refuse is an
//! accident. Its attempts are no samples: it is often refused, as it means
//! to be. No fault aims at it; those of the controllers hit it as everybody.
//!
//! Only where the controllers are ours and the brokers are actors: upstream's controllers begin epochs and ids anew
//! after a clean and remove a whole set with one living broker (U10, U27), which is known, and would hide
//! in its findings what faults do to them.

mod script;

use super::clients::PATIENCE;
use super::lines::Lines;
use super::recorder::Recorder;
use super::{BROKER_PORT, CLUSTER};
use crate::actors::broker::{HEARTBEAT, HEARTBEAT_TIMEOUT};
use crate::clock;
use crate::draw::Draw;
use protocol::{
    ApplyBrokerId, BrokerHeartbeat, GetNextBrokerId, GetReplicaInfo, RegisterBroker, Request,
    Response, SyncStateSetBody, Text, response_code,
};
use script::{Act, Known, ROUND, Step, View};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// The names of its broker sets begin with this.
pub(crate) const SETS: &str = "op-";

/// The client number of its first loop, above those of all brokers.
const OPERATORS_FROM: u32 = 1_000_000;

/// Brokers of a set, when all are there.
pub(crate) const BROKERS: usize = 3;

/// Rounds with one set, before a loop goes on with another.
const ROUNDS_MAX: u32 = 10;

/// Pause between two steps, in ms.
const PAUSE_MS: (u64, u64) = (50, 200);

/// Pause after a request that was not carried out.
const RETRY: Duration = Duration::from_millis(50);

/// How often a dead broker's clean is asked for: until the controllers know that it is dead. Each leader has
/// [`REFUSED_MAX`] for it.
const CLEANS_MAX: u32 = 90;

/// Pause between two of these.
const CLEAN_AGAIN: Duration = Duration::from_millis(500);

/// For how long one leader may hold a dead broker alive. It gives a master that it never heard 10 s, forgives 3 s of a pause
/// of its own, and a broker is dead after [`HEARTBEAT_TIMEOUT`]; the rest is for clocks that go wrong and a busy machine.
const REFUSED_MAX: Duration = Duration::from_secs(30);

/// Whom it asks, from where, and who writes it down.
pub(crate) struct Operator {
    pub(crate) from: Ipv4Addr,
    pub(crate) controllers: Vec<SocketAddr>,
    pub(crate) recorder: Arc<Recorder>,
}

/// Runs the operator until its task is dropped.
pub(crate) async fn operate(operator: Operator, mut draw: Draw) {
    let mut loops = JoinSet::new();
    let operator = Arc::new(operator);
    for peer in 0..operator.controllers.len() {
        loops.spawn(operate_at(Arc::clone(&operator), peer, draw.fork()));
    }
    loops.join_all().await;
}

async fn operate_at(operator: Arc<Operator>, peer: usize, mut draw: Draw) {
    let lines = operator.lines(peer);
    for number in 0_u32.. {
        let mut set = Set {
            operator: &operator,
            lines: &lines,
            peer,
            name: format!("{SETS}{peer}-{number}"),
            living: BTreeMap::new(),
        };
        for _ in 0..ROUNDS_MAX {
            for step in ROUND {
                set.step(step, &mut draw).await;
                sleep(Duration::from_millis(draw.between(PAUSE_MS.0, PAUSE_MS.1))).await;
            }
        }
    }
}

impl Operator {
    fn lines(&self, peer: usize) -> Lines {
        let client = OPERATORS_FROM + u32::try_from(peer).unwrap_or_default();
        Lines::new((client, self.from), &self.controllers, PATIENCE, &self.recorder)
    }
}

/// One broker set and whoever lives in it.
struct Set<'a> {
    operator: &'a Operator,
    lines: &'a Lines,
    peer: usize,
    name: String,
    /// Dropping the heartbeats of a broker ends it.
    living: BTreeMap<i64, JoinSet<()>>,
}

impl Set<'_> {
    fn name(&self) -> Text {
        Text::copied(&self.name)
    }

    fn address(&self) -> String {
        format!("{}:{BROKER_PORT}", self.operator.from)
    }

    async fn step(&mut self, step: Step, draw: &mut Draw) {
        let view = self.look().await;
        let living: Vec<i64> = self.living.keys().copied().collect();
        let known = Known { set: &self.name, view, living: &living };
        match known.act(step, draw) {
            Act::Nothing => {}
            Act::Come => self.fill(draw).await,
            Act::Ask(request) => drop(self.ask(&request).await),
            Act::Bury { id, clean } => {
                drop(self.living.remove(&id));
                self.bury(id, &clean).await;
            }
            Act::Remove { ids, clean } => {
                let answer = self.ask(&clean).await;
                // Without an answer they may be gone: nobody beats for them any more.
                if answer.is_none_or(|answer| answer.code == response_code::SUCCESS) {
                    self.living.retain(|id, _| !ids.contains(id));
                }
            }
        }
    }

    /// One request; none if nobody knows what came of it.
    async fn ask(&self, request: &Request) -> Option<Response> {
        let answer = self.lines.ask(self.peer, request).await.ok();
        if answer.as_ref().is_none_or(|answer| answer.code != response_code::SUCCESS) {
            sleep(RETRY).await;
        }
        answer
    }

    /// What the set is, once the controller says so; none if it is unknown.
    async fn look(&self) -> Option<View> {
        let read = GetReplicaInfo { broker_name: Some(self.name()) };
        let read = Request::GetReplicaInfo(read);
        loop {
            let Some(answer) = self.ask(&read).await else { continue };
            match answer.code {
                response_code::SUCCESS => {}
                response_code::CONTROLLER_BROKER_METADATA_NOT_EXIST => return None,
                _ => continue,
            }
            let Some(body) = SyncStateSetBody::decode(&answer.body) else {
                sleep(RETRY).await;
                continue;
            };
            return Some(View {
                master: answer.ext.long("masterBrokerId"),
                master_epoch: answer.ext.int("masterEpoch").unwrap_or_default(),
                set_epoch: body.epoch,
                in_sync: body.sync_state_set,
            });
        }
    }

    /// Brokers come until there are enough, or one is not let in.
    async fn fill(&mut self, draw: &mut Draw) {
        while self.living.len() < BROKERS && self.come(draw).await.is_some() {}
    }

    /// One broker takes an id, registers and lives.
    async fn come(&mut self, draw: &mut Draw) -> Option<()> {
        let (cluster, address) = (Some(CLUSTER.into()), self.address());
        let next =
            GetNextBrokerId { cluster_name: cluster.clone(), broker_name: Some(self.name()) };
        let next = self.ask(&Request::GetNextBrokerId(next)).await?;
        let id = next.ext.long("nextBrokerId")?;
        let apply = ApplyBrokerId {
            cluster_name: cluster.clone(),
            broker_name: Some(self.name()),
            applied_broker_id: Some(id),
            register_check_code: Some(Text::from(format!("{address};{}", draw.bits()))),
        };
        let applied = self.ask(&Request::ApplyBrokerId(apply)).await?;
        if applied.code != response_code::SUCCESS {
            return None;
        }
        let register = RegisterBroker {
            cluster_name: cluster,
            broker_name: Some(self.name()),
            broker_id: Some(id),
            broker_address: Some(Text::from(address)),
            invoke_time_ms: 0,
        };
        // It has its id: who is in no sync-state set may live without.
        drop(self.ask(&Request::RegisterBroker(register)).await);
        self.living.insert(id, self.live(id));
        Some(())
    }

    /// Heartbeats of one broker to every controller, over connections of its own.
    fn live(&self, id: i64) -> JoinSet<()> {
        let beat = Request::Heartbeat(BrokerHeartbeat {
            cluster_name: Some(CLUSTER.into()),
            broker_address: Some(Text::from(self.address())),
            broker_name: Some(self.name()),
            broker_id: Some(id),
            max_offset: 1,
            confirm_offset: 1,
            heartbeat_timeout_ms: i64::try_from(HEARTBEAT_TIMEOUT.as_millis()).ok(),
            ..BrokerHeartbeat::default()
        });
        let lines = Arc::new(self.operator.lines(self.peer));
        let beat_on = |peer: usize| {
            let (lines, beat) = (Arc::clone(&lines), beat.clone());
            async move {
                loop {
                    lines.tell(peer, &beat, HEARTBEAT).await;
                    sleep(HEARTBEAT).await;
                }
            }
        };
        (0..self.operator.controllers.len()).map(beat_on).collect()
    }

    /// Cleans a broker that just died: refused as long as the controllers hold it alive.
    async fn bury(&self, id: i64, clean: &Request) {
        let recorder = &self.operator.recorder;
        let mut refusals = Refusals::default();
        for _ in 0..CLEANS_MAX {
            let code = self.ask(clean).await.map(|answer| answer.code);
            if code == Some(response_code::SUCCESS) {
                return;
            }
            let is_refused = code == Some(response_code::CONTROLLER_INVALID_CLEAN_BROKER_METADATA);
            let by = recorder.leader_in_term().filter(|_| is_refused);
            if refusals.are_too_long(by, clock::now()) {
                let within = REFUSED_MAX.as_secs();
                recorder.unburied(format!(
                    "NOT CLEANED: broker {id} of {} ended, and for {within} s one leader refused its clean",
                    self.name
                ));
                return;
            }
            sleep(CLEAN_AGAIN).await;
        }
    }
}

/// Refusals in a row under one leader.
#[derive(Debug, Default)]
struct Refusals {
    /// Whose, by term and place, and since when.
    first: Option<((u64, usize), u64)>,
}

impl Refusals {
    /// Takes one more; none if it was no refusal, or nobody knows whose.
    fn are_too_long(&mut self, by: Option<(u64, usize)>, at: u64) -> bool {
        let before = self.first.filter(|(whose, _)| Some(*whose) == by);
        self.first = before.or(by.map(|whose| (whose, at)));
        self.first.is_some_and(|(_, since)| Duration::from_nanos(at - since) >= REFUSED_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::Refusals;
    use crate::clock::SECOND;

    #[test]
    fn one_leader_may_not_refuse_for_long() {
        type Row = (u64, Option<(u64, usize)>);
        let check = |rows: &[Row], expected: bool| {
            let mut refusals = Refusals::default();
            let said = rows.iter().map(|(at, by)| refusals.are_too_long(*by, at * SECOND));
            assert_eq!(said.last(), Some(expected), "{rows:?}");
        };
        let (first, second) = (Some((4, 1)), Some((5, 1)));
        check(&[(7, first), (20, first), (37, first)], true);
        check(&[(7, first), (20, first), (36, first)], false);
        check(&[(7, first), (20, second), (49, second)], false);
        check(&[(7, first), (20, second), (50, second)], true);
        check(&[(7, first), (20, None), (37, first)], false);
        check(&[(7, None), (40, None)], false);
    }
}

//! The requests that make a fleet: ids and registrations, then elections and sync-state sets.
//!
//! They are writes, sent by [`client::Cluster`] beside the driver, so a change of leader in the
//! middle is no problem. Between the two steps the driver must have begun: controllers take no
//! member into a sync-state set that they have not heard.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use client::{CallError, Cluster, Deadline};
use protocol::{Request, Response, SyncStateSetBody, response_code};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::broker::{Identity, clean, poll};
use super::line::read_answers;
use super::plan::{By, Plan, REPLICAS, View};
use super::wire::{self, append_set};
use crate::canary::is_absent;
use crate::workload::Wire;

/// Sets that are founded or looked at at once.
const SETS_AT_ONCE: usize = 64;

/// How long one request may take.
const CALL: Duration = Duration::from_secs(10);

/// Pause before a request is made again that was refused or lost.
const RETRY: Duration = Duration::from_millis(200);

/// Keys of a store that are written before their answers are read.
const PRELOADED_AT_ONCE: usize = 256;

/// Attempts of one request.
const ATTEMPTS_MAX: u32 = 50;

/// How long all removals at the end of a run may take.
const REMOVAL: Duration = Duration::from_secs(60);

/// What a founded set's member ids are.
const MEMBERS: [i64; REPLICAS] = [1, 2, 3];

/// Why a set could not be founded.
#[derive(Debug, thiserror::Error)]
#[error("{step} of {set}: {why}")]
pub struct FoundingError {
    /// What was asked.
    step: &'static str,
    /// The broker set.
    set: String,
    /// What came instead of a good answer.
    why: String,
}

/// Gives every broker of the plan its id and registers it.
///
/// # Errors
/// - [`FoundingError`]: a request was refused or lost again and again.
pub(crate) async fn register(plan: &Plan, cluster: &Arc<Cluster>) -> Result<(), FoundingError> {
    for_each_set(plan, cluster, |asking, plan, set| async move {
        for (replica, id) in MEMBERS.into_iter().enumerate() {
            let address = plan.address(set, replica);
            let identity = Identity { set: &asking.set, id, address };
            asking.until_ok("id", &identity.apply()).await?;
            asking.until_ok("registration", &identity.register()).await?;
        }
        Ok(())
    })
    .await
    .map(drop)
}

/// Writes every key of a store once, so that reads find something.
///
/// # Errors
/// A text that says what the store answered, or that it does not.
pub(crate) fn preload(plan: &Plan) -> Result<(), String> {
    let Some(address) = plan.controllers.first() else { return Ok(()) };
    let sizes = plan.sources.iter().filter_map(|source| match source.by {
        By::Stream { keys, value_bytes, .. } => Some((keys, value_bytes)),
        By::Brokers { .. } | By::Masters { .. } | By::Reaction { .. } => None,
    });
    let is_store = !matches!(plan.wire, Wire::Controller | Wire::SelfTest);
    let Some((keys, value_bytes)) = sizes.max().filter(|_| is_store) else { return Ok(()) };
    let failed = |why: String| format!("filling {address}: {why}");
    let io = |error: std::io::Error| failed(error.to_string());
    let mut stream = TcpStream::connect(address).map_err(io)?;
    stream.set_read_timeout(Some(CALL)).map_err(io)?;
    let (mut partial, mut scratch) = (Vec::new(), vec![0; 64 * 1024]);
    for first in (0..keys).step_by(PRELOADED_AT_ONCE) {
        let batch = first..keys.min(first + PRELOADED_AT_ONCE);
        let mut requests = Vec::new();
        batch.clone().for_each(|key| append_set(plan.wire, key, value_bytes, &mut requests));
        stream.write_all(&requests).map_err(io)?;
        let (mut answered, mut refused) = (0, None);
        while answered < batch.len() {
            read_answers(plan.wire, &stream, &mut partial, &mut scratch, |answer| {
                answered += 1;
                if wire::code(plan.wire, false, answer) != 0 {
                    refused = Some(String::from_utf8_lossy(answer).into_owned());
                }
            })
            .map_err(io)?;
        }
        if let Some(answer) = refused {
            return Err(failed(format!("it answered {answer:?}")));
        }
    }
    Ok(())
}

/// Makes broker 1 the master of every set and takes all members into its sync-state set.
///
/// # Errors
/// - [`FoundingError`]: a request was refused or lost again and again.
pub(crate) async fn crown(plan: &Plan, cluster: &Arc<Cluster>) -> Result<Vec<View>, FoundingError> {
    for_each_set(plan, cluster, |asking, plan, set| async move {
        let address = plan.address(set, 0);
        let master = Identity { set: &asking.set, id: MEMBERS[0], address };
        let mut why = String::new();
        for _attempt in 0..ATTEMPTS_MAX {
            let view = asking.view().await?;
            let asked = match view.master {
                None => asking.call(&master.elect()).await,
                Some(_) if view.members == MEMBERS => return Ok(view),
                Some(_) => {
                    let alter = master.alter(view.master_epoch, MEMBERS.to_vec(), view.set_epoch);
                    asking.call(&alter).await
                }
            };
            if let Err(refused) = asked {
                why = refused;
                sleep(RETRY).await;
            }
        }
        Err(asking.failed("founding", why))
    })
    .await
}

/// Removes every set of the plan: see [`remove`].
///
/// # Errors
/// As [`remove`].
pub(crate) async fn remove_all(plan: &Plan, cluster: &Arc<Cluster>) -> Result<(), String> {
    let names = (0..plan.sets).map(|set| plan.set_name(set));
    remove(names.map(|name| (clean(&name), name)).collect(), cluster).await
}

/// Makes removals, each with the name of its set, so that controllers that others use keep nothing of a run. Sets that
/// were never founded are gone already. It takes [`REMOVAL`] at most.
///
/// # Errors
/// A text that says which set stays behind, and why.
pub(crate) async fn remove(
    removals: Vec<(Request, String)>,
    cluster: &Arc<Cluster>,
) -> Result<(), String> {
    let (sets, first) = (removals.len(), removals.first().map(|(_, set)| set.clone()));
    let turns = Arc::new(Semaphore::new(SETS_AT_ONCE));
    let mut working = JoinSet::new();
    for (removal, set) in removals {
        let (asking, turns) = (Asking { cluster: Arc::clone(cluster), set }, Arc::clone(&turns));
        working.spawn(async move {
            let _turn = turns.acquire().await;
            asking.until_ok("removal", &removal).await.map(drop)
        });
    }
    let mut kept = Ok(());
    let all = async {
        // One that stays must not keep the others: they are all tried first.
        while let Some(joined) = working.join_next().await {
            let removed = joined.expect("a task here neither panics nor is aborted");
            kept = std::mem::replace(&mut kept, Ok(())).and(removed);
        }
    };
    if timeout(REMOVAL, all).await.is_err() {
        let (seconds, first) = (REMOVAL.as_secs(), first.unwrap_or_default());
        return Err(format!(
            "not all of {sets} sets from {first} on were removed within {seconds} s (REMOVAL): does the target have a leader?"
        ));
    }
    kept.map_err(|error: FoundingError| error.to_string())
}

/// What the controllers say of every set of the plan.
///
/// # Errors
/// - [`FoundingError`]: a request was refused or lost again and again.
pub(crate) async fn views(plan: &Plan, cluster: &Arc<Cluster>) -> Result<Vec<View>, FoundingError> {
    for_each_set(plan, cluster, |asking, _plan, _set| async move { asking.view().await }).await
}

/// What an answer to a poll says.
pub(crate) fn view(answer: &Response) -> View {
    let body = SyncStateSetBody::decode(&answer.body).unwrap_or_default();
    let mut members = body.sync_state_set;
    members.sort_unstable();
    View {
        // Upstream leaves a missing master out, or says -1.
        master: answer.ext.long("masterBrokerId").filter(|id| *id > 0),
        master_epoch: answer.ext.int("masterEpoch").unwrap_or_default(),
        members,
        set_epoch: body.epoch,
    }
}

/// One set and whom to ask about it.
struct Asking {
    cluster: Arc<Cluster>,
    set: String,
}

impl Asking {
    async fn view(&self) -> Result<View, FoundingError> {
        self.until_ok("poll", &poll(&self.set)).await.map(|answer| view(&answer))
    }

    /// Asks until the answer is good. All requests here may be made twice.
    async fn until_ok(
        &self,
        step: &'static str,
        request: &Request,
    ) -> Result<Response, FoundingError> {
        let mut why = String::new();
        for _attempt in 0..ATTEMPTS_MAX {
            match self.call(request).await {
                Ok(answer) => return Ok(answer),
                Err(refused) => why = refused,
            }
            sleep(RETRY).await;
        }
        Err(self.failed(step, why))
    }

    async fn call(&self, request: &Request) -> Result<Response, String> {
        let answer = self.cluster.call(request, Deadline::after(CALL)).await;
        let answer = answer.map_err(|error: CallError| error.to_string())?;
        let remark = answer.remark.as_deref().unwrap_or_default();
        if answer.code == response_code::SUCCESS || is_gone(request, answer.code, remark) {
            return Ok(answer);
        }
        Err(format!("code {}: {remark}", answer.code))
    }

    fn failed(&self, step: &'static str, why: String) -> FoundingError {
        FoundingError { step, set: self.set.clone(), why }
    }
}

/// Whether a removal is refused since there is nothing to remove: the code alone stands for living brokers, too.
fn is_gone(request: &Request, code: i32, remark: &str) -> bool {
    matches!(request, Request::CleanBrokerData(_))
        && code == response_code::CONTROLLER_INVALID_CLEAN_BROKER_METADATA
        && is_absent(remark)
}

/// Does `work` for every set of the plan, some at once; the results in the order of the sets.
async fn for_each_set<T, F>(
    plan: &Plan,
    cluster: &Arc<Cluster>,
    work: impl Fn(Asking, Arc<Plan>, usize) -> F,
) -> Result<Vec<T>, FoundingError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, FoundingError>> + Send + 'static,
{
    let plan = Arc::new(plan.clone());
    let turns = Arc::new(Semaphore::new(SETS_AT_ONCE));
    let mut working = JoinSet::new();
    for set in 0..plan.sets {
        let asking = Asking { cluster: Arc::clone(cluster), set: plan.set_name(set) };
        let (work, turns) = (work(asking, Arc::clone(&plan), set), Arc::clone(&turns));
        working.spawn(async move {
            let _turn = turns.acquire().await;
            (set, work.await)
        });
    }
    let mut done = Vec::with_capacity(plan.sets);
    while let Some(joined) = working.join_next().await {
        let (set, result) = joined.expect("a task here neither panics nor is aborted");
        done.push((set, result?));
    }
    done.sort_by_key(|(set, _)| *set);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::{clean, is_gone, poll};

    #[test]
    fn what_is_refused_for_another_reason_is_not_gone() {
        let absent = "Broker p-1 is not existed,clean broker data failure.";
        let alive = "Broker id 1 is still alive, clean up failure";
        assert!(is_gone(&clean("p-1"), 2009, absent));
        assert!(!is_gone(&clean("p-1"), 2009, alive));
        assert!(!is_gone(&clean("p-1"), 1, absent));
        assert!(!is_gone(&poll("p-1"), 2009, absent));
    }
}

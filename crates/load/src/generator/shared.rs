//! What the thread that sends and the thread that reads both look at.
//!
//! Nearly all of it is atomics, or locks of one connection or one broker set, so that neither thread
//! waits for the other.

use std::net::{SocketAddr, SocketAddrV4, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use protocol::{HeaderEncoding, Request};

use super::broker::{Identity, Stencil, next_id, poll};
use super::calls::{Call, Calls};
use super::line::Line;
use super::measures::{Ending, Kind, Moments, Recorder};
use super::plan::{By, Plan, REPLICAS, Source, View};
use super::slot::OPAQUE_FIRST;
use crate::requester::{Members, NotPatchable, Requester};
use crate::workload::Wire;

/// What every self-test request asks about.
const SELF_TEST_SET: &str = "self-test";

/// One simulated broker.
#[derive(Debug)]
pub(super) struct Broker {
    pub(super) address: SocketAddrV4,
    pub(super) is_alive: AtomicBool,
    /// Its first line; those to the other controllers follow.
    pub(super) line: usize,
    pub(super) heartbeat: Stencil,
    /// The controller that it polls: the one that was named to it.
    pub(super) polled: AtomicUsize,
}

/// One broker set, as far as its master knows it.
#[derive(Debug, Default)]
pub(super) struct Set {
    /// The last acknowledged master epoch (high half) and set epoch.
    pub(super) acked: AtomicU64,
    /// A change is under way, or its outcome is unknown.
    pub(super) is_busy: AtomicBool,
    /// The master, from 0.
    pub(super) master: AtomicUsize,
    /// The next change; none before the set is known.
    pub(super) change: Mutex<Option<Requester>>,
}

/// What is counted of a source while it runs.
#[derive(Debug)]
pub(super) struct SourceState {
    pub(super) plan: Source,
    pub(super) in_flight: AtomicUsize,
    /// Its first line; so many for the first node, then so many for the next.
    pub(super) line: usize,
    pub(super) timeout_ns: u64,
    /// Questions of the generator's own are not counted.
    pub(super) is_counted: bool,
}

/// The requests that are made beforehand, beside heartbeats.
#[derive(Debug)]
pub(super) struct Stencils {
    pub(super) polls: Vec<Stencil>,
    pub(super) next_ids: Vec<Stencil>,
    pub(super) metadata: Stencil,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) plan: Plan,
    pub(super) lines: Vec<Mutex<Line>>,
    pub(super) brokers: Vec<Broker>,
    pub(super) sets: Vec<Set>,
    pub(super) stencils: Stencils,
    /// Those of the plan, then the questions of the generator's own ([`Shared::own_questions`]).
    pub(super) sources: Vec<SourceState>,
    pub(super) calls: Calls,
    /// Of the sender.
    pub(super) sent: Recorder,
    /// Of the reader.
    pub(super) answered: Recorder,
    /// The controller that leads.
    pub(super) leader: AtomicUsize,
    /// When the first window begins; `u64::MAX` while nothing is measured.
    pub(super) start_ns: AtomicU64,
    /// When measuring ends: heartbeats that are due later are sent and not counted.
    pub(super) end_ns: AtomicU64,
    /// Everything that was due before this moment has been sent.
    pub(super) sent_up_to_ns: AtomicU64,
    /// Sets whose state must be asked for.
    pub(super) to_ask: Mutex<Vec<usize>>,
}

/// The generator's own questions about sets, which nobody counts.
fn own_questions(timeout: std::time::Duration) -> Source {
    let by = By::Masters { arrival: crate::workload::Arrival::Constant, per_second: 1.0 };
    Source { kind: Kind::GetReplicaInfo, timeout, in_flight_max: usize::MAX, by }
}

impl Shared {
    /// # Errors
    /// A text that says which address is none, or that a request cannot be patched.
    pub(super) fn new(plan: Plan) -> Result<Self, String> {
        let targets = resolve(&plan)?;
        let stencil = |error: NotPatchable| error.to_string();
        let (mut brokers, mut lines, mut polls) = (Vec::new(), Vec::new(), Vec::new());
        let mut next_ids = Vec::new();
        let asks_ids = plan.sources.iter().any(|source| source.kind == Kind::GetNextBrokerId);
        for set in 0..plan.sets {
            let name = plan.set_name(set);
            polls.push(Stencil::two_way(&poll(&name)).map_err(stencil)?);
            if asks_ids {
                next_ids.push(Stencil::two_way(&next_id(&name)).map_err(stencil)?);
            }
            for replica in 0..REPLICAS {
                let (number, address) = (brokers.len(), plan.address(set, replica));
                if number % plan.brokers_per_connection == 0 {
                    let from = plan.host.is_none().then_some(*address.ip());
                    let line = |to: &SocketAddr| Mutex::new(Line::new(*to, from));
                    lines.extend(targets.iter().map(line));
                }
                let id = i64::try_from(replica + 1).unwrap_or(i64::MAX);
                let timeout_ms = i64::try_from(plan.timeout.as_millis()).unwrap_or(i64::MAX);
                let beat = Identity { set: &name, id, address }.heartbeat(timeout_ms);
                brokers.push(Broker {
                    address,
                    is_alive: AtomicBool::new(true),
                    line: lines.len() - targets.len(),
                    heartbeat: Stencil::one_way(&beat).map_err(stencil)?,
                    polled: AtomicUsize::new(0),
                });
            }
        }
        if plan.wire == Wire::SelfTest {
            polls.push(Stencil::two_way(&poll(SELF_TEST_SET)).map_err(stencil)?);
        }
        let own = own_questions(plan.timeout);
        let mut sources = Vec::new();
        for (source, is_counted) in plan.sources.iter().map(|it| (it, true)).chain([(&own, false)])
        {
            sources.push(SourceState {
                timeout_ns: u64::try_from(source.timeout.as_nanos()).unwrap_or(u64::MAX),
                in_flight: AtomicUsize::new(0),
                line: lines.len(),
                plan: source.clone(),
                is_counted,
            });
            for target in &targets {
                let line = || Mutex::new(Line::new(*target, None));
                lines.extend(std::iter::repeat_with(line).take(source.connections()));
            }
        }
        let metadata = Stencil::two_way(&Request::GetMetadataInfo).map_err(stencil)?;
        Ok(Self {
            lines,
            brokers,
            sets: std::iter::repeat_with(Set::default).take(plan.sets).collect(),
            stencils: Stencils { polls, next_ids, metadata },
            sources,
            calls: Calls::new(),
            sent: Recorder::default(),
            answered: Recorder::default(),
            leader: AtomicUsize::new(0),
            start_ns: AtomicU64::new(u64::MAX),
            end_ns: AtomicU64::new(u64::MAX),
            sent_up_to_ns: AtomicU64::new(0),
            to_ask: Mutex::new(Vec::new()),
            plan,
        })
    }

    /// The source of the generator's own questions about sets.
    pub(super) fn own_questions(&self) -> usize {
        self.sources.len() - 1
    }

    pub(super) fn nodes(&self) -> usize {
        self.plan.controllers.len()
    }

    pub(super) fn line(&self, line: usize) -> MutexGuard<'_, Line> {
        self.lines[line].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn to_ask(&self) -> MutexGuard<'_, Vec<usize>> {
        self.to_ask.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The window in which a moment lies; `None` if nothing is measured then.
    pub(super) fn window_of(&self, due_ns: u64) -> Option<u64> {
        if due_ns >= self.end_ns.load(Ordering::Acquire) {
            return None;
        }
        let since = due_ns.checked_sub(self.start_ns.load(Ordering::Acquire))?;
        let length = u64::try_from(self.plan.window.as_nanos()).unwrap_or(u64::MAX);
        Some(since.checked_div(length).unwrap_or(0))
    }

    /// Records how a request ended that `recorder`'s thread saw end.
    pub(super) fn record(&self, recorder: &Recorder, call: &Call, ending: Ending, done_ns: u64) {
        let source = &self.sources[call.source];
        let (kind, timeout_ns) = (source.plan.kind, source.timeout_ns);
        let Some(window) = self.window_of(call.due_ns).filter(|_| source.is_counted) else {
            return;
        };
        let Call { due_ns, sent_ns, .. } = *call;
        let moments = Moments { due_ns, sent_ns, done_ns, timeout_ns };
        recorder.with(window, kind, |measures| measures.ended(ending, &moments));
    }

    /// What a set is now; its next change starts from there.
    ///
    /// # Panics
    /// Never: the encoder writes a layout that can be patched, as it did for every heartbeat.
    pub(super) fn know(&self, set: usize, view: &View) {
        let (Some(state), Some(id)) = (self.sets.get(set), view.master) else { return };
        let master = usize::try_from(id - 1).unwrap_or_default();
        let is_alive = |id: &i64| {
            let replica = usize::try_from(*id - 1).unwrap_or(usize::MAX);
            let broker = self.brokers.get(set * REPLICAS + replica);
            broker.is_some_and(|broker| broker.is_alive.load(Ordering::Acquire))
        };
        if master >= REPLICAS || !is_alive(&id) {
            return;
        }
        let alive: Vec<i64> = (1..).take(REPLICAS).filter(is_alive).collect();
        let given_up = alive.iter().rev().find(|member| **member != id);
        let few: Vec<i64> = alive.iter().filter(|it| Some(*it) != given_up).copied().collect();
        let (name, address) = (self.plan.set_name(set), self.plan.address(set, master));
        let alter = Identity { set: &name, id, address }.alter(view.master_epoch, Vec::new(), 0);
        let mut frame = BytesMut::new();
        alter.encode(OPAQUE_FIRST, 0, HeaderEncoding::Json, &mut frame);
        let is_full = view.members == alive;
        let members = Members { few: list(&few), full: list(&alive) };
        let set_epoch = u32::try_from(view.set_epoch).unwrap_or_default();
        let change = Requester::toggling_between(members, frame.to_vec(), set_epoch, is_full);
        let change = change.expect("the encoder writes a JSON header with an opaque");
        state.master.store(master, Ordering::Release);
        *state.change.lock().unwrap_or_else(PoisonError::into_inner) = Some(change);
        state.acked.fetch_max(epochs(view), Ordering::AcqRel);
        state.is_busy.store(false, Ordering::Release);
    }
}

/// Both epochs as one number, which grows with either.
pub(crate) fn epochs(view: &View) -> u64 {
    let half = |epoch: i32| u64::from(u32::try_from(epoch).unwrap_or_default());
    (half(view.master_epoch) << 32) | half(view.set_epoch)
}

fn list(ids: &[i64]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// The first address of each node that the plan's brokers can connect to.
fn resolve(plan: &Plan) -> Result<Vec<SocketAddr>, String> {
    let is_reached = |address: &SocketAddr| match (plan.sets, plan.host) {
        (0, _) => true,
        (_, None) => address.is_ipv4() && address.ip().is_loopback(),
        (_, Some(_)) => address.is_ipv4(),
    };
    let first = |text: &String| {
        let found = text.to_socket_addrs().map_err(|error| format!("{text}: {error}"))?;
        found.into_iter().find(is_reached).ok_or_else(|| match plan.host {
            None => format!(
                "{text} is not on this host: simulated brokers live on loopback addresses unless a `bench worker` has them"
            ),
            Some(host) => format!("{text} has no IPv4 address, as brokers at {host} need"),
        })
    };
    plan.controllers.iter().map(first).collect()
}

#[cfg(test)]
mod tests {
    use super::{Plan, resolve};

    #[test]
    fn brokers_on_loopback_reach_this_host_only_and_those_of_a_host_any() {
        let plan =
            |target: &str, sets| Plan::as_java(vec![target.to_owned()], "p".to_owned(), sets);
        let mut far = plan("10.0.0.1:9878", 1);
        assert!(resolve(&far).unwrap_err().contains("10.0.0.1:9878 is not on this host"));
        far.host = Some([10, 0, 0, 9].into());
        assert_eq!(resolve(&far), Ok(vec!["10.0.0.1:9878".parse().unwrap()]));
        far.controllers = vec!["[::1]:9878".to_owned()];
        assert!(resolve(&far).unwrap_err().contains("has no IPv4 address"));
        assert!(resolve(&plan("127.0.0.1:9878", 1)).is_ok());
        assert!(resolve(&plan("10.0.0.1:6379", 0)).is_ok(), "without a fleet anything goes");
    }
}

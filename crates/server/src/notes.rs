//! What the core says becomes log lines and metrics here. The core itself neither logs nor counts.
//!
//! Log lines are for operators: events that change state, with fields. WARN needs a look, INFO is a change of role,
//! membership or master, DEBUG is the rest.

use crate::admin::{Probe, Source, Verdict};
use crate::config::Config;
use crate::metrics::{
    AppendResult, ElectionReason, ElectionResult, ExpiryReason, Metrics, NoticeResult, RequestKind,
    Role, Snapshot, Stage,
};
use crate::set_walk::SetWalk;
use crate::shared::Shared;
use controller::{Caller, Controller, DeathReason, Instant, Note, NoticeCounts, Overview, seat};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};

/// How often gauges are published, in ms.
const PUBLISH_MS: u64 = 1_000;

/// A core that published nothing for this long, in ms, does not turn any more.
const STALLED_MS: u64 = 5_000;

impl Metrics {
    /// A request was answered.
    pub(crate) fn answered(&self, caller: &Caller, code: i32, now: Instant) {
        let micros = now.since_micros(caller.received);
        self.request(RequestKind::of_code(caller.code), code, micros);
    }
}

/// Logs and counts one note.
pub(crate) fn take(shared: &Shared, note: &Note) {
    let metrics = &shared.metrics;
    match note {
        Note::Consensus(note) => consensus(shared, note),
        Note::WaitsFor(peers) => {
            let peers: Vec<u64> = peers.iter().map(|peer| peer.0).collect();
            tracing::info!(?peers, "first start: waiting for peers that were not heard yet");
        }
        Note::Wiped { member } => tracing::warn!(
            member = member.0,
            "this peer's disk is empty, but the cluster was founded before: it was wiped or has a \
             wrong controllerStorePath. It starts anew as another member, and votes when the leader has taken it \
             back (pitchover.replaceWiped)"
        ),
        Note::Founded => tracing::info!("first start complete: the cluster is founded"),
        Note::BrokerAlive { cluster, set, id } => {
            tracing::info!(%cluster, broker_set = %set, id, "broker alive");
        }
        Note::BrokerDead { cluster, set, id, reason } => {
            tracing::info!(%cluster, broker_set = %set, id, ?reason, "broker dead");
            metrics.broker_expired(match reason {
                DeathReason::Deadline => ExpiryReason::Silent,
                DeathReason::Refused => ExpiryReason::Refused,
            });
        }
        Note::Election { cluster, set, master, result, reason } => {
            tracing::info!(%cluster, broker_set = %set, ?master, ?result, ?reason, "election");
            let result = match result {
                controller::ElectionResult::NewMaster => ElectionResult::Elected,
                controller::ElectionResult::KeptMaster => ElectionResult::Kept,
                controller::ElectionResult::NoMaster => ElectionResult::Nobody,
            };
            let reason = match reason {
                controller::ElectionReason::Broker => ElectionReason::Broker,
                controller::ElectionReason::Operator => ElectionReason::Operator,
                controller::ElectionReason::MasterLost => ElectionReason::MasterLost,
            };
            metrics.election(cluster, set, result, reason);
        }
        Note::Proposal { waited_micros, is_committed, micros } => {
            if let Some(micros) = waited_micros {
                metrics.stage(Stage::Propose, *micros, 1);
            }
            if *is_committed {
                metrics.stage(Stage::Commit, *micros, 1);
            }
            let result =
                if *is_committed { AppendResult::Committed } else { AppendResult::Undecided };
            metrics.append(result, *micros);
        }
        Note::UnknownCommand { index } => {
            tracing::error!(index, "an entry of the log cannot be read: it is of a newer version");
        }
        Note::DiskStalled { target } => {
            let to = shared.config.peer(seat(*target).0).map_or("unknown", |peer| &*peer.name);
            tracing::warn!(to, "the disk stands still: leadership is handed over");
        }
        Note::Refused(limit) => metrics.refused(limit),
    }
}

fn consensus(shared: &Shared, note: &controller::ConsensusNote) {
    use controller::ConsensusNote as Note;
    match note {
        Note::Leadership { term, role, leader } => {
            let leader = leader.and_then(|leader| shared.config.peer(seat(leader).0));
            let leader = leader.map_or("none", |leader| leader.name.as_str());
            tracing::info!(term = term.0, ?role, leader, "leadership");
            shared.metrics.leader_changed();
            shared.metrics.set_role(role_of(Some(*role)));
        }
        Note::LeaderReady { term } => tracing::info!(term = term.0, "leader ready"),
        Note::TransferAborted { target } => {
            tracing::warn!(
                target = target.0,
                "leadership was not taken over in time; this peer goes on"
            );
        }
        Note::ReadRoundRepeated { attempts } => tracing::debug!(attempts, "read round repeated"),
        Note::Membership { index, membership } => {
            tracing::info!(index = index.0, ?membership, "membership changed");
        }
        Note::DataLost { .. } => tracing::error!(
            ?note,
            "this peer's disk lost data that it had acknowledged: a restored backup, or a wrong \
             volume. It neither votes nor serves any more and must be replaced"
        ),
    }
}

fn role_of(role: Option<controller::Role>) -> Role {
    match role {
        None => Role::Unknown,
        Some(controller::Role::PreCandidate | controller::Role::Candidate) => Role::Candidate,
        Some(controller::Role::Follower) => Role::Follower,
        Some(controller::Role::Leader) => Role::Leader,
    }
}

/// What the admin pages see of the core; the only thing that leaves its thread.
#[derive(Debug, Default)]
struct Published {
    overview: Option<Overview>,
    at: Instant,
}

/// Gauges, published about once a second by the core.
pub(crate) struct Gauges {
    pub(crate) journal_bytes: u64,
    published: Arc<Mutex<Published>>,
    due: Instant,
    sets: SetWalk,
    notices: NoticeCounts,
    name: String,
    clock: crate::clock::Clock,
}

impl Gauges {
    pub(crate) fn new(config: &Config, clock: crate::clock::Clock) -> Self {
        Self {
            journal_bytes: 0,
            published: Arc::default(),
            due: Instant::default(),
            sets: SetWalk::default(),
            notices: NoticeCounts::default(),
            name: config.me.name.clone(),
            clock,
        }
    }

    pub(crate) fn publish_if_due(&mut self, now: Instant, core: &Controller, metrics: &Metrics) {
        self.sets.step_if_due(now, core);
        if now < self.due {
            return;
        }
        self.due = now.plus_ms(PUBLISH_MS);
        let overview = core.overview();
        self.count_notices(overview.notices, metrics);
        metrics.set_role(role_of(overview.role));
        let lags = core.peer_lags();
        let lags = lags.into_iter().map(|(name, entries)| (name.to_owned(), entries));
        let depth = |depth: usize| u64::try_from(depth).unwrap_or(u64::MAX);
        metrics.publish(Snapshot {
            term: overview.term,
            commit_index: overview.commit,
            applied_index: overview.applied,
            peer_lag_entries: lags.collect(),
            journal_bytes: self.journal_bytes,
            broker_sets: self.sets.complete(),
            queue_depths: vec![
                ("writes", depth(overview.writes_waiting)),
                ("reads", depth(overview.reads_waiting)),
                ("forwards", depth(overview.forwards_waiting)),
                ("notices", depth(overview.notices_waiting)),
            ],
        });
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        *published = Published { overview: Some(overview), at: now };
    }

    fn count_notices(&mut self, counts: NoticeCounts, metrics: &Metrics) {
        let before = std::mem::replace(&mut self.notices, counts);
        for (now, before, result) in [
            (counts.sent, before.sent, NoticeResult::Sent),
            (counts.acknowledged, before.acknowledged, NoticeResult::Acknowledged),
            (counts.retried, before.retried, NoticeResult::Retried),
            (counts.given_up, before.given_up, NoticeResult::GivenUp),
        ] {
            for _ in before..now {
                metrics.notice(result);
            }
        }
    }

    /// What the admin pages answer from.
    pub(crate) fn pages(&self, metrics: &Metrics) -> Source {
        let (for_probe, for_status) = (Arc::clone(&self.published), Arc::clone(&self.published));
        let (clock, name) = (self.clock, self.name.clone());
        Source {
            metrics: metrics.clone(),
            probe: Arc::new(move |probe| {
                let published = for_probe.lock().unwrap_or_else(PoisonError::into_inner);
                judge(probe, &published, clock.now())
            }),
            status: Arc::new(move || {
                let published = for_status.lock().unwrap_or_else(PoisonError::into_inner);
                status(&name, published.overview.as_ref())
            }),
        }
    }
}

fn judge(probe: Probe, published: &Published, now: Instant) -> Verdict {
    let Some(overview) = published.overview else {
        return Err("the core has not turned yet".to_owned());
    };
    match probe {
        Probe::Live if now.since_ms(published.at) > STALLED_MS => {
            Err(format!("the core has not turned for {} ms", now.since_ms(published.at)))
        }
        Probe::Live | Probe::Started => Ok(()),
        Probe::Ready if overview.role.is_none() => {
            Err("the first start is not complete: not all configured peers were up once".to_owned())
        }
        Probe::Ready if overview.leader.is_none() => Err("no leader is known".to_owned()),
        Probe::Ready if !overview.is_ready => {
            Err(format!("applied {} of the log, still catching up", overview.applied))
        }
        Probe::Ready => Ok(()),
    }
}

fn status(name: &str, overview: Option<&Overview>) -> Value {
    let Some(overview) = overview else { return json!({ "name": name }) };
    let role = match overview.role {
        None => "none",
        Some(controller::Role::PreCandidate | controller::Role::Candidate) => "candidate",
        Some(controller::Role::Follower) => "follower",
        Some(controller::Role::Leader) => "leader",
    };
    json!({
        "name": name,
        "role": role,
        "term": overview.term,
        "leaderPeerId": overview.leader.map(|leader| leader.0),
        "ready": overview.is_ready,
        "commit": overview.commit,
        "applied": overview.applied,
        "last": overview.last,
        "sets": overview.sets,
        "masters": overview.masters,
        "brokersAlive": overview.brokers,
        "heartbeats": overview.counts.heartbeats,
        "readsServed": overview.counts.reads,
        "readBarriers": overview.counts.barriers,
        "proposals": overview.counts.proposals,
        "commands": overview.counts.commands,
        "forwarded": overview.counts.forwarded,
        "noticesAcknowledged": overview.notices.acknowledged,
        "noticesWaiting": overview.notices_waiting,
    })
}

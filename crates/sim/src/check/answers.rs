//! What controllers answer, compared with the log: R9, C1, C8, C14, K1, K2, K4.

use super::Checks;
use super::content::{Content, Wanted, shown_by_answer};
use super::ledger::Broken;
use crate::agenda::MS;
use crate::calls::Call;
use crate::network::SEND_DEADLINE;
use crate::node::controller_address;
use crate::sometimes::Sometimes;
use crate::world::World;
use controller::LeaderNaming;
use protocol::{Request, Response, SyncStateSetBody, response_code as code};
use workload::check::search::Limit;

/// How long a proof that a controller can serve counts, on the slowest clock, and some to spare.
const NAMED: u64 = 1_250 * MS;
/// One seed in so many is put before the search, too.
const SEARCH_EVERY: u64 = 16;

impl World<'_> {
    /// Fails if an answer is not one that the log allows.
    pub(crate) fn check_answer(&mut self, call: &Call, applied: u64, response: &Response) {
        let named = self.check_named(call, response);
        let Self { checks, sometimes, .. } = self;
        let judged = named.and_then(|()| checks.judge(call, applied, response, sometimes));
        if let Err((invariant, text)) = judged {
            let text = format!("{text}; asked {:?}, answered {response:?}", call.request);
            self.fail(invariant, text);
        }
    }
}

impl World<'_> {
    /// K4: whom 1005 names could serve a moment ago.
    fn check_named(&self, call: &Call, response: &Response) -> Result<(), Broken> {
        let address = response.ext.get("controllerLeaderAddress");
        let address = address.filter(|_| matches!(call.request, Request::GetMetadataInfo));
        let named = address.and_then(|address| {
            (0..self.nodes.len()).find(|&node| controller_address(node) == address)
        });
        let patience = match self.plan.naming {
            LeaderNaming::Leader => NAMED,
            // What was said may be late, and come twice.
            LeaderNaming::Spread => NAMED * 2 + SEND_DEADLINE + self.net.slowest() * 8,
        };
        let idle = named.and_then(|named| Some((named, self.cannot_serve_since(named)?)));
        match idle {
            Some((named, since)) if since + patience < self.now => {
                let node = call.node;
                let text = format!("node {node} names {named}, which cannot serve since {since}");
                Err(("K4", text))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Since when a controller surely cannot confirm a read: it is down, sleeps, or reaches no quorum, nor anybody who does.
    fn cannot_serve_since(&self, node: usize) -> Option<u64> {
        let state = &self.nodes[node];
        if !self.is_up(node) {
            return Some(state.ended_at);
        }
        if state.frozen_until > self.now {
            return Some(state.paused.0);
        }
        // A follower needs no more than a leader who does: a bridge between two halves serves both.
        let reaches = |one: usize, other: usize| {
            one == other || self.is_up(other) && self.net.passes_both_ways(one, other)
        };
        let nodes = 0..self.nodes.len();
        let half = self.nodes.len() / 2;
        let mut since = 0;
        for leader in nodes.clone().filter(|&it| reaches(node, it)) {
            let lost: Vec<usize> = nodes.clone().filter(|&it| !reaches(leader, it)).collect();
            if nodes.len() - lost.len() > half {
                return None;
            }
            let at = |&it: &usize| self.changed_at(leader, it).max(self.nodes[it].ended_at);
            since = lost.iter().map(at).max().unwrap_or(0).max(since);
        }
        Some(since)
    }

    /// K1 once more, by judges that know nothing of the log: can one order explain all answers? The search, which may
    /// take long, is asked for one seed in [`SEARCH_EVERY`].
    pub(crate) fn judge_history(&mut self) {
        let mut violations = workload::check::versioned::check(&self.history);
        if violations.is_empty() && self.plan.seed.is_multiple_of(SEARCH_EVERY) {
            violations = workload::check::judge(&self.history, Limit::default()).violations;
        }
        if let Some(violation) = violations.first() {
            let text = violation.explain(&self.history);
            self.fail("K1", text);
        }
    }
}

impl Checks {
    fn judge(
        &mut self,
        call: &Call,
        applied: u64,
        response: &Response,
        sometimes: &mut Sometimes,
    ) -> Result<(), Broken> {
        self.answers += 1;
        match (&call.request, &call.content) {
            (Request::GetReplicaInfo(it), _) => {
                let set = it.broker_name.as_ref().map(ToString::to_string).unwrap_or_default();
                self.judge_info((call, applied), &set, response, sometimes)
            }
            (Request::GetNextBrokerId(it), _) if response.code == code::SUCCESS => {
                self.reads += 1;
                reads_what_was_committed(call, applied)?;
                let set = it.broker_name.as_deref().unwrap_or_default();
                let id = response.ext.long("nextBrokerId").unwrap_or(0);
                if self.ledger.is_next_id(set, (call.committed, applied), id) {
                    return Ok(());
                }
                Err(("K1", format!("{id} never was the next id of {set} meanwhile")))
            }
            (_, Some(content)) => self.judge_write(call, content, response),
            (_, None) => Ok(()),
        }
    }

    /// R9, K1, K2 of a read of one broker set.
    fn judge_info(
        &mut self,
        (call, applied): (&Call, u64),
        set: &str,
        response: &Response,
        sometimes: &mut Sometimes,
    ) -> Result<(), Broken> {
        match response.code {
            code::SUCCESS => {}
            code::CONTROLLER_BROKER_METADATA_NOT_EXIST => {
                return reads_what_was_committed(call, applied);
            }
            code::CONTROLLER_NOT_LEADER => {
                sometimes.hit("read_without_leader");
                return Ok(());
            }
            _ => return Ok(()),
        }
        self.reads += 1;
        let body = SyncStateSetBody::decode(&response.body);
        let (Some(body), Some(master_epoch)) = (body, response.ext.int("masterEpoch")) else {
            return Err(("C8", "the answer lacks what it is about".to_owned()));
        };
        let version = (master_epoch, body.epoch);
        self.not_stale(set, call.floor, version, false)?;
        reads_what_was_committed(call, applied)?;
        let mut members = body.sync_state_set;
        members.sort_unstable();
        let shown = (response.ext.long("masterBrokerId"), members);
        match self.ledger.version(set, version) {
            Some(known) if *known == shown => Ok(()),
            Some(known) => Err(("K1", format!("{set} at {version:?} is {known:?}"))),
            None => Err(("K1", format!("{set} never was at {version:?}"))),
        }
    }

    /// K2: what is shown is at least as new as anything that was shown before the request began.
    fn not_stale(
        &mut self,
        set: &str,
        floor: Option<(i32, i32)>,
        version: (i32, i32),
        is_write: bool,
    ) -> Result<(), Broken> {
        let is_stale = floor.is_some_and(|floor| version < floor || is_write && version == floor);
        if is_stale {
            return Err(("K2", format!("{set} shows {version:?} after {floor:?} was shown")));
        }
        let seen = self.seen.entry(set.to_owned()).or_default();
        *seen = version.max(*seen);
        Ok(())
    }

    /// C8, C14, K4 of a write.
    fn judge_write(
        &mut self,
        call: &Call,
        content: &Content,
        response: &Response,
    ) -> Result<(), Broken> {
        match response.code {
            // Nothing is known of it.
            code::SYSTEM_ERROR => return Ok(()),
            // It was not taken, so it must never happen.
            code::SYSTEM_BUSY | code::CONTROLLER_NOT_LEADER => {
                return self.ledger.asks(content, -1);
            }
            _ => {}
        }
        let shown = shown_by_answer(&content.wanted, response);
        let mut decided = self.ledger.decided(content, call.committed).peekable();
        let is_there = decided.peek().is_some();
        let is_true = decided.any(|decided| decided.shown == shown);
        drop(decided);
        if !is_there {
            let invariant = if response.code == code::SUCCESS { "C14" } else { "C8" };
            return Err((invariant, "no committed entry says so".to_owned()));
        }
        if !is_true {
            return Err(("C8", format!("the entry gave something else than {shown:?}")));
        }
        let is_success = response.code == code::SUCCESS;
        match (&content.wanted, shown.master_epoch, shown.set_epoch) {
            (Wanted::Alter { master_epoch, .. }, _, Some(set_epoch)) if is_success => {
                self.not_stale(&content.set, call.floor, (*master_epoch, set_epoch), true)
            }
            (Wanted::Elect { .. }, Some(master_epoch), Some(set_epoch)) => {
                self.not_stale(&content.set, call.floor, (master_epoch, set_epoch), is_success)
            }
            _ => Ok(()),
        }
    }
}

/// R9: a read is answered from a state that holds whatever was committed anywhere when it began.
fn reads_what_was_committed(call: &Call, applied: u64) -> Result<(), Broken> {
    if applied >= call.committed {
        return Ok(());
    }
    let text = format!("read at {applied}, though {} was committed when it began", call.committed);
    Err(("R9", text))
}

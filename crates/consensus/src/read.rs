//! Read barriers: batches of readers, rounds of the engine's `ReadIndex`, their contexts (D12-D17).
//!
//! ```text
//!  read_barrier ──► forming ──► asked (a context, a deadline) ──► confirmed at index ──► Readable
//!                      │           │  └─ no answer in time: asked again, with a new context; an answer to either counts
//!                      │           └──── term, role or leader changed ─► BarrierFailed
//!                      └── too old ────────────────────────────────────► BarrierFailed
//! ```
//!
//! - A batch is closed when its round starts; who comes later waits for the next round. Otherwise
//!   a reader would be served at an index that was confirmed before it asked (tikv #7971).
//! - One round is in flight. Two were measured to be no better.
//! - A context is never used twice, also not by a repeated round: a confirmation of the first use
//!   would count for the second one (etcd #20418). A repeated round takes the late answer to an
//!   earlier question of its own: all its readers had asked before that one. Were it refused, nobody
//!   could read where answers take longer than the round's patience, and repeats would make it worse.
//! - A leader takes each context once, and only from the present start of its peer (D13). What it
//!   has seen outlives its leadership; a peer's sequence never falls, so this refuses nothing new.

use crate::message::ReadContext;
use crate::settings::{READ_BATCH_TICKS_MAX, READ_ROUND_DEADLINE_TICKS, READ_WAITERS_MAX};
use crate::{Barrier, BarrierLoss, Effect, LogIndex, Note, PeerId};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

/// Why no barrier can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// No leader is known.
    #[error("no leader is known")]
    NoLeader,
    /// Too many readers wait already.
    #[error("READ_WAITERS_MAX = {READ_WAITERS_MAX} readers wait already")]
    Busy,
    /// This peer lost data and serves nothing any more (D21).
    #[error("this peer lost data and serves nothing any more")]
    DataLost,
}

#[derive(Debug)]
struct Batch {
    barrier: Barrier,
    readers: usize,
    /// The tick of its first reader.
    since: u64,
    /// Rounds that got no answer.
    attempts: u32,
}

impl Batch {
    fn is_too_old(&self, now: u64) -> bool {
        self.since + READ_BATCH_TICKS_MAX <= now
    }
}

#[derive(Debug)]
struct Round {
    batch: Batch,
    /// The sequence of the first question; those up to `context` are of this round.
    first: u64,
    /// The newest question.
    context: ReadContext,
    since: u64,
}

impl Round {
    /// Whether a context is one of this round's questions, the newest or one before.
    fn has_asked(&self, context: ReadContext) -> bool {
        let ReadContext { peer, boot_nonce, sequence } = self.context;
        let is_ours = (context.peer, context.boot_nonce) == (peer, boot_nonce);
        is_ours && (self.first..=sequence).contains(&context.sequence)
    }
}

/// All readers of one driver, and what it knows of the readers of other peers.
#[derive(Debug)]
pub(crate) struct Reads {
    me: PeerId,
    boot_nonce: u64,
    /// The last sequence used in a context.
    sequence: u64,
    /// The last batch's number.
    barrier: u64,
    forming: Option<Batch>,
    asked: Option<Round>,
    confirmed: VecDeque<(Batch, LogIndex)>,
    /// Per peer its boot nonce and the highest sequence seen with it.
    seen: BTreeMap<PeerId, (u64, u64)>,
}

impl Reads {
    pub(crate) fn new(me: PeerId, boot_nonce: u64) -> Self {
        Self {
            me,
            boot_nonce,
            sequence: 0,
            barrier: 0,
            forming: None,
            asked: None,
            confirmed: VecDeque::new(),
            seen: BTreeMap::new(),
        }
    }

    /// One more reader joins the batch that is forming.
    pub(crate) fn join(&mut self, now: u64) -> Result<Barrier, Unavailable> {
        if self.readers() >= READ_WAITERS_MAX {
            return Err(Unavailable::Busy);
        }
        let barrier = &mut self.barrier;
        let batch = self.forming.get_or_insert_with(|| {
            *barrier += 1;
            Batch { barrier: Barrier(*barrier), readers: 0, since: now, attempts: 0 }
        });
        batch.readers += 1;
        Ok(batch.barrier)
    }

    fn readers(&self) -> usize {
        let forming = self.forming.as_ref().map_or(0, |batch| batch.readers);
        let asked = self.asked.as_ref().map_or(0, |round| round.batch.readers);
        forming + asked + self.confirmed.iter().map(|(batch, _)| batch.readers).sum::<usize>()
    }

    /// Closes the forming batch and starts its round, if none is in flight.
    pub(crate) fn start_round(&mut self, now: u64) -> Option<ReadContext> {
        if self.asked.is_some() {
            return None;
        }
        let batch = self.forming.take()?;
        let context = self.next_context();
        self.asked = Some(Round { batch, first: context.sequence, context, since: now });
        Some(context)
    }

    /// Asks a round again that got no answer in time.
    pub(crate) fn repeat_round(&mut self, now: u64, out: &mut Vec<Effect>) -> Option<ReadContext> {
        let round = self.asked.as_ref()?;
        if round.since + READ_ROUND_DEADLINE_TICKS > now {
            return None;
        }
        let context = self.next_context();
        let round = self.asked.as_mut()?;
        round.batch.attempts += 1;
        round.since = now;
        round.context = context;
        out.push(Effect::Note(Note::ReadRoundRepeated { attempts: round.batch.attempts }));
        Some(context)
    }

    fn next_context(&mut self) -> ReadContext {
        self.sequence += 1;
        ReadContext { peer: self.me, boot_nonce: self.boot_nonce, sequence: self.sequence }
    }

    /// Whether this is a context of the round in flight.
    pub(crate) fn is_asked(&self, context: ReadContext) -> bool {
        self.asked.as_ref().is_some_and(|round| round.has_asked(context))
    }

    /// A quorum confirmed the leader: reads of this context are right at `index` and after.
    pub(crate) fn confirm(&mut self, context: Option<ReadContext>, index: LogIndex) {
        let Some(context) = context else { return };
        // A round that failed may still be confirmed; nobody waits for it.
        if let Some(round) = self.asked.take_if(|round| round.has_asked(context)) {
            self.confirmed.push_back((round.batch, index));
        }
    }

    /// Hands out every confirmed batch whose index is applied (D16).
    pub(crate) fn serve(&mut self, applied: LogIndex, out: &mut Vec<Effect>) {
        // An older batch can have the higher index: a new leader may confirm a lower commit.
        self.confirmed.retain(|(batch, index)| {
            let waits = *index > applied;
            if !waits {
                out.push(Effect::Readable { barrier: batch.barrier });
            }
            waits
        });
    }

    /// Fails every batch that is too old, wherever it is.
    pub(crate) fn expire(&mut self, now: u64, out: &mut Vec<Effect>) {
        let is_round_over = |round: &mut Round| round.batch.is_too_old(now);
        if let Some(round) = self.asked.take_if(is_round_over) {
            fail(round.batch.barrier, BarrierLoss::TimedOut, out);
        }
        if let Some(batch) = self.forming.take_if(|batch| batch.is_too_old(now)) {
            fail(batch.barrier, BarrierLoss::TimedOut, out);
        }
        self.confirmed.retain(|(batch, _)| {
            let is_over = batch.is_too_old(now);
            if is_over {
                fail(batch.barrier, BarrierLoss::TimedOut, out);
            }
            !is_over
        });
    }

    /// Fails what is not confirmed (D9). What is confirmed stays true under any later leader.
    pub(crate) fn fail_unconfirmed(&mut self, why: BarrierLoss, out: &mut Vec<Effect>) {
        let asked = self.asked.take().map(|round| round.batch);
        for batch in asked.into_iter().chain(self.forming.take()) {
            fail(batch.barrier, why, out);
        }
    }

    /// Fails everything.
    pub(crate) fn fail_all(&mut self, why: BarrierLoss, out: &mut Vec<Effect>) {
        self.confirmed.drain(..).for_each(|(batch, _)| fail(batch.barrier, why, out));
        self.fail_unconfirmed(why, out);
    }

    /// Takes another peer's question once (D13): it must be of the link's own boot nonce, with a
    /// sequence above all seen with it.
    pub(crate) fn admit(&mut self, from: PeerId, link_nonce: u64, context: ReadContext) -> bool {
        if context.peer != from || context.boot_nonce != link_nonce {
            return false;
        }
        let (nonce, sequence) = self.seen.entry(from).or_insert((link_nonce, 0));
        if *nonce != link_nonce {
            (*nonce, *sequence) = (link_nonce, 0);
        }
        let is_new = context.sequence > *sequence;
        if is_new {
            *sequence = context.sequence;
        }
        is_new
    }
}

fn fail(barrier: Barrier, why: BarrierLoss, out: &mut Vec<Effect>) {
    out.push(Effect::BarrierFailed { barrier, why });
}

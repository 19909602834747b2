//! Spans of requests that were drawn by lot, put together when their answers have left.
//!
//! ```text
//! CONTROLLER_ALTER_SYNC_STATE_SET   read ─────────────────────────────────────────► with the kernel
//!   propose                          ├──────┤
//!   commit                                  ├───────────────────┤
//!     journal                               ├──────────┤             own entries: handed to the thread, durable
//!     replicate                             ├─────────────┤          the quickest follower: sent, acknowledged
//!   apply                                                       ├──┤ of the whole turn
//!   reply                                                          ├──────────┤
//! ```
//!
//! Anything else than a write has `decide` (until the turn that answers) and `reply`. Nothing is kept of a request while it is
//! on its way: its times are those that the stages (`stages.rs`) count anyway. So the lot is drawn at the answer,
//! which is as good as at the beginning, since it knows nothing of either. Without a target nothing is drawn.

use crate::clock::wall_nanos;
use crate::metrics::RequestKind;
use crate::stages::Stages;
use controller::{Caller, Instant, Note};
use protocol::response_code::SYSTEM_ERROR;
use telemetry::{Span, Spans, Value};

/// Requests of one turn that are traced at most: all that are drawn where it is one in a hundred.
const TRACED_PER_TURN_MAX: usize = 64;

/// When the parts of a turn ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// Its end, with the engine, began.
    pub(crate) ending: Instant,
    /// What it answers was decided.
    pub(crate) decided: Instant,
    /// Its answers have left.
    pub(crate) left: Instant,
}

/// A write whose answer comes next.
#[derive(Debug, Clone, Copy)]
struct Write {
    waited_micros: u64,
    micros: u64,
}

#[derive(Debug)]
struct Traced {
    caller: Caller,
    code: i32,
    write: Option<Write>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Traces {
    spans: Spans,
    per_million: u64,
    /// State of a xorshift generator; never 0.
    lot: u64,
    /// Nanoseconds since 1970 at the origin of our clock.
    origin_nanos: u64,
    write: Option<Write>,
    traced: Vec<Traced>,
}

impl Traces {
    /// `now` is this moment by the clock of the core.
    pub(crate) fn new(spans: Spans, per_million: u32, now: Instant) -> Self {
        let wall = wall_nanos();
        Self {
            spans,
            per_million: u64::from(per_million),
            lot: wall | 1,
            origin_nanos: wall.saturating_sub(now.as_micros().saturating_mul(1_000)),
            write: None,
            traced: Vec::new(),
        }
    }

    /// A write ended; its answer comes next.
    pub(crate) fn note(&mut self, note: &Note) {
        if let Note::Proposal { waited_micros: Some(waited_micros), micros, .. } = note {
            self.write = Some(Write { waited_micros: *waited_micros, micros: *micros });
        }
    }

    /// The turn answers this request.
    pub(crate) fn answer(&mut self, caller: &Caller, code: i32) {
        let write = self.write.take();
        let is_drawn = self.draw() % 1_000_000 < self.per_million;
        if is_drawn && self.traced.len() < TRACED_PER_TURN_MAX {
            self.traced.push(Traced { caller: *caller, code, write });
        }
    }

    /// The answers of the turn have left.
    pub(crate) fn left(&mut self, turn: Turn, stages: &Stages) {
        for traced in std::mem::take(&mut self.traced) {
            let spans = self.spans_of(&traced, turn, stages);
            self.spans.offer(spans);
        }
    }

    fn spans_of(&mut self, traced: &Traced, turn: Turn, stages: &Stages) -> Vec<Span> {
        let Traced { caller, code, write } = traced;
        let trace = u128::from(self.draw()) << 64 | u128::from(self.draw());
        let root = self.draw();
        let span = |lot: u64, parent, name, (began, ended): (Instant, Instant)| Span {
            trace,
            id: lot,
            parent: Some(parent),
            name,
            is_server: false,
            began_nanos: self.nanos(began),
            ended_nanos: self.nanos(ended.max(began)),
            is_error: false,
            attributes: Vec::new(),
        };
        let mut spans = vec![Span {
            parent: None,
            is_server: true,
            is_error: *code == SYSTEM_ERROR,
            attributes: vec![
                ("rpc.system", Value::Word("rocketmq")),
                ("rocketmq.request_code", Value::Number(i64::from(caller.code))),
                ("rocketmq.response_code", Value::Number(i64::from(*code))),
            ],
            ..span(root, 0, RequestKind::of_code(caller.code).label(), (caller.received, turn.left))
        }];
        // Numbers of one trace need only differ among themselves.
        let id = |nth: u64| root.wrapping_add(nth).max(1);
        if let Some(write) = write {
            let proposed = caller.received.plus_micros(write.waited_micros);
            let committed = proposed.plus_micros(write.micros);
            spans.push(span(id(1), root, "propose", (caller.received, proposed)));
            spans.push(span(id(2), root, "commit", (proposed, committed)));
            let (journal, replicate) = stages.lately(proposed);
            let journal = journal.map(|ended| span(id(3), id(2), "journal", (proposed, ended)));
            let replicate =
                replicate.map(|ended| span(id(4), id(2), "replicate", (proposed, ended)));
            spans.extend(journal.into_iter().chain(replicate));
            spans.push(span(id(5), root, "apply", (turn.ending, turn.decided)));
        } else {
            spans.push(span(id(1), root, "decide", (caller.received, turn.decided)));
        }
        spans.push(span(id(6), root, "reply", (turn.decided, turn.left)));
        spans
    }

    fn nanos(&self, moment: Instant) -> u64 {
        self.origin_nanos.saturating_add(moment.as_micros().saturating_mul(1_000))
    }

    /// Source: G. Marsaglia, "Xorshift RNGs", 2003: the triple 13, 7, 17.
    fn draw(&mut self) -> u64 {
        self.lot ^= self.lot << 13;
        self.lot ^= self.lot >> 7;
        self.lot ^= self.lot << 17;
        self.lot
    }
}

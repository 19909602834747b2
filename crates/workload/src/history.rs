//! Histories: who asked what, when, and what came back.
//!
//! ```text
//!              invoked                    finished
//! client 3  ──────┤ alter (3,5) -> {1,2} ├──── ok (3,6)
//! client 4  ───────────┤ read ├─ ok (3,5)
//! client 5  ──┤ elect ─────────────────────────────► unknown: no end
//! ```
//!
//! | Outcome | Means |
//! |---|---|
//! | [`Outcome::Ok`] | it was carried out, somewhere between its begin and its end |
//! | [`Outcome::Refused`] | it was refused and changed nothing |
//! | [`Outcome::Unknown`] | nobody knows: it took effect once at any time after its begin, or never |
//! | [`Outcome::TookEffect`] | unknown to the client, but the log holds it |
//! | [`Outcome::Never`] | unknown to the client, and the log does not hold it |
//!
//! A timed-out request is unknown, never failed. The last two outcomes are written only by a
//! recorder that reads the log after the run; a judge then need not try both.
//!
//! Times are numbers of one clock or counter that all clients share: nanoseconds of
//! `CLOCK_MONOTONIC` on one host, or the running number of a simulator's event. Only their order
//! counts: an operation comes before another if it finished before the other was invoked, strictly,
//! so equal times count as overlapping. A counter that never repeats judges more sharply.

mod lines;

pub use lines::{ReadError, VERSION};

use serde::{Deserialize, Serialize};

/// What the wire says for "no broker in particular" and this crate for "no master".
pub const NOBODY: i64 = -1;

/// Operations of one run, in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Whether every client that could write is in it. Then a change that nobody in it made, and
    /// that the controllers do not make by themselves, is a violation.
    pub is_complete: bool,
    /// Where it comes from: a seed and a commit, a command line.
    pub origin: String,
    /// The operations.
    pub operations: Vec<Operation>,
}

/// One request of one client about one broker set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Who asked.
    pub client: u32,
    /// Which controller was asked, if the recorder knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<u32>,
    /// The broker set's name.
    pub set: Box<str>,
    /// When it was sent.
    pub invoked: u64,
    /// When its answer was there; none if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<u64>,
    /// What was asked.
    pub call: Call,
    /// What came of it.
    pub outcome: Outcome,
}

/// What was asked. Broker ids are those of the controller (`brokerControllerId`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Call {
    /// 1004, and one broker set of 1006: master, epochs, sync-state set.
    Read,
    /// 1012: the next broker id.
    ReadNextId,
    /// 1013: a broker takes an id.
    ApplyId {
        /// The id it wants.
        id: i64,
        /// By which a repeat is known.
        check_code: Box<str>,
    },
    /// 1003: a broker comes; changes nothing that is judged here, but its answer is a look.
    Register {
        /// Its id.
        id: i64,
    },
    /// 1002: a master is to be chosen.
    Elect {
        /// For whom; [`NOBODY`] for no broker in particular.
        id: i64,
        /// Whether this one and nobody else.
        designate: bool,
    },
    /// 1001: a master replaces its sync-state set.
    Alter {
        /// Who asks.
        master: i64,
        /// The master epoch it holds current.
        master_epoch: i32,
        /// The set epoch it holds current.
        set_epoch: i32,
        /// The wanted set.
        new_set: Vec<i64>,
    },
    /// 1011: an operator removes brokers.
    Clean {
        /// Which; none at all: the whole broker set.
        ids: Vec<i64>,
        /// Whether living ones may be removed.
        living: bool,
    },
}

/// What came of an operation; the table of the module says what each means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// Carried out.
    Ok(Seen),
    /// Refused, without effect.
    Refused {
        /// The response code.
        code: i32,
        /// What the refusal shows of the state.
        #[serde(default, skip_serializing_if = "Seen::is_empty")]
        seen: Seen,
    },
    /// Took effect once, or never.
    Unknown,
    /// Took effect though the client does not know, as the log says.
    TookEffect(Seen),
    /// Had no effect and will have none, as the log says.
    Never,
}

/// What an answer shows of the broker set: for a write the state that it made, else the state that
/// it found. What an answer does not show is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Seen {
    /// Counts masters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_epoch: Option<i32>,
    /// Counts sync-state sets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_epoch: Option<i32>,
    /// The recorded master; [`NOBODY`] where the answer says that there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master: Option<i64>,
    /// The sync-state set, in any order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_state_set: Option<Vec<i64>>,
    /// The smallest id that was never given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_id: Option<i64>,
}

impl Seen {
    /// Shows nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Operation {
    /// When it was over for certain: the time of its answer. None where it may still be carried out after whoever asked
    /// gave up, also if an answer came that leaves that open.
    #[must_use]
    pub const fn heard(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Ok(_) | Outcome::Refused { .. } | Outcome::Never => self.finished,
            Outcome::Unknown | Outcome::TookEffect(_) => None,
        }
    }
}

impl Call {
    /// Whether it may change what later answers show.
    #[must_use]
    pub const fn can_write(&self) -> bool {
        match self {
            Self::Read | Self::ReadNextId | Self::Register { .. } => false,
            Self::ApplyId { .. } | Self::Elect { .. } | Self::Alter { .. } | Self::Clean { .. } => {
                true
            }
        }
    }
}

impl Outcome {
    /// What it shows of the state.
    #[must_use]
    pub const fn seen(&self) -> Option<&Seen> {
        match self {
            Self::Ok(seen) | Self::Refused { seen, .. } | Self::TookEffect(seen) => Some(seen),
            Self::Unknown | Self::Never => None,
        }
    }

    /// Whether it was carried out, or may have been, or may yet be.
    #[must_use]
    pub const fn may_take_effect(&self) -> bool {
        match self {
            Self::Ok(_) | Self::TookEffect(_) | Self::Unknown => true,
            Self::Refused { .. } | Self::Never => false,
        }
    }

    /// Whether it was carried out for certain.
    #[must_use]
    pub const fn took_effect(&self) -> bool {
        match self {
            Self::Ok(_) | Self::TookEffect(_) => true,
            Self::Refused { .. } | Self::Unknown | Self::Never => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Call, Operation, Outcome, Seen};

    #[test]
    fn an_answer_that_leaves_it_open_ends_nothing() {
        let check = |outcome: Outcome, heard: Option<u64>, may_take_effect: bool| {
            assert_eq!(outcome.may_take_effect(), may_take_effect, "{outcome:?}");
            let (set, call) = ("a".into(), Call::Read);
            let operation = Operation {
                client: 0,
                peer: None,
                set,
                invoked: 1,
                finished: Some(2),
                call,
                outcome,
            };
            assert_eq!(operation.heard(), heard, "{operation:?}");
        };
        check(Outcome::Ok(Seen::default()), Some(2), true);
        check(Outcome::Refused { code: 2008, seen: Seen::default() }, Some(2), false);
        check(Outcome::Never, Some(2), false);
        check(Outcome::Unknown, None, true);
        check(Outcome::TookEffect(Seen::default()), None, true);
    }
}

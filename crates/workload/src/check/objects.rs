//! Two plain objects, for histories that others published: a register and a key-value store.
//!
//! They judge nothing of ours. They are here so that the search can be shown right on data whose
//! verdicts are known (`tests/published.rs`), and so that `pitchover check` reads those files.

use super::search::Model;

/// One register with compare-and-set; begins empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Register;

/// An operation on a [`Register`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterOperation {
    /// A read and what it returned.
    Read(Option<i64>),
    /// A write.
    Write(i64),
    /// A compare-and-set that changed the value.
    Swapped {
        /// What it expected.
        from: i64,
        /// What it wrote.
        to: i64,
    },
    /// A compare-and-set that found another value.
    Kept {
        /// What it expected.
        from: i64,
    },
}

impl Model for Register {
    type Operation = RegisterOperation;
    type State = Option<i64>;

    fn initial(&self) -> Self::State {
        None
    }

    fn step(&self, state: &Self::State, operation: &Self::Operation, next: &mut Vec<Self::State>) {
        next.extend(match *operation {
            RegisterOperation::Read(value) => (*state == value).then_some(value),
            RegisterOperation::Write(value) => Some(Some(value)),
            RegisterOperation::Swapped { from, to } => (*state == Some(from)).then_some(Some(to)),
            RegisterOperation::Kept { from } => (*state != Some(from)).then_some(*state),
        });
    }
}

/// One key of a store of texts; begins empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct OneKey;

/// An operation on [`OneKey`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyOperation {
    /// A read and what it returned.
    Get(String),
    /// A write.
    Put(String),
    /// A write behind what is there.
    Append(String),
}

impl Model for OneKey {
    type Operation = KeyOperation;
    type State = String;

    fn initial(&self) -> Self::State {
        String::new()
    }

    fn step(&self, state: &Self::State, operation: &Self::Operation, next: &mut Vec<Self::State>) {
        next.extend(match operation {
            KeyOperation::Get(value) => (state == value).then(|| state.clone()),
            KeyOperation::Put(value) => Some(value.clone()),
            KeyOperation::Append(value) => Some(format!("{state}{value}")),
        });
    }
}

//! What is wrong with a disk now, and how often somebody felt it.

use rustix::io::Errno;
use std::time::Duration;

/// Kinds of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Bytes of a file are read.
    Read,
    /// Bytes or names are changed.
    Write,
    /// Bytes or names are made durable.
    Sync,
}

/// Which operations are in trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operations {
    /// Reads, writes, syncs.
    All,
    /// Only writes.
    Writes,
    /// Only syncs.
    Syncs,
}

impl Operations {
    fn have(self, operation: Operation) -> bool {
        match self {
            Self::All => true,
            Self::Writes => operation == Operation::Write,
            Self::Syncs => operation == Operation::Sync,
        }
    }
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// They fail, as a broken disk's do (`EIO`).
    Fail(Operations),
    /// Whatever writes fails, as on a disk that was remounted after an error (`EROFS`).
    ReadOnly,
    /// They take so much longer.
    Delay(Operations, Duration),
    /// They do not return.
    Hang(Operations),
}

/// What becomes of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Done,
    Failed(Errno),
    Delayed(Duration),
    Held,
}

/// How often trouble was felt since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) failed: u64,
    pub(crate) delayed: u64,
    pub(crate) held: u64,
}

impl Counts {
    /// What one operation meets; counted.
    pub(crate) fn meet(&mut self, trouble: Option<Trouble>, operation: Operation) -> Fate {
        let fate = match trouble {
            Some(Trouble::Fail(which)) if which.have(operation) => Fate::Failed(Errno::IO),
            Some(Trouble::ReadOnly) if operation == Operation::Write => Fate::Failed(Errno::ROFS),
            Some(Trouble::Delay(which, time)) if which.have(operation) => Fate::Delayed(time),
            Some(Trouble::Hang(which)) if which.have(operation) => Fate::Held,
            Some(_) | None => Fate::Done,
        };
        match fate {
            Fate::Done => {}
            Fate::Failed(_) => self.failed += 1,
            Fate::Delayed(_) => self.delayed += 1,
            Fate::Held => self.held += 1,
        }
        fate
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, Fate, Operation, Operations, Trouble};
    use rustix::io::Errno;
    use std::time::Duration;

    #[test]
    fn each_trouble_hits_its_operations_and_is_counted() {
        let delay = Duration::from_millis(5);
        let rows = [
            (None, [Fate::Done; 3]),
            (Some(Trouble::Fail(Operations::All)), [Fate::Failed(Errno::IO); 3]),
            (Some(Trouble::ReadOnly), [Fate::Done, Fate::Failed(Errno::ROFS), Fate::Done]),
            (
                Some(Trouble::Delay(Operations::Syncs, delay)),
                [Fate::Done, Fate::Done, Fate::Delayed(delay)],
            ),
            (Some(Trouble::Hang(Operations::Writes)), [Fate::Done, Fate::Held, Fate::Done]),
        ];
        let mut counts = Counts::default();
        for (trouble, expected) in rows {
            let met = [Operation::Read, Operation::Write, Operation::Sync]
                .map(|operation| counts.meet(trouble, operation));
            assert_eq!(met, expected, "{trouble:?}");
        }
        assert_eq!(counts, Counts { failed: 4, delayed: 1, held: 1 });
    }
}

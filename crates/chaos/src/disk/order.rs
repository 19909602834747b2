//! Orders to a disk and its answers, one line each, so that a person can give them too.
//!
//! | Order | Does |
//! |---|---|
//! | `fail all\|writes\|syncs`, `read-only`, `delay OPERATIONS MS`, `hang OPERATIONS` | puts that in force, in place of what was |
//! | `heal` | nothing is in force; what hangs is done |
//! | `release` | what hangs fails; what is in force stays |
//! | `count` | nothing |
//! | `power drop\|tear SEED` | takes away what is not durable; nobody may have a file open |
//!
//! | Answer | After |
//! |---|---|
//! | `failed N delayed N held N at-stake N lost-bytes N lost-names N` | every order; the last three are about this order |

use super::trouble::{Counts, Operations, Trouble};
use super::{Loss, Lost};
use std::fmt;
use std::time::Duration;

/// What a disk is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Puts trouble in force.
    Begin(Trouble),
    /// Ends it.
    Heal,
    /// Lets go of whoever hangs, so that a killed process can end.
    Release,
    /// Asks for the counts.
    Count,
    /// The power goes, by this seed.
    Power(Loss, u64),
}

/// What a disk answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) counts: Counts,
    pub(crate) lost: Lost,
}

impl fmt::Display for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::Writes => "writes",
            Self::Syncs => "syncs",
        })
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin(Trouble::Fail(which)) => write!(f, "fail {which}"),
            Self::Begin(Trouble::ReadOnly) => f.write_str("read-only"),
            Self::Begin(Trouble::Delay(which, time)) => {
                write!(f, "delay {which} {}", time.as_millis())
            }
            Self::Begin(Trouble::Hang(which)) => write!(f, "hang {which}"),
            Self::Heal => f.write_str("heal"),
            Self::Release => f.write_str("release"),
            Self::Count => f.write_str("count"),
            Self::Power(Loss::Drop, seed) => write!(f, "power drop {seed}"),
            Self::Power(Loss::Tear, seed) => write!(f, "power tear {seed}"),
        }
    }
}

fn operations(word: &str) -> Option<Operations> {
    let all = [Operations::All, Operations::Writes, Operations::Syncs];
    all.into_iter().find(|one| one.to_string() == word)
}

impl Order {
    /// Reads a line; `None` if it is no order.
    pub(super) fn read(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        Some(match words[..] {
            ["fail", which] => Self::Begin(Trouble::Fail(operations(which)?)),
            ["read-only"] => Self::Begin(Trouble::ReadOnly),
            ["delay", which, ms] => {
                let time = Duration::from_millis(ms.parse().ok()?);
                Self::Begin(Trouble::Delay(operations(which)?, time))
            }
            ["hang", which] => Self::Begin(Trouble::Hang(operations(which)?)),
            ["heal"] => Self::Heal,
            ["release"] => Self::Release,
            ["count"] => Self::Count,
            ["power", "drop", seed] => Self::Power(Loss::Drop, seed.parse().ok()?),
            ["power", "tear", seed] => Self::Power(Loss::Tear, seed.parse().ok()?),
            _ => return None,
        })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { counts: Counts { failed, delayed, held }, lost } = self;
        let Lost { at_stake, bytes, names } = lost;
        write!(f, "failed {failed} delayed {delayed} held {held} ")?;
        write!(f, "at-stake {at_stake} lost-bytes {bytes} lost-names {names}")
    }
}

impl Answer {
    /// Reads a line; `None` if it is no answer.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [
            "failed",
            failed,
            "delayed",
            delayed,
            "held",
            held,
            "at-stake",
            at_stake,
            "lost-bytes",
            bytes,
            "lost-names",
            names,
        ] = words[..]
        else {
            return None;
        };
        let counts = Counts {
            failed: failed.parse().ok()?,
            delayed: delayed.parse().ok()?,
            held: held.parse().ok()?,
        };
        let lost = Lost {
            at_stake: at_stake.parse().ok()?,
            bytes: bytes.parse().ok()?,
            names: names.parse().ok()?,
        };
        Some(Self { counts, lost })
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Order};
    use crate::disk::trouble::{Counts, Operations, Trouble};
    use crate::disk::{Loss, Lost};
    use std::time::Duration;

    #[test]
    fn orders_and_answers_read_back_and_nothing_else_does() {
        let orders = [
            Order::Begin(Trouble::Fail(Operations::All)),
            Order::Begin(Trouble::ReadOnly),
            Order::Begin(Trouble::Delay(Operations::Syncs, Duration::from_millis(250))),
            Order::Begin(Trouble::Hang(Operations::Writes)),
            Order::Heal,
            Order::Release,
            Order::Count,
            Order::Power(Loss::Drop, 7),
            Order::Power(Loss::Tear, u64::MAX),
        ];
        for order in orders {
            assert_eq!(Order::read(&order.to_string()), Some(order));
        }
        let answer = Answer {
            counts: Counts { failed: 1, delayed: 2, held: 3 },
            lost: Lost { at_stake: 4, bytes: 5, names: 6 },
        };
        assert_eq!(Answer::read(&answer.to_string()), Some(answer));
        for wrong in ["", "fail", "fail reads", "delay all soon", "power off 1", "heal now"] {
            assert_eq!((Order::read(wrong), Answer::read(wrong)), (None, None), "{wrong}");
        }
    }
}

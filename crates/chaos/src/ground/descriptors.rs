//! How many descriptors a run needs, and that this process may have them: it is all brokers, clients and crowds at once.
//!
//! | Who | Descriptors |
//! |---|---|
//! | a broker that is an actor | a connection to each controller, one from each, a listener |
//! | the operator | for itself and for each of its brokers, of one set at each controller, a connection to each controller |
//! | the crowds of one controller | [`crowd::CONNECTIONS_MAX`] |
//! | everything else | [`OTHERS`] |

use crate::actors::operator;
use crate::crowd;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Clients, the observer, files, devices, pipes of children, runtimes of threads.
const OTHERS: usize = 256;

/// How large a run is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) nodes: usize,
    /// Brokers that are actors.
    pub(crate) brokers: usize,
    pub(crate) has_crowds: bool,
}

/// What a run needs.
pub(crate) fn needed(Size { nodes, brokers, has_crowds }: Size) -> u64 {
    let of_brokers = brokers * (2 * nodes + 1);
    let of_operator = nodes * (1 + operator::BROKERS) * nodes;
    let of_crowds = if has_crowds { nodes * crowd::CONNECTIONS_MAX } else { 0 };
    (OTHERS + of_brokers + of_operator + of_crowds) as u64
}

/// Whether this process may have so many. It changes nothing: whoever is started later inherits the limit of this
/// process.
///
/// # Errors
/// In words: it may not have so many.
pub(crate) fn may_claim(needed: u64) -> Result<(), String> {
    match getrlimit(Resource::Nofile).maximum {
        Some(most) if most < needed => {
            Err(format!("at most {most} descriptors, {needed} are needed: raise `ulimit -Hn`"))
        }
        Some(_) | None => Ok(()),
    }
}

/// Lets this process have them. Controllers that start afterwards inherit that; ours, and a JVM, take all that they may
/// have by themselves.
///
/// # Errors
/// In words: it may not have so many.
pub(crate) fn claim(needed: u64) -> Result<(), String> {
    may_claim(needed)?;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum });
    raised.map_err(|error| format!("the limit of descriptors cannot be raised: {error}"))
}

#[cfg(test)]
mod tests {
    use super::{Size, claim, may_claim, needed};
    use rustix::process::{Resource, getrlimit};

    #[test]
    fn many_sets_and_crowds_need_more_than_a_shell_has() {
        let check = |nodes, sets: usize, has_crowds, expected: std::ops::Range<u64>| {
            let needed = needed(Size { nodes, brokers: 3 * sets, has_crowds });
            assert!(expected.contains(&needed), "{nodes}, {sets}, {has_crowds}: {needed}");
        };
        check(3, 3, false, 0..1_024);
        // 240 listeners, and 720 connections each way.
        check(3, 80, false, 1_680..4_096);
        check(5, 80, false, 2_640..4_096);
        check(5, 3, true, 3_660..8_192);
    }

    #[test]
    fn what_is_claimed_is_there_and_what_cannot_be_says_what_to_do() {
        claim(1_100).unwrap();
        assert!(getrlimit(Resource::Nofile).current.is_none_or(|current| current >= 1_100));
        if getrlimit(Resource::Nofile).maximum.is_some() {
            let refused = may_claim(u64::MAX).unwrap_err();
            assert!(refused.ends_with("are needed: raise `ulimit -Hn`"), "{refused}");
        }
    }
}

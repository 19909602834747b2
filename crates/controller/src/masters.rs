//! Which brokers the operator wants as masters, and which he does not: `pitchover.preferredMasters` and
//! `pitchover.neverMaster`.
//!
//! | Entry | Means |
//! |---|---|
//! | `broker-a:2` | the broker with controller id 2 of the broker set `broker-a` |
//! | `10.0.3.7:30911` | the broker registered with this address |
//! | `10.0.3.7:*` | every broker registered at this host |
//!
//! An entry is compared as a text, so what names both a set with an id and a host with a port means both. The leader
//! looks its lists up when it proposes an election, and what it finds travels in the command: peers may differ in
//! their configuration, and what was decided must not (U18 of RELIABILITY).

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;
use replicas::{BrokerId, BrokerSet, Policy, Replica};

/// Entries of one list: more brokers than a cluster has are a mistake.
pub const MASTER_ENTRIES_MAX: usize = 10_000;

/// The two lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MasterLists {
    preferred: BTreeSet<Box<str>>,
    never: BTreeSet<Box<str>>,
}

/// Why a list is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MasterListError {
    /// An entry without its two parts.
    #[error("the entry `{0}` is neither set:id nor host:port nor host:*")]
    Entry(Box<str>),
    /// Too many entries.
    #[error("more entries than MASTER_ENTRIES_MAX ({MASTER_ENTRIES_MAX})")]
    Length,
}

impl MasterLists {
    /// Reads both lists: entries separated by `,` or `;`, blanks around them do not count.
    ///
    /// # Errors
    /// [`MasterListError`] for the first list that is wrong, with `true` if that is the one of preferred masters.
    pub fn parse(preferred: &str, never: &str) -> Result<Self, (bool, MasterListError)> {
        Ok(Self {
            preferred: entries(preferred).map_err(|error| (true, error))?,
            never: entries(never).map_err(|error| (false, error))?,
        })
    }

    /// What the lists say of the members of `set`.
    pub(crate) fn policy(&self, name: &str, set: &BrokerSet) -> Policy {
        if self.preferred.is_empty() && self.never.is_empty() {
            return Policy::default();
        }
        let ids = |list: &BTreeSet<Box<str>>| -> Vec<BrokerId> {
            let listed = set.replicas().iter().filter(|replica| is_listed(list, name, replica));
            listed.map(|replica| replica.id).collect()
        };
        Policy::new(ids(&self.preferred), ids(&self.never))
    }
}

fn entries(text: &str) -> Result<BTreeSet<Box<str>>, MasterListError> {
    let parts = text.split([',', ';']).map(str::trim).filter(|entry| !entry.is_empty());
    let mut entries = BTreeSet::new();
    for entry in parts {
        let is_whole = entry.rsplit_once(':').is_some_and(|(left, right)| {
            let is_number = !right.is_empty() && right.bytes().all(|byte| byte.is_ascii_digit());
            !left.is_empty() && (is_number || right == "*")
        });
        if !is_whole {
            return Err(MasterListError::Entry(entry.into()));
        }
        entries.insert(entry.into());
        if entries.len() > MASTER_ENTRIES_MAX {
            return Err(MasterListError::Length);
        }
    }
    Ok(entries)
}

fn is_listed(list: &BTreeSet<Box<str>>, set: &str, replica: &Replica) -> bool {
    let host = replica.address.rsplit_once(':').map(|(host, _port)| host);
    list.contains(&*format!("{set}:{}", replica.id.0))
        || list.contains(&replica.address)
        || host.is_some_and(|host| list.contains(&*format!("{host}:*")))
}

#[cfg(test)]
mod tests {
    use super::{MASTER_ENTRIES_MAX, MasterListError, MasterLists, entries};
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;

    #[test]
    fn lists_are_read() {
        let read = |text: &str| -> Result<Vec<String>, MasterListError> {
            Ok(entries(text)?.iter().map(ToString::to_string).collect())
        };
        let is = |text: &str, expected: &[&str]| {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        };
        is("", &[]);
        is(" ; ,", &[]);
        is("a:2, b:1;10.0.0.1:*", &["10.0.0.1:*", "a:2", "b:1"]);
        is("[::1]:30911;a:2;a:2", &["[::1]:30911", "a:2"]);
        for wrong in ["a", "a:", ":1", "a:x", "a:1 2", "a:**"] {
            assert_eq!(read(wrong), Err(MasterListError::Entry(wrong.into())), "{wrong}");
        }
        let many: Vec<String> =
            (0..=MASTER_ENTRIES_MAX).map(|number| alloc::format!("a:{number}")).collect();
        assert_eq!(read(&many.join(",")), Err(MasterListError::Length));
        assert!(MasterLists::parse("a", "").unwrap_err().0);
        assert!(!MasterLists::parse("", "a").unwrap_err().0);
    }
}

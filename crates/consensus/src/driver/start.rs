//! The start of a driver: what was restored is checked before the engine sees it, because the
//! engine panics on a state that contradicts itself.

use super::{Driver, Leadership};
use crate::groups::Groups;
use crate::log::LogWindow;
use crate::propose::Proposals;
use crate::read::Reads;
use crate::screen::is_payload_sound;
use crate::settings::{
    APPEND_BYTES_MAX, APPENDS_IN_FLIGHT_MAX, COMMITTED_BYTES_PER_TURN_MAX, UNCOMMITTED_BYTES_MAX,
};
use crate::{Entry, HardState, LogIndex, Restored, Role, Settings, Term, engine};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use raft::{Config, RawNode, ReadOnlyOption};

/// Why a driver cannot start from what was restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// Peer 0, or ticks that do not fit together.
    #[error("{setting} = {value} is out of range")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// Its value.
        value: u64,
    },
    /// The membership is joint, not sound, or another one than the snapshot's.
    #[error("the restored membership is joint, not sound, or not the snapshot's")]
    Membership,
    /// An entry that does not follow the one before, is of a term above the hard state's, or
    /// holds what no entry holds.
    #[error("the restored log does not fit at entry {index}")]
    Log {
        /// The first entry that does not fit.
        index: LogIndex,
    },
    /// The commit lies beyond the log.
    #[error("commit {commit} lies beyond the last entry {last}")]
    Commit {
        /// The hard state's commit.
        commit: LogIndex,
        /// The last entry.
        last: LogIndex,
    },
}

impl Driver {
    /// A follower with what the journal found. The state machine already holds the snapshot.
    ///
    /// # Errors
    /// A [`StartError`] if the parts do not fit together; nothing was started then.
    ///
    /// # Panics
    /// If the engine refuses what was checked before: its conditions are a part of ours.
    pub fn new(settings: Settings, restored: Restored) -> Result<Self, StartError> {
        check_settings(&settings)?;
        let hard_state = check_restored(&restored)?;
        let Restored { membership, snapshot, entries, .. } = restored;
        let mut window = LogWindow::new(hard_state, membership, snapshot);
        let applied = window.base();
        let entries: Vec<_> = entries.into_iter().map(engine::to_entry).collect();
        window.append(&entries);

        let config = config(&settings, applied.0);
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let node = RawNode::new(&config, window, &logger)
            .expect("settings and state were checked, and the window never fails");
        let leadership = Leadership { term: hard_state.term, role: Role::Follower, leader: None };
        let reads = Reads::new(settings.me, settings.boot_nonce);
        Ok(Self {
            settings,
            node,
            proposals: Proposals::default(),
            reads,
            groups: Groups::default(),
            hard_state,
            written: hard_state,
            commit_unwritten_since: None,
            number: 0,
            leadership,
            ready_term: Term(0),
            transfer: None,
            offered: None,
            applied,
            now: 0,
            heard: BTreeMap::new(),
            snapshot_since: BTreeMap::new(),
            has_lost_data: false,
            out: Vec::new(),
        })
    }
}

fn check_settings(settings: &Settings) -> Result<(), StartError> {
    let Settings { me, election_ticks, keepalive_ticks, .. } = settings;
    let table = [
        ("me", me.0, me.0 > 0),
        ("keepalive_ticks", u64::from(*keepalive_ticks), *keepalive_ticks > 0),
        ("election_ticks", u64::from(*election_ticks), election_ticks > keepalive_ticks),
    ];
    let wrong = table.into_iter().find(|(_, _, is_right)| !is_right);
    wrong.map_or(Ok(()), |(setting, value, _)| Err(StartError::Setting { setting, value }))
}

/// Checks the parts against each other; returns the hard state with a commit that covers the
/// snapshot, since a commit is not always written when it moves (D3).
fn check_restored(restored: &Restored) -> Result<HardState, StartError> {
    let Restored { membership, snapshot, entries, .. } = restored;
    let mut hard_state = restored.hard_state;
    let is_of_snapshot = snapshot.as_ref().is_none_or(|it| it.membership == *membership);
    if !membership.is_sound() || membership.is_joint() || !is_of_snapshot {
        return Err(StartError::Membership);
    }
    let base = snapshot.as_ref().map_or_else(Default::default, |it| (it.index, it.term));
    let (mut last, mut log_term): (LogIndex, Term) = base;
    if log_term > hard_state.term {
        return Err(StartError::Log { index: last });
    }
    for entry in entries {
        last.0 += 1;
        let Entry { term, index, .. } = entry;
        let is_next = *index == last && *term >= log_term && term.0 > 0;
        if !is_next || *term > hard_state.term || !is_payload_sound(entry) {
            return Err(StartError::Log { index: *index });
        }
        log_term = *term;
    }
    hard_state.commit = hard_state.commit.max(base.0);
    let commit = hard_state.commit;
    if commit > last { Err(StartError::Commit { commit, last }) } else { Ok(hard_state) }
}

/// The engine's settings (section 9 of the design of consensus).
fn config(settings: &Settings, applied: LogIndex) -> Config {
    let election_tick = settings.election_ticks as usize;
    Config {
        id: settings.me.0,
        election_tick,
        heartbeat_tick: settings.keepalive_ticks as usize,
        // A range of one value: the engine draws from it with a generator of its own (D19).
        min_election_tick: election_tick,
        max_election_tick: election_tick + 1,
        applied: applied.0,
        max_size_per_msg: APPEND_BYTES_MAX,
        max_inflight_msgs: APPENDS_IN_FLIGHT_MAX,
        max_uncommitted_size: UNCOMMITTED_BYTES_MAX,
        max_committed_size_per_ready: COMMITTED_BYTES_PER_TURN_MAX,
        check_quorum: true,
        pre_vote: true,
        read_only_option: ReadOnlyOption::Safe,
        // Followers learn commits at once, so that their reads stay short.
        skip_bcast_commit: false,
        // The engine merges appends without any limit of size; `coalesce` does what is safe.
        batch_append: false,
        priority: 0,
    }
}

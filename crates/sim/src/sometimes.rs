//! Interesting situations, and how often they were reached. A night in which one of them never was is red: what is
//! never reached is not tested.

use std::collections::BTreeMap;

/// One name: its area, and why it cannot be reached here, if so.
pub(crate) type Name = (&'static str, &'static str, Option<&'static str>);

const NO_REMOVAL: Option<&str> =
    Some("only a member whose disk is lost is removed, and its process is another member by then");
const NO_LIMIT: Option<&str> =
    Some("the limit is 64 MiB of commands; covered by a test of `consensus`");
const NO_FETCH: Option<&str> = Some("entries are never read back from the journal (decision 0003)");
const NO_QUEUE: Option<&str> = Some("the byte queue of a link stands in the server");

/// Every name of docs/RELIABILITY.md, and a few more.
pub(crate) const NAMES: &[Name] = &[
    ("consensus", "leader_elected", None),
    ("consensus", "leader_changed_with_writes_pending", None),
    ("consensus", "campaigns_collided", None),
    ("consensus", "prevote_refused_by_fresh_leader", None),
    ("consensus", "stepped_down_without_quorum", None),
    ("consensus", "conflicting_tail_cut", None),
    ("consensus", "frame_cap_reached", None),
    ("consensus", "uncommitted_limit_hit", NO_LIMIT),
    ("consensus", "term_changed_between_ready_and_persisted", None),
    ("consensus", "transfer_done", None),
    ("consensus", "transfer_aborted", None),
    ("consensus", "joint_entered", None),
    ("consensus", "joint_left_by_new_leader", None),
    ("consensus", "learner_promoted", None),
    ("consensus", "removed_peer_campaigned", NO_REMOVAL),
    (
        "reads",
        "read_confirmed_at_step_down",
        Some("a leader serves what is confirmed in the turn that confirms it"),
    ),
    ("reads", "read_confirmed_for_follower", None),
    ("reads", "read_round_expired", None),
    ("reads", "follower_read_waited_for_apply", None),
    ("reads", "duplicate_context_dropped", None),
    ("reads", "read_waited_for_first_commit", None),
    ("reads", "read_without_leader", None),
    ("journal", "torn_write_cut", None),
    ("journal", "torn_group_dropped", None),
    ("journal", "damage_refused", None),
    ("journal", "old_bytes_in_recycled_segment", None),
    ("journal", "sync_failed", None),
    ("journal", "crash_in_recovery", None),
    ("journal", "crash_between_rename_and_folder_sync", None),
    ("journal", "spares_missing", None),
    ("journal", "disk_full_stepped_aside", None),
    ("journal", "entries_fetched_from_disk", NO_FETCH),
    ("snapshots", "snapshot_saved", None),
    ("snapshots", "installed_during_cut", None),
    ("snapshots", "stream_broken", None),
    (
        "snapshots",
        "checksum_refused",
        Some("the frame check closes the link before; a test of `controller` covers it"),
    ),
    ("snapshots", "fell_back_to_older", None),
    (
        "snapshots",
        "taken_while_installing",
        Some("a turn takes none while one is fetched; a test of `controller` covers it"),
    ),
    ("snapshots", "log_no_longer_reaches_follower", None),
    ("replicas", "alter_pending_at_leader_change", None),
    ("replicas", "fenced_by_master_epoch", None),
    ("replicas", "fenced_by_set_epoch", None),
    ("replicas", "lost_answer_repeated", None),
    ("replicas", "member_not_alive", None),
    ("replicas", "nobody_electable", None),
    ("replicas", "unclean_election", None),
    ("replicas", "election_tie", None),
    ("replicas", "first_election", None),
    ("replicas", "designated_election", None),
    ("replicas", "one_member_cleaned", None),
    ("replicas", "whole_set_cleaned", None),
    ("replicas", "recreated_above_floor", None),
    ("replicas", "id_taken_by_other_code", None),
    ("replicas", "id_applied_with_gap", None),
    ("replicas", "evidence_outdated_at_apply", None),
    ("liveness", "expired_by_deadline", None),
    ("liveness", "dead_since_refused", None),
    ("liveness", "back_within_grace", None),
    ("liveness", "heard_only_by_followers", None),
    ("liveness", "new_leader_in_grace", None),
    ("liveness", "offset_went_back", None),
    ("liveness", "two_brokers_one_id", None),
    ("notices", "acknowledged", None),
    ("notices", "retried", None),
    ("notices", "superseded", None),
    ("notices", "receiver_dead", None),
    ("notices", "poll_was_faster", None),
    (
        "server",
        "answered_busy",
        Some("tables hold 65,536 requests; tests of `controller` and the wire suite cover it"),
    ),
    ("server", "client_gone_before_answer", None),
    ("server", "half_open_reaped", None),
    ("server", "peer_queue_dropped", NO_QUEUE),
];

/// How often each situation was reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sometimes {
    counts: BTreeMap<&'static str, u64>,
}

impl Sometimes {
    pub(crate) fn hit(&mut self, name: &'static str) {
        debug_assert!(
            NAMES.iter().any(|(_, known, _)| *known == name),
            "{name} is not in the table"
        );
        *self.counts.entry(name).or_default() += 1;
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        for (name, count) in &other.counts {
            *self.counts.entry(name).or_default() += count;
        }
    }

    /// The names that can be reached and were not.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let names = NAMES.iter().filter(|(_, name, why)| why.is_none() && self.count(name) == 0);
        names.map(|(_, name, _)| *name).collect()
    }

    /// The whole table: area, name, count, and why a name cannot be reached.
    pub fn rows(
        &self,
    ) -> impl Iterator<Item = (&'static str, &'static str, u64, Option<&'static str>)> {
        NAMES.iter().map(|(area, name, why)| (*area, *name, self.count(name), *why))
    }

    fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }
}
